//! Reading certificates: which key one holds and which is to follow it, whose name it bears, and chains in PEM.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use webpki::EndEntityCert;

use super::PublicKey;
use crate::{Error, ErrorKind, Result};

/// The longest common name that is taken for a client's name; X.520 allows no more.
const MAX_NAME_BYTES: usize = 64;

/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The extension that tells which key is to follow, 2.25.35554863424053835: an octet string of the 32 bytes of the key
/// and the seconds since 1970 from which it counts, in 64 bits. It is not critical.
const NEXT_KEY: &[u64] = &[2, 25, 35_554_863_424_053_835];
const NEXT_KEY_ID: &[u8] = &[0x69, 0xbf, 0x94, 0x9e, 0xdb, 0xe3, 0xb6, 0xc4, 0x4b];

/// The end of the year 9999: later moments have no text form.
const MOMENT_MAX: u64 = 253_402_300_799;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const EXTENSIONS: u8 = 0xa3;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// The Ed25519 key of a certificate, `None` for any other key or for bytes that are no certificate.
pub(crate) fn certificate_key(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    PublicKey::from_spki(parsed.subject_public_key_info().as_ref())
}

/// A key that is to follow a server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// The key.
    pub key: PublicKey,
    /// From when it counts.
    pub from: SystemTime,
}

/// The extension that tells of a key.
pub(super) fn announcement(next: NextKey) -> rcgen::CustomExtension {
    let seconds = next.from.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let content = [&[OCTET_STRING, 40], next.key.as_bytes().as_slice(), &seconds.to_be_bytes()].concat();
    rcgen::CustomExtension::from_oid_content(NEXT_KEY, content)
}

/// The key that a certificate says is to follow its own. The peer must prove that it holds the certificate's own key
/// before this is believed.
pub(crate) fn announced_key(certificate: &CertificateDer<'_>) -> Option<NextKey> {
    let mut whole = certificate.as_ref();
    let mut signed = expect(&mut whole, SEQUENCE)?;
    let mut fields = expect(&mut signed, SEQUENCE)?;
    while !fields.is_empty() {
        let (EXTENSIONS, mut list) = element(&mut fields)? else { continue };
        let mut extensions = expect(&mut list, SEQUENCE)?;
        while !extensions.is_empty() {
            let mut extension = expect(&mut extensions, SEQUENCE)?;
            if expect(&mut extension, OBJECT_ID)? == NEXT_KEY_ID {
                return told_key(extension);
            }
        }
    }
    None
}

/// `value` is the part behind the extension's name.
fn told_key(mut value: &[u8]) -> Option<NextKey> {
    let mut content = match element(&mut value)? {
        (BOOLEAN, _) => expect(&mut value, OCTET_STRING)?,
        (OCTET_STRING, content) => content,
        _ => return None,
    };
    let (key, seconds) = expect(&mut content, OCTET_STRING)?.split_first_chunk::<32>()?;
    let seconds = u64::from_be_bytes(seconds.try_into().ok()?);
    let from = SystemTime::UNIX_EPOCH + Duration::from_secs((seconds <= MOMENT_MAX).then_some(seconds)?);
    Some(NextKey { key: PublicKey::from_bytes(*key), from })
}

/// The common name of a certificate's subject when it has exactly one that is fit to be shown and compared:
/// 1 to 64 bytes of UTF-8 without control characters.
pub(crate) fn certificate_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    common_name(parsed.subject())
}

/// `subject` is the content of the outer SEQUENCE of an X.501 name.
fn common_name(mut subject: &[u8]) -> Option<String> {
    let mut found = None;
    while !subject.is_empty() {
        let mut set = expect(&mut subject, SET)?;
        while !set.is_empty() {
            let mut attribute = expect(&mut set, SEQUENCE)?;
            if expect(&mut attribute, OBJECT_ID)? != COMMON_NAME {
                continue;
            }
            let (tag, value) = element(&mut attribute)?;
            if !matches!(tag, UTF8_STRING | PRINTABLE_STRING) || !attribute.is_empty() {
                return None;
            }
            let name = std::str::from_utf8(value).ok()?;
            // Two names would let one certificate be read as either.
            if found.replace(name).is_some() {
                return None;
            }
        }
    }
    found
        .filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control))
        .map(str::to_owned)
}

/// The content of the next DER element, which has to bear `tag`.
fn expect<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, content) = element(input)?;
    (found == tag).then_some(content)
}

/// Splits the next DER element off; lengths of more than 64 KiB do not occur in a name.
fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some((tag, content))
}

/// Every certificate of a PEM text, in its order. `what` names the text in errors.
///
/// Fails with [`ErrorKind::Config`] when the text is malformed or holds no certificate.
pub(crate) fn certificates_from_pem(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let mut chain = Vec::new();
    for section in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = section
            .map_err(|error| Error::new(ErrorKind::Config, format!("{what} is not PEM: {error}")).because(error))?;
        chain.push(certificate);
    }
    if chain.is_empty() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{what} holds no certificate (-----BEGIN CERTIFICATE-----)"),
        ));
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    use super::{announced_key, certificate_key, certificate_name, certificates_from_pem, common_name};
    use crate::ErrorKind;

    fn certificate(names: &[(DnType, &str)], algorithm: &'static rcgen::SignatureAlgorithm) -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate_for(algorithm).expect("a key");
        params.self_signed(&key).expect("a certificate")
    }

    #[test]
    fn the_common_name_is_found_among_other_attributes() {
        let found = certificate(
            &[(DnType::OrganizationName, "Example"), (DnType::CommonName, "build-7"), (DnType::CountryName, "NZ")],
            &PKCS_ED25519,
        );
        assert_eq!(certificate_name(found.der()).as_deref(), Some("build-7"));
        assert!(certificate_key(found.der()).is_some());
    }

    #[test]
    fn a_name_that_cannot_be_shown_or_is_missing_is_no_name() {
        let long = "x".repeat(65);
        for names in [
            vec![],
            vec![(DnType::CommonName, "")],
            vec![(DnType::CommonName, "a\nb")],
            vec![(DnType::CommonName, "a\0")],
            vec![(DnType::CommonName, long.as_str())],
        ] {
            assert_eq!(certificate_name(certificate(&names, &PKCS_ED25519).der()), None, "{names:?}");
        }
    }

    #[test]
    fn a_certificate_over_another_kind_of_key_has_no_ed25519_key() {
        let other = certificate(&[(DnType::CommonName, "p256")], &PKCS_ECDSA_P256_SHA256);
        assert_eq!(certificate_key(other.der()), None);
        assert_eq!(certificate_key(&vec![1, 2, 3].into()), None);
    }

    #[test]
    fn pem_without_a_certificate_is_refused() {
        for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            let error = certificates_from_pem("the bundle", bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("the bundle"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn hostile_names_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(name) = common_name(&bytes) {
                prop_assert!((1..=64).contains(&name.len()));
            }
            prop_assert_eq!(announced_key(&bytes.into()), None);
        }
    }
}
