//! A client's way to a server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TokioRuntime};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_rustls::TlsStream;

use super::address::{Route, canonical, resolve, shown, unbracketed};
use super::parameters::Circumstances;
use super::quic::QuicConnection;
use super::reachable::{refused, too_narrow};
use super::tls::{Purpose, Refusal, ServerDemand, client_config, peer_key, peer_name, peer_next_key};
use super::{Congestion, Proxy, WindowBudget, close_with, connection_error, parameters, socket, tcp};
use crate::transport::{self, Principal};
use crate::trust::{Identity, KnownHosts, KnownKey, NextKey, PublicKey};
use crate::{Error, ErrorKind, Result};

/// How long an address is tried alone before the next one is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// What a client needs to know of the server before it talks to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTrust {
    /// Accepted keys. Not empty: only these, and no file is read. Default empty.
    pub pins: Vec<PublicKey>,
    /// The file that says which key a host has, when there are neither pins nor a CA. Default none: no host is known.
    pub known_hosts: Option<PathBuf>,
    /// Accept an unknown host's key and put it into `known_hosts`; never another key for a known host. Default false.
    pub accept_new: bool,
    /// A PEM bundle: the server's certificate has to chain to it, be valid now and for the host name. Pins apply
    /// besides; `known_hosts` is not looked at. Default none.
    pub ca_pem: Option<String>,
}

/// Where to connect and as whom.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// A name, an IPv4 address, or an IPv6 address with or without brackets.
    pub host: String,
    /// The port, not 0, of UDP and of TCP.
    pub port: u16,
    /// This client's key.
    pub identity: Identity,
    /// Which server is accepted.
    pub trust: ServerTrust,
    /// The deadline for all of it: resolving, every address, the handshake. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the peer may be silent once connected. Default 30 s.
    pub idle_timeout: Duration,
    /// The UDP payload to begin with, 1200 to 6500 bytes. Default none: as large as the interface takes on loopback,
    /// 1200 elsewhere; larger sizes are then probed up to what the route takes.
    pub initial_mtu: Option<u16>,
    /// What decides how much this side sends.
    pub congestion: Congestion,
    /// The connection is for joining by an invitation, and for nothing else. Default false.
    pub joins: bool,
    /// What may carry the connection, of [`super::dial()`]; [`connect`] is QUIC. Default: either.
    pub transport: TransportChoice,
    /// The HTTP proxy that leads there, over TCP alone. Default none.
    pub proxy: Option<Proxy>,
    /// Which way is taken there, or to the proxy.
    pub route: Route,
}

/// What may carry a connection to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// QUIC, and TCP where UDP gets no answer.
    #[default]
    Auto,
    /// QUIC alone.
    Quic,
    /// TCP alone.
    Tcp,
}

impl TransportChoice {
    /// By its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "quic" => Some(Self::Quic),
            "tcp" => Some(Self::Tcp),
            _ => None,
        }
    }
}

impl ConnectOptions {
    /// The defaults, with no server trusted yet.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, identity: Identity) -> Self {
        Self {
            host: host.into(),
            port,
            identity,
            trust: ServerTrust::default(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            initial_mtu: None,
            congestion: Congestion::Auto,
            joins: false,
            transport: TransportChoice::Auto,
            proxy: None,
            route: Route::default(),
        }
    }
}

/// A connection to a server that has proved its key. The server may still refuse this client's key: that arrives as
/// [`ErrorKind::Unauthorized`] on the first use.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The connection.
    pub connection: Connection,
    /// The socket under it. After closing the connection use [`super::close_sent`], so that the peer hears of it.
    pub endpoint: Endpoint,
    /// The server's key; none in CA mode when its certificate is over another kind of key.
    pub server_key: Option<PublicKey>,
    /// The key that is to follow it.
    pub next_key: Option<NextKey>,
    /// The address that answered.
    pub remote: SocketAddr,
    /// What the socket's receive buffer holds: 4 MiB where the system allows it. Far less costs throughput on a busy
    /// machine; worth a warning below 1 MiB (on Linux `net.core.rmem_max` limits it).
    pub socket_buffer_bytes: u64,
}

impl Connected {
    /// Puts the connection to use.
    pub(crate) fn start(self) -> Arc<dyn transport::Connection> {
        self.into_quic()
    }

    /// The same, with the type of a QUIC connection.
    pub(super) fn into_quic(self) -> Arc<QuicConnection> {
        let principal = principal(self.server_key, || peer_name(&self.connection));
        QuicConnection::start(self.connection, principal, &WindowBudget::default())
    }
}

/// Who a server has proved to be: its key, or in CA mode the name on a certificate over another kind of key.
pub(super) fn principal(key: Option<PublicKey>, name: impl FnOnce() -> Option<String>) -> Principal {
    match key {
        Some(key) => Principal::Key(key),
        None => Principal::Certificate { name: name().unwrap_or_default(), key: None },
    }
}

/// Connects to a server over QUIC: resolves the host anew, tries every address (the next one 250 ms after the last, or
/// at once when that failed), and takes the first that answers with a trusted key.
///
/// Fails with
/// - [`ErrorKind::Config`]: an option or the file of known hosts cannot be used;
/// - [`ErrorKind::Connect`]: the host does not resolve, or no address could be reached (each is listed with its
///   reason);
/// - [`ErrorKind::Timeout`] (detail `phase`: `connect`): the deadline passed while addresses had not answered;
/// - [`ErrorKind::UnknownHost`] (details `host`, `port`, `key`): the key is not on record, or in CA mode the
///   certificate is not good;
/// - [`ErrorKind::HostKeyChanged`] (details `host`, `port`, `key`, `expected`, `line`, and the file as path): it is not
///   the key on record;
/// - [`ErrorKind::Version`]: no protocol version in common;
/// - [`ErrorKind::Unauthorized`]: the server refused this client's certificate in the handshake;
/// - [`ErrorKind::Io`]: the file of known hosts cannot be read or written.
pub async fn connect(options: ConnectOptions) -> Result<Connected> {
    let connecting = async {
        let target = prepare(ConnectOptions { proxy: None, ..options }).await?;
        let connected = target.over_quic().await?;
        if let Err(error) = target.record(connected.server_key, connected.next_key) {
            close_with(&connected.connection, &unrecorded());
            return Err(error);
        }
        Ok(connected)
    };
    connecting.await.map_err(in_phase)
}

/// The same over TCP: the TLS stream of a server that has proved its key, on which nothing was said yet.
pub async fn connect_tcp(options: ConnectOptions) -> Result<TlsStream<TcpStream>> {
    let connecting = async {
        let target = prepare(options).await?;
        let connected = target.over_tcp().await?;
        target.record(connected.server_key, connected.next_key)?;
        Ok(connected.into_stream())
    };
    connecting.await.map_err(in_phase)
}

/// A run that stalls ends with the same kind.
pub(super) fn in_phase(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Timeout => error.with("phase", "connect".to_owned()),
        _ => error,
    }
}

/// A key that is to follow the server's. The server announces it after it has proved its present one.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The key.
    pub next: NextKey,
    /// Whether this side takes it then.
    pub recorded: Recorded,
}

/// Whether a key is on record.
#[derive(Clone, Debug)]
pub enum Recorded {
    /// The key was put on record.
    Yes,
    /// No file decides about this server, only a pin that the user gave and has to change.
    NotHere,
    /// The key could not be recorded.
    Failed(Error),
}

/// The error that the server is told when its new key could not be recorded.
pub(super) fn unrecorded() -> Error {
    Error::new(ErrorKind::Aborted, "the client could not record the key")
}

/// A server to connect to, with everything that must be known before.
pub(super) struct Target {
    pub(super) options: Arc<ConnectOptions>,
    pub(super) expected: Vec<KnownKey>,
    /// The proxy's where one leads there.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) deadline: Instant,
    /// No key is on record, and the one that it shows is to be.
    is_new: bool,
}

impl Target {
    pub(super) async fn over_quic(&self) -> Result<Connected> {
        first_to_answer(&self.options, &self.expected, self.addresses.clone(), self.deadline).await
    }

    pub(super) async fn over_tcp(&self) -> Result<tcp::Connected> {
        let attempt = |remote| {
            let (options, expected) = (Arc::clone(&self.options), self.expected.clone());
            async move { tcp::connect_to(options, expected, remote).await }
        };
        let what = match &self.options.proxy {
            Some(proxy) => format!("connect by the proxy {proxy} to"),
            None => "connect over TCP to".to_owned(),
        };
        let attempts = Attempts { options: &self.options, what: &what, deadline: self.deadline };
        let failed = attempts.first(self.addresses.clone(), attempt).await;
        failed.map_err(|error| match &self.options.proxy {
            Some(proxy) if error.details().iter().all(|(name, _)| name != "proxy") => {
                error.with("proxy", proxy.to_string())
            }
            _ => error,
        })
    }

    /// Puts the key of a new server on record, and the key that is to follow. Only now has the server proved that its
    /// key is its own.
    pub(super) fn record(&self, key: Option<PublicKey>, next: Option<NextKey>) -> Result<Option<Announced>> {
        let ConnectOptions { host, port, trust, .. } = &*self.options;
        let by_file = trust.pins.is_empty() && trust.ca_pem.is_none();
        let (Some(file), Some(key)) = (trust.known_hosts.as_ref().filter(|_| by_file), key) else {
            return Ok(next.map(|next| Announced { next, recorded: Recorded::NotHere }));
        };
        let hosts = KnownHosts::new(file);
        if self.is_new {
            hosts.append(host, *port, key)?;
        }
        let next_key = next.map(|next| next.key);
        let is_known = next_key.is_none_or(|next| self.expected.iter().any(|known| known.key == next));
        let is_over = |known: &KnownKey| match known.after {
            Some(after) => known.key == key || (after == key && Some(known.key) != next_key),
            None => false,
        };
        let mut recorded = Recorded::Yes;
        if !is_known || self.expected.iter().any(is_over) {
            // The run must not fail because of a key that matters only later.
            if let Err(error) = hosts.learn(host, *port, key, next_key) {
                recorded = Recorded::Failed(error);
            }
        }
        Ok(next.map(|next| Announced { next, recorded }))
    }
}

/// Checks the options, and finds out the server's addresses and its accepted keys.
pub(super) async fn prepare(options: ConnectOptions) -> Result<Target> {
    parameters::check_initial_mtu(options.initial_mtu)?;
    if options.port == 0 || unbracketed(&options.host).is_empty() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("\"{}\" is not a host and port to connect to", shown(&options.host, options.port).escape_debug()),
        ));
    }
    let deadline = Instant::now() + options.connect_timeout;
    let expected = expected_keys(&options)?;
    let is_new = expected.is_empty() && options.trust.accept_new && options.trust.ca_pem.is_none();
    let options = Arc::new(options);
    // With a proxy, the server's name is resolved by the proxy, and only the proxy's here.
    let (host, port) =
        options.proxy.as_ref().map_or((options.host.as_str(), options.port), |proxy| (proxy.host.as_str(), proxy.port));
    let addresses = match timeout_at(deadline, resolve(host, port)).await {
        Ok(Ok(found)) if found.is_empty() => return Err(unresolved((host, port), "it has no address")),
        Ok(Ok(mut found)) => {
            found.retain(|address| options.route.takes(*address));
            if found.is_empty() {
                return Err(unresolved((host, port), "it has no address of the family that was asked for"));
            }
            found
        }
        Ok(Err(error)) => return Err(unresolved((host, port), &error.to_string()).because(error)),
        Err(_) => {
            let message = format!("the host {} was not resolved in time", host.escape_debug());
            return Err(Error::new(ErrorKind::Timeout, message).with("reason", "unresolved".to_owned()));
        }
    };
    Ok(Target { options, expected, addresses, deadline, is_new })
}

fn unresolved((host, port): (&str, u16), why: &str) -> Error {
    Error::new(ErrorKind::Connect, format!("cannot resolve the host {}: {why}", host.escape_debug()))
        .with("host", host.to_owned())
        .with("port", u64::from(port))
        .with("reason", "unresolved".to_owned())
}

/// The keys that the trust options name: pins, or else those of the file; none in CA mode without pins.
pub(super) fn expected_keys(options: &ConnectOptions) -> Result<Vec<KnownKey>> {
    let trust = &options.trust;
    if !trust.pins.is_empty() {
        return Ok(trust.pins.iter().copied().map(KnownKey::pin).collect());
    }
    if trust.ca_pem.is_some() {
        return Ok(Vec::new());
    }
    match &trust.known_hosts {
        Some(file) => KnownHosts::new(file).lookup(&options.host, options.port),
        None if trust.accept_new => {
            Err(Error::new(ErrorKind::Config, "accepting new servers needs a file of known hosts for their keys"))
        }
        None => Ok(Vec::new()),
    }
}

pub(super) async fn first_to_answer(
    options: &Arc<ConnectOptions>,
    expected: &[KnownKey],
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<Connected> {
    let attempt = |remote| {
        let (options, expected) = (Arc::clone(options), expected.to_vec());
        async move { attempt(&options, expected, remote).await }
    };
    Attempts { options, what: "connect to", deadline }.first(addresses, attempt).await
}

/// Whether the error of an attempt is final, because the server itself has decided.
pub(super) fn decides(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Connect | ErrorKind::Timeout)
}

/// Attempts at the addresses of a server.
pub(super) struct Attempts<'a> {
    pub(super) options: &'a ConnectOptions,
    /// What is attempted, for error messages.
    pub(super) what: &'a str,
    pub(super) deadline: Instant,
}

impl Attempts<'_> {
    /// The result of the first attempt that succeeds. The next address is tried when the last one failed, or had its
    /// time alone.
    pub(super) async fn first<T: Send + 'static, F>(
        &self,
        addresses: Vec<SocketAddr>,
        attempt: impl Fn(SocketAddr) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        // Dropped on return: the attempts that lost end with it.
        let mut attempts: JoinSet<(SocketAddr, Result<T>)> = JoinSet::new();
        let mut waiting = addresses.clone().into_iter();
        let mut failures: Vec<(SocketAddr, Error)> = Vec::new();
        loop {
            if let Some(address) = waiting.next() {
                let attempt = attempt(address);
                attempts.spawn(async move { (address, attempt.await) });
            }
            let more = waiting.len() > 0;
            tokio::select! {
                ended = attempts.join_next() => match ended {
                    Some(Ok((_, Ok(connected)))) => return Ok(connected),
                    Some(Ok((address, Err(error)))) => failures.push((address, error)),
                    Some(Err(panic)) => return Err(Error::internal(format!("connecting: {panic}"))),
                    None if !more => return Err(self.failed(&addresses, failures, false)),
                    None => {}
                },
                () = sleep(NEXT_ADDRESS_AFTER), if more => {}
                () = sleep_until(self.deadline) => return Err(self.failed(&addresses, failures, true)),
            }
        }
    }

    /// One error for all addresses. An error about the server's identity matters more than another address that does
    /// not answer.
    fn failed(&self, addresses: &[SocketAddr], failures: Vec<(SocketAddr, Error)>, timed_out: bool) -> Error {
        if let Some((_, error)) = failures.iter().find(|(_, error)| decides(error)) {
            return error.clone();
        }
        let reasons: Vec<String> = addresses
            .iter()
            .map(|address| match failures.iter().find(|(failed, _)| failed == address) {
                Some((_, error)) => format!("{address}: {}", error.message()),
                None => format!("{address}: no answer"),
            })
            .collect();
        let silent = timed_out || failures.iter().all(|(_, error)| error.kind() == ErrorKind::Timeout);
        let kind = if silent { ErrorKind::Timeout } else { ErrorKind::Connect };
        let server = shown(&self.options.host, self.options.port);
        let error = Error::new(kind, format!("cannot {} {server}: {}", self.what, reasons.join("; ")))
            .with("host", self.options.host.clone())
            .with("port", u64::from(self.options.port));
        let is_narrow = failures.iter().any(|(_, error)| error.details().iter().any(|(name, _)| *name == "reason"));
        let error = if is_narrow { error.with("reason", "mtu".to_owned()) } else { error };
        match failures.into_iter().next() {
            Some((_, first)) => error.because(first),
            None => error,
        }
    }
}

/// The demand on the server's certificate.
pub(super) fn demand(options: &ConnectOptions, expected: Vec<KnownKey>) -> ServerDemand {
    let trust = &options.trust;
    ServerDemand {
        host: options.host.clone(),
        port: options.port,
        expected,
        file: trust.known_hosts.clone().filter(|_| trust.pins.is_empty()),
        accept_new: trust.accept_new,
        ca_pem: trust.ca_pem.clone(),
        purpose: if options.joins { Purpose::Joining } else { Purpose::Sessions },
    }
}

async fn attempt(options: &ConnectOptions, expected: Vec<KnownKey>, remote: SocketAddr) -> Result<Connected> {
    let (tls, refusal) = client_config(&options.identity, demand(options, expected))?;
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| Error::internal(format!("QUIC over TLS: {error}")))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    let unreachable = |error: io::Error| Error::new(ErrorKind::Connect, error.to_string()).because(error);
    let udp = socket::bind(options.route.local_for(remote)).map_err(unreachable)?;
    let socket_buffer_bytes = socket::receive_buffer_bytes(&udp);
    config.transport_config(parameters::connection(Circumstances {
        remote,
        initial_mtu: options.initial_mtu,
        idle_timeout: options.idle_timeout,
        congestion: options.congestion,
        receive_window: parameters::LEAST_WINDOW_BYTES,
        socket_buffer_bytes,
    })?);
    let endpoint =
        Endpoint::new(parameters::endpoint(None)?, None, udp, Arc::new(TokioRuntime)).map_err(unreachable)?;
    let connecting = endpoint
        .connect_with(config, remote, &server_name(options)?)
        .map_err(|error| Error::new(ErrorKind::Connect, error.to_string()).because(error))?;
    let connection = tokio::select! {
        connection = connecting => connection.map_err(|error| handshake_error(&error, &refusal))?,
        error = refused(remote) => return Err(unreachable(error)),
        sizes = too_narrow(remote) => return Err(narrow(sizes)),
    };
    Ok(Connected {
        server_key: peer_key(&connection),
        next_key: peer_next_key(&connection),
        remote: canonical(remote),
        connection,
        endpoint,
        socket_buffer_bytes,
    })
}

/// The path carries too little in a packet.
fn narrow((passes, fails): (usize, usize)) -> Error {
    let message = format!(
        "UDP datagrams of {passes} bytes are answered and those of {fails} are not, and QUIC needs 1200: the MTU on the way \
         must be at least 1228 bytes (IPv6: 1248)"
    );
    Error::new(ErrorKind::Connect, message).with("reason", "mtu".to_owned())
}

/// The name that a CA's certificate must be for. Where keys decide, the name does not matter and is a constant.
pub(super) fn server_name(options: &ConnectOptions) -> Result<String> {
    if options.trust.ca_pem.is_none() {
        return Ok("sparsync".to_owned());
    }
    let host = unbracketed(&options.host).trim_end_matches('.');
    ServerName::try_from(host).map(|_| host.to_owned()).map_err(|_| {
        Error::new(ErrorKind::Config, format!("\"{}\" is not a name that a certificate can hold", host.escape_debug()))
    })
}

fn handshake_error(error: &ConnectionError, refusal: &Refusal) -> Error {
    match (refusal.take(), error) {
        (Some(refused), _) => refused,
        (None, ConnectionError::TimedOut) => Error::new(ErrorKind::Timeout, "no answer"),
        (None, error) => connection_error(error),
    }
}
