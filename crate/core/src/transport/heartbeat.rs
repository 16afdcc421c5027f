//! Signs of life and of work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sparsync_proto::Frame;
use tokio::sync::mpsc;

use super::encoded;
use crate::engine::Session;
use crate::error::{Error, ErrorKind};

/// How often work is looked at and told.
const TICK: Duration = Duration::from_secs(1);

/// A heartbeat goes out at least this often, in ticks.
const TICKS_BETWEEN_HEARTBEATS: u32 = 5;

/// Tells the peer of work done, and ends the run when neither side works. A side that waits is kept alive by the
/// other's work, whatever it is: hashing, walking, flushing.
pub(crate) async fn watch_work(
    session: &Session,
    peer_work: &AtomicU64,
    timeout: Duration,
    urgent: mpsc::WeakUnboundedSender<Vec<u8>>,
) -> Error {
    let mut seen = (0, 0);
    let mut since = Instant::now();
    let mut quiet_ticks = 0;
    loop {
        tokio::time::sleep(TICK.min(timeout / 4)).await;
        let now = (session.work(), peer_work.load(Ordering::Relaxed));
        quiet_ticks += 1;
        if now.0 != seen.0 || quiet_ticks >= TICKS_BETWEEN_HEARTBEATS {
            quiet_ticks = 0;
            if let Some(urgent) = urgent.upgrade() {
                let _ = urgent.send(encoded(&[Frame::Heartbeat(now.0)]));
            }
        }
        if now != seen {
            seen = now;
            since = Instant::now();
        } else if since.elapsed() >= timeout {
            return Error::new(
                ErrorKind::Timeout,
                format!("neither side did any work for {} seconds", timeout.as_secs_f32()),
            );
        }
    }
}
