//! THREAD (RFC 5256 3): messages as trees, by their references or by their subjects alone.
//!
//! Nothing here recurses, for a thread may be as long as the mailbox.

use std::collections::HashMap;

/// A message to be threaded.
#[derive(Clone, Debug, Default)]
pub struct Threadable {
    /// The number that the answer names it by.
    pub id: u32,
    /// The sent date in seconds since 1970, the internal date where there is none.
    pub sent: i64,
    /// The base subject (RFC 5256 2.1), folded, as a number in the order of all subjects; `None` for the empty one.
    pub subject: Option<u32>,
    /// Whether the subject was one of a reply or forward.
    pub is_reply: bool,
    /// Its own id.
    pub message_id: Option<u32>,
    /// The ids of its ancestors, the nearest last (see [`super::EnvelopeTexts::thread_parents`]).
    pub references: Vec<u32>,
}

/// The ids of messages as numbers, from 0.
#[derive(Clone, Debug, Default)]
pub struct ThreadIds {
    numbers: HashMap<Box<[u8]>, u32>,
}

impl ThreadIds {
    /// The number of an id without angle brackets; equal ids have equal ones.
    pub fn number(&mut self, id: &[u8]) -> u32 {
        if let Some(known) = self.numbers.get(id) {
            return *known;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(id.into(), number);
        number
    }
}

/// Threads in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forest {
    /// All nodes; children and roots are indexes.
    pub nodes: Vec<ThreadNode>,
    /// The first message of each thread.
    pub roots: Vec<u32>,
}

/// A message in a thread, or the place of one that is not in the mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadNode {
    /// The message; `None` only for roots with several children.
    pub id: Option<u32>,
    /// Answers to it.
    pub children: Vec<u32>,
}

impl Forest {
    /// Appends the threads as they stand in a THREAD response: `(2)(3 6 (4 23)(44 7 96))`.
    pub fn text(&self, into: &mut Vec<u8>) {
        enum Step {
            List(u32),
            Close,
        }
        let mut steps: Vec<Step> = self.roots.iter().rev().map(|root| Step::List(*root)).collect();
        while let Some(step) = steps.pop() {
            let Step::List(first) = step else {
                into.push(b')');
                continue;
            };
            into.push(b'(');
            let (end, wrote) = self.chain(first, into);
            steps.push(Step::Close);
            if let Some(node) = self.nodes.get(end as usize).filter(|node| node.children.len() > 1) {
                if wrote {
                    into.push(b' ');
                }
                steps.extend(node.children.iter().rev().map(|child| Step::List(*child)));
            }
        }
    }

    /// Writes messages with one answer each; gives back where that ends.
    fn chain(&self, first: u32, into: &mut Vec<u8>) -> (u32, bool) {
        let (mut place, mut wrote) = (first, false);
        loop {
            let Some(node) = self.nodes.get(place as usize) else { return (place, wrote) };
            if let Some(id) = node.id {
                if wrote {
                    into.push(b' ');
                }
                into.extend_from_slice(id.to_string().as_bytes());
                wrote = true;
            }
            match node.children[..] {
                [only] => place = only,
                _ => return (place, wrote),
            }
        }
    }
}

/// THREAD=ORDEREDSUBJECT: one thread for each base subject, its oldest message first, all others answers to that.
pub fn thread_orderedsubject(messages: &[Threadable]) -> Forest {
    let mut order: Vec<(Option<u32>, usize)> =
        messages.iter().enumerate().map(|(index, one)| (one.subject, index)).collect();
    order.sort_unstable_by(|one, other| {
        let date = |index: usize| (messages[index].sent, index);
        one.0.cmp(&other.0).then_with(|| date(one.1).cmp(&date(other.1)))
    });
    let mut nodes: Vec<ThreadNode> =
        messages.iter().map(|one| ThreadNode { id: Some(one.id), children: Vec::new() }).collect();
    let mut roots = Vec::new();
    for thread in order.chunk_by(|one, other| one.0 == other.0) {
        if let [(_, first), others @ ..] = thread {
            nodes[*first].children = others.iter().map(|(_, index)| *index as u32).collect();
            roots.push(*first as u32);
        }
    }
    roots.sort_unstable_by_key(|root| (messages[*root as usize].sent, *root));
    Forest { nodes, roots }
}

/// THREAD=REFERENCES. The numbers in this file are the steps of RFC 5256 3.
pub fn thread_references(messages: &[Threadable]) -> Forest {
    let mut links = Links::of(messages); // 1
    let roots = links.prune(); // 2, 3
    let mut threads = Threads { messages, links, roots };
    threads.sort(); // 4
    threads.merge_by_subject(); // 5, 6
    threads.sort(); // 7
    threads.forest()
}

/// A place in a thread.
#[derive(Clone, Debug, Default)]
struct Place {
    /// Index of the message; `None` for one that is only referred to (a dummy).
    message: Option<usize>,
    parent: Option<usize>,
    /// Whether something was ever linked below: only then can a new parent close a loop.
    has_child: bool,
    children: Vec<usize>,
}

struct Links {
    places: Vec<Place>,
}

/// The places of ids, by their numbers.
#[derive(Default)]
struct ById(Vec<Option<usize>>);

impl ById {
    fn of(&mut self, id: u32) -> &mut Option<usize> {
        let id = id as usize;
        if id >= self.0.len() {
            self.0.resize(id + 1, None);
        }
        &mut self.0[id]
    }
}

impl Links {
    fn of(messages: &[Threadable]) -> Self {
        let mut links = Self { places: Vec::with_capacity(messages.len()) };
        let mut by_id = ById::default();
        for (index, message) in messages.iter().enumerate() {
            let mut last = None;
            for &id in &message.references {
                let place = *by_id.of(id).get_or_insert_with(|| links.add(None));
                if let Some(parent) = last.filter(|_| links.places[place].parent.is_none()) {
                    links.link(parent, place);
                }
                last = Some(place);
            }
            let own = links.own_place(index, message, &mut by_id);
            match last {
                Some(parent) => links.link(parent, own),
                // What other messages' references said is worth less than what this one says.
                None => links.places[own].parent = None,
            }
        }
        links
    }

    fn add(&mut self, message: Option<usize>) -> usize {
        self.places.push(Place { message, ..Place::default() });
        self.places.len() - 1
    }

    /// A message without an id, or with one that was taken, has a place that nothing refers to.
    fn own_place(&mut self, index: usize, message: &Threadable, by_id: &mut ById) -> usize {
        let Some(id) = message.message_id else { return self.add(Some(index)) };
        let place = *by_id.of(id).get_or_insert_with(|| self.add(None));
        if self.places[place].message.is_some() {
            return self.add(Some(index));
        }
        self.places[place].message = Some(index);
        place
    }

    fn link(&mut self, parent: usize, child: usize) {
        if parent == child || self.places[child].has_child && self.is_below(parent, child) {
            return;
        }
        self.places[child].parent = Some(parent);
        self.places[parent].has_child = true;
    }

    fn is_below(&self, mut place: usize, ancestor: usize) -> bool {
        while let Some(parent) = self.places[place].parent {
            if parent == ancestor {
                return true;
            }
            place = parent;
        }
        false
    }

    /// Takes dummies out, their children take their places; a root with several children stays. Gives back the roots.
    fn prune(&mut self) -> Vec<usize> {
        let mut roots = Vec::new();
        for place in 0..self.places.len() {
            match self.places[place].parent {
                Some(parent) => self.places[parent].children.push(place),
                None => roots.push(place),
            }
        }
        for place in self.parents_first(&roots).into_iter().rev() {
            let children = std::mem::take(&mut self.places[place].children);
            self.places[place].children = self.without_dummies(children);
        }
        let mut kept = Vec::with_capacity(roots.len());
        for root in roots {
            let place = &mut self.places[root];
            match (place.message, &place.children[..]) {
                (None, []) => {}
                (None, [only]) => kept.push(*only),
                _ => kept.push(root),
            }
        }
        kept
    }

    fn without_dummies(&mut self, children: Vec<usize>) -> Vec<usize> {
        if children.iter().all(|child| self.places[*child].message.is_some()) {
            return children;
        }
        let mut kept = Vec::with_capacity(children.len());
        for child in children {
            match self.places[child].message {
                Some(_) => kept.push(child),
                None if kept.is_empty() => kept = std::mem::take(&mut self.places[child].children),
                None => kept.append(&mut self.places[child].children),
            }
        }
        kept
    }

    /// All places, each behind its parent.
    fn parents_first(&self, roots: &[usize]) -> Vec<usize> {
        let mut order = roots.to_vec();
        let mut next = 0;
        while let Some(&place) = order.get(next) {
            order.extend_from_slice(&self.places[place].children);
            next += 1;
        }
        order
    }
}

struct Threads<'a> {
    messages: &'a [Threadable],
    links: Links,
    roots: Vec<usize>,
}

impl Threads<'_> {
    /// Sorts all siblings by date. Only roots may be dummies; they have the date of their first child.
    fn sort(&mut self) {
        let mut keys: Vec<(i64, usize)> = Vec::with_capacity(self.links.places.len());
        for place in &self.links.places {
            keys.push(
                place.message.map_or((i64::MAX, usize::MAX), |index| (self.messages[index].sent, index)),
            );
        }
        for place in self.links.places.iter_mut().filter(|place| place.children.len() > 1) {
            place.children.sort_unstable_by_key(|child| keys[*child]);
        }
        let places = &self.links.places;
        self.roots.sort_unstable_by_key(|root| keys[first_message(places, *root)]);
    }

    fn is_dummy(&self, place: usize) -> bool {
        self.links.places[place].message.is_none()
    }

    fn first_of(&self, root: usize) -> Option<&Threadable> {
        self.messages.get(self.links.places[first_message(&self.links.places, root)].message?)
    }

    fn is_reply(&self, root: usize) -> bool {
        self.first_of(root).is_some_and(|message| message.is_reply)
    }

    fn merge_by_subject(&mut self) {
        let subject = |root: &usize| self.first_of(*root).and_then(|message| message.subject);
        let subjects: Vec<Option<u32>> = self.roots.iter().map(subject).collect();
        let table = self.subject_table(&subjects);
        let mut slots: Vec<Option<usize>> = self.roots.iter().copied().map(Some).collect();
        for slot in 0..slots.len() {
            let home = subjects[slot].and_then(|subject| table.get(&subject));
            let Some(&home) = home.filter(|home| **home != slot) else { continue };
            if let (Some(place), Some(first)) = (slots[slot].take(), slots[home]) {
                slots[home] = Some(self.merged(first, place));
            }
        }
        self.roots = slots.into_iter().flatten().collect();
    }

    /// 5: for each subject the slot of the thread that others join.
    fn subject_table(&self, subjects: &[Option<u32>]) -> HashMap<u32, usize> {
        let mut table: HashMap<u32, usize> = HashMap::new();
        for (slot, subject) in subjects.iter().enumerate() {
            let Some(subject) = *subject else { continue };
            let home = table.entry(subject).or_insert(slot);
            let (known, current) = (self.roots[*home], self.roots[slot]);
            let better = self.is_dummy(current) || self.is_reply(known) && !self.is_reply(current);
            if !self.is_dummy(known) && better {
                *home = slot;
            }
        }
        table
    }

    /// 6: two threads of one subject become one; gives back its root.
    fn merged(&mut self, first: usize, current: usize) -> usize {
        match (self.is_dummy(first), self.is_dummy(current)) {
            (true, true) => {
                let mut children = std::mem::take(&mut self.links.places[current].children);
                self.links.places[first].children.append(&mut children);
                first
            }
            (true, false) => {
                self.links.places[first].children.push(current);
                first
            }
            (false, _) if self.is_reply(current) && !self.is_reply(first) => {
                self.links.places[first].children.push(current);
                first
            }
            (false, _) => {
                let both = self.links.add(None);
                self.links.places[both].children = vec![first, current];
                both
            }
        }
    }

    fn forest(self) -> Forest {
        let index = |place: &usize| *place as u32;
        let nodes = self.links.places.iter().map(|place| ThreadNode {
            id: place.message.map(|message| self.messages[message].id),
            children: place.children.iter().map(index).collect(),
        });
        Forest { nodes: nodes.collect(), roots: self.roots.iter().map(index).collect() }
    }
}

/// The place itself, or the first child of a dummy.
fn first_message(places: &[Place], place: usize) -> usize {
    match (&places[place].message, places[place].children.first()) {
        (None, Some(first)) => *first,
        _ => place,
    }
}
