//! Addresses, packets, and how an end is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;

#[tokio::test]
async fn sixty_four_mebibytes_arrive_whole_in_large_packets() {
    let server = Server::start("127.0.0.1:0").await;
    let connected = connect(options("127.0.0.1", server.port(), pinned(server.key))).await.expect("connected");
    let mut block = vec![0; 1 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut block);
    let block = Bytes::from(block);
    let content = vec![block; 64];
    let mut expected = blake3::Hasher::new();
    for chunk in &content {
        expected.update(chunk);
    }
    let answer = ask(&connected, &content).await.expect("an answer");
    assert!(answer.starts_with(expected.finalize().to_hex().as_str()));
    let path = connected.connection.stats().path;
    assert_eq!(path.current_mtu, MAX_MTU);
    assert_eq!(path.black_holes_detected, 0);
    server.stop().await;
}

#[tokio::test]
async fn discovery_finds_the_large_packets_that_were_not_begun_with() {
    let server = Server::start("127.0.0.1:0").await;
    let mut small = options("127.0.0.1", server.port(), pinned(server.key));
    small.initial_mtu = Some(1200);
    let connected = connect(small).await.expect("connected");
    let content = vec![Bytes::from(vec![7; 1 << 20]); 16];
    ask(&connected, &content).await.expect("an answer");
    assert!(connected.connection.stats().path.current_mtu > 1452);
    server.stop().await;
}

#[tokio::test]
async fn one_wildcard_socket_serves_both_families() {
    let server = Server::start("[::]:0").await;
    for (host, remote) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")] {
        let connected = connect(options(host, server.port(), pinned(server.key))).await.expect(host);
        assert_eq!(connected.remote, SocketAddr::new(remote.parse().expect(remote), server.port()));
        works(&connected).await;
    }
    let connected = connect(options("localhost", server.port(), pinned(server.key))).await.expect("by name");
    works(&connected).await;
    server.stop().await;
    let server = Server::start("[::1]:0").await;
    works(&connect(options("::1", server.port(), pinned(server.key))).await.expect("::1")).await;
    server.stop().await;
}

#[tokio::test]
async fn a_dead_address_does_not_keep_a_living_one_from_answering() {
    let server = Server::start("127.0.0.1:0").await;
    let options = Arc::new(options("both.invalid", server.port(), pinned(server.key)));
    let expected = super::connect::expected_keys(&options).expect("pins");
    let alive = server.listener.local_addr();
    // Bound and never read: packets vanish, as behind a firewall. And one where nothing is bound.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
    for dead in [silent.local_addr().expect("an address"), closed] {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let connected =
            super::connect::first_to_answer(&options, &expected, vec![dead, alive], deadline).await.expect("connected");
        assert_eq!(connected.remote, alive);
        works(&connected).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn when_nobody_answers_each_address_is_listed_with_its_reason() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
    let key = PublicKey::from_bytes([1; 32]);

    let error = connect(options("127.0.0.1", closed.port(), pinned(key))).await.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains(&closed.to_string()), "{error}");
    assert!(error.message().contains("refused"), "{error}");

    let address = silent.local_addr().expect("an address");
    let mut short = options("127.0.0.1", address.port(), pinned(key));
    short.connect_timeout = Duration::from_millis(100);
    let error = connect(short).await.expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.details().contains(&("phase".to_owned(), "connect".to_owned().into())), "{:?}", error.details());
    assert!(error.message().contains(&format!("{address}: no answer")), "{error}");

    let error = connect(options("no..where", 1, pinned(key))).await.expect_err("no such host");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("no..where"), "{error}");

    for (host, port) in [("", 1), ("127.0.0.1", 0)] {
        let error = connect(options(host, port, pinned(key))).await.expect_err("no address");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn a_server_for_everybody_listens_on_loopback_only() {
    for (address, good) in [
        ("127.0.0.1:0", true),
        ("[::1]:0", true),
        ("localhost:0", true),
        ("0.0.0.0:0", false),
        ("[::]:0", false),
        ("192.0.2.1:0", false),
    ] {
        let mut options = ListenOptions::new(address, Identity::generate().expect("a key"));
        options.anonymous = true;
        match listen(options).await {
            Ok(_) => assert!(good, "{address}"),
            Err(error) => {
                assert!(!good, "{error}");
                assert_eq!(error.kind(), ErrorKind::Config);
                assert!(error.message().contains(address), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_named() {
    let holder = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let taken = holder.local_addr().expect("an address").to_string();
    // The name is one that no resolver has to be asked for.
    for address in [taken.as_str(), "192.0.2.1:1", "no..where:1", "28792"] {
        let identity = Identity::generate().expect("a key");
        let error = listen(ListenOptions::new(address, identity)).await.expect_err(address);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(address), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_closes_tells_its_reason_and_one_that_is_gone_is_noticed() {
    let identity = Identity::generate().expect("a key");
    let listener = listen(ListenOptions::new("127.0.0.1:0", identity.clone())).await.expect("listening");
    let client = options("127.0.0.1", listener.local_addr().port(), pinned(identity.public_key()));
    let (connected, accepted) =
        tokio::join!(connect(client), async { listener.accept().await.expect("a client").finish().await });
    let (connected, accepted) = (connected.expect("connected"), accepted.expect("accepted"));
    assert_eq!(accepted.key, super::super::peer_key(&accepted.connection));
    close_with(&accepted.connection, &Error::new(ErrorKind::Busy, "held by \u{1b}laptop").at(b"/secret"));
    let error = connection_error(&connected.connection.closed().await);
    assert_eq!((error.kind(), error.side()), (ErrorKind::Busy, Side::Remote));
    assert_eq!(error.message(), "held by  laptop");

    let mut brief = options("127.0.0.1", listener.local_addr().port(), pinned(identity.public_key()));
    brief.idle_timeout = Duration::from_millis(200);
    let (connected, accepted) =
        tokio::join!(connect(brief), async { listener.accept().await.expect("a client").finish().await });
    let (connected, accepted) = (connected.expect("connected"), accepted.expect("accepted"));
    // From here on no task reads the server's socket.
    let mute = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    listener.endpoint().rebind(mute).expect("rebound");
    drop(accepted);
    let error = connection_error(&connected.connection.closed().await);
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Closed), "{error}");
}

/// The process of a short command ends right after its work.
#[tokio::test]
async fn a_client_that_ends_at_once_has_said_goodbye() {
    let identity = Identity::generate().expect("a key");
    let listener = listen(ListenOptions::new("127.0.0.1:0", identity.clone())).await.expect("listening");
    let client = options("127.0.0.1", listener.local_addr().port(), pinned(identity.public_key()));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let connected = connect(client).await.expect("connected");
            connected.connection.close(0u32.into(), b"");
            super::super::close_sent(&connected.connection).await;
        });
    });
    let accepted = listener.accept().await.expect("a client").finish().await;
    match accepted {
        Ok(accepted) => {
            let ended = accepted.connection.closed().await;
            assert!(matches!(ended, quinn::ConnectionError::ApplicationClosed(_)), "{ended}");
        }
        // The goodbye may come before the server has seen the end of the handshake; QUIC then hides its code.
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Protocol), "{error}"),
    }
    thread.join().expect("the client");
}
