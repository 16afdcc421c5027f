//! What only the destination has is removed, once the source is known in full.

use std::os::fd::AsFd;
use std::sync::PoisonError;

use rustix::io::Errno;
use sparsync_proto::{Action, Counter, Issue, IssueKind, Item, Kind, Reasons, RelPath};

use super::Receiver;
use crate::engine::writer::Replacement;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Displaced, Removal, holds_protected, put_in_place, remove_temp, remove_tree};
use crate::storage::Access;

/// Why a directory stays where something else should take its place.
pub(super) const PROTECTED: &str = "a directory stands in its place, and holds what is left out of the run";

/// Why a directory stays that the source does not have.
const KEPT: &str = "the directory is not deleted: it holds what is left out of the run";

impl Receiver<'_> {
    /// Deletes what only the destination has, once the source is known in full.
    pub(super) fn delete(&mut self) -> Result<Option<Error>> {
        let mut replacements = self
            .writing
            .map(|writing| std::mem::take(&mut *writing.replacements.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default();
        let mut refused = None;
        if self.options.deletion.delete {
            if self.source_errors > 0 {
                self.extras.clear();
                self.options.report.issue(Issue {
                    kind: IssueKind::Notice,
                    path: Vec::new(),
                    message: "the source could not be read in full, so nothing was deleted".to_owned(),
                    old_kept: true,
                })?;
            } else if !self.options.deletion.allow_mass {
                refused = self.guard.verdict();
            }
        }
        // What takes the place of a directory deletes it, and so waits for the same conditions.
        if refused.is_some() || self.source_errors > 0 {
            self.extras.clear();
            for replacement in replacements.drain(..) {
                self.withdraw(&replacement, "a directory stands in its place, and nothing is deleted in this run")?;
            }
            return Ok(refused);
        }
        let mut removed = 0;
        for replacement in replacements {
            if self.holds_protected(&replacement.directory.join_bytes(&replacement.name)) {
                self.withdraw(&replacement, PROTECTED)?;
            } else if self.exceeds_limit(&replacement, removed) {
                self.withdraw(&replacement, "a directory stands in its place, and no more may be deleted in this run")?;
            } else {
                removed += self.replace_directory(&replacement)?;
            }
        }
        self.remove_extras(removed)
    }

    /// Whether something in the destination's directory at `path` is left out of the run.
    pub(super) fn holds_protected(&self, path: &[u8]) -> bool {
        match (&self.destination.root, RelPath::new(path)) {
            (Some(root), Ok(path)) => holds_protected(root, &path, &*self.options.matcher),
            (None, _) | (_, Err(_)) => false,
        }
    }

    /// Whether removing the directory that an entry takes the place of goes beyond the limit on deletions.
    fn exceeds_limit(&self, replacement: &Replacement, removed: u64) -> bool {
        let (Some(max), Some(root)) = (self.options.deletion.max, &self.destination.root) else { return false };
        let Ok(path) = RelPath::new(&replacement.directory.join_bytes(&replacement.name)) else { return true };
        let mut counted = Removal { dry_run: true, ..Removal::default() };
        let _ = remove_tree(root, &path, &mut counted);
        removed + counted.files + counted.directories > max
    }

    fn remove_extras(&mut self, removed: u64) -> Result<Option<Error>> {
        let extras = std::mem::take(&mut self.extras);
        let Some(root) = self.destination.root.as_ref().filter(|_| !extras.is_empty()) else { return Ok(None) };
        self.changed |= !self.options.dry_run;
        let (session, options) = (self.session, self.options);
        let mut told = Ok(());
        let mut on_removed = |path: &[u8], kind: Kind| {
            let counter = if kind == Kind::Directory { Counter::directories_deleted } else { Counter::files_deleted };
            session.count(counter, 1);
            if options.itemize && told.is_ok() {
                let item = Item { action: Action::Delete, kind, reasons: Reasons::EXTRA, size: 0, path: path.to_vec() };
                told = options.report.item(item, session);
            }
        };
        let stop = || session.is_over();
        let mut removal = Removal {
            dry_run: options.dry_run,
            matcher: Some(&*options.matcher),
            max: options.deletion.max.map(|max| max.saturating_sub(removed)),
            on_removed: Some(&mut on_removed),
            stop: Some(&stop),
            widened: self.writing.map(|writing| writing.widened),
            ..Removal::default()
        };
        let mut kept = Vec::new();
        for path in &extras {
            let protected = removal.protected;
            if let Err(error) = remove_tree(root, path, &mut removal) {
                removal.failed.push((path.as_bytes().to_vec(), error));
            }
            if removal.protected > protected {
                kept.push(path);
            }
        }
        let (failed, limit_reached) = (std::mem::take(&mut removal.failed), removal.limit_reached);
        drop(removal);
        told?;
        for path in kept {
            self.issue(IssueKind::Notice, path.as_bytes().to_vec(), KEPT)?;
        }
        for (path, error) in failed {
            self.issue(IssueKind::Delete, path, &format!("cannot delete: {}", std::io::Error::from(error)))?;
        }
        self.session.check()?;
        Ok(limit_reached.then(|| {
            Error::new(
                ErrorKind::MaxDelete,
                format!(
                    "the limit of {} deletions was reached; the rest was not deleted",
                    self.options.deletion.max.unwrap_or(0)
                ),
            )
        }))
    }

    /// Puts an entry in the place of a directory, and removes the directory.
    fn replace_directory(&mut self, replacement: &Replacement) -> Result<u64> {
        let full = replacement.directory.join_bytes(&replacement.name);
        let Some(root) = &self.destination.root else { return Ok(0) };
        let outcome = root.open_directory(&replacement.directory, Access::Reach).and_then(|directory| {
            self.session.check().map_err(|_| Errno::CANCELED)?;
            put_in_place(directory.as_fd(), &replacement.temp_name, &replacement.name)
        });
        match outcome {
            Ok(Displaced::Gone) => Ok(0),
            Ok(Displaced::Directory) => {
                let Ok(displaced) = RelPath::new(&replacement.directory.join_bytes(&replacement.temp_name)) else {
                    return Err(Error::internal("a temporary name that is no path"));
                };
                let widened = self.writing.map(|writing| writing.widened);
                let mut removal = Removal { widened, ..Removal::default() };
                remove_tree(root, &displaced, &mut removal)
                    .map_err(|error| Error::io("cannot remove the directory", &full, error.into()))?;
                self.session.count(Counter::files_deleted, removal.files);
                self.session.count(Counter::directories_deleted, removal.directories);
                self.session.count(replacement.counter, 1);
                self.failures().attributes(|| full, &replacement.unset)?;
                Ok(removal.files + removal.directories)
            }
            Err(error) => self.fail(full, "cannot put it in place of the directory", error).map(|()| 0),
        }
    }

    /// Gives up what would have taken the place of a directory.
    fn withdraw(&mut self, replacement: &Replacement, why: &str) -> Result<()> {
        if let Some(root) = &self.destination.root
            && let Ok(directory) = root.open_directory(&replacement.directory, Access::Reach)
        {
            remove_temp(&directory, &replacement.temp_name);
        }
        self.issue(IssueKind::Conflict, replacement.directory.join_bytes(&replacement.name), why)
    }
}
