//! A server that is all that its process does: signals end it, have it read its keys again, and a system manager and a
//! log hear of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::{Noted, Server, ServerOptions, lock, notify_manager};
use crate::error::{Error, Result};

/// How often events are taken to the log.
const LOG_EVERY: Duration = Duration::from_millis(100);

/// Serves until SIGINT or SIGTERM, which give runs `grace` to finish; SIGHUP has the authorized keys read again.
///
/// `listening` is called once the server listens, `note` with each event if the options ask for a log, `hurry` at a
/// second signal while it closes. `note` says false of an event that is lost. To be called before there are other
/// threads: those have the signals kept from them.
pub fn serve_in_foreground(
    options: ServerOptions,
    grace: Duration,
    listening: impl FnOnce(&Arc<Server>) -> Result<()>,
    note: impl Fn(&Noted<'_>) -> bool + Send + Sync + 'static,
    hurry: impl FnOnce() + Send + 'static,
) -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1].into_iter().collect();
    let failed = |errno: nix::Error| Error::io("cannot wait for signals", b"", errno.into());
    signals.thread_block().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("cannot start a runtime", b"", error))?;
    let server = Arc::new(runtime.block_on(Server::start(options))?);
    listening(&server)?;
    tell("READY=1");
    let note = Arc::new(note);
    let writer = LogWriter::start(&server, &note)?;
    let signal = loop {
        match signals.wait().map_err(failed)? {
            Signal::SIGHUP => {
                writer.write();
                note(&Noted::Reload { restart: Vec::new() });
                server.reload();
            }
            // Some programs open their logs again at this signal. For those that try that here, it must not end the
            // server.
            Signal::SIGUSR1 => {}
            signal => break signal,
        }
    };
    let sessions = server.shared.registry.active() as u64;
    writer.write();
    note(&Noted::Closing { signal: signal.as_str().to_owned(), sessions, grace });
    tell("STOPPING=1");
    let waiting = std::thread::Builder::new().name("sparsync-signals".to_owned());
    // The thread is not joined: it ends with the process.
    let waits = waiting.spawn(move || {
        while matches!(signals.wait(), Ok(Signal::SIGHUP | Signal::SIGUSR1)) {}
        hurry();
    });
    waits.map_err(|error| Error::io("cannot start a thread", b"", error))?;
    runtime.block_on(server.close(grace));
    writer.end();
    note(&Noted::Closed);
    Ok(())
}

/// Takes events to the log, on a thread of its own.
struct LogWriter {
    write: Arc<dyn Fn() + Send + Sync>,
    is_over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl LogWriter {
    fn start(server: &Arc<Server>, note: &Arc<impl Fn(&Noted<'_>) -> bool + Send + Sync + 'static>) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (server, note, over) = (Arc::clone(server), Arc::clone(note), Arc::clone(&is_over));
        // Events that one thread has taken are written before those that another takes.
        let taking = Mutex::new(());
        let write = move || {
            let _taking = lock(&taking);
            for event in server.take_events() {
                if !note(&Noted::Happened(&event)) {
                    server.log_lost();
                }
            }
        };
        let write: Arc<dyn Fn() + Send + Sync> = Arc::new(write);
        let writes = Arc::clone(&write);
        let writing = move || {
            loop {
                // The end is read first, so that events from before it are still taken after it.
                let is_last = over.load(Ordering::SeqCst);
                writes();
                if is_last {
                    return;
                }
                std::thread::park_timeout(LOG_EVERY);
            }
        };
        let thread = std::thread::Builder::new().name("sparsync-log".to_owned()).spawn(writing);
        let thread = thread.map_err(|error| Error::io("cannot start a thread", b"", error))?;
        Ok(Self { write, is_over, thread })
    }

    /// Writes what has happened until now, so that what is noted next stands behind it.
    fn write(&self) {
        (self.write)();
    }

    /// Waits until the rest is written.
    fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// A server must not fail because its manager cannot be told.
fn tell(state: &str) {
    if let Some(socket) = std::env::var("NOTIFY_SOCKET").ok().filter(|socket| !socket.is_empty()) {
        let _ = notify_manager(&socket, state);
    }
}
