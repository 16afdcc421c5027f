//! How far a walk may run ahead of what is decided.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::session::Session;
use crate::error::Result;

/// Entries that one side of a session holds at the most, unless a single directory has more: at about 100 bytes each
/// this is 30 MB.
pub(super) const ENTRIES_HELD_MAX: usize = 300_000;

/// How often a waiting thread looks whether its session still runs.
pub(super) const WAIT: Duration = Duration::from_millis(50);

/// Counts entries that are held.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<Shared>);

#[derive(Default)]
struct Shared {
    held: Mutex<usize>,
    freed: Condvar,
}

/// Entries that are held until this value is dropped.
pub(super) struct Permit {
    budget: Budget,
    entries: usize,
}

impl Budget {
    /// The same without waiting.
    pub(super) fn try_acquire(&self, entries: usize) -> Option<Permit> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if *held > 0 && *held + entries > ENTRIES_HELD_MAX {
            return None;
        }
        *held += entries;
        Some(Permit { budget: self.clone(), entries })
    }

    /// Waits until `entries` more may be held. A directory larger than the whole budget gets it alone.
    pub(super) fn acquire(&self, entries: usize, session: &Session) -> Result<Permit> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        while *held > 0 && *held + entries > ENTRIES_HELD_MAX {
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
