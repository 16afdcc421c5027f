//! The sender: walks the source, answers what the receiver asks, sends content.
//!
//! [`walk`] makes records and keeps each directory's listing, [`list`] sends the listings that are asked for,
//! [`dispatch`] takes what the receiver says, [`jobs`] deals the files that are asked for out to the lanes' readers.
//! What may be said and asked when is decided by one [`machine::Sender`], which they share.

mod answers;
mod common_time;
mod dispatch;
mod jobs;
mod list;
mod names;
mod remove;
mod walk;

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sparsync_proto::session::{self as machine, SenderTerms};
use sparsync_proto::{
    Attributes, Changing, Chmod, Counter, Issue, Item, MissingSources, Paths, Phase, RelPath, Request, Time,
};

use super::budget::{Budget, STAYS_MAX};
use super::events::EventQueue;
use super::frozen::Freezer;
use super::lanes::{ControlLane, ControlSender, Pack};
use super::reader::{LaneReader, Pays, SkipList, Taken, Way};
use super::session::{Session, caught, spawn};
use crate::error::{Error, Result};
use crate::state::KnownMounts;
use crate::storage::{Judge, Scan, Storage, Sums};
pub(super) use answers::Answers;
use jobs::lane_queues;
pub(super) use jobs::{ContentJob, HeldScan};
pub(crate) use names::TellsNames;

/// Records the source of a run, and the files that it sends.
pub(crate) trait Recorder: Send + Sync {
    /// A directory of the source.
    fn directory(&self, scan: &Scan);

    /// Notes an entry of the source that could not be read.
    fn issue(&self, issue: &Issue);

    /// Notes an action on an entry.
    fn item(&self, item: &Item);
}

/// Where content comes from.
pub(crate) struct Source<S> {
    /// The tree, or the directory of the single file.
    pub(crate) root: S,
    /// The single file, or whatever else is no directory.
    pub(crate) file_name: Option<Vec<u8>>,
    /// The paths that the tree can have; none when every path is possible, and the tree has attributes of its own.
    pub(crate) selected: Paths,
    /// Sources that could not be had.
    pub(crate) missing: Vec<Issue>,
    /// The paths at which missing sources would arrive, where a missing source is no error.
    pub(crate) gone: Vec<RelPath>,
}

impl<S> Source<S> {
    /// Adds the facts about the source to the request of a push.
    pub(crate) fn select(&self, request: &mut Request) {
        if !request.is_selective() {
            request.selected.clone_from(&self.selected);
        }
        request.missing = self.to_be_deleted(request);
    }

    /// The paths of missing sources that the destination is to delete.
    pub(crate) fn to_be_deleted(&self, request: &Request) -> Paths {
        if request.missing_sources != MissingSources::Delete {
            return Paths::default();
        }
        Paths::new(self.gone.clone()).unwrap_or_default()
    }
}

/// How a sender behaves.
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub(crate) struct SenderOptions {
    /// The attributes that the run compares.
    pub(crate) attributes: Attributes,
    /// Decides which entries belong to the run.
    pub(crate) judge: Judge,
    /// Whether sub-directories are walked.
    pub(crate) recursive: bool,
    /// Whether the walk stays in the file system of each source.
    pub(crate) one_file_system: bool,
    /// Whether directories where it would leave it are left out.
    pub(crate) omit_mount_points: bool,
    /// Changes of the permission bits that are found.
    pub(crate) chmod: Chmod,
    /// Files are read without a change of their access times.
    pub(crate) open_noatime: bool,
    /// What is done about a file that changes each time it is read.
    pub(crate) changing: Changing,
    /// The receiver answers some listings at the end alone.
    pub(crate) detects_renames: bool,
    /// Content is read from frozen files, where the file system can make them.
    pub(crate) snapshot_read: bool,
    /// The receiver writes over its own files.
    pub(crate) in_place: bool,
    /// Files that are not compressed.
    pub(crate) skip_compress: SkipList,
    /// How content goes to the receiver.
    pub(crate) way: Way,
    /// Names of owners and groups, where they are told.
    pub(crate) names: Option<TellsNames>,
    /// What is worth its work on the way to the receiver.
    pub(crate) pays: Pays,
    /// How long records are held back in the hope that the whole tree's digest can go first: about two round trips,
    /// so that a run without changes takes one, whatever the size of the tree.
    pub(crate) hold: Duration,
    /// Which end asked for the run, and which content may be sent.
    pub(crate) terms: SenderTerms,
    /// The initiator's events, when the initiator is here.
    pub(crate) events: Option<Arc<EventQueue>>,
    /// The mount points that the last run has found; none on a dry run.
    pub(crate) mounts: Option<KnownMounts>,
    /// Digests of content from earlier runs.
    pub(crate) sums: Option<Arc<dyn Sums>>,
    /// Records what the walk finds.
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
}

impl SenderOptions {
    /// The change of the permission bits that are found, if there is one.
    fn chmod(&self) -> Option<&Chmod> {
        Some(&self.chmod).filter(|chmod| !chmod.is_empty())
    }
}

/// The state that the threads of a sender share.
struct Shared<'a, S> {
    session: &'a Session,
    source: &'a Source<S>,
    options: &'a SenderOptions,
    control: ControlSender,
    machine: Mutex<machine::Sender<Arc<HeldScan>>>,
    budget: Budget,
    /// Mount points that this run has found.
    mounts: Mutex<BTreeSet<Vec<u8>>>,
    /// When the run began: what changed later, and has no further name, is not removed.
    began: Time,
    /// Untouched files of which one name was removed and others are left, by file system and inode.
    unlinked: Mutex<HashSet<(u64, u64)>>,
}

impl<S> Shared<'_, S> {
    fn machine(&self) -> MutexGuard<'_, machine::Sender<Arc<HeldScan>>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system's time.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

/// Queues listings to be sent. The caller holds the machine meanwhile, so that their order is that of the records.
fn queue_lists(to_list: &mpsc::Sender<u32>, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        // A thread that is gone has failed the session already.
        let _ = to_list.send(number);
    }
}

/// How a sender's run ended.
#[derive(Debug)]
pub(crate) enum SenderEnd {
    /// The receiver finished, and refused this in the end.
    Finished(Option<Error>),
    /// The receiver wants to know the need for space before anything is written.
    CountFirst {
        /// Bytes that it has free; none where its file system sets no limit.
        free_bytes: Option<u64>,
        /// The same for entries.
        free_entries: Option<u64>,
    },
}

/// Runs a sender until the receiver has finished or the session ends; an initiator's session then has the receiver's
/// counters.
pub(crate) fn run_sender(
    session: &Session,
    source: &Source<impl Storage>,
    options: &SenderOptions,
    control: ControlLane,
    lanes: Vec<tokio::sync::mpsc::Sender<Pack>>,
) -> Result<SenderEnd> {
    let mut clock = session.own_clock();
    let ControlLane { tx, mut rx } = control;
    let shared = Shared {
        session,
        source,
        options,
        control: tx,
        machine: Mutex::new(machine::Sender::new(options.terms.clone())),
        budget: if options.detects_renames { Budget::with_some_to_the_end(STAYS_MAX) } else { Budget::default() },
        mounts: Mutex::default(),
        began: now(),
        unlinked: Mutex::default(),
    };
    let answers = Answers::new(session, &shared.machine);
    let freezer = options.snapshot_read.then(Freezer::default);
    let (to_list, list_queue) = mpsc::channel();
    let mut end = Ok(SenderEnd::Finished(None));
    std::thread::scope(|scope| {
        let (shared, answers, freezer) = (&shared, &answers, freezer.as_ref());
        let read = |lane| {
            let (pays, chmod) = (&shared.options.pays, shared.options.chmod());
            let open_noatime = shared.options.open_noatime;
            let (keeps_owners, skips) = (shared.options.names.is_some(), &shared.options.skip_compress);
            let takes_prefix = shared.options.changing == Changing::Prefix;
            let taken = Taken { chmod, keeps_owners, open_noatime, skips, takes_prefix };
            let how = (shared.options.in_place, shared.options.way, freezer);
            move |queue, waiting: Arc<AtomicU64>| {
                spawn(scope, session, "sparsync-read", move || {
                    LaneReader::new(session, &shared.source.root, lane, pays, taken, answers, how).run(&queue, &waiting)
                });
            }
        };
        let jobs = lane_queues(lanes.into_iter().map(read));
        // The walk begins first: all others wait for what it finds.
        let (to_walk, to_send) = (to_list.clone(), jobs.clone());
        spawn(scope, session, "sparsync-walk", move || walk::walk(shared, &to_walk, freezer));
        spawn(scope, session, "sparsync-list", move || list::list(shared, &list_queue, &to_send));
        end = caught(|| dispatch::dispatch(shared, &mut rx, (to_list, jobs, answers), &mut clock));
        if let Err(error) = &end {
            session.fail(error.clone());
        }
        session.end();
        clock.enter(Phase::finish);
        // Threads that wait for room in a queue to the peer go on when the transport hears of the end.
        drop(rx);
    });
    if let Some(sums) = &options.sums {
        sums.save();
    }
    if let Some(error) = session.error() {
        return Err(error);
    }
    // Mount points are saved only after a complete run without a refusal: one that is missed now must be missed in the
    // next run, too, until a person has looked.
    let complete = session.get(Counter::files_failed) == 0;
    if let (Ok(SenderEnd::Finished(None)), Some(known), true) = (&end, &options.mounts, complete) {
        known.save(&shared.mounts.lock().unwrap_or_else(PoisonError::into_inner));
    }
    end
}
