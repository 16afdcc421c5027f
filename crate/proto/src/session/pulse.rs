//! Signs of life, and the deadline that watches work.

use std::time::Duration;

/// How often work is looked at, at the most.
const TICK: Duration = Duration::from_secs(1);

/// A heartbeat goes out at least this often, in looks.
const TICKS_BETWEEN_HEARTBEATS: u32 = 5;

/// The consequence of a look at the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Quiet,
    /// The peer is told how much work was done here.
    Tell(u64),
    /// Neither end has worked for as long as a session may wait.
    TimedOut,
}

/// Watches the work of both ends of a session. An end that waits is kept alive by any work of the other: hashing,
/// walking, flushing. Times are relative to any fixed moment.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    timeout: Duration,
    peer_work: u64,
    seen: (u64, u64),
    since: Duration,
    looks: u32,
}

impl Pulse {
    /// Begins to watch at `now`.
    #[must_use]
    pub const fn new(timeout: Duration, now: Duration) -> Self {
        Self { timeout, peer_work: 0, seen: (0, 0), since: now, looks: 0 }
    }

    /// How long to wait until the next look.
    #[must_use]
    pub fn interval(&self) -> Duration {
        TICK.min(self.timeout / 4)
    }

    /// Takes a heartbeat of the peer.
    pub const fn heard(&mut self, work: u64) {
        self.peer_work = work;
    }

    /// Looks at the work of this end. A change is told at once; without one, a sign of life is given now and then.
    pub fn look(&mut self, work: u64, now: Duration) -> Beat {
        let now_seen = (work, self.peer_work);
        self.looks += 1;
        let tells = work != self.seen.0 || self.looks >= TICKS_BETWEEN_HEARTBEATS;
        if now_seen != self.seen {
            self.seen = now_seen;
            self.since = now;
        } else if now.saturating_sub(self.since) >= self.timeout {
            return Beat::TimedOut;
        }
        if tells {
            self.looks = 0;
            return Beat::Tell(work);
        }
        Beat::Quiet
    }
}

#[cfg(test)]
mod tests {
    use super::{Beat, Pulse};
    use std::time::Duration;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn work_of_either_end_keeps_a_session_alive() {
        let mut pulse = Pulse::new(s(10), s(100));
        assert_eq!(pulse.look(1, s(105)), Beat::Tell(1));
        assert_eq!(pulse.look(1, s(112)), Beat::Quiet);
        pulse.heard(7);
        assert_eq!(pulse.look(1, s(114)), Beat::Quiet);
        assert_eq!(pulse.look(1, s(123)), Beat::Quiet);
        assert_eq!(pulse.look(1, s(124)), Beat::TimedOut);
    }

    #[test]
    fn a_quiet_end_gives_a_sign_of_life() {
        let mut pulse = Pulse::new(s(100), s(0));
        let beats: Vec<_> = (1..=10).map(|second| pulse.look(0, s(second))).collect();
        let told = [4, 9].map(|at: usize| beats[at]);
        assert_eq!(told, [Beat::Tell(0); 2]);
        assert_eq!(beats.iter().filter(|beat| **beat == Beat::Quiet).count(), 8);
    }

    #[test]
    fn a_short_deadline_is_looked_at_more_often() {
        assert_eq!(Pulse::new(s(2), s(0)).interval(), Duration::from_millis(500));
        assert_eq!(Pulse::new(s(3600), s(0)).interval(), s(1));
    }
}
