//! Commands on folders: SELECT, LIST, STATUS, CREATE and their like (RFC 9051 sections 6.3 and 6.4).

use std::collections::BTreeSet;
use std::io::Write as _;

use super::command::{List, MailboxName, QResync, Select, StatusItem};
use super::encode::{self, Code, Condition};
use super::fetch::gone_since;
use super::selected::Selected;
use super::sets;
use super::work::{Progress, Refusal, Work, folder_name};
use crate::mailbox::folder::{
    Folder, FolderError, FolderName, FolderRow, KEYWORDS_MAX, SEPARATOR, SpecialUse, Status,
};

/// Patterns of one LIST. Ours: each is compared with each folder, and mail readers send one or two.
const PATTERNS_MAX: usize = 100;

impl Work {
    /// SELECT and EXAMINE.
    pub(super) fn select(&mut self, select: &Select, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        if select.qresync.is_some() && !self.modes.qresync {
            // RFC 7162 section 3.2.5.
            return Err(Refusal::bad("QRESYNC must be enabled first"));
        }
        if self.selected.take().is_some() {
            Selected::tell_closed(out);
        }
        if select.condstore || select.qresync.is_some() {
            self.modes.condstore = true;
        }
        let name = folder_name(&select.mailbox)?;
        let folder = self.folders.open(&name)?;
        let status = folder.status();
        let selected = Selected::new(folder, select.read_only);
        selected.tell_flag_names(out);
        let permanent = Code::PermanentFlags {
            flags: if select.read_only { Vec::new() } else { selected.all_flags() },
            new_keywords: !select.read_only && selected.keywords.len() < KEYWORDS_MAX,
        };
        let ok = |out: &mut Vec<u8>, code: Code, text: &str| {
            encode::untagged(out, Condition::Ok, Some(&code), text)
        };
        ok(out, permanent, "Flags that are kept");
        selected.tell_exists(out, self.modes);
        if !self.modes.rev2
            && let Some(number) = selected.folder.first_unseen().and_then(|uid| selected.sequence(uid))
        {
            ok(out, Code::Unseen(number), "The first unseen message");
        }
        ok(out, Code::UidValidity(status.uid_validity), "UIDs are valid");
        if !status.keeps_uids {
            ok(out, Code::UidNotSticky, "The disk takes no notes: UIDs end with this run of the server");
        }
        ok(out, Code::UidNext(status.next_uid), "The next UID");
        ok(out, Code::HighestModSeq(status.highest_modseq), "The highest mod-sequence");
        ok(out, Code::MailboxId(mailbox_id(&status)), "The mailbox's id");
        if self.modes.rev2 {
            self.tell_list_row(&row_of(&self.folders.list()?, &name), out);
        }
        if let Some(known) = &select.qresync
            && known.uid_validity == status.uid_validity
        {
            self.tell_resync(&selected, known, out);
        }
        self.selected = Some(selected);
        let code = if select.read_only { Code::ReadOnly } else { Code::ReadWrite };
        Ok(Progress::Done(
            Some(code),
            if select.read_only { "EXAMINE completed" } else { "SELECT completed" },
        ))
    }

    /// What has happened since the client was here last (RFC 7162 section 3.2.5).
    fn tell_resync(&self, selected: &Selected, known: &QResync, out: &mut Vec<u8>) {
        let known_uids = known.known_uids.as_ref().map(|known| known.ranges(u32::MAX));
        let is_known =
            |uid: u32| known_uids.as_ref().is_none_or(|ranges| uid != 0 && sets::is_within(ranges, uid));
        let gone = gone_since(&selected.folder, known.mod_seq, &is_known);
        if !gone.is_empty() {
            let _ = write!(out, "* VANISHED (EARLIER) {}\r\n", sets::to_text(gone));
        }
        let (messages, _) = selected.folder.messages();
        for message in
            messages.iter().filter(|message| message.modseq > known.mod_seq && is_known(message.uid))
        {
            if let Some(sequence) = selected.sequence(message.uid) {
                selected.tell_flags(out, self.modes, sequence, message, true);
            }
        }
    }

    /// CONDSTORE is switched on by commands that use it (RFC 7162 section 3.1).
    pub(super) fn enable_condstore(&mut self, out: &mut Vec<u8>) {
        if self.modes.tells_modseq() {
            return;
        }
        self.modes.condstore = true;
        if let Some(selected) = &self.selected {
            let code = Code::HighestModSeq(selected.folder.status().highest_modseq);
            encode::untagged(out, Condition::Ok, Some(&code), "The highest mod-sequence");
        }
    }

    /// STATUS.
    pub(super) fn status(
        &mut self,
        name: &MailboxName,
        items: &[StatusItem],
        out: &mut Vec<u8>,
    ) -> Result<Progress, Refusal> {
        let name = folder_name(name)?;
        if items.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore(out);
        }
        let folder = self.folders.open(&name)?;
        self.tell_status(&folder, items, out)?;
        Ok(Progress::Done(None, "STATUS completed"))
    }

    fn tell_status(
        &self,
        folder: &Folder,
        items: &[StatusItem],
        out: &mut Vec<u8>,
    ) -> Result<(), FolderError> {
        let status = folder.status();
        out.extend_from_slice(b"* STATUS ");
        encode::mailbox(out, folder.name().as_str(), self.names());
        out.extend_from_slice(b" (");
        for (nth, item) in items.iter().enumerate() {
            if nth > 0 {
                out.push(b' ');
            }
            let _ = write!(out, "{} ", item.name());
            let _ = match item {
                StatusItem::Messages => write!(out, "{}", status.messages),
                StatusItem::Recent => {
                    let from = folder.take_recent(false);
                    let recent = folder.uids().0.iter().filter(|uid| **uid >= from).count();
                    write!(out, "{recent}")
                }
                StatusItem::UidNext => write!(out, "{}", status.next_uid),
                StatusItem::UidValidity => write!(out, "{}", status.uid_validity),
                StatusItem::Unseen => write!(out, "{}", status.unseen),
                StatusItem::Deleted => write!(out, "{}", status.deleted),
                StatusItem::Size => write!(out, "{}", folder.size()?),
                StatusItem::AppendLimit => match self.append_limit() {
                    Some(bytes) => write!(out, "{bytes}"),
                    None => write!(out, "NIL"),
                },
                StatusItem::HighestModSeq => write!(out, "{}", status.highest_modseq),
                StatusItem::MailboxId => write!(out, "({})", mailbox_id(&status)),
            };
        }
        out.extend_from_slice(b")\r\n");
        Ok(())
    }

    /// LIST, basic and extended (RFC 5258, RFC 5819, RFC 6154).
    pub(super) fn list(&mut self, list: &List, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        if !list.extended && list.patterns.iter().all(String::is_empty) {
            // Only the separator is asked for.
            let _ = write!(out, "* LIST (\\Noselect) \"{SEPARATOR}\" \"\"\r\n");
            return Ok(Progress::Done(None, "LIST completed"));
        }
        if list.patterns.len() > PATTERNS_MAX {
            let text = format!("LIST takes at most {PATTERNS_MAX} patterns");
            return Err(Refusal::no(Some(Code::Limit), text));
        }
        let rows = self.folders.list()?;
        let patterns: BTreeSet<Pattern> = list
            .patterns
            .iter()
            .map(|pattern| Pattern::new(&format!("{}{pattern}", list.reference)))
            .collect();
        let wanted = |row: &FolderRow| {
            (!list.select.subscribed || row.is_subscribed)
                && (!list.select.special_use || row.special_use.is_some())
        };
        for row in &rows {
            if !patterns.iter().any(|pattern| pattern.fits(row.name.as_str())) {
                continue;
            }
            // Looked for only where it is asked for: each look goes over all folders.
            let is_asked = list.select.recursive_match || !row.exists;
            let below: Vec<&FolderRow> =
                rows.iter().filter(|other| is_asked && other.name.is_below(&row.name)).collect();
            let is_told = |row: &FolderRow| patterns.iter().any(|pattern| pattern.fits(row.name.as_str()));
            let has_wanted_below = list.select.recursive_match && below.iter().any(|other| wanted(other));
            // Who hears of those below anyway need not hear that they are there (RFC 5258 section 3.5).
            let stands_for_below =
                has_wanted_below && below.iter().any(|other| wanted(other) && !is_told(other));
            if !wanted(row) && !stands_for_below {
                continue;
            }
            if !row.exists && !list.select.subscribed && below.iter().all(|other| !other.exists) {
                // Only a subscription to what was removed.
                continue;
            }
            self.tell_row(row, list, has_wanted_below, out);
            if !list.returns.status.is_empty() && row.exists {
                // Without a STATUS the row still says that the folder is there (RFC 5819 section 2).
                let before = out.len();
                let told = self.folders.open(&row.name);
                if let Err(error) =
                    told.and_then(|folder| self.tell_status(&folder, &list.returns.status, out))
                {
                    tracing::warn!("{} {}: no STATUS: {error}", self.account.address(), row.name);
                    out.truncate(before);
                }
            }
        }
        Ok(Progress::Done(None, "LIST completed"))
    }

    fn tell_row(&self, row: &FolderRow, list: &List, has_wanted_below: bool, out: &mut Vec<u8>) {
        let mut attributes = Vec::new();
        if !row.exists {
            attributes.push(if list.extended || self.modes.rev2 { "\\NonExistent" } else { "\\Noselect" });
        }
        attributes.push(if row.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
        if row.is_subscribed && (list.select.subscribed || list.returns.subscribed) {
            attributes.push("\\Subscribed");
        }
        attributes.extend(row.special_use.filter(|_| row.exists).map(SpecialUse::name));
        tell_name(out, "LIST", &attributes, row.name.as_str(), self.names());
        if has_wanted_below && list.select.recursive_match && list.select.subscribed {
            out.truncate(out.len() - 2);
            out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n");
        }
    }

    fn tell_list_row(&self, row: &FolderRow, out: &mut Vec<u8>) {
        tell_name(out, "LIST", &[], row.name.as_str(), self.names());
    }

    /// LSUB (RFC 3501 section 6.3.9).
    pub(super) fn lsub(
        &mut self,
        reference: &str,
        pattern: &str,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Refusal> {
        let pattern = Pattern::new(&format!("{reference}{pattern}"));
        let rows = self.folders.list()?;
        let mut told = BTreeSet::new();
        for row in rows.iter().filter(|row| row.is_subscribed) {
            if pattern.fits(row.name.as_str()) {
                told.insert(row.name.clone());
                tell_name(out, "LSUB", &[], row.name.as_str(), self.names());
            }
        }
        // The levels above subscribed folders are told where `%` ends before those.
        let is_hidden = |row: &&FolderRow| row.is_subscribed && !pattern.fits(row.name.as_str());
        for row in rows.iter().filter(is_hidden) {
            for above in row.name.parents() {
                if pattern.fits(above.as_str()) && told.insert(above.clone()) {
                    tell_name(out, "LSUB", &["\\Noselect"], above.as_str(), self.names());
                }
            }
        }
        Ok(Progress::Done(None, "LSUB completed"))
    }

    /// CREATE.
    pub(super) fn create(&mut self, name: &MailboxName, uses: &[String]) -> Result<Progress, Refusal> {
        let name = folder_name(name)?;
        let special_use = match uses {
            [] => None,
            [one] => Some(SpecialUse::from_name(&format!("\\{one}")).ok_or_else(use_refused)?),
            _ => return Err(use_refused()),
        };
        self.folders.create(&name, special_use)?;
        let id = mailbox_id(&self.folders.open(&name)?.status());
        Ok(Progress::Done(Some(Code::MailboxId(id)), "CREATE completed"))
    }

    /// DELETE.
    pub(super) fn delete(&mut self, name: &MailboxName) -> Result<Progress, Refusal> {
        let name = folder_name(name)?;
        if self.selected.as_ref().is_some_and(|selected| *selected.folder.name() == name) {
            self.selected = None;
        }
        self.folders.delete(&name)?;
        Ok(Progress::Done(None, "DELETE completed"))
    }

    /// RENAME.
    pub(super) fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<Progress, Refusal> {
        let (from, to) = (folder_name(from)?, folder_name(to)?);
        self.folders.rename(&from, &to)?;
        self.follow_rename(&from, &to);
        Ok(Progress::Done(None, "RENAME completed"))
    }

    /// Who renames the selected folder goes on with it under its new name; others have lost it.
    fn follow_rename(&mut self, from: &FolderName, to: &FolderName) {
        let Some(selected) = &mut self.selected else { return };
        let name = selected.folder.name();
        if from.is_inbox() || !(name == from || name.is_below(from)) {
            return;
        }
        let uid_validity = selected.folder.status().uid_validity;
        let renamed =
            name.moved(from, to).map_err(FolderError::from).and_then(|name| self.folders.open(&name));
        match renamed {
            Ok(folder) if folder.status().uid_validity == uid_validity => selected.folder = folder,
            // The next look finds it gone.
            _ => {}
        }
    }

    /// SUBSCRIBE and UNSUBSCRIBE.
    pub(super) fn subscribe(&mut self, name: &MailboxName, is_subscribed: bool) -> Result<Progress, Refusal> {
        let name = folder_name(name)?;
        if is_subscribed && !self.folders.exists(&name) {
            return Err(FolderError::NoSuchFolder.into());
        }
        self.folders.subscribe(&name, is_subscribed)?;
        Ok(Progress::Done(None, if is_subscribed { "SUBSCRIBE completed" } else { "UNSUBSCRIBE completed" }))
    }

    /// NAMESPACE: everything is personal.
    pub(super) fn namespace(out: &mut Vec<u8>) -> Progress {
        let _ = write!(out, "* NAMESPACE ((\"\" \"{SEPARATOR}\")) NIL NIL\r\n");
        Progress::Done(None, "NAMESPACE completed")
    }

    /// GETQUOTA and GETQUOTAROOT (RFC 9208): one root, named "", for an account with a limit; none for others, since a root
    /// has at least one resource.
    pub(super) fn quota(
        &mut self,
        mailbox: Option<&MailboxName>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Refusal> {
        let limit = self.tables.fresh().user_settings(&self.account).mailbox_bytes_max();
        if let Some(mailbox) = mailbox {
            out.extend_from_slice(b"* QUOTAROOT ");
            encode::mailbox(out, mailbox.as_str(), self.names());
            out.extend_from_slice(if limit.is_some() { b" \"\"\r\n" } else { b"\r\n" });
        }
        match limit {
            Some(limit) => {
                let usage = self.mailboxes.quota_usage(&self.account).map_err(FolderError::from)?;
                let (used, limit) = (usage.bytes.div_ceil(1024), limit / 1024);
                let _ = write!(out, "* QUOTA \"\" (STORAGE {used} {limit})\r\n");
            }
            None if mailbox.is_none() => {
                return Err(Refusal::no(Some(Code::NonExistent), "There is no such quota root"));
            }
            None => {}
        }
        Ok(Progress::Done(
            None,
            if mailbox.is_some() { "GETQUOTAROOT completed" } else { "GETQUOTA completed" },
        ))
    }
}

pub(super) fn use_refused() -> Refusal {
    Refusal::no(
        Some(Code::UseAttr),
        "A folder has one of the special uses Archive, Drafts, Flagged, Junk, Sent, Trash",
    )
}

/// MAILBOXID (RFC 8474): the UIDVALIDITY, which no other folder of the account has or had, and a rename keeps.
fn mailbox_id(status: &Status) -> String {
    format!("F{}", status.uid_validity)
}

fn row_of(rows: &[FolderRow], name: &FolderName) -> FolderRow {
    rows.iter().find(|row| row.name == *name).cloned().unwrap_or_else(|| FolderRow {
        name: name.clone(),
        exists: true,
        is_subscribed: false,
        special_use: None,
        has_children: false,
    })
}

fn tell_name(
    out: &mut Vec<u8>,
    verb: &str,
    attributes: &[&str],
    name: &str,
    names: super::grammar::NameEncoding,
) {
    let _ = write!(out, "* {verb} ({}) \"{SEPARATOR}\" ", attributes.join(" "));
    encode::mailbox(out, name, names);
    out.extend_from_slice(b"\r\n");
}

/// A pattern of LIST, made ready: `*` stands for anything, `%` for anything within a level; INBOX in any case (RFC 9051
/// section 6.3.9).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    letters: Vec<char>,
    /// Those that are no wildcards: no shorter name fits.
    plain: usize,
}

impl Pattern {
    /// Wildcards that say nothing are left out: `**` is `*`, and so is `*%`. Then a pattern is hardly longer than a name it
    /// fits, or fits none.
    fn new(text: &str) -> Self {
        let mut letters = Vec::new();
        let mut run = None;
        for letter in text.chars() {
            match letter {
                '*' => run = Some('*'),
                '%' => run = run.or(Some('%')),
                _ => {
                    letters.extend(run.take());
                    letters.push(letter);
                }
            }
        }
        letters.extend(run);
        let plain = letters.iter().filter(|letter| !matches!(letter, '*' | '%')).count();
        Self { letters, plain }
    }

    fn fits(&self, name: &str) -> bool {
        if self.plain > name.len() {
            return false;
        }
        let text: Vec<char> = name.chars().collect();
        let first = name.split(SEPARATOR).next().unwrap_or_default();
        let folds = first == "INBOX";
        // Which places of the name the pattern so far can end at: linear in both, whatever the pattern.
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for &letter in &self.letters {
            let mut next = vec![false; text.len() + 1];
            match letter {
                '*' | '%' => {
                    let mut is_open = false;
                    for at in 0..=text.len() {
                        is_open |= reached[at];
                        next[at] = is_open;
                        if letter == '%' && text.get(at) == Some(&SEPARATOR) {
                            is_open = false;
                        }
                    }
                }
                _ => {
                    for at in 0..text.len() {
                        let is_same =
                            text[at] == letter || (folds && at < 5 && text[at].eq_ignore_ascii_case(&letter));
                        next[at + 1] = reached[at] && is_same;
                    }
                }
            }
            reached = next;
        }
        reached[text.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a%", "abc", true),
            ("a*c", "a/b/c", true),
            ("inbox", "INBOX", true),
            ("inbox/x", "INBOX/x", true),
            ("Sent", "sent", false),
            ("%b", "a/b", false),
            ("*b", "a/b", true),
            ("", "a", false),
            ("草%", "草稿", true),
        ] {
            assert_eq!(Pattern::new(pattern).fits(name), expected, "{pattern} {name}");
        }
        assert!(!Pattern::new(&"*a".repeat(2000)).fits(&"a".repeat(300)));
        for (pattern, plain) in [("**", "*"), ("%*%a%%b*", "*a%b*"), ("", ""), ("a", "a"), ("%", "%")] {
            assert_eq!(Pattern::new(pattern).letters, plain.chars().collect::<Vec<_>>());
        }
    }
}
