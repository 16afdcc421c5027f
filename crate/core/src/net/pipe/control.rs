//! What comes in on the control lane of a session on a pipe.

use std::sync::atomic::{AtomicU64, Ordering};

use sparsync_proto::{Frame, FrameDecoder};

use super::streams::RecvStream;
use crate::engine::{FrameSender, Session};
use crate::error::{Error, ErrorKind};
use crate::net::control::{LAST_FRAMES, read_frame};
use crate::transport::WireCounters;

/// Reads the peer's frames. Ends only with the reason why no more will come.
pub(super) async fn receive_control(
    session: &Session,
    from: &mut RecvStream,
    mut decoder: FrameDecoder,
    frames: FrameSender,
    peer_work: &AtomicU64,
    wire: &WireCounters,
) -> Error {
    loop {
        match read_frame(from, &mut decoder, wire).await {
            Ok(Some(Frame::Heartbeat(work))) => peer_work.store(work, Ordering::Relaxed),
            Ok(Some(Frame::Bwlimit(bytes_per_second))) => {
                if let Err(error) = session.limit_by_peer(bytes_per_second) {
                    return error;
                }
            }
            Ok(Some(Frame::Abort(error))) => return Error::from_wire(error),
            Ok(Some(frame)) => {
                wire.control_frames.fetch_add(1, Ordering::Relaxed);
                wire.answered(session);
                session.worked(1);
                // Without a reader the engine needs no further frames. The rest is read only to see an abort.
                let _ = frames.send(frame).await;
            }
            Ok(None) => {
                drop(frames);
                tokio::time::sleep(LAST_FRAMES).await;
                return Error::new(ErrorKind::Closed, "the peer ended the session early").remote();
            }
            Err(error) if from.has_ended() => {
                drop(frames);
                // A sender may end in the middle of a frame when its receiver needs no more, but by then this end has
                // ended, too.
                tokio::time::sleep(LAST_FRAMES).await;
                return error;
            }
            Err(error) if matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Version) => return error,
            Err(error) => {
                drop(frames);
                // The engine may still be reading the frames that came before.
                tokio::time::sleep(LAST_FRAMES / 8).await;
                return error;
            }
        }
    }
}
