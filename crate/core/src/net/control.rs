//! The control lane of a session, over whatever stream carries it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::{Figure, Frame, FrameDecoder};

use crate::engine::TransportControl;
use crate::error::{Error, ErrorKind, Result, Side};
use crate::profile::Profiler;
use crate::transport::{WireCounters, encoded};

/// How long the last frames of a peer are waited for when a lane ends or is stopped: they hold the result of the run,
/// or the reason of its end.
pub(super) const LAST_FRAMES: Duration = Duration::from_secs(2);

/// Bytes taken from a stream at once.
pub(super) const READ_BYTES: usize = 64 << 10;

/// How long a peer may take for the last frames, and how long one that has timed out may.
const LAST_WORDS: Duration = Duration::from_secs(5);
const LAST_WORDS_UNHEARD: Duration = Duration::from_millis(250);

/// A stream to the peer.
pub(super) trait StreamOut: Send {
    /// Writes as much of `bytes` as there is room for, removes that from `bytes`, and gives its length. A caller that
    /// stops waiting loses nothing.
    fn write_some(&mut self, bytes: &mut Bytes) -> impl Future<Output = Result<usize>> + Send;

    /// Ends the stream behind the bytes that were written.
    fn finish(&mut self);
}

/// A stream from the peer.
pub(super) trait StreamIn: Send {
    /// The next bytes, at most `most`; none at the end.
    fn read_chunk(&mut self, most: usize) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

pub(super) fn ended_inside_a_frame() -> Error {
    Error::protocol("a control lane that ends inside a frame").remote()
}

/// Reads the next frame.
pub(super) async fn read_frame(
    from: &mut impl StreamIn,
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
            None => return Err(ended_inside_a_frame()),
        }
    }
}

/// The way out of a control lane.
pub(super) struct ControlOut<'a, S> {
    stream: S,
    control: TransportControl,
    /// The rest of a frame that has begun and found no room yet. It is kept here because the end of the session stops
    /// everything that waits: the frame must not be torn, and the last frames come behind it.
    unsent: Bytes,
    wire: &'a WireCounters,
    profiler: Option<&'a Profiler>,
}

impl<'a, S: StreamOut> ControlOut<'a, S> {
    pub(super) fn new(
        stream: S,
        control: TransportControl,
        wire: &'a WireCounters,
        profiler: Option<&'a Profiler>,
    ) -> Self {
        Self { stream, control, unsent: Bytes::new(), wire, profiler }
    }

    /// Sends the engine's frames until there are no more.
    pub(super) async fn send_all(&mut self) -> Result<()> {
        loop {
            let (encoded, is_bulk) = tokio::select! {
                biased;
                Some(urgent) = self.control.urgent.recv() => (urgent.taken(), false),
                Some(encoded) = self.control.bulk.recv() => (encoded, true),
                else => return Ok(()),
            };
            self.send(encoded).await?;
            if is_bulk {
                self.control.bulk_written();
            }
        }
    }

    async fn send(&mut self, encoded: Vec<u8>) -> Result<()> {
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

    async fn send_unsent(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            let written = self.stream.write_some(&mut self.unsent).await?;
            self.wire.sent(written as u64);
        }
        Ok(())
    }

    /// Sends the frames that are left, or the reason why the run ended, and closes the lane.
    pub(super) async fn close(mut self, error: Option<&Error>, sends_content: bool) {
        let last_words = async {
            match error {
                // A sender of content has the receiver's result by now, and nobody needs its own last frames.
                None if sends_content => {}
                None => {
                    self.send_unsent().await?;
                    while let Ok(urgent) = self.control.urgent.try_recv() {
                        self.send(urgent.taken()).await?;
                    }
                    while let Ok(encoded) = self.control.bulk.try_recv() {
                        self.send(encoded).await?;
                    }
                }
                // The error came from the peer, which need not be told it.
                Some(error) if error.side() == Side::Remote && error.kind() != ErrorKind::Protocol => {}
                Some(error) => {
                    self.send_unsent().await?;
                    self.send(encoded(&[Frame::Abort(error.to_wire())])).await?;
                }
            }
            Ok::<(), Error>(())
        };
        // A peer that takes nothing any more must not keep the run from ending.
        let unheard = error.is_some_and(|error| error.kind() == ErrorKind::Timeout);
        let _ = tokio::time::timeout(if unheard { LAST_WORDS_UNHEARD } else { LAST_WORDS }, last_words).await;
        self.stream.finish();
    }
}
