//! Writes what arrives on one data lane.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::Errno;
use sparsync_proto::codec::Reader;
use sparsync_proto::pack::{FileId, PACK_HEADER_BYTES, Record};
use sparsync_proto::{ContentDigest, Counter, Durability, Figure, IssueKind, Meta, Phase, RelPath};
use tokio::sync::mpsc::error::TryRecvError;

use super::attributes::{AttributePolicy, Given, Unset};
use super::directories::{Directories, Incoming, Wanted};
use super::failures::{FailurePolicy, ends_the_run};
use super::lanes::Pack;
use super::progress::Announced;
use super::quota::Quota;
use super::session::Session;
use super::zeros::hash_zeros;
use crate::error::{Error, Result};
use crate::fs::{Displaced, Handle, NewFile, Root, Widened, put_in_place, remove_temp};
use crate::profile::ThreadClock;
use crate::storage::{Access, PartialId, TempNames, hash_prefix};

/// Files from this size on are kept when a run is interrupted, and gone on with by the next.
pub(super) const PARTIAL_BYTES_MIN: u64 = 4 << 20;

/// Files that wait for one flush, and directories that they may be in: each holds a descriptor.
const UNFLUSHED_FILES_MAX: usize = 1000;
const UNFLUSHED_DIRECTORIES_MAX: usize = 64;

/// How long an idle lane waits for more files to share a flush with.
const FLUSH_DELAY_MS: u64 = 20;

/// Up to so many files are flushed one by one; more at once with their file system.
const FLUSHED_SINGLY_MAX: usize = 8;

/// Something that takes the place of a directory: done with the deletions, because it is one.
#[derive(Debug)]
pub(super) struct Replacement {
    /// The directory that both are in.
    pub(super) directory: RelPath,
    /// The new entry's temporary name.
    pub(super) temp_name: Vec<u8>,
    /// The name that it is to have.
    pub(super) name: Vec<u8>,
    /// What it counts as when it has its name.
    pub(super) counter: Counter,
    /// What could not be set on it.
    pub(super) unset: Unset,
}

/// What the writers of a run share.
pub(super) struct Writing<'a> {
    pub(super) session: &'a Session,
    pub(super) root: &'a Root,
    pub(super) widened: &'a Widened<'a>,
    pub(super) directories: &'a Directories,
    pub(super) failures: FailurePolicy<'a>,
    pub(super) names: &'a TempNames,
    pub(super) policy: AttributePolicy,
    pub(super) durability: Durability,
    pub(super) keep_partial: bool,
    pub(super) quota: Option<&'a Quota>,
    pub(super) replacements: Mutex<Vec<Replacement>>,
    /// Files of all lanes that are complete and wait for a flush.
    pub(super) unflushed: AtomicU64,
}

impl Writing<'_> {
    /// Runs `work` in a directory of one's own, also where its mode forbids it for now.
    pub(super) fn in_directory<T>(
        &self,
        path: &RelPath,
        directory: &OwnedFd,
        work: impl Fn(&OwnedFd) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        self.widened.within(path, || work(directory))
    }
}

/// The directory that a lane is writing into.
struct Current {
    number: u32,
    incoming: Arc<Incoming>,
    directory: rustix::io::Result<Arc<OwnedFd>>,
    given: Given,
}

/// A large file that is arriving.
struct Open {
    file: FileId,
    incoming: Arc<Incoming>,
    wanted: Wanted,
    /// Why it cannot be written, when it cannot; the rest of its recipe is passed over.
    new: std::result::Result<Unfinished, (IssueKind, String)>,
    at: u64,
    /// Where its data ends: at `at`, unless a hole has come last.
    data_end: u64,
    hasher: blake3::Hasher,
    partial: bool,
    announced: Announced,
}

/// A large file under its temporary name.
struct Unfinished {
    directory: Arc<OwnedFd>,
    file: NewFile,
}

impl Unfinished {
    /// Removes it.
    fn discard(self) {
        remove_temp(&self.directory, &self.file.close());
    }
}

impl Open {
    /// Gives up the kept part unless a copy of it has come first: nothing of it may show through a hole, or behind the
    /// end.
    fn give_up_part(&self) -> rustix::io::Result<()> {
        match &self.new {
            Ok(new) if self.at == 0 && self.wanted.resume.is_some() => new.file.cut(0),
            _ => Ok(()),
        }
    }
}

/// A file that is complete and waits to get its name.
struct Unnamed {
    directory: Arc<OwnedFd>,
    incoming: Arc<Incoming>,
    file: FileId,
    temp_name: Vec<u8>,
    /// Kept open for the first few, so that they can be flushed one by one.
    open: Option<NewFile>,
    old_is_directory: bool,
    /// What could not be set on it, which is told when it has its name.
    unset: Unset,
}

impl Unnamed {
    /// Closes the file; what is left is its temporary name.
    fn close(&mut self) {
        if let Some(new) = self.open.take() {
            self.temp_name = new.close();
        }
    }
}

/// Writes for one lane.
pub(super) struct LaneWriter<'a> {
    writing: &'a Writing<'a>,
    current: Option<Current>,
    open: Option<Open>,
    /// A large file whose content is thrown away as it arrives.
    discarded: Option<(FileId, Arc<Incoming>)>,
    unnamed: Vec<Unnamed>,
    unnamed_directories: usize,
    clock: ThreadClock,
}

impl<'a> LaneWriter<'a> {
    pub(super) fn new(writing: &'a Writing<'a>) -> Self {
        let clock = writing.session.clock("write", Phase::wait_pack);
        Self { writing, current: None, open: None, discarded: None, unnamed: Vec::new(), unnamed_directories: 0, clock }
    }

    /// Works until the lane ends. Whenever nothing waits in the lane, what is complete gets its name.
    pub(super) fn run(mut self, lane: &mut tokio::sync::mpsc::Receiver<Pack>) -> Result<()> {
        let result = self.work(lane);
        self.abandon();
        result
    }

    fn work(&mut self, lane: &mut tokio::sync::mpsc::Receiver<Pack>) -> Result<()> {
        let mut raw = Vec::new();
        while let Some(pack) = self.next_pack(lane)? {
            self.writing.session.check()?;
            self.writing.session.count(Counter::bytes_packed, pack.header.raw_bytes as u64);
            if let Some(profiler) = self.writing.session.profiler() {
                profiler.add(Figure::encoded_bytes, (PACK_HEADER_BYTES + pack.header.stored_bytes) as u64);
            }
            if pack.header.compressed {
                self.clock.enter(Phase::decompress);
                if pack.header.raw_bytes > raw.capacity()
                    && let Some(profiler) = self.writing.session.profiler()
                {
                    profiler.allocated(pack.header.raw_bytes);
                }
                raw.resize(pack.header.raw_bytes, 0);
                match lz4_flex::block::decompress_into(&pack.bytes, &mut raw) {
                    Ok(bytes) if bytes == pack.header.raw_bytes => self.pack(&raw)?,
                    _ => return Err(Error::protocol("a pack that does not decompress to its length").remote()),
                }
            } else {
                self.pack(&pack.bytes)?;
            }
        }
        if self.open.is_some() || self.discarded.is_some() {
            self.writing.session.check()?;
            return Err(Error::protocol("a data lane that ends inside a file").remote());
        }
        self.name_all()
    }

    /// The next pack. While files wait for a flush that they could share with others still to come, the lane is
    /// given a moment; once every file on its way is among them, there is nothing to wait for.
    fn next_pack(&mut self, lane: &mut tokio::sync::mpsc::Receiver<Pack>) -> Result<Option<Pack>> {
        self.clock.enter(Phase::wait_pack);
        let mut waited = 0;
        while !self.unnamed.is_empty() {
            match lane.try_recv() {
                Ok(pack) => return Ok(Some(pack)),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) => {}
            }
            let all = self.writing.directories.files_left() == self.writing.unflushed.load(Ordering::SeqCst);
            if all || waited == FLUSH_DELAY_MS {
                self.name_all()?;
                self.clock.enter(Phase::wait_pack);
            } else {
                waited += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(lane.blocking_recv())
    }

    fn pack(&mut self, bytes: &[u8]) -> Result<()> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            self.clock.enter(Phase::decode);
            let record = Record::decode(&mut reader)
                .map_err(|error| Error::protocol("a malformed pack").remote().because(error))?;
            self.record(record)?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record<'_>) -> Result<()> {
        if let Some((file, incoming)) = self.discarded.take() {
            return self.discard(file, incoming, &record);
        }
        match record {
            Record::Whole { file, meta, content, digest } => {
                self.no_open_file()?;
                self.whole(file, meta, content, &digest)
            }
            Record::Begin { file } => self.begin(file),
            Record::Literal(bytes) => {
                let session = self.writing.session;
                self.opened()?.announced.moved(session, Counter::bytes_transferred, bytes.len() as u64);
                self.take_unannounced(bytes.len() as u64)?;
                self.clock.enter(Phase::hash);
                let open = self.opened()?;
                open.hasher.update(bytes);
                self.clock.enter(Phase::write);
                let open = self.opened()?;
                let at = open.at;
                let result = open
                    .give_up_part()
                    .and_then(|()| open.new.as_ref().map_or(Ok(()), |new| new.file.write(bytes, at)));
                open.at += bytes.len() as u64;
                open.data_end = open.at;
                self.written(result)
            }
            Record::Copy { bytes } => {
                self.clock.enter(Phase::hash);
                let session = self.writing.session;
                let open = self.opened()?;
                open.announced.moved(session, Counter::bytes_reused, bytes);
                let held = open.wanted.resume.map_or(0, |(_, held)| held);
                if open.at != 0 || bytes != held {
                    return Err(Error::protocol("a copy of what is not held").remote());
                }
                // The part was opened in place of a new file, so its bytes are where they belong.
                if let Ok(new) = &open.new {
                    match new.file.cut(bytes).and_then(|()| hash_prefix(new.file.file(), bytes)) {
                        Ok(Some(hasher)) => open.hasher = hasher,
                        Ok(None) => open.new = Err((IssueKind::Integrity, "the kept part changed".to_owned())),
                        Err(error) => return self.written(Err(error)),
                    }
                }
                let open = self.opened()?;
                (open.at, open.data_end) = (bytes, bytes);
                Ok(())
            }
            Record::Hole { bytes } => {
                self.clock.enter(Phase::hash);
                let session = self.writing.session;
                let open = self.opened()?;
                open.announced.moved(session, Counter::bytes_reused, bytes);
                let end = open.at.checked_add(bytes).ok_or_else(|| Error::protocol("a file without end").remote())?;
                // The next write leaves the hole behind it.
                let result = open.give_up_part();
                open.at = end;
                if result.is_ok() && open.new.is_ok() {
                    hash_zeros(session, &mut open.hasher, bytes)?;
                }
                self.written(result)
            }
            Record::End { meta, digest } => self.end(meta, &digest),
            Record::Failed { file, kind, message } => self.failed(file, kind, message),
        }
    }

    /// Throws away a record of a file that nobody wants. Its failure at the peer changes nothing for it.
    fn discard(&mut self, file: FileId, incoming: Arc<Incoming>, record: &Record<'_>) -> Result<()> {
        let is_over = match record {
            Record::Literal(_) | Record::Copy { .. } | Record::Hole { .. } => false,
            Record::Begin { file: again } if *again == file => false,
            Record::End { .. } => true,
            Record::Failed { file: failed, .. } if *failed == file => true,
            Record::Whole { .. } | Record::Begin { .. } | Record::Failed { .. } => {
                return Err(Error::protocol("a file begins inside another").remote());
            }
        };
        if is_over {
            self.writing.directories.done(file.directory, &incoming);
        } else {
            self.discarded = Some((file, incoming));
        }
        Ok(())
    }

    fn no_open_file(&self) -> Result<()> {
        if self.open.is_some() {
            return Err(Error::protocol("a file begins inside another").remote());
        }
        Ok(())
    }

    /// A file may grow between its listing and its content; a key with a quota pays for that too.
    fn take_unannounced(&mut self, bytes: u64) -> Result<()> {
        let Some(quota) = self.writing.quota else { return Ok(()) };
        let open = self.opened()?;
        let announced = open.incoming.file(open.file.index).map_or(0, |(_, _, size)| size);
        let beyond = (open.at + bytes).saturating_sub(open.at.max(announced));
        if beyond > 0 { quota.take_bytes(beyond) } else { Ok(()) }
    }

    fn opened(&mut self) -> Result<&mut Open> {
        self.open.as_mut().ok_or_else(|| Error::protocol("content without a file").remote())
    }

    /// Notes a failed write of the open file; the rest of it is passed over.
    fn written(&mut self, result: rustix::io::Result<()>) -> Result<()> {
        let Err(error) = result else { return Ok(()) };
        let open = self.opened()?;
        if let Ok(new) = std::mem::replace(
            &mut open.new,
            Err((IssueKind::Write, format!("cannot write: {}", std::io::Error::from(error)))),
        ) {
            new.discard();
        }
        if ends_the_run(error) {
            let path = path_of(&open.incoming, open.file.index);
            return Err(Error::io("cannot write", &path, error.into()));
        }
        Ok(())
    }

    /// Makes the directory of `file` the current one.
    fn enter(&mut self, file: FileId) -> Result<&mut Current> {
        if self.current.as_ref().is_none_or(|current| current.number != file.directory) {
            let writing = self.writing;
            let incoming =
                self.clock.during(Phase::wait_listing, || writing.directories.get(file.directory, writing.session))?;
            self.clock.enter(Phase::create);
            let directory = self.writing.root.open_directory(&incoming.path, Access::Reach).map(Arc::new);
            self.unnamed_directories += 1;
            self.current = Some(Current { number: file.directory, incoming, directory, given: Given::default() });
        }
        self.current.as_mut().ok_or_else(|| Error::internal("no current directory"))
    }

    fn whole(&mut self, file: FileId, meta: Option<Meta>, content: &[u8], digest: &ContentDigest) -> Result<()> {
        let writing = self.writing;
        let incoming = Arc::clone(&self.enter(file)?.incoming);
        let wanted = incoming.take(file.index)?;
        if wanted.discarded {
            writing.directories.done(file.directory, &incoming);
            return Ok(());
        }
        let Some((_, listed, size)) = incoming.file(file.index) else {
            return Err(Error::protocol("a file that was not listed").remote());
        };
        Announced::new(size).moved(writing.session, Counter::bytes_transferred, content.len() as u64);
        let meta = meta.unwrap_or(*listed);
        if let Some(quota) = writing.quota {
            quota.take_bytes((content.len() as u64).saturating_sub(size))?;
        }
        self.clock.enter(Phase::hash);
        if blake3::hash(content).as_bytes() != digest {
            return self.give_up(file, &incoming, IssueKind::Integrity, "what arrived is not what was read".to_owned());
        }
        self.clock.enter(Phase::create);
        let (clock, current) = (&mut self.clock, self.current.as_mut());
        let Some(current) = current else { return Err(Error::internal("no current directory")) };
        let directory = match &current.directory {
            Ok(directory) => Arc::clone(directory),
            Err(error) => {
                let error = *error;
                return self.write_failed(file, &incoming, error);
            }
        };
        let target = writing.policy.content_target(&meta, wanted.old_mode);
        let written = writing
            .in_directory(&incoming.path, &directory, |directory| {
                NewFile::create(directory, writing.names.next(), target.start())
            })
            .and_then(|new| {
                clock.enter(Phase::write);
                if let Err(error) = new.write(content, 0) {
                    remove_temp(&directory, &new.close());
                    return Err(error);
                }
                clock.enter(Phase::attributes);
                let found = current.given.to(&target, &new);
                let unset = writing.policy.set(&target, Handle::open(new.fd()), found);
                Ok((new, unset))
            });
        match written {
            Ok((new, unset)) => self.complete(Unnamed {
                directory,
                incoming,
                file,
                temp_name: Vec::new(),
                open: Some(new),
                old_is_directory: wanted.old_is_directory,
                unset,
            }),
            Err(error) => self.write_failed(file, &incoming, error),
        }
    }

    fn begin(&mut self, file: FileId) -> Result<()> {
        let writing = self.writing;
        let (incoming, wanted, announced) = match self.open.take() {
            Some(open) if open.file == file => {
                // The source changed while it was read: its recipe starts again.
                if let Ok(new) = open.new {
                    new.discard();
                }
                (open.incoming, Wanted { resume: None, ..open.wanted }, open.announced)
            }
            Some(_) => return Err(Error::protocol("a file begins inside another").remote()),
            None => {
                let incoming = Arc::clone(&self.enter(file)?.incoming);
                let wanted = incoming.take(file.index)?;
                if wanted.discarded {
                    self.discarded = Some((file, incoming));
                    return Ok(());
                }
                let size = incoming.file(file.index).map_or(0, |(_, _, size)| size);
                (incoming, wanted, Announced::new(size))
            }
        };
        let directory = self.enter(file)?.directory.clone_result();
        let Some((name, listed, size)) = incoming.file(file.index) else {
            return Err(Error::protocol("a file that was not listed").remote());
        };
        self.clock.enter(Phase::create);
        let partial = writing.keep_partial && size >= PARTIAL_BYTES_MIN;
        let new = directory.and_then(|directory| {
            let file = match wanted.resume {
                Some((id, _)) => NewFile::reopen(&directory, id.file_name()),
                None => writing.in_directory(&incoming.path, &directory, |directory| {
                    let temp_name = if partial {
                        let temp_name = PartialId::new(name, size, listed.mtime).file_name();
                        remove_temp(directory, &temp_name);
                        temp_name
                    } else {
                        writing.names.next()
                    };
                    // Others may read it only when it has its own mode.
                    NewFile::create(directory, temp_name, 0o600)
                }),
            };
            file.map(|file| Unfinished { directory, file })
        });
        let new = match new {
            Ok(new) => Ok(new),
            Err(error) if ends_the_run(error) => {
                return Err(Error::io("cannot make the file", &path_of(&incoming, file.index), error.into()));
            }
            Err(error) => Err((IssueKind::Write, format!("cannot make the file: {}", std::io::Error::from(error)))),
        };
        let hasher = blake3::Hasher::new();
        self.open = Some(Open { file, incoming, wanted, new, at: 0, data_end: 0, hasher, partial, announced });
        Ok(())
    }

    fn end(&mut self, meta: Option<Meta>, digest: &ContentDigest) -> Result<()> {
        let writing = self.writing;
        self.clock.enter(Phase::hash);
        let Some(open) = self.open.take() else {
            return Err(Error::protocol("the end of no file").remote());
        };
        let given_up = open.give_up_part();
        let (file, incoming) = (open.file, open.incoming);
        let Some((_, listed, _)) = incoming.file(file.index) else {
            return Err(Error::internal("a file without a listing"));
        };
        let meta = meta.unwrap_or(*listed);
        let new = match open.new {
            Ok(new) => new,
            Err((kind, message)) => return self.give_up(file, &incoming, kind, message),
        };
        if open.hasher.finalize().as_bytes() != digest {
            new.discard();
            return self.give_up(file, &incoming, IssueKind::Integrity, "what arrived is not what was read".to_owned());
        }
        self.clock.enter(Phase::attributes);
        let target = writing.policy.content_target(&meta, open.wanted.old_mode).with_bits();
        let ended = given_up.and_then(|()| {
            if open.at == open.data_end {
                return Ok(());
            }
            self.clock.during(Phase::flush, || writing.session.long_work(|| new.file.end_in_hole(open.at)))
        });
        if let Err(error) = ended {
            new.discard();
            return self.write_failed(file, &incoming, error);
        }
        let unset = writing.policy.set(&target, Handle::open(new.file.fd()), None);
        self.complete(Unnamed {
            directory: new.directory,
            incoming,
            file,
            temp_name: Vec::new(),
            open: Some(new.file),
            old_is_directory: open.wanted.old_is_directory,
            unset,
        })
    }

    fn failed(&mut self, file: FileId, kind: IssueKind, message: String) -> Result<()> {
        let writing = self.writing;
        match self.open.take() {
            Some(open) if open.file == file => {
                if let Ok(new) = open.new {
                    new.discard();
                }
                self.give_up(file, &open.incoming, kind, message)
            }
            Some(_) => Err(Error::protocol("a failure inside another file").remote()),
            None => {
                let incoming = Arc::clone(&self.enter(file)?.incoming);
                if incoming.take(file.index)?.discarded {
                    writing.directories.done(file.directory, &incoming);
                    return Ok(());
                }
                self.give_up(file, &incoming, kind, message)
            }
        }
    }

    fn give_up(&mut self, file: FileId, incoming: &Incoming, kind: IssueKind, message: String) -> Result<()> {
        self.writing.failures.issue(kind, path_of(incoming, file.index), message, incoming.replaces(file.index))?;
        self.writing.directories.done(file.directory, incoming);
        Ok(())
    }

    fn write_failed(&mut self, file: FileId, incoming: &Incoming, error: Errno) -> Result<()> {
        let old_kept = incoming.replaces(file.index);
        self.writing.failures.write(path_of(incoming, file.index), "cannot write", error, old_kept)?;
        self.writing.directories.done(file.directory, incoming);
        Ok(())
    }

    /// Takes a file whose content and attributes are complete.
    fn complete(&mut self, mut unnamed: Unnamed) -> Result<()> {
        self.clock.enter(Phase::rename);
        match self.writing.durability {
            Durability::None => unnamed.close(),
            Durability::File => {
                if let Some(new) = &unnamed.open
                    && let Err(error) = self.clock.during(Phase::flush, || new.sync())
                {
                    unnamed.close();
                    remove_temp(&unnamed.directory, &unnamed.temp_name);
                    return self.write_failed(unnamed.file, &unnamed.incoming, error);
                }
                unnamed.close();
            }
            Durability::Run => {
                if self.unnamed.len() >= FLUSHED_SINGLY_MAX {
                    unnamed.close();
                }
                self.unnamed.push(unnamed);
                self.writing.unflushed.fetch_add(1, Ordering::SeqCst);
                if self.unnamed.len() >= UNFLUSHED_FILES_MAX || self.unnamed_directories >= UNFLUSHED_DIRECTORIES_MAX {
                    return self.name_all();
                }
                return Ok(());
            }
        }
        self.name(unnamed)
    }

    /// Flushes what is complete and gives it its names.
    fn name_all(&mut self) -> Result<()> {
        self.unnamed_directories = 0;
        if self.unnamed.is_empty() {
            return Ok(());
        }
        let mut unnamed = std::mem::take(&mut self.unnamed).into_iter();
        self.writing.unflushed.fetch_sub(unnamed.len() as u64, Ordering::SeqCst);
        let singly = unnamed.len() <= FLUSHED_SINGLY_MAX;
        let (session, root) = (self.writing.session, self.writing.root);
        self.clock.enter(Phase::flush);
        let together = if singly { Ok(()) } else { session.long_work(|| root.sync_file_system()) };
        let named = unnamed.by_ref().try_for_each(|file| self.name_flushed(file, singly, together));
        // When the run ends here, the rest is removed with everything else that has no name.
        self.unnamed.extend(unnamed);
        named
    }

    /// Gives a file its name, when its content is on disk.
    fn name_flushed(&mut self, mut file: Unnamed, singly: bool, together: rustix::io::Result<()>) -> Result<()> {
        let session = self.writing.session;
        let flushed = match &file.open {
            Some(new) if singly => self.clock.during(Phase::flush, || session.long_work(|| new.sync())),
            _ => together,
        };
        self.clock.enter(Phase::rename);
        file.close();
        match flushed {
            Ok(()) => self.name(file),
            // What the disk refused is lost, whatever a second attempt would say.
            Err(error) => {
                remove_temp(&file.directory, &file.temp_name);
                self.write_failed(file.file, &file.incoming, error)
            }
        }
    }

    /// Gives a complete file its name.
    fn name(&mut self, file: Unnamed) -> Result<()> {
        let writing = self.writing;
        // A session that was superseded changes nothing more.
        if let Err(error) = writing.session.check() {
            remove_temp(&file.directory, &file.temp_name);
            return Err(error);
        }
        let Some((name, _, _)) = file.incoming.file(file.file.index) else {
            return Err(Error::internal("a file without a listing"));
        };
        if file.old_is_directory {
            writing.replacements.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Replacement {
                directory: file.incoming.path.clone(),
                temp_name: file.temp_name,
                name: name.to_vec(),
                counter: Counter::files_transferred,
                unset: file.unset,
            });
            writing.directories.done(file.file.directory, &file.incoming);
            return Ok(());
        }
        match put_in_place(file.directory.as_fd(), &file.temp_name, name) {
            Ok(Displaced::Gone) => {
                writing.session.count(Counter::files_transferred, 1);
                writing.failures.attributes(|| path_of(&file.incoming, file.file.index), &file.unset)?;
                if writing.durability == Durability::File {
                    sync_directory(&file.directory);
                }
            }
            Ok(Displaced::Directory) => {
                // A directory appeared there while the run went on: it is not this run's to remove.
                let _ = put_in_place(file.directory.as_fd(), &file.temp_name, name);
                remove_temp(&file.directory, &file.temp_name);
                writing.failures.issue(
                    IssueKind::Conflict,
                    path_of(&file.incoming, file.file.index),
                    "a directory appeared in its place during the run".to_owned(),
                    true,
                )?;
            }
            Err(error) => {
                remove_temp(&file.directory, &file.temp_name);
                return self.write_failed(file.file, &file.incoming, error);
            }
        }
        writing.directories.done(file.file.directory, &file.incoming);
        Ok(())
    }

    /// Removes what is not complete when the run ends, except a part that a later run can go on from.
    fn abandon(&mut self) {
        for mut unnamed in std::mem::take(&mut self.unnamed) {
            unnamed.close();
            remove_temp(&unnamed.directory, &unnamed.temp_name);
        }
        if let Some(open) = self.open.take()
            && let Ok(new) = open.new
            && !open.partial
        {
            new.discard();
        }
    }
}

/// Makes renames in a directory durable; a file system that cannot say so keeps no promise anyway.
fn sync_directory(directory: &OwnedFd) {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    if let Ok(readable) = rustix::fs::openat(directory, c".", flags, rustix::fs::Mode::empty()) {
        let _ = rustix::fs::fsync(&readable);
    }
}

trait CloneResult {
    fn clone_result(&self) -> rustix::io::Result<Arc<OwnedFd>>;
}

impl CloneResult for rustix::io::Result<Arc<OwnedFd>> {
    fn clone_result(&self) -> Self {
        match self {
            Ok(directory) => Ok(Arc::clone(directory)),
            Err(error) => Err(*error),
        }
    }
}

fn path_of(incoming: &Incoming, index: u32) -> Vec<u8> {
    let name = incoming.file(index).map(|(name, _, _)| name).unwrap_or_default();
    incoming.path.join_bytes(name)
}
