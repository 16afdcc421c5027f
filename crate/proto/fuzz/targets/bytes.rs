//! The decoders: whatever comes, they end with a value or an error, and a value that is written again is the same one.

use sparsync_proto::codec::Reader;
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader, Record};
use sparsync_proto::{Frame, FrameDecoder, Version, limits};

fn written(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(Version::V1, &mut bytes);
    bytes
}

/// A frame as it is on the control lane, with its length.
fn read(bytes: &[u8]) -> Frame {
    let mut decoder = FrameDecoder::default();
    decoder.feed(bytes);
    let frame = decoder.next_frame().expect("what was written can be read").expect("it is whole");
    assert!(decoder.is_empty(), "nothing follows it");
    frame
}

/// The body of one frame, which also takes no more memory than is stated.
pub(super) fn frame(data: &[u8]) {
    if let Ok(frame) = Frame::decode(Version::V1, data) {
        let most = limits::MEMORY_FACTOR * data.len() + limits::MEMORY_FIXED_BYTES;
        assert!(frame.memory_bytes() <= most, "{} bytes of memory for {}", frame.memory_bytes(), data.len());
        let bytes = written(&frame);
        assert_eq!(written(&read(&bytes)), bytes, "{frame:?}");
    }
}

/// A control lane that arrives in pieces: the first byte says of which size. Pieces change nothing.
pub(super) fn frames(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    let pieces = decode(bytes, usize::from(size).max(1));
    assert_eq!(whole, pieces);
}

/// The frames of a lane, each written again, and whether it ended with an error.
fn decode(bytes: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = FrameDecoder::default();
    let mut frames = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.feed(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(written(&frame)),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

/// A pack's header, and the records of a pack.
pub(super) fn pack(data: &[u8]) {
    if let Some((header, _)) = data.split_first_chunk::<PACK_HEADER_BYTES>()
        && let Ok(read) = PackHeader::decode(header)
    {
        assert_eq!(read.encode(), *header);
    }
    let mut reader = Reader::new(data);
    while !reader.is_empty() {
        let Ok(record) = Record::decode(&mut reader) else { return };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(Record::decode(&mut Reader::new(&bytes)).as_ref(), Ok(&record));
    }
}
