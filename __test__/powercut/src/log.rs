//! What was done to the disk, in order: records of a kind, a length, an offset, and the bytes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

const WRITE: u32 = 1;
const FLUSH: u32 = 2;
const MARK: u32 = 3;

/// A log that is appended to. Each number in it is little-endian.
pub(crate) struct Log {
    file: File,
}

impl Log {
    /// Makes an empty log.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)? })
    }

    /// Bytes that were written to the disk.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.append(WRITE, offset, data)
    }

    /// A flush: what was written before it survives a power cut.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.append(FLUSH, 0, &[])
    }

    /// A word from outside.
    pub(crate) fn mark(&mut self, text: &[u8]) -> io::Result<()> {
        self.append(MARK, 0, text)
    }

    fn append(&mut self, kind: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(16 + data.len());
        record.extend_from_slice(&kind.to_le_bytes());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&offset.to_le_bytes());
        record.extend_from_slice(data);
        self.file.write_all(&record)
    }
}
