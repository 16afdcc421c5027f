//! Directories that options of a run name: where backups are kept, where files are until they are
//! complete, and what is compared with.
//!
//! One's own are found as the system finds them, from the destination on. On a server they lie below the prefix of the
//! key, and neither `..` nor a symlink leads out of it.

use std::sync::Arc;

use rustix::io::Errno;
use sparsync_proto::{Directories, HiddenPaths, Kind, RelPath, Request, resolved};

use crate::engine::{Basis, BasisUse, HidesBasis, PartialPlace};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Root, below};
use crate::prepare::{Destination, open_own};
use crate::storage::{BackupPlace, CallError, TempName};
use crate::views::{Stored, aside as seen};

/// Where paths of options begin.
pub(crate) enum Base<'a> {
    /// At the operator's own destination.
    Own(&'a [u8]),
    /// At a destination below a served root.
    Served {
        root: &'a Root,
        destination: &'a RelPath,
        /// The prefix that the key reaches.
        prefix: RelPath,
        hidden: &'a Arc<HiddenPaths>,
    },
}

/// The suffix that rsync gives to backups beside their originals.
const SUFFIX: &[u8] = b"~";

/// Opens the directories that a request names, for its destination.
pub(crate) fn open(destination: &mut Destination, request: &Request, base: &Base<'_>, stored: Stored) -> Result<()> {
    open_bases(destination, request, base, stored)?;
    if !request.partial_dir.is_empty() {
        destination.aside.partials = Some(partials(destination, &request.partial_dir, base, stored)?);
    }
    if !request.temp_dir.is_empty() {
        let found = find(destination, base, &request.temp_dir, "tempDir")?;
        if !found.path.is_root() {
            let error = Error::new(ErrorKind::NotFound, "tempDir: the directory for unfinished files does not exist");
            return Err(error.at(&request.temp_dir).with("option", "tempDir".to_owned()));
        }
        destination.aside.staging = Some(seen(found.top, stored));
    }
    if !request.backup {
        return Ok(());
    }
    may_name_anything(base, "backup").map_err(|error| error.at(&request.backup_dir))?;
    let (aside, inside) = match &request.backup_dir[..] {
        b"" => (None, None),
        path => {
            let place = find(destination, base, path, "backupDir")?;
            if let Some(first) = place.path.components().next()
                && crate::fs::status(place.top.fd(), first.as_bytes()).is_ok_and(|found| found.kind != Kind::Directory)
            {
                let error = Error::new(ErrorKind::Config, "backupDir: the directory for backups is not a directory");
                return Err(error.at(path).with("option", "backupDir".to_owned()));
            }
            let inside = inside(destination, base, &place);
            // In that directory a backup has the path of its original.
            if !inside.as_ref().is_some_and(RelPath::is_root) {
                (Some((seen(place.top, stored), place.path)), inside)
            } else if request.suffix.as_ref().is_none_or(Vec::is_empty) {
                const WHY: &str = "backupDir: backups in the destination itself need a suffix";
                return Err(Error::new(ErrorKind::Config, WHY).at(path));
            } else {
                (None, None)
            }
        }
    };
    let suffix = request.suffix.clone().unwrap_or_else(|| if aside.is_none() { SUFFIX.to_vec() } else { Vec::new() });
    let deletes_backups = request.deletion.excluded;
    let keeps_acls = request.attributes.acls;
    destination.aside.backups = Some(BackupPlace { aside, inside, suffix, deletes_backups, keeps_acls });
    Ok(())
}

/// Refuses options that let entries get names which the request does not tell, where the operator hides some names.
fn may_name_anything(base: &Base<'_>, option: &'static str) -> Result<()> {
    match base {
        Base::Served { hidden, .. } if !hidden.is_empty() => Err(might_be_hidden(option, "names")),
        Base::Served { .. } | Base::Own(_) => Ok(()),
    }
}

/// The refusal of an option by which a run `does` something to paths that the request does not tell, where the operator
/// hides some.
pub(crate) fn might_be_hidden(option: &'static str, does: &str) -> Error {
    let message = format!("{option}: the operator hides paths of this root, and what it {does} might be one of them");
    Error::new(ErrorKind::Scope, message).with("option", option.to_owned())
}

/// The place of partial files: a relative path is a directory in each directory.
fn partials(destination: &Destination, path: &[u8], base: &Base<'_>, stored: Stored) -> Result<PartialPlace<Root>> {
    if path.starts_with(b"/") {
        let Found { top, path, .. } = find(destination, base, path, "partialDir")?;
        return Ok(PartialPlace::One(seen(top, stored), path));
    }
    may_name_anything(base, "partialDir").map_err(|error| error.at(path))?;
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    let below = RelPath::new(&names.join(&b'/')).ok().filter(|below| !below.is_root() && !TempName::is_in(below));
    below.map(PartialPlace::Each).ok_or_else(|| {
        Error::new(ErrorKind::Config, "partialDir: a relative path must lead to a directory below").at(path)
    })
}

/// How an entry is made that a basis has as the source has it, in a run with such directories.
pub(crate) fn basis_use(request: &Request) -> Option<BasisUse> {
    let like_newest = if request.snapshot.reflinks { BasisUse::Reflink } else { BasisUse::Link };
    let newest = request.snapshot.links_newest.then_some(like_newest);
    bases(request).map(|(how, ..)| how).or(newest)
}

/// The directories to compare with, and the option that names them.
fn bases(request: &Request) -> Option<(BasisUse, &Directories, &'static str)> {
    let all = [
        (BasisUse::Compare, &request.compare_dest, "compareDest"),
        (BasisUse::Copy, &request.copy_dest, "copyDest"),
        (BasisUse::Reflink, &request.reflink_dest, "reflinkDest"),
        (BasisUse::Link, &request.link_dest, "linkDest"),
    ];
    all.into_iter().find(|(_, list, _)| !list.is_empty())
}

fn open_bases(destination: &mut Destination, request: &Request, base: &Base<'_>, stored: Stored) -> Result<()> {
    let Some((_, list, option)) = bases(request) else { return Ok(()) };
    for path in list.iter() {
        let Found { top, path: rest, served } = find(destination, base, path, option)?;
        if !rest.is_root() {
            destination.aside.missing_basis.push(path.to_vec());
            continue;
        }
        let hides = match (base, served) {
            (Base::Served { hidden, .. }, Some(full)) => {
                let hidden = Arc::clone(hidden);
                let hides = move |path: &RelPath, kind| hidden.hides_path(&full.join_path(path), kind);
                Some(Box::new(hides) as HidesBasis)
            }
            _ => None,
        };
        destination.aside.basis.push(Basis { root: seen(top, stored), hides });
    }
    Ok(())
}

/// A directory that an option names: the part of it that exists, and the names that are missing.
struct Found {
    top: Root,
    path: RelPath,
    /// Its whole path below a served root.
    served: Option<RelPath>,
}

fn find(destination: &Destination, base: &Base<'_>, path: &[u8], option: &'static str) -> Result<Found> {
    let refuse =
        |kind, why: &str| Err(Error::new(kind, format!("{option}: {why}")).at(path).with("option", option.to_owned()));
    match base {
        Base::Own(given) => {
            let from = destination.root.as_ref().and_then(|root| root.absolute_path().ok());
            let full = if path.starts_with(b"/") {
                path.to_vec()
            } else {
                // A missing destination has no symlinks, so `..` can be resolved in the text.
                from.map_or_else(|| plain(&[given, &b"/"[..], path].concat()), |from| [&from, &b"/"[..], path].concat())
            };
            let (top, path) = open_own(&full, Root::reach_trusted)?;
            Ok(Found { top, path, served: None })
        }
        Base::Served { root, destination, prefix, hidden } => {
            let Some(full) = served_path(destination, prefix, path) else {
                return refuse(ErrorKind::Scope, "the path leads out of what the key may use");
            };
            if TempName::is_in(&full) || hidden.hides_path(&full, Kind::Directory) {
                return refuse(ErrorKind::Scope, "the key may not use this path");
            }
            match root.reach_existing(&full) {
                Ok((top, path)) => Ok(Found { top, path, served: Some(full) }),
                Err((CallError { errno: Errno::NOENT, .. }, _)) => {
                    refuse(ErrorKind::NotFound, "the root does not exist")
                }
                Err((CallError { errno: Errno::NOTDIR | Errno::LOOP | Errno::XDEV, .. }, _)) => {
                    refuse(ErrorKind::Scope, "the path leads through what is no directory")
                }
                Err((error, _)) => Err(Error::io("cannot open a directory", path, error.into())),
            }
        }
    }
}

/// An absolute path without `.` and `..`.
fn plain(path: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    [&b"/"[..], &names.join(&b'/')].concat()
}

/// The path below a served root, which is at or below the prefix; an absolute one begins at the prefix. `..` is
/// resolved in the text: no symlink is followed.
fn served_path(destination: &RelPath, prefix: &RelPath, path: &[u8]) -> Option<RelPath> {
    let start = if path.starts_with(b"/") { prefix } else { destination };
    let below = [b"./", path].concat();
    let full = resolved(start.as_bytes(), &below)?;
    RelPath::new(&full).ok().filter(|full| full.is_within(prefix))
}

/// The path that a directory has in the destination, if it lies there.
fn inside(destination: &Destination, base: &Base<'_>, found: &Found) -> Option<RelPath> {
    if let (Base::Served { destination, .. }, Some(full)) = (base, &found.served) {
        return full.below(destination);
    }
    let top = found.top.absolute_path().ok()?;
    let full = [&top[..], if found.path.is_root() { b"" } else { b"/" }, found.path.as_bytes()].concat();
    let own = destination.root.as_ref()?.absolute_path().ok()?;
    below(&full, &own).and_then(|path| RelPath::new(path).ok())
}

#[cfg(test)]
mod tests {
    use super::{plain, served_path};
    use sparsync_proto::RelPath;

    #[test]
    fn no_path_of_an_option_leaves_the_prefix() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let (destination, prefix) = (path(b"laptop/home/tree"), path(b"laptop/home"));
        for (given, expected) in [
            (&b"../old"[..], Some(&b"laptop/home/old"[..])),
            (b"old/./x//", Some(b"laptop/home/tree/old/x")),
            (b"/old", Some(b"laptop/home/old")),
            (b"..", Some(b"laptop/home")),
            (b"../..", None),
            (b"../../other", None),
            (b"../../../../home", None),
            (b"/../x", None),
            (b"x/../../../../etc", None),
            (b"../../homes", None),
        ] {
            let found = served_path(&destination, &prefix, given);
            assert_eq!(found, expected.map(path), "{}", given.escape_ascii());
        }
        assert_eq!(plain(b"/a/b/../c/./d//"), b"/a/c/d");
    }
}
