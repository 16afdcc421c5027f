//! Moves a tree that was made beside the destination into its place.

use sparsync_proto::{Counter, Durability, IssueKind};

use super::Receiver;
use crate::error::{Error, Result};
use crate::storage::WriteStorage;

/// Puts the tree of a run in its place.
pub(crate) struct PutInPlace {
    /// Also a tree in which a path failed, or in which nothing had to be done.
    pub(crate) in_any_case: bool,
    /// Puts the tree in place. The flag says whether other trees may be removed for it: only where nothing is missing
    /// in it.
    pub(crate) put: Box<dyn Fn(bool) -> Result<PutOutcome> + Send + Sync>,
}

/// The result of putting a tree in place.
#[derive(Default)]
pub(crate) struct PutOutcome {
    /// Why nothing took its place.
    pub(crate) refused: Option<Error>,
    /// The issues to be told.
    pub(crate) told: Vec<Told>,
}

/// An issue about an entry beside the tree.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) kind: IssueKind,
    /// Its path below the destination.
    pub(crate) path: Vec<u8>,
    pub(crate) message: &'static str,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Puts a tree that was made beside its place there, if enough of it has come. Gives an error if the missing part
    /// looks like an accident.
    pub(super) fn put_in_place(&mut self, is_refused: bool) -> Result<Option<Error>> {
        const WHY: &str = "not published: the tree is not complete, and the old one stays";
        // A dry run makes no tree.
        let place = self.destination.aside.place.as_ref().filter(|place| self.changed || place.in_any_case);
        let Some(PutInPlace { in_any_case, put }) = place else { return Ok(None) };
        let has_failed = self.source_errors > 0 || self.session.get(Counter::files_failed) > 0;
        if is_refused || (has_failed && !in_any_case) {
            self.issue(IssueKind::Notice, Vec::new(), WHY)?;
            return Ok(None);
        }
        // The tree must be on disk before it gets its name, whatever durability was asked for.
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
