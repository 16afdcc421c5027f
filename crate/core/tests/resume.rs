//! A large file that was interrupted goes on from what is verified to be there.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sparsync_core::ErrorKind;
use sparsync_core::proto::Request;
use support::{Site, leftovers, noise, pull_from, push_to, put, run, start, stat, unhung};

const BYTES: usize = 80 << 20;
/// Enough is there to go on from, and not all of it.
const ENOUGH: u64 = 4 << 20;

/// The part that is kept below `top`, and how long it is.
fn part(top: &Path) -> Option<(PathBuf, u64)> {
    let path = leftovers(top).into_iter().find(|path| path.extension().is_some_and(|end| end == "part"))?;
    let path = top.join(path);
    let bytes = std::fs::metadata(&path).ok()?.len();
    Some((path, bytes))
}

/// Interrupts a run of a large file until a part of it is kept that is long enough.
async fn interrupted(site: &Site, request: &Request, local: &Path, to: &Path) -> (PathBuf, u64) {
    for _ in 0..40 {
        let client = site.client().await;
        let job = start(&client, request.clone(), local);
        while part(to).is_none_or(|(_, bytes)| bytes < ENOUGH) {
            tokio::task::yield_now().await;
            if job.stats().is_empty() {
                break;
            }
            if to.join("large").exists() {
                break;
            }
        }
        job.cancel();
        match unhung(job.done()).await {
            Ok(_) => std::fs::remove_file(to.join("large")).unwrap(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Aborted),
        }
        support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
        if let Some((path, bytes)) = part(to)
            && bytes >= ENOUGH
        {
            return (path, bytes);
        }
    }
    panic!("every run was too fast to be interrupted");
}

struct Case {
    site: Site,
    request: Request,
    local: PathBuf,
    to: PathBuf,
    content: Vec<u8>,
}

impl Case {
    async fn push() -> Self {
        let site = Site::new("").await;
        let content = noise(BYTES, 1);
        put(&site.local(), "large", &content);
        // Not empty, so that the receiver is asked what it holds.
        put(&site.root(), "dst/other", "x");
        let (local, to) = (site.local(), site.root().join("dst"));
        Self { site, request: push_to("dst"), local, to, content }
    }

    async fn pull() -> Self {
        let site = Site::new("").await;
        let content = noise(BYTES, 1);
        put(&site.root(), "src/large", &content);
        put(&site.local(), "other", "x");
        let (local, to) = (site.local(), site.local());
        Self { site, request: pull_from("src"), local, to, content }
    }

    async fn interrupted(&self) -> (PathBuf, u64) {
        interrupted(&self.site, &self.request, &self.local, &self.to).await
    }

    /// Runs again and gives the bytes that were reused.
    async fn again(&self) -> u64 {
        let result = run(&self.site.client().await, self.request.clone(), &self.local).await.unwrap();
        assert!(result.failures.failures.is_empty());
        assert!(std::fs::read(self.to.join("large")).unwrap() == self.content, "the content is right");
        assert!(leftovers(&self.to).is_empty());
        stat(&result, "bytes_reused")
    }
}

#[tokio::test]
async fn a_push_goes_on_from_what_is_there() {
    let case = Case::push().await;
    let (_, bytes) = case.interrupted().await;
    assert_eq!(case.again().await, bytes);
}

#[tokio::test]
async fn a_pull_goes_on_from_what_is_there() {
    let case = Case::pull().await;
    let (_, bytes) = case.interrupted().await;
    assert_eq!(case.again().await, bytes);
}

#[tokio::test]
async fn a_part_with_another_content_is_not_trusted() {
    let case = Case::push().await;
    let (path, bytes) = case.interrupted().await;
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"damaged", bytes / 2).unwrap();
    assert_eq!(case.again().await, 0);
}

#[tokio::test]
async fn a_part_with_a_hole_in_it_is_not_trusted() {
    let case = Case::push().await;
    let (path, bytes) = case.interrupted().await;
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(bytes / 2).unwrap();
    file.set_len(bytes).unwrap();
    assert_eq!(case.again().await, 0);
}

#[tokio::test]
async fn a_shorter_part_is_as_good_as_it_is_long() {
    let case = Case::push().await;
    let (path, _) = case.interrupted().await;
    std::fs::File::options().write(true).open(path).unwrap().set_len(1_000_000).unwrap();
    assert_eq!(case.again().await, 1_000_000);
}

#[tokio::test]
async fn a_part_that_is_too_long_is_thrown_away() {
    let case = Case::push().await;
    let (path, _) = case.interrupted().await;
    std::fs::File::options().write(true).open(path).unwrap().set_len(BYTES as u64 + 1).unwrap();
    assert_eq!(case.again().await, 0);
}

#[tokio::test]
async fn a_part_that_is_not_used_does_not_show_through_a_hole() {
    let mut case = Case::push().await;
    let hole = (8 << 20)..(32 << 20);
    case.content[hole.clone()].fill(0);
    let source = std::fs::File::create(case.local.join("large")).unwrap();
    source.write_all_at(&case.content[..hole.start], 0).unwrap();
    source.write_all_at(&case.content[hole.end..], hole.end as u64).unwrap();
    let (path, _) = case.interrupted().await;
    // As long as a hole reaches, so that the digest of what was read says nothing of what is there.
    std::fs::File::options().write(true).open(path).unwrap().write_all_at(&noise(40 << 20, 3), 0).unwrap();
    assert_eq!(case.again().await, (hole.end - hole.start) as u64, "the hole, and nothing of the part");
}

#[tokio::test]
async fn a_part_of_another_version_is_not_used() {
    let mut case = Case::push().await;
    case.interrupted().await;
    case.content = noise(BYTES, 2);
    put(&case.site.local(), "large", &case.content);
    assert_eq!(case.again().await, 0);
}

#[tokio::test]
async fn a_part_that_is_a_symlink_or_has_two_names_is_not_written() {
    let case = Case::push().await;
    let (path, bytes) = case.interrupted().await;
    let outside = case.site.outside().join("part");
    std::fs::rename(&path, &outside).unwrap();
    let before = std::fs::read(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    assert_eq!(case.again().await, 0);
    assert!(std::fs::read(&outside).unwrap() == before);
    std::fs::remove_file(case.to.join("large")).unwrap();
    std::fs::hard_link(&outside, &path).unwrap();
    assert_eq!(case.again().await, 0);
    assert!(std::fs::read(&outside).unwrap() == before, "{bytes} bytes outside");
}

#[tokio::test]
async fn nothing_is_kept_when_it_is_not_wanted() {
    let mut case = Case::push().await;
    case.request.partial = false;
    let client = case.site.client().await;
    let job = start(&client, case.request.clone(), &case.local);
    support::eventually(|| !leftovers(&case.to).is_empty() || case.to.join("large").exists()).await;
    job.cancel();
    let _ = unhung(job.done()).await;
    support::eventually(|| case.site.server.stats().contains(&("sessions_active", 0))).await;
    assert!(leftovers(&case.to).is_empty());
}
