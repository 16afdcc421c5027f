//! What one thread does, as totals and as a line of time of bounded size.

use sparsync_proto::limits::PROFILE_STEPS_MAX;
use sparsync_proto::{PHASES, Phase, PhaseTotal, ThreadProfile};

/// The first width of a step is 2^17 nanoseconds, an eighth of a millisecond: 256 of them are 34 ms. When they are
/// used up, each two become one.
const FIRST_STEP_SHIFT: u32 = 17;

#[derive(Debug, Default)]
struct Total {
    nanos: u64,
    count: u64,
    /// Nanoseconds in each step; made when the phase first occurs.
    steps: Vec<u64>,
}

/// A thread's phases. Times are in nanoseconds since the session began.
#[derive(Debug)]
pub(super) struct Recording {
    name: &'static str,
    start: u64,
    phase: Phase,
    since: u64,
    totals: [Total; PHASES.len()],
    step_shift: u32,
    cpu_nanos: u64,
    ended: bool,
}

impl Recording {
    /// A thread that is in `phase` since `since`.
    pub(super) fn new(name: &'static str, phase: Phase, since: u64) -> Self {
        let mut recording = Self {
            name,
            start: since,
            phase,
            since,
            totals: std::array::from_fn(|_| Total::default()),
            step_shift: FIRST_STEP_SHIFT,
            cpu_nanos: 0,
            ended: false,
        };
        recording.totals[phase as usize].count = 1;
        recording
    }

    /// What the thread is doing.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The thread goes on to another phase.
    pub(super) fn enter(&mut self, phase: Phase, now: u64) {
        if phase != self.phase {
            self.pass(now);
            self.phase = phase;
            self.totals[phase as usize].count += 1;
        }
    }

    /// Notes the processor time that the thread has used.
    pub(super) fn used(&mut self, cpu_nanos: u64) {
        self.cpu_nanos = cpu_nanos;
    }

    /// The thread is over.
    pub(super) fn end(&mut self, now: u64) {
        self.pass(now);
        self.ended = true;
    }

    /// Counts the time up to `now` for the current phase.
    fn pass(&mut self, now: u64) {
        let now = now.max(self.since);
        self.totals[self.phase as usize].nanos += now - self.since;
        self.make_room(now);
        let steps = &mut self.totals[self.phase as usize].steps;
        if steps.is_empty() {
            steps.resize(PROFILE_STEPS_MAX, 0);
        }
        let (mut at, end) = (self.since - self.start, now - self.start);
        while at < end {
            let step = at >> self.step_shift;
            let next = ((step + 1) << self.step_shift).min(end);
            if let Some(spent) = usize::try_from(step).ok().and_then(|step| steps.get_mut(step)) {
                *spent += next - at;
            }
            at = next;
        }
        self.since = now;
    }

    /// Widens the steps until `now` falls into the last of them.
    fn make_room(&mut self, now: u64) {
        while (now - self.start) >> self.step_shift >= PROFILE_STEPS_MAX as u64 {
            self.step_shift += 1;
            for total in self.totals.iter_mut().filter(|total| !total.steps.is_empty()) {
                for step in 0..PROFILE_STEPS_MAX / 2 {
                    total.steps[step] = total.steps[2 * step] + total.steps[2 * step + 1];
                }
                total.steps[PROFILE_STEPS_MAX / 2..].fill(0);
            }
        }
    }

    /// The account as of `now`.
    pub(super) fn account(&mut self, now: u64) -> ThreadProfile {
        if !self.ended {
            self.pass(now);
        }
        let width = 1u64 << self.step_shift;
        let share = |nanos: &u64| u8::try_from((nanos * 100 + width / 2) / width).unwrap_or(100).min(100);
        let phases = (0u8..)
            .zip(&self.totals)
            .filter(|(_, total)| total.count > 0)
            .map(|(phase, total)| {
                let mut steps: Vec<u8> = total.steps.iter().map(share).collect();
                while steps.last() == Some(&0) {
                    steps.pop();
                }
                PhaseTotal { phase, nanos: total.nanos, count: total.count, steps }
            })
            .collect();
        ThreadProfile {
            name: self.name.to_owned(),
            start_nanos: self.start,
            wall_nanos: self.since - self.start,
            cpu_nanos: self.cpu_nanos,
            step_nanos: width,
            phases,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sparsync_proto::limits::PROFILE_STEPS_MAX;
    use sparsync_proto::{PHASES, Phase};

    use super::Recording;

    const KNOWN: [Phase; 4] = [Phase::setup, Phase::read, Phase::hash, Phase::wait_room];

    proptest! {
        #[test]
        fn phases_add_up_to_the_life_of_the_thread(
            start in 0..1u64 << 40,
            changes in proptest::collection::vec((0..KNOWN.len(), 0..1u64 << 34), 0..60),
        ) {
            let mut recording = Recording::new("read", Phase::setup, start);
            let mut now = start;
            for (phase, after) in changes {
                now += after;
                recording.enter(KNOWN[phase], now);
            }
            recording.end(now);
            let account = recording.account(now + 1_000_000);
            prop_assert_eq!(account.wall_nanos, now - start);
            prop_assert_eq!(account.phases.iter().map(|total| total.nanos).sum::<u64>(), account.wall_nanos);
            for total in &account.phases {
                prop_assert!(usize::from(total.phase) < PHASES.len());
                prop_assert!(total.steps.len() <= PROFILE_STEPS_MAX);
                // The line of time says the same as the total, within what rounding to percent can take or give.
                let drawn: u64 = total.steps.iter().map(|&share| u64::from(share) * account.step_nanos / 100).sum();
                let slack = account.step_nanos / 100 * (PROFILE_STEPS_MAX as u64 + 1);
                prop_assert!(drawn.abs_diff(total.nanos) <= slack, "{} drawn, {} in all", drawn, total.nanos);
            }
        }
    }
}
