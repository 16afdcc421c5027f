//! Batches: what a run sends, in a file, so that it can be sent again to destinations that are equal to the first one's
//! old state ([0042](../../../docs/adr/0042-a-batch-is-a-source.md)).
//!
//! A batch begins with [`MAGIC`] and its version. Records follow, each of a kind, a length of eight bytes and that many
//! bytes, all numbers little-endian:
//!
//! | kind | what                                                                                                       |
//! | ---- | ---------------------------------------------------------------------------------------------------------- |
//! | 1    | frames of a control lane: the request, issues, each directory with its listing, names of owners             |
//! | 2    | a part of a file's content, behind eight bytes of where in the file it is; what no part has are zeros       |
//! | 3    | whose the parts before it are: eight bytes of the file's size, 32 of the digest of these parts, its path     |
//! | 5    | the parts before it are of no file                                                                           |
//! | 4    | the end: the digest of everything before it but for what parts hold, which the digests of files say          |

mod input;
mod read;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use sparsync_proto::{Attributes, MissingSources, Paths, Request};

use crate::error::{Error, ErrorKind, Result};

pub(crate) use read::{Opened, open};
pub(crate) use tree::BatchTree;
pub(crate) use write::BatchWriter;

/// What a run has of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Batch {
    /// Nothing.
    #[default]
    None,
    /// What is sent is written to the file of this path, too.
    Write(Vec<u8>),
    /// Nothing is written but that.
    OnlyWrite(Vec<u8>),
    /// The source is a batch.
    Read,
}

impl Batch {
    /// The file that is written.
    pub(crate) fn written(&self) -> Option<&[u8]> {
        match self {
            Self::Write(path) | Self::OnlyWrite(path) => Some(path),
            Self::None | Self::Read => None,
        }
    }
}

/// What a run asks for that reads a batch: of what the source has that is what the batch was written with, for the rest
/// what `own` says.
pub(crate) fn request_of(written: &Request, own: &Request) -> Result<Request> {
    if own.removes_sources() {
        return Err(Error::new(ErrorKind::Config, "a batch has no sources that could be removed"));
    }
    if own.deletion.delete && written.deletion.excluded && !own.deletion.excluded {
        let message = "the batch was written with deleteExcluded: what its rules leave out is deleted only where that is said again";
        return Err(Error::new(ErrorKind::Config, message));
    }
    // Which missing sources are deleted at the destination is decided by the run that reads the batch.
    let deletes_missing = own.missing_sources == MissingSources::Delete;
    let missing = if deletes_missing { written.missing.clone() } else { Paths::default() };
    let foreign_xattrs = written.attributes.foreign_xattrs && crate::prepare::acts_as_root(own.fake_super);
    Ok(Request {
        attributes: Attributes { foreign_xattrs, ..written.attributes },
        selection: written.selection,
        file_name: written.file_name.clone(),
        selected: written.selected.clone(),
        listed: written.listed.clone(),
        has_list: written.has_list,
        missing,
        implied_dirs: written.implied_dirs,
        recursive: written.recursive,
        dirs: written.dirs,
        one_file_system: written.one_file_system,
        omit_mount_points: written.omit_mount_points,
        prune_empty_dirs: written.prune_empty_dirs,
        gitignore: written.gitignore,
        numeric_ids: written.numeric_ids,
        filter: written.filter.clone(),
        // A batch has only whole files.
        whole_file: Some(true),
        ..own.clone()
    })
}

const MAGIC: &[u8; 15] = b"sparsync batch\n";
const VERSION: u8 = 1;
/// Bytes of a record before what it holds.
const HEAD_BYTES: usize = 9;

const FRAMES: u8 = 1;
const PART: u8 = 2;
const FILE: u8 = 3;
const END: u8 = 4;
const DROP: u8 = 5;

/// Bytes that a record of frames, or of a part of content, has at most.
const RECORD_BYTES_MAX: usize = 4 << 20;

/// The batch at `path` is not one that this build wrote, as seen at a byte of it.
fn refused(path: &[u8], at: u64, reason: &'static str, why: &str) -> Error {
    let message = format!("{}: at byte {at}: {why}", String::from_utf8_lossy(path).escape_debug());
    Error::new(ErrorKind::Config, message).at(path).with("offset", at).with("reason", reason.to_owned())
}
