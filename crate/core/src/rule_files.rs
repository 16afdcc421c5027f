//! Files of filter rules that do not lie in the directories that a run walks: above its trees, or named by another
//! file.

use std::sync::Arc;

use sparsync_proto::{
    End, Filter, FilterRules, HiddenPaths, Hiding, Kind, Matcher, Name, RelPath, Request, Symlinks, TreeTop, resolved,
};

use crate::error::{Error, Result};
use crate::fs::{Root, below, trusts};
use crate::sources::Source;
use crate::storage::{self, Access, CallError, Directory as _, Errno, Judge, RulePlaces, Storage as _, read_rules};

/// How many symlinks lead to one file.
const SYMLINKS_MAX: usize = 40;

/// Where files of rules may be read, and where the paths of trees begin.
pub(crate) enum Place<'a> {
    /// Anywhere on this machine, by its operator.
    Own,
    /// Below a prefix of a served root, by a key.
    Served {
        /// The root.
        root: &'a Root,
        /// The prefix of the key that covers a path of the root.
        prefix_of: &'a dyn Fn(&RelPath) -> Option<RelPath>,
        /// The paths that the operator hides.
        hidden: &'a Arc<HiddenPaths>,
    },
}

/// The files of one file system, or of one served root.
#[derive(Debug)]
struct Files {
    top: Root,
    /// For each tree the path below which files may be read.
    prefixes: Vec<Option<RelPath>>,
    hidden: Option<Arc<HiddenPaths>>,
}

impl Files {
    /// The directory of a path, and the name there, if it may be looked at.
    fn place<'a>(&self, prefix: &RelPath, path: &'a RelPath) -> Option<(RelPath, Name<'a>)> {
        path.split_last().filter(|_| path.is_within(prefix) && !self.is_hidden(path))
    }

    fn is_hidden(&self, path: &RelPath) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| hidden.hides_path(path, Kind::File))
    }
}

impl RulePlaces for Files {
    fn read(&self, tree: usize, path: &[u8], symlinks: Symlinks) -> storage::Result<Option<Vec<u8>>> {
        let Some(Some(prefix)) = self.prefixes.get(tree) else { return Ok(None) };
        let mut path = path.to_vec();
        for _ in 0..SYMLINKS_MAX {
            let Ok(at) = RelPath::new(&path) else { return Ok(None) };
            let Some((directory, name)) = self.place(prefix, &at) else { return Ok(None) };
            let open = match self.top.open(&directory, Access::Reach) {
                Ok(open) => open,
                Err(CallError { errno: Errno::NOENT | Errno::NOTDIR, .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            match open.open_file(name.as_bytes()).and_then(|file| read_rules(&file)) {
                Err(error @ CallError { errno: Errno::LOOP, .. }) => {
                    if symlinks == Symlinks::Refused || !trusts(open.status(name.as_bytes())?.meta.uid) {
                        return Err(error);
                    }
                    let target = open.read_link(name.as_bytes())?;
                    match resolved(directory.as_bytes(), &target) {
                        Some(target) => path = target,
                        None => return Ok(None),
                    }
                }
                Err(CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::NXIO, .. }) => return Ok(None),
                read => return read,
            }
        }
        Err(Errno::LOOP.into())
    }

    fn trusts(&self, uid: u32) -> bool {
        trusts(uid)
    }

    fn hides(&self, path: &[u8]) -> bool {
        RelPath::new(path).is_ok_and(|path| self.is_hidden(&path))
    }

    fn exists(&self, tree: usize, path: &[u8]) -> bool {
        let (Some(Some(prefix)), Ok(path)) = (self.prefixes.get(tree), RelPath::new(path)) else { return false };
        let Some((directory, name)) = self.place(prefix, &path) else { return false };
        self.top.open(&directory, Access::Reach).and_then(|open| open.status(name.as_bytes())).is_ok()
    }
}

fn failed(error: CallError) -> Error {
    Error::io("cannot find the path of a tree", b"", error.into())
}

/// The path of a tree below the absolute path `above`.
pub(crate) fn tree_path(root: &Root, above: &[u8]) -> Result<RelPath> {
    let absolute = root.absolute_path().map_err(failed)?;
    let path = below(&absolute, above).and_then(|path| RelPath::new(path).ok());
    path.ok_or_else(|| failed(Errno::XDEV.into()))
}

/// The judge of an end of `request`, whose trees are `roots`: each with how many names lead to it from the top, and
/// whether it is one entry of its directory.
fn judge<'a>(
    (request, end): (&Request, End),
    roots: impl Iterator<Item = (&'a Root, usize, bool)>,
    place: &Place<'_>,
) -> Result<Judge> {
    let hidden = match place {
        Place::Served { hidden, .. } if !hidden.is_empty() => Some(Arc::clone(hidden)),
        Place::Served { .. } | Place::Own => None,
    };
    let mut matcher = request.matcher(end);
    if let Some(hidden) = &hidden {
        matcher = Box::new(Hiding::new(Arc::clone(hidden), matcher));
    }
    if !matcher.ends_differ() {
        return Ok(Judge::new(matcher));
    }
    let top = match place {
        Place::Own => Root::reach(b"/"),
        Place::Served { root, .. } => root.descend_to_reach(&RelPath::root()),
    };
    let top = top.map_err(failed)?;
    let above = top.absolute_path().map_err(failed)?;
    let mut tops = Vec::new();
    let mut prefixes = Vec::new();
    for (root, inside, is_entry) in roots {
        let path = tree_path(root, &above)?;
        prefixes.push(match place {
            Place::Own => Some(RelPath::root()),
            Place::Served { prefix_of, .. } => prefix_of(&path),
        });
        tops.push(TreeTop { path: path.into_bytes(), inside, is_entry });
    }
    Judge::of_trees(matcher, tops, Box::new(Files { top, prefixes, hidden })).map_err(|error| Error::bad_rules(&error))
}

/// The judge of a sender.
pub(crate) fn judge_of_source(source: &Source, request: &Request, place: &Place<'_>) -> Result<Judge> {
    let is_single = source.file_name.is_some();
    let roots =
        source.root.parts().iter().map(|part| (&*part.root, part.above.len(), is_single || part.name.is_some()));
    let judge = judge((request, End::Sender), roots, place)?;
    let protects = || Filter::new(&request.filter, End::Receiver, None);
    // A directory that is only passed over is told of.
    let prunes = request.prune_empty_dirs && request.carries_directories();
    Ok(judge.pruning(prunes.then(|| Box::new(protects()) as Box<dyn Matcher>)))
}

/// The judge of a batch, as a source from which everything is sent. The request is that of the batch's run.
pub(crate) fn judge_of_batch(request: &Request) -> Judge {
    let (filter, gitignore) = (FilterRules::default(), false);
    Judge::new(Request { filter, gitignore, ..request.clone() }.matcher(End::Sender))
}

/// The judge of a receiver, whose destination may be missing.
pub(crate) fn judge_of_destination(root: Option<&Root>, request: &Request, place: &Place<'_>) -> Result<Judge> {
    match root {
        Some(root) => judge((request, End::Receiver), std::iter::once((root, 0, false)), place),
        None => Ok(Judge::new(request.matcher(End::Receiver))),
    }
}
