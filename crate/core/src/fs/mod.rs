//! The file system, reached only through held directory descriptors.

mod adjust;
mod content;
mod lock;
mod mounts;
mod remove;
mod root;
mod scan;
mod state;
mod status;
mod temp;
mod walk;
mod widen;
mod write;

pub(crate) use adjust::{Found, Handle, HeldDirectory};
pub(crate) use content::{hash_prefix, open_source, read_some};
pub(crate) use lock::{DestinationLock, Hold, LockFor, is_unclaimed};
pub(crate) use mounts::{Mount, below};
pub(crate) use remove::{Removal, remove_tree};
pub(crate) use root::{Access, Root, Space};
pub(crate) use scan::{Scan, ScanBuffers, ScanOptions, kind, scan_directory, scan_single};
pub(crate) use state::{KnownMounts, StateDir};
pub(crate) use status::{Stamp, status};
pub(crate) use temp::{PartialId, SessionId, TempName, TempNames, new_session};
pub(crate) use walk::{Walk, WalkItem};
pub(crate) use widen::Widened;
pub(crate) use write::{Displaced, NewFile, make_directory, make_symlink, put_in_place, remove_temp};
