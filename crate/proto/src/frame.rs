//! The frames of the control lane.

use crate::codec::{Decoded, Malformed, Reader, Write, malformed};
use crate::compare::{Digest, Reasons};
use crate::entry::{Kind, Listing, Meta};
use crate::kind::ErrorKind;
use crate::limits::{
    DIRECTORY_ENTRIES_MAX, FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX, ROOT_NAME_BYTES_MAX,
};
use crate::path::{Name, RelPath};
use crate::profile::EndProfile;
use crate::request::Request;
use crate::stat::Stat;

/// A machine-readable fact of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A count or an amount.
    Number(u64),
    /// A name, key or text.
    Text(String),
}

impl From<u64> for Detail {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<String> for Detail {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// An error that ends a session, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Its kind.
    pub kind: ErrorKind,
    /// The text for people.
    pub message: String,
    /// The path concerned.
    pub path: Option<Vec<u8>>,
    /// Machine-readable facts.
    pub details: Vec<(String, Detail)>,
}

/// Why a path did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IssueKind {
    /// The sender may not read it, or reading failed.
    Unreadable = 0,
    /// It was listed and then gone.
    Vanished = 1,
    /// It changed each time it was read.
    Changed = 2,
    /// The receiver could not write it.
    Write = 3,
    /// What arrived is not what was read.
    Integrity = 4,
    /// Something that must not be removed stands in its place.
    Conflict = 5,
    /// The scope of the key does not allow it.
    Scope = 6,
    /// It could not be deleted.
    Delete = 7,
    /// A notice, not a failure: everything arrived.
    Notice = 8,
    /// A notice: owners were asked for, and the receiver may not set them.
    Owners = 9,
    /// Nothing is missing, but the directory was a mount point in the last run and is none now: what the destination
    /// holds there is guarded like that of an empty directory.
    Unmounted = 10,
    /// It arrived, and one of its attributes could not be set.
    Attributes = 11,
    /// A notice: owners were asked for, and the receiver could set them if the key had the right.
    OwnerRight = 12,
    /// A notice of the sender's: the run does not carry what this entry is.
    Special = 13,
}

impl IssueKind {
    fn from_wire(byte: u8) -> Decoded<Self> {
        const ALL: [IssueKind; 14] = [
            IssueKind::Unreadable,
            IssueKind::Vanished,
            IssueKind::Changed,
            IssueKind::Write,
            IssueKind::Integrity,
            IssueKind::Conflict,
            IssueKind::Scope,
            IssueKind::Delete,
            IssueKind::Notice,
            IssueKind::Owners,
            IssueKind::Unmounted,
            IssueKind::Attributes,
            IssueKind::OwnerRight,
            IssueKind::Special,
        ];
        ALL.get(usize::from(byte)).copied().ok_or(Malformed { what: "issue kind" })
    }

    /// The word for it in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Vanished => "vanished",
            Self::Changed => "changed",
            Self::Write => "write",
            Self::Integrity => "integrity",
            Self::Conflict => "conflict",
            Self::Scope => "scope",
            Self::Delete => "delete",
            Self::Notice => "notice",
            Self::Owners => "owners",
            Self::Unmounted => "unmounted",
            Self::Attributes => "attributes",
            Self::OwnerRight => "owner-right",
            Self::Special => "special",
        }
    }

    /// Whether nothing is missing because of it.
    #[must_use]
    pub const fn is_notice(self) -> bool {
        matches!(self, Self::Notice | Self::Owners | Self::Unmounted | Self::OwnerRight | Self::Special)
    }

    /// Whether it happened where the source is.
    #[must_use]
    pub const fn is_senders(self) -> bool {
        matches!(self, Self::Unreadable | Self::Vanished | Self::Changed | Self::Special)
    }
}

/// A path that did not arrive, or a notice about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Why.
    pub kind: IssueKind,
    /// Which, relative to the tree.
    pub path: Vec<u8>,
    /// The text for people.
    pub message: String,
    /// Whether the destination still holds what it held before.
    pub old_kept: bool,
}

/// What a run does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// It is made.
    Create = 0,
    /// It is made anew in place of the old.
    Update = 1,
    /// Its attributes are put right.
    Attributes = 2,
    /// It is deleted.
    Delete = 3,
    /// It is left alone although it may differ.
    Skip = 4,
}

impl Action {
    fn from_wire(byte: u8) -> Decoded<Self> {
        Ok(match byte {
            0 => Self::Create,
            1 => Self::Update,
            2 => Self::Attributes,
            3 => Self::Delete,
            4 => Self::Skip,
            _ => return malformed("action"),
        })
    }

    /// The word for it in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Attributes => "attrs",
            Self::Delete => "delete",
            Self::Skip => "skip",
        }
    }
}

/// One line of a plan or of a run's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is done.
    pub action: Action,
    /// With what.
    pub kind: Kind,
    /// Why.
    pub reasons: Reasons,
    /// Bytes of a regular file; 0 otherwise.
    pub size: u64,
    /// Where, relative to the tree; empty for the tree's root.
    pub path: Vec<u8>,
}

/// A directory of the source, as it travels ahead of its listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where.
    pub path: RelPath,
    /// Its own attributes.
    pub meta: Meta,
    /// The digest of its direct entries.
    pub digest: Digest,
    /// How many direct entries it has.
    pub entries: u32,
}

/// What the receiver lets the sender send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The content of every file.
    All,
    /// The content of the files that it asks for.
    AsAsked,
}

/// The acceptor's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The protocol version of the session.
    pub version: u16,
    /// What the sender may send: chosen by the receiver on a push, repeated on a pull.
    pub grant: Grant,
    /// Data lanes of the session.
    pub lanes: u8,
    /// The name of the source when it is a single file and the acceptor is the sender.
    pub file_name: Option<Vec<u8>>,
    /// See [`Request::bytes_bound`], when the acceptor is the sender.
    pub bytes_bound: u64,
    /// See [`Request::entries_bound`].
    pub entries_bound: u64,
    /// The free space cannot be known to suffice: count with a dry run first.
    pub count_first: bool,
    /// Free bytes at the destination, when the acceptor is the receiver.
    pub free_bytes: u64,
    /// Free entries at the destination.
    pub free_entries: u64,
}

/// How much of a file the receiver holds from an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The index of the file in its directory's listing.
    pub index: u32,
    /// Leading bytes that it holds.
    pub bytes: u64,
    /// Their BLAKE3 digest.
    pub digest: [u8; 32],
}

/// One entry in the answer to [`Frame::ListRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Vec<u8>,
    /// Bytes of a regular file.
    pub size: u64,
    /// Its attributes.
    pub meta: Meta,
}

impl ListEntry {
    fn put(&self, out: &mut Vec<u8>) {
        out.byte(self.kind as u8);
        out.bytes(&self.name);
        out.number(self.size);
        self.meta.put(out);
    }
}

/// Appends a question for a path of a root.
fn put_place(frame_type: u8, root: &[u8], path: &RelPath, out: &mut Vec<u8>) {
    out.byte(frame_type);
    out.bytes(root);
    out.bytes(path.as_bytes());
}

/// One message of the control lane.
#[derive(Clone, Debug)]
pub enum Frame {
    /// First from the initiator: the versions that it speaks.
    Hello {
        /// Oldest.
        oldest: u16,
        /// Newest.
        newest: u16,
    },
    /// Second from the initiator.
    Request(Box<Request>),
    /// The acceptor's answer to the request, unless it is [`Frame::Abort`].
    Accept(Accept),
    /// The sender's digest of its whole tree, when the walk ended before anything else was sent.
    TreeDigest(Digest),
    /// Directories of the source in walk order; they are numbered from 0 through the session.
    Directories(Vec<Directory>),
    /// The entries of a directory, or a part of them in ascending order.
    List {
        /// The directory's number.
        directory: u32,
        /// More parts follow.
        more: bool,
        /// The entries.
        listing: Listing,
    },
    /// The end of the source's tree.
    TreeEnd {
        /// Directories.
        directories: u64,
        /// Entries, the root not counted.
        entries: u64,
        /// Bytes of all regular files.
        bytes: u64,
        /// Directories that could not be read: nothing is deleted then.
        errors: u64,
    },
    /// The receiver asks for listings.
    Need(Vec<u32>),
    /// The receiver asks for the content of files of one directory; exactly one for each listing asked for.
    Want {
        /// The directory's number.
        directory: u32,
        /// Ascending indices into its listing.
        files: Vec<u32>,
        /// What is held already of some of them.
        resume: Vec<Resume>,
    },
    /// Every directory below this number has been decided upon.
    Settled(u32),
    /// What the receiver does, for the initiator.
    Items(Vec<Item>),
    /// A path that did not arrive.
    Issue(Issue),
    /// A sign of life with a count of work done so far.
    Heartbeat(u64),
    /// The receiver is done: its counters, and what it refused in the end.
    Finished {
        /// Counters in the order of [`crate::COUNTERS`].
        counters: Vec<u64>,
        /// What was refused.
        refused: Option<WireError>,
    },
    /// Where this side's time went, when the request asked for it.
    Profile(Box<EndProfile>),
    /// The session ends with an error.
    Abort(WireError),
    /// Instead of a request: the entries of one directory, or the names of the roots when `root` is empty.
    ListRequest {
        /// The root.
        root: Vec<u8>,
        /// The directory below it.
        path: RelPath,
    },
    /// The answer; the last part has `more` unset.
    ListReply {
        /// More parts follow.
        more: bool,
        /// The entries.
        entries: Vec<ListEntry>,
    },
    /// Instead of a request: what stands at one path.
    StatRequest {
        /// The root.
        root: Vec<u8>,
        /// The path below it.
        path: RelPath,
    },
    /// The answer.
    StatReply(Stat),
}

const HELLO: u8 = 1;
const REQUEST: u8 = 2;
const ACCEPT: u8 = 3;
const TREE_DIGEST: u8 = 4;
const DIRECTORIES: u8 = 5;
const LIST: u8 = 6;
const TREE_END: u8 = 7;
const NEED: u8 = 8;
const WANT: u8 = 9;
const SETTLED: u8 = 10;
const ITEMS: u8 = 11;
const ISSUE: u8 = 12;
const HEARTBEAT: u8 = 13;
const FINISHED: u8 = 14;
const ABORT: u8 = 15;
const LIST_REQUEST: u8 = 16;
const LIST_REPLY: u8 = 17;
const PROFILE: u8 = 18;
const STAT_REQUEST: u8 = 19;
const STAT_REPLY: u8 = 20;

/// The magic that opens a control lane, so that a stray client is told apart from a broken one.
pub(crate) const MAGIC: &[u8; 4] = b"SPSY";

fn put_optional_name(out: &mut Vec<u8>, name: Option<&[u8]>) {
    out.bytes(name.unwrap_or_default());
}

fn optional_name(reader: &mut Reader<'_>) -> Decoded<Option<Vec<u8>>> {
    let bytes = reader.bytes(NAME_BYTES_MAX, "file name")?;
    if bytes.is_empty() { Ok(None) } else { Ok(Some(Name::new(bytes)?.as_bytes().to_vec())) }
}

fn flag(reader: &mut Reader<'_>, what: &'static str) -> Decoded<bool> {
    match reader.byte(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => malformed(what),
    }
}

impl WireError {
    fn put(&self, out: &mut Vec<u8>) {
        out.byte(self.kind.to_wire());
        out.text(&self.message, MESSAGE_BYTES_MAX);
        out.bytes(self.path.as_deref().unwrap_or_default());
        out.number(self.details.len().min(16) as u64);
        for (name, value) in self.details.iter().take(16) {
            out.text(name, 64);
            match value {
                Detail::Number(number) => {
                    out.byte(0);
                    out.number(*number);
                }
                Detail::Text(text) => {
                    out.byte(1);
                    out.text(text, MESSAGE_BYTES_MAX);
                }
            }
        }
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let kind = ErrorKind::from_wire(reader.byte("error kind")?);
        let message = reader.text(MESSAGE_BYTES_MAX, "error message")?;
        let path = reader.bytes(PATH_BYTES_MAX, "error path")?;
        let path = (!path.is_empty()).then(|| path.to_vec());
        let mut details = Vec::new();
        for _ in 0..reader.length(16, "error details")? {
            let name = reader.text(64, "error detail")?;
            let value = match reader.byte("error detail")? {
                0 => Detail::Number(reader.number("error detail")?),
                1 => Detail::Text(reader.text(MESSAGE_BYTES_MAX, "error detail")?),
                _ => return malformed("error detail"),
            };
            details.push((name, value));
        }
        Ok(Self { kind, message, path, details })
    }
}

fn put_directories(directories: &[Directory], out: &mut Vec<u8>) {
    let mut previous = RelPath::root();
    for directory in directories {
        // Names repeat from one directory to the next: only what differs from the path before travels.
        let shared = previous.shared_bytes(&directory.path);
        out.number(shared as u64);
        out.bytes(&directory.path.as_bytes()[shared..]);
        directory.meta.put(out);
        out.raw(&directory.digest);
        out.number(u64::from(directory.entries));
        previous = directory.path.clone();
    }
}

fn directories(reader: &mut Reader<'_>) -> Decoded<Vec<Directory>> {
    let mut all = Vec::new();
    let mut previous: Vec<u8> = Vec::new();
    // Shared beginnings would let a frame of a megabyte stand for gigabytes.
    let mut path_bytes = 0;
    while !reader.is_empty() {
        let shared = reader.length(previous.len(), "shared path")?;
        previous.truncate(shared);
        previous.extend_from_slice(reader.bytes(PATH_BYTES_MAX, "path")?);
        path_bytes += previous.len();
        if path_bytes > FRAME_BYTES_MAX {
            return malformed("length of all paths");
        }
        all.push(Directory {
            path: RelPath::new(&previous)?,
            meta: Meta::get(reader)?,
            digest: reader.array("digest")?,
            entries: reader.small("entries")?,
        });
    }
    Ok(all)
}

impl Accept {
    fn put(&self, out: &mut Vec<u8>) {
        out.number(u64::from(self.version));
        out.byte(u8::from(self.grant == Grant::All));
        out.byte(self.lanes);
        put_optional_name(out, self.file_name.as_deref());
        out.number(self.bytes_bound);
        out.number(self.entries_bound);
        out.byte(u8::from(self.count_first));
        out.number(self.free_bytes);
        out.number(self.free_entries);
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self {
            version: reader.small("version")?,
            grant: if flag(reader, "grant")? { Grant::All } else { Grant::AsAsked },
            lanes: match reader.byte("lanes")? {
                lanes @ 1..=crate::limits::LANES_MAX => lanes,
                _ => return malformed("lanes"),
            },
            file_name: optional_name(reader)?,
            bytes_bound: reader.number("bytes bound")?,
            entries_bound: reader.number("entries bound")?,
            count_first: flag(reader, "count first")?,
            free_bytes: reader.number("free bytes")?,
            free_entries: reader.number("free entries")?,
        })
    }
}

fn put_ascending(numbers: &[u32], out: &mut Vec<u8>) {
    out.number(numbers.len() as u64);
    let mut last = 0;
    for &number in numbers {
        out.number(u64::from(number.wrapping_sub(last)));
        last = number;
    }
}

fn ascending(reader: &mut Reader<'_>) -> Decoded<Vec<u32>> {
    // Each number takes a byte at least, so what is there bounds what is allocated.
    let count = reader.length(reader.rest().len(), "count of numbers")?;
    let mut numbers = Vec::with_capacity(count);
    let mut last = 0u32;
    for at in 0..count {
        let step: u32 = reader.small("number")?;
        let (next, overflow) = last.overflowing_add(step);
        if overflow || (at > 0 && step == 0) {
            return malformed("order of numbers");
        }
        numbers.push(next);
        last = next;
    }
    Ok(numbers)
}

impl Item {
    /// Appends the wire form.
    fn put(&self, out: &mut Vec<u8>) {
        out.byte(self.action as u8);
        out.byte(self.kind as u8);
        self.reasons.put(out);
        out.number(self.size);
        out.bytes(&self.path);
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self {
            action: Action::from_wire(reader.byte("action")?)?,
            kind: Kind::from_wire(reader.byte("kind")?)?,
            reasons: Reasons::get(reader)?,
            size: reader.number("size")?,
            path: RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?.as_bytes().to_vec(),
        })
    }
}

impl Issue {
    fn put(&self, out: &mut Vec<u8>) {
        out.byte(self.kind as u8);
        out.byte(u8::from(self.old_kept));
        out.bytes(&self.path);
        out.text(&self.message, MESSAGE_BYTES_MAX);
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self {
            kind: IssueKind::from_wire(reader.byte("issue kind")?)?,
            old_kept: flag(reader, "issue")?,
            path: RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?.as_bytes().to_vec(),
            message: reader.text(MESSAGE_BYTES_MAX, "message")?,
        })
    }
}

impl Frame {
    /// Appends the frame with its length in front.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(64);
        self.put(&mut body);
        debug_assert!(body.len() <= FRAME_BYTES_MAX, "a frame is built within its cap");
        out.bytes(&body);
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { oldest, newest } => {
                out.byte(HELLO);
                out.raw(MAGIC);
                out.number(u64::from(*oldest));
                out.number(u64::from(*newest));
            }
            Self::Request(request) => {
                out.byte(REQUEST);
                request.put(out);
            }
            Self::Accept(accept) => {
                out.byte(ACCEPT);
                accept.put(out);
            }
            Self::TreeDigest(digest) => {
                out.byte(TREE_DIGEST);
                out.raw(digest);
            }
            Self::Directories(all) => {
                out.byte(DIRECTORIES);
                put_directories(all, out);
            }
            Self::List { directory, more, listing } => {
                put_list(*directory, *more, listing, 0..listing.len(), out);
            }
            Self::TreeEnd { directories, entries, bytes, errors } => {
                out.byte(TREE_END);
                for number in [directories, entries, bytes, errors] {
                    out.number(*number);
                }
            }
            Self::Need(numbers) => {
                out.byte(NEED);
                put_ascending(numbers, out);
            }
            Self::Want { directory, files, resume } => {
                out.byte(WANT);
                out.number(u64::from(*directory));
                put_ascending(files, out);
                out.number(resume.len() as u64);
                for part in resume {
                    out.number(u64::from(part.index));
                    out.number(part.bytes);
                    out.raw(&part.digest);
                }
            }
            Self::Settled(number) => {
                out.byte(SETTLED);
                out.number(u64::from(*number));
            }
            Self::Items(items) => {
                out.byte(ITEMS);
                for item in items {
                    item.put(out);
                }
            }
            Self::Issue(issue) => {
                out.byte(ISSUE);
                issue.put(out);
            }
            Self::Heartbeat(work) => {
                out.byte(HEARTBEAT);
                out.number(*work);
            }
            Self::Finished { counters, refused } => {
                out.byte(FINISHED);
                out.number(counters.len() as u64);
                for counter in counters {
                    out.number(*counter);
                }
                out.byte(u8::from(refused.is_some()));
                if let Some(error) = refused {
                    error.put(out);
                }
            }
            Self::Abort(error) => {
                out.byte(ABORT);
                error.put(out);
            }
            Self::ListRequest { root, path } => put_place(LIST_REQUEST, root, path, out),
            Self::Profile(profile) => {
                out.byte(PROFILE);
                profile.put(out);
            }
            Self::StatRequest { root, path } => put_place(STAT_REQUEST, root, path, out),
            Self::StatReply(stat) => {
                out.byte(STAT_REPLY);
                stat.put(out);
            }
            Self::ListReply { more, entries } => {
                out.byte(LIST_REPLY);
                out.byte(u8::from(*more));
                for entry in entries {
                    entry.put(out);
                }
            }
        }
    }

    /// Reads a frame's body, without its length.
    pub fn decode(body: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(body);
        let frame = Self::get(&mut reader)?;
        reader.end("end of a frame")?;
        Ok(frame)
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(match reader.byte("frame type")? {
            HELLO => {
                if reader.take(MAGIC.len(), "magic")? != MAGIC {
                    return malformed("magic");
                }
                Self::Hello { oldest: reader.small("version")?, newest: reader.small("version")? }
            }
            REQUEST => Self::Request(Box::new(Request::get(reader)?)),
            ACCEPT => Self::Accept(Accept::get(reader)?),
            TREE_DIGEST => Self::TreeDigest(reader.array("digest")?),
            DIRECTORIES => Self::Directories(directories(reader)?),
            LIST => {
                let directory = reader.small("directory")?;
                let more = flag(reader, "more")?;
                let content = flag(reader, "content")?;
                let mut listing = Listing::new();
                while !reader.is_empty() {
                    listing.take(reader, content)?;
                    if listing.len() > DIRECTORY_ENTRIES_MAX {
                        return malformed("size of a directory");
                    }
                }
                Self::List { directory, more, listing }
            }
            TREE_END => Self::TreeEnd {
                directories: reader.number("directories")?,
                entries: reader.number("entries")?,
                bytes: reader.number("bytes")?,
                errors: reader.number("errors")?,
            },
            NEED => Self::Need(ascending(reader)?),
            WANT => {
                let directory = reader.small("directory")?;
                let files = ascending(reader)?;
                let count = reader.length(reader.rest().len(), "count of resumed files")?;
                let mut resume = Vec::with_capacity(count.min(1024));
                for _ in 0..count {
                    resume.push(Resume {
                        index: reader.small("index")?,
                        bytes: reader.number("bytes")?,
                        digest: reader.array("digest")?,
                    });
                }
                Self::Want { directory, files, resume }
            }
            SETTLED => Self::Settled(reader.small("directory")?),
            ITEMS => {
                let mut items = Vec::new();
                while !reader.is_empty() {
                    items.push(Item::get(reader)?);
                }
                Self::Items(items)
            }
            ISSUE => Self::Issue(Issue::get(reader)?),
            HEARTBEAT => Self::Heartbeat(reader.number("work")?),
            FINISHED => {
                let count = reader.length(256, "counters")?;
                let mut counters = Vec::with_capacity(count);
                for _ in 0..count {
                    counters.push(reader.number("counter")?);
                }
                let refused = if flag(reader, "refusal")? { Some(WireError::get(reader)?) } else { None };
                Self::Finished { counters, refused }
            }
            ABORT => Self::Abort(WireError::get(reader)?),
            LIST_REQUEST => Self::ListRequest {
                root: reader.bytes(ROOT_NAME_BYTES_MAX, "root name")?.to_vec(),
                path: RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?,
            },
            PROFILE => Self::Profile(Box::new(EndProfile::get(reader)?)),
            LIST_REPLY => {
                let more = flag(reader, "more")?;
                let mut entries = Vec::new();
                while !reader.is_empty() {
                    let kind = Kind::from_wire(reader.byte("kind")?)?;
                    entries.push(ListEntry {
                        kind,
                        name: Name::new(reader.bytes(NAME_BYTES_MAX, "name")?)?.as_bytes().to_vec(),
                        size: reader.number("size")?,
                        meta: Meta::get(reader)?,
                    });
                }
                Self::ListReply { more, entries }
            }
            STAT_REQUEST => Self::StatRequest {
                root: reader.bytes(ROOT_NAME_BYTES_MAX, "root name")?.to_vec(),
                path: RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?,
            },
            STAT_REPLY => Self::StatReply(Stat::get(reader)?),
            _ => return malformed("frame type"),
        })
    }
}

/// Appends the body of a [`Frame::List`] with the entries of `range`, without building a listing for it.
fn put_list(directory: u32, more: bool, listing: &Listing, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.byte(LIST);
    out.number(u64::from(directory));
    out.byte(u8::from(more));
    out.byte(u8::from(listing.content(0).is_some()));
    for index in range {
        listing.put(index, out);
    }
}

/// Encodes a directory's listing as one or more [`Frame::List`] and hands each encoded frame to `emit`.
pub fn encode_list(directory: u32, listing: &Listing, mut emit: impl FnMut(Vec<u8>)) {
    let mut from = 0;
    loop {
        let mut to = from;
        let mut bytes = 0;
        while to < listing.len() && bytes < crate::limits::BATCH_BYTES {
            // Name, target and at most 64 bytes of the rest.
            bytes +=
                listing.get(to).map_or(0, |entry| listing.name(entry).len() + listing.target(entry).len() + 64 + 32);
            to += 1;
        }
        let more = to < listing.len();
        let mut body = Vec::with_capacity(bytes + 16);
        put_list(directory, more, listing, from..to, &mut body);
        let mut frame = Vec::with_capacity(body.len() + 4);
        frame.bytes(&body);
        emit(frame);
        if !more {
            return;
        }
        from = to;
    }
}

/// Cuts a control lane's bytes into frames.
#[derive(Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    read: usize,
}

impl FrameDecoder {
    /// Adds bytes as they arrive.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.read > 0 && self.read == self.buffer.len() {
            self.buffer.clear();
            self.read = 0;
        } else if self.read > FRAME_BYTES_MAX {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Decoded<Option<Frame>> {
        let rest = &self.buffer[self.read..];
        let mut reader = Reader::new(rest);
        // The length itself takes at most three bytes under its cap.
        let length = match reader.length(FRAME_BYTES_MAX, "frame length") {
            Ok(length) => length,
            Err(_) if rest.len() < 3 && rest.iter().all(|byte| byte & 0x80 != 0) => return Ok(None),
            Err(error) => return Err(error),
        };
        if reader.rest().len() < length {
            return Ok(None);
        }
        let body_at = rest.len() - reader.rest().len();
        let frame = Frame::decode(&rest[body_at..body_at + length])?;
        self.read += body_at + length;
        Ok(Some(frame))
    }

    /// Whether bytes of an unfinished frame are held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read == self.buffer.len()
    }
}
