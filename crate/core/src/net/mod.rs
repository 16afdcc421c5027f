//! Networks and pipes. QUIC: finding the peer, proving who is who, and the settings that make it fast. TCP where UDP
//! gets no answer.
//!
//! Everything runs on the caller's tokio runtime and starts no thread of its own, except that a host name (not an
//! address) is resolved on the runtime's blocking pool. Nothing here decides what a client may do: a server knows
//! after the handshake that the peer holds a key, and asks [`crate::trust::AuthorizedKeys`] what that key may do.

mod address;
mod arriving;
mod close;
mod congestion;
mod connect;
mod control;
mod dial;
mod gate;
mod goodput;
mod listen;
mod parameters;
pub(crate) mod pipe;
mod proxy;
mod quic;
mod reachable;
mod socket;
mod tcp;
mod tls;
mod unanswered;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use address::network;
pub use address::{Family, Route};
pub(crate) use arriving::{Arrived, Arriving};
pub use close::{close_code, close_sent, close_with, connection_error, kind_from_close, read_error, write_error};
pub use congestion::Congestion;
pub use connect::{Announced, ConnectOptions, Connected, Recorded, ServerTrust, TransportChoice, connect, connect_tcp};
pub use dial::Udp;
pub(crate) use dial::{Dialed, dial};
pub use gate::HANDSHAKES_MAX;
pub(crate) use gate::HandshakesRefused;
pub use listen::{Accepted, Handshake, ListenOptions, Listener, listen};
pub use parameters::{MAX_DATA_LANES, MAX_MTU, MIN_MTU};
pub use pipe::{BesideOptions, Canceled, CommandOptions, RemoteProgram};
pub use proxy::Proxy;
pub use tls::{ALPN, peer_key, peer_name};
pub use window::{LaneWindow, Window, WindowBudget};
