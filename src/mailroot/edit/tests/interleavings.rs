//! 10,000 random interleavings of all who write to a table.
//!
//! Edits (two [`Editor`]s, as two processes are; pages that were loaded earlier) run against shells that know no lock:
//! `>>`, `sed -i`, an editor that truncates and writes in place, one that renames the old file away first. The shells
//! are taken step by step at the seams of the commit: before each step on the disk, and wherever it waits.
//!
//! The model: each write of a row has a beginning and an end; writing a whole file writes every row, those it leaves
//! out too. At the end each row must have the value of a write that no other write followed, and nothing of an edit
//! that was refused may be there. All values differ.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use super::*;
use crate::durable::KEPT_EXTENSION;

const INTERLEAVINGS: u64 = 10_000;
const FILE: &str = "userdef.tab";

type Rows = BTreeMap<String, String>;

/// SplitMix64: the same seed gives the same run.
struct Dice(Cell<u64>);

impl Dice {
    fn below(&self, limit: u64) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut mixed = self.0.get();
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(from.len()).unwrap();
        (count > 0).then(|| &from[usize::try_from(self.below(count)).unwrap()])
    }
}

/// One write of one row; `None`: the row was removed or left out.
struct Written {
    begun: u64,
    ended: u64,
    value: Option<String>,
    /// Whether what was there before may stand: a row of a whole file that its writer did not touch, or removed,
    /// while a commit brings the file together with what others wrote.
    is_stale: bool,
}

/// A program without our locks, between two of its steps.
enum Shell {
    Append(Option<Open>),
    SedInPlace(Option<Rows>),
    EditInPlace(Option<Rows>),
    Vim(Option<Rows>),
    /// The rest is still to be written.
    Writing {
        file: Open,
        rest: Vec<u8>,
        was: Rows,
        rows: Rows,
        begun: u64,
    },
    Done,
}

/// A file that a shell has open.
struct Open {
    file: fs::File,
    /// Another shell has taken its name away: what is written to it is lost without our doing.
    is_orphan: bool,
}

struct World {
    path: PathBuf,
    dice: Dice,
    time: u64,
    values: u64,
    writes: BTreeMap<String, Vec<Written>>,
    shells: Vec<Shell>,
    is_committing: bool,
    last_commit: u64,
}

fn parse(text: &[u8]) -> Rows {
    let row = |line: &str| {
        let mut parts = line.split('\t').map(|part| part.trim_matches('"').to_owned());
        Some((parts.next()?, parts.next()?))
    };
    String::from_utf8(text.to_owned()).unwrap().lines().filter_map(row).collect()
}

fn line(key: &str, value: &str) -> String {
    format!("\"{key}\"\t\"{value}\"\n")
}

fn text(rows: &Rows) -> Vec<u8> {
    rows.iter().map(|(key, value)| line(key, value)).collect::<String>().into_bytes()
}

impl World {
    fn now(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    fn fresh(&mut self, what: &str) -> String {
        self.values += 1;
        format!("{what}{}", self.values)
    }

    fn wrote(&mut self, key: &str, value: Option<String>, begun: u64, ended: u64) {
        self.writes.entry(key.to_owned()).or_default().push(Written { begun, ended, value, is_stale: false });
    }

    fn wrote_all(&mut self, was: &Rows, rows: &Rows, begun: u64, ended: u64) {
        let is_beside_a_commit = self.is_committing || self.last_commit >= begun;
        let keys: BTreeSet<String> = self.writes.keys().chain(rows.keys()).cloned().collect();
        for key in keys {
            let value = rows.get(&key).cloned();
            let is_stale = is_beside_a_commit && (value.is_none() || was.get(&key) == value.as_ref());
            self.writes.entry(key).or_default().push(Written { begun, ended, value, is_stale });
        }
    }

    /// A row that nobody has yet is known as absent.
    fn new_key(&mut self) -> String {
        let key = self.fresh("k");
        self.wrote(&key, None, 0, 0);
        key
    }

    /// What a shell makes of the rows it has read.
    fn altered(&mut self, was: &Rows) -> Rows {
        let mut rows = was.clone();
        let keys: Vec<String> = rows.keys().cloned().collect();
        match (self.dice.below(3), self.dice.pick(&keys).cloned()) {
            (0, Some(key)) => drop(rows.insert(key, self.fresh("shell"))),
            (1, Some(key)) => drop(rows.remove(&key)),
            _ => drop(rows.insert(self.new_key(), self.fresh("shell"))),
        }
        rows
    }

    /// One step of one shell.
    fn step(&mut self) {
        let count = u64::try_from(self.shells.len()).unwrap();
        if count > 0 {
            let index = usize::try_from(self.dice.below(count)).unwrap();
            let shell = std::mem::replace(&mut self.shells[index], Shell::Done);
            self.shells[index] = self.stepped(shell);
            self.shells.retain(|shell| !matches!(shell, Shell::Done));
        }
    }

    fn stepped(&mut self, shell: Shell) -> Shell {
        let opened = |options: &mut fs::OpenOptions| options.open(&self.path).ok();
        match shell {
            Shell::Append(None) => match opened(fs::File::options().append(true)) {
                Some(file) => Shell::Append(Some(Open { file, is_orphan: false })),
                None => Shell::Append(None),
            },
            Shell::Append(Some(mut file)) => {
                // A row glued to an unfinished line would be no row: nobody appends to half a file by hand.
                if !fs::read(&self.path).is_ok_and(|now| now.ends_with(b"\n")) || self.is_writing() {
                    return Shell::Append(Some(file));
                }
                let (key, value) = (self.new_key(), self.fresh("append"));
                file.file.write_all(line(&key, &value).as_bytes()).unwrap();
                if !file.is_orphan {
                    let now = self.now();
                    self.wrote(&key, Some(value), now, now);
                }
                Shell::Done
            }
            Shell::SedInPlace(None) => Shell::SedInPlace(self.read()),
            Shell::EditInPlace(None) => Shell::EditInPlace(self.read()),
            Shell::Vim(None) => Shell::Vim(self.read()),
            Shell::SedInPlace(Some(was)) => {
                let rows = self.altered(&was);
                self.take_name();
                rename_over(&self.path, std::str::from_utf8(&text(&rows)).unwrap());
                let now = self.now();
                self.wrote_all(&was, &rows, now, now);
                Shell::Done
            }
            Shell::EditInPlace(Some(rows)) if self.is_taken() => Shell::EditInPlace(Some(rows)),
            Shell::EditInPlace(Some(rows)) => {
                let Some(file) = opened(fs::File::options().write(true).truncate(true)) else {
                    return Shell::EditInPlace(Some(rows));
                };
                self.writing(file, rows)
            }
            Shell::Vim(Some(rows)) => {
                if fs::metadata(&self.path).is_ok() {
                    self.take_name();
                    fs::rename(&self.path, self.path.with_extension("bak")).unwrap();
                    return Shell::Vim(Some(rows));
                }
                let file = fs::File::create(&self.path).unwrap();
                self.writing(file, rows)
            }
            Shell::Writing { mut file, mut rest, was, rows, begun }
                if rest.len() > 1 && self.dice.below(2) == 0 =>
            {
                let half = rest.split_off(rest.len() / 2);
                file.file.write_all(&rest).unwrap();
                Shell::Writing { file, rest: half, was, rows, begun }
            }
            Shell::Writing { mut file, rest, was, rows, begun } => {
                file.file.write_all(&rest).unwrap();
                if !file.is_orphan {
                    let now = self.now();
                    self.wrote_all(&was, &rows, begun, now);
                }
                Shell::Done
            }
            Shell::Done => Shell::Done,
        }
    }

    /// Two who write the same file in place spoil it without our doing.
    fn is_taken(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| self.is_open(metadata.ino()))
    }

    fn is_writing(&self) -> bool {
        self.shells.iter().any(|shell| matches!(shell, Shell::Writing { .. } | Shell::Vim(Some(_))))
    }

    /// The rows, as somebody reads them who then edits: not while another is in the middle of writing.
    fn read(&self) -> Option<Rows> {
        if self.is_writing() { None } else { fs::read(&self.path).ok().map(|text| parse(&text)) }
    }

    fn writing(&mut self, file: fs::File, was: Rows) -> Shell {
        let begun = self.now();
        let rows = self.altered(&was);
        let file = Open { file, is_orphan: false };
        Shell::Writing { file, rest: text(&rows), was, rows, begun }
    }

    /// A shell is about to give the name to another file.
    fn take_name(&mut self) {
        let Ok(metadata) = fs::metadata(&self.path) else { return };
        for shell in &mut self.shells {
            if let Shell::Append(Some(open)) | Shell::Writing { file: open, .. } = shell {
                open.is_orphan |= open.file.metadata().unwrap().ino() == metadata.ino();
            }
        }
    }

    fn is_open(&self, inode: u64) -> bool {
        self.shells.iter().any(|shell| match shell {
            Shell::Append(Some(open)) | Shell::Writing { file: open, .. } => {
                open.file.metadata().unwrap().ino() == inode
            }
            _ => false,
        })
    }
}

/// The seams: shells take steps wherever a commit does something or waits.
struct Seams(Arc<Mutex<World>>);

impl Faults for Seams {
    fn before(&self, _step: Step<'_>) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        for _ in 0..world.dice.below(3) {
            world.step();
        }
        Ok(())
    }

    fn writer_of(&self, file: &fs::File) -> Option<Writer> {
        let is_open = self.0.lock().unwrap().is_open(file.metadata().unwrap().ino());
        Some(if is_open { Writer::Program { name: "sh".into(), pid: 1 } } else { Writer::Nobody })
    }

    fn pause(&self, _time: Duration) -> bool {
        self.0.lock().unwrap().step();
        true
    }
}

#[derive(Default, Debug)]
struct Tally {
    saved: usize,
    conflicts: usize,
    changed_meanwhile: usize,
    open_for_writing: usize,
    kept: usize,
}

struct Run {
    dir: tempfile::TempDir,
    world: Arc<Mutex<World>>,
    editors: [Editor; 2],
}

impl Run {
    fn new(seed: u64) -> Self {
        // Memory, where there is some: each commit syncs.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = dir.path().join(FILE);
        let rows: Rows = (0..5).map(|n| (format!("base{n}"), format!("old{n}"))).collect();
        fs::write(&path, text(&rows)).unwrap();
        let (dice, writes) = (Dice(Cell::new(seed)), BTreeMap::new());
        let mut world = World {
            path,
            dice,
            time: 0,
            values: 0,
            writes,
            shells: Vec::new(),
            is_committing: false,
            last_commit: 0,
        };
        world.wrote_all(&Rows::new(), &rows, 0, 0);
        for _ in 0..world.dice.below(4) {
            let shell = match world.dice.below(5) {
                0 | 1 => Shell::Append(None),
                2 => Shell::SedInPlace(None),
                3 => Shell::EditInPlace(None),
                _ => Shell::Vim(None),
            };
            world.shells.push(shell);
        }
        let world = Arc::new(Mutex::new(world));
        let editors = [(); 2].map(|()| Editor {
            lock_wait_max: Duration::ZERO,
            ..Editor::new(&MailRoot::new(dir.path()), Disk::with_faults(Arc::new(Seams(Arc::clone(&world)))))
        });
        Self { dir, world, editors }
    }

    fn dice(&self, limit: u64) -> u64 {
        self.world.lock().unwrap().dice.below(limit)
    }

    fn shells_go_on(&self) {
        for _ in 0..self.dice(3) {
            self.world.lock().unwrap().step();
        }
    }

    /// One edit by one of the two, of the file or of a page loaded earlier.
    fn edit(&self, page: Option<&[u8]>, tally: &mut Tally) {
        let which = usize::try_from(self.dice(2)).unwrap();
        let begun = match page {
            Some(page) => self.editors[which].begin_from(Path::new(FILE), page),
            None => self.editors[which].begin(Path::new(FILE)),
        };
        let mut edit = match begun {
            Ok(edit) => edit,
            Err(EditError::ChangedMeanwhile { .. }) => return tally.changed_meanwhile += 1,
            Err(error) => panic!("{error}"),
        };
        let other = self.editors[1 - which].begin(Path::new(FILE));
        assert!(matches!(other, Err(EditError::Busy { .. })), "two processes edit at once");
        self.shells_go_on();
        let Some((key, value)) = self.change(&mut edit) else { return };
        self.shells_go_on();
        let begun = self.commit_begins();
        let result = edit.commit();
        let mut world = self.world.lock().unwrap();
        let now = world.now();
        (world.is_committing, world.last_commit) = (false, now);
        match result {
            Ok(()) => {
                world.wrote(&key, value, begun, now);
                tally.saved += 1;
            }
            Err(EditError::Conflict(_)) => tally.conflicts += 1,
            Err(EditError::ChangedMeanwhile { .. }) => tally.changed_meanwhile += 1,
            Err(EditError::OpenForWriting { .. }) => tally.open_for_writing += 1,
            Err(error) => panic!("{error}"),
        }
    }

    fn commit_begins(&self) -> u64 {
        let mut world = self.world.lock().unwrap();
        world.is_committing = true;
        world.now()
    }

    fn change(&self, edit: &mut Edit) -> Option<(String, Option<String>)> {
        let mut world = self.world.lock().unwrap();
        let rows: Vec<EditRow> = edit.rows().filter(|row| row.fields.len() == 2).collect();
        let row = world.dice.pick(&rows).cloned();
        match (world.dice.below(4), row) {
            (0, Some(row)) => {
                edit.remove(row.index).unwrap();
                Some((row.value(0).to_string(), None))
            }
            (1, Some(row)) => {
                let (key, value) = (row.value(0).to_string(), world.fresh("edit"));
                edit.set(row.index, &[&key, &value]).unwrap();
                Some((key, Some(value)))
            }
            _ => {
                let (key, value) = (world.new_key(), world.fresh("edit"));
                edit.push(&[&key, &value]).unwrap();
                Some((key, Some(value)))
            }
        }
    }

    fn play(&self, tally: &mut Tally) {
        let mut page = None;
        for _ in 0..1 + self.dice(3) {
            if self.dice(3) == 0 {
                page = fs::read(self.dir.path().join(FILE)).ok();
            }
            self.shells_go_on();
            let page = if self.dice(2) == 0 { page.take() } else { None };
            self.edit(page.as_deref(), tally);
        }
        for _ in 0..100 {
            self.world.lock().unwrap().step();
        }
        assert!(self.world.lock().unwrap().shells.is_empty());
    }

    fn check(&self, seed: u64, tally: &mut Tally) {
        let found =
            fs::read(self.dir.path().join(FILE)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let rows = parse(&found);
        assert_eq!(found.lines().count(), rows.len(), "seed {seed}: a row twice\n{}", found.as_bstr());
        let world = self.world.lock().unwrap();
        let files: Vec<PathBuf> =
            fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.iter().any(|path| is_temporary(path.file_name().unwrap())), "seed {seed}: {files:?}");
        let kept = files.iter().filter(|path| path.extension().is_some_and(|end| end == KEPT_EXTENSION));
        let kept: Vec<Rows> = kept.map(|path| parse(&fs::read(path).unwrap())).collect();
        tally.kept += kept.len();
        for (key, writes) in &world.writes {
            let follows = |other: &Written, one: &Written| other.begun > one.ended && !other.is_stale;
            let last: Vec<&Written> =
                writes.iter().filter(|one| !writes.iter().any(|other| follows(other, one))).collect();
            let value = rows.get(key);
            let is_there = last.iter().any(|written| written.value.as_ref() == value);
            let is_kept = kept.iter().any(|kept| last.iter().any(|one| one.value.as_ref() == kept.get(key)));
            let values: Vec<_> = last.iter().map(|written| &written.value).collect();
            assert!(
                is_there || is_kept,
                "seed {seed}: {key} is {value:?}, not one of {values:?}\n{}",
                found.as_bstr()
            );
        }
        for (key, value) in &rows {
            let is_known = world
                .writes
                .get(key)
                .is_some_and(|all| all.iter().any(|one| one.value.as_ref() == Some(value)));
            assert!(is_known, "seed {seed}: nobody wrote {key} {value}");
        }
    }
}

#[test]
fn no_edit_is_lost_in_10_000_random_interleavings() {
    let mut tally = Tally::default();
    for seed in 0..INTERLEAVINGS {
        let run = Run::new(seed);
        run.play(&mut tally);
        run.check(seed, &mut tally);
    }
    // The run is the same every time; a model in which nothing happens would prove nothing.
    assert!(tally.saved > 10_000 && tally.conflicts > 300 && tally.changed_meanwhile > 0, "{tally:?}");
    assert!(tally.kept < 200, "files for the operator should be rare: {tally:?}");
}
