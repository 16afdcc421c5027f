//! A client's way to a server over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};

use super::subflow::Redial;
use super::{handshake_error, no_common_version, shown};
use crate::net::address;
use crate::net::connect::{demand, principal, server_name};
use crate::net::pipe::{PipeConnection, TlsPeer};
use crate::net::tls::{ServerDemand, client_config};
use crate::net::{ConnectOptions, WindowBudget};
use crate::transport::Principal;
use crate::trust::{KnownKey, NextKey, PublicKey, announced_key, certificate_key, certificate_name};
use crate::{Error, ErrorKind, Result};

/// A connection to a server that has proved its key.
#[derive(Debug)]
pub(crate) struct Connected {
    stream: TlsStream<TcpStream>,
    pub(in crate::net) server_key: Option<PublicKey>,
    pub(in crate::net) next_key: Option<NextKey>,
    /// Where that is, for people.
    pub(in crate::net) address: String,
    options: Arc<ConnectOptions>,
    /// The address that was connected to: the server's, or its proxy's.
    remote: SocketAddr,
}

impl Connected {
    /// The TLS stream of the connection.
    pub(in crate::net) fn into_stream(self) -> TlsStream<TcpStream> {
        self.stream
    }

    /// Puts the connection to use.
    pub(in crate::net) fn start(self) -> PipeConnection {
        let Self { stream, server_key, address, options, remote, .. } = self;
        let (principal, idle_timeout) = (server(&stream, server_key), options.idle_timeout);
        let redial = Redial::of(&stream, options, remote, principal.clone());
        PipeConnection::over_tls(
            stream,
            TlsPeer::Server(redial.map(Box::new)),
            principal,
            address,
            idle_timeout,
            WindowBudget::default(),
        )
    }
}

/// Who the server at the other end has proved to be.
pub(super) fn server(stream: &TlsStream<TcpStream>, key: Option<PublicKey>) -> Principal {
    principal(key, || shown(stream).and_then(certificate_name))
}

/// Connects to one address of a server, or of the proxy that leads there.
pub(in crate::net) async fn connect_to(
    options: Arc<ConnectOptions>,
    expected: Vec<KnownKey>,
    remote: SocketAddr,
) -> Result<Connected> {
    let (stream, address) = secured(&options, demand(&options, expected), remote).await?;
    let certificate = shown(&stream);
    let (server_key, next_key) = (certificate.and_then(certificate_key), certificate.and_then(announced_key));
    Ok(Connected { stream, server_key, next_key, address, options, remote })
}

/// Connects, and runs the TLS handshake, in which both ends prove their keys. Gives the address for people, too.
pub(super) async fn secured(
    options: &ConnectOptions,
    demand: ServerDemand,
    remote: SocketAddr,
) -> Result<(TlsStream<TcpStream>, String)> {
    let mut stream = reach(options.route.local_for(remote), remote)
        .await
        .map_err(|error| Error::new(ErrorKind::Connect, error.to_string()).because(error))?;
    let address = match &options.proxy {
        Some(proxy) => {
            proxy.lead(&mut stream, &options.host, options.port).await?;
            format!("{} by the proxy {proxy}", address::shown(&options.host, options.port))
        }
        None => address::canonical(remote).to_string(),
    };
    let _ = stream.set_nodelay(true);
    let (tls, refusal) = client_config(&options.identity, demand)?;
    let name = server_name(options)?;
    let name = ServerName::try_from(name).map_err(|error| Error::internal(format!("a server's name: {error}")))?;
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(|error| refusal.take().unwrap_or_else(|| handshake_error(error)))?;
    let stream = TlsStream::from(stream);
    if stream.get_ref().1.alpn_protocol().is_none() {
        // Another service answered with its own TLS.
        return Err(no_common_version());
    }
    Ok((stream, address))
}

async fn reach(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(local)?;
    socket.connect(remote).await
}
