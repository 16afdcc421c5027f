//! Warns about trees whose modification times prove little.

use sparsync_proto::{Issue, IssueKind, Time};

/// Looks for one modification time that most files share because a tool set it, as archives and reproducible builds
/// do: then equal size and time prove little. Such times are whole seconds; files that were merely written in the
/// same tick of the clock do not count. A majority vote, so it needs no memory.
#[derive(Default)]
pub(super) struct CommonTime {
    candidate: Time,
    balance: u64,
    seen: u64,
    files: u64,
}

/// Trees with fewer files share a time by chance.
const COMMON_TIME_FILES_MIN: u64 = 100;

impl CommonTime {
    /// Looks at a file's time.
    pub(super) fn add(&mut self, time: Time) {
        self.files += 1;
        if self.balance == 0 {
            self.candidate = time;
            self.seen = 0;
        }
        if self.candidate == time {
            self.balance += 1;
            self.seen += 1;
        } else {
            self.balance -= 1;
        }
    }

    /// The warning, when most files share a time.
    pub(super) fn notice(&self) -> Option<Issue> {
        let is_set = self.files >= COMMON_TIME_FILES_MIN && self.seen > self.files / 2 && self.candidate.nanos == 0;
        is_set.then(|| Issue {
            kind: IssueKind::Notice,
            path: Vec::new(),
            message: format!(
                "{} of {} source files have the same modification time, so a change that keeps the size is not seen; \
                 compare content (compare: 'content', --checksum) to be sure",
                self.seen, self.files
            ),
            old_kept: true,
        })
    }
}
