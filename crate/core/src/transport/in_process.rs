//! Two engines of one process as each other's peer: channels in place of a network.
//!
//! Packs go from the sender's threads straight to the receiver's; nothing stands between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sparsync_proto::{Frame, FrameDecoder};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Connection, Pending, Principal, SessionLanes, Transport, WireCounters};
use crate::engine::{FrameSender, Pack, Session, TransportControl, data_queues};
use crate::error::{Error, ErrorKind, Result};

/// Messages of encoded frames that are on their way.
const WORDS_QUEUE: usize = 2;

/// Why a connection is over. Its two ends and their sessions share this.
type Closed = watch::Receiver<Option<Error>>;

/// One end of a connection in one process.
pub(crate) struct InProcessConnection {
    principal: Principal,
    /// Sessions of this end, for the other to accept.
    opens: mpsc::UnboundedSender<InProcessLanes>,
    accepts: tokio::sync::Mutex<mpsc::UnboundedReceiver<InProcessLanes>>,
    end_of_all: Arc<watch::Sender<Option<Error>>>,
    closed: Closed,
    looks: AtomicU64,
}

/// The two ends of a connection. The peer of either is the user that the process runs as.
pub(crate) fn connection() -> (InProcessConnection, InProcessConnection) {
    let (to_a, from_b) = mpsc::unbounded_channel();
    let (to_b, from_a) = mpsc::unbounded_channel();
    let (end_of_all, closed) = watch::channel(None);
    let end_of_all = Arc::new(end_of_all);
    let end = |opens, accepts| InProcessConnection {
        principal: Principal::User(rustix::process::geteuid().as_raw()),
        opens,
        accepts: tokio::sync::Mutex::new(accepts),
        end_of_all: Arc::clone(&end_of_all),
        closed: closed.clone(),
        looks: AtomicU64::new(0),
    };
    (end(to_b, from_b), end(to_a, from_a))
}

/// Ends when the connection is closed, with the reason.
async fn closing(closed: &mut Closed) -> Error {
    match closed.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(error)) => error.clone(),
        Ok(None) | Err(_) => ended(),
    }
}

impl Connection for InProcessConnection {
    fn transport(&self) -> Transport {
        Transport::Local
    }

    fn principal(&self) -> &Principal {
        &self.principal
    }

    fn peer_address(&self) -> String {
        format!("process {}", std::process::id())
    }

    fn round_trip(&self) -> Duration {
        Duration::ZERO
    }

    fn goodput(&self) -> Option<f64> {
        None
    }

    /// A process always hears itself.
    fn heard(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::Relaxed)
    }

    fn closed(&self) -> Option<Error> {
        self.closed.borrow().clone()
    }

    fn close(&self, why: Option<&Error>) {
        let why = why.cloned().unwrap_or_else(|| Error::new(ErrorKind::Closed, "the connection was closed"));
        self.end_of_all.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(why);
            first
        });
    }

    fn close_sent(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn open(&self, _wire: Arc<WireCounters>) -> Box<dyn SessionLanes> {
        let (own, other) = session(&self.closed);
        // If the other end is gone, the session finds that out with its first frame.
        let _ = self.opens.send(other);
        Box::new(own)
    }

    fn accept(&self, _wire: Arc<WireCounters>) -> Pending<'_, Option<Box<dyn SessionLanes>>> {
        Box::pin(async {
            let mut closed = self.closed.clone();
            let mut accepts = self.accepts.lock().await;
            let lanes = tokio::select! {
                biased;
                _ = closing(&mut closed) => None,
                lanes = accepts.recv() => lanes,
            };
            lanes.map(|lanes| -> Box<dyn SessionLanes> { Box::new(lanes) })
        })
    }
}

/// The engine's ends of one direction's data lanes. The end that asks first leaves the other end its half.
#[derive(Default)]
struct DataLanes {
    to: Vec<mpsc::Sender<Pack>>,
    from: Vec<mpsc::Receiver<Pack>>,
}

type SharedLanes = Arc<Mutex<DataLanes>>;

impl DataLanes {
    fn make(&mut self, lanes: u8) {
        if self.to.is_empty() && self.from.is_empty() {
            (self.to, self.from) = data_queues(lanes);
        }
    }
}

/// One end of a session in one process.
struct InProcessLanes {
    /// Frames to the other end; none when this side has ended the lane.
    to: Option<mpsc::Sender<Vec<u8>>>,
    from: mpsc::Receiver<Vec<u8>>,
    decoder: FrameDecoder,
    outgoing: SharedLanes,
    incoming: SharedLanes,
    /// Tells the other end of the error that ended this one.
    tells_error: oneshot::Sender<Error>,
    error_told: oneshot::Receiver<Error>,
    closed: Closed,
}

/// A session: its two ends.
fn session(closed: &Closed) -> (InProcessLanes, InProcessLanes) {
    let (words_a, from_a) = mpsc::channel(WORDS_QUEUE);
    let (words_b, from_b) = mpsc::channel(WORDS_QUEUE);
    let (error_a, told_by_a) = oneshot::channel();
    let (error_b, told_by_b) = oneshot::channel();
    let (a_to_b, b_to_a) = (SharedLanes::default(), SharedLanes::default());
    let end = |to, from, outgoing: &SharedLanes, incoming: &SharedLanes, tells_error, error_told| InProcessLanes {
        to: Some(to),
        from,
        decoder: FrameDecoder::default(),
        outgoing: Arc::clone(outgoing),
        incoming: Arc::clone(incoming),
        tells_error,
        error_told,
        closed: closed.clone(),
    };
    (
        end(words_a, from_b, &a_to_b, &b_to_a, error_a, told_by_b),
        end(words_b, from_a, &b_to_a, &a_to_b, error_b, told_by_a),
    )
}

fn ended() -> Error {
    Error::new(ErrorKind::Closed, "the other end of the session is gone")
}

impl InProcessLanes {
    async fn run(self, session: Arc<Session>, mut control: TransportControl) {
        let Self { to, mut from, mut decoder, tells_error, mut error_told, mut closed, .. } = self;
        let frames = control.frames.clone();
        let end = tokio::select! {
            biased;
            () = session.ended.notified() => None,
            error = receive(&mut from, &mut decoder, &frames) => Some(error),
            Ok(error) = &mut error_told => Some(Some(error)),
            error = closing(&mut closed) => Some(Some(error)),
            () = send_all(&mut control, to.as_ref()) => None,
        };
        match end {
            // The other end has finished, or tells its error itself.
            Some(None) => {
                if let Ok(error) = error_told.try_recv() {
                    session.fail(error);
                }
            }
            Some(Some(error)) => session.fail(error),
            None => {}
        }
        if let Some(error) = session.error() {
            let _ = tells_error.send(error);
        } else {
            // The other end must get this side's last frames before it sees the end. Its own frames are useless by now,
            // but are read, so that it does not have to wait for room.
            tokio::select! {
                () = last_words(&mut control, to.as_ref()) => {}
                () = async { while from.recv().await.is_some() {} } => {}
            }
        }
        // The lane ends only here: before, the other end would take this side for finished.
        drop(to);
    }
}

async fn last_words(control: &mut TransportControl, to: Option<&mpsc::Sender<Vec<u8>>>) {
    let Some(to) = to else { return };
    while let Ok(urgent) = control.urgent.try_recv() {
        let _ = to.send(urgent.taken()).await;
    }
    while let Ok(encoded) = control.bulk.try_recv() {
        let _ = to.send(encoded).await;
    }
}

/// Sends the engine's frames; ends only with the session.
async fn send_all(control: &mut TransportControl, to: Option<&mpsc::Sender<Vec<u8>>>) {
    while let Some(to) = to {
        let (encoded, is_bulk) = tokio::select! {
            biased;
            Some(urgent) = control.urgent.recv() => (urgent.taken(), false),
            Some(encoded) = control.bulk.recv() => (encoded, true),
            else => break,
        };
        if to.send(encoded).await.is_err() {
            break;
        }
        if is_bulk {
            control.bulk_written();
        }
    }
    std::future::pending::<()>().await;
}

/// Reads the other end's frames until it has ended; gives an error when one is malformed.
async fn receive(
    from: &mut mpsc::Receiver<Vec<u8>>,
    decoder: &mut FrameDecoder,
    frames: &FrameSender,
) -> Option<Error> {
    loop {
        match decoder.next_frame() {
            Ok(Some(Frame::Heartbeat(_))) => {}
            Ok(Some(Frame::Abort(error))) => return Some(Error::from_wire(error)),
            Ok(Some(frame)) => {
                // Without a reader the engine needs no further frames. The rest is read only to see an abort.
                let _ = frames.send(frame).await;
            }
            Ok(None) => match from.recv().await {
                Some(encoded) => decoder.feed(&encoded),
                None => return None,
            },
            Err(error) => return Some(Error::unreadable(error)),
        }
    }
}

impl SessionLanes for InProcessLanes {
    fn write(&mut self, encoded: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let to = self.to.as_ref().ok_or_else(|| Error::internal("a lane that this side has ended"))?;
            to.send(encoded).await.map_err(|_| ended())
        })
    }

    fn read(&mut self) -> Pending<'_, Result<Option<Frame>>> {
        Box::pin(async move {
            loop {
                if let Some(frame) = self.decoder.next_frame().map_err(Error::unreadable)? {
                    return Ok(Some(frame));
                }
                match self.from.recv().await {
                    Some(encoded) => self.decoder.feed(&encoded),
                    None => return Ok(None),
                }
            }
        })
    }

    fn finish(&mut self) {
        self.to = None;
    }

    fn data_out(&mut self, lanes: u8) -> Vec<mpsc::Sender<Pack>> {
        let mut shared = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        shared.make(lanes);
        std::mem::take(&mut shared.to)
    }

    fn data_in(&mut self, lanes: u8) -> Vec<mpsc::Receiver<Pack>> {
        let mut shared = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        shared.make(lanes);
        std::mem::take(&mut shared.from)
    }

    /// `timeout` is not used: the other end is in this process, and no sign of life is waited for.
    fn carry(
        self: Box<Self>,
        session: Arc<Session>,
        control: TransportControl,
        _timeout: Duration,
    ) -> Pending<'static, ()> {
        Box::pin(self.run(session, control))
    }
}
