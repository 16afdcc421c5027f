//! Lists one directory, with one look at each entry.

use std::mem::MaybeUninit;

use sparsync_proto::{
    At, Attributes, Chmod, ContentDigest, Digest, EntryFields, InForce, Issue, IssueKind, Kind, Listing, Meta, Name,
    RelPath, RuleFileError, Time, Xattrs, is_acl,
};

use super::hash::{Contents, Sums};
use super::judge::Judge;
use super::links::{LinkMap, Linked};
use super::prune::Pruner;
use super::temp::TempName;
use super::xattrs::{Unread, XattrBuffers};
use super::{Access, CallError, Directory, Errno, Result, Stamp, Status, Storage};

/// The options of a scan.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "options of a walk, each set apart from the others")]
pub(crate) struct ScanOptions<'a> {
    /// The attributes that the run compares.
    pub(crate) attributes: Attributes,
    /// Whether stamps are kept: the sender needs them to know that a file did not change under it.
    pub(crate) stamps: bool,
    /// Decides which entries belong to the run: others are not looked at.
    pub(crate) judge: &'a Judge,
    /// Every entry is taken. The judge only decides which extended attributes belong to the run.
    pub(crate) every: bool,
    /// The changes of the permission bits that are found, if there are any.
    pub(crate) chmod: Option<&'a Chmod>,
    /// Directories on which another file system is mounted are not entered.
    pub(crate) one_file_system: bool,
    /// Nor are they carried.
    pub(crate) omit_mount_points: bool,
    /// Files are read without a change of their access times.
    pub(crate) open_noatime: bool,
    /// Digests of content that are known.
    pub(crate) sums: Option<&'a dyn Sums>,
}

impl<'a> ScanOptions<'a> {
    /// A scan of these attributes, of the entries that belong to the run, without any further option.
    pub(crate) fn new(attributes: Attributes, judge: &'a Judge) -> Self {
        Self {
            attributes,
            stamps: false,
            judge,
            every: false,
            chmod: None,
            one_file_system: false,
            omit_mount_points: false,
            open_noatime: false,
            sums: None,
        }
    }
}

impl ScanOptions<'_> {
    /// Whether equal digests of two directories prove that nothing in them differs.
    pub(crate) fn digests_decide(&self) -> bool {
        self.attributes.digests_decide() && self.judge.matcher.digests_decide()
    }

    /// The attributes that an entry is taken to have.
    fn taken(&self, kind: Kind, found: Meta) -> Meta {
        self.chmod.map_or(found, |chmod| chmod.taken(kind, found))
    }
}

/// A directory as it was found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Where, below the root.
    pub(crate) path: RelPath,
    /// Its own attributes.
    pub(crate) meta: Meta,
    /// Its own extended attributes, where the run carries them.
    pub(crate) xattrs: Xattrs,
    /// Whether a file system is mounted on it, where that can be known.
    pub(crate) is_mount_point: Option<bool>,
    /// Its file system.
    pub(crate) device: u64,
    /// Its entries.
    pub(crate) listing: Listing,
    /// A stamp for each entry, when asked for.
    pub(crate) stamps: Vec<Stamp>,
    /// The digest of the entries.
    pub(crate) digest: Digest,
    /// Whether there are entries that do not belong to the run.
    pub(crate) leaves_out: bool,
    /// The rules that are in force in it, besides those of the request.
    pub(crate) in_force: InForce,
    /// A file of rules that cannot be followed: then no entry of the directory may be judged.
    pub(crate) bad_rules: Option<RuleFileError>,
    /// Unfinished files of runs, this one's or others'.
    pub(crate) leftovers: Vec<(Vec<u8>, TempName)>,
    /// The issues of entries that could not be looked at.
    pub(crate) issues: Vec<Issue>,
    /// The run does not enter the directory, and so says nothing of its entries.
    pub(crate) unlisted: bool,
    /// The directories in it where another file system begins.
    pub(crate) boundaries: Vec<(Vec<u8>, Status)>,
}

/// The kind of an entry for a run that carries `attributes`.
fn carried_kind(found: Kind, attributes: &Attributes) -> Kind {
    if attributes.carries(found) { found } else { Kind::Special }
}

/// Buffers that are reused between directories, so that a walk allocates only what it keeps, in one piece of the right
/// size: growing buffers leave holes in the heap, and a walk's listings are most of a run's memory.
pub(crate) struct ScanBuffers {
    names: Vec<MaybeUninit<u8>>,
    found: Entries,
    pruner: Pruner,
}

/// The entries of a directory as they are found, in the order of the file system.
#[derive(Default)]
struct Entries {
    listing: Listing,
    stamps: Vec<Stamp>,
    contents: Contents,
    xattrs: XattrBuffers,
    /// Entries with several names, by their index.
    linked: Vec<(u32, Linked)>,
    /// The inodes with several names that the walk has met.
    links: LinkMap,
    /// Directories that are carried only if something is in them.
    held_back: Vec<(Vec<u8>, Status)>,
}

impl Default for ScanBuffers {
    fn default() -> Self {
        Self { names: vec![MaybeUninit::uninit(); 32 << 10], found: Entries::default(), pruner: Pruner::default() }
    }
}

/// The step that failed, and the call.
type Undone = (&'static str, CallError);

/// When an entry was last read, where the run carries that, and then where a symlink leads, which counts as reading it.
/// An error comes with the name of the step that failed.
fn access_time_and_target(
    directory: &impl Directory,
    (name, kind): (&[u8], Kind),
    attributes: &Attributes,
) -> std::result::Result<(Option<Time>, Vec<u8>), Undone> {
    let atime = attributes.carries_atime_of(kind).then(|| directory.access_time(name)).transpose();
    let target = (kind == Kind::Symlink).then(|| directory.read_link(name)).transpose();
    let target = target.map_err(|error| ("cannot read the symlink", error))?.unwrap_or_default();
    Ok((atime.map_err(|error| ("cannot look at", error))?, target))
}

impl Scan {
    fn empty(path: RelPath, status: &Status, options: &ScanOptions<'_>) -> Self {
        Self {
            path,
            meta: options.taken(Kind::Directory, status.meta),
            xattrs: Xattrs::default(),
            is_mount_point: status.is_mount_point,
            device: status.device,
            listing: Listing::new(),
            stamps: Vec::new(),
            digest: Digest::default(),
            leaves_out: false,
            in_force: InForce::default(),
            bad_rules: None,
            leftovers: Vec::new(),
            issues: Vec::new(),
            unlisted: false,
            boundaries: Vec::new(),
        }
    }

    /// A directory on which another file system is mounted: only its own status is looked at.
    pub(crate) fn unlisted(path: RelPath, status: &Status, options: &ScanOptions<'_>) -> Self {
        let mut scan = Self { unlisted: true, ..Self::empty(path, status, options) };
        if options.attributes.carries_xattrs_of(Kind::Directory) {
            // The attributes found here are those of the mounted file system, not the source's.
            scan.xattrs = Xattrs::unread();
        }
        scan.finish(options, &mut Entries::default());
        scan
    }

    /// Tells that a part of the directory is missing from it.
    fn unread(&mut self, error: CallError) {
        self.issues.push(Issue {
            kind: IssueKind::Unreadable,
            path: self.path.as_bytes().to_vec(),
            message: format!("cannot list the directory: {error}"),
            old_kept: true,
        });
    }

    fn issue(&mut self, name: &[u8], doing: &str, error: CallError) {
        self.issues.push(Issue {
            kind: IssueKind::Unreadable,
            path: self.path.join_bytes(name),
            message: format!("{doing}: {error}"),
            old_kept: true,
        });
    }

    /// How many entries it takes the memory of.
    pub(crate) fn weight(&self) -> usize {
        self.listing.weight(&self.path, &self.xattrs)
    }

    /// The extended attributes of an entry of this kind, or of the directory itself when the name is empty; none when
    /// it has vanished. Attributes that cannot be read are told, and the rest of the entry is still carried.
    fn read_xattrs(
        &mut self,
        directory: &impl Directory,
        (name, kind): (&[u8], Kind),
        options: &ScanOptions<'_>,
        buffers: &mut XattrBuffers,
    ) -> Option<Xattrs> {
        if !options.attributes.carries_xattrs_of(kind) {
            return Some(Xattrs::default());
        }
        let takes = |attribute: &[u8]| is_acl(attribute) || options.judge.matcher.takes_xattr(attribute);
        match buffers.read(directory, name, (&options.attributes, takes)) {
            Ok(xattrs) => Some(xattrs),
            Err(Unread::Vanished) => None,
            Err(Unread::Because(message)) => {
                let path = if name.is_empty() { self.path.as_bytes().to_vec() } else { self.path.join_bytes(name) };
                self.issues.push(Issue { kind: IssueKind::AttributesUnread, path, message, old_kept: true });
                Some(Xattrs::unread())
            }
        }
    }

    /// Whether an entry does not belong to the run. If so, the scan notes that something was left out.
    fn leaves(&mut self, (name, kind): (&[u8], Kind), options: &ScanOptions<'_>, at: &At<'_>) -> bool {
        let matcher = &*options.judge.matcher;
        let leaves = !(options.every || matcher.takes(at, name, kind));
        // A hidden entry must not even be told to be left out: the peer would learn that it exists.
        self.leaves_out |= leaves && !matcher.hides(at, name, kind);
        if !options.every {
            options.judge.tell(at, (name, kind));
        }
        leaves
    }

    /// Adds the entry `name`, which may be known to be of a kind already; `look` gives its status. An entry that
    /// vanished since its name was read is left out, as if the directory had been listed a moment later.
    fn add(
        &mut self,
        directory: &impl Directory,
        (name, known): (&[u8], Option<Kind>),
        (options, at): (&ScanOptions<'_>, &At<'_>),
        look: impl FnOnce() -> Result<Status>,
        found: &mut Entries,
    ) {
        if known.is_some_and(|kind| self.leaves((name, kind), options, at)) {
            return;
        }
        let mut status = match look() {
            Ok(status) => status,
            Err(CallError { errno: Errno::NOENT, .. }) => return,
            // A symlink that does not belong to the run may lead anywhere, so it is no error that its target cannot be
            // reached.
            Err(_) if known.is_none() && self.leaves((name, Kind::Symlink), options, at) => return,
            Err(error) => return self.issues.push(unseen(&self.path, name, error)),
        };
        if known.is_none() && self.leaves((name, status.kind), options, at) {
            let other = (status.kind == Kind::Directory).then(|| directory.instead_of_directory(name));
            match other {
                Some(Ok(other)) if !self.leaves((name, other.kind), options, at) => status = other,
                _ => return,
            }
        }
        let kind = carried_kind(status.kind, &options.attributes);
        if options.one_file_system && kind == Kind::Directory && directory.is_boundary(name, &status) {
            if options.omit_mount_points {
                self.leaves_out = true;
                let (path, message) = (self.path.join_bytes(name), "another file system begins there".to_owned());
                self.issues.push(Issue { kind: IssueKind::MountSkipped, path, message, old_kept: true });
                return;
            }
            self.boundaries.push((name.to_vec(), status));
        }
        if kind == Kind::Directory && options.judge.prunes() {
            return found.held_back.push((name.to_vec(), status));
        }
        self.carry(directory, (name, kind, &status), options, found);
    }

    /// Adds an entry that has been looked at.
    #[inline]
    fn carry(
        &mut self,
        directory: &impl Directory,
        (name, kind, status): (&[u8], Kind, &Status),
        options: &ScanOptions<'_>,
        found: &mut Entries,
    ) {
        let Ok(valid) = Name::new(name) else {
            return self.issue(name, "cannot carry this name", Errno::INVAL.into());
        };
        // Few runs need to know more of a file than its status.
        let (target, fields) = if kind == Kind::File && !options.attributes.looks_closer() {
            (Vec::new(), None)
        } else {
            match self.look_closer(directory, (name, kind), options, &mut found.xattrs) {
                Some((target, fields)) => (target, Some(fields)),
                None => return,
            }
        };
        let carried = if kind.has_attributes() { options.taken(kind, status.meta) } else { Meta::default() };
        if !found.listing.push(valid, kind, status.size, carried, &target) {
            return self.issue(name, "too many names in one directory", Errno::NOSPC.into());
        }
        if let Some(fields) = fields {
            let device = kind.is_device().then_some(status.rdev);
            found.listing.set_last_fields(EntryFields { device, ..fields });
        }
        if options.stamps {
            found.stamps.push(status.stamp);
        }
        // A symlink that the receiver leaves alone must not lead hard links.
        let is_left_alone = || {
            options.stamps && options.attributes.safe_links && {
                found.listing.is_unsafe_link(found.listing.len() - 1, self.path.components().count())
            }
        };
        let may_be_linked = options.attributes.hard_links && kind.has_attributes() && !is_left_alone();
        let linked = if may_be_linked { Linked::of(status) } else { None };
        if let Some(linked) = linked {
            // An index of a listing fits: its names would not otherwise.
            found.linked.push((u32::try_from(found.listing.len() - 1).unwrap_or(u32::MAX), linked));
        }
        if options.attributes.compares_content() {
            // Digests are put in order with the entries: pushed here, permuted in `finish`.
            let digest = self.content_digest(directory, (name, kind, status), linked, options, found);
            found.contents.digests.push(digest);
        }
    }

    /// The target of a symlink, and the attributes that few entries have. None for an entry that has vanished, or that
    /// was told to be unreadable.
    fn look_closer(
        &mut self,
        directory: &impl Directory,
        (name, kind): (&[u8], Kind),
        options: &ScanOptions<'_>,
        buffers: &mut XattrBuffers,
    ) -> Option<(Vec<u8>, EntryFields)> {
        let (atime, target) = match access_time_and_target(directory, (name, kind), &options.attributes) {
            Ok(found) => found,
            Err((_, CallError { errno: Errno::NOENT, .. })) => return None,
            Err((doing, error)) => {
                self.issue(name, doing, error);
                return None;
            }
        };
        // The attributes of a directory are read with its own entries.
        let xattrs = match kind {
            Kind::Directory => Xattrs::default(),
            Kind::File
            | Kind::Symlink
            | Kind::Fifo
            | Kind::Socket
            | Kind::BlockDevice
            | Kind::CharDevice
            | Kind::Special => self.read_xattrs(directory, (name, kind), options, buffers)?,
        };
        Some((target, EntryFields { xattrs, atime, ..EntryFields::default() }))
    }

    /// The digest of a file's content; zeros for an entry that is no file, and for a file that cannot be read, which is
    /// told.
    fn content_digest(
        &mut self,
        directory: &impl Directory,
        (name, kind, status): (&[u8], Kind, &Status),
        linked: Option<Linked>,
        options: &ScanOptions<'_>,
        found: &mut Entries,
    ) -> ContentDigest {
        if kind != Kind::File {
            return ContentDigest::default();
        }
        if let Some(digest) = linked.and_then(|linked| found.links.content(&linked)) {
            return digest;
        }
        if let Some(digest) = directory.known_content(name) {
            return digest;
        }
        match found.contents.hash_file(directory, (name, status), options.open_noatime, options.sums) {
            Ok(digest) => {
                if let Some(linked) = linked {
                    found.links.keep_content(&linked, digest);
                }
                digest
            }
            Err(error) => {
                self.issue(name, "cannot read", error);
                ContentDigest::default()
            }
        }
    }

    /// Reads the attributes of the directory itself, as far as they belong to the run.
    fn begin(&mut self, directory: &impl Directory, options: &ScanOptions<'_>, found: &mut Entries) {
        found.xattrs.next_directory();
        if !options.judge.matcher.has_attributes(&self.path) {
            self.meta = Meta::default();
            return;
        }
        let own = self.read_xattrs(directory, (b"", Kind::Directory), options, &mut found.xattrs);
        self.xattrs = own.unwrap_or_else(Xattrs::unread);
    }

    fn finish(&mut self, options: &ScanOptions<'_>, found: &mut Entries) {
        let (listing, order) = found.listing.take_sorted();
        self.listing = listing;
        if options.stamps {
            self.stamps = order.iter().map(|&at| found.stamps[at as usize]).collect();
            found.stamps.clear();
        }
        if options.attributes.compares_content() {
            let digests = std::mem::take(&mut found.contents.digests);
            self.listing.set_content(order.iter().map(|&at| digests[at as usize]).collect());
        }
        if !found.linked.is_empty() {
            let linked = std::mem::take(&mut found.linked);
            let at = |old: u32| linked.binary_search_by_key(&old, |(index, _)| *index).ok();
            let in_order = order.iter().enumerate().filter_map(|(new, &old)| Some((new, linked[at(old)?].1)));
            found.links.meet(&self.path, &mut self.listing, in_order);
        }
        if options.digests_decide() {
            // Symlinks that the receiver leaves alone count only in the source's listing, so its digest leaves them
            // out.
            self.digest = if options.stamps {
                options.attributes.digest_of_source(&self.listing, self.path.components().count())
            } else {
                options.attributes.digest(&self.listing)
            };
        }
    }
}

/// The issue of an entry that cannot be looked at, or of a symlink whose target cannot stand for it.
pub(super) fn unseen(directory: &RelPath, name: &[u8], error: CallError) -> Issue {
    let message = match error.errno {
        Errno::NOLINK => "symlink has no referent".to_owned(),
        Errno::XDEV => "the symlink leads out of what may be read here".to_owned(),
        _ => format!("cannot look at: {error}"),
    };
    Issue { kind: IssueKind::Unreadable, path: directory.join_bytes(name), message, old_kept: true }
}

/// Lists the directory at `path` below `root`, where `above` are the rules that are in force in the directory above it.
pub(crate) fn scan_directory(
    root: &impl Storage,
    path: &RelPath,
    above: &InForce,
    options: &ScanOptions<'_>,
    buffers: &mut ScanBuffers,
) -> Result<Scan> {
    let lists = options.judge.matcher.lists(path);
    let directory = root.open(path, if lists { Access::Read } else { Access::Reach })?;
    let mut scan = Scan::empty(path.clone(), &directory.status(b"")?, options);
    let in_force = match options.judge.enter(&directory, path, above, &mut scan.issues) {
        Ok(in_force) => in_force,
        Err(error) => {
            scan.bad_rules = Some(error);
            return Ok(scan);
        }
    };
    let ScanBuffers { names, found, pruner } = buffers;
    scan.begin(&directory, options, found);
    if !lists {
        scan.finish(options, found);
        return Ok(scan);
    }
    for error in directory.unread() {
        scan.unread(*error);
    }
    let at = At::new(path, &in_force);
    // If everything below here belongs to the run, no entry has to be asked about.
    let options = &ScanOptions { every: options.every || options.judge.matcher.takes_all_below(path), ..*options };
    // Unless rules of files differ by tree, it does not matter which tree an entry is from.
    let by_tree = options.judge.matcher.ends_differ();
    let listed = directory.names(names, |listed, known| {
        let name = listed.to_bytes();
        if let Some(temp) = TempName::parse(name) {
            scan.leftovers.push((name.to_vec(), temp));
        } else {
            if by_tree {
                at.set_tree(directory.tree_of(name));
            }
            let look = || directory.status_of_listed(listed);
            scan.add(&directory, (name, known), (options, &at), look, found);
        }
        Ok(())
    });
    if let Err(error) = listed {
        *found = Entries { links: std::mem::take(&mut found.links), ..Entries::default() };
        return Err(error);
    }
    drop(at);
    for (name, status) in std::mem::take(&mut found.held_back) {
        match is_carried((root, options), &mut scan, &name, &in_force, pruner) {
            Ok(true) => scan.carry(&directory, (&name, Kind::Directory, &status), options, found),
            Ok(false) => {}
            Err(error) => scan.bad_rules = Some(error),
        }
    }
    scan.in_force = in_force;
    scan.finish(options, found);
    Ok(scan)
}

/// Whether a directory is carried in a run that leaves those out which hold nothing but directories.
fn is_carried(
    (root, options): (&impl Storage, &ScanOptions<'_>),
    scan: &mut Scan,
    name: &[u8],
    in_force: &InForce,
    pruner: &mut Pruner,
) -> std::result::Result<bool, RuleFileError> {
    if options.judge.keeps_empty(&scan.path, name) {
        return Ok(true);
    }
    let is_boundary = scan.boundaries.iter().any(|(boundary, _)| boundary == name);
    let path = Name::new(name).ok().filter(|_| !is_boundary).map(|name| scan.path.join(name));
    let Some(path) = path else { return Ok(false) };
    let (found, issues) = pruner.leads_to_something((root, options), path, in_force)?;
    scan.issues.extend(issues);
    Ok(found)
}

/// The top below `root` with nothing but the entry `name` in it: how a single file is scanned. Files of rules beside it
/// do not apply to it.
pub(crate) fn scan_single(
    root: &impl Storage,
    name: &[u8],
    options: &ScanOptions<'_>,
    buffers: &mut ScanBuffers,
) -> Result<Scan> {
    let top = RelPath::root();
    let directory = root.open(&top, Access::Reach)?;
    let mut scan = Scan::empty(top.clone(), &directory.status(b"")?, options);
    let at = At::new(&top, options.judge.above());
    scan.add(&directory, (name, None), (options, &at), || directory.status(name), &mut buffers.found);
    scan.finish(options, &mut buffers.found);
    Ok(scan)
}

/// Looks at certain entries of a directory, whether the rules of this end leave them out or not.
pub(crate) fn look_at<'a>(
    root: &impl Storage,
    path: &RelPath,
    names: impl Iterator<Item = &'a [u8]>,
    (attributes, judge, sums): (Attributes, &Judge, Option<&dyn Sums>),
) -> Result<Scan> {
    let directory = root.open(path, Access::Reach)?;
    let (in_force, mut found) = (InForce::default(), Entries::default());
    let options = ScanOptions { every: true, sums, ..ScanOptions::new(attributes, judge) };
    let mut scan = Scan::empty(path.clone(), &directory.status(b"")?, &options);
    let at = At::new(path, &in_force);
    let own = scan.read_xattrs(&directory, (b"", Kind::Directory), &options, &mut found.xattrs);
    scan.xattrs = own.unwrap_or_else(Xattrs::unread);
    // What cannot be read of the directory itself is told by its walk.
    scan.issues.clear();
    for name in names {
        scan.add(&directory, (name, None), (&options, &at), || directory.status(name), &mut found);
    }
    scan.finish(&options, &mut found);
    Ok(scan)
}
