//! Sockets by the family of an address, and those of UDP with buffers that hold what a busy receiver has not read yet.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::address::{any_address, canonical};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

/// The buffer of a socket in each direction, 4 MiB. With the kernel's 208 KiB a receiver that loses the processor for a
/// few milliseconds loses packets: a third of the throughput on a busy machine.
const BUFFER_BYTES: usize = 4 << 20;

/// An unbound socket for an address, ready for an asynchronous runtime. A wildcard IPv6 address also takes IPv4, every
/// other address only its own family.
pub(super) fn unbound(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // A system without IPv4 mapping can only serve IPv6.
        let only = !address.ip().is_unspecified();
        if let Err(error) = socket.set_only_v6(only)
            && only
        {
            return Err(error);
        }
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A bound socket of UDP.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = unbound(address, Type::DGRAM, Protocol::UDP)?;
    enlarge_buffers(&socket);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Buffers of 4 MiB, past the system's limit where this process may. Smaller ones work too, only slower, so it is no
/// error if the system gives less; [`receive_buffer_bytes`] tells.
fn enlarge_buffers(socket: &Socket) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let receive = sockopt::set_socket_recv_buffer_size_force(socket, BUFFER_BYTES);
        let send = sockopt::set_socket_send_buffer_size_force(socket, BUFFER_BYTES);
        if receive.is_ok() && send.is_ok() {
            return;
        }
    }
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
}

/// The real size of the socket's receive buffer, in bytes; 0 when the system does not tell.
pub(super) fn receive_buffer_bytes(socket: &UdpSocket) -> u64 {
    // Linux doubles what was asked for, to account for its own bookkeeping, and reports the double.
    let share = if cfg!(any(target_os = "linux", target_os = "android")) { 2 } else { 1 };
    let bytes = sockopt::socket_recv_buffer_size(socket).unwrap_or(0) / share;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The largest UDP payload that leaves this machine towards `remote` in one packet, by the route's MTU. Nothing is
/// sent. `None` where the system does not say.
pub(super) fn path_payload_bytes(remote: SocketAddr) -> Option<u16> {
    const UDP_HEADER: u32 = 8;
    let remote = canonical(remote);
    let socket = UdpSocket::bind(any_address(remote)).ok()?;
    socket.connect(remote).ok()?;
    let (mtu, ip_header) = match remote.ip() {
        IpAddr::V4(_) => (route_mtu_v4(&socket)?, 20),
        IpAddr::V6(_) => (route_mtu_v6(&socket)?, 40),
    };
    let payload = mtu.checked_sub(ip_header + UDP_HEADER)?;
    Some(u16::try_from(payload).unwrap_or(u16::MAX))
}

#[cfg(target_os = "linux")]
fn route_mtu_v4(socket: &UdpSocket) -> Option<u32> {
    sockopt::ip_mtu(socket).ok()
}

#[cfg(target_os = "linux")]
fn route_mtu_v6(socket: &UdpSocket) -> Option<u32> {
    sockopt::ipv6_mtu(socket).ok()
}

#[cfg(not(target_os = "linux"))]
fn route_mtu_v4(_socket: &UdpSocket) -> Option<u32> {
    None
}

#[cfg(not(target_os = "linux"))]
fn route_mtu_v6(_socket: &UdpSocket) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::{BUFFER_BYTES, bind, path_payload_bytes, receive_buffer_bytes};

    #[test]
    fn buffers_are_larger_than_the_kernel_gives_by_itself() {
        let plain = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let ours = bind("127.0.0.1:0".parse().expect("an address")).expect("a socket");
        let (ours, plain) = (receive_buffer_bytes(&ours), receive_buffer_bytes(&plain));
        assert!(ours >= plain && plain > 0);
        assert!(usize::try_from(ours).expect("small") <= BUFFER_BYTES);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_route_to_this_machine_takes_large_packets() {
        for address in ["127.0.0.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
            let payload = path_payload_bytes(address.parse().expect(address));
            assert!(payload.is_some_and(|payload| payload > 1472), "{address}: {payload:?}");
        }
    }
}
