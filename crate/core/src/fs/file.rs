//! A file by its descriptor.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, OFlags, SeekFrom};
use rustix::io::{Errno, retry_on_intr};
use sparsync_proto::Time;

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
    /// The content of the device, where a device is taken for a file.
    content: Option<DeviceContent>,
}

/// The content of a device.
#[derive(Clone, Copy, Debug)]
struct DeviceContent {
    /// How much. A character device holds nothing.
    bytes: u64,
    /// The time of the content, if it is not that of the device's entry.
    as_of: Option<Time>,
}

impl FsFile {
    /// `is_fake`: attributes that take root are stored.
    pub(super) fn new(fd: OwnedFd, is_fake: bool) -> Self {
        Self { fd, is_fake, content: None }
    }

    /// The same, where a device is taken for a file with its content.
    pub(super) fn or_device(fd: OwnedFd, is_fake: bool, as_of: Option<Time>) -> Result<Self> {
        let content = device_bytes(&fd)?.map(|bytes| DeviceContent { bytes, as_of });
        Ok(Self { fd, is_fake, content })
    }

    /// How many names it has.
    pub(super) fn links(&self) -> Result<u64> {
        Ok(rustix::fs::fstat(&self.fd).map_err(CallError::of("fstat"))?.st_nlink)
    }

    /// Whether it is a device.
    pub(super) fn is_device(&self) -> bool {
        self.content.is_some()
    }
}

/// The size of a device; none for another file.
fn device_bytes(fd: &OwnedFd) -> Result<Option<u64>> {
    let stat = rustix::fs::fstat(fd).map_err(CallError::of("fstat"))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => rustix::fs::seek(fd, SeekFrom::End(0)).map(Some).map_err(CallError::of("lseek")),
        FileType::CharacterDevice => Ok(Some(0)),
        _ => Ok(None),
    }
}

impl FsFile {
    fn length(&self) -> Result<u64> {
        if let Some(held) = self.content {
            return Ok(held.bytes);
        }
        let stat = rustix::fs::fstat(&self.fd).map_err(CallError::of("fstat"))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn write_zeros(&self, mut at: u64, mut bytes: u64) -> Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while bytes > 0 {
            let count = usize::try_from(bytes).map_or(ZEROS.len(), |bytes| bytes.min(ZEROS.len()));
            self.write(&ZEROS[..count], at)?;
            at += count as u64;
            bytes -= count as u64;
        }
        Ok(())
    }
}

impl File for FsFile {
    fn status(&self) -> Result<Status> {
        let found = if self.is_fake { fake_status(self.fd.as_fd(), b"")? } else { status(&self.fd, b"")? };
        Ok(self.content.map_or(found, |held| found.as_file(held.bytes, held.as_of)))
    }

    fn keep_access_time(&self) {
        // Others' files are read as always.
        let _ = rustix::fs::fcntl_getfl(&self.fd)
            .and_then(|flags| rustix::fs::fcntl_setfl(&self.fd, flags | OFlags::NOATIME));
    }

    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize> {
        if self.content.is_some_and(|held| held.bytes == 0) {
            return Ok(0);
        }
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
        // The file may change between the two calls, and leave no data here: the range then goes on to the end, so that
        // the reading gets on.
        (data, if end > data { end } else { size })
    }

    fn lend(&self) -> Result<Box<dyn Lent>> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0).map_err(CallError::of("fcntl"))?;
        Ok(Box::new(Self { fd, is_fake: self.is_fake, content: self.content }))
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
        if self.is_device() {
            return Ok(());
        }
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

    fn clear(&self, at: u64, bytes: u64) -> Result<()> {
        use rustix::fs::FallocateFlags;
        let bytes = bytes.min(self.length()?.saturating_sub(at));
        if bytes == 0 {
            return Ok(());
        }
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match retry_on_intr(|| rustix::fs::fallocate(&self.fd, how, at, bytes)) {
            // Not every file system makes holes.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.write_zeros(at, bytes),
            punched => punched.map_err(CallError::of("fallocate")),
        }
    }

    fn set_length(&self, bytes: u64) -> Result<()> {
        if self.is_device() {
            return Ok(());
        }
        rustix::fs::ftruncate(&self.fd, bytes).map_err(CallError::of("ftruncate"))
    }

    fn sync(&self) -> Result<()> {
        match rustix::fs::fsync(&self.fd) {
            // A character device writes nothing later.
            Err(Errno::INVAL) if self.is_device() => Ok(()),
            synced => synced.map_err(CallError::of("fsync")),
        }
    }

    fn close(self) -> Result<()> {
        nix::unistd::close(self.fd).map_err(|error| CallError::of("close")(Errno::from_raw_os_error(error as i32)))
    }
}
