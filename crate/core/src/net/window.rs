//! What a connection may hold of bytes that were received and not yet read: little at first, more as the path is seen
//! to need it, and for a server's connections together no more than one budget.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::{Connection, VarInt};

use super::parameters::{CONNECTION_WINDOW_BYTES, LEAST_WINDOW_BYTES, STREAM_WINDOW_BYTES};

/// Bytes read are counted over a round trip, and over at least this time: writers take waiting packs in bursts.
const MEASURED_OVER: Duration = Duration::from_millis(10);

/// The unread bytes, beyond the least window of each, that all authorized connections of a server together may send
/// ahead. Clones share one budget.
#[derive(Clone, Debug)]
pub struct WindowBudget(Arc<Bytes>);

#[derive(Debug)]
struct Bytes {
    most: AtomicU64,
    /// Below 0 if the budget became smaller than the bytes that are taken.
    left: AtomicI64,
}

impl WindowBudget {
    /// The default, 256 MiB: three connections at full speed over any distance, or dozens at one site.
    pub const DEFAULT_BYTES: u64 = 256 << 20;

    /// A budget of that many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(Bytes { most: AtomicU64::new(bytes), left: AtomicI64::new(signed(bytes)) }))
    }

    /// Opens an authorized connection's window, which is the least one at first: 1 MiB. Before, a connection may send
    /// 256 KiB ahead.
    #[must_use]
    pub fn open(&self, connection: &Connection) -> Window {
        connection.set_receive_window(VarInt::from_u32(LEAST_WINDOW_BYTES));
        let measured = expected(connection.rtt());
        let state = State { measured, lanes: 0, halted: 0, leased: 0, since: Instant::now(), read: 0 };
        Window(Arc::new(Shared { connection: connection.clone(), budget: self.clone(), state: Mutex::new(state) }))
    }

    /// Sets another budget. Bytes that connections hold stay theirs until they give them back.
    pub fn change(&self, bytes: u64) {
        let before = self.0.most.swap(bytes, Ordering::Relaxed);
        self.0.left.fetch_add(signed(bytes) - signed(before), Ordering::Relaxed);
    }

    /// Takes up to `wanted` bytes, but at most half of the rest, so that the next connection gets some.
    pub(super) fn take(&self, wanted: u32) -> u32 {
        let mut taken = 0;
        // The closure always gives a value, so this cannot fail.
        let _ = self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            taken = u32::try_from(left.max(0) / 2).unwrap_or(u32::MAX).min(wanted);
            Some(left - i64::from(taken))
        });
        taken
    }

    /// How much is out.
    pub(crate) fn lent(&self) -> u64 {
        let most = signed(self.0.most.load(Ordering::Relaxed));
        u64::try_from(most - self.0.left.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn give_back(&self, bytes: u32) {
        self.0.left.fetch_add(i64::from(bytes), Ordering::Relaxed);
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Default for WindowBudget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BYTES)
    }
}

/// The receive window of one connection. Clones share it.
///
/// The window begins at what a path of its round trip is expected to need, and follows the data lanes: whenever more
/// than a quarter of it was read within one round trip, the window limits the peer, or soon will, and is doubled. A
/// receiver that reads slowly, because its disk is slow, keeps its window, so a sender cannot park more than a round
/// trip's bytes there. When the last lane ends, the window is the least one again; with the next lane it becomes what
/// the path was seen to need.
///
/// A lane that is not read at all for a while would use up the window of the others and of the control stream. Its own
/// window is lent to the connection until it goes on ([`LaneWindow::halt`]).
#[derive(Clone, Debug)]
pub struct Window(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: Connection,
    budget: WindowBudget,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The window that the path is seen to need.
    measured: u32,
    /// Lanes that are open or expected, and how many of them are not read.
    lanes: u32,
    halted: u32,
    /// Bytes of the budget that the window has taken, beyond the least window.
    leased: u32,
    /// Bytes that were read since then.
    since: Instant,
    read: u64,
}

impl Window {
    /// Counts a data lane as long as the value lives, whether the lane has begun or is only expected.
    #[must_use]
    pub fn lane(&self) -> LaneWindow {
        let mut state = self.0.state();
        state.lanes += 1;
        self.0.apply(&mut state);
        drop(state);
        LaneWindow { window: self.clone(), halted: false }
    }

    /// The present window, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        LEAST_WINDOW_BYTES + self.0.state().leased
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the window that the state asks for, as far as the budget allows.
    fn apply(&self, state: &mut State) {
        let lent = STREAM_WINDOW_BYTES.saturating_mul(state.halted);
        let window = if state.lanes > 0 { state.measured.saturating_add(lent) } else { LEAST_WINDOW_BYTES };
        let wanted = window.min(CONNECTION_WINDOW_BYTES) - LEAST_WINDOW_BYTES;
        let before = state.leased;
        if wanted > before {
            state.leased += self.budget.take(wanted - before);
        } else {
            self.budget.give_back(before - wanted);
            state.leased = wanted;
        }
        if state.leased != before {
            self.connection.set_receive_window(VarInt::from_u32(LEAST_WINDOW_BYTES + state.leased));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let leased = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).leased;
        self.budget.give_back(leased);
    }
}

/// A data lane's part in its connection's [`Window`].
#[derive(Debug)]
pub struct LaneWindow {
    window: Window,
    halted: bool,
}

impl LaneWindow {
    /// Tells of bytes that were read from the lane.
    pub fn read(&self, bytes: usize) {
        let shared = &*self.window.0;
        let mut state = shared.state();
        state.read += bytes as u64;
        let now = Instant::now();
        let elapsed = now.duration_since(state.since);
        let round_trip = shared.connection.min_rtt();
        if elapsed < round_trip.max(MEASURED_OVER) {
            return;
        }
        if grows(state.read, elapsed, round_trip, state.measured) {
            state.measured = state.measured.saturating_mul(2).min(CONNECTION_WINDOW_BYTES);
            shared.apply(&mut state);
        }
        (state.since, state.read) = (now, 0);
    }

    /// Says that the lane is not read for now, or is again.
    pub fn halt(&mut self, halted: bool) {
        if self.halted != halted {
            self.halted = halted;
            let mut state = self.window.0.state();
            state.halted = if halted { state.halted + 1 } else { state.halted - 1 };
            self.window.0.apply(&mut state);
        }
    }
}

impl Drop for LaneWindow {
    fn drop(&mut self) {
        self.halt(false);
        let mut state = self.window.0.state();
        state.lanes -= 1;
        self.window.0.apply(&mut state);
    }
}

/// The rate that a path is expected to carry before any is measured: on a long path, measuring first would cost round
/// trips.
const EXPECTED_BYTES_PER_SECOND: u32 = 32 << 20;

/// The window when the first lane begins.
fn expected(round_trip: Duration) -> u32 {
    let millis = u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX);
    let window = (EXPECTED_BYTES_PER_SECOND / 1000).saturating_mul(millis);
    window.clamp(LEAST_WINDOW_BYTES, STREAM_WINDOW_BYTES)
}

/// A path with a shorter round trip lies within one machine or behind one switch.
const SHORT_ROUND_TRIP: Duration = Duration::from_millis(1);

/// Whether `read` bytes in `elapsed` are a large part of the window in the shortest round trip seen. A quarter is
/// large: under load a round trip takes longer, and no more would ever be read with a full window. On a short path it
/// is half, because work takes the time there.
fn grows(read: u64, elapsed: Duration, round_trip: Duration, window: u32) -> bool {
    let much = u128::from(if round_trip < SHORT_ROUND_TRIP { window / 2 } else { window / 4 });
    u128::from(read) * round_trip.as_nanos() > elapsed.as_nanos() * much
}

#[cfg(test)]
mod tests {
    use super::{WindowBudget, expected, grows};
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn shares_shrink_and_come_back() {
        let budget = WindowBudget::default();
        let taken: Vec<_> = (0..100).map(|_| budget.take(80 << 20)).collect();
        assert_eq!(taken[0], 80 << 20);
        assert!(taken.windows(2).all(|pair| pair[0] >= pair[1]));
        assert!(taken.iter().map(|&bytes| u64::from(bytes)).sum::<u64>() <= WindowBudget::DEFAULT_BYTES);
        for bytes in taken {
            budget.give_back(bytes);
        }
        assert_eq!(budget.0.left.load(Ordering::Relaxed), 256 << 20);
        // A smaller one takes back nothing, and gives nothing for a while.
        let taken = budget.take(80 << 20);
        budget.change(1 << 20);
        assert_eq!(budget.take(1 << 20), 0);
        budget.give_back(taken);
        assert_eq!(budget.take(1 << 20), 512 << 10);
        assert_eq!(WindowBudget::new(0).take(1 << 20), 0);
    }

    #[test]
    fn a_long_path_begins_with_more() {
        assert_eq!(expected(MS / 10), 1 << 20);
        assert_eq!(expected(20 * MS), 1 << 20);
        assert!((7 << 20..9 << 20).contains(&expected(262 * MS)));
        assert_eq!(expected(10_000 * MS), 16 << 20);
    }

    #[test]
    fn only_what_a_round_trip_needs_grows_a_window() {
        // 1 MiB over 100 ms holds a path at 10 MB/s: at 3 MB/s more will be wanted, at 1 MB/s it does not matter.
        assert!(grows(300_000, 100 * MS, 100 * MS, 1 << 20));
        assert!(!grows(100_000, 100 * MS, 100 * MS, 1 << 20));
        // Within one machine nothing is ever far enough away.
        assert!(!grows(1 << 20, MS, MS / 10, 1 << 20));
        // Time that was spent waiting counts.
        assert!(!grows(1 << 20, 1000 * MS, 100 * MS, 1 << 20));
    }
}
