//! What stands in the place of a large file that changed: it is told to the sender, and the new file is made of it.

use std::sync::{Arc, mpsc};

use sparsync_proto::delta::{Chunk, Cutter};
use sparsync_proto::limits::{BATCH_BYTES, DELTA_ASKED_BYTES_MAX, DELTA_LIST_MAX, DELTA_SIGNED_MAX};
use sparsync_proto::pack::FileId;
use sparsync_proto::{ContentDigest, Counter, Frame, IssueKind, Kind, Phase};

use super::recipe::Open;
use super::{LaneWriter, Writing};
use crate::error::{Error, Result};
use crate::storage::{self, CallError, Cut, Directory, File, WriteStorage, cut_file};

/// Parts of one frame: each takes up to 26 bytes there.
const FRAME_PARTS: usize = BATCH_BYTES / 26;

/// What stands in the place of a file.
pub(super) struct Basis<F> {
    pub(super) file: F,
    pub(super) bytes: u64,
    /// What it is made of, as the sender was told.
    parts: Vec<Chunk>,
    /// What was told last, where it is, and in what that is cut when the sender asks.
    told: Vec<(u64, Chunk)>,
    below: Option<Cutter>,
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
    /// It cannot be read, or more would be told than the sender takes.
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
    /// Tells what stands in the place of a file. One that cannot be read holds nothing.
    pub(super) fn sign(&mut self, file: FileId, cutter: Cutter) -> Result<()> {
        self.enter(file.directory)?;
        if self.bases.len() >= DELTA_SIGNED_MAX || self.bases.contains_key(&file) {
            return Err(Error::protocol("more questions about files than a lane may ask").remote());
        }
        let current = self.current()?;
        if !current.incoming.has_basis(file.index) {
            return Err(Error::protocol("a question about a file that was not offered").remote());
        }
        let name = current.incoming.file(file.index).map(|(name, ..)| name).unwrap_or_default();
        let opened = current.directory.as_ref().map_err(|error| *error).and_then(|directory| {
            let opened = directory.open_file(name)?;
            Ok((opened.status()?, opened))
        });
        let (status, opened) = match opened {
            Ok((status, opened)) if status.kind == Kind::File => (status, opened),
            Ok(_) | Err(_) => return tell(self.writing, file, &[]),
        };
        let (bytes, mut parts) = (status.size, Vec::new());
        self.clock.enter(Phase::hash);
        add_parts(self.writing, &opened, 0..bytes, (cutter, status.stamp.may_have_holes), &mut parts)?;
        self.clock.enter(Phase::wait_room);
        tell(self.writing, file, &parts)?;
        let mut basis = Basis { file: opened, bytes, parts, told: Vec::new(), below: cutter.below() };
        basis.told = basis.ranges().map(|(start, part)| (start, *part)).collect();
        self.bases.insert(file, basis);
        Ok(())
    }

    /// Tells what some parts are made of that were told last.
    pub(super) fn ask(&mut self, file: FileId, parts: &[u32]) -> Result<()> {
        let basis = self.bases.get_mut(&file);
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
            add_parts(self.writing, &basis.file, start..start + part.bytes, (cutter, false), &mut finer)?;
            for chunk in &finer[first..] {
                told.push((at, *chunk));
                at += chunk.bytes;
            }
        }
        basis.told = told;
        self.clock.enter(Phase::wait_room);
        tell(self.writing, file, &finer)
    }

    /// Makes the next bytes of the open file of these pieces. Another thread hashes many of them meanwhile: writing takes as
    /// long as reading and hashing together.
    pub(super) fn copy_pieces(&mut self, at: u64, pieces: &[(u64, u64)]) -> Result<()> {
        let bytes: u64 = pieces.iter().map(|(_, bytes)| bytes).sum();
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        open.announced.moved(self.writing.session, Counter::bytes_reused, bytes);
        if bytes < HASHED_APART_BYTES_MIN || open.hasher.count() > 0 {
            return self.copy_pieces_here(at, pieces);
        }
        std::thread::scope(|scope| {
            let (to_hash, blocks) = mpsc::sync_channel(BLOCKS_AHEAD);
            let builder = std::thread::Builder::new().name("sparsync-hash".to_owned());
            let Ok(hashing) = builder.spawn_scoped(scope, move || digests(&blocks)) else {
                return self.copy_pieces_here(at, pieces);
            };
            let mut at = at;
            let copied = pieces.iter().try_for_each(|&(offset, bytes)| {
                let copied = self.copy_blocks(at, offset, bytes, |_, block, ends| {
                    // It ends after all that was sent.
                    let _ = to_hash.send((Arc::clone(block), ends));
                });
                at += bytes;
                copied
            });
            drop(to_hash);
            let digests = hashing.join().map_err(|_| Error::internal("a thread that hashes has panicked"))?;
            if let Some(Open::Arriving(open)) = &mut self.open {
                for digest in &digests {
                    open.mark_piece(digest);
                }
            }
            copied
        })
    }

    fn copy_pieces_here(&mut self, mut at: u64, pieces: &[(u64, u64)]) -> Result<()> {
        for &(offset, bytes) in pieces {
            self.copy_here(at, offset, bytes)?;
            self.mark();
            at += bytes;
        }
        Ok(())
    }

    /// Makes the next bytes of the open file of what stands in its place.
    pub(super) fn copy_from(&mut self, at: u64, offset: u64, bytes: u64) -> Result<()> {
        if let Some(Open::Arriving(open)) = &mut self.open {
            open.announced.moved(self.writing.session, Counter::bytes_reused, bytes);
        }
        self.copy_here(at, offset, bytes)
    }

    fn copy_here(&mut self, at: u64, offset: u64, bytes: u64) -> Result<()> {
        self.copy_blocks(at, offset, bytes, |hasher, block, _| {
            hasher.update(block);
        })
    }

    /// Copies block by block. `hash` gets each before it is written, and whether it is the last.
    fn copy_blocks(
        &mut self,
        at: u64,
        offset: u64,
        bytes: u64,
        mut hash: impl FnMut(&mut blake3::Hasher, &Arc<Vec<u8>>, bool),
    ) -> Result<()> {
        const CHANGED: &str = "what stands in its place changed while the new file was made of it";
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        let session = self.writing.session;
        let mut done = 0;
        while done < bytes && open.new.is_ok() {
            session.check()?;
            session.worked(1);
            self.clock.enter(Phase::read);
            let want = usize::try_from(bytes - done).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            let block = free_block(&mut self.blocks);
            let read = match (&open.basis, Arc::get_mut(block)) {
                (Some(basis), Some(room)) => read_exactly(basis, offset + done, want, room),
                (None, _) | (_, None) => Ok(false),
            };
            let written = match read {
                Ok(true) => {
                    self.clock.enter(Phase::hash);
                    hash(&mut open.hasher, block, done + want as u64 == bytes);
                    self.clock.enter(Phase::write);
                    open.put(at + done, offset + done, block, self.writing.sparse)
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

/// Bytes that are copied at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Blocks that wait to be hashed.
const BLOCKS_AHEAD: usize = 4;

/// What is worth a thread to hash it.
const HASHED_APART_BYTES_MIN: u64 = 4 << 20;

/// A block that nobody hashes any more.
fn free_block(blocks: &mut Vec<Arc<Vec<u8>>>) -> &mut Arc<Vec<u8>> {
    let free = blocks.iter_mut().position(|block| Arc::get_mut(block).is_some());
    let index = free.unwrap_or_else(|| {
        blocks.push(Arc::default());
        blocks.len() - 1
    });
    &mut blocks[index]
}

/// The digests of pieces that come in blocks, each with the word whether it is the last of its piece.
fn digests(blocks: &mpsc::Receiver<(Arc<Vec<u8>>, bool)>) -> Vec<ContentDigest> {
    let (mut digests, mut hasher) = (Vec::new(), blake3::Hasher::new());
    for (block, ends) in blocks {
        hasher.update(&block);
        if ends {
            digests.push(*hasher.finalize().as_bytes());
            hasher.reset();
        }
    }
    digests
}

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
    parts: &mut Vec<Chunk>,
) -> Result<()> {
    let cut = cut_file(file, range, how, |cut| {
        writing.session.check()?;
        writing.session.worked(1);
        if parts.len() == DELTA_LIST_MAX {
            return Err(Stop::Here);
        }
        parts.push(match cut {
            Cut::Part(content) => Chunk::of(content),
            Cut::Hole(bytes) => Chunk::hole(bytes),
        });
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
