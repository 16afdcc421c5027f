//! The state directory: who is running. Nothing in it decides what a run does to a tree; it may be deleted.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};

use crate::error::{Error, ErrorKind, Result};

use super::temp::SessionId;

/// The state directory of this user.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    pub(super) path: PathBuf,
}

impl StateDir {
    /// `$SPARSYNC_STATE_DIR`, else `$XDG_STATE_HOME/sparsync`, else `~/.local/state/sparsync`, made when missing.
    pub(crate) fn of_user() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = set("SPARSYNC_STATE_DIR")
            .or_else(|| set("XDG_STATE_HOME").map(|dir| dir.join("sparsync")))
            .or_else(|| set("HOME").map(|dir| dir.join(".local/state/sparsync")))
            .ok_or_else(|| {
                Error::new(ErrorKind::Config, "no place for state: set SPARSYNC_STATE_DIR, XDG_STATE_HOME or HOME")
            })?;
        Ok(Self { path })
    }

    /// Makes and opens `folder/name`, which stays when it is closed.
    pub(super) fn open_file(&self, folder: &str, name: &str) -> Result<OwnedFd> {
        use std::os::unix::fs::DirBuilderExt;
        let folder = self.path.join(folder);
        let failed = |error: std::io::Error, path: &Path| {
            use std::os::unix::ffi::OsStrExt;
            Error::io("cannot use the state directory", path.as_os_str().as_bytes(), error)
        };
        let path = folder.join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::openat(CWD, &path, flags, mode) {
            Ok(fd) => return Ok(fd),
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(failed(error.into(), &path)),
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| failed(error, &folder))?;
        rustix::fs::openat(CWD, &path, flags, mode).map_err(|error| failed(error.into(), &path))
    }

    /// Whether the session of that number is still running on this machine, as far as this user's state tells.
    pub(crate) fn is_alive(&self, session: SessionId) -> bool {
        let path = self.path.join("sessions").join(hex(&session));
        let Ok(fd) = rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
            return false;
        };
        if rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared).is_err() {
            return true;
        }
        // Nobody holds it: what a killed process left behind.
        let _ = std::fs::remove_file(path);
        false
    }
}

/// The mount points inside a source, as the last run found them.
#[derive(Debug)]
pub(crate) struct KnownMounts {
    file: PathBuf,
    /// Their paths below the source.
    pub(crate) paths: BTreeSet<Vec<u8>>,
}

impl StateDir {
    /// What is known of the source at the absolute path `source`. An unreadable file is as good as none: it only
    /// ever adds a guard.
    pub(crate) fn known_mounts(&self, source: &[u8]) -> KnownMounts {
        let file = self.path.join("mounts").join(hex(&blake3::hash(source).as_bytes()[..16]));
        let paths = std::fs::read(&file).unwrap_or_default();
        let paths = paths.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        // Each path is written with a slash in front, so that the source itself is no empty one.
        let paths = paths.map(|path| path.strip_prefix(b"/").unwrap_or(path).to_vec()).collect();
        KnownMounts { file, paths }
    }
}

impl KnownMounts {
    /// Remembers what this run has found, when it is something else.
    pub(crate) fn save(&self, paths: &BTreeSet<Vec<u8>>) {
        if *paths == self.paths {
            return;
        }
        let mut text = Vec::new();
        for path in paths {
            text.push(b'/');
            text.extend_from_slice(path);
            text.push(0);
        }
        // Forgetting costs a guard in the next run, not this run's success.
        if let Some(folder) = self.file.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = std::fs::write(&self.file, text);
    }
}

/// The lower-case hexadecimal digits of `bytes`.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A session's proof of life: a file that is locked for as long as the session runs, however it ends.
#[derive(Debug)]
pub(crate) struct SessionFile {
    /// The session.
    pub(crate) id: SessionId,
    path: PathBuf,
    _locked: OwnedFd,
}

impl SessionFile {
    /// Announces a new session.
    pub(crate) fn create(state: &StateDir) -> Result<Self> {
        let mut id = SessionId::default();
        rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Error::io("no random numbers", b"", error.into()))?;
        let locked = state.open_file("sessions", &hex(&id))?;
        rustix::fs::flock(&locked, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| Error::io("cannot lock the session's file", hex(&id).as_bytes(), error.into()))?;
        Ok(Self { id, path: state.path.join("sessions").join(hex(&id)), _locked: locked })
    }
}

impl Drop for SessionFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
