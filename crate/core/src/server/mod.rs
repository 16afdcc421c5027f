//! A server: named roots for keys that may use them.

mod accept;
mod accounts;
mod authorize;
mod counting;
mod explain;
mod join;
mod list;
mod log;
mod log_line;
mod metrics;
mod niceness;
mod notify;
mod own;
mod own_key;
mod per_key;
mod process;
mod profiles;
mod registry;
mod roots;
mod session;
mod stat;
mod stdio;
mod successes;
mod supersede;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sparsync_proto::Durability;
use tokio::runtime::{Handle, Runtime};

use crate::error::{Error, ErrorKind, Result};
use crate::net::{self, Congestion, ListenOptions, Listener, WindowBudget};
use crate::profile::RuntimeClock;
use crate::state::StateDir;
use crate::transport::WireCounters;
use crate::trust::{AuthorizedKeys, Identity, PublicKey};

use accept::{accept_connections, read_keys, watch, watch_roots};
use join::Tries;
use log::ServerLog;
pub use log::{Asked, ClientInfo, Happening, Operation, ServerEvent, SessionEnd};
pub use log_line::{Level, LogFormat, Noted, shown};
pub use notify::notify_manager;
use own::Own;
use own_key::OwnKey;
pub use process::serve_in_foreground;
pub use profiles::{PROFILES_KEPT, ServerProfiles, SessionProfile};
pub use registry::Limits;
use registry::Registry;
use roots::Roots;
pub use roots::ServedRoot;
pub use stdio::{StdioOptions, StdioRights, serve_pipe, serve_stdio};

/// How a server is set up.
#[expect(clippy::struct_excessive_bools, reason = "options of a server, each set apart from the others")]
pub struct ServerOptions {
    /// Where it listens: `host:port`, `[::]:port`; port 0 picks a free one.
    pub listen: String,
    /// Its key.
    pub identity: Identity,
    /// The file of a key that may be changed while the server runs. It then counts instead of `identity`.
    pub key_file: Option<PathBuf>,
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
    /// Listen on TCP too, at the same port.
    pub tcp: bool,
    /// The least durability of files that are written here; a request may ask for more.
    pub durability: Durability,
    /// How much there may be at the same time.
    pub limits: Limits,
    /// A connection ends after so long without a packet.
    pub idle_timeout: Duration,
    /// What decides how much the server sends.
    pub congestion: Congestion,
    /// Every session is profiled, whether its client asks for it or not; see [`Server::take_profiles`].
    pub profile: bool,
    /// Options that no client may use, by their names in the API or on the command line.
    pub refuse: Vec<String>,
    /// Events are kept for [`Server::take_events`].
    pub log: bool,
    /// Events are counted for [`Server::metrics`].
    pub metrics: bool,
}

/// Counts since the server began.
#[derive(Default)]
struct Totals {
    connections: AtomicU64,
    connections_active: AtomicU64,
    connections_refused: AtomicU64,
    sessions: AtomicU64,
    sessions_failed: AtomicU64,
    /// Sessions that wait for another one's destination.
    lock_waits: AtomicU64,
    /// Counters of all streams since the start, including those of sessions under way.
    wire: Arc<WireCounters>,
}

/// The state that all tasks of a server share.
struct Shared {
    roots: Roots,
    keys: AuthorizedKeys,
    anonymous: bool,
    durability: Durability,
    refused: Vec<String>,
    windows: WindowBudget,
    registry: Arc<Registry>,
    totals: Totals,
    runtime_clock: Arc<RuntimeClock>,
    /// Set when everything that this process may use is served, by its own paths.
    own: Option<Own>,
    /// Mount points of sources are remembered for their next run, in the state directory of this account.
    remembers: bool,
    /// The profiles of sessions, if every session is profiled.
    profiles: Option<Mutex<ServerProfiles>>,
    /// The events, if a log is kept.
    log: Option<ServerLog>,
    /// Attempts to join.
    tries: Tries,
    /// The key that is shown, when it may be changed.
    own_key: Option<OwnKey>,
}

impl Shared {
    fn metrics(&self) -> Option<&metrics::Metrics> {
        self.log.as_ref()?.metrics()
    }

    /// Takes up what was known when the server last ran.
    fn remember_successes(&self) {
        let Some((metrics, state)) = self.metrics().zip(StateDir::of_user()) else { return };
        let is_known = |name: &str| !self.keys.decides() || self.keys.may_know(name);
        for name in self.roots.names() {
            metrics.remember(&state, (name, self.roots.path_of(name).unwrap_or_default()), is_known);
        }
    }

    /// Remembers it for the next start.
    fn save_successes(&self) {
        let metrics = self.metrics().filter(|metrics| metrics.successes.have_changed());
        if let Some((metrics, state)) = metrics.zip(StateDir::of_user()) {
            metrics.successes.save(&state, |root| self.roots.path_of(root));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
    listener: Listener,
    ended: tokio::sync::watch::Sender<bool>,
}

impl Server {
    /// Opens the roots, reads the keys and begins to listen.
    pub async fn start(options: ServerOptions) -> Result<Self> {
        let roots = Roots::open(&options.roots)?;
        let keys = open_keys(&options)?;
        let (own_key, identity) = match options.key_file {
            Some(path) => OwnKey::load(path).map(|(own_key, identity)| (Some(own_key), identity))?,
            None => (None, options.identity),
        };
        let runtime_clock = Arc::<RuntimeClock>::default();
        let runtime = start_runtime(&runtime_clock)?;
        let shared = Arc::new(Shared {
            roots,
            keys,
            anonymous: options.anonymous,
            durability: options.durability,
            refused: options.refuse,
            windows: WindowBudget::new(options.limits.unread_bytes),
            registry: Arc::new(Registry::new(options.limits)),
            totals: Totals::default(),
            runtime_clock,
            own: None,
            remembers: true,
            profiles: options.profile.then(Mutex::default),
            log: ServerLog::new(options.log, options.metrics),
            tries: Tries::default(),
            own_key,
        });
        shared.remember_successes();
        let handle = runtime.handle().clone();
        let listen = ListenOptions {
            anonymous: options.anonymous,
            client_ca_pem: options.client_ca_pem,
            idle_timeout: options.idle_timeout,
            congestion: options.congestion,
            tcp: options.tcp,
            handshakes: options.limits.handshakes,
            ..ListenOptions::new(options.listen, identity)
        };
        let listening = handle.spawn(net::listen(listen)).await;
        let listener = match listening.unwrap_or_else(|_| Err(Error::internal("listening panicked"))) {
            Ok(listener) => listener,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        handle.spawn(accept_connections(Arc::clone(&shared), listener.clone()));
        handle.spawn(watch(Arc::clone(&shared), listener.clone()));
        handle.spawn(watch_roots(Arc::clone(&shared)));
        Ok(Self {
            shared,
            local_addr: listener.local_addr(),
            runtime: Mutex::new(Some(runtime)),
            handle,
            listener,
            ended: tokio::sync::watch::channel(false).0,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Its key, which clients pin.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.listener.public_key()
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
            ("sessions_active", self.shared.registry.active() as u64),
            ("sessions_failed", get(&totals.sessions_failed)),
            ("bytes_sent", get(&totals.wire.bytes_sent)),
            ("bytes_received", get(&totals.wire.bytes_received)),
        ]
    }

    /// The profiles of sessions that have ended; none when sessions are not profiled.
    #[must_use]
    pub fn take_profiles(&self) -> Option<ServerProfiles> {
        Some(lock(self.shared.profiles.as_ref()?).take())
    }

    /// The events since the last call; none when no log is kept.
    #[must_use]
    pub fn take_events(&self) -> Vec<ServerEvent> {
        self.shared.log.as_ref().map(ServerLog::take).unwrap_or_default()
    }

    /// Counts an event that was taken and could not be written.
    pub fn log_lost(&self) {
        if let Some(metrics) = self.shared.metrics() {
            metrics.count_dropped();
        }
    }

    /// Figures for a monitoring system, in the text form of `OpenMetrics`; none when they are not kept.
    #[must_use]
    pub fn metrics(&self) -> Option<String> {
        let shared = &self.shared;
        let now = metrics::Now {
            connections: shared.totals.connections_active.load(Ordering::Relaxed),
            sessions_active: shared.registry.active() as u64,
            handshakes: self.listener.handshakes() as u64,
            handshakes_refused: self.listener.handshakes_refused(),
            lock_waits: shared.totals.lock_waits.load(Ordering::Relaxed),
            unread_bytes: shared.windows.lent(),
            keys: shared.keys.len() as u64,
            keys_usable: shared.keys.problem().is_none(),
        };
        Some(shared.metrics()?.text(&now))
    }

    /// Why clients are not served as they should be: the server is closing, or its authorized keys or a root of it
    /// cannot be used.
    #[must_use]
    pub fn ailment(&self) -> Option<Error> {
        let closing = self.shared.registry.is_closing().then(shutting_down);
        closing.or_else(|| self.shared.keys.problem()).or_else(|| self.shared.roots.ailment())
    }

    /// Puts other lines in the place of the authorized keys that were given, and other limits. Nothing is changed when
    /// a line is malformed; [`Server::reload`] puts the keys in force.
    pub fn change(&self, authorized_keys: Option<&[String]>, limits: Limits) -> Result<()> {
        if let Some(lines) = authorized_keys {
            self.shared.keys.give(lines)?;
        }
        self.shared.registry.limit(limits);
        self.shared.windows.change(limits.unread_bytes);
        self.listener.limit_handshakes(limits.handshakes);
        Ok(())
    }

    /// Reads the authorized keys again, also when their file looks unchanged, and tells of it in the log. Roots whose
    /// path leads to another directory than before are opened anew, which is not waited for.
    pub fn reload(&self) {
        let shared = Arc::clone(&self.shared);
        self.handle.spawn_blocking(move || shared.roots.reload());
        if let Some(own_key) = &self.shared.own_key {
            own_key.look(&self.shared, &self.listener, true);
        }
        read_keys(&self.shared);
    }

    /// Accepts no new session, lets runs finish for as long as `grace`, ends the others, and stops.
    pub async fn close(&self, grace: Duration) {
        let shared = Arc::clone(&self.shared);
        let listener = self.listener.clone();
        let closing = self.handle.spawn(async move {
            let registry = &shared.registry;
            registry.close();
            let _ = tokio::time::timeout(grace, registry.wait_until_idle()).await;
            registry.fail_sessions(&shutting_down());
            let _ = tokio::time::timeout(Duration::from_secs(5), registry.wait_until_idle()).await;
            listener.close(&shutting_down());
            let why = shutting_down();
            let told = async { tokio::join!(registry.close_connections(&why), listener.wait_idle()) };
            let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
        });
        let _ = closing.await;
        self.shared.save_successes();
        self.stop_runtime();
        self.ended.send_replace(true);
    }

    /// Waits until the server is closed.
    pub async fn closed(&self) {
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Ends everything at once, from a thread that may wait a little.
    pub fn abort(&self) {
        let registry = &self.shared.registry;
        registry.close();
        registry.fail_sessions(&shutting_down());
        self.listener.close(&shutting_down());
        let until = Instant::now() + Duration::from_secs(2);
        while registry.active() > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.stop_runtime();
        self.ended.send_replace(true);
    }

    fn stop_runtime(&self) {
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }
}

fn shutting_down() -> Error {
    Error::new(ErrorKind::Closed, "the server is shutting down")
}

/// The authorized keys. Refused when they would let nobody in.
fn open_keys(options: &ServerOptions) -> Result<AuthorizedKeys> {
    let served = options.roots.iter().map(|root| root.name.clone()).collect();
    let keys = AuthorizedKeys::new(&options.authorized_keys, options.authorized_keys_path.as_deref(), Some(served))?;
    if options.anonymous || keys.decides() || options.client_ca_pem.is_some() {
        return Ok(keys);
    }
    Err(Error::new(
        ErrorKind::Config,
        "nobody is authorized: give authorized keys, a client CA, or ask for an anonymous server on loopback",
    ))
}

/// Threads of the transport: one for two cores. The readers and writers of the runs need the other cores; with one
/// thread for each core, packets would be passed from core to core, see ADR 0008.
fn transport_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

fn start_runtime(clock: &Arc<RuntimeClock>) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    clock.install(&mut builder);
    builder
        .worker_threads(transport_workers())
        .thread_name("sparsync-serve")
        .enable_all()
        .build()
        .map_err(|error| Error::io("cannot start a runtime", b"", error))
}

impl Drop for Server {
    fn drop(&mut self) {
        if lock(&self.runtime).is_some() {
            self.listener.close(&Error::new(ErrorKind::Closed, "the server is gone"));
            self.stop_runtime();
        }
    }
}
