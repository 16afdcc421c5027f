//! The file system, reached only through held directory descriptors.

mod adjust;
mod directory;
mod fake_super;
mod file;
mod flush;
mod follow;
mod holder;
mod lock;
mod mounts;
mod named;
mod root;
mod settable;
mod status;
mod versions;
mod view;
mod xattr;

pub(crate) use follow::{Followed, Following, Limit, Reach};
pub(crate) use lock::{DestinationLock, LockFor};
pub(crate) use mounts::{Mount, below};
pub use named::{open_directory, open_log, open_to_be_read};
pub(crate) use named::{open_named, open_named_now, trusts};
pub use root::umask;
pub(crate) use root::{Extent, Root, Space, absolute_path};
pub(crate) use status::{status, status_at};
pub(crate) use versions::Changing;
pub(crate) use view::{Devices, Targets, View};
