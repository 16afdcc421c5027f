//! Large files, which come as a recipe: what is held of them, holes, and literals.

use std::cmp::Ordering;
use std::sync::Arc;

use sparsync_proto::pack::FileId;
use sparsync_proto::{ContentDigest, Counter, IssueKind, Meta, Phase};

use super::delta::Made;
use super::naming::Unnamed;
use super::sparse::Zeros;
use super::{LaneWriter, PARTIAL_BYTES_MIN};
use crate::engine::directories::{Incoming, Wanted};
use crate::engine::failures;
use crate::engine::placement::{Placement, Unplaced};
use crate::engine::progress::Announced;
use crate::engine::zeros::hash_zeros;
use crate::error::{Error, Result};
use crate::storage::{
    self, Directory, Errno, WriteDirectory, WriteFile, WriteStorage, cut, end_in_hole, hash_prefix, may_reach,
};

/// Bytes of a hole from which on its file system is asked whether it holds so long a file, before zeros are hashed that
/// it refuses in the end. It is longer than any file of a file system with a lower limit.
const LONG_HOLE_BYTES: u64 = 1 << 40;

/// The file whose recipe is arriving.
pub(super) enum Open<D: WriteDirectory> {
    /// It is written.
    Arriving(Box<Arriving<D>>),
    /// The file is not wanted: its content is thrown away as it arrives.
    Unwanted(Arc<Incoming>),
}

/// A large file that is written.
pub(super) struct Arriving<D: WriteDirectory> {
    pub(super) file: FileId,
    pub(super) incoming: Arc<Incoming>,
    pub(super) wanted: Wanted,
    /// The new file, or why it cannot be written: then the rest of its recipe is passed over.
    pub(super) new: std::result::Result<Unfinished<D>, (IssueKind, String)>,
    /// The end of the data; the bytes that came behind it are a hole.
    pub(super) data_end: u64,
    /// The last zeros of it, where it is written over.
    zeros: Zeros,
    /// The hash of the bytes since the last mark.
    pub(super) hasher: blake3::Hasher,
    /// The digests of the pieces up to there.
    marked: Option<blake3::Hasher>,
    /// The file in its place, if it is made of that.
    pub(super) basis: Option<Made<D::File>>,
    pub(super) came: Came,
    /// Whether the bytes that were written are kept when the run is interrupted.
    partial: bool,
    pub(super) announced: Announced,
}

/// How the content of a file came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// In records.
    Told,
    /// It was copied. The sender, which handed it over, looks whether it changed meanwhile.
    Copied,
    /// All of it is the content of another file of the destination, which is taken at the end.
    Moved,
}

/// A file that has begun.
pub(super) struct Unfinished<D: WriteDirectory> {
    pub(super) unplaced: Unplaced<D>,
    pub(super) file: D::File,
}

impl<D: WriteDirectory> Open<D> {
    /// Removes the file when the run ends, unless a later run can resume it.
    pub(super) fn abandon(self) {
        match self {
            Self::Arriving(arriving) if !arriving.partial => arriving.discard(),
            Self::Arriving(_) | Self::Unwanted(_) => {}
        }
    }
}

impl<D: WriteDirectory> Arriving<D> {
    /// Gives up the kept part when the recipe begins with anything but a copy of it: its bytes must not show through a
    /// hole, or behind the end.
    fn give_up_part(&self, at: u64) -> storage::Result<()> {
        match &self.new {
            Ok(new) if at == 0 && (self.wanted.resume.is_some() || self.wanted.held_in_place.is_some()) => {
                cut(&new.file, 0)
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// How long the file was when it was listed.
    fn listed(&self) -> u64 {
        self.incoming.file(self.file.index).map_or(0, |(_, _, size)| size)
    }

    fn write(&mut self, at: u64, bytes: &[u8], sparse: bool) -> storage::Result<()> {
        self.give_up_part(at)?;
        let Ok(new) = &self.new else { return Ok(()) };
        if !sparse {
            self.data_end = at + bytes.len() as u64;
            return new.file.write(bytes, at);
        }
        let over = (new.unplaced.placement() == Placement::InPlace).then_some(&mut self.zeros);
        if let Some(end) = super::sparse::write(&new.file, bytes, at, over)? {
            self.data_end = end;
        }
        Ok(())
    }

    /// Takes over the partial file: it was opened in place of a new file, so its bytes are where they belong.
    fn copy(&mut self, bytes: u64) -> storage::Result<()> {
        self.data_end = bytes;
        let Ok(new) = &self.new else { return Ok(()) };
        cut(&new.file, bytes)?;
        match hash_prefix(&new.file, bytes)? {
            Some(hasher) => self.hasher = hasher,
            None => self.fail(IssueKind::Integrity, "the kept part changed".to_owned()),
        }
        Ok(())
    }

    /// Whether the file is written over the one that is its basis.
    pub(super) fn is_over(&self) -> bool {
        self.new.as_ref().is_ok_and(|new| new.unplaced.placement() == Placement::InPlace)
    }

    /// Writes bytes copied from `offset` of the file in its place, unless that file is written over and has them at
    /// `at` already.
    pub(super) fn put(&mut self, at: u64, offset: u64, bytes: &[u8], sparse: bool) -> storage::Result<()> {
        if !self.is_over() {
            return self.write(at, bytes, sparse);
        }
        match (offset.cmp(&at), &self.new) {
            (Ordering::Greater, _) => return self.write(at, bytes, sparse),
            (Ordering::Equal, new) => {
                self.data_end = at + bytes.len() as u64;
                if let (true, Ok(new)) = (sparse, new) {
                    super::sparse::clear_zeros(&new.file, bytes, at, &mut self.zeros)?;
                }
            }
            // Bytes before `at` have been written over by now: the copy, and with it the digest, would be wrong.
            (Ordering::Less, _) => {
                self.fail(IssueKind::Integrity, "the sender copies what was written over".to_owned());
            }
        }
        Ok(())
    }

    /// Ends a piece.
    pub(super) fn mark(&mut self) {
        let piece = std::mem::take(&mut self.hasher).finalize();
        self.mark_piece(piece.as_bytes());
    }

    /// Ends a piece with this digest.
    pub(super) fn mark_piece(&mut self, digest: &ContentDigest) {
        self.marked.get_or_insert_default().update(digest);
    }

    /// The digest of all that came.
    fn digest(&mut self) -> blake3::Hash {
        if let Some(moved) = self.incoming.moved(self.file.index).filter(|_| self.came == Came::Moved) {
            return moved.digest.into();
        }
        if self.marked.is_none() {
            return self.hasher.finalize();
        }
        if self.hasher.count() > 0 {
            self.mark();
        }
        self.marked.as_ref().map_or_else(|| self.hasher.finalize(), blake3::Hasher::finalize)
    }

    /// Writes no more of it.
    pub(super) fn fail(&mut self, kind: IssueKind, message: String) {
        if let Ok(new) = std::mem::replace(&mut self.new, Err((kind, message))) {
            new.unplaced.discard();
        }
    }

    fn discard(self) {
        if let Ok(new) = self.new {
            new.unplaced.discard();
        }
    }
}

impl<S: WriteStorage> LaneWriter<'_, S> {
    pub(super) fn begin(&mut self, file: FileId) -> Result<()> {
        let (incoming, wanted, basis) = self.take(file)?;
        if wanted.discarded {
            self.open = Some(Open::Unwanted(incoming));
            return Ok(());
        }
        let moved = incoming.moved(file.index).map(|moved| moved.status.size);
        if let Some(bytes) = wanted.resume.map(|(_, bytes)| bytes).or(wanted.held_in_place).or(moved) {
            self.lane.holds(bytes);
        }
        let size = incoming.file(file.index).map_or(0, |(_, _, size)| size);
        if let Some(basis) = &basis {
            self.lane.has_basis(basis.bytes, basis.starts(), size);
        }
        self.create(file, incoming, wanted, (Announced::new(size), basis.map(Made::of)))
    }

    /// The source changed while it was read: its recipe starts again.
    pub(super) fn restart(&mut self, file: FileId) -> Result<()> {
        match self.open.take() {
            Some(Open::Arriving(arriving)) => {
                let Arriving { incoming, wanted, new, announced, .. } = *arriving;
                if let Ok(new) = new {
                    new.unplaced.discard();
                }
                let again = Wanted { resume: None, held_in_place: None, is_kept: true, ..wanted };
                self.create(file, incoming, again, (announced, None))
            }
            unwanted => {
                self.open = unwanted;
                Ok(())
            }
        }
    }

    /// Makes the file that is to be written, or opens its partial file.
    fn create(
        &mut self,
        file: FileId,
        incoming: Arc<Incoming>,
        wanted: Wanted,
        (announced, basis): (Announced, Option<Made<<S::Directory as Directory>::File>>),
    ) -> Result<()> {
        let writing = self.writing;
        self.enter(file.directory)?;
        self.clock.enter(Phase::create);
        let Some((name, listed, size)) = incoming.file(file.index) else {
            return Err(Error::protocol("a file that was not listed").remote());
        };
        // A partial file must be where the next run looks for it: beside its target, or in the directory for partial
        // files.
        let is_found = writing.staging.is_none() || writing.partials.is_some() || wanted.resume.is_some();
        let partial = writing.keep_partial && is_found && size >= PARTIAL_BYTES_MIN;
        let placement = writing.placement(wanted.old_is_directory);
        let in_place = writing.in_place.is_some() && wanted.old_mode.is_some();
        let staging = writing.staging_of(&incoming.path, wanted.resume.is_some(), partial && !in_place);
        let target = writing.policy.content_target(listed, incoming.xattrs(file.index), wanted.old_mode);
        let start = target.start_incomplete();
        let directory = self.current()?.directory.as_ref().map_err(|error| *error);
        let begun = directory.and_then(|directory| Ok((directory, staging?)));
        let begun = begun.and_then(|(directory, staging)| match wanted.resume {
            Some((id, _)) => Unplaced::kept_part(placement, (directory, staging.as_ref()), id.file_name()),
            None if in_place => {
                let begun =
                    writing.begin_in_place(&incoming.path, directory, (name, wanted.old_mode), wanted.is_kept)?;
                begun.ok_or(Errno::NOENT.into())
            }
            None => writing.in_directory(&incoming.path, directory, |directory| {
                let temp_name = if partial {
                    let kept_as = writing.part_of(&incoming.path, name, size, listed.mtime).file_name();
                    // A partial file of this name is of no use, or it would have been resumed.
                    let _ = staging.as_ref().unwrap_or(directory).remove(&kept_as);
                    kept_as
                } else {
                    writing.names.next()
                };
                Unplaced::file(placement, (directory, staging.as_ref()), temp_name, start)
            }),
        });
        let begun = begun.and_then(|(unplaced, file)| match writing.reserve(&file, size) {
            Ok(()) => Ok((unplaced, file)),
            Err(error) => {
                unplaced.discard();
                Err(error)
            }
        });
        let new = match begun {
            Ok((unplaced, file)) => Ok(Unfinished { unplaced, file }),
            Err(error) => {
                const DOING: &str = "cannot make the file";
                failures::check(|| incoming.path_of(file.index), DOING, error)?;
                Err((IssueKind::Write, format!("{DOING}: {error}")))
            }
        };
        let hasher = blake3::Hasher::new();
        let (data_end, zeros, marked, came) = (0, Zeros::default(), None, Came::Told);
        let arriving =
            Arriving { file, incoming, wanted, new, data_end, zeros, hasher, marked, basis, came, partial, announced };
        self.open = Some(Open::Arriving(Box::new(arriving)));
        Ok(())
    }

    pub(super) fn literal(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.go_on_from_moved()?;
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        let count = bytes.len() as u64;
        open.announced.moved(self.writing.session, Counter::bytes_transferred, count);
        self.writing.take_growth(open.listed(), at, count)?;
        self.writing.take_space(count)?;
        self.clock.enter(Phase::hash);
        open.hasher.update(bytes);
        self.clock.enter(Phase::write);
        let written = open.write(at, bytes, self.writing.sparse);
        self.written(written)
    }

    pub(super) fn copy(&mut self, bytes: u64) -> Result<()> {
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        self.clock.enter(Phase::hash);
        open.announced.moved(self.writing.session, Counter::bytes_reused, bytes);
        if open.wanted.is_moved {
            open.came = Came::Moved;
            return Ok(());
        }
        let copied = open.copy(bytes);
        self.written(copied)
    }

    pub(super) fn hole(&mut self, at: u64, bytes: u64) -> Result<()> {
        self.go_on_from_moved()?;
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        self.clock.enter(Phase::hash);
        open.announced.moved(self.writing.session, Counter::bytes_reused, bytes);
        self.writing.take_growth(open.listed(), at, bytes)?;
        // The next write leaves the hole behind it.
        let mut result = open.give_up_part(at);
        if let (Ok(()), true, Ok(new)) = (result, bytes >= LONG_HOLE_BYTES, &open.new) {
            result = may_reach(&new.file, at.saturating_add(bytes));
        }
        if let (Ok(()), Some(_), Ok(new)) = (result, self.writing.in_place, &open.new) {
            // In a file that is written over, old content must not show through a hole.
            result = open.zeros.clear(&new.file, at..at.saturating_add(bytes));
        }
        if result.is_ok() && open.new.is_ok() {
            hash_zeros(self.writing.session, &mut open.hasher, bytes)?;
        }
        self.written(result)
    }

    /// Notes a failed write of the open file; the rest of it is passed over.
    pub(super) fn written(&mut self, result: storage::Result<()>) -> Result<()> {
        const DOING: &str = "cannot write";
        let (Err(error), Some(Open::Arriving(open))) = (result, &mut self.open) else { return Ok(()) };
        open.fail(IssueKind::Write, format!("{DOING}: {error}"));
        failures::check(|| open.incoming.path_of(open.file.index), DOING, error)
    }

    pub(super) fn end(&mut self, file: FileId, bytes: u64, meta: Option<Meta>, digest: &ContentDigest) -> Result<()> {
        let writing = self.writing;
        self.clock.enter(Phase::hash);
        let mut open = match self.open.take() {
            Some(Open::Arriving(open)) => *open,
            Some(Open::Unwanted(incoming)) => {
                writing.directories.done(file.directory, &incoming);
                return Ok(());
            }
            None => return Err(Error::internal("an open file that is not there")),
        };
        let given_up = open.give_up_part(bytes);
        let (found, made_of_basis) = (open.digest(), open.basis.is_some());
        // Pieces of the basis were hashed when they were told and are copied later: the digest holds only if the basis
        // has not changed in between.
        let is_changed = !open.is_over() && open.basis.as_ref().is_some_and(|basis| !basis.is_same());
        let Arriving { incoming, wanted, new, data_end, came, .. } = open;
        let new = match new {
            Ok(new) => new,
            Err((kind, message)) => return self.give_up(file, &incoming, kind, message),
        };
        if is_changed || (came != Came::Copied && found.as_bytes() != digest) {
            const OTHER: &str = "what arrived is not what was read";
            const CHANGED: &str = ", unless what is in its place changed while the new file was made of it";
            new.unplaced.discard();
            let why = format!("{OTHER}{}", if made_of_basis { CHANGED } else { "" });
            return self.give_up(file, &incoming, IssueKind::Integrity, why);
        }
        self.finish(file, (incoming, wanted, came, new), (bytes, data_end, meta), given_up)
    }

    /// Sets the attributes of a file whose content is complete, before the file gets its name.
    fn finish(
        &mut self,
        file: FileId,
        (incoming, wanted, came, mut new): (Arc<Incoming>, Wanted, Came, Unfinished<S::Directory>),
        (bytes, mut data_end, meta): (u64, u64, Option<Meta>),
        given_up: storage::Result<()>,
    ) -> Result<()> {
        let writing = self.writing;
        let Some((_, listed, _)) = incoming.file(file.index) else {
            return Err(Error::internal("a file without a listing"));
        };
        self.clock.enter(Phase::attributes);
        let xattrs = incoming.xattrs(file.index);
        let target = writing.policy.content_target(
            &meta.map_or(*listed, |meta| writing.owners.meta(&meta)),
            xattrs,
            wanted.old_mode,
        );
        let mut is_linked = false;
        if came == Came::Moved {
            data_end = bytes;
            match self.take_moved(&incoming, file, &target, &mut new) {
                Ok(linked) => is_linked = linked,
                Err(error) => {
                    new.unplaced.discard();
                    return self.write_failed(file, &incoming, error);
                }
            }
        }
        // A file that an earlier run began has the mode of that run; a new one has the bits that a umask or a default
        // ACL left it.
        let is_old = wanted.resume.is_some() || is_linked;
        let is_made_so = !is_old && !target.starts_wider();
        let target = if is_made_so { target } else { target.with_bits(|| writing.root.umask()) };
        let target = target.with_atime(incoming.atime(file.index));
        let in_place = new.unplaced.placement() == Placement::InPlace;
        let target = if is_old || in_place { target.reopened() } else { target };
        let ended = given_up.and_then(|()| {
            if in_place {
                cut(&new.file, data_end)?;
            }
            if bytes == data_end {
                return Ok(());
            }
            self.clock.during(Phase::flush, || writing.session.long_work(|| end_in_hole(&new.file, bytes)))
        });
        let bits = target.start_incomplete();
        let ended = ended.and_then(|()| writing.bring(&incoming.path, (&mut new.unplaced, &mut new.file), bits));
        if let Err(error) = ended {
            new.unplaced.discard();
            return self.write_failed(file, &incoming, error);
        }
        let unset = writing.policy.set(&target, &new.file.handle(), None);
        self.complete(Unnamed { incoming, file, unplaced: new.unplaced, open: Some(new.file), unset })
    }

    /// Ends the open file, which has the content that the source's had when it was opened.
    pub(super) fn grown(&mut self, bytes: u64) -> Result<()> {
        let Some(Open::Arriving(open)) = &self.open else { return Ok(()) };
        let path = open.incoming.path_of(open.file.index);
        let message = format!("it grew while it was read: its first {bytes} bytes arrived");
        self.writing.failures.issue(IssueKind::Grown, path, message, false)
    }

    /// A file whose recipe has begun and does not go on.
    pub(super) fn give_up_open(
        &mut self,
        file: FileId,
        open: Open<S::Directory>,
        kind: IssueKind,
        message: String,
    ) -> Result<()> {
        match open {
            Open::Arriving(open) => {
                let incoming = Arc::clone(&open.incoming);
                open.discard();
                self.give_up(file, &incoming, kind, message)
            }
            Open::Unwanted(incoming) => {
                self.writing.directories.done(file.directory, &incoming);
                Ok(())
            }
        }
    }
}
