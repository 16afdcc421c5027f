//! More directories than are decided upon at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use support::{Site, contents, deleting, pull_from, push_to, put, run};

/// More than twice as many as are compared before the sender is told.
const DIRECTORIES: u32 = 600;

#[tokio::test]
async fn what_differs_in_a_long_row_of_directories_arrives() {
    for push in [true, false] {
        let site = Site::new("").await;
        let remote = site.root().join("dst");
        let local = site.local();
        let (source, destination) = if push { (&local, &remote) } else { (&remote, &local) };
        for number in 0..DIRECTORIES {
            let file = format!("d{number:04}/file");
            put(source, &file, "as it is");
            put(destination, &file, if number % 3 == 0 { "as it was before" } else { "as it is" });
        }
        let request = deleting(if push { push_to("dst") } else { pull_from("dst") });
        let client = site.client().await;
        let result = run(&client, request, &local).await.unwrap();
        assert!(result.failures.failures.is_empty() && result.refused.is_none());
        assert_eq!(contents(source), contents(destination));
    }
}
