//! The calls that set an entry's attributes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use sparsync_proto::Time;

use super::xattr;
use crate::storage::{Adjust, CallError, FileSystemId, Found, Result};

/// An entry whose attributes are set.
#[derive(Debug)]
pub(super) enum Handle<'a> {
    /// It is open.
    Open(BorrowedFd<'a>),
    /// The descriptor was only opened to reach the entry; `fchmod` and `futimens` do not take such a one.
    Reached(BorrowedFd<'a>),
    /// The same, for this one use.
    ReachedHere(OwnedFd),
    /// A symlink, which cannot be opened.
    Symlink(BorrowedFd<'a>, &'a [u8]),
}

impl From<Stat> for Found {
    fn from(stat: Stat) -> Self {
        Self { mode: u16::try_from(stat.st_mode & 0o7777).unwrap_or(0), uid: stat.st_uid, gid: stat.st_gid }
    }
}

/// Bytes of a file's capabilities in their longest form.
const CAPABILITY_BYTES: usize = 24;

/// The path of a held descriptor, for calls that take none.
pub(super) fn path_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Types of file systems that have no room for owners and permission bits (FAT and exFAT, by `statfs`). They answer as
/// if a right were missing.
const WITHOUT_OWNERS: [i64; 2] = [0x4d44, 0x2011_bab0];

/// Why owner or mode could not be set: the file system may have no room for them.
fn refused(call: &'static str, errno: Errno, fd: BorrowedFd<'_>) -> CallError {
    let has_no_room = || rustix::fs::fstatfs(fd).is_ok_and(|found| WITHOUT_OWNERS.contains(&found.f_type));
    CallError { call, errno: if errno == Errno::PERM && has_no_room() { Errno::OPNOTSUPP } else { errno } }
}

impl Handle<'_> {
    /// The descriptor of the entry. A symlink has none, and no attributes of the kinds that need one.
    pub(super) fn held(&self) -> Result<BorrowedFd<'_>> {
        match self {
            Self::Open(fd) | Self::Reached(fd) => Ok(*fd),
            Self::ReachedHere(fd) => Ok(fd.as_fd()),
            Self::Symlink(..) => Err(Errno::OPNOTSUPP.into()),
        }
    }
}

/// A time as the system takes it; one that is absent stays.
fn timespec(time: Option<Time>) -> Timespec {
    time.map_or(Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT }, |time| Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanos.into(),
    })
}

impl Adjust for Handle<'_> {
    fn found(&self) -> Result<Found> {
        match self {
            Self::Open(fd) | Self::Reached(fd) => rustix::fs::fstat(fd),
            Self::ReachedHere(fd) => rustix::fs::fstat(fd),
            Self::Symlink(directory, name) => rustix::fs::statat(directory, *name, AtFlags::SYMLINK_NOFOLLOW),
        }
        .map(Found::from)
        .map_err(CallError::of("fstat"))
    }

    fn file_system(&self) -> Result<FileSystemId> {
        match self {
            Self::Open(fd) | Self::Reached(fd) => rustix::fs::fstat(fd),
            Self::ReachedHere(fd) => rustix::fs::fstat(fd),
            Self::Symlink(directory, _) => rustix::fs::fstat(directory),
        }
        .map(|stat| FileSystemId(stat.st_dev))
        .map_err(CallError::of("fstat"))
    }

    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid_raw, gid_raw) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        match self {
            Self::Open(fd) => rustix::fs::fchown(fd, uid_raw, gid_raw).map_err(|errno| refused("fchown", errno, *fd)),
            Self::Reached(fd) => rustix::fs::chownat(fd, c"", uid_raw, gid_raw, AtFlags::EMPTY_PATH)
                .map_err(|errno| refused("fchownat", errno, *fd)),
            Self::ReachedHere(fd) => Handle::Reached(fd.as_fd()).set_owner(uid, gid),
            Self::Symlink(directory, name) => {
                rustix::fs::chownat(directory, *name, uid_raw, gid_raw, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(CallError::of("fchownat"))
            }
        }
    }

    fn set_mode(&self, bits: u16) -> Result<()> {
        let mode = Mode::from_raw_mode(bits.into());
        match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode).map_err(|errno| refused("fchmod", errno, *fd)),
            Self::Reached(fd) => rustix::fs::chmodat(CWD, path_of(*fd), mode, AtFlags::empty())
                .map_err(|errno| refused("fchmodat", errno, *fd)),
            Self::ReachedHere(fd) => Handle::Reached(fd.as_fd()).set_mode(bits),
            Self::Symlink(..) => Err(Errno::OPNOTSUPP.into()),
        }
    }

    fn set_times(&self, atime: Option<Time>, mtime: Option<Time>) -> Result<()> {
        let times = Timestamps { last_access: timespec(atime), last_modification: timespec(mtime) };
        match self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times).map_err(CallError::of("utimensat")),
            Self::Reached(fd) => {
                rustix::fs::utimensat(CWD, path_of(*fd), &times, AtFlags::empty()).map_err(CallError::of("utimensat"))
            }
            Self::ReachedHere(fd) => Handle::Reached(fd.as_fd()).set_times(atime, mtime),
            Self::Symlink(directory, name) => {
                rustix::fs::utimensat(directory, *name, &times, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(CallError::of("utimensat"))
            }
        }
    }

    fn list_xattrs(&self, buffer: &mut [u8]) -> Result<usize> {
        xattr::list(self.held()?, b"", buffer)
    }

    fn get_xattr(&self, attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
        xattr::get(self.held()?, b"", attribute, buffer)
    }

    fn set_xattr(&self, attribute: &[u8], value: &[u8]) -> Result<()> {
        xattr::set(self.held()?, attribute, value)
    }

    fn remove_xattr(&self, attribute: &[u8]) -> Result<()> {
        xattr::remove(self.held()?, attribute)
    }

    fn drop_capabilities(&self) -> Result<()> {
        let Ok(held) = self.held() else { return Ok(()) };
        let path = path_of(held);
        // Looking for capabilities takes no privilege, and removing them does, even where there are none.
        match rustix::fs::getxattr(&path, c"security.capability", &mut [0_u8; CAPABILITY_BYTES]) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            Ok(_) | Err(Errno::RANGE) => {
                rustix::fs::removexattr(&path, c"security.capability").map_err(CallError::of("removexattr"))
            }
            Err(errno) => Err(CallError { call: "getxattr", errno }),
        }
    }
}
