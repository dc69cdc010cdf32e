//! Random users, deliveries, programs and restarts on the folders of one account, against a model.
//!
//! `FOLDER_RANDOM_OPERATIONS` says how many operations each seed does, `FOLDER_RANDOM_SEED` which seed is the first.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::mailbox::{Delivery, Safety};

/// Operations of each seed in an ordinary run.
const OPERATIONS: u64 = 250;

/// Seeds of each kind of mailbox.
const SEEDS: u64 = 6;

/// Messages of a folder, so that looking at all of them stays quick.
const MESSAGES_MAX: usize = 25;

const KEYWORDS: [&str; 4] = ["$Forwarded", "Blue", "$Junk", "Todo"];
const LETTERS: [(Flags, char); 5] = [
    (Flags::DRAFT, 'D'),
    (Flags::FLAGGED, 'F'),
    (Flags::ANSWERED, 'R'),
    (Flags::SEEN, 'S'),
    (Flags::DELETED, 'T'),
];

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn flags(&mut self) -> Flags {
        let chosen = self.next();
        LETTERS.iter().enumerate().fold(Flags::default(), |flags, (bit, (flag, _))| {
            if chosen >> bit & 1 == 1 { flags.union(*flag) } else { flags }
        })
    }

    fn keywords(&mut self) -> Vec<&'static str> {
        let chosen = self.next() & self.next();
        KEYWORDS.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, word)| *word).collect()
    }
}

/// A message as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    text: String,
    flags: String,
    keywords: Vec<String>,
    date: i64,
}

/// What was seen of messages: flags, keywords and mod-sequence, by UID.
type Shown = BTreeMap<u32, (String, Vec<String>, u64)>;

/// A client's copy of a folder, kept by its changes only.
struct View {
    name: String,
    folder: Arc<Folder>,
    messages: BTreeMap<u32, MessageState>,
    modseq: u64,
}

struct World {
    house: House,
    random: Random,
    mailboxes: Mailboxes,
    folders: Folders,
    views: Vec<View>,
    model: BTreeMap<String, Vec<Message>>,
    /// What each UID, under its UIDVALIDITY, was ever given to.
    given: HashMap<(u32, u32), String>,
    /// The highest mod-sequence that each UIDVALIDITY showed, and its messages then.
    shown: HashMap<u32, (u64, Shown)>,
    serial: u64,
    trail: Vec<String>,
}

fn letters(flags: Flags) -> String {
    LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| *letter).collect()
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}

fn named(keywords: KeywordSet, names: &[String]) -> Vec<String> {
    sorted(keywords.indexes().map(|index| names[index].clone()).collect())
}

fn modified_secs(path: &Path) -> i64 {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn plain(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

impl World {
    fn new(kind: Kind, seed: u64) -> Self {
        let house = House::new(kind);
        let mailboxes = Mailboxes::new(MailRoot::new(house.dir.path()), kind, Disk::default());
        mailboxes.create(&house.account()).unwrap();
        let folders = mailboxes.folders(&house.account());
        let model = ["INBOX", "Work", "Old/2026"].map(|name| (name.to_owned(), Vec::new())).into();
        for folder in ["Work", "Old/2026"] {
            folders.create(&name(folder), None).unwrap();
        }
        Self {
            house,
            random: Random(seed),
            mailboxes,
            folders,
            views: Vec::new(),
            model,
            given: HashMap::new(),
            shown: HashMap::new(),
            serial: 0,
            trail: Vec::new(),
        }
    }

    fn note(&mut self, what: String) {
        self.trail.push(what);
    }

    fn fresh_text(&mut self) -> String {
        self.serial += 1;
        let filler = "x".repeat(self.random.below(300));
        format!("Subject: {}\r\n\r\nbody {filler}\r\n", self.serial)
    }

    fn any_folder(&mut self) -> String {
        let which = self.random.below(self.model.len());
        self.model.keys().nth(which).unwrap().clone()
    }

    fn open(&mut self, folder: &str) -> Arc<Folder> {
        self.folders.open(&name(folder)).unwrap()
    }

    /// Where a folder's files are, below the account: new ones and those that were seen.
    fn directories(&self, folder: &str) -> (String, Option<String>) {
        let top = if self.house.kind == Kind::Maildir { "Maildir" } else { "mailbox" };
        match (folder, self.house.kind) {
            ("INBOX", Kind::Mailbox) => (top.to_owned(), None),
            ("INBOX", Kind::Maildir) => ("Maildir/new".to_owned(), Some("Maildir/cur".to_owned())),
            _ => {
                let directory = format!("{top}/.{}", folder.replace('/', "."));
                (format!("{directory}/new"), Some(format!("{directory}/cur")))
            }
        }
    }

    /// A file whose text no other message of the folder has.
    fn any_file(&mut self, folder: &str) -> Option<(PathBuf, usize)> {
        let (new, cur) = self.directories(folder);
        let mut files = Vec::new();
        for directory in [Some(new), cur].into_iter().flatten() {
            for file in self.house.files(&directory) {
                let path = self.house.path(&directory).join(file);
                files.extend(path.is_file().then_some(path));
            }
        }
        files.sort();
        let path = match files.len() {
            0 => return None,
            count => files.swap_remove(self.random.below(count)),
        };
        let text = plain(&path);
        let mut same = self.model[folder].iter().enumerate().filter(|(_, message)| message.text == text);
        let (index, _) = same.next().unwrap_or_else(|| panic!("{path:?} is no message of {folder}"));
        same.next().is_none().then_some((path, index))
    }

    /// What the table of INBOX says of a file name; the file name itself where it says nothing.
    fn told(&self, folder: &str, file: &str) -> (String, Vec<String>) {
        let (_, by_name) = file.split_once(":2,").unwrap_or((file, ""));
        let of_name = (by_name.to_owned(), Vec::new());
        if folder != "INBOX" {
            return of_name;
        }
        let table = fs::read_to_string(self.house.path("imapflags.tab")).unwrap_or_default();
        let mut rows = table.lines().filter_map(|line| {
            let columns: Vec<&str> = line.split('\t').map(|column| column.trim_matches('"')).collect();
            (columns[0] == file).then(|| {
                let words = columns[2].split_whitespace().map(str::to_owned).collect();
                (columns[1].to_owned(), sorted(words))
            })
        });
        rows.next_back().unwrap_or(of_name)
    }

    fn step(&mut self) {
        let folder = self.any_folder();
        match self.random.below(32) {
            0..=3 => self.deliver(),
            4..=6 => self.append(&folder),
            7..=12 => self.store(&folder),
            13 | 14 => self.remove(&folder),
            15..=17 => self.transfer(&folder),
            18 => self.pop3(),
            19 | 20 => self.rename_file(&folder),
            21 => self.drop_file(&folder),
            22 => self.remove_file(&folder),
            23 => self.rewrite_file(&folder),
            24 => self.edit_table(),
            25 => self.recreate_folder(),
            26 => self.rename_folder(),
            27 => self.look_at_view(),
            28 => self.close_view(),
            29 => self.read_head(&folder),
            30 => self.restart(true),
            _ => self.restart(false),
        }
        let folder = self.any_folder();
        self.check(&folder);
    }

    fn deliver(&mut self) {
        if self.model["INBOX"].len() >= MESSAGES_MAX {
            return;
        }
        let text = self.fresh_text();
        let file = format!("{}.a.b.1.host", self.serial);
        self.note(format!("deliver {file}"));
        let delivery = Delivery {
            name: &file,
            prefix: b"",
            data: &mut text.as_bytes(),
            folder: None,
            may_have_arrived: false,
            safety: Safety::Later,
        };
        self.mailboxes.deliver(&self.house.account(), delivery).unwrap();
        let (new, _) = self.directories("INBOX");
        let date = modified_secs(&self.house.path(&new).join(&file));
        self.add("INBOX", Message { text, flags: String::new(), keywords: Vec::new(), date });
    }

    fn add(&mut self, folder: &str, message: Message) {
        self.model.get_mut(folder).unwrap().push(message);
    }

    fn append(&mut self, folder: &str) {
        if self.model[folder].len() >= MESSAGES_MAX {
            return;
        }
        let (text, flags, keywords) = (self.fresh_text(), self.random.flags(), self.random.keywords());
        self.note(format!("append {} to {folder} {flags:?} {keywords:?}", self.serial));
        let open = self.open(folder);
        super::append(&open, &text, flags, &keywords);
        let keywords = sorted(keywords.into_iter().map(str::to_owned).collect());
        self.add(folder, Message { text, flags: letters(flags), keywords, date: 1_000_000_000 });
    }

    /// Some UIDs, one that is not there among them, and where their messages are in the model.
    fn some(&mut self, folder: &Arc<Folder>) -> Vec<(u32, usize)> {
        folder.look().unwrap();
        let model = self.model[folder.name().as_str()].clone();
        let names = folder.keywords();
        let mut used = vec![false; model.len()];
        let mut chosen = Vec::new();
        for state in folder.messages().0 {
            let message = Self::as_message(folder, &state, &names);
            let same = (0..model.len()).find(|&index| !used[index] && model[index] == message);
            let index = same.unwrap_or_else(|| panic!("{message:?} is not in the model: {model:?}"));
            used[index] = true;
            if self.random.below(3) == 0 {
                chosen.push((state.uid, index));
            }
        }
        chosen
    }

    fn as_message(folder: &Folder, state: &MessageState, names: &[String]) -> Message {
        Message {
            text: text_of(folder, state.uid),
            flags: letters(state.flags),
            keywords: named(state.keywords, names),
            date: state.internal_date,
        }
    }

    fn store(&mut self, folder: &str) {
        let open = self.open(folder);
        let chosen = self.some(&open);
        let (flags, keywords) = (self.random.flags(), self.random.keywords());
        let how = [How::Add, How::Remove, How::Replace][self.random.below(3)];
        let uids: Vec<u32> = chosen.iter().map(|(uid, _)| *uid).chain([999_999]).collect();
        self.note(format!("store {folder} {uids:?} {how:?} {flags:?} {keywords:?}"));
        let stored = open.store(&uids, &change(how, flags, &keywords), None).unwrap();
        assert_eq!(stored.done, uids[..uids.len() - 1]);
        for (_, index) in chosen {
            let message = &mut self.model.get_mut(folder).unwrap()[index];
            let is_named = |word: &String| keywords.contains(&word.as_str());
            let given = |flags: &str| -> Flags {
                LETTERS
                    .iter()
                    .filter(|(_, letter)| flags.contains(*letter))
                    .fold(Flags::default(), |all, one| all.union(one.0))
            };
            let words = keywords.iter().map(|word| (*word).to_owned());
            match how {
                How::Add => {
                    message.flags = letters(given(&message.flags).union(flags));
                    message.keywords.extend(words);
                }
                How::Remove => {
                    message.flags = letters(given(&message.flags).without(flags));
                    message.keywords.retain(|word| !is_named(word));
                }
                How::Replace => (message.flags, message.keywords) = (letters(flags), words.collect()),
            }
            message.keywords.sort();
            message.keywords.dedup();
        }
    }

    fn remove(&mut self, folder: &str) {
        let open = self.open(folder);
        let chosen = self.some(&open);
        let uids: Vec<u32> = chosen.iter().map(|(uid, _)| *uid).collect();
        self.note(format!("remove {folder} {uids:?}"));
        assert_eq!(open.remove(&uids).unwrap(), uids);
        self.take(folder, &chosen);
    }

    fn take(&mut self, folder: &str, chosen: &[(u32, usize)]) -> Vec<Message> {
        let mut indexes: Vec<usize> = chosen.iter().map(|(_, index)| *index).collect();
        indexes.sort_unstable_by(|a, b| b.cmp(a));
        let model = self.model.get_mut(folder).unwrap();
        indexes.into_iter().map(|index| model.remove(index)).collect()
    }

    fn transfer(&mut self, from: &str) {
        let to = self.any_folder();
        if self.model[&to].len() >= MESSAGES_MAX {
            return;
        }
        let (source, target) = (self.open(from), self.open(&to));
        let chosen = self.some(&source);
        let uids: Vec<u32> = chosen.iter().map(|(uid, _)| *uid).collect();
        let moves = self.random.below(2) == 0;
        self.note(format!("{} {uids:?} from {from} to {to}", if moves { "move" } else { "copy" }));
        let placed = match moves {
            true => source.move_to(&uids, &target).unwrap(),
            false => source.copy(&uids, &target).unwrap(),
        };
        assert_eq!(placed.iter().map(|placed| placed.from).collect::<Vec<_>>(), uids);
        let messages: Vec<Message> = match moves {
            true => self.take(from, &chosen),
            false => chosen.iter().map(|(_, index)| self.model[from][*index].clone()).collect(),
        };
        self.model.get_mut(&to).unwrap().extend(messages);
    }

    fn pop3(&mut self) {
        let account = self.house.account();
        let listed = self.mailboxes.list(&account, true).unwrap();
        assert_eq!(listed.len(), self.model["INBOX"].len(), "POP3 sees what IMAP sees");
        if listed.is_empty() {
            return;
        }
        let message = &listed[self.random.below(listed.len())];
        let text = plain(&message.path);
        let mut same = self.model["INBOX"].iter().enumerate().filter(|(_, known)| known.text == text);
        let (index, _) = same.next().expect("POP3 sees a message of the model");
        if same.next().is_some() {
            return;
        }
        self.note(format!("POP3 removes {}", message.file_name));
        self.mailboxes.remove(message).unwrap();
        self.take("INBOX", &[(0, index)]);
    }

    /// As mutt marks messages.
    fn rename_file(&mut self, folder: &str) {
        let (Some((path, index)), (_, Some(cur))) = (self.any_file(folder), self.directories(folder)) else {
            return;
        };
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (base, former) = file.split_once(":2,").unwrap_or((&file, ""));
        let keywords: String = former.chars().filter(char::is_ascii_lowercase).collect();
        let flags = letters(self.random.flags());
        let renamed = format!("{base}:2,{flags}{keywords}");
        self.note(format!("by hand: {file} in {folder} becomes {renamed}"));
        fs::rename(&path, self.house.path(&cur).join(&renamed)).unwrap();
        let told = self.told(folder, &renamed);
        let message = &mut self.model.get_mut(folder).unwrap()[index];
        if folder == "INBOX" {
            (message.flags, message.keywords) = told;
        } else {
            message.flags = flags;
        }
    }

    fn drop_file(&mut self, folder: &str) {
        if self.model[folder].len() >= MESSAGES_MAX {
            return;
        }
        let text = self.fresh_text();
        let (new, _) = self.directories(folder);
        let path = self.house.path(&new).join(format!("{}.dropped", self.serial));
        self.note(format!("by hand: {path:?} appears"));
        let date = 1_400_000_000 + i64::try_from(self.random.below(1000)).unwrap();
        self.write(&path, &text, date);
        self.add(folder, Message { text, flags: String::new(), keywords: Vec::new(), date });
    }

    fn write(&mut self, path: &Path, text: &str, date: i64) {
        let mut file = File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(date.unsigned_abs())).unwrap();
    }

    fn remove_file(&mut self, folder: &str) {
        let Some((path, index)) = self.any_file(folder) else { return };
        self.note(format!("by hand: {path:?} disappears"));
        fs::remove_file(path).unwrap();
        self.take(folder, &[(0, index)]);
    }

    /// Somebody goes on writing to a message that was seen already, and a client reads it.
    fn rewrite_file(&mut self, folder: &str) {
        let open = self.open(folder);
        let Some((path, index)) = self.any_file(folder) else { return };
        self.note(format!("by hand: {path:?} is written to"));
        let text = format!("{}and more\r\n", plain(&path));
        let known = uids(&open);
        // Hard links of a copy would change with it.
        fs::remove_file(&path).unwrap();
        self.write(&path, &text, 1_500_000_000);
        for uid in known {
            drop(open.text(uid).unwrap());
        }
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let told = self.told(folder, &file);
        let message = &mut self.model.get_mut(folder).unwrap()[index];
        (message.text, message.date) = (text, 1_500_000_000);
        if folder == "INBOX" {
            (message.flags, message.keywords) = told;
        }
    }

    fn edit_table(&mut self) {
        let Some((path, index)) = self.any_file("INBOX") else { return };
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (flags, words) = (letters(self.random.flags()), self.random.keywords());
        let table = self.house.path("imapflags.tab");
        let mut text = fs::read_to_string(&table).unwrap_or_default();
        self.note(format!("by hand: a row for {file}: {flags} {words:?}"));
        text.push_str(&format!("# by hand\n\"{file}\"\t\"{flags}\"\t\"{}\"\n", words.join(" ")));
        match self.random.below(3) {
            0 => fs::write(&table, text.trim_end()).unwrap(),
            1 => fs::write(&table, &text).unwrap(),
            _ => {
                fs::write(table.with_extension("edited"), &text).unwrap();
                fs::rename(table.with_extension("edited"), &table).unwrap();
            }
        }
        let message = &mut self.model.get_mut("INBOX").unwrap()[index];
        message.flags = flags;
        message.keywords = sorted(words.into_iter().map(str::to_owned).collect());
    }

    fn recreate_folder(&mut self) {
        self.note("Work is removed and made again".to_owned());
        self.folders.delete(&name("Work")).unwrap();
        self.folders.create(&name("Work"), None).unwrap();
        self.views.retain(|view| view.name != "Work");
        self.model.insert("Work".to_owned(), Vec::new());
    }

    fn rename_folder(&mut self) {
        let (from, to) = match self.model.contains_key("Old/2026") {
            true => ("Old/2026", "New/2027"),
            false => ("New/2027", "Old/2026"),
        };
        self.note(format!("{from} becomes {to}"));
        let validity = self.open(from).status().uid_validity;
        self.folders.rename(&name(from), &name(to)).unwrap();
        assert_eq!(self.open(to).status().uid_validity, validity);
        self.views.retain(|view| view.name != from);
        let messages = self.model.remove(from).unwrap();
        self.model.insert(to.to_owned(), messages);
    }

    fn look_at_view(&mut self) {
        let which = self.any_folder();
        let folder = self.open(&which);
        let (messages, modseq) = folder.messages();
        let messages = messages.into_iter().map(|message| (message.uid, message)).collect();
        self.views.push(View { name: which, folder, messages, modseq });
    }

    fn close_view(&mut self) {
        if !self.views.is_empty() {
            let which = self.random.below(self.views.len());
            self.views.swap_remove(which);
        }
    }

    fn read_head(&mut self, folder: &str) {
        let open = self.open(folder);
        for uid in uids(&open) {
            let text = text_of(&open, uid);
            let head = open.head(uid).unwrap().unwrap();
            assert_eq!(head.size(), text.len() as u64);
            let subject = text.lines().next().unwrap().trim_start_matches("Subject: ").to_owned();
            assert_eq!(head.envelope().subject.as_deref(), Some(subject.as_bytes()));
        }
    }

    fn restart(&mut self, orderly: bool) {
        let views = std::mem::take(&mut self.views);
        let mut open: Vec<Arc<Folder>> = Vec::new();
        if !orderly {
            let which = self.any_folder();
            open.push(self.open(&which));
        }
        self.note(format!("restart, orderly: {orderly}, open: {}", views.len() + open.len()));
        if orderly {
            drop(views);
        } else {
            views.into_iter().for_each(|view| std::mem::forget(view.folder));
            open.into_iter().for_each(std::mem::forget);
        }
        let forgets = self.random.below(8) == 0;
        if forgets {
            let which = self.any_folder();
            self.note(format!("the cache of {which} is removed"));
            let _ = fs::remove_file(self.cache_of(&which));
        }
        self.mailboxes =
            Mailboxes::new(MailRoot::new(self.house.dir.path()), self.house.kind, Disk::default());
        self.folders = self.mailboxes.folders(&self.house.account());
    }

    fn cache_of(&self, folder: &str) -> PathBuf {
        let (new, _) = self.directories(folder);
        match folder {
            "INBOX" => self.house.path("imapcache"),
            _ => self.house.path(&new).parent().unwrap().join("imapcache"),
        }
    }

    /// The folder is what the model says, and its numbers keep their promises.
    fn check(&mut self, which: &str) {
        let folder = self.open(which);
        let (messages, highest) = folder.messages();
        let (names, validity) = (folder.keywords(), folder.status().uid_validity);
        assert!(messages.windows(2).all(|pair| pair[0].uid < pair[1].uid));
        assert!(messages.iter().all(|message| message.modseq <= highest), "{messages:?} {highest}");
        assert!(messages.last().is_none_or(|last| last.uid < folder.status().next_uid));
        let mut found: Vec<Message> = Vec::new();
        let mut now = BTreeMap::new();
        let (highest_shown, shown) = self.shown.remove(&validity).unwrap_or_default();
        assert!(highest >= highest_shown, "HIGHESTMODSEQ went from {highest_shown} to {highest}");
        for state in &messages {
            let message = Self::as_message(&folder, state, &names);
            let former = self.given.insert((validity, state.uid), message.text.clone());
            assert!(
                former.as_ref().is_none_or(|former| *former == message.text),
                "{state:?}: {former:?} {message:?}"
            );
            let seen = (message.flags.clone(), message.keywords.clone());
            match shown.get(&state.uid) {
                Some((flags, keywords, _)) if (flags, keywords) == (&seen.0, &seen.1) => {}
                _ => assert!(state.modseq > highest_shown, "{state:?} changed after {highest_shown}"),
            }
            now.insert(state.uid, (seen.0, seen.1, state.modseq));
            found.push(message);
        }
        self.shown.insert(validity, (highest, now));
        let mut expected = self.model[which].clone();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{which}");
        for view in self.views.iter_mut().filter(|view| view.name == which) {
            let changes = view.folder.changes_since(view.modseq).expect("not too long ago");
            changes.gone.iter().for_each(|uid| {
                view.messages.remove(uid);
            });
            view.messages.extend(changes.changed.into_iter().map(|message| (message.uid, message)));
            view.modseq = changes.highest_modseq;
            assert!(view.messages.values().eq(&messages), "{:?} {messages:?}", view.messages);
        }
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Goes through the operations of one seed; what was done last is told when something is wrong.
fn run(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..number("FOLDER_RANDOM_OPERATIONS", OPERATIONS) {
            world.step();
        }
        let names: Vec<String> = world.model.keys().cloned().collect();
        names.iter().for_each(|name| world.check(name));
        world.restart(false);
        names.iter().for_each(|name| drop(fs::remove_file(world.cache_of(name))));
        names.iter().for_each(|name| world.check(name));
    }));
    let trail = &world.trail[world.trail.len().saturating_sub(25)..];
    assert!(done.is_ok(), "{kind:?}, seed {seed}, after\n{}", trail.join("\n"));
}

#[test]
fn random_operations_agree_with_a_model() {
    let first = number("FOLDER_RANDOM_SEED", 1);
    std::thread::scope(|scope| {
        for kind in [Kind::Maildir, Kind::Mailbox] {
            scope.spawn(move || (first..first + SEEDS).for_each(|seed| run(kind, seed)));
        }
    });
}
