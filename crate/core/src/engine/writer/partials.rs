//! Directories that hold partial files until these are complete.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use sparsync_proto::RelPath;

use crate::storage::{self, Access, CallError, Directory as _, Errno, WriteDirectory as _, WriteStorage};

/// The place of partial files, if they are not kept beside their targets.
#[derive(Clone, Debug)]
pub(crate) enum PartialPlace<S> {
    /// In a directory of this path in the directory of each.
    Each(RelPath),
    /// One directory for all: the part of its path that exists, and the rest, which may be missing.
    One(S, RelPath),
}

/// Those directories in a run.
pub(in crate::engine) struct Partials<'a, S: WriteStorage> {
    root: &'a S,
    place: &'a PartialPlace<S>,
    /// Directories of partial files that may be empty at the end, by the paths of the directories that they are in.
    used: Mutex<BTreeSet<RelPath>>,
    /// Tells the partial files of this destination from those of others, where all share one directory.
    whose: [u8; 16],
}

impl<'a, S: WriteStorage> Partials<'a, S> {
    pub(in crate::engine) fn new(root: &'a S, place: &'a PartialPlace<S>) -> Self {
        let own = root.open(&RelPath::root(), Access::Reach).and_then(|own| own.status(b""));
        let (device, inode) = own.map_or((0_u64, 0_u64), |own| (own.device, own.stamp.ino));
        let mut whose = [0; 16];
        whose[..8].copy_from_slice(&device.to_le_bytes());
        whose[8..].copy_from_slice(&inode.to_le_bytes());
        Self { root, place, used: Mutex::default(), whose }
    }

    /// The name of a file's part. In one directory for all, no two files may have the same.
    pub(in crate::engine) fn called(&self, path: &RelPath, name: &[u8]) -> Vec<u8> {
        match self.place {
            PartialPlace::Each(_) => name.to_vec(),
            PartialPlace::One(..) => [&self.whose[..], &path.join_bytes(name)].concat(),
        }
    }

    /// The tree and the path of the directory for parts of files in the directory at `path`.
    fn place(&self, path: &RelPath) -> (&S, RelPath, usize) {
        match self.place {
            PartialPlace::Each(below) => {
                let depth = path.components().count();
                (self.root, path.join_path(below), depth)
            }
            PartialPlace::One(top, missing) => (top, missing.clone(), 0),
        }
    }

    /// The directory for parts of files in the directory at `path`, if it is there.
    pub(in crate::engine) fn find(&self, path: &RelPath) -> storage::Result<S::Directory> {
        let (top, at, _) = self.place(path);
        top.open(&at, Access::Reach)
    }

    /// The same, made where it is missing. If it was made or had a part, it is removed at the end when it is empty.
    pub(in crate::engine) fn open(&self, path: &RelPath, had_part: bool) -> storage::Result<Arc<S::Directory>> {
        let (top, full, depth) = self.place(path);
        let mut at = RelPath::root();
        let mut is_own = had_part;
        for (index, name) in full.components().enumerate() {
            if index >= depth {
                match top.open(&at, Access::Reach)?.make_directory(name.as_bytes(), 0o700) {
                    Ok(()) => is_own = true,
                    Err(CallError { errno: Errno::EXIST, .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            at = at.join(name);
        }
        if is_own && matches!(self.place, PartialPlace::Each(_)) {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(full.clone());
        }
        top.open(&full, Access::Reach).map(Arc::new)
    }

    /// Removes those that hold nothing any more.
    pub(in crate::engine) fn remove_empty(&self) {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        for path in used {
            if let Some((parent, name)) = path.split_last() {
                let _ = self
                    .root
                    .open(&parent, Access::Reach)
                    .and_then(|directory| directory.remove_directory(name.as_bytes()));
            }
        }
    }
}
