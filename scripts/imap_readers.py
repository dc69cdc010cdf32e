"""curl, mutt, imaplib and imapclient against the server: what scripts/imap-clients does with programs that fetch and file."""

import collections
import importlib
import os
import pathlib
import poplib
import pty
import re
import shutil
import subprocess
import threading
import time
import urllib.parse

import imap_mail
from imap_served import DOMAIN, PASSWORD, ImapServer, Line, Stopwatch, Wrong, demand, fetched, quoted, same, texts, utf7
from imap_syncers import LATE_SERIALS, LOCAL_SERIALS, as_crlf, maildir_files
from served import make_maildir

PROGRAM_SECS = 1800
# Within this a waiting client has heard of a change (issue 6).
HEARD_SECS = 1.0
# A second round may cost so many octets for each message; the mail itself is some thousands.
AGAIN_OCTETS = 120


class Reader:
    """One user's mail and a line to it; over TLS octets are counted, without it bodies."""

    tls = True

    def __init__(self, server, work, count):
        self.server, self.count, self.user = server, count, type(self).__name__.lower()
        self.work = pathlib.Path(work) / self.user
        self.work.mkdir()
        server.fill(self.user, count)
        self.line = Line(server.imaps_port if self.tls else server.imap_port, readable=not self.tls)

    def report(self, what, watch, said=""):
        counted = self.line.count()
        octets = f"{counted.received / 1e6:.2f} MB down, {counted.sent / 1e6:.2f} MB up" if self.tls else str(counted)
        print(f"  {self.user}: {what}: {watch}, {octets}{said and '; ' + said}", flush=True)
        return counted

    def nothing(self, what, watch, messages):
        counted = self.report(what, watch)
        demand(counted.bodies == 0 and counted.received < AGAIN_OCTETS * messages + 50_000, f"{what}: that is a download")


class Curl(Reader):
    def url(self, folder="", rest=""):
        return f"imaps://127.0.0.1:{self.line.port}/{urllib.parse.quote(utf7(folder))}{rest}"

    def curl(self, *words):
        command = ["curl", "--silent", "--show-error", "--insecure", "--user", f"{self.user}@{DOMAIN}:{PASSWORD}", *words]
        done = subprocess.run(command, capture_output=True, timeout=PROGRAM_SECS)
        demand(done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout

    def uids(self, folder):
        told = self.curl(self.url(folder), "--request", "UID SEARCH ALL")
        return [int(word) for word in told.split()[2:]]

    def sync(self, folders):
        """Fetches what is not there yet, with one connection."""
        wanted = []
        for name in folders:
            directory = self.work / utf7(name).replace("/", ".")
            directory.mkdir(exist_ok=True)
            here = {int(file.name) for file in directory.iterdir()}
            wanted += [(self.url(name, f";UID={uid}"), directory / str(uid)) for uid in self.uids(name) if uid not in here]
        if wanted:
            lines = "".join(f'url = "{url}"\noutput = "{file}"\n' for url, file in wanted)
            (self.work / "curlrc").write_text(lines)
            self.curl("--config", str(self.work / "curlrc"))
        return len(wanted)

    def compare(self, folders, what):
        total = 0
        for name, messages in self.server.view(self.user, folders).items():
            directory = self.work / utf7(name).replace("/", ".")
            for uid, (_, text) in messages.items():
                demand((directory / str(uid)).read_bytes() == text, f"{what}: {name}: UID {uid} differs")
            same(self.server.on_disk(self.user, name), texts(messages), f"files of {name}")
            total += len(messages)
        print(f"  curl: {what}: {total} messages in {len(folders)} folders are equal", flush=True)
        return total

    def run(self):
        listed = self.curl(self.url()).decode()
        folders = self.server.folders(self.server.connect(self.user))
        demand(all(quoted(name) in listed or f'"/" {utf7(name)}' in listed for name in folders), f"LIST: {listed}")
        watch = Stopwatch()
        self.report(f"first sync, {self.sync(folders)} messages fetched", watch)
        total = self.compare(folders, "after the first sync")
        watch = Stopwatch()
        demand(self.sync(folders) == 0, "the second sync fetched again")
        self.nothing("second sync", watch, self.count)
        self.change()
        watch = Stopwatch()
        fresh = self.sync(folders)
        self.report(f"after changes, {fresh} messages fetched", watch)
        demand(fresh == 80, f"fetched {fresh}, not 80")
        self.compare(folders, "after changes")
        self.requests()
        return total

    def change(self):
        """40 messages up, 40 delivered."""
        words = []
        for serial in range(LOCAL_SERIALS, LOCAL_SERIALS + 40):
            file = self.work / f"up-{serial}"
            file.write_bytes(imap_mail.message(serial))
            words += ["--upload-file", str(file), self.url("INBOX")]
        watch = Stopwatch()
        self.curl(*words)
        self.report("40 messages up", watch)
        self.server.drop(self.user, range(LATE_SERIALS, LATE_SERIALS + 40))
        inbox = texts(self.server.view(self.user, ["INBOX"])["INBOX"])
        demand(all(inbox[imap_mail.message(serial)] for serial in range(LOCAL_SERIALS, LOCAL_SERIALS + 40)), "what was sent up differs")

    def requests(self):
        def asked(request, folder="INBOX"):
            return self.curl(self.url(folder), "--request", request)

        demand(b"\\Flagged" in asked("STORE 1 +FLAGS (\\Flagged)"), "STORE")
        demand(b"* STATUS INBOX (MESSAGES" in self.curl(self.url(), "--request", "STATUS INBOX (MESSAGES UIDNEXT SIZE)"), "STATUS")
        demand(b"CAPABILITY" in self.curl(self.url(), "--request", "CAPABILITY"), "CAPABILITY")
        found = self.curl(self.url("INBOX", "?HEADER%20X-SERIAL%20" + str(LATE_SERIALS))).split()
        demand(len(found) >= 3, f"SEARCH: {found}")
        head = self.curl(self.url("INBOX", ";UID=1;SECTION=HEADER.FIELDS%20(X-SERIAL)"))
        demand(head.startswith(b"X-Serial: "), f"SECTION: {head}")
        whole = self.curl(self.url("INBOX", ";UID=1"))
        demand(self.curl(self.url("INBOX", ";UID=1;SECTION=TEXT")) == whole.split(b"\r\n\r\n", 1)[1], "SECTION=TEXT")
        asked(f"UID MOVE 1 {quoted('工作')}")
        demand(1 not in self.uids("INBOX"), "MOVE")
        asked("UID STORE 2 +FLAGS.SILENT (\\Deleted)")
        demand(b"EXPUNGE" in asked("EXPUNGE") and 2 not in self.uids("INBOX"), "EXPUNGE")
        starttls = self.curl("--ssl-reqd", f"imap://127.0.0.1:{self.server.imap_port}/INBOX", "--request", "UID SEARCH 1:3")
        demand(starttls.startswith(b"* SEARCH "), "STARTTLS")
        print("  curl: SEARCH, STORE, STATUS, MOVE, EXPUNGE, SECTION, STARTTLS: as expected", flush=True)


MUTTRC = """
set folder="imaps://127.0.0.1:{port}/" spoolfile="+INBOX" imap_user="{user}" imap_pass="{password}"
set certificate_file="{certificate}" ssl_verify_host=no
set header_cache="{work}/headers" message_cachedir="{work}/bodies" message_cache_clean=no
set mbox_type=Maildir copy=no confirmappend=no confirmcreate=no delete=yes move=no quit=yes wait_key=no mark_old=no
set sort=mailbox-order sleep_time=0 imap_qresync=yes imap_condstore=yes beep=no delete_untag=no
set maildir_trash=no postponed="{work}/postponed" record="" resolve=no
"""


# Mutt writes these into every copy.
LENGTHS = re.compile(rb"^(?:Content-Length|Lines|Status): [\dRO]+\r\n", re.MULTILINE)


class Mutt(Reader):
    def __init__(self, server, work, count):
        super().__init__(server, work, count)
        values = dict(port=self.line.port, user=f"{self.user}@{DOMAIN}", password=PASSWORD)
        (self.work / "muttrc").write_text(MUTTRC.format(work=self.work, certificate=server.certificate, **values))
        for name in ("headers", "bodies"):
            (self.work / name).mkdir()

    def mutt(self, mailbox, keys):
        """Types the keys into mutt on a terminal of its own, and waits for its end."""
        command = ["mutt", "-n", "-F", str(self.work / "muttrc"), "-f", mailbox, "-e", f'push "{keys}"']
        child, terminal = pty.fork()
        if child == 0:
            os.environ.update(TERM="xterm", HOME=str(self.work), LANG="C.UTF-8", LINES="24", COLUMNS="80")
            os.execvp(command[0], command)
        said = []
        reader = threading.Thread(target=read_all, args=(terminal, said), daemon=True)
        reader.start()
        watch, until = Stopwatch(), time.monotonic() + PROGRAM_SECS
        while time.monotonic() < until:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                demand(status == 0, f"mutt ended with {status}: {b''.join(said)[-800:]}")
                return watch
            time.sleep(0.01)
        os.kill(child, 9)
        os.waitpid(child, 0)
        raise Wrong(f"mutt did not end: {b''.join(said)[-2000:]}")

    def remote(self, folder):
        return f"imaps://127.0.0.1:{self.line.port}/{folder}"

    def copy_all(self, mailbox, target):
        return self.mutt(mailbox, f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{target}<enter><exit>")

    def compare(self, directory, folder, what):
        found = collections.Counter(as_copied(as_crlf(file.read_bytes())) for file in maildir_files(directory))
        wanted = texts(self.server.view(self.user, [folder])[folder])
        same(found, collections.Counter(as_copied(text) for text in wanted.elements()), what)
        if not directory.name.startswith("from"):
            # What was fetched, before mutt wrote it anew.
            cached = collections.Counter(as_crlf(file.read_bytes()) for file in (self.work / "bodies").rglob("*") if file.is_file())
            demand(not wanted.keys() - cached.keys(), f"{what}: the cache of mutt lacks or changes {len(wanted - cached)}")
        same(self.server.on_disk(self.user, folder), wanted, f"files of {folder}")
        print(f"  mutt: {what}: {sum(found.values())} messages are equal", flush=True)

    def run(self):
        for nth, folder in enumerate(("INBOX", "工作/项目 二")):
            size = self.count if folder == "INBOX" else max(self.count // 100, 5)
            for again in (False, True):
                target = self.work / f"copy-{nth}-{again}"
                watch = self.copy_all(self.remote(folder), target)
                if again:
                    self.nothing(f"{folder} a second time", watch, size)
                else:
                    self.report(f"{folder} copied", watch)
                self.compare(target, folder, f"{folder}, {'second' if again else 'first'} copy")
        self.upload()
        self.change()
        return self.count

    def upload(self):
        box = self.work / "from-here"
        make_maildir(box)
        for serial in range(LOCAL_SERIALS, LOCAL_SERIALS + 60):
            (box / "cur" / f"1795433000.{serial}.script:2,S").write_bytes(imap_mail.message(serial).replace(b"\r\n", b"\n"))
        watch = self.copy_all(str(box), self.remote("FromMutt"))
        self.report("60 messages up", watch)
        self.compare(box, "FromMutt", "uploaded")

    def change(self):
        """Flags and removals, while mail is delivered."""
        self.server.drop(self.user, range(LATE_SERIALS, LATE_SERIALS + 40))
        keys = "<untag-pattern>~A<enter><tag-pattern>~m 1-10<enter><tag-prefix><set-flag>!<untag-pattern>~A<enter><delete-pattern>~m 11-20<enter><sync-mailbox><exit>"
        before = self.server.view(self.user, ["INBOX"])["INBOX"]
        self.report("flags and removals", self.mutt(self.remote("INBOX"), keys))
        after = self.server.view(self.user, ["INBOX"])["INBOX"]
        uids = sorted(before)
        demand(not set(uids[10:20]) & set(after) and len(after) == len(before) - 10, "removals of mutt")
        demand(all("\\Flagged" in after[uid][0] for uid in uids[:10]), "flags of mutt")
        watch = self.copy_all(self.remote("INBOX"), self.work / "copy-last")
        self.report("INBOX copied with 40 new", watch)
        self.compare(self.work / "copy-last", "INBOX", "INBOX, third copy")


def as_copied(text):
    """Mutt ends a header with an empty line, where the first line stands that is no header field."""
    text, at = LENGTHS.sub(b"", text), 0
    for line in text.split(b"\r\n")[:-1]:
        if not line:
            return text
        if not re.match(rb"[ \t]|[!-9;-~]+:", line):
            break
        at += len(line) + 2
    return text[:at] + b"\r\n" + text[at:]


def read_all(terminal, said):
    try:
        while piece := os.read(terminal, 65536):
            said.append(piece)
    except OSError:
        pass


class Imaplib(Reader):
    """Keeps a copy as a client with QRESYNC does."""

    tls = False

    def __init__(self, server, work, count):
        super().__init__(server, work, count)
        self.known = {}

    def connect(self):
        link = ImapServer.connect.__get__(_Through(self.line.port))(self.user)
        demand(link.enable("QRESYNC")[0] == "OK", "ENABLE")
        return link

    def sync(self):
        """Folder -> (UIDVALIDITY, HIGHESTMODSEQ, UID -> (flags, text)); returns how many messages changed."""
        link, changes = self.connect(), 0
        for name in self.server.folders(link):
            validity, modseq, messages = self.known.get(name, (None, None, {}))
            link.untagged_responses = {}
            known = [f"(QRESYNC ({validity} {modseq}))"] if validity else []
            demand(link._simple_command("SELECT", quoted(name), *known)[0] == "OK", f"SELECT {name}")
            link.state = "SELECTED"
            told = link.untagged_responses
            demand(validity in (None, told["UIDVALIDITY"][0].decode()), "UIDVALIDITY has changed")
            validity, modseq = (told[code][0].decode() for code in ("UIDVALIDITY", "HIGHESTMODSEQ"))
            for row in told.get("VANISHED", []):
                for uid in numbers(row.split()[-1].decode()):
                    changes += messages.pop(uid, None) is not None
            for row in told.get("FETCH", []):
                uid = int(re.search(rb"UID (\d+)", row)[1])
                if uid in messages:
                    changes += 1
                    flags = re.search(rb"FLAGS \((.*?)\)", row)[1].decode().split()
                    messages[uid] = (frozenset(flags) - {"\\Recent"}, messages[uid][1])
            above = max(messages, default=0) + 1
            if above < int(told["UIDNEXT"][0]):
                fresh = dict(fetched(link, f"{above}:*", "(UID FLAGS BODY.PEEK[])"))
                changes += len(fresh)
                messages.update(fresh)
            self.known[name] = (validity, modseq, messages)
        link.logout()
        return changes

    def compare(self, what):
        seen = self.server.view(self.user)
        here = {name: messages for name, (_, _, messages) in self.known.items()}
        demand(set(seen) == set(here), f"{what}: folders")
        for name, messages in seen.items():
            demand(messages == here[name], f"{what}: {name} differs")
            same(self.server.on_disk(self.user, name), texts(messages), f"files of {name}")
        total = sum(map(len, here.values()))
        print(f"  imaplib: {what}: {total} messages in {len(here)} folders are equal, flags too", flush=True)
        return total

    def change(self):
        self.server.drop(self.user, range(LATE_SERIALS, LATE_SERIALS + 40))
        link = self.connect()
        demand(link.select("INBOX")[0] == "OK", "SELECT")
        demand(link.store("1:20", "+FLAGS", "(\\Seen $Label1)")[0] == "OK", "STORE")
        uids = link.uid("SEARCH", "1:60")[1][0].decode().split()
        demand(link.uid("MOVE", ",".join(uids[20:30]), quoted("工作"))[0] == "OK", "MOVE")
        demand(link.uid("STORE", ",".join(uids[30:40]), "+FLAGS.SILENT", "\\Deleted")[0] == "OK", "STORE")
        demand(link.expunge()[0] == "OK", "EXPUNGE")
        for serial in range(LOCAL_SERIALS, LOCAL_SERIALS + 40):
            answer = link.append(quoted("Größe"), "(\\Seen Privat)", None, imap_mail.message(serial))
            demand(answer[0] == "OK" and b"APPENDUID" in answer[1][0], f"APPEND: {answer}")
        link.logout()
        with_pop3(self.server, self.user, 5)

    def run(self):
        watch = Stopwatch()
        self.sync()
        self.report("first sync", watch)
        total = self.compare("after the first sync")
        watch = Stopwatch()
        demand(self.sync() == 0, "the second sync found changes")
        self.nothing("second sync, QRESYNC", watch, 1)
        self.change()
        self.line.count()
        watch = Stopwatch()
        changes = self.sync()
        self.report(f"after changes of others, {changes} found", watch)
        self.compare("after changes of others")
        self.without_last_line_end()
        self.copied()
        return total

    def without_last_line_end(self):
        link = self.connect()
        text = b"Subject: no end\r\n\r\nlast"
        link.append("INBOX", None, None, text)
        link.select("INBOX")
        told = link.fetch("*", "(BODY.PEEK[] RFC822.SIZE)")[1][0]
        demand(told[1] in (text, text + b"\r\n") and b"RFC822.SIZE %d" % len(told[1]) in b"%s" % told[0] + link.fetch("*", "RFC822.SIZE")[1][0], f"{told}")
        print(f"  imaplib: a message without a last line end comes back {'as it was' if told[1] == text else 'with one'}", flush=True)
        link.logout()

    def copied(self):
        """The MailRoot as it is, but without caches, under another server."""
        wanted = self.server.view(self.user)
        link = self.server.connect(self.user)
        listed, subscribed = sorted(link.list()[1]), sorted(link.lsub()[1])
        link.logout()
        other = ImapServer(self.server.program, self.work)
        shutil.rmtree(other.root)
        shutil.copytree(self.server.root, other.root, ignore=shutil.ignore_patterns("imapcache", "*.pid", "*.sock"))
        other.start()
        try:
            found = other.view(self.user)
            for name, messages in wanted.items():
                demand(collections.Counter(found[name].values()) == collections.Counter(messages.values()), f"copy: {name} differs")
            link = other.connect(self.user)
            demand((sorted(link.list()[1]), sorted(link.lsub()[1])) == (listed, subscribed), "copy: LIST or LSUB differs")
            link.logout()
        finally:
            other.stop()
        print(f"  imaplib: copy of the MailRoot without caches: {sum(map(len, found.values()))} messages, flags, folders are equal", flush=True)


class _Through:
    """What ImapServer.connect needs, with the port of a line."""

    def __init__(self, port):
        self.imap_port = port


def numbers(text):
    """The UIDs of a set."""
    for part in text.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


def with_pop3(server, user, count):
    """Takes the first messages away with POP3, and checks them."""
    link = poplib.POP3("127.0.0.1", server.pop3_port, timeout=60)
    link.user(f"{user}@{DOMAIN}")
    link.pass_(PASSWORD)
    for number in range(1, count + 1):
        lines = link.retr(number)[1]
        text = b"\r\n".join(lines) + b"\r\n"
        serial = imap_mail.serial_of(text)
        demand(serial is None or text == imap_mail.message(serial), f"POP3: {serial} differs")
        link.dele(number)
    link.quit()


class Imapclient(Reader):
    def connect(self):
        library = importlib.import_module("imapclient")
        link = library.IMAPClient("127.0.0.1", self.line.port, ssl_context=self.server.trusted(), timeout=120)
        link.login(f"{self.user}@{DOMAIN}", PASSWORD)
        return link

    def fetch_all(self, link, uids):
        found = {}
        for at in range(0, len(uids), 500):
            for uid, data in link.fetch(uids[at : at + 500], ["BODY.PEEK[]", "FLAGS", "INTERNALDATE"]).items():
                flags = frozenset(flag.decode() for flag in data[b"FLAGS"]) - {"\\Recent"}
                found[uid] = (flags, data[b"BODY[]"])
        return found

    def run(self):
        link = self.connect()
        names = [name for _, _, name in link.list_folders()]
        demand(sorted(names) == sorted(self.server.folders(self.server.connect(self.user))), f"LIST: {names}")
        watch, here, modseqs = Stopwatch(), {}, {}
        for name in names:
            modseqs[name] = link.select_folder(name)[b"HIGHESTMODSEQ"]
            here[name] = self.fetch_all(link, link.search())
        self.report("first sync", watch)
        total = self.compare(here, "after the first sync")
        watch = Stopwatch()
        for name in names:
            demand(link.select_folder(name)[b"HIGHESTMODSEQ"] == modseqs[name], "HIGHESTMODSEQ")
            demand(set(link.search()) == set(here[name]), "SEARCH")
            demand(not link.fetch(link.search(), ["FLAGS"], [f"CHANGEDSINCE {modseqs[name]}"]), "CHANGEDSINCE")
        self.nothing("second sync, CONDSTORE", watch, self.count)
        self.commands(link, here)
        link.logout()
        link = self.connect()
        self.idle(link)
        link.logout()
        return total

    def compare(self, here, what):
        seen = self.server.view(self.user)
        demand(seen == here, f"{what}: differs in {[name for name in seen if seen[name] != here.get(name)]}")
        print(f"  imapclient: {what}: {sum(map(len, here.values()))} messages in {len(here)} folders are equal", flush=True)
        return sum(map(len, here.values()))

    def commands(self, link, here):
        """Both ways: messages up one by one and many at once, moved, copied, flagged, removed; what others did fetched."""
        link.select_folder("INBOX")
        for serial in range(LOCAL_SERIALS, LOCAL_SERIALS + 20):
            link.append("INBOX", imap_mail.message(serial), flags=["\\Seen", "$Label1"])
        many = [imap_mail.message(serial) for serial in range(LOCAL_SERIALS + 20, LOCAL_SERIALS + 40)]
        demand(link.multiappend("工作", many)[0] == "OK", "MULTIAPPEND")
        uids = link.search(["UID", "1:100"])
        link.move(uids[:10], "R&D v.2")
        link.create_folder("新建")
        link.copy(uids[10:20], "新建")
        link.add_flags(uids[20:30], ["\\Answered", "Neu"])
        link.delete_messages(uids[30:40])
        link.expunge(uids[30:40])
        for kind in ("REVERSE DATE", "SUBJECT", "SIZE"):
            demand(len(link.sort([kind])) == len(link.search()), f"SORT {kind}")
        demand(sum(1 for thread in link.thread("REFERENCES") for _ in flat(thread)) == len(link.search()), "THREAD")
        for word in ("邮件", "письмо"):
            wanted = self.server.view(self.user, ["INBOX"])["INBOX"]
            found = set(link.search(["BODY", word], "UTF-8"))
            plain = {uid for uid, (_, text) in wanted.items() if b"text/plain; charset=utf-8" in text and word.encode() in text.partition(b"\r\n\r\n")[2]}
            demand(plain <= found, f"SEARCH {word}: {len(plain - found)} are not found")
        here = {}
        for _, _, name in link.list_folders():
            link.select_folder(name)
            here[name] = self.fetch_all(link, link.search())
        self.compare(here, "after APPEND, MULTIAPPEND, MOVE, COPY, STORE, EXPUNGE")

    def idle(self, link):
        link.select_folder("INBOX")
        count = len(link.search())
        waits = {}
        link.idle()
        with self.server.session() as smtp:
            smtp.sendmail("a@far.test", [f"{self.user}@{DOMAIN}"], b"Subject: idle\r\n\r\nby SMTP\r\n")
            waits["SMTP"] = heard(link, f"{count + 1} EXISTS")
        self.server.drop(self.user, [LATE_SERIALS])
        waits["a file dropped into new"] = heard(link, f"{count + 2} EXISTS")
        name = next(file for file in self.server.inbox(self.user).iterdir() if f"{LATE_SERIALS}." in file.name)
        name.unlink()
        waits["a file removed"] = heard(link, f"{count + 2} EXPUNGE")
        other = self.server.connect(self.user)
        other.select("INBOX")
        other.store("3", "+FLAGS", "Neuer")
        waits["STORE of another"] = heard(link, "3 FETCH")
        other.append("INBOX", None, None, imap_mail.message(LATE_SERIALS + 1))
        waits["APPEND of another"] = heard(link, f"{count + 2} EXISTS")
        with_pop3(self.server, self.user, 1)
        waits["DELE with POP3"] = heard(link, "EXPUNGE")
        link.idle_done()
        other.logout()
        demand(len(link.search()) == count + 1, "SEARCH after IDLE")
        told = ", ".join(f"{what} {wait * 1000:.0f} ms" for what, wait in waits.items())
        print(f"  imapclient: IDLE heard of {told}", flush=True)


def heard(link, wanted):
    """Seconds until the waiting client was told."""
    begun, told = time.monotonic(), []
    while time.monotonic() - begun < HEARD_SECS * 5:
        for row in link.idle_check(timeout=HEARD_SECS * 5):
            told.append(" ".join(part.decode() if isinstance(part, bytes) else str(part) for part in row))
        if any(wanted in row for row in told):
            waited = time.monotonic() - begun
            demand(waited <= HEARD_SECS, f"IDLE: {wanted} came after {waited:.1f} s")
            return waited
    raise Wrong(f"IDLE: {wanted} did not come, but {told}")


def flat(thread):
    for part in thread:
        if isinstance(part, tuple):
            yield from flat(part)
        else:
            yield part
