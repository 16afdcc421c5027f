//! A link between two network namespaces that is as bad as it is asked to be, for machines without `tc netem`.
//!
//! `shaped-link NEAR FAR [NAME=VALUE]...` puts a TUN device `sps0` into each of the two namespaces, prints `ready`, and carries
//! packets between them until its standard input ends. Addresses and routes are the caller's. In each direction, unless `=`
//! is preceded by the name `back-` (as in `back-loss=5`):
//!
//!   delay=MS      one way
//!   rate=MBIT     what leaves at most; without it nothing waits
//!   queue=MS      what waits at most, in the time that it takes to leave; the rest is lost (default: 100)
//!   loss=PERCENT  lost by itself
//!   reorder=PERCENT, duplicate=PERCENT  overtakes what is up to `by` (default: 5) ms before it; comes twice
//!   drop-over=BYTES  packets that are longer are lost
//!   mtu=BYTES     of the devices (default: 1500)
//!   seed=N        of everything that is drawn
//!
//! A line on standard input with such values changes them while it carries. The line `look` is answered with what NEAR has sent
//! since the last one, as JSON: the milliseconds that half of its packets waited at most, and the bytes of each flow.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What one direction does to packets.
#[derive(Clone, Copy)]
struct Shape {
    delay: Duration,
    /// Bytes a second.
    rate: Option<f64>,
    queue: Duration,
    loss: f64,
    reorder: f64,
    by: Duration,
    duplicate: f64,
    drop_over: usize,
    seed: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            rate: None,
            queue: Duration::from_millis(100),
            loss: 0.0,
            reorder: 0.0,
            by: Duration::from_millis(5),
            duplicate: 0.0,
            drop_over: usize::MAX,
            seed: 1,
        }
    }
}

impl Shape {
    fn set(&mut self, name: &str, value: &str) -> Outcome<()> {
        let number: f64 = value.parse()?;
        let millis = || Duration::try_from_secs_f64(number / 1e3);
        match name {
            "delay" => self.delay = millis()?,
            "rate" => self.rate = (number > 0.0).then_some(number * 1e6 / 8.0),
            "queue" => self.queue = millis()?,
            "loss" => self.loss = number / 1e2,
            "reorder" => self.reorder = number / 1e2,
            "by" => self.by = millis()?,
            "duplicate" => self.duplicate = number / 1e2,
            "drop-over" => self.drop_over = value.parse()?,
            "seed" => self.seed = value.parse()?,
            _ => return Err(format!("there is no {name}").into()),
        }
        Ok(())
    }
}

/// Sets what `NAME=VALUE` says, in one direction or both.
fn set(shapes: &mut [Shape; 2], word: &str) -> Outcome<()> {
    let (name, value) = word.split_once('=').ok_or_else(|| format!("{word} is not NAME=VALUE"))?;
    match name.strip_prefix("back-") {
        Some(name) => shapes[1].set(name, value),
        None => shapes.iter_mut().try_for_each(|shape| shape.set(name, value)),
    }
}

/// What is drawn from one seed (splitmix64, by Vigna).
struct Draws(u64);

impl Draws {
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "a part")]
        let part = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        part
    }

    fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.part() < chance
    }
}

/// Longer waits are counted as this.
const LONGEST_WAIT_MS: usize = 10_000;

/// Bytes by IP protocol and ports, from and to.
type Flows = BTreeMap<(u8, u16, u16), u64>;

/// What was carried in one direction since it was looked at last.
#[derive(Default)]
struct Seen {
    flows: Flows,
    /// Packets by the milliseconds that they waited.
    waits: BTreeMap<usize, u64>,
}

impl Seen {
    fn add(&mut self, packet: &[u8], waits: Duration) {
        let millis = usize::try_from(waits.as_millis()).unwrap_or(LONGEST_WAIT_MS);
        *self.waits.entry(millis.min(LONGEST_WAIT_MS)).or_default() += 1;
        if let Some(flow) = flow(packet) {
            *self.flows.entry(flow).or_default() += packet.len() as u64;
        }
    }

    /// What half of the packets waited at most.
    fn median_ms(&self) -> usize {
        let half = self.waits.values().sum::<u64>() / 2;
        let mut count = 0;
        let reaches = |(millis, packets): (&usize, &u64)| {
            count += packets;
            (count > half).then_some(*millis)
        };
        self.waits.iter().find_map(reaches).unwrap_or_default()
    }

    fn json(&self) -> String {
        let flows: Vec<String> = self
            .flows
            .iter()
            .map(|((protocol, from, to), bytes)| {
                format!(r#"{{"protocol":{protocol},"from":{from},"to":{to},"bytes":{bytes}}}"#)
            })
            .collect();
        format!(r#"{{"waitMs":{},"flows":[{}]}}"#, self.median_ms(), flows.join(","))
    }
}

/// The protocol and ports of an IPv4 packet.
fn flow(packet: &[u8]) -> Option<(u8, u16, u16)> {
    let header = usize::from(packet.first()? & 15) * 4;
    let port = |at: usize| Some(u16::from_be_bytes([*packet.get(header + at)?, *packet.get(header + at + 1)?]));
    Some((*packet.get(9)?, port(0)?, port(2)?))
}

/// Packets on their way, the next one first.
type Way = BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>;

#[derive(Default)]
struct Queue {
    way: Mutex<Way>,
    more: Condvar,
}

/// A TUN device of this name in a namespace.
fn tun(namespace: &str, mtu: u32) -> Outcome<File> {
    let namespace = namespace.to_owned();
    // Only the thread changes its namespace, and the device stays where it was made.
    std::thread::spawn(move || -> Outcome<File> {
        setns(File::open(format!("/run/netns/{namespace}"))?, CloneFlags::CLONE_NEWNET)?;
        let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
        attach(&device)?;
        for words in [["mtu", &mtu.to_string()], ["txqueuelen", "10000"], ["up", ""]] {
            let words = words.iter().filter(|word| !word.is_empty());
            let status = std::process::Command::new("ip").args(["link", "set", "sps0"]).args(words).status()?;
            if !status.success() {
                return Err("ip link set failed".into());
            }
        }
        Ok(device)
    })
    .join()
    .map_err(|_| "the thread of a device has panicked")?
}

/// `struct ifreq`, as far as TUNSETIFF reads it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

mod device {
    nix::ioctl_write_int!(tun_set_iff, b'T', 202);
}

fn attach(device: &File) -> Outcome<()> {
    const TUN_WITHOUT_HEADER: i16 = 0x0001 | 0x1000;
    let mut request = InterfaceRequest { name: [0; 16], flags: TUN_WITHOUT_HEADER, rest: [0; 22] };
    request.name[..4].copy_from_slice(b"sps0");
    let address = std::ptr::from_ref(&request) as u64;
    #[expect(unsafe_code, reason = "no crate here makes a TUN device")]
    // SAFETY: the call reads an `ifreq` of 40 bytes, which lives until it returns.
    unsafe {
        device::tun_set_iff(device.as_raw_fd(), address)?;
    }
    Ok(())
}

/// How long so many bytes take to leave.
fn takes(bytes: usize, rate: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "the size of a packet")]
    let takes = Duration::from_secs_f64(bytes as f64 / rate);
    takes
}

/// Takes what leaves by `device`, and puts it on its way.
fn take(
    mut device: File,
    queue: &Queue,
    shape: &Mutex<[Shape; 2]>,
    seen: &Mutex<[Seen; 2]>,
    direction: usize,
) -> Outcome<()> {
    let mut buffer = vec![0; 1 << 16];
    let now = || shape.lock().unwrap_or_else(PoisonError::into_inner)[direction];
    let mut draws = Draws(now().seed.wrapping_add(direction as u64 * 1000));
    let (mut free, mut number) = (Instant::now(), 0);
    loop {
        let bytes = device.read(&mut buffer)?;
        let (arrived, shape) = (Instant::now(), now());
        if draws.happens(shape.loss) || bytes > shape.drop_over {
            continue;
        }
        let takes = shape.rate.map_or(Duration::ZERO, |rate| takes(bytes, rate));
        if shape.rate.is_some() {
            let begins = free.max(arrived);
            if begins.duration_since(arrived) > shape.queue {
                continue;
            }
            free = begins + takes;
        }
        let leaves = free.max(arrived);
        let waits = leaves.saturating_duration_since(arrived + takes);
        seen.lock().unwrap_or_else(PoisonError::into_inner)[direction].add(&buffer[..bytes], waits);
        let mut due = leaves + shape.delay;
        if draws.happens(shape.reorder) {
            due -= shape.by.min(shape.delay).mul_f64(draws.part());
        }
        let copies = if draws.happens(shape.duplicate) { 2 } else { 1 };
        let mut way = queue.way.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..copies {
            number += 1;
            way.push(Reverse((due, number, buffer[..bytes].to_vec())));
        }
        let first = way.peek().is_some_and(|Reverse((next, ..))| *next >= due);
        drop(way);
        if first {
            queue.more.notify_one();
        }
    }
}

/// Brings packets that are due to `device`.
fn bring(mut device: File, queue: &Queue) -> Outcome<()> {
    let mut due = Vec::new();
    loop {
        let mut way = queue.way.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            while way.peek().is_some_and(|Reverse((when, ..))| *when <= now) {
                due.extend(way.pop().map(|Reverse((_, _, packet))| packet));
            }
            if !due.is_empty() {
                break;
            }
            way = match way.peek() {
                Some(Reverse((when, ..))) => {
                    let wait = when.saturating_duration_since(now);
                    queue.more.wait_timeout(way, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => queue.more.wait(way).unwrap_or_else(PoisonError::into_inner),
            };
        }
        drop(way);
        for packet in due.drain(..) {
            // A device that is down loses what it is given.
            let _ = device.write(&packet);
        }
    }
}

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let (Some(near), Some(far)) = (words.next(), words.next()) else {
        return Err("usage: shaped-link NEAR FAR [NAME=VALUE]...".into());
    };
    let (mut shapes, mut mtu) = ([Shape::default(); 2], 1500);
    for word in words {
        match word.strip_prefix("mtu=") {
            Some(value) => mtu = value.parse()?,
            None => set(&mut shapes, &word)?,
        }
    }
    let devices = [tun(&near, mtu)?, tun(&far, mtu)?];
    let shapes = Arc::new(Mutex::new(shapes));
    let seen = Arc::<Mutex<[Seen; 2]>>::default();
    for direction in 0..2 {
        let queue = Arc::<Queue>::default();
        let (from, to) = (devices[direction].try_clone()?, devices[1 - direction].try_clone()?);
        let (shapes, seen, taken) = (Arc::clone(&shapes), Arc::clone(&seen), Arc::clone(&queue));
        std::thread::spawn(move || take(from, &taken, &shapes, &seen, direction));
        std::thread::spawn(move || bring(to, &queue));
    }
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "look" {
            let [sent, _] = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
            writeln!(out, "{}", sent.json())?;
            out.flush()?;
            continue;
        }
        let mut shapes = shapes.lock().unwrap_or_else(PoisonError::into_inner);
        line.split_whitespace().try_for_each(|word| set(&mut shapes, word))?;
        drop(shapes);
        writeln!(out, "changed")?;
        out.flush()?;
    }
    Ok(())
}
