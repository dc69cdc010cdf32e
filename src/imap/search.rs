//! SEARCH, SORT and THREAD (RFC 9051 section 6.4.4, RFC 5256, RFC 5182): the cheap conditions first, texts read last and
//! only where they decide.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::ahead::Ahead;
use super::command::{
    DateKind, DateRelation, EnvelopeField, Flag, Search, SearchKey, SearchReturn, Sort, Thread,
};
use super::encode::{self, Code};
use super::selected::Selected;
use super::sets::{self, MessageSet};
use super::work::{Job, Progress, Refusal, Work};
use crate::mailbox::folder::{Fields, Flags, Folder, FolderError, Head, MessageState};
use crate::mime::{self, Searcher, SortCriterion, SortKey, TextDecoder};

/// Messages looked at in one step; of those whose texts are read fewer.
const STEP_MESSAGES: usize = 1000;

/// Octets of texts read in one step.
const STEP_READ_BYTES: u64 = 8 * 1024 * 1024;

/// Octets of a header that are looked into. Ours: mail has some thousand.
const HEADER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Keys of one search, parentheses counted. Ours: mail readers send a handful.
const KEYS_MAX: usize = 1000;

/// Those that read the header or the text. Ours.
const TEXT_KEYS_MAX: usize = 100;

/// Octets read of a text at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What is done with what was found.
pub(super) enum Purpose {
    Search { by_uid: bool, returns: Option<SearchReturn> },
    Sort { by_uid: bool, returns: Option<SearchReturn>, criteria: Vec<SortCriterion> },
    Thread { by_uid: bool, algorithm: String },
}

/// A search that is going on.
pub(super) struct SearchJob {
    tag: String,
    purpose: Purpose,
    charset: Option<String>,
    key: Option<SearchKey>,
    condition: Option<Condition>,
    /// Sequence numbers and UIDs, from the next one on.
    messages: VecDeque<(u32, u32)>,
    heads: Ahead<Head>,
    fields: Ahead<Fields>,
    found: Vec<Found>,
    asks_modseq: bool,
}

/// A message that fits.
#[derive(Clone, Copy)]
struct Found {
    sequence: u32,
    uid: u32,
    modseq: u64,
}

impl SearchJob {
    pub(super) fn search(tag: &str, search: Search) -> Self {
        let purpose = Purpose::Search { by_uid: search.by_uid, returns: search.returns };
        Self::new(tag, purpose, search.charset, search.key)
    }

    pub(super) fn sort(tag: &str, sort: Sort) -> Self {
        let purpose = Purpose::Sort { by_uid: sort.by_uid, returns: sort.returns, criteria: sort.criteria };
        Self::new(tag, purpose, Some(sort.charset), sort.key)
    }

    pub(super) fn thread(tag: &str, thread: Thread) -> Self {
        let purpose = Purpose::Thread { by_uid: thread.by_uid, algorithm: thread.algorithm };
        Self::new(tag, purpose, Some(thread.charset), thread.key)
    }

    fn new(tag: &str, purpose: Purpose, charset: Option<String>, key: SearchKey) -> Self {
        Self {
            tag: tag.to_owned(),
            purpose,
            charset,
            asks_modseq: asks_modseq(&key),
            key: Some(key),
            condition: None,
            messages: VecDeque::new(),
            heads: Ahead::new(),
            fields: Ahead::new(),
            found: Vec::new(),
        }
    }

    fn start(&mut self, work: &mut Work, key: &SearchKey, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if let Purpose::Thread { algorithm, .. } = &self.purpose
            && !matches!(algorithm.as_str(), "REFERENCES" | "ORDEREDSUBJECT")
        {
            return Err(Refusal::bad("This algorithm is not known"));
        }
        if self.asks_modseq {
            work.enable_condstore(out);
        }
        let (now, is_utf8) = (work.clock.unix_secs(), work.modes.utf8);
        let saves = self.saves();
        let selected = work.selected()?;
        selected.keywords = selected.folder.keywords();
        if is_utf8 && self.charset.is_some() && matches!(self.purpose, Purpose::Search { .. }) {
            // RFC 6855 section 3.
            return Err(Refusal::bad("With UTF8=ACCEPT there is no CHARSET"));
        }
        let charset = self.charset.as_deref().unwrap_or("UTF-8");
        if !mime::charset_is_known(charset.as_bytes()) {
            if saves {
                // After NO there is no result, after BAD it is the old one (RFC 5182 section 2.1).
                selected.saved.clear();
            }
            let known = vec!["US-ASCII".to_owned(), "UTF-8".to_owned()];
            return Err(Refusal::no(Some(Code::BadCharset(known)), "This charset is not known"));
        }
        let saved = selected.saved.as_slice().into();
        let maker =
            Maker { selected, charset, now, saved, keys: Cell::default(), text_keys: Cell::default() };
        let condition = maker.condition(key);
        if saves && condition.as_ref().is_err_and(|refusal| refusal.condition == encode::Condition::No) {
            selected.saved.clear();
        }
        self.condition = Some(condition?);
        if saves {
            // The keys may have named the old result.
            selected.saved.clear();
        }
        let all = selected.uids.iter().enumerate();
        self.messages =
            all.map(|(index, &uid)| (u32::try_from(index + 1).unwrap_or(u32::MAX), uid)).collect();
        Ok(())
    }

    fn saves(&self) -> bool {
        match &self.purpose {
            Purpose::Search { returns, .. } | Purpose::Sort { returns, .. } => {
                returns.is_some_and(|returns| returns.save)
            }
            Purpose::Thread { .. } => false,
        }
    }

    fn answer(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        let folder = Arc::clone(&work.selected()?.folder);
        match &self.purpose {
            Purpose::Search { by_uid, returns } => {
                self.tell_numbers(work, out, "SEARCH", *by_uid, *returns, &self.found)?;
                Ok(Progress::Done(None, "SEARCH completed"))
            }
            Purpose::Sort { by_uid, returns, criteria } => {
                let sorted = sorted(&folder, &self.found, criteria)?;
                self.tell_numbers(work, out, "SORT", *by_uid, *returns, &sorted)?;
                Ok(Progress::Done(None, "SORT completed"))
            }
            Purpose::Thread { by_uid, algorithm } => {
                out.extend_from_slice(b"* THREAD");
                if !self.found.is_empty() {
                    out.push(b' ');
                    tell_threads(&folder, &self.found, *by_uid, algorithm, out)?;
                }
                out.extend_from_slice(b"\r\n");
                Ok(Progress::Done(None, "THREAD completed"))
            }
        }
    }

    /// `* SEARCH 2 3`, or `* ESEARCH (TAG "a") ALL 2:3` (RFC 4731).
    fn tell_numbers(
        &self,
        work: &mut Work,
        out: &mut Vec<u8>,
        verb: &str,
        by_uid: bool,
        returns: Option<SearchReturn>,
        found: &[Found],
    ) -> Result<(), Refusal> {
        let numbers: Vec<u32> = found.iter().map(|found| found.number(by_uid)).collect();
        // Of what is told: with MIN and MAX only, of those (RFC 4731 section 3.2).
        let told = returns.and_then(|returns| ends(returns, found));
        let modseqs = told.as_deref().unwrap_or(found).iter().map(|found| found.modseq);
        let modseq = modseqs.max().filter(|_| self.asks_modseq);
        // A client of IMAP4rev2 gets ESEARCH always (RFC 9051 section 6.4.4).
        let returns = returns
            .or((work.modes.rev2 && verb == "SEARCH")
                .then_some(SearchReturn { all: true, ..Default::default() }));
        let Some(returns) = returns else {
            let _ = write!(out, "* {verb}");
            for number in &numbers {
                let _ = write!(out, " {number}");
            }
            if let Some(modseq) = modseq {
                let _ = write!(out, " (MODSEQ {modseq})");
            }
            out.extend_from_slice(b"\r\n");
            return Ok(());
        };
        if returns.save {
            save(work, returns, found)?;
        }
        let asks_nothing = !(returns.min || returns.max || returns.count || returns.all);
        if returns.save && asks_nothing {
            return Ok(());
        }
        out.extend_from_slice(b"* ESEARCH (TAG ");
        encode::string(out, self.tag.as_bytes());
        out.push(b')');
        if by_uid {
            out.extend_from_slice(b" UID");
        }
        if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
            if returns.min {
                let _ = write!(out, " MIN {first}");
            }
            if returns.max {
                let _ = write!(out, " MAX {last}");
            }
            if returns.all || asks_nothing {
                // Ascending runs only: the order of SORT stays.
                let _ = write!(out, " ALL {}", sets::to_text(numbers.iter().copied()));
            }
        }
        if returns.count {
            let _ = write!(out, " COUNT {}", numbers.len());
        }
        if let Some(modseq) = modseq {
            let _ = write!(out, " MODSEQ {modseq}");
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// The messages MIN and MAX tell, where nothing else is asked for; `found` is in the order of the answer.
fn ends(returns: SearchReturn, found: &[Found]) -> Option<Vec<Found>> {
    let ends_only = (returns.min || returns.max) && !returns.all && !returns.count;
    let first = found.first().filter(|_| returns.min);
    let last = found.last().filter(|_| returns.max);
    ends_only.then(|| first.into_iter().chain(last).copied().collect())
}

/// What `$` is from now on (RFC 5182 section 2.4). MIN and MAX of SORT are the first and the last in its order (RFC 5267
/// section 3.1), whatever their numbers.
fn save(work: &mut Work, returns: SearchReturn, found: &[Found]) -> Result<(), Refusal> {
    let ends = ends(returns, found);
    let mut uids: Vec<u32> = ends.as_deref().unwrap_or(found).iter().map(|found| found.uid).collect();
    uids.sort_unstable();
    uids.dedup();
    work.selected()?.saved = uids;
    Ok(())
}

impl Job for SearchJob {
    fn step(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        if let Some(key) = self.key.take() {
            self.start(work, &key, out)?;
        }
        let folder = Arc::clone(&work.selected()?.folder);
        let mut read_bytes = 0;
        for _ in 0..STEP_MESSAGES {
            let Some((sequence, uid)) = self.messages.pop_front() else { return self.answer(work, out) };
            let Some(state) = folder.message(uid) else { continue };
            let recent = uid >= work.selected()?.recent_from;
            let (head, fields) = self.look_ahead(&folder, uid)?;
            let mut message = Message {
                folder: &folder,
                sequence,
                recent,
                state,
                head,
                fields,
                header: None,
                read_bytes: 0,
            };
            if let Some(condition) = &self.condition
                && message.fits(condition)?
            {
                self.found.push(Found { sequence, uid, modseq: state.modseq });
            }
            read_bytes += message.read_bytes;
            if read_bytes > STEP_READ_BYTES {
                break;
            }
        }
        Ok(Progress::More)
    }
}

impl SearchJob {
    /// What a message says, as far as the condition asks for it. Files are read here only if they will be for sure.
    fn look_ahead(
        &mut self,
        folder: &Folder,
        uid: u32,
    ) -> Result<(Option<Head>, Option<Fields>), FolderError> {
        let Some(condition) = &self.condition else { return Ok((None, None)) };
        let is_asked = condition.is_asked_of_all();
        let next = || self.messages.iter().map(|(_, uid)| *uid);
        let (mut head, mut fields) = (None, None);
        if condition.any(&|condition| matches!(condition.cost(), 1 | 3)) {
            let read =
                |uids: &[u32]| if is_asked { folder.heads(uids) } else { Ok(folder.known_heads(uids)) };
            head = self.heads.take(uid, next(), read)?;
        }
        if condition.any(&|condition| matches!(condition, Condition::Header(..))) {
            let read =
                |uids: &[u32]| if is_asked { folder.fields(uids) } else { Ok(folder.known_fields(uids)) };
            fields = self.fields.take(uid, next(), read)?;
        }
        Ok((head, fields))
    }
}

impl Found {
    fn number(&self, by_uid: bool) -> u32 {
        if by_uid { self.uid } else { self.sequence }
    }
}

/// A search key made ready: numbers resolved, strings decoded.
enum Condition {
    All,
    None,
    And(Vec<Condition>),
    Or(Box<(Condition, Condition)>),
    Not(Box<Condition>),
    Flags(Flags),
    Keyword(usize),
    Recent,
    /// Not the numbers one by one: a command may say `1:*` some ten thousand times.
    Sequences(Vec<RangeInclusive<u32>>),
    Uids(Vec<RangeInclusive<u32>>),
    /// UIDs, ascending.
    Saved(Arc<[u32]>),
    Address(EnvelopeField, String),
    Header(String, String),
    Body(String),
    Text(String),
    Arrived(DateRelation, Date),
    Sent(DateRelation, Date),
    ArrivedAfter(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    EmailId(String),
}

struct Maker<'a> {
    selected: &'a Selected,
    charset: &'a str,
    now: i64,
    saved: Arc<[u32]>,
    /// Keys so far, and those of them that read texts.
    keys: Cell<usize>,
    text_keys: Cell<usize>,
}

impl Maker<'_> {
    fn condition(&self, key: &SearchKey) -> Result<Condition, Refusal> {
        self.count(key)?;
        Ok(match key {
            SearchKey::All => Condition::All,
            SearchKey::And(keys) => {
                let mut conditions: Vec<Condition> =
                    keys.iter().map(|key| self.condition(key)).collect::<Result<_, _>>()?;
                conditions.sort_by_key(Condition::cost);
                Condition::And(conditions)
            }
            SearchKey::Or(one, other) => {
                let mut pair = (self.condition(one)?, self.condition(other)?);
                if pair.0.cost() > pair.1.cost() {
                    pair = (pair.1, pair.0);
                }
                Condition::Or(Box::new(pair))
            }
            SearchKey::Not(key) => not(self.condition(key)?),
            SearchKey::HasFlag(flag) => self.flag(flag),
            SearchKey::LacksFlag(flag) => not(self.flag(flag)),
            SearchKey::New => Condition::And(vec![Condition::Recent, not(Condition::Flags(Flags::SEEN))]),
            SearchKey::Messages(MessageSet::SavedResult) | SearchKey::Uids(MessageSet::SavedResult) => {
                Condition::Saved(Arc::clone(&self.saved))
            }
            SearchKey::Messages(MessageSet::Numbers(set)) => {
                Condition::Sequences(self.selected.sequences(set)?)
            }
            SearchKey::Uids(MessageSet::Numbers(set)) => {
                Condition::Uids(set.ranges(self.selected.uids.last().copied().unwrap_or(0)))
            }
            SearchKey::Envelope(field, text) => Condition::Address(*field, self.text(text)),
            SearchKey::Header { name, value } => Condition::Header(name.clone(), self.text(value)),
            SearchKey::Body(text) => Condition::Body(self.text(text)),
            SearchKey::Text(text) => Condition::Text(self.text(text)),
            SearchKey::Date(DateKind::Sent, relation, date) => Condition::Sent(*relation, *date),
            // When a message came into the folder is not kept: RFC 8514 then takes the internal date.
            SearchKey::Date(DateKind::Internal | DateKind::Saved, relation, date) => {
                Condition::Arrived(*relation, *date)
            }
            SearchKey::SaveDateSupported | SearchKey::ThreadId(_) => Condition::None,
            SearchKey::Larger(size) => Condition::Larger(*size),
            SearchKey::Smaller(size) => Condition::Smaller(*size),
            SearchKey::Younger(seconds) => Condition::ArrivedAfter(self.now - i64::from(*seconds)),
            SearchKey::Older(seconds) => not(Condition::ArrivedAfter(self.now - i64::from(*seconds))),
            SearchKey::ModSeq(modseq) => Condition::ModSeq(*modseq),
            SearchKey::EmailId(id) => Condition::EmailId(id.clone()),
        })
    }

    /// A search must end: what one message costs grows with the keys.
    fn count(&self, key: &SearchKey) -> Result<(), Refusal> {
        self.keys.set(self.keys.get() + 1);
        if matches!(key, SearchKey::Body(_) | SearchKey::Text(_) | SearchKey::Header { .. }) {
            self.text_keys.set(self.text_keys.get() + 1);
        }
        if self.keys.get() > KEYS_MAX || self.text_keys.get() > TEXT_KEYS_MAX {
            let text = format!("A search has at most {KEYS_MAX} keys, and {TEXT_KEYS_MAX} that read texts");
            return Err(Refusal::no(Some(Code::Limit), text));
        }
        Ok(())
    }

    fn flag(&self, flag: &Flag) -> Condition {
        match flag {
            Flag::Recent => Condition::Recent,
            Flag::Keyword(name) => {
                let known = self.selected.keywords.iter().position(|known| known.eq_ignore_ascii_case(name));
                known.map_or(Condition::None, Condition::Keyword)
            }
            named => Flags::from_name(&named.to_text()).map_or(Condition::None, Condition::Flags),
        }
    }

    fn text(&self, octets: &[u8]) -> String {
        let mut decoder = mime::CharsetDecoder::new(Some(self.charset.as_bytes()));
        let mut text = String::new();
        decoder.push(octets, &mut text);
        decoder.finish(&mut text);
        text
    }
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn asks_modseq(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => keys.iter().any(asks_modseq),
        SearchKey::Or(one, other) => asks_modseq(one) || asks_modseq(other),
        SearchKey::Not(key) => asks_modseq(key),
        _ => false,
    }
}

impl Condition {
    /// What deciding it needs: 0 nothing, 1 the cache, 2 the header, 3 the text.
    fn cost(&self) -> u8 {
        match self {
            Self::And(conditions) => conditions.iter().map(Self::cost).max().unwrap_or(0),
            Self::Or(pair) => pair.0.cost().max(pair.1.cost()),
            Self::Not(condition) => condition.cost(),
            Self::Address(..) | Self::Sent(..) | Self::Larger(_) | Self::Smaller(_) | Self::EmailId(_) => 1,
            Self::Header(..) => 2,
            Self::Body(_) | Self::Text(_) => 3,
            _ => 0,
        }
    }

    /// Whether one of the conditions that this is made of is such.
    fn any(&self, is_such: &dyn Fn(&Self) -> bool) -> bool {
        match self {
            Self::And(conditions) => conditions.iter().any(|condition| condition.any(is_such)),
            Self::Or(pair) => pair.0.any(is_such) || pair.1.any(is_such),
            Self::Not(condition) => condition.any(is_such),
            _ => is_such(self),
        }
    }

    /// Whether nothing cheaper than what a message says is asked first, which may decide.
    fn is_asked_of_all(&self) -> bool {
        match self {
            Self::And(conditions) => conditions.first().is_some_and(Self::is_asked_of_all),
            Self::Or(pair) => pair.0.is_asked_of_all(),
            Self::Not(condition) => condition.is_asked_of_all(),
            _ => self.cost() > 0,
        }
    }
}

/// A message that is looked at.
struct Message<'a> {
    folder: &'a Folder,
    sequence: u32,
    recent: bool,
    state: MessageState,
    head: Option<Head>,
    fields: Option<Fields>,
    header: Option<Vec<u8>>,
    read_bytes: u64,
}

impl Message<'_> {
    fn fits(&mut self, condition: &Condition) -> Result<bool, Refusal> {
        Ok(match condition {
            Condition::All => true,
            Condition::None => false,
            Condition::And(conditions) => {
                for condition in conditions {
                    if !self.fits(condition)? {
                        return Ok(false);
                    }
                }
                true
            }
            Condition::Or(pair) => self.fits(&pair.0)? || self.fits(&pair.1)?,
            Condition::Not(condition) => !self.fits(condition)?,
            Condition::Flags(flags) => self.state.flags.contains(*flags),
            Condition::Keyword(index) => self.state.keywords.indexes().any(|known| known == *index),
            Condition::Recent => self.recent,
            Condition::Sequences(ranges) => sets::is_within(ranges, self.sequence),
            Condition::Uids(ranges) => sets::is_within(ranges, self.state.uid),
            Condition::Saved(uids) => uids.binary_search(&self.state.uid).is_ok(),
            Condition::Address(field, text) => self.envelope_has(*field, text)?,
            Condition::Header(name, text) => self.header_has(name, text)?,
            Condition::Body(text) => self.body_has(text, InnerHeaders::AreNone)?,
            Condition::Text(text) => {
                self.any_header_has(text)? || self.body_has(text, InnerHeaders::Count)?
            }
            Condition::Arrived(relation, date) => compare(self.state.internal_date, *relation, *date),
            Condition::Sent(relation, date) => {
                let sent = self.head()?.and_then(|head| mime::sent_day(head.texts().date?));
                sent.is_some_and(|sent| compare_days(sent, *relation, *date))
            }
            Condition::ArrivedAfter(at) => self.state.internal_date >= *at,
            Condition::Larger(size) => self.head()?.is_some_and(|head| head.size() > *size),
            Condition::Smaller(size) => self.head()?.is_some_and(|head| head.size() < *size),
            Condition::ModSeq(modseq) => self.state.modseq >= *modseq,
            Condition::EmailId(id) => {
                self.head()?.is_some_and(|head| format!("M{:032x}", head.digest()) == *id)
            }
        })
    }

    fn head(&mut self) -> Result<Option<&Head>, Refusal> {
        if self.head.is_none() {
            self.head = self.folder.head(self.state.uid)?;
        }
        Ok(self.head.as_ref())
    }

    fn envelope_has(&mut self, field: EnvelopeField, text: &str) -> Result<bool, Refusal> {
        let Some(head) = self.head()? else { return Ok(false) };
        if field == EnvelopeField::Subject {
            let subject = head.texts().subject.map(mime::decoded_header);
            return Ok(subject.is_some_and(|subject| contains(&subject, text)));
        }
        let envelope = head.envelope();
        let addresses = match field {
            EnvelopeField::Bcc => &envelope.bcc,
            EnvelopeField::Cc => &envelope.cc,
            EnvelopeField::From => &envelope.from,
            EnvelopeField::To | EnvelopeField::Subject => &envelope.to,
        };
        Ok(addresses.iter().any(|address| contains(&address_text(address), text)))
    }

    /// The header, read once.
    fn header(&mut self) -> Result<&[u8], Refusal> {
        if self.header.is_none() {
            let (end, is_plain) =
                self.head()?.map_or((0, false), |head| (head.structure().header_bytes, head.is_plain()));
            let mut header = Vec::new();
            if let Some(text) = self.folder.text_of(self.state.uid, is_plain)? {
                text.take(end.min(HEADER_BYTES_MAX)).read_to_end(&mut header)?;
            }
            self.read_bytes += end;
            self.header = Some(header);
        }
        Ok(self.header.as_deref().unwrap_or_default())
    }

    fn header_has(&mut self, name: &str, text: &str) -> Result<bool, Refusal> {
        let kept = self.fields.as_ref().and_then(Fields::kept);
        if let Some(kept) = kept.filter(|kept| kept.tells(&[name.as_bytes()], false)) {
            return Ok(field_has(kept.block(), name, text));
        }
        Ok(field_has(self.header()?, name, text))
    }

    fn any_header_has(&mut self, text: &str) -> Result<bool, Refusal> {
        Ok(any_field_has(self.header()?, text))
    }

    /// Streams the text parts through their decoders; the headers of parts, and of messages in them, where they count.
    fn body_has(&mut self, wanted: &str, inner: InnerHeaders) -> Result<bool, Refusal> {
        let Some(head) = self.head()? else { return Ok(false) };
        let (structure, is_plain) = (head.structure(), head.is_plain());
        let Some(mut text) = self.folder.text_of(self.state.uid, is_plain)? else { return Ok(false) };
        let mut searcher = Searcher::new(wanted);
        let mut at = 0;
        let mut piece = vec![0; PIECE_BYTES];
        let mut decoded = String::new();
        for (index, part) in structure.parts.iter().enumerate() {
            let header = &part.header;
            if inner == InnerHeaders::Count && index > 0 && header.start >= at && !header.is_empty() {
                at += text.skip(header.start - at)?;
                let mut block = Vec::new();
                (&mut text)
                    .take((header.end - header.start).min(HEADER_BYTES_MAX))
                    .read_to_end(&mut block)?;
                at += block.len() as u64;
                self.read_bytes += block.len() as u64;
                if any_field_has(&block, wanted) {
                    return Ok(true);
                }
            }
            if part.body.start < at || !part.is_text() {
                continue;
            }
            at += text.skip(part.body.start - at)?;
            let mut decoder = TextDecoder::new(part, false);
            searcher.next_text();
            while at < part.body.end {
                let want = usize::try_from(part.body.end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let count = text.read(&mut piece[..want])?;
                if count == 0 {
                    break;
                }
                at += count as u64;
                self.read_bytes += count as u64;
                decoded.clear();
                decoder.push(&piece[..count], &mut decoded);
                if searcher.push(&decoded) {
                    return Ok(true);
                }
            }
            decoded.clear();
            decoder.finish(&mut decoded);
            if searcher.push(&decoded) {
                return Ok(true);
            }
        }
        Ok(searcher.is_found())
    }
}

/// Whether headers below the message's own are looked into: TEXT does, BODY does not (RFC 9051 section 6.4.4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum InnerHeaders {
    Count,
    AreNone,
}

/// Whether any field of a header block has the text in it, its name included.
fn any_field_has(block: &[u8], text: &str) -> bool {
    mime::fields(block).any(|field| {
        let name = String::from_utf8_lossy(field.name);
        contains(&format!("{name}: {}", mime::decoded_header(field.value)), text)
    })
}

/// Whether a header block has a field of that name with that text in it.
fn field_has(block: &[u8], name: &str, text: &str) -> bool {
    let mut fields = mime::fields(block).filter(|field| field.is(name.as_bytes()));
    fields.any(|field| text.is_empty() || contains(&mime::decoded_header(field.value), text))
}

fn contains(text: &str, wanted: &str) -> bool {
    Searcher::new(wanted).push(text)
}

/// `Anna <anna@home.test>`, decoded.
fn address_text(address: &mime::Address) -> String {
    let text = |octets: &Option<Vec<u8>>| octets.as_deref().map(mime::decoded_header).unwrap_or_default();
    format!("{} <{}@{}>", text(&address.name), text(&address.mailbox), text(&address.host))
}

/// Days as they are in UTC, for the zone of a date is disregarded.
fn compare(unix_secs: i64, relation: DateRelation, date: Date) -> bool {
    let Ok(at) = Timestamp::from_second(unix_secs) else { return false };
    compare_days(at.to_zoned(TimeZone::UTC).date(), relation, date)
}

fn compare_days(day: Date, relation: DateRelation, date: Date) -> bool {
    match relation {
        DateRelation::Before => day < date,
        DateRelation::On => day == date,
        DateRelation::Since => day >= date,
    }
}

fn sorted(folder: &Folder, found: &[Found], criteria: &[SortCriterion]) -> Result<Vec<Found>, Refusal> {
    let uids: Vec<u32> = found.iter().map(|found| found.uid).collect();
    let mut columns = Vec::with_capacity(criteria.len());
    for criterion in criteria {
        columns.push(folder.sort_values(criterion.key, &uids)?);
    }
    // Those that are gone meanwhile have no values.
    let is_there = |index: usize| columns.iter().all(|column| column[index].is_some());
    let there: Vec<usize> = (0..found.len()).filter(|index| is_there(*index)).collect();
    let columns: Vec<(Vec<i64>, bool)> = columns
        .iter()
        .zip(criteria)
        .map(|(column, criterion)| {
            (there.iter().filter_map(|index| column[*index]).collect(), criterion.reverse)
        })
        .collect();
    Ok(mime::sort(there.len(), &columns).into_iter().map(|index| found[there[index]]).collect())
}

fn tell_threads(
    folder: &Folder,
    found: &[Found],
    by_uid: bool,
    algorithm: &str,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let uids: Vec<u32> = found.iter().map(|found| found.uid).collect();
    let subjects = folder.subjects(&uids)?;
    let dates = folder.sort_values(SortKey::Date, &uids)?;
    let (mut ids, mut threadable) = (mime::ThreadIds::default(), Vec::with_capacity(found.len()));
    let mut known = found.iter().zip(subjects.into_iter().zip(dates));
    folder.each_head(&uids, |uid, head| {
        // Those that are gone meanwhile are passed over.
        let Some((found, (Some(subject), Some(sent)))) = known.find(|(found, _)| found.uid == uid) else {
            return;
        };
        let texts = head.texts();
        threadable.push(mime::Threadable {
            id: found.number(by_uid),
            sent,
            subject: subject.number,
            is_reply: subject.is_reply,
            message_id: texts.own_id().map(|id| ids.number(id)),
            references: texts.thread_parents().into_iter().map(|id| ids.number(id)).collect(),
        });
    })?;
    let forest = match algorithm {
        "REFERENCES" => mime::thread_references(&threadable),
        _ => mime::thread_orderedsubject(&threadable),
    };
    forest.text(out);
    Ok(())
}
