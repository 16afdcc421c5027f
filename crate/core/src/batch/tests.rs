//! Batches whose digests are right, and that no run wrote.

use std::os::unix::ffi::OsStrExt as _;

use sparsync_proto::{Directory, Frame, Kind, Listing, Meta, Name, RelPath, Version, Xattrs, encode_list};

use super::{END, FILE, FRAMES, MAGIC, PART, VERSION, open};
use crate::error::{ErrorKind, Result};

/// A record: its kind and what it holds.
type Record = (u8, Vec<u8>);

fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).unwrap()
}

fn frame(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(Version::NEWEST, &mut out);
    out
}

fn directory(at: &str, number: u32, names: &[(&str, Kind)]) -> Vec<u8> {
    let mut listing = Listing::new();
    for (name, kind) in names {
        assert!(listing.push(Name::new(name.as_bytes()).unwrap(), *kind, 3, Meta::default(), b""));
    }
    let (meta, xattrs) = (Meta::default(), Xattrs::default());
    let record = Directory { path: path(at), meta, xattrs, digest: [0; 16], entries: 0, unlisted: false };
    let mut out = frame(&Frame::Directories(vec![record]));
    encode_list(Version::NEWEST, number, &listing, |frame| out.extend(frame));
    out
}

fn request() -> Vec<u8> {
    frame(&Frame::Request(Box::default()))
}

fn content(name: &str, size: u64, held: &[u8]) -> Vec<Record> {
    let mut hash = blake3::Hasher::new();
    hash.update(&0u64.to_le_bytes()).update(&(held.len() as u64).to_le_bytes()).update(held);
    let file = [&size.to_le_bytes()[..], hash.finalize().as_bytes(), name.as_bytes()].concat();
    vec![(PART, [&[0; 8][..], held].concat()), (FILE, file)]
}

/// Opens a batch of these records.
fn opened(records: &[Record]) -> Result<()> {
    let (mut out, mut hash) = ([&MAGIC[..], &[VERSION]].concat(), blake3::Hasher::new());
    hash.update(&out);
    for (kind, bytes) in records {
        let head = [&[*kind][..], &(bytes.len() as u64).to_le_bytes()].concat();
        hash.update(&head).update(if *kind == PART { &bytes[..8] } else { bytes });
        out.extend([&head, bytes].into_iter().flatten());
    }
    out.extend([&[END][..], &32u64.to_le_bytes(), hash.finalize().as_bytes()].concat());
    let place = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(place.path(), out).unwrap();
    open(place.path().as_os_str().as_bytes(), &|| Ok(())).map(drop)
}

fn frames(all: &[Vec<u8>]) -> Record {
    (FRAMES, all.concat())
}

#[test]
fn what_no_run_writes_is_refused_whatever_its_digest_says() {
    let top = || directory("", 0, &[("d", Kind::Directory), ("f", Kind::File)]);
    let with = |more: Vec<Record>| [vec![frames(&[request(), top()])], more].concat();
    assert!(opened(&with(content("f", 3, b"abc"))).is_ok());
    let mut leads_up = top();
    let at = leads_up.windows(3).position(|bytes| bytes == [Kind::Directory as u8, 1, b'd']).unwrap();
    leads_up[at + 2] = b'/';
    let bad: [(&str, Vec<Record>); 12] = [
        ("a name that is none", vec![frames(&[request(), leads_up])]),
        ("no request", vec![frames(&[top()])]),
        ("two requests", vec![frames(&[request(), request(), top()])]),
        ("a directory twice", vec![frames(&[request(), top(), directory("", 1, &[])])]),
        ("a listing of another directory", vec![frames(&[request(), directory("", 7, &[])])]),
        ("what a batch has not", vec![frames(&[request(), top(), frame(&Frame::Removed)])]),
        ("content of nothing", with(content("x", 3, b"abc"))),
        ("content of a directory", with(content("d", 3, b"abc"))),
        ("content of another size", with(content("f", 4, b"abc"))),
        ("content beyond its size", with(content("f", 3, b"abcd"))),
        ("content twice", with([content("f", 3, b"abc"), content("f", 3, b"abc")].concat())),
        ("parts of nobody", with(content("f", 3, b"abc")[..1].to_vec())),
    ];
    for (label, records) in bad {
        let error = opened(&records).expect_err(label);
        assert_eq!(error.kind(), ErrorKind::Config, "{label}: {error}");
    }
}
