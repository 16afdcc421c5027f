//! Every operation by every scope: what a key was not given is refused and leaves the tree as it was, what it was given
//! is done. And a key that may only append, under operations that nobody has thought of.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use sparsync_core::proto::{
    Compare, Deletion, Direction, Frame, Keep, MissingSources, Paths, RelPath, Request, Snapshot as Series,
};
use sparsync_core::{Client, Error, ErrorKind};
use support::{Node, Site, Snapshot, deleting, leftovers, noise, pull_from, push_to, put, run, snapshot, unhung};

/// The rights that a client asks operations with; those to set attributes are in `rights.rs`.
const RIGHTS: [&str; 4] = ["read", "write", "append", "delete"];

/// The rights of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, each read by its name")]
struct Held {
    read: bool,
    write: bool,
    append: bool,
    delete: bool,
}

impl Held {
    fn of(set: usize) -> Self {
        let has = |at: usize| set >> at & 1 == 1;
        Self { read: has(0), write: has(1), append: has(2), delete: has(3) }
    }

    fn creates(self) -> bool {
        self.write || self.append
    }

    fn line(set: usize) -> String {
        (0..RIGHTS.len()).filter(|at| set >> at & 1 == 1).map(|at| RIGHTS[at]).collect::<Vec<_>>().join(",")
    }
}

/// What a client may ask for.
enum Ask {
    List,
    Look,
    Explain,
    Run(fn(Request) -> Request, Direction),
}

/// An operation, and what it takes, said once more than in the server.
struct Operation {
    name: &'static str,
    takes: fn(Held) -> bool,
    ask: Ask,
}

const fn push(name: &'static str, takes: fn(Held) -> bool, with: fn(Request) -> Request) -> Operation {
    Operation { name, takes, ask: Ask::Run(with, Direction::Push) }
}

const fn pull(name: &'static str, takes: fn(Held) -> bool, with: fn(Request) -> Request) -> Operation {
    Operation { name, takes, ask: Ask::Run(with, Direction::Pull) }
}

const OPERATIONS: &[Operation] = &[
    Operation { name: "list", takes: |held| held.read, ask: Ask::List },
    Operation { name: "stat", takes: |held| held.read, ask: Ask::Look },
    Operation { name: "explain", takes: |held| held.read, ask: Ask::Explain },
    pull("pull", |held| held.read, |request| request),
    pull("pull that is dry", |held| held.read, |request| Request { dry_run: true, ..request }),
    pull(
        "pull that removes its sources",
        |held| held.read && held.delete,
        |request| Request { remove_source_files: true, ..request },
    ),
    push("push", Held::creates, |request| request),
    push("push that is dry", Held::creates, |request| Request { dry_run: true, ..request }),
    push("push that compares content", Held::creates, |mut request| {
        request.attributes.compare = Compare::Content;
        request
    }),
    push("push with force", Held::creates, |request| Request {
        deletion: Deletion { force: true, ..request.deletion },
        ..request
    }),
    push(
        "push that deletes",
        |held| held.creates() && held.delete,
        |request| Request { deletion: Deletion { allow_mass: true, ..deleting(request.clone()).deletion }, ..request },
    ),
    push(
        "push that deletes what is missing",
        |held| held.creates() && held.delete,
        |request| Request {
            missing_sources: MissingSources::Delete,
            missing: Paths::new(vec![RelPath::new(b"only-there").unwrap()]).unwrap(),
            ..request
        },
    ),
    push("push in place", |held| held.write, |request| Request { inplace: true, ..request }),
    push("push that appends", |held| held.write && held.read, |request| Request { append: true, ..request }),
    push("push with backups", |held| held.write && held.delete, |request| Request { backup: true, ..request }),
    push("push that publishes", |held| held.write && held.delete, |request| Request { publish: true, ..request }),
    push(
        "push that removes snapshots",
        |held| held.creates() && held.delete,
        |request| Request {
            snapshot: Series { is_asked: true, keep: Keep { last: 1, ..Keep::default() }, ..Series::default() },
            ..request
        },
    ),
    push(
        "push that looks for the like",
        |held| held.creates() && held.read,
        |request| Request { fuzzy: true, ..request },
    ),
    push(
        "push that looks for what moved",
        |held| held.creates() && held.read && held.delete,
        |request| Request {
            detect_renames: true,
            deletion: Deletion { allow_mass: true, ..deleting(request.clone()).deletion },
            ..request
        },
    ),
];

/// A tree that every operation would change.
fn plant(top: &Path, place: &str) {
    put(top, &format!("{place}/keep"), "old");
    put(top, &format!("{place}/only-there"), "stays");
    put(top, &format!("{place}/sub/inner"), noise(5000, 1));
    symlink("keep", top.join(place).join("link")).unwrap();
}

async fn explain(site: &Site, path: &str) -> Result<(), Error> {
    let request = Request { explain: RelPath::new(b"keep").unwrap(), ..pull_from(path) };
    let mut control = site.raw().await.session(request).await;
    match control.next().await {
        Some(Frame::Explained(_)) => Ok(()),
        Some(Frame::Abort(error)) => Err(Error::new(error.kind, error.message)),
        other => panic!("neither an answer nor a refusal but {other:?}"),
    }
}

async fn ask(site: &Site, client: &Client, operation: &Operation, path: &str) -> Result<(), Error> {
    let at = RelPath::new(path.as_bytes()).unwrap();
    match operation.ask {
        Ask::List => unhung(client.list("r", at)).await.map(drop),
        Ask::Look => unhung(client.stat("r", at)).await.map(drop),
        Ask::Explain => explain(site, path).await,
        Ask::Run(with, Direction::Push) => run(client, with(push_to(path)), &site.local()).await.map(drop),
        Ask::Run(with, Direction::Pull) => {
            let local = tempfile::tempdir().unwrap();
            run(client, with(pull_from(path)), local.path()).await.map(drop)
        }
    }
}

/// What is wrong at a server that gives a key the rights `given`, when it should have `claimed`.
async fn violations(claimed: usize, given: usize) -> Vec<String> {
    let site = Site::new(&format!("root=r/mine allow={}", Held::line(given))).await;
    let held = Held::of(claimed);
    put(&site.local(), "keep", "new");
    put(&site.local(), "sub/inner", noise(6000, 2));
    put(&site.local(), "more", "added");
    let mut wrong = Vec::new();
    let client = site.client().await;
    for (number, operation) in OPERATIONS.iter().enumerate() {
        for (place, is_mine) in [("mine", true), ("other", false)] {
            let path = format!("{place}/{number}");
            plant(&site.root(), &path);
            let before = snapshot(&site.root());
            let answer = ask(&site, &client, operation, &path).await;
            site.idle().await;
            let after = snapshot(&site.root());
            let told = format!("{} at {path}: {answer:?}", operation.name);
            match answer {
                Err(error) if error.kind() == ErrorKind::Scope => {
                    if is_mine && (operation.takes)(held) {
                        wrong.push(format!("refused: {told}"));
                    }
                    if after != before {
                        wrong.push(format!("refused and done: {told}"));
                    }
                }
                Err(_) => wrong.push(format!("failed: {told}")),
                Ok(()) if !is_mine || !(operation.takes)(held) => wrong.push(format!("done: {told}")),
                Ok(()) => {}
            }
            // Whatever it was, only who may write changes, and only who may delete removes.
            for (path, node) in &before {
                match after.get(path) {
                    None if !held.delete => wrong.push(format!("{} is gone: {told}", path.display())),
                    Some(found) if !held.write && found != node => {
                        wrong.push(format!("{} changed: {told}", path.display()));
                    }
                    None | Some(_) => {}
                }
            }
            if !held.creates() && after.keys().any(|path| !before.contains_key(path)) {
                wrong.push(format!("something is new: {told}"));
            }
        }
    }
    wrong
}

#[tokio::test]
async fn each_operation_takes_what_it_says_and_a_refused_one_changes_nothing() {
    for set in 1..1 << RIGHTS.len() {
        assert_eq!(violations(set, set).await, Vec::<String>::new(), "{}", Held::line(set));
    }
}

#[tokio::test]
async fn a_right_that_is_too_wide_is_found() {
    for set in 1..1 << RIGHTS.len() {
        for (at, right) in RIGHTS.iter().enumerate() {
            let planted = set | 1 << at;
            let held = Held::of(set);
            // The right to write includes that to append, and nothing is deleted without a push or a pull.
            let means_nothing = planted == set
                || (*right == "append" && held.write)
                || (*right == "delete" && !held.creates() && !held.read);
            if !means_nothing {
                assert!(!violations(set, planted).await.is_empty(), "{right} beside {}", Held::line(set));
            }
        }
    }
}

/// Draws numbers that a seed decides.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % most
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Does something to the client's tree; what cannot be done there is another kind of nothing.
fn change(top: &Path, random: &mut Random) {
    let directory = ["", "d0", "d1", "d0/deep", "n3", "n7"][random.below(6)];
    let path = top.join(directory).join(format!("n{}", random.below(12)));
    let other = top.join(format!("n{}", random.below(12)));
    match random.below(11) {
        0..=3 => drop(
            std::fs::create_dir_all(path.parent().unwrap())
                .and_then(|()| std::fs::write(&path, noise(random.below(3000), random.below(9) as u64))),
        ),
        4 => drop(std::fs::create_dir_all(&path)),
        5 => drop(symlink(format!("n{}", random.below(12)), &path)),
        6 => drop(std::fs::remove_file(&path)),
        7 => drop(std::fs::remove_dir_all(&path)),
        8 => drop(std::fs::rename(&path, &other)),
        9 => drop(std::fs::hard_link(&path, &other)),
        _ => {
            let mode = if path.is_dir() { 0o700 } else { 0o600 } | u32::try_from(random.below(0o77)).unwrap();
            if path.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
                drop(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)));
            }
        }
    }
}

/// A push of any kind.
fn any_push(random: &mut Random) -> Request {
    let path = ["dst", "dst", "dst/d0", "dst/n1", "dst/new"][random.below(5)];
    let mut request = push_to(path);
    request.attributes.compare = [Compare::Quick, Compare::Content, Compare::Size][random.below(3)];
    request.attributes.hard_links = random.flip();
    request.recursive = random.below(8) > 0;
    request.deletion.force = random.flip();
    request.deletion.delete = random.below(10) == 0;
    request.deletion.allow_mass = true;
    request.inplace = random.below(12) == 0;
    request.append = random.below(12) == 0;
    request.backup = random.below(12) == 0;
    request.publish = random.below(12) == 0;
    request.fuzzy = random.below(12) == 0;
    request.sparse = random.flip();
    request.whole_file = [None, Some(true), Some(false)][random.below(3)];
    request.delay_updates = random.below(4) == 0;
    request.dry_run = random.below(12) == 0;
    request.mkpath = random.flip();
    request.lanes = 1 + u8::from(random.flip());
    request
}

/// What is wrong with a tree that only new names may have come to.
fn only_added(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let differs = |(path, node): (&std::path::PathBuf, &Node)| {
        (after.get(path) != Some(node)).then(|| format!("{}: {node:?} became {:?}", path.display(), after.get(path)))
    };
    before.iter().filter_map(differs).collect()
}

/// Operations between two pushes.
const AT_ONCE: usize = 20;

#[tokio::test]
async fn ten_thousand_operations_append_and_nothing_else() {
    let seed = std::env::var("SPARSYNC_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let site = Site::new("allow=append").await;
    plant(&site.root(), "dst");
    let client = site.client().await;
    let (mut arrived, mut refused) = (0, 0);
    for round in 0..10_000 / AT_ONCE {
        for _ in 0..AT_ONCE {
            change(&site.local(), &mut random);
        }
        let before = snapshot(&site.root());
        let request = any_push(&mut random);
        let told = format!("seed {seed}, round {round}: {request:?}");
        match run(&client, request, &site.local()).await {
            Ok(_) => arrived += 1,
            Err(error) => {
                let is_known = matches!(error.kind(), ErrorKind::Scope | ErrorKind::Config | ErrorKind::NotFound)
                    || (error.kind() == ErrorKind::Io && error.message().contains("directory"));
                assert!(is_known, "{told}: {error:?}");
                refused += 1;
            }
        }
        site.idle().await;
        let after = snapshot(&site.root());
        assert_eq!(only_added(&before, &after), Vec::<String>::new(), "{told}");
        assert!(leftovers(&site.root()).is_empty(), "{told}");
    }
    assert!(arrived > 100 && refused > 50, "{arrived} pushes arrived and {refused} were refused");
    assert!(snapshot(&site.root()).len() > 20, "too little arrived to say anything");
}
