//! A set-id bit lends its owner's rights, so it never changes hands: not on the first write, not by an adjustment, not
//! by a change of owner, and a file capability counts as one. Owners can be set by root
//! only, so there is nothing to look at as anybody else.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use sparsync_core::proto::Request;
use sparsync_core::{JobResult, Run, start_local};
use support::{Site, noise, pull_from, push_to, put, run, skipped, stat, unhung};

const SOMEBODY: u32 = 12_345;

/// The files of each test: whole in a pack, and as a recipe.
const SIZES: [(&str, usize); 2] = [("small", 100), ("large", 300_000)];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set(path: &Path, owner: u32, mode: u32) {
    chown(path, Some(owner), Some(owner)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Files of one owner and mode.
fn fill(top: &Path, owner: u32, mode: u32) {
    for (name, bytes) in SIZES {
        put(top, name, noise(bytes, 1));
        set(&top.join(name), owner, mode);
    }
}

fn all(top: &Path, owner: u32, mode: u32) {
    for (name, _) in SIZES {
        let found = top.join(name).metadata().unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777), (owner, mode), "{name}: {:o}", found.mode());
    }
}

fn with_owners(mut request: Request) -> Request {
    request.attributes.owner = true;
    request.attributes.group = true;
    request
}

async fn local(request: Request, from: &Path, to: &Path) -> JobResult {
    let job = start_local(
        Run {
            request,
            local_path: from.as_os_str().as_bytes().to_vec(),
            source_is_directory: false,
            local_sources: Vec::new(),
            events: sparsync_core::EventNeeds::default(),
            batch: sparsync_core::Batch::None,
        },
        to.as_os_str().as_bytes().to_vec(),
    );
    unhung(job.unwrap().done()).await.unwrap()
}

#[tokio::test]
async fn owners_that_a_peer_merely_claims_give_no_set_id_bit() {
    if !is_root() {
        return skipped("only root owns for others");
    }
    let site = Site::new("allow=read,write,delete").await;
    let (client, source, destination) = (site.client().await, site.local(), site.root().join("dst"));
    for claimed in [SOMEBODY, 0] {
        fill(&source, claimed, 0o6755);
        for request in [push_to("dst"), with_owners(push_to("dst"))] {
            let _ = std::fs::remove_dir_all(&destination);
            run(&client, request.clone(), &source).await.unwrap();
            all(&destination, 0, 0o755);
            // A dropped set-id bit is no difference: the next run has nothing to do, and a mode that changes is set.
            assert_eq!(stat(&run(&client, request.clone(), &source).await.unwrap(), "attrs_changed"), 0);
            all(&destination, 0, 0o755);
            for mode in [0o6711, 0o4700, 0o2755] {
                fill_modes(&source, mode);
                run(&client, request.clone(), &source).await.unwrap();
                all(&destination, 0, mode & 0o777);
            }
            fill_modes(&source, 0o6755);
        }
    }
}

fn fill_modes(top: &Path, mode: u32) {
    for (name, _) in SIZES {
        std::fs::set_permissions(top.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test]
async fn new_content_does_not_inherit_a_set_id_bit() {
    if !is_root() {
        return skipped("only root owns for others");
    }
    let site = Site::new("allow=read,write,delete").await;
    let (client, source, destination) = (site.client().await, site.local(), site.root().join("dst"));
    fill(&source, SOMEBODY, 0o755);
    std::fs::create_dir(&destination).unwrap();
    for (name, _) in SIZES {
        put(&destination, name, "what the administrator looked at");
        set(&destination.join(name), 0, 0o4751);
    }
    let mut request = push_to("dst");
    request.attributes.perms = false;
    run(&client, request, &source).await.unwrap();
    all(&destination, 0, 0o751);
}

#[tokio::test]
async fn with_the_right_it_goes_where_its_owner_goes() {
    if !is_root() {
        return skipped("only root owns for others");
    }
    let site = Site::new("allow=read,write,delete,owner").await;
    let (client, source, destination) = (site.client().await, site.local(), site.root().join("dst"));
    fill(&source, SOMEBODY, 0o6755);
    run(&client, with_owners(push_to("dst")), &source).await.unwrap();
    all(&destination, SOMEBODY, 0o6755);
    // The owner changes while the mode is equal.
    fill(&source, SOMEBODY + 1, 0o6755);
    run(&client, with_owners(push_to("dst")), &source).await.unwrap();
    all(&destination, SOMEBODY + 1, 0o6755);
    // The same key does not ask for owners: what it says of them is not looked at.
    std::fs::remove_dir_all(&destination).unwrap();
    run(&client, push_to("dst"), &source).await.unwrap();
    all(&destination, 0, 0o755);
}

#[tokio::test]
async fn a_pull_takes_it_with_its_owner_only() {
    if !is_root() {
        return skipped("only root owns for others");
    }
    let site = Site::new("allow=read").await;
    let (client, source) = (site.client().await, site.root().join("src"));
    fill(&source, SOMEBODY, 0o4755);
    for (request, owner, mode) in [(pull_from("src"), 0, 0o755), (with_owners(pull_from("src")), SOMEBODY, 0o4755)] {
        let destination = site.local().join(format!("{owner}"));
        run(&client, request.clone(), &destination).await.unwrap();
        all(&destination, owner, mode);
        assert_eq!(stat(&run(&client, request, &destination).await.unwrap(), "attrs_changed"), 0);
    }
}

#[tokio::test]
async fn between_two_folders_the_real_owners_are_compared() {
    if !is_root() {
        return skipped("only root owns for others");
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, destination) = (dir.path().join("src"), dir.path().join("dst"));
    for (request, owner, expected) in [
        (push_to(""), 0, (0, 0o6755)),
        (push_to(""), SOMEBODY, (0, 0o755)),
        (with_owners(push_to("")), SOMEBODY, (SOMEBODY, 0o6755)),
    ] {
        fill(&source, owner, 0o6755);
        let _ = std::fs::remove_dir_all(&destination);
        local(request.clone(), &source, &destination).await;
        all(&destination, expected.0, expected.1);
        // The mode alone is adjusted.
        fill_modes(&destination, 0o700);
        local(request.clone(), &source, &destination).await;
        all(&destination, expected.0, expected.1);
        assert_eq!(stat(&local(request, &source, &destination).await, "attrs_changed"), 0);
    }
}

fn set_capability(path: &Path) {
    assert!(Command::new("setcap").arg("cap_net_raw+ep").arg(path).status().unwrap().success());
    assert!(has_capability(path));
}

fn has_capability(path: &Path) -> bool {
    !Command::new("getcap").arg(path).output().unwrap().stdout.is_empty()
}

#[tokio::test]
async fn a_file_capability_counts_as_a_set_id_bit() {
    if !is_root() {
        return skipped("only root owns for others");
    }
    let site = Site::new("allow=read,write,delete,owner").await;
    let (client, source, destination) = (site.client().await, site.local(), site.root().join("dst"));
    // Small and large differ in nothing here: both are adjusted where they stand.
    fill(&source, 0, 0o700);
    run(&client, push_to("dst"), &source).await.unwrap();
    let program = destination.join("small");
    // A mode from somebody who may be anybody.
    set_capability(&program);
    fill_modes(&source, 0o755);
    run(&client, push_to("dst"), &source).await.unwrap();
    all(&destination, 0, 0o755);
    assert!(!has_capability(&program));
    // A mode from the owner.
    set_capability(&program);
    fill_modes(&source, 0o711);
    run(&client, with_owners(push_to("dst")), &source).await.unwrap();
    all(&destination, 0, 0o711);
    assert!(has_capability(&program));
    // Another owner.
    fill(&source, SOMEBODY, 0o711);
    run(&client, with_owners(push_to("dst")), &source).await.unwrap();
    all(&destination, SOMEBODY, 0o711);
    assert!(!has_capability(&program));
}
