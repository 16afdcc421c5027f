//! Makes a second tree that shares the entries of another one.

use sparsync_proto::{Kind, Name, RelPath};

use super::copy::set_like;
use super::{
    Access, CallError, Directory as _, Errno, Result, Status, TempName, WriteDirectory, WriteStorage, entries,
};

/// Where sharing a tree has failed.
pub(crate) struct ShareError {
    /// The path of the entry that failed.
    pub(crate) path: RelPath,
    /// Why.
    pub(crate) error: CallError,
}

/// Makes the empty directory `to` a tree like the one at `from`: directories of its own, and further names for all
/// other entries. Unfinished files are left out. Fails with [`Errno::PERM`] if owner, group or mode of a directory
/// cannot be set on the new one. `check` is asked before each directory.
pub(crate) fn share_tree<S: WriteStorage, E: From<ShareError>>(
    root: &S,
    (from, to): (&RelPath, &RelPath),
    mut check: impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut below = vec![RelPath::root()];
    let mut at = 0;
    while let Some(path) = below.get(at).cloned() {
        check()?;
        let found = share_directory(root, (&from.join_path(&path), &to.join_path(&path)));
        let found = found.map_err(|(name, error)| ShareError { path: named(&path, &name), error })?;
        below.extend(found.iter().map(|name| named(&path, name)));
        at += 1;
    }
    // The deepest directories come first, since making an entry changes its directory's time.
    for path in below.iter().rev() {
        let set = || -> Result<()> {
            let like = root.open(&from.join_path(path), Access::Read)?;
            let made = root.open(&to.join_path(path), Access::Read)?;
            let status = like.status(b"")?;
            set_like(&made.handle(), &status, (&like, b""));
            // A directory whose owner or mode could not be set must not be shared: it would belong to the one who
            // shares it.
            let whose = |status: &Status| (status.meta.uid, status.meta.gid, status.meta.mode);
            if whose(&made.status(b"")?) == whose(&status) { Ok(()) } else { Err(Errno::PERM.into()) }
        };
        set().map_err(|error| ShareError { path: path.clone(), error })?;
    }
    Ok(())
}

fn named(path: &RelPath, name: &[u8]) -> RelPath {
    Name::new(name).map_or_else(|_| path.clone(), |name| path.join(name))
}

/// The same for one directory. Gives the names of those in it, which are empty so far.
fn share_directory<S: WriteStorage>(
    root: &S,
    (from, to): (&RelPath, &RelPath),
) -> std::result::Result<Vec<Vec<u8>>, (Vec<u8>, CallError)> {
    let at_top = |error| (Vec::new(), error);
    let (from, found) = entries(root, &RelPath::root(), from).map_err(at_top)?;
    let to = root.open(to, Access::Reach).map_err(at_top)?;
    let mut directories = Vec::new();
    for (name, kind) in found.into_iter().filter(|(name, _)| TempName::parse(name).is_none()) {
        let shared = if kind == Kind::Directory {
            let is_foreign = || from.status(&name).is_ok_and(|status| from.is_boundary(&name, &status));
            if is_foreign() { Err(Errno::XDEV.into()) } else { to.make_directory(&name, 0o700) }
        } else {
            to.make_hard_link((&from, &name), &name)
        };
        if let Err(error) = shared {
            return Err((name, error));
        }
        if kind == Kind::Directory {
            directories.push(name);
        }
    }
    Ok(directories)
}
