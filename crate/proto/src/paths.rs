//! A set of paths.

use crate::closed::closed_set;
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::Value;
use crate::limits::{PATHS_BYTES_MAX, REQUEST_PATHS_BYTES_MAX};
use crate::path::RelPath;

closed_set! {
    /// The sets of a request that may travel before it.
    PathSet {
        /// What belongs to the run.
        Selected = 0, "selected";
        /// Directories whose direct entries do.
        Listed = 1, "listed";
        /// Stamps of a plan, as names of hexadecimal digits.
        Planned = 2, "planned";
    }
}

/// Paths, each once and in the order of the walk. They take no more memory than on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<u8>);

impl Paths {
    /// The set of `paths`; none when they take more than [`REQUEST_PATHS_BYTES_MAX`], or one of them fills a frame.
    #[must_use]
    pub fn new(mut paths: Vec<RelPath>) -> Option<Self> {
        paths.sort_unstable();
        paths.dedup();
        let lengths = paths.iter().map(|path| path.as_bytes().len() + 1);
        let bytes = lengths.clone().sum();
        if bytes > REQUEST_PATHS_BYTES_MAX || lengths.max().is_some_and(|length| length > PATHS_BYTES_MAX) {
            return None;
        }
        let mut out = Vec::with_capacity(bytes);
        for path in &paths {
            out.extend_from_slice(path.as_bytes());
            out.push(0);
        }
        Some(Self(out))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths.
    pub fn iter(&self) -> impl Iterator<Item = RelPath> {
        // They were checked when this value was made.
        self.0.split_inclusive(|&byte| byte == 0).filter_map(|path| RelPath::new(path.split_last()?.1).ok())
    }

    /// Bytes that they take on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The set in parts that fit a frame, in order.
    pub fn parts(&self) -> impl Iterator<Item = Self> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let most = rest.len().min(PATHS_BYTES_MAX);
            // A part ends with the last path that fits. One always fits, which was checked when this value was made.
            let end = rest[..most].iter().rposition(|&byte| byte == 0)? + 1;
            let (part, behind) = rest.split_at(end);
            rest = behind;
            Some(Self(part.to_vec()))
        })
    }

    /// Adds paths behind these. Gives false and adds nothing when they do not come behind these, or all together take
    /// more than [`REQUEST_PATHS_BYTES_MAX`].
    #[must_use]
    pub fn append(&mut self, more: &Self) -> bool {
        let last = self.0.strip_suffix(&[0]).map(|before| before.rsplit(|&byte| byte == 0).next().unwrap_or_default());
        let last = last.and_then(|last| RelPath::new(last).ok());
        let follows = last.zip(more.iter().next()).is_none_or(|(last, first)| last < first);
        if !follows || self.0.len() + more.0.len() > REQUEST_PATHS_BYTES_MAX {
            return false;
        }
        self.0.extend_from_slice(&more.0);
        true
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// The paths, each with a NUL at its end.
impl Value for Paths {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(&self.0);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let length = reader.rest().len();
        if length > PATHS_BYTES_MAX {
            return malformed(what);
        }
        let bytes = reader.take(length, what)?;
        let mut last: Option<RelPath> = None;
        for path in bytes.split_inclusive(|&byte| byte == 0) {
            let Some((0, path)) = path.split_last() else { return malformed(what) };
            let path = RelPath::new(path)?;
            if last.is_some_and(|last| last >= path) {
                return malformed(what);
            }
            last = Some(path);
        }
        Ok(Self(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::{PATHS_BYTES_MAX, Paths, REQUEST_PATHS_BYTES_MAX, Reader, RelPath, Value};

    fn paths(all: &[&[u8]]) -> Paths {
        Paths::new(all.iter().map(|path| RelPath::new(path).unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_set_is_read_as_it_was_written() {
        for all in [&[&b"b/c"[..], b"a", b"b/c", b"\xff"][..], &[b"one"], &[b""], &[]] {
            let mut out = Vec::new();
            paths(all).put(&mut out);
            assert_eq!(Paths::get(&mut Reader::new(&out), "paths"), Ok(paths(all)));
        }
        let set = paths(&[b"b", b"a-b", b"", b"a/b", b"b"]);
        let expected = [&b""[..], b"a-b", b"a/b", b"b"].map(|path| RelPath::new(path).unwrap());
        assert_eq!(set.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_set_of_paths_is_refused() {
        let all =
            [&b"a"[..], b"a\0b", b"a\0\0", b"b\0a\0", b"a\0a\0", b"..\0", b"a/.\0", b"a/b\0a-b\0", b"/a\0", b"a/\0"];
        for bad in all {
            assert!(Paths::get(&mut Reader::new(bad), "paths").is_err(), "{}", bad.escape_ascii());
        }
        let mut many = Vec::new();
        (0..=PATHS_BYTES_MAX / 200).for_each(|at| many.extend(format!("{at:0200}\0").into_bytes()));
        assert!(Paths::get(&mut Reader::new(&many), "paths").is_err());
    }

    #[test]
    fn a_large_set_goes_in_parts_that_fit_frames_and_comes_together_again() {
        let path = |at: usize| RelPath::new(format!("{at:0200}").as_bytes()).unwrap();
        let most = REQUEST_PATHS_BYTES_MAX / 201;
        assert!(Paths::new((0..=most).map(path).collect()).is_none());
        let set = Paths::new((0..most).map(path).collect()).unwrap();
        let parts: Vec<Paths> = set.parts().collect();
        assert!(parts.len() > 16 && parts.iter().all(|part| part.bytes() <= PATHS_BYTES_MAX && !part.is_empty()));
        let mut together = Paths::default();
        assert!(parts.iter().all(|part| together.append(part)));
        assert_eq!(together, set);
        assert!(!together.append(&parts[0]), "not behind the others");
        assert!(!together.append(&Paths::new((most..most + 5).map(path).collect()).unwrap()), "too many");
        assert_eq!(together, set);
        assert_eq!(Paths::default().parts().count(), 0);
        let mut top = paths(&[b""]);
        assert!(!top.append(&paths(&[b""])) && top.append(&paths(&[b"a"])));
    }
}
