//! What the initiator asks for. It is said once, and nothing said later widens it.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::compare::Attributes;
use crate::limits::{LANES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX, ROOT_NAME_BYTES_MAX};
use crate::path::{Name, RelPath};

/// Which way the content goes, as the initiator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the initiator to the acceptor.
    Push,
    /// From the acceptor to the initiator.
    Pull,
}

/// When the writes of a run are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// When the system gets to it.
    #[default]
    None,
    /// When the run has succeeded.
    Run,
    /// Each file before it gets its name.
    File,
}

/// When packs are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// While the path is slow enough for it to pay.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What is deleted, and what protects against deleting by accident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// Entries that the source does not have are deleted.
    pub delete: bool,
    /// A directory that is not empty gives way to a file even without `delete`.
    pub force: bool,
    /// No more deletions than this.
    pub max: Option<u64>,
    /// The guard against mass deletion is lifted.
    pub allow_mass: bool,
}

/// One sync.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct Request {
    /// Which way.
    pub direction: Direction,
    /// The acceptor's named root.
    pub root: Vec<u8>,
    /// The tree below that root.
    pub path: RelPath,
    /// A single file is put below an existing directory under its own name, as rsync does; otherwise the
    /// destination's path is the file's new name.
    pub into: bool,
    /// One directory above the destination may be made too.
    pub make_parent: bool,
    /// The name of the source when it is a single file and the initiator is the sender.
    pub file_name: Option<Vec<u8>>,
    /// What is compared and carried.
    pub attributes: Attributes,
    /// Sub-directories too.
    pub recursive: bool,
    /// Newer files at the destination stay.
    pub update: bool,
    /// Deletions.
    pub deletion: Deletion,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The initiator wants an item for each entry with something to do.
    pub itemize: bool,
    /// The receiver grants all content: its destination is empty or missing (pull only).
    pub grant_all: bool,
    /// Verified parts of large files are kept for the next run.
    pub partial: bool,
    /// How durable.
    pub durability: Durability,
    /// Compression of packs.
    pub compression: Compression,
    /// How long to wait for another writer, in milliseconds.
    pub lock_wait_ms: u64,
    /// The run ends when neither side worked for so long, in milliseconds.
    pub timeout_ms: u64,
    /// Data lanes, 1 to [`LANES_MAX`].
    pub lanes: u8,
    /// An upper bound of what the source can hold in bytes, where the sender knows one: when the destination has
    /// more free space, the run need not be counted before the first write.
    pub bytes_bound: u64,
    /// The same for entries.
    pub entries_bound: u64,
    /// The need was counted by a dry run before and fits: do not ask again.
    pub space_checked: bool,
    /// The acceptor measures where its time goes, and tells at the end.
    pub profile: bool,
}

impl Request {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let flags = [
            self.direction == Direction::Pull,
            self.into,
            self.recursive,
            self.update,
            self.deletion.delete,
            self.deletion.force,
            self.deletion.allow_mass,
            self.dry_run,
            self.itemize,
            self.grant_all,
            self.partial,
            self.file_name.is_some(),
            self.deletion.max.is_some(),
            self.space_checked,
            self.make_parent,
            self.profile,
        ];
        out.number(flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u64::from(flag)));
        out.bytes(&self.root);
        out.bytes(self.path.as_bytes());
        if let Some(name) = &self.file_name {
            out.bytes(name);
        }
        if let Some(max) = self.deletion.max {
            out.number(max);
        }
        self.attributes.put(out);
        out.byte(match self.durability {
            Durability::None => 0,
            Durability::Run => 1,
            Durability::File => 2,
        });
        out.byte(match self.compression {
            Compression::Auto => 0,
            Compression::Always => 1,
            Compression::Never => 2,
        });
        out.number(self.lock_wait_ms);
        out.number(self.timeout_ms);
        out.byte(self.lanes);
        out.number(self.bytes_bound);
        out.number(self.entries_bound);
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let flags: u16 = reader.small("request flags")?;
        let flag = |bit: u16| flags >> bit & 1 == 1;
        let root = reader.bytes(ROOT_NAME_BYTES_MAX, "root name")?.to_vec();
        let path = RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?;
        let file_name = if flag(11) {
            Some(Name::new(reader.bytes(NAME_BYTES_MAX, "file name")?)?.as_bytes().to_vec())
        } else {
            None
        };
        let max = if flag(12) { Some(reader.number("deletion limit")?) } else { None };
        Ok(Self {
            direction: if flag(0) { Direction::Pull } else { Direction::Push },
            root,
            path,
            into: flag(1),
            file_name,
            recursive: flag(2),
            update: flag(3),
            deletion: Deletion { delete: flag(4), force: flag(5), max, allow_mass: flag(6) },
            dry_run: flag(7),
            itemize: flag(8),
            grant_all: flag(9),
            partial: flag(10),
            space_checked: flag(13),
            make_parent: flag(14),
            profile: flag(15),
            attributes: Attributes::get(reader)?,
            durability: match reader.byte("durability")? {
                0 => Durability::None,
                1 => Durability::Run,
                2 => Durability::File,
                _ => return malformed("durability"),
            },
            compression: match reader.byte("compression")? {
                0 => Compression::Auto,
                1 => Compression::Always,
                2 => Compression::Never,
                _ => return malformed("compression"),
            },
            lock_wait_ms: reader.number("lock wait")?,
            timeout_ms: reader.number("timeout")?,
            lanes: match reader.byte("lanes")? {
                lanes @ 1..=LANES_MAX => lanes,
                _ => return malformed("lanes"),
            },
            bytes_bound: reader.number("bytes bound")?,
            entries_bound: reader.number("entries bound")?,
        })
    }
}
