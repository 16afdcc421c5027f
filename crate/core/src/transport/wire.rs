//! Counts what goes over the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sparsync_proto::Figure;

use crate::engine::Session;
use crate::profile::Profiler;

/// Bytes and frames that were put on and taken off the wire: by one run, or by all runs of a server.
///
/// The two ends of a successful run count the same, byte by byte. Only frames that were on their way when the receiver
/// decided may be missing at the end that needed them no more: a sign of life, records behind the digest of an equal
/// tree.
#[derive(Debug, Default)]
pub(crate) struct WireCounters {
    /// Bytes of all streams, to the peer.
    pub(crate) bytes_sent: AtomicU64,
    /// Bytes of all streams, from the peer.
    pub(crate) bytes_received: AtomicU64,
    /// Writes and frames on the control lane, in both directions.
    pub(crate) control_frames: AtomicU64,
    /// Streams opened by this side.
    pub(crate) streams_opened: AtomicU64,
    /// Streams opened by the peer.
    pub(crate) streams_accepted: AtomicU64,
    /// Further connections that carried content.
    pub(crate) subflows: AtomicU64,
    /// Answers that came after this end had sent something: each may have cost a round trip.
    pub(crate) round_trips: AtomicU64,
    /// This end has sent something on the control lane since the peer's last frame.
    asked: AtomicBool,
    /// When, by the session's profile.
    asked_at: AtomicU64,
    /// The counters of the server, to which these are added.
    total: Option<Arc<WireCounters>>,
}

impl WireCounters {
    /// Counters of one session. Bytes are also added to `total`.
    pub(crate) fn part_of(total: &Arc<Self>) -> Self {
        Self { total: Some(Arc::clone(total)), ..Self::default() }
    }

    /// Adds a session's bytes on the wire to a profile. Those that the initiator sent count as the request.
    pub(crate) fn tell(&self, profiler: &Profiler, is_initiator: bool) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, received) = (count(&self.bytes_sent), count(&self.bytes_received));
        let (request, response) = if is_initiator { (sent, received) } else { (received, sent) };
        for (figure, value) in [
            (Figure::connections, 1 + count(&self.subflows)),
            (Figure::control_frames, count(&self.control_frames)),
            (Figure::streams_opened, count(&self.streams_opened)),
            (Figure::streams, count(&self.streams_opened) + count(&self.streams_accepted)),
            (Figure::request_bytes, request),
            (Figure::response_bytes, response),
            (Figure::round_trips, count(&self.round_trips)),
        ] {
            profiler.set(figure, value);
        }
    }

    /// Something was said to the peer.
    pub(crate) fn asks(&self, profiler: Option<&Profiler>) {
        if !self.asked.swap(true, Ordering::Relaxed)
            && let Some(profiler) = profiler
        {
            self.asked_at.store(profiler.now(), Ordering::Relaxed);
        }
    }

    /// The peer said something.
    pub(crate) fn answered(&self, session: &Session) {
        if self.asked.swap(false, Ordering::Relaxed) {
            self.round_trips.fetch_add(1, Ordering::Relaxed);
            if let Some(profiler) = session.profiler() {
                let asked_at = self.asked_at.load(Ordering::Relaxed);
                profiler.add(Figure::roundtrip_ms, profiler.now().saturating_sub(asked_at));
            }
        }
    }

    /// Bytes went to the peer.
    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(total) = &self.total {
            total.sent(bytes);
        }
    }

    /// Bytes came from the peer.
    pub(crate) fn received(&self, bytes: u64) {
        self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
        if let Some(total) = &self.total {
            total.received(bytes);
        }
    }
}
