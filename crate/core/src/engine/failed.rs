//! Directories of the destination that cannot be made or looked at: each costs itself and what is below it.

use std::collections::BTreeMap;

use sparsync_proto::{IssueKind, RelPath};

/// The topmost paths of the destination that failed, and as what they were reported.
#[derive(Default)]
pub(super) struct FailedPaths(BTreeMap<RelPath, IssueKind>);

impl FailedPaths {
    /// Notes that `path` failed and has been reported as `kind`.
    pub(super) fn insert(&mut self, path: RelPath, kind: IssueKind) {
        self.0.insert(path, kind);
    }

    /// Whether nothing has failed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this very path failed.
    pub(super) fn contains(&self, path: &RelPath) -> bool {
        self.0.contains_key(path)
    }

    /// As what this path, or a directory above it, was reported; nothing when none of them failed.
    pub(super) fn covering(&self, path: &RelPath) -> Option<IssueKind> {
        if self.is_empty() {
            return None;
        }
        let mut at = path.clone();
        loop {
            if let Some(kind) = self.0.get(&at) {
                return Some(*kind);
            }
            at = at.split_last()?.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::{IssueKind, RelPath};

    use super::FailedPaths;

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
        assert_eq!(failed.covering(&path(b"x")), Some(IssueKind::Scope));
    }
}
