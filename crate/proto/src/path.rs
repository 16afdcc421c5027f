//! Names and paths. A value of these types has been checked: there is no other way to make one.

use crate::codec::{Decoded, malformed};
use crate::entry::Kind;
use crate::limits::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};

/// Whether one of eight bytes is 0: only such a one borrows from its own top bit.
const fn has_zero(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    word.wrapping_sub(ONES) & !word & (ONES << 7) != 0
}

/// Whether a name has a byte that would end it. Walks ask this of each entry, and most names are shorter than what a
/// search by vector instructions is made for, so eight bytes are looked at together; the last eight may be seen twice.
fn has_slash_or_nul(name: &[u8]) -> bool {
    const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
    let is_bad = |bytes: &[u8; 8]| {
        let word = u64::from_ne_bytes(*bytes);
        has_zero(word) || has_zero(word ^ SLASHES)
    };
    let (words, _) = name.as_chunks();
    match name.last_chunk() {
        Some(last) => words.iter().any(is_bad) || is_bad(last),
        None => name.iter().any(|&byte| byte == b'/' || byte == 0),
    }
}

/// Whether bytes are a name.
fn name_is_valid(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != b"." && name != b".." && !has_slash_or_nul(name)
}

/// One component of a path: 1 to 255 bytes without `/` and NUL, and neither `.` nor `..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks `bytes`.
    pub fn new(bytes: &'a [u8]) -> Decoded<Self> {
        if name_is_valid(bytes) { Ok(Self(bytes)) } else { malformed("name") }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A path below a root: names joined by `/`; empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The root itself.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Checks every component of `bytes`.
    pub fn new(bytes: &[u8]) -> Decoded<Self> {
        if bytes.is_empty() {
            return Ok(Self::root());
        }
        if bytes.len() > PATH_BYTES_MAX {
            return malformed("path length");
        }
        let mut depth = 0;
        for component in bytes.split(|&byte| byte == b'/') {
            depth += 1;
            if !name_is_valid(component) || depth > DEPTH_MAX {
                return malformed("path");
            }
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The path of the entry `name` in this directory.
    #[must_use]
    pub fn join(&self, name: Name<'_>) -> Self {
        Self(self.join_bytes(name.as_bytes()))
    }

    /// The bytes of the path of an entry in this directory.
    #[must_use]
    pub fn join_bytes(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        if !self.0.is_empty() {
            path.extend_from_slice(&self.0);
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Whether this is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = Name<'_>> {
        self.0.split(|&byte| byte == b'/').filter(|component| !component.is_empty()).map(Name)
    }

    /// The directory that holds this entry, and its name there; none for the root.
    #[must_use]
    pub fn split_last(&self) -> Option<(Self, Name<'_>)> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (Self(self.0[..at].to_vec()), Name(&self.0[at + 1..])),
            None => (Self::root(), Name(&self.0)),
        })
    }

    /// The path of `below` below this one.
    #[must_use]
    pub fn join_path(&self, below: &Self) -> Self {
        if below.is_root() { self.clone() } else { Self(self.join_bytes(&below.0)) }
    }

    /// The rest of the path below `above`; none when the path is not below it.
    #[must_use]
    pub fn below(&self, above: &Self) -> Option<Self> {
        if above.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&above.0[..])?;
        if rest.is_empty() { Some(Self::root()) } else { rest.strip_prefix(b"/").map(|rest| Self(rest.to_vec())) }
    }

    /// Its last name as a path; none for the root.
    #[must_use]
    pub fn last_name(&self) -> Option<Self> {
        self.split_last().map(|(_, name)| Self::root().join(name))
    }

    /// The path itself and each directory above it, up to the root.
    pub fn up(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), |at| at.split_last().map(|(parent, _)| parent))
    }

    /// Whether `is` is true for the entry here, of this kind, or for a directory above it except the root. It is called
    /// with the directory that holds each, and its name.
    #[must_use]
    pub fn any_up(&self, mut kind: Kind, is: impl Fn(&Self, &[u8], Kind) -> bool) -> bool {
        let mut at = self.clone();
        while let Some((parent, name)) = at.split_last() {
            if is(&parent, name.as_bytes(), kind) {
                return true;
            }
            (at, kind) = (parent, Kind::Directory);
        }
        false
    }

    /// Whether this is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root() || (self.0.starts_with(&other.0) && matches!(self.0.get(other.0.len()), None | Some(b'/')))
    }

    /// How many leading bytes two paths share.
    #[must_use]
    pub fn shared_bytes(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).take_while(|(a, b)| a == b).count()
    }
}

/// The order of the walk, which is rsync's: a directory, then its sub-directories, each with all that is below it. It
/// is the order of the bytes with a `/` behind each path but the root's.
impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let shared = self.0.len().min(other.0.len());
        let next = |path: &Self| path.0.get(shared).copied().unwrap_or(b'/');
        // Of two paths that are equal so far, the shorter one is either a directory above the other, or its name ends
        // here.
        let behind = || next(self).cmp(&next(other)).then(self.0.len().cmp(&other.0.len()));
        let ends = || if shared == 0 { self.0.len().cmp(&other.0.len()) } else { behind() };
        self.0[..shared].cmp(&other.0[..shared]).then_with(ends)
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, RelPath};

    #[test]
    fn nothing_that_climbs_or_hides_is_a_path() {
        for bad in [&b".."[..], b"a/..", b"/a", b"a/", b"a//b", b".", b"a/./b", b"a\0b"] {
            assert!(RelPath::new(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert!(Name::new(b"a/b").is_err());
        assert!(Name::new(&[b'x'; 256]).is_err());
        assert!(RelPath::new(&b"d/".repeat(5000)[..9999]).is_err());
    }

    #[test]
    fn one_bad_byte_anywhere_makes_no_name() {
        for length in 1..=40 {
            for other in [1, 0x2e, 0x30, 0x7f, 0x80, 0xaf, 0xff] {
                let mut name = vec![other; length];
                assert_eq!(Name::new(&name).is_ok(), length > 2 || other != b'.', "{}", name.escape_ascii());
                for at in 0..length {
                    for bad in [0, b'/'] {
                        name[at] = bad;
                        assert!(Name::new(&name).is_err(), "{}", name.escape_ascii());
                        name[at] = other;
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_is_the_walk() {
        let mut paths: Vec<_> =
            [&b"a-b"[..], b"a/b", b"a", b"", b"a/b/c", b"a0"].iter().map(|path| RelPath::new(path).unwrap()).collect();
        paths.sort();
        let order: Vec<_> = paths.iter().map(RelPath::as_bytes).collect();
        assert_eq!(order, [&b""[..], b"a-b", b"a", b"a/b", b"a/b/c", b"a0"]);
    }

    #[test]
    fn within_is_by_component() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        assert!(path(b"a/b").is_within(&path(b"a")));
        assert!(!path(b"ab").is_within(&path(b"a")));
        assert!(path(b"a").is_within(&path(b"")));
    }
}
