//! Sharing a queue with flows that fill it.
//!
//! A model that leaves no queue behind leaves the path to flows of TCP that fill every queue: where the queue holds
//! many times what the path holds, they have nearly all of it. So a flow that sees others fill the queue does as they
//! do: its window is Cubic's (RFC 9438) until the queue is seen to go when this flow uses little. Copa (NSDI 2018)
//! calls this the competitive mode.

use std::time::Duration;

use super::float;

/// Losses at a round trip of so many shortest ones are those of a full queue.
const FULL: f64 = 1.35;
/// Rounds and packets without a loss before it. A path that loses packets by itself loses some in between, and flows
/// that fill a queue do so once in many rounds.
const QUIET_ROUNDS: u64 = 16;
const QUIET_PACKETS: u64 = 500;

/// So many of them show that others fill the queue: flows that begin at the same time overflow it once.
const FULL_TIMES: u32 = 2;

/// The queue is gone when the round trip is at most so many shortest ones.
const GONE: f64 = 1.05;

/// So many looks in turn that see the same round trip, within the part above, see the path: it has become longer.
const SAME_LOOKS: u32 = 3;

/// Cubic's constants (RFC 9438): packets per second cubed, and the part of the window that is left after a loss.
const C: f64 = 0.4;
const BETA: f64 = 0.7;

/// The growth for each byte that arrives, until the first loss: the others have just made room, and fill it slowly.
const FIRST_GROWTH: f64 = 0.25;

/// Cubic's window.
#[derive(Clone, Copy, Debug)]
struct Cubic {
    /// In bytes, as all windows.
    window: f64,
    /// The window that was too much.
    most: f64,
    /// What the last loss left, and when.
    left: f64,
    lost_at: Duration,
    /// Nothing was lost yet.
    is_first: bool,
}

/// Whether others fill the queue, and the window that competes with theirs.
#[derive(Clone, Debug, Default)]
pub(super) struct Competition {
    least_rtt: Option<Duration>,
    /// There was a queue before this flow probed for more, so a loss in the probe is not of its making alone.
    queue_before_probe: bool,
    full_times: u32,
    lost_round: u64,
    lost_delivered: u64,
    cubic: Option<Cubic>,
    /// What the last look without a queue of this flow's has seen, and the looks in turn that saw the same.
    looked: Duration,
    same_looks: u32,
}

impl Competition {
    /// The shortest round trip that this path ever had, or has by now.
    pub(super) fn least_rtt(&self) -> Option<Duration> {
        self.least_rtt
    }

    /// The window, while there is a competition.
    pub(super) fn window(&self) -> Option<f64> {
        self.cubic.map(|cubic| cubic.window)
    }

    fn is_longer(&self, rtt: Duration, times: f64) -> bool {
        // A millisecond more is the scheduler's.
        self.least_rtt.is_some_and(|least| rtt > least.mul_f64(times) + Duration::from_millis(1))
    }

    /// Notes a round trip.
    pub(super) fn see_rtt(&mut self, rtt: Duration) {
        self.least_rtt = Some(self.least_rtt.map_or(rtt, |least| least.min(rtt)));
    }

    /// Whether a round trip is one with a queue.
    pub(super) fn sees_queue(&self, rtt: Duration) -> bool {
        self.is_longer(rtt, FULL)
    }

    /// The flow is about to probe for more.
    pub(super) fn begin_probe(&mut self, rtt: Duration) {
        self.queue_before_probe = self.sees_queue(rtt);
    }

    /// Packets are lost in this round, after so many bytes were delivered in all; in a probe, or not.
    pub(super) fn see_loss(&mut self, now: Duration, round: u64, delivered: u64, loss: &Loss) {
        let quiet =
            round >= self.lost_round + QUIET_ROUNDS && delivered >= self.lost_delivered + QUIET_PACKETS * loss.mtu;
        (self.lost_round, self.lost_delivered) = (round, delivered);
        if quiet && loss.is_usual && self.sees_queue(loss.rtt) && (!loss.in_probe || self.queue_before_probe) {
            self.full_times += 1;
            if self.full_times >= FULL_TIMES {
                self.begin(now, loss.window);
            }
        }
        let Some(cubic) = &mut self.cubic else { return };
        if loss.sent > cubic.lost_at {
            let converges = cubic.window < cubic.most && !cubic.is_first;
            cubic.most = if converges { cubic.window * f64::midpoint(1.0, BETA) } else { cubic.window };
            cubic.window *= BETA;
            (cubic.left, cubic.lost_at, cubic.is_first) = (cubic.window, now, false);
        }
    }

    /// A loss that happens after this moment ends the first growth. The loss that began the competition does not.
    fn begin(&mut self, now: Duration, window: f64) {
        if self.cubic.is_none() {
            self.cubic = Some(Cubic { window, most: window, left: window, lost_at: now, is_first: true });
        }
    }

    /// Bytes have arrived that left at `sent`.
    pub(super) fn on_acked(&mut self, now: Duration, sent: Duration, bytes: u64, rtt: Duration, mtu: u64) {
        let Some(cubic) = self.cubic.as_mut().filter(|cubic| sent > cubic.lost_at) else { return };
        if cubic.is_first {
            cubic.window += float(bytes) * FIRST_GROWTH;
            return;
        }
        let mtu = float(mtu);
        let elapsed = now.saturating_sub(cubic.lost_at).as_secs_f64();
        let rtt = rtt.as_secs_f64();
        let turn = ((cubic.most - cubic.left).max(0.0) / mtu / C).cbrt();
        let by_cubic = C * (elapsed + rtt - turn).powi(3) + cubic.most / mtu;
        let by_reno = cubic.left / mtu + 3.0 * (1.0 - BETA) / (1.0 + BETA) * elapsed / rtt.max(1e-6);
        let target = (by_cubic.max(by_reno) * mtu).min(cubic.window * 1.5);
        cubic.window += (target - cubic.window).max(0.0) / cubic.window * float(bytes);
    }

    /// The flow has used little for a while, and this was the shortest round trip meanwhile. Gives the last window when
    /// that ends the competition.
    pub(super) fn end_probe_rtt(&mut self, rtt: Duration) -> Option<f64> {
        let same = rtt.abs_diff(self.looked) <= rtt.mul_f64(GONE - 1.0);
        (self.looked, self.same_looks) = (rtt, if same { self.same_looks + 1 } else { 1 });
        if self.same_looks >= SAME_LOOKS {
            self.least_rtt = Some(rtt);
        }
        let window = self.window().filter(|_| !self.is_longer(rtt, GONE))?;
        self.end();
        Some(window)
    }

    /// What was known of the path no longer holds.
    pub(super) fn end(&mut self) {
        self.cubic = None;
    }
}

/// What is known of a loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// When the newest of the lost packets left.
    pub(super) sent: Duration,
    /// The smoothed round trip.
    pub(super) rtt: Duration,
    /// The flow used the path as usual.
    pub(super) is_usual: bool,
    /// It was looking for more.
    pub(super) in_probe: bool,
    /// The window without a competition.
    pub(super) window: f64,
    pub(super) mtu: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const MTU: u64 = 1000;

    fn loss(rtt: Duration, sent: Duration) -> Loss {
        Loss { sent, rtt, is_usual: true, in_probe: false, window: 1e5, mtu: MTU }
    }

    fn competition() -> Competition {
        let mut competition = Competition::default();
        competition.see_rtt(MS * 20);
        competition
    }

    #[test]
    fn losses_of_a_full_queue_begin_it_and_losses_without_one_do_not() {
        for (rtt, begins) in [(MS * 22, false), (MS * 60, true)] {
            let mut competition = competition();
            competition.see_loss(MS * 500, 30, 600 * MTU, &loss(rtt, MS * 450));
            assert_eq!(competition.window(), None, "one is chance");
            competition.see_loss(MS * 900, 60, 1200 * MTU, &loss(rtt, MS * 850));
            assert_eq!(competition.window().is_some(), begins, "{rtt:?}");
        }
    }

    #[test]
    fn a_path_that_always_loses_some_does_not_begin_it() {
        let mut competition = competition();
        for round in 1..100 {
            competition.see_loss(MS * 60 * round, (round * 8).into(), u64::from(round) * 200 * MTU, &loss(MS * 60, MS));
        }
        assert!(competition.window().is_none());
    }

    #[test]
    fn a_probe_without_a_queue_ends_it() {
        let mut competition = competition();
        competition.begin(Duration::ZERO, 1e5);
        assert_eq!(competition.end_probe_rtt(MS * 60), None, "the queue is still there");
        assert_eq!(competition.end_probe_rtt(MS * 20), Some(1e5));
        assert_eq!(competition.window(), None);
    }

    #[test]
    fn a_path_that_has_become_longer_ends_it() {
        let mut competition = competition();
        competition.begin(Duration::ZERO, 1e5);
        let looks = [60, 90, 61, 60, 62].map(|rtt| competition.end_probe_rtt(MS * rtt).is_some());
        assert_eq!(looks, [false, false, false, false, true]);
        assert_eq!(competition.least_rtt(), Some(MS * 62));
    }

    #[test]
    fn the_window_is_less_after_a_loss_and_grows_back() {
        let mut competition = competition();
        competition.begin(Duration::ZERO, 1e5);
        competition.on_acked(MS * 100, MS * 80, 4 * MTU, MS * 100, MTU);
        let grown = competition.window().expect("a competition");
        assert!(grown > 1e5);
        competition.see_loss(MS * 200, 2, 0, &loss(MS * 100, MS * 150));
        assert!((competition.window().expect("a competition") - 0.7 * grown).abs() < 1.0);
        for tick in 4_u32..400 {
            let now = MS * 100 * tick;
            competition.on_acked(now, now.saturating_sub(MS * 50), 100 * MTU, MS * 100, MTU);
        }
        assert!(competition.window().expect("a competition") > grown);
    }
}
