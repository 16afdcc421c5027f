//! Directories in which parts of files are kept until they are complete.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use sparsync_proto::RelPath;

use crate::storage::{self, Access, CallError, Errno, WriteDirectory as _, WriteStorage};

/// Where parts of files are kept, if not beside their targets.
#[derive(Clone, Debug)]
pub(crate) enum PartialPlace<S> {
    /// In a directory of this path in the directory of each.
    Each(RelPath),
    /// In one directory for all: one that exists, and what may be missing below it.
    One(S, RelPath),
}

/// Those directories in a run.
pub(in crate::engine) struct Partials<'a, S: WriteStorage> {
    root: &'a S,
    place: &'a PartialPlace<S>,
    /// Those that may be empty at the end, by the paths of the directories that they are in.
    used: Mutex<BTreeSet<RelPath>>,
}

impl<'a, S: WriteStorage> Partials<'a, S> {
    pub(in crate::engine) fn new(root: &'a S, place: &'a PartialPlace<S>) -> Self {
        Self { root, place, used: Mutex::default() }
    }

    /// The tree and the path of the directory for parts of files in the directory at `path`.
    fn place(&self, path: &RelPath) -> (&S, RelPath, usize) {
        match self.place {
            PartialPlace::Each(below) => {
                let depth = path.components().count();
                (self.root, below.components().fold(path.clone(), |above, name| above.join(name)), depth)
            }
            PartialPlace::One(top, missing) => (top, missing.clone(), 0),
        }
    }

    /// The directory for parts of files in the directory at `path`, if it is there.
    pub(in crate::engine) fn find(&self, path: &RelPath) -> storage::Result<S::Directory> {
        let (top, at, _) = self.place(path);
        top.open(&at, Access::Reach)
    }

    /// The same, which is made where it is missing.
    pub(in crate::engine) fn open(&self, path: &RelPath) -> storage::Result<Arc<S::Directory>> {
        let (top, full, depth) = self.place(path);
        let mut at = RelPath::root();
        for (index, name) in full.components().enumerate() {
            if index >= depth {
                match top.open(&at, Access::Reach)?.make_directory(name.as_bytes(), 0o700) {
                    Ok(()) | Err(CallError { errno: Errno::EXIST, .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            at = at.join(name);
        }
        if matches!(self.place, PartialPlace::Each(_)) {
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
