//! The one error type of the engine.

use std::fmt;
use std::sync::Arc;

use sparsync_proto::{DecodeError, RuleFileError, WireError};
pub use sparsync_proto::{Detail, ErrorKind};

/// Which end of a sync an error happened on, as seen by the one who holds the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This process.
    Local,
    /// The peer.
    Remote,
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, where, and whether trying again can help.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<Vec<u8>>,
    side: Side,
    details: Vec<(String, Detail)>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this side.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            side: Side::Local,
            details: Vec::new(),
            source: None,
        }))
    }

    /// A file system error at `path`: a full disk or quota becomes [`ErrorKind::NoSpace`].
    #[must_use]
    pub fn io(doing: &str, path: &[u8], source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("{doing}: {source}")).at(path).because(source)
    }

    /// A defect of this program; `what` names the broken expectation.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, what)
    }

    /// The peer broke the protocol.
    pub fn protocol(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, what)
    }

    /// A peer's message cannot be read: the peer broke the protocol, or is newer and asks for something unknown here.
    pub(crate) fn unreadable(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed { .. } => Self::protocol(error.to_string()),
            DecodeError::UnknownField { number, .. } => {
                Self::new(ErrorKind::Version, error.to_string()).with("field", number)
            }
        }
        .remote()
        .because(error)
    }

    /// A file of filter rules cannot be followed. Its content is not told.
    pub(crate) fn bad_rules(error: &RuleFileError) -> Self {
        Self::new(ErrorKind::Config, format!("a file of filter rules: {error}")).at(&error.file)
    }

    /// Names the path concerned.
    #[must_use]
    pub fn at(mut self, path: &[u8]) -> Self {
        self.0.path = Some(path.to_vec());
        self
    }

    /// Says that it happened at the peer.
    #[must_use]
    pub fn remote(mut self) -> Self {
        self.0.side = Side::Remote;
        self
    }

    /// Adds a machine-readable fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Detail>) -> Self {
        self.0.details.push((name.to_owned(), value.into()));
        self
    }

    /// Says what was being done.
    #[must_use]
    pub(crate) fn during(mut self, what: &str) -> Self {
        self.0.message = format!("{} ({what})", self.0.message);
        self
    }

    /// Keeps the error that led to this one.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The form in which it travels to the peer.
    pub(crate) fn to_wire(&self) -> WireError {
        WireError {
            kind: self.kind(),
            message: self.0.message.clone(),
            path: self.0.path.clone(),
            details: self.0.details.clone(),
        }
    }

    /// What a peer reported.
    pub(crate) fn from_wire(error: WireError) -> Self {
        let mut inner = Self::new(error.kind, error.message).remote();
        inner.0.path = error.path;
        inner.0.details = error.details;
        inner
    }

    /// The kind, which decides code, exit status and retry.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The text for people, without kind and path.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The path concerned, relative to the tree where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        self.0.path.as_deref()
    }

    /// The end that it happened on.
    #[must_use]
    pub fn side(&self) -> Side {
        self.0.side
    }

    /// Keeps so many bytes of the path.
    pub(crate) fn shorten_path(&mut self, to: usize) {
        if let Some(path) = self.0.path.as_mut().filter(|path| path.len() > to) {
            path.truncate(to);
            path.shrink_to_fit();
        }
    }

    /// The machine-readable facts.
    #[must_use]
    pub fn details(&self) -> &[(String, Detail)] {
        &self.0.details
    }
}

impl From<sparsync_proto::session::Violation> for Error {
    fn from(violation: sparsync_proto::session::Violation) -> Self {
        let error = Self::protocol(violation.message).remote();
        match violation.path {
            Some(path) => error.at(&path),
            None => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(path) = &self.0.path {
            write!(f, " ({})", path.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.0.kind.code())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}
