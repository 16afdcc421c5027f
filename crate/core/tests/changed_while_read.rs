//! A file that is rewritten while it is read arrives as one of its versions, or is reported; never as a mixture.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use sparsync_core::proto::codec::Reader;
use sparsync_core::proto::pack::{PACK_HEADER_BYTES, PackHeader, Record};
use sparsync_core::proto::{Compression, Direction, Frame, Grant, IssueKind, Request};
use support::{Site, Trap, digest, leftovers, noise, push_to, request, run, start, unhung};

/// A write of one version takes far less, unless its thread is put to sleep.
const WRITE_MAX: Duration = Duration::from_millis(1);

/// Content that proves itself: a version, and behind it the digest of all the rest.
fn version(number: u64, bytes: usize) -> Vec<u8> {
    let mut content = number.to_le_bytes().to_vec();
    content.extend(noise(bytes - 40, number));
    let sum = digest(&content);
    content.extend(sum);
    content
}

fn is_whole(content: &[u8]) -> bool {
    content.len() > 40 && digest(&content[..content.len() - 32])[..] == content[content.len() - 32..]
}

/// The time that a version has when it is put in place, so that content and time prove to belong together.
fn time_of(content: &[u8]) -> SystemTime {
    let number = u64::from_le_bytes(content[..8].try_into().unwrap());
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + number)
}

/// Waits until the clock that the file system of `probe` stamps changes with has moved.
fn clock_moves(probe: &Path) {
    let touched = || {
        let metadata = std::fs::File::create(probe).unwrap().metadata().unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let before = touched();
    while touched() == before {
        std::thread::yield_now();
    }
}

/// How a file gets its next version.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// In one write over the old one. Between two writes the file would be a mixture on the disk too, and at rest; for
    /// the same reason it is short: a long write is put to sleep in the middle of it when the disk is slow.
    InPlace,
    /// Emptied first, so there is an empty version in between.
    Truncated,
    /// Put in its place whole.
    Renamed,
}

/// Rewrites files until it is dropped.
struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    /// Whether a write over an old version was put to sleep in the middle. Nothing tells who reads then that more is to
    /// come.
    was_held: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(files: Vec<(PathBuf, Vec<usize>)>, how: How, scratch: PathBuf) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let was_held = Arc::new(AtomicBool::new(false));
        let (stopped, count, held) = (Arc::clone(&stop), Arc::clone(&written), Arc::clone(&was_held));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for (path, sizes) in &files {
                    let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                    let size = sizes[usize::try_from(number).unwrap() % sizes.len()];
                    let content = version(number, size);
                    match how {
                        How::InPlace => {
                            let file = std::fs::File::options().write(true).open(path).unwrap();
                            let began = Instant::now();
                            file.write_all_at(&content, 0).unwrap();
                            held.fetch_or(began.elapsed() > WRITE_MAX, Ordering::Relaxed);
                        }
                        How::Truncated => std::fs::File::create(path).unwrap().write_all(&content).unwrap(),
                        How::Renamed => {
                            std::fs::write(&scratch, &content).unwrap();
                            std::fs::File::open(&scratch).unwrap().set_modified(time_of(&content)).unwrap();
                            std::fs::rename(&scratch, path).unwrap();
                        }
                    }
                }
                // Two changes in one tick of the file system's clock look like one.
                clock_moves(&scratch.with_extension("probe"));
            }
        });
        Self { stop, written, was_held, thread: Some(thread) }
    }

    /// Whether the machine was too busy for what is written over to be told from what is at rest, up to this moment.
    fn was_held(&self) -> bool {
        let now = self.written.load(Ordering::Relaxed);
        // The write that is under way, and the one before it.
        while self.written.load(Ordering::Relaxed) < now + 2 {
            std::thread::yield_now();
        }
        self.was_held.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

async fn rounds(direction: Direction, sizes: &[usize], how: How) {
    let site = Site::new("").await;
    let (remote, local) = (site.root().join("tree"), site.local());
    std::fs::create_dir(&remote).unwrap();
    let (from, to) = if direction == Direction::Push { (&local, &remote) } else { (&remote, &local) };
    let paths: Vec<PathBuf> = (0..4).map(|n| from.join(format!("f{n}"))).collect();
    for path in &paths {
        std::fs::write(path, version(0, sizes[0])).unwrap();
        std::fs::File::open(path).unwrap().set_modified(time_of(&[0; 8])).unwrap();
    }
    let client = site.client().await;
    let scratch = site.dir.path().join("scratch");
    let writer = Writer::start(paths.iter().map(|path| (path.clone(), sizes.to_vec())).collect(), how, scratch);
    let (mut delivered, mut reported) = (0, 0);
    for _ in 0..25 {
        let result = run(&client, request(direction, "tree"), &local).await.unwrap();
        for issue in &result.failures.failures {
            assert!(matches!(issue.kind, IssueKind::Changed | IssueKind::Vanished), "{issue:?}");
            reported += 1;
        }
        for path in &paths {
            let arrived = to.join(path.file_name().unwrap());
            if let Ok(content) = std::fs::read(&arrived) {
                delivered += 1;
                let is_version = how == How::Truncated && content.is_empty() || is_whole(&content);
                assert!(is_version || how == How::InPlace && writer.was_held(), "{}", arrived.display());
                if how == How::Renamed {
                    let time = std::fs::metadata(&arrived).unwrap().modified().unwrap();
                    assert_eq!(time, time_of(&content), "the time of another version: {}", arrived.display());
                }
            }
        }
    }
    let changes = writer.written.load(Ordering::Relaxed);
    drop(writer);
    assert!(delivered + reported > 0 && changes > 0);
    settles(&client, request(direction, "tree"), &local, from, to).await;
}

/// When nobody writes any more, one run makes the two equal.
async fn settles(client: &sparsync_core::Client, request: Request, local: &Path, from: &Path, to: &Path) {
    let result = run(client, request, local).await.unwrap();
    assert!(result.failures.failures.is_empty());
    assert_eq!(support::contents(to), support::contents(from));
    assert!(leftovers(to).is_empty());
    assert!(
        support::contents(to)
            .values()
            .all(|node| matches!(node, support::Node::File(content, ..) if is_whole(content)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_written_in_place() {
    rounds(Direction::Push, &[90_000], How::InPlace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_put_in_place() {
    rounds(Direction::Push, &[3_000_000], How::Renamed).await;
    rounds(Direction::Pull, &[3_000_000, 2_000_000], How::Renamed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_small_now_and_large_then() {
    rounds(Direction::Pull, &[90_000, 700_000, 131_072, 131_073], How::Truncated).await;
}

/// The next records of a data lane, copied out of their pack.
async fn next_pack(lane: &mut quinn::RecvStream) -> Vec<u8> {
    let mut header = [0; PACK_HEADER_BYTES];
    unhung(lane.read_exact(&mut header)).await.unwrap();
    let header = PackHeader::decode(&header).unwrap();
    assert!(!header.compressed);
    let mut pack = vec![0; header.stored_bytes];
    unhung(lane.read_exact(&mut pack)).await.unwrap();
    pack
}

/// A push of one file of many pieces, and what is done to it between its listing and its content.
struct Sent {
    /// How often its recipe began.
    begun: u64,
    /// What was told of it, moved and to be moved.
    moved: u64,
    total: u64,
}

async fn sent(trap: &Trap, file: &std::fs::File, between: impl FnOnce(&std::fs::File)) -> Sent {
    // More pieces than an inode can point to: the file system needs a block more once it has places for them.
    for piece in 0..64 {
        file.write_all_at(&noise(4096, piece), piece * (64 << 10)).unwrap();
    }
    let job = start(&trap.client, Request { compression: Compression::Never, ..push_to("dst") }, &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.until(|frame| matches!(frame, Frame::Directories(_))).await;
    control.write(&Frame::Need(vec![0])).await;
    control.until(|frame| matches!(frame, Frame::List { .. })).await;
    between(file);
    control.write(&Frame::Want { directory: 0, files: vec![0], resume: vec![] }).await;
    let mut lane = control.lane_in().await;
    let lane = lane.quic();
    let mut begun = 0;
    'records: loop {
        let pack = next_pack(lane).await;
        let mut reader = Reader::new(&pack);
        while !reader.is_empty() {
            match Record::decode(&mut reader).unwrap() {
                Record::Begin { .. } => begun += 1,
                Record::End { .. } => break 'records,
                Record::Literal(_) | Record::Hole { .. } => {}
                other => panic!("no part of the file: {other:?}"),
            }
        }
    }
    let stat = |name| job.stats()[sparsync_core::stat_names().iter().position(|stat| *stat == name).unwrap()];
    let moved = stat("bytes_transferred") + stat("bytes_reused");
    let total = stat("bytes_to_transfer");
    job.cancel();
    let _ = unhung(job.done()).await;
    Sent { begun, moved, total }
}

#[tokio::test]
async fn a_file_that_is_allocated_while_it_is_read_is_sent_once() {
    let trap = Trap::new().await;
    let file = std::fs::File::create(trap.local().join("fresh")).unwrap();
    // ext4 and xfs allocate what was written only now, and count a block more. Where everything has its place at once,
    // there is nothing that could be taken for a change.
    let sent = sent(&trap, &file, |file| file.sync_all().unwrap()).await;
    assert_eq!((sent.begun, sent.moved), (1, sent.total));
}

#[tokio::test]
async fn what_is_sent_again_is_more_to_be_sent() {
    let trap = Trap::new().await;
    let file = std::fs::File::create(trap.local().join("growing")).unwrap();
    let mut bytes = 0;
    let sent = sent(&trap, &file, |file| {
        bytes = file.metadata().unwrap().len();
        file.write_all_at(b"more", bytes).unwrap();
    })
    .await;
    assert_eq!((sent.begun, sent.moved), (2, sent.total));
    assert_eq!(sent.total, 2 * bytes + 4);
}
