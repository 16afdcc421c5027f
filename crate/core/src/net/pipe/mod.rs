//! A pair of byte streams as a transport: the pipes of a process, whatever leads to it, or a TLS stream over TCP.
//!
//! All streams of all sessions share the pair; `sparsync_proto::mux` says how. Nobody proves who he is here: whoever
//! has started the process at the other end has, or TLS.

mod beside;
mod carrier;
mod command;
mod control;
mod data;
mod descriptor;
mod preface;
mod session;
mod streams;
mod subflows;

#[cfg(test)]
mod beside_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sparsync_proto::mux::Ledger;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsStream;

use super::WindowBudget;
use super::dial::Udp;
use super::gate::Pass;
use super::tcp::Redial;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Connection, Pending, Principal, SessionLanes, Transport, WireCounters};
pub use beside::BesideOptions;
use beside::Part;
use carrier::{Carrier, NewSession};
use command::Command;
pub use command::{Canceled, CommandOptions, RemoteProgram};
use descriptor::{Sink, Source};
use session::{PipeLanes, Streams};
pub(super) use subflows::Joinable;
use subflows::Role;

/// How long what closes the connection may take to be written.
const CLOSE_WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// How long a peer may take to go once the connection is over, and one that was never let in.
const GOES_WITHIN: Duration = Duration::from_secs(5);
const STRANGER_GOES_WITHIN: Duration = Duration::from_secs(1);

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The one that opens sessions.
    Initiator,
    /// The one that accepts them.
    Acceptor,
}

/// Who is at the other end of a TLS stream.
pub(super) enum TlsPeer {
    /// A server, with which this end opens sessions, and how it is connected to once more.
    Server(Option<Box<Redial>>),
    /// A client that may do something.
    Client,
    /// Somebody who may ask one question, on a control lane.
    Joining,
    /// Somebody who is told why he may do nothing. He keeps his place among the handshakes till he is gone.
    Refused(Pass),
}

/// A connection over a pair of byte streams.
pub(crate) struct PipeConnection {
    carrier: Arc<Carrier>,
    accepted: tokio::sync::Mutex<mpsc::UnboundedReceiver<NewSession>>,
    principal: Principal,
    address: String,
    command: Option<Arc<Command>>,
    transport: Transport,
}

impl PipeConnection {
    /// The end that accepts sessions from whoever has started this process, who may get a port for QUIC.
    pub(crate) async fn serve(from: OwnedFd, to: OwnedFd, address: String, has_quic: bool) -> Result<Self> {
        let part = if has_quic { Part::of_environment() } else { Part::Refuses };
        Self::over(from, to, End::Acceptor, address, part).await
    }

    /// Greets the peer and waits for its greeting.
    async fn over(from: OwnedFd, to: OwnedFd, end: End, address: String, part: Part) -> Result<Self> {
        let (mut from, mut to) = descriptors(from, to)?;
        // A peer that is gone may have said why.
        let _ = preface::say(&mut to).await;
        let buffer = preface::hear(&mut from).await.map_err(preface::Unheard::plainly)?;
        Ok(Self::start((from, to, buffer), end, address, None, part))
    }

    /// Starts a command, and waits until what it leads to has said that it speaks the protocol.
    pub(crate) async fn start_command(options: CommandOptions) -> Result<Self> {
        let (address, beside) = (options.address.clone(), options.beside.clone());
        let (greeted, command) = Command::start(options).await?;
        let part = beside.map_or(Part::None, Part::Asks);
        let started = Self::start(greeted, End::Initiator, address, Some(command), part);
        if let Err(error) = started.carrier.require_quic().await {
            started.close(None);
            started.close_sent().await;
            return Err(error);
        }
        Ok(started)
    }

    fn start(
        (from, to, buffer): (Source, Sink, bytes::BytesMut),
        end: End,
        address: String,
        command: Option<Arc<Command>>,
        part: Part,
    ) -> Self {
        // The end on the other side of a pipe is this process's only peer there, so the budget is not shared.
        let windows = WindowBudget::default();
        let (carrier, outgoing, accepted) =
            Carrier::new(Ledger::new(end == End::Initiator), command.clone(), (part, Role::None), windows);
        tokio::spawn(Arc::clone(&carrier).write_all(to, outgoing));
        tokio::spawn(Arc::clone(&carrier).read_all(from, buffer));
        let principal = Principal::User(rustix::process::geteuid().as_raw());
        Self {
            carrier,
            accepted: tokio::sync::Mutex::new(accepted),
            principal,
            address,
            command,
            transport: Transport::Pipe,
        }
    }

    /// A connection over TCP whose ends have proved to each other who they are. `windows` is what it shares with
    /// others. What they speak they have agreed on in the handshake, so there is no greeting.
    pub(super) fn over_tls(
        stream: TlsStream<TcpStream>,
        peer: TlsPeer,
        principal: Principal,
        address: String,
        idle_timeout: Duration,
        windows: WindowBudget,
    ) -> Self {
        let (ledger, role, goes_within, place) = match peer {
            TlsPeer::Server(redial) => (Ledger::new(true), redial.map_or(Role::None, Role::Opens), GOES_WITHIN, None),
            TlsPeer::Client => (Ledger::new(false), Role::Accepts, GOES_WITHIN, None),
            TlsPeer::Joining => (Ledger::of_one_question(), Role::None, STRANGER_GOES_WITHIN, None),
            TlsPeer::Refused(place) => (Ledger::of_one_question(), Role::None, STRANGER_GOES_WITHIN, Some(place)),
        };
        let (carrier, outgoing, accepted) = Carrier::new(ledger, None, (Part::None, role), windows);
        let (from, to) = tokio::io::split(stream);
        let mut writing = tokio::spawn(Arc::clone(&carrier).write_all(Sink::Tls(to), outgoing));
        let mut reading = tokio::spawn(Arc::clone(&carrier).read_all(Source::Tls(from), bytes::BytesMut::new()));
        let watched = Arc::clone(&carrier);
        tokio::spawn(async move {
            watched.stay_in_touch(idle_timeout).await;
            // A peer that does not read the last frames, or does not close, must not hold the socket.
            let gone = async {
                let _ = (&mut writing).await;
                let _ = (&mut reading).await;
            };
            if tokio::time::timeout(goes_within, gone).await.is_err() {
                writing.abort();
                reading.abort();
                watched.give_up_writing();
            }
            drop(place);
        });
        let accepted = tokio::sync::Mutex::new(accepted);
        Self { carrier, accepted, principal, address, command: None, transport: Transport::Tcp }
    }

    /// Where subflows of this connection come.
    pub(super) fn joinable(&self) -> Joinable {
        Joinable::of(&self.carrier)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn descriptors(from: OwnedFd, to: OwnedFd) -> Result<(Source, Sink)> {
    let unusable = |error: std::io::Error| {
        Error::new(ErrorKind::Config, "a session needs a pipe or socket on standard input and output").because(error)
    };
    Ok((descriptor::source(from).map_err(unusable)?, descriptor::sink(to).map_err(unusable)?))
}

impl Connection for PipeConnection {
    fn transport(&self) -> Transport {
        if self.carrier.beside.has_carried() { Transport::Quic } else { self.transport }
    }

    fn udp(&self) -> Option<Udp> {
        self.carrier.beside.udp()
    }

    fn principal(&self) -> &Principal {
        &self.principal
    }

    fn peer_address(&self) -> String {
        self.address.clone()
    }

    fn round_trip(&self) -> Duration {
        self.carrier.round_trip()
    }

    fn goodput(&self) -> Option<f64> {
        self.carrier.goodput()
    }

    fn heard(&self) -> u64 {
        self.carrier.heard()
    }

    fn probe(&self) {
        self.carrier.ask();
    }

    fn closed(&self) -> Option<Error> {
        self.carrier.closed()
    }

    fn close(&self, why: Option<&Error>) {
        self.carrier.close(why);
    }

    /// Waits for the command too, which is over when the connection is, unless it has others to serve.
    fn close_sent(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let _ = tokio::time::timeout(CLOSE_WRITTEN_WITHIN, self.carrier.all_written()).await;
            self.carrier.beside.end_sent().await;
            if let Some(command) = &self.command {
                command.end(self.carrier.is_settled()).await;
            }
        })
    }

    fn open(&self, wire: Arc<WireCounters>) -> Box<dyn SessionLanes> {
        self.carrier.beside.begin();
        Box::new(PipeLanes::new(Arc::clone(&self.carrier), None, wire))
    }

    fn accept(&self, wire: Arc<WireCounters>) -> Pending<'_, Option<Box<dyn SessionLanes>>> {
        Box::pin(async move {
            let streams = Streams::of(self.accepted.lock().await.recv().await?);
            streams.map(|streams| -> Box<dyn SessionLanes> {
                Box::new(PipeLanes::new(Arc::clone(&self.carrier), Some(streams), wire))
            })
        })
    }
}

impl Drop for PipeConnection {
    fn drop(&mut self) {
        self.carrier.close(None);
    }
}
