//! Where a queued message stands: its file, its attempts, the next one, and what that will do.

use std::io::Read as _;
use std::sync::Arc;

use super::dialogue::on_disk;
use super::{Chapter, ExplainError, Explanation, Heading, NAMES_MAX, Outcome, Settings};
use super::{log, way};
use crate::delivery::{Message, OwnCommands};
use crate::filter::LOOKED_AT_BYTES_MAX;
use crate::mailroot::{Fact, Step};
use crate::message::auth_user;
use crate::spool::inspect::{Standing, find};
use crate::spool::schedule::Next;

pub(super) async fn explain(settings: &Settings, wanted: &str) -> Result<Vec<Explanation>, ExplainError> {
    let (root, name) = (settings.snapshot.root().clone(), wanted.to_owned());
    let found = on_disk(move |_| find(&root, &name)).await?.0?;
    let numbers: Vec<_> = found
        .iter()
        .map(|message| message.envelope.as_ref().map(|file| file.header.number.to_string()).ok())
        .collect();
    let is_one_message = numbers.windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1]);
    let is_exact = |message: &Standing| message.name.file_name() == wanted;
    if found.is_empty() {
        let (root, name) = (settings.snapshot.root().clone(), wanted.to_owned());
        let steps = on_disk(move |_| log::find(&root, &name)).await?.0;
        if !steps.is_empty() {
            let chapters = vec![Chapter { heading: Heading::Message(wanted.to_owned()), steps, reply: None }];
            return Ok(vec![Explanation { chapters, outcome: Outcome::Gone, destinations: Vec::new() }]);
        }
        return Err(ExplainError::NoSuchMessage(wanted.to_owned()));
    }
    if !is_one_message && !found.iter().any(is_exact) {
        let names = found.iter().take(NAMES_MAX).map(|message| message.name.file_name().to_owned());
        return Err(ExplainError::Ambiguous { wanted: wanted.to_owned(), names: names.collect() });
    }
    let mut explanations = Vec::new();
    let exact_only = found.iter().any(is_exact);
    for message in found.into_iter().filter(|message| !exact_only || is_exact(message)) {
        explanations.push(one(settings, message).await?);
    }
    Ok(explanations)
}

/// The beginning of a message, as far as rules look at it; `None` when it cannot be read. Blocks.
fn content(message: &Standing) -> Option<Arc<[u8]>> {
    let mut content = Vec::new();
    let data = message.envelope.as_ref().ok()?.data().ok()?;
    data.take(LOOKED_AT_BYTES_MAX as u64).read_to_end(&mut content).ok()?;
    Some(content.into())
}

async fn one(settings: &Settings, message: Standing) -> Result<Explanation, ExplainError> {
    let read = move |_: &mut Vec<Step>| {
        let content = content(&message);
        (message, content)
    };
    let (message, content) = on_disk(read).await?.0;
    let mut steps = Vec::new();
    let heading = Heading::Message(message.name.file_name().to_owned());
    let file = match &message.envelope {
        Ok(file) => file,
        Err(error) => {
            let outcome = Outcome::Unreadable(error.to_string());
            let chapters = vec![Chapter { heading, steps, reply: None }];
            return Ok(Explanation { chapters, outcome, destinations: Vec::new() });
        }
    };
    let queued = Fact::Queued {
        state: message.state,
        is_tried: !message.slog.1.attempts.is_empty(),
        number: file.header.number.to_string(),
        from: file.reverse_path.to_string(),
        to: file.forward_path.to_string(),
    };
    steps.push(Step::new(queued).by(&message.file, 0));
    for attempt in &message.slog.1.attempts {
        let fact = Fact::Attempt { unix_secs: attempt.unix_secs, error: attempt.error.clone() };
        steps.push(Step::new(fact).by(&message.slog.0, attempt.line));
    }
    let is_frozen = message.state == "froz";
    steps.extend(if is_frozen { Some(Step::new(Fact::Frozen)) } else { next(settings, &message) });
    let mut chapters = vec![Chapter { heading, steps, reply: None }];
    let envelope = Message {
        sender: file.reverse_path.clone(),
        recipient: file.forward_path.clone(),
        client: file.header.client().to_owned(),
        server: file.header.server().to_owned(),
        is_authenticated: auth_user(&message.head).is_some(),
        content,
    };
    let own = OwnCommands { cust: message.cust, mprc: message.mprc };
    let destinations = way::follow(settings, envelope, own, &mut chapters).await?;
    let outcome = if is_frozen { Outcome::Frozen } else { Outcome::Queued };
    Ok(Explanation { chapters, outcome, destinations })
}

/// When it is tried again, by the schedule of the options, should the attempt that it may be in fail for now; a message
/// without attempts is tried at once.
fn next(settings: &Settings, message: &Standing) -> Option<Step> {
    let attempts = &message.slog.1.attempts;
    let count = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
    let number = count.saturating_add(1);
    let wait = if count > 0 { settings.retry.wait_secs(count) } else { 0 };
    let last = attempts.last().map_or_else(|| settings.clock.unix_secs(), |attempt| attempt.unix_secs);
    let unix_secs = last.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX));
    Some(Step::new(match settings.retry.after(number) {
        Next::Expired => Fact::LastAttempt { unix_secs, number },
        Next::AfterSecs(_) => {
            Fact::NextAttempt { unix_secs, number, attempts_max: settings.retry.attempts_max }
        }
    }))
}
