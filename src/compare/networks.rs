//! What peers may do, network by network.
//!
//! The addresses are cut at every beginning and end of a network that a row of either side names. Between two cuts all
//! addresses are treated alike, so one of each piece is asked for; neighbours with the same change become one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::addresses::with_rows;
use super::{Change, Side, Subject};
use crate::mailroot::access::{AddressFilter, IpMap};
use crate::mailroot::{Citation, Loaded, Snapshot, Trail};
use crate::policy::Standing;
use crate::policy::connection::properties;

pub(super) fn compare(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = pieces(old, new, smtp_filters, smtp_side, Subject::SmtpPeers);
    changes.extend(pieces(old, new, relay_filters, relay_side, Subject::RelayPeers));
    changes.extend(other_service(old, new, "pop3.ipmap.tab", |snapshot| &snapshot.pop3_ipmap));
    changes.extend(other_service(old, new, "imap.ipmap.tab", |snapshot| &snapshot.imap_ipmap));
    changes.extend(other_service(old, new, "ctrl.ipmap.tab", |snapshot| &snapshot.ctrl_ipmap));
    changes.extend(other_service(old, new, "finger.ipmap.tab", |snapshot| &snapshot.finger_ipmap));
    changes
}

fn smtp_filters(snapshot: &Snapshot) -> Vec<AddressFilter> {
    let maps = snapshot.smtp_ipmap.rows().iter().map(|row| row.filter);
    let spammers = snapshot.spammers.rows().iter().map(|row| row.filter);
    let properties = snapshot.ip_properties.rows().iter().map(|row| row.peers);
    maps.chain(spammers).chain(properties).collect()
}

/// What `smtp.ipmap.tab`, `spammers.tab` and `smtp.ipprop.tab` say together; a name is not known here.
fn smtp_facts(snapshot: &Snapshot, peer: IpAddr, trail: &mut impl Trail) -> Vec<String> {
    let found = properties(snapshot, peer, Some(""), trail)
        .and_then(|properties| Standing::by_address(snapshot, peer, properties, trail));
    let standing = match found {
        Err(refusal) => return vec![format!("refused ({refusal:?})")],
        Ok(standing) => standing,
    };
    let mut facts = Vec::new();
    let properties = standing.properties;
    let marked = standing.marks.ip_map || standing.marks.spammer;
    let all = [
        (marked, "marked".to_owned()),
        (!standing.delay.is_zero(), format!("delayed by {} s", standing.delay.as_secs())),
        (properties.white_list, "WhiteList".to_owned()),
        (properties.no_auth, "NoAuth".to_owned()),
        (properties.skip_sender_domain_check, "SenderDomainCheck=0".to_owned()),
        (properties.ease_tls, "EaseTLS".to_owned()),
        (properties.enable_vrfy, "EnableVRFY".to_owned()),
        (properties.enable_etrn, "EnableETRN".to_owned()),
    ];
    facts.extend(all.into_iter().filter(|(is, _)| *is).map(|(_, fact)| fact));
    if facts.is_empty() {
        facts.push("served".to_owned());
    }
    facts
}

fn smtp_side(snapshot: &Snapshot, peer: IpAddr, with_reasons: bool) -> Side {
    match with_reasons {
        true => with_rows(|trail| smtp_facts(snapshot, peer, trail)),
        false => Side { facts: smtp_facts(snapshot, peer, &mut ()), ..Side::default() },
    }
}

fn relay_filters(snapshot: &Snapshot) -> Vec<AddressFilter> {
    snapshot.smtp_relay.rows().iter().map(|row| row.filter).collect()
}

fn relay_side(snapshot: &Snapshot, peer: IpAddr, _: bool) -> Side {
    match snapshot.smtp_relay.matching(peer) {
        Some(row) => {
            let rows = vec![Citation::new("smtprelay.tab", row.line)];
            Side { facts: vec!["may relay".to_owned()], rows, ..Side::default() }
        }
        None => Side::default(),
    }
}

fn other_service(
    old: &Snapshot,
    new: &Snapshot,
    table: &'static str,
    map: fn(&Snapshot) -> &Loaded<IpMap>,
) -> Vec<Change> {
    let filters = |snapshot: &Snapshot| map(snapshot).rows().iter().map(|row| row.filter).collect();
    let side = |snapshot: &Snapshot, peer: IpAddr, _: bool| {
        let verdict = map(snapshot).verdict(peer);
        let fact = if verdict.allowed { "may connect" } else { "may not connect" };
        let row = verdict.row.map(|row| Citation::new(table, row.line));
        Side { facts: vec![fact.to_owned()], rows: row.into_iter().collect(), ..Side::default() }
    };
    pieces(old, new, filters, side, move |range| Subject::Peers(table, range))
}

/// Asks both sides about one address of each piece.
fn pieces(
    old: &Snapshot,
    new: &Snapshot,
    filters: impl Fn(&Snapshot) -> Vec<AddressFilter>,
    side: impl Fn(&Snapshot, IpAddr, bool) -> Side,
    subject: impl Fn(String) -> Subject,
) -> Vec<Change> {
    let ranges: Vec<_> = filters(old).into_iter().chain(filters(new)).map(AddressFilter::range).collect();
    let mut changes: Vec<(IpAddr, IpAddr, Change)> = Vec::new();
    for (first, last) in cut(&ranges) {
        let (before, after) = (side(old, first, false), side(new, first, false));
        if before.facts == after.facts {
            continue;
        }
        let (before, after) = (side(old, first, true), side(new, first, true));
        match changes.last_mut() {
            Some((_, end, change))
                if next(*end) == Some(first) && (&change.old, &change.new) == (&before, &after) =>
            {
                *end = last;
            }
            _ => {
                let change = Change { subject: subject(String::new()), old: before, new: after };
                changes.push((first, last, change));
            }
        }
    }
    let named = |(first, last, change)| Change { subject: subject(shown(first, last)), ..change };
    changes.into_iter().map(named).collect()
}

fn shown(first: IpAddr, last: IpAddr) -> String {
    if first == last { first.to_string() } else { format!("{first} - {last}") }
}

/// The pieces of both address families between all beginnings and ends.
fn cut(ranges: &[(IpAddr, IpAddr)]) -> Vec<(IpAddr, IpAddr)> {
    let mut starts = BTreeSet::from([IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]);
    for (first, last) in ranges {
        starts.insert(*first);
        starts.extend(next(*last));
    }
    let starts: Vec<IpAddr> = starts.into_iter().collect();
    let end = |index: usize, start: &IpAddr| match starts.get(index + 1) {
        Some(following) if following.is_ipv4() == start.is_ipv4() => previous(*following),
        _ => greatest(*start),
    };
    starts.iter().enumerate().map(|(index, start)| (*start, end(index, start))).collect()
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => u32::from(address).checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(address) => u128::from(address).checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

fn previous(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(u32::from(address).saturating_sub(1).into()),
        IpAddr::V6(address) => IpAddr::V6(u128::from(address).saturating_sub(1).into()),
    }
}

fn greatest(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::V6(_) => IpAddr::V6(u128::MAX.into()),
    }
}
