//! A tree in memory, as a storage. Any call of it can be made to fail, and any call can be the last one.

mod adjust;
mod faults;
mod file;

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sparsync_proto::{ACL_ACCESS, Device, Kind, Meta, RelPath, Time, acl_under};

use super::{
    Access, Adjust, Directory, Errno, Found, NameBuffer, Result, Stamp, Status, Storage, WriteDirectory, WriteStorage,
    listed_name,
};
use adjust::Link;
pub(crate) use faults::{Call, Faults, Strike, UNFINISHED};

/// The size of the pieces in which holes are looked for.
const BLOCK_BYTES: usize = 4096;

/// The bits that new entries do not get.
const UMASK: u16 = 0o022;

/// The permission bits that an ACL says: the last that it has for the group, which is its mask where it has one.
fn mode_of(acl: &[u8]) -> u16 {
    acl[4..].chunks_exact(8).fold(0, |mode, entry| {
        let perms = u16::from(entry[2]);
        match entry[0] {
            0x01 => mode | perms << 6,
            0x04 | 0x10 => mode & !0o070 | perms << 3,
            0x20 => mode | perms,
            _ => mode,
        }
    })
}

/// An entry. Whoever holds it keeps it, whatever becomes of its name.
#[derive(Debug)]
pub(crate) struct Node {
    ino: u64,
    /// How many names it has.
    links: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    body: Body,
    meta: Meta,
    xattrs: Xattrs,
    ctime: Time,
    /// What becomes of a file's content after each time it is read.
    restless: Option<fn(&mut Vec<u8>)>,
    /// A directory does not tell its names by the case of their letters.
    folds_case: bool,
}

/// Extended attributes by their names.
pub(crate) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an entry holds.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// A file's content.
    File(Vec<u8>),
    /// A directory's entries.
    Directory(BTreeMap<Vec<u8>, Arc<Node>>),
    /// Where a symlink leads.
    Symlink(Vec<u8>),
    /// Nothing: a FIFO, a socket or a device.
    Node(Kind, Device),
}

impl Body {
    fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Directory(_) => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::Node(kind, _) => *kind,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::File(bytes) | Self::Symlink(bytes) => bytes,
            Self::Directory(_) | Self::Node(..) => b"",
        }
    }
}

fn is_hole(block: &[u8]) -> bool {
    block.len() == BLOCK_BYTES && block.iter().all(|&byte| byte == 0)
}

/// A time of the system's clock.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(0), nanos: since.subsec_nanos() }
}

/// A time that no other change has, and long enough ago for the next one to show.
fn change_time() -> Time {
    static CHANGES: AtomicU64 = AtomicU64::new(1);
    Time { seconds: i64::try_from(CHANGES.fetch_add(1, Ordering::Relaxed)).unwrap_or(0), nanos: 0 }
}

impl Node {
    /// An entry with these permission bits.
    pub(crate) fn new(body: Body, mode: u16) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let meta = Meta { mode, uid: 0, gid: 0, mtime: now() };
        let state = Mutex::new(State {
            body,
            meta,
            xattrs: Xattrs::new(),
            ctime: change_time(),
            restless: None,
            folds_case: false,
        });
        Arc::new(Self { ino: NEXT.fetch_add(1, Ordering::Relaxed), links: AtomicU32::new(1), state })
    }

    /// What tells it from every other entry.
    pub(crate) fn number(&self) -> u64 {
        self.ino
    }

    /// Gives an entry a further name in this directory, as whoever made the tree.
    pub(crate) fn add_link(&self, name: &[u8], node: &Arc<Self>) {
        if let Body::Directory(entries) = &mut self.lock().body {
            node.linked();
            entries.insert(name.to_vec(), Arc::clone(node));
        }
    }

    /// Counts a further name.
    fn linked(&self) {
        self.links.fetch_add(1, Ordering::Relaxed);
    }

    fn unlinked(&self) {
        self.links.fetch_sub(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kind, content and attributes.
    pub(crate) fn look(&self) -> (Body, Meta, Xattrs) {
        let state = self.lock();
        (state.body.clone(), state.meta, state.xattrs.clone())
    }

    /// Sets the permission bits, which are a part of an ACL, as in the system.
    fn set_mode(&self, bits: u16) {
        let mut state = self.lock();
        state.meta.mode = bits;
        if let Some(acl) = state.xattrs.get_mut(ACL_ACCESS) {
            *acl = acl_under(ACL_ACCESS, acl, bits).unwrap_or_default();
        }
        state.ctime = change_time();
    }

    /// Sets an extended attribute. An ACL sets permission bits, as in the system.
    pub(crate) fn set_xattr(&self, name: &[u8], value: &[u8]) {
        let mut state = self.lock();
        if name == ACL_ACCESS {
            state.meta.mode = state.meta.mode & !0o777 | mode_of(value);
        }
        state.xattrs.insert(name.to_vec(), value.to_vec());
        state.ctime = change_time();
    }

    /// The names of the extended attributes, each with a NUL at its end.
    fn list_xattrs(&self, buffer: &mut [u8]) -> Result<usize> {
        let names = self.lock().xattrs.keys().flat_map(|name| [name, &[0][..]].concat()).collect::<Vec<u8>>();
        fill(buffer, &names)
    }

    fn get_xattr(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
        fill(buffer, self.lock().xattrs.get(name).ok_or(Errno::NODATA)?)
    }

    /// Sets the modification time, as whoever made the tree.
    pub(crate) fn set_time(&self, mtime: Time) {
        self.lock().meta.mtime = mtime;
    }

    /// Sets when it was last changed, as if that had been then.
    pub(crate) fn set_change_time(&self, ctime: Time) {
        self.lock().ctime = ctime;
    }

    fn kind(&self) -> Kind {
        self.lock().body.kind()
    }

    fn status(&self) -> Status {
        let state = self.lock();
        let bytes = state.body.bytes();
        let may_have_holes = state.body.kind() == Kind::File && bytes.chunks(BLOCK_BYTES).any(is_hole);
        Status {
            kind: state.body.kind(),
            meta: state.meta,
            size: bytes.len() as u64,
            rdev: if let Body::Node(_, device) = state.body { device } else { Device::default() },
            stamp: Stamp { ctime: state.ctime, ino: self.ino, may_have_holes },
            device: 0,
            links: self.links.load(Ordering::Relaxed),
            is_mount_point: Some(false),
        }
    }

    /// Has a file change after each time it is read.
    pub(crate) fn never_rests(&self, change: fn(&mut Vec<u8>)) {
        self.lock().restless = Some(change);
    }

    /// Has a directory no more tell its names by the case of their letters.
    pub(crate) fn fold_case(&self) {
        self.lock().folds_case = true;
    }

    /// The name that the directory has for `name`.
    fn spelled(&self, name: &[u8]) -> Vec<u8> {
        let state = self.lock();
        let Body::Directory(entries) = &state.body else { return name.to_vec() };
        let alike = entries.keys().find(|there| state.folds_case && there.eq_ignore_ascii_case(name));
        alike.map_or(name, Vec::as_slice).to_vec()
    }

    /// Changes a file's content.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T> {
        let mut state = self.lock();
        let Body::File(content) = &mut state.body else { return Err(Errno::INVAL.into()) };
        let changed = change(content);
        state.meta.mtime = now();
        state.ctime = change_time();
        Ok(changed)
    }

    /// Changes a directory's entries.
    fn entries<T>(&self, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Arc<Self>>) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        let Body::Directory(entries) = &mut state.body else { return Err(Errno::NOTDIR.into()) };
        let changed = change(entries)?;
        state.meta.mtime = now();
        state.ctime = change_time();
        Ok(changed)
    }

    fn entry(&self, name: &[u8]) -> Result<Arc<Self>> {
        let name = self.spelled(name);
        let state = self.lock();
        let Body::Directory(entries) = &state.body else { return Err(Errno::NOTDIR.into()) };
        entries.get(&name).cloned().ok_or(Errno::NOENT.into())
    }

    fn adjust(&self, change: impl FnOnce(&mut Meta)) {
        let mut state = self.lock();
        change(&mut state.meta);
        state.ctime = change_time();
    }
}

/// A tree in memory. A clone is the same tree.
#[derive(Clone, Debug)]
pub(crate) struct MemoryStorage {
    /// The root of the tree.
    pub(crate) top: Arc<Node>,
    /// What fails.
    pub(crate) faults: Arc<Faults>,
}

impl MemoryStorage {
    /// A tree with this root.
    pub(crate) fn new(top: Arc<Node>) -> Self {
        Self { top, faults: Arc::default() }
    }
}

impl Storage for MemoryStorage {
    type Directory = Held;

    fn open(&self, path: &RelPath, _: Access) -> Result<Held> {
        self.faults.call("open directory", path.as_bytes(), || {
            let mut node = Arc::clone(&self.top);
            for name in path.components() {
                node = node.entry(name.as_bytes())?;
            }
            match node.kind() {
                Kind::Directory => Ok(Held { node, path: path.as_bytes().to_vec(), faults: Arc::clone(&self.faults) }),
                Kind::Symlink => Err(Errno::LOOP.into()),
                Kind::File | Kind::Special | Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => {
                    Err(Errno::NOTDIR.into())
                }
            }
        })
    }
}

impl WriteStorage for MemoryStorage {
    fn sync(&self) -> Result<()> {
        self.faults.change("sync all", b"", || Ok(()), || ())
    }

    fn is_unclaimed(&self, _: &RelPath) -> bool {
        true
    }

    fn umask(&self) -> u16 {
        UMASK
    }
}

/// An entry that is held: a directory or a file.
#[derive(Debug)]
pub(crate) struct Held {
    node: Arc<Node>,
    path: Vec<u8>,
    faults: Arc<Faults>,
}

impl Held {
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let slash: &[u8] = if self.path.is_empty() || name.is_empty() { b"" } else { b"/" };
        [&self.path, slash, name].concat()
    }

    /// The entry `name` of a directory, or the directory itself when the name is empty.
    fn entry(&self, name: &[u8]) -> Result<Arc<Node>> {
        if name.is_empty() { Ok(Arc::clone(&self.node)) } else { self.node.entry(name) }
    }

    /// The entry `name` of a directory, held.
    fn child(&self, name: &[u8], node: Arc<Node>) -> Self {
        Self { node, path: self.path_of(name), faults: Arc::clone(&self.faults) }
    }

    fn call<T>(&self, operation: &'static str, name: &[u8], work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.faults.call(operation, &self.path_of(name), work)
    }

    fn change(&self, operation: &'static str, name: &[u8], work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.faults.change(operation, &self.path_of(name), work, || ())
    }

    fn make(&self, name: &[u8], body: Body, mode: u16) -> Result<Arc<Node>> {
        let (node, name) = (Node::new(body, mode), self.node.spelled(name));
        self.node.entries(|entries| match entries.entry(name) {
            std::collections::btree_map::Entry::Occupied(_) => Err(Errno::EXIST.into()),
            std::collections::btree_map::Entry::Vacant(free) => Ok(Arc::clone(free.insert(node))),
        })
    }
}

impl Directory for Held {
    type File = Self;

    fn names(&self, _: &mut NameBuffer, mut each: impl FnMut(&CStr, Option<Kind>) -> Result<()>) -> Result<()> {
        let found = self.call("list", b"", || match self.node.look().0 {
            Body::Directory(entries) => Ok(entries),
            Body::File(_) | Body::Symlink(_) | Body::Node(..) => Err(Errno::NOTDIR.into()),
        })?;
        found.iter().try_for_each(|(name, node)| each(&listed_name(name)?, Some(node.kind())))
    }

    fn access_time(&self, _: &[u8]) -> Result<Time> {
        Ok(Time::default())
    }

    fn status(&self, name: &[u8]) -> Result<Status> {
        self.call("status", name, || Ok(self.entry(name)?.status()))
    }

    fn list_xattrs(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
        self.call("list xattrs", name, || self.entry(name)?.list_xattrs(buffer))
    }

    fn get_xattr(&self, name: &[u8], attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
        self.call("get xattr", name, || self.entry(name)?.get_xattr(attribute, buffer))
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.call("read link", name, || match self.node.entry(name)?.look().0 {
            Body::Symlink(target) => Ok(target),
            Body::File(_) | Body::Directory(_) | Body::Node(..) => Err(Errno::INVAL.into()),
        })
    }

    fn open_file(&self, name: &[u8]) -> Result<Self> {
        self.call("open file", name, || {
            let node = self.node.entry(name)?;
            if node.kind() == Kind::Symlink { Err(Errno::LOOP.into()) } else { Ok(self.child(name, node)) }
        })
    }
}

impl WriteDirectory for Held {
    fn handle(&self) -> impl Adjust {
        self.child(b"", Arc::clone(&self.node))
    }

    fn reach(&self, name: &[u8], kind: Kind) -> Result<(impl Adjust, Found)> {
        self.call("reach", name, || {
            let node = self.node.entry(name)?;
            if node.kind() != kind {
                return Err(Errno::INVAL.into());
            }
            let found = found(&node);
            Ok((self.child(name, node), found))
        })
    }

    fn link<'a>(&'a self, name: &'a [u8]) -> impl Adjust {
        Link(self, name)
    }

    fn create_file(&self, name: &[u8], bits: u16) -> Result<Self> {
        self.call("create", name, || {
            Ok(self.child(name, self.make(name, Body::File(Vec::new()), bits & 0o777 & !UMASK)?))
        })
    }

    fn reopen_file(&self, name: &[u8]) -> Result<Self> {
        self.call("reopen", name, || {
            let node = self.node.entry(name)?;
            if node.kind() == Kind::File { Ok(self.child(name, node)) } else { Err(Errno::INVAL.into()) }
        })
    }

    fn open_in_place(&self, name: &[u8], _: bool) -> Result<Self> {
        self.reopen_file(name)
    }

    fn make_directory(&self, name: &[u8], bits: u16) -> Result<()> {
        self.change("make directory", name, || {
            self.make(name, Body::Directory(BTreeMap::new()), bits & 0o777 & !UMASK).map(drop)
        })
    }

    fn make_symlink(&self, name: &[u8], target: &[u8]) -> Result<()> {
        self.change("make symlink", name, || self.make(name, Body::Symlink(target.to_vec()), 0o777).map(drop))
    }

    fn make_node(&self, name: &[u8], (kind, device): (Kind, Device), bits: u16) -> Result<()> {
        self.change("make node", name, || self.make(name, Body::Node(kind, device), bits & 0o777 & !UMASK).map(drop))
    }

    fn make_hard_link(&self, (directory, from): (&Self, &[u8]), name: &[u8]) -> Result<()> {
        self.change("make hard link", name, || {
            let node = directory.node.entry(from)?;
            let name = &self.node.spelled(name)[..];
            self.node.entries(|entries| {
                if entries.contains_key(name) {
                    return Err(Errno::EXIST.into());
                }
                node.linked();
                entries.insert(name.to_vec(), Arc::clone(&node));
                Ok(())
            })
        })
    }

    fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<()> {
        if self.status(to).is_ok() {
            return Err(Errno::EXIST.into());
        }
        self.rename(from, to)
    }

    fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        self.change("rename", to, || {
            let (from, to) = (&self.node.spelled(from)[..], &self.node.spelled(to)[..]);
            self.node.entries(|entries| {
                let is_directory = |name| entries.get(name).map(|node| node.kind() == Kind::Directory);
                match (is_directory(from), is_directory(to)) {
                    (None, _) => return Err(Errno::NOENT.into()),
                    (Some(false), Some(true)) => return Err(Errno::ISDIR.into()),
                    (Some(true), Some(_)) => return Err(Errno::NOTEMPTY.into()),
                    (Some(_), None) | (Some(false), Some(false)) => {}
                }
                if entries.get(to).is_some_and(|there| entries.get(from).is_some_and(|node| Arc::ptr_eq(node, there))) {
                    // POSIX wants it so: they are one already, and both names stay.
                    return Ok(());
                }
                let node = entries.remove(from).ok_or(Errno::NOENT)?;
                if let Some(replaced) = entries.insert(to.to_vec(), node) {
                    replaced.unlinked();
                }
                Ok(())
            })
        })
    }

    fn move_to(&self, from: &[u8], (directory, to): (&Self, &[u8])) -> Result<()> {
        self.change("move", to, || {
            let (node, to) = (self.node.entry(from)?, &directory.node.spelled(to)[..]);
            directory.node.entries(|entries| {
                if entries.get(to).is_some_and(|there| there.kind() == Kind::Directory) {
                    return Err(Errno::ISDIR.into());
                }
                if let Some(replaced) = entries.insert(to.to_vec(), node) {
                    replaced.unlinked();
                }
                Ok(())
            })?;
            self.node.entries(|entries| entries.remove(from).map(drop).ok_or(Errno::NOENT.into()))
        })
    }

    fn exchange(&self, one: &[u8], other: &[u8]) -> Result<()> {
        self.change("exchange", other, || {
            let (one, other) = (&self.node.spelled(one)[..], &self.node.spelled(other)[..]);
            self.node.entries(|entries| {
                let (Some(first), Some(second)) = (entries.get(one).cloned(), entries.get(other).cloned()) else {
                    return Err(Errno::NOENT.into());
                };
                entries.insert(one.to_vec(), second);
                entries.insert(other.to_vec(), first);
                Ok(())
            })
        })
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        self.change("remove", name, || {
            let name = &self.node.spelled(name)[..];
            self.node.entries(|entries| match entries.get(name).map(|node| node.kind()) {
                None => Err(Errno::NOENT.into()),
                Some(Kind::Directory) => Err(Errno::ISDIR.into()),
                Some(_) => {
                    if let Some(removed) = entries.remove(name) {
                        removed.unlinked();
                    }
                    Ok(())
                }
            })
        })
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.change("remove directory", name, || {
            let name = &self.node.spelled(name)[..];
            self.node.entries(|entries| match entries.get(name).map(|node| node.look().0) {
                None => Err(Errno::NOENT.into()),
                Some(Body::Directory(inner)) if inner.is_empty() => {
                    entries.remove(name);
                    Ok(())
                }
                Some(Body::Directory(_)) => Err(Errno::NOTEMPTY.into()),
                Some(Body::File(_) | Body::Symlink(_) | Body::Node(..)) => Err(Errno::NOTDIR.into()),
            })
        })
    }

    fn sync(&self) -> Result<()> {
        self.change("sync directory", b"", || Ok(()))
    }

    fn sync_file_system(&self) -> Result<()> {
        self.change("sync all", b"", || Ok(()))
    }
}

/// Puts bytes into a buffer, and says how many.
fn fill(buffer: &mut [u8], bytes: &[u8]) -> Result<usize> {
    buffer.get_mut(..bytes.len()).ok_or(Errno::RANGE)?.copy_from_slice(bytes);
    Ok(bytes.len())
}

fn found(node: &Node) -> Found {
    let meta = node.lock().meta;
    Found { mode: meta.mode, uid: meta.uid, gid: meta.gid }
}
