//! Directories of the destination that cannot be made or looked at, or that the run does not make: each costs itself
//! and what is below it.

use std::collections::BTreeMap;

use sparsync_proto::{IssueKind, RelPath};

/// Why nothing arrives at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The path failed, and was reported as this kind; so is everything below it.
    Failed(IssueKind),
    /// The run makes nothing new, and there is nothing to tell.
    NotMade,
}

/// The topmost paths of the destination at which nothing arrives.
#[derive(Default)]
pub(super) struct FailedPaths(BTreeMap<RelPath, Lost>);

impl FailedPaths {
    /// Notes that `path` failed and has been reported as `kind`.
    pub(super) fn insert(&mut self, path: RelPath, kind: IssueKind) {
        self.0.insert(path, Lost::Failed(kind));
    }

    /// Notes that `path` is not there, and is not made.
    pub(super) fn not_made(&mut self, path: RelPath) {
        self.0.insert(path, Lost::NotMade);
    }

    /// Whether nothing has failed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this very path failed.
    pub(super) fn contains(&self, path: &RelPath) -> bool {
        self.0.contains_key(path)
    }

    /// Whether this very entry of a directory failed.
    pub(super) fn contains_entry(&self, directory: &RelPath, name: &[u8]) -> bool {
        !self.is_empty() && RelPath::new(&directory.join_bytes(name)).is_ok_and(|path| self.contains(&path))
    }

    /// Why nothing arrives at this path, or at a directory above it; none where content arrives.
    pub(super) fn covering(&self, path: &RelPath) -> Option<Lost> {
        if self.is_empty() {
            return None;
        }
        let mut at = path.clone();
        loop {
            if let Some(lost) = self.0.get(&at) {
                return Some(*lost);
            }
            at = at.split_last()?.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::{IssueKind, RelPath};

    use super::{FailedPaths, Lost};

    #[test]
    fn what_is_below_a_failed_path_is_covered_and_its_neighbours_are_not() {
        let path = |bytes: &[u8]| RelPath::new(bytes).expect("a path");
        let mut failed = FailedPaths::default();
        assert!(failed.covering(&path(b"a")).is_none());
        failed.insert(path(b"a/b"), IssueKind::Write);
        assert_eq!(
            [&b"a/b"[..], b"a/b/c/d", b"a", b"a/bc", b""].map(|at| failed.covering(&path(at)).is_some()),
            [true, true, false, false, false]
        );
        failed.insert(RelPath::root(), IssueKind::Scope);
        assert_eq!(failed.covering(&path(b"x")), Some(Lost::Failed(IssueKind::Scope)));
    }
}
