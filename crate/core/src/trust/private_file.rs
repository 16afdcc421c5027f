//! Files that only their owner may read: creation, atomic replacement, a lock over changes, and their lines.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, ErrorKind, Result};

/// The largest file of keys that is read, 16 MiB: some hundred thousand lines. A mistaken path (a device, a huge
/// log) must not fill the memory.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Makes `path`'s missing parent directories, 0700 each; those that exist stay as they are.
pub(super) fn create_parents(path: &Path) -> Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(|error| Error::io("cannot create the directory", parent.as_os_str().as_bytes(), error))
}

/// The whole text of a regular file of at most 16 MiB; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<(String, fs::Metadata)>> {
    let fail = |error| Error::io("cannot read", path.as_os_str().as_bytes(), error);
    // NONBLOCK: a FIFO in the file's place must be refused, not waited for.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(|_| Error::internal("O_NONBLOCK"))?;
    let mut file = match OpenOptions::new().read(true).custom_flags(nonblock).open(path) {
        Ok(file) => file,
        // A home folder may be a device (`/dev/null` is usual): there is no file below it either.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(fail(error)),
    };
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(fail(io::Error::other("it is not a regular file")));
    }
    let mut text = String::new();
    let read = io::Read::read_to_string(&mut io::Read::take(&mut file, MAX_FILE_BYTES + 1), &mut text).map_err(fail)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_FILE_BYTES) {
        return Err(fail(io::Error::other("it is larger than 16 MiB")));
    }
    Ok(Some((text, metadata)))
}

/// Creates a new file, 0600 from its creation, with this content on disk. One that root makes belongs to the owner of
/// its directory: a service without root's rights has to read it.
///
/// The content is there before the name is: two processes that create the same file at once never see half of the
/// other's. `Ok(false)` when the name was taken already; that file is untouched.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<bool> {
    create_parents(path)?;
    let temporary = Temporary::write(path, content, None)?;
    // link(2) fails when the name exists, which rename(2) would not.
    match fs::hard_link(&temporary.0, path) {
        Ok(()) => {
            flush_parent(path);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // A file system without hard links: creation alone is exclusive there.
        Err(_) => create_in_place(path, content),
    }
}

fn create_in_place(path: &Path, content: &[u8]) -> Result<bool> {
    let fail = |error| Error::io("cannot create", path.as_os_str().as_bytes(), error);
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(fail(error)),
    };
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fail)?;
    Ok(true)
}

/// Why the content of a file must not be believed: somebody without authority may have written it. The directory's
/// owner may write it, who could also put another file there.
pub(super) fn untrusted(path: &Path, metadata: &fs::Metadata) -> Option<String> {
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Some(format!("other users can write the file (mode {mode:04o}); run chmod go-w on it"));
    }
    let uid = metadata.uid();
    let known = uid == 0
        || uid == rustix::process::geteuid().as_raw()
        || directory(&resolved(path)).is_some_and(|directory| directory.uid() == uid);
    (!known)
        .then(|| format!("the file belongs to user {uid}, and not to the server's user, root or its directory's owner"))
}

/// The directory of a path.
fn directory(path: &Path) -> Option<fs::Metadata> {
    let parent = path.parent()?;
    fs::metadata(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).ok()
}

/// The real path of a file, so that a symlink in its place stays one.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own configuration file, outside every root and never named by a peer"
)]
pub(super) fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Replaces a file's content in one step; `like` gives mode and owner to keep, those of a new file otherwise.
/// A symlink stays one: the file that it leads to is replaced.
pub(super) fn replace(path: &Path, content: &[u8], like: Option<&fs::Metadata>) -> Result<()> {
    create_parents(path)?;
    let target = resolved(path);
    let temporary = Temporary::write(&target, content, like)?;
    fs::rename(&temporary.0, &target)
        .map_err(|error| Error::io("cannot replace", path.as_os_str().as_bytes(), error))?;
    flush_parent(&target);
    Ok(())
}

/// Holds an exclusive lock on the directory of `path` until dropped, so that changes made by several processes at
/// once come one after the other. Where directories cannot be locked (some network file systems), there is none:
/// the replacement is atomic all the same, a simultaneous change may be lost.
pub(super) fn lock_directory(path: &Path) -> Result<Option<File>> {
    create_parents(path)?;
    let target = resolved(path);
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = File::open(parent)
        .map_err(|error| Error::io("cannot open the directory", parent.as_os_str().as_bytes(), error))?;
    match rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive) {
        Ok(()) => Ok(Some(directory)),
        Err(_) => Ok(None),
    }
}

/// Gives `edit` a file's text, empty when the file is missing, and replaces the text with the result, if there is one.
/// Changes come one after the other.
pub(super) fn change<T>(
    path: &Path,
    edit: impl FnOnce(&str, Option<&fs::Metadata>) -> Result<(Option<String>, T)>,
) -> Result<T> {
    let _lock = lock_directory(path)?;
    let (text, metadata) = read(path)?.map_or((String::new(), None), |(text, metadata)| (text, Some(metadata)));
    let (changed, given) = edit(&text, metadata.as_ref())?;
    if let Some(changed) = changed {
        replace(path, changed.as_bytes(), metadata.as_ref())?;
    }
    Ok(given)
}

/// The error of a line of a file; lines are counted from 1.
pub(super) fn malformed(path: &Path, line: u64, why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("line {line}: {why}")).at(path.as_os_str().as_bytes()).with("line", line)
}

/// The lines of a text without those for which `goes` is true, given their numbers and texts.
pub(super) fn without_lines(text: &str, goes: impl Fn(u64, &str) -> bool) -> String {
    let lines = (1u64..).zip(text.split_inclusive('\n'));
    lines.filter(|(number, line)| !goes(*number, line)).map(|(_, line)| line).collect()
}

/// Adds a line, also behind one that has no end.
pub(super) fn push_line(text: &mut String, line: &str) {
    end_last_line(text);
    text.extend([line, "\n"]);
}

/// Ends the last line if an editor has not.
pub(super) fn end_last_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// A name of its own beside the target, removed when dropped (after a rename there is nothing left to remove).
struct Temporary(PathBuf);

impl Temporary {
    fn write(target: &Path, content: &[u8], like: Option<&fs::Metadata>) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let fail = |error| Error::io("cannot write", target.as_os_str().as_bytes(), error);
        let mut name = target.file_name().ok_or_else(|| fail(io::Error::other("it names no file")))?.to_os_string();
        name.push(format!(".{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let path = target.with_file_name(name);
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match open() {
            // A dead process with our id left this file: no live process uses its name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path).map_err(fail)?;
                open()
            }
            other => other,
        };
        let mut file = file.map_err(fail)?;
        let temporary = Self(path);
        file.write_all(content).map_err(fail)?;
        if let Some(like) = like {
            // Owner first, as changing it clears mode bits. Only root can; for anybody else the file is their own.
            let _ = std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()));
            file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o666)).map_err(fail)?;
        } else if rustix::process::geteuid().is_root()
            && let Some(directory) = directory(target)
        {
            let _ = std::os::unix::fs::fchown(&file, Some(directory.uid()), Some(directory.gid()));
        }
        file.sync_all().map_err(fail)?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Best effort: the content is on disk already, a power cut may at worst bring the old name back.
pub(super) fn flush_parent(path: &Path) {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let _ = File::open(parent).and_then(|directory| directory.sync_all());
    }
}
