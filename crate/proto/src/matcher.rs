//! Which entries belong to a run.
//!
//! Each end of a run has a matcher and asks it about every name that its walk meets. What does not belong is not looked at:
//! it is not listed, sent, compared or deleted, and neither is anything below it. So digests cover what is left on
//! both sides, and a directory of the destination that holds something protected stays.

use std::fmt::Debug;
use std::sync::Arc;

use crate::entry::Kind;
use crate::filter::{At, Decider, End, Filter, IgnoreSyntax, Ignores, InForce, RuleFileError, RuleFiles, TreeTop};
use crate::names::Names;
use crate::path::RelPath;
use crate::request::Request;

/// Says which entries belong to a run, at one of its ends.
///
/// An answer depends on nothing but what it is asked about and the rules that are in force in that directory, so that
/// every walk over the same tree gets the same one.
pub trait Matcher: Debug + Send + Sync {
    /// Whether the entry `name` of a directory belongs to the run. Nothing is asked about what is below one that does not.
    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool;

    /// Whether the sender may send the entry, as far as an end knows that does not know the sender's files: what it does not
    /// send must not come from it.
    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool;

    /// Whether the receiver may delete the entry when the source does not have it; `in_deleted` when the directory is to be
    /// deleted itself.
    fn deletes(&self, at: &At<'_>, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        let _ = in_deleted;
        self.takes(at, name, kind)
    }

    /// The rule that says whether an end sends an entry, or deletes it.
    fn decider(&self, at: &At<'_>, name: &[u8], kind: Kind, end: End) -> Option<Decider> {
        let _ = (at, name, kind, end);
        None
    }

    /// Whether it takes everything below the directory at `path`, so that nobody need be asked there.
    fn takes_all_below(&self, path: &RelPath) -> bool;

    /// Whether both ends judge alike from the names that they see. Otherwise equal digests of what is left say nothing of
    /// what differs, and every directory is listed.
    fn digests_decide(&self) -> bool;

    /// Whether an end may leave out what the other one takes, because each has rules of its own.
    fn ends_differ(&self) -> bool {
        false
    }

    /// The rules that are in force above the tops of `trees`.
    ///
    /// # Errors
    /// A file of rules cannot be followed.
    fn above(&self, trees: Vec<TreeTop>, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        let _ = (trees, files);
        Ok(InForce::default())
    }

    /// The rules that are in force in the directory at `path`, where `above` are those of the directory that holds it.
    ///
    /// # Errors
    /// A file of rules cannot be followed.
    fn enter(&self, path: &RelPath, above: &InForce, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        let _ = (path, above, files);
        Ok(InForce::default())
    }

    /// Whether the directory at `path` may be reached by the sender's walk: it and all those above it are sent.
    fn may_send_directory(&self, path: &RelPath) -> bool {
        is_reached(path, |parent, name| self.may_be_sent(parent, name, Kind::Directory))
    }
}

/// Whether the directory at `path` and all those above it, but for the root, are ones that `takes` takes.
fn is_reached(path: &RelPath, takes: impl Fn(&RelPath, &[u8]) -> bool) -> bool {
    let mut at = path.clone();
    while let Some((parent, name)) = at.split_last() {
        if !takes(&parent, name.as_bytes()) {
            return false;
        }
        at = parent;
    }
    true
}

impl Request {
    /// What belongs to the run, as one of its ends sees it; `syntax` gives the language of git's files.
    #[must_use]
    pub fn matcher(&self, end: End, syntax: impl FnOnce() -> Arc<dyn IgnoreSyntax>) -> Box<dyn Matcher> {
        let ignores = self.gitignore.then(|| Ignores { syntax: syntax(), may_be_deleted: self.deletion.excluded });
        let filtered: Box<dyn Matcher> = if self.filter.is_empty() && ignores.is_none() {
            Box::new(Everything)
        } else {
            Box::new(Filter::with(&self.filter, end, ignores))
        };
        if self.top.is_empty() { filtered } else { Box::new(AtTop::new(&self.top, filtered)) }
    }
}

/// The matcher of a run that takes everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Matcher for Everything {
    fn takes(&self, _: &At<'_>, _: &[u8], _: Kind) -> bool {
        true
    }

    fn may_be_sent(&self, _: &RelPath, _: &[u8], _: Kind) -> bool {
        true
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        true
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

    fn is_seen(&self, path: &RelPath, name: &[u8]) -> bool {
        !path.is_root() || self.names.binary_search_by(|seen| seen.as_slice().cmp(name)).is_ok()
    }
}

impl Matcher for AtTop {
    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        self.is_seen(at.path(), name) && self.below.takes(at, name, kind)
    }

    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        self.is_seen(path, name) && self.below.may_be_sent(path, name, kind)
    }

    fn deletes(&self, at: &At<'_>, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        self.is_seen(at.path(), name) && self.below.deletes(at, name, kind, in_deleted)
    }

    fn decider(&self, at: &At<'_>, name: &[u8], kind: Kind, end: End) -> Option<Decider> {
        self.below.decider(at, name, kind, end)
    }

    fn takes_all_below(&self, path: &RelPath) -> bool {
        !path.is_root() && self.below.takes_all_below(path)
    }

    fn digests_decide(&self) -> bool {
        self.below.digests_decide()
    }

    fn ends_differ(&self) -> bool {
        self.below.ends_differ()
    }

    fn above(&self, trees: Vec<TreeTop>, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        self.below.above(trees, files)
    }

    fn enter(&self, path: &RelPath, above: &InForce, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        self.below.enter(path, above, files)
    }
}

#[cfg(test)]
mod tests {
    use super::{At, AtTop, Everything, Filter, InForce, Kind, Matcher, Names, RelPath};
    use crate::filter::{End, FilterRules, Rule};
    use crate::path::Name;

    #[test]
    fn what_is_excluded_is_left_out_with_all_that_is_below_it() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let rules = [b"x", b"a"].map(|name| Rule::new(false, name.to_vec()));
        let matcher = Filter::new(&FilterRules::new(&rules).unwrap(), End::Sender);
        let takes = |directory: &[u8], name: &[u8], kind: Kind| {
            matcher.takes(&At::new(&path(directory), &InForce::default()), name, kind)
        };
        assert!(!takes(b"", b"x", Kind::File));
        assert!(!takes(b"d/e", b"a", Kind::Directory));
        assert!(takes(b"d/e", b"ax", Kind::File));
        for (directory, is_taken) in [(&b""[..], true), (b"d/e", true), (b"d/x", false), (b"x/d", false), (b"xx", true)]
        {
            assert_eq!(matcher.may_send_directory(&path(directory)), is_taken, "{}", directory.escape_ascii());
        }
        let at_top = AtTop::new(
            &Names::new(vec![Name::new(b"d").unwrap(), Name::new(b"x").unwrap()]).unwrap(),
            Box::new(matcher),
        );
        for (directory, is_taken) in [(&b"d/e"[..], true), (b"e", false), (b"x", false), (b"d/x", false)] {
            assert_eq!(at_top.may_send_directory(&path(directory)), is_taken, "{}", directory.escape_ascii());
        }
        assert!(Everything.takes_all_below(&RelPath::root()) && Everything.may_send_directory(&path(b"x")));
    }
}
