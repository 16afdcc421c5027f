//! The seam for storage: what the engine asks of the place that a tree is in, whatever it is made of.
//!
//! A [`Storage`] is the top of a tree and the only way to a directory below it. A [`Directory`] is held, and what is in
//! it is reached by one name; a [`File`] is held too. Nothing else leads to an entry, so nobody can exchange what is
//! between a check and its use.
//!
//! The file system is one implementation (`crate::fs`). The engine is generic over it: these calls are made for every
//! entry and every block, and cost what the system's own calls cost (ADR 0014).

mod backup;
mod call;
mod copy;
mod flush_count;
mod hash;
mod judge;
mod lent;
mod links;
#[cfg(test)]
pub(crate) mod memory;
mod parts;
mod prune;
mod remove;
mod scan;
mod share;
mod temp;
mod union;
mod walk;
mod widen;
mod write;
mod xattrs;

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

use sparsync_proto::{ContentDigest, Device, Kind, Meta, RelPath, Time};

pub(crate) use backup::{BackupPlace, Backups, OnMade};
pub(crate) use call::{CallError, DAMAGED, NO_REFERENT, NOT_HELD};
pub(crate) use copy::{Content, Copier, CopyFault, copy_content, copy_entry, set_like};
pub(crate) use flush_count::FlushCount;
pub(crate) use hash::{Sums, hash_prefix};
pub(crate) use judge::{Decisions, Judge, RulePlaces, read_rules};
pub(crate) use lent::Lent;
pub(crate) use parts::{Cut, cut_file};
pub(crate) use remove::{Removal, entries, holds_protected, remove_all, remove_tree};
pub(crate) use scan::{Scan, ScanBuffers, ScanOptions, look_at, scan_directory, scan_single};
pub(crate) use share::{ShareError, share_tree};
pub(crate) use temp::{PartialId, SessionId, TempName, TempNames};
pub(crate) use union::{Part, Union};
pub(crate) use walk::{Walk, WalkItem, walk};
pub(crate) use widen::{OWNER_BITS, Widened};
pub(crate) use write::{cut, drop_set_ids, end_in_hole, is_empty, make_directory, may_reach, open_to_adjust};
pub(crate) use xattrs::{XATTR_NAMES_BYTES_MAX, carried_names};

/// The reason of a failed call, by the system's own numbers. Storages that are no file systems use them, too.
pub(crate) use rustix::io::Errno;

/// The result of a storage's call.
pub(crate) type Result<T> = std::result::Result<T, CallError>;

/// What a directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// To list it, or to change its attributes.
    Read,
    /// To reach its entries by name: search permission is enough, as on a directory with mode 0711.
    Reach,
}

/// What changes with each change of a file, besides the attributes that travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed(4))]
pub(crate) struct Stamp {
    /// Time of the last change of the inode.
    pub(crate) ctime: Time,
    /// The inode's number.
    pub(crate) ino: u64,
    /// Whether less is allocated than the file's size. It only says that holes may be found, and must not count as a
    /// change: a file system may allocate blocks long after they were written.
    pub(crate) may_have_holes: bool,
}

/// Which entry of this machine it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    ino: u64,
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
    /// The number of a device, of an entry that is one.
    pub(crate) rdev: Device,
    /// What tells it from another state of itself.
    pub(crate) stamp: Stamp,
    /// The file system that the entry is on.
    pub(crate) device: u64,
    /// How many names it has.
    pub(crate) links: u32,
    /// Whether a file system is mounted here, where that can be known.
    pub(crate) is_mount_point: Option<bool>,
}

impl Status {
    pub(crate) fn identity(&self) -> Identity {
        Identity { device: self.device, ino: self.stamp.ino }
    }

    /// The status of a device that is taken for a file with its content.
    pub(crate) fn as_file(self, bytes: u64, as_of: Option<Time>) -> Self {
        let stamp = Stamp { may_have_holes: false, ..self.stamp };
        let meta = Meta { mtime: as_of.unwrap_or(self.meta.mtime), ..self.meta };
        Self { kind: Kind::File, meta, size: bytes, rdev: Device::default(), stamp, ..self }
    }

    /// Whether this is the file that `earlier` was the status of, with the same content as far as a status can tell.
    pub(crate) fn is_same(&self, earlier: &Self) -> bool {
        let of = |status: &Self| (status.device, { status.stamp.ino }, status.size, status.meta.mtime);
        self.kind == Kind::File && of(self) == of(earlier)
    }

    /// Whether this is a file that nobody has changed since `earlier`, including its links and attributes.
    pub(crate) fn is_untouched(&self, earlier: &Self) -> bool {
        self.is_same(earlier) && { self.stamp.ctime } == { earlier.stamp.ctime }
    }
}

/// Owner and mode of an entry of the destination before its attributes are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Permission bits.
    pub(crate) mode: u16,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
}

/// Tells one file system from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileSystemId(pub(crate) u64);

/// How a run holds its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nobody else writes below the directory: unfinished files there belong to no live run.
    Exclusive,
    /// Others may write there, too: runs for other single files, or any run where directories cannot be locked.
    Shared,
}

/// What names are read through, several at a time.
pub(crate) type NameBuffer = [MaybeUninit<u8>];

/// A tree that a run may not leave.
pub(crate) trait Storage: Sync {
    /// A directory of it.
    type Directory: Directory;

    /// Opens the directory at `path`. A symlink on the way is an error, as [`Errno::LOOP`] or [`Errno::NOTDIR`], unless
    /// the storage follows it; a symlink that leads out of the permitted tree gives [`Errno::XDEV`].
    fn open(&self, path: &RelPath, access: Access) -> Result<Self::Directory>;

    /// The same for a path below `above`. Below that no symlink is followed, whatever the storage follows otherwise.
    fn open_below(&self, above: &RelPath, path: &RelPath, access: Access) -> Result<Self::Directory> {
        let _ = above;
        self.open(path, access)
    }

    /// The file system of the top.
    fn device(&self) -> Result<u64> {
        Ok(self.open(&RelPath::root(), Access::Reach)?.status(b"")?.device)
    }

    /// Removes the entry at `path`, which is no directory, if it is the one that was meant. Says whether it was.
    fn remove(&self, path: &RelPath, is_meant: &dyn Fn(&Status) -> bool) -> Result<bool> {
        let _ = (path, is_meant);
        Err(Errno::ROFS.into())
    }
}

/// A name as [`Directory::names`] gives it, of a storage that has its names otherwise.
pub(crate) fn listed_name(name: &[u8]) -> Result<CString> {
    CString::new(name).map_err(|_| Errno::INVAL.into())
}

/// A directory that is held, and what is in it.
pub(crate) trait Directory: Send + Sync {
    /// A file that is in it.
    type File: File;

    /// Calls `each` with every name in the directory, in the storage's order, and with the kind where that costs
    /// nothing.
    fn names(&self, buffer: &mut NameBuffer, each: impl FnMut(&CStr, Option<Kind>) -> Result<()>) -> Result<()>;

    /// Whether another file system begins at the directory `name`, whose status is this. The top of a source is no
    /// boundary, wherever it lies.
    fn is_boundary(&self, name: &[u8], status: &Status) -> bool {
        let _ = name;
        self.status(b"").is_ok_and(|own| own.device != status.device)
    }

    /// The status of the entry `name`, or of the directory itself when the name is empty. A symlink is not followed,
    /// here and in the calls below, unless the storage takes it for its target. Then a missing target gives
    /// [`NO_REFERENT`], and one that may not be read [`Errno::XDEV`].
    fn status(&self, name: &[u8]) -> Result<Status>;

    /// The same of an entry that [`Self::names`] gave. A system call takes its name as it is.
    fn status_of_listed(&self, name: &CStr) -> Result<Status> {
        self.status(name.to_bytes())
    }

    /// When the entry `name` was last read. A symlink is not followed.
    fn access_time(&self, name: &[u8]) -> Result<Time>;

    /// The names of all extended attributes of the entry `name`, or of the directory itself when the name is empty,
    /// each with a NUL at its end. Gives how many bytes they take. A symlink is not followed.
    fn list_xattrs(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize>;

    /// The value of one extended attribute, in the same way.
    fn get_xattr(&self, name: &[u8], attribute: &[u8], buffer: &mut [u8]) -> Result<usize>;

    /// Where the symlink `name` leads.
    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>>;

    /// Opens a file to read it. A symlink is not followed, and the call does not wait if the entry has become a FIFO.
    fn open_file(&self, name: &[u8]) -> Result<Self::File>;

    /// A file with the content of another one at this moment that nobody else can reach, made in this directory without
    /// a name and without copying. Fails where that is not possible.
    fn freeze(&self, file: &Self::File) -> Result<Self::File> {
        let _ = file;
        Err(Errno::OPNOTSUPP.into())
    }

    /// The digest of the content of the file `name`, if it is known without reading.
    fn known_content(&self, name: &[u8]) -> Option<ContentDigest> {
        let _ = name;
        None
    }

    /// Why some of the directories that make up this one could not be opened: their entries are not among its names.
    fn unread(&self) -> &[CallError] {
        &[]
    }

    /// Opens the file `name` of the tree with this number, where several trees lie over each other. No symlink is
    /// followed, even in a run that follows them.
    fn open_own_file(&self, tree: usize, name: &[u8]) -> Result<Self::File> {
        let _ = tree;
        self.open_file(name)
    }

    /// Where the symlink `name` of that tree really leads, and whose it is.
    fn read_own_link(&self, tree: usize, name: &[u8]) -> Result<(Vec<u8>, u32)> {
        let _ = tree;
        Ok((self.read_link(name)?, self.status(name)?.meta.uid))
    }

    /// What has the name of a directory that does not belong to the run, and is none. Where several trees are seen as
    /// one it stands for the name from now on.
    fn instead_of_directory(&self, name: &[u8]) -> Result<Status> {
        let _ = name;
        Err(Errno::NOENT.into())
    }

    /// The number of the tree in which `name` is seen.
    fn tree_of(&self, name: &[u8]) -> usize {
        let _ = name;
        0
    }
}

/// A file that is held.
pub(crate) trait File: Send + 'static {
    /// Its status as it is now.
    fn status(&self) -> Result<Status>;

    /// Leaves the file's access time as it is when it is read, where that is allowed.
    fn keep_access_time(&self);

    /// Reads at `offset` into the room that `buffer` has left, as much as one call gives; zero at the end of the file.
    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize>;

    /// The next range at or after `at` that holds data; both ends at `size` when there is none. Where holes are not
    /// known, or the call fails, everything counts as data: reading it then tells of the error.
    fn next_data(&self, at: u64, size: u64) -> (u64, u64);

    /// The same file for another storage of this process, which may know how to copy from it.
    fn lend(&self) -> Result<Box<dyn Lent>>;
}

/// A tree that a run may write to.
pub(crate) trait WriteStorage: Storage<Directory: WriteDirectory> {
    /// Writes everything to the device.
    fn sync(&self) -> Result<()>;

    /// Whether no live run writes in the directory at `path`, when this run holds the whole tree.
    fn is_unclaimed(&self, path: &RelPath) -> bool;

    /// The permission bits that new entries do not get.
    fn umask(&self) -> u16;

    /// Whether replaced or removed entries are kept as versions.
    fn keeps_versions(&self) -> bool {
        false
    }
}

/// A directory that is held, and can be written to.
pub(crate) trait WriteDirectory: Directory<File: WriteFile> {
    /// What its attributes are set by.
    fn handle(&self) -> impl Adjust;

    /// Reaches the entry `name` of this kind without opening it, and gives its owner and mode. An entry of another kind
    /// is an error.
    fn reach(&self, name: &[u8], kind: Kind) -> Result<(impl Adjust, Found)>;

    /// The symlink `name`, which cannot be held.
    fn link<'a>(&'a self, name: &'a [u8]) -> impl Adjust;

    /// Makes a new file. It gets `bits`, less a umask's or as a default ACL says.
    fn create_file(&self, name: &[u8], bits: u16) -> Result<Self::File>;

    /// Opens a regular file that has no further name, to resume it.
    fn reopen_file(&self, name: &[u8]) -> Result<Self::File>;

    /// Opens a regular file to write over its content; a file with further names only where `may_be_linked`. Its set-id
    /// bits stay, for what keeps the old content: see [`drop_set_ids`].
    fn open_in_place(&self, name: &[u8], may_be_linked: bool) -> Result<Self::File>;

    /// Makes a directory that is not there.
    fn make_directory(&self, name: &[u8], bits: u16) -> Result<()>;

    /// Makes a symlink that is not there.
    fn make_symlink(&self, name: &[u8], target: &[u8]) -> Result<()>;

    /// Makes a new FIFO, socket or device. Umask and default ACL apply to `bits` as to those of a file.
    fn make_node(&self, name: &[u8], node: (Kind, Device), bits: u16) -> Result<()>;

    /// Gives the entry `from` of another directory, or of this one, the further name `name`, which is not there. A
    /// symlink is not followed.
    fn make_hard_link(&self, from: (&Self, &[u8]), name: &[u8]) -> Result<()>;

    /// Gives the entry `from` the name `to`. An entry that has that name is replaced, unless one of the two is a
    /// directory.
    fn rename(&self, from: &[u8], to: &[u8]) -> Result<()>;

    /// Gives the entry `from` a name that no entry has; [`Errno::EXIST`] says that one has it.
    fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<()>;

    /// Gives the entry `from` a name in another directory. An entry that has that name there is replaced, unless one of
    /// the two is a directory.
    fn move_to(&self, from: &[u8], to: (&Self, &[u8])) -> Result<()>;

    /// Exchanges the names of two entries.
    fn exchange(&self, one: &[u8], other: &[u8]) -> Result<()>;

    /// Removes an entry that is no directory.
    fn remove(&self, name: &[u8]) -> Result<()>;

    /// Removes an empty directory.
    fn remove_directory(&self, name: &[u8]) -> Result<()>;

    /// Writes the names in it to the device.
    fn sync(&self) -> Result<()>;

    /// Writes everything to the device that is on its file system. The directory was opened to be listed.
    fn sync_file_system(&self) -> Result<()>;
}

/// A file that is held, and can be written to.
pub(crate) trait WriteFile: File {
    /// What its attributes are set by.
    fn handle(&self) -> impl Adjust;

    /// Writes all of `bytes` at `offset`.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Reserves room up to `bytes`, without a change of its length. Fails where that is not possible.
    fn reserve(&self, bytes: u64) -> Result<()> {
        let _ = bytes;
        Err(Errno::OPNOTSUPP.into())
    }

    /// Shares the content of another file with this one, which has none yet, without copying. Fails where that is not
    /// possible.
    fn share_all(&self, from: &dyn Lent) -> Result<()> {
        let _ = from;
        Err(Errno::OPNOTSUPP.into())
    }

    /// Copies up to `bytes` from `from` on of another file to `at`, without passing them through this process. Gives
    /// how many; zero at that file's end. Fails where that is not possible.
    fn copy_range(&self, from: (&dyn Lent, u64), at: u64, bytes: u64) -> Result<u64> {
        let _ = (from, at, bytes);
        Err(Errno::OPNOTSUPP.into())
    }

    /// Makes a range read as zeros, and frees its blocks where that is possible. The file's length stays.
    fn clear(&self, at: u64, bytes: u64) -> Result<()>;

    /// Cuts it off at `bytes`, or lets it end in a hole there. See [`cut`] and [`end_in_hole`].
    fn set_length(&self, bytes: u64) -> Result<()>;

    /// Writes its content and attributes to the device.
    fn sync(&self) -> Result<()>;

    /// Closes it. A network file system may say only now that there was no room for what was written.
    fn close(self) -> Result<()>;
}

/// An entry whose attributes are set, one at a time. The caller decides which ones, and in which order.
pub(crate) trait Adjust {
    /// What it has now.
    fn found(&self) -> Result<Found>;

    /// The file system that it is on.
    fn file_system(&self) -> Result<FileSystemId>;

    /// Sets owner and group; an absent one stays. This clears set-id bits and capabilities of a file.
    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()>;

    /// Sets the permission bits. A symlink has none.
    fn set_mode(&self, bits: u16) -> Result<()>;

    /// Sets access and modification time; an absent one stays.
    fn set_times(&self, atime: Option<Time>, mtime: Option<Time>) -> Result<()>;

    /// The names of its extended attributes, each with a NUL at its end. Gives how many bytes they take.
    fn list_xattrs(&self, buffer: &mut [u8]) -> Result<usize>;

    /// The value of one extended attribute. Gives how many bytes it takes.
    fn get_xattr(&self, attribute: &[u8], buffer: &mut [u8]) -> Result<usize>;

    /// Sets one extended attribute, whether it is there or not.
    fn set_xattr(&self, attribute: &[u8], value: &[u8]) -> Result<()>;

    /// Removes one extended attribute.
    fn remove_xattr(&self, attribute: &[u8]) -> Result<()>;

    /// Takes a file's capabilities away, where it has some.
    fn drop_capabilities(&self) -> Result<()>;
}
