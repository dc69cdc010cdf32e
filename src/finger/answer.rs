//! What is told about an account, a list or nobody.

use std::collections::HashSet;
use std::fmt;

use bstr::{BStr, ByteSlice};

use super::query::Query;
use crate::address::Mailbox;
use crate::mailroot::accounts::{Account, AccountKind};
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Resolved, Snapshot};

/// Accounts in one answer. Ours; XMail follows a list of any size, reading a file for each member (decision 202).
pub const BLOCKS_MAX: usize = 1000;

/// The lines to send, each with CRLF.
///
/// Reads `user.tab` and `mlusers.tab` through the snapshot: call it where blocking is allowed. A list stands for its
/// members; members that are not ours are left out, and each account comes once, so that lists may contain each other.
pub fn answer(snapshot: &Snapshot, default_domain: &str, query: &Query) -> Vec<u8> {
    let domain = query.domain.as_ref().map_or(default_domain, |domain| domain.as_str());
    let Some(Resolved { account, .. }) = snapshot.resolve(domain, query.local_part.as_str()) else {
        return line(&"User not found");
    };
    let mut lines = Vec::new();
    let mut seen = HashSet::from([key(&account)]);
    let mut blocks = 0;
    let mut waiting = vec![account];
    while let Some(account) = waiting.pop() {
        if account.kind == AccountKind::User {
            lines.extend(block(snapshot, &account));
            blocks += 1;
            if blocks == BLOCKS_MAX {
                break;
            }
            continue;
        }
        let members = snapshot.list_members(&account);
        let ours = members.rows().iter().filter_map(|member| {
            let address = Mailbox::parse(member.address.as_bytes()).ok()?;
            let found = snapshot.resolve(address.domain.as_str(), address.local_part.as_str())?;
            seen.insert(key(&found.account)).then_some(found.account)
        });
        let first_new = waiting.len();
        waiting.extend(ours);
        // The last is taken first: so they come in the order of the list.
        waiting[first_new..].reverse();
    }
    lines
}

/// One line of an answer.
pub(super) fn line(text: &dyn fmt::Display) -> Vec<u8> {
    format!("{text}\r\n").into_bytes()
}

fn key(account: &Account) -> String {
    account.address().to_ascii_lowercase()
}

fn block(snapshot: &Snapshot, account: &Account) -> Vec<u8> {
    let variables = snapshot.user_settings(account);
    let address = account.address();
    let mut lines = Vec::new();
    for (name, value) in [
        ("EMail       ", Some(address.as_bytes().as_bstr())),
        ("  Real Name ", variables.bytes(&variables::REAL_NAME)),
        ("  Home Page ", variables.bytes(&variables::HOME_PAGE)),
    ] {
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend(printable(value.unwrap_or(UNKNOWN.into())));
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// What stands where the account says nothing.
const UNKNOWN: &str = "??";

/// Control characters could drive the terminal of whoever asks (RFC 1288 section 3.3).
fn printable(value: &BStr) -> impl Iterator<Item = u8> {
    value.bytes().map(|byte| if byte.is_ascii_control() { b'?' } else { byte })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::finger::query::parse;
    use crate::mailroot::MailRoot;
    use crate::mailroot::made::write as put;

    fn mail_root() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        put(
            dir.path(),
            "mailusers.tab",
            "\"example.test\"\t\"alice\"\t\"\"\t1\t\"alice\"\t\"U\"\n\"example.test\"\t\"bob\"\t\"\"\t2\t\"bob\"\t\"U\"\n\
             \"example.test\"\t\"odd\"\t\"\"\t3\t\"odd\"\t\"U\"\n\
             \"example.test\"\t\"list\"\t\"\"\t4\t\"list\"\t\"M\"\n\"example.test\"\t\"inner\"\t\"\"\t5\t\"inner\"\t\"M\"\n",
        );
        put(dir.path(), "domains.tab", "\"example.test\"\n");
        put(dir.path(), "aliasdomain.tab", "\"alias.test\"\t\"example.test\"\n");
        put(dir.path(), "aliases.tab", "\"example.test\"\t\"al\"\t\"alice\"\n");
        put(dir.path(), "domains/example.test/alice/user.tab", "\"RealName\"\t\"Alice Tester\"\n");
        put(
            dir.path(),
            "domains/example.test/bob/user.tab",
            "\"RealName\"\t\"Bob B\"\n\"HomePage\"\t\"http://bob.example.test/\"\n",
        );
        put(dir.path(), "domains/example.test/odd/user.tab", "\"RealName\"\t\"\x1b[2J\u{fc}\"\n");
        put(
            dir.path(),
            "domains/example.test/list/mlusers.tab",
            "\"bob@example.test\"\t\"RW\"\n\"a@b.test\"\t\"R\"\n\"inner@example.test\"\t\"R\"\n\"odd@example.test\"\t\"R\"\n",
        );
        put(
            dir.path(),
            "domains/example.test/inner/mlusers.tab",
            "\"al@alias.test\"\t\"R\"\n\"list@example.test\"\t\"R\"\n\"bob@example.test\"\t\"R\"\n",
        );
        dir
    }

    const ALICE: &str =
        "EMail       : alice@example.test\r\n  Real Name : Alice Tester\r\n  Home Page : ??\r\n";
    const BOB: &str =
        "EMail       : bob@example.test\r\n  Real Name : Bob B\r\n  Home Page : http://bob.example.test/\r\n";
    const ODD: &str = "EMail       : odd@example.test\r\n  Real Name : ?[2J\u{fc}\r\n  Home Page : ??\r\n";

    #[test]
    fn accounts_aliases_lists_and_strangers() {
        let dir = mail_root();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        let check = |query: &str, expected: &str| {
            let query = parse(query.as_bytes()).unwrap();
            let answer = answer(&snapshot, "example.test", &query);
            assert_eq!(String::from_utf8(answer).unwrap(), expected, "{query:?}");
        };
        check("alice", ALICE);
        check("BOB@EXAMPLE.TEST", BOB);
        check("al@example.test", ALICE);
        check("alice@alias.test", ALICE);
        check("odd", ODD);
        check("nobody", "User not found\r\n");
        check("x@remote.test", "User not found\r\n");
        // In the list's order, each account once although the lists contain each other.
        check("list", &format!("{BOB}{ALICE}{ODD}"));
    }

    #[test]
    fn a_list_of_strangers_has_an_empty_answer() {
        let dir = mail_root();
        put(dir.path(), "domains/example.test/list/mlusers.tab", "\"a@b.test\"\t\"R\"\n");
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        assert_eq!(answer(&snapshot, "example.test", &parse(b"list").unwrap()), b"");
    }

    #[test]
    fn an_answer_has_an_end() {
        let dir = mail_root();
        let (mut users, mut members) = (String::new(), String::new());
        for number in 0..BLOCKS_MAX + 10 {
            let name = format!("u{number}");
            writeln!(users, "\"many.test\"\t\"{name}\"\t\"\"\t1\t\"{name}\"\t\"U\"").unwrap();
            writeln!(members, "\"{name}@many.test\"\t\"R\"").unwrap();
        }
        writeln!(users, "\"many.test\"\t\"list\"\t\"\"\t1\t\"list\"\t\"M\"").unwrap();
        put(dir.path(), "mailusers.tab", &users);
        put(dir.path(), "domains/many.test/list/mlusers.tab", &members);
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        let answer = answer(&snapshot, "many.test", &parse(b"list").unwrap());
        assert_eq!(answer.lines().count(), 3 * BLOCKS_MAX);
    }
}
