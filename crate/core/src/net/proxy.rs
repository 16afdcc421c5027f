//! HTTP proxies, which lead to a server by `CONNECT`: which one the environment names, and how it is asked.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::address::{Reach, shown, unbracketed};
use crate::{Error, ErrorKind, Result};

/// The variables that name a proxy, and those that name the hosts to be reached without one.
const PROXY_VARIABLES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
const EXCEPT_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

const HTTP_PORT: u16 = 80;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The credentials for `Basic` authentication.
    credentials: Option<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.host, self.port))
    }
}

impl Proxy {
    /// The proxy that `variable` names for a server; none for this machine, and for hosts that `NO_PROXY` excepts.
    ///
    /// Fails with [`ErrorKind::Config`] for a value that names no HTTP proxy.
    pub fn of_environment(host: &str, port: u16, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
        };
        let Some((name, value)) = first(PROXY_VARIABLES) else { return Ok(None) };
        let host = unbracketed(host).trim_end_matches('.').to_ascii_lowercase();
        let is_here = host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| Reach::of(address) == Reach::Loopback);
        if is_here || first(EXCEPT_VARIABLES).is_some_and(|(_, list)| excepts(&list, &host, port)) {
            return Ok(None);
        }
        // The value may hold a password, so the error does not repeat it.
        let refuse = |why: &str| Error::new(ErrorKind::Config, format!("{name} cannot be used: {why}"));
        Self::from_url(&value).map(Some).map_err(|why| refuse(why).with("variable", name.to_owned()))
    }

    fn from_url(url: &str) -> std::result::Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err("only http:// proxies are supported");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (place, ""),
        };
        let port = match port {
            "" => HTTP_PORT,
            port => port.parse().ok().filter(|port| *port != 0).ok_or("its port is not a number from 1 to 65535")?,
        };
        let host = unbracketed(host);
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("there is no host in it");
        }
        let credentials = match user {
            None => None,
            Some(user) => {
                let (user, password) = user.split_once(':').unwrap_or((user, ""));
                let mut plain = decoded(user)?;
                plain.push(b':');
                plain.extend(decoded(password)?);
                Some(BASE64.encode(plain))
            }
        };
        Ok(Self { host: host.to_owned(), port, credentials })
    }

    /// Has the proxy lead a connection to it on to a server.
    pub(super) async fn lead(&self, stream: &mut TcpStream, host: &str, port: u16) -> Result<()> {
        let server = shown(host, port);
        if !server.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("a proxy cannot be asked for the host {:?}", host.escape_debug().to_string());
            return Err(Error::new(ErrorKind::Config, message));
        }
        let authorization = match &self.credentials {
            Some(credentials) => format!("Proxy-Authorization: Basic {credentials}\r\n"),
            None => String::new(),
        };
        let request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{authorization}\r\n");
        let broken = |error: std::io::Error| {
            self.failed(ErrorKind::Connect, format!("the proxy {self} ended the connection: {error}")).because(error)
        };
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut head = Vec::new();
        let end = loop {
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if head.len() >= HEAD_BYTES_MAX || !b"HTTP/1.".starts_with(&head[..head.len().min(7)]) {
                return Err(self.no_answer());
            }
            let mut piece = [0; 1024];
            match stream.read(&mut piece).await.map_err(broken)? {
                0 => return Err(self.no_answer()),
                read => head.extend_from_slice(&piece[..read]),
            }
        };
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let status = line.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
        match status {
            // The server behind the proxy does not speak first, so nothing may follow the head.
            Some(200..=299) if end == head.len() => Ok(()),
            Some(200..=299) | None => Err(self.no_answer()),
            // A proxy should answer 407 to a wrong password, but some answer 401.
            Some(status @ (407 | 401)) => {
                let what =
                    if self.credentials.is_some() { "another user or password" } else { "a user and a password" };
                let message =
                    format!("the proxy {self} wants {what} ({status}), as in HTTPS_PROXY=http://USER:PASSWORD@{self}");
                Err(self.failed(ErrorKind::Config, message).with("status", u64::from(status)))
            }
            Some(status) => {
                let told = super::close::reason_text(line.get(12..).unwrap_or_default());
                let message = format!("the proxy {self} does not lead to {server}: {status} {told}");
                Err(self.failed(ErrorKind::Connect, message.trim_end().to_owned()).with("status", u64::from(status)))
            }
        }
    }

    fn failed(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).remote().with("proxy", self.to_string())
    }

    fn no_answer(&self) -> Error {
        self.failed(ErrorKind::Connect, format!("{self} does not answer as an HTTP proxy does"))
    }
}

/// Percent-encoded bytes.
fn decoded(text: &str) -> std::result::Result<Vec<u8>, &'static str> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        plain.push(value.ok_or("its user or password is not percent-encoded")?);
    }
    Ok(plain)
}

/// Whether a list of `NO_PROXY` has a host, which is in lower case: its name or a domain above it, its address or a
/// range of addresses, alone or with a port, or `*`.
fn excepts(list: &str, host: &str, port: u16) -> bool {
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ', '\t']).map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if entry.is_empty() {
            return false;
        }
        if entry == "*" {
            return true;
        }
        let (name, of_port) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, digits.parse::<u16>().ok()),
            _ => (entry.as_str(), None),
        };
        if of_port.is_some_and(|of_port| of_port != port) {
            return false;
        }
        let name = unbracketed(name);
        if let Some(address) = address {
            return holds(name, address);
        }
        let domain = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        let above = host.strip_suffix(domain).filter(|_| !domain.is_empty());
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    })
}

/// Whether an address, or a range of them as in `10.0.0.0/8`, holds another.
fn holds(range: &str, address: IpAddr) -> bool {
    let (first, bits) = match range.split_once('/') {
        Some((first, bits)) => (first, bits.parse::<u32>().ok()),
        None => (range, Some(128)),
    };
    let (Ok(first), Some(bits)) = (first.parse::<IpAddr>(), bits) else { return false };
    match (first.to_canonical(), address.to_canonical()) {
        (IpAddr::V4(first), IpAddr::V4(address)) => {
            let differs = first.to_bits() ^ address.to_bits();
            differs.leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(first), IpAddr::V6(address)) => {
            let differs = first.to_bits() ^ address.to_bits();
            differs.leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Proxy;
    use crate::ErrorKind;

    fn found(pairs: &[(&str, &str)], host: &str, port: u16) -> Option<String> {
        let variable =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxy::of_environment(host, port, variable).expect("a proxy or none").map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_environment_names_a_proxy() {
        for (value, shown) in [
            ("http://proxy:3128", "proxy:3128"),
            ("HTTP://proxy/", "proxy:80"),
            ("proxy:3128", "proxy:3128"),
            ("http://user:p%40ss@[fd00::1]:8080/x", "[fd00::1]:8080"),
            ("http://[fd00::1]", "[fd00::1]:80"),
        ] {
            assert_eq!(found(&[("HTTPS_PROXY", value)], "server", 1).as_deref(), Some(shown), "{value}");
        }
        assert_eq!(found(&[("HTTPS_PROXY", "a:1"), ("https_proxy", "b:2")], "server", 1).as_deref(), Some("b:2"));
        assert_eq!(found(&[("HTTPS_PROXY", "a:1"), ("https_proxy", "")], "server", 1).as_deref(), Some("a:1"));
        assert_eq!(found(&[("HTTP_PROXY", "a:1")], "server", 1), None);
        let user = Proxy::from_url("http://Aladdin:open%20sesame@proxy").expect("a proxy");
        assert_eq!(user.credentials.as_deref(), Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        for bad in [
            "https://secret@proxy",
            "socks5://proxy",
            "http://",
            "http://secret@:1",
            "http://proxy:0",
            "http://%secret@p",
        ] {
            let error = Proxy::of_environment("server", 1, |_| Some(bad.to_owned())).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().starts_with("https_proxy") && !error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn some_hosts_need_none() {
        for host in ["localhost", "a.localhost", "127.0.0.1", "127.8.9.1", "[::1]", "::1"] {
            assert_eq!(found(&[("HTTPS_PROXY", "a:1")], host, 1), None, "{host}");
        }
        for (list, host, is_excepted) in [
            ("*", "server", true),
            ("other, Example.ORG", "backup.example.org", true),
            (".example.org", "example.org", true),
            ("*.example.org", "a.example.org.", true),
            ("example.org", "badexample.org", false),
            ("example.org:28792", "a.example.org", true),
            ("example.org:443", "a.example.org", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1:1", "192.0.2.1", false),
            ("fd00::/8", "[fd12::1]", true),
            ("[fd12::1]:28792", "fd12::1", true),
            ("10", "10.1.2.3", false),
            ("0.0.0.0/0", "server", false),
            (",,", "server", false),
        ] {
            let none = found(&[("https_proxy", "a:1"), ("NO_PROXY", list)], host, 28792).is_none();
            assert_eq!(none, is_excepted, "{list} {host}");
        }
    }
}
