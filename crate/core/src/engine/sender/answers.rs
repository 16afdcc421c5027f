//! Holds the receiver's answers about its files for the lanes that wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sparsync_proto::delta::Chunk;
use sparsync_proto::pack::FileId;
use sparsync_proto::session as machine;

use super::jobs::HeldScan;
use crate::engine::budget::WAIT;
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// The part of an answer that has come.
#[derive(Default)]
struct Answer {
    chunks: Vec<Chunk>,
    is_complete: bool,
}

/// The answers that lanes wait for.
pub(in crate::engine) struct Answers<'a> {
    session: &'a Session,
    machine: &'a Mutex<machine::Sender<Arc<HeldScan>>>,
    awaited: Mutex<HashMap<FileId, Answer>>,
    came: Condvar,
}

impl<'a> Answers<'a> {
    pub(super) fn new(session: &'a Session, machine: &'a Mutex<machine::Sender<Arc<HeldScan>>>) -> Self {
        Self { session, machine, awaited: Mutex::default(), came: Condvar::new() }
    }

    fn awaited(&self) -> MutexGuard<'_, HashMap<FileId, Answer>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the receiver is about to be asked about a file.
    pub(in crate::engine) fn ask(&self, file: FileId) {
        self.awaited().insert(file, Answer::default());
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).asks(file);
    }

    /// Takes a part of an answer. A reader that has given the file up waits for it no longer.
    pub(super) fn take(&self, file: FileId, more: bool, chunks: Vec<Chunk>) {
        if let Some(answer) = self.awaited().get_mut(&file) {
            answer.chunks.extend(chunks);
            answer.is_complete = !more;
        }
        self.came.notify_all();
    }

    /// Waits for the answer about a file.
    pub(in crate::engine) fn wait(&self, file: FileId) -> Result<Vec<Chunk>> {
        let mut awaited = self.awaited();
        loop {
            match awaited.get(&file) {
                Some(answer) if answer.is_complete => break,
                Some(_) => {}
                None => return Err(Error::internal("an answer to no question")),
            }
            self.session.check()?;
            awaited = self.came.wait_timeout(awaited, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(awaited.remove(&file).map(|answer| answer.chunks).unwrap_or_default())
    }

    /// Waits for none about a file any more.
    pub(in crate::engine) fn forget(&self, file: FileId) {
        self.awaited().remove(&file);
    }
}
