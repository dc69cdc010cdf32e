"""What scripts/crash knows of a disk: files, names, what was synced when, and what a power cut may leave of them.

The model is of a journaling file system, and on the strict side of what POSIX promises:

- A file's content is safe after fsync or fdatasync of that file, or syncfs; only what was written before the call began.
  Of the rest any pages of 4096 bytes may be there, or zeros in their place, or a part of the bytes, or nothing.
- A name (created, renamed, linked, unlinked) is safe after fsync of the directory that holds it: for a rename, the one it
  came into. That a sync of a file keeps its name too, as ext4 has it, is not relied upon.
- Of the names that are not safe: *ordered*: the journal was written up to some moment, so each change before that moment
  is there and none after it (ext4, XFS). *any*: each one by itself (what is left of the order on other file systems).
- A rename is there as a whole or not at all.
"""

PAGE_BYTES = 4096


class Inode:
    """A file (`content`, and what was done to it), or a directory (`names`). Lines are the trace's: see `line`."""

    def __init__(self, content=None):
        self.names = None if content is not None else {}
        self.start = bytes(content or b"")
        self.content = bytearray(self.start)
        self.changes = []  # (line of the exit, offset, bytes), or (line, size, None) for a truncation
        self.syncs = []  # (line of the entry, line of the exit)
        self.known = {}

    def write(self, line, offset, data):
        self.changes.append((line, offset, bytes(data)))
        put(self.content, offset, data)

    def truncate(self, line, size):
        self.changes.append((line, size, None))
        resize(self.content, size)

    def synced_at(self, cut, more=()):
        """The last line whose earlier changes are safe at the cut."""
        return max((entry for entry, end in [*self.syncs, *more] if end <= cut), default=-1)

    def content_after(self, count):
        """The content after so many changes."""
        if count not in self.known:
            content = bytearray(self.start)
            for change in self.changes[:count]:
                apply(content, change)
            self.known[count] = bytes(content)
        return self.known[count]


def put(content, offset, data):
    if offset > len(content):
        resize(content, offset)
    content[offset : offset + len(data)] = data


def resize(content, size):
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def apply(content, change):
    _, position, data = change
    if data is None:
        resize(content, position)
    else:
        put(content, position, data)


class Change:
    """One change of names: `steps` are (directory, name, inode or None), done together; `holder` is what must be synced."""

    def __init__(self, line, steps, holder):
        self.line, self.steps, self.holder = line, steps, holder


class Disk:
    """A tree as it was at the start, and everything that was done to it since."""

    def __init__(self, tree):
        """`tree`: path without a leading slash -> content, or None for a directory."""
        self.root, self.changes, self.syncs = Inode(), [], []
        for path in sorted(tree):
            directory, name = self.find_holder(path)
            directory.names[name] = Inode(tree[path])
        self.at_start = snapshot_names(self.root)

    def find(self, path):
        inode = self.root
        for part in path.split("/") if path else ():
            if inode is None or inode.names is None:
                return None
            inode = inode.names.get(part)
        return inode

    def find_holder(self, path):
        above, _, name = path.rpartition("/")
        return self.find(above), name

    def change(self, line, steps, holder):
        self.changes.append(Change(line, steps, holder))
        enter(steps)

    def tree(self):
        return flatten(self.root, lambda inode: inode.names, lambda inode: bytes(inode.content))

    # What a power cut leaves

    def after_cut(self, cut, names, data, chance, fault=None):
        """The tree after a power cut behind this line of the trace. `names`: ordered-least, ordered-some, ordered-all,
        any-least, any-some; `data`: of files that were not synced: none, all, prefix, pages, zeros, mixed."""
        global_syncs = self.syncs
        done = [change for change in self.changes if change.line <= cut]
        safe = {}
        for change in done:
            if change.holder not in safe:
                safe[change.holder] = -1 if fault == "names" else change.holder.synced_at(cut, global_syncs)
        forced = [change.line < safe[change.holder] for change in done]
        if names.startswith("ordered"):
            least = len(forced) - next((n for n, is_forced in enumerate(reversed(forced)) if is_forced), len(forced))
            count = {"least": least, "all": len(done)}.get(names.split("-")[1], chance.randint(least, len(done)))
            kept = done[:count]
            # A truncation is a change in the same journal.
            journal = kept[-1].line if kept else -1
            if count == len(done):
                journal = cut
        else:
            share = 0 if names == "any-least" else chance.random()
            kept = self.with_directories(done, [is_forced or chance.random() < share for is_forced in forced])
            journal = None
        listing = {inode: dict(entries) for inode, entries in self.at_start.items()}
        for change in kept:
            enter_into(listing, change.steps)
        content = lambda inode: self.left_of(inode, cut, journal, data, chance, fault)
        return flatten(self.root, lambda inode: None if inode.names is None else listing.get(inode, {}), content)

    def with_directories(self, done, kept):
        """A directory with something in it that was kept is there too: it was made before."""
        used, result = set(), []
        for change, is_kept in reversed(list(zip(done, kept))):
            if is_kept or any(inode is not None and inode in used for _, _, inode in change.steps):
                result.append(change)
                used.update(directory for directory, _, _ in change.steps)
        return result[::-1]

    def left_of(self, inode, cut, journal, data, chance, fault):
        safe_line = -1 if fault == "data" else inode.synced_at(cut, self.syncs)
        count = sum(1 for change in inode.changes if change[0] <= cut)
        safe = sum(1 for change in inode.changes[:count] if change[0] < safe_line)
        if safe == count:
            return inode.content_after(count)
        rest = inode.changes[safe:count]
        if data == "mixed":
            data = chance.choice(["none", "all", "prefix", "pages", "zeros"])
        content = bytearray(inode.content_after(safe))
        kept = chance.randint(0, len(rest)) if data == "prefix" else len(rest)
        for number, change in enumerate(rest):
            line, _, written = change
            if written is None:
                is_there = line <= journal if journal is not None else data == "all" or chance.random() < 0.5
                if not is_there:
                    # What was written behind it went to places that nothing leads to.
                    break
                apply(content, change)
            elif number < kept:
                keep_some(content, change, data, chance)
            elif number == kept:
                part = change[2][: chance.randint(0, len(written))]
                apply(content, (line, change[1], part))
        return bytes(content)


def keep_some(content, change, data, chance):
    line, offset, written = change
    if data in ("all", "prefix"):
        apply(content, change)
    elif data == "zeros":
        resize(content, max(len(content), offset + len(written)))
    elif data == "pages":
        end = offset + len(written)
        at = offset
        while at < end:
            until = min(end, at - at % PAGE_BYTES + PAGE_BYTES)
            if chance.random() < 0.5:
                apply(content, (line, at, written[at - offset : until - offset]))
            at = until
        if chance.random() < 0.5:
            resize(content, max(len(content), end))


def enter(steps):
    for directory, name, inode in steps:
        if inode is None:
            directory.names.pop(name, None)
        else:
            directory.names[name] = inode


def enter_into(listing, steps):
    for directory, name, inode in steps:
        names = listing.setdefault(directory, {})
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def snapshot_names(inode):
    found = {inode: dict(inode.names)}
    for child in inode.names.values():
        if child.names is not None:
            found.update(snapshot_names(child))
    return found


def flatten(root, names_of, content_of):
    """Path -> content, or None for a directory."""
    tree, waiting = {}, [("", root)]
    while waiting:
        path, inode = waiting.pop()
        for name, child in names_of(inode).items():
            below = f"{path}/{name}" if path else name
            if names_of(child) is None:
                tree[below] = content_of(child)
            else:
                tree[below] = None
                waiting.append((below, child))
    return tree
