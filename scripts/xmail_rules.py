"""What XMail 1.27 can read, as code: `check(root)` goes through every file of a MailRoot that no server runs on.

The numbers are XMail's: smallest column counts, the longest piece it reads of each table (line end included), header lines
of 1535 bytes in the spool. Where XMail would crash, take a comment for a record, or read a line as two, that is a problem
too. Stricter than XMail in one way: what it tolerates but no program should leave behind (a missing closing quote, a lock
file after a stop, files in temp) is reported.
"""

import collections
import pathlib
import re
import stat

# name: (columns at least, at most, line limit in bytes)
TABLES = {
    "domains.tab": (1, 1, 510),
    "aliasdomain.tab": (2, 2, 510),
    "mailusers.tab": (6, 6, 2046),
    "aliases.tab": (3, 3, 510),
    "extaliases.tab": (4, 4, 1022),
    "server.tab": (2, 2, 2046),
    "user.tab": (2, 2, 2046),
    "userdef.tab": (2, 2, 2046),
    "mlusers.tab": (1, 2, 510),
    "pop3links.tab": (6, 6, 2046),
    "smtpgw.tab": (2, 2, 1022),
    "smtpfwd.tab": (2, 3, 1022),
    "smtprelay.tab": (1, 2, 510),
    "spammers.tab": (1, 3, 510),
    "spam-address.tab": (1, 1, 510),
    "smtp.ipmap.tab": (4, 4, 510),
    "pop3.ipmap.tab": (4, 4, 510),
    "imap.ipmap.tab": (4, 4, 510),
    "ctrl.ipmap.tab": (4, 4, 510),
    "finger.ipmap.tab": (4, 4, 510),
    "smtp.ipprop.tab": (1, None, 1022),
    "smtp.hnprop.tab": (1, None, 1022),
    "smtpauth.tab": (3, 3, 510),
    "smtpextauth.tab": (2, None, 1022),
    "ctrlaccounts.tab": (2, 2, 510),
    "filters.in.tab": (5, 5, 510),
    "filters.out.tab": (5, 5, 510),
    "filters.post-rcpt.tab": (1, None, 1022),
    "filters.pre-data.tab": (1, None, 1022),
    "filters.post-data.tab": (1, None, 1022),
    "mailproc.tab": (1, None, 510),
}
# Tabmail's own, which XMail passes over.
OURS_IN_ACCOUNTS = ["imap.ipmap.tab", "imapfolders.tab", "imapflags.tab", "imapcache"]
COMMAND_FILE = (1, None, 1022)
# These must exist, or XMail does not start, or takes no mail.
REQUIRED = ["domains.tab", "aliasdomain.tab", "mailusers.tab", "aliases.tab", "extaliases.tab", "server.tab", "spammers.tab"]
INDEXED = REQUIRED[:5]
# XMail takes a comment in these for a record when it has enough columns.
COMMENT_IS_RECORD = [*INDEXED, "mlusers.tab", "ctrlaccounts.tab"]
DIRECTORIES = [
    "bin", "cmdaliases", "custdomains", "dnscache", "dnscache/mx", "dnscache/ns", "domains", "filters", "logs", "msgsync",
    "pop3linklocks", "pop3links", "pop3locks", "spool", "spool/local", "spool/temp", "tabindex", "tmp", "userauth",
    "userauth/pop3", "userauth/smtp",
]  # fmt: skip
OTHER_ROOT_NAMES = ["dnsroots", "message.id", "server.cert", "server.key", "certs.pem", "certs"]
STATES = ["mess", "rsnd", "info", "temp", "slog", "cust", "mprc", "froz"]
SPOOL_LINE_MAX = 1535
PATH_MAX = 255
COMMANDS = ["external", "filter", "mailbox", "redirect", "lredirect", "smtprelay", "smtp"]
# Columns of each log; of pop3, those of a failed log-in too.
LOGS = {"smtp": [13], "smail": [9], "pop3": [7, 9], "psync": [11], "lmail": [4], "finger": [5], "ctrl": [5], "filters": [10]}
DATE_COLUMN = {"smtp": 3, "smail": 7, "pop3": 3, "psync": 0, "lmail": 3, "finger": 3, "ctrl": 3, "filters": 4}

NAME = re.compile(r"\d{13}\.[0-9a-f]+\.[0-9a-f]+\.[0-9a-f]+\.[A-Za-z0-9._-]+\Z")
MAIL_DATE = rb"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [-+]\d{4}"
ENDPOINT = rb"\[[0-9A-Fa-f.:]+\]:\d{1,5}"
HEADER = [
    (ENDPOINT + rb";" + ENDPOINT + rb";" + MAIL_DATE, "[client]:port;[server]:port;date"),
    (rb"[A-Za-z0-9.-]+", "a domain"),
    (rb"[SLPX][0-9A-F]+", "a message number"),
    (rb"(?i:MAIL FROM:)[^<]*<[^>]*>.*", "MAIL FROM:<...>"),
    (rb"(?i:RCPT TO:)[^<]*<[^>]+>", "RCPT TO:<...>"),
    (rb"<<MAIL-DATA>>", "<<MAIL-DATA>>"),
]
FIELD = re.compile(rb"[!-9;-~]+:|[ \t]")
DATE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z")


def columns_of(line):
    """A line as XMail splits it: at runs of TABs before quotes are looked at, then unquoted."""
    return [unquoted(piece) for piece in line.split(b"\t") if piece]


def unquoted(piece):
    if not piece.startswith(b'"'):
        return piece
    return re.match(rb'"((?:\\"|[^"])*)', piece)[1].replace(b'\\"', b'"')


def ends_where_it_should(piece):
    """Whether XMail's unquoting reaches the end of a quoted column and loses nothing."""
    return not piece.startswith(b'"') or re.fullmatch(rb'"(?:\\"|[^"])*(?<!\\)"', piece, re.DOTALL) is not None


def decoded(password):
    """A password column in clear, or None where XMail cannot decode it."""
    if len(password) % 2 or len(password) > 510 or not re.fullmatch(rb"[0-9a-f]*", password):
        return None
    clear = bytes(byte ^ 0x65 for byte in bytes.fromhex(password.decode()))
    return None if b"\0" in clear else clear


class Check:
    def __init__(self, root, split_levels=23, kind="Maildir"):
        self.root, self.split_levels, self.kind = pathlib.Path(root), split_levels, kind
        self.problems = []
        self.counts = collections.Counter()

    def wrong(self, path, what):
        shown = path.relative_to(self.root) if isinstance(path, pathlib.Path) else path
        self.problems.append(f"{shown}: {what}")

    def must(self, truth, path, what):
        if not truth:
            self.wrong(path, what)
        return truth

    def everything(self):
        self.tree()
        rows = {name: self.table(self.root / name, *TABLES[name]) for name in TABLES if (self.root / name).exists()}
        self.domains(rows)
        self.accounts(rows)
        self.addresses(rows)
        self.links(rows)
        self.command_files()
        self.indexes()
        self.spool()
        self.message_id()
        self.logs()
        return self

    # The tree.

    def tree(self):
        for name in REQUIRED:
            self.must((self.root / name).is_file(), name, "missing: XMail does not start or takes no mail")
        for name in DIRECTORIES:
            self.must((self.root / name).is_dir(), name, "missing directory")
        known = [*TABLES, *OTHER_ROOT_NAMES, *(name.split("/")[0] for name in DIRECTORIES)]
        for path in sorted(self.root.iterdir()):
            self.must(path.name in known or path.name.startswith("."), path, "XMail knows no such name in the root")
        self.must(not (self.root / ".shutdown").exists(), ".shutdown", "XMail stops when it sees this")
        for path in [self.root, *self.root.rglob("*")]:
            self.modes(path)
        for empty in ["tmp", "pop3locks", "pop3linklocks", "spool/temp"]:
            for path in (self.root / empty).glob("*"):
                self.wrong(path, "left behind")

    def modes(self, path):
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        self.must(len(bytes(path)) <= PATH_MAX, path, f"longer than the {PATH_MAX} bytes of a path in XMail")
        if stat.S_ISDIR(status.st_mode):
            self.counts["directories of mode 0700"] += 1
            self.must(mode == 0o700, path, f"directory mode {mode:04o}, not 0700")
        elif stat.S_ISREG(status.st_mode):
            self.counts["files of mode 0600 to 0666"] += 1
            self.must(mode & 0o600 == 0o600 and mode & ~0o666 == 0, path, f"file mode {mode:04o}, not 0600 to 0666")
        else:
            self.wrong(path, "neither file nor directory")

    # Tables.

    def table(self, path, least, most, limit):
        """The rows as XMail reads them."""
        self.counts["tables"] += 1
        octets = path.read_bytes()
        self.must(b"\0" not in octets, path, "NUL")
        self.must(not octets or octets.endswith(b"\n"), path, "the last line has no LF: the next added one is lost")
        rows = []
        for number, line in enumerate(octets.split(b"\n")[:-1] if octets.endswith(b"\n") else octets.split(b"\n"), 1):
            at = f"{path.relative_to(self.root)}:{number}"
            self.counts["table lines"] += 1
            self.must(len(line) + 1 <= limit, at, f"{len(line) + 1} bytes, XMail reads {limit} at once and splits the line")
            self.must(b"\r" not in line, at, "CR")
            if not line:
                self.must(path.name != "mlusers.tab", at, "blank line: XMail crashes on the next change")
            elif line.startswith(b"#"):
                self.counts["comments"] += 1
                record = path.name in COMMENT_IS_RECORD and len(columns_of(line)) >= least
                self.must(not record, at, "XMail takes this comment for a record")
            else:
                rows.append(self.row(at, line, least, most))
        return rows

    def row(self, at, line, least, most):
        self.counts["table rows"] += 1
        for piece in line.split(b"\t"):
            self.must(piece, at, "an empty column without quotes: XMail sees one column less")
            self.must(ends_where_it_should(piece), at, f"quotes that XMail reads otherwise: {piece.decode(errors='replace')}")
        columns = columns_of(line)
        fits = least <= len(columns) and (most is None or len(columns) <= most)
        self.must(fits, at, f"{len(columns)} columns, not {least}{'' if most == least else f' to {most or chr(8734)}'}")
        # So that what follows can be checked as well.
        return columns + [b""] * (least - len(columns))

    def password(self, at, column, empty_is_one):
        self.counts["passwords decoded"] += 1
        clear = decoded(column)
        self.must(clear is not None and (clear or empty_is_one), at, "XMail cannot decode this password")

    # Domains and accounts.

    def domains(self, rows):
        listed = [row[0] for row in rows.get("domains.tab", [])]
        for domain in listed:
            self.counts["domains"] += 1
            lower = domain.lower().decode(errors="replace")
            for parent in ["domains", "cmdaliases"]:
                self.must((self.root / parent / lower).is_dir(), f"{parent}/{lower}", "a domain without its directory")
        self.must(len({domain.lower() for domain in listed}) == len(listed), "domains.tab", "a domain twice")
        self.handled = {domain.lower() for domain in listed}
        for path in (self.root / "domains").iterdir():
            self.must(path.name.encode() in self.handled, path, "a directory of no domain")
            for name in ["userdef.tab", "mailproc.tab"]:
                if (path / name).exists():
                    self.table(path / name, *TABLES[name])
        for alias, real in rows.get("aliasdomain.tab", []):
            self.counts["alias domains"] += 1
            self.must(real.lower() in self.handled, "aliasdomain.tab", f"{real.decode()} is no domain")
            self.must(alias.lower() not in self.handled, "aliasdomain.tab", f"{alias.decode()} is a domain itself")

    def accounts(self, rows):
        self.real, ids, directories = set(), set(), set()
        for domain, account, password, number, directory, kind in rows.get("mailusers.tab", []):
            at = f"mailusers.tab: {account.decode(errors='replace')}"
            self.counts["accounts"] += 1
            self.password(at, password, empty_is_one=kind[:1].upper() == b"M")
            self.must(re.fullmatch(rb"[1-9]\d*", number) and int(number) not in ids, at, "id not above 0 or not unique")
            self.must(domain.lower() in self.handled, at, f"{domain.decode()} is no domain")
            self.must((domain.lower(), account.lower()) not in self.real, at, "the account is there twice")
            self.must(kind in (b"U", b"M"), at, f"type {kind.decode(errors='replace')}")
            ids.add(int(number) if number.isdigit() else 0)
            self.real.add((domain.lower(), account.lower()))
            home = self.root / "domains" / domain.lower().decode() / directory.decode()
            directories.add(home)
            if self.must(home.is_dir() and directory, at, f"no directory {home.relative_to(self.root)}"):
                self.home(home, kind)
        for path in (self.root / "domains").glob("*/*"):
            if path.is_dir() and path.name != ".tmp":
                self.must(path in directories, path, "a directory of no account")

    def home(self, home, kind):
        boxes = ["tmp", "new", "cur"] if self.kind == "Maildir" else []
        known = ["user.tab", "mailproc.tab", "pop3.ipmap.tab", ".ipconn", *OURS_IN_ACCOUNTS]
        if kind == b"M":
            known.append("mlusers.tab")
            self.must((home / "mlusers.tab").is_file(), home, "a list without mlusers.tab: XMail cannot deliver")
        else:
            known.append(self.kind)
            for box in [self.kind, *(f"{self.kind}/{box}" for box in boxes)]:
                self.must((home / box).is_dir(), home / box, "missing: the mailbox has not the kind of this server")
        for path in home.iterdir():
            known_name = path.name in known or path.name.endswith(".disabled")
            self.must(known_name, path, "XMail knows no such name in an account")
            if path.name in TABLES:
                rows = self.table(path, *TABLES[path.name])
                if path.name == "mlusers.tab":
                    self.members(path, rows)
                if path.name == "mailproc.tab":
                    self.commands(path, rows)
        if (home / ".ipconn").exists():
            self.counts[".ipconn files"] += 1
            last = (home / ".ipconn").read_bytes()
            self.must(re.fullmatch(rb"[0-9a-fA-F.:]+\n", last), home / ".ipconn", "not one address and LF")
        for box in home.glob(f"{self.kind}/**/*"):
            # XMail passes over names with a dot in front, so also our folders.
            hidden = any(part.startswith(".") for part in box.relative_to(home).parts)
            if box.is_file() and not hidden:
                self.mailbox_file(box)

    def members(self, path, rows):
        for row in rows:
            self.counts["list members"] += 1
            self.must(re.fullmatch(rb"[^@\s<>]+@[^@\s<>]+", row[0]), path, f"{row[0].decode(errors='replace')} is no address")
            self.must(len(row) < 2 or re.fullmatch(rb"[RWA]*", row[1]), path, "permissions other than R, W, A")

    def addresses(self, rows):
        for domain, alias, target in rows.get("aliases.tab", []):
            self.counts["aliases"] += 1
            if set(domain + alias) & set(b"*?"):
                continue
            account, _, at_domain = target.partition(b"@")
            real = (at_domain or domain).lower(), account.lower()
            self.must(real in self.real, "aliases.tab", f"{alias.decode()} leads to {target.decode()}, no account")
        for *_, domain, name in rows.get("extaliases.tab", []):
            self.counts["external aliases"] += 1
            known = (domain.lower(), name.lower()) in self.real
            self.must(known, "extaliases.tab", f"{name.decode()}@{domain.decode()} is no account")
        for _, password in rows.get("ctrlaccounts.tab", []):
            self.password("ctrlaccounts.tab", password, empty_is_one=False)
        for name in ["smtp", "pop3", "imap", "ctrl", "finger"]:
            for row in rows.get(f"{name}.ipmap.tab", []):
                self.must(re.fullmatch(rb"\d+", row[3]), f"{name}.ipmap.tab", "precedence is not a number from 0")
        for name in ["filters.in.tab", "filters.out.tab"]:
            for row in rows.get(name, []):
                file = self.root / "filters" / row[4].decode()
                self.must(file.is_file(), name, f"no filters/{row[4].decode()}: XMail lets the message pass")

    def links(self, rows):
        named, synced = set(), set()
        for domain, name, host, user, password, _ in rows.get("pop3links.tab", []):
            self.counts["POP3 links"] += 1
            self.password("pop3links.tab", password, empty_is_one=True)
            named.add(f"{user.decode()}@{host.decode()}.disabled")
            synced.add("/".join(re.sub(r"[:/\\]", "_", part.decode()) for part in (host, user)) + ".uidb")
            if domain[:1] not in (b"@", b"?", b"&"):
                self.must((domain.lower(), name.lower()) in self.real, "pop3links.tab", "a link of no account")
        for path in [*self.root.glob("pop3links/*"), *self.root.glob("domains/*/*/*.disabled")]:
            self.counts["disable files"] += 1
            self.must(path.name in named, path, "disables no link")
        for path in self.root.glob("msgsync/*/*"):
            self.must(str(path.relative_to(self.root / "msgsync")) in synced, path, "remembers for no link")
            *uids, rest = path.read_bytes().split(b"\n")
            self.counts["UIDLs"] += len(uids)
            self.must(not rest and all(re.fullmatch(rb"[!-~]+", uid) for uid in uids), path, "not lines of UIDLs")
            self.must(len(set(uids)) == len(uids), path, "a UIDL twice")

    def command_files(self):
        for pattern in ["cmdaliases/*/*", "custdomains/*", "filters/*"]:
            for path in self.root.glob(pattern):
                rows = self.table(path, *COMMAND_FILE)
                if not pattern.startswith("filters"):
                    self.must(path.suffix == ".tab" and path.name == path.name.lower(), path, "not lower case and .tab")
                    self.commands(path, rows)
        for path in self.root.glob("userauth/*/*"):
            self.table(path, 2 if path.parent.name == "pop3" else 1, None, 1022 if path.parent.name == "pop3" else 510)

    def commands(self, path, rows):
        self.must(rows, path, "no command: XMail drops the mail")
        for row in rows:
            self.counts["mail commands"] += 1
            self.must(row[0].lower().decode(errors="replace") in COMMANDS, path, "a command XMail does not know")

    def indexes(self):
        for path in (self.root / "tabindex").iterdir():
            self.wrong(path, "an index that may be older than its table")

    # Messages.

    def mailbox_file(self, path):
        self.counts["mailbox files"] += 1
        octets = path.read_bytes()
        self.must(NAME.match(path.name), path, "not named MS.TID.PID.SEQ.HOST")
        self.must(octets.startswith(b"Return-Path: <"), path, "no Return-Path at the top")
        self.message(path, octets)

    def message(self, path, octets):
        """Header fields, an empty line, a body; CRLF; dots stuffed."""
        self.must(octets.endswith(b"\r\n"), path, "does not end in CRLF")
        self.must(not re.search(rb"(?<!\r)\n|\r(?!\n)", octets), path, "a bare CR or LF")
        head, separator, _ = octets.partition(b"\r\n\r\n")
        self.must(separator, path, "no empty line after the header")
        for line in head.split(b"\r\n"):
            self.must(FIELD.match(line), path, f"not a header line: {line[:40]!r}")
        lone = re.search(rb"(?:\A|\n)\.\r?(?:\n|\Z)", octets)
        self.must(not lone, path, "a lone dot: XMail's POP3 ends the message there")
        self.must(not re.search(rb"(?:\A|\n)\.[^.\r\n]", octets), path, "a dot that is not stuffed")

    # The spool.

    def spool(self):
        self.highest, places = 0, {}
        for path in (self.root / "spool").iterdir():
            # XMail never looks into `failed`: drop files that were no message.
            if path.name not in ("local", "temp", "failed"):
                self.level(path, self.split_levels)
        for path in (self.root / "spool/local").iterdir():
            self.must(path.name.startswith("."), path, "local mail that was not taken")
        for first in range(self.split_levels):
            for second in range(self.split_levels):
                self.split(self.root / "spool" / str(first) / str(second), places)
        for name, found in places.items():
            self.must(len(found) == 1, f"spool: {name}", f"in several places: {', '.join(map(str, found))}")

    def level(self, path, levels):
        self.must(path.is_dir() and path.name.isdigit(), path, "XMail knows no such name in spool")
        if self.must(path.name.isdigit() and int(path.name) < levels, path, "outside of -Mx: XMail does not look there"):
            for below in path.iterdir():
                inside = below.name.isdigit() and int(below.name) < levels
                self.must(inside and below.is_dir(), below, "outside of -Mx: XMail does not look there")

    def split(self, split, places):
        self.counts["spool directories"] += 1
        if not self.must(split.is_dir(), split, "missing spool directory"):
            return
        for path in split.iterdir():
            self.must(path.name in STATES and path.is_dir(), path, "XMail knows no such spool directory")
        for state in STATES:
            if self.must((split / state).is_dir(), split / state, "missing spool directory"):
                for path in (split / state).iterdir():
                    self.spool_file(split, state, path, places)

    def spool_file(self, split, state, path, places):
        self.counts[f"files in {state}"] += 1
        self.must(NAME.match(path.name), path, "not named MS.TID.PID.SEQ.HOST")
        if state in ("temp", "info"):
            self.wrong(path, "left behind")
        elif state in ("mess", "rsnd", "froz"):
            places.setdefault(path.name, []).append(path.relative_to(self.root))
            self.spooled(path)
            if state != "mess":
                self.must((split / "slog" / path.name).is_file(), path, "tried, but without slog")
        else:
            owned = any((split / owner / path.name).exists() for owner in ("mess", "rsnd", "froz"))
            self.must(owned, path, "belongs to no message")
            if state == "slog":
                self.slog(path)
            else:
                limit = TABLES["mailproc.tab"] if state == "mprc" else COMMAND_FILE
                self.commands(path, self.table(path, *limit))

    def spooled(self, path):
        *head, data = path.read_bytes().split(b"\r\n", len(HEADER))
        if not self.must(len(head) == len(HEADER), path, "less than six header lines"):
            return
        for line, (pattern, what) in zip(head, HEADER):
            self.must(re.fullmatch(pattern, line), path, f"not {what}: {line[:60].decode(errors='replace')}")
            self.must(len(line) <= SPOOL_LINE_MAX, path, f"a header line of {len(line)} bytes")
        if re.fullmatch(HEADER[2][0], head[2]):
            self.highest = max(self.highest, int(head[2][1:], 16))
        self.message(path, data)

    def slog(self, path):
        """Each attempt: [PeekTime], then any number of << >> blocks with ErrCode and ErrString in front."""
        octets = path.read_bytes()
        self.must(octets.endswith(b"\n"), path, "does not end in LF")
        attempts, inside, block = 0, False, []
        for line in octets.split(b"\n")[:-1]:
            if line == b"<<":
                self.must(not inside, path, "<< inside of <<")
                inside, block = True, []
            elif line == b">>":
                shaped = inside and len(block) > 1 and re.fullmatch(rb"ErrCode   = -\d+", block[0])
                self.must(shaped and block[1].startswith(b"ErrString = "), path, "a block without ErrCode and ErrString")
                self.counts["slog entries"] += 1
                inside = False
            elif inside:
                block.append(line)
            else:
                attempt = re.fullmatch(rb"\[PeekTime\] \d+ : " + MAIL_DATE, line)
                attempts += attempt is not None
                self.must(attempt, path, f"a line outside of << >>: {line[:40].decode(errors='replace')}")
        self.must(not inside, path, "<< without >>")
        self.must(attempts, path, "no [PeekTime] line: XMail would count no attempt")
        self.counts["slog attempts"] += attempts

    def message_id(self):
        path = self.root / "message.id"
        found = re.fullmatch(rb"(\d+)\r\n", path.read_bytes()) if path.exists() else None
        if self.must(found, "message.id", "not a number and CRLF"):
            self.counts["message.id"] = 1
            self.must(int(found[1]) >= self.highest, "message.id", "lower than a number in the spool")

    # Logs.

    def logs(self):
        for path in (self.root / "logs").iterdir():
            kind, _, time = path.name.partition("-")
            if not self.must(kind in LOGS and re.fullmatch(r"\d{12}", time), path, "not named KIND-YYYYMMDDHHMM"):
                continue
            octets = path.read_bytes()
            self.must(not octets or octets.endswith(b"\n"), path, "the last line has no LF")
            for line in octets.splitlines():
                self.log_line(path, kind, line)

    def log_line(self, path, kind, line):
        self.counts[f"lines of the {kind} log"] += 1
        if not self.must(line.startswith(b'"') and line.endswith(b'"'), path, "a line that is not in quotes"):
            return
        columns = line[1:-1].split(b'"\t"')
        if self.must(len(columns) in LOGS[kind], path, f"{len(columns)} columns, not {LOGS[kind]}"):
            self.must(DATE.match(columns[DATE_COLUMN[kind]]), path, "no date where XMail writes one")


def check(root, split_levels=23, kind="Maildir"):
    """All problems and counts."""
    return Check(root, split_levels, kind).everything()
