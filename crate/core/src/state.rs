//! The state directory: what a run remembers for the next one. It only ever adds a guard or saves time, so a run needs
//! none.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sparsync_proto::hex;

/// The state directory of this user.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// `$SPARSYNC_STATE_DIR`, else `$XDG_STATE_HOME/sparsync`, else `~/.local/state/sparsync`, made when there is
    /// something to remember. Nothing when the environment names none of them.
    pub(crate) fn of_user() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = set("SPARSYNC_STATE_DIR")
            .or_else(|| set("XDG_STATE_HOME").map(|dir| dir.join("sparsync")))
            .or_else(|| set("HOME").map(|dir| dir.join(".local/state/sparsync")))?;
        Some(Self { path })
    }

    #[cfg(test)]
    pub(crate) fn at(path: &std::path::Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// The file of digests of content.
    pub(crate) fn sums(&self) -> PathBuf {
        self.path.join("checksums")
    }

    /// The file that holds the record of one thing, for one kind of record.
    pub(crate) fn file(&self, kind: &str, of: &[u8]) -> PathBuf {
        self.path.join(kind).join(hex(&blake3::hash(of).as_bytes()[..16]))
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
    /// The known mount points of the source at the absolute path `source`. An unreadable file counts as missing, since
    /// the record only adds a guard.
    pub(crate) fn known_mounts(&self, source: &[u8]) -> KnownMounts {
        let file = self.file("mounts", source);
        let paths = std::fs::read(&file).unwrap_or_default();
        let paths = paths.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        // Each path is written with a slash in front, so that the source itself is not an empty line.
        let paths = paths.map(|path| path.strip_prefix(b"/").unwrap_or(path).to_vec()).collect();
        KnownMounts { file, paths }
    }
}

impl KnownMounts {
    /// Writes the mount points that this run has found, if they have changed.
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
        // A record that cannot be written costs the next run a guard, and must not fail this run.
        let _ = write(&self.file, &text);
    }
}

/// Writes a record beside the one in its place, and then replaces that.
pub(crate) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = file.with_extension("new");
    write(&fresh, content)?;
    std::fs::rename(fresh, file)
}

/// Writes a record. The directory may belong to another user, if the environment was kept from there, so no symlink in
/// it is followed.
pub(crate) fn write(file: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut file = File::options().write(true).create(true).truncate(true).custom_flags(flags).open(file)?;
    file.write_all(content)
}
