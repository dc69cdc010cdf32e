"""The power-cut part of scripts/crash: records a server under strace, and starts it on what power cuts would leave."""

import bisect
import concurrent.futures
import dataclasses
import multiprocessing
import os
import pathlib
import random
import shlex
import shutil
import stat
import subprocess
import tempfile
import threading
import time

import strace_log
from disk_model import Disk
from ledger import (
    FETCHER,
    WINDOW_SECS,
    Counts,
    Deferring,
    Found,
    Ledger,
    Load,
    Verdict,
    drain,
    new_server,
    recipient,
    same_on,
    serial_of,
)
from pop3_source import Source

STATES_PER_RECORDING = 60
# So many system calls behind a death the server is about to have started again.
START_LINES = 3000
LIVES = 4
LIFE_SECS = (0.3, 2.5)
WORKERS = 2
# A message that waits for its retry comes after 1 s; what is still missing then has been lost. With a planted fault there
# is no need to give the server every chance.
PATIENCE_SECS, PATIENCE_WITH_FAULT_SECS = 8, 2
# Directories with states that were wrong, in TMPDIR; older ones count too.
KEPT, KEPT_MAX = "crash-state-", 3
NAMES = ["ordered-least", "ordered-least", "ordered-some", "ordered-all", "any-least", "any-some"]
DATA = ["none", "none", "all", "prefix", "pages", "zeros", "mixed", "mixed"]
FAULTS = {
    "data": "synced content is dropped",
    "names": "synced names are dropped",
    "ledger": "the ledger has a message that was never sent",
}
# What the traced shell does: lives and deaths of the server, and `sendmail`, in one log with one order.
SHELL = """
while read -r word number command; do
    case $word in
        serve) eval "exec $command" & server=$!; echo "up $number" ;;
        kill) kill -s "$command" $server; wait $server 2>/dev/null; echo "dead $number" ;;
        send) if eval "$command"; then echo "sent $number"; else echo "failed $number"; fi ;;
    esac
done
kill -s KILL $server 2>/dev/null
"""


class Traced:
    """The shell under strace. One command at a time."""

    def __init__(self, log, environment, output):
        self.lock = threading.Lock()
        command = ["strace", "-f", "--seccomp-bpf", "-ttt", "-xx", "-s", "100000000", "-e", "signal=none", "-o", str(log)]
        command += ["-e", "trace=" + ",".join(strace_log.CALLS), "-e", "raw=" + ",".join(strace_log.RAW), "sh", "-c", SHELL]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env=environment, text=True, bufsize=1
        )

    def __call__(self, word, number, *command):
        with self.lock:
            self.process.stdin.write(f"{word} {number} {shlex.join(map(str, command))}\n")
            line = self.process.stdout.readline()
        if not line:
            raise SystemExit("strace ended early")
        return line.split()[0]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


@dataclasses.dataclass
class Recorded:
    """What a check of states needs."""

    trace: strace_log.Recording
    ledger: Ledger
    server: object
    deliveries: list
    sink_port: int

    def summary(self):
        trace = self.trace
        return (
            f"{len(trace.times)} system calls, {trace.checked} lives, {len(self.ledger.promised)} recipients answered 250, "
            f"{len(trace.disk.changes)} changes of names"
        )


def tree_of(root):
    """Path -> content, or None for a directory. Sockets have nothing to lose."""
    tree = {}
    for directory, directories, files in os.walk(root):
        below = os.path.relpath(directory, root)
        above = "" if below == "." else f"{below}/"
        tree.update({above + name: None for name in directories})
        for name in files:
            path = os.path.join(directory, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file:
                    tree[above + name] = file.read()
    return tree


def record(program, work, lives=LIVES):
    """Some lives of a server under load, all but the last ended by SIGKILL."""
    sink, ledger, work = Deferring(), Ledger(), pathlib.Path(work)
    server = new_server(program, work, sink, Source(ledger, FETCHER).port)
    start, trees = tree_of(server.root), {}
    environment = {**os.environ, "MAIL_ROOT": str(server.root), "XMAIL_PID_DIR": str(server.root)}
    with open(server.output, "ab") as output:
        traced = Traced(work / "trace", environment, output)
    try:
        traced("serve", 0, *server.command())
        server.await_smtp(lambda: traced.process.poll() is None)
        load = Load(server, ledger, lambda serial, places, path: drop(server, traced, serial, places, path))
        for life in range(lives):
            ledger.first_answer.clear()
            ledger.first_answer.wait(10)
            time.sleep(random.uniform(*LIFE_SECS))
            is_last = life == lives - 1
            if is_last:
                load.stop()
            traced("kill", life, "TERM" if is_last else "KILL")
            trees[life] = tree_of(server.root)
            if not is_last:
                traced("serve", life + 1, *server.command())
    finally:
        traced.end()
    trace = strace_log.Recording(str(server.root), Disk(start), trees)
    trace.read(work / "trace")
    for evidence in ledger.promised.values():
        if evidence[0] == "clock":
            trace.answers[evidence] = bisect.bisect(trace.times, evidence[1])
    missing = [evidence for evidence in ledger.promised.values() if evidence not in trace.answers]
    if missing:
        raise strace_log.NotUnderstood(f"{len(missing)} answers are not in the trace, e.g. {missing[0]}")
    return Recorded(trace, ledger, server, list(sink.deliveries), sink.server_address[1])


def drop(server, traced, serial, places, path):
    command = [server.program, "sendmail", "-i", "-f", "script@script.test", "--input-file", path, "--"]
    return traced("send", serial, *command, *map(recipient, places)) == "sent"


@dataclasses.dataclass
class State:
    """One state that a power cut leaves, and what was found on it."""

    seed: int
    cut: int
    names: str
    data: str
    verdict: Verdict = None
    start_secs: float = 0
    wrong: str = ""


def choose(recorded, count):
    """Cuts just behind answers and changes, while the server starts on what a SIGKILL has left, and anywhere."""
    trace, states = recorded.trace, []
    answers = sorted(line for line in trace.answers.values() if line < len(trace.times))
    for number in range(count):
        start = min(random.choice(trace.deaths) + random.randrange(START_LINES), len(trace.times) - 1)
        line = [random.choice(answers), random.choice(trace.marks), start, random.randrange(len(trace.times))][number % 4]
        states.append(State(random.randrange(10**9), line, random.choice(NAMES), random.choice(DATA)))
    return states


# Set before the workers are forked: they see the recording without copying it.
RECORDED, FAULT, PLACE = None, None, None


def check_states(program, recorded, count, work, fault=None):
    """Returns (what is wrong, the states)."""
    global RECORDED, FAULT, PLACE
    # Building trees is faster in memory; what is found there does not depend on the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else work
    PLACE = tempfile.mkdtemp(prefix="crash.", dir=memory)
    RECORDED, FAULT = recorded, fault
    context = multiprocessing.get_context("fork")
    try:
        with concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
            states = list(pool.map(check_state, choose(recorded, count)))
    finally:
        shutil.rmtree(PLACE, ignore_errors=True)
    label = lambda state: f"[cut {state.cut}, {state.names}, {state.data}, seed {state.seed}]"
    wrong = [f"{label(state)} {state.wrong}" for state in states if state.wrong]
    if wrong:
        wrong[0] = f"{len(wrong)} of {count} states: {wrong[0]}"
    return "; ".join(wrong[:3]), states


def check_state(state):
    """In a worker: builds the tree, starts the server on it, lets it deliver, and checks the ledger."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="state.", dir=PLACE))
    sink = Deferring(defers=False)
    try:
        build(work / "MailRoot", state, sink.server_address[1])
        server = same_on(RECORDED.server, work)
        ledger = Then(RECORDED, state.cut)
        # What was deleted and is there before the server runs was not deleted durably.
        before = Found(server, sink).delivered
        try:
            state.start_secs = server.start()
            drain(server, ledger.wanted(), sink, ledger.deliveries, PATIENCE_WITH_FAULT_SECS if FAULT else PATIENCE_SECS)
            server.stop()
        except SystemExit as stopped:
            state.wrong = f"the server did not start: {stopped}"
            return state
        found = Found(server, sink, ledger.deliveries)
        state.verdict = ledger.verdict(found, lambda key: key in before and not ledger.came_back(key))
        state.wrong = state.verdict.wrong()
        return state
    finally:
        if state.wrong and not FAULT:
            keep_for_a_look(state, work)
        shutil.rmtree(work, ignore_errors=True)
        sink.shutdown()
        sink.server_close()


def keep_for_a_look(state, work):
    kept = pathlib.Path(tempfile.gettempdir())
    if len(list(kept.glob(f"{KEPT}*"))) < KEPT_MAX:
        shutil.copytree(work, kept / f"{KEPT}{state.seed}", dirs_exist_ok=True)
        state.wrong += f" (kept in {kept}/{KEPT}{state.seed})"


class Then:
    """The ledger as it stood at the cut."""

    def __init__(self, recorded, cut):
        ledger, answers, clock = recorded.ledger, recorded.trace.answers, recorded.trace.times[cut]
        self.cut = cut
        self.deliveries = [one for one in recorded.deliveries if one[2] < clock]
        self.promised = {key for key, evidence in ledger.promised.items() if answers[evidence] <= cut}
        if FAULT == "ledger":
            self.promised.add(("never-sent", "anna"))
        self.deleted, self.picked_up = set(), ledger.picked_up
        self.unsure = {key for key, begun in ledger.unsure.items() if begun < clock}
        for key, (evidence, begun) in ledger.deleted.items():
            if answers[evidence] <= cut:
                self.deleted.add(key)
            elif begun < clock:
                self.unsure.add(key)

    def wanted(self):
        return [key for key in self.promised if key not in self.deleted and key not in self.unsure]

    def came_back(self, key):
        """Whether a life after a SIGKILL has delivered it again in time, which is the named window, and not the power cut."""
        trace, (evidence, begun) = RECORDED.trace, RECORDED.ledger.deleted[key]
        inbox = trace.disk.find(RECORDED.server.inbox(key[1]).relative_to(RECORDED.server.root).as_posix())
        later = (change for change in trace.disk.changes if trace.answers[evidence] < change.line <= self.cut)
        arrived = ((change.line, inode) for change in later for holder, _, inode in change.steps if holder is inbox and inode)
        return any(
            trace.times[line] < begun + WINDOW_SECS and serial_of(bytes(inode.content)) == key[0] for line, inode in arrived
        )

    def verdict(self, found, is_late):
        return Verdict(found, self.promised, self.deleted, self.unsure, self.picked_up, is_late)


def build(root, state, sink_port):
    """Writes the state's tree, with the port of another sink."""
    chance = random.Random(state.seed)
    tree = RECORDED.trace.disk.after_cut(state.cut, state.names, state.data, chance, FAULT)
    old = f"127.0.0.1:{RECORDED.sink_port}".encode()
    root.mkdir(mode=0o700)
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            os.mkdir(f"{root}/{path}", 0o700)
            continue
        if path == "smtpfwd.tab":
            content = content.replace(old, b"127.0.0.1:%d" % sink_port)
        with open(f"{root}/{path}", "wb") as file:
            file.write(content)


def summary(parts, seconds):
    states, counts = [state for part in parts for state in part], Counts()
    for state in states:
        if state.verdict:
            counts.add(state.verdict)
    return (
        f"power      {len(states)} states of {len(parts)} recordings: {counts}; slowest start "
        f"{max(state.start_secs for state in states):.2f} s; {seconds:.0f} s"
    )
