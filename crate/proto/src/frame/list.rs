//! Listings: of a directory of the source, and of one that a client looks into.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::{Kind, Meta};
use crate::field::Value as _;
use crate::limits::{BATCH_BYTES, DIRECTORY_ENTRIES_MAX, NAME_BYTES_MAX};
use crate::listing::Listing;
use crate::path::Name;
use crate::version::Version;

/// One entry in the answer to [`super::Frame::ListRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Vec<u8>,
    /// Bytes of a regular file.
    pub size: u64,
    /// Its attributes.
    pub meta: Meta,
}

/// Appends the part of a [`super::Frame::List`] behind its type, with the entries of `range`, without building a
/// listing.
pub(super) fn put(directory: u32, more: bool, listing: &Listing, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.number(u64::from(directory));
    out.byte(u8::from(more));
    out.byte(u8::from(listing.has_content()));
    let from = range.start;
    for index in range {
        listing.put(index, from, out);
    }
}

/// Reads the entries of a listing, or of a part of one.
pub(super) fn listing(reader: &mut Reader<'_>, content: bool) -> Decoded<Listing> {
    let mut listing = Listing::new();
    while !reader.is_empty() {
        listing.take(reader, content)?;
        if listing.len() > DIRECTORY_ENTRIES_MAX {
            return malformed("size of a directory");
        }
    }
    listing.shrink();
    Ok(listing)
}

/// Encodes a directory's listing as one or more [`super::Frame::List`] and hands each encoded frame to `emit`.
pub fn encode_list(version: Version, directory: u32, listing: &Listing, mut emit: impl FnMut(Vec<u8>)) {
    let Version::V1 = version;
    let mut from = 0;
    loop {
        let mut to = from;
        let mut bytes = 0;
        while let Some(entry) = listing.get(to)
            && bytes < BATCH_BYTES
        {
            let xattrs = listing.xattrs(to).map_or(0, |xattrs| xattrs.as_bytes().len());
            let leader = listing.leader(to).map_or(0, |leader| leader.directory.as_bytes().len() + leader.name.len());
            // At most 96 bytes besides name, target, extended attributes and leader.
            bytes += listing.name(entry).len() + listing.target(entry).len() + xattrs + leader + 64 + 32;
            to += 1;
        }
        let more = to < listing.len();
        let mut body = Vec::with_capacity(bytes + 16);
        body.byte(super::LIST);
        put(directory, more, listing, from..to, &mut body);
        let mut frame = Vec::with_capacity(body.len() + 4);
        frame.bytes(&body);
        emit(frame);
        if !more {
            return;
        }
        from = to;
    }
}

pub(super) fn put_reply(entries: &[ListEntry], out: &mut Vec<u8>) {
    for entry in entries {
        out.byte(entry.kind as u8);
        out.bytes(&entry.name);
        out.number(entry.size);
        entry.meta.put(out);
    }
}

pub(super) fn reply(reader: &mut Reader<'_>) -> Decoded<Vec<ListEntry>> {
    let mut entries = Vec::new();
    while !reader.is_empty() {
        entries.push(ListEntry {
            kind: Kind::get(reader, "kind")?,
            name: Name::new(reader.bytes(NAME_BYTES_MAX, "name")?)?.as_bytes().to_vec(),
            size: reader.number("size")?,
            meta: Meta::get(reader)?,
        });
    }
    entries.shrink_to_fit();
    Ok(entries)
}
