"""scripts/scale: a big queue for a host that accepts connections and never answers, and what it costs everyone else."""

import os
import socket
import statistics
import threading
import time

from scale_parts import Broken, ScaleServer
from served import DOMAIN, Sink

MESSAGES = 100_000
PROBES = 40
WORKERS = 16
IDLE_SECS = 3
SPLIT_LEVELS = 23
# One message of this many waits for a time in the future, and is moved by etrn.
LATER_EVERY = 5

BYTES_PER_MESSAGE_MAX = 600
START_SECS_MAX = 15
# Deliveries under way are given three.
STOP_SECS_MAX = 10
# Of a message's way with the queue, against without, and what a busy machine adds to a median.
RATIO_MAX = 3.0
NOISE_MS = 20


class BlackHole:
    """Accepts and never answers; counts."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.held = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            self.held.append(self.listener.accept()[0])


def fill(server, messages):
    """Spool files in rsnd, most of them due now."""
    now = int(time.time())
    body = b"Subject: waiting\r\n\r\n" + b"x" * 500 + b"\r\n"
    for n in range(messages):
        split = server.root / "spool" / str(n % SPLIT_LEVELS) / str(n // SPLIT_LEVELS % SPLIT_LEVELS)
        name = f"{now - 1000}{n % 1000:03}.7f{n:x}.1a.{n:x}.script.test"
        head = (
            f"[127.0.0.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:33:11 +0000\r\n{DOMAIN}\r\nS{n:X}\r\n"
            f"MAIL FROM:<anna@{DOMAIN}>\r\nRCPT TO:<user{n}@dead.test>\r\n<<MAIL-DATA>>\r\n"
        )
        tried = now if n % LATER_EVERY == 0 else 1000
        write(split / "rsnd" / name, head.encode() + body)
        write(split / "slog" / name, f"[PeekTime] {tried} : Mon, 23 Nov 2026 10:33:11 +0000\n".encode())


def write(path, content):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    os.close(descriptor)


def latencies(server, recipient, arrived):
    """Milliseconds from MAIL until a message has arrived, for single messages; `arrived` counts all that have."""
    found = []
    with server.session() as session:
        for _ in range(PROBES):
            before = arrived()
            begun = time.monotonic()
            session.sendmail("probe@script.test", [recipient], b"Subject: probe\r\n\r\nbody\r\n")
            while arrived() == before:
                if time.monotonic() - begun > 400:
                    raise Broken(f"a message for {recipient} did not arrive within 400 s")
                time.sleep(0.0005)
            found.append((time.monotonic() - begun) * 1000)
    return found


def etrn(server):
    """Seconds of `etrn *@dead.test` by CTRL."""
    with socket.create_connection(("127.0.0.1", server.ctrl_port), timeout=120) as control:
        lines = control.makefile("rwb")
        said = [lines.readline()]
        for line in ("script\tsecret", "etrn\t*@dead.test"):
            begun = time.monotonic()
            lines.write(line.encode() + b"\r\n")
            lines.flush()
            said.append(lines.readline())
            if not said[-1].startswith(b"+"):
                raise Broken(f"{line!r}: {said}")
        return time.monotonic() - begun


class Measured:
    """One run of the server."""

    def __init__(self, server, sink):
        local = lambda: latencies(server, f"anna@{DOMAIN}", lambda: len(os.listdir(server.inbox())))
        remote = lambda: latencies(server, "x@living.test", sink.taken.total)
        # Connections are taken when the queue has been loaded, not before.
        self.start_secs = server.start()
        self.memory = server.rss_bytes()
        before = local(), remote()
        cpu = server.cpu_secs()
        time.sleep(IDLE_SECS)
        self.idle_percent = (server.cpu_secs() - cpu) / IDLE_SECS * 100
        self.etrn_secs = etrn(server)
        after = local(), remote()
        self.local, self.remote = (statistics.median(before[n] + after[n]) for n in (0, 1))
        self.local_worst = max(before[0] + after[0])
        self.stop_secs = server.stop()


def run(outcome, servers, program, work, divisor):
    messages = MESSAGES // divisor
    server = ScaleServer(program, work, ["-Qn", str(WORKERS)])
    servers.append(server)
    hole, sink = BlackHole(), Sink()
    server.remote("dead.test", hole.port)
    server.remote("living.test", sink.server_address[1])
    server.allow_ctrl("script", "secret")
    empty = Measured(server, sink)
    fill(server, messages)
    full = Measured(server, sink)
    outcome.say(f"{messages} messages for a dead host")
    outcome.at_most("memory", (full.memory - empty.memory) / messages, BYTES_PER_MESSAGE_MAX, " bytes per message")
    outcome.at_most("start with the queue loaded", full.start_secs, START_SECS_MAX, " s", 2)
    outcome.say(f"(empty: {empty.start_secs:.2f} s)")
    outcome.at_most("stop", full.stop_secs, STOP_SECS_MAX, " s", 2)
    for what, with_queue, without in (("local mail", full.local, empty.local), ("a living host", full.remote, empty.remote)):
        bound = RATIO_MAX * without + NOISE_MS
        outcome.at_most(f"{what} (empty: {without:.1f} ms) median", with_queue, round(bound, 1), " ms", 1)
    outcome.say(f"worst local {full.local_worst:.0f} ms")
    outcome.say(f"idle {full.idle_percent:.1f} % of a processor; etrn of all {full.etrn_secs * 1000:.0f} ms")
    outcome.at_most("connections to the dead host", len(hole.held), WORKERS, "")
    outcome.at_least("still queued", len(server.spooled("mess", "rsnd")), messages, "")
