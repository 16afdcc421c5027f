//! Several trees seen as one, for reading: the sources of a run.
//!
//! A name is what the first tree that has it says, except that a directory comes before everything else; directories of
//! the same path are one. That is rsync's rule for several sources.

use std::collections::HashSet;

use sparsync_proto::{Kind, Meta, RelPath};

use super::{Access, CallError, Directory, Errno, NameBuffer, Result, Status, Storage};

/// A tree of a [`Union`], or one entry of its top.
#[derive(Debug)]
pub(crate) struct Part<S> {
    /// The tree.
    pub(crate) root: S,
    /// The one name of its top that is seen, with all that is below it; nothing when everything is.
    pub(crate) name: Option<Vec<u8>>,
}

impl<S> Part<S> {
    fn reaches(&self, path: &RelPath) -> bool {
        match (&self.name, path.components().next()) {
            (Some(name), Some(first)) => first.as_bytes() == name,
            (None, _) | (_, None) => true,
        }
    }
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

    /// The trees, the uppermost first.
    pub(crate) fn parts(&self) -> &[Part<S>] {
        &self.parts
    }
}

impl<S: Storage> Storage for Union<S> {
    type Directory = UnionDirectory<S::Directory>;

    fn open(&self, path: &RelPath, access: Access) -> Result<Self::Directory> {
        let mut layers = Vec::with_capacity(1);
        let mut unread = Vec::new();
        let mut absent = CallError::from(Errno::NOENT);
        for (tree, part) in self.parts.iter().enumerate().filter(|(_, part)| part.reaches(path)) {
            match part.root.open(path, access) {
                Ok(directory) => {
                    let only = part.name.clone().filter(|_| path.is_root());
                    layers.push(Layer { directory, tree, only });
                }
                // Another tree has the directory; this one has nothing there, or something that it comes before.
                Err(error @ CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => absent = error,
                Err(error) => unread.push(error),
            }
        }
        if layers.is_empty() {
            return Err(unread.into_iter().next().unwrap_or(absent));
        }
        Ok(UnionDirectory { layers, unread })
    }
}

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
}

impl<D: Directory> Layer<D> {
    fn status(&self, name: &[u8]) -> Result<Status> {
        if self.only.as_ref().is_some_and(|only| only != name) {
            return Err(Errno::NOENT.into());
        }
        self.directory.status(name)
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

    /// Where `name` is seen, and what it is there.
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

    /// Where the attributes of `name` are, or those of the directory itself when it is empty; nothing when they do not
    /// belong to the tree.
    fn with_attributes(&self, name: &[u8]) -> Result<Option<&D>> {
        if let Some(directory) = self.single() {
            return Ok(Some(directory));
        }
        if !name.is_empty() {
            return self.find(name).map(|(layer, _)| Some(&layer.directory));
        }
        Ok(self.layers.iter().find(|layer| layer.only.is_none()).map(|layer| &layer.directory))
    }

    /// The directory itself: as the uppermost is. One of which only single names are seen has no attributes that belong to
    /// the tree.
    fn own_status(&self) -> Result<Status> {
        let whole = self.layers.iter().find(|layer| layer.only.is_none());
        let Some(layer) = whole.or(self.layers.first()) else { return Err(Errno::NOENT.into()) };
        let mut status = layer.directory.status(b"")?;
        let others = self.layers.iter().filter(|layer| layer.only.is_none()).skip(1);
        for other in others {
            // Each may have been mounted, and each may have gone.
            let mounted = other.directory.status(b"")?.is_mount_point;
            status.is_mount_point = status.is_mount_point.zip(mounted).map(|(one, other)| one || other);
        }
        if layer.only.is_some() {
            status.meta = Meta::default();
            status.is_mount_point = Some(false);
        }
        Ok(status)
    }
}

impl<D: Directory> Directory for UnionDirectory<D> {
    type File = D::File;

    fn names(&self, buffer: &mut NameBuffer, mut each: impl FnMut(&[u8], Option<Kind>) -> Result<()>) -> Result<()> {
        if let Some(directory) = self.single() {
            return directory.names(buffer, each);
        }
        let mut seen = HashSet::new();
        for layer in &self.layers {
            // What a name is depends on the other directories.
            let mut once = |name: &[u8]| if seen.insert(name.to_vec()) { each(name, None) } else { Ok(()) };
            match &layer.only {
                Some(only) => once(only)?,
                None => layer.directory.names(buffer, |name, _| once(name))?,
            }
        }
        Ok(())
    }

    fn status(&self, name: &[u8]) -> Result<Status> {
        if name.is_empty() {
            return self.own_status();
        }
        match self.single() {
            Some(directory) => directory.status(name),
            None => self.find(name).map(|(_, status)| status),
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

    fn unread(&self) -> &[CallError] {
        &self.unread
    }

    fn open_file_of(&self, tree: usize, name: &[u8]) -> Result<D::File> {
        self.of_tree(tree)?.open_file(name)
    }

    fn read_link_of(&self, tree: usize, name: &[u8]) -> Result<Vec<u8>> {
        self.of_tree(tree)?.read_link(name)
    }

    fn tree_of(&self, name: &[u8]) -> usize {
        match &self.layers[..] {
            [layer] => layer.tree,
            _ => self.find(name).map_or(0, |(layer, _)| layer.tree),
        }
    }
}
