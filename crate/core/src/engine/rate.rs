//! Limits the bytes per second that are sent or received. The limits may change during a run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much unused time a limit makes up for: threads that wait for their turn wake up late.
const CREDIT: Duration = Duration::from_millis(40);

/// How often a waiting thread looks whether the limit has changed, or the run is over.
const STEP: Duration = Duration::from_millis(50);

/// Spreads sent bytes evenly over time.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// 0 is no limit.
    bytes_per_second: AtomicU64,
    queue: Mutex<Queue>,
}

/// The bytes to be sent, as a queue in which each byte has its place.
#[derive(Debug, Default)]
struct Queue {
    /// How far the line reaches.
    taken: u128,
    /// How many billionths of a byte the limit has let go so far, and when that was so.
    gone: u128,
    at: Option<Instant>,
}

/// A place in that line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(u128);

impl Rate {
    /// A limit; 0 is none.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: AtomicU64::new(bytes_per_second), queue: Mutex::default() }
    }

    /// Sets the limit; 0 is none. The new limit applies to lanes that wait already.
    pub(crate) fn set(&self, bytes_per_second: u64) {
        self.set_at(bytes_per_second, Instant::now());
    }

    /// Whether there is a limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.bytes_per_second() > 0
    }

    /// Bytes that may go at once: those of a fiftieth of a second, as far as the size of packets allows.
    pub(crate) fn piece(&self) -> usize {
        usize::try_from(self.bytes_per_second() / 50).unwrap_or(usize::MAX).clamp(1200, 256 << 10)
    }

    /// Takes room for `bytes`.
    pub(crate) fn take(&self, bytes: usize) -> Place {
        self.take_at(bytes, Instant::now())
    }

    /// How long to wait until the bytes at this place may be sent, or until the caller asks again.
    pub(crate) fn wait(&self, place: Place) -> Duration {
        self.wait_at(place, Instant::now()).min(STEP)
    }

    fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// The line as it is at a moment.
    fn queue(&self, now: Instant) -> std::sync::MutexGuard<'_, Queue> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = u128::from(self.bytes_per_second());
        let passed = queue.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        queue.at = queue.at.max(Some(now));
        let most = queue.taken * BILLION + rate * CREDIT.as_nanos();
        queue.gone = (queue.gone + rate * passed.as_nanos()).min(most);
        queue
    }

    fn set_at(&self, bytes_per_second: u64, now: Instant) {
        let mut queue = self.queue(now);
        // A new limit does not make up for bytes that the one before has left unused, and bytes taken without a limit
        // have gone.
        if !self.is_limited() {
            queue.gone = queue.taken * BILLION;
        }
        queue.gone = queue.gone.min(queue.taken * BILLION);
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    fn take_at(&self, bytes: usize, now: Instant) -> Place {
        let mut queue = self.queue(now);
        let place = Place(queue.taken);
        queue.taken += bytes as u128;
        place
    }

    fn wait_at(&self, Place(place): Place, now: Instant) -> Duration {
        let queue = self.queue(now);
        let rate = u128::from(self.bytes_per_second());
        if rate == 0 {
            return Duration::ZERO;
        }
        let ahead = (place * BILLION).saturating_sub(queue.gone);
        Duration::from_nanos(u64::try_from(ahead.div_ceil(rate)).unwrap_or(u64::MAX))
    }
}

const BILLION: u128 = 1_000_000_000;

/// Places of the same bytes in several queues: those of the limits of a run, of all runs of a key, and of all runs of a
/// server.
pub(crate) struct Turn<'a>(Vec<(&'a Rate, Place)>);

impl<'a> Turn<'a> {
    /// Takes room for `bytes` by each of these limits.
    pub(crate) fn take(rates: impl Iterator<Item = &'a Rate>, bytes: usize) -> Self {
        Self(rates.map(|rate| (rate, rate.take(bytes))).collect())
    }

    /// As [`Rate::wait`], by the lowest of them.
    pub(crate) fn wait(&self) -> Duration {
        self.0.iter().map(|(rate, place)| rate.wait(*place)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{CREDIT, Place, Rate, STEP, Turn};
    use std::time::{Duration, Instant};

    /// Senders that take turns on a clock that is moved: the moments at which bytes went.
    struct Senders {
        rate: Rate,
        now: Instant,
        /// What each holds: its place, its bytes, and when it looks again.
        lanes: Vec<(Place, usize, Instant)>,
        sent: Vec<(Instant, usize)>,
    }

    impl Senders {
        fn new(bytes_per_second: u64) -> Self {
            let rate = Rate::default();
            rate.set(bytes_per_second);
            Self { rate, now: Instant::now(), lanes: Vec::new(), sent: Vec::new() }
        }

        /// Sends for so long, from as many lanes as there are delays: each wakes up later than it was told, by its own.
        fn run(&mut self, seconds: u64, late: &[Duration]) {
            let end = self.now + Duration::from_secs(seconds);
            while self.lanes.len() < late.len() {
                self.lanes.push(self.take());
            }
            while let Some((lane, at)) = self.lanes.iter().map(|(.., at)| *at).enumerate().min_by_key(|(_, at)| *at) {
                if at >= end {
                    break;
                }
                self.now = self.now.max(at);
                let (place, bytes, at) = &mut self.lanes[lane];
                let wait = self.rate.wait_at(*place, self.now).min(STEP);
                if wait.is_zero() {
                    self.sent.push((self.now, *bytes));
                    self.lanes[lane] = self.take();
                } else {
                    *at = self.now + wait + late[lane];
                }
            }
            self.now = end;
        }

        fn take(&self) -> (Place, usize, Instant) {
            let bytes = self.rate.piece();
            (self.rate.take_at(bytes, self.now), bytes, self.now)
        }

        fn set(&mut self, bytes_per_second: u64) {
            self.rate.set_at(bytes_per_second, self.now);
        }

        /// What went in any two seconds of a time, at least and at most.
        fn windows(&self, from: Instant, to: Instant) -> (usize, usize) {
            let window = Duration::from_secs(2);
            let step = Duration::from_millis(50);
            let mut sums = Vec::new();
            let mut at = from;
            while at + window <= to {
                let within = self.sent.iter().filter(|(moment, _)| (at..at + window).contains(moment));
                sums.push(within.map(|(_, bytes)| bytes).sum());
                at += step;
            }
            (sums.iter().copied().min().unwrap_or_default(), sums.iter().copied().max().unwrap_or_default())
        }
    }

    const LATE: [&[u64]; 4] = [&[0], &[300], &[1000, 7000], &[2000, 0, 15_000, 500]];

    #[test]
    fn any_two_seconds_have_what_the_limit_says_within_a_twentieth() {
        for bytes_per_second in [100_000, 1_000_000, 64_000_000] {
            for late in LATE {
                let late: Vec<_> = late.iter().map(|micros| Duration::from_micros(*micros)).collect();
                let mut senders = Senders::new(bytes_per_second);
                let start = senders.now;
                senders.run(12, &late);
                let (least, most) = senders.windows(start, senders.now);
                let expected = usize::try_from(2 * bytes_per_second).unwrap();
                assert!(least >= expected * 95 / 100 && most <= expected * 105 / 100, "{least} {most} of {expected}");
            }
        }
    }

    #[test]
    fn another_limit_holds_from_the_moment_on_at_which_it_is_set() {
        let late = [Duration::from_micros(500); 2];
        let mut senders = Senders::new(1_000_000);
        senders.run(4, &late);
        for (bytes_per_second, seconds) in [(200_000, 6), (3_000_000, 6), (0, 0), (500_000, 6)] {
            senders.set(bytes_per_second);
            let start = senders.now;
            senders.run(seconds, &late);
            if seconds > 0 {
                let (least, most) = senders.windows(start, senders.now);
                let expected = usize::try_from(2 * bytes_per_second).unwrap();
                assert!(least >= expected * 95 / 100 && most <= expected * 105 / 100, "{least} {most} of {expected}");
            } else {
                // Without a limit, what waited goes at once.
                senders.lanes.clear();
            }
        }
    }

    #[test]
    fn who_waits_by_a_low_limit_goes_on_when_it_is_lifted() {
        let rate = Rate::default();
        let now = Instant::now();
        rate.set_at(100, now);
        let _ = rate.take_at(1 << 20, now);
        let place = rate.take_at(1200, now);
        assert!(rate.wait_at(place, now) > Duration::from_secs(10_000));
        rate.set_at(1 << 20, now);
        assert!(rate.wait_at(place, now) <= Duration::from_secs(1));
        rate.set_at(0, now);
        assert!(rate.wait_at(place, now).is_zero());
    }

    #[test]
    fn little_is_made_up_for() {
        let rate = Rate::default();
        let start = Instant::now();
        rate.set_at(100_000, start);
        let late = start + Duration::from_secs(5);
        let waits: Vec<Duration> = (0..6).map(|_| rate.wait_at(rate.take_at(2000, late), late)).collect();
        assert!(waits[0].is_zero() && waits[5] + CREDIT >= Duration::from_millis(100), "{waits:?}");
    }

    #[test]
    fn of_several_limits_the_lowest_counts_and_none_is_none() {
        let [none, low, high] = [0, 100_000, 1_000_000].map(Rate::new);
        assert!(Turn::take([&none].into_iter(), 1 << 30).wait().is_zero());
        let all = || [&none, &low, &high].into_iter();
        let _ = Turn::take(all(), 1_000_000);
        let turn = Turn::take(all(), 1);
        assert!(!turn.wait().is_zero());
        high.set(0);
        assert!(!turn.wait().is_zero());
        low.set(0);
        assert!(turn.wait().is_zero());
    }
}
