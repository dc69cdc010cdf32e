"""What scripts/scale, scripts/crash and others share: a MailRoot of their own, a server on loopback, a sink for its mail."""

import collections
import contextlib
import os
import pathlib
import signal
import smtplib
import socket
import socketserver
import subprocess
import sys
import threading
import time

DOMAIN = "home.test"
PATIENCE_SECS = 600


def free_ports(count):
    """Different ones."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def free_port():
    return free_ports(1)[0]


def encoded(password):
    """XMail's writing of a password: each byte xor 101, in hex."""
    return "".join(f"{byte ^ 101:02x}" for byte in password.encode())


def make_maildir(path):
    for part in ("new", "cur", "tmp"):
        (path / part).mkdir(parents=True)


def cpu_secs(pid):
    """User and system, without those of children."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """One MailRoot and the server on it; `stop` or `crash` end only the process that `start` began."""

    def __init__(self, program, work, flags=(), quiet=("-P-", "-F-")):
        """`quiet`: the services that stay off, besides those with TLS."""
        self.program, self.flags, self.quiet = str(program), list(flags), list(quiet)
        self.root = pathlib.Path(work) / "MailRoot"
        self.output = pathlib.Path(work) / "server.log"
        self.smtp_port, self.ctrl_port = free_ports(2)
        self.process = None
        # Other than ours, if anybody.
        self.user = self.group = None
        # Where an account's mail is; "mailbox" for a server with -Mm.
        self.box = "Maildir/new"
        subprocess.run(
            [self.program, "init", str(self.root), "--domain", DOMAIN, "--account", "anna"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add(self, table, *columns):
        with open(self.root / table, "a") as file:
            file.write("\t".join(f'"{column}"' for column in columns) + "\n")

    def allow_relay(self):
        self.add("smtprelay.tab", "127.0.0.1", "255.255.255.255")

    def allow_ctrl(self, user, password):
        self.add("ctrlaccounts.tab", user, encoded(password))

    def add_accounts(self, names, password, kind="U"):
        """With their mailboxes."""
        first = sum(1 for _ in open(self.root / "mailusers.tab")) + 100
        with open(self.root / "mailusers.tab", "a") as table:
            for number, name in enumerate(names, first):
                table.write(f'"{DOMAIN}"\t"{name}"\t"{encoded(password)}"\t{number}\t"{name}"\t"{kind}"\n')
                if kind == "U":
                    make_maildir(self.root / "domains" / DOMAIN / name / "Maildir")

    def command(self):
        return (
            [self.program, "serve", "-Ms", str(self.root), "-SI", f"127.0.0.1:{self.smtp_port}"]
            + ["-CI", f"127.0.0.1:{self.ctrl_port}", "-X-", "-B-", "-I-", "-J-", "-W-", "-Ql"]
            + self.quiet
            + self.flags
        )

    def spawn(self):
        """Starts without waiting for an answer."""
        with open(self.output, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env={**os.environ, "XMAIL_PID_DIR": str(self.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                group=self.group,
                extra_groups=None if self.user is None else [],
            )

    def start(self):
        """Returns the seconds until SMTP answered."""
        begun = time.monotonic()
        self.spawn()
        self.await_smtp(lambda: self.process.poll() is None)
        return time.monotonic() - begun

    def await_smtp(self, is_alive):
        begun = time.monotonic()
        while True:
            if not is_alive():
                raise SystemExit(f"the server ended: see {self.output}\n{self.output.read_text()[-2000:]}")
            try:
                with socket.create_connection(("127.0.0.1", self.smtp_port), timeout=5) as probe:
                    if probe.recv(3) == b"220":
                        return
            except OSError:
                pass
            if time.monotonic() - begun > PATIENCE_SECS:
                raise SystemExit("SMTP did not answer")
            time.sleep(0.01)

    def stop(self):
        """SIGTERM; returns the seconds until the process was gone."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECS)
        return time.monotonic() - begun

    def crash(self):
        self.process.kill()
        self.process.wait()

    def recover(self):
        """`tabmail recover` after a crash; returns what it says, with a comma behind."""
        done = subprocess.run([self.program, "recover", "-Ms", str(self.root)], capture_output=True, text=True)
        if done.returncode or list(self.root.glob("spool/.journal/*")):
            raise SystemExit(f"FAIL: tabmail recover: {done.returncode} {done.stderr}")
        return "recover: " + done.stderr.strip().splitlines()[-1].split(";")[0] + "; "

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def cpu_secs(self):
        return cpu_secs(self.process.pid)

    def session(self):
        return smtplib.SMTP("127.0.0.1", self.smtp_port, local_hostname="script.test", timeout=60)

    def inbox(self, user="anna"):
        return self.root / "domains" / DOMAIN / user / self.box

    def spooled(self, *states):
        """The message files in these states, over all split directories."""
        return [file for state in states for file in self.root.glob(f"spool/[0-9]*/[0-9]*/{state}/*")]


class Sink(socketserver.ThreadingTCPServer):
    """Takes everything, and remembers the X-Serial of each message it answered 250 for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.taken = collections.Counter()
        # How many messages each recipient got.
        self.reached = collections.Counter()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Talker(socketserver.StreamRequestHandler):
    """The server's side of a connection, which the other side may break at any time."""

    disable_nagle_algorithm = True

    def handle(self):
        try:
            self.talk()
        except OSError:
            pass


class Conversation(Talker):
    def talk(self):
        self.wfile.write(b"220 sink.test\r\n")
        recipients = []
        while line := self.rfile.readline():
            word = line[:4].upper().strip()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                if not self.take(recipients):
                    return
                recipients = []
            elif word == b"EHLO":
                self.wfile.write(b"250-sink.test\r\n250 PIPELINING\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                if word == b"RCPT":
                    recipients.append(line[line.index(b"<") + 1 : line.index(b">")].decode().lower())
                self.wfile.write(b"250 ok\r\n")

    def take(self, recipients):
        """Reads the data; false when the connection ended."""
        serial = None
        while line := self.rfile.readline():
            if line == b".\r\n":
                with self.server.lock:
                    self.server.taken[serial] += 1
                    self.server.reached.update(recipients)
                self.wfile.write(b"250 taken\r\n")
                return True
            if line.startswith(b"X-Serial: "):
                serial = line[10:].strip().decode()
        # Without the final dot it is not ours.
        return False


def arguments(parser):
    """Adds --server and --keep, and parses. From here on SIGTERM ends the script by its `finally`, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    here = pathlib.Path(__file__).resolve().parent.parent
    release, debug = here / "target/release/tabmail", here / "target/debug/tabmail"
    parser.add_argument("--server", type=pathlib.Path, default=release if release.exists() else debug)
    parser.add_argument("--keep", action="store_true", help="leave the MailRoot for a look")
    found = parser.parse_args()
    if not found.server.exists():
        raise SystemExit("build the server first: cargo build --release")
    return found
