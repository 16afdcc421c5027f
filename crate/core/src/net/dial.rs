//! Which transport leads to a server: QUIC, or TCP where UDP gets no answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::connect::{Target, decides, in_phase, prepare, unrecorded};
use super::unanswered::Unanswered;
use super::{Announced, ConnectOptions, TransportChoice, connect, tcp};
use crate::state::StateDir;
use crate::transport::Connection;
use crate::trust::{NextKey, PublicKey};
use crate::{Error, ErrorKind, Result};

/// A connection to a server that has proved its key.
pub(crate) struct Dialed {
    pub(crate) connection: Arc<dyn Connection>,
    /// The server's key; none in CA mode when its certificate is over another kind of key.
    pub(crate) server_key: Option<PublicKey>,
    /// The next key that the server's certificate announces.
    next_key: Option<NextKey>,
    /// The same, once it was decided whether it goes on record.
    pub(crate) announced: Option<Announced>,
    /// Where that is, for people.
    pub(crate) address: String,
    /// Why TCP was taken, if it was not asked for.
    pub(crate) udp: Option<Udp>,
}

impl Dialed {
    /// A connection to a peer that has announced no next key.
    pub(crate) fn new(
        connection: Arc<dyn Connection>,
        server_key: Option<PublicKey>,
        address: String,
        udp: Option<Udp>,
    ) -> Self {
        Self { connection, server_key, next_key: None, announced: None, address, udp }
    }
}

/// Why UDP does not carry a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Udp {
    /// UDP got no answer.
    Silent,
    /// UDP got no answer lately, so TCP was tried at once.
    SilentLately,
    /// The machine, or one on the way, reports that nothing listens.
    Refused,
    /// A proxy leads to the server, which knows TCP alone.
    Proxy,
}

impl Udp {
    /// As it stands in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::SilentLately => "silent-lately",
            Self::Refused => "refused",
            Self::Proxy => "proxy",
        }
    }
}

/// How long UDP is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long QUIC is waited for before the record of unanswered servers is read. A server that answers within that
    /// costs no read.
    pub(super) before_look: Duration,
    /// Besides, before TCP is tried beside it. A packet of the handshake that is lost is sent again 300 ms later, and
    /// 600 ms after that: within this time one loss is answered, and is not taken for silence.
    pub(super) before_tcp: Duration,
    /// How long TCP may take where UDP was refused: most likely nothing listens there at all.
    pub(super) once_refused: Duration,
}

const PATIENCE: Patience = Patience {
    before_look: Duration::from_millis(50),
    before_tcp: Duration::from_millis(900),
    once_refused: Duration::from_secs(2),
};

/// Connects to the server that the options name. Fails as [`super::connect`].
pub(crate) async fn dial(options: ConnectOptions) -> Result<Dialed> {
    dial_with(options, PATIENCE, StateDir::of_user).await
}

pub(super) async fn dial_with(
    mut options: ConnectOptions,
    patience: Patience,
    state: impl FnOnce() -> Option<StateDir>,
) -> Result<Dialed> {
    let dialing = async {
        let choice = options.transport;
        if choice == TransportChoice::Quic {
            options.proxy = None;
        }
        let target = prepare(options).await?;
        let mut dialed = match choice {
            _ if target.options.proxy.is_some() => over_tcp(target.over_tcp().await?, Some(Udp::Proxy)),
            TransportChoice::Quic => over_quic(target.over_quic().await?),
            TransportChoice::Tcp => over_tcp(target.over_tcp().await?, None),
            TransportChoice::Auto => over_either(&target, patience, state).await?,
        };
        match target.record(dialed.server_key, dialed.next_key) {
            Ok(announced) => dialed.announced = announced,
            Err(error) => {
                dialed.connection.close(Some(&unrecorded()));
                return Err(error);
            }
        }
        Ok(dialed)
    };
    dialing.await.map_err(in_phase)
}

fn over_quic(connected: connect::Connected) -> Dialed {
    let (server_key, next_key, address) = (connected.server_key, connected.next_key, connected.remote.to_string());
    Dialed { next_key, ..Dialed::new(connected.start(), server_key, address, None) }
}

fn over_tcp(connected: tcp::Connected, udp: Option<Udp>) -> Dialed {
    let (server_key, next_key, address) = (connected.server_key, connected.next_key, connected.address.clone());
    Dialed { next_key, ..Dialed::new(Arc::new(connected.start()), server_key, address, udp) }
}

/// Whether an answer over TCP is final. Another service may be the one that answers.
fn decides_over_tcp(error: &Error) -> bool {
    decides(error) && !matches!(error.kind(), ErrorKind::Closed | ErrorKind::Protocol | ErrorKind::Version)
}

/// Tries QUIC, and TCP beside it when QUIC does not answer. The first that proves the server's key is taken, and a
/// refusal over either is final.
async fn over_either(target: &Target, patience: Patience, state: impl FnOnce() -> Option<StateDir>) -> Result<Dialed> {
    let mut quic = pin!(target.over_quic());
    let silence = async {
        sleep(patience.before_look).await;
        let known = Unanswered::look_up(state(), &target.options.host, target.options.port);
        if known.was_silent() {
            return (known, Udp::SilentLately);
        }
        sleep(patience.before_tcp).await;
        (known, Udp::Silent)
    };
    let (known, why) = tokio::select! {
        biased;
        connected = &mut quic => match connected {
            Ok(connected) => return Ok(over_quic(connected)),
            Err(error) if decides(&error) => return Err(error),
            Err(error) => return once_refused(target, patience, error).await,
        },
        silent = silence => silent,
    };
    let mut tcp = pin!(target.over_tcp());
    let (mut quic_failed, mut tcp_failed) = (None, None);
    loop {
        tokio::select! {
            connected = &mut quic, if quic_failed.is_none() => match connected {
                Ok(connected) => {
                    known.forget();
                    return Ok(over_quic(connected));
                }
                Err(error) if decides(&error) => return Err(error),
                Err(error) => quic_failed = Some(error),
            },
            connected = &mut tcp, if tcp_failed.is_none() => match connected {
                Ok(connected) => {
                    if quic_failed.is_none() {
                        known.remember();
                    }
                    return Ok(over_tcp(connected, Some(why)));
                }
                Err(error) if decides_over_tcp(&error) => return Err(error),
                Err(error) => tcp_failed = Some(error),
            },
            else => return Err(neither(quic_failed, tcp_failed)),
        }
    }
}

/// UDP has failed at once, which leaves TCP.
async fn once_refused(target: &Target, patience: Patience, refused: Error) -> Result<Dialed> {
    match tokio::time::timeout(patience.once_refused, target.over_tcp()).await {
        Ok(Ok(connected)) => Ok(over_tcp(connected, Some(Udp::Refused))),
        Ok(Err(error)) if decides_over_tcp(&error) => Err(error),
        Ok(Err(error)) => Err(neither(Some(refused), Some(error))),
        Err(_) => Err(refused),
    }
}

/// One error for both: that of UDP, with the text of TCP's.
fn neither(quic: Option<Error>, tcp: Option<Error>) -> Error {
    match (quic, tcp) {
        (Some(quic), Some(tcp)) => quic.during(tcp.message()),
        (Some(error), None) | (None, Some(error)) => error,
        (None, None) => Error::internal("no way to a server was tried"),
    }
}
