//! A file by its descriptor.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{OFlags, SeekFrom};
use rustix::io::{Errno, retry_on_intr};

use super::adjust::Handle;
use super::fake_super::fake_status;
use super::settable::Settable;
use super::status::status;
use crate::storage::{Adjust, CallError, File, Lent, Result, Status, WriteFile};

/// A file of a tree.
#[derive(Debug)]
pub(crate) struct FsFile {
    fd: OwnedFd,
    is_fake: bool,
}

impl FsFile {
    /// `is_fake`: what takes root is stored.
    pub(super) fn new(fd: OwnedFd, is_fake: bool) -> Self {
        Self { fd, is_fake }
    }
}

impl File for FsFile {
    fn status(&self) -> Result<Status> {
        if self.is_fake { fake_status(self.fd.as_fd(), b"") } else { status(&self.fd, b"") }
    }

    fn keep_access_time(&self) {
        // Others' files are read as always.
        let _ = rustix::fs::fcntl_getfl(&self.fd)
            .and_then(|flags| rustix::fs::fcntl_setfl(&self.fd, flags | OFlags::NOATIME));
    }

    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize> {
        retry_on_intr(|| rustix::io::pread(&self.fd, rustix::buffer::spare_capacity(buffer), offset))
            .map_err(CallError::of("pread64"))
    }

    fn next_data(&self, at: u64, size: u64) -> (u64, u64) {
        let data = match rustix::fs::seek(&self.fd, SeekFrom::Data(at)) {
            Ok(data) => data.clamp(at, size),
            Err(Errno::NXIO) => return (size, size),
            Err(_) => return (at, size),
        };
        let end = rustix::fs::seek(&self.fd, SeekFrom::Hole(data)).map_or(size, |end| end.min(size));
        // What was written between the two calls: the range goes on, and so does the reading.
        (data, if end > data { end } else { size })
    }

    fn lend(&self) -> Result<Box<dyn Lent>> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0).map_err(CallError::of("fcntl"))?;
        Ok(Box::new(Self { fd, is_fake: self.is_fake }))
    }
}

impl WriteFile for FsFile {
    fn handle(&self) -> impl Adjust {
        Settable { handle: Handle::Open(self.fd.as_fd()), is_fake: self.is_fake }
    }

    fn write(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            let count = retry_on_intr(|| rustix::io::pwrite(&self.fd, bytes, offset));
            match count.map_err(CallError::of("pwrite64"))? {
                0 => return Err(CallError { call: "pwrite64", errno: Errno::IO }),
                count => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> Result<()> {
        use rustix::fs::FallocateFlags;
        rustix::fs::fallocate(&self.fd, FallocateFlags::KEEP_SIZE, 0, bytes).map_err(CallError::of("fallocate"))
    }

    fn share_all(&self, from: &dyn Lent) -> Result<()> {
        let from = from.as_any().downcast_ref::<Self>().ok_or(Errno::XDEV)?;
        rustix::fs::ioctl_ficlone(&self.fd, &from.fd).map_err(CallError::of("ioctl"))
    }

    fn copy_range(&self, (from, mut offset): (&dyn Lent, u64), mut at: u64, bytes: u64) -> Result<u64> {
        let from = from.as_any().downcast_ref::<Self>().ok_or(Errno::XDEV)?;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        retry_on_intr(|| rustix::fs::copy_file_range(&from.fd, Some(&mut offset), &self.fd, Some(&mut at), bytes))
            .map(|count| count as u64)
            .map_err(CallError::of("copy_file_range"))
    }

    fn set_length(&self, bytes: u64) -> Result<()> {
        rustix::fs::ftruncate(&self.fd, bytes).map_err(CallError::of("ftruncate"))
    }

    fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).map_err(CallError::of("fsync"))
    }
}
