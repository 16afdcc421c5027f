//! The batch of a run as it is written, under another name until it is whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sparsync_proto::{
    Action, Directory, Entry, Frame, IdKind, Issue, IssueKind, Item, Kind, Listing, Name, OwnerName, RelPath, Request,
    SourceIds, Version, Xattrs, acl_ids, encode_list, hex, is_acl, is_owner_name,
};

use super::{DROP, END, FILE, FRAMES, HEAD_BYTES, MAGIC, PART, VERSION};
use crate::accounts::SystemAccounts;
use crate::engine::{Accounts as _, Recorder, Source, settles_in};
use crate::error::{Error, Result};
use crate::prepare;
use crate::storage::{self, Access, Directory as _, File as _, Scan, Stamp, Status, Storage};

/// Bytes of frames that are written together.
const FRAMES_BYTES: usize = 256 << 10;
/// Bytes of content that are read together.
const PART_BYTES: usize = 1 << 20;

/// The batch of a run, which is written while that goes on.
pub(crate) struct BatchWriter {
    path: Vec<u8>,
    state: Mutex<State>,
}

struct State {
    out: Out,
    /// The run's request, in frames.
    request: Vec<Frame>,
    /// The name of a source that is a single file. The file may arrive under another name.
    file_name: Option<Vec<u8>>,
    /// Frames that are written together.
    frames: Vec<u8>,
    /// Owners whose names are told, where the run tells any.
    owners: Option<HashSet<(IdKind, u32)>>,
    of_acls: bool,
    /// The directories by their numbers, with the stamps by which their files are known again.
    directories: Vec<(RelPath, Listing, Vec<Stamp>)>,
    numbers: BTreeMap<RelPath, usize>,
    /// Files whose content is sent, by directory and index.
    wanted: BTreeSet<(usize, usize)>,
    /// The run goes on whatever fails here, and ends with it.
    failure: Option<std::io::Error>,
}

/// The file.
struct Out {
    file: BufWriter<File>,
    hash: blake3::Hasher,
    temporary: PathBuf,
    is_named: bool,
}

impl Drop for Out {
    fn drop(&mut self) {
        self.remove_unnamed();
    }
}

impl Out {
    fn remove_unnamed(&mut self) {
        if !self.is_named {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn head(&mut self, kind: u8, bytes: usize) -> std::io::Result<()> {
        let mut head = [kind; HEAD_BYTES];
        head[1..].copy_from_slice(&(bytes as u64).to_le_bytes());
        self.put(&head)
    }

    fn record(&mut self, kind: u8, bytes: &[u8]) -> std::io::Result<()> {
        self.head(kind, bytes.len())?;
        self.put(bytes)
    }
}

/// Why the content of a file is not written.
enum Unwritten {
    /// This file cannot be read.
    File(String),
    /// The batch cannot be written.
    Batch(std::io::Error),
    /// The run is called off.
    CalledOff(Error),
}

impl From<storage::CallError> for Unwritten {
    fn from(error: storage::CallError) -> Self {
        Self::File(error.to_string())
    }
}

impl From<std::io::Error> for Unwritten {
    fn from(error: std::io::Error) -> Self {
        Self::Batch(error)
    }
}

impl BatchWriter {
    /// Begins the batch of a run that asks for this.
    pub(crate) fn begin(path: &[u8], request: &Request) -> Result<Self> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| Error::io("no random numbers", b"", errno.into()))?;
        let temporary = [path, b".", hex(&random).as_bytes(), b".tmp"].concat();
        let temporary = PathBuf::from(OsStr::from_bytes(&temporary));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| unwritten(path, error))?;
        let out = Out { file: BufWriter::new(file), hash: blake3::Hasher::new(), temporary, is_named: false };
        // Marks, root and path of a server do not belong into a batch.
        let kept = Request { source_marks: Vec::new(), root: Vec::new(), path: RelPath::root(), ..request.clone() };
        let names = prepare::names_told(request, SourceIds::Claimed);
        let mut state = State {
            out,
            request: Frame::asking_for(&kept),
            file_name: request.file_name.clone(),
            frames: Vec::new(),
            owners: (names.users || names.groups).then(HashSet::new),
            of_acls: request.attributes.acls,
            directories: Vec::new(),
            numbers: BTreeMap::new(),
            wanted: BTreeSet::new(),
            failure: None,
        };
        state.begin().map_err(|error| unwritten(path, error))?;
        Ok(Self { path: path.to_vec(), state: Mutex::new(state) })
    }

    /// Begins anew: the run was counted, and is done now.
    pub(crate) fn begin_again(&self) -> Result<()> {
        let state = &mut *self.lock();
        state.again().map_err(|error| unwritten(&self.path, error))
    }

    /// Removes what is written, if it is not whole. The events of the run hold the writer for as long as their reader
    /// likes, so nobody waits for the last holder.
    pub(crate) fn abandon(&self) {
        self.lock().out.remove_unnamed();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds names and content of the source, and gives the file its name. `tell` takes the issues of entries that are
    /// not in it. `check` fails when the run was canceled.
    pub(crate) fn finish(
        &self,
        source: &Source<impl Storage>,
        check: &dyn Fn() -> Result<()>,
        mut tell: impl FnMut(Issue),
    ) -> Result<()> {
        let state = &mut *self.lock();
        let failed = |error| unwritten(&self.path, error);
        state.failure.take().map_or(Ok(()), |error| Err(failed(error)))?;
        state.tell_owners().map_err(failed)?;
        state.flush().map_err(failed)?;
        let mut buffer = Vec::with_capacity(PART_BYTES);
        for place in std::mem::take(&mut state.wanted) {
            let Some((path, known)) = state.known(place) else { continue };
            match state.content(&source.root, (&path, known), check, &mut buffer) {
                Ok(()) => {}
                Err(Unwritten::CalledOff(error)) => return Err(error),
                Err(Unwritten::Batch(error)) => return Err(failed(error)),
                Err(Unwritten::File(why)) => {
                    state.out.record(DROP, &[]).map_err(failed)?;
                    let message = format!("its content is not in the batch: {why}");
                    let path = path.into_bytes();
                    tell(Issue { kind: IssueKind::Changed, path, message, old_kept: true });
                }
            }
        }
        state.end(&self.path).map_err(failed)
    }
}

fn unwritten(path: &[u8], error: std::io::Error) -> Error {
    Error::io("cannot write the batch", path, error)
}

impl Recorder for BatchWriter {
    fn directory(&self, scan: &Scan) {
        let mut state = self.lock();
        if let Err(error) = state.directory(scan) {
            state.failure.get_or_insert(error);
        }
    }

    fn issue(&self, issue: &Issue) {
        if !issue.kind.is_notice() && issue.kind != IssueKind::AttributesUnread {
            let mut state = self.lock();
            if let Err(error) = state.add(&Frame::Issue(issue.clone())) {
                state.failure.get_or_insert(error);
            }
        }
    }

    fn item(&self, item: &Item) {
        let is_sent = matches!(item.action, Action::Create | Action::Update | Action::Copy);
        if is_sent && item.kind == Kind::File {
            self.lock().want(&item.path);
        }
    }
}

impl State {
    /// Writes the frames that come before everything else.
    fn begin(&mut self) -> std::io::Result<()> {
        self.out.put(MAGIC)?;
        self.out.put(&[VERSION])?;
        let request = std::mem::take(&mut self.request);
        request.iter().try_for_each(|frame| self.add(frame))?;
        self.request = request;
        Ok(())
    }

    fn again(&mut self) -> std::io::Result<()> {
        self.out.file.flush()?;
        self.out.file.get_ref().set_len(0)?;
        self.out.file.rewind()?;
        self.out.hash.reset();
        self.frames.clear();
        self.directories.clear();
        self.numbers.clear();
        self.wanted.clear();
        if let Some(owners) = &mut self.owners {
            owners.clear();
        }
        self.begin()
    }

    /// Adds a frame, and writes the frames so far when there are many.
    fn add(&mut self, frame: &Frame) -> std::io::Result<()> {
        frame.encode(Version::NEWEST, &mut self.frames);
        if self.frames.len() >= FRAMES_BYTES { self.flush() } else { Ok(()) }
    }

    /// Notes that the content of a file is sent, once for all its names. A file that the walk has not met does not
    /// belong to the run.
    fn want(&mut self, path: &[u8]) {
        let path = self.file_name.as_deref().unwrap_or(path);
        let Some(place) = RelPath::new(path).ok().and_then(|path| self.place(&path)) else { return };
        let leader = self.directories.get(place.0).and_then(|(_, listing, _)| listing.leader(place.1));
        let leader = leader.and_then(|leader| RelPath::new(&leader.path()).ok());
        let place = leader.and_then(|leader| self.place(&leader)).unwrap_or(place);
        self.wanted.insert(place);
    }

    /// The directory's number and the index of the entry at a path.
    fn place(&self, path: &RelPath) -> Option<(usize, usize)> {
        let (parent, name) = path.split_last()?;
        let number = *self.numbers.get(&parent)?;
        Some((number, self.directories.get(number)?.1.find(name.as_bytes())?))
    }

    /// The path of a file, and how it was found.
    fn known(&self, (number, index): (usize, usize)) -> Option<(RelPath, (Entry, Stamp))> {
        let (parent, listing, stamps) = self.directories.get(number)?;
        let entry = listing.get(index)?;
        let path = parent.join(Name::new(listing.name(entry)).ok()?);
        Some((path, (*entry, *stamps.get(index)?)))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        self.out.record(FRAMES, &self.frames)?;
        self.frames.clear();
        Ok(())
    }

    fn directory(&mut self, scan: &Scan) -> std::io::Result<()> {
        let number = u32::try_from(self.directories.len()).map_err(std::io::Error::other)?;
        let record = Directory {
            path: scan.path.clone(),
            meta: scan.meta,
            xattrs: scan.xattrs.clone(),
            digest: scan.digest,
            entries: u32::try_from(scan.listing.len()).unwrap_or(u32::MAX),
            unlisted: scan.unlisted,
        };
        self.add(&Frame::Directories(vec![record]))?;
        let Self { frames, out, .. } = self;
        let mut written = Ok(());
        encode_list(Version::NEWEST, number, &scan.listing, |frame| {
            frames.extend_from_slice(&frame);
            if frames.len() >= FRAMES_BYTES && written.is_ok() {
                written = out.record(FRAMES, frames);
                frames.clear();
            }
        });
        written?;
        self.see(scan);
        self.numbers.insert(scan.path.clone(), self.directories.len());
        self.directories.push((scan.path.clone(), scan.listing.clone(), scan.stamps.clone()));
        Ok(())
    }

    /// Notes whose names are to be told.
    fn see(&mut self, scan: &Scan) {
        let Some(owners) = &mut self.owners else { return };
        for meta in scan.listing.entries().iter().map(|entry| &entry.meta).chain([&scan.meta]) {
            owners.extend([(IdKind::User, meta.uid), (IdKind::Group, meta.gid)]);
        }
        if self.of_acls {
            let of_entries = scan.listing.all_fields().map(|(_, fields)| &fields.xattrs);
            let acls = of_entries.chain([&scan.xattrs]).flat_map(Xattrs::iter).filter(|(name, _)| is_acl(name));
            owners.extend(acls.flat_map(|(_, acl)| acl_ids(acl)));
        }
    }

    fn tell_owners(&mut self) -> std::io::Result<()> {
        let accounts = SystemAccounts::default();
        for (kind, id) in self.owners.take().unwrap_or_default() {
            if let Some(name) = accounts.name_of(kind, id).filter(|name| is_owner_name(name)) {
                self.add(&Frame::Owners(vec![OwnerName { kind, id, name }]))?;
            }
        }
        Ok(())
    }

    /// Writes the content of a file, if the file still is as the run saw it.
    fn content(
        &mut self,
        root: &impl Storage,
        (path, (entry, stamp)): (&RelPath, (Entry, Stamp)),
        check: &dyn Fn() -> Result<()>,
        buffer: &mut Vec<u8>,
    ) -> std::result::Result<(), Unwritten> {
        check().map_err(Unwritten::CalledOff)?;
        let Some((parent, name)) = path.split_last() else { return Ok(()) };
        let changed = || Unwritten::File("it changed during the run".to_owned());
        let is_same = |now: &Status| {
            let is_file = (now.kind, now.size, now.meta.mtime) == (Kind::File, entry.size, entry.meta.mtime);
            is_file && (now.stamp.ctime, now.stamp.ino) == (stamp.ctime, stamp.ino)
        };
        let file = root.open(&parent, Access::Reach)?.open_file(name.as_bytes())?;
        if !is_same(&file.status()?) {
            return Err(changed());
        }
        if let Some(wait) = settles_in(stamp.ctime) {
            std::thread::sleep(wait);
        }
        let mut hash = blake3::Hasher::new();
        let mut at = 0;
        while at < entry.size {
            let (from, to) = if stamp.may_have_holes { file.next_data(at, entry.size) } else { (at, entry.size) };
            at = from;
            while at < to.min(entry.size) {
                let most = usize::try_from(to.min(entry.size) - at).unwrap_or(PART_BYTES).min(PART_BYTES);
                check().map_err(Unwritten::CalledOff)?;
                buffer.clear();
                if file.read(buffer, at)? == 0 {
                    return Err(changed());
                }
                buffer.truncate(most);
                self.part(at, buffer, &mut hash)?;
                at += buffer.len() as u64;
            }
        }
        if !is_same(&file.status()?) {
            return Err(changed());
        }
        let digest = *hash.finalize().as_bytes();
        self.out.record(FILE, &[&entry.size.to_le_bytes()[..], &digest, path.as_bytes()].concat())?;
        Ok(())
    }

    fn part(&mut self, at: u64, bytes: &[u8], hash: &mut blake3::Hasher) -> std::io::Result<()> {
        let place = at.to_le_bytes();
        hash.update(&place).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self.out.head(PART, place.len() + bytes.len())?;
        self.out.put(&place)?;
        self.out.file.write_all(bytes)
    }

    fn end(&mut self, path: &[u8]) -> std::io::Result<()> {
        self.flush()?;
        let digest = *self.out.hash.finalize().as_bytes();
        self.out.record(END, &digest)?;
        self.out.file.flush()?;
        self.out.file.get_ref().sync_all()?;
        std::fs::rename(&self.out.temporary, OsStr::from_bytes(path))?;
        self.out.is_named = true;
        let above = std::path::Path::new(OsStr::from_bytes(path)).parent();
        above.map_or(Ok(()), |above| File::open(above)?.sync_all())
    }
}
