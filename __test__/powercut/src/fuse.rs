//! The part of the kernel's FUSE protocol (7.31) that a file under a loop device needs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Command;

pub(crate) const ENOENT: i32 = 2;
pub(crate) const EIO: i32 = 5;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENOSYS: i32 = 38;

/// The folder that is mounted.
const ROOT: u64 = 1;
/// The image.
pub(crate) const DISK: u64 = 2;
/// Where a test writes what it knows.
pub(crate) const MARK: u64 = 3;

/// The largest write that the kernel may send at once.
const WRITE_BYTES: u32 = 1 << 20;
/// The largest request: such a write with what stands before it.
pub(crate) const REQUEST_BYTES: usize = (1 << 20) + 4096;

const HEADER_BYTES: usize = 40;
/// What stands before the data of a write.
const WRITE_HEADER_BYTES: usize = 40;

/// The connection to the kernel.
pub(crate) struct Channel {
    device: File,
}

/// One request.
pub(crate) struct Request<'a> {
    /// Its number, which the answer repeats.
    pub(crate) unique: u64,
    /// The file that it is about.
    pub(crate) node: u64,
    pub(crate) operation: Operation<'a>,
}

/// What is asked for.
pub(crate) enum Operation<'a> {
    Init { minor: u32 },
    Lookup { name: &'a [u8] },
    Attributes,
    Open,
    Read { offset: u64, size: u32 },
    Write { offset: u64, data: &'a [u8] },
    Flush,
    Close,
    Unanswered,
    Other,
}

impl Channel {
    /// Mounts at a folder. `mount` inherits the channel as its standard input, for the kernel takes it by number.
    pub(crate) fn mount(at: &Path) -> io::Result<Self> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let mounted = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "powercut"])
            .arg(at)
            .stdin(device.try_clone()?)
            .status()?;
        if mounted.success() { Ok(Self { device }) } else { Err(io::Error::other("the file system cannot be mounted")) }
    }

    /// The next request; none when the file system was unmounted.
    pub(crate) fn next<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<Request<'a>>> {
        const ENODEV: i32 = 19;
        let length = loop {
            match self.device.read(buffer) {
                Ok(length) => break length,
                // A request that was taken back before it was read.
                Err(error) if error.raw_os_error() == Some(ENOENT) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(ENODEV) => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        parse(&buffer[..length])
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a request is too short"))
    }

    /// Answers a request, with what it gives or an error of the system.
    pub(crate) fn reply(&mut self, unique: u64, reply: Result<Vec<u8>, i32>) -> io::Result<()> {
        let (error, body) = match reply {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
        let mut answer = Vec::with_capacity(16 + body.len());
        answer.extend_from_slice(&length.to_ne_bytes());
        answer.extend_from_slice(&error.to_ne_bytes());
        answer.extend_from_slice(&unique.to_ne_bytes());
        answer.extend_from_slice(&body);
        match self.device.write_all(&answer) {
            // Whoever asked was killed and no longer waits.
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(()),
            done => done,
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Request<'_>> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let operation = match u32_at(header, 4)? {
        26 => Operation::Init { minor: u32_at(body, 4)? },
        1 => Operation::Lookup { name: body.strip_suffix(&[0])? },
        // GETATTR, and SETATTR of an open that truncates: neither file has a length that could change.
        3 | 4 => Operation::Attributes,
        14 | 27 => Operation::Open,
        15 => Operation::Read { offset: u64_at(body, 8)?, size: u32_at(body, 16)? },
        16 => {
            let (write, data) = body.split_at_checked(WRITE_HEADER_BYTES)?;
            Operation::Write { offset: u64_at(write, 8)?, data: data.get(..usize::try_from(u32_at(write, 16)?).ok()?)? }
        }
        20 => Operation::Flush,
        // FLUSH of a descriptor that is closed, RELEASE, RELEASEDIR, DESTROY.
        25 | 18 | 29 | 38 => Operation::Close,
        // FORGET, BATCH_FORGET, INTERRUPT.
        2 | 42 | 36 => Operation::Unanswered,
        _ => Operation::Other,
    };
    Some(Request { unique: u64_at(header, 8)?, node: u64_at(header, 16)?, operation })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Agrees on the protocol.
pub(crate) fn init(minor: u32) -> Vec<u8> {
    const BIG_WRITES: u32 = 1 << 5;
    const MAX_PAGES: u32 = 1 << 22;
    let mut body = Vec::with_capacity(64);
    for word in [7, minor.min(31), 128 << 10, BIG_WRITES | MAX_PAGES] {
        body.extend_from_slice(&word.to_ne_bytes());
    }
    // Requests in the background, and when that is many.
    body.extend_from_slice(&16_u16.to_ne_bytes());
    body.extend_from_slice(&12_u16.to_ne_bytes());
    body.extend_from_slice(&WRITE_BYTES.to_ne_bytes());
    // Times in nanoseconds.
    body.extend_from_slice(&1_u32.to_ne_bytes());
    let pages = u16::try_from(WRITE_BYTES / 4096).unwrap_or(u16::MAX);
    body.extend_from_slice(&pages.to_ne_bytes());
    body.resize(64, 0);
    body
}

/// What stands at a name.
pub(crate) fn lookup(name: &[u8], disk_size: u64) -> Result<Vec<u8>, i32> {
    let node = match name {
        b"disk" => DISK,
        b"mark" => MARK,
        _ => return Err(ENOENT),
    };
    let mut body = Vec::with_capacity(128);
    // The node, its generation, and for how many seconds name and attributes hold.
    for word in [node, 0, 60, 60, 0] {
        body.extend_from_slice(&word.to_ne_bytes());
    }
    push_attributes(&mut body, node, disk_size);
    Ok(body)
}

/// The attributes of a file.
pub(crate) fn attributes(node: u64, disk_size: u64) -> Result<Vec<u8>, i32> {
    if !(ROOT..=MARK).contains(&node) {
        return Err(ENOENT);
    }
    let mut body = Vec::with_capacity(104);
    for word in [60_u64, 0] {
        body.extend_from_slice(&word.to_ne_bytes());
    }
    push_attributes(&mut body, node, disk_size);
    Ok(body)
}

fn push_attributes(body: &mut Vec<u8>, node: u64, disk_size: u64) {
    let (mode, size) = match node {
        ROOT => (0o040_755, 0),
        DISK => (0o100_600, disk_size),
        _ => (0o100_600, 0),
    };
    // The number, size, blocks and three times.
    for word in [node, size, size / 512, 0, 0, 0] {
        body.extend_from_slice(&word.to_ne_bytes());
    }
    // Nanoseconds of the times, mode, links, owner, group, device, block size, flags.
    for word in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0_u32] {
        body.extend_from_slice(&word.to_ne_bytes());
    }
}

/// An opened file: what is written to `mark` is never put together in a cache.
pub(crate) fn opened(node: u64) -> Vec<u8> {
    const DIRECT_IO: u32 = 1;
    let flags = if node == MARK { DIRECT_IO } else { 0 };
    let mut body = node.to_ne_bytes().to_vec();
    body.extend_from_slice(&flags.to_ne_bytes());
    body.extend_from_slice(&[0; 4]);
    body
}

/// How much was written.
pub(crate) fn written(length: usize) -> Result<Vec<u8>, i32> {
    let length = u32::try_from(length).map_err(|_| EINVAL)?;
    let mut body = length.to_ne_bytes().to_vec();
    body.extend_from_slice(&[0; 4]);
    Ok(body)
}
