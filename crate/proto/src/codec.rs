//! Reading and writing the wire's primitive types. Every length is checked against a cap and against what is
//! there before anything is allocated.

use crate::version::Version;

/// What is wrong with bytes from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not allowed by the protocol.
    #[error("malformed {what}")]
    Malformed {
        /// The value that could not be read.
        what: &'static str,
    },
    /// The message has a critical field that this build does not know: the peer is newer.
    #[error(
        "the {message} has the field {number}, which this end does not know (it speaks protocol versions {})",
        Version::range()
    )]
    UnknownField {
        /// The message of the field.
        message: &'static str,
        /// Its number.
        number: u64,
    },
}

/// The result of decoding.
pub type Decoded<T> = Result<T, DecodeError>;

/// The error of a malformed value.
pub(crate) fn malformed<T>(what: &'static str) -> Decoded<T> {
    Err(DecodeError::Malformed { what })
}

/// Reads primitive values off the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Fails when something is left.
    pub fn end(&self, what: &'static str) -> Decoded<()> {
        if self.is_empty() { Ok(()) } else { malformed(what) }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, what: &'static str) -> Decoded<&'a [u8]> {
        let Some((head, rest)) = self.rest.split_at_checked(count) else {
            return malformed(what);
        };
        self.rest = rest;
        Ok(head)
    }

    /// The next bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Decoded<[u8; N]> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return malformed(what);
        };
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn byte(&mut self, what: &'static str) -> Decoded<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    /// An unsigned number: seven bits a byte, least first, the top bit says that more follow; at most ten bytes
    /// and no padding.
    pub fn number(&mut self, what: &'static str) -> Decoded<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return malformed(what);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift != 0 {
                    return malformed(what);
                }
                return Ok(value);
            }
        }
        malformed(what)
    }

    /// A number that must fit the smaller type `T`.
    pub fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Decoded<T> {
        T::try_from(self.number(what)?).or_else(|_| malformed(what))
    }

    /// A signed number, zigzag coded.
    pub fn signed(&mut self, what: &'static str) -> Decoded<i64> {
        let raw = self.number(what)?;
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    /// A length, at most `max`.
    pub fn length(&mut self, max: usize, what: &'static str) -> Decoded<usize> {
        let length: usize = self.small(what)?;
        if length > max { malformed(what) } else { Ok(length) }
    }

    /// Bytes behind their length, at most `max` of them.
    pub fn bytes(&mut self, max: usize, what: &'static str) -> Decoded<&'a [u8]> {
        let length = self.length(max, what)?;
        self.take(length, what)
    }

    /// Bytes behind their length as text. Bytes that are no UTF-8 are replaced.
    pub fn text(&mut self, max: usize, what: &'static str) -> Decoded<String> {
        Ok(text_of(self.bytes(max, what)?))
    }
}

/// Bytes as text. Those that are no UTF-8 are replaced.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    // Replacing makes text longer, and leaves room unused.
    text.shrink_to_fit();
    text
}

/// Writes the primitive values that [`Reader`] reads.
pub trait Write {
    /// Appends raw bytes.
    fn raw(&mut self, bytes: &[u8]);

    /// Appends one byte.
    fn byte(&mut self, byte: u8) {
        self.raw(&[byte]);
    }

    /// Appends an unsigned number.
    fn number(&mut self, mut value: u64) {
        let mut buffer = [0u8; 10];
        let mut used = 0;
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            buffer[used] = if value == 0 { low } else { low | 0x80 };
            used += 1;
            if value == 0 {
                break;
            }
        }
        self.raw(&buffer[..used]);
    }

    /// Appends a signed number.
    fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// Appends bytes behind their length.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Appends text behind its length, cut to `max` bytes at a character's border.
    fn text(&mut self, text: &str, max: usize) {
        self.bytes(&text.as_bytes()[..text.char_floor(max)]);
    }

    /// Appends text without a length, cut in the same way.
    fn cut_text(&mut self, text: &str, max: usize) {
        self.raw(&text.as_bytes()[..text.char_floor(max)]);
    }
}

impl Write for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

trait CharFloor {
    fn char_floor(&self, max: usize) -> usize;
}

impl CharFloor for str {
    fn char_floor(&self, max: usize) -> usize {
        if self.len() <= max {
            return self.len();
        }
        (0..=max).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Write};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_survive(value: u64, signed: i64) {
            let mut out = Vec::new();
            out.number(value);
            out.signed(signed);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.number("n"), Ok(value));
            prop_assert_eq!(reader.signed("s"), Ok(signed));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.number("n").is_ok() {}
            let _ = Reader::new(&bytes).bytes(16, "b");
        }
    }

    #[test]
    fn a_length_beyond_its_cap_or_its_bytes_is_refused_cve_2024_12084() {
        let mut out = Vec::new();
        out.number(17);
        assert!(Reader::new(&out).bytes(16, "b").is_err());
        let mut out = Vec::new();
        out.number(3);
        out.raw(b"ab");
        assert!(Reader::new(&out).bytes(16, "b").is_err());
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert!(Reader::new(&[0x80, 0x00]).number("n").is_err());
        assert!(Reader::new(&[0xff; 10]).number("n").is_err());
    }
}
