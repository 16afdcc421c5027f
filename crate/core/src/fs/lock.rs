//! One writer for each destination subtree.
//!
//! A writer locks its own directory exclusively and every directory above it in shared mode. So two writers
//! conflict exactly when one of their trees holds the other, and neighbours do not.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::error::{Error, Result};

use super::root::Root;
use super::state::{StateDir, hex};

/// A destination that belongs to one run for as long as this value lives.
#[derive(Debug)]
pub(crate) struct DestinationLock {
    _held: Vec<OwnedFd>,
}

/// Somebody else writes there.
#[derive(Debug)]
pub(crate) struct LockBusy {
    /// What the holder said of itself.
    pub(crate) holder: String,
}

impl DestinationLock {
    /// Locks the root's directory, or says who holds it or a directory above or below it.
    pub(crate) fn acquire(state: &StateDir, root: &Root, holder: &str) -> Result<std::result::Result<Self, LockBusy>> {
        Self::lock(state, root, Some(holder))
    }

    /// Keeps others from locking the root's directory or one above it, for as long as a directory in it is made.
    pub(crate) fn acquire_above(state: &StateDir, root: &Root) -> Result<std::result::Result<Self, LockBusy>> {
        Self::lock(state, root, None)
    }

    /// With a holder exclusively, without one in shared mode.
    fn lock(state: &StateDir, root: &Root, holder: Option<&str>) -> Result<std::result::Result<Self, LockBusy>> {
        let mut held = Vec::new();
        let mut at = root.fd().try_clone_to_owned().map_err(|error| Error::io("cannot hold", b"", error))?;
        let mut identity = identify(&at)?;
        let mut operation = match holder {
            Some(_) => FlockOperation::NonBlockingLockExclusive,
            None => FlockOperation::NonBlockingLockShared,
        };
        loop {
            let file = state.open_file("locks", &hex(&identity))?;
            match rustix::fs::flock(&file, operation) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Ok(Err(LockBusy { holder: read_holder(&file) }));
                }
                Err(error) => return Err(Error::io("cannot lock the destination", b"", error.into())),
            }
            if held.is_empty()
                && let Some(holder) = holder
            {
                write_holder(&file, holder);
            }
            held.push(file);
            operation = FlockOperation::NonBlockingLockShared;
            let Ok(parent) =
                rustix::fs::openat(&at, c"..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            else {
                break;
            };
            let above = identify(&parent)?;
            if above == identity {
                break;
            }
            identity = above;
            at = parent;
        }
        Ok(Ok(Self { _held: held }))
    }
}

fn identify(directory: impl AsFd) -> Result<[u8; 16]> {
    let stat = rustix::fs::fstat(directory).map_err(|error| Error::io("cannot look at", b"", error.into()))?;
    let mut identity = [0; 16];
    identity[..8].copy_from_slice(&stat.st_dev.to_be_bytes());
    identity[8..].copy_from_slice(&stat.st_ino.to_be_bytes());
    Ok(identity)
}

/// The text is for people only; a failure to write it costs a name in somebody's error message.
fn write_holder(file: &OwnedFd, holder: &str) {
    let _ = rustix::fs::ftruncate(file, 0);
    let _ = rustix::io::pwrite(file, holder.as_bytes(), 0);
}

fn read_holder(file: &OwnedFd) -> String {
    let mut text = [0; 512];
    let read = rustix::io::pread(file, &mut text, 0).unwrap_or(0);
    match String::from_utf8_lossy(&text[..read]).trim() {
        "" => "another run in a directory above or below".to_owned(),
        holder => holder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{DestinationLock, Root, StateDir};
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_tree_excludes_what_it_holds_and_not_its_neighbours() {
        let top = tempfile::tempdir().unwrap();
        for name in ["a/x", "b", "state"] {
            std::fs::create_dir_all(top.path().join(name)).unwrap();
        }
        let state = StateDir { path: top.path().join("state") };
        let lock = |name: &str| {
            let root = Root::open(top.path().join(name).as_os_str().as_bytes()).unwrap();
            DestinationLock::acquire(&state, &root, &format!("run on {name}")).unwrap()
        };
        let held = lock("a").unwrap();
        assert_eq!(lock("a").unwrap_err().holder, "run on a");
        assert_eq!(lock("a/x").unwrap_err().holder, "run on a");
        assert!(lock("").is_err());
        let beside = lock("b").unwrap();
        drop(held);
        assert!(lock("a/x").is_ok());
        drop(beside);
        assert!(lock("").is_ok());
    }
}
