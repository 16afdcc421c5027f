//! A directory of the source, as it travels ahead of its listing.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::compare::Digest;
use crate::entry::{Meta, get_attributes, put_attributes};
use crate::entry_fields::EntryFields;
use crate::limits::{PATH_BYTES_MAX, SHARED_PATHS_FACTOR};
use crate::path::RelPath;
use crate::xattrs::Xattrs;

/// A directory of the source, as it travels ahead of its listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where.
    pub path: RelPath,
    /// Its own attributes.
    pub meta: Meta,
    /// Its own extended attributes.
    pub xattrs: Xattrs,
    /// The digest of its direct entries.
    pub digest: Digest,
    /// How many direct entries it has.
    pub entries: u32,
    /// The run does not enter the directory, since another file system begins there, and the destination's entries in
    /// it stay.
    pub unlisted: bool,
}

pub(super) fn put(directories: &[Directory], out: &mut Vec<u8>) {
    let began = out.len();
    let mut previous = &RelPath::root();
    let mut path_bytes = 0;
    for directory in directories {
        let path = directory.path.as_bytes();
        path_bytes += path.len();
        // Paths repeat names of the previous directory. The shared beginning travels once, while the paths stay in
        // proportion to the frame's bytes.
        let shared = previous.shared_bytes(&directory.path);
        let sent = out.len() - began + path.len() - shared;
        let shared = if path_bytes > SHARED_PATHS_FACTOR * sent { 0 } else { shared };
        out.number(shared as u64);
        out.bytes(&path[shared..]);
        let Directory { xattrs, unlisted, .. } = directory;
        let fields = (!xattrs.is_empty() || *unlisted).then(|| EntryFields {
            xattrs: xattrs.clone(),
            unlisted: *unlisted,
            ..EntryFields::default()
        });
        put_attributes(&directory.meta, fields.as_ref(), None, out);
        out.raw(&directory.digest);
        out.number(u64::from(directory.entries));
        previous = &directory.path;
    }
}

pub(super) fn get(reader: &mut Reader<'_>) -> Decoded<Vec<Directory>> {
    let mut all = Vec::new();
    let mut previous: Vec<u8> = Vec::new();
    // Without a limit, shared beginnings would let a small frame take a large amount of memory.
    let most = SHARED_PATHS_FACTOR * reader.rest().len();
    let mut path_bytes = 0;
    while !reader.is_empty() {
        let shared = reader.length(previous.len(), "shared path")?;
        previous.truncate(shared);
        previous.extend_from_slice(reader.bytes(PATH_BYTES_MAX, "path")?);
        path_bytes += previous.len();
        if path_bytes > most {
            return malformed("length of all paths");
        }
        let path = RelPath::new(&previous)?;
        let (meta, fields, leader) = get_attributes(reader)?;
        let (EntryFields { xattrs, device: None, unlisted, atime: None }, None) = (fields, leader) else {
            return malformed("fields of a directory");
        };
        let (digest, entries) = (reader.array("digest")?, reader.small("entries")?);
        if unlisted && entries != 0 {
            return malformed("entries of a directory that is not gone into");
        }
        all.push(Directory { path, meta, xattrs, digest, entries, unlisted });
    }
    all.shrink_to_fit();
    Ok(all)
}
