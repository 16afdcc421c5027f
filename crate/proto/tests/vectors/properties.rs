//! What holds for every value of every codec, and for bytes that are none.

use crate::examples::error;
use crate::strategies::{any_frame, any_listing, any_record, record};
use crate::{body, encoded};
use proptest::collection::vec;
use proptest::prelude::*;
use sparsync_proto::codec::{Reader, Write as _};
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader, Record};
use sparsync_proto::{DecodeError, Frame, FrameDecoder, Listing, Version, WireError, encode_list, limits};

/// What was decoded, as text: frames have no equality of their own.
fn shown(frame: &Frame) -> String {
    format!("{frame:?}")
}

#[test]
fn shared_beginnings_do_not_multiply() {
    // One path of half a megabyte, and records that share all of it.
    let long = b"d/".repeat(2000);
    let mut body = vec![5];
    body.number(0);
    body.bytes(&long[..long.len() - 1]);
    for _ in 0..2000 {
        body.raw(&[0; 21]);
        body.number(0);
        body.number(long.len() as u64 - 1);
        body.number(0);
    }
    body.raw(&[0; 21]);
    body.number(0);
    assert!(body.len() < 100_000);
    assert_eq!(Frame::decode(Version::V1, &body).unwrap_err(), DecodeError::Malformed { what: "length of all paths" });
}

#[test]
fn a_length_of_any_size_may_arrive_byte_by_byte() {
    for bytes in [1, 100, 127, 128, 16_000, 16_384, 17_000, 200_000] {
        let error = WireError { path: Some(vec![b'p'; bytes]), ..error() };
        let frame = encoded(&Frame::Abort(error));
        let mut decoder = FrameDecoder::default();
        for (at, byte) in frame.iter().enumerate() {
            decoder.feed(&[*byte]);
            assert_eq!(decoder.next_frame().unwrap().is_some(), at + 1 == frame.len(), "byte {at} of {}", frame.len());
        }
    }
}

proptest! {
    #[test]
    fn frames_survive(frame in any_frame()) {
        let body = body(&frame);
        let decoded = Frame::decode(Version::V1, &body).unwrap();
        prop_assert_eq!(self::body(&decoded), body);
        // Listings share their names' room, so text says the same of them only when they are alike in every byte.
        prop_assert_eq!(shown(&decoded), shown(&frame));
    }

    #[test]
    fn records_survive(fields in vec(any_record(), 1..6)) {
        let mut out = Vec::new();
        for fields in &fields {
            record(fields).encode(&mut out);
        }
        let mut reader = Reader::new(&out);
        for fields in &fields {
            prop_assert_eq!(Record::decode(&mut reader).unwrap(), record(fields));
        }
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn nothing_is_left_over_and_nothing_is_missing(frame in any_frame(), cut: prop::sample::Index, more: u8) {
        let body = body(&frame);
        let cut = cut.index(body.len());
        // A frame that was cut off may decode to a shorter one of its kind, but must not panic.
        if let Ok(shorter) = Frame::decode(Version::V1, &body[..cut]) {
            // A listing that is cut off before its first entry does not show whether it was to have digests of content,
            // and a value that is cut to its default is not written again.
            let again = self::body(&shorter);
            prop_assert!(again.len() <= cut);
            prop_assert_eq!(self::body(&Frame::decode(Version::V1, &again).unwrap()), again);
        }
        let _ = Frame::decode(Version::V1, &[&body[..], &[more]].concat());
    }

    #[test]
    fn a_flipped_bit_is_read_or_refused(frame in any_frame(), at: prop::sample::Index, bit in 0..8u8) {
        let mut body = body(&frame);
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        if let Ok(other) = Frame::decode(Version::V1, &body) {
            let again = self::body(&other);
            prop_assert_eq!(self::body(&Frame::decode(Version::V1, &again).unwrap()), again);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in vec(any::<u8>(), 1..400), kind in 0..22u8) {
        let _ = Frame::decode(Version::V1, &bytes);
        bytes[0] = kind;
        let _ = Frame::decode(Version::V1, &bytes);
        let mut reader = Reader::new(&bytes);
        while !reader.is_empty() && Record::decode(&mut reader).is_ok() {}
        if let Some(header) = bytes.first_chunk::<PACK_HEADER_BYTES>()
            && let Ok(header) = PackHeader::decode(header)
        {
            prop_assert!(header.stored_bytes <= limits::PACK_BYTES_MAX && header.raw_bytes <= limits::PACK_BYTES_MAX);
        }
    }

    #[test]
    fn a_flipped_bit_of_a_record_is_read_or_refused(fields in any_record(), at: prop::sample::Index, bit in 0..8u8) {
        let mut out = Vec::new();
        record(&fields).encode(&mut out);
        let at = at.index(out.len());
        out[at] ^= 1 << bit;
        let mut reader = Reader::new(&out);
        while !reader.is_empty() && Record::decode(&mut reader).is_ok() {}
    }

    #[test]
    fn a_lane_may_arrive_in_any_pieces(frames in vec(any_frame(), 1..6), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.encode(Version::V1, &mut bytes);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut decoder = FrameDecoder::default();
        let mut found = Vec::new();
        for pair in cuts.windows(2) {
            decoder.feed(&bytes[pair[0]..pair[1]]);
            while let Some(frame) = decoder.next_frame().unwrap() {
                found.push(encoded(&frame));
            }
        }
        prop_assert!(decoder.is_empty());
        prop_assert_eq!(found.concat(), bytes);
        prop_assert_eq!(found.len(), frames.len());
    }

    #[test]
    fn a_listing_in_parts_is_the_listing(listing in any_listing(), number: u32) {
        let mut whole = Listing::new();
        let mut decoder = FrameDecoder::default();
        encode_list(Version::V1, number, &listing, |frame| decoder.feed(&frame));
        while let Some(frame) = decoder.next_frame().unwrap() {
            let Frame::List { directory, listing: part, .. } = frame else { panic!("{frame:?}") };
            prop_assert_eq!(directory, number);
            prop_assert!(whole.append(&part));
        }
        prop_assert_eq!(format!("{whole:?}"), format!("{listing:?}"));
    }
}
