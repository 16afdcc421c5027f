//! What takes root, stored as extended attributes of one's own, as rsync does with `--fake-super`: owners, modes,
//! kinds, ACLs, and attributes of other namespaces. The stored forms are those of [`sparsync_proto`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sparsync_proto::limits::{LINK_BYTES_MAX, XATTR_VALUE_BYTES_MAX};
use sparsync_proto::{
    CAPABILITY, Device, FAKE_STAT, FakeStat, Kind, Meta, acl_of_stored, is_acl, is_foreign_xattr, name_of_stored,
    stored_acl, stored_name,
};

use super::status::{kind_of, status};
use super::xattr;
use crate::storage::{CallError, Found, Result, Status, XATTR_NAMES_BYTES_MAX};

/// Room for the longest text of kind, mode, device number and owners.
const STAT_BYTES_MAX: usize = 128;

/// The attributes that are stored for the entry `name`, or for the open one when the name is empty.
fn stored(fd: BorrowedFd<'_>, name: &[u8]) -> Result<Option<FakeStat>> {
    let mut buffer = [0; STAT_BYTES_MAX];
    match xattr::get(fd, name, FAKE_STAT, &mut buffer) {
        Ok(length) => match FakeStat::read(&buffer[..length]) {
            Some(stat) => Ok(Some(stat)),
            None => Err(CallError { call: "getxattr user.rsync.%stat", errno: Errno::INVAL }),
        },
        Err(CallError { errno: Errno::NODATA | Errno::OPNOTSUPP, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The status of an entry as it is stored. Only a directory stands for a directory, and it stands for nothing else.
pub(super) fn fake_status(fd: BorrowedFd<'_>, name: &[u8]) -> Result<Status> {
    let real = status(fd, name)?;
    if !matches!(real.kind, Kind::File | Kind::Directory) {
        return Ok(real);
    }
    let Some(stat) = stored(fd, name)? else { return Ok(real) };
    if (stat.kind == Kind::Directory) != (real.kind == Kind::Directory) {
        return Err(CallError { call: "getxattr user.rsync.%stat", errno: Errno::INVAL });
    }
    let meta = Meta { mode: stat.mode, uid: stat.uid, gid: stat.gid, ..real.meta };
    Ok(Status { kind: stat.kind, meta, rdev: stat.device, ..real })
}

/// Where the symlink `name` leads, which is the content of a file.
pub(super) fn read_link(fd: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::openat(fd, name, flags, Mode::empty()).map_err(CallError::of("openat"))?;
    let mut target = Vec::with_capacity(LINK_BYTES_MAX + 1);
    rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut target), 0).map_err(CallError::of("pread64"))?;
    if target.len() > LINK_BYTES_MAX { Err(Errno::NAMETOOLONG.into()) } else { Ok(target) }
}

/// Makes a file that stands for an entry of this kind, with this content.
pub(super) fn make(
    fd: BorrowedFd<'_>,
    name: &[u8],
    (kind, device): (Kind, Device),
    bits: u16,
    content: &[u8],
) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode((bits & 0o777 | 0o600).into());
    let file = rustix::fs::openat(fd, name, flags, mode).map_err(CallError::of("openat"))?;
    let filled = fill(&file, (kind, device), bits, content);
    if filled.is_err() {
        // A file without stored attributes would be an entry that the source does not have.
        let _ = rustix::fs::unlinkat(fd, name, AtFlags::empty());
    }
    filled
}

fn fill(file: &OwnedFd, (kind, device): (Kind, Device), bits: u16, content: &[u8]) -> Result<()> {
    if rustix::io::write(file, content).map_err(CallError::of("write"))? < content.len() {
        return Err(Errno::IO.into());
    }
    let real = rustix::fs::fstat(file).map_err(CallError::of("fstat"))?;
    let mode = if kind == Kind::Symlink { bits } else { bits & mode_of(&real) };
    store(file.as_fd(), &FakeStat { kind, mode, device, uid: real.st_uid, gid: real.st_gid })
}

fn mode_of(stat: &Stat) -> u16 {
    u16::try_from(stat.st_mode & 0o7777).unwrap_or(0)
}

/// The attributes that an entry has for its readers.
fn current(fd: BorrowedFd<'_>) -> Result<FakeStat> {
    let found = fake_status(fd, b"")?;
    let Meta { mode, uid, gid, .. } = found.meta;
    Ok(FakeStat { kind: found.kind, mode, device: found.rdev, uid, gid })
}

/// Stores the attributes where they differ from the entry's real ones, and removes stored ones where they do not.
fn store(fd: BorrowedFd<'_>, stat: &FakeStat) -> Result<()> {
    let real = rustix::fs::fstat(fd).map_err(CallError::of("fstat"))?;
    let is_real = stat.kind == kind_of(FileType::from_raw_mode(real.st_mode))
        && (stat.mode, stat.uid, stat.gid) == (mode_of(&real), real.st_uid, real.st_gid);
    if !is_real {
        return xattr::set(fd, FAKE_STAT, &stat.written());
    }
    remove(fd, FAKE_STAT)
}

/// Removes a stored attribute, which need not be there.
fn remove(fd: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match xattr::remove(fd, name) {
        Err(CallError { errno: Errno::NODATA | Errno::OPNOTSUPP, .. }) => Ok(()),
        removed => removed,
    }
}

pub(super) fn found(fd: BorrowedFd<'_>) -> Result<Found> {
    current(fd).map(|stat| Found { mode: stat.mode, uid: stat.uid, gid: stat.gid })
}

pub(super) fn set_owner(fd: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let stat = current(fd)?;
    store(fd, &FakeStat { uid: uid.unwrap_or(stat.uid), gid: gid.unwrap_or(stat.gid), ..stat })
}

/// Sets the stored permission bits; `set_real` sets those of the entry itself.
pub(super) fn set_mode(fd: BorrowedFd<'_>, bits: u16, set_real: impl FnOnce(u16) -> Result<()>) -> Result<()> {
    let stat = FakeStat { mode: bits, ..current(fd)? };
    set_real(stat.real_mode())?;
    store(fd, &stat)
}

/// Whether an attribute of this name that an entry really has counts where none is stored: to root, who may set it, but
/// for ACLs.
fn counts_as_it_is(attribute: &[u8]) -> bool {
    is_foreign_xattr(attribute) && rustix::process::geteuid().is_root()
}

/// The names of the attributes of the entry `name`, in the form of the system's lists.
pub(super) fn list_xattrs(fd: BorrowedFd<'_>, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
    let mut listed = vec![0; XATTR_NAMES_BYTES_MAX];
    let length = xattr::list(fd, name, &mut listed)?;
    let real = || listed[..length].split(|&byte| byte == 0);
    let mut names: Vec<&[u8]> = real().filter_map(name_of_stored).collect();
    let unstored: Vec<&[u8]> = real().filter(|name| counts_as_it_is(name) && !names.contains(name)).collect();
    names.extend(unstored);
    fill_buffer(buffer, &names.into_iter().flat_map(|name| [name, &[0][..]].concat()).collect::<Vec<u8>>())
}

/// The value of one attribute of the entry `name`.
pub(super) fn get_xattr(fd: BorrowedFd<'_>, name: &[u8], attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
    if !is_acl(attribute) {
        return match xattr::get(fd, name, &stored_name(attribute), buffer) {
            Err(CallError { errno: Errno::NODATA | Errno::OPNOTSUPP, .. }) if counts_as_it_is(attribute) => {
                xattr::get(fd, name, attribute, buffer)
            }
            got => got,
        };
    }
    let mut stored = vec![0; XATTR_VALUE_BYTES_MAX];
    let length = xattr::get(fd, name, &stored_name(attribute), &mut stored)?;
    let mode = fake_status(fd, name)?.meta.mode;
    let acl = acl_of_stored(&stored[..length], mode);
    fill_buffer(buffer, &acl.ok_or(CallError { call: "getxattr", errno: Errno::INVAL })?)
}

pub(super) fn set_xattr(fd: BorrowedFd<'_>, attribute: &[u8], value: &[u8]) -> Result<()> {
    let stored = stored_name(attribute);
    if !is_acl(attribute) {
        return xattr::set(fd, &stored, value);
    }
    xattr::set(fd, &stored, &stored_acl(attribute, value).ok_or(Errno::INVAL)?)
}

/// Removes an attribute, stored or real.
pub(super) fn remove_xattr(fd: BorrowedFd<'_>, attribute: &[u8]) -> Result<()> {
    let stored = stored_name(attribute);
    if !counts_as_it_is(attribute) {
        return xattr::remove(fd, &stored);
    }
    remove(fd, &stored)?;
    remove(fd, attribute)
}

pub(super) fn drop_capabilities(fd: BorrowedFd<'_>) -> Result<()> {
    remove(fd, &stored_name(CAPABILITY))
}

/// Copies bytes into a buffer as the system's calls do, and gives how many.
fn fill_buffer(buffer: &mut [u8], bytes: &[u8]) -> Result<usize> {
    buffer.get_mut(..bytes.len()).ok_or(Errno::RANGE)?.copy_from_slice(bytes);
    Ok(bytes.len())
}
