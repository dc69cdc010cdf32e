//! The habits of editors and copying programs, step by step as they do it. Between any two steps the old or the new
//! table is served, never a part; afterwards the new one, by the watch alone.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Instant as StdInstant;

use super::*;

/// Rows of the old and of the new table: more than a page, so that writers need several writes.
const OLD_ROWS: usize = 900;
const NEW_ROWS: usize = 1100;

/// What one `write` of an editor holds; the last byte is a line end on purpose: what is there looks whole.
const PIECE_ROWS: usize = 200;

/// The machine was so slow that a pause looked like the end of the writing.
struct TooSlow;

/// A table being edited.
struct Edited<'a> {
    bench: &'a Bench,
    written: StdInstant,
}

fn rows(from: char, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("\"{from}{n}.long-enough.example.test\"\n")).collect()
}

impl Edited<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.bench.dir.path().join(name)
    }

    /// After each step: whoever looks sees the old table or the new one.
    fn step(&mut self) -> Result<(), TooSlow> {
        let seen = self.bench.tables.fresh().domains.rows().len();
        let is_late = self.written.elapsed() >= QUIET;
        self.written = StdInstant::now();
        match seen {
            OLD_ROWS | NEW_ROWS => Ok(()),
            _ if is_late => Err(TooSlow),
            _ => panic!("{seen} rows are served"),
        }
    }

    /// Writes the new table piece by piece.
    fn write(&mut self, file: &mut fs::File) -> Result<(), TooSlow> {
        for piece in rows('n', NEW_ROWS).chunks(PIECE_ROWS) {
            file.write_all(piece.concat().as_bytes()).unwrap();
            self.step()?;
        }
        Ok(())
    }

    fn write_to(&mut self, name: &str) -> Result<(), TooSlow> {
        let mut file = fs::File::create(self.path(name)).unwrap();
        self.step()?;
        self.write(&mut file)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), TooSlow> {
        fs::rename(self.path(from), self.path(to)).unwrap();
        self.step()
    }
}

type Habit = fn(&mut Edited<'_>) -> Result<(), TooSlow>;

const TABLE: &str = "domains.tab";

const HABITS: &[(&str, Habit)] = &[
    ("cat > file, nano, vim with backupcopy=yes: written in place", |edited| edited.write_to(TABLE)),
    ("nano -B, vim with backup: a copy aside, then written in place", |edited| {
        fs::copy(edited.path(TABLE), edited.path("domains.tab~")).unwrap();
        edited.step()?;
        edited.write_to(TABLE)
    }),
    ("vim: a probe, the old file becomes the backup, a new one is written, the backup goes", |edited| {
        fs::write(edited.path("4913"), "").unwrap();
        edited.step()?;
        fs::remove_file(edited.path("4913")).unwrap();
        fs::write(edited.path(".domains.tab.swp"), "b0VIM").unwrap();
        edited.rename(TABLE, "domains.tab~")?;
        edited.write_to(TABLE)?;
        fs::set_permissions(edited.path(TABLE), fs::Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(edited.path("domains.tab~")).unwrap();
        fs::remove_file(edited.path(".domains.tab.swp")).unwrap();
        edited.step()
    }),
    (
        "emacs: a lock that is a broken link, the old file becomes the backup, a new one is written",
        |edited| {
            symlink("me@host.1", edited.path(".#domains.tab")).unwrap();
            fs::write(edited.path("#domains.tab#"), "auto-save").unwrap();
            edited.rename(TABLE, "domains.tab~")?;
            edited.write_to(TABLE)?;
            fs::remove_file(edited.path(".#domains.tab")).unwrap();
            fs::remove_file(edited.path("#domains.tab#")).unwrap();
            edited.step()
        },
    ),
    ("sed -i: written aside, mode copied, renamed over", |edited| {
        edited.write_to("sedV8PZlR")?;
        fs::set_permissions(edited.path("sedV8PZlR"), fs::Permissions::from_mode(0o644)).unwrap();
        edited.rename("sedV8PZlR", TABLE)
    }),
    ("rsync: written aside, times of the source, renamed over", |edited| {
        edited.write_to(".domains.tab.Xq3k1Z")?;
        let aside = fs::OpenOptions::new().write(true).open(edited.path(".domains.tab.Xq3k1Z")).unwrap();
        aside.set_modified(std::time::SystemTime::now() - Duration::from_secs(86_400)).unwrap();
        edited.rename(".domains.tab.Xq3k1Z", TABLE)
    }),
    ("git checkout: removed, made anew and written", |edited| {
        fs::remove_file(edited.path(TABLE)).unwrap();
        edited.step()?;
        let mut file = fs::File::create_new(edited.path(TABLE)).unwrap();
        edited.step()?;
        edited.write(&mut file)
    }),
    ("cp, rsync --inplace: opened without truncation, written from the start, cut at the end", |edited| {
        let mut file = fs::OpenOptions::new().write(true).open(edited.path(TABLE)).unwrap();
        edited.write(&mut file)?;
        let length = rows('n', NEW_ROWS).concat().len();
        file.set_len(length as u64).unwrap();
        edited.step()
    }),
    ("mv of a whole directory over: a link to the table changes its target", |edited| {
        edited.write_to("release-2")?;
        symlink("release-2", edited.path("current")).unwrap();
        edited.rename("current", TABLE)
    }),
];

#[tokio::test]
async fn each_editors_habit_shows_the_old_table_or_the_new_one() {
    for means in [BY_NOTICES, BY_RESTAT] {
        for (name, habit) in HABITS {
            let mut tries = 0..20;
            while !edit(*habit, means).await {
                assert!(tries.next().is_some(), "{name}: the machine is never quick enough");
            }
        }
    }
}

/// Whether the machine was quick enough for the editing to count.
async fn edit(habit: Habit, means: Means) -> bool {
    let mut bench = bench(&rows('o', OLD_ROWS).concat(), means);
    if habit(&mut Edited { bench: &bench, written: StdInstant::now() }).is_err() {
        return false;
    }
    let new: Vec<String> =
        rows('n', NEW_ROWS).iter().map(|row| row.trim_matches(['"', '\n']).to_owned()).collect();
    bench.until(|now| domains(now) == new).await;
    assert_eq!(bench.tables.current().domains.problems(), []);
    true
}

#[tokio::test]
async fn a_whole_tree_that_is_copied_over_becomes_live_as_a_whole() {
    let tables = ["aliasdomain.tab", "aliases.tab", "extaliases.tab", "spammers.tab", "smtprelay.tab"];
    for round in 0..2 {
        let mut bench = bench("\"a\"\n", if round == 0 { BY_NOTICES } else { BY_RESTAT });
        let put = |name: &str, text: &str| {
            let aside = bench.dir.path().join(format!(".{name}.Ab12Cd"));
            fs::write(&aside, text).unwrap();
            fs::rename(&aside, bench.dir.path().join(name)).unwrap();
        };
        for name in tables {
            put(name, "# first\n");
        }
        put("aliases.tab", "\"b\"\t\"x\"\t\"y\"\n");
        put("aliasdomain.tab", "\"c\"\t\"b\"\n");
        put("domains.tab", "\"a\"\n\"b\"\n");
        fs::create_dir_all(bench.dir.path().join("domains/b/y/Maildir/new")).unwrap();
        bench
            .until(|now| {
                domains(now) == ["a", "b"]
                    && now.aliases.get("b", "x").is_some()
                    && now.alias_domains.get("c").is_some()
                    && now.spammers.exists()
            })
            .await;
    }
}

#[tokio::test]
async fn backups_and_files_of_editors_are_no_tables() {
    let bench = bench("\"a\"\n", BY_NOTICES);
    for name in
        ["domains.tab~", "domains.tab.bak", ".domains.tab.swp", "#domains.tab#", "domains.tab.orig", "4913"]
    {
        fs::write(bench.dir.path().join(name), "\"wrong\"\n").unwrap();
    }
    let now = bench.tables.fresh();
    assert_eq!((domains(&now), now.generation()), (vec!["a".to_owned()], 1));
}
