//! TCP with TLS 1.3, for networks that UDP does not get through: the same handshake, and the streams of a pipe in the
//! TLS stream.

mod connect;
mod listen;
mod subflow;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::close::{ended_in_handshake, no_common_version, tls_error};
use crate::{Error, ErrorKind};

pub(super) use connect::{Connected, connect_to};
pub(super) use listen::{Accepted, Acceptor, Handshake};
pub(super) use subflow::{Redial, Subflow, head};

/// The certificate that the peer has shown.
fn shown(stream: &TlsStream<TcpStream>) -> Option<&CertificateDer<'static>> {
    stream.get_ref().1.peer_certificates()?.first()
}

/// Why a handshake failed.
fn handshake_error(error: std::io::Error) -> Error {
    let told = tls_error(&error).unwrap_or_else(|| match error.kind() {
        std::io::ErrorKind::UnexpectedEof
        | std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::ConnectionAborted
        | std::io::ErrorKind::BrokenPipe => ended_in_handshake(),
        _ => Error::new(ErrorKind::Connect, error.to_string()),
    });
    told.because(error)
}
