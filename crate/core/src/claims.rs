//! Keeps track of where the runs of one connection write at the server.
//!
//! The server cannot tell a run that goes on from one whose end was lost on the way: streams overtake each other. The
//! client knows. It asks for nothing that its own live runs are in the way of, so whatever of this connection is still
//! in the way at the server has ended at the client, and the server ends it too.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sparsync_proto::{Direction, RelPath, Request};

use crate::error::{Error, ErrorKind, Result};

/// The text by which a run of this connection is called in errors.
const HOLDER: &str = "another run of this connection";

/// How often a run that waits for another looks whether it was called off.
const WAIT_STEP: Duration = Duration::from_millis(50);

/// The claims of a connection's runs.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    live: Mutex<Vec<Arc<WritePlace>>>,
    released: Condvar,
}

/// Where a run writes.
#[derive(Debug)]
pub(crate) struct WritePlace {
    root: Vec<u8>,
    path: RelPath,
    /// The run writes one file there, beside other runs that do the same.
    single: bool,
}

/// A place that belongs to one run until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Arc<Claims>,
    place: Arc<WritePlace>,
}

impl WritePlace {
    /// The paths that `request` writes to at the server. A pull and a dry run write none.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let writes = request.direction == Direction::Push && !request.dry_run;
        let single = request.file_name.is_some();
        writes.then(|| Self { root: request.root.clone(), path: request.path.clone(), single })
    }

    /// The part of this run's claim that a new run has to wait for; none when it need not wait.
    pub(crate) fn is_in_the_way_of(&self, new: &Self) -> Option<&'static str> {
        if self.root != new.root || (self.single && new.single) {
            return None;
        }
        // A run of a tree writes below its path, others only at it.
        if self.path == new.path {
            Some("the destination")
        } else if !self.single && new.path.is_within(&self.path) {
            Some("a directory above the destination")
        } else if !new.single && self.path.is_within(&new.path) {
            Some("something in the destination")
        } else {
            None
        }
    }
}

impl Claims {
    fn live(&self) -> MutexGuard<'_, Vec<Arc<WritePlace>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims the destination of a push, waiting for as long as the request allows; the rest of that time is written
    /// into the request. A dry run claims nothing.
    ///
    /// Fails with [`ErrorKind::Busy`] when another run of the connection is still in the way, and with the error of
    /// `check` when the run was canceled.
    pub(crate) fn claim(
        self: &Arc<Self>,
        request: &mut Request,
        check: impl Fn() -> Result<()>,
    ) -> Result<Option<Claim>> {
        let Some(place) = WritePlace::of(request).map(Arc::new) else { return Ok(None) };
        let began = Instant::now();
        let wait = Duration::from_millis(request.lock_wait_ms);
        let mut live = self.live();
        while let Some(what) = live.iter().find_map(|other| other.is_in_the_way_of(&place)) {
            check()?;
            let left = wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Error::new(ErrorKind::Busy, format!("{what} is being written by {HOLDER}"))
                    .with("holder", HOLDER.to_owned()));
            }
            live = self.released.wait_timeout(live, left.min(WAIT_STEP)).unwrap_or_else(PoisonError::into_inner).0;
        }
        live.push(Arc::clone(&place));
        drop(live);
        let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        request.lock_wait_ms = request.lock_wait_ms.saturating_sub(waited);
        Ok(Some(Claim { claims: Arc::clone(self), place }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.live().retain(|place| !Arc::ptr_eq(place, &self.place));
        self.claims.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{RelPath, WritePlace};

    #[test]
    fn a_tree_is_in_the_way_of_what_it_holds_and_of_what_holds_it() {
        let place = |path: &str, single| WritePlace {
            root: b"r".to_vec(),
            path: RelPath::new(path.as_bytes()).unwrap(),
            single,
        };
        let verdict =
            |live: (&str, bool), new: (&str, bool)| place(live.0, live.1).is_in_the_way_of(&place(new.0, new.1));
        let (same, above, below) =
            (Some("the destination"), Some("a directory above the destination"), Some("something in the destination"));
        assert_eq!(verdict(("a", false), ("a", false)), same);
        assert_eq!(verdict(("a", false), ("a/b", false)), above);
        assert_eq!(verdict(("a/b", false), ("a", false)), below);
        assert_eq!(verdict(("a", false), ("b", false)), None);
        assert_eq!(verdict(("a/f", true), ("a/f", true)), None);
        assert_eq!(verdict(("a/f", true), ("a", false)), below);
        assert_eq!(verdict(("a", false), ("a/f", true)), above);
        assert_eq!(verdict(("a", true), ("a/b", false)), None);
        let elsewhere = WritePlace { root: b"other".to_vec(), ..place("a", false) };
        assert_eq!(elsewhere.is_in_the_way_of(&place("a", false)), None);
    }
}
