//! The threads of a transport, which belong to no session: the runtime tells when each of them parks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use sparsync_proto::Phase;

use super::clock::thread_cpu_nanos;
use super::recording::Recording;
use super::{Profiler, TRANSPORT_THREAD, lock};

/// Watches the threads of one runtime for the sessions that are profiled. Without one it costs a load at each park.
#[derive(Debug, Default)]
pub(crate) struct RuntimeClock {
    watching: AtomicUsize,
    sessions: Mutex<Vec<Watched>>,
}

#[derive(Debug)]
struct Watched {
    profiler: Arc<Profiler>,
    threads: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    id: ThreadId,
    recording: Arc<Mutex<Recording>>,
    cpu_before: u64,
}

/// A session is watched for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watch {
    clock: Arc<RuntimeClock>,
    profiler: Arc<Profiler>,
}

impl RuntimeClock {
    /// Has a runtime tell when its threads park.
    pub(crate) fn install(self: &Arc<Self>, runtime: &mut tokio::runtime::Builder) {
        let (parks, unparks) = (Arc::clone(self), Arc::clone(self));
        runtime
            .on_thread_park(move || parks.enters(Phase::idle))
            .on_thread_unpark(move || unparks.enters(Phase::network));
    }

    /// Watches the threads for a session, if it is profiled.
    pub(crate) fn watch(self: &Arc<Self>, profiler: Option<&Arc<Profiler>>) -> Option<Watch> {
        let profiler = Arc::clone(profiler?);
        lock(&self.sessions).push(Watched { profiler: Arc::clone(&profiler), threads: Vec::new() });
        self.watching.fetch_add(1, Ordering::SeqCst);
        Some(Watch { clock: Arc::clone(self), profiler })
    }

    fn enters(&self, phase: Phase) {
        if self.watching.load(Ordering::Relaxed) == 0 {
            return;
        }
        let (id, cpu) = (std::thread::current().id(), thread_cpu_nanos());
        for Watched { profiler, threads } in lock(&self.sessions).iter_mut() {
            let now = profiler.now();
            if let Some(worker) = threads.iter().find(|worker| worker.id == id) {
                let mut recording = lock(&worker.recording);
                recording.enter(phase, now);
                recording.used(cpu.saturating_sub(worker.cpu_before));
                continue;
            }
            // Until now the thread was in the other state.
            let before = if phase == Phase::idle { Phase::network } else { Phase::idle };
            let recording = profiler.record(TRANSPORT_THREAD, before, 0);
            lock(&recording).enter(phase, now);
            threads.push(Worker { id, recording, cpu_before: cpu });
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.clock.watching.fetch_sub(1, Ordering::SeqCst);
        let mut sessions = lock(&self.clock.sessions);
        if let Some(at) = sessions.iter().position(|watched| Arc::ptr_eq(&watched.profiler, &self.profiler)) {
            let now = self.profiler.now();
            for worker in sessions.swap_remove(at).threads {
                lock(&worker.recording).end(now);
            }
        }
    }
}
