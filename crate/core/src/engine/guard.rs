//! The guard against accidental deletions.

use std::collections::HashSet;

use sparsync_proto::RelPath;

use crate::error::{Error, ErrorKind, Result};

/// A destination directory with fewer entries than this may be emptied, and as many entries may be lost, without a
/// word: a person can restore so few by hand.
const GUARDED_ENTRIES: u64 = 100;

/// The same for a destination whose whole source is empty, which is hardly ever meant.
const GUARDED_ENTRIES_WHOLE: u64 = 10;

/// The counts of the comparison, by which the guard decides.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Entries of the destination that the source does not have.
    extra: u64,
    /// Entries of the source that the destination does not have.
    created: u64,
    /// Entries of the destination.
    entries: u64,
    /// A directory that is empty at the source, and the entries of the destination below it, counted so far.
    emptied: Option<Emptied>,
    /// The directories that would be emptied, in walk order.
    refused: Vec<Emptied>,
    /// Directories that were mount points in the last run and are none now.
    unmounted: Told,
    /// Directories of the source in which every entry is left out of the run.
    left_out: Told,
}

/// The most bytes of paths, of one kind, that are kept of those that a source tells of.
const TOLD_BYTES_MAX: usize = 32 << 20;

/// Paths that a source has told of.
#[derive(Debug, Default)]
struct Told {
    paths: HashSet<RelPath>,
    bytes: usize,
}

impl Told {
    /// Keeps a path, if there is room for it.
    fn insert(&mut self, path: RelPath) -> bool {
        // The set around a path takes about as much memory as a short path.
        let bytes = path.as_bytes().len() + 64;
        if self.bytes + bytes > TOLD_BYTES_MAX {
            return self.paths.contains(&path);
        }
        if self.paths.insert(path) {
            self.bytes += bytes;
        }
        true
    }

    fn contains(&self, path: &RelPath) -> bool {
        self.paths.contains(path)
    }
}

/// A directory of the destination that has nothing to be compared with.
#[derive(Debug)]
struct Emptied {
    path: RelPath,
    /// Entries in it and below.
    entries: u64,
    /// How many of them are moved to another place.
    moved: u64,
    /// From how many entries on it is guarded.
    least: u64,
}

impl Emptied {
    fn is_guarded(&self) -> bool {
        self.left() >= self.least
    }

    /// Entries that are lost.
    fn left(&self) -> u64 {
        self.entries.saturating_sub(self.moved)
    }
}

impl Guard {
    /// A directory of the source that was a mount point in the last run and is none now.
    pub(super) fn unmounted(&mut self, path: RelPath) -> Result<()> {
        if self.unmounted.insert(path) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Limit, "the source tells of more mount points than are kept"))
    }

    /// A directory of the source that holds only entries that are left out of the run.
    pub(super) fn left_out(&mut self, path: RelPath) {
        // If not all of them can be kept, the guard assumes the worst.
        self.left_out.insert(path);
    }

    /// An entry that would be deleted.
    pub(super) fn extra(&mut self, count: u64) {
        self.extra += count;
    }

    /// Counts entries that would be deleted and that the comparison does not see.
    pub(super) fn unseen(&mut self, count: u64) {
        self.extra += count;
        self.entries += count;
    }

    /// An entry that is new.
    pub(super) fn created(&mut self) {
        self.created += 1;
    }

    /// A directory of the destination, in walk order. `source_is_empty` is known for those that both sides have.
    pub(super) fn destination(&mut self, path: &RelPath, entries: u64, source_is_empty: bool) {
        self.entries += entries;
        match &mut self.emptied {
            Some(top) if path.is_within(&top.path) => top.entries += entries,
            _ => {
                self.close();
                let source_is_empty = source_is_empty && !self.left_out.contains(path);
                let is_suspect = source_is_empty || self.unmounted.contains(path);
                let is_whole = source_is_empty && path.is_root();
                let least = if is_whole { GUARDED_ENTRIES_WHOLE } else { GUARDED_ENTRIES };
                self.emptied = is_suspect.then(|| Emptied { path: path.clone(), entries, moved: 0, least });
            }
        }
    }

    fn close(&mut self) {
        self.refused.extend(self.emptied.take().filter(Emptied::is_guarded));
    }

    /// Forgets the entries that were told as moved to another place.
    pub(super) fn forget_moved(&mut self) {
        self.close();
        self.refused.iter_mut().for_each(|emptied| emptied.moved = 0);
    }

    /// Notes an entry that would be deleted, but is moved to another place. Both walks have ended by now.
    pub(super) fn moved(&mut self, path: &RelPath) {
        self.close();
        let at = self.refused.partition_point(|emptied| emptied.path <= *path);
        if let Some(emptied) = self.refused[..at].last_mut().filter(|emptied| path.is_within(&emptied.path)) {
            emptied.moved += 1;
        }
    }

    /// Why nothing may be deleted, when both walks have ended.
    pub(super) fn verdict(&mut self) -> Option<Error> {
        self.close();
        if let Some(Emptied { path, entries: count, .. }) =
            self.refused.iter().find(|emptied| self.extra > 0 && emptied.is_guarded())
        {
            let place = if path.is_root() {
                "the source".to_owned()
            } else {
                format!("{} in the source", path.as_bytes().escape_ascii())
            };
            return Some(self.refusal(
                "source-empty",
                &format!(
                    "{place} {} while the destination holds {count} entries there. Is it mounted?",
                    if self.unmounted.contains(path) { "is no longer a mount point" } else { "is empty" }
                ),
                path.as_bytes(),
            ));
        }
        let lost = self.extra.saturating_sub(self.created);
        (lost >= GUARDED_ENTRIES && lost > self.entries / 2).then(|| {
            self.refusal(
                "net-loss",
                &format!("the destination would lose {lost} of {} entries, more than half.", self.entries),
                b"",
            )
        })
    }

    /// The refusal of all deletions because a source lies at `path`, which would be deleted.
    pub(super) fn source_deleted(&self, path: &RelPath) -> Error {
        let message = format!(
            "the source lies in the destination, as {}, and this run would delete it.",
            path.as_bytes().escape_ascii()
        );
        self.refusal("source-deleted", &message, path.as_bytes())
    }

    fn refusal(&self, reason: &str, message: &str, path: &[u8]) -> Error {
        Error::new(
            ErrorKind::DeleteRefused,
            format!("{message} Nothing was deleted. Allow it with allowMassDelete (--allow-mass-delete)"),
        )
        .at(path)
        .with("reason", reason.to_owned())
        .with("destination_entries", self.entries)
        .with("would_delete", self.extra)
    }
}

#[cfg(test)]
mod tests {
    use super::Guard;
    use sparsync_proto::RelPath;

    fn path(bytes: &[u8]) -> RelPath {
        RelPath::new(bytes).unwrap()
    }

    #[test]
    fn an_emptied_subtree_is_refused_and_a_small_one_is_not() {
        for (below, refused) in [(98, false), (99, true)] {
            let mut guard = Guard::default();
            guard.destination(&path(b""), 10_000, false);
            guard.destination(&path(b"m"), 1, true);
            guard.destination(&path(b"m/x"), below, false);
            guard.destination(&path(b"n"), 5, false);
            guard.extra(1 + below);
            assert_eq!(guard.verdict().is_some(), refused);
        }
    }

    #[test]
    fn a_source_that_is_wholly_empty_is_refused_from_ten_entries_on() {
        for (entries, refused) in [(9, false), (10, true)] {
            let mut guard = Guard::default();
            guard.destination(&path(b""), 1, true);
            guard.destination(&path(b"d"), entries - 1, false);
            guard.extra(entries);
            assert_eq!(guard.verdict().is_some(), refused);
        }
    }

    #[test]
    fn a_mount_that_has_gone_is_guarded_when_something_would_be_deleted() {
        for (extra, refused) in [(0, false), (1, true)] {
            let mut guard = Guard::default();
            guard.unmounted(path(b"m")).expect("room");
            guard.destination(&path(b""), 10_000, false);
            guard.destination(&path(b"m"), 200, false);
            guard.extra(extra);
            assert_eq!(guard.verdict().is_some(), refused);
        }
    }

    #[test]
    fn replacing_all_is_no_loss_and_losing_half_is() {
        let mut guard = Guard::default();
        guard.destination(&path(b""), 200, false);
        guard.extra(200);
        for _ in 0..200 {
            guard.created();
        }
        assert!(guard.verdict().is_none());
        let mut guard = Guard::default();
        guard.destination(&path(b""), 200, false);
        guard.extra(101);
        assert!(guard.verdict().is_some());
    }
}
