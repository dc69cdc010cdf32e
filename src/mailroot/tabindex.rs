//! `tabindex/`: XMail's index files. We never read them (decision 19), but XMail may come back and would trust one
//! that is as old as its table, so the index files of a table are deleted whenever the table changes.

use std::fs;

use super::MailRoot;

/// The tables that XMail indexes; the file names begin with these stems.
const INDEXED: [&str; 5] = ["mailusers", "aliases", "extaliases", "domains", "aliasdomain"];

/// Deletes the index files of `table` (for example `aliases.tab`). Tables without an index are left alone.
pub fn forget(root: &MailRoot, table: &str) {
    if let Some(stem) = table.strip_suffix(".tab").filter(|stem| INDEXED.contains(stem)) {
        remove_matching(root, |name| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-')));
    }
}

/// Deletes all index files: at a clean stop.
pub fn forget_all(root: &MailRoot) {
    remove_matching(root, |_| true);
}

fn remove_matching(root: &MailRoot, wanted: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(root.path().join("tabindex")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.ends_with(".hdx") && wanted(name))
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!("{}: cannot be removed: {error}", entry.path().display());
        }
    }
}
