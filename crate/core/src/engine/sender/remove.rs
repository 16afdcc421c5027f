//! Removes entries of the source that have arrived.

use std::cell::Cell;
use std::sync::PoisonError;

use sparsync_proto::{Arrived, Counter, Frame, Issue, IssueKind, Kind, RelPath, Time};

use super::{Shared, now};
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
        let seen = Cell::new(None);
        let is_same = |found: &Status| {
            let entry = (found.device, { found.stamp.ino });
            // Taking one of its names away has changed it, too.
            let is_untouched = unlinked.contains(&entry) || !shows_change(found.stamp.ctime, shared.began, now());
            // A run that links the source's own files (`--link-dest`) changes them so. Whatever else it was, the
            // content stays under a further name, and the last one that has it does not go.
            let has_further = found.links > 1;
            seen.set(Some((entry, is_untouched, has_further)));
            let is_it = found.kind == kind && found.meta.mtime == mtime;
            is_it && (is_untouched || has_further) && (kind != Kind::File || found.size == size)
        };
        let removed = if shared.options.judge.hides_path(&path, kind) {
            Err(Errno::NOENT.into())
        } else {
            shared.source.root.remove(&path, &is_same)
        };
        match seen.get().filter(|_| matches!(removed, Ok(true))) {
            Some((entry, true, true)) => drop(unlinked.insert(entry)),
            // The last name is gone, and another file may get the inode.
            Some((entry, _, false)) => drop(unlinked.remove(&entry)),
            Some((_, false, true)) | None => {}
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

/// Whether the time of an entry's last change says that it was during the run. One that is still to come does not: the
/// clock was set back, or is not that of the file system.
fn shows_change(ctime: Time, began: Time, now: Time) -> bool {
    ctime > began && ctime <= now
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

#[cfg(test)]
mod tests {
    use sparsync_proto::Time;

    use super::shows_change;

    #[test]
    fn a_change_in_the_future_is_none_during_the_run() {
        let at = |seconds| Time { seconds, nanos: 0 };
        let shows = |ctime| shows_change(at(ctime), at(10), at(20));
        assert_eq!([9, 10, 11, 20, 21].map(shows), [false, false, true, true, false]);
    }
}
