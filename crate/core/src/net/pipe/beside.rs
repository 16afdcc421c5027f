//! QUIC beside a pipe (ADR 0035): what the data lanes move to once both ends know that it stands.
//!
//! Each end makes a key for this one connection and tells it over the pipe. Nothing waits for UDP: until QUIC stands,
//! and where it never does, content goes over the pipe.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::beside::{Ask, Offer};
use sparsync_proto::mux::Header;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use super::carrier::Carrier;
use super::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::net::address::{Route, resolve};
use crate::net::connect::{ConnectOptions, Connected, first_to_answer, in_phase};
use crate::net::dial::Udp;
use crate::net::listen::{Accepted, ListenOptions, Listener, listen};
use crate::net::quic::QuicConnection;
use crate::net::unanswered::Unanswered;
use crate::net::{Congestion, WindowBudget};
use crate::state::StateDir;
use crate::trust::{Identity, KnownKey, PublicKey};

/// The bytes of content of a connection after which QUIC is asked for: less content arrives before QUIC would stand.
const ASK_FROM_BYTES: u64 = 256 << 10;

/// How long QUIC may take to stand.
const STANDS_WITHIN: Duration = Duration::from_secs(5);

/// How long the end that offers QUIC listens. The other end tries for less, and may hear of the offer only behind much
/// content.
const OFFERED_FOR: Duration = Duration::from_secs(30);

/// How long the address that the other end told is tried alone.
const NAME_AFTER: Duration = Duration::from_secs(1);

/// The frame of an end that has given QUIC up.
const GIVEN_UP: Header = Header::Stands(0);

/// Ports of a range that are tried.
const PORTS_TRIED: usize = 100;

/// Handshakes of others before the offer is withdrawn.
const STRANGERS_MAX: usize = 32;

/// The variable in which `sshd` tells a session its addresses.
const SSH_CONNECTION: &str = "SSH_CONNECTION";

/// How the end that has started a command asks for QUIC.
#[derive(Clone, Debug)]
pub struct BesideOptions {
    /// The host as given to `ssh`, which may be a name of its configuration only.
    pub host: String,
    /// Ports that the other end may use, the lowest and the highest; 0 and 0 for any.
    pub ports: (u16, u16),
    /// Without QUIC no content is carried.
    pub is_required: bool,
    /// What decides how much this end sends by it.
    pub congestion: Congestion,
    /// Which way is taken there.
    pub route: Route,
}

/// The role of an end in arranging QUIC.
pub(super) enum Part {
    /// None: a peer that mentions QUIC breaks the protocol.
    None,
    /// The end asks for QUIC once there is content.
    Asks(BesideOptions),
    /// The end offers QUIC when asked, at this address of its own.
    Offers(Option<IpAddr>),
    /// The end answers that it has no QUIC.
    Refuses,
}

impl Part {
    /// The role of a process that may have been started by `sshd`.
    pub(super) fn of_environment() -> Self {
        Self::Offers(std::env::var(SSH_CONNECTION).ok().and_then(|text| server_address(&text)))
    }
}

/// The server's address, from the client's address and port and the server's; none for an address that is only valid on
/// one interface.
fn server_address(ssh_connection: &str) -> Option<IpAddr> {
    ssh_connection.split(' ').nth(2)?.parse().ok()
}

#[derive(Clone)]
enum State {
    /// Not yet, or not any more.
    Absent,
    Stands(Arc<QuicConnection>),
    Failed(Udp, Error),
}

/// The state of an end that has asked and waits for the offer.
struct Asked {
    identity: Identity,
    known: Unanswered,
    at: Instant,
}

/// A connection that ends unless both ends come to hold it.
struct Untried {
    quic: Arc<QuicConnection>,
    is_kept: bool,
}

impl Untried {
    fn new(quic: Arc<QuicConnection>) -> Self {
        Self { quic, is_kept: false }
    }

    fn keep(mut self) -> Arc<QuicConnection> {
        self.is_kept = true;
        Arc::clone(&self.quic)
    }
}

impl Drop for Untried {
    fn drop(&mut self) {
        if !self.is_kept {
            self.quic.say_goodbye();
        }
    }
}

/// QUIC beside one pipe.
pub(super) struct Beside {
    part: Part,
    content: AtomicU64,
    has_begun: AtomicBool,
    has_carried: AtomicBool,
    state: watch::Sender<State>,
    asked: Mutex<Option<Asked>>,
    /// Receives the number of the connection that the other end holds.
    accepted: Mutex<Option<oneshot::Sender<u32>>>,
    task: Mutex<Option<AbortHandle>>,
    is_over: AtomicBool,
}

impl Beside {
    pub(super) fn new(part: Part) -> Self {
        Self {
            part,
            content: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            has_carried: AtomicBool::new(false),
            state: watch::channel(State::Absent).0,
            asked: Mutex::default(),
            accepted: Mutex::default(),
            task: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Whether lanes may ever move.
    pub(super) fn is_possible(&self) -> bool {
        !matches!(self.part, Part::None | Part::Refuses)
    }

    /// Where content goes from now on, if not over the pipe.
    pub(super) fn standing(&self) -> Option<Arc<QuicConnection>> {
        let quic = self.quic()?;
        self.has_carried.store(true, Ordering::Relaxed);
        Some(quic)
    }

    /// The same for who carries nothing by it.
    pub(super) fn quic(&self) -> Option<Arc<QuicConnection>> {
        match &*self.state.borrow() {
            State::Stands(quic) if quic.is_open() => Some(Arc::clone(quic)),
            _ => None,
        }
    }

    /// Waits until it stands; for ever where it never does.
    pub(super) async fn stands(&self) -> Arc<QuicConnection> {
        let mut state = self.state.subscribe();
        loop {
            if let State::Stands(quic) = &*state.borrow_and_update() {
                return Arc::clone(quic);
            }
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Fails where content may not go over the pipe.
    pub(super) fn allows_pipe(&self) -> Result<()> {
        match &self.part {
            Part::Asks(options) if options.is_required => Err(unmet("it was lost, and nothing may be sent without it")),
            _ => Ok(()),
        }
    }

    /// A run begins, and none of its content has gone over QUIC yet.
    pub(super) fn begin(&self) {
        self.has_carried.store(false, Ordering::Relaxed);
    }

    /// A lane of the peer's has moved.
    pub(super) fn carries(&self) {
        self.has_carried.store(true, Ordering::Relaxed);
    }

    /// Whether any content went over it.
    pub(super) fn has_carried(&self) -> bool {
        self.has_carried.load(Ordering::Relaxed)
    }

    /// Why content goes over the pipe although QUIC was wanted.
    pub(super) fn udp(&self) -> Option<Udp> {
        match &*self.state.borrow() {
            State::Failed(udp, _) => Some(*udp),
            _ => None,
        }
    }

    /// Counts content, and says whether QUIC must be asked for now.
    fn is_due(&self, bytes: u64) -> bool {
        if !matches!(self.part, Part::Asks(_)) || self.has_begun.load(Ordering::Relaxed) {
            return false;
        }
        self.content.fetch_add(bytes, Ordering::Relaxed) + bytes >= ASK_FROM_BYTES
    }

    fn failed(&self, udp: Udp, error: Error) {
        self.state.send_replace(State::Failed(udp, error));
    }

    /// The connection is over, and nothing of this outlives it.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
        if let State::Stands(quic) = &*self.state.borrow() {
            quic.say_goodbye();
        }
    }

    /// Waits until the other end can know that this one has gone.
    pub(super) async fn end_sent(&self) {
        let state = self.state.borrow().clone();
        if let State::Stands(quic) = state {
            quic.goodbye_said().await;
        }
    }

    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        *lock(&self.task) = Some(tokio::spawn(work).abort_handle());
        if self.is_over.load(Ordering::SeqCst) {
            self.end();
        }
    }
}

fn not_asked() -> Error {
    Error::protocol("QUIC beside the pipe, which this end has not asked for").remote()
}

/// No UDP at the other end, or none that leads to it.
fn unmet(why: &str) -> Error {
    Error::new(ErrorKind::Connect, format!("content cannot go over QUIC: {why}"))
}

impl Carrier {
    /// Counts content that goes over the pipe. When there is enough of it, asks for QUIC.
    pub(super) fn carried(&self, bytes: u64) {
        if self.beside.is_due(bytes) {
            self.ask_for_quic();
        }
    }

    /// Asks for QUIC, once.
    fn ask_for_quic(&self) {
        let beside = &self.beside;
        let Part::Asks(options) = &beside.part else { return };
        if beside.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let known = Unanswered::look_up(StateDir::of_user(), &format!("ssh {}", options.host), options.ports.0);
        if known.was_silent() && !options.is_required {
            return beside.failed(Udp::SilentLately, unmet("UDP got no answer lately"));
        }
        match Identity::generate() {
            Ok(identity) => {
                let ask = Ask { key: *identity.public_key().as_bytes(), ports: options.ports };
                *lock(&beside.asked) = Some(Asked { identity, known, at: Instant::now() });
                self.arrange(Header::Ask, Bytes::copy_from_slice(&ask.encode()));
            }
            Err(error) => beside.failed(Udp::Refused, error),
        }
    }

    /// Waits for QUIC where nothing may go without it.
    pub(super) async fn require_quic(&self) -> Result<()> {
        if !matches!(&self.beside.part, Part::Asks(options) if options.is_required) {
            return Ok(());
        }
        let mut state = self.beside.state.subscribe();
        self.ask_for_quic();
        let decided = async {
            match state.wait_for(|state| !matches!(state, State::Absent)).await.as_deref() {
                Ok(State::Failed(_, error)) => Err(in_phase(error.clone())),
                _ => Ok(()),
            }
        };
        tokio::select! {
            decided = timeout(OFFERED_FOR, decided) => {
                decided.unwrap_or_else(|_| Err(unmet("the other end did not answer in time")))
            }
            () = self.over() => Err(self.why()),
        }
    }

    /// The other end asks.
    pub(super) fn asked_for_quic(self: &Arc<Self>, content: &[u8]) -> Result<()> {
        let beside = &self.beside;
        let address = match beside.part {
            Part::Offers(address) => Some(address),
            Part::Refuses => None,
            Part::None | Part::Asks(_) => return Err(not_asked()),
        };
        if beside.has_begun.swap(true, Ordering::Relaxed) {
            return Err(Error::protocol("QUIC beside the pipe is asked for twice").remote());
        }
        let ask = Ask::decode(content).map_err(Error::unreadable)?;
        let Some(address) = address else {
            self.arrange(GIVEN_UP, Bytes::new());
            return Ok(());
        };
        let carrier = Arc::clone(self);
        let (to, accepted) = oneshot::channel();
        *lock(&beside.accepted) = Some(to);
        beside.run(async move {
            let Ok(Ok((listener, client))) = timeout(OFFERED_FOR, carrier.offer(ask, address)).await else {
                return carrier.arrange(GIVEN_UP, Bytes::new());
            };
            // No other client may use this port.
            listener.endpoint().set_server_config(None);
            let untried = Untried::new(client.into_quic(&WindowBudget::default()));
            carrier.arrange(Header::Stands(untried.quic.number()), Bytes::new());
            // No lane moves before the other end holds this connection, too. Its word may be behind much content.
            tokio::select! {
                said = accepted => {
                    if said.is_ok_and(|number| number == untried.quic.number()) {
                        carrier.beside.state.send_replace(State::Stands(untried.keep()));
                    }
                }
                _ = untried.quic.ended() => {}
            }
        });
        Ok(())
    }

    /// Listens until the one that has asked is there.
    async fn offer(&self, ask: Ask, address: Option<IpAddr>) -> Result<(Listener, Accepted)> {
        let identity = Identity::generate()?;
        let listener = bind(&identity, ask.ports, address).await?;
        let offer = Offer { key: *identity.public_key().as_bytes(), port: listener.local_addr().port(), address };
        self.arrange(Header::Offer, Bytes::copy_from_slice(&offer.encode()));
        let expected = PublicKey::from_bytes(ask.key);
        let (mut handshakes, mut strangers) = (JoinSet::new(), 0);
        while strangers < STRANGERS_MAX {
            tokio::select! {
                handshake = listener.accept() => {
                    let Some(handshake) = handshake else { break };
                    handshakes.spawn(handshake.finish());
                }
                Some(finished) = handshakes.join_next() => match finished {
                    Ok(Ok(accepted)) if accepted.key == Some(expected) && !accepted.joins => {
                        return Ok((listener, accepted));
                    }
                    Ok(Ok(stranger)) => {
                        strangers += 1;
                        stranger.refuse(&Error::new(ErrorKind::Unauthorized, "this port waits for somebody else"));
                    }
                    _ => strangers += 1,
                },
            }
        }
        Err(unmet("too many strangers came to its port"))
    }

    /// The other end offers a port.
    pub(super) fn offered_quic(self: &Arc<Self>, content: &[u8]) -> Result<()> {
        let beside = &self.beside;
        let (Part::Asks(options), Some(asked)) = (&beside.part, lock(&beside.asked).take()) else {
            return Err(not_asked());
        };
        let offer = Offer::decode(content).map_err(Error::unreadable)?;
        let (to, accepted) = oneshot::channel();
        *lock(&beside.accepted) = Some(to);
        let (carrier, options) = (Arc::clone(self), options.clone());
        // The other end may have given up before its word arrived here, and then says nothing more.
        let is_offered = asked.at.elapsed() + STANDS_WITHIN < OFFERED_FOR;
        beside.run(async move {
            let met = async {
                let untried = Untried::new(dial(asked.identity, &options, offer).await?.into_quic());
                // The other end may have missed the end of the handshake, or have taken another of several connections.
                // Its word may be behind much content, and no lane waits for it.
                match timeout(OFFERED_FOR, accepted).await {
                    Ok(Ok(number)) if number == untried.quic.number() => Ok(untried.keep()),
                    _ => Err(unmet("the other end was not reached")),
                }
            };
            match met.await {
                Ok(quic) => {
                    asked.known.forget();
                    carrier.beside.state.send_replace(State::Stands(Arc::clone(&quic)));
                    carrier.arrange(Header::Stands(quic.number()), Bytes::new());
                    let lost = quic.ended().await;
                    if lost.kind() == ErrorKind::Timeout {
                        asked.known.remember();
                        carrier.beside.failed(Udp::Silent, lost);
                    }
                }
                Err(error) => {
                    let is_silent = is_offered && error.kind() == ErrorKind::Timeout;
                    if is_silent {
                        asked.known.remember();
                    }
                    carrier.beside.failed(if is_silent { Udp::Silent } else { Udp::Refused }, error);
                    carrier.arrange(GIVEN_UP, Bytes::new());
                }
            }
        });
        Ok(())
    }

    /// Takes the other end's word that the connection stands, or that it was given up.
    pub(super) fn quic_stands(&self, number: u32) -> Result<()> {
        let beside = &self.beside;
        if !beside.is_possible() {
            return Err(not_asked());
        }
        let told = lock(&beside.accepted).take();
        if Header::Stands(number) != GIVEN_UP {
            // If QUIC was given up here meanwhile, the other end was told, and nobody receives this.
            let _ = told.ok_or_else(not_asked)?.send(number);
            return Ok(());
        }
        match &beside.part {
            // The end that asked has nothing to dial, or learns from this drop that nobody waits for it.
            Part::Asks(_) if lock(&beside.asked).take().is_some() => {
                beside.failed(Udp::Refused, unmet("the other end has no port for it"));
            }
            Part::Offers(_) if !matches!(&*beside.state.borrow(), State::Stands(_)) => {
                if let Some(task) = lock(&beside.task).take() {
                    task.abort();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Listens at the address that `ssh` has reached, at any port or at the first free one of those that are allowed.
async fn bind(identity: &Identity, ports: (u16, u16), address: Option<IpAddr>) -> Result<Listener> {
    let addresses = match address {
        Some(address) => vec![address],
        None => vec![IpAddr::from([0u16; 8]), IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
    };
    let mut last = unmet("no port is free");
    for port in (ports.0..=ports.1).take(PORTS_TRIED) {
        // Others have their turn between two ports.
        tokio::task::yield_now().await;
        for address in &addresses {
            let place = SocketAddr::new(*address, port).to_string();
            match listen(ListenOptions::new(place, identity.clone())).await {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// Connects to the other end, which proves its key: first at the address that it told, and when that does not answer at
/// once, also at those that the host's name has here.
async fn dial(identity: Identity, asked: &BesideOptions, offer: Offer) -> Result<Connected> {
    let host = asked.host.as_str();
    let deadline = Instant::now() + STANDS_WITHIN;
    let key = PublicKey::from_bytes(offer.key);
    let mut options = ConnectOptions::new(host, offer.port, identity);
    options.trust.pins = vec![key];
    options.congestion = asked.congestion;
    options.route = asked.route;
    let (options, expected) = (Arc::new(options), [KnownKey::pin(key)]);
    let route = asked.route;
    let own = offer.address.map(|address| SocketAddr::new(address, offer.port)).filter(|own| route.takes(*own));
    let by_itself = async {
        let own = own.ok_or_else(|| unmet("the other end does not know its address"))?;
        first_to_answer(&options, &expected, vec![own], deadline).await
    };
    let (to, mut has_failed) = oneshot::channel::<()>();
    let by_name = async {
        let _ = timeout(NAME_AFTER, &mut has_failed).await;
        let found = timeout_at(deadline, resolve(host, offer.port)).await;
        let mut addresses = found.ok().and_then(std::result::Result::ok).unwrap_or_default();
        addresses.retain(|address| Some(*address) != own && route.takes(*address));
        if addresses.is_empty() {
            return Err(unmet("no other address of the host is known"));
        }
        first_to_answer(&options, &expected, addresses, deadline).await
    };
    let (mut by_itself, mut by_name) = (pin!(by_itself), pin!(by_name));
    // Of two errors the timeout is told: silence at an address says more than an error at another one.
    let worse = |error: Error, other: Error| if other.kind() == ErrorKind::Timeout { other } else { error };
    let dialed = tokio::select! {
        dialed = &mut by_itself => match dialed {
            Err(error) => {
                drop(to);
                by_name.await.map_err(|other| worse(error, other))
            }
            dialed => dialed,
        },
        dialed = &mut by_name => match dialed {
            Err(error) => by_itself.await.map_err(|other| worse(error, other)),
            dialed => dialed,
        },
    };
    dialed.map_err(|error| {
        let kind = if error.kind() == ErrorKind::Timeout { ErrorKind::Timeout } else { ErrorKind::Connect };
        Error::new(kind, format!("content cannot go over QUIC: {}", error.message())).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::server_address;

    #[test]
    fn the_address_that_ssh_has_reached_is_told() {
        let told = |text| server_address(text).map(|address| address.to_string());
        assert_eq!(told("192.0.2.1 50022 192.0.2.7 22").as_deref(), Some("192.0.2.7"));
        assert_eq!(told("2001:db8::1 50022 2001:db8::7 22").as_deref(), Some("2001:db8::7"));
        for none in ["", "192.0.2.1 50022", "a b c d", "fe80::1%eth0 1 fe80::2%eth0 22"] {
            assert_eq!(told(none), None, "{none}");
        }
    }
}
