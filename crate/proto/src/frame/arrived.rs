//! Entries of the source that have arrived for good, so that the sender may remove them.

use crate::codec::{Decoded, Reader, Write};
use crate::entry::{Kind, Time};
use crate::field::Value as _;
use crate::limits::PATH_BYTES_MAX;
use crate::path::RelPath;

/// An entry of the source that stands at the destination, and is on its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Where, in the source.
    pub path: RelPath,
    /// Its kind at the source.
    pub kind: Kind,
    /// Bytes of a regular file; 0 otherwise.
    pub size: u64,
    /// Its modification time there.
    pub mtime: Time,
}

pub(super) fn put(all: &[Arrived], out: &mut Vec<u8>) {
    for arrived in all {
        out.byte(arrived.kind as u8);
        out.bytes(arrived.path.as_bytes());
        out.number(arrived.size);
        arrived.mtime.put(out);
    }
}

pub(super) fn get(reader: &mut Reader<'_>) -> Decoded<Vec<Arrived>> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        let kind = Kind::get(reader, "kind")?;
        let path = RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?;
        all.push(Arrived { kind, path, size: reader.number("size")?, mtime: Time::get(reader)? });
    }
    all.shrink_to_fit();
    Ok(all)
}
