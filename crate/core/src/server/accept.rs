//! Takes connections and the first words of each session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sparsync_proto::{Frame, RelPath, Request, limits};

use super::Shared;
use super::list::serve_list;
use super::session::serve_sync;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{self, Handshake, Listener};
use crate::transport::{ControlStreams, Router, WireCounters};
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
                    tokio::spawn(serve_connection(Arc::clone(&shared), handshake));
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

async fn serve_connection(shared: Arc<Shared>, handshake: Handshake) {
    let Ok(accepted) = handshake.finish().await else {
        shared.totals.connections_refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let connection = accepted.connection.clone();
    let scope = match shared.scope(&accepted) {
        Ok(scope) => scope,
        Err(error) => {
            shared.totals.connections_refused.fetch_add(1, Ordering::Relaxed);
            net::close_with(&connection, &error);
            return;
        }
    };
    if let Some(key) = accepted.key
        && let Err(error) = shared.registry.add_connection(key, Arc::clone(&scope), connection.clone())
    {
        net::close_with(&connection, &error);
        return;
    }
    shared.totals.connections.fetch_add(1, Ordering::Relaxed);
    shared.totals.connections_active.fetch_add(1, Ordering::Relaxed);
    let window = shared.windows.open(&connection);
    let router = Arc::<Router>::default();
    tokio::spawn(Arc::clone(&router).run(connection.clone()));
    let client = Arc::new(ConnectedClient {
        key: accepted.key,
        scope,
        round_trip: connection.rtt(),
        connection: connection.clone(),
        router,
        window,
    });
    while let Ok((send, recv)) = connection.accept_bi().await {
        let streams = ControlStreams::new(send, recv, Arc::new(WireCounters::part_of(&shared.totals.wire)));
        tokio::spawn(serve_stream(Arc::clone(&shared), Arc::clone(&client), streams));
    }
    shared.registry.remove_connection(&connection);
    shared.totals.connections_active.fetch_sub(1, Ordering::Relaxed);
}

/// A client whose key is known.
pub(super) struct ConnectedClient {
    pub(super) key: Option<PublicKey>,
    pub(super) scope: Arc<Scope>,
    pub(super) round_trip: Duration,
    pub(super) connection: quinn::Connection,
    pub(super) router: Arc<Router>,
    pub(super) window: net::Window,
}

async fn serve_stream(shared: Arc<Shared>, client: Arc<ConnectedClient>, mut streams: ControlStreams) {
    let first = tokio::time::timeout(REQUEST_TIMEOUT, read_request(&mut streams)).await;
    let outcome = match first {
        Ok(Ok((version, Asked::Sync(request)))) => {
            serve_sync(&shared, &client, streams, version, *request).await;
            return;
        }
        Ok(Ok((_, Asked::List { root, path }))) => serve_list(&shared, &client, &mut streams, &root, &path).await,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "no request came in time")),
    };
    if let Err(error) = outcome {
        let _ = streams.write(&Frame::Abort(error.to_wire())).await;
    }
    let _ = streams.send.finish();
}

/// What a client asks for.
enum Asked {
    Sync(Box<Request>),
    List { root: Vec<u8>, path: RelPath },
}

async fn read_request(streams: &mut ControlStreams) -> Result<(u16, Asked)> {
    let version = match streams.read().await? {
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
    match streams.read().await? {
        Some(Frame::Request(request)) => Ok((version, Asked::Sync(request))),
        Some(Frame::ListRequest { root, path }) => Ok((version, Asked::List { root, path })),
        _ => Err(Error::protocol("no request")),
    }
}
