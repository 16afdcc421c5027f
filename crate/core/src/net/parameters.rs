//! How QUIC is set up. Every figure that differs from quinn's default has its reason beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use quinn_proto::RandomConnectionIdGenerator;

use super::address::Reach;
use super::{Congestion, socket};
use crate::{Error, ErrorKind, Result};

/// The smallest UDP payload that QUIC may count on, and what a path starts with unless more is known.
pub const MIN_MTU: u16 = 1200;

/// The largest UDP payload. quinn sends up to 10 packets in one system call (GSO); ten of more than 6550 bytes are
/// more than the kernel takes, and quinn drops that error in silence: a black hole.
pub const MAX_MTU: u16 = 6500;

/// The payload that is tried where the system does not tell the route's MTU: Ethernet less IPv6 and UDP headers.
const ETHERNET_PAYLOAD: u16 = 1452;

/// The unread bytes of one stream, 16 MiB: 1.3 Gbit/s at 100 ms. quinn fixes it for a connection's life, so it cannot
/// start small and grow; memory is bounded by the connection's window, which does, see [`super::Window`].
pub(super) const STREAM_WINDOW_BYTES: u32 = 16 << 20;

/// The number of lanes whose windows may be full of unread bytes without the control stream being held up.
pub const MAX_DATA_LANES: u32 = 4;

/// The unread bytes that a connection may always have: four packs. It keeps two lanes busy wherever the round trip is a
/// millisecond or less, and is all that a fast sender can park at a slow receiver.
pub(super) const LEAST_WINDOW_BYTES: u32 = 1 << 20;

/// The unread bytes of one connection at most: every data lane's window, and one more for control.
pub(super) const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * (MAX_DATA_LANES + 1);

/// The unread bytes of a connection before its key is known to be authorized: enough for the first frames.
pub(super) const STRANGER_WINDOW_BYTES: u32 = 256 << 10;

/// The bytes that one connection may have sent without an acknowledgement.
const SEND_WINDOW_BYTES: u64 = 16 << 20;

/// The packets behind a missing one that have to have arrived before it counts as lost: never so many, so that time
/// alone decides, an eighth of the round trip later (RFC 9002, section 6.1.2), as TCP's RACK does (RFC 8985). By the
/// three of RFC 9002, section 6.1.1, overtaken packets count as lost, and the controller sends less and less.
const PACKET_THRESHOLD: u32 = u32::MAX;

/// The round trip that is taken for true until one was measured, as in Chromium (`kInitialRttMs`). It sets when a lost
/// packet of the handshake is sent again: after three of them, and with the 333 ms of RFC 9002, section 6.2.2, after a
/// whole second. On a path with a longer round trip than 300 ms the first packets are sent again for nothing.
const INITIAL_RTT: Duration = Duration::from_millis(100);

const MAX_BIDI_STREAMS: u32 = 16;
const MAX_UNI_STREAMS: u32 = 64;

/// Well below what middle boxes keep UDP mappings for (30 s and up), so that a session that hashes for a minute lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Checks an MTU option.
pub(super) fn check_initial_mtu(initial_mtu: Option<u16>) -> Result<()> {
    match initial_mtu {
        Some(mtu) if !(MIN_MTU..=MAX_MTU).contains(&mtu) => Err(Error::new(
            ErrorKind::Config,
            format!("the initial MTU {mtu} is not from {MIN_MTU} to {MAX_MTU} bytes"),
        )),
        _ => Ok(()),
    }
}

/// How a server tells clients that it does not know a connection, which the process before it had.
pub(super) struct Resets {
    /// Made of the server's identity and port, so that its next process has it as well. A process with the same
    /// identity at another port would otherwise tell an attacker what ends a connection.
    pub(super) key: [u8; 32],
}

/// The endpoint's own limits. A client's connections end with its process.
pub(super) fn endpoint(resets: Option<&Resets>) -> Result<EndpointConfig> {
    let mut config = EndpointConfig::default();
    if let Some(resets) = resets {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &resets.key);
        config.reset_key(Arc::new(key));
        // quinn's own generator would not know the identifiers of the process before.
        config.cid_generator(|| Box::new(RandomConnectionIdGenerator::default()));
    }
    // The largest packet that this end accepts; quinn's default would limit the peer to 1472 bytes.
    config
        .max_udp_payload_size(MAX_MTU)
        .map_err(|error| Error::internal(format!("the largest UDP payload: {error}")))?;
    Ok(config)
}

/// What the settings of one connection depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// Where the peer is.
    pub(super) remote: SocketAddr,
    /// The UDP payload that the operator wants to begin with.
    pub(super) initial_mtu: Option<u16>,
    /// How long the peer may be silent.
    pub(super) idle_timeout: Duration,
    /// What decides how much is sent.
    pub(super) congestion: Congestion,
    /// The bytes that the peer may send ahead at first.
    pub(super) receive_window: u32,
    /// The bytes that this side's socket holds. On loopback the peer's is taken to hold the same.
    pub(super) socket_buffer_bytes: u64,
}

/// The settings of one connection.
pub(super) fn connection(circumstances: Circumstances) -> Result<Arc<TransportConfig>> {
    let Circumstances { remote, initial_mtu, idle_timeout, congestion, receive_window, socket_buffer_bytes } =
        circumstances;
    let idle = IdleTimeout::try_from(idle_timeout).map_err(|_| {
        Error::new(ErrorKind::Config, format!("the idle timeout of {} s is too long", idle_timeout.as_secs()))
    })?;
    let reach = Reach::of(remote.ip());
    let route = socket::path_payload_bytes(remote).unwrap_or(ETHERNET_PAYLOAD);
    let upper_mtu = route.clamp(MIN_MTU, MAX_MTU);
    let initial_mtu = initial_mtu.unwrap_or(match reach {
        // On loopback there is no path to discover: every packet that the interface takes arrives.
        Reach::Loopback => upper_mtu,
        Reach::Private | Reach::Public => MIN_MTU,
    });
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(upper_mtu.max(initial_mtu));

    let mut config = TransportConfig::default();
    config
        .initial_mtu(initial_mtu)
        .min_mtu(MIN_MTU)
        .mtu_discovery_config(Some(discovery))
        .enable_segmentation_offload(true)
        .congestion_controller_factory(congestion.factory(reach, first_window(reach, initial_mtu, socket_buffer_bytes)))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(receive_window))
        .send_window(SEND_WINDOW_BYTES)
        .packet_threshold(PACKET_THRESHOLD)
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_bidi_streams(VarInt::from_u32(MAX_BIDI_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_UNI_STREAMS))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE.min(idle_timeout / 3)));
    Ok(Arc::new(config))
}

/// The first window, by distance. It must exceed the MTU or nothing is ever sent.
fn first_window(reach: Reach, initial_mtu: u16, socket_buffer_bytes: u64) -> u64 {
    let window = match reach {
        // On loopback there is only the receiver's socket buffer, and packets that it holds cannot be lost.
        Reach::Loopback => socket_buffer_bytes.min(1 << 20),
        // About 2 ms of 1 Gbit/s: saves four round trips of slow start, and pacing spreads it over the first of them,
        // so that a site's switches take it.
        Reach::Private => 256 << 10,
        // RFC 9002, section 7.2.
        Reach::Public => 14_720,
    };
    window.max(10 * u64::from(initial_mtu))
}

#[cfg(test)]
mod tests {
    use super::{MAX_MTU, MIN_MTU, check_initial_mtu};
    use crate::ErrorKind;

    #[test]
    fn an_mtu_out_of_range_is_refused() {
        for good in [None, Some(MIN_MTU), Some(1452), Some(MAX_MTU)] {
            check_initial_mtu(good).expect("in range");
        }
        for bad in [0, MIN_MTU - 1, MAX_MTU + 1, u16::MAX] {
            let error = check_initial_mtu(Some(bad)).expect_err("out of range");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(&bad.to_string()), "{error}");
        }
    }
}
