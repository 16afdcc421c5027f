//! Walks a tree, directory by directory, in the order that both ends share.

use sparsync_proto::{InForce, RelPath};

use super::scan::{Scan, ScanBuffers, ScanOptions, scan_directory};
use super::{CallError, Result, Status, Storage};

/// A directory of the walk, or one that could not be listed.
pub(crate) enum WalkItem {
    /// It was listed.
    Listed(Box<Scan>),
    /// It was not, and nothing below it is known.
    Failed(RelPath, CallError),
}

/// Walks a tree in order. Holds no descriptor between directories, so depth costs nothing.
pub(crate) struct Walk<'a, L> {
    list: L,
    recursive: bool,
    pending: Vec<Pending>,
    options: ScanOptions<'a>,
}

/// A directory that the walk has yet to come to.
struct Pending {
    path: RelPath,
    /// The rules that are in force above it.
    above: InForce,
    /// The status of a directory on which another file system is mounted, if that is not entered.
    boundary: Option<Box<Status>>,
}

/// Walks the tree below `root` from its top.
pub(crate) fn walk<'a>(
    root: &'a impl Storage,
    options: ScanOptions<'a>,
    recursive: bool,
) -> Walk<'a, impl FnMut(&RelPath, &InForce) -> Result<Scan> + 'a> {
    let mut buffers = ScanBuffers::default();
    let list = move |path: &RelPath, above: &InForce| scan_directory(root, path, above, &options, &mut buffers);
    Walk::new(list, options, recursive)
}

impl<'a, L: FnMut(&RelPath, &InForce) -> Result<Scan>> Walk<'a, L> {
    /// Starts at the top, with `list` to look at each directory as `options` say.
    pub(crate) fn new(list: L, options: ScanOptions<'a>, recursive: bool) -> Self {
        let top = Pending { path: RelPath::root(), above: options.judge.above().clone(), boundary: None };
        Self { list, recursive, pending: vec![top], options }
    }

    /// Leaves out every directory that comes before `low_water_mark` and does not hold it.
    pub(crate) fn skip_before(&mut self, low_water_mark: &RelPath) {
        while self
            .pending
            .last()
            .is_some_and(|Pending { path, .. }| path < low_water_mark && !low_water_mark.is_within(path))
        {
            self.pending.pop();
        }
    }
}

impl<L: FnMut(&RelPath, &InForce) -> Result<Scan>> Iterator for Walk<'_, L> {
    type Item = WalkItem;

    fn next(&mut self) -> Option<WalkItem> {
        let Pending { path, above, boundary } = self.pending.pop()?;
        if let Some(status) = boundary {
            return Some(WalkItem::Listed(Box::new(Scan::unlisted(path, &status, &self.options))));
        }
        let mut scan = match (self.list)(&path, &above) {
            Ok(scan) => scan,
            Err(error) => return Some(WalkItem::Failed(path, error)),
        };
        if self.recursive {
            let mut boundaries = std::mem::take(&mut scan.boundaries);
            let first = self.pending.len();
            let directories = scan.listing.entries().iter().rev();
            for entry in directories.filter(|entry| entry.kind == sparsync_proto::Kind::Directory) {
                let Ok(name) = sparsync_proto::Name::new(scan.listing.name(entry)) else { continue };
                let at = boundaries.iter().position(|(boundary, _)| boundary == name.as_bytes());
                let boundary = at.map(|at| Box::new(boundaries.swap_remove(at).1));
                self.pending.push(Pending { path: scan.path.join(name), above: scan.in_force.clone(), boundary });
            }
            // A name that goes on with a byte below `/` comes before the name that it goes on from.
            self.pending[first..].sort_by(|a, b| b.path.cmp(&a.path));
        }
        Some(WalkItem::Listed(Box::new(scan)))
    }
}
