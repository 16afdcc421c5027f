//! What happens on a server, as JavaScript takes it.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sparsync_core::{Asked, Error, Happening, ServerEvent, SessionEnd};

use crate::number::{moment, number, span};

/// One thing that happened on a server. What does not belong to its kind is absent.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeServerEvent {
    /// When, in milliseconds since 1970.
    pub at_ms: f64,
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
    let base = |kind: &str| NativeServerEvent {
        at_ms: moment(at).unwrap_or_default(),
        kind: kind.to_owned(),
        client: client.as_ref().and_then(|client| client.name.clone()),
        public_key: client.as_ref().and_then(|client| client.key).map(|key| key.to_string()),
        address: client.as_ref().map(|client| client.address.clone()),
        transport: client.as_ref().map(|client| client.transport.word().to_owned()),
        ..NativeServerEvent::default()
    };
    match what {
        Happening::Connected => base("connected"),
        Happening::Disconnected { lasted } => {
            NativeServerEvent { duration_ms: Some(span(lasted)), ..base("disconnected") }
        }
        Happening::Session(end) => base("session").session(end),
        Happening::Answered { asked, error } => base("answered").asked(asked).error(error),
        Happening::Refused { asked: Some(asked), error } => base("refused").asked(asked).error(Some(error)),
        Happening::Refused { asked: None, error } => base("refused").error(Some(error)),
        Happening::Joined => base("joined"),
        Happening::Revoked => base("revoked"),
        Happening::KeysRead(count) => NativeServerEvent { count: Some(number(count as u64)), ..base("keys") },
        Happening::KeysUnreadable(error) => base("keys-unreadable").error(Some(error)),
        Happening::KeyShown { key, next } => NativeServerEvent {
            public_key: Some(key.to_string()),
            next_key: next.map(|next| next.key.to_string()),
            from_ms: next.and_then(|next| moment(next.from)),
            ..base("server-key")
        },
        Happening::KeyUnusable(error) => base("server-key-unusable").error(Some(error)),
        Happening::HandshakesRefused(count) => {
            NativeServerEvent { count: Some(number(count)), ..base("handshakes-refused") }
        }
        Happening::Dropped(count) => NativeServerEvent { count: Some(number(count)), ..base("dropped") },
    }
}
