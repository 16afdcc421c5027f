//! Sends signs of life, and ends a session in which nobody works.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sparsync_proto::Frame;
use sparsync_proto::session::{Beat, Pulse};

use crate::engine::{Session, UrgentSender};
use crate::error::{Error, ErrorKind};

/// Tells the peer of this side's work, and ends the run when neither side works. A side that waits is kept alive by the
/// other's work, whatever it is: hashing, walking, flushing.
pub(crate) async fn watch_work(
    session: &Session,
    peer_work: &AtomicU64,
    timeout: Duration,
    urgent: UrgentSender,
) -> Error {
    let began = Instant::now();
    let mut pulse = Pulse::new(timeout, Duration::ZERO);
    loop {
        tokio::time::sleep(pulse.interval()).await;
        pulse.heard(peer_work.load(Ordering::Relaxed));
        match pulse.look(session.work(), began.elapsed()) {
            Beat::Quiet => {}
            Beat::Tell(work) => urgent.send(&Frame::Heartbeat(work)),
            Beat::TimedOut => {
                return Error::new(
                    ErrorKind::Timeout,
                    format!("neither side did any work for {} seconds", timeout.as_secs_f32()),
                );
            }
        }
    }
}
