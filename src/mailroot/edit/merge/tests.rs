use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(file: &str, base: &str, mine: &str, theirs: &str, expected: &str) {
    let merged = merge(Path::new(file), base.as_bytes(), mine.as_bytes(), theirs.as_bytes());
    assert_eq!(merged.unwrap().to_str_lossy(), expected, "base {base:?} mine {mine:?} theirs {theirs:?}");
}

#[track_caller]
fn check_conflict(file: &str, base: &str, mine: &str, theirs: &str, expected: &[&str]) {
    let conflict = merge(Path::new(file), base.as_bytes(), mine.as_bytes(), theirs.as_bytes()).unwrap_err();
    assert_eq!(conflict.to_string().lines().collect::<Vec<_>>(), expected);
}

const BASE: &str = "# c\n\"a\"\t\"1\"\n\n\"b\"\t\"2\"\n\"c\"\t\"3\"\n";

#[test]
fn a_row_changed_on_one_side_is_taken_from_it_even_beside_another() {
    let mine = BASE.replace("\"2\"", "\"20\"");
    check("userdef.tab", BASE, &mine, &BASE.replace("\"3\"", "\"30\""), &mine.replace("\"3\"", "\"30\""));
    check("userdef.tab", BASE, &mine, &mine, &mine);
    check("userdef.tab", BASE, &mine, BASE, &mine);
    check("userdef.tab", BASE, BASE, &mine, &mine);
    check("mailproc.tab", "a\nb\nc\n", "a\nB\nc\n", "A\nb\nC\n", "A\nB\nC\n");
    check("mailproc.tab", "a\nb\nc\n", "a\nc\n", "a\nb\n", "a\n");
    check("mailproc.tab", "a\nb\n", "b\n", "a\nb\nc\n", "b\nc\n");
}

#[test]
fn rows_of_a_hunk_are_paired_by_key() {
    // Mine removes b and edits c; theirs edits a. Positions would pair b with the new c.
    check(
        "userdef.tab",
        BASE,
        "# c\n\"a\"\t\"1\"\n\n\"c\"\t\"x\"\n",
        &BASE.replace("\"1\"", "\"9\""),
        "# c\n\"a\"\t\"9\"\n\n\"c\"\t\"x\"\n",
    );
    check(
        "userdef.tab",
        "\"a\"\t\"1\"\n\"b\"\t\"2\"\n",
        "\"n\"\t\"0\"\n\"a\"\t\"x\"\n\"b\"\t\"2\"\n",
        "\"a\"\t\"1\"\n\"b\"\t\"y\"\n",
        "\"n\"\t\"0\"\n\"a\"\t\"x\"\n\"b\"\t\"y\"\n",
    );
}

#[test]
fn what_both_append_stays_theirs_first() {
    check("domains.tab", "\"a\"\n", "\"a\"\n\"m\"\n", "\"a\"\n\"t\"\n", "\"a\"\n\"t\"\n\"m\"\n");
    check("domains.tab", "\"a\"\n", "\"a\"\n\"x\"\n", "\"a\"\n\"x\"\n\"t\"\n", "\"a\"\n\"x\"\n\"t\"\n");
    check("domains.tab", "", "\"m\"\n", "\"t\"\n", "\"t\"\n\"m\"\n");
    // The same new row in different places is one row.
    check(
        "domains.tab",
        "\"a\"\n\"b\"\n",
        "\"x\"\n\"a\"\n\"b\"\n",
        "\"a\"\n\"b\"\n\"x\"\n",
        "\"a\"\n\"b\"\n\"x\"\n",
    );
    check("filters/f.tab", "a\n", "a\nm\n", "a\nt\n", "a\nt\nm\n");
}

#[test]
fn line_ends_are_merged_on_their_own() {
    check("domains.tab", "a\nb\n", "a\nB\n", "a\r\nb\r\n", "a\r\nB\r\n");
    check("domains.tab", "a", "a\nm\n", "a\nt\n", "a\nt\nm\n");
    check("domains.tab", "a\n", "a\nm\n", "a\nt", "a\nt\nm\n");
    check("mailproc.tab", "a\nb", "A\nb", "a\nc", "A\nc");
}

#[test]
fn the_same_row_changed_differently_is_a_conflict() {
    check_conflict(
        "userdef.tab",
        BASE,
        &BASE.replace("\"2\"", "\"m\""),
        &BASE.replace("\"2\"", "\"t\"").replace("# c\n", "# c\n# d\n"),
        &[
            "userdef.tab: 1 row was changed by somebody else meanwhile; nothing was written",
            "userdef.tab:5: changed on both sides",
            "  before  \"b\"\t\"2\"",
            "  yours   \"b\"\t\"m\"",
            "  theirs  \"b\"\t\"t\"",
        ],
    );
    let removed = BASE.replace("\"b\"\t\"2\"\n", "");
    let changed = BASE.replace("\"2\"", "\"x\"");
    let head = "userdef.tab: 1 row was changed by somebody else meanwhile; nothing was written";
    check_conflict(
        "userdef.tab",
        BASE,
        &removed,
        &changed,
        &[
            head,
            "userdef.tab:4: you removed it, they changed it",
            "  before  \"b\"\t\"2\"",
            "  yours   (not there)",
            "  theirs  \"b\"\t\"x\"",
        ],
    );
    check_conflict(
        "userdef.tab",
        BASE,
        &changed,
        &removed,
        &[
            head,
            "userdef.tab:4: you changed it, they removed it",
            "  before  \"b\"\t\"2\"",
            "  yours   \"b\"\t\"x\"",
            "  theirs  (not there)",
        ],
    );
}

#[test]
fn the_same_key_given_by_both_is_a_conflict() {
    for (file, base, mine, theirs) in [
        ("aliases.tab", "", "\"D\"\t\"x\"\t\"m\"\n", "\"d\"\t\"X\"\t\"t\"\n"),
        ("userdef.tab", BASE, "\"x\"\t\"m\"\n", "\"x\"\t\"t\"\n"),
    ] {
        let (mine, theirs) = (format!("{mine}{base}"), format!("{base}{theirs}"));
        let conflict =
            merge(Path::new(file), base.as_bytes(), mine.as_bytes(), theirs.as_bytes()).unwrap_err();
        assert_eq!(conflict.rows.len(), 1, "{conflict}");
        assert_eq!(conflict.rows[0].reason(), "added on both sides");
    }
    // One renames a row to the name that the other adds.
    let conflict = merge(Path::new("domains.tab"), b"a\nb\n", b"x\nb\n", b"a\nb\nx\n").unwrap_err();
    assert_eq!(conflict.rows[0].base, None);
    // Case counts in variables.
    check("userdef.tab", "", "\"A\"\t\"1\"\n", "\"a\"\t\"1\"\n", "\"a\"\t\"1\"\n\"A\"\t\"1\"\n");
}

#[test]
fn a_row_that_both_moved_to_different_places_is_not_doubled() {
    let file = Path::new("filters/f.tab");
    let conflict = merge(file, b"x\na\nb\nc\n", b"a\nx\nb\nc\n", b"a\nb\nc\nx\n").unwrap_err();
    assert_eq!((conflict.rows.len(), conflict.rows[0].reason()), (1, "added on both sides"));
    check("filters/f.tab", "x\na\nb\n", "a\nb\nx\n", "a\nb\nx\ny\n", "a\nb\nx\ny\n");
    // A keyed row is known to be the same.
    check("domains.tab", "x\na\nb\n", "a\nx\nb\n", "a\nb\nx\n", "a\nb\nx\n");
}

#[test]
fn a_change_in_100_000_rows_is_merged_fast() {
    let row = |n: usize| format!("\"example.test\"\t\"user{n}\"\t\"04\"\t{n}\t\"user{n}\"\t\"U\"\n");
    let base: String = (0..100_000).map(row).collect();
    let mine = base
        .replace(&row(7), "")
        .replace(&row(50_000), "\"example.test\"\t\"other\"\t\"04\"\t5\t\"o\"\t\"U\"\n");
    let theirs = base.replace("\"user99990\"\t\"04\"", "\"user99990\"\t\"05\"");
    let begun = Instant::now();
    let merged =
        merge(Path::new("mailusers.tab"), base.as_bytes(), mine.as_bytes(), theirs.as_bytes()).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(merged, mine.replace("\"user99990\"\t\"04\"", "\"user99990\"\t\"05\"").as_bytes());
}

/// Keyed rows with their values; edits of one side touch keys that the other leaves alone.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Remove(usize),
    Insert(usize, u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..8_usize, any::<u8>()).prop_map(|(row, value)| Change::Set(row, value)),
        (0..8_usize).prop_map(Change::Remove),
        (0..9_usize, any::<u8>()).prop_map(|(row, value)| Change::Insert(row, value)),
    ]
}

/// Rows 0..8 of the base; each side owns every second one.
fn apply(base: &[String], changes: &[Change], side: usize) -> Vec<String> {
    let mut rows = base.to_vec();
    let at = |rows: &[String], row: usize| {
        let key = format!("\"k{}\"\t", row / 2 * 2 + side);
        rows.iter().position(|text| text.starts_with(&key))
    };
    for (number, change) in changes.iter().enumerate() {
        match *change {
            Change::Set(row, value) => {
                if let Some(index) = at(&rows, row) {
                    rows[index] = format!("\"k{}\"\t\"{side}-{value}\"\n", row / 2 * 2 + side);
                }
            }
            Change::Remove(row) => drop(at(&rows, row).map(|index| rows.remove(index))),
            Change::Insert(index, value) => {
                rows.insert(index.min(rows.len()), format!("\"new{side}-{number}\"\t\"{value}\"\n"));
            }
        }
    }
    rows
}

proptest! {
    #[test]
    fn nothing_in_any_three_texts_makes_it_panic(base in "[ab\"\t\n#]{0,30}", mine in "[ab\"\t\n#]{0,30}", theirs in "[ab\"\t\n#]{0,30}") {
        for file in ["userdef.tab", "mailproc.tab"] {
            let _ = merge(Path::new(file), base.as_bytes(), mine.as_bytes(), theirs.as_bytes());
        }
    }

    #[test]
    fn edits_of_different_rows_are_all_in_the_result(
        mine in proptest::collection::vec(change(), 0..5),
        theirs in proptest::collection::vec(change(), 0..5),
    ) {
        let base: Vec<String> = (0..8).map(|n| format!("\"k{n}\"\t\"0\"\n")).collect();
        let (mine, theirs) = (apply(&base, &mine, 0), apply(&base, &theirs, 1));
        let bytes = |rows: &[String]| rows.concat().into_bytes();
        let merged = merge(Path::new("userdef.tab"), &bytes(&base), &bytes(&mine), &bytes(&theirs)).unwrap();
        let merged = String::from_utf8(merged).unwrap();
        let count = merged.lines().count();
        let mut expected: Vec<&String> = mine.iter().filter(|row| theirs.contains(row) || !base.contains(row)).collect();
        expected.extend(theirs.iter().filter(|row| !mine.contains(row) && !base.contains(row)));
        for row in &expected {
            prop_assert!(merged.contains(row.as_str()), "{row:?} not in {merged:?}");
        }
        prop_assert_eq!(count, expected.len());
    }
}
