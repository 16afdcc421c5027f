//! The file system, reached only through held directory descriptors.

mod adjust;
mod directory;
mod file;
mod lock;
mod mounts;
mod remove;
mod root;
mod state;
mod status;
mod widen;
mod write;

pub(crate) use adjust::{Found, Handle, HeldDirectory};
pub(crate) use lock::{DestinationLock, Hold, LockFor, is_unclaimed};
pub(crate) use mounts::{Mount, below};
pub(crate) use remove::{Removal, holds_protected, remove_tree};
pub(crate) use root::{Root, Space};
pub(crate) use state::{KnownMounts, StateDir};
pub(crate) use status::status;
pub(crate) use widen::Widened;
pub(crate) use write::{Displaced, NewFile, make_directory, make_fifo, make_symlink, put_in_place, remove_temp};
