//! Takes connections and the first words of each session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sparsync_proto::session::{Opened, Opening};
use sparsync_proto::{Frame, Version};

use super::Shared;
use super::counting::Counting;
use super::explain::explain;
use super::join::serve_join;
use super::list::serve_list;
use super::log::{Asked, ClientInfo, Happening};
use super::session::serve_sync;
use super::stat::stat;
use crate::claims::WritePlace;
use crate::error::{Error, ErrorKind, Result, Side};
use crate::net::{Arriving, Listener};
use crate::transport::{Connection, SessionLanes, Transport, WireCounters, encoded};
use crate::trust::{PublicKey, Refresh, Scope};

/// How long a control stream may be open before its client says what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A request of several frames is given so long as a whole.
const REQUEST_IN_FULL_TIMEOUT: Duration = Duration::from_secs(120);

/// How often the authorized keys are looked at; a revoked key's connections close within this.
const KEYS_REFRESH: Duration = Duration::from_secs(1);

/// How often it is looked whether each root is still where it was.
const ROOTS_LOOKED_AT: Duration = Duration::from_secs(1);

/// How often handshakes that were refused are told of at most: they cost strangers nothing, and must not fill the disk.
const REFUSALS_TOLD: Duration = Duration::from_secs(60);

/// Accepts connections until the server closes.
pub(super) async fn accept_connections(shared: Arc<Shared>, listener: Listener) {
    loop {
        let closed = shared.registry.closed();
        if shared.registry.is_closing() {
            return;
        }
        tokio::select! {
            () = closed => return,
            handshake = listener.next_client() => match handshake {
                Some(handshake) => {
                    tokio::spawn(serve_handshake(Arc::clone(&shared), handshake));
                }
                None => return,
            },
        }
    }
}

/// Closes the connections of keys that are no longer authorized, shows the server's present key, and tells of
/// handshakes that were refused.
pub(super) async fn watch(shared: Arc<Shared>, listener: Listener) {
    let (mut told, mut told_at) = (0, None::<Instant>);
    while !shared.registry.is_closing() {
        tokio::time::sleep(KEYS_REFRESH).await;
        let refused = listener.handshakes_refused().total();
        if refused > told && told_at.is_none_or(|at| at.elapsed() >= REFUSALS_TOLD) {
            shared.tell(None, || Happening::HandshakesRefused(refused - told));
            (told, told_at) = (refused, Some(Instant::now()));
        }
        if let Some(own_key) = &shared.own_key {
            own_key.look(&shared, &listener, false);
        }
        refresh_keys(&shared);
        // Keys are looked at even if the file has not changed, because the time of a key may be over.
        end_revoked(&shared);
    }
}

/// Looks at the roots, and has the last successes on disk, on a thread that may wait for a file system.
pub(super) async fn watch_roots(shared: Arc<Shared>) {
    while !shared.registry.is_closing() {
        tokio::time::sleep(ROOTS_LOOKED_AT).await;
        let looking = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || {
            looking.save_successes();
            looking.roots.look();
        });
        let _ = looked.await;
    }
}

/// Reads the authorized keys when their file has changed.
pub(super) fn refresh_keys(shared: &Shared) {
    if !matches!(shared.keys.refresh_if_changed(), Refresh::Unchanged) {
        tell_keys(shared);
    }
}

/// Reads the authorized keys, whether they look changed or not.
pub(super) fn read_keys(shared: &Shared) {
    shared.keys.refresh();
    tell_keys(shared);
    end_revoked(shared);
}

/// Logs the state of the authorized keys.
fn tell_keys(shared: &Shared) {
    shared.tell(None, || match shared.keys.problem() {
        None => Happening::KeysRead(shared.keys.len()),
        Some(error) => Happening::KeysUnreadable(error),
    });
}

fn end_revoked(shared: &Shared) {
    // An anonymous server lets keys in that no list has, and so does a private CA without one.
    if shared.anonymous || !shared.keys.decides() {
        return;
    }
    for (connection, name) in shared.registry.end_revoked(&shared.keys) {
        shared.tell(Some((&*connection, &name)), || Happening::Revoked);
    }
}

impl Shared {
    /// Logs an event, if there is a log.
    pub(super) fn tell(&self, client: Option<(&dyn Connection, &str)>, what: impl FnOnce() -> Happening) {
        let Some(log) = &self.log else { return };
        let client = client.map(|(connection, name)| ClientInfo {
            name: Some(name.to_owned()),
            key: connection.principal().key(),
            address: connection.peer_address(),
            transport: connection.transport(),
        });
        log.tell(client, what());
    }

    /// Logs the refusal of a client without any rights.
    pub(super) fn stranger_refused(&self, stranger: Stranger, asked: Option<Asked>, error: &Error) {
        self.totals.connections_refused.fetch_add(1, Ordering::Relaxed);
        if let Some(log) = &self.log {
            let Stranger { key, address, transport } = stranger;
            let client = ClientInfo { name: None, key, address: address.to_string(), transport };
            log.refuse_stranger(client, asked, error.clone());
        }
    }
}

/// A client that has no rights yet.
#[derive(Clone, Copy)]
pub(super) struct Stranger {
    pub(super) key: Option<PublicKey>,
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
}

async fn serve_handshake(shared: Arc<Shared>, handshake: Arriving) {
    let stranger = Stranger { key: None, address: handshake.remote(), transport: handshake.transport() };
    let accepted = match handshake.finish().await {
        Ok(accepted) => accepted,
        // A client that closed the connection itself was not refused: it only looked whether the port is open, or
        // another transport was faster.
        Err(error) if error.kind() == ErrorKind::Closed => return,
        Err(error) => return shared.stranger_refused(stranger, None, &error),
    };
    let stranger = Stranger { key: accepted.key(), ..stranger };
    if accepted.joins() {
        return serve_join(&shared, accepted, stranger).await;
    }
    match shared.scope(&accepted.principal()) {
        Ok(_) if accepted.is_subflow() => {
            // Where there is no room for a subflow, its session goes on without it: nobody was refused anything.
            let Ok(place) = shared.registry.add_subflow(stranger.key, stranger.address.ip()) else { return };
            if let Err(error) = accepted.bring(place).await {
                shared.stranger_refused(stranger, None, &error);
            }
        }
        Ok(scope) => {
            let connection = accepted.start(&shared.windows);
            serve_connection(shared, connection, scope, Some(stranger.address.ip())).await;
        }
        Err(error) => {
            shared.stranger_refused(stranger, None, &error);
            accepted.refuse(&error);
        }
    }
}

/// A client that may do something.
pub(super) struct ConnectedClient {
    pub(super) scope: Arc<Scope>,
    pub(super) connection: Arc<dyn Connection>,
    pub(super) counting: Counting,
}

impl ConnectedClient {
    /// The key that says whose runs these are.
    pub(super) fn key(&self) -> Option<PublicKey> {
        self.connection.principal().key()
    }

    /// The connection and the client's name, for the log.
    pub(super) fn who(&self) -> (&dyn Connection, &str) {
        (&*self.connection, &self.scope.name)
    }
}

/// Serves the sessions of a connection until it is over; `from` is its address, if it came over a network.
pub(super) async fn serve_connection(
    shared: Arc<Shared>,
    connection: Arc<dyn Connection>,
    scope: Arc<Scope>,
    from: Option<IpAddr>,
) {
    let client = Arc::new(ConnectedClient { scope, connection, counting: Counting::default() });
    if let Err(error) = shared.registry.add_connection(&client.connection, &client.scope, from) {
        client.connection.close(Some(&error));
        return shared.tell(Some(client.who()), || Happening::Refused { asked: None, error });
    }
    let began = Instant::now();
    shared.tell(Some(client.who()), || Happening::Connected);
    shared.totals.connections.fetch_add(1, Ordering::Relaxed);
    shared.totals.connections_active.fetch_add(1, Ordering::Relaxed);
    let counters = || Arc::new(WireCounters::part_of(&shared.totals.wire));
    while let Some(lanes) = client.connection.accept(counters()).await {
        tokio::spawn(serve_session(Arc::clone(&shared), Arc::clone(&client), lanes));
    }
    shared.registry.remove_connection(&client.connection);
    shared.totals.connections_active.fetch_sub(1, Ordering::Relaxed);
    for (asked, error) in client.counting.end() {
        shared.tell(Some(client.who()), || Happening::Refused { asked: Some(asked), error });
    }
    shared.tell(Some(client.who()), || Happening::Disconnected { lasted: began.elapsed() });
}

async fn serve_session(shared: Arc<Shared>, client: Arc<ConnectedClient>, mut lanes: Box<dyn SessionLanes>) {
    let request = tokio::time::timeout(REQUEST_IN_FULL_TIMEOUT, read_request(&mut *lanes)).await;
    let too_late = |_| Err(Error::new(ErrorKind::Timeout, "the request did not come in time in full"));
    let found = request.unwrap_or_else(too_late).and_then(|(version, opened)| {
        let place = match &opened {
            Opened::Session(request) => WritePlace::of(request),
            _ => None,
        };
        Ok((version, place, shared.found(opened)?))
    });
    let (version, place, opened) = match found {
        Ok(opened) => opened,
        Err(error) => {
            // A client that has gone was not refused.
            if error.kind() != ErrorKind::Closed {
                let error = error.clone();
                shared.tell(Some(client.who()), || Happening::Refused { asked: None, error });
            }
            return refuse(lanes, &error).await;
        }
    };
    let asked = shared.log.as_ref().map(|_| Asked::of(&opened));
    let answered = match opened {
        Opened::Session(request) if !request.explain.is_root() => match explain(&shared, &client, *request).await {
            Ok(told) => lanes.write(encoded(&[Frame::Explained(Box::new(told))])).await,
            Err(error) => Err(error),
        },
        Opened::Session(request) => match serve_sync(&shared, &client, lanes, version, (*request, place)).await {
            Ok(()) => return,
            Err((given_back, error)) => {
                lanes = given_back;
                Err(error)
            }
        },
        Opened::List { root, path } => serve_list(&shared, &client, &mut *lanes, &root, &path).await,
        Opened::Join(_) => Err(Error::protocol("an invitation on a connection that is not for joining").remote()),
        Opened::Stat { root, path } => match stat(&shared, &client, &root, path).await {
            Ok(stat) => lanes.write(encoded(&[Frame::StatReply(stat)])).await,
            Err(error) => Err(error),
        },
    };
    if let Some(asked) = asked {
        shared.tell(Some(client.who()), || match answered.as_ref().err().cloned() {
            Some(error) if !is_an_answer(&error) => Happening::Refused { asked: Some(asked), error },
            error => Happening::Answered { asked, error },
        });
    }
    match answered {
        Ok(()) => lanes.finish(),
        Err(error) => refuse(lanes, &error).await,
    }
}

/// Whether an error only tells the state of a path to a client that may know it, or that the client has gone.
fn is_an_answer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Io)
        || (error.kind() == ErrorKind::Closed && error.side() == Side::Remote)
}

pub(super) async fn refuse(mut lanes: Box<dyn SessionLanes>, error: &Error) {
    let _ = lanes.write(encoded(&[Frame::Abort(error.to_wire())])).await;
    lanes.finish();
}

/// Reads the purpose of the session, and the version of the protocol.
pub(super) async fn read_request(lanes: &mut dyn SessionLanes) -> Result<(Version, Opened)> {
    let mut opening = Opening::default();
    loop {
        let read = tokio::time::timeout(REQUEST_TIMEOUT, lanes.read()).await;
        let read = read.map_err(|_| Error::new(ErrorKind::Timeout, "no request came in time"))?;
        let Some(frame) = read? else {
            return Err(Error::protocol("a session without a request").remote());
        };
        if let Some(opened) = opening.frame(frame)? {
            return Ok(opened);
        }
        if let Some(theirs) = opening.versions_not_shared() {
            let (oldest, newest) = (theirs.start(), theirs.end());
            return Err(Error::new(
                ErrorKind::Version,
                format!("the server speaks protocol versions {}, the client {oldest} to {newest}", Version::range()),
            ));
        }
    }
}
