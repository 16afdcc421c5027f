//! Who is let in by a key, and what strangers and pretenders are told.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::*;

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
    let authorized = AuthorizedKeys::new(&[format!("laptop {}", known.public_key())], None, None).expect("good");
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
