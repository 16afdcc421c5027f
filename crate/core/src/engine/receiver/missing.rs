//! What the sources that are not there would be at the destination, and is deleted for that.

use std::collections::HashSet;

use sparsync_proto::{At, End, InForce, IssueKind, Kind, RelPath};

use super::{Extra, Receiver};
use crate::error::{Error, Result};
use crate::storage::{Access, Directory, Removal, WriteStorage, is_empty, remove_tree};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Adds what the missing sources would be to what is deleted.
    pub(super) fn add_missing(&mut self) -> Result<()> {
        let known: HashSet<RelPath> = self.extras.iter().map(|extra| extra.path.clone()).collect();
        for path in self.options.writes.missing.iter() {
            let mut above = path.clone();
            while !known.contains(&above)
                && let Some((parent, _)) = above.split_last()
            {
                above = parent;
            }
            if !known.contains(&above)
                && let Some(extra) = self.missing(path)?
            {
                self.extras.push(extra);
            }
        }
        Ok(())
    }

    /// What stands at the path of a missing source, where it may be deleted.
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
        let in_force = self.rules_in(&parent)?;
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
        let mut counted = Removal { dry_run: true, widened: self.widened(), ..Removal::default() };
        // What cannot be looked at is not removed either.
        let _ = remove_tree(root, &path, &mut counted);
        let count = counted.files + counted.directories;
        drop(counted);
        self.guard.unseen(count);
        Ok(Some(Extra { path, is_directory, in_force }))
    }

    /// The rules that are in force in the destination's directory at `path`.
    fn rules_in(&self, path: &RelPath) -> Result<InForce> {
        let judge = &self.options.judge;
        let mut in_force = judge.above().clone();
        let Some(root) = self.destination.root.as_ref().filter(|_| judge.matcher.ends_differ()) else {
            return Ok(in_force);
        };
        let mut at = RelPath::root();
        let mut names = path.components();
        loop {
            if let Ok(directory) = root.open(&at, Access::Reach) {
                let entered = judge.enter(&directory, &at, &in_force, &mut Vec::new());
                in_force = entered.map_err(|error| Error::bad_rules(&error))?;
            }
            match names.next() {
                Some(name) => at = at.join(name),
                None => return Ok(in_force),
            }
        }
    }
}
