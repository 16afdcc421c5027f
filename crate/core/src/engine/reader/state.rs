//! Finds out whether a file changed while it was read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sparsync_proto::{Chmod, Kind, Meta, Phase, Time};

use super::error::ReadError;
use crate::profile::ThreadClock;
use crate::storage::{File, Stamp};

/// How old the last change of a file must be when the file is read. A second change in the same tick of the clock that
/// stamps changes would not show, and a file that is still being written has its time already.
const CHANGE_SETTLES: Duration = Duration::from_millis(20);

/// The status of a file before and after it is read; equal means that it did not change. It holds only fields that a
/// change of content changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) size: u64,
    pub(super) meta: Meta,
    ctime: Time,
    ino: u64,
}

impl State {
    pub(super) fn new(size: u64, meta: Meta, stamp: Stamp) -> Self {
        Self { size, meta, ctime: stamp.ctime, ino: stamp.ino }
    }

    /// See [`settle`].
    pub(super) fn settle(&self, clock: &mut ThreadClock) {
        settle(self.ctime, clock);
    }
}

/// Waits until the last change of a file is old enough for another one to show.
pub(crate) fn settle(ctime: Time, clock: &mut ThreadClock) {
    if let Some(wait) = settles_in(ctime) {
        clock.during(Phase::wait_settle, || std::thread::sleep(wait));
    }
}

/// How long it takes until the last change is old enough; none when it is. A change in the future is not waited for.
pub(crate) fn settles_in(ctime: Time) -> Option<Duration> {
    let changed = u64::try_from(ctime.seconds).ok().map(|seconds| UNIX_EPOCH + Duration::new(seconds, ctime.nanos));
    let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok())?;
    CHANGE_SETTLES.checked_sub(age)
}

/// The status of an open file, with the permission bits that the run takes it to have.
pub(super) fn look(source: &impl File, chmod: Option<&Chmod>) -> std::result::Result<(State, Stamp), ReadError> {
    let found = source.status().map_err(ReadError::unread)?;
    if found.kind != Kind::File {
        return Err(ReadError::irregular());
    }
    let meta = chmod.map_or(found.meta, |chmod| chmod.taken(Kind::File, found.meta));
    Ok((State::new(found.size, meta, found.stamp), found.stamp))
}
