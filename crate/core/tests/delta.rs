//! A large file that changed sends what changed, whatever was done to it, and arrives as it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;
use sparsync_core::JobResult;
use sparsync_core::proto::Request;
use support::{Site, leftovers, noise, pull_from, push_to, put, run, stat};

/// What is done to a file.
#[derive(Clone, Debug)]
enum Edit {
    Insert { at: usize, bytes: usize },
    Remove { at: usize, bytes: usize },
    Overwrite { at: usize, bytes: usize },
    Move { from: usize, to: usize, bytes: usize },
    Zero { at: usize, bytes: usize },
    Truncate { bytes: usize },
    Append { bytes: usize },
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = 0..6_000_000_usize;
    let bytes = 1..400_000_usize;
    prop_oneof![
        (at.clone(), bytes.clone()).prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        (at.clone(), bytes.clone()).prop_map(|(at, bytes)| Edit::Remove { at, bytes }),
        (at.clone(), 1..5000_usize).prop_map(|(at, bytes)| Edit::Overwrite { at, bytes }),
        (at.clone(), at.clone(), bytes.clone()).prop_map(|(from, to, bytes)| Edit::Move { from, to, bytes }),
        (at, bytes.clone()).prop_map(|(at, bytes)| Edit::Zero { at, bytes }),
        bytes.clone().prop_map(|bytes| Edit::Truncate { bytes }),
        bytes.prop_map(|bytes| Edit::Append { bytes }),
    ]
}

fn edited(mut content: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for (seed, edit) in (100..).zip(edits) {
        let length = content.len();
        let range = |at: usize, bytes: usize| at.min(length)..(at.min(length) + bytes).min(length);
        match *edit {
            Edit::Insert { at, bytes } => drop(content.splice(range(at, 0), noise(bytes, seed))),
            Edit::Remove { at, bytes } => drop(content.drain(range(at, bytes))),
            Edit::Overwrite { at, bytes } => {
                let range = range(at, bytes);
                let new = noise(range.len(), seed);
                content[range].copy_from_slice(&new);
            }
            Edit::Move { from, to, bytes } => {
                let moved: Vec<u8> = content.drain(range(from, bytes)).collect();
                let to = to.min(content.len());
                drop(content.splice(to..to, moved));
            }
            Edit::Zero { at, bytes } => content[range(at, bytes)].fill(0),
            Edit::Truncate { bytes } => content.truncate(length.saturating_sub(bytes)),
            Edit::Append { bytes } => content.extend(noise(bytes, seed)),
        }
    }
    content
}

/// Bytes that went over the wire, either way.
fn wire(result: &JobResult) -> u64 {
    stat(result, "bytes_sent") + stat(result, "bytes_received")
}

/// Makes a file an old one: two may be of one tick of the clock, and as long as each other.
fn age(path: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

/// Sends a file to where an older state of it is, and judges what arrives.
async fn changed(site: &Site, request: Request, pushed: bool, (old, new): (&[u8], &[u8])) -> JobResult {
    let (from, to) =
        if pushed { (site.local(), site.root().join("dst")) } else { (site.root().join("src"), site.local()) };
    put(&to, "large", old);
    age(&to.join("large"));
    put(&from, "large", new);
    let result = run(&site.client().await, request, &site.local()).await.unwrap();
    assert!(result.failures.failures.is_empty(), "{:?}", result.failures.failures);
    assert!(std::fs::read(to.join("large")).unwrap() == new, "the content is right");
    assert!(leftovers(&to).is_empty());
    result
}

fn requests() -> [(Request, bool); 2] {
    [(push_to("dst"), true), (pull_from("src"), false)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_done_to_a_file_it_arrives_as_it_is(
        bytes in prop_oneof![200_000..600_000_usize, 4_000_000..7_000_000_usize],
        edits in vec(edit(), 0..5),
        (pushed, inplace, sparse) in any::<(bool, bool, bool)>(),
    ) {
        let old = noise(bytes, 1);
        let new = edited(old.clone(), &edits);
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let site = Site::in_memory("").await;
            let (request, _) = requests()[usize::from(!pushed)].clone();
            changed(&site, Request { inplace, sparse, ..request }, pushed, (&old, &new)).await;
        });
    }
}

const LONG: usize = 48 << 20;

#[tokio::test]
async fn what_both_ends_have_does_not_travel() {
    let old = noise(LONG, 1);
    let inserted = edited(old.clone(), &[Edit::Insert { at: LONG / 3, bytes: 8192 }]);
    let scattered: Vec<Edit> =
        (0..48).map(|edit| Edit::Overwrite { at: (edit * 999_983) % LONG, bytes: 4096 }).collect();
    let scattered = edited(old.clone(), &scattered);
    let appended = edited(old.clone(), &[Edit::Append { bytes: 500_000 }]);
    let shuffled: Vec<u8> =
        [5, 0, 3, 1, 4, 2].iter().flat_map(|part| old[part * (8 << 20)..][..8 << 20].to_vec()).collect();
    // Beside what is new: 20 bytes for each of some 400 pieces, and the chunks around each change.
    let cases =
        [(&inserted, 90_000), (&scattered, 48 * 26_000), (&appended, 700_000), (&shuffled, 400_000), (&old, 40_000)];
    let site = Site::in_memory("").await;
    for (request, pushed) in requests() {
        for (number, (new, most)) in cases.iter().enumerate() {
            let result = changed(&site, request.clone(), pushed, (&old, new)).await;
            assert!(wire(&result) < *most, "case {number}: {} bytes", wire(&result));
            assert_eq!(stat(&result, "bytes_reused") + stat(&result, "bytes_transferred"), new.len() as u64);
        }
    }
}

#[tokio::test]
async fn in_place_what_is_right_stays_and_the_inode_too() {
    let old = noise(LONG, 1);
    let site = Site::in_memory("").await;
    for (request, pushed) in requests() {
        let request = Request { inplace: true, ..request };
        let new = edited(old.clone(), &[Edit::Overwrite { at: 1 << 20, bytes: 4096 }, Edit::Append { bytes: 9 }]);
        let to = if pushed { site.root().join("dst/large") } else { site.local().join("large") };
        put(to.parent().unwrap(), "large", &old);
        let before = to.metadata().unwrap().ino();
        let result = changed(&site, request.clone(), pushed, (&old, &new)).await;
        assert!(wire(&result) < 80_000, "{} bytes", wire(&result));
        assert_eq!(to.metadata().unwrap().ino(), before);
        // Content that has moved towards the end is written over before it can be copied.
        let later = edited(old.clone(), &[Edit::Insert { at: 24 << 20, bytes: 8192 }]);
        changed(&site, request.clone(), pushed, (&old, &later)).await;
        let sooner = edited(old.clone(), &[Edit::Remove { at: 1 << 20, bytes: 300_000 }]);
        let result = changed(&site, request, pushed, (&old, &sooner)).await;
        assert!(wire(&result) < 120_000, "{} bytes", wire(&result));
    }
}

/// Content that travelled of a file that has changed by a byte.
async fn transferred(site: &Site, request: Request, pushed: bool) -> u64 {
    let old = noise(8 << 20, 1);
    let new = edited(old.clone(), &[Edit::Append { bytes: 1 }]);
    stat(&changed(site, request, pushed, (&old, &new)).await, "bytes_transferred")
}

#[tokio::test]
async fn whole_files_are_sent_when_asked_for_and_where_nothing_may_be_told() {
    const WHOLE: u64 = (8 << 20) + 1;
    let site = Site::in_memory("").await;
    for (request, pushed) in requests() {
        assert!(transferred(&site, request.clone(), pushed).await < 100_000);
        let whole = Request { whole_file: Some(true), ..request };
        assert_eq!(transferred(&site, whole, pushed).await, WHOLE);
    }
    let writes = Site::in_memory("allow=write").await;
    assert_eq!(transferred(&writes, push_to("dst"), true).await, WHOLE, "the key may not read");
    let reads = Site::in_memory("allow=write,read").await;
    assert!(transferred(&reads, push_to("dst"), true).await < 100_000);
}

/// A file with as many holes as blocks of data, some of which changed.
fn with_holes(path: &Path, blocks: u64, changed: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::create(path).unwrap();
    for block in 0..blocks {
        let seed = if block % changed == 1 { 1000 + block } else { block };
        file.write_all_at(&noise(200_000, seed), block * (1 << 20)).unwrap();
    }
    file.set_len(blocks << 20).unwrap();
}

#[tokio::test]
async fn holes_are_neither_read_nor_sent() {
    let site = Site::in_memory("").await;
    for (request, pushed) in requests() {
        let (from, to) =
            if pushed { (site.local(), site.root().join("dst")) } else { (site.root().join("src"), site.local()) };
        std::fs::create_dir_all(&to).unwrap();
        std::fs::create_dir_all(&from).unwrap();
        with_holes(&to.join("large"), 32, 1 << 30);
        age(&to.join("large"));
        with_holes(&from.join("large"), 32, 16);
        let result = run(&site.client().await, request, &site.local()).await.unwrap();
        assert!(result.failures.failures.is_empty());
        assert!(std::fs::read(to.join("large")).unwrap() == std::fs::read(from.join("large")).unwrap());
        assert!(wire(&result) < 500_000, "{} bytes", wire(&result));
        assert!(to.join("large").metadata().unwrap().blocks() * 512 < 16 << 20, "holes stay holes");
    }
}
