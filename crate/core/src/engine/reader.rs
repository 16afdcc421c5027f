//! Reads the content that was asked for and packs it, one lane at a time.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;
use sparsync_proto::limits::{LITERAL_BYTES, LONG_FILE_BYTES, PACK_BYTES, WHOLE_FILE_BYTES_MAX};
use sparsync_proto::pack::{
    FileId, LITERAL_OVERHEAD_BYTES, Record, WHOLE_OVERHEAD_BYTES, put_literal_head, put_whole_head,
};
use sparsync_proto::{Counter, Figure, IssueKind, Meta, Phase, Resume, Time};

use super::budget::Permit;
use super::lanes::Pack;
use super::pack::PackBuilder;
use super::progress::Announced;
use super::session::Session;
use crate::error::{Error, Result};
use crate::fs::{Access, Root, Scan, Stamp, hash_prefix, open_source, status};
use crate::profile::ThreadClock;

/// A directory whose listing the receiver may still ask for.
pub(super) struct HeldScan {
    /// What was found.
    pub(super) scan: Scan,
    _permit: Permit,
}

impl HeldScan {
    pub(super) fn new(scan: Scan, permit: Permit) -> Self {
        Self { scan, _permit: permit }
    }
}

/// Files of one directory that the receiver waits for, and that take this lane.
pub(super) struct ContentJob {
    /// The directory's number.
    pub(super) directory: u32,
    /// Its listing.
    pub(super) held: Arc<HeldScan>,
    /// Indices into it.
    pub(super) files: Vec<u32>,
    /// What the receiver holds already.
    pub(super) resume: Vec<Resume>,
    pub(super) _load: Load,
}

/// A job's part in what its lane has to do, until it is done.
pub(super) struct Load {
    lane: Arc<AtomicU64>,
    own: u64,
}

impl Load {
    pub(super) fn add(lane: &Arc<AtomicU64>, own: u64) -> Self {
        lane.fetch_add(own, Ordering::Relaxed);
        Self { lane: Arc::clone(lane), own }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.lane.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// How often a file that changes while it is read is read again.
const READ_ATTEMPTS: usize = 3;

/// How old the last change of a file has to be when it is read. A second one in the same tick of the clock that stamps
/// them would not show, and one that is still being written has its time already.
const CHANGE_SETTLES: Duration = Duration::from_millis(20);

/// How a file looks before and after it is read; equal means that it did not change. Only what a change of content
/// moves is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    size: u64,
    meta: Meta,
    ctime: Time,
    ino: u64,
}

impl State {
    fn new(size: u64, meta: Meta, stamp: Stamp) -> Self {
        Self { size, meta, ctime: stamp.ctime, ino: stamp.ino }
    }

    /// Waits until the last change is old enough for another one to show. Clocks that are ahead are not waited for.
    fn settle(&self, clock: &mut ThreadClock) {
        let ctime = self.ctime;
        let changed = u64::try_from(ctime.seconds).ok().map(|seconds| UNIX_EPOCH + Duration::new(seconds, ctime.nanos));
        if let Some(age) = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok())
            && let Some(wait) = CHANGE_SETTLES.checked_sub(age)
        {
            clock.during(Phase::wait_settle, || std::thread::sleep(wait));
        }
    }
}

/// A large file as it was found.
struct Found {
    state: State,
    /// Whether to ask where its data is.
    may_have_holes: bool,
}

/// What became of reading a file once.
enum Read {
    /// It was packed as it is.
    Done,
    /// It changed meanwhile.
    Changed,
}

/// Why a file cannot be sent.
enum Trouble {
    /// The run is over.
    Run(Error),
    /// This file only.
    File(IssueKind, String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

impl Trouble {
    /// A file, or its directory, that cannot be opened.
    fn unopened(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::File(IssueKind::Vanished, "the file vanished during the run".to_owned()),
            // O_NOFOLLOW on what has become a symlink, a directory on the way that has become something else, a socket.
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Self::irregular(),
            error => Self::unread(error),
        }
    }

    /// An open file that cannot be read.
    fn unread(error: Errno) -> Self {
        Self::File(IssueKind::Unreadable, format!("cannot read: {}", std::io::Error::from(error)))
    }

    fn irregular() -> Self {
        Self::File(IssueKind::Changed, "it is no longer a regular file".to_owned())
    }
}

/// Reads for one lane.
pub(super) struct LaneReader<'a> {
    session: &'a Session,
    root: &'a Root,
    pack: PackBuilder<'a>,
    clock: ThreadClock,
}

impl<'a> LaneReader<'a> {
    pub(super) fn new(
        session: &'a Session,
        root: &'a Root,
        lane: tokio::sync::mpsc::Sender<Pack>,
        compress: &'a (dyn Fn() -> bool + Send + Sync),
    ) -> Self {
        let clock = session.clock("read", Phase::wait_work);
        Self { session, root, pack: PackBuilder::new(session, lane, compress), clock }
    }

    /// Works until there are no more jobs. A pack that is not full leaves as soon as there is nothing to add to it.
    pub(super) fn run(mut self, jobs: &Receiver<ContentJob>, waiting: &AtomicU64) -> Result<()> {
        loop {
            let job = if let Ok(job) = jobs.try_recv() {
                job
            } else {
                self.pack.flush(&mut self.clock)?;
                self.clock.enter(Phase::wait_work);
                match jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return Ok(()),
                }
            };
            waiting.fetch_sub(1, Ordering::Relaxed);
            self.clock.enter(Phase::open);
            self.session.check()?;
            self.directory(&job)?;
        }
    }

    fn directory(&mut self, job: &ContentJob) -> Result<()> {
        let scan = &job.held.scan;
        let directory = self.root.open_directory(&scan.path, Access::Reach);
        for &index in &job.files {
            self.session.check()?;
            let file = FileId { directory: job.directory, index };
            let outcome = match &directory {
                Ok(directory) => self.file(directory, job, file),
                Err(error) => Err(Trouble::unopened(*error)),
            };
            match outcome {
                Ok(()) => self.session.count(Counter::files_transferred, 1),
                Err(Trouble::Run(error)) => return Err(error),
                Err(Trouble::File(kind, message)) => {
                    self.pack.push(&Record::Failed { file, kind, message });
                    self.pack.flush_if_full(&mut self.clock)?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, directory: &OwnedFd, job: &ContentJob, file: FileId) -> std::result::Result<(), Trouble> {
        let scan = &job.held.scan;
        let index = file.index as usize;
        let Some((entry, stamp)) = scan.listing.get(index).zip(scan.stamps.get(index)) else {
            return Err(Error::internal("a file without a listing").into());
        };
        let listed = entry.meta;
        let mut stamp = *stamp;
        let mut expected = State::new(entry.size, listed, stamp);
        let mut announced = Announced::new(entry.size);
        let mut resume = job.resume.iter().find(|resume| resume.index == file.index);
        let mut begun = false;
        let name = scan.listing.name(entry);
        for attempt in 0..READ_ATTEMPTS {
            self.clock.enter(Phase::open);
            let source = open_source(directory, name).map_err(Trouble::unopened)?;
            if attempt > 0 {
                (expected, stamp) = look(&source)?;
            }
            expected.settle(&mut self.clock);
            let carried = (expected.meta != listed).then_some(expected.meta);
            let read = if expected.size <= WHOLE_FILE_BYTES_MAX as u64 && !begun {
                self.whole(&source, file, &expected, carried.as_ref(), &mut announced)?
            } else {
                // What the receiver held is given up with the first recipe, which a second one replaces.
                begun = true;
                let found = Found { state: expected, may_have_holes: stamp.may_have_holes };
                self.recipe(&source, file, &found, carried.as_ref(), resume.take(), &mut announced)?
            };
            if matches!(read, Read::Done) {
                return Ok(());
            }
        }
        Err(Trouble::File(IssueKind::Changed, format!("it changed each of the {READ_ATTEMPTS} times it was read")))
    }

    /// Reads a small file into the pack.
    fn whole(
        &mut self,
        source: &OwnedFd,
        file: FileId,
        expected: &State,
        carried: Option<&Meta>,
        announced: &mut Announced,
    ) -> std::result::Result<Read, Trouble> {
        self.clock.enter(Phase::encode);
        let size = usize::try_from(expected.size).unwrap_or(0);
        let mut draft = self.pack.draft(size + WHOLE_OVERHEAD_BYTES + 1, &mut self.clock)?;
        put_whole_head(file, carried, size, draft.out());
        self.clock.enter(Phase::read);
        let content = draft.read(source, 0, size).map_err(Trouble::unread)?;
        self.clock.enter(Phase::check);
        if content.len() != size || look(source)?.0 != *expected {
            return Ok(Read::Changed);
        }
        self.clock.enter(Phase::hash);
        let digest = blake3::hash(content);
        self.clock.enter(Phase::encode);
        draft.out().extend_from_slice(digest.as_bytes());
        draft.commit();
        self.sent(expected.size, announced);
        self.pack.flush_if_full(&mut self.clock)?;
        Ok(Read::Done)
    }

    /// Sends a large file as a recipe.
    fn recipe(
        &mut self,
        source: &OwnedFd,
        file: FileId,
        found: &Found,
        carried: Option<&Meta>,
        resume: Option<&Resume>,
        announced: &mut Announced,
    ) -> std::result::Result<Read, Trouble> {
        let expected = &found.state;
        self.clock.enter(Phase::encode);
        self.pack.push(&Record::Begin { file });
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        if let Some(resume) = resume.filter(|resume| resume.bytes <= expected.size)
            && let Some(prefix) = self
                .clock
                .during(Phase::hash, || self.session.long_work(|| hash_prefix(source, resume.bytes)))
                .map_err(Trouble::unread)?
            && *prefix.finalize().as_bytes() == resume.digest
        {
            self.pack.push(&Record::Copy { bytes: resume.bytes });
            announced.moved(self.session, Counter::bytes_reused, resume.bytes);
            hasher = prefix;
            at = resume.bytes;
        }
        let most = if expected.size >= LONG_FILE_BYTES { LITERAL_BYTES } else { PACK_BYTES };
        while at < expected.size {
            self.session.check()?;
            self.session.worked(1);
            let data_end = if found.may_have_holes {
                let (data, end) = next_data(source, at, expected.size);
                if data > at {
                    self.pack.push(&Record::Hole { bytes: data - at });
                    announced.moved(self.session, Counter::bytes_reused, data - at);
                    let session = self.session;
                    self.clock.during(Phase::hash, || hash_zeros(session, &mut hasher, data - at))?;
                    at = data;
                }
                end
            } else {
                expected.size
            };
            while at < data_end {
                self.session.check()?;
                let want = usize::try_from(data_end - at).map_or(most, |left| left.min(most));
                if self.literal(source, at, want, &mut hasher, announced)? < want {
                    return Ok(Read::Changed);
                }
                at += want as u64;
            }
        }
        self.clock.enter(Phase::check);
        if look(source)?.0 != *expected {
            return Ok(Read::Changed);
        }
        self.clock.enter(Phase::encode);
        self.pack.push(&Record::End { meta: carried.copied(), digest: *hasher.finalize().as_bytes() });
        self.pack.flush_if_full(&mut self.clock)?;
        Ok(Read::Done)
    }

    /// Appends one literal of `want` bytes to the pack and sends it. Gives how many bytes were there.
    fn literal(
        &mut self,
        source: &OwnedFd,
        at: u64,
        want: usize,
        hasher: &mut blake3::Hasher,
        announced: &mut Announced,
    ) -> std::result::Result<usize, Trouble> {
        let mut draft = self.pack.draft(want + LITERAL_OVERHEAD_BYTES, &mut self.clock)?;
        put_literal_head(want, draft.out());
        self.clock.enter(Phase::read);
        let read = draft.read(source, at, want).map_err(Trouble::unread)?.len();
        if read < want {
            return Ok(read);
        }
        // The room may be larger than what was wanted.
        let end = draft.out().len() - (read - want);
        draft.out().truncate(end);
        self.clock.enter(Phase::hash);
        hasher.update(&draft.out()[end - want..]);
        self.clock.enter(Phase::encode);
        draft.commit();
        self.sent(want as u64, announced);
        self.pack.flush_if_full(&mut self.clock)?;
        Ok(want)
    }

    /// Counts content that goes into packs.
    fn sent(&self, bytes: u64, announced: &mut Announced) {
        announced.moved(self.session, Counter::bytes_transferred, bytes);
        if let Some(profiler) = self.session.profiler() {
            profiler.add(Figure::disk_read_bytes, bytes);
        }
    }
}

/// An open file as it is now.
fn look(source: &OwnedFd) -> std::result::Result<(State, Stamp), Trouble> {
    let found = status(source, b"").map_err(Trouble::unread)?;
    if found.file_type != FileType::RegularFile {
        return Err(Trouble::irregular());
    }
    Ok((State::new(found.size, found.meta, found.stamp), found.stamp))
}

/// The next range at or after `at` that holds data; both ends at `size` when there is none. Where the file system does
/// not know, or does not say, everything is data: reading it tells whether it can be read.
fn next_data(source: impl AsFd, at: u64, size: u64) -> (u64, u64) {
    let data = match rustix::fs::seek(source.as_fd(), SeekFrom::Data(at)) {
        Ok(data) => data.clamp(at, size),
        Err(Errno::NXIO) => return (size, size),
        Err(_) => return (at, size),
    };
    let end = rustix::fs::seek(source.as_fd(), SeekFrom::Hole(data)).map_or(size, |end| end.min(size));
    // What was written between the two calls: the range goes on, and so does the reading.
    (data, if end > data { end } else { size })
}

/// Feeds zeros to a hasher, for as long as the run goes on: a hole can take longer to hash than anybody waits.
pub(super) fn hash_zeros(session: &Session, hasher: &mut blake3::Hasher, bytes: u64) -> Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        session.check()?;
        session.worked(1);
        let count = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        hasher.update(&ZEROS[..count]);
        left -= count as u64;
    }
    Ok(())
}
