//! How fast a path takes what streams have to send on it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Below this round trip a path is a machine's own or a local network's: a wait there is the processor's, and says
/// nothing of the path.
pub(super) const MEASURED_FROM_ROUND_TRIP: Duration = Duration::from_millis(1);

/// Less than either of these says nothing yet: the buffers before a path take much at once, however slow it is.
const LEAST_BYTES: f64 = 67_108_864.0;
const LEAST_WAITS_SECONDS: f64 = 0.05;

/// What was seen counts half as much after so long a wait, so that a path that becomes slower or faster is followed.
const HALVED_AFTER_SECONDS: f64 = 1.0;

/// The bytes that streams have sent, and the time in which at least one of them waited to send more: while nobody
/// waits, the path is not seen.
#[derive(Debug, Default)]
pub(super) struct Goodput(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    bytes: f64,
    seconds: f64,
    waiting: usize,
    since: Option<Instant>,
}

impl Goodput {
    /// Sends a piece of so many bytes, which `room` is waited for.
    pub(super) async fn sent<T>(&self, bytes: usize, room: impl Future<Output = T>) -> T {
        let waits = Waits::begin(self);
        let room = room.await;
        drop(waits);
        self.see(|seen| seen.took(bytes));
        room
    }

    /// Bytes a second; nothing as long as too little was seen.
    pub(super) fn bytes_per_second(&self) -> Option<f64> {
        self.see(|seen| seen.bytes_per_second())
    }

    fn see<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The wait of one stream, which ends when it is dropped: who stops waiting has waited too.
struct Waits<'a>(&'a Goodput);

impl<'a> Waits<'a> {
    fn begin(goodput: &'a Goodput) -> Self {
        goodput.see(|seen| seen.wait_begins(Instant::now()));
        Self(goodput)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.see(|seen| seen.wait_ends(Instant::now()));
    }
}

impl Seen {
    fn wait_begins(&mut self, now: Instant) {
        self.waiting += 1;
        self.since.get_or_insert(now);
    }

    fn wait_ends(&mut self, now: Instant) {
        let since = self.since.replace(now).unwrap_or(now);
        self.seconds += now.saturating_duration_since(since).as_secs_f64();
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting == 0 {
            self.since = None;
        }
    }

    fn took(&mut self, bytes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "an estimate within a factor")]
        let bytes = bytes as f64;
        self.bytes += bytes;
        if self.seconds > HALVED_AFTER_SECONDS {
            self.bytes /= 2.0;
            self.seconds /= 2.0;
        }
    }

    fn bytes_per_second(&self) -> Option<f64> {
        (self.bytes >= LEAST_BYTES || self.seconds >= LEAST_WAITS_SECONDS)
            .then(|| self.bytes / self.seconds.max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Seen};

    const PIECE: usize = 64 << 10;

    /// Sends over a path of so many bytes a second, by as many streams that wait at the same time, behind a buffer that
    /// takes `buffer` at once.
    struct Path {
        seen: Seen,
        now: Instant,
    }

    impl Path {
        fn new() -> Self {
            Self { seen: Seen::default(), now: Instant::now() }
        }

        fn send(&mut self, bytes_per_second: f64, buffer: usize, bytes: usize, streams: u32) -> Option<f64> {
            let mut left = bytes;
            while left > 0 {
                (0..streams).for_each(|_| self.seen.wait_begins(self.now));
                for _ in 0..streams {
                    let waits = if bytes - left < buffer { 0.0 } else { 65_536.0 / bytes_per_second };
                    self.now += Duration::from_secs_f64(waits);
                    self.seen.wait_ends(self.now);
                    self.seen.took(PIECE);
                    left = left.saturating_sub(PIECE);
                }
            }
            self.seen.bytes_per_second()
        }
    }

    #[test]
    fn a_slow_path_is_seen_behind_the_buffer_before_it() {
        let mut path = Path::new();
        assert_eq!(path.send(1e6, 4 << 20, 4 << 20, 1), None);
        let rate = path.send(1e6, 0, 4 << 20, 1).expect("a rate");
        assert!((0.9e6..2e6).contains(&rate), "{rate}");
    }

    #[test]
    fn streams_that_wait_together_see_one_path() {
        let rate = Path::new().send(1e6, 0, 8 << 20, 4).expect("a rate");
        assert!((0.9e6..1.2e6).contains(&rate), "{rate}");
    }

    #[test]
    fn a_pause_is_no_part_of_the_path() {
        let mut path = Path::new();
        path.send(1e6, 0, 2 << 20, 2);
        path.now += Duration::from_secs(3600);
        let rate = path.send(1e6, 0, 2 << 20, 2).expect("a rate");
        assert!((0.9e6..1.2e6).contains(&rate), "{rate}");
    }

    #[test]
    fn a_path_that_changes_is_followed() {
        let mut path = Path::new();
        path.send(1e6, 0, 8 << 20, 1);
        let rate = path.send(1e9, 0, 2 << 30, 1).expect("a rate");
        assert!(rate > 0.7e9, "{rate}");
        let rate = path.send(1e6, 0, 32 << 20, 1).expect("a rate");
        assert!(rate < 2e6, "{rate}");
    }

    #[test]
    fn little_says_nothing_unless_it_took_long() {
        let mut path = Path::new();
        path.seen.took(1000);
        assert_eq!(path.seen.bytes_per_second(), None);
        path.seen.wait_begins(path.now);
        path.seen.wait_ends(path.now + Duration::from_millis(60));
        path.seen.took(1000);
        assert!(path.seen.bytes_per_second().is_some_and(|rate| rate < 100_000.0));
    }
}
