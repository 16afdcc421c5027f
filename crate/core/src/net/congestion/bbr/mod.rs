//! BBR, by the rules of its version 3 (draft-ietf-ccwg-bbr): a model of the path, the rate at which it delivers and its
//! shortest round trip, says how much may be under way. A single loss says nothing, so a path that loses packets by
//! itself is used as one that does not.
//!
//! A state machine: events in, a window out, time as an argument. Four things differ from the draft:
//!
//! - There is no pacing of its own. QUIC spreads a window over a round trip, so a rate is kept by a window of that rate
//!   times the round trip as it is now, queue and all ([`Bbr::window`]).
//! - Losses without a queue mean little: 2 % are too many where the round trip has grown, 13 % where it has not.
//! - Loss lowers what is used between probes only when it is too much, not whenever there is some.
//! - Beside flows that fill the queue, the window is Cubic's ([`competing`]). Without them it is less than the draft's,
//!   so that flows that share a path leave less than its content in the queue.

mod competing;
mod deliveries;
mod filter;
mod probe;

use std::time::Duration;

use competing::{Competition, Loss};
use deliveries::{Deliveries, Sample};
use filter::MaxFilter;
use probe::{Cycle, ProbeRtt};

/// The bytes in flight until the path is full, in multiples of those that it was seen to hold: enough to double them in
/// each round.
const STARTUP_GAIN: f64 = 2.77;

/// The bytes that may be in flight, in multiples of those that the path holds. The draft has 2 and 2.25: two flows that
/// share a path then leave more in the queue than the path holds.
const WINDOW_GAIN: f64 = 1.3;
const PROBE_UP_WINDOW_GAIN: f64 = 1.6;

/// Growth of the rate that shows that the path is not full yet, and the rounds without it that show that it is.
const FULL_GROWTH: f64 = 1.25;
const FULL_ROUNDS: u32 = 3;

/// The part of the bytes in flight that is too much to lose, where there is a queue and where there is none.
const LOSS_WITH_QUEUE: f64 = 0.02;
const LOSS_ALONE: f64 = 0.13;

/// Losses of fewer packets in a round are chance.
const LOST_PACKETS_LEAST: u64 = 6;

/// The most that the first window is, however long the path.
const FIRST_WINDOW_MOST: f64 = 1_572_864.0;

/// The part of a bound that is left after too much was lost.
const BETA: f64 = 0.7;

/// The part of the bytes in flight that proved too many which is used until the next probe, so that others find room.
const HEADROOM: f64 = 0.85;

/// On a path with a shorter round trip, scheduling takes the time and not distance.
const SHORTEST_ROUND_TRIP: Duration = Duration::from_millis(2);

/// How long a shortest round trip counts before it is looked for anew.
const MIN_RTT_LASTS: Duration = Duration::from_secs(10);

/// Packets that may always be under way.
const LEAST_PACKETS: u64 = 4;

#[expect(clippy::cast_precision_loss, reason = "rates and windows within a factor")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

/// What a controller begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// The first window, in bytes.
    pub(super) window: u64,
    /// A rate in bytes per second that every path carries: the first window is this rate times the first round trip.
    pub(super) rate: f64,
    /// The size of packets, in bytes.
    pub(super) mtu: u64,
    /// The seed of the random times of probes.
    pub(super) seed: u64,
}

/// What a flow is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Doubling until the path is full.
    Startup,
    /// Letting the queue go that this made.
    Drain,
    /// Uses what the path has, and looks for more now and then.
    ProbeBw(Cycle),
    /// Using little, to see the round trip without a queue.
    ProbeRtt,
}

/// The model of a path.
#[derive(Clone, Debug)]
struct Model {
    max_rate: MaxFilter,
    /// The highest rate that may be used until the next probe, after too much was lost.
    rate_low: f64,
    in_flight_low: f64,
    /// The most under way that was not too much.
    in_flight_high: f64,
    min_rtt: Option<Duration>,
    min_rtt_at: Duration,
    /// The round trip as it is now.
    rtt: Duration,
    /// More bytes that must be in flight because acknowledgements come in bursts.
    burst: MaxFilter,
    burst_since: Duration,
    burst_bytes: u64,
}

/// What a round trip has brought.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// The round ends with the first packet that was sent when so much was delivered.
    ends_at: u64,
    count: u64,
    delivered_before: u64,
    lost_before: u64,
    min_rtt: Option<Duration>,
    rate: f64,
    in_flight: f64,
}

/// The controller of one path.
#[derive(Clone, Debug)]
pub(super) struct Bbr {
    beginning: Beginning,
    state: State,
    deliveries: Deliveries,
    model: Model,
    round: Round,
    probing: probe::Probing,
    probe_rtt: ProbeRtt,
    competition: Competition,
    /// The rate that last showed that the path was not full yet, and the rounds since then.
    full_rate: f64,
    full_rounds: u32,
    is_full: bool,
    window: f64,
    /// The window that the first round trip gave, if it did.
    first_window: f64,
}

impl Bbr {
    pub(super) fn new(beginning: Beginning) -> Self {
        let model = Model {
            max_rate: MaxFilter::default(),
            rate_low: f64::INFINITY,
            in_flight_low: f64::INFINITY,
            in_flight_high: f64::INFINITY,
            min_rtt: None,
            min_rtt_at: Duration::ZERO,
            rtt: Duration::ZERO,
            burst: MaxFilter::default(),
            burst_since: Duration::ZERO,
            burst_bytes: 0,
        };
        Self {
            window: float(beginning.window.max(LEAST_PACKETS * beginning.mtu)),
            beginning,
            state: State::Startup,
            deliveries: Deliveries::default(),
            model,
            round: Round::default(),
            probing: probe::Probing::new(beginning.seed),
            probe_rtt: ProbeRtt::default(),
            competition: Competition::default(),
            full_rate: 0.0,
            full_rounds: 0,
            is_full: false,
            first_window: 0.0,
        }
    }

    /// Packets have left together.
    pub(super) fn on_sent(&mut self, now: Duration, bytes: u64) {
        if self.deliveries.on_sent(now, bytes) {
            // The shortest round trip is still known after a pause.
            self.model.burst_since = now;
            self.model.burst_bytes = 0;
            if self.state != State::ProbeRtt {
                self.probe_rtt.idle = true;
            }
        }
    }

    /// A packet that left at `sent` has arrived. [`Bbr::on_acks_end`] follows the last of a batch.
    pub(super) fn on_acked(&mut self, sent: Duration, bytes: u64) {
        self.deliveries.on_acked(sent, bytes);
    }

    /// Ends a batch of acknowledgements. `in_flight` bytes are under way now.
    pub(super) fn on_acks_end(&mut self, now: Duration, in_flight: u64, app_limited: bool) {
        let sample = self.deliveries.end(now, in_flight, app_limited, self.model.min_rtt);
        let Some(sample) = sample else { return };
        if self.model.min_rtt.is_none() {
            let begins = self.beginning.rate * sample.rtt.as_secs_f64();
            if begins > self.window {
                self.window = begins.min(FIRST_WINDOW_MOST).max(self.window);
                self.first_window = self.window;
            }
        }
        let expired = self.model.see_rtt(now, sample.rtt, self.probe_rtt.idle);
        self.compete(now, &sample);
        let ends = sample.prior_delivered >= self.round.ends_at;
        self.round.min_rtt = Some(self.round.min_rtt.map_or(sample.rtt, |least| least.min(sample.rtt)));
        if let Some(rate) = sample.rate {
            self.round.rate = self.round.rate.max(rate);
            self.round.in_flight = self.round.in_flight.max(float(sample.delivered));
            if !sample.app_limited || rate >= self.model.max_rate.get() {
                self.model.max_rate.see(rate);
            }
        }
        self.model.see_burst(now, sample.acked, self.window);
        if ends {
            self.end_round(&sample);
        }
        if self.state == State::Drain && float(in_flight) <= self.model.holds(1.0) {
            self.enter_probe_bw(now);
        }
        self.probe_bandwidth(now, &sample, ends);
        self.look_at_round_trip(now, expired, &sample, ends);
        self.probe_rtt.idle = false;
        self.grow(&sample);
        if ends {
            self.begin_round();
        }
    }

    fn begin_round(&mut self) {
        self.round = Round {
            ends_at: self.deliveries.delivered(),
            count: self.round.count + 1,
            delivered_before: self.deliveries.delivered(),
            lost_before: self.deliveries.lost(),
            ..Round::default()
        };
    }

    /// Packets are lost, the newest of which left at `sent`. After a silence of several round trips, the known window
    /// no longer holds.
    pub(super) fn on_lost(&mut self, now: Duration, sent: Duration, bytes: u64, after_silence: bool) {
        self.deliveries.on_lost(bytes);
        if after_silence {
            self.window = self.least_window();
            self.competition.end();
            return;
        }
        self.compete_after_loss(now, sent);
        let Some(batch) = self.deliveries.batch(sent) else { return };
        let lost = self.deliveries.lost() - batch.lost;
        if self.probing.judges_loss(self.state) && self.is_too_much(lost, batch.in_flight) {
            self.end_probe_up(now, float(batch.in_flight));
        }
    }

    /// The size of packets has changed.
    pub(super) fn on_mtu(&mut self, mtu: u64) {
        self.beginning.mtu = mtu;
        self.window = self.window.max(self.least_window());
    }

    /// The first window, in bytes.
    pub(super) fn initial_window(&self) -> u64 {
        self.beginning.window
    }

    /// The bytes that may be under way. The transport spreads them over a round trip, so this is the rate as well: at
    /// the path's rate the queue stays as it is, above it the queue grows, below it shrinks.
    pub(super) fn window(&self) -> u64 {
        let least = self.least_window();
        if let Some(window) = self.competition.window().filter(|_| self.state != State::ProbeRtt) {
            return whole(window.max(least));
        }
        let Some(rate) = self.rate().filter(|_| self.is_full) else { return whole(self.window.max(least)) };
        let rtt = self.model.rtt.max(SHORTEST_ROUND_TRIP).as_secs_f64();
        let slack = self.model.burst.get() + 2.0 * float(self.beginning.mtu);
        let by_rate = match self.state {
            State::Startup => f64::INFINITY,
            State::Drain => self.model.holds(1.0),
            State::ProbeBw(Cycle::Down) => Cycle::Down.gain() * rate * rtt,
            // The slack must not be added to a queue: it would be part of the next round trip, and so grow for ever.
            State::ProbeBw(cycle) => cycle.gain() * (rate * rtt).max(self.model.holds(1.0) + slack),
            State::ProbeRtt => self.probe_rtt_window(),
        };
        whole(self.window.min(by_rate).max(least))
    }

    /// Bytes a second that are to be sent.
    pub(super) fn pacing_rate(&self) -> Option<u64> {
        let gain = match self.state {
            State::Startup => STARTUP_GAIN,
            State::Drain => 1.0 / STARTUP_GAIN,
            State::ProbeBw(cycle) => cycle.gain(),
            State::ProbeRtt => 1.0,
        };
        self.rate().map(|rate| whole(rate * gain))
    }

    fn rate(&self) -> Option<f64> {
        let rate = self.model.rate();
        (rate > 0.0).then_some(rate)
    }

    fn least_window(&self) -> f64 {
        float(LEAST_PACKETS * self.beginning.mtu)
    }

    /// Notes what a sample tells of flows that share the path.
    fn compete(&mut self, now: Duration, sample: &Sample) {
        self.competition.see_rtt(sample.rtt);
        if !sample.app_limited && self.state != State::ProbeRtt {
            let sent = now.saturating_sub(sample.rtt);
            self.competition.on_acked(now, sent, sample.acked, self.model.rtt, self.beginning.mtu);
        }
    }

    fn compete_after_loss(&mut self, now: Duration, sent: Duration) {
        let loss = Loss {
            sent,
            is_usual: matches!(self.state, State::ProbeBw(_)),
            rtt: self.model.rtt,
            in_probe: self.probing.judges_loss(self.state),
            window: float(self.window()),
            mtu: self.beginning.mtu,
        };
        self.competition.see_loss(now, self.round.count, self.deliveries.delivered(), &loss);
    }

    fn is_too_much(&self, lost: u64, of: u64) -> bool {
        let queue = self.round.min_rtt.zip(self.model.min_rtt).is_some_and(|(now, least)| now > grown(least));
        let most = if queue { LOSS_WITH_QUEUE } else { LOSS_ALONE };
        lost >= LOST_PACKETS_LEAST * self.beginning.mtu && float(lost) > float(of) * most
    }

    fn end_round(&mut self, sample: &Sample) {
        let lost = self.deliveries.lost() - self.round.lost_before;
        let delivered = self.deliveries.delivered() - self.round.delivered_before;
        let too_much = self.is_too_much(lost, lost + delivered);
        self.probing.rounds += 1;
        if self.round.count.is_multiple_of(if self.is_full { 5 } else { 1 }) {
            self.model.burst.advance();
        }
        if self.state == State::Startup {
            self.look_whether_full(sample, too_much);
        } else if too_much && self.probing.adapts_to_loss(self.state) {
            let low = if self.model.rate_low.is_finite() { self.model.rate_low } else { self.model.max_rate.get() };
            self.model.rate_low = self.round.rate.max(low * BETA);
            let low = if self.model.in_flight_low.is_finite() { self.model.in_flight_low } else { self.window };
            self.model.in_flight_low = self.round.in_flight.max(low * BETA);
        }
    }

    fn look_whether_full(&mut self, sample: &Sample, too_much: bool) {
        let rate = self.model.max_rate.get();
        if too_much {
            self.is_full = true;
            self.model.in_flight_high = self.model.holds(1.0).max(self.round.in_flight);
        } else if rate >= self.full_rate * FULL_GROWTH {
            (self.full_rate, self.full_rounds) = (rate, 0);
        } else if !sample.app_limited || self.competition.sees_queue(self.model.rtt) {
            // A flow that waits for its receiver's window is limited, and yet the path is full where there is a queue.
            self.full_rounds += 1;
            self.is_full = self.full_rounds >= FULL_ROUNDS;
        }
        if self.is_full {
            self.state = State::Drain;
        }
    }

    /// Lets the window follow the model.
    fn grow(&mut self, sample: &Sample) {
        let acked = float(sample.acked);
        let gain = match self.state {
            State::Startup => STARTUP_GAIN,
            State::ProbeBw(Cycle::Up) => PROBE_UP_WINDOW_GAIN,
            _ => WINDOW_GAIN,
        };
        let most = self.model.holds(gain) + self.model.burst.get() + 3.0 * float(self.beginning.mtu);
        if self.is_full {
            self.window = (self.window + acked).min(most);
        } else if self.window < most || float(self.deliveries.delivered()) <= self.first_window {
            // Samples of the first window include the wait for its first answer, so they show at most half of the
            // path's rate.
            self.window += acked;
        }
        self.window = self.window.min(self.bound()).max(self.least_window());
    }

    /// The most bytes in flight that losses allow.
    fn bound(&self) -> f64 {
        let model = &self.model;
        match self.state {
            State::Startup => f64::INFINITY,
            State::ProbeBw(Cycle::Up | Cycle::Refill) => model.in_flight_high,
            State::ProbeBw(Cycle::Cruise | Cycle::Down) | State::ProbeRtt => {
                (model.in_flight_high * HEADROOM).min(model.in_flight_low)
            }
            State::Drain => model.in_flight_high.min(model.in_flight_low),
        }
    }
}

/// A round trip longer than this shows a queue.
fn grown(least: Duration) -> Duration {
    least + (least / 16).max(Duration::from_millis(1))
}

impl Model {
    fn rate(&self) -> f64 {
        self.max_rate.get().min(self.rate_low)
    }

    /// The bytes that the path holds without a queue, times `gain`.
    fn holds(&self, gain: f64) -> f64 {
        self.holds_over(self.min_rtt, gain)
    }

    /// The same where this is the round trip without a queue.
    fn holds_over(&self, rtt: Option<Duration>, gain: f64) -> f64 {
        self.rate() * rtt.unwrap_or_default().max(SHORTEST_ROUND_TRIP).as_secs_f64() * gain
    }

    /// Forgets the bounds that losses have set until the next probe.
    fn lift_bounds(&mut self) {
        (self.rate_low, self.in_flight_low) = (f64::INFINITY, f64::INFINITY);
    }

    /// Notes a round trip. Says whether the shortest one has not been seen for long.
    fn see_rtt(&mut self, now: Duration, rtt: Duration, after_pause: bool) -> bool {
        self.rtt = if self.rtt.is_zero() { rtt } else { (self.rtt * 7 + rtt) / 8 };
        let expired = now > self.min_rtt_at + MIN_RTT_LASTS;
        // After a pause there is no queue of this flow's.
        let fresh = expired && after_pause;
        if fresh || self.min_rtt.is_none_or(|least| rtt <= least) {
            (self.min_rtt, self.min_rtt_at) = (Some(rtt), now);
        }
        expired && !fresh
    }

    fn see_burst(&mut self, now: Duration, acked: u64, window: f64) {
        let expected = self.rate() * now.saturating_sub(self.burst_since).as_secs_f64();
        if float(self.burst_bytes) <= expected {
            (self.burst_since, self.burst_bytes) = (now, 0);
            self.burst_bytes += acked;
            return;
        }
        self.burst_bytes += acked;
        self.burst.see((float(self.burst_bytes) - expected).min(window));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_begins_with_more() {
        for (rtt_ms, window) in [(1, 12_000), (50, 25_000), (262, 131_000), (60_000, 3 << 19)] {
            let mut bbr = Bbr::new(Beginning { window: 12_000, rate: 500e3, mtu: 1200, seed: 1 });
            bbr.on_sent(Duration::ZERO, 1200);
            bbr.on_acked(Duration::ZERO, 1200);
            bbr.on_acks_end(Duration::from_millis(rtt_ms), 0, true);
            assert!((window..window + 2500).contains(&bbr.window()), "{rtt_ms} ms: {}", bbr.window());
        }
    }
}
