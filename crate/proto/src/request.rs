//! What the initiator asks for. It is said once, and nothing said later widens it.

use crate::closed::closed_set;
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::compare::Attributes;
use crate::field::{AtMost, Codec, FileName, get_nested, message, put_nested};
use crate::limits::{LANES_MAX, ROOT_NAME_BYTES_MAX, SOURCES_MAX};
use crate::matcher::{AtTop, Everything, ExceptNames, Matcher};
use crate::names::Names;
use crate::options::Selection;
use crate::path::RelPath;

closed_set! {
    /// Which way the content goes, as the initiator sees it.
    #[derive(Default)]
    Direction {
        /// From the initiator to the acceptor.
        #[default]
        Push = 0, "push";
        /// From the acceptor to the initiator.
        Pull = 1, "pull";
    }
}

closed_set! {
    /// When the writes of a run are on disk.
    #[derive(Default, PartialOrd, Ord)]
    Durability {
        /// When the system gets to it.
        #[default]
        None = 0, "none";
        /// When the run has succeeded.
        Run = 1, "run";
        /// Each file before it gets its name.
        File = 2, "file";
    }
}

closed_set! {
    /// When packs are compressed.
    #[derive(Default)]
    Compression {
        /// While the path is slow enough for it to pay.
        #[default]
        Auto = 0, "auto";
        /// Always.
        Always = 1, "always";
        /// Never.
        Never = 2, "never";
    }
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

/// One of the sources of a pull that has several, below the request's root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePath {
    /// Where.
    pub path: RelPath,
    /// What is in the directory goes to the destination. Otherwise the entry goes there under its own name, or, where
    /// [`Request::into`] is off and it is a directory, what is in it.
    pub contents: bool,
}

message!(SourcePath, "source" {
    1 critical path,
    2 critical contents,
});

/// One sync. The default asks for nothing but the content of files: neither sub-directories nor attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct Request {
    /// Which way.
    pub direction: Direction,
    /// The acceptor's named root.
    pub root: Vec<u8>,
    /// The tree below that root.
    pub path: RelPath,
    /// The sources of a pull that has several, at most [`SOURCES_MAX`]; `path` is not looked at then. They are seen as
    /// one tree, in which the first source that has a name comes first, and a directory before everything else.
    pub sources: Vec<SourcePath>,
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
    /// The names of the destination's top that belong to the run; none for all of them, and the top's own attributes. For
    /// a push of several sources that each have a name of their own.
    pub top: Names,
    /// Names that do not belong to the run, on either side and at any depth.
    pub exclude: Names,
    /// What is left alone.
    pub selection: Selection,
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
    /// The run ends when neither side worked for so long, in milliseconds; 0 is never.
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

impl Default for Request {
    fn default() -> Self {
        Self {
            direction: Direction::default(),
            root: Vec::new(),
            path: RelPath::root(),
            sources: Vec::new(),
            into: false,
            make_parent: false,
            file_name: None,
            attributes: Attributes::default(),
            recursive: false,
            top: Names::default(),
            exclude: Names::default(),
            selection: Selection::default(),
            deletion: Deletion::default(),
            dry_run: false,
            itemize: false,
            grant_all: false,
            partial: false,
            durability: Durability::default(),
            compression: Compression::default(),
            lock_wait_ms: 0,
            timeout_ms: 0,
            lanes: 1,
            bytes_bound: 0,
            entries_bound: 0,
            space_checked: false,
            profile: false,
        }
    }
}

impl Request {
    /// What belongs to the run, at either end.
    #[must_use]
    pub fn matcher(&self) -> Box<dyn Matcher> {
        let named: Box<dyn Matcher> =
            if self.exclude.is_empty() { Box::new(Everything) } else { Box::new(ExceptNames::new(&self.exclude)) };
        if self.top.is_empty() { named } else { Box::new(AtTop::new(&self.top, named)) }
    }
}

message!(Request, "request" {
    1 critical direction,
    2 critical root: AtMost<ROOT_NAME_BYTES_MAX>,
    3 critical path,
    4 critical sources: Sources,
    5 critical file_name: FileName,
    6 critical into,
    7 critical make_parent,
    8 critical recursive,
    9 critical attributes.perms,
    10 critical attributes.times,
    11 critical attributes.owner,
    12 critical attributes.group,
    13 critical attributes.links,
    14 critical attributes.xattrs,
    15 critical attributes.compare,
    16 critical attributes.window,
    17 critical selection,
    18 critical deletion.delete,
    19 critical deletion.force,
    20 critical deletion.max,
    21 critical deletion.allow_mass,
    22 critical dry_run,
    23 critical itemize,
    24 critical grant_all,
    25 optional partial,
    26 critical durability,
    27 optional compression,
    28 critical lock_wait_ms,
    29 optional timeout_ms,
    30 critical lanes: Lanes,
    31 optional bytes_bound,
    32 optional entries_bound,
    33 critical space_checked,
    34 critical profile,
    35 critical exclude,
    36 critical attributes.specials,
    37 critical top,
});

/// Data lanes of a session.
pub(crate) struct Lanes;

impl Codec<u8> for Lanes {
    fn put(value: &u8, out: &mut Vec<u8>) {
        out.byte(*value);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<u8> {
        match reader.byte(what)? {
            lanes @ 1..=LANES_MAX => Ok(lanes),
            _ => malformed(what),
        }
    }
}

/// Sources one after the other, each behind its length.
struct Sources;

impl Codec<Vec<SourcePath>> for Sources {
    fn put(value: &Vec<SourcePath>, out: &mut Vec<u8>) {
        for source in value {
            put_nested(source, out);
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Vec<SourcePath>> {
        let mut sources = Vec::new();
        while !reader.is_empty() {
            if sources.len() == SOURCES_MAX {
                return malformed(what);
            }
            sources.push(get_nested(reader, what)?);
        }
        sources.shrink_to_fit();
        Ok(sources)
    }
}
