//! Figures of a server for a monitoring system, in the text form of `OpenMetrics`.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::lock;
use super::log::{Happening, ServerEvent, SessionEnd};
use super::successes::Successes;
use crate::error::ErrorKind;
use crate::net::HandshakesRefused;
use crate::state::StateDir;

/// Names with values: those of clients and roots are the operator's, so there are as many as he has made.
type Labels = Vec<(&'static str, String)>;

/// A tenth of a second to three hours.
const DURATIONS: (f64, f64, u16) = (0.1, 3.2, 11);

/// What a server counts.
pub(super) struct Metrics {
    registry: Mutex<Registry>,
    sessions: Family<Labels, Counter>,
    bytes: Family<Labels, Counter>,
    files: Family<Labels, Counter>,
    deletes: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    dropped: Counter,
    durations: Family<Labels, Histogram>,
    last_success: Family<Labels, Gauge>,
    /// The same, to be remembered.
    pub(super) successes: Successes,
    connections: Gauge,
    accepted: Family<Labels, Counter>,
    sessions_active: Gauge,
    handshakes: Gauge,
    handshakes_refused: Family<Labels, Counter>,
    lock_waits: Gauge,
    unread: Gauge,
    keys: Gauge,
    keys_usable: Gauge,
}

/// Values that are looked up when the metrics are asked for.
pub(super) struct Now {
    pub(super) connections: u64,
    pub(super) sessions_active: u64,
    pub(super) handshakes: u64,
    pub(super) handshakes_refused: HandshakesRefused,
    pub(super) lock_waits: u64,
    pub(super) unread_bytes: u64,
    pub(super) keys: u64,
    pub(super) keys_usable: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("sparsync")),
            sessions: Family::default(),
            bytes: Family::default(),
            files: Family::default(),
            deletes: Family::default(),
            errors: Family::default(),
            refused: Family::default(),
            dropped: Counter::default(),
            durations: Family::new_with_constructor(|| {
                let (first, factor, count) = DURATIONS;
                Histogram::new(exponential_buckets(first, factor, count))
            }),
            last_success: Family::default(),
            successes: Successes::default(),
            connections: Gauge::default(),
            accepted: Family::default(),
            sessions_active: Gauge::default(),
            handshakes: Gauge::default(),
            handshakes_refused: Family::default(),
            lock_waits: Gauge::default(),
            unread: Gauge::default(),
            keys: Gauge::default(),
            keys_usable: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = lock(&self.registry);
        registry.register("sessions", "Transfers that have ended", self.sessions.clone());
        registry.register_with_unit("session_content", "Content that came or went", Unit::Bytes, self.bytes.clone());
        registry.register("session_files", "Files written here, or of a pull read here", self.files.clone());
        registry.register("session_deletes", "Entries removed here", self.deletes.clone());
        registry.register(
            "errors",
            "Transfers and requests that ended with an error, by its code",
            self.errors.clone(),
        );
        registry.register("refused", "Connections and requests that were refused", self.refused.clone());
        registry.register("log_dropped", "Events that are missing in the log", self.dropped.clone());
        registry.register_with_unit(
            "session_duration",
            "How long transfers took",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "last_success_timestamp",
            "When a transfer last ended well, since 1970",
            Unit::Seconds,
            self.last_success.clone(),
        );
        registry.register("connections", "Connections of clients", self.connections.clone());
        registry.register(
            "connections_accepted",
            "Connections of clients since the start, by what carried them",
            self.accepted.clone(),
        );
        registry.register("sessions_active", "Transfers under way", self.sessions_active.clone());
        registry.register("handshakes_active", "Clients in the middle of their handshake", self.handshakes.clone());
        registry.register(
            "handshakes_refused",
            "Attempts at handshakes that were not begun: their network has too many under way, or every place is taken",
            self.handshakes_refused.clone(),
        );
        registry.register(
            "sessions_waiting",
            "Transfers under way that wait for another one's destination",
            self.lock_waits.clone(),
        );
        registry.register_with_unit(
            "unread",
            "Memory lent to connections for what has come and was not read yet",
            Unit::Bytes,
            self.unread.clone(),
        );
        registry.register("authorized_keys", "Keys that are in force", self.keys.clone());
        registry.register("authorized_keys_usable", "0 while the keys cannot be read", self.keys_usable.clone());
    }

    /// Counts something that happened.
    pub(super) fn count(&self, event: &ServerEvent) {
        let name = || event.client.as_ref().and_then(|client| client.name.clone()).unwrap_or_default();
        match &event.what {
            Happening::Session(end) => self.session(&name(), end, event.at),
            Happening::Refused { asked, error } => {
                let what = asked.as_ref().map_or("connection", |asked| asked.operation.word());
                self.refused.get_or_create(&vec![("what", what.to_owned())]).inc();
                self.error(error.kind());
            }
            Happening::Connected => {
                let transport = event.client.as_ref().map_or("", |client| client.transport.word());
                self.accepted.get_or_create(&vec![("transport", transport.to_owned())]).inc();
            }
            Happening::Disconnected { .. }
            | Happening::Answered { .. }
            | Happening::Joined
            | Happening::KeyShown { .. }
            | Happening::KeyUnusable(_)
            | Happening::Revoked
            | Happening::KeysRead(_)
            | Happening::KeysUnreadable(_)
            | Happening::HandshakesRefused(_)
            | Happening::Dropped(_) => {}
        }
    }

    /// An event is missing in the log.
    pub(super) fn count_dropped(&self) {
        self.dropped.inc();
    }

    #[cfg(test)]
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    fn session(&self, client: &str, end: &SessionEnd, at: SystemTime) {
        let operation = end.asked.operation.word();
        let root = String::from_utf8_lossy(&end.asked.root).into_owned();
        let result = end.result();
        let place: Labels = vec![("client", client.to_owned()), ("root", root)];
        let with = |name, value: &str| [place.as_slice(), &[(name, value.to_owned())]].concat();
        let by_operation = with("operation", operation);
        self.sessions.get_or_create(&[by_operation.as_slice(), &[("result", result.to_owned())]].concat()).inc();
        self.bytes.get_or_create(&by_operation).inc_by(end.bytes);
        self.files.get_or_create(&by_operation).inc_by(end.files);
        self.deletes.get_or_create(&by_operation).inc_by(end.deletes);
        self.durations.get_or_create(&vec![("operation", operation.to_owned())]).observe(end.lasted.as_secs_f64());
        match &end.error {
            Some(error) => self.error(error.kind()),
            None if result == "ok" && !end.dry_run => {
                let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
                self.last_success.get_or_create(&by_operation).set(i64::try_from(since).unwrap_or(i64::MAX));
                self.successes.note(&String::from_utf8_lossy(&end.asked.root), (client, operation), since);
            }
            None => {}
        }
    }

    /// Takes up when transfers ended well before this start, of the clients that are known.
    pub(super) fn remember(&self, state: &StateDir, (root, path): (&str, &[u8]), is_known: impl Fn(&str) -> bool) {
        for ((client, operation), at) in self.successes.read(state, root, path) {
            if is_known(&client) {
                let by = vec![("client", client), ("root", root.to_owned()), ("operation", operation)];
                self.last_success.get_or_create(&by).set(i64::try_from(at).unwrap_or(i64::MAX));
            }
        }
    }

    fn error(&self, kind: ErrorKind) {
        self.errors.get_or_create(&vec![("code", kind.code().to_owned())]).inc();
    }

    /// All metrics as text.
    pub(super) fn text(&self, now: &Now) -> String {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.connections.set(signed(now.connections));
        self.sessions_active.set(signed(now.sessions_active));
        self.handshakes.set(signed(now.handshakes));
        let HandshakesRefused { of_source, full } = now.handshakes_refused;
        for (reason, count) in [("network", of_source), ("full", full)] {
            let counter = self.handshakes_refused.get_or_create(&vec![("reason", reason.to_owned())]);
            counter.inner().store(count, Ordering::Relaxed);
        }
        self.lock_waits.set(signed(now.lock_waits));
        self.unread.set(signed(now.unread_bytes));
        self.keys.set(signed(now.keys));
        self.keys_usable.set(i64::from(now.keys_usable));
        let mut text = String::new();
        // Writing to a string fails for want of memory alone.
        let _ = encode(&mut text, &lock(&self.registry));
        text
    }
}
