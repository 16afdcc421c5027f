//! How many round trips a flow takes that has just begun.

use std::time::Duration;

use super::super::bbr::Beginning;
use super::super::{Reach, beginning_rate};
use super::path::{Control, Flow, Path, Simulation, float};

const MTU: u64 = 1200;

/// 2,000 files of 4 KiB, with what is said of them.
const BYTES: u64 = 8_700_000;

fn path(mbit: f64, rtt_ms: u64) -> Path {
    let rate = mbit * 1e6 / 8.0;
    Path {
        rate,
        rtt: Duration::from_millis(rtt_ms),
        queue: rate * 0.2,
        loss: 0.0,
        jitter: Duration::ZERO,
        overtakes: false,
    }
}

/// Round trips from the first packet of a handshake to the answer to the last byte, when content follows the answer to
/// a request.
fn round_trips(path: Path, window: u64, rate: f64) -> f64 {
    let control = Control::begun(Beginning { window, rate, mtu: MTU, seed: 1 });
    let flow = Flow::new(control, MTU, path.rtt * 2).introduced(path.rtt);
    let mut simulation = Simulation::new(path, vec![flow], 1);
    let mut now = Duration::ZERO;
    while simulation.flows[0].arrived < BYTES {
        now += path.rtt / 40;
        simulation.run(now);
    }
    now.as_secs_f64() / path.rtt.as_secs_f64() + 0.5
}

/// The same when nothing but the bytes takes time.
fn at_best(path: Path) -> f64 {
    3.0 + float(BYTES) / path.holds()
}

#[test]
fn a_small_tree_takes_few_round_trips_over_a_long_path() {
    let site = beginning_rate(Reach::Private);
    assert!(round_trips(path(8000.0, 262), 256 << 10, site) <= 6.0);
    assert!(round_trips(path(8000.0, 262), 14_720, beginning_rate(Reach::Public)) <= 8.5);
}

#[test]
fn beginning_with_more_than_a_path_carries_costs_it_nothing() {
    for (mbit, rtt_ms) in [(100.0, 262), (20.0, 262), (5.0, 262), (100.0, 50), (20.0, 50), (5.0, 50), (100.0, 20)] {
        let path = path(mbit, rtt_ms);
        for rate in [Reach::Private, Reach::Public].map(beginning_rate) {
            let (begun, careful) = (round_trips(path, 14_720, rate), round_trips(path, 14_720, 250e3));
            assert!(begun <= careful.max(at_best(path) * 1.1), "{mbit} Mbit/s, {rtt_ms} ms: {begun}, else {careful}");
        }
    }
}
