//! A limit on the bytes that a sender sends in a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was not sent for so long is made up for: who waits wakes up late.
const CREDIT: Duration = Duration::from_millis(40);

/// Spreads what is sent evenly over time.
#[derive(Debug)]
pub(crate) struct Rate {
    bytes_per_second: u64,
    /// When all that was taken is sent.
    free_at: Mutex<Option<Instant>>,
}

impl Rate {
    /// A limit of at least one byte.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::default() }
    }

    /// Bytes that may go at once: what a fiftieth of a second has room for, as far as packets allow.
    pub(crate) fn piece(&self) -> usize {
        usize::try_from(self.bytes_per_second / 50).unwrap_or(usize::MAX).clamp(1200, 256 << 10)
    }

    /// Takes room for `bytes`, and says how long to wait before they are sent.
    pub(crate) fn take(&self, bytes: usize) -> Duration {
        self.take_at(bytes, Instant::now())
    }

    fn take_at(&self, bytes: usize, now: Instant) -> Duration {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let start = free_at.map_or(now, |free_at| free_at.max(earliest));
        let nanos = (bytes as u128 * 1_000_000_000).div_ceil(self.bytes_per_second.into());
        *free_at = Some(start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        start.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::{CREDIT, Rate};
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_taken_is_spread_over_time_and_little_is_made_up_for() {
        let rate = Rate::new(100_000);
        assert_eq!(rate.piece(), 2000);
        let start = Instant::now();
        let mut now = start;
        for _ in 0..500 {
            // Whoever waits wakes up a little late.
            now += rate.take_at(2000, now) + Duration::from_micros(300);
        }
        let seconds = now.duration_since(start).as_secs_f64();
        assert!((9.8..10.2).contains(&seconds), "{seconds}");
        let late = now + Duration::from_secs(5);
        assert!(rate.take_at(2000, late).is_zero());
        let waits: Vec<Duration> = (0..4).map(|_| rate.take_at(2000, late)).collect();
        assert!(waits[3] + CREDIT >= Duration::from_millis(80), "{waits:?}");
    }
}
