//! The receiver: compares what the source has with what is there, asks for what is missing, and puts the tree right.
//!
//! [`dispatch`] takes what the sender says, [`compare`] looks at directories, [`decide`] at the entries of one,
//! [`make`] makes and adjusts what needs no content, [`links`] makes hard links, [`kept`] goes on from earlier runs and
//! sweeps after them, [`dir_links`] takes symlinks for directories, [`spelling`] names for those of the source,
//! [`basis`] takes entries from other states of the tree, [`delete`] removes what only the destination has, [`again`]
//! decides about that once more, [`missing`] adds what sources that are not there would be, [`older`] finds other files
//! that new ones are made of, [`moves`] those that were only moved, [`arrived`] lets the sender remove what it has
//! sent, [`items`] tells what is done, [`planned`] holds a run to its plan, [`put`] puts a tree in its place that was
//! made beside that, [`finish`] sets final attributes and tells the result. What may come when is decided by
//! [`machine::Receiver`]; files are written by the lanes' writers.

mod again;
mod arrived;
mod basis;
mod compare;
mod decide;
mod delete;
mod devices;
mod dir_links;
mod dispatch;
mod finish;
mod items;
mod kept;
mod links;
mod make;
mod missing;
mod moves;
mod older;
mod planned;
mod put;
mod spelling;
mod told_first;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, mpsc};

use sparsync_proto::session::{self as machine, ProfileExchange, ReceiverTerms};
use sparsync_proto::{
    Attributes, Deletion, Durability, Grant, InForce, IssueKind, Item, Listing, Meta, OwnerNames, Paths, RelPath,
    Request, Rules,
};

use super::attributes::AttributePolicy;
use super::budget::{Budget, Permit};
use super::destination::{DestinationStream, DestinationWalk, Found, LowWaterMark, walk_destination};
use super::directories::Directories;
use super::failed::FailedPaths;
use super::failures::FailurePolicy;
use super::guard::Guard;
use super::lanes::{ControlLane, ControlSender, Pack};
use super::need::Need;
use super::owners::OwnerMap;
use super::quota::Quota;
use super::report::Report;
use super::reserve::SpaceReserve;
use super::session::{Session, caught, spawn};
use super::unset::Unset;
use super::writer::{LaneFlushes, LaneWriter, MayBeLinked, PartialPlace, Partials, Writing};
use crate::error::{Error, Result};
use crate::profile::ThreadClock;
use crate::storage::{
    self, Access, BackupPlace, Backups, CallError, Hold, Judge, Scan, ScanOptions, SessionId, Sums, TempName,
    TempNames, Widened, WriteStorage,
};
use arrived::Arriving;
pub(crate) use basis::{Basis, BasisUse, HidesBasis};
pub(crate) use dir_links::DirLinks;
use dir_links::TakenLinks;
use links::Links;
use moves::Moves;
pub(crate) use planned::Stamps;
pub(crate) use put::{PutInPlace, PutOutcome, Told};
use told_first::WaitingItems;

/// Where content goes.
pub(crate) struct Destination<S> {
    /// The tree, or the directory of the single file; none when it is missing and the run is dry.
    pub(crate) root: Option<S>,
    /// The single file's name.
    pub(crate) file_name: Option<Vec<u8>>,
    /// The tree's root is an entry that this run makes, or would make.
    pub(crate) created: bool,
    /// Other places that the run uses.
    pub(crate) aside: Aside<S>,
}

impl<S> Destination<S> {
    /// A destination without further directories of options.
    pub(crate) fn new(root: Option<S>, file_name: Option<Vec<u8>>, created: bool) -> Self {
        Self { root, file_name, created, aside: Aside::default() }
    }
}

/// Places beside the destination that options of a run name.
pub(crate) struct Aside<S> {
    /// The place of replaced and deleted entries.
    pub(crate) backups: Option<BackupPlace<S>>,
    /// The directory of files that are not complete, if it is not that of their targets.
    pub(crate) staging: Option<S>,
    /// The place of partial files, if they are not kept beside their targets.
    pub(crate) partials: Option<PartialPlace<S>>,
    /// Directories with other states of the tree, in their order.
    pub(crate) basis: Vec<Basis<S>>,
    /// The directories to compare with that are missing, as they were named.
    pub(crate) missing_basis: Vec<Vec<u8>>,
    /// Puts the tree in its place, where it is made beside that.
    pub(crate) place: Option<PutInPlace>,
}

impl<S> Default for Aside<S> {
    fn default() -> Self {
        Self { backups: None, staging: None, partials: None, basis: Vec::new(), missing_basis: Vec::new(), place: None }
    }
}

/// How files are written, where a run asks for another way than the default.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub(crate) struct WriteOptions {
    /// The paths that missing sources would have here, which are deleted.
    pub(crate) missing: Paths,
    /// How an entry is made that a basis has as the source has it.
    pub(crate) basis_use: Option<BasisUse>,
    /// The sender removes the entries that have arrived.
    pub(crate) removes_sources: bool,
    /// Files are written over.
    pub(crate) in_place: Option<MayBeLinked>,
    /// The pieces of large files that change are told to the sender.
    pub(crate) delta: bool,
    /// Devices that have the place of files are written to.
    pub(crate) devices: bool,
    /// Large files that are new are made of similar ones.
    pub(crate) fuzzy: bool,
    /// Such files are looked for in the bases, too.
    pub(crate) fuzzy_in_bases: bool,
    /// New files are taken from those that are deleted.
    pub(crate) detects_renames: bool,
    /// The room of each file is reserved first.
    pub(crate) preallocate: bool,
    /// Only the bytes that files lack at their ends are written; files that lack none are left alone.
    pub(crate) append: bool,
    /// Files get their names when all content has come.
    pub(crate) delay_updates: bool,
    /// The sender is another thread of this process: whole files are not hashed.
    pub(crate) trusts_sender: bool,
}

/// Which items a receiver reports.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub(crate) struct ItemOptions {
    /// There are any.
    pub(crate) told: bool,
    /// Items tell the attributes of the source's entries.
    pub(crate) details: bool,
    /// Items are also told for entries that are as they should be.
    pub(crate) unchanged: bool,
    /// There is one for each backup.
    pub(crate) backups: bool,
    /// Items of deletions come before all others.
    pub(crate) deletions_first: bool,
    /// There is one for each entry that was removed at the source.
    pub(crate) removals: bool,
}

impl ItemOptions {
    /// The items that a request asks for.
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            told: request.itemize,
            details: request.item_details,
            unchanged: request.itemize && request.item_unchanged,
            backups: request.itemize && request.item_backups,
            deletions_first: request.itemize && request.item_deletions_first,
            removals: request.itemize && request.item_removals,
        }
    }
}

/// Whether the directory at a path below the destination is a source.
pub(crate) type IsSource = Box<dyn Fn(&RelPath) -> bool + Send + Sync>;

/// How a receiver behaves.
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub(crate) struct ReceiverOptions {
    /// The attributes that the request compares. Both sides must hash the same ones.
    pub(crate) attributes: Attributes,
    /// The attributes that are compared and carried, as far as this side may.
    pub(crate) rules: Rules,
    /// Whose names the sender tells.
    pub(crate) names: OwnerNames,
    /// How the source's owners are mapped.
    pub(crate) owners: OwnerMap,
    /// Decides which entries belong to the run: the others are neither compared nor deleted.
    pub(crate) judge: Judge,
    /// FIFOs, sockets and devices may be made, as far as the system allows it.
    pub(crate) special_right: bool,
    /// Extended attributes of every namespace may be set, as far as the system allows it.
    pub(crate) xattr_right: bool,
    /// What is deleted, and the guards against it.
    pub(crate) deletion: Deletion,
    /// Entries of another file system are not deleted.
    pub(crate) one_file_system: bool,
    /// Where symlinks are taken for the directories that they lead to.
    pub(crate) dir_links: DirLinks,
    /// Nothing is written.
    pub(crate) dry_run: bool,
    /// Which items are reported.
    pub(crate) items: ItemOptions,
    /// The stamps of items, in a run that makes a plan or applies one.
    pub(crate) stamps: Option<Stamps>,
    /// Files are read without a change of their access times.
    pub(crate) open_noatime: bool,
    /// An attribute that the destination's file system cannot hold is a failure.
    pub(crate) strict_attributes: bool,
    /// When writes are on disk.
    pub(crate) durability: Durability,
    /// How files are written.
    pub(crate) writes: WriteOptions,
    /// Parts of large files are kept.
    pub(crate) keep_partial: bool,
    /// Blocks of zeros become holes.
    pub(crate) sparse: bool,
    /// The content that the sender may send unasked.
    pub(crate) grant: Grant,
    /// Where the account goes.
    pub(crate) report: Report,
    /// This session's number.
    pub(crate) session_id: SessionId,
    /// How the destination is held.
    pub(crate) hold: Hold,
    /// The room that the key has left at the destination.
    pub(crate) quota: Option<Quota>,
    /// The room of the destination's file system that must stay free.
    pub(crate) reserve: Option<SpaceReserve>,
    /// Whether the directory at a path is a source, where that can be known.
    pub(crate) is_source: Option<IsSource>,
    /// Whose profile goes with the result.
    pub(crate) profile: ProfileExchange,
    /// Digests of content from earlier runs.
    pub(crate) sums: Option<Arc<dyn Sums>>,
    /// Room was to be reserved, and could not be.
    pub(crate) no_room_reserved: AtomicBool,
}

impl ReceiverOptions {
    /// Whether an item is told for an entry without a reason, which is taken from a basis.
    fn tells_copies(&self) -> bool {
        self.items.unchanged || self.stamps.is_some()
    }

    /// The options of scans of the destination.
    fn scan(&self) -> ScanOptions<'_> {
        let (open_noatime, sums) = (self.open_noatime, self.sums());
        ScanOptions { open_noatime, sums, ..ScanOptions::new(self.attributes, &self.judge) }
    }

    /// Digests of content that are known.
    fn sums(&self) -> Option<&dyn Sums> {
        self.sums.as_deref()
    }

    /// The rules for setting attributes.
    fn policy(&self) -> AttributePolicy<'_> {
        AttributePolicy { rules: self.rules, matcher: &*self.judge.matcher }
    }

    /// Whether files of rules that the run itself brings can change which entries are deleted.
    fn decides_again(&self) -> bool {
        self.deletion.delete && self.deletion.after && !self.dry_run && self.judge.matcher.ends_differ()
    }

    /// Whether equal digests of two directories prove that all their entries are equal.
    fn digests_decide(&self) -> bool {
        !self.writes.removes_sources
            && !self.items.unchanged
            && self.attributes.digests_decide()
            && self.judge.matcher.digests_decide()
    }
}

/// How a receiver's run ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The error of deletions that were refused at the end, when everything else was done.
    pub(crate) refused: Option<Error>,
}

/// Runs a receiver until everything is in place, and tells the peer.
pub(crate) fn run_receiver(
    session: &Session,
    destination: &Destination<impl WriteStorage>,
    options: &ReceiverOptions,
    control: ControlLane,
    lanes: Vec<tokio::sync::mpsc::Receiver<Pack>>,
) -> Result<Outcome> {
    let directories = Directories::default();
    let names = TempNames::new(options.session_id);
    let low_water_mark = LowWaterMark::default();
    let budget = Budget::default();
    let (found_tx, found_rx) = mpsc::channel();
    let mut outcome = Ok(Outcome::default());
    let ControlLane { tx, mut rx } = control;
    let widened = destination.root.as_ref().map(Widened::new);
    let failures = FailurePolicy::new(session, &options.report, options.strict_attributes);
    let writing = destination
        .root
        .as_ref()
        .zip(widened.as_ref())
        .map(|tree| writing_of(session, destination, options, tree, (&directories, &failures, &names), &tx));
    std::thread::scope(|scope| {
        let widened = widened.as_ref().filter(|_| !options.dry_run);
        spawn_walk(scope, session, (destination, widened), options, (&low_water_mark, &budget), found_tx);
        if let Some(writing) = &writing {
            for mut lane in lanes {
                spawn(scope, session, "sparsync-write", move || LaneWriter::new(writing).run(&mut lane));
            }
        }
        let found = DestinationStream::new(found_rx);
        let mut receiver = Receiver::new(
            session,
            destination,
            options,
            tx,
            (&directories, writing.as_ref(), &failures),
            (found, &low_water_mark),
        );
        outcome = caught(|| receiver.run(&mut rx));
        if let Err(error) = &outcome {
            session.fail(error.clone());
        }
        // Writers that wait for the peer go on when the transport, which first sends the last frames, hears of the end.
        session.end();
        drop(rx);
    });
    // A run that was cut short leaves nothing unfinished.
    if let Some(writing) = &writing {
        for delayed in writing.take_delayed() {
            delayed.discard(writing.root);
        }
        if let Some(partials) = &writing.partials {
            partials.remove_empty();
        }
    }
    if let Some(sums) = &options.sums {
        sums.save();
    }
    match (session.error(), outcome) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(outcome)) => Ok(outcome),
    }
}

/// The state that the writers of a run share.
fn writing_of<'a, S: WriteStorage>(
    session: &'a Session,
    destination: &'a Destination<S>,
    options: &'a ReceiverOptions,
    (root, widened): (&'a S, &'a Widened<'a, S>),
    (directories, failures, names): (&'a Directories, &'a FailurePolicy<'a>, &'a TempNames),
    control: &ControlSender,
) -> Writing<'a, S> {
    let Aside { backups, staging, partials, .. } = &destination.aside;
    let opened = staging.as_ref().and_then(|staging| staging.open(&RelPath::root(), Access::Reach).ok());
    Writing {
        session,
        root,
        widened,
        directories,
        control: control.clone(),
        failures,
        names,
        policy: options.policy(),
        owners: &options.owners,
        durability: options.durability,
        keep_partial: options.keep_partial,
        sparse: options.sparse,
        quota: options.quota.as_ref(),
        reserve: options.reserve.as_ref(),
        staging: opened.map(Arc::new),
        partials: partials.as_ref().map(|place| Partials::new(root, place)),
        in_place: options.writes.in_place,
        delays_updates: options.writes.delay_updates,
        trusts_sender: options.writes.trusts_sender,
        preallocate: options.writes.preallocate.then_some(&options.no_room_reserved),
        bases: &destination.aside.basis,
        only_adds: options.rules.append_only,
        backups: backups
            .as_ref()
            .map(|place| Backups::new(root, names, (place, options.durability), items::backups_told(session, options))),
        delayed: Mutex::default(),
        moved: Mutex::default(),
        unflushed: AtomicU64::new(0),
        flushes: LaneFlushes::default(),
        device: root.device().ok(),
    }
}

/// Starts the walk of the destination, where there is one.
fn spawn_walk<'scope, S: WriteStorage>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    session: &'scope Session,
    (destination, widened): (&'scope Destination<S>, Option<&'scope Widened<'scope, S>>),
    options: &'scope ReceiverOptions,
    (low_water_mark, budget): (&'scope LowWaterMark, &'scope Budget),
    found: mpsc::Sender<(Found, Option<Permit>)>,
) {
    let Some(root) = &destination.root else { return };
    let walk = DestinationWalk {
        root,
        widened,
        single: destination.file_name.as_deref(),
        options: options.scan(),
        recursive: options.rules.recursive,
    };
    spawn(scope, session, "sparsync-walk", move || walk_destination(session, &walk, low_water_mark, budget, &found));
}

/// The facts about a run that the session's machine needs.
fn terms_of<S>(destination: &Destination<S>, options: &ReceiverOptions) -> ReceiverTerms {
    ReceiverTerms {
        grant: options.grant,
        recursive: options.rules.recursive,
        single: destination.file_name.is_some(),
        attributes: options.attributes,
        names: options.names,
        tree_digest_decides: options.digests_decide() && !destination.created,
        profile: options.profile,
        is_unfinished: |name| TempName::parse(name).is_some(),
    }
}

/// An entry that only the destination has.
struct Extra {
    path: RelPath,
    is_directory: bool,
    /// The rules that are in force where it is.
    in_force: InForce,
}

/// The state of a receiver, on the session's own thread.
struct Receiver<'a, S: WriteStorage> {
    session: &'a Session,
    clock: ThreadClock,
    destination: &'a Destination<S>,
    options: &'a ReceiverOptions,
    control: ControlSender,
    directories: &'a Directories,
    writing: Option<&'a Writing<'a, S>>,
    failures: &'a FailurePolicy<'a>,
    found: DestinationStream,
    low_water_mark: &'a LowWaterMark,
    machine: machine::Receiver,
    /// The destination's directories whose counterparts' listings are on their way, by number.
    old: HashMap<u32, Box<Scan>>,
    /// Paths that could not be made or looked at. Content that was granted for paths below them is thrown away.
    failed: FailedPaths,
    /// The file system of the destination's top.
    top_device: Option<u64>,
    /// A directory on each other file system that the run writes to.
    elsewhere: HashMap<u64, S::Directory>,
    /// Symlinks that were taken for directories.
    dir_links: TakenLinks,
    /// The last directory that the source does not enter: it says nothing about the entries below it.
    unlisted: Option<RelPath>,
    /// Directories of the source that could not be read.
    source_errors: u64,
    /// The entries that only the destination has.
    extras: Vec<Extra>,
    /// Items that wait for those of deletions.
    waiting_items: WaitingItems,
    /// The names that the source has in each directory, kept where deletions are decided again at the end.
    source_names: Option<Vec<(RelPath, Listing)>>,
    /// The rules in force in directories where something was left out, by path: the sender may still send those
    /// entries.
    in_force: HashMap<RelPath, InForce>,
    /// Directories whose attributes are set at the end, because work in them changes their times, and whether this run
    /// made them.
    final_attrs: Vec<(RelPath, Meta, bool)>,
    /// The entries that have arrived unless something fails, kept where the sender removes them.
    arriving: Option<Vec<Arriving>>,
    /// Attributes that could not be set on directories before the end, where all that are missing of one are told at
    /// once.
    unset: BTreeMap<RelPath, Unset>,
    guard: Guard,
    /// The room that a dry run has found to be needed.
    need: Need,
    /// The directory that was last written to.
    parent: Option<(RelPath, Arc<S::Directory>)>,
    /// The directory of the hard links' leader that was last looked at.
    leader_parent: Option<(RelPath, Arc<S::Directory>)>,
    /// Hard links, in a run that carries them.
    links: Option<Links>,
    /// Something was written.
    changed: bool,
    /// The rights that the key lacks and that were told, each once.
    rights_told: Vec<IssueKind>,
    /// It was told that content is copied which should have been shared.
    told_not_shared: bool,
    /// Items of directories that must be told after those of the directories before them.
    held_items: VecDeque<(u32, Item)>,
    /// Directories whose entries are still to be decided upon.
    undecided: usize,
    /// Directories whose files are asked for when all deletions are known.
    moves: Moves,
}

impl<'a, S: WriteStorage> Receiver<'a, S> {
    fn new(
        session: &'a Session,
        destination: &'a Destination<S>,
        options: &'a ReceiverOptions,
        control: ControlSender,
        (directories, writing, failures): (&'a Directories, Option<&'a Writing<'a, S>>, &'a FailurePolicy<'a>),
        (found, low_water_mark): (DestinationStream, &'a LowWaterMark),
    ) -> Self {
        Self {
            session,
            clock: session.own_clock(),
            destination,
            options,
            control,
            directories,
            writing,
            failures,
            found,
            low_water_mark,
            machine: machine::Receiver::new(terms_of(destination, options)),
            old: HashMap::new(),
            failed: FailedPaths::default(),
            elsewhere: HashMap::new(),
            dir_links: TakenLinks::default(),
            top_device: None,
            unlisted: None,
            source_errors: 0,
            extras: Vec::new(),
            waiting_items: WaitingItems::new(options),
            // Beside a single file nothing is the run's.
            source_names: (options.decides_again() && destination.file_name.is_none()).then(Vec::new),
            in_force: HashMap::new(),
            final_attrs: Vec::new(),
            arriving: options.writes.removes_sources.then(Vec::new),
            unset: BTreeMap::new(),
            guard: Guard::default(),
            need: Need::default(),
            parent: None,
            leader_parent: None,
            links: options.attributes.hard_links.then(Links::default),
            changed: false,
            rights_told: Vec::new(),
            told_not_shared: false,
            held_items: VecDeque::new(),
            undecided: 0,
            moves: Moves::default(),
        }
    }
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Makes directories of the process's own user usable for the run; none in a dry run.
    fn widened(&self) -> Option<&Widened<'_, S>> {
        self.writing.filter(|_| !self.options.dry_run).map(|writing| writing.widened)
    }

    /// Does something in the directory at `path`, which is made usable for it where it has to be.
    fn within<T>(&self, path: &RelPath, work: impl Fn() -> storage::Result<T>) -> storage::Result<T> {
        self.widened().map_or_else(&work, |widened| widened.within(path, &work))
    }

    /// The backups of replaced and deleted entries, if the run makes any.
    fn backups(&self) -> Option<&Backups<'_, S>> {
        self.writing.and_then(|writing| writing.backups.as_ref())
    }

    fn issue(&self, kind: IssueKind, path: Vec<u8>, message: &str) -> Result<()> {
        self.failures.issue(kind, path, message.to_owned(), true)
    }

    /// Tells once that the key lacks a right for an entry of the source.
    fn tell_right(&mut self, kind: IssueKind, message: &str) -> Result<()> {
        if self.rights_told.contains(&kind) {
            return Ok(());
        }
        self.rights_told.push(kind);
        self.issue(kind, Vec::new(), message)
    }

    fn fail(&self, path: Vec<u8>, doing: &str, error: CallError) -> Result<()> {
        let old_kept = self.stands(&path);
        self.failures.write(path, doing, error, old_kept)
    }

    /// Whether the source is one entry that is no directory.
    fn is_single(&self) -> bool {
        self.destination.file_name.is_some()
    }
}
