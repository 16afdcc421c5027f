//! One session over QUIC streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sparsync_proto::{Figure, Frame};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::control::{ControlStreams, receive_control, take_the_rest};
use super::data::{LaneContext, carry_in, carry_out};
use super::router::Router;
use super::silence::Silence;
use crate::engine::{Pack, Session, TransportControl, data_queues};
use crate::error::{Error, Result};
use crate::net::control::{ControlOut, Ending};
use crate::net::{Window, close_with, connection_error};
use crate::profile::{Profiler, nanos};
use crate::transport::{Pending, SessionLanes, WireCounters, watch_work};

/// Which end of a session this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The one that asked.
    Initiator,
    /// The one that answers.
    Acceptor,
}

/// A session's lanes. The initiator's control stream is opened by its first frames.
pub(super) struct QuicLanes {
    end: End,
    connection: quinn::Connection,
    router: Arc<Router>,
    window: Window,
    streams: Option<ControlStreams>,
    outgoing: Vec<mpsc::Receiver<Pack>>,
    incoming: Vec<mpsc::Sender<Pack>>,
    wire: Arc<WireCounters>,
}

impl QuicLanes {
    pub(super) fn new(
        end: End,
        connection: quinn::Connection,
        router: Arc<Router>,
        window: Window,
        streams: Option<ControlStreams>,
        wire: Arc<WireCounters>,
    ) -> Self {
        Self { end, connection, router, window, streams, outgoing: Vec::new(), incoming: Vec::new(), wire }
    }

    /// The control lane, which is opened if it is not yet.
    async fn streams(&mut self) -> Result<&mut ControlStreams> {
        if self.streams.is_none() {
            self.wire.streams_opened.fetch_add(1, Ordering::Relaxed);
            let (send, recv) = self.connection.open_bi().await.map_err(|error| connection_error(&error))?;
            self.streams = Some(ControlStreams::new(send, recv, Arc::clone(&self.wire)));
        }
        self.streams.as_mut().ok_or_else(|| Error::internal("a control lane that was opened and is not there"))
    }

    /// Runs until the engine has finished and all its frames are on their way.
    async fn run(mut self, session: Arc<Session>, control: TransportControl, timeout: Duration) {
        if let Err(error) = self.streams().await {
            session.fail(error);
        }
        let Self { end, connection, router, window, streams: Some(streams), outgoing, incoming, wire } = self else {
            return;
        };
        let number = streams.number();
        let ControlStreams { send, mut recv, decoder, .. } = streams;
        if end == End::Acceptor {
            wire.streams_accepted.fetch_add(1, Ordering::Relaxed);
        }
        let profiler = session.profiler().cloned();
        if let Some(profiler) = &profiler {
            profiler.probe(transport_figures(connection.clone(), window.clone(), Arc::clone(&wire), end));
        }
        let peer_work = AtomicU64::new(0);
        let (frames, urgent) = (control.frames.clone(), control.urgent_sender());
        let silence = Arc::new(Silence::new(connection.clone()));
        let sends_content = !outgoing.is_empty();
        // Listings and questions overtake content, or their reader would wait for all content before them.
        let _ = send.set_priority(1);
        let mut out = ControlOut::new(send, control, &wire, profiler.as_deref());
        {
            let context = LaneContext {
                session: Arc::clone(&session),
                connection: connection.clone(),
                number,
                wire: Arc::clone(&wire),
                silence: Arc::clone(&silence),
                ending: Arc::new(Ending::new(!sends_content)),
            };
            let lanes = carry_lanes(&context, &router, &window, outgoing, incoming);
            let incoming = receive_control(&context, &mut recv, decoder, frames, &peer_work);
            tokio::select! {
                biased;
                () = session.ended.notified() => {}
                error = out.say_all(&context.ending) => session.fail(silence.explain(error)),
                error = incoming => session.fail(silence.explain(error)),
                () = lanes => {}
                () = context.ending.follow(silence.lost()) => {}
                error = watch_work(&session, &peer_work, timeout, urgent.clone()) => {
                    session.fail(silence.explain(error));
                }
                // A server cannot probe its clients, which are behind NAT.
                error = silence.watch(&session, urgent), if end == End::Initiator => {
                    session.fail(error.clone());
                    close_with(&connection, &error);
                }
            }
        }
        let error = session.error();
        // From here on the session is no longer found among those that are alive.
        drop(session);
        out.close(error.as_ref(), sends_content).await;
        // The peer's stream is dropped only now: its stop would overtake the reason.
        if end == End::Acceptor && error.is_none() {
            take_the_rest(&mut recv, &wire).await;
        }
        if let Some(profiler) = profiler {
            profiler.end_probe();
        }
    }
}

impl SessionLanes for QuicLanes {
    fn write(&mut self, encoded: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move { self.streams().await?.write(encoded).await })
    }

    fn read(&mut self) -> Pending<'_, Result<Option<Frame>>> {
        Box::pin(async move { self.streams().await?.read().await })
    }

    fn finish(&mut self) {
        if let Some(streams) = &mut self.streams {
            let _ = streams.send.finish();
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

/// Carries the data lanes; ends only when the run does.
async fn carry_lanes(
    context: &LaneContext,
    router: &Arc<Router>,
    window: &Window,
    outgoing: Vec<mpsc::Receiver<Pack>>,
    incoming: Vec<mpsc::Sender<Pack>>,
) {
    let mut tasks = JoinSet::new();
    carry_out(context, outgoing, &mut tasks);
    if !incoming.is_empty() {
        carry_in(context, router.register(context.number), window, incoming, &mut tasks).await;
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

/// The transport's figures for a profile: the connection's own counters since the session began, and the session's.
fn transport_figures(
    connection: quinn::Connection,
    window: Window,
    wire: Arc<WireCounters>,
    end: End,
) -> impl Fn(&Profiler) + Send + 'static {
    let before = connection.stats();
    move |profiler| {
        let now = connection.stats();
        wire.tell(profiler, end == End::Initiator);
        for (figure, value) in [
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
