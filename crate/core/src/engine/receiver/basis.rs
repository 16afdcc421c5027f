//! Directories with other states of the tree: what the destination lacks and one of them has need not travel.

use std::sync::Arc;

use sparsync_proto::{
    Action, Counter, Durability, Entry, IssueKind, Item, Kind, Listing, Meta, Phase, Reasons, RelPath, Step, Xattrs,
    plan, plan_from,
};

use super::Receiver;
use super::links::is_one;
use crate::engine::placement::{Placement, Unplaced};
use crate::engine::unset::Unset;
use crate::engine::writer::Writing;
use crate::error::Result;
use crate::storage::{
    self, Access, Content, Errno, Scan, WriteDirectory, WriteFile, WriteStorage, copy_content, look_at,
};

/// Whether the operator hides a path below a basis.
pub(crate) type HidesBasis = Box<dyn Fn(&RelPath, Kind) -> bool + Send + Sync>;

/// How an entry is made that a basis has as the source has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BasisUse {
    /// The entry is not made.
    Compare,
    /// It is copied.
    Copy,
    /// The entry is a file of its own that shares the blocks of the basis, or a copy where the file system cannot share
    /// them.
    Reflink,
    /// The entry becomes a hard link to that of the basis.
    Link,
}

/// A directory with another state of the tree.
pub(crate) struct Basis<S> {
    pub(crate) root: S,
    pub(crate) hides: Option<HidesBasis>,
}

impl<S> Basis<S> {
    /// Whether the operator hides the entry of this name in the directory at `path`.
    pub(super) fn is_hidden(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        let hides = |hides: &HidesBasis| RelPath::new(&path.join_bytes(name)).map_or(true, |path| hides(&path, kind));
        self.hides.as_ref().is_some_and(hides)
    }
}

/// The directories of one path in the bases that have it, in their order.
pub(super) struct BasisDirectories(Vec<(usize, Scan)>);

/// The best that the bases have for an entry.
#[derive(Clone, Copy, Debug)]
struct Best {
    /// The number of the basis.
    basis: usize,
    /// Its content is that of the source's entry.
    has_content: bool,
    /// How it differs from the source's entry.
    reasons: Reasons,
    /// How long it is.
    bytes: u64,
}

/// The use of a basis for an entry.
pub(super) enum FromBasis {
    /// The entry is settled; says whether the directory's own time changes by it.
    Settled(bool),
    /// The entry has to be made, and differs so from a basis; for a file, the number of that basis and its length
    /// there.
    Differs(Reasons, Option<(usize, u64)>),
    /// The entry has to be made, and no basis has it.
    Nothing,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Looks in the bases for the entries of a directory that would have to be made.
    pub(super) fn look_at_bases(
        &self,
        path: &RelPath,
        listing: &Listing,
        old: Option<&Scan>,
    ) -> Option<BasisDirectories> {
        if self.destination.aside.basis.is_empty() {
            return None;
        }
        let empty = Listing::new();
        let mut wanted = Vec::new();
        plan(&self.options.rules, listing, old.map_or(&empty, |old| &old.listing), |step| {
            if let Step::Make { source, .. } | Step::Link { source, .. } = step
                && let Some(entry) = listing.get(source).filter(|entry| entry.kind != Kind::Directory)
            {
                wanted.push(entry);
            }
        });
        let looked = self.destination.aside.basis.iter().enumerate().filter_map(|(index, basis)| {
            if basis.hides.as_ref().is_some_and(|hides| hides(path, Kind::Directory)) {
                return None;
            }
            let is_hidden = |entry: &Entry| basis.is_hidden(path, listing.name(entry), entry.kind);
            let names = wanted.iter().filter(|entry| !is_hidden(entry)).map(|entry| listing.name(entry));
            // A directory of a basis that cannot be read counts as missing.
            let scan = look_at(&basis.root, path, names, (self.options.attributes, &self.options.judge, None)).ok()?;
            Some((index, scan))
        });
        Some(BasisDirectories(looked.collect()))
    }

    /// How a new directory differs from the one of a basis that comes closest; nothing when none has it.
    pub(super) fn basis_of_directory(
        &self,
        bases: Option<&BasisDirectories>,
        (meta, xattrs): (&Meta, &Xattrs),
    ) -> Option<Reasons> {
        let attributes = &self.options.rules.attributes;
        let mut found = bases?.0.iter().map(|(_, scan)| {
            let others = attributes.xattr_differences(Some(xattrs), Some(&scan.xattrs));
            attributes.meta_differences(Kind::Directory, meta, &scan.meta).union(others)
        });
        let first = found.next()?;
        Some(if first.is_empty() { first } else { found.find(|reasons| reasons.is_empty()).unwrap_or(first) })
    }

    fn best(&self, bases: &BasisDirectories, (listing, index): (&Listing, usize)) -> Option<Best> {
        let entry = listing.get(index)?;
        let mut best: Option<Best> = None;
        for (basis, scan) in &bases.0 {
            let Some(at) = scan.listing.find(listing.name(entry)) else { continue };
            let bytes = scan.listing.get(at).map_or(0, |entry| entry.size);
            let found = match plan_from(&self.options.rules, (listing, index), (&scan.listing, at)) {
                None => return Some(Best { basis: *basis, has_content: true, reasons: Reasons::default(), bytes }),
                Some(Step::Adjust { reasons, .. }) => Best { basis: *basis, has_content: true, reasons, bytes },
                Some(Step::Make { reasons, .. }) if !reasons.intersects(Reasons::TYPE) => {
                    Best { basis: *basis, has_content: false, reasons, bytes }
                }
                Some(_) => continue,
            };
            if best.is_none_or(|best| found.has_content && !best.has_content) {
                best = Some(found);
            }
        }
        best
    }

    /// Whether an entry and its leader are one and the same in the basis that has the entry as it is to be.
    pub(super) fn is_linked_in_basis(
        &self,
        directories: &BasisDirectories,
        path: &RelPath,
        of: (&Listing, usize),
        leader: (&RelPath, &[u8]),
    ) -> bool {
        use crate::storage::Directory as _;
        let Some(best) = self.best(directories, of).filter(|best| best.has_content && best.reasons.is_empty()) else {
            return false;
        };
        let (Some(basis), Some(entry)) = (self.destination.aside.basis.get(best.basis), of.0.get(of.1)) else {
            return false;
        };
        if basis.is_hidden(leader.0, leader.1, entry.kind) {
            return false;
        }
        let status = |path, name| basis.root.open(path, Access::Reach).and_then(|directory| directory.status(name));
        let (Ok(one), Ok(other)) = (status(leader.0, leader.1), status(path, of.0.name(entry))) else { return false };
        self.options.writes.basis_use == Some(BasisUse::Link) && is_one(&one, &other)
    }

    /// Takes an entry that would have to be made, in place of `before` where there is one, from a basis.
    pub(super) fn take_from_basis(
        &mut self,
        bases: &BasisDirectories,
        path: &RelPath,
        (listing, index): (&Listing, usize),
        before: Option<&Entry>,
    ) -> Result<FromBasis> {
        let (Some(entry), Some(how)) = (listing.get(index), self.options.writes.basis_use) else {
            return Ok(FromBasis::Nothing);
        };
        let name = listing.name(entry);
        if self.failed.contains_entry(path, name) || before.is_some_and(|before| before.kind == Kind::Directory) {
            return Ok(FromBasis::Nothing);
        }
        let Some(best) = self.best(bases, (listing, index)) else { return Ok(FromBasis::Nothing) };
        let is_equal = best.reasons.is_empty();
        if !best.has_content {
            let older = (entry.kind == Kind::File).then_some((best.basis, best.bytes));
            return Ok(if before.is_none() { FromBasis::Differs(best.reasons, older) } else { FromBasis::Nothing });
        }
        if is_equal && how == BasisUse::Compare && before.is_none() {
            self.leave_alone(path, name);
            self.tell_kept(path, listing, (index, index + 1))?;
            return Ok(FromBasis::Settled(false));
        }
        let links = is_equal && how == BasisUse::Link;
        // As in rsync, an entry that is there and differs gets its content from the source, unless a basis costs less.
        if before.is_some() && !links && how != BasisUse::Reflink {
            return Ok(FromBasis::Nothing);
        }
        if !links && entry.kind != Kind::File {
            // An entry without content is made from its listing; the basis only says how it differs.
            return Ok(FromBasis::Differs(best.reasons, None));
        }
        let is_told = !is_equal || self.options.tells_copies();
        let copied = || Item {
            action: Action::Copy,
            reasons: best.reasons,
            ..self.item_of(listing, entry, path.join_bytes(name))
        };
        let item = if is_told { self.prepared(copied)? } else { None };
        let size = if entry.kind == Kind::File { entry.size } else { 0 };
        let room = if links { 0 } else { size };
        self.take_quota(room, before)?;
        if !self.options.dry_run && !self.place_from_basis(best.basis, path, (listing, index), before, links)? {
            self.give_quota_back(room, before);
            return Ok(FromBasis::Nothing);
        }
        if before.is_none() {
            self.guard.created();
            self.session.count(Counter::entries_to_create, 1);
        }
        self.note_made(path, name, before);
        self.session.count(Counter::bytes_reused, size);
        self.session.count(if links { Counter::bytes_linked } else { Counter::bytes_copied }, size);
        if links {
            self.session.count(Counter::hard_links_created, 1);
        }
        self.tell(item)?;
        self.changed |= !self.options.dry_run;
        Ok(FromBasis::Settled(true))
    }

    /// Links or copies an entry of a basis. Says whether that has worked. If not, the content is asked for.
    fn place_from_basis(
        &mut self,
        basis: usize,
        path: &RelPath,
        (listing, index): (&Listing, usize),
        before: Option<&Entry>,
        links: bool,
    ) -> Result<bool> {
        let (Some(writing), Some(entry)) = (self.writing, listing.get(index)) else { return Ok(false) };
        self.clock.enter(Phase::make);
        if !links && entry.kind == Kind::File {
            writing.take_space(entry.size)?;
        }
        let name = listing.name(entry);
        let from = self.destination.aside.basis.get(basis).map(|basis| basis.root.open(path, Access::Reach));
        let mut is_copied = false;
        let placed = match (from, self.parent_of(path)) {
            (Some(Ok(from)), Ok(to)) => {
                let ends = (&from, &to);
                let linked =
                    if links { link(writing, ends, (path, name), before.is_none()) } else { Err(Errno::XDEV.into()) };
                match linked {
                    Ok(()) => Ok(Unset::default()),
                    // A copy does as well where no link can be made.
                    Err(error) if error.errno == Errno::NOSPC || error.errno == Errno::DQUOT => Err(error),
                    Err(_) if entry.kind != Kind::File => return Ok(false),
                    Err(_) => copy(writing, ends, path, (listing, index), before).map(|(unset, content)| {
                        is_copied = content == Content::Copied;
                        unset
                    }),
                }
            }
            _ => return Ok(false),
        };
        self.clock.enter(Phase::compare);
        match placed {
            Ok(unset) => {
                self.failures.attributes(|| path.join_bytes(name), &unset)?;
                if is_copied && self.options.writes.basis_use == Some(BasisUse::Reflink) {
                    self.tell_not_shared()?;
                }
                Ok(true)
            }
            Err(error) => {
                crate::engine::failures::check(|| path.join_bytes(name), "cannot copy", error)?;
                Ok(false)
            }
        }
    }

    /// Tells once that content was copied which was to be shared.
    fn tell_not_shared(&mut self) -> Result<()> {
        const WHY: &str = "equal files are copied, not cloned: the file system has no reflinks, or the directory to compare \
                           with is on another one";
        if std::mem::replace(&mut self.told_not_shared, true) {
            return Ok(());
        }
        self.issue(IssueKind::Notice, Vec::new(), WHY)
    }

    /// Tells of directories for comparison that are not there.
    pub(super) fn tell_missing_bases(&self) -> Result<()> {
        for path in &self.destination.aside.missing_basis {
            let message = format!("the directory {} to compare with does not exist", path.escape_ascii());
            self.issue(IssueKind::Notice, Vec::new(), &message)?;
        }
        Ok(())
    }
}

/// Makes an entry a further name of one of a basis.
fn link<S: WriteStorage>(
    writing: &Writing<'_, S>,
    (from, to): (&S::Directory, &Arc<S::Directory>),
    (path, name): (&RelPath, &[u8]),
    is_free: bool,
) -> storage::Result<()> {
    if is_free {
        return writing.in_directory(path, to, |to| to.make_hard_link((from, name), name));
    }
    let unplaced = writing.in_directory(path, to, |to| {
        Unplaced::make(Placement::Rename, to, writing.names.next(), |temp_name| {
            to.make_hard_link((from, name), temp_name)
        })
    })?;
    writing.commit(unplaced, path, name).map(drop)
}

/// Makes a file of the content of one of a basis.
fn copy<S: WriteStorage>(
    writing: &Writing<'_, S>,
    (from, to): (&S::Directory, &Arc<S::Directory>),
    path: &RelPath,
    (listing, index): (&Listing, usize),
    before: Option<&Entry>,
) -> storage::Result<(Unset, Content)> {
    use crate::storage::Directory as _;
    let entry = listing.get(index).ok_or(Errno::INVAL)?;
    let name = listing.name(entry);
    let source = from.open_file(name)?;
    let old_mode = before.filter(|before| before.kind == Kind::File).map(|before| before.meta.mode);
    let target = writing.policy.content_target(&entry.meta, listing.xattrs(index), old_mode);
    let (unplaced, file) = writing.in_directory(path, to, |to| {
        Unplaced::file(Placement::Rename, (to, None), writing.names.next(), target.start_incomplete())
    })?;
    let written = writing.session.long_work(|| {
        let (bytes, content) = copy_content(&source, &file)?;
        if bytes == entry.size { Ok(content) } else { Err(Errno::STALE.into()) }
    });
    let complete = written.and_then(|content| {
        let target = if target.starts_wider() { target.with_bits(|| writing.root.umask()) } else { target };
        let target = target.with_atime(listing.atime(index));
        let unset = writing.policy.set(&target, &file.handle(), None);
        if writing.durability >= Durability::Run {
            file.sync()?;
        }
        file.close()?;
        Ok((unset, content))
    });
    match complete {
        Ok(done) => {
            writing.commit(unplaced, path, name)?;
            Ok(done)
        }
        Err(error) => {
            unplaced.discard();
            Err(error)
        }
    }
}
