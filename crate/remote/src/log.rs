//! The log of `serve`: a line for each thing that happened, in the words of the command's.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Stderr, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sparsync_core::{Asked, ClientInfo, Error, Happening, Noted, Result, Server, ServerEvent, SessionEnd};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
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

/// The version of the log's JSON, as the command has it.
const SCHEMA: u64 = 1;

/// How a log is kept.
pub(crate) struct LogOptions {
    /// The file; stderr without one.
    pub(crate) path: Option<PathBuf>,
    /// One JSON object a line.
    pub(crate) is_json: bool,
    /// What matters less is left out.
    pub(crate) least: Level,
}

/// A log that is written.
pub(crate) struct Log {
    options: LogOptions,
    out: Mutex<Out>,
}

/// Where lines go.
struct Out {
    file: Option<Lines<File>>,
    stderr: Lines<Stderr>,
    /// Lines that are missing since the last one that was written.
    missing: u64,
}

/// Lines, of which the last may be there in part.
struct Lines<W> {
    to: W,
    is_cut: bool,
}

impl<W: Write> Lines<W> {
    const fn of(to: W) -> Self {
        Self { to, is_cut: false }
    }

    /// Writes a line, and says whether it is there. Behind a part of one it begins with an end of line.
    fn put(&mut self, line: &str) -> bool {
        let bytes = format!("{}{line}\n", if self.is_cut { "\n" } else { "" });
        let mut rest = bytes.as_bytes();
        while !rest.is_empty() {
            match self.to.write(rest) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(written) => {
                    self.is_cut = rest.get(written - 1) != Some(&b'\n');
                    rest = rest.get(written..).unwrap_or_default();
                }
            }
        }
        rest.is_empty()
    }
}

impl Out {
    /// Writes to stderr what the file does not take: a full disk must not hide who did what.
    fn put(&mut self, line: &str) -> bool {
        self.file.as_mut().is_some_and(|file| file.put(line)) || self.stderr.put(line)
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

impl Log {
    /// Opens the file, so that an error is known before anything is served.
    pub(crate) fn open(options: LogOptions) -> Result<Self> {
        let file = open(&options)?;
        let out = Out { file, stderr: Lines::of(std::io::stderr()), missing: 0 };
        Ok(Self { options, out: Mutex::new(out) })
    }

    /// Writes of something that happened, and says whether that is not lost.
    pub(crate) fn note(&self, noted: &Noted<'_>) -> bool {
        if matches!(noted, Noted::Reload) {
            // If the file cannot be opened again, the log goes on in the old one.
            match open(&self.options) {
                Ok(file) => self.lock().file = file,
                Err(error) => _ = self.lock().stderr.put(&error.to_string()),
            }
        }
        let at = if let Noted::Happened(event) = noted { event.at } else { SystemTime::now() };
        let (level, kind, fields) = described(noted);
        self.write(at, level, kind, &fields)
    }

    /// Tells the server's address. On stderr it would repeat the line of stdout.
    pub(crate) fn listening(&self, server: &Server, roots: &str) {
        if self.options.path.is_some() {
            let mut fields = Fields::default();
            fields.text("address", server.local_addr().to_string());
            fields.text("publicKey", server.public_key().to_string());
            fields.text("roots", roots);
            self.write(SystemTime::now(), Level::Info, "listening", &fields);
        }
    }

    fn write(&self, at: SystemTime, level: Level, kind: &str, fields: &Fields) -> bool {
        if level < self.options.least {
            return true;
        }
        let line = |at, level, kind, fields: &Fields| {
            if self.options.is_json { json(at, level, kind, fields) } else { text(at, level, kind, fields) }
        };
        let mut out = self.lock();
        if out.missing > 0 {
            let mut dropped = Fields::default();
            dropped.number("count", out.missing);
            if out.put(&line(SystemTime::now(), Level::Error, "dropped", &dropped)) {
                out.missing = 0;
            }
        }
        let is_written = out.missing == 0 && out.put(&line(at, level, kind, fields));
        out.missing += u64::from(!is_written);
        is_written
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(options: &LogOptions) -> Result<Option<Lines<File>>> {
    let Some(path) = &options.path else { return Ok(None) };
    let path = path.as_os_str().as_encoded_bytes();
    let opened = sparsync_core::open_log(path, 0o640, false);
    opened.map(|file| Some(Lines::of(file))).map_err(|error| Error::io("cannot write the log", path, error))
}

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

    fn session(&mut self, end: &SessionEnd) {
        self.asked(&end.asked);
        self.0.push(("dryRun", Value::Flag(end.dry_run)));
        for (name, value) in
            [("files", end.files), ("bytes", end.bytes), ("deletes", end.deletes), ("failed", end.failed)]
        {
            self.number(name, value);
        }
        self.text("result", result_of(end));
        if let Some(error) = &end.error {
            self.problem(error, Some(&end.asked));
        }
        self.lasted(end.lasted);
    }
}

const fn result_of(end: &SessionEnd) -> &'static str {
    match (&end.error, end.failed) {
        (Some(_), _) => "error",
        (None, 0) => "ok",
        (None, _) => "partial",
    }
}

/// How much it matters, its kind and the rest of its line.
fn described(noted: &Noted<'_>) -> (Level, &'static str, Fields) {
    let mut fields = Fields::default();
    let (level, kind) = match noted {
        Noted::Happened(event) => happened(event, &mut fields),
        Noted::Reload => (Level::Info, "reload"),
        Noted::Closing { signal, sessions, grace } => {
            fields.text("signal", *signal);
            fields.number("sessions", *sessions);
            fields.number("graceMs", u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
            (Level::Info, "closing")
        }
        Noted::Closed => (Level::Info, "closed"),
    };
    (level, kind, fields)
}

fn happened(event: &ServerEvent, fields: &mut Fields) -> (Level, &'static str) {
    fields.client(event.client.as_ref());
    match &event.what {
        Happening::Connected => (Level::Debug, "connected"),
        Happening::Disconnected { lasted } => {
            fields.lasted(*lasted);
            (Level::Debug, "disconnected")
        }
        Happening::Session(end) => {
            fields.session(end);
            (if result_of(end) == "ok" { Level::Info } else { Level::Warn }, "session")
        }
        Happening::Answered { asked, error } => {
            fields.asked(asked);
            if let Some(error) = error {
                fields.problem(error, Some(asked));
            }
            (Level::Debug, "answered")
        }
        Happening::Refused { asked, error } => {
            if let Some(asked) = asked {
                fields.asked(asked);
            }
            fields.problem(error, asked.as_ref());
            (Level::Warn, "refused")
        }
        Happening::Joined => (Level::Info, "joined"),
        Happening::Revoked => (Level::Info, "revoked"),
        Happening::KeysRead(count) => {
            fields.number("count", *count as u64);
            (Level::Info, "keys")
        }
        Happening::KeysUnreadable(error) => {
            fields.problem(error, None);
            (Level::Error, "keys-unreadable")
        }
        Happening::KeyShown { key, next } => {
            fields.text("publicKey", key.to_string());
            if let Some(next) = next {
                fields.text("nextKey", next.key.to_string());
                fields.text("from", moment(next.from));
            }
            (Level::Info, "server-key")
        }
        Happening::KeyUnusable(error) => {
            fields.problem(error, None);
            (Level::Error, "server-key-unusable")
        }
        Happening::HandshakesRefused(count) => {
            fields.number("count", *count);
            (Level::Warn, "handshakes-refused")
        }
        Happening::Dropped(count) => {
            fields.number("count", *count);
            (Level::Error, "dropped")
        }
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
pub(crate) fn shown(bytes: &[u8]) -> String {
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
        Value::Text(text) if *name == "path" && std::str::from_utf8(text).is_err() => Some(base64(text)),
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

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let all = three.iter().fold(0_u32, |all, &byte| all << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let at = (all >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit <= three.len() { DIGITS.get(at).map_or('=', |&digit| digit.into()) } else { '=' });
        }
    }
    out
}
