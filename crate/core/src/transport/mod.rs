//! The seam for transports: what the rest asks of a way to a peer, whatever it is made of.
//!
//! A [`Connection`] leads to one peer and opens sessions; [`SessionLanes`] are a session's control lane and data lanes.
//! Both are objects behind a pointer: they are called a few times a session. What is done for each frame and each pack
//! is done inside [`SessionLanes::carry`], where everything is of one known type (ADR 0012).

mod heartbeat;
pub(crate) mod in_process;
mod wire;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sparsync_proto::{Frame, Version};
use tokio::sync::mpsc;

use crate::engine::{Pack, Session, TransportControl};
use crate::error::{Error, Result};
use crate::net::Udp;
use crate::trust::PublicKey;

pub(crate) use heartbeat::watch_work;
pub(crate) use wire::WireCounters;

/// What a call that has to wait gives.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nothing: both ends are in this process.
    Local,
    /// The pipe of a command.
    Pipe,
    /// QUIC, over UDP.
    Quic,
    /// TLS over TCP.
    Tcp,
}

impl Transport {
    /// As it stands in events and results.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Pipe => "pipe",
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        }
    }
}

/// Who a peer has proved to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody: it showed nothing that proves anything.
    Anonymous,
    /// The holder of a key.
    Key(PublicKey),
    /// The bearer of a certificate that a private CA has issued.
    Certificate {
        /// The certificate's common name.
        name: String,
        /// Its key, when it is of the kind that keys are authorized by.
        key: Option<PublicKey>,
    },
    /// A user of this machine, by number: the system vouches for it.
    User(u32),
}

impl Principal {
    /// The key that the peer has proved to hold.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Key(key) => Some(*key),
            Self::Certificate { key, .. } => *key,
            Self::Anonymous | Self::User(_) => None,
        }
    }
}

/// A connection to a peer that has proved who it is.
pub(crate) trait Connection: Send + Sync {
    /// What carries it.
    fn transport(&self) -> Transport;

    /// Why UDP does not carry content that it would have been taken for.
    fn udp(&self) -> Option<Udp> {
        None
    }

    /// Who the peer is.
    fn principal(&self) -> &Principal;

    /// Where the peer is, for people.
    fn peer_address(&self) -> String;

    /// The round trip as measured so far.
    fn round_trip(&self) -> Duration;

    /// The bytes a second that the path is seen to carry; nothing when the path limits nobody or cannot be told from
    /// what is measured.
    fn goodput(&self) -> Option<f64>;

    /// How often the peer was heard. Two looks that differ say that it was heard between them.
    fn heard(&self) -> u64;

    /// Makes the peer give a sign of life, which [`Connection::heard`] counts, where what a session says is not
    /// answered by itself, as QUIC's acknowledgements do.
    fn probe(&self) {}

    /// Why the connection is over; nothing while it is open.
    fn closed(&self) -> Option<Error>;

    /// Ends the connection and everything on it. The peer is told why: an error's kind and message, or that all is
    /// well.
    fn close(&self, why: Option<&Error>);

    /// Waits until a close by this side has left for the peer, a moment at most. A process that ends before leaves its
    /// peer to wait for the idle timeout.
    fn close_sent(&self) -> Pending<'_, ()>;

    /// A session of this side's. Nothing goes out before something is said. Its bytes are counted by `wire`.
    fn open(&self, wire: Arc<WireCounters>) -> Box<dyn SessionLanes>;

    /// The peer's next session; nothing when the connection is over.
    fn accept(&self, wire: Arc<WireCounters>) -> Pending<'_, Option<Box<dyn SessionLanes>>>;
}

/// One session's control lane, and its data lanes in either direction.
///
/// At first the control lane is spoken on by [`SessionLanes::write`] and [`SessionLanes::read`]. A session that runs
/// takes the engine's ends of its data lanes and is then carried to its end.
pub(crate) trait SessionLanes: Send {
    /// Says encoded frames on the control lane.
    fn write(&mut self, encoded: Vec<u8>) -> Pending<'_, Result<()>>;

    /// The next frame; nothing when the peer has ended its side of the control lane.
    fn read(&mut self) -> Pending<'_, Result<Option<Frame>>>;

    /// Ends this side of the control lane.
    fn finish(&mut self);

    /// The engine's ends of data lanes to the peer.
    fn data_out(&mut self, lanes: u8) -> Vec<mpsc::Sender<Pack>>;

    /// The engine's ends of data lanes from the peer.
    fn data_in(&mut self, lanes: u8) -> Vec<mpsc::Receiver<Pack>>;

    /// Carries the session until it is over on this side and what was said last is on its way. The session fails when
    /// the peer ends it or is gone, when what comes is malformed, and when neither side works for `timeout`.
    fn carry(
        self: Box<Self>,
        session: Arc<Session>,
        control: TransportControl,
        timeout: Duration,
    ) -> Pending<'static, ()>;
}

/// Frames as they are written, of those that have the same form in every version: what opens a session, refuses or ends
/// it, lists, and signs of life.
pub(crate) fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for frame in frames {
        frame.encode(Version::OLDEST, &mut encoded);
    }
    encoded
}
