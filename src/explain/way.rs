//! From the queue to where a message ends up, copies that enter the queue again included.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::dialogue::on_disk;
use super::{Chapter, Destination, ExplainError, Heading, Settings, Unfollowed};
use crate::delivery::{End, Message, OwnCommands, exchangers, plan};
use crate::dns::MxAnswer;
use crate::mailroot::trail::DnsQuestion;
use crate::mailroot::{Fact, Step};
use crate::policy::route::{HostList, Route};

/// Copies that are followed at most, so that a list of 10,000 members stays readable. Ours.
pub(super) const COPIES_FOLLOWED_MAX: usize = 25;

/// Follows a message; adds a chapter for it and for each copy.
pub(super) async fn follow(
    settings: &Settings,
    message: Message,
    own: OwnCommands,
    chapters: &mut Vec<Chapter>,
) -> Result<Vec<Destination>, ExplainError> {
    let mut destinations = Vec::new();
    let mut seen = HashSet::from([key(&message)]);
    let mut waiting = VecDeque::from([(message, own)]);
    let (mut copies, mut not_followed) = (0, 0);
    while let Some((message, own)) = waiting.pop_front() {
        if is_hidden(settings, &message) {
            let hidden = Unfollowed::NotTheirs(message.recipient.mailbox().to_string());
            destinations.push(Destination::NotFollowed(hidden));
            continue;
        }
        for end in attempt(settings, &message, own, chapters).await? {
            let destination = match end {
                End::Mailbox(account) => Destination::Mailbox(account.address()),
                End::Program(program) => Destination::Program(program),
                End::Remote(recipient, route) => {
                    let hosts = hosts(settings, route, chapters).await;
                    Destination::Remote { recipient: recipient.to_string(), hosts }
                }
                End::Returned(reason) => Destination::Returned(reason),
                End::Deleted => Destination::Deleted(message.recipient.to_string()),
                End::Nowhere => Destination::Nowhere(message.recipient.to_string()),
                End::New(sender, recipient) => {
                    let copy = Message { sender, recipient, ..message.clone() };
                    if !seen.insert(key(&copy)) {
                        Destination::NotFollowed(Unfollowed::Met(copy.recipient.to_string()))
                    } else if copies < COPIES_FOLLOWED_MAX {
                        copies += 1;
                        waiting.push_back((copy, OwnCommands::default()));
                        continue;
                    } else {
                        not_followed += 1;
                        continue;
                    }
                }
            };
            if !destinations.contains(&destination) {
                destinations.push(destination);
            }
        }
    }
    if not_followed > 0 {
        destinations.push(Destination::NotFollowed(Unfollowed::More(not_followed)));
    }
    Ok(destinations)
}

/// Whether who asks may not know what becomes of this copy.
fn is_hidden(settings: &Settings, message: &Message) -> bool {
    let within = settings.within.as_ref();
    within.is_some_and(|within| within.is_foreign_path(&settings.snapshot, &message.recipient))
}

fn key(message: &Message) -> String {
    message.recipient.to_string().to_ascii_lowercase()
}

async fn attempt(
    settings: &Settings,
    message: &Message,
    own: OwnCommands,
    chapters: &mut Vec<Chapter>,
) -> Result<Vec<End>, ExplainError> {
    let (snapshot, mailboxes) = (Arc::clone(&settings.snapshot), settings.mailboxes.clone());
    let planned = message.clone();
    let (ends, steps) = on_disk(move |trail| plan(&snapshot, &mailboxes, &planned, &own, trail)).await?;
    let heading = Heading::Delivery { from: message.sender.to_string(), to: message.recipient.to_string() };
    let mut chapter = Chapter { heading, steps: Vec::new(), reply: None };
    chapter.extend(steps);
    chapters.push(chapter);
    Ok(ends)
}

/// The hosts of a route; asks the DNS where it leads there.
async fn hosts(settings: &Settings, route: Route, chapters: &mut [Chapter]) -> Vec<String> {
    let (domain, options) = match route {
        Route::Hosts(list) => return names(&list),
        Route::Exchangers { domain, options } => (domain, options),
    };
    let (fact, hosts) = match &settings.resolver {
        None => (Fact::NotAsked(DnsQuestion::ExchangersOf(domain)), Vec::new()),
        Some(resolver) => match exchangers(resolver, &domain, options).await {
            Ok(list) => (Fact::ExchangersFound { hosts: names(&list) }, names(&list)),
            Err(MxAnswer::Temporary(failure)) => (Fact::DnsSilent { reason: failure.text }, Vec::new()),
            Err(_) => (Fact::NoExchanger { domain }, Vec::new()),
        },
    };
    if let Some(chapter) = chapters.last_mut() {
        chapter.steps.push(Step::new(fact));
    }
    hosts
}

fn names(list: &HostList) -> Vec<String> {
    list.hosts.iter().map(|host| host.label.clone()).collect()
}
