//! TCP, by itself and where UDP gets no answer.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use sparsync_proto::mux::{HEADER_BYTES, Header, StreamId, WINDOW_BYTES};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::{ConnectOptions, Identity, ListenOptions, ServerTrust, listen, pinned, recorded};
use crate::engine::{Session, control_lane};
use crate::net::connect::demand;
use crate::net::dial::{Dialed, Patience, dial_with};
use crate::net::gate::{Gate, HANDSHAKES_MAX};
use crate::net::proxy::Proxy;
use crate::net::tcp::Acceptor;
use crate::net::tls::{client_config, server_config};
use crate::net::{Arrived, TransportChoice, Udp, WindowBudget};
use crate::state::StateDir;
use crate::transport::{Connection, Principal, Transport, encoded};
use crate::trust::KnownHosts;
use crate::{Error, ErrorKind, Side};
use sparsync_proto::Frame;

const IDLE: Duration = Duration::from_secs(30);

/// Nothing here waits so long.
const NEVER: Duration = Duration::from_secs(3600);

const HASTE: Patience = Patience { before_look: Duration::ZERO, before_tcp: Duration::ZERO, once_refused: IDLE };

/// A server that has TCP alone, and greets whoever comes.
struct Server {
    identity: Identity,
    acceptor: Acceptor,
    address: SocketAddr,
}

impl Server {
    fn at(address: SocketAddr, idle: Duration) -> Self {
        let identity = Identity::generate().expect("a key");
        let (tls, _) = server_config(&identity, false, None).expect("settings");
        let acceptor = Acceptor::bind(address, tls, idle, false, Gate::of_tcp(HANDSHAKES_MAX)).expect("bound");
        Self { identity, acceptor, address }
    }

    /// At a port at which UDP is swallowed.
    fn behind_a_wall(idle: Duration) -> (Self, UdpSocket) {
        let wall = UdpSocket::bind("127.0.0.1:0").expect("bound");
        (Self::at(wall.local_addr().expect("an address"), idle), wall)
    }

    fn options(&self) -> ConnectOptions {
        options(self.address.port(), pinned(self.identity.public_key()))
    }

    /// Serves until dropped, and keeps every connection.
    fn serve(&self) {
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                if let Ok(accepted) = acceptor.accept().await.finish().await {
                    kept.push(accepted.start(&WindowBudget::default()));
                }
            }
        });
    }
}

fn options(port: u16, trust: ServerTrust) -> ConnectOptions {
    super::options("127.0.0.1", port, trust)
}

fn over_tcp(options: ConnectOptions) -> ConnectOptions {
    ConnectOptions { transport: TransportChoice::Tcp, ..options }
}

async fn dial(options: ConnectOptions) -> Result<Dialed, Error> {
    dial_with(options, HASTE, || None).await
}

async fn dial_from(options: ConnectOptions, patience: Patience, state: &Path) -> Result<Dialed, Error> {
    dial_with(options, patience, || Some(StateDir::at(state))).await
}

fn failure(dialed: Result<Dialed, Error>) -> Error {
    dialed.err().expect("refused")
}

#[tokio::test]
async fn a_port_serves_both_and_proves_the_same_keys() {
    let (own, client) = (Identity::generate().expect("a key"), Identity::generate().expect("a key"));
    let mut listening = ListenOptions::new("127.0.0.1:0", own.clone());
    listening.tcp = true;
    let listener = listen(listening).await.expect("listening");
    for (choice, transport) in [(TransportChoice::Auto, Transport::Quic), (TransportChoice::Tcp, Transport::Tcp)] {
        let mut options = options(listener.local_addr().port(), pinned(own.public_key()));
        (options.identity, options.transport) = (client.clone(), choice);
        let patience = Patience { before_look: NEVER, ..HASTE };
        let (near, far) = tokio::join!(dial_with(options, patience, || None), async {
            let arriving = listener.next_client().await.expect("a client");
            assert_eq!(arriving.transport(), transport);
            let arrived = arriving.finish().await.expect("a key");
            assert!(!arrived.joins());
            arrived
        });
        let near = near.expect("connected");
        assert_eq!((near.server_key, near.udp), (Some(own.public_key()), None));
        assert_eq!(near.connection.transport(), transport);
        assert_eq!(near.connection.principal(), &Principal::Key(own.public_key()));
        assert_eq!((far.principal(), far.key()), (Principal::Key(client.public_key()), Some(client.public_key())));
    }
    let taken =
        listen(ListenOptions { tcp: true, ..ListenOptions::new(listener.local_addr().to_string(), own.clone()) });
    assert_eq!(taken.await.expect_err("taken").kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_port_that_tcp_does_not_get_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = other.local_addr().expect("an address");
    let mut options = ListenOptions::new(address.to_string(), Identity::generate().expect("a key"));
    options.tcp = true;
    let error = listen(options.clone()).await.expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains(&format!("TCP {address}")), "{error}");
    options.tcp = false;
    listen(options).await.expect("UDP alone");
}

#[tokio::test]
async fn a_client_is_told_why_it_is_refused() {
    let (server, _wall) = Server::behind_a_wall(IDLE);
    let (near, far) =
        tokio::join!(dial(over_tcp(server.options())), async { server.acceptor.accept().await.finish().await });
    let refusal = Error::new(ErrorKind::Unauthorized, "no such client");
    Arrived::Tcp(Box::new(far.expect("a key"))).refuse(&refusal);
    let mut lanes = near.as_ref().expect("connected").connection.open(std::sync::Arc::default());
    let _ = lanes.write(encoded(&[Frame::hello()])).await;
    let error = lanes.read().await.expect_err("refused");
    assert_eq!(
        (error.kind(), error.message(), error.side()),
        (ErrorKind::Unauthorized, "no such client", Side::Remote)
    );
}

#[tokio::test]
async fn only_the_key_that_is_known_is_taken_and_a_new_one_is_recorded() {
    let (server, _wall) = Server::behind_a_wall(IDLE);
    server.serve();
    let port = server.address.port();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    // UDP is silent, and what TCP refuses is not waited for on UDP.
    for with in [over_tcp as fn(ConnectOptions) -> ConnectOptions, std::convert::identity] {
        let other = Identity::generate().expect("a key").public_key();
        let error = failure(dial(with(options(port, pinned(other)))).await);
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        assert_eq!(failure(dial(with(options(port, recorded(&file, false)))).await).kind(), ErrorKind::UnknownHost);
    }
    assert!(!file.exists());
    dial(options(port, recorded(&file, true))).await.expect("accepted");
    let known = KnownHosts::new(&file).lookup("127.0.0.1", port).expect("read");
    assert_eq!(known.iter().map(|known| known.key).collect::<Vec<_>>(), [server.identity.public_key()]);
    dial(options(port, recorded(&file, false))).await.expect("known");
}

#[tokio::test]
async fn silence_brings_tcp_and_is_remembered_till_udp_answers() {
    let (server, wall) = Server::behind_a_wall(IDLE);
    server.serve();
    let state = tempfile::tempdir().expect("a directory");
    let first = dial_from(server.options(), HASTE, state.path()).await.expect("connected");
    assert_eq!((first.udp, first.connection.transport()), (Some(Udp::Silent), Transport::Tcp));
    assert_eq!(first.address, server.address.to_string());
    // A client that waited for UDP now would wait for ever.
    let at_once = Patience { before_tcp: NEVER, ..HASTE };
    let second = dial_from(server.options(), at_once, state.path()).await.expect("connected");
    assert_eq!(second.udp, Some(Udp::SilentLately));
    server.acceptor.close();
    drop(wall);
    let listening = ListenOptions::new(server.address.to_string(), server.identity.clone());
    let listener = listen(listening).await.expect("listening");
    let accepting = tokio::spawn({
        let listener = listener.clone();
        async move {
            // Clients that gave up before may only arrive now.
            while listener.next_client().await.expect("a client").finish().await.is_err() {}
        }
    });
    let third = dial_from(server.options(), at_once, state.path()).await.expect("connected");
    assert_eq!((third.udp, third.connection.transport()), (None, Transport::Quic));
    accepting.await.expect("no panic");
    assert_eq!(std::fs::read_dir(state.path().join("unanswered")).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_refusal_of_udp_brings_tcp_at_once_and_is_not_remembered() {
    let address = UdpSocket::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
    let server = Server::at(address, IDLE);
    server.serve();
    let state = tempfile::tempdir().expect("a directory");
    let patience = Patience { before_look: NEVER, ..HASTE };
    let dialed = dial_from(server.options(), patience, state.path()).await.expect("connected");
    assert_eq!(dialed.udp, Some(Udp::Refused));
    assert!(!state.path().join("unanswered").exists());
}

#[tokio::test]
async fn what_neither_reaches_is_said_of_both() {
    let wall = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let port = wall.local_addr().expect("an address").port();
    let key = Identity::generate().expect("a key").public_key();
    let mut silent = options(port, pinned(key));
    silent.connect_timeout = Duration::from_millis(400);
    let error = failure(dial(silent).await);
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("no answer") && error.message().contains("over TCP"), "{error}");
    drop(wall);
    let error = failure(dial(options(port, pinned(key))).await);
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("refused"), "{error}");
    let mut alone = options(port, pinned(key));
    alone.transport = TransportChoice::Quic;
    assert!(!failure(dial(alone).await).message().contains("TCP"));
}

/// A client of TLS that speaks by hand.
async fn by_hand(server: &Server) -> tokio_rustls::client::TlsStream<TcpStream> {
    let options = server.options();
    let expected = crate::net::connect::expected_keys(&options).expect("keys");
    let (tls, _) = client_config(&options.identity, demand(&options, expected)).expect("settings");
    let stream = TcpStream::connect(server.address).await.expect("connected");
    TlsConnector::from(tls).connect("sparsync".try_into().expect("a name"), stream).await.expect("a handshake")
}

#[tokio::test]
async fn a_peer_that_falls_silent_or_breaks_the_framing_is_left() {
    let (server, _wall) = Server::behind_a_wall(Duration::from_millis(200));
    let (silent, accepted) = tokio::join!(by_hand(&server), async { server.acceptor.accept().await.finish().await });
    let far = accepted.expect("a key").start(&WindowBudget::default());
    assert!(far.accept(std::sync::Arc::default()).await.is_none());
    assert_eq!(far.closed().expect("over").kind(), ErrorKind::Timeout);
    drop(silent);
    let lane = StreamId { session: 0, stream: 1 };
    for (bytes, kind) in [
        (vec![0xff; 64], ErrorKind::Protocol),
        (Header::Data(lane, 1).encode().into_iter().chain([0]).collect(), ErrorKind::Protocol),
        (Header::Close(0, 0).encode().to_vec(), ErrorKind::Closed),
    ] {
        let (near, accepted) = tokio::join!(by_hand(&server), async { server.acceptor.accept().await.finish().await });
        let (mut near, far) = (near, accepted.expect("a key").start(&WindowBudget::default()));
        near.write_all(&bytes).await.expect("written");
        near.flush().await.expect("written");
        assert!(far.accept(std::sync::Arc::default()).await.is_none());
        assert_eq!(far.closed().expect("over").kind(), kind);
        // The socket goes, whether its peer takes the last words or not.
        drop(far);
        let mut rest = Vec::new();
        let _ = near.read_to_end(&mut rest).await;
    }
}

/// Bytes that a client may send on each of two lanes of a session that runs.
async fn granted(server: &Server, budget: &WindowBudget) -> [u32; 2] {
    let (near, accepted) = tokio::join!(by_hand(server), async { server.acceptor.accept().await.finish().await });
    let (mut near, far) = (near, accepted.expect("a key").start(budget));
    let control = StreamId { session: 0, stream: 0 };
    near.write_all(&[&Header::Data(control, 1).encode()[..], &[5]].concat()).await.expect("written");
    near.flush().await.expect("written");
    let mut lanes = far.accept(std::sync::Arc::default()).await.expect("a session");
    let queues = lanes.data_in(2);
    let session = std::sync::Arc::new(Session::new(false));
    let (_engine, transport) = control_lane(&session);
    let carried = tokio::spawn(lanes.carry(std::sync::Arc::clone(&session), transport, IDLE));
    let mut granted = [0; 2];
    while granted.contains(&0) {
        let mut header = [0; HEADER_BYTES];
        near.read_exact(&mut header).await.expect("a frame");
        match Header::decode(&header).expect("a frame") {
            Header::Credit(StreamId { stream, .. }, bytes) => granted[usize::from(stream) - 1] += bytes,
            Header::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(queues);
    session.end();
    carried.await.expect("no panic");
    granted
}

#[tokio::test]
async fn content_may_come_as_far_as_the_budget_of_all_connections_goes() {
    let (server, _wall) = Server::behind_a_wall(IDLE);
    assert_eq!(granted(&server, &WindowBudget::default()).await, [1 << 20; 2]);
    assert_eq!(granted(&server, &WindowBudget::new(0)).await, [WINDOW_BYTES; 2]);
    // The budget of a session that has ended is free for the next one.
    let budget = WindowBudget::new(2 << 20);
    for _ in 0..2 {
        assert_eq!(granted(&server, &budget).await, [1 << 20, WINDOW_BYTES + (5 << 17)]);
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_refused() {
    let (server, _wall) = Server::behind_a_wall(IDLE);
    for (said, kind) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], ErrorKind::Protocol), (b"", ErrorKind::Closed)] {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        stream.write_all(said).await.expect("written");
        drop(stream);
        let error = server.acceptor.accept().await.finish().await.expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

/// What a proxy is asked, and a proxy that answers that; leads nowhere further.
async fn asked_proxy(answer: &'static [u8], user: &str) -> (Error, String) {
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = proxy.local_addr().expect("an address").port();
    let url = format!("http://{user}127.0.0.1:{port}");
    let mut options = options(1, pinned(Identity::generate().expect("a key").public_key()));
    options.host = "backup.example".to_owned();
    options.proxy = Proxy::of_environment(&options.host, 1, |_| Some(url.clone()).filter(|_| true)).unwrap_or(None);
    // `NO_PROXY` is the same text here, which excepts nothing of that name.
    assert!(options.proxy.is_some());
    let (error, asked) = tokio::join!(async { failure(dial(options).await) }, async {
        let (mut stream, _) = proxy.accept().await.expect("a client");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.expect("a byte"));
        }
        stream.write_all(answer).await.expect("answered");
        String::from_utf8(asked).expect("text")
    });
    assert!(!error.to_string().contains("sesame"), "{error}");
    assert!(error.details().iter().any(|(name, _)| name == "proxy"), "{error:?}");
    (error, asked)
}

#[tokio::test]
async fn a_proxy_that_does_not_lead_on_is_named() {
    let (error, asked) = asked_proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "").await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(asked, "CONNECT backup.example:1 HTTP/1.1\r\nHost: backup.example:1\r\n\r\n");
    let (error, asked) = asked_proxy(b"HTTP/1.0 403 Filtered\r\nx: y\r\n\r\n", "Aladdin:open%20sesame@").await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("403 Filtered"), "{error}");
    assert!(asked.contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{asked}");
    for junk in [&b"SSH-2.0-OpenSSH\r\n"[..], b"HTTP/1.1 200 OK\r\n\r\nmore", b"HTTP/1.1\r\n\r\n", b""] {
        let (error, _) = asked_proxy(junk, "").await;
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    }
}
