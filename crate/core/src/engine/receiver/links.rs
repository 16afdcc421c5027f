//! Hard links: which entries of the source can lead them, and the links themselves, which are made when everything that
//! they lead to is in place.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use sparsync_proto::{
    Action, Counter, Durability, Entry, IssueKind, Item, Kind, Leader, Listing, Meta, Name, OfKind, Phase, Reasons,
    RelPath, Step, plan_alone,
};

use super::Receiver;
use super::basis::BasisDirectories;
use super::make::held;
use crate::engine::placement::{Committed, Delayed, Placement, Unplaced};
use crate::engine::unset::Unset;
use crate::engine::writer::Writing;
use crate::error::{Error, Result};
use crate::storage::{self, CallError, Directory, Errno, Scan, Status, WriteDirectory, WriteStorage};

/// The issue told of a follower whose leader did not arrive.
const LEADER_FAILED: &str = "the file that it is a hard link to did not arrive";

/// The issue told of a follower that stays a file of its own, because no file that exists already may get a further
/// name.
const OWN_FILE: &str =
    "it is not a hard link: the key may only add new names, and the file that it links to was there before";

/// An entry of the source, by a keyed hash that a peer cannot aim at.
type PathHash = u64;

/// The links of one run, and the state of their leaders.
#[derive(Default)]
pub(super) struct Links {
    key: RandomState,
    /// Entries that the source has told of, and that are no followers.
    sources: HashSet<PathHash>,
    /// Leaders that the run leaves alone although they differ.
    left_alone: HashSet<PathHash>,
    /// Leaders that a dry run would make.
    would_be_made: HashSet<PathHash>,
    /// Leaders that this run makes where no entry was before, noted only where that matters.
    new: HashSet<PathHash>,
    /// The entry that leads the further followers of a leader that was left alone.
    instead: HashMap<PathHash, (RelPath, Vec<u8>)>,
    waiting: Vec<Waiting>,
}

/// Links to be made in one directory.
struct Waiting {
    directory: RelPath,
    /// The directory's own attributes, if they must be set again after the link was made.
    meta: Option<Meta>,
    links: Followers,
}

/// The followers of a directory that are to be made, and how.
#[derive(Default)]
pub(super) struct Followers {
    listing: Listing,
    how: Vec<How>,
}

#[derive(Clone, Copy)]
struct How {
    before: Before,
    reasons: Reasons,
    /// The link is in a basis as well, and the leader is taken from there.
    of_basis: bool,
}

/// The entry that has the follower's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Directory,
    Other,
}

impl How {
    /// Whether the destination still has its old entry when the link is not made.
    fn keeps_old(self) -> bool {
        self.before != Before::Nothing
    }
}

impl Links {
    fn hash(&self, directory: &RelPath, name: &[u8]) -> PathHash {
        self.key.hash_one((directory.as_bytes(), name))
    }

    fn hash_kind(&self, directory: &RelPath, name: &[u8], kind: Kind) -> PathHash {
        self.key.hash_one((kind as u8, directory.as_bytes(), name))
    }

    /// Takes note of the entries of a directory that both ends have alike, or that the peer has listed.
    pub(super) fn know(&mut self, path: &RelPath, listing: &Listing) {
        for (index, entry) in listing.entries().iter().enumerate() {
            if entry.kind != Kind::Directory && listing.leader(index).is_none() {
                let hash = self.hash_kind(path, listing.name(entry), entry.kind);
                self.sources.insert(hash);
            }
        }
    }

    /// Notes the entries of a listing, and refuses followers whose leader is no entry of the source.
    pub(super) fn take(&mut self, path: &RelPath, listing: &Listing) -> Result<()> {
        self.know(path, listing);
        for (index, leader) in listing.followers() {
            let Some(entry) = listing.get(index) else { continue };
            if !self.sources.contains(&self.hash_kind(leader.directory, leader.name, entry.kind)) {
                return Err(Error::protocol("a hard link to what the source does not have")
                    .remote()
                    .at(&path.join_bytes(listing.name(entry))));
            }
        }
        Ok(())
    }

    fn is_usable(&self, directory: &RelPath, name: &[u8], only_new: bool) -> bool {
        let hash = self.hash(directory, name);
        !self.left_alone.contains(&hash) && (!only_new || self.new.contains(&hash))
    }

    /// The entry that a follower becomes a link to: its leader, or a stand-in for the leader; none while neither is
    /// there.
    fn leader_for(&self, leader: Leader<'_>, only_new: bool) -> Option<(RelPath, Vec<u8>)> {
        if self.is_usable(leader.directory, leader.name, only_new) {
            return Some((leader.directory.clone(), leader.name.to_vec()));
        }
        let (directory, name) = self.instead.get(&self.hash(leader.directory, leader.name))?;
        self.is_usable(directory, name, only_new).then(|| (directory.clone(), name.clone()))
    }
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Notes that an entry stays as it is although it differs, so that nothing may become a link to it.
    pub(super) fn leave_alone(&mut self, directory: &RelPath, name: &[u8]) {
        if let Some(links) = &mut self.links {
            let hash = links.hash(directory, name);
            links.left_alone.insert(hash);
        }
    }

    /// Whether entries that were there before get no further names: a key that may only add names must not touch them,
    /// and rsync does not look at entries that it is told to ignore.
    fn links_only_new(&self) -> bool {
        self.options.rules.append_only || self.options.rules.selection.ignore_existing
    }

    /// Notes that this run makes an entry, in place of `before` where there was one, as far as that matters later.
    pub(super) fn note_made(&mut self, directory: &RelPath, name: &[u8], before: Option<&Entry>) {
        let asks = before.is_none() && (self.links_only_new() || self.options.rules.selection.update);
        let Some(links) = self.links.as_mut().filter(|_| asks || self.options.dry_run) else { return };
        let hash = links.hash(directory, name);
        if asks {
            links.new.insert(hash);
        }
        if self.options.dry_run {
            links.would_be_made.insert(hash);
        }
    }

    /// Lets a follower wait for its leader. If no entry can lead it, it is treated like an entry without links, as in
    /// rsync, and leads the followers that come after it.
    pub(super) fn follow(
        &mut self,
        path: &RelPath,
        (listing, index): (&Listing, usize),
        (old, bases): (Option<(&Scan, usize)>, Option<&BasisDirectories>),
        reasons: Reasons,
        followers: &mut Followers,
    ) -> Result<Option<Step>> {
        let (Some(entry), Some(leader)) = (listing.get(index), listing.leader(index)) else { return Ok(None) };
        let (append_only, only_new) = (self.options.rules.append_only, self.links_only_new());
        let Some(links) = &mut self.links else { return Err(Error::internal("a hard link in a run without them")) };
        let name = listing.name(entry);
        let found = links.leader_for(leader, only_new);
        let is_its_own = found.as_ref().is_some_and(|(at, name)| at == leader.directory && name == leader.name);
        let Some((directory, leader_name)) = found else {
            if append_only {
                self.tell_own_file(path, name)?;
            }
            return self.lead(path, (listing, index), old);
        };
        // With `update` a newer file gives way to a link only if its leader was there before the run.
        if self.options.rules.selection.update && links.new.contains(&links.hash(&directory, &leader_name)) {
            let alone = plan_alone(&self.options.rules, (listing, index), old.map(|(old, at)| (&old.listing, at)));
            if matches!(alone, Some(Step::Skip { .. })) {
                return Ok(alone);
            }
        }
        if append_only && !is_its_own {
            self.tell_own_file(path, name)?;
        }
        if let Some(before) = self.before_link(path, name, old)? {
            let leader = (&directory, leader_name.as_slice());
            let of_basis = before == Before::Nothing
                && bases.is_some_and(|bases| self.is_linked_in_basis(bases, path, (listing, index), leader));
            if before == Before::Nothing && !of_basis {
                self.count_kind(OfKind::NEW, entry.kind);
            }
            let Ok(valid) = Name::new(name) else { return Err(Error::internal("a name that was checked")) };
            let is_told = followers.listing.push(valid, entry.kind, entry.size, entry.meta, listing.target(entry));
            debug_assert!(is_told, "part of a listing that fits");
            followers.how.push(How { before, reasons, of_basis });
            let index = followers.listing.len() - 1;
            followers.listing.add_follower(index, Leader { directory: &directory, name: &leader_name });
        }
        Ok(None)
    }

    fn tell_own_file(&self, path: &RelPath, name: &[u8]) -> Result<()> {
        self.failures.issue(IssueKind::Attributes, path.join_bytes(name), OWN_FILE.to_owned(), false)
    }

    /// Makes a follower the leader of those that come after it, since its own leader stays as it is.
    fn lead(
        &mut self,
        path: &RelPath,
        (listing, index): (&Listing, usize),
        old: Option<(&Scan, usize)>,
    ) -> Result<Option<Step>> {
        let (Some(entry), Some(leader)) = (listing.get(index), listing.leader(index)) else { return Ok(None) };
        if self.machine.grants_all() {
            // When everything is granted, content comes with the listings: that of a follower does not, and cannot be
            // asked for.
            let path = path.join_bytes(listing.name(entry));
            self.failures.issue(IssueKind::Write, path, LEADER_FAILED.to_owned(), old.is_some())?;
            return Ok(None);
        }
        let beside = old.map(|(old, at)| (&old.listing, at));
        let step = plan_alone(&self.options.rules, (listing, index), beside);
        if let Some(links) = &mut self.links
            && !matches!(step, Some(Step::Skip { .. }))
        {
            let hash = links.hash(leader.directory, leader.name);
            links.instead.insert(hash, (path.clone(), listing.name(entry).to_vec()));
        }
        Ok(step)
    }

    /// Counts a link that is to be made, and takes its room. Gives what the link replaces; none when it cannot be made.
    fn before_link(&mut self, path: &RelPath, name: &[u8], old: Option<(&Scan, usize)>) -> Result<Option<Before>> {
        let before = old.and_then(|(old, at)| old.listing.get(at));
        let full = path.join_bytes(name);
        if self.failed.contains_entry(path, name) {
            return Ok(None);
        }
        let before_is = match before.map(|before| before.kind) {
            None => Before::Nothing,
            Some(Kind::Directory) => Before::Directory,
            Some(_) => Before::Other,
        };
        if before_is == Before::Nothing {
            self.guard.created();
            self.session.count(Counter::entries_to_create, 1);
        }
        if before_is == Before::Directory
            && let Some(conflict) = self.why_it_stays(path, &full, old.map(|(old, _)| old))
        {
            self.issue(IssueKind::Conflict, full, conflict)?;
            return Ok(None);
        }
        self.take_quota(0, before)?;
        Ok(Some(before_is))
    }

    /// Keeps the followers of a directory until their leaders are in place.
    pub(super) fn keep_followers(&mut self, directory: &RelPath, meta: Option<Meta>, mut links: Followers) {
        if links.how.is_empty() {
            return;
        }
        links.listing.shrink();
        links.how.shrink_to_fit();
        if let Some(all) = &mut self.links {
            all.waiting.push(Waiting { directory: directory.clone(), meta, links });
        }
    }

    /// Makes the links that wait: all content is in place by now, or was told to be missing.
    pub(super) fn make_links(&mut self) -> Result<()> {
        let Some(links) = &mut self.links else { return Ok(()) };
        let waiting = std::mem::take(&mut links.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        self.clock.enter(Phase::make);
        let unplaced = self.writing.map(Writing::delayed_names).unwrap_or_default();
        for Waiting { directory, meta, links } in waiting {
            let mut changed = false;
            for ((index, leader), how) in links.listing.followers().zip(&links.how) {
                self.session.check()?;
                self.session.worked(1);
                let Some(entry) = links.listing.get(index) else { continue };
                changed |= self.link(&directory, (&links.listing, entry), leader, *how, &unplaced)?;
            }
            if changed && let Some(meta) = meta {
                self.settle_attrs(&directory, meta, false);
            }
        }
        Ok(())
    }

    /// Makes one link, unless it is there. Says whether something changed.
    fn link(
        &mut self,
        path: &RelPath,
        (listing, entry): (&Listing, &Entry),
        leader: Leader<'_>,
        how: How,
        unplaced: &HashMap<Vec<u8>, Vec<u8>>,
    ) -> Result<bool> {
        const DOING: &str = "cannot make the hard link";
        let name = listing.name(entry);
        let full = path.join_bytes(name);
        let leader_path = leader.path();
        if self.failures.has_failed(&leader_path) {
            self.failures.issue(IssueKind::Write, full, LEADER_FAILED.to_owned(), how.keeps_old())?;
            return Ok(false);
        }
        let will_be_made = |links: &Links| links.would_be_made.contains(&links.hash(leader.directory, leader.name));
        if self.options.dry_run && (how.before == Before::Nothing || self.links.as_ref().is_some_and(will_be_made)) {
            return self.tell_link(full, (listing, entry), leader, how).map(|()| true);
        }
        // A leader that takes the place of a directory gets its name with the deletions.
        let from_name = unplaced.get(&leader_path).map_or(leader.name, Vec::as_slice);
        let Ends { from, to, one, other } = match self.ends((leader.directory, from_name), (path, name)) {
            Ok(ends) => ends,
            Err(error) => return self.failures.write(full, DOING, error, how.keeps_old()).map(|()| false),
        };
        if one.kind != entry.kind {
            self.failures.issue(IssueKind::Write, full, LEADER_FAILED.to_owned(), how.keeps_old())?;
            return Ok(false);
        }
        if other.as_ref().is_some_and(|other| is_one(&one, other)) {
            return Ok(false);
        }
        let Some(writing) = self.writing.filter(|_| !self.options.dry_run) else {
            return self.tell_link(full, (listing, entry), leader, how).map(|()| true);
        };
        let is_free = other.is_none();
        let item = self.item_of_link(full.clone(), (listing, entry), leader, how)?;
        // The walk has made the directories of leaders usable.
        let made = writing
            .in_directory(path, &to, |to| place(writing, (&from, from_name), (path, to, name), is_free, how.before));
        let is_placed = match made {
            Ok(Committed::Placed) => {
                if self.options.durability == Durability::File {
                    // A storage that cannot flush a directory cannot promise that a name is on the device, so its error
                    // says nothing.
                    let _ = writing.in_directory(path, &to, |directory| directory.sync());
                }
                true
            }
            Ok(Committed::Waits(temp_name)) => {
                let (counter, unset) = (Counter::hard_links_created, Unset::default());
                let (directory, name) = (path.clone(), name.to_vec());
                writing.delay(Delayed { directory, temp_name, name, counter, unset, replaces_directory: true });
                // The link counts when it gets its name.
                false
            }
            Err(CallError { errno: Errno::ISDIR, .. }) => {
                const WHY: &str = "a directory appeared in its place during the run";
                self.issue(IssueKind::Conflict, full, WHY)?;
                return Ok(false);
            }
            Err(error) => return self.failures.write(full, DOING, error, how.keeps_old()).map(|()| false),
        };
        self.changed = true;
        if is_placed {
            self.session.count(Counter::hard_links_created, 1);
        }
        self.tell(item).map(|()| true)
    }

    /// Looks at both names of a link.
    fn ends(&mut self, from: (&RelPath, &[u8]), to: (&RelPath, &[u8])) -> storage::Result<Ends<S::Directory>> {
        let (from_name, name) = (from.1, to.1);
        let from = held(&mut self.leader_parent, self.destination.root.as_ref(), from.0)?;
        let to = self.parent_of(to.0)?;
        let (one, other) = (from.status(from_name)?, status_of(&*to, name)?);
        Ok(Ends { from, to, one, other })
    }

    fn tell_link(&self, path: Vec<u8>, of: (&Listing, &Entry), leader: Leader<'_>, how: How) -> Result<()> {
        self.session.count(Counter::hard_links_created, 1);
        let item = self.item_of_link(path, of, leader, how)?;
        self.tell(item)
    }

    fn item_of_link(
        &self,
        path: Vec<u8>,
        (listing, entry): (&Listing, &Entry),
        leader: Leader<'_>,
        how: How,
    ) -> Result<Option<Item>> {
        let (action, reasons) = match how {
            How { of_basis: true, .. } if !self.options.tells_copies() => return Ok(None),
            How { of_basis: true, .. } => (Action::Copy, Reasons::default()),
            How { before: Before::Nothing, reasons, .. } => (Action::Create, reasons.union(Reasons::HARD_LINK)),
            How { reasons, .. } => (Action::Update, reasons.union(Reasons::HARD_LINK)),
        };
        let leader = || RelPath::new(&leader.path()).ok().map(Box::new);
        self.prepared(|| Item { action, reasons, leader: leader(), ..self.item_of(listing, entry, path) })
    }
}

/// The directories that a link leads from and into, and the entries that are there.
struct Ends<D> {
    from: Arc<D>,
    to: Arc<D>,
    one: Status,
    other: Option<Status>,
}

/// The status of the entry with this name, if there is one.
fn status_of(directory: &impl Directory, name: &[u8]) -> storage::Result<Option<Status>> {
    match directory.status(name) {
        Ok(status) => Ok(Some(status)),
        Err(CallError { errno: Errno::NOENT, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether two names are of one inode.
pub(super) fn is_one(one: &Status, other: &Status) -> bool {
    (one.device, one.stamp.ino) == (other.device, other.stamp.ino)
}

/// Makes the entry `to` a further name of `from`. An entry that has the name `to` gives way at once, or with the
/// deletions.
fn place<S: WriteStorage>(
    writing: &Writing<'_, S>,
    (from, from_name): (&Arc<S::Directory>, &[u8]),
    (path, to, name): (&RelPath, &Arc<S::Directory>, &[u8]),
    is_free: bool,
    before: Before,
) -> storage::Result<Committed> {
    if is_free {
        match to.make_hard_link((&**from, from_name), name) {
            Ok(()) => return Ok(Committed::Placed),
            Err(CallError { errno: Errno::EXIST, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let placement = Placement::over(before == Before::Directory);
    let unplaced = Unplaced::make(placement, to, writing.names.next(), |temp_name| {
        to.make_hard_link((&**from, from_name), temp_name)
    })?;
    writing.commit(unplaced, path, name)
}
