//! Keeps the reported progress of content within its total.

use sparsync_proto::Counter;

use super::session::Session;

/// The bytes of one file's content that the total counts, the size of its listing, and that have not moved yet.
pub(super) struct Announced(u64);

impl Announced {
    pub(super) fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Counts content as moved. Bytes that were not announced, because the file has grown or comes again after it
    /// changed while it was read, are added to the total first: it must never be less than what has moved.
    pub(super) fn moved(&mut self, session: &Session, counter: Counter, bytes: u64) {
        let beyond = bytes.saturating_sub(self.0);
        self.0 = self.0.saturating_sub(bytes);
        if beyond > 0 {
            session.count(Counter::bytes_to_transfer, beyond);
        }
        session.count(counter, bytes);
    }

    /// Counts content as moved that a file of the destination had already.
    pub(super) fn matched(&mut self, session: &Session, bytes: u64) {
        self.moved(session, Counter::bytes_reused, bytes);
        session.count(Counter::bytes_matched, bytes);
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::Counter::{bytes_reused, bytes_to_transfer, bytes_transferred};

    use super::{Announced, Session};

    #[test]
    fn what_is_moved_never_passes_its_total() {
        let session = Session::default();
        session.count(bytes_to_transfer, 100);
        let mut announced = Announced::new(100);
        // 60 bytes in vain, then all of a file that has grown to 120.
        for (counter, bytes) in [(bytes_transferred, 60), (bytes_reused, 50), (bytes_transferred, 70)] {
            announced.moved(&session, counter, bytes);
            let done = session.get(bytes_transferred) + session.get(bytes_reused);
            assert!(done <= session.get(bytes_to_transfer));
        }
        assert_eq!(session.get(bytes_to_transfer), 180);
    }
}
