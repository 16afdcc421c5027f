//! Looking for more: a cycle of rates, and the round trip without a queue.

use std::time::Duration;

use super::deliveries::Sample;
use super::{Bbr, HEADROOM, LEAST_PACKETS, State, float, grown};

/// The shortest time between two probes. It varies up to three seconds, so that flows do not keep step.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Rounds between two probes on a short path: as often as a TCP flow would have found as much room.
const PROBE_ROUNDS: u64 = 63;

/// The least rounds of a probe: the bytes that it sends are answered in the second one.
const PROBE_UP_ROUNDS: u64 = 3;
const PROBE_UP_ROUNDS_BOUNDED: u64 = 4;

/// Rounds after which a competing flow forgets half of the rates that it has seen.
const COMPETING_RATE_ROUNDS: u64 = 16;

/// How long the flow uses little, so that flows that share a queue do so at the same time.
const PROBE_RTT_TAKES: Duration = Duration::from_millis(200);

/// A phase of using a path and probing for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cycle {
    /// Less than the path delivers, until the queue is gone.
    Down,
    /// Sends as much as the path delivers.
    Cruise,
    /// The same for a round, without the bounds that losses set: the path must be full when the probe begins.
    Refill,
    /// More, until the path shows that it has no more.
    Up,
}

impl Cycle {
    pub(super) fn gain(self) -> f64 {
        match self {
            Self::Down => 0.9,
            Self::Cruise | Self::Refill => 1.0,
            Self::Up => 1.25,
        }
    }
}

/// When the next probe comes, and what the last one has shown.
#[derive(Clone, Debug)]
pub(super) struct Probing {
    /// Rounds since the phase or, in Down and Cruise, since the probe.
    pub(super) rounds: u64,
    since: Duration,
    wait: Duration,
    /// Losses are those of the probe still.
    judges: bool,
    /// Samples of a probe are arriving: with them a period of the rate's filter ends.
    advances: bool,
    up_rounds: u32,
    random: u64,
}

impl Probing {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rounds: 0,
            since: Duration::ZERO,
            wait: PROBE_EVERY,
            judges: false,
            advances: false,
            up_rounds: 0,
            random: seed | 1,
        }
    }

    /// Whether a loss now is caused by a probe.
    pub(super) fn judges_loss(&self, state: State) -> bool {
        self.judges && matches!(state, State::ProbeBw(_))
    }

    /// Whether a loss now lowers the rate until the next probe.
    pub(super) fn adapts_to_loss(&self, state: State) -> bool {
        !self.judges && !matches!(state, State::Startup | State::ProbeBw(Cycle::Refill | Cycle::Up))
    }

    /// From 0 to 1 (xorshift, by Marsaglia).
    fn draw(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        float(self.random >> 11) / float(1 << 53)
    }
}

/// The search for the shortest round trip.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProbeRtt {
    /// Nothing was in flight before the packets that are acknowledged now.
    pub(super) idle: bool,
    ends_at: Option<Duration>,
    least: Option<Duration>,
    round_over: bool,
}

impl ProbeRtt {
    /// The part of what the path holds that is used meanwhile.
    pub(super) const GAIN: f64 = 0.5;
}

impl Bbr {
    pub(super) fn enter_probe_bw(&mut self, now: Duration) {
        self.begin_down(now);
        self.probing.judges = false;
    }

    fn begin_down(&mut self, now: Duration) {
        let part = self.probing.draw();
        self.probing.wait = PROBE_EVERY + Duration::from_secs_f64(part);
        (self.probing.since, self.probing.rounds) = (now, 0);
        self.state = State::ProbeBw(Cycle::Down);
    }

    pub(super) fn probe_bandwidth(&mut self, now: Duration, sample: &Sample, round_ends: bool) {
        let State::ProbeBw(cycle) = self.state else { return };
        if self.competition.window().is_some() {
            self.follow_rate(round_ends);
            return;
        }
        let in_flight = float(self.deliveries.in_flight());
        match cycle {
            Cycle::Down | Cycle::Cruise => {
                if round_ends && self.probing.advances && self.probing.rounds > 1 {
                    // The packets of the probe have been answered.
                    (self.probing.judges, self.probing.advances) = (false, false);
                    if !sample.app_limited {
                        self.model.max_rate.advance();
                    }
                }
                if self.is_time_to_probe(now) {
                    self.model.lift_bounds();
                    (self.probing.up_rounds, self.probing.rounds) = (0, 0);
                    self.competition.begin_probe(self.model.rtt);
                    self.state = State::ProbeBw(Cycle::Refill);
                    self.begin_round();
                } else if cycle == Cycle::Down
                    && in_flight <= self.model.holds(1.0).min(self.model.in_flight_high * HEADROOM)
                {
                    self.state = State::ProbeBw(Cycle::Cruise);
                }
            }
            Cycle::Refill => {
                if round_ends && self.probing.rounds > 0 {
                    (self.probing.rounds, self.probing.since) = (0, now);
                    (self.probing.judges, self.probing.advances) = (true, true);
                    self.state = State::ProbeBw(Cycle::Up);
                }
            }
            Cycle::Up => {
                let bounded = self.raise_bound(sample, in_flight, round_ends);
                let queue = sample.rtt > grown(self.model.min_rtt.unwrap_or_default());
                let seen =
                    self.probing.rounds >= if bounded { PROBE_UP_ROUNDS_BOUNDED } else { PROBE_UP_ROUNDS } && queue;
                // The probe also ends when the application has nothing left to send.
                if (seen && in_flight > self.model.holds(Cycle::Up.gain())) || (sample.app_limited && round_ends) {
                    self.begin_down(now);
                }
            }
        }
    }

    /// A competing flow does not probe by the model, but keeps it: the model says what using little is.
    fn follow_rate(&mut self, round_ends: bool) {
        self.state = State::ProbeBw(Cycle::Cruise);
        (self.probing.judges, self.probing.advances) = (false, false);
        if round_ends && self.probing.rounds >= COMPETING_RATE_ROUNDS {
            self.model.max_rate.advance();
            self.probing.rounds = 0;
        }
    }

    /// A probe without loss raises the bounds that losses have set, each round by twice as much. Says whether a bound
    /// limits the probe.
    fn raise_bound(&mut self, sample: &Sample, in_flight: f64, round_ends: bool) -> bool {
        if round_ends {
            self.probing.up_rounds = (self.probing.up_rounds + 1).min(30);
        }
        let high = self.model.in_flight_high;
        let bounded = in_flight + float(sample.acked) + 2.0 * float(self.beginning.mtu) >= high * 0.95;
        if bounded {
            let step = float(self.beginning.mtu).max(high / 64.0) * float(1 << self.probing.up_rounds);
            self.model.in_flight_high += float(sample.acked) * (step / high).min(1.0);
        }
        bounded
    }

    /// A probe has lost too much.
    pub(super) fn end_probe_up(&mut self, now: Duration, in_flight: f64) {
        self.probing.judges = false;
        self.model.in_flight_high = (in_flight * 0.8).max(self.model.holds(1.0));
        if self.state == State::ProbeBw(Cycle::Up) {
            self.begin_down(now);
        }
    }

    fn is_time_to_probe(&self, now: Duration) -> bool {
        let packets = self.model.holds(1.0) / float(self.beginning.mtu);
        let rounds = super::whole(packets).clamp(LEAST_PACKETS, PROBE_ROUNDS);
        now > self.probing.since + self.probing.wait || self.probing.rounds >= rounds
    }

    /// What is used meanwhile. It goes by the shortest round trip ever: the shortest of late may be one with a queue.
    pub(super) fn probe_rtt_window(&self) -> f64 {
        self.model.holds_over(self.competition.least_rtt(), ProbeRtt::GAIN)
    }

    /// Looks for the shortest round trip if it was not seen for long.
    pub(super) fn look_at_round_trip(&mut self, now: Duration, expired: bool, sample: &Sample, round_ends: bool) {
        if expired && self.state != State::ProbeRtt && self.is_full {
            self.state = State::ProbeRtt;
            self.probe_rtt = ProbeRtt::default();
        }
        if self.state != State::ProbeRtt {
            return;
        }
        let ends_at = match self.probe_rtt.ends_at {
            Some(ends_at) => ends_at,
            None if float(self.deliveries.in_flight()) <= self.probe_rtt_window().max(self.least_window()) => {
                let ends_at = now + PROBE_RTT_TAKES.max(self.model.rtt);
                self.probe_rtt.ends_at = Some(ends_at);
                ends_at
            }
            None => return,
        };
        self.probe_rtt.least = Some(self.probe_rtt.least.map_or(sample.rtt, |least| least.min(sample.rtt)));
        self.probe_rtt.round_over |= round_ends;
        if now >= ends_at && self.probe_rtt.round_over {
            if let Some(least) = self.probe_rtt.least {
                (self.model.min_rtt, self.model.min_rtt_at) = (Some(least), now);
                if let Some(window) = self.competition.end_probe_rtt(least) {
                    // The bounds were found before the competition.
                    self.window = window;
                    self.model.in_flight_high = self.model.in_flight_high.max(window);
                    self.model.lift_bounds();
                }
            }
            self.begin_down(now);
            self.state = State::ProbeBw(Cycle::Cruise);
        }
    }
}
