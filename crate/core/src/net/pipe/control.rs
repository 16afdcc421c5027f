//! What comes in on the control lane of a session on a pipe.

use std::sync::atomic::{AtomicU64, Ordering};

use sparsync_proto::{Frame, FrameDecoder};

use super::session::LaneContext;
use super::streams::RecvStream;
use crate::engine::FrameSender;
use crate::error::{Error, ErrorKind};
use crate::net::control::{ended_early, read_frame};

/// Reads the peer's frames. Ends only with the reason why no more will come.
pub(super) async fn receive_control(
    LaneContext { session, wire, ending, .. }: &LaneContext<'_>,
    from: &mut RecvStream,
    mut decoder: FrameDecoder,
    frames: FrameSender,
    peer_work: &AtomicU64,
) -> Error {
    let error = loop {
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
                ending.hand(&frames, frame).await;
            }
            Ok(None) => break ended_early(),
            // A sender may end in the middle of a frame when its receiver needs no more.
            Err(error) if from.has_ended() => break error,
            Err(error) if matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Version) => return error,
            Err(error) => break error,
        }
    };
    ending.heard_out(&frames).await;
    error
}
