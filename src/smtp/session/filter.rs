//! What SMTP filters are told, and what they may change (`mailflow.md` 5.2, 2.2; golden `filter_smtp_capture`).
//!
//! ```text
//! HELO name;[client]:port;server domain;[server]:port;date;server name
//! server domain
//! message number
//! MAIL FROM:<...> [parameters]
//! RCPT TO:<path> {ra=account}        one for each recipient accepted so far; account, or the path itself
//! <<MAIL-DATA>>                      post-data only, and the message behind it
//! ```

use bstr::BString;

use super::{
    AcceptedRecipient, Action, Context, FilterPoint, FilterVerdict, MailTransaction, Question, Session,
    Waiting,
};
use crate::address::{ForwardPath, PathError, ReversePath, Utf8, parse_angle};
use crate::filter::{Stage, Subject};
use crate::mailroot::filters::FilterProgram;
use crate::net::{bracketed, plain_ip};
use crate::smtp::reply;

/// The line before the message.
const DATA_MARK: &[u8] = b"<<MAIL-DATA>>";

/// What a filter needs to know.
#[derive(Debug)]
pub struct FilterRun {
    /// Which table.
    pub point: FilterPoint,
    /// The transaction's tables.
    pub snapshot: std::sync::Arc<crate::mailroot::Snapshot>,
    /// For the flags and the log.
    pub subject: Subject,
    /// The session's file up to the message, data mark included where there is one.
    pub envelope: Vec<u8>,
    /// Values of the macros, but for `FILE`.
    pub macros: Vec<(&'static str, BString)>,
}

impl FilterRun {
    /// The table of programs, and its file.
    pub fn programs(&self) -> (&'static str, &FilterProgram) {
        let snapshot = &self.snapshot;
        match self.point {
            FilterPoint::PostRcpt => ("filters.post-rcpt.tab", &snapshot.filters_post_rcpt),
            FilterPoint::PreData => ("filters.pre-data.tab", &snapshot.filters_pre_data),
            FilterPoint::PostData => ("filters.post-data.tab", &snapshot.filters_post_data),
        }
    }
}

/// The session's file as a post-data filter left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The MAIL line.
    pub line: BString,
    /// Its path.
    pub reverse_path: ReversePath,
    /// The RCPT lines' paths; at least one.
    pub recipients: Vec<ForwardPath>,
}

/// What a filter made of the lines before the message, which no mail can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEdit {
    /// Line 4 is no `MAIL FROM:` with a path.
    #[error("line 4 is no MAIL FROM:<path>: {0:?}")]
    MailFrom(Option<PathError>),
    /// A line behind it is no `RCPT TO:` with a path.
    #[error("line {line} is no RCPT TO:<path>: {reason:?}")]
    RcptTo {
        /// From 1.
        line: usize,
        /// Why.
        reason: Option<PathError>,
    },
    /// Nobody is left.
    #[error("no RCPT TO")]
    NoRecipient,
}

impl Edit {
    /// Reads the lines before the data mark, line ends cut off. What stands behind a recipient's `>` is dropped.
    ///
    /// # Errors
    /// [`BadEdit`].
    pub fn of_lines(lines: &[BString]) -> Result<Self, BadEdit> {
        let line = lines.get(3).filter(|line| begins(line, b"MAIL FROM:")).ok_or(BadEdit::MailFrom(None))?;
        let reverse_path = parse_angle(line, Utf8::Allowed).and_then(|(raw, _)| raw.into_reverse_path());
        let reverse_path = reverse_path.map_err(|error| BadEdit::MailFrom(Some(error)))?;
        let mut recipients = Vec::new();
        for (index, text) in lines.iter().enumerate().skip(4) {
            let bad = |reason| BadEdit::RcptTo { line: index + 1, reason };
            if !begins(text, b"RCPT TO:") {
                return Err(bad(None));
            }
            let path = parse_angle(text, Utf8::Allowed).and_then(|(raw, _)| raw.into_forward_path(None));
            recipients.push(path.map_err(|error| bad(Some(error)))?);
        }
        if recipients.is_empty() {
            return Err(BadEdit::NoRecipient);
        }
        Ok(Self { line: line.clone(), reverse_path, recipients })
    }
}

/// Whether a line is the data mark.
pub fn is_data_mark(line: &[u8]) -> bool {
    line == DATA_MARK
}

fn begins(line: &[u8], word: &[u8]) -> bool {
    line.len() >= word.len() && line[..word.len()].eq_ignore_ascii_case(word)
}

impl Session {
    /// Asks what the filters say. `new` is the recipient in question, after RCPT.
    pub(super) fn ask_filter(
        &mut self,
        waiting: Waiting,
        point: FilterPoint,
        new: Option<&AcceptedRecipient>,
        context: &Context,
    ) -> Action {
        let Some(transaction) = &self.transaction else { return self.abort(context) };
        let run = FilterRun {
            point,
            snapshot: std::sync::Arc::clone(&transaction.snapshot),
            subject: self.subject(point, transaction, new),
            envelope: self.session_file(point, transaction),
            macros: self.filter_macros(transaction, new),
        };
        self.ask(waiting, Question::Filter(Box::new(run)))
    }

    fn subject(
        &self,
        point: FilterPoint,
        transaction: &MailTransaction,
        new: Option<&AcceptedRecipient>,
    ) -> Subject {
        let is_many = new.is_none() && transaction.recipients.len() > 1;
        let last = new.or(transaction.recipients.last());
        Subject {
            stage: match point {
                FilterPoint::PostRcpt => Stage::PostRcpt,
                FilterPoint::PreData => Stage::PreData,
                FilterPoint::PostData => Stage::PostData,
            },
            sender: transaction.reverse_path.to_string(),
            recipient: match last {
                Some(_) if is_many => "*".to_owned(),
                last => last.map(|last| last.given.to_string()).unwrap_or_default(),
            },
            local: plain_ip(self.link.local.ip()),
            remote: plain_ip(self.link.peer.ip()),
            is_authenticated: self.login().is_some(),
            is_white_listed: self.standing.properties.white_list,
        }
    }

    /// A value that does not exist is `-` (`mailflow.md` 1.7). `RRCPT` belongs to the recipient of `CRCPT`; XMail may
    /// show that of an earlier one.
    fn filter_macros(
        &self,
        transaction: &MailTransaction,
        new: Option<&AcceptedRecipient>,
    ) -> Vec<(&'static str, BString)> {
        let dash = || BString::from("-");
        let last = new.or(transaction.recipients.last());
        let sender = transaction.reverse_path.mailbox().map_or_else(dash, |from| from.to_string().into());
        let given = last.map_or_else(dash, |last| last.given.to_string().into());
        let real = last.and_then(|last| last.account.clone()).map_or_else(|| given.clone(), Into::into);
        vec![
            ("FROM", sender),
            ("CRCPT", given),
            ("RRCPT", real),
            ("MSGREF", transaction.opening.number.as_str().into()),
            ("LOCALADDR", bracketed(self.link.local).into()),
            ("REMOTEADDR", bracketed(self.link.peer).into()),
            ("USERAUTH", self.login().map_or_else(dash, |login| login.name.clone())),
        ]
    }

    fn session_file(&self, point: FilterPoint, transaction: &MailTransaction) -> Vec<u8> {
        let helo = self.helo.as_ref().map_or(&[][..], |helo| helo.as_slice());
        let domain = &self.link.server_domain;
        let (client, server) = (bracketed(self.link.peer), bracketed(self.link.local));
        let trace =
            format!("{client};{domain};{server};{};{}", transaction.opening.date, reply::server_name());
        let mut file = [helo, b";", trace.as_bytes(), b"\r\n"].concat();
        for line in [domain.as_bytes(), transaction.opening.number.as_bytes(), &transaction.line] {
            file.extend_from_slice(line);
            file.extend_from_slice(b"\r\n");
        }
        for recipient in &transaction.recipients {
            let path = recipient.path.to_string();
            let account = recipient.account.as_deref().unwrap_or(&path);
            file.extend_from_slice(format!("RCPT TO:<{path}> {{ra={account}}}\r\n").as_bytes());
        }
        if point == FilterPoint::PostData {
            file.extend_from_slice(DATA_MARK);
            file.extend_from_slice(b"\r\n");
        }
        file
    }

    /// The reply to a verdict that refuses, with which the transaction ends; `None`: it accepts. The default text of a
    /// filter does not count as an error (`mailflow.md` 3.2).
    pub(super) fn refusal_of(
        &mut self,
        status: &str,
        verdict: FilterVerdict,
        context: &Context,
    ) -> Option<Action> {
        let reply = match verdict {
            FilterVerdict::Accept | FilterVerdict::Edited(_) => return None,
            FilterVerdict::Reject(reply) => reply,
            FilterVerdict::Unavailable => Some(reply::filter_unavailable()),
        };
        let last = self.transaction.as_ref().and_then(|open| open.recipients.last());
        let last = last.map(|last| last.given.to_string()).unwrap_or_default();
        self.note(status, &last);
        self.transaction = None;
        Some(match reply {
            Some(reply) => self.say(reply, context),
            None => Action::Reply(reply::transaction_failed()),
        })
    }

    /// Takes over what a post-data filter wrote. A recipient that was there keeps its quota.
    pub(super) fn take_edit(&mut self, edit: Edit) {
        let Some(transaction) = &mut self.transaction else { return };
        let before = std::mem::take(&mut transaction.recipients);
        let accepted = |path: ForwardPath| match before.iter().find(|known| known.path == path) {
            Some(known) => known.clone(),
            None => AcceptedRecipient { given: path.mailbox().clone(), path, quota: None, account: None },
        };
        transaction.recipients = edit.recipients.into_iter().map(accepted).collect();
        (transaction.line, transaction.reverse_path) = (edit.line, edit.reverse_path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &[&str]), BadEdit>) {
        let lines: Vec<BString> = text.lines().map(BString::from).collect();
        let found = Edit::of_lines(&lines).map(|edit| {
            let recipients: Vec<String> = edit.recipients.iter().map(ToString::to_string).collect();
            (edit.reverse_path.to_string(), recipients)
        });
        let expected =
            expected.map(|(from, to)| (from.to_owned(), to.iter().map(|to| (*to).into()).collect()));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn the_lines_before_the_message_may_change() {
        let head = "c;[127.0.0.1]:1;mx.test;[127.0.0.1]:25;date;[x]\nmx.test\nS2\n";
        let ok = format!("{head}MAIL FROM:<a@b.test> BODY=8BITMIME\nRCPT TO:<c@d.test> {{ra=c@d.test}}\n");
        check(&ok, Ok(("a@b.test", &["c@d.test"])));
        check(&format!("{ok}rcpt to:<e@f.test>\n"), Ok(("a@b.test", &["c@d.test", "e@f.test"])));
        check(&format!("{head}MAIL FROM:<>\nRCPT TO:<c@d.test>\n"), Ok(("", &["c@d.test"])));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let head = "x\ny\nz\n";
        check("", Err(BadEdit::MailFrom(None)));
        check("garbage\n\0\n", Err(BadEdit::MailFrom(None)));
        check(&format!("{head}RCPT TO:<a@b.test>\n"), Err(BadEdit::MailFrom(None)));
        check(&format!("{head}MAIL FROM:<a@b.test>\n"), Err(BadEdit::NoRecipient));
        let no_path = Some(PathError::NoAngleBrackets);
        check(&format!("{head}MAIL FROM:a@b.test\n"), Err(BadEdit::MailFrom(no_path)));
        let bad = BadEdit::RcptTo { line: 5, reason: None };
        check(&format!("{head}MAIL FROM:<a@b.test>\nSubject: x\n"), Err(bad));
    }
}
