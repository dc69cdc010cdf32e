//! Departments of a domain's address book (`jdmail.md` JD-46). Entries are rows, and edited as such.

use std::path::PathBuf;

use super::{Admin, AdminError};
use crate::mailroot::MailRoot;
use crate::mailroot::address_book::{
    ADDRESSBOOK_TAB, AddressBook, DEPTH_MAX, SEPARATOR, department, is_within, joined,
};
use crate::mailroot::edit::EditRow;

impl Admin {
    /// The address book of a domain.
    ///
    /// # Errors
    /// `DomainNotHandled`.
    pub fn address_book(&self, domain: &str) -> Result<AddressBook, AdminError> {
        let file = self.address_book_file(domain)?;
        Ok((*self.snapshot().file::<AddressBook>(&file)).clone())
    }

    /// Adds a department in another one, or gives one that is there another order.
    ///
    /// # Errors
    /// `DomainNotHandled`, `BadDepartment`, `Edit`.
    pub fn add_department(&self, domain: &str, path: &str, order: i64) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = self.address_book_file(domain)?;
        let path = checked(path)?;
        let mut edit = self.editor.begin(&file)?;
        let values = [path.as_str(), "", "", "", &order.to_string()];
        match edit.find(|row| is_department(row) && of(row) == path).map(|row| row.index) {
            Some(index) => edit.set(index, &values)?,
            None => edit.push(&values)?,
        }
        Ok(edit.commit()?)
    }

    /// Puts a department with all that is in it into `above` (empty: the top) under `name`.
    ///
    /// # Errors
    /// `DomainNotHandled`, `BadDepartment` for a path that is none, is taken, or lies in the department itself,
    /// `DepartmentNotFound`, `Edit`.
    pub fn move_department(
        &self,
        domain: &str,
        path: &str,
        above: &str,
        name: &str,
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = self.address_book_file(domain)?;
        let path = checked(path)?;
        if name.contains(SEPARATOR) || name.trim().is_empty() {
            return Err(AdminError::BadDepartment);
        }
        let wanted = checked(&joined(&department(above), name.trim()))?;
        let mut edit = self.editor.begin(&file)?;
        let rows: Vec<EditRow> = edit.rows().collect();
        let is_taken = wanted != path && rows.iter().any(|row| is_within(&of(row), &wanted));
        if is_taken || (wanted != path && is_within(&wanted, &path)) {
            return Err(AdminError::BadDepartment);
        }
        let inside: Vec<&EditRow> = rows.iter().filter(|row| is_within(&of(row), &path)).collect();
        if inside.is_empty() {
            return Err(AdminError::DepartmentNotFound);
        }
        for row in inside {
            let moved = checked(&format!("{wanted}{}", &of(row)[path.len()..]))?;
            let rest = row.fields.iter().skip(1).map(|field| field.value.to_vec());
            let values: Vec<Vec<u8>> = std::iter::once(moved.into_bytes()).chain(rest).collect();
            edit.set(row.index, &values)?;
        }
        Ok(edit.commit()?)
    }

    /// Removes a department with all that is in it.
    ///
    /// # Errors
    /// `DomainNotHandled`, `DepartmentNotFound`, `Edit`.
    pub fn remove_department(&self, domain: &str, path: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = self.address_book_file(domain)?;
        let path = checked(path)?;
        match self.editor.remove_rows(&file, |row| is_within(&of(row), &path))? {
            0 => Err(AdminError::DepartmentNotFound),
            _ => Ok(()),
        }
    }

    fn address_book_file(&self, domain: &str) -> Result<PathBuf, AdminError> {
        let tables = self.snapshot();
        let row = tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?;
        if !super::is_directory_name(&row.domain) {
            return Err(AdminError::DomainNotHandled);
        }
        Ok(MailRoot::domain_directory(&row.domain).join(ADDRESSBOOK_TAB))
    }
}

/// The department of a row.
fn of(row: &EditRow) -> String {
    department(&String::from_utf8_lossy(row.value(0)))
}

fn is_department(row: &EditRow) -> bool {
    row.value(1).is_empty() && row.value(2).is_empty()
}

fn checked(path: &str) -> Result<String, AdminError> {
    let path = department(path);
    let is_good = !path.is_empty()
        && path.split(SEPARATOR).count() <= DEPTH_MAX
        && !path.starts_with('#')
        && !path.chars().any(char::is_control);
    if is_good { Ok(path) } else { Err(AdminError::BadDepartment) }
}
