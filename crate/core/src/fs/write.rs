//! Making entries. Content is written beside its target under a temporary name and renamed when it is complete, so
//! every path holds its old or its whole new content at any instant.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::file::FsFile;

fn mode(bits: u16) -> Mode {
    Mode::from_raw_mode(bits.into())
}

/// A file that has no name of its own yet.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: FsFile,
    temp_name: Vec<u8>,
}

impl NewFile {
    /// Makes a file under a temporary name. `bits` is what the kernel starts from; its umask and the directory's
    /// default ACL apply as to any file made there.
    pub(crate) fn create(directory: impl AsFd, temp_name: Vec<u8>, bits: u16) -> rustix::io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(directory, &temp_name[..], flags, mode(bits & 0o777))?;
        Ok(Self { file: FsFile::new(fd), temp_name })
    }

    /// Opens the part that an earlier run kept under `temp_name`.
    pub(crate) fn reopen(directory: impl AsFd, temp_name: Vec<u8>) -> rustix::io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(directory, &temp_name[..], flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return Err(Errno::INVAL);
        }
        Ok(Self { file: FsFile::new(fd), temp_name })
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> &OwnedFd {
        self.file.fd()
    }

    /// The open file.
    pub(crate) fn file(&self) -> &FsFile {
        &self.file
    }

    /// Bytes that it has now.
    pub(crate) fn len(&self) -> rustix::io::Result<u64> {
        Ok(rustix::fs::fstat(self.fd())?.st_size.try_into().unwrap_or(0))
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write(&self, mut bytes: &[u8], mut offset: u64) -> rustix::io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(self.fd(), bytes, offset) {
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

    /// Cuts off what lies behind `bytes`. A shorter file stays as it is: a file system may write a new length to disk
    /// long before the data, and a power cut in between leaves zeros that no comparison of size and time tells apart.
    pub(crate) fn cut(&self, bytes: u64) -> rustix::io::Result<()> {
        if self.len()? > bytes { rustix::fs::ftruncate(self.fd(), bytes) } else { Ok(()) }
    }

    /// Ends it in a hole that reaches to `bytes`. No write makes that length, so everything is flushed before anything
    /// else says that the file is complete.
    pub(crate) fn end_in_hole(&self, bytes: u64) -> rustix::io::Result<()> {
        rustix::fs::ftruncate(self.fd(), bytes)?;
        self.sync()
    }

    /// Writes its content and attributes to the device.
    pub(crate) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(self.fd())
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
    if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
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
pub(crate) fn make_symlink(directory: impl AsFd, temp_name: &[u8], target: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::symlinkat(target, directory, temp_name)
}

/// Makes a FIFO under `temp_name`. The umask and the directory's default ACL apply to `bits` as to those of a file.
pub(crate) fn make_fifo(directory: impl AsFd, temp_name: &[u8], bits: u16) -> rustix::io::Result<()> {
    rustix::fs::mknodat(directory, temp_name, FileType::Fifo, mode(bits & 0o777), 0)
}

/// Removes an unfinished file. Should that fail, a later run sweeps it.
pub(crate) fn remove_temp(directory: impl AsFd, temp_name: &[u8]) {
    let _ = rustix::fs::unlinkat(directory, temp_name, AtFlags::empty());
}
