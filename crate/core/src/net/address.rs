//! Addresses: the texts that people write, what they resolve to, and how far away that is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Error, ErrorKind, Result};

/// How far an address is, as far as its range tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// This machine.
    Loopback,
    /// A range that is not routed on the Internet, so most likely the same site.
    Private,
    /// Anything else.
    Public,
}

impl Reach {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            IpAddr::V4(v4) if v4.is_private() || v4.is_link_local() => Self::Private,
            IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Self::Private,
            _ => Self::Public,
        }
    }
}

/// An address and a port, where an IPv4 address in the form of an IPv6 one becomes an IPv4 address again.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The address that counts as one peer: of an IPv6 address its network, since one host may have all of that.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// `host` without the brackets that an IPv6 address may have.
pub(super) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Host and port as they are shown and as they stand in files: an IPv6 address in brackets.
pub(super) fn shown(host: &str, port: u16) -> String {
    let host = unbracketed(host);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Splits `host:port`, `[v6]:port`, where the port may be 0.
pub(super) fn host_and_port(text: &str) -> Result<(&str, u16)> {
    let refuse =
        |why: &str| Error::new(ErrorKind::Config, format!("cannot listen on \"{}\": {why}", text.escape_debug()));
    let (host, port) = text.rsplit_once(':').ok_or_else(|| refuse("expected host:port, for instance [::]:28792"))?;
    let port = Some(port)
        .filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|port| port.parse().ok())
        .ok_or_else(|| refuse("the port is not a number from 0 to 65535"))?;
    let bare = unbracketed(host);
    if bare.is_empty() {
        return Err(refuse("the host is missing; [::] is every address of this machine"));
    }
    if bare == host && host.contains(':') {
        return Err(refuse("an IPv6 address needs brackets, for instance [::1]:28792"));
    }
    Ok((bare, port))
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Which way to a host is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Only addresses of this family are tried. Default: of either.
    pub family: Option<Family>,
    /// The address of this machine to send from, and its family alone. Default: as the system finds best.
    pub local: Option<IpAddr>,
}

impl Route {
    pub(super) fn takes(&self, remote: SocketAddr) -> bool {
        let is = |family| remote.is_ipv4() == (family == Family::V4);
        self.family.is_none_or(is) && self.local.is_none_or(|local| local.is_ipv4() == remote.is_ipv4())
    }

    /// What a socket that leads to `remote` is bound to.
    pub(super) fn local_for(&self, remote: SocketAddr) -> SocketAddr {
        self.local.map_or_else(|| any_address(remote), |local| (local, 0).into())
    }
}

/// The wildcard of the family of `remote`.
pub(super) fn any_address(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Every address of a host, in the system's order of preference but the families taking turns, so that one family
/// which leads nowhere delays by one attempt only.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((unbracketed(host), port)).await?.collect();
    Ok(alternate(found))
}

fn alternate(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(found.len());
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let v6_first = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = unique.into_iter().partition(|address| address.is_ipv6() == v6_first);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Reach, alternate, host_and_port, shown};
    use crate::ErrorKind;

    #[test]
    fn listen_addresses() {
        for (text, host, port) in [
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("[::]:28792", "::", 28792),
            ("[::1]:65535", "::1", 65535),
            ("localhost:1", "localhost", 1),
            ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ] {
            assert_eq!(host_and_port(text).expect(text), (host, port));
            assert_eq!(shown(host, port), text);
        }
        for bad in ["", "host", "host:", ":1", "[]:1", "::1:1", "host:65536", "host:+1", "host:-1", "host:x", "[::1]"] {
            let error = host_and_port(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(&format!("\"{bad}\"")), "{error}");
        }
    }

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let parse =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().expect(text)).collect() };
        assert_eq!(
            alternate(parse(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"])),
            parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"])
        );
        assert_eq!(alternate(parse(&["1.1.1.1:1", "[::1]:1"])), parse(&["1.1.1.1:1", "[::1]:1"]));
        assert_eq!(alternate(vec![]), vec![]);
    }

    #[test]
    fn ranges() {
        for (address, reach) in [
            ("127.0.0.1", Reach::Loopback),
            ("127.9.9.9", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.1.2.3", Reach::Private),
            ("::ffff:192.168.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("169.254.1.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("fe80::1", Reach::Private),
            ("2001:db8::1", Reach::Public),
            ("0.0.0.0", Reach::Public),
            ("::", Reach::Public),
        ] {
            assert_eq!(Reach::of(address.parse().expect(address)), reach, "{address}");
        }
    }
}
