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
        Box::new(BbrController::new(now, Bbr::new(beginning)))
    }
}

#[derive(Clone)]
struct BbrController {
    began: Instant,
    bbr: Bbr,
    /// As [`Bbr::window`]. quinn asks for it with each packet; acknowledgements, losses and the size of packets alone
    /// change it.
    window: u64,
}

impl BbrController {
    fn new(began: Instant, bbr: Bbr) -> Self {
        Self { began, window: bbr.window(), bbr }
    }

    fn since(&self, when: Instant) -> Duration {
        when.saturating_duration_since(self.began)
    }

    fn change(&mut self, change: impl FnOnce(&mut Bbr)) {
        change(&mut self.bbr);
        self.window = self.bbr.window();
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
        let now = self.since(now);
        self.change(|bbr| bbr.on_acks_end(now, in_flight, app_limited));
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        let (now, sent) = (self.since(now), self.since(sent));
        self.change(|bbr| bbr.on_lost(now, sent, lost_bytes, is_persistent_congestion));
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.change(|bbr| bbr.on_mtu(new_mtu.into()));
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window;
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use quinn::congestion::Controller;

    use super::super::bbr::{Bbr, Beginning};
    use super::BbrController;

    const MTU: u64 = 1452;

    /// What quinn tells of.
    #[derive(Clone, Debug)]
    enum Told {
        Sent {
            packets: u64,
        },
        /// So many of the oldest packets.
        Acked {
            packets: usize,
            app_limited: bool,
        },
        Lost {
            after_silence: bool,
        },
        Mtu(u16),
    }

    fn told() -> impl Strategy<Value = Told> {
        prop_oneof![
            8 => (1_u64..12).prop_map(|packets| Told::Sent { packets }),
            8 => (0_usize..12, any::<bool>()).prop_map(|(packets, app_limited)| Told::Acked { packets, app_limited }),
            2 => any::<bool>().prop_map(|after_silence| Told::Lost { after_silence }),
            1 => (1200_u16..6500).prop_map(Told::Mtu),
        ]
    }

    proptest! {
        #[test]
        fn the_window_is_that_of_the_plain_controller(steps in proptest::collection::vec((told(), 0_u64..40), 1..200)) {
            let bbr = Bbr::new(Beginning { window: 14_720, rate: 1e6, mtu: MTU, seed: 1 });
            let began = Instant::now();
            let (mut controller, mut plain) = (BbrController::new(began, bbr.clone()), bbr);
            let mut under_way: Vec<Duration> = Vec::new();
            let mut now = Duration::ZERO;
            for (told, wait_ms) in steps {
                now += Duration::from_millis(wait_ms);
                match told {
                    Told::Sent { packets } => {
                        for _ in 0..packets {
                            controller.on_sent(began + now, MTU, 0);
                            plain.on_sent(now, MTU);
                            under_way.push(now);
                        }
                    }
                    Told::Acked { packets, app_limited } => {
                        for sent in under_way.drain(..packets.min(under_way.len())) {
                            // quinn makes no round trip for `on_ack` outside of a connection.
                            controller.bbr.on_acked(sent, MTU);
                            plain.on_acked(sent, MTU);
                        }
                        let in_flight = MTU * u64::try_from(under_way.len())?;
                        controller.on_end_acks(began + now, in_flight, app_limited, None);
                        plain.on_acks_end(now, in_flight, app_limited);
                    }
                    Told::Lost { after_silence } => {
                        if let Some(sent) = under_way.pop() {
                            controller.on_congestion_event(began + now, began + sent, after_silence, MTU);
                            plain.on_lost(now, sent, MTU, after_silence);
                        }
                    }
                    Told::Mtu(mtu) => {
                        controller.on_mtu_update(mtu);
                        plain.on_mtu(mtu.into());
                    }
                }
                prop_assert_eq!(controller.window(), plain.window());
                prop_assert_eq!(controller.metrics().pacing_rate, plain.pacing_rate().map(|rate| rate * 8));
            }
        }
    }
}
