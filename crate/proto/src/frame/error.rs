//! An error as it travels.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::{AtMost, Codec, message};
use crate::kind::ErrorKind;
use crate::limits::{MESSAGE_BYTES_MAX, PATH_BYTES_MAX};

/// Details of one error.
const DETAILS_MAX: usize = 16;

/// Bytes of a detail's name.
const DETAIL_NAME_BYTES_MAX: usize = 64;

/// A machine-readable fact of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A count or an amount.
    Number(u64),
    /// A name, key or text.
    Text(String),
}

impl From<u64> for Detail {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<String> for Detail {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// An error that ends a session, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Its kind.
    pub kind: ErrorKind,
    /// The text for people.
    pub message: String,
    /// The path concerned.
    pub path: Option<Vec<u8>>,
    /// Machine-readable facts.
    pub details: Vec<(String, Detail)>,
}

impl Default for WireError {
    fn default() -> Self {
        Self { kind: ErrorKind::Internal, message: String::new(), path: None, details: Vec::new() }
    }
}

message!(WireError, "error" {
    1 critical kind: Kinds,
    2 optional message: AtMost<MESSAGE_BYTES_MAX>,
    3 optional path: AtMost<PATH_BYTES_MAX>,
    4 optional details: Details,
});

/// A kind that only a newer peer knows is [`ErrorKind::Internal`].
struct Kinds;

impl Codec<ErrorKind> for Kinds {
    fn put(value: &ErrorKind, out: &mut Vec<u8>) {
        out.byte(value.to_wire());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<ErrorKind> {
        Ok(ErrorKind::from_wire(reader.byte(what)?))
    }
}

struct Details;

impl Codec<Vec<(String, Detail)>> for Details {
    fn put(value: &Vec<(String, Detail)>, out: &mut Vec<u8>) {
        for (name, value) in value.iter().take(DETAILS_MAX) {
            out.text(name, DETAIL_NAME_BYTES_MAX);
            match value {
                Detail::Number(number) => {
                    out.byte(0);
                    out.number(*number);
                }
                Detail::Text(text) => {
                    out.byte(1);
                    out.text(text, MESSAGE_BYTES_MAX);
                }
            }
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Vec<(String, Detail)>> {
        let mut details = Vec::new();
        while !reader.is_empty() {
            if details.len() == DETAILS_MAX {
                return malformed(what);
            }
            let name = reader.text(DETAIL_NAME_BYTES_MAX, what)?;
            let value = match reader.byte(what)? {
                0 => Detail::Number(reader.number(what)?),
                1 => Detail::Text(reader.text(MESSAGE_BYTES_MAX, what)?),
                _ => return malformed(what),
            };
            details.push((name, value));
        }
        details.shrink_to_fit();
        Ok(details)
    }
}
