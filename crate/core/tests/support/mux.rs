//! Streams over one pair of byte streams in the hands of a test: what the framing allows can be said, and what it does
//! not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sparsync_core::ErrorKind;
use sparsync_core::proto::WireError;
use sparsync_core::proto::mux::{
    CHUNK_BYTES_MAX, CHUNK_COST, HEADER_BYTES, Header, PREFACE, STREAMS, StreamId, WINDOW_BYTES,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc};

type Reads = Box<dyn AsyncRead + Send + Unpin>;
type Writes = Box<dyn AsyncWrite + Send + Unpin>;

/// Where what comes on the streams of a session goes, and what may be sent on them.
struct Session {
    to: Vec<Option<mpsc::UnboundedSender<Bytes>>>,
    credit: Vec<Arc<Semaphore>>,
    began: mpsc::UnboundedSender<u8>,
    has_begun: [bool; STREAMS],
}

#[derive(Default)]
struct State {
    sessions: HashMap<u32, Session>,
    next: u32,
    /// What the peer has closed the connection for.
    closed: Option<WireError>,
}

/// One end of a connection. It ends with the last clone.
#[derive(Clone)]
pub struct Mux {
    shared: Arc<Shared>,
    accepted: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<MuxSession>>>,
    _reader: Arc<Reader>,
}

struct Shared {
    state: Mutex<State>,
    to: tokio::sync::Mutex<Option<Writes>>,
}

struct Reader(tokio::task::JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A session's streams as they begin.
pub struct MuxSession {
    pub recv: Vec<MuxIn>,
    pub send: Vec<MuxOut>,
    /// Its data lanes, as their first bytes come.
    pub lanes: mpsc::UnboundedReceiver<u8>,
    pub place: Place,
}

/// A session: with it this end has left.
pub struct Place {
    shared: Arc<Shared>,
    session: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.say_soon(Header::Stop(self.session));
    }
}

/// A stream to the peer, which ends with it.
pub struct MuxOut {
    shared: Arc<Shared>,
    id: StreamId,
    credit: Arc<Semaphore>,
    is_open: bool,
}

impl Drop for MuxOut {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A stream from the peer.
pub struct MuxIn {
    shared: Arc<Shared>,
    id: StreamId,
    from: mpsc::UnboundedReceiver<Bytes>,
}

impl Mux {
    /// `greets` as the ends of a pipe do; over TCP nobody does.
    pub async fn new(mut from: Reads, mut to: Writes, greets: bool) -> Self {
        if greets {
            to.write_all(&PREFACE).await.unwrap();
            let mut heard = [0; PREFACE.len()];
            from.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, PREFACE);
        }
        let shared = Arc::new(Shared { state: Mutex::default(), to: tokio::sync::Mutex::new(Some(to)) });
        let (accepts, accepted) = mpsc::unbounded_channel();
        let reading = Arc::clone(&shared);
        let reader = tokio::spawn(async move {
            while let Some(()) = next(&reading, &mut from, &accepts).await {}
            reading.end();
        });
        Self { shared, accepted: Arc::new(tokio::sync::Mutex::new(accepted)), _reader: Arc::new(Reader(reader)) }
    }

    /// Opens a session, of which the peer hears with the first word.
    pub fn open(&self) -> MuxSession {
        let number = {
            let mut state = self.shared.state.lock().unwrap();
            state.next += 1;
            state.next - 1
        };
        begin(&self.shared, number)
    }

    /// The next session that the peer opens.
    pub async fn accept(&self) -> MuxSession {
        self.accepted.lock().await.recv().await.expect("a session")
    }

    /// Says any frame.
    pub async fn say(&self, header: Header, content: &[u8]) {
        self.shared.say(header, content).await;
    }

    /// Says that all is over, and goes.
    pub fn close(&self) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            shared.say(Header::Close(0, 0), &[]).await;
            if let Some(mut to) = shared.to.lock().await.take() {
                let _ = to.shutdown().await;
            }
        });
    }

    /// Why the peer has closed the connection, if it has.
    pub fn closed(&self) -> Option<WireError> {
        self.shared.state.lock().unwrap().closed.clone()
    }
}

impl Shared {
    async fn say(&self, header: Header, content: &[u8]) {
        if let Some(to) = &mut *self.to.lock().await {
            let _ = to.write_all(&[&header.encode()[..], content].concat()).await;
            let _ = to.flush().await;
        }
    }

    /// Says it behind what is being said.
    fn say_soon(self: &Arc<Self>, header: Header) {
        let shared = Arc::clone(self);
        tokio::spawn(async move { shared.say(header, &[]).await });
    }

    /// Nothing more comes, and nothing more is taken.
    fn end(&self) {
        for (_, session) in self.state.lock().unwrap().sessions.drain() {
            session.credit.iter().for_each(|credit| credit.close());
        }
    }
}

fn begin(shared: &Arc<Shared>, session: u32) -> MuxSession {
    let (began, lanes) = mpsc::unbounded_channel();
    let mut all = Session { to: Vec::new(), credit: Vec::new(), began, has_begun: [false; STREAMS] };
    let (mut recv, mut send) = (Vec::new(), Vec::new());
    for stream in (0u8..).take(STREAMS) {
        let id = StreamId { session, stream };
        let (to, from) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW_BYTES as usize));
        recv.push(MuxIn { shared: Arc::clone(shared), id, from });
        send.push(MuxOut { shared: Arc::clone(shared), id, credit: Arc::clone(&credit), is_open: false });
        all.to.push(Some(to));
        all.credit.push(credit);
    }
    shared.state.lock().unwrap().sessions.insert(session, all);
    MuxSession { recv, send, lanes, place: Place { shared: Arc::clone(shared), session } }
}

/// Takes a frame; nothing at the end.
async fn next(shared: &Arc<Shared>, from: &mut Reads, accepts: &mpsc::UnboundedSender<MuxSession>) -> Option<()> {
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header).await.ok()?;
    let header = Header::decode(&header).expect("the peer under test speaks well");
    let mut content = vec![0; header.content_bytes()];
    from.read_exact(&mut content).await.ok()?;
    match header {
        Header::Data(id, _) => {
            let is_new = !shared.state.lock().unwrap().sessions.contains_key(&id.session);
            if is_new && id.stream == 0 {
                let _ = accepts.send(begin(shared, id.session));
                for stream in (1u8..).take(STREAMS - 1) {
                    shared.say(Header::Credit(StreamId { stream, ..id }, WINDOW_BYTES), &[]).await;
                }
            }
            let mut state = shared.state.lock().unwrap();
            let session = state.sessions.get_mut(&id.session)?;
            if id.stream > 0 && !std::mem::replace(&mut session.has_begun[usize::from(id.stream)], true) {
                let _ = session.began.send(id.stream - 1);
            }
            if let Some(to) = &session.to[usize::from(id.stream)] {
                let _ = to.send(content.into());
            }
        }
        Header::End(id) => {
            if let Some(session) = shared.state.lock().unwrap().sessions.get_mut(&id.session) {
                session.to[usize::from(id.stream)] = None;
            }
        }
        Header::Credit(id, bytes) => {
            if let Some(session) = shared.state.lock().unwrap().sessions.get(&id.session) {
                session.credit[usize::from(id.stream)].add_permits(bytes as usize);
            }
        }
        Header::Stop(number) => {
            if let Some(session) = shared.state.lock().unwrap().sessions.get_mut(&number) {
                session.to.fill_with(|| None);
                session.credit.iter().for_each(|credit| credit.close());
            }
        }
        Header::Close(kind, _) => {
            let kind = ErrorKind::from_wire(kind);
            let message = String::from_utf8(content).unwrap();
            shared.state.lock().unwrap().closed = Some(WireError { kind, message, path: None, details: vec![] });
            return None;
        }
        Header::Ping(token) => shared.say(Header::Pong(token), &[]).await,
        Header::Pong(_) | Header::Ask | Header::Offer | Header::Stands(_) => {}
    }
    Some(())
}

impl MuxOut {
    /// A stream that no session has, beside this one.
    pub fn beyond(&self) -> Self {
        let id = StreamId { stream: u8::MAX, ..self.id };
        Self { shared: Arc::clone(&self.shared), id, credit: Arc::clone(&self.credit), is_open: false }
    }

    /// Sends bytes, words as far as they are granted; says no when the peer takes no more.
    pub async fn write_all(&mut self, bytes: &[u8]) -> bool {
        self.is_open = true;
        for part in bytes.chunks(CHUNK_BYTES_MAX) {
            let size = u32::try_from(part.len()).unwrap();
            // Content may break what was granted, and waits for nothing.
            if self.id.stream == 0 {
                let Ok(credit) = self.credit.acquire_many(size + CHUNK_COST).await else { return false };
                credit.forget();
            }
            self.shared.say(Header::Data(self.id, size), part).await;
        }
        true
    }

    /// Ends it, if anything was said on it.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.shared.say_soon(Header::End(self.id));
        }
    }
}

impl MuxIn {
    /// What came next; nothing at the end.
    pub async fn read(&mut self) -> Option<Bytes> {
        let bytes = self.from.recv().await?;
        let owed = u32::try_from(bytes.len()).unwrap() + CHUNK_COST;
        self.shared.say(Header::Credit(self.id, owed), &[]).await;
        Some(bytes)
    }
}
