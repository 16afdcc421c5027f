//! Every frame and record as the document spells it, and the words of its tables.

use crate::examples::{frames, future, listing, meta, name, path, pull_of_a_file, records, request, xattrs};
use crate::{body, encoded, hex, unhex};
use sparsync_proto::codec::Reader;
use sparsync_proto::mux::{Header, StreamId};
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader, Record};
use sparsync_proto::subflow::{Join, TOKEN_BYTES};
use sparsync_proto::{
    Attributes, DecodeError, Deletion, ErrorKind, FIGURES, Frame, FrameDecoder, IssueKind, Kind, Listing, PHASES,
    Reasons, RelPath, Request, TreeHasher, Version, Xattrs, limits,
};

/// The golden bytes of the document: each line of a block of the kind `hex` is a name, a colon and the bytes.
fn documented() -> Vec<(String, String)> {
    let text = include_str!("../../../../docs/protocol.md");
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```hex" => inside = true,
            "```" => inside = false,
            _ if inside => {
                let (name, bytes) = line.split_once(':').expect("a name and its bytes");
                found.push((name.trim().to_owned(), bytes.split_whitespace().collect()));
            }
            _ => {}
        }
    }
    found
}

fn golden() -> Vec<(String, String)> {
    let frames = frames().into_iter().map(|(name, frame)| (name.to_owned(), hex(&encoded(&frame))));
    let records = records().into_iter().map(|(name, record)| {
        let mut out = Vec::new();
        record.encode(&mut out);
        (name.to_owned(), hex(&out))
    });
    let header = |header: PackHeader| hex(&header.encode());
    let lane = StreamId { session: 1, stream: 2 };
    let join = Join { token: [7; TOKEN_BYTES], lane };
    let headers = [
        ("Subflow, join", hex(&join.encode())),
        ("Pack, stored", header(PackHeader { compressed: false, stored_bytes: 300, raw_bytes: 300 })),
        ("Pack, LZ4", header(PackHeader { compressed: true, stored_bytes: 300, raw_bytes: 70_000 })),
    ];
    let pipe = [
        ("Pipe, bytes of a data lane", Header::Data(lane, 65_536)),
        ("Pipe, credit", Header::Credit(StreamId { session: 0, stream: 0 }, 131_072)),
        ("Pipe, end", Header::End(StreamId { session: 1, stream: 1 })),
        ("Pipe, stop", Header::Stop(1)),
        ("Pipe, close", Header::Close(ErrorKind::Closed.to_wire(), 12)),
        ("Pipe, ping", Header::Ping(1)),
        ("Pipe, pong", Header::Pong(1)),
        ("Pipe, ask", Header::Ask),
        ("Pipe, offer", Header::Offer),
        ("Pipe, stands", Header::Stands(0x0102_0305)),
    ];
    let pipe = pipe.map(|(name, header)| (name.to_owned(), hex(&header.encode())));
    let attributes = request().attributes;
    let directory = attributes.digest(&listing());
    let mut tree = TreeHasher::default();
    tree.add(&attributes, &RelPath::root(), (&meta(), &Xattrs::default()), &directory);
    tree.add(&attributes, &path(b"d"), (&meta(), &Xattrs::default()), &attributes.digest(&Listing::new()));
    let all = Attributes { xattrs: true, ..attributes };
    let mut with_xattrs = Listing::new();
    assert!(with_xattrs.push(name(b"a"), Kind::File, 300, meta(), b""));
    with_xattrs.set_last_xattrs(xattrs());
    let digests = [
        ("Digest with extended attributes", hex(&all.digest(&with_xattrs))),
        ("Digest of the directory", hex(&directory)),
        ("Digest of an empty directory", hex(&attributes.digest(&Listing::new()))),
        ("Digest of the tree", hex(&tree.finish())),
    ];
    let future = future().into_iter().map(|(name, bytes)| (name.to_owned(), hex(&bytes)));
    frames
        .chain(records)
        .chain(future)
        .chain(pipe)
        .chain(headers.into_iter().chain(digests).map(|(name, hex)| (name.to_owned(), hex)))
        .collect()
}

#[test]
fn the_document_has_every_byte() {
    let documented = documented();
    for (name, bytes) in golden() {
        let found: Vec<_> = documented.iter().filter(|(other, _)| *other == name).collect();
        assert_eq!(found.len(), 1, "docs/protocol.md has this once: {name}: {bytes}");
        assert_eq!(found[0].1, bytes, "{name}");
    }
    assert_eq!(documented.len(), golden().len(), "the document has no bytes that nothing checks");
}

#[test]
fn documented_frames_are_read_and_written_again() {
    for (name, bytes) in documented() {
        let bytes = unhex(&bytes);
        if frames().iter().any(|(frame, _)| *frame == name) {
            let mut decoder = FrameDecoder::default();
            decoder.feed(&bytes);
            let frame = decoder.next_frame().unwrap().unwrap();
            assert!(decoder.is_empty());
            assert_eq!(encoded(&frame), bytes, "{name}");
        } else if records().iter().any(|(record, _)| *record == name) {
            let mut reader = Reader::new(&bytes);
            let record = Record::decode(&mut reader).unwrap();
            assert!(reader.is_empty());
            let expected = records().into_iter().find(|(record, _)| *record == name).unwrap().1;
            assert_eq!(record, expected);
        } else if let Ok(header) = <[u8; PACK_HEADER_BYTES]>::try_from(&bytes[..]) {
            assert_eq!(PackHeader::decode(&header).unwrap().encode(), header);
        }
    }
}

#[test]
fn a_field_of_the_future_is_passed_over_or_refused_by_its_number() {
    let read = |name: &str| {
        let (_, bytes) = documented().into_iter().find(|(other, _)| other == name).unwrap();
        let mut decoder = FrameDecoder::default();
        decoder.feed(&unhex(&bytes));
        decoder.next_frame()
    };
    match read("Request with a hint of the future") {
        Ok(Some(Frame::Request(read))) => assert_eq!(*read, request()),
        other => panic!("{other:?}"),
    }
    let refused = read("Request with a demand of the future").unwrap_err();
    assert_eq!(refused, DecodeError::UnknownField { message: "request", number: 1001 });
    assert_eq!(
        refused.to_string(),
        "the request has the field 1001, which this end does not know (it speaks protocol versions 1 to 1)"
    );
}

/// What the frames took before they were made of fields: a request with every option, and an entry.
#[test]
fn fields_cost_little() {
    let options = Request { file_name: None, sources: Vec::new(), ..pull_of_a_file() };
    let everything = Request {
        recursive: true,
        partial: true,
        itemize: true,
        lock_wait_ms: 1000,
        deletion: Deletion { delete: true, force: true, max: Some(1000), allow_mass: true, ..Deletion::default() },
        ..options
    };
    let plain = 47;
    let now = encoded(&Frame::Request(Box::new(everything))).len();
    assert!(now <= plain + 64, "{now} bytes, and {plain} without fields");
    let mut entry = Vec::new();
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 300, meta(), b""));
    listing.put(0, 0, &mut entry);
    // Kind, length and name, size, mode, owner, group, seconds, nanoseconds.
    assert_eq!(entry.len(), 1 + 2 + 2 + 2 + 2 + 1 + 5 + 4);
}

#[test]
fn every_type_of_frame_has_its_bytes() {
    let types: std::collections::BTreeSet<u8> = frames().iter().map(|(_, frame)| body(frame)[0]).collect();
    assert_eq!(types, (1..=23).chain([25, 40, 60, 61, 62, 80, 81]).collect());
    for unknown in [0, 24, 255] {
        assert!(Frame::decode(Version::V1, &[unknown]).is_err());
    }
    let records = records();
    let types = records.iter().enumerate().map(|(number, (_, record))| {
        let mut out = Vec::new();
        record.encode(&mut out);
        assert_eq!(usize::from(out[0]), number);
    });
    assert_eq!(types.count(), 13);
}

#[test]
fn the_words_of_the_document_are_those_of_the_code() {
    let text = include_str!("../../../../docs/protocol.md");
    // A formatter may line tables up.
    let text = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for (number, counter) in sparsync_proto::COUNTERS.iter().enumerate() {
        assert!(text.contains(&format!("| {number} | `{counter}` |")), "{counter}");
    }
    for words in [FIGURES, PHASES] {
        for (number, word) in words.iter().enumerate() {
            assert!(text.contains(&format!("| {number} | `{word}` |")), "{word}");
        }
    }
    for kind in ErrorKind::ALL {
        assert!(text.contains(&format!("| {} | `{}` |", kind.to_wire(), kind.code())), "{kind:?}");
    }
    for (_, bit, word) in Reasons::ALL {
        assert!(text.contains(&format!("| {bit} | `{word}` |")), "{word}");
    }
    for kind in IssueKind::ALL {
        assert!(text.contains(&format!("| {} | `{}` |", *kind as u8, kind.as_str())), "{kind:?}");
    }
    for cap in [
        limits::SOURCES_MAX,
        limits::XATTR_VALUE_BYTES_MAX,
        limits::XATTRS_BYTES_MAX,
        limits::FRAME_BYTES_MAX,
        limits::NAME_BYTES_MAX,
        limits::PATH_BYTES_MAX,
        limits::DEPTH_MAX,
        limits::LINK_BYTES_MAX,
        limits::PACK_BYTES_MAX,
        limits::WHOLE_FILE_BYTES_MAX,
        limits::MESSAGE_BYTES_MAX,
        limits::ROOT_NAME_BYTES_MAX,
        limits::DIRECTORY_ENTRIES_MAX,
    ] {
        assert!(text.contains(&format!("| {cap} |")), "the cap of {cap}");
    }
    assert!(text.contains(std::str::from_utf8(limits::ALPN).unwrap()));
}
