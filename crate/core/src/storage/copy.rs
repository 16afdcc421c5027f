//! Copies an entry from one directory of this end to another.

use sparsync_proto::{ACL_ACCESS, ACL_DEFAULT, CAPABILITY, Durability, Kind, kept_mode, mode_without_acl};

use super::write::end_in_hole;
use super::{Adjust, CallError, Directory, Errno, File, Lent, Result, Status, WriteDirectory, WriteFile};

/// Bytes that are read at once.
const COPY_BYTES: usize = 256 << 10;

/// Bytes that one call copies. The call cannot be interrupted, so a run that ends waits for it.
const RANGE_BYTES: u64 = 32 << 20;

/// Copies content as well as two storages can between them: whole files without copying, ranges within the system, and
/// through memory where neither is possible. A way that has failed once is not tried again.
#[derive(Debug)]
pub(crate) struct Copier {
    shares: bool,
    copies_ranges: bool,
    buffer: Vec<u8>,
}

/// Which of the two files a copy failed at.
#[derive(Debug)]
pub(crate) enum CopyFault {
    /// The one that is read. It may have become shorter.
    Read(CallError),
    /// The one that is written.
    Write(CallError),
}

impl CopyFault {
    /// The error of the call.
    pub(crate) fn error(self) -> CallError {
        match self {
            Self::Read(error) | Self::Write(error) => error,
        }
    }
}

impl Default for Copier {
    fn default() -> Self {
        Self { shares: true, copies_ranges: true, buffer: Vec::new() }
    }
}

/// Whether a call failed because there is no room, and not because there is no such call.
fn has_no_room(error: CallError) -> bool {
    matches!(error.errno, Errno::NOSPC | Errno::DQUOT | Errno::FBIG)
}

impl Copier {
    /// Gives a file that has no content yet all of another one's, where that takes no copying. Says whether it did.
    pub(crate) fn share(&mut self, from: &dyn Lent, to: &impl WriteFile) -> Result<bool> {
        if !self.shares {
            return Ok(false);
        }
        match to.share_all(from) {
            Ok(()) => Ok(true),
            Err(error) if has_no_room(error) => Err(error),
            Err(_) => {
                self.shares = false;
                Ok(false)
            }
        }
    }

    /// Copies up to `bytes` from `offset` on of one file to `at` of another. Gives how many; zero at the end of the
    /// first.
    pub(crate) fn copy(
        &mut self,
        (from, offset): (&dyn Lent, u64),
        (to, at): (&impl WriteFile, u64),
        bytes: u64,
    ) -> std::result::Result<u64, CopyFault> {
        if self.copies_ranges {
            match to.copy_range((from, offset), at, bytes.min(RANGE_BYTES)) {
                // A file of the kernel may say so of content that it has.
                Ok(0) => {}
                Ok(count) => return Ok(count),
                Err(error) if has_no_room(error) => return Err(CopyFault::Write(error)),
                // The error does not say which of the two files failed; copying through memory does.
                Err(_) => self.copies_ranges = false,
            }
        }
        let room = usize::try_from(bytes).map_or(COPY_BYTES, |bytes| bytes.min(COPY_BYTES));
        self.buffer.clear();
        if self.buffer.capacity() < room {
            self.buffer.reserve_exact(room);
        }
        from.read(&mut self.buffer, offset).map_err(CopyFault::Read)?;
        self.buffer.truncate(room);
        to.write(&self.buffer, at).map_err(CopyFault::Write)?;
        Ok(self.buffer.len() as u64)
    }
}

/// How a file got the content of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The blocks are shared, or there are none.
    Shared,
    /// The file has blocks of its own.
    Copied,
}

/// Copies the content of a file, its holes as holes, and gives its length. Fails if the file changes meanwhile, since
/// the copy would equal no state of it.
pub(crate) fn copy_content(from: &impl File, to: &impl WriteFile) -> Result<(u64, Content)> {
    let before = from.status()?;
    let mut copier = Copier::default();
    let is_shared = copier.share(from, to)?;
    if !is_shared {
        let (mut at, mut written) = (0, 0);
        while at < before.size {
            let (data, end) =
                if before.stamp.may_have_holes { from.next_data(at, before.size) } else { (at, before.size) };
            at = data;
            while at < end {
                let moved = copier.copy((from, at), (to, at), end - at);
                let count = moved.map_err(CopyFault::error)?;
                if count == 0 {
                    return Err(Errno::STALE.into());
                }
                at += count;
                written = at;
            }
        }
        if written < before.size {
            end_in_hole(to, before.size)?;
        }
    }
    let after = from.status()?;
    let state = |status: &Status| (status.size, status.meta.mtime, status.stamp.ctime);
    let content = if is_shared || before.size == 0 { Content::Shared } else { Content::Copied };
    if state(&before) == state(&after) { Ok((before.size, content)) } else { Err(Errno::STALE.into()) }
}

/// Copies an entry that is no directory, with its attributes, to `name` in another directory, where it is called
/// `temp_name` until it is complete, and from [`Durability::Run`] on its content is on disk. Attributes that cannot be
/// set there are left out.
pub(crate) fn copy_entry<D: WriteDirectory>(
    (from, from_name): (&D, &[u8]),
    (to, name): (&D, &[u8]),
    temp_name: &[u8],
    durability: Durability,
) -> Result<()> {
    let status = from.status(from_name)?;
    let made = match status.kind {
        Kind::File => to.create_file(temp_name, 0o600).and_then(|file| {
            copy_content(&from.open_file(from_name)?, &file)?;
            set_like(&file.handle(), &status, (from, from_name));
            if durability >= Durability::Run {
                file.sync()?;
            }
            file.close()
        }),
        Kind::Symlink => from.read_link(from_name).and_then(|target| {
            to.make_symlink(temp_name, &target)?;
            set_like(&to.link(temp_name), &status, (from, from_name));
            Ok(())
        }),
        Kind::Fifo | Kind::Socket | Kind::BlockDevice | Kind::CharDevice => {
            to.make_node(temp_name, (status.kind, status.rdev), status.meta.mode).and_then(|()| {
                let (made, _) = to.reach(temp_name, status.kind)?;
                set_like(&made, &status, (from, from_name));
                Ok(())
            })
        }
        Kind::Directory | Kind::Special => Err(Errno::INVAL.into()),
    };
    let placed = made.and_then(|()| to.rename(temp_name, name));
    if placed.is_err() {
        let _ = to.remove(temp_name);
    }
    placed
}

/// Sets the attributes of an entry on another one, as far as that is possible. Set-id bits and capabilities, which lend
/// the rights of an owner or a group, are left out where the other entry belongs to somebody else.
pub(crate) fn set_like(entry: &impl Adjust, status: &Status, like: (&impl Directory, &[u8])) {
    let _ = entry.set_owner(Some(status.meta.uid), Some(status.meta.gid));
    // An entry that cannot be looked at counts as somebody else's.
    let (keeps_owner, keeps_group) =
        entry.found().map_or((false, false), |found| (found.uid == status.meta.uid, found.gid == status.meta.gid));
    // The mode may forbid the owner to set them.
    let unset_acl = copy_xattrs(entry, like, keeps_owner).unwrap_or_default();
    if status.kind != Kind::Symlink {
        let mode = kept_mode(status.kind, status.meta.mode, keeps_owner, keeps_group);
        let _ = entry.set_mode(unset_acl.map_or(mode, |acl| mode_without_acl(&acl, mode)));
    }
    let _ = entry.set_times(None, Some(status.meta.mtime));
}

/// Gives an entry the ACLs of another one, as far as that is possible. One that it has taken over from its directory
/// goes.
pub(crate) fn copy_acls(entry: &impl Adjust, (from, name): (&impl Directory, &[u8])) {
    let mut value = vec![0; sparsync_proto::limits::XATTR_VALUE_BYTES_MAX];
    for attribute in [ACL_ACCESS, ACL_DEFAULT] {
        let _ = match from.get_xattr(name, attribute, &mut value) {
            Ok(length) => entry.set_xattr(attribute, &value[..length]),
            Err(_) => entry.remove_xattr(attribute),
        };
    }
}

/// Gives the access ACL that could not be set.
fn copy_xattrs(
    entry: &impl Adjust,
    (from, name): (&impl Directory, &[u8]),
    keeps_owner: bool,
) -> Result<Option<Vec<u8>>> {
    let mut unset_acl = None;
    let mut names = vec![0; super::XATTR_NAMES_BYTES_MAX];
    let length = from.list_xattrs(name, &mut names)?;
    let mut value = Vec::new();
    let is_carried = |attribute: &[u8]| !attribute.is_empty() && (keeps_owner || attribute != CAPABILITY);
    for attribute in names[..length].split(|&byte| byte == 0).filter(|attribute| is_carried(attribute)) {
        value.resize(sparsync_proto::limits::XATTR_VALUE_BYTES_MAX, 0);
        if let Ok(length) = from.get_xattr(name, attribute, &mut value)
            && entry.set_xattr(attribute, &value[..length]).is_err()
            && attribute == ACL_ACCESS
        {
            unset_acl = Some(value[..length].to_vec());
        }
    }
    Ok(unset_acl)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use sparsync_proto::RelPath;

    use super::*;
    use crate::storage::memory::{Body, Call, MemoryStorage, Node, Strike, UNFINISHED};
    use crate::storage::{Access, Storage as _, TempNames};

    /// A tree with one file of somebody.
    fn tree(content: &[u8]) -> MemoryStorage {
        let top = Node::new(Body::Directory(BTreeMap::new()), 0o755);
        let file = Node::new(Body::File(content.to_vec()), 0o644);
        file.set_xattr(CAPABILITY, b"all");
        file.set_xattr(b"user.note", b"kept");
        top.add_link(b"file", &file);
        let storage = MemoryStorage::new(top);
        let top = storage.open(&RelPath::root(), Access::Read).expect("the top");
        let (file, _) = top.reach(b"file", Kind::File).expect("the file");
        file.set_owner(Some(1234), Some(5678)).and_then(|()| file.set_mode(0o6755)).expect("its owner");
        storage
    }

    /// Copies the file while `fails` fails. Gives the copy, and the calls that made it.
    fn copied(storage: &MemoryStorage, fails: Option<&'static str>) -> (Arc<Node>, Vec<&'static str>) {
        let call = |operation| Call { operation, path: UNFINISHED.to_vec(), nth: 0 };
        storage.faults.begin(fails.map(|operation| (call(operation), Strike::Fail(Errno::PERM))));
        let top = storage.open(&RelPath::root(), Access::Read).expect("the top");
        copy_entry((&top, b"file"), (&top, b"copy"), &TempNames::new([1; 8]).next(), Durability::None).expect("a copy");
        assert_eq!(storage.faults.has_struck(), fails.is_some());
        let Body::Directory(entries) = storage.top.look().0 else { unreachable!("the top is a directory") };
        (Arc::clone(&entries[&b"copy"[..]]), storage.faults.calls().iter().map(|call| call.operation).collect())
    }

    #[test]
    fn what_lends_rights_is_left_out_where_the_copy_belongs_to_somebody_else() {
        for (fails, uid, mode, capability) in [
            (None, 1234, 0o6755, true),
            (Some("set owner"), 0, 0o755, false),
            (Some("look at attributes"), 1234, 0o755, false),
        ] {
            let (_, meta, xattrs) = copied(&tree(b"content"), fails).0.look();
            assert_eq!((meta.uid, meta.mode), (uid, mode), "{fails:?}: {:o}", meta.mode);
            assert_eq!(xattrs.contains_key(CAPABILITY), capability, "{fails:?}");
            assert!(xattrs.contains_key(&b"user.note"[..]), "{fails:?}");
        }
    }

    #[test]
    fn a_copy_whose_close_fails_gets_no_name() {
        let storage = tree(b"content");
        let call = Call { operation: "close", path: UNFINISHED.to_vec(), nth: 0 };
        storage.faults.begin(Some((call, Strike::Fail(Errno::NOSPC))));
        let top = storage.open(&RelPath::root(), Access::Read).expect("the top");
        let made = copy_entry((&top, b"file"), (&top, b"copy"), &TempNames::new([1; 8]).next(), Durability::None);
        assert_eq!(made.map_err(|error| error.errno), Err(Errno::NOSPC));
        let Body::Directory(entries) = storage.top.look().0 else { unreachable!("the top is a directory") };
        assert_eq!(entries.keys().map(Vec::as_slice).collect::<Vec<_>>(), [b"file"]);
    }

    #[test]
    fn a_copy_without_its_acl_grants_the_group_no_more_than_the_acl_did() {
        let storage = tree(b"content");
        let top = storage.open(&RelPath::root(), Access::Read).expect("the top");
        // The mode's bits for the group are the mask: the owning group may only read.
        let entries =
            [(0x01_u16, 6_u16, u32::MAX), (0x02, 6, 7), (0x04, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)];
        let entries =
            entries.map(|(tag, perms, id)| [&tag.to_le_bytes()[..], &perms.to_le_bytes(), &id.to_le_bytes()].concat());
        let acl = [&2_u32.to_le_bytes()[..], &entries.concat()].concat();
        let (file, _) = top.reach(b"file", Kind::File).expect("the file");
        file.set_mode(0o660).and_then(|()| file.set_xattr(ACL_ACCESS, &acl)).expect("its ACL");
        for (fails, mode) in [(None, 0o660), (Some("set xattr"), 0o640)] {
            // The capability is the first, and the ACL the second.
            let call = fails.map(|operation| Call { operation, path: UNFINISHED.to_vec(), nth: 1 });
            storage.faults.begin(call.map(|call| (call, Strike::Fail(Errno::OPNOTSUPP))));
            let made = copy_entry((&top, b"file"), (&top, b"copy"), &TempNames::new([1; 8]).next(), Durability::None);
            made.expect("a copy");
            assert_eq!(Directory::status(&top, b"copy").expect("the copy").meta.mode, mode, "{fails:?}");
        }
    }

    #[test]
    fn a_durable_copy_is_flushed_before_it_gets_its_name() {
        let storage = tree(b"content");
        let top = storage.open(&RelPath::root(), Access::Read).expect("the top");
        storage.faults.begin(None);
        copy_entry((&top, b"file"), (&top, b"copy"), &TempNames::new([1; 8]).next(), Durability::Run).expect("a copy");
        let calls: Vec<_> = storage.faults.calls().iter().map(|call| call.operation).collect();
        let at = |operation| calls.iter().position(|call| *call == operation);
        assert!(
            at("set time") < at("sync") && at("sync").expect("a flush") < at("rename").expect("a name"),
            "{calls:?}"
        );
    }

    #[test]
    fn a_copy_that_ends_in_a_hole_is_flushed_before_its_time_is_set() {
        let mut content = vec![1; 10_000];
        content.resize(1 << 20, 0);
        let (copy, calls) = copied(&tree(&content), None);
        let Body::File(found) = copy.look().0 else { unreachable!("a file is copied") };
        assert!(found == content);
        let at = |operation| calls.iter().position(|call| *call == operation);
        assert!(at("set length").expect("a hole at the end") < at("sync").expect("a flush"), "{calls:?}");
        assert!(at("sync") < at("set time"), "{calls:?}");
        // Without a hole there is nothing that runs ahead of the data.
        assert!(!copied(&tree(b"content"), None).1.contains(&"sync"));
    }
}
