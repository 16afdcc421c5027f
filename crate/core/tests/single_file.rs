//! One file as the source: under which name it arrives, and what rsync does with the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::path::Path;
use std::process::Command;

use sparsync_core::proto::{Direction, Request};
use sparsync_core::{ErrorKind, JobResult};
use support::{Site, contents, leftovers, put, request, run, skipped, snapshot};

/// What stands at the destination, and the path that is given.
const CASES: [(&str, &str); 6] = [
    ("an existing directory", "there"),
    ("an existing file", "file"),
    ("a name that is free", "fresh"),
    ("a name below a directory", "there/fresh"),
    ("a file below a directory", "there/old"),
    ("below what is missing", "none/deep/fresh"),
];

fn prepare(top: &Path) {
    put(top, "there/old", "old");
    put(top, "there/other", "other");
    put(top, "file", "old");
}

async fn sync(direction: Direction, into: bool, destination: &str) -> (Site, Result<JobResult, sparsync_core::Error>) {
    let site = Site::new("").await;
    let client = site.client().await;
    let result = if direction == Direction::Push {
        put(&site.local(), "src/name", "new content");
        prepare(&site.root());
        let request = Request { into, ..request(direction, destination) };
        run(&client, request, &site.local().join("src/name")).await
    } else {
        put(&site.root(), "src/name", "new content");
        prepare(&site.local());
        let request = Request { into, ..request(direction, "src/name") };
        run(&client, request, &site.local().join(destination)).await
    };
    (site, result)
}

fn destination_of(site: &Site, direction: Direction) -> std::path::PathBuf {
    if direction == Direction::Push { site.root() } else { site.local() }
}

#[tokio::test]
async fn into_means_what_rsync_means() {
    if Command::new("rsync").arg("--version").output().is_err() {
        return skipped("there is no rsync to compare with");
    }
    for direction in [Direction::Push, Direction::Pull] {
        for (what, destination) in CASES {
            let (site, result) = sync(direction, true, destination).await;
            let judge = tempfile::tempdir().unwrap();
            put(judge.path(), "src/name", "new content");
            let to = judge.path().join("to");
            std::fs::create_dir(&to).unwrap();
            prepare(&to);
            let rsync = Command::new("rsync")
                .arg("-a")
                .arg(judge.path().join("src/name"))
                .arg(to.join(destination))
                .output()
                .unwrap();
            assert_eq!(result.is_ok(), rsync.status.success(), "{what}: {result:?}");
            let ours = destination_of(&site, direction);
            assert_eq!(contents(&ours), contents(&to), "{what}");
            assert!(leftovers(&ours).is_empty());
        }
    }
}

#[tokio::test]
async fn without_into_the_path_is_the_name() {
    for direction in [Direction::Push, Direction::Pull] {
        for (what, destination) in CASES {
            let (site, result) = sync(direction, false, destination).await;
            let ours = destination_of(&site, direction);
            match what {
                // A directory with entries does not give way. A pull puts the file into it, as its own path leads
                // there.
                "an existing directory" if direction == Direction::Pull => {
                    assert_eq!(std::fs::read(ours.join("there/old")).unwrap(), b"old");
                }
                "an existing directory" => {
                    assert_eq!(result.unwrap().failures.failures.len(), 1);
                    assert_eq!(std::fs::read(ours.join("there/old")).unwrap(), b"old");
                    assert!(!ours.join("there/name").exists());
                }
                "below what is missing" => assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound),
                _ => {
                    assert!(result.unwrap().failures.failures.is_empty());
                    assert_eq!(std::fs::read(ours.join(destination)).unwrap(), b"new content", "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_second_run_does_nothing_and_neighbours_stay() {
    for direction in [Direction::Push, Direction::Pull] {
        let (site, first) = sync(direction, true, "there").await;
        first.unwrap();
        let ours = destination_of(&site, direction);
        let before = snapshot(&ours);
        assert_eq!(before.len(), contents(&ours).len());
        let client = site.client().await;
        let again = if direction == Direction::Push {
            let request = support::deleting(Request { into: true, ..request(direction, "there") });
            run(&client, request, &site.local().join("src/name")).await
        } else {
            let request = support::deleting(Request { into: true, ..request(direction, "src/name") });
            run(&client, request, &site.local().join("there")).await
        };
        assert_eq!(support::stat(&again.unwrap(), "bytes_transferred"), 0);
        assert_eq!(snapshot(&ours), before);
    }
}

#[tokio::test]
async fn a_file_does_not_follow_the_symlink_in_its_place() {
    for direction in [Direction::Push, Direction::Pull] {
        let site = Site::new("").await;
        let client = site.client().await;
        let (from, to) =
            if direction == Direction::Push { (site.local(), site.root()) } else { (site.root(), site.local()) };
        put(&from, "name", "new content");
        std::os::unix::fs::symlink(site.outside().join("secret"), to.join("target")).unwrap();
        let result = if direction == Direction::Push {
            run(&client, request(direction, "target"), &site.local().join("name")).await
        } else {
            run(&client, request(direction, "name"), &site.local().join("target")).await
        };
        result.unwrap();
        assert_eq!(std::fs::read(to.join("target")).unwrap(), b"new content");
        assert!(!to.join("target").is_symlink());
        assert_eq!(std::fs::read(site.outside().join("secret")).unwrap(), b"untouched");
    }
}
