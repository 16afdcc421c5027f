//! The sender: walks the source, answers what the receiver asks, sends content.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sparsync_proto::limits::{BATCH_BYTES, WHOLE_FILE_BYTES_MAX};
use sparsync_proto::{
    Attributes, Compare, Counter, Directory, Figure, Frame, Grant, Issue, IssueKind, Kind, Phase, Request, Resume,
    Time, TreeHasher, encode_list,
};

use super::budget::Budget;
use super::events::EventQueue;
use super::lanes::{ControlLane, ControlSender, Pack};
use super::reader::{ContentJob, HeldScan, LaneReader, Load};
use super::session::{Session, caught, spawn};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{KnownMounts, Root, Scan, ScanBuffers, ScanOptions, Walk, WalkItem, scan_single};
use crate::profile::ThreadClock;

/// Where content comes from.
pub(crate) struct Source {
    /// The tree, or the directory of the single file.
    pub(crate) root: Root,
    /// The single file, or whatever else is no directory.
    pub(crate) file_name: Option<Vec<u8>>,
}

/// How a sender behaves.
pub(crate) struct SenderOptions {
    /// What the run compares.
    pub(crate) attributes: Attributes,
    /// Whether sub-directories are walked.
    pub(crate) recursive: bool,
    /// Whether and when packs are compressed.
    pub(crate) compress: Box<dyn Fn() -> bool + Send + Sync>,
    /// How long records are held back in the hope that the whole tree's digest can go first: about two round trips,
    /// so that a run without changes takes one, whatever the size of the tree.
    pub(crate) hold: Duration,
    /// The receiver's grant when it is known from the start, as on a pull.
    pub(crate) grant: Option<Grant>,
    /// The initiator's events, when the initiator is here.
    pub(crate) events: Option<Arc<EventQueue>>,
    /// The mount points that the last run has found; nothing on a dry run.
    pub(crate) mounts: Option<KnownMounts>,
    /// Whose profile follows the result.
    pub(crate) profile: ProfileExchange,
}

/// How the two ends of a profiled session come to know each other's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProfileExchange {
    /// Nobody asked, or both ends are in one process.
    None,
    /// This end asked, and waits for the other's.
    Ask,
    /// The other end asked.
    Answer,
}

impl ProfileExchange {
    /// At the end that made `request`.
    pub(crate) fn asked_by(request: &Request) -> Self {
        if request.profile { Self::Ask } else { Self::None }
    }

    /// At the end that serves `request`.
    pub(crate) fn answer_to(request: &Request) -> Self {
        if request.profile { Self::Answer } else { Self::None }
    }
}

#[derive(Default)]
struct Table {
    scans: BTreeMap<u32, Arc<HeldScan>>,
    needed: HashSet<u32>,
    grant_all: bool,
    /// Records of directories below this number have been sent: their listings may follow.
    records_sent: u32,
}

/// Listings that are sent before the content of the first of them.
const LISTS_BATCH: usize = 64;

/// What the threads of a sender share.
struct Shared<'a> {
    session: &'a Session,
    source: &'a Source,
    options: &'a SenderOptions,
    control: ControlSender,
    table: Mutex<Table>,
    budget: Budget,
    /// Mount points that this run has found.
    mounts: Mutex<BTreeSet<Vec<u8>>>,
}

impl Shared<'_> {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a sender's run ended.
#[derive(Debug)]
pub(crate) enum SenderEnd {
    /// The receiver finished, and refused this in the end.
    Finished(Option<Error>),
    /// The receiver wants to know the need for space before anything is written.
    CountFirst {
        /// Bytes that it has free.
        free_bytes: u64,
        /// Entries that it has free.
        free_entries: u64,
    },
}

/// Runs a sender until the receiver has finished or the session ends; the session then has the receiver's counters.
pub(crate) fn run_sender(
    session: &Session,
    source: &Source,
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
        table: Mutex::default(),
        budget: Budget::default(),
        mounts: Mutex::default(),
    };
    let (to_list, list_queue) = mpsc::channel();
    let (job_senders, job_queues): (Vec<_>, Vec<_>) = lanes.iter().map(|_| mpsc::channel()).unzip();
    let waiting = Arc::<AtomicU64>::default();
    let queue = |jobs| LaneQueue { jobs, load: Arc::default() };
    let jobs = JobQueues { lanes: job_senders.into_iter().map(queue).collect(), waiting: Arc::clone(&waiting) };
    let mut end = Ok(SenderEnd::Finished(None));
    std::thread::scope(|scope| {
        for (lane, queue) in lanes.into_iter().zip(job_queues) {
            let (shared, waiting) = (&shared, &waiting);
            spawn(scope, "sparsync-read", move || {
                shared.session.guard("reading", || {
                    LaneReader::new(shared.session, &shared.source.root, lane, &shared.options.compress)
                        .run(&queue, waiting)
                });
            });
        }
        {
            let (shared, to_list) = (&shared, to_list.clone());
            spawn(scope, "sparsync-walk", move || {
                shared.session.guard("walking", || walk(shared, &to_list));
            });
        }
        {
            let (shared, jobs) = (&shared, jobs.clone());
            spawn(scope, "sparsync-list", move || {
                shared.session.guard("listing", || list(shared, &list_queue, &jobs));
            });
        }
        end = caught(|| dispatch(&shared, &mut rx, to_list, jobs, &mut clock));
        if let Err(error) = &end {
            session.fail(error.clone());
        }
        session.end();
        clock.enter(Phase::finish);
        // Threads that wait for room in a queue to the peer are let go by the transport, which is told of the end.
        drop(rx);
    });
    if let Some(error) = session.error() {
        return Err(error);
    }
    // A refusal stands until somebody has looked: what was missed in this run is missed in the next as well.
    let complete = session.get(Counter::files_failed) == 0;
    if let (Ok(SenderEnd::Finished(None)), Some(known), true) = (&end, &options.mounts, complete) {
        known.save(&shared.mounts.lock().unwrap_or_else(PoisonError::into_inner));
    }
    end
}

/// The queues of the lanes.
#[derive(Clone)]
struct JobQueues {
    lanes: Vec<LaneQueue>,
    /// Jobs that no reader has taken yet.
    waiting: Arc<AtomicU64>,
}

#[derive(Clone)]
struct LaneQueue {
    jobs: mpsc::Sender<ContentJob>,
    /// What waits there and is worked on.
    load: Arc<AtomicU64>,
}

/// What a file costs besides its bytes, in bytes that take as long.
const FILE_LOAD: u64 = 16 << 10;

impl JobQueues {
    /// Deals the files of a directory out. The small ones all take the lane that has least to do: two writers that make
    /// files in one directory wait for each other. Each large one takes the lane that has least to do then.
    fn push(&self, directory: u32, held: &Arc<HeldScan>, files: Vec<u32>, resume: &[Resume], session: &Session) {
        let mut loads: Vec<u64> = self.lanes.iter().map(|lane| lane.load.load(Ordering::Relaxed)).collect();
        let before = loads.clone();
        let mut dealt = vec![Vec::new(); loads.len()];
        let idlest = |loads: &[u64]| (0..loads.len()).min_by_key(|&lane| loads[lane]).unwrap_or(0);
        let small = idlest(&loads);
        for index in files {
            let size = held.scan.listing.get(index as usize).map_or(0, |entry| entry.size);
            let lane = if size <= WHOLE_FILE_BYTES_MAX as u64 { small } else { idlest(&loads) };
            loads[lane] = loads[lane].saturating_add(size.saturating_add(FILE_LOAD));
            dealt[lane].push(index);
        }
        for (lane, files) in dealt.into_iter().enumerate().filter(|(_, files)| !files.is_empty()) {
            let resume = resume.iter().filter(|resume| files.binary_search(&resume.index).is_ok()).copied().collect();
            let load = Load::add(&self.lanes[lane].load, loads[lane] - before[lane]);
            let job = ContentJob { directory, held: Arc::clone(held), files, resume, _load: load };
            let before = self.waiting.fetch_add(1, Ordering::Relaxed);
            if let Some(profiler) = session.profiler() {
                profiler.raise(Figure::job_queue_max, before + 1);
            }
            // A lane that is gone has failed the session already.
            let _ = self.lanes[lane].jobs.send(job);
        }
    }
}

/// Walks the source, sends a record for each directory, and keeps its listing for the receiver's questions.
fn walk(shared: &Shared<'_>, to_list: &mpsc::Sender<u32>) -> Result<()> {
    let options = ScanOptions { attributes: shared.options.attributes, stamps: true };
    let mut out = Records::new(shared, to_list, shared.session.clock("walk", Phase::walk));
    if let Some(name) = &shared.source.file_name {
        let scan = scan_single(&shared.source.root, name, &options, &mut ScanBuffers::default())
            .map_err(|error| Error::io("cannot read the source", name, error.into()))?;
        if scan.listing.is_empty() && scan.issues.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "the source does not exist").at(name));
        }
        out.add(scan)?;
        return out.end();
    }
    let hashes = options.attributes.compares_content();
    let mut steps = Walk::new(&shared.source.root, options, shared.options.recursive);
    while let Some(item) = shared.session.walk_step(hashes, || steps.next()) {
        shared.session.check()?;
        out.clock.enter(Phase::list);
        match item {
            WalkItem::Listed(scan) => out.add(*scan)?,
            WalkItem::Failed(path, error) if path.is_root() => {
                return Err(Error::io("cannot read the source", b"", error.into()));
            }
            WalkItem::Failed(path, error) => out.failed(&path, error)?,
        }
        out.clock.enter(Phase::walk);
    }
    out.end()
}

/// Records on their way to the receiver.
struct Records<'a, 'b> {
    shared: &'a Shared<'b>,
    to_list: &'a mpsc::Sender<u32>,
    clock: ThreadClock,
    batch: Vec<Directory>,
    batch_bytes: usize,
    /// Encoded frames that are held back, until the hold is over or the walk ends.
    held: Option<(Vec<u8>, Instant)>,
    tree: TreeHasher,
    directories: u32,
    entries: u64,
    bytes: u64,
    errors: u64,
    times: CommonTime,
}

/// Looks for one modification time that most files share because a tool set it, as archives and reproducible builds
/// do: then equal size and time prove little. Such times are whole seconds; files that were merely written in the
/// same tick of the clock do not count. A majority vote, so it needs no memory.
#[derive(Default)]
struct CommonTime {
    candidate: Time,
    balance: u64,
    seen: u64,
    files: u64,
}

/// Trees with fewer files share a time by chance.
const COMMON_TIME_FILES_MIN: u64 = 100;

impl CommonTime {
    fn add(&mut self, time: Time) {
        self.files += 1;
        if self.balance == 0 {
            self.candidate = time;
            self.seen = 0;
        }
        if self.candidate == time {
            self.balance += 1;
            self.seen += 1;
        } else {
            self.balance -= 1;
        }
    }

    fn notice(&self) -> Option<Issue> {
        let is_set = self.files >= COMMON_TIME_FILES_MIN && self.seen > self.files / 2 && self.candidate.nanos == 0;
        is_set.then(|| Issue {
            kind: IssueKind::Notice,
            path: Vec::new(),
            message: format!(
                "{} of {} source files have the same modification time, so a change that keeps the size is not seen; \
                 compare content (compare: 'content', --checksum) to be sure",
                self.seen, self.files
            ),
            old_kept: true,
        })
    }
}

impl<'a, 'b> Records<'a, 'b> {
    fn new(shared: &'a Shared<'b>, to_list: &'a mpsc::Sender<u32>, clock: ThreadClock) -> Self {
        let hold = shared.options.attributes.digests_decide() && shared.source.file_name.is_none();
        Self {
            shared,
            to_list,
            clock,
            batch: Vec::new(),
            batch_bytes: 0,
            held: hold.then(|| (Vec::new(), Instant::now() + shared.options.hold)),
            tree: TreeHasher::default(),
            directories: 0,
            entries: 0,
            bytes: 0,
            errors: 0,
            times: CommonTime::default(),
        }
    }

    fn add(&mut self, mut scan: Scan) -> Result<()> {
        let session = self.shared.session;
        let count = scan.listing.len();
        let permit = if let Some(permit) = self.shared.budget.try_acquire(count) {
            permit
        } else {
            // The receiver must see what is held back, or it can never settle it.
            self.release()?;
            let budget = &self.shared.budget;
            self.clock.during(Phase::wait_budget, || budget.acquire(count, session))?
        };
        for issue in std::mem::take(&mut scan.issues) {
            self.errors += 1;
            self.shared.control.send(&Frame::Issue(issue))?;
        }
        self.look_at_mount(&scan)?;
        let number = self.directories;
        self.directories += 1;
        self.entries += count as u64;
        let mut bytes = 0;
        for entry in scan.listing.entries().iter().filter(|entry| entry.kind == Kind::File) {
            bytes += entry.size;
            self.times.add(entry.meta.mtime);
        }
        self.bytes += bytes;
        session.count(Counter::directories_source, 1);
        session.count(Counter::entries_source, count as u64);
        session.count(Counter::bytes_total, bytes);
        self.tree.add(&self.shared.options.attributes, &scan.path, &scan.meta, &scan.digest);
        let record = Directory {
            path: scan.path.clone(),
            meta: scan.meta,
            digest: scan.digest,
            entries: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let grant_all = {
            let mut table = self.shared.table();
            table.scans.insert(number, Arc::new(HeldScan::new(scan, permit)));
            table.grant_all
        };
        self.push(record)?;
        // With everything granted, content follows the record, which must not be held back any longer.
        if grant_all { self.release() } else { Ok(()) }
    }

    /// Notes a mount point, and tells of one that has gone.
    fn look_at_mount(&self, scan: &Scan) -> Result<()> {
        let path = scan.path.as_bytes();
        let known = self.shared.options.mounts.as_ref().is_some_and(|known| known.paths.contains(path));
        // Where nobody can tell, what was known stays known.
        if scan.is_mount_point.unwrap_or(known) {
            self.shared.mounts.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_vec());
        } else if known {
            return self.shared.control.send(&Frame::Issue(Issue {
                kind: IssueKind::Unmounted,
                path: path.to_vec(),
                message: "it was a mount point in the last run and is none now".to_owned(),
                old_kept: true,
            }));
        }
        Ok(())
    }

    fn failed(&mut self, path: &sparsync_proto::RelPath, error: rustix::io::Errno) -> Result<()> {
        if error == rustix::io::Errno::NOENT {
            // It was listed and is gone: as if it had been removed before.
            return self
                .shared
                .control
                .send(&Frame::Issue(Issue {
                    kind: IssueKind::Vanished,
                    path: path.as_bytes().to_vec(),
                    message: "the directory vanished during the run".to_owned(),
                    old_kept: true,
                }))
                .map(|()| self.errors += 1);
        }
        self.errors += 1;
        self.shared.control.send(&Frame::Issue(Issue {
            kind: IssueKind::Unreadable,
            path: path.as_bytes().to_vec(),
            message: format!("cannot list the directory: {}", std::io::Error::from(error)),
            old_kept: true,
        }))
    }

    fn push(&mut self, directory: Directory) -> Result<()> {
        self.batch_bytes += directory.path.as_bytes().len() + 64;
        self.batch.push(directory);
        if self.batch_bytes >= BATCH_BYTES / 8 || self.held.is_none() && self.batch.len() >= 64 {
            self.close_batch()?;
        }
        if self.held.as_ref().is_some_and(|(_, until)| Instant::now() >= *until) {
            self.release()?;
        }
        Ok(())
    }

    fn close_batch(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let frame = Frame::Directories(std::mem::take(&mut self.batch));
        if let Some((held, _)) = &mut self.held {
            frame.encode(held);
            Ok(())
        } else {
            let mut encoded = Vec::new();
            frame.encode(&mut encoded);
            self.send_bulk(encoded)?;
            self.records_sent();
            Ok(())
        }
    }

    fn send_bulk(&mut self, encoded: Vec<u8>) -> Result<()> {
        self.clock.during(Phase::wait_room, || self.shared.control.send_bulk(encoded))
    }

    /// Lets listings follow the records that are on their way.
    fn records_sent(&self) {
        let mut table = self.shared.table();
        let before = std::mem::replace(&mut table.records_sent, self.directories);
        if table.grant_all {
            for number in before..self.directories {
                let _ = self.to_list.send(number);
            }
        }
    }

    /// Sends what was held back, and holds back no more.
    fn release(&mut self) -> Result<()> {
        self.close_batch()?;
        match self.held.take() {
            Some((held, _)) if !held.is_empty() => {
                self.send_bulk(held)?;
                self.records_sent();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(mut self) -> Result<()> {
        if self.shared.options.attributes.compare == Compare::Quick
            && let Some(notice) = self.times.notice()
        {
            self.shared.control.send(&Frame::Issue(notice))?;
        }
        self.close_batch()?;
        let mut encoded = Vec::new();
        if let Some((held, _)) = self.held.take() {
            if self.errors == 0 {
                Frame::TreeDigest(self.tree.finish()).encode(&mut encoded);
            }
            encoded.extend_from_slice(&held);
        }
        Frame::TreeEnd {
            directories: self.directories.into(),
            entries: self.entries,
            bytes: self.bytes,
            errors: self.errors,
        }
        .encode(&mut encoded);
        self.shared.session.set(Counter::walk_done, 1);
        self.send_bulk(encoded)?;
        self.records_sent();
        Ok(())
    }
}

/// Sends the listings that were asked for, in that order; with everything granted, their files too.
fn list(shared: &Shared<'_>, queue: &mpsc::Receiver<u32>, jobs: &JobQueues) -> Result<()> {
    let mut clock = shared.session.clock("list", Phase::wait_work);
    while let Ok(first) = clock.during(Phase::wait_work, || queue.recv()) {
        clock.enter(Phase::list);
        shared.session.check()?;
        let mut encoded = Vec::new();
        let mut ready = Vec::new();
        for number in std::iter::once(first).chain(queue.try_iter()) {
            let (held, grant_all) = {
                let mut table = shared.table();
                if table.grant_all {
                    (table.scans.remove(&number), true)
                } else {
                    (table.scans.get(&number).map(Arc::clone), false)
                }
            };
            let Some(held) = held else {
                return Err(
                    Error::protocol(format!("directory {number} was asked for twice, or never told of")).remote()
                );
            };
            let mut sent = Ok(());
            encode_list(number, &held.scan.listing, |frame| {
                encoded.extend_from_slice(&frame);
                if encoded.len() >= BATCH_BYTES && sent.is_ok() {
                    let full = std::mem::take(&mut encoded);
                    sent = clock.during(Phase::wait_room, || shared.control.send_bulk(full));
                }
            });
            sent?;
            if grant_all {
                ready.push((number, held));
            }
            if ready.len() >= LISTS_BATCH {
                break;
            }
        }
        if !encoded.is_empty() {
            clock.during(Phase::wait_room, || shared.control.send_bulk(encoded))?;
        }
        if ready.is_empty() {
            continue;
        }
        // Content may not use up the window that its listing needs: the receiver waits for the listing.
        clock.during(Phase::wait_room, || shared.control.wait_until_written(shared.session))?;
        for (directory, held) in ready {
            let files = |(index, entry): (u32, &sparsync_proto::Entry)| (entry.kind == Kind::File).then_some(index);
            let files: Vec<u32> = (0u32..).zip(held.scan.listing.entries()).filter_map(files).collect();
            if !files.is_empty() {
                let entries = held.scan.listing.entries();
                let bytes = entries.iter().filter(|entry| entry.kind == Kind::File).map(|entry| entry.size).sum();
                shared.session.count(Counter::bytes_to_transfer, bytes);
                jobs.push(directory, &held, files, &[], shared.session);
            }
        }
    }
    Ok(())
}

/// Handles what the receiver says, until it has finished.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the queues end with this call, and the threads behind them with the queues"
)]
fn dispatch(
    shared: &Shared<'_>,
    rx: &mut tokio::sync::mpsc::Receiver<Frame>,
    to_list: mpsc::Sender<u32>,
    jobs: JobQueues,
    clock: &mut ThreadClock,
) -> Result<SenderEnd> {
    if let Some(grant) = shared.options.grant {
        granted(shared, grant, &to_list);
    }
    let mut accepted = shared.options.grant.is_some();
    loop {
        clock.enter(Phase::wait_frame);
        let Some(frame) = rx.blocking_recv() else { return Err(shared.session.lane_ended()) };
        clock.enter(Phase::list);
        shared.session.worked(1);
        match frame {
            Frame::Accept(accept) if !accepted => {
                accepted = true;
                if accept.count_first {
                    let (free_bytes, free_entries) = (accept.free_bytes, accept.free_entries);
                    return Ok(SenderEnd::CountFirst { free_bytes, free_entries });
                }
                granted(shared, accept.grant, &to_list);
            }
            Frame::Need(numbers) if accepted => {
                let mut table = shared.table();
                for number in numbers {
                    if table.grant_all || !table.scans.contains_key(&number) || !table.needed.insert(number) {
                        return Err(Error::protocol(format!("listing {number} may not be asked for")).remote());
                    }
                    let _ = to_list.send(number);
                }
            }
            Frame::Want { directory, files, resume } if accepted => {
                wanted(shared, &jobs, directory, files, &resume)?;
            }
            Frame::Settled(below) => {
                let mut table = shared.table();
                if !table.grant_all {
                    let mut kept = table.scans.split_off(&below);
                    let decided = std::mem::take(&mut table.scans);
                    kept.extend(decided.into_iter().filter(|(number, _)| table.needed.contains(number)));
                    table.scans = kept;
                }
            }
            Frame::Items(items) => {
                if let Some(events) = &shared.options.events {
                    for item in items {
                        events.item(item, shared.session);
                    }
                }
            }
            Frame::Issue(issue) => {
                if let Some(events) = &shared.options.events {
                    events.issue(issue);
                }
            }
            Frame::Profile(profile) if shared.options.profile == ProfileExchange::Ask => {
                shared.session.set_peer_profile(*profile)?;
            }
            Frame::Finished { counters, refused } => {
                if shared.session.get(Counter::walk_done) == 0 || !shared.table().needed.is_empty() {
                    return Err(Error::protocol("a result before the source was known in full").remote());
                }
                if shared.options.profile == ProfileExchange::Answer {
                    tell_profile(shared.session, &shared.control)?;
                    // What a sender has not said when its session ends is not said at all.
                    shared.control.wait_until_written(shared.session)?;
                }
                if shared.options.profile == ProfileExchange::Ask && shared.session.peer_profile().is_none() {
                    return Err(Error::protocol("a result without the profile that was asked for").remote());
                }
                shared.session.set_counters(&counters);
                return Ok(SenderEnd::Finished(refused.map(Error::from_wire)));
            }
            other => {
                return Err(Error::protocol(format!("{} has no place here", frame_name(&other))).remote());
            }
        }
    }
}

/// Tells the peer where this end's time went, up to now.
pub(super) fn tell_profile(session: &Session, control: &ControlSender) -> Result<()> {
    let Some(profiler) = session.profiler() else { return Ok(()) };
    let mut encoded = Vec::new();
    Frame::Profile(Box::new(profiler.account())).encode(&mut encoded);
    control.send_bulk(encoded)
}

fn granted(shared: &Shared<'_>, grant: Grant, to_list: &mpsc::Sender<u32>) {
    if grant == Grant::All {
        let mut table = shared.table();
        table.grant_all = true;
        for number in table.scans.range(..table.records_sent) {
            let _ = to_list.send(*number.0);
        }
    }
}

fn wanted(shared: &Shared<'_>, jobs: &JobQueues, directory: u32, files: Vec<u32>, resume: &[Resume]) -> Result<()> {
    let held = {
        let mut table = shared.table();
        if table.grant_all || !table.needed.remove(&directory) {
            return Err(Error::protocol(format!("files of directory {directory} may not be asked for")).remote());
        }
        table.scans.remove(&directory)
    };
    let Some(held) = held else {
        return Err(Error::protocol(format!("directory {directory} was never told of")).remote());
    };
    let mut bytes = 0;
    for &index in &files {
        match held.scan.listing.get(index as usize) {
            Some(entry) if entry.kind == Kind::File => bytes += entry.size,
            _ => return Err(Error::protocol(format!("entry {index} of directory {directory} is no file")).remote()),
        }
    }
    shared.session.count(Counter::bytes_to_transfer, bytes);
    if !files.is_empty() {
        jobs.push(directory, &held, files, resume, shared.session);
    }
    Ok(())
}

/// A frame's name for an error message.
pub(super) fn frame_name(frame: &Frame) -> &'static str {
    match frame {
        Frame::Hello { .. } => "hello",
        Frame::Request(_) => "a request",
        Frame::Accept(_) => "an acceptance",
        Frame::TreeDigest(_) => "a tree digest",
        Frame::Directories(_) => "directories",
        Frame::List { .. } => "a listing",
        Frame::TreeEnd { .. } => "an end of tree",
        Frame::Need(_) => "a need",
        Frame::Want { .. } => "a want",
        Frame::Settled(_) => "a settlement",
        Frame::Items(_) => "items",
        Frame::Issue(_) => "an issue",
        Frame::Heartbeat(_) => "a heartbeat",
        Frame::Finished { .. } => "a result",
        Frame::Abort(_) => "an abort",
        Frame::Profile(_) => "a profile",
        Frame::ListRequest { .. } => "a request for a list",
        Frame::ListReply { .. } => "a list",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use sparsync_proto::{Digest, Kind, Listing, Meta, Name, RelPath, Resume};

    use super::{Budget, HeldScan, JobQueues, LaneQueue, Scan, Session};

    #[test]
    fn large_files_take_the_idle_lane_and_small_ones_stay_together() {
        let mut listing = Listing::new();
        let sizes: [u64; 7] = [100, 4 << 20, 2 << 20, 100, 1 << 20, 1 << 20, 100];
        for (name, size) in sizes.iter().enumerate() {
            let name = [b'a' + u8::try_from(name).expect("few")];
            assert!(listing.push(Name::new(&name).expect("a name"), Kind::File, *size, Meta::default(), b""));
        }
        let scan = Scan {
            path: RelPath::root(),
            meta: Meta::default(),
            is_mount_point: Some(false),
            listing,
            stamps: Vec::new(),
            digest: Digest::default(),
            leftovers: Vec::new(),
            issues: Vec::new(),
        };
        let permit = Budget::default().try_acquire(7).expect("room");
        let held = Arc::new(HeldScan::new(scan, permit));
        let (jobs, queues): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel()).unzip();
        let lanes = jobs.into_iter().map(|jobs| LaneQueue { jobs, load: Arc::default() }).collect();
        let lanes = JobQueues { lanes, waiting: Arc::default() };
        let session = Session::default();
        lanes.push(0, &held, (0..7).collect(), &[Resume { index: 2, bytes: 1, digest: [0; 32] }], &session);
        let first = queues[0].try_recv().expect("a job");
        let second = queues[1].try_recv().expect("a job");
        assert_eq!((first.files.clone(), first.resume.len()), (vec![0, 2, 3, 4, 5, 6], 1));
        assert_eq!((second.files.clone(), second.resume.len()), (vec![1], 0));
        let load = |lane: usize| lanes.lanes[lane].load.load(std::sync::atomic::Ordering::Relaxed);
        assert!(load(0) > 4 << 20 && load(1) > 4 << 20);
        drop((first, second));
        assert_eq!((load(0), load(1)), (0, 0), "done");
        lanes.push(1, &held, vec![0, 3], &[], &session);
        lanes.push(2, &held, vec![0, 3], &[], &session);
        assert_eq!([&queues[0], &queues[1]].map(|queue| queue.try_iter().count()), [1, 1], "directories take turns");
    }
}
