//! Large files that changed, of which the receiver has an older state: what it has of them does not travel.

use std::ops::Range;

use sparsync_proto::delta::{Chunk, Cutter, Match, Piece, Recipe, Span};
use sparsync_proto::limits::{DELTA_ASKED_BYTES_MAX, DELTA_LIST_MAX, PACK_BYTES};
use sparsync_proto::pack::Record;
use sparsync_proto::{Basis, ContentDigest, Counter, Phase, Resume};

use super::error::ReadError;
use super::{LaneReader, Opened, Read};
use crate::engine::progress::Announced;
use crate::engine::session::Session;
use crate::engine::zeros::hash_zeros;
use crate::storage::{Cut, File, Storage, cut_file, hash_prefix};

/// How many bytes of the file's beginning the receiver keeps from an earlier run, and their digest.
type Kept = Option<(u64, ContentDigest)>;

/// The result of reading.
type Reading<T> = std::result::Result<T, ReadError>;

impl<S: Storage> LaneReader<'_, S> {
    /// Sends a file as pieces of the receiver's and the bytes between them. If the pieces cannot be known, it begins
    /// nothing and gives none.
    pub(super) fn delta(
        &mut self,
        file: &Opened<impl File>,
        basis: &Basis,
        resume: Option<&Resume>,
        announced: &mut Announced,
    ) -> Reading<Option<Read>> {
        let Some(cutter) = Cutter::for_files(file.state.size.max(basis.bytes)) else { return Ok(None) };
        self.answers.ask(file.id);
        self.pack.push(&Record::Sign { file: file.id, level: cutter.level() });
        self.pack.flush(&mut self.clock)?;
        let compared = self.compared(file, cutter, resume);
        if !matches!(compared, Ok(Some(_))) {
            self.answers.forget(file.id);
        }
        let Some((matching, kept)) = compared? else { return Ok(None) };
        self.pack.push(&Record::Begin { file: file.id });
        let digest = matching.digest(kept.map(|(_, digest)| digest));
        let mut at = 0;
        if let Some((bytes, _)) = kept {
            self.pack.push(&Record::Copy { bytes });
            self.pack.push(&Record::Mark);
            announced.moved(self.session, Counter::bytes_reused, bytes);
            at = bytes;
        }
        for step in matching.recipe() {
            let bytes = match &step {
                Recipe::Pieces { first, count, bytes } => {
                    self.pack.push(&Record::CopyPieces { first: *first, count: *count });
                    announced.matched(self.session, *bytes);
                    *bytes
                }
                Recipe::Hole { bytes } => {
                    self.pack.push(&Record::Hole { bytes: *bytes });
                    self.pack.push(&Record::Mark);
                    announced.moved(self.session, Counter::bytes_reused, *bytes);
                    *bytes
                }
                Recipe::Made(spans) => {
                    if !self.spans(file, at, spans, announced)? {
                        return Ok(Some(Read::Changed));
                    }
                    self.pack.push(&Record::Mark);
                    spans.iter().map(|span| span.bytes()).sum()
                }
            };
            at += bytes;
            self.pack.flush_if_full(&mut self.clock)?;
            self.session.check()?;
        }
        if !self.is_as_read(file, |reader| reader.cuts_to(file, cutter, resume, &digest))? {
            return Ok(Some(Read::Changed));
        }
        self.clock.enter(Phase::encode);
        self.pack.push(&Record::End { meta: file.carried, digest });
        self.pack.flush_if_full(&mut self.clock)?;
        Ok(Some(Read::Done))
    }

    /// Compares a file with the pieces of the receiver's, which it was asked for. Gives the match, and how much of the
    /// beginning the receiver keeps from an earlier run.
    fn compared(
        &mut self,
        file: &Opened<impl File>,
        cutter: Cutter,
        resume: Option<&Resume>,
    ) -> Reading<Option<(Match, Kept)>> {
        let kept = self.kept(file, resume)?;
        let start = kept.map_or(0, |(bytes, _)| bytes);
        let Some(own) = self.pieces(file, start..file.state.size, cutter)? else { return Ok(None) };
        let held = self.clock.during(Phase::wait_frame, || self.answers.wait(file.id))?;
        let mut matching = Match::new(own, start, &held, self.in_place);
        drop(held);
        let (asked, _) = matching.asked();
        if cutter == Cutter::CHUNKS || asked.is_empty() {
            return Ok(Some((matching, kept)));
        }
        self.answers.ask(file.id);
        self.pack.push(&Record::Ask { file: file.id, pieces: asked });
        self.pack.flush(&mut self.clock)?;
        let (mut own, mut left) = (Vec::new(), DELTA_ASKED_BYTES_MAX);
        for (number, at, bytes) in matching.lacking() {
            let Some(after) = left.checked_sub(bytes) else { break };
            left = after;
            let Some(chunks) = self.parts(file, at..at + bytes, Cutter::CHUNKS)? else { return Ok(None) };
            own.push((number, at, chunks));
        }
        let held = self.clock.during(Phase::wait_frame, || self.answers.wait(file.id))?;
        matching.take_chunks(&held);
        for (number, at, chunks) in own {
            matching.made_of(number, at, &chunks);
        }
        let refined = self.refined(file, &mut matching)?;
        Ok(refined.then_some((matching, kept)))
    }

    /// Compares the ranges that were not found in still smaller parts. Gives false when the file ends before.
    fn refined(&mut self, file: &Opened<impl File>, matching: &mut Match) -> Reading<bool> {
        let asked = matching.asked_again();
        if asked.is_empty() {
            return Ok(true);
        }
        self.answers.ask(file.id);
        self.pack.push(&Record::Ask { file: file.id, pieces: asked });
        self.pack.flush(&mut self.clock)?;
        let mut own = Vec::new();
        for (piece, part, at, bytes) in matching.literals() {
            let Some(grains) = self.parts(file, at..at + bytes, Cutter::GRAINS)? else { return Ok(false) };
            own.push((piece, part, at, grains));
        }
        let held = self.clock.during(Phase::wait_frame, || self.answers.wait(file.id))?;
        matching.take_chunks(&held);
        matching.refine(own);
        Ok(true)
    }

    /// Whether the file, up to the size that it had, still has the pieces of which this is the digest.
    fn cuts_to(
        &mut self,
        file: &Opened<impl File>,
        cutter: Cutter,
        resume: Option<&Resume>,
        digest: &ContentDigest,
    ) -> Reading<bool> {
        let kept = self.kept(file, resume)?;
        let start = kept.map_or(0, |(bytes, _)| bytes);
        let Some(own) = self.pieces(file, start..file.state.size, cutter)? else { return Ok(false) };
        Ok(Match::new(own, start, &[], self.in_place).digest(kept.map(|(_, digest)| digest)) == *digest)
    }

    /// The bytes that the receiver keeps of the beginning from an earlier run, if the file begins with exactly those.
    fn kept(&mut self, file: &Opened<impl File>, resume: Option<&Resume>) -> Reading<Kept> {
        let Some(resume) = resume.filter(|resume| resume.bytes <= file.state.size) else { return Ok(None) };
        let session = self.session;
        let hash = || session.long_work(|| hash_prefix(&file.file, resume.bytes));
        let prefix = self.clock.during(Phase::hash, hash).map_err(ReadError::unread)?;
        let digest = prefix.map(|prefix| *prefix.finalize().as_bytes());
        Ok(digest.filter(|digest| *digest == resume.digest).map(|digest| (resume.bytes, digest)))
    }

    /// The pieces of a range of a file; none when it ends before, or has too many.
    fn pieces(&mut self, file: &Opened<impl File>, range: Range<u64>, cutter: Cutter) -> Reading<Option<Vec<Piece>>> {
        self.clock.enter(Phase::hash);
        let (session, mut pieces) = (self.session, Vec::new());
        let reaches = cut_file(&file.file, range, (cutter, file.may_have_holes), |cut| {
            session.check()?;
            session.worked(1);
            if pieces.len() < DELTA_LIST_MAX {
                pieces.push(piece(session, &cut)?);
            }
            Ok::<(), ReadError>(())
        })?;
        Ok((reaches && pieces.len() < DELTA_LIST_MAX).then_some(pieces))
    }

    /// The parts of a range of a file without holes; none when the file ends before.
    fn parts(&mut self, file: &Opened<impl File>, range: Range<u64>, cutter: Cutter) -> Reading<Option<Vec<Chunk>>> {
        self.clock.enter(Phase::hash);
        self.session.check()?;
        self.session.worked(1);
        let mut chunks = Vec::new();
        let reaches = cut_file(&file.file, range, (cutter, false), |cut| {
            if let Cut::Part(content) = cut {
                chunks.push(Chunk::of(content));
            }
            Ok::<(), ReadError>(())
        })?;
        Ok(reaches.then_some(chunks))
    }

    /// Sends a piece of a file that begins at `at`. Says false when the file ends before.
    fn spans(
        &mut self,
        file: &Opened<impl File>,
        mut at: u64,
        spans: &[Span],
        announced: &mut Announced,
    ) -> Reading<bool> {
        for span in spans {
            match *span {
                Span::Copy { offset, bytes } => {
                    self.pack.push(&Record::CopyFrom { offset, bytes });
                    announced.matched(self.session, bytes);
                }
                Span::Literal { bytes } => {
                    if !self.literal_of(file, at..at + bytes, announced)? {
                        return Ok(false);
                    }
                }
            }
            at += span.bytes();
        }
        Ok(true)
    }

    /// Sends a range of a file as literals. It was hashed before. Gives false when the file ends before.
    fn literal_of(&mut self, file: &Opened<impl File>, range: Range<u64>, announced: &mut Announced) -> Reading<bool> {
        let mut at = range.start;
        while at < range.end {
            self.session.check()?;
            let want = usize::try_from(range.end - at).map_or(PACK_BYTES, |left| left.min(PACK_BYTES));
            if !self.literal(file, (at, want), None, announced)? {
                return Ok(false);
            }
            at += want as u64;
        }
        Ok(true)
    }
}

/// A piece with its digest.
fn piece(session: &Session, cut: &Cut<'_>) -> Reading<Piece> {
    Ok(match *cut {
        Cut::Part(content) => {
            Piece { digest: *blake3::hash(content).as_bytes(), bytes: content.len() as u64, is_hole: false }
        }
        Cut::Hole(bytes) => {
            let mut hasher = blake3::Hasher::new();
            hash_zeros(session, &mut hasher, bytes)?;
            Piece { digest: *hasher.finalize().as_bytes(), bytes, is_hole: true }
        }
    })
}
