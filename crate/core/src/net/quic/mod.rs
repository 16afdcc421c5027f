//! QUIC as a transport: each session has one bidirectional stream for control, and a unidirectional one for each data
//! lane.

mod control;
mod data;
mod router;
mod session;
mod silence;

use std::sync::Arc;
use std::time::Duration;

use super::{Window, WindowBudget, close_sent, close_with, connection_error};
use crate::error::Error;
use crate::transport::{Connection, Pending, Principal, SessionLanes, Transport, WireCounters};
use control::ControlStreams;
use router::Router;
use session::{End, QuicLanes};

/// Below this round trip a path is a machine's own or a local network's, whose speed a window does not tell.
const GOODPUT_FROM_ROUND_TRIP: Duration = Duration::from_millis(1);

/// A QUIC connection.
pub(crate) struct QuicConnection {
    connection: quinn::Connection,
    principal: Principal,
    router: Arc<Router>,
    window: Window,
    /// The shortest round trip seen: that of the handshake.
    first_round_trip: Duration,
}

impl QuicConnection {
    /// Puts an authorized connection to use: opens its window, and accepts its data streams on the runtime that this is
    /// called on.
    pub(super) fn start(connection: quinn::Connection, principal: Principal, windows: &WindowBudget) -> Arc<Self> {
        let router = Arc::<Router>::default();
        let window = windows.open(&connection);
        tokio::spawn(Arc::clone(&router).run(connection.clone()));
        Arc::new(Self { first_round_trip: connection.rtt(), connection, principal, router, window })
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
        if self.first_round_trip < GOODPUT_FROM_ROUND_TRIP {
            return None;
        }
        let path = self.connection.stats().path;
        #[expect(clippy::cast_precision_loss, reason = "an estimate within a factor")]
        let window = path.cwnd as f64;
        Some(window / path.rtt.as_secs_f64().max(1e-6))
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
