//! A client's way to a server over TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};

use super::{handshake_error, no_common_version, shown};
use crate::net::address;
use crate::net::connect::{demand, principal, server_name};
use crate::net::pipe::{PipeConnection, TlsPeer};
use crate::net::tls::client_config;
use crate::net::{ConnectOptions, WindowBudget};
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
    idle_timeout: Duration,
}

impl Connected {
    /// The TLS stream of the connection.
    pub(in crate::net) fn into_stream(self) -> TlsStream<TcpStream> {
        self.stream
    }

    /// Puts the connection to use.
    pub(in crate::net) fn start(self) -> PipeConnection {
        let Self { stream, server_key, address, idle_timeout, .. } = self;
        let principal = principal(server_key, || shown(&stream).and_then(certificate_name));
        PipeConnection::over_tls(stream, TlsPeer::Server, principal, address, idle_timeout, WindowBudget::default())
    }
}

/// Connects to one address of a server, or of the proxy that leads there.
pub(in crate::net) async fn connect_to(
    options: &ConnectOptions,
    expected: Vec<KnownKey>,
    remote: SocketAddr,
) -> Result<Connected> {
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
    secure(options, expected, stream, address).await
}

async fn reach(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(local)?;
    socket.connect(remote).await
}

/// Runs the TLS handshake, in which both ends prove their keys.
async fn secure(
    options: &ConnectOptions,
    expected: Vec<KnownKey>,
    stream: TcpStream,
    address: String,
) -> Result<Connected> {
    let _ = stream.set_nodelay(true);
    let (tls, refusal) = client_config(&options.identity, demand(options, expected))?;
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
    let certificate = shown(&stream);
    let (server_key, next_key) = (certificate.and_then(certificate_key), certificate.and_then(announced_key));
    Ok(Connected { stream, server_key, next_key, address, idle_timeout: options.idle_timeout })
}
