//! Several streams over one pair of byte streams: its frames, and what either end may say when.
//!
//! A stream is the control lane or a data lane of a session, in one direction. Whoever reads a stream grants what may
//! be sent on it, so a stream that nobody reads holds up no other, and what waits to be read is bounded.

use std::collections::HashMap;

use crate::beside::{ASK_BYTES, OFFER_BYTES};
use crate::codec::DecodeError;
use crate::limits::LANES_MAX;
use crate::session::Violation;

/// The first bytes of each end. No text begins like this, so the output of a shell is not taken for a session.
pub const PREFACE: [u8; 8] = *b"\0SPSY-1\n";

/// Bytes of the preface that are the same in all versions of the framing.
pub const PREFACE_NAME_BYTES: usize = 6;

/// Bytes in front of each frame.
pub const HEADER_BYTES: usize = 10;

/// Bytes of content of one frame.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// What a frame with content uses up of the granted bytes besides its own, so that many small frames cannot hold more
/// memory.
pub const CHUNK_COST: u32 = 256;

/// Bytes that may be sent on a new stream before anything is granted; see [`granted_at_first`].
pub const WINDOW_BYTES: u32 = 256 << 10;

/// Bytes that may be sent on a new stream before anything is granted. The end that opens sessions sends no content
/// before it is granted, so that a session that was not accepted yet takes little memory.
#[must_use]
pub const fn granted_at_first(from_who_opens: bool, stream: u8) -> u32 {
    if from_who_opens && stream > 0 { 0 } else { WINDOW_BYTES }
}

/// The most that may be granted at a time.
pub const CREDIT_MAX: u32 = 1 << 30;

/// Sessions of one connection at the same time.
pub const SESSIONS_MAX: usize = 16;

/// Bytes of the reason with which a connection is closed.
pub const REASON_BYTES_MAX: usize = 1024;

/// The streams that a session has in each direction: one for control, and its data lanes.
pub const STREAMS: usize = 1 + LANES_MAX as usize;

/// A stream in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// The session.
    pub session: u32,
    /// 0 for its control lane, 1 and on for its data lanes.
    pub stream: u8,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// So many bytes of a stream follow.
    Data(StreamId, u32),
    /// So many more bytes may be sent on a stream.
    Credit(StreamId, u32),
    /// The stream has ended, and is whole.
    End(StreamId),
    /// The end that sends this has left the session: it reads and sends nothing more of it.
    Stop(u32),
    /// The connection is over for this byte of an error kind, 0 for none; so many bytes of a reason follow.
    Close(u8, u32),
    /// Asks for the same number.
    Ping(u32),
    /// Answers.
    Pong(u32),
    /// An [`Ask`](crate::beside::Ask) for QUIC beside the pipe follows.
    Ask,
    /// The [`Offer`](crate::beside::Offer) that answers it follows.
    Offer,
    /// QUIC stands, and both ends derive this number from it; 0 when the end that sends this has given QUIC up.
    Stands(u32),
}

impl Header {
    /// Bytes that follow.
    #[must_use]
    pub const fn content_bytes(self) -> usize {
        match self {
            Self::Data(_, bytes) | Self::Close(_, bytes) => bytes as usize,
            Self::Ask => ASK_BYTES,
            Self::Offer => OFFER_BYTES,
            Self::Credit(..) | Self::End(_) | Self::Stop(_) | Self::Ping(_) | Self::Pong(_) | Self::Stands(_) => 0,
        }
    }

    /// As it travels: type, stream, session, value.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let (kind, stream, session, value) = match self {
            Self::Data(id, bytes) => (70, id.stream, id.session, bytes),
            Self::Credit(id, bytes) => (71, id.stream, id.session, bytes),
            Self::End(id) => (72, id.stream, id.session, 0),
            Self::Stop(session) => (73, 0, session, 0),
            Self::Close(kind, bytes) => (74, kind, 0, bytes),
            Self::Ping(token) => (75, 0, 0, token),
            Self::Pong(token) => (76, 0, 0, token),
            Self::Ask => (77, 0, 0, 0),
            Self::Offer => (78, 0, 0, 0),
            Self::Stands(number) => (79, 0, 0, number),
        };
        let mut out = [0; HEADER_BYTES];
        out[0] = kind;
        out[1] = stream;
        out[2..6].copy_from_slice(&session.to_be_bytes());
        out[6..].copy_from_slice(&value.to_be_bytes());
        out
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, DecodeError> {
        let malformed = |what| DecodeError::Malformed { what };
        let [kind, stream, s0, s1, s2, s3, v0, v1, v2, v3] = *bytes;
        let (session, value) = (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([v0, v1, v2, v3]));
        let id = StreamId { session, stream };
        let is_stream = usize::from(stream) < STREAMS;
        let read = match kind {
            70 if is_stream && value > 0 && value as usize <= CHUNK_BYTES_MAX => Self::Data(id, value),
            71 if is_stream && value > 0 && value <= CREDIT_MAX => Self::Credit(id, value),
            72 if is_stream => Self::End(id),
            73 => Self::Stop(session),
            74 if value as usize <= REASON_BYTES_MAX => Self::Close(stream, value),
            75 => Self::Ping(value),
            76 => Self::Pong(value),
            77 => Self::Ask,
            78 => Self::Offer,
            79 => Self::Stands(value),
            70..=74 => return Err(malformed("a frame of a stream with a value that it cannot have")),
            _ => return Err(malformed("a frame of a kind that streams do not have")),
        };
        // The parts that a kind does not use must be 0, so that a frame has only one encoding.
        if read.encode() == *bytes { Ok(read) } else { Err(malformed("a frame of a stream that is spelled otherwise")) }
    }
}

/// Where something that came belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// To a session that it opens.
    New,
    /// To one that is known.
    Known,
    /// The stream is over at either end: the frame was on its way, and is dropped.
    Gone,
}

/// The streams that are open on one connection, and the frames that may still come on them.
#[derive(Debug)]
pub struct Ledger {
    opens: bool,
    /// Sessions that the peer may have open at a time, and streams of each.
    sessions_max: usize,
    streams_max: u8,
    next: u32,
    sessions: HashMap<u32, Session>,
}

#[derive(Debug)]
struct Session {
    streams: [Incoming; STREAMS],
    left: bool,
    left_by_peer: bool,
}

#[derive(Clone, Copy, Debug)]
struct Incoming {
    room: u32,
    ended: bool,
}

impl Session {
    /// `opens` says which end keeps the ledger.
    fn new(opens: bool) -> Self {
        let mut streams = [Incoming { room: 0, ended: false }; STREAMS];
        for (number, stream) in (0u8..).zip(&mut streams) {
            stream.room = granted_at_first(!opens, number);
        }
        Self { streams, left: false, left_by_peer: false }
    }
}

impl Ledger {
    /// The ledger of the end that opens sessions, or of the one that accepts them.
    #[must_use]
    pub fn new(opens: bool) -> Self {
        let streams_max = u8::try_from(STREAMS).unwrap_or(u8::MAX);
        Self { opens, sessions_max: SESSIONS_MAX, streams_max, next: 0, sessions: HashMap::new() }
    }

    /// The ledger of an end that accepts one session at a time, and only its control lane: for a stranger.
    #[must_use]
    pub fn of_one_question() -> Self {
        Self { sessions_max: 1, streams_max: 1, ..Self::new(false) }
    }

    /// Opens a session; none when there is no room for another, or no number is left.
    pub fn open(&mut self) -> Option<u32> {
        let next = self.next.checked_add(1).filter(|_| self.opens && self.sessions.len() < SESSIONS_MAX)?;
        let session = std::mem::replace(&mut self.next, next);
        self.sessions.insert(session, Session::new(self.opens));
        Some(session)
    }

    /// Bytes of a stream have come.
    pub fn data(&mut self, id: StreamId, bytes: u32) -> Result<Arrival, Violation> {
        let opened = self.known(id)?;
        if id.stream >= self.streams_max {
            return Err(Violation::new("a stream that no session has"));
        }
        let Some(session) = self.alive(id.session) else { return Ok(Arrival::Gone) };
        let Some(stream) = session.streams.get_mut(usize::from(id.stream)) else {
            return Err(Violation::new("a stream that no session has"));
        };
        if stream.ended {
            return Err(Violation::new("bytes of a stream that has ended"));
        }
        let Some(room) = stream.room.checked_sub(bytes.saturating_add(CHUNK_COST)) else {
            return Err(Violation::new("more bytes of a stream than were granted"));
        };
        stream.room = room;
        Ok(opened)
    }

    /// A stream has ended.
    pub fn end(&mut self, id: StreamId) -> Result<Arrival, Violation> {
        let opened = self.known(id)?;
        let Some(session) = self.alive(id.session) else { return Ok(Arrival::Gone) };
        match session.streams.get_mut(usize::from(id.stream)) {
            Some(stream) if !stream.ended => stream.ended = true,
            _ => return Err(Violation::new("a second end of a stream")),
        }
        Ok(opened)
    }

    /// The peer grants bytes.
    pub fn credit(&mut self, id: StreamId) -> Result<Arrival, Violation> {
        self.no_new(id.session)?;
        Ok(if self.alive(id.session).is_some() { Arrival::Known } else { Arrival::Gone })
    }

    /// The peer has left a session. Says whether this end is still in it.
    pub fn stop(&mut self, session: u32) -> Result<Arrival, Violation> {
        self.no_new(session)?;
        let Some(known) = self.sessions.get_mut(&session) else { return Ok(Arrival::Gone) };
        if std::mem::replace(&mut known.left_by_peer, true) {
            return Err(Violation::new("a session that is left twice"));
        }
        if known.left {
            self.sessions.remove(&session);
            return Ok(Arrival::Gone);
        }
        Ok(Arrival::Known)
    }

    /// This end has left a session. Says whether the peer has left it, too, so that there is room for another.
    pub fn leave(&mut self, session: u32) -> bool {
        let Some(known) = self.sessions.get_mut(&session) else { return false };
        known.left = true;
        let is_over = known.left_by_peer;
        if is_over {
            self.sessions.remove(&session);
        }
        is_over
    }

    /// This end grants bytes. Says whether the peer is still there to be told.
    pub fn grant(&mut self, id: StreamId, bytes: u32) -> bool {
        let Some(session) = self.alive(id.session) else { return false };
        let Some(stream) = session.streams.get_mut(usize::from(id.stream)).filter(|stream| !stream.ended) else {
            return false;
        };
        stream.room = stream.room.saturating_add(bytes);
        true
    }

    /// A session that neither end has left.
    fn alive(&mut self, session: u32) -> Option<&mut Session> {
        self.sessions.get_mut(&session).filter(|session| !session.left && !session.left_by_peer)
    }

    fn no_new(&self, session: u32) -> Result<(), Violation> {
        if session < self.next { Ok(()) } else { Err(Violation::new("a session that nobody has opened")) }
    }

    /// Opens the session of a peer's first frame on a control stream. Sessions must come in order.
    fn known(&mut self, id: StreamId) -> Result<Arrival, Violation> {
        if self.opens || id.session != self.next || id.stream != 0 {
            return self.no_new(id.session).map(|()| Arrival::Known);
        }
        if self.sessions.len() >= self.sessions_max {
            return Err(Violation::new("more sessions at a time than one connection has"));
        }
        self.next = self.next.checked_add(1).ok_or_else(|| Violation::new("no number is left for a session"))?;
        self.sessions.insert(id.session, Session::new(self.opens));
        Ok(Arrival::New)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Arrival, CHUNK_BYTES_MAX, CHUNK_COST, CREDIT_MAX, HEADER_BYTES, Header, Ledger, SESSIONS_MAX, StreamId,
        WINDOW_BYTES,
    };

    const CONTROL: StreamId = StreamId { session: 0, stream: 0 };
    const LANE: StreamId = StreamId { session: 0, stream: 4 };

    fn accepting() -> Ledger {
        let mut ledger = Ledger::new(false);
        assert_eq!(ledger.data(CONTROL, 1), Ok(Arrival::New));
        ledger
    }

    #[test]
    fn a_header_has_one_spelling() {
        let chunk = u32::try_from(CHUNK_BYTES_MAX).expect("fits");
        for header in [
            Header::Data(LANE, chunk),
            Header::Credit(CONTROL, CREDIT_MAX),
            Header::End(LANE),
            Header::Stop(u32::MAX),
            Header::Close(9, 1024),
            Header::Ping(7),
            Header::Pong(7),
            Header::Ask,
            Header::Offer,
            Header::Stands(u32::MAX),
            Header::Stands(0),
        ] {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        let bad: &[[u8; HEADER_BYTES]] = &[
            [69, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [77, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [79, 0, 0, 0, 0, 1, 0, 0, 0, 2],
            [80, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [70, 5, 0, 0, 0, 0, 0, 0, 0, 1],
            [70, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [70, 0, 0, 0, 0, 0, 0, 1, 0, 1],
            [71, 0, 0, 0, 0, 0, 0x40, 0, 0, 1],
            [72, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [73, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            [74, 1, 0, 0, 0, 0, 0, 0, 4, 1],
            [75, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        ];
        for bytes in bad {
            assert!(Header::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_was_not_granted_is_a_breach() {
        let mut ledger = accepting();
        assert!(ledger.data(LANE, 1).is_err(), "content comes when it is granted");
        assert!(ledger.grant(LANE, WINDOW_BYTES));
        assert_eq!(ledger.data(LANE, WINDOW_BYTES - CHUNK_COST), Ok(Arrival::Known));
        assert!(ledger.data(LANE, 1).is_err());
        assert!(ledger.grant(LANE, 10 + CHUNK_COST));
        assert_eq!(ledger.data(LANE, 10), Ok(Arrival::Known));
        assert!(ledger.data(LANE, 1).is_err());
        assert_eq!(
            ledger.data(CONTROL, WINDOW_BYTES - 1 - 2 * CHUNK_COST),
            Ok(Arrival::Known),
            "each stream has its own room"
        );
    }

    #[test]
    fn sessions_are_opened_in_turn_by_one_end() {
        let mut ledger = Ledger::new(false);
        assert!(ledger.open().is_none());
        assert!(ledger.data(StreamId { session: 1, stream: 0 }, 1).is_err());
        assert!(ledger.data(LANE, 1).is_err(), "a data lane opens none");
        assert!(ledger.stop(0).is_err() && ledger.credit(CONTROL).is_err());
        assert_eq!(ledger.data(CONTROL, 1), Ok(Arrival::New));
        let mut opening = Ledger::new(true);
        assert!(opening.data(CONTROL, 1).is_err());
        assert_eq!(opening.open(), Some(0));
        assert_eq!(opening.data(CONTROL, 1), Ok(Arrival::Known));
        assert_eq!(opening.data(LANE, WINDOW_BYTES - CHUNK_COST), Ok(Arrival::Known));
    }

    #[test]
    fn there_are_only_so_many_at_a_time() {
        let mut opening = Ledger::new(true);
        let mut accepting = Ledger::new(false);
        for session in 0..u32::try_from(SESSIONS_MAX).expect("few") {
            assert_eq!(opening.open(), Some(session));
            assert_eq!(accepting.data(StreamId { session, stream: 0 }, 1), Ok(Arrival::New));
        }
        assert_eq!(opening.open(), None);
        assert!(!opening.leave(0), "the other end is still in it");
        assert_eq!(opening.open(), None);
        assert_eq!(opening.stop(0), Ok(Arrival::Gone));
        assert_eq!(opening.open(), Some(16));
        assert!(accepting.data(StreamId { session: 16, stream: 0 }, 1).is_err());
        assert_eq!(accepting.stop(0), Ok(Arrival::Known));
        assert!(accepting.leave(0));
        assert_eq!(accepting.data(StreamId { session: 16, stream: 0 }, 1), Ok(Arrival::New));
    }

    #[test]
    fn what_was_on_its_way_when_a_session_ended_is_let_go() {
        let mut ledger = accepting();
        assert!(!ledger.leave(0));
        assert_eq!(ledger.data(LANE, WINDOW_BYTES), Ok(Arrival::Gone));
        assert_eq!(ledger.credit(LANE), Ok(Arrival::Gone));
        assert!(!ledger.grant(LANE, 1));
        assert_eq!(ledger.stop(0), Ok(Arrival::Gone));
        assert_eq!(ledger.data(LANE, WINDOW_BYTES), Ok(Arrival::Gone));
        assert_eq!(ledger.end(CONTROL), Ok(Arrival::Gone));
    }

    #[test]
    fn a_stranger_has_one_control_lane() {
        let mut ledger = Ledger::of_one_question();
        assert_eq!(ledger.data(CONTROL, 1), Ok(Arrival::New));
        assert!(ledger.data(LANE, 1).is_err());
        assert!(ledger.data(StreamId { session: 1, stream: 0 }, 1).is_err());
        assert_eq!(ledger.data(CONTROL, 1), Ok(Arrival::Known));
    }

    #[test]
    fn a_stream_ends_once() {
        let mut ledger = accepting();
        assert_eq!(ledger.end(CONTROL), Ok(Arrival::Known));
        assert!(ledger.end(CONTROL).is_err());
        assert!(ledger.data(CONTROL, 1).is_err());
        assert_eq!(ledger.stop(0), Ok(Arrival::Known));
        assert!(ledger.stop(0).is_err());
    }
}
