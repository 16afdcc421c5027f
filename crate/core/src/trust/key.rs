//! The public half of a machine's key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, ErrorKind};

/// The word before the colon of a key in text.
const ALGORITHM: &str = "ed25519";

/// The DER of an Ed25519 `SubjectPublicKeyInfo` up to its 32 bytes of key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// An Ed25519 public key, the identity of a server or of a client.
///
/// In text, in files and in options it is `ed25519:` and the 32 bytes in padded standard base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key of these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key in a DER `SubjectPublicKeyInfo`; `None` when that holds any other algorithm.
    #[must_use]
    pub(crate) fn from_spki(spki: &[u8]) -> Option<Self> {
        let key = spki.strip_prefix(&SPKI_PREFIX)?;
        key.try_into().ok().map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads `ed25519:BASE64`; anything else is [`ErrorKind::Config`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse =
            |why: &str| Error::new(ErrorKind::Config, format!("\"{}\" is not a key: {why}", text.escape_debug()));
        let encoded = text
            .strip_prefix(ALGORITHM)
            .and_then(|rest| rest.strip_prefix(':'))
            .ok_or_else(|| refuse("expected ed25519:BASE64"))?;
        let bytes =
            STANDARD.decode(encoded).map_err(|_| refuse("what follows ed25519: is not padded standard base64"))?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|bytes: Vec<u8>| refuse(&format!("expected 32 bytes, found {}", bytes.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::{PublicKey, SPKI_PREFIX};
    use crate::ErrorKind;

    #[test]
    fn text_form_survives_a_round_trip() {
        let key = PublicKey::from_bytes(std::array::from_fn(|index| u8::try_from(index * 7).expect("below 256")));
        let text = key.to_string();
        assert!(text.starts_with("ed25519:"), "{text}");
        assert_eq!(text.len(), "ed25519:".len() + 44);
        assert_eq!(text.parse::<PublicKey>().expect("own text"), key);
    }

    #[test]
    fn anything_else_is_a_configuration_error() {
        let good = PublicKey::from_bytes([0; 32]).to_string();
        for bad in [
            String::new(),
            "ed25519".to_owned(),
            "ed25519:".to_owned(),
            good.replace("ed25519", "ED25519"),
            good.replace("ed25519", "rsa"),
            good.trim_end_matches('=').to_owned(),
            format!("{good}="),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}\n"),
            // The last character carries bits beyond the 32 bytes: two texts for one key.
            good.replace("A=", "B="),
            "ed25519:AAAA".to_owned(),
            good.replace('A', "-"),
        ] {
            let error = bad.parse::<PublicKey>().expect_err(&bad);
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn spki_of_another_algorithm_or_length_is_no_key() {
        let mut spki = SPKI_PREFIX.to_vec();
        spki.extend_from_slice(&[7; 32]);
        assert_eq!(PublicKey::from_spki(&spki), Some(PublicKey::from_bytes([7; 32])));
        assert_eq!(PublicKey::from_spki(&spki[..43]), None);
        spki[8] = 0x6e; // X25519
        assert_eq!(PublicKey::from_spki(&spki), None);
        assert_eq!(PublicKey::from_spki(&[]), None);
    }
}
