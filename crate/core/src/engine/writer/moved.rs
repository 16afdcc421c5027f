//! Files that the destination has in another place, where they are deleted: they become a further name of that, or a
//! copy. What it has there was hashed, and the sender has said that its file has the same digest.

use std::sync::Arc;

use sparsync_proto::pack::FileId;
use sparsync_proto::{Counter, Phase, is_acl};

use super::LaneWriter;
use super::recipe::{Came, Open, Unfinished};
use crate::engine::attributes::Target;
use crate::engine::directories::{Incoming, MovedFrom};
use crate::error::Result;
use crate::storage::{
    self, Access, Adjust as _, CallError, Directory, Errno, File as _, Status, Storage as _, WriteDirectory,
    WriteFile as _, WriteStorage, copy_content, hash_prefix,
};

/// The attribute that a security module gives to every file.
const LABEL: &[u8] = b"security.selinux";

/// Room for the names of a file's extended attributes: a moved file with more is copied instead of linked.
const NAMES_BYTES: usize = 1024;

impl<S: WriteStorage> LaneWriter<'_, S> {
    /// Makes a new file of the one that was moved. Says whether it is a further name of that.
    pub(super) fn take_moved(
        &mut self,
        incoming: &Arc<Incoming>,
        file: FileId,
        target: &Target<'_>,
        new: &mut Unfinished<S::Directory>,
    ) -> storage::Result<bool> {
        let (writing, moved) = (self.writing, incoming.moved(file.index).ok_or(Errno::INVAL)?);
        let from = writing.widened.open(&moved.directory, Access::Reach)?;
        let tries = self.may_be_linked(&from, moved, (target, new));
        let is_linked = tries && self.linked(&from, moved, new);
        if !is_linked {
            // A link that was made and removed again has left a trace.
            self.copied(&from, moved, (new, !tries))?;
        }
        writing.moved().insert(moved.directory.join_bytes(&moved.name));
        writing.session.count(Counter::files_renamed, 1);
        writing.session.count(Counter::bytes_renamed, moved.status.size);
        Ok(is_linked)
    }

    /// Whether a further name of the moved file would have all that a file of its own would have, and no more.
    fn may_be_linked(
        &self,
        from: &S::Directory,
        moved: &MovedFrom,
        (target, new): (&Target<'_>, &Unfinished<S::Directory>),
    ) -> bool {
        let policy = &self.writing.policy;
        let carried = &policy.rules.attributes;
        let mut names = [0; NAMES_BYTES];
        let goes = |name: &[u8]| carried.carries_xattr(name) && (is_acl(name) || policy.matcher.removes_xattr(name));
        let suits = |fresh: &Status| target.suits(&moved.status.meta, &fresh.meta);
        moved.goes
            && new.file.status().is_ok_and(|fresh| suits(&fresh))
            && all_of(from.list_xattrs(&moved.name, &mut names), &names, goes)
            && all_of(new.file.handle().list_xattrs(&mut names), &names, |name| is_acl(name) && carried.acls)
    }

    /// Makes a new file a further name of the moved one. Says whether that has worked.
    fn linked(&self, from: &S::Directory, moved: &MovedFrom, new: &mut Unfinished<S::Directory>) -> bool {
        let (temp_name, mut held) = (self.writing.names.next(), None);
        let linked = new.unplaced.instead(|directory| {
            directory.make_hard_link((from, &moved.name), &temp_name)?;
            let opened = directory.open_own_file(0, &temp_name).and_then(|file| Ok((file.status()?, file)));
            match opened {
                Ok((status, file)) if status.is_same(&moved.status) && status.links == 2 => {
                    held = Some(file);
                    Ok(temp_name)
                }
                _ => {
                    let _ = directory.remove(&temp_name);
                    Err(Errno::STALE.into())
                }
            }
        });
        if let Some(file) = held {
            new.file = file;
        }
        linked.is_ok()
    }

    /// Copies the moved file into a new one. With `is_untouched` nothing of it may have changed since it was hashed,
    /// otherwise only its content must be the same.
    fn copied(
        &self,
        from: &S::Directory,
        moved: &MovedFrom,
        (new, is_untouched): (&Unfinished<S::Directory>, bool),
    ) -> storage::Result<()> {
        let source = from.open_own_file(0, &moved.name)?;
        let is_same = |found: Status| {
            let is_it = if is_untouched { found.is_untouched(&moved.status) } else { found.is_same(&moved.status) };
            if is_it { Ok(()) } else { Err(CallError::from(Errno::STALE)) }
        };
        is_same(source.status()?)?;
        self.writing.take_space(moved.status.size).map_err(|_| CallError::from(Errno::NOSPC))?;
        let (copied, _) = self.writing.session.long_work(|| copy_content(&source, &new.file))?;
        if copied == moved.status.size { is_same(source.status()?) } else { Err(Errno::STALE.into()) }
    }

    /// Opens a copy of the moved file for more content behind it.
    pub(super) fn go_on_from_moved(&mut self) -> Result<()> {
        let Some(Open::Arriving(open)) = &mut self.open else { return Ok(()) };
        if open.came != Came::Moved {
            return Ok(());
        }
        open.came = Came::Told;
        self.clock.enter(Phase::write);
        let incoming = Arc::clone(&open.incoming);
        let (Some(moved), Some(Open::Arriving(open))) = (incoming.moved(open.file.index), &self.open) else {
            return Ok(());
        };
        let begun = open.new.as_ref().map_or(Ok(None), |new| {
            let from = self.writing.widened.open(&moved.directory, Access::Reach)?;
            self.copied(&from, moved, (new, true))?;
            hash_prefix(&new.file, moved.status.size)
        });
        if let (Ok(Some(hasher)), Some(Open::Arriving(open))) = (&begun, &mut self.open) {
            open.hasher.clone_from(hasher);
            open.data_end = moved.status.size;
        }
        self.written(begun.map(drop))
    }
}

/// Whether all names of a list are of a kind. A file without extended attributes has no others.
fn all_of(listed: storage::Result<usize>, names: &[u8], is_of: impl Fn(&[u8]) -> bool) -> bool {
    match listed {
        Ok(length) => {
            let mut all = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
            all.all(|name| name == LABEL || is_of(name))
        }
        Err(error) => error.errno == Errno::OPNOTSUPP,
    }
}
