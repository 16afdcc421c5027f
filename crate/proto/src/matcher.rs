//! Which entries belong to a run.
//!
//! Each end of a run has a matcher and asks it about every name that its walk meets. What does not belong is not looked at:
//! it is not listed, sent, compared or deleted, and neither is anything below it. So digests cover what is left on
//! both sides, and a directory of the destination that holds something protected stays.

use std::fmt::Debug;

use crate::entry::Kind;
use crate::names::Names;
use crate::path::RelPath;
use crate::request::Request;

/// Says which entries belong to a run, at one of its ends.
///
/// An answer depends on nothing but what it is asked about, so that every walk over the same tree gets the same one.
pub trait Matcher: Debug + Send + Sync {
    /// Whether the entry `name` of the directory at `path` belongs to the run. Nothing is asked about what is below one
    /// that does not.
    fn takes(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool;

    /// Whether it takes everything below the directory at `path`, so that nobody need be asked there.
    fn takes_all_below(&self, path: &RelPath) -> bool;

    /// Whether both ends judge alike from the names that they see. Otherwise equal digests of what is left say nothing of
    /// what differs, and every directory is listed.
    fn digests_decide(&self) -> bool;

    /// Whether the directory at `path` is reached by a walk: it and all those above it belong to the run.
    fn takes_directory(&self, path: &RelPath) -> bool {
        if self.takes_all_below(&RelPath::root()) {
            return true;
        }
        let mut at = path.clone();
        while let Some((parent, name)) = at.split_last() {
            if !self.takes(&parent, name.as_bytes(), Kind::Directory) {
                return false;
            }
            at = parent;
        }
        true
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

/// The matcher of a run that takes everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Matcher for Everything {
    fn takes(&self, _: &RelPath, _: &[u8], _: Kind) -> bool {
        true
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        true
    }

    fn digests_decide(&self) -> bool {
        true
    }
}

/// The matcher of a run that leaves out some names, wherever and whatever they are.
#[derive(Clone, Debug, Default)]
pub struct ExceptNames(Vec<Vec<u8>>);

impl ExceptNames {
    /// Leaves out `names`.
    #[must_use]
    pub fn new(names: &Names) -> Self {
        Self(names.iter().map(<[u8]>::to_vec).collect())
    }
}

impl Matcher for ExceptNames {
    fn takes(&self, _: &RelPath, name: &[u8], _: Kind) -> bool {
        self.0.binary_search_by(|excluded| excluded.as_slice().cmp(name)).is_err()
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        self.0.is_empty()
    }

    fn digests_decide(&self) -> bool {
        true
    }
}

/// The matcher of a run to which only some entries of the tree's top belong, and what another one takes below them.
#[derive(Debug)]
pub struct AtTop {
    names: Vec<Vec<u8>>,
    below: Box<dyn Matcher>,
}

impl AtTop {
    /// Takes `names` of the top, and of them what `below` takes.
    #[must_use]
    pub fn new(names: &Names, below: Box<dyn Matcher>) -> Self {
        Self { names: names.iter().map(<[u8]>::to_vec).collect(), below }
    }
}

impl Matcher for AtTop {
    fn takes(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        let is_seen = !path.is_root() || self.names.binary_search_by(|seen| seen.as_slice().cmp(name)).is_ok();
        is_seen && self.below.takes(path, name, kind)
    }

    fn takes_all_below(&self, path: &RelPath) -> bool {
        !path.is_root() && self.below.takes_all_below(path)
    }

    fn digests_decide(&self) -> bool {
        self.below.digests_decide()
    }
}

#[cfg(test)]
mod tests {
    use super::{AtTop, Everything, ExceptNames, Kind, Matcher, Names, RelPath};
    use crate::path::Name;

    #[test]
    fn a_name_is_left_out_at_any_depth_with_all_that_is_below_it() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let matcher = ExceptNames::new(&Names::new(vec![Name::new(b"x").unwrap(), Name::new(b"a").unwrap()]).unwrap());
        assert!(!matcher.takes(&RelPath::root(), b"x", Kind::File));
        assert!(!matcher.takes(&path(b"d/e"), b"a", Kind::Directory));
        assert!(matcher.takes(&path(b"d/e"), b"ax", Kind::File));
        for (directory, is_taken) in [(&b""[..], true), (b"d/e", true), (b"d/x", false), (b"x/d", false), (b"xx", true)]
        {
            assert_eq!(matcher.takes_directory(&path(directory)), is_taken, "{}", directory.escape_ascii());
        }
        let at_top = AtTop::new(
            &Names::new(vec![Name::new(b"d").unwrap(), Name::new(b"x").unwrap()]).unwrap(),
            Box::new(matcher),
        );
        for (directory, is_taken) in [(&b"d/e"[..], true), (b"e", false), (b"x", false), (b"d/x", false)] {
            assert_eq!(at_top.takes_directory(&path(directory)), is_taken, "{}", directory.escape_ascii());
        }
        assert!(Everything.takes_all_below(&RelPath::root()) && Everything.takes_directory(&path(b"x")));
    }
}
