//! The directories that are served.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use sparsync_proto::{HiddenPaths, Kind, RelPath, limits};

use super::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Changing, Root, View, below, status, status_at};
use crate::storage::{Access, CallError, Directory as _, Storage as _};
use crate::views::check_munged;

/// The roots of a process that serves its standard streams: where relative paths begin, where those with a tilde do,
/// and where absolute ones do.
pub(super) const HOME_ROOT: &str = "home";
pub(super) const TILDE_ROOT: &str = "tilde";
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
    /// Whether its path, and that of its versions, still lead to the directories that are held. An error says that
    /// nobody could look.
    fn stands(&self, served: &ServedRoot) -> std::result::Result<bool, CallError> {
        let versions = self.versions.as_ref().map(|(top, _)| top).zip(served.versions.as_deref());
        Ok(is_at(&self.root, &served.path)? && versions.map_or(Ok(true), |(top, path)| is_at(top, path))?)
    }

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

/// Whether a path leads to the directory that is held, which one that leads nowhere does not.
fn is_at(held: &Root, path: &[u8]) -> std::result::Result<bool, CallError> {
    let held = status(held.fd(), b"")?;
    match status_at(path) {
        Ok(found) => Ok((held.device, held.stamp.ino) == (found.device, found.stamp.ino)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A root that takes longer than this to be looked at counts as one that does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// The directories that are served. Each is held open, and opened anew at a reload when its path leads to another one.
pub(super) struct Roots {
    served: HashMap<String, ServedRoot>,
    open: RwLock<HashMap<String, Arc<OpenRoot>>>,
    /// Held while a root is opened anew.
    renewal: Mutex<()>,
    /// Why roots cannot be used.
    lost: Mutex<BTreeMap<String, Error>>,
    /// The root that is being looked at, and since when.
    looked_at: Mutex<Option<(String, Instant)>>,
}

impl Roots {
    /// Opens every root, and refuses bad and doubled names.
    pub(super) fn open(roots: &[ServedRoot]) -> Result<Self> {
        let mut open = HashMap::new();
        for served in roots {
            if open.insert(served.name.clone(), Arc::new(open_root(served, Arc::default())?)).is_some() {
                return Err(bad(served, "is named twice"));
            }
        }
        if open.is_empty() {
            return Err(Error::new(ErrorKind::Config, "there is nothing to serve: name at least one root"));
        }
        check_apart(&open)?;
        Ok(Self {
            served: roots.iter().map(|served| (served.name.clone(), served.clone())).collect(),
            open: RwLock::new(open),
            renewal: Mutex::default(),
            lost: Mutex::default(),
            looked_at: Mutex::default(),
        })
    }

    /// The names of all roots.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.served.keys().map(String::as_str)
    }

    /// Where the root of this name is to be.
    pub(super) fn path_of(&self, name: &str) -> Option<&[u8]> {
        self.served.get(name).map(|served| served.path.as_slice())
    }

    /// The root of this name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<OpenRoot>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// A root, if its path still leads to the directory that is held. Whoever may give another one that name must not
    /// have it served, and what is written into one without a name is lost, so there is none otherwise until
    /// [`Roots::reload`].
    pub(super) fn present(&self, name: &str, held: Arc<OpenRoot>) -> Result<Arc<OpenRoot>> {
        let Some(served) = self.served.get(name) else { return Ok(held) };
        let found = match held.stands(served) {
            Ok(true) => Ok(held),
            Ok(false) => self.look_again(served, held),
            // A client is told the errno, and no path of the machine.
            Err(error) => Err(Error::io(&format!("the server cannot look at its root {name:?}"), b"", error.into())),
        };
        self.noted(name, found)
    }

    fn noted(&self, name: &str, found: Result<Arc<OpenRoot>>) -> Result<Arc<OpenRoot>> {
        match &found {
            Ok(_) => lock(&self.lost).remove(name),
            Err(error) => lock(&self.lost).insert(name.to_owned(), error.clone()),
        };
        found
    }

    fn look_again(&self, served: &ServedRoot, held: Arc<OpenRoot>) -> Result<Arc<OpenRoot>> {
        // A directory of versions that was removed is made again.
        let lacks_versions = served.versions.as_deref().is_some_and(|path| {
            is_at(&held.root, &served.path).unwrap_or(false)
                && status_at(path).is_err_and(|error| error.errno == Errno::NOENT)
        });
        if lacks_versions {
            return self.open_anew(served, held);
        }
        Err(match status_at(&served.path) {
            Err(error) => lost(bad(served, &format!("cannot be opened: {}", std::io::Error::from(error))).message()),
            Ok(_) => lost(&format!(
                "the path of the root {:?}, or of its versions, leads to another directory than it did; a reload of the \
                 server takes that one",
                served.name
            )),
        })
    }

    /// Opens each root whose path leads elsewhere, as at the start. Runs under way keep the directory that they began
    /// with.
    pub(super) fn reload(&self) {
        for (name, served) in &self.served {
            if let Some(held) = self.get(name).filter(|held| !held.stands(served).unwrap_or(false)) {
                let _ = self.noted(name, self.open_anew(served, held));
            }
        }
    }

    fn open_anew(&self, served: &ServedRoot, held: Arc<OpenRoot>) -> Result<Arc<OpenRoot>> {
        let _one_at_a_time = lock(&self.renewal);
        // Another session may have opened it meanwhile.
        let held = self.get(&served.name).unwrap_or(held);
        if held.stands(served).unwrap_or(false) {
            return Ok(held);
        }
        let changing = held.versions.as_ref().map(|(_, changing)| Arc::clone(changing)).unwrap_or_default();
        let fresh = Arc::new(open_root(served, changing).map_err(|error| lost(error.message()))?);
        let looked = |root: &Root| status(root.fd(), b"").map_err(|error| lost(&error.to_string()));
        let (before, now) = (looked(&held.root)?, looked(&fresh.root)?);
        if before.device != now.device && !now.is_mount_point.unwrap_or(false) {
            // What would be written now fills the disk below, and is hidden once the file system is back.
            let why = format!("the file system of the root {:?} is no longer mounted", served.name);
            return Err(lost(&why));
        }
        let mut open = self.open.read().unwrap_or_else(PoisonError::into_inner).clone();
        open.insert(served.name.clone(), Arc::clone(&fresh));
        check_apart(&open).map_err(|error| lost(error.message()))?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = open;
        Ok(fresh)
    }

    /// Looks at every root, so that [`Roots::ailment`] is true between runs as well.
    pub(super) fn look(&self) {
        for name in self.names() {
            *lock(&self.looked_at) = Some((name.to_owned(), Instant::now()));
            let _ = self.get(name).map(|held| self.present(name, held));
        }
        *lock(&self.looked_at) = None;
    }

    /// Why a root cannot be used.
    pub(super) fn ailment(&self) -> Option<Error> {
        let lost = lock(&self.lost).values().next().cloned();
        lost.or_else(|| {
            let looked_at = lock(&self.looked_at);
            let (name, _) = looked_at.as_ref().filter(|(_, since)| since.elapsed() > ANSWERS_WITHIN)?;
            Some(Error::new(ErrorKind::Timeout, format!("the file system of the root {name:?} does not answer")))
        })
    }
}

/// Why a root cannot be used. A client is told it, and so no path of the machine.
fn lost(why: &str) -> Error {
    Error::new(ErrorKind::Connect, format!("the server cannot use its root now: {why}"))
}

fn bad(served: &ServedRoot, why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("the root {:?} {why}", served.name)).at(&served.path)
}

/// Opens a root; `changing` are the names that are being changed in it.
fn open_root(served: &ServedRoot, changing: Arc<Changing>) -> Result<OpenRoot> {
    let bad = |why: &str| bad(served, why);
    if served.name.is_empty()
        || served.name.len() > limits::ROOT_NAME_BYTES_MAX
        || !served.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        || served.name.starts_with('.')
    {
        return Err(bad("has a name that is not made of letters, digits, '-', '_' and '.'"));
    }
    let root = Root::reach_trusted(&served.path).map_err(|error| match error.errno {
        Errno::LOOP => {
            bad("cannot be reached by its path: a symlink on the way belongs to another user, or there are too many")
        }
        _ => bad(&format!("cannot be opened: {}", std::io::Error::from(error))),
    })?;
    let root = if served.read_only { Ok(root) } else { root.sharing_flushes() };
    let root = root.map_err(|error| bad(&format!("cannot be flushed: {error}")))?;
    let hidden =
        HiddenPaths::new(&served.exclude).map_err(|error| bad(&format!("has an unusable exclude pattern: {error}")))?;
    let versions = served.versions.as_deref().map(|path| open_versions(&root, path)).transpose()?;
    let versions = versions.map(|versions| (versions, changing));
    let ServedRoot { read_only, fake_super, munge_links, .. } = *served;
    if munge_links {
        check_munged()?;
    }
    let root = root.with_view(View { is_fake: fake_super, ..View::default() });
    Ok(OpenRoot { root, read_only, fake_super, hidden: Arc::new(hidden), munge_links, versions })
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
fn check_apart(open: &HashMap<String, Arc<OpenRoot>>) -> Result<()> {
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
