//! What a failure of one path means for a run.
//!
//! A full disk ends the run, because every further write would meet it too. Everything else costs its own path: it is
//! counted, told once, and the run goes on. An attribute that cannot be set never costs the content, whatever the
//! reason; it is told, by its call, when the entry has its name.

use sparsync_proto::{Counter, Issue, IssueKind};

use super::attributes::Unset;
use super::report::Report;
use super::session::Session;
use crate::error::{Error, Result};
use crate::storage::Errno;

/// Counts and tells the failures of one run.
#[derive(Clone, Copy)]
pub(super) struct FailurePolicy<'a> {
    pub(super) session: &'a Session,
    pub(super) report: &'a Report,
}

/// Fails where every further write would fail in the same way.
pub(super) fn check(path: impl FnOnce() -> Vec<u8>, doing: &str, error: Errno) -> Result<()> {
    match error {
        Errno::NOSPC | Errno::DQUOT => Err(Error::io(doing, &path(), error.into())),
        _ => Ok(()),
    }
}

impl FailurePolicy<'_> {
    /// Tells of a path, and counts it unless it is a notice.
    pub(super) fn tell(&self, issue: Issue) -> Result<()> {
        if !issue.kind.is_notice() {
            self.session.count(Counter::files_failed, 1);
        }
        self.report.issue(issue)
    }

    /// Tells of a path that did not arrive.
    pub(super) fn issue(&self, kind: IssueKind, path: Vec<u8>, message: String, old_kept: bool) -> Result<()> {
        self.tell(Issue { kind, path, message, old_kept })
    }

    /// A path that could not be written.
    pub(super) fn write(&self, path: Vec<u8>, doing: &str, error: Errno, old_kept: bool) -> Result<()> {
        check(|| path.clone(), doing, error)?;
        self.issue(IssueKind::Write, path, format!("{doing}: {}", std::io::Error::from(error)), old_kept)
    }

    /// A path that arrived, with what could not be set on it.
    pub(super) fn attributes(&self, path: impl FnOnce() -> Vec<u8>, unset: &Unset) -> Result<()> {
        match unset.message() {
            None => Ok(()),
            Some(message) => self.issue(IssueKind::Attributes, path(), message, false),
        }
    }
}
