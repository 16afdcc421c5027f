//! Several trees seen as one, for reading: the sources of a run.
//!
//! A name is what the first tree that has it says, except that a directory comes before everything else; directories of
//! the same path are one. That is rsync's rule for several sources.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::CStr;

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
    pub(crate) above: Vec<(S, Vec<u8>)>,
    /// The tree.
    pub(crate) root: S,
    /// The only name of its top that is seen, with everything below it; without it, all are.
    pub(crate) name: Option<Vec<u8>>,
}

impl<S> Part<S> {
    /// A tree at the top of the union, of which everything is seen, or one entry.
    pub(crate) fn at_top(root: S, name: Option<Vec<u8>>) -> Self {
        Self { above: Vec::new(), root, name }
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

    /// The directory of this part that is the union's directory at `path`; none when the part has no such directory.
    fn reach<'a>(&'a self, path: &'a RelPath) -> Option<Reached<'a, S>> {
        let mut names = path.components();
        for (directory, name) in &self.above {
            match names.next() {
                None => return Some(Reached { root: directory, below: Cow::Owned(RelPath::root()), only: Some(name) }),
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
            (Some(name), None) => Some(Reached { root: &self.root, below: rest, only: Some(name) }),
            (Some(_), Some(false)) => None,
            _ => Some(Reached { root: &self.root, below: rest, only: None }),
        }
    }

    /// The directory that the name in the one on the way at `depth` stands for.
    fn next_on_the_way(&self, depth: usize) -> Option<&S> {
        let next = self.above.get(depth + 1).map(|(directory, _)| directory);
        self.above.get(depth).map(|_| next.unwrap_or(&self.root))
    }
}

/// A directory of a [`Part`].
struct Reached<'a, S> {
    /// The tree that it is in.
    root: &'a S,
    /// Its path there.
    below: Cow<'a, RelPath>,
    /// The only name of it that is seen.
    only: Option<&'a Vec<u8>>,
}

/// Trees that lie over each other; the first is the uppermost.
#[derive(Debug)]
pub(crate) struct Union<S> {
    parts: Vec<Part<S>>,
}

impl<S> Union<S> {
    /// Lays `parts` over each other.
    pub(crate) fn new(parts: Vec<Part<S>>) -> Self {
        Self { parts }
    }

    /// The same, with each tree changed by `change`.
    pub(crate) fn try_map<E>(
        self,
        change: impl FnMut(Part<S>) -> std::result::Result<Part<S>, E>,
    ) -> std::result::Result<Self, E> {
        let parts = self.parts.into_iter().map(change).collect::<std::result::Result<_, E>>()?;
        Ok(Self { parts })
    }

    /// The trees, the uppermost first.
    pub(crate) fn parts(&self) -> &[Part<S>] {
        &self.parts
    }
}

impl<S: WriteStorage> Storage for Union<S> {
    type Directory = UnionDirectory<S::Directory>;

    fn open(&self, path: &RelPath, access: Access) -> Result<Self::Directory> {
        let mut layers = Vec::with_capacity(1);
        let mut unread = Vec::new();
        let mut absent = CallError::from(Errno::NOENT);
        for (tree, part) in self.parts.iter().enumerate() {
            let Some(Reached { root, below, only }) = part.reach(path) else { continue };
            match root.open(&below, access) {
                Ok(directory) => {
                    let leads_to = match part.next_on_the_way(path.components().count()) {
                        Some(next) => Some(next.open(&RelPath::root(), Access::Reach)?.status(b"")?),
                        None => None,
                    };
                    layers.push(Layer { directory, tree, only: only.cloned(), leads_to });
                }
                // Another tree has the directory; this one has nothing there, or something that it comes before.
                Err(error @ CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => absent = error,
                Err(error) => unread.push(error),
            }
        }
        if layers.is_empty() && !(self.parts.is_empty() && path.is_root()) {
            return Err(unread.into_iter().next().unwrap_or(absent));
        }
        Ok(UnionDirectory { layers, unread })
    }

    fn remove(&self, path: &RelPath, is_meant: &dyn Fn(&Status) -> bool) -> Result<bool> {
        let Some((parent, name)) = path.split_last() else { return Err(Errno::ISDIR.into()) };
        let directory = self.open(&parent, Access::Reach)?;
        let (layer, status) = directory.find(name.as_bytes())?;
        if layer.leads_to.is_some() || !is_meant(&status) {
            return Ok(false);
        }
        // The symlinks on the way are not followed here: an entry behind one is not the source's own, though the run
        // takes it for that.
        let Some(Reached { root, below, .. }) = self.parts.get(layer.tree).and_then(|part| part.reach(&parent)) else {
            return Err(Errno::NOENT.into());
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
#[derive(Debug)]
pub(crate) struct UnionDirectory<D> {
    layers: Vec<Layer<D>>,
    unread: Vec<CallError>,
}

/// One of the directories that lie over each other.
#[derive(Debug)]
struct Layer<D> {
    directory: D,
    /// The number of its tree.
    tree: usize,
    /// The one name of it that is seen.
    only: Option<Vec<u8>>,
    /// The status of that name, if it is on the way to a tree.
    leads_to: Option<Status>,
}

impl<D: Directory> Layer<D> {
    fn status(&self, name: &[u8]) -> Result<Status> {
        if self.only.as_ref().is_some_and(|only| only != name) {
            return Err(Errno::NOENT.into());
        }
        match self.leads_to {
            Some(status) => Ok(status),
            None => self.directory.status(name),
        }
    }
}

impl<D: Directory> UnionDirectory<D> {
    /// The only directory of this path, when all of it is seen.
    fn single(&self) -> Option<&D> {
        match &self.layers[..] {
            [Layer { directory, only: None, .. }] => Some(directory),
            _ => None,
        }
    }

    /// The directory of the tree of this number.
    fn of_tree(&self, tree: usize) -> Result<&D> {
        let layer = self.layers.iter().find(|layer| layer.tree == tree).ok_or(Errno::NOENT)?;
        Ok(&layer.directory)
    }

    /// The layer in which `name` is seen, and its status there.
    fn find(&self, name: &[u8]) -> Result<(&Layer<D>, Status)> {
        let mut first = None;
        for layer in &self.layers {
            match layer.status(name) {
                Ok(status) if status.kind == Kind::Directory => return Ok((layer, status)),
                Ok(status) if first.is_none() => first = Some((layer, status)),
                Ok(_) | Err(CallError { errno: Errno::NOENT, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        first.ok_or(Errno::NOENT.into())
    }

    /// Where the attributes of `name` are, or those of the directory itself when it is empty.
    fn with_attributes(&self, name: &[u8]) -> Result<Option<&D>> {
        if let Some(directory) = self.single() {
            return Ok(Some(directory));
        }
        if !name.is_empty() {
            return self.find(name).map(|(layer, _)| Some(&layer.directory));
        }
        let whole = self.layers.iter().find(|layer| layer.only.is_none());
        Ok(whole.or(self.layers.first()).map(|layer| &layer.directory))
    }

    /// The status of the directory itself: that of the uppermost layer that is seen in full. Whether attributes of a
    /// layer with single names belong to the run is decided elsewhere.
    fn own_status(&self) -> Result<Status> {
        let whole = self.layers.iter().find(|layer| layer.only.is_none());
        let Some(layer) = whole.or(self.layers.first()) else { return Ok(EMPTY) };
        let mut status = layer.directory.status(b"")?;
        let others = self.layers.iter().filter(|layer| layer.only.is_none()).skip(1);
        for other in others {
            // Each may have been mounted, and each may have gone.
            let mounted = other.directory.status(b"")?.is_mount_point;
            status.is_mount_point = status.is_mount_point.zip(mounted).map(|(one, other)| one || other);
        }
        if layer.only.is_some() {
            status.is_mount_point = Some(false);
        }
        Ok(status)
    }
}

impl<D: Directory> Directory for UnionDirectory<D> {
    type File = D::File;

    fn names(&self, buffer: &mut NameBuffer, mut each: impl FnMut(&CStr, Option<Kind>) -> Result<()>) -> Result<()> {
        if let Some(directory) = self.single() {
            return directory.names(buffer, each);
        }
        let mut seen = HashSet::new();
        for layer in &self.layers {
            // Entries of the other directories decide what kind a name is, so none is passed on.
            let mut once = |name: &CStr| if seen.insert(name.to_owned()) { each(name, None) } else { Ok(()) };
            match &layer.only {
                Some(only) => once(&listed_name(only)?)?,
                None => layer.directory.names(buffer, |name, _| once(name))?,
            }
        }
        Ok(())
    }

    fn is_boundary(&self, name: &[u8], status: &Status) -> bool {
        match self.single() {
            Some(directory) => directory.is_boundary(name, status),
            None => self
                .find(name)
                .is_ok_and(|(layer, _)| layer.only.is_none() && layer.directory.is_boundary(name, status)),
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

    fn access_time(&self, name: &[u8]) -> Result<Time> {
        match self.single() {
            Some(directory) => directory.access_time(name),
            None => self.find(name)?.0.directory.access_time(name),
        }
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
        match self.single() {
            Some(directory) => directory.read_link(name),
            None => self.find(name)?.0.directory.read_link(name),
        }
    }

    fn open_file(&self, name: &[u8]) -> Result<D::File> {
        match self.single() {
            Some(directory) => directory.open_file(name),
            None => self.find(name)?.0.directory.open_file(name),
        }
    }

    fn freeze(&self, file: &D::File) -> Result<D::File> {
        let mut frozen = Err(Errno::OPNOTSUPP.into());
        for layer in &self.layers {
            frozen = layer.directory.freeze(file);
            if frozen.is_ok() {
                break;
            }
        }
        frozen
    }

    fn unread(&self) -> &[CallError] {
        &self.unread
    }

    fn open_own_file(&self, tree: usize, name: &[u8]) -> Result<D::File> {
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
