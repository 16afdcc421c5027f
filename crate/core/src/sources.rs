//! Finds the sources of a run in the file system, before anything is sent.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustix::io::Errno;
use sparsync_proto::limits::PATHS_BYTES_MAX;
use sparsync_proto::{Issue, IssueKind, Kind, MissingSources, Name, Paths, RelPath, Request};

use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Extent, Mount, Root, below};
use crate::prepare::{Place, open_own_or, trim_slashes};
use crate::state::{KnownMounts, StateDir};
use crate::storage::{self, CallError, Directory as _, Part, Storage as _, Union};

/// The sources of a run as one.
pub(crate) type Source = engine::Source<Union<Root>>;

/// One source: the content of a directory, or one entry of it.
type FsPart = Part<Root>;

/// Why a source is not taken.
#[derive(Debug)]
pub(crate) enum Untaken {
    /// The directory that should hold it is there, and does not.
    Absent(Error),
    /// A directory on the way to it, which would arrive as well, is missing.
    WayAbsent(Error),
    /// Anything else; a missing directory above it, which may be a disk that is not mounted, among it.
    Failed(Error),
}

/// Whether what is missing may be missing. A disk that is not mounted must not cost what was once copied from it, so
/// where the missing is deleted, its directory must be there.
fn may_be_gone(missing: MissingSources, directory_is_there: bool) -> bool {
    match missing {
        MissingSources::Fail => false,
        MissingSources::Ignore => true,
        MissingSources::Delete => directory_is_there,
    }
}

/// Directories, each with a name in it.
type Way = Vec<(Arc<Root>, Vec<u8>)>;

/// A source, if it can be taken.
pub(crate) type Taken = std::result::Result<FsPart, Untaken>;

impl From<Error> for Untaken {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Untaken {
    fn may_be_gone(&self, missing: MissingSources) -> bool {
        match self {
            Self::Absent(_) => may_be_gone(missing, true),
            Self::WayAbsent(_) => may_be_gone(missing, false),
            Self::Failed(_) => false,
        }
    }

    /// The same, with the path that was given.
    fn at(self, path: &[u8]) -> Self {
        match self {
            Self::Absent(error) => Self::Absent(error.at(path)),
            Self::WayAbsent(error) => Self::WayAbsent(error.at(path)),
            Self::Failed(error) => Self::Failed(error.at(path)),
        }
    }

    fn into_error(self) -> Error {
        let (Self::Absent(error) | Self::WayAbsent(error) | Self::Failed(error)) = self;
        error
    }

    /// What a look at a name in a held directory failed with, which `tell` makes an error of.
    fn looked(tell: impl FnOnce(CallError) -> Error) -> impl FnOnce(CallError) -> Self {
        |error| match error.errno {
            Errno::NOENT => Self::Absent(tell(error)),
            _ => Self::Failed(tell(error)),
        }
    }
}

/// The error of a missing source, which is a fault of the request and not of the destination.
fn not_there(message: &str, path: &[u8]) -> Error {
    Error::new(ErrorKind::NotFound, message).at(path).with("end", "source".to_owned())
}

const MISSING: &str = "the source does not exist";
const NO_DIRECTORY: &str = "the source is not a directory";

/// The error of a source that is named as a directory and is none.
pub(crate) fn no_directory(path: &[u8]) -> Error {
    not_there(NO_DIRECTORY, path)
}

/// The only source of a run. If it is an entry that is no directory, it is scanned alone, and may get another name.
pub(crate) fn single(part: FsPart) -> Source {
    let file_name = part.name.clone();
    let name = None;
    engine::Source {
        root: Union::new(vec![Part { name, ..part }]),
        file_name,
        selected: Paths::default(),
        missing: Vec::new(),
        gone: Vec::new(),
    }
}

/// The only source of a run. If it may be missing and is, the source is empty, or only names the path that it would
/// have.
pub(crate) fn single_or_gone(part: Taken, arrives_at: Option<RelPath>, missing: MissingSources) -> Result<Source> {
    match (part, arrives_at) {
        (Ok(part), _) => Ok(single(part)),
        (Err(untaken), Some(path)) if untaken.may_be_gone(missing) => nothing_but(vec![path]),
        (Err(untaken), _) => Err(untaken.into_error()),
    }
}

/// A source of which every path is missing. The paths are selected, because an empty selection would mean everything.
fn nothing_but(gone: Vec<RelPath>) -> Result<Source> {
    let selected = Paths::new(gone.clone()).ok_or_else(too_long)?;
    Ok(engine::Source { root: Union::new(Vec::new()), file_name: None, selected, missing: Vec::new(), gone })
}

/// The most bytes of the paths of sources that may be missing and are.
const GONE_BYTES_MAX: usize = 64 << 10;

/// Refuses more of them than one request tells.
fn check_gone(gone: &[RelPath]) -> Result<()> {
    let bytes: usize = gone.iter().map(|path| path.as_bytes().len() + 1).sum();
    if bytes <= GONE_BYTES_MAX { Ok(()) } else { Err(Error::new(ErrorKind::Limit, "too many sources are not there")) }
}

fn too_long() -> Error {
    Error::new(ErrorKind::Limit, "the paths of the sources are too long")
}

/// The directories that hold sources, or lead to them, by their paths: each is held once, whatever is in it.
#[derive(Default)]
pub(crate) struct Held(RefCell<HashMap<Vec<u8>, Arc<Root>>>);

impl Held {
    fn get<E>(
        &self,
        path: &[u8],
        open: impl FnOnce() -> std::result::Result<Root, E>,
    ) -> std::result::Result<Arc<Root>, E> {
        if let Some(held) = self.0.borrow().get(path) {
            return Ok(Arc::clone(held));
        }
        let root = Arc::new(open()?);
        self.0.borrow_mut().insert(path.to_vec(), Arc::clone(&root));
        Ok(root)
    }
}

/// One of several sources.
pub(crate) struct Named {
    /// Where it is looked for.
    pub(crate) path: Vec<u8>,
    /// The path at which it arrives, if it is an entry with a name of its own.
    pub(crate) arrives_at: Option<RelPath>,
    /// The source, or why it is not taken.
    pub(crate) part: Taken,
}

/// The sources of a run that names several, in their order. A source that is missing or cannot be reached is only told,
/// if another one is found.
pub(crate) fn several(parts: impl Iterator<Item = Named>, missing_sources: MissingSources) -> Result<Source> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let mut gone = Vec::new();
    let mut first_error = None;
    for Named { path, arrives_at, part } in parts {
        let error = match (part, arrives_at) {
            (Ok(part), _) => {
                found.push(part);
                continue;
            }
            (Err(untaken), Some(path)) if untaken.may_be_gone(missing_sources) => {
                gone.push(path);
                continue;
            }
            (Err(untaken), _) => untaken.into_error(),
        };
        let kind = match error.kind() {
            ErrorKind::NotFound => IssueKind::Missing,
            ErrorKind::Io => IssueKind::Unreadable,
            _ => return Err(error),
        };
        let message = format!("{} ({})", error.message(), path.escape_ascii());
        missing.push(Issue { kind, path: below_the_top(&path), message, old_kept: true });
        first_error.get_or_insert(error);
    }
    check_gone(&gone)?;
    match (found.is_empty(), first_error) {
        (true, Some(error)) => return Err(error),
        (true, None) => return nothing_but(gone),
        (false, _) => {}
    }
    let selected = paths_of(&found, &gone)?;
    Ok(engine::Source { root: Union::new(found), file_name: None, selected, missing, gone })
}

/// A source's path as an issue can have it, without a slash at its beginning; at least its last name.
fn below_the_top(path: &[u8]) -> Vec<u8> {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    let joined = RelPath::new(&names.join(&b'/')).or_else(|_| RelPath::new(names.last().copied().unwrap_or_default()));
    joined.map(|path| path.as_bytes().to_vec()).unwrap_or_default()
}

/// The paths that the sources have, or would have; none when one of them is the whole content of a directory.
fn paths_of(parts: &[FsPart], gone: &[RelPath]) -> Result<Paths> {
    let paths = parts.iter().map(FsPart::path).collect::<Option<Vec<_>>>();
    if paths.as_ref().is_some_and(|paths| paths.iter().any(RelPath::is_root)) {
        return Ok(Paths::default());
    }
    let paths = paths.and_then(|paths| Paths::new([&paths[..], gone].concat()));
    paths.filter(|paths| paths.bytes() <= PATHS_BYTES_MAX).ok_or_else(too_long)
}

/// A source on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSource {
    /// The path. A slash at the end stands for the content of the directory.
    pub path: Vec<u8>,
    /// The entry below `path` that is the source, and arrives under this whole path; the root for `path` itself.
    pub below: RelPath,
    /// Whether that entry has to be a directory, or lead to one.
    pub is_directory: bool,
}

/// Finds the operator's own sources.
pub(crate) fn own_sources(sources: &[LocalSource], request: &Request) -> Result<Source> {
    let (themselves, held) = (request.into, Held::default());
    let named = |source: &LocalSource| match source.below.as_bytes() {
        b"" => source.path.clone(),
        below => [trim_slashes(&source.path), b"/", below].concat(),
    };
    let part = |source: &LocalSource| {
        if source.below.is_root() { own_part(&source.path, themselves, &held) } else { own_part_below(source, &held) }
    };
    let arrives_at = |source: &LocalSource| {
        if themselves && source.below.is_root() {
            arrives_as(&source.path)
        } else {
            Some(source.below.clone()).filter(|below| !below.is_root())
        }
    };
    let parts =
        sources.iter().map(|source| Named { path: named(source), arrives_at: arrives_at(source), part: part(source) });
    several(parts, request.missing_sources)
}

/// The name under which one of the user's sources arrives; none for the content of a directory.
pub(crate) fn arrives_as(path: &[u8]) -> Option<RelPath> {
    if path.ends_with(b"/") {
        return None;
    }
    let name = Name::new(path.rsplit(|&byte| byte == b'/').next()?).ok()?;
    Some(RelPath::root().join(name))
}

/// An entry of the user's that arrives under its path below another one. Symlinks on the way are followed, and arrive
/// as directories.
fn own_part_below(source: &LocalSource, held: &Held) -> Taken {
    let own = |at: &RelPath| match at.as_bytes() {
        b"" => source.path.clone(),
        at => [&source.path[..], b"/", at].concat(),
    };
    let reach = |at: &RelPath| {
        let path = own(at);
        held.get(&path, || Root::reach(&path)).map_err(|error| own_failure(error, &path))
    };
    if source.is_directory {
        let (above, path) = (way_to(&source.below, reach)?, own(&source.below));
        let root = Root::open(&path).map_err(Untaken::looked(|error| own_failure(error, &path)))?;
        return Ok(Part { above, root: Arc::new(root), name: None });
    }
    part_below(&source.below, reach, |error| own_failure(error, source.below.as_bytes()))
}

/// The entry `below` of the directory at `place`, which arrives under that path.
pub(crate) fn entry_below(place: &Place<'_>, below: &RelPath, held: &Held) -> Taken {
    part_below(below, reach_to(place, below, held), |error| failure(error, below))
}

/// The directory that `tree` finds, which arrives under the path `below` that leads to it from that at `place`.
pub(crate) fn contents_below(place: &Place<'_>, below: &RelPath, held: &Held, tree: impl FnOnce() -> Taken) -> Taken {
    let above = way_to(below, reach_to(place, below, held))?;
    Ok(Part { above, ..tree()? })
}

/// Opens directories on the way from the directory at `place` to the entry `below` it.
fn reach_to(place: &Place<'_>, below: &RelPath, held: &Held) -> impl Fn(&RelPath) -> Result<Arc<Root>> {
    move |at| {
        let path = place.path.join_path(at);
        held.get(path.as_bytes(), || place.top.descend_to_reach(&path)).map_err(|error| failure(error, below))
    }
}

/// The directories on the way to `path`, which `open` opens, each with the name that leads on.
fn way_to(path: &RelPath, open: impl Fn(&RelPath) -> Result<Arc<Root>>) -> std::result::Result<Way, Untaken> {
    let mut at = RelPath::root();
    let steps = path.components().map(|name| {
        let above = open(&at).map_err(|error| match error.kind() {
            ErrorKind::NotFound if !at.is_root() => Untaken::WayAbsent(error),
            _ => Untaken::Failed(error),
        })?;
        at = at.join(name);
        Ok((above, name.as_bytes().to_vec()))
    });
    steps.collect()
}

/// The entry at `path`, which arrives under it. `open` opens a directory on the way; `absent` makes the error of a
/// missing one.
fn part_below(
    path: &RelPath,
    open: impl Fn(&RelPath) -> Result<Arc<Root>>,
    absent: impl FnOnce(CallError) -> Error,
) -> Taken {
    let mut above = way_to(path, open)?;
    let (root, name) = above.pop().ok_or_else(|| Error::internal("an entry without a name"))?;
    crate::fs::status(root.fd(), &name).map_err(Untaken::looked(absent))?;
    Ok(Part { above, root, name: Some(name) })
}

/// Tells which of the paths that a request selects are missing in the source.
pub(crate) fn look_for(source: &mut Source, request: &Request) -> Result<()> {
    if !request.is_selective() {
        return Ok(());
    }
    if source.file_name.is_some() {
        return Err(Error::new(ErrorKind::NotFound, "the source is not a directory, but paths below it are asked for")
            .with("end", "source".to_owned()));
    }
    let mut held: Option<(RelPath, storage::Result<_>)> = None;
    for path in request.selected.iter() {
        let Some((parent, name)) = path.split_last() else { continue };
        if held.as_ref().is_none_or(|(at, _)| *at != parent) {
            held = Some((parent.clone(), source.root.open(&parent, storage::Access::Reach)));
        }
        let Some((_, directory)) = &held else { continue };
        let looked = directory.as_ref().map_err(|error| *error).and_then(|directory| directory.status(name.as_bytes()));
        let Err(error) = looked else { continue };
        if error.errno == Errno::NOENT && may_be_gone(request.missing_sources, directory.is_ok()) {
            source.gone.push(path);
            continue;
        }
        let (kind, message) = match error.errno {
            Errno::NOENT | Errno::NOTDIR => (IssueKind::Missing, MISSING.to_owned()),
            Errno::LOOP => (IssueKind::Unreadable, "the path leads through a symlink".to_owned()),
            _ => (IssueKind::Unreadable, format!("cannot look at the source: {error}")),
        };
        source.missing.push(Issue { kind, path: path.into_bytes(), message, old_kept: true });
    }
    check_gone(&source.gone)
}

/// One of several sources of the operator's. A slash at its end stands for the content of the directory. Otherwise the
/// source is the entry, or with `itself` off a directory's content.
fn own_part(path: &[u8], itself: bool, held: &Held) -> Taken {
    let (above, name) = cut(path);
    let (true, false, Some(name)) = (itself, path.ends_with(b"/"), name) else {
        return own_source(path, itself);
    };
    let failure = |error| own_failure(error, path);
    let root = held.get(above, || Root::reach(above)).map_err(failure)?;
    entry_of(root, name).map_err(Untaken::looked(failure))
}

/// The directory that holds what the user has named, and its name there, if it has one.
fn cut(path: &[u8]) -> (&[u8], Option<Name<'_>>) {
    let trimmed = trim_slashes(path);
    let cut = trimmed.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    (if cut == 0 { b"." } else { &trimmed[..cut] }, Name::new(&trimmed[cut..]).ok())
}

/// The entry `name` of a directory, if it is there.
fn entry_of(root: Arc<Root>, name: Name<'_>) -> storage::Result<FsPart> {
    crate::fs::status(root.fd(), name.as_bytes())?;
    Ok(Part::at_top(root, Some(name.as_bytes().to_vec())))
}

fn own_failure(error: CallError, path: &[u8]) -> Error {
    match error.errno {
        Errno::NOENT | Errno::NOTDIR => not_there(MISSING, path),
        Errno::MFILE | Errno::NFILE => too_many(path),
        _ => not_opened(error, path),
    }
}

/// The error of a source that is there and cannot be opened.
fn not_opened(error: CallError, path: &[u8]) -> Error {
    Error::io("cannot open the source", path, error.into()).with("end", "source".to_owned())
}

fn too_many(path: &[u8]) -> Error {
    const WHY: &str = "the sources are in more directories than this process may hold open (ulimit -n)";
    Error::new(ErrorKind::Limit, WHY).at(path)
}

/// Finds the operator's own source. Its last name may be a symlink: with `itself` the source is the link, otherwise the
/// directory to which it leads. A path with a slash at its end must lead to a directory.
pub(crate) fn own_source(path: &[u8], itself: bool) -> Taken {
    let failure = |error| own_failure(error, path);
    if path.ends_with(b"/") {
        return match Root::open(path) {
            Ok(root) => Ok(Part::at_top(root, None)),
            Err(CallError { errno: Errno::NOTDIR, .. }) => Err(no_directory(path).into()),
            Err(error) => Err(failure(error).into()),
        };
    }
    if let (above, Some(name)) = cut(path)
        && itself
    {
        let root = Root::reach(above).map_err(failure)?;
        if crate::fs::status(root.fd(), name.as_bytes()).map_err(Untaken::looked(failure))?.kind == Kind::Symlink {
            return Ok(Part::at_top(root, Some(name.as_bytes().to_vec())));
        }
    }
    let (top, rest) = open_own_or(path, Root::reach, failure)?;
    // The rest below the directories that exist tells less than the path that was given, so the error names that.
    source(&Place { top: &top, path: rest }, |_| None).map_err(|untaken| untaken.at(path))
}

/// The entry at `place` itself, of any kind: one of several sources.
pub(crate) fn entry(place: &Place<'_>) -> Taken {
    let failure = |error| failure(error, &place.path);
    let Some((parent, name)) = place.path.split_last() else {
        return Ok(Part::at_top(place.top.descend(&place.path).map_err(failure)?, None));
    };
    let root = place.top.descend_to_reach(&parent).map_err(failure)?;
    entry_of(Arc::new(root), name).map_err(Untaken::looked(failure))
}

/// The content of the directory at `place`: one of several sources.
pub(crate) fn contents(place: &Place<'_>, follow: impl Fn(&[u8]) -> Option<Result<RelPath>>) -> Taken {
    let part = source(place, follow)?;
    if part.name.is_some() { Err(no_directory(place.path.as_bytes()).into()) } else { Ok(part) }
}

fn failure(error: CallError, path: &RelPath) -> Error {
    match error.errno {
        Errno::NOENT | Errno::NOTDIR => not_there(MISSING, path.as_bytes()),
        Errno::LOOP | Errno::XDEV => {
            Error::new(ErrorKind::Scope, "the path leads through a symlink").at(path.as_bytes())
        }
        Errno::MFILE | Errno::NFILE => too_many(path.as_bytes()),
        _ => not_opened(error, path.as_bytes()),
    }
}

/// Finds the source at `place`: the content of a directory, or an entry of another kind. `follow` gives where a symlink
/// at its last name leads, if it is to be followed.
pub(crate) fn source(place: &Place<'_>, follow: impl Fn(&[u8]) -> Option<Result<RelPath>>) -> Taken {
    let not_found = |error| failure(error, &place.path);
    let error = match place.top.descend(&place.path) {
        Ok(root) => return Ok(Part::at_top(root, None)),
        // A symlink at the last name gives NOTDIR or LOOP, depending on the call that meets it.
        Err(error @ CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => error,
        Err(error) => return Err(not_found(error).into()),
    };
    let Some((parent, name)) = place.path.split_last() else { return Err(not_found(error).into()) };
    let root = place.top.descend_to_reach(&parent).map_err(not_found)?;
    match crate::fs::status(root.fd(), name.as_bytes()).map_err(Untaken::looked(not_found))?.kind {
        Kind::Directory => return Err(not_found(error).into()),
        Kind::Symlink => {
            let target = rustix::fs::readlinkat(root.fd(), name.as_bytes(), Vec::new())
                .map_err(CallError::of("readlinkat"))
                .map_err(not_found)?;
            if let Some(led_to) = follow(target.as_bytes()) {
                match place.top.descend(&led_to?) {
                    Ok(root) => return Ok(Part::at_top(root, None)),
                    // A symlink that leads to no directory is itself the source.
                    Err(CallError { errno: Errno::NOENT | Errno::NOTDIR, .. }) => {}
                    Err(error) => return Err(not_found(error).into()),
                }
            }
        }
        Kind::File | Kind::Special | Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => {}
    }
    Ok(Part::at_top(root, Some(name.as_bytes().to_vec())))
}

/// The path below the same root to which the text of a symlink at `path` leads; none when it leads out.
pub(crate) fn led_to(path: &RelPath, target: &[u8]) -> Option<RelPath> {
    if target.starts_with(b"/") {
        return None;
    }
    let mut names: Vec<&[u8]> = path.components().map(Name::as_bytes).collect();
    names.pop()?;
    for name in target.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    RelPath::new(&names.join(&b'/')).ok()
}

/// Upper bounds of the sources' entries and bytes: those of their file systems.
pub(crate) fn bounds(source: &Source) -> Extent {
    let mut devices = HashSet::new();
    let sum = |one: Option<u64>, more: Option<u64>| one.zip(more).map(|(one, more)| one.saturating_add(more));
    source.root.parts().iter().fold((Some(0), Some(0)), |(bytes, entries), part| {
        let name = part.name.as_ref().or(source.file_name.as_ref());
        let (more_bytes, more_entries) = match name.map(|name| crate::fs::status(part.root.fd(), name)) {
            // A symlink's target is taken to be on the same file system: a guess, if it is on another.
            Some(Ok(status)) if status.kind == Kind::Symlink && part.root.follows() => {
                tree_bounds(&part.root, name, &mut devices)
            }
            Some(Ok(status)) if status.kind != Kind::Directory => (Some(status.size), Some(1)),
            Some(Err(_)) => (None, Some(1)),
            None | Some(Ok(_)) => tree_bounds(&part.root, name, &mut devices),
        };
        // The content of devices is not in any file system's count.
        let more_bytes = more_bytes.filter(|_| !part.root.reads_devices());
        (sum(bytes, more_bytes), sum(entries, more_entries))
    })
}

/// The bounds of a tree whose file system was not counted yet.
fn tree_bounds(root: &Root, name: Option<&Vec<u8>>, devices: &mut HashSet<u64>) -> Extent {
    const ANYTHING: Extent = (None, None);
    let Ok(stat) = rustix::fs::fstat(root.fd()) else { return ANYTHING };
    if holds_mounts(root, name) {
        return ANYTHING;
    }
    if !devices.insert(stat.st_dev) {
        return (Some(0), Some(0));
    }
    root.space().map_or(ANYTHING, |space| space.used)
}

/// Whether other file systems are mounted inside a tree, or that cannot be known.
fn holds_mounts(root: &Root, name: Option<&Vec<u8>>) -> bool {
    let (Ok(mut top), mounts) = (root.absolute_path(), Mount::all()) else { return true };
    if let Some(name) = name {
        top.extend([b"/", name.as_slice()].concat());
    }
    mounts.is_empty() || mounts.iter().any(|mount| below(&mount.point, &top).is_some_and(|inside| !inside.is_empty()))
}

/// The mount points that the last run has found in the sources; none on a dry run, which must not write them.
pub(crate) fn known_mounts(source: &Source, request: &Request) -> Option<KnownMounts> {
    if request.dry_run || !request.deletion.delete || source.file_name.is_some() {
        return None;
    }
    let path_of = |part: &FsPart| {
        let path = part.root.absolute_path().ok()?;
        Some([&path[..], part.name.as_deref().map_or(b"", |_| b"/"), part.name.as_deref().unwrap_or_default()].concat())
    };
    let paths = source.root.parts().iter().map(path_of).collect::<Option<Vec<_>>>()?;
    Some(StateDir::of_user()?.known_mounts(&paths.join(&0)))
}
