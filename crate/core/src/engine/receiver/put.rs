//! A tree that is made beside the place which it takes in the end.

use sparsync_proto::{Counter, Durability, IssueKind};

use super::Receiver;
use crate::error::{Error, Result};
use crate::storage::WriteStorage;

/// Puts the tree of a run in its place.
pub(crate) struct PutInPlace {
    /// Also one in which a path failed, or to which nothing had to be done.
    pub(crate) in_any_case: bool,
    /// Does it. Is told whether others may be removed for it: only where nothing is missing in it.
    pub(crate) put: Box<dyn Fn(bool) -> Result<PutOutcome> + Send + Sync>,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct PutOutcome {
    /// Why nothing took its place.
    pub(crate) refused: Option<Error>,
    /// What there is to tell of it.
    pub(crate) told: Vec<Told>,
}

/// Something that is told of what stands beside the tree.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) kind: IssueKind,
    /// Its path below the destination.
    pub(crate) path: Vec<u8>,
    pub(crate) message: &'static str,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Puts a tree in its place that was made beside that, if enough of it has come. Gives why not, where it looks like an accident.
    pub(super) fn put_in_place(&mut self, is_refused: bool) -> Result<Option<Error>> {
        const WHY: &str = "not published: not all of the tree has come, and what stood there stays";
        // A dry run makes no tree.
        let place = self.destination.aside.place.as_ref().filter(|place| self.changed || place.in_any_case);
        let Some(PutInPlace { in_any_case, put }) = place else { return Ok(None) };
        let has_failed = self.source_errors > 0 || self.session.get(Counter::files_failed) > 0;
        if is_refused || (has_failed && !in_any_case) {
            self.issue(IssueKind::Notice, Vec::new(), WHY)?;
            return Ok(None);
        }
        // What has its name is on disk, whatever else was asked for.
        if self.options.durability < Durability::Run {
            self.flush_to_disk()?;
        }
        let may_remove = !has_failed || self.options.deletion.ignore_errors;
        let PutOutcome { refused, told } = self.session.long_work(|| put(may_remove))?;
        for Told { kind, path, message } in told {
            self.issue(kind, path, message)?;
        }
        Ok(refused)
    }
}
