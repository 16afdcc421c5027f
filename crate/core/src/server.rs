//! A server: named roots for keys that may use them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sparsync_proto::{
    Accept, Direction, Durability, EndProfile, Frame, Grant, Kind, ListEntry, RelPath, Request, limits,
};
use tokio::sync::Notify;

use crate::engine::{
    ProfileExchange, Quota, Report, SenderEnd, SenderOptions, Session, control_lane, run_receiver, run_sender,
};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::Root;
use crate::net::{self, Accepted, Handshake, ListenOptions, Listener, WindowBudget};
use crate::prepare::{self, Place, ReceiverTerms};
use crate::profile::{RuntimeClock, add_figures};
use crate::run::{accept_as_sender, compress_on, tell_dropped_owners, timeout_of};
use crate::transport::{ControlStreams, End, QuicSession, Router, WireCounters, lanes_in, lanes_out};
use crate::trust::{AuthorizedKeys, Identity, PublicKey, Refresh, Scope};

/// A directory that is served.
#[derive(Clone, Debug)]
pub struct ServedRoot {
    /// The name that clients use.
    pub name: String,
    /// Where it is.
    pub path: Vec<u8>,
    /// Nobody may write to it.
    pub read_only: bool,
}

/// How a server is set up.
pub struct ServerOptions {
    /// Where it listens: `host:port`, `[::]:port`; port 0 picks a free one.
    pub listen: String,
    /// Its key.
    pub identity: Identity,
    /// What it serves.
    pub roots: Vec<ServedRoot>,
    /// A file of authorized keys, which is read again whenever it changes.
    pub authorized_keys_path: Option<PathBuf>,
    /// Authorized keys besides those of the file, in its format.
    pub authorized_keys: Vec<String>,
    /// A private CA: clients must have a certificate of it.
    pub client_ca_pem: Option<String>,
    /// Anybody may do anything; on loopback only.
    pub anonymous: bool,
    /// The least durability of what is written here; a request may ask for more.
    pub durability: Durability,
    /// Sessions at the same time.
    pub max_sessions: usize,
    /// A connection ends after so long without a packet.
    pub idle_timeout: Duration,
    /// Every session is profiled, whether its client asks for it or not; see [`Server::take_profiles`].
    pub profile: bool,
}

/// The profile of a session that has ended.
#[derive(Clone, Debug)]
pub struct SessionProfile {
    /// The direction as the client sees it.
    pub direction: Direction,
    /// Where the time went.
    pub profile: EndProfile,
}

/// What a server that profiles its sessions has to tell.
#[derive(Clone, Debug, Default)]
pub struct ServerProfiles {
    /// Sessions that have ended since this was last asked for: the last [`PROFILES_KEPT`].
    pub ended: Vec<SessionProfile>,
    /// How many more there were.
    pub dropped: u64,
    /// The figures of all sessions since the server began, in the order of [`FIGURES`].
    pub figures: Vec<u64>,
}

/// Profiles of sessions that are kept for whoever asks: about 20 KB each.
pub const PROFILES_KEPT: usize = 64;

impl ServerProfiles {
    fn add(&mut self, session: SessionProfile) {
        add_figures(&mut self.figures, &session.profile);
        if self.ended.len() == PROFILES_KEPT {
            self.ended.remove(0);
            self.dropped += 1;
        }
        self.ended.push(session);
    }
}

/// Control streams of clients that have not said yet what they want are given so long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the authorized keys are looked at; a revoked key's connections close within this.
const KEYS_REFRESH: Duration = Duration::from_secs(1);

/// How long a run of the same key that may be dead is given to show life.
const PROBE_MIN: Duration = Duration::from_millis(250);

/// How long a run on the connection of the new one is given to end. Its client is alive, and may have ended it already:
/// streams overtake each other, and an end that was lost on the way is sent again after a few round trips.
const SIBLING_MAX: Duration = Duration::from_secs(2);

/// How often it is looked whether a run has ended.
const PROBE_STEP: Duration = Duration::from_millis(10);

/// A superseded run ends at its next step; this is how long that may take.
const SUPERSEDE_MAX: Duration = Duration::from_secs(10);

/// Connections of one key.
const CONNECTIONS_PER_KEY: usize = 16;

/// Threads of the transport: one for two cores. The readers and writers of the runs need the others; with one for each
/// core, what arrives is passed from core to core, see ADR 0008.
fn transport_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

struct OpenRoot {
    root: Root,
    read_only: bool,
}

/// A session that is running.
struct Live {
    key: Option<PublicKey>,
    root: Vec<u8>,
    path: RelPath,
    session: Weak<Session>,
    connection: quinn::Connection,
    urgent: tokio::sync::mpsc::WeakUnboundedSender<Vec<u8>>,
}

/// A connection with the key and the scope that it was accepted under.
type KeyedConnection = (PublicKey, Arc<Scope>, quinn::Connection);

#[derive(Default)]
struct Totals {
    connections: AtomicU64,
    connections_active: AtomicU64,
    connections_refused: AtomicU64,
    sessions: AtomicU64,
    sessions_failed: AtomicU64,
    /// Of all streams since the start, those of sessions under way included.
    wire: Arc<WireCounters>,
}

struct Shared {
    roots: HashMap<String, OpenRoot>,
    keys: AuthorizedKeys,
    by_ca: bool,
    anonymous: bool,
    durability: Durability,
    max_sessions: usize,
    windows: WindowBudget,
    closing: AtomicBool,
    stop: Notify,
    active: AtomicUsize,
    idle: Notify,
    live: Mutex<Vec<Live>>,
    connections: Mutex<HashMap<usize, KeyedConnection>>,
    totals: Totals,
    runtime_clock: Arc<RuntimeClock>,
    /// What sessions took, when every session is profiled.
    profiles: Option<Mutex<ServerProfiles>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    local_addr: std::net::SocketAddr,
    public_key: PublicKey,
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
    handle: tokio::runtime::Handle,
    listener: Listener,
    ended: tokio::sync::watch::Sender<bool>,
}

impl Server {
    /// Opens the roots, reads the keys and begins to listen.
    pub async fn start(options: ServerOptions) -> Result<Self> {
        let keys = AuthorizedKeys::new(&options.authorized_keys, options.authorized_keys_path.as_deref())?;
        let by_ca = options.client_ca_pem.is_some();
        if !options.anonymous && !keys.decides() && !by_ca {
            return Err(Error::new(
                ErrorKind::Config,
                "nobody is authorized: give authorized keys, a client CA, or ask for an anonymous server on loopback",
            ));
        }
        let roots = open_roots(&options.roots)?;
        for mentioned in keys.mentioned_roots() {
            if !roots.contains_key(&mentioned) {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("a key is authorized for the root {mentioned:?}, which is not served"),
                ));
            }
        }
        let runtime_clock = Arc::<RuntimeClock>::default();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        runtime_clock.install(&mut builder);
        let runtime = builder
            .worker_threads(transport_workers())
            .thread_name("sparsync-serve")
            .enable_all()
            .build()
            .map_err(|error| Error::io("cannot start a runtime", b"", error))?;
        let handle = runtime.handle().clone();
        let public_key = options.identity.public_key();
        let listen = ListenOptions {
            anonymous: options.anonymous,
            client_ca_pem: options.client_ca_pem,
            idle_timeout: options.idle_timeout,
            ..ListenOptions::new(options.listen, options.identity)
        };
        let listener = match handle.spawn(net::listen(listen)).await {
            Ok(Ok(listener)) => listener,
            Ok(Err(error)) => {
                runtime.shutdown_background();
                return Err(error);
            }
            Err(_) => {
                runtime.shutdown_background();
                return Err(Error::internal("listening panicked"));
            }
        };
        let shared = Arc::new(Shared {
            roots,
            keys,
            by_ca,
            anonymous: options.anonymous,
            durability: options.durability,
            max_sessions: options.max_sessions.max(1),
            windows: WindowBudget::default(),
            closing: AtomicBool::new(false),
            stop: Notify::new(),
            active: AtomicUsize::new(0),
            idle: Notify::new(),
            live: Mutex::default(),
            connections: Mutex::default(),
            totals: Totals::default(),
            runtime_clock,
            profiles: options.profile.then(Mutex::default),
        });
        handle.spawn(accept_connections(Arc::clone(&shared), listener.clone()));
        handle.spawn(watch_keys(Arc::clone(&shared)));
        Ok(Self {
            shared,
            local_addr: listener.local_addr(),
            public_key,
            runtime: Mutex::new(Some(runtime)),
            handle,
            listener,
            ended: tokio::sync::watch::channel(false).0,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> std::net::SocketAddr {
        self.local_addr
    }

    /// Its key, which clients pin.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Counters by name.
    #[must_use]
    pub fn stats(&self) -> Vec<(&'static str, u64)> {
        let totals = &self.shared.totals;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("connections", get(&totals.connections)),
            ("connections_active", get(&totals.connections_active)),
            ("connections_refused", get(&totals.connections_refused)),
            ("sessions", get(&totals.sessions)),
            ("sessions_active", self.shared.active.load(Ordering::Relaxed) as u64),
            ("sessions_failed", get(&totals.sessions_failed)),
            ("bytes_sent", get(&totals.wire.bytes_sent)),
            ("bytes_received", get(&totals.wire.bytes_received)),
        ]
    }

    /// What sessions that have ended took; nothing when sessions are not profiled.
    #[must_use]
    pub fn take_profiles(&self) -> Option<ServerProfiles> {
        let mut profiles = lock(self.shared.profiles.as_ref()?);
        let figures = profiles.figures.clone();
        Some(std::mem::replace(&mut *profiles, ServerProfiles { figures, ..ServerProfiles::default() }))
    }

    /// Accepts nothing new, lets runs finish for as long as `grace`, ends those that are left, and stops.
    pub async fn close(&self, grace: Duration) {
        let shared = Arc::clone(&self.shared);
        let listener = self.listener.clone();
        let closing = self.handle.spawn(async move {
            shared.closing.store(true, Ordering::SeqCst);
            shared.stop.notify_waiters();
            let _ = tokio::time::timeout(grace, shared.wait_until_idle()).await;
            let live: Vec<_> = lock(&shared.live).iter().filter_map(|live| live.session.upgrade()).collect();
            for session in live {
                session.fail(Error::new(ErrorKind::Closed, "the server is shutting down"));
            }
            let _ = tokio::time::timeout(Duration::from_secs(5), shared.wait_until_idle()).await;
            listener.endpoint().close(net::close_code(ErrorKind::Closed), b"the server is shutting down");
            let _ = tokio::time::timeout(Duration::from_secs(1), listener.endpoint().wait_idle()).await;
        });
        let _ = closing.await;
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
        self.ended.send_replace(true);
    }

    /// Waits until the server is closed.
    pub async fn closed(&self) {
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Ends everything at once, from a thread that may wait a little.
    pub fn abort(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let live: Vec<_> = lock(&self.shared.live).iter().filter_map(|live| live.session.upgrade()).collect();
        for session in live {
            session.fail(Error::new(ErrorKind::Closed, "the server is shutting down"));
        }
        self.listener.endpoint().close(net::close_code(ErrorKind::Closed), b"the server is shutting down");
        let until = Instant::now() + Duration::from_secs(2);
        while self.shared.active.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
        self.ended.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = lock(&self.runtime).take() {
            self.listener.endpoint().close(net::close_code(ErrorKind::Closed), b"the server is gone");
            runtime.shutdown_background();
        }
    }
}

fn open_roots(roots: &[ServedRoot]) -> Result<HashMap<String, OpenRoot>> {
    let mut open = HashMap::new();
    for served in roots {
        let bad =
            |why: &str| Error::new(ErrorKind::Config, format!("the root {:?} {why}", served.name)).at(&served.path);
        if served.name.is_empty()
            || served.name.len() > limits::ROOT_NAME_BYTES_MAX
            || !served.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || served.name.starts_with('.')
        {
            return Err(bad("has a name that is not made of letters, digits, '-', '_' and '.'"));
        }
        let root = Root::open(&served.path)
            .map_err(|error| bad(&format!("cannot be opened: {}", std::io::Error::from(error))))?;
        if open.insert(served.name.clone(), OpenRoot { root, read_only: served.read_only }).is_some() {
            return Err(bad("is named twice"));
        }
    }
    if open.is_empty() {
        return Err(Error::new(ErrorKind::Config, "there is nothing to serve: name at least one root"));
    }
    Ok(open)
}

impl Shared {
    async fn wait_until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.active.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// What the holder of a connection may do.
    fn scope(&self, accepted: &Accepted) -> Result<Arc<Scope>> {
        if self.anonymous {
            return Ok(Arc::new(Scope::unrestricted("anonymous")));
        }
        let unknown = || {
            let key = accepted.key.map_or_else(|| "none".to_owned(), |key| key.to_string());
            Error::new(ErrorKind::Unauthorized, format!("the server does not know the client's key {key}"))
        };
        if self.keys.decides() {
            let scope = accepted.key.and_then(|key| self.keys.find(&key));
            return scope.ok_or_else(|| match self.keys.problem() {
                Some(_) => Error::new(ErrorKind::Unauthorized, "the server cannot read its authorized keys"),
                None => unknown(),
            });
        }
        match &accepted.name {
            Some(name) if self.by_ca => Ok(Arc::new(Scope::unrestricted(name.clone()))),
            _ => Err(unknown()),
        }
    }
}

async fn accept_connections(shared: Arc<Shared>, listener: Listener) {
    loop {
        let stop = shared.stop.notified();
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        tokio::select! {
            () = stop => return,
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
async fn watch_keys(shared: Arc<Shared>) {
    while !shared.closing.load(Ordering::SeqCst) {
        tokio::time::sleep(KEYS_REFRESH).await;
        if !matches!(shared.keys.refresh_if_changed(), Refresh::Changed) {
            continue;
        }
        let revoked: Vec<_> = lock(&shared.connections)
            .values()
            .filter(|(key, scope, _)| shared.keys.revoked(key, scope))
            .map(|(_, _, connection)| connection.clone())
            .collect();
        for connection in revoked {
            let error = Error::new(ErrorKind::Unauthorized, "the key's authorization was changed or revoked");
            for live in lock(&shared.live).iter().filter(|live| live.connection.stable_id() == connection.stable_id()) {
                if let Some(session) = live.session.upgrade() {
                    session.fail(error.clone());
                }
            }
            net::close_with(&connection, &error);
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
    if let Some(key) = accepted.key {
        let mut connections = lock(&shared.connections);
        if connections.values().filter(|(other, _, _)| *other == key).count() >= CONNECTIONS_PER_KEY {
            drop(connections);
            net::close_with(&connection, &Error::new(ErrorKind::Limit, "too many connections of one key"));
            return;
        }
        connections.insert(connection.stable_id(), (key, Arc::clone(&scope), connection.clone()));
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
    lock(&shared.connections).remove(&connection.stable_id());
    shared.totals.connections_active.fetch_sub(1, Ordering::Relaxed);
}

/// A client whose key is known.
struct ConnectedClient {
    key: Option<PublicKey>,
    scope: Arc<Scope>,
    round_trip: Duration,
    connection: quinn::Connection,
    router: Arc<Router>,
    window: net::Window,
}

async fn serve_stream(shared: Arc<Shared>, client: Arc<ConnectedClient>, mut streams: ControlStreams) {
    let first = tokio::time::timeout(REQUEST_TIMEOUT, read_request(&mut streams)).await;
    let outcome = match first {
        Ok(Ok((version, Wish::Sync(request)))) => {
            serve_sync(&shared, &client, streams, version, *request).await;
            return;
        }
        Ok(Ok((_, Wish::List { root, path }))) => serve_list(&shared, &client, &mut streams, &root, &path).await,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "no request came in time")),
    };
    if let Err(error) = outcome {
        let _ = streams.write(&Frame::Abort(error.to_wire())).await;
    }
    let _ = streams.send.finish();
}

enum Wish {
    Sync(Box<Request>),
    List { root: Vec<u8>, path: RelPath },
}

async fn read_request(streams: &mut ControlStreams) -> Result<(u16, Wish)> {
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
        Some(Frame::Request(request)) => Ok((version, Wish::Sync(request))),
        Some(Frame::ListRequest { root, path }) => Ok((version, Wish::List { root, path })),
        _ => Err(Error::protocol("no request")),
    }
}

impl Shared {
    /// The root of a request, when the client may know that it is there.
    fn root(&self, client: &ConnectedClient, name: &[u8], path: &RelPath) -> Result<&OpenRoot> {
        let outside = |what: &str| {
            Error::new(ErrorKind::Scope, format!("the key {:?} {what}", client.scope.name)).at(path.as_bytes())
        };
        let name = String::from_utf8_lossy(name);
        let Some(root) = self.roots.get(name.as_ref()).filter(|_| client.scope.visible_root(&name)) else {
            return Err(outside(&format!("has no root {name:?}")));
        };
        let components: Vec<&[u8]> = path.components().map(sparsync_proto::Name::as_bytes).collect();
        if !client.scope.covers(&name, &components) {
            return Err(outside(&format!("may not use this path of the root {name:?}")));
        }
        Ok(root)
    }

    /// Narrows a request to what the client may do, or refuses it.
    fn authorize(&self, client: &ConnectedClient, request: &mut Request) -> Result<&OpenRoot> {
        let root = self.root(client, &request.root, &request.path)?;
        let rights = &client.scope.rights;
        let refuse = |what: &str| {
            Err(Error::new(ErrorKind::Scope, format!("the key {:?} may not {what}", client.scope.name))
                .at(request.path.as_bytes()))
        };
        if request.direction == Direction::Pull {
            return if rights.read { Ok(root) } else { refuse("read") };
        }
        if root.read_only {
            return Err(Error::new(ErrorKind::Scope, "the root is read-only").at(request.path.as_bytes()));
        }
        // A plan shows what is there, which takes no more than the right to change it.
        if !(rights.write || rights.append) {
            return refuse("write");
        }
        if request.deletion.delete && !rights.delete {
            return refuse("delete");
        }
        if !rights.delete {
            request.deletion.force = false;
        }
        request.durability = request.durability.max(self.durability);
        Ok(root)
    }
}

/// A session counts as active for as long as this lives.
struct Active(Arc<Shared>);

impl Active {
    fn begin(shared: &Arc<Shared>) -> Result<Self> {
        if shared.closing.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "the server is shutting down"));
        }
        let before = shared.active.fetch_add(1, Ordering::SeqCst);
        let active = Self(Arc::clone(shared));
        if before >= shared.max_sessions {
            return Err(Error::new(ErrorKind::Limit, "the server has no room for another session"));
        }
        shared.totals.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(active)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
        self.0.idle.notify_waiters();
    }
}

async fn serve_sync(
    shared: &Arc<Shared>,
    client: &Arc<ConnectedClient>,
    mut streams: ControlStreams,
    version: u16,
    mut request: Request,
) {
    let begun = shared.authorize(client, &mut request).and_then(|_| Active::begin(shared));
    let active = match begun {
        Ok(active) => active,
        Err(error) => {
            let _ = streams.write(&Frame::Abort(error.to_wire())).await;
            let _ = streams.send.finish();
            return;
        }
    };
    let session = Arc::new(Session::new(request.profile || shared.profiles.is_some()));
    let direction = request.direction;
    let profiler = session.profiler().cloned();
    let _watch = shared.runtime_clock.watch(profiler.as_ref());
    let (control, transport) = control_lane();
    {
        let mut live = lock(&shared.live);
        live.retain(|live| live.session.strong_count() > 0);
        live.push(Live {
            key: client.key,
            root: request.root.clone(),
            path: request.path.clone(),
            session: Arc::downgrade(&session),
            connection: client.connection.clone(),
            urgent: transport.urgent_sender(),
        });
    }
    let timeout = timeout_of(&request);
    let (outgoing, incoming, data) = match request.direction {
        Direction::Push => {
            let (lanes, data) = lanes_in(request.lanes);
            (None, Some(lanes), data)
        }
        Direction::Pull => {
            let (lanes, data) = lanes_out(request.lanes);
            (Some(lanes), None, data)
        }
    };
    let engine = {
        let (shared, client, session) = (Arc::clone(shared), Arc::clone(client), Arc::clone(&session));
        move || {
            let _active = active;
            session.guard("session", || {
                let answer = Answer { shared: &shared, client: &client, session: &session, version };
                match (incoming, outgoing) {
                    (Some(lanes), _) => answer.receive(&request, control, lanes),
                    (None, lanes) => answer.send(&request, control, lanes.unwrap_or_default()),
                }
            });
            session.end();
            if session.error().is_some() {
                shared.totals.sessions_failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("sparsync-session".to_owned()).spawn(engine) {
        session.fail(Error::io("the server cannot start a thread", b"", error));
    }
    QuicSession {
        end: End::Acceptor,
        session,
        connection: client.connection.clone(),
        router: Arc::clone(&client.router),
        window: client.window.clone(),
        streams,
        control: transport,
        lanes: data,
        timeout,
    }
    .run()
    .await;
    if let Some((profiles, profiler)) = shared.profiles.as_ref().zip(profiler) {
        lock(profiles).add(SessionProfile { direction, profile: profiler.account() });
    }
}

/// The server's side of a session, on the session's own thread.
struct Answer<'a> {
    shared: &'a Shared,
    client: &'a ConnectedClient,
    session: &'a Arc<Session>,
    version: u16,
}

impl Answer<'_> {
    fn root(&self, request: &Request) -> Result<&Root> {
        self.shared.root(self.client, &request.root, &request.path).map(|open| &open.root)
    }

    fn send(
        &self,
        request: &Request,
        control: crate::engine::ControlLane,
        lanes: Vec<tokio::sync::mpsc::Sender<crate::engine::Pack>>,
    ) -> Result<()> {
        let place = Place { top: self.root(request)?, path: request.path.clone() };
        let source = prepare::source(&place)?;
        let accept = accept_as_sender(&source, request, self.version, request.lanes);
        control.tx.send(&Frame::Accept(accept.clone()))?;
        let options = SenderOptions {
            attributes: request.attributes,
            recursive: request.recursive,
            compress: compress_on(&self.client.connection, self.client.round_trip, request.compression),
            hold: (self.client.connection.rtt() * 2).min(Duration::from_millis(250)),
            grant: Some(accept.grant),
            events: None,
            mounts: prepare::known_mounts(&source, request),
            profile: ProfileExchange::answer_to(request),
        };
        match run_sender(self.session, &source, &options, control, lanes)? {
            SenderEnd::Finished(_) => Ok(()),
            SenderEnd::CountFirst { .. } => Err(Error::protocol("an acceptance from the one who asked").remote()),
        }
    }

    fn receive(
        &self,
        request: &Request,
        control: crate::engine::ControlLane,
        lanes: Vec<tokio::sync::mpsc::Receiver<crate::engine::Pack>>,
    ) -> Result<()> {
        let rights = &self.client.scope.rights;
        let place = Place { top: self.root(request)?, path: request.path.clone() };
        let terms = ReceiverTerms {
            file_name: request.file_name.as_deref(),
            bounds: (request.bytes_bound, request.entries_bound),
            append_only: !rights.write,
            may_chown: rights.owner,
            holder: format!("{} from {}", self.client.scope.name, self.client.connection.remote_address()),
        };
        let prepared = match prepare::destination(&place, request, &terms, self.session) {
            Err(error) if error.kind() == ErrorKind::Busy => {
                // A dead run lets go at its next step; one that has ended may have let go by now.
                let wait = if self.supersede(request) { SUPERSEDE_MAX } else { Duration::ZERO };
                let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let again = Request { lock_wait_ms: wait, ..request.clone() };
                prepare::destination(&place, &again, &terms, self.session)?
            }
            prepared => prepared?,
        };
        let space = prepared.space;
        control.tx.send(&Frame::Accept(Accept {
            version: self.version,
            grant: prepared.grant,
            lanes: request.lanes,
            file_name: None,
            bytes_bound: 0,
            entries_bound: 0,
            count_first: prepared.count_first,
            free_bytes: space.map_or(0, |space| space.free_bytes),
            free_entries: space.map_or(0, |space| space.free_entries),
        }))?;
        if prepared.count_first {
            return Ok(());
        }
        let report = Report::to_peer(control.tx.clone());
        let mut options = prepared.options(request, &terms, report);
        options.quota = self.quota(request)?;
        options.profile = ProfileExchange::answer_to(request);
        tell_dropped_owners(request, terms.may_chown, &options.report)?;
        debug_assert!(prepared.grant == Grant::AsAsked || !request.dry_run, "a dry run asks for nothing");
        run_receiver(self.session, &prepared.destination, &options, control, lanes)?;
        Ok(())
    }

    /// The room that the key has left, when it has a quota. It is measured over all that the key's prefix holds.
    fn quota(&self, request: &Request) -> Result<Option<Quota>> {
        let scope = &self.client.scope;
        if request.dry_run || (scope.quota_bytes.is_none() && scope.quota_entries.is_none()) {
            return Ok(None);
        }
        let components: Vec<&[u8]> = request.path.components().map(sparsync_proto::Name::as_bytes).collect();
        let prefix = scope
            .roots
            .iter()
            .filter(|(root, prefix)| {
                root.as_bytes() == request.root
                    && prefix.len() <= components.len()
                    && prefix.iter().zip(&components).all(|(a, b)| a == b)
            })
            .map(|(_, prefix)| prefix.join(&b'/'))
            .min_by_key(Vec::len)
            .unwrap_or_default();
        let prefix = RelPath::new(&prefix).map_err(|_| Error::internal("a prefix that is no path"))?;
        let limits = (scope.quota_bytes, scope.quota_entries);
        Quota::measure(&scope.name, self.root(request)?, &prefix, limits, self.session).map(Some)
    }

    /// Ends runs of the same key in the same place whose client shows no sign of life. Says whether the place will
    /// be free in a moment.
    fn supersede(&self, request: &Request) -> bool {
        let in_place = |live: &&Live| {
            live.root == request.root
                && (live.path.is_within(&request.path) || request.path.is_within(&live.path))
                && live.session.upgrade().is_some_and(|session| !Arc::ptr_eq(&session, self.session))
        };
        // Its client may know the end of a run before the run has let go.
        let is_over = |live: &Live| live.session.upgrade().is_some_and(|session| session.is_over());
        if lock(&self.shared.live).iter().filter(in_place).any(is_over) {
            return true;
        }
        let rivals: Vec<_> = lock(&self.shared.live)
            .iter()
            .filter(in_place)
            .filter(|live| live.key == self.client.key)
            .filter_map(|live| Some((live.session.upgrade()?, live.connection.clone(), live.urgent.clone())))
            .collect();
        let heard: Vec<u64> = rivals.iter().map(|(_, connection, _)| connection.stats().udp_rx.datagrams).collect();
        for (session, _, urgent) in &rivals {
            if let Some(urgent) = urgent.upgrade() {
                let mut encoded = Vec::new();
                Frame::Heartbeat(session.work()).encode(&mut encoded);
                let _ = urgent.send(encoded);
            }
        }
        let longest = rivals.iter().map(|(_, connection, _)| connection.rtt() * 3).max().unwrap_or_default();
        let own = self.client.connection.stable_id();
        let has_sibling = rivals.iter().any(|(_, connection, _)| connection.stable_id() == own);
        let wait = longest.max(if has_sibling { SIBLING_MAX } else { PROBE_MIN });
        let began = Instant::now();
        while began.elapsed() < wait && !rivals.iter().all(|(session, ..)| session.is_over()) {
            std::thread::sleep(PROBE_STEP);
        }
        let mut superseded = false;
        for ((session, connection, _), before) in rivals.iter().zip(heard) {
            let is_silent = connection.close_reason().is_some() || connection.stats().udp_rx.datagrams == before;
            if session.is_over() {
                superseded = true;
            } else if is_silent && self.client.key.is_some() {
                // Without a key nobody could tell whose run it is.
                let error = Error::new(ErrorKind::Closed, "superseded by a new run of the same key");
                session.fail(error.clone());
                net::close_with(connection, &error);
                superseded = true;
            }
        }
        superseded
    }
}

async fn serve_list(
    shared: &Arc<Shared>,
    client: &ConnectedClient,
    streams: &mut ControlStreams,
    root: &[u8],
    path: &RelPath,
) -> Result<()> {
    let entries = if root.is_empty() {
        let mut names: Vec<_> = shared.roots.keys().filter(|name| client.scope.visible_root(name)).cloned().collect();
        names.sort_unstable();
        let entry = |name: String| ListEntry {
            kind: Kind::Directory,
            name: name.into_bytes(),
            size: 0,
            meta: sparsync_proto::Meta::default(),
        };
        names.into_iter().map(entry).collect()
    } else {
        if !client.scope.rights.read {
            return Err(Error::new(ErrorKind::Scope, format!("the key {:?} may not read", client.scope.name)));
        }
        let name = String::from_utf8_lossy(root).into_owned();
        let components: Vec<&[u8]> = path.components().map(sparsync_proto::Name::as_bytes).collect();
        if client.scope.visible_root(&name)
            && client.scope.leads(&name, &components)
            && !client.scope.covers(&name, &components)
        {
            client
                .scope
                .children(&name, &components)
                .map(|child| ListEntry {
                    kind: Kind::Directory,
                    name: child.to_vec(),
                    size: 0,
                    meta: sparsync_proto::Meta::default(),
                })
                .collect()
        } else {
            let (shared, path) = (Arc::clone(shared), path.clone());
            shared.root(client, root, &path).map(|_| ())?;
            let () = ();
            tokio::task::spawn_blocking(move || list_directory(&shared.roots[&name].root, &path))
                .await
                .map_err(|_| Error::internal("listing panicked"))??
        }
    };
    let mut batch = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.name.len() + 64;
        batch.push(entry);
        if bytes >= limits::BATCH_BYTES {
            bytes = 0;
            streams.write(&Frame::ListReply { more: true, entries: std::mem::take(&mut batch) }).await?;
        }
    }
    streams.write(&Frame::ListReply { more: false, entries: batch }).await
}

fn list_directory(root: &Root, path: &RelPath) -> Result<Vec<ListEntry>> {
    use crate::fs::{ScanBuffers, ScanOptions, scan_directory};
    let options = ScanOptions {
        attributes: sparsync_proto::Attributes { links: true, ..sparsync_proto::Attributes::default() },
        stamps: false,
    };
    let scan =
        scan_directory(root, path.clone(), &options, &mut ScanBuffers::default()).map_err(|error| match error {
            rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => {
                Error::new(ErrorKind::NotFound, "no such directory").at(path.as_bytes())
            }
            rustix::io::Errno::LOOP => {
                Error::new(ErrorKind::Scope, "the path leads through a symlink").at(path.as_bytes())
            }
            error => Error::io("cannot list", path.as_bytes(), error.into()),
        })?;
    let directory = root
        .open_directory(path, crate::fs::Access::Reach)
        .map_err(|error| Error::io("cannot list", path.as_bytes(), error.into()))?;
    let listed = scan.listing.entries().iter().map(|entry| {
        let name = scan.listing.name(entry);
        let mut meta = entry.meta;
        // The listing of a run leaves a directory's attributes to its own record.
        if entry.kind == Kind::Directory
            && let Ok(stat) = crate::fs::statx(&directory, name)
        {
            meta = crate::fs::meta(&stat);
        }
        ListEntry { kind: entry.kind, name: name.to_vec(), size: entry.size, meta }
    });
    Ok(listed.collect())
}
