//! A server's endpoint.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connecting, Connection, ConnectionError, Endpoint, ServerConfig, TokioRuntime};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsStream;

use super::address::{Reach, host_and_port, resolve};
use super::gate::{Admission, Gate, HANDSHAKES_MAX, HandshakesRefused, Pass};
use super::parameters::{self, Circumstances, Resets, STRANGER_WINDOW_BYTES};
use super::quic::QuicConnection;
use super::tcp::{self, Acceptor};
use super::tls::{ShownKey, joins, peer_key, peer_name, server_config};
use super::{Congestion, WindowBudget, close_code, close_with, connection_error, socket};
use crate::transport::{self, Principal};
use crate::trust::{Identity, PublicKey};
use crate::{Error, ErrorKind, Result};

/// How long a client may take for the handshake. The same deadline should cover its first request:
/// [`Accepted::deadline`].
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients whose first packet waits to be taken by [`Listener::accept`].
const MAX_INCOMING: usize = 1024;

/// The most bytes that those clients may have sent besides, all together.
const INCOMING_BUFFER_BYTES: u64 = 8 << 20;

/// Where to listen and as whom.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// `host:port`; `[::]:port` is every address of the machine, IPv4 and IPv6; port 0 lets the system choose.
    pub address: String,
    /// The server's key.
    pub identity: Identity,
    /// Let clients in that show no key. Only on loopback. Default false.
    pub anonymous: bool,
    /// A PEM bundle: clients' certificates have to chain to it. Default none: any Ed25519 key passes the handshake.
    pub client_ca_pem: Option<String>,
    /// How long a client may be silent. Default 30 s.
    pub idle_timeout: Duration,
    /// As [`super::ConnectOptions::initial_mtu`].
    pub initial_mtu: Option<u16>,
    /// What decides how much this side sends.
    pub congestion: Congestion,
    /// Listen on TCP as well, at the same port. Default false.
    pub tcp: bool,
    /// How many handshakes may be under way at once over QUIC; half as many may over TCP. Default [`HANDSHAKES_MAX`].
    pub handshakes: usize,
}

impl ListenOptions {
    /// The defaults.
    #[must_use]
    pub fn new(address: impl Into<String>, identity: Identity) -> Self {
        Self {
            address: address.into(),
            identity,
            anonymous: false,
            client_ca_pem: None,
            idle_timeout: Duration::from_secs(30),
            initial_mtu: None,
            congestion: Congestion::Auto,
            tcp: false,
            handshakes: HANDSHAKES_MAX,
        }
    }
}

/// A listening endpoint.
#[derive(Clone, Debug)]
pub struct Listener {
    endpoint: Endpoint,
    address: SocketAddr,
    config: ServerConfig,
    /// The settings of every client's connection, without its address.
    circumstances: Circumstances,
    /// A private CA vouches for clients.
    by_ca: bool,
    gate: Gate,
    tcp: Option<Acceptor>,
    tcp_gate: Gate,
    shown: Arc<ShownKey>,
}

/// Ports that the system is asked for until it has one that is free on TCP too.
const PORTS_TRIED: usize = 16;

/// Opens a server's sockets.
///
/// Fails with [`ErrorKind::Config`] when the address, the certificate or the CA cannot be used, when an anonymous
/// server would listen beyond loopback, or when the address is taken or not this machine's; the error names the
/// address.
pub async fn listen(options: ListenOptions) -> Result<Listener> {
    parameters::check_initial_mtu(options.initial_mtu)?;
    let (host, port) = host_and_port(&options.address)?;
    let refuse = |why: String| Error::new(ErrorKind::Config, format!("cannot listen on {}: {why}", options.address));
    let addresses = resolve(host, port).await.map_err(|error| refuse(error.to_string()).because(error))?;
    if options.anonymous
        && let Some(open) = addresses.iter().find(|address| Reach::of(address.ip()) != Reach::Loopback)
    {
        return Err(refuse(format!(
            "a server without authorized keys would be open to everybody at {open}; listen on 127.0.0.1 or [::1], or authorize keys"
        )));
    }
    let (tls, shown) = server_config(&options.identity, options.anonymous, options.client_ca_pem.as_deref())?;
    let crypto = QuicServerConfig::try_from(Arc::clone(&tls))
        .map_err(|error| Error::internal(format!("QUIC over TLS: {error}")))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.max_incoming(MAX_INCOMING).incoming_buffer_size_total(INCOMING_BUFFER_BYTES);

    let (gate, by_ca) = (Gate::of_quic(options.handshakes), options.client_ca_pem.is_some());
    let tcp_gate = Gate::of_tcp(options.handshakes);
    let on_tcp = |address| Acceptor::bind(address, Arc::clone(&tls), options.idle_timeout, by_ca, tcp_gate.clone());
    let mut reason = refuse("the name has no address".to_owned());
    for address in addresses {
        let (udp, tcp) = match open(address, options.tcp.then_some(&on_tcp)) {
            Ok(sockets) => sockets,
            Err((protocol, error)) => {
                let alone = if protocol == "TCP" { " (without TCP, only UDP has to be free)" } else { "" };
                reason = refuse(format!("{protocol} {address}: {error}{alone}")).because(error);
                continue;
            }
        };
        let internal = |error: std::io::Error| Error::internal(format!("the endpoint: {error}"));
        let address = udp.local_addr().map_err(internal)?;
        // A bad idle timeout is told now, not at the first client.
        let circumstances = Circumstances {
            remote: address,
            initial_mtu: options.initial_mtu,
            idle_timeout: options.idle_timeout,
            congestion: options.congestion,
            receive_window: STRANGER_WINDOW_BYTES,
            socket_buffer_bytes: socket::receive_buffer_bytes(&udp),
        };
        parameters::connection(circumstances)?;
        let resets = Resets { key: options.identity.derived("sparsync stateless reset", address.port()) };
        let endpoint =
            Endpoint::new(parameters::endpoint(Some(&resets))?, Some(config.clone()), udp, Arc::new(TokioRuntime))
                .map_err(internal)?;
        return Ok(Listener { endpoint, address, config, circumstances, by_ca, gate, tcp, tcp_gate, shown });
    }
    Err(reason)
}

/// The sockets of an address, at one port. When the system chooses the port it has to be free for both protocols.
fn open(
    address: SocketAddr,
    on_tcp: Option<&impl Fn(SocketAddr) -> io::Result<Acceptor>>,
) -> std::result::Result<(UdpSocket, Option<Acceptor>), (&'static str, io::Error)> {
    let mut taken = Vec::new();
    loop {
        let udp = socket::bind(address).map_err(|error| ("UDP", error))?;
        let Some(on_tcp) = on_tcp else { return Ok((udp, None)) };
        match on_tcp(udp.local_addr().map_err(|error| ("UDP", error))?) {
            Ok(tcp) => return Ok((udp, Some(tcp))),
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && taken.len() < PORTS_TRIED =>
            {
                // The socket is kept until then, so that the system does not choose its port again.
                taken.push(udp);
            }
            Err(error) => return Err(("TCP", error)),
        }
    }
}

impl Listener {
    /// The endpoint, to close it and to wait until all connections are over.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Closes the sockets and every connection over UDP, telling each peer why. A connection over TCP is its holder's
    /// to close.
    pub fn close(&self, error: &Error) {
        if let Some(tcp) = &self.tcp {
            tcp.close();
        }
        self.endpoint.close(close_code(error.kind()), error.message().as_bytes());
    }

    /// Waits until every connection is over.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }

    /// Other limits on handshakes from now on, as [`ListenOptions::handshakes`].
    pub(crate) fn limit_handshakes(&self, handshakes: usize) {
        self.gate.limit(handshakes);
        self.tcp_gate.limit(handshakes);
    }

    /// How many handshakes are under way.
    pub(crate) fn handshakes(&self) -> usize {
        self.gate.open() + self.tcp_gate.open()
    }

    /// How many were refused since the start.
    pub(crate) fn handshakes_refused(&self) -> HandshakesRefused {
        self.gate.refused().and(self.tcp_gate.refused())
    }

    /// Shows another key to clients that connect from now on.
    pub(crate) fn show(&self, identity: &Identity) -> Result<()> {
        self.shown.change(identity)
    }

    /// The key that is shown.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.shown.public_key()
    }

    /// The address that was bound, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What the socket's receive buffer holds; see [`super::Connected::socket_buffer_bytes`].
    #[must_use]
    pub fn socket_buffer_bytes(&self) -> u64 {
        self.circumstances.socket_buffer_bytes
    }

    /// The next client over TCP; never, where there is none.
    pub(super) async fn accept_tcp(&self) -> tcp::Handshake {
        match &self.tcp {
            Some(tcp) => tcp.accept().await,
            None => std::future::pending().await,
        }
    }

    /// The TLS stream of the next client over TCP, once it has proved its key; nothing was said on it yet.
    pub async fn accept_stream(&self) -> Result<TlsStream<TcpStream>> {
        Ok(self.accept_tcp().await.finish().await?.into_stream())
    }

    /// The next client over QUIC, whose handshake has only begun; `None` once the endpoint is closed. Call it again
    /// without waiting for the handshake, which has to run in a task of its own.
    pub async fn accept(&self) -> Option<Handshake> {
        loop {
            let incoming = self.endpoint.accept().await?;
            let remote = incoming.remote_address();
            let pass = match self.gate.admit(remote, incoming.remote_address_validated()) {
                Admission::Pass(pass) => pass,
                Admission::Retry => {
                    // A retry fails only for clients that have done one, and those are not asked again.
                    if let Err(again) = incoming.retry() {
                        again.into_incoming().ignore();
                    }
                    continue;
                }
                Admission::Ignore => {
                    incoming.ignore();
                    continue;
                }
            };
            let Ok(transport) = parameters::connection(Circumstances { remote, ..self.circumstances }) else {
                // The same settings were accepted when the socket was opened.
                incoming.refuse();
                continue;
            };
            let mut config = self.config.clone();
            config.transport_config(transport);
            return Some(Handshake {
                // An error of the first packet already, such as the protocol version, is reported in place of the
                // handshake's.
                connecting: incoming.accept_with(Arc::new(config)),
                remote,
                deadline: Instant::now() + HANDSHAKE_TIMEOUT,
                by_ca: self.by_ca,
                pass,
            });
        }
    }
}

/// A client in the middle of its handshake.
#[derive(Debug)]
pub struct Handshake {
    connecting: std::result::Result<Connecting, ConnectionError>,
    remote: SocketAddr,
    deadline: Instant,
    by_ca: bool,
    pass: Pass,
}

impl Handshake {
    /// Where the client is.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Waits until the client has proved its key, at most 10 s.
    ///
    /// Fails with [`ErrorKind::Unauthorized`] when it showed no certificate or one that does not pass,
    /// [`ErrorKind::Version`], [`ErrorKind::Timeout`], or [`ErrorKind::Protocol`]. These are for the log: the client
    /// has been told already.
    pub async fn finish(self) -> Result<Accepted> {
        let connecting = self.connecting.map_err(|error| refused_client(connection_error(&error)))?;
        let connection = in_time(connecting, self.deadline, &self.pass).await?;
        let connection = connection.map_err(|error| refused_client(connection_error(&error)))?;
        drop(self.pass);
        Ok(Accepted {
            key: peer_key(&connection),
            name: peer_name(&connection),
            joins: joins(&connection),
            deadline: self.deadline.into_std(),
            by_ca: self.by_ca,
            connection,
        })
    }
}

/// Waits for a client's handshake, until its time is up or another client needs its place.
pub(super) async fn in_time<T>(handshake: impl Future<Output = T>, deadline: Instant, pass: &Pass) -> Result<T> {
    let late = |message: &str| Error::new(ErrorKind::Timeout, message).remote();
    tokio::select! {
        biased;
        ended = timeout_at(deadline, handshake) => ended.map_err(|_| late("the handshake was not finished in time")),
        () = pass.gives_way() => Err(late("the handshake was not finished when its place was needed")),
    }
}

/// On a server a failed TLS handshake that is not about versions is the client's certificate.
pub(super) fn refused_client(error: Error) -> Error {
    if error.kind() == ErrorKind::Protocol && error.side() == crate::Side::Local {
        Error::new(ErrorKind::Unauthorized, error.message().to_owned()).because(error)
    } else {
        error
    }
}

/// The principal of a peer with a certificate, or without one.
pub(super) fn principal(name: Option<String>, key: Option<PublicKey>, by_ca: bool) -> Principal {
    match (name, key) {
        (Some(name), key) if by_ca => Principal::Certificate { name, key },
        (_, Some(key)) => Principal::Key(key),
        (_, None) => Principal::Anonymous,
    }
}

/// A client that has proved to hold its key. Nothing says yet that the key may do anything: authorize it, then open
/// its window ([`super::WindowBudget::open`]); till then it can send 256 KiB ahead. To refuse it, use
/// [`super::close_with`].
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The connection.
    pub connection: Connection,
    /// The client's key; none when it showed none (anonymous server) or, in CA mode, another kind of key.
    pub key: Option<PublicKey>,
    /// The common name of its certificate. Only the listener's CA gives it a meaning.
    pub name: Option<String>,
    /// It has connected in order to join, and for nothing else.
    pub joins: bool,
    /// When the first request should have arrived.
    pub deadline: std::time::Instant,
    /// Whether the listener's CA vouches for the name.
    by_ca: bool,
}

impl Accepted {
    /// Who the client has proved to be.
    #[must_use]
    pub fn principal(&self) -> Principal {
        principal(self.name.clone(), self.key, self.by_ca)
    }

    /// Closes the connection of a client that is not allowed anything, and tells it why.
    pub(crate) fn refuse(&self, error: &Error) {
        close_with(&self.connection, error);
    }

    /// Puts the connection of an authorized client to use.
    pub(crate) fn start(self, windows: &WindowBudget) -> Arc<dyn transport::Connection> {
        self.into_quic(windows)
    }

    /// The same, with the type of a QUIC connection.
    pub(super) fn into_quic(self, windows: &WindowBudget) -> Arc<QuicConnection> {
        let principal = self.principal();
        QuicConnection::start(self.connection, principal, windows)
    }
}
