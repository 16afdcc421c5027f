//! What could not be set on an entry, and why: for want of a right, or because the file system has no room for such an
//! attribute, which is the same for every entry on it.

use crate::storage::{self, Adjust, CallError, Errno, FileSystemId};

/// A kind of attribute, of which a file system holds all or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AttributeKind {
    /// Owner and group.
    Owners,
    /// Permission bits.
    Modes,
    /// Times.
    Times,
    /// Extended attributes.
    Xattrs,
    /// ACLs.
    Acls,
}

impl AttributeKind {
    /// The name of the kind in a warning.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Owners => "owners and groups",
            Self::Modes => "permission bits",
            Self::Times => "times",
            Self::Xattrs => "extended attributes",
            Self::Acls => "ACLs",
        }
    }
}

/// A call that failed on one entry.
#[derive(Debug)]
struct Failed {
    kind: Option<AttributeKind>,
    /// Its name, and what it was to set.
    call: String,
    errno: Errno,
}

impl Failed {
    /// The kind of attribute that the file system cannot hold, where that is why the call failed.
    fn unheld(&self) -> Option<AttributeKind> {
        self.kind.filter(|_| matches!(self.errno, Errno::OPNOTSUPP | Errno::NOSYS))
    }

    fn message(&self) -> String {
        let why = std::io::Error::from(self.errno);
        if self.call.is_empty() { why.to_string() } else { format!("{}: {why}", self.call) }
    }
}

/// The calls that failed on one entry, by their names and what they were to set. Mostly none.
#[derive(Debug, Default)]
#[must_use = "what could not be set is to be told"]
pub(super) struct Unset {
    failed: Vec<Failed>,
    /// The file system of the entry, when it cannot hold some kind of attribute.
    file_system: Option<FileSystemId>,
}

impl Unset {
    /// Nothing could be set, because this call failed.
    pub(super) fn all(error: CallError) -> Self {
        let failed = Failed { kind: None, call: error.call.to_owned(), errno: error.errno };
        Self { failed: vec![failed], file_system: None }
    }

    /// Notes the result of a call that was to set an attribute of this kind. Says whether it was set.
    pub(super) fn tried(
        &mut self,
        kind: AttributeKind,
        call: impl FnOnce() -> String,
        result: storage::Result<()>,
    ) -> bool {
        if let Err(error) = result {
            self.failed.push(Failed { kind: Some(kind), call: call(), errno: error.errno });
        }
        result.is_ok()
    }

    /// Looks where the entry is, if that matters.
    pub(super) fn locate(&mut self, entry: &impl Adjust) {
        if self.file_system.is_none() && self.failed.iter().any(|failed| failed.unheld().is_some()) {
            self.file_system = entry.file_system().ok();
        }
    }

    /// Whether nothing failed.
    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    /// Adds the failures of a later attempt on the same entry.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.failed.extend(later.failed);
        self.file_system = self.file_system.or(later.file_system);
        self
    }

    /// The text for people, of everything that failed.
    pub(super) fn message(&self) -> Option<String> {
        joined(self.failed.iter())
    }

    /// The same, without attributes that the file system cannot hold.
    pub(super) fn message_of_held(&self) -> Option<String> {
        joined(self.failed.iter().filter(|failed| self.file_system.is_none() || failed.unheld().is_none()))
    }

    /// The kinds that the file system cannot hold, each with that file system and the system's message.
    pub(super) fn unheld(&self) -> impl Iterator<Item = (AttributeKind, FileSystemId, String)> {
        let located = self.file_system.into_iter();
        located.flat_map(|place| {
            self.failed.iter().filter_map(move |failed| Some((failed.unheld()?, place, failed.message())))
        })
    }
}

fn joined<'a>(failed: impl Iterator<Item = &'a Failed>) -> Option<String> {
    let failed: Vec<String> = failed.map(Failed::message).collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}
