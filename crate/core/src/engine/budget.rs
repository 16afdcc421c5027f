//! Bounds how far a walk may run ahead of the decisions.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use sparsync_proto::limits::{AWAITED_BYTES_MAX, ENTRY_BYTES, PATH_BYTES_MAX, XATTRS_BYTES_MAX};

use super::session::Session;
use crate::error::Result;

/// Entries that one side of a session holds at the most, unless a single directory has more: at about 100 bytes each
/// this is 30 MB.
pub(super) const ENTRIES_HELD_MAX: usize = 300_000;

/// Entries that a receiver leaves unanswered until the sender's walk ends, and that a sender allows it to. The sender's
/// number is higher, because the two ends may count a little differently.
pub(super) const PUT_OFF_MAX: usize = ENTRIES_HELD_MAX / 3;
pub(super) const STAYS_MAX: usize = ENTRIES_HELD_MAX / 2;

// A directory counts for itself, its path and its attributes: those that a sender holds, and one that comes to them
// whatever it takes, are no more than a receiver awaits.
const _: () = assert!(2 * ENTRIES_HELD_MAX * ENTRY_BYTES + PATH_BYTES_MAX + XATTRS_BYTES_MAX < AWAITED_BYTES_MAX);

/// How often a waiting thread looks whether its session still runs.
pub(super) const WAIT: Duration = Duration::from_millis(50);

/// Counts entries that are held.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<Shared>);

#[derive(Default)]
struct Shared {
    held: Mutex<usize>,
    freed: Condvar,
    /// While at most this many entries are held, further ones do not wait for room.
    stays: usize,
}

/// Entries that are held until this value is dropped.
pub(super) struct Permit {
    budget: Budget,
    entries: usize,
}

impl Budget {
    /// A budget in which `entries` may be held until the walk ends: the walk does not wait for those to be freed.
    pub(super) fn with_some_to_the_end(entries: usize) -> Self {
        Self(Arc::new(Shared { stays: entries, ..Shared::default() }))
    }

    /// The same without waiting.
    pub(super) fn try_acquire(&self, entries: usize) -> Option<Permit> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if *held > self.0.stays && *held + entries > ENTRIES_HELD_MAX {
            return None;
        }
        *held += entries;
        Some(Permit { budget: self.clone(), entries })
    }

    /// Waits until `entries` more may be held. A directory larger than the whole budget gets it alone.
    pub(super) fn acquire(&self, entries: usize, session: &Session) -> Result<Permit> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        while *held > self.0.stays && *held + entries > ENTRIES_HELD_MAX {
            session.check()?;
            held = self.0.freed.wait_timeout(held, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        *held += entries;
        Ok(Permit { budget: self.clone(), entries })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.budget.0.held.lock().unwrap_or_else(PoisonError::into_inner) -= self.entries;
        self.budget.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, ENTRIES_HELD_MAX, PUT_OFF_MAX, STAYS_MAX};

    #[test]
    fn what_is_held_to_the_end_keeps_no_directory_out() {
        for (budget, gets_in) in [(Budget::default(), false), (Budget::with_some_to_the_end(STAYS_MAX), true)] {
            let _held = budget.try_acquire(PUT_OFF_MAX).expect("room");
            assert_eq!(budget.try_acquire(ENTRIES_HELD_MAX).is_some(), gets_in);
        }
        let budget = Budget::with_some_to_the_end(STAYS_MAX);
        let _held = budget.try_acquire(STAYS_MAX + 1).expect("room");
        assert!(budget.try_acquire(ENTRIES_HELD_MAX).is_none(), "more than may be held to the end is waited for");
    }
}
