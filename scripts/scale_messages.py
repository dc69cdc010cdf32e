"""scripts/scale: very large messages, and a message for very many."""

import collections
import hashlib
import os
import threading

from scale_parts import PASSWORD, Broken, Imap, Pop3, Probes, ScaleServer, Smtp, at_once, await_true, probe, timed
from served import DOMAIN, Sink

# Large messages.
LARGE_BYTES = 100 * 1000 * 1000
AT_ONCE = 4
PEAK_BYTES_MAX = 40_000_000
LINE = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n"

# The list.
MEMBERS = 10_000
POST_LINES = 50
LIST_BYTES_PER_MEMBER_MAX = 5_000
LIST_SECS_MAX = 120
PROBE_MS_MAX = 2_000


def run_large(outcome, servers, program, work, divisor):
    size, server, sink = LARGE_BYTES // divisor, ScaleServer(program, work), Sink()
    servers.append(server)
    boxes = [f"large{number}" for number in range(AT_ONCE)]
    server.add_accounts(boxes + ["first", "target0", "target1"] + [f"redirect{n}" for n in range(AT_ONCE)], PASSWORD)
    server.add_accounts(["list"], PASSWORD, "M")
    server.remote("far.test", sink.server_address[1])
    make_list(server, [f"target0@{DOMAIN}", f"target1@{DOMAIN}"])
    for number in range(AT_ONCE):
        rows = server.root / "domains" / DOMAIN / f"redirect{number}" / "mailproc.tab"
        rows.write_text(f'"redirect"\t"target{number % 2}@{DOMAIN}"\n')
    body = b"Subject: large\r\n\r\n" + LINE * (size // len(LINE))
    server.start()
    # What a first use of each part costs is not what is looked for.
    with Pop3(server, "first") as client:
        client.say("QUIT")
    with Imap(server, "first") as client:
        client.say("SELECT INBOX")
    probe(server)
    idle = server.rss_bytes()
    outcome.say(f"{AT_ONCE} at once of {len(body) / 1e6:.0f} MB; idle {idle / 1e6:.1f} MB; above that at most")
    large = Large(outcome, server, sink, body, idle)
    large.run("SMTP in and to mailboxes", [lambda name=name: large.send(f"{name}@{DOMAIN}") for name in boxes], boxes, 1)
    large.run("POP3 RETR", [lambda name=name: large.retrieve(name) for name in boxes])
    large.run("IMAP FETCH", [lambda name=name: large.fetch(name) for name in boxes])
    large.run("IMAP APPEND", [lambda name=name: large.append(name) for name in boxes], boxes, 2)
    large.empty(boxes)
    large.run("relay", [lambda n=n: large.send(f"u{n}@far.test") for n in range(AT_ONCE)], None, AT_ONCE)
    targets = ["target0", "target1"]
    redirects = [lambda n=n: large.send(f"redirect{n}@{DOMAIN}") for n in range(AT_ONCE)]
    large.run("redirect", redirects, targets, 2)
    large.empty(targets)
    large.run("list", [lambda: large.send(f"list@{DOMAIN}") for _ in range(2)], targets, 2)
    server.stop()


class Large:
    """Steps of the item, each with its peak of memory."""

    def __init__(self, outcome, server, sink, body, idle):
        self.outcome, self.server, self.sink, self.body, self.idle = outcome, server, sink, body, idle
        self.mark = hashlib.sha1(body[-1_000_000:]).digest()

    def run(self, what, works, boxes=None, count=0):
        """`count` messages are in each of `boxes` when the step is over; without boxes so many at the sink."""

        def is_over():
            if boxes:
                return all(len(os.listdir(self.server.inbox(name))) >= count for name in boxes)
            return self.sink.reached.total() >= count

        def do():
            at_once(works)
            await_true(is_over, what)

        with self.server.peak() as found:
            secs, _ = timed(do)
        self.outcome.at_most(what, (found[0] - self.idle) / 1e6, PEAK_BYTES_MAX / 1e6, " MB", 1)
        self.outcome.say(f"in {secs:.1f} s")

    def send(self, recipient):
        with Smtp(self.server) as session:
            session.message([recipient], self.body)

    def retrieve(self, name):
        tail = Tail()
        with Pop3(self.server, name) as client:
            client.retrieve(1, tail.push)
            client.say("QUIT")
        self.check(tail)

    def fetch(self, name):
        tail = Tail()
        with Imap(self.server, name) as client:
            client.say("SELECT INBOX")
            client.send("f FETCH 1 BODY[]")
            client.answer(b"f", tail.push)
        self.check(tail)

    def append(self, name):
        with Imap(self.server, name) as client:
            client.append(self.body)

    def check(self, tail):
        if tail.bytes < len(self.body) or hashlib.sha1(tail.octets[-1_000_000:]).digest() != self.mark:
            raise Broken("a large message came back as another")

    def empty(self, boxes):
        for name in boxes:
            for entry in os.scandir(self.server.inbox(name)):
                os.unlink(entry.path)


class Tail:
    """Keeps the end of what is pushed, and the count."""

    def __init__(self):
        self.octets, self.bytes = b"", 0

    def push(self, piece):
        self.bytes += len(piece)
        self.octets += piece
        if len(self.octets) > 3_000_000:
            self.octets = self.octets[-1_000_000:]


def make_list(server, members):
    directory = server.root / "domains" / DOMAIN / "list"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "user.tab").write_text('"ClosedML"\t"0"\n')
    (directory / "mlusers.tab").write_text("".join(f'"{member}"\t"RW"\n' for member in members))


class SpoolUse(threading.Thread):
    """The most bytes that files in spool/ have taken on the disk, looked at again and again."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.spool, self.most, self.files, self.over = server.root / "spool", 0, 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.3):
            used, files = 0, 0
            for top, _, names in os.walk(self.spool):
                for name in names:
                    try:
                        used += os.stat(os.path.join(top, name)).st_blocks * 512
                    except FileNotFoundError:
                        continue
                    files += not top.endswith(".journal")
            self.most, self.files = max(self.most, used), max(self.files, files)


def run_list(outcome, servers, program, work, divisor):
    members, server, sink = MEMBERS // divisor, ScaleServer(program, work), Sink()
    servers.append(server)
    local = [f"member{number}" for number in range(members // 2)]
    remote = [f"member{number}@far.test" for number in range(members - len(local))]
    server.add_accounts(local, PASSWORD)
    server.add_accounts(["list"], PASSWORD, "M")
    server.remote("far.test", sink.server_address[1])
    make_list(server, [f"{name}@{DOMAIN}" for name in local] + remote)
    post = b"Subject: to all\r\n\r\n" + LINE * POST_LINES
    server.start()
    quiet = sorted(probe(server) for _ in range(5))[2] * 1000
    before = server.rss_bytes()
    with server.peak() as peak, SpoolUse(server) as spool, Probes(server) as probes:
        secs, _ = timed(post_and_wait, server, sink, post, local, remote)
    check_copies(server, sink, local, remote)
    outcome.say(f"{len(local)} members here and {len(remote)} elsewhere, {len(post)} bytes: one copy each")
    outcome.at_most("the last one after", secs, LIST_SECS_MAX, " s", 1)
    outcome.at_most("memory", (peak[0] - before) / members, LIST_BYTES_PER_MEMBER_MAX, " bytes per member")
    outcome.say(f"spool at most {spool.most / 1e6:.0f} MB, {spool.files} spool files")
    outcome.at_most(f"other mail meanwhile (before: {quiet:.0f} ms) median", probes.median_ms(), PROBE_MS_MAX, " ms")
    outcome.at_most("worst", probes.worst_ms(), PROBE_MS_MAX, " ms")
    outcome.say(f"stop {server.stop():.2f} s")


def post_and_wait(server, sink, post, local, remote):
    with Smtp(server) as session:
        session.message([f"list@{DOMAIN}"], post)
    await_true(lambda: sink.reached.total() >= len(remote), "remote members")
    await_true(lambda: all(os.listdir(server.inbox(name)) for name in local), "local members")
    await_true(lambda: not server.spooled("mess", "rsnd"), "an empty queue")


def check_copies(server, sink, local, remote):
    expected = collections.Counter(remote)
    if sink.reached != expected:
        raise Broken(f"remote members: {dict((sink.reached - expected) + (expected - sink.reached))}"[:300])
    wrong = [name for name in local if len(os.listdir(server.inbox(name))) != 1]
    if wrong:
        raise Broken(f"{len(wrong)} local members have not exactly one copy: {wrong[:3]}")
