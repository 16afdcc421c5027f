//! A peer that says nothing: for how long, and whether it is there at all.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sparsync_proto::Frame;
use tokio::time::sleep;

use crate::engine::{Session, UrgentSender};
use crate::error::{Error, ErrorKind};
use crate::net::reachable::refused;

/// How often it is looked whether something came.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the peer may be silent before it is made to answer. One that has restarted answers that it does not know
/// the connection.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// After so long its machine is asked as well.
const PROBE_AFTER: Duration = Duration::from_millis(1500);

/// How long that may take.
const PROBE_TAKES: Duration = Duration::from_secs(1);

/// How often the peer's machine must say that nothing listens. One report may be forged, or come while the server is
/// replaced.
const REFUSED_TIMES: u32 = 2;

/// When the peer was heard last.
pub(super) struct Silence {
    connection: quinn::Connection,
    heard: Mutex<(u64, Instant)>,
}

impl Silence {
    pub(super) fn new(connection: quinn::Connection) -> Self {
        let heard = Mutex::new((connection.stats().udp_rx.datagrams, Instant::now()));
        Self { connection, heard }
    }

    /// How long nothing has come, as of the last look.
    fn look(&self) -> Duration {
        let datagrams = self.connection.stats().udp_rx.datagrams;
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.0 != datagrams {
            *heard = (datagrams, Instant::now());
        }
        heard.1.elapsed()
    }

    /// Ends when the peer's machine says that nothing listens there any more, and nothing else comes from it.
    pub(super) async fn watch(&self, session: &Session, urgent: UrgentSender) -> Error {
        let (mut ask_at, mut refusals) = (ASK_AFTER, 0);
        loop {
            sleep(LOOK_EVERY).await;
            let silent = self.look();
            if silent < ASK_AFTER {
                (ask_at, refusals) = (ASK_AFTER, 0);
                continue;
            }
            if silent >= ask_at {
                // Questions become ever rarer, because each of them causes a report that the probe below would miss.
                ask_at = silent * 2;
                urgent.send(&Frame::Heartbeat(session.work()));
            }
            // No report proves nothing: a system sends such reports to one address only once a second.
            if silent >= PROBE_AFTER && refuses(self.connection.remote_address()).await {
                refusals += 1;
            }
            if refusals >= REFUSED_TIMES && self.look() >= ASK_AFTER {
                return Error::new(
                    ErrorKind::Closed,
                    "the server is not running any more: nobody listens at its address",
                )
                .remote();
            }
        }
    }

    /// Adds to the timeout of a run or a connection that the peer was silent, and for how long.
    pub(super) fn explain(&self, error: Error) -> Error {
        let silent = self.look();
        if error.kind() != ErrorKind::Timeout || silent < ASK_AFTER {
            return error;
        }
        let message = format!("the peer was silent for {} seconds: is the network still there?", silent.as_secs());
        Error::new(ErrorKind::Timeout, message).because(error)
    }

    /// Waits until the connection has ended, whichever way.
    pub(super) async fn lost(&self) {
        self.connection.closed().await;
    }
}

async fn refuses(remote: SocketAddr) -> bool {
    let answer = tokio::time::timeout(PROBE_TAKES, refused(remote)).await;
    answer.is_ok_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
