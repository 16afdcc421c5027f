//! How the ends of a pipe arrange QUIC beside it: what the frames say that begin it.
//!
//! Both keys are made for this one connection, and told over the pipe, whose ends know each other already.

use core::net::{IpAddr, Ipv6Addr};

use crate::codec::DecodeError;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// The lowest port that may be asked for.
pub const PORT_LEAST: u16 = 1024;

/// Bytes of an [`Ask`].
pub const ASK_BYTES: usize = KEY_BYTES + 4;

/// Bytes of an [`Offer`].
pub const OFFER_BYTES: usize = KEY_BYTES + 2 + 16;

/// The end that has opened the pipe asks for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The key that it is going to show.
    pub key: [u8; KEY_BYTES],
    /// The lowest and the highest port that may be taken; 0 and 0 for any.
    pub ports: (u16, u16),
}

/// The other end's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The key that it is going to show.
    pub key: [u8; KEY_BYTES],
    /// The port that it listens at.
    pub port: u16,
    /// Its own address as it knows it.
    pub address: Option<IpAddr>,
}

fn malformed(what: &'static str) -> DecodeError {
    DecodeError::Malformed { what }
}

fn be16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u16::from(byte))
}

impl Ask {
    /// As it travels.
    #[must_use]
    pub fn encode(&self) -> [u8; ASK_BYTES] {
        let mut out = [0; ASK_BYTES];
        out[..KEY_BYTES].copy_from_slice(&self.key);
        out[KEY_BYTES..KEY_BYTES + 2].copy_from_slice(&self.ports.0.to_be_bytes());
        out[KEY_BYTES + 2..].copy_from_slice(&self.ports.1.to_be_bytes());
        out
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: &[u8; ASK_BYTES] = bytes.try_into().map_err(|_| malformed("an ask of another length"))?;
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&bytes[..KEY_BYTES]);
        let ports = (be16(&bytes[KEY_BYTES..KEY_BYTES + 2]), be16(&bytes[KEY_BYTES + 2..]));
        // The end that has opened the pipe names these ports, and must not be able to take those of system services.
        if ports.0 > ports.1 || (ports.0 < PORT_LEAST && ports != (0, 0)) {
            return Err(malformed("an ask for ports that are no range"));
        }
        Ok(Self { key, ports })
    }
}

impl Offer {
    /// The wire form: an IPv4 address is written as an IPv6 one, and a missing address as zeros.
    #[must_use]
    pub fn encode(&self) -> [u8; OFFER_BYTES] {
        let address = match self.address {
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
            Some(IpAddr::V6(address)) => address,
            None => Ipv6Addr::UNSPECIFIED,
        };
        let mut out = [0; OFFER_BYTES];
        out[..KEY_BYTES].copy_from_slice(&self.key);
        out[KEY_BYTES..KEY_BYTES + 2].copy_from_slice(&self.port.to_be_bytes());
        out[KEY_BYTES + 2..].copy_from_slice(&address.octets());
        out
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: &[u8; OFFER_BYTES] = bytes.try_into().map_err(|_| malformed("an offer of another length"))?;
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&bytes[..KEY_BYTES]);
        let port = be16(&bytes[KEY_BYTES..KEY_BYTES + 2]);
        let mut octets = [0; 16];
        octets.copy_from_slice(&bytes[KEY_BYTES + 2..]);
        let address = IpAddr::V6(Ipv6Addr::from(octets)).to_canonical();
        if port == 0 || address.is_multicast() {
            return Err(malformed("an offer of a place where nobody listens"));
        }
        Ok(Self { key, port, address: Some(address).filter(|address| !address.is_unspecified()) })
    }
}

#[cfg(test)]
mod tests {
    use super::{ASK_BYTES, Ask, OFFER_BYTES, Offer};

    #[test]
    fn what_is_said_is_read_as_it_was_meant() {
        for ports in [(0, 0), (1024, 1024), (60_000, 60_100)] {
            let ask = Ask { key: [7; 32], ports };
            assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
        }
        for address in [None, Some("192.0.2.7"), Some("2001:db8::7")] {
            let address = address.map(|text| text.parse().expect("an address"));
            let offer = Offer { key: [9; 32], port: 4433, address };
            assert_eq!(Offer::decode(&offer.encode()), Ok(offer));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for ports in [(2001, 2000), (0, 1), (0, 2000), (1023, 2000)] {
            assert!(Ask::decode(&Ask { key: [7; 32], ports }.encode()).is_err(), "{ports:?}");
        }
        let offer = Offer { key: [9; 32], port: 1, address: None };
        assert!(Offer::decode(&Offer { port: 0, ..offer }.encode()).is_err());
        for group in ["224.0.0.1", "ff02::1"] {
            let address = Some(group.parse().expect("an address"));
            assert!(Offer::decode(&Offer { address, ..offer }.encode()).is_err(), "{group}");
        }
        assert!(Ask::decode(&[0; ASK_BYTES - 1]).is_err() && Offer::decode(&[0; OFFER_BYTES + 1]).is_err());
    }
}
