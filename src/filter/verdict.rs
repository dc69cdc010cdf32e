//! What an exit code means (`mailroot.md` 13.4). Pure.

/// The exit code of a filter that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    code: i32,
}

/// What a queue filter wants done with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InQueue {
    /// Go on.
    Pass,
    /// 4: delete it, tell nobody.
    Delete,
    /// 5: clean up per `RemoveSpoolErrors`, tell nobody.
    SetAside,
    /// 6: a notice, then as 5.
    Return,
    /// 7: go on with the file as it is now.
    Changed,
}

/// Ends the rows of the file and the remaining files.
const LAST: i32 = 16;

impl Verdict {
    /// The verdict of an exit code from 0 to 254.
    pub fn of(code: i32) -> Self {
        Self { code }
    }

    /// The rows behind this one, and the other selected files, do not run.
    pub fn is_last(self) -> bool {
        self.code & LAST != 0
    }

    /// For `filters.in.tab` and `filters.out.tab`.
    pub fn in_queue(self) -> InQueue {
        match self.code & !LAST {
            4 => InQueue::Delete,
            5 => InQueue::SetAside,
            6 => InQueue::Return,
            7 => InQueue::Changed,
            _ => InQueue::Pass,
        }
    }

    /// Whether the program says that it did its work: 0, and the codes that mean something in a queue. With any other
    /// mail goes on too, but a program that fails in the middle of writing ends with such a code (1 from a shell or
    /// Python, the error number from Perl): what it left in the file is not to be trusted (decision 192).
    pub fn is_success(self) -> bool {
        matches!(self.code & !LAST, 0 | 4..=7)
    }

    /// For the SMTP filters: everything but 3 accepts.
    pub fn refuses_in_smtp(self) -> bool {
        self.code & !LAST == 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of golden `filter_in_exit_*` and of the SMTP scenarios, and some that mean nothing.
    #[test]
    fn golden_exit_codes() {
        use InQueue::{Changed, Delete, Pass, Return, SetAside};
        for (code, in_queue, refuses, is_last) in [
            (0, Pass, false, false),
            (1, Pass, false, false),
            (3, Pass, true, false),
            (4, Delete, false, false),
            (5, SetAside, false, false),
            (6, Return, false, false),
            (7, Changed, false, false),
            (8, Pass, false, false),
            (16, Pass, false, true),
            (19, Pass, true, true),
            (20, Delete, false, true),
            (21, SetAside, false, true),
            (22, Return, false, true),
            (23, Changed, false, true),
            (36, Pass, false, false),
            (127, Pass, false, true),
        ] {
            let verdict = Verdict::of(code);
            assert_eq!(verdict.in_queue(), in_queue, "{code}");
            assert_eq!(verdict.refuses_in_smtp(), refuses, "{code}");
            assert_eq!(verdict.is_last(), is_last, "{code}");
            assert_eq!(verdict.is_success(), in_queue != Pass || matches!(code, 0 | 16), "{code}");
        }
    }
}
