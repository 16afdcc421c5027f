//! Decides what the failure of one path means for the run.
//!
//! A full disk ends the run, because every further write would meet it too. Everything else costs its own path: it is
//! counted, told once, whoever finds that it fails and how often, and the run goes on. An attribute that cannot be set
//! never costs the content, whatever the reason; it is told, by its call, when the entry has its name. One that the
//! file system cannot hold is no failure unless the run wants it to be: it is told once for its kind and the file
//! system.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use sparsync_proto::{Counter, Issue, IssueKind};

use super::report::Report;
use super::session::Session;
use super::unset::{AttributeKind, Unset};
use crate::error::{Error, Result};
use crate::storage::{CallError, Errno, FileSystemId};

/// Paths that are kept as told. A run with more failures may tell some of them twice.
const TOLD_MAX: usize = 250_000;

/// The paths of one run that failed and were told, by a keyed hash that a peer cannot aim at.
#[derive(Default)]
struct ToldPaths {
    key: RandomState,
    hashes: HashSet<u64>,
}

impl ToldPaths {
    /// Notes a failure, and says whether it is a new one. Missing content is told of a path even if a missing attribute
    /// was told before; a missing attribute is not told after missing content.
    fn is_new(&mut self, kind: IssueKind, path: &[u8]) -> bool {
        let content = self.key.hash_one((true, path));
        let hash = match kind {
            IssueKind::Attributes | IssueKind::AttributesUnread if self.hashes.contains(&content) => return false,
            IssueKind::Attributes | IssueKind::AttributesUnread => self.key.hash_one((false, path)),
            _ => content,
        };
        if self.hashes.len() < TOLD_MAX { self.hashes.insert(hash) } else { !self.hashes.contains(&hash) }
    }

    fn may_have(&self, path: &[u8]) -> bool {
        !self.hashes.is_empty()
            && (self.hashes.len() >= TOLD_MAX || self.hashes.contains(&self.key.hash_one((true, path))))
    }
}

/// Counts and tells the failures of one run.
pub(super) struct FailurePolicy<'a> {
    session: &'a Session,
    report: &'a Report,
    told: Mutex<ToldPaths>,
    /// An attribute that a file system cannot hold is a failure of each entry that has it.
    strict: bool,
    /// The kinds that a file system cannot hold, each told once.
    unheld: Mutex<HashSet<(AttributeKind, FileSystemId)>>,
}

/// Fails the run if every further write would fail in the same way.
pub(super) fn check(path: impl FnOnce() -> Vec<u8>, doing: &str, error: CallError) -> Result<()> {
    match error.errno {
        Errno::NOSPC | Errno::DQUOT => Err(Error::io(doing, &path(), error.into())),
        _ => Ok(()),
    }
}

impl<'a> FailurePolicy<'a> {
    /// Nothing has failed yet.
    pub(super) fn new(session: &'a Session, report: &'a Report, strict: bool) -> Self {
        Self { session, report, told: Mutex::default(), strict, unheld: Mutex::default() }
    }

    /// Tells of a path, and counts it unless it is a notice. A path that failed before is not told again.
    pub(super) fn tell(&self, issue: Issue) -> Result<()> {
        if !issue.kind.is_notice() {
            if !self.told.lock().unwrap_or_else(PoisonError::into_inner).is_new(issue.kind, &issue.path) {
                return Ok(());
            }
            self.session.count(Counter::files_failed, 1);
        }
        self.report.issue(issue)
    }

    /// Whether the entry at this path did not arrive. With more failures than are kept, every path counts as failed.
    pub(super) fn has_failed(&self, path: &[u8]) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).may_have(path)
    }

    /// Whether the entry at this path, or an attribute of it, did not arrive, with the same limit.
    pub(super) fn has_any_failed(&self, path: &[u8]) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.may_have(path) || told.hashes.contains(&told.key.hash_one((false, path)))
    }

    /// Tells of a path that did not arrive.
    pub(super) fn issue(&self, kind: IssueKind, path: Vec<u8>, message: String, old_kept: bool) -> Result<()> {
        self.tell(Issue { kind, path, message, old_kept })
    }

    /// A path that could not be written.
    pub(super) fn write(&self, path: Vec<u8>, doing: &str, error: CallError, old_kept: bool) -> Result<()> {
        check(|| path.clone(), doing, error)?;
        self.issue(IssueKind::Write, path, format!("{doing}: {error}"), old_kept)
    }

    /// Tells of a path that arrived, with the attributes that could not be set on it.
    pub(super) fn attributes(&self, path: impl FnOnce() -> Vec<u8>, unset: &Unset) -> Result<()> {
        if unset.is_empty() {
            return Ok(());
        }
        let path = path();
        let message = if self.strict { unset.message() } else { unset.message_of_held() };
        if !self.strict {
            for (kind, file_system, message) in unset.unheld() {
                self.unheld(kind, file_system, &path, &message)?;
            }
        }
        message.map_or(Ok(()), |message| self.issue(IssueKind::Attributes, path, message, false))
    }

    /// A kind of attribute that a file system of the destination cannot hold, first met at `path`.
    fn unheld(&self, kind: AttributeKind, file_system: FileSystemId, path: &[u8], message: &str) -> Result<()> {
        if !self.unheld.lock().unwrap_or_else(PoisonError::into_inner).insert((kind, file_system)) {
            return Ok(());
        }
        let message =
            format!("{} are not preserved: the destination's file system cannot hold them ({message})", kind.name());
        self.tell(Issue { kind: IssueKind::AttributesUnheld, path: path.to_vec(), message, old_kept: false })
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::IssueKind::{Attributes, AttributesUnread, Delete, Unreadable, Vanished, Write};

    use super::ToldPaths;

    #[test]
    fn a_path_is_told_once_and_missing_content_although_an_attribute_was() {
        let mut told = ToldPaths::default();
        let mut is_new = |kind, path: &[u8]| told.is_new(kind, path);
        assert_eq!(
            [Unreadable, Vanished, Write, Attributes].map(|kind| is_new(kind, b"a")),
            [true, false, false, false]
        );
        assert_eq!([AttributesUnread, Attributes, Delete].map(|kind| is_new(kind, b"b")), [true, false, true]);
        assert!(is_new(Write, b"a/b"));
    }
}
