//! The file system, reached only through held directory descriptors.

mod content;
mod lock;
mod remove;
mod root;
mod scan;
mod state;
mod temp;
mod walk;
mod write;

pub(crate) use content::{Contents, hash_prefix};
pub(crate) use lock::{DestinationLock, LockBusy};
pub(crate) use remove::{Removal, remove_tree};
pub(crate) use root::{Access, Root, Space};
pub(crate) use scan::{Scan, ScanOptions, Stamp, scan_directory, scan_single};
pub(crate) use state::{SessionFile, StateDir};
pub(crate) use temp::{PartialId, TempName, TempNames};
pub(crate) use walk::{Walk, WalkItem};
pub(crate) use write::{Attrs, NewFile, adjust, make_directory, make_symlink, set_directory_attrs};
