//! A server that is gone without a word, and paths that carry too little.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// A server on a runtime of its own, which ends without telling anybody, as a killed process does.
struct Doomed(tokio::runtime::Runtime, SocketAddr);

impl Doomed {
    fn start(address: &str, identity: &Identity) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let options = ListenOptions::new(address, identity.clone());
        let (to, from) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let _ = to.send(listen(options).await);
        });
        let listener = from.recv().expect("an answer").expect("listening");
        let address = listener.local_addr();
        runtime.spawn(async move {
            let mut accepted = Vec::new();
            while let Some(handshake) = listener.accept().await {
                accepted.push(handshake.finish().await);
            }
        });
        Self(runtime, address)
    }

    fn kill(self) -> SocketAddr {
        self.0.shutdown_background();
        self.1
    }
}

#[tokio::test]
async fn a_server_that_was_restarted_says_that_it_does_not_know_the_connection() {
    let identity = Identity::generate().expect("a key");
    let first = Doomed::start("127.0.0.1:0", &identity);
    let connected =
        connect(options("127.0.0.1", first.1.port(), pinned(identity.public_key()))).await.expect("connected");
    let address = first.kill();
    let second = loop {
        // The socket closes when the runtime's thread gets to it.
        if std::net::UdpSocket::bind(address).is_ok() {
            break Doomed::start(&address.to_string(), &identity);
        }
        tokio::task::yield_now().await;
    };
    let mut stream = connected.connection.open_uni().await.expect("a stream");
    stream.write_all(b"anybody there?").await.expect("written");
    let ended = connected.connection.closed().await;
    assert!(matches!(ended, quinn::ConnectionError::Reset), "{ended}");
    second.kill();
}

/// Carries datagrams of up to so many bytes to `server` and back.
async fn narrow(server: SocketAddr, most: Arc<AtomicUsize>) -> SocketAddr {
    let near = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = near.local_addr().expect("an address");
    tokio::spawn(async move {
        let near = Arc::new(near);
        let mut ways = std::collections::HashMap::new();
        let mut buffer = vec![0; 1 << 16];
        while let Ok((bytes, client)) = near.recv_from(&mut buffer).await {
            if bytes > most.load(Ordering::Relaxed) {
                continue;
            }
            if let std::collections::hash_map::Entry::Vacant(vacant) = ways.entry(client) {
                let far = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
                let (near, back, most) = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&most));
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok((bytes, _)) = back.recv_from(&mut buffer).await {
                        if bytes <= most.load(Ordering::Relaxed) {
                            let _ = near.send_to(&buffer[..bytes], client).await;
                        }
                    }
                });
                vacant.insert(far);
            }
            let _ = ways[&client].send_to(&buffer[..bytes], server).await;
        }
    });
    address
}

#[tokio::test]
async fn a_path_whose_packets_are_too_small_is_told_with_their_size() {
    let server = Server::start("127.0.0.1:0").await;
    let address = narrow(server.listener.local_addr(), Arc::new(AtomicUsize::new(1111))).await;
    let mut options = options("127.0.0.1", address.port(), pinned(server.key));
    options.connect_timeout = Duration::from_secs(600);
    let error = connect(options).await.expect_err("no handshake");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("1111 bytes"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_path_that_carries_less_in_the_middle_of_it_goes_on() {
    let server = Server::start("127.0.0.1:0").await;
    let most = Arc::new(AtomicUsize::new(usize::MAX));
    let address = narrow(server.listener.local_addr(), Arc::clone(&most)).await;
    let connected = connect(options("127.0.0.1", address.port(), pinned(server.key))).await.expect("connected");
    let content = vec![Bytes::from(vec![7; 1 << 18]); 8];
    ask(&connected, &content).await.expect("an answer");
    assert!(connected.connection.stats().path.current_mtu > 1252);
    most.store(1252, Ordering::Relaxed);
    ask(&connected, &content).await.expect("an answer");
    assert!(connected.connection.stats().path.current_mtu <= 1252);
    server.stop().await;
}
