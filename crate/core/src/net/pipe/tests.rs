//! A pair of sockets in place of a pipe, and peers that break the framing.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use sparsync_proto::beside::{ASK_BYTES, OFFER_BYTES};
use sparsync_proto::mux::{CHUNK_BYTES_MAX, Header, PREFACE, StreamId, WINDOW_BYTES};
use sparsync_proto::{ErrorKind, Frame};

use super::{End, Part, PipeConnection, descriptor};
use crate::error::Error;
use crate::transport::{Connection, encoded};

pub(super) fn socket() -> (OwnedFd, OwnedFd) {
    let (a, b) = UnixStream::pair().expect("a pair of sockets");
    (a.into(), b.into())
}

pub(super) async fn over_with(fd: OwnedFd, end: End, part: Part) -> crate::error::Result<PipeConnection> {
    let other = fd.try_clone().expect("a second descriptor");
    PipeConnection::over(fd, other, end, "here".to_owned(), part).await
}

async fn over(fd: OwnedFd, end: End) -> crate::error::Result<PipeConnection> {
    over_with(fd, end, Part::None).await
}

/// The two ends of a connection: the one that opens sessions, and the one that accepts them.
pub(crate) async fn connection() -> (Arc<dyn Connection>, Arc<dyn Connection>) {
    let (a, b) = socket();
    let (near, far) = tokio::join!(over(a, End::Initiator), over(b, End::Acceptor));
    (Arc::new(near.expect("greeted")), Arc::new(far.expect("greeted")))
}

const CONTROL: StreamId = StreamId { session: 0, stream: 0 };
const NOT_ASKED: &str = "QUIC beside the pipe, which this end has not asked for";
const LANE: StreamId = StreamId { session: 0, stream: 1 };

/// An acceptor, and what a peer made by hand writes to it behind its greeting.
async fn told(frames: &[(Header, usize)]) -> Error {
    let (a, b) = socket();
    let mut to = descriptor::sink(a).expect("a descriptor");
    let mut bytes = PREFACE.to_vec();
    for (header, content) in frames {
        bytes.extend_from_slice(&header.encode());
        bytes.extend(std::iter::repeat_n(0, *content));
    }
    let writing = async {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match to.write(&[std::io::IoSlice::new(rest)]).await {
                Ok(written) => rest = &rest[written..],
                Err(_) => break,
            }
        }
    };
    let (far, ()) = tokio::join!(over(b, End::Acceptor), writing);
    let far = far.expect("greeted");
    while far.closed().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    far.closed().expect("closed")
}

#[tokio::test]
async fn a_peer_that_breaks_the_framing_is_told_and_left() {
    let chunk = u32::try_from(CHUNK_BYTES_MAX).expect("fits");
    let many = |id, count| (0..count).map(move |_| (Header::Data(id, chunk), CHUNK_BYTES_MAX));
    let beyond: Vec<_> = [(Header::Data(CONTROL, 1), 1)]
        .into_iter()
        .chain(many(LANE, WINDOW_BYTES as usize / CHUNK_BYTES_MAX + 1))
        .collect();
    let of_17: Vec<_> = (0..17).map(|session| (Header::Data(StreamId { session, stream: 0 }, 1), 1)).collect();
    let pings = vec![(Header::Ping(0), 0); 20_000];
    for (frames, what) in [
        (beyond, "more bytes of a stream than were granted"),
        (of_17, "more sessions at a time than one connection has"),
        (vec![(Header::Data(LANE, 1), 1)], "a session that nobody has opened"),
        (vec![(Header::Stop(0), 0)], "a session that nobody has opened"),
        (vec![(Header::End(CONTROL), 0), (Header::End(CONTROL), 0)], "a second end of a stream"),
        (
            vec![(Header::Data(CONTROL, 1), 1), (Header::Credit(CONTROL, 1 << 30), 0)],
            "more room for a stream than it can have",
        ),
        (pings, "a peer that asks on and reads no answer"),
        (vec![(Header::Ask, ASK_BYTES)], NOT_ASKED),
        (vec![(Header::Offer, OFFER_BYTES)], NOT_ASKED),
        (vec![(Header::Stands(0), 0)], NOT_ASKED),
    ] {
        let error = told(&frames).await;
        assert_eq!((error.kind(), error.message()), (ErrorKind::Protocol, what));
    }
}

#[tokio::test]
async fn what_comes_in_place_of_a_greeting_is_no_session() {
    for junk in [&b"Welcome to this machine\n"[..], b"\0SPSY", b"\0SPSX-1\n"] {
        let (a, b) = socket();
        rustix::io::write(&a, junk).expect("written");
        drop(a);
        let error = over(b, End::Acceptor).await.err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", junk.escape_ascii());
    }
    let (a, b) = socket();
    rustix::io::write(&a, b"\0SPSY-9\n").expect("written");
    assert_eq!(over(b, End::Acceptor).await.err().expect("refused").kind(), ErrorKind::Version);
}

#[tokio::test]
async fn a_session_that_nobody_reads_holds_up_no_other() {
    let (near, far) = connection().await;
    let mut stuck = near.open(Arc::default());
    let fill = encoded(&vec![Frame::Settled(7); 100_000]);
    let filling = tokio::spawn(async move {
        let written = stuck.write(fill).await;
        (stuck, written)
    });
    let unread = far.accept(Arc::default()).await.expect("a session");
    let mut other = near.open(Arc::default());
    other.write(encoded(&[Frame::hello()])).await.expect("written");
    let mut answers = far.accept(Arc::default()).await.expect("a session");
    assert!(matches!(answers.read().await, Ok(Some(Frame::Hello { .. }))));
    assert!(!filling.is_finished(), "it waits for room");
    drop(unread);
    let (_, written) = filling.await.expect("no panic");
    assert_eq!(written.expect_err("nobody reads it").kind(), ErrorKind::Closed);
    drop((other, answers));
}

/// Says that the connection is over, and has one more session begin behind that.
async fn late_session() {
    let (a, b) = socket();
    rustix::io::write(&a, &PREFACE).expect("written");
    let far = over(b, End::Acceptor).await.expect("greeted");
    far.close(None);
    let mut late = Header::Data(CONTROL, 1).encode().to_vec();
    late.push(0);
    rustix::io::write(&a, &late).expect("written");
    // The bytes are read by a task of this runtime.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    far.close_sent().await;
}

#[test]
fn a_session_that_comes_behind_the_end_holds_nothing_up() {
    // A lock that one thread takes twice would stop that thread, so the test waits on another one.
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(late_session());
        done.send(()).expect("somebody waits");
    });
    assert!(is_done.recv_timeout(std::time::Duration::from_secs(30)).is_ok(), "the runtime hangs");
}
