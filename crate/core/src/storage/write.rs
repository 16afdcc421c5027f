//! Rules of writing that hold in every storage.

use std::mem::MaybeUninit;

use sparsync_proto::{Kind, RelPath};

use super::{Access, Adjust as _, CallError, Directory, Errno, Result, Storage, WriteDirectory, WriteFile};

/// Cuts a file off behind `bytes`. A shorter file stays as it is: a file system may write a new length to disk long
/// before the data, and a power cut in between leaves zeros that no comparison of size and time tells apart.
pub(crate) fn cut(file: &impl WriteFile, bytes: u64) -> Result<()> {
    if file.status()?.size > bytes { file.set_length(bytes) } else { Ok(()) }
}

/// Ends a file in a hole that reaches to `bytes`. No write makes that length, so everything is flushed before anything
/// else says that the file is complete.
pub(crate) fn end_in_hole(file: &impl WriteFile, bytes: u64) -> Result<()> {
    file.set_length(bytes)?;
    file.sync()
}

/// Asks whether a file can be as long as `bytes`, which its file system may refuse. The file stays as it is.
pub(crate) fn may_reach(file: &impl WriteFile, bytes: u64) -> Result<()> {
    let size = file.status()?.size;
    if size >= bytes {
        return Ok(());
    }
    file.set_length(bytes)?;
    file.set_length(size)
}

/// Takes a file's set-id bits away before it is written over: they were granted to the old content.
pub(crate) fn drop_set_ids(file: &impl WriteFile) -> Result<()> {
    let handle = file.handle();
    let bits = handle.found()?.mode;
    if bits & 0o6000 == 0 { Ok(()) } else { handle.set_mode(bits & 0o1777) }
}

/// Makes a directory, in place of something else when that stands there and `replaces` is set. The owner may always
/// enter it until its own mode is set at the end.
pub(crate) fn make_directory(
    parent: &impl WriteDirectory,
    name: &[u8],
    bits: u16,
    replaces: bool,
    temp_name: impl FnOnce() -> Vec<u8>,
) -> Result<()> {
    let bits = bits & 0o777 | 0o700;
    match parent.make_directory(name, bits) {
        Err(CallError { errno: Errno::EXIST, .. }) => {}
        result => return result,
    }
    if parent.status(name)?.kind == Kind::Directory {
        return Ok(());
    }
    if !replaces {
        return Err(Errno::EXIST.into());
    }
    let temp_name = temp_name();
    parent.make_directory(&temp_name, bits)?;
    if let Err(error) = parent.exchange(&temp_name, name) {
        // Should that fail too, a later run sweeps it.
        let _ = parent.remove_directory(&temp_name);
        return Err(error);
    }
    parent.remove(&temp_name)
}

/// Opens a directory whose attributes are to change. A directory that may not be read is only reached.
pub(crate) fn open_to_adjust<S: Storage>(root: &S, path: &RelPath) -> Result<S::Directory> {
    match root.open(path, Access::Read) {
        Err(CallError { errno: Errno::ACCESS, .. }) => root.open(path, Access::Reach),
        result => result,
    }
}

/// Whether nothing is in a directory.
pub(crate) fn is_empty(directory: &impl Directory) -> Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); 1 << 10];
    match directory.names(&mut buffer, |_, _| Err(Errno::NOTEMPTY.into())) {
        Ok(()) => Ok(true),
        Err(CallError { errno: Errno::NOTEMPTY, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
