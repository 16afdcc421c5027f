//! The errors of a peer that breaks the protocol.

use crate::frame::Frame;

/// A breach of the protocol by the peer. It ends the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// The text for people.
    pub message: String,
    /// The path concerned, relative to the tree.
    pub path: Option<Vec<u8>>,
}

impl Violation {
    /// A breach that concerns no path.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), path: None }
    }

    /// A frame that may not come in this state.
    pub(super) fn misplaced(frame: &Frame) -> Self {
        Self::new(format!("{} has no place here", frame.name()))
    }

    /// The same about a path.
    #[must_use]
    pub(super) fn at(mut self, path: &[u8]) -> Self {
        self.path = Some(path.to_vec());
        self
    }
}

impl Frame {
    /// The name of the frame, for an error message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Request(_) => "a request",
            Self::Paths { .. } => "paths of a request",
            Self::Accept(_) => "an acceptance",
            Self::TreeDigest(_) => "a tree digest",
            Self::Directories(_) => "directories",
            Self::List { .. } => "a listing",
            Self::TreeEnd { .. } => "an end of tree",
            Self::Need(_) => "a need",
            Self::Want { .. } => "a want",
            Self::Bases { .. } => "files that are held in an older state",
            Self::Chunks { .. } => "parts of a file",
            Self::Settled(_) => "a settlement",
            Self::Owners(_) => "names of owners",
            Self::Arrived { .. } => "an entry that has arrived",
            Self::Removed => "a word that all is removed",
            Self::Items(_) => "items",
            Self::Issue(_) => "an issue",
            Self::Heartbeat(_) => "a heartbeat",
            Self::Bwlimit(_) => "a limit on what is sent",
            Self::Finished { .. } => "a result",
            Self::Abort(_) => "an abort",
            Self::Profile(_) => "a profile",
            Self::ListRequest { .. } => "a request for a list",
            Self::ListReply { .. } => "a list",
            Self::StatRequest { .. } => "a question for one path",
            Self::StatReply(_) => "an answer about one path",
            Self::Explained(_) => "an explanation",
            Self::Join(_) => "an invitation",
            Self::Joined(_) => "an answer to an invitation",
        }
    }
}
