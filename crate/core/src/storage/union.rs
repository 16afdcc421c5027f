//! Several trees seen as one, for reading: the sources of a run.
//!
//! A name is what the first tree that has it says, except that a directory comes before everything else; directories of
//! the same path are one. That is rsync's rule for several sources. A directory that does not belong to the run comes
//! before nothing.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::CStr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use sparsync_proto::{Device, Kind, Meta, RelPath, Time};

use super::{
    Access, CallError, Directory, Errno, NameBuffer, Result, Stamp, Status, Storage, WriteDirectory, WriteStorage,
    listed_name,
};

/// A tree of a [`Union`], or one entry of it.
#[derive(Debug)]
pub(crate) struct Part<S> {
    /// The directories on the way from the union's top to `root`: of each the one name is seen that leads on, whatever
    /// has that name there.
    pub(crate) above: Vec<(Arc<S>, Vec<u8>)>,
    /// The tree.
    pub(crate) root: Arc<S>,
    /// The only name of its top that is seen, with everything below it; without it, all are.
    pub(crate) name: Option<Vec<u8>>,
}

impl<S> Part<S> {
    /// A tree at the top of the union, of which everything is seen, or one entry.
    pub(crate) fn at_top(root: impl Into<Arc<S>>, name: Option<Vec<u8>>) -> Self {
        Self { above: Vec::new(), root: root.into(), name }
    }

    /// The path below the union's top at which the tree, or its entry, is seen; none when its name is no path.
    pub(crate) fn path(&self) -> Option<RelPath> {
        let names: Vec<&[u8]> = self.above.iter().map(|(_, name)| name).chain(&self.name).map(Vec::as_slice).collect();
        RelPath::new(&names.join(&b'/')).ok()
    }

    /// Its directory that is seen at the union's top, in full or by one name.
    pub(crate) fn top(&self) -> &S {
        self.above.first().map_or(&self.root, |(directory, _)| directory)
    }

    /// What this part has of the union's directory at `path`; none when it has no such directory.
    fn reach<'a>(&'a self, path: &'a RelPath) -> Option<Reached<'a, S>> {
        let mut names = path.components();
        for (depth, (directory, name)) in self.above.iter().enumerate() {
            match names.next() {
                None => {
                    let next = self.above.get(depth + 1).map_or(&self.root, |(directory, _)| directory);
                    return Some(Reached::Name { top: directory, name, leads_to: Some(next) });
                }
                Some(next) if next.as_bytes() == name => {}
                Some(_) => return None,
            }
        }
        let rest = if self.above.is_empty() {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(names.fold(RelPath::root(), |above, name| above.join(name)))
        };
        let first = rest.components().next().map(|first| Some(first.as_bytes()) == self.name.as_deref());
        match (&self.name, first) {
            (Some(name), None) => Some(Reached::Name { top: &self.root, name, leads_to: None }),
            (Some(_), Some(false)) => None,
            _ => Some(Reached::Directory(rest)),
        }
    }
}

/// What a [`Part`] has of a directory.
enum Reached<'a, S> {
    /// All of the directory at this path of its tree.
    Directory(Cow<'a, RelPath>),
    /// One name of a tree's top, which may stand for the top of another tree.
    Name { top: &'a Arc<S>, name: &'a Vec<u8>, leads_to: Option<&'a Arc<S>> },
}

/// Trees that lie over each other; the first is the uppermost.
#[derive(Debug)]
pub(crate) struct Union<S> {
    parts: Vec<Part<S>>,
    outside: Outside,
}

/// The paths of directories that do not belong to the run, where something else has their name as well.
#[derive(Clone, Debug, Default)]
struct Outside(Arc<Mutex<HashSet<Vec<u8>>>>);

impl Outside {
    fn add(&self, path: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    fn has(&self, path: impl FnOnce() -> Vec<u8>) -> bool {
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !paths.is_empty() && paths.contains(&path())
    }
}

impl<S> Union<S> {
    /// Lays `parts` over each other.
    pub(crate) fn new(parts: Vec<Part<S>>) -> Self {
        Self { parts, outside: Outside::default() }
    }

    /// The same, with each tree changed by `change`.
    pub(crate) fn try_map<E>(
        self,
        change: impl FnMut(Part<S>) -> std::result::Result<Part<S>, E>,
    ) -> std::result::Result<Self, E> {
        let parts = self.parts.into_iter().map(change).collect::<std::result::Result<_, E>>()?;
        Ok(Self { parts, outside: self.outside })
    }

    /// The trees, the uppermost first.
    pub(crate) fn parts(&self) -> &[Part<S>] {
        &self.parts
    }
}

impl<S: WriteStorage + Send> Storage for Union<S> {
    type Directory = UnionDirectory<S>;

    fn open(&self, path: &RelPath, access: Access) -> Result<Self::Directory> {
        let mut layers = Vec::with_capacity(1);
        let mut unread = Vec::new();
        let mut absent = CallError::from(Errno::NOENT);
        for (tree, part) in self.parts.iter().enumerate() {
            let seen = match part.reach(path) {
                None => continue,
                Some(Reached::Name { top, name, leads_to }) => {
                    Seen::Name { top: Arc::clone(top), name: name.clone(), leads_to: leads_to.cloned() }
                }
                Some(Reached::Directory(below)) => match part.root.open(&below, access) {
                    Ok(directory) => Seen::Whole(directory),
                    // Another tree has the directory; this one has nothing there, or something that it comes before.
                    Err(error @ CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => {
                        absent = error;
                        continue;
                    }
                    Err(error) => {
                        unread.push(error);
                        continue;
                    }
                },
            };
            layers.push(Layer { tree, seen });
        }
        if layers.is_empty() && !(self.parts.is_empty() && path.is_root()) {
            return Err(unread.into_iter().next().unwrap_or(absent));
        }
        Ok(UnionDirectory { path: path.clone(), layers, unread, outside: self.outside.clone() })
    }

    fn remove(&self, path: &RelPath, is_meant: &dyn Fn(&Status) -> bool) -> Result<bool> {
        let Some((parent, name)) = path.split_last() else { return Err(Errno::ISDIR.into()) };
        let directory = self.open(&parent, Access::Reach)?;
        let (layer, status) = directory.find(name.as_bytes())?;
        if matches!(layer.seen, Seen::Name { leads_to: Some(_), .. }) || !is_meant(&status) {
            return Ok(false);
        }
        // The symlinks on the way are not followed here: an entry behind one is not the source's own, though the run
        // takes it for that.
        let part = self.parts.get(layer.tree);
        let (root, below) = match part.and_then(|part| Some((part, part.reach(&parent)?))) {
            Some((part, Reached::Directory(below))) => (&part.root, below),
            Some((_, Reached::Name { top, .. })) => (top, Cow::Owned(RelPath::root())),
            None => return Err(Errno::NOENT.into()),
        };
        root.open_below(&RelPath::root(), &below, Access::Reach)?.remove(name.as_bytes()).map(|()| true)
    }
}

/// The top of no trees.
const EMPTY: Status = Status {
    kind: Kind::Directory,
    meta: Meta { mode: 0, uid: 0, gid: 0, mtime: Time { seconds: 0, nanos: 0 } },
    size: 0,
    rdev: Device { major: 0, minor: 0 },
    stamp: Stamp { ctime: Time { seconds: 0, nanos: 0 }, ino: 0, may_have_holes: false },
    device: 0,
    links: 1,
    is_mount_point: Some(false),
};

/// The directories of one path, and which of them a name is looked for in.
pub(crate) struct UnionDirectory<S: Storage> {
    path: RelPath,
    layers: Vec<Layer<S>>,
    unread: Vec<CallError>,
    outside: Outside,
}

/// One of the directories that lie over each other.
struct Layer<S: Storage> {
    /// The number of its tree.
    tree: usize,
    seen: Seen<S>,
}

/// What is seen of a directory.
enum Seen<S: Storage> {
    /// All of it.
    Whole(S::Directory),
    /// One name of a tree's top. The top is opened when that name is asked for, since a run may have more sources than
    /// a process may hold open.
    Name {
        top: Arc<S>,
        name: Vec<u8>,
        /// The tree that the name stands for, if it is on the way to one.
        leads_to: Option<Arc<S>>,
    },
}

/// A directory that is held, or was opened for one call.
enum Opened<'a, D> {
    Held(&'a D),
    Now(D),
}

impl<D> Deref for Opened<'_, D> {
    type Target = D;

    fn deref(&self) -> &D {
        match self {
            Self::Held(directory) => directory,
            Self::Now(directory) => directory,
        }
    }
}

impl<S: Storage> Layer<S> {
    fn directory(&self) -> Result<Opened<'_, S::Directory>> {
        match &self.seen {
            Seen::Whole(directory) => Ok(Opened::Held(directory)),
            Seen::Name { top, .. } => top.open(&RelPath::root(), Access::Reach).map(Opened::Now),
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self.seen, Seen::Whole(_))
    }

    fn status(&self, name: &[u8]) -> Result<Status> {
        match &self.seen {
            Seen::Name { name: only, .. } if only != name => Err(Errno::NOENT.into()),
            Seen::Name { leads_to: Some(next), .. } => next.open(&RelPath::root(), Access::Reach)?.status(b""),
            Seen::Whole(_) | Seen::Name { .. } => self.directory()?.status(name),
        }
    }
}

impl<S: Storage> UnionDirectory<S> {
    /// The only directory of this path, when all of it is seen.
    fn single(&self) -> Option<&S::Directory> {
        match &self.layers[..] {
            [Layer { seen: Seen::Whole(directory), .. }] => Some(directory),
            _ => None,
        }
    }

    /// The directory of the tree of this number.
    fn of_tree(&self, tree: usize) -> Result<Opened<'_, S::Directory>> {
        self.layers.iter().find(|layer| layer.tree == tree).ok_or(Errno::NOENT)?.directory()
    }

    /// The directory in which `name` is seen.
    fn holding(&self, name: &[u8]) -> Result<Opened<'_, S::Directory>> {
        match self.single() {
            Some(directory) => Ok(Opened::Held(directory)),
            None => self.find(name)?.0.directory(),
        }
    }

    /// The layer in which `name` is seen, and its status there.
    fn find(&self, name: &[u8]) -> Result<(&Layer<S>, Status)> {
        let mut first = None;
        for layer in &self.layers {
            match layer.status(name) {
                Ok(status) if status.kind == Kind::Directory => {
                    if !self.outside.has(|| self.path.join_bytes(name)) {
                        return Ok((layer, status));
                    }
                }
                Ok(status) if first.is_none() => first = Some((layer, status)),
                Ok(_) | Err(CallError { errno: Errno::NOENT, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        first.ok_or(Errno::NOENT.into())
    }

    /// The layer whose attributes are those of the directory itself: the uppermost one that is seen in full.
    fn own(&self) -> Option<&Layer<S>> {
        self.layers.iter().find(|layer| layer.is_whole()).or(self.layers.first())
    }

    /// Where the attributes of `name` are, or those of the directory itself when it is empty.
    fn with_attributes(&self, name: &[u8]) -> Result<Option<Opened<'_, S::Directory>>> {
        if !name.is_empty() {
            return self.holding(name).map(Some);
        }
        self.own().map(Layer::directory).transpose()
    }

    /// The status of the directory itself. Whether attributes of a layer with single names belong to the run is decided
    /// elsewhere.
    fn own_status(&self) -> Result<Status> {
        let Some(layer) = self.own() else { return Ok(EMPTY) };
        let mut status = layer.directory()?.status(b"")?;
        for other in self.layers.iter().filter(|layer| layer.is_whole()).skip(1) {
            // Each may have been mounted, and each may have gone.
            let mounted = other.directory()?.status(b"")?.is_mount_point;
            status.is_mount_point = status.is_mount_point.zip(mounted).map(|(one, other)| one || other);
        }
        if !layer.is_whole() {
            status.is_mount_point = Some(false);
        }
        Ok(status)
    }
}

impl<S: Storage + Send> Directory for UnionDirectory<S> {
    type File = <S::Directory as Directory>::File;

    fn names(&self, buffer: &mut NameBuffer, mut each: impl FnMut(&CStr, Option<Kind>) -> Result<()>) -> Result<()> {
        if let Some(directory) = self.single() {
            return directory.names(buffer, each);
        }
        let mut seen = HashSet::new();
        for layer in &self.layers {
            // Entries of the other directories decide what kind a name is, so none is passed on.
            let mut once = |name: &CStr| if seen.insert(name.to_owned()) { each(name, None) } else { Ok(()) };
            match &layer.seen {
                Seen::Name { name, .. } => once(&listed_name(name)?)?,
                Seen::Whole(directory) => directory.names(buffer, |name, _| once(name))?,
            }
        }
        Ok(())
    }

    fn is_boundary(&self, name: &[u8], status: &Status) -> bool {
        match self.single() {
            Some(directory) => directory.is_boundary(name, status),
            None => self.find(name).is_ok_and(|(layer, _)| match &layer.seen {
                Seen::Whole(directory) => directory.is_boundary(name, status),
                Seen::Name { .. } => false,
            }),
        }
    }

    #[inline]
    fn status(&self, name: &[u8]) -> Result<Status> {
        if name.is_empty() {
            return self.own_status();
        }
        match self.single() {
            Some(directory) => directory.status(name),
            None => self.find(name).map(|(_, status)| status),
        }
    }

    #[inline]
    fn status_of_listed(&self, name: &CStr) -> Result<Status> {
        match self.single() {
            Some(directory) => directory.status_of_listed(name),
            None => self.status(name.to_bytes()),
        }
    }

    fn instead_of_directory(&self, name: &[u8]) -> Result<Status> {
        if self.single().is_some() {
            return Err(Errno::NOENT.into());
        }
        self.outside.add(self.path.join_bytes(name));
        self.status(name)
    }

    fn access_time(&self, name: &[u8]) -> Result<Time> {
        self.holding(name)?.access_time(name)
    }

    fn list_xattrs(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
        match self.with_attributes(name)? {
            Some(directory) => directory.list_xattrs(name, buffer),
            None => Ok(0),
        }
    }

    fn get_xattr(&self, name: &[u8], attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
        match self.with_attributes(name)? {
            Some(directory) => directory.get_xattr(name, attribute, buffer),
            None => Err(Errno::NODATA.into()),
        }
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.holding(name)?.read_link(name)
    }

    fn open_file(&self, name: &[u8]) -> Result<Self::File> {
        self.holding(name)?.open_file(name)
    }

    fn freeze(&self, file: &Self::File) -> Result<Self::File> {
        let mut frozen = Err(Errno::OPNOTSUPP.into());
        for layer in &self.layers {
            frozen = layer.directory().and_then(|directory| directory.freeze(file));
            if frozen.is_ok() {
                break;
            }
        }
        frozen
    }

    fn unread(&self) -> &[CallError] {
        &self.unread
    }

    fn open_own_file(&self, tree: usize, name: &[u8]) -> Result<Self::File> {
        self.of_tree(tree)?.open_own_file(tree, name)
    }

    fn read_own_link(&self, tree: usize, name: &[u8]) -> Result<(Vec<u8>, u32)> {
        self.of_tree(tree)?.read_own_link(tree, name)
    }

    fn tree_of(&self, name: &[u8]) -> usize {
        match &self.layers[..] {
            [layer] => layer.tree,
            _ => self.find(name).map_or(0, |(layer, _)| layer.tree),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::mem::MaybeUninit;
    use std::sync::Arc;

    use sparsync_proto::RelPath;

    use super::{Part, Union};
    use crate::storage::memory::{Body, Call, MemoryStorage, Node, Strike};
    use crate::storage::{Access, Directory as _, Errno, Storage as _};

    /// A tree with one file.
    fn tree(name: &str) -> MemoryStorage {
        let file = Node::new(Body::File(b"content".to_vec()), 0o644);
        MemoryStorage::new(Node::new(Body::Directory(BTreeMap::from([(name.as_bytes().to_vec(), file)])), 0o755))
    }

    /// A tree whose top cannot be opened.
    fn broken(name: &str) -> MemoryStorage {
        let tree = tree(name);
        let call = Call { operation: "open directory", path: Vec::new(), nth: 0 };
        tree.faults.begin(Some((call, Strike::Fail(Errno::STALE))));
        tree
    }

    fn part(tree: MemoryStorage, name: Option<&str>) -> Part<MemoryStorage> {
        Part::at_top(tree, name.map(|name| name.as_bytes().to_vec()))
    }

    #[test]
    fn a_tree_that_cannot_be_opened_costs_what_it_has_alone() {
        let behind = |top| Part { above: vec![(Arc::new(tree("a")), b"a".to_vec())], ..part(top, Some("c")) };
        for (one, is_whole) in
            [(part(broken("a"), Some("a")), false), (part(broken("a"), None), true), (behind(broken("c")), false)]
        {
            let union = Union::new(vec![one, part(tree("b"), Some("b")), part(tree("d"), None)]);
            let directory = union.open(&RelPath::root(), Access::Read).unwrap();
            let mut names = Vec::new();
            let each = |name: &std::ffi::CStr, _| {
                names.push(name.to_bytes().to_vec());
                Ok(())
            };
            directory.names(&mut [MaybeUninit::uninit(); 1 << 10], each).unwrap();
            assert_eq!(names.contains(&b"a".to_vec()), !is_whole);
            assert_eq!(directory.unread().len(), usize::from(is_whole));
            let failed = if is_whole { Errno::NOENT } else { Errno::STALE };
            assert_eq!(directory.status(b"a").unwrap_err().errno, failed);
            for name in [b"b", b"d"] {
                assert_eq!(directory.status(name).unwrap().size, 7);
                directory.open_file(name).unwrap();
            }
        }
    }

    #[test]
    fn a_tree_of_which_one_name_is_seen_is_open_only_while_somebody_asks_for_that() {
        let union = Union::new(vec![part(tree("a"), Some("a")), part(tree("b"), Some("b"))]);
        let directory = union.open(&RelPath::root(), Access::Read).unwrap();
        let calls = |tree: usize| union.parts()[tree].root.faults.calls().len();
        assert_eq!((calls(0), calls(1)), (0, 0));
        directory.status(b"a").unwrap();
        assert!(calls(0) > 0 && calls(1) == 0);
    }
}
