//! The committer: the one thread that writes the journal.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::record::{Head, Kind, marks_payload, push_record, record_bytes};
use super::segment::Segment;
use super::{Inner, Live, MARKS_WAIT, Mark, Pending, Queue, RESERVED_BYTES, Refusal, checkpoint, lock};
use crate::spool::Shared;

/// Works until the queue says stop; what is pending then is still written.
pub(super) fn run(inner: &Inner, spool: &Weak<Shared>) {
    let mut committer = Committer {
        inner,
        spool,
        segment: None,
        last_slot: None,
        watermark: 1,
        patience_until: None,
        quiet_until: None,
    };
    while let Some(work) = next_work(inner) {
        committer.commit(work);
    }
}

/// Everything that waits; `None` at the end.
fn next_work(inner: &Inner) -> Option<Queue> {
    let mut queue = lock(&inner.queue);
    loop {
        let is_due = !queue.pending.is_empty()
            || queue.marks_are_urgent
            || queue.watermark.is_some()
            || queue.seal
            || (queue.stop && !queue.marks.is_empty());
        if is_due {
            let stop = queue.stop;
            return Some(std::mem::replace(&mut *queue, Queue { stop, ..Queue::default() }));
        }
        if queue.stop {
            return None;
        }
        queue.is_waited_for = true;
        if queue.marks.is_empty() {
            queue = inner.wanted.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
            continue;
        }
        let waited = inner.wanted.wait_timeout(queue, MARKS_WAIT);
        let (after, timeout) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        queue = after;
        queue.is_waited_for = false;
        if timeout.timed_out() && queue.pending.is_empty() && !queue.marks.is_empty() {
            return Some(Queue { marks: std::mem::take(&mut queue.marks), ..Queue::default() });
        }
    }
}

struct Committer<'a> {
    inner: &'a Inner,
    spool: &'a Weak<Shared>,
    segment: Option<Segment>,
    /// Where the newest watermark stands. The next segment must not overwrite it before it carries it itself.
    last_slot: Option<usize>,
    /// All segments below are over.
    watermark: u64,
    /// No new slot is made before.
    patience_until: Option<Instant>,
    /// That marks cannot be written is not said again before: they are tried every [`MARKS_WAIT`].
    quiet_until: Option<Instant>,
}

impl Committer<'_> {
    fn commit(&mut self, work: Queue) {
        // The waiters go at the end.
        let Queue { mut pending, marks, marks_are_urgent, watermark, seal, waiters: _waiters, .. } = work;
        if let Some(watermark) = watermark {
            self.raise(watermark);
        }
        if seal {
            self.seal();
        }
        let mut marks = Some(marks);
        while !pending.is_empty() {
            if let Err(refusal) = self.make_room(record_bytes(pending[0].content.payload.len()) as u64) {
                return self.refuse_all(pending, marks, &refusal);
            }
            let rest = pending.split_off(self.count_that_fit(&pending));
            let now = std::mem::replace(&mut pending, rest);
            marks = self.write_messages(now, marks.take().unwrap_or_default());
        }
        if let Some(marks) = marks.filter(|marks| !marks.is_empty()) {
            self.write_marks(marks, marks_are_urgent);
        }
    }

    fn refuse_all(&mut self, pending: Vec<Pending>, marks: Option<Vec<Mark>>, refusal: &Refusal) {
        self.put_back(marks.unwrap_or_default());
        if let Refusal::Disk(error) = refusal {
            tracing::warn!(%error, "the journal cannot be written; mail goes through spool files");
        }
        for message in pending {
            // Nothing of it was written: the other way may work.
            message.reply.send(Err(Refusal::NoRoom));
        }
    }

    /// Marks are tried again with whatever comes next.
    fn put_back(&self, marks: Vec<Mark>) {
        let mut queue = lock(&self.inner.queue);
        if !queue.stop {
            queue.marks.splice(0..0, marks);
        }
    }

    fn room(&self) -> u64 {
        let usable = self.inner.sizes.segment_bytes.saturating_sub(RESERVED_BYTES);
        self.segment.as_ref().map_or(0, |segment| usable.saturating_sub(segment.end))
    }

    /// At least one, for which room was made.
    fn count_that_fit(&self, pending: &[Pending]) -> usize {
        let mut room = self.room();
        let fits = |message: &&Pending| {
            let bytes = record_bytes(message.content.payload.len()) as u64;
            room.checked_sub(bytes).inspect(|left| room = *left).is_some()
        };
        pending.iter().take_while(fits).count().max(1)
    }

    /// Writes messages and marks together, syncs, and lets everybody know. Gives back the marks if the segment had no
    /// room for them.
    fn write_messages(&mut self, messages: Vec<Pending>, marks: Vec<Mark>) -> Option<Vec<Mark>> {
        let Some(segment) = &mut self.segment else { return Some(marks) };
        let start = u32::try_from(segment.end).unwrap_or(u32::MAX);
        let head = |kind, sequence, payload: &[u8]| Head {
            kind,
            payload_bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            payload_crc: crc32fast::hash(payload),
            segment: segment.number,
            sequence,
            watermark: self.watermark,
            batch_start: start,
            run: self.inner.slots.run,
        };
        let bytes = messages.iter().map(|message| record_bytes(message.content.payload.len())).sum::<usize>();
        let mut batch = Vec::with_capacity(bytes + marks.len() * 160 + 128);
        for message in &messages {
            let payload = &message.content.payload;
            push_record(&mut batch, &head(Kind::Message, message.sequence, payload), payload);
        }
        let payload = marks_payload(&marks);
        let end = segment.end + (batch.len() + record_bytes(payload.len())) as u64;
        let with_marks = !marks.is_empty() && end + RESERVED_BYTES / 2 <= self.inner.sizes.segment_bytes;
        if with_marks {
            push_record(&mut batch, &head(Kind::Marks, 0, &payload), &payload);
        }
        let number = segment.number;
        match segment.append(&batch, true) {
            Ok(()) => {
                messages.into_iter().for_each(|message| self.release(number, message));
                (!with_marks).then_some(marks)
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be written; mail is refused");
                self.put_back(marks);
                for message in messages {
                    message.reply.send(Err(Refusal::Disk(again(&error))));
                }
                None
            }
        }
    }

    /// The message is ours: it stands in the outbox before its sender is told.
    fn release(&self, number: u64, message: Pending) {
        let Pending { content, recipients, reply, .. } = message;
        // From here on only who delivers it holds it.
        drop(content);
        {
            let mut ledger = lock(&self.inner.ledger);
            if let Some(live) = ledger.live.iter_mut().find(|live| live.number == number) {
                for held in recipients.iter().filter_map(|entry| entry.held.as_ref()) {
                    held.is_written_to(number);
                    live.waiting.insert(held.id(), Arc::clone(held));
                }
            }
        }
        if let Some(spool) = self.spool.upgrade() {
            spool.outbox.push_all(recipients);
        }
        reply.send(Ok(()));
    }

    fn write_marks(&mut self, marks: Vec<Mark>, sync: bool) {
        let Some(segment) = &self.segment else { return }; // All that they could be about is over.
        let payload = marks_payload(&marks);
        let bytes = record_bytes(payload.len()) as u64;
        // Marks may use half of what is reserved; the other half is for watermarks, which end with the journal.
        let reserved = if lock(&self.inner.queue).stop { 0 } else { RESERVED_BYTES / 2 };
        let fits = segment.end + bytes + reserved <= self.inner.sizes.segment_bytes;
        if !fits && self.make_room(bytes).is_err() {
            // Without them a crash delivers again what it finds no file of; nothing is lost.
            return self.put_back(marks);
        }
        if let Err(error) = self.write_record(&payload, sync) {
            self.complain(&error);
            self.put_back(marks);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if self.quiet_until.is_none_or(|until| Instant::now() >= until) {
            tracing::warn!(%error, "the journal cannot be written; what was delivered is noted later");
            self.quiet_until = Some(Instant::now() + COMPLAINT_PAUSE);
        }
    }

    fn write_record(&mut self, payload: &[u8], sync: bool) -> io::Result<()> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let head = Head {
            kind: Kind::Marks,
            payload_bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            payload_crc: crc32fast::hash(payload),
            segment: segment.number,
            sequence: 0,
            watermark: self.watermark,
            batch_start: u32::try_from(segment.end).unwrap_or(u32::MAX),
            run: self.inner.slots.run,
        };
        let mut batch = Vec::new();
        push_record(&mut batch, &head, payload);
        if segment.end + batch.len() as u64 > self.inner.sizes.segment_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        segment.append(&batch, sync)
    }

    /// Writes the watermark down; then the slots below it are free.
    fn raise(&mut self, watermark: u64) {
        if watermark <= self.watermark {
            return;
        }
        let before = std::mem::replace(&mut self.watermark, watermark);
        if let Err(error) = self.write_record(&[], true) {
            self.complain(&error);
            self.watermark = before;
            return;
        }
        let mut ledger = lock(&self.inner.ledger);
        while let Some(live) = ledger.live.pop_front_if(|live| live.number < watermark) {
            ledger.free_slots.push_back(live.slot);
        }
        drop(ledger);
        // What the watermark itself stands in takes no more messages.
        self.segment.take_if(|segment| segment.number < watermark);
        self.inner.changed.notify_all();
    }

    fn seal(&mut self) {
        let Some(number) = self.segment.as_ref().map(|segment| segment.number) else { return };
        let mut ledger = lock(&self.inner.ledger);
        if let Some(live) = ledger.live.iter_mut().find(|live| live.number == number) {
            live.is_sealed = true;
        }
        drop(ledger);
        self.inner.changed.notify_all();
    }

    /// A segment with room for so many bytes.
    fn make_room(&mut self, bytes: u64) -> Result<(), Refusal> {
        let number = self.segment.as_ref().map(|segment| segment.number);
        let is_sealed = number.is_some_and(|number| {
            lock(&self.inner.ledger).live.iter().any(|live| live.number == number && live.is_sealed)
        });
        if self.segment.is_some() && !is_sealed && self.room() >= bytes {
            return Ok(());
        }
        self.seal();
        let slot = self.free_slot()?;
        self.begin(slot).map_err(|error| {
            lock(&self.inner.ledger).free_slots.push_back(slot);
            Refusal::Disk(error)
        })
    }

    /// A slot that nothing alive stands in. When all are in use, the checkpoint is made here and now: whoever fills the
    /// journal faster than mail can be delivered waits for it.
    fn free_slot(&mut self) -> Result<usize, Refusal> {
        for _ in 0..2 {
            if let Some(slot) = self.unused_slot()? {
                return Ok(slot);
            }
            let ready = lock(&self.inner.queue).watermark.take();
            let watermark = match (ready, self.spool.upgrade()) {
                (Some(watermark), _) => Some(watermark),
                (None, Some(spool)) => checkpoint::pass(self.inner, &spool, Duration::ZERO),
                (None, None) => None,
            };
            match watermark {
                Some(watermark) => self.raise(watermark),
                None => break,
            }
        }
        Err(Refusal::NoRoom)
    }

    fn unused_slot(&mut self) -> Result<Option<usize>, Refusal> {
        let slot = {
            let mut ledger = lock(&self.inner.ledger);
            let last = self.last_slot;
            if let Some(at) = ledger.free_slots.iter().position(|slot| Some(*slot) != last) {
                return Ok(ledger.free_slots.remove(at));
            }
            ledger.slots_made
        };
        let is_too_early = self.patience_until.is_some_and(|until| Instant::now() < until);
        if slot >= self.inner.sizes.segments_max || is_too_early {
            return Ok(None);
        }
        if let Err(error) = self.inner.slots.make(&self.inner.disk, slot) {
            self.patience_until = Some(Instant::now() + NEW_SLOT_PAUSE);
            return Err(Refusal::Disk(error));
        }
        lock(&self.inner.ledger).slots_made = slot + 1;
        Ok(Some(slot))
    }

    fn begin(&mut self, slot: usize) -> io::Result<()> {
        let number = lock(&self.inner.ledger).next_number;
        let segment = Segment::begin(&self.inner.disk, &self.inner.slots, slot, number)?;
        self.last_slot = Some(slot);
        self.segment = Some(segment);
        let mut ledger = lock(&self.inner.ledger);
        ledger.next_number += 1;
        ledger.live.push_back(Live {
            number,
            slot,
            begun: Instant::now(),
            is_sealed: false,
            waiting: Default::default(),
            delivered: Default::default(),
            directories: Default::default(),
        });
        drop(ledger);
        self.inner.changed.notify_all();
        Ok(())
    }
}

/// How often the same trouble is worth a line of the log. Ours.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// How long after a failure, mostly a full disk, no new slot is tried.
const NEW_SLOT_PAUSE: Duration = Duration::from_secs(5);

/// The same error for another listener.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
