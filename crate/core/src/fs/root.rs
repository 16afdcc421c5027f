//! A tree's root as a held descriptor, and the only way from it to a directory below.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sparsync_proto::{Name, RelPath};

use super::directory::FsDirectory;
use super::flush::Flushes;
use super::follow::Place;
use super::lock::is_unclaimed;
use super::named::open_named_directory;
use super::versions::{Changing, Versions};
use super::view::{Devices, View};
use crate::storage::{Access, CallError, Directory as _, Result, Storage, WriteStorage};

pub(super) fn flags(access: Access) -> OFlags {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    match access {
        Access::Read => flags | OFlags::RDONLY,
        Access::Reach => flags | OFlags::PATH,
    }
}

/// Bytes and entries, of each none where nobody can tell or there is no limit.
pub(crate) type Extent = (Option<u64>, Option<u64>);

/// Free space of a file system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Space {
    /// What this user may still write and make.
    pub(crate) free: Extent,
    /// What is in use: no tree on this file system can hold more, holes aside.
    pub(crate) used: Extent,
}

impl Space {
    /// The same, less the bytes that must stay free.
    pub(crate) fn without(self, bytes: u64) -> Self {
        let (free, entries) = self.free;
        Self { free: (free.map(|free| free.saturating_sub(bytes)), entries), ..self }
    }
}

/// A directory that a run may not leave.
#[derive(Debug)]
pub(crate) struct Root {
    fd: Arc<OwnedFd>,
    /// Whether `openat2` works. A sandbox may forbid it, so the first use finds out.
    has_openat2: AtomicBool,
    view: View,
    /// The place of versions of entries that are replaced or removed.
    versions: Option<Arc<Versions>>,
    flushes: Option<SharedFlushes>,
}

/// Flushes that many runs share, and the last one whose result this root's run knows.
#[derive(Debug)]
struct SharedFlushes {
    flushes: Arc<Flushes>,
    known: AtomicU64,
}

impl SharedFlushes {
    fn from_now(flushes: &Arc<Flushes>) -> Self {
        Self { flushes: Arc::clone(flushes), known: AtomicU64::new(flushes.ended()) }
    }

    fn flush(&self) -> Result<()> {
        let (flushed, result) = self.flushes.flush(self.known.load(Ordering::SeqCst));
        self.known.fetch_max(flushed, Ordering::SeqCst);
        result
    }
}

/// Longest path given to one system call, below `PATH_MAX`.
pub(super) const SEGMENT_BYTES_MAX: usize = 4000;

/// How often a lookup that raced with a rename is tried again.
const RACE_RETRIES: usize = 16;

impl Root {
    /// Opens the operator's own path, in which symlinks are followed.
    pub(crate) fn open(path: &[u8]) -> Result<Self> {
        Self::open_to(path, Access::Read)
    }

    fn open_to(path: &[u8], access: Access) -> Result<Self> {
        rustix::fs::openat(CWD, path, flags(access), Mode::empty()).map(Self::from_fd).map_err(CallError::of("openat"))
    }

    /// The same for a directory that need only be searchable: its entries are reached by name, and not listed.
    pub(crate) fn reach(path: &[u8]) -> Result<Self> {
        Self::as_may_be(|access| Self::open_to(path, access))
    }

    /// The same for what is written to: nobody but root and the operator leads there by a symlink.
    pub(crate) fn reach_trusted(path: &[u8]) -> Result<Self> {
        Self::as_may_be(|access| open_named_directory(path, flags(access)).map(Self::from_fd))
    }

    /// Opens to read, or else only to reach what is below.
    fn as_may_be(open: impl Fn(Access) -> Result<Self>) -> Result<Self> {
        match open(Access::Read) {
            Err(CallError { errno: Errno::ACCESS, .. }) => open(Access::Reach),
            result => result,
        }
    }

    fn from_fd(fd: OwnedFd) -> Self {
        let fd = Arc::new(fd);
        Self { fd, has_openat2: AtomicBool::new(true), view: View::default(), versions: None, flushes: None }
    }

    /// The same tree by the same descriptor, seen in this way.
    pub(crate) fn seen(&self, view: View) -> Self {
        self.by(Arc::clone(&self.fd)).with_view(view)
    }

    /// The same tree, seen in this way.
    pub(crate) fn with_view(self, view: View) -> Self {
        Self { view, ..self }
    }

    /// The same tree, whose runs share their flushes. Where its directory cannot be opened to read, each has its own.
    pub(crate) fn sharing_flushes(self) -> std::io::Result<Self> {
        let Ok(fd) = self.open_unled(&RelPath::root(), Access::Read) else { return Ok(self) };
        let flushes = Some(SharedFlushes::from_now(&Flushes::of(fd)?));
        Ok(Self { flushes, ..self })
    }

    /// The same tree for a run that keeps replaced and removed entries in the directory `own` of `top`.
    pub(crate) fn keeping(&self, top: &Self, own: Vec<u8>, changing: &Arc<Changing>) -> Result<Self> {
        let root = self.descend_to_reach(&RelPath::root())?;
        let reach = |root: &Self| root.open_unled(&RelPath::root(), Access::Reach);
        let versions = Some(Arc::new(Versions::new(reach(self)?, reach(top)?, own, Arc::clone(changing))));
        Ok(Self { versions, ..root })
    }

    /// The tree at `path` below this root as a root of its own.
    pub(crate) fn descend(&self, path: &RelPath) -> Result<Self> {
        self.open_directory(path, Access::Read).map(|fd| self.like(fd))
    }

    /// The same for a directory that need only be searchable.
    pub(crate) fn descend_to_reach(&self, path: &RelPath) -> Result<Self> {
        match self.descend(path) {
            Err(CallError { errno: Errno::ACCESS, .. }) => {
                self.open_directory(path, Access::Reach).map(|fd| self.like(fd))
            }
            result => result,
        }
    }

    /// The directory that holds this one, and this one's name there; none for a directory without a name.
    pub(crate) fn parent(&self) -> Result<Option<(Self, RelPath)>> {
        let parent = rustix::fs::openat(self.fd(), c"..", flags(Access::Read), Mode::empty());
        let parent = self.like(parent.map_err(CallError::of("openat"))?);
        let path = self.absolute_path()?;
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let Ok(found) = parent.open(&RelPath::root(), Access::Reach)?.status(name) else { return Ok(None) };
        let own = self.open(&RelPath::root(), Access::Reach)?.status(b"")?;
        let is_it = found.device == own.device && found.stamp.ino == own.stamp.ino && !name.is_empty();
        Ok(RelPath::new(name).ok().filter(|_| is_it).map(|name| (parent, name)))
    }

    /// Reaches the directory at `path` as far as it exists, and says what is missing below that. An error comes with
    /// the path at which it arose; [`Errno::NOENT`] says that not even the root is there.
    pub(crate) fn reach_existing(&self, path: &RelPath) -> std::result::Result<(Self, RelPath), (CallError, RelPath)> {
        for at in path.up() {
            match self.descend_to_reach(&at) {
                Ok(root) => return Ok((root, path.below(&at).ok_or((Errno::INVAL.into(), at))?)),
                Err(CallError { errno: Errno::NOENT, .. }) => {}
                Err(error) => return Err((error, at)),
            }
        }
        Err((Errno::NOENT.into(), RelPath::root()))
    }

    /// A directory of this tree as a root of its own, in which no symlink is followed.
    fn like(&self, fd: OwnedFd) -> Self {
        self.by(Arc::new(fd))
    }

    fn by(&self, fd: Arc<OwnedFd>) -> Self {
        let has_openat2 = AtomicBool::new(self.has_openat2.load(Ordering::Relaxed));
        let view = View { following: None, ..self.view.clone() };
        let flushes = self.flushes.as_ref().map(|shared| SharedFlushes::from_now(&shared.flushes));
        Self { fd, has_openat2, view, versions: self.versions.clone(), flushes }
    }

    /// Whether devices are taken for files with their content.
    pub(crate) fn reads_devices(&self) -> bool {
        matches!(self.view.devices, Devices::Content(_))
    }

    /// Opens a directory below the root, following only the symlinks that the view follows.
    pub(crate) fn open_directory(&self, path: &RelPath, access: Access) -> Result<OwnedFd> {
        match &self.view.following {
            None => self.open_unled(path, access),
            Some(following) => following.open(self, path, access).map(|(fd, _)| fd),
        }
    }

    /// Opens a directory below the root, following no symlink on the way.
    pub(super) fn open_unled(&self, path: &RelPath, access: Access) -> Result<OwnedFd> {
        if path.is_root() {
            return rustix::fs::openat(self.fd(), c".", flags(access), Mode::empty()).map_err(CallError::of("openat"));
        }
        let bytes = path.as_bytes();
        if bytes.len() <= SEGMENT_BYTES_MAX && self.has_openat2.load(Ordering::Relaxed) {
            match open_beneath(self.fd(), bytes, flags(access)) {
                Err(Errno::NOSYS | Errno::PERM) => self.has_openat2.store(false, Ordering::Relaxed),
                // The lookup raced with renames again and again. The walk below does not fail because of those.
                Err(Errno::AGAIN) => {}
                result => return result.map_err(CallError::of("openat2")),
            }
        }
        let mut at: Option<OwnedFd> = None;
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            let access = if names.peek().is_some() { Access::Reach } else { access };
            let parent = at.as_ref().map_or(self.fd(), AsFd::as_fd);
            at = Some(open_child(parent, name, access)?);
        }
        at.ok_or(Errno::INVAL.into())
    }

    /// Has it that `openat2` is there, or that it is not.
    #[cfg(test)]
    pub(super) fn pretend(&self, has_openat2: bool) {
        self.has_openat2.store(has_openat2, Ordering::Relaxed);
    }

    /// Whether symlinks are followed in it.
    pub(crate) fn follows(&self) -> bool {
        self.view.following.is_some()
    }

    /// The descriptor itself.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The absolute path that the descriptor has now.
    pub(crate) fn absolute_path(&self) -> Result<Vec<u8>> {
        absolute_path(self.fd())
    }

    /// Free and used space of the root's file system.
    pub(crate) fn space(&self) -> Result<Space> {
        let stat = rustix::fs::fstatvfs(self.fd()).map_err(CallError::of("fstatfs"))?;
        // ramfs and others report no size, and btrfs and others no count of entries; both must look neither full nor
        // empty.
        let bytes = |blocks: u64| (stat.f_blocks > 0).then(|| blocks.saturating_mul(stat.f_frsize));
        let entries = |entries: u64| (stat.f_files > 0).then_some(entries);
        Ok(Space {
            free: (bytes(stat.f_bavail), entries(stat.f_favail)),
            used: (
                bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
                entries(stat.f_files.saturating_sub(stat.f_ffree)),
            ),
        })
    }
}

impl Storage for Root {
    type Directory = FsDirectory;

    fn open(&self, path: &RelPath, access: Access) -> Result<FsDirectory> {
        let Some(following) = &self.view.following else {
            return self
                .open_unled(path, access)
                .map(|fd| FsDirectory::new(fd, access, &self.view, None, self.versions.clone()));
        };
        let (fd, real) = following.open(self, path, access)?;
        let place = Place { following: Arc::clone(following), path: path.clone(), real };
        Ok(FsDirectory::new(fd, access, &self.view, Some(Box::new(place)), self.versions.clone()))
    }

    fn open_below(&self, above: &RelPath, path: &RelPath, access: Access) -> Result<FsDirectory> {
        if self.view.following.is_none() {
            return self.open(path, access);
        }
        let names = path.components().skip(above.components().count());
        let rest = names.fold(RelPath::root(), |rest, name| rest.join(name));
        self.descend_to_reach(above)?.open(&rest, access)
    }
}

impl WriteStorage for Root {
    fn sync(&self) -> Result<()> {
        if let Some(shared) = &self.flushes
            && shared.flushes.are_of(&self.fd).map_err(CallError::of("fstat"))?
        {
            return shared.flush();
        }
        match rustix::fs::syncfs(self.fd()) {
            // `syncfs` does not take a descriptor that only reaches the directory, and there is no other name for the
            // file system.
            Err(Errno::BADF) => {
                rustix::fs::sync();
                Ok(())
            }
            result => result.map_err(CallError::of("syncfs")),
        }
    }

    fn is_unclaimed(&self, path: &RelPath) -> bool {
        // A directory that is reached through symlinks may belong to another run.
        let is_led = || self.view.following.is_some() && self.open_unled(path, Access::Reach).is_err();
        !is_led() && is_unclaimed(self, path)
    }

    fn umask(&self) -> u16 {
        umask()
    }

    fn keeps_versions(&self) -> bool {
        self.versions.is_some()
    }
}

/// The permission bits that new entries of this process do not get. The call `umask` cannot read them without a change
/// that other threads would see.
#[must_use]
pub fn umask() -> u16 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
            u16::from_str_radix(line.trim(), 8).ok()
        })
        .unwrap_or(0o022)
}

fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RACE_RETRIES {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// The absolute path that a held descriptor has now.
pub(crate) fn absolute_path(fd: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(rustix::fs::readlinkat(CWD, link, Vec::new()).map_err(CallError::of("readlinkat"))?.into_bytes())
}

/// Opens a sub-directory, which must be one and not a symlink to one.
pub(crate) fn open_child(parent: BorrowedFd<'_>, name: Name<'_>, access: Access) -> Result<OwnedFd> {
    rustix::fs::openat(parent, name.as_bytes(), flags(access) | OFlags::NOFOLLOW, Mode::empty())
        .map_err(CallError::of("openat"))
}

#[cfg(test)]
mod tests {
    use super::{Access, Root};
    use sparsync_proto::RelPath;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn no_symlink_is_followed_with_and_without_openat2() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(inside.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("a/out")).unwrap();
        std::os::unix::fs::symlink("b", inside.path().join("a/in")).unwrap();
        let root = Root::open(inside.path().as_os_str().as_bytes()).unwrap();
        for has in [true, false] {
            root.pretend(has);
            let open = |path: &[u8]| root.open_directory(&RelPath::new(path).unwrap(), Access::Reach);
            assert!(open(b"a/b").is_ok());
            assert!(open(b"a/out").is_err());
            assert!(open(b"a/in").is_err());
            assert!(open(b"a/none").is_err());
        }
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_reached() {
        let top = tempfile::tempdir().unwrap();
        let root = Root::open(top.path().as_os_str().as_bytes()).unwrap();
        let name = [b'd'; 200];
        let mut at = root.open_directory(&RelPath::root(), Access::Read).unwrap();
        let mut path = Vec::new();
        for _ in 0..60 {
            rustix::fs::mkdirat(&at, &name[..], 0o755.into()).unwrap();
            at = rustix::fs::openat(&at, &name[..], rustix::fs::OFlags::DIRECTORY, 0.into()).unwrap();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
        }
        assert!(path.len() > 4096);
        root.open_directory(&RelPath::new(&path).unwrap(), Access::Read).unwrap();
        let top = RelPath::new(&name).unwrap();
        crate::storage::remove_tree(&root, &top, &mut crate::storage::Removal::default()).unwrap();
    }
}
