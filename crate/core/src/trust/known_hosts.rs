//! The file of server keys that this client has accepted.
//!
//! One line for each key: `host:port ed25519:BASE64`, an IPv6 address in brackets, `#` begins a comment. A host may
//! have several lines while its key is being changed; any of them is accepted. A key that the server has announced has
//! `after=ed25519:BASE64` behind it, the key that announced it: that one goes when the server shows the new one.

use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{PublicKey, private_file};
use crate::{Error, ErrorKind, Result};

/// A `known_hosts` file. The value only holds the path; each call reads the file anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHosts {
    path: PathBuf,
}

/// A key on record and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: PublicKey,
    /// The line that it stands on, from 1.
    pub line: u64,
    /// The key that has announced it.
    pub after: Option<PublicKey>,
}

impl KnownKey {
    /// A key that was given as a pin.
    pub(crate) fn pin(key: PublicKey) -> Self {
        Self { key, line: 0, after: None }
    }
}

impl KnownHosts {
    /// The file at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys on record for a server; none when the file is missing. `host` may be a name in any case, an IPv4
    /// address, or an IPv6 address with or without brackets.
    ///
    /// Fails with [`ErrorKind::Config`] (detail `line`) when any line is malformed: a typing error must not turn a
    /// known host into an unknown one. [`ErrorKind::Io`] when the file cannot be read.
    pub fn lookup(&self, host: &str, port: u16) -> Result<Vec<KnownKey>> {
        let wanted = host_entry(host, port);
        match private_file::read(&self.path)? {
            Some((text, _)) => self.known(&text, &wanted),
            None => Ok(Vec::new()),
        }
    }

    /// Puts a server's key on record; the same key twice stays one line. Comments and other lines are kept; the file
    /// is replaced in one step, a new one is 0600 with its missing parent directories 0700.
    ///
    /// Fails with [`ErrorKind::HostKeyChanged`] when another key stands there already (perhaps put there by another
    /// process a moment ago), with [`ErrorKind::Config`] when the file is malformed, [`ErrorKind::Io`] when it cannot
    /// be written.
    pub fn append(&self, host: &str, port: u16, key: PublicKey) -> Result<()> {
        let wanted = checked_entry(host, port)?;
        private_file::change(&self.path, |text, _| {
            let mut other = None;
            for entry in self.entries(text) {
                let (host, known) = entry?;
                if host == wanted && known.key == key {
                    return Ok((None, ()));
                }
                if host == wanted {
                    other = Some(known);
                }
            }
            if let Some(known) = other {
                return Err(host_key_changed(host, port, key, &[known], Some(&self.path)));
            }
            let mut text = text.to_owned();
            private_file::push_line(&mut text, &format!("{wanted} {key}"));
            Ok((Some(text), ()))
        })
    }

    /// Puts a server's key on record in the place of those that are there, in one step. Errors as
    /// [`KnownHosts::append`].
    pub fn replace(&self, host: &str, port: u16, key: PublicKey) -> Result<()> {
        self.change(host, port, Some(key)).map(drop)
    }

    /// Removes every key of a server. Says whether there was one. Errors as [`KnownHosts::append`].
    pub fn forget(&self, host: &str, port: u16) -> Result<bool> {
        if private_file::read(&self.path)?.is_none() {
            return Ok(false);
        }
        self.change(host, port, None)
    }

    /// Removes every key of a server and adds one. Says whether there were some.
    fn change(&self, host: &str, port: u16, key: Option<PublicKey>) -> Result<bool> {
        let wanted = checked_entry(host, port)?;
        private_file::change(&self.path, |text, _| {
            let lines: Vec<_> = self.known(text, &wanted)?.iter().map(|known| known.line).collect();
            if lines.is_empty() && key.is_none() {
                return Ok((None, false));
            }
            let mut kept = private_file::without_lines(text, |number, _| lines.contains(&number));
            if let Some(key) = key {
                private_file::push_line(&mut kept, &format!("{wanted} {key}"));
            }
            Ok((Some(kept), !lines.is_empty()))
        })
    }

    /// Puts the next key on record that a server announces which has shown `key`, itself on record. Keys that `key`
    /// announced before are removed, and so is the key that announced it. Errors as [`KnownHosts::append`].
    pub fn learn(&self, host: &str, port: u16, key: PublicKey, next: Option<PublicKey>) -> Result<()> {
        let wanted = checked_entry(host, port)?;
        private_file::change(&self.path, |text, _| {
            let known = self.known(text, &wanted)?;
            let shown = known.iter().find(|entry| entry.key == key).copied();
            // The key was removed from the record meanwhile.
            let Some(shown) = shown else { return Ok((None, ())) };
            let goes = |entry: &KnownKey| {
                let is_over = entry.after == Some(key) && Some(entry.key) != next;
                is_over || Some(entry.key) == shown.after || (entry.key == key && entry.after.is_some())
            };
            let gone: Vec<_> = known.iter().filter(|entry| goes(entry)).map(|entry| entry.line).collect();
            let mut kept = private_file::without_lines(text, |number, _| gone.contains(&number));
            if shown.after.is_some() {
                private_file::push_line(&mut kept, &format!("{wanted} {key}"));
            }
            if let Some(next) = next.filter(|next| known.iter().all(|entry| entry.key != *next || goes(entry))) {
                private_file::push_line(&mut kept, &format!("{wanted} {next} after={key}"));
            }
            Ok(((kept != text).then_some(kept), ()))
        })
    }

    /// The keys of one server in the text of the file, all of which has to be well formed.
    fn known(&self, text: &str, wanted: &str) -> Result<Vec<KnownKey>> {
        let mut found = Vec::new();
        for entry in self.entries(text) {
            let (host, known) = entry?;
            if host == wanted {
                found.push(known);
            }
        }
        Ok(found)
    }

    /// Normalized host and key of each entry.
    fn entries<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Result<(String, KnownKey)>> + 'a {
        (1u64..).zip(text.lines()).filter_map(move |(line, content)| {
            let content = content.split('#').next().unwrap_or_default();
            let mut words = content.split_whitespace();
            let host = words.next()?;
            let parse = |key: &str| key.parse::<PublicKey>().map_err(|error| error.message().to_owned());
            let entry = match (words.next(), words.next().map(|word| word.strip_prefix("after=")), words.next()) {
                (Some(key), None, None) => parse(key).map(|key| (key, None)),
                (Some(key), Some(Some(after)), None) => parse(key).and_then(|key| Ok((key, Some(parse(after)?)))),
                _ => Err("expected: host:port ed25519:BASE64".to_owned()),
            };
            let entry = entry.and_then(|(key, after)| Ok((parse_host_entry(host)?, KnownKey { key, line, after })));
            Some(entry.map_err(|why| private_file::malformed(&self.path, line, &why)))
        })
    }
}

/// How a server stands in the file, if it can.
fn checked_entry(host: &str, port: u16) -> Result<String> {
    let entry = host_entry(host, port);
    if host.is_empty() || entry.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(Error::new(ErrorKind::Config, format!("\"{}\" is not a host", host.escape_debug())));
    }
    Ok(entry)
}

/// The form of a server in the file: names in lower case, IPv6 addresses compressed and in brackets.
fn host_entry(host: &str, port: u16) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        // The standard library does not parse an address with a zone, which must get brackets, too.
        Err(_) if bare.contains(':') => format!("[{}]:{port}", bare.to_ascii_lowercase()),
        Err(_) => format!("{}:{port}", bare.trim_end_matches('.').to_ascii_lowercase()),
    }
}

fn parse_host_entry(entry: &str) -> std::result::Result<String, String> {
    let refuse = || format!("\"{}\" is not host:port", entry.escape_debug());
    let (host, port) = entry.rsplit_once(':').ok_or_else(refuse)?;
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    if host.is_empty() || (!bracketed && host.contains([':', '[', ']'])) {
        return Err(refuse());
    }
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(refuse)?;
    Ok(host_entry(host, port))
}

/// The error for a server that shows another key than the ones on record. `file` is absent when they were given as
/// pins.
pub(crate) fn host_key_changed(
    host: &str,
    port: u16,
    shown: PublicKey,
    expected: &[KnownKey],
    file: Option<&Path>,
) -> Error {
    let list = expected.iter().map(|known| known.key.to_string()).collect::<Vec<_>>().join(", ");
    let whence = match (file, expected.first()) {
        (Some(_), Some(known)) => {
            format!("line {} of the file of known hosts says {list}", known.line)
        }
        _ => format!("the pin says {list}"),
    };
    let mut error = Error::new(
        ErrorKind::HostKeyChanged,
        format!(
            "the server {} shows the key {shown}, {whence}: it may not be the server that it claims to be",
            host_entry(host, port)
        ),
    )
    .with("host", host.to_owned())
    .with("port", u64::from(port))
    .with("key", shown.to_string())
    .with("expected", list);
    if let (Some(file), Some(known)) = (file, expected.first()) {
        error = error.at(file.as_os_str().as_bytes()).with("line", known.line);
    }
    error
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::sync::Barrier;

    use super::{KnownHosts, KnownKey};
    use crate::trust::PublicKey;
    use crate::{Detail, ErrorKind};

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    #[test]
    fn hosts_are_found_however_they_are_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let hosts = KnownHosts::new(directory.path().join("deep/er/known_hosts"));
        assert_eq!(hosts.lookup("example.org", 1).expect("no file"), []);
        hosts.append("Example.ORG", 28792, key(1)).expect("appended");
        hosts.append("2001:DB8:0::1", 28792, key(2)).expect("appended");
        hosts.append("[fe80::1%eth0]", 1, key(3)).expect("appended");
        hosts.append("192.0.2.1", 1, key(4)).expect("appended");
        assert_eq!(
            fs::read_to_string(hosts.path()).expect("read"),
            format!(
                "example.org:28792 {}\n[2001:db8::1]:28792 {}\n[fe80::1%eth0]:1 {}\n192.0.2.1:1 {}\n",
                key(1),
                key(2),
                key(3),
                key(4)
            )
        );
        for (host, port, expected) in [
            ("example.org", 28792, Some(1)),
            ("EXAMPLE.org.", 28792, Some(1)),
            ("example.org", 28793, None),
            ("ample.org", 28792, None),
            ("[2001:db8::1]", 28792, Some(2)),
            ("2001:db8:0:0::1", 28792, Some(2)),
            ("fe80::1%eth0", 1, Some(3)),
            ("192.0.2.1", 1, Some(4)),
        ] {
            let found = hosts.lookup(host, port).expect("looked up");
            let expected: Vec<_> = expected
                .map(|byte| KnownKey { key: key(byte), line: u64::from(byte), after: None })
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{host}:{port}");
        }
        assert_eq!(fs::metadata(hosts.path()).expect("metadata").mode() & 0o777, 0o600);
    }

    #[test]
    fn changes_keep_comments_order_and_mode() {
        let directory = tempfile::tempdir().expect("a directory");
        let hosts = KnownHosts::new(directory.path().join("known_hosts"));
        let text =
            format!("# ours\n\na:1 {}   # the old one\r\n  b:1\t{}\na:1 {}\n# end, no newline", key(1), key(2), key(3));
        fs::write(hosts.path(), &text).expect("written");
        fs::set_permissions(hosts.path(), fs::Permissions::from_mode(0o644)).expect("chmod");
        assert_eq!(
            hosts.lookup("a", 1).expect("found"),
            [KnownKey { key: key(1), line: 3, after: None }, KnownKey { key: key(3), line: 5, after: None }]
        );
        hosts.append("a", 1, key(3)).expect("there already");
        assert_eq!(fs::read_to_string(hosts.path()).expect("read"), text);
        hosts.append("c", 1, key(4)).expect("appended");
        hosts.replace("b", 1, key(5)).expect("replaced");
        hosts.replace("b", 1, key(2)).expect("replaced back");
        assert_eq!(hosts.lookup("b", 1).expect("found").len(), 1);
        assert!(hosts.forget("a", 1).expect("forgotten"));
        assert!(!hosts.forget("a", 1).expect("nothing left"));
        assert_eq!(
            fs::read_to_string(hosts.path()).expect("read"),
            format!("# ours\n\n# end, no newline\nc:1 {}\nb:1 {}\n", key(4), key(2))
        );
        assert_eq!(fs::metadata(hosts.path()).expect("metadata").mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(directory.path()).expect("list").count(), 1);
        assert!(!KnownHosts::new(directory.path().join("none/none")).forget("a", 1).expect("no file"));
        assert!(!directory.path().join("none").exists());
    }

    #[test]
    fn what_is_to_follow_is_learned_and_takes_the_place_of_what_announced_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let hosts = KnownHosts::new(directory.path().join("known_hosts"));
        let others = format!("# ours\nb:1 {}\n", key(1));
        let text = |lines: &str| format!("{others}{lines}");
        let now = || fs::read_to_string(hosts.path()).expect("read");
        fs::write(hosts.path(), text(&format!("a:1 {}\n", key(1)))).expect("written");
        hosts.learn("a", 1, key(9), Some(key(2))).expect("not on record");
        assert_eq!(now(), text(&format!("a:1 {}\n", key(1))));
        hosts.learn("A", 1, key(1), Some(key(2))).expect("learned");
        let both = text(&format!("a:1 {}\na:1 {} after={}\n", key(1), key(2), key(1)));
        assert_eq!(now(), both);
        hosts.learn("a", 1, key(1), Some(key(2))).expect("known already");
        assert_eq!(now(), both);
        assert_eq!(hosts.lookup("a", 1).expect("found").len(), 2);
        // The server has thought better of it, twice.
        hosts.learn("a", 1, key(1), Some(key(3))).expect("another one");
        assert_eq!(now(), text(&format!("a:1 {}\na:1 {} after={}\n", key(1), key(3), key(1))));
        hosts.learn("a", 1, key(1), None).expect("none");
        assert_eq!(now(), text(&format!("a:1 {}\n", key(1))));
        // The time has come, and the next change is under way already.
        hosts.learn("a", 1, key(1), Some(key(2))).expect("learned");
        hosts.learn("a", 1, key(2), Some(key(4))).expect("shown");
        assert_eq!(now(), text(&format!("a:1 {}\na:1 {} after={}\n", key(2), key(4), key(2))));
        // Lines that the user has written stay.
        fs::write(hosts.path(), text(&format!("a:1 {}\na:1 {}\n", key(1), key(2)))).expect("written");
        hosts.learn("a", 1, key(2), Some(key(1))).expect("known already");
        assert_eq!(now(), text(&format!("a:1 {}\na:1 {}\n", key(1), key(2))));
    }

    #[test]
    fn a_malformed_line_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let hosts = KnownHosts::new(directory.path().join("known_hosts"));
        for bad in [
            "a:1".to_owned(),
            "a:1 ed25519:AAAA".to_owned(),
            format!("a {}", key(1)),
            format!("a:0 {}", key(1)),
            format!("a:65536 {}", key(1)),
            format!(":1 {}", key(1)),
            format!("::1:1 {}", key(1)),
            format!("[]:1 {}", key(1)),
            format!("a:1 {} more", key(1)),
            format!("a:1 {} {}", key(1), key(2)),
            format!("a:1 {} after=", key(1)),
            format!("a:1 {} after={} more", key(1), key(2)),
        ] {
            fs::write(hosts.path(), format!("# first\nok:1 {}\n{bad}\n", key(9))).expect("written");
            for error in [
                hosts.lookup("ok", 1).expect_err(&bad),
                hosts.append("new", 1, key(2)).expect_err(&bad),
                hosts.forget("ok", 1).expect_err(&bad),
            ] {
                assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
                assert!(error.message().starts_with("line 3: "), "{error}");
                assert_eq!(error.details(), [("line".to_owned(), Detail::Number(3))]);
                assert_eq!(error.path(), Some(hosts.path().as_os_str().as_encoded_bytes()));
            }
        }
    }

    #[test]
    fn a_host_that_would_forge_a_line_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let hosts = KnownHosts::new(directory.path().join("known_hosts"));
        for bad in ["", "a b", "a\nb:1", "a#b"] {
            assert_eq!(hosts.append(bad, 1, key(1)).expect_err(bad).kind(), ErrorKind::Config);
        }
        assert!(!hosts.path().exists());
    }

    #[test]
    fn another_key_for_a_known_host_is_never_appended() {
        let directory = tempfile::tempdir().expect("a directory");
        let hosts = KnownHosts::new(directory.path().join("known_hosts"));
        hosts.append("a", 1, key(1)).expect("first");
        let error = hosts.append("a", 1, key(2)).expect_err("second");
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        assert!(error.details().contains(&("line".to_owned(), Detail::Number(1))));
        assert_eq!(hosts.lookup("a", 1).expect("found"), [KnownKey { key: key(1), line: 1, after: None }]);
    }

    #[test]
    fn appends_at_the_same_time_are_all_kept() {
        const AT_ONCE: u16 = 8;
        let directory = tempfile::tempdir().expect("a directory");
        let hosts = KnownHosts::new(directory.path().join("known_hosts"));
        let barrier = Barrier::new(usize::from(AT_ONCE));
        std::thread::scope(|scope| {
            for port in 1..=AT_ONCE {
                let (hosts, barrier) = (&hosts, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    hosts.append("a", port, key(1)).expect("appended");
                });
            }
        });
        for port in 1..=AT_ONCE {
            assert_eq!(hosts.lookup("a", port).expect("found").len(), 1, "port {port}");
        }
    }

    #[test]
    fn a_symlinked_file_stays_a_symlink() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().join("real");
        fs::write(&real, "").expect("written");
        let hosts = KnownHosts::new(directory.path().join("known_hosts"));
        std::os::unix::fs::symlink(&real, hosts.path()).expect("link");
        hosts.append("a", 1, key(1)).expect("appended");
        assert!(fs::symlink_metadata(hosts.path()).expect("metadata").is_symlink());
        assert!(fs::read_to_string(&real).expect("read").starts_with("a:1 "));
    }
}
