//! TLS 1.3 with keys for identities: both sides prove that they hold the key which they show.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quinn::Connection;
use quinn::crypto::rustls::HandshakeData;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sparsync_proto::subflow::ALPN_SUBFLOW;

use crate::trust::{
    Identity, KnownKey, NextKey, PublicKey, announced_key, certificate_key, certificate_name, certificates_from_pem,
    host_key_changed,
};
use crate::{Error, ErrorKind, Result};

/// The one application protocol: a peer that speaks another major version is told so in the handshake.
pub const ALPN: &[u8] = b"sparsync/1";

/// The protocol of connections on which a stranger with an invitation becomes a client, and does nothing else (ADR
/// 0028).
pub(super) const ALPN_JOIN: &[u8] = b"sparsync-join/1";

/// ring is named here, because a default that is installed elsewhere in the process must not change what a connection
/// uses. AES-128-GCM costs 60 % of `ChaCha20` on processors with AES instructions, and less than AES-256.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..default_provider()
    })
}

fn unusable(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Config, format!("{what}: {error}")).because(error)
}

fn root_store(what: &str, pem: &str) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_from_pem(what, pem)? {
        roots.add(certificate).map_err(|error| unusable(&format!("{what} cannot be used"), error))?;
    }
    Ok(Arc::new(roots))
}

/// What a client demands of a server's certificate.
#[derive(Debug)]
pub(super) struct ServerDemand {
    /// For messages and details.
    pub(super) host: String,
    pub(super) port: u16,
    /// The keys that are accepted. In key mode an empty list means that the host is unknown.
    pub(super) expected: Vec<KnownKey>,
    /// The file that `expected` comes from; absent when those are pins.
    pub(super) file: Option<PathBuf>,
    /// Accept any key of an unknown host. The caller records it after the handshake has proved possession.
    pub(super) accept_new: bool,
    /// Key mode without, CA mode with: a PEM bundle.
    pub(super) ca_pem: Option<String>,
    /// What the connection is for.
    pub(super) purpose: Purpose,
}

/// What a connection is for, which its protocol says in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Sessions.
    Sessions,
    /// Joining by an invitation.
    Joining,
    /// Packs of a session that another connection carries; over TCP alone.
    Subflow,
}

impl Purpose {
    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Sessions => ALPN,
            Self::Joining => ALPN_JOIN,
            Self::Subflow => ALPN_SUBFLOW,
        }
    }

    /// The purpose that a protocol stands for.
    pub(super) fn of(alpn: &[u8]) -> Self {
        let other = [Self::Joining, Self::Subflow].into_iter().find(|purpose| purpose.alpn() == alpn);
        other.unwrap_or(Self::Sessions)
    }
}

/// A client's TLS settings, and the place of the reason if the server's certificate was refused.
pub(super) fn client_config(identity: &Identity, demand: ServerDemand) -> Result<(Arc<rustls::ClientConfig>, Refusal)> {
    let provider = provider();
    let authority: Option<Arc<dyn ServerCertVerifier>> = match &demand.ca_pem {
        None => None,
        Some(pem) => {
            let roots = root_store("the CA bundle", pem)?;
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| unusable("the CA bundle cannot be used", error))?;
            Some(verifier)
        }
    };
    let refusal = Refusal::default();
    let with_authority = authority.is_some();
    let alpn = demand.purpose.alpn();
    let check = ServerCheck { provider: Arc::clone(&provider), demand, authority, refusal: refusal.clone() };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::internal(format!("TLS 1.3: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(check))
        .with_client_auth_cert(identity.chain(), identity.private_key())
        .map_err(|error| unusable("this client's certificate cannot be used", error))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    // Each connection proves both keys anew; a ticket would stand for a key that was revoked meanwhile.
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    // Where keys decide, the name does not matter, and nobody on the way needs to read it.
    config.enable_sni = with_authority;
    Ok((Arc::new(config), refusal))
}

/// Why the server's certificate was refused. TLS itself only carries an alert.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<Error>>>);

impl Refusal {
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

struct ServerCheck {
    provider: Arc<CryptoProvider>,
    demand: ServerDemand,
    authority: Option<Arc<dyn ServerCertVerifier>>,
    refusal: Refusal,
}

impl fmt::Debug for ServerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCheck").field("demand", &self.demand).finish_non_exhaustive()
    }
}

impl ServerCheck {
    fn key_is_accepted(&self, key: Option<PublicKey>) -> std::result::Result<(), Error> {
        let ServerDemand { host, port, expected, file, .. } = &self.demand;
        let unknown = |message: String| {
            let error =
                Error::new(ErrorKind::UnknownHost, message).with("host", host.clone()).with("port", u64::from(*port));
            match key {
                Some(key) => error.with("key", key.to_string()),
                None => error,
            }
        };
        match key {
            _ if expected.is_empty() && (self.authority.is_some() || (self.demand.accept_new && key.is_some())) => {
                Ok(())
            }
            None => Err(unknown(format!("the server {} shows no Ed25519 key", super::address::shown(host, *port)))),
            Some(key) if expected.is_empty() => Err(unknown(format!(
                "the server {} is not known; its key is {key}",
                super::address::shown(host, *port)
            ))),
            Some(key) if expected.iter().any(|known| known.key == key) => Ok(()),
            Some(key) => Err(host_key_changed(host, *port, key, expected, file.as_deref())),
        }
    }
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let key = certificate_key(end_entity);
        if let Some(authority) = &self.authority {
            authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).inspect_err(
                |why| {
                    let mut error = Error::new(
                        ErrorKind::UnknownHost,
                        format!(
                            "the certificate of the server {} is not valid: {why}",
                            super::address::shown(&self.demand.host, self.demand.port)
                        ),
                    )
                    .with("host", self.demand.host.clone())
                    .with("port", u64::from(self.demand.port));
                    if let Some(key) = key {
                        error = error.with("key", key.to_string());
                    }
                    self.refusal.set(error.because(why.clone()));
                },
            )?;
        }
        match self.key_is_accepted(key) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                self.refusal.set(error);
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.provider, self.authority.is_some())
    }
}

fn only_tls13() -> rustls::Error {
    rustls::PeerIncompatible::Tls13RequiredForQuic.into()
}

fn schemes(provider: &CryptoProvider, with_authority: bool) -> Vec<SignatureScheme> {
    if with_authority {
        provider.signature_verification_algorithms.supported_schemes()
    } else {
        vec![SignatureScheme::ED25519]
    }
}

/// The key that a server shows. It may be replaced while the server runs.
#[derive(Debug)]
pub(super) struct ShownKey(RwLock<(PublicKey, Arc<CertifiedKey>)>);

impl ShownKey {
    fn new(identity: &Identity) -> Result<Self> {
        Ok(Self(RwLock::new(certified(identity)?)))
    }

    /// Shows another key to clients that connect from now on.
    pub(super) fn change(&self, identity: &Identity) -> Result<()> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified(identity)?;
        Ok(())
    }

    pub(super) fn public_key(&self) -> PublicKey {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl ResolvesServerCert for ShownKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).1))
    }
}

fn certified(identity: &Identity) -> Result<(PublicKey, Arc<CertifiedKey>)> {
    let certified = CertifiedKey::from_der(identity.chain(), identity.private_key(), &provider())
        .map_err(|error| unusable("the server's certificate cannot be used", error))?;
    Ok((identity.public_key(), Arc::new(certified)))
}

/// A server's TLS settings, and the key that they show. An anonymous server asks for a key and does without one.
pub(super) fn server_config(
    identity: &Identity,
    anonymous: bool,
    client_ca_pem: Option<&str>,
) -> Result<(Arc<rustls::ServerConfig>, Arc<ShownKey>)> {
    let provider = provider();
    let authority = match client_ca_pem {
        None => None,
        Some(pem) => {
            let roots = root_store("the CA bundle for clients", pem)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| unusable("the CA bundle for clients cannot be used", error))?;
            Some(verifier)
        }
    };
    let shown = Arc::new(ShownKey::new(identity)?);
    let check = ClientCheck { provider: Arc::clone(&provider), mandatory: !anonymous, authority };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::internal(format!("TLS 1.3: {error}")))?
        .with_client_cert_verifier(Arc::new(check))
        .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![ALPN.to_vec(), ALPN_JOIN.to_vec()];
    config.max_early_data_size = 0;
    // Without tickets nothing is resumed: see the client's side.
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), shown))
}

/// Checks that a client holds the key that it shows. Whether that key is allowed anything is decided after the
/// handshake, when the reason can be told.
struct ClientCheck {
    provider: Arc<CryptoProvider>,
    mandatory: bool,
    authority: Option<Arc<dyn ClientCertVerifier>>,
}

impl fmt::Debug for ClientCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCheck").field("mandatory", &self.mandatory).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientCheck {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A client has only one certificate to choose, and strangers need not learn the operator's CA.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        match &self.authority {
            Some(authority) => authority.verify_client_cert(end_entity, intermediates, now),
            None if certificate_key(end_entity).is_some() => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.provider, self.authority.is_some())
    }
}

/// Whether both ends have agreed that the connection is for joining.
pub(super) fn joins(connection: &Connection) -> bool {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(ALPN_JOIN))
}

fn peer_certificate(connection: &Connection) -> Option<CertificateDer<'static>> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}

/// The key that the peer has proved to hold; `None` when it showed no certificate (a client of an anonymous server)
/// or, in CA mode, one over another kind of key.
#[must_use]
pub fn peer_key(connection: &Connection) -> Option<PublicKey> {
    certificate_key(&peer_certificate(connection)?)
}

/// The key that is to follow the peer's, as its certificate says.
pub(super) fn peer_next_key(connection: &Connection) -> Option<NextKey> {
    announced_key(&peer_certificate(connection)?)
}

/// The common name of the peer's certificate, when it is fit to be shown. It means something only when the handshake
/// verified the certificate against a CA: anybody can write any name into a certificate of their own.
#[must_use]
pub fn peer_name(connection: &Connection) -> Option<String> {
    certificate_name(&peer_certificate(connection)?)
}
