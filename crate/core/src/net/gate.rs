//! How many handshakes a server works on at once over one protocol, in all and for one network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::address::network;

/// From so many unfinished handshakes on, a client first has to show that it receives at the address it sends from
/// (Retry, one more round trip).
const RETRY_ABOVE: usize = 256;

/// Unfinished handshakes over QUIC; packets of further clients are dropped, so they try again by themselves.
const MAX_OPEN_QUIC: usize = 1024;

/// Unfinished handshakes over TCP, each of which holds a descriptor; further clients are hung up on.
const MAX_OPEN_TCP: usize = 512;

/// Unfinished handshakes of one network. Not for loopback, where many clients share one.
const MAX_OPEN_EACH: usize = 32;

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

/// The counts of unfinished handshakes over one protocol, so that those over the other are let in whatever comes here. Clones
/// share them.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    max_open: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    open: usize,
    each: HashMap<IpAddr, usize>,
}

impl Gate {
    pub(super) fn of_quic() -> Self {
        Self { max_open: MAX_OPEN_QUIC, counts: Arc::default() }
    }

    pub(super) fn of_tcp() -> Self {
        Self { max_open: MAX_OPEN_TCP, counts: Arc::default() }
    }

    pub(super) fn admit(&self, address: IpAddr, validated: bool) -> Admission {
        let is_local = address.to_canonical().is_loopback();
        let address = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let each = counts.each.get(&address).copied().unwrap_or(0);
        let crowded = each >= MAX_OPEN_EACH && !is_local;
        if !validated && (counts.open >= RETRY_ABOVE || crowded) {
            // An address that is not shown yet may be forged: its owner must not be locked out by that.
            return Admission::Retry;
        }
        if counts.open >= self.max_open || crowded {
            return Admission::Ignore;
        }
        counts.open += 1;
        *counts.each.entry(address).or_insert(0) += 1;
        Admission::Pass(Pass { gate: self.clone(), address })
    }
}

/// One unfinished handshake, counted until dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    address: IpAddr,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.open = counts.open.saturating_sub(1);
        if let Some(each) = counts.each.get_mut(&self.address) {
            *each = each.saturating_sub(1);
            if *each == 0 {
                counts.each.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::{Admission, Gate, MAX_OPEN_EACH, MAX_OPEN_QUIC, MAX_OPEN_TCP, RETRY_ABOVE};

    fn address(number: usize) -> IpAddr {
        IpAddr::from(u32::try_from(number).expect("small").wrapping_add(0x0a00_0000).to_be_bytes())
    }

    #[test]
    fn a_crowd_shows_its_addresses_and_then_waits() {
        let gate = Gate::of_quic();
        let mut passes = Vec::new();
        for number in 0..RETRY_ABOVE {
            match gate.admit(address(number), false) {
                Admission::Pass(pass) => passes.push(pass),
                other => panic!("{number}: {other:?}"),
            }
        }
        assert!(matches!(gate.admit(address(5000), false), Admission::Retry));
        for number in RETRY_ABOVE..MAX_OPEN_QUIC {
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
    fn one_address_cannot_take_every_place() {
        let gate = Gate::of_quic();
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
        let gate = Gate::of_tcp();
        let of = |network: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]);
        let passes: Vec<_> = (0..).take(MAX_OPEN_EACH).map(|host| gate.admit(of(1, host), true)).collect();
        assert!(passes.iter().all(|admission| matches!(admission, Admission::Pass(_))));
        assert!(matches!(gate.admit(of(1, 999), true), Admission::Ignore));
        assert!(matches!(gate.admit(of(2, 0), true), Admission::Pass(_)));
    }

    #[test]
    fn a_crowd_over_tcp_ends_earlier_than_one_over_quic() {
        let gate = Gate::of_tcp();
        let passes: Vec<_> = (0..MAX_OPEN_TCP).map(|number| gate.admit(address(number), true)).collect();
        assert!(passes.iter().all(|admission| matches!(admission, Admission::Pass(_))));
        assert!(matches!(gate.admit(address(MAX_OPEN_TCP), true), Admission::Ignore));
    }
}
