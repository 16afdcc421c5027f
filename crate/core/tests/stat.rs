//! What stands at one path of a server.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use sparsync_core::proto::{Frame, Kind, Meta, RelPath, Request, Stat};
use sparsync_core::{Batch, Client, Error, ErrorKind, EventNeeds, Run, explain_remote};
use support::{ANSWER_TIMEOUT, Site, Trap, pull_from, put, unhung};

async fn look(client: &Client, path: &str) -> Result<Stat, Error> {
    client.stat("r", RelPath::new(path.as_bytes()).unwrap(), ANSWER_TIMEOUT).await
}

#[tokio::test]
async fn every_kind_is_told_with_its_attributes() {
    let site = Site::new("").await;
    put(&site.root(), "dir/file", "12345");
    symlink("dir", site.root().join("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, site.root().join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    std::fs::set_permissions(site.root().join("dir/file"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let client = site.client().await;

    let file = look(&client, "dir/file").await.unwrap();
    assert_eq!((file.kind, file.size, file.meta.mode), (Kind::File, 5, 0o640));
    assert!(file.meta.mtime.seconds > 0);
    for (path, kind) in [("", Kind::Directory), ("dir", Kind::Directory), ("link", Kind::Symlink)] {
        let found = look(&client, path).await.unwrap();
        assert_eq!((found.kind, found.size), (kind, 0), "{path}");
    }
    assert!(!matches!(look(&client, "pipe").await.unwrap().kind, Kind::File | Kind::Directory | Kind::Symlink));
    for path in ["none", "none/deeper", "dir/file/deeper"] {
        let error = look(&client, path).await.unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(path.as_bytes())));
    }
    assert_eq!(look(&client, "link/file").await.unwrap_err().kind(), ErrorKind::Scope);
}

#[tokio::test]
async fn a_directory_of_100_000_entries_is_not_listed() {
    let site = Site::new("").await;
    let large = site.root().join("large");
    std::fs::create_dir(&large).unwrap();
    let first = large.join("0");
    std::fs::write(&first, "").unwrap();
    for number in 1..100_000 {
        // Links cost the least to make.
        let to = large.join(number.to_string());
        if std::fs::hard_link(&first, &to).is_err() {
            std::fs::write(to, "").unwrap();
        }
    }
    let client = site.client().await;
    let sent = || site.server.stats().iter().find(|(name, _)| *name == "bytes_sent").unwrap().1;
    let before = sent();
    assert_eq!(look(&client, "large").await.unwrap().kind, Kind::Directory);
    let told = sent() - before;
    assert!(told < 64, "{told} bytes about one directory");
}

#[tokio::test]
async fn a_key_learns_what_its_scope_lets_it() {
    for (allow, may_read) in [("root=r/a/b", true), ("root=r/a/b allow=write,append,delete", false)] {
        let site = Site::new(allow).await;
        put(&site.root(), "a/b/file", "x");
        put(&site.root(), "a/other", "x");
        let client = site.client().await;
        // The key's scope tells already that these directories exist; nothing else is told of them.
        for path in ["", "a"] {
            let led = look(&client, path).await.unwrap();
            assert_eq!(led, Stat { kind: Kind::Directory, size: 0, meta: Meta::default() }, "{path}");
        }
        for path in ["a/other", "a/none", "other"] {
            assert_eq!(look(&client, path).await.unwrap_err().kind(), ErrorKind::Scope, "{path}");
        }
        // Without the right to read what is there and what is not are the same.
        for (path, is_there) in [("a/b", true), ("a/b/file", true), ("a/b/none", false)] {
            let told = look(&client, path).await.map_err(|error| error.kind());
            match (may_read, is_there) {
                (true, true) => assert!(told.is_ok(), "{path}"),
                (true, false) => assert_eq!(told, Err(ErrorKind::NotFound), "{path}"),
                (false, _) => assert_eq!(told, Err(ErrorKind::Scope), "{path}"),
            }
        }
        let error = client.stat("nope", RelPath::root(), ANSWER_TIMEOUT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Scope);
    }
}

#[tokio::test]
async fn an_answer_of_another_kind_is_refused() {
    let trap = Trap::new().await;
    let (told, ()) = tokio::join!(trap.client.stat("r", RelPath::root(), ANSWER_TIMEOUT), async {
        let mut control = trap.wire.accept().await;
        control.write(&Frame::ListReply { more: false, entries: vec![] }).await;
    });
    assert_eq!(told.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_as_long_as_was_asked() {
    let trap = Trap::new().await;
    let soon = Duration::from_millis(50);
    let path = || RelPath::new(b"x").unwrap();
    let request = Request { explain: path(), dry_run: true, timeout_ms: 50, ..pull_from("x") };
    let explained = Run {
        request,
        local_path: trap.local().into_os_string().into_encoded_bytes(),
        source_is_directory: false,
        local_sources: Vec::new(),
        events: EventNeeds::default(),
        batch: Batch::None,
    };
    for error in [
        unhung(trap.client.list("r", path(), soon)).await.unwrap_err(),
        unhung(trap.client.stat("r", path(), soon)).await.unwrap_err(),
        unhung(explain_remote(&trap.client, explained)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("has not answered for 0.05 s"), "{error}");
    }
}
