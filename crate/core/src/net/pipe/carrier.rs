//! What carries all streams of a connection: one task that reads, and one that writes.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use sparsync_proto::ErrorKind;
use sparsync_proto::mux::{
    Arrival, CREDIT_MAX, HEADER_BYTES, Header, Ledger, REASON_BYTES_MAX, SESSIONS_MAX, STREAMS, StreamId,
    granted_at_first,
};
use sparsync_proto::session::Violation;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::beside::{Beside, Part};
use super::command::Command;
use super::descriptor::{Sink, Source};
use super::lock;
use super::streams::{RecvStream, SendStream};
use super::subflows::{Role, Subflows};
use crate::error::{Error, Result};
use crate::net::WindowBudget;
use crate::net::close::{closed_by_peer, limited, tls_error};
use crate::net::control::LAST_FRAMES;
use crate::net::goodput::{Goodput, MEASURED_FROM_ROUND_TRIP};
use crate::transport::Connection as _;

/// Bytes that are asked for at once.
const READ_BYTES: usize = 128 << 10;

/// The most frames that wait to be written, of control lanes and of data lanes; each has 64 KiB at most.
const FRAMES_WAITING: usize = 4;

/// The most frames that wait although they did not wait for room. A peer that causes so many and reads none is hostile.
const UNREAD_MAX: usize = 8192;

/// Smaller chunks are copied, or each would keep the whole buffer that it was read into.
const COPIED_BELOW_BYTES: usize = 32 << 10;

/// Frames of one write.
const FRAMES_PER_WRITE: usize = 8;

/// How often the peer is asked for a sign of life where nothing else tells that it is gone. Middle boxes keep idle
/// connections for much longer.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// The round trip that is assumed until one was measured: that of a distant network.
const ROUND_TRIP_ASSUMED: Duration = Duration::from_millis(25);

/// A frame that is to be written. It holds its place in the queue until it is written.
pub(super) struct Out {
    header: Header,
    content: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// The queues of frames to be written, in the order in which they are looked at.
pub(super) struct Outgoing {
    urgent: mpsc::UnboundedReceiver<Out>,
    control: mpsc::UnboundedReceiver<Out>,
    data: mpsc::UnboundedReceiver<Out>,
}

/// The content of a stream, or its end.
pub(super) enum Item {
    Bytes(Bytes),
    End,
}

/// This end's ends of the streams of a session.
struct Streams {
    to: [mpsc::UnboundedSender<Item>; STREAMS],
    credit: [Arc<Semaphore>; STREAMS],
    /// The place of a session that this end has opened.
    _place: Option<OwnedSemaphorePermit>,
}

struct State {
    ledger: Ledger,
    sessions: HashMap<u32, Streams>,
    accepts: Option<mpsc::UnboundedSender<NewSession>>,
}

/// A session that has begun, with its streams in either direction.
pub(super) struct NewSession {
    pub(super) place: Place,
    pub(super) send: Vec<SendStream>,
    pub(super) recv: Vec<RecvStream>,
}

/// The state that the streams of one connection share.
pub(super) struct Carrier {
    state: Mutex<State>,
    urgent: mpsc::UnboundedSender<Out>,
    control: mpsc::UnboundedSender<Out>,
    data: mpsc::UnboundedSender<Out>,
    control_room: Arc<Semaphore>,
    data_room: Arc<Semaphore>,
    /// Places for sessions that this end opens.
    places: Arc<Semaphore>,
    closed: watch::Sender<Option<Error>>,
    written: watch::Sender<bool>,
    stop_writing: Notify,
    /// Frames that wait to be written.
    waiting: AtomicUsize,
    /// Runs and questions of this end that have not come to their end in order.
    unsettled: AtomicUsize,
    heard: AtomicU64,
    asked: Instant,
    round_trip_nanos: AtomicU64,
    /// Of its data lanes.
    pub(super) goodput: Goodput,
    /// The process at the other end of the descriptors, which knows more of an end than that it came.
    command: Option<Arc<Command>>,
    /// The transport that content moves to, if it does.
    pub(super) beside: Beside,
    /// Further connections for content, over TCP.
    pub(super) subflows: Subflows,
    /// The budget of unread bytes that lanes may hold beyond the least window.
    pub(super) windows: WindowBudget,
}

fn gone() -> Error {
    Error::new(ErrorKind::Closed, "the other end of the connection is gone").remote()
}

impl Carrier {
    /// A connection on which both ends were greeted, and the queue of sessions that the peer opens.
    pub(super) fn new(
        ledger: Ledger,
        command: Option<Arc<Command>>,
        (part, role): (Part, Role),
        windows: WindowBudget,
    ) -> (Arc<Self>, Outgoing, mpsc::UnboundedReceiver<NewSession>) {
        let (urgent, urgent_rx) = mpsc::unbounded_channel();
        let (control, control_rx) = mpsc::unbounded_channel();
        let (data, data_rx) = mpsc::unbounded_channel();
        let (accepts, accepted) = mpsc::unbounded_channel();
        let carrier = Arc::new(Self {
            state: Mutex::new(State { ledger, sessions: HashMap::new(), accepts: Some(accepts) }),
            urgent,
            control,
            data,
            control_room: Arc::new(Semaphore::new(FRAMES_WAITING)),
            data_room: Arc::new(Semaphore::new(FRAMES_WAITING)),
            places: Arc::new(Semaphore::new(SESSIONS_MAX)),
            closed: watch::channel(None).0,
            written: watch::channel(false).0,
            stop_writing: Notify::new(),
            waiting: AtomicUsize::new(0),
            unsettled: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            asked: Instant::now(),
            round_trip_nanos: AtomicU64::new(0),
            goodput: Goodput::default(),
            command,
            beside: Beside::new(part),
            subflows: Subflows::new(role),
            windows,
        });
        carrier.ask();
        (carrier, Outgoing { urgent: urgent_rx, control: control_rx, data: data_rx }, accepted)
    }

    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    pub(super) fn round_trip(&self) -> Duration {
        match self.round_trip_nanos.load(Ordering::Relaxed) {
            0 => ROUND_TRIP_ASSUMED,
            nanos => Duration::from_nanos(nanos),
        }
    }

    /// Bytes a second that the path of content takes, as far as it is known.
    pub(super) fn goodput(&self) -> Option<f64> {
        match self.beside.quic() {
            Some(quic) => quic.goodput(),
            None if self.round_trip() >= MEASURED_FROM_ROUND_TRIP => self.goodput.bytes_per_second(),
            None => None,
        }
    }

    pub(super) fn closed(&self) -> Option<Error> {
        self.closed.borrow().clone()
    }

    /// The peer is asked for something. What has its answer is [`Self::settled`]; what was given up, or failed, never
    /// is.
    pub(super) fn unsettled(&self) {
        self.unsettled.fetch_add(1, Ordering::Relaxed);
    }

    /// The peer has done what it was asked for.
    pub(super) fn settled(&self) {
        self.unsettled.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the peer has done all that it was asked for.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.load(Ordering::Relaxed) == 0
    }

    /// Why nothing more can be said on a stream.
    pub(super) fn why(&self) -> Error {
        let left = || Error::new(ErrorKind::Closed, "the peer takes no more of the session").remote();
        self.closed().unwrap_or_else(left)
    }

    fn say(
        &self,
        queue: &mpsc::UnboundedSender<Out>,
        header: Header,
        content: Bytes,
        room: Option<OwnedSemaphorePermit>,
    ) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Without a writer the connection is over, and callers that wait for an answer are told that.
        let _ = queue.send(Out { header, content, _room: room });
    }

    fn queue(&self, id: StreamId) -> (&mpsc::UnboundedSender<Out>, &Arc<Semaphore>) {
        if id.stream == 0 { (&self.control, &self.control_room) } else { (&self.data, &self.data_room) }
    }

    /// A place among the frames that wait to be written.
    pub(super) async fn room(&self, id: StreamId) -> Result<OwnedSemaphorePermit> {
        Arc::clone(self.queue(id).1).acquire_owned().await.map_err(|_| self.why())
    }

    /// Says bytes of a stream that were granted.
    pub(super) fn send(&self, id: StreamId, content: Bytes, room: OwnedSemaphorePermit) {
        let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
        self.say(self.queue(id).0, Header::Data(id, bytes), content, Some(room));
    }

    /// Ends a stream behind its frames so far.
    pub(super) fn end(&self, id: StreamId) {
        self.say(self.queue(id).0, Header::End(id), Bytes::new(), None);
    }

    /// Grants bytes of a stream.
    pub(super) fn grant(&self, id: StreamId, bytes: u32) {
        if lock(&self.state).ledger.grant(id, bytes) {
            self.say(&self.urgent, Header::Credit(id, bytes), Bytes::new(), None);
        }
    }

    /// The same, but in front of the next frame on a control lane, and behind the one that opens its session.
    pub(super) fn grant_in_turn(&self, id: StreamId, bytes: u32) {
        if lock(&self.state).ledger.grant(id, bytes) {
            self.say(&self.control, Header::Credit(id, bytes), Bytes::new(), None);
        }
    }

    /// Opens a session, when there is room for another.
    pub(super) async fn open(self: &Arc<Self>) -> Result<NewSession> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| self.why())?;
        let mut state = lock(&self.state);
        if let Some(error) = self.closed() {
            return Err(error);
        }
        let session = state.ledger.open().ok_or_else(|| Error::internal("a place for a session without a number"))?;
        Ok(self.begin(&mut state, session, Some(place)))
    }

    fn begin(self: &Arc<Self>, state: &mut State, session: u32, place: Option<OwnedSemaphorePermit>) -> NewSession {
        // Only the end that opens sessions has places for them.
        let opens = place.is_some();
        let mut number = 0..;
        let credit = [(); STREAMS].map(|()| {
            let at_first = granted_at_first(opens, number.next().unwrap_or_default());
            Arc::new(Semaphore::new(at_first as usize))
        });
        let mut recv = Vec::with_capacity(STREAMS);
        let mut send = Vec::with_capacity(STREAMS);
        let mut number = 0..;
        let to = [(); STREAMS].map(|()| {
            let (to, from) = mpsc::unbounded_channel();
            let id = StreamId { session, stream: number.next().unwrap_or_default() };
            recv.push(RecvStream::new(Arc::clone(self), id, from, granted_at_first(!opens, id.stream)));
            to
        });
        for (stream, credit) in (0u8..).zip(&credit) {
            send.push(SendStream::new(Arc::clone(self), StreamId { session, stream }, Arc::clone(credit)));
        }
        state.sessions.insert(session, Streams { to, credit, _place: place });
        NewSession { place: Place { carrier: Arc::clone(self), session }, send, recv }
    }

    /// Leaves a session behind its frames so far.
    fn leave(&self, session: u32) {
        let mut state = lock(&self.state);
        self.say(&self.control, Header::Stop(session), Bytes::new(), None);
        if let Some(streams) = state.sessions.get(&session) {
            streams.credit.iter().for_each(|credit| credit.close());
        }
        // A session's place is free only when both ends have left it: before, the peer has no room for another.
        if state.ledger.leave(session) || self.closed.borrow().is_some() {
            state.sessions.remove(&session);
        }
    }

    /// Ends the connection and all its sessions, with this side's reason if there is one.
    pub(super) fn close(&self, why: Option<&Error>) {
        let reason = Bytes::copy_from_slice(limited(why.map_or("", Error::message), REASON_BYTES_MAX).as_bytes());
        let kind = why.map_or(0, |error| error.kind().to_wire());
        let error = why.cloned().unwrap_or_else(|| Error::new(ErrorKind::Closed, "the connection was closed"));
        if self.finish(error) {
            let bytes = u32::try_from(reason.len()).unwrap_or_default();
            self.say(&self.control, Header::Close(kind, bytes), reason, None);
        }
    }

    /// Ends the connection with an error. Says whether it was alive before.
    fn finish(&self, error: Error) -> bool {
        let first = self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(error);
            first
        });
        if first {
            let mut state = lock(&self.state);
            state.accepts = None;
            for streams in state.sessions.values() {
                streams.credit.iter().for_each(|credit| credit.close());
            }
            // Chunks that have arrived are still read; no end comes behind them.
            state.sessions.clear();
            self.control_room.close();
            self.data_room.close();
            self.places.close();
            drop(state);
            self.beside.end();
        }
        first
    }

    /// Says something about QUIC beside the pipe.
    pub(super) fn arrange(&self, header: Header, content: Bytes) {
        self.say(&self.urgent, header, content, None);
    }

    /// Waits until the connection is over.
    pub(super) async fn over(&self) {
        let _ = self.closed.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until everything is written, when this side has closed the connection.
    pub(super) async fn all_written(&self) {
        let mut written = self.written.subscribe();
        let _ = written.wait_for(|written| *written).await;
    }

    /// Writes the queued frames until the connection is over.
    pub(super) async fn write_all(self: Arc<Self>, mut to: Sink, mut from: Outgoing) {
        let written = tokio::select! {
            written = write_all(&mut to, &mut from, &self.waiting) => written,
            () = self.stop_writing.notified() => Ok(()),
        };
        drop(to);
        self.written.send_replace(true);
        if let Err(error) = written {
            // The peer may have told the reason, which arrives on the other descriptor.
            tokio::time::sleep(LAST_FRAMES).await;
            self.finish(self.broken(error).await);
        }
    }

    /// Reads frames until the connection is over. `buffer` holds the bytes that came behind the preface.
    pub(super) async fn read_all(self: Arc<Self>, mut from: Source, mut buffer: BytesMut) {
        let error = loop {
            match self.take(&mut buffer) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => break error,
            }
            match from.read_behind(&mut buffer, READ_BYTES).await {
                Ok(0) => break self.ended().await,
                // On a slow path one frame may take longer than the peer may be silent, so every read counts as a sign
                // of life.
                Ok(_) => drop(self.heard.fetch_add(1, Ordering::Relaxed)),
                Err(error) => break self.broken(error).await,
            }
        };
        let is_ours = error.kind() == ErrorKind::Protocol;
        if is_ours {
            self.close(Some(&error));
        } else if self.finish(error) {
            self.stop_writing.notify_one();
        }
    }

    async fn ended(&self) -> Error {
        match &self.command {
            Some(command) => command.ended(true).await,
            None => gone(),
        }
    }

    /// Why nothing more can be read or written.
    async fn broken(&self, error: std::io::Error) -> Error {
        if let Some(told) = tls_error(&error) {
            return told.because(error);
        }
        self.ended().await.because(error)
    }

    /// Asks the peer for a sign of life now and then. Ends when the connection is over, or when nothing came for
    /// `idle`.
    pub(super) async fn stay_in_touch(&self, idle: Duration) {
        let mut closed = self.closed.subscribe();
        let (mut heard, mut heard_at) = (self.heard(), Instant::now());
        loop {
            tokio::select! {
                _ = closed.wait_for(Option::is_some) => return,
                () = tokio::time::sleep((idle / 4).min(ASK_EVERY)) => {}
            }
            if self.heard() != heard {
                (heard, heard_at) = (self.heard(), Instant::now());
            } else if heard_at.elapsed() >= idle {
                self.finish(Error::new(ErrorKind::Timeout, "nothing was heard from the peer for the idle timeout"));
                self.stop_writing.notify_one();
                return;
            }
            self.ask();
        }
    }

    /// Asks for a sign of life.
    pub(super) fn ask(&self) {
        self.say(&self.urgent, Header::Ping(1), Bytes::new(), None);
    }

    /// Stops writing, whatever is still queued.
    pub(super) fn give_up_writing(&self) {
        self.written.send_replace(true);
    }

    /// Takes a frame out of the buffer. Gives false when it is not complete yet.
    fn take(self: &Arc<Self>, buffer: &mut BytesMut) -> Result<bool> {
        if self.waiting.load(Ordering::Relaxed) > UNREAD_MAX {
            return Err(Error::protocol("a peer that asks on and reads no answer").remote());
        }
        let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(false) };
        let header = Header::decode(header).map_err(Error::unreadable)?;
        let content = header.content_bytes();
        if buffer.len() < HEADER_BYTES + content {
            return Ok(false);
        }
        buffer.advance(HEADER_BYTES);
        self.heard.fetch_add(1, Ordering::Relaxed);
        match header {
            Header::Data(id, bytes) => {
                let content = if content < COPIED_BELOW_BYTES {
                    let copied = Bytes::copy_from_slice(&buffer[..content]);
                    buffer.advance(content);
                    copied
                } else {
                    buffer.split_to(content).freeze()
                };
                self.arrived(id, Item::Bytes(content), |ledger| ledger.data(id, bytes))?;
            }
            Header::End(id) => self.arrived(id, Item::End, |ledger| ledger.end(id))?,
            Header::Credit(id, bytes) => self.granted(id, bytes)?,
            Header::Stop(session) => self.left_by_peer(session)?,
            Header::Close(kind, _) => {
                return Err(closed_by_peer(kind.into(), &buffer.split_to(content)));
            }
            Header::Ping(token) => self.say(&self.urgent, Header::Pong(token), Bytes::new(), None),
            Header::Ask => self.asked_for_quic(&buffer.split_to(content))?,
            Header::Offer => self.offered_quic(&buffer.split_to(content))?,
            Header::Stands(number) => self.quic_stands(number)?,
            Header::Pong(_) => {
                let nanos = u64::try_from(self.asked.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
                let _ = self.round_trip_nanos.compare_exchange(0, nanos, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
        Ok(true)
    }

    /// The peer grants bytes of a stream.
    fn granted(&self, id: StreamId, bytes: u32) -> Result<()> {
        let mut state = lock(&self.state);
        if state.ledger.credit(id)? == Arrival::Known
            && let Some(streams) = state.sessions.get(&id.session)
            && let Some(credit) = streams.credit.get(usize::from(id.stream))
        {
            if credit.available_permits() + bytes as usize > CREDIT_MAX as usize {
                return Err(Error::protocol("more room for a stream than it can have").remote());
            }
            credit.add_permits(bytes as usize);
        }
        Ok(())
    }

    /// The peer has left a session.
    fn left_by_peer(&self, session: u32) -> Result<()> {
        let mut state = lock(&self.state);
        if state.ledger.stop(session)? == Arrival::Gone {
            state.sessions.remove(&session);
        } else if let Some(streams) = state.sessions.get_mut(&session) {
            streams.credit.iter().for_each(|credit| credit.close());
            // Chunks that have arrived are still read; behind them comes only the end that was told.
            streams.to = [(); STREAMS].map(|()| mpsc::unbounded_channel().0);
        }
        Ok(())
    }

    /// Checks an arrived frame, and passes it to its stream.
    fn arrived(
        self: &Arc<Self>,
        id: StreamId,
        item: Item,
        note: impl FnOnce(&mut Ledger) -> std::result::Result<Arrival, Violation>,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        let arrival = note(&mut state.ledger)?;
        let mut unaccepted = None;
        if arrival == Arrival::New {
            let begun = self.begin(&mut state, id.session, None);
            unaccepted = match &state.accepts {
                Some(accepts) => accepts.send(begun).err().map(|unsent| unsent.0),
                None => Some(begun),
            };
        }
        let streams = state.sessions.get(&id.session).filter(|_| arrival != Arrival::Gone);
        if let Some(to) = streams.and_then(|streams| streams.to.get(usize::from(id.stream))) {
            // A receiver that is gone has left the session, or is about to, so the chunk is not missed.
            let _ = to.send(item);
        }
        drop(state);
        // The drop of a session that was not accepted takes the lock of the state, so the lock must be free here.
        drop(unaccepted);
        Ok(())
    }
}

/// Writes until no more frames can come, or the one that closes the connection is written.
async fn write_all(to: &mut Sink, from: &mut Outgoing, waiting: &AtomicUsize) -> std::io::Result<()> {
    let Outgoing { urgent, control, data } = from;
    loop {
        let first = tokio::select! {
            biased;
            Some(out) = urgent.recv() => out,
            Some(out) = control.recv() => out,
            Some(out) = data.recv() => out,
            else => return Ok(()),
        };
        let mut batch = vec![first];
        while batch.len() < FRAMES_PER_WRITE {
            match urgent.try_recv().or_else(|_| control.try_recv()).or_else(|_| data.try_recv()) {
                Ok(out) => batch.push(out),
                Err(_) => break,
            }
        }
        let headers: Vec<_> = batch.iter().map(|out| out.header.encode()).collect();
        let mut slices = Vec::with_capacity(batch.len() * 2);
        for (header, out) in headers.iter().zip(&batch) {
            slices.push(IoSlice::new(header));
            if !out.content.is_empty() {
                slices.push(IoSlice::new(&out.content));
            }
        }
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let written = to.write(rest).await?;
            IoSlice::advance_slices(&mut rest, written);
        }
        to.flush().await?;
        waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        if batch.iter().any(|out| matches!(out.header, Header::Close(..))) {
            return to.shutdown().await;
        }
    }
}

/// A session's place on its connection. This end has left the session when the place is dropped.
pub(super) struct Place {
    carrier: Arc<Carrier>,
    session: u32,
}

impl Place {
    pub(super) fn session(&self) -> u32 {
        self.session
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.carrier.leave(self.session);
    }
}
