//! Plans: what a plan does not have is not done, whatever a run finds when its turn comes.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::proto::{Action, Item, Paths, RelPath, Request, STAMP_OWN_BYTES, hex};
use sparsync_core::{ErrorKind, Event};
use support::{Site, deleting, pull_from, push_to, put, run, snapshot, start};

/// The stamps of these, as a request has them.
fn planned<'a>(items: impl Iterator<Item = &'a Item>) -> Paths {
    let word = |item: &Item| hex(&item.details.as_ref().unwrap().stamp.unwrap()[..STAMP_OWN_BYTES]);
    Paths::new(items.map(|item| RelPath::new(word(item).as_bytes()).unwrap()).collect()).unwrap()
}

#[tokio::test]
async fn an_entry_that_the_plan_does_not_have_ends_the_run_and_stays() {
    for push in [true, false] {
        for left_out in ["b", "gone/x", "gone", "z", ""] {
            let site = Site::new("").await;
            let remote = site.root().join("dst");
            std::fs::create_dir(&remote).unwrap();
            let local = site.local();
            let (from, to) = if push { (&local, &remote) } else { (&remote, &local) };
            for name in ["a", "b", "d/c"] {
                put(from, name, name);
            }
            for name in ["b", "gone/x", "z"] {
                put(to, name, "old one");
            }
            let client = site.client().await;
            let request = deleting(if push { push_to("dst") } else { pull_from("dst") });
            let dry = Request { dry_run: true, itemize: true, item_stamps: true, ..request.clone() };
            let job = start(&client, dry, &local);
            let mut items = Vec::new();
            while let Some(events) = job.next_events(64).await {
                items.extend(events.into_iter().filter_map(|event| match event {
                    Event::Item(item) => Some(item),
                    _ => None,
                }));
            }
            job.done().await.unwrap();
            assert!(items.len() >= 6, "{items:?}");
            let planned =
                planned(items.iter().filter(|item| &*item.path != left_out.as_bytes() || left_out.is_empty()));
            let applying = Request { applies_plan: true, planned, ..request };
            let before = snapshot(to);
            let done = run(&client, applying.clone(), &local).await;
            if left_out.is_empty() {
                done.unwrap();
                // Of a plan that is done nothing is left to do.
                assert_eq!(run(&client, applying, &local).await.unwrap_err().kind(), ErrorKind::PlanStale);
                continue;
            }
            let error = done.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PlanStale, "{error}");
            assert_eq!(error.path(), Some(left_out.as_bytes()));
            let path = std::path::Path::new(left_out);
            assert_eq!(snapshot(to).get(path), before.get(path), "{left_out}");
            let is_deleted =
                items.iter().any(|item| item.action == Action::Delete && &*item.path == left_out.as_bytes());
            assert_eq!(is_deleted, left_out != "b");
        }
    }
}
