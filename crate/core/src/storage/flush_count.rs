//! Counts flushes, and which of them failed. The system tells an error that no single file has once, to whoever asks
//! first, and it may concern what anybody has written until then.

use super::{CallError, Result};

/// Flushes that are made one at a time, counted from 1.
#[derive(Debug, Default)]
pub(crate) struct FlushCount {
    /// The last one that has begun.
    begun: u64,
    /// The last one that is over.
    ended: u64,
    /// The last one that failed, and why.
    failed: Option<(u64, CallError)>,
}

impl FlushCount {
    pub(crate) fn is_under_way(&self) -> bool {
        self.begun != self.ended
    }

    /// The flush that serves who asks now: the next one.
    pub(crate) fn next(&self) -> u64 {
        self.begun + 1
    }

    /// The last one that is over: what fails later may concern somebody who begins to write now.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    pub(crate) fn begin(&mut self) {
        self.begun += 1;
    }

    pub(crate) fn end(&mut self, result: Result<()>) {
        self.ended = self.begun;
        if let Err(error) = result {
            self.failed = Some((self.ended, error));
        }
    }

    /// How those ended that came after `since`.
    pub(crate) fn since(&self, since: u64) -> Result<()> {
        self.failed.filter(|(failed, _)| *failed > since).map_or(Ok(()), |(_, error)| Err(error))
    }
}
