//! Deletes what only the destination has, once the source is known in full.

use sparsync_proto::{Action, At, Counter, InForce, Issue, IssueKind, Item, Kind, Name, OfKind, Reasons, RelPath};

use super::items::count;
use super::planned::Turns;
use super::{Extra, Receiver};
use crate::engine::placement::{Delayed, Displaced};
use crate::engine::writer::Writing;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Access, Backups, CallError, Removal, WriteStorage, holds_protected, remove_tree};

/// Why a directory stays where something else should take its place.
pub(super) const PROTECTED: &str = "a directory is in its place, and holds excluded entries";

/// Why a directory stays that the source does not have.
const KEPT: &str =
    "the directory is not deleted: it holds excluded entries, backups, what a symlink leads to or another file system";

/// Why a directory stays that something arrives in.
const LED_TO: &str = "a directory is in its place that is written to through a symlink";

/// The result for a directory that gives way.
struct GivenWay {
    files: u64,
    directories: u64,
    failed: Option<CallError>,
    /// Something in it stays.
    stays: bool,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Deletes the entries that only the destination has, once the source is known in full.
    pub(super) fn delete(&mut self) -> Result<Option<Error>> {
        let delayed = self.writing.map(Writing::take_delayed).unwrap_or_default();
        let deleted = self.settle(&delayed);
        if let (Err(_), Some(root)) = (&deleted, &self.destination.root) {
            // The run is over: entries that have not got their names must not be left behind.
            for entry in &delayed {
                entry.discard(root);
            }
        }
        deleted
    }

    /// Puts the entries that wait in place and removes those that only the destination has, or refuses both.
    fn settle(&mut self, delayed: &[Delayed]) -> Result<Option<Error>> {
        self.place_last(delayed)?;
        let delayed: Vec<&Delayed> = delayed.iter().filter(|entry| entry.replaces_directory).collect();
        let deletion = self.options.deletion;
        let is_unread = self.source_errors > 0 && !deletion.ignore_errors;
        if is_unread {
            self.extras.clear();
            if deletion.delete {
                self.options.report.issue(Issue {
                    kind: IssueKind::Notice,
                    path: Vec::new(),
                    message: "the source could not be read completely, so nothing was deleted".to_owned(),
                    old_kept: true,
                })?;
            }
        } else {
            self.decide_again()?;
        }
        self.add_missing()?;
        self.settle_moves();
        let mut refused = None;
        if ((deletion.delete && !is_unread) || !self.extras.is_empty()) && !deletion.allow_mass {
            refused = self.guard.verdict();
        }
        if refused.is_none() && !is_unread {
            refused = self.lost_source(&delayed).map(|path| self.guard.source_deleted(&path));
        }
        // An entry that takes the place of a directory deletes that directory, so it waits for the same conditions as a
        // deletion. With an empty directory nothing is lost.
        let is_refused = refused.is_some();
        let may_replace = |receiver: &Self, entry: &Delayed| {
            !is_refused && (!is_unread || receiver.is_empty_directory(&entry.path()))
        };
        if is_refused {
            self.extras.clear();
        }
        let mut removed = 0;
        for entry in delayed {
            if !may_replace(self, entry) {
                self.withdraw(entry, "a directory is in its place, and nothing is deleted in this run")?;
            } else if self.holds_protected(&entry.path(), &self.in_force_at(&entry.directory)) {
                self.withdraw(entry, PROTECTED)?;
            } else if self.is_led_to(&entry.path()) {
                self.withdraw(entry, LED_TO)?;
            } else if self.exceeds_limit(entry, removed) {
                self.withdraw(entry, "a directory is in its place, and no more may be deleted in this run")?;
            } else {
                removed += self.replace_directory(entry)?;
            }
        }
        if refused.is_some() { Ok(refused) } else { self.remove_extras(removed) }
    }

    /// Gives entries that have waited for all content their names.
    fn place_last(&mut self, delayed: &[Delayed]) -> Result<()> {
        let (Some(root), Some(writing)) = (&self.destination.root, self.writing) else { return Ok(()) };
        for entry in delayed.iter().filter(|entry| !entry.replaces_directory) {
            self.session.check()?;
            let placed = root
                .open(&entry.directory, Access::Reach)
                .and_then(|directory| writing.put(&entry.directory, &directory, &entry.temp_name, &entry.name));
            match placed {
                Ok(()) => {
                    self.session.count(entry.counter, 1);
                    self.failures.attributes(|| entry.path(), &entry.unset)?;
                }
                Err(error) => {
                    entry.discard(root);
                    self.fail(entry.path(), "cannot put it in place", error)?;
                }
            }
        }
        Ok(())
    }

    /// A source that lies among the entries to be removed.
    pub(super) fn lost_source(&self, delayed: &[&Delayed]) -> Option<RelPath> {
        let (is_source, root) = (self.options.is_source.as_ref()?, self.destination.root.as_ref()?);
        let gives_way = |entry: &Delayed| Some((RelPath::new(&entry.path()).ok()?, self.in_force_at(&entry.directory)));
        let mut found = None;
        let extras = self.extras.iter().map(|extra| (extra.path.clone(), extra.in_force.clone()));
        for (path, in_force) in extras.chain(delayed.iter().filter_map(|entry| gives_way(entry))) {
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
            // An entry that cannot be looked at cannot be removed either, so no source below it is in danger.
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

    /// Whether removing the directory in the place of an entry would go beyond the limit on deletions.
    fn exceeds_limit(&self, entry: &Delayed, removed: u64) -> bool {
        let (Some(max), Some(root)) = (self.options.deletion.max, &self.destination.root) else { return false };
        let Ok(path) = RelPath::new(&entry.path()) else { return true };
        // As rsync counts: what is in it, and not the directory itself.
        removed + self.entries_of(root, &path).saturating_sub(1) > max
    }

    /// How many entries a removal of what stands at `path` would take. An entry that cannot be looked at cannot be
    /// removed either, and is not counted.
    pub(super) fn entries_of(&self, root: &S, path: &RelPath) -> u64 {
        let mut counted = Removal { dry_run: true, widened: self.widened(), ..Removal::default() };
        let _ = remove_tree(root, path, &mut counted);
        counted.files + counted.directories
    }

    /// Whether an entry that only the destination has is deleted.
    pub(super) fn goes(&self, at: &At<'_>, name: Name<'_>, kind: Kind) -> bool {
        let (judge, bytes) = (&self.options.judge, name.as_bytes());
        judge.matcher.deletes(at, bytes, kind, false)
            && !judge.matcher.is_asked_for(&at.path().join(name))
            && !self.backups().is_some_and(|backups| backups.protects(judge, at, bytes, kind))
    }

    fn remove_extras(&mut self, removed: u64) -> Result<Option<Error>> {
        let mut extras = std::mem::take(&mut self.extras);
        in_order(&mut extras);
        let Some(root) = self.destination.root.as_ref().filter(|_| !extras.is_empty()) else { return Ok(None) };
        self.changed |= !self.options.dry_run;
        let (session, options) = (self.session, self.options);
        let (mut told, is_told) = (Ok(()), self.waiting_items.told);
        let turns = Turns::of(self);
        let may_go = |path: &[u8], kind: Kind| turns.may_go(|| item_of(kind, path));
        let mut on_removed = |path: &[u8], kind: Kind| {
            let counter = if kind == Kind::Directory { Counter::directories_deleted } else { Counter::files_deleted };
            session.count(counter, 1);
            count(session, OfKind::DELETED, kind);
            if options.items.told && !is_told && told.is_ok() {
                told = options.report.item(turns.item().unwrap_or_else(|| item_of(kind, path)), session);
            }
        };
        let stop = || session.is_over() || turns.are_over();
        let mut removal = Removal {
            dry_run: options.dry_run,
            judge: Some(&options.judge),
            device: self.top_device.filter(|_| options.one_file_system),
            max: options.deletion.max.map(|max| max.saturating_sub(removed)),
            may_go: options.stamps.is_some().then_some(&may_go),
            on_removed: Some(&mut on_removed),
            stop: Some(&stop),
            backups: self.backups(),
            led_to: Some(&self.dir_links.led_to),
            widened: self.widened(),
            ..Removal::default()
        };
        let mut kept = Vec::new();
        for Extra { path, in_force, is_directory } in &extras {
            let protected = removal.protected;
            removal.in_force = in_force.clone();
            if let Err(error) = remove_tree(root, path, &mut removal) {
                removal.failed.push((path.as_bytes().to_vec(), error));
            }
            if removal.protected > protected && *is_directory {
                kept.push(path);
            }
        }
        let (failed, beyond) = (std::mem::take(&mut removal.failed), removal.beyond);
        let (issues, bad_rules) = (std::mem::take(&mut removal.issues), removal.bad_rules.take());
        drop(removal);
        told?;
        turns.end()?;
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
        Ok((beyond > 0).then(|| self.beyond_limit(beyond)))
    }

    fn beyond_limit(&self, beyond: u64) -> Error {
        let most = self.options.deletion.max.unwrap_or(0);
        let message = format!("the limit of {most} deletions was reached; {beyond} more were not made");
        Error::new(ErrorKind::MaxDelete, message)
    }

    /// Puts an entry in the place of a directory, and removes the directory.
    fn replace_directory(&mut self, entry: &Delayed) -> Result<u64> {
        let Some(root) = &self.destination.root else { return Ok(0) };
        self.session.check()?;
        self.check_given_way(root, &entry.path())?;
        let (kept, stays) = self.keep_directory(root, entry)?;
        if stays {
            return Ok(kept);
        }
        // As with rsync, the limit counts the entries of such a directory and not the directory itself.
        let without_itself = |removed: u64| removed.saturating_sub(1);
        match entry.place(root) {
            Ok(Displaced::Gone) if self.destination.aside.backups.is_some() || root.keeps_versions() => {
                self.session.count(entry.counter, 1);
                self.failures.attributes(|| entry.path(), &entry.unset)?;
                Ok(without_itself(kept))
            }
            Ok(Displaced::Gone) => Ok(0),
            Ok(Displaced::Directory) => {
                let Ok(displaced) = RelPath::new(&entry.directory.join_bytes(&entry.temp_name)) else {
                    return Err(Error::internal("a temporary name that is no path"));
                };
                let gone = self.remove_given_way(root, &displaced, &entry.path(), None)?;
                if let Some(error) = gone.failed {
                    let message = format!("cannot remove the directory that it replaces: {error}");
                    self.issue(IssueKind::Delete, entry.path(), &message)?;
                }
                self.count_deleted(&gone);
                self.session.count(entry.counter, 1);
                self.failures.attributes(|| entry.path(), &entry.unset)?;
                let removed = gone.files + gone.directories;
                Ok(if gone.failed.is_some() { removed } else { without_itself(removed) })
            }
            Err(error) => self.fail(entry.path(), "cannot put it in place of the directory", error).map(|()| 0),
        }
    }

    /// Removes the directory at `at` that gives way to an entry at `path`, with `backups` of its entries. Each of them
    /// is told, but not the directory itself, as with rsync. In a dry run nothing is removed.
    fn remove_given_way(
        &self,
        root: &S,
        at: &RelPath,
        path: &[u8],
        backups: Option<&Backups<'_, S>>,
    ) -> Result<GivenWay> {
        let mut told = Ok(());
        let mut tell = |found: &[u8], kind| {
            let below = found.strip_prefix(at.as_bytes()).unwrap_or_default();
            if told.is_ok() && !below.is_empty() {
                let item = || item_of(kind, &[path, below].concat());
                // In a real run the plan was asked before, while everything still stood there.
                let item =
                    if self.options.dry_run { self.prepared(item) } else { Ok(self.options.items.told.then(item)) };
                told = item.and_then(|item| self.tell(item));
            }
        };
        let mut removal = Removal {
            dry_run: self.options.dry_run,
            backups,
            widened: self.widened(),
            on_removed: Some(&mut tell),
            ..Removal::default()
        };
        let removed = remove_tree(root, at, &mut removal);
        let gone = GivenWay {
            files: removal.files,
            directories: removal.directories,
            failed: removed.err().or(removal.failed.first().map(|(_, error)| *error)),
            stays: removal.protected > 0,
        };
        drop(removal);
        told.map(|()| gone)
    }

    /// Checks that the plan has every entry that the directory at `path` holds now.
    fn check_given_way(&self, root: &S, path: &[u8]) -> Result<()> {
        let (Some(_), Ok(at)) = (&self.options.stamps, RelPath::new(path)) else { return Ok(()) };
        let mut checked = Ok(());
        let mut check = |found: &[u8], kind| {
            if checked.is_ok() && found != path {
                checked = self.prepared(|| item_of(kind, found)).map(drop);
            }
        };
        let mut removal =
            Removal { dry_run: true, widened: self.widened(), on_removed: Some(&mut check), ..Removal::default() };
        // An entry that cannot be looked at does not give way either, so the plan need not have it.
        let _ = remove_tree(root, &at, &mut removal);
        drop(removal);
        checked
    }

    fn count_deleted(&self, gone: &GivenWay) {
        self.session.count(Counter::files_deleted, gone.files);
        self.session.count(Counter::directories_deleted, gone.directories);
    }

    /// Tells in a dry run the entries of the directory at `path` that would give way.
    pub(super) fn tell_would_give_way(&self, path: &[u8]) -> Result<()> {
        let is_told = self.options.dry_run && self.options.items.told;
        match (self.destination.root.as_ref().filter(|_| is_told), RelPath::new(path)) {
            // An entry that cannot be looked at would not give way either, so it is not told.
            (Some(root), Ok(at)) => self.remove_given_way(root, &at, path, None).map(drop),
            (None, _) | (_, Err(_)) => Ok(()),
        }
    }

    /// With backups or versions, moves the entries of the directory that gives way there, and removes it. Gives how
    /// many they were, and whether the directory has to stay.
    fn keep_directory(&self, root: &S, entry: &Delayed) -> Result<(u64, bool)> {
        let (true, Ok(path)) = (self.backups().is_some() || root.keeps_versions(), RelPath::new(&entry.path())) else {
            return Ok((0, false));
        };
        let gone = self.remove_given_way(root, &path, path.as_bytes(), self.backups())?;
        self.count_deleted(&gone);
        if let Some(error) = gone.failed {
            self.withdraw(entry, &format!("a directory is in its place, and cannot be removed: {error}"))?;
        } else if gone.stays {
            self.withdraw(entry, "a directory is in its place, and holds backups")?;
        }
        Ok((gone.files + gone.directories, gone.stays || gone.failed.is_some()))
    }

    /// Gives up an entry that would have taken the place of a directory.
    fn withdraw(&self, entry: &Delayed, why: &str) -> Result<()> {
        if let Some(root) = &self.destination.root {
            entry.discard(root);
        }
        self.issue(IssueKind::Conflict, entry.path(), why)
    }
}

/// Sorts deletions in rsync's order, which decides which of them a limit leaves out: directory by directory, in each of
/// them directories before everything else, the last name first.
pub(super) fn in_order(extras: &mut [Extra]) {
    let key = |extra: &Extra| extra.path.split_last().map(|(parent, name)| (parent, RelPath::root().join(name)));
    extras.sort_by_cached_key(|extra| {
        let (parent, name) = key(extra).unwrap_or_default();
        let (directory, other) = if extra.is_directory { (Some(name), None) } else { (None, Some(name.into_bytes())) };
        (parent, std::cmp::Reverse(directory), std::cmp::Reverse(other))
    });
}

/// The account of a deletion.
pub(super) fn item_of(kind: Kind, path: &[u8]) -> Item {
    let (action, reasons) = (Action::Delete, Reasons::EXTRA);
    Item { action, kind, reasons, size: 0, path: path.into(), leader: None, details: None }
}
