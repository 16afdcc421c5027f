//! Makes the next snapshot of a series, which is the run's destination: a directory that has a snapshot by the name of
//! each moment at which one was made (ADR 0034).
//!
//! It is made below a name that every walk passes over, of what the newest one has alike, and gets its name when it is
//! complete. What a run that was cut has made is one more state of the tree for the next one, which removes it in the
//! end.

use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::RenameFlags;
use rustix::io::Errno;
use sparsync_proto::{Grant, IssueKind, Keep, Kind, Moment, Name, RelPath, Request, Snapshot};

use crate::engine::{Basis, PutInPlace, PutOutcome, Told};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::Root;
use crate::option_dirs::{basis_use, might_be_hidden};
use crate::prepare::{Destination, Prepared};
use crate::storage::{
    self, Access, CallError, Directory as _, Hold, PartialId, Storage, WriteDirectory as _, is_empty, remove_all,
};

/// The most directories of earlier runs, cut off one after the other, from which a run goes on.
const UNFINISHED_MAX: u8 = 4;

/// Moments more than this many seconds ahead count as future: they come from a wrong clock, or from somebody who wants
/// other snapshots removed.
const AHEAD_MAX: u64 = 300;

/// A series, and the snapshot that is made.
struct Making {
    series: Root,
    /// The temporary name of the new one.
    meanwhile: Vec<u8>,
    keep: Keep,
    may_be_empty: bool,
    /// Issues to be told from before it is made.
    noted: Vec<Told>,
}

/// Refuses options that a snapshot cannot be made with. `hides_paths`: the operator hides paths of the root.
pub(crate) fn check(request: &Request, hides_paths: bool) -> Result<()> {
    let asked = &request.snapshot;
    if !asked.is_asked {
        return if *asked == Snapshot::default() {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Config, "options for snapshots need snapshot (--snapshot)"))
        };
    }
    if hides_paths {
        return Err(might_be_hidden("snapshot", "makes"));
    }
    let others = [
        (request.publish, "publish"),
        (request.inplace, "inplace"),
        (request.append, "append"),
        (request.backup, "backup"),
        (!request.compare_dest.is_empty(), "compareDest"),
        (!request.partial_dir.is_empty(), "partialDir"),
        // If the run is cut off, the removed files would only be in a directory that is no snapshot yet.
        (request.remove_source_files, "removeSourceFiles"),
        (request.file_name.is_some(), "a single file"),
    ];
    match others.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, other)) => Err(Error::new(ErrorKind::Config, format!("snapshot and {other} cannot be combined"))),
        None => Ok(()),
    }
}

fn failed(doing: &str) -> impl Fn(CallError) -> Error {
    move |error| Error::io(&format!("snapshot: {doing}"), b"", error.into())
}

/// Lets a run write to a new directory of its destination, which becomes a snapshot in the end.
pub(crate) fn stage(prepared: &mut Prepared, request: &Request) -> Result<()> {
    let asked = &request.snapshot;
    if !asked.is_asked {
        return Ok(());
    }
    let is_held = prepared.hold() == Hold::Exclusive;
    let has_nothing = request.grant_all || prepared.grant == Grant::All;
    let Destination { root, created, aside, file_name } = &mut prepared.destination;
    if file_name.is_some() {
        return Err(Error::new(ErrorKind::Config, "snapshot and a single file cannot be combined"));
    }
    *created = true;
    let Some(series) = root.take() else { return Ok(()) };
    let mut noted = Vec::new();
    if asked.links_newest && !has_nothing {
        aside.basis.extend(newest_of(&series, &mut noted)?);
    }
    if request.dry_run {
        return Ok(());
    }
    if !is_held {
        return Err(Error::new(ErrorKind::Config, "snapshot: the destination's file system does not support locks"));
    }
    remove(&series, &removed_name()).map_err(failed("cannot remove what is left of one"))?;
    let goes_on = basis_use(request).is_some() && !has_nothing;
    let meanwhile = go_on(&series, goes_on, &mut aside.basis)?;
    open(&series)?.make_directory(&meanwhile, 0o700).map_err(failed("cannot make a directory in the series"))?;
    *root = Some(series.descend(&path_of(&meanwhile)).map_err(failed("cannot open the new one"))?);
    let making = Making { series, meanwhile, keep: asked.keep, may_be_empty: request.deletion.allow_mass, noted };
    let put = Box::new(move |may_remove| making.finish(may_remove));
    aside.place = Some(PutInPlace { in_any_case: true, put });
    Ok(())
}

fn path_of(name: &[u8]) -> RelPath {
    Name::new(name).map_or_else(|_| RelPath::root(), |name| RelPath::root().join(name))
}

/// The name of a run's snapshot while it is made, after so many runs that were cut off.
fn unfinished_name(before: u8) -> Vec<u8> {
    // No name has a slash, so this cannot be the temporary name of a published tree.
    PartialId::of_tree(&[b"snapshot/", &[before][..]].concat()).file_name()
}

/// The name of a snapshot while it is removed.
fn removed_name() -> Vec<u8> {
    PartialId::of_tree(b"snapshot/removed").file_name()
}

fn open(series: &Root) -> Result<<Root as Storage>::Directory> {
    series.open(&RelPath::root(), Access::Read).map_err(failed("cannot open the series"))
}

/// Adds the directories that earlier runs left as states of the tree, and gives a name that none of them has.
fn go_on(series: &Root, goes_on: bool, bases: &mut Vec<Basis<Root>>) -> Result<Vec<u8>> {
    let names: Vec<_> = (0..UNFINISHED_MAX).map(unfinished_name).collect();
    let left: Vec<_> = names.iter().map(|name| series.descend(&path_of(name))).collect();
    let is_free = |left: &storage::Result<Root>| matches!(left, Err(CallError { errno: Errno::NOENT, .. }));
    let are_usable = goes_on && left.iter().all(|left| left.is_ok() || is_free(left));
    if let Some(free) = left.iter().position(is_free).filter(|_| are_usable) {
        bases.extend(left.into_iter().flatten().map(|root| Basis { root, hides: None }));
        return Ok(names.into_iter().nth(free).unwrap_or_default());
    }
    drop(left);
    for name in &names {
        remove(series, name).map_err(failed("cannot remove what is left of an earlier run"))?;
    }
    Ok(unfinished_name(0))
}

/// Seconds since 1970.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn moment_of(seconds: u64) -> Option<Moment> {
    i64::try_from(seconds).ok().and_then(Moment::new)
}

/// The newest snapshot of a series that can be opened, as a state of the tree.
fn newest_of(series: &Root, noted: &mut Vec<Told>) -> Result<Option<Basis<Root>>> {
    for moment in moments(series)?.made {
        match series.descend(&path_of(moment.name().as_bytes())) {
            Ok(root) => return Ok(Some(Basis { root, hides: None })),
            Err(_) => noted.push(Told {
                kind: IssueKind::Notice,
                path: moment.name().into(),
                message: "the snapshot cannot be opened, so no file is linked to it",
            }),
        }
    }
    Ok(None)
}

/// The moments of all snapshots of a series, from the newest to the oldest.
struct Moments {
    made: Vec<Moment>,
    /// Moments in the future.
    to_come: Vec<Moment>,
}

fn moments(series: &Root) -> Result<Moments> {
    let directory = open(series)?;
    let mut found = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 1 << 13];
    let listed = directory.names(&mut buffer, |name, _| {
        found.extend(Moment::of_name(name.to_bytes()));
        Ok(())
    });
    listed.map_err(failed("cannot list the series"))?;
    // An entry with a snapshot's name that is no directory belongs to somebody else.
    found
        .retain(|moment| directory.status(moment.name().as_bytes()).is_ok_and(|status| status.kind == Kind::Directory));
    found.sort_by(|a, b| b.cmp(a));
    let latest = moment_of(seconds_now() + AHEAD_MAX);
    let (to_come, made) = found.into_iter().partition(|moment| Some(*moment) > latest);
    Ok(Moments { made, to_come })
}

/// Removes a directory of a series with all that is in it.
fn remove(series: &Root, name: &[u8]) -> storage::Result<()> {
    remove_all(series, &path_of(name))
}

impl Making {
    /// Gives the new snapshot its name. If nothing is missing in it, removes those that the rule does not keep.
    fn finish(&self, may_remove: bool) -> Result<PutOutcome> {
        if let Some(refusal) = self.is_suspect()? {
            return Ok(PutOutcome { refused: Some(refusal), told: Vec::new() });
        }
        let directory = open(&self.series)?;
        let made = self.name()?;
        directory.sync().map_err(failed("cannot write to disk"))?;
        let mut told = self.noted.clone();
        told.push(Told { kind: IssueKind::Snapshot, path: made.name().into(), message: "the snapshot was made" });
        for before in 0..UNFINISHED_MAX {
            // A directory that cannot be removed now is removed by the next run.
            let _ = remove(&self.series, &unfinished_name(before));
        }
        if self.keep != Keep::default() {
            if may_remove {
                self.prune(made, &directory, &mut told)?;
            } else {
                let message = "not all of the source is in the snapshot, so no other one was removed";
                told.push(Told { kind: IssueKind::Notice, path: Vec::new(), message });
            }
        }
        Ok(PutOutcome { refused: None, told })
    }

    /// Refuses to make a snapshot of an empty source when the newest snapshot is not empty.
    fn is_suspect(&self) -> Result<Option<Error>> {
        let is_bare = |name: &[u8]| {
            let opened = self.series.open(&path_of(name), Access::Read);
            opened.and_then(|directory| is_empty(&directory))
        };
        if self.may_be_empty || !is_bare(&self.meanwhile).map_err(failed("cannot list the new one"))? {
            return Ok(None);
        }
        let Some(newest) = moments(&self.series)?.made.first().map(|moment| moment.name()) else { return Ok(None) };
        // A snapshot that cannot be listed counts as not empty.
        if is_bare(newest.as_bytes()).unwrap_or(false) {
            return Ok(None);
        }
        remove(&self.series, &self.meanwhile).map_err(failed("cannot remove it"))?;
        let message = format!(
            "the source is empty while the snapshot {newest} is not. Is it mounted? No snapshot was made. Allow it with \
             allowMassDelete (--allow-mass-delete)"
        );
        let refusal = Error::new(ErrorKind::DeleteRefused, message).with("reason", "source-empty".to_owned());
        Ok(Some(refusal))
    }

    /// Gives the snapshot the name of this moment, or of the first moment after it that is free.
    fn name(&self) -> Result<Moment> {
        let mut moment = moment_of(seconds_now());
        while let Some(at) = moment {
            let (from, to) = (self.meanwhile.as_slice(), at.name());
            let series = self.series.fd();
            match rustix::fs::renameat_with(series, from, series, to.as_bytes(), RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(at),
                Err(Errno::EXIST | Errno::NOTEMPTY) => moment = at.next(),
                // This file system cannot rename without replacing. The name is looked up first, and no other run
                // writes here.
                Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                    let directory = open(&self.series)?;
                    if directory.status(to.as_bytes()).is_ok() {
                        moment = at.next();
                        continue;
                    }
                    directory.rename(from, to.as_bytes()).map_err(failed("cannot give it its name"))?;
                    return Ok(at);
                }
                Err(errno) => return Err(failed("cannot give it its name")(CallError { call: "renameat2", errno })),
            }
        }
        Err(Error::new(
            ErrorKind::Config,
            "snapshot: the clock of this machine is outside the years that the name of a snapshot can hold",
        ))
    }

    /// Removes the snapshots that the rule does not keep. Each loses its name before any of its entries is removed.
    fn prune(&self, made: Moment, directory: &<Root as Storage>::Directory, told: &mut Vec<Told>) -> Result<()> {
        let Moments { made: all, to_come } = moments(&self.series)?;
        for moment in to_come {
            let message = "the time of the snapshot is in the future: it is neither counted nor removed";
            told.push(Told { kind: IssueKind::Notice, path: moment.name().into(), message });
        }
        let newest = all.first().copied();
        let gone = removed_name();
        for (moment, stays) in all.iter().zip(self.keep.keeps(&all)) {
            if stays || *moment == made || Some(*moment) == newest {
                continue;
            }
            let name = moment.name();
            let renamed = directory.rename(name.as_bytes(), &gone);
            let is_renamed = renamed.is_ok();
            if renamed.and_then(|()| remove(&self.series, &gone)).is_err() {
                let message = "the snapshot could not be removed";
                told.push(Told { kind: IssueKind::Delete, path: name.into(), message });
                if is_renamed {
                    // The rest of it has the name that the next one would get.
                    break;
                }
                continue;
            }
            let message = "the snapshot was removed: the rule does not keep it";
            told.push(Told { kind: IssueKind::SnapshotRemoved, path: name.into(), message });
        }
        directory.sync().map_err(failed("cannot write to disk"))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // An empty directory must not be left for the next run to go on from. One with entries is not removed by this
        // call.
        if let Ok(directory) = open(&self.series) {
            let _ = directory.remove_directory(&self.meanwhile);
        }
    }
}
