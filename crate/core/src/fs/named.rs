//! Files and directories that the operator names, opened name by name: a symlink counts only when root or the operator
//! made it.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;

use crate::storage::{CallError, Result};

/// How many symlinks lead to one file.
const SYMLINKS_MAX: usize = 40;

/// Whether a symlink of this owner may be followed.
pub(crate) fn trusts(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Whether a path is a descriptor that a shell hands over, which has no names of its own that could be checked.
fn is_descriptor(path: &[u8]) -> bool {
    path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/self/fd/") || path == b"/dev/stdin"
}

/// Opens a file to read it.
pub(crate) fn open_named(path: &[u8]) -> Result<File> {
    open_to_read(path, OFlags::empty())
}

/// The same where a pipe into which nobody writes yet is not waited for: later reads do not wait either.
pub(crate) fn open_named_now(path: &[u8]) -> Result<File> {
    open_to_read(path, OFlags::NONBLOCK)
}

fn open_to_read(path: &[u8], flags: OFlags) -> Result<File> {
    if is_descriptor(path) {
        return open(CWD, path, flags, Mode::empty()).map(File::from);
    }
    let last = found(path, false)?;
    if last.name == b"." {
        return Err(Errno::ISDIR.into());
    }
    last.open(flags, Mode::empty()).map(File::from)
}

/// Opens a file to read it.
///
/// # Errors
/// The call that failed, `ELOOP` for a symlink of somebody else.
pub fn open_to_be_read(path: &[u8]) -> std::io::Result<File> {
    Ok(open_named(path)?)
}

/// Opens a directory, for calls that take names in it. With a mode it is made if it is missing, with those above it.
///
/// # Errors
/// The call that failed, `ELOOP` for a symlink of somebody else.
pub fn open_directory(path: &[u8], makes: Option<u32>) -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let missing = match found(path, false).and_then(|last| last.open(flags, Mode::empty())) {
        Err(CallError { errno: Errno::NOENT, .. }) => Errno::NOENT,
        opened => return Ok(opened?),
    };
    let Some(mode) = makes else { return Err(missing.into()) };
    let given = Path::new(OsStr::from_bytes(path));
    let (Some(above), Some(name)) = (given.parent(), given.file_name()) else { return Err(missing.into()) };
    let above = match above.as_os_str().as_bytes() {
        b"" => open_directory(b".", None)?,
        above => open_directory(above, makes)?,
    };
    match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(open(above.as_fd(), name.as_bytes(), flags | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens a log to append to it, and with `reads` to read it; makes it with this mode if it is missing.
///
/// # Errors
/// The call that failed, `ELOOP` for a symlink of somebody else.
pub fn open_log(path: &[u8], mode: u32, reads: bool) -> std::io::Result<File> {
    let access = if reads { OFlags::RDWR } else { OFlags::WRONLY };
    // A pipe that nobody reads is not waited for.
    let flags = access | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
    let mode = Mode::from_raw_mode(mode);
    let opened =
        if is_descriptor(path) { open(CWD, path, flags, mode)? } else { found(path, true)?.open(flags, mode)? };
    let now = rustix::fs::fcntl_getfl(&opened)?;
    rustix::fs::fcntl_setfl(&opened, now - OFlags::NONBLOCK)?;
    Ok(File::from(opened))
}

/// Opens a directory with these flags.
pub(super) fn open_named_directory(path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    match rustix::fs::openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // There is a symlink, or a sandbox forbids the call.
        Err(Errno::LOOP | Errno::NOSYS | Errno::PERM) => {}
        opened => return opened.map_err(CallError::of("openat2")),
    }
    match found(path, false).and_then(|last| last.open(flags, Mode::empty())) {
        // A symlink to something else is no way, but an entry that can be replaced.
        Err(CallError { errno: Errno::LOOP, .. }) if leads_to_no_directory(path) => Err(Errno::NOTDIR.into()),
        opened => opened,
    }
}

fn leads_to_no_directory(path: &[u8]) -> bool {
    match rustix::fs::stat(path) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode) != FileType::Directory,
        Err(errno) => errno == Errno::NOENT,
    }
}

/// The last name of a path, of which no directory but `at` is left on the way.
struct Last {
    at: Option<OwnedFd>,
    name: Vec<u8>,
    /// How it is opened.
    flags: OFlags,
}

impl Last {
    fn open(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        open(self.at.as_ref().map_or(CWD, AsFd::as_fd), &self.name, flags | self.flags, mode)
    }
}

/// Goes to the last name of a path; `.` for one without names. With `may_miss` nothing need have that name.
fn found(path: &[u8], may_miss: bool) -> Result<Last> {
    let mut names: VecDeque<Vec<u8>> = split(path);
    let mut at: Option<OwnedFd> = path.starts_with(b"/").then(|| pass(CWD, b"/", OFlags::NOFOLLOW)).transpose()?;
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        let here = at.as_ref().map_or(CWD, AsFd::as_fd);
        let is_last = names.is_empty();
        let next = match pass(here, &name, OFlags::NOFOLLOW) {
            Err(CallError { errno: Errno::NOENT, .. }) if is_last && may_miss => {
                return Ok(Last { at, name, flags: OFlags::NOFOLLOW });
            }
            next => next?,
        };
        let stat = rustix::fs::fstat(&next).map_err(CallError::of("fstat"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            if is_last {
                return Ok(Last { at, name, flags: OFlags::NOFOLLOW });
            }
            at = Some(next);
            continue;
        }
        links += 1;
        if links > SYMLINKS_MAX || !trusts(stat.st_uid) {
            return Err(Errno::LOOP.into());
        }
        // What a link of `/proc` leads to has no text that would lead there.
        if rustix::fs::fstatfs(&next).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC) {
            if is_last {
                return Ok(Last { at, name, flags: OFlags::empty() });
            }
            at = Some(pass(here, &name, OFlags::empty())?);
            continue;
        }
        let target = rustix::fs::readlinkat(&next, c"", Vec::new()).map_err(CallError::of("readlinkat"))?.into_bytes();
        if target.starts_with(b"/") {
            at = Some(pass(CWD, b"/", OFlags::NOFOLLOW)?);
        }
        for name in split(&target).into_iter().rev() {
            names.push_front(name);
        }
    }
    Ok(Last { at, name: b".".to_vec(), flags: OFlags::empty() })
}

fn split(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec).collect()
}

/// Opens a name to go on from there.
fn pass(at: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
    open(at, name, flags | OFlags::PATH, Mode::empty())
}

fn open(at: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(at, path, flags, mode).map_err(CallError::of("openat"))
}

#[cfg(test)]
mod tests {
    use super::{open_directory, open_log, open_named, open_named_directory};
    use rustix::fs::OFlags;
    use rustix::io::Errno;
    use std::io::{Read, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn a_symlink_of_somebody_else_leads_nowhere_cve_2026_53802() {
        let top = tempfile::tempdir().unwrap();
        let path = |name: &str| top.path().join(name);
        std::fs::create_dir(path("d")).unwrap();
        std::fs::write(path("d/file"), "x").unwrap();
        symlink("d", path("link")).unwrap();
        symlink(path("link/file"), path("far")).unwrap();
        let open = |name: &str| open_named(path(name).as_os_str().as_bytes());
        for name in ["d/file", "link/file", "far", "./d/../d//file"] {
            let mut content = String::new();
            open(name).unwrap().read_to_string(&mut content).unwrap();
            assert_eq!(content, "x", "{name}");
        }
        assert!(open("none").is_err());
        let directory = |name: &str| open_named_directory(path(name).as_os_str().as_bytes(), OFlags::DIRECTORY);
        let log = |name: &str| open_log(path(name).as_os_str().as_bytes(), 0o600, false);
        for name in ["d", "link", "link/../d", "."] {
            assert!(directory(name).is_ok(), "{name}");
        }
        assert_eq!(directory("far").unwrap_err().errno, Errno::NOTDIR);
        writeln!(log("link/new").unwrap(), "appended").unwrap();
        symlink("d/newer", path("to-newer")).unwrap();
        writeln!(log("to-newer").unwrap(), "appended").unwrap();
        assert!(path("d/new").exists() && path("d/newer").exists());
        let make = |name: &str| open_directory(path(name).as_os_str().as_bytes(), Some(0o700));
        for name in ["d", "link/made/deep", "made"] {
            assert!(make(name).is_ok(), "{name}");
        }
        assert!(path("d/made/deep").is_dir() && path("made").is_dir());
        assert!(open_directory(path("none").as_os_str().as_bytes(), None).is_err() && !path("none").exists());
        // What has no names of its own is had as the system has it.
        let held = std::fs::File::open(path("d")).unwrap();
        assert!(
            open_named_directory(format!("/proc/self/fd/{}/.", held.as_raw_fd()).as_bytes(), OFlags::DIRECTORY).is_ok()
        );
        if rustix::process::geteuid().is_root() {
            for name in ["link", "to-newer"] {
                lchown(path(name), Some(65_534), None).unwrap();
            }
            assert!(open("link/file").is_err() && open("far").is_err());
            for name in ["link", "link/none", "link/.."] {
                assert!(matches!(directory(name).unwrap_err().errno, Errno::LOOP | Errno::NOTDIR), "{name}");
            }
            assert_eq!(directory("link").unwrap_err().errno, Errno::LOOP);
            assert_eq!(directory("to-newer").unwrap_err().errno, Errno::NOTDIR, "it can be replaced");
            assert!(make("link/more").is_err_and(|error| error.to_string().contains("symbolic links")));
            assert!(!path("d/more").exists());
            assert!(log("to-newer").is_err() && log("link/other").is_err());
        }
    }
}
