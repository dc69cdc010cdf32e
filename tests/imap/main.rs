//! Conformance of the IMAP service: scripted dialogues on the real service over loopback, with both kinds of mailboxes.
//!
//! `dialogues/` has the dialogues; [`replay`] says how they are written. Besides that their answers have not changed it is
//! proved of all of them together that they cover what there is ([`coverage`]), and that another implementation can read
//! every answer ([`codec`]).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod codec;
mod coverage;
mod hostile;
mod idle;
mod random;
mod replay;
mod sasl;
mod server;

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use replay::{Replayed, replay};
use tabmail::mailbox::Kind;

/// Set to `write`, the answers of now become those of the dialogues.
const WRITE_VARIABLE: &str = "TABMAIL_DIALOGUES";

/// A part of the names of the dialogues that are to be replayed; without it all are.
const ONLY_VARIABLE: &str = "TABMAIL_DIALOGUE";

/// A dialogue as it stands in its file, and as it went.
struct Dialogue {
    path: PathBuf,
    text: String,
    runs: Vec<(Kind, Replayed)>,
}

/// All of them, replayed once for all tests of the process.
fn dialogues() -> &'static [Dialogue] {
    static DIALOGUES: OnceLock<Vec<Dialogue>> = OnceLock::new();
    DIALOGUES.get_or_init(|| {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/imap/dialogues");
        let mut paths: Vec<PathBuf> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        let only = std::env::var(ONLY_VARIABLE).unwrap_or_default();
        paths.retain(|path| path.to_str().unwrap().contains(&only));
        paths.sort();
        assert!(!paths.is_empty());
        std::thread::scope(|scope| {
            let threads: Vec<_> = paths.into_iter().map(|path| scope.spawn(move || dialogue(path))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a dialogue cannot be replayed")).collect()
        })
    })
}

fn dialogue(path: PathBuf) -> Dialogue {
    let text = fs::read_to_string(&path).unwrap();
    let runs = [Kind::Maildir, Kind::Mailbox].into_iter();
    let runs = runs.filter_map(|kind| Some((kind, replay(&text, kind)?))).collect();
    Dialogue { path, text, runs }
}

/// One test, so that the dialogues are replayed once where each test has a process of its own.
#[test]
fn the_service_conforms() {
    the_answers_are_those_of_the_dialogues();
    if std::env::var(ONLY_VARIABLE).is_ok() {
        return;
    }
    coverage::every_command_succeeds_somewhere();
    coverage::every_response_is_shown();
    coverage::every_response_code_is_shown();
    coverage::every_capability_is_used();
    codec::another_implementation_reads_every_answer();
}

fn the_answers_are_those_of_the_dialogues() {
    let writes = std::env::var(WRITE_VARIABLE).is_ok_and(|value| value == "write");
    let mut wrong = String::new();
    for dialogue in dialogues() {
        let name = dialogue.path.file_stem().unwrap().to_str().unwrap();
        for (nth, (kind, replayed)) in dialogue.runs.iter().enumerate() {
            // When the answers are written, both kinds must still agree.
            let expected = if writes { &dialogue.runs[0].1.text } else { &dialogue.text };
            if *expected != replayed.text {
                wrong += &format!("\n{name}, {kind:?}:\n{}", difference(expected, &replayed.text));
            }
            if writes && nth == 0 {
                fs::write(&dialogue.path, &replayed.text).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{WRITE_VARIABLE}=write writes the answers of now");
}

/// The first lines that differ.
fn difference(expected: &str, now: &str) -> String {
    let same = expected.lines().zip(now.lines()).take_while(|(one, other)| one == other).count();
    let part = |text: &str, sign: char| {
        let lines = text.lines().skip(same).take(4);
        lines.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    let before = expected.lines().take(same).skip(same.saturating_sub(6)).map(|line| format!("  {line}\n"));
    format!("line {}\n{}{}{}", same + 1, before.collect::<String>(), part(expected, '-'), part(now, '+'))
}
