//! Removes entries of the source that have arrived.

use std::cell::Cell;
use std::sync::PoisonError;

use sparsync_proto::{Arrived, Counter, Frame, Issue, IssueKind, Kind, RelPath};

use super::Shared;
use crate::error::{Error, Result};
use crate::storage::{CallError, Errno, Status, Storage};

/// Removes each of these entries if it still is as it was sent, and tells of the others.
pub(super) fn remove(shared: &Shared<'_, impl Storage>, entries: Vec<Arrived>) -> Result<()> {
    let mut unlinked = shared.unlinked.lock().unwrap_or_else(PoisonError::into_inner);
    for Arrived { path, kind, size, mtime } in entries {
        shared.session.check()?;
        if !may_have_been_sent(shared, &path, kind) {
            let error = Error::protocol("something has arrived that was not sent");
            return Err(error.at(path.as_bytes()).remote());
        }
        shared.session.worked(1);
        let linked = Cell::new(None);
        let is_same = |found: &Status| {
            let entry = (found.device, { found.stamp.ino });
            linked.set((found.links > 1).then_some(entry));
            // Taking one of its names away has changed it, too.
            let is_untouched = { found.stamp.ctime } <= shared.began || unlinked.contains(&entry);
            let is_it = found.kind == kind && found.meta.mtime == mtime;
            is_it && is_untouched && (kind != Kind::File || found.size == size)
        };
        let removed = if shared.options.judge.hides_path(&path, kind) {
            Err(Errno::NOENT.into())
        } else {
            shared.source.root.remove(&path, &is_same)
        };
        if matches!(removed, Ok(true)) {
            unlinked.extend(linked.get());
        }
        if shared.options.events.is_none() && matches!(removed, Ok(true)) {
            shared.session.count(Counter::files_deleted, 1);
        }
        let message = match removed {
            // The entry was removed by another program, or must not be seen.
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

/// Whether the run can have sent the entry: a receiver must not have anything removed that does not belong to the run.
fn may_have_been_sent(shared: &Shared<'_, impl Storage>, path: &RelPath, kind: Kind) -> bool {
    let (source, options) = (shared.source, shared.options);
    let Some((parent, name)) = path.split_last() else { return false };
    let is_below_what_is_walked = !options.recursive && source.selected.is_empty() && !parent.is_root();
    let is_beside = source.file_name.as_ref().is_some_and(|only| only != path.as_bytes());
    let matcher = &options.judge.matcher;
    !is_below_what_is_walked
        && !is_beside
        && matcher.may_send_directory(&parent)
        && matcher.may_be_sent(&parent, name.as_bytes(), kind)
}
