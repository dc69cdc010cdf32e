"""The server that scripts/imap-clients works with: accounts full of mail, what is in them, and a line that counts."""

import base64
import collections
import contextlib
import imaplib
import os
import re
import socket
import ssl
import threading
import time

import imap_mail
import served
from served import DOMAIN

PASSWORD = "imap-pw"
# Folder -> its special use. One more level, letters that modified UTF-7 changes, and a dot, which Maildir++ splits at.
FOLDERS = {"Sent": "\\Sent", "Drafts": "\\Drafts", "工作": None, "工作/项目 二": None, "R&D v.2": None, "Größe": None}
KEYWORDS = ["$Forwarded", "$Label1", "NonJunk", "Privat"]
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"]
CHUNK_MESSAGES = 500
# Serials of mail in folders start here, those that clients add further up.
FOLDER_SERIALS = 1_000_000
# imaplib's own is too short for a line of 10,000 numbers.
imaplib._MAXLINE = 10_000_000


class Wrong(Exception):
    """What should be is not."""


def demand(is_right, what):
    if not is_right:
        raise Wrong(what)


def utf7(name):
    """Modified UTF-7 (RFC 3501 section 5.1.3)."""

    def coded(found):
        return "&" + base64.b64encode(found[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"

    return re.sub("[^\x20-\x7e]+", coded, name.replace("&", "&-"))


def from_utf7(name):
    def decoded(found):
        packed = found[1].replace(",", "/")
        return base64.b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-16-be") if packed else "&"

    return re.sub("&([^-]*)-", decoded, name)


def quoted(name):
    return '"' + utf7(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


class ImapServer(served.Server):
    def __init__(self, program, work):
        self.imap_port, self.imaps_port, self.pop3_port = served.free_ports(3)
        ports = ["-II", f"127.0.0.1:{self.imap_port}", "-JI", f"127.0.0.1:{self.imaps_port}", "-PI", f"127.0.0.1:{self.pop3_port}"]
        super().__init__(program, work, ports, ["-F-", "-Y-"])
        self.certificate = self.root / "server.cert"

    def command(self):
        return [word for word in super().command() if word not in ("-I-", "-J-")]

    def start(self):
        secs = super().start()
        self.connect(None).shutdown()
        with socket.create_connection(("127.0.0.1", self.imaps_port)) as plain:
            with self.trusted().wrap_socket(plain) as tls:
                demand(tls.recv(4) == b"* OK", "IMAPS does not greet")
        return secs

    def connect(self, user):
        """Without the counting line; for what the script itself looks at."""
        link = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=served.PATIENCE_SECS)
        if user:
            link.login(f"{user}@{DOMAIN}", PASSWORD)
        return link

    def trusted(self):
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    def drop(self, user, serials):
        """Puts mail into the mailbox as XMail does: under `tmp`, then renamed."""
        new = self.inbox(user)
        for serial in serials:
            temporary = new.parent / "tmp" / f"1795432000{serial:07}.1.script.test"
            temporary.write_bytes(imap_mail.as_file(serial))
            os.utime(temporary, (1795000000 + serial % 400_000,) * 2)
            temporary.rename(new / temporary.name)

    def fill(self, user, count, without=()):
        """A user with `count` messages in the mailbox and some in folders; flags and keywords on many."""
        self.add_accounts([user], PASSWORD)
        self.drop(user, imap_mail.first(count, without))
        link = self.connect(user)
        for nth, (name, use) in enumerate(FOLDERS.items()):
            special = [f"(USE ({use}))"] if use else []
            demand(link._simple_command("CREATE", quoted(name), *special)[0] == "OK", f"CREATE {name}")
            link.subscribe(quoted(name))
            base = FOLDER_SERIALS * (nth + 1)
            for serial in imap_mail.fit(range(base, base + max(count // 100, 5)), without):
                flags = (*FLAGS, *KEYWORDS)[serial % 8 : serial % 8 + serial % 4]
                date = imaplib.Time2Internaldate(1700000000 + serial)
                answer = link.append(quoted(name), " ".join(flags), date, imap_mail.message(serial))
                demand(answer[0] == "OK", f"APPEND: {answer}")
        link.select("INBOX")
        for nth, flag in enumerate((*FLAGS, *KEYWORDS)):
            wanted = ",".join(str(uid) for uid in range(nth + 1, count + 1, nth + 3))
            demand(link.uid("STORE", wanted, "+FLAGS.SILENT", flag)[0] == "OK", "STORE")
        link.logout()

    def folders(self, link):
        names = [re.match(rb'\(.*?\) "/" "?(.*?)"?$', row)[1].decode() for row in link.list()[1]]
        return [from_utf7(name) for name in names]

    def view(self, user, folders=None):
        """Folder -> UID -> (flags, text), told by the server."""
        link = self.connect(user)
        seen = {}
        for name in folders or self.folders(link):
            demand(link.select(quoted(name), readonly=True)[0] == "OK", f"EXAMINE {name}")
            seen[name] = dict(fetched(link, "1:*", "(UID FLAGS BODY.PEEK[])"))
        link.logout()
        return seen

    def on_disk(self, user, folder="INBOX"):
        """The texts in the files, read without the server."""
        maildir = self.inbox(user).parent
        if folder != "INBOX":
            maildir /= "." + ".".join(utf7(level).replace(".", "&AC4-") for level in folder.split("/"))
        files = [file for part in ("new", "cur") for file in (maildir / part).iterdir()]
        return collections.Counter(as_sent(file.read_bytes()) for file in files if not file.name.startswith("."))


def as_sent(stored):
    """What clients get of a file: CRLF, without added dots, a line end at its end."""
    text = re.sub(rb"\r*\n", b"\r\n", stored)
    text = text if text.endswith(b"\r\n") else text + b"\r\n"
    return re.sub(rb"(?m)^\.\.", b".", text)


def fetched(link, which, items):
    """(UID, (flags, text)) of messages, some at a time."""
    uids = link.uid("SEARCH", "UID", which)[1][0].split()
    for at in range(0, len(uids), CHUNK_MESSAGES):
        chosen = b",".join(uids[at : at + CHUNK_MESSAGES]).decode()
        status, rows = link.uid("FETCH", chosen, items)
        demand(status == "OK", f"FETCH: {rows}")
        for row in rows:
            if isinstance(row, tuple):
                uid = int(re.search(rb"UID (\d+)", row[0])[1])
                flags = re.search(rb"FLAGS \((.*?)\)", row[0])[1].decode().split()
                yield uid, (frozenset(flags) - {"\\Recent"}, row[1])


def texts(messages):
    return collections.Counter(text for _, text in messages.values())


def same(found, wanted, where):
    """Both are Counters of texts."""
    if found == wanted:
        return
    for what, differing in (("not expected", found - wanted), ("missing", wanted - found)):
        for text in list(differing)[:3]:
            print(f"    {where}: {what}: serial {imap_mail.serial_of(text)}, {len(text)} octets, {text[:2000]!r}"[:700])
    raise Wrong(f"{where}: {sum((found - wanted).values())} not expected, {sum((wanted - found).values())} missing")


BODY = re.compile(rb"^\S+ (?:UID )?FETCH .*(?:BODY(?:\.PEEK)?\[\]|RFC822[ )\r]|RFC822\.PEEK)", re.IGNORECASE)
APPEND = re.compile(rb"^\S+ APPEND ", re.IGNORECASE)


class Line:
    """Stands between a client and the server, passes octets on and counts them; without TLS also commands."""

    def __init__(self, port, readable=True):
        self.target, self.readable = port, readable
        self.bodies = self.appends = self.received = self.sent = 0
        self.commands = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.join, args=(client,), daemon=True).start()

    def join(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.pass_on, args=(client, server, self.saw_client), daemon=True).start()
        self.pass_on(server, client, self.saw_server)

    def pass_on(self, source, target, saw):
        rest = b""
        with contextlib.suppress(OSError):
            while piece := source.recv(262144):
                target.sendall(piece)
                rest = saw(rest, piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def saw_server(self, _, piece):
        self.received += len(piece)
        return b""

    def saw_client(self, rest, piece):
        self.sent += len(piece)
        if not self.readable:
            return b""
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            self.commands.append(line[:200])
            self.bodies += bool(BODY.match(line))
            self.appends += bool(APPEND.match(line))
        return rest[:100_000]

    def count(self):
        """What was counted since the last time."""
        counted = Counted(self.bodies, self.appends, self.received, self.sent)
        self.bodies = self.appends = self.received = self.sent = 0
        return counted

    def close(self):
        self.listener.close()


class Counted(collections.namedtuple("Counted", "bodies appends received sent")):
    def __str__(self):
        commands = f"{self.bodies} FETCH of bodies, {self.appends} APPEND, "
        return f"{commands}{self.received / 1e6:.2f} MB down, {self.sent / 1e6:.2f} MB up"


class Stopwatch:
    def __init__(self):
        self.begun = time.monotonic()

    def __str__(self):
        return f"{time.monotonic() - self.begun:.1f} s"
