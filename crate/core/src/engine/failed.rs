//! Directories of the destination that cannot be made or looked at: each costs itself and what is below it.

use std::collections::BTreeSet;

use sparsync_proto::RelPath;

/// The topmost paths of the destination that failed.
#[derive(Default)]
pub(super) struct FailedPaths(BTreeSet<RelPath>);

impl FailedPaths {
    /// Notes that `path` failed and has been reported.
    pub(super) fn insert(&mut self, path: RelPath) {
        self.0.insert(path);
    }

    /// Whether nothing has failed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this very path failed.
    pub(super) fn contains(&self, path: &RelPath) -> bool {
        self.0.contains(path)
    }

    /// Whether this path, or a directory above it, failed.
    pub(super) fn covers(&self, path: &RelPath) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut at = path.clone();
        loop {
            if self.contains(&at) {
                return true;
            }
            match at.split_last() {
                Some((parent, _)) => at = parent,
                None => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::RelPath;

    use super::FailedPaths;

    #[test]
    fn what_is_below_a_failed_path_is_covered_and_its_neighbours_are_not() {
        let path = |bytes: &[u8]| RelPath::new(bytes).expect("a path");
        let mut failed = FailedPaths::default();
        assert!(!failed.covers(&path(b"a")));
        failed.insert(path(b"a/b"));
        assert_eq!(
            [&b"a/b"[..], b"a/b/c/d", b"a", b"a/bc", b""].map(|at| failed.covers(&path(at))),
            [true, true, false, false, false]
        );
        failed.insert(RelPath::root());
        assert!(failed.covers(&path(b"x")));
    }
}
