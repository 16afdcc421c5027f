//! Packs: what travels on the data lanes. A pack is a sequence of records about files; small files come whole,
//! large ones as a recipe of literals, copies and holes.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::{ContentDigest, Meta};
use crate::frame::{IssueKind, ascending, put_ascending};
use crate::limits::{FILE_BYTES_MAX, MESSAGE_BYTES_MAX, PACK_BYTES_MAX, WHOLE_FILE_BYTES_MAX};

/// Bytes of a pack's header.
pub const PACK_HEADER_BYTES: usize = 9;

/// The header in front of each pack: stored and raw length, big-endian, and how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackHeader {
    /// Whether the pack is one LZ4 block.
    pub compressed: bool,
    /// Bytes that follow.
    pub stored_bytes: usize,
    /// Bytes after decompression.
    pub raw_bytes: usize,
}

impl PackHeader {
    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> [u8; PACK_HEADER_BYTES] {
        let mut out = [0; PACK_HEADER_BYTES];
        out[0] = u8::from(self.compressed);
        // Both are at most PACK_BYTES_MAX.
        out[1..5].copy_from_slice(&u32::try_from(self.stored_bytes).unwrap_or(u32::MAX).to_be_bytes());
        out[5..9].copy_from_slice(&u32::try_from(self.raw_bytes).unwrap_or(u32::MAX).to_be_bytes());
        out
    }

    /// Reads and checks the wire form.
    pub fn decode(bytes: &[u8; PACK_HEADER_BYTES]) -> Decoded<Self> {
        let [how, s0, s1, s2, s3, r0, r1, r2, r3] = *bytes;
        let stored_bytes = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        let raw_bytes = u32::from_be_bytes([r0, r1, r2, r3]) as usize;
        let compressed = match how {
            0 => false,
            1 => true,
            _ => return malformed("pack header"),
        };
        if stored_bytes > PACK_BYTES_MAX
            || raw_bytes > PACK_BYTES_MAX
            || raw_bytes == 0
            || stored_bytes == 0
            || (!compressed && stored_bytes != raw_bytes)
            || (compressed && stored_bytes >= raw_bytes)
        {
            return malformed("pack header");
        }
        Ok(Self { compressed, stored_bytes, raw_bytes })
    }
}

/// A file of the source: its directory's number and its index in that directory's listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The directory.
    pub directory: u32,
    /// The entry.
    pub index: u32,
}

/// One record of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A whole file. Its digest comes last, so that a sender can hash what it has just read into the pack.
    Whole {
        /// Which.
        file: FileId,
        /// Its attributes, when they are no longer those of the listing.
        meta: Option<Meta>,
        /// All of it.
        content: &'a [u8],
        /// The digest of `content`.
        digest: ContentDigest,
    },
    /// Begins the recipe of a file. A second one for the same file discards the first, because the source changed.
    Begin {
        /// Which.
        file: FileId,
    },
    /// The next bytes of the file.
    Literal(&'a [u8]),
    /// The next bytes are copied from the same place of the part that the receiver held before.
    Copy {
        /// How many.
        bytes: u64,
    },
    /// The next bytes are copied from these pieces of the file in its place at the receiver, in the order of its list.
    /// Each is also a piece of the new file.
    CopyPieces {
        /// The number of the first.
        first: u32,
        /// How many.
        count: u32,
    },
    /// The next bytes are those at this place of it.
    CopyFrom {
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// The next bytes are zero.
    Hole {
        /// How many.
        bytes: u64,
    },
    /// The recipe is complete.
    End {
        /// The file's attributes, when they are no longer those of the listing.
        meta: Option<Meta>,
        /// The digest of all of its content.
        digest: ContentDigest,
    },
    /// A piece of the file ends here. A recipe with pieces ends with the digest of their digests.
    Mark,
    /// Asks the receiver for the pieces of the entry in a file's place.
    Sign {
        /// Which.
        file: FileId,
        /// The level at which it is cut, see [`crate::delta::Cutter`].
        level: u8,
    },
    /// Asks the receiver for the chunks of pieces that it has told.
    Ask {
        /// The file.
        file: FileId,
        /// The ascending numbers of the pieces.
        pieces: Vec<u32>,
    },
    /// The file grew while it was read: the bytes that came are those that it had when it was opened.
    Grown,
    /// The file does not come; an open recipe for it is discarded.
    Failed {
        /// Which.
        file: FileId,
        /// Why.
        kind: IssueKind,
        /// The text for people.
        message: String,
    },
}

const WHOLE: u8 = 0;
const BEGIN: u8 = 1;
const LITERAL: u8 = 2;
const COPY: u8 = 3;
const HOLE: u8 = 4;
const END: u8 = 5;
const FAILED: u8 = 6;
const COPY_PIECES: u8 = 7;
const COPY_FROM: u8 = 8;
const MARK: u8 = 9;
const SIGN: u8 = 10;
const ASK: u8 = 11;
const GROWN: u8 = 12;

fn put_file(file: FileId, out: &mut Vec<u8>) {
    out.number(u64::from(file.directory));
    out.number(u64::from(file.index));
}

fn file(reader: &mut Reader<'_>) -> Decoded<FileId> {
    Ok(FileId { directory: reader.small("directory")?, index: reader.small("index")? })
}

fn put_meta(meta: Option<&Meta>, out: &mut Vec<u8>) {
    out.byte(u8::from(meta.is_some()));
    if let Some(meta) = meta {
        meta.put(out);
    }
}

fn meta(reader: &mut Reader<'_>) -> Decoded<Option<Meta>> {
    match reader.byte("attributes")? {
        0 => Ok(None),
        1 => Meta::get(reader).map(Some),
        _ => malformed("attributes"),
    }
}

/// Bytes that a whole file's record needs besides its content, at most.
pub const WHOLE_OVERHEAD_BYTES: usize = 96;

/// Appends a whole file's record up to its content; the content of that many bytes and its digest must follow.
pub fn put_whole_head(file: FileId, meta: Option<&Meta>, bytes: usize, out: &mut Vec<u8>) {
    out.byte(WHOLE);
    put_file(file, out);
    put_meta(meta, out);
    out.number(bytes as u64);
}

/// Bytes that a literal needs besides its content, at most.
pub const LITERAL_OVERHEAD_BYTES: usize = 11;

/// Appends the head of a literal; that many bytes must follow.
pub fn put_literal_head(bytes: usize, out: &mut Vec<u8>) {
    out.byte(LITERAL);
    out.number(bytes as u64);
}

impl<'a> Record<'a> {
    /// Appends the wire form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole { file, meta, content, digest } => {
                put_whole_head(*file, meta.as_ref(), content.len(), out);
                out.raw(content);
                out.raw(digest);
            }
            Self::Begin { file } => {
                out.byte(BEGIN);
                put_file(*file, out);
            }
            Self::Literal(bytes) => {
                out.byte(LITERAL);
                out.bytes(bytes);
            }
            Self::Copy { bytes } => {
                out.byte(COPY);
                out.number(*bytes);
            }
            Self::CopyPieces { first, count } => {
                out.byte(COPY_PIECES);
                out.number(u64::from(*first));
                out.number(u64::from(*count));
            }
            Self::Mark => out.byte(MARK),
            Self::Grown => out.byte(GROWN),
            Self::CopyFrom { offset, bytes } => {
                out.byte(COPY_FROM);
                out.number(*offset);
                out.number(*bytes);
            }
            Self::Sign { file, level } => {
                out.byte(SIGN);
                put_file(*file, out);
                out.byte(*level);
            }
            Self::Ask { file, pieces } => {
                out.byte(ASK);
                put_file(*file, out);
                put_ascending(pieces, out);
            }
            Self::Hole { bytes } => {
                out.byte(HOLE);
                out.number(*bytes);
            }
            Self::End { meta, digest } => {
                out.byte(END);
                put_meta(meta.as_ref(), out);
                out.raw(digest);
            }
            Self::Failed { file, kind, message } => {
                out.byte(FAILED);
                put_file(*file, out);
                out.byte(*kind as u8);
                out.text(message, MESSAGE_BYTES_MAX);
            }
        }
    }

    /// Reads the next record of a pack.
    pub fn decode(reader: &mut Reader<'a>) -> Decoded<Self> {
        let span = |reader: &mut Reader<'a>, what| {
            let bytes = reader.number(what)?;
            if bytes == 0 || bytes > FILE_BYTES_MAX { malformed(what) } else { Ok(bytes) }
        };
        Ok(match reader.byte("record type")? {
            WHOLE => Self::Whole {
                file: file(reader)?,
                meta: meta(reader)?,
                content: reader.bytes(WHOLE_FILE_BYTES_MAX, "content")?,
                digest: reader.array("digest")?,
            },
            BEGIN => Self::Begin { file: file(reader)? },
            LITERAL => Self::Literal(reader.bytes(PACK_BYTES_MAX, "literal")?),
            COPY => Self::Copy { bytes: span(reader, "copy")? },
            COPY_FROM => {
                let (offset, bytes) = (reader.number("offset")?, span(reader, "copy")?);
                if offset > FILE_BYTES_MAX {
                    return malformed("offset");
                }
                Self::CopyFrom { offset, bytes }
            }
            COPY_PIECES => Self::CopyPieces { first: reader.small("first piece")?, count: reader.small("pieces")? },
            MARK => Self::Mark,
            GROWN => Self::Grown,
            SIGN => Self::Sign { file: file(reader)?, level: reader.byte("level")? },
            ASK => Self::Ask { file: file(reader)?, pieces: ascending(reader)? },
            HOLE => Self::Hole { bytes: span(reader, "hole")? },
            END => Self::End { meta: meta(reader)?, digest: reader.array("digest")? },
            FAILED => Self::Failed {
                file: file(reader)?,
                kind: match reader.byte("issue kind")? {
                    0 => IssueKind::Unreadable,
                    1 => IssueKind::Vanished,
                    2 => IssueKind::Changed,
                    _ => return malformed("issue kind"),
                },
                message: reader.text(MESSAGE_BYTES_MAX, "message")?,
            },
            _ => return malformed("record type"),
        })
    }
}
