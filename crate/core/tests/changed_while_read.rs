//! A file that is rewritten while it is read arrives as one of its versions, or is reported; never as a mixture.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sparsync_core::proto::{Direction, IssueKind, Request};
use support::{Site, digest, leftovers, noise, request, run};

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

/// Longer than the clocks that file systems stamp changes with.
const TICK: Duration = Duration::from_millis(15);

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
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(files: Vec<(PathBuf, Vec<usize>)>, how: How, scratch: PathBuf) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&written));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for (path, sizes) in &files {
                    let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                    let size = sizes[usize::try_from(number).unwrap() % sizes.len()];
                    let content = version(number, size);
                    match how {
                        How::InPlace => {
                            std::fs::File::options().write(true).open(path).unwrap().write_all_at(&content, 0).unwrap();
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
                std::thread::sleep(TICK);
            }
        });
        Self { stop, written, thread: Some(thread) }
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
                assert!(how == How::Truncated && content.is_empty() || is_whole(&content), "{}", arrived.display());
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
