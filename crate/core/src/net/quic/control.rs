//! The control lane of a session, over one bidirectional stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::{Figure, Frame, FrameDecoder};

use super::data::LaneContext;
use crate::engine::FrameSender;
use crate::error::{Error, Result};
use crate::net::control::{READ_BYTES, StreamIn, StreamOut, ended_early, ended_inside_a_frame, read_frame};
use crate::net::{read_error, write_error};
use crate::transport::WireCounters;

/// Bytes of a control lane that are still read after the session has ended: signs of life, and the records of a small
/// tree.
const REST_BYTES_MAX: usize = 64 << 10;

/// How long that may take.
const REST_TAKES: Duration = Duration::from_secs(2);

/// A control lane's two streams, with what has been read beyond the first frames.
pub(super) struct ControlStreams {
    pub(super) send: quinn::SendStream,
    pub(super) recv: quinn::RecvStream,
    pub(super) decoder: FrameDecoder,
    pub(super) wire: Arc<WireCounters>,
}

impl ControlStreams {
    /// A control lane that nothing was said on yet.
    pub(super) fn new(send: quinn::SendStream, recv: quinn::RecvStream, wire: Arc<WireCounters>) -> Self {
        Self { send, recv, decoder: FrameDecoder::default(), wire }
    }

    /// The number that data lanes name the session by: that of the stream, which both sides know.
    pub(super) fn number(&self) -> u64 {
        self.send.id().index()
    }

    /// Writes encoded frames.
    pub(super) async fn write(&mut self, encoded: Vec<u8>) -> Result<()> {
        let bytes = encoded.len() as u64;
        self.send.write_chunk(Bytes::from(encoded)).await.map_err(|error| write_error(&error))?;
        self.wire.sent(bytes);
        Ok(())
    }

    /// Reads the next frame.
    pub(super) async fn read(&mut self) -> Result<Option<Frame>> {
        read_frame(&mut self.recv, &mut self.decoder, &self.wire).await
    }
}

impl StreamOut for quinn::SendStream {
    async fn write_some(&mut self, bytes: &mut Bytes) -> Result<usize> {
        let written = self.write_chunks(std::slice::from_mut(bytes)).await.map_err(|error| write_error(&error))?;
        Ok(written.bytes)
    }

    fn finish(&mut self) {
        let _ = Self::finish(self);
    }
}

impl StreamIn for quinn::RecvStream {
    async fn read_chunk(&mut self, most: usize) -> Result<Option<Bytes>> {
        let chunk = Self::read_chunk(self, most, true).await.map_err(|error| read_error(&error))?;
        Ok(chunk.map(|chunk| chunk.bytes))
    }
}

/// Reads the frames that the peer had sent before it learned of the end. If there are more than a few, the stream is
/// stopped instead.
pub(super) async fn take_the_rest(recv: &mut quinn::RecvStream, wire: &WireCounters) {
    let all = async {
        let mut left = REST_BYTES_MAX;
        while let Ok(Some(chunk)) = recv.read_chunk(left, true).await {
            wire.received(chunk.bytes.len() as u64);
            left = left.saturating_sub(chunk.bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(REST_TAKES, all).await;
}

/// Reads the peer's frames. Ends only with the reason why no more will come.
pub(super) async fn receive_control(
    LaneContext { session, wire, ending, .. }: &LaneContext,
    recv: &mut quinn::RecvStream,
    mut decoder: FrameDecoder,
    frames: FrameSender,
    peer_work: &AtomicU64,
) -> Error {
    loop {
        let began = session.profiler().map(|profiler| profiler.now());
        let next = decoder.next_frame();
        if let Some((profiler, began)) = session.profiler().zip(began) {
            profiler.add(Figure::decode_ms, profiler.now() - began);
        }
        match next {
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
            Ok(None) => {
                let error = match recv.read_chunk(READ_BYTES, true).await {
                    Ok(Some(chunk)) => {
                        wire.received(chunk.bytes.len() as u64);
                        decoder.feed(&chunk.bytes);
                        continue;
                    }
                    // A sender may end in the middle of a frame when its receiver needs no more.
                    Ok(None) if !decoder.is_empty() => ended_inside_a_frame(),
                    Ok(None) => ended_early(),
                    Err(error) => read_error(&error),
                };
                ending.heard_out(&frames).await;
                return error;
            }
            Err(error) => return Error::unreadable(error),
        }
    }
}
