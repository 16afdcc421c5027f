//! What a directory holds, as both ends see it.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::limits::{FILE_BYTES_MAX, LINK_BYTES_MAX, NAME_BYTES_MAX};
use crate::path::Name;

/// BLAKE3, 256 bits.
pub type ContentDigest = [u8; 32];

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    File = 0,
    /// A directory.
    Directory = 1,
    /// A symbolic link: stored, never followed.
    Symlink = 2,
    /// Something that this run does not carry: a device, FIFO or socket, or a symlink when links are off. Its name
    /// is protected at the destination.
    Special = 3,
}

impl Kind {
    pub(crate) fn from_wire(byte: u8) -> Decoded<Self> {
        Ok(match byte {
            0 => Self::File,
            1 => Self::Directory,
            2 => Self::Symlink,
            3 => Self::Special,
            _ => return malformed("entry kind"),
        })
    }

    /// The word for it in events and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Special => "special",
        }
    }
}

/// A point in time: seconds since 1970 and nanoseconds below one second. Packed, because a walk holds one or two for
/// each entry: 12 bytes instead of 16, and an [`Entry`] of 40 instead of 48.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub struct Time {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

impl Time {
    fn put(self, out: &mut Vec<u8>) {
        out.signed(self.seconds);
        out.number(u64::from(self.nanos));
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let time = Self { seconds: reader.signed("time")?, nanos: reader.small("time")? };
        // What the kernel's 64-bit time can hold on every file system is far less than i64; a year beyond
        // 2^40 seconds is nobody's file.
        if time.nanos >= 1_000_000_000 || time.seconds.unsigned_abs() > 1 << 40 {
            return malformed("time");
        }
        Ok(time)
    }
}

/// The attributes of an entry that a run may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, set-id and sticky bits (`07777`).
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Time of the last change of the content.
    pub mtime: Time,
}

impl Meta {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.number(u64::from(self.mode));
        out.number(u64::from(self.uid));
        out.number(u64::from(self.gid));
        self.mtime.put(out);
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let mode: u16 = reader.small("mode")?;
        if mode > 0o7777 {
            return malformed("mode");
        }
        Ok(Self { mode, uid: reader.small("owner")?, gid: reader.small("group")?, mtime: Time::get(reader)? })
    }
}

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

/// The direct entries of one directory, sorted by name, in two allocations.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    entries: Vec<Entry>,
    /// Content digests by entry, only when the run compares content.
    content: Vec<ContentDigest>,
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

    /// The content digest of the entry at `index`, where the run compares content.
    #[must_use]
    pub fn content(&self, index: usize) -> Option<&ContentDigest> {
        self.content.get(index)
    }

    /// Sets the content digests, one for each entry.
    pub fn set_content(&mut self, content: Vec<ContentDigest>) {
        self.content = content;
    }

    /// The index of `name`.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| self.name(entry).cmp(name)).ok()
    }

    /// Adds an entry at the end, in any order; [`Listing::sort`] puts them right. `target` is a symlink's.
    /// Says false, adding nothing, when the listing cannot take more names.
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
                Kind::Directory | Kind::Special => 0,
            },
            meta,
        });
        true
    }

    /// Sorts by name and gives, for each new place, the place before.
    pub fn sort(&mut self) -> Vec<u32> {
        let order = self.order();
        self.entries = order.iter().map(|&at| self.entries[at as usize]).collect();
        order
    }

    /// The same listing, sorted by name and without room to grow, and for each place the place before. This one is
    /// empty then and keeps its room for the next.
    pub fn take_sorted(&mut self) -> (Self, Vec<u32>) {
        let order = self.order();
        let sorted = Self {
            names: self.names.as_slice().to_vec(),
            entries: order.iter().map(|&at| self.entries[at as usize]).collect(),
            content: Vec::new(),
        };
        self.names.clear();
        self.entries.clear();
        self.content.clear();
        (sorted, order)
    }

    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).collect();
        order.sort_unstable_by(|&a, &b| self.name(&self.entries[a as usize]).cmp(self.name(&self.entries[b as usize])));
        order
    }

    /// Adds the next part of a listing that travelled in parts. Says false when its names do not follow these.
    pub fn append(&mut self, part: &Self) -> bool {
        if let (Some(last), Some(first)) = (self.entries.last(), part.entries.first())
            && self.name(last) >= part.name(first)
        {
            return false;
        }
        let added = part.entries.iter().all(|entry| {
            let Ok(name) = Name::new(part.name(entry)) else { return false };
            self.push(name, entry.kind, entry.size, entry.meta, part.target(entry))
        });
        self.content.extend_from_slice(&part.content);
        added && (self.content.is_empty() || self.content.len() == self.entries.len())
    }

    /// The listing of a single file under another name; nothing when it holds anything else.
    #[must_use]
    pub fn renamed(&self, name: &[u8]) -> Option<Self> {
        let [entry] = self.entries[..] else { return None };
        let mut renamed = Self { content: self.content.clone(), ..Self::default() };
        renamed.push(Name::new(name).ok()?, entry.kind, entry.size, entry.meta, self.target(&entry)).then_some(renamed)
    }

    /// Gives back the room that growing left unused.
    pub fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.content.shrink_to_fit();
    }

    /// Appends the wire form of the entry at `index`.
    pub fn put(&self, index: usize, out: &mut Vec<u8>) {
        let Some(entry) = self.entries.get(index) else { return };
        out.byte(entry.kind as u8);
        out.bytes(self.name(entry));
        match entry.kind {
            Kind::File => {
                out.number(entry.size);
                entry.meta.put(out);
                if let Some(digest) = self.content.get(index) {
                    out.raw(digest);
                }
            }
            Kind::Symlink => {
                out.bytes(self.target(entry));
                entry.meta.put(out);
            }
            Kind::Directory | Kind::Special => {}
        }
    }

    /// Reads the wire form of one entry and adds it; `content` says whether files carry a digest. Names must come
    /// in ascending order, so that no name stands twice.
    pub fn take(&mut self, reader: &mut Reader<'_>, content: bool) -> Decoded<()> {
        let kind = Kind::from_wire(reader.byte("entry kind")?)?;
        let name = Name::new(reader.bytes(NAME_BYTES_MAX, "name")?)?;
        if let Some(last) = self.entries.last()
            && self.name(last) >= name.as_bytes()
        {
            return malformed("order of names");
        }
        let (size, meta, target) = match kind {
            Kind::File => {
                let size = reader.number("size")?;
                if size > FILE_BYTES_MAX {
                    return malformed("size");
                }
                (size, Meta::get(reader)?, &[][..])
            }
            Kind::Symlink => {
                let target = reader.bytes(LINK_BYTES_MAX, "symlink target")?;
                if target.is_empty() || target.contains(&0) {
                    return malformed("symlink target");
                }
                (0, Meta::get(reader)?, target)
            }
            Kind::Directory | Kind::Special => (0, Meta::default(), &[][..]),
        };
        if !self.push(name, kind, size, meta, target) {
            return malformed("size of a directory");
        }
        if content {
            let digest = if kind == Kind::File { reader.array("content digest")? } else { [0; 32] };
            self.content.push(digest);
        }
        Ok(())
    }
}
