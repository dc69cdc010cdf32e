"""mbsync and offlineimap against the server: what scripts/imap-clients does with programs that keep Maildirs in step."""

import collections
import email.parser
import email.policy
import functools
import hashlib
import pathlib
import re
import ssl
import subprocess
import time

import imap_mail
from imap_served import DOMAIN, PASSWORD, Line, Stopwatch, demand, from_utf7, quoted, same, texts
from served import make_maildir

# Maildir's letters, as far as both sides have them.
LETTERS = {"F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "D": "\\Draft", "T": "\\Deleted"}
# What clients write themselves into mail they upload or download, to find it again.
MARKS = re.compile(rb"^(?:X-TUID|X-OfflineIMAP): [^\r\n]*\r\n", re.MULTILINE)
MBSYNC_SECS = 1800
# Serials of mail that begins its life at the client.
LOCAL_SERIALS, LATE_SERIALS = 20_000_000, 30_000_000


def maildir_files(directory):
    return [file for part in ("new", "cur") for file in (directory / part).iterdir()]


def boxes_below(directory):
    """Folder -> Maildir."""
    return {from_utf7(str(cur.parent.relative_to(directory))): cur.parent for cur in directory.glob("**/cur")}


def local_flags(name):
    letters = name.rsplit(":2,", 1)[1] if ":2," in name else ""
    return frozenset(LETTERS[letter] for letter in letters if letter in LETTERS)


def as_crlf(text):
    return MARKS.sub(b"", re.sub(rb"\r*\n", b"\r\n", text))


class Syncer:
    """One user's mail, the line to it, and Maildirs below `self.boxes`."""

    # Kinds of mail that the client cannot take.
    without = ()

    def __init__(self, server, work, count, user):
        self.server, self.count, self.user = server, count, user
        self.work = pathlib.Path(work) / user
        self.boxes = self.work / "boxes"
        self.boxes.mkdir(parents=True)
        server.fill(user, count, self.without)
        self.line = Line(server.imap_port)

    def run_program(self, command, may_fail=False):
        watch = Stopwatch()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=MBSYNC_SECS, env=self.environment())
        (self.work / "output").open("a").write(f"$ {command}\n{done.stdout}\n{done.stderr}\n")
        if not may_fail:
            demand(done.returncode == 0, f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
        return done, watch

    def environment(self):
        return {"HOME": str(self.work), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

    def report(self, what, watch, said=""):
        counted = self.line.count()
        print(f"  {self.user}: {what}: {watch}, {counted}{said and '; ' + said}", flush=True)
        return counted

    def local(self):
        """Folder -> Counter of texts, and folder -> serial -> flags."""
        found, flags = {}, {}
        for name, directory in self.local_folders().items():
            found[name], flags[name] = collections.Counter(), collections.defaultdict(list)
            for file in maildir_files(directory):
                text = as_crlf(file.read_bytes())
                found[name][text] += 1
                flags[name][imap_mail.serial_of(text)].append(local_flags(file.name))
        return found, flags

    def compare(self, what):
        """Both sides are the same: folders, texts byte by byte, and system flags."""
        remote = self.server.view(self.user)
        found, flags = self.local()
        demand(set(found) == set(remote), f"{what}: folders {sorted(found)}, server {sorted(remote)}")
        for name, messages in remote.items():
            wanted = collections.Counter(self.expected(text) for text in texts(messages).elements())
            same(found[name], wanted, f"{what}: {name}")
            same(self.server.on_disk(self.user, name), texts(messages), f"{what}: files of {name}")
            told = collections.defaultdict(list)
            for set_flags, text in messages.values():
                told[imap_mail.serial_of(text)].append(frozenset(set_flags & set(LETTERS.values())))
            for serial, some in told.items():
                here = flags[name][serial]
                demand(collections.Counter(here) == collections.Counter(some), f"{what}: {name}: flags of {serial}: {here}, server {some}")
        total = sum(map(len, remote.values()))
        rewritten = sum(self.expected(text) != MARKS.sub(b"", text) for messages in remote.values() for _, text in messages.values())
        but = f", but {rewritten} as the client rewrites them" if rewritten else ""
        print(f"  {self.user}: {what}: {total} messages in {len(remote)} folders are equal{but}", flush=True)

    def expected(self, text):
        """What the client makes of a text."""
        return MARKS.sub(b"", text)

    def add_local(self, folder, serials, flags=""):
        directory = self.local_folders()[folder]
        for serial in imap_mail.fit(serials, self.without):
            if self.expected(imap_mail.message(serial)) != imap_mail.message(serial):
                continue
            name = f"1795433000.{serial}.script" + (f":2,{flags}" if flags else "")
            (directory / ("cur" if flags else "new") / name).write_bytes(imap_mail.message(serial).replace(b"\r\n", b"\n"))

    def change_local(self):
        """New mail, flags, removals and a folder at the client."""
        inbox = self.local_folders()["INBOX"]
        self.add_local("INBOX", range(LOCAL_SERIALS, LOCAL_SERIALS + 40))
        self.add_local("工作", range(LOCAL_SERIALS + 40, LOCAL_SERIALS + 60), "FS")
        by_serial = {imap_mail.serial_of(file.read_bytes()): file for file in maildir_files(inbox)}
        for serial in [one for one in range(10, 40) if one in by_serial]:
            self.set_letters(by_serial[serial], "FS")
        for serial in [one for one in range(50, 60) if one in by_serial]:
            self.set_letters(by_serial[serial], "ST")
        make_maildir(self.boxes / "FromHere")
        self.add_local("FromHere", range(LOCAL_SERIALS + 60, LOCAL_SERIALS + 70), "S")

    def set_letters(self, file, letters):
        kept = re.sub("[A-Z]", "", file.name.rsplit(":2,", 1)[1]) if ":2," in file.name else ""
        file.rename(file.parent.parent / "cur" / f"{file.name.split(':2,')[0]}:2,{letters}{kept}")

    def change_remote(self):
        """The same at the server: mail that is delivered, flags, removals, a move, a folder."""
        self.server.drop(self.user, imap_mail.fit(range(LATE_SERIALS, LATE_SERIALS + 40), self.without))
        link = self.server.connect(self.user)
        link.select("INBOX")
        uid_of = {imap_mail.serial_of(text): uid for uid, (_, text) in fetch_some(link, "61:130")}
        some = sorted(uid_of.values())
        demand(link.uid("STORE", f"{some[0]}:{some[19]}", "+FLAGS", "(\\Answered $Label1)")[0] == "OK", "STORE")
        demand(link.uid("STORE", f"{some[20]}:{some[29]}", "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK", "STORE")
        demand(link.uid("EXPUNGE", f"{some[20]}:{some[29]}")[0] == "OK", "UID EXPUNGE")
        link.create(quoted("新/夹"))
        answer = link._simple_command("UID", "MOVE", f"{some[30]}:{some[39]}", quoted("新/夹")) if self.moves() else ("OK",)
        demand(answer[0] == "OK", f"MOVE: {answer}")
        link.logout()

    def moves(self):
        return True

    def two_way(self):
        """The round of every syncer: down twice, both ways twice."""
        watch = self.sync()
        counted = self.report("first sync", watch)
        total = self.count + sum(len(messages) for name, messages in self.server.view(self.user).items() if name != "INBOX")
        demand(counted.bodies >= 1 and counted.appends == 0, f"first sync: {counted}")
        self.compare("after the first sync")
        self.nothing("second sync")
        self.compare("after the second sync")
        self.change_local()
        self.change_remote()
        self.report("both sides changed, sync", self.sync())
        self.settle()
        self.compare("after changes on both sides")
        self.nothing("sync after that")
        return total

    def over_tls(self, tls):
        """Both clients compress here, too."""
        line, self.line = self.line, Line(self.server.imaps_port, readable=False)
        self.configure(self.line.port, tls)
        self.add_local("INBOX", range(LOCAL_SERIALS + 100, LOCAL_SERIALS + 120), "S")
        self.report("over TLS, compressed, 20 to upload", self.sync())
        self.compare("after that")
        self.line = line
        self.configure(line.port, self.plain_text)

    def settle(self):
        """Syncs that the client needs until both sides agree."""

    def nothing(self, what):
        counted = self.report(what, self.sync())
        demand(counted.bodies == 0 and counted.appends == 0, f"{what}: nothing was to be sent, but {counted}")


def fetch_some(link, numbers):
    _, rows = link.fetch(numbers, "(UID FLAGS BODY.PEEK[HEADER])")
    for row in rows:
        if isinstance(row, tuple):
            yield int(re.search(rb"UID (\d+)", row[0])[1]), (None, row[1])


MBSYNC = """FSync no

IMAPAccount server
Host 127.0.0.1
Port {port}
User {user}
Pass {password}
{tls}

IMAPStore far
Account server

MaildirStore near
Path {boxes}/
Inbox {boxes}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Sync All
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
"""


# Compressed commands cannot be counted.
PLAIN_TEXT = "SSLType None\nAuthMechs LOGIN\nDisableExtension COMPRESS=DEFLATE"


class Mbsync(Syncer):
    plain_text = PLAIN_TEXT
    # It skips messages that have no empty line below the header.
    without = (imap_mail.header_only,)

    def __init__(self, server, work, count, user="mbsync"):
        super().__init__(server, work, count, user)
        self.said = ""
        self.configure(self.line.port, self.plain_text)

    def configure(self, port, tls):
        values = dict(port=port, tls=tls, user=f"{self.user}@{DOMAIN}", password=PASSWORD, boxes=self.boxes)
        (self.work / "mbsyncrc").write_text(MBSYNC.format(**values))

    def sync(self, may_fail=False):
        done, watch = self.run_program(["mbsync", "-c", str(self.work / "mbsyncrc"), "-V", "all"], may_fail)
        words = (done.stdout + "\n" + done.stderr).strip().splitlines()
        self.said = "\n".join(words)
        return watch

    def report(self, what, watch, said=""):
        boxes = len(re.findall("^Opening far side box ", self.said, re.MULTILINE))
        return super().report(what, watch, said or f"says: {boxes} boxes opened, {len(self.complaints())} complaints")

    def complaints(self):
        return re.findall("^(?:Error|Warning|Notice): .*$", self.said, re.MULTILINE)

    def local_folders(self):
        return boxes_below(self.boxes)

    def settle(self):
        self.report("another", self.sync())

    def run(self):
        total = self.two_way()
        self.over_tls(f"SSLType IMAPS\nCertificateFile {self.server.certificate}\nAuthMechs PLAIN")
        self.without_caches()
        self.killed_in_upload()
        return total

    def without_caches(self):
        """The caches are removed while the server runs, and while it does not: new UIDVALIDITYs, the same mail."""
        self.server.stop()
        removed = remove_caches(self.server.root / "domains" / DOMAIN / self.user)
        self.server.start()
        self.report(f"{removed} cache files removed, sync", self.sync(may_fail=True))
        print("".join(f"    {line}\n" for line in self.complaints()), end="")
        refused = any(line.startswith("Error") for line in self.complaints())
        self.compare("after the caches were removed")
        # Where messages had been removed the UIDs are others, and mbsync leaves that box alone until told to forget it.
        if refused:
            self.boxes.rename(self.work / "boxes-before")
            self.boxes.mkdir()
            self.report("into empty Maildirs, sync", self.sync())
        self.nothing("another")
        self.compare("after that")

    def killed_in_upload(self):
        many = max(self.count // 10, 50)
        self.add_local("INBOX", range(LOCAL_SERIALS + 1000, LOCAL_SERIALS + 1000 + many))
        before = len(list(self.server.inbox(self.user).iterdir()))
        command = ["mbsync", "-c", str(self.work / "mbsyncrc"), "all"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment())
        until = time.monotonic() + MBSYNC_SECS
        while len(list(self.server.inbox(self.user).iterdir())) < before + many // 3:
            demand(process.poll() is None and time.monotonic() < until, "mbsync was done before it was disturbed")
            time.sleep(0.002)
        self.server.crash()
        process.wait(60)
        arrived = len(list(self.server.inbox(self.user).iterdir())) - before
        self.server.start()
        self.line.count()
        self.report(f"server killed when {arrived} of {many} were up, sync", self.sync(may_fail=True))
        self.report("another", self.sync())
        self.compare("after the kill")
        serials = collections.Counter(imap_mail.serial_of(text) for _, text in self.server.view(self.user, ["INBOX"])["INBOX"].values())
        wanted = imap_mail.fit(range(LOCAL_SERIALS + 1000, LOCAL_SERIALS + 1000 + many), self.without)
        counts = collections.Counter(serials[serial] for serial in wanted)
        demand(counts[0] == 0, f"{counts[0]} messages are lost")
        print(f"  {self.user}: after the kill: {counts[1]} once, {sum(counts.values()) - counts[1]} twice", flush=True)


def remove_caches(directory):
    files = [file for file in directory.glob("**/imapcache")]
    for file in files:
        file.unlink()
    return len(files)


OFFLINEIMAP = """
[general]
accounts = all
metadata = {work}/metadata
ui = basic
fsync = False
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {boxes}
sep = /
sync_deletes = yes
utime_from_header = no
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {port}
remoteuser = {user}
remotepass = {password}
auth_mechanisms = PLAIN
{tls}
sync_deletes = yes
expunge = yes
"""


class Offlineimap(Syncer):
    plain_text = "ssl = no\nstarttls = no"

    def __init__(self, server, work, count, user="offlineimap"):
        super().__init__(server, work, count, user)
        self.configure(self.line.port, self.plain_text)

    def configure(self, port, tls):
        values = dict(work=self.work, port=port, tls=tls, user=f"{self.user}@{DOMAIN}", password=PASSWORD, boxes=self.boxes)
        (self.work / "offlineimaprc").write_text(OFFLINEIMAP.format(**values))

    def sync(self):
        done, watch = self.run_program(["offlineimap", "-o", "-c", str(self.work / "offlineimaprc")])
        self.said = done.stdout + done.stderr
        return watch

    def local_folders(self):
        return boxes_below(self.boxes)

    def expected(self, text):
        return rewritten(text)

    def run(self):
        total = self.two_way()
        der = ssl.PEM_cert_to_DER_cert(self.server.certificate.read_text())
        self.over_tls(f"ssl = yes\ncert_fingerprint = {hashlib.sha1(der).hexdigest()}\nusecompression = yes")
        return total


@functools.lru_cache(None)
def rewritten(text):
    """offlineimap 8 takes messages apart and writes them anew; ugly ones are not what they were."""
    read, write = (email.policy.default.clone(cte_type="8bit", utf8=True, refold_source="none", linesep=end) for end in ("\r\n", "\n"))
    parsed = email.parser.BytesParser(policy=read).parsebytes(text)
    return as_crlf(parsed.as_bytes(policy=write))
