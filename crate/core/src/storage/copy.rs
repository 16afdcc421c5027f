//! Copies an entry from one directory of this end to another.

use sparsync_proto::Kind;

use super::{Adjust, Directory, Errno, File, Result, Status, WriteDirectory, WriteFile};

/// Bytes that are read at once.
const COPY_BYTES: usize = 256 << 10;

/// Copies the content of a file, its holes as holes. A file that changes meanwhile is no copy of anything.
pub(crate) fn copy_content(from: &impl File, to: &impl WriteFile) -> Result<u64> {
    let before = from.status()?;
    let mut buffer = Vec::with_capacity(COPY_BYTES.min(usize::try_from(before.size).unwrap_or(COPY_BYTES)).max(1));
    let (mut at, mut written) = (0, 0);
    while at < before.size {
        let (data, end) = if before.stamp.may_have_holes { from.next_data(at, before.size) } else { (at, before.size) };
        at = data;
        while at < end {
            buffer.clear();
            let count = from.read(&mut buffer, at)? as u64;
            if count == 0 {
                return Err(Errno::STALE.into());
            }
            to.write(&buffer, at)?;
            at += count;
            written = at;
        }
    }
    if written < before.size {
        to.set_length(before.size)?;
    }
    let after = from.status()?;
    let state = |status: &Status| (status.size, status.meta.mtime, status.stamp.ctime);
    if state(&before) == state(&after) { Ok(before.size) } else { Err(Errno::STALE.into()) }
}

/// Copies an entry that is no directory, with what it has, to `name` of another directory, where it is `temp_name` until it
/// is complete. Attributes that cannot be set there are left.
pub(crate) fn copy_entry<D: WriteDirectory>(
    (from, from_name): (&D, &[u8]),
    (to, name): (&D, &[u8]),
    temp_name: &[u8],
) -> Result<()> {
    let status = from.status(from_name)?;
    let made = match status.kind {
        Kind::File => to.create_file(temp_name, 0o600).and_then(|file| {
            copy_content(&from.open_file(from_name)?, &file)?;
            set_like(&file.handle(), &status, (from, from_name));
            Ok(())
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

/// Sets what an entry has on another, as far as that can be done.
fn set_like(entry: &impl Adjust, status: &Status, (from, name): (&impl Directory, &[u8])) {
    let _ = entry.set_owner(Some(status.meta.uid), Some(status.meta.gid));
    if status.kind != Kind::Symlink {
        let _ = entry.set_mode(status.meta.mode);
    }
    let _ = copy_xattrs(entry, (from, name));
    let _ = entry.set_times(None, Some(status.meta.mtime));
}

fn copy_xattrs(entry: &impl Adjust, (from, name): (&impl Directory, &[u8])) -> Result<()> {
    let mut names = vec![0; super::XATTR_NAMES_BYTES_MAX];
    let length = from.list_xattrs(name, &mut names)?;
    let mut value = Vec::new();
    for attribute in names[..length].split(|&byte| byte == 0).filter(|attribute| !attribute.is_empty()) {
        value.resize(sparsync_proto::limits::XATTR_VALUE_BYTES_MAX, 0);
        if let Ok(length) = from.get_xattr(name, attribute, &mut value) {
            let _ = entry.set_xattr(attribute, &value[..length]);
        }
    }
    Ok(())
}
