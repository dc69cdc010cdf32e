//! `domains/<domain>/addressbook.tab`: the public address book of a domain, a tree of departments with entries
//! (`jdmail.md` JD-46). The shape is ours; XMail does not look at it.
//!
//! ```text
//! "Sales/Europe"  ""        ""                ""          "10"    a department; rows below it need none of its own
//! "Sales/Europe"  "Anna K." "anna@home.test"  "+49 30 1"  "2"     an entry
//! ""              "Desk"    "desk@home.test"                      an entry at the top
//! ```
//!
//! Departments are sorted among their siblings by order, then name; entries after them in the same way.

use std::collections::BTreeMap;

use super::problem::{ProblemKind, Problems};
use super::schema::tables::accounts::ADDRESSBOOK;
use super::server_tab::leading_number;
use super::table::{Row, RowSpec, Table};

/// How deep departments nest; what is deeper is passed over. Ours.
pub const DEPTH_MAX: usize = 16;

/// The name of the file.
pub const ADDRESSBOOK_TAB: &str = "addressbook.tab";

/// What stands between the names of departments in a path.
pub const SEPARATOR: char = '/';

/// `addressbook.tab`: the rows in file order.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    rows: Vec<BookRow>,
}

/// A row of `addressbook.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookRow {
    /// The line, from 1.
    pub line: u32,
    /// The department, as in [`department`]; empty: the top.
    pub department: String,
    /// The name of the entry; empty for a department.
    pub name: Box<str>,
    /// The mail address; may be empty.
    pub address: Box<str>,
    /// The phone number; may be empty.
    pub phone: Box<str>,
    /// Rows with a smaller one come first.
    pub order: i64,
}

impl BookRow {
    /// Whether the row makes a department and is no entry.
    pub fn is_department(&self) -> bool {
        self.name.is_empty() && self.address.is_empty()
    }
}

/// A department with all that is in it. The top has no name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Department {
    /// Its name among its siblings.
    pub name: String,
    /// Its path from the top.
    pub path: String,
    /// Its place among its siblings.
    pub order: i64,
    /// The departments in it.
    pub departments: Vec<Department>,
    /// Its own entries.
    pub entries: Vec<BookRow>,
}

impl AddressBook {
    /// All rows in file order.
    pub fn rows(&self) -> &[BookRow] {
        &self.rows
    }

    /// The tree.
    pub fn tree(&self) -> Department {
        let mut known: BTreeMap<String, Department> = BTreeMap::new();
        for row in &self.rows {
            let mut path = String::new();
            for name in row.department.split(SEPARATOR).filter(|name| !name.is_empty()) {
                let above = path.clone();
                path = joined(&above, name);
                known.entry(path.clone()).or_insert_with(|| Department {
                    name: name.to_owned(),
                    path: path.clone(),
                    ..Department::default()
                });
            }
            let department = known.entry(path).or_default();
            match row.is_department() {
                true => department.order = row.order,
                false => department.entries.push(row.clone()),
            }
        }
        let mut top = known.remove("").unwrap_or_default();
        // The deepest first: what is in a department is complete when it is put into the one above.
        let mut paths: Vec<String> = known.keys().cloned().collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.matches(SEPARATOR).count()));
        for path in paths {
            let Some(mut department) = known.remove(&path) else { continue };
            sort(&mut department);
            let above = path.rsplit_once(SEPARATOR).map_or("", |(above, _)| above);
            known.get_mut(above).unwrap_or(&mut top).departments.push(department);
        }
        sort(&mut top);
        top
    }
}

fn sort(department: &mut Department) {
    department.departments.sort_by_cached_key(|one| (one.order, one.name.to_lowercase()));
    department.entries.sort_by_cached_key(|one| (one.order, one.name.to_lowercase()));
}

/// A path of departments without blanks around names and without empty names.
pub fn department(text: &str) -> String {
    let names = text.split(SEPARATOR).map(str::trim).filter(|name| !name.is_empty());
    names.collect::<Vec<_>>().join(&SEPARATOR.to_string())
}

/// The path of a department in another one.
pub fn joined(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}{SEPARATOR}{name}") }
}

/// Whether a department is `top` or in it.
pub fn is_within(path: &str, top: &str) -> bool {
    top.is_empty()
        || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
}

impl Table for AddressBook {
    const SPEC: RowSpec = ADDRESSBOOK.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let texts = [0, 1, 2, 3].map(|index| row.text(index, problems));
        let [Some(path), Some(name), Some(address), Some(phone)] = texts else { return };
        let department = department(&path);
        if department.split(SEPARATOR).count() > DEPTH_MAX {
            problems.note(row.line, row.column(0), ProblemKind::TooMany { limit: DEPTH_MAX });
            return;
        }
        if name.is_empty() && !address.is_empty() {
            problems.note(row.line, row.column(1), ProblemKind::Empty);
        }
        if department.is_empty() && name.is_empty() && address.is_empty() {
            problems.note(row.line, row.column(0), ProblemKind::Empty);
            return;
        }
        // An empty address or order is none.
        let given = [2, 4].into_iter().filter(|&index| !row.bytes(index).is_empty());
        ADDRESSBOOK.check(&row, given, problems);
        let order = leading_number(row.bytes(4));
        self.rows.push(BookRow { line: row.line, department, name, address, phone, order });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    fn outline(department: &Department, depth: usize, into: &mut String) {
        for entry in &department.entries {
            into.push_str(&format!("{}- {}\n", " ".repeat(depth), entry.name));
        }
        for inner in &department.departments {
            into.push_str(&format!("{}{}\n", " ".repeat(depth), inner.name));
            outline(inner, depth + 1, into);
        }
    }

    #[test]
    fn rows_become_a_tree_sorted_by_order_and_name() {
        let (book, problems) = load_text::<AddressBook>(
            "domains/a.test/addressbook.tab",
            "\"Sales/Europe\"\t\"Bert\"\t\"bert@a.test\"\t\"\"\t\"2\"\n\
             \"Sales / Europe\"\t\"Zoe\"\t\"zoe@a.test\"\t\"1\"\t\"1\"\n\
             \"Board\"\t\"\"\t\"\"\t\"\"\t\"5\"\n\
             \"Sales\"\t\"\"\t\"\"\t\"\"\t\"1\"\n\
             \"\"\t\"Desk\"\n\
             \"Sales\"\t\"anna\"\t\"anna@a.test\"\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let mut text = String::new();
        outline(&book.tree(), 0, &mut text);
        assert_eq!(text, "- Desk\nSales\n - anna\n Europe\n  - Zoe\n  - Bert\nBoard\n");
    }

    #[test]
    fn what_is_no_entry_and_no_department_is_told() {
        let deep = vec!["x"; DEPTH_MAX + 1].join("/");
        let text = format!(
            "\"\"\t\"\"\n\"{deep}\"\t\"A\"\n\"D\"\t\"\"\t\"a@a.test\"\n\"D\"\t\"B\"\t\"no address\"\n"
        );
        let (book, problems) = load_text::<AddressBook>("x", &text);
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert_eq!(book.rows().len(), 2);
    }

    #[test]
    fn departments_are_within_their_own() {
        assert!(is_within("a/b", "a") && is_within("a", "a") && is_within("x", ""));
        assert!(!is_within("ab", "a") && !is_within("a", "a/b"));
    }
}
