//! How many handshakes a server works on at once over one protocol, in all and for one network.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::address::network;

/// From so many unfinished handshakes on, a client must first show that it receives at its address (Retry, one more
/// round trip).
const RETRY_ABOVE: usize = 256;

/// The default limit on unfinished handshakes over QUIC.
pub const HANDSHAKES_MAX: usize = 1024;

/// The limit over TCP: each handshake holds a descriptor there, so half as many may be open.
const fn over_tcp(handshakes: usize) -> usize {
    handshakes.div_ceil(2)
}

/// The limit on unfinished handshakes of one source. What it begins beyond costs the server next to nothing.
const MAX_OPEN_EACH: usize = 32;

/// A source with fewer than that part of what the source with the most has is let in at once, when every place is
/// taken and that one has at least half of what one may have. Sources that have about the same cannot drive each other
/// out, which would cost a handshake each time.
const FEWER: usize = 4;

/// The time that every handshake gets, however many others there are: an honest client is done by then, over any
/// distance, unless its source is a crowd. When every place is taken, the oldest handshake of a source that is one
/// gives way to one of a source that has few, and otherwise the oldest of all, if it is older than that and the new
/// one's source has one at most, or less than half of what sources have on average. Else packets of the new one are
/// dropped, and a client over TCP is disconnected. So no client can keep others out by leaving handshakes unfinished,
/// nor by beginning them faster than they grow old, and a crowd of sources cannot have the server begin handshakes
/// without an end.
const AGE_MIN: Duration = Duration::from_millis(500);

/// What to do with a new client.
#[derive(Debug)]
pub(super) enum Admission {
    /// Go on; the pass is held until the handshake is over.
    Pass(Pass),
    /// Have it show its address first.
    Retry,
    /// Say nothing.
    Ignore,
}

/// The handshakes that a server has refused to begin, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HandshakesRefused {
    /// Their source had as many under way as it may.
    pub(crate) of_source: u64,
    /// Every place was taken.
    pub(crate) full: u64,
}

impl HandshakesRefused {
    pub(crate) const fn and(self, other: Self) -> Self {
        Self { of_source: self.of_source + other.of_source, full: self.full + other.full }
    }

    pub(crate) const fn total(self) -> u64 {
        self.of_source + self.full
    }
}

/// Who begins handshakes, as far as it is told apart: a network, or on loopback, where many clients share one, a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(IpAddr, u16);

impl Source {
    fn of(remote: SocketAddr) -> Self {
        let is_local = remote.ip().to_canonical().is_loopback();
        Self(network(remote.ip()), if is_local { remote.port() } else { 0 })
    }
}

/// The counts of unfinished handshakes over one protocol. Each protocol has its own, so that a flood over one does not
/// keep out clients over the other. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// Turns the server's limit into that of this protocol.
    most: fn(usize) -> usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    max_open: usize,
    /// In the order in which they began.
    open: BTreeMap<u64, Open>,
    began: u64,
    each: HashMap<Source, usize>,
    refused: HandshakesRefused,
}

#[derive(Debug)]
struct Open {
    source: Source,
    since: Instant,
    gives_way: Arc<Notify>,
}

impl Counts {
    /// Takes a handshake off, if it is there still.
    fn remove(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if let Some(each) = self.each.get_mut(&open.source) {
            *each = each.saturating_sub(1);
            if *each == 0 {
                self.each.remove(&open.source);
            }
        }
        Some(open)
    }

    /// Has a handshake give way to one of a source that has `each` already, if one has to.
    fn makes_room(&mut self, now: Instant, each: usize) -> bool {
        let has_most = |count: usize| count >= MAX_OPEN_EACH / 2 && count >= (each + 1) * FEWER;
        let most = self.each.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| has_most(**count));
        let of_most = most.and_then(|(most, _)| {
            self.open.iter().find_map(|(number, open)| (open.source == *most).then_some(*number))
        });
        let goes = of_most.or_else(|| {
            let (number, oldest) = self.open.first_key_value()?;
            let has_few = each <= 1 || each * 2 * self.each.len() < self.open.len();
            (has_few && now.saturating_duration_since(oldest.since) >= AGE_MIN).then_some(*number)
        });
        let gone = goes.and_then(|number| self.remove(number));
        gone.inspect(|gone| gone.gives_way.notify_one()).is_some()
    }
}

impl Gate {
    fn new(handshakes: usize, most: fn(usize) -> usize) -> Self {
        let gate = Self { most, counts: Arc::default() };
        gate.limit(handshakes);
        gate
    }

    pub(super) fn of_quic(handshakes: usize) -> Self {
        Self::new(handshakes, std::convert::identity)
    }

    pub(super) fn of_tcp(handshakes: usize) -> Self {
        Self::new(handshakes, over_tcp)
    }

    /// Another limit of the server from now on.
    pub(super) fn limit(&self, handshakes: usize) {
        self.counts().max_open = (self.most)(handshakes);
    }

    /// How many are under way.
    pub(super) fn open(&self) -> usize {
        self.counts().open.len()
    }

    /// How many were refused since the start.
    pub(super) fn refused(&self) -> HandshakesRefused {
        self.counts().refused
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn admit(&self, remote: SocketAddr, validated: bool) -> Admission {
        self.admit_at(remote, validated, Instant::now())
    }

    fn admit_at(&self, remote: SocketAddr, validated: bool, now: Instant) -> Admission {
        let source = Source::of(remote);
        let mut counts = self.counts();
        let each = counts.each.get(&source).copied().unwrap_or(0);
        let crowded = each >= MAX_OPEN_EACH;
        if !validated && (counts.open.len() >= RETRY_ABOVE.min(counts.max_open / 4) || crowded) {
            // An unverified address may be forged, and its real owner must not be locked out by that.
            return Admission::Retry;
        }
        if crowded {
            counts.refused.of_source += 1;
            return Admission::Ignore;
        }
        if counts.open.len() >= counts.max_open && !counts.makes_room(now, each) {
            counts.refused.full += 1;
            return Admission::Ignore;
        }
        let gives_way = Arc::<Notify>::default();
        let number = counts.began;
        counts.began += 1;
        counts.open.insert(number, Open { source, since: now, gives_way: Arc::clone(&gives_way) });
        *counts.each.entry(source).or_insert(0) += 1;
        Admission::Pass(Pass { gate: self.clone(), number, gives_way })
    }
}

/// One unfinished handshake, counted until dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    number: u64,
    gives_way: Arc<Notify>,
}

impl Pass {
    /// Ends when another client needs the place.
    pub(super) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.counts().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};

    use std::time::Instant;

    use super::{
        AGE_MIN, Admission, Gate, HANDSHAKES_MAX, HandshakesRefused, MAX_OPEN_EACH, Pass, RETRY_ABOVE, Source,
    };

    fn address(number: usize) -> SocketAddr {
        let host = u32::try_from(number).expect("small").wrapping_add(0x0a00_0000);
        SocketAddr::new(IpAddr::from(host.to_be_bytes()), 1)
    }

    fn admitted(gate: &Gate, remote: SocketAddr, now: Instant) -> Option<Pass> {
        match gate.admit_at(remote, true, now) {
            Admission::Pass(pass) => Some(pass),
            Admission::Retry | Admission::Ignore => None,
        }
    }

    #[test]
    fn a_crowd_shows_its_addresses_and_then_waits() {
        let gate = Gate::of_quic(HANDSHAKES_MAX);
        let mut passes = Vec::new();
        for number in 0..RETRY_ABOVE {
            match gate.admit(address(number), false) {
                Admission::Pass(pass) => passes.push(pass),
                other => panic!("{number}: {other:?}"),
            }
        }
        assert!(matches!(gate.admit(address(5000), false), Admission::Retry));
        for number in RETRY_ABOVE..HANDSHAKES_MAX {
            match gate.admit(address(number), true) {
                Admission::Pass(pass) => passes.push(pass),
                other => panic!("{number}: {other:?}"),
            }
        }
        assert_eq!(gate.refused(), HandshakesRefused::default(), "to show an address is no refusal");
        assert!(matches!(gate.admit(address(5000), true), Admission::Ignore));
        assert_eq!(gate.refused(), HandshakesRefused { of_source: 0, full: 1 });
        passes.clear();
        assert!(matches!(gate.admit(address(5000), false), Admission::Pass(_)));
        assert!(gate.counts.lock().expect("counts").each.is_empty());
    }

    #[test]
    fn whoever_does_not_go_on_gives_way_cve_2026_70464() {
        let (gate, began) = (Gate::of_tcp(2), Instant::now());
        gate.limit(4);
        let pass = |at: usize, now| match gate.admit_at(address(at), true, now) {
            Admission::Pass(pass) => Some(pass),
            Admission::Retry | Admission::Ignore => None,
        };
        let (first, second) = (pass(1, began).expect("room"), pass(2, began + AGE_MIN / 2).expect("room"));
        assert!(pass(3, began + AGE_MIN / 2).is_none(), "each has its time");
        let third = pass(3, began + AGE_MIN).expect("the place of the first");
        assert!(pass(4, began + AGE_MIN).is_none());
        assert_eq!(gate.open(), 2);
        drop(first);
        assert_eq!(gate.open(), 2, "it had no place any more");
        drop((second, third));
        assert_eq!(gate.open(), 0);
    }

    #[test]
    fn whoever_has_few_is_let_in_at_once() {
        let (gate, began) = (Gate::of_quic(40), Instant::now());
        let pass = |remote| admitted(&gate, remote, began);
        let local = |port| SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port);
        let of = |source| gate.counts().each.get(&Source::of(source)).copied().unwrap_or(0);
        let mut held: Vec<_> = (0..24).map(|_| pass(address(1)).expect("room")).collect();
        held.extend((0..16).map(|_| pass(local(7)).expect("room")));
        for crowd in [address(1), local(7)] {
            assert!(pass(crowd).is_none(), "nobody gives way to a crowd");
        }
        held.extend([local(8), address(2), local(9)].map(|few| pass(few).expect("a source that has none")));
        assert_eq!((gate.open(), of(address(1)), of(local(7))), (40, 21, 16), "whoever has the most has given way");
        while let Some(more) = pass(local(8)) {
            held.push(more);
        }
        assert_eq!((of(local(8)), of(address(1))), (4, 18), "a fifth one would be more than a few");
        let later = |remote| matches!(gate.admit_at(remote, true, began + AGE_MIN), Admission::Pass(_));
        assert!(!later(address(1)) && !later(local(8)), "nor later to whoever has as many as the others");
        assert!(later(address(3)));
        drop(held);
        assert_eq!(gate.open(), 0);
    }

    #[test]
    fn sources_of_a_few_each_take_the_places_of_old_handshakes_alone() {
        let (gate, began) = (Gate::of_quic(20), Instant::now());
        let pass = |remote, now| admitted(&gate, remote, now);
        // An office, and somebody with many networks.
        let (office, later) = (address(1), began + AGE_MIN);
        let held: Vec<_> = (0..4).map(|_| office).chain((2..18).map(address)).map(|from| pass(from, began)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(pass(address(99), began).is_none(), "every handshake gets its time");
        let _of_network = pass(address(99), later).expect("an old one gives way");
        let _second = pass(address(17), later).expect("also to whoever has one");
        assert!(pass(office, later).is_none(), "but not to whoever has more than the others");
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let gate = Gate::of_quic(HANDSHAKES_MAX);
        let hold = |who: SocketAddr| -> Vec<_> { (0..MAX_OPEN_EACH).map(|_| gate.admit(who, true)).collect() };
        let one = hold(address(1));
        assert!(one.iter().all(|admission| matches!(admission, Admission::Pass(_))));
        assert!(matches!(gate.admit(address(1), true), Admission::Ignore));
        assert_eq!(gate.refused(), HandshakesRefused { of_source: 1, full: 0 });
        assert!(matches!(gate.admit(address(1), false), Admission::Retry));
        assert!(matches!(gate.admit(address(2), false), Admission::Pass(_)));
        for loopback in [IpAddr::from([127, 0, 0, 1]), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let _local = hold(SocketAddr::new(loopback, 1));
            assert!(matches!(gate.admit(SocketAddr::new(loopback, 1), true), Admission::Ignore));
            assert!(matches!(gate.admit(SocketAddr::new(loopback, 2), true), Admission::Pass(_)));
        }
    }

    #[test]
    fn whoever_has_a_network_has_the_places_of_one_address() {
        let gate = Gate::of_tcp(HANDSHAKES_MAX);
        let of = |network: u16, host: u16| SocketAddr::new(IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]), 1);
        let passes: Vec<_> = (0..).take(MAX_OPEN_EACH).map(|host| gate.admit(of(1, host), true)).collect();
        assert!(passes.iter().all(|admission| matches!(admission, Admission::Pass(_))));
        assert!(matches!(gate.admit(of(1, 999), true), Admission::Ignore));
        assert!(matches!(gate.admit(of(2, 0), true), Admission::Pass(_)));
    }

    #[test]
    fn a_crowd_over_tcp_ends_earlier_than_one_over_quic() {
        let gate = Gate::of_tcp(HANDSHAKES_MAX);
        let passes: Vec<_> = (0..HANDSHAKES_MAX / 2).map(|number| gate.admit(address(number), true)).collect();
        assert!(passes.iter().all(|admission| matches!(admission, Admission::Pass(_))));
        assert!(matches!(gate.admit(address(HANDSHAKES_MAX / 2), true), Admission::Ignore));
    }
}
