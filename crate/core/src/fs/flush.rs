//! Flushes of a file system that several runs ask for at once: one serves everybody who asked before it began.
//!
//! Each `syncfs` waits for all that is dirty, and for the other ones. Two hundred of them one after the other are what
//! the two hundred and first would wait for; here nobody waits for more than the one under way and the next.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Dev, fstat};
use rustix::io::Errno;

use crate::storage::{CallError, Result};

/// The flushes of one file system, on a thread of their own. That one is as nice as the process: a nicer one would hold
/// the file system's lock while it waits for a processor, and everybody behind it would wait, too.
#[derive(Debug)]
pub(super) struct Flushes {
    device: Dev,
    shared: Arc<Shared>,
}

/// Flushes are counted from 1.
#[derive(Debug, Default)]
struct State {
    /// The last flush that somebody wants.
    wanted: u64,
    /// The last one that has begun.
    begun: u64,
    /// The last one that is over.
    ended: u64,
    /// The last one that failed, and why.
    failed: Option<(u64, CallError)>,
    /// Nobody will want another one.
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, waits: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| waits(state)).unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes as often as it is wanted.
    fn serve(&self, sync: impl Fn() -> Result<()>) {
        loop {
            let mut state = self.wait_while(|state| state.wanted == state.begun && !state.closed);
            if state.closed {
                return;
            }
            state.begun += 1;
            drop(state);
            let result = sync();
            let mut state = self.state();
            state.ended = state.begun;
            if let Err(error) = result {
                state.failed = Some((state.ended, error));
            }
            drop(state);
            self.changed.notify_all();
        }
    }
}

impl Flushes {
    /// Flushes of the file system of a directory. The descriptor is older than all that is written while this is used:
    /// the kernel tells each one of the errors since it was opened, once.
    pub(super) fn of(fd: OwnedFd) -> std::io::Result<Arc<Self>> {
        let device = fstat(&fd)?.st_dev;
        Self::start(device, move || rustix::fs::syncfs(&fd).map_err(CallError::of("syncfs")))
    }

    fn start(device: Dev, sync: impl Fn() -> Result<()> + Send + 'static) -> std::io::Result<Arc<Self>> {
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        std::thread::Builder::new().name("sparsync-flush".to_owned()).spawn(move || serving.serve(sync))?;
        Ok(Arc::new(Self { device, shared }))
    }

    /// Whether these are flushes of the file system of `fd`.
    pub(super) fn are_of(&self, fd: &OwnedFd) -> std::result::Result<bool, Errno> {
        Ok(fstat(fd)?.st_dev == self.device)
    }

    /// The last flush that is over: what fails later may concern somebody who begins to write now.
    pub(super) fn ended(&self) -> u64 {
        self.shared.state().ended
    }

    /// Has everything on disk that is written now. Fails if that flush failed, or one since `since`.
    pub(super) fn flush(&self, since: u64) -> (u64, Result<()>) {
        let mine = self.ask();
        (mine, self.wait(mine, since))
    }

    /// Wants a flush that has not begun yet, and says which.
    fn ask(&self) -> u64 {
        let mut state = self.shared.state();
        let mine = state.begun + 1;
        state.wanted = mine;
        drop(state);
        self.shared.changed.notify_all();
        mine
    }

    fn wait(&self, mine: u64, since: u64) -> Result<()> {
        let state = self.shared.wait_while(|state| state.ended < mine);
        state.failed.filter(|(failed, _)| *failed > since).map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl Drop for Flushes {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
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
        let first = flushes.ask();
        begun.recv().expect("the first flush");
        let others = [(); 20].map(|()| flushes.ask());
        assert_eq!((first, others), (1, [2; 20]), "the one under way serves none who asks now");
        go.send(Ok(())).expect("it waits");
        assert_eq!(flushes.wait(first, 0), Ok(()));
        begun.recv().expect("the second flush");
        let late = flushes.ask();
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
}
