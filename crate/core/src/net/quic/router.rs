//! Brings the data streams of a connection to their sessions.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

/// Data streams that are kept for sessions that have not begun yet.
const STRAY_LANES_MAX: usize = 64;

/// The length of a data stream's header: the session's number, and the lane's.
pub(super) const LANE_HEADER_BYTES: usize = 9;

/// How long a data stream may take to say whose it is.
const LANE_HEADER_WITHIN: Duration = Duration::from_secs(10);

/// A stream that carries a data lane.
pub(in crate::net) struct ArrivedLane {
    pub(in crate::net) lane: usize,
    pub(in crate::net) recv: quinn::RecvStream,
}

/// What is known of sessions.
#[derive(Default)]
struct Routes {
    sessions: HashMap<u64, mpsc::UnboundedSender<ArrivedLane>>,
    strays: HashMap<u64, Vec<ArrivedLane>>,
    /// The sessions that ended last. Their late streams are dropped: kept ones would use up the window for good.
    ended: VecDeque<u64>,
}

/// Brings the data streams of a connection to their sessions.
#[derive(Default)]
pub(super) struct Router {
    routes: Mutex<Routes>,
}

impl Router {
    /// Accepts data streams until the connection ends.
    pub(super) async fn run(self: Arc<Self>, connection: quinn::Connection) {
        while let Ok(mut recv) = connection.accept_uni().await {
            let router = Arc::clone(&self);
            tokio::spawn(async move {
                let mut head = [0; LANE_HEADER_BYTES];
                let read = tokio::time::timeout(LANE_HEADER_WITHIN, recv.read_exact(&mut head));
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

    /// Registers a session that begins. Streams that came for it before are handed to it.
    pub(super) fn register(self: &Arc<Self>, session: u64) -> Route {
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
pub(in crate::net) struct Route {
    router: Arc<Router>,
    session: u64,
    /// The streams that come.
    pub(in crate::net) from: mpsc::UnboundedReceiver<ArrivedLane>,
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
