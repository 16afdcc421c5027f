//! What sets the attributes of an entry: as they are, or stored as extended attributes.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use sparsync_proto::Time;

use super::adjust::Handle;
use super::fake_super;
use crate::storage::{Adjust, CallError, FileSystemId, Found, Result};

/// An entry whose attributes are set.
pub(super) struct Settable<'a> {
    pub(super) handle: Handle<'a>,
    /// Attributes that take root are stored.
    pub(super) is_fake: bool,
}

impl Settable<'_> {
    /// Runs `work` on a descriptor of the entry. A stored symlink is a file, so it has one, unlike a real symlink.
    fn held<T>(&self, work: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        if let Handle::Symlink(directory, name) = &self.handle {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(directory, *name, flags, Mode::empty()).map_err(CallError::of("openat"))?;
            return work(fd.as_fd());
        }
        work(self.handle.held()?)
    }
}

impl Adjust for Settable<'_> {
    fn found(&self) -> Result<Found> {
        if self.is_fake { self.held(fake_super::found) } else { self.handle.found() }
    }

    fn file_system(&self) -> Result<FileSystemId> {
        self.handle.file_system()
    }

    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        if self.is_fake {
            return self.held(|fd| fake_super::set_owner(fd, uid, gid));
        }
        self.handle.set_owner(uid, gid)
    }

    fn set_mode(&self, bits: u16) -> Result<()> {
        if self.is_fake {
            return self.held(|fd| fake_super::set_mode(fd, bits, |real| self.handle.set_mode(real)));
        }
        self.handle.set_mode(bits)
    }

    fn set_times(&self, atime: Option<Time>, mtime: Option<Time>) -> Result<()> {
        self.handle.set_times(atime, mtime)
    }

    fn list_xattrs(&self, buffer: &mut [u8]) -> Result<usize> {
        if self.is_fake {
            return self.held(|fd| fake_super::list_xattrs(fd, b"", buffer));
        }
        self.handle.list_xattrs(buffer)
    }

    fn get_xattr(&self, attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
        if self.is_fake {
            return self.held(|fd| fake_super::get_xattr(fd, b"", attribute, buffer));
        }
        self.handle.get_xattr(attribute, buffer)
    }

    fn set_xattr(&self, attribute: &[u8], value: &[u8]) -> Result<()> {
        if self.is_fake {
            return self.held(|fd| fake_super::set_xattr(fd, attribute, value));
        }
        self.handle.set_xattr(attribute, value)
    }

    fn remove_xattr(&self, attribute: &[u8]) -> Result<()> {
        if self.is_fake {
            return self.held(|fd| fake_super::remove_xattr(fd, attribute));
        }
        self.handle.remove_xattr(attribute)
    }

    fn drop_capabilities(&self) -> Result<()> {
        if self.is_fake { self.held(fake_super::drop_capabilities) } else { self.handle.drop_capabilities() }
    }
}
