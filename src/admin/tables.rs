//! How the tables stand, and looking at them now.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Admin;
use crate::mailroot::Snapshot;
use crate::mailroot::snapshot::{QUIET, TableState, TableStatus};

/// How long [`Reload::Wait`] waits for files that look half-written. Ours: many times [`QUIET`].
pub(super) const RELOAD_WAIT_MAX: Duration = Duration::from_secs(10);

/// How a look at the tables treats what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Half-written files are taken as they stand, unless they bring errors.
    Now,
    /// Half-written files are waited for, at most `RELOAD_WAIT_MAX`.
    Wait,
    /// Everything that can be read is taken.
    Force,
}

/// How all tables stand.
#[derive(Clone, Debug)]
pub struct TableReport {
    /// Of the tables in service.
    pub generation: u64,
    /// How long the server has been up.
    pub up: Duration,
    /// The root tables, then other files that are not in order.
    pub tables: Vec<TableStatus>,
}

impl TableReport {
    /// How many files hold a version that is not taken.
    pub fn kept(&self) -> usize {
        self.tables.iter().filter(|table| table.state.is_kept()).count()
    }
}

impl Admin {
    /// How the tables stand after a look at their files.
    pub fn table_report(&self) -> TableReport {
        let generation = self.tables.fresh().generation();
        TableReport { generation, up: self.tables.age(), tables: self.tables.status() }
    }

    /// The tables in service after a look at their files.
    pub fn serving_tables(&self) -> Arc<Snapshot> {
        self.tables.fresh()
    }

    /// Looks at all tables and returns how many files are not taken.
    pub fn reload_tables(&self, how: Reload) -> usize {
        match how {
            Reload::Now => drop(self.tables.reload_now()),
            Reload::Force => drop(self.tables.force()),
            Reload::Wait => self.wait_for_writers(),
        }
        self.table_report().kept()
    }

    fn wait_for_writers(&self) {
        let begun = Instant::now();
        let is_suspect = |table: &TableStatus| table.state == TableState::Suspect;
        while self.table_report().tables.iter().any(is_suspect) && begun.elapsed() < RELOAD_WAIT_MAX {
            thread::sleep(QUIET / 5);
        }
    }
}
