//! Trees in memory, as both ends of a simulated session have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sparsync_proto::{Attributes, Digest, Directory, Kind, Listing, Meta, Name, RelPath, Time, TreeHasher, Xattrs};

use crate::random::Random;

/// A directory: its entries by name. A file's content follows from its size and its time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(pub BTreeMap<Vec<u8>, (Kind, u64, i64)>);

/// All directories by path, the root included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<RelPath, Entries>);

pub fn attributes() -> Attributes {
    Attributes { perms: true, times: true, links: true, ..Attributes::default() }
}

/// The content of a file of this size and time. Files of times that are near each other begin alike.
pub fn content(size: u64, seconds: i64) -> Vec<u8> {
    (0..size).map(|at| (seconds.to_le_bytes()[0] >> 6) ^ at.to_le_bytes()[0]).collect()
}

/// A directory of the source while the receiver may ask about it.
pub type Held = Arc<Listing>;

impl Entries {
    pub fn listing(&self) -> Listing {
        let mut listing = Listing::new();
        for (name, &(kind, size, seconds)) in &self.0 {
            let meta = Meta { mode: 0o644, mtime: Time { seconds, nanos: 0 }, ..Meta::default() };
            assert!(listing.push(Name::new(name).expect("a name"), kind, size, meta, b"target"));
        }
        listing.sort();
        listing
    }
}

impl Tree {
    pub fn empty() -> Self {
        Self(BTreeMap::from([(RelPath::root(), Entries::default())]))
    }

    pub fn random(random: &mut Random) -> Self {
        let mut tree = Self::empty();
        for _ in 0..random.below(12) {
            let parents: Vec<RelPath> = tree.0.keys().filter(|path| path.components().count() < 4).cloned().collect();
            let parent = parents[random.index(parents.len())].clone();
            tree.add(&parent, random);
        }
        tree
    }

    /// A tree with one entry that is no directory, or with none.
    pub fn single(random: &mut Random) -> Self {
        let mut tree = Self::empty();
        if !random.once_in(5) {
            let kind = if random.once_in(4) { Kind::Symlink } else { Kind::File };
            let size = if kind == Kind::File { random.below(40) } else { 6 };
            tree.put(&RelPath::root(), b"a".to_vec(), (kind, size, 1 + random.below(200).cast_signed()));
        }
        tree
    }

    /// The entry at a path, unless that is the root.
    pub fn entry(&self, path: &RelPath) -> Option<(Kind, u64, i64)> {
        let (parent, name) = path.split_last()?;
        self.0.get(&parent)?.0.get(name.as_bytes()).copied()
    }

    /// The same tree after some changes.
    pub fn changed(&self, random: &mut Random) -> Self {
        let mut tree = self.clone();
        for _ in 0..random.below(5) {
            let parents: Vec<RelPath> = tree.0.keys().cloned().collect();
            let parent = parents[random.index(parents.len())].clone();
            let names: Vec<Vec<u8>> = tree.0[&parent].0.keys().cloned().collect();
            if !names.is_empty() && random.once_in(2) {
                tree.remove(&parent, &names[random.index(names.len())]);
            } else {
                tree.add(&parent, random);
            }
        }
        tree
    }

    fn add(&mut self, parent: &RelPath, random: &mut Random) {
        for _ in 0..=random.below(4) {
            let name = vec![b'a' + random.below(9).to_le_bytes()[0]];
            self.remove(parent, &name);
            let kind = match random.below(6) {
                0 => Kind::Symlink,
                1 | 2 => Kind::Directory,
                _ => Kind::File,
            };
            let size = match kind {
                Kind::File => random.below(40),
                Kind::Symlink => 6,
                _ => 0,
            };
            let seconds = if kind == Kind::Directory { 0 } else { 1 + random.below(200).cast_signed() };
            if kind == Kind::Directory {
                self.0.insert(parent.join(Name::new(&name).expect("a name")), Entries::default());
            }
            self.put(parent, name, (kind, size, seconds));
        }
    }

    pub fn put(&mut self, parent: &RelPath, name: Vec<u8>, entry: (Kind, u64, i64)) {
        self.0.get_mut(parent).expect("a directory").0.insert(name, entry);
    }

    /// Removes an entry with all that is below it.
    pub fn remove(&mut self, parent: &RelPath, name: &[u8]) {
        if let Some(entries) = self.0.get_mut(parent) {
            entries.0.remove(name);
        }
        let path = parent.join(Name::new(name).expect("a name"));
        self.0.retain(|other, _| !other.is_within(&path));
    }

    /// The record of the directory at `path`.
    pub fn record(&self, path: &RelPath) -> Directory {
        let listing = self.0[path].listing();
        Directory {
            unlisted: false,
            path: path.clone(),
            meta: Meta::default(),
            xattrs: Xattrs::default(),
            digest: attributes().digest(&listing),
            entries: u32::try_from(listing.len()).expect("few"),
        }
    }

    pub fn digest(&self) -> Digest {
        let mut hasher = TreeHasher::default();
        for path in self.0.keys() {
            let record = self.record(path);
            hasher.add(&attributes(), path, (&record.meta, &record.xattrs), &record.digest);
        }
        hasher.finish()
    }
}
