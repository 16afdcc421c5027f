//! What a connection may hold unread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::*;

/// A client and a server of this process, with their connections.
async fn pair(through: impl AsyncFnOnce(SocketAddr) -> SocketAddr) -> (Listener, Connected, Accepted) {
    let identity = Identity::generate().expect("a key");
    let listener = listen(ListenOptions::new("127.0.0.1:0", identity.clone())).await.expect("listening");
    let address = through(listener.local_addr()).await;
    let client = options("127.0.0.1", address.port(), pinned(identity.public_key()));
    let (connected, accepted) =
        tokio::join!(connect(client), async { listener.accept().await.expect("a client").finish().await });
    (listener, connected.expect("connected"), accepted.expect("accepted"))
}

/// Carries datagrams to `server` and back, each after `delay`.
async fn far_away(server: SocketAddr, delay: Duration) -> SocketAddr {
    let near = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
    let far = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
    let address = near.local_addr().expect("an address");
    let (learnt, client) = tokio::sync::watch::channel(None);
    for (from, to, back) in [(Arc::clone(&near), Arc::clone(&far), false), (far, near, true)] {
        let (learnt, client) = (learnt.clone(), client.clone());
        let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
        tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((bytes, source)) = from.recv_from(&mut buffer).await {
                if !back {
                    learnt.send_replace(Some(source));
                }
                let _ = queue.send((tokio::time::Instant::now() + delay, buffer[..bytes].to_vec()));
            }
        });
        tokio::spawn(async move {
            while let Some((due, datagram)) = queued.recv().await {
                tokio::time::sleep_until(due).await;
                let target = if back { *client.borrow() } else { Some(server) };
                if let Some(target) = target {
                    let _ = to.send_to(&datagram, target).await;
                }
            }
        });
    }
    address
}

/// Whether something does not end when it is asked for the first time.
async fn is_pending(work: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    std::future::poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *work).poll(context).is_pending())).await
}

// The time here is that of a path: the window follows what is read in a round trip. How fast it goes does not matter,
// as long as 256 KiB are read within 50 ms, and no 500 MB a second over a round trip of a millisecond.
#[tokio::test]
async fn a_window_grows_where_the_round_trip_is_long_and_only_there() {
    for (delay, grows) in [(None, false), (Some(Duration::from_millis(25)), true)] {
        let (_listener, connected, accepted) = pair(async |server| match delay {
            Some(delay) => far_away(server, delay).await,
            None => server,
        })
        .await;
        let budget = WindowBudget::default();
        let window = budget.open(&accepted.connection);
        let mut send = connected.connection.open_uni().await.expect("a stream");
        let sending = tokio::spawn(async move {
            for _ in 0..48 {
                send.write_chunk(Bytes::from(vec![1; 1 << 20])).await.expect("written");
            }
            let _ = send.finish();
        });
        let mut receive = accepted.connection.accept_uni().await.expect("a stream");
        let lane = window.lane();
        let mut largest = 0;
        while let Some(chunk) = receive.read_chunk(1 << 18, true).await.expect("read") {
            lane.read(chunk.bytes.len());
            largest = largest.max(window.bytes());
        }
        sending.await.expect("sent");
        assert_eq!(largest > 4 << 20, grows, "{largest} bytes");
        drop(lane);
        assert_eq!(
            window.bytes(),
            super::super::parameters::LEAST_WINDOW_BYTES,
            "it is small again when the lane has ended"
        );
        let _next = window.lane();
        assert_eq!(window.bytes(), largest, "the next lane begins with what the path needs");
    }
}

#[tokio::test]
async fn a_lane_that_is_not_read_holds_up_no_other_for_long() {
    let (_listener, connected, accepted) = pair(async |server| server).await;
    let window = WindowBudget::default().open(&accepted.connection);
    let mut idle = connected.connection.open_uni().await.expect("a stream");
    let mut left = super::super::parameters::LEAST_WINDOW_BYTES as usize;
    while left > 0 {
        left -= idle.write(&vec![1; left]).await.expect("written");
    }
    let _unread = accepted.connection.accept_uni().await.expect("a stream");
    let mut other = connected.connection.open_uni().await.expect("a stream");
    // No room is given back, so a write that finds none at once never does.
    let write = async { other.write_all(b"a question").await.expect("written") };
    tokio::pin!(write);
    assert!(is_pending(&mut write).await, "the unread lane has used up the window");
    let mut lane = window.lane();
    lane.halt(true);
    tokio::time::timeout(Duration::from_secs(60), write).await.expect("room is lent");
    lane.halt(false);
    assert_eq!(window.bytes(), super::super::parameters::LEAST_WINDOW_BYTES);
}
