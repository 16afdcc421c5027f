//! Serves everything that a process may use: paths are those of the machine, as a user of it means them.
//!
//! Named roots are confined, and no symlink is followed on the way below one. Here nothing is confined but by the
//! rights of the process, so a path leads where it would lead in a shell. It is found once, and then has no symlink in
//! it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use sparsync_proto::session::Opened;
use sparsync_proto::{Direction, RelPath, Request};

use super::roots::{FILES_ROOT, HOME_ROOT, TILDE_ROOT};
use crate::accounts::own_home;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::Root;
use crate::prepare::open_own;
use crate::storage;

/// Resolves paths where everything is served by its own paths.
pub(super) struct Own {
    /// Where relative paths begin.
    home: PathBuf,
    /// Where paths that begin with a tilde do, if that can be told.
    tilde: Option<PathBuf>,
}

/// Which entry a path with a symlink at its end means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The entry itself.
    Itself,
    /// The directory that it leads to, if it leads to one.
    Directory,
    /// The same, to which something is written: symlinks of other users lead nowhere.
    Written,
}

impl Own {
    /// Relative paths begin where the process has begun, and `~` is what it is in a shell.
    pub(super) fn new() -> Result<Self> {
        let home = std::env::current_dir()
            .map_err(|error| Error::io("cannot tell the directory that this process has begun in", b".", error))?;
        let said = std::env::var_os("HOME").map(PathBuf::from);
        let tilde = said.or_else(own_home).filter(|home| home.is_absolute());
        Ok(Self { home, tilde })
    }

    /// Replaces the paths of a request by real ones.
    pub(super) fn find(&self, opened: &mut Opened) -> Result<()> {
        match opened {
            Opened::Session(request) => self.find_request(request),
            // The names of the roots, as with any server.
            Opened::List { root, .. } if root.is_empty() => Ok(()),
            // There is nothing to find; that is refused elsewhere.
            Opened::Join(_) => Ok(()),
            Opened::List { root, path } => self.replace(root, path, Last::Directory),
            Opened::Stat { root, path } => self.replace(root, path, Last::Itself),
        }
    }

    fn find_request(&self, request: &mut Request) -> Result<()> {
        let itself = if request.into { Last::Itself } else { Last::Directory };
        for source in &mut request.sources {
            if let Some((above, below)) = source.relative() {
                let above = self.found(&request.root, &above, Last::Directory)?;
                source.relative_to = u16::try_from(above.components().count()).ok();
                source.path = above.join_path(&below);
            } else {
                let last = if source.contents { Last::Directory } else { itself };
                source.path = self.found(&request.root, &source.path, last)?;
            }
        }
        let last = if request.direction == Direction::Push { Last::Written } else { itself };
        request.path = self.found(&request.root, &request.path, last)?;
        request.root = FILES_ROOT.into();
        Ok(())
    }

    fn replace(&self, root: &mut Vec<u8>, path: &mut RelPath, last: Last) -> Result<()> {
        *path = self.found(root, path, last)?;
        *root = FILES_ROOT.into();
        Ok(())
    }

    fn found(&self, root: &[u8], path: &RelPath, last: Last) -> Result<RelPath> {
        let base = match root {
            root if root == FILES_ROOT.as_bytes() => &b"/"[..],
            root if root == HOME_ROOT.as_bytes() => self.home.as_os_str().as_bytes(),
            root if root == TILDE_ROOT.as_bytes() => {
                let why =
                    "~ means nothing there: HOME is not set, and the user has no home folder; give the absolute path";
                let tilde = self.tilde.as_ref().ok_or_else(|| Error::new(ErrorKind::Config, why))?;
                tilde.as_os_str().as_bytes()
            }
            _ => return Err(Error::new(ErrorKind::Scope, "everything is served, and has no roots of other names")),
        };
        match (last, path.split_last()) {
            (Last::Itself, Some((parent, name))) => {
                let full = settled(base, parent.as_bytes(), Root::reach)?.join_bytes(name.as_bytes());
                RelPath::new(&full).map_err(|_| not_a_path(&full))
            }
            (Last::Written, _) => settled(base, path.as_bytes(), Root::reach_trusted),
            _ => settled(base, path.as_bytes(), Root::reach),
        }
    }
}

/// The directory to which the symlink at `path` leads, or would lead if it existed.
pub(super) fn led_to(path: &RelPath, target: &[u8]) -> Result<RelPath> {
    let above = path.split_last().map(|(parent, _)| parent).unwrap_or_default();
    match target {
        [b'/', ..] => settled(b"", target, Root::reach),
        _ => settled(&[b"/", above.as_bytes()].concat(), target, Root::reach),
    }
}

fn not_a_path(path: &[u8]) -> Error {
    Error::new(ErrorKind::Config, "a path that cannot be used").at(path)
}

/// The path below `/` of `path`, which begins at `base`, without symlinks as far as it exists.
fn settled(base: &[u8], path: &[u8], reach: fn(&[u8]) -> storage::Result<Root>) -> Result<RelPath> {
    let (root, missing) = open_own(&[base, b"/", path].concat(), reach)?;
    let found = root.absolute_path().map_err(|error| Error::io("cannot tell where it is", path, error.into()))?;
    let above = RelPath::new(found.strip_prefix(b"/").unwrap_or(&found)).map_err(|_| not_a_path(&found))?;
    Ok(above.join_path(&missing))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{Last, Own, led_to};
    use sparsync_proto::RelPath;

    #[test]
    fn a_path_leads_where_it_would_in_a_shell() {
        let dir = tempfile::tempdir().expect("a directory");
        let top = dir.path().to_path_buf();
        std::fs::create_dir_all(top.join("real/sub")).expect("made");
        std::fs::write(top.join("real/file"), "x").expect("written");
        symlink("real", top.join("link")).expect("linked");
        symlink(top.join("real/file"), top.join("to-file")).expect("linked");
        symlink("nowhere", top.join("dangling")).expect("linked");
        let own = Own { home: top.clone(), tilde: Some(top.join("real")) };
        let path = |text: &str| RelPath::new(text.trim_start_matches('/').as_bytes()).expect("a path");
        let whole = |text: &str| path(top.join(text).to_str().expect("UTF-8").trim_end_matches('/'));
        for (given, last, expected) in [
            ("", Last::Directory, ""),
            ("link/sub", Last::Itself, "real/sub"),
            ("link", Last::Itself, "link"),
            ("link", Last::Directory, "real"),
            ("link/new/deep", Last::Directory, "real/new/deep"),
            ("to-file", Last::Directory, "to-file"),
            ("dangling", Last::Directory, "dangling"),
        ] {
            let expected = whole(expected);
            assert_eq!(own.found(b"home", &path(given), last).expect("found"), expected, "{given}");
            assert_eq!(own.found(b"fs", &whole(given), last).expect("found"), expected, "{given}");
        }
        assert_eq!(own.found(b"tilde", &path("sub"), Last::Itself).expect("found"), whole("real/sub"));
        let own = Own { tilde: None, ..own };
        assert!(own.found(b"tilde", &path("sub"), Last::Itself).is_err());
        assert!(own.found(b"backup", &path("x"), Last::Itself).is_err());
        assert_eq!(led_to(&whole("to-file"), b"real/file").expect("found"), whole("real/file"));
        assert_eq!(led_to(&whole("dangling"), b"nowhere").expect("found"), whole("nowhere"));
    }
}
