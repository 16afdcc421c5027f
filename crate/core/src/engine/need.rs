//! The room that a destination must have at the least, whatever the order in which its files are written.

/// Counts files, each with the bytes that are to come and those that it has now.
#[derive(Debug, Default)]
pub(super) struct Need {
    /// How much more all files that grow take in the end.
    grown: u64,
    /// How much less those that shrink.
    shrunk: u64,
    /// The largest new file that stands beside the one that it replaces, or is new.
    beside: u64,
}

impl Need {
    /// A file that is written beside the one in its place, which gives its bytes back after that.
    pub(super) fn replaced(&mut self, bytes: u64, old: u64) {
        self.beside = self.beside.max(bytes);
        self.written_over(bytes, old);
    }

    /// A file that is written in place.
    pub(super) fn written_over(&mut self, bytes: u64, old: u64) {
        self.grown = self.grown.saturating_add(bytes.saturating_sub(old));
        self.shrunk = self.shrunk.saturating_add(old.saturating_sub(bytes));
    }

    /// The bytes that have to be free before the first file is written: all files that shrink may come before the
    /// others.
    pub(super) fn bytes(&self) -> u64 {
        self.grown.max(self.beside).saturating_sub(self.shrunk)
    }
}

#[cfg(test)]
mod tests {
    use super::Need;

    #[test]
    fn files_that_are_replaced_one_by_one_need_the_room_of_one() {
        let mut need = Need::default();
        for _ in 0..7 {
            need.replaced(180, 180);
        }
        assert_eq!(need.bytes(), 180);
        need.replaced(10, 110);
        assert_eq!(need.bytes(), 80, "what that one gives back is used by the others");
        need.replaced(500, 0);
        assert_eq!(need.bytes(), 400);
    }

    #[test]
    fn what_is_written_in_place_needs_what_it_grows_by() {
        let mut need = Need::default();
        need.written_over(1200, 1200);
        assert_eq!(need.bytes(), 0);
        need.written_over(1202, 1200);
        assert_eq!(need.bytes(), 2);
    }
}
