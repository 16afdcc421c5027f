//! Every frame and record as `docs/protocol.md` spells it, and the properties of every codec.
#![allow(unreachable_pub, reason = "the modules of one test")]
#![allow(clippy::unwrap_used, reason = "a vector that cannot be read has failed")]
#![allow(clippy::needless_update, reason = "the table of options grows")]

mod document;
mod examples;
mod properties;
mod strategies;

use sparsync_proto::codec::Reader;
use sparsync_proto::{Frame, Version, limits};

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(Version::V1, &mut out);
    out
}

fn body(frame: &Frame) -> Vec<u8> {
    let encoded = encoded(frame);
    Reader::new(&encoded).bytes(limits::FRAME_BYTES_MAX, "frame").unwrap().to_vec()
}
