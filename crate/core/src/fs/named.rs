//! Files that the operator names, opened name by name: a symlink counts only when root or the operator made it.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::storage::{CallError, Result};

/// How many symlinks lead to one file.
const SYMLINKS_MAX: usize = 40;

/// Whether a symlink of this owner may be followed.
pub(crate) fn trusts(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Opens a file to read it.
pub(crate) fn open_named(path: &[u8]) -> Result<File> {
    // A descriptor that a shell hands over has no names of its own that could be checked.
    if path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/self/fd/") || path == b"/dev/stdin" {
        return open(CWD, path, OFlags::empty()).map(File::from);
    }
    let mut names: VecDeque<Vec<u8>> = split(path);
    let mut at: Option<OwnedFd> = path.starts_with(b"/").then(|| open(CWD, b"/", OFlags::PATH)).transpose()?;
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        let here = at.as_ref().map_or(CWD, AsFd::as_fd);
        let next = open(here, &name, OFlags::PATH | OFlags::NOFOLLOW)?;
        let stat = rustix::fs::fstat(&next).map_err(CallError::of("fstat"))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > SYMLINKS_MAX || !trusts(stat.st_uid) {
                    return Err(Errno::LOOP.into());
                }
                let target =
                    rustix::fs::readlinkat(&next, c"", Vec::new()).map_err(CallError::of("readlinkat"))?.into_bytes();
                if target.starts_with(b"/") {
                    at = Some(open(CWD, b"/", OFlags::PATH)?);
                }
                for name in split(&target).into_iter().rev() {
                    names.push_front(name);
                }
            }
            _ if names.is_empty() => return open(here, &name, OFlags::NOFOLLOW).map(File::from),
            _ => at = Some(next),
        }
    }
    Err(Errno::ISDIR.into())
}

fn split(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec).collect()
}

fn open(at: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(at, path, flags, Mode::empty()).map_err(CallError::of("openat"))
}

#[cfg(test)]
mod tests {
    use super::open_named;
    use std::io::Read;
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
        if rustix::process::geteuid().is_root() {
            lchown(path("link"), Some(65_534), None).unwrap();
            assert!(open("link/file").is_err() && open("far").is_err());
        }
    }
}
