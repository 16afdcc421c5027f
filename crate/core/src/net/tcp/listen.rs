//! A server's TCP port.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Protocol, Type};
use sparsync_proto::subflow::ALPN_SUBFLOW;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::subflow::{Joinables, Joining, token};
use super::{handshake_error, no_common_version, shown};
use crate::net::WindowBudget;
use crate::net::gate::{Admission, Gate, Pass};
use crate::net::listen::{HANDSHAKE_TIMEOUT, in_time, principal, refused_client};
use crate::net::pipe::{PipeConnection, TlsPeer};
use crate::net::socket::unbound;
use crate::net::tls::Purpose;
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
    joinables: Joinables,
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
        let mut tls = Arc::unwrap_or_clone(tls);
        tls.alpn_protocols.push(ALPN_SUBFLOW.to_vec());
        let tls = TlsAcceptor::from(Arc::new(tls));
        Ok(Self { socket, tls, idle_timeout, by_ca, gate, joinables: Joinables::default() })
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
    /// Waits until the client has proved its key, and of a subflow until it has said where it belongs.
    pub(in crate::net) async fn finish(self) -> Result<Accepted> {
        let Self { stream, remote, deadline, acceptor, pass } = self;
        let stream = in_time(acceptor.tls.accept(stream), deadline, &pass).await?;
        let mut stream = TlsStream::from(stream.map_err(|error| refused_client(handshake_error(error)))?);
        let wants = match stream.get_ref().1.alpn_protocol() {
            // A client that asks for nothing is let through by TLS.
            None => return Err(no_common_version()),
            Some(protocol) => match Purpose::of(protocol) {
                Purpose::Sessions => Wants::Sessions,
                Purpose::Joining => Wants::ToJoin,
                Purpose::Subflow => {
                    let joining = Joining::read(&mut stream, acceptor.joinables.clone());
                    Wants::Subflow(in_time(joining, deadline, &pass).await??)
                }
            },
        };
        let certificate = shown(&stream);
        let (key, name) = (certificate.and_then(certificate_key), certificate.and_then(certificate_name));
        let principal = principal(name, key, acceptor.by_ca);
        Ok(Accepted { stream, remote, principal, key, wants, acceptor, pass })
    }
}

/// What a client has connected for.
#[derive(Debug)]
enum Wants {
    Sessions,
    ToJoin,
    Subflow(Joining),
}

/// A client that has proved to hold its key.
#[derive(Debug)]
pub(crate) struct Accepted {
    stream: TlsStream<TcpStream>,
    remote: SocketAddr,
    pub(in crate::net) principal: Principal,
    pub(in crate::net) key: Option<PublicKey>,
    wants: Wants,
    acceptor: Acceptor,
    /// The client's place among the handshakes, until it is let in or gone.
    pass: Pass,
}

impl Accepted {
    /// The TLS stream of the connection.
    pub(in crate::net) fn into_stream(self) -> TlsStream<TcpStream> {
        self.stream
    }

    /// It has connected in order to join, and for nothing else.
    pub(in crate::net) fn joins(&self) -> bool {
        matches!(self.wants, Wants::ToJoin)
    }

    /// It carries packs of a session that another connection of the client's carries.
    pub(in crate::net) fn is_subflow(&self) -> bool {
        matches!(self.wants, Wants::Subflow(_))
    }

    /// Lets the client in, and one that joins for that alone.
    pub(in crate::net) fn start(self, windows: &WindowBudget) -> PipeConnection {
        let Self { stream, remote, principal, wants, acceptor, .. } = self;
        let peer = if matches!(wants, Wants::Sessions) { TlsPeer::Client } else { TlsPeer::Joining };
        let token = token(&stream).filter(|_| matches!(wants, Wants::Sessions));
        let (address, idle_timeout) = (remote.to_string(), acceptor.idle_timeout);
        let connection =
            PipeConnection::over_tls(stream, peer, principal.clone(), address, idle_timeout, windows.clone());
        if let Some(token) = token {
            acceptor.joinables.add(token, connection.joinable(), principal);
        }
        connection
    }

    /// Brings a subflow to the session that it belongs to, where `place` counts it.
    pub(in crate::net) async fn bring(self, place: impl Any + Send) -> Result<()> {
        match self.wants {
            Wants::Subflow(joining) => joining.bring(self.stream, &self.principal, place).await,
            Wants::Sessions | Wants::ToJoin => Err(Error::internal("a connection that is no subflow")),
        }
    }

    /// Closes the connection of a client that is not allowed anything, and tells it why.
    pub(in crate::net) fn refuse(self, error: &Error) {
        let Self { stream, remote, principal, acceptor: Acceptor { idle_timeout, .. }, wants, pass, .. } = self;
        if matches!(wants, Wants::Subflow(_)) {
            // Its client goes on without, whatever the reason.
            return;
        }
        let peer = TlsPeer::Refused(pass);
        let windows = WindowBudget::new(0);
        PipeConnection::over_tls(stream, peer, principal, remote.to_string(), idle_timeout, windows).close(Some(error));
    }
}
