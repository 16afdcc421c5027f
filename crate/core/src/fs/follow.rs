//! Symlinks that are taken for what they lead to: which of them, and how far they may lead.
//!
//! In an operator's own tree the system leads, wherever that is. Below a prefix of a served root each step is taken
//! from a directory that is held: a symlink is read and its names are walked like any others, so that none leads out,
//! whoever exchanges what on the way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use sparsync_proto::{HiddenPaths, Kind, Name, RelPath, is_unsafe_target};

use super::root::{Root, SEGMENT_BYTES_MAX, flags};
use super::status::kind_of;
use crate::storage::{Access, CallError, Result, TempName};

/// How many symlinks lead to one thing, as in the kernel.
const SYMLINKS_MAX: usize = 40;

/// A path leads out of the permitted tree. The error does not say whether anything is there.
const LEADS_OUT: CallError = CallError { call: "", errno: Errno::XDEV };

/// Which symlinks are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// All of them.
    pub(crate) all: bool,
    /// Those to directories.
    pub(crate) directories: bool,
    /// Symlinks that lead out of the tree by their text.
    pub(crate) unsafe_ones: bool,
}

/// The symlinks of a tree that are followed.
#[derive(Debug)]
pub(crate) struct Following {
    followed: Followed,
    /// How many names a run's paths have above the tree.
    above: usize,
    reach: Reach,
}

/// How far symlinks lead.
#[derive(Debug)]
pub(crate) enum Reach {
    /// Anywhere, from the tree's top.
    Anywhere,
    /// Below a directory.
    Below(Limit),
}

/// A directory that no symlink leads out of.
#[derive(Debug)]
pub(crate) struct Limit {
    /// The directory.
    pub(crate) top: Root,
    /// Its path below the served root.
    pub(crate) prefix: RelPath,
    /// The path of the tree.
    pub(crate) tree: RelPath,
    /// The paths that the operator hides.
    pub(crate) hidden: Option<Arc<HiddenPaths>>,
}

/// A directory in a tree in which symlinks are followed.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) following: Arc<Following>,
    /// The path below the tree's top.
    pub(super) path: RelPath,
    /// The path below the served root without symlinks, if there are symlinks on the way.
    pub(super) real: Option<RelPath>,
}

/// The entry that a path leads to: a name in a directory that is held, or the directory itself where the name is empty.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) directory: OwnedFd,
    pub(super) name: Vec<u8>,
    /// The path below the served root, without symlinks.
    real: Option<RelPath>,
}

impl Following {
    /// Follows `followed` symlinks of a tree. `above` is how many names the served root has above the paths of the run.
    pub(crate) fn new(followed: Followed, above: usize, reach: Reach) -> Self {
        Self { followed, above, reach }
    }

    /// Opens the directory at `path` below `root`, with its path below the served root where symlinks led to it.
    pub(super) fn open(&self, root: &Root, path: &RelPath, access: Access) -> Result<(OwnedFd, Option<RelPath>)> {
        match &self.reach {
            Reach::Anywhere => open_led(root.fd(), path, flags(access)).map(|fd| (fd, None)),
            Reach::Below(limit) => match root.open_unled(path, access) {
                Err(CallError { errno: Errno::LOOP | Errno::NOTDIR, .. }) => limit.open(path, access),
                opened => opened.map(|fd| (fd, None)),
            },
        }
    }

    /// Whether a symlink in the directory at `path` is followed wherever it leads.
    fn takes(&self, path: &RelPath, target: impl FnOnce() -> Result<Vec<u8>>) -> Result<bool> {
        let Followed { all, unsafe_ones, .. } = self.followed;
        Ok(all || unsafe_ones && is_unsafe_target(&target()?, self.above + path.components().count()))
    }
}

impl Place {
    /// The entry that stands for the symlink `name` of the directory `fd`; none where the symlink stands for itself.
    /// `target` gives where it leads.
    pub(super) fn led(
        &self,
        fd: BorrowedFd<'_>,
        name: &[u8],
        target: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Option<Led>> {
        if self.following.takes(&self.path, target)? {
            return self.lead(fd, name, OFlags::empty()).map(Some);
        }
        if !self.following.followed.directories {
            return Ok(None);
        }
        // A symlink whose target must not be looked at stays a symlink.
        Ok(self.lead(fd, name, OFlags::DIRECTORY).ok().filter(|led| led.name.is_empty()))
    }

    /// Opens the file that stands for the symlink `name`; none where the symlink stands for itself.
    pub(super) fn open_file(
        &self,
        fd: BorrowedFd<'_>,
        name: &[u8],
        flags: OFlags,
        target: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Option<OwnedFd>> {
        if !self.following.takes(&self.path, target)? {
            return Ok(None);
        }
        let opened = match &self.following.reach {
            Reach::Anywhere => rustix::fs::openat(fd, name, flags, Mode::empty()),
            Reach::Below(limit) => {
                let led = limit.lead(&self.whole(limit, name)?)?;
                rustix::fs::openat(&led.directory, &led.name, flags | OFlags::NOFOLLOW, Mode::empty())
            }
        };
        opened.map(Some).map_err(CallError::of("openat"))
    }

    /// Follows the entry `name` by the symlinks that it is made of. Symlinks on the way to the directory do not count.
    fn lead(&self, fd: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<Led> {
        match &self.following.reach {
            Reach::Anywhere => {
                let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
                let directory = rustix::fs::openat(fd, name, flags, Mode::empty()).map_err(CallError::of("openat"))?;
                Ok(Led { directory, name: Vec::new(), real: None })
            }
            Reach::Below(limit) => limit.lead(&self.whole(limit, name)?),
        }
    }

    /// The path of an entry below the served root.
    fn whole(&self, limit: &Limit, name: &[u8]) -> Result<RelPath> {
        let directory = self.real.clone().unwrap_or_else(|| limit.whole(&self.path));
        Name::new(name).map(|name| directory.join(name)).map_err(|_| Errno::INVAL.into())
    }

    /// Whether the operator hides the entry `name` of a directory that symlinks led to. The real path decides, since
    /// the path in the run may be another.
    pub(super) fn hides(&self, name: &[u8], kind: Kind) -> bool {
        let (Reach::Below(limit), Some(real), Ok(name)) = (&self.following.reach, &self.real, Name::new(name)) else {
            return false;
        };
        limit.hidden.as_ref().is_some_and(|hidden| hidden.hides_path(&real.join(name), kind))
    }
}

impl Limit {
    /// The path below the served root of one below the tree's top.
    fn whole(&self, path: &RelPath) -> RelPath {
        self.tree.join_path(path)
    }

    fn open(&self, path: &RelPath, access: Access) -> Result<(OwnedFd, Option<RelPath>)> {
        let led = self.lead(&self.whole(path))?;
        if !led.name.is_empty() {
            return Err(Errno::NOTDIR.into());
        }
        let opened = rustix::fs::openat(&led.directory, c".", flags(access), Mode::empty());
        opened.map(|fd| (fd, led.real)).map_err(CallError::of("openat"))
    }

    /// Walks a path below the served root name by name, and the targets of the symlinks on it.
    fn lead(&self, whole: &RelPath) -> Result<Led> {
        if !whole.is_within(&self.prefix) {
            return Err(LEADS_OUT);
        }
        let names = whole.components().skip(self.prefix.components().count());
        let mut todo: Vec<Vec<u8>> = names.map(|name| name.as_bytes().to_vec()).collect();
        todo.reverse();
        let mut real = self.prefix.clone();
        let mut at = self.top.open_unled(&RelPath::root(), Access::Reach)?;
        let mut symlinks = 0;
        while let Some(name) = todo.pop() {
            if name == b"." {
                continue;
            }
            if name == b".." {
                let above = real.split_last().map(|(above, _)| above).filter(|above| above.is_within(&self.prefix));
                real = above.ok_or(LEADS_OUT)?;
                at = self.top.open_unled(&self.below(&real), Access::Reach)?;
                continue;
            }
            let next = real.join(Name::new(&name).map_err(|_| Errno::NAMETOOLONG)?);
            let found = look(at.as_fd(), &name);
            let kind = found.as_ref().map_or(Kind::Directory, |(_, kind)| *kind);
            if self.hidden.as_ref().is_some_and(|hidden| hidden.hides_path(&next, kind)) {
                return Err(LEADS_OUT);
            }
            let (fd, kind) = found?;
            match kind {
                Kind::Symlink => {
                    symlinks += 1;
                    let target = rustix::fs::readlinkat(&fd, c"", Vec::new()).map_err(CallError::of("readlinkat"))?;
                    if symlinks > SYMLINKS_MAX {
                        return Err(Errno::LOOP.into());
                    }
                    if target.as_bytes().starts_with(b"/") {
                        return Err(LEADS_OUT);
                    }
                    // A slash at the end means the content of a directory.
                    let names = target.as_bytes().split(|&byte| byte == b'/').rev();
                    todo.extend(names.map(|name| if name.is_empty() { b"." } else { name }.to_vec()));
                }
                Kind::Directory => (at, real) = (fd, next),
                Kind::File | Kind::Fifo | Kind::Socket | Kind::BlockDevice | Kind::CharDevice | Kind::Special => {
                    let led = || Led { directory: at, name, real: Some(next) };
                    return if todo.is_empty() { Ok(led()) } else { Err(Errno::NOTDIR.into()) };
                }
            }
        }
        Ok(Led { directory: at, name: Vec::new(), real: Some(real) })
    }

    /// The path below the limit of one below the served root.
    fn below(&self, real: &RelPath) -> RelPath {
        let names = real.components().skip(self.prefix.components().count());
        names.fold(RelPath::root(), |path, name| path.join(name))
    }
}

/// Opens the entry `name` without following it. Unfinished files count as missing.
fn look(at: BorrowedFd<'_>, name: &[u8]) -> Result<(OwnedFd, Kind)> {
    if TempName::parse(name).is_some() {
        return Err(Errno::NOENT.into());
    }
    let reached = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(at, name, reached, Mode::empty()).map_err(CallError::of("openat"))?;
    let found = rustix::fs::fstat(&fd).map_err(CallError::of("fstat"))?;
    Ok((fd, kind_of(FileType::from_raw_mode(found.st_mode))))
}

/// Opens a path below a directory, following what the system follows. The path may be longer than one call takes.
fn open_led(top: BorrowedFd<'_>, path: &RelPath, flags: OFlags) -> Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    let mut rest = path.as_bytes();
    while rest.len() > SEGMENT_BYTES_MAX {
        let cut = rest[..SEGMENT_BYTES_MAX].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
        let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let here = at.as_ref().map_or(top, AsFd::as_fd);
        at = Some(rustix::fs::openat(here, &rest[..cut], way, Mode::empty()).map_err(CallError::of("openat"))?);
        rest = &rest[cut + 1..];
    }
    let here = at.as_ref().map_or(top, AsFd::as_fd);
    let rest = if rest.is_empty() { b"." } else { rest };
    rustix::fs::openat(here, rest, flags | OFlags::CLOEXEC, Mode::empty()).map_err(CallError::of("openat"))
}

#[cfg(test)]
mod tests {
    use super::{Followed, Following, Limit, Reach};
    use crate::fs::{Root, View};
    use crate::storage::{Access, Directory, Errno, File, NO_REFERENT, Storage};
    use sparsync_proto::{HiddenPaths, Kind, RelPath};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::Arc;

    /// A tree in `in/tree` of which symlinks lead no further than `in`, where `no` and `gone` are hidden.
    fn limited(top: &Path, has_openat2: bool) -> Root {
        let served = Root::open(top.as_os_str().as_bytes()).unwrap();
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let (prefix, tree) = (path(b"in"), path(b"in/tree"));
        let hidden = Some(Arc::new(HiddenPaths::new(&[b"no".to_vec(), b"gone".to_vec()]).unwrap()));
        let limit = Limit { top: served.descend(&prefix).unwrap(), prefix, tree: tree.clone(), hidden };
        limit.top.pretend(has_openat2);
        let followed = Followed { all: true, ..Followed::default() };
        let following = Some(Arc::new(Following::new(followed, 0, Reach::Below(limit))));
        let root = served.descend(&tree).unwrap().with_view(View { following, ..View::default() });
        root.pretend(has_openat2);
        root
    }

    fn grow(top: &Path) {
        for path in ["in/tree/a/b", "in/beside", "in/no", "out"] {
            std::fs::create_dir_all(top.join(path)).unwrap();
        }
        for path in ["in/tree/a/b/f", "in/beside/f", "in/no/f", "out/f"] {
            std::fs::write(top.join(path), path).unwrap();
        }
        for (target, path) in [
            ("a/b", "dir"),
            ("dir/f", "file"),
            ("../beside", "beside"),
            ("beside/../tree/file", "chain"),
            ("../../out", "out"),
            ("../../out/f", "outfile"),
            ("../../out/none", "outnone"),
            ("../../in/beside/f", "round"),
            ("/in/beside/f", "absolute"),
            ("../no/f", "hidden"),
            ("../gone", "hidden-or-not"),
            ("none", "dangling"),
            ("loop", "loop"),
            ("file/x", "through"),
            ("file/", "slash"),
            ("..", "up"),
        ] {
            symlink(target, top.join("in/tree").join(path)).unwrap();
        }
    }

    #[test]
    fn no_symlink_leads_out_of_a_limit_with_and_without_openat2() {
        let top = tempfile::tempdir().unwrap();
        grow(top.path());
        for has_openat2 in [true, false] {
            let root = limited(top.path(), has_openat2);
            let open = root.open(&RelPath::root(), Access::Read).unwrap();
            let status =
                |name: &str| open.status(name.as_bytes()).map(|status| status.kind).map_err(|error| error.errno);
            let read = |name: &str| {
                let mut content = Vec::with_capacity(100);
                open.open_file(name.as_bytes()).unwrap().read(&mut content, 0).unwrap();
                String::from_utf8(content).unwrap()
            };
            for (name, content) in [("file", "in/tree/a/b/f"), ("chain", "in/tree/a/b/f")] {
                assert_eq!(status(name), Ok(Kind::File), "{name}");
                assert_eq!(read(name), content, "{name}");
            }
            assert_eq!(
                (status("dir"), status("beside"), status("up")),
                (Ok(Kind::Directory), Ok(Kind::Directory), Ok(Kind::Directory))
            );
            for name in ["out", "outfile", "outnone", "round", "absolute", "hidden", "hidden-or-not"] {
                assert_eq!(status(name), Err(Errno::XDEV), "{name}");
                assert!(open.open_file(name.as_bytes()).is_err(), "{name}");
            }
            assert_eq!(status("dangling"), Err(NO_REFERENT.errno));
            assert_eq!(status("loop"), Err(Errno::LOOP));
            assert_eq!((status("through"), status("slash")), (Err(Errno::NOTDIR), Err(Errno::NOTDIR)));

            let directory = |path: &str| root.open(&RelPath::new(path.as_bytes()).unwrap(), Access::Read);
            assert_eq!(directory("dir").unwrap().status(b"f").unwrap().kind, Kind::File);
            assert_eq!(directory("up/tree/dir").unwrap().status(b"f").unwrap().kind, Kind::File);
            assert_eq!(directory("out").unwrap_err().errno, Errno::XDEV);
            // A path is hidden by its place in the root, whichever way leads there.
            let up = directory("up").unwrap();
            let mut names = Vec::new();
            up.names(&mut [std::mem::MaybeUninit::uninit(); 1024], |name, _| {
                names.push(name.to_bytes().to_vec());
                Ok(())
            })
            .unwrap();
            names.sort();
            assert_eq!(names, [b"beside".to_vec(), b"tree".to_vec()]);
            assert_eq!(up.status(b"no").unwrap_err().errno, Errno::NOENT);
            assert_eq!(directory("up/no").unwrap_err().errno, Errno::XDEV);
        }
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_followed() {
        let top = tempfile::tempdir().unwrap();
        let mut root = Root::open(top.path().as_os_str().as_bytes()).unwrap();
        let path = RelPath::new([&b"d".repeat(200)[..]; 30].join(&b'/').as_slice()).unwrap();
        let mut at = RelPath::root();
        for name in path.components() {
            let above = root.open_directory(&at, Access::Reach).unwrap();
            rustix::fs::mkdirat(&above, name.as_bytes(), 0o755.into()).unwrap();
            at = at.join(name);
        }
        let bottom = root.open_directory(&path, Access::Reach).unwrap();
        rustix::fs::symlinkat(c".", &bottom, c"l").unwrap();
        let followed = Followed { directories: true, ..Followed::default() };
        let following = Some(Arc::new(Following::new(followed, 0, Reach::Anywhere)));
        root = root.with_view(View { following, ..View::default() });
        assert_eq!(root.open(&path, Access::Read).unwrap().status(b"l").unwrap().kind, Kind::Directory);
        let top = path.components().next().unwrap();
        crate::storage::remove_tree(&root, &RelPath::root().join(top), &mut crate::storage::Removal::default())
            .unwrap();
    }
}
