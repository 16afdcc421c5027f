//! What the engine sees of a transport: a control lane in each direction and data lanes in one, as bounded channels.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use sparsync_proto::pack::PackHeader;
use sparsync_proto::{Frame, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::budget::WAIT;
use super::session::{Agreed, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Lent;

/// Messages of encoded frames that wait to be sent; each is about a batch.
const BULK_QUEUE: usize = 16;

/// Frames that came and wait to be read.
const FRAMES_QUEUE: usize = 64;

/// The most memory that waiting frames hold together. A frame that holds more by itself waits until no other does.
const FRAMES_QUEUE_BYTES: u32 = 4 << 20;

/// Bytes of questions, answers and issues that may wait for a peer to take them. A peer that reads leaves none, and all
/// the questions that an entry budget allows take less than a third of this.
const URGENT_BYTES_MAX: usize = 64 << 20;

/// Packs that wait between a lane and its reader or writer: enough to keep both busy, little memory.
const DATA_QUEUE: usize = 2;

/// The queues of so many data lanes: where packs go in, and where they come out.
pub(crate) fn data_queues(lanes: u8) -> (Vec<mpsc::Sender<Pack>>, Vec<mpsc::Receiver<Pack>>) {
    (0..lanes).map(|_| mpsc::channel(DATA_QUEUE)).unzip()
}

/// A pack on its way.
#[derive(Debug)]
pub(crate) struct Pack {
    /// How it is stored.
    pub(crate) header: PackHeader,
    /// The stored bytes.
    pub(crate) bytes: Bytes,
    /// The content of the file that is open on the lane, in place of bytes; from one engine of a process to another
    /// alone.
    pub(crate) handed: Option<Box<Handed>>,
}

impl Pack {
    /// A pack of bytes.
    pub(crate) fn new(header: PackHeader, bytes: Bytes) -> Self {
        Self { header, bytes, handed: None }
    }
}

/// All content of a file, for the other engine to copy.
pub(crate) struct Handed {
    /// The file.
    pub(crate) file: Box<dyn Lent>,
    /// How long it is.
    pub(crate) bytes: u64,
    /// Whether to ask where its data is.
    pub(crate) may_have_holes: bool,
    /// The receiver tells here whether the file is copied. One that it could not read comes through the lane instead.
    pub(crate) copied: std::sync::mpsc::SyncSender<bool>,
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handed").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// One end of a control lane.
pub(crate) struct ControlLane {
    /// Frames to the peer.
    pub(crate) tx: ControlSender,
    /// Frames from the peer.
    pub(crate) rx: FrameReceiver,
}

/// The queue of frames that came, bounded by their number and by the memory that they hold.
#[derive(Clone)]
pub(crate) struct FrameSender {
    frames: mpsc::Sender<(Frame, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    has_all_content: Arc<AtomicBool>,
}

/// Its other end.
pub(crate) struct FrameReceiver {
    frames: mpsc::Receiver<(Frame, OwnedSemaphorePermit)>,
    /// The room of the frame that was taken last: it is held until that frame is dealt with.
    current: Option<OwnedSemaphorePermit>,
    has_all_content: Arc<AtomicBool>,
}

fn frame_queue() -> (FrameSender, FrameReceiver) {
    let (frames, rx) = mpsc::channel(FRAMES_QUEUE);
    let room = Arc::new(Semaphore::new(FRAMES_QUEUE_BYTES as usize));
    let has_all_content = Arc::<AtomicBool>::default();
    let sender = FrameSender { frames, room, has_all_content: Arc::clone(&has_all_content) };
    (sender, FrameReceiver { frames: rx, current: None, has_all_content })
}

fn weight(frame: &Frame) -> u32 {
    u32::try_from(frame.memory_bytes()).unwrap_or(u32::MAX).clamp(1, FRAMES_QUEUE_BYTES)
}

impl FrameSender {
    /// Waits for room. Fails when the receiver is gone.
    pub(crate) async fn send(&self, frame: Frame) -> std::result::Result<(), Gone> {
        let permit = Arc::clone(&self.room).acquire_many_owned(weight(&frame)).await.map_err(|_| Gone)?;
        self.frames.send((frame, permit)).await.map_err(|_| Gone)
    }

    /// Whether the engine still takes frames. One that takes none ends the session itself.
    pub(crate) fn is_read(&self) -> bool {
        !self.frames.is_closed()
    }

    /// Whether the engine takes frames because it needs content that they tell of.
    pub(crate) fn needs_content(&self) -> bool {
        self.is_read() && !self.has_all_content.load(Ordering::SeqCst)
    }

    /// Waits until the engine has dealt with every frame that came, and takes more of them. Waits for ever for one that
    /// takes none.
    pub(crate) async fn dealt_with(&self) {
        let _all = self.room.acquire_many(FRAMES_QUEUE_BYTES).await;
        if !self.is_read() {
            std::future::pending::<()>().await;
        }
    }
}

/// A frame was not taken.
#[derive(Debug)]
pub(crate) struct Gone;

impl FrameReceiver {
    /// The next frame, which says that the one before is dealt with; none when no more will come.
    pub(crate) fn blocking_recv(&mut self) -> Option<Frame> {
        self.dealt_with();
        let next = self.frames.blocking_recv();
        self.take(next)
    }

    /// The next frame, which says that the one before is dealt with; none when no more will come.
    #[cfg(test)]
    pub(crate) async fn recv(&mut self) -> Option<Frame> {
        self.dealt_with();
        let next = self.frames.recv().await;
        self.take(next)
    }

    /// The next frame, if it has come.
    pub(crate) fn try_recv(&mut self) -> Option<Frame> {
        let next = self.frames.try_recv().ok();
        self.take(next)
    }

    fn take(&mut self, next: Option<(Frame, OwnedSemaphorePermit)>) -> Option<Frame> {
        let (frame, room) = next?;
        self.current = Some(room);
        Some(frame)
    }

    /// Says that the last frame is dealt with. Without a call, the next one that is taken says so.
    pub(crate) fn dealt_with(&mut self) {
        self.current = None;
    }

    /// Says that all content has come, and that frames are taken for what they tell besides. It must come before the
    /// peer is told the result: from then on an end of the data lanes is none of the session.
    pub(crate) fn has_all_content(&self) {
        self.has_all_content.store(true, Ordering::SeqCst);
    }

    /// Takes no more frames. It must come before the peer is told the result: from then on an end of the lane is none
    /// of the session.
    pub(crate) fn close(&mut self) {
        // Frames that wait give their room back here: a sender that waits for room must go on, and learn that nobody
        // reads any more.
        self.frames.close();
        while self.frames.try_recv().is_ok() {}
    }
}

impl Drop for FrameReceiver {
    fn drop(&mut self) {
        self.close();
    }
}

/// The way to the peer; clones share it.
#[derive(Clone)]
pub(crate) struct ControlSender {
    /// For lists and items, which are large and wait for room.
    bulk: mpsc::Sender<Vec<u8>>,
    /// For questions and answers. Sending them never waits for room: two ends that wait for each other would wait for
    /// ever. A session whose peer lets them pile up ends.
    urgent: mpsc::UnboundedSender<Urgent>,
    waiting: Arc<AtomicUsize>,
    written: Arc<Written>,
    agreed: Agreed,
}

/// An encoded frame that goes first. A frame of the engine counts as waiting until the transport takes it.
pub(crate) struct Urgent {
    encoded: Vec<u8>,
    _waits: Option<Waits>,
}

impl Urgent {
    /// Gives the frame, which then does not count as waiting any more.
    pub(crate) fn taken(self) -> Vec<u8> {
        self.encoded
    }
}

/// A way to the peer for frames that are not the engine's: signs of life, and limits. It does not keep the lane open.
#[derive(Clone)]
pub(crate) struct UrgentSender(mpsc::WeakUnboundedSender<Urgent>);

impl UrgentSender {
    /// Sends a frame that has the same form in every version, if there is a lane still.
    pub(crate) fn send(&self, frame: &Frame) {
        let Some(urgent) = self.0.upgrade() else { return };
        let mut encoded = Vec::new();
        frame.encode(Version::OLDEST, &mut encoded);
        let _ = urgent.send(Urgent { encoded, _waits: None });
    }
}

/// Bytes that count as waiting for as long as this is there.
struct Waits {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How many bulk messages were handed to the transport, and how many of them it has taken.
#[derive(Default)]
struct Written {
    handed: AtomicU64,
    done: Mutex<u64>,
    more: Condvar,
}

/// The transport's end of a control lane.
pub(crate) struct TransportControl {
    /// Encoded frames to the peer that waited for room.
    pub(crate) bulk: mpsc::Receiver<Vec<u8>>,
    /// Encoded frames to the peer that go first.
    pub(crate) urgent: mpsc::UnboundedReceiver<Urgent>,
    /// Frames from the peer.
    pub(crate) frames: FrameSender,
    urgent_sender: UrgentSender,
    written: Arc<Written>,
}

/// A control lane of a session: the engine's end and the transport's.
pub(crate) fn control_lane(session: &Session) -> (ControlLane, TransportControl) {
    let (bulk_tx, bulk_rx) = mpsc::channel(BULK_QUEUE);
    let (urgent_tx, urgent_rx) = mpsc::unbounded_channel();
    let (frames_tx, frames_rx) = frame_queue();
    let written = Arc::new(Written::default());
    let urgent_sender = UrgentSender(urgent_tx.downgrade());
    let tx = ControlSender {
        bulk: bulk_tx,
        urgent: urgent_tx,
        waiting: Arc::default(),
        written: Arc::clone(&written),
        agreed: session.agreed(),
    };
    (
        ControlLane { tx, rx: frames_rx },
        TransportControl { bulk: bulk_rx, urgent: urgent_rx, frames: frames_tx, urgent_sender, written },
    )
}

impl TransportControl {
    /// A way to the peer for the transport's own frames; it does not keep the lane open.
    pub(crate) fn urgent_sender(&self) -> UrgentSender {
        self.urgent_sender.clone()
    }

    /// Says that one bulk message was written.
    pub(crate) fn bulk_written(&self) {
        *self.written.done.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.written.more.notify_all();
    }
}

fn gone<T>(_: T) -> Error {
    Error::new(ErrorKind::Closed, "the session's control lane is closed")
}

impl ControlSender {
    /// Sends encoded frames that may have to wait for room.
    pub(crate) fn send_bulk(&self, encoded: Vec<u8>) -> Result<()> {
        self.written.handed.fetch_add(1, Ordering::SeqCst);
        self.bulk.blocking_send(encoded).map_err(gone)
    }

    /// The version to write frames in.
    pub(crate) fn version(&self) -> Version {
        self.agreed.version()
    }

    /// Sends a small frame. Fails when too many wait for a peer that takes none.
    pub(crate) fn send(&self, frame: &Frame) -> Result<()> {
        let mut encoded = Vec::new();
        frame.encode(self.version(), &mut encoded);
        let bytes = encoded.len();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let waits = Waits { waiting: Arc::clone(&self.waiting), bytes };
        if before + bytes > URGENT_BYTES_MAX {
            return Err(Error::new(ErrorKind::Limit, "the peer does not take what it is told of its run"));
        }
        self.urgent.send(Urgent { encoded, _waits: Some(waits) }).map_err(gone)
    }

    /// Waits until everything that was handed over by [`ControlSender::send_bulk`] is with the transport.
    pub(crate) fn wait_until_written(&self, session: &Session) -> Result<()> {
        let handed = self.written.handed.load(Ordering::SeqCst);
        let mut done = self.written.done.lock().unwrap_or_else(PoisonError::into_inner);
        while *done < handed {
            session.check()?;
            done = self.written.more.wait_timeout(done, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}
