//! Puts a whole tree in place in one step: it is made beside the one that stands there, sharing what does not change,
//! and the two exchange their names (ADR 0030).
//!
//! A reader that opens the destination gets one of the two. Whatever is left of a run that was cut has a name that
//! follows from the destination's, and is removed by the next one.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use sparsync_proto::{Kind, RelPath, Request};

use crate::engine::{PutInPlace, PutOutcome, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{DestinationLock, Mount, Root, below};
use crate::option_dirs::might_be_hidden;
use crate::prepare::{Destination, Prepared};
use crate::storage::{
    Access, CallError, Directory as _, Hold, PartialId, ShareError, Storage, TempName, WriteDirectory as _, entries,
    remove_all, share_tree,
};

/// The directory that holds both.
type Above = <Root as Storage>::Directory;

/// The suffix of the old tree's name, if it is kept.
const PREVIOUS: &[u8] = b".previous";

/// A tree that is made beside the one whose place it takes. Whatever has its temporary name is removed when this is
/// dropped.
struct Staged {
    parent: Root,
    name: RelPath,
    meanwhile: RelPath,
    keeps_previous: bool,
    /// Nothing is removed on a drop any more: the name is free, or its entry must stay.
    is_over: AtomicBool,
    /// The lock of the new tree, which has the destination's name while the old tree is still being removed. It is
    /// released last.
    lock: Option<DestinationLock>,
}

/// A place on a server, as far as publishing needs to know it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    /// The destination is the top of a root, or of a key's prefix.
    pub(crate) is_top: bool,
    /// The operator hides paths of the root.
    pub(crate) hides_paths: bool,
}

/// Refuses options that write into the old tree, and places at which no trees can be exchanged.
pub(crate) fn check(request: &Request, served: Served) -> Result<()> {
    if !request.publish {
        if request.keep_previous {
            return Err(Error::new(ErrorKind::Config, "keepPrevious needs publish: only that keeps a previous tree"));
        }
        return Ok(());
    }
    let writes_there = [
        (request.inplace, "inplace"),
        (request.append, "append"),
        (request.keep_dir_links, "keepDirLinks"),
        (request.backup, "backup"),
        (request.remove_source_files, "removeSourceFiles"),
        (request.file_name.is_some(), "a single file"),
    ];
    if let Some((_, other)) = writes_there.iter().find(|(is_asked, _)| *is_asked) {
        return Err(Error::new(ErrorKind::Config, format!("publish and {other} cannot be combined")));
    }
    // The tree moves with all that is in it, and the one that was kept before is removed.
    if served.hides_paths {
        return Err(might_be_hidden("publish", "moves or removes"));
    }
    if served.is_top {
        return Err(refused("it is the top of a root, or of what the key may use; publish a directory below it"));
    }
    Ok(())
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("publish: the destination cannot be exchanged: {why}"))
}

fn failed(doing: &str) -> impl Fn(CallError) -> Error {
    move |error| Error::io(&format!("publish: {doing}"), b"", error.into())
}

/// Lets a run write to a tree beside its destination, which takes the destination's place in the end.
pub(crate) fn stage(prepared: &mut Prepared, request: &Request, session: &Session) -> Result<()> {
    if !request.publish || request.dry_run {
        return Ok(());
    }
    if prepared.destination.file_name.is_some() {
        return Err(Error::new(ErrorKind::Config, "publish and a single file cannot be combined"));
    }
    let Prepared { destination: Destination { root, aside, .. }, lock, .. } = prepared;
    let Some(lock) = lock.as_ref().filter(|lock| lock.hold() == Hold::Exclusive) else {
        return Err(refused("its file system does not support locks"));
    };
    let Some(own) = root.take() else { return Ok(()) };
    let (parent, name) = own
        .parent()
        .map_err(failed("cannot open the directory that the destination is in"))?
        .ok_or_else(|| refused("it has no name of its own; publish a directory in it"))?;
    let above = parent.open(&RelPath::root(), Access::Read).map_err(failed("cannot open it"))?;
    let status = above.status(name.as_bytes()).map_err(failed("cannot look at it"))?;
    if status.is_mount_point == Some(true) || above.is_boundary(name.as_bytes(), &status) {
        return Err(refused("it is a mount point; publish a directory in it"));
    }
    if let Some(path) = mounted_in(&own) {
        return Err(holds_other(&path));
    }
    let staged = Staged::begin((parent, name), request.keep_previous, lock)?;
    staged.probe()?;
    let ends = (&staged.name, &staged.meanwhile);
    share_tree(&staged.parent, ends, || session.check().map_err(Stop::Over)).map_err(|stop| match stop {
        Stop::Over(error) => error,
        // Subvolumes are no mounts.
        Stop::Share(ShareError { path, error: CallError { errno: Errno::XDEV, .. } }) => holds_other(path.as_bytes()),
        Stop::Share(ShareError { path, error }) => Error::io(
            "publish: cannot share what stands at the destination with the new tree",
            path.as_bytes(),
            error.into(),
        ),
    })?;
    *root = Some(staged.parent.descend(&staged.meanwhile).map_err(failed("cannot open the new tree"))?);
    let put = Box::new(move |_| staged.exchange().map(|()| PutOutcome::default()));
    aside.place = Some(PutInPlace { in_any_case: false, put });
    Ok(())
}

/// A mount inside the tree, by its path there. None is found where `/proc` is missing; sharing the tree fails then.
fn mounted_in(tree: &Root) -> Option<Vec<u8>> {
    let top = tree.absolute_path().ok()?;
    let inside = |mount: &Mount| below(&mount.point, &top).filter(|path| !path.is_empty()).map(<[u8]>::to_vec);
    Mount::all().iter().find_map(inside)
}

fn holds_other(path: &[u8]) -> Error {
    refused("it holds another file system, which cannot move into a new tree; publish a directory without one").at(path)
}

/// Why a tree is not shared.
enum Stop {
    Over(Error),
    Share(ShareError),
}

impl From<ShareError> for Stop {
    fn from(error: ShareError) -> Self {
        Self::Share(error)
    }
}

impl Staged {
    /// Makes the empty directory, which the run of `lock` locks as well.
    fn begin((parent, name): (Root, RelPath), keeps_previous: bool, lock: &DestinationLock) -> Result<Self> {
        let meanwhile = RelPath::new(&PartialId::of_tree(name.as_bytes()).file_name())
            .map_err(|_| Error::internal("a name that is none"))?;
        let mut staged = Self { parent, name, meanwhile, keeps_previous, is_over: AtomicBool::new(false), lock: None };
        staged.settle()?;
        let above = staged.above()?;
        above
            .make_directory(staged.meanwhile.as_bytes(), 0o700)
            .map_err(failed("cannot make a directory beside the destination"))?;
        let made = staged.parent.descend(&staged.meanwhile).map_err(failed("cannot open the new tree"))?;
        staged.lock = Some(lock.also(&made)?);
        Ok(staged)
    }

    fn above(&self) -> Result<Above> {
        self.parent.open(&RelPath::root(), Access::Read).map_err(failed("cannot open it"))
    }

    /// Tries with two directories of its own whether the file system can exchange names at all.
    fn probe(&self) -> Result<()> {
        let (one, other) = (&b"1"[..], &b"2"[..]);
        let inside = self.parent.open(&self.meanwhile, Access::Reach).map_err(failed("cannot open it"))?;
        let probed = inside
            .make_directory(one, 0o700)
            .and_then(|()| inside.make_directory(other, 0o700))
            .and_then(|()| inside.exchange(one, other));
        for name in [one, other] {
            let _ = inside.remove_directory(name);
        }
        match probed {
            Ok(()) => Ok(()),
            Err(CallError { errno: Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP, .. }) => {
                Err(refused("its file system cannot exchange names; ext4, XFS, Btrfs and tmpfs can"))
            }
            Err(error) => Err(failed("cannot exchange two directories")(error)),
        }
    }

    /// Exchanges the two trees, and removes or keeps the one that was there. If that fails, they are exchanged back.
    fn exchange(&self) -> Result<()> {
        let above = self.above()?;
        let between = self.name_between(&above)?;
        let exchange = || above.exchange(&between, self.name.as_bytes());
        if let Err(error) = exchange() {
            self.take_back(&above, &between);
            return Err(failed("cannot exchange the new tree with the old one")(error));
        }
        let kept = above.sync().map_err(failed("cannot write to disk"));
        let kept = if self.keeps_previous { kept.and_then(|()| self.keep(&above, &between)) } else { kept };
        if let Err(error) = kept {
            if let Err(stays) = exchange() {
                self.is_over.store(true, Ordering::Relaxed);
                return Err(failed("the new tree is in place, and cannot be exchanged back")(stays));
            }
            self.take_back(&above, &between);
            let _ = above.sync();
            return Err(error);
        }
        if self.keeps_previous
            && let Err(error) = above.sync()
        {
            // On disk, the tree that was kept before may still have the name of the kept one, so it must not be
            // removed.
            self.is_over.store(true, Ordering::Relaxed);
            return Err(failed("the new tree is in place, and cannot be written to disk")(error));
        }
        self.remove(&self.meanwhile)?;
        self.is_over.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The name by which the two trees are exchanged. When the old tree is kept, it must not be the temporary name,
    /// which every run begins by removing.
    fn name_between(&self, above: &Above) -> Result<Vec<u8>> {
        let meanwhile = self.meanwhile.as_bytes();
        if !self.keeps_previous {
            return Ok(meanwhile.to_vec());
        }
        let new = above.status(meanwhile).map_err(failed("cannot look at the new tree"))?;
        let between = PartialId::of_exchanged_tree(self.name.as_bytes(), new.stamp.ino).file_name();
        above.rename(meanwhile, &between).map_err(failed("cannot rename the new tree"))?;
        Ok(between)
    }

    /// Gives a new tree that was not exchanged its temporary name again, under which it is removed in the end.
    fn take_back(&self, above: &Above, between: &[u8]) {
        let _ = above.rename(between, self.meanwhile.as_bytes());
    }

    /// Gives the old tree the name by which it is kept. The tree that was kept before is removed first: if the two were
    /// exchanged, and the run killed then, the next run would take the older tree for the one to be kept.
    fn keep(&self, above: &Above, old: &[u8]) -> Result<()> {
        let (previous, meanwhile) = ([self.name.as_bytes(), PREVIOUS].concat(), self.meanwhile.as_bytes());
        let kept = match above.rename(&previous, meanwhile) {
            Err(CallError { errno: Errno::NOENT, .. }) => above.rename(old, &previous),
            Err(error) => Err(error),
            Ok(()) => above.rename(old, &previous).inspect_err(|_| {
                let _ = above.rename(meanwhile, &previous);
            }),
        };
        kept.map_err(failed("the old tree cannot be kept, and stays where it is"))
    }

    /// Completes a run that was killed: keeps the old tree if it was replaced, and removes a new one that has not
    /// replaced any.
    fn settle(&self) -> Result<()> {
        self.remove(&self.meanwhile)?;
        let (above, left) = entries(&self.parent, &RelPath::root(), &RelPath::root())
            .map_err(failed("cannot read the directory that the destination is in"))?;
        let stands = above.status(self.name.as_bytes()).map_err(failed("cannot look at it"))?.stamp.ino;
        let is_ours = |(name, kind): &(Vec<u8>, Kind)| *kind == Kind::Directory && TempName::parse(name).is_some();
        for (name, _) in left.into_iter().filter(is_ours) {
            let own = above.status(&name).map_err(failed("cannot look at what is left of a tree"))?.stamp.ino;
            let is_of = |ino| name == PartialId::of_exchanged_tree(self.name.as_bytes(), ino).file_name();
            if is_of(stands) {
                self.keep(&above, &name)?;
                self.remove(&self.meanwhile)?;
            } else if is_of(own) {
                let path = RelPath::new(&name).map_err(|_| Error::internal("a name that is none"))?;
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &RelPath) -> Result<()> {
        remove_all(&self.parent, path).map_err(failed("cannot remove what is left of a tree"))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !*self.is_over.get_mut() {
            // A tree that cannot be removed now is removed by the next run.
            let _ = self.remove(&self.meanwhile);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::{DestinationLock, RelPath, Root, Staged};
    use crate::error::ErrorKind;
    use crate::fs::LockFor;

    #[test]
    fn a_published_tree_is_locked_until_the_run_is_over_and_what_comes_next_stays() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("d")).unwrap();
        let parent = || Root::open(top.path().as_os_str().as_bytes()).unwrap();
        let lock = || {
            let root = Root::open(top.path().join("d").as_os_str().as_bytes()).unwrap();
            DestinationLock::acquire(&root, LockFor::Tree, "a run")
        };
        let own = lock().unwrap();
        let staged = Staged::begin((parent(), RelPath::new(b"d").unwrap()), false, &own).unwrap();
        staged.exchange().unwrap();
        drop(own);
        let refusal = lock().unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Busy);
        assert!(refusal.message().starts_with("the destination is being written by a run (process "), "{refusal}");
        let next = top.path().join(std::ffi::OsStr::from_bytes(staged.meanwhile.as_bytes()));
        assert!(!next.exists());
        std::fs::create_dir(&next).unwrap();
        drop(staged);
        assert!(next.exists());
        assert!(lock().is_ok());
    }
}
