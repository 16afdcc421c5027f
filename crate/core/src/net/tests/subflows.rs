//! Subflows: clients that are made by hand, and what a server lets them do.

use std::sync::Arc;
use std::time::Duration;

use sparsync_proto::ErrorKind;
use sparsync_proto::mux::{HEADER_BYTES, Header, StreamId};
use sparsync_proto::pack::PackHeader;
use sparsync_proto::subflow::{JOINED, Join, SUBFLOWS_MAX, TOKEN_BYTES, TOKEN_LABEL};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Identity, options, pinned};
use crate::engine::{Pack, Session, control_lane};
use crate::net::connect::demand;
use crate::net::gate::Gate;
use crate::net::pipe::PipeConnection;
use crate::net::tcp::{Accepted, Acceptor, head};
use crate::net::tls::{Purpose, client_config, server_config};
use crate::net::{Arrived, WindowBudget};
use crate::transport::Connection as _;
use crate::trust::KnownKey;
use crate::{Error, Result};

const IDLE: Duration = Duration::from_secs(30);
const CONTROL: StreamId = StreamId { session: 0, stream: 0 };
const LANE: StreamId = StreamId { session: 0, stream: 1 };

struct Server {
    identity: Identity,
    acceptor: Acceptor,
    gate: Gate,
    port: u16,
}

/// A session of a client made by hand, which runs at the server with two lanes from the client.
struct Run {
    client: TlsStream<TcpStream>,
    token: [u8; TOKEN_BYTES],
    lanes: Vec<mpsc::Receiver<Pack>>,
    session: Arc<Session>,
    carried: JoinHandle<()>,
    connection: PipeConnection,
}

impl Server {
    fn start(handshakes: usize) -> Self {
        let identity = Identity::generate().expect("a key");
        let (tls, _) = server_config(&identity, false, None).expect("settings");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
        let gate = Gate::of_tcp(handshakes);
        let acceptor = Acceptor::bind(free, tls, IDLE, false, gate.clone()).expect("bound");
        Self { identity, acceptor, gate, port: free.port() }
    }

    /// Takes the next client in a task of its own, once it has come.
    async fn takes(&self) -> JoinHandle<Result<Accepted>> {
        tokio::spawn(self.acceptor.accept().await.finish())
    }

    async fn connect(&self, client: &Identity, purpose: Purpose) -> TlsStream<TcpStream> {
        let mut options = options("127.0.0.1", self.port, pinned(self.identity.public_key()));
        options.identity = client.clone();
        let mut demand = demand(&options, vec![KnownKey::pin(self.identity.public_key())]);
        demand.purpose = purpose;
        let (tls, _) = client_config(client, demand).expect("settings");
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connected");
        TlsConnector::from(tls).connect("sparsync".try_into().expect("a name"), stream).await.expect("a handshake")
    }

    async fn run(&self, client: &Identity) -> Run {
        let connecting = self.connect(client, Purpose::Sessions);
        let (mut client, accepted) = tokio::join!(connecting, async { self.acceptor.accept().await.finish().await });
        let far = accepted.expect("a key").start(&WindowBudget::default());
        client.write_all(&[&Header::Data(CONTROL, 1).encode()[..], &[5]].concat()).await.expect("written");
        client.flush().await.expect("written");
        let mut lanes = far.accept(Arc::default()).await.expect("a session");
        let queues = lanes.data_in(2);
        let session = Arc::new(Session::new(false));
        let (engine, transport) = control_lane(&session);
        let carrying = lanes.carry(Arc::clone(&session), transport, IDLE);
        let carried = tokio::spawn(async move {
            carrying.await;
            drop(engine);
        });
        let token = client.get_ref().1.export_keying_material([0; TOKEN_BYTES], TOKEN_LABEL, None).expect("a token");
        let mut run = Run { client, token, lanes: queues, session, carried, connection: far };
        // What the server grants says that its lanes are there.
        let mut granted = 0;
        while granted < 2 {
            let mut header = [0; HEADER_BYTES];
            run.client.read_exact(&mut header).await.expect("a frame");
            granted += usize::from(matches!(Header::decode(&header), Ok(Header::Credit(..))));
        }
        run
    }

    /// What becomes of a subflow that says this, and its client's end.
    async fn subflow(&self, client: &Identity, said: &[u8]) -> (Result<()>, TlsStream<TcpStream>) {
        let (near, brought) = tokio::join!(
            async {
                let mut stream = self.connect(client, Purpose::Subflow).await;
                stream.write_all(said).await.expect("written");
                stream.flush().await.expect("written");
                stream
            },
            async {
                let accepted = self.acceptor.accept().await.finish().await?;
                assert!(accepted.is_subflow() && !accepted.joins());
                Arrived::Tcp(Box::new(accepted)).bring(()).await
            }
        );
        (brought, near)
    }

    async fn joined(&self, client: &Identity, token: [u8; TOKEN_BYTES], lane: StreamId) -> TlsStream<TcpStream> {
        let (brought, mut stream) = self.subflow(client, &Join { token, lane }.encode()).await;
        brought.expect("brought");
        assert_eq!(stream.read_u8().await.expect("an answer"), JOINED);
        stream
    }

    async fn refused(&self, client: &Identity, token: [u8; TOKEN_BYTES], lane: StreamId) -> ErrorKind {
        let (brought, mut stream) = self.subflow(client, &Join { token, lane }.encode()).await;
        let answer = stream.read_u8().await.ok();
        // The lane is looked for behind the answer, and then the connection ends at once.
        assert!(answer.is_none() || stream.read_u8().await.is_err());
        brought.expect_err("refused").kind()
    }
}

impl Run {
    /// Ends the lane on the first connection, so that the packs of its subflows have their turn.
    async fn moves(&mut self) {
        self.client.write_all(&Header::End(LANE).encode()).await.expect("written");
        self.client.flush().await.expect("written");
    }

    async fn failure(self) -> Error {
        let Self { client, lanes, session, carried, .. } = self;
        carried.await.expect("no panic");
        drop((client, lanes));
        session.error().expect("an error")
    }
}

fn pack(number: u64, text: &str) -> Vec<u8> {
    let header = PackHeader { compressed: false, stored_bytes: text.len(), raw_bytes: text.len() };
    [&head(number, header)[..], text.as_bytes()].concat()
}

async fn say(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("written");
    stream.flush().await.expect("written");
}

#[tokio::test]
async fn packs_of_several_subflows_come_in_their_order() {
    let (server, client) = (Server::start(8), Identity::generate().expect("a key"));
    let mut run = server.run(&client).await;
    let mut one = server.joined(&client, run.token, LANE).await;
    let mut two = server.joined(&client, run.token, LANE).await;
    say(&mut two, &[pack(1, "second"), pack(3, "fourth")].concat()).await;
    say(&mut one, &pack(0, "first")).await;
    // What the first connection carries comes before all of that.
    let piped = &pack(0, "begins")[sparsync_proto::subflow::NUMBER_BYTES..];
    let header = Header::Data(LANE, u32::try_from(piped.len()).expect("fits")).encode();
    run.client.write_all(&[&header[..], piped].concat()).await.expect("written");
    run.moves().await;
    say(&mut one, &pack(2, "third")).await;
    for text in ["begins", "first", "second", "third", "fourth"] {
        assert_eq!(run.lanes[0].recv().await.expect("a pack").bytes, text);
    }
    for mut stream in [one, two] {
        stream.shutdown().await.expect("ended");
    }
    run.session.end();
    run.carried.await.expect("no panic");
    assert!(run.session.error().is_none());
}

#[tokio::test]
async fn a_subflow_needs_the_token_the_key_and_the_lane_of_a_session_that_runs() {
    let (server, client) = (Server::start(8), Identity::generate().expect("a key"));
    let run = server.run(&client).await;
    let other = server.run(&Identity::generate().expect("a key")).await;
    let mut wrong = run.token;
    wrong[31] ^= 1;
    let of = |session, stream| StreamId { session, stream };
    for (token, lane) in [(wrong, LANE), (other.token, LANE), (run.token, of(1, 1)), (run.token, of(0, 3))] {
        assert_eq!(server.refused(&client, token, lane).await, ErrorKind::Unauthorized);
    }
    let stranger = Identity::generate().expect("a key");
    assert_eq!(server.refused(&stranger, run.token, LANE).await, ErrorKind::Unauthorized);
    for stream in [0, 5] {
        let mut said = Join { token: run.token, lane: LANE }.encode();
        said[said.len() - 1] = stream;
        let (brought, _) = server.subflow(&client, &said).await;
        assert_eq!(brought.expect_err("refused").kind(), ErrorKind::Protocol);
    }
    // The same token is good for as long as the session runs, and for no more subflows than that.
    let mut kept = Vec::new();
    for _ in 0..SUBFLOWS_MAX {
        kept.push(server.joined(&client, run.token, LANE).await);
    }
    assert_eq!(server.refused(&client, run.token, of(0, 2)).await, ErrorKind::Connect);
    run.session.end();
    run.carried.await.expect("no panic");
    assert_eq!(server.refused(&client, run.token, LANE).await, ErrorKind::Unauthorized);
    drop(run.connection);
    assert_eq!(server.refused(&client, run.token, LANE).await, ErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_subflow_that_says_nothing_is_an_unfinished_handshake() {
    // Over TCP half as many.
    let (server, client) = (Server::start(2), Identity::generate().expect("a key"));
    let (near, handshake) = tokio::join!(server.connect(&client, Purpose::Subflow), server.takes());
    assert_eq!(server.gate.open(), 1);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let honest = server.run(&client).await;
    let given_way = tokio::time::timeout(IDLE, handshake).await.expect("its place was needed");
    assert_eq!(given_way.expect("no panic").expect_err("given way").kind(), ErrorKind::Timeout);
    drop((near, honest));
}

#[tokio::test]
async fn what_a_subflow_may_not_say_ends_the_session() {
    let cut = &pack(0, "cut off")[..20];
    let mut malformed = pack(0, "x");
    malformed[8] = 7;
    for (said, kind) in [
        ([pack(0, "a"), pack(0, "b")].concat(), ErrorKind::Protocol),
        (malformed, ErrorKind::Protocol),
        (cut.to_vec(), ErrorKind::Closed),
    ] {
        let (server, client) = (Server::start(8), Identity::generate().expect("a key"));
        let mut run = server.run(&client).await;
        let mut stream = server.joined(&client, run.token, LANE).await;
        run.moves().await;
        say(&mut stream, &said).await;
        // Without the proper end of TLS: the client has died, and the run can be tried again.
        drop(stream);
        let error = run.failure().await;
        assert_eq!(error.kind(), kind, "{error}");
    }
}
