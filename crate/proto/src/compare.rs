//! Which attributes a run compares and carries, and what makes two entries different.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::{Entry, Kind, Listing, Meta, Time};

/// How the content of two regular files is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// Equal size and modification time mean equal content.
    #[default]
    Quick,
    /// The content itself, by digest, on both ends.
    Content,
    /// Equal size means equal content.
    Size,
}

/// When two modification times are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// To the nanosecond.
    #[default]
    Exact,
    /// In whole seconds.
    Seconds,
    /// When they differ by no more nanoseconds than this.
    Within(u64),
}

impl Window {
    fn equal(self, a: Time, b: Time) -> bool {
        match self {
            Self::Exact => a == b,
            Self::Seconds => a.seconds == b.seconds,
            Self::Within(nanos) => {
                let full = |time: Time| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
                full(a).abs_diff(full(b)) <= u128::from(nanos)
            }
        }
    }
}

/// What a run compares and carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one switch for each attribute, set apart from each other")]
pub struct Attributes {
    /// Permission bits.
    pub perms: bool,
    /// Modification times.
    pub times: bool,
    /// Numeric owners.
    pub owner: bool,
    /// Numeric groups.
    pub group: bool,
    /// Symlinks; when off they are treated as [`Kind::Special`].
    pub links: bool,
    /// How content is compared.
    pub compare: Compare,
    /// How times are compared.
    pub window: Window,
}

/// Why an entry is not what it should be: a set, one bit a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u16);

impl Reasons {
    /// It is not there.
    pub const MISSING: Self = Self(1);
    /// Its size differs.
    pub const SIZE: Self = Self(1 << 1);
    /// Its modification time differs.
    pub const MTIME: Self = Self(1 << 2);
    /// Its permission bits differ.
    pub const MODE: Self = Self(1 << 3);
    /// Its owner differs.
    pub const OWNER: Self = Self(1 << 4);
    /// Its group differs.
    pub const GROUP: Self = Self(1 << 5);
    /// It is something else: a file where a directory should be, say.
    pub const TYPE: Self = Self(1 << 6);
    /// The symlink points elsewhere.
    pub const TARGET: Self = Self(1 << 7);
    /// Its content differs.
    pub const CONTENT: Self = Self(1 << 8);
    /// The source does not have it.
    pub const EXTRA: Self = Self(1 << 9);
    /// The destination's is newer.
    pub const NEWER: Self = Self(1 << 10);
    /// This run does not carry what it is.
    pub const SPECIAL: Self = Self(1 << 11);
    /// It is a directory and the run is not recursive.
    pub const DIRECTORY: Self = Self(1 << 12);
    /// The scope of the key allows new names only.
    pub const APPEND_ONLY: Self = Self(1 << 13);

    /// The words for it in events, in bit order.
    pub const WORDS: [&'static str; 14] = [
        "missing",
        "size",
        "mtime",
        "mode",
        "owner",
        "group",
        "type",
        "target",
        "content",
        "extra",
        "newer",
        "special",
        "directory",
        "append-only",
    ];

    /// Whether there is no reason.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether one of `other`'s reasons is among these.
    #[must_use]
    pub const fn any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The words of this set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        (0..Self::WORDS.len()).filter(move |bit| self.0 >> bit & 1 == 1).map(|bit| Self::WORDS[bit])
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.number(u64::from(self.0));
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        reader.small("reasons").map(Self)
    }

    fn add(&mut self, differs: bool, reason: Self) {
        if differs {
            self.0 |= reason.0;
        }
    }
}

/// Bytes that are hashed at once.
const HASHED_PIECE_BYTES: usize = 64 << 10;

/// Bytes that an entry with a name of ordinary length has of them.
const HASHED_ENTRY_BYTES: usize = 64;

impl Attributes {
    /// Whether equal digests of two directories prove that nothing in them differs. A tolerance in time cannot be
    /// hashed, so then every directory is listed.
    #[must_use]
    pub fn digests_decide(&self) -> bool {
        !matches!(self.window, Window::Within(_))
    }

    /// Whether the listing of a directory carries content digests.
    #[must_use]
    pub fn compares_content(&self) -> bool {
        self.compare == Compare::Content
    }

    fn compares_file_times(&self) -> bool {
        self.times || self.compare == Compare::Quick
    }

    /// Reasons for which the attributes that are carried differ.
    #[must_use]
    pub fn meta_differences(&self, kind: Kind, source: &Meta, destination: &Meta) -> Reasons {
        let mut reasons = Reasons::default();
        reasons.add(self.perms && kind != Kind::Symlink && source.mode != destination.mode, Reasons::MODE);
        reasons.add(self.owner && source.uid != destination.uid, Reasons::OWNER);
        reasons.add(self.group && source.gid != destination.gid, Reasons::GROUP);
        reasons.add(self.times && !self.window.equal(source.mtime, destination.mtime), Reasons::MTIME);
        reasons
    }

    /// Everything that makes the destination's entry differ from the source's of the same name.
    #[must_use]
    pub fn differences(&self, source: (&Listing, usize), destination: (&Listing, usize)) -> Reasons {
        let (Some(a), Some(b)) = (source.0.get(source.1), destination.0.get(destination.1)) else {
            return Reasons::MISSING;
        };
        if a.kind != b.kind {
            return Reasons::TYPE;
        }
        match a.kind {
            Kind::Directory | Kind::Special => Reasons::default(),
            Kind::Symlink => {
                let mut reasons = self.meta_differences(a.kind, &a.meta, &b.meta);
                reasons.add(source.0.target(a) != destination.0.target(b), Reasons::TARGET);
                reasons
            }
            Kind::File => {
                let mut reasons = self.meta_differences(a.kind, &a.meta, &b.meta);
                reasons.add(a.size != b.size, Reasons::SIZE);
                match self.compare {
                    Compare::Size => {}
                    Compare::Content => reasons.add(
                        a.size == b.size && source.0.content(source.1) != destination.0.content(destination.1),
                        Reasons::CONTENT,
                    ),
                    Compare::Quick => {
                        reasons.add(!self.window.equal(a.meta.mtime, b.meta.mtime), Reasons::MTIME);
                    }
                }
                reasons
            }
        }
    }

    /// Whether a file with these differences needs its content again, or its attributes only.
    #[must_use]
    pub fn needs_content(&self, reasons: Reasons) -> bool {
        let content = Reasons::MISSING.and(Reasons::SIZE).and(Reasons::TYPE).and(Reasons::CONTENT);
        reasons.any_of(content) || (self.compare == Compare::Quick && reasons.any_of(Reasons::MTIME))
    }

    fn put_hashed_meta(&self, out: &mut Vec<u8>, kind: Kind, meta: &Meta) {
        if self.perms && kind != Kind::Symlink {
            out.extend_from_slice(&meta.mode.to_le_bytes());
        }
        if self.owner {
            out.extend_from_slice(&meta.uid.to_le_bytes());
        }
        if self.group {
            out.extend_from_slice(&meta.gid.to_le_bytes());
        }
        if self.times || (kind == Kind::File && self.compares_file_times()) {
            out.extend_from_slice(&meta.mtime.seconds.to_le_bytes());
            if self.window == Window::Exact {
                out.extend_from_slice(&meta.mtime.nanos.to_le_bytes());
            }
        }
    }

    /// The digest of a directory's direct entries over exactly what this run compares.
    #[must_use]
    pub fn digest(&self, listing: &Listing) -> Digest {
        let mut hasher = blake3::Hasher::new();
        // Hashed in large pieces: the hash is fast on kilobytes, and slow on a few bytes at a time.
        let mut piece = Vec::with_capacity((listing.len() * HASHED_ENTRY_BYTES).min(HASHED_PIECE_BYTES));
        for (index, entry) in listing.entries().iter().enumerate() {
            let name = listing.name(entry);
            piece.extend_from_slice(&[entry.kind as u8, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
            piece.extend_from_slice(name);
            match entry.kind {
                Kind::Directory | Kind::Special => {}
                Kind::Symlink => {
                    piece.extend_from_slice(&entry.size.to_le_bytes());
                    piece.extend_from_slice(listing.target(entry));
                    self.put_hashed_meta(&mut piece, entry.kind, &entry.meta);
                }
                Kind::File => {
                    piece.extend_from_slice(&entry.size.to_le_bytes());
                    self.put_hashed_meta(&mut piece, entry.kind, &entry.meta);
                    if let Some(content) = listing.content(index) {
                        piece.extend_from_slice(content);
                    }
                }
            }
            if piece.len() >= HASHED_PIECE_BYTES {
                hasher.update(&piece);
                piece.clear();
            }
        }
        hasher.update(&piece);
        truncate(&hasher.finalize())
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let flags = [self.perms, self.times, self.owner, self.group, self.links];
        out.byte(flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u8::from(flag)));
        out.byte(match self.compare {
            Compare::Quick => 0,
            Compare::Content => 1,
            Compare::Size => 2,
        });
        match self.window {
            Window::Exact => out.byte(0),
            Window::Seconds => out.byte(1),
            Window::Within(nanos) => {
                out.byte(2);
                out.number(nanos);
            }
        }
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let flags = reader.byte("attributes")?;
        if flags >= 1 << 5 {
            return malformed("attributes");
        }
        Ok(Self {
            perms: flags & 1 != 0,
            times: flags & 2 != 0,
            owner: flags & 4 != 0,
            group: flags & 8 != 0,
            links: flags & 16 != 0,
            compare: match reader.byte("compare")? {
                0 => Compare::Quick,
                1 => Compare::Content,
                2 => Compare::Size,
                _ => return malformed("compare"),
            },
            window: match reader.byte("window")? {
                0 => Window::Exact,
                1 => Window::Seconds,
                2 => Window::Within(reader.number("window")?),
                _ => return malformed("window"),
            },
        })
    }
}

/// The first 128 bits of BLAKE3: enough for a decision that only its own sender could want to falsify.
pub type Digest = [u8; 16];

fn truncate(hash: &blake3::Hash) -> Digest {
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash.as_bytes()[..16]);
    digest
}

/// The digest of a whole tree: the same on both ends exactly when no directory differs. Fed in walk order.
#[derive(Default)]
pub struct TreeHasher {
    hasher: blake3::Hasher,
    directories: u64,
}

impl TreeHasher {
    /// Adds a directory.
    pub fn add(&mut self, attributes: &Attributes, path: &crate::RelPath, meta: &Meta, digest: &Digest) {
        self.directories += 1;
        let mut piece = Vec::with_capacity(path.as_bytes().len() + HASHED_ENTRY_BYTES);
        piece.extend_from_slice(&(path.as_bytes().len() as u64).to_le_bytes());
        piece.extend_from_slice(path.as_bytes());
        attributes.put_hashed_meta(&mut piece, Kind::Directory, meta);
        piece.extend_from_slice(digest);
        self.hasher.update(&piece);
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(&self) -> Digest {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.directories.to_le_bytes());
        truncate(&hasher.finalize())
    }
}

/// Whether the destination's file is newer than the source's, for runs that leave newer files alone.
#[must_use]
pub(crate) fn is_newer(attributes: &Attributes, source: &Entry, destination: &Entry) -> bool {
    source.kind == Kind::File
        && destination.kind == Kind::File
        && destination.meta.mtime > source.meta.mtime
        && !attributes.window.equal(source.meta.mtime, destination.meta.mtime)
}
