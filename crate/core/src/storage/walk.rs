//! A tree, directory by directory, in the order that both ends share.

use sparsync_proto::{InForce, RelPath};

use super::scan::{Scan, ScanBuffers, ScanOptions, scan_directory};
use super::{CallError, Result, Storage};

/// A directory of the walk, or one that could not be listed.
pub(crate) enum WalkItem {
    /// It was listed.
    Listed(Box<Scan>),
    /// It was not, and nothing below it is known.
    Failed(RelPath, CallError),
}

/// Walks a tree in order. Holds no descriptor between directories, so depth costs nothing.
pub(crate) struct Walk<L> {
    list: L,
    recursive: bool,
    /// Directories, with the rules that are in force above them.
    pending: Vec<(RelPath, InForce)>,
}

/// Walks the tree below `root` from its top.
pub(crate) fn walk<'a>(
    root: &'a impl Storage,
    options: ScanOptions<'a>,
    recursive: bool,
) -> Walk<impl FnMut(&RelPath, &InForce) -> Result<Scan> + 'a> {
    let mut buffers = ScanBuffers::default();
    let list = move |path: &RelPath, above: &InForce| scan_directory(root, path, above, &options, &mut buffers);
    Walk::new(list, options.judge.above().clone(), recursive)
}

impl<L: FnMut(&RelPath, &InForce) -> Result<Scan>> Walk<L> {
    /// Starts at the top, above which rules are in force, with `list` to look at each directory.
    pub(crate) fn new(list: L, above: InForce, recursive: bool) -> Self {
        Self { list, recursive, pending: vec![(RelPath::root(), above)] }
    }

    /// Leaves out every directory that comes before `low_water_mark` and does not hold it.
    pub(crate) fn skip_before(&mut self, low_water_mark: &RelPath) {
        while self.pending.last().is_some_and(|(next, _)| next < low_water_mark && !low_water_mark.is_within(next)) {
            self.pending.pop();
        }
    }
}

impl<L: FnMut(&RelPath, &InForce) -> Result<Scan>> Iterator for Walk<L> {
    type Item = WalkItem;

    fn next(&mut self) -> Option<WalkItem> {
        let (path, above) = self.pending.pop()?;
        let scan = match (self.list)(&path, &above) {
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
        }
        Some(WalkItem::Listed(Box::new(scan)))
    }
}
