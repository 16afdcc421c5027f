//! The receiver: compares what the source has with what is there, asks for what is missing, and puts the tree right.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use sparsync_proto::session::ProfileExchange;
use sparsync_proto::{
    Action, Attributes, Counter, Deletion, Digest, Directory, Durability, Entry, Frame, Grant, Issue, IssueKind, Item,
    Kind, Listing, Meta, Name, Phase, Reasons, RelPath, Resume, Rules, Step, TreeHasher, plan,
};

use super::account::tell_profile;
use super::attributes::{AttributePolicy, Target, Unset};
use super::budget::{Budget, ENTRIES_HELD_MAX};
use super::destination::{DestinationStream, DestinationWalk, Floor, Found, walk_destination};
use super::directories::{Directories, Incoming, Wanted};
use super::failed::FailedPaths;
use super::failures::FailurePolicy;
use super::guard::Guard;
use super::lanes::{ControlLane, ControlSender, Pack};
use super::quota::Quota;
use super::report::Report;
use super::session::{Session, caught, spawn};
use super::writer::{LaneWriter, PARTIAL_BYTES_MIN, Replacement, Writing};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{
    Access, Displaced, Handle, HeldDirectory, Hold, NewFile, PartialId, Removal, Root, Scan, ScanOptions, SessionId,
    TempName, TempNames, Widened, hash_prefix, is_unclaimed, make_directory, make_symlink, put_in_place, remove_temp,
    remove_tree,
};
use crate::profile::ThreadClock;

/// Where content goes.
pub(crate) struct Destination {
    /// The tree, or the directory of the single file; nothing when it is missing and the run is dry.
    pub(crate) root: Option<Root>,
    /// The single file's name.
    pub(crate) file_name: Option<Vec<u8>>,
    /// The tree's root was made by this run, or would be.
    pub(crate) created: bool,
}

/// How a receiver behaves.
pub(crate) struct ReceiverOptions {
    /// What the request compares: both sides hash the same.
    pub(crate) attributes: Attributes,
    /// What is compared and carried, as far as this side may.
    pub(crate) rules: Rules,
    /// What is deleted.
    pub(crate) deletion: Deletion,
    /// Nothing is written.
    pub(crate) dry_run: bool,
    /// Items are reported.
    pub(crate) itemize: bool,
    /// When writes are on disk.
    pub(crate) durability: Durability,
    /// Parts of large files are kept.
    pub(crate) keep_partial: bool,
    /// What the sender may send.
    pub(crate) grant: Grant,
    /// Where the account goes.
    pub(crate) report: Report,
    /// This session's number.
    pub(crate) session_id: SessionId,
    /// How the destination is held.
    pub(crate) hold: Hold,
    /// What the key may still put there.
    pub(crate) quota: Option<Quota>,
    /// Whose profile goes with the result.
    pub(crate) profile: ProfileExchange,
}

/// How a receiver's run ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What it refused to do at the end, everything else being done.
    pub(crate) refused: Option<Error>,
}

/// A kept part is worthless after a day: the source has moved on, or nobody cares.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Directories decided upon before the sender is told.
const SETTLE_EVERY: u32 = 256;

/// Runs a receiver until everything is in place, and tells the peer.
pub(crate) fn run_receiver(
    session: &Session,
    destination: &Destination,
    options: &ReceiverOptions,
    control: ControlLane,
    lanes: Vec<tokio::sync::mpsc::Receiver<Pack>>,
) -> Result<Outcome> {
    let directories = Directories::default();
    let names = TempNames::new(options.session_id);
    let floor = Floor::default();
    let budget = Budget::default();
    let (found_tx, found_rx) = mpsc::channel();
    let mut outcome = Ok(Outcome::default());
    let ControlLane { tx, mut rx } = control;
    let widened = destination.root.as_ref().map(Widened::new);
    let writing = destination.root.as_ref().zip(widened.as_ref()).map(|(root, widened)| Writing {
        session,
        root,
        widened,
        directories: &directories,
        failures: FailurePolicy { session, report: &options.report },
        names: &names,
        policy: AttributePolicy { rules: options.rules },
        durability: options.durability,
        keep_partial: options.keep_partial,
        quota: options.quota.as_ref(),
        replacements: Mutex::default(),
        unflushed: AtomicU64::new(0),
    });
    std::thread::scope(|scope| {
        if let Some(root) = &destination.root {
            let walk = DestinationWalk {
                root,
                single: destination.file_name.as_deref(),
                options: ScanOptions { attributes: options.attributes, stamps: false },
                recursive: options.rules.recursive,
            };
            let (floor, budget) = (&floor, &budget);
            spawn(scope, "sparsync-walk", move || {
                session.guard("walking", || walk_destination(session, &walk, floor, budget, &found_tx));
            });
        } else {
            drop(found_tx);
        }
        if let Some(writing) = &writing {
            for mut lane in lanes {
                spawn(scope, "sparsync-write", move || {
                    session.guard("writing", || LaneWriter::new(writing).run(&mut lane));
                });
            }
        }
        let mut receiver = Receiver {
            session,
            clock: session.own_clock(),
            destination,
            options,
            control: tx,
            directories: &directories,
            writing: writing.as_ref(),
            found: DestinationStream::new(found_rx),
            floor: &floor,
            pending: HashMap::new(),
            failed: FailedPaths::default(),
            number: 0,
            last: RelPath::root(),
            entries: 0,
            needs: Vec::new(),
            tree_end: None,
            tree_digest_may_decide: true,
            extras: Vec::new(),
            final_attrs: Vec::new(),
            guard: Guard::default(),
            parent: None,
            changed: false,
        };
        outcome = caught(|| receiver.run(&mut rx));
        if let Err(error) = &outcome {
            session.fail(error.clone());
        }
        // Writers that wait for the peer are let go by the transport, which first sends what is left to say.
        session.end();
        drop(rx);
    });
    // A run that was cut short leaves no directory wider than it was.
    if let Some(widened) = &widened {
        widened.restore();
    }
    match (session.error(), outcome) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(outcome)) => Ok(outcome),
    }
}

/// A directory whose listing is on its way.
struct Pending {
    path: RelPath,
    meta: Meta,
    /// What the destination has there.
    old: Option<Box<Scan>>,
    /// How many entries the listing will have.
    entries: u32,
    /// What has arrived of the listing.
    listing: Listing,
}

struct Receiver<'a> {
    session: &'a Session,
    clock: ThreadClock,
    destination: &'a Destination,
    options: &'a ReceiverOptions,
    control: ControlSender,
    directories: &'a Directories,
    writing: Option<&'a Writing<'a>>,
    found: DestinationStream,
    floor: &'a Floor,
    pending: HashMap<u32, Pending>,
    /// Paths that could not be made or looked at. Content that was granted for what is below them is thrown away.
    failed: FailedPaths,
    /// The next directory's number.
    number: u32,
    /// The directory that was told of last.
    last: RelPath,
    /// Entries of the directories told of.
    entries: u64,
    needs: Vec<u32>,
    tree_end: Option<u64>,
    tree_digest_may_decide: bool,
    /// What only the destination has.
    extras: Vec<RelPath>,
    /// Directories whose attributes are set at the end, because what is done in them changes their times.
    final_attrs: Vec<(RelPath, Meta)>,
    guard: Guard,
    /// The directory that was last written to.
    parent: Option<(RelPath, Arc<OwnedFd>)>,
    /// Something was written.
    changed: bool,
}

impl Receiver<'_> {
    fn run(&mut self, rx: &mut tokio::sync::mpsc::Receiver<Frame>) -> Result<Outcome> {
        while self.tree_end.is_none() || !self.pending.is_empty() {
            let frame = if let Ok(frame) = rx.try_recv() {
                frame
            } else {
                // Nothing more to read for now: what was decided so far is told.
                self.send_needs()?;
                self.flush_report()?;
                self.clock.enter(Phase::wait_frame);
                rx.blocking_recv().ok_or_else(|| self.session.lane_ended())?
            };
            self.clock.enter(Phase::compare);
            self.session.worked(1);
            match frame {
                Frame::TreeDigest(digest) if self.number == 0 => {
                    if self.tree_is_equal(&digest)? {
                        return self.finish(None, rx);
                    }
                }
                Frame::Directories(directories) => {
                    for directory in directories {
                        self.directory(directory)?;
                    }
                }
                Frame::List { directory, more, listing } => self.list(directory, more, listing)?,
                Frame::Issue(issue) if issue.kind == IssueKind::Unmounted => {
                    if let Ok(path) = RelPath::new(&issue.path) {
                        self.guard.unmounted(path);
                    }
                }
                Frame::Issue(issue) if issue.kind.is_senders() || issue.kind.is_notice() => {
                    self.failures().tell(issue)?;
                }
                Frame::TreeEnd { directories, entries, bytes, errors } if self.tree_end.is_none() => {
                    if self.number == 0 || directories != u64::from(self.number) || entries != self.entries {
                        return Err(Error::protocol("the tree's end does not fit its directories").remote());
                    }
                    self.session.set(Counter::entries_source, entries);
                    self.session.set(Counter::bytes_total, bytes);
                    self.session.set(Counter::walk_done, 1);
                    self.tree_end = Some(errors);
                    self.send_needs()?;
                }
                other => return Err(Error::protocol(format!("{} has no place here", other.name())).remote()),
            }
        }
        let errors = self.tree_end.unwrap_or(0);
        while let Some(found) = self.next_found()? {
            if !self.options.deletion.delete {
                break;
            }
            self.only_here(&found);
        }
        self.clock.during(Phase::wait_writers, || self.directories.wait_until_done(self.session))?;
        self.clock.enter(Phase::delete);
        let refused = self.delete(errors)?;
        self.clock.enter(Phase::attributes);
        self.set_final_attrs()?;
        self.finish(refused, rx)
    }

    fn next_found(&mut self) -> Result<Option<Found>> {
        self.clock.during(Phase::wait_walk, || self.found.next(self.session))
    }

    fn flush_report(&mut self) -> Result<()> {
        self.clock.during(Phase::wait_room, || self.options.report.flush())
    }

    /// Whether the whole destination is what the source is; one digest tells, and nothing else needs to travel.
    fn tree_is_equal(&mut self, digest: &Digest) -> Result<bool> {
        if !std::mem::take(&mut self.tree_digest_may_decide)
            || !self.options.attributes.digests_decide()
            // An empty tree for an empty destination: what follows unasked is on its way already.
            || self.granted_all()
            || self.destination.file_name.is_some()
            || self.destination.created
        {
            return Ok(false);
        }
        let mut tree = TreeHasher::default();
        let (mut entries, mut bytes, mut directories) = (0, 0, 0);
        let mut leftovers = false;
        let all = self.clock.during(Phase::wait_walk, || self.found.read_all(ENTRIES_HELD_MAX, self.session))?;
        let Some(all) = all else { return Ok(false) };
        for found in all {
            let Found::Listed(scan) = found else { return Ok(false) };
            if !scan.issues.is_empty() {
                return Ok(false);
            }
            leftovers |= !scan.leftovers.is_empty();
            directories += 1;
            entries += scan.listing.len() as u64;
            bytes += scan.listing.entries().iter().filter(|e| e.kind == Kind::File).map(|e| e.size).sum::<u64>();
            tree.add(&self.options.attributes, &scan.path, &scan.meta, &scan.digest);
        }
        // Special entries are told of in every run, and leftovers are swept where the records lead.
        if tree.finish() != *digest || leftovers {
            return Ok(false);
        }
        self.session.set(Counter::directories_source, directories);
        self.session.set(Counter::entries_source, entries);
        self.session.set(Counter::bytes_total, bytes);
        self.session.set(Counter::walk_done, 1);
        Ok(true)
    }

    /// Compares the next directory of the source with the destination's.
    fn directory(&mut self, directory: Directory) -> Result<()> {
        if self.tree_end.is_some() {
            return Err(Error::protocol("a directory after the tree's end").remote());
        }
        self.check_order(&directory.path)?;
        let number = self.number;
        self.number += 1;
        self.entries += u64::from(directory.entries);
        self.session.count(Counter::directories_source, 1);
        if !self.options.deletion.delete {
            self.floor.raise(&directory.path);
        }
        let mut old = None;
        while let Some(found) = self.clock.during(Phase::wait_walk, || self.found.peek(self.session))? {
            match found.path().cmp(&directory.path) {
                std::cmp::Ordering::Greater => break,
                std::cmp::Ordering::Less => {
                    if let Some(found) = self.found.next(self.session)? {
                        self.only_here(&found);
                    }
                }
                std::cmp::Ordering::Equal => {
                    old = self.found.next(self.session)?;
                    break;
                }
            }
        }
        match old {
            // Its listing says what does not arrive.
            _ if self.failed.covering(&directory.path).is_some() => self.need(number, directory, None),
            Some(Found::Listed(scan)) => self.both(number, directory, scan)?,
            Some(Found::Failed(_, error)) => {
                let path = &directory.path;
                self.fail(path.as_bytes().to_vec(), "cannot list the destination's directory", error)?;
                self.failed.insert(path.clone(), IssueKind::Write);
                self.need(number, directory, None);
            }
            None => self.need(number, directory, None),
        }
        if self.number.is_multiple_of(SETTLE_EVERY) {
            self.send_needs()?;
        }
        Ok(())
    }

    /// Refuses a record that cannot be the next of the walk. What came again or late would be taken for new, below a
    /// destination that was not looked at: new names only, and the one name of a single file, would mean nothing.
    fn check_order(&mut self, path: &RelPath) -> Result<()> {
        let goes_down = self.options.rules.recursive && self.destination.file_name.is_none();
        let in_order = match path.split_last() {
            None => self.number == 0,
            Some((parent, name)) => {
                self.number > 0
                    && goes_down
                    && *path > self.last
                    && self.last.is_within(&parent)
                    && TempName::parse(name.as_bytes()).is_none()
            }
        };
        if !in_order {
            return Err(Error::protocol("a directory that has no place here").at(path.as_bytes()).remote());
        }
        self.last.clone_from(path);
        Ok(())
    }

    /// A directory that the source does not have.
    fn only_here(&mut self, found: &Found) {
        if let Found::Listed(scan) = found {
            let entries = scan.listing.len() as u64;
            self.guard.extra(entries);
            self.guard.destination(&scan.path, entries, false);
        }
    }

    /// A directory that both sides have.
    fn both(&mut self, number: u32, directory: Directory, mut old: Box<Scan>) -> Result<()> {
        self.guard.destination(&old.path, old.listing.len() as u64, directory.entries == 0);
        for issue in std::mem::take(&mut old.issues) {
            if let Ok(path) = RelPath::new(&issue.path) {
                self.failed.insert(path, IssueKind::Write);
            }
            self.failures().tell(Issue { kind: IssueKind::Write, ..issue })?;
        }
        let single = self.destination.file_name.is_some();
        let is_new_root = directory.path.is_root() && self.destination.created;
        if !single && !is_new_root {
            let attributes = &self.options.rules.attributes;
            let reasons = attributes.meta_differences(Kind::Directory, &directory.meta, &old.meta);
            if !reasons.is_empty() && !self.options.rules.append_only {
                self.session.count(Counter::attrs_changed, 1);
                self.item(Action::Attributes, Kind::Directory, reasons, 0, directory.path.as_bytes())?;
                self.settle_attrs(&directory.path, directory.meta, false);
            }
        }
        let equal = self.options.attributes.digests_decide() && old.digest == directory.digest && !single;
        if equal && !self.granted_all() {
            self.sweep(&old, |_| false, directory.meta);
        } else {
            self.need(number, directory, Some(old));
        }
        Ok(())
    }

    fn granted_all(&self) -> bool {
        self.options.grant == Grant::All
    }

    fn need(&mut self, number: u32, directory: Directory, old: Option<Box<Scan>>) {
        self.session.count(Counter::directories_listed, 1);
        let Directory { path, meta, entries, .. } = directory;
        self.pending.insert(number, Pending { path, meta, old, entries, listing: Listing::new() });
        if !self.granted_all() {
            self.needs.push(number);
        }
    }

    fn send_needs(&mut self) -> Result<()> {
        if self.granted_all() {
            return Ok(());
        }
        if !self.needs.is_empty() {
            self.control.send(&Frame::Need(std::mem::take(&mut self.needs)))?;
        }
        self.control.send(&Frame::Settled(self.number))
    }

    /// Takes a listing, or a part of one.
    fn list(&mut self, number: u32, more: bool, part: Listing) -> Result<()> {
        let Some(mut pending) = self.pending.remove(&number) else {
            return Err(Error::protocol(format!("listing {number} was not asked for")).remote());
        };
        if pending.listing.is_empty() {
            pending.listing = part;
        } else if !pending.listing.append(&part) {
            return Err(Error::protocol("a listing out of order").remote());
        }
        let missing = (pending.entries as usize).checked_sub(pending.listing.len());
        if missing.is_none_or(|missing| missing > 0 && !more) {
            return Err(Error::protocol("a listing that does not fit its record").remote());
        }
        if more {
            self.pending.insert(number, pending);
            return Ok(());
        }
        if pending.listing.entries().iter().any(|entry| TempName::parse(pending.listing.name(entry)).is_some()) {
            return Err(Error::protocol("the name of an unfinished file in a listing").remote());
        }
        let has_symlinks = || pending.listing.entries().iter().any(|entry| entry.kind == Kind::Symlink);
        if !self.options.attributes.links && has_symlinks() {
            return Err(Error::protocol("a symlink in a run without them").remote());
        }
        if let Some(name) = &self.destination.file_name {
            if pending.listing.entries().iter().any(|entry| entry.kind == Kind::Directory) {
                return Err(Error::protocol("not a single file").remote());
            }
            // The peer has told why there is none.
            if !pending.listing.is_empty() {
                pending.listing =
                    pending.listing.renamed(name).ok_or_else(|| Error::protocol("not a single file").remote())?;
            }
        }
        pending.listing.shrink();
        self.decide(number, pending)
    }

    /// Decides on every entry of a directory.
    fn decide(&mut self, number: u32, pending: Pending) -> Result<()> {
        let Pending { path, meta, old, listing, .. } = pending;
        if let Some(kind) = self.failed.covering(&path) {
            return self.pass_over(number, path, listing, kind);
        }
        let is_new = old.is_none() || (path.is_root() && self.destination.created);
        if is_new
            && self.destination.file_name.is_none()
            && let Some(kind) = self.make_new_directory(&path, meta)?
        {
            self.failed.insert(path.clone(), kind);
            return self.pass_over(number, path, listing, kind);
        }
        let empty = Listing::new();
        let old_listing = old.as_ref().map_or(&empty, |old| &old.listing);
        let mut steps = Vec::new();
        plan(&self.options.rules, &listing, old_listing, |step| steps.push(step));
        let mut wanted = Vec::new();
        let mut resume = Vec::new();
        let mut touched = false;
        for step in steps {
            touched |= match step {
                Step::Make { source, old: at, reasons } => {
                    let before = at.and_then(|at| old_listing.get(at));
                    self.make(&path, &listing, source, before, reasons, old.as_deref(), &mut wanted, &mut resume)?
                }
                Step::Adjust { source, reasons } => self.adjust(&path, &listing, source, reasons)?,
                Step::Skip { source, reasons } => self.skip(&path, &listing, source, reasons)?,
                Step::Extra { old: at } => {
                    old_listing.get(at).is_some_and(|entry| self.extra(&path, old_listing.name(entry)))
                }
            };
        }
        if let Some(old) = &old {
            let kept = |id: &PartialId| {
                wanted
                    .iter()
                    .any(|(_, wanted): &(u32, Wanted)| wanted.resume.is_some_and(|(resumed, _)| resumed == *id))
            };
            self.sweep(old, kept, meta);
        }
        if touched && !is_new && self.destination.file_name.is_none() {
            self.settle_attrs(&path, meta, false);
        }
        self.want(number, path, listing, &wanted, resume)
    }

    /// Reports everything of a directory that failed, or is below one that did. Sub-directories report themselves.
    fn pass_over(&mut self, number: u32, path: RelPath, listing: Listing, kind: IssueKind) -> Result<()> {
        const WHY: &str = "the directory above it could not be made or looked at";
        if !self.failed.contains(&path) {
            self.issue(kind, path.as_bytes().to_vec(), WHY)?;
        }
        for entry in listing.entries() {
            match entry.kind {
                Kind::File | Kind::Symlink => {
                    self.issue(kind, path.join_bytes(listing.name(entry)), WHY)?;
                }
                Kind::Directory | Kind::Special => {}
            }
        }
        self.want(number, path, listing, &[], Vec::new())
    }

    /// Asks for the files of a directory.
    fn want(
        &mut self,
        number: u32,
        path: RelPath,
        listing: Listing,
        wanted: &[(u32, Wanted)],
        resume: Vec<Resume>,
    ) -> Result<()> {
        let mut files: Vec<u32> = wanted.iter().map(|(index, _)| *index).collect();
        let bytes = files
            .iter()
            .filter_map(|&index| listing.get(index as usize))
            .map(|entry| entry.size)
            .fold(0, u64::saturating_add);
        self.session.count(Counter::bytes_to_transfer, bytes);
        if self.options.dry_run {
            self.session.count(Counter::files_transferred, files.len() as u64);
            files.clear();
        } else {
            self.changed |= !files.is_empty();
            let incoming = Incoming::new(path, listing, wanted);
            self.directories.expect(number, if self.granted_all() { incoming.discarding_the_rest() } else { incoming });
        }
        if self.granted_all() {
            self.directories.decided(number + 1);
            return Ok(());
        }
        self.directories.decided(u32::MAX);
        self.control.send(&Frame::Want { directory: number, files, resume })
    }

    /// Makes a directory that is not there. Says as what its failure was reported, when it could not.
    fn make_new_directory(&mut self, path: &RelPath, meta: Meta) -> Result<Option<IssueKind>> {
        let replaces = !self.options.rules.append_only;
        if !replaces && self.is_taken(path) {
            // The listing that it is in has told so.
            return Ok(Some(IssueKind::Scope));
        }
        self.session.count(Counter::directories_created, 1);
        self.item(Action::Create, Kind::Directory, Reasons::MISSING, 0, path.as_bytes())?;
        self.settle_attrs(path, meta, true);
        let (Some(writing), Some((parent, name))) = (self.writing, path.split_last()) else { return Ok(None) };
        if self.options.dry_run {
            return Ok(None);
        }
        self.changed = true;
        self.clock.enter(Phase::make);
        let made = self.parent_of(&parent).and_then(|directory| {
            writing.in_directory(&parent, &directory, |directory| {
                make_directory(directory.as_fd(), name.as_bytes(), meta.mode, replaces, || writing.names.next())
            })
        });
        self.clock.enter(Phase::compare);
        if let Err(error) = made {
            self.fail(path.as_bytes().to_vec(), "cannot make the directory, so nothing below it arrives", error)?;
            return Ok(Some(IssueKind::Write));
        }
        Ok(None)
    }

    /// Whether something else stands where a directory is to be made, or on the way there.
    fn is_taken(&mut self, path: &RelPath) -> bool {
        let Some((parent, name)) = path.split_last() else { return false };
        let found = self.parent_of(&parent).and_then(|directory| crate::fs::status(&*directory, name.as_bytes()));
        found.err() != Some(Errno::NOENT)
    }

    /// The directory at `path`, held open while its neighbours need it too.
    fn parent_of(&mut self, path: &RelPath) -> rustix::io::Result<Arc<OwnedFd>> {
        if let Some((held, directory)) = &self.parent
            && held == path
        {
            return Ok(Arc::clone(directory));
        }
        let root = self.destination.root.as_ref().ok_or(Errno::NOENT)?;
        let directory = Arc::new(root.open_directory(path, Access::Reach)?);
        self.parent = Some((path.clone(), Arc::clone(&directory)));
        Ok(directory)
    }

    /// Makes an entry, or asks for its content. Says whether the directory's own time changes by it.
    #[expect(clippy::too_many_arguments, reason = "the two results are filled side by side, entry by entry")]
    fn make(
        &mut self,
        path: &RelPath,
        listing: &Listing,
        index: usize,
        before: Option<&Entry>,
        reasons: Reasons,
        old: Option<&Scan>,
        wanted: &mut Vec<(u32, Wanted)>,
        resume: &mut Vec<Resume>,
    ) -> Result<bool> {
        let Some(entry) = listing.get(index) else { return Ok(false) };
        let name = listing.name(entry);
        if !self.failed.is_empty() && RelPath::new(&path.join_bytes(name)).is_ok_and(|path| self.failed.contains(&path))
        {
            // Something stands there that could not be looked at.
            return Ok(false);
        }
        if before.is_none() {
            self.guard.created();
            self.session.count(Counter::entries_to_create, 1);
        }
        if entry.kind == Kind::Directory {
            // It is made when its own listing comes.
            self.take_quota(0, before)?;
            return Ok(true);
        }
        let old_is_directory = before.is_some_and(|before| before.kind == Kind::Directory);
        if old_is_directory && !(self.options.deletion.delete || self.options.deletion.force) {
            let full = path.join_bytes(name);
            if !self.is_empty_directory(&full) {
                self.issue(
                    IssueKind::Conflict,
                    full,
                    "a directory that is not empty stands in its place; delete or force removes it",
                )?;
                return Ok(false);
            }
        }
        self.take_quota(if entry.kind == Kind::File { entry.size } else { 0 }, before)?;
        let action = if before.is_some() { Action::Update } else { Action::Create };
        self.item(
            action,
            entry.kind,
            reasons,
            if entry.kind == Kind::File { entry.size } else { 0 },
            &path.join_bytes(name),
        )?;
        if entry.kind == Kind::Symlink {
            if self.options.dry_run {
                self.session.count(Counter::symlinks_created, 1);
            } else {
                self.symlink(path, listing, entry, old_is_directory)?;
            }
            return Ok(true);
        }
        let index = u32::try_from(index).map_err(|_| Error::internal("a listing beyond its cap"))?;
        let held = old.and_then(|old| self.held_part(path, old, name, entry));
        if let Some((_, bytes, digest)) = held {
            resume.push(Resume { index, bytes, digest });
        }
        let old_mode = before.filter(|before| before.kind == Kind::File).map(|before| before.meta.mode);
        let resume = held.map(|(id, bytes, _)| (id, bytes));
        wanted.push((index, Wanted { old_mode, old_is_directory, resume, discarded: false }));
        Ok(true)
    }

    /// Takes the room of an entry that is made, in place of `before` where there was one.
    fn take_quota(&self, bytes: u64, before: Option<&Entry>) -> Result<()> {
        self.options.quota.as_ref().map_or(Ok(()), |quota| quota.take_entry(bytes, before.map(|before| before.size)))
    }

    fn is_empty_directory(&self, path: &[u8]) -> bool {
        let Some(root) = &self.destination.root else { return false };
        let Ok(directory) =
            RelPath::new(path).map_err(|_| Errno::INVAL).and_then(|path| root.open_directory(&path, Access::Read))
        else {
            return false;
        };
        rustix::fs::Dir::read_from(directory).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")))
        })
    }

    /// The part of a large file that an earlier run kept, with its length and digest.
    fn held_part(&self, path: &RelPath, old: &Scan, name: &[u8], entry: &Entry) -> Option<(PartialId, u64, [u8; 32])> {
        if self.options.hold != Hold::Exclusive || entry.size < PARTIAL_BYTES_MIN {
            return None;
        }
        let id = PartialId::new(name, entry.size, entry.meta.mtime);
        if !old.leftovers.iter().any(|(_, temp)| *temp == TempName::Partial(id)) {
            return None;
        }
        let directory = self.destination.root.as_ref()?.open_directory(path, Access::Reach).ok()?;
        let kept = NewFile::reopen(&directory, id.file_name()).ok()?;
        let stat = rustix::fs::fstat(kept.fd()).ok()?;
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.try_into().ok()?);
        let is_fresh = SystemTime::now().duration_since(written).is_ok_and(|age| age < PARTIAL_AGE_MAX);
        let bytes = kept.len().ok()?;
        if !is_fresh || bytes == 0 || bytes > entry.size {
            return None;
        }
        let hashed = self.session.long_work(|| hash_prefix(kept.fd(), bytes));
        let digest = *hashed.ok()??.finalize().as_bytes();
        Some((id, bytes, digest))
    }

    fn symlink(&mut self, path: &RelPath, listing: &Listing, entry: &Entry, old_is_directory: bool) -> Result<()> {
        let Some(writing) = self.writing else { return Ok(()) };
        self.changed = true;
        let name = listing.name(entry);
        let temp_name = writing.names.next();
        let target = writing.policy.target(Kind::Symlink, &entry.meta);
        self.clock.enter(Phase::make);
        let made = self.parent_of(path).and_then(|directory| {
            let made = writing
                .in_directory(path, &directory, |directory| make_symlink(directory, &temp_name, listing.target(entry)));
            made.and_then(|()| {
                let unset = writing.policy.set(&target, Handle::Symlink(directory.as_fd(), &temp_name), None);
                if old_is_directory {
                    return Ok(unset);
                }
                match put_in_place(directory.as_fd(), &temp_name, name)? {
                    Displaced::Gone => Ok(unset),
                    Displaced::Directory => {
                        put_in_place(directory.as_fd(), &temp_name, name)?;
                        Err(Errno::ISDIR)
                    }
                }
            })
            .inspect_err(|_| remove_temp(&directory, &temp_name))
        });
        self.clock.enter(Phase::compare);
        match made {
            Ok(unset) if old_is_directory => {
                writing.replacements.lock().unwrap_or_else(PoisonError::into_inner).push(Replacement {
                    directory: path.clone(),
                    temp_name,
                    name: name.to_vec(),
                    counter: Counter::symlinks_created,
                    unset,
                });
                Ok(())
            }
            Ok(unset) => {
                self.session.count(Counter::symlinks_created, 1);
                self.failures().attributes(|| path.join_bytes(name), &unset)
            }
            Err(error) => self.fail(path.join_bytes(name), "cannot make the symlink", error),
        }
    }

    fn adjust(&mut self, path: &RelPath, listing: &Listing, index: usize, reasons: Reasons) -> Result<bool> {
        let Some(entry) = listing.get(index) else { return Ok(false) };
        let name = listing.name(entry);
        self.session.count(Counter::attrs_changed, 1);
        self.item(Action::Attributes, entry.kind, reasons, 0, &path.join_bytes(name))?;
        if self.options.dry_run {
            return Ok(false);
        }
        self.changed = true;
        self.clock.enter(Phase::attributes);
        let policy = AttributePolicy { rules: self.options.rules };
        let target = policy.adjustment(entry, reasons);
        let adjusted = self.parent_of(path).and_then(|directory| match entry.kind {
            Kind::Symlink => Ok(policy.set(&target, Handle::Symlink(directory.as_fd(), name), None)),
            Kind::File | Kind::Directory | Kind::Special => {
                let (file, found) = Handle::reach_file(directory.as_fd(), name)?;
                Ok(policy.set(&target, Handle::Reached(file.as_fd()), Some(found)))
            }
        });
        self.clock.enter(Phase::compare);
        let unset = adjusted.unwrap_or_else(|error| Unset::all("openat", error));
        self.failures().attributes(|| path.join_bytes(name), &unset)?;
        Ok(false)
    }

    fn skip(&mut self, path: &RelPath, listing: &Listing, index: usize, reasons: Reasons) -> Result<bool> {
        let Some(entry) = listing.get(index) else { return Ok(false) };
        let full = path.join_bytes(listing.name(entry));
        self.session.count(Counter::files_skipped, 1);
        self.item(Action::Skip, entry.kind, reasons, 0, &full)?;
        if reasons.any_of(Reasons::APPEND_ONLY) {
            self.issue(IssueKind::Scope, full, "it differs, and the key may only add new names")?;
        }
        Ok(false)
    }

    fn extra(&mut self, path: &RelPath, name: &[u8]) -> bool {
        if !self.options.deletion.delete {
            return false;
        }
        self.guard.extra(1);
        if let Ok(name) = Name::new(name) {
            self.extras.push(path.join(name));
        }
        true
    }

    /// Removes unfinished files of sessions that are dead, and kept parts that nothing will go on from. Below a
    /// directory that this run has locked nobody else is alive; where there are no locks, age has to tell.
    fn sweep(&mut self, old: &Scan, kept: impl Fn(&PartialId) -> bool, meta: Meta) {
        let (false, Some(root)) = (old.leftovers.is_empty() || self.options.dry_run, &self.destination.root) else {
            return;
        };
        let is_nobodys = self.options.hold == Hold::Exclusive && is_unclaimed(root, &old.path);
        let dead: Vec<&Vec<u8>> = old
            .leftovers
            .iter()
            .filter(|(_, temp)| match temp {
                TempName::Session(id) => *id != self.options.session_id,
                TempName::Partial(id) => !kept(id),
            })
            .map(|(name, _)| name)
            .filter(|name| is_nobodys || is_old(root, &old.path, name))
            .collect();
        if dead.is_empty() {
            return;
        }
        self.changed = true;
        for name in dead {
            match RelPath::new(&old.path.join_bytes(name)) {
                // A directory may have been left over from an exchange.
                Ok(path) => {
                    let widened = self.writing.map(|writing| writing.widened);
                    let _ = remove_tree(root, &path, &mut Removal { widened, ..Removal::default() });
                }
                Err(_) => continue,
            }
            self.session.count(Counter::leftovers_removed, 1);
        }
        self.settle_attrs(&old.path, meta, false);
    }

    fn settle_attrs(&mut self, path: &RelPath, meta: Meta, is_new: bool) {
        if (is_new || !self.options.rules.append_only)
            && self.destination.file_name.is_none()
            && self.final_attrs.last().is_none_or(|(last, _)| last != path)
        {
            self.final_attrs.push((path.clone(), meta));
        }
    }

    /// Deletes what only the destination has, once the source is known in full.
    fn delete(&mut self, source_errors: u64) -> Result<Option<Error>> {
        let mut replacements = self
            .writing
            .map(|writing| std::mem::take(&mut *writing.replacements.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default();
        let mut refused = None;
        if self.options.deletion.delete {
            if source_errors > 0 {
                self.extras.clear();
                self.options.report.issue(Issue {
                    kind: IssueKind::Notice,
                    path: Vec::new(),
                    message: "the source could not be read in full, so nothing was deleted".to_owned(),
                    old_kept: true,
                })?;
            } else if !self.options.deletion.allow_mass {
                refused = self.guard.verdict();
            }
        }
        // What takes the place of a directory deletes it, and so waits for the same conditions.
        if refused.is_some() || source_errors > 0 {
            self.extras.clear();
            for replacement in replacements.drain(..) {
                self.withdraw(&replacement)?;
            }
            return Ok(refused);
        }
        let mut removed = 0;
        for replacement in replacements {
            if self.exceeds_limit(&replacement, removed) {
                self.withdraw(&replacement)?;
            } else {
                removed += self.replace_directory(&replacement)?;
            }
        }
        self.remove_extras(removed)
    }

    /// Whether removing the directory that an entry takes the place of goes beyond the limit on deletions.
    fn exceeds_limit(&self, replacement: &Replacement, removed: u64) -> bool {
        let (Some(max), Some(root)) = (self.options.deletion.max, &self.destination.root) else { return false };
        let Ok(path) = RelPath::new(&replacement.directory.join_bytes(&replacement.name)) else { return true };
        let mut counted = Removal { dry_run: true, ..Removal::default() };
        let _ = remove_tree(root, &path, &mut counted);
        removed + counted.files + counted.directories > max
    }

    fn remove_extras(&mut self, removed: u64) -> Result<Option<Error>> {
        let extras = std::mem::take(&mut self.extras);
        let Some(root) = self.destination.root.as_ref().filter(|_| !extras.is_empty()) else { return Ok(None) };
        self.changed |= !self.options.dry_run;
        let (session, options) = (self.session, self.options);
        let mut told = Ok(());
        let mut on_removed = |path: &[u8], kind: Kind| {
            let counter = if kind == Kind::Directory { Counter::directories_deleted } else { Counter::files_deleted };
            session.count(counter, 1);
            if options.itemize && told.is_ok() {
                let item = Item { action: Action::Delete, kind, reasons: Reasons::EXTRA, size: 0, path: path.to_vec() };
                told = options.report.item(item, session);
            }
        };
        let stop = || session.is_over();
        let mut removal = Removal {
            dry_run: options.dry_run,
            max: options.deletion.max.map(|max| max.saturating_sub(removed)),
            on_removed: Some(&mut on_removed),
            stop: Some(&stop),
            widened: self.writing.map(|writing| writing.widened),
            ..Removal::default()
        };
        for path in &extras {
            if let Err(error) = remove_tree(root, path, &mut removal) {
                removal.failed.push((path.as_bytes().to_vec(), error));
            }
        }
        let (failed, limit_reached) = (std::mem::take(&mut removal.failed), removal.limit_reached);
        drop(removal);
        told?;
        for (path, error) in failed {
            self.issue(IssueKind::Delete, path, &format!("cannot delete: {}", std::io::Error::from(error)))?;
        }
        self.session.check()?;
        Ok(limit_reached.then(|| {
            Error::new(
                ErrorKind::MaxDelete,
                format!(
                    "the limit of {} deletions was reached; the rest was not deleted",
                    self.options.deletion.max.unwrap_or(0)
                ),
            )
        }))
    }

    /// Puts an entry in the place of a directory, and removes the directory.
    fn replace_directory(&mut self, replacement: &Replacement) -> Result<u64> {
        let full = replacement.directory.join_bytes(&replacement.name);
        let Some(root) = &self.destination.root else { return Ok(0) };
        let outcome = root.open_directory(&replacement.directory, Access::Reach).and_then(|directory| {
            self.session.check().map_err(|_| Errno::CANCELED)?;
            put_in_place(directory.as_fd(), &replacement.temp_name, &replacement.name)
        });
        match outcome {
            Ok(Displaced::Gone) => Ok(0),
            Ok(Displaced::Directory) => {
                let Ok(displaced) = RelPath::new(&replacement.directory.join_bytes(&replacement.temp_name)) else {
                    return Err(Error::internal("a temporary name that is no path"));
                };
                let widened = self.writing.map(|writing| writing.widened);
                let mut removal = Removal { widened, ..Removal::default() };
                remove_tree(root, &displaced, &mut removal)
                    .map_err(|error| Error::io("cannot remove the directory", &full, error.into()))?;
                self.session.count(Counter::files_deleted, removal.files);
                self.session.count(Counter::directories_deleted, removal.directories);
                self.session.count(replacement.counter, 1);
                self.failures().attributes(|| full, &replacement.unset)?;
                Ok(removal.files + removal.directories)
            }
            Err(error) => self.fail(full, "cannot put it in place of the directory", error).map(|()| 0),
        }
    }

    /// Gives up what would have taken the place of a directory.
    fn withdraw(&mut self, replacement: &Replacement) -> Result<()> {
        if let Some(root) = &self.destination.root
            && let Ok(directory) = root.open_directory(&replacement.directory, Access::Reach)
        {
            remove_temp(&directory, &replacement.temp_name);
        }
        self.issue(
            IssueKind::Conflict,
            replacement.directory.join_bytes(&replacement.name),
            "a directory stands in its place, and nothing is deleted in this run",
        )
    }

    /// Sets the attributes of directories, the deepest first, when nothing more happens in them. Those that were widened
    /// and are to have no mode get back the one that they had.
    fn set_final_attrs(&mut self) -> Result<()> {
        let mut all = std::mem::take(&mut self.final_attrs);
        // A directory may be noted twice: when it is compared, and when something is done in it.
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|a, b| a.0 == b.0);
        let Some(root) = self.destination.root.as_ref().filter(|_| !self.options.dry_run) else { return Ok(()) };
        let mut widened = self.writing.map(|writing| writing.widened.take()).unwrap_or_default();
        let policy = AttributePolicy { rules: self.options.rules };
        let mut settled: Vec<(RelPath, Target)> = Vec::with_capacity(all.len() + widened.len());
        for (path, meta) in all {
            let had = if widened.is_empty() { None } else { widened.remove(&path) };
            settled.push((path, policy.target(Kind::Directory, &meta).or_mode(had)));
        }
        if !widened.is_empty() {
            settled.extend(widened.into_iter().map(|(path, bits)| (path, Target::mode(bits))));
            settled.sort_by(|a, b| a.0.cmp(&b.0));
        }
        for (path, target) in settled.iter().rev().filter(|(_, target)| !target.is_empty()) {
            self.session.check()?;
            self.session.worked(1);
            self.changed = true;
            let unset = match HeldDirectory::open(root, path) {
                Ok(held) => policy.set(target, held.handle(), None),
                // It was removed, or never made, which has been reported.
                Err(Errno::NOENT) => continue,
                Err(_) if self.failed.covering(path).is_some() => continue,
                Err(error) => Unset::all("openat", error),
            };
            self.failures().attributes(|| path.as_bytes().to_vec(), &unset)?;
        }
        Ok(())
    }

    /// Makes the run durable and tells the peer that it is over.
    fn finish(&mut self, refused: Option<Error>, rx: &mut tokio::sync::mpsc::Receiver<Frame>) -> Result<Outcome> {
        if self.changed
            && self.options.durability >= Durability::Run
            && let Some(root) = &self.destination.root
        {
            self.clock
                .during(Phase::flush, || self.session.long_work(|| root.sync_file_system()))
                .map_err(|error| Error::io("cannot write to disk", b"", error.into()))?;
        }
        self.clock.enter(Phase::finish);
        self.flush_report()?;
        let mut encoded = Vec::new();
        if self.options.profile == ProfileExchange::Answer {
            tell_profile(self.session, &self.control)?;
        }
        Frame::Finished { counters: self.session.counters(), refused: refused.as_ref().map(Error::to_wire) }
            .encode(&mut encoded);
        self.control.send_bulk(encoded)?;
        if self.options.profile == ProfileExchange::Ask {
            // Records may be on their way that a digest has made needless.
            let profile = loop {
                match rx.blocking_recv() {
                    Some(Frame::Profile(profile)) => break profile,
                    Some(_) => {}
                    None => return Err(self.session.lane_ended()),
                }
            };
            self.session.set_peer_profile(*profile)?;
        }
        Ok(Outcome { refused })
    }

    fn item(&self, action: Action, kind: Kind, reasons: Reasons, size: u64, path: &[u8]) -> Result<()> {
        if !self.options.itemize {
            return Ok(());
        }
        self.options.report.item(Item { action, kind, reasons, size, path: path.to_vec() }, self.session)
    }

    fn failures(&self) -> FailurePolicy<'_> {
        FailurePolicy { session: self.session, report: &self.options.report }
    }

    fn issue(&self, kind: IssueKind, path: Vec<u8>, message: &str) -> Result<()> {
        self.failures().issue(kind, path, message.to_owned(), true)
    }

    fn fail(&self, path: Vec<u8>, doing: &str, error: Errno) -> Result<()> {
        self.failures().write(path, doing, error, true)
    }
}

/// Whether nothing was done with an unfinished file for longer than a part is kept.
fn is_old(root: &Root, path: &RelPath, name: &[u8]) -> bool {
    let directory = root.open_directory(path, Access::Reach);
    let Ok(found) = directory.and_then(|directory| crate::fs::status(&directory, name)) else { return false };
    // Its own time is the source's once it is complete.
    let changed = found.stamp.ctime;
    let Ok(changed) = u64::try_from(changed.seconds) else { return false };
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed);
    SystemTime::now().duration_since(changed).is_ok_and(|age| age >= PARTIAL_AGE_MAX)
}
