//! A server that is all that its process does: signals end it, have it read its keys again, and a system manager hears of it.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::{Server, ServerOptions, notify_manager};
use crate::error::{Error, Result};

/// Serves until SIGINT or SIGTERM, which give runs `grace` to finish; SIGHUP has the authorized keys read again.
///
/// `listening` is called once the server listens, `hurry` at a second signal while it closes. To be called before there are
/// other threads: those have the signals kept from them.
pub fn serve_in_foreground(
    options: ServerOptions,
    grace: Duration,
    listening: impl FnOnce(&Server),
    hurry: impl FnOnce() + Send + 'static,
) -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let failed = |errno: nix::Error| Error::io("cannot wait for signals", b"", errno.into());
    signals.thread_block().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("cannot start a runtime", b"", error))?;
    let server = Arc::new(runtime.block_on(Server::start(options))?);
    listening(&server);
    tell("READY=1");
    while signals.wait().map_err(failed)? == Signal::SIGHUP {
        server.reload();
    }
    tell("STOPPING=1");
    let waiting = std::thread::Builder::new().name("sparsync-signals".to_owned());
    // Nobody waits for it: the process ends with the server.
    let waits = waiting.spawn(move || {
        while matches!(signals.wait(), Ok(Signal::SIGHUP)) {}
        hurry();
    });
    waits.map_err(|error| Error::io("cannot start a thread", b"", error))?;
    runtime.block_on(server.close(grace));
    Ok(())
}

/// A manager that cannot be told is not what a server fails for.
fn tell(state: &str) {
    if let Some(socket) = std::env::var("NOTIFY_SOCKET").ok().filter(|socket| !socket.is_empty()) {
        let _ = notify_manager(&socket, state);
    }
}
