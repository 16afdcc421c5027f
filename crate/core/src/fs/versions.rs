//! What runs replace or remove in a tree, kept in another one that they do not reach.
//!
//! Every call that takes the content of a name away asks here first, so no option of a run passes by. What is kept is a
//! further name of it where that can be, and a copy elsewhere; a call whose content cannot be kept fails, and nothing
//! has changed.

use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags};
use rustix::io::Errno;
use sparsync_proto::{Durability, Name, RelPath};

use super::directory::FsDirectory;
use super::file::FsFile;
use super::mounts::below;
use super::root::{absolute_path, open_child};
use super::view::View;
use crate::storage::{
    Access, CallError, File as _, Result, TempName, TempNames, WriteDirectory as _, WriteFile as _, copy_content,
    copy_entry, set_like,
};

/// How many versions of one path a run keeps.
const EACH_MAX: u32 = 10_000;

/// How many names may be changed at a time.
const STRIPES: usize = 4096;

/// Names of a tree that are being changed, by all its runs: a name must keep its entry from the moment a version of it
/// is kept until the call that replaces it.
#[derive(Debug)]
pub(crate) struct Changing {
    hashes: RandomState,
    stripes: Vec<Mutex<()>>,
}

impl Default for Changing {
    fn default() -> Self {
        Self { hashes: RandomState::new(), stripes: std::iter::repeat_with(Mutex::default).take(STRIPES).collect() }
    }
}

/// A name, or two of them, that no other thread may change while this is held.
pub(super) struct Changed<'a> {
    _held: [Option<MutexGuard<'a, ()>>; 2],
}

impl Changing {
    fn hold(&self, directory: BorrowedFd<'_>, names: [&[u8]; 2]) -> Result<Changed<'_>> {
        let found = rustix::fs::fstat(directory).map_err(CallError::of("fstat"))?;
        let mut places = names.map(|name| {
            let hash = self.hashes.hash_one((found.st_dev, found.st_ino, name));
            usize::try_from(hash % STRIPES as u64).unwrap_or_default()
        });
        places.sort_unstable();
        let [first, second] = places;
        let hold =
            |place: usize| self.stripes.get(place).map(|held| held.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Changed { _held: [hold(first), if second == first { None } else { hold(second) }] })
    }
}

/// Where a run's versions go.
#[derive(Debug)]
pub(crate) struct Versions {
    /// The tree that is served.
    served: OwnedFd,
    /// Where all versions of it are.
    top: OwnedFd,
    /// The name of this run's directory there, which is made for its first version.
    own: Vec<u8>,
    names: TempNames,
    changing: Arc<Changing>,
    /// The directory that was last used.
    held: Mutex<Option<(RelPath, Arc<OwnedFd>)>>,
}

impl Versions {
    /// Versions of entries of the tree `served`, in the directory `own` of `top`.
    pub(super) fn new(served: OwnedFd, top: OwnedFd, own: Vec<u8>, changing: Arc<Changing>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let names = TempNames::new(since.as_nanos().to_le_bytes().first_chunk().copied().unwrap_or_default());
        Self { served, top, own, names, changing, held: Mutex::default() }
    }

    /// Holds a name of a directory, while its entry is kept as a version and replaced.
    pub(super) fn hold(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<Changed<'_>> {
        self.changing.hold(directory, [name, name])
    }

    /// The same of two names.
    pub(super) fn hold_both(&self, directory: BorrowedFd<'_>, names: [&[u8]; 2]) -> Result<Changed<'_>> {
        self.changing.hold(directory, names)
    }

    /// Keeps the entry `name` as a version before it loses that name. Directories and unfinished files are not kept.
    pub(super) fn keep(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        self.place_then(directory, name, |to| {
            let mut called = free(to, name)?;
            loop {
                match rustix::fs::linkat(directory, name, to, &called, AtFlags::empty()) {
                    // Another thread was faster.
                    Err(Errno::EXIST) => called = free(to, name)?,
                    Err(Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                        return self.copy_entry(directory, name, to);
                    }
                    linked => return linked.map_err(CallError::of("linkat")),
                }
            }
        })
    }

    /// Keeps a copy of the open file `name` as a version before it is written over.
    pub(super) fn copy(&self, directory: BorrowedFd<'_>, name: &[u8], file: BorrowedFd<'_>) -> Result<()> {
        self.place_then(directory, name, |to| {
            let (from, to, file) = (plain(directory)?, plain(to)?, FsFile::new(cloned(file)?, false));
            let temp_name = self.names.next();
            let made = to.create_file(&temp_name, 0o600).and_then(|copy| {
                copy_content(&file, &copy)?;
                set_like(&copy.handle(), &file.status()?, (&from, name));
                copy.close()
            });
            place_copy(made, &to, &temp_name, name)
        })
    }

    /// Has a version kept in its directory, which is made again if somebody has removed it. An entry that is gone
    /// needs no version.
    fn place_then(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        keep: impl Fn(BorrowedFd<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(to) = self.place(directory, name)? else { return Ok(()) };
        match keep(to.as_fd()) {
            Err(CallError { errno: Errno::NOENT, .. }) => {}
            kept => return kept,
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let Some(to) = self.place(directory, name)? else { return Ok(()) };
        let kept = keep(to.as_fd());
        if kept.is_err() && self.place(directory, name).is_ok_and(|to| to.is_none()) { Ok(()) } else { kept }
    }

    /// The place of an entry's version; none if no version is kept of it.
    fn place(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Arc<OwnedFd>>> {
        if TempName::parse(name).is_some() {
            return Ok(None);
        }
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => return Ok(None),
            Ok(_) => {}
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(CallError { call: "statx", errno }),
        }
        let at = self.path_of(directory)?;
        if TempName::is_in(&at) {
            return Ok(None);
        }
        self.directory(&at).map(Some)
    }

    /// Keeps a copy of an entry that cannot get a further name there.
    fn copy_entry(&self, directory: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>) -> Result<()> {
        let (from, to) = (plain(directory)?, plain(to)?);
        // The copy gets its second name when it is complete. No flush of the run reaches where it is.
        let (unfinished, temp_name) = (self.names.next(), self.names.next());
        let made = copy_entry((&from, name), (&to, &temp_name), &unfinished, Durability::Run);
        place_copy(made, &to, &temp_name, name)
    }

    /// The path of a directory below the tree, without symlinks.
    fn path_of(&self, directory: BorrowedFd<'_>) -> Result<RelPath> {
        let (top, path) = (absolute_path(self.served.as_fd())?, absolute_path(directory)?);
        below(&path, &top).and_then(|below| RelPath::new(below).ok()).ok_or(Errno::XDEV.into())
    }

    /// The directory for versions of the entries of the one at `path`, made if it is missing.
    fn directory(&self, path: &RelPath) -> Result<Arc<OwnedFd>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, directory)) = &*held
            && at == path
        {
            return Ok(Arc::clone(directory));
        }
        let own = Name::new(&self.own).map_err(|_| Errno::INVAL)?;
        let mut at = made(self.top.as_fd(), own)?;
        for name in path.components() {
            at = made(at.as_fd(), name)?;
        }
        let directory = Arc::new(at);
        *held = Some((path.clone(), Arc::clone(&directory)));
        Ok(directory)
    }
}

/// A directory that only this user may enter, made if it is missing.
fn made(above: BorrowedFd<'_>, name: Name<'_>) -> Result<OwnedFd> {
    match rustix::fs::mkdirat(above, name.as_bytes(), Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open_child(above, name, Access::Reach),
        Err(errno) => Err(CallError { call: "mkdirat", errno }),
    }
}

/// A free name: the entry's own, or that with a number.
fn free(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>> {
    for number in 0..EACH_MAX {
        let called = if number == 0 { name.to_vec() } else { [name, format!("~{number}").as_bytes()].concat() };
        match rustix::fs::statat(directory, &called, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(called),
            Ok(_) => {}
            Err(errno) => return Err(CallError { call: "statx", errno }),
        }
    }
    Err(Errno::EXIST.into())
}

/// Gives a copy a free name. A copy that failed, or gets no name, is removed.
fn place_copy(made: Result<()>, to: &FsDirectory, temp_name: &[u8], name: &[u8]) -> Result<()> {
    let placed = made.and_then(|()| {
        loop {
            let called = free(to.as_fd(), name)?;
            match rustix::fs::renameat_with(to.as_fd(), temp_name, to.as_fd(), &called, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                placed => return placed.map_err(CallError::of("renameat2")),
            }
        }
    });
    if placed.is_err() {
        let _ = to.remove(temp_name);
    }
    placed
}

/// A directory as it is.
fn plain(directory: BorrowedFd<'_>) -> Result<FsDirectory> {
    Ok(FsDirectory::new(cloned(directory)?, Access::Reach, &View::default(), None, None))
}

fn cloned(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    Ok(fd.try_clone_to_owned().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::sync::Arc;

    use super::Changing;
    use crate::fs::Root;
    use crate::storage::{Access, Storage as _, WriteDirectory as _, WriteFile as _};
    use sparsync_proto::RelPath;

    fn contents(folder: &Path, found: &mut HashSet<String>) {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                contents(&path, found);
            } else {
                found.insert(std::fs::read_to_string(&path).expect("read"));
            }
        }
    }

    fn made(above: &tempfile::TempDir, name: &str) -> Root {
        let path = above.path().join(name);
        std::fs::create_dir(&path).expect("made");
        Root::open(path.as_os_str().as_bytes()).expect("opened")
    }

    #[test]
    fn a_directory_of_versions_that_is_removed_during_a_run_is_made_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let (served, kept) = (made(&directory, "served"), made(&directory, "kept"));
        let root = served.keeping(&kept, b"run".to_vec(), &Arc::default()).expect("a run");
        let top = root.open(&RelPath::root(), Access::Reach).expect("opened");
        let path = |name: &str| directory.path().join(name);
        for (name, in_place) in [("a", false), ("b", false), ("c", true)] {
            std::fs::write(path("served").join(name), name).expect("written");
            if in_place {
                let file = top.open_in_place(name.as_bytes(), false).expect("opened");
                file.write(b"over", 0).expect("written");
            } else {
                top.remove(name.as_bytes()).expect("removed");
            }
            assert_eq!(std::fs::read_to_string(path("kept/run").join(name)).expect("kept"), name);
            std::fs::remove_dir_all(path("kept/run")).expect("pruned");
        }
        top.remove(b"nothing").expect_err("there is none");
        std::fs::write(path("served/d"), "d").expect("written");
        std::fs::remove_dir(path("kept")).expect("removed");
        top.remove(b"d").expect_err("its version has no place");
        assert!(path("served/d").exists());
    }

    /// Two runs at once, one of which writes in place what the other replaces.
    #[test]
    fn what_was_put_there_is_kept_whatever_two_runs_do_at_once() {
        const ROUNDS: usize = 400;
        let directory = tempfile::tempdir().expect("a directory");
        let (served, kept) = (made(&directory, "served"), made(&directory, "kept"));
        let changing = Arc::<Changing>::default();
        let run = |own: &str| served.keeping(&kept, own.as_bytes().to_vec(), &changing).expect("a run");
        // Of one client, in one second.
        let (puts, writes) = (run("run"), run("run"));
        std::fs::write(directory.path().join("served/f"), "put 0").expect("written");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let directory = puts.open(&RelPath::root(), Access::Reach).expect("opened");
                for round in 1..=ROUNDS {
                    let temp_name = format!(".temp{round}");
                    let file = directory.create_file(temp_name.as_bytes(), 0o600).expect("created");
                    file.write(format!("put {round}").as_bytes(), 0).expect("written");
                    directory.rename(temp_name.as_bytes(), b"f").expect("renamed");
                }
            });
            scope.spawn(|| {
                let directory = writes.open(&RelPath::root(), Access::Reach).expect("opened");
                for _ in 0..ROUNDS {
                    // It may have a further name at that moment, or have changed.
                    if let Ok(file) = directory.open_in_place(b"f", false) {
                        file.write(b"over", 0).expect("written");
                    }
                }
            });
        });
        let mut found = HashSet::new();
        contents(directory.path(), &mut found);
        let lost: Vec<_> =
            (0..=ROUNDS).map(|round| format!("put {round}")).filter(|put| !found.contains(put)).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}
