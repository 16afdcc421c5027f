//! Whether a server's machine can be reached, as far as the system is told.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use super::address::any_address;

/// Ends when the system reports that nothing listens at `remote` or that no route leads there; never otherwise.
///
/// QUIC's own socket is not connected, so the kernel gives it no such report and a server that is not running would
/// look like one that does not answer. A connected socket gets one; its one byte is no QUIC packet, and every QUIC
/// server ignores it. Reports can be wrong, so the handshake keeps some round trips' time to finish all the same.
pub(super) async fn refused(remote: SocketAddr) -> io::Error {
    let started = Instant::now();
    let report = async {
        let socket = UdpSocket::bind(any_address(remote)).await?;
        socket.connect(remote).await?;
        socket.send(&[0]).await?;
        socket.recv(&mut [0; 1]).await
    };
    match report.await {
        Err(error) if tells_of_the_path(&error) => {
            sleep(started.elapsed() * 4 + Duration::from_millis(50)).await;
            error
        }
        _ => std::future::pending().await,
    }
}

fn tells_of_the_path(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied
    )
}

/// How long a handshake may go unanswered before the path is looked at.
const SEARCH_AFTER: Duration = Duration::from_millis(1500);

/// When a size that is known roughly is enough.
const SEARCH_TAKES: Duration = Duration::from_secs(3);

/// The size that a handshake has, and that QUIC may count on.
const NEEDED_BYTES: usize = 1200;

/// A datagram that any path carries, and that is long enough to be answered.
const SMALL_BYTES: usize = 64;

/// How long an answer is waited for, twice as long where the small datagram took half of it, and how often that is
/// tried.
const ANSWER_WITHIN: Duration = Duration::from_millis(150);
const TRIES: u32 = 3;

/// A server sends a stateless reset to strangers at most every 20 ms.
const BETWEEN: Duration = Duration::from_millis(25);

/// Ends when small datagrams are answered by `remote` and those of 1200 bytes are not, with a size that is and a larger
/// one that is not, next to each other if time allows; never otherwise.
///
/// A QUIC server answers a packet of a connection that it does not know with a shorter one that says so, a stateless
/// reset. It needs no handshake, which takes 1200 bytes each way.
pub(super) async fn too_narrow(remote: SocketAddr) -> (usize, usize) {
    sleep(SEARCH_AFTER).await;
    match widest(remote).await {
        Ok(Some(widest)) => widest,
        _ => std::future::pending().await,
    }
}

async fn widest(remote: SocketAddr) -> io::Result<Option<(usize, usize)>> {
    let socket = UdpSocket::bind(any_address(remote)).await?;
    socket.connect(remote).await?;
    // As QUIC's own socket is: the system would cut a datagram that is too large into pieces, which say nothing of the
    // path.
    let _ = quinn::udp::UdpSocketState::new((&socket).into());
    let began = Instant::now();
    if !is_answered(&socket, SMALL_BYTES, ANSWER_WITHIN * 6).await {
        return Ok(None);
    }
    let within = ANSWER_WITHIN.max(began.elapsed() * 2);
    if is_answered(&socket, NEEDED_BYTES, within).await {
        return Ok(None);
    }
    let (mut passes, mut fails) = (SMALL_BYTES, NEEDED_BYTES);
    let until = Instant::now() + SEARCH_TAKES;
    while fails - passes > 1 && Instant::now() < until {
        let middle = usize::midpoint(passes, fails);
        if is_answered(&socket, middle, within).await { passes = middle } else { fails = middle }
    }
    Ok(Some((passes, fails)))
}

/// Whether anything comes back for a datagram of that size.
async fn is_answered(socket: &UdpSocket, bytes: usize, within: Duration) -> bool {
    let mut datagram = vec![0; bytes];
    // A short header with an identifier that was never given out. The bytes behind it must not be the same twice.
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), bytes);
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut datagram);
    datagram[0] = 0x40 | (datagram[0] & 0x3f);
    for _ in 0..TRIES {
        sleep(BETWEEN).await;
        // An error says that this machine knows the size to be too large, or reports on the path; neither is an answer.
        if socket.send(&datagram).await.is_err() {
            continue;
        }
        let answer = tokio::time::timeout(within, socket.recv(&mut [0; 1500])).await;
        if matches!(answer, Ok(Ok(_))) {
            return true;
        }
    }
    false
}
