//! QUIC beside a pipe, and those who come to its port without being meant.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use sparsync_proto::ErrorKind;
use sparsync_proto::beside::{Ask, OFFER_BYTES, Offer};
use sparsync_proto::mux::{HEADER_BYTES, Header, PREFACE};

use super::beside::{BesideOptions, Part};
use super::descriptor::{self, Sink, Source};
use super::tests::{over_with, socket};
use super::{End, PipeConnection};
use crate::error::{Error, Result};
use crate::net::Congestion;
use crate::net::Route;
use crate::net::connect::{ConnectOptions, Connected, connect};
use crate::transport::{Connection as _, Transport};
use crate::trust::{Identity, PublicKey};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn end(fd: OwnedFd, end: End, part: Part) -> PipeConnection {
    over_with(fd, end, part).await.expect("greeted")
}

fn asks(host: &str) -> Part {
    Part::Asks(BesideOptions {
        host: host.to_owned(),
        ports: (0, 0),
        is_required: true,
        congestion: Congestion::default(),
        route: Route::default(),
    })
}

/// What asks by hand, and the end that offers.
struct Asking {
    from: Source,
    to: Sink,
    buffer: BytesMut,
    far: PipeConnection,
}

impl Asking {
    async fn begin(ports: (u16, u16), identity: &Identity) -> Self {
        let (a, b) = socket();
        let from = descriptor::source(a.try_clone().expect("a second descriptor")).expect("a source");
        let mut to = descriptor::sink(a).expect("a sink");
        to.write_all(&PREFACE).await.expect("written");
        let far = end(b, End::Acceptor, Part::Offers(Some(HERE))).await;
        to.write_all(&Header::Ask.encode()).await.expect("written");
        let ask = Ask { key: *identity.public_key().as_bytes(), ports };
        to.write_all(&ask.encode()).await.expect("written");
        let mut asking = Self { from, to, buffer: BytesMut::new(), far };
        asking.read(PREFACE.len()).await;
        asking
    }

    async fn read(&mut self, count: usize) -> BytesMut {
        while self.buffer.len() < count {
            assert_ne!(self.from.read_behind(&mut self.buffer, 1024).await.expect("read"), 0, "it has not ended");
        }
        self.buffer.split_to(count)
    }

    /// The next frame that is not a question for a sign of life.
    async fn next(&mut self) -> Header {
        loop {
            let mut head = self.read(HEADER_BYTES).await;
            let mut bytes = [0; HEADER_BYTES];
            head.copy_to_slice(&mut bytes);
            match Header::decode(&bytes).expect("a header") {
                Header::Ping(_) => {}
                header => return header,
            }
        }
    }

    async fn offer(&mut self) -> Offer {
        assert_eq!(self.next().await, Header::Offer);
        Offer::decode(&self.read(OFFER_BYTES).await).expect("an offer")
    }
}

async fn dial(offer: Offer, identity: &Identity) -> Result<Connected> {
    let mut options = ConnectOptions::new("127.0.0.1", offer.port, identity.clone());
    options.trust.pins = vec![PublicKey::from_bytes(offer.key)];
    options.connect_timeout = Duration::from_secs(30);
    connect(options).await
}

#[tokio::test]
async fn both_ends_know_when_it_stands() {
    let (a, b) = socket();
    let (near, far) =
        tokio::join!(end(a, End::Initiator, asks("localhost")), end(b, End::Acceptor, Part::Offers(Some(HERE))));
    near.carrier.require_quic().await.expect("it stands");
    far.carrier.beside.stands().await;
    assert_eq!(near.transport(), Transport::Pipe, "nothing went over it yet");
    let quic = near.carrier.beside.standing().expect("it stands");
    assert_eq!(near.transport(), Transport::Quic);
    near.close(None);
    near.close_sent().await;
    assert_eq!(quic.ended().await.kind(), ErrorKind::Closed);
    while far.carrier.beside.standing().is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_end_without_a_port_or_an_address_says_so() {
    let taken = std::net::UdpSocket::bind(SocketAddr::new(HERE, 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let required = async |ports, part| {
        let (a, b) = socket();
        let asks = Part::Asks(BesideOptions {
            host: "name.invalid".to_owned(),
            ports,
            is_required: true,
            congestion: Congestion::default(),
            route: Route::default(),
        });
        let (near, _far) = tokio::join!(end(a, End::Initiator, asks), end(b, End::Acceptor, part));
        near.carrier.require_quic().await.expect_err("it does not stand")
    };
    let error: Error = required((port, port), Part::Offers(Some(HERE))).await;
    assert!(error.message().contains("no port"), "{error}");
    let error = required((0, 0), Part::Offers(None)).await;
    assert!(error.message().contains("does not know its address"), "{error}");
    // The peer has no such frames.
    assert_eq!(required((0, 0), Part::None).await.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn one_peer_is_let_in_once() {
    let (mine, stranger) = (Identity::generate().expect("a key"), Identity::generate().expect("a key"));
    let mut asking = Asking::begin((0, 0), &mine).await;
    let offer = asking.offer().await;
    assert_eq!(offer.address, Some(HERE));
    // A client's handshake ends before the server has checked the client's key.
    let refused = match dial(offer, &stranger).await {
        Ok(connected) => crate::net::connection_error(&connected.connection.closed().await),
        Err(error) => error,
    };
    assert_eq!(refused.kind(), ErrorKind::Unauthorized, "{refused}");
    let wrong = Offer { key: *stranger.public_key().as_bytes(), ..offer };
    let error = dial(wrong, &mine).await.expect_err("another key");
    assert_eq!(error.kind(), ErrorKind::HostKeyChanged, "{error}");
    let quic = dial(offer, &mine).await.expect("let in").into_quic();
    assert_eq!(asking.next().await, Header::Stands(quic.number()));
    assert!(asking.far.carrier.beside.standing().is_none(), "not before this end has said so");
    let again = dial(offer, &mine).await;
    assert!(again.is_err(), "nobody comes in any more");
    asking.to.write_all(&Header::Stands(quic.number()).encode()).await.expect("written");
    asking.far.carrier.beside.stands().await;
}

#[tokio::test]
async fn another_connection_than_the_one_that_stands_is_not_used() {
    let mine = Identity::generate().expect("a key");
    let mut asking = Asking::begin((0, 0), &mine).await;
    let offer = asking.offer().await;
    let quic = dial(offer, &mine).await.expect("let in").into_quic();
    let Header::Stands(number) = asking.next().await else { panic!("it stands") };
    asking.to.write_all(&Header::Stands(number ^ 2).encode()).await.expect("written");
    quic.ended().await;
    assert!(asking.far.carrier.beside.standing().is_none());
}

#[tokio::test]
async fn who_asks_twice_breaks_the_protocol() {
    let mine = Identity::generate().expect("a key");
    let mut asking = Asking::begin((0, 0), &mine).await;
    asking.offer().await;
    let ask = Ask { key: *mine.public_key().as_bytes(), ports: (0, 0) };
    asking.to.write_all(&Header::Ask.encode()).await.expect("written");
    asking.to.write_all(&ask.encode()).await.expect("written");
    while asking.far.closed().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = asking.far.closed().expect("closed");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Protocol, "QUIC beside the pipe is asked for twice"));
}
