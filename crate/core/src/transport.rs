//! Carries a session's lanes over QUIC streams, or from one engine to the other in one process.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader};
use sparsync_proto::{Figure, Frame, FrameDecoder};
use tokio::sync::mpsc;

use crate::engine::{DATA_QUEUE, Pack, Session, TransportControl, share, take_buffer};
use crate::error::{Error, ErrorKind, Result};
use crate::net;
use crate::profile::{Profiler, nanos};

/// How often work is looked at and told.
const TICK: Duration = Duration::from_secs(1);

/// A heartbeat goes out at least this often, in ticks.
const TICKS_BETWEEN_HEARTBEATS: u32 = 5;

/// How long the last frames of a peer are waited for when a lane ends or is stopped: they hold the result of the run,
/// or the reason of its end.
const LAST_FRAMES: Duration = Duration::from_secs(2);

/// Bytes taken from a stream at once.
const READ_BYTES: usize = 64 << 10;

/// Bytes of a control lane that are taken after the session has ended: signs of life, and the records of a small tree.
const REST_BYTES_MAX: usize = 64 << 10;

/// A lane whose writer takes nothing for so long does not count against what the connection may hold.
const LANE_HALTS: Duration = Duration::from_secs(1);

/// Data streams that are kept for sessions which are about to begin.
const STRAY_LANES_MAX: usize = 64;

/// What a data stream begins with: the session's number, and the lane's.
const LANE_HEADER_BYTES: usize = 9;

/// What was put on and taken off the wire: by one run, or by all of a server.
///
/// Both ends of a run that went well count the same, byte by byte. Only what was on its way when the receiver had
/// decided may be missing at the end that needed it no more: a sign of life, records behind the digest of an equal tree.
#[derive(Debug, Default)]
pub(crate) struct WireCounters {
    /// Bytes of all streams, to the peer.
    pub(crate) bytes_sent: AtomicU64,
    /// Bytes of all streams, from the peer.
    pub(crate) bytes_received: AtomicU64,
    /// Writes and frames on the control lane, in both directions.
    pub(crate) control_frames: AtomicU64,
    /// Streams opened by this side.
    pub(crate) streams_opened: AtomicU64,
    /// Streams opened by the peer.
    pub(crate) streams_accepted: AtomicU64,
    /// Answers that came after something was said: each may have cost a round trip.
    pub(crate) round_trips: AtomicU64,
    /// Something was said on the control lane since the last frame from the peer.
    asked: AtomicBool,
    /// When, by the session's profile.
    asked_at: AtomicU64,
    /// Counters of which these are a part: those of a server.
    total: Option<Arc<WireCounters>>,
}

/// A control lane's two streams, with what has been read beyond the first frames.
pub(crate) struct ControlStreams {
    pub(crate) send: quinn::SendStream,
    pub(crate) recv: quinn::RecvStream,
    pub(crate) decoder: FrameDecoder,
    pub(crate) wire: Arc<WireCounters>,
}

impl ControlStreams {
    /// A control lane that nothing was said on yet.
    pub(crate) fn new(send: quinn::SendStream, recv: quinn::RecvStream, wire: Arc<WireCounters>) -> Self {
        Self { send, recv, decoder: FrameDecoder::default(), wire }
    }

    /// The number that data lanes name the session by: that of the stream, which both sides know.
    pub(crate) fn number(&self) -> u64 {
        self.send.id().index()
    }

    /// Writes a frame.
    pub(crate) async fn write(&mut self, frame: &Frame) -> Result<()> {
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        self.write_encoded(&encoded).await
    }

    /// Writes encoded frames.
    pub(crate) async fn write_encoded(&mut self, encoded: &[u8]) -> Result<()> {
        self.send.write_all(encoded).await.map_err(|error| net::write_error(&error))?;
        self.wire.sent(encoded.len() as u64);
        Ok(())
    }

    /// Reads the next frame.
    pub(crate) async fn read(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(malformed)? {
                return Ok(Some(frame));
            }
            match self.recv.read_chunk(READ_BYTES, true).await.map_err(|error| net::read_error(&error))? {
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

fn malformed(error: sparsync_proto::Malformed) -> Error {
    Error::protocol(error.to_string()).remote().because(error)
}

/// The data lanes of a session.
pub(crate) enum DataLanes {
    /// This side sends packs; a stream is opened for a lane when its first pack is there.
    Out(Vec<mpsc::Receiver<Pack>>),
    /// This side receives packs, from streams that the router brings.
    In(Vec<mpsc::Sender<Pack>>),
}

/// A stream that carries a data lane.
struct ArrivedLane {
    lane: usize,
    recv: quinn::RecvStream,
}

#[derive(Default)]
struct Routes {
    sessions: HashMap<u64, mpsc::UnboundedSender<ArrivedLane>>,
    strays: HashMap<u64, Vec<ArrivedLane>>,
    /// The sessions that ended last. What comes of them late is let go: kept, it would use up the window for good.
    ended: VecDeque<u64>,
}

/// Brings the data streams of a connection to their sessions.
#[derive(Default)]
pub(crate) struct Router {
    routes: Mutex<Routes>,
}

impl Router {
    /// Accepts data streams until the connection ends.
    pub(crate) async fn run(self: Arc<Self>, connection: quinn::Connection) {
        while let Ok(mut recv) = connection.accept_uni().await {
            let router = Arc::clone(&self);
            tokio::spawn(async move {
                let mut head = [0; LANE_HEADER_BYTES];
                let read = tokio::time::timeout(Duration::from_secs(10), recv.read_exact(&mut head));
                if matches!(read.await, Ok(Ok(()))) {
                    let [session @ .., lane] = head;
                    router.route(u64::from_be_bytes(session), ArrivedLane { lane: lane.into(), recv });
                }
            });
        }
    }

    fn route(&self, session: u64, arrived: ArrivedLane) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(to) = routes.sessions.get(&session) {
            let _ = to.send(arrived);
        } else if routes.ended.contains(&session) {
            drop(arrived);
        } else if routes.strays.values().map(Vec::len).sum::<usize>() < STRAY_LANES_MAX {
            routes.strays.entry(session).or_default().push(arrived);
        }
    }

    fn register(self: &Arc<Self>, session: u64) -> Route {
        let (to, from) = mpsc::unbounded_channel();
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for arrived in routes.strays.remove(&session).unwrap_or_default() {
            let _ = to.send(arrived);
        }
        routes.sessions.insert(session, to);
        Route { router: Arc::clone(self), session, from }
    }
}

/// A session's place in the router.
struct Route {
    router: Arc<Router>,
    session: u64,
    from: mpsc::UnboundedReceiver<ArrivedLane>,
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut routes = self.router.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.sessions.remove(&self.session);
        routes.strays.remove(&self.session);
        if routes.ended.len() == STRAY_LANES_MAX {
            routes.ended.pop_front();
        }
        routes.ended.push_back(self.session);
    }
}

/// Which end of a session this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The one that asked.
    Initiator,
    /// The one that answers.
    Acceptor,
}

/// Carries a session over QUIC until it is over on this side.
pub(crate) struct QuicSession {
    pub(crate) end: End,
    pub(crate) session: Arc<Session>,
    pub(crate) connection: quinn::Connection,
    pub(crate) router: Arc<Router>,
    pub(crate) window: net::Window,
    pub(crate) streams: ControlStreams,
    pub(crate) control: TransportControl,
    pub(crate) lanes: DataLanes,
    /// The run ends when neither side works for so long.
    pub(crate) timeout: Duration,
}

impl QuicSession {
    /// Runs until the engine is done and everything it said is on its way.
    pub(crate) async fn run(self) {
        let Self { end, session, connection, router, window, streams, control, lanes, timeout } = self;
        let number = streams.number();
        let ControlStreams { send, mut recv, decoder, wire } = streams;
        if end == End::Acceptor {
            wire.streams_accepted.fetch_add(1, Ordering::Relaxed);
        }
        let profiler = session.profiler().cloned();
        if let Some(profiler) = &profiler {
            profiler.probe(transport_figures(connection.clone(), window.clone(), Arc::clone(&wire), end));
        }
        // Lists and questions overtake content, so that nobody waits for what is behind it.
        let _ = send.set_priority(1);
        let peer_work = AtomicU64::new(0);
        let (frames, urgent) = (control.frames.clone(), control.urgent_sender());
        let sends_content = matches!(lanes, DataLanes::Out(_));
        let mut out = ControlOut { send, control, unsent: Bytes::new(), wire: &wire, profiler: profiler.as_deref() };
        {
            let lanes = carry_lanes(&session, &connection, &router, &window, number, lanes, &wire);
            let incoming = receive_control(&session, &mut recv, decoder, frames, &peer_work, &wire);
            tokio::select! {
                biased;
                () = session.ended.notified() => {}
                error = async {
                    match out.send_all().await {
                        // The engine has no more to say; whether all is well is known when it has ended the session.
                        Ok(()) => std::future::pending().await,
                        Err(error) => {
                            tokio::time::sleep(LAST_FRAMES).await;
                            error
                        }
                    }
                } => session.fail(error),
                error = incoming => session.fail(error),
                () = lanes => {}
                error = watch_work(&session, &peer_work, timeout, urgent) => session.fail(error),
            }
        }
        let error = session.error();
        // From here on nobody finds the session among those that are alive.
        drop(session);
        out.close(error.as_ref(), sends_content).await;
        // The peer's stream is let go only now: a stop would otherwise overtake the reason.
        if end == End::Acceptor && error.is_none() {
            take_the_rest(&mut recv, &wire).await;
        }
        if let Some(profiler) = profiler {
            profiler.end_probe();
        }
    }
}

/// The way out of a control lane.
struct ControlOut<'a> {
    send: quinn::SendStream,
    control: TransportControl,
    /// What has been begun and did not fit the window yet. It is kept here, so that the end of the session, which lets
    /// go of everything that waits, does not tear a frame: the last words come behind it.
    unsent: Bytes,
    wire: &'a WireCounters,
    profiler: Option<&'a Profiler>,
}

impl ControlOut<'_> {
    /// Sends what the engine says, until it says no more.
    async fn send_all(&mut self) -> Result<()> {
        loop {
            let (encoded, is_bulk) = tokio::select! {
                biased;
                Some(encoded) = self.control.urgent.recv() => (encoded, false),
                Some(encoded) = self.control.bulk.recv() => (encoded, true),
                else => return Ok(()),
            };
            self.send(encoded).await.map_err(|error| net::write_error(&error))?;
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
    async fn close(mut self, error: Option<&Error>, sends_content: bool) {
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
                Some(error) if error.side() == crate::Side::Remote && error.kind() != ErrorKind::Protocol => {}
                Some(error) => {
                    self.send_unsent().await?;
                    let mut encoded = Vec::new();
                    Frame::Abort(error.to_wire()).encode(&mut encoded);
                    self.send(encoded).await?;
                }
            }
            Ok::<(), quinn::WriteError>(())
        };
        // A peer that takes nothing any more must not keep the run from ending.
        let _ = tokio::time::timeout(Duration::from_secs(5), last_words).await;
        let _ = self.send.finish();
    }
}

/// Takes what the peer had on its way when all was decided. More than a little is not worth the way: then the stream is
/// stopped.
async fn take_the_rest(recv: &mut quinn::RecvStream, wire: &WireCounters) {
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

/// Takes what the peer says. Ends only with the reason why nothing more will come.
async fn receive_control(
    session: &Session,
    recv: &mut quinn::RecvStream,
    mut decoder: FrameDecoder,
    frames: mpsc::Sender<Frame>,
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
                    tokio::time::sleep(LAST_FRAMES).await;
                    return net::read_error(&error);
                }
            },
            Err(error) => return malformed(error),
        }
    }
}

/// Tells the peer of work done, and ends the run when neither side works. A side that waits is kept alive by the
/// other's work, whatever it is: hashing, walking, flushing.
async fn watch_work(
    session: &Session,
    peer_work: &AtomicU64,
    timeout: Duration,
    urgent: mpsc::WeakUnboundedSender<Vec<u8>>,
) -> Error {
    let mut seen = (0, 0);
    let mut since = Instant::now();
    let mut quiet_ticks = 0;
    loop {
        tokio::time::sleep(TICK.min(timeout / 4)).await;
        let now = (session.work(), peer_work.load(Ordering::Relaxed));
        quiet_ticks += 1;
        if now.0 != seen.0 || quiet_ticks >= TICKS_BETWEEN_HEARTBEATS {
            quiet_ticks = 0;
            if let Some(urgent) = urgent.upgrade() {
                let mut encoded = Vec::new();
                Frame::Heartbeat(now.0).encode(&mut encoded);
                let _ = urgent.send(encoded);
            }
        }
        if now != seen {
            seen = now;
            since = Instant::now();
        } else if since.elapsed() >= timeout {
            return Error::new(
                ErrorKind::Timeout,
                format!("neither side did any work for {} seconds", timeout.as_secs_f32()),
            );
        }
    }
}

/// What a profile tells of the transport: the connection's own counters since the session began, and the session's.
fn transport_figures(
    connection: quinn::Connection,
    window: net::Window,
    wire: Arc<WireCounters>,
    end: End,
) -> impl Fn(&Profiler) + Send + 'static {
    let before = connection.stats();
    move |profiler| {
        let now = connection.stats();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, received) = (count(&wire.bytes_sent), count(&wire.bytes_received));
        let (request, response) = if end == End::Initiator { (sent, received) } else { (received, sent) };
        for (figure, value) in [
            (Figure::connections, 1),
            (Figure::control_frames, count(&wire.control_frames)),
            (Figure::streams_opened, count(&wire.streams_opened)),
            (Figure::streams, count(&wire.streams_opened) + count(&wire.streams_accepted)),
            (Figure::request_bytes, request),
            (Figure::response_bytes, response),
            (Figure::round_trips, count(&wire.round_trips)),
            (Figure::packets_sent, now.udp_tx.datagrams - before.udp_tx.datagrams),
            (Figure::packets_received, now.udp_rx.datagrams - before.udp_rx.datagrams),
            (Figure::packets_lost, now.path.lost_packets.saturating_sub(before.path.lost_packets)),
            (Figure::rtt_ms, nanos(now.path.rtt)),
            (Figure::mtu_bytes, now.path.current_mtu.into()),
            (Figure::window_bytes, now.path.cwnd),
            (Figure::receive_window_bytes, window.bytes().into()),
        ] {
            profiler.set(figure, value);
        }
    }
}

impl WireCounters {
    /// Counters of one session, of which `total` counts the bytes as well.
    pub(crate) fn part_of(total: &Arc<Self>) -> Self {
        Self { total: Some(Arc::clone(total)), ..Self::default() }
    }

    /// Something was said to the peer.
    pub(crate) fn asks(&self, profiler: Option<&Profiler>) {
        if !self.asked.swap(true, Ordering::Relaxed)
            && let Some(profiler) = profiler
        {
            self.asked_at.store(profiler.now(), Ordering::Relaxed);
        }
    }

    /// The peer said something.
    fn answered(&self, session: &Session) {
        if self.asked.swap(false, Ordering::Relaxed) {
            self.round_trips.fetch_add(1, Ordering::Relaxed);
            if let Some(profiler) = session.profiler() {
                let asked_at = self.asked_at.load(Ordering::Relaxed);
                profiler.add(Figure::roundtrip_ms, profiler.now().saturating_sub(asked_at));
            }
        }
    }

    fn sent(&self, bytes: u64) {
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(total) = &self.total {
            total.sent(bytes);
        }
    }

    fn received(&self, bytes: u64) {
        self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
        if let Some(total) = &self.total {
            total.received(bytes);
        }
    }
}

/// Carries the data lanes; ends only when the run does.
async fn carry_lanes(
    session: &Arc<Session>,
    connection: &quinn::Connection,
    router: &Arc<Router>,
    window: &net::Window,
    number: u64,
    lanes: DataLanes,
    wire: &Arc<WireCounters>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    match lanes {
        DataLanes::Out(queues) => {
            for (lane, queue) in (0u8..).zip(queues) {
                let (session, connection, wire) = (Arc::clone(session), connection.clone(), Arc::clone(wire));
                tasks.spawn(async move {
                    if let Err(error) = send_lane(&session, &connection, number, lane, queue, &wire).await {
                        tokio::time::sleep(LAST_FRAMES).await;
                        session.fail(error);
                    }
                });
            }
        }
        DataLanes::In(queues) => {
            let mut route = router.register(number);
            // Before the first bytes come: what the path was seen to need is told with the first frames.
            let _expected = window.lane();
            let mut queues: Vec<_> = queues.into_iter().map(Some).collect();
            while let Some(ArrivedLane { lane, recv }) = route.from.recv().await {
                wire.streams_accepted.fetch_add(1, Ordering::Relaxed);
                let Some(queue) = queues.get_mut(lane).and_then(Option::take) else {
                    session.fail(Error::protocol("a data lane that the session does not have").remote());
                    continue;
                };
                wire.received(LANE_HEADER_BYTES as u64);
                let (session, wire, window) = (Arc::clone(session), Arc::clone(wire), window.lane());
                tasks.spawn(async move {
                    if let Err(error) = receive_lane(recv, &queue, window, &wire, session.profiler()).await {
                        if error.kind() != ErrorKind::Protocol {
                            // The reason comes on the control lane.
                            tokio::time::sleep(LAST_FRAMES).await;
                        }
                        session.fail(error);
                    }
                });
            }
        }
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

/// A lane's stream. When the run fails it is reset: what QUIC does by itself is to end it wherever it is, which a
/// receiver takes for a pack or a file without its end.
struct LaneStream<'a> {
    send: quinn::SendStream,
    session: &'a Session,
}

impl Drop for LaneStream<'_> {
    fn drop(&mut self) {
        if let Some(error) = self.session.error() {
            let _ = self.send.reset(net::close_code(error.kind()));
        }
    }
}

async fn send_lane(
    session: &Session,
    connection: &quinn::Connection,
    number: u64,
    lane: u8,
    mut queue: mpsc::Receiver<Pack>,
    wire: &WireCounters,
) -> Result<()> {
    let Some(mut pack) = queue.recv().await else { return Ok(()) };
    let send = connection.open_uni().await.map_err(|error| net::connection_error(&error))?;
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
        stream.send.write_all_chunks(chunks).await.map_err(|error| net::write_error(&error))?;
        wire.sent(bytes);
        lead = Bytes::new();
        match queue.recv().await {
            Some(next) => pack = next,
            None => break,
        }
    }
    let _ = stream.send.finish();
    Ok(())
}

async fn receive_lane(
    mut recv: quinn::RecvStream,
    queue: &mpsc::Sender<Pack>,
    mut window: net::LaneWindow,
    wire: &WireCounters,
    profiler: Option<&Arc<Profiler>>,
) -> Result<()> {
    let mut head = Vec::with_capacity(PACK_HEADER_BYTES);
    // What finds no room stays with QUIC, where the peer's window counts it.
    while let Some(room) = room(queue, &mut window).await {
        head.clear();
        if !read_bytes(&mut recv, &mut head, PACK_HEADER_BYTES, true).await? {
            return Ok(());
        }
        let head: [u8; PACK_HEADER_BYTES] =
            head[..].try_into().map_err(|_| Error::internal("a header of another length"))?;
        let header = PackHeader::decode(&head).map_err(malformed)?;
        let mut bytes = take_buffer(header.stored_bytes, profiler);
        read_bytes(&mut recv, &mut bytes, header.stored_bytes, false).await?;
        let count = PACK_HEADER_BYTES + header.stored_bytes;
        wire.received(count as u64);
        window.read(count);
        room.send(Pack { header, bytes: share(bytes) });
    }
    Ok(())
}

/// Waits for room in a lane's queue; nothing when nobody reads it any more.
async fn room<'a>(queue: &'a mpsc::Sender<Pack>, window: &mut net::LaneWindow) -> Option<mpsc::Permit<'a, Pack>> {
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

/// Reads exactly `count` bytes; says false when the stream ended before the first and may.
async fn read_bytes(recv: &mut quinn::RecvStream, into: &mut Vec<u8>, count: usize, may_end: bool) -> Result<bool> {
    while into.len() < count {
        match recv.read_chunk(count - into.len(), true).await.map_err(|error| net::read_error(&error))? {
            Some(chunk) => into.extend_from_slice(&chunk.bytes),
            None if may_end && into.is_empty() => return Ok(false),
            None => return Err(Error::protocol("a data lane that ends inside a pack").remote()),
        }
    }
    Ok(true)
}

/// The data lanes of a session that sends.
pub(crate) fn lanes_out(count: u8) -> (Vec<mpsc::Sender<Pack>>, DataLanes) {
    let (to, from) = (0..count).map(|_| mpsc::channel(DATA_QUEUE)).unzip();
    (to, DataLanes::Out(from))
}

/// The data lanes of a session that receives.
pub(crate) fn lanes_in(count: u8) -> (Vec<mpsc::Receiver<Pack>>, DataLanes) {
    let (to, from): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(DATA_QUEUE)).unzip();
    (from, DataLanes::In(to))
}

/// Carries a session between two engines of one process, until both are done.
pub(crate) async fn carry_local(a: (&Session, TransportControl), b: (&Session, TransportControl)) {
    let (mut from_a, mut from_b) = (a.1, b.1);
    let (to_a, to_b) = (from_a.frames.clone(), from_b.frames.clone());
    tokio::select! {
        () = a.0.ended.notified() => {}
        () = b.0.ended.notified() => {}
        () = async {
            tokio::join!(carry_frames(&mut from_a, &to_b, b.0), carry_frames(&mut from_b, &to_a, a.0));
        } => {}
    }
    // What one side still had to say reaches the other before it sees the end.
    drain(&mut from_a, &to_b);
    drain(&mut from_b, &to_a);
    for (one, other) in [(a.0, b.0), (b.0, a.0)] {
        if let Some(error) = one.error() {
            other.fail(error);
        }
    }
}

async fn carry_frames(from: &mut TransportControl, to: &mpsc::Sender<Frame>, receiver: &Session) {
    let mut decoder = FrameDecoder::default();
    loop {
        let (encoded, is_bulk) = tokio::select! {
            biased;
            Some(encoded) = from.urgent.recv() => (encoded, false),
            Some(encoded) = from.bulk.recv() => (encoded, true),
            else => return,
        };
        decoder.feed(&encoded);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    if to.send(frame).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => return receiver.fail(malformed(error)),
            }
        }
        if is_bulk {
            from.bulk_written();
        }
    }
}

fn drain(from: &mut TransportControl, to: &mpsc::Sender<Frame>) {
    let mut decoder = FrameDecoder::default();
    while let Ok(encoded) = from.urgent.try_recv() {
        decoder.feed(&encoded);
    }
    while let Ok(encoded) = from.bulk.try_recv() {
        decoder.feed(&encoded);
    }
    while let Ok(Some(frame)) = decoder.next_frame() {
        let _ = to.try_send(frame);
    }
}
