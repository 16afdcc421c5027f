//! A tree, directory by directory, in the order that both ends share.

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
    /// Directories, with the rules that are in force above them.
    pending: Vec<(RelPath, InForce)>,
    /// Of those, the ones where another file system begins.
    boundaries: Vec<(RelPath, Status)>,
    options: ScanOptions<'a>,
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
        let pending = vec![(RelPath::root(), options.judge.above().clone())];
        Self { list, recursive, pending, boundaries: Vec::new(), options }
    }

    /// Leaves out every directory that comes before `low_water_mark` and does not hold it.
    pub(crate) fn skip_before(&mut self, low_water_mark: &RelPath) {
        while self.pending.last().is_some_and(|(next, _)| next < low_water_mark && !low_water_mark.is_within(next)) {
            self.pending.pop();
        }
    }
}

impl<L: FnMut(&RelPath, &InForce) -> Result<Scan>> Iterator for Walk<'_, L> {
    type Item = WalkItem;

    fn next(&mut self) -> Option<WalkItem> {
        let (path, above) = self.pending.pop()?;
        if let Some((path, status)) = self.boundaries.pop_if(|(boundary, _)| *boundary == path) {
            return Some(WalkItem::Listed(Box::new(Scan::unlisted(path, &status, &self.options))));
        }
        let mut scan = match (self.list)(&path, &above) {
            Ok(scan) => scan,
            Err(error) => return Some(WalkItem::Failed(path, error)),
        };
        if self.recursive {
            let directories = scan.listing.entries().iter().rev();
            for entry in directories.filter(|entry| entry.kind == sparsync_proto::Kind::Directory) {
                if let Ok(name) = sparsync_proto::Name::new(scan.listing.name(entry)) {
                    self.pending.push((scan.path.join(name), scan.in_force.clone()));
                }
            }
            let mut boundaries = std::mem::take(&mut scan.boundaries);
            boundaries.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
            for (name, status) in boundaries {
                if let Ok(name) = sparsync_proto::Name::new(&name) {
                    self.boundaries.push((scan.path.join(name), status));
                }
            }
        }
        Some(WalkItem::Listed(Box::new(scan)))
    }
}
