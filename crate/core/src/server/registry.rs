//! The live connections of a server, by their keys, and its sessions.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use sparsync_proto::RelPath;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::lock;
use super::per_key::PerKey;
use crate::claims::WritePlace;
use crate::engine::{Account, Rate, Session, UrgentSender};
use crate::error::{Error, ErrorKind, Result};
use crate::net::{HANDSHAKES_MAX, WindowBudget, network};
use crate::transport::Connection;
use crate::trust::{AuthorizedKeys, PublicKey, Scope};

/// How much there may be at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions.
    pub sessions: usize,
    /// Sessions of one key.
    pub sessions_per_key: usize,
    /// Connections of everybody together.
    pub connections: usize,
    /// Connections of one key.
    pub connections_per_key: usize,
    /// Connections from one address, or from one network where that is an IPv6 one.
    pub connections_per_address: usize,
    /// Handshakes under way over QUIC; over TCP half as many.
    pub handshakes: usize,
    /// Bytes of content in a second, of all sessions together, whatever their direction; 0: as many as there are.
    pub bytes_per_second: u64,
    /// The same for the sessions of one key.
    pub bytes_per_second_per_key: u64,
    /// Bytes that came and were not read yet, of all connections together, beyond 1 MiB for each.
    pub unread_bytes: u64,
    /// Bytes of each file system that stay free.
    pub reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 64,
            sessions_per_key: 32,
            connections: 1024,
            connections_per_key: 16,
            connections_per_address: 1024,
            handshakes: HANDSHAKES_MAX,
            bytes_per_second: 0,
            bytes_per_second_per_key: 0,
            unread_bytes: WindowBudget::DEFAULT_BYTES,
            reserve_bytes: 0,
        }
    }
}

/// A session that is running.
pub(super) struct Live {
    pub(super) key: Option<PublicKey>,
    pub(super) connection: Weak<dyn Connection>,
    pub(super) root: Vec<u8>,
    pub(super) path: RelPath,
    /// The place that the session writes to, by its client's name for it.
    pub(super) place: Option<WritePlace>,
    pub(super) session: Weak<Session>,
    /// A way to the peer, for a sign of life.
    pub(super) urgent: UrgentSender,
}

/// A connection and the scope that it was accepted under.
struct HeldConnection {
    connection: Arc<dyn Connection>,
    from: Origin,
    scope: Arc<Scope>,
}

/// Whom a connection comes from: its key, if it has one, and its address, if it came over a network.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Origin {
    key: Option<PublicKey>,
    address: Option<IpAddr>,
}

/// A subflow counts as a connection for as long as this lives.
pub(super) struct SubflowPlace {
    all: Arc<Mutex<Vec<Origin>>>,
    from: Origin,
}

impl Drop for SubflowPlace {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(own) = all.iter().position(|from| *from == self.from) {
            all.swap_remove(own);
        }
    }
}

/// The live sessions and connections of a server.
pub(super) struct Registry {
    limits: Mutex<Limits>,
    closing: AtomicBool,
    stop: Notify,
    /// The key of each session that is running, if it has one.
    active: Mutex<Vec<Option<PublicKey>>>,
    idle: Notify,
    live: Mutex<Vec<Live>>,
    connections: Mutex<Vec<HeldConnection>>,
    subflows: Arc<Mutex<Vec<Origin>>>,
    /// What keys with a quota have stored.
    pub(super) accounts: PerKey<Account>,
    rate: Arc<Rate>,
    key_rates: PerKey<Rate>,
}

impl Registry {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits: Mutex::new(limits),
            closing: AtomicBool::new(false),
            stop: Notify::new(),
            active: Mutex::default(),
            idle: Notify::new(),
            live: Mutex::default(),
            connections: Mutex::default(),
            subflows: Arc::default(),
            accounts: PerKey::default(),
            rate: Arc::new(Rate::new(limits.bytes_per_second)),
            key_rates: PerKey::default(),
        }
    }

    /// Sets other limits for connections and sessions to come. Present ones are not ended.
    pub(super) fn limit(&self, limits: Limits) {
        *lock(&self.limits) = limits;
        self.rate.set(limits.bytes_per_second);
        for rate in self.key_rates.all() {
            rate.set(limits.bytes_per_second_per_key);
        }
    }

    pub(super) fn limits(&self) -> Limits {
        *lock(&self.limits)
    }

    /// The limits on the bytes that a key's sessions move in a second: its own, and the one that all keys share.
    pub(super) fn rates(&self, key: Option<PublicKey>) -> [Arc<Rate>; 2] {
        [Arc::clone(&self.rate), self.key_rates.get(key, || Rate::new(self.limits().bytes_per_second_per_key))]
    }

    /// Accepts nothing new from now on.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.stop.notify_waiters();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Ends when [`Registry::close`] is called after this.
    pub(super) fn closed(&self) -> Notified<'_> {
        self.stop.notified()
    }

    /// How many sessions are running.
    pub(super) fn active(&self) -> usize {
        lock(&self.active).len()
    }

    /// Waits until no session is running.
    pub(super) async fn wait_until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.active() == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Ends every session.
    pub(super) fn fail_sessions(&self, error: &Error) {
        let live: Vec<_> = lock(&self.live).iter().filter_map(|live| live.session.upgrade()).collect();
        for session in live {
            session.fail(error.clone());
        }
    }

    /// Adds a session, which is removed when its last handle is dropped.
    pub(super) fn add_session(&self, session: Live) {
        let mut live = lock(&self.live);
        live.retain(|live| live.session.strong_count() > 0);
        live.push(session);
    }

    /// Calls `look` with the sessions that are running.
    pub(super) fn sessions<T>(&self, look: impl FnOnce(&[Live]) -> T) -> T {
        look(&lock(&self.live))
    }

    /// How many sessions of a key are running; none is of nobody's key.
    pub(super) fn sessions_of(&self, key: Option<PublicKey>) -> usize {
        let is_of_key = |live: &&Live| key.is_some() && live.key == key && live.session.strong_count() > 0;
        self.sessions(|live| live.iter().filter(is_of_key).count())
    }

    /// Adds a connection, unless its key, its address, or the whole server has too many.
    pub(super) fn add_connection(
        &self,
        connection: &Arc<dyn Connection>,
        scope: &Arc<Scope>,
        from: Option<IpAddr>,
    ) -> Result<()> {
        let from = Origin { key: connection.principal().key(), address: from.map(network) };
        let mut connections = lock(&self.connections);
        self.room(&connections, from, 1)?;
        connections.push(HeldConnection { connection: Arc::clone(connection), from, scope: Arc::clone(scope) });
        Ok(())
    }

    /// Counts a subflow, unless more than half of a limit would be taken: subflows must not keep clients out.
    pub(super) fn add_subflow(&self, key: Option<PublicKey>, address: IpAddr) -> Result<SubflowPlace> {
        let from = Origin { key, address: Some(network(address)) };
        let connections = lock(&self.connections);
        self.room(&connections, from, 2)?;
        lock(&self.subflows).push(from);
        Ok(SubflowPlace { all: Arc::clone(&self.subflows), from })
    }

    /// Fails where a limit, or that part of it, is reached. Subflows count for subflows alone.
    fn room(&self, connections: &[HeldConnection], from: Origin, part: usize) -> Result<()> {
        let limits = self.limits();
        let subflows = lock(&self.subflows);
        let counted = if part == 1 { &[][..] } else { &subflows[..] };
        let all = || connections.iter().map(|held| &held.from).chain(counted);
        let of_key = all().filter(|held| from.key.is_some() && held.key == from.key).count();
        let from_there = all().filter(|held| from.address.is_some() && held.address == from.address).count();
        if of_key >= limits.connections_per_key / part {
            return Err(full("connection of this key"));
        }
        if from_there >= limits.connections_per_address / part {
            return Err(full("connection from this address"));
        }
        if all().count() >= limits.connections / part {
            return Err(full("connection"));
        }
        Ok(())
    }

    /// Ends every connection, and waits until its end was told.
    pub(super) async fn close_connections(&self, error: &Error) {
        let connections: Vec<_> = lock(&self.connections).iter().map(|held| Arc::clone(&held.connection)).collect();
        for connection in &connections {
            connection.close(Some(error));
        }
        for connection in connections {
            connection.close_sent().await;
        }
    }

    /// Removes a connection that is over.
    pub(super) fn remove_connection(&self, connection: &Arc<dyn Connection>) {
        lock(&self.connections).retain(|held| !Arc::ptr_eq(&held.connection, connection));
    }

    /// Ends the sessions and connections of keys whose rights were changed or revoked. Gives those connections, with
    /// the names of their keys.
    pub(super) fn end_revoked(&self, keys: &AuthorizedKeys) -> Vec<(Arc<dyn Connection>, String)> {
        let revoked: Vec<_> = lock(&self.connections)
            .extract_if(.., |held| held.from.key.is_some_and(|key| keys.revoked(&key, &held.scope)))
            .map(|held| (held.connection, held.scope.name.clone()))
            .collect();
        for (connection, _) in &revoked {
            let error =
                Error::new(ErrorKind::Unauthorized, "the key's authorization was changed or revoked, or has expired");
            let own = Arc::downgrade(connection);
            for live in lock(&self.live).iter().filter(|live| live.connection.ptr_eq(&own)) {
                if let Some(session) = live.session.upgrade() {
                    session.fail(error.clone());
                }
            }
            connection.close(Some(&error));
        }
        revoked
    }
}

/// What a client is told that comes while a limit is reached. Another one will end: trying again is right.
fn full(what: &str) -> Error {
    Error::new(ErrorKind::Connect, format!("the server has no room for another {what}; try again later"))
}

/// A session counts as active for as long as this lives.
pub(super) struct Active {
    registry: Arc<Registry>,
    key: Option<PublicKey>,
}

impl Active {
    /// Makes room for a session of a key.
    pub(super) fn begin(registry: &Arc<Registry>, key: Option<PublicKey>) -> Result<Self> {
        if registry.is_closing() {
            return Err(Error::new(ErrorKind::Closed, "the server is shutting down"));
        }
        let limits = registry.limits();
        let mut active = lock(&registry.active);
        if key.is_some() && active.iter().filter(|each| **each == key).count() >= limits.sessions_per_key {
            return Err(full("session of this key"));
        }
        if active.len() >= limits.sessions {
            return Err(full("session"));
        }
        active.push(key);
        drop(active);
        Ok(Self { registry: Arc::clone(registry), key })
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let mut active = lock(&self.registry.active);
        if let Some(own) = active.iter().position(|key| *key == self.key) {
            active.swap_remove(own);
        }
        drop(active);
        self.registry.idle.notify_waiters();
    }
}
