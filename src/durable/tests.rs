use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::Mutex;
use std::sync::mpsc;

use super::*;

/// Fails the n-th step (counted from 0) with ENOSPC and remembers the kinds of all steps asked for.
struct FailNth {
    fail_at: usize,
    seen: Mutex<Vec<&'static str>>,
}

const ENOSPC: i32 = 28;

impl FailNth {
    fn new(fail_at: usize) -> Arc<Self> {
        Arc::new(Self { fail_at, seen: Mutex::default() })
    }
}

impl Faults for FailNth {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let mut seen = self.seen.lock().unwrap();
        seen.push(match step {
            Step::Create(_) => "create",
            Step::Write(_) => "write",
            Step::SyncFile(_) => "sync file",
            Step::Rename { .. } => "rename",
            Step::Exchange { .. } => "exchange",
            Step::SyncData(_) => "sync data",
            Step::SyncDir(_) => "sync dir",
            Step::SyncFileSystem(_) => "sync file system",
            Step::Remove(_) => "remove",
            Step::CreateDir(_) => "create dir",
        });
        if seen.len() - 1 == self.fail_at { Err(io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// `replace` with its `fail_at`-th step failing: the steps asked for, and what is in the file afterwards.
fn check_failing_replace(fail_at: usize, steps: &[&str], content: &str) {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("server.tab");
    fs::write(&table, "old").unwrap();
    let faults = FailNth::new(fail_at);
    let result = Disk::with_faults(faults.clone()).replace(&table, b"new");
    assert_eq!(*faults.seen.lock().unwrap(), steps, "step {fail_at}");
    assert_eq!(result.unwrap_err().raw_os_error(), Some(ENOSPC), "step {fail_at}");
    assert_eq!(fs::read_to_string(&table).unwrap(), content, "step {fail_at}");
    assert_eq!(names(dir.path()), ["server.tab"], "step {fail_at}");
}

#[test]
fn replace_that_fails_leaves_the_old_content_and_no_temporary_file() {
    check_failing_replace(0, &["create"], "old");
    check_failing_replace(1, &["create", "write", "remove"], "old");
    check_failing_replace(2, &["create", "write", "sync file", "remove"], "old");
    check_failing_replace(3, &["create", "write", "sync file", "rename", "remove"], "old");
    // The rename is done; only its durability is in doubt.
    check_failing_replace(4, &["create", "write", "sync file", "rename", "sync dir"], "new");
}

#[test]
fn replace_syncs_before_it_renames_and_the_directory_last() {
    let dir = tempfile::tempdir().unwrap();
    let faults = FailNth::new(usize::MAX);
    Disk::with_faults(faults.clone()).replace(&dir.path().join("a.tab"), b"1").unwrap();
    assert_eq!(*faults.seen.lock().unwrap(), ["create", "write", "sync file", "rename", "sync dir"]);
}

#[test]
fn replace_of_a_missing_file_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::with_faults(FailNth::new(3));
    disk.replace(&dir.path().join("a.tab"), b"1").unwrap_err();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn replace_keeps_the_mode_or_starts_private() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("a.tab");
    let disk = Disk::default();
    disk.replace(&table, b"1").unwrap();
    assert_eq!(mode(&table), FILE_MODE);
    fs::set_permissions(&table, fs::Permissions::from_mode(0o664)).unwrap();
    disk.replace(&table, b"2").unwrap();
    assert_eq!((mode(&table), fs::read(&table).unwrap()), (0o664, b"2".to_vec()));
}

#[test]
fn replace_as_root_keeps_the_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("a.tab");
    fs::write(&table, "old").unwrap();
    if std::os::unix::fs::chown(&table, Some(1234), Some(2345)).is_err() {
        return; // Root without the right to change owners, as in some containers.
    }
    Disk::default().replace(&table, b"new").unwrap();
    let metadata = fs::metadata(&table).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 2345));
}

#[test]
fn replace_follows_a_symbolic_link() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("real.tab");
    fs::write(&real, "old").unwrap();
    symlink(&real, dir.path().join("a.tab")).unwrap();
    Disk::default().replace(&dir.path().join("a.tab"), b"new").unwrap();
    assert!(dir.path().join("a.tab").is_symlink());
    assert_eq!(fs::read(&real).unwrap(), b"new");
    assert_eq!(names(elsewhere.path()), ["real.tab"]);
}

#[test]
fn temporary_files_are_known_by_name() {
    let check = |name: &str, expected| assert_eq!(is_temporary(name.as_ref()), expected, "{name}");
    check(".tabmail.1a.2.tmp", true);
    check("server.tab", false);
    check(".shutdown", false);
    check(".tmp", false);
}

#[test]
fn create_new_refuses_a_file_that_exists() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    let disk = Disk::default();
    let mut file = disk.create_new(&path, FILE_MODE).unwrap();
    file.write_all(b"mail").unwrap();
    file.sync().unwrap();
    assert_eq!((file.path(), mode(&path)), (path.as_path(), FILE_MODE));
    let error = disk.create_new(&path, FILE_MODE).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"mail");
}

#[test]
fn a_refused_write_or_sync_is_seen_by_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    for fail_at in [1, 2] {
        let disk = Disk::with_faults(FailNth::new(fail_at));
        let mut file = disk.create_new(&dir.path().join(fail_at.to_string()), FILE_MODE).unwrap();
        let result = file.write_all(b"x").and_then(|()| file.sync());
        assert_eq!(result.unwrap_err().raw_os_error(), Some(ENOSPC));
    }
}

#[test]
fn append_adds_and_syncs_the_directory_of_a_new_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slog");
    let check = |bytes: &[u8], sync: bool, steps: &[&str], content: &str| {
        let faults = FailNth::new(usize::MAX);
        Disk::with_faults(faults.clone()).append(&path, FILE_MODE, bytes, sync).unwrap();
        assert_eq!(*faults.seen.lock().unwrap(), steps);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    };
    check(b"a\n", true, &["create", "write", "sync file", "sync dir"], "a\n");
    check(b"b\n", true, &["create", "write", "sync file"], "a\nb\n");
    check(b"c\n", false, &["create", "write"], "a\nb\nc\n");
    assert_eq!(mode(&path), FILE_MODE);
}

#[test]
fn a_file_is_written_at_places_and_keeps_what_stands_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segment");
    let faults = FailNth::new(usize::MAX);
    let disk = Disk::with_faults(faults.clone());
    disk.open_or_create(&path, FILE_MODE).unwrap().write_all_at(b"abcdef", 0).unwrap();
    let file = disk.open_or_create(&path, FILE_MODE).unwrap();
    file.write_all_at(b"XY", 2).unwrap();
    file.sync_data().unwrap();
    disk.sync_file_system(dir.path()).unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"abXYef".to_vec(), FILE_MODE));
    let steps = ["create", "write", "create", "write", "sync data", "sync file system"];
    assert_eq!(*faults.seen.lock().unwrap(), steps);
}

#[test]
fn remove_and_rename_report_a_missing_file() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let disk = Disk::default();
    assert_eq!(disk.remove(&a).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.rename(&a, &b).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::write(&a, "x").unwrap();
    disk.rename(&a, &b).unwrap();
    disk.sync_dir(dir.path()).unwrap();
    disk.remove(&b).unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn create_dir_all_makes_private_levels_and_syncs_each_parent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool/3/mess");
    let faults = FailNth::new(usize::MAX);
    let disk = Disk::with_faults(faults.clone());
    disk.create_dir_all(&path).unwrap();
    assert_eq!(*faults.seen.lock().unwrap(), ["create dir", "sync dir"].repeat(3));
    assert_eq!((mode(&path), mode(&dir.path().join("spool"))), (DIR_MODE, DIR_MODE));
    disk.create_dir_all(&path).unwrap();
    assert_eq!(faults.seen.lock().unwrap().len(), 6);
    fs::write(path.join("file"), "").unwrap();
    disk.create_dir_all(&path.join("file/below")).unwrap_err();
}

#[test]
fn a_lock_excludes_until_it_is_dropped_and_its_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.lock");
    let held = FileLock::acquire(&path).unwrap();
    assert!(FileLock::try_acquire(&path).unwrap().is_none());
    let (sender, receiver) = mpsc::channel();
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || {
            let _lock = FileLock::acquire(&path).unwrap();
            sender.send(()).unwrap();
        }
    });
    assert!(receiver.try_recv().is_err());
    drop(held);
    receiver.recv().unwrap();
    waiting.join().unwrap();
    assert!(FileLock::try_acquire(&path).unwrap().is_some());
    assert_eq!(names(dir.path()), ["x.lock"]);
}

#[test]
fn free_space_is_known_for_a_directory_that_exists() {
    let dir = tempfile::tempdir().unwrap();
    assert!(free_space(dir.path()).unwrap() > 0);
    free_space(&dir.path().join("missing")).unwrap_err();
}

/// A file system without the swap.
struct NoExchange;

impl Faults for NoExchange {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        match step {
            Step::Exchange { .. } => Err(io::ErrorKind::Unsupported.into()),
            _ => Ok(()),
        }
    }
}

#[test]
fn exchange_gives_back_what_had_the_name_with_or_without_the_swap() {
    for disk in [Disk::default(), Disk::with_faults(Arc::new(NoExchange))] {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("a.tab");
        assert!(disk.exchange(&table, b"1").unwrap().is_none());
        assert_eq!((mode(&table), names(dir.path()).len()), (FILE_MODE, 1));
        fs::set_permissions(&table, fs::Permissions::from_mode(0o640)).unwrap();
        let mut late = fs::OpenOptions::new().append(true).open(&table).unwrap();
        let mut displaced = disk.exchange(&table, b"2").unwrap().unwrap();
        assert_eq!((mode(&table), fs::read(&table).unwrap()), (0o640, b"2".to_vec()));
        assert_eq!(displaced.read().unwrap(), b"1");
        late.write_all(b" late").unwrap();
        assert_eq!(displaced.read().unwrap(), b"1 late");
        assert!(displaced.temporary().is_none_or(|path| is_temporary(path.file_name().unwrap())));
        let mut ours = displaced.put_back().unwrap().unwrap();
        assert_eq!(ours.read().unwrap(), b"2");
        ours.discard().unwrap();
        assert_eq!(fs::read(&table).unwrap(), b"1 late");
        assert_eq!(names(dir.path()), ["a.tab"]);
    }
}

#[test]
fn exchange_that_fails_leaves_the_old_content_and_no_temporary_file() {
    for (fail_at, last) in [(0, "create"), (1, "remove"), (2, "remove"), (3, "remove")] {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("a.tab");
        fs::write(&table, "old").unwrap();
        let faults = FailNth::new(fail_at);
        let error = Disk::with_faults(faults.clone()).exchange(&table, b"new").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(ENOSPC), "step {fail_at}");
        assert_eq!(faults.seen.lock().unwrap().last(), Some(&last), "step {fail_at}");
        assert_eq!(
            (names(dir.path()).len(), fs::read(&table).unwrap()),
            (1, b"old".to_vec()),
            "step {fail_at}"
        );
    }
}
