//! The lines of a server's log: `TIME LEVEL TYPE name=value …`, or an object of JSON.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::log::{Asked, ClientInfo, Happening, ServerEvent, SessionEnd};
use crate::error::Error;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For who looks for a fault.
    Debug,
    /// What was done.
    Info,
    /// What was refused, or not done in full.
    Warn,
    /// What the administrator has to put right.
    Error,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The version of the log's JSON. Fields may be added within one; none is removed or given another meaning.
const SCHEMA: u64 = 1;

/// What a log is told.
#[derive(Debug)]
pub enum Noted<'a> {
    /// Something happened to a client, or to the keys.
    Happened(&'a ServerEvent),
    /// The server listens.
    Listening {
        /// `ip:port`.
        address: String,
        /// Its key, `ed25519:…`.
        public_key: String,
        /// The names of what is served.
        roots: Vec<String>,
    },
    /// SIGHUP came, and logs are opened again.
    Reload {
        /// The settings that count from the next start.
        restart: Vec<String>,
    },
    /// SIGHUP came, and the settings cannot be used.
    ConfigUnreadable {
        /// The error's code.
        code: String,
        /// The same for people.
        message: String,
    },
    /// The server accepts nothing new.
    Closing {
        /// The signal that ends it.
        signal: String,
        /// Transfers under way.
        sessions: u64,
        /// How long they may take.
        grace: Duration,
    },
    /// It has ended.
    Closed,
    /// So many lines are missing here.
    Dropped(u64),
}

/// What lines are like, and which there are.
#[derive(Clone, Copy, Debug)]
pub struct LogFormat {
    /// One JSON object a line.
    pub is_json: bool,
    /// What matters less has no line.
    pub least: Level,
}

impl LogFormat {
    /// The line of something, without its end; none for what matters too little.
    #[must_use]
    pub fn line(self, noted: &Noted<'_>) -> Option<String> {
        let level = noted.level();
        if level < self.least {
            return None;
        }
        let at = if let Noted::Happened(event) = noted { event.at } else { SystemTime::now() };
        let (kind, fields) = (noted.word(), noted.fields());
        Some(if self.is_json { json(at, level, kind, &fields) } else { text(at, level, kind, &fields) })
    }
}

/// A value of a line.
enum Value {
    Text(Vec<u8>),
    Number(u64),
    Flag(bool),
}

/// What a line says behind its kind.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn text(&mut self, name: &'static str, value: impl Into<Vec<u8>>) {
        self.0.push((name, Value::Text(value.into())));
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.0.push((name, Value::Number(value)));
    }

    fn client(&mut self, client: Option<&ClientInfo>) {
        let Some(client) = client else { return };
        if let Some(name) = &client.name {
            self.text("client", name.as_str());
        }
        if let Some(key) = client.key {
            self.text("publicKey", key.to_string());
        }
        self.text("address", client.address.as_str());
        self.text("transport", client.transport.word());
    }

    fn asked(&mut self, asked: &Asked) {
        self.text("operation", asked.operation.word());
        self.text("root", asked.root.as_slice());
        self.text("path", asked.path.as_slice());
        if asked.more > 0 {
            self.number("moreSources", asked.more as u64);
        }
    }

    fn problem(&mut self, error: &Error, asked: Option<&Asked>) {
        self.text("code", error.kind().code());
        self.text("message", error.message());
        // Mostly it is the path that was asked for.
        if let Some(path) = error.path().filter(|path| asked.is_none_or(|asked| asked.path != *path)) {
            self.text("errorPath", path);
        }
    }

    fn lasted(&mut self, lasted: Duration) {
        self.number("durationMs", u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX));
    }

    fn event(&mut self, event: &ServerEvent) {
        self.client(event.client.as_ref());
        match &event.what {
            Happening::Connected | Happening::Joined | Happening::Revoked => {}
            Happening::Disconnected { lasted } => self.lasted(*lasted),
            Happening::Session(end) => self.session(end),
            Happening::Answered { asked, error } => {
                self.asked(asked);
                if let Some(error) = error {
                    self.problem(error, Some(asked));
                }
            }
            Happening::Refused { asked, error } => {
                if let Some(asked) = asked {
                    self.asked(asked);
                }
                self.problem(error, asked.as_ref());
            }
            Happening::KeysRead(count) => self.number("count", *count as u64),
            Happening::KeyShown { key, next } => {
                self.text("publicKey", key.to_string());
                if let Some(next) = next {
                    self.text("nextKey", next.key.to_string());
                    self.text("from", moment(next.from));
                }
            }
            Happening::KeysUnreadable(error) | Happening::KeyUnusable(error) => self.problem(error, None),
            Happening::HandshakesRefused(count) | Happening::Dropped(count) => self.number("count", *count),
        }
    }

    fn session(&mut self, end: &SessionEnd) {
        self.asked(&end.asked);
        self.0.push(("dryRun", Value::Flag(end.dry_run)));
        for (name, value) in
            [("files", end.files), ("bytes", end.bytes), ("deletes", end.deletes), ("failed", end.failed)]
        {
            self.number(name, value);
        }
        self.text("result", end.result());
        if let Some(error) = &end.error {
            self.problem(error, Some(&end.asked));
        }
        self.lasted(end.lasted);
    }
}

impl Happening {
    /// How much it matters.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::Connected | Self::Disconnected { .. } | Self::Answered { .. } => Level::Debug,
            Self::Session(SessionEnd { error: None, failed: 0, .. })
            | Self::Joined
            | Self::Revoked
            | Self::KeysRead(_)
            | Self::KeyShown { .. } => Level::Info,
            Self::Session(_) | Self::Refused { .. } | Self::HandshakesRefused(_) => Level::Warn,
            Self::KeysUnreadable(_) | Self::KeyUnusable(_) | Self::Dropped(_) => Level::Error,
        }
    }

    /// Its name for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected { .. } => "disconnected",
            Self::Session(_) => "session",
            Self::Answered { .. } => "answered",
            Self::Refused { .. } => "refused",
            Self::Joined => "joined",
            Self::Revoked => "revoked",
            Self::KeysRead(_) => "keys",
            Self::KeysUnreadable(_) => "keys-unreadable",
            Self::KeyShown { .. } => "server-key",
            Self::KeyUnusable(_) => "server-key-unusable",
            Self::HandshakesRefused(_) => "handshakes-refused",
            Self::Dropped(_) => "dropped",
        }
    }
}

impl Noted<'_> {
    const fn level(&self) -> Level {
        match self {
            Self::Happened(event) => event.what.level(),
            Self::Listening { .. } | Self::Reload { .. } | Self::Closing { .. } | Self::Closed => Level::Info,
            Self::ConfigUnreadable { .. } | Self::Dropped(_) => Level::Error,
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Happened(event) => event.what.word(),
            Self::Listening { .. } => "listening",
            Self::Reload { .. } => "reload",
            Self::ConfigUnreadable { .. } => "config-unreadable",
            Self::Closing { .. } => "closing",
            Self::Closed => "closed",
            Self::Dropped(_) => "dropped",
        }
    }

    /// The rest of its line.
    fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        match self {
            Self::Happened(event) => fields.event(event),
            Self::Listening { address, public_key, roots } => {
                fields.text("address", address.as_str());
                fields.text("publicKey", public_key.as_str());
                fields.text("roots", roots.join(" "));
            }
            Self::Reload { restart } if !restart.is_empty() => fields.text("restart", restart.join(" ")),
            Self::Reload { .. } | Self::Closed => {}
            Self::ConfigUnreadable { code, message } => {
                fields.text("code", code.as_str());
                fields.text("message", message.as_str());
            }
            Self::Closing { signal, sessions, grace } => {
                fields.text("signal", signal.as_str());
                fields.number("sessions", *sessions);
                fields.number("graceMs", u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
            }
            Self::Dropped(count) => fields.number("count", *count),
        }
        fields
    }
}

/// As JavaScript writes a moment.
fn moment(at: SystemTime) -> String {
    let at = time::OffsetDateTime::from(at);
    let (hour, minute, second, millis) = at.time().as_hms_milli();
    format!("{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", at.date())
}

/// What a terminal obeys, or what hides or turns text.
fn is_unsafe(each: char) -> bool {
    (each.is_control() && each != '\t')
        || matches!(each, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `TIME LEVEL TYPE name=value …`: a value is quoted where it would not be one word.
fn text(at: SystemTime, level: Level, kind: &str, fields: &Fields) -> String {
    let mut line = format!("{} {} {kind}", moment(at), level.word());
    for (name, value) in &fields.0 {
        let _ = match value {
            Value::Number(number) => write!(line, " {name}={number}"),
            Value::Flag(flag) => write!(line, " {name}={flag}"),
            Value::Text(text) => write!(line, " {name}={}", quoted(&shown(text))),
        };
    }
    line
}

/// Each byte that is unsafe to show as `\#ooo`, and so a backslash that would be read as the beginning of that.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut out = String::new();
    let octets = |out: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(out, "\\#{byte:03o}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (place, each) in valid.char_indices() {
            let behind = &valid.as_bytes()[place + each.len_utf8()..];
            let like_escape = each == '\\'
                && matches!(behind, [b'#', digits @ ..] if digits.iter().take_while(|digit| digit.is_ascii_digit()).count() >= 3);
            if is_unsafe(each) || like_escape {
                octets(&mut out, each.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(each);
            }
        }
        octets(&mut out, chunk.invalid());
    }
    out
}

fn quoted(text: &str) -> String {
    if !text.is_empty() && !text.contains(|each: char| each.is_whitespace() || each == '"') {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\\#042"))
}

fn json(at: SystemTime, level: Level, kind: &str, fields: &Fields) -> String {
    let mut line =
        format!("{{\"time\":\"{}\",\"level\":\"{}\",\"type\":\"{kind}\",\"schema\":{SCHEMA}", moment(at), level.word());
    for (name, value) in &fields.0 {
        let _ = match value {
            Value::Number(number) => write!(line, ",\"{name}\":{number}"),
            Value::Flag(flag) => write!(line, ",\"{name}\":{flag}"),
            Value::Text(text) => write!(line, ",\"{name}\":{}", string(text)),
        };
    }
    let bytes = |(name, value): &(&str, Value)| match value {
        Value::Text(text) if *name == "path" && std::str::from_utf8(text).is_err() => Some(STANDARD.encode(text)),
        Value::Text(_) | Value::Number(_) | Value::Flag(_) => None,
    };
    if let Some(path) = fields.0.iter().find_map(bytes) {
        let _ = write!(line, ",\"pathBytes\":\"{path}\"");
    }
    line.push('}');
    line
}

fn string(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for each in String::from_utf8_lossy(bytes).chars() {
        match each {
            '"' | '\\' => {
                out.push('\\');
                out.push(each);
            }
            '\t' => out.push_str("\\t"),
            each if is_unsafe(each) => {
                let _ = write!(out, "\\u{:04x}", u32::from(each));
            }
            each => out.push(each),
        }
    }
    out.push('"');
    out
}
