//! A set of names.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::Value;
use crate::limits::NAMES_BYTES_MAX;
use crate::path::Name;

/// Names, each once and in ascending order. They take as much memory as they take on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<u8>);

impl Names {
    /// The set of `names`; nothing when they are more than [`NAMES_BYTES_MAX`] allows.
    #[must_use]
    pub fn new(mut names: Vec<Name<'_>>) -> Option<Self> {
        names.sort_unstable();
        names.dedup();
        let joined = names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>().join(&b'/');
        (joined.len() <= NAMES_BYTES_MAX).then_some(Self(joined))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// Whether `name` is one of them.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.iter().any(|each| each == name)
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// The names, joined by `/`.
impl Value for Names {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(&self.0);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let length = reader.rest().len();
        if length > NAMES_BYTES_MAX {
            return malformed(what);
        }
        let joined = reader.take(length, what)?;
        let mut last: Option<Name<'_>> = None;
        for name in joined.split(|&byte| byte == b'/') {
            let name = Name::new(name)?;
            if last.is_some_and(|last| last >= name) {
                return malformed(what);
            }
            last = Some(name);
        }
        Ok(Self(joined.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES_BYTES_MAX, Name, Names, Reader, Value};

    fn names(all: &[&[u8]]) -> Names {
        Names::new(all.iter().map(|name| Name::new(name).unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_set_is_read_as_it_was_written() {
        for all in [&[&b"b"[..], b"a", b"b", b"\xff"][..], &[b"one"]] {
            let mut out = Vec::new();
            names(all).put(&mut out);
            assert_eq!(Names::get(&mut Reader::new(&out), "names"), Ok(names(all)));
        }
        let set = names(&[b"b", b"a", b"b"]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(set.contains(b"a") && !set.contains(b"ab") && names(&[]).is_empty());
    }

    #[test]
    fn what_is_no_set_of_names_is_refused() {
        for bad in [&b""[..], b"a/", b"/a", b"a//b", b"b/a", b"a/a", b"..", b"a/.", b"a\0"] {
            assert!(Names::get(&mut Reader::new(bad), "names").is_err(), "{}", bad.escape_ascii());
        }
        let long = [b'x'; 200];
        let many: Vec<_> =
            (0..=NAMES_BYTES_MAX / 200).map(|at| [&long[..], at.to_string().as_bytes()].concat()).collect();
        assert!(Names::new(many.iter().map(|name| Name::new(name).unwrap()).collect()).is_none());
    }
}
