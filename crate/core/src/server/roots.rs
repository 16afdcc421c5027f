//! The directories that are served.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use sparsync_proto::{HiddenPaths, Kind, RelPath, limits};

use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Changing, Root, View, below};
use crate::storage::{Access, CallError, Directory as _, Storage as _};
use crate::views::check_munged;

/// The roots of a process that serves its standard streams: where relative paths begin, and where absolute ones do.
pub(super) const HOME_ROOT: &str = "home";
pub(super) const FILES_ROOT: &str = "fs";

/// A directory that is served.
#[derive(Clone, Debug)]
pub struct ServedRoot {
    /// The name that clients use.
    pub name: String,
    /// Where it is.
    pub path: Vec<u8>,
    /// No client may write to it.
    pub read_only: bool,
    /// Attributes that take root are stored as extended attributes, and read from there, in every run.
    pub fake_super: bool,
    /// Patterns of paths that no client lists, reads, writes, deletes or asks about, as `--exclude` takes them.
    pub exclude: Vec<Vec<u8>>,
    /// Symlinks are written so that they lead nowhere, and sent as they were.
    pub munge_links: bool,
    /// The directory that keeps what clients replace or remove, outside of everything that is served.
    pub versions: Option<Vec<u8>>,
}

impl ServedRoot {
    /// The directory at `path`, readable and writable, with nothing hidden or kept.
    #[must_use]
    pub fn new(name: &str, path: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            path,
            read_only: false,
            fake_super: false,
            exclude: Vec::new(),
            munge_links: false,
            versions: None,
        }
    }
}

/// A served directory that is held open.
pub(super) struct OpenRoot {
    pub(super) root: Root,
    pub(super) read_only: bool,
    pub(super) fake_super: bool,
    pub(super) hidden: Arc<HiddenPaths>,
    pub(super) munge_links: bool,
    pub(super) versions: Option<(Root, Arc<Changing>)>,
}

impl OpenRoot {
    /// The root for a run of `client` that changes it and keeps versions of replaced and removed entries.
    pub(super) fn keeping(&self, client: &str) -> Result<Option<Root>> {
        let Some((versions, changing)) = &self.versions else { return Ok(None) };
        let now = time::OffsetDateTime::from(SystemTime::now());
        let (date, time) = (now.date(), now.time());
        let (hour, minute, second) = time.as_hms();
        let client = client.replace(['/', '\0'], "_");
        let own = format!("{date}T{hour:02}.{minute:02}.{second:02}Z-{client}");
        let kept = self.root.keeping(versions, own.into_bytes(), changing);
        kept.map(Some).map_err(|error| Error::io("cannot keep versions", b"", error.into()))
    }

    /// Whether a path, or a directory above it, is hidden. A missing entry counts as a directory, since a run may make
    /// one there.
    pub(super) fn hides(&self, path: &RelPath) -> bool {
        if self.hidden.is_empty() {
            return false;
        }
        let found = path.split_last().and_then(|(parent, name)| {
            let open = self.root.open(&parent, Access::Reach).ok()?;
            open.status(name.as_bytes()).ok()
        });
        self.hidden.hides_path(path, found.map_or(Kind::Directory, |found| found.kind))
    }
}

/// Opens every root, and refuses bad and doubled names.
pub(super) fn open_roots(roots: &[ServedRoot]) -> Result<HashMap<String, OpenRoot>> {
    let mut open = HashMap::new();
    for served in roots {
        let bad =
            |why: &str| Error::new(ErrorKind::Config, format!("the root {:?} {why}", served.name)).at(&served.path);
        if served.name.is_empty()
            || served.name.len() > limits::ROOT_NAME_BYTES_MAX
            || !served.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || served.name.starts_with('.')
        {
            return Err(bad("has a name that is not made of letters, digits, '-', '_' and '.'"));
        }
        let root = Root::reach_trusted(&served.path).map_err(|error| match error.errno {
            Errno::LOOP => bad(
                "cannot be reached by its path: a symlink on the way belongs to another user, or there are too many",
            ),
            _ => bad(&format!("cannot be opened: {}", std::io::Error::from(error))),
        })?;
        let root = if served.read_only { Ok(root) } else { root.sharing_flushes() };
        let root = root.map_err(|error| bad(&format!("cannot be flushed: {error}")))?;
        let hidden = HiddenPaths::new(&served.exclude)
            .map_err(|error| bad(&format!("has an unusable exclude pattern: {error}")))?;
        let versions = served.versions.as_deref().map(|path| open_versions(&root, path)).transpose()?;
        let versions = versions.map(|versions| (versions, Arc::default()));
        let ServedRoot { read_only, fake_super, munge_links, .. } = *served;
        if munge_links {
            check_munged()?;
        }
        let root = root.with_view(View { is_fake: fake_super, ..View::default() });
        let opened = OpenRoot { root, read_only, fake_super, hidden: Arc::new(hidden), munge_links, versions };
        if open.insert(served.name.clone(), opened).is_some() {
            return Err(bad("is named twice"));
        }
    }
    if open.is_empty() {
        return Err(Error::new(ErrorKind::Config, "there is nothing to serve: name at least one root"));
    }
    check_apart(&open)?;
    Ok(open)
}

/// The directory of a root's versions, made if it is missing.
fn open_versions(served: &Root, path: &[u8]) -> Result<Root> {
    let failed = |error: CallError| Error::io("cannot open the directory of versions", path, error.into());
    let missing = |errno| Error::io("cannot make the directory of versions", path, errno);
    let top = match Root::reach_trusted(path) {
        Err(CallError { errno: Errno::NOENT, .. }) => {
            rustix::fs::mkdirat(CWD, path, Mode::RWXU).map_err(|errno| missing(errno.into()))?;
            Root::reach_trusted(path)
        }
        opened => opened,
    };
    let top = top.map_err(failed)?;
    if top.device().map_err(failed)? != served.device().map_err(failed)? {
        return Err(Error::new(ErrorKind::Config, "versions have to be on the file system of their root").at(path));
    }
    Ok(top)
}

/// Refuses a directory of versions that a client could reach: one below a root, or around one.
fn check_apart(open: &HashMap<String, OpenRoot>) -> Result<()> {
    for versions in open.values().filter_map(|root| root.versions.as_ref().map(|(versions, _)| versions)) {
        let kept = path_of(versions)?;
        for (name, served) in open {
            let served = path_of(&served.root)?;
            if below(&kept, &served).is_some() || below(&served, &kept).is_some() {
                let message =
                    format!("versions must not be in the root {name:?}, nor around it: clients would reach them");
                return Err(Error::new(ErrorKind::Config, message).at(&kept));
            }
        }
    }
    Ok(())
}

/// Where a root is now.
pub(super) fn path_of(root: &Root) -> Result<Vec<u8>> {
    root.absolute_path().map_err(|error| Error::io("cannot tell where a root is", b"", error.into()))
}
