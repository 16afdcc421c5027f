//! A directory by its descriptor.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Result;
use sparsync_proto::Kind;

use super::file::FsFile;
use super::status::{kind_of, status};
use crate::storage::{Directory, NameBuffer, Status};

/// A directory of a tree.
#[derive(Debug)]
pub(crate) struct FsDirectory {
    fd: OwnedFd,
}

impl FsDirectory {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl Directory for FsDirectory {
    type File = FsFile;

    fn names(&self, buffer: &mut NameBuffer, mut each: impl FnMut(&[u8], Option<Kind>) -> Result<()>) -> Result<()> {
        let mut entries = RawDir::new(&self.fd, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // Not every file system says the type here.
            let found = entry.file_type();
            each(name, (found != FileType::Unknown).then(|| kind_of(found)))?;
        }
        Ok(())
    }

    fn status(&self, name: &[u8]) -> Result<Status> {
        status(&self.fd, name)
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        rustix::fs::readlinkat(&self.fd, name, Vec::new()).map(std::ffi::CString::into_bytes)
    }

    fn open_file(&self, name: &[u8]) -> Result<FsFile> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map(FsFile::new)
    }
}
