//! Tells a system manager how far this process is, as systemd's `sd_notify` does.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::error::{Error, Result};

/// Sends a state (`READY=1`) to the socket that `NOTIFY_SOCKET` names: a path, or with `@` in front an abstract name.
pub fn notify_manager(socket: &str, state: &str) -> Result<()> {
    let failed = |error| Error::io("cannot tell the system manager", socket.as_bytes(), error);
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    };
    let from = UnixDatagram::unbound().map_err(failed)?;
    from.send_to_addr(state.as_bytes(), &address.map_err(failed)?).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::notify_manager;

    #[test]
    fn a_manager_is_told_by_path_and_by_abstract_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("bound");
        let name = format!("sparsync-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("bound");
        notify_manager(path.to_str().expect("text"), "READY=1").expect("told");
        notify_manager(&format!("@{name}"), "STOPPING=1").expect("told");
        for (socket, expected) in [(by_path, "READY=1"), (by_name, "STOPPING=1")] {
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).expect("heard");
            assert_eq!(&buffer[..length], expected.as_bytes());
        }
        assert!(notify_manager("/nonexistent/notify", "READY=1").is_err());
    }
}
