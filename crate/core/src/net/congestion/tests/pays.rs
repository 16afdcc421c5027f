//! What is worth its work on a path, as the controller comes to know that.

use std::time::Duration;

use sparsync_proto::Compression;

use super::path::{Control, Flow, Path, Simulation};
use crate::negotiation::{compression_pays, delta_pays};

const MTU: u64 = 9000;

fn path(rate: f64) -> Path {
    let rtt = Duration::from_millis(4);
    Path { rate, rtt, queue: rate * rtt.as_secs_f64(), loss: 0.0, jitter: Duration::ZERO, overtakes: false }
}

/// Seconds for a file of 1 GiB of which a hundredth changed, sent whole, and as what changed by ends that cut and hash
/// so much.
fn seconds(rate: f64) -> (f64, f64) {
    let bytes = f64::from(1 << 30);
    (bytes / rate, bytes / 3.5e9 + bytes / 100.0 / rate)
}

#[test]
fn what_is_quicker_on_a_path_is_done_and_follows_when_that_changes() {
    let slow = path(12.5e6);
    let mut simulation = Simulation::new(slow, vec![Flow::new(Control::bbr(10 * MTU, MTU, 1), MTU, slow.rtt)], 1);
    let mut at = Duration::ZERO;
    for (rate, changed) in [(12.5e6, true), (5e9, false), (125e6, true)] {
        simulation.change(path(rate));
        // What a controller knows of a path that has become slower it forgets within two probes.
        at += Duration::from_secs_f64(if rate > 1e9 { 0.4 } else { 20.0 });
        simulation.run(at);
        let goodput = Some(simulation.flows[0].goodput());
        assert_eq!(delta_pays(None, goodput), changed, "{rate}: {goodput:?}");
        assert_eq!(compression_pays(Compression::Auto, goodput), changed, "{rate}: {goodput:?}");
        let (whole, delta) = seconds(rate);
        assert_eq!(delta < whole, changed, "{rate}: {delta} s, {whole} s whole");
        // Who has said what is wanted gets it.
        assert!(delta_pays(Some(false), goodput) && !delta_pays(Some(true), goodput));
    }
    assert!(delta_pays(None, None), "of a path of which nothing is known bytes are saved");
}
