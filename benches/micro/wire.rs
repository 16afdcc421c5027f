//! Micro-benchmarks of `sparsync-proto`: frames, packs, digests, the planner; and of the two libraries that touch
//! every byte, BLAKE3 and LZ4.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sparsync_proto::codec::Reader;
use sparsync_proto::pack::{FileId, Record, put_whole_head};
use sparsync_proto::{
    Attributes, Directory, Frame, FrameDecoder, Kind, Listing, Meta, Name, RelPath, Rules, Selection, Time, TreeHasher,
    Version, Xattrs, encode_list, plan,
};

/// As many as the seed's set has in all.
const ENTRIES: u32 = 1000;

/// The seed's small files.
const SMALL_BYTES: usize = 4096;

fn meta(seconds: i64) -> Meta {
    Meta { mode: 0o644, uid: 1000, gid: 1000, mtime: Time { seconds, nanos: 123_456_789 } }
}

fn listing(entries: u32, seconds: i64) -> Listing {
    let mut listing = Listing::new();
    for index in 0..entries {
        let name = format!("file-{index:06}.bin");
        let name = Name::new(name.as_bytes()).expect("a name");
        listing.push(name, Kind::File, SMALL_BYTES as u64, meta(seconds + i64::from(index)), b"");
    }
    listing.sort();
    listing
}

fn attributes() -> Attributes {
    Attributes { perms: true, times: true, owner: true, group: true, links: true, ..Attributes::default() }
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

fn text(bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["const ", "return ", "import ", "async ", "await ", "value ", "path ", "entry\n"];
    let mut out = Vec::with_capacity(bytes + 8);
    for choice in noise(bytes) {
        out.extend_from_slice(WORDS[usize::from(choice & 7)].as_bytes());
        if out.len() >= bytes {
            break;
        }
    }
    out.truncate(bytes);
    out
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(ENTRIES.into()));
    let entries = listing(ENTRIES, 1);
    let encode = |listing: &Listing| {
        let mut encoded = Vec::new();
        encode_list(Version::V1, 0, listing, |part| encoded.extend_from_slice(&part));
        encoded
    };
    group.bench_function("encode a listing", |bencher| bencher.iter(|| encode(black_box(&entries))));
    let encoded = encode(&entries);
    let decode = |bytes: &[u8]| {
        let mut decoder = FrameDecoder::default();
        decoder.feed(bytes);
        let mut frames = 0;
        while let Some(frame) = decoder.next_frame().expect("well-formed") {
            black_box(&frame);
            frames += 1;
        }
        frames
    };
    group.bench_function("decode a listing", |bencher| bencher.iter(|| decode(black_box(&encoded))));

    let directory = |index: u32| Directory {
        unlisted: false,
        path: if index == 0 {
            RelPath::root()
        } else {
            RelPath::new(format!("packages/package-{index:05}/source").as_bytes()).expect("a path")
        },
        meta: meta(1),
        xattrs: Xattrs::default(),
        digest: [7; 16],
        entries: 100,
    };
    let frame = Frame::Directories((0..ENTRIES).map(directory).collect());
    let mut encoded = Vec::new();
    frame.encode(Version::V1, &mut encoded);
    group.bench_function("encode directories", |bencher| {
        bencher.iter_batched_ref(
            || Vec::with_capacity(encoded.len()),
            |out| black_box(&frame).encode(Version::V1, out),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("decode directories", |bencher| bencher.iter(|| decode(black_box(&encoded))));
    group.finish();
}

fn packs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packs");
    let content = noise(SMALL_BYTES);
    let digest = *blake3::hash(&content).as_bytes();
    let files = 64;
    group.throughput(Throughput::Bytes(u64::from(files) * SMALL_BYTES as u64));
    let fill = |out: &mut Vec<u8>| {
        for index in 0..files {
            put_whole_head(FileId { directory: 3, index }, None, content.len(), out);
            out.extend_from_slice(&content);
            out.extend_from_slice(&digest);
        }
    };
    group.bench_function("fill", |bencher| {
        bencher.iter_batched_ref(|| Vec::with_capacity(512 << 10), fill, BatchSize::SmallInput);
    });
    let mut pack = Vec::new();
    fill(&mut pack);
    group.bench_function("take apart", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::new(black_box(&pack));
            while !reader.is_empty() {
                black_box(Record::decode(&mut reader).expect("well-formed"));
            }
        });
    });
    group.finish();
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decisions");
    group.throughput(Throughput::Elements(ENTRIES.into()));
    let attributes = attributes();
    let (source, same, other) = (listing(ENTRIES, 1), listing(ENTRIES, 1), listing(ENTRIES, 2));
    let source_ids = sparsync_proto::SourceIds::Claimed;
    let rules = Rules { attributes, source_ids, recursive: true, selection: Selection::default(), append_only: false };
    group.bench_function("digest of a listing", |bencher| bencher.iter(|| attributes.digest(black_box(&source))));
    let steps = |destination: &Listing| {
        let mut steps = 0;
        plan(&rules, black_box(&source), black_box(destination), |_| steps += 1);
        steps
    };
    group.bench_function("plan, equal", |bencher| bencher.iter(|| steps(&same)));
    group.bench_function("plan, all different", |bencher| bencher.iter(|| steps(&other)));
    group.bench_function("plan, all missing", |bencher| bencher.iter(|| steps(&Listing::new())));
    let path = RelPath::new(b"packages/package/source").expect("a path");
    let none = Xattrs::default();
    group.bench_function("digest of a tree", |bencher| {
        bencher.iter(|| {
            let mut tree = TreeHasher::default();
            for _ in 0..ENTRIES {
                tree.add(&attributes, black_box(&path), (&meta(1), &none), &[7; 16]);
            }
            tree.finish()
        });
    });
    group.finish();
}

fn bytes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hashing");
    for size in [1 << 10, SMALL_BYTES, 64 << 10, 1 << 20] {
        let content = noise(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("BLAKE3 of {size} bytes"), |bencher| {
            bencher.iter(|| blake3::hash(black_box(&content)));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("compression");
    let size = 256 << 10;
    group.throughput(Throughput::Bytes(size as u64));
    for (name, content) in [("noise", noise(size)), ("text", text(size))] {
        group.bench_function(format!("LZ4 of {name}"), |bencher| {
            bencher.iter(|| lz4_flex::block::compress(black_box(&content)));
        });
        let compressed = lz4_flex::block::compress(&content);
        group.bench_function(format!("LZ4 back to {name}"), |bencher| {
            bencher.iter(|| lz4_flex::block::decompress(black_box(&compressed), size).expect("valid"));
        });
    }
    group.finish();
}

criterion_group!(benches, frames, packs, decisions, bytes);
criterion_main!(benches);
