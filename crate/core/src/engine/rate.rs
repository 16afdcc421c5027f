//! Limits on the bytes that are sent, or come, in a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was not sent for so long is made up for: who waits wakes up late.
const CREDIT: Duration = Duration::from_millis(40);

/// Spreads what is sent evenly over time.
#[derive(Debug)]
pub(crate) struct Rate {
    /// 0: as many as there are.
    bytes_per_second: AtomicU64,
    /// When all that was taken is sent.
    free_at: Mutex<Option<Instant>>,
}

impl Rate {
    /// A limit, or 0 for none.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: AtomicU64::new(bytes_per_second), free_at: Mutex::default() }
    }

    /// Another limit from now on.
    pub(crate) fn change(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    fn limit(&self) -> Option<u64> {
        Some(self.bytes_per_second.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// Bytes that may go at once: what a fiftieth of a second has room for, as far as packets allow.
    pub(crate) fn piece(&self) -> usize {
        let fiftieth = self.limit().map_or(usize::MAX, |limit| usize::try_from(limit / 50).unwrap_or(usize::MAX));
        fiftieth.clamp(1200, 256 << 10)
    }

    /// Takes room for `bytes`, and says how long to wait before they are sent.
    pub(crate) fn take(&self, bytes: usize) -> Duration {
        self.take_at(bytes, Instant::now())
    }

    fn take_at(&self, bytes: usize, now: Instant) -> Duration {
        let Some(limit) = self.limit() else { return Duration::ZERO };
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let start = free_at.map_or(now, |free_at| free_at.max(earliest));
        let nanos = (bytes as u128 * 1_000_000_000).div_ceil(limit.into());
        *free_at = Some(start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        start.saturating_duration_since(now)
    }
}

/// Limits that hold at the same time: of a run, of all runs of a key, of all runs of a server.
#[derive(Debug, Default)]
pub(crate) struct Rates(Vec<Arc<Rate>>);

impl Rates {
    /// All of these.
    pub(crate) fn new(rates: impl IntoIterator<Item = Arc<Rate>>) -> Self {
        Self(rates.into_iter().collect())
    }

    /// Whether any of them is one at present.
    pub(crate) fn limit_anything(&self) -> bool {
        self.0.iter().any(|rate| rate.limit().is_some())
    }

    /// As [`Rate::piece`].
    pub(crate) fn piece(&self) -> usize {
        self.0.iter().map(|rate| rate.piece()).min().unwrap_or(usize::MAX)
    }

    /// As [`Rate::take`].
    pub(crate) fn take(&self, bytes: usize) -> Duration {
        self.0.iter().map(|rate| rate.take(bytes)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{CREDIT, Rate, Rates};
    use std::sync::Arc;
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

    #[test]
    fn of_several_limits_the_lowest_counts_and_none_is_none() {
        let [none, low, high] = [0, 100_000, 1_000_000].map(|limit| Arc::new(Rate::new(limit)));
        let free = Rates::new([Arc::clone(&none)]);
        assert!(!free.limit_anything() && free.take(1 << 30).is_zero());
        let all = Rates::new([none, Arc::clone(&low), high]);
        assert!(all.limit_anything());
        assert_eq!(all.piece(), 2000);
        let _ = all.take(100_000);
        assert!(all.take(1) > Duration::from_millis(500));
        low.change(0);
        assert!(all.take(1) < Duration::from_millis(500));
    }
}
