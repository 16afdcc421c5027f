//! Directories that hold nothing but directories, which a run may leave out: looked for ahead of the walk
//! ([ADR 0021](../../../../docs/adr/0021-empty-directories-are-looked-for-ahead.md)).

use std::collections::HashMap;
use std::mem::MaybeUninit;

use sparsync_proto::{At, InForce, Issue, IssueKind, Kind, Name, RelPath, RuleFileError};

use super::scan::{ScanOptions, unseen};
use super::temp::TempName;
use super::{Access, CallError, Directory, Errno, Result, Storage};

/// Looks into directories before the walk comes to them. The directories on its way to the first entry that is no
/// directory are remembered until the walk asks, so that none is looked at again for each one above it.
#[derive(Default)]
pub(super) struct Pruner {
    /// Whether directories that the walk has yet to come to hold anything besides directories.
    known: HashMap<RelPath, bool>,
    names: Vec<MaybeUninit<u8>>,
    /// Issues of directories that could not be looked at.
    issues: Vec<Issue>,
}

/// The most directories that are looked at for one of the walk. A directory with more below it, which mostly comes of
/// symlinks that lead in circles, counts as one that leads to something, so that a run can be stopped between two of
/// them.
const LOOKED_AT_MAX: usize = 20_000;

/// A directory with nothing but directories in it, as far as they have been looked at.
struct Level {
    path: RelPath,
    in_force: InForce,
    /// Its directories that have yet to be looked at.
    left: Vec<Vec<u8>>,
    /// Directories that hold nothing but directories.
    empty: Vec<RelPath>,
    /// Everything could be looked at.
    is_sure: bool,
}

/// What was found in a directory.
enum Inside {
    /// Something besides directories, or a directory that is carried whatever it holds.
    Something,
    /// At most directories.
    Directories(Level),
}

/// Where a run looks.
type Place<'a, S> = (&'a S, &'a ScanOptions<'a>);

impl Pruner {
    /// Whether something besides directories is below the directory at `path`, and the issues of those that could not
    /// be looked at. `above` are the rules in the directory that holds it.
    pub(super) fn leads_to_something(
        &mut self,
        place: Place<'_, impl Storage>,
        path: RelPath,
        above: &InForce,
    ) -> std::result::Result<(bool, Vec<Issue>), RuleFileError> {
        if let Some(known) = self.known.remove(&path) {
            return Ok((known, Vec::new()));
        }
        let found = self.search(place, path, above)?;
        let issues = std::mem::take(&mut self.issues);
        // A directory that leads to something is walked later, and the walk tells its issues itself.
        Ok((found, if found { Vec::new() } else { issues }))
    }

    fn search(
        &mut self,
        place: Place<'_, impl Storage>,
        path: RelPath,
        above: &InForce,
    ) -> std::result::Result<bool, RuleFileError> {
        let mut levels = match self.look(place, path, above)? {
            Inside::Something => return Ok(true),
            Inside::Directories(level) => vec![level],
        };
        let mut looked_at = 0;
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.left.pop() else {
                let done = levels.pop();
                if let (Some(done), Some(above)) = (done, levels.last_mut()) {
                    above.is_sure &= done.is_sure;
                    if done.is_sure {
                        above.empty.push(done.path);
                    }
                }
                continue;
            };
            let Ok(name) = Name::new(&name) else { continue };
            let path = level.path.join(name);
            looked_at += 1;
            if looked_at > LOOKED_AT_MAX {
                return Ok(true);
            }
            match self.look(place, path.clone(), &level.in_force)? {
                Inside::Directories(below) => levels.push(below),
                Inside::Something => {
                    self.known.insert(path, true);
                    for (depth, level) in levels.into_iter().enumerate() {
                        self.known.extend(level.empty.into_iter().map(|path| (path, false)));
                        // The walk is at the first of them.
                        if depth > 0 {
                            self.known.insert(level.path, true);
                        }
                    }
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Looks at the names of one directory, no further than to the first that is no directory.
    fn look(
        &mut self,
        (root, options): Place<'_, impl Storage>,
        path: RelPath,
        above: &InForce,
    ) -> std::result::Result<Inside, RuleFileError> {
        let mut level =
            Level { path, in_force: InForce::default(), left: Vec::new(), empty: Vec::new(), is_sure: true };
        let judge = options.judge;
        if !judge.matcher.lists(&level.path) {
            return Ok(Inside::Directories(level));
        }
        let directory = match root.open(&level.path, Access::Read) {
            Ok(directory) => directory,
            Err(error) => return Ok(self.unread(level, error)),
        };
        let told = self.issues.len();
        level.in_force = judge.enter(&directory, &level.path, above, &mut self.issues)?;
        self.names.resize(32 << 10, MaybeUninit::uninit());
        let mut something = false;
        let at = At::new(&level.path, &level.in_force);
        let by_tree = judge.matcher.ends_differ();
        let listed = directory.names(&mut self.names, |name, known| {
            let name = name.to_bytes();
            if TempName::parse(name).is_some() {
                return Ok(());
            }
            if by_tree {
                at.set_tree(directory.tree_of(name));
            }
            let kind = match known.map_or_else(|| directory.status(name).map(|status| status.kind), Ok) {
                Err(CallError { errno: Errno::NOENT, .. }) => return Ok(()),
                // A symlink that cannot be followed counts as nothing, and the rest of the directory is still looked
                // at.
                Err(error @ CallError { errno: Errno::NOLINK | Errno::XDEV | Errno::LOOP, .. }) => {
                    if judge.matcher.takes(&at, name, Kind::Symlink) {
                        self.issues.push(unseen(&level.path, name, error));
                    }
                    return Ok(());
                }
                kind => kind?,
            };
            if judge.matcher.takes(&at, name, kind) {
                if kind == Kind::Directory && !judge.keeps_empty(&level.path, name) {
                    if !options.is_boundary(&directory, name)? {
                        level.left.push(name.to_vec());
                    }
                } else {
                    something = true;
                    // One entry that is no directory is enough: the error ends the reading.
                    return Err(Errno::EXIST.into());
                }
            }
            Ok(())
        });
        drop(at);
        if something {
            return Ok(Inside::Something);
        }
        for error in directory.unread() {
            self.tell(&level.path, *error);
        }
        if let Err(error) = listed {
            return Ok(self.unread(level, error));
        }
        level.is_sure = self.issues.len() == told;
        Ok(Inside::Directories(level))
    }

    /// Gives up a directory that cannot be looked at. Nothing is known to be in it.
    fn unread(&mut self, level: Level, error: CallError) -> Inside {
        let is_gone = matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP);
        if !is_gone {
            self.tell(&level.path, error);
        }
        Inside::Directories(Level { left: Vec::new(), is_sure: is_gone, ..level })
    }

    fn tell(&mut self, path: &RelPath, error: CallError) {
        self.issues.push(Issue {
            kind: IssueKind::Unreadable,
            path: path.as_bytes().to_vec(),
            message: format!("cannot list the directory: {error}"),
            old_kept: true,
        });
    }
}

impl ScanOptions<'_> {
    /// Whether another file system begins at the directory `name`, in a run that does not go into such.
    fn is_boundary(&self, directory: &impl Directory, name: &[u8]) -> Result<bool> {
        if !self.one_file_system {
            return Ok(false);
        }
        match directory.status(name) {
            Ok(status) => Ok(directory.is_boundary(name, &status)),
            Err(CallError { errno: Errno::NOENT, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
