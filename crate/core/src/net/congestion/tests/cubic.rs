//! What a flow of TCP does (RFC 9438), to share paths with.

use std::time::Duration;

use super::path::float;

pub(super) struct Cubic {
    mtu: f64,
    window: f64,
    threshold: f64,
    most: f64,
    since: Option<Duration>,
    recovers_from: Duration,
}

impl Cubic {
    pub(super) fn new(mtu: u64) -> Self {
        let mtu = float(mtu);
        Self {
            mtu,
            window: 10.0 * mtu,
            threshold: f64::INFINITY,
            most: 0.0,
            since: None,
            recovers_from: Duration::ZERO,
        }
    }

    pub(super) fn window(&self) -> f64 {
        self.window
    }

    pub(super) fn on_acked(&mut self, now: Duration, sent: Duration, bytes: u64, rtt: Duration) {
        if sent <= self.recovers_from && self.since.is_some() {
            return;
        }
        if self.window < self.threshold {
            self.window += float(bytes);
            return;
        }
        let since = *self.since.get_or_insert(now);
        let most = self.most.max(self.window * 0.5) / self.mtu;
        let turn = (most * 0.3 / 0.4).cbrt();
        let elapsed = now.saturating_sub(since).as_secs_f64();
        let cubic = 0.4 * (elapsed + rtt.as_secs_f64() - turn).powi(3) + most;
        let reno = most * 0.7 + 3.0 * 0.3 / 1.7 * elapsed / rtt.as_secs_f64().max(1e-6);
        let target = (cubic.max(reno) * self.mtu).min(self.window * 1.5);
        if target > self.window {
            self.window += (target - self.window) / self.window * float(bytes);
        }
    }

    pub(super) fn on_lost(&mut self, now: Duration, sent: Duration) {
        if self.since.is_some() && sent <= self.recovers_from {
            return;
        }
        self.recovers_from = now;
        self.since = Some(now);
        self.most = if self.window < self.most { self.window * 0.85 } else { self.window };
        self.window = (self.window * 0.7).max(2.0 * self.mtu);
        self.threshold = self.window;
    }
}
