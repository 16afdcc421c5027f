//! What the receiver holds of a file that is to change: its parts.

use super::Frame;
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::delta::Chunk;
use crate::limits::FILE_BYTES_MAX;
use crate::pack::FileId;

/// A file of which the receiver holds an older state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The index of the file in its directory's listing.
    pub index: u32,
    /// How long that is.
    pub bytes: u64,
}

/// A list to the end of its frame.
fn list<T>(reader: &mut Reader<'_>, next: impl Fn(&mut Reader<'_>) -> Decoded<T>) -> Decoded<Vec<T>> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(next(reader)?);
    }
    all.shrink_to_fit();
    Ok(all)
}

fn bytes(reader: &mut Reader<'_>) -> Decoded<u64> {
    let bytes = reader.number("bytes")?;
    if bytes == 0 || bytes > FILE_BYTES_MAX { malformed("bytes") } else { Ok(bytes) }
}

pub(super) fn put_bases(directory: u32, bases: &[Basis], out: &mut Vec<u8>) {
    out.number(u64::from(directory));
    for basis in bases {
        out.number(u64::from(basis.index));
        out.number(basis.bytes);
    }
}

pub(super) fn bases(reader: &mut Reader<'_>) -> Decoded<Vec<Basis>> {
    list(reader, |reader| Ok(Basis { index: reader.small("index")?, bytes: bytes(reader)? }))
}

pub(super) fn put_chunks((file, more): (FileId, bool), chunks: &[Chunk], out: &mut Vec<u8>) {
    out.number(u64::from(file.directory));
    out.number(u64::from(file.index));
    out.byte(u8::from(more));
    for chunk in chunks {
        out.raw(&chunk.digest);
        out.number(chunk.bytes);
    }
}

pub(super) fn chunks(reader: &mut Reader<'_>) -> Decoded<Frame> {
    let file = FileId { directory: reader.small("directory")?, index: reader.small("index")? };
    let more = super::flag(reader, "more")?;
    let chunks = list(reader, |reader| Ok(Chunk { digest: reader.array("digest")?, bytes: bytes(reader)? }))?;
    Ok(Frame::Chunks { file, more, chunks })
}
