//! The seam for storage: what the engine asks of the place that a tree is in, whatever it is made of.
//!
//! A [`Storage`] is the top of a tree and the only way to a directory below it. A [`Directory`] is held, and what is in
//! it is reached by one name; a [`File`] is held too. Nothing else leads to an entry, so nobody can exchange what is
//! between a check and its use.
//!
//! The file system is one implementation (`crate::fs`). The engine is generic over it: these calls are made for every
//! entry and every block, and cost what the system's own calls cost (ADR 0011).

mod hash;
mod scan;
mod temp;
mod walk;

use std::mem::MaybeUninit;

use sparsync_proto::{Kind, Meta, RelPath, Time};

pub(crate) use hash::hash_prefix;
pub(crate) use scan::{Scan, ScanBuffers, ScanOptions, scan_directory, scan_single};
pub(crate) use temp::{PartialId, SessionId, TempName, TempNames};
pub(crate) use walk::{Walk, WalkItem};

/// Why a call failed, by the system's own numbers: a storage that is no file system has the same reasons.
pub(crate) use rustix::io::Errno;

/// The result of a storage's call.
pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// What a directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// To list it, or to change its attributes.
    Read,
    /// To reach what is in it: search permission is enough, as on a directory with mode 0711.
    Reach,
}

/// What tells one state of a file from the next, besides what travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed(4))]
pub(crate) struct Stamp {
    /// Time of the last change of the inode.
    pub(crate) ctime: Time,
    /// The inode's number.
    pub(crate) ino: u64,
    /// Whether less is allocated than its size. It says where to look for holes and nothing of a change: a file system
    /// may allocate what was written long after that.
    pub(crate) may_have_holes: bool,
}

/// The status of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    /// What it is, whether or not a run carries such entries.
    pub(crate) kind: Kind,
    /// Its attributes.
    pub(crate) meta: Meta,
    /// Bytes.
    pub(crate) size: u64,
    /// What tells it from another state of itself.
    pub(crate) stamp: Stamp,
    /// Whether another storage begins there, where that can be known.
    pub(crate) is_mount_point: Option<bool>,
}

/// What names are read through, several at a time.
pub(crate) type NameBuffer = [MaybeUninit<u8>];

/// A tree that a run may not leave.
pub(crate) trait Storage: Sync {
    /// A directory of it.
    type Directory: Directory;

    /// Opens the directory at `path`. A symlink on the way is an error, as [`Errno::LOOP`] or [`Errno::NOTDIR`].
    fn open(&self, path: &RelPath, access: Access) -> Result<Self::Directory>;
}

/// A directory that is held, and what is in it.
pub(crate) trait Directory: Send + Sync {
    /// A file that is in it.
    type File: File;

    /// Calls `each` with every name in it, in the order of the storage, and with what that is where it comes for free.
    fn names(&self, buffer: &mut NameBuffer, each: impl FnMut(&[u8], Option<Kind>) -> Result<()>) -> Result<()>;

    /// The status of the entry `name`, or of the directory itself when the name is empty. A symlink is not followed.
    fn status(&self, name: &[u8]) -> Result<Status>;

    /// Where the symlink `name` leads.
    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>>;

    /// Opens a file to read it: not through a symlink, and without waiting should it have become something else.
    fn open_file(&self, name: &[u8]) -> Result<Self::File>;

    /// Why parts of it could not be opened, where it has several: what is in those is not among its names.
    fn unread(&self) -> &[Errno] {
        &[]
    }
}

/// A file that is held.
pub(crate) trait File: Send {
    /// Its status as it is now.
    fn status(&self) -> Result<Status>;

    /// Reads at `offset` into the room that `buffer` has left, as much as comes at once; nothing at the end of the file.
    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize>;

    /// The next range at or after `at` that holds data; both ends at `size` when there is none. Where nobody knows, or
    /// says, everything is data: reading it tells whether it can be read.
    fn next_data(&self, at: u64, size: u64) -> (u64, u64);
}
