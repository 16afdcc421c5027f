//! The data lanes of a session, each over one stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::router::{ArrivedLane, LANE_HEADER_BYTES, Route};
use super::silence::Silence;
use crate::engine::{Pack, Session, share, take_buffer};
use crate::error::{Error, ErrorKind, Result};
use crate::net::control::Ending;
use crate::net::{LaneWindow, Window, close_code, connection_error, read_error, write_error};
use crate::transport::WireCounters;

/// A lane whose writer takes nothing for so long no longer counts against the connection's window.
const LANE_HALTS: Duration = Duration::from_secs(1);

/// The values that every lane of a session uses.
#[derive(Clone)]
pub(super) struct LaneContext {
    pub(super) session: Arc<Session>,
    pub(super) connection: quinn::Connection,
    /// The session's number, which each lane begins with.
    pub(super) number: u64,
    pub(super) wire: Arc<WireCounters>,
    pub(super) silence: Arc<Silence>,
    pub(super) ending: Arc<Ending>,
}

impl LaneContext {
    /// A lane has failed. Unless that was seen here, the reason comes on the control lane.
    async fn failed(&self, error: Error) {
        if error.kind() != ErrorKind::Protocol {
            self.ending.reason_missing().await;
        }
        self.session.fail(self.silence.explain(error));
    }
}

/// Carries packs to the peer; a stream is opened for a lane when its first pack is there.
pub(super) fn carry_out(context: &LaneContext, queues: Vec<mpsc::Receiver<Pack>>, tasks: &mut JoinSet<()>) {
    for (lane, mut queue) in (0u8..).zip(queues) {
        let context = context.clone();
        tasks.spawn(async move {
            // The queue must stay open until the session has failed: a thread that finds it closed has no reason to
            // report.
            let Some(first) = queue.recv().await else { return };
            if let Err(error) = send_lane(&context, lane, first, &mut queue).await {
                context.failed(error).await;
            }
        });
    }
}

/// Carries packs from the peer, from streams that the router brings.
pub(super) async fn carry_in(
    context: &LaneContext,
    mut route: Route,
    window: &Window,
    queues: Vec<mpsc::Sender<Pack>>,
    tasks: &mut JoinSet<()>,
) {
    // The lane is expected already here, because the window that it needs is told with the first frames.
    let _expected = window.lane();
    let mut queues: Vec<_> = queues.into_iter().map(Some).collect();
    while let Some(ArrivedLane { lane, recv }) = route.from.recv().await {
        context.wire.streams_accepted.fetch_add(1, Ordering::Relaxed);
        let Some(queue) = queues.get_mut(lane).and_then(Option::take) else {
            context.session.fail(Error::protocol("a data lane that the session does not have").remote());
            continue;
        };
        context.wire.received(LANE_HEADER_BYTES as u64);
        let (context, window) = (context.clone(), window.lane());
        tasks.spawn(async move {
            if let Err(error) = receive_lane(recv, &queue, window, &context.wire, &context.session).await {
                context.failed(error).await;
            }
        });
    }
}

/// A lane's stream. When the run fails it must be reset: by itself QUIC would end it wherever it is, and the receiver
/// would take that for a truncated pack or file.
struct LaneStream<'a> {
    send: quinn::SendStream,
    session: &'a Session,
}

impl Drop for LaneStream<'_> {
    fn drop(&mut self) {
        if let Some(error) = self.session.error() {
            let _ = self.send.reset(close_code(error.kind()));
        }
    }
}

/// Carries packs to the peer, from the first one on. The future that it returns waits until the peer has received all
/// of them.
pub(super) async fn send_lane(
    context: &LaneContext,
    lane: u8,
    mut pack: Pack,
    queue: &mut mpsc::Receiver<Pack>,
) -> Result<impl Future<Output = std::result::Result<Option<quinn::VarInt>, quinn::StoppedError>> + Send + 'static> {
    let LaneContext { session, connection, number, wire, .. } = context;
    let send = connection.open_uni().await.map_err(|error| connection_error(&error))?;
    let mut stream = LaneStream { send, session };
    wire.streams_opened.fetch_add(1, Ordering::Relaxed);
    let mut head = [0; LANE_HEADER_BYTES];
    head[..8].copy_from_slice(&number.to_be_bytes());
    head[8] = lane;
    let mut lead = Bytes::copy_from_slice(&head);
    loop {
        let bytes = (lead.len() + PACK_HEADER_BYTES + pack.bytes.len()) as u64;
        let header = Bytes::copy_from_slice(&pack.header.encode());
        let chunks = &mut [lead, header, pack.bytes];
        match session.wire_piece() {
            None => stream.send.write_all_chunks(chunks).await.map_err(|error| write_error(&error))?,
            Some(limit) => {
                for chunk in chunks {
                    while !chunk.is_empty() {
                        let piece = chunk.split_to(chunk.len().min(limit));
                        session.pace_wire(piece.len()).await;
                        stream.send.write_chunk(piece).await.map_err(|error| write_error(&error))?;
                    }
                }
            }
        }
        wire.sent(bytes);
        lead = Bytes::new();
        match queue.recv().await {
            Some(next) => pack = next,
            None => break,
        }
    }
    let _ = stream.send.finish();
    Ok(stream.send.stopped())
}

/// Carries packs from the peer till the stream's end.
pub(super) async fn receive_lane(
    mut recv: quinn::RecvStream,
    queue: &mpsc::Sender<Pack>,
    mut window: LaneWindow,
    wire: &WireCounters,
    session: &Session,
) -> Result<()> {
    let mut head = Vec::with_capacity(PACK_HEADER_BYTES);
    // Packs without room in the queue stay with QUIC, where the peer's window counts them.
    while let Some(room) = room(queue, &mut window).await {
        head.clear();
        if !read_bytes(&mut recv, &mut head, PACK_HEADER_BYTES, true).await? {
            return Ok(());
        }
        let head: [u8; PACK_HEADER_BYTES] =
            head[..].try_into().map_err(|_| Error::internal("a header of another length"))?;
        let header = PackHeader::decode(&head).map_err(Error::unreadable)?;
        let mut bytes = take_buffer(header.stored_bytes, session.profiler());
        read_bytes(&mut recv, &mut bytes, header.stored_bytes, false).await?;
        let count = PACK_HEADER_BYTES + header.stored_bytes;
        wire.received(count as u64);
        window.read(count);
        session.pace_taken(count as u64).await;
        room.send(Pack::new(header, share(bytes)));
    }
    Ok(())
}

/// Waits for room in a lane's queue; none when its reader is gone.
async fn room<'a>(queue: &'a mpsc::Sender<Pack>, window: &mut LaneWindow) -> Option<mpsc::Permit<'a, Pack>> {
    if let Ok(room) = queue.try_reserve() {
        return Some(room);
    }
    if let Ok(room) = tokio::time::timeout(LANE_HALTS, queue.reserve()).await {
        return room.ok();
    }
    window.halt(true);
    let room = queue.reserve().await;
    window.halt(false);
    room.ok()
}

/// Reads exactly `count` bytes. Gives false when the stream ended before the first of them, and `may_end`.
async fn read_bytes(recv: &mut quinn::RecvStream, into: &mut Vec<u8>, count: usize, may_end: bool) -> Result<bool> {
    while into.len() < count {
        match recv.read_chunk(count - into.len(), true).await.map_err(|error| read_error(&error))? {
            Some(chunk) => into.extend_from_slice(&chunk.bytes),
            None if may_end && into.is_empty() => return Ok(false),
            None => return Err(Error::protocol("a data lane that ends inside a pack").remote()),
        }
    }
    Ok(true)
}
