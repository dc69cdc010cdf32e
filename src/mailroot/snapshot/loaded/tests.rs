use std::fs;

use super::*;
use crate::mailroot::accounts::Domains;

/// The same as seen from inside, for kernels whose clock would hide it from the test above.
#[test]
fn a_stamp_taken_right_after_a_write_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (root, file) = (MailRoot::new(dir.path()), Path::new("domains.tab"));
    let path = root.path().join(file);
    let is_young = || {
        fs::write(&path, "\"b\"\n").unwrap();
        Stamp::of(&path).unwrap().unwrap().may_hide_a_change
    };
    while !is_young() {}
    let check = |may_hide_a_change: bool, expected: Option<&str>| {
        let stamp = Stamp::of(&path).unwrap().map(|stamp| Stamp { may_hide_a_change, ..stamp });
        let (table, _) = Domains::load(file, b"\"a\"\n");
        let content = Arc::new(b"\"a\"\n".to_vec());
        let known = Loaded { table: Arc::new(table), stamp, content, ..Loaded::empty() };
        let next = known.next(&root, file, Haste::WaitForQuiet);
        assert_eq!(next.map(|found| found.loaded.rows()[0].domain.to_string()).as_deref(), expected);
    };
    check(true, Some("b"));
    check(false, None);
}

#[test]
fn an_error_counts_once_however_often_it_was_there_before() {
    let problem = |line: u32, kind: ProblemKind| Problem { file: "x.tab".into(), line, column: 0, kind };
    let check = |old: &[Problem], new: &[Problem], expected: bool| {
        assert_eq!(brings_errors(old, new), expected, "{old:?} {new:?}");
    };
    let (cut, duplicate) = (ProblemKind::UnclosedQuote, ProblemKind::Duplicate { first: 1 });
    check(&[], &[], false);
    check(&[], &[problem(1, cut.clone())], true);
    check(&[], &[problem(2, duplicate)], false);
    check(&[problem(1, cut.clone())], &[problem(7, cut.clone())], false);
    check(&[problem(1, cut.clone())], &[problem(1, cut.clone()), problem(2, cut.clone())], true);
    check(&[problem(1, cut.clone()), problem(2, cut.clone())], &[problem(1, cut)], false);
    check(&[problem(0, ProblemKind::MoreProblems(2))], &[problem(0, ProblemKind::MoreProblems(3))], true);
}
