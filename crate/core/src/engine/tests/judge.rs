//! What a run over a storage that failed may leave, and what the next run has to make of it.

use std::collections::BTreeMap;

use sparsync_proto::{Issue, IssueKind, Kind};

use super::Ended;
use super::faults::Side;
use super::trees::{Entry, Snapshot};
use crate::storage::Errno;
use crate::storage::memory::{Call, Strike, UNFINISHED};

/// A run that met a failure.
pub(super) struct Case<'a> {
    pub(super) side: Side,
    /// The run takes new files from names that are deleted.
    pub(super) moves: bool,
    pub(super) call: &'a Call,
    pub(super) strike: Strike,
    pub(super) source: &'a Snapshot,
    pub(super) before: &'a Snapshot,
    pub(super) after: &'a Snapshot,
    pub(super) ended: &'a Ended,
}

/// Whether one path is the other, or lies below it.
fn is_within(path: &[u8], above: &[u8]) -> bool {
    above.is_empty() || path == above || path.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
}

fn show(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

impl Case<'_> {
    /// The paths that the run has told of.
    fn told(&self) -> Vec<&[u8]> {
        let failures = self.ended.failures.iter().map(|issue| &issue.path[..]);
        failures.chain(self.ended.result.as_ref().err().and_then(|error| error.path())).collect()
    }

    /// Whether nothing is deleted in a run that cannot know what the source has.
    fn nothing_is_deleted(&self) -> bool {
        self.ended.notices.iter().any(|notice| notice.message.contains("nothing was deleted"))
    }

    /// Whether an entry of the source is taken for one that has just vanished, which is no failure.
    fn has_vanished(&self, path: &[u8]) -> bool {
        self.side == Side::Source
            && self.strike == Strike::Fail(Errno::NOENT)
            && matches!(self.call.operation, "status" | "read link")
            && is_within(path, &self.call.path)
    }

    /// Everything that is wrong.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut found = self.torn();
        if self.strike == Strike::Cut {
            // After a cut nothing more can be told, but a run that reports success must be right.
            if self.ended.result.is_ok() && self.ended.failures.is_empty() {
                found.extend(self.wrong(&[]));
            }
            return found;
        }
        match &self.ended.result {
            Ok(()) => found.extend(self.wrong(&self.told())),
            Err(error) if !self.may_end_the_run() => found.push(format!("one path ended the run: {error}")),
            Err(_) => {}
        }
        found.extend(self.unrelated());
        found
    }

    /// Whether a run may end because of this failure: a full disk, or the top of a tree that cannot be used.
    fn may_end_the_run(&self) -> bool {
        let is_full = matches!(
            self.strike,
            Strike::Fail(Errno::NOSPC | Errno::DQUOT) | Strike::FailAfter(Errno::NOSPC | Errno::DQUOT)
        );
        is_full || self.call.path.is_empty()
    }

    /// Paths that hold neither their old nor their whole new content.
    fn torn(&self) -> Vec<String> {
        let holds = |entries: &BTreeMap<Vec<u8>, Entry>, path: &[u8], entry: Option<&Entry>| match entry {
            Some(entry) => entries.get(path).is_some_and(|other| other.holds(entry)),
            None => !entries.contains_key(path),
        };
        let paths = self.source.entries.keys().chain(self.before.entries.keys());
        let torn = paths.filter(|path| {
            let entry = self.after.entries.get(*path);
            let is_old_or_new = holds(&self.source.entries, path, entry) || holds(&self.before.entries, path, entry);
            !(is_old_or_new || (entry.is_none() && self.has_vanished(path)))
        });
        torn.map(|path| format!("torn: {}", show(path))).collect()
    }

    /// Paths that are not as the source has them, and neither told of nor below one that is.
    fn wrong(&self, told: &[&[u8]]) -> Vec<String> {
        let mut wrong = Vec::new();
        let is_told = |path: &[u8]| self.has_vanished(path) || told.iter().any(|told| is_within(path, told));
        let holds_told = |path: &[u8]| told.iter().any(|told| is_within(told, path));
        // An attribute is one of all names, and told of the first.
        let is_of_told = |entry: &Entry| entry.leader.as_deref().is_some_and(is_told);
        // A file that moved has two names until the old one is deleted, which may have failed and been told.
        let has_told_name = |there: &Entry| {
            let mut named = self.after.entries.iter().filter(|(_, other)| other.leader == there.leader);
            there.leader.is_some() && named.any(|(path, _)| is_told(path))
        };
        // A leader whose followers did not arrive has no name less than it should.
        let is_lost = |path: &[u8], entry: &Entry, there: &Entry| {
            let leader = entry.leader.as_deref();
            let differs = there.leader.as_deref() != leader && leader != Some(path);
            differs && !leader.is_some_and(is_told) && !has_told_name(there)
        };
        for (path, entry) in self.source.entries.iter().filter(|(path, _)| !is_told(path)) {
            match self.after.entries.get(path) {
                None => wrong.push(format!("did not arrive, and nobody told: {}", show(path))),
                Some(there) if !there.holds(entry) => {
                    wrong.push(format!("has other content, and nobody told: {}", show(path)));
                }
                Some(there)
                    if !(there.is_like(entry)
                        || is_of_told(entry)
                        || entry.kind == Kind::Directory && holds_told(path)) =>
                {
                    let (had, has) = (entry.meta, there.meta);
                    wrong.push(format!("has other attributes, and nobody told: {} {had:?} {has:?}", show(path)));
                }
                Some(there) if is_lost(path, entry, there) => {
                    wrong.push(format!("is no hard link, and nobody told: {}", show(path)));
                }
                Some(_) => {}
            }
        }
        let nothing_deleted = self.nothing_is_deleted();
        // An entry that the storage calls missing need not be deleted.
        let nothing_deleted = nothing_deleted || self.strike == Strike::Fail(Errno::NOENT);
        let extra = self.after.entries.keys().filter(|path| !self.source.entries.contains_key(*path));
        for path in extra.filter(|path| !nothing_deleted && !is_told(path) && !holds_told(path)) {
            wrong.push(format!("was not deleted, and nobody told: {}", show(path)));
        }
        wrong
    }

    /// Paths that were told of and have nothing to do with what failed.
    fn unrelated(&self) -> Vec<String> {
        // An unfinished entry belongs to some entry of its directory.
        let mut names = self.call.path.split(|&byte| byte == b'/').collect::<Vec<_>>();
        names.truncate(names.iter().position(|name| *name == UNFINISHED).unwrap_or(names.len()));
        let struck = &names.join(&b'/')[..];
        let is_near = |told: &[u8]| is_within(told, struck) || is_within(struck, told);
        // If a leader fails, its followers fail with it.
        let leader_of = |told: &[u8]| self.source.entries.get(told).and_then(|entry| entry.leader.as_deref());
        // A file that moved is taken from its old name, and fails with that.
        let moved_from = |told: &[u8]| {
            let wanted = self.source.entries.get(told).filter(|entry| entry.kind == Kind::File);
            let mut before = self.before.entries.iter();
            self.moves && wanted.is_some_and(|wanted| before.any(|(path, entry)| entry.holds(wanted) && is_near(path)))
        };
        let is_related = |told: &[u8]| is_near(told) || leader_of(told).is_some_and(is_near) || moved_from(told);
        // An entry that takes the place of a directory waits for a run that may delete.
        let waits = |issue: &Issue| issue.kind == IssueKind::Conflict && self.nothing_is_deleted();
        let failures = self.ended.failures.iter().filter(|issue| !waits(issue)).map(|issue| &issue.path[..]);
        let told = failures.chain(self.ended.result.as_ref().err().and_then(|error| error.path()));
        let unrelated = told.filter(|told| !is_related(told));
        unrelated.map(|path| format!("told of {}, which has not failed", show(path))).collect()
    }
}

/// What is wrong with a run that nothing stood in the way of.
pub(super) fn repaired(source: &Snapshot, after: &Snapshot, ended: &Ended) -> Vec<String> {
    let mut found = Vec::new();
    if let Err(error) = &ended.result {
        found.push(format!("the next run failed: {error}"));
    }
    found.extend(ended.failures.iter().map(|issue| format!("the next run told of {}", show(&issue.path))));
    found.extend(after.unfinished.iter().map(|path| format!("left over: {}", show(path))));
    for path in source.entries.keys().chain(after.entries.keys()) {
        if source.entries.get(path) != after.entries.get(path) {
            found.push(format!("not repaired: {}", show(path)));
        }
    }
    found
}
