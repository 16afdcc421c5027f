//! Any error at any call of either storage, and a cut at any call: no path is torn, nothing is told to be well that is
//! not, what is told concerns what failed, the other paths arrive, and the next run puts everything right.
//!
//! `SPARSYNC_TEST_SEED` repeats a run of the short form, `SPARSYNC_TEST_LONG` strikes each call with each error.

use sparsync_proto::{Changing, Device, Durability, Grant};

use super::judge::{Case, repaired};
use super::trees::{Snapshot, Tree, content};
use super::{Asked, Ended, How, run};
use crate::storage::memory::{Call, MemoryStorage, Strike};
use crate::storage::{Errno, Hold, PartialId};

/// Failures of the short form.
const SHORT: u64 = 300;

const ERRORS: [Errno; 11] = [
    Errno::IO,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::MFILE,
    Errno::ACCESS,
    Errno::PERM,
    Errno::STALE,
    Errno::NOENT,
    Errno::NOMEM,
    Errno::ROFS,
    Errno::INVAL,
];

/// What a run has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    /// Everything is new.
    First,
    /// Each kind of difference, and much that is equal.
    Update,
    /// A long file of which an earlier run kept a part.
    Resume,
    /// Files that are in another directory than before.
    Move,
}

/// What the runs of a job begin with: a source, and a destination.
#[expect(clippy::too_many_lines, reason = "one line for each entry of the trees")]
fn trees(job: Job) -> (MemoryStorage, MemoryStorage) {
    let mut sparse = content(20, 300_000);
    sparse[100_000..220_000].fill(0);
    let mut ends_in_hole = content(21, 200_000);
    ends_in_hole.resize(290_000, 0);
    let common = || {
        let tree = Tree::new().directory("same", 0o755, 1).file("same/a", content(1, 10), 0o644, 1);
        tree.file("same/b", content(2, 5_000), 0o600, 1).symlink("same/l", "a", 1)
    };
    let source = || {
        common()
            .directory("d", 0o750, 2)
            .file("d/new", content(3, 700), 0o644, 2)
            .file("d/changed", content(4, 900), 0o640, 3)
            .file("d/mode", content(5, 20), 0o4755, 1)
            .file("d/time", content(6, 20), 0o644, 7)
            .file("d/empty", Vec::new(), 0o644, 7)
            .symlink("d/link", "new", 2)
            .symlink("d/moved", "changed", 2)
            .fifo("d/pipe", 0o622, 2)
            .device("d/device", Device { major: 1, minor: 3 }, 0o620, 2)
            .directory("d/inner", 0o555, 2)
            .file("d/inner/deep", content(7, 100), 0o400, 2)
            .file("was-directory", content(8, 50), 0o644, 2)
            .symlink("was-directory-too", "d", 2)
            .directory("was-file", 0o755, 2)
            .file("was-file/in", content(9, 60), 0o644, 2)
            .file("large", content(10, 600_000), 0o644, 2)
            .file("sparse", sparse.clone(), 0o644, 2)
            .file("ends-in-hole", ends_in_hole.clone(), 0o644, 2)
            .link("d/linked", "d/changed")
            .link("d/inner/linked", "d/changed")
            .link("d/inner/moved-too", "d/moved")
            .link("zz", "was-directory")
            .xattr("d", "user.of-directory", b"1")
            .xattr("d/new", "user.new", b"2")
            .xattr("d/mode", "user.changed", b"3")
            .xattr("large", "user.large", b"4")
            .xattr("d/link", "trusted.of-link", b"5")
            .xattr("d/changed", "system.posix_acl_access", &acl(0o640))
            .xattr("d/inner", "system.posix_acl_access", &acl(0o555))
            .xattr("d/inner", "system.posix_acl_default", &acl(0o750))
    };
    match job {
        Job::First => (source().build(), Tree::new().build()),
        Job::Update => {
            let destination = common()
                .directory("d", 0o755, 1)
                .file("d/changed", content(40, 900), 0o644, 1)
                .file("d/mode", content(5, 20), 0o755, 1)
                .file("d/time", content(6, 20), 0o644, 1)
                .xattr("d/time", "user.gone", b"5")
                .xattr("d/mode", "user.changed", b"6")
                .symlink("d/moved", "elsewhere", 1)
                .file("d/linked", content(48, 900), 0o644, 1)
                .file("d/extra", content(41, 10), 0o644, 1)
                .link("d/extra-too", "d/extra")
                .directory("d/gone", 0o755, 1)
                .file("d/gone/x", content(42, 10), 0o644, 1)
                .directory("d/gone/more", 0o755, 1)
                .file("d/gone/more/y", content(43, 10), 0o644, 1)
                .directory("was-directory", 0o755, 1)
                .file("was-directory/z", content(44, 10), 0o644, 1)
                .directory("was-directory-too", 0o755, 1)
                .file("was-file", content(45, 10), 0o644, 1)
                .file("large", content(46, 500_000), 0o644, 1)
                .file(&unfinished(1), content(47, 10), 0o600, 1);
            (source().build(), destination.build())
        }
        Job::Resume => {
            let long = content(30, 4_500_000);
            let source = Tree::new().file("a", content(1, 10), 0o644, 1).file("long", long.clone(), 0o644, 2);
            let time = sparsync_proto::Time { seconds: 2, nanos: 5 };
            let kept = PartialId::new(b"long", long.len() as u64, time).file_name();
            let kept = String::from_utf8(kept).expect("plain letters");
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            let now = i64::try_from(now.as_secs()).expect("for long");
            (source.build(), Tree::new().file(&kept, long[..3_000_000].to_vec(), 0o600, now).build())
        }
        Job::Move => {
            let at = |folder: &str, mode| {
                let tree = Tree::new().directory("stays", 0o755, 1).directory(folder, 0o755, 1);
                let tree = tree.file(&format!("{folder}/small"), content(31, 5_000), 0o644, 3);
                let tree = tree.file(&format!("{folder}/large"), content(32, 600_000), mode, 4);
                tree.file("stays/here", content(33, 100), 0o644, 1).build()
            };
            (at("new", 0o640), at("old", 0o600))
        }
    }
}

/// The ACL of an entry with this mode, in which somebody is named.
fn acl(mode: u16) -> Vec<u8> {
    let entries = [(1, mode >> 6 & 7, u32::MAX), (2, 6, 7), (4, 4, u32::MAX), (16, mode >> 3 & 7, u32::MAX)];
    let mut out = vec![2, 0, 0, 0];
    for (tag, perms, id) in entries.into_iter().chain([(32, mode & 7, u32::MAX)]) {
        out.extend([u16::to_le_bytes(tag), perms.to_le_bytes()].concat());
        out.extend(id.to_le_bytes());
    }
    out
}

/// The name of an unfinished file of a session that is dead.
fn unfinished(session: u8) -> String {
    String::from_utf8(crate::storage::TempNames::new([session; 8]).next()).expect("plain letters")
}

/// A side of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// One failure of one run.
#[derive(Clone, Debug)]
struct Fault {
    work: Work,
    side: Side,
    call: Call,
    strike: Strike,
}

/// What a run has to do, and how.
type Work = (Job, Durability, How);

fn asked((job, durability, how): Work, session: u8) -> Asked {
    let grant = if job == Job::First && how != How::Copies && session == 2 { Grant::All } else { Grant::AsAsked };
    Asked {
        how,
        grant,
        durability,
        changing: Changing::Fail,
        keep_partial: job == Job::Resume,
        hold: Hold::Exclusive,
        session,
    }
}

/// The calls that a run makes where nothing fails.
fn calls(work: Work) -> Vec<(Side, Call)> {
    let (source, destination) = trees(work.0);
    let ended = run(&source, &destination, asked(work, 2));
    let wrong = repaired(&Snapshot::of(&source), &Snapshot::of(&destination), &ended);
    assert_eq!(wrong, Vec::<String>::new(), "{work:?}");
    let of = |side, storage: &MemoryStorage| storage.faults.calls().into_iter().map(move |call| (side, call));
    of(Side::Source, &source).chain(of(Side::Destination, &destination)).collect()
}

/// Runs into a failure, and once more without it. Gives everything that is wrong; nothing when the call did not come.
fn strike(fault: &Fault) -> Option<Vec<String>> {
    let (source, destination) = trees(fault.work.0);
    let (wanted, before) = (Snapshot::of(&source), Snapshot::of(&destination));
    let plan = Some((fault.call.clone(), fault.strike));
    let struck = if fault.side == Side::Source { &source } else { &destination };
    struck.faults.begin(plan);
    let ended: Ended = run(&source, &destination, asked(fault.work, 2));
    if !struck.faults.has_struck() {
        return None;
    }
    let after = Snapshot::of(&destination);
    let case = Case {
        side: fault.side,
        moves: fault.work.2 == How::Moves,
        call: &fault.call,
        strike: fault.strike,
        source: &wanted,
        before: &before,
        after: &after,
        ended: &ended,
    };
    let mut found = case.findings();
    source.faults.begin(None);
    destination.faults.begin(None);
    let next = run(&source, &destination, asked(fault.work, 3));
    found.extend(repaired(&wanted, &Snapshot::of(&destination), &next));
    if !found.is_empty() {
        let told = ended.failures.iter().map(|issue| format!("{}: {}", issue.path.escape_ascii(), issue.message));
        found.insert(0, format!("{fault:?} ended with {:?} {:?}", ended.result, told.collect::<Vec<_>>()));
    }
    Some(found)
}

/// Numbers that look random, the same for each seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        let digest = blake3::hash(&self.0.to_le_bytes());
        self.0 = u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes"));
        usize::try_from(self.0 % end as u64).expect("below a length")
    }
}

fn seed() -> u64 {
    std::env::var("SPARSYNC_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

const WORKS: [Work; 15] = [
    (Job::First, Durability::None, How::Plain),
    (Job::First, Durability::Run, How::Plain),
    (Job::Update, Durability::None, How::Plain),
    (Job::Update, Durability::Run, How::Plain),
    (Job::Update, Durability::File, How::Plain),
    (Job::Resume, Durability::None, How::Plain),
    (Job::Resume, Durability::Run, How::Plain),
    (Job::Update, Durability::None, How::Delayed),
    (Job::Update, Durability::Run, How::Delayed),
    (Job::Update, Durability::None, How::Delta),
    (Job::Update, Durability::File, How::Delta),
    (Job::Move, Durability::None, How::Moves),
    (Job::Move, Durability::Run, How::Moves),
    (Job::First, Durability::None, How::Copies),
    (Job::Update, Durability::Run, How::Copies),
];

fn strikes() -> impl Iterator<Item = Strike> + Clone {
    let fail = ERRORS.into_iter().map(Strike::Fail);
    fail.chain([Strike::FailAfter(Errno::IO), Strike::FailAfter(Errno::STALE), Strike::Cut])
}

#[test]
fn whatever_fails_is_told_and_put_right_by_the_next_run() {
    let (mut found, mut struck) = (Vec::new(), 0);
    let mut look = |fault: &Fault| {
        if let Some(findings) = strike(fault) {
            struck += 1;
            found.extend(findings);
        }
    };
    if std::env::var_os("SPARSYNC_TEST_LONG").is_some() {
        for work in WORKS {
            for (side, call) in calls(work) {
                for strike in strikes() {
                    look(&Fault { work, side, call: call.clone(), strike });
                }
            }
        }
    } else {
        let mut random = Random(seed());
        let calls = WORKS.map(calls);
        let strikes: Vec<Strike> = strikes().collect();
        for _ in 0..SHORT {
            let at = random.below(WORKS.len());
            let (side, call) = calls[at][random.below(calls[at].len())].clone();
            look(&Fault { work: WORKS[at], side, call, strike: strikes[random.below(strikes.len())] });
        }
    }
    assert!(found.is_empty(), "SPARSYNC_TEST_SEED={}\n{}", seed(), found.join("\n"));
    assert!(struck > SHORT / 2, "only {struck} failures happened");
}

#[test]
fn a_storage_that_lies_is_found_out() {
    let work = (Job::Update, Durability::None, How::Plain);
    let lies = ["write", "rename", "remove", "set time", "set mode"];
    for lie in lies {
        let calls = calls(work).into_iter();
        let mut calls = calls.filter(|(side, call)| *side == Side::Destination && call.operation == lie);
        let found = calls.any(|(side, call)| {
            strike(&Fault { work, side, call, strike: Strike::Lie }).is_some_and(|found| !found.is_empty())
        });
        assert!(found, "nobody saw that {lie} did nothing");
    }
}

#[test]
fn a_directory_that_is_gone_when_its_attributes_are_set_is_told() {
    let work = (Job::First, Durability::None, How::Plain);
    let is_last = |(side, call): &(Side, Call)| {
        *side == Side::Destination && call.operation == "open directory" && call.path == b"same"
    };
    let (side, call) = calls(work).into_iter().rfind(is_last).expect("it is opened");
    let found = strike(&Fault { work, side, call, strike: Strike::Fail(Errno::NOENT) });
    assert_eq!(found, Some(Vec::new()));
}

#[test]
fn a_file_whose_close_fails_gets_no_name() {
    for work in WORKS {
        let closed: Vec<_> = calls(work).into_iter().filter(|(_, call)| call.operation == "close").collect();
        assert!(!closed.is_empty(), "{work:?} names a file whose close nobody looked at");
        for (side, call) in closed {
            let fault = Fault { work, side, call, strike: Strike::Fail(Errno::IO) };
            assert_eq!(strike(&fault), Some(Vec::new()), "{work:?}");
            let (source, destination) = trees(work.0);
            destination.faults.begin(Some((fault.call, fault.strike)));
            let ended = run(&source, &destination, asked(work, 2));
            // What could not be copied from another tree is asked for.
            let is_told = !ended.failures.is_empty() || work.2 == How::Copies;
            assert!(ended.result.is_ok() && is_told, "{work:?}: {:?}", ended.result);
        }
    }
}
