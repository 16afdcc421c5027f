//! The reasons why an entry differs from the source.

use crate::codec::{Decoded, Reader, Write};
use crate::field::Value;

/// Why an entry is not what it should be: a set, one bit a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u64);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        impl Reasons {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Every reason with its bit and its word in events, in the order of the bits.
            pub const ALL: &'static [(Self, u8, &'static str)] = &[$((Self::$name, $bit, $word),)*];
        }
    };
}

reasons! {
    /// It is not there.
    MISSING = 0, "missing";
    /// Its size differs.
    SIZE = 1, "size";
    /// Its modification time differs.
    MTIME = 2, "mtime";
    /// Its permission bits differ.
    MODE = 3, "mode";
    /// Its owner differs.
    OWNER = 4, "owner";
    /// Its group differs.
    GROUP = 5, "group";
    /// It is something else: a file where a directory should be, say.
    TYPE = 6, "type";
    /// The symlink points elsewhere.
    TARGET = 7, "target";
    /// Its content differs.
    CONTENT = 8, "content";
    /// The source does not have it.
    EXTRA = 9, "extra";
    /// The destination's is newer.
    NEWER = 10, "newer";
    /// This run does not carry what it is.
    SPECIAL = 11, "special";
    /// It is a directory and the run is not recursive.
    DIRECTORY = 12, "directory";
    /// The scope of the key allows new names only.
    APPEND_ONLY = 13, "append-only";
    /// Its extended attributes differ.
    XATTRS = 14, "xattrs";
    /// The run does not compare its content and sends it again.
    UNCOMPARED = 15, "uncompared";
    /// It is no hard link to what it is one to at the source.
    HARD_LINK = 16, "hard-link";
    /// Its ACLs differ.
    ACLS = 17, "acls";
    /// It is another device, or one of FIFO and socket where the other should be.
    DEVICE = 18, "device";
    /// Its access time differs.
    ATIME = 19, "atime";
    /// A reason that only a newer peer has a name for.
    OTHER = 63, "other";
}

impl Reasons {
    /// The bits that have a name here.
    const KNOWN: u64 = {
        let (mut bits, mut at) = (0, 0);
        while at < Self::ALL.len() {
            bits |= Self::ALL[at].0.0;
            at += 1;
        }
        bits
    };

    /// Whether there is no reason.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether one of `other`'s reasons is among these.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The words of this set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(reason, ..)| self.intersects(*reason)).map(|(.., word)| *word)
    }

    /// Adds `reason` if `differs`.
    pub(crate) fn add(&mut self, differs: bool, reason: Self) {
        if differs {
            self.0 |= reason.0;
        }
    }
}

impl Value for Reasons {
    fn put(&self, out: &mut Vec<u8>) {
        out.number(self.0);
    }

    /// An entry with a reason never comes to be one without: what has no name here is [`Reasons::OTHER`].
    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let bits = reader.number(what)?;
        Ok(if bits & !Self::KNOWN == 0 { Self(bits) } else { Self(bits & Self::KNOWN).union(Self::OTHER) })
    }
}

#[cfg(test)]
mod tests {
    use super::Reasons;
    use crate::codec::{Reader, Write};
    use crate::field::Value;

    #[test]
    fn a_reason_of_a_newer_peer_is_still_a_reason() {
        let mut out = Vec::new();
        out.number(1 << 40 | 1 << 1);
        let read = Reasons::get(&mut Reader::new(&out), "reasons").unwrap();
        assert_eq!(read, Reasons::SIZE.union(Reasons::OTHER));
        assert_eq!(read.words().collect::<Vec<_>>(), ["size", "other"]);
    }
}
