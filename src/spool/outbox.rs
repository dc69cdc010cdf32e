//! The outbox: which message is tried next.
//!
//! Each waiting message is one small entry in memory (about 430 bytes, measured; the message itself stays on the disk).
//! Entries stand in *lanes*: one for local mail, one per remote destination. Each lane has its own limit of deliveries at once,
//! and lanes take turns, so a slow destination holds up its own lane only, and 100,000 messages for a dead host never
//! stand before a local one. The local lane does not count against the limit of remote deliveries.
//!
//! Within a lane the copies of one big submission, as of a list post, and what was found at the start stand in a line of
//! their own ([`Line`]): a message that comes alone waits for one of them at most, not for thousands.
//!
//! A destination's first delivery goes before any other's second, and a quarter of the remote deliveries is for first
//! ones only: dozens of dead hosts with their full share of deliveries each do not hold up the living.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::attempt::Private;
use super::held::Held;
use super::name::Name;
use super::slog::Attempts;
use crate::clock::Clock;

/// Where a message stands in line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Mail for accounts here, which waits for nobody outside.
    Local,
    /// Mail for one remote destination (its domain in lower case).
    Remote(Arc<str>),
}

/// How many deliveries run at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Local deliveries (`-Qn`).
    pub local: usize,
    /// Deliveries to one remote destination (`-Qn`).
    pub per_destination: usize,
    /// Deliveries to all remote destinations together.
    pub remote: usize,
}

/// One message waiting in memory.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) name: Arc<Name>,
    pub(super) lane: Lane,
    /// The first part of the recipient's path, for ETRN.
    pub(super) first_part: Box<str>,
    pub(super) attempts: Attempts,
    /// In `rsnd` rather than `mess`.
    pub(super) resent: bool,
    /// Found at the start: an earlier run may have delivered it and not got so far as to remove it.
    pub(super) found: bool,
    /// One of many copies of a submission.
    pub(super) in_crowd: bool,
    /// The message itself, when it has no spool file.
    pub(super) held: Option<Arc<Held>>,
    /// Its delivery is over; the disk did not let us do this.
    pub(super) rest: Option<Rest>,
    /// The private copies that could not be written: what is left to be done.
    pub(super) unsaved: Option<Box<Unsaved>>,
}

/// Private copies in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsaved {
    mprc: Option<Vec<u8>>,
    cust: Option<Vec<u8>>,
}

impl Unsaved {
    pub(super) fn of(&self, kind: Private) -> Option<&Vec<u8>> {
        match kind {
            Private::Mprc => self.mprc.as_ref(),
            Private::Cust => self.cust.as_ref(),
        }
    }

    pub(super) fn set(&mut self, kind: Private, bytes: Option<Vec<u8>>) {
        match kind {
            Private::Mprc => self.mprc = bytes,
            Private::Cust => self.cust = bytes,
        }
    }
}

/// What is left to do of a message whose delivery is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Remove,
    Freeze,
}

impl Ready {
    pub(super) fn new(name: Arc<Name>, lane: Lane, first_part: String) -> Self {
        Self {
            name,
            lane,
            first_part: first_part.into(),
            attempts: Attempts::default(),
            resent: false,
            found: false,
            in_crowd: false,
            held: None,
            rest: None,
            unsaved: None,
        }
    }
}

/// The queue of messages to be delivered.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

struct Inner {
    limits: Limits,
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    local: LaneQueue,
    remote: HashMap<Arc<str>, LaneQueue>,
    /// Remote lanes without a running delivery that have a message ready, in their turn.
    first_turns: VecDeque<Arc<str>>,
    /// Those with running deliveries and room for another. May hold lanes that stand in `first_turns` by now.
    more_turns: VecDeque<Arc<str>>,
    remote_active: usize,
    /// Messages that wait for their time: (due in Unix milliseconds, sequence).
    waiting: BTreeMap<(i64, u64), Ready>,
    sequence: u64,
    closed: bool,
}

/// The messages of a lane that are ready: two lines that take turns.
#[derive(Default)]
struct Line {
    single: VecDeque<Ready>,
    crowd: VecDeque<Ready>,
    is_crowds_turn: bool,
}

impl Line {
    fn push_back(&mut self, entry: Ready) {
        match entry.in_crowd || entry.found {
            true => self.crowd.push_back(entry),
            false => self.single.push_back(entry),
        }
    }

    fn pop_front(&mut self) -> Option<Ready> {
        self.pop_front_if(|_| true)
    }

    /// The next one, if it is wanted.
    fn pop_front_if(&mut self, is_wanted: impl FnOnce(&Ready) -> bool) -> Option<Ready> {
        let is_of_crowd = self.single.is_empty() || self.is_crowds_turn && !self.crowd.is_empty();
        let line = if is_of_crowd { &mut self.crowd } else { &mut self.single };
        let entry = line.pop_front_if(|entry| is_wanted(entry))?;
        self.is_crowds_turn = !is_of_crowd;
        Some(entry)
    }

    fn move_to(&mut self, taken: &mut Vec<Ready>, is_wanted: impl Fn(&Ready) -> bool) {
        for line in [&mut self.single, &mut self.crowd] {
            let (wanted, others): (Vec<_>, VecDeque<_>) =
                std::mem::take(line).into_iter().fold((Vec::new(), VecDeque::new()), |mut both, entry| {
                    if is_wanted(&entry) {
                        both.0.push(entry)
                    } else {
                        both.1.push_back(entry)
                    }
                    both
                });
            *line = others;
            taken.extend(wanted);
        }
    }

    fn len(&self) -> usize {
        self.single.len() + self.crowd.len()
    }

    fn is_empty(&self) -> bool {
        self.single.is_empty() && self.crowd.is_empty()
    }
}

#[derive(Default)]
struct LaneQueue {
    ready: Line,
    active: usize,
    /// In which of the lines it stands.
    turn: Option<Turn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    More,
}

impl Outbox {
    pub(super) fn new(limits: Limits, clock: Clock) -> Self {
        let inner = Inner { limits, clock, state: Mutex::default(), changed: Notify::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Waits for a message whose turn it is; `None` once the outbox is closed. For one caller at a time.
    pub(super) async fn take(&self) -> Option<Ready> {
        loop {
            let wait = {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                let now = self.inner.clock.unix_millis();
                state.wake_due(now, &self.inner.limits);
                if let Some(entry) = state.take(&self.inner.limits) {
                    return Some(entry);
                }
                state.waiting.first_key_value().map(|((due, _), _)| due.saturating_sub(now))
            };
            let changed = self.inner.changed.notified();
            match wait {
                None => changed.await,
                Some(millis) => {
                    let millis = u64::try_from(millis).unwrap_or(0).max(1);
                    // Sleeps of at most a minute: the wall clock may be set while we wait.
                    let nap = Duration::from_millis(millis).min(Duration::from_secs(60));
                    tokio::select! { () = changed => {} () = tokio::time::sleep(nap) => {} }
                }
            }
        }
    }

    pub(super) fn push(&self, entry: Ready) {
        self.lock().push(entry, &self.inner.limits);
        self.inner.changed.notify_one();
    }

    /// The messages of one submission.
    pub(super) fn push_all(&self, entries: Vec<Ready>) {
        let in_crowd = entries.len() > CROWD_MIN;
        let mut state = self.lock();
        for entry in entries {
            state.push(Ready { in_crowd, ..entry }, &self.inner.limits);
        }
        drop(state);
        self.inner.changed.notify_one();
    }

    pub(super) fn push_at(&self, entry: Ready, due_unix_millis: i64) {
        let mut state = self.lock();
        state.sequence += 1;
        let key = (due_unix_millis, state.sequence);
        state.waiting.insert(key, entry);
        drop(state);
        self.inner.changed.notify_one();
    }

    /// A delivery of this lane has ended.
    pub(super) fn release(&self, lane: &Lane) {
        let mut state = self.lock();
        state.release(lane, &self.inner.limits);
        let has_work =
            !state.local.ready.is_empty() || !state.first_turns.is_empty() || !state.more_turns.is_empty();
        drop(state);
        if has_work {
            self.inner.changed.notify_one();
        }
    }

    /// Takes the next ready message of a lane, past the limits: for a delivery of that lane that is under way and has
    /// its connection at hand. The message counts as another running delivery until it ends.
    pub(super) fn take_from(&self, lane: &Lane) -> Option<Ready> {
        let mut state = self.lock();
        let queue = match lane {
            Lane::Local => &mut state.local,
            Lane::Remote(destination) => state.remote.get_mut(destination)?,
        };
        let entry = queue.ready.pop_front()?;
        queue.active += 1;
        if matches!(lane, Lane::Remote(_)) {
            state.remote_active += 1;
        }
        Some(entry)
    }

    /// Takes the next local message, past the limits, if it is one of those.
    pub(super) fn take_local(&self, is_wanted: impl FnOnce(&Ready) -> bool) -> Option<Ready> {
        let mut state = self.lock();
        let entry = state.local.ready.pop_front_if(|entry| is_wanted(entry))?;
        state.local.active += 1;
        Some(entry)
    }

    /// Moves waiting messages whose recipient matches to the front door now (ETRN, `mailflow.md` 2.8). The closure
    /// gets the first part of the recipient's path. Returns how many were moved.
    pub fn flush(&self, matches: impl Fn(&str) -> bool) -> usize {
        let mut state = self.lock();
        let (due, waiting): (BTreeMap<_, _>, _) =
            std::mem::take(&mut state.waiting).into_iter().partition(|(_, entry)| matches(&entry.first_part));
        state.waiting = waiting;
        let moved = due.len();
        for entry in due.into_values() {
            state.push(entry, &self.inner.limits);
        }
        drop(state);
        self.inner.changed.notify_one();
        moved
    }

    /// Takes messages out of the queue that are wanted by name, have a file, and are not being delivered.
    pub(super) fn withdraw(&self, is_wanted: impl Fn(&Name) -> bool) -> Vec<Ready> {
        let wants = |entry: &Ready| entry.held.is_none() && entry.rest.is_none() && is_wanted(&entry.name);
        let mut state = self.lock();
        let (taken, waiting): (BTreeMap<_, _>, _) =
            std::mem::take(&mut state.waiting).into_iter().partition(|(_, entry)| wants(entry));
        state.waiting = waiting;
        let mut found: Vec<Ready> = taken.into_values().collect();
        state.local.ready.move_to(&mut found, wants);
        // A lane that is empty now gives its turn away when it comes.
        state.remote.values_mut().for_each(|lane| lane.ready.move_to(&mut found, wants));
        found
    }

    /// Ends [`super::Spool::next_attempt`] for good: no further delivery begins.
    pub fn close(&self) {
        self.lock().closed = true;
        self.inner.changed.notify_one();
    }

    /// Looks at the times again, after a test has moved the clock's hands.
    pub fn wake(&self) {
        self.inner.changed.notify_one();
    }

    /// Messages ready, and messages waiting for their time.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        let remote: usize = state.remote.values().map(|lane| lane.ready.len()).sum();
        (state.local.ready.len() + remote, state.waiting.len())
    }

    /// Whether nothing is ready and no delivery under way; what waits for its time does not count.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        let is_ready =
            !state.local.ready.is_empty() || state.remote.values().any(|lane| !lane.ready.is_empty());
        !is_ready && state.local.active == 0 && state.remote_active == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_due(&mut self, now: i64, limits: &Limits) {
        while let Some(entry) = self.waiting.first_entry().filter(|first| first.key().0 <= now) {
            let entry = entry.remove();
            self.push(entry, limits);
        }
    }

    fn push(&mut self, entry: Ready, limits: &Limits) {
        match entry.lane.clone() {
            Lane::Local => self.local.ready.push_back(entry),
            Lane::Remote(destination) => {
                self.remote.entry(Arc::clone(&destination)).or_default().ready.push_back(entry);
                self.give_turn(&destination, limits);
            }
        }
    }

    /// Puts a lane at the end of the line if it has something to send and room for it; drops it when it is empty.
    fn give_turn(&mut self, destination: &Arc<str>, limits: &Limits) {
        let Some(lane) = self.remote.get_mut(destination) else { return };
        let wanted = match lane.active {
            _ if lane.ready.is_empty() => None,
            0 => Some(Turn::First),
            active if active < limits.per_destination => Some(Turn::More),
            _ => None,
        };
        match (wanted, lane.turn) {
            (Some(Turn::First), None | Some(Turn::More)) => {
                lane.turn = wanted;
                self.first_turns.push_back(Arc::clone(destination));
            }
            (Some(Turn::More), None) => {
                lane.turn = wanted;
                self.more_turns.push_back(Arc::clone(destination));
            }
            (None, None) if lane.ready.is_empty() && lane.active == 0 => {
                drop(self.remote.remove(destination))
            }
            _ => {}
        }
    }

    fn take(&mut self, limits: &Limits) -> Option<Ready> {
        if self.local.active < limits.local
            && let Some(entry) = self.local.ready.pop_front()
        {
            self.local.active += 1;
            return Some(entry);
        }
        while let Some((destination, turn)) = self.next_turn(limits) {
            let Some(lane) = self.remote.get_mut(&destination) else { continue };
            // It was given a better turn since.
            if lane.turn != Some(turn) {
                continue;
            }
            lane.turn = None;
            let entry = lane.ready.pop_front();
            if entry.is_some() {
                lane.active += 1;
                self.remote_active += 1;
            }
            self.give_turn(&destination, limits);
            if entry.is_some() {
                return entry;
            }
        }
        None
    }

    fn next_turn(&mut self, limits: &Limits) -> Option<(Arc<str>, Turn)> {
        let for_all = limits.remote - limits.remote / FIRST_TURNS_SHARE;
        if self.remote_active < limits.remote
            && let Some(destination) = self.first_turns.pop_front()
        {
            return Some((destination, Turn::First));
        }
        if self.remote_active >= for_all {
            return None;
        }
        self.more_turns.pop_front().map(|destination| (destination, Turn::More))
    }

    fn release(&mut self, lane: &Lane, limits: &Limits) {
        match lane {
            Lane::Local => self.local.active = self.local.active.saturating_sub(1),
            Lane::Remote(destination) => {
                self.remote_active = self.remote_active.saturating_sub(1);
                if let Some(queue) = self.remote.get_mut(destination) {
                    queue.active = queue.active.saturating_sub(1);
                }
                self.give_turn(destination, limits);
            }
        }
    }
}

/// A submission with more recipients than this is a crowd: the default of `-Sr`, which no single message has more of.
const CROWD_MIN: usize = 100;

/// One of this many remote deliveries is for destinations that have none running. Ours.
const FIRST_TURNS_SHARE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::name::Place;

    fn outbox() -> (Outbox, Clock) {
        let clock = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        (Outbox::new(Limits { local: 2, per_destination: 2, remote: 3 }, clock.clone()), clock)
    }

    fn entry(lane: &str, name: &str) -> Ready {
        let place = Place { level1: 0, level2: 0 };
        let lane = if lane == "local" { Lane::Local } else { Lane::Remote(lane.into()) };
        Ready::new(Arc::new(Name::existing(place, name).unwrap()), lane, format!("u@{name}"))
    }

    /// Takes all that may run now.
    fn take_all(outbox: &Outbox) -> Vec<Ready> {
        let mut state = outbox.lock();
        let now = outbox.inner.clock.unix_millis();
        state.wake_due(now, &outbox.inner.limits);
        std::iter::from_fn(|| state.take(&outbox.inner.limits)).collect()
    }

    fn names(entries: &[Ready]) -> Vec<&str> {
        entries.iter().map(|entry| entry.name.file_name()).collect()
    }

    #[test]
    fn a_crowded_destination_leaves_room_for_others_and_for_local_mail() {
        let (outbox, _) = outbox();
        for n in 0..1000 {
            outbox.push(entry("dead.test", &format!("d{n}")));
        }
        outbox.push(entry("quick.test", "q"));
        outbox.push(entry("local", "l"));
        let running = take_all(&outbox);
        assert_eq!(names(&running), ["l", "d0", "q", "d1"]);
        outbox.release(&running[2].lane);
        assert!(take_all(&outbox).is_empty(), "dead.test has its two");
        outbox.release(&running[1].lane);
        assert_eq!(names(&take_all(&outbox)), ["d2"]);
    }

    #[test]
    fn a_message_that_comes_alone_waits_for_one_of_a_crowd_at_most() {
        for lane in ["local", "big.test"] {
            let (outbox, _) = outbox();
            let crowd = |name: &str| (0..=CROWD_MIN).map(|n| entry(lane, &format!("{name}{n}"))).collect();
            outbox.push_all(crowd("c"));
            assert_eq!(names(&take_all(&outbox)), ["c0", "c1"]);
            outbox.push_all(vec![entry(lane, "alone1"), entry(lane, "alone2")]);
            let mut found = entry(lane, "found");
            found.found = true;
            outbox.push(found);
            let lane = entry(lane, "any").lane;
            let next = |_| {
                outbox.release(&lane);
                names(&take_all(&outbox)).join(" ")
            };
            let taken: Vec<String> = (0..5).map(next).collect();
            assert_eq!(taken, ["alone1", "c2", "alone2", "c3", "c4"]);
            let rest: Vec<String> = (5..CROWD_MIN + 2).map(next).collect();
            assert_eq!(rest.last().map(String::as_str), Some("found"));
        }
    }

    #[test]
    fn many_dead_destinations_leave_room_for_a_living_one() {
        let clock = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        let outbox = Outbox::new(Limits { local: 2, per_destination: 4, remote: 8 }, clock);
        for n in 0..100 {
            outbox.push(entry(["a.test", "b.test", "c.test"][n % 3], "dead"));
        }
        let dead = take_all(&outbox);
        assert_eq!(dead.len(), 6, "two are kept free for the first of others");
        outbox.push(entry("quick.test", "q1"));
        outbox.push(entry("quick.test", "q2"));
        let quick = take_all(&outbox);
        assert_eq!(names(&quick), ["q1"]);
        outbox.release(&quick[0].lane);
        assert_eq!(names(&take_all(&outbox)), ["q2"]);
        for delivery in &dead {
            outbox.release(&delivery.lane);
        }
        assert_eq!(take_all(&outbox).len(), 5, "and they come to their turn");
    }

    /// Whatever happens in whatever order, nothing is taken past its limits and nothing is left behind.
    #[test]
    fn lanes_keep_their_limits_and_lose_nothing() {
        let (outbox, _) = outbox();
        let (mut seed, mut running, mut pushed, mut taken) = (7_u64, Vec::new(), 0, 0);
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(seed >> 33).unwrap() % below
        };
        for round in 0..20_000 {
            if round < 10_000 && random(2) == 0 {
                outbox.push(entry(["a", "b", "c", "d", "local"][random(5)], "x"));
                pushed += 1;
            }
            let new = take_all(&outbox);
            taken += new.len();
            running.extend(new);
            for destination in ["a", "b", "c", "d"] {
                let lane = Lane::Remote(destination.into());
                assert!(running.iter().filter(|entry: &&Ready| entry.lane == lane).count() <= 2);
            }
            assert!(running.iter().filter(|entry| entry.lane != Lane::Local).count() <= 3);
            if !running.is_empty() {
                let ended = running.swap_remove(random(running.len()));
                outbox.release(&ended.lane);
            }
        }
        assert_eq!((pushed, running.len()), (taken, 0));
        let state = outbox.lock();
        assert!(state.remote.is_empty() && state.first_turns.is_empty() && state.more_turns.is_empty());
    }

    #[test]
    fn retries_come_at_their_time() {
        let (outbox, clock) = outbox();
        outbox.push_at(entry("a.test", "late"), 10_000);
        outbox.push_at(entry("a.test", "early"), 5_000);
        assert!(take_all(&outbox).is_empty());
        clock.advance(Duration::from_secs(5));
        assert_eq!(names(&take_all(&outbox)), ["early"]);
        assert_eq!(outbox.flush(|first_part| first_part == "u@late"), 1);
        assert_eq!(names(&take_all(&outbox)), ["late"]);
    }

    #[tokio::test]
    async fn take_waits_and_ends_when_closed() {
        let (outbox, _) = outbox();
        let taker = {
            let outbox = outbox.clone();
            tokio::spawn(async move { outbox.take().await })
        };
        outbox.push(entry("local", "one"));
        assert_eq!(taker.await.unwrap().unwrap().name.file_name(), "one");
        outbox.close();
        assert!(outbox.take().await.is_none());
    }

    #[test]
    fn idle_lanes_are_forgotten() {
        let (outbox, _) = outbox();
        outbox.push(entry("a.test", "one"));
        let running = take_all(&outbox);
        outbox.release(&running[0].lane);
        assert!(outbox.lock().remote.is_empty());
    }
}
