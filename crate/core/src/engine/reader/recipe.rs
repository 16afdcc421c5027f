//! Large files, which travel as a recipe: what the receiver holds, holes, and literals.

use sparsync_proto::limits::{LITERAL_BYTES, LONG_FILE_BYTES, PACK_BYTES};
use sparsync_proto::pack::{LITERAL_OVERHEAD_BYTES, Record, put_literal_head};
use sparsync_proto::{Counter, Phase, Resume};

use super::error::ReadError;
use super::{LaneReader, Opened, Read};
use crate::engine::progress::Announced;
use crate::engine::zeros::hash_zeros;
use crate::storage::{File, Storage, hash_prefix};

/// A recipe on its way.
struct Recipe<'a, F> {
    file: &'a Opened<F>,
    announced: &'a mut Announced,
    /// How far it has come in the file.
    at: u64,
    /// The digest of the file up to there.
    hasher: blake3::Hasher,
}

impl<S: Storage> LaneReader<'_, S> {
    /// Sends a large file as a recipe.
    pub(super) fn recipe(
        &mut self,
        file: &Opened<impl File>,
        resume: Option<&Resume>,
        announced: &mut Announced,
    ) -> std::result::Result<Read, ReadError> {
        self.clock.enter(Phase::encode);
        self.pack.push(&Record::Begin { file: file.id });
        let mut recipe = Recipe { file, announced, at: 0, hasher: blake3::Hasher::new() };
        if let Some(resume) = resume {
            self.copy(&mut recipe, resume)?;
        }
        let size = file.state.size;
        while recipe.at < size {
            self.session.check()?;
            self.session.worked(1);
            let (data, end) =
                if file.may_have_holes { file.file.next_data(recipe.at, size) } else { (recipe.at, size) };
            if data > recipe.at {
                self.hole(&mut recipe, data)?;
            }
            if !self.literals(&mut recipe, end)? {
                return Ok(Read::Changed);
            }
        }
        let digest = recipe.hasher.finalize();
        let bytes = file.state.size;
        let session = self.session;
        let is_same = |_: &mut Self| {
            let again = session.long_work(|| hash_prefix(&file.file, bytes)).map_err(ReadError::unread)?;
            Ok(again.is_some_and(|again| again.finalize() == digest))
        };
        if !self.is_as_read(file, is_same)? {
            return Ok(Read::Changed);
        }
        self.clock.enter(Phase::encode);
        self.pack.push(&Record::End { meta: file.carried, digest: *digest.as_bytes() });
        self.pack.flush_if_full(&mut self.clock)?;
        Ok(Read::Done)
    }

    /// Has the receiver copy the part that it holds, if the file begins with exactly that.
    fn copy(&mut self, recipe: &mut Recipe<'_, impl File>, resume: &Resume) -> std::result::Result<(), ReadError> {
        if resume.bytes > recipe.file.state.size {
            return Ok(());
        }
        let (session, file) = (self.session, &recipe.file.file);
        let prefix = self.clock.during(Phase::hash, || session.long_work(|| hash_prefix(file, resume.bytes)));
        if let Some(prefix) = prefix.map_err(ReadError::unread)?
            && *prefix.finalize().as_bytes() == resume.digest
        {
            self.pack.push(&Record::Copy { bytes: resume.bytes });
            recipe.announced.moved(session, Counter::bytes_reused, resume.bytes);
            recipe.hasher = prefix;
            recipe.at = resume.bytes;
        }
        Ok(())
    }

    /// Sends a hole that ends at `end`.
    fn hole(&mut self, recipe: &mut Recipe<'_, impl File>, end: u64) -> std::result::Result<(), ReadError> {
        let (session, bytes) = (self.session, end - recipe.at);
        self.pack.push(&Record::Hole { bytes });
        recipe.announced.moved(session, Counter::bytes_reused, bytes);
        self.clock.during(Phase::hash, || hash_zeros(session, &mut recipe.hasher, bytes))?;
        recipe.at = end;
        Ok(())
    }

    /// Sends the data up to `end`. Says false when the file ends before.
    fn literals(&mut self, recipe: &mut Recipe<'_, impl File>, end: u64) -> std::result::Result<bool, ReadError> {
        let most = if recipe.file.state.size >= LONG_FILE_BYTES { LITERAL_BYTES } else { PACK_BYTES };
        while recipe.at < end {
            self.session.check()?;
            let want = usize::try_from(end - recipe.at).map_or(most, |left| left.min(most));
            if !self.literal(recipe.file, (recipe.at, want), Some(&mut recipe.hasher), recipe.announced)? {
                return Ok(false);
            }
            recipe.at += want as u64;
        }
        Ok(true)
    }

    /// Sends the `want` bytes of a file from `at` on as one literal, and feeds them to `hasher`. Says false when the
    /// file ends before.
    pub(super) fn literal(
        &mut self,
        file: &Opened<impl File>,
        (at, want): (u64, usize),
        hasher: Option<&mut blake3::Hasher>,
        announced: &mut Announced,
    ) -> std::result::Result<bool, ReadError> {
        let mut draft = self.pack.draft(want + LITERAL_OVERHEAD_BYTES, &mut self.clock)?;
        put_literal_head(want, draft.out());
        self.clock.enter(Phase::read);
        let read = draft.read(&file.file, at, want).map_err(ReadError::unread)?.len();
        if read < want {
            return Ok(false);
        }
        // The buffer may have more room than was asked for.
        let end = draft.out().len() - (read - want);
        draft.out().truncate(end);
        if let Some(hasher) = hasher {
            self.clock.enter(Phase::hash);
            hasher.update(&draft.out()[end - want..]);
        }
        self.clock.enter(Phase::encode);
        draft.commit();
        self.sent(want as u64, announced);
        self.pack.flush_if_full(&mut self.clock)?;
        Ok(true)
    }
}
