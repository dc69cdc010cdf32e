//! Work on many files by several threads: a disk answers several questions sooner than one after the other.

use std::panic::resume_unwind;
use std::thread;

/// Threads that work for one command, its own included. Ours: enough to keep a disk busy.
const THREADS_MAX: usize = 4;

/// Does work that takes its share by itself, on as many threads as there are `files_each` for, and gives what came of each.
pub(super) fn several<T: Send>(files: usize, files_each: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let threads = (files / files_each).clamp(1, THREADS_MAX);
    thread::scope(|scope| {
        // Where there are no threads to be had, fewer do.
        let others: Vec<_> = (1..threads)
            .filter_map(|_| {
                thread::Builder::new().name("mail files".to_owned()).spawn_scoped(scope, &work).ok()
            })
            .collect();
        let mut done = vec![work()];
        done.extend(
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))),
        );
        done
    })
}
