//! Keeps the events of a server for whoever writes its log.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use sparsync_proto::session::Opened;
use sparsync_proto::{Counter, Direction, Request};

use super::lock;
use super::metrics::Metrics;
use crate::engine::Session;
use crate::error::Error;
use crate::negotiation::is_to_come;
use crate::transport::Transport;
use crate::trust::{NextKey, PublicKey};

/// The most events that wait to be written: about 300 bytes each, and their paths, at most twice [`PATH_MAX`]. Further
/// events are only counted.
const WAITING_MAX: usize = 16_384;

/// Bytes that are kept of a path. A client may name a far longer one, which nobody reads in a log.
const PATH_MAX: usize = 4096;

/// The most refusals of strangers that are told in a second. They cost a stranger nothing, and must not fill the disk.
const STRANGERS_PER_SECOND: u32 = 50;

/// One thing that happened on a server.
#[derive(Clone, Debug)]
pub struct ServerEvent {
    /// When.
    pub at: SystemTime,
    /// To whom, when a client has to do with it.
    pub client: Option<ClientInfo>,
    /// What.
    pub what: Happening,
}

/// Who a client is.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The name of its key; none for a stranger.
    pub name: Option<String>,
    /// Its key, when it has shown one.
    pub key: Option<PublicKey>,
    /// Where it is.
    pub address: String,
    /// What carries its connection.
    pub transport: Transport,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A client was let in.
    Connected,
    /// Its connection is over.
    Disconnected {
        /// How long it lasted.
        lasted: Duration,
    },
    /// A run has ended.
    Session(SessionEnd),
    /// A question was answered.
    Answered {
        /// The session's request.
        asked: Asked,
        /// Why there is no better answer.
        error: Option<Error>,
    },
    /// A client or its request was refused.
    Refused {
        /// The session's request; none when the connection itself was refused.
        asked: Option<Asked>,
        /// Why.
        error: Error,
    },
    /// A guest became a client by an invitation.
    Joined,
    /// A connection was ended because the rights of its key were changed or revoked.
    Revoked,
    /// The authorized keys were read, and so many are in force.
    KeysRead(usize),
    /// The authorized keys cannot be used: no new client is let in.
    KeysUnreadable(Error),
    /// The server shows this key from now on, and tells its clients which one is to follow.
    KeyShown {
        /// The key.
        key: PublicKey,
        /// The one that is to follow.
        next: Option<NextKey>,
    },
    /// The files of the server's key cannot be used: the server goes on with the key that it showed before.
    KeyUnusable(Error),
    /// So many handshakes were not begun since the last such event: their networks have too many under way, or every
    /// place is taken.
    HandshakesRefused(u64),
    /// So many events are missing here.
    Dropped(u64),
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A run that writes here.
    Push,
    /// A run that reads here.
    Pull,
    /// The entries of a directory.
    List,
    /// What stands at one path.
    Stat,
    /// Which rule of a filter decides.
    Explain,
    /// To become a client, by an invitation.
    Join,
}

impl Operation {
    /// Its name for programs: in events, logs and figures.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
            Self::List => "list",
            Self::Stat => "stat",
            Self::Explain => "explain",
            Self::Join => "join",
        }
    }
}

/// What a client asked for, and where.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What.
    pub operation: Operation,
    /// The root as the client calls it.
    pub root: Vec<u8>,
    /// The path below it; of several sources the first.
    pub path: Vec<u8>,
    /// How many further sources there are.
    pub more: usize,
}

impl Asked {
    /// To become a client.
    pub(super) const JOIN: Self = Self { operation: Operation::Join, root: Vec::new(), path: Vec::new(), more: 0 };

    /// What a run asks for.
    pub(super) fn of_request(request: &Request) -> Self {
        let operation = match request.direction {
            _ if !request.explain.is_root() => Operation::Explain,
            Direction::Push => Operation::Push,
            Direction::Pull => Operation::Pull,
        };
        let path = request.sources.first().map_or(&request.path, |source| &source.path);
        Self {
            operation,
            root: beginning(&request.root),
            path: beginning(path.as_bytes()),
            more: request.sources.len().saturating_sub(1),
        }
    }

    /// The purpose of a control lane.
    pub(super) fn of(opened: &Opened) -> Self {
        let at = |operation, root: &[u8], path: &[u8]| Self {
            operation,
            root: beginning(root),
            path: beginning(path),
            more: 0,
        };
        match opened {
            Opened::Session(request) => Self::of_request(request),
            Opened::List { root, path } => at(Operation::List, root, path.as_bytes()),
            Opened::Stat { root, path } => at(Operation::Stat, root, path.as_bytes()),
            Opened::Join(_) => Self::JOIN,
        }
    }
}

/// The part of a path that is kept.
fn beginning(path: &[u8]) -> Vec<u8> {
    path.get(..PATH_MAX).unwrap_or(path).to_vec()
}

/// A run as its server saw it: all figures are the server's own.
#[derive(Clone, Debug)]
pub struct SessionEnd {
    /// The request.
    pub asked: Asked,
    /// Nothing was to be changed.
    pub dry_run: bool,
    /// Files whose content was written here or read here.
    pub files: u64,
    /// Bytes of content that came or went.
    pub bytes: u64,
    /// Entries that were removed here.
    pub deletes: u64,
    /// Paths that did not arrive here as they should.
    pub failed: u64,
    /// Why it did not end well.
    pub error: Option<Error>,
    /// How long it took.
    pub lasted: Duration,
}

impl SessionEnd {
    /// How it ended, for logs and figures: `ok`, `partial` when some paths failed, or `error`.
    pub(super) const fn result(&self) -> &'static str {
        match (&self.error, self.failed) {
            (Some(_), _) => "error",
            (None, 0) => "ok",
            (None, _) => "partial",
        }
    }
}

/// A run that has begun.
pub(super) struct Begun {
    asked: Asked,
    dry_run: bool,
    at: Instant,
}

impl Begun {
    pub(super) fn now(request: &Request) -> Self {
        Self { asked: Asked::of_request(request), dry_run: request.dry_run, at: Instant::now() }
    }

    /// The run has ended; `refused` is the error of deletions that it refused after everything else was done.
    pub(super) fn ended(self, session: &Session, refused: Option<Error>) -> SessionEnd {
        let Self { asked, dry_run, at } = self;
        // A client that counts first has read names, as in a dry run; content may have been on its way as well.
        let error = session.error();
        let is_to_come = error.as_ref().is_some_and(is_to_come);
        let error = error.filter(|_| !is_to_come);
        let dry_run = dry_run || is_to_come && session.get(Counter::bytes_transferred) == 0;
        SessionEnd {
            asked,
            dry_run,
            files: session.get(Counter::files_transferred),
            bytes: session.get(Counter::bytes_transferred),
            deletes: session.get(Counter::files_deleted) + session.get(Counter::directories_deleted),
            failed: session.get(Counter::files_failed),
            error: error.or(refused),
            lasted: at.elapsed(),
        }
    }
}

/// Takes the events of a server for its log and for a monitoring system.
pub(super) struct ServerLog {
    /// Events that wait to be written; none when no log is kept.
    waiting: Option<Mutex<Waiting>>,
    metrics: Option<Metrics>,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<ServerEvent>,
    dropped: u64,
    /// When the second began in which strangers were last refused, and how many refusals were told in it.
    strangers: Option<(Instant, u32)>,
}

impl Waiting {
    /// Whether one more stranger is told of within this second.
    fn may_tell_of_stranger(&mut self) -> bool {
        let second = self.strangers.filter(|(began, _)| began.elapsed() < Duration::from_secs(1));
        let (began, told) = second.unwrap_or_else(|| (Instant::now(), 0));
        self.strangers = Some((began, told.saturating_add(1)));
        told < STRANGERS_PER_SECOND
    }
}

impl ServerLog {
    /// The log, for a log, for metrics, or for both; none for neither.
    pub(super) fn new(log: bool, metrics: bool) -> Option<Self> {
        let taken = Self { waiting: log.then(Mutex::default), metrics: metrics.then(Metrics::default) };
        (log || metrics).then_some(taken)
    }

    /// The figures, when they are kept.
    pub(super) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Counts an event, and keeps it if there is room and it is `worth_telling`.
    fn add(&self, mut event: ServerEvent, worth_telling: impl FnOnce(&mut Waiting) -> bool) {
        if let Some(metrics) = &self.metrics {
            metrics.count(&event);
        }
        let Some(waiting) = &self.waiting else { return };
        if let Some(error) = event.what.error_mut() {
            error.shorten_path(PATH_MAX);
        }
        let mut waiting = lock(waiting);
        if worth_telling(&mut waiting) && waiting.events.len() < WAITING_MAX {
            return waiting.events.push_back(event);
        }
        waiting.dropped += 1;
        if let Some(metrics) = &self.metrics {
            metrics.count_dropped();
        }
    }

    /// Something happened.
    pub(super) fn tell(&self, client: Option<ClientInfo>, what: Happening) {
        self.add(ServerEvent { at: SystemTime::now(), client, what }, |_| true);
    }

    /// Notes the refusal of a client without any rights.
    pub(super) fn refuse_stranger(&self, client: ClientInfo, asked: Option<Asked>, error: Error) {
        let what = Happening::Refused { asked, error };
        self.add(ServerEvent { at: SystemTime::now(), client: Some(client), what }, Waiting::may_tell_of_stranger);
    }

    /// The events since the last call.
    pub(super) fn take(&self) -> Vec<ServerEvent> {
        let Some(waiting) = &self.waiting else { return Vec::new() };
        let mut waiting = lock(waiting);
        let dropped = std::mem::take(&mut waiting.dropped);
        let mut events: Vec<_> = waiting.events.drain(..).collect();
        if dropped > 0 {
            events.push(ServerEvent { at: SystemTime::now(), client: None, what: Happening::Dropped(dropped) });
        }
        events
    }
}

impl Happening {
    fn error_mut(&mut self) -> Option<&mut Error> {
        match self {
            Self::Session(end) => end.error.as_mut(),
            Self::Answered { error, .. } => error.as_mut(),
            Self::Refused { error, .. } | Self::KeysUnreadable(error) => Some(error),
            Self::Connected
            | Self::Disconnected { .. }
            | Self::Joined
            | Self::KeyShown { .. }
            | Self::KeyUnusable(_)
            | Self::Revoked
            | Self::KeysRead(_)
            | Self::HandshakesRefused(_)
            | Self::Dropped(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::RelPath;
    use sparsync_proto::session::Opened;

    use super::{Asked, ClientInfo, Happening, PATH_MAX, STRANGERS_PER_SECOND, ServerLog, WAITING_MAX};
    use crate::error::{Error, ErrorKind};
    use crate::transport::Transport;

    #[test]
    fn a_flood_of_strangers_is_counted() {
        let log = ServerLog::new(true, false).expect("a log");
        let stranger =
            || ClientInfo { name: None, key: None, address: "192.0.2.1:1".to_owned(), transport: Transport::Quic };
        for _ in 0..STRANGERS_PER_SECOND * 3 {
            log.refuse_stranger(stranger(), None, Error::new(ErrorKind::Unauthorized, "no"));
        }
        let events = log.take();
        let dropped: u64 =
            events.iter().map(|event| if let Happening::Dropped(count) = event.what { count } else { 0 }).sum();
        assert_eq!(events.len() as u64 - 1 + dropped, u64::from(STRANGERS_PER_SECOND) * 3);
        assert!(events.len() < STRANGERS_PER_SECOND as usize * 3);
        assert!(log.take().is_empty());
    }

    #[test]
    fn long_paths_of_clients_are_not_kept() {
        let deep = ["x".repeat(200).as_str(); PATH_MAX / 200 + 1].join("/");
        let path = RelPath::new(deep.as_bytes()).expect("a path");
        let asked = Asked::of(&Opened::Stat { root: b"root".to_vec(), path });
        assert_eq!(asked.path, deep.as_bytes().get(..PATH_MAX).expect("long"));
        let log = ServerLog::new(true, false).expect("a log");
        let error = Error::new(ErrorKind::NotFound, "no").at(deep.as_bytes());
        log.tell(None, Happening::Answered { asked, error: Some(error) });
        let events = log.take();
        let [super::ServerEvent { what: Happening::Answered { error: Some(error), .. }, .. }] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!(error.path().map(<[u8]>::len), Some(PATH_MAX));
    }

    #[test]
    fn what_nobody_takes_is_bounded_and_counted() {
        let log = ServerLog::new(true, true).expect("a log");
        for _ in 0..WAITING_MAX + 7 {
            log.tell(None, Happening::Revoked);
        }
        let events = log.take();
        assert_eq!(events.len(), WAITING_MAX + 1);
        assert!(matches!(events.last().map(|event| &event.what), Some(Happening::Dropped(7))));
        assert_eq!(log.metrics().expect("metrics").dropped(), 7);
    }
}
