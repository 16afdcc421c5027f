//! Copies an entry from one directory of this end to another.

use sparsync_proto::Kind;

use super::{Adjust, CallError, Directory, Errno, File, Lent, Result, Status, WriteDirectory, WriteFile};

/// Bytes that are read at once.
const COPY_BYTES: usize = 256 << 10;

/// Bytes that are copied at once where nobody sees them, so that a run that ends is not kept waiting.
const RANGE_BYTES: u64 = 32 << 20;

/// Copies content as well as two storages can between them: whole files without copying, ranges within the system, and through memory
/// where neither is possible. What has failed once is not tried again.
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
    /// What the call said.
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

    /// Copies up to `bytes` from `offset` on of one file to `at` of another. Gives how many; nothing at the end of the first.
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
                // Which of the two has failed is seen by doing it through memory.
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
    /// It shares its blocks, or there are none.
    Shared,
    /// It has some of its own.
    Copied,
}

/// Copies the content of a file, its holes as holes, and gives its length. A file that changes meanwhile is no copy of anything.
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
            to.set_length(before.size)?;
        }
    }
    let after = from.status()?;
    let state = |status: &Status| (status.size, status.meta.mtime, status.stamp.ctime);
    let content = if is_shared || before.size == 0 { Content::Shared } else { Content::Copied };
    if state(&before) == state(&after) { Ok((before.size, content)) } else { Err(Errno::STALE.into()) }
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
pub(crate) fn set_like(entry: &impl Adjust, status: &Status, (from, name): (&impl Directory, &[u8])) {
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
