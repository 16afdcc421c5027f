//! The calls that set an entry's attributes, one attribute each. What is set, and in which order, is not decided here.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use sparsync_proto::{Kind, RelPath, Time};

use super::root::Root;
use super::status::kind_of;
use crate::storage::Access;

/// An entry whose attributes are set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handle<'a> {
    /// It is open.
    Open(BorrowedFd<'a>),
    /// The descriptor only reaches it, which `fchmod` and `futimens` do not take.
    Reached(BorrowedFd<'a>),
    /// A symlink, which cannot be opened.
    Symlink(BorrowedFd<'a>, &'a [u8]),
}

/// The attributes that the destination's entry had before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Permission bits.
    pub(crate) mode: u16,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
}

impl From<Stat> for Found {
    fn from(stat: Stat) -> Self {
        Self { mode: u16::try_from(stat.st_mode & 0o7777).unwrap_or(0), uid: stat.st_uid, gid: stat.st_gid }
    }
}

/// Bytes of a file's capabilities in their longest form.
const CAPABILITY_BYTES: usize = 24;

/// The path of a held descriptor, for calls that take none.
fn path_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

impl Handle<'_> {
    /// What it has now.
    pub(crate) fn found(&self) -> rustix::io::Result<Found> {
        match *self {
            Self::Open(fd) | Self::Reached(fd) => rustix::fs::fstat(fd),
            Self::Symlink(directory, name) => rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW),
        }
        .map(Found::from)
    }

    /// Sets owner and group; an absent one stays. The kernel clears set-id bits and capabilities of a file by it.
    pub(crate) fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> rustix::io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        match *self {
            Self::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Self::Reached(fd) => rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH),
            Self::Symlink(directory, name) => rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// Sets the permission bits. A symlink has none.
    pub(crate) fn chmod(&self, bits: u16) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(bits.into());
        match *self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::Reached(fd) => rustix::fs::chmodat(CWD, path_of(fd), mode, AtFlags::empty()),
            Self::Symlink(..) => Err(Errno::OPNOTSUPP),
        }
    }

    /// Sets the modification time and leaves the access time.
    pub(crate) fn utimensat(&self, mtime: Time) -> rustix::io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
        };
        match *self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times),
            Self::Reached(fd) => rustix::fs::utimensat(CWD, path_of(fd), &times, AtFlags::empty()),
            Self::Symlink(directory, name) => rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// Takes a file's capabilities away, where it has some.
    pub(crate) fn drop_capabilities(&self) -> rustix::io::Result<()> {
        let (Self::Open(fd) | Self::Reached(fd)) = *self else { return Ok(()) };
        // To look needs no privilege, to remove does, even where there is nothing.
        match rustix::fs::getxattr(path_of(fd), c"security.capability", &mut [0_u8; CAPABILITY_BYTES]) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            Ok(_) | Err(Errno::RANGE) => rustix::fs::removexattr(path_of(fd), c"security.capability"),
            Err(error) => Err(error),
        }
    }
}

impl<'a> Handle<'a> {
    /// Reaches the entry `name` of this kind without opening it; anything else by that name is refused.
    pub(crate) fn reach(directory: BorrowedFd<'_>, name: &[u8], kind: Kind) -> rustix::io::Result<(OwnedFd, Found)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(directory, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if kind_of(FileType::from_raw_mode(stat.st_mode)) != kind {
            return Err(Errno::INVAL);
        }
        Ok((fd, Found::from(stat)))
    }

    /// An open file or directory.
    pub(crate) fn open(fd: &'a impl AsFd) -> Self {
        Self::Open(fd.as_fd())
    }
}

/// A directory whose attributes are to change. One that may not be read is only reached.
#[derive(Debug)]
pub(crate) struct HeldDirectory {
    fd: OwnedFd,
    is_open: bool,
}

impl HeldDirectory {
    /// The directory at `path`.
    pub(crate) fn open(root: &Root, path: &RelPath) -> rustix::io::Result<Self> {
        match root.open_directory(path, Access::Read) {
            Ok(fd) => Ok(Self { fd, is_open: true }),
            Err(Errno::ACCESS) => Ok(Self { fd: root.open_directory(path, Access::Reach)?, is_open: false }),
            Err(error) => Err(error),
        }
    }

    /// What its attributes are set by.
    pub(crate) fn handle(&self) -> Handle<'_> {
        if self.is_open { Handle::Open(self.fd.as_fd()) } else { Handle::Reached(self.fd.as_fd()) }
    }
}
