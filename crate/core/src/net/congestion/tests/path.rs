//! A path with a bottleneck, and flows over it that acknowledge, lose and pace as QUIC does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::super::bbr::{Bbr, Beginning};
use super::cubic::Cubic;

#[expect(clippy::cast_precision_loss, reason = "a simulation")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

/// What is drawn from one seed (splitmix64, by Vigna).
pub(super) struct Draws(pub(super) u64);

impl Draws {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub(super) fn part(&mut self) -> f64 {
        float(self.next() >> 11) / float(1 << 53)
    }

    /// Between the two, as likely in each power of ten.
    pub(super) fn log(&mut self, least: f64, most: f64) -> f64 {
        (least.ln() + (most / least).ln() * self.part()).exp()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Bytes a second at the bottleneck.
    pub(super) rate: f64,
    /// The round trip without a queue.
    pub(super) rtt: Duration,
    /// Bytes that wait at the bottleneck at most.
    pub(super) queue: f64,
    /// The part of packets that is lost by itself.
    pub(super) loss: f64,
    /// The most that a packet is late, at random.
    pub(super) jitter: Duration,
    /// A late packet is overtaken by those behind it, instead of holding them up.
    pub(super) overtakes: bool,
}

impl Path {
    /// What the path holds without a queue.
    pub(super) fn holds(&self) -> f64 {
        self.rate * self.rtt.as_secs_f64()
    }
}

pub(super) enum Control {
    Bbr(Box<Bbr>),
    Cubic(Cubic),
}

impl Control {
    pub(super) fn bbr(window: u64, mtu: u64, seed: u64) -> Self {
        Self::begun(Beginning { window, rate: 0.0, mtu, seed })
    }

    pub(super) fn begun(beginning: Beginning) -> Self {
        Self::Bbr(Box::new(Bbr::new(beginning)))
    }

    fn window(&self) -> f64 {
        match self {
            Self::Bbr(bbr) => float(bbr.window()),
            Self::Cubic(cubic) => cubic.window(),
        }
    }

    /// The packets behind a missing one that show its loss: three for TCP, as long as nothing was overtaken. For a
    /// connection time alone does (`PACKET_THRESHOLD` in `net/parameters.rs`).
    fn packet_threshold(&self) -> u64 {
        match self {
            Self::Bbr(_) => u64::MAX,
            Self::Cubic(_) => 3,
        }
    }
}

const ACK_EVERY: usize = 2;
const ACK_WITHIN: Duration = Duration::from_millis(25);
const BATCH: u64 = 10;

struct Packet {
    sent: Duration,
    open: bool,
}

/// One sender and its receiver.
pub(super) struct Flow {
    pub(super) control: Control,
    mtu: u64,
    begins: Duration,
    packets: VecDeque<Packet>,
    first: u64,
    next: u64,
    largest: Option<u64>,
    in_flight: u64,
    rtt: Option<Duration>,
    latest: Duration,
    tokens: f64,
    filled: Duration,
    wakes: Option<Duration>,
    probe_at: Duration,
    probes: u32,
    /// When the first packet that others went past counts as lost.
    overdue: Option<Duration>,
    /// What the receiver has not acknowledged yet.
    unacked: Vec<u64>,
    ack_due: bool,
    /// Bytes that have arrived since it was looked at last.
    pub(super) arrived: u64,
}

impl Flow {
    pub(super) fn new(control: Control, mtu: u64, begins: Duration) -> Self {
        Self {
            control,
            mtu,
            begins,
            packets: VecDeque::new(),
            first: 0,
            next: 0,
            largest: None,
            in_flight: 0,
            rtt: None,
            latest: Duration::from_millis(100),
            tokens: f64::INFINITY,
            filled: Duration::ZERO,
            wakes: None,
            probe_at: Duration::MAX,
            probes: 0,
            overdue: None,
            unacked: Vec::new(),
            ack_due: false,
            arrived: 0,
        }
    }

    /// Lets a handshake go before, which took so long.
    pub(super) fn introduced(mut self, rtt: Duration) -> Self {
        if let Control::Bbr(bbr) = &mut self.control {
            bbr.on_sent(Duration::ZERO, self.mtu);
            bbr.on_acked(Duration::ZERO, self.mtu);
            bbr.on_acks_end(rtt, 0, true);
        }
        (self.rtt, self.latest, self.tokens) = (Some(rtt), rtt, 0.0);
        self
    }

    /// The bytes a second that its transport would tell.
    pub(super) fn goodput(&self) -> f64 {
        self.control.window() / self.srtt().as_secs_f64()
    }

    fn srtt(&self) -> Duration {
        self.rtt.unwrap_or(self.latest)
    }

    /// The tokens of quinn's pacer; says when the next packet may leave.
    fn paced(&mut self, now: Duration, window: f64) -> Option<Duration> {
        let rtt = self.srtt().as_secs_f64();
        let mtu = float(self.mtu);
        let capacity = (window * 0.002 / rtt).clamp(10.0 * mtu, 256.0 * mtu);
        let rate = window * 1.25 / rtt;
        self.tokens = (self.tokens + rate * now.saturating_sub(self.filled).as_secs_f64()).min(capacity);
        self.filled = now;
        if self.tokens >= mtu {
            return None;
        }
        Some(now + Duration::from_secs_f64((capacity - self.tokens) * 0.8 / rate * 1.25))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake(usize),
    Arrive(usize, u64),
    AckDue(usize),
    Acked(usize, usize),
    Probe(usize),
    Overdue(usize),
}

pub(super) struct Simulation {
    path: Path,
    pub(super) flows: Vec<Flow>,
    draws: Draws,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    count: u64,
    acks: Vec<Vec<u64>>,
    free: Vec<usize>,
    bottleneck: Duration,
    latest: Duration,
    waiting: f64,
    looked: u64,
}

impl Simulation {
    pub(super) fn new(path: Path, flows: Vec<Flow>, seed: u64) -> Self {
        let mut simulation = Self {
            path,
            flows,
            draws: Draws(seed),
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            count: 0,
            acks: Vec::new(),
            free: Vec::new(),
            bottleneck: Duration::ZERO,
            latest: Duration::ZERO,
            waiting: 0.0,
            looked: 0,
        };
        for flow in 0..simulation.flows.len() {
            simulation.at(simulation.flows[flow].begins, Event::Wake(flow));
        }
        simulation
    }

    fn at(&mut self, when: Duration, event: Event) {
        self.count += 1;
        self.events.push(Reverse((when, self.count, event)));
    }

    /// Runs until then.
    pub(super) fn run(&mut self, until: Duration) {
        while let Some(&Reverse((when, _, event))) = self.events.peek() {
            if when > until {
                break;
            }
            self.events.pop();
            self.now = when;
            match event {
                Event::Wake(flow) => {
                    if self.flows[flow].wakes == Some(when) || self.flows[flow].next == 0 {
                        self.send(flow);
                    }
                }
                Event::Arrive(flow, packet) => self.arrive(flow, packet),
                Event::AckDue(flow) => self.acknowledge(flow),
                Event::Acked(flow, list) => self.acked(flow, list),
                Event::Probe(flow) => self.probe(flow),
                Event::Overdue(flow) => self.overdue(flow),
            }
        }
        self.now = until;
    }

    /// Makes the path another one.
    pub(super) fn change(&mut self, path: Path) {
        self.path = path;
    }

    /// Forgets what arrived and what the queue was so far.
    pub(super) fn look(&mut self) {
        (self.waiting, self.looked) = (0.0, 0);
        self.flows.iter_mut().for_each(|flow| flow.arrived = 0);
    }

    /// The mean of what waited at the bottleneck, in bytes.
    pub(super) fn standing(&self) -> f64 {
        self.waiting / float(self.looked.max(1))
    }

    fn transmit(&mut self, flow: usize) {
        let (now, mtu) = (self.now, self.flows[flow].mtu);
        let sender = &mut self.flows[flow];
        let packet = sender.next;
        sender.next += 1;
        sender.packets.push_back(Packet { sent: now, open: true });
        sender.in_flight += mtu;
        sender.tokens = (sender.tokens - float(mtu)).max(0.0);
        sender.probe_at = now + (sender.srtt() * 2 + ACK_WITHIN) * (1 << sender.probes.min(8));
        if self.draws.part() < self.path.loss {
            return;
        }
        let waits = self.bottleneck.saturating_sub(now).as_secs_f64() * self.path.rate;
        self.waiting += waits;
        self.looked += 1;
        if waits + float(mtu) > self.path.queue {
            return;
        }
        self.bottleneck = self.bottleneck.max(now) + Duration::from_secs_f64(float(mtu) / self.path.rate);
        let late = self.path.jitter.mul_f64(if self.path.jitter.is_zero() { 0.0 } else { self.draws.part() });
        let arrives = self.bottleneck + self.path.rtt / 2 + late;
        self.latest = self.latest.max(arrives);
        let arrives = if self.path.overtakes { arrives } else { self.latest };
        self.at(arrives, Event::Arrive(flow, packet));
    }

    fn send(&mut self, flow: usize) {
        let now = self.now;
        let mut batch = 0;
        loop {
            let sender = &mut self.flows[flow];
            let window = sender.control.window();
            if float(sender.in_flight + sender.mtu) >= window {
                break;
            }
            if let Some(when) = sender.paced(now, window) {
                sender.wakes = Some(when);
                self.at(when, Event::Wake(flow));
                break;
            }
            self.transmit(flow);
            batch += 1;
            if batch == BATCH {
                self.tell_sent(flow, batch);
                batch = 0;
            }
        }
        if batch > 0 {
            self.tell_sent(flow, batch);
        }
        let probe_at = self.flows[flow].probe_at;
        if self.flows[flow].in_flight > 0 {
            self.at(probe_at, Event::Probe(flow));
        }
    }

    fn tell_sent(&mut self, flow: usize, packets: u64) {
        let (now, mtu) = (self.now, self.flows[flow].mtu);
        if let Control::Bbr(bbr) = &mut self.flows[flow].control {
            bbr.on_sent(now, packets * mtu);
        }
    }

    fn probe(&mut self, flow: usize) {
        let sender = &mut self.flows[flow];
        if sender.probe_at != self.now || sender.in_flight == 0 {
            return;
        }
        sender.probes += 1;
        self.transmit(flow);
        self.tell_sent(flow, 1);
        let probe_at = self.flows[flow].probe_at;
        self.at(probe_at, Event::Probe(flow));
    }

    fn arrive(&mut self, flow: usize, packet: u64) {
        let receiver = &mut self.flows[flow];
        receiver.arrived += receiver.mtu;
        receiver.unacked.push(packet);
        if receiver.unacked.len() >= ACK_EVERY {
            self.acknowledge(flow);
        } else if !receiver.ack_due {
            receiver.ack_due = true;
            let due = self.now + ACK_WITHIN;
            self.at(due, Event::AckDue(flow));
        }
    }

    fn acknowledge(&mut self, flow: usize) {
        let receiver = &mut self.flows[flow];
        receiver.ack_due = false;
        if receiver.unacked.is_empty() {
            return;
        }
        let list = self.free.pop().unwrap_or_else(|| {
            self.acks.push(Vec::new());
            self.acks.len() - 1
        });
        std::mem::swap(&mut self.acks[list], &mut self.flows[flow].unacked);
        self.at(self.now + self.path.rtt / 2, Event::Acked(flow, list));
    }

    fn acked(&mut self, flow: usize, list: usize) {
        let now = self.now;
        let mut packets = std::mem::take(&mut self.acks[list]);
        packets.sort_unstable();
        let sender = &mut self.flows[flow];
        let rtt = sender.srtt();
        let mut newest = None;
        for &number in &packets {
            let Some(at) = number.checked_sub(sender.first) else { continue };
            let Some(packet) = usize::try_from(at).ok().and_then(|at| sender.packets.get_mut(at)) else { continue };
            if !std::mem::take(&mut packet.open) {
                continue;
            }
            let sent = packet.sent;
            newest = Some(sent);
            sender.in_flight -= sender.mtu;
            match &mut sender.control {
                Control::Bbr(bbr) => bbr.on_acked(sent, sender.mtu),
                Control::Cubic(cubic) => cubic.on_acked(now, sent, sender.mtu, rtt),
            }
        }
        if let (Some(&largest), Some(sent)) = (packets.last(), newest) {
            sender.probes = 0;
            sender.largest = Some(sender.largest.map_or(largest, |before| before.max(largest)));
            let latest = now.saturating_sub(sent);
            sender.latest = latest;
            sender.rtt = Some(sender.rtt.map_or(latest, |rtt| (rtt * 7 + latest) / 8));
            if let Control::Bbr(bbr) = &mut sender.control {
                bbr.on_acks_end(now, sender.in_flight, false);
            }
            self.find_lost(flow);
        }
        packets.clear();
        self.acks[list] = packets;
        self.free.push(list);
        self.send(flow);
    }

    fn overdue(&mut self, flow: usize) {
        if self.flows[flow].overdue == Some(self.now) {
            self.find_lost(flow);
            self.send(flow);
        }
    }

    fn find_lost(&mut self, flow: usize) {
        let sender = &mut self.flows[flow];
        sender.find_lost(self.now);
        sender.forget();
        if let Some(when) = sender.overdue {
            self.at(when, Event::Overdue(flow));
        }
    }
}

impl Flow {
    fn find_lost(&mut self, now: Duration) {
        let late = self.srtt().max(self.latest) * 9 / 8;
        let largest = self.largest.unwrap_or_default();
        let (mut lost, mut newest) = (0, Duration::ZERO);
        self.overdue = None;
        let threshold = self.control.packet_threshold();
        for (number, packet) in (self.first..largest).zip(&mut self.packets).filter(|(_, packet)| packet.open) {
            let due = packet.sent + late;
            if due > now && largest - number < threshold {
                // Later packets are due later.
                self.overdue = Some(due);
                break;
            }
            packet.open = false;
            lost += self.mtu;
            newest = packet.sent;
        }
        if lost == 0 {
            return;
        }
        self.in_flight -= lost;
        match &mut self.control {
            Control::Bbr(bbr) => bbr.on_lost(now, newest, lost, false),
            Control::Cubic(cubic) => cubic.on_lost(now, newest),
        }
    }

    fn forget(&mut self) {
        while self.packets.front().is_some_and(|packet| !packet.open) {
            self.packets.pop_front();
            self.first += 1;
        }
    }
}
