//! Small files, which travel whole in one record.

use sparsync_proto::pack::{WHOLE_OVERHEAD_BYTES, put_whole_head};
use sparsync_proto::{ContentDigest, Phase};

use super::error::ReadError;
use super::state::look;
use super::{LaneReader, Opened, Read, Way};
use crate::engine::progress::Announced;
use crate::storage::{File, Storage};

impl<S: Storage> LaneReader<'_, S> {
    /// Reads a small file into the pack.
    pub(super) fn whole(
        &mut self,
        file: &Opened<impl File>,
        announced: &mut Announced,
    ) -> std::result::Result<Read, ReadError> {
        self.clock.enter(Phase::encode);
        let size = usize::try_from(file.state.size).unwrap_or(0);
        let mut draft = self.pack.draft(size + WHOLE_OVERHEAD_BYTES + 1, &mut self.clock)?;
        put_whole_head(file.id, file.carried.as_ref(), size, draft.out());
        self.clock.enter(Phase::read);
        let content = draft.read(&file.file, 0, size).map_err(ReadError::unread)?;
        self.clock.enter(Phase::check);
        if content.len() != size || look(&file.file, self.taken.chmod)?.0 != file.state {
            return Ok(Read::Changed);
        }
        self.clock.enter(Phase::hash);
        let digest = if self.way == Way::Hashed { *blake3::hash(content).as_bytes() } else { ContentDigest::default() };
        self.clock.enter(Phase::encode);
        draft.out().extend_from_slice(&digest);
        draft.commit();
        self.sent(file.state.size, announced);
        self.pack.flush_if_full(&mut self.clock)?;
        Ok(Read::Done)
    }
}
