//! Files of the source that are frozen while they are read: an unnamed copy that shares their blocks, where a file
//! system can do that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sparsync_proto::{Issue, IssueKind, Kind, RelPath};

use crate::storage::{Access, CallError, Directory, File, Result, Scan, Storage};

/// For the file systems of a source, whether and where they can freeze files.
pub(super) struct Freezer<D> {
    /// For each file system a directory in which frozen files can be made; none where there is none.
    places: Mutex<HashMap<u64, Option<Arc<D>>>>,
}

impl<D> Default for Freezer<D> {
    fn default() -> Self {
        Self { places: Mutex::default() }
    }
}

impl<D: Directory> Freezer<D> {
    fn places(&self) -> MutexGuard<'_, HashMap<u64, Option<Arc<D>>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries to freeze a file of a directory whose file system is not known yet. Gives the issue to be told where that
    /// fails.
    pub(super) fn look_at(&self, root: &impl Storage<Directory = D>, scan: &Scan) -> Option<Issue> {
        if self.places().contains_key(&scan.device) {
            return None;
        }
        let file = scan.listing.entries().iter().find(|entry| entry.kind == Kind::File && entry.size > 0)?;
        let name = scan.listing.name(file);
        let tried = try_both(root, &scan.path, name, scan.device)?;
        let issue = tried.as_ref().err().map(|error| Issue {
            kind: IssueKind::NotFrozen,
            path: scan.path.join_bytes(name),
            message: format!("files on its file system are read as they are, not from a frozen view: {error}"),
            old_kept: true,
        });
        self.places().insert(scan.device, tried.ok().map(Arc::new));
        issue
    }

    /// The file as it is at this moment; none where its file system cannot freeze files, which was told.
    pub(super) fn freeze(&self, directory: &D, file: &D::File) -> Result<Option<D::File>> {
        let place = self.places().get(&file.status()?.device).cloned();
        match place {
            Some(None) => Ok(None),
            Some(Some(place)) => place.freeze(file).map(Some),
            // A symlink that is followed may lead to a file system that the walk has not seen.
            None => directory.freeze(file).map(Some),
        }
    }
}

/// Freezes a file in the top, or else in its own directory, and gives the directory in which that worked. Nothing is
/// learned where the file cannot be opened, or lies on another file system.
fn try_both<S: Storage>(
    root: &S,
    path: &RelPath,
    name: &[u8],
    device: u64,
) -> Option<std::result::Result<S::Directory, CallError>> {
    let own = root.open(path, Access::Reach).ok()?;
    let file = own.open_file(name).ok()?;
    if file.status().ok()?.device != device {
        return None;
    }
    if let Ok(top) = root.open(&RelPath::root(), Access::Reach)
        && top.freeze(&file).is_ok()
    {
        return Some(Ok(top));
    }
    Some(own.freeze(&file).map(|_| own))
}
