//! Why content cannot be read, and whom that concerns.

use sparsync_proto::IssueKind;

use crate::error::Error;
use crate::storage::{CallError, DAMAGED, Errno, NOT_HELD};

/// Why a file is not sent.
pub(super) enum ReadError {
    /// The session is over.
    Session(Error),
    /// This file alone cannot be read: the kind and the text of the issue that is told.
    File(IssueKind, String),
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        Self::unread(error)
    }
}

impl ReadError {
    /// A file, or its directory, that cannot be opened.
    pub(super) fn unopened(error: CallError) -> Self {
        match error.errno {
            Errno::NOENT => Self::File(IssueKind::Vanished, "the file vanished during the run".to_owned()),
            // The entry has become a symlink (which O_NOFOLLOW refuses) or a socket, or a directory on the way
            // something else.
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Self::irregular(),
            _ if error == NOT_HELD => {
                let why = "its content is not in the batch: this destination differs from the one that the batch was made with";
                Self::File(IssueKind::Unreadable, why.to_owned())
            }
            _ if error == DAMAGED => {
                Self::File(IssueKind::Unreadable, "its content in the batch is damaged".to_owned())
            }
            _ => Self::unread(error),
        }
    }

    /// An open file that cannot be read.
    pub(super) fn unread(error: CallError) -> Self {
        Self::File(IssueKind::Unreadable, format!("cannot read: {error}"))
    }

    pub(super) fn irregular() -> Self {
        Self::File(IssueKind::Changed, "it is no longer a regular file".to_owned())
    }
}
