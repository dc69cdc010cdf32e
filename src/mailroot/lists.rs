//! `mlusers.tab`: the members of a mailing list (`mailroot.md` 7.6).

use super::problem::Problems;
use super::schema::tables::accounts::MLUSERS;
use super::table::{Row, RowSpec, Table};

/// The members of one list, in file order.
#[derive(Clone, Debug, Default)]
pub struct ListMembers {
    rows: Vec<ListMember>,
}

/// A row of `mlusers.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMember {
    /// The line, from 1.
    pub line: u32,
    /// The subscriber's address.
    pub address: Box<str>,
    /// What the subscriber may do.
    pub perms: ListPerms,
}

/// The permission letters of a list member; without the column `RW`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPerms {
    /// `R`: gets the list's mail.
    pub receives: bool,
    /// `W`: may post as envelope sender, when `ClosedML` is set.
    pub posts_as_sender: bool,
    /// `A`: may post when logged in under this name, when `ClosedML` is set.
    pub posts_as_login: bool,
}

impl ListPerms {
    /// Reads the letters, upper case, in any order; others are ignored.
    pub fn parse(letters: &[u8]) -> Self {
        Self {
            receives: letters.contains(&b'R'),
            posts_as_sender: letters.contains(&b'W'),
            posts_as_login: letters.contains(&b'A'),
        }
    }
}

impl Default for ListPerms {
    fn default() -> Self {
        Self::parse(b"RW")
    }
}

impl ListMembers {
    /// The first row of this address, without regard to case.
    pub fn find(&self, address: &str) -> Option<&ListMember> {
        self.rows.iter().find(|row| row.address.eq_ignore_ascii_case(address))
    }

    /// Whether a closed list takes a posting (`mailflow.md` 4.5): a row equals the envelope sender and has `W`, or
    /// equals the log-in name and has `A`.
    pub fn may_post(&self, sender: &str, login: Option<&str>) -> bool {
        self.poster(sender, login).is_some()
    }

    /// The first row that lets this sender post to a closed list.
    pub fn poster(&self, sender: &str, login: Option<&str>) -> Option<&ListMember> {
        self.rows.iter().find(|row| {
            (row.perms.posts_as_sender && row.address.eq_ignore_ascii_case(sender))
                || (row.perms.posts_as_login
                    && login.is_some_and(|login| row.address.eq_ignore_ascii_case(login)))
        })
    }

    /// The members that get the list's mail, in file order.
    pub fn receiving(&self) -> impl Iterator<Item = &ListMember> {
        self.rows.iter().filter(|row| row.perms.receives)
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[ListMember] {
        &self.rows
    }
}

impl Table for ListMembers {
    const SPEC: RowSpec = MLUSERS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(address) = row.text(0, problems) else { return };
        MLUSERS.check(&row, [0, 1], problems);
        let perms = if row.fields.len() > 1 { ListPerms::parse(row.bytes(1)) } else { ListPerms::default() };
        self.rows.push(ListMember { line: row.line, address, perms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    #[test]
    fn members_read_and_write_unless_the_letters_say_otherwise() {
        let (list, problems) = load_text::<ListMembers>(
            "mlusers.tab",
            "\"bert@shop.test\"\t\"RW\"\n\"reader@isp.example\"\t\"R\"\nplain@a.test\n\
             \"anna@a.test\"\t\"A\"\n# out@a.test\n\n\"no address\"\t\"Rw\"\n",
        );
        let perms = |address| list.find(address).unwrap().perms;
        assert_eq!(perms("BERT@shop.test"), ListPerms::default());
        assert_eq!(perms("plain@a.test"), ListPerms::default());
        assert_eq!(
            perms("reader@isp.example"),
            ListPerms { receives: true, posts_as_sender: false, posts_as_login: false }
        );
        assert!(list.may_post("Bert@shop.test", None));
        assert!(!list.may_post("reader@isp.example", None));
        assert!(list.may_post("x@y.test", Some("Anna@a.test")));
        assert!(!list.may_post("anna@a.test", None));
        let lines: Vec<u32> = list.receiving().map(|row| row.line).collect();
        assert_eq!(lines, [1, 2, 3, 7]);
        assert_eq!(
            problems,
            [
                "mlusers.tab:7:1: is not a mail address: \"no address\"",
                "mlusers.tab:7:14: \"w\" counts for nothing: accepted are R, W, A",
            ]
        );
    }
}
