"""A POP3 server from which PSYNC fetches, for scripts/crash: what it may delete is from then on the mail server's to keep."""

import socketserver
import threading
import time

from ledger import message, stuffed
from served import Talker

MAILDROP_MESSAGES = 3


class Source(socketserver.ThreadingTCPServer):
    """Its maildrop is filled up whenever somebody looks. `place` is the account that the link fetches for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, ledger, place):
        super().__init__(("127.0.0.1", 0), Maildrop)
        self.ledger, self.place, self.waiting = ledger, place, []
        self.port, self.lock = self.server_address[1], threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def fill(self):
        with self.lock:
            while len(self.waiting) < MAILDROP_MESSAGES:
                serial = self.ledger.next_serial()[0]
                # May come twice: the fetching server may have been killed between taking and deleting.
                self.ledger.picked_up.add(serial)
                self.waiting.append(serial)
            return list(self.waiting)

    def delete(self, serials):
        """From the moment it has said QUIT the fetching server is the only one who has these."""
        now = time.time()
        for serial in serials:
            self.ledger.promise(serial, [self.place], ("clock", now))
        with self.lock:
            self.waiting = [serial for serial in self.waiting if serial not in serials]


class Maildrop(Talker):
    def talk(self):
        serials, deleted = self.server.fill(), set()
        self.say(b"ready")
        while line := self.rfile.readline():
            word, *rest = line.split() or [b""]
            word = word.upper()
            if word == b"QUIT":
                self.server.delete(deleted)
                self.say(b"bye")
                return
            self.answer(word, rest, serials, deleted)

    def answer(self, word, rest, serials, deleted):
        if word == b"STAT":
            self.say(b"%d %d" % (len(serials), sum(len(message(serial)) for serial in serials)))
        elif word == b"UIDL":
            self.listing([serial.encode() for serial in serials])
        elif word == b"LIST":
            self.listing([b"%d" % len(message(serial)) for serial in serials])
        elif word == b"RETR":
            self.wfile.write(b"+OK\r\n" + stuffed(message(serials[int(rest[0]) - 1])) + b".\r\n")
        else:
            if word == b"DELE":
                deleted.add(serials[int(rest[0]) - 1])
            self.say(b"ok")

    def say(self, text):
        self.wfile.write(b"+OK " + text + b"\r\n")

    def listing(self, values):
        lines = b"".join(b"%d %s\r\n" % (number + 1, value) for number, value in enumerate(values))
        self.wfile.write(b"+OK\r\n" + lines + b".\r\n")

