//! Where the time of a session goes: phases of threads, figures, and the account of both.
//!
//! A thread of the engine has a clock, which it tells at each change of what it does or waits for; so the phases of a
//! thread have no gap. When a session is not profiled its clocks are empty, and a change costs one comparison.

mod clock;
mod recording;
mod runtime;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sparsync_proto::{EndProfile, FIGURES, Figure, Phase, ThreadProfile};

pub(crate) use clock::ThreadClock;
pub(crate) use runtime::RuntimeClock;

use recording::Recording;

/// From this size on a buffer counts as a large allocation.
const LARGE_ALLOCATION_BYTES: usize = 64 << 10;

/// The name of the session's own thread.
const SESSION_THREAD: &str = "session";

/// The name of a transport's threads.
const TRANSPORT_THREAD: &str = "quic";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The profile of one session at one end, as it is taken.
#[derive(Debug)]
pub(crate) struct Profiler {
    began: Instant,
    began_at: SystemTime,
    threads: Mutex<Vec<Arc<Mutex<Recording>>>>,
    figures: [AtomicU64; FIGURES.len()],
    /// Asks the transport for its figures, for as long as it carries the session.
    probe: Mutex<Option<Probe>>,
}

struct Probe(Box<dyn Fn(&Profiler) + Send>);

impl std::fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Probe")
    }
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Profiler {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            began_at: SystemTime::now(),
            threads: Mutex::default(),
            figures: [const { AtomicU64::new(0) }; FIGURES.len()],
            probe: Mutex::default(),
        }
    }

    /// Sets how the transport's figures are asked for when an account is made.
    pub(crate) fn probe(&self, probe: impl Fn(&Self) + Send + 'static) {
        *lock(&self.probe) = Some(Probe(Box::new(probe)));
    }

    /// The transport's figures are final.
    pub(crate) fn end_probe(&self) {
        if let Some(Probe(probe)) = lock(&self.probe).take() {
            probe(self);
        }
    }

    /// Nanoseconds since the session began.
    pub(crate) fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    /// Begins to record a thread.
    fn record(&self, name: &'static str, phase: Phase, since: u64) -> Arc<Mutex<Recording>> {
        let recording = Arc::new(Mutex::new(Recording::new(name, phase, since)));
        lock(&self.threads).push(Arc::clone(&recording));
        recording
    }

    /// Adds to a figure.
    pub(crate) fn add(&self, figure: Figure, by: u64) {
        self.figures[figure as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Raises a figure that is a maximum.
    pub(crate) fn raise(&self, figure: Figure, to: u64) {
        self.figures[figure as usize].fetch_max(to, Ordering::Relaxed);
    }

    /// Sets a figure.
    pub(crate) fn set(&self, figure: Figure, to: u64) {
        self.figures[figure as usize].store(to, Ordering::Relaxed);
    }

    /// Counts a buffer for content, if it is large.
    pub(crate) fn allocated(&self, bytes: usize) {
        if bytes >= LARGE_ALLOCATION_BYTES {
            self.add(Figure::large_allocations, 1);
            self.add(Figure::large_allocation_bytes, bytes as u64);
        }
    }

    /// The account up to now. Threads that still run are counted as if they ended now.
    pub(crate) fn account(&self) -> EndProfile {
        if let Some(Probe(probe)) = &*lock(&self.probe) {
            probe(self);
        }
        let now = self.now();
        let recordings = lock(&self.threads).clone();
        let threads: Vec<ThreadProfile> = recordings.iter().map(|recording| lock(recording).account(now)).collect();
        let mut figures: Vec<u64> = self.figures.iter().map(|figure| figure.load(Ordering::Relaxed)).collect();
        let mut derive = |figure: Figure, thread: Option<&str>, phases: &[Phase]| {
            figures[figure as usize] += sum(&threads, thread, phases);
        };
        derive(Figure::disk_read_ms, None, &[Phase::open, Phase::read, Phase::check]);
        derive(Figure::encode_ms, None, &[Phase::list, Phase::encode, Phase::compress]);
        derive(Figure::read_ms, None, &[Phase::wait_pack]);
        derive(Figure::decode_ms, None, &[Phase::decode, Phase::decompress]);
        derive(
            Figure::process_ms,
            Some(SESSION_THREAD),
            &[Phase::compare, Phase::list, Phase::make, Phase::attributes, Phase::delete],
        );
        derive(Figure::batch_split_ms, None, &[Phase::decode]);
        derive(
            Figure::batch_write_ms,
            Some("write"),
            &[Phase::decompress, Phase::hash, Phase::create, Phase::write, Phase::attributes],
        );
        derive(Figure::state_commit_ms, None, &[Phase::rename, Phase::flush]);
        derive(Figure::walk_ms, None, &[Phase::walk]);
        derive(Figure::compare_ms, None, &[Phase::compare]);
        derive(Figure::hash_ms, None, &[Phase::hash]);
        derive(Figure::compress_ms, None, &[Phase::compress, Phase::decompress]);
        derive(Figure::wait_peer_ms, None, &[Phase::wait_frame, Phase::wait_pack]);
        derive(Figure::wait_queue_ms, None, &[Phase::wait_room]);
        derive(Figure::network_ms, None, &[Phase::network]);
        derive(Figure::fsync_ms, None, &[Phase::flush]);
        derive(Figure::rename_ms, None, &[Phase::rename]);
        derive(Figure::delete_ms, None, &[Phase::delete]);
        // A thread may have ended a moment after `now`.
        let last = threads.iter().map(|thread| thread.start_nanos + thread.wall_nanos).max().unwrap_or(0);
        figures[Figure::total_ms as usize] = now.max(last);
        let started = self.began_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        EndProfile { started_at_micros: u64::try_from(started.as_micros()).unwrap_or(u64::MAX), figures, threads }
    }
}

/// Nanoseconds that threads (those of one name, if one is given) spent in phases.
fn sum(threads: &[ThreadProfile], name: Option<&str>, phases: &[Phase]) -> u64 {
    threads
        .iter()
        .filter(|thread| name.is_none_or(|name| thread.name == name))
        .flat_map(|thread| &thread.phases)
        .filter(|total| phases.iter().any(|phase| *phase as u8 == total.phase))
        .map(|total| total.nanos)
        .sum()
}

/// Adds the figures of a session to those of the sessions before it: amounts and times are summed, the largest depth of
/// a queue stays, and figures of the path are those of the last session.
pub(crate) fn add_figures(total: &mut Vec<u64>, session: &EndProfile) {
    total.resize(FIGURES.len(), 0);
    for (place, (total, &value)) in total.iter_mut().zip(&session.figures).enumerate() {
        *total = match FIGURES[place] {
            "rtt_ms" | "mtu_bytes" | "window_bytes" | "receive_window_bytes" => value,
            name if name.ends_with("_max") => (*total).max(value),
            _ => total.saturating_add(value),
        };
    }
}
