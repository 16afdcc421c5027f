//! What happens on a server, as JavaScript takes it: as events, and as lines of a log.

use std::time::Duration;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sparsync_core::{Asked, Error, Happening, Level, LogFormat, Noted, ServerEvent, SessionEnd};

use crate::number::{moment, number, span};
use crate::options::whole;

/// How much something matters.
#[napi(string_enum = "lowercase")]
#[derive(Default)]
pub enum NativeLevel {
    /// For who looks for a fault.
    #[default]
    Debug,
    /// What was done.
    Info,
    /// What was refused, or not done in full.
    Warn,
    /// What the administrator has to put right.
    Error,
}

impl From<Level> for NativeLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

/// What the lines of a log are like, and which there are.
#[napi(object, object_to_js = false)]
pub struct NativeLogFormat {
    /// One JSON object a line.
    pub json: bool,
    /// What matters less has no line.
    pub least: NativeLevel,
}

impl From<NativeLogFormat> for LogFormat {
    fn from(format: NativeLogFormat) -> Self {
        let least = match format.least {
            NativeLevel::Debug => Level::Debug,
            NativeLevel::Info => Level::Info,
            NativeLevel::Warn => Level::Warn,
            NativeLevel::Error => Level::Error,
        };
        Self { is_json: format.json, least }
    }
}

/// What has happened on a server.
#[napi(object, object_from_js = false)]
pub struct NativeHappenings {
    /// Events, where somebody listens.
    pub events: Vec<NativeServerEvent>,
    /// Lines of a log, where one is kept.
    pub lines: Vec<String>,
}

/// What a server's process tells the log.
#[napi(string_enum = "kebab-case")]
pub enum NativeNotedType {
    /// The server listens.
    Listening,
    /// Settings were read again.
    Reload,
    /// They cannot be used.
    ConfigUnreadable,
    /// The server accepts nothing new.
    Closing,
    /// It has ended.
    Closed,
    /// Lines are missing.
    Dropped,
}

/// The same with its figures. What does not belong to its type is absent.
#[napi(object, object_to_js = false)]
pub struct NativeNoted {
    /// What it is.
    #[napi(js_name = "type")]
    pub kind: NativeNotedType,
    /// `ip:port`.
    pub address: Option<String>,
    /// The server's key.
    pub public_key: Option<String>,
    /// The names of what is served.
    pub roots: Option<Vec<String>>,
    /// Settings that count from the next start.
    pub restart: Option<Vec<String>>,
    /// The code of an error.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The signal that ends the server.
    pub signal: Option<String>,
    /// Transfers under way.
    pub sessions: Option<f64>,
    /// How long they may take.
    pub grace_ms: Option<f64>,
    /// How many lines are missing.
    pub count: Option<f64>,
}

impl From<NativeNoted> for Noted<'_> {
    fn from(noted: NativeNoted) -> Self {
        let NativeNoted { kind, address, public_key, roots, restart, code, message, signal, sessions, grace_ms, count } =
            noted;
        let text = Option::unwrap_or_default;
        let count_of = |count: Option<f64>| count.map_or(0, whole);
        match kind {
            NativeNotedType::Listening => Self::Listening {
                address: text(address),
                public_key: text(public_key),
                roots: roots.unwrap_or_default(),
            },
            NativeNotedType::Reload => Self::Reload { restart: restart.unwrap_or_default() },
            NativeNotedType::ConfigUnreadable => Self::ConfigUnreadable { code: text(code), message: text(message) },
            NativeNotedType::Closing => Self::Closing {
                signal: text(signal),
                sessions: count_of(sessions),
                grace: Duration::from_millis(count_of(grace_ms)),
            },
            NativeNotedType::Closed => Self::Closed,
            NativeNotedType::Dropped => Self::Dropped(count_of(count)),
        }
    }
}

/// The line of what a server's process tells the log; none for what matters too little.
#[napi(catch_unwind)]
pub fn log_line(format: NativeLogFormat, noted: NativeNoted) -> Option<String> {
    LogFormat::from(format).line(&noted.into())
}

/// One thing that happened on a server. What does not belong to its kind is absent.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeServerEvent {
    /// When, in milliseconds since 1970.
    pub at_ms: f64,
    /// How much it matters.
    pub level: NativeLevel,
    /// `connected`, `disconnected`, `session`, `answered`, `refused`, `joined`, `revoked`, `keys`, `keys-unreadable`, `server-key`,
    /// `server-key-unusable`, `handshakes-refused` or `dropped`.
    pub kind: String,
    /// The name of the client's key.
    pub client: Option<String>,
    /// The key that the client has shown, or that the server shows.
    pub public_key: Option<String>,
    /// Where the client is.
    pub address: Option<String>,
    /// What carries its connection: `quic` or `tcp`.
    pub transport: Option<String>,
    /// `push`, `pull`, `list`, `stat`, `explain` or `join`.
    pub operation: Option<String>,
    /// The root as the client calls it.
    pub root: Option<Uint8Array>,
    /// The path below it; of several sources the first.
    pub path: Option<Uint8Array>,
    /// How many further sources there are.
    pub more: Option<u32>,
    /// Nothing was to be changed.
    pub dry_run: Option<bool>,
    /// Files whose content was written here or read here.
    pub files: Option<f64>,
    /// Bytes of content that came or went.
    pub bytes: Option<f64>,
    /// Entries that were removed here.
    pub deletes: Option<f64>,
    /// Paths that did not arrive here as they should.
    pub failed: Option<f64>,
    /// How long it took or lasted.
    pub duration_ms: Option<f64>,
    /// What went wrong.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The path that the error names.
    pub error_path: Option<Uint8Array>,
    /// The key that is to follow the server's.
    pub next_key: Option<String>,
    /// From when that counts, in milliseconds since 1970.
    pub from_ms: Option<f64>,
    /// How many keys are in force, handshakes were refused, or events are missing.
    pub count: Option<f64>,
}

impl NativeServerEvent {
    fn asked(self, asked: Asked) -> Self {
        Self {
            operation: Some(asked.operation.word().to_owned()),
            root: Some(asked.root.into()),
            path: Some(asked.path.into()),
            more: u32::try_from(asked.more).ok().filter(|more| *more > 0),
            ..self
        }
    }

    fn error(self, error: Option<Error>) -> Self {
        let Some(error) = error else { return self };
        Self {
            code: Some(error.kind().code().to_owned()),
            message: Some(error.message().to_owned()),
            error_path: error.path().map(Uint8Array::from),
            ..self
        }
    }

    fn session(self, end: SessionEnd) -> Self {
        let SessionEnd { asked, dry_run, files, bytes, deletes, failed, error, lasted } = end;
        Self {
            dry_run: Some(dry_run),
            files: Some(number(files)),
            bytes: Some(number(bytes)),
            deletes: Some(number(deletes)),
            failed: Some(number(failed)),
            duration_ms: Some(span(lasted)),
            ..self
        }
        .asked(asked)
        .error(error)
    }
}

/// An event of the core.
pub(crate) fn server_event(event: ServerEvent) -> NativeServerEvent {
    let ServerEvent { at, client, what } = event;
    let base = NativeServerEvent {
        at_ms: moment(at).unwrap_or_default(),
        level: what.level().into(),
        kind: what.word().to_owned(),
        client: client.as_ref().and_then(|client| client.name.clone()),
        public_key: client.as_ref().and_then(|client| client.key).map(|key| key.to_string()),
        address: client.as_ref().map(|client| client.address.clone()),
        transport: client.as_ref().map(|client| client.transport.word().to_owned()),
        ..NativeServerEvent::default()
    };
    match what {
        Happening::Connected | Happening::Joined | Happening::Revoked => base,
        Happening::Disconnected { lasted } => NativeServerEvent { duration_ms: Some(span(lasted)), ..base },
        Happening::Session(end) => base.session(end),
        Happening::Answered { asked, error } => base.asked(asked).error(error),
        Happening::Refused { asked: Some(asked), error } => base.asked(asked).error(Some(error)),
        Happening::Refused { asked: None, error }
        | Happening::KeysUnreadable(error)
        | Happening::KeyUnusable(error) => base.error(Some(error)),
        Happening::KeysRead(count) => NativeServerEvent { count: Some(number(count as u64)), ..base },
        Happening::KeyShown { key, next } => NativeServerEvent {
            public_key: Some(key.to_string()),
            next_key: next.map(|next| next.key.to_string()),
            from_ms: next.and_then(|next| moment(next.from)),
            ..base
        },
        Happening::HandshakesRefused(count) | Happening::Dropped(count) => {
            NativeServerEvent { count: Some(number(count)), ..base }
        }
    }
}
