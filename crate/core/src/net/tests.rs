//! Real endpoints on loopback, in one process.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, RecvStream};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::task::JoinHandle;

use super::{
    ALPN, Accepted, ConnectOptions, Connected, ListenOptions, Listener, MAX_MTU, ServerTrust, WindowBudget, close_with,
    connect, connection_error, listen, read_error,
};
use crate::trust::{AuthorizedKeys, Identity, KnownHosts, PublicKey};
use crate::{Detail, Error, ErrorKind, Side};

/// A server that answers each stream with its content once it has been read to the end.
struct Server {
    listener: Listener,
    key: PublicKey,
    accepting: JoinHandle<()>,
}

impl Server {
    async fn start(address: &str) -> Self {
        let identity = Identity::generate().expect("a key");
        Self::with(ListenOptions::new(address, identity), None).await
    }

    async fn with(options: ListenOptions, authorized: Option<AuthorizedKeys>) -> Self {
        let key = options.identity.public_key();
        let listener = listen(options).await.expect("listening");
        let authorized = Arc::new(authorized);
        let accepting = tokio::spawn({
            let listener = listener.clone();
            async move {
                let budget = WindowBudget::default();
                while let Some(handshake) = listener.accept().await {
                    let (authorized, budget) = (Arc::clone(&authorized), budget.clone());
                    tokio::spawn(async move {
                        if let Ok(accepted) = handshake.finish().await {
                            serve(accepted, authorized.as_ref().as_ref(), &budget).await;
                        }
                    });
                }
            }
        });
        Self { listener, key, accepting }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().port()
    }

    async fn stop(self) {
        self.listener.endpoint().close(0u32.into(), b"");
        self.accepting.await.expect("the accepting task");
    }
}

async fn serve(accepted: Accepted, authorized: Option<&AuthorizedKeys>, budget: &WindowBudget) {
    if let Some(authorized) = authorized {
        let key = accepted.key.expect("a key");
        if authorized.find(&key).is_none() {
            let error = Error::new(ErrorKind::Unauthorized, format!("the server does not know the key {key}"));
            close_with(&accepted.connection, &error);
            return;
        }
    }
    let _lease = budget.open(&accepted.connection);
    let who = accepted.name.clone().unwrap_or_default();
    while let Ok((mut send, mut receive)) = accepted.connection.accept_bi().await {
        let mut digest = blake3::Hasher::new();
        while let Ok(Some(chunk)) = receive.read_chunk(1 << 20, true).await {
            digest.update(&chunk.bytes);
        }
        let answer = format!("{} {}", digest.finalize(), who);
        let _ = send.write_all(answer.as_bytes()).await;
        let _ = send.finish();
    }
}

fn options(host: &str, port: u16, trust: ServerTrust) -> ConnectOptions {
    ConnectOptions { trust, ..ConnectOptions::new(host, port, Identity::generate().expect("a key")) }
}

fn pinned(key: PublicKey) -> ServerTrust {
    ServerTrust { pins: vec![key], ..ServerTrust::default() }
}

fn recorded(file: &Path, accept_new: bool) -> ServerTrust {
    ServerTrust { known_hosts: Some(file.to_path_buf()), accept_new, ..ServerTrust::default() }
}

/// What the server makes of some content.
async fn ask(connected: &Connected, content: &[Bytes]) -> Result<String, Error> {
    let (mut send, mut receive) = connected.connection.open_bi().await.map_err(|error| connection_error(&error))?;
    for chunk in content {
        send.write_chunk(chunk.clone()).await.map_err(|error| super::write_error(&error))?;
    }
    let _ = send.finish();
    text(&mut receive).await
}

async fn text(receive: &mut RecvStream) -> Result<String, Error> {
    let mut text = Vec::new();
    while let Some(chunk) = receive.read_chunk(1024, true).await.map_err(|error| read_error(&error))? {
        text.extend_from_slice(&chunk.bytes);
    }
    Ok(String::from_utf8(text).expect("UTF-8"))
}

async fn works(connected: &Connected) {
    let answer = ask(connected, &[Bytes::from_static(b"hello")]).await.expect("an answer");
    assert!(answer.starts_with(blake3::hash(b"hello").to_hex().as_str()), "{answer}");
}

fn detail<'a>(error: &'a Error, name: &str) -> Option<&'a Detail> {
    error.details().iter().find_map(|(found, value)| (*found == name).then_some(value))
}

#[tokio::test]
async fn the_pinned_key_is_accepted_and_both_sides_know_each_other() {
    let server = Server::start("127.0.0.1:0").await;
    let mut trust = pinned(PublicKey::from_bytes([9; 32]));
    trust.pins.push(server.key);
    let connected = connect(options("127.0.0.1", server.port(), trust)).await.expect("connected");
    assert_eq!(connected.server_key, Some(server.key));
    assert_eq!(connected.remote, server.listener.local_addr());
    works(&connected).await;
    server.stop().await;
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_refused() {
    let server = Server::start("127.0.0.1:0").await;
    let other = Identity::generate().expect("a key").public_key();
    let error = connect(options("127.0.0.1", server.port(), pinned(other))).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
    assert_eq!(detail(&error, "host"), Some(&Detail::Text("127.0.0.1".to_owned())));
    assert_eq!(detail(&error, "port"), Some(&Detail::Number(u64::from(server.port()))));
    assert_eq!(detail(&error, "key"), Some(&Detail::Text(server.key.to_string())));
    assert_eq!(detail(&error, "expected"), Some(&Detail::Text(other.to_string())));
    assert_eq!(detail(&error, "line"), None);
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_server_is_refused_and_recorded_only_when_asked_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config/known_hosts");
    let server = Server::start("127.0.0.1:0").await;
    let port = server.port();

    let error = connect(options("127.0.0.1", port, recorded(&file, false))).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::UnknownHost);
    assert_eq!(detail(&error, "key"), Some(&Detail::Text(server.key.to_string())));
    assert!(!file.exists());
    let error =
        connect(options("127.0.0.1", port, ServerTrust::default())).await.expect_err("nothing is trusted by default");
    assert_eq!(error.kind(), ErrorKind::UnknownHost);

    let connected = connect(options("127.0.0.1", port, recorded(&file, true))).await.expect("accepted");
    works(&connected).await;
    let known = KnownHosts::new(&file).lookup("127.0.0.1", port).expect("looked up");
    assert_eq!(known.iter().map(|known| known.key).collect::<Vec<_>>(), [server.key]);
    let connected = connect(options("127.0.0.1", port, recorded(&file, false))).await.expect("known now");
    works(&connected).await;
    server.stop().await;
}

#[tokio::test]
async fn a_changed_key_names_the_line_even_when_new_servers_are_accepted() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    let server = Server::start("127.0.0.1:0").await;
    let before = Identity::generate().expect("a key").public_key();
    let text = format!("# ours\nelsewhere:1 {before}\n127.0.0.1:{} {before}\n", server.port());
    fs::write(&file, &text).expect("written");
    for accept_new in [false, true] {
        let error =
            connect(options("127.0.0.1", server.port(), recorded(&file, accept_new))).await.expect_err("changed");
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        assert_eq!(detail(&error, "line"), Some(&Detail::Number(3)));
        assert_eq!(detail(&error, "expected"), Some(&Detail::Text(before.to_string())));
        assert_eq!(error.path(), Some(file.as_os_str().as_encoded_bytes()));
        assert_eq!(fs::read_to_string(&file).expect("read"), text);
    }
    fs::write(&file, "127.0.0.1\n").expect("written");
    let error = connect(options("127.0.0.1", server.port(), recorded(&file, true))).await.expect_err("malformed");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(detail(&error, "line"), Some(&Detail::Number(1)));
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_is_not_authorized_is_told_so() {
    let known = Identity::generate().expect("a key");
    let authorized = AuthorizedKeys::new(&[format!("laptop {}", known.public_key())], None).expect("good");
    let identity = Identity::generate().expect("a key");
    let server = Server::with(ListenOptions::new("127.0.0.1:0", identity), Some(authorized)).await;

    let stranger = options("127.0.0.1", server.port(), pinned(server.key));
    let key = stranger.identity.public_key();
    let error = match connect(stranger).await {
        Ok(connected) => ask(&connected, &[]).await.expect_err("refused"),
        Err(error) => error,
    };
    assert_eq!((error.kind(), error.side()), (ErrorKind::Unauthorized, Side::Remote));
    assert!(error.message().contains(&key.to_string()), "{error}");

    let mut friend = options("127.0.0.1", server.port(), pinned(server.key));
    friend.identity = known;
    works(&connect(friend).await.expect("connected")).await;
    server.stop().await;
}

/// Accepts any server: for clients that misbehave elsewhere.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// How a client of another make fares: with this certificate and key, and this protocol.
async fn foreign_client(
    remote: SocketAddr,
    certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    alpn: &[u8],
) -> Result<String, Error> {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible));
    let mut config = match certificate {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("a certificate"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("QUIC")));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("an endpoint");
    let connection = endpoint
        .connect_with(config, remote, "sparsync")
        .expect("connecting")
        .await
        .map_err(|error| connection_error(&error))?;
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| connection_error(&error))?;
    let _ = send.finish();
    text(&mut receive).await
}

#[tokio::test]
async fn a_client_without_a_key_is_refused_unless_the_server_is_anonymous() {
    let server = Server::start("127.0.0.1:0").await;
    let error = foreign_client(server.listener.local_addr(), None, ALPN).await.expect_err("refused");
    assert_eq!((error.kind(), error.side()), (ErrorKind::Unauthorized, Side::Remote));
    server.stop().await;

    let mut anonymous = ListenOptions::new("127.0.0.1:0", Identity::generate().expect("a key"));
    anonymous.anonymous = true;
    let server = Server::with(anonymous, None).await;
    foreign_client(server.listener.local_addr(), None, ALPN).await.expect("let in");
    server.stop().await;
}

#[tokio::test]
async fn a_client_cannot_show_a_key_that_it_does_not_hold() {
    let server = Server::start("127.0.0.1:0").await;
    let (victim, thief) = (Identity::generate().expect("a key"), KeyPair::generate_for(&PKCS_ED25519).expect("a key"));
    let stolen = rustls::sign::CertifiedKey::new(
        victim.chain(),
        rustls::crypto::ring::sign::any_supported_type(&PrivateKeyDer::Pkcs8(thief.serialize_der().into()))
            .expect("a key"),
    );
    assert!(stolen.keys_match().is_err(), "the certificate and the key belong together");
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("QUIC")));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("an endpoint");
    let outcome = endpoint.connect_with(config, server.listener.local_addr(), "sparsync").expect("connecting").await;
    // The client's side is done before the server has looked at the signature.
    let ended = match outcome {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    };
    assert!(matches!(ended, quinn::ConnectionError::ConnectionClosed(_)), "{ended}");
    server.stop().await;
}

/// A server that shows one key's certificate and signs with another key.
#[tokio::test]
async fn a_server_cannot_show_a_key_that_it_does_not_hold() {
    let (victim, thief) = (Identity::generate().expect("a key"), KeyPair::generate_for(&PKCS_ED25519).expect("a key"));
    let stolen = rustls::sign::CertifiedKey::new(
        victim.chain(),
        rustls::crypto::ring::sign::any_supported_type(&PrivateKeyDer::Pkcs8(thief.serialize_der().into()))
            .expect("a key"),
    );
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(config).expect("QUIC");
    let endpoint = Endpoint::server(
        quinn::ServerConfig::with_crypto(Arc::new(crypto)),
        "127.0.0.1:0".parse().expect("an address"),
    )
    .expect("an endpoint");
    let port = endpoint.local_addr().expect("an address").port();
    let accepting = tokio::spawn({
        let endpoint = endpoint.clone();
        async move {
            while let Some(incoming) = endpoint.accept().await {
                let _ = incoming.await;
            }
        }
    });
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    for trust in [pinned(victim.public_key()), recorded(&file, true)] {
        let error = connect(options("127.0.0.1", port, trust)).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    }
    assert!(!file.exists(), "a key that was not proved is not recorded");
    endpoint.close(0u32.into(), b"");
    accepting.await.expect("the accepting task");
}

#[tokio::test]
async fn another_protocol_version_is_told_on_both_sides() {
    let mut anonymous = ListenOptions::new("127.0.0.1:0", Identity::generate().expect("a key"));
    anonymous.anonymous = true;
    let listener = listen(anonymous).await.expect("listening");
    let (client, server) = tokio::join!(foreign_client(listener.local_addr(), None, b"sparsync/9"), async {
        listener.accept().await.expect("a client").finish().await
    });
    let error = client.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Version, "{error}");
    assert_eq!(server.expect_err("refused").kind(), ErrorKind::Version);
}

/// A private CA and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn identity(&self, name: &str, host: &str, usage: ExtendedKeyUsagePurpose, expired: bool) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity::from_pem(&key.serialize_pem())
            .expect("a key")
            .with_certificates(&certificate.pem())
            .expect("its certificate")
    }

    fn server(&self, host: &str, expired: bool) -> Identity {
        self.identity("server", host, ExtendedKeyUsagePurpose::ServerAuth, expired)
    }

    fn client(&self, name: &str, expired: bool) -> Identity {
        self.identity(name, "client.invalid", ExtendedKeyUsagePurpose::ClientAuth, expired)
    }

    fn trust(&self) -> ServerTrust {
        ServerTrust { ca_pem: Some(self.pem.clone()), ..ServerTrust::default() }
    }
}

#[tokio::test]
async fn a_private_ca_vouches_for_servers() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (identity, host, good) in [
        (ours.server("localhost", false), "localhost", true),
        (ours.server("127.0.0.1", false), "127.0.0.1", true),
        (ours.server("::1", false), "[::1]", true),
        (ours.server("example.org", false), "localhost", false),
        (ours.server("localhost", true), "localhost", false),
        (theirs.server("localhost", false), "localhost", false),
        (ours.client("localhost", false), "localhost", false),
        (Identity::generate().expect("a key"), "localhost", false),
    ] {
        let key = identity.public_key();
        let server = Server::with(ListenOptions::new("[::]:0", identity.clone()), None).await;
        let outcome = connect(options(host, server.port(), ours.trust())).await;
        if good {
            let connected = outcome.expect("connected");
            assert_eq!(connected.server_key, Some(key));
            works(&connected).await;
            let mut pin = ours.trust();
            pin.pins.push(PublicKey::from_bytes([1; 32]));
            let error = connect(options(host, server.port(), pin)).await.expect_err("pinned");
            assert_eq!(error.kind(), ErrorKind::HostKeyChanged, "a pin holds in CA mode too");
        } else {
            let error = outcome.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::UnknownHost, "{error}");
            assert_eq!(detail(&error, "key"), Some(&Detail::Text(key.to_string())));
            assert!(error.message().contains("is not good"), "{error}");
        }
        server.stop().await;
    }
    for bad in ["", "nonsense"] {
        let mut trust = ours.trust();
        trust.ca_pem = Some(bad.to_owned());
        let error = connect(options("localhost", 1, trust)).await.expect_err("no CA");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn a_private_ca_vouches_for_clients_and_names_them() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut listening = ListenOptions::new("127.0.0.1:0", Identity::generate().expect("a key"));
    listening.client_ca_pem = Some(ours.pem.clone());
    let server = Server::with(listening, None).await;
    for (identity, good) in [
        (ours.client("build-7", false), true),
        (ours.client("build-7", true), false),
        (theirs.client("build-7", false), false),
        (ours.server("build-7", false), false),
        (Identity::generate().expect("a key"), false),
    ] {
        let mut client = options("127.0.0.1", server.port(), pinned(server.key));
        client.identity = identity;
        let outcome = match connect(client).await {
            Ok(connected) => ask(&connected, &[]).await,
            Err(error) => Err(error),
        };
        if good {
            assert!(outcome.expect("let in").ends_with(" build-7"));
        } else {
            let error = outcome.expect_err("refused");
            assert_eq!((error.kind(), error.side()), (ErrorKind::Unauthorized, Side::Remote), "{error}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn sixty_four_mebibytes_arrive_whole_in_large_packets() {
    let server = Server::start("127.0.0.1:0").await;
    let connected = connect(options("127.0.0.1", server.port(), pinned(server.key))).await.expect("connected");
    let mut block = vec![0; 1 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut block);
    let block = Bytes::from(block);
    let content = vec![block; 64];
    let mut expected = blake3::Hasher::new();
    for chunk in &content {
        expected.update(chunk);
    }
    let answer = ask(&connected, &content).await.expect("an answer");
    assert!(answer.starts_with(expected.finalize().to_hex().as_str()));
    let path = connected.connection.stats().path;
    assert_eq!(path.current_mtu, MAX_MTU);
    assert_eq!(path.black_holes_detected, 0);
    server.stop().await;
}

#[tokio::test]
async fn discovery_finds_the_large_packets_that_were_not_begun_with() {
    let server = Server::start("127.0.0.1:0").await;
    let mut small = options("127.0.0.1", server.port(), pinned(server.key));
    small.initial_mtu = Some(1200);
    let connected = connect(small).await.expect("connected");
    let content = vec![Bytes::from(vec![7; 1 << 20]); 16];
    ask(&connected, &content).await.expect("an answer");
    assert!(connected.connection.stats().path.current_mtu > 1452);
    server.stop().await;
}

#[tokio::test]
async fn one_wildcard_socket_serves_both_families() {
    let server = Server::start("[::]:0").await;
    for (host, remote) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")] {
        let connected = connect(options(host, server.port(), pinned(server.key))).await.expect(host);
        assert_eq!(connected.remote, SocketAddr::new(remote.parse().expect(remote), server.port()));
        works(&connected).await;
    }
    let connected = connect(options("localhost", server.port(), pinned(server.key))).await.expect("by name");
    works(&connected).await;
    server.stop().await;
    let server = Server::start("[::1]:0").await;
    works(&connect(options("::1", server.port(), pinned(server.key))).await.expect("::1")).await;
    server.stop().await;
}

#[tokio::test]
async fn a_dead_address_does_not_keep_a_living_one_from_answering() {
    let server = Server::start("127.0.0.1:0").await;
    let options = Arc::new(options("both.invalid", server.port(), pinned(server.key)));
    let expected = super::connect::expected_keys(&options).expect("pins");
    let alive = server.listener.local_addr();
    // Bound and never read: packets vanish, as behind a firewall. And one where nothing is bound.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
    for dead in [silent.local_addr().expect("an address"), closed] {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let connected =
            super::connect::first_to_answer(&options, &expected, vec![dead, alive], deadline).await.expect("connected");
        assert_eq!(connected.remote, alive);
        works(&connected).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn when_nobody_answers_each_address_is_listed_with_its_reason() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
    let key = PublicKey::from_bytes([1; 32]);

    let error = connect(options("127.0.0.1", closed.port(), pinned(key))).await.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains(&closed.to_string()), "{error}");
    assert!(error.message().contains("refused"), "{error}");

    let address = silent.local_addr().expect("an address");
    let mut short = options("127.0.0.1", address.port(), pinned(key));
    short.connect_timeout = Duration::from_millis(100);
    let error = connect(short).await.expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains(&format!("{address}: no answer")), "{error}");

    let error = connect(options("no..where", 1, pinned(key))).await.expect_err("no such host");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("no..where"), "{error}");

    for (host, port) in [("", 1), ("127.0.0.1", 0)] {
        let error = connect(options(host, port, pinned(key))).await.expect_err("no address");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn a_server_for_everybody_listens_on_loopback_only() {
    for (address, good) in [
        ("127.0.0.1:0", true),
        ("[::1]:0", true),
        ("localhost:0", true),
        ("0.0.0.0:0", false),
        ("[::]:0", false),
        ("192.0.2.1:0", false),
    ] {
        let mut options = ListenOptions::new(address, Identity::generate().expect("a key"));
        options.anonymous = true;
        match listen(options).await {
            Ok(_) => assert!(good, "{address}"),
            Err(error) => {
                assert!(!good, "{error}");
                assert_eq!(error.kind(), ErrorKind::Config);
                assert!(error.message().contains(address), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_named() {
    let holder = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let taken = holder.local_addr().expect("an address").to_string();
    // The name is one that no resolver has to be asked for.
    for address in [taken.as_str(), "192.0.2.1:1", "no..where:1", "28792"] {
        let identity = Identity::generate().expect("a key");
        let error = listen(ListenOptions::new(address, identity)).await.expect_err(address);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(address), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_closes_tells_its_reason_and_one_that_is_gone_is_noticed() {
    let identity = Identity::generate().expect("a key");
    let listener = listen(ListenOptions::new("127.0.0.1:0", identity.clone())).await.expect("listening");
    let client = options("127.0.0.1", listener.local_addr().port(), pinned(identity.public_key()));
    let (connected, accepted) =
        tokio::join!(connect(client), async { listener.accept().await.expect("a client").finish().await });
    let (connected, accepted) = (connected.expect("connected"), accepted.expect("accepted"));
    assert_eq!(accepted.key, super::peer_key(&accepted.connection));
    close_with(&accepted.connection, &Error::new(ErrorKind::Busy, "held by \u{1b}laptop").at(b"/secret"));
    let error = connection_error(&connected.connection.closed().await);
    assert_eq!((error.kind(), error.side()), (ErrorKind::Busy, Side::Remote));
    assert_eq!(error.message(), "held by  laptop");

    let mut brief = options("127.0.0.1", listener.local_addr().port(), pinned(identity.public_key()));
    brief.idle_timeout = Duration::from_millis(200);
    let (connected, accepted) =
        tokio::join!(connect(brief), async { listener.accept().await.expect("a client").finish().await });
    let (connected, accepted) = (connected.expect("connected"), accepted.expect("accepted"));
    // Nothing on this runtime reads the server's socket any more.
    let mute = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    listener.endpoint().rebind(mute).expect("rebound");
    drop(accepted);
    let error = connection_error(&connected.connection.closed().await);
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Closed), "{error}");
}

/// The process of a short command ends right after its work.
#[tokio::test]
async fn a_client_that_ends_at_once_has_said_goodbye() {
    let identity = Identity::generate().expect("a key");
    let listener = listen(ListenOptions::new("127.0.0.1:0", identity.clone())).await.expect("listening");
    let client = options("127.0.0.1", listener.local_addr().port(), pinned(identity.public_key()));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let connected = connect(client).await.expect("connected");
            connected.connection.close(0u32.into(), b"");
            super::close_sent(&connected.connection).await;
        });
    });
    let accepted = listener.accept().await.expect("a client").finish().await;
    match accepted {
        Ok(accepted) => {
            let ended = accepted.connection.closed().await;
            assert!(matches!(ended, quinn::ConnectionError::ApplicationClosed(_)), "{ended}");
        }
        // The goodbye may come before the server has seen the end of the handshake; QUIC then hides its code.
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Protocol), "{error}"),
    }
    thread.join().expect("the client");
}

/// A client and a server of this process, with their connections.
async fn pair(through: impl AsyncFnOnce(SocketAddr) -> SocketAddr) -> (Listener, Connected, Accepted) {
    let identity = Identity::generate().expect("a key");
    let listener = listen(ListenOptions::new("127.0.0.1:0", identity.clone())).await.expect("listening");
    let address = through(listener.local_addr()).await;
    let client = options("127.0.0.1", address.port(), pinned(identity.public_key()));
    let (connected, accepted) =
        tokio::join!(connect(client), async { listener.accept().await.expect("a client").finish().await });
    (listener, connected.expect("connected"), accepted.expect("accepted"))
}

/// Carries datagrams to `server` and back, each after `delay`.
async fn far_away(server: SocketAddr, delay: Duration) -> SocketAddr {
    let near = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
    let far = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
    let address = near.local_addr().expect("an address");
    let (learnt, client) = tokio::sync::watch::channel(None);
    for (from, to, back) in [(Arc::clone(&near), Arc::clone(&far), false), (far, near, true)] {
        let (learnt, client) = (learnt.clone(), client.clone());
        let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
        tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((bytes, source)) = from.recv_from(&mut buffer).await {
                if !back {
                    learnt.send_replace(Some(source));
                }
                let _ = queue.send((tokio::time::Instant::now() + delay, buffer[..bytes].to_vec()));
            }
        });
        tokio::spawn(async move {
            while let Some((due, datagram)) = queued.recv().await {
                tokio::time::sleep_until(due).await;
                let target = if back { *client.borrow() } else { Some(server) };
                if let Some(target) = target {
                    let _ = to.send_to(&datagram, target).await;
                }
            }
        });
    }
    address
}

#[tokio::test]
async fn a_window_grows_where_the_round_trip_is_long_and_only_there() {
    for (delay, grows) in [(None, false), (Some(Duration::from_millis(25)), true)] {
        let (_listener, connected, accepted) = pair(async |server| match delay {
            Some(delay) => far_away(server, delay).await,
            None => server,
        })
        .await;
        let budget = WindowBudget::default();
        let window = budget.open(&accepted.connection);
        let mut send = connected.connection.open_uni().await.expect("a stream");
        let sending = tokio::spawn(async move {
            for _ in 0..48 {
                send.write_chunk(Bytes::from(vec![1; 1 << 20])).await.expect("written");
            }
            let _ = send.finish();
        });
        let mut receive = accepted.connection.accept_uni().await.expect("a stream");
        let lane = window.lane();
        let mut largest = 0;
        while let Some(chunk) = receive.read_chunk(1 << 18, true).await.expect("read") {
            lane.read(chunk.bytes.len());
            largest = largest.max(window.bytes());
        }
        sending.await.expect("sent");
        assert_eq!(largest > 4 << 20, grows, "{largest} bytes");
        drop(lane);
        assert_eq!(window.bytes(), super::transport::LEAST_WINDOW_BYTES, "it is small again when the lane has ended");
        let _next = window.lane();
        assert_eq!(window.bytes(), largest, "the next lane begins with what the path needs");
    }
}

#[tokio::test]
async fn a_lane_that_is_not_read_holds_up_no_other_for_long() {
    let (_listener, connected, accepted) = pair(async |server| server).await;
    let window = WindowBudget::default().open(&accepted.connection);
    let mut idle = connected.connection.open_uni().await.expect("a stream");
    let filling = tokio::spawn(async move {
        for _ in 0..32 {
            if idle.write_chunk(Bytes::from(vec![1; 1 << 20])).await.is_err() {
                return;
            }
        }
    });
    let _unread = accepted.connection.accept_uni().await.expect("a stream");
    let mut other = connected.connection.open_uni().await.expect("a stream");
    let mut write = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        other.write_all(b"a question").await.expect("written");
    });
    let waited = tokio::time::timeout(Duration::from_millis(600), &mut write).await;
    assert!(waited.is_err(), "the unread lane has used up the window");
    let mut lane = window.lane();
    lane.halt(true);
    write.await.expect("written");
    lane.halt(false);
    assert_eq!(window.bytes(), super::transport::LEAST_WINDOW_BYTES);
    filling.abort();
}
