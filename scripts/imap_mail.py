"""The mail that scripts/imap-clients works with: every message can be made again from its serial."""

import base64
import functools
import random

# What XMail's own mail has above the header of the sender.
TRACE = (
    "Return-Path: <sender@far.test>\r\nDelivered-To: user@home.test\r\n"
    "Received: from far.test ([127.0.0.1]:2525)\r\n\tby home.test with [XMail 1.27 ESMTP Server]\r\n"
    "\tid <S{serial}> for <user@home.test> from <sender@far.test>;\r\n\tMon, 23 Nov 2026 10:00:00 +0000\r\n"
)
HEAD = "From: =?UTF-8?B?546L5bCP5piO?= <wang@far.test>\r\nTo: user@home.test\r\nDate: Mon, 23 Nov 2026 10:{minute:02}:00 +0800\r\n"
WORDS = "mail tab spool queue 邮件 réseau Größe письмо delivery octet header folder line".split()
# One in so many is large.
LARGE_EVERY = 500


def lines(chance, count):
    made = []
    for _ in range(count):
        start = chance.choice(["", "", "", "", ".", "..", "From ", "> ", " ", "\t"])
        made.append(start + " ".join(chance.choices(WORDS, k=chance.randrange(12))))
    return "\r\n".join(made) + "\r\n"


def plain(chance, head):
    return f"{head}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{lines(chance, chance.choice([1, 5, 30, 80]))}".encode()


def dots(chance, head):
    return f"{head}\r\n.\r\n..\r\n...\r\n.hidden\r\n\r\n.\r\n{lines(chance, 5)}.\r\n".encode()


def eight_bit(chance, head):
    body = bytes(chance.choice([*range(0x20, 0x7F), *range(0x80, 0x100)]) for _ in range(400))
    return head.encode() + b"X-Raw: \xe4\xf6\xfc \xc4\xe3\xba\xc3\r\nSubject: \xff\xfe unlabelled\r\n\r\n" + body + b"\r\n"


def long_lines(chance, head):
    return f"{head}X-Long: {'y' * 3000}\r\n\r\n{'long ' * chance.randrange(500, 5000)}\r\nshort\r\n".encode()


def attachment(chance, head):
    size = 3_000_000 if chance.randrange(LARGE_EVERY) == 0 else chance.choice([100, 3000, 20_000])
    data = base64.encodebytes(chance.randbytes(size)).decode().replace("\n", "\r\n")
    return (
        f'{head}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b=_1"\r\n\r\npreamble\r\n--b=_1\r\n'
        f"Content-Type: text/html; charset=gb2312\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C4=E3=BA=C3 .=\r\n.</p>\r\n"
        f"--b=_1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n filename*0*=UTF-8''%E6%96%87;\r\n filename*1*=%E4%BB%B6.bin\r\n\r\n{data}--b=_1--\r\nepilogue\r\n"
    ).encode()


def nested(chance, head):
    inner = f"{HEAD.format(minute=1)}Subject: inside\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n\r\na\r\n--in\r\nContent-Type: text/html\r\n\r\nb\r\n--in--\r\n"
    return f"{head}Content-Type: multipart/digest; boundary=out\r\n\r\n--out\r\n\r\n{inner}\r\n--out\r\nContent-Type: message/rfc822\r\n\r\n{inner}--out--\r\n".encode()


def unclosed(chance, head):
    return f"{head}Content-Type: multipart/mixed; boundary=never\r\n\r\n--never\r\nContent-Type: multipart/mixed; boundary=\"never\"\r\n\r\n--never\r\nContent-Type: text/plain; charset=x-unknown\r\nContent-Transfer-Encoding: base64\r\n\r\n!!not*base64\r\n".encode()


def ugly_header(chance, head):
    return (
        f"{head}Date: yesterday\r\nFrom: \"unclosed <a@b\r\nTo: (((, ;;<>@\r\nno colon here\r\nSubject:\r\nSubject: =?utf-8?q?broken\r\n"
        f"Content-Type: text\r\nMessage-ID: <{'x' * 900}>\r\nReferences: none\r\n folded\r\n\t \r\n more\r\n: empty name\r\n\r\nbody\r\n"
    ).encode()


def header_only(chance, head):
    return f"{head}Subject: nothing below\r\n".encode()


def no_body(chance, head):
    return f"{head}Subject: an empty line, then nothing\r\n\r\n".encode()


def many_recipients(chance, head):
    people = ",\r\n\t".join(f'"Person {n}, \\"x\\"" <p{n}@far.test>' for n in range(chance.randrange(5, 300)))
    return f"{head}Cc: {people}\r\nSubject: to all\r\n\r\n{lines(chance, 3)}".encode()


KINDS = [plain, plain, plain, plain, attachment, plain, dots, eight_bit, plain, long_lines, attachment, nested]
KINDS += [plain, unclosed, ugly_header, header_only, plain, no_body, many_recipients]


@functools.lru_cache(500)
def message(serial):
    """The message as a client sees it: CRLF, no dots added, a line end at its end."""
    chance = random.Random(serial)
    # The same Message-ID is on two messages now and then.
    head = TRACE.format(serial=serial) + HEAD.format(minute=serial % 60)
    head += f"X-Serial: {serial}\r\nMessage-ID: <{serial - serial % 50 // 49}@far.test>\r\n"
    kind = KINDS[serial % len(KINDS)]
    if kind is plain:
        head += f"Subject: =?UTF-8?Q?No=2E_{serial}?= {chance.choice(WORDS[:3])}\r\n"
    return kind(chance, head)


def as_file(serial):
    """The message as XMail may have stored it: dots added, lines ending in LF, CRLF or both, perhaps without a last one."""
    text = message(serial).replace(b"\r\n.", b"\r\n..")
    if serial % 3 == 0:
        text = text.replace(b"\r\n", b"\n")
    elif serial % 3 == 1:
        first, rest = text.split(b"\r\n\r\n", 1) if b"\r\n\r\n" in text else (text, b"")
        text = first.replace(b"\r\n", b"\n") + (b"\n\r\n" + rest if b"\r\n\r\n" in text else b"")
    if serial % 11 == 0 and not text.endswith((b"\n\n", b"\r\n\r\n", b"\n\r\n")):
        text = text.removesuffix(b"\n").removesuffix(b"\r")
    return text


def serial_of(text):
    """None for a message that is not ours."""
    mark = text.find(b"X-Serial: ")
    if mark < 0:
        return None
    digits = text[mark + 10 : mark + 30].split(b"\r")[0].split(b"\n")[0]
    return int(digits) if digits.isdigit() else None


def fit(serials, without):
    """The serials whose messages are of none of these kinds."""
    return [serial for serial in serials if KINDS[serial % len(KINDS)] not in without]


def first(count, without):
    """So many serials of them."""
    return fit(range(2 * count), without)[:count]
