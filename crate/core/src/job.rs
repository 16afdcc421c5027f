//! One run as its caller holds it: started, watched, canceled, awaited.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sparsync_proto::{COUNTERS, Counter, EndProfile};
use tokio::sync::watch;

use crate::engine::{EventNeeds, EventQueue, Failures, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::WireCounters;

/// Counters of this side's transport, behind those of the receiver.
const WIRE_COUNTERS: [&str; 5] = ["bytes_sent", "bytes_received", "control_frames", "streams_opened", "round_trips"];

/// The names of all counters of a run, in the order of [`Job::stats`].
#[must_use]
pub fn stat_names() -> Vec<&'static str> {
    COUNTERS.iter().copied().chain(WIRE_COUNTERS).collect()
}

/// How a run ended when it did not fail as a whole.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// Counters by name.
    pub stats: Vec<(&'static str, u64)>,
    /// Paths that did not arrive, and notices.
    pub failures: Failures,
    /// The error of deletions that were refused at the end, when everything else was done.
    pub refused: Option<Error>,
    /// The accounts of time of this end and of the other, if they were asked for.
    pub profile: Option<(EndProfile, EndProfile)>,
}

/// A run. Dropping it does not end the run; [`Job::cancel`] does.
#[derive(Clone)]
pub struct Job(Arc<Shared>);

struct Shared {
    events: Arc<EventQueue>,
    session: Mutex<Arc<Session>>,
    wire: Arc<WireCounters>,
    canceled: AtomicBool,
    limit: Mutex<Limit>,
    result: watch::Sender<Option<Result<JobResult>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The limit on what a run sends in a second.
#[derive(Default)]
struct Limit {
    /// The limit that the run's caller has set since it began; 0 is none.
    set: Option<u64>,
    /// Lets the session under way know of another one.
    apply: Option<Box<dyn Fn(u64) + Send>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts of a job that the thread of its run uses.
pub(crate) struct JobContext {
    job: Arc<Shared>,
    events: Arc<EventQueue>,
}

impl JobContext {
    fn new(job: Arc<Shared>) -> Self {
        Self { events: Arc::clone(&job.events), job }
    }

    /// The same run while its need is counted. The events of this pass are dropped, because the run that follows tells
    /// them again.
    pub(crate) fn counting(&self) -> Self {
        Self { job: Arc::clone(&self.job), events: Arc::default() }
    }

    /// Whether this is such a pass.
    pub(crate) fn is_counting(&self) -> bool {
        !Arc::ptr_eq(&self.events, &self.job.events)
    }

    /// The run's events.
    pub(crate) fn events(&self) -> &Arc<EventQueue> {
        &self.events
    }

    /// The run's transport counters.
    pub(crate) fn wire(&self) -> &Arc<WireCounters> {
        &self.job.wire
    }

    /// Fails when the run was called off.
    pub(crate) fn check(&self) -> Result<()> {
        if self.job.canceled.load(Ordering::SeqCst) { Err(canceled()) } else { Ok(()) }
    }

    /// Begins a session, which the caller can cancel and watch.
    pub(crate) fn begin(&self, profile: bool) -> Result<Arc<Session>> {
        let session = Arc::new(Session::new(profile));
        *lock(&self.job.session) = Arc::clone(&session);
        if self.job.canceled.load(Ordering::SeqCst) {
            session.fail(canceled());
        }
        session.check()?;
        Ok(session)
    }

    /// Lets `apply` change the limit of a session that began with the limit `asked`: now, if the run's caller has
    /// changed it since, and whenever it does so later.
    pub(crate) fn limited_by(&self, asked: u64, apply: impl Fn(u64) + Send + 'static) {
        let mut limit = lock(&self.job.limit);
        if let Some(other) = limit.set.filter(|set| *set != asked) {
            apply(other);
        }
        limit.apply = Some(Box::new(apply));
    }
}

fn canceled() -> Error {
    Error::new(ErrorKind::Aborted, "the run was canceled")
}

impl Job {
    /// Starts `work` on a thread of its own.
    pub(crate) fn start(
        needs: EventNeeds,
        work: impl FnOnce(&JobContext) -> Result<Option<Error>> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            events: Arc::new(EventQueue::new(needs)),
            session: Mutex::default(),
            wire: Arc::default(),
            canceled: AtomicBool::new(false),
            limit: Mutex::default(),
            result: watch::channel(None).0,
            thread: Mutex::default(),
        });
        let context = JobContext::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("sparsync-job".to_owned())
            .spawn(move || {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&context)))
                    .unwrap_or_else(|_| Err(Error::internal("the run's thread panicked")));
                context.job.finish(outcome);
            })
            .map_err(|error| Error::io("cannot start a thread", b"", error))?;
        *lock(&shared.thread) = Some(thread);
        Ok(Self(shared))
    }

    /// Ends the run as soon as its threads notice. Complete entries stay; unfinished ones are removed, except for
    /// partial files.
    pub fn cancel(&self) {
        self.0.canceled.store(true, Ordering::SeqCst);
        lock(&self.0.session).fail(canceled());
    }

    /// Limits the bytes sent in a second from now on, also at the other end if that sends; 0 is no limit.
    pub fn set_bwlimit(&self, bytes_per_second: u64) {
        let mut limit = lock(&self.0.limit);
        limit.set = Some(bytes_per_second);
        if let Some(apply) = &limit.apply {
            apply(bytes_per_second);
        }
    }

    /// Counters of the run so far, in the order of [`stat_names`].
    #[must_use]
    pub fn stats(&self) -> Vec<u64> {
        self.0.stats()
    }

    /// The next events; none when the run is over and all events were read.
    pub async fn next_events(&self, max: usize) -> Option<Vec<crate::Event>> {
        let events = Arc::clone(&self.0.events);
        events.next(max).await
    }

    /// Waits until the run is over and its threads are gone.
    pub async fn done(&self) -> Result<JobResult> {
        let mut result = self.0.result.subscribe();
        let ended = result.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err(Error::internal("a run without a result")),
        }
    }

    /// Cancels the run and waits for its threads, from a thread that may wait.
    pub fn join(&self) {
        self.cancel();
        let thread = lock(&self.0.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The counters at this moment; after the end those of the result, which nothing changes any more.
    fn stats(&self) -> Vec<u64> {
        if let Some(Ok(result)) = &*self.result.borrow() {
            return result.stats.iter().map(|(_, value)| *value).collect();
        }
        let mut stats = lock(&self.session).counters();
        // The session counts the failures of this end; the events have those of both.
        if let Some(failed) = stats.get_mut(Counter::files_failed as usize) {
            *failed = self.events.failed();
        }
        let wire = &self.wire;
        for counter in
            [&wire.bytes_sent, &wire.bytes_received, &wire.control_frames, &wire.streams_opened, &wire.round_trips]
        {
            stats.push(counter.load(Ordering::Relaxed));
        }
        stats
    }

    fn finish(&self, outcome: Result<Option<Error>>) {
        let outcome = outcome.map(|refused| {
            let stats = stat_names().into_iter().zip(self.stats()).collect();
            let failures = self.events.failures();
            let session = lock(&self.session);
            let profile = session.profiler().map(|profiler| profiler.account()).zip(session.peer_profile());
            JobResult { stats, failures, refused, profile }
        });
        // A canceled run ends as canceled, whatever the peer said last.
        let outcome = match outcome {
            Err(_) if self.canceled.load(Ordering::SeqCst) => Err(canceled()),
            outcome => outcome,
        };
        self.events.finish();
        self.result.send_replace(Some(outcome));
    }
}
