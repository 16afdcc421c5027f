//! Recognises further names of files that a walk has met before.

use std::collections::HashMap;

use sparsync_proto::{ContentDigest, Leader, Listing, RelPath};

use super::Status;

/// An inode that has several names: its identity on this machine, and how many names it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linked {
    device: u64,
    ino: u64,
    names: u32,
}

impl Linked {
    /// The inode with this status; none if it has only one name.
    pub(super) fn of(status: &Status) -> Option<Self> {
        let (device, ino, names) = (status.device, status.stamp.ino, status.links);
        (names > 1).then_some(Self { device, ino, names })
    }
}

/// The number of an inode and that of its device here: 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, packed(4))]
struct Inode {
    ino: u64,
    device: u32,
}

/// An inode whose leader was met: 12 bytes too.
#[derive(Clone, Copy, Debug)]
struct Met {
    /// The leader's directory.
    directory: u32,
    /// Where its name is, its length before it.
    name_at: u32,
    /// How many names of the inode were not met yet. Some may lie outside the tree.
    left: u32,
}

/// The inodes with several names that a walk has met, each with where its first name is. An inode is forgotten when its
/// last name was met.
#[derive(Debug, Default)]
pub(super) struct LinkMap {
    devices: Vec<u64>,
    met: HashMap<Inode, Met>,
    /// Directories of leaders.
    directories: Vec<RelPath>,
    names: Vec<u8>,
    /// Digests of inodes, in a run that compares content: the content is not read again under a further name.
    contents: HashMap<Inode, ContentDigest>,
}

impl LinkMap {
    fn inode(&mut self, linked: &Linked) -> Inode {
        let at = self.devices.iter().position(|device| *device == linked.device).unwrap_or_else(|| {
            self.devices.push(linked.device);
            self.devices.len() - 1
        });
        // A machine has fewer file systems than that.
        Inode { ino: linked.ino, device: u32::try_from(at).unwrap_or(u32::MAX) }
    }

    /// The digest of its content, if that was read under another name.
    pub(super) fn content(&mut self, linked: &Linked) -> Option<ContentDigest> {
        let inode = self.inode(linked);
        self.contents.get(&inode).copied()
    }

    /// Keeps the digest of its content for its further names.
    pub(super) fn keep_content(&mut self, linked: &Linked, digest: ContentDigest) {
        let inode = self.inode(linked);
        self.contents.insert(inode, digest);
    }

    /// Tells a sorted listing of the directory at `path` which of its entries are followers. `linked` has those with
    /// several names, in the listing's order.
    pub(super) fn meet(
        &mut self,
        path: &RelPath,
        listing: &mut Listing,
        linked: impl Iterator<Item = (usize, Linked)>,
    ) {
        for (index, linked) in linked {
            let Some(entry) = listing.get(index) else { continue };
            let inode = self.inode(&linked);
            let name = listing.name(entry);
            let Some(met) = self.met.get_mut(&inode) else {
                self.lead(path, name, inode, linked.names - 1);
                continue;
            };
            let name_at = met.name_at as usize;
            let length = usize::from(self.names[name_at]);
            let directory = &self.directories[met.directory as usize];
            let leader = Leader { directory, name: &self.names[name_at + 1..][..length] };
            // A directory may be looked at twice.
            if leader.directory == path && leader.name == name {
                continue;
            }
            met.left = met.left.saturating_sub(1);
            let is_last = met.left == 0;
            listing.add_follower(index, leader);
            if is_last {
                self.forget(inode);
            }
        }
    }

    /// Notes the first name of an inode.
    fn lead(&mut self, path: &RelPath, name: &[u8], inode: Inode, left: u32) {
        // When the names take more than 4 GiB, further names of an inode count as files of their own.
        let (Ok(name_at), Ok(length)) = (u32::try_from(self.names.len()), u8::try_from(name.len())) else { return };
        if self.directories.last() != Some(path) {
            self.directories.push(path.clone());
        }
        let Ok(directory) = u32::try_from(self.directories.len() - 1) else { return };
        self.names.push(length);
        self.names.extend_from_slice(name);
        self.met.insert(inode, Met { directory, name_at, left });
    }

    fn forget(&mut self, inode: Inode) {
        self.met.remove(&inode);
        self.contents.remove(&inode);
        if self.met.is_empty() {
            self.directories.clear();
            self.names.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkMap, Linked};
    use sparsync_proto::{Kind, Listing, Meta, Name, RelPath};

    fn linked(ino: u64, names: u32) -> Linked {
        Linked { device: 7, ino, names }
    }

    /// The followers of a directory with these entries, each with its leader.
    fn meet(map: &mut LinkMap, path: &str, entries: &[(&str, Linked)]) -> Vec<(String, String)> {
        let mut listing = Listing::new();
        for (name, _) in entries {
            assert!(listing.push(Name::new(name.as_bytes()).unwrap(), Kind::File, 0, Meta::default(), b""));
        }
        let path = RelPath::new(path.as_bytes()).unwrap();
        map.meet(&path, &mut listing, entries.iter().map(|(_, linked)| *linked).enumerate());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let name = |index: usize| text(listing.name(&listing.entries()[index]));
        listing.followers().map(|(index, leader)| (name(index), text(&leader.path()))).collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(follower, leader)| ((*follower).to_owned(), (*leader).to_owned())).collect()
    }

    #[test]
    fn the_first_name_leads_whatever_directory_the_others_are_in() {
        let mut map = LinkMap::default();
        assert_eq!(meet(&mut map, "", &[("a", linked(1, 3)), ("b", linked(2, 2))]), pairs(&[]));
        assert_eq!(meet(&mut map, "d", &[("a", linked(2, 2)), ("c", linked(1, 3))]), pairs(&[("a", "b"), ("c", "a")]));
        assert_eq!(meet(&mut map, "d/e", &[("z", linked(1, 3))]), pairs(&[("z", "a")]));
    }

    #[test]
    fn an_inode_whose_last_name_was_met_is_forgotten() {
        let mut map = LinkMap::default();
        meet(&mut map, "d", &[("a", linked(1, 2)), ("b", linked(1, 2)), ("c", linked(2, 2))]);
        assert_eq!(map.met.len(), 1, "one name of the other lies elsewhere");
        meet(&mut map, "e", &[("c", linked(2, 2))]);
        assert_eq!((map.met.len(), map.directories.len(), map.names.len()), (0, 0, 0));
    }

    #[test]
    fn the_same_number_on_another_file_system_is_something_else() {
        let mut map = LinkMap::default();
        let elsewhere = Linked { device: 8, ..linked(1, 2) };
        assert_eq!(meet(&mut map, "", &[("a", linked(1, 2)), ("b", elsewhere)]), pairs(&[]));
    }

    #[test]
    fn a_directory_that_is_looked_at_twice_has_no_followers_of_themselves() {
        let mut map = LinkMap::default();
        let entries = [("a", linked(1, 4)), ("b", linked(1, 4))];
        assert_eq!(meet(&mut map, "d", &entries), pairs(&[("b", "d/a")]));
        assert_eq!(meet(&mut map, "d", &entries), pairs(&[("b", "d/a")]));
    }

    #[test]
    fn what_is_known_of_an_inode_takes_24_bytes() {
        assert_eq!(size_of::<(super::Inode, super::Met)>(), 24);
    }
}
