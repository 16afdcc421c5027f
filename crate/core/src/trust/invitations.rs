//! Invitations: each lets one stranger become a client of a server, once and until it ends.
//!
//! They stand in a file beside that of the authorized keys, in the same form, with the digest of a secret in the place
//! of the key:
//!
//! ```text
//! NAME invitation:BASE64 until=MOMENT [root=…] [allow=…] [quota=…] [entries=…] [expires=…]
//! ```
//!
//! Who has the secret gets the line with its own key. The secret itself is nowhere but in the invitation that its guest
//! was given, behind the server's key: it is told to nobody else.

use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::key_line::{checked_name, parse_scope, parse_time, words};
use super::{KeyFile, PublicKey, Scope, private_file};
use crate::{Error, ErrorKind, Result};

/// The prefix of a secret's digest.
const MARK: &str = "invitation:";

/// The beginning of an invitation's text.
const PREFIX: &str = "sparsync-invite-1.";

/// Bytes of a secret: 2^128 of them are too many to guess.
const SECRET_BYTES: usize = 16;

/// The digest of secrets has a context of its own.
const CONTEXT: &str = "sparsync 2026-11-28 secret of an invitation";

/// What a guest is given. Its text is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The key of the inviting server. The secret must be told only to a server that proves to hold it.
    pub server_key: PublicKey,
    /// The secret.
    pub secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("server_key", &self.server_key).finish_non_exhaustive()
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.server_key.as_bytes().as_slice(), &self.secret].concat();
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Invitation {
    type Err = Error;

    /// Reads the text of an invitation; no error repeats any of it.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let message = format!("that is not an invitation: an invitation is one word that begins with {PREFIX}");
            Error::new(ErrorKind::Config, message)
        };
        let encoded = text.trim().strip_prefix(PREFIX).ok_or_else(refuse)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| refuse())?;
        let (key, secret) = bytes.split_first_chunk::<32>().ok_or_else(refuse)?;
        let secret = secret.try_into().map_err(|_| refuse())?;
        Ok(Self { server_key: PublicKey::from_bytes(*key), secret })
    }
}

/// The invitations of a server. The value only holds paths; each call reads the files anew.
#[derive(Clone, Debug)]
pub struct Invitations {
    path: PathBuf,
    keys: KeyFile,
}

/// A line of the file.
struct Open<'a> {
    digest: &'a str,
    until: SystemTime,
    name: &'a str,
    scope: Vec<&'a str>,
}

impl Invitations {
    /// The invitations in the file beside that of the authorized keys at `keys`.
    #[must_use]
    pub fn beside(keys: &Path) -> Self {
        let mut path = keys.as_os_str().as_bytes().to_vec();
        path.extend_from_slice(b".invitations");
        Self { path: std::ffi::OsString::from_vec(path).into(), keys: KeyFile::new(keys) }
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an invitation to the server with `server_key`. The guest gets this name and this scope, written as on a
    /// line of authorized keys, as is `until`, when the invitation ends.
    pub fn add(&self, name: &str, scope: &str, until: &str, server_key: PublicKey) -> Result<Invitation> {
        let refuse = |why: String| Error::new(ErrorKind::Config, why);
        let mut secret = [0; SECRET_BYTES];
        SystemRandom::new().fill(&mut secret).map_err(|_| Error::internal("the system gives no random bytes"))?;
        let line = format!("{name} {MARK}{} until={until} {scope}", digest(&secret));
        if parse(line.trim_end()).map_err(refuse)?.is_none() {
            return Err(refuse("an invitation needs a name".to_owned()));
        }
        // An error in the file of keys is told to the host now, and not to the guest.
        self.keys.keys()?;
        self.change(|text| {
            let mut text = without_ended(text);
            private_file::push_line(&mut text, line.trim_end());
            Ok((Some(text), ()))
        })?;
        Ok(Invitation { server_key, secret })
    }

    /// Lets the holder of `key` in by a secret, if there is an invitation with it that has not ended, and gives the
    /// line of the file of keys. From then on the invitation is gone. Before anything is changed, `check` looks at the
    /// line, and the file of keys is read.
    pub fn redeem(
        &self,
        secret: &[u8],
        key: PublicKey,
        check: impl FnOnce(&str) -> Result<()>,
    ) -> Result<Option<String>> {
        let wanted = digest(secret);
        let line = self.change(|text| {
            let mut found = None;
            for (number, content) in (1u64..).zip(text.lines()) {
                let malformed = |why: String| private_file::malformed(&self.path, number, &why);
                let Some(open) = parse(content).map_err(malformed)? else { continue };
                if open.digest == wanted && open.until > SystemTime::now() {
                    found = Some((number, [&[open.name, &key.to_string()], open.scope.as_slice()].concat().join(" ")));
                }
            }
            let Some((number, line)) = found else { return Ok((None, None)) };
            check(&line)?;
            self.keys.keys()?;
            let kept = private_file::without_lines(text, |other, _| other == number);
            Ok((Some(without_ended(&kept)), Some(line)))
        })?;
        // The invitation must be redeemed once at most, even if the machine stops between the two files.
        if let Some(line) = &line {
            self.keys.add(line)?;
        }
        Ok(line)
    }

    /// Gives `edit` the text of the file, and replaces the text with its result. Fails if another user may have written
    /// the file.
    fn change<T>(&self, edit: impl FnOnce(&str) -> Result<(Option<String>, T)>) -> Result<T> {
        private_file::change(&self.path, |text, metadata| {
            match metadata.and_then(|metadata| private_file::untrusted(&self.path, metadata)) {
                Some(why) => Err(Error::new(ErrorKind::Config, why).at(self.path.as_os_str().as_bytes())),
                None => edit(text),
            }
        })
    }
}

fn digest(secret: &[u8]) -> String {
    STANDARD.encode(blake3::derive_key(CONTEXT, secret))
}

/// The lines of invitations that have not ended, and lines that are no invitations.
fn without_ended(text: &str) -> String {
    let has_ended = |line: &str| matches!(parse(line), Ok(Some(open)) if open.until <= SystemTime::now());
    let mut kept = private_file::without_lines(text, |_, line| has_ended(line));
    private_file::end_last_line(&mut kept);
    kept
}

fn parse(line: &str) -> std::result::Result<Option<Open<'_>>, String> {
    let mut words = words(line);
    let Some(name) = words.next() else { return Ok(None) };
    let name = checked_name(name)?;
    let digest = words.next().and_then(|word| word.strip_prefix(MARK));
    let digest = digest.ok_or_else(|| format!("no {MARK} follows the name \"{name}\""))?;
    let (untils, scope): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with("until="));
    let [until] = untils.as_slice() else { return Err("expected one until=".to_owned()) };
    let until = parse_time("until", &until["until=".len()..])?;
    parse_scope(&mut Scope::unrestricted(name), scope.iter().copied())?;
    Ok(Some(Open { digest, until, name, scope }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

    use super::{Invitation, Invitations};
    use crate::trust::skipped::skipped;
    use crate::trust::{KeyFile, PublicKey};
    use crate::{Error, ErrorKind};

    const LATER: &str = "9999-12-31";

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    #[test]
    fn an_invitation_works_once_and_gives_its_scope_to_the_key_of_the_guest() {
        let directory = tempfile::tempdir().expect("a directory");
        let keys = KeyFile::new(directory.path().join("authorized_keys"));
        let invitations = Invitations::beside(keys.path());
        let alice = invitations.add("alice", "root=x/alice allow=read,write", LATER, key(9)).expect("invited");
        let bob = invitations.add("bob", "", LATER, key(9)).expect("invited");
        assert_eq!(alice.to_string().parse::<Invitation>().expect("own text"), alice);
        let text = fs::read_to_string(invitations.path()).expect("read");
        assert!(!text.contains(&alice.to_string()) && text.lines().count() == 2, "{text}");
        assert_eq!(fs::metadata(invitations.path()).expect("metadata").mode() & 0o777, 0o600);

        assert_eq!(invitations.redeem(&[0; 16], key(1), |_| Ok(())).expect("no error"), None);
        let refused = invitations.redeem(&alice.secret, key(1), |_| Err(Error::new(ErrorKind::Config, "no")));
        assert_eq!(refused.expect_err("checked").message(), "no");
        let line = invitations.redeem(&alice.secret, key(1), |_| Ok(())).expect("no error").expect("let in");
        assert_eq!(line, format!("alice {} root=x/alice allow=read,write", key(1)));
        assert_eq!(fs::read_to_string(keys.path()).expect("read"), format!("{line}\n"));
        assert_eq!(invitations.redeem(&alice.secret, key(2), |_| Ok(())).expect("no error"), None, "used");
        assert!(invitations.redeem(&bob.secret, key(2), |_| Ok(())).expect("no error").is_some());
        assert_eq!(fs::read_to_string(invitations.path()).expect("read"), "");
        assert_eq!(keys.keys().expect("read").len(), 2);
    }

    #[test]
    fn nothing_is_struck_off_while_the_keys_cannot_be_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let keys = directory.path().join("authorized_keys");
        let invitations = Invitations::beside(&keys);
        let alice = invitations.add("alice", "", LATER, key(9)).expect("invited");
        fs::write(&keys, "broken\n").expect("written");
        let error = invitations.redeem(&alice.secret, key(1), |_| Ok(())).expect_err("line 1");
        assert_eq!(error.path(), Some(keys.as_os_str().as_encoded_bytes()));
        fs::remove_file(&keys).expect("removed");
        assert!(invitations.redeem(&alice.secret, key(1), |_| Ok(())).expect("no error").is_some());
    }

    #[test]
    fn a_file_that_somebody_else_may_have_written_invites_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let invitations = Invitations::beside(&directory.path().join("authorized_keys"));
        let alice = invitations.add("alice", "", LATER, key(9)).expect("invited");
        let redeem = || invitations.redeem(&alice.secret, key(1), |_| Ok(()));
        for mode in [0o620, 0o602] {
            fs::set_permissions(invitations.path(), fs::Permissions::from_mode(mode)).expect("chmod");
            assert_eq!(redeem().expect_err("others may write it").kind(), ErrorKind::Config);
            invitations.add("bob", "", LATER, key(9)).expect_err("others may write it");
        }
        fs::set_permissions(invitations.path(), fs::Permissions::from_mode(0o600)).expect("chmod");
        if rustix::process::geteuid().is_root() {
            chown(invitations.path(), Some(12_345), None).expect("chown");
            let error = redeem().expect_err("it is of somebody else");
            assert!(error.message().contains("user 12345"), "{error}");
            chown(invitations.path(), Some(0), None).expect("chown");
        }
        assert!(redeem().expect("no error").is_some());
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_directory() {
        if !rustix::process::geteuid().is_root() {
            return skipped("it takes root");
        }
        let directory = tempfile::tempdir().expect("a directory");
        chown(directory.path(), Some(12_345), Some(54_321)).expect("chown");
        let keys = directory.path().join("authorized_keys");
        let invitations = Invitations::beside(&keys);
        let alice = invitations.add("alice", "", LATER, key(9)).expect("invited");
        assert!(invitations.redeem(&alice.secret, key(1), |_| Ok(())).expect("no error").is_some());
        crate::trust::Identity::load_or_create(&directory.path().join("key.pem")).expect("made");
        for entry in fs::read_dir(directory.path()).expect("read") {
            let metadata = entry.expect("an entry").metadata().expect("metadata");
            assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (12_345, 54_321, 0o600));
        }
    }

    #[test]
    fn an_invitation_that_has_ended_is_as_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let invitations = Invitations::beside(&directory.path().join("authorized_keys"));
        let late = invitations.add("late", "", "2026-01-01", key(9)).expect("invited");
        assert_eq!(invitations.redeem(&late.secret, key(1), |_| Ok(())).expect("no error"), None);
        invitations.add("next", "", LATER, key(9)).expect("invited");
        let text = fs::read_to_string(invitations.path()).expect("read");
        assert!(text.starts_with("next ") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn what_is_no_scope_or_no_invitation_is_refused_without_a_word_of_a_secret() {
        let directory = tempfile::tempdir().expect("a directory");
        let invitations = Invitations::beside(&directory.path().join("authorized_keys"));
        for (name, scope, until) in [
            ("", "", LATER),
            ("#", "", LATER),
            ("a=b", "", LATER),
            ("a", "allow=everything", LATER),
            ("a", "root=x/../y", LATER),
            ("a", "until=2030-01-01", LATER),
            ("a", "", "soon"),
        ] {
            let error = invitations.add(name, scope, until, key(9)).expect_err(scope);
            assert_eq!(error.kind(), ErrorKind::Config, "{name} {scope} {until}");
        }
        assert!(!invitations.path().exists());
        let good = invitations.add("a", "", LATER, key(9)).expect("invited").to_string();
        for bad in ["", "sparsync-invite-1.", &good[..good.len() - 2], &format!("{good}AAAA"), &good.replace('-', "_")]
        {
            let error = bad.parse::<Invitation>().map(|_| ()).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(bad.len() < 20 || !error.to_string().contains(&bad[18..]), "{error}");
        }
        assert!(!format!("{:?}", good.parse::<Invitation>().expect("good")).contains("secret"));
    }
}
