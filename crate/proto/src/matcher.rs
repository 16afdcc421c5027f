//! Decides which entries belong to a run.
//!
//! Each end of a run has a matcher and asks it about every name that its walk meets. What does not belong is not looked
//! at: it is not listed, sent, compared or deleted, and neither is anything below it. So digests cover what is left on
//! both sides, and a directory of the destination that holds something protected stays.

use std::fmt::Debug;

use crate::entry::Kind;
use crate::filter::{At, Decider, End, Filter, Ignores, InForce, RuleFileError, RuleFiles, TreeTop};
use crate::path::RelPath;
use crate::request::Request;

/// Says which entries belong to a run, at one of its ends.
///
/// An answer must depend only on the entry and on the rules in force in its directory, so that every walk over the same
/// tree gets the same answers.
pub trait Matcher: Debug + Send + Sync {
    /// Whether the entry `name` of a directory belongs to the run. For an entry that does not, nothing below it is
    /// asked about.
    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool;

    /// Whether the sender may send the entry, as far as an end can tell without the sender's files of rules. An entry
    /// that may not be sent must not come from it.
    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool;

    /// The matcher that this one narrows. It gives the answers that this one does not give itself.
    fn narrowed(&self) -> Option<&dyn Matcher> {
        None
    }

    /// Whether the sender sends the extended attribute of this name.
    fn sends_xattr(&self, name: &[u8]) -> bool {
        self.narrowed().is_none_or(|narrowed| narrowed.sends_xattr(name))
    }

    /// Whether the receiver removes it when the source does not have it.
    fn removes_xattr(&self, name: &[u8]) -> bool {
        self.narrowed().is_none_or(|narrowed| narrowed.removes_xattr(name))
    }

    /// Whether it is looked at.
    fn takes_xattr(&self, name: &[u8]) -> bool {
        self.narrowed().is_none_or(|narrowed| narrowed.takes_xattr(name))
    }

    /// Whether the operator of this end hides the entry from the other end.
    fn hides(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        self.narrowed().is_some_and(|narrowed| narrowed.hides(at, name, kind))
    }

    /// Whether there may be such entries.
    fn has_hidden(&self) -> bool {
        self.narrowed().is_some_and(<dyn Matcher>::has_hidden)
    }

    /// Whether the receiver may delete the entry when the source does not have it; `in_deleted` when the directory is
    /// to be deleted itself.
    fn deletes(&self, at: &At<'_>, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        let _ = in_deleted;
        self.takes(at, name, kind)
    }

    /// Whether the path itself was asked for. If the source does not have it, it is missing there, which is no reason
    /// to delete it.
    fn is_asked_for(&self, path: &RelPath) -> bool {
        self.narrowed().is_some_and(|narrowed| narrowed.is_asked_for(path))
    }

    /// The rule that says whether an end sends an entry, or deletes it.
    fn decider(&self, at: &At<'_>, name: &[u8], kind: Kind, end: End) -> Option<Decider> {
        self.narrowed()?.decider(at, name, kind, end)
    }

    /// Whether the directory at `path`, which belongs to the run, is entered. A directory that is not is carried as if
    /// it were empty, and the destination's entries in it stay.
    fn lists(&self, path: &RelPath) -> bool {
        self.narrowed().is_none_or(|narrowed| narrowed.lists(path))
    }

    /// Whether the attributes of the directory at `path`, which belongs to the run, belong to it, too.
    fn has_attributes(&self, path: &RelPath) -> bool {
        self.narrowed().is_none_or(|narrowed| narrowed.has_attributes(path))
    }

    /// Whether everything below the directory at `path` belongs to the run, so that no entry there has to be asked
    /// about.
    fn takes_all_below(&self, path: &RelPath) -> bool;

    /// Whether both ends decide alike about the names that they see. Otherwise equal digests of the entries that are
    /// left do not prove that nothing differs, and every directory is listed.
    fn digests_decide(&self) -> bool {
        self.narrowed().is_none_or(<dyn Matcher>::digests_decide)
    }

    /// Whether an end may leave out entries that the other one takes, because each has rules of its own.
    fn ends_differ(&self) -> bool {
        self.narrowed().is_some_and(<dyn Matcher>::ends_differ)
    }

    /// Whether a name may be left out for the kind of its entry, so that an end can take what the other one leaves out.
    fn asks_kinds(&self) -> bool {
        self.narrowed().is_some_and(<dyn Matcher>::asks_kinds)
    }

    /// The rules that are in force above the tops of `trees`.
    ///
    /// # Errors
    /// A file of rules cannot be followed.
    fn above(&self, trees: Vec<TreeTop>, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        self.narrowed().map_or_else(|| Ok(InForce::default()), |narrowed| narrowed.above(trees, files))
    }

    /// The rules that are in force in the directory at `path`, where `above` are those of the directory that holds it.
    ///
    /// # Errors
    /// A file of rules cannot be followed.
    fn enter(&self, path: &RelPath, above: &InForce, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        self.narrowed().map_or_else(|| Ok(InForce::default()), |narrowed| narrowed.enter(path, above, files))
    }

    /// Whether the directory at `path` may be reached by the sender's walk: it and all those above it are sent.
    fn may_send_directory(&self, path: &RelPath) -> bool {
        !path.any_up(Kind::Directory, |parent, name, kind| !self.may_be_sent(parent, name, kind))
    }
}

impl Request {
    /// Whether sub-directories belong to the run, entered or not.
    #[must_use]
    pub fn carries_directories(&self) -> bool {
        self.recursive || self.dirs
    }

    /// Whether the sender removes the entries that have arrived.
    #[must_use]
    pub const fn removes_sources(&self) -> bool {
        self.remove_source_files && !self.dry_run
    }

    /// Whether only some paths belong to the run: those that are selected or listed.
    #[must_use]
    pub fn is_selective(&self) -> bool {
        self.has_list || !self.selected.is_empty() || !self.listed.is_empty()
    }

    /// Whether symlinks of the destination are taken for directories on the way to what is selected. A tree that is
    /// published is made beside the destination, and has none.
    #[must_use]
    pub fn keeps_links_on_the_way(&self) -> bool {
        let has_way = |path: &RelPath| path.split_last().is_some_and(|(above, _)| !above.is_root());
        !self.implied_dirs && !self.publish && self.selected.iter().any(|path| has_way(&path))
    }

    /// Whether an empty destination takes everything that the source has, so that all content can be granted.
    #[must_use]
    pub fn may_grant_all(&self) -> bool {
        let bases = [&self.compare_dest, &self.copy_dest, &self.link_dest, &self.reflink_dest];
        let has_basis = bases.iter().any(|list| !list.is_empty());
        // A series in which nothing is has no newest snapshot.
        !self.selection.leaves_new_out() && !has_basis
    }

    /// The matcher of the run, as one of its ends sees it.
    #[must_use]
    pub fn matcher(&self, end: End) -> Box<dyn Matcher> {
        let ignores = self.gitignore.then_some(Ignores { may_be_deleted: self.deletion.excluded });
        let filtered: Box<dyn Matcher> = if self.filter.is_empty() && ignores.is_none() {
            Box::new(Everything)
        } else {
            Box::new(Filter::new(&self.filter, end, ignores))
        };
        if self.is_selective() {
            Box::new(Selected::new(self, filtered))
        } else if self.dirs && !self.recursive {
            Box::new(TopOnly(filtered))
        } else {
            filtered
        }
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
}

/// The matcher of a run to which only some paths belong. Below these, another matcher decides.
///
/// Rules do not apply to the directories on the way, which are only carried for the entries below.
#[derive(Debug)]
pub struct Selected {
    /// In the order of the walk. In a recursive run none lies below another.
    paths: Vec<RelPath>,
    /// Directories whose direct entries belong to a run that is not recursive; in one that is, only the top matters.
    listed: Vec<RelPath>,
    recursive: bool,
    implied_dirs: bool,
    below: Box<dyn Matcher>,
}

/// How a path lies to those that are selected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is one of them, or below one.
    Selected,
    /// It leads to one.
    OnTheWay,
    /// Neither.
    Beside,
}

impl Selected {
    fn new(request: &Request, below: Box<dyn Matcher>) -> Self {
        let mut paths: Vec<RelPath> = Vec::new();
        for path in request.selected.iter() {
            let is_below_last = paths.last().is_some_and(|last| path.is_within(last));
            if !(request.recursive && is_below_last) {
                paths.push(path);
            }
        }
        let Request { recursive, implied_dirs, .. } = *request;
        Self { paths, listed: request.listed.iter().collect(), recursive, implied_dirs, below }
    }

    fn place(&self, path: &RelPath) -> Place {
        let next = self.paths.partition_point(|selected| selected <= path);
        let holds = |selected: &RelPath| selected == path || (self.recursive && path.is_within(selected));
        if next.checked_sub(1).and_then(|at| self.paths.get(at)).is_some_and(holds) {
            return Place::Selected;
        }
        if self.leads_on(path) { Place::OnTheWay } else { Place::Beside }
    }

    fn is_listed(&self, path: &RelPath) -> bool {
        !self.recursive && self.listed.binary_search(path).is_ok()
    }

    /// Whether the top is listed, which in a recursive run says that it is on the way to what is selected, as in `./a`.
    fn has_top(&self) -> bool {
        self.listed.first().is_some_and(RelPath::is_root)
    }

    /// Whether an entry belongs to the run. `below` decides about one that is not on the way to a selected path.
    fn has(&self, path: &RelPath, name: &[u8], below: impl Fn() -> bool, on_the_way: bool) -> bool {
        if (self.recursive && self.place(path) == Place::Selected) || self.is_listed(path) {
            return below();
        }
        let Ok(full) = RelPath::new(&path.join_bytes(name)) else { return false };
        match self.place(&full) {
            // A selected directory that rules leave out is still carried for the selected paths below it.
            Place::Selected => below() || (on_the_way && self.leads_on(&full)),
            Place::OnTheWay => on_the_way,
            Place::Beside => false,
        }
    }
}

impl Matcher for Selected {
    fn narrowed(&self) -> Option<&dyn Matcher> {
        Some(&*self.below)
    }

    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        self.has(at.path(), name, || self.below.takes(at, name, kind), true)
    }

    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        self.has(path, name, || self.below.may_be_sent(path, name, kind), true)
    }

    fn deletes(&self, at: &At<'_>, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        let by_rules = || self.below.deletes(at, name, kind, in_deleted);
        // What goes with a directory of the run is kept by rules alone. One that is only on the way does not take along
        // what is beside the way.
        if in_deleted && self.goes(at.path()) { by_rules() } else { self.has(at.path(), name, by_rules, false) }
    }

    fn is_asked_for(&self, path: &RelPath) -> bool {
        self.paths.binary_search(path).is_ok()
    }

    fn decider(&self, at: &At<'_>, name: &[u8], kind: Kind, end: End) -> Option<Decider> {
        // Rules are not asked about what leads to a selected path, nor about what lies beside all of them.
        self.has(at.path(), name, || true, false).then(|| self.below.decider(at, name, kind, end))?
    }

    fn lists(&self, path: &RelPath) -> bool {
        self.recursive || self.is_listed(path) || self.leads_on(path)
    }

    fn has_attributes(&self, path: &RelPath) -> bool {
        if self.place(path) == Place::Selected || path.split_last().is_some_and(|(above, _)| self.is_listed(&above)) {
            return true;
        }
        self.implied_dirs && (!path.is_root() || self.has_top())
    }

    fn takes_all_below(&self, path: &RelPath) -> bool {
        self.recursive && self.place(path) == Place::Selected && self.below.takes_all_below(path)
    }
}

impl Selected {
    /// Whether something that is selected lies below the directory at `path`.
    fn leads_on(&self, path: &RelPath) -> bool {
        let next = self.paths.partition_point(|selected| selected <= path);
        self.paths.get(next).is_some_and(|after| after.is_within(path))
    }

    /// Whether the directory at `path`, or one above it, belongs to the run by itself, so that all in it goes with it.
    fn goes(&self, path: &RelPath) -> bool {
        let mut at = path.clone();
        while let Some((above, _)) = at.split_last() {
            if self.place(&at) == Place::Selected || self.is_listed(&above) {
                return true;
            }
            at = above;
        }
        // The top of a run that is not recursive is there for its attributes.
        self.recursive && self.place(&at) == Place::Selected
    }
}

/// The matcher of a run that carries directories and does not enter them: only the top is listed.
#[derive(Debug)]
struct TopOnly(Box<dyn Matcher>);

impl Matcher for TopOnly {
    fn narrowed(&self) -> Option<&dyn Matcher> {
        Some(&*self.0)
    }

    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        at.path().is_root() && self.0.takes(at, name, kind)
    }

    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        path.is_root() && self.0.may_be_sent(path, name, kind)
    }

    fn deletes(&self, at: &At<'_>, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        // A directory that only the destination has is deleted with everything below it.
        self.0.deletes(at, name, kind, in_deleted)
    }

    fn lists(&self, path: &RelPath) -> bool {
        path.is_root()
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{At, Everything, Filter, InForce, Kind, Matcher, RelPath, Request, Selected};
    use crate::filter::{End, FilterRules, Rule};
    use crate::paths::Paths;

    #[test]
    fn what_is_excluded_is_left_out_with_all_that_is_below_it() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let rules = [b"x", b"a"].map(|name| Rule::new(false, name.to_vec()));
        let matcher = Filter::new(&FilterRules::new(&rules).unwrap(), End::Sender, None);
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
        let request = |selected: &[&[u8]], recursive| Request {
            selected: Paths::new(selected.iter().map(|bytes| path(bytes)).collect()).unwrap(),
            recursive,
            ..Request::default()
        };
        let at_top = Selected::new(&request(&[b"d", b"x"], true), Box::new(matcher));
        for (directory, is_taken) in [(&b"d/e"[..], true), (b"e", false), (b"x", false), (b"d/x", false)] {
            assert_eq!(at_top.may_send_directory(&path(directory)), is_taken, "{}", directory.escape_ascii());
        }
        assert!(Everything.takes_all_below(&RelPath::root()) && Everything.may_send_directory(&path(b"x")));
        for recursive in [false, true] {
            let of_nothing = Request { has_list: true, recursive, ..Request::default() };
            let nothing = of_nothing.matcher(End::Sender);
            let (top, in_force) = (RelPath::root(), InForce::default());
            let at = At::new(&top, &in_force);
            assert!(!nothing.takes(&at, b"x", Kind::File) && !nothing.deletes(&at, b"x", Kind::File, false));
            assert!(nothing.may_send_directory(&top) && !nothing.may_send_directory(&path(b"x")));
            assert!(!nothing.has_attributes(&top));
        }
    }

    #[test]
    fn the_top_has_attributes_where_it_is_on_the_way_or_selected() {
        let paths = |all: &[&[u8]]| Paths::new(all.iter().map(|path| RelPath::new(path).unwrap()).collect()).unwrap();
        let request = Request { selected: paths(&[b"a/b"]), implied_dirs: true, ..Request::default() };
        let has = |request: &Request| request.matcher(End::Receiver).has_attributes(&RelPath::root());
        let listed = Request { listed: paths(&[b""]), recursive: true, ..request.clone() };
        assert!(!has(&request) && has(&listed) && !has(&Request { implied_dirs: false, ..listed }));
        assert!(has(&Request { selected: paths(&[b"", b"a/b"]), dirs: true, ..request }));
    }

    #[test]
    fn what_is_selected_is_taken_with_what_is_below_it_and_what_leads_to_it() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let paths = |all: &[&[u8]]| Paths::new(all.iter().map(|bytes| path(bytes)).collect()).unwrap();
        let request = Request { selected: paths(&[b"a/b", b"a/b/c", b"d"]), implied_dirs: true, ..Request::default() };
        let selected = |request: &Request| Selected::new(request, Box::new(Everything));
        let recursive = selected(&Request { recursive: true, ..request.clone() });
        let flat = selected(&Request { listed: paths(&[b"d"]), dirs: true, ..request });
        // The directory, the name; whether a recursive run takes it, and one that is not.
        for (directory, name, in_recursive, in_flat) in [
            (&b""[..], &b"a"[..], true, true),
            (b"", b"b", false, false),
            (b"a", b"b", true, true),
            (b"a", b"x", false, false),
            (b"a/b", b"c", true, true),
            (b"a/b", b"x", true, false),
            (b"a/b/c", b"x", true, false),
            (b"d", b"x", true, true),
            (b"d/x", b"y", true, false),
            (b"", b"d-", false, false),
        ] {
            let takes = [&recursive, &flat]
                .map(|matcher| matcher.takes(&At::new(&path(directory), &InForce::default()), name, Kind::Directory));
            assert_eq!(takes, [in_recursive, in_flat], "{}/{}", directory.escape_ascii(), name.escape_ascii());
        }
        for (directory, in_recursive, in_flat) in [
            (&b""[..], true, true),
            (b"a", true, true),
            (b"a/b", true, true),
            (b"a/b/c", true, false),
            (b"d", true, true),
            (b"d/x", true, false),
        ] {
            let lists = [&recursive, &flat].map(|matcher| matcher.lists(&path(directory)));
            assert_eq!(lists, [in_recursive, in_flat], "{}", directory.escape_ascii());
        }
        let deletes = |directory: &[u8], name: &[u8]| {
            recursive.deletes(&At::new(&path(directory), &InForce::default()), name, Kind::Directory, false)
        };
        assert!(!deletes(b"", b"a"));
        assert!(deletes(b"a/b", b"x"));
        let goes_with_its_directory = |matcher: &Selected| {
            matcher.deletes(&At::new(&path(b"a/b/c"), &InForce::default()), b"x", Kind::File, true)
        };
        assert!(goes_with_its_directory(&recursive) && goes_with_its_directory(&flat));
        for matcher in [&recursive, &flat] {
            assert!(!matcher.deletes(&At::new(&path(b"a"), &InForce::default()), b"beside", Kind::File, true));
        }
        assert!(recursive.is_asked_for(&path(b"a/b")) && !recursive.is_asked_for(&path(b"a/b/x")));
        let own = [&b""[..], b"a", b"a/b", b"d", b"d/x"].map(|directory| flat.has_attributes(&path(directory)));
        assert_eq!(own, [false, true, true, true, true]);
    }
}
