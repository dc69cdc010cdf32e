"""What scripts/crash keeps account of: senders, a POP3 reader and a sink, what each was promised, and where mail is.

A *place* is an account of DOMAIN or an address at the sink; a *key* is (serial, place). Every message can be made again
from its serial, so whatever is found somewhere is compared with what was sent, byte by byte.
"""

import collections
import copy
import dataclasses
import functools
import os
import random
import socket
import subprocess
import threading
import time

from served import DOMAIN, Conversation, Server, Sink, encoded, free_port, free_ports

ACCOUNTS = ["anna", "bert", "carl", "dora"]
PASSWORD = "ledger-pw"
# Only this mailbox is read and emptied by POP3.
READER = "dora"
# PSYNC fetches for this one.
FETCHER = "carl"
SENDERS = 4
# `later` is answered 451 the first time.
KINDS = [
    ["anna"],
    ["x@sink.test"],
    ["anna", "y@sink.test"],
    ["anna", "bert", "carl"],
    ["later@sink.test"],
    ["dora"],
    ["bert", "x@sink.test", "later@sink.test"],
    ["dora", "carl"],
]
BODY_LINES = [1, 1, 1, 10, 10, 50, 50, 50, 800]
# More than the server keeps in memory: see MEMORY_BYTES_MAX in src/spool/data.rs.
LARGE_LINES, LARGE_EVERY = 6000, 60
ANSWER_SECS = 30
# A message that was taken by POP3 may be delivered again when its delivery was not yet on record: the named window. This
# late it may not.
WINDOW_SECS = 5


@functools.lru_cache(2000)
def message(serial):
    """The message with this serial, CRLF lines, not dot-stuffed."""
    chance = random.Random(serial)
    lines = LARGE_LINES if chance.randrange(LARGE_EVERY) == 0 else chance.choice(BODY_LINES)
    body = "".join(chance.choice(["", ".", "..", "line "]) + f"{n} of {serial}\r\n" for n in range(lines))
    fields = "From: <script@script.test>\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nSubject: crash\r\n"
    return f"{fields}X-Serial: {serial}\r\n\r\n{body}".encode()


def stuffed(text):
    text = text.replace(b"\r\n.", b"\r\n..")
    return b"." + text if text.startswith(b".") else text


def serial_of(content):
    mark = content.find(b"X-Serial: ")
    end = content.find(b"\r\n", mark)
    return content[mark + 10 : end].decode(errors="replace") if mark >= 0 and end >= 0 else None


def is_whole(content, serial):
    """Whether these are header fields and then exactly the message; the stores keep it dot-stuffed."""
    for sent in (stuffed(message(serial)), message(serial)):
        if content.endswith(sent):
            return b"\0" not in content[: -len(sent)]
    return False


class Ledger:
    """What was promised, with the evidence: which reply on which connection (by the client's port) said so."""

    def __init__(self):
        self.lock = threading.Lock()
        self.promised = {}  # key -> evidence
        self.picked_up = set()  # serials that went by the `sendmail` program or by PSYNC
        self.deleted = {}  # key -> (evidence, when the client sent QUIT)
        self.taken_again = {}  # key -> when it was there although it had been deleted
        self.unsure = {}  # key -> when the client sent QUIT; there was no answer
        self.sent, self.drops = 0, 0
        self.first_answer = threading.Event()

    def next_serial(self):
        with self.lock:
            self.sent += 1
            return f"s{self.sent}", KINDS[self.sent % len(KINDS)]

    def promise(self, serial, places, evidence):
        with self.lock:
            self.promised.update({(serial, place): evidence for place in places})
        self.first_answer.set()


def recipient(place):
    return place if "@" in place else f"{place}@{DOMAIN}"


class Lines:
    """A client's connection; whatever is not the wanted answer ends the session."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.socket.getsockname()[1]
        self.reader = self.socket.makefile("rb")

    def expect(self, wanted):
        while True:
            line = self.reader.readline()
            if not line.startswith(wanted):
                if line.endswith(b"\n") and line[:1] in (b"5", b"-"):
                    raise Refused(line.decode(errors="replace"))
                if line.endswith(b"\n") and line[:1] == b"4":
                    raise Later(line)
                raise ConnectionError(line)
            if line[3:4] != b"-":
                return line

    def __call__(self, line, wanted):
        self.socket.sendall(line)
        return self.expect(wanted)

    def multiline(self):
        """A POP3 answer without its last line, not unstuffed."""
        text = []
        while (line := self.reader.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise ConnectionError("closed")
            text.append(line)
        return b"".join(text)

    def close(self):
        self.reader.close()
        self.socket.close()


class Refused(Exception):
    """The server said no where it has no reason to."""


class Later(ConnectionError):
    """The server said 4yz: not ours, and to be sent again."""


class Load:
    """Senders and the reader, until told to stop. The server may die and come back at any time."""

    def __init__(self, server, ledger, drop=None):
        """`drop(serial, places, path)` gives a message to the `sendmail` program; true when that ended with 0."""
        self.server, self.ledger, self.drop = server, ledger, drop
        self.stopping, self.failures = threading.Event(), []
        # How often which 4yz was said.
        self.deferred = collections.Counter()
        jobs = [self.send] * SENDERS + [self.read] + ([self.drop_one] if drop else [])
        self.threads = [threading.Thread(target=self.repeat, args=(job,), daemon=True) for job in jobs]
        for thread in self.threads:
            thread.start()

    def repeat(self, job):
        while not self.stopping.is_set():
            try:
                job()
            except Refused as refused:
                self.failures.append(str(refused))
                return
            except Later as later:
                self.deferred[later.args[0][:3]] += 1
                time.sleep(0.01)
            except OSError:
                # The server was killed, or is not up again yet.
                time.sleep(0.01)

    def send(self):
        """One connection with some messages on it."""
        lines, answered = Lines(self.server.smtp_port), 0
        try:
            lines.expect(b"220")
            lines(b"EHLO script.test\r\n", b"250")
            for _ in range(random.choice([1, 5, 50])):
                if self.stopping.is_set():
                    break
                serial, places = self.ledger.next_serial()
                lines(b"MAIL FROM:<script@script.test>\r\n", b"250")
                for place in places:
                    lines(f"RCPT TO:<{recipient(place)}>\r\n".encode(), b"250")
                lines(b"DATA\r\n", b"354")
                lines(stuffed(message(serial)) + b".\r\n", b"250")
                answered += 1
                self.ledger.promise(serial, places, ("smtp", lines.port, answered))
            lines(b"QUIT\r\n", b"221")
        finally:
            lines.close()

    def read(self):
        """One POP3 session: takes and deletes what is there."""
        lines, keys = Lines(self.server.pop3_port), []
        try:
            lines.expect(b"+OK")
            lines(f"USER {READER}@{DOMAIN}\r\n".encode(), b"+OK")
            lines(f"PASS {PASSWORD}\r\n".encode(), b"+OK")
            count = int(lines(b"STAT\r\n", b"+OK").split()[1])
            for number in range(1, min(count, 20) + 1):
                lines(b"RETR %d\r\n" % number, b"+OK")
                content = lines.multiline()
                serial = serial_of(content)
                if serial is None or not is_whole(content, serial):
                    self.failures.append(f"POP3 gave a damaged message: {content[:300]}")
                keys.append((serial, READER))
                lines(b"DELE %d\r\n" % number, b"+OK")
            self.quit(lines, keys)
        except Refused:
            # The mailbox is locked until the server has noticed that the last session is gone.
            pass
        finally:
            lines.close()
        time.sleep(0.03)

    def quit(self, lines, keys):
        begun = time.time()
        with self.ledger.lock:
            self.ledger.unsure.update(dict.fromkeys(keys, begun))
        lines(b"QUIT\r\n", b"+OK")
        with self.ledger.lock:
            for number, key in enumerate(keys):
                self.ledger.unsure.pop(key, None)
                if key in self.ledger.deleted or key in keys[:number]:
                    self.ledger.taken_again[key] = begun
                self.ledger.deleted.setdefault(key, (("pop3", lines.port), begun))

    def drop_one(self):
        serial, places = self.ledger.next_serial()
        self.ledger.picked_up.add(serial)
        path = self.server.root.parent / f"{serial}.eml"
        path.write_bytes(message(serial))
        if self.drop(serial, places, path):
            self.ledger.promise(serial, places, ("drop", serial))
        path.unlink()
        time.sleep(0.02)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(ANSWER_SECS * 2)
        if self.failures:
            raise SystemExit(f"FAIL: {self.failures[:3]}")


def sendmail(server, places, path, stderr=None):
    """Runs the `sendmail` program; true when it has taken the message."""
    command = [server.program, "sendmail", "-i", "-f", "script@script.test", "--input-file", path]
    command += ["--"] + [recipient(place) for place in places]
    environment = {**os.environ, "MAIL_ROOT": str(server.root)}
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stderr=stderr).returncode == 0


class Deferring(Sink):
    """Remembers who got which message when; the first time it wants `later` to come later."""

    # As many as may wait to be accepted while the script is busy.
    request_queue_size = 128

    def __init__(self, defers=True):
        self.deliveries, self.damaged, self.defers, self.deferred = [], [], defers, set()
        super().__init__()
        self.RequestHandlerClass = DeferringConversation


class DeferringConversation(Conversation):
    def take(self, recipients):
        text = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                # Without the final dot it is not ours.
                return False
            text.append(line)
        content, sink = b"".join(text), self.server
        serial = serial_of(content)
        with sink.lock:
            if sink.defers and "later@sink.test" in recipients and serial not in sink.deferred:
                sink.deferred.add(serial)
                answer = b"451 4.2.0 later\r\n"
            else:
                if serial is None or not is_whole(content, serial):
                    sink.damaged.append(f"sink: {content[:300]}")
                sink.deliveries += [(serial, one, time.time()) for one in recipients]
                answer = b"250 taken\r\n"
        self.wfile.write(answer)
        return True


def new_server(program, work, sink, source_port):
    """A MailRoot with our accounts and a POP3 link, few split directories, and retries after 1 s."""
    flags = ["-Mx", "3", "-Qn", "4", "-Qt", "1", "-Qi", "0", "-Qr", "1000", "-Lt", "1", "-Pt", "1", "-Pw", "0"]
    server = Server(program, work, flags, quiet=["-F-", "-Y-"])
    listen_pop3(server, ["-Yi", "1"])
    server.add_accounts(ACCOUNTS[1:], PASSWORD)
    server.add("smtpfwd.tab", "sink.test", f"127.0.0.1:{sink.server_address[1]}")
    server.add("pop3links.tab", DOMAIN, FETCHER, f"127.0.0.1:{source_port}", "remote", encoded(PASSWORD), "CLR")
    server.allow_relay()
    return server


def listen_pop3(server, psync):
    server.pop3_port = free_port()
    server.quiet = ["-F-", *psync, "-PI", f"127.0.0.1:{server.pop3_port}"]


def same_on(server, work):
    """The same server on another MailRoot and other ports; it fetches nothing."""
    other = copy.copy(server)
    other.root, other.output = work / "MailRoot", work / "server.log"
    other.smtp_port, other.ctrl_port = free_ports(2)
    listen_pop3(other, ["-Y-"])
    return other


class Found:
    """Where messages are now: counters by key, and what is damaged."""

    def __init__(self, server, sink, sink_before=()):
        self.delivered, self.queued = collections.Counter(), collections.Counter()
        self.damaged, self.written = list(sink.damaged), {}
        for serial, place, _ in list(sink_before) + list(sink.deliveries):
            self.delivered[serial, place] += 1
        for account in ACCOUNTS:
            for entry in os.scandir(server.inbox(account)):
                self.file(entry.path, lambda _: account, self.delivered)
        for path in server.spooled("mess", "rsnd", "froz"):
            self.file(path, spool_place, self.queued)

    def add_taken(self, taken_again):
        """What POP3 took for the second time is not in the mailbox any more."""
        for key, when in taken_again.items():
            self.delivered[key] += 1
            self.written[key] = max(when, self.written.get(key, 0))

    def file(self, path, place_of, counter):
        with open(path, "rb") as file:
            content = file.read()
            written = os.fstat(file.fileno()).st_mtime
        serial = serial_of(content)
        if serial is None or not is_whole(content, serial):
            self.damaged.append(f"{path}: {len(content)} bytes: {content[:200]}")
            return
        key = serial, place_of(content)
        counter[key] += 1
        self.written[key] = max(written, self.written.get(key, 0))


def spool_place(content):
    lines = content[: content.find(b"<<MAIL-DATA>>")].lower().split(b"\r\n")
    address = next(line for line in lines if line.startswith(b"rcpt to:"))
    address = address[address.index(b"<") + 1 : address.index(b">")].decode()
    return address.removesuffix("@" + DOMAIN)


def drain(server, wanted, sink, sink_before=(), patience_secs=60):
    """Waits until each of `wanted` has arrived. Looks at mailboxes and sink only: where a queue keeps its messages while
    the server runs is its own business."""
    until, seen, missing = time.monotonic() + patience_secs, set(), set(wanted)
    missing -= {(serial, place) for serial, place, _ in sink_before}
    while True:
        missing -= {(serial, place) for serial, place, _ in list(sink.deliveries)}
        for account in ACCOUNTS:
            for entry in os.scandir(server.inbox(account)):
                if entry.path in seen:
                    continue
                with open(entry.path, "rb") as file:
                    content = file.read()
                serial = serial_of(content)
                # What a power cut has torn will be replaced under the same name.
                if serial is not None and is_whole(content, serial):
                    seen.add(entry.path)
                    missing.discard((serial, account))
        if not missing or time.monotonic() > until:
            return
        time.sleep(0.02)


class Verdict:
    """The account of one check; `ledger` as it stood when the machine or the server stopped."""

    def __init__(self, found, promised, deleted, unsure, picked_up, is_late):
        """`deleted`: keys whose QUIT was answered +OK; `unsure`: keys whose QUIT was not answered; `is_late(key)`:
        whether a message that is back after it was deleted is outside the named window."""
        total = found.delivered + found.queued
        twice = [key for key, count in total.items() if count > 1]
        self.promised, self.deleted = len(promised), len(deleted)
        self.lost = [key for key in promised if not total[key] and key not in deleted and key not in unsure]
        self.damaged = found.damaged
        self.queued = sum(found.queued.values())
        self.at_sink = [key for key in twice if "@" in key[1]]
        self.picked_up = [key for key in twice if "@" not in key[1] and key[0] in picked_up]
        self.in_mailbox = [key for key in twice if "@" not in key[1] and key[0] not in picked_up]
        # What is picked up twice may be there again at any time.
        self.back = [key for key in deleted if total[key] and key[0] not in picked_up]
        self.back_late = [key for key in self.back if is_late(key)]

    def wrong(self):
        """What may not happen, as text; empty when all is well."""
        kinds = {
            "lost": self.lost,
            "damaged": self.damaged,
            "twice in a mailbox": self.in_mailbox,
            "deleted by POP3 and back": self.back_late,
        }
        return "; ".join(f"{len(keys)} {kind}: {keys[:5]}" for kind, keys in kinds.items() if keys)


@dataclasses.dataclass
class Counts:
    """Sums of verdicts, for the line in the end."""

    promised: int = 0
    lost: int = 0
    damaged: int = 0
    in_mailbox: int = 0
    at_sink: int = 0
    picked_up: int = 0
    deleted: int = 0
    back: int = 0
    back_late: int = 0
    queued: int = 0

    def add(self, verdict):
        for field in dataclasses.fields(self):
            value = getattr(verdict, field.name)
            setattr(self, field.name, getattr(self, field.name) + (value if isinstance(value, int) else len(value)))

    def __str__(self):
        return (
            f"{self.promised} recipients answered 250, {self.lost} lost, {self.damaged} damaged; delivered twice: "
            f"{self.in_mailbox} in a mailbox, {self.at_sink} at the sink, {self.picked_up} picked up again; deleted by POP3: "
            f"{self.deleted}, back {self.back}, of these {self.back_late} outside the named window; {self.queued} still queued"
        )
