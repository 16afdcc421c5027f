//! Widens the modes of the user's own directories where they forbid a run its work (0555, 0300), and restores them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sparsync_proto::{InForce, RelPath};

use super::scan::{Scan, ScanBuffers, ScanOptions, scan_directory};
use super::{Access, Adjust, CallError, Errno, Result, Storage, WriteDirectory, WriteStorage, open_to_adjust};

/// The permission bits that a directory's owner needs to work in it. Every new directory has them until the end of a
/// run.
pub(crate) const OWNER_BITS: u16 = 0o700;

/// The bits that a directory's owner needs to reach its entries.
const OWNER_SEARCH: u16 = 0o100;

/// The directories below a root whose mode was widened, and the modes that they had, which they get back when this is
/// dropped.
pub(crate) struct Widened<'a, S: WriteStorage> {
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
            Err(CallError { errno: Errno::ACCESS, .. }) if self.widen(path).is_ok() => work(),
            result => result,
        }
    }

    /// Lists the directory at `path`, with the mode that it had before it was widened.
    pub(crate) fn list(
        &self,
        path: &RelPath,
        above: &InForce,
        options: &ScanOptions<'_>,
        buffers: &mut ScanBuffers,
    ) -> Result<Scan> {
        let mut list = || scan_directory(self.root, path, above, options, buffers);
        let mut scan = self.within(path, &mut list)?;
        // Its names may be read, and lead nowhere.
        let is_unsearchable = scan.meta.mode & OWNER_SEARCH == 0 && !scan.issues.is_empty();
        if is_unsearchable && self.widen(path).is_ok() {
            scan = list()?;
        }
        if let Some(mode) = self.modes.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            scan.meta.mode = *mode;
        }
        Ok(scan)
    }

    fn widen(&self, path: &RelPath) -> Result<()> {
        let mut modes = self.modes.lock().unwrap_or_else(PoisonError::into_inner);
        if modes.contains_key(path) {
            return Ok(());
        }
        let directory = open_to_adjust(self.root, path)?;
        let bits = directory.handle().found()?.mode;
        if bits & OWNER_BITS == OWNER_BITS {
            return Err(Errno::ACCESS.into());
        }
        directory.handle().set_mode(bits | OWNER_BITS)?;
        modes.insert(path.clone(), bits);
        Ok(())
    }

    /// The modes that are to be put back, which is the caller's to do from now on.
    pub(crate) fn take(&self) -> BTreeMap<RelPath, u16> {
        std::mem::take(&mut *self.modes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: WriteStorage> Storage for Widened<'_, S> {
    type Directory = S::Directory;

    fn open(&self, path: &RelPath, access: Access) -> Result<S::Directory> {
        self.within(path, || self.root.open(path, access))
    }
}

impl<S: WriteStorage> Drop for Widened<'_, S> {
    /// Restores the modes as far as possible, the deepest first. Failures can no longer be told.
    fn drop(&mut self) {
        for (path, bits) in self.take().into_iter().rev() {
            let _ = open_to_adjust(self.root, &path).and_then(|directory| directory.handle().set_mode(bits));
        }
    }
}
