"""scripts/scale: thousands of idle connections, and a thousand that work."""

import asyncio
import multiprocessing
import time

from scale_parts import PASSWORD, Broken, Imap, Pop3, ScaleServer, Smtp, at_once
from served import DOMAIN

# Of each kind.
IDLE = 2500
BUSY = 1000
# Processes that drive the busy ones.
DRIVERS = 2
TURN_SECS = 8
RETRIEVED = 5
BOX_MESSAGES = 20
BODY = b"x" * 70 + b"\r\n"
# Of 4 KB.
MESSAGE = b"Subject: busy\r\n\r\n" + BODY * 56
TOLD = 50

# Of resident memory, for each idle connection: the figure of Dovecot in scripts/bench is several times this.
IDLE_BYTES_MAX = 32_768
THROUGHPUT_RATIO_MIN = 0.8
CPU_RATIO_MAX = 1.25


async def connect(port):
    # A busy listener may be slower than its backlog for a moment, and the system then says so by silence.
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 60)
    return reader, writer


async def line(reader, begin):
    found = await asyncio.wait_for(reader.readline(), 60)
    if not found.startswith(begin):
        raise Broken(f"{begin!r} was expected, not {found[:200]!r}")
    return found


async def say(reader, writer, text, begin):
    writer.write(text.encode() + b"\r\n")
    return await line(reader, begin)


class Driven:
    """One of the busy clients; `done` counts what it has done before `until`."""

    def __init__(self, ports, name):
        self.ports, self.name, self.done = ports, name, 0


class SmtpClient(Driven):
    """Messages over one connection."""

    async def work(self, until):
        reader, writer = await connect(self.ports["smtp"])
        await line(reader, b"220")
        await say(reader, writer, "HELO busy.test", b"250")
        while time.monotonic() < until:
            await say(reader, writer, "MAIL FROM:<busy@script.test>", b"250")
            await say(reader, writer, f"RCPT TO:<{self.name}@{DOMAIN}>", b"250")
            await say(reader, writer, "DATA", b"354")
            writer.write(MESSAGE)
            await say(reader, writer, ".", b"250")
            self.done += 1
        writer.close()


class Pop3Client(Driven):
    """Whole sessions, one after the other."""

    async def work(self, until):
        while time.monotonic() < until:
            reader, writer = await connect(self.ports["pop3"])
            await line(reader, b"+OK")
            await say(reader, writer, f"USER {self.name}@{DOMAIN}", b"+OK")
            await say(reader, writer, f"PASS {PASSWORD}", b"+OK")
            await say(reader, writer, "STAT", b"+OK")
            for command in ["UIDL"] + [f"RETR {number + 1}" for number in range(RETRIEVED)]:
                await say(reader, writer, command, b"+OK")
                while await line(reader, b"") != b".\r\n":
                    pass
            await say(reader, writer, "QUIT", b"+OK")
            writer.close()
            self.done += 1


class ImapClient(Driven):
    """Fetches over one connection."""

    async def work(self, until):
        reader, writer = await connect(self.ports["imap"])
        await line(reader, b"* OK")
        await self.ask(reader, writer, f'LOGIN "{self.name}@{DOMAIN}" {PASSWORD}')
        await self.ask(reader, writer, "SELECT INBOX")
        while time.monotonic() < until:
            await self.ask(reader, writer, f"FETCH 1:{RETRIEVED} (FLAGS ENVELOPE BODY.PEEK[])")
            self.done += 1
        writer.close()

    async def ask(self, reader, writer, command):
        writer.write(b"t " + command.encode() + b"\r\n")
        while not (found := await line(reader, b"")).startswith(b"t "):
            if not found:
                raise Broken("the server closed the session")
            if found.endswith(b"}\r\n"):
                await asyncio.wait_for(reader.readexactly(int(found[found.rindex(b"{") + 1 : -3])), 60)
        if not found.startswith(b"t OK"):
            raise Broken(f"OK was expected, not {found[:200]!r}")


KINDS = [SmtpClient, SmtpClient, Pop3Client, ImapClient]


def drive(ports, numbers, seconds, results):
    """In a process of its own: (done, errors)."""

    async def all_of_them():
        clients = [KINDS[number % len(KINDS)](ports, f"busy{number}") for number in numbers]
        # All are connected before it counts much.
        until = time.monotonic() + seconds
        ends = await asyncio.gather(*(client.work(until) for client in clients), return_exceptions=True)
        errors = [f"{type(end).__name__} {end}" for end in ends if end is not None]
        # A client that never got its turn was not served.
        errors += [f"{client.name} did nothing" for client in clients if not client.done]
        return sum(client.done for client in clients), errors

    results.put(asyncio.run(all_of_them()))


def busy_turn(server, busy, seconds):
    """Returns (operations per second, CPU seconds of the server per 1,000 operations)."""
    ports = {"smtp": server.smtp_port, "pop3": server.pop3_port, "imap": server.imap_port}
    results = multiprocessing.Queue()
    before, begun = server.cpu_secs(), time.monotonic()
    share = [range(first, busy, DRIVERS) for first in range(DRIVERS)]
    drivers = [multiprocessing.Process(target=drive, args=(ports, part, seconds, results)) for part in share]
    for driver in drivers:
        driver.start()
    ends = [results.get(timeout=seconds + 300) for _ in drivers]
    for driver in drivers:
        driver.join()
    done, errors = sum(end[0] for end in ends), [error for end in ends for error in end[1]]
    if errors:
        raise Broken(f"{len(errors)} of {busy} busy connections were not served: {errors[0]}")
    return done / (time.monotonic() - begun), (server.cpu_secs() - before) / done * 1000


def open_idle(server, idle):
    half = range(idle)
    # From four threads: no listener is asked for more than it can have waiting.
    pop3 = lambda first: [Pop3(server, f"idle{number}") for number in half[first::2]]
    imap = lambda first: [in_idle(server, f"idle{number}") for number in half[first::2]]
    opened = at_once([lambda: pop3(0), lambda: pop3(1), lambda: imap(0), lambda: imap(1)])
    return opened[0] + opened[1], opened[2] + opened[3]


def in_idle(server, name):
    client = Imap(server, name)
    client.say("SELECT INBOX")
    client.idle()
    return client


def are_all_alive(server, pop3, imap):
    """Mail reaches some of those in IDLE at once; then every one answers."""
    told = imap[:TOLD]
    with Smtp(server) as session:
        # In the order in which they were opened, two threads took turns.
        for number in range(0, 2 * len(told), 2):
            session.message([f"idle{number}@{DOMAIN}"], b"Subject: news\r\n\r\nnews\r\n")
    for client in told:
        client.expect(b"* 1 EXISTS")
    for client in imap:
        client.send("DONE")
        client.answer(b"i")
        client.close()
    for client in pop3:
        client.say("NOOP")
        client.say("QUIT")
        client.close()


def run(outcome, servers, program, work, divisor):
    idle, busy = IDLE // divisor, BUSY // divisor
    server = ScaleServer(program, work)
    servers.append(server)
    server.add_accounts([f"idle{number}" for number in range(idle)] + [f"busy{number}" for number in range(busy)], PASSWORD)
    for number in range(busy):
        server.fill_box(f"busy{number}", BOX_MESSAGES, BODY * 56)
    server.start()
    busy_turn(server, busy, TURN_SECS / 2)
    with_none, with_idle = [busy_turn(server, busy, TURN_SECS)], []
    before = server.rss_bytes()
    pop3, imap = open_idle(server, idle)
    per_connection = (server.rss_bytes() - before) / (2 * idle)
    with_idle += [busy_turn(server, busy, TURN_SECS) for _ in range(2)]
    are_all_alive(server, pop3, imap)
    with_none.append(busy_turn(server, busy, TURN_SECS))
    mean = lambda turns, which: sum(turn[which] for turn in turns) / len(turns)
    outcome.say(f"{idle} POP3 and {idle} IMAP connections idle, {busy} busy: all served, none refused or broken")
    outcome.at_most("memory per idle connection", per_connection, IDLE_BYTES_MAX, " bytes")
    outcome.say(f"busy {mean(with_idle, 0):.0f}/s against {mean(with_none, 0):.0f}/s without the idle ones")
    outcome.at_least("ratio", mean(with_idle, 0) / mean(with_none, 0), THROUGHPUT_RATIO_MIN, "", 2)
    outcome.at_most("ratio of CPU per operation", mean(with_idle, 1) / mean(with_none, 1), CPU_RATIO_MAX, "", 2)
    server.stop()
