//! Which entries of a storage belong to a run: the matcher, and the files of rules that it asks for, read where they
//! are.

use std::fmt::Debug;

use sparsync_proto::limits::FILTER_BYTES_IN_FORCE_MAX;
use sparsync_proto::{
    At, End, Everything, Explanation, InForce, Issue, IssueKind, Kind, Matcher, Name, RelPath, RuleFile, RuleFileError,
    RuleFiles, Symlinks, TreeTop, resolved,
};

use super::{Access, CallError, Directory, Errno, File, Result, Storage};

/// Reads files of rules by their paths in the file system, or below a server's root.
pub(crate) trait RulePlaces: Debug + Send + Sync {
    /// The content of a regular file, without a slash before its path; none if it is missing or may not be read. `tree`
    /// is the number of the tree that asks for it.
    fn read(&self, tree: usize, path: &[u8], symlinks: Symlinks) -> Result<Option<Vec<u8>>>;

    /// Whether a symlink of this owner may lead to a file of rules.
    fn trusts(&self, uid: u32) -> bool;

    /// Whether something stands at a path that may be looked at.
    fn exists(&self, tree: usize, path: &[u8]) -> bool;

    /// Whether a path is hidden, so that no file of rules is read there.
    fn hides(&self, path: &[u8]) -> bool;
}

/// No file is read.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl RulePlaces for Nowhere {
    fn read(&self, _: usize, _: &[u8], _: Symlinks) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn trusts(&self, _: u32) -> bool {
        false
    }

    fn exists(&self, _: usize, _: &[u8]) -> bool {
        false
    }

    fn hides(&self, _: &[u8]) -> bool {
        false
    }
}

/// Takes which rule decides about an entry, of this kind.
pub(crate) trait Decisions: Debug + Send + Sync {
    /// Takes one.
    fn tell(&self, decision: Explanation, kind: Kind);
}

/// Says which entries belong to a run at one of its ends.
#[derive(Debug)]
pub(crate) struct Judge {
    /// The matcher that decides.
    pub(crate) matcher: Box<dyn Matcher>,
    /// The rules that are in force above the tops of this end's trees.
    above: InForce,
    /// Where the trees are.
    tops: Vec<TreeTop>,
    places: Box<dyn RulePlaces>,
    /// The receiver's rules, in a run that leaves out directories which hold nothing but directories.
    prunes: Option<Box<dyn Matcher>>,
    /// Who is told which rules decide at this end, in a run that tells it.
    decisions: Option<(End, Box<dyn Decisions>)>,
    /// Issues of rules above the tops that could not be read.
    pub(crate) issues: Vec<Issue>,
}

impl Judge {
    /// A judge whose rules are all in the matcher.
    pub(crate) fn new(matcher: Box<dyn Matcher>) -> Self {
        let (above, tops, places) = (InForce::default(), Vec::new(), Box::new(Nowhere));
        Self { matcher, above, tops, places, prunes: None, decisions: None, issues: Vec::new() }
    }

    /// A judge that takes everything.
    pub(crate) fn everything() -> Self {
        Self::new(Box::new(Everything))
    }

    /// A judge of trees at `tops`, which reads files of rules in them, and others in `places`.
    pub(crate) fn of_trees(
        matcher: Box<dyn Matcher>,
        tops: Vec<TreeTop>,
        places: Box<dyn RulePlaces>,
    ) -> std::result::Result<Self, RuleFileError> {
        let mut issues = Vec::new();
        let above = matcher.above(tops.clone(), &mut Outside { places: &*places, issues: &mut issues })?;
        Ok(Self { matcher, above, tops, places, prunes: None, decisions: None, issues })
    }

    /// The same, but directories that hold nothing but directories are left out, except those that a rule of `protects`
    /// protects from deletion.
    pub(crate) fn pruning(self, protects: Option<Box<dyn Matcher>>) -> Self {
        Self { prunes: protects, ..self }
    }

    /// The same, as the judge of `end`, which tells what its rules decide.
    pub(crate) fn telling(self, end: End, decisions: Option<Box<dyn Decisions>>) -> Self {
        Self { decisions: decisions.map(|decisions| (end, decisions)), ..self }
    }

    /// Tells which rule decides about an entry that a walk meets, if one does.
    pub(crate) fn tell(&self, at: &At<'_>, (name, kind): (&[u8], Kind)) {
        let Some((end, decisions)) = &self.decisions else { return };
        let Some(rule) = self.matcher.decider(at, name, kind, *end) else { return };
        let Ok(valid) = Name::new(name) else { return };
        let (path, included) = (at.path().join(valid), rule.include);
        let mut told = Explanation { end: *end, path, is_there: true, included, ..Explanation::default() };
        told.set_rule(&rule, true);
        decisions.tell(told, kind);
    }

    /// Whether directories are left out that hold nothing but directories.
    pub(crate) fn prunes(&self) -> bool {
        self.prunes.is_some()
    }

    /// Whether the directory `name` of the one at `path` is carried whatever it holds. Rules that stand in files do not
    /// count.
    pub(crate) fn keeps_empty(&self, path: &RelPath, name: &[u8]) -> bool {
        let at = At::new(path, &self.above);
        self.prunes.as_ref().is_none_or(|protects| !protects.deletes(&at, name, Kind::Directory, false))
    }

    /// The rules that are in force above the tops.
    pub(crate) fn above(&self) -> &InForce {
        &self.above
    }

    /// The rules that are in force in the directory at `path`, where `above` are those of the directory that holds it.
    pub(crate) fn enter(
        &self,
        directory: &impl Directory,
        path: &RelPath,
        above: &InForce,
        issues: &mut Vec<Issue>,
    ) -> std::result::Result<InForce, RuleFileError> {
        if !self.matcher.ends_differ() {
            return Ok(InForce::default());
        }
        let outside = Outside { places: &*self.places, issues };
        self.matcher.enter(path, above, &mut Held { directory, path, tops: &self.tops, outside })
    }

    /// The rules that are in force in the directory at `path`.
    pub(crate) fn in_force_in(
        &self,
        root: &impl Storage,
        path: &RelPath,
    ) -> std::result::Result<InForce, RuleFileError> {
        let (mut at, mut in_force) = (RelPath::root(), self.above.clone());
        if !self.matcher.ends_differ() {
            return Ok(in_force);
        }
        let mut names = path.components();
        loop {
            if let Ok(directory) = root.open(&at, Access::Reach) {
                in_force = self.enter(&directory, &at, &in_force, &mut Vec::new())?;
            }
            let Some(name) = names.next() else { return Ok(in_force) };
            at = at.join(name);
        }
    }

    /// Which rule decides about the path at an end, or about a directory above it that does not belong to the run. The
    /// text of a rule that stands in a file is told only where `tells`.
    pub(crate) fn explain(
        &self,
        root: Option<&impl Storage>,
        path: &RelPath,
        (end, tells): (End, bool),
    ) -> std::result::Result<Explanation, RuleFileError> {
        let mut told = Explanation { end, path: path.clone(), included: true, ..Explanation::default() };
        let mut parent = RelPath::root();
        let mut in_force = self.above.clone();
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            let open = root.and_then(|root| root.open(&parent, Access::Reach).ok());
            let mut found = None;
            let mut tree = 0;
            if let Some(open) = &open {
                in_force = self.enter(open, &parent, &in_force, &mut Vec::new())?;
                found = open.status(name.as_bytes()).ok().map(|status| status.kind);
                tree = open.tree_of(name.as_bytes());
            }
            let at = At::new(&parent, &in_force);
            at.set_tree(tree);
            // A missing entry is judged as the kind that its path implies: a directory, if more names follow.
            let guess = if names.peek().is_some() { Kind::Directory } else { Kind::File };
            let kind = found.unwrap_or(guess);
            let here = parent.join(name);
            if self.matcher.hides(&at, name.as_bytes(), kind) {
                // A peer must not learn whether a hidden entry exists.
                return Ok(Explanation { path: here, included: false, is_there: false, decided: true, ..told });
            }
            let decider = self.matcher.decider(&at, name.as_bytes(), kind, end);
            told.is_there = found.is_some();
            told.included = decider.as_ref().is_none_or(|decider| decider.include);
            // A directory of the source that must not be deleted may be there all the same, and then its entries are
            // judged one by one.
            let ends_here = match end {
                End::Sender => !told.included,
                End::Receiver => !self.matcher.takes(&at, name.as_bytes(), kind),
            };
            if names.peek().is_none() || ends_here {
                if let Some(decider) = decider {
                    told.set_rule(&decider, tells);
                }
                told.path = here;
                return Ok(told);
            }
            parent = here;
        }
        Ok(told)
    }

    /// Whether the path, or a directory above it, is hidden by this end's operator.
    pub(crate) fn hides_path(&self, path: &RelPath, kind: Kind) -> bool {
        let hides = |parent: &RelPath, name: &[u8], kind| self.matcher.hides(&At::new(parent, &self.above), name, kind);
        self.matcher.has_hidden() && path.any_up(kind, hides)
    }

    /// Whether the directory at `path` may be deleted together with the ones above it: none of them has to stay.
    pub(crate) fn deletes_directory(&self, root: &impl Storage, path: &RelPath) -> bool {
        let mut parent = RelPath::root();
        let mut above = self.above.clone();
        for name in path.components() {
            let entered = root.open(&parent, Access::Reach).ok();
            let entered = entered.and_then(|open| self.enter(&open, &parent, &above, &mut Vec::new()).ok());
            // A directory that cannot be entered adds no rules.
            above = entered.unwrap_or(above);
            if !self.matcher.deletes(&At::new(&parent, &above), name.as_bytes(), Kind::Directory, false) {
                return false;
            }
            parent = parent.join(name);
        }
        true
    }
}

/// Files of rules by their paths.
struct Outside<'a> {
    places: &'a dyn RulePlaces,
    issues: &'a mut Vec<Issue>,
}

impl Outside<'_> {
    fn unread(&mut self, path: &[u8], error: CallError) -> RuleFile {
        self.issues.push(Issue {
            kind: IssueKind::RulesUnread,
            path: path.to_vec(),
            message: format!("the file of filter rules is ignored: {error}"),
            old_kept: true,
        });
        RuleFile::Unread
    }

    fn read(&mut self, tree: usize, (path, symlinks): (&[u8], Symlinks), told: &[u8]) -> RuleFile {
        match self.places.read(tree, path, symlinks) {
            Ok(Some(content)) => RuleFile::Content(content),
            Ok(None) => RuleFile::Missing,
            Err(error) => self.unread(told, error),
        }
    }
}

impl RuleFiles for Outside<'_> {
    fn own(&mut self, _: usize, _: &[u8], _: Symlinks) -> RuleFile {
        RuleFile::Missing
    }

    fn by_path(&mut self, tree: usize, path: &[u8], symlinks: Symlinks) -> RuleFile {
        self.read(tree, (path, symlinks), path)
    }

    fn own_exists(&mut self, _: usize, _: &[u8]) -> bool {
        false
    }

    fn exists(&mut self, tree: usize, path: &[u8]) -> bool {
        self.places.exists(tree, path)
    }
}

/// Files of rules of a directory that is held.
struct Held<'a, D> {
    directory: &'a D,
    path: &'a RelPath,
    tops: &'a [TreeTop],
    outside: Outside<'a>,
}

impl<D: Directory> Held<'_, D> {
    fn is_hidden(&self, tree: usize, name: &[u8]) -> bool {
        let Some(top) = self.tops.get(tree) else { return false };
        let path = [&top.path, self.path.as_bytes(), name].into_iter().filter(|part| !part.is_empty());
        self.outside.places.hides(&path.collect::<Vec<_>>().join(&b'/'))
    }

    /// The target of the symlink `name`, as text.
    fn follow(&self, tree: usize, name: &[u8]) -> Result<Vec<u8>> {
        let (target, owner) = self.directory.read_own_link(tree, name)?;
        if !self.outside.places.trusts(owner) {
            return Err(Errno::LOOP.into());
        }
        let top = self.tops.get(tree).ok_or(Errno::INVAL)?;
        let here = [&top.path, &b"/"[..], self.path.as_bytes()].concat();
        resolved(&here, &target).ok_or(Errno::NOENT.into())
    }
}

impl<D: Directory> RuleFiles for Held<'_, D> {
    fn own(&mut self, tree: usize, name: &[u8], symlinks: Symlinks) -> RuleFile {
        if self.is_hidden(tree, name) {
            return RuleFile::Missing;
        }
        let read = self.directory.open_own_file(tree, name).and_then(|file| read_rules(&file));
        match read {
            Ok(Some(content)) => RuleFile::Content(content),
            Ok(None) | Err(CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::NXIO, .. }) => RuleFile::Missing,
            Err(CallError { errno: Errno::LOOP, .. }) if symlinks == Symlinks::Followed => {
                match self.follow(tree, name) {
                    Ok(path) => self.outside.read(tree, (&path, symlinks), &self.path.join_bytes(name)),
                    Err(error) => self.outside.unread(&self.path.join_bytes(name), error),
                }
            }
            Err(error) => self.outside.unread(&self.path.join_bytes(name), error),
        }
    }

    fn by_path(&mut self, tree: usize, path: &[u8], symlinks: Symlinks) -> RuleFile {
        self.outside.by_path(tree, path, symlinks)
    }

    fn own_exists(&mut self, tree: usize, name: &[u8]) -> bool {
        !self.is_hidden(tree, name) && self.directory.tree_of(name) == tree && self.directory.status(name).is_ok()
    }

    fn exists(&mut self, tree: usize, path: &[u8]) -> bool {
        self.outside.exists(tree, path)
    }
}

/// The content of a file of rules, up to one byte more than can be in force; none if it is no regular file.
pub(crate) fn read_rules(file: &impl File) -> Result<Option<Vec<u8>>> {
    let status = file.status()?;
    if status.kind != Kind::File {
        return Ok(None);
    }
    let most = FILTER_BYTES_IN_FORCE_MAX + 1;
    let mut content = Vec::with_capacity(usize::try_from(status.size).unwrap_or(most).clamp(1, most));
    loop {
        if content.len() == content.capacity() {
            content.reserve_exact(1024);
        }
        let offset = content.len();
        if offset >= most || file.read(&mut content, offset as u64)? == 0 {
            return Ok(Some(content));
        }
    }
}
