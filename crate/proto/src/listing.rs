//! What a directory holds, as both ends see it.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::{ContentDigest, Kind, Meta, Time, get_attributes, put_attributes};
use crate::entry_fields::{Device, EntryFields};
use crate::field::Value as _;
use crate::leaders::{Leader, Leaders};
use crate::limits::{ENTRY_BYTES, FILE_BYTES_MAX, LINK_BYTES_MAX, NAME_BYTES_MAX};
use crate::path::{Name, RelPath};
use crate::symlinks::is_unsafe_target;
use crate::xattrs::Xattrs;

/// One entry of a [`Listing`], without its name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    name_at: u32,
    name_len: u8,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a regular file; of a symlink's target; 0 otherwise.
    pub size: u64,
    /// Its attributes. Those of a directory travel with the directory's own record and are zero here.
    pub meta: Meta,
}

/// The direct entries of one directory, sorted by name, in two allocations. Attributes that few entries have are stored
/// apart from them, by index.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    entries: Vec<Entry>,
    /// Whether files have a digest of their content: the run compares content.
    has_content: bool,
    /// Content digests of files, in ascending order of the indices.
    content: Vec<(u32, ContentDigest)>,
    /// Attributes that few entries have, in ascending order of the indices.
    fields: Vec<(u32, EntryFields)>,
    /// Where the leaders of hard links are.
    leaders: Leaders,
}

/// The element for the entry at `index`, in a list that has elements for few entries.
fn of_entry<T>(list: &[(u32, T)], index: usize) -> Option<&T> {
    let index = u32::try_from(index).ok()?;
    list.binary_search_by_key(&index, |(at, _)| *at).ok().map(|at| &list[at].1)
}

/// The same list for reordered entries: `order` gives for each new place the old one.
fn reordered<T: Clone>(list: &[(u32, T)], order: &[u32]) -> Vec<(u32, T)> {
    if list.is_empty() {
        return Vec::new();
    }
    let found = (0..).zip(order).map(|(new, &old)| (new, of_entry(list, old as usize)));
    found.filter_map(|(new, value)| Some((new, value?.clone()))).collect()
}

impl Listing {
    /// An empty listing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// An entry's name.
    #[must_use]
    pub fn name(&self, entry: &Entry) -> &[u8] {
        let at = entry.name_at as usize;
        &self.names[at..at + usize::from(entry.name_len)]
    }

    /// A symlink's target; empty for everything else.
    #[must_use]
    pub fn target(&self, entry: &Entry) -> &[u8] {
        if entry.kind != Kind::Symlink {
            return &[];
        }
        let at = entry.name_at as usize + usize::from(entry.name_len);
        let len = usize::try_from(entry.size).unwrap_or(0);
        self.names.get(at..at + len).unwrap_or(&[])
    }

    /// The content digest of the file at `index`, where the run compares content.
    #[must_use]
    pub fn content(&self, index: usize) -> Option<&ContentDigest> {
        if self.has_content { of_entry(&self.content, index) } else { None }
    }

    /// Whether files have content digests.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.has_content
    }

    /// Sets the content digests, one for each entry. Those of entries that are no files are dropped.
    pub fn set_content(&mut self, content: Vec<ContentDigest>) {
        self.has_content = !content.is_empty();
        let files = (0..).zip(content).zip(&self.entries).filter(|(_, entry)| entry.kind == Kind::File);
        self.content = files.map(|(digest, _)| digest).collect();
    }

    /// The attributes of the entry at `index` that few entries have.
    #[must_use]
    pub fn fields(&self, index: usize) -> Option<&EntryFields> {
        of_entry(&self.fields, index)
    }

    /// The extended attributes of the entry at `index`, if it has any.
    #[must_use]
    pub fn xattrs(&self, index: usize) -> Option<&Xattrs> {
        self.fields(index).map(|fields| &fields.xattrs).filter(|xattrs| !xattrs.is_empty())
    }

    /// The number of the device at `index`.
    #[must_use]
    pub fn device(&self, index: usize) -> Option<Device> {
        self.fields(index)?.device
    }

    /// When the entry at `index` was last read, where the run carries that.
    #[must_use]
    pub fn atime(&self, index: usize) -> Option<Time> {
        self.fields(index)?.atime
    }

    /// The entries with attributes that few entries have, and these.
    pub fn all_fields(&self) -> impl Iterator<Item = (&Entry, &EntryFields)> {
        self.fields.iter().filter_map(|(index, fields)| Some((self.get(*index as usize)?, fields)))
    }

    /// Bytes of the extended attributes of all entries.
    #[must_use]
    pub fn xattrs_bytes(&self) -> usize {
        self.fields.iter().map(|(_, fields)| fields.xattrs.as_bytes().len()).sum()
    }

    /// Gives the entry that was added last the attributes that few entries have.
    pub fn set_last_fields(&mut self, fields: EntryFields) {
        if let (false, Some(last)) = (fields.is_empty(), self.entries.len().checked_sub(1)) {
            // An index of a listing fits: its names would not otherwise.
            self.fields.push((u32::try_from(last).unwrap_or(u32::MAX), fields));
        }
    }

    /// Gives the entry that was added last its extended attributes, and nothing else that few entries have.
    pub fn set_last_xattrs(&mut self, xattrs: Xattrs) {
        self.set_last_fields(EntryFields { xattrs, ..EntryFields::default() });
    }

    /// Where the leader of the entry at `index` is, if that is a follower.
    #[must_use]
    pub fn leader(&self, index: usize) -> Option<Leader<'_>> {
        if self.leaders.is_empty() { None } else { self.leaders.get(index) }
    }

    /// The followers among the entries, each with its index and its leader.
    pub fn followers(&self) -> impl Iterator<Item = (usize, Leader<'_>)> {
        self.leaders.iter()
    }

    /// Says that the entry at `index` is a follower. All entries must be there and sorted, and followers must be added
    /// in that order.
    pub fn add_follower(&mut self, index: usize, leader: Leader<'_>) {
        let is_told = self.leaders.push(index, leader);
        debug_assert!(is_told, "names of leaders fit where those of entries do");
    }

    /// The memory of a directory with this listing, its path and its own extended attributes, as a number of entries.
    /// Attributes and paths may take more than the entries do. Both ends bound the directories that they hold by this.
    #[must_use]
    pub fn weight(&self, path: &RelPath, own: &Xattrs) -> usize {
        let own = path.as_bytes().len() + own.as_bytes().len();
        1 + self.len() + (self.xattrs_bytes() + self.followers_bytes() + own) / ENTRY_BYTES
    }

    /// Bytes of memory that the followers take beside their entries.
    #[must_use]
    pub fn followers_bytes(&self) -> usize {
        self.leaders.held_bytes()
    }

    /// Bytes of memory that this listing holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.names.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.content.capacity() * size_of::<(u32, ContentDigest)>()
            + self.fields.capacity() * size_of::<(u32, EntryFields)>()
            + self.fields.iter().map(|(_, fields)| fields.held_bytes()).sum::<usize>()
            + self.followers_bytes()
    }

    /// The index of `name`.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| self.name(entry).cmp(name)).ok()
    }

    /// The names that `other` does not have, in their order. Both listings are walked once, side by side.
    pub fn names_beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a [u8]> {
        let mut others = other.entries.iter().map(|entry| other.name(entry)).peekable();
        self.entries.iter().map(|entry| self.name(entry)).filter(move |name| {
            while others.next_if(|there| there < name).is_some() {}
            others.next_if_eq(name).is_none()
        })
    }

    /// Adds an entry at the end, in any order; [`Listing::sort`] puts them right. `target` is a symlink's. Gives false
    /// and adds nothing when the listing cannot hold more names.
    pub fn push(&mut self, name: Name<'_>, kind: Kind, size: u64, meta: Meta, target: &[u8]) -> bool {
        let name = name.as_bytes();
        let (Ok(name_at), Ok(name_len)) = (u32::try_from(self.names.len()), u8::try_from(name.len())) else {
            return false;
        };
        self.names.extend_from_slice(name);
        if kind == Kind::Symlink {
            self.names.extend_from_slice(target);
        }
        self.entries.push(Entry {
            name_at,
            name_len,
            kind,
            size: match kind {
                Kind::File => size,
                Kind::Symlink => target.len() as u64,
                Kind::Directory | Kind::Special | Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => 0,
            },
            meta,
        });
        true
    }

    /// Changes the attributes of every entry that has some here.
    pub fn change_attributes(&mut self, mut change: impl FnMut(&mut Meta)) {
        for entry in &mut self.entries {
            if entry.kind.has_attributes() {
                change(&mut entry.meta);
            }
        }
    }

    /// Changes the extended attributes of every entry that has some.
    pub fn change_xattrs(&mut self, change: impl Fn(&Xattrs) -> Xattrs) {
        for (_, fields) in self.fields.iter_mut().filter(|(_, fields)| !fields.xattrs.is_empty()) {
            fields.xattrs = change(&fields.xattrs);
        }
    }

    /// Turns symlinks that lead out of the tree, by their texts, into entries that the run does not carry. `above` is
    /// how many directories of the tree are above them.
    pub fn leave_unsafe_links(&mut self, above: usize) {
        for index in 0..self.entries.len() {
            if self.is_unsafe_link(index, above) {
                let entry = &mut self.entries[index];
                (entry.kind, entry.size) = (Kind::Special, 0);
            }
        }
    }

    /// Takes the entry at `index` for a directory.
    pub fn take_for_directory(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            (entry.kind, entry.size, entry.meta) = (Kind::Directory, 0, Meta::default());
        }
        self.fields.retain(|(at, _)| *at as usize != index);
        self.leaders.remove(index);
    }

    /// Turns the device at `index` into a file with these attributes and `size` bytes of content.
    pub fn take_for_file(&mut self, index: usize, size: u64, meta: Meta, content: Option<ContentDigest>) {
        if let Some(entry) = self.entries.get_mut(index) {
            (entry.kind, entry.size, entry.meta) = (Kind::File, size, meta);
        }
        if let Some((_, fields)) = self.fields.iter_mut().find(|(at, _)| *at as usize == index) {
            fields.device = None;
        }
        if let (Some(content), Ok(index)) = (content, u32::try_from(index)) {
            let place = self.content.partition_point(|(at, _)| *at < index);
            self.content.insert(place, (index, content));
        }
    }

    /// Whether the entry at `index` is a symlink that leads out of a tree, by its text.
    #[must_use]
    pub fn is_unsafe_link(&self, index: usize, above: usize) -> bool {
        let is_unsafe = |entry: &Entry| entry.kind == Kind::Symlink && is_unsafe_target(self.target(entry), above);
        self.entries.get(index).is_some_and(is_unsafe)
    }

    /// Sorts by name and gives, for each new place, the place before.
    pub fn sort(&mut self) -> Vec<u32> {
        let order = self.order();
        self.entries = order.iter().map(|&at| self.entries[at as usize]).collect();
        self.content = reordered(&self.content, &order);
        self.fields = reordered(&self.fields, &order);
        debug_assert!(self.leaders.is_empty(), "followers are told of when the order is known");
        order
    }

    /// The same listing, sorted by name and without room to grow, and for each place the place before. This listing is
    /// then empty, and keeps its room for the next directory.
    pub fn take_sorted(&mut self) -> (Self, Vec<u32>) {
        let order = self.order();
        let sorted = Self {
            names: self.names.as_slice().to_vec(),
            entries: order.iter().map(|&at| self.entries[at as usize]).collect(),
            has_content: self.has_content,
            content: reordered(&self.content, &order),
            fields: reordered(&self.fields, &order),
            leaders: Leaders::default(),
        };
        self.names.clear();
        self.entries.clear();
        self.has_content = false;
        self.content.clear();
        self.fields.clear();
        self.leaders.clear();
        (sorted, order)
    }

    /// The places of the entries in the order of their names. Names of one directory often begin alike, and the few
    /// bytes behind that beginning nearly always decide. They are compared as one number, which is several times faster
    /// than comparing names.
    fn order(&self) -> Vec<u32> {
        let places = 0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        // A file system may list entries in the order in which they were written, or in the reverse of that.
        if self.entries.is_sorted_by(|a, b| self.name(a) < self.name(b)) {
            return places.collect();
        }
        if self.entries.is_sorted_by(|a, b| self.name(a) > self.name(b)) {
            return places.rev().collect();
        }
        let shared = self.shared_prefix();
        let mut order: Vec<(u64, u32)> =
            self.entries.iter().zip(0..).map(|(entry, at)| (self.sort_key(entry, shared), at)).collect();
        let name = |at: u32| self.name(&self.entries[at as usize]);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a.1).cmp(name(b.1))));
        order.into_iter().map(|(_, at)| at).collect()
    }

    /// The eight bytes of a name behind the shared beginning, as a number that sorts as names do. A name that ends
    /// sorts first, since no name has a NUL.
    fn sort_key(&self, entry: &Entry, shared: usize) -> u64 {
        let (at, length) = (entry.name_at as usize + shared, usize::from(entry.name_len) - shared);
        // All eight bytes are read at once, and those behind the end of a shorter name are cut off.
        let read = self.names.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or_else(
            || self.names[at..].iter().chain(&[0; 8]).take(8).fold(0, |key, byte| key << 8 | u64::from(*byte)),
            u64::from_be_bytes,
        );
        let behind = u32::try_from(8 * length.min(8)).unwrap_or(u64::BITS);
        read & !u64::MAX.checked_shr(behind).unwrap_or(0)
    }

    /// How many bytes all names begin with alike.
    fn shared_prefix(&self) -> usize {
        let Some((first, others)) = self.entries.split_first() else { return 0 };
        let first = self.name(first);
        others.iter().fold(first.len(), |shared, entry| {
            let name = self.name(entry);
            if name.starts_with(&first[..shared]) {
                return shared;
            }
            first[..shared].iter().zip(name).take_while(|(one, other)| one == other).count()
        })
    }

    /// Adds the next part of a listing that travelled in parts. Gives false when its names do not follow the present
    /// ones.
    pub fn append(&mut self, part: &Self) -> bool {
        if let (Some(last), Some(first)) = (self.entries.last(), part.entries.first())
            && self.name(last) >= part.name(first)
        {
            return false;
        }
        if !self.is_empty() && !part.is_empty() && self.has_content != part.has_content {
            return false;
        }
        let Ok(before) = u32::try_from(self.len()) else { return false };
        if !self.leaders.append(&part.leaders, self.len()) {
            return false;
        }
        self.has_content |= part.has_content;
        self.content.extend(part.content.iter().map(|(at, digest)| (before + at, *digest)));
        self.fields.extend(part.fields.iter().map(|(at, fields)| (before + at, fields.clone())));
        part.entries.iter().all(|entry| {
            let Ok(name) = Name::new(part.name(entry)) else { return false };
            self.push(name, entry.kind, entry.size, entry.meta, part.target(entry))
        })
    }

    /// The listing of a single file under another name; none when the listing has any other entry.
    #[must_use]
    pub fn renamed(&self, name: &[u8]) -> Option<Self> {
        let [entry] = self.entries[..] else { return None };
        let mut renamed = Self {
            has_content: self.has_content,
            content: self.content.clone(),
            fields: self.fields.clone(),
            ..Self::default()
        };
        renamed.push(Name::new(name).ok()?, entry.kind, entry.size, entry.meta, self.target(&entry)).then_some(renamed)
    }

    /// Gives back the room that growing left unused.
    pub fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.content.shrink_to_fit();
        self.fields.shrink_to_fit();
        self.leaders.shrink();
    }

    /// Appends the wire form of the entry at `index`, in a part of the listing that begins at `from`.
    pub fn put(&self, index: usize, from: usize, out: &mut Vec<u8>) {
        let Some(entry) = self.entries.get(index) else { return };
        let leader = if self.leaders.is_empty() { None } else { self.leaders.field(index, self.name(entry), from) };
        out.byte(entry.kind as u8);
        out.bytes(self.name(entry));
        match entry.kind {
            Kind::File => {
                out.number(entry.size);
                put_attributes(&entry.meta, self.fields(index), leader, out);
                if let Some(digest) = self.content(index) {
                    out.raw(digest);
                }
            }
            Kind::Symlink => {
                out.bytes(self.target(entry));
                put_attributes(&entry.meta, self.fields(index), leader, out);
            }
            Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => {
                put_attributes(&entry.meta, self.fields(index), leader, out);
            }
            Kind::Directory | Kind::Special => {}
        }
    }

    /// Reads the wire form of one entry and adds it; `content` says whether files carry a digest. Names must come
    /// in ascending order, so that no name stands twice.
    pub fn take(&mut self, reader: &mut Reader<'_>, content: bool) -> Decoded<()> {
        let kind = Kind::get(reader, "entry kind")?;
        let name = Name::new(reader.bytes(NAME_BYTES_MAX, "name")?)?;
        if let Some(last) = self.entries.last()
            && self.name(last) >= name.as_bytes()
        {
            return malformed("order of names");
        }
        let none = (Meta::default(), EntryFields::default(), None);
        let (size, (meta, fields, leader), target) = match kind {
            Kind::File => {
                let size = reader.number("size")?;
                if size > FILE_BYTES_MAX {
                    return malformed("size");
                }
                (size, get_attributes(reader)?, &[][..])
            }
            Kind::Symlink => {
                let target = reader.bytes(LINK_BYTES_MAX, "symlink target")?;
                if target.is_empty() || target.contains(&0) {
                    return malformed("symlink target");
                }
                (0, get_attributes(reader)?, target)
            }
            Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => (0, get_attributes(reader)?, &[][..]),
            Kind::Directory | Kind::Special => (0, none, &[][..]),
        };
        if fields.device.is_some() != kind.is_device() {
            return malformed("number of a device");
        }
        let index = u32::try_from(self.entries.len()).or_else(|_| malformed("size of a directory"))?;
        if let Some(leader) = leader {
            self.leaders.take(self.entries.len(), name.as_bytes(), &leader)?;
        }
        if !self.push(name, kind, size, meta, target) {
            return malformed("size of a directory");
        }
        self.set_last_fields(fields);
        if content {
            self.has_content = true;
            if kind == Kind::File {
                self.content.push((index, reader.array("content digest")?));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Listing, Meta, Xattrs};
    use crate::path::{Name, RelPath};
    use proptest::prelude::*;

    #[test]
    fn attributes_and_paths_count_for_as_many_entries_as_take_their_memory() {
        let weight = |listing: &Listing, own: &Xattrs| listing.weight(&RelPath::root(), own);
        let xattrs = |bytes: usize| Xattrs::new(vec![(b"user.x".to_vec(), vec![0; bytes])]).unwrap();
        let mut listing = Listing::new();
        for name in [b"a", b"b"] {
            assert!(listing.push(Name::new(name).unwrap(), Kind::File, 1, Meta::default(), b""));
        }
        assert_eq!(weight(&listing, &Xattrs::default()), 3);
        listing.set_last_xattrs(xattrs(3000));
        assert_eq!(weight(&listing, &Xattrs::default()), 3 + 30);
        assert_eq!(weight(&listing, &xattrs(5000)), 3 + 80);
        let deep = RelPath::new(&b"d/".repeat(500)[..999]).unwrap();
        assert_eq!(Listing::new().weight(&deep, &Xattrs::default()), 1 + 9, "an empty directory counts too");
    }

    fn sorted(names: &std::collections::BTreeSet<String>) -> Listing {
        let mut listing = Listing::new();
        for name in names {
            assert!(listing.push(Name::new(name.as_bytes()).unwrap(), Kind::File, 0, Meta::default(), b""));
        }
        listing
    }

    proptest! {
        #[test]
        fn names_beyond_a_listing_are_those_that_it_has_not(
            here in prop::collection::btree_set("[ab]{1,3}", 0..12),
            there in prop::collection::btree_set("[ab]{1,3}", 0..12),
        ) {
            let (listing, other) = (sorted(&here), sorted(&there));
            let beyond: Vec<&[u8]> = listing.names_beyond(&other).collect();
            let expected: Vec<&[u8]> = here.difference(&there).map(String::as_bytes).collect();
            prop_assert_eq!(beyond, expected);
        }

        /// However alike names begin and wherever they end.
        #[test]
        fn a_sorted_listing_is_in_the_order_of_names(
            shared in "a{0,9}",
            rest in prop::collection::hash_set("[a-c]{1,3}|[ab]{7,10}|[\u{1}a\u{ff}]{1,9}", 0..40),
        ) {
            let mut names: Vec<Vec<u8>> = rest.iter().map(|rest| format!("{shared}{rest}").into_bytes()).collect();
            let mut listing = Listing::new();
            for name in &names {
                let name = Name::new(name).expect("a name");
                prop_assert!(listing.push(name, Kind::File, 0, Meta::default(), b""));
            }
            let (sorted, order) = listing.take_sorted();
            let found: Vec<Vec<u8>> = sorted.entries().iter().map(|entry| sorted.name(entry).to_vec()).collect();
            let before: Vec<Vec<u8>> = order.iter().map(|&at| names[at as usize].clone()).collect();
            names.sort();
            prop_assert_eq!(&found, &names);
            prop_assert_eq!(&before, &names);
        }
    }
}
