//! QUIC as a transport: each session has one bidirectional stream for control, and a unidirectional one for each data
//! lane.

mod control;
mod data;
mod router;
mod session;
mod silence;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::close::close_sent_behind;
use super::control::Ending;
use super::goodput::MEASURED_FROM_ROUND_TRIP;
use super::{Window, WindowBudget, close_sent, close_with, connection_error};
use crate::engine::{Pack, Session};
use crate::error::{Error, Result};
use crate::transport::{Connection, Pending, Principal, SessionLanes, Transport, WireCounters};
use control::ControlStreams;
use data::{LaneContext, receive_lane, send_lane};
pub(super) use router::{ArrivedLane, Route};
use router::{LANE_HEADER_BYTES, Router};
use session::{End, QuicLanes};
use silence::Silence;

/// How long the last datagram of a connection beside a pipe may take to leave. It spares the peer a wait only where the
/// pipe, which tells the end as well, is slower.
const GOODBYE_WITHIN: Duration = Duration::from_millis(5);

/// How long what was seen of a path counts. A look waits for the lock under which the connection sends, and who reads
/// content asks for each pack: on loopback these waits were 4 % of a first sync.
const LOOK_COUNTS: Duration = Duration::from_millis(5);

/// What the number of a connection is derived by.
const NUMBER_LABEL: &[u8] = b"EXPORTER-sparsync-beside";

/// A lane of a session whose control lane is elsewhere.
#[derive(Clone, Copy)]
pub(super) struct OwnLane<'a> {
    pub(super) session: &'a Arc<Session>,
    /// The session's number, which both ends know.
    pub(super) number: u64,
    pub(super) lane: u8,
    pub(super) wire: &'a Arc<WireCounters>,
}

/// A QUIC connection.
pub(crate) struct QuicConnection {
    connection: quinn::Connection,
    principal: Principal,
    router: Arc<Router>,
    window: Window,
    /// The shortest round trip seen: that of the handshake.
    first_round_trip: Duration,
    /// The goodput that was seen last, and when.
    seen: Mutex<Option<(Instant, Option<f64>)>>,
    /// The datagrams that it had sent when this end closed it.
    sent_at_goodbye: OnceLock<u64>,
}

impl QuicConnection {
    /// Begins to use an authorized connection: opens its window, and accepts its data streams on the calling runtime.
    pub(super) fn start(connection: quinn::Connection, principal: Principal, windows: &WindowBudget) -> Arc<Self> {
        let router = Arc::<Router>::default();
        let window = windows.open(&connection);
        tokio::spawn(Arc::clone(&router).run(connection.clone()));
        let first_round_trip = connection.rtt();
        let (seen, sent_at_goodbye) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { connection, principal, router, window, first_round_trip, seen, sent_at_goodbye })
    }

    /// Whether the connection has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Waits until it has.
    pub(super) async fn ended(&self) -> Error {
        connection_error(&self.connection.closed().await)
    }

    /// A number of this connection that both ends can derive and nobody else. It is never 0.
    pub(super) fn number(&self) -> u32 {
        let mut bytes = [0; 4];
        let _ = self.connection.export_keying_material(&mut bytes, NUMBER_LABEL, b"");
        u32::from_be_bytes(bytes) | 1
    }

    /// Bytes a second by what the congestion controller lets onto the path.
    fn look(&self) -> Option<f64> {
        let path = self.connection.stats().path;
        // A busy machine answers itself late at first.
        if self.first_round_trip.min(path.rtt) < MEASURED_FROM_ROUND_TRIP {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate within a factor")]
        let window = path.cwnd as f64;
        Some(window / path.rtt.as_secs_f64().max(1e-6))
    }

    /// Ends the connection.
    pub(super) fn say_goodbye(&self) {
        self.sent_at_goodbye.get_or_init(|| self.connection.stats().udp_tx.datagrams);
        self.connection.close(0u32.into(), b"");
    }

    /// Waits until that has left, a moment at most.
    pub(super) async fn goodbye_said(&self) {
        if let Some(before) = self.sent_at_goodbye.get() {
            close_sent_behind(&self.connection, *before, GOODBYE_WITHIN).await;
        }
    }

    /// The place where data lanes arrive of a session whose control lane is on another transport.
    pub(super) fn lanes_of(&self, session: u64) -> Route {
        self.router.register(session)
    }

    /// Carries the rest of a lane to the peer, from this pack on. Ends only with the error that keeps it from arriving.
    pub(super) async fn carry_on(&self, lane: OwnLane<'_>, first: Pack, queue: &mut mpsc::Receiver<Pack>) -> Error {
        let OwnLane { session, number, lane, wire } = lane;
        let silence = Arc::new(Silence::new(self.connection.clone()));
        let context = LaneContext {
            session: Arc::clone(session),
            connection: self.connection.clone(),
            number,
            wire: Arc::clone(wire),
            silence,
            ending: Arc::new(Ending::new(false)),
        };
        let sent = send_lane(&context, lane, first, queue).await;
        let error = match sent {
            Err(error) => error,
            // Packs on their way are lost with the connection. Here no control lane would tell, so this waits for their
            // arrival.
            Ok(arrived) => match arrived.await {
                Ok(_) => std::future::pending().await,
                Err(_) => self.ended().await,
            },
        };
        context.silence.explain(error)
    }

    /// Brings the rest of a lane from the peer.
    pub(super) async fn bring_on(
        &self,
        session: &Session,
        recv: quinn::RecvStream,
        queue: &mpsc::Sender<Pack>,
        wire: &WireCounters,
    ) -> Result<()> {
        wire.received(LANE_HEADER_BYTES as u64);
        receive_lane(recv, queue, self.window.lane(), wire, session).await
    }

    fn lanes(&self, end: End, streams: Option<ControlStreams>, wire: Arc<WireCounters>) -> Box<dyn SessionLanes> {
        let (connection, router, window) = (self.connection.clone(), Arc::clone(&self.router), self.window.clone());
        Box::new(QuicLanes::new(end, connection, router, window, streams, wire))
    }
}

impl Connection for QuicConnection {
    fn transport(&self) -> Transport {
        Transport::Quic
    }

    fn principal(&self) -> &Principal {
        &self.principal
    }

    fn peer_address(&self) -> String {
        self.connection.remote_address().to_string()
    }

    fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }

    fn goodput(&self) -> Option<f64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, goodput)) = seen.filter(|(at, _)| at.elapsed() < LOOK_COUNTS) {
            return goodput;
        }
        let goodput = self.look();
        *seen = Some((Instant::now(), goodput));
        goodput
    }

    fn heard(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    fn closed(&self) -> Option<Error> {
        self.connection.close_reason().map(|reason| connection_error(&reason))
    }

    fn close(&self, why: Option<&Error>) {
        match why {
            Some(error) => close_with(&self.connection, error),
            None => self.connection.close(0u32.into(), b""),
        }
    }

    fn close_sent(&self) -> Pending<'_, ()> {
        Box::pin(close_sent(&self.connection))
    }

    fn open(&self, wire: Arc<WireCounters>) -> Box<dyn SessionLanes> {
        self.lanes(End::Initiator, None, wire)
    }

    fn accept(&self, wire: Arc<WireCounters>) -> Pending<'_, Option<Box<dyn SessionLanes>>> {
        Box::pin(async move {
            let (send, recv) = self.connection.accept_bi().await.ok()?;
            let streams = ControlStreams::new(send, recv, Arc::clone(&wire));
            Some(self.lanes(End::Acceptor, Some(streams), wire))
        })
    }
}
