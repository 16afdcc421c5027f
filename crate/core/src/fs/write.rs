//! Making entries. Content is written beside its target under a temporary name and renamed when it is complete, so
//! every path holds its old or its whole new content at any instant.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use sparsync_proto::{Kind, Time};

/// Attributes to be set; what is absent stays as the system made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attrs {
    /// Owner.
    pub(crate) uid: Option<u32>,
    /// Group.
    pub(crate) gid: Option<u32>,
    /// Permission bits.
    pub(crate) mode: Option<u16>,
    /// Modification time.
    pub(crate) mtime: Option<Time>,
}

impl Attrs {
    /// Whether nothing is to be set.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn mode(bits: u16) -> Mode {
    Mode::from_raw_mode(bits.into())
}

fn times(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
    }
}

fn owner(id: Option<u32>) -> Option<rustix::fs::Uid> {
    id.map(rustix::fs::Uid::from_raw)
}

fn group(id: Option<u32>) -> Option<rustix::fs::Gid> {
    id.map(rustix::fs::Gid::from_raw)
}

/// Sets attributes on an open file or directory: owner first, because changing it clears set-id bits.
fn apply(fd: BorrowedFd<'_>, attrs: &Attrs) -> rustix::io::Result<()> {
    if attrs.uid.is_some() || attrs.gid.is_some() {
        rustix::fs::fchown(fd, owner(attrs.uid), group(attrs.gid))?;
    }
    if let Some(bits) = attrs.mode {
        rustix::fs::fchmod(fd, mode(bits))?;
    }
    if let Some(mtime) = attrs.mtime {
        rustix::fs::futimens(fd, &times(mtime))?;
    }
    Ok(())
}

/// The same on a descriptor that only reaches its object, which `fchmod` and `futimens` do not take.
fn apply_reaching(fd: BorrowedFd<'_>, attrs: &Attrs) -> rustix::io::Result<()> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    if attrs.uid.is_some() || attrs.gid.is_some() {
        rustix::fs::chownat(fd, c"", owner(attrs.uid), group(attrs.gid), AtFlags::EMPTY_PATH)?;
    }
    if let Some(bits) = attrs.mode {
        rustix::fs::chmodat(CWD, &path, mode(bits), AtFlags::empty())?;
    }
    if let Some(mtime) = attrs.mtime {
        rustix::fs::utimensat(CWD, &path, &times(mtime), AtFlags::empty())?;
    }
    Ok(())
}

/// A file that has no name of its own yet.
#[derive(Debug)]
pub(crate) struct NewFile {
    fd: OwnedFd,
    temp_name: Vec<u8>,
}

impl NewFile {
    /// Makes a file under a temporary name. `bits` is what the kernel starts from; its umask and the directory's
    /// default ACL apply as to any file made there.
    pub(crate) fn create(directory: impl AsFd, temp_name: Vec<u8>, bits: u16) -> rustix::io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(directory, &temp_name[..], flags, mode(bits & 0o777))?;
        Ok(Self { fd, temp_name })
    }

    /// Opens the part that an earlier run kept under `temp_name`.
    pub(crate) fn reopen(directory: impl AsFd, temp_name: Vec<u8>) -> rustix::io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(directory, &temp_name[..], flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile || stat.st_nlink != 1
        {
            return Err(Errno::INVAL);
        }
        Ok(Self { fd, temp_name })
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Bytes that it has now.
    pub(crate) fn len(&self) -> rustix::io::Result<u64> {
        Ok(rustix::fs::fstat(&self.fd)?.st_size.try_into().unwrap_or(0))
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write(&self, mut bytes: &[u8], mut offset: u64) -> rustix::io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(&self.fd, bytes, offset) {
                Ok(0) => return Err(Errno::IO),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes it exactly this long.
    pub(crate) fn set_len(&self, bytes: u64) -> rustix::io::Result<()> {
        rustix::fs::ftruncate(&self.fd, bytes)
    }

    /// Sets its attributes.
    pub(crate) fn set_attrs(&self, attrs: &Attrs) -> rustix::io::Result<()> {
        apply(self.fd.as_fd(), attrs)
    }

    /// Writes its content and attributes to the device.
    pub(crate) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(&self.fd)
    }

    /// Closes it; what is left is the temporary name.
    pub(crate) fn close(self) -> Vec<u8> {
        self.temp_name
    }
}

/// What stood where a new entry was put.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Displaced {
    /// Nothing, or something that the rename replaced.
    Gone,
    /// A directory, which now has the new entry's temporary name.
    Directory,
}

/// Gives an entry its name. A directory of that name is exchanged, not lost.
pub(crate) fn put_in_place(directory: BorrowedFd<'_>, temp_name: &[u8], name: &[u8]) -> rustix::io::Result<Displaced> {
    match rustix::fs::renameat(directory, temp_name, directory, name) {
        Ok(()) => Ok(Displaced::Gone),
        Err(Errno::ISDIR | Errno::NOTDIR | Errno::EXIST | Errno::NOTEMPTY) => {
            rustix::fs::renameat_with(directory, temp_name, directory, name, RenameFlags::EXCHANGE)?;
            Ok(Displaced::Directory)
        }
        Err(error) => Err(error),
    }
}

/// Makes a directory, in place of a file or symlink when one stands there and `replaces` is set. The owner may always enter it until its
/// own mode is set at the end.
pub(crate) fn make_directory(
    parent: BorrowedFd<'_>,
    name: &[u8],
    bits: u16,
    replaces: bool,
    temp_name: impl FnOnce() -> Vec<u8>,
) -> rustix::io::Result<()> {
    let bits = mode(bits & 0o777 | 0o700);
    match rustix::fs::mkdirat(parent, name, bits) {
        Err(Errno::EXIST) => {}
        result => return result,
    }
    let there = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if rustix::fs::FileType::from_raw_mode(there.st_mode) == rustix::fs::FileType::Directory {
        return Ok(());
    }
    if !replaces {
        return Err(Errno::EXIST);
    }
    let temp_name = temp_name();
    rustix::fs::mkdirat(parent, &temp_name[..], bits)?;
    rustix::fs::renameat_with(parent, &temp_name[..], parent, name, RenameFlags::EXCHANGE)?;
    rustix::fs::unlinkat(parent, &temp_name[..], AtFlags::empty())
}

/// Makes a symlink under `temp_name`.
pub(crate) fn make_symlink(
    directory: BorrowedFd<'_>,
    temp_name: &[u8],
    target: &[u8],
    attrs: &Attrs,
) -> rustix::io::Result<()> {
    rustix::fs::symlinkat(target, directory, temp_name)?;
    adjust(directory, temp_name, Kind::Symlink, attrs)
}

/// Sets the attributes of the entry `name`, if it still is what it was.
pub(crate) fn adjust(directory: BorrowedFd<'_>, name: &[u8], kind: Kind, attrs: &Attrs) -> rustix::io::Result<()> {
    if kind == Kind::Symlink {
        if attrs.uid.is_some() || attrs.gid.is_some() {
            let (uid, gid) = (owner(attrs.uid), group(attrs.gid));
            rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if let Some(mtime) = attrs.mtime {
            rustix::fs::utimensat(directory, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let found = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if found != rustix::fs::FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    apply_reaching(fd.as_fd(), attrs)
}

/// Sets the attributes of an open directory, which may have been opened only to reach it.
pub(crate) fn set_directory_attrs(directory: BorrowedFd<'_>, attrs: &Attrs) -> rustix::io::Result<()> {
    match apply(directory, attrs) {
        Err(Errno::BADF) => apply_reaching(directory, attrs),
        result => result,
    }
}

/// Removes an unfinished file. Should that fail, a later run sweeps it.
pub(crate) fn remove_temp(directory: impl AsFd, temp_name: &[u8]) {
    let _ = rustix::fs::unlinkat(directory, temp_name, AtFlags::empty());
}
