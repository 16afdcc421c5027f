//! A file by its descriptor.

use std::os::fd::OwnedFd;

use rustix::fs::SeekFrom;
use rustix::io::{Errno, Result};

use super::status::status;
use crate::storage::{File, Status};

/// A file of a tree.
#[derive(Debug)]
pub(crate) struct FsFile {
    fd: OwnedFd,
}

impl FsFile {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl FsFile {
    /// The descriptor.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

impl File for FsFile {
    fn status(&self) -> Result<Status> {
        status(&self.fd, b"")
    }

    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize> {
        loop {
            match rustix::io::pread(&self.fd, rustix::buffer::spare_capacity(buffer), offset) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
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
}
