//! Throughput against capacity, over a thousand paths.

use std::fmt::Write as _;
use std::time::Duration;

use super::cubic::Cubic;
use super::path::{Control, Draws, Flow, Path, Simulation, float};

const PATHS: u64 = 1000;
const MTU: u64 = 1200;
const LOSSES: [f64; 5] = [0.0, 0.001, 0.01, 0.03, 0.05];

/// Packets that the bottleneck would carry in a simulation.
const PACKETS: f64 = 12_000.0;

fn draw(seed: u64) -> Path {
    let mut draws = Draws(seed);
    let rtt = draws.log(0.002, 0.3);
    // The path holds 5 to 600 packets, so that a simulation has at least 20 round trips.
    let holds = draws.log(5.0, 600.0) * float(MTU);
    let loss = LOSSES[usize::try_from(draws.next() % 5).expect("small")];
    let queue = draws.log(0.1, 4.0) * holds;
    let jitter = if draws.part() < 0.3 { 0.2 * rtt * draws.part() } else { 0.0 };
    let overtakes = draws.part() < 0.5;
    Path {
        rate: holds / rtt,
        rtt: Duration::from_secs_f64(rtt),
        queue: queue.max(10.0 * float(MTU)),
        loss,
        jitter: Duration::from_secs_f64(jitter),
        overtakes,
    }
}

/// What arrived as a part of what could have, and what waited as a part of what the path holds.
fn used(path: Path, control: Control, seed: u64) -> (f64, f64) {
    let lasts = Duration::from_secs_f64(PACKETS * float(MTU) / path.rate);
    let mut simulation = Simulation::new(path, vec![Flow::new(control, MTU, Duration::ZERO)], seed);
    // The start is a part of each sync, but not what is judged here.
    simulation.run(lasts / 4);
    simulation.look();
    simulation.run(lasts);
    let could = path.rate * lasts.as_secs_f64() * 0.75 * (1.0 - path.loss);
    (float(simulation.flows[0].arrived) / could, simulation.standing() / path.holds())
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (part * float(sorted.len() as u64 - 1)) as usize;
    sorted[at]
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

struct Row {
    loss: f64,
    bbr: f64,
    cubic: f64,
    queue: f64,
}

#[test]
fn a_path_is_used_whatever_it_loses() {
    let rows: Vec<Row> = (0..PATHS)
        .map(|seed| {
            let path = draw(seed);
            let (bbr, queue) = used(path, Control::bbr(10 * MTU, MTU, seed), seed);
            let (cubic, _) = used(path, Control::Cubic(Cubic::new(MTU)), seed);
            Row { loss: path.loss, bbr, cubic, queue }
        })
        .collect();
    let mut table = String::from("of the capacity:  BBR, 5 %   BBR, median   Cubic, median   queue/BDP, 95 %\n");
    for loss in LOSSES {
        let of = |pick: fn(&Row) -> f64| {
            sorted(rows.iter().filter(|row| (row.loss - loss).abs() < 1e-9).map(pick).collect())
        };
        let (bbr, cubic, queue) = (of(|row| row.bbr), of(|row| row.cubic), of(|row| row.queue));
        let (low, median, waits) = (quantile(&bbr, 0.05), quantile(&bbr, 0.5), quantile(&queue, 0.95));
        let cubic = quantile(&cubic, 0.5);
        let _ = writeln!(
            table,
            "{:5.1} % lost        {low:.2}          {median:.2}            {cubic:.2}              {waits:.2}",
            loss * 100.0
        );
        assert!(low >= 0.75 && median >= 0.95, "{table}");
        assert!(waits <= 1.25, "{table}");
    }
    #[expect(clippy::print_stdout, reason = "the table that the test is for")]
    {
        println!("{table}");
    }
}
