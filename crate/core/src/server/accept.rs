//! Takes connections and the first words of each session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sparsync_proto::session::{Opened, Opening};
use sparsync_proto::{Frame, Version};

use super::Shared;
use super::explain::explain;
use super::list::serve_list;
use super::session::serve_sync;
use super::stat::stat;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Handshake, Listener};
use crate::transport::{Connection, SessionLanes, WireCounters, encoded};
use crate::trust::{PublicKey, Refresh, Scope};

/// Control streams of clients that have not said yet what they want are given so long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A request of several frames is given so long as a whole.
const REQUEST_IN_FULL_TIMEOUT: Duration = Duration::from_secs(120);

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
pub(super) async fn serve_connection(shared: Arc<Shared>, connection: Arc<dyn Connection>, scope: Arc<Scope>) {
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
    let request = tokio::time::timeout(REQUEST_IN_FULL_TIMEOUT, read_request(&mut *lanes)).await;
    let too_late = |_| Err(Error::new(ErrorKind::Timeout, "the request did not come in time in full"));
    let found = request.unwrap_or_else(too_late).and_then(|(version, opened)| Ok((version, shared.found(opened)?)));
    let answered = match found {
        Ok((_, Opened::Session(request))) if !request.explain.is_root() => {
            match explain(&shared, &client, *request).await {
                Ok(told) => lanes.write(encoded(&[Frame::Explained(Box::new(told))])).await,
                Err(error) => Err(error),
            }
        }
        Ok((version, Opened::Session(request))) => {
            let refused = serve_sync(&shared, &client, lanes, version, *request).await;
            if let Err((lanes, error)) = refused {
                refuse(lanes, &error).await;
            }
            return;
        }
        Ok((_, Opened::List { root, path })) => serve_list(&shared, &client, &mut *lanes, &root, &path).await,
        Ok((_, Opened::Stat { root, path })) => match stat(&shared, &client, &root, path).await {
            Ok(stat) => lanes.write(encoded(&[Frame::StatReply(stat)])).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match answered {
        Ok(()) => lanes.finish(),
        Err(error) => refuse(lanes, &error).await,
    }
}

async fn refuse(mut lanes: Box<dyn SessionLanes>, error: &Error) {
    let _ = lanes.write(encoded(&[Frame::Abort(error.to_wire())])).await;
    lanes.finish();
}

/// Reads what the session is for, and the version to speak.
async fn read_request(lanes: &mut dyn SessionLanes) -> Result<(Version, Opened)> {
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
