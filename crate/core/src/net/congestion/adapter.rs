//! [`Bbr`] as a congestion controller of quinn.
//!
//! quinn tells of each acknowledged packet by the time that it was sent at, then that a batch of them has ended, and
//! only then what this batch shows to be lost. It spreads the window over the smoothed round trip, a quarter faster, by
//! itself.

use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

use super::bbr::{Bbr, Beginning};

/// Makes controllers for one connection and the paths that it moves to.
#[derive(Debug)]
pub(super) struct BbrFactory {
    pub(super) window: u64,
    /// As [`Beginning::rate`].
    pub(super) rate: f64,
}

impl ControllerFactory for BbrFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let beginning = Beginning {
            window: self.window,
            rate: self.rate,
            mtu: current_mtu.into(),
            // Only so that flows do not keep step.
            seed: RandomState::new().hash_one(self.window),
        };
        Box::new(BbrController { began: now, bbr: Bbr::new(beginning) })
    }
}

#[derive(Clone)]
struct BbrController {
    began: Instant,
    bbr: Bbr,
}

impl BbrController {
    fn since(&self, when: Instant) -> Duration {
        when.saturating_duration_since(self.began)
    }
}

impl Controller for BbrController {
    fn on_sent(&mut self, now: Instant, bytes: u64, _last_packet_number: u64) {
        self.bbr.on_sent(self.since(now), bytes);
    }

    fn on_ack(&mut self, _now: Instant, sent: Instant, bytes: u64, _app_limited: bool, _rtt: &RttEstimator) {
        self.bbr.on_acked(self.since(sent), bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _largest_packet_num_acked: Option<u64>) {
        self.bbr.on_acks_end(self.since(now), in_flight, app_limited);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.bbr.on_lost(self.since(now), self.since(sent), lost_bytes, is_persistent_congestion);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.bbr.on_mtu(new_mtu.into());
    }

    fn window(&self) -> u64 {
        self.bbr.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.bbr.window();
        metrics.pacing_rate = self.bbr.pacing_rate().map(|bytes| bytes.saturating_mul(8));
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.bbr.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
