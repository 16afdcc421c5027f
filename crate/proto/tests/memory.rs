//! What a decoded frame holds in memory, asked of the allocator: the worst that a hostile peer can make of each type.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "a frame that cannot be made has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sparsync_proto::codec::Write;
use sparsync_proto::{Frame, Version, limits};

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    HELD.with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that a frame with this body holds once it is decoded, and what it says of itself.
fn held(body: &[u8]) -> (usize, usize) {
    let before = HELD.get();
    let frame = Frame::decode(Version::V1, body).unwrap();
    let held = usize::try_from(HELD.get() - before).unwrap() + size_of::<Frame>();
    (held, frame.memory_bytes())
}

/// Every name of one or two bytes in ascending order, then of three.
fn shortest_names(most: usize) -> Vec<Vec<u8>> {
    let letters = || (1..=255u8).filter(|&byte| byte != b'/' && byte != b'.');
    let one = letters().map(|a| vec![a]);
    let two = letters().flat_map(|a| letters().map(move |b| vec![a, b]));
    let three = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| vec![a, b, c])));
    let mut names: Vec<_> = one.chain(two).chain(three).take(most.min(300_000)).collect();
    names.sort();
    names
}

fn field(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    out.number(number << 1 | 1);
    out.bytes(value);
}

/// A body of the type, and `part` as often as fits.
fn full(head: &[u8], part: &[u8], most: usize) -> Vec<u8> {
    let room = limits::FRAME_BYTES_MAX - head.len();
    [head, &part.repeat((room / part.len()).min(most))].concat()
}

fn list(kind: u8, rest: &[u8], content: bool, most: usize) -> Vec<u8> {
    let mut body = vec![6, 0, 0, u8::from(content)];
    for name in shortest_names(most) {
        let mut entry = vec![kind];
        entry.bytes(&name);
        entry.raw(rest);
        if body.len() + entry.len() > limits::FRAME_BYTES_MAX {
            break;
        }
        body.raw(&entry);
    }
    body
}

/// Directories whose paths repeat a long one, and as many that spell out nothing as make room for that.
fn repeating_directories() -> Vec<u8> {
    let long = b"d/".repeat(100);
    let long = &long[..long.len() - 1];
    let record = |shared: usize, rest: &[u8]| {
        let mut out = Vec::new();
        out.number(shared as u64);
        out.bytes(rest);
        out.raw(&[0; 22]);
        out
    };
    [vec![5], record(0, long), record(long.len(), b"").repeat(1000), record(0, b"").repeat(1050)].concat()
}

fn result_with_details() -> Vec<u8> {
    let mut error = Vec::new();
    field(&mut error, 1, &[12]);
    field(&mut error, 4, &full(&[], &[0, 0, 0], 16));
    let mut body = vec![14];
    field(&mut body, 1, &[0; 256]);
    field(&mut body, 2, &error);
    body
}

fn profile(threads: u8, phases: u8) -> Vec<u8> {
    let mut body = vec![18, 0, 0];
    body.number(u64::from(threads));
    for _ in 0..threads {
        body.raw(&[0, 0, 0, 0, 0]);
        body.number(u64::from(phases));
        body.raw(&[0, 0, 0, 0].repeat(usize::from(phases)));
    }
    body
}

fn worst() -> Vec<(&'static str, Vec<u8>)> {
    let one_file = [0; 6];
    let mut sources = vec![2];
    field(&mut sources, 4, &[0; limits::SOURCES_MAX]);
    let mut issue = vec![12];
    field(&mut issue, 2, b"");
    issue.number(3 << 1);
    issue.bytes(&[0xff; limits::MESSAGE_BYTES_MAX]);
    let mut all = vec![
        ("Hello", b"\x01SPSY\x01\x01".to_vec()),
        ("Request", sources),
        ("Accept", vec![3]),
        ("TreeDigest", [&[4][..], &[0; 16]].concat()),
        ("Directories", full(&[5], &[0; 24], usize::MAX)),
        ("Directories, repeating", repeating_directories()),
        ("TreeEnd", vec![7, 0, 0, 0, 0]),
        ("Need", full(&[8, 0x80, 0x80, 0x3f, 0], &[1], 0x0f_c000 - 1)),
        ("Want", [full(&[9, 0, 0x80, 0x80, 0x3f, 0], &[1], 0x0f_c000 - 1), vec![0]].concat()),
        ("Want, resume", full(&[9, 0, 0, 0x80, 0xf0, 0x01], &[0; 34], 0x7800)),
        ("Bases", full(&[60, 0], &[0, 1], usize::MAX)),
        ("Chunks", full(&[61, 0, 0, 0], &[1; 17], usize::MAX)),
        ("Settled", vec![10, 0]),
        ("Items", full(&[11], &[0; 5], usize::MAX)),
        ("Items, hard links", full(&[11], &[0x80, 0, 0, 0, 0, 2, 2, 0], usize::MAX)),
        ("Items, details", full(&[11], &[0x80, 0, 0, 0, 0, 8, 4, 6, 0, 0, 0, 0, 0, 0], usize::MAX)),
        ("Items, stamps", full(&[11], &[&[0x80, 0, 0, 0, 0, 26, 6, 24][..], &[0; 24]].concat(), usize::MAX)),
        ("Items, named", full(&[11], &[0, 0, 0, 0, 1, b'a'], usize::MAX)),
        ("Issue", issue),
        ("Heartbeat", vec![13, 0]),
        ("Finished", result_with_details()),
        ("Abort", {
            let mut body = vec![15];
            field(&mut body, 4, &[0; 48]);
            body
        }),
        ("ListRequest", vec![16, 0, 0]),
        ("StatRequest", vec![19, 0, 0]),
        ("StatReply", vec![20, 0, 0, 0, 0, 0, 0, 0]),
        ("Explained", vec![25]),
        ("Join", vec![80, 0]),
        ("Joined", vec![81, 0]),
        ("Paths", vec![40, 0, b'a', 0]),
        ("ListReply", full(&[17, 0], &[0, 1, b'a', 0, 0, 0, 0, 0, 0], usize::MAX)),
        ("Profile", profile(255, 255)),
        ("Profile, threads", profile(255, 0)),
    ];
    for most in [1, 253, 1000, 20_000, 64_000, usize::MAX] {
        all.push(("List of directories", list(1, b"", false, most)));
        all.push(("List of files", list(0, &one_file, false, most)));
        all.push(("List of files with content", list(0, &[0; 38], true, most)));
        all.push(("List of directories with content", list(1, b"", true, most)));
        // Of a leader in the top with the name of the entry itself.
        all.push(("List of hard links", list(4, b"\x80\x20\0\0\0\0\x04\x07\x02\0\x01", false, most)));
        // One attribute with a name of one byte and no value.
        all.push(("List with attributes", list(4, b"\x80\x20\0\0\0\0\x05\x03\x03\x01a\0", false, most)));
    }
    all
}

#[test]
fn a_frame_holds_no_more_memory_than_the_factor_says() {
    let mut types = std::collections::BTreeSet::new();
    for (name, body) in worst() {
        types.insert(body[0]);
        let (held, told) = held(&body);
        let most = limits::MEMORY_FACTOR * body.len() + limits::MEMORY_FIXED_BYTES;
        assert!(held <= most, "{name}: {held} bytes of memory for {} on the wire", body.len());
        // The queue of frames goes by what a frame says of itself.
        assert!(told >= held * 9 / 10, "{name}: it says {told} and holds {held}");
    }
    assert_eq!(types, (1..=20).chain([25, 40, 60, 61, 80, 81]).collect(), "every type of frame");
}
