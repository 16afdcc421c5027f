//! The frames of the control lane.

mod accept;
mod arrived;
mod delta;
mod directory;
mod error;
mod explanation;
mod finished;
mod issue;
mod item;
mod list;
mod memory;
mod stream;
mod want;

pub use accept::{Accept, Grant};
pub use arrived::Arrived;
pub use delta::Basis;
pub use directory::Directory;
pub use error::{Detail, WireError};
pub use explanation::Explanation;
pub use issue::{Issue, IssueKind};
pub use item::{Action, Item, ItemDetails, STAMP_OWN_BYTES, Stamp};
pub use list::{ListEntry, encode_list};
pub use stream::FrameDecoder;
pub use want::Resume;

use self::finished::Finished;
pub(crate) use self::want::{ascending, put_ascending};
use self::want::{put_resumes, resumes};
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::compare::Digest;
use crate::delta::Chunk;
use crate::field::{Message as _, Value as _, get_message};
use crate::limits::{
    FRAME_BYTES_MAX, KEY_LINE_BYTES_MAX, PATH_BYTES_MAX, PATHS_BYTES_MAX, ROOT_NAME_BYTES_MAX, SECRET_BYTES_MAX,
};
use crate::listing::Listing;
use crate::owners::{OwnerName, get_names, put_names};
use crate::pack::FileId;
use crate::path::RelPath;
use crate::paths::{PathSet, Paths};
use crate::profile::EndProfile;
use crate::request::Request;
use crate::stat::Stat;
use crate::version::Version;

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
    /// Before a request: paths of it, which it continues.
    Paths {
        /// Their meaning for it.
        set: PathSet,
        /// Behind those that came before.
        paths: Paths,
    },
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
        /// The parts that are held already of some of them.
        resume: Vec<Resume>,
    },
    /// Sent before the Want of this directory: files of which the receiver has an older state, whose parts it tells
    /// when asked.
    Bases {
        /// The directory's number.
        directory: u32,
        /// The files, by ascending indices.
        bases: Vec<Basis>,
    },
    /// The parts of the receiver's file that the sender asked for: all pieces, or the chunks of some of them.
    Chunks {
        /// Which.
        file: FileId,
        /// More of them follow.
        more: bool,
        /// The parts.
        chunks: Vec<Chunk>,
    },
    /// Every directory below this number has been decided upon.
    Settled(u32),
    /// Names of owners and groups, before the frames that have their numbers.
    Owners(Vec<OwnerName>),
    /// Items of the receiver's actions, for the initiator.
    Items(Vec<Item>),
    /// A path that did not arrive.
    Issue(Issue),
    /// A sign of life with a count of work done so far.
    Heartbeat(u64),
    /// The most bytes per second that the sender may send from now on; 0 is no limit.
    Bwlimit(u64),
    /// The receiver has finished: its counters, and the error of deletions that it refused.
    Finished {
        /// Counters in the order of [`crate::COUNTERS`].
        counters: Vec<u64>,
        /// The error of deletions that were refused.
        refused: Option<WireError>,
    },
    /// The receiver lets the sender remove these entries of the source; the last part has `more` unset.
    Arrived {
        /// More parts follow.
        more: bool,
        /// The entries.
        entries: Vec<Arrived>,
    },
    /// The sender has removed the entries that it may remove, or told of those that it has kept.
    Removed,
    /// This side's account of its time, if the request asked for it.
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
    /// The answer to a request that asks to explain a path: the explanation of the acceptor's end.
    Explained(Box<Explanation>),
    /// Instead of a request, on a connection for joining: the secret of an invitation.
    Join(Vec<u8>),
    /// The answer: the line that now authorizes the initiator's key.
    Joined(Vec<u8>),
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
const OWNERS: u8 = 21;
const ARRIVED: u8 = 22;
const REMOVED: u8 = 23;
const EXPLAINED: u8 = 25;
const PATHS: u8 = 40;
const BASES: u8 = 60;
const CHUNKS: u8 = 61;
const BWLIMIT: u8 = 62;
const JOIN: u8 = 80;
const JOINED: u8 = 81;

/// The magic that opens a control lane. By it a stray client is told apart from a broken one.
pub(crate) const MAGIC: &[u8; 4] = b"SPSY";

fn flag(reader: &mut Reader<'_>, what: &'static str) -> Decoded<bool> {
    match reader.byte(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => malformed(what),
    }
}

/// A path of a root.
fn read_place(reader: &mut Reader<'_>) -> Decoded<(Vec<u8>, RelPath)> {
    let root = reader.bytes(ROOT_NAME_BYTES_MAX, "root name")?.to_vec();
    Ok((root, RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?))
}

impl Frame {
    /// Appends the frame with its length in front, in the form of `version`. Hello, the requests, Accept, Abort, lists
    /// and the frames that a sender may send before it has read Accept have the same form in every version.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(64);
        match version {
            Version::V1 => self.put(&mut body),
        }
        debug_assert!(body.len() <= FRAME_BYTES_MAX, "a frame is built within its cap");
        out.bytes(&body);
    }

    /// Reads a frame's body, without its length, in the form of `version`.
    pub fn decode(version: Version, body: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(body);
        let frame = match version {
            Version::V1 => Self::get(&mut reader)?,
        };
        reader.end("end of a frame")?;
        Ok(frame)
    }

    /// The frames that ask for this, behind the first.
    #[must_use]
    pub fn asking_for(request: &Request) -> Vec<Self> {
        let Request { selected, listed, planned, .. } = request;
        if selected.bytes() + listed.bytes() + planned.bytes() <= PATHS_BYTES_MAX {
            return vec![Self::Request(Box::new(request.clone()))];
        }
        let sets = [(PathSet::Selected, selected), (PathSet::Listed, listed), (PathSet::Planned, planned)];
        let frames = sets.into_iter().flat_map(|(set, all)| all.parts().map(move |paths| Self::Paths { set, paths }));
        let (selected, listed, planned) = (Paths::default(), Paths::default(), Paths::default());
        let rest = Request { selected, listed, planned, ..request.clone() };
        frames.chain([Self::Request(Box::new(rest))]).collect()
    }

    /// All frames of an initiator of this build that asks for something.
    #[must_use]
    pub fn opening(question: Vec<Self>) -> Vec<Self> {
        let mut frames = vec![Self::hello()];
        frames.extend(question);
        frames
    }

    /// The first frame of an initiator of this build.
    #[must_use]
    pub const fn hello() -> Self {
        Self::Hello { oldest: Version::OLDEST.number(), newest: Version::NEWEST.number() }
    }

    const fn type_byte(&self) -> u8 {
        match self {
            Self::Hello { .. } => HELLO,
            Self::Request(_) => REQUEST,
            Self::Paths { .. } => PATHS,
            Self::Accept(_) => ACCEPT,
            Self::TreeDigest(_) => TREE_DIGEST,
            Self::Directories(_) => DIRECTORIES,
            Self::List { .. } => LIST,
            Self::TreeEnd { .. } => TREE_END,
            Self::Need(_) => NEED,
            Self::Want { .. } => WANT,
            Self::Bases { .. } => BASES,
            Self::Chunks { .. } => CHUNKS,
            Self::Settled(_) => SETTLED,
            Self::Owners(_) => OWNERS,
            Self::Items(_) => ITEMS,
            Self::Issue(_) => ISSUE,
            Self::Heartbeat(_) => HEARTBEAT,
            Self::Bwlimit(_) => BWLIMIT,
            Self::Finished { .. } => FINISHED,
            Self::Abort(_) => ABORT,
            Self::ListRequest { .. } => LIST_REQUEST,
            Self::ListReply { .. } => LIST_REPLY,
            Self::Arrived { .. } => ARRIVED,
            Self::Removed => REMOVED,
            Self::Profile(_) => PROFILE,
            Self::StatRequest { .. } => STAT_REQUEST,
            Self::StatReply(_) => STAT_REPLY,
            Self::Explained(_) => EXPLAINED,
            Self::Join(_) => JOIN,
            Self::Joined(_) => JOINED,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.byte(self.type_byte());
        match self {
            Self::Hello { oldest, newest } => {
                out.raw(MAGIC);
                out.number(u64::from(*oldest));
                out.number(u64::from(*newest));
            }
            Self::Request(request) => request.put_fields(out),
            Self::Paths { set, paths } => {
                set.put(out);
                paths.put(out);
            }
            Self::Accept(accept) => accept.put_fields(out),
            Self::TreeDigest(digest) => out.raw(digest),
            Self::Directories(all) => directory::put(all, out),
            Self::List { directory, more, listing } => list::put(*directory, *more, listing, 0..listing.len(), out),
            Self::TreeEnd { directories, entries, bytes, errors } => {
                for number in [directories, entries, bytes, errors] {
                    out.number(*number);
                }
            }
            Self::Need(numbers) => put_ascending(numbers, out),
            Self::Want { directory, files, resume } => {
                out.number(u64::from(*directory));
                put_ascending(files, out);
                put_resumes(resume, out);
            }
            Self::Bases { directory, bases } => delta::put_bases(*directory, bases, out),
            Self::Chunks { file, more, chunks } => delta::put_chunks((*file, *more), chunks, out),
            Self::Settled(number) => out.number(u64::from(*number)),
            Self::Owners(names) => put_names(names, out),
            Self::Items(items) => items.iter().for_each(|item| item.put(out)),
            Self::Issue(issue) => issue.put_fields(out),
            Self::Heartbeat(number) | Self::Bwlimit(number) => out.number(*number),
            Self::Finished { counters, refused } => {
                Finished { counters: counters.clone(), refused: refused.clone() }.put_fields(out);
            }
            Self::Abort(error) => error.put_fields(out),
            Self::ListRequest { root, path } | Self::StatRequest { root, path } => {
                out.bytes(root);
                out.bytes(path.as_bytes());
            }
            Self::ListReply { more, entries } => {
                out.byte(u8::from(*more));
                list::put_reply(entries, out);
            }
            Self::Arrived { more, entries } => {
                out.byte(u8::from(*more));
                arrived::put(entries, out);
            }
            Self::Removed => {}
            Self::Profile(profile) => profile.put(out),
            Self::StatReply(stat) => stat.put(out),
            Self::Explained(explanation) => explanation.put_fields(out),
            Self::Join(secret) => out.bytes(secret),
            Self::Joined(line) => out.bytes(line),
        }
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(match reader.byte("frame type")? {
            HELLO => Self::read_hello(reader)?,
            REQUEST => Self::Request(Box::new(get_message(reader)?)),
            PATHS => Self::Paths { set: PathSet::get(reader, "set of paths")?, paths: Paths::get(reader, "paths")? },
            ACCEPT => Self::Accept(get_message(reader)?),
            TREE_DIGEST => Self::TreeDigest(reader.array("digest")?),
            DIRECTORIES => Self::Directories(directory::get(reader)?),
            LIST => {
                let directory = reader.small("directory")?;
                let more = flag(reader, "more")?;
                let content = flag(reader, "content")?;
                Self::List { directory, more, listing: list::listing(reader, content)? }
            }
            TREE_END => Self::TreeEnd {
                directories: reader.number("directories")?,
                entries: reader.number("entries")?,
                bytes: reader.number("bytes")?,
                errors: reader.number("errors")?,
            },
            NEED => Self::Need(ascending(reader)?),
            WANT => Self::Want {
                directory: reader.small("directory")?,
                files: ascending(reader)?,
                resume: resumes(reader)?,
            },
            BASES => Self::Bases { directory: reader.small("directory")?, bases: delta::bases(reader)? },
            CHUNKS => delta::chunks(reader)?,
            SETTLED => Self::Settled(reader.small("directory")?),
            OWNERS => Self::Owners(get_names(reader)?),
            ITEMS => Self::read_items(reader)?,
            ISSUE => Self::Issue(get_message(reader)?),
            HEARTBEAT => Self::Heartbeat(reader.number("work")?),
            BWLIMIT => Self::Bwlimit(reader.number("bytes in a second")?),
            FINISHED => {
                let Finished { counters, refused } = get_message(reader)?;
                Self::Finished { counters, refused }
            }
            ABORT => Self::Abort(get_message(reader)?),
            LIST_REQUEST => {
                let (root, path) = read_place(reader)?;
                Self::ListRequest { root, path }
            }
            STAT_REQUEST => {
                let (root, path) = read_place(reader)?;
                Self::StatRequest { root, path }
            }
            STAT_REPLY => Self::StatReply(Stat::get(reader)?),
            ARRIVED => Self::Arrived { more: flag(reader, "more")?, entries: arrived::get(reader)? },
            REMOVED => Self::Removed,
            EXPLAINED => Self::Explained(Box::new(get_message(reader)?)),
            JOIN => Self::Join(reader.bytes(SECRET_BYTES_MAX, "secret")?.to_vec()),
            JOINED => Self::Joined(reader.bytes(KEY_LINE_BYTES_MAX, "line")?.to_vec()),
            PROFILE => Self::Profile(Box::new(EndProfile::get(reader)?)),
            LIST_REPLY => Self::ListReply { more: flag(reader, "more")?, entries: list::reply(reader)? },
            _ => return malformed("frame type"),
        })
    }

    fn read_hello(reader: &mut Reader<'_>) -> Decoded<Self> {
        if reader.take(MAGIC.len(), "magic")? != MAGIC {
            return malformed("magic");
        }
        Ok(Self::Hello { oldest: reader.small("version")?, newest: reader.small("version")? })
    }

    fn read_items(reader: &mut Reader<'_>) -> Decoded<Self> {
        let mut items = Vec::new();
        while !reader.is_empty() {
            items.push(Item::get(reader)?);
        }
        items.shrink_to_fit();
        Ok(Self::Items(items))
    }
}
