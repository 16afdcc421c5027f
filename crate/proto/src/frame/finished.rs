//! The receiver's account at the end.

use super::error::WireError;
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::{Codec, get_message, message};

/// Counters that a newer peer may have.
const COUNTERS_MAX: usize = 256;

/// The receiver's account at the end.
#[derive(Default)]
pub(super) struct Finished {
    pub(super) counters: Vec<u64>,
    pub(super) refused: Option<WireError>,
}

message!(Finished, "result" {
    1 optional counters: Numbers,
    2 critical refused: Refusal,
});

struct Numbers;

impl Codec<Vec<u64>> for Numbers {
    fn put(value: &Vec<u64>, out: &mut Vec<u8>) {
        for &number in value {
            out.number(number);
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Vec<u64>> {
        let mut numbers = Vec::new();
        while !reader.is_empty() {
            if numbers.len() == COUNTERS_MAX {
                return malformed(what);
            }
            numbers.push(reader.number(what)?);
        }
        numbers.shrink_to_fit();
        Ok(numbers)
    }
}

struct Refusal;

impl Codec<Option<WireError>> for Refusal {
    fn put(value: &Option<WireError>, out: &mut Vec<u8>) {
        if let Some(error) = value {
            crate::field::Message::put_fields(error, out);
        }
    }

    fn get(reader: &mut Reader<'_>, _what: &'static str) -> Decoded<Option<WireError>> {
        get_message(reader).map(Some)
    }
}
