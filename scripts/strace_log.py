"""Reads what strace recorded of a server, for scripts/crash: each call that changes files goes to a Disk, in order; each
answer to a client is kept with its line.

Calls of several threads overlap: a change counts from the line where its call has returned, a sync covers what had
returned before it was called, an answer counts from the line where its call begins. That is the least the program may
rely on. Calls that would change files in ways that this does not follow (io_uring, shared writable mappings) end the
script, and the tree is compared with the real one after every life: what cannot be read cannot pass for proof.
"""

import random
import re

from disk_model import PAGE_BYTES, Disk, Inode

CALLS = (
    "open openat creat close read readv write writev pwrite64 pwritev pwritev2 sendto sendmsg sendfile copy_file_range lseek "
    "ftruncate truncate fallocate rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat rmdir mkdir mkdirat "
    "fsync fdatasync sync syncfs accept accept4 dup dup2 dup3 fcntl clone clone3 fork vfork mmap splice io_uring_setup"
).split()
# As numbers only: what was read would double the log.
RAW = ["read", "readv"]
LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.S)
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(?: .*)?$", re.S)
RESUMED = re.compile(r"<\.\.\. \S+ resumed>(.*)", re.S)
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
OPEN_TO_CHANGE = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")


class NotUnderstood(Exception):
    pass


class Descriptor:
    def __init__(self, inode=None, flags="", port=None):
        self.inode, self.flags, self.port, self.position = inode, flags, port, 0


class Recording:
    """`disk`; `answers`: evidence -> line; `times`: the clock at each line; `marks`, `deaths`: lines worth a cut."""

    def __init__(self, root, disk, lives):
        """`lives`: the real tree when the server was dead, by the number that the log's shell wrote then."""
        self.root, self.disk, self.lives = root.rstrip("/"), disk, lives
        self.answers, self.times, self.marks, self.deaths, self.checked = {}, [], [], [], 0
        self.descriptors, self.processes, self.unfinished = {}, {}, {}
        self.talks, self.appended = {}, set()
        self.shell = None

    def read(self, path):
        with open(path, encoding="ascii", errors="replace") as log:
            for number, text in enumerate(log):
                self.line(number, text.rstrip("\n"))

    def line(self, number, text):
        found = LINE.match(text)
        if not found:
            raise NotUnderstood(text[:200])
        thread, clock, rest = int(found[1]), float(found[2]), found[3]
        self.times.append(clock)
        if self.shell is None:
            self.shell = thread
        # A thread that was killed before strace knew what it does did nothing.
        if rest.startswith(("+++", "---", "???")):
            return
        if rest.endswith("<unfinished ...>"):
            call = rest.removesuffix("<unfinished ...>").rstrip()
            self.unfinished[thread] = (number, call)
            self.begin(number, thread, call)
            return
        begun = number
        if resumed := RESUMED.match(rest):
            if thread not in self.unfinished:
                return
            begun, call = self.unfinished.pop(thread)
            rest = call + resumed[1]
        else:
            self.begin(number, thread, rest)
        call = CALL.match(rest)
        if not call:
            raise NotUnderstood(rest[:200])
        if call[3] == "?":
            self.unfinished[thread] = (begun, rest)
        else:
            self.end(begun, number, thread, call[1], call[2], int(call[3], 0))

    # What counts from the moment the call begins

    def begin(self, number, thread, call):
        name, _, arguments = call.partition("(")
        if name == "close" and (number_of := re.match(r"\d+", arguments)):
            self.table(thread).pop(int(number_of[0]), None)
        elif name in ("sendto", "sendmsg", "write", "writev"):
            first = re.match(r"\d+", arguments)
            descriptor = self.table(thread).get(int(first[0])) if first else None
            if descriptor and descriptor.port:
                self.say(number, descriptor.port, payload(arguments))
            elif thread == self.shell and first and first[0] == "1":
                self.mark(number, payload(arguments).decode())

    def say(self, number, port, data):
        """An answer on a connection: which promise is it?"""
        talk = self.talks.setdefault(port, {"asked": False, "answered": 0})
        for line in data.splitlines():
            if line.startswith(b"354"):
                talk["asked"] = True
            elif talk["asked"] and line[:3].isdigit():
                talk["asked"] = False
                if line.startswith(b"250"):
                    talk["answered"] += 1
                    self.answers["smtp", port, talk["answered"]] = number
                    self.marks.append(number)
        if data.startswith(b"+OK"):
            # The last one is QUIT's.
            self.answers["pop3", port] = number

    def mark(self, number, text):
        """What the shell reports."""
        word, _, rest = text.strip().partition(" ")
        if word == "sent":
            self.answers["drop", rest] = number
            self.marks.append(number)
        elif word == "dead":
            self.settle(number, self.lives[int(rest)])

    # A server that was killed

    def settle(self, number, tree):
        """Calls that were cut off: done or not? The real tree tells. Then model and reality must be the same."""
        self.deaths.append(number)
        written = []
        cut_off = [call for thread, call in self.unfinished.items() if thread != self.shell]
        for _, call in sorted(cut_off):
            name, _, arguments = call.partition("(")
            written += self.settle_call(number, name, arguments, tree)
        self.unfinished = {thread: call for thread, call in self.unfinished.items() if thread == self.shell}
        for inode in written:
            path = next((path for path, at in self.paths() if at is inode), None)
            if path is not None and path in tree:
                write_difference(inode, number, tree[path])
        self.descriptors = {key: table for key, table in self.descriptors.items() if key == self.shell}
        self.processes.clear()
        self.compare(tree)

    def settle_call(self, number, name, arguments, tree):
        """Returns files that may have been written to."""
        paths = [self.inside(data.decode(errors="replace")) for data in payloads(arguments)[:2]]
        if name.startswith("rename") and len(paths) == 2 and None not in paths:
            if paths[0] not in tree and self.disk.find(paths[0]) is not None:
                self.rename(number, *paths)
        elif name.startswith("link") and len(paths) == 2 and paths[1] in tree and self.disk.find(paths[1]) is None:
            self.link(number, self.disk.find(paths[0]), paths[1])
        elif name in ("unlink", "unlinkat", "rmdir") and paths and paths[0] is not None:
            if paths[0] not in tree and self.disk.find(paths[0]) is not None:
                self.unlink(number, paths[0])
        elif name.startswith("mkdir") and paths and paths[0] in tree and self.disk.find(paths[0]) is None:
            self.create(number, paths[0], None)
        elif name.startswith("open") and paths and paths[0] in tree:
            inode = self.disk.find(paths[0])
            if inode is None:
                self.create(number, paths[0], b"")
            elif "O_TRUNC" in arguments:
                return [inode]
        elif name in ("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate", "copy_file_range", "sendfile"):
            numbers = {int(text) for text in re.findall(r"\b\d+\b", TEXT.sub("", arguments))}
            opened = [one for table in self.descriptors.values() for fd, one in table.items() if fd in numbers]
            return [one.inode for one in opened if one.inode is not None and one.inode.names is None]
        return []

    def paths(self):
        waiting = [("", self.disk.root)]
        while waiting:
            path, inode = waiting.pop()
            for name, child in inode.names.items():
                below = f"{path}/{name}" if path else name
                yield below, child
                if child.names is not None:
                    waiting.append((below, child))

    def compare(self, tree):
        model = self.disk.tree()
        same = lambda path: path in model and path in tree and model[path] == tree[path]
        wrong = [path for path in model.keys() | tree.keys() if not same(path)]
        wrong = [path for path in wrong if not self.is_other_order(path, tree.get(path))]
        if wrong:
            path = sorted(wrong)[0]
            size = lambda tree: "missing" if path not in tree else len(tree[path] or "")
            raise NotUnderstood(
                f"{len(wrong)} paths are not as the recorded calls say, e.g. {path}: {size(model)} bytes recorded, "
                f"{size(tree)} on the disk"
            )
        self.checked += 1

    def is_other_order(self, path, content):
        """Lines that several threads appended to a log at the same time may stand there in another order."""
        inode = self.disk.find(path)
        if inode is None or content is None or inode not in self.appended:
            return False
        same = sorted(bytes(inode.content).splitlines()) == sorted(content.splitlines())
        if same:
            inode.content = bytearray(content)
        return same

    # Calls that have returned

    def end(self, begun, number, thread, name, arguments, result):
        if name in ("clone", "clone3", "fork", "vfork"):
            if result > 0:
                self.processes[result] = self.process(thread) if "CLONE_THREAD" in arguments else result
            return
        if result < 0:
            if name in ("fsync", "fdatasync", "syncfs"):
                raise NotUnderstood(f"a sync failed: {name}({arguments})")
            return
        handler = getattr(self, "do_" + name, None)
        if handler:
            handler(begun, number, self.table(thread), arguments, result)

    def process(self, thread):
        if thread not in self.processes:
            # A new thread may be seen before the call that made it has returned.
            makers = [maker for maker, (_, call) in self.unfinished.items() if call.startswith("clone") and "CLONE_THREAD" in call]
            self.processes[thread] = self.processes[makers[0]] if makers else thread
        return self.processes[thread]

    def table(self, thread):
        return self.descriptors.setdefault(self.process(thread), {})

    def inside(self, path):
        """Below the MailRoot, without a leading slash; None for other paths."""
        if path == self.root:
            return ""
        return path.removeprefix(self.root + "/") if path.startswith(self.root + "/") else None

    def path(self, table, arguments):
        """The first path of the arguments, with its directory descriptor."""
        text = TEXT.search(arguments)
        path = unhex(text[1]).decode()
        before = arguments[: text.start()].rstrip(", ")
        holder = table[int(before)].inode if before.isdigit() and int(before) in table else None
        if not path.startswith("/") and holder is not None:
            above = "" if holder is self.disk.root else next((at for at, inode in self.paths() if inode is holder), None)
            return None if above is None else f"{above}/{path}".strip("/")
        return self.inside(path)

    def create(self, number, path, content):
        directory, name = self.disk.find_holder(path)
        inode = Inode(content)
        self.disk.change(number, [(directory, name, inode)], directory)
        self.marks.append(number)
        return inode

    def rename(self, number, source, target):
        (from_dir, from_name), (to_dir, to_name) = self.disk.find_holder(source), self.disk.find_holder(target)
        inode = from_dir.names.get(from_name)
        if inode is None:
            # A socket: it is in neither tree. Were it a file, the comparison would miss it.
            return
        self.disk.change(number, [(from_dir, from_name, None), (to_dir, to_name, inode)], to_dir)
        self.marks.append(number)

    def link(self, number, inode, path):
        directory, name = self.disk.find_holder(path)
        self.disk.change(number, [(directory, name, inode)], directory)
        self.marks.append(number)

    def unlink(self, number, path):
        directory, name = self.disk.find_holder(path)
        if name in directory.names:
            self.disk.change(number, [(directory, name, None)], directory)
        self.marks.append(number)

    def do_openat(self, begun, number, table, arguments, result):
        path = self.path(table, arguments)
        if path is None:
            table[result] = Descriptor()
            return
        inode = self.disk.find(path)
        flags = TEXT.sub("", arguments)
        if "O_TMPFILE" in flags:
            raise NotUnderstood("O_TMPFILE")
        if inode is None and "O_CREAT" in flags:
            inode = self.create(number, path, b"")
        elif inode is None and OPEN_TO_CHANGE.search(flags):
            raise NotUnderstood(f"written, but not known: {path}")
        elif "O_TRUNC" in flags and inode.content:
            inode.truncate(number, 0)
        table[result] = Descriptor(inode, flags)

    do_open = do_openat

    def do_creat(self, *_):
        raise NotUnderstood("creat")

    def do_accept4(self, begun, number, table, arguments, result):
        port = re.search(r"htons\((\d+)\)", arguments)
        table[result] = Descriptor(port=int(port[1]) if port else None)
        if port:
            self.talks.pop(int(port[1]), None)

    do_accept = do_accept4

    def do_dup(self, begun, number, table, arguments, result):
        table[result] = table.get(int(arguments.split(",")[0]), Descriptor())

    do_dup2 = do_dup3 = do_dup

    def do_fcntl(self, begun, number, table, arguments, result):
        if "F_DUPFD" in arguments:
            self.do_dup(begun, number, table, arguments, result)

    def file(self, table, arguments):
        """The descriptor of the first argument, if it is one of a file in the MailRoot."""
        first = re.match(r"\d+|0x[0-9a-f]+", arguments)
        descriptor = table.get(int(first[0], 0)) if first else None
        return descriptor if descriptor and descriptor.inode is not None else None

    def do_read(self, begun, number, table, arguments, result):
        if file := self.file(table, arguments):
            file.position += result

    do_readv = do_read

    def do_lseek(self, begun, number, table, arguments, result):
        if file := self.file(table, arguments):
            file.position = result

    def do_write(self, begun, number, table, arguments, result):
        if file := self.file(table, arguments):
            at = file.position
            if "O_APPEND" in file.flags:
                at = len(file.inode.content)
                self.appended.add(file.inode)
            self.put(begun, number, file, at, payload(arguments)[:result], arguments)
            file.position = at + result

    do_writev = do_write

    def do_pwrite64(self, begun, number, table, arguments, result):
        if file := self.file(table, arguments):
            at = int(re.findall(r"\d+", TEXT.sub("", arguments))[-1])
            self.put(begun, number, file, at, payload(arguments)[:result], arguments)

    def do_pwritev(self, *_):
        raise NotUnderstood("pwritev")

    do_pwritev2 = do_splice = do_truncate = do_symlink = do_symlinkat = do_pwritev

    def put(self, begun, number, file, at, data, arguments=""):
        file.inode.write(number, at, data)
        if "O_DSYNC" in file.flags or "O_SYNC" in file.flags:
            # What was written by this call is safe when it returns; the model's syncs cover earlier lines only.
            file.inode.syncs.append((number + 1, number))
        self.marks.append(number)

    def do_copy_file_range(self, begun, number, table, arguments, result):
        parts = [part.strip() for part in arguments.split(",")]
        source, target = table.get(int(parts[0])), table.get(int(parts[2]))
        if not target or target.inode is None:
            return
        if not source or source.inode is None or parts[1] != "NULL" or parts[3] != "NULL":
            raise NotUnderstood(f"copy_file_range({arguments})")
        data = bytes(source.inode.content[source.position : source.position + result])
        self.put(begun, number, target, target.position, data)
        source.position += result
        target.position += result

    def do_sendfile(self, begun, number, table, arguments, result):
        parts = [part.strip() for part in arguments.split(",")]
        source = table.get(int(parts[1]))
        if self.file(table, arguments):
            if not source or source.inode is None or parts[2] != "NULL":
                raise NotUnderstood(f"sendfile({arguments})")
            data = bytes(source.inode.content[source.position : source.position + result])
            target = self.file(table, arguments)
            self.put(begun, number, target, target.position, data)
            target.position += result
        if source and parts[2] == "NULL":
            source.position += result

    def do_ftruncate(self, begun, number, table, arguments, result):
        if file := self.file(table, arguments):
            file.inode.truncate(number, int(arguments.split(",")[1]))
            self.marks.append(number)

    def do_fallocate(self, begun, number, table, arguments, result):
        if file := self.file(table, arguments):
            _, mode, offset, length = [part.strip() for part in arguments.split(",")]
            end = int(offset) + int(length)
            if mode in ("0", "FALLOC_FL_ZERO_RANGE"):
                if mode != "0":
                    file.inode.write(number, int(offset), bytes(int(length)))
                elif end > len(file.inode.content):
                    file.inode.truncate(number, end)
            elif mode != "FALLOC_FL_KEEP_SIZE":
                raise NotUnderstood(f"fallocate({arguments})")

    def do_renameat2(self, begun, number, table, arguments, result):
        paths = [self.inside(data.decode()) for data in payloads(arguments)]
        if paths == [None, None]:
            return
        if len(paths) != 2 or None in paths or "RENAME_EXCHANGE" in arguments:
            raise NotUnderstood(f"rename: {payloads(arguments)}")
        self.rename(number, *paths)

    do_rename = do_renameat = do_renameat2

    def do_linkat(self, begun, number, table, arguments, result):
        source, target = [self.inside(data.decode()) for data in payloads(arguments)]
        if target is None:
            return
        inode = self.disk.find(source) if source is not None else None
        if inode is None:
            raise NotUnderstood(f"link: {payloads(arguments)}")
        self.link(number, inode, target)

    do_link = do_linkat

    def do_unlinkat(self, begun, number, table, arguments, result):
        path = self.path(table, arguments)
        if path is not None:
            self.unlink(number, path)

    do_unlink = do_rmdir = do_unlinkat

    def do_mkdirat(self, begun, number, table, arguments, result):
        path = self.path(table, arguments)
        if path is not None:
            self.create(number, path, None)

    do_mkdir = do_mkdirat

    def do_fsync(self, begun, number, table, arguments, result):
        if file := self.file(table, arguments):
            file.inode.syncs.append((begun, number))
            self.marks.append(begun)
            self.marks.append(number)

    do_fdatasync = do_fsync

    def do_syncfs(self, begun, number, table, arguments, result):
        if self.file(table, arguments):
            self.disk.syncs.append((begun, number))

    def do_sync(self, begun, number, table, arguments, result):
        self.disk.syncs.append((begun, number))

    def do_mmap(self, begun, number, table, arguments, result):
        parts = [part.strip() for part in arguments.split(",")]
        if "PROT_WRITE" in parts[2] and "MAP_SHARED" in parts[3] and parts[4].isdigit():
            if (mapped := table.get(int(parts[4]))) and mapped.inode is not None:
                raise NotUnderstood("a shared writable mapping of a file")

    def do_io_uring_setup(self, *_):
        raise NotUnderstood("io_uring: its writes are not seen by strace")


def write_difference(inode, number, content):
    """What a call that was cut off has written: the rest of the file stays as safe as it was."""
    if len(inode.content) != len(content):
        inode.truncate(number, len(content))
    differing = [at for at in range(0, len(content), PAGE_BYTES) if differs(inode.content, content, at)]
    for at in differing:
        inode.write(number, at, content[at : at + PAGE_BYTES])


def differs(one, other, at):
    return one[at : at + PAGE_BYTES] != other[at : at + PAGE_BYTES]


def unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


def payloads(arguments):
    found = []
    for text in TEXT.finditer(arguments):
        if text[2]:
            raise NotUnderstood("strace cut a string")
        found.append(unhex(text[1]))
    return found


def payload(arguments):
    return b"".join(payloads(arguments))


def self_test():
    """Returns what is wrong with the model itself: a call that a SIGKILL cut off takes nothing from what was synced before."""
    hexed = lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode())
    synced, cut_off = "A" * PAGE_BYTES, "B" * PAGE_BYTES
    disk = Disk({})
    trace = Recording("/r", disk, {0: {"j": (synced + cut_off).encode()}})
    lines = [
        f'1 1.0 write(1, "{hexed("up")}", 2) = 2',
        "1 1.1 clone(child_stack=NULL, flags=SIGCHLD) = 2",
        f'2 1.2 openat(AT_FDCWD, "{hexed("/r/j")}", O_RDWR|O_CREAT, 0600) = 5',
        f'2 1.3 pwrite64(5, "{hexed(synced)}", {PAGE_BYTES}, 0) = {PAGE_BYTES}',
        "2 1.4 fdatasync(5) = 0",
        f'2 1.5 openat(AT_FDCWD, "{hexed("/r")}", O_RDONLY) = 6',
        "2 1.6 fsync(6) = 0",
        f'2 1.7 pwrite64(5, "{hexed(cut_off)}", {PAGE_BYTES}, {PAGE_BYTES} <unfinished ...>',
        "2 1.8 +++ killed by SIGKILL +++",
        f'1 1.9 write(1, "{hexed("dead 0")}", 6) = 6',
    ]
    for number, text in enumerate(lines):
        trace.line(number, text)
    for data in ("none", "all", "prefix", "pages", "zeros"):
        for names in ("ordered-least", "ordered-all", "any-least"):
            left = disk.after_cut(len(lines), names, data, random.Random(data))
            if not left.get("j", b"").startswith(synced.encode()):
                return f"{names}, {data}: synced content is gone"
    return ""
