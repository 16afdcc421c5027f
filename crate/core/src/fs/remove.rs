//! Removing what the source does not have.

use std::mem::MaybeUninit;

use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;
use sparsync_proto::{Kind, Name, RelPath};

use super::root::{Access, Root};

/// Called for each entry that is removed.
pub(crate) type OnRemoved<'a> = dyn FnMut(&[u8], Kind) + 'a;

/// What a removal may do, and what it did.
#[derive(Default)]
pub(crate) struct Removal<'a> {
    /// Nothing is removed; it is only counted and told.
    pub(crate) dry_run: bool,
    /// How many entries may go.
    pub(crate) max: Option<u64>,
    /// Told of each entry.
    pub(crate) on_removed: Option<&'a mut OnRemoved<'a>>,
    /// Asked before each entry: true ends the removal.
    pub(crate) stop: Option<&'a (dyn Fn() -> bool + 'a)>,
    /// Files, symlinks and others removed.
    pub(crate) files: u64,
    /// Directories removed.
    pub(crate) directories: u64,
    /// Whether `max` kept something from being removed.
    pub(crate) limit_reached: bool,
    /// What could not be removed.
    pub(crate) failed: Vec<(Vec<u8>, Errno)>,
}

impl Removal<'_> {
    fn may_go_on(&mut self) -> bool {
        if self.max.is_some_and(|max| self.files + self.directories >= max) {
            self.limit_reached = true;
        }
        !self.limit_reached && !self.stop.is_some_and(|stop| stop())
    }

    fn removed(&mut self, path: &[u8], kind: Kind) {
        if kind == Kind::Directory {
            self.directories += 1;
        } else {
            self.files += 1;
        }
        if let Some(on_removed) = &mut self.on_removed {
            on_removed(path, kind);
        }
    }

    /// Removes one entry that is not a directory.
    fn unlink(&mut self, parent: &impl std::os::fd::AsFd, name: &[u8], path: &[u8], kind: Kind) {
        if !self.may_go_on() {
            return;
        }
        match if self.dry_run { Ok(()) } else { rustix::fs::unlinkat(parent, name, AtFlags::empty()) } {
            Ok(()) => self.removed(path, kind),
            Err(Errno::NOENT) => {}
            Err(error) => self.failed.push((path.to_vec(), error)),
        }
    }
}

/// Removes the entry at `path` below `root`, with all that is in it.
pub(crate) fn remove_tree(root: &Root, path: &RelPath, removal: &mut Removal<'_>) -> rustix::io::Result<()> {
    let Some((parent_path, name)) = path.split_last() else { return Err(Errno::INVAL) };
    let parent = root.open_directory(&parent_path, Access::Reach)?;
    let stat = match rustix::fs::statat(&parent, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    let kind = kind_of(FileType::from_raw_mode(stat.st_mode));
    if kind == Kind::Directory {
        drop(parent);
        remove_directory(root, path, removal);
    } else {
        removal.unlink(&parent, name.as_bytes(), path.as_bytes(), kind);
    }
    Ok(())
}

fn kind_of(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Special,
    }
}

/// Depth first. No descriptor is held while a sub-directory is removed, so depth is bounded by the path's cap alone.
fn remove_directory(root: &Root, path: &RelPath, removal: &mut Removal<'_>) {
    if !removal.may_go_on() {
        return;
    }
    let failed = removal.failed.len();
    match entries(root, path) {
        Ok((directory, found)) => {
            let (directories, others): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|(_, kind)| *kind == Kind::Directory);
            for (name, kind) in others {
                removal.unlink(&directory, &name, &path.join_bytes(&name), kind);
            }
            drop(directory);
            for (name, _) in directories {
                if let Ok(name) = Name::new(&name) {
                    remove_directory(root, &path.join(name), removal);
                }
            }
        }
        Err(error) => removal.failed.push((path.as_bytes().to_vec(), error)),
    }
    if removal.failed.len() > failed || !removal.may_go_on() {
        return;
    }
    let Some((parent, name)) = path.split_last() else { return };
    let removed = if removal.dry_run {
        Ok(())
    } else {
        root.open_directory(&parent, Access::Reach)
            .and_then(|parent| rustix::fs::unlinkat(&parent, name.as_bytes(), AtFlags::REMOVEDIR))
    };
    match removed {
        Ok(()) => removal.removed(path.as_bytes(), Kind::Directory),
        Err(Errno::NOENT) => {}
        Err(error) => removal.failed.push((path.as_bytes().to_vec(), error)),
    }
}

type Found = Vec<(Vec<u8>, Kind)>;

fn entries(root: &Root, path: &RelPath) -> rustix::io::Result<(std::os::fd::OwnedFd, Found)> {
    let directory = root.open_directory(path, Access::Read)?;
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8 << 10];
    let mut found = Found::new();
    let mut names = RawDir::new(&directory, &mut buffer);
    while let Some(entry) = names.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Not every file system says it here.
            FileType::Unknown => {
                let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        found.push((name.to_vec(), kind_of(kind)));
    }
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok((directory, found))
}
