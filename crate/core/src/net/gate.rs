//! How many handshakes a server works on at once over one protocol, in all and for one network.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
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

/// The limit on unfinished handshakes of one network. It does not hold for loopback, where many clients share one.
const MAX_OPEN_EACH: usize = 32;

/// The time that every handshake gets, however many others there are: an honest client is done by then, over any
/// distance. When every place is taken, the oldest handshake that is older gives way to a new one; if none is older,
/// packets of the new one are dropped, and a client over TCP is disconnected. So no client can keep others out by
/// leaving handshakes unfinished.
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
    each: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Open {
    address: IpAddr,
    since: Instant,
    gives_way: Arc<Notify>,
}

impl Counts {
    /// Takes a handshake off, if it is there still.
    fn remove(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if let Some(each) = self.each.get_mut(&open.address) {
            *each = each.saturating_sub(1);
            if *each == 0 {
                self.each.remove(&open.address);
            }
        }
        Some(open)
    }

    /// Has the oldest handshake give way, if it has had its time.
    fn makes_room(&mut self, now: Instant) -> bool {
        let oldest = self.open.first_key_value().map(|(number, open)| (*number, open.since));
        let old_enough = oldest.filter(|(_, since)| now.saturating_duration_since(*since) >= AGE_MIN);
        let gone = old_enough.and_then(|(number, _)| self.remove(number));
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

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn admit(&self, address: IpAddr, validated: bool) -> Admission {
        self.admit_at(address, validated, Instant::now())
    }

    fn admit_at(&self, address: IpAddr, validated: bool, now: Instant) -> Admission {
        let is_local = address.to_canonical().is_loopback();
        let address = network(address);
        let mut counts = self.counts();
        let each = counts.each.get(&address).copied().unwrap_or(0);
        let crowded = each >= MAX_OPEN_EACH && !is_local;
        if !validated && (counts.open.len() >= RETRY_ABOVE.min(counts.max_open / 4) || crowded) {
            // An unverified address may be forged, and its real owner must not be locked out by that.
            return Admission::Retry;
        }
        if crowded || (counts.open.len() >= counts.max_open && !counts.makes_room(now)) {
            return Admission::Ignore;
        }
        let gives_way = Arc::<Notify>::default();
        let number = counts.began;
        counts.began += 1;
        counts.open.insert(number, Open { address, since: now, gives_way: Arc::clone(&gives_way) });
        *counts.each.entry(address).or_insert(0) += 1;
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
    use std::net::{IpAddr, Ipv6Addr};

    use std::time::Instant;

    use super::{AGE_MIN, Admission, Gate, HANDSHAKES_MAX, MAX_OPEN_EACH, RETRY_ABOVE};

    fn address(number: usize) -> IpAddr {
        IpAddr::from(u32::try_from(number).expect("small").wrapping_add(0x0a00_0000).to_be_bytes())
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
        assert!(matches!(gate.admit(address(5000), true), Admission::Ignore));
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
    fn one_address_cannot_take_every_place() {
        let gate = Gate::of_quic(HANDSHAKES_MAX);
        let hold = |who: IpAddr| -> Vec<_> { (0..MAX_OPEN_EACH).map(|_| gate.admit(who, true)).collect() };
        let one = hold(address(1));
        assert!(one.iter().all(|admission| matches!(admission, Admission::Pass(_))));
        assert!(matches!(gate.admit(address(1), true), Admission::Ignore));
        assert!(matches!(gate.admit(address(1), false), Admission::Retry));
        assert!(matches!(gate.admit(address(2), false), Admission::Pass(_)));
        for loopback in [IpAddr::from([127, 0, 0, 1]), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let _local = hold(loopback);
            assert!(matches!(gate.admit(loopback, true), Admission::Pass(_)));
        }
    }

    #[test]
    fn whoever_has_a_network_has_the_places_of_one_address() {
        let gate = Gate::of_tcp(HANDSHAKES_MAX);
        let of = |network: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]);
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
