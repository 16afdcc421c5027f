//! The order of records on one data lane.

use super::violation::Violation;
use crate::delta::Cutter;
use crate::entry::{ContentDigest, Meta};
use crate::frame::IssueKind;
use crate::limits::FILE_BYTES_MAX;
use crate::pack::{FileId, Record};

/// The meaning of a record at its place in a data lane.
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
    /// The recipe of the open file begins again: the bytes that came are discarded, and the held part counts no more.
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
    /// The first bytes of the open file are those of the held part.
    Copy {
        /// How many.
        bytes: u64,
    },
    /// The next bytes of the open file are copied from these pieces of its basis, each of which has a digest of its
    /// own.
    CopyPieces {
        /// Where they belong.
        at: u64,
        /// The number of the first.
        first: u32,
        /// Where each begins in the basis, and how long it is.
        pieces: Vec<(u64, u64)>,
    },
    /// The next bytes of the open file are part of its basis.
    CopyFrom {
        /// Where they belong.
        at: u64,
        /// Where they begin in the basis.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A piece of the open file ends: the bytes since the last mark have a digest of its own.
    Mark,
    /// The open file grew while it was read: it is complete with the bytes that came.
    Grown {
        /// How long it is.
        bytes: u64,
    },
    /// The sender asks for the parts of a file's basis.
    Sign {
        /// The file.
        file: FileId,
        /// Where it is cut.
        cutter: Cutter,
    },
    /// The chunks of some pieces of that are to be told.
    Ask {
        /// The file.
        file: FileId,
        /// The ascending numbers of the pieces.
        pieces: Vec<u32>,
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

#[derive(Clone, Debug)]
struct Open {
    file: FileId,
    at: u64,
    /// Leading bytes that may be copied, until other bytes have come.
    held: u64,
    /// It is complete before the source's file is.
    grown: bool,
    basis: Basis,
}

/// The file that was in the place of the open one.
#[derive(Clone, Debug, Default)]
struct Basis {
    bytes: u64,
    /// Where each of its pieces begins.
    starts: Vec<u64>,
    /// The offset in the new file at which copies must end.
    end_max: u64,
}

impl Basis {
    /// The offset and length of each of these pieces; none when the basis does not have them all.
    fn pieces(&self, first: u32, count: u32) -> Option<Vec<(u64, u64)>> {
        let (first, count) = (first as usize, count as usize);
        let starts = self.starts.get(first..first.checked_add(count)?).filter(|starts| !starts.is_empty())?;
        let ends = self.starts.iter().skip(first + 1).copied().chain([self.bytes]);
        Some(starts.iter().zip(ends).map(|(start, end)| (*start, end.saturating_sub(*start))).collect())
    }
}

/// The state of a data lane at its receiver: a file comes whole, as a recipe from its beginning to its end, or not at
/// all. [`super::Expected`] decides whether a file may come.
#[derive(Clone, Debug, Default)]
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
            Record::CopyFrom { offset, bytes } => {
                let open = self.opened()?;
                if offset.checked_add(bytes).is_none_or(|end| end > open.basis.bytes) {
                    return Err(Violation::new("a copy of what is not held"));
                }
                let at = self.advance_by_copy(bytes)?;
                Ok(LaneStep::CopyFrom { at, offset, bytes })
            }
            Record::CopyPieces { first, count } => {
                let open = self.opened()?;
                let pieces = open.basis.pieces(first, count);
                let pieces = pieces.ok_or_else(|| Violation::new("a copy of what is not held"))?;
                let at = self.advance_by_copy(pieces.iter().map(|(_, bytes)| bytes).sum())?;
                Ok(LaneStep::CopyPieces { at, first, pieces })
            }
            Record::Mark => {
                self.opened()?;
                Ok(LaneStep::Mark)
            }
            Record::Grown => self.grown(),
            Record::Sign { file, level } => {
                self.outside()?;
                let cutter = Cutter::of_level(level).ok_or_else(|| Violation::new("parts of no length"))?;
                Ok(LaneStep::Sign { file, cutter })
            }
            Record::Ask { file, pieces } => {
                self.outside()?;
                Ok(LaneStep::Ask { file, pieces })
            }
            Record::End { meta, digest } => {
                let &mut Open { file, at, .. } = self.opened()?;
                self.open = None;
                Ok(LaneStep::End { file, bytes: at, meta, digest })
            }
            Record::Failed { file, kind, message } => self.failed(file, kind, message),
        }
    }

    /// Counts bytes of the open file that have come by another way than a record.
    ///
    /// # Errors
    /// No file is open, or it is longer than a file may be.
    pub fn takes(&mut self, bytes: u64) -> Result<(), Violation> {
        self.advance(bytes).map(drop)
    }

    /// Tells how many leading bytes of the file that has just begun the receiver holds.
    pub fn holds(&mut self, bytes: u64) {
        if let Some(open) = &mut self.open {
            open.held = bytes;
        }
    }

    /// Tells how long the basis of the file that has just begun is, where its pieces begin, and how long the file was
    /// when it was listed: copies must not make it longer than that.
    pub fn has_basis(&mut self, bytes: u64, starts: Vec<u64>, listed: u64) {
        if let Some(open) = &mut self.open {
            open.basis = Basis { bytes, starts, end_max: listed };
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

    /// The same for bytes that are copied from the basis.
    fn advance_by_copy(&mut self, bytes: u64) -> Result<u64, Violation> {
        let open = self.opened()?;
        if open.at.checked_add(bytes).is_none_or(|end| end > open.basis.end_max) {
            return Err(Violation::new("copies beyond the length of a file"));
        }
        self.advance(bytes)
    }

    fn begin(&mut self, file: FileId) -> Result<LaneStep<'static>, Violation> {
        let restarts = match self.open {
            None => false,
            Some(ref open) if open.file == file => true,
            Some(_) => return Err(Violation::new("a file begins inside another")),
        };
        self.open = Some(Open { file, at: 0, held: 0, grown: false, basis: Basis::default() });
        Ok(if restarts { LaneStep::Restart { file } } else { LaneStep::Begin { file } })
    }

    fn grown(&mut self) -> Result<LaneStep<'static>, Violation> {
        let open = self.opened()?;
        if std::mem::replace(&mut open.grown, true) {
            return Err(Violation::new("a file that is told twice"));
        }
        Ok(LaneStep::Grown { bytes: open.at })
    }

    fn failed(&mut self, file: FileId, kind: IssueKind, message: String) -> Result<LaneStep<'static>, Violation> {
        let was_open = match self.open {
            None => false,
            Some(ref open) if open.file == file => true,
            Some(_) => return Err(Violation::new("a failure inside another file")),
        };
        self.open = None;
        Ok(LaneStep::Failed { file, was_open, kind, message })
    }

    fn outside(&self) -> Result<(), Violation> {
        if self.open.is_some() { Err(Violation::new("a question inside a file")) } else { Ok(()) }
    }

    fn opened(&mut self) -> Result<&mut Open, Violation> {
        self.open.as_mut().ok_or_else(|| Violation::new("content without a file"))
    }

    /// Moves the end of the open file on by `bytes`, and gives the old end.
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
    fn a_basis_is_copied_within_what_is_there_and_was_listed_cve_2026_43620() {
        let from = |offset, bytes| Record::CopyFrom { offset, bytes };
        let pieces = |first, count| Record::CopyPieces { first, count };
        let mut lane = after(&[Record::Begin { file: A }]);
        assert!(lane.clone().record(from(0, 1)).is_err(), "there is none");
        assert!(lane.clone().record(pieces(0, 1)).is_err() && lane.clone().record(pieces(0, 0)).is_err());
        lane.has_basis(100, vec![0, 30, 60], 150);
        let copied = lane.clone().record(pieces(1, 2));
        assert_eq!(copied, Ok(LaneStep::CopyPieces { at: 0, first: 1, pieces: vec![(30, 30), (60, 40)] }));
        for (first, count) in [(0, 4), (3, 1), (u32::MAX, u32::MAX)] {
            assert!(lane.clone().record(pieces(first, count)).is_err());
        }
        assert!(lane.clone().record(from(1, 100)).is_err() && lane.clone().record(from(u64::MAX, 2)).is_err());
        let copied = lane.record(from(40, 60));
        assert_eq!(copied, Ok(LaneStep::CopyFrom { at: 0, offset: 40, bytes: 60 }));
        assert!(lane.record(Record::Literal(b"literal")).is_ok() && lane.record(from(0, 80)).is_ok());
        assert!(lane.clone().record(from(0, 4)).is_err(), "longer than it was listed");
        assert!(lane.clone().record(Record::Ask { file: A, pieces: vec![] }).is_err());
        assert!(lane.clone().record(Record::Sign { file: B, level: 0 }).is_err());
        assert!(lane.record(Record::Begin { file: A }).is_ok());
        assert!(lane.record(from(0, 1)).is_err(), "a second recipe has none");
        let mut idle = Lane::default();
        assert!(idle.record(Record::Sign { file: A, level: 0 }).is_ok());
        assert!(idle.record(Record::Sign { file: A, level: 200 }).is_err());
        assert!(idle.record(Record::Ask { file: A, pieces: vec![3] }).is_ok());
    }

    #[test]
    fn no_file_is_longer_than_its_cap() {
        let mut lane = after(&[Record::Begin { file: A }, Record::Hole { bytes: FILE_BYTES_MAX }]);
        assert!(lane.record(Record::Literal(b"x")).is_err());
    }
}
