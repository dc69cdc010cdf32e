"""scripts/scale: one mailbox with very many messages."""

import os

from scale_parts import PASSWORD, Broken, Imap, Pop3, ScaleServer, Smtp, await_true, timed
from served import DOMAIN

MESSAGES = 100_000
LOGIN_SECS_MAX = 1.0
# The first look at a mailbox reads all of it, for POP3 tells sizes as they are sent.
FIRST_SECS_MAX = 60
RETRIEVED = 100
DELETED = 100
# What is bounded is the best of so many: other work of the machine is not what is looked for.
TRIES = 3
BODY = b"y" * 70 + b"\r\n"


def deliver(server):
    before = len(os.listdir(server.inbox("full")))
    with Smtp(server) as session:
        session.message([f"full@{DOMAIN}"], b"Subject: one more\r\n\r\nbody\r\n")
    await_true(lambda: len(os.listdir(server.inbox("full"))) == before + 1, "a delivery")


def log_in(server, messages):
    """By POP3; checks that STAT tells so many."""
    client = Pop3(server, "full")
    said = client.say("STAT")
    if int(said.split()[1]) != messages:
        raise Broken(f"{messages} messages were expected: {said!r}")
    return client


def select(server, messages):
    client = Imap(server, "full")
    said = client.say("SELECT INBOX")
    if f"* {messages} EXISTS\r\n".encode() not in said:
        raise Broken(f"{messages} messages were expected: {said[:10]!r}")
    return client


def work_by_pop3(client, messages, outcome):
    secs = {}
    for command in ("LIST", "UIDL"):
        secs[command], found = timed(client.listing, command)
        if len(found) != messages:
            raise Broken(f"{command}: {len(found)} lines")
    step = max(1, messages // RETRIEVED)
    taken, _ = timed(lambda: [client.retrieve(number) for number in range(1, messages + 1, step)])
    outcome.say(f"LIST {secs['LIST']:.2f} s, UIDL {secs['UIDL']:.2f} s, {RETRIEVED} RETR {taken:.2f} s")
    for number in range(1, DELETED + 1):
        client.say(f"DELE {number}")
    quit_secs, _ = timed(client.say, "QUIT")
    outcome.say(f"QUIT with {DELETED} DELE {quit_secs:.2f} s")


def run(outcome, servers, program, work, divisor):
    messages = MESSAGES // divisor
    server = ScaleServer(program, work)
    servers.append(server)
    server.add_accounts(["full"], PASSWORD)
    server.fill_box("full", messages, BODY * 8)
    server.start()
    idle = server.rss_bytes()
    outcome.say(f"{messages} messages")

    def once(what, enter, count):
        secs, client = timed(enter, server, count)
        outcome.at_most(what, secs, FIRST_SECS_MAX, " s", 2)
        return client

    def best(what, enter, leave, count, deliveries=0):
        """Each try comes after so many deliveries. Returns the messages that there are then."""
        found = []
        for _ in range(TRIES):
            for _ in range(deliveries):
                deliver(server)
            count += deliveries
            secs, client = timed(enter, server, count)
            found.append(secs)
            client.say(leave)
        outcome.at_most(what, min(found), LOGIN_SECS_MAX, " s", 2)
        return count

    once("POP3 log-in first", log_in, messages).say("QUIT")
    best("second", log_in, "QUIT", messages)
    work_by_pop3(log_in(server, messages), messages, outcome)
    left = best("log-in after the deletions", log_in, "QUIT", messages - DELETED)
    # Beyond the round number, where a table of so many would be full.
    for _ in range(DELETED):
        deliver(server)
    left = best("after a delivery", log_in, "QUIT", left + DELETED, 1)
    once("IMAP first LOGIN and SELECT", select, left).say("LOGOUT")
    best("second", select, "LOGOUT", left)
    client = select(server, left)
    secs, _ = timed(client.say, "FETCH 1:* (UID FLAGS)")
    outcome.say(f"FETCH of all flags {secs:.2f} s")
    client.say("LOGOUT")
    left = best("SELECT after a delivery", select, "LOGOUT", left, 1)
    outcome.say(f"memory {(server.rss_bytes() - idle) / 1e6:.0f} MB above idle")
    server.stop()
    server.start()
    once("SELECT after a restart", select, left).say("LOGOUT")
    server.stop()
