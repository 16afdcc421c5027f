//! What stands in the place of a large file that changed: it is told to the sender, and the new file is made of it.

use sparsync_proto::delta::{Chunk, Cutter};
use sparsync_proto::limits::{BATCH_BYTES, DELTA_ASKED_BYTES_MAX, DELTA_LIST_MAX, DELTA_PIECES_MAX};
use sparsync_proto::pack::FileId;
use sparsync_proto::{ContentDigest, Frame, IssueKind, Kind, Phase, Time};

use super::recipe::Open;
use super::{LaneWriter, Writing};
use crate::engine::directories::OlderAt;
use crate::engine::reader::settle;
use crate::error::{Error, Result};
use crate::storage::{self, Access, CallError, Cut, Directory, Errno, File, Status, WriteStorage, cut_file};

/// Parts of one frame: each takes up to 26 bytes there.
const FRAME_PARTS: usize = BATCH_BYTES / 26;

/// The file in the place of a new one, from which content is copied.
pub(super) struct Basis<F> {
    pub(super) file: F,
    pub(super) bytes: u64,
    /// How it was when it was read.
    state: Seen,
    /// Its parts, as the sender was told.
    parts: Vec<Chunk>,
    /// The whole digests of the pieces, for as many as are worth the memory.
    digests: Vec<ContentDigest>,
    /// The pieces that were told last, where each begins, and the cutter for the finer ones that the sender may ask
    /// for.
    told: Vec<(u64, Chunk)>,
    below: Option<Cutter>,
}

/// What changes when the content of a file does. Its link count is not in it: further names may come and go meanwhile.
type Seen = (u64, Time);

fn seen(status: &Status) -> Seen {
    (status.size, status.meta.mtime)
}

/// The basis of an open file.
pub(super) struct Made<F> {
    pub(super) file: F,
    state: Seen,
    digests: Vec<ContentDigest>,
}

impl<F: File> Made<F> {
    pub(super) fn of(basis: Basis<F>) -> Self {
        Self { file: basis.file, state: basis.state, digests: basis.digests }
    }

    /// Whether it is as it was when it was read.
    pub(super) fn is_same(&self) -> bool {
        self.file.status().is_ok_and(|status| seen(&status) == self.state)
    }

    /// The digests of `count` parts from number `first` on, if they are known.
    fn digests(&self, first: u32, count: usize) -> Option<&[ContentDigest]> {
        let first = first as usize;
        let digests = self.digests.get(first..first.checked_add(count)?)?;
        digests.iter().all(|digest| *digest != ContentDigest::default()).then_some(digests)
    }
}

impl<F> Basis<F> {
    /// Where each of its parts begins.
    pub(super) fn starts(&self) -> Vec<u64> {
        self.ranges().map(|(start, _)| start).collect()
    }

    fn ranges(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        let mut at = 0;
        self.parts.iter().map(move |part| {
            let start = at;
            at += part.bytes;
            (start, part)
        })
    }
}

/// Why a file is not cut to its end.
enum Stop {
    /// The session is over.
    Session(Error),
    /// The file cannot be read further, or would have more pieces than the sender takes.
    Here,
}

impl From<CallError> for Stop {
    fn from(_: CallError) -> Self {
        Self::Here
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl<S: WriteStorage> LaneWriter<'_, S> {
    /// Tells the sender the pieces of the file in the place of a new one. A file that cannot be read has none.
    pub(super) fn sign(&mut self, file: FileId, cutter: Cutter) -> Result<()> {
        self.enter(file.directory)?;
        if self.asked.is_some() {
            return Err(Error::protocol("a question about a file while another one has not begun").remote());
        }
        let Some(current) = &self.current else { return Err(Error::internal("no current directory")) };
        if !current.incoming.has_basis(file.index) {
            return Err(Error::protocol("a question about a file that was not offered").remote());
        }
        let name = current.incoming.file(file.index).map(|(name, ..)| name).unwrap_or_default();
        let opened = current.directory.as_ref().map_err(|error| *error).and_then(|directory| {
            let opened = match current.incoming.older(file.index) {
                None => directory.open_file(name)?,
                Some(OlderAt { basis: None, name }) => directory.open_file(name)?,
                Some(OlderAt { basis: Some(number), name }) => {
                    let basis = self.writing.bases.get(*number).ok_or(Errno::NOENT)?;
                    basis.root.open(&current.incoming.path, Access::Reach)?.open_file(name)?
                }
            };
            Ok((opened.status()?, opened))
        });
        let (status, opened) = match opened {
            Ok((status, opened)) if status.kind == Kind::File => (status, opened),
            Ok(_) | Err(_) => return tell(self.writing, file, &[]),
        };
        settle(status.meta.mtime, &mut self.clock);
        let (bytes, mut parts, mut digests) = (status.size, Vec::new(), Vec::new());
        self.clock.enter(Phase::hash);
        let how = (cutter, status.stamp.may_have_holes);
        add_parts(self.writing, &opened, 0..bytes, how, (&mut parts, Some(&mut digests)))?;
        self.clock.enter(Phase::wait_room);
        tell(self.writing, file, &parts)?;
        let (state, below) = (seen(&status), cutter.below());
        let mut basis = Basis { file: opened, bytes, state, parts, digests, told: Vec::new(), below };
        basis.told = basis.ranges().map(|(start, part)| (start, *part)).collect();
        self.asked = Some((file, basis));
        Ok(())
    }

    /// Tells the finer parts of some of the parts that were told last.
    pub(super) fn ask(&mut self, file: FileId, parts: &[u32]) -> Result<()> {
        let basis = self.asked.as_mut().filter(|(asked, _)| *asked == file).map(|(_, basis)| basis);
        let Some((basis, cutter)) = basis.and_then(|basis| basis.below.take().map(|cutter| (basis, cutter))) else {
            return Err(Error::protocol("a question about parts that were not told").remote());
        };
        basis.below = cutter.below();
        let mut numbers = parts.iter().copied().peekable();
        let (mut finer, mut told, mut left) = (Vec::new(), Vec::new(), DELTA_ASKED_BYTES_MAX);
        self.clock.enter(Phase::hash);
        for (number, (start, part)) in (0..).zip(std::mem::take(&mut basis.told)) {
            if numbers.next_if_eq(&number).is_none() || part.is_hole() {
                continue;
            }
            left = left
                .checked_sub(part.bytes)
                .ok_or_else(|| Error::protocol("a question about more than may be asked about").remote())?;
            let (first, mut at) = (finer.len(), start);
            add_parts(self.writing, &basis.file, start..start + part.bytes, (cutter, false), (&mut finer, None))?;
            for chunk in &finer[first..] {
                told.push((at, *chunk));
                at += chunk.bytes;
            }
        }
        basis.told = told;
        self.clock.enter(Phase::wait_room);
        tell(self.writing, file, &finer)
    }

    /// Makes the next bytes of the open file of these pieces, which lie side by side. Their content was hashed when
    /// they were told, and is not hashed again.
    pub(super) fn copy_pieces(&mut self, at: u64, first: u32, pieces: &[(u64, u64)]) -> Result<()> {
        let bytes: u64 = pieces.iter().map(|(_, bytes)| bytes).sum();
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        open.announced.matched(self.writing.session, bytes);
        let Some((offset, _)) = pieces.first().copied().filter(|_| open.hasher.count() == 0) else {
            return self.copy_pieces_here(at, pieces);
        };
        let digests = open.basis.as_ref().and_then(|basis| basis.digests(first, pieces.len()));
        let Some(digests) = digests.map(<[ContentDigest]>::to_vec) else { return self.copy_pieces_here(at, pieces) };
        for digest in &digests {
            open.mark_piece(digest);
        }
        let is_there = open.is_over() && offset == at;
        if is_there && !self.writing.sparse {
            open.data_end = at + bytes;
            return Ok(());
        }
        if !open.is_over() && !self.writing.sparse {
            return self.copy_range(at, offset, bytes);
        }
        self.copy_blocks(at, offset, bytes, |_, _| {})
    }

    /// Copies a range as well as the storage can.
    fn copy_range(&mut self, at: u64, offset: u64, bytes: u64) -> Result<()> {
        let session = self.writing.session;
        self.clock.enter(Phase::write);
        let mut done = 0;
        while done < bytes {
            session.check()?;
            session.worked(1);
            let most = (bytes - done).min(RANGE_BYTES);
            self.writing.take_space(most)?;
            let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
            let (Ok(new), Some(basis)) = (&open.new, &open.basis) else { return Ok(()) };
            match self.copier.copy((&basis.file, offset + done), (&new.file, at + done), most) {
                Ok(0) => {
                    open.fail(IssueKind::Integrity, CHANGED.to_owned());
                    return Ok(());
                }
                Ok(count) => {
                    done += count;
                    open.data_end = at + done;
                }
                Err(fault) => return self.written(Err(fault.error())),
            }
        }
        Ok(())
    }

    fn copy_pieces_here(&mut self, mut at: u64, pieces: &[(u64, u64)]) -> Result<()> {
        for &(offset, bytes) in pieces {
            self.copy_here(at, offset, bytes)?;
            self.mark();
            at += bytes;
        }
        Ok(())
    }

    /// Copies the next bytes of the open file from the file in its place.
    pub(super) fn copy_from(&mut self, at: u64, offset: u64, bytes: u64) -> Result<()> {
        if let Some(Open::Arriving(open)) = &mut self.open {
            open.announced.matched(self.writing.session, bytes);
        }
        self.copy_here(at, offset, bytes)
    }

    fn copy_here(&mut self, at: u64, offset: u64, bytes: u64) -> Result<()> {
        self.copy_blocks(at, offset, bytes, |hasher, block| {
            hasher.update(block);
        })
    }

    /// Copies block by block. `hash` gets each block before it is written.
    fn copy_blocks(
        &mut self,
        at: u64,
        offset: u64,
        bytes: u64,
        mut hash: impl FnMut(&mut blake3::Hasher, &[u8]),
    ) -> Result<()> {
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        let session = self.writing.session;
        let mut done = 0;
        while done < bytes && open.new.is_ok() {
            session.check()?;
            session.worked(1);
            self.clock.enter(Phase::read);
            let want = usize::try_from(bytes - done).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            self.writing.take_space(want as u64)?;
            let read = match &open.basis {
                Some(basis) => read_exactly(&basis.file, offset + done, want, &mut self.block),
                None => Ok(false),
            };
            let written = match read {
                Ok(true) => {
                    self.clock.enter(Phase::hash);
                    hash(&mut open.hasher, &self.block);
                    self.clock.enter(Phase::write);
                    open.put(at + done, offset + done, &self.block, self.writing.sparse)
                }
                Ok(false) => {
                    open.fail(IssueKind::Integrity, CHANGED.to_owned());
                    Ok(())
                }
                Err(error) => Err(error),
            };
            done += want as u64;
            if written.is_err() {
                return self.written(written);
            }
        }
        Ok(())
    }

    /// A piece of the open file ends.
    pub(super) fn mark(&mut self) {
        if let Some(Open::Arriving(open)) = &mut self.open {
            open.mark();
        }
    }
}

/// Bytes of a range that the storage copies at once.
const RANGE_BYTES: u64 = 8 << 20;

/// Bytes that are copied at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Why a file that is made of another one is none.
const CHANGED: &str = "what is in its place changed while the new file was made of it";

/// Reads just so many bytes; says false when there are fewer.
fn read_exactly(file: &impl File, offset: u64, bytes: usize, into: &mut Vec<u8>) -> storage::Result<bool> {
    into.clear();
    if into.capacity() < bytes {
        into.reserve_exact(bytes);
    }
    while into.len() < bytes {
        if file.read(into, offset + into.len() as u64)? == 0 {
            return Ok(false);
        }
    }
    into.truncate(bytes);
    Ok(true)
}

/// Adds the parts of a range of a file, as far as it can be read and may be told.
fn add_parts<S: WriteStorage>(
    writing: &Writing<'_, S>,
    file: &impl File,
    range: std::ops::Range<u64>,
    how: (Cutter, bool),
    (parts, mut digests): (&mut Vec<Chunk>, Option<&mut Vec<ContentDigest>>),
) -> Result<()> {
    let cut = cut_file(file, range, how, |cut| {
        writing.session.check()?;
        writing.session.worked(1);
        if parts.len() == DELTA_LIST_MAX {
            return Err(Stop::Here);
        }
        let (part, digest) = match cut {
            Cut::Part(content) => Chunk::with_digest(content),
            Cut::Hole(bytes) => (Chunk::hole(bytes), ContentDigest::default()),
        };
        parts.push(part);
        if let Some(digests) = digests.as_mut().filter(|digests| digests.len() < DELTA_PIECES_MAX) {
            digests.push(digest);
        }
        Ok(())
    });
    match cut {
        Err(Stop::Session(error)) => Err(error),
        Ok(_) | Err(Stop::Here) => Ok(()),
    }
}

/// Tells parts of a file.
fn tell<S: WriteStorage>(writing: &Writing<'_, S>, file: FileId, parts: &[Chunk]) -> Result<()> {
    let mut frames = parts.chunks(FRAME_PARTS).peekable();
    loop {
        let chunks = frames.next().unwrap_or_default().to_vec();
        let more = frames.peek().is_some();
        let mut encoded = Vec::new();
        Frame::Chunks { file, more, chunks }.encode(writing.control.version(), &mut encoded);
        writing.control.send_bulk(encoded)?;
        if !more {
            return Ok(());
        }
    }
}
