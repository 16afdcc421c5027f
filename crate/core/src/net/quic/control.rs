//! The control lane of a session, over one bidirectional stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::{Figure, Frame, FrameDecoder};

use super::LAST_FRAMES;
use crate::engine::{FrameSender, Session, TransportControl};
use crate::error::{Error, ErrorKind, Result, Side};
use crate::net::{read_error, write_error};
use crate::profile::Profiler;
use crate::transport::{WireCounters, encoded};

/// Bytes taken from a stream at once.
const READ_BYTES: usize = 64 << 10;

/// Bytes of a control lane that are taken after the session has ended: signs of life, and the records of a small tree.
const REST_BYTES_MAX: usize = 64 << 10;

/// How long a peer may take the last words, and one that has timed out.
const LAST_WORDS: Duration = Duration::from_secs(5);
const LAST_WORDS_UNHEARD: Duration = Duration::from_millis(250);

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
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(Error::unreadable)? {
                return Ok(Some(frame));
            }
            match self.recv.read_chunk(READ_BYTES, true).await.map_err(|error| read_error(&error))? {
                Some(chunk) => {
                    self.wire.received(chunk.bytes.len() as u64);
                    self.decoder.feed(&chunk.bytes);
                }
                None if self.decoder.is_empty() => return Ok(None),
                None => return Err(Error::protocol("a control lane that ends inside a frame").remote()),
            }
        }
    }
}

/// The way out of a control lane.
pub(super) struct ControlOut<'a> {
    send: quinn::SendStream,
    control: TransportControl,
    /// What has been begun and did not fit the window yet. It is kept here, so that the end of the session, which lets
    /// go of everything that waits, does not tear a frame: the last words come behind it.
    unsent: Bytes,
    wire: &'a WireCounters,
    profiler: Option<&'a Profiler>,
}

impl<'a> ControlOut<'a> {
    pub(super) fn new(
        send: quinn::SendStream,
        control: TransportControl,
        wire: &'a WireCounters,
        profiler: Option<&'a Profiler>,
    ) -> Self {
        // Lists and questions overtake content, so that nobody waits for what is behind it.
        let _ = send.set_priority(1);
        Self { send, control, unsent: Bytes::new(), wire, profiler }
    }

    /// Sends what the engine says, until it says no more.
    pub(super) async fn send_all(&mut self) -> Result<()> {
        loop {
            let (encoded, is_bulk) = tokio::select! {
                biased;
                Some(encoded) = self.control.urgent.recv() => (encoded, false),
                Some(encoded) = self.control.bulk.recv() => (encoded, true),
                else => return Ok(()),
            };
            self.send(encoded).await.map_err(|error| write_error(&error))?;
            if is_bulk {
                self.control.bulk_written();
            }
        }
    }

    async fn send(&mut self, encoded: Vec<u8>) -> std::result::Result<(), quinn::WriteError> {
        self.unsent = Bytes::from(encoded);
        self.wire.control_frames.fetch_add(1, Ordering::Relaxed);
        let began = self.profiler.map(|profiler| {
            profiler.raise(Figure::control_queue_max, self.control.bulk.len() as u64);
            profiler.now()
        });
        self.send_unsent().await?;
        if let Some((profiler, began)) = self.profiler.zip(began) {
            profiler.add(Figure::write_ms, profiler.now() - began);
        }
        self.wire.asks(self.profiler);
        Ok(())
    }

    async fn send_unsent(&mut self) -> std::result::Result<(), quinn::WriteError> {
        while !self.unsent.is_empty() {
            let written = self.send.write_chunks(std::slice::from_mut(&mut self.unsent)).await?;
            self.wire.sent(written.bytes as u64);
        }
        Ok(())
    }

    /// Sends what is left to say, or why the run ended, and closes the lane.
    pub(super) async fn close(mut self, error: Option<&Error>, sends_content: bool) {
        let last_words = async {
            match error {
                // Who sends content has the receiver's account, and what it has not said by then interests nobody.
                None if sends_content => {}
                None => {
                    self.send_unsent().await?;
                    while let Ok(encoded) = self.control.urgent.try_recv() {
                        self.send(encoded).await?;
                    }
                    while let Ok(encoded) = self.control.bulk.try_recv() {
                        self.send(encoded).await?;
                    }
                }
                // The peer knows already what it told us.
                Some(error) if error.side() == Side::Remote && error.kind() != ErrorKind::Protocol => {}
                Some(error) => {
                    self.send_unsent().await?;
                    self.send(encoded(&[Frame::Abort(error.to_wire())])).await?;
                }
            }
            Ok::<(), quinn::WriteError>(())
        };
        // A peer that takes nothing any more must not keep the run from ending.
        let unheard = error.is_some_and(|error| error.kind() == ErrorKind::Timeout);
        let _ = tokio::time::timeout(if unheard { LAST_WORDS_UNHEARD } else { LAST_WORDS }, last_words).await;
        let _ = self.send.finish();
    }
}

/// Takes what the peer had on its way when all was decided. More than a little is not worth the way: then the stream is
/// stopped.
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
    let _ = tokio::time::timeout(LAST_FRAMES, all).await;
}

/// Whether the peer is gone without a word.
fn is_gone(lost: &quinn::ConnectionError) -> bool {
    matches!(lost, quinn::ConnectionError::Reset | quinn::ConnectionError::TimedOut)
}

/// Takes what the peer says. Ends only with the reason why nothing more will come.
pub(super) async fn receive_control(
    session: &Session,
    recv: &mut quinn::RecvStream,
    mut decoder: FrameDecoder,
    frames: FrameSender,
    peer_work: &AtomicU64,
    wire: &WireCounters,
) -> Error {
    loop {
        let began = session.profiler().map(|profiler| profiler.now());
        let next = decoder.next_frame();
        if let Some((profiler, began)) = session.profiler().zip(began) {
            profiler.add(Figure::decode_ms, profiler.now() - began);
        }
        match next {
            Ok(Some(Frame::Heartbeat(work))) => peer_work.store(work, Ordering::Relaxed),
            Ok(Some(Frame::Abort(error))) => return Error::from_wire(error),
            Ok(Some(frame)) => {
                wire.control_frames.fetch_add(1, Ordering::Relaxed);
                wire.answered(session);
                session.worked(1);
                if frames.send(frame).await.is_err() {
                    // The engine has what it needs; what is left is read to see an abort.
                }
            }
            Ok(None) => match recv.read_chunk(READ_BYTES, true).await {
                Ok(Some(chunk)) => {
                    wire.received(chunk.bytes.len() as u64);
                    decoder.feed(&chunk.bytes);
                }
                Ok(None) => {
                    drop(frames);
                    tokio::time::sleep(LAST_FRAMES).await;
                    return Error::new(ErrorKind::Closed, "the peer ended the session early").remote();
                }
                Err(error) => {
                    drop(frames);
                    // What came before is still being looked at.
                    let gone = matches!(&error, quinn::ReadError::ConnectionLost(lost) if is_gone(lost));
                    tokio::time::sleep(if gone { LAST_FRAMES / 8 } else { LAST_FRAMES }).await;
                    return read_error(&error);
                }
            },
            Err(error) => return Error::unreadable(error),
        }
    }
}
