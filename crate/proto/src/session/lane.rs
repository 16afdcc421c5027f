//! The order of records on one data lane.

use super::violation::Violation;
use crate::entry::{ContentDigest, Meta};
use crate::frame::IssueKind;
use crate::limits::FILE_BYTES_MAX;
use crate::pack::{FileId, Record};

/// What a record of a data lane means where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneStep<'a> {
    /// A whole file.
    Whole {
        /// Which.
        file: FileId,
        /// Its attributes, when they are no longer those of the listing.
        meta: Option<Meta>,
        /// All of it.
        content: &'a [u8],
        /// The digest of `content`.
        digest: ContentDigest,
    },
    /// A file's recipe begins.
    Begin {
        /// Which.
        file: FileId,
    },
    /// The recipe of the open file begins again: what came of it is discarded, and nothing is held any more.
    Restart {
        /// Which.
        file: FileId,
    },
    /// The next bytes of the open file.
    Literal {
        /// Where they belong.
        at: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The first bytes of the open file are those that are held of it.
    Copy {
        /// How many.
        bytes: u64,
    },
    /// The next bytes of the open file are zero.
    Hole {
        /// Where they begin.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// The open file is complete.
    End {
        /// Which.
        file: FileId,
        /// How long it is.
        bytes: u64,
        /// Its attributes, when they are no longer those of the listing.
        meta: Option<Meta>,
        /// The digest of all of its content.
        digest: ContentDigest,
    },
    /// A file does not come.
    Failed {
        /// Which.
        file: FileId,
        /// Whether its recipe was open; it is discarded.
        was_open: bool,
        /// Why.
        kind: IssueKind,
        /// The text for people.
        message: String,
    },
}

#[derive(Clone, Copy, Debug)]
struct Open {
    file: FileId,
    at: u64,
    /// Leading bytes that may be copied, until something has come.
    held: u64,
}

/// The state of a data lane at its receiver: a file comes whole, as a recipe from its beginning to its end, or not at
/// all. Whether a file may come is for [`super::Expected`] to say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lane {
    open: Option<Open>,
}

impl Lane {
    /// Takes the next record.
    ///
    /// # Errors
    /// A record that may not stand here.
    pub fn record<'a>(&mut self, record: Record<'a>) -> Result<LaneStep<'a>, Violation> {
        match record {
            Record::Whole { file, meta, content, digest } => match self.open {
                None => Ok(LaneStep::Whole { file, meta, content, digest }),
                Some(_) => Err(Violation::new("a file begins inside another")),
            },
            Record::Begin { file } => self.begin(file),
            Record::Literal(bytes) => {
                let at = self.advance(bytes.len() as u64)?;
                Ok(LaneStep::Literal { at, bytes })
            }
            Record::Hole { bytes } => {
                let at = self.advance(bytes)?;
                Ok(LaneStep::Hole { at, bytes })
            }
            Record::Copy { bytes } => {
                let open = self.opened()?;
                if open.at != 0 || bytes != open.held {
                    return Err(Violation::new("a copy of what is not held"));
                }
                self.advance(bytes)?;
                Ok(LaneStep::Copy { bytes })
            }
            Record::End { meta, digest } => {
                let Open { file, at, .. } = *self.opened()?;
                self.open = None;
                Ok(LaneStep::End { file, bytes: at, meta, digest })
            }
            Record::Failed { file, kind, message } => self.failed(file, kind, message),
        }
    }

    /// Tells how many leading bytes of the file that has just begun the receiver holds.
    pub fn holds(&mut self, bytes: u64) {
        if let Some(open) = &mut self.open {
            open.held = bytes;
        }
    }

    /// Takes the end of the lane.
    ///
    /// # Errors
    /// A lane that ends inside a file.
    pub fn end(&self) -> Result<(), Violation> {
        match self.open {
            None => Ok(()),
            Some(_) => Err(Violation::new("a data lane that ends inside a file")),
        }
    }

    fn begin(&mut self, file: FileId) -> Result<LaneStep<'static>, Violation> {
        let restarts = match self.open {
            None => false,
            Some(open) if open.file == file => true,
            Some(_) => return Err(Violation::new("a file begins inside another")),
        };
        self.open = Some(Open { file, at: 0, held: 0 });
        Ok(if restarts { LaneStep::Restart { file } } else { LaneStep::Begin { file } })
    }

    fn failed(&mut self, file: FileId, kind: IssueKind, message: String) -> Result<LaneStep<'static>, Violation> {
        let was_open = match self.open {
            None => false,
            Some(open) if open.file == file => true,
            Some(_) => return Err(Violation::new("a failure inside another file")),
        };
        self.open = None;
        Ok(LaneStep::Failed { file, was_open, kind, message })
    }

    fn opened(&mut self) -> Result<&mut Open, Violation> {
        self.open.as_mut().ok_or_else(|| Violation::new("content without a file"))
    }

    /// Moves the end of the open file on by `bytes`, and gives where it was.
    fn advance(&mut self, bytes: u64) -> Result<u64, Violation> {
        let open = self.opened()?;
        let at = open.at;
        open.at = at
            .checked_add(bytes)
            .filter(|end| *end <= FILE_BYTES_MAX)
            .ok_or_else(|| Violation::new("a file without end"))?;
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, LaneStep};
    use crate::limits::FILE_BYTES_MAX;
    use crate::pack::{FileId, Record};

    const A: FileId = FileId { directory: 0, index: 1 };
    const B: FileId = FileId { directory: 0, index: 2 };

    fn after(records: &[Record<'static>]) -> Lane {
        let mut lane = Lane::default();
        for record in records {
            assert!(lane.record(record.clone()).is_ok(), "{record:?}");
        }
        lane
    }

    #[test]
    fn content_belongs_to_one_open_file() {
        let whole = Record::Whole { file: B, meta: None, content: b"x", digest: [0; 32] };
        let end = Record::End { meta: None, digest: [0; 32] };
        assert!(Lane::default().record(Record::Literal(b"x")).is_err());
        assert!(Lane::default().record(Record::Hole { bytes: 1 }).is_err());
        assert!(Lane::default().record(end.clone()).is_err());
        let mut lane = after(&[Record::Begin { file: A }, Record::Literal(b"ab"), Record::Hole { bytes: 5 }]);
        assert!(lane.end().is_err());
        assert!(lane.clone().record(whole).is_err());
        assert!(lane.clone().record(Record::Begin { file: B }).is_err());
        assert_eq!(lane.clone().record(Record::Begin { file: A }), Ok(LaneStep::Restart { file: A }));
        let ended = lane.record(end);
        assert_eq!(ended, Ok(LaneStep::End { file: A, bytes: 7, meta: None, digest: [0; 32] }));
        assert!(lane.end().is_ok());
    }

    #[test]
    fn a_copy_comes_first_and_is_what_is_held() {
        let begun = || after(&[Record::Begin { file: A }]);
        assert!(begun().record(Record::Copy { bytes: 7 }).is_err(), "nothing is held");
        let mut lane = begun();
        lane.holds(7);
        assert!(lane.clone().record(Record::Copy { bytes: 6 }).is_err());
        assert!(lane.record(Record::Copy { bytes: 7 }).is_ok());
        assert!(lane.record(Record::Copy { bytes: 7 }).is_err(), "only once");
        let mut again = begun();
        again.holds(7);
        assert!(again.record(Record::Begin { file: A }).is_ok());
        assert!(again.record(Record::Copy { bytes: 7 }).is_err(), "a second recipe finds nothing held");
    }

    #[test]
    fn no_file_is_longer_than_its_cap() {
        let mut lane = after(&[Record::Begin { file: A }, Record::Hole { bytes: FILE_BYTES_MAX }]);
        assert!(lane.record(Record::Literal(b"x")).is_err());
    }
}
