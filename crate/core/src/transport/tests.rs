//! What every transport owes to the rest, asked of each of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sparsync_proto::Frame;
use sparsync_proto::pack::PackHeader;

use super::{Connection, Principal, SessionLanes, encoded, in_process};
use crate::engine::{Pack, Session, control_lane};
use crate::error::{Error, ErrorKind};
use crate::net::{self, ConnectOptions, ListenOptions, ServerTrust, TransportChoice, WindowBudget, pipe};
use crate::trust::Identity;

const TIMEOUT: Duration = Duration::from_secs(60);

/// The two ends of a connection: of who has opened it, and of who has accepted it.
type Ends = (Arc<dyn Connection>, Arc<dyn Connection>);

async fn quic() -> Ends {
    let (own, other) = (Identity::generate().expect("a key"), Identity::generate().expect("a key"));
    let listener = net::listen(ListenOptions::new("127.0.0.1:0", own.clone())).await.expect("listening");
    let mut options = ConnectOptions::new("127.0.0.1", listener.local_addr().port(), other.clone());
    options.trust = ServerTrust { pins: vec![own.public_key()], ..ServerTrust::default() };
    let (connected, accepted) =
        tokio::join!(net::connect(options), async { listener.accept().await.expect("a client").finish().await });
    let (near, far) =
        (connected.expect("connected").start(), accepted.expect("accepted").start(&WindowBudget::default()));
    assert_eq!(near.principal(), &Principal::Key(own.public_key()));
    assert_eq!(far.principal(), &Principal::Key(other.public_key()));
    (near, far)
}

fn one_process() -> Ends {
    let (near, far) = in_process::connection();
    let own = Principal::User(rustix::process::geteuid().as_raw());
    assert_eq!((near.principal(), far.principal()), (&own, &own));
    (Arc::new(near), Arc::new(far))
}

async fn tcp() -> Ends {
    let own = Identity::generate().expect("a key");
    let mut listening = ListenOptions::new("127.0.0.1:0", own.clone());
    listening.tcp = true;
    let listener = net::listen(listening).await.expect("listening");
    let mut options = ConnectOptions::new("127.0.0.1", listener.local_addr().port(), own.clone());
    options.trust = ServerTrust { pins: vec![own.public_key()], ..ServerTrust::default() };
    options.transport = TransportChoice::Tcp;
    let (dialed, arrived) =
        tokio::join!(net::dial(options), async { listener.next_client().await.expect("a client").finish().await });
    (dialed.expect("connected").connection, arrived.expect("arrived").start(&WindowBudget::default()))
}

async fn over_sockets() -> [Ends; 3] {
    [quic().await, pipe::tests::connection().await, tcp().await]
}

async fn transports() -> [Ends; 4] {
    let [quic, pipe, tcp] = over_sockets().await;
    [quic, one_process(), pipe, tcp]
}

/// A session, which one end has opened and the other has accepted.
async fn begun(
    near: &Arc<dyn Connection>,
    far: &Arc<dyn Connection>,
) -> (Box<dyn SessionLanes>, Box<dyn SessionLanes>) {
    let mut opened = near.open(Arc::default());
    opened.write(hello()).await.expect("written");
    let mut accepted = far.accept(Arc::default()).await.expect("a session");
    assert!(matches!(accepted.read().await, Ok(Some(Frame::Hello { .. }))));
    (opened, accepted)
}

fn hello() -> Vec<u8> {
    encoded(&[Frame::hello()])
}

fn pack(text: &'static str) -> Pack {
    let header = PackHeader { compressed: false, stored_bytes: text.len(), raw_bytes: text.len() };
    Pack::new(header, Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn a_control_lane_carries_words_both_ways_and_its_end() {
    for (near, far) in transports().await {
        let mut asks = near.open(Arc::default());
        asks.write(hello()).await.expect("written");
        let mut answers = far.accept(Arc::default()).await.expect("a session");
        assert!(matches!(answers.read().await, Ok(Some(Frame::Hello { oldest: 1, .. }))));
        let heard = near.heard();
        answers.write(encoded(&[Frame::Settled(7)])).await.expect("written");
        assert!(matches!(asks.read().await, Ok(Some(Frame::Settled(7)))));
        assert_ne!(near.heard(), heard, "the peer was heard");
        asks.finish();
        assert!(matches!(answers.read().await, Ok(None)));
        assert!(near.closed().is_none() && far.closed().is_none());
    }
}

#[tokio::test]
async fn a_peer_that_is_asked_for_a_sign_of_life_gives_one() {
    for (near, far) in [pipe::tests::connection().await, tcp().await] {
        // The first questions of both ends were answered.
        while near.heard() < 3 || far.heard() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        for end in [&near, &far] {
            let heard = end.heard();
            end.probe();
            let answer = async {
                while end.heard() == heard {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(TIMEOUT, answer).await.expect("a sign of life");
        }
    }
}

/// Carries a session in which one end sends a pack on each of two lanes, and the one that has opened it a frame; then
/// it ends as `end` says.
async fn carried((near, far): &Ends, near_sends: bool, end: Option<Error>) -> (Arc<Session>, Arc<Session>) {
    let (mut opened, mut accepted) = begun(near, far).await;
    let (out, mut from) =
        if near_sends { (opened.data_out(2), accepted.data_in(2)) } else { (accepted.data_out(2), opened.data_in(2)) };
    let (own, other) = (Arc::new(Session::new(false)), Arc::new(Session::new(false)));
    let ((own_control, own_transport), (mut other_control, other_transport)) =
        (control_lane(&own), control_lane(&other));
    let carried = [
        tokio::spawn(opened.carry(Arc::clone(&own), own_transport, TIMEOUT)),
        tokio::spawn(accepted.carry(Arc::clone(&other), other_transport, TIMEOUT)),
    ];
    for (lane, text) in out.iter().zip(["first", "second"]) {
        lane.send(pack(text)).await.expect("a lane");
    }
    for (lane, text) in from.iter_mut().zip(["first", "second"]) {
        assert_eq!(lane.recv().await.expect("a pack").bytes, text);
    }
    own_control.tx.send(&Frame::Settled(9)).expect("said");
    assert!(matches!(other_control.rx.recv().await, Some(Frame::Settled(9))));
    if let Some(error) = end {
        own.fail(error);
    } else {
        // The last word of a receiver whose session ends well arrives.
        own_control.tx.send(&Frame::Settled(10)).expect("said");
        own.end();
        if !near_sends {
            assert!(matches!(other_control.rx.recv().await, Some(Frame::Settled(10))));
        }
        other.end();
    }
    for task in carried {
        task.await.expect("carried");
    }
    (own, other)
}

#[tokio::test]
async fn data_lanes_carry_packs_either_way() {
    for ends in transports().await {
        for near_sends in [true, false] {
            let (own, other) = carried(&ends, near_sends, None).await;
            assert!(own.error().is_none() && other.error().is_none());
        }
    }
}

/// What a sender has half said when its receiver needs no more of it is let go.
#[tokio::test]
async fn a_control_lane_that_ends_inside_a_frame_leaves_time_to_be_done() {
    for (near, far) in over_sockets().await {
        let mut opened = near.open(Arc::default());
        opened.write([hello(), vec![9, 7, 1]].concat()).await.expect("written");
        opened.finish();
        let mut accepted = far.accept(Arc::default()).await.expect("a session");
        assert!(matches!(accepted.read().await, Ok(Some(Frame::Hello { .. }))));
        let session = Arc::new(Session::new(false));
        let (mut engine, transport) = control_lane(&session);
        engine.rx.close();
        let carried = tokio::spawn(accepted.carry(Arc::clone(&session), transport, TIMEOUT));
        // By then the end has been read.
        tokio::time::sleep(Duration::from_millis(100)).await;
        session.end();
        carried.await.expect("carried");
        assert!(session.error().is_none());
    }
}

/// An engine that a busy machine lets wait for longer than any network takes still hears what was said before the end.
#[tokio::test]
async fn what_a_peer_said_before_it_ended_is_heard_however_late() {
    for (near, far) in over_sockets().await {
        for near_sends in [true, false] {
            let (mut opened, mut accepted) = begun(&near, &far).await;
            let _lanes = near_sends.then(|| opened.data_out(1));
            let session = Arc::new(Session::new(false));
            let (mut engine, transport) = control_lane(&session);
            let carried = tokio::spawn(opened.carry(Arc::clone(&session), transport, TIMEOUT));
            accepted.write(encoded(&[Frame::Settled(1), Frame::Settled(2)])).await.expect("written");
            accepted.finish();
            tokio::time::sleep(Duration::from_millis(2500)).await;
            assert!(!session.is_over(), "{near_sends}");
            assert!(matches!(engine.rx.recv().await, Some(Frame::Settled(1))));
            assert!(matches!(engine.rx.recv().await, Some(Frame::Settled(2))));
            assert!(!session.is_over(), "the last frame is not dealt with yet");
            engine.rx.dealt_with();
            carried.await.expect("carried");
            assert_eq!(session.error().expect("an error").kind(), ErrorKind::Closed);
        }
    }
}

/// A connection that ends does so for a receiver of content that is busy, and for a sender whose result has not come.
#[tokio::test]
async fn a_lost_connection_ends_a_session_whose_engine_waits_for_content() {
    for (near, far) in over_sockets().await {
        let (mut opened, mut accepted) = begun(&near, &far).await;
        let _lanes = opened.data_in(1);
        let session = Arc::new(Session::new(false));
        let (mut engine, transport) = control_lane(&session);
        let carried = tokio::spawn(opened.carry(Arc::clone(&session), transport, TIMEOUT));
        // More than the engine's queue holds.
        accepted.write(encoded(&vec![Frame::Settled(1); 100])).await.expect("written");
        assert!(matches!(engine.rx.recv().await, Some(Frame::Settled(1))));
        far.close(Some(&Error::new(ErrorKind::Unauthorized, "the key was revoked")));
        far.close_sent().await;
        carried.await.expect("carried");
        assert_eq!(session.error().expect("an error").kind(), ErrorKind::Unauthorized);
    }
}

/// A receiver that has all content still hears what the peer tells besides, whatever ends meanwhile.
#[tokio::test]
async fn an_engine_that_needs_no_more_content_hears_what_was_said_before_the_end() {
    for (near, far) in over_sockets().await {
        let (mut opened, mut accepted) = begun(&near, &far).await;
        let _lanes = opened.data_in(1);
        let session = Arc::new(Session::new(false));
        let (mut engine, transport) = control_lane(&session);
        engine.rx.has_all_content();
        let carried = tokio::spawn(opened.carry(Arc::clone(&session), transport, TIMEOUT));
        accepted.write(encoded(&[Frame::Settled(1), Frame::Settled(2)])).await.expect("written");
        assert!(matches!(engine.rx.recv().await, Some(Frame::Settled(1))));
        accepted.finish();
        far.close(None);
        far.close_sent().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!session.is_over(), "not all is heard");
        assert!(matches!(engine.rx.recv().await, Some(Frame::Settled(2))));
        engine.rx.dealt_with();
        carried.await.expect("carried");
    }
}

#[tokio::test]
async fn the_reason_of_an_end_reaches_the_other_side() {
    for ends in transports().await {
        for near_sends in [true, false] {
            let why = Error::new(ErrorKind::NoSpace, "the disk is full");
            let (_, other) = carried(&ends, near_sends, Some(why)).await;
            let told = other.error().expect("an error");
            assert_eq!((told.kind(), told.message()), (ErrorKind::NoSpace, "the disk is full"));
        }
    }
}

#[tokio::test]
async fn a_closed_connection_says_why_and_ends_what_is_on_it() {
    for (near, far) in transports().await {
        let mut opened = near.open(Arc::default());
        opened.write(hello()).await.expect("written");
        let session = Arc::new(Session::new(false));
        let (control, transport) = control_lane(&session);
        let carried = tokio::spawn(opened.carry(Arc::clone(&session), transport, TIMEOUT));
        let accepted = far.accept(Arc::default()).await.expect("a session");
        far.close(Some(&Error::new(ErrorKind::Unauthorized, "the key was revoked")));
        far.close_sent().await;
        carried.await.expect("carried");
        let told = session.error().expect("an error");
        assert_eq!((told.kind(), told.message()), (ErrorKind::Unauthorized, "the key was revoked"));
        let closed = near.closed().expect("closed");
        assert_eq!((closed.kind(), closed.message()), (ErrorKind::Unauthorized, "the key was revoked"));
        assert!(far.closed().is_some());
        assert!(near.accept(Arc::default()).await.is_none());
        assert!(far.accept(Arc::default()).await.is_none());
        drop((accepted, control));
    }
}

#[tokio::test]
async fn a_session_whose_other_end_is_dropped_does_not_hang() {
    for (near, far) in transports().await {
        let mut opened = near.open(Arc::default());
        opened.write(hello()).await.expect("written");
        drop(far.accept(Arc::default()).await.expect("a session"));
        assert!(matches!(opened.read().await, Ok(None) | Err(_)));
    }
}
