//! Large files that the other end copies by itself, because it is in this process.

use std::sync::mpsc;

use sparsync_proto::pack::Record;
use sparsync_proto::{ContentDigest, Phase};

use super::error::ReadError;
use super::state::look;
use super::{LaneReader, Opened, Read, Way};
use crate::engine::lanes::Handed;
use crate::engine::progress::Announced;
use crate::storage::{File, Storage};

impl<S: Storage> LaneReader<'_, S> {
    /// Lets the receiver copy a large file, and looks before and after whether it changed. If it cannot be copied, this
    /// file and all further ones are read instead.
    pub(super) fn hand_over(
        &mut self,
        file: &Opened<impl File>,
        announced: &mut Announced,
    ) -> std::result::Result<Read, ReadError> {
        let bytes = file.state.size;
        let lent = file.file.lend().map_err(ReadError::unread)?;
        self.pack.push(&Record::Begin { file: file.id });
        let (copied, end) = mpsc::sync_channel(1);
        let handed = Handed { file: lent, bytes, may_have_holes: file.may_have_holes, copied };
        self.pack.hand(handed, &mut self.clock)?;
        let is_copied = self.clock.during(Phase::wait_room, || end.recv()).map_err(|_| self.session.lane_ended())?;
        if !is_copied {
            self.way = Way::Trusted;
            return Ok(Read::Changed);
        }
        self.clock.enter(Phase::check);
        if look(&file.file, self.taken.chmod)?.0 != file.state {
            return Ok(Read::Changed);
        }
        self.sent(bytes, announced);
        self.clock.enter(Phase::encode);
        self.pack.push(&Record::End { meta: file.carried, digest: ContentDigest::default() });
        Ok(Read::Done)
    }
}
