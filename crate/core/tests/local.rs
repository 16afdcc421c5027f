//! A run between two folders of one machine.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::ffi::OsStrExt as _;

use sparsync_core::proto::Direction;
use sparsync_core::{ErrorKind, Run, start_local};
use support::{noise, put, request};

fn run(local_path: &std::path::Path) -> Run {
    let request = request(Direction::Push, "");
    Run {
        request,
        local_path: local_path.as_os_str().as_bytes().to_vec(),
        source_is_directory: false,
        local_sources: Vec::new(),
        events: sparsync_core::EventNeeds::default(),
        batch: sparsync_core::Batch::None,
    }
}

#[tokio::test]
async fn a_tree_goes_from_one_folder_to_the_other_and_the_second_run_finds_nothing_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    for number in 0..300 {
        put(&from, &format!("{}/{}/f{number}", number % 7, number % 3), noise(3000, number));
    }
    put(&from, "large", noise(5 << 20, 1000));
    for transferred in [301, 0] {
        let job = start_local(run(&from), to.as_os_str().as_bytes().to_vec()).unwrap();
        let result = job.done().await.unwrap();
        assert!(result.failures.failures.is_empty() && result.refused.is_none());
        assert!(result.stats.contains(&("files_transferred", transferred)), "{:?}", result.stats);
    }
    for number in 0..300 {
        let path = format!("{}/{}/f{number}", number % 7, number % 3);
        assert_eq!(std::fs::read(to.join(path)).unwrap(), noise(3000, number));
    }
    assert_eq!(std::fs::read(to.join("large")).unwrap(), noise(5 << 20, 1000));
}

#[tokio::test]
async fn a_canceled_run_ends_as_canceled() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    for number in 0..50 {
        put(&from, &format!("f{number}"), noise(1 << 20, number));
    }
    let job = start_local(run(&from), to.as_os_str().as_bytes().to_vec()).unwrap();
    job.cancel();
    assert_eq!(job.done().await.unwrap_err().kind(), ErrorKind::Aborted);
}
