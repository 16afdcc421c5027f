//! A call to a storage that failed, by its name: where a sandbox forbids one, its name is what somebody can act on.

use std::fmt;

use super::Errno;

/// A call that failed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    /// The system's name of the call; empty where none was made.
    pub(crate) call: &'static str,
    /// Why it failed.
    pub(crate) errno: Errno,
}

impl CallError {
    /// Adds the name of the failed call to an error number.
    pub(crate) fn of(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self { call, errno }
    }
}

/// The reason that a symlink which is followed leads to nothing. No call failed, since the symlink itself is there.
pub(crate) const NO_REFERENT: CallError = CallError { call: "", errno: Errno::NOLINK };

/// The batch that is read does not have the content of a file.
pub(crate) const NOT_HELD: CallError = CallError { call: "batch", errno: Errno::NODATA };

/// The content of a file in a batch is not what was written.
pub(crate) const DAMAGED: CallError = CallError { call: "batch", errno: Errno::BADMSG };

impl From<Errno> for CallError {
    fn from(errno: Errno) -> Self {
        Self { call: "", errno }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = std::io::Error::from(self.errno);
        if self.call.is_empty() { why.fmt(f) } else { write!(f, "{}: {why}", self.call) }
    }
}

impl std::error::Error for CallError {}

impl From<CallError> for std::io::Error {
    fn from(error: CallError) -> Self {
        Self::new(Self::from(error.errno).kind(), error)
    }
}
