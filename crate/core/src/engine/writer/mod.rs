//! Writes what arrives on one data lane.
//!
//! [`whole`] writes small files, [`recipe`] large ones, [`delta`] those that change, all through [`sparse`] where zeros
//! are to be holes; [`moved`] takes those that are there already; [`naming`] gives what is complete its name. What may
//! follow what on a lane is decided by [`Lane`].

mod delta;
mod handed;
mod moved;
mod naming;
mod partials;
mod recipe;
mod sparse;
mod whole;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sparsync_proto::codec::Reader;
use sparsync_proto::pack::{FileId, PACK_HEADER_BYTES, Record};
use sparsync_proto::session::{Lane, LaneStep};
use sparsync_proto::{Counter, Durability, Figure, IssueKind, Phase, RelPath, Time};
use tokio::sync::mpsc::error::TryRecvError;

use self::delta::Basis;
pub(super) use self::naming::LaneFlushes;
use self::naming::Unnamed;
pub(crate) use self::partials::PartialPlace;
pub(super) use self::partials::Partials;
use self::recipe::Open;
use super::attributes::{AttributePolicy, Given};
use super::directories::{Directories, Incoming, Wanted};
use super::failures::FailurePolicy;
use super::lanes::{ControlSender, Pack};
use super::owners::OwnerMap;
use super::placement::{Committed, Delayed, Placement, Unplaced};
use super::quota::Quota;
use super::receiver::Basis as TreeBasis;
use super::reserve::SpaceReserve;
use super::session::Session;
use crate::error::{Error, Result};
use crate::profile::ThreadClock;
use crate::storage::{
    self, Access, Backups, CallError, Copier, Directory as _, Errno, PartialId, TempNames, Widened,
    WriteDirectory as _, WriteFile, WriteStorage, drop_set_ids,
};

/// Files of at least this size are kept when a run is interrupted, and resumed by the next one.
pub(super) const PARTIAL_BYTES_MIN: u64 = 4 << 20;

/// How long an idle lane waits for more files to share a flush with.
const FLUSH_DELAY_MS: u64 = 20;

/// Whether a file with further names may be written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MayBeLinked(pub(crate) bool);

/// The state that the writers of a run share.
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub(super) struct Writing<'a, S: WriteStorage> {
    pub(super) session: &'a Session,
    pub(super) root: &'a S,
    pub(super) widened: &'a Widened<'a, S>,
    pub(super) directories: &'a Directories,
    /// The way to the sender.
    pub(super) control: ControlSender,
    pub(super) failures: &'a FailurePolicy<'a>,
    pub(super) names: &'a TempNames,
    pub(super) policy: AttributePolicy<'a>,
    pub(super) owners: &'a OwnerMap,
    pub(super) durability: Durability,
    pub(super) keep_partial: bool,
    /// Blocks of zeros become holes.
    pub(super) sparse: bool,
    pub(super) quota: Option<&'a Quota>,
    /// The room of the file system that must stay free.
    pub(super) reserve: Option<&'a SpaceReserve>,
    /// The directory of files that are not complete, if it is not that of their targets.
    pub(super) staging: Option<Arc<S::Directory>>,
    /// The place of partial files, if they are not kept beside their targets.
    pub(super) partials: Option<Partials<'a, S>>,
    /// Files are written over in place; files with further names, too, where `MayBeLinked` says so.
    pub(super) in_place: Option<MayBeLinked>,
    /// Files get their names when all content has come.
    pub(super) delays_updates: bool,
    /// Whole files are not hashed.
    pub(super) trusts_sender: bool,
    /// The space of each file is reserved before it is written. The flag says that a failure to do so was told.
    pub(super) preallocate: Option<&'a AtomicBool>,
    /// Directories with other states of the tree.
    pub(super) bases: &'a [TreeBasis<S>],
    /// Nothing is replaced, whatever was seen: the sender may only add entries.
    pub(super) only_adds: bool,
    /// Replaced entries are kept.
    pub(super) backups: Option<Backups<'a, S>>,
    /// Complete entries that get their names with the deletions.
    pub(super) delayed: Mutex<Vec<Delayed>>,
    /// Where files were that were moved and have arrived so.
    pub(super) moved: Mutex<HashSet<Vec<u8>>>,
    /// Files of all lanes that are complete and wait for a flush.
    pub(super) unflushed: AtomicU64,
    pub(super) flushes: LaneFlushes,
    /// The file system of the top.
    pub(super) device: Option<u64>,
}

impl<S: WriteStorage> Writing<'_, S> {
    /// Runs `work` in a directory of the process's own user, also where its mode forbids that for now.
    pub(super) fn in_directory<T>(
        &self,
        path: &RelPath,
        directory: &Arc<S::Directory>,
        work: impl Fn(&Arc<S::Directory>) -> storage::Result<T>,
    ) -> storage::Result<T> {
        self.widened.within(path, || work(directory))
    }

    /// The directory that a file is in until it is complete, if that is another one than its own, at `path`. `resumes`
    /// says that a part is gone on with, and `keeps_part` that one is kept.
    pub(super) fn staging_of(
        &self,
        path: &RelPath,
        resumes: bool,
        keeps_part: bool,
    ) -> storage::Result<Option<Arc<S::Directory>>> {
        match &self.partials {
            Some(partials) if resumes || keeps_part => {
                self.widened.within(path, || partials.open(path, resumes)).map(Some)
            }
            // A part that was kept beside its target is there.
            None if resumes => Ok(None),
            Some(_) | None => Ok(self.staging.clone()),
        }
    }

    /// Begins to write over a file, if that is asked for and the file exists. Its old content is kept first where it
    /// has to be.
    pub(super) fn begin_in_place(
        &self,
        path: &RelPath,
        directory: &Arc<S::Directory>,
        (name, old_mode): (&[u8], Option<u16>),
        is_kept: bool,
    ) -> storage::Result<Option<Begun<S>>> {
        let (Some(MayBeLinked(may_be_linked)), Some(_)) = (self.in_place, old_mode) else { return Ok(None) };
        // A copy may be made of a large file, here or by the storage.
        self.session.long_work(|| {
            let begun = Unplaced::in_place(directory, name, may_be_linked)?;
            if let Some(backups) = self.backups.as_ref().filter(|_| !is_kept) {
                backups.copy(path, directory, name)?;
            }
            drop_set_ids(&begun.1)?;
            Ok(Some(begun))
        })
    }

    /// Takes the room of content that comes at `at` beyond the `listed` bytes of its file. A file may grow between its
    /// listing and its content, and a key with a quota pays for that too.
    pub(super) fn take_growth(&self, listed: u64, at: u64, bytes: u64) -> Result<()> {
        let beyond = at.saturating_add(bytes).saturating_sub(at.max(listed));
        self.quota.filter(|_| beyond > 0).map_or(Ok(()), |quota| quota.take_bytes(beyond))
    }

    /// Takes room for content that is about to be written. Fails where that room is reserved for others.
    pub(super) fn take_space(&self, bytes: u64) -> Result<()> {
        self.reserve.map_or(Ok(()), |reserve| reserve.take(bytes))
    }

    /// Reserves the room of a file, where that is asked for.
    pub(super) fn reserve(&self, file: &impl WriteFile, bytes: u64) -> storage::Result<()> {
        let Some(is_told) = self.preallocate.filter(|_| bytes > 0) else { return Ok(()) };
        match file.reserve(bytes) {
            Err(CallError { errno: Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL, .. }) => {
                is_told.store(true, Ordering::Relaxed);
                Ok(())
            }
            reserved => reserved,
        }
    }

    /// How a file comes to have its name.
    pub(super) fn placement(&self, old_is_directory: bool) -> Placement {
        match Placement::over(old_is_directory) {
            Placement::Rename if self.delays_updates => Placement::Last,
            placement => placement,
        }
    }

    /// Brings a file whose content is complete into its directory, which has this path.
    pub(super) fn bring(
        &self,
        path: &RelPath,
        (unplaced, file): (&mut Unplaced<S::Directory>, &mut FileOf<S>),
        bits: u16,
    ) -> storage::Result<()> {
        // The content may have to be copied.
        let brought = self.session.long_work(|| self.widened.within(path, || unplaced.bring(file, bits)));
        if let Some(copy) = brought? {
            *file = copy;
        }
        Ok(())
    }

    /// Gives an entry that is made in the directory at `path` its name, or keeps it for the deletions.
    pub(super) fn commit(
        &self,
        unplaced: Unplaced<S::Directory>,
        path: &RelPath,
        name: &[u8],
    ) -> storage::Result<Committed> {
        let put = |directory: &S::Directory, temp_name: &[u8], name: &[u8]| {
            self.widened.within(path, || self.put(path, directory, temp_name, name))
        };
        unplaced.commit(name, put)
    }

    /// The identity of the part that is kept of a file.
    pub(super) fn part_of(&self, path: &RelPath, name: &[u8], size: u64, mtime: Time) -> PartialId {
        let called = self.partials.as_ref().map(|partials| partials.called(path, name));
        PartialId::new(called.as_deref().unwrap_or(name), size, mtime)
    }

    /// Gives a complete entry in the directory at `path` its name.
    pub(super) fn put(
        &self,
        path: &RelPath,
        directory: &S::Directory,
        temp_name: &[u8],
        name: &[u8],
    ) -> storage::Result<()> {
        match &self.backups {
            _ if self.only_adds => directory.rename_new(temp_name, name),
            Some(backups) => backups.put(path, directory, temp_name, name),
            None => directory.rename(temp_name, name),
        }
    }

    /// Keeps a complete entry for the deletions.
    pub(super) fn delay(&self, entry: Delayed) {
        self.delayed().push(entry);
    }

    /// Takes the entries that were kept.
    pub(super) fn take_delayed(&self) -> Vec<Delayed> {
        std::mem::take(&mut *self.delayed())
    }

    /// Takes the paths at which files were that were moved.
    pub(super) fn take_moved(&self) -> HashSet<Vec<u8>> {
        std::mem::take(&mut *self.moved())
    }

    fn moved(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The temporary names of the entries that were kept, by their paths.
    pub(super) fn delayed_names(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.delayed().iter().map(|entry| (entry.path(), entry.temp_name.clone())).collect()
    }

    fn delayed(&self) -> MutexGuard<'_, Vec<Delayed>> {
        self.delayed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that has begun, and the handle to write it.
type Begun<S> = (Unplaced<<S as storage::Storage>::Directory>, FileOf<S>);

/// What stands in the place of a file, if the sender has asked about that.
type Asked<S> = Option<Basis<FileOf<S>>>;

/// A file of a storage.
type FileOf<S> = <<S as storage::Storage>::Directory as storage::Directory>::File;

/// The directory that a lane is writing into.
struct Current<D> {
    number: u32,
    incoming: Arc<Incoming>,
    directory: storage::Result<Arc<D>>,
    /// It is on another file system than the top.
    is_elsewhere: bool,
    given: Given,
}

/// Writes for one lane.
pub(super) struct LaneWriter<'a, S: WriteStorage> {
    writing: &'a Writing<'a, S>,
    lane: Lane,
    current: Option<Current<S::Directory>>,
    /// The file whose recipe is arriving.
    open: Option<Open<S::Directory>>,
    /// The file that the sender has asked about and whose content has not begun, and what stands in its place.
    asked: Option<(FileId, Basis<FileOf<S>>)>,
    /// Copies files that the sender hands over.
    copier: Copier,
    /// A block of content that is copied.
    block: Vec<u8>,
    unnamed: Vec<Unnamed<S::Directory>>,
    /// The last flush that the lane has waited for.
    flushed: u64,
    /// Directories that files waiting for a flush may be in.
    unnamed_directories: usize,
    clock: ThreadClock,
}

impl<'a, S: WriteStorage> LaneWriter<'a, S> {
    pub(super) fn new(writing: &'a Writing<'a, S>) -> Self {
        let clock = writing.session.clock("write", Phase::wait_pack);
        let lane = Lane::default();
        Self {
            writing,
            lane,
            current: None,
            open: None,
            asked: None,
            copier: Copier::default(),
            block: Vec::new(),
            unnamed: Vec::new(),
            flushed: 0,
            unnamed_directories: 0,
            clock,
        }
    }

    /// Works until the lane ends. Whenever nothing waits in the lane, complete files get their names.
    pub(super) fn run(mut self, packs: &mut tokio::sync::mpsc::Receiver<Pack>) -> Result<()> {
        let result = self.work(packs);
        self.abandon();
        result
    }

    fn work(&mut self, packs: &mut tokio::sync::mpsc::Receiver<Pack>) -> Result<()> {
        let mut raw = Vec::new();
        while let Some(pack) = self.next_pack(packs)? {
            self.writing.session.check()?;
            if let Some(handed) = pack.handed {
                self.handed(&handed)?;
                continue;
            }
            self.writing.session.count(Counter::bytes_packed, pack.header.raw_bytes as u64);
            if let Some(profiler) = self.writing.session.profiler() {
                profiler.add(Figure::encoded_bytes, (PACK_HEADER_BYTES + pack.header.stored_bytes) as u64);
            }
            if pack.header.compressed {
                self.decompress(&pack, &mut raw)?;
                self.pack(&raw)?;
            } else {
                self.pack(&pack.bytes)?;
            }
        }
        if let Err(violation) = self.lane.end() {
            self.writing.session.check()?;
            return Err(violation.into());
        }
        self.name_all()
    }

    /// The next pack. While complete files wait for a flush, the lane gets a moment to bring others that can share it,
    /// unless every file on its way is already among them.
    fn next_pack(&mut self, packs: &mut tokio::sync::mpsc::Receiver<Pack>) -> Result<Option<Pack>> {
        self.clock.enter(Phase::wait_pack);
        let mut waited = 0;
        while !self.unnamed.is_empty() {
            match packs.try_recv() {
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
        Ok(packs.blocking_recv())
    }

    fn decompress(&mut self, pack: &Pack, raw: &mut Vec<u8>) -> Result<()> {
        self.clock.enter(Phase::decompress);
        if pack.header.raw_bytes > raw.capacity()
            && let Some(profiler) = self.writing.session.profiler()
        {
            profiler.allocated(pack.header.raw_bytes);
        }
        raw.resize(pack.header.raw_bytes, 0);
        match lz4_flex::block::decompress_into(&pack.bytes, raw) {
            Ok(bytes) if bytes == pack.header.raw_bytes => Ok(()),
            _ => Err(Error::protocol("a pack that does not decompress to its length").remote()),
        }
    }

    fn pack(&mut self, bytes: &[u8]) -> Result<()> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            self.clock.enter(Phase::decode);
            let record = Record::decode(&mut reader)
                .map_err(|error| Error::protocol("a malformed pack").remote().because(error))?;
            let step = self.lane.record(record)?;
            self.step(step)?;
        }
        Ok(())
    }

    fn step(&mut self, step: LaneStep<'_>) -> Result<()> {
        match step {
            LaneStep::Whole { file, meta, content, digest } => self.whole(file, meta, content, &digest),
            LaneStep::Begin { file } => self.begin(file),
            LaneStep::Restart { file } => self.restart(file),
            LaneStep::Literal { at, bytes } => self.literal(at, bytes),
            LaneStep::Copy { bytes } => self.copy(bytes),
            LaneStep::CopyPieces { at, first, pieces } => self.copy_pieces(at, first, &pieces),
            LaneStep::CopyFrom { at, offset, bytes } => self.copy_from(at, offset, bytes),
            LaneStep::Mark => {
                self.mark();
                Ok(())
            }
            LaneStep::Grown { bytes } => self.grown(bytes),
            LaneStep::Sign { file, cutter } => self.sign(file, cutter),
            LaneStep::Ask { file, pieces } => self.ask(file, &pieces),
            LaneStep::Hole { at, bytes } => self.hole(at, bytes),
            LaneStep::End { file, bytes, meta, digest } => self.end(file, bytes, meta, &digest),
            LaneStep::Failed { file, was_open, kind, message } => self.failed(file, was_open, kind, message),
        }
    }

    /// Makes the directory of `file` the current one, and takes the file off the expected ones and off what was asked
    /// about.
    fn take(&mut self, file: FileId) -> Result<(Arc<Incoming>, Wanted, Asked<S>)> {
        self.enter(file.directory)?;
        let incoming = Arc::clone(&self.current()?.incoming);
        let wanted = incoming.take(file.index)?;
        let basis = self.asked.take_if(|(asked, _)| *asked == file).map(|(_, basis)| basis);
        Ok((incoming, wanted, basis))
    }

    fn enter(&mut self, number: u32) -> Result<()> {
        if self.current.as_ref().is_some_and(|current| current.number == number) {
            return Ok(());
        }
        let writing = self.writing;
        let incoming = self.clock.during(Phase::wait_listing, || writing.directories.get(number, writing.session))?;
        self.clock.enter(Phase::create);
        let directory = writing.root.open(&incoming.path, Access::Reach).map(Arc::new);
        self.unnamed_directories += 1;
        let is_elsewhere = self.writing.durability == Durability::Run
            && directory.as_ref().is_ok_and(|directory| {
                directory.status(b"").map(|found| Some(found.device)).ok() != Some(self.writing.device)
            });
        self.current = Some(Current { number, incoming, directory, is_elsewhere, given: Given::default() });
        Ok(())
    }

    fn current(&mut self) -> Result<&mut Current<S::Directory>> {
        self.current.as_mut().ok_or_else(|| Error::internal("no current directory"))
    }

    /// A file that does not come: the peer cannot send it.
    fn failed(&mut self, file: FileId, was_open: bool, kind: IssueKind, message: String) -> Result<()> {
        if was_open {
            return match self.open.take() {
                Some(open) => self.give_up_open(file, open, kind, message),
                None => Err(Error::internal("an open file that is not there")),
            };
        }
        let (incoming, wanted, _) = self.take(file)?;
        if wanted.discarded {
            self.writing.directories.done(file.directory, &incoming);
            return Ok(());
        }
        self.give_up(file, &incoming, kind, message)
    }

    fn give_up(&mut self, file: FileId, incoming: &Incoming, kind: IssueKind, message: String) -> Result<()> {
        let old_kept = incoming.replaces(file.index) && self.writing.in_place.is_none();
        self.writing.failures.issue(kind, incoming.path_of(file.index), message, old_kept)?;
        self.writing.directories.done(file.directory, incoming);
        Ok(())
    }

    fn write_failed(&mut self, file: FileId, incoming: &Incoming, error: CallError) -> Result<()> {
        let old_kept = incoming.replaces(file.index) && self.writing.in_place.is_none();
        self.writing.failures.write(incoming.path_of(file.index), "cannot write", error, old_kept)?;
        self.writing.directories.done(file.directory, incoming);
        Ok(())
    }

    /// Removes the unfinished file when the run ends, except for a part that a later run can resume.
    fn abandon(&mut self) {
        for unnamed in std::mem::take(&mut self.unnamed) {
            unnamed.discard();
        }
        if let Some(open) = self.open.take() {
            open.abandon();
        }
    }
}
