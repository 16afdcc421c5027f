//! Files that the sender hands over, because it is in this process: they are copied without a pack.

use sparsync_proto::{Counter, Phase};

use super::LaneWriter;
use super::recipe::{Came, Open};
use crate::engine::lanes::Handed;
use crate::error::{Error, Result};
use crate::storage::{CopyFault, WriteStorage};

impl<S: WriteStorage> LaneWriter<'_, S> {
    /// Copies a file that the sender hands over into the open one, and tells the sender whether it could be read.
    pub(super) fn handed(&mut self, handed: &Handed) -> Result<()> {
        self.lane.takes(handed.bytes)?;
        let is_read = match &self.open {
            Some(Open::Arriving(_)) => self.copy_all(handed)?,
            Some(Open::Unwanted(_)) => true,
            None => return Err(Error::internal("a file was handed over that has not begun")),
        };
        // A sender that is gone has its reason.
        let _ = handed.copied.send(is_read);
        Ok(())
    }

    fn copy_all(&mut self, handed: &Handed) -> Result<bool> {
        self.clock.enter(Phase::write);
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(false) };
        open.came = Came::Copied;
        let shared = match &open.new {
            Ok(new) => self.copier.share(&*handed.file, &new.file),
            Err(_) => return Ok(true),
        };
        match shared {
            Ok(true) => {
                open.data_end = handed.bytes;
                open.announced.moved(self.writing.session, Counter::bytes_transferred, handed.bytes);
                Ok(true)
            }
            Ok(false) => self.copy_data(handed),
            Err(error) => self.written(Err(error)).map(|()| true),
        }
    }

    fn copy_data(&mut self, handed: &Handed) -> Result<bool> {
        let (session, from) = (self.writing.session, &*handed.file);
        let mut at = 0;
        while at < handed.bytes {
            let (data, end) = if handed.may_have_holes { from.next_data(at, handed.bytes) } else { (at, handed.bytes) };
            let Some(Open::Arriving(open)) = &mut self.open else { return Ok(false) };
            open.announced.moved(session, Counter::bytes_reused, data - at);
            at = data;
            while at < end {
                session.check()?;
                session.worked(1);
                let Ok(new) = &open.new else { return Ok(true) };
                match self.copier.copy((from, at), (&new.file, at), end - at) {
                    // The source's file has become shorter, or cannot be read: the sender meets the same when it reads
                    // the file itself.
                    Ok(0) | Err(CopyFault::Read(_)) => return Ok(false),
                    Ok(count) => {
                        at += count;
                        open.data_end = at;
                        open.announced.moved(session, Counter::bytes_transferred, count);
                    }
                    Err(CopyFault::Write(error)) => {
                        self.written(Err(error))?;
                        return Ok(true);
                    }
                }
            }
        }
        Ok(true)
    }
}
