//! One writer for each destination subtree, among all runs of all users of this machine.
//!
//! The locks are `flock` on the directories themselves, so nothing is written for them and the kernel drops them with
//! the process. A run holds its own directory exclusively and every directory above it in shared mode. Two runs then
//! conflict exactly when one tree holds the other; see ADR 0009.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use sparsync_proto::RelPath;

use crate::error::{Error, ErrorKind, Result};

use super::holder;
use super::root::Root;
use crate::storage::{Access, CallError, Hold};

/// What a run does below the directory that it locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockFor {
    /// It writes a tree: everything below belongs to this run.
    Tree,
    /// The run writes single names in the directory, beside other runs that do the same.
    Names,
    /// It writes to a directory below, which may have to be made.
    Below,
}

/// A directory of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// The locks of one run, held for as long as this value lives.
#[derive(Debug)]
pub(crate) struct DestinationLock {
    /// The locked directories, the destination's own first if it could be locked.
    levels: Vec<(Identity, OwnedFd)>,
    hold: Hold,
    /// The number of this lock among the [`HOLDERS`].
    number: u64,
}

/// The runs of this process that hold locks. The kernel's list of locks only tells their process.
static HOLDERS: Mutex<Vec<Holder>> = Mutex::new(Vec::new());

struct Holder {
    number: u64,
    /// The directory that is locked for a tree.
    tree: Option<Identity>,
    /// The directories locked in shared mode.
    shared: Vec<Identity>,
    /// The name that others are told.
    name: String,
    since: SystemTime,
}

fn holders() -> MutexGuard<'static, Vec<Holder>> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DestinationLock {
    /// Locks the root's directory and those above it, without waiting. `name` is what other runs are told of this one.
    ///
    /// Fails with [`ErrorKind::Busy`] when another run holds a directory that this one needs; the detail `holder`
    /// names it where it can be known.
    pub(crate) fn acquire(root: &Root, purpose: LockFor, name: &str) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut lock = Self { levels: Vec::new(), hold: Hold::Shared, number: NEXT.fetch_add(1, Ordering::Relaxed) };
        let mut last: Option<Identity> = None;
        // The last directory on the way up, when it is not locked.
        let mut passed: Option<OwnedFd> = None;
        loop {
            let below = passed.as_ref().or(lock.levels.last().map(|(_, directory)| directory));
            let opened = match below {
                None => open_level(root.fd(), c"."),
                Some(below) => open_level(below.as_fd(), c".."),
            };
            let Some((directory, can_be_locked)) = opened else { break };
            let identity = identify(&directory)?;
            let purpose = if last.is_none() { purpose } else { LockFor::Below };
            // The root directory is above itself.
            if last.replace(identity) == Some(identity) {
                break;
            }
            // By a bind mount another directory, too, can be above itself; its lock is held already.
            let is_held = lock.levels.iter().any(|(held, _)| *held == identity);
            match if can_be_locked && !is_held { try_lock(&directory, purpose) } else { Err(Errno::NOTSUP) } {
                Ok(()) => {
                    if purpose == LockFor::Tree {
                        lock.hold = Hold::Exclusive;
                    }
                    lock.levels.push((identity, directory));
                    passed = None;
                }
                Err(Errno::WOULDBLOCK) => return Err(busy(identity, purpose)),
                // A file system that has no locks keeps nobody out.
                Err(_) => passed = Some(directory),
            }
        }
        lock.announce(name);
        Ok(lock)
    }

    /// Locks another tree for the same run.
    pub(crate) fn also(&self, root: &Root) -> Result<Self> {
        let is_this = |holder: &&Holder| holder.number == self.number;
        let name = holders().iter().find(is_this).map(|holder| holder.name.clone()).unwrap_or_default();
        Self::acquire(root, LockFor::Tree, &name)
    }

    fn announce(&self, name: &str) {
        let identities = self.levels.iter().map(|(identity, _)| *identity);
        let trees = usize::from(self.hold == Hold::Exclusive);
        holders().push(Holder {
            number: self.number,
            tree: identities.clone().take(trees).next(),
            shared: identities.skip(trees).collect(),
            name: name.to_owned(),
            since: SystemTime::now(),
        });
    }

    /// How the root's directory is held: exclusively for a tree, unless it cannot be locked.
    pub(crate) fn hold(&self) -> Hold {
        self.hold
    }
}

impl Drop for DestinationLock {
    fn drop(&mut self) {
        holders().retain(|holder| holder.number != self.number);
        for (_, directory) in &self.levels {
            // A child that was forked and has not executed its program yet holds a copy of the descriptor. Closing ours
            // would leave the lock with the child, so it is unlocked first.
            let _ = rustix::fs::flock(directory, FlockOperation::Unlock);
        }
    }
}

/// Opens a directory on the way up, and says whether it can be locked: that takes the right to read it. A descriptor of
/// its own is needed, as a duplicate would share its lock. None where the directory cannot be opened.
fn open_level(from: BorrowedFd<'_>, name: &CStr) -> Option<(OwnedFd, bool)> {
    let open = |access| rustix::fs::openat(from, name, OFlags::DIRECTORY | OFlags::CLOEXEC | access, Mode::empty());
    let readable = open(OFlags::RDONLY).map(|directory| (directory, true));
    readable.or_else(|_| open(OFlags::PATH).map(|directory| (directory, false))).ok()
}

/// Whether nobody alive writes in the directory at `path` below `root`, which is locked for a tree. A run that may not
/// read a directory on the way is not seen, because it holds no shared lock there.
pub(super) fn is_unclaimed(root: &Root, path: &RelPath) -> bool {
    let mut at = path.clone();
    while let Some((parent, _)) = at.split_last() {
        if let Ok(directory) = root.open_directory(&at, Access::Read)
            && try_lock(&directory, LockFor::Tree) == Err(Errno::WOULDBLOCK)
        {
            return false;
        }
        at = parent;
    }
    true
}

fn try_lock(directory: &OwnedFd, purpose: LockFor) -> rustix::io::Result<()> {
    let operation = match purpose {
        LockFor::Tree => FlockOperation::NonBlockingLockExclusive,
        LockFor::Names | LockFor::Below => FlockOperation::NonBlockingLockShared,
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(directory, operation))
}

fn identify(directory: impl AsFd) -> Result<Identity> {
    let stat = rustix::fs::fstat(directory)
        .map_err(|errno| Error::io("cannot look at", b"", CallError { call: "fstat", errno }.into()))?;
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}

/// The refusal of a lock on the directory `identity`.
fn busy(identity: Identity, purpose: LockFor) -> Error {
    let (holder, for_tree) = holder_here(identity, purpose)
        .or_else(|| holder_elsewhere(identity, purpose))
        .map_or((None, purpose != LockFor::Tree), |(holder, for_tree)| (Some(holder), for_tree));
    let place = match (purpose, for_tree) {
        (LockFor::Below, _) => "a directory above the destination",
        (LockFor::Tree | LockFor::Names, true) => "the destination",
        (LockFor::Tree | LockFor::Names, false) => "something in the destination",
    };
    let holder = holder.unwrap_or_else(|| "another process".to_owned());
    Error::new(ErrorKind::Busy, format!("{place} is being written by {holder}")).with("holder", holder)
}

/// The run of this process that holds the lock, and whether it has locked the directory for its tree.
fn holder_here(identity: Identity, purpose: LockFor) -> Option<(String, bool)> {
    let holders = holders();
    let of_tree = holders.iter().find(|holder| holder.tree == Some(identity)).map(|holder| (holder, true));
    let below = || holders.iter().find(|holder| holder.shared.contains(&identity)).map(|holder| (holder, false));
    let found = of_tree.or_else(|| below().filter(|_| purpose == LockFor::Tree));
    found.map(|(holder, for_tree)| (holder::run_here(&holder.name, holder.since), for_tree))
}

/// The process that holds the lock, by the kernel's list of locks. A process of a container that this process cannot
/// see is not in the list; nor are locks on file systems whose `stat` tells another device than the list (btrfs).
fn holder_elsewhere(identity: Identity, purpose: LockFor) -> Option<(String, bool)> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let (pid, for_tree) = find_lock(&locks, identity, purpose)?;
    Some((holder::process(pid), for_tree))
}

/// Finds the lock on a directory that conflicts with `purpose`: its process, and whether it is exclusive.
fn find_lock(locks: &str, identity: Identity, purpose: LockFor) -> Option<(u32, bool)> {
    let (major, minor) = (rustix::fs::major(identity.device), rustix::fs::minor(identity.device));
    let file = format!("{major:02x}:{minor:02x}:{}", identity.inode);
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // A lock that is only waited for has an arrow in front.
        let [_, "FLOCK", _, mode, pid, place, ..] = fields[..] else { return None };
        let for_tree = mode == "WRITE";
        let is_in_the_way = place == file && (for_tree || purpose == LockFor::Tree);
        // A process outside of this one's namespace has no number here.
        let pid = pid.parse().ok().filter(|&pid| pid != 0)?;
        is_in_the_way.then_some((pid, for_tree))
    })
}

#[cfg(test)]
mod tests {
    use super::{DestinationLock, Hold, Identity, LockFor, Root, find_lock, is_unclaimed};
    use crate::error::{Error, ErrorKind};
    use sparsync_proto::RelPath;
    use std::os::unix::ffi::OsStrExt;

    fn directories(names: &[&str]) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::create_dir_all(top.path().join(name)).unwrap();
        }
        top
    }

    fn root(top: &tempfile::TempDir, name: &str) -> Root {
        Root::open(top.path().join(name).as_os_str().as_bytes()).unwrap()
    }

    fn lock(top: &tempfile::TempDir, name: &str, purpose: LockFor) -> Result<DestinationLock, Error> {
        DestinationLock::acquire(&root(top, name), purpose, &format!("a run on {name}"))
    }

    fn refusal(result: Result<DestinationLock, Error>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        let (who, which) = error.message().split_once(" (process ").unwrap();
        assert!(which.starts_with(&format!("{} on ", std::process::id())) && which.contains(", since 2"), "{which}");
        who.to_owned()
    }

    #[test]
    fn a_tree_excludes_what_it_holds_and_not_its_neighbours() {
        let top = directories(&["a/x", "b"]);
        let held = lock(&top, "a", LockFor::Tree).unwrap();
        assert_eq!(held.hold(), Hold::Exclusive);
        assert_eq!(refusal(lock(&top, "a", LockFor::Tree)), "the destination is being written by a run on a");
        assert_eq!(
            refusal(lock(&top, "a/x", LockFor::Tree)),
            "a directory above the destination is being written by a run on a"
        );
        assert_eq!(
            refusal(lock(&top, "", LockFor::Tree)),
            "something in the destination is being written by a run on a"
        );
        let beside = lock(&top, "b", LockFor::Tree).unwrap();
        drop(held);
        assert!(lock(&top, "a/x", LockFor::Tree).is_ok());
        drop(beside);
        assert!(lock(&top, "", LockFor::Tree).is_ok());
    }

    #[test]
    fn single_names_share_a_directory_and_no_tree_goes_over_them() {
        let top = directories(&["a/x"]);
        let first = lock(&top, "a", LockFor::Names).unwrap();
        assert_eq!(first.hold(), Hold::Shared);
        let second = lock(&top, "a", LockFor::Names).unwrap();
        let below = lock(&top, "a/x", LockFor::Tree).unwrap();
        drop((second, below));
        assert_eq!(
            refusal(lock(&top, "a", LockFor::Tree)),
            "something in the destination is being written by a run on a"
        );
        drop(first);
        let tree = lock(&top, "a", LockFor::Tree).unwrap();
        assert_eq!(refusal(lock(&top, "a", LockFor::Names)), "the destination is being written by a run on a");
        drop(tree);
    }

    #[test]
    fn the_root_directory_is_above_itself() {
        let tree = DestinationLock::acquire(&Root::open(b"/").unwrap(), LockFor::Names, "all").unwrap();
        assert_eq!(tree.levels.len(), 1);
    }

    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let top = directories(&["a"]);
        let held = lock(&top, "a", LockFor::Tree).unwrap();
        let copy = held.levels[0].1.try_clone().unwrap();
        drop(held);
        assert!(lock(&top, "a", LockFor::Tree).is_ok());
        drop(copy);
    }

    #[test]
    fn who_is_below_without_a_lock_above_is_seen_on_the_way_down() {
        let top = directories(&["a/x/deep"]);
        let tree = root(&top, "a");
        let path = RelPath::new(b"x/deep").unwrap();
        assert!(is_unclaimed(&tree, &path));
        for purpose in [LockFor::Tree, LockFor::Names] {
            let below = lock(&top, "a/x", purpose).unwrap();
            assert!(!is_unclaimed(&tree, &path));
            drop(below);
        }
        assert!(is_unclaimed(&tree, &path));
    }

    #[test]
    fn the_kernels_list_of_locks_is_read() {
        let identity = Identity { device: rustix::fs::makedev(8, 17), inode: 131_074 };
        let list = "1: POSIX  ADVISORY  WRITE 7 08:11:131074 0 EOF\n\
                    2: FLOCK  ADVISORY  READ  8 08:11:131074 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 9 08:11:131074 0 EOF\n\
                    3: FLOCK  ADVISORY  WRITE 10 08:11:131075 0 EOF\n";
        assert_eq!(find_lock(list, identity, LockFor::Tree), Some((8, false)));
        assert_eq!(find_lock(list, identity, LockFor::Names), None);
        let other = Identity { inode: 131_075, ..identity };
        assert_eq!(find_lock(list, other, LockFor::Names), Some((10, true)));
    }
}
