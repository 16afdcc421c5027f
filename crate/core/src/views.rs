//! How the ends of a run see their trees: what is stored there, what symlinks say, and which of them are followed.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use sparsync_proto::{Kind, MUNGED, Name, Paths, RelPath, Request, Time};

use crate::engine::DirLinks;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Devices, Followed, Following, Limit, Reach, Root, Targets, View};
use crate::rule_files::{Place, tree_path};
use crate::sources::Source;
use crate::storage::{Access, CallError, Directory as _, Part, Storage as _};

/// Which attributes are stored as others at an end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Attributes that take root are stored as extended attributes.
    pub(crate) fake_super: bool,
    /// Symlinks are munged, so that they lead nowhere.
    pub(crate) munged_links: bool,
}

impl Stored {
    /// How the initiator stores them at its own end.
    pub(crate) fn at_initiator(request: &Request) -> Self {
        Self { fake_super: request.fake_super, munged_links: request.munge_links }
    }

    /// How the initiator, or the operator there, has them stored at the other end.
    pub(crate) fn at_acceptor(request: &Request) -> Self {
        Self { fake_super: request.remote_fake_super, munged_links: request.remote_munge_links }
    }

    fn view(self, writes: bool) -> View {
        let targets = Targets::of(self.munged_links, writes);
        View { is_fake: self.fake_super, targets, ..View::default() }
    }
}

/// Refuses to munge symlinks where they would lead somewhere.
pub(crate) fn check_munged() -> Result<()> {
    let there = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if rustix::fs::open(MUNGED, there, Mode::empty()).is_err() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        "a directory of this name exists, so munged symlinks would lead into it: remove or rename it",
    )
    .at(MUNGED))
}

/// A directory beside a destination as a run sees it. No symlink in it is followed.
pub(crate) fn aside(root: Root, stored: Stored) -> Root {
    root.with_view(stored.view(true))
}

/// The symlinks of its sources that a request has followed.
fn followed(request: &Request) -> Followed {
    Followed { all: request.copy_links, directories: request.copy_dir_links, unsafe_ones: request.copy_unsafe_links }
}

/// The sources of a run as it sees them. `place` gives how far symlinks may lead.
pub(crate) fn of_source(source: Source, request: &Request, stored: Stored, place: &Place<'_>) -> Result<Source> {
    let followed = followed(request);
    let file_name = source.file_name.clone();
    let root = source.root.try_map(|part| {
        let mut view = stored.view(false);
        if request.copy_devices {
            view.devices = Devices::Content(now());
        }
        if followed != Followed::default() {
            let name = part.name.as_ref().or(file_name.as_ref());
            let reach = reach(&part.root, name, place)?;
            view.following = Some(Arc::new(Following::new(followed, part.above.len(), reach)));
        }
        Ok::<_, Error>(Part { root: Arc::new(part.root.seen(view)), ..part })
    })?;
    as_entry(Source { root, ..source })
}

/// This moment, in whole seconds.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: 0 }
}

/// The destination of a run as the run sees it. `path` is that of its directory below the root that `place` serves.
pub(crate) fn of_destination(
    root: Root,
    path: &RelPath,
    request: &Request,
    stored: Stored,
    place: &Place<'_>,
) -> Result<Root> {
    let mut view = stored.view(true);
    if request.write_devices {
        view.devices = Devices::Writable;
    }
    if DirLinks::of(request) != DirLinks::Replaced {
        let failed = |error: CallError| Error::io("cannot follow symlinks of the destination", b"", error.into());
        let limit = match place {
            Place::Own => Limit {
                top: root.descend_to_reach(&RelPath::root()).map_err(failed)?,
                prefix: RelPath::root(),
                tree: RelPath::root(),
                hidden: None,
            },
            Place::Served { .. } => limit(path, path, place)?,
        };
        view.following = Some(Arc::new(Following::new(Followed::default(), 0, Reach::Below(limit))));
    }
    Ok(root.with_view(view))
}

/// How far symlinks lead in a tree. `name` is the entry that the run has of it; without it, the run has everything.
fn reach(root: &Root, name: Option<&Vec<u8>>, place: &Place<'_>) -> Result<Reach> {
    let failed = |error: CallError| Error::io("cannot follow symlinks of the source", b"", error.into());
    let Place::Served { root: served, .. } = place else { return Ok(Reach::Anywhere) };
    let tree = tree_path(root, &served.absolute_path().map_err(failed)?)?;
    let entry = name.and_then(|name| Name::new(name).ok()).map_or_else(|| tree.clone(), |name| tree.join(name));
    limit(&tree, &entry, place).map(Reach::Below)
}

/// The directory that symlinks must not leave, in the tree at the path `tree` of a served root, whose entry `entry` the
/// run has.
fn limit(tree: &RelPath, entry: &RelPath, place: &Place<'_>) -> Result<Limit> {
    let outside = || Error::new(ErrorKind::Scope, "the path lies outside of what the key may use").at(entry.as_bytes());
    let Place::Served { root, prefix_of, hidden } = place else { return Err(outside()) };
    let prefix = prefix_of(entry).ok_or_else(outside)?;
    let failed = |error: CallError| Error::io("cannot follow symlinks", prefix.as_bytes(), error.into());
    let top = root.descend_to_reach(&prefix).map_err(failed)?;
    let hidden = (!hidden.is_empty()).then(|| Arc::clone(hidden));
    Ok(Limit { top, prefix, tree: tree.clone(), hidden })
}

/// Turns a single source that leads to a directory into an entry of the directory that holds it.
fn as_entry(source: Source) -> Result<Source> {
    let Some(name) = &source.file_name else { return Ok(source) };
    let top = source.root.open(&RelPath::root(), Access::Reach);
    if !top.and_then(|top| top.status(name)).is_ok_and(|found| found.kind == Kind::Directory) {
        return Ok(source);
    }
    let path = RelPath::new(name).ok().and_then(|path| Paths::new(vec![path]));
    let selected = path.ok_or_else(|| Error::internal("a name that is no path"))?;
    let root = source.root.try_map(|part| Ok::<_, Error>(Part { name: Some(name.clone()), ..part }))?;
    Ok(Source { root, file_name: None, selected, missing: source.missing, gone: source.gone })
}
