//! The control lane of a session on a pipe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::{Figure, Frame, FrameDecoder};

use super::LAST_FRAMES;
use super::streams::{RecvStream, SendStream};
use crate::engine::{FrameSender, Session, TransportControl};
use crate::error::{Error, ErrorKind, Result, Side};
use crate::profile::Profiler;
use crate::transport::{WireCounters, encoded};

/// Bytes taken from a stream at once.
const READ_BYTES: usize = 64 << 10;

/// How long a peer may take the last words, and one that has timed out.
const LAST_WORDS: Duration = Duration::from_secs(5);
const LAST_WORDS_UNHEARD: Duration = Duration::from_millis(250);

/// Reads the next frame.
pub(super) async fn read(
    from: &mut RecvStream,
    decoder: &mut FrameDecoder,
    wire: &WireCounters,
) -> Result<Option<Frame>> {
    loop {
        if let Some(frame) = decoder.next_frame().map_err(Error::unreadable)? {
            return Ok(Some(frame));
        }
        match from.read_chunk(READ_BYTES).await? {
            Some(chunk) => {
                wire.received(chunk.len() as u64);
                decoder.feed(&chunk);
            }
            None if decoder.is_empty() => return Ok(None),
            None => return Err(Error::protocol("a control lane that ends inside a frame").remote()),
        }
    }
}

/// The way out of a control lane.
pub(super) struct ControlOut<'a> {
    send: SendStream,
    control: TransportControl,
    /// What has been begun and found no room yet. The last words come behind it.
    unsent: Bytes,
    wire: &'a WireCounters,
    profiler: Option<&'a Profiler>,
}

impl<'a> ControlOut<'a> {
    pub(super) fn new(
        send: SendStream,
        control: TransportControl,
        wire: &'a WireCounters,
        profiler: Option<&'a Profiler>,
    ) -> Self {
        Self { send, control, unsent: Bytes::new(), wire, profiler }
    }

    /// Sends what the engine says. Ends only when that cannot be said: whether all is well is known when the engine, which
    /// has no more to say, has ended the session.
    pub(super) async fn say_all(&mut self) -> Error {
        loop {
            let (encoded, is_bulk) = tokio::select! {
                biased;
                Some(encoded) = self.control.urgent.recv() => (encoded, false),
                Some(encoded) = self.control.bulk.recv() => (encoded, true),
                else => return std::future::pending().await,
            };
            if let Err(error) = self.say(encoded).await {
                // The reason may be on its way on another stream.
                tokio::time::sleep(LAST_FRAMES).await;
                return error;
            }
            if is_bulk {
                self.control.bulk_written();
            }
        }
    }

    async fn say(&mut self, encoded: Vec<u8>) -> Result<()> {
        self.unsent = Bytes::from(encoded);
        self.wire.control_frames.fetch_add(1, Ordering::Relaxed);
        let began = self.profiler.map(|profiler| {
            profiler.raise(Figure::control_queue_max, self.control.bulk.len() as u64);
            profiler.now()
        });
        self.say_unsent().await?;
        if let Some((profiler, began)) = self.profiler.zip(began) {
            profiler.add(Figure::write_ms, profiler.now() - began);
        }
        self.wire.asks(self.profiler);
        Ok(())
    }

    async fn say_unsent(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            let written = self.send.write_some(&mut self.unsent).await?;
            self.wire.sent(written as u64);
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
                    self.say_unsent().await?;
                    while let Ok(encoded) = self.control.urgent.try_recv() {
                        self.say(encoded).await?;
                    }
                    while let Ok(encoded) = self.control.bulk.try_recv() {
                        self.say(encoded).await?;
                    }
                }
                // The peer knows already what it told us.
                Some(error) if error.side() == Side::Remote && error.kind() != ErrorKind::Protocol => {}
                Some(error) => {
                    self.say_unsent().await?;
                    self.say(encoded(&[Frame::Abort(error.to_wire())])).await?;
                }
            }
            Ok::<(), Error>(())
        };
        // A peer that takes nothing any more must not keep the run from ending.
        let unheard = error.is_some_and(|error| error.kind() == ErrorKind::Timeout);
        let _ = tokio::time::timeout(if unheard { LAST_WORDS_UNHEARD } else { LAST_WORDS }, last_words).await;
        self.send.finish();
    }
}

/// Takes what the peer says. Ends only with the reason why nothing more will come.
pub(super) async fn receive_control(
    session: &Session,
    from: &mut RecvStream,
    mut decoder: FrameDecoder,
    frames: FrameSender,
    peer_work: &AtomicU64,
    wire: &WireCounters,
) -> Error {
    loop {
        match read(from, &mut decoder, wire).await {
            Ok(Some(Frame::Heartbeat(work))) => peer_work.store(work, Ordering::Relaxed),
            Ok(Some(Frame::Abort(error))) => return Error::from_wire(error),
            Ok(Some(frame)) => {
                wire.control_frames.fetch_add(1, Ordering::Relaxed);
                wire.answered(session);
                session.worked(1);
                // Without a reader the engine has what it needs; what is left is read to see an abort.
                let _ = frames.send(frame).await;
            }
            Ok(None) => {
                drop(frames);
                tokio::time::sleep(LAST_FRAMES).await;
                return Error::new(ErrorKind::Closed, "the peer ended the session early").remote();
            }
            Err(error) if matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Version) => return error,
            Err(error) => {
                drop(frames);
                // What came before is still being looked at.
                tokio::time::sleep(LAST_FRAMES / 8).await;
                return error;
            }
        }
    }
}
