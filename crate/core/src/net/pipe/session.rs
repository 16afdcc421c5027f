//! One session over the streams of a pipe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sparsync_proto::mux::StreamId;
use sparsync_proto::{Figure, Frame, FrameDecoder};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::carrier::{Carrier, NewSession, Place};
use super::control::receive_control;
use super::data::{receive_lane, refuse_others, send_lane};
use super::streams::{RecvStream, SendStream};
use super::subflows::{Arrivals, Lane, Packs, Turn};
use crate::engine::{Pack, Session, TransportControl, data_queues};
use crate::error::{Error, Result};
use crate::net::control::{ControlOut, Ending, StreamOut as _, read_frame};
use crate::net::quic::{ArrivedLane, QuicConnection};
use crate::net::tcp::Subflow;
use crate::profile::{Profiler, nanos};
use crate::transport::{Pending, SessionLanes, WireCounters, watch_work};

/// Bytes of a data lane that the peer may send ahead: two packs, and more for the way.
const LANE_WINDOW_BYTES: u32 = 1 << 20;

/// A session's streams. The first pair is the control lane.
pub(super) struct Streams {
    pub(super) control: SendStream,
    pub(super) words: RecvStream,
    pub(super) decoder: FrameDecoder,
    send: Vec<SendStream>,
    recv: Vec<RecvStream>,
    /// The session's place, dropped last: all frames must be in front of the one that leaves the session.
    place: Place,
}

impl Streams {
    /// None for a session without a control lane, which every session must have.
    pub(super) fn of(NewSession { place, mut send, mut recv }: NewSession) -> Option<Self> {
        if send.is_empty() || recv.is_empty() {
            return None;
        }
        let (control, words) = (send.remove(0), recv.remove(0));
        Some(Self { control, words, decoder: FrameDecoder::default(), send, recv, place })
    }
}

/// A session's lanes. One that this end opens begins with its first frames.
pub(super) struct PipeLanes {
    carrier: Arc<Carrier>,
    streams: Option<Streams>,
    outgoing: Vec<mpsc::Receiver<Pack>>,
    incoming: Vec<mpsc::Sender<Pack>>,
    wire: Arc<WireCounters>,
    is_initiator: bool,
}

impl PipeLanes {
    pub(super) fn new(carrier: Arc<Carrier>, streams: Option<Streams>, wire: Arc<WireCounters>) -> Self {
        let is_initiator = streams.is_none();
        Self { carrier, streams, outgoing: Vec::new(), incoming: Vec::new(), wire, is_initiator }
    }

    async fn streams(&mut self) -> Result<&mut Streams> {
        if self.streams.is_none() {
            self.wire.streams_opened.fetch_add(1, Ordering::Relaxed);
            self.streams = Streams::of(self.carrier.open().await?);
        }
        self.streams.as_mut().ok_or_else(|| Error::internal("a session without a control lane"))
    }

    /// Runs until the engine has finished and all its frames are on their way.
    async fn run(mut self, session: Arc<Session>, control: TransportControl, timeout: Duration) {
        self.carrier.unsettled();
        if let Err(error) = self.streams().await {
            session.fail(error);
        }
        let Self { carrier, streams: Some(streams), outgoing, incoming, wire, is_initiator } = self else { return };
        let Streams { control: send, mut words, decoder, send: lanes_out, recv: lanes_in, place } = streams;
        if !is_initiator {
            wire.streams_accepted.fetch_add(1, Ordering::Relaxed);
        }
        let profiler = session.profiler().cloned();
        if let Some(profiler) = &profiler {
            profiler.probe(figures(Arc::clone(&carrier), Arc::clone(&wire), is_initiator));
        }
        let peer_work = AtomicU64::new(0);
        let (frames, urgent) = (control.frames.clone(), control.urgent_sender());
        let sends_content = !outgoing.is_empty();
        let mut out = ControlOut::new(send, control, &wire, profiler.as_deref());
        {
            let ending = Arc::new(Ending::new(!sends_content));
            let context = LaneContext {
                carrier: &carrier,
                number: place.session(),
                session: &session,
                wire: &wire,
                ending: &ending,
            };
            let lanes = carry_lanes(context, (lanes_out, outgoing), (lanes_in, incoming));
            let incoming = receive_control(&context, &mut words, decoder, frames, &peer_work);
            tokio::select! {
                biased;
                () = session.ended.notified() => {}
                error = out.say_all(&ending) => session.fail(error),
                error = incoming => session.fail(error),
                () = lanes => {}
                () = ending.follow(carrier.over()) => {}
                error = watch_work(&session, &peer_work, timeout, urgent) => session.fail(error),
            }
        }
        let error = session.error();
        if error.is_none() {
            carrier.settled();
        }
        // From here on the session is no longer found among those that are alive.
        drop(session);
        out.close(error.as_ref(), sends_content).await;
        drop(place);
        if let Some(profiler) = profiler {
            profiler.end_probe();
        }
    }
}

/// The values that all lanes of a session use.
#[derive(Clone, Copy)]
pub(super) struct LaneContext<'a> {
    pub(super) carrier: &'a Arc<Carrier>,
    number: u32,
    pub(super) session: &'a Arc<Session>,
    pub(super) wire: &'a Arc<WireCounters>,
    pub(super) ending: &'a Arc<Ending>,
}

impl LaneContext<'_> {
    fn lane(self, id: StreamId) -> Lane {
        let (carrier, session, wire) = (Arc::clone(self.carrier), Arc::clone(self.session), Arc::clone(self.wire));
        Lane { carrier, id, session, wire, waits: Arc::default() }
    }
}

/// Where a lane goes on.
type MovedLane = (Arc<QuicConnection>, quinn::RecvStream);

/// Hands lanes that arrive over QUIC to the tasks of this session that wait for them.
async fn move_lanes(
    carrier: Arc<Carrier>,
    number: u64,
    session: Arc<Session>,
    mut waiting: Vec<Option<oneshot::Sender<MovedLane>>>,
) {
    let quic = carrier.beside.stands().await;
    let mut route = quic.lanes_of(number);
    while let Some(ArrivedLane { lane, recv }) = route.from.recv().await {
        match waiting.get_mut(lane).and_then(Option::take) {
            // If the lane's task has ended, because nobody reads its queue any more, the lane is dropped.
            Some(to) => {
                carrier.beside.carries();
                drop(to.send((Arc::clone(&quic), recv)));
            }
            None => session.fail(Error::protocol("a data lane that the session does not have").remote()),
        }
    }
}

/// Carries the data lanes; ends only when the run does.
async fn carry_lanes(
    context: LaneContext<'_>,
    (streams_out, outgoing): (Vec<SendStream>, Vec<mpsc::Receiver<Pack>>),
    (mut streams_in, incoming): (Vec<RecvStream>, Vec<mpsc::Sender<Pack>>),
) {
    let LaneContext { carrier, number, session, ending, .. } = context;
    let mut tasks = JoinSet::new();
    // Content goes in one direction.
    let (_found, subflows) = carrier.find_lanes(number, outgoing.len().max(incoming.len()));
    let mut subflows = subflows.into_iter();
    for ((stream, queue), subflows) in streams_out.into_iter().zip(outgoing).zip(&mut subflows) {
        tasks.spawn(carry_out(context.lane(stream.id()), Arc::clone(ending), stream, queue, subflows.subflows));
    }
    let others = streams_in.split_off(incoming.len().min(streams_in.len()));
    let mut waiting = Vec::new();
    for ((stream, queue), subflows) in streams_in.into_iter().zip(incoming).zip(subflows) {
        let (to, moved) = oneshot::channel();
        waiting.push(Some(to));
        tasks.spawn(carry_in(context.lane(stream.id()), Arc::clone(ending), stream, queue, (subflows, moved)));
    }
    if carrier.beside.is_possible() && !waiting.is_empty() {
        tasks.spawn(move_lanes(Arc::clone(carrier), number.into(), Arc::clone(session), waiting));
    } else {
        // No lane moves to QUIC.
        drop(waiting);
    }
    for stream in others {
        let session = Arc::clone(session);
        tasks.spawn(async move { refuse_others(&session, stream).await });
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

/// Carries the packs of one lane to the peer.
async fn carry_out(
    lane: Lane,
    ending: Arc<Ending>,
    stream: SendStream,
    queue: mpsc::Receiver<Pack>,
    mut subflows: mpsc::UnboundedReceiver<Subflow>,
) {
    // The queue must stay open until the session has failed: a thread that finds it closed has no reason to report.
    let packs = Arc::new(Mutex::new(Packs::new(queue)));
    if let Err(error) = send_lane(&lane, stream, &packs, &mut subflows).await {
        ending.reason_missing().await;
        lane.session.fail(error);
    }
}

/// Carries the packs of one lane from the peer.
async fn carry_in(
    lane: Lane,
    ending: Arc<Ending>,
    mut stream: RecvStream,
    queue: mpsc::Sender<Pack>,
    (arrivals, moved): (Arrivals, oneshot::Receiver<MovedLane>),
) {
    stream.widen(LANE_WINDOW_BYTES);
    let turn = Turn::new();
    let ended = async {
        receive_lane(&lane, stream, &queue).await?;
        // The end of the stream on the pipe ends the lane, unless the lane continues elsewhere.
        turn.begin();
        let Ok((quic, recv)) = moved.await else { return Ok(()) };
        quic.bring_on(&lane.session, recv, &queue, &lane.wire).await
    };
    if let Err(error) = lane.clone().receive(arrivals, queue.clone(), turn.clone(), ended).await {
        if error.kind() != crate::ErrorKind::Protocol {
            // The reason comes on the control lane, unless the lane was on a connection that ended alone.
            ending.reason_missing().await;
        }
        lane.session.fail(error);
    }
}

impl SessionLanes for PipeLanes {
    fn write(&mut self, encoded: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let bytes = encoded.len() as u64;
            self.streams().await?.control.write_all(&mut encoded.into()).await?;
            self.wire.sent(bytes);
            Ok(())
        })
    }

    fn read(&mut self) -> Pending<'_, Result<Option<Frame>>> {
        Box::pin(async move {
            let (carrier, wire) = (Arc::clone(&self.carrier), Arc::clone(&self.wire));
            carrier.unsettled();
            let Streams { words, decoder, .. } = self.streams().await?;
            let frame = read_frame(words, decoder, &wire).await?;
            carrier.settled();
            Ok(frame)
        })
    }

    fn finish(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.control.finish();
        }
    }

    fn data_out(&mut self, lanes: u8) -> Vec<mpsc::Sender<Pack>> {
        let (to, from) = data_queues(lanes);
        self.outgoing = from;
        to
    }

    fn data_in(&mut self, lanes: u8) -> Vec<mpsc::Receiver<Pack>> {
        let (to, from) = data_queues(lanes);
        self.incoming = to;
        from
    }

    fn carry(
        self: Box<Self>,
        session: Arc<Session>,
        control: TransportControl,
        timeout: Duration,
    ) -> Pending<'static, ()> {
        Box::pin(self.run(session, control, timeout))
    }
}

/// What a profile tells of the transport.
fn figures(carrier: Arc<Carrier>, wire: Arc<WireCounters>, is_initiator: bool) -> impl Fn(&Profiler) + Send + 'static {
    move |profiler| {
        wire.tell(profiler, is_initiator);
        profiler.set(Figure::rtt_ms, nanos(carrier.round_trip()));
    }
}
