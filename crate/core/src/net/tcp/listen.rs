//! A server's TCP port.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Protocol, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{handshake_error, no_common_version, shown};
use crate::net::WindowBudget;
use crate::net::gate::{Admission, Gate, Pass};
use crate::net::listen::{HANDSHAKE_TIMEOUT, in_time, principal, refused_client};
use crate::net::pipe::{PipeConnection, TlsPeer};
use crate::net::socket::unbound;
use crate::net::tls::ALPN_JOIN;
use crate::transport::{Connection as _, Principal};
use crate::trust::{PublicKey, certificate_key, certificate_name};
use crate::{Error, Result};

/// Connections that the system has made and the server has not accepted yet.
const BACKLOG: i32 = 1024;

/// How long nothing is accepted when the system has run out of something, such as descriptors.
const SHORT_OF: Duration = Duration::from_millis(100);

/// A listening port. Clones share it.
#[derive(Clone)]
pub(crate) struct Acceptor {
    socket: Arc<Mutex<Option<Arc<TcpListener>>>>,
    tls: TlsAcceptor,
    idle_timeout: Duration,
    by_ca: bool,
    gate: Gate,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("socket", &self.socket).finish_non_exhaustive()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = unbound(address, Type::STREAM, Protocol::TCP)?;
    // Connections of the server's previous process may still be closing at this port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Acceptor {
    /// Listens at an address, whose port is not 0.
    pub(in crate::net) fn bind(
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        idle_timeout: Duration,
        by_ca: bool,
        gate: Gate,
    ) -> io::Result<Self> {
        let socket = Arc::new(Mutex::new(Some(Arc::new(bind(address)?))));
        Ok(Self { socket, tls: TlsAcceptor::from(tls), idle_timeout, by_ca, gate })
    }

    /// Closes the port, once no task waits for its next client.
    pub(in crate::net) fn close(&self) {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The next client; never, once the port is closed.
    pub(in crate::net) async fn accept(&self) -> Handshake {
        loop {
            let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(socket) = socket else { return std::future::pending().await };
            let Ok((stream, remote)) = socket.accept().await else {
                sleep(SHORT_OF).await;
                continue;
            };
            // A TCP client has shown by connecting that it receives at its address.
            let Admission::Pass(pass) = self.gate.admit(remote, true) else { continue };
            let _ = stream.set_nodelay(true);
            let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
            return Handshake { stream, remote, deadline, acceptor: self.clone(), pass };
        }
    }
}

/// A client that has connected and not shown a key yet.
#[derive(Debug)]
pub(crate) struct Handshake {
    stream: TcpStream,
    pub(in crate::net) remote: SocketAddr,
    deadline: Instant,
    acceptor: Acceptor,
    pass: Pass,
}

impl Handshake {
    /// Waits until the client has proved its key.
    pub(in crate::net) async fn finish(self) -> Result<Accepted> {
        let Self { stream, remote, deadline, acceptor, pass } = self;
        let stream = in_time(acceptor.tls.accept(stream), deadline, &pass).await?;
        let stream = TlsStream::from(stream.map_err(|error| refused_client(handshake_error(error)))?);
        let joins = match stream.get_ref().1.alpn_protocol() {
            // A client that asks for nothing is let through by TLS.
            None => return Err(no_common_version()),
            Some(protocol) => protocol == ALPN_JOIN,
        };
        let certificate = shown(&stream);
        let (key, name) = (certificate.and_then(certificate_key), certificate.and_then(certificate_name));
        let principal = principal(name, key, acceptor.by_ca);
        Ok(Accepted { stream, remote, principal, key, joins, idle_timeout: acceptor.idle_timeout, pass })
    }
}

/// A client that has proved to hold its key.
#[derive(Debug)]
pub(crate) struct Accepted {
    stream: TlsStream<TcpStream>,
    remote: SocketAddr,
    pub(in crate::net) principal: Principal,
    pub(in crate::net) key: Option<PublicKey>,
    pub(in crate::net) joins: bool,
    idle_timeout: Duration,
    /// The client's place among the handshakes, until it is let in or gone.
    pass: Pass,
}

impl Accepted {
    /// The TLS stream of the connection.
    pub(in crate::net) fn into_stream(self) -> TlsStream<TcpStream> {
        self.stream
    }

    /// Lets the client in, and one that joins for that alone.
    pub(in crate::net) fn start(self, windows: &WindowBudget) -> PipeConnection {
        let Self { stream, remote, principal, idle_timeout, joins, .. } = self;
        let peer = if joins { TlsPeer::Joining } else { TlsPeer::Client };
        PipeConnection::over_tls(stream, peer, principal, remote.to_string(), idle_timeout, windows.clone())
    }

    /// Closes the connection of a client that is not allowed anything, and tells it why.
    pub(in crate::net) fn refuse(self, error: &Error) {
        let Self { stream, remote, principal, idle_timeout, pass, .. } = self;
        let peer = TlsPeer::Refused(pass);
        let windows = WindowBudget::new(0);
        PipeConnection::over_tls(stream, peer, principal, remote.to_string(), idle_timeout, windows).close(Some(error));
    }
}
