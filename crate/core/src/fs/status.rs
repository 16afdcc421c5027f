//! What an entry is: by `statx`, or by `fstatat` where a sandbox forbids that or a kernel does not have it.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Stat, Statx, StatxAttributes, StatxFlags, makedev};
use rustix::io::Errno;
use rustix::path::Arg;
use sparsync_proto::{Device, Kind, Meta, Time};

use crate::storage::{CallError, Result, Stamp, Status};

const STATX: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::UID)
    .union(StatxFlags::GID)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME)
    .union(StatxFlags::INO)
    .union(StatxFlags::SIZE)
    .union(StatxFlags::BLOCKS);

/// Whether `statx` works. A sandbox may forbid it, so the first use finds out.
static HAS_STATX: AtomicBool = AtomicBool::new(true);

/// The status of the entry `name`, or of `directory` itself when the name is empty. A symlink is not followed.
#[inline]
pub(crate) fn status(directory: impl AsFd, name: &[u8]) -> Result<Status> {
    // The kernel takes 5 % longer over a name when it may be empty.
    let empty = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
    look(directory, name, AtFlags::SYMLINK_NOFOLLOW | empty)
}

/// The status of what the operator's own path leads to.
pub(crate) fn status_at(path: &[u8]) -> Result<Status> {
    look(CWD, path, AtFlags::empty())
}

/// The same of an entry that a listing gave: its name needs no copy with a NUL behind it, which would be a tenth of a
/// walk.
#[inline]
pub(super) fn status_of_listed(directory: impl AsFd, name: &CStr) -> Result<Status> {
    look(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

#[inline]
fn look(directory: impl AsFd, name: impl Arg + Copy, flags: AtFlags) -> Result<Status> {
    if HAS_STATX.load(Ordering::Relaxed) {
        // `STATX_FORCE_SYNC` is not set: on a network file system the cached status is as good as that of an ordinary
        // `stat`.
        match rustix::fs::statx(&directory, name, flags, STATX) {
            Err(Errno::NOSYS | Errno::PERM) => {}
            Err(errno) => return Err(CallError::of("statx")(errno)),
            Ok(stat) => return Ok(Status::from(&stat)),
        }
    }
    let found = rustix::fs::statat(&directory, name, flags).map_err(CallError::of("fstatat"))?;
    HAS_STATX.store(false, Ordering::Relaxed);
    Ok(Status::from(&found))
}

/// When the entry `name` was last read. It is asked for separately, because on a network file system it may cost more
/// than the rest of the status.
pub(super) fn access_time(directory: impl AsFd, name: &[u8]) -> Result<Time> {
    if HAS_STATX.load(Ordering::Relaxed) {
        match rustix::fs::statx(&directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::ATIME) {
            Err(Errno::NOSYS | Errno::PERM) => {}
            found => {
                let found = found.map_err(CallError::of("statx"))?.stx_atime;
                return Ok(Time { seconds: found.tv_sec, nanos: found.tv_nsec });
            }
        }
    }
    let found = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(CallError::of("fstatat"))?;
    Ok(Time { seconds: found.st_atime, nanos: u32::try_from(found.st_atime_nsec).unwrap_or(0) })
}

/// The engine's kind for a type of the system.
pub(super) fn kind_of(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::Socket => Kind::Socket,
        FileType::Unknown => Kind::Special,
    }
}

impl From<&Statx> for Status {
    #[inline]
    fn from(stat: &Statx) -> Self {
        let time = |stamp: rustix::fs::StatxTimestamp| Time { seconds: stamp.tv_sec, nanos: stamp.tv_nsec };
        Self {
            kind: kind_of(FileType::from_raw_mode(stat.stx_mode.into())),
            meta: Meta {
                mode: stat.stx_mode & 0o7777,
                uid: stat.stx_uid,
                gid: stat.stx_gid,
                mtime: time(stat.stx_mtime),
            },
            size: stat.stx_size,
            rdev: Device { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor },
            stamp: Stamp {
                ctime: time(stat.stx_ctime),
                ino: stat.stx_ino,
                may_have_holes: stat.stx_blocks.saturating_mul(512) < stat.stx_size,
            },
            device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            links: stat.stx_nlink,
            is_mount_point: stat
                .stx_attributes_mask
                .contains(StatxAttributes::MOUNT_ROOT)
                .then(|| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        }
    }
}

impl From<&Stat> for Status {
    fn from(stat: &Stat) -> Self {
        let time = |seconds, nanos: u64| Time { seconds, nanos: u32::try_from(nanos).unwrap_or(0) };
        let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
        Self {
            kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
            meta: Meta {
                mode: u16::try_from(stat.st_mode & 0o7777).unwrap_or(0),
                uid: stat.st_uid,
                gid: stat.st_gid,
                mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            },
            size: unsigned(stat.st_size),
            rdev: Device { major: rustix::fs::major(stat.st_rdev), minor: rustix::fs::minor(stat.st_rdev) },
            stamp: Stamp {
                ctime: time(stat.st_ctime, stat.st_ctime_nsec),
                ino: stat.st_ino,
                may_have_holes: unsigned(stat.st_blocks).saturating_mul(512) < unsigned(stat.st_size),
            },
            device: stat.st_dev,
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            is_mount_point: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Status, status};

    #[test]
    fn both_calls_tell_the_same() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("f"), b"content").unwrap();
        std::fs::hard_link(directory.path().join("f"), directory.path().join("g")).unwrap();
        std::os::unix::fs::symlink("f", directory.path().join("l")).unwrap();
        let held = std::fs::File::open(directory.path()).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("s")).unwrap();
        for name in [&b"f"[..], b"l", b"s", b""] {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW | rustix::fs::AtFlags::EMPTY_PATH;
            let plain = Status::from(&rustix::fs::statat(&held, name, flags).unwrap());
            let full = status(&held, name).unwrap();
            assert_eq!((plain.kind, plain.meta, plain.size), (full.kind, full.meta, full.size));
            assert_eq!((plain.stamp, plain.device, plain.links), (full.stamp, full.device, full.links));
            assert_eq!(plain.rdev, full.rdev);
            assert_eq!((plain.is_mount_point, full.is_mount_point), (None, Some(false)));
        }
    }
}
