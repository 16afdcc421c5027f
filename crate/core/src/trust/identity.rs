//! This machine's own key and the certificate that carries it.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::announcement;
use super::{NextKey, PublicKey, certificate_key, certificates_from_pem, private_file};
use crate::{Error, ErrorKind, Result};

/// A private Ed25519 key with the certificate chain that TLS shows for it. Clones share one key.
///
/// Without [`Identity::with_certificates`] the chain is one self-signed certificate, which means nothing but its key.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    key: PrivatePkcs8KeyDer<'static>,
    public_key: PublicKey,
    chain: Vec<CertificateDer<'static>>,
}

impl Identity {
    /// Reads the key at `path`, or makes one there: PKCS#8 PEM, mode 0600 from its creation, missing parent
    /// directories 0700. The flag is true when it was made by this call; of several processes at once one makes it
    /// and all get the same key.
    ///
    /// Fails with [`ErrorKind::Config`] when group or others may read the file or it holds no Ed25519 key, and with
    /// [`ErrorKind::Io`] when it can be neither read nor made; that error says what names another place.
    pub fn load_or_create(path: &Path) -> Result<(Self, bool)> {
        let elsewhere = |error: Error| match error.kind() {
            ErrorKind::Io => {
                error.during("SPARSYNC_CONFIG_DIR sets the folder of the key, --identity or identity.keyPath its file")
            }
            _ => error,
        };
        if let Some(identity) = Self::load(path).map_err(elsewhere)? {
            return Ok((identity, false));
        }
        let pem = generate_pem()?;
        if private_file::create(path, pem.as_bytes()).map_err(elsewhere)? {
            return Ok((Self::from_pem(&pem)?, true));
        }
        // Another process was first: its key is the machine's.
        let identity = Self::load(path)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Config,
                "the key file cannot be opened although its name is taken: is it a dangling symlink?",
            )
            .at(path.as_os_str().as_bytes())
        })?;
        Ok((identity, false))
    }

    /// Reads the key at `path`; `None` when there is no such file. Errors as [`Identity::load_or_create`].
    pub fn load(path: &Path) -> Result<Option<Self>> {
        Ok(Self::load_text(path)?.map(|(identity, _)| identity))
    }

    /// The same, with the text of the file.
    pub(super) fn load_text(path: &Path) -> Result<Option<(Self, String)>> {
        let Some((pem, metadata)) = private_file::read(path)? else {
            return Ok(None);
        };
        let refuse = |message: String| Error::new(ErrorKind::Config, message).at(path.as_os_str().as_bytes());
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(refuse(format!(
                "the private key file is open to others (mode {mode:04o}); run: chmod 600 {}",
                shell_quoted(&path.to_string_lossy())
            )));
        }
        let identity = Self::from_pem(&pem).map_err(|error| refuse(error.message().to_owned()))?;
        Ok(Some((identity, pem)))
    }

    /// A key from PKCS#8 PEM text.
    ///
    /// Fails with [`ErrorKind::Config`] when that is not one Ed25519 private key; the text is never part of the error.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let refuse = |why: &str| Error::new(ErrorKind::Config, format!("the private key cannot be used: {why}"));
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| refuse("expected PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)"))?;
        // PKCS#8 version 1, as other tools write it, has no public half to compare with.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
            .map_err(|_| refuse("it is not an Ed25519 key"))?;
        let public_key = pair
            .public_key()
            .as_ref()
            .try_into()
            .map(PublicKey::from_bytes)
            .map_err(|_| Error::internal("an Ed25519 public key that is not 32 bytes"))?;
        let chain = vec![self_signed(&key, None)?];
        Ok(Self(Arc::new(Inner { key, public_key, chain })))
    }

    /// A new key that is nowhere but in memory.
    pub fn generate() -> Result<Self> {
        Self::from_pem(&generate_pem()?)
    }

    /// The same key under a certificate chain in PEM, this key's certificate first, for peers that trust a private CA.
    ///
    /// Fails with [`ErrorKind::Config`] when the text is not such a chain or its first certificate is of another key.
    pub fn with_certificates(&self, pem: &str) -> Result<Self> {
        let chain = certificates_from_pem("the certificate chain", pem)?;
        let certified = chain.first().and_then(certificate_key);
        if certified != Some(self.0.public_key) {
            let found = certified.map_or_else(|| "a key that is not Ed25519".to_owned(), |key| key.to_string());
            return Err(Error::new(
                ErrorKind::Config,
                format!("the first certificate of the chain is for {found}, the private key is {}", self.0.public_key),
            ));
        }
        Ok(Self(Arc::new(Inner { key: self.0.key.clone_key(), public_key: self.0.public_key, chain })))
    }

    /// The same key under a certificate that announces the next one.
    pub(super) fn announcing(&self, next: NextKey) -> Result<Self> {
        let (key, public_key) = (self.0.key.clone_key(), self.0.public_key);
        let chain = vec![self_signed(&key, Some(next))?];
        Ok(Self(Arc::new(Inner { key, public_key, chain })))
    }

    /// The key by which peers know this machine.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.public_key
    }

    /// The chain to show in a handshake.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.chain.clone()
    }

    /// A secret for one purpose. It is the same each time, and cannot be computed without the key.
    pub(crate) fn derived(&self, purpose: &str, number: u16) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(purpose);
        hasher.update(self.0.key.secret_pkcs8_der());
        hasher.update(&number.to_be_bytes());
        hasher.finalize().into()
    }

    /// The key to sign a handshake with.
    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.0.key.clone_key())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.0.public_key).finish()
    }
}

pub(super) fn generate_pem() -> Result<String> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| Error::internal("the system gave no random bytes for a key"))?;
    Ok(rcgen_pair(&PrivatePkcs8KeyDer::from(document.as_ref()))?.serialize_pem())
}

fn rcgen_pair(key: &PrivatePkcs8KeyDer<'_>) -> Result<rcgen::KeyPair> {
    rcgen::KeyPair::from_pkcs8_der_and_sign_algo(key, &rcgen::PKCS_ED25519)
        .map_err(|error| Error::internal(format!("a key made by ring is refused: {error}")))
}

/// A self-signed certificate. Peers compare only the key in it, and the one that it announces, never name or dates.
fn self_signed(key: &PrivatePkcs8KeyDer<'_>, next: Option<NextKey>) -> Result<CertificateDer<'static>> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "sparsync");
    params.custom_extensions.extend(next.map(announcement));
    params
        .self_signed(&rcgen_pair(key)?)
        .map(|certificate| certificate.der().clone())
        .map_err(|error| Error::internal(format!("cannot make the certificate: {error}")))
}

/// For a command that a person copies from a message.
fn shell_quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Barrier;

    use super::{Identity, shell_quoted};
    use crate::ErrorKind;
    use crate::trust::certificate_key;

    fn mode(path: &std::path::Path) -> u32 {
        fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_key_is_private_and_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config/sparsync/key.pem");
        let (made, created) = Identity::load_or_create(&path).expect("made");
        assert!(created);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("parent")), 0o700);
        assert_eq!(mode(&directory.path().join("config")), 0o700);
        let (found, created) = Identity::load_or_create(&path).expect("found");
        assert!(!created);
        assert_eq!(found.public_key(), made.public_key());
        assert_eq!(fs::read_dir(path.parent().expect("parent")).expect("list").count(), 1);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("my key.pem");
        Identity::load_or_create(&path).expect("made");
        for open in [0o640, 0o604, 0o620, 0o601, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("chmod");
            let error = Identity::load_or_create(&path).expect_err("open to others");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("chmod 600 '"), "{error}");
            assert!(error.message().contains(&format!("{open:04o}")), "{error}");
            assert_eq!(error.path(), Some(path.as_os_str().as_encoded_bytes()));
        }
        for private in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(private)).expect("chmod");
            Identity::load_or_create(&path).expect("private enough");
        }
    }

    #[test]
    fn many_at_once_get_one_key() {
        const AT_ONCE: usize = 8;
        let directory = tempfile::tempdir().expect("a directory");
        for round in 0..20 {
            let path = directory.path().join(format!("{round}/key.pem"));
            let barrier = Barrier::new(AT_ONCE);
            let results: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..AT_ONCE)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            Identity::load_or_create(&path).expect("a key")
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
            });
            assert_eq!(results.iter().filter(|(_, created)| *created).count(), 1);
            assert!(results.iter().all(|(identity, _)| identity.public_key() == results[0].0.public_key()));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key.pem");
        for content in ["", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            fs::write(&path, content).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
            let error = Identity::load_or_create(&path).expect_err("no key");
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert_eq!(fs::read_to_string(&path).expect("read"), content);
        }
        let dangling = directory.path().join("link.pem");
        std::os::unix::fs::symlink("nowhere", &dangling).expect("link");
        assert_eq!(Identity::load_or_create(&dangling).expect_err("dangling").kind(), ErrorKind::Config);
        let error = Identity::load_or_create(directory.path()).expect_err("a directory");
        assert_eq!(error.kind(), ErrorKind::Io);
    }

    #[test]
    fn a_key_written_by_another_tool_is_read() {
        // RFC 8410, section 10.3: PKCS#8 version 1, private half only; its public half is in section 10.1.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let identity = Identity::from_pem(pem).expect("read");
        assert_eq!(identity.public_key().to_string(), "ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
    }

    #[test]
    fn the_secret_is_in_no_message() {
        let identity = Identity::generate().expect("made");
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.public_key()));
        let error = Identity::from_pem("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
            .expect_err("not a key");
        assert!(!format!("{error} {error:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn a_chain_has_to_begin_with_this_key() {
        let mine = Identity::generate().expect("made");
        let other = Identity::generate().expect("made");
        let pem = |identity: &Identity| {
            let chain = identity.chain();
            assert_eq!(chain.first().and_then(certificate_key), Some(identity.public_key()));
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &chain[0])
            )
        };
        assert_eq!(mine.with_certificates(&pem(&mine)).expect("own").public_key(), mine.public_key());
        let error = mine.with_certificates(&pem(&other)).expect_err("another's");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(&other.public_key().to_string()), "{error}");
    }

    #[test]
    fn remedies_can_be_pasted() {
        assert_eq!(shell_quoted("/etc/key.pem"), "/etc/key.pem");
        assert_eq!(shell_quoted("it's; rm"), r"'it'\''s; rm'");
    }
}
