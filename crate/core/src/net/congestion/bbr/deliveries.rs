//! What was sent, delivered and lost, and how fast: samples of the delivery rate.
//!
//! The transport tells of packets that were acknowledged when they were sent, and of what it sends in batches. So what
//! was known at a batch's time is kept under that time, and found again by it.

use std::collections::VecDeque;
use std::time::Duration;

use super::float;

/// The most batches that are remembered. A longer list is thinned out: a sample from it begins a little earlier.
const BATCHES_MAX: usize = 1024;

/// What was known when a batch left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    sent: Duration,
    /// When the packet left that was acknowledged last before.
    first_sent: Duration,
    delivered: u64,
    delivered_at: Duration,
    /// Bytes lost until then.
    pub(super) lost: u64,
    /// Bytes under way with this batch.
    pub(super) in_flight: u64,
    app_limited: bool,
}

/// What one batch of acknowledgements tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes that it acknowledges.
    pub(super) acked: u64,
    /// From sending the newest of its packets until now.
    pub(super) rtt: Duration,
    /// Bytes per second; none when the sample covers too little time.
    pub(super) rate: Option<f64>,
    /// Bytes that were delivered in the time covered.
    pub(super) delivered: u64,
    /// The bytes that had been delivered when the newest packet left.
    pub(super) prior_delivered: u64,
    /// There was not enough to send: the path may be faster.
    pub(super) app_limited: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    batches: VecDeque<Batch>,
    delivered: u64,
    delivered_at: Duration,
    first_sent: Duration,
    lost: u64,
    in_flight: u64,
    /// Samples are limited by the application until so many bytes were delivered.
    app_limited_until: u64,
    acked: u64,
    newest: Option<Duration>,
}

impl Deliveries {
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Says whether nothing was under way.
    pub(super) fn on_sent(&mut self, now: Duration, bytes: u64) -> bool {
        let begins = self.in_flight == 0;
        if begins {
            (self.first_sent, self.delivered_at) = (now, now);
        }
        self.in_flight += bytes;
        if let Some(last) = self.batches.back_mut()
            && last.sent == now
        {
            last.in_flight = self.in_flight;
            return begins;
        }
        if self.batches.len() == BATCHES_MAX {
            let mut keep = false;
            self.batches.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.batches.push_back(Batch {
            sent: now,
            first_sent: self.first_sent,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            lost: self.lost,
            in_flight: self.in_flight,
            app_limited: self.app_limited_until > 0,
        });
        begins
    }

    pub(super) fn on_acked(&mut self, sent: Duration, bytes: u64) {
        self.acked += bytes;
        self.newest = Some(self.newest.map_or(sent, |newest| newest.max(sent)));
    }

    pub(super) fn on_lost(&mut self, bytes: u64) {
        self.lost += bytes;
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// What was known when a packet left.
    pub(super) fn batch(&self, sent: Duration) -> Option<Batch> {
        let behind = self.batches.partition_point(|batch| batch.sent <= sent);
        self.batches.get(behind.checked_sub(1)?).copied()
    }

    /// Ends a batch of acknowledgements.
    pub(super) fn end(
        &mut self,
        now: Duration,
        in_flight: u64,
        app_limited: bool,
        min_rtt: Option<Duration>,
    ) -> Option<Sample> {
        self.in_flight = in_flight;
        let acked = std::mem::take(&mut self.acked);
        let newest = self.newest.take();
        if acked > 0 {
            self.delivered += acked;
            self.delivered_at = now;
        }
        if self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let sample = newest.and_then(|sent| self.sample(now, sent, acked, min_rtt));
        if app_limited {
            self.app_limited_until = (self.delivered + in_flight).max(1);
        }
        sample
    }

    fn sample(&mut self, now: Duration, sent: Duration, acked: u64, min_rtt: Option<Duration>) -> Option<Sample> {
        let batch = self.batch(sent)?;
        let rtt = now.saturating_sub(sent);
        // Packets that left long before may still be told as lost.
        while self.batches.get(1).is_some_and(|next| next.sent + rtt * 2 < sent) {
            self.batches.pop_front();
        }
        let delivered = self.delivered - batch.delivered;
        let interval = sent.saturating_sub(batch.first_sent).max(now.saturating_sub(batch.delivered_at));
        self.first_sent = self.first_sent.max(sent);
        // Bytes that arrive in less than a round trip were held back on the way and released at once, so they show no
        // rate.
        let covers = !interval.is_zero() && interval >= min_rtt.unwrap_or_default();
        Some(Sample {
            acked,
            rtt,
            rate: covers.then(|| float(delivered) / interval.as_secs_f64()),
            delivered,
            prior_delivered: batch.delivered,
            app_limited: batch.app_limited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_sample_is_what_came_since_the_packet_left() {
        let mut deliveries = Deliveries::default();
        // 10,000 bytes each 10 ms over a round trip of 50 ms.
        for tick in 0..20 {
            let now = MS * 10 * tick;
            if tick >= 5 {
                deliveries.on_acked(MS * 10 * (tick - 5), 10_000);
                let sample = deliveries.end(now, 40_000, false, None).expect("a sample");
                assert_eq!((sample.acked, sample.rtt), (10_000, MS * 50));
                if tick >= 10 {
                    let rate = sample.rate.expect("a rate");
                    assert!((rate - 1e6).abs() < 1.0, "{rate}");
                }
            }
            deliveries.on_sent(now, 10_000);
        }
    }

    #[test]
    fn the_list_of_batches_is_bounded_and_stays_in_order() {
        let mut deliveries = Deliveries::default();
        for tick in 0..100_000 {
            deliveries.on_sent(MS * tick, 1200);
        }
        assert!(deliveries.batches.len() <= BATCHES_MAX);
        let found = deliveries.batch(MS * 99_000).expect("a batch");
        assert!(found.sent <= MS * 99_000 && found.sent > MS * 90_000);
        assert!(deliveries.batches.iter().is_sorted_by_key(|batch| batch.sent));
    }

    #[test]
    fn what_was_sent_with_nothing_to_send_is_told() {
        let mut deliveries = Deliveries::default();
        deliveries.on_sent(MS, 1000);
        deliveries.on_acked(MS, 1000);
        assert!(!deliveries.end(MS * 11, 0, true, None).expect("a sample").app_limited);
        deliveries.on_sent(MS * 12, 1000);
        deliveries.on_acked(MS * 12, 1000);
        assert!(deliveries.end(MS * 22, 0, false, None).expect("a sample").app_limited);
        deliveries.on_sent(MS * 23, 1000);
        deliveries.on_acked(MS * 23, 1000);
        assert!(!deliveries.end(MS * 33, 0, false, None).expect("a sample").app_limited);
    }
}
