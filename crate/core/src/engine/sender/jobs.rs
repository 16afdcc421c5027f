//! Deals out the files to be sent to the lanes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use sparsync_proto::limits::WHOLE_FILE_BYTES_MAX;
use sparsync_proto::session::Holds;
use sparsync_proto::{Basis, Figure, Listing, Resume};

use crate::engine::budget::Permit;
use crate::engine::session::Session;
use crate::storage::Scan;

/// A directory whose listing the receiver may still ask for.
pub(in crate::engine) struct HeldScan {
    /// What was found.
    pub(in crate::engine) scan: Scan,
    _permit: Permit,
}

impl Holds for HeldScan {
    fn listing(&self) -> &Listing {
        &self.scan.listing
    }
}

impl HeldScan {
    pub(in crate::engine) fn new(scan: Scan, permit: Permit) -> Self {
        Self { scan, _permit: permit }
    }
}

/// Files of one directory that the receiver waits for, and that take this lane.
pub(in crate::engine) struct ContentJob {
    /// The directory's number.
    pub(in crate::engine) directory: u32,
    /// Its listing.
    pub(in crate::engine) held: Arc<HeldScan>,
    /// Indices into it.
    pub(in crate::engine) files: Vec<u32>,
    /// The parts that the receiver holds already, ascending by file.
    pub(in crate::engine) resume: Vec<Resume>,
    /// Files of which the receiver has an older state.
    pub(in crate::engine) bases: Vec<Basis>,
    pub(in crate::engine) _load: Load,
}

/// A job's share in the load of its lane, until the job is done.
pub(in crate::engine) struct Load {
    lane: Arc<AtomicU64>,
    own: u64,
}

impl Load {
    pub(in crate::engine) fn add(lane: &Arc<AtomicU64>, own: u64) -> Self {
        lane.fetch_add(own, Ordering::Relaxed);
        Self { lane: Arc::clone(lane), own }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.lane.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// The queues of the lanes.
#[derive(Clone)]
pub(super) struct JobQueues<'a> {
    lanes: Vec<LaneQueue<'a>>,
    /// Jobs that no reader has taken yet.
    waiting: Arc<AtomicU64>,
}

/// Begins a lane's reader.
type Begin<'a> = Box<dyn FnOnce() + Send + 'a>;

#[derive(Clone)]
struct LaneQueue<'a> {
    jobs: mpsc::Sender<ContentJob>,
    /// The load of the jobs that wait there or are being read.
    load: Arc<AtomicU64>,
    /// Begins the lane's reader, until that has begun.
    begin: Arc<Mutex<Option<Begin<'a>>>>,
}

/// What a file costs besides its bytes, given as the number of bytes that take as long.
const FILE_LOAD: u64 = 16 << 10;

/// The queues of lanes. Each has what begins its reader, which takes jobs there and notes that fewer wait. It is called
/// with the lane's first job: most runs change nothing, and would be longer by the threads that they start.
pub(super) fn lane_queues<'a, B>(readers: impl Iterator<Item = B>) -> JobQueues<'a>
where
    B: FnOnce(mpsc::Receiver<ContentJob>, Arc<AtomicU64>) + Send + 'a,
{
    let waiting = Arc::<AtomicU64>::default();
    let queue = |reader: B| {
        let (jobs, queue) = mpsc::channel();
        let waiting = Arc::clone(&waiting);
        let begin: Begin<'a> = Box::new(move || reader(queue, waiting));
        LaneQueue { jobs, load: Arc::default(), begin: Arc::new(Mutex::new(Some(begin))) }
    };
    JobQueues { lanes: readers.map(queue).collect(), waiting }
}

impl LaneQueue<'_> {
    fn push(&self, job: ContentJob) {
        // A lane that is gone has failed the session already.
        let _ = self.jobs.send(job);
        let begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(begin) = begin {
            begin();
        }
    }
}

impl JobQueues<'_> {
    /// Deals the files of a directory out. The small ones all take the lane that has least to do: two writers that make
    /// files in one directory wait for each other. Each large file takes the lane that then has least to do.
    pub(super) fn push(
        &self,
        directory: u32,
        held: &Arc<HeldScan>,
        files: Vec<u32>,
        (resume, bases): (&[Resume], &[Basis]),
        session: &Session,
    ) {
        if files.is_empty() {
            return;
        }
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
            let mut resume: Vec<Resume> =
                resume.iter().filter(|resume| files.binary_search(&resume.index).is_ok()).copied().collect();
            // The reader looks files up by a binary search, and the question may have them in any order.
            resume.sort_unstable_by_key(|resume| resume.index);
            let bases = bases.iter().filter(|basis| files.binary_search(&basis.index).is_ok()).copied().collect();
            let load = Load::add(&self.lanes[lane].load, loads[lane] - before[lane]);
            let job = ContentJob { directory, held: Arc::clone(held), files, resume, bases, _load: load };
            let before = self.waiting.fetch_add(1, Ordering::Relaxed);
            if let Some(profiler) = session.profiler() {
                profiler.raise(Figure::job_queue_max, before + 1);
            }
            self.lanes[lane].push(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use sparsync_proto::{Digest, Kind, Listing, Meta, Name, RelPath, Resume, Xattrs};

    use super::{HeldScan, Scan, Session, lane_queues};
    use crate::engine::budget::Budget;

    #[test]
    fn large_files_take_the_idle_lane_and_small_ones_stay_together() {
        let mut listing = Listing::new();
        let sizes: [u64; 7] = [100, 4 << 20, 2 << 20, 100, 1 << 20, 1 << 20, 100];
        for (name, size) in sizes.iter().enumerate() {
            let name = [b'a' + u8::try_from(name).expect("few")];
            assert!(listing.push(Name::new(&name).expect("a name"), Kind::File, *size, Meta::default(), b""));
        }
        let scan = Scan {
            device: 0,
            unlisted: false,
            boundaries: Vec::new(),
            path: RelPath::root(),
            meta: Meta::default(),
            xattrs: Xattrs::default(),
            is_mount_point: Some(false),
            listing,
            stamps: Vec::new(),
            digest: Digest::default(),
            leaves_out: false,
            in_force: sparsync_proto::InForce::default(),
            bad_rules: None,
            leftovers: Vec::new(),
            issues: Vec::new(),
        };
        let permit = Budget::default().try_acquire(7).expect("room");
        let held = Arc::new(HeldScan::new(scan, permit));
        let (begun, queues) = mpsc::channel();
        let lanes = lane_queues((0..2).map(|lane| {
            let begun = begun.clone();
            move |queue, _| begun.send((lane, queue)).expect("somebody waits")
        }));
        let session = Session::default();
        lanes.push(0, &held, Vec::new(), (&[], &[]), &session);
        assert!(queues.try_recv().is_err(), "without a job no reader begins");
        lanes.push(0, &held, (0..7).collect(), (&[Resume { index: 2, bytes: 1, digest: [0; 32] }], &[]), &session);
        let queues: [_; 2] = std::array::from_fn(|lane| {
            let (begun, queue) = queues.try_recv().expect("a reader");
            assert_eq!(begun, lane);
            queue
        });
        let first = queues[0].try_recv().expect("a job");
        let second = queues[1].try_recv().expect("a job");
        assert_eq!((first.files.clone(), first.resume.len()), (vec![0, 2, 3, 4, 5, 6], 1));
        assert_eq!((second.files.clone(), second.resume.len()), (vec![1], 0));
        let load = |lane: usize| lanes.lanes[lane].load.load(std::sync::atomic::Ordering::Relaxed);
        assert!(load(0) > 4 << 20 && load(1) > 4 << 20);
        drop((first, second));
        assert_eq!((load(0), load(1)), (0, 0), "done");
        lanes.push(1, &held, vec![0, 3], (&[], &[]), &session);
        lanes.push(2, &held, vec![0, 3], (&[], &[]), &session);
        assert_eq!([&queues[0], &queues[1]].map(|queue| queue.try_iter().count()), [1, 1], "directories take turns");
    }
}
