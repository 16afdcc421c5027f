//! Every operation by every scope: what a key was not given is refused and leaves the tree as it was, what it was given
//! is done. And a key that may only append, under operations that nobody has thought of.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use sparsync_core::proto::{
    Compare, Deletion, Direction, Directories, Frame, Keep, MissingSources, Paths, RelPath, Request, Snapshot as Series,
};
use sparsync_core::{Client, Error, ErrorKind};
use support::{ANSWER_TIMEOUT, Node, Site, deleting, leftovers, noise, pull_from, push_to, put, run, snapshot, unhung};

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

/// All that there is to be known of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exact {
    node: Node,
    owner: (u32, u32),
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    mtime: (i64, i64),
}

type Tree = BTreeMap<PathBuf, Exact>;

/// Everything below `top`.
fn exact(top: &Path) -> Tree {
    let of = |path: &Path, node: Node| {
        let found = std::fs::symlink_metadata(path).unwrap();
        Exact {
            node,
            owner: (found.uid(), found.gid()),
            xattrs: xattrs_of(path),
            mtime: (found.mtime(), found.mtime_nsec()),
        }
    };
    snapshot(top).into_iter().map(|(path, node)| (path.clone(), of(&top.join(path), node))).collect()
}

/// Those of a symlink are not the client's to set, and a file system may have none at all.
fn xattrs_of(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or_default();
    let each = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    each.map(|name| {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        value.truncate(length);
        (name.to_vec(), value)
    })
    .collect()
}

/// What of a tree is another thing than it was, or is gone. A directory has another time when it has got a new name.
fn changed<'a>(before: &'a Tree, after: &'a Tree) -> Vec<(&'a Path, &'a Exact, Option<&'a Exact>)> {
    let grown: BTreeSet<_> =
        after.keys().filter(|path| !before.contains_key(*path)).filter_map(|path| path.parent()).collect();
    let is_same = |path: &Path, was: &Exact, is: &Exact| {
        let mtime = if grown.contains(path) { is.mtime } else { was.mtime };
        Exact { mtime, ..was.clone() } == *is
    };
    let found = before.iter().map(|(path, was)| (path.as_path(), was, after.get(path)));
    found.filter(|(path, was, is)| !is.is_some_and(|is| is_same(path, was, is))).collect()
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

impl Operation {
    /// Whether it leaves the server's tree as it is, so that a root that nobody writes to has it.
    fn only_reads(&self) -> bool {
        match self.ask {
            Ask::List | Ask::Look | Ask::Explain => true,
            Ask::Run(with, Direction::Pull) => !with(pull_from("x")).remove_source_files,
            Ask::Run(_, Direction::Push) => false,
        }
    }
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
    pull("pull of what devices hold", |_| false, |request| Request { copy_devices: true, ..request }),
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
    push("push to devices", |_| false, |request| Request { inplace: true, write_devices: true, ..request }),
    push(
        "push beside another tree",
        |held| held.creates() && held.read,
        |request| Request { link_dest: Directories::new(&[b"sub"]).unwrap(), ..request },
    ),
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
    // Where there are none, there is nothing to look at.
    let _ = rustix::fs::setxattr(top.join(place).join("keep"), "user.planted", b"1", XattrFlags::empty());
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
        Ask::List => unhung(client.list("r", at, ANSWER_TIMEOUT)).await.map(drop),
        Ask::Look => unhung(client.stat("r", at, ANSWER_TIMEOUT)).await.map(drop),
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
    violations_at(&site, claimed, false).await
}

async fn violations_at(site: &Site, claimed: usize, read_only: bool) -> Vec<String> {
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
            let before = exact(&site.root());
            let answer = ask(site, &client, operation, &path).await;
            site.idle().await;
            let after = exact(&site.root());
            let is_granted = is_mine && (operation.takes)(held) && (!read_only || operation.only_reads());
            let told = format!("{} at {path}: {answer:?}", operation.name);
            match answer {
                Err(error) if error.kind() == ErrorKind::Scope => {
                    if is_granted {
                        wrong.push(format!("refused: {told}"));
                    }
                    if after != before {
                        wrong.push(format!("refused and done: {told}"));
                    }
                }
                Err(_) => wrong.push(format!("failed: {told}")),
                Ok(()) if !is_granted => wrong.push(format!("done: {told}")),
                Ok(()) => {}
            }
            // Whatever it was, only who may write changes, and only who may delete removes.
            for (path, was, is) in changed(&before, &after) {
                match is {
                    None if !held.delete || read_only => wrong.push(format!("{} is gone: {told}", path.display())),
                    // What is deleted changes the time of where it was.
                    Some(is) if held.delete && Exact { mtime: was.mtime, ..is.clone() } == *was => {}
                    Some(is) if !held.write || read_only => {
                        wrong.push(format!("{}: {was:?} became {is:?}: {told}", path.display()));
                    }
                    None | Some(_) => {}
                }
            }
            if (!held.creates() || read_only) && after.keys().any(|path| !before.contains_key(path)) {
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
async fn a_root_that_nobody_writes_to_is_read_and_nothing_else() {
    for set in 1..1 << RIGHTS.len() {
        let site = Site::read_only(&format!("root=r/mine allow={}", Held::line(set))).await;
        assert_eq!(violations_at(&site, set, true).await, Vec::<String>::new(), "{}", Held::line(set));
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
    match random.below(12) {
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
        10 => {
            let value = random.below(9).to_string();
            let _ = rustix::fs::lsetxattr(&path, "user.drawn", value.as_bytes(), XattrFlags::empty());
        }
        _ => {
            let mode = if path.is_dir() { 0o700 } else { 0o600 } | u32::try_from(random.below(0o77)).unwrap();
            if path.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
                drop(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)));
            }
        }
    }
}

/// A push of any kind, or now and then a pull.
fn any_request(random: &mut Random) -> Request {
    let path = ["dst", "dst", "dst/d0", "dst/n1", "dst/new"][random.below(5)];
    let mut request = if random.below(20) == 0 { pull_from(path) } else { push_to(path) };
    request.attributes.owner = random.flip();
    request.attributes.group = random.flip();
    request.attributes.xattrs = random.flip();
    request.attributes.devices = random.flip();
    request.attributes.specials = random.flip();
    request.remove_source_files = random.below(12) == 0;
    request.detect_renames = random.below(12) == 0;
    request.keep_dir_links = random.flip();
    request.copy_links = random.below(4) == 0;
    request.partial = random.flip();
    if random.below(12) == 0 {
        let keep = Keep { last: random.below(3) as u64, ..Keep::default() };
        request.snapshot = Series { is_asked: true, keep, ..Series::default() };
    }
    if random.below(12) == 0 {
        request.missing_sources = MissingSources::Delete;
        request.missing = Paths::new(vec![RelPath::new(b"only-there").unwrap()]).unwrap();
    }
    if random.below(12) == 0 {
        let beside = Directories::new(&[b"../dst", b"d0"]).unwrap();
        *[&mut request.link_dest, &mut request.copy_dest, &mut request.compare_dest][random.below(3)] = beside;
    }
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
fn only_added(before: &Tree, after: &Tree) -> Vec<String> {
    let told = |(path, was, is): (&Path, &Exact, Option<&Exact>)| format!("{}: {was:?} became {is:?}", path.display());
    changed(before, after).into_iter().map(told).collect()
}

/// What happens to the client's tree between two requests.
const AT_ONCE: usize = 20;

/// Requests: the long form has ten thousand.
fn requests() -> usize {
    if std::env::var_os("SPARSYNC_TEST_LONG").is_some() { 10_000 } else { 300 }
}

#[tokio::test]
async fn a_key_that_appends_does_nothing_else_whatever_it_asks_for() {
    let seed = std::env::var("SPARSYNC_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let site = Site::new("allow=append").await;
    plant(&site.root(), "dst");
    let client = site.client().await;
    let (mut arrived, mut refused) = (0, 0);
    for round in 0..requests() {
        for _ in 0..AT_ONCE {
            change(&site.local(), &mut random);
        }
        let before = exact(&site.root());
        let request = any_request(&mut random);
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
        let after = exact(&site.root());
        assert_eq!(only_added(&before, &after), Vec::<String>::new(), "{told}");
        assert!(leftovers(&site.root()).is_empty(), "{told}");
    }
    assert!(
        arrived > requests() / 5 && refused > requests() / 10,
        "{arrived} pushes arrived and {refused} were refused"
    );
    assert!(snapshot(&site.root()).len() > 20, "too little arrived to say anything");
}
