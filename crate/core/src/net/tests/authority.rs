//! A private CA in place of keys.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, date_time_ymd,
};

use super::*;

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
async fn a_private_ca_vouches_for_servers_by_their_names_cve_2026_70454() {
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
            assert!(error.message().contains("is not valid"), "{error}");
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
