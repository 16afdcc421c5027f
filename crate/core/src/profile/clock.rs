//! The clock of one thread.

use std::sync::{Arc, Mutex};

use sparsync_proto::Phase;

use super::recording::Recording;
use super::{Profiler, SESSION_THREAD, lock};

/// Notes the phases of a thread. Empty when the session is not profiled.
#[derive(Debug, Default)]
pub(crate) struct ThreadClock(Option<Box<Running>>);

#[derive(Debug)]
struct Running {
    profiler: Arc<Profiler>,
    recording: Arc<Mutex<Recording>>,
    /// The processor time that the thread had used before it began to work for this session.
    cpu_before: u64,
    /// The thread outlives its clock: a session's own thread runs until the account is made.
    goes_on: bool,
}

/// Processor time that this thread has used, in nanoseconds.
pub(super) fn thread_cpu_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

impl ThreadClock {
    /// The clock of a thread that begins now.
    pub(crate) fn start(profiler: Option<&Arc<Profiler>>, name: &'static str, phase: Phase) -> Self {
        Self(
            profiler
                .map(|profiler| Box::new(Running::new(profiler, profiler.record(name, phase, profiler.now()), false))),
        )
    }

    /// The clock of the session's own thread, which began with the session.
    pub(crate) fn session(profiler: Option<&Arc<Profiler>>) -> Self {
        Self(
            profiler.map(|profiler| {
                Box::new(Running::new(profiler, profiler.record(SESSION_THREAD, Phase::setup, 0), true))
            }),
        )
    }

    /// Goes on to `phase`.
    #[inline]
    pub(crate) fn enter(&mut self, phase: Phase) {
        if let Some(running) = &self.0 {
            running.enter(phase);
        }
    }

    /// Does `work` in `phase`, and then returns to the phase before.
    #[inline]
    pub(crate) fn during<T>(&mut self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let Some(running) = &self.0 else { return work() };
        let before = lock(&running.recording).phase();
        running.enter(phase);
        let done = work();
        running.enter(before);
        done
    }
}

impl Running {
    fn new(profiler: &Arc<Profiler>, recording: Arc<Mutex<Recording>>, goes_on: bool) -> Self {
        Self { profiler: Arc::clone(profiler), recording, cpu_before: thread_cpu_nanos(), goes_on }
    }

    fn enter(&self, phase: Phase) {
        let now = self.profiler.now();
        let mut recording = lock(&self.recording);
        recording.enter(phase, now);
        // The time is noted before a wait, where it costs least, because the account may be made while the thread
        // waits.
        if phase.is_wait() {
            recording.used(thread_cpu_nanos().saturating_sub(self.cpu_before));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let now = self.profiler.now();
        let mut recording = lock(&self.recording);
        recording.used(thread_cpu_nanos().saturating_sub(self.cpu_before));
        if !self.goes_on {
            recording.end(now);
        }
    }
}
