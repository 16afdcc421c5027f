//! Hard links of a directory: which of its entries are further names of something that the walk has met before.
//!
//! The first name of an inode in walk order is its *leader* and travels as if there were no other. Each further one is
//! a *follower*: it says where its leader is, and its content never travels.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::Value;
use crate::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX};
use crate::path::{Name, RelPath};

/// Where the leader of a follower is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader<'a> {
    /// The directory that it is in.
    pub directory: &'a RelPath,
    /// Its name there.
    pub name: &'a [u8],
}

impl Leader<'_> {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        self.directory.join_bytes(self.name)
    }

    /// Whether the walk meets this leader before the entry `name` of `directory`. All entries of a directory come
    /// before those of its sub-directories.
    pub(crate) fn comes_before(&self, directory: &RelPath, name: &[u8]) -> bool {
        (self.directory, self.name) < (directory, name)
    }
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// The follower, in the listing.
    index: u32,
    directory: u32,
    name_at: u32,
    name_len: u8,
}

/// The leaders of the followers of one listing. Neighbours mostly have neighbouring leaders, so the directory is stored
/// once for a row of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaders {
    directories: Vec<RelPath>,
    names: Vec<u8>,
    /// In ascending order of the followers.
    links: Vec<Link>,
}

impl Leaders {
    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    fn leader(&self, link: &Link) -> Option<Leader<'_>> {
        let at = link.name_at as usize;
        let name = self.names.get(at..at + usize::from(link.name_len))?;
        Some(Leader { directory: self.directories.get(link.directory as usize)?, name })
    }

    fn position(&self, index: usize) -> Option<usize> {
        let index = u32::try_from(index).ok()?;
        self.links.binary_search_by_key(&index, |link| link.index).ok()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Leader<'_>> {
        self.leader(&self.links[self.position(index)?])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Leader<'_>)> {
        self.links.iter().filter_map(|link| Some((link.index as usize, self.leader(link)?)))
    }

    /// Adds a follower behind all others. Gives false and adds nothing when there are more names than fit.
    pub(crate) fn push(&mut self, index: usize, leader: Leader<'_>) -> bool {
        if self.directories.last() != Some(leader.directory) {
            self.directories.push(leader.directory.clone());
        }
        self.push_beside(index, leader.name)
    }

    /// The same for a leader in the directory that was named last.
    fn push_beside(&mut self, index: usize, name: &[u8]) -> bool {
        let numbers = (u32::try_from(index), u32::try_from(self.directories.len()), u32::try_from(self.names.len()));
        let ((Ok(index), Ok(directories), Ok(name_at)), Ok(name_len)) = (numbers, u8::try_from(name.len())) else {
            return false;
        };
        let Some(directory) = directories.checked_sub(1) else { return false };
        self.names.extend_from_slice(name);
        self.links.push(Link { index, directory, name_at, name_len });
        true
    }

    /// Takes the entry at `index` for one that is no follower.
    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(at) = self.position(index) {
            self.links.remove(at);
        }
    }

    /// Adds the followers of a part of the listing that begins at `before`.
    pub(crate) fn append(&mut self, part: &Self, before: usize) -> bool {
        part.iter().all(|(index, leader)| self.push(before + index, leader))
    }

    pub(crate) fn clear(&mut self) {
        self.directories.clear();
        self.names.clear();
        self.links.clear();
    }

    pub(crate) fn shrink(&mut self) {
        self.directories.shrink_to_fit();
        self.names.shrink_to_fit();
        self.links.shrink_to_fit();
    }

    /// Bytes of memory that they hold.
    pub(crate) fn held_bytes(&self) -> usize {
        let paths: usize = self.directories.iter().map(|path| path.as_bytes().len()).sum();
        paths
            + self.directories.capacity() * size_of::<RelPath>()
            + self.names.capacity()
            + self.links.capacity() * size_of::<Link>()
    }

    /// The wire form of the leader of the follower at `index` named `name`, in a part of the listing that begins at
    /// `from`.
    pub(crate) fn field(&self, index: usize, name: &[u8], from: usize) -> Option<LeaderField> {
        let at = self.position(index)?;
        let leader = self.leader(&self.links[at])?;
        let before = at.checked_sub(1).map(|at| &self.links[at]).filter(|before| before.index as usize >= from);
        let is_the_same = before.is_some_and(|before| before.directory == self.links[at].directory);
        Some(LeaderField {
            directory: (!is_the_same).then(|| leader.directory.clone()),
            name: if leader.name == name { Vec::new() } else { leader.name.to_vec() },
        })
    }

    /// Adds the follower at `index` named `name` from its wire form. It must come behind all others.
    pub(crate) fn take(&mut self, index: usize, name: &[u8], field: &LeaderField) -> Decoded<()> {
        let name = if field.name.is_empty() { name } else { &field.name };
        let is_taken = match &field.directory {
            Some(directory) => self.push(index, Leader { directory, name }),
            None => self.push_beside(index, name),
        };
        if is_taken { Ok(()) } else { malformed("directory of a hard link") }
    }
}

/// A leader on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderField {
    /// The leader's directory; none when it is that of the previous follower in the frame.
    directory: Option<RelPath>,
    /// The name; empty for the follower's own.
    name: Vec<u8>,
}

/// The field is there for followers alone.
impl Value for Option<LeaderField> {
    fn put(&self, out: &mut Vec<u8>) {
        let Some(leader) = self else { return };
        out.bytes(&leader.name);
        if let Some(directory) = &leader.directory {
            out.byte(1);
            out.raw(directory.as_bytes());
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let name = reader.bytes(NAME_BYTES_MAX, what)?;
        let name = if name.is_empty() { &[][..] } else { Name::new(name)?.as_bytes() };
        let directory = match reader.rest() {
            [] => None,
            [1, path @ ..] if path.len() <= PATH_BYTES_MAX => {
                reader.byte(what)?;
                Some(<RelPath as Value>::get(reader, what)?)
            }
            _ => return malformed(what),
        };
        Ok(Some(LeaderField { directory, name: name.to_vec() }))
    }
}
