//! The directories that are served.

use std::collections::HashMap;
use std::sync::Arc;

use sparsync_proto::{HiddenPaths, Kind, RelPath, limits};

use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Root, View};
use crate::storage::{Access, Directory as _, Storage as _};
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
    /// Nobody may write to it.
    pub read_only: bool,
    /// What takes root is stored as extended attributes, and read from there, in every run.
    pub fake_super: bool,
    /// Patterns of paths that no client lists, reads, writes, deletes or asks about, as `--exclude` takes them.
    pub exclude: Vec<Vec<u8>>,
    /// Symlinks are written so that they lead nowhere, and sent as they were.
    pub munge_links: bool,
}

/// A served directory that is held open.
pub(super) struct OpenRoot {
    pub(super) root: Root,
    pub(super) read_only: bool,
    pub(super) fake_super: bool,
    pub(super) hidden: Arc<HiddenPaths>,
    pub(super) munge_links: bool,
}

impl OpenRoot {
    /// Whether a path, or a directory above it, is hidden. What is not there is taken for a directory that a run may make.
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
        let root = Root::reach(&served.path)
            .map_err(|error| bad(&format!("cannot be opened: {}", std::io::Error::from(error))))?;
        let hidden = HiddenPaths::new(&served.exclude).map_err(|error| bad(&format!("hides what is none: {error}")))?;
        let ServedRoot { read_only, fake_super, munge_links, .. } = *served;
        if munge_links {
            check_munged()?;
        }
        let root = root.with_view(View { is_fake: fake_super, ..View::default() });
        let opened = OpenRoot { root, read_only, fake_super, hidden: Arc::new(hidden), munge_links };
        if open.insert(served.name.clone(), opened).is_some() {
            return Err(bad("is named twice"));
        }
    }
    if open.is_empty() {
        return Err(Error::new(ErrorKind::Config, "there is nothing to serve: name at least one root"));
    }
    Ok(open)
}
