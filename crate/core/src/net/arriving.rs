//! Clients that come, over whatever protocol.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Listener, WindowBudget, listen, tcp};
use crate::transport::{Connection, Principal, Transport};
use crate::trust::PublicKey;
use crate::{Error, Result};

/// A client in the middle of its handshake.
pub(crate) enum Arriving {
    Quic(listen::Handshake),
    Tcp(tcp::Handshake),
}

impl Listener {
    /// The next client over either protocol; as [`Listener::accept`].
    pub(crate) async fn next_client(&self) -> Option<Arriving> {
        tokio::select! {
            handshake = self.accept() => handshake.map(Arriving::Quic),
            handshake = self.accept_tcp() => Some(Arriving::Tcp(handshake)),
        }
    }
}

impl Arriving {
    /// Where the client is.
    pub(crate) fn remote(&self) -> SocketAddr {
        match self {
            Self::Quic(handshake) => handshake.remote(),
            Self::Tcp(handshake) => handshake.remote,
        }
    }

    /// What carries it.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Quic(_) => Transport::Quic,
            Self::Tcp(_) => Transport::Tcp,
        }
    }

    /// As [`listen::Handshake::finish`].
    pub(crate) async fn finish(self) -> Result<Arrived> {
        match self {
            Self::Quic(handshake) => handshake.finish().await.map(Arrived::Quic),
            Self::Tcp(handshake) => handshake.finish().await.map(Box::new).map(Arrived::Tcp),
        }
    }
}

/// A client that has proved to hold its key. The key may not be allowed anything yet.
pub(crate) enum Arrived {
    Quic(listen::Accepted),
    Tcp(Box<tcp::Accepted>),
}

impl Arrived {
    /// Who it has proved to be.
    pub(crate) fn principal(&self) -> Principal {
        match self {
            Self::Quic(accepted) => accepted.principal(),
            Self::Tcp(accepted) => accepted.principal.clone(),
        }
    }

    /// The key that it has shown.
    pub(crate) fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Quic(accepted) => accepted.key,
            Self::Tcp(accepted) => accepted.key,
        }
    }

    /// It has connected in order to join, and for nothing else.
    pub(crate) fn joins(&self) -> bool {
        match self {
            Self::Quic(accepted) => accepted.joins,
            Self::Tcp(accepted) => accepted.joins(),
        }
    }

    /// It carries packs of a session that another connection of the client's carries.
    pub(crate) fn is_subflow(&self) -> bool {
        matches!(self, Self::Tcp(accepted) if accepted.is_subflow())
    }

    /// Brings a subflow to the session that it belongs to. `place` counts it, and is dropped with it. Fails where there
    /// is no such session of the same client, or where it has enough of them.
    pub(crate) async fn bring(self, place: impl Any + Send) -> Result<()> {
        match self {
            Self::Quic(_) => Err(Error::internal("a subflow over QUIC")),
            Self::Tcp(accepted) => accepted.bring(place).await,
        }
    }

    /// Ends the connection, and tells the client why.
    pub(crate) fn refuse(self, error: &Error) {
        match self {
            Self::Quic(accepted) => accepted.refuse(error),
            Self::Tcp(accepted) => accepted.refuse(error),
        }
    }

    /// Puts the connection of an authorized client to use.
    pub(crate) fn start(self, windows: &WindowBudget) -> Arc<dyn Connection> {
        match self {
            Self::Quic(accepted) => accepted.start(windows),
            Self::Tcp(accepted) => Arc::new(accepted.start(windows)),
        }
    }
}
