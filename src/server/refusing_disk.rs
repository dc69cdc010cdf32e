//! Every step to the disk refused, one after the other, in everything that takes, delivers or gives out mail.
//!
//! A case is run once to count the steps it makes. Then it is run for each of them with that step refused, alone or
//! with all that follow ("until there is room"), for each of three reasons. After the refusal: 4yz for mail that is not
//! ours, nothing half visible, everybody else is served; after its end: what was answered 250 has arrived once and
//! whole, what was answered 4yz is taken now; after a restart nothing comes again.

#![allow(clippy::print_stdout, reason = "how much was tried is worth a line")]

mod edits;
mod house;
mod letters;
mod peers;

use std::future::Future;
use std::pin::Pin;

use crate::mailbox::Kind;
use house::{House, Setup};
use letters::Letter;

/// ENOSPC, EIO, EROFS.
const REASONS: [i32; 3] = [28, 5, 30];

/// What a case does to a house; it arms the disk itself, when all is prepared.
type Act = for<'a> fn(&'a mut House) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Which step is refused, and what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// This one only.
    One,
    /// This one and all that follow, until the case is over.
    Lasting,
}

/// A case in one of its variants.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: usize,
    reason: i32,
    extent: Extent,
}

/// Runs a case for every step and reason.
#[track_caller]
fn check(name: &str, setup: Setup, act: Act) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let steps = runtime.block_on(run(name, setup, act, None));
    assert!(steps > 0, "{name}: no step was seen");
    let mut refusals = Vec::new();
    for at in 1..=steps {
        for reason in REASONS {
            for extent in [Extent::One, Extent::Lasting] {
                refusals.push(Refusal { at, reason, extent });
            }
        }
    }
    let count = refusals.len();
    let mut wrong = Vec::new();
    for refusal in refusals {
        let name = name.to_owned();
        let done = runtime.block_on(async { tokio::spawn(local(name, setup, act, refusal)).await });
        wrong.extend(done.is_err().then_some(refusal));
    }
    println!("{name}: {steps} steps, {count} refusals");
    assert!(wrong.is_empty(), "{name}: {} of {count} went wrong: {wrong:?}", wrong.len());
}

/// On a thread of its own, so that a failed assertion concerns this refusal only.
async fn local(name: String, setup: Setup, act: Act, refusal: Refusal) {
    let handle = tokio::runtime::Handle::current();
    let done =
        tokio::task::spawn_blocking(move || handle.block_on(run(&name, setup, act, Some(refusal)))).await;
    assert!(done.is_ok());
}

/// Returns how many steps there were.
async fn run(name: &str, setup: Setup, act: Act, refusal: Option<Refusal>) -> usize {
    let what = format!("{name} {refusal:?}");
    let mut house = House::open(setup, what, refusal).await;
    act(&mut house).await;
    house.settle().await;
    let steps = house.faults.disarm_after(refusal.map(|refusal| refusal.extent));
    house.check_nothing_half_visible();
    house.check_others_are_served().await;
    house.faults.disarm();
    house.check_recovery().await;
    house.check_arrived();
    let kills = refusal.is_some_and(|refusal| refusal.at % 2 == 0);
    house.restart(kills).await;
    house.finish_retries().await;
    house.check_nothing_half_visible();
    house.check_arrived();
    house.shut(false).await;
    steps
}

fn journaled() -> Setup {
    Setup { journal: true, kind: Kind::Maildir, delivers: true }
}

fn in_files() -> Setup {
    Setup { journal: false, ..journaled() }
}

fn smtp_intake(house: &mut House) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async move {
        house.faults.arm();
        house.send(Letter::new("intake", &["anna", "bert"])).await;
    })
}

#[test]
fn mail_by_smtp_through_the_journal() {
    check("smtp, journal", journaled(), smtp_intake);
}

#[test]
fn mail_by_smtp_through_spool_files() {
    check("smtp, files", in_files(), smtp_intake);
}

#[test]
fn mail_for_mailbox_directories() {
    check("smtp, mailbox directories", Setup { kind: Kind::Mailbox, ..in_files() }, smtp_intake);
}

#[test]
fn mail_too_large_for_the_memory() {
    check("smtp, large", journaled(), |house| {
        Box::pin(async move {
            house.faults.arm();
            house.send(Letter::new("large", &["anna"]).large()).await;
        })
    });
}

fn put_off(house: &mut House) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async move {
        house.faults.arm();
        house.send(Letter::new("late", &["later@far.test"])).await;
        house.settle().await;
        house.pass_time().await;
    })
}

#[test]
fn a_message_that_is_put_off() {
    check("retry, journal", journaled(), put_off);
}

#[test]
fn a_spool_file_that_is_put_off() {
    check("retry, files", in_files(), put_off);
}

fn returned(house: &mut House) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async move {
        house.faults.arm();
        house.send(Letter::new("sorry", &["refused@far.test"])).await;
    })
}

#[test]
fn a_message_that_is_frozen_and_its_notice() {
    check("bounce, journal", journaled(), returned);
}

#[test]
fn a_spool_file_that_is_frozen_and_its_notice() {
    check("bounce, files", in_files(), returned);
}

#[test]
fn copies_by_a_command_file() {
    check("mailproc", journaled(), |house| {
        Box::pin(async move {
            house.faults.arm();
            house.send(Letter::new("copy", &["copied"])).await;
        })
    });
}

/// The folder is made on the way. JD-56.
#[test]
fn mail_for_the_folder_of_junk() {
    for (name, setup) in [("junk, journal", journaled()), ("junk, files", in_files())] {
        check(name, setup, |house| {
            Box::pin(async move {
                house.make_junk();
                house.faults.arm();
                house.send(Letter::new("offer", &["junky"])).await;
                house.settle().await;
                house.send(Letter::new("more", &["junky"])).await;
            })
        });
    }
}

#[test]
fn the_end_of_the_journal() {
    let setup = Setup { delivers: false, ..journaled() };
    check("close", setup, |house| {
        Box::pin(async move {
            house.send(Letter::new("held", &["anna", "bert"])).await;
            house.faults.arm();
            house.try_restart(false).await;
        })
    });
}

#[test]
fn a_start_that_finds_a_journal() {
    let setup = Setup { delivers: false, ..journaled() };
    check("replay", setup, |house| {
        Box::pin(async move {
            house.send(Letter::new("held", &["anna", "bert"])).await;
            house.stop_serving().await;
            house.faults.arm();
            house.boot_at_last().await;
        })
    });
}

#[test]
fn mail_removed_by_pop3() {
    for (name, setup) in [("pop3, journal", journaled()), ("pop3, files", in_files())] {
        check(name, setup, |house| {
            Box::pin(async move {
                house.send(Letter::new("first", &["anna"])).await;
                house.send(Letter::new("second", &["anna"])).await;
                house.settle().await;
                house.faults.arm();
                house.take_by_pop3("first").await;
            })
        });
    }
}

/// The power fails before the mailbox is synced: only the journal has the message then.
#[test]
fn mail_that_could_not_be_removed_is_still_kept_by_the_journal() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let one = |at| async move {
        let refusal = Refusal { at, reason: REASONS[2], extent: Extent::One };
        let mut house = House::open(journaled(), format!("kept {at}"), Some(refusal)).await;
        house.send(Letter::new("first", &["anna"])).await;
        house.settle().await;
        house.faults.arm();
        house.take_by_pop3("first").await;
        house.faults.disarm();
        let is_left = house.forget_unsynced("anna");
        house.restart(true).await;
        house.finish_retries().await;
        if is_left {
            house.check_arrived();
        }
        is_left
    };
    let left = (1..=6).filter(|&at| runtime.block_on(one(at))).count();
    assert!(left >= 2, "neither the log-in nor the removal was refused");
}

#[test]
fn mail_dropped_by_programs() {
    for (name, setup) in [("pickup, journal", journaled()), ("pickup, files", in_files())] {
        check(name, setup, |house| {
            Box::pin(async move {
                house.drop_file(Letter::new("dropped", &["anna", "bert"]));
                house.faults.arm();
                house.pick_up().await;
                house.pick_up().await;
            })
        });
    }
}

#[test]
fn mail_fetched_from_elsewhere() {
    for (name, options) in [("psync", "CLR"), ("psync, leave", "CLR,Leave")] {
        let act: Act = match options {
            "CLR" => |house| Box::pin(async move { house.fetch("CLR").await }),
            _ => |house| Box::pin(async move { house.fetch("CLR,Leave").await }),
        };
        check(name, journaled(), act);
    }
}
