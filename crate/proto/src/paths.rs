//! A set of paths.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::Value;
use crate::limits::PATHS_BYTES_MAX;
use crate::path::RelPath;

/// Paths, each once and in the order of the walk. They take as much memory as they take on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<u8>);

impl Paths {
    /// The set of `paths`, without its root; nothing when they are more than [`PATHS_BYTES_MAX`] allows.
    #[must_use]
    pub fn new(mut paths: Vec<RelPath>) -> Option<Self> {
        paths.retain(|path| !path.is_root());
        paths.sort_unstable();
        paths.dedup();
        let bytes = paths.iter().map(|path| path.as_bytes().len() + 1).sum::<usize>().saturating_sub(1);
        if bytes > PATHS_BYTES_MAX {
            return None;
        }
        let mut joined = Vec::with_capacity(bytes);
        for path in &paths {
            if !joined.is_empty() {
                joined.push(0);
            }
            joined.extend_from_slice(path.as_bytes());
        }
        Some(Self(joined))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == 0).filter(|path| !path.is_empty())
    }

    /// Whether `path` is one of them.
    #[must_use]
    pub fn contains(&self, path: &[u8]) -> bool {
        self.iter().any(|each| each == path)
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// The paths, joined by NUL.
impl Value for Paths {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(&self.0);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let length = reader.rest().len();
        if length > PATHS_BYTES_MAX {
            return malformed(what);
        }
        let joined = reader.take(length, what)?;
        let mut last = RelPath::root();
        for path in joined.split(|&byte| byte == 0) {
            let path = RelPath::new(path)?;
            if last >= path {
                return malformed(what);
            }
            last = path;
        }
        Ok(Self(joined.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::{PATHS_BYTES_MAX, Paths, Reader, RelPath, Value};

    fn paths(all: &[&[u8]]) -> Paths {
        Paths::new(all.iter().map(|path| RelPath::new(path).unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_set_is_read_as_it_was_written() {
        for all in [&[&b"b/c"[..], b"a", b"b/c", b"\xff"][..], &[b"one"]] {
            let mut out = Vec::new();
            paths(all).put(&mut out);
            assert_eq!(Paths::get(&mut Reader::new(&out), "paths"), Ok(paths(all)));
        }
        let set = paths(&[b"b", b"a-b", b"", b"a/b", b"b"]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [&b"a/b"[..], b"a-b", b"b"]);
        assert!(set.contains(b"a/b") && !set.contains(b"a") && paths(&[]).is_empty() && paths(&[b""]).is_empty());
    }

    #[test]
    fn what_is_no_set_of_paths_is_refused() {
        for bad in [&b""[..], b"a\0", b"\0a", b"a\0\0b", b"b\0a", b"a\0a", b"..", b"a/.", b"a-b\0a/b", b"/a"] {
            assert!(Paths::get(&mut Reader::new(bad), "paths").is_err(), "{}", bad.escape_ascii());
        }
        let many = (0..=PATHS_BYTES_MAX / 200).map(|at| RelPath::new(format!("{at:0200}").as_bytes()).unwrap());
        assert!(Paths::new(many.collect()).is_none());
    }
}
