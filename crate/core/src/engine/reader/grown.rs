//! Files that grow while they are read, such as logs: they arrive as they were when they were opened, where a run wants
//! that.

use sparsync_proto::Phase;
use sparsync_proto::pack::Record;

use super::error::ReadError;
use super::state::look;
use super::{LaneReader, Opened};
use crate::storage::{File, Storage};

impl<S: Storage> LaneReader<'_, S> {
    /// Whether a file that was sent is as it was when it was opened, perhaps with more behind it. No status can prove
    /// that the file only grew, so `is_same` reads once more what was sent.
    pub(super) fn is_as_read<F: File>(
        &mut self,
        file: &Opened<F>,
        is_same: impl FnOnce(&mut Self) -> std::result::Result<bool, ReadError>,
    ) -> std::result::Result<bool, ReadError> {
        self.clock.enter(Phase::check);
        let (now, _) = look(&file.file, self.taken.chmod)?;
        if now == file.state {
            return Ok(true);
        }
        if !self.taken.takes_prefix || now.size <= file.state.size || !is_same(self)? {
            return Ok(false);
        }
        self.pack.push(&Record::Grown);
        Ok(true)
    }
}
