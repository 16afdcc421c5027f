//! What the tests of sessions share: trees and what is in them, servers, clients, and peers made by hand.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test takes a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

pub mod ends;
pub mod mux;
pub mod over;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sparsync_core::proto::codec::{Reader, Write as _};
use sparsync_core::proto::pack::{PackHeader, Record};
use sparsync_core::proto::{
    Accept, Arrived, Attributes, Deletion, Direction, Directory, EndProfile, Frame, FrameDecoder, Grant, Kind, Listing,
    Meta, Name, RelPath, Request, Time, Version, WireError, Xattrs, limits,
};
use sparsync_core::{Client, Error, Job, JobResult, Run};

use ends::root_of;
pub use ends::{RawClient, Site, Trap, connect_options, limits, stray_lane};
use over::Lanes;
pub use over::{Incoming, Outgoing, Over, Wire};

/// What one path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Content, mode and time in ns.
    File(Vec<u8>, u32, i128),
    /// Mode.
    Directory(u32),
    /// Target.
    Symlink(PathBuf),
    /// Anything else.
    Special,
}

/// Something that is done to `sub/inner` of a source once it was sent.
pub type Change = fn(&Path);

/// Changes after which that entry is not the one that was sent, of its content, of what it is and of what is on the
/// way to it, and why it is not removed then.
pub const CHANGES: [(Change, &str); 3] = [
    (|top| std::fs::write(top.join("sub/inner"), "written meanwhile").unwrap(), "changed since it was sent"),
    (
        |top| {
            std::fs::remove_file(top.join("sub/inner")).unwrap();
            std::os::unix::fs::symlink("../../outside/secret", top.join("sub/inner")).unwrap();
        },
        "changed since it was sent",
    ),
    (
        |top| {
            std::fs::rename(top.join("sub"), top.join("aside")).unwrap();
            std::os::unix::fs::symlink("aside", top.join("sub")).unwrap();
        },
        "it cannot be removed",
    ),
];

/// Ends a test that cannot be run here: `npm test` counts the line as a skipped test, by name, and fails over it when
/// it is strict. What a test prints by the macros is not seen when it passes.
pub fn skipped(why: &str) {
    use std::io::Write as _;
    let thread = std::thread::current();
    let line = format!("\nskipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

pub type Snapshot = BTreeMap<PathBuf, Node>;

/// Everything below `top`.
pub fn snapshot(top: &Path) -> Snapshot {
    let mut all = Snapshot::new();
    let mut waiting = vec![top.to_path_buf()];
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let found = std::fs::symlink_metadata(&path).unwrap();
            let mtime = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
            let mode = found.permissions().mode() & 0o7777;
            let node = if found.is_dir() {
                waiting.push(path.clone());
                Node::Directory(mode)
            } else if found.is_symlink() {
                Node::Symlink(std::fs::read_link(&path).unwrap())
            } else if found.is_file() {
                Node::File(std::fs::read(&path).unwrap(), mode, mtime)
            } else {
                Node::Special
            };
            all.insert(path.strip_prefix(top).unwrap().to_path_buf(), node);
        }
    }
    all
}

/// The same without the times.
pub fn contents(top: &Path) -> BTreeMap<PathBuf, Node> {
    let timeless = |node| match node {
        Node::File(content, mode, _) => Node::File(content, mode, 0),
        node => node,
    };
    snapshot(top).into_iter().map(|(path, node)| (path, timeless(node))).collect()
}

/// What a receiver says of a file of the source that it has: the file is to be removed there.
pub fn arrived(path: &str, found: &std::fs::Metadata) -> Frame {
    let mtime = Time { seconds: found.mtime(), nanos: u32::try_from(found.mtime_nsec()).unwrap() };
    let path = RelPath::new(path.as_bytes()).unwrap();
    let entries = vec![Arrived { path, kind: Kind::File, size: found.len(), mtime }];
    Frame::Arrived { more: false, entries }
}

/// Names of unfinished files below `top`.
pub fn leftovers(top: &Path) -> Vec<PathBuf> {
    snapshot(top)
        .into_keys()
        .filter(|path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".sps-")))
        .collect()
}

/// Writes a file and the directories above it.
pub fn put(top: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = top.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Bytes without a pattern, the same for the same seed.
pub fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; bytes];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

/// A request of the usual kind: everything but owners, recursive.
pub fn request(direction: Direction, path: &str) -> Request {
    Request {
        direction,
        root: b"r".to_vec(),
        path: RelPath::new(path.as_bytes()).unwrap(),
        attributes: Attributes { perms: true, times: true, links: true, ..Attributes::default() },
        recursive: true,
        partial: true,
        timeout_ms: 60_000,
        lanes: 2,
        // How full this machine's disk is must not decide how many sessions a run has.
        space_checked: true,
        bytes_bound: Some(0),
        entries_bound: Some(0),
        ..Request::default()
    }
}

pub fn push_to(path: &str) -> Request {
    request(Direction::Push, path)
}

pub fn pull_from(path: &str) -> Request {
    request(Direction::Pull, path)
}

pub fn deleting(request: Request) -> Request {
    Request { deletion: Deletion { delete: true, ..request.deletion }, ..request }
}

/// Runs between this folder and a server.
pub async fn run(client: &Client, request: Request, local: &Path) -> Result<JobResult, Error> {
    unhung(start(client, request, local).done()).await
}

pub fn start(client: &Client, mut request: Request, local: &Path) -> Arc<Job> {
    if client.transport().word() == "pipe" {
        request.root = root_of(true).into();
    }
    client
        .start(Run {
            request,
            local_path: local.as_os_str().as_bytes().to_vec(),
            source_is_directory: false,
            local_sources: Vec::new(),
            events: sparsync_core::EventNeeds::default(),
            batch: sparsync_core::Batch::None,
        })
        .unwrap()
}

pub fn stat(result: &JobResult, name: &str) -> u64 {
    result.stats.iter().find(|(stat, _)| *stat == name).unwrap().1
}

/// A control stream in the hands of a test.
pub struct Control {
    pub wire: Wire,
    pub send: Outgoing,
    pub recv: Incoming,
    pub decoder: FrameDecoder,
    pub(super) lanes: Lanes,
}

impl Control {
    /// A peer that has given up may have stopped the stream: what it said is what counts.
    pub async fn write_raw(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await;
    }

    pub async fn write(&mut self, frame: &Frame) {
        let mut encoded = Vec::new();
        frame.encode(Version::NEWEST, &mut encoded);
        self.write_raw(&encoded).await;
    }

    /// A frame of these bytes, whatever they are.
    pub async fn write_body(&mut self, body: &[u8]) {
        self.write_raw(&framed(body)).await;
    }

    /// The next frame but for signs of life.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame().expect("the peer under test speaks well") {
                Some(Frame::Heartbeat(_) | Frame::Settled(_) | Frame::Items(_)) => {}
                Some(frame) => return Some(frame),
                None => match unhung(self.recv.read()).await {
                    Some(bytes) => self.decoder.feed(&bytes),
                    None => return None,
                },
            }
        }
    }

    /// Reads on until the peer says why it ends the session.
    pub async fn abort(&mut self) -> WireError {
        loop {
            match self.next().await {
                Some(Frame::Abort(error)) => return error,
                Some(Frame::Finished { .. }) => panic!("the peer was content"),
                Some(_) => {}
                // After a framing error on a pipe there is no session that could tell the reason.
                None => return self.wire.closed().expect("a reason"),
            }
        }
    }

    /// Reads on until the peer ends a session that this side has given up, which takes no word.
    pub async fn gone(&mut self) {
        while let Some(frame) = self.next().await {
            assert!(!matches!(frame, Frame::Finished { .. }), "the peer was content");
        }
    }

    pub async fn accepted(&mut self) -> Accept {
        match self.next().await {
            Some(Frame::Accept(accept)) => accept,
            other => panic!("no acceptance but {other:?}"),
        }
    }

    /// The receiver's answer to a listing.
    pub async fn wanted(&mut self) -> Vec<u32> {
        loop {
            match self.next().await {
                Some(Frame::Want { files, .. }) => return files,
                Some(Frame::Need(_) | Frame::Bases { .. }) => {}
                other => panic!("no question but {other:?}"),
            }
        }
    }

    pub async fn issue(&mut self) -> sparsync_core::proto::Issue {
        loop {
            match self.next().await {
                Some(Frame::Issue(issue)) => return issue,
                Some(Frame::Need(_) | Frame::Bases { .. } | Frame::Want { .. }) => {}
                other => panic!("no issue but {other:?}"),
            }
        }
    }

    /// Reads on to such a frame.
    pub async fn until(&mut self, found: impl Fn(&Frame) -> bool) {
        loop {
            let frame = self.next().await.expect("a peer that goes on");
            if found(&frame) {
                return;
            }
        }
    }

    /// Reads on until nothing more comes, whatever the end is.
    pub async fn gone_or_finished(&mut self) {
        while self.next().await.is_some_and(|frame| !matches!(frame, Frame::Finished { .. } | Frame::Abort(_))) {}
    }

    pub async fn finished(&mut self) -> Vec<u64> {
        loop {
            match self.next().await {
                Some(Frame::Finished { counters, .. }) => return counters,
                Some(Frame::Abort(error)) => panic!("aborted: {error:?}"),
                Some(_) => {}
                None => panic!("the peer ended without a word"),
            }
        }
    }

    /// Opens a data lane of this session.
    pub async fn lane(&mut self, lane: u8) -> Lane {
        Lane { send: self.lanes.open(&self.wire, &self.send, lane).await }
    }

    /// What the peer sends on the first data lane that it opens.
    pub async fn lane_in(&mut self) -> Incoming {
        self.lanes.accept(&self.wire).await
    }

    /// Sends a whole tree of one directory, as far as the receiver's questions: its listing, then nothing.
    pub async fn tell(&mut self, directories: Vec<Directory>, lists: Vec<Listing>) {
        let entries = directories.iter().map(|directory| u64::from(directory.entries)).sum();
        let count = directories.len() as u64;
        self.write(&Frame::Directories(directories)).await;
        for (number, listing) in (0..).zip(lists) {
            self.write(&Frame::List { directory: number, more: false, listing }).await;
        }
        self.write(&Frame::TreeEnd { directories: count, entries, bytes: 0, errors: 0 }).await;
    }
}

/// A data lane in the hands of a test.
pub struct Lane {
    pub send: Outgoing,
}

impl Lane {
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await;
    }

    /// A pack of these bytes.
    pub async fn pack(&mut self, bytes: &[u8]) {
        let header = PackHeader { compressed: false, stored_bytes: bytes.len(), raw_bytes: bytes.len() };
        self.raw(&header.encode()).await;
        self.raw(bytes).await;
    }

    pub async fn records(&mut self, records: &[Record<'_>]) {
        let mut bytes = Vec::new();
        for record in records {
            record.encode(&mut bytes);
        }
        self.pack(&bytes).await;
    }
}

/// A body behind its length.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.bytes(body);
    out
}

pub fn meta() -> Meta {
    Meta { mode: 0o644, uid: 0, gid: 0, mtime: Time { seconds: 1_000_000_000, nanos: 1 } }
}

pub fn directory_meta() -> Meta {
    Meta { mode: 0o755, ..meta() }
}

/// A record whose digest is that of nothing.
pub fn directory(path: &str, entries: u32) -> Directory {
    Directory {
        unlisted: false,
        path: RelPath::new(path.as_bytes()).unwrap(),
        meta: directory_meta(),
        xattrs: Xattrs::default(),
        digest: [7; 16],
        entries,
    }
}

/// A listing of files and, with a target, symlinks; names in order.
pub fn listing(entries: &[(&str, Kind, u64, &str)]) -> Listing {
    let mut listing = Listing::new();
    for (name, kind, size, target) in entries {
        let meta = if matches!(kind, Kind::File | Kind::Symlink) { meta() } else { Meta::default() };
        assert!(listing.push(Name::new(name.as_bytes()).unwrap(), *kind, *size, meta, target.as_bytes()));
    }
    listing
}

pub fn files(names: &[(&str, u64)]) -> Listing {
    let entries: Vec<_> = names.iter().map(|(name, size)| (*name, Kind::File, *size, "")).collect();
    listing(&entries)
}

pub fn digest(content: &[u8]) -> [u8; 32] {
    *blake3::hash(content).as_bytes()
}

pub fn accept(grant: Grant, lanes: u8) -> Accept {
    Accept { grant, lanes, bytes_bound: Some(0), entries_bound: Some(0), ..Accept::default() }
}

/// How long an answer may take in a test of something else.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What hangs for a minute would hang for ever: the test fails and says where.
pub async fn unhung<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it hangs")
}

/// Waits for what must happen, in a test that has nothing else to wait on.
pub async fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen");
}

/// An empty profile.
pub fn profile() -> EndProfile {
    EndProfile { started_at_micros: 0, figures: vec![], threads: vec![] }
}

/// What stands behind the length of a frame.
pub fn body(frame: &Frame) -> Vec<u8> {
    let mut encoded = Vec::new();
    frame.encode(Version::NEWEST, &mut encoded);
    Reader::new(&encoded).bytes(limits::FRAME_BYTES_MAX, "frame").unwrap().to_vec()
}

/// The root's record and one of a directory with its path spelt by hand.
pub fn directory_body(path: &[u8]) -> Vec<u8> {
    // Mode, owner, group and time are zero.
    let mut out = vec![5];
    for path in [&b""[..], path] {
        out.number(0);
        out.bytes(path);
        out.raw(&[0; 5]);
        out.raw(&[7; 16]);
        out.number(0);
    }
    out
}
