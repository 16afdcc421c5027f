//! Takes connections and the first words of each session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sparsync_proto::{Frame, RelPath, Request, limits};

use super::Shared;
use super::list::serve_list;
use super::session::serve_sync;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Handshake, Listener};
use crate::transport::{Connection, SessionLanes, WireCounters, encoded};
use crate::trust::{PublicKey, Refresh, Scope};

/// Control streams of clients that have not said yet what they want are given so long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the authorized keys are looked at; a revoked key's connections close within this.
const KEYS_REFRESH: Duration = Duration::from_secs(1);

/// Accepts connections until the server closes.
pub(super) async fn accept_connections(shared: Arc<Shared>, listener: Listener) {
    loop {
        let closed = shared.registry.closed();
        if shared.registry.is_closing() {
            return;
        }
        tokio::select! {
            () = closed => return,
            handshake = listener.accept() => match handshake {
                Some(handshake) => {
                    tokio::spawn(serve_handshake(Arc::clone(&shared), handshake));
                }
                None => return,
            },
        }
    }
}

/// Closes the connections of keys that are no longer authorized.
pub(super) async fn watch_keys(shared: Arc<Shared>) {
    while !shared.registry.is_closing() {
        tokio::time::sleep(KEYS_REFRESH).await;
        if matches!(shared.keys.refresh_if_changed(), Refresh::Changed) {
            shared.registry.end_revoked(&shared.keys);
        }
    }
}

async fn serve_handshake(shared: Arc<Shared>, handshake: Handshake) {
    let refused = || shared.totals.connections_refused.fetch_add(1, Ordering::Relaxed);
    let Ok(accepted) = handshake.finish().await else {
        refused();
        return;
    };
    match shared.scope(&accepted.principal()) {
        Ok(scope) => {
            let connection = accepted.start(&shared.windows);
            serve_connection(shared, connection, scope).await;
        }
        Err(error) => {
            refused();
            accepted.refuse(&error);
        }
    }
}

/// A client that may do something.
pub(super) struct ConnectedClient {
    pub(super) scope: Arc<Scope>,
    pub(super) connection: Arc<dyn Connection>,
}

impl ConnectedClient {
    /// The key that says whose runs these are.
    pub(super) fn key(&self) -> Option<PublicKey> {
        self.connection.principal().key()
    }
}

/// Serves the sessions of a connection until it is over.
async fn serve_connection(shared: Arc<Shared>, connection: Arc<dyn Connection>, scope: Arc<Scope>) {
    if let Err(error) = shared.registry.add_connection(&connection, &scope) {
        return connection.close(Some(&error));
    }
    shared.totals.connections.fetch_add(1, Ordering::Relaxed);
    shared.totals.connections_active.fetch_add(1, Ordering::Relaxed);
    let client = Arc::new(ConnectedClient { scope, connection });
    let counters = || Arc::new(WireCounters::part_of(&shared.totals.wire));
    while let Some(lanes) = client.connection.accept(counters()).await {
        tokio::spawn(serve_session(Arc::clone(&shared), Arc::clone(&client), lanes));
    }
    shared.registry.remove_connection(&client.connection);
    shared.totals.connections_active.fetch_sub(1, Ordering::Relaxed);
}

async fn serve_session(shared: Arc<Shared>, client: Arc<ConnectedClient>, mut lanes: Box<dyn SessionLanes>) {
    let first = tokio::time::timeout(REQUEST_TIMEOUT, read_request(&mut *lanes)).await;
    let outcome = match first {
        Ok(Ok((version, Asked::Sync(request)))) => serve_sync(&shared, &client, lanes, version, *request).await,
        Ok(Ok((_, Asked::List { root, path }))) => {
            let outcome = serve_list(&shared, &client, &mut *lanes, &root, &path).await;
            if outcome.is_ok() {
                lanes.finish();
            }
            outcome.map_err(|error| (lanes, error))
        }
        Ok(Err(error)) => Err((lanes, error)),
        Err(_) => Err((lanes, Error::new(ErrorKind::Timeout, "no request came in time"))),
    };
    if let Err((mut lanes, error)) = outcome {
        let _ = lanes.write(encoded(&[Frame::Abort(error.to_wire())])).await;
        lanes.finish();
    }
}

/// What a client asks for.
enum Asked {
    Sync(Box<Request>),
    List { root: Vec<u8>, path: RelPath },
}

async fn read_request(lanes: &mut dyn SessionLanes) -> Result<(u16, Asked)> {
    let version = match lanes.read().await? {
        Some(Frame::Hello { oldest, newest }) => {
            let version = newest.min(*limits::VERSIONS.end());
            if version < oldest.max(*limits::VERSIONS.start()) {
                return Err(Error::new(
                    ErrorKind::Version,
                    format!(
                        "the server speaks protocol versions {} to {}, the client {oldest} to {newest}",
                        limits::VERSIONS.start(),
                        limits::VERSIONS.end()
                    ),
                ));
            }
            version
        }
        _ => return Err(Error::protocol("no hello")),
    };
    match lanes.read().await? {
        Some(Frame::Request(request)) => Ok((version, Asked::Sync(request))),
        Some(Frame::ListRequest { root, path }) => Ok((version, Asked::List { root, path })),
        _ => Err(Error::protocol("no request")),
    }
}
