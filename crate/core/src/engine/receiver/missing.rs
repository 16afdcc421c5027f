//! Deletes what missing sources would be at the destination.

use std::collections::HashSet;

use sparsync_proto::{At, End, IssueKind, Kind, RelPath};

use super::{Extra, Receiver};
use crate::error::{Error, Result};
use crate::storage::{Access, Directory, WriteStorage, is_empty};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Adds the paths of missing sources to the entries that are deleted.
    pub(super) fn add_missing(&mut self) -> Result<()> {
        if self.options.writes.missing.is_empty() {
            return Ok(());
        }
        let known: HashSet<RelPath> = self.extras.iter().map(|extra| extra.path.clone()).collect();
        for path in self.options.writes.missing.iter() {
            if !path.up().any(|at| known.contains(&at))
                && let Some(extra) = self.missing(path)?
            {
                self.extras.push(extra);
            }
        }
        Ok(())
    }

    /// The destination's entry at the path of a missing source, if it may be deleted.
    fn missing(&mut self, path: RelPath) -> Result<Option<Extra>> {
        const FULL: &str = "the directory is not deleted: it is not empty; delete or force removes it";
        const PROTECTED: &str = "it is not deleted: a rule protects it";
        let (Some(root), Some((parent, name))) = (&self.destination.root, path.split_last()) else { return Ok(None) };
        let Ok(directory) = root.open(&parent, Access::Reach) else { return Ok(None) };
        let Ok(found) = directory.status(name.as_bytes()) else { return Ok(None) };
        let judge = &self.options.judge;
        if judge.hides_path(&path, found.kind) {
            return Ok(None);
        }
        let in_force = judge.in_force_in(root, &parent).map_err(|error| Error::bad_rules(&error))?;
        let decider = judge.matcher.decider(&At::new(&parent, &in_force), name.as_bytes(), found.kind, End::Receiver);
        if decider.is_some_and(|decider| !decider.include) {
            self.issue(IssueKind::Notice, path.into_bytes(), PROTECTED)?;
            return Ok(None);
        }
        let is_directory = found.kind == Kind::Directory;
        let may_be_full = self.options.deletion.delete || self.options.deletion.force;
        let holds_nothing = || root.open(&path, Access::Read).and_then(|directory| is_empty(&directory));
        if is_directory && !may_be_full && !holds_nothing().unwrap_or(false) {
            self.issue(IssueKind::Notice, path.into_bytes(), FULL)?;
            return Ok(None);
        }
        let count = self.entries_of(root, &path);
        self.guard.unseen(count);
        Ok(Some(Extra { path, is_directory, in_force }))
    }
}
