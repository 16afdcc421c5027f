//! Several flows on one path, and one flow whose path changes.

use std::time::Duration;

use super::cubic::Cubic;
use super::path::{Control, Draws, Flow, Path, Simulation, float};

const MTU: u64 = 1200;

fn path(mbit: f64, rtt_ms: u64, queue: f64) -> Path {
    let rtt = Duration::from_millis(rtt_ms);
    let rate = mbit * 1e6 / 8.0;
    Path { rate, rtt, queue: queue * rate * rtt.as_secs_f64(), loss: 0.0, jitter: Duration::ZERO, overtakes: false }
}

/// The share of the first of two flows in terms of the other's, over a minute, and what stood in the queue as a part of
/// what the path holds.
fn share(path: Path, flows: [Control; 2], seed: u64) -> (f64, f64) {
    let mut draws = Draws(seed);
    let flows = flows.map(|control| Flow::new(control, MTU, path.rtt.mul_f64(4.0 * draws.part())));
    share_of(path, flows, seed)
}

fn share_of(path: Path, flows: [Flow; 2], seed: u64) -> (f64, f64) {
    let mut simulation = Simulation::new(path, flows.into(), seed);
    simulation.run(Duration::from_secs(10));
    simulation.look();
    simulation.run(Duration::from_secs(70));
    let [first, second] = [0, 1].map(|flow: usize| float(simulation.flows[flow].arrived));
    (first / second, simulation.standing() / path.holds())
}

fn bbr(seed: u64) -> Control {
    Control::bbr(10 * MTU, MTU, seed)
}

/// Round trips in milliseconds, and queues as parts of what the path holds. Below half of that Cubic has too little
/// room to compete with anybody.
const SHARED: [(u64, f64); 4] = [(20, 0.5), (20, 1.0), (20, 2.0), (50, 2.0)];

/// A queue of many times what the path holds.
const DEEP: (u64, f64) = (20, 10.0);

#[test]
fn a_flow_of_tcp_gets_its_share() {
    for (rtt, queue) in SHARED {
        for seed in 1..3 {
            let (part, _) = share(path(100.0, rtt, queue), [bbr(seed), Control::Cubic(Cubic::new(MTU))], seed);
            assert!((0.5..=2.0).contains(&part), "{rtt} ms, queue {queue}, seed {seed}: {part}");
        }
    }
}

/// A flow that comes when TCP has filled a long queue has never seen the path without one. The first loss tells it.
#[test]
fn a_long_queue_that_is_full_does_not_leave_it_all_to_tcp() {
    let (rtt, queue) = DEEP;
    for seed in 1..4 {
        let path = path(100.0, rtt, queue);
        let tcp = Flow::new(Control::Cubic(Cubic::new(MTU)), MTU, Duration::ZERO);
        let late = Flow::new(bbr(seed), MTU, Duration::from_millis(300));
        let (part, _) = share_of(path, [late, tcp], seed);
        assert!((0.33..=2.0).contains(&part), "seed {seed}: {part}");
    }
}

#[test]
fn two_flows_share_and_leave_no_queue_behind() {
    for (rtt, queue) in SHARED.into_iter().chain([DEEP]) {
        for seed in 0..2 {
            let (part, standing) = share(path(100.0, rtt, queue), [bbr(seed), bbr(seed + 100)], seed);
            assert!((1.0 / 1.5..=1.5).contains(&part), "{rtt} ms, queue {queue}, seed {seed}: {part}");
            assert!(standing <= 1.25, "{rtt} ms, queue {queue}, seed {seed}: {standing}");
        }
    }
}

#[test]
fn a_path_that_changes_is_followed() {
    for factor in [0.25, 4.0] {
        let before = path(20.0, 40, 2.0);
        let mut simulation = Simulation::new(before, vec![Flow::new(bbr(1), MTU, Duration::ZERO)], 1);
        simulation.run(Duration::from_secs(10));
        simulation.change(Path { rate: before.rate * factor, ..before });
        simulation.run(Duration::from_secs(30));
        simulation.look();
        simulation.run(Duration::from_secs(40));
        let used = float(simulation.flows[0].arrived) / (before.rate * factor * 10.0);
        assert!(used > 0.85, "{factor}: {used}");
    }
}

#[test]
fn a_path_that_was_away_is_used_again() {
    let before = path(50.0, 40, 1.0);
    let mut simulation = Simulation::new(before, vec![Flow::new(bbr(1), MTU, Duration::ZERO)], 1);
    simulation.run(Duration::from_secs(5));
    simulation.change(Path { loss: 1.0, ..before });
    simulation.run(Duration::from_secs(15));
    simulation.change(before);
    simulation.run(Duration::from_secs(30));
    simulation.look();
    simulation.run(Duration::from_secs(35));
    let used = float(simulation.flows[0].arrived) / (before.rate * 5.0);
    assert!(used > 0.9, "{used}");
}
