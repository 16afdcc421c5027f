//! The description of one path of a server.

use crate::codec::{Decoded, Reader, Write};
use crate::entry::{Kind, Meta};
use crate::field::Value as _;

/// The entry at a path: the answer to [`crate::Frame::StatRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is. A symlink is not followed.
    pub kind: Kind,
    /// Bytes of a regular file; 0 otherwise.
    pub size: u64,
    /// Its attributes; zeros for a directory of which the client may only know that it exists.
    pub meta: Meta,
}

impl Stat {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.byte(self.kind as u8);
        out.number(self.size);
        self.meta.put(out);
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self { kind: Kind::get(reader, "kind")?, size: reader.number("size")?, meta: Meta::get(reader)? })
    }
}
