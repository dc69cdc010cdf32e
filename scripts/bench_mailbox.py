"""The mail of scripts/bench-imap: the same for every run, most of it some 4 KB, one in ten with an attachment."""

import base64
import os
import pathlib
import quopri
import random
import time

FIRST_SECS = 1_700_000_000
PEOPLE = ["Anna Berg", "Böhme, Carl", "Dora Quist", "Erik Sørensen", "Fang Li", "Gita Rao", "Hugo Blanc", "Ines Prado"]
WORDS = (
    "meeting invoice draft budget server garden weather train holiday report question answer review contract picture "
    "number second morning project office letter window delivery music summer winter paper bridge river market kitchen "
    "school doctor friend family coffee bicycle harbour museum concert journey ticket hotel island mountain village"
).split()
# In one body of fifty, and in one header of a hundred.
BODY_WORD, HEADER_VALUE = "zeppelin", "autumn-seven"


def message(number):
    """The text of a message with LF line ends."""
    dice = random.Random(number)
    person, to = dice.choice(PEOPLE), dice.choice(PEOPLE)
    is_reply = number > 50 and dice.random() < 0.5
    root = dice.randrange(max(1, number - 500), number) if is_reply else number
    subject = " ".join(dice.sample(WORDS, 4)) if not is_reply else "Re: " + " ".join(random.Random(-root).sample(WORDS, 4))
    when = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(FIRST_SECS + number * 60))
    head = [
        f"Return-Path: <{number % 97}@src.test>",
        f"Received: from relay{number % 7}.src.test (relay{number % 7}.src.test [192.0.2.{number % 250}])",
        f"\tby mail.home.test with ESMTPS id {number:08x}",
        f"\tfor <u@home.test>; {when}",
        f"Date: {when}",
        f"From: {encoded(person)} <{number % 97}@src.test>",
        f"To: {encoded(to)} <u@home.test>, list-{number % 11}@lists.src.test",
        f"Subject: {encoded(subject)}",
        f"Message-ID: <{number}@src.test>",
        "MIME-Version: 1.0",
    ]
    if is_reply:
        head += [f"In-Reply-To: <{root}@src.test>", f"References: <{root // 2}@src.test> <{root}@src.test>"]
    if dice.random() < 0.01:
        head.append(f"X-Campaign: {HEADER_VALUE}")
    text = prose(dice, 3300, BODY_WORD if dice.random() < 0.02 else None)
    return "\n".join(head) + "\n" + body(dice, number, text)


def encoded(text):
    if text.isascii():
        return f'"{text}"' if "," in text else text
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def prose(dice, octets, word):
    words = []
    while octets > 0:
        words.append(dice.choice(WORDS) if dice.random() > 0.02 else "Grüße")
        octets -= len(words[-1]) + 1
    if word:
        words[len(words) // 2] = word
    return "\n".join(" ".join(words[at : at + 11]) for at in range(0, len(words), 11)) + "\n"


def body(dice, number, text):
    quoted = quopri.encodestring(text.encode()).decode()
    plain = f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{quoted}"
    kind = dice.random()
    if kind < 0.5:
        return plain
    if kind < 0.6:
        packed = base64.encodebytes(text.encode()).decode()
        return f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n{packed}"
    if kind < 0.9:
        html = f"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n<html><p>{text[:800]}</p></html>\n"
        return multipart("alternative", number, [plain, html])
    file = base64.encodebytes(dice.randbytes(9000)).decode()
    attachment = f"Content-Type: application/pdf; name=\"{number}.pdf\"\nContent-Transfer-Encoding: base64\n"
    attachment += f"Content-Disposition: attachment; filename=\"{number}.pdf\"\n\n{file}"
    return multipart("mixed", number, [plain, attachment])


def multipart(kind, number, parts):
    line = f"=_{number:x}_{kind}"
    inner = "".join(f"--{line}\n{part}" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{line}"\n\n{inner}--{line}--\n'


def fill(directory, count, as_dovecot, owner):
    """Writes messages 1 to `count` as the server's own delivery does: Dovecot's have LF and both sizes in their names."""
    directory = pathlib.Path(directory)
    for number in range(1, count + 1):
        text = message(number).encode()
        crlf = text.replace(b"\n", b"\r\n")
        name = f"{FIRST_SECS + number * 60}.M{number:06}P1.mail"
        if as_dovecot:
            name += f",S={len(text)},W={len(crlf)}:2,"
        elif directory.name == "cur":
            name += ":2,"
        path = directory / name
        path.write_bytes(text if as_dovecot else crlf)
        os.utime(path, (FIRST_SECS + number * 60,) * 2)
        os.chown(path, *owner)
