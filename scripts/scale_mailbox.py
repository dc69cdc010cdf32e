"""scripts/scale: one mailbox with very many messages."""

import os

from scale_parts import Broken, Imap, Pop3, ScaleServer, Smtp, await_true, timed
from served import DOMAIN

MESSAGES = 100_000
LOGIN_SECS_MAX = 1.0
# The first look at a mailbox reads all of it, for POP3 tells sizes as they are sent.
FIRST_SECS_MAX = 60
RETRIEVED = 100
DELETED = 100
BODY = b"y" * 70 + b"\r\n"


def deliver(server, count):
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
    server.add_accounts(["full"])
    server.fill_box("full", messages, BODY * 8)
    server.start()
    idle = server.rss_bytes()
    outcome.say(f"{messages} messages")

    def by_pop3(what, count, bound=LOGIN_SECS_MAX):
        secs, client = timed(log_in, server, count)
        outcome.at_most(f"POP3 log-in {what}", secs, bound, " s", 2)
        return client

    def by_imap(what, count, bound=LOGIN_SECS_MAX):
        secs, client = timed(select, server, count)
        outcome.at_most(f"IMAP {what}", secs, bound, " s", 2)
        return client

    by_pop3("first", messages, FIRST_SECS_MAX).say("QUIT")
    work_by_pop3(by_pop3("second", messages), messages, outcome)
    left = messages - DELETED
    by_pop3("after the deletions", left).say("QUIT")
    # Beyond the round number, where a table of so many would be full.
    for count in range(1, DELETED + 3):
        deliver(server, left + count)
    left += DELETED + 2
    by_pop3(f"after {DELETED + 2} deliveries", left).say("QUIT")
    deliver(server, left + 1)
    left += 1
    by_pop3("after a delivery", left).say("QUIT")
    by_imap("first LOGIN and SELECT", left, FIRST_SECS_MAX).say("LOGOUT")
    client = by_imap("second", left)
    secs, _ = timed(client.say, "FETCH 1:* (UID FLAGS)")
    outcome.say(f"FETCH of all flags {secs:.2f} s")
    deliver(server, left + 1)
    by_imap("after a delivery", left + 1).say("LOGOUT")
    outcome.say(f"memory {(server.rss_bytes() - idle) / 1e6:.0f} MB above idle")
    server.stop()
    server.start()
    by_imap("after a restart", left + 1).say("LOGOUT")
    server.stop()
