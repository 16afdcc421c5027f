//! What carries the sessions of a peer that is made by hand.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use sparsync_core::net::{Canceled, CommandOptions, TransportChoice};
use sparsync_core::proto::{FrameDecoder, WireError};
use tempfile::TempDir;

use super::Control;
use super::mux::{Mux, MuxIn, MuxOut, MuxSession, Place};

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Quic,
    Tcp,
    Pipe,
}

impl Over {
    pub fn choice(self) -> TransportChoice {
        if self == Self::Tcp { TransportChoice::Tcp } else { TransportChoice::Quic }
    }
}

/// Tests that are functions of a transport, on each that stands in front of them.
#[allow(unused_macros, reason = "each test takes a part of it")]
macro_rules! on_each {
    ($($module:ident $over:ident $tests:tt)*) => { $(
        mod $module {
            $crate::support::over::on_each!(@each $over $tests);
        }
    )* };
    (@each $over:ident [$($test:ident),* $(,)?]) => { $(
        #[tokio::test]
        async fn $test() {
            super::$test(crate::support::Over::$over).await;
        }
    )* };
}

/// The same on all of them.
#[allow(unused_macros, reason = "each test takes a part of it")]
macro_rules! on_every_transport {
    ($($test:ident),* $(,)?) => {
        $crate::support::over::on_each! { quic Quic [$($test),*] tcp Tcp [$($test),*] pipe Pipe [$($test),*] }
    };
}

/// On those where a client has a key, which may not do everything.
#[allow(unused_macros, reason = "each test takes a part of it")]
macro_rules! on_every_network {
    ($($test:ident),* $(,)?) => {
        $crate::support::over::on_each! { quic Quic [$($test),*] tcp Tcp [$($test),*] }
    };
}

#[allow(unused_imports, reason = "each test takes a part of it")]
pub(crate) use {on_each, on_every_network, on_every_transport};

/// A connection.
#[derive(Clone)]
pub enum Wire {
    Quic(quinn::Connection),
    Mux(Mux),
}

/// Where a session's data lanes are, as far as the connection itself does not know.
pub enum Lanes {
    Quic,
    Mux {
        out: Vec<Option<MuxOut>>,
        into: Vec<Option<MuxIn>>,
        began: tokio::sync::mpsc::UnboundedReceiver<u8>,
        _place: Place,
    },
}

/// A stream to the peer.
pub enum Outgoing {
    Quic(quinn::SendStream),
    Mux(MuxOut),
}

/// A stream from the peer.
pub enum Incoming {
    Quic(quinn::RecvStream),
    Mux(MuxIn),
}

impl Wire {
    pub async fn open(&self) -> Control {
        match self {
            Self::Quic(connection) => self.of_quic(connection.open_bi().await.unwrap()),
            Self::Mux(mux) => self.of_mux(mux.open()),
        }
    }

    pub async fn accept(&self) -> Control {
        match self {
            Self::Quic(connection) => self.of_quic(connection.accept_bi().await.unwrap()),
            Self::Mux(mux) => self.of_mux(mux.accept().await),
        }
    }

    fn of_quic(&self, (send, recv): (quinn::SendStream, quinn::RecvStream)) -> Control {
        Control {
            wire: self.clone(),
            send: Outgoing::Quic(send),
            recv: Incoming::Quic(recv),
            decoder: FrameDecoder::default(),
            lanes: Lanes::Quic,
        }
    }

    fn of_mux(&self, MuxSession { mut send, mut recv, lanes, place }: MuxSession) -> Control {
        let (control, words) = (send.remove(0), recv.remove(0));
        let (out, into) = (send.into_iter().map(Some).collect(), recv.into_iter().map(Some).collect());
        Control {
            wire: self.clone(),
            send: Outgoing::Mux(control),
            recv: Incoming::Mux(words),
            decoder: FrameDecoder::default(),
            lanes: Lanes::Mux { out, into, began: lanes, _place: place },
        }
    }

    /// Ends the connection without a reason.
    pub fn close(&self) {
        match self {
            Self::Quic(connection) => connection.close(0u32.into(), b""),
            Self::Mux(mux) => mux.close(),
        }
    }

    /// Why the peer has ended it.
    pub fn closed(&self) -> Option<WireError> {
        match self {
            Self::Quic(_) => None,
            Self::Mux(mux) => mux.closed(),
        }
    }
}

impl Lanes {
    pub async fn open(&mut self, wire: &Wire, control: &Outgoing, lane: u8) -> Outgoing {
        match (self, wire, control) {
            (_, Wire::Quic(connection), Outgoing::Quic(send)) => quic_lane(connection, send.id().index(), lane).await,
            (Self::Mux { out, .. }, _, Outgoing::Mux(control)) => {
                let found = out.get_mut(usize::from(lane)).map(|lane| lane.take().expect("a lane that is opened once"));
                Outgoing::Mux(found.unwrap_or_else(|| control.beyond()))
            }
            _ => unreachable!("streams of one connection"),
        }
    }

    pub async fn accept(&mut self, wire: &Wire) -> Incoming {
        match (self, wire) {
            (Self::Mux { into, began, .. }, _) => {
                let lane = super::unhung(began.recv()).await.expect("a lane");
                Incoming::Mux(into[usize::from(lane)].take().expect("a lane that begins once"))
            }
            (Self::Quic, Wire::Quic(connection)) => {
                let mut recv = super::unhung(connection.accept_uni()).await.unwrap();
                // The numbers of session and lane.
                super::unhung(recv.read_exact(&mut [0; 9])).await.unwrap();
                Incoming::Quic(recv)
            }
            (Self::Quic, Wire::Mux(_)) => unreachable!("streams of one connection"),
        }
    }
}

/// A data lane of any session, which only QUIC has to be told.
pub async fn quic_lane(connection: &quinn::Connection, session: u64, lane: u8) -> Outgoing {
    let mut send = connection.open_uni().await.unwrap();
    let mut head = session.to_be_bytes().to_vec();
    head.push(lane);
    let _ = send.write_all(&head).await;
    Outgoing::Quic(send)
}

impl Outgoing {
    /// A peer that has given up may have stopped the stream: what it said is what counts.
    pub async fn write_all(&mut self, bytes: &[u8]) {
        match self {
            Self::Quic(send) => drop(send.write_all(bytes).await),
            Self::Mux(out) => drop(out.write_all(bytes).await),
        }
    }

    pub fn finish(&mut self) {
        match self {
            Self::Quic(send) => drop(send.finish()),
            Self::Mux(out) => out.finish(),
        }
    }

    /// The stream itself, for what QUIC alone can do.
    pub fn quic(&mut self) -> &mut quinn::SendStream {
        match self {
            Self::Quic(send) => send,
            Self::Mux(_) => panic!("it is not QUIC"),
        }
    }
}

impl Incoming {
    /// What came next; nothing at the end, whatever it is.
    pub async fn read(&mut self) -> Option<Bytes> {
        match self {
            Self::Quic(recv) => recv.read_chunk(1 << 16, true).await.ok().flatten().map(|chunk| chunk.bytes),
            Self::Mux(recv) => recv.read().await,
        }
    }

    /// As [`Outgoing::quic`].
    pub fn quic(&mut self) -> &mut quinn::RecvStream {
        match self {
            Self::Quic(recv) => recv,
            Self::Mux(_) => panic!("it is not QUIC"),
        }
    }
}

/// Pipes that a command leads to and this process holds the other ends of.
pub struct Fifos(TempDir);

impl Fifos {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = ["to", "from"].map(|name| dir.path().join(name));
        assert!(std::process::Command::new("mkfifo").args(&names).status().unwrap().success());
        Self(dir)
    }

    /// A command whose standard streams they are.
    pub fn command(&self) -> CommandOptions {
        let [to, from] = ["to", "from"].map(|name| self.0.path().join(name).into_os_string());
        let script = r#"cat "$1" & exec cat >"$2""#;
        let words = ["sh", "-c", script, "sh"].map(OsString::from).into_iter().chain([to, from]).collect();
        CommandOptions {
            words,
            shown: "a test".to_owned(),
            address: "here".to_owned(),
            programs: Vec::new(),
            connect_timeout: None,
            beside: None,
            inherits_stderr: false,
            canceled: Canceled::default(),
        }
    }

    /// Their other ends: of what comes from the command, and of what goes there.
    pub async fn open(self) -> (OwnedFd, OwnedFd) {
        let opening = |name, writes: bool| {
            let path = self.0.path().join(name);
            // Waits for who opens the other end.
            tokio::task::spawn_blocking(move || {
                std::fs::OpenOptions::new().read(!writes).write(writes).open(path).unwrap()
            })
        };
        let (to, from) = tokio::join!(opening("to", true), opening("from", false));
        (from.unwrap().into(), to.unwrap().into())
    }
}
