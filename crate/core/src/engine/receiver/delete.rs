//! What only the destination has is removed, once the source is known in full.

use sparsync_proto::{Action, Counter, InForce, Issue, IssueKind, Item, Kind, Reasons, RelPath};

use super::Receiver;
use crate::engine::placement::{Delayed, Displaced};
use crate::engine::writer::Writing;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Removal, WriteStorage, holds_protected, remove_tree};

/// Why a directory stays where something else should take its place.
pub(super) const PROTECTED: &str = "a directory stands in its place, and holds what is left out of the run";

/// Why a directory stays that the source does not have.
const KEPT: &str = "the directory is not deleted: it holds what is left out of the run";

impl<S: WriteStorage> Receiver<'_, S> {
    /// Deletes what only the destination has, once the source is known in full.
    pub(super) fn delete(&mut self) -> Result<Option<Error>> {
        let delayed = self.writing.map(Writing::take_delayed).unwrap_or_default();
        let deleted = self.settle(&delayed);
        if let (Err(_), Some(root)) = (&deleted, &self.destination.root) {
            // The run is over: what has not got its name is not left behind.
            for entry in &delayed {
                entry.discard(root);
            }
        }
        deleted
    }

    /// Puts what waits in place and removes what only the destination has, or refuses to.
    fn settle(&mut self, delayed: &[Delayed]) -> Result<Option<Error>> {
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
        if refused.is_none() && self.source_errors == 0 {
            refused = self.lost_source(delayed).map(|path| self.guard.source_deleted(&path));
        }
        // What takes the place of a directory deletes it, and so waits for the same conditions.
        if refused.is_some() || self.source_errors > 0 {
            self.extras.clear();
            for entry in delayed {
                self.withdraw(entry, "a directory stands in its place, and nothing is deleted in this run")?;
            }
            return Ok(refused);
        }
        let mut removed = 0;
        for entry in delayed {
            if self.holds_protected(&entry.path(), &self.in_force_at(&entry.directory)) {
                self.withdraw(entry, PROTECTED)?;
            } else if self.exceeds_limit(entry, removed) {
                self.withdraw(entry, "a directory stands in its place, and no more may be deleted in this run")?;
            } else {
                removed += self.replace_directory(entry)?;
            }
        }
        self.remove_extras(removed)
    }

    /// A source among what is to be removed.
    fn lost_source(&self, delayed: &[Delayed]) -> Option<RelPath> {
        let (is_source, root) = (self.options.is_source.as_ref()?, self.destination.root.as_ref()?);
        let gives_way = |entry: &Delayed| Some((RelPath::new(&entry.path()).ok()?, self.in_force_at(&entry.directory)));
        let mut found = None;
        for (path, in_force) in self.extras.iter().cloned().chain(delayed.iter().filter_map(gives_way)) {
            let mut look = |path: &[u8], kind: Kind| {
                if let (None, Kind::Directory, Ok(path)) = (&found, kind, RelPath::new(path)) {
                    found = Some(path).filter(is_source);
                }
            };
            let mut removal = Removal {
                dry_run: true,
                judge: Some(&self.options.judge),
                in_force,
                on_removed: Some(&mut look),
                widened: self.widened(),
                ..Removal::default()
            };
            // What cannot be looked at is not removed either.
            let _ = remove_tree(root, &path, &mut removal);
            drop(removal);
            if found.is_some() {
                break;
            }
        }
        found
    }

    /// Whether something in the destination's directory at `path` is left out of the run.
    /// `in_force` are the rules in the directory that holds it.
    pub(super) fn holds_protected(&self, path: &[u8], in_force: &InForce) -> bool {
        match (&self.destination.root, RelPath::new(path)) {
            (Some(root), Ok(path)) => holds_protected(root, (&path, in_force), &self.options.judge, self.widened()),
            (None, _) | (_, Err(_)) => false,
        }
    }

    /// The rules that were in force in a directory in which something else gives way.
    fn in_force_at(&self, directory: &RelPath) -> InForce {
        self.in_force.get(directory).cloned().unwrap_or_default()
    }

    /// Whether removing the directory that an entry takes the place of goes beyond the limit on deletions.
    fn exceeds_limit(&self, entry: &Delayed, removed: u64) -> bool {
        let (Some(max), Some(root)) = (self.options.deletion.max, &self.destination.root) else { return false };
        let Ok(path) = RelPath::new(&entry.path()) else { return true };
        let mut counted = Removal { dry_run: true, widened: self.widened(), ..Removal::default() };
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
                told = options.report.item(item_of(kind, path), session);
            }
        };
        let stop = || session.is_over();
        let mut removal = Removal {
            dry_run: options.dry_run,
            judge: Some(&options.judge),
            device: self.top_device.filter(|_| options.one_file_system),
            max: options.deletion.max.map(|max| max.saturating_sub(removed)),
            on_removed: Some(&mut on_removed),
            stop: Some(&stop),
            widened: self.widened(),
            ..Removal::default()
        };
        let mut kept = Vec::new();
        for (path, in_force) in &extras {
            let protected = removal.protected;
            removal.in_force = in_force.clone();
            if let Err(error) = remove_tree(root, path, &mut removal) {
                removal.failed.push((path.as_bytes().to_vec(), error));
            }
            if removal.protected > protected {
                kept.push(path);
            }
        }
        let (failed, limit_reached) = (std::mem::take(&mut removal.failed), removal.limit_reached);
        let (issues, bad_rules) = (std::mem::take(&mut removal.issues), removal.bad_rules.take());
        drop(removal);
        told?;
        if let Some(error) = bad_rules {
            return Err(Error::bad_rules(&error));
        }
        for issue in issues {
            self.failures.tell(issue)?;
        }
        for path in kept {
            self.issue(IssueKind::Notice, path.as_bytes().to_vec(), KEPT)?;
        }
        for (path, error) in failed {
            self.issue(IssueKind::Delete, path, &format!("cannot delete: {error}"))?;
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
    fn replace_directory(&mut self, entry: &Delayed) -> Result<u64> {
        let Some(root) = &self.destination.root else { return Ok(0) };
        self.session.check()?;
        match entry.place(root) {
            Ok(Displaced::Gone) => Ok(0),
            Ok(Displaced::Directory) => {
                let Ok(displaced) = RelPath::new(&entry.directory.join_bytes(&entry.temp_name)) else {
                    return Err(Error::internal("a temporary name that is no path"));
                };
                let mut removal = Removal { widened: self.widened(), ..Removal::default() };
                let removed = remove_tree(root, &displaced, &mut removal);
                let failed = removed.err().or(removal.failed.first().map(|(_, error)| *error));
                if let Some(error) = failed {
                    let message = format!("cannot remove the directory that it replaces: {error}");
                    self.issue(IssueKind::Delete, entry.path(), &message)?;
                }
                self.session.count(Counter::files_deleted, removal.files);
                self.session.count(Counter::directories_deleted, removal.directories);
                self.session.count(entry.counter, 1);
                self.failures.attributes(|| entry.path(), &entry.unset)?;
                Ok(removal.files + removal.directories)
            }
            Err(error) => self.fail(entry.path(), "cannot put it in place of the directory", error).map(|()| 0),
        }
    }

    /// Gives up what would have taken the place of a directory.
    fn withdraw(&mut self, entry: &Delayed, why: &str) -> Result<()> {
        if let Some(root) = &self.destination.root {
            entry.discard(root);
        }
        self.issue(IssueKind::Conflict, entry.path(), why)
    }
}

/// The account of a deletion.
fn item_of(kind: Kind, path: &[u8]) -> Item {
    let (action, reasons) = (Action::Delete, Reasons::EXTRA);
    Item { action, kind, reasons, size: 0, path: path.to_vec(), leader: None }
}
