//! The state that all threads of one run share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sparsync_proto::{COUNTERS, Counter, EndProfile, Phase, Version};
use tokio::sync::Notify;

use super::rate::{Rate, Turn};
use crate::error::{Error, ErrorKind, Result, Side};
use crate::profile::{Profiler, ThreadClock};

/// How long a transport may take to say why a lane has ended.
const WHY_WITHIN: Duration = Duration::from_secs(5);

/// The shared state of one run on one side.
#[derive(Default)]
pub(crate) struct Session {
    over: AtomicBool,
    error: Mutex<Option<Error>>,
    /// Told with it when the run is over.
    over_told: Condvar,
    version: Agreed,
    /// Notified when the run is over, so that the transport lets go of the threads that wait for it.
    pub(crate) ended: Notify,
    work: AtomicU64,
    /// Long pieces of work under way that cannot be counted as they go.
    long: AtomicU64,
    counters: Counters,
    /// Bytes of this end's files that may be holes.
    sparse_bytes: AtomicU64,
    /// The profiler, if the session is profiled.
    profiler: Option<Arc<Profiler>>,
    /// The limit on what this end sends over the wire.
    wire_rate: Rate,
    /// The limits that the session's content shares with other sessions, in both directions.
    shared_rates: OnceLock<Vec<Arc<Rate>>>,
    /// Whether the peer may set that limit.
    peer_limits: AtomicBool,
    /// The limit on what this end sends where there is no wire.
    pack_rate: Rate,
    /// The account of the peer, as it has told it.
    peer_profile: Mutex<Option<EndProfile>>,
}

/// The version that both ends have agreed on, shared by everything that writes frames of the session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agreed(Arc<OnceLock<Version>>);

impl Agreed {
    /// The version; the oldest of this build until there is one.
    pub(crate) fn version(&self) -> Version {
        self.0.get().copied().unwrap_or(Version::OLDEST)
    }
}

/// Live counters, in the order of [`COUNTERS`].
pub(crate) struct Counters([AtomicU64; COUNTERS.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; COUNTERS.len()])
    }
}

impl Session {
    /// A session that is profiled if asked for.
    pub(crate) fn new(profile: bool) -> Self {
        Self { profiler: profile.then(|| Arc::new(Profiler::new())), ..Self::default() }
    }

    /// The version that both ends have agreed on; the oldest of this build until then.
    pub(crate) fn version(&self) -> Version {
        self.version.version()
    }

    /// The agreed version, for holders that do not hold the session.
    pub(crate) fn agreed(&self) -> Agreed {
        self.version.clone()
    }

    /// Sets the version that both ends have agreed on. Later calls do not change it.
    pub(crate) fn agree(&self, version: Version) {
        let _ = self.version.0.set(version);
    }

    /// Limits what this end sends in a second over the wire; 0 is no limit. It may change while it sends.
    pub(crate) fn limit_wire(&self, bytes_per_second: u64) {
        self.wire_rate.set(bytes_per_second);
    }

    /// The same for a session without a wire.
    pub(crate) fn limit_packs(&self, bytes_per_second: u64) {
        self.pack_rate.set(bytes_per_second);
    }

    /// Lets the peer limit what this end sends, if the peer is the one that has asked for the run.
    pub(crate) fn let_peer_limit(&self) {
        self.peer_limits.store(true, Ordering::Relaxed);
    }

    /// The peer limits what this end sends.
    pub(crate) fn limit_by_peer(&self, bytes_per_second: u64) -> Result<()> {
        if !self.peer_limits.load(Ordering::Relaxed) {
            return Err(Error::protocol("a limit of what the peer does not get").remote());
        }
        self.limit_wire(bytes_per_second);
        Ok(())
    }

    /// Sets the limits on content that the session shares with others.
    pub(crate) fn share_rates(&self, rates: impl IntoIterator<Item = Arc<Rate>>) {
        let _ = self.shared_rates.set(rates.into_iter().collect());
    }

    /// The limits now on content that comes from the wire.
    fn taken_rates(&self) -> impl Iterator<Item = &Rate> {
        let shared = self.shared_rates.get().map(Vec::as_slice).unwrap_or_default();
        shared.iter().map(|rate| &**rate).filter(|rate| rate.is_limited())
    }

    /// The limits on bytes that go over the wire.
    fn wire_rates(&self) -> impl Iterator<Item = &Rate> {
        std::iter::once(&self.wire_rate).filter(|rate| rate.is_limited()).chain(self.taken_rates())
    }

    /// Bytes that may go over the wire at once, where that is limited now.
    pub(crate) fn wire_piece(&self) -> Option<usize> {
        self.wire_rates().map(Rate::piece).min()
    }

    /// Waits until so many bytes may go over the wire.
    pub(crate) async fn pace_wire(&self, bytes: usize) {
        self.pace(Turn::take(self.wire_rates(), bytes)).await;
    }

    /// Waits until content of so many bytes that came may be taken.
    pub(crate) async fn pace_taken(&self, bytes: u64) {
        self.pace(Turn::take(self.taken_rates(), usize::try_from(bytes).unwrap_or(usize::MAX))).await;
    }

    async fn pace(&self, turn: Turn<'_>) {
        loop {
            let wait = turn.wait();
            if wait.is_zero() || self.is_over() {
                return;
            }
            tokio::time::sleep(wait).await;
            // A lane that waits for its turn under a limit is alive, and the session must not end as if nobody worked.
            self.worked(1);
        }
    }

    /// Whether packs of a session without a wire are limited now.
    pub(crate) fn limits_packs(&self) -> bool {
        self.pack_rate.is_limited()
    }

    /// Waits until a pack of so many bytes may go.
    pub(crate) fn pace_pack(&self, bytes: usize) -> Result<()> {
        if !self.limits_packs() {
            return Ok(());
        }
        let place = self.pack_rate.take(bytes);
        loop {
            let wait = self.pack_rate.wait(place);
            if wait.is_zero() {
                return Ok(());
            }
            self.check()?;
            std::thread::sleep(wait);
            self.worked(1);
        }
    }

    /// Where the time goes, when it is asked for.
    pub(crate) fn profiler(&self) -> Option<&Arc<Profiler>> {
        self.profiler.as_ref()
    }

    /// The clock of a thread that begins now.
    pub(crate) fn clock(&self, thread: &'static str, phase: Phase) -> ThreadClock {
        ThreadClock::start(self.profiler(), thread, phase)
    }

    /// The clock of the session's own thread.
    pub(crate) fn own_clock(&self) -> ThreadClock {
        ThreadClock::session(self.profiler())
    }

    /// Takes the peer's profile. There may be only one.
    pub(crate) fn set_peer_profile(&self, profile: EndProfile) -> Result<()> {
        let mut told = self.peer_profile.lock().unwrap_or_else(PoisonError::into_inner);
        if self.profiler.is_none() || told.is_some() {
            return Err(Error::protocol("a profile that was not asked for").remote());
        }
        *told = Some(profile);
        Ok(())
    }

    /// The peer's profile, if it has told.
    pub(crate) fn peer_profile(&self) -> Option<EndProfile> {
        self.peer_profile.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the run with an error, unless it is over already. The first error is told, but for what a violation of the
    /// peer has led to on another thread: then the violation is.
    pub(crate) fn fail(&self, error: Error) {
        let mut told = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let is_told = match &*told {
            None => !self.is_over(),
            Some(told) => told.kind() == ErrorKind::Internal && is_violation(&error),
        };
        if is_told {
            *told = Some(error);
        }
        drop(told);
        self.end();
    }

    /// Ends the run: every thread of it returns soon.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        // Whoever has looked already and does not wait yet holds the lock.
        drop(self.error.lock().unwrap_or_else(PoisonError::into_inner));
        self.over_told.notify_all();
        self.ended.notify_waiters();
        // A transport that begins to wait only now finds the permit.
        self.ended.notify_one();
    }

    /// Whether the run is over, well or not.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// The error that ended the run.
    pub(crate) fn error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails when the run is over.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.is_over() {
            return Ok(());
        }
        Err(self.error().unwrap_or_else(|| Error::new(ErrorKind::Aborted, "the run is over")))
    }

    /// Why nothing more comes from the peer. The lane ends a moment before the transport says why, so this waits for
    /// it.
    pub(crate) fn lane_ended(&self) -> Error {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.over_told.wait_timeout_while(error, WHY_WITHIN, |_| !self.is_over());
        let error = waited.unwrap_or_else(PoisonError::into_inner).0.clone();
        error.unwrap_or_else(|| {
            Error::new(ErrorKind::Closed, "the connection ended before the run was finished").remote()
        })
    }

    /// Counts work, which keeps the run from timing out.
    pub(crate) fn worked(&self, units: u64) {
        self.work.fetch_add(units, Ordering::Relaxed);
    }

    /// Does a piece of work that may take long and counts nothing meanwhile: hashing a large file, a flush.
    pub(crate) fn long_work<T>(&self, work: impl FnOnce() -> T) -> T {
        self.long.fetch_add(1, Ordering::Relaxed);
        let done = work();
        self.long.fetch_sub(1, Ordering::Relaxed);
        self.worked(1);
        done
    }

    /// The work done so far. While long work is under way, it grows with each call.
    pub(crate) fn work(&self) -> u64 {
        if self.long.load(Ordering::Relaxed) > 0 {
            self.worked(1);
        }
        self.work.load(Ordering::Relaxed)
    }

    /// Adds to a counter.
    pub(crate) fn count(&self, counter: Counter, by: u64) {
        self.counters.0[counter as usize].fetch_add(by, Ordering::Release);
        self.worked(1);
    }

    /// Sets a counter.
    pub(crate) fn set(&self, counter: Counter, to: u64) {
        self.counters.0[counter as usize].store(to, Ordering::Relaxed);
    }

    /// A counter's value.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.counters.0[counter as usize].load(Ordering::Relaxed)
    }

    /// All counters. Counters of work done are read before the totals, because totals grow first: no reading may show
    /// more done than there is to do.
    pub(crate) fn counters(&self) -> Vec<u64> {
        let mut values: Vec<u64> =
            self.counters.0.iter().rev().map(|counter| counter.load(Ordering::Acquire)).collect();
        values.reverse();
        values
    }

    /// Counts bytes of this end's files that may be holes. The counters of the peer do not have them.
    pub(crate) fn count_sparse(&self, bytes: u64) {
        self.sparse_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many there are.
    pub(crate) fn sparse_bytes(&self) -> u64 {
        self.sparse_bytes.load(Ordering::Relaxed)
    }

    /// Takes over the counters of a peer's account.
    pub(crate) fn set_counters(&self, values: &[u64]) {
        for (counter, value) in self.counters.0.iter().zip(values) {
            counter.store(*value, Ordering::Relaxed);
        }
    }

    /// Runs a thread's work: an error or a panic ends the whole run.
    pub(crate) fn guard(&self, name: &str, work: impl FnOnce() -> Result<()>) {
        if let Err(error) = caught(work) {
            self.fail(if error.kind() == ErrorKind::Internal { error.during(name) } else { error });
        }
    }
}

/// Whether the peer has broken the protocol.
fn is_violation(error: &Error) -> bool {
    error.kind() == ErrorKind::Protocol && error.side() == Side::Remote
}

/// Runs `work`; a panic becomes an error, because other threads wait for the result.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::internal("a thread of the run panicked")))
}

/// Starts a thread of a run. If it cannot be started, for want of memory or of room for processes, the run ends.
pub(crate) fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    session: &'scope Session,
    name: &'static str,
    work: impl FnOnce() -> Result<()> + Send + 'scope,
) {
    start(std::thread::Builder::new(), scope, session, name, work);
}

fn start<'scope>(
    builder: std::thread::Builder,
    scope: &'scope std::thread::Scope<'scope, '_>,
    session: &'scope Session,
    name: &'static str,
    work: impl FnOnce() -> Result<()> + Send + 'scope,
) {
    let started = builder.name(name.to_owned()).spawn_scoped(scope, move || session.guard(name, work));
    if let Err(error) = started {
        session.fail(Error::io("cannot start a thread", b"", error));
    }
}

#[cfg(test)]
mod tests {
    use super::{Session, start};
    use crate::error::{Error, ErrorKind};

    #[test]
    fn who_has_not_asked_for_content_does_not_limit_it() {
        let session = Session::default();
        assert_eq!(session.limit_by_peer(1).map_err(|error| error.kind()), Err(ErrorKind::Protocol));
        assert_eq!(session.wire_piece(), None);
        session.let_peer_limit();
        session.limit_by_peer(100_000).unwrap();
        assert_eq!(session.wire_piece(), Some(2000));
    }

    #[test]
    fn a_violation_of_the_peer_is_told_whichever_thread_is_first() {
        let violation = || Error::protocol("what may not be said").remote();
        for (first, second, told) in [
            (Error::internal("a listing that is gone"), violation(), ErrorKind::Protocol),
            (violation(), Error::internal("a listing that is gone"), ErrorKind::Protocol),
            (Error::new(ErrorKind::Aborted, "canceled"), violation(), ErrorKind::Aborted),
            (Error::internal("of our own"), Error::protocol("of our own"), ErrorKind::Internal),
        ] {
            let session = Session::default();
            session.fail(first);
            session.fail(second);
            assert_eq!(session.error().map(|error| error.kind()), Some(told));
        }
        let session = Session::default();
        session.end();
        session.fail(violation());
        assert!(session.error().is_none(), "what ended well stays so");
    }

    #[test]
    fn a_thread_that_cannot_be_started_ends_the_run() {
        let session = Session::default();
        // No machine has room for such a stack.
        let builder = std::thread::Builder::new().stack_size(usize::MAX >> 2);
        std::thread::scope(|scope| start(builder, scope, &session, "sparsync-test", || Ok(())));
        assert!(session.is_over());
        assert_eq!(session.error().map(|error| error.kind()), Some(ErrorKind::Io));
    }
}
