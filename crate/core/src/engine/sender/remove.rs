//! Removes entries of the source that have arrived.

use sparsync_proto::{Arrived, Frame, Issue, IssueKind, Kind};

use super::Shared;
use crate::error::Result;
use crate::storage::{CallError, Errno, Status, Storage};

/// Removes each of these entries that is still what has arrived, and tells of the others.
pub(super) fn remove(shared: &Shared<'_, impl Storage>, entries: Vec<Arrived>) -> Result<()> {
    for Arrived { path, kind, size, mtime } in entries {
        shared.session.check()?;
        shared.session.worked(1);
        let is_same = |found: &Status| {
            found.kind == kind && found.meta.mtime == mtime && (kind != Kind::File || found.size == size)
        };
        let removed = if shared.options.judge.hides_path(&path, kind) {
            Err(Errno::NOENT.into())
        } else {
            shared.source.root.remove(&path, &is_same)
        };
        let message = match removed {
            // Somebody else has removed it, or it may not be seen.
            Ok(true) | Err(CallError { errno: Errno::NOENT, .. }) => continue,
            Ok(false) => "it is not removed: it changed since it was sent".to_owned(),
            Err(error) => format!("it cannot be removed: {error}"),
        };
        let issue = Issue { kind: IssueKind::SourceKept, path: path.into_bytes(), message, old_kept: false };
        match &shared.options.events {
            Some(events) => events.issue(issue),
            None => shared.control.send(&Frame::Issue(issue))?,
        }
    }
    Ok(())
}
