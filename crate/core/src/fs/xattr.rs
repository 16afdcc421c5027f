//! The calls for extended attributes, by held descriptors. What is carried, and what becomes of an error, is not
//! decided here.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::XattrFlags;

use crate::storage::{CallError, Result};

/// A path for a descriptor, for calls that take no descriptor, or for an entry of the directory that is open there. The
/// calls that take a name do not follow a symlink of that name.
fn path_of(fd: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes();
    if !name.is_empty() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// The names of all attributes, each with a NUL at its end, in the order of the file system.
pub(super) fn list(fd: BorrowedFd<'_>, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
    let path = path_of(fd, name);
    let listed =
        if name.is_empty() { rustix::fs::listxattr(path, buffer) } else { rustix::fs::llistxattr(path, buffer) };
    listed.map_err(CallError::of("listxattr"))
}

/// The value of one attribute.
pub(super) fn get(fd: BorrowedFd<'_>, name: &[u8], attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
    let path = path_of(fd, name);
    let got = if name.is_empty() {
        rustix::fs::getxattr(path, attribute, buffer)
    } else {
        rustix::fs::lgetxattr(path, attribute, buffer)
    };
    got.map_err(CallError::of("getxattr"))
}

/// Sets one attribute of the open entry, new or not.
pub(super) fn set(fd: BorrowedFd<'_>, attribute: &[u8], value: &[u8]) -> Result<()> {
    rustix::fs::setxattr(path_of(fd, b""), attribute, value, XattrFlags::empty()).map_err(CallError::of("setxattr"))
}

/// Removes one attribute of the open entry.
pub(super) fn remove(fd: BorrowedFd<'_>, attribute: &[u8]) -> Result<()> {
    rustix::fs::removexattr(path_of(fd, b""), attribute).map_err(CallError::of("removexattr"))
}
