//! The control lane of a session, over whatever stream carries it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::{Figure, Frame, FrameDecoder};
use tokio::sync::watch;

use crate::engine::{FrameSender, TransportControl};
use crate::error::{Error, ErrorKind, Result, Side};
use crate::profile::Profiler;
use crate::transport::{WireCounters, encoded};

/// How long the last frames of a peer are waited for when something else than its control lane has ended: they hold the
/// result of the run, or the reason of its end.
pub(super) const LAST_FRAMES: Duration = Duration::from_secs(2);

/// It is waited in steps: a process that had no processor time must not take its own absence for the peer's silence.
const LAST_FRAMES_STEPS: u32 = 8;

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

/// How the ends of a session's streams become the end of the session: the control lane has the reason, and the others
/// wait for it.
pub(super) struct Ending {
    is_receiver: bool,
    /// No more content comes. What its receiver is told otherwise is of no use to it any more, except for the reason.
    cut_off: watch::Sender<bool>,
    /// The peer says no more on the control lane.
    lane_ended: AtomicBool,
}

impl Ending {
    pub(super) fn new(is_receiver: bool) -> Self {
        Self { is_receiver, cut_off: watch::channel(false).0, lane_ended: AtomicBool::new(false) }
    }

    /// Returns when the content that the engine needs cannot come any more.
    async fn is_cut_off(&self, frames: &FrameSender) {
        let _ = self.cut_off.subscribe().wait_for(|cut_off| *cut_off).await;
        if !frames.needs_content() {
            std::future::pending::<()>().await;
        }
    }

    /// Says that no more content comes, although it was not all. A sender of content does not depend on that.
    fn cut_off(&self) {
        self.cut_off.send_replace(self.is_receiver);
    }

    /// The same when the connection is lost. Never ends, because the control lane has the reason.
    pub(super) async fn follow(&self, lost: impl Future<Output = ()>) {
        lost.await;
        self.cut_off();
        std::future::pending::<()>().await;
    }

    /// Something else than the control lane has ended. Returns when the peer has not told the reason there, nor ended
    /// it: then nothing else might ever tell.
    pub(super) async fn reason_missing(&self) {
        self.cut_off();
        for _ in 0..LAST_FRAMES_STEPS {
            tokio::time::sleep(LAST_FRAMES / LAST_FRAMES_STEPS).await;
        }
        if self.lane_ended.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Hands a frame to the engine. One that needs no frames, or cannot finish, does not take it: the lane is then read
    /// on only to see an abort.
    pub(super) async fn hand(&self, frames: &FrameSender, frame: Frame) {
        tokio::select! {
            biased;
            _ = frames.send(frame) => {}
            () = self.is_cut_off(frames) => {}
        }
    }

    /// Waits until the end of the control lane is the end of the session: until the engine has dealt with all that was
    /// said before. A sender of content may find its result there. A receiver's result is its own, and it may be busy
    /// for long, so it is not waited for when no more content can come.
    pub(super) async fn heard_out(&self, frames: &FrameSender) {
        self.lane_ended.store(true, Ordering::Relaxed);
        tokio::select! {
            () = frames.dealt_with() => {}
            () = self.is_cut_off(frames) => {}
        }
    }
}

pub(super) fn ended_inside_a_frame() -> Error {
    Error::protocol("a control lane that ends inside a frame").remote()
}

pub(super) fn ended_early() -> Error {
    Error::new(ErrorKind::Closed, "the peer ended the session early").remote()
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

    /// Sends the engine's frames. Ends only with an error: the end of the frames says nothing, and the engine ends the
    /// session itself.
    pub(super) async fn say_all(&mut self, ending: &Ending) -> Error {
        let Err(error) = self.send_all().await else { return std::future::pending().await };
        tokio::select! {
            () = ending.reason_missing() => {}
            () = self.discard_all() => {}
        }
        error
    }

    async fn send_all(&mut self) -> Result<()> {
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

    /// Takes the engine's frames when none can be sent any more: the engine must not wait for room for them, because it
    /// may not have read the reason yet. Never ends.
    async fn discard_all(&mut self) {
        loop {
            tokio::select! {
                Some(_) = self.control.urgent.recv() => {}
                Some(_) = self.control.bulk.recv() => self.control.bulk_written(),
                else => std::future::pending().await,
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
