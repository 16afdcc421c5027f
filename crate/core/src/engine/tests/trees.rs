//! Trees in memory, and what is in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sparsync_proto::{Device, Kind, Meta, RelPath, Time};

use crate::storage::TempName;
use crate::storage::memory::{Body, MemoryStorage, Node, Xattrs};

/// A tree that is being made.
pub(super) struct Tree {
    entries: Entries,
    /// Further names, each of an entry.
    links: Vec<(String, String)>,
}

type Entries = BTreeMap<Vec<u8>, (Body, u16, i64, Xattrs)>;

/// Content that tells files and versions apart.
pub(super) fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill({
        out.resize(bytes, 0);
        &mut out
    });
    out
}

impl Tree {
    /// An empty directory.
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), links: Vec::new() }
    }

    fn add(mut self, path: &str, body: Body, mode: u16, time: i64) -> Self {
        self.entries.insert(path.as_bytes().to_vec(), (body, mode, time, Xattrs::new()));
        self
    }

    /// A file.
    pub(super) fn file(self, path: &str, content: Vec<u8>, mode: u16, time: i64) -> Self {
        self.add(path, Body::File(content), mode, time)
    }

    /// A directory; what is in it comes after it.
    pub(super) fn directory(self, path: &str, mode: u16, time: i64) -> Self {
        self.add(path, Body::Directory(BTreeMap::new()), mode, time)
    }

    /// A symlink.
    pub(super) fn symlink(self, path: &str, target: &str, time: i64) -> Self {
        self.add(path, Body::Symlink(target.as_bytes().to_vec()), 0o777, time)
    }

    /// A FIFO.
    pub(super) fn fifo(self, path: &str, mode: u16, time: i64) -> Self {
        self.add(path, Body::Node(Kind::Fifo, Device::default()), mode, time)
    }

    /// A device.
    pub(super) fn device(self, path: &str, device: Device, mode: u16, time: i64) -> Self {
        self.add(path, Body::Node(Kind::CharDevice, device), mode, time)
    }

    /// An extended attribute of an entry that is there.
    pub(super) fn xattr(mut self, path: &str, name: &str, value: &[u8]) -> Self {
        let (_, _, _, xattrs) = self.entries.get_mut(path.as_bytes()).expect("it was made before");
        xattrs.insert(name.as_bytes().to_vec(), value.to_vec());
        self
    }

    /// A further name of an entry.
    pub(super) fn link(mut self, path: &str, of: &str) -> Self {
        self.links.push((path.to_owned(), of.to_owned()));
        self
    }

    /// The tree as a storage.
    pub(super) fn build(self) -> MemoryStorage {
        let Self { mut entries, links } = self;
        entries.insert(Vec::new(), (Body::Directory(BTreeMap::new()), 0o755, 1_600_000_000, Xattrs::new()));
        let top = build(&entries, &RelPath::root());
        for (path, of) in links {
            let path = RelPath::new(path.as_bytes()).expect("a path");
            let (parent, name) = path.split_last().expect("no root");
            let of = RelPath::new(of.as_bytes()).expect("a path");
            node_at(&top, &parent).add_link(name.as_bytes(), &node_at(&top, &of));
        }
        MemoryStorage::new(top)
    }
}

fn build(entries: &Entries, path: &RelPath) -> Arc<Node> {
    let (body, mode, seconds, xattrs) = &entries[path.as_bytes()];
    let body = match body {
        Body::Directory(_) => {
            let children = entries.keys().filter_map(|below| {
                let below = RelPath::new(below).expect("a path");
                let (parent, name) = below.split_last()?;
                (parent == *path).then(|| (name.as_bytes().to_vec(), build(entries, &below)))
            });
            Body::Directory(children.collect())
        }
        body @ (Body::File(_) | Body::Symlink(_) | Body::Node(..)) => body.clone(),
    };
    let node = Node::new(body, *mode);
    for (name, value) in xattrs {
        node.set_xattr(name, value);
    }
    node.set_time(Time { seconds: *seconds, nanos: 5 });
    node
}

fn node_at(top: &Arc<Node>, path: &RelPath) -> Arc<Node> {
    path.components().fold(Arc::clone(top), |node, name| match node.look().0 {
        Body::Directory(entries) => Arc::clone(&entries[name.as_bytes()]),
        _ => panic!("no directory above {}", path.as_bytes().escape_ascii()),
    })
}

/// An entry as a judge sees it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) content: Vec<u8>,
    pub(super) meta: Meta,
    pub(super) xattrs: Xattrs,
    /// The first name of what has several.
    pub(super) leader: Option<Vec<u8>>,
}

impl Entry {
    /// Whether it has the same attributes.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.meta == other.meta && self.xattrs == other.xattrs
    }

    /// Whether it is the same but for its attributes.
    pub(super) fn holds(&self, other: &Self) -> bool {
        self.kind == other.kind && self.content == other.content
    }
}

/// A tree as it is, apart from what is unfinished in it.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    pub(super) entries: BTreeMap<Vec<u8>, Entry>,
    pub(super) unfinished: Vec<Vec<u8>>,
    names: Vec<(u64, Vec<u8>)>,
}

fn owned((parent, name): (RelPath, sparsync_proto::Name<'_>)) -> (RelPath, Vec<u8>) {
    (parent, name.as_bytes().to_vec())
}

impl Snapshot {
    /// Looks at a tree.
    pub(super) fn of(storage: &MemoryStorage) -> Self {
        let mut snapshot = Self::default();
        snapshot.add(&storage.top, &RelPath::root());
        let names: Vec<_> = std::mem::take(&mut snapshot.names);
        for all in names.iter().map(|(number, _)| names.iter().filter(move |(other, _)| other == number)) {
            let all: Vec<_> = all.map(|(_, path)| path.clone()).collect();
            for path in all.iter().filter(|_| all.len() > 1) {
                // In the order of the walk, in which all of a directory comes before what is below it.
                let first = all.iter().min_by_key(|path| RelPath::new(path).expect("a path").split_last().map(owned));
                snapshot.entries.get_mut(path).expect("it was added").leader = first.cloned();
            }
        }
        snapshot
    }

    fn add(&mut self, node: &Node, path: &RelPath) {
        let (body, mut meta, xattrs) = node.look();
        let (kind, content) = match &body {
            Body::File(content) => (Kind::File, content.clone()),
            Body::Directory(_) => (Kind::Directory, Vec::new()),
            Body::Symlink(target) => (Kind::Symlink, target.clone()),
            Body::Node(kind, device) => (*kind, [device.major, device.minor].map(u32::to_le_bytes).concat()),
        };
        if kind == Kind::Symlink {
            meta.mode = 0;
        }
        self.entries.insert(path.as_bytes().to_vec(), Entry { kind, content, meta, xattrs, leader: None });
        if kind != Kind::Directory {
            self.names.push((node.number(), path.as_bytes().to_vec()));
        }
        let Body::Directory(children) = body else { return };
        for (name, child) in &children {
            if TempName::parse(name).is_some() {
                self.unfinished.push(path.join_bytes(name));
            } else {
                self.add(child, &RelPath::new(&path.join_bytes(name)).expect("a path"));
            }
        }
    }
}
