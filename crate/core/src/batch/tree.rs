//! The tree of a batch as a storage. What was not sent when it was written has attributes and no content.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::fs::File as SystemFile;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use sparsync_proto::{ContentDigest, Device, Directory as Record, Entry, Kind, Listing, Meta, RelPath, Time, Xattrs};

use crate::storage::{
    Access, CallError, DAMAGED, Directory, Errno, File, Lent, NOT_HELD, NameBuffer, Result, Stamp, Status, Storage,
    listed_name,
};

/// The link count of an entry with several names, which a batch does not count.
const MANY: u32 = u32::MAX;

/// A directory of a batch.
#[derive(Debug)]
pub(super) struct Held {
    meta: Meta,
    xattrs: Xattrs,
    unlisted: bool,
    pub(super) listing: Listing,
}

impl Held {
    pub(super) fn of(record: Record) -> Self {
        Self { meta: record.meta, xattrs: record.xattrs, unlisted: record.unlisted, listing: Listing::new() }
    }
}

/// A part of a file's content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Where in the file.
    pub(super) at: u64,
    pub(super) bytes: u64,
    /// Where in the batch.
    pub(super) from: u64,
}

/// The content of a file.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) digest: ContentDigest,
    /// The parts, ascending. Bytes that no part covers are zeros.
    pub(super) parts: Vec<Part>,
}

/// The tree of a batch.
#[derive(Debug)]
pub(super) struct Tree {
    file: SystemFile,
    directories: Vec<Held>,
    numbers: BTreeMap<RelPath, usize>,
    /// The inodes of entries with several names, by directory and index.
    links: HashMap<(usize, usize), u64>,
    /// By inode.
    pub(super) content: HashMap<u64, Arc<Content>>,
}

fn inode(directory: usize, index: usize) -> u64 {
    // A directory has fewer entries than that.
    ((directory as u64) << 32 | index as u64) + 1
}

impl Tree {
    pub(super) fn new(file: SystemFile, directories: Vec<Held>, numbers: BTreeMap<RelPath, usize>) -> Self {
        Self { file, directories, numbers, links: HashMap::new(), content: HashMap::new() }
    }

    /// Finds the leaders of hard links.
    pub(super) fn link(&mut self) -> std::result::Result<(), &'static str> {
        let mut links = HashMap::new();
        for (number, held) in self.directories.iter().enumerate() {
            for (index, leader) in held.listing.followers() {
                let at = self.numbers.get(leader.directory).copied();
                let found = at.and_then(|at| Some((at, self.directories.get(at)?.listing.find(leader.name)?)));
                let Some(place) = found else { return Err("a hard link to nothing") };
                let kind = |(directory, index): (usize, usize)| {
                    self.directories.get(directory)?.listing.get(index).map(|entry| entry.kind)
                };
                let leads = self.directories[place.0].listing.leader(place.1).is_none();
                if !leads || place == (number, index) || kind(place) != kind((number, index)) {
                    return Err("a hard link to what is something else");
                }
                links.insert(place, inode(place.0, place.1));
                links.insert((number, index), inode(place.0, place.1));
            }
        }
        self.links = links;
        Ok(())
    }

    fn inode(&self, directory: usize, index: usize) -> u64 {
        self.links.get(&(directory, index)).copied().unwrap_or_else(|| inode(directory, index))
    }

    /// The entry at a path.
    pub(super) fn find(&self, path: &RelPath) -> Option<(u64, &Entry)> {
        let (parent, name) = path.split_last()?;
        let number = *self.numbers.get(&parent)?;
        let listing = &self.directories.get(number)?.listing;
        let index = listing.find(name.as_bytes())?;
        Some((self.inode(number, index), listing.get(index)?))
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> u64 {
        self.directories.iter().map(|held| held.listing.len() as u64).sum()
    }
}

/// The tree of a batch, as a storage.
#[derive(Debug)]
pub(crate) struct BatchTree(Arc<Tree>);

impl BatchTree {
    pub(super) fn new(tree: Tree) -> Self {
        Self(Arc::new(tree))
    }
}

impl Storage for BatchTree {
    type Directory = BatchDirectory;

    fn open(&self, path: &RelPath, _: Access) -> Result<BatchDirectory> {
        // A directory that was listed and not walked could not be read.
        let number = *self.0.numbers.get(path).ok_or(Errno::ACCESS)?;
        Ok(BatchDirectory { tree: Arc::clone(&self.0), number, path: path.clone() })
    }
}

/// A directory of a batch.
#[derive(Debug)]
pub(crate) struct BatchDirectory {
    tree: Arc<Tree>,
    number: usize,
    path: RelPath,
}

impl BatchDirectory {
    fn held(&self) -> Result<&Held> {
        self.tree.directories.get(self.number).ok_or(Errno::NOENT.into())
    }

    fn entry(&self, name: &[u8]) -> Result<(&Listing, usize, &Entry)> {
        let listing = &self.held()?.listing;
        let found = listing.find(name).and_then(|index| Some((listing, index, listing.get(index)?)));
        found.ok_or(Errno::NOENT.into())
    }

    /// The directory `name`, where it was walked over.
    fn below(&self, name: &[u8]) -> Option<&Held> {
        let name = sparsync_proto::Name::new(name).ok()?;
        self.tree.directories.get(*self.tree.numbers.get(&self.path.join(name))?)
    }

    fn xattrs(&self, name: &[u8]) -> Result<Option<&Xattrs>> {
        let xattrs = if name.is_empty() {
            Some(&self.held()?.xattrs)
        } else {
            let (listing, index, _) = self.entry(name)?;
            listing.fields(index).map(|fields| &fields.xattrs)
        };
        // The attributes could not be read when the batch was written.
        if xattrs.is_some_and(Xattrs::is_unread) { Err(Errno::ACCESS.into()) } else { Ok(xattrs) }
    }
}

fn status_of(kind: Kind, meta: Meta) -> Status {
    Status {
        kind,
        meta,
        size: 0,
        rdev: Device::default(),
        stamp: Stamp::default(),
        device: 0,
        links: 1,
        is_mount_point: Some(false),
    }
}

/// Puts bytes into a buffer, and says how many.
fn fill(buffer: &mut [u8], bytes: &[u8]) -> Result<usize> {
    buffer.get_mut(..bytes.len()).ok_or(Errno::RANGE)?.copy_from_slice(bytes);
    Ok(bytes.len())
}

impl Directory for BatchDirectory {
    type File = BatchFile;

    fn names(&self, _: &mut NameBuffer, mut each: impl FnMut(&CStr, Option<Kind>) -> Result<()>) -> Result<()> {
        let listing = &self.held()?.listing;
        listing.entries().iter().try_for_each(|entry| each(&listed_name(listing.name(entry))?, Some(entry.kind)))
    }

    fn is_boundary(&self, name: &[u8], _: &Status) -> bool {
        self.below(name).is_some_and(|below| below.unlisted)
    }

    fn status(&self, name: &[u8]) -> Result<Status> {
        if name.is_empty() {
            return Ok(status_of(Kind::Directory, self.held()?.meta));
        }
        let (listing, index, entry) = self.entry(name)?;
        if entry.kind == Kind::Directory {
            return Ok(status_of(Kind::Directory, self.below(name).map_or(entry.meta, |below| below.meta)));
        }
        let ino = self.tree.inode(self.number, index);
        let content = self.tree.content.get(&ino);
        let held: u64 = content.map_or(entry.size, |content| content.parts.iter().map(|part| part.bytes).sum());
        let links = if self.tree.links.contains_key(&(self.number, index)) { MANY } else { 1 };
        Ok(Status {
            size: entry.size,
            rdev: listing.device(index).unwrap_or_default(),
            stamp: Stamp { ino, may_have_holes: held < entry.size, ..Stamp::default() },
            links,
            ..status_of(entry.kind, entry.meta)
        })
    }

    fn access_time(&self, name: &[u8]) -> Result<Time> {
        let (listing, index, _) = self.entry(name)?;
        listing.atime(index).ok_or(Errno::NODATA.into())
    }

    fn list_xattrs(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let all = self.xattrs(name)?.into_iter().flat_map(Xattrs::iter);
        fill(buffer, &all.flat_map(|(name, _)| [name, &[0][..]].concat()).collect::<Vec<u8>>())
    }

    fn get_xattr(&self, name: &[u8], attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
        fill(buffer, self.xattrs(name)?.and_then(|xattrs| xattrs.get(attribute)).ok_or(Errno::NODATA)?)
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        let (listing, _, entry) = self.entry(name)?;
        if entry.kind == Kind::Symlink { Ok(listing.target(entry).to_vec()) } else { Err(Errno::INVAL.into()) }
    }

    fn open_file(&self, name: &[u8]) -> Result<BatchFile> {
        let (_, index, entry) = self.entry(name)?;
        if entry.kind != Kind::File {
            return Err(Errno::LOOP.into());
        }
        let content = self.tree.content.get(&self.tree.inode(self.number, index)).ok_or(NOT_HELD)?;
        let file = BatchFile { tree: Arc::clone(&self.tree), content: Arc::clone(content), status: self.status(name)? };
        file.verify()?;
        Ok(file)
    }

    fn known_content(&self, name: &[u8]) -> Option<ContentDigest> {
        let (listing, index, _) = self.entry(name).ok()?;
        listing.content(index).copied()
    }
}

/// A file of a batch whose content was looked at.
#[derive(Debug)]
pub(crate) struct BatchFile {
    tree: Arc<Tree>,
    content: Arc<Content>,
    status: Status,
}

impl BatchFile {
    /// Checks that the content is the one that was written.
    fn verify(&self) -> Result<()> {
        let mut hash = blake3::Hasher::new();
        let mut buffer = Vec::new();
        for part in &self.content.parts {
            // A part is a record, whose length was looked at.
            buffer.resize(usize::try_from(part.bytes).map_err(|_| DAMAGED)?, 0);
            self.read_at(&mut buffer, part.from)?;
            hash.update(&part.at.to_le_bytes()).update(&part.bytes.to_le_bytes()).update(&buffer);
        }
        if *hash.finalize().as_bytes() == self.content.digest { Ok(()) } else { Err(DAMAGED) }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        self.tree.file.read_exact_at(buffer, at).map_err(|error| match error.raw_os_error() {
            Some(number) => CallError { call: "pread", errno: Errno::from_raw_os_error(number) },
            None => DAMAGED,
        })
    }

    /// The first part that does not end before `at`.
    fn part_from(&self, at: u64) -> Option<&Part> {
        let parts = &self.content.parts;
        parts.get(parts.partition_point(|part| part.at + part.bytes <= at))
    }
}

impl File for BatchFile {
    fn status(&self) -> Result<Status> {
        Ok(self.status)
    }

    fn keep_access_time(&self) {}

    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize> {
        let part = self.part_from(offset).copied();
        let data = part.filter(|part| part.at <= offset);
        let end = data.map_or_else(|| part.map_or(self.content.size, |part| part.at), |part| part.at + part.bytes);
        let room = buffer.capacity() - buffer.len();
        let bytes = usize::try_from(end.saturating_sub(offset)).map_or(room, |left| left.min(room));
        let before = buffer.len();
        buffer.resize(before + bytes, 0);
        if let Some(part) = data {
            self.read_at(&mut buffer[before..], part.from + (offset - part.at))?;
        }
        Ok(bytes)
    }

    fn next_data(&self, at: u64, size: u64) -> (u64, u64) {
        self.part_from(at).map_or((size, size), |part| (part.at.max(at), part.at + part.bytes))
    }

    fn lend(&self) -> Result<Box<dyn Lent>> {
        Err(Errno::OPNOTSUPP.into())
    }
}
