"""The servers that scripts/bench and scripts/bench-imap compare: Tabmail, and private instances of Postfix and Dovecot, in one directory each."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import served

DOMAIN = served.DOMAIN
PASSWORD = "bench-pw"
# As many as the idle connections, for a mailbox has one POP3 session at a time in Tabmail.
ACCOUNTS = 600
START_SECS = 30
POSTFIX_CONFIGURATION = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {directory}/maillog
maillog_file_prefixes = {directory}
myhostname = mail.bench.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = hash:{directory}/mailboxes
virtual_mailbox_limit = 0
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
message_size_limit = 50000000
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = may
smtpd_tls_chain_files = {certificate}
smtpd_tls_session_cache_database =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
smtp_tls_security_level = none
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
"""
POSTFIX_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
virtual unix - n n - - virtual
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
"""
# Log-in processes are reused (the "high-performance mode" of Dovecot's manual), which is the stronger reference.
DOVECOT_CONFIGURATION = """
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
protocols = pop3 imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{directory}/mail/%n/Maildir
mail_max_userip_connections = 0
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail/%n
}}
default_client_limit = 20000
service anvil {{
  client_limit = 15000
}}
service auth {{
  client_limit = 15000
  unix_listener sasl {{
    mode = 0666
  }}
}}
service log {{
  client_limit = 15000
}}
service stats {{
  client_limit = 15000
}}
service pop3-login {{
  service_count = 0
  client_limit = 12000
  process_min_avail = 2
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
service pop3 {{
  service_count = 256
  process_limit = 12000
}}
service imap-login {{
  service_count = 0
  client_limit = 12000
  process_min_avail = 2
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service imap {{
  service_count = 256
  process_limit = 12000
}}
"""


def account(number):
    """smtp-source makes the addresses 1u, 2u, ... of u for the recipients of one message."""
    return f"{number}u" if number else "u"


def await_banner(port, banner):
    until = time.monotonic() + START_SECS
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
                if probe.recv(100).startswith(banner):
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"nothing answers on port {port}")


def processes_below(pid):
    """pid -> (user and system seconds, with those of children that ended)."""
    parents, seconds = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry))
            seconds[int(entry)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    found, waiting = {}, [pid]
    while waiting:
        one = waiting.pop()
        if one in seconds:
            found[one] = seconds[one]
            waiting += parents.get(one, [])
    return found


class Measured:
    """What is asked of each server; `pid` is the first of its processes."""

    def cpu_secs(self):
        return sum(processes_below(self.pid).values())

    def memory_bytes(self):
        """Proportional set size of all processes: resident memory, what several share counted once."""
        total = 0
        for pid in processes_below(self.pid):
            try:
                with open(f"/proc/{pid}/smaps_rollup") as rollup:
                    total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) * 1024
            except (OSError, StopIteration):
                pass
        return total

    def delivered(self, boxes):
        return sum(len(os.listdir(self.inbox(account(number)))) for number in boxes)

    def empty(self, boxes):
        """Moves what was delivered aside. Removing it would slow down whoever makes files next: ext4 without a journal
        passes over inodes for minutes after their files are gone, and the more so the more files a block makes."""
        aside = pathlib.Path(self.inbox(account(0))).parents[3] / "aside"
        aside.mkdir(exist_ok=True)
        for number in boxes:
            for entry in os.scandir(self.inbox(account(number))):
                os.rename(entry.path, aside / f"{number}.{time.monotonic_ns()}")


class Tabmail(served.Server, Measured):
    name = "Tabmail"

    def __init__(self, program, work, certificate, sink_port):
        self.pop3_port, self.pop3s_port, self.imap_port, self.imaps_port = served.free_ports(4)
        quiet = ["-F-", "-Y-", "-Sl", "-Pl", "-PI", f"127.0.0.1:{self.pop3_port}", "-BI", f"127.0.0.1:{self.pop3s_port}"]
        quiet += ["-Il", "-IX", "20000", "-II", f"127.0.0.1:{self.imap_port}", "-JI", f"127.0.0.1:{self.imaps_port}"]
        super().__init__(program, work, ["-PX", "20000", "-Pt", "1800"], quiet)
        self.add_accounts(map(account, range(ACCOUNTS)), PASSWORD)
        self.add("smtpfwd.tab", "far.test", f"127.0.0.1:{sink_port}")
        self.allow_relay()
        for file in ("server.cert", "server.key"):
            shutil.copy(certificate, self.root / file)
        self.version = subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.strip()

    def command(self):
        # POP3 with TLS, and IMAP, are wanted here.
        return [word for word in super().command() if word not in ("-B-", "-I-", "-J-")]

    def start(self):
        super().start()
        await_banner(self.pop3_port, b"+OK")
        self.pid = self.process.pid

    def queue_is_empty(self):
        return not self.spooled("mess", "rsnd")

    def owner(self):
        return -1, -1


class Postfix(Measured):
    name = "Postfix"

    def __init__(self, work, certificate, sink_port, sasl):
        self.directory, self.smtp_port = pathlib.Path(work), served.free_port()
        nobody = pwd.getpwnam("nobody")
        for name in ("queue", "data", "mail"):
            (self.directory / name).mkdir(parents=True)
        os.chown(self.directory / "data", pwd.getpwnam("postfix").pw_uid, -1)
        make_maildirs(self.directory / "mail", nobody)
        daemons = subprocess.run(["postconf", "-d", "-h", "daemon_directory"], capture_output=True, text=True).stdout.strip()
        values = dict(directory=self.directory, daemons=daemons, domain=DOMAIN, uid=nobody.pw_uid, gid=nobody.pw_gid)
        main = POSTFIX_CONFIGURATION.format(certificate=certificate, sink=sink_port, sasl=sasl, **values)
        (self.directory / "main.cf").write_text(main)
        (self.directory / "master.cf").write_text(POSTFIX_SERVICES.format(port=self.smtp_port))
        rows = [f"{account(n)}@{DOMAIN} {account(n)}/Maildir/\n" for n in range(ACCOUNTS)]
        (self.directory / "mailboxes").write_text("".join(rows))
        subprocess.run(["postmap", "-c", self.directory, f"hash:{self.directory}/mailboxes"], check=True)
        version = subprocess.run(["postconf", "-d", "-h", "mail_version"], capture_output=True, text=True).stdout
        self.version = f"Postfix {version.strip()}"

    def start(self):
        subprocess.run(["postfix", "-c", self.directory, "start"], check=True, capture_output=True)
        await_banner(self.smtp_port, b"220")
        self.pid = int((self.directory / "queue/pid/master.pid").read_text())

    def stop(self):
        subprocess.run(["postfix", "-c", self.directory, "stop"], capture_output=True)

    def inbox(self, name):
        return self.directory / "mail" / name / "Maildir/new"

    def queue_is_empty(self):
        states = ("incoming", "active", "deferred")
        return not any(files for state in states for _, _, files in os.walk(self.directory / "queue" / state))


class Dovecot(Measured):
    name = "Dovecot"

    def __init__(self, work, certificate):
        self.directory, self.process = pathlib.Path(work), None
        self.pop3_port, self.pop3s_port, self.imap_port, self.imaps_port = served.free_ports(4)
        nobody = pwd.getpwnam("nobody")
        for name in ("run", "state", "mail"):
            (self.directory / name).mkdir(parents=True)
        make_maildirs(self.directory / "mail", nobody)
        rows = [f"{account(n)}@{DOMAIN}:{{PLAIN}}{PASSWORD}\n" for n in range(ACCOUNTS)]
        (self.directory / "users").write_text("".join(rows))
        values = dict(pop3=self.pop3_port, pop3s=self.pop3s_port, imap=self.imap_port, imaps=self.imaps_port)
        values.update(uid=nobody.pw_uid, gid=nobody.pw_gid)
        text = DOVECOT_CONFIGURATION.format(directory=self.directory, certificate=certificate, **values)
        (self.directory / "dovecot.conf").write_text(text)
        self.sasl = self.directory / "run/sasl"
        version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True).stdout
        self.version = f"Dovecot {version.split()[0]}"

    def start(self):
        command = ["dovecot", "-F", "-c", self.directory / "dovecot.conf"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        await_banner(self.pop3_port, b"+OK")
        self.pid = self.process.pid

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(START_SECS)

    def owner(self):
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid

    def inbox(self, name):
        return self.directory / "mail" / name / "Maildir/new"


def make_maildirs(above, owner):
    os.chown(above, owner.pw_uid, owner.pw_gid)
    for number in range(ACCOUNTS):
        maildir = above / account(number) / "Maildir"
        served.make_maildir(maildir)
        for directory in (maildir.parent, maildir, *maildir.iterdir()):
            os.chown(directory, owner.pw_uid, owner.pw_gid)


class SmtpSink:
    """smtp-sink of the Postfix package; `taken` is its count of messages."""

    def __init__(self, port):
        self.port, self.taken = port, 0
        command = ["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{port}", "1000"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        # It prints its counters all the time, and waits when nobody reads them.
        threading.Thread(target=self.read, daemon=True).start()
        await_banner(port, b"220")

    def read(self):
        seen = b""
        while piece := os.read(self.process.stdout.fileno(), 65536):
            seen = (seen + piece)[-1000:]
            if counts := re.findall(rb"mesg=\s*(\d+)\s", seen):
                self.taken = int(counts[-1])

    def stop(self):
        self.process.kill()
        self.process.wait()
