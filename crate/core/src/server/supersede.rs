//! Dead runs give way: a new run of the same key in the same place ends one whose client shows no sign of life.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sparsync_proto::{Frame, Request};

use super::accept::ConnectedClient;
use super::registry::{Live, Registry};
use crate::engine::{Session, UrgentSender};
use crate::error::{Error, ErrorKind};
use crate::transport::{Connection, Transport};

/// How long a run of the same key that may be dead has to show life over QUIC, which measures the path all the time and
/// sends lost packets again at once.
const PROBE_MIN: Duration = Duration::from_millis(250);

/// The same over other transports, where a single lost packet delays an answer for that long.
const PROBE_MIN_STREAM: Duration = Duration::from_secs(1);

/// How often it is looked whether a run has ended.
const PROBE_STEP: Duration = Duration::from_millis(10);

/// How long a superseded run may take to end, which it does at its next step.
pub(super) const SUPERSEDE_MAX: Duration = Duration::from_secs(10);

/// A run in the place of a new one.
struct Rival {
    session: Arc<Session>,
    connection: Arc<dyn Connection>,
    urgent: UrgentSender,
    /// How many frames its client had sent before it was asked for a sign of life.
    heard: u64,
}

impl Rival {
    fn of(live: &Live) -> Option<Self> {
        let (session, connection) = (live.session.upgrade()?, live.connection.upgrade()?);
        let heard = connection.heard();
        Some(Self { session, connection, urgent: live.urgent.clone(), heard })
    }

    /// Sends a frame that its client has to acknowledge.
    fn probe(&self) {
        self.urgent.send(&Frame::Heartbeat(self.session.work()));
        self.connection.probe();
    }

    /// The time that an answer takes.
    fn patience(&self) -> Duration {
        let least = if self.connection.transport() == Transport::Quic { PROBE_MIN } else { PROBE_MIN_STREAM };
        least.max(self.connection.round_trip() * 3)
    }

    fn is_silent(&self) -> bool {
        self.connection.closed().is_some() || self.connection.heard() == self.heard
    }
}

/// Ends runs of the same key in the place of `request` whose client shows no sign of life. Says whether the place will
/// be free in a moment.
pub(super) fn supersede(
    registry: &Registry,
    client: &ConnectedClient,
    session: &Arc<Session>,
    request: &Request,
) -> bool {
    if end_siblings(registry, client, session) || has_ended(registry, session, request) {
        return true;
    }
    let rivals: Vec<_> = registry.sessions(|live| {
        let in_place = |live: &&Live| is_in_place(live, session, request);
        live.iter().filter(in_place).filter(|live| live.key == client.key()).filter_map(Rival::of).collect()
    });
    rivals.iter().for_each(Rival::probe);
    wait_for_life(&rivals);
    let mut superseded = false;
    for rival in &rivals {
        if rival.session.is_over() {
            superseded = true;
        } else if rival.is_silent() && client.key().is_some() {
            // Without a key, it is not known whose run it is.
            let error = Error::new(ErrorKind::Closed, "superseded by a new run of the same key");
            rival.session.fail(error.clone());
            rival.connection.close(Some(&error));
            superseded = true;
        }
    }
    superseded
}

/// Whether a run in the place of `request` has ended and may still have its lock: a client may learn of the end first.
pub(super) fn has_ended(registry: &Registry, session: &Arc<Session>, request: &Request) -> bool {
    let is_over = |live: &Live| live.session.upgrade().is_some_and(|session| session.is_over());
    registry.sessions(|live| live.iter().any(|live| is_in_place(live, session, request) && is_over(live)))
}

/// Whether another run than `session` is in the place of `request`.
fn is_in_place(live: &Live, session: &Arc<Session>, request: &Request) -> bool {
    live.root == request.root
        && (live.path.is_within(&request.path) || request.path.is_within(&live.path))
        && live.session.upgrade().is_some_and(|other| !Arc::ptr_eq(&other, session))
}

/// Ends the runs on the connection of the new one that are in its way. A client does not ask for a place that one of
/// its own live runs writes to (see `claims`), so it must have ended those, and the message was lost. Only runs by the
/// same name are ended: one that has the place by another name may be alive.
fn end_siblings(registry: &Registry, client: &ConnectedClient, new: &Arc<Session>) -> bool {
    let siblings: Vec<_> = registry.sessions(|live| {
        let is_new = |live: &&Live| std::ptr::eq(live.session.as_ptr(), Arc::as_ptr(new));
        let Some(place) = live.iter().find(is_new).and_then(|new| new.place.as_ref()) else { return Vec::new() };
        let is_own = |live: &&Live| {
            live.connection.upgrade().is_some_and(|connection| Arc::ptr_eq(&connection, &client.connection))
        };
        let is_in_the_way =
            |live: &&Live| live.place.as_ref().is_some_and(|live| live.is_in_the_way_of(place).is_some());
        let siblings = live.iter().filter(|live| !is_new(live)).filter(is_own).filter(is_in_the_way);
        siblings.filter_map(|live| live.session.upgrade()).collect()
    });
    for sibling in &siblings {
        sibling.fail(Error::new(ErrorKind::Closed, "its client has started another run in its place"));
    }
    !siblings.is_empty()
}

/// Gives the rivals the time that an answer takes, unless each of them has ended or shown life before.
fn wait_for_life(rivals: &[Rival]) {
    let wait = rivals.iter().map(Rival::patience).max().unwrap_or_default();
    let began = Instant::now();
    while began.elapsed() < wait && rivals.iter().any(|rival| !rival.session.is_over() && rival.is_silent()) {
        std::thread::sleep(PROBE_STEP);
    }
}
