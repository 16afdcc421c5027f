//! Subflows: further TCP connections that carry packs of a session's data lane (ADR 0050). A subflow belongs to the
//! connection whose TLS has derived the token that it begins with.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use sparsync_proto::mux::StreamId;
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader};
use sparsync_proto::subflow::{JOIN_BYTES, JOINED, Join, NUMBER_BYTES, TOKEN_BYTES, TOKEN_LABEL};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::connect::{secured, server};
use super::shown;
use crate::net::ConnectOptions;
use crate::net::connect::demand;
use crate::net::pipe::Joinable;
use crate::net::tls::{Purpose, ServerDemand};
use crate::transport::Principal;
use crate::trust::{KnownKey, certificate_key};
use crate::{Error, ErrorKind, Result};

type Token = [u8; TOKEN_BYTES];

/// A subflow without traffic is probed that often.
const PROBED_AFTER: Duration = Duration::from_secs(10);

/// A subflow whose bytes or probes are not acknowledged for that long is lost, in milliseconds: the usual time after
/// which a connection without a packet ends.
#[cfg(target_os = "linux")]
const LOST_AFTER_MS: u32 = 30_000;

/// The bytes in front of the content of each pack.
const HEAD_BYTES: usize = NUMBER_BYTES + PACK_HEADER_BYTES;

/// The token of a connection, which only its two ends can know.
pub(super) fn token(stream: &TlsStream<TcpStream>) -> Option<Token> {
    let out = [0; TOKEN_BYTES];
    match stream {
        TlsStream::Client(stream) => stream.get_ref().1.export_keying_material(out, TOKEN_LABEL, None).ok(),
        TlsStream::Server(stream) => stream.get_ref().1.export_keying_material(out, TOKEN_LABEL, None).ok(),
    }
}

/// A connection that carries packs of one data lane.
pub(in crate::net) struct Subflow {
    stream: TlsStream<TcpStream>,
    /// What counts it, until it is dropped.
    places: Vec<Box<dyn Any + Send>>,
}

impl Subflow {
    /// A session that carries no content for minutes sends nothing over its subflows. The kernel's probes keep them in
    /// the memory of what translates addresses on the way, and tell of a path that is gone, as pings do on the shared
    /// connection.
    fn over(stream: TlsStream<TcpStream>) -> Self {
        let (socket, _) = stream.get_ref();
        let _ = SockRef::from(socket)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBED_AFTER).with_interval(PROBED_AFTER));
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_user_timeout(socket, LOST_AFTER_MS);
        Self { stream, places: Vec::new() }
    }

    /// Adds something that counts it.
    pub(in crate::net) fn holding(mut self, place: impl Any + Send) -> Self {
        self.places.push(Box::new(place));
        self
    }

    pub(in crate::net) async fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.map_err(lost)
    }

    /// Sends what TLS holds back.
    pub(in crate::net) async fn flush(&mut self) -> Result<()> {
        self.stream.flush().await.map_err(lost)
    }

    /// Says that no more packs come.
    pub(in crate::net) async fn finish(&mut self) -> Result<()> {
        self.stream.shutdown().await.map_err(lost)
    }

    /// The next pack's number and header; none at the proper end.
    pub(in crate::net) async fn read_head(&mut self) -> Result<Option<(u64, PackHeader)>> {
        let mut head = [0; HEAD_BYTES];
        if self.stream.read(&mut head[..1]).await.map_err(lost)? == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut head[1..]).await.map_err(lost)?;
        let (number, header) = head.split_at(NUMBER_BYTES);
        let number = number.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let header = header.try_into().map_err(|_| Error::internal("a header of another length"))?;
        Ok(Some((number, PackHeader::decode(header).map_err(Error::unreadable)?)))
    }

    /// Reads content until there are so many bytes in `into`.
    pub(in crate::net) async fn read_content(&mut self, into: &mut Vec<u8>, bytes: usize) -> Result<()> {
        let mut content = (&mut self.stream).take(bytes.saturating_sub(into.len()) as u64);
        while into.len() < bytes {
            if content.read_buf(into).await.map_err(lost)? == 0 {
                return Err(Error::protocol("a subflow that ends inside a pack").remote());
            }
        }
        Ok(())
    }
}

/// The bytes in front of a pack's content.
pub(in crate::net) fn head(number: u64, header: PackHeader) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..NUMBER_BYTES].copy_from_slice(&number.to_be_bytes());
    head[NUMBER_BYTES..].copy_from_slice(&header.encode());
    head
}

fn lost(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Closed, format!("a subflow was lost: {error}")).remote().because(error)
}

/// How a client connects once more to where it is connected already.
pub(in crate::net) struct Redial {
    options: Arc<ConnectOptions>,
    remote: SocketAddr,
    principal: Principal,
    token: Token,
}

impl Redial {
    /// None for a connection on which nothing is carried.
    pub(super) fn of(
        stream: &TlsStream<TcpStream>,
        options: Arc<ConnectOptions>,
        remote: SocketAddr,
        principal: Principal,
    ) -> Option<Self> {
        let token = token(stream).filter(|_| !options.joins)?;
        Some(Self { options, remote, principal, token })
    }

    /// Opens a subflow for a lane.
    pub(in crate::net) async fn subflow(&self, lane: StreamId) -> Result<Subflow> {
        let opened = timeout(self.options.connect_timeout, self.open(lane)).await;
        opened.map_err(|_| Error::new(ErrorKind::Timeout, "a subflow was not opened in time"))?
    }

    async fn open(&self, lane: StreamId) -> Result<Subflow> {
        let expected = self.principal.key().map(KnownKey::pin).into_iter().collect();
        let demand = ServerDemand { purpose: Purpose::Subflow, ..demand(&self.options, expected) };
        let (stream, _) = secured(&self.options, demand, self.remote).await?;
        if server(&stream, shown(&stream).and_then(certificate_key)) != self.principal {
            return Err(Error::new(ErrorKind::HostKeyChanged, "a subflow leads to another server"));
        }
        let mut subflow = Subflow::over(stream);
        subflow.write_all(&Join { token: self.token, lane }.encode()).await?;
        subflow.flush().await?;
        let mut answer = [0];
        subflow.stream.read_exact(&mut answer).await.map_err(lost)?;
        if answer == [JOINED] { Ok(subflow) } else { Err(Error::protocol("another answer to a subflow").remote()) }
    }
}

/// The connections of a server that subflows may come for, by their tokens. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Joinables(Arc<Mutex<HashMap<Token, (Joinable, Principal)>>>);

impl Joinables {
    /// Adds a connection.
    pub(super) fn add(&self, token: Token, joinable: Joinable, principal: Principal) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (joinable, _)| !joinable.is_over());
        all.insert(token, (joinable, principal));
    }

    fn find(&self, token: &Token, principal: &Principal) -> Option<Joinable> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(token).filter(|(_, owner)| owner == principal).map(|(joinable, _)| joinable.clone())
    }
}

/// Where a client's subflow has said that it belongs.
pub(super) struct Joining {
    joinables: Joinables,
    join: Join,
}

impl fmt::Debug for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever reads a log must not learn the token.
        f.debug_struct("Joining").field("lane", &self.join.lane).finish_non_exhaustive()
    }
}

impl Joining {
    /// Reads where a subflow belongs.
    pub(super) async fn read(stream: &mut TlsStream<TcpStream>, joinables: Joinables) -> Result<Self> {
        let mut bytes = [0; JOIN_BYTES];
        stream.read_exact(&mut bytes).await.map_err(lost)?;
        Ok(Self { joinables, join: Join::decode(&bytes).map_err(Error::unreadable)? })
    }

    /// Brings the subflow to its lane, and tells the client so.
    pub(super) async fn bring(
        self,
        stream: TlsStream<TcpStream>,
        principal: &Principal,
        place: impl Any + Send,
    ) -> Result<()> {
        let Self { joinables, join } = self;
        let unknown = || Error::new(ErrorKind::Unauthorized, "a subflow of a session that this client does not have");
        let joinable = joinables.find(&join.token, principal).ok_or_else(unknown)?;
        let held = joinable.place(join.lane).ok_or_else(unknown)??;
        let mut subflow = Subflow::over(stream).holding(place).holding(held);
        subflow.write_all(&[JOINED]).await?;
        subflow.flush().await?;
        if joinable.bring(join.lane, subflow) { Ok(()) } else { Err(unknown()) }
    }
}
