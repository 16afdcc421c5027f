//! Reading content.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use sparsync_proto::ContentDigest;

/// Bytes read at once from large files.
const READ_BYTES: usize = 256 << 10;

/// Opens a source file: not through a symlink, and without waiting for a writer should it have become a FIFO.
pub(crate) fn open_source(directory: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// Reads at `offset` until `buffer` is full or the file ends.
fn read_full(file: impl AsFd, buffer: &mut [u8], offset: u64) -> rustix::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match rustix::io::pread(file.as_fd(), &mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Reads at `offset` into the room that `buffer` has left, as much as comes at once; nothing at the end of the file.
pub(crate) fn read_some(file: impl AsFd, buffer: &mut Vec<u8>, offset: u64) -> rustix::io::Result<usize> {
    loop {
        match rustix::io::pread(file.as_fd(), rustix::buffer::spare_capacity(buffer), offset) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Buffers for hashing the files of a directory.
#[derive(Default)]
pub(crate) struct Contents {
    buffer: Vec<u8>,
    /// The digests of the directory that is being scanned.
    pub(super) digests: Vec<ContentDigest>,
}

impl Contents {
    /// The digest of the whole file.
    pub(super) fn hash_file(&mut self, directory: impl AsFd, name: &[u8]) -> rustix::io::Result<ContentDigest> {
        let file = open_source(directory, name)?;
        let mut hasher = blake3::Hasher::new();
        hash_into(&mut hasher, &file, u64::MAX, &mut self.buffer)?;
        Ok(*hasher.finalize().as_bytes())
    }
}

fn hash_into(
    hasher: &mut blake3::Hasher,
    file: &OwnedFd,
    bytes_max: u64,
    buffer: &mut Vec<u8>,
) -> rustix::io::Result<u64> {
    buffer.resize(READ_BYTES, 0);
    let mut done = 0;
    while done < bytes_max {
        let want = usize::try_from(bytes_max - done).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let read = read_full(file, &mut buffer[..want], done)?;
        hasher.update(&buffer[..read]);
        done += read as u64;
        if read < want {
            break;
        }
    }
    Ok(done)
}

/// Feeds the first `bytes` of a file to a new hasher; nothing when it is shorter.
pub(crate) fn hash_prefix(file: &OwnedFd, bytes: u64) -> rustix::io::Result<Option<blake3::Hasher>> {
    let mut hasher = blake3::Hasher::new();
    let read = hash_into(&mut hasher, file, bytes, &mut Vec::new())?;
    Ok((read == bytes).then_some(hasher))
}
