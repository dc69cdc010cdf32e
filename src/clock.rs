//! The only source of "now", and of dates as text.
//!
//! Two texts are made here (mailflow.md 1.3), both in local time:
//!
//! ```text
//! mail date   Mon, 3 Nov 2026 10:33:05 +0000     Received, Date, slog, greetings; the day is not padded
//! log date    2026-11-03 10:33:05                columns of the log files
//! ```
//!
//! The local zone is the variable `TZ`, else the system's, else UTC (a zone that cannot be found is UTC, as in libc).
//! Where XMail writes `-0000` for UTC we write `+0000` (decision 38); RFC 5322 3.3 gives `-0000` another meaning.
//! Tests hold the hands: [`Clock::manual`]. Deadlines of sessions are tokio's business, not this clock's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A clock that shows UTC instants and knows the local zone. Cheap to clone; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    hands: Hands,
    /// None: whatever the process' zone is at the time of asking.
    zone: Option<TimeZone>,
}

/// What moves the clock.
#[derive(Clone, Debug)]
enum Hands {
    System,
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The machine's clock, in the zone of `TZ` or of the system.
    pub fn system() -> Self {
        Self { hands: Hands::System, zone: None }
    }

    /// A clock that stands at `at`, in UTC, until [`Clock::advance`] or [`Clock::set`] moves it and all its clones.
    pub fn manual(at: Timestamp) -> Self {
        Self { hands: Hands::Manual(Arc::new(Mutex::new(at))), zone: Some(TimeZone::UTC) }
    }

    /// The same clock, read in `zone`.
    #[must_use]
    pub fn in_zone(self, zone: TimeZone) -> Self {
        Self { zone: Some(zone), ..self }
    }

    /// Moves a manual clock forward (it stops at the last instant jiff can express). The system's clock is not ours
    /// to move: there this does nothing.
    pub fn advance(&self, by: Duration) {
        if let Hands::Manual(at) = &self.hands {
            let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
            *at = at.saturating_add(by).unwrap_or(Timestamp::MAX);
        }
    }

    /// Sets a manual clock, forward or back; does nothing to the system's clock.
    pub fn set(&self, to: Timestamp) {
        if let Hands::Manual(at) = &self.hands {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        match &self.hands {
            Hands::System => Timestamp::now(),
            Hands::Manual(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Whole seconds since 1970-01-01 00:00 UTC, as in slog's `[PeekTime]`.
    pub fn unix_secs(&self) -> i64 {
        self.now().as_second()
    }

    /// Whole milliseconds since 1970-01-01 00:00 UTC, as in spool file names.
    pub fn unix_millis(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// The present instant in the local zone.
    pub fn zoned(&self) -> Zoned {
        self.zoned_of(self.now())
    }

    /// The present instant as a mail date: `Mon, 23 Nov 2026 10:33:05 +0000`.
    pub fn mail_date(&self) -> String {
        self.mail_date_of(self.now())
    }

    /// `at` as a mail date in the local zone (RFC 5322 3.3; mailflow.md 1.3; decision 38).
    pub fn mail_date_of(&self, at: Timestamp) -> String {
        self.zoned_of(at).strftime("%a, %-d %b %Y %H:%M:%S %z").to_string()
    }

    /// The present instant as a log date: `2026-11-23 10:33:05`, local, without the zone.
    pub fn log_date(&self) -> String {
        self.zoned().strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    fn zoned_of(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone().unwrap_or_else(TimeZone::system))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A POSIX zone string needs no zone files on the testing machine. `+0` is UTC written as a zone with rules.
    fn check(at: &str, zone: &str, mail_date: &str, log_date: &str) {
        let clock = Clock::manual(at.parse().unwrap()).in_zone(TimeZone::posix(zone).unwrap());
        assert_eq!(clock.mail_date(), mail_date, "{at} {zone}");
        assert_eq!(clock.log_date(), log_date, "{at} {zone}");
    }

    #[test]
    fn dates_are_written_as_the_recordings_show_them() {
        let (rome, new_york) = ("CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0");
        // The instants of golden smtp_tz_rome, smtp_tz_newyork and smtp_tz_kolkata.
        check("2026-11-23T10:37:00Z", rome, "Mon, 23 Nov 2026 11:37:00 +0100", "2026-11-23 11:37:00");
        check("2026-11-23T10:37:04Z", new_york, "Mon, 23 Nov 2026 05:37:04 -0500", "2026-11-23 05:37:04");
        check("2026-11-23T10:37:09Z", "IST-5:30", "Mon, 23 Nov 2026 16:07:09 +0530", "2026-11-23 16:07:09");
        // UTC (decision 38), summer time, a day of one digit, a zone less than an hour away (XMail: `-0030`).
        check("2026-11-23T10:33:05Z", "UTC0", "Mon, 23 Nov 2026 10:33:05 +0000", "2026-11-23 10:33:05");
        check("2026-07-01T22:30:00Z", rome, "Thu, 2 Jul 2026 00:30:00 +0200", "2026-07-02 00:30:00");
        check("2026-01-01T00:00:00Z", new_york, "Wed, 31 Dec 2025 19:00:00 -0500", "2025-12-31 19:00:00");
        check("2026-02-03T04:05:06Z", "XXX-0:30", "Tue, 3 Feb 2026 04:35:06 +0030", "2026-02-03 04:35:06");
    }

    #[test]
    fn manual_hands_move_all_clones() {
        let clock = Clock::manual(Timestamp::from_millisecond(1_795_430_220_282).unwrap());
        let other = clock.clone();
        assert_eq!((other.unix_secs(), other.unix_millis()), (1_795_430_220, 1_795_430_220_282));
        clock.advance(Duration::from_millis(800));
        assert_eq!((other.unix_secs(), other.unix_millis()), (1_795_430_221, 1_795_430_221_082));
        other.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.unix_secs(), 0);
        assert_eq!(clock.mail_date(), "Thu, 1 Jan 1970 00:00:00 +0000");
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }

    #[test]
    fn mail_date_of_another_instant_does_not_move_the_clock() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let other = clock.mail_date_of("2026-11-23T10:33:05Z".parse().unwrap());
        assert_eq!(other, "Mon, 23 Nov 2026 10:33:05 +0000");
        assert_eq!(clock.unix_secs(), 0);
    }

    #[test]
    fn the_system_clock_is_not_moved() {
        let clock = Clock::system();
        let before = Timestamp::now();
        clock.set(Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(1_000_000));
        let seen = clock.now();
        assert!(before <= seen && seen <= Timestamp::now());
    }
}
