//! Directories of one's own whose mode forbids what a run has to do in them, as 0555 does to everybody but root.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sparsync_proto::RelPath;

use super::{Adjust, Errno, Result, WriteDirectory, WriteStorage, open_to_adjust};

/// What a directory's owner needs to work in it.
const OWNER_BITS: u16 = 0o700;

/// The directories below a root whose mode was widened, and the modes that they had.
pub(crate) struct Widened<'a, S> {
    root: &'a S,
    modes: Mutex<BTreeMap<RelPath, u16>>,
}

impl<'a, S: WriteStorage> Widened<'a, S> {
    /// Nothing has been widened yet.
    pub(crate) fn new(root: &'a S) -> Self {
        Self { root, modes: Mutex::default() }
    }

    /// Runs `work` in the directory at `path`; where the directory's mode forbids it and the directory is ours, again
    /// with a mode that does not.
    pub(crate) fn within<T>(&self, path: &RelPath, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(Errno::ACCESS) if self.widen(path).is_ok() => work(),
            result => result,
        }
    }

    fn widen(&self, path: &RelPath) -> Result<()> {
        let mut modes = self.modes.lock().unwrap_or_else(PoisonError::into_inner);
        if modes.contains_key(path) {
            return Ok(());
        }
        let directory = open_to_adjust(self.root, path)?;
        let bits = directory.handle().found()?.mode;
        if bits & OWNER_BITS == OWNER_BITS {
            return Err(Errno::ACCESS);
        }
        directory.handle().set_mode(bits | OWNER_BITS)?;
        modes.insert(path.clone(), bits);
        Ok(())
    }

    /// The modes that are to be put back, which is the caller's to do from now on.
    pub(crate) fn take(&self) -> BTreeMap<RelPath, u16> {
        std::mem::take(&mut *self.modes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts the modes back as far as possible, the deepest first, when nobody can be told any more.
    pub(crate) fn restore(&self) {
        for (path, bits) in self.take().into_iter().rev() {
            let _ = open_to_adjust(self.root, &path).and_then(|directory| directory.handle().set_mode(bits));
        }
    }
}
