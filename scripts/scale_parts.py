"""What the items of scripts/scale share: a server with POP3 and IMAP, bare clients, peaks of memory, latencies."""

import contextlib
import pathlib
import socket
import statistics
import threading
import time

from served import DOMAIN, Server, free_ports

PASSWORD = "scale-pw"
MESSAGE_MAX_KB = 200_000
# More than any item opens.
SESSIONS_MAX = 16_000
PROBE_EVERY_SECS = 0.25


class Broken(Exception):
    """A client was told something else than it should have been."""


class Outcome:
    """The line of one item: its figures, and which of them are out of bounds."""

    def __init__(self, item):
        self.item, self.figures, self.broken = item, [], []

    def say(self, text):
        self.figures.append(text)

    def at_most(self, what, value, bound, unit, digits=0):
        self.bounded(what, value, bound, unit, digits, value <= bound, "at most")

    def at_least(self, what, value, bound, unit, digits=0):
        self.bounded(what, value, bound, unit, digits, value >= bound, "at least")

    def bounded(self, what, value, bound, unit, digits, holds, word):
        self.figures.append(f"{what} {value:,.{digits}f}{unit} ({word} {bound:,})")
        if not holds:
            self.broken.append(what)

    def line(self):
        end = f"FAIL: {', '.join(self.broken)}" if self.broken else "holds"
        return f"{self.item:12} {end}. " + "; ".join(self.figures)


class ScaleServer(Server):
    """A server with SMTP, POP3, IMAP and CTRL, and as many accounts as are wanted."""

    def __init__(self, program, work, flags=()):
        self.pop3_port, self.imap_port = free_ports(2)
        flags = ["-PX", str(SESSIONS_MAX), "-SX", str(SESSIONS_MAX), "-Pt", "3600", "-St", "3600", *flags]
        quiet = ["-F-", "-Y-", "-PI", f"127.0.0.1:{self.pop3_port}", "-II", f"127.0.0.1:{self.imap_port}"]
        super().__init__(program, work, flags, quiet)
        table = self.root / "server.tab"
        table.write_text(table.read_text().replace('"MaxMessageSize"\t"51200"', f'"MaxMessageSize"\t"{MESSAGE_MAX_KB}"'))
        self.allow_relay()

    def command(self):
        # IMAP is wanted here.
        return [word for word in super().command() if word != "-I-"]

    def fill_box(self, name, messages, body):
        """Message files as an earlier server left them."""
        box, now = self.inbox(name), int(time.time()) - messages
        for number in range(messages):
            text = f"From: anna@{DOMAIN}\r\nSubject: message {number}\r\nMessage-ID: <{number}@scale.test>\r\n\r\n"
            (box / f"{now + number}000.7f{number:x}.1a.{number:x}.script.test").write_bytes(text.encode() + body)

    def remote(self, domain, port):
        self.add("smtpfwd.tab", domain, f"127.0.0.1:{port}")

    def status_bytes(self, field):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))

    @contextlib.contextmanager
    def peak(self):
        """Yields a list that holds, afterwards, by how many bytes the resident memory rose above `idle` bytes at most."""
        # Proc's way to begin VmHWM anew (proc_pid_clear_refs(5)).
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        found = []
        yield found
        found.append(self.status_bytes("VmHWM"))


class Client:
    """A bare connection that reads lines and counted octets, and keeps both times and errors honest."""

    def __init__(self, port, banner, timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb", buffering=256 * 1024)
        self.expect(banner)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.lines.close()
        self.socket.close()

    def line(self):
        line = self.lines.readline()
        if not line:
            raise Broken("the server closed the session")
        return line

    def expect(self, begin):
        line = self.line()
        if not line.startswith(begin):
            raise Broken(f"{begin!r} was expected, not {line[:200]!r}")
        return line

    def send(self, text):
        self.socket.sendall(text if isinstance(text, (bytes, memoryview)) else text.encode() + b"\r\n")

    def octets(self, count, into=None):
        """Reads and drops `count` octets, or gives them to `into`."""
        while count:
            piece = self.lines.read1(min(count, 1 << 18))
            if not piece:
                raise Broken("the server closed the session")
            count -= len(piece)
            if into:
                into(piece)


class Pop3(Client):
    def __init__(self, server, name):
        super().__init__(server.pop3_port, b"+OK")
        self.say(f"USER {name}@{DOMAIN}")
        self.say(f"PASS {PASSWORD}")

    def say(self, command):
        self.send(command)
        return self.expect(b"+OK")

    def listing(self, command):
        """The lines of a listing."""
        self.say(command)
        found = []
        while (line := self.line()) != b".\r\n":
            found.append(line)
        return found

    def retrieve(self, number, into=None):
        """Returns the octets of the message, as LIST has them; for messages without lines that begin with a dot."""
        size = int(self.say(f"LIST {number}").split()[2])
        self.say(f"RETR {number}")
        self.octets(size, into)
        self.expect(b".\r\n")
        return size


class Imap(Client):
    def __init__(self, server, name):
        super().__init__(server.imap_port, b"* OK")
        self.tags = 0
        self.say(f'LOGIN "{name}@{DOMAIN}" {PASSWORD}')

    def say(self, command):
        """Returns the untagged lines, with the sizes of literals that were read over."""
        self.tags += 1
        tag = f"t{self.tags}".encode()
        self.send(tag + b" " + command.encode() + b"\r\n")
        return self.answer(tag)

    def answer(self, tag, into=None):
        found = []
        while not (line := self.line()).startswith(tag + b" "):
            found.append(line)
            while line.endswith(b"}\r\n"):
                self.octets(int(line[line.rindex(b"{") + 1 : -3]), into)
                line = self.line()
        if not line.startswith(tag + b" OK"):
            raise Broken(f"OK was expected, not {line[:200]!r}")
        return found

    def idle(self):
        self.send("i IDLE")
        self.expect(b"+")

    def append(self, message):
        self.send(f"a APPEND INBOX {{{len(message)}}}")
        self.expect(b"+")
        self.socket.sendall(message)
        self.send("")
        self.answer(b"a")


class Smtp(Client):
    def __init__(self, server):
        super().__init__(server.smtp_port, b"220")
        self.say("HELO script.test")

    def say(self, command, code=b"250"):
        self.send(command)
        return self.expect(code)

    def message(self, recipients, content):
        """`content` with its CRLFs, and without lines that begin with a dot."""
        self.say("MAIL FROM:<scale@script.test>")
        for recipient in recipients:
            self.say(f"RCPT TO:<{recipient}>")
        self.say("DATA", b"354")
        self.socket.sendall(content)
        self.say(".")


def timed(work, *arguments):
    begun = time.monotonic()
    result = work(*arguments)
    return time.monotonic() - begun, result


def at_once(works):
    """Runs all in threads of their own; the first error is raised. Returns their results."""
    results, errors = [None] * len(works), []

    def run(number, work):
        try:
            results[number] = work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def await_true(is_true, what, patience_secs=300):
    until = time.monotonic() + patience_secs
    while not is_true():
        if time.monotonic() > until:
            raise Broken(f"{what}: not within {patience_secs} s")
        time.sleep(0.01)


class Probes(threading.Thread):
    """Sends a message to anna now and then, and measures until it is in her mailbox; ends with `latencies`."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.found, self.error, self.over = server, [], None, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        if self.error:
            raise self.error

    def run(self):
        try:
            while True:
                self.found.append(probe(self.server))
                if self.over.wait(PROBE_EVERY_SECS):
                    return
        except Exception as error:
            self.error = error

    def median_ms(self):
        return statistics.median(self.found) * 1000

    def worst_ms(self):
        return max(self.found) * 1000


def probe(server):
    """Seconds from connecting until a message is in anna's mailbox."""
    box = server.inbox()
    before, begun = len(list(box.iterdir())), time.monotonic()
    with Smtp(server) as session:
        session.message([f"anna@{DOMAIN}"], b"Subject: probe\r\n\r\nbody\r\n")
    while len(list(box.iterdir())) == before:
        if time.monotonic() - begun > 60:
            raise Broken("a probe did not arrive within 60 s")
        time.sleep(0.001)
    return time.monotonic() - begun
