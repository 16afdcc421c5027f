//! What a sender has asked about files of which the receiver holds an older state, and what comes of it.

use std::collections::HashMap;

use super::violation::Violation;
use crate::limits::DELTA_LIST_MAX;
use crate::pack::FileId;

/// How many parts may still come for each file that was asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    awaited: HashMap<FileId, usize>,
}

impl Answers {
    /// Says that a file is about to be asked about.
    pub(super) fn ask(&mut self, file: FileId) {
        self.awaited.insert(file, DELTA_LIST_MAX);
    }

    /// Takes parts that were told.
    pub(super) fn take(&mut self, file: FileId, more: bool, parts: usize) -> Result<(), Violation> {
        let most =
            self.awaited.remove(&file).ok_or_else(|| Violation::new("parts of a file that was not asked about"))?;
        let rest = most.checked_sub(parts).ok_or_else(|| Violation::new("a list of what is held that does not end"))?;
        if more {
            self.awaited.insert(file, rest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Answers;
    use crate::limits::DELTA_LIST_MAX;
    use crate::pack::FileId;

    const A: FileId = FileId { directory: 0, index: 1 };
    const B: FileId = FileId { directory: 0, index: 2 };

    #[test]
    fn what_was_not_asked_for_is_refused_and_no_list_is_longer_than_its_cap() {
        let mut answers = Answers::default();
        assert!(answers.take(A, false, 0).is_err());
        answers.ask(A);
        assert!(answers.take(B, false, 1).is_err());
        assert!(answers.take(A, true, 1).is_ok() && answers.take(A, false, 1).is_ok());
        assert!(answers.take(A, false, 1).is_err(), "all was told");
        answers.ask(A);
        assert!(answers.take(A, true, DELTA_LIST_MAX).is_ok());
        assert!(answers.take(A, true, 1).is_err());
    }
}
