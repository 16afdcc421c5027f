//! Finds the two ends of a run in the file system, before anything is written.

use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use sparsync_proto::{
    Attributes, Grant, IdKind, Issue, IssueKind, Name, OwnerNames, RelPath, Request, Rules, SourceIds,
};

use crate::accounts::SystemAccounts;
use crate::engine::{
    self, DirLinks, ItemOptions, MayBeLinked, OwnerMap, OwnerRules, ReceiverOptions, Report, Session, Stamps,
    WriteOptions,
};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{DestinationLock, Extent, LockFor, Root, Space};
use crate::option_dirs;
use crate::rule_files::Place as RulePlace;
use crate::storage::{self, Access, CallError, Hold, Judge, SessionId, Storage, TempName, Widened};
use crate::views::{self, Stored, check_munged};
use sparsync_proto::session::ProfileExchange;

/// A destination in the file system.
pub(crate) type Destination = engine::Destination<Root>;

/// A path on this machine: below a served root, or the operator's own.
pub(crate) struct Place<'a> {
    /// Where the path starts.
    pub(crate) top: &'a Root,
    /// The path.
    pub(crate) path: RelPath,
}

/// Opens the operator's own path, with what opens a directory, as far as it exists. The rest are missing names.
pub(crate) fn open_own(path: &[u8], reach: impl Fn(&[u8]) -> storage::Result<Root>) -> Result<(Root, RelPath)> {
    open_own_or(path, reach, |error| Error::io("cannot open", path, error.into()))
}

/// The same; `failed` tells a directory that cannot be opened.
pub(crate) fn open_own_or(
    path: &[u8],
    reach: impl Fn(&[u8]) -> storage::Result<Root>,
    failed: impl FnOnce(CallError) -> Error,
) -> Result<(Root, RelPath)> {
    let absolute = if path.starts_with(b"/") { path.to_vec() } else { [b"./", path].concat() };
    let mut at = absolute.as_slice();
    let mut missing: Vec<&[u8]> = Vec::new();
    loop {
        match reach(if at.is_empty() { b"/" } else { at }) {
            Ok(root) => {
                missing.reverse();
                let rest = RelPath::new(&missing.join(&b'/'))
                    .map_err(|_| Error::new(ErrorKind::Config, "a path that cannot be made").at(path))?;
                return Ok((root, rest));
            }
            Err(CallError { errno: Errno::NOENT | Errno::NOTDIR, .. }) => {}
            Err(error @ CallError { errno: Errno::LOOP, .. }) => {
                const WHY: &str = "a symlink on the way belongs to another user, or there are too many";
                return Err(Error::io(WHY, path, error.into()));
            }
            Err(error) => return Err(failed(error)),
        }
        let trimmed = trim_slashes(at);
        let cut = trimmed.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        match &trimmed[cut..] {
            b"" => return Err(Error::new(ErrorKind::NotFound, "no such directory").at(path)),
            b"." => {}
            name => missing.push(name),
        }
        at = &trimmed[..cut];
        if cut == 0 {
            at = b".";
        }
    }
}

pub(crate) fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

/// Facts about a receiver besides the request.
#[expect(clippy::struct_excessive_bools, reason = "rights, each read by its name where it is enforced")]
pub(crate) struct ReceiverTerms<'a> {
    /// The name of the source when it is a single file.
    pub(crate) file_name: Option<&'a [u8]>,
    /// Upper bounds of the source's bytes and entries.
    pub(crate) bounds: Extent,
    /// How far the source's numbers of owners and groups can be trusted.
    pub(crate) source_ids: SourceIds,
    /// Only new names.
    pub(crate) append_only: bool,
    /// The destination's content may be told to the sender.
    pub(crate) may_be_read: bool,
    /// Owners may be set, as far as the system lets us.
    pub(crate) may_chown: bool,
    /// FIFOs, sockets and devices may be made, as far as the system allows it.
    pub(crate) may_make_specials: bool,
    /// Extended attributes of every namespace may be set, as far as the system allows it.
    pub(crate) may_set_foreign_xattrs: bool,
    /// Which attributes are stored as others at the destination.
    pub(crate) stored: Stored,
    /// How far symlinks may lead there.
    pub(crate) place: &'a RulePlace<'a>,
    /// ACLs may be set.
    pub(crate) may_set_acls: bool,
    /// Below a served root.
    pub(crate) is_served: bool,
    /// How many names of the path belong to the prefix of the client's key. Those directories are made if they are
    /// missing.
    pub(crate) prefix_depth: usize,
    /// Bytes of the file system that stay free.
    pub(crate) reserve_bytes: u64,
    /// The text by which a run that finds the lock taken names this one.
    pub(crate) holder: String,
}

/// A destination that is ready to be written.
pub(crate) struct Prepared {
    pub(crate) destination: Destination,
    /// Where the tree is, or the directory of the single file.
    pub(crate) directory: RelPath,
    pub(crate) grant: Grant,
    /// The need must be counted before anything is written.
    pub(crate) count_first: bool,
    pub(crate) space: Option<Space>,
    session_id: SessionId,
    pub(crate) lock: Option<DestinationLock>,
}

impl Prepared {
    /// The receiver's options for `request`.
    pub(crate) fn options(
        &self,
        request: &Request,
        terms: &ReceiverTerms<'_>,
        (judge, report): (Judge, Report),
    ) -> Result<ReceiverOptions> {
        let attributes = carried(request, terms);
        let owners = owners(request, terms, &attributes, &report)?;
        Ok(ReceiverOptions {
            attributes: request.attributes,
            names: names_told(request, terms.source_ids),
            owners,
            judge,
            rules: Rules {
                attributes,
                source_ids: terms.source_ids,
                recursive: request.carries_directories(),
                selection: request.selection,
                append_only: terms.append_only,
            },
            special_right: terms.may_make_specials,
            xattr_right: terms.may_set_foreign_xattrs,
            deletion: request.deletion,
            one_file_system: request.one_file_system,
            dir_links: DirLinks::of(request),
            dry_run: request.dry_run,
            items: ItemOptions::of(request),
            stamps: Stamps::of(request),
            strict_attributes: request.strict_attributes,
            open_noatime: request.open_noatime,
            durability: request.durability,
            writes: WriteOptions {
                missing: request.missing.clone(),
                basis_use: option_dirs::basis_use(request),
                removes_sources: request.removes_sources(),
                in_place: (request.inplace || request.append).then_some(MayBeLinked(!terms.is_served)),
                delta: may_delta(request, terms),
                preallocate: request.preallocate,
                devices: request.write_devices,
                fuzzy: request.fuzzy,
                fuzzy_in_bases: request.fuzzy_dest,
                detects_renames: request.detect_renames && request.deletion.delete && !request.dry_run,
                append: request.append,
                delay_updates: request.delay_updates,
                trusts_sender: false,
            },
            // A partial file has the same name in every run, so it must be in a destination that this run has locked.
            keep_partial: request.partial
                && !request.inplace
                && !request.append
                && !request.snapshot.is_asked
                && self.hold() == Hold::Exclusive,
            sparse: request.sparse,
            grant: self.grant,
            report,
            session_id: self.session_id,
            hold: self.hold(),
            quota: None,
            reserve: None,
            is_source: None,
            profile: ProfileExchange::None,
            sums: None,
            no_room_reserved: AtomicBool::new(false),
        })
    }

    /// How the destination is held.
    pub(crate) fn hold(&self) -> Hold {
        self.lock.as_ref().map_or(Hold::Shared, DestinationLock::hold)
    }
}

/// Whether changed files are sent as deltas. A delta tells the sender the destination's content, and between two
/// folders of one machine it costs more than it saves.
fn may_delta(request: &Request, terms: &ReceiverTerms<'_>) -> bool {
    let is_local = terms.source_ids == SourceIds::Local;
    terms.may_be_read && !request.append && !request.whole_file.unwrap_or(is_local)
}

/// The attributes that can be carried.
fn carried(request: &Request, terms: &ReceiverTerms<'_>) -> Attributes {
    let asked = &request.attributes;
    Attributes {
        owner: asked.owner && terms.may_chown && is_privileged(request, terms),
        group: asked.group && terms.may_chown,
        specials: asked.specials && terms.may_make_specials,
        acls: asked.acls && terms.may_set_acls,
        // As in rsync, only root tries this.
        foreign_xattrs: asked.foreign_xattrs && terms.may_set_foreign_xattrs && is_privileged(request, terms),
        // A key that may only add names must not get access to hardware by a new device.
        devices: asked.devices && terms.may_make_specials && !terms.append_only && is_privileged(request, terms),
        ..*asked
    }
}

/// The request of an initiator that is root carries extended attributes of every namespace, as with rsync.
pub(crate) fn narrow_to_system(request: &mut Request) {
    request.attributes.foreign_xattrs = request.attributes.xattrs && acts_as_root(request.fake_super);
}

/// Whether attributes that take root can be set, or are stored.
pub(crate) fn acts_as_root(fake_super: bool) -> bool {
    fake_super || rustix::process::geteuid().is_root()
}

/// Whether operations that take root's rights are tried here. By default only root tries, which alone can give files
/// away, as in rsync.
pub(crate) fn is_privileged(request: &Request, terms: &ReceiverTerms<'_>) -> bool {
    request.super_user.unwrap_or_else(|| acts_as_root(terms.stored.fake_super))
}

/// How the source's owners are set here. Rules with names that are unknown here are told and passed over.
fn owners(request: &Request, terms: &ReceiverTerms<'_>, carried: &Attributes, report: &Report) -> Result<OwnerMap> {
    let rules = OwnerRules {
        users: carried.owner.then_some(&request.user_map),
        groups: carried.group.then_some(&request.group_map),
        members_only: carried.group && !is_privileged(request, terms),
        acls: (carried.acls && !request.numeric_ids).then_some((&request.user_map, &request.group_map)),
    };
    let (owners, unknown) = OwnerMap::new(Box::new(SystemAccounts::default()), &rules);
    for (kind, name) in unknown {
        let (what, option) = match kind {
            IdKind::User => ("user", "usermap"),
            IdKind::Group => ("group", "groupmap"),
        };
        let message =
            format!("{option} names the {what} {name:?}, which the destination does not have; the rule is ignored");
        report.issue(Issue { kind: IssueKind::Notice, path: Vec::new(), message, old_kept: true })?;
    }
    Ok(owners)
}

/// Which names of owners the sender tells. Between two folders of one machine the numbers are the same, so only rules
/// need names.
pub(crate) fn names_told(request: &Request, source_ids: SourceIds) -> OwnerNames {
    let asked = request.owner_names();
    let is_local = source_ids == SourceIds::Local;
    OwnerNames {
        users: asked.users && !(is_local && request.user_map.is_empty()),
        groups: asked.groups && !(is_local && request.group_map.is_empty()),
    }
}

/// Finds the destination at `place`, locks it, and makes its root when it is missing. Fails with
/// [`ErrorKind::Busy`] when another run is in the way; see [`when_free`].
pub(crate) fn destination(place: &Place<'_>, request: &Request, terms: &ReceiverTerms<'_>) -> Result<Prepared> {
    if terms.stored.munged_links {
        check_munged()?;
    }
    let (directory, file_name) = split_destination(place, request, terms)?;
    if TempName::is_in(&directory) || file_name.as_deref().is_some_and(|name| TempName::parse(name).is_some()) {
        return Err(
            Error::new(ErrorKind::Config, "a path with the name of an unfinished file").at(place.path.as_bytes())
        );
    }
    let (existing, missing) = open_existing(place.top, &directory, (request, terms))?;
    // As in rsync, the last name of the destination may be missing, but not the directories above it.
    let allowed = usize::from(terms.file_name.is_none()) + usize::from(request.make_parent);
    let existing_depth = directory.components().count() - missing.components().count();
    let allowed = allowed + terms.prefix_depth.saturating_sub(existing_depth);
    if !request.mkpath && missing.components().count() > allowed {
        return Err(Error::new(ErrorKind::NotFound, "the directory that should hold the destination does not exist")
            .at(directory.as_bytes()));
    }
    let space = existing.space().ok().map(|space| space.without(terms.reserve_bytes));
    let seen = |root: Root| views::of_destination(root, &directory, request, terms.stored, terms.place);
    // Content that is written to a device takes no room in the file system of the device's entry.
    let count_first = !request.dry_run
        && !request.write_devices
        && !request.space_checked
        && space.is_some_and(|space| !surely_fits(terms.bounds, space.free));
    if request.dry_run || count_first {
        let root = if missing.is_root() { Some(existing) } else { None };
        let created = root.is_none();
        return Ok(Prepared {
            destination: Destination::new(root.map(seen).transpose()?, file_name, created),
            directory: directory.clone(),
            grant: Grant::AsAsked,
            count_first,
            space,
            session_id: SessionId::default(),
            lock: None,
        });
    }
    // The user's own directory may have a mode that forbids listing it, and so locking it.
    let widened = Widened::new(&existing);
    let start = readable(&existing, &widened).map_err(|error| not_opened(directory.as_bytes(), error))?;
    let above = if missing.is_root() {
        None
    } else {
        // Another run may hold a directory above for its tree. Then this fails, and nothing is made below it.
        Some(DestinationLock::acquire(&start, LockFor::Below, &terms.holder)?)
    };
    let root = make_directories(start, &missing)?;
    let purpose = if file_name.is_none() { LockFor::Tree } else { LockFor::Names };
    let lock = DestinationLock::acquire(&root, purpose, &terms.holder)?;
    drop(above);
    let is_empty = file_name.is_none()
        && is_empty(&root)
            .map_err(|error| Error::io("cannot list the destination", directory.as_bytes(), error.into()))?;
    Ok(Prepared {
        destination: Destination::new(Some(seen(root)?), file_name, is_empty && makes_top(request, terms, &missing)),
        directory: directory.clone(),
        grant: if is_empty && request.may_grant_all() { Grant::All } else { Grant::AsAsked },
        count_first: false,
        space,
        session_id: new_session()?,
        lock: Some(lock),
    })
}

/// Whether the top was missing, and counts as an entry that the run makes. With `mkpath` it is one of the directories
/// above the entries that arrive and counts as there before, as with rsync, unless the source's own directory arrives
/// in it. A plan was made without it, and a key that may only append sets attributes of a new top alone: for both it is
/// a new one in any case.
fn makes_top(request: &Request, terms: &ReceiverTerms<'_>, missing: &RelPath) -> bool {
    let has_plan = request.item_stamps || request.applies_plan;
    !missing.is_root() && (!request.mkpath || request.make_parent || has_plan || terms.append_only)
}

/// The directory that is written to, and the name of a single file in it.
fn split_destination(
    place: &Place<'_>,
    request: &Request,
    terms: &ReceiverTerms<'_>,
) -> Result<(RelPath, Option<Vec<u8>>)> {
    let Some(name) = terms.file_name else { return Ok((place.path.clone(), None)) };
    let name = Name::new(name).map_err(|_| Error::protocol("the name of the source"))?;
    let into = || request.make_parent || place.top.open_directory(&place.path, Access::Reach).is_ok();
    if place.path.is_root() || (request.into && into()) {
        return Ok((place.path.clone(), Some(name.as_bytes().to_vec())));
    }
    match place.path.split_last() {
        Some((parent, name)) => {
            let name = name.as_bytes().to_vec();
            Ok((parent, Some(name)))
        }
        None => Err(Error::internal("a path without a last name")),
    }
}

/// Opens a directory as far as it exists. What a symlink of a served root leads to is not told.
fn open_existing(
    top: &Root,
    path: &RelPath,
    (request, terms): (&Request, &ReceiverTerms<'_>),
) -> Result<(Root, RelPath)> {
    top.reach_existing(path).map_err(|(error, at)| match error.errno {
        Errno::NOENT => Error::new(ErrorKind::NotFound, "the root does not exist").at(path.as_bytes()),
        Errno::LOOP | Errno::XDEV if terms.is_served => {
            Error::new(ErrorKind::Scope, "the path leads through a symlink").at(at.as_bytes())
        }
        // Nor is it looked at: without openat2 a symlink gives this error.
        Errno::NOTDIR if terms.is_served => no_directory(path),
        Errno::NOTDIR | Errno::LOOP | Errno::XDEV => {
            let first = path.components().next().map_or(&[][..], Name::as_bytes);
            let why = match rustix::fs::statat(top.fd(), first, rustix::fs::AtFlags::empty()) {
                // What is there is a symlink to nothing.
                Err(Errno::NOENT) => Errno::EXIST,
                _ if request.mkpath && path.split_last().is_some_and(|(above, _)| !above.is_root()) => Errno::NOTDIR,
                _ => return no_directory(path),
            };
            not_made(path.as_bytes(), why.into())
        }
        _ => not_opened(path.as_bytes(), error),
    })
}

/// The destination is not the directory that it has to be.
fn no_directory(path: &RelPath) -> Error {
    Error::new(ErrorKind::Config, "the destination is not a directory")
        .at(path.as_bytes())
        .with("end", "destination".to_owned())
}

pub(crate) fn not_made(path: &[u8], error: CallError) -> Error {
    Error::io("cannot make the destination", path, error.into())
}

pub(crate) fn not_opened(path: &[u8], error: CallError) -> Error {
    Error::io("cannot open the destination", path, error.into()).with("end", "destination".to_owned())
}

/// Opens the directory so that it can be listed and locked, if its mode allows that or can be widened. Another user's
/// directory may only be reached.
fn readable(existing: &Root, widened: &Widened<'_, Root>) -> storage::Result<Root> {
    let top = RelPath::root();
    match widened.within(&top, || existing.descend(&top)) {
        Err(CallError { errno: Errno::ACCESS, .. }) => existing.descend_to_reach(&top),
        result => result,
    }
}

fn make_directories(mut root: Root, missing: &RelPath) -> Result<Root> {
    for name in missing.components() {
        let failed = |error: CallError| Error::io("cannot make the destination", missing.as_bytes(), error.into());
        match rustix::fs::mkdirat(root.fd().as_fd(), name.as_bytes(), 0o777.into()) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(CallError { call: "mkdirat", errno })),
        }
        root = root.descend(&RelPath::root().join(name)).map_err(failed)?;
    }
    Ok(root)
}

fn is_empty(root: &Root) -> storage::Result<bool> {
    storage::is_empty(&root.open(&RelPath::root(), Access::Read)?)
}

/// The number of a new session. It is random, since no record of earlier sessions is kept.
fn new_session() -> Result<SessionId> {
    let mut id = SessionId::default();
    rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| Error::io("no random numbers", b"", CallError { call: "getrandom", errno }.into()))?;
    Ok(id)
}

/// How often a run that waits for another looks whether that has ended.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// Prepares what has to be locked, for as long as `wait_ms` again when another run has the lock. Each attempt at a
/// destination begins at the path again, since the directory may have been replaced meanwhile.
pub(crate) fn when_free<T>(wait_ms: u64, session: &Session, prepare: impl Fn() -> Result<T>) -> Result<T> {
    let until = Instant::now() + Duration::from_millis(wait_ms);
    loop {
        match prepare() {
            Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < until => {
                session.check()?;
                session.worked(1);
                std::thread::sleep(LOCK_POLL);
            }
            prepared => return prepared,
        }
    }
}

/// Whether as much as is known of a need is free. Where the need in bytes is not known, only what has no limit is
/// enough. A source whose file system counts no entries tells none, and is not counted for that alone.
fn surely_fits((bytes, entries): Extent, free: Extent) -> bool {
    let bytes_fit = free.0.is_none_or(|free| bytes.is_some_and(|bytes| bytes <= free));
    let entries_fit = entries.zip(free.1).is_none_or(|(entries, free)| entries <= free);
    bytes_fit && entries_fit
}

/// The need of a run that was counted, when it does not fit.
pub(crate) fn does_not_fit(needed: (u64, u64), free: Extent) -> Option<Error> {
    if surely_fits((Some(needed.0), Some(needed.1)), free) {
        return None;
    }
    let (bytes, entries) = (free.0.map(|free| (needed.0, free)), free.1.map(|free| (needed.1, free)));
    let told = |told: [Option<String>; 2]| told.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    let message = format!(
        "the destination has {} free, the run needs {}; nothing was written",
        told([bytes.map(|(_, free)| format!("{free} bytes")), entries.map(|(_, free)| format!("{free} entries"))]),
        told([bytes, entries].map(|known| known.map(|(needed, _)| needed.to_string()))),
    );
    let mut error = Error::new(ErrorKind::NoSpace, message).with("need_bytes", needed.0).with("need_entries", needed.1);
    // A file system without a limit has room for any number: there is none to tell.
    for (name, free) in [("free_bytes", free.0), ("free_entries", free.1)] {
        if let Some(free) = free {
            error = error.with(name, free);
        }
    }
    Some(error)
}

/// Whether a pull may be granted everything: the destination has no entries that could be kept.
pub(crate) fn is_missing_or_empty(path: &[u8]) -> bool {
    open_own(path, Root::reach_trusted)
        .is_ok_and(|(top, missing)| if missing.is_root() { is_empty(&top).unwrap_or(false) } else { true })
}

#[cfg(test)]
mod tests {
    use super::{does_not_fit, surely_fits};

    #[test]
    fn a_file_system_without_a_limit_names_none() {
        let error = does_not_fit((2000, 5), (Some(1000), None)).unwrap();
        assert_eq!(error.message(), "the destination has 1000 bytes free, the run needs 2000; nothing was written");
        let names: Vec<&str> = error.details().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["need_bytes", "need_entries", "free_bytes"]);
        let error = does_not_fit((2000, 5), (Some(1000), Some(4))).unwrap();
        assert!(error.message().contains("1000 bytes and 4 entries free, the run needs 2000 and 5"), "{error}");
        assert!(
            does_not_fit((2000, 5), (None, Some(4))).unwrap().message().contains("4 entries free, the run needs 5;")
        );
        assert!(does_not_fit((1000, 5), (Some(1000), Some(5))).is_none());
    }

    #[test]
    fn a_need_in_bytes_that_is_not_known_fits_what_has_no_limit_alone() {
        let free = (Some(1000), None);
        assert!(surely_fits((Some(1000), None), free) && surely_fits((Some(0), Some(7)), free));
        assert!(!surely_fits((None, Some(7)), free) && !surely_fits((Some(0), Some(8)), (None, Some(7))));
        assert!(surely_fits((None, None), (None, Some(0))), "entries that nobody counts");
    }
}
