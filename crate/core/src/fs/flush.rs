//! Flushes of a file system that several runs ask for at once: one serves everybody who asked before it began.
//!
//! Each `syncfs` waits for all that is dirty, and for the other ones. Two hundred of them one after the other are what
//! the two hundred and first would wait for; here nobody waits for more than the one under way and the next.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Dev, fstat};
use rustix::io::Errno;
use rustix::process::{getpid, getpriority_process};

use crate::storage::{CallError, FlushCount, Result};

/// The flushes of one file system, one at a time. Who wants one while none is under way makes it, and a thread of its
/// own makes those that are wanted meanwhile. That thread is as nice as the process, and a nicer one leaves all of them
/// to it: it would hold the file system's lock while it waits for a processor, and everybody behind it would wait, too.
#[derive(Debug)]
pub(super) struct Flushes {
    device: Dev,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct State {
    /// The last flush that somebody wants.
    wanted: u64,
    count: FlushCount,
    /// Nobody will want another one.
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Tells the thread that there is work, or that there will be none.
    work: Condvar,
    /// Tells those who wait that a flush is over.
    over: Condvar,
    sync: Box<dyn Fn() -> Result<()> + Send + Sync>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes as often as it is wanted, and nobody else does.
    fn serve(&self) {
        loop {
            let state = self
                .work
                .wait_while(self.state(), |state| {
                    !state.closed && (state.count.is_under_way() || !state.is_more_wanted())
                })
                .unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return;
            }
            self.flush(state);
        }
    }

    /// Makes the next flush; none is under way.
    fn flush(&self, mut state: MutexGuard<'_, State>) {
        state.count.begin();
        drop(state);
        let result = (self.sync)();
        let mut state = self.state();
        state.count.end(result);
        let is_more_wanted = state.is_more_wanted();
        drop(state);
        self.over.notify_all();
        if is_more_wanted {
            self.work.notify_one();
        }
    }
}

impl State {
    /// Whether somebody wants the next one.
    fn is_more_wanted(&self) -> bool {
        self.wanted == self.count.next()
    }
}

/// Whether this thread is as nice as the process's first one. Where the system does not tell, it may be nicer.
fn is_as_nice_as_the_process() -> bool {
    let first = getpriority_process(Some(getpid()));
    first.is_ok() && first == getpriority_process(None)
}

impl Flushes {
    /// Flushes of the file system of a directory. The descriptor is older than all that is written while this is used:
    /// the kernel tells each one of the errors since it was opened, once.
    pub(super) fn of(fd: OwnedFd) -> std::io::Result<Arc<Self>> {
        let device = fstat(&fd)?.st_dev;
        Self::start(device, move || rustix::fs::syncfs(&fd).map_err(CallError::of("syncfs")))
    }

    fn start(device: Dev, sync: impl Fn() -> Result<()> + Send + Sync + 'static) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            over: Condvar::new(),
            sync: Box::new(sync),
        });
        let serving = Arc::clone(&shared);
        std::thread::Builder::new().name("sparsync-flush".to_owned()).spawn(move || serving.serve())?;
        Ok(Arc::new(Self { device, shared }))
    }

    /// Whether these are flushes of the file system of `fd`.
    pub(super) fn are_of(&self, fd: &OwnedFd) -> std::result::Result<bool, Errno> {
        Ok(fstat(fd)?.st_dev == self.device)
    }

    /// The last flush that is over, as [`FlushCount::ended`].
    pub(super) fn ended(&self) -> u64 {
        self.shared.state().count.ended()
    }

    /// Has everything on disk that is written now. Fails if that flush failed, or one since `since`.
    pub(super) fn flush(&self, since: u64) -> (u64, Result<()>) {
        let mine = self.want(is_as_nice_as_the_process());
        (mine, self.wait(mine, since))
    }

    /// Wants a flush that has not begun yet, and says which. With `makes` it is made here if none is under way.
    fn want(&self, makes: bool) -> u64 {
        let mut state = self.shared.state();
        let mine = state.count.next();
        state.wanted = mine;
        if makes && !state.count.is_under_way() {
            self.shared.flush(state);
        } else {
            drop(state);
            self.shared.work.notify_one();
        }
        mine
    }

    fn wait(&self, mine: u64, since: u64) -> Result<()> {
        let state = self
            .shared
            .over
            .wait_while(self.shared.state(), |state| state.count.ended() < mine)
            .unwrap_or_else(PoisonError::into_inner);
        state.count.since(since)
    }
}

impl Drop for Flushes {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.work.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use rustix::io::Errno;

    use super::Flushes;
    use crate::storage::CallError;

    #[test]
    fn one_flush_serves_all_who_asked_before_it_began_and_tells_each_of_its_failure() {
        let (begun_tx, begun) = mpsc::channel();
        let (go, go_rx) = mpsc::channel();
        let go_rx = Mutex::new(go_rx);
        let flushes = Flushes::start(0, move || {
            begun_tx.send(()).expect("somebody counts");
            go_rx.lock().expect("no panic").recv().expect("somebody lets it go")
        })
        .expect("a thread");
        let first = flushes.want(false);
        begun.recv().expect("the first flush");
        let others = [(); 20].map(|()| flushes.want(false));
        assert_eq!((first, others), (1, [2; 20]), "the one under way serves none who asks now");
        go.send(Ok(())).expect("it waits");
        assert_eq!(flushes.wait(first, 0), Ok(()));
        begun.recv().expect("the second flush");
        let late = flushes.want(false);
        let failure = CallError::of("syncfs")(Errno::IO);
        go.send(Err(failure)).expect("it waits");
        for other in others {
            assert_eq!(flushes.wait(other, 0), Err(failure));
        }
        begun.recv().expect("the third flush");
        go.send(Ok(())).expect("it waits");
        assert_eq!(flushes.wait(late, 1), Err(failure), "who was writing when the second one failed");
        assert_eq!(flushes.wait(late, flushes.ended()), Ok(()), "who begins after it knows nothing of it");
    }

    #[test]
    fn who_wants_a_flush_while_none_is_under_way_makes_it_and_is_told_of_its_failure() {
        let failure = CallError::of("syncfs")(Errno::IO);
        let here = std::thread::current().id();
        let flushes =
            Flushes::start(0, move || if std::thread::current().id() == here { Err(failure) } else { Ok(()) })
                .expect("a thread");
        assert_eq!(flushes.flush(0), (1, Err(failure)));
        assert_eq!(flushes.wait(flushes.want(false), 1), Ok(()), "the thread makes what is asked for");
    }
}
