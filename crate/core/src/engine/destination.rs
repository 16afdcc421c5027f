//! The destination's own walk, which runs ahead of the comparison.

use std::sync::{Mutex, PoisonError, mpsc};

use sparsync_proto::{Counter, InForce, Phase, RelPath};

use super::budget::{Budget, Permit};
use super::session::Session;
use super::steps::Steps;
use crate::error::{Error, Result};
use crate::storage::{
    CallError, Scan, ScanBuffers, ScanOptions, Walk, WalkItem, Widened, WriteStorage, look_at, scan_directory,
};

/// A directory of the destination, or one that could not be listed.
pub(super) enum Found {
    /// It was listed.
    Listed(Box<Scan>),
    /// It was not.
    Failed(RelPath, CallError),
}

impl Found {
    /// Where it is.
    pub(super) fn path(&self) -> &RelPath {
        match self {
            Self::Listed(scan) => &scan.path,
            Self::Failed(path, _) => path,
        }
    }
}

/// How far the comparison has come: directories before it need not be walked when nothing is deleted.
#[derive(Default)]
pub(super) struct LowWaterMark(Mutex<Option<RelPath>>);

impl LowWaterMark {
    fn take(&self) -> Option<RelPath> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Moves on to `path`.
    pub(super) fn raise(&self, path: &RelPath) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.clone());
    }
}

type Sent = (Found, Option<Permit>);

/// What is walked.
pub(super) struct DestinationWalk<'a, S: WriteStorage> {
    /// The destination.
    pub(super) root: &'a S,
    /// Makes directories of the process's own user listable for the walk; none in a dry run.
    pub(super) widened: Option<&'a Widened<'a, S>>,
    /// Only this name of it.
    pub(super) single: Option<&'a [u8]>,
    /// What is looked at.
    pub(super) options: ScanOptions<'a>,
    /// Whether sub-directories are walked.
    pub(super) recursive: bool,
}

/// Walks the destination into a channel.
pub(super) fn walk_destination(
    session: &Session,
    what: &DestinationWalk<'_, impl WriteStorage>,
    low_water_mark: &LowWaterMark,
    budget: &Budget,
    to: &mpsc::Sender<Sent>,
) -> Result<()> {
    let mut clock = session.clock("walk", Phase::walk);
    if let Some(name) = what.single {
        // Whether a single file belongs to the run depends on its name in the source, which may be another than its
        // name here.
        let ScanOptions { attributes, judge, sums, .. } = what.options;
        let scan = look_at(what.root, &RelPath::root(), std::iter::once(name), (attributes, judge, sums))
            .map_err(|error| Error::io("cannot look at the destination", name, error.into()))?;
        let _ = to.send((Found::Listed(Box::new(scan)), None));
        return Ok(());
    }
    let mut buffers = ScanBuffers::default();
    let list = |path: &RelPath, above: &InForce| match what.widened {
        Some(widened) => widened.list(path, above, &what.options, &mut buffers),
        None => scan_directory(what.root, path, above, &what.options, &mut buffers),
    };
    let mut walk = Walk::new(list, what.options, what.recursive);
    let mut steps = Steps::new(session, what.options.attributes.compares_content());
    loop {
        if let Some(low_water_mark) = low_water_mark.take() {
            walk.skip_before(&low_water_mark);
        }
        session.check()?;
        let Some(item) = steps.take(|| walk.next()) else { return Ok(()) };
        let sent = match item {
            WalkItem::Listed(mut scan) => {
                if let Some(error) = scan.bad_rules.take() {
                    return Err(Error::bad_rules(&error));
                }
                session.worked(1);
                let weight = scan.weight();
                let permit = clock.during(Phase::wait_budget, || budget.acquire(weight, session))?;
                (Found::Listed(scan), Some(permit))
            }
            WalkItem::Failed(path, error) => (Found::Failed(path, error), None),
        };
        if to.send(sent).is_err() {
            return Ok(());
        }
    }
}

/// The walk of the destination as the comparison reads it: one directory ahead. Directories to be replayed come first.
pub(super) struct DestinationStream {
    from: mpsc::Receiver<Sent>,
    replay: std::collections::VecDeque<Found>,
    ended: bool,
}

impl DestinationStream {
    pub(super) fn new(from: mpsc::Receiver<Sent>) -> Self {
        Self { from, replay: std::collections::VecDeque::new(), ended: false }
    }

    fn receive(&mut self, session: &Session) -> Result<Option<Found>> {
        if self.ended {
            return Ok(None);
        }
        if let Ok((found, _permit)) = self.from.recv() {
            if let Found::Listed(scan) = &found {
                session.count(Counter::entries_destination, scan.listing.len() as u64);
            }
            Ok(Some(found))
        } else {
            self.ended = true;
            // The walk's thread ends without a word only when the run has failed.
            session.check()?;
            Ok(None)
        }
    }

    /// The next directory, which stays the next one.
    pub(super) fn peek(&mut self, session: &Session) -> Result<Option<&Found>> {
        if self.replay.is_empty()
            && let Some(found) = self.receive(session)?
        {
            self.replay.push_back(found);
        }
        Ok(self.replay.front())
    }

    /// Takes the next directory.
    pub(super) fn next(&mut self, session: &Session) -> Result<Option<Found>> {
        self.peek(session)?;
        Ok(self.replay.pop_front())
    }

    /// All directories that are left, if their entries fit `entries_max`. They can be read again afterwards in any
    /// case.
    pub(super) fn read_all(
        &mut self,
        entries_max: usize,
        session: &Session,
    ) -> Result<Option<impl Iterator<Item = &Found>>> {
        let mut entries = 0;
        while let Some(found) = self.receive(session)? {
            if let Found::Listed(scan) = &found {
                entries += scan.listing.len();
            }
            self.replay.push_back(found);
            if entries > entries_max {
                return Ok(None);
            }
        }
        Ok(Some(self.replay.iter()))
    }
}
