//! Which attributes a run compares and carries, and what makes two entries different.

use crate::acl::{ACL_DEFAULT, is_acl, is_carried_acl};
use crate::entry::{Kind, Meta, Time};
use crate::listing::{Entry, Listing};
use crate::options::{Compare, Window};
use crate::owners::NO_ID;
use crate::reasons::Reasons;
use crate::request::Attributes;
use crate::xattrs::Xattrs;

/// The namespace of extended attributes that belongs to users. Attributes of other namespaces have a meaning to the
/// system.
const USER_NAMESPACE: &[u8] = b"user.";

/// The namespace in which the kernel keeps its own data as attributes.
const SYSTEM_NAMESPACE: &[u8] = b"system.";

/// The prefix of attributes in which rsync stores other attributes with `--fake-super`. They are not carried
/// themselves.
const FAKE_SUPER: &[u8] = b"user.rsync.%";

/// Whether an extended attribute of this name is in a namespace, other than the users' own, that a run of root carries.
#[must_use]
pub fn is_foreign_xattr(name: &[u8]) -> bool {
    name.contains(&b'.') && !name.starts_with(USER_NAMESPACE) && !name.starts_with(SYSTEM_NAMESPACE)
}

/// Those of the attributes that have such a name.
fn named(xattrs: Option<&Xattrs>, counts: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = (&[u8], &[u8])> {
    xattrs.into_iter().flat_map(Xattrs::iter).filter(move |(name, _)| counts(name))
}

/// Absent extended attributes and an empty list of them are equal.
fn bytes_of(xattrs: Option<&Xattrs>) -> &[u8] {
    xattrs.map_or(&[], Xattrs::as_bytes)
}

/// Bytes that are hashed at once.
const HASHED_PIECE_BYTES: usize = 64 << 10;

/// Set beside the number of the kind of a follower where it is hashed.
const HASHED_FOLLOWER: u8 = 1 << 7;

/// The expected number of bytes that are hashed for an entry with a name of ordinary length.
const HASHED_ENTRY_BYTES: usize = 64;

/// The bits that let anybody execute a file.
const EXECUTION: u16 = 0o111;

const fn is_executable(mode: u16) -> bool {
    mode & EXECUTION != 0
}

/// The mode of a destination's file, made executable as the source's is: for all who may read it, if nobody could
/// execute it before.
#[must_use]
pub const fn with_executability_of(source: u16, mode: u16) -> u16 {
    match (is_executable(source), is_executable(mode)) {
        (false, _) => mode & !EXECUTION,
        (true, true) => mode,
        (true, false) => mode | (mode & 0o444) >> 2,
    }
}

impl Attributes {
    /// Whether equal digests of two directories prove that nothing in them differs. A tolerance in time cannot be
    /// hashed, and files that are always transferred are never equal, so in such runs every directory is listed.
    #[must_use]
    pub fn digests_decide(&self) -> bool {
        !matches!(self.window, Window::Within(_)) && self.compare != Compare::None
    }

    /// Whether a run carries entries of this kind.
    #[must_use]
    pub fn carries(&self, kind: Kind) -> bool {
        match kind {
            Kind::Symlink => self.links,
            Kind::Fifo | Kind::Socket => self.specials,
            Kind::BlockDevice | Kind::CharDevice => self.devices,
            Kind::File | Kind::Directory | Kind::Special => true,
        }
    }

    /// Whether a run needs to know more of a file than its status.
    #[must_use]
    #[inline]
    pub fn looks_closer(&self) -> bool {
        self.xattrs || self.acls || self.atimes
    }

    /// Whether the listing of a directory carries content digests.
    #[must_use]
    pub fn compares_content(&self) -> bool {
        self.compare == Compare::Content
    }

    fn compares_file_times(&self) -> bool {
        self.times || self.compare == Compare::Quick
    }

    /// Whether the modification times of entries of this kind are carried.
    #[must_use]
    pub fn carries_time_of(&self, kind: Kind) -> bool {
        let is_omitted = match kind {
            Kind::Directory => self.omit_dir_times,
            Kind::Symlink => self.omit_link_times,
            Kind::File | Kind::Special | Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => false,
        };
        self.times && !is_omitted
    }

    /// Whether the access times of entries of this kind are carried. Those of directories are not, since every walk
    /// changes them.
    #[must_use]
    pub fn carries_atime_of(&self, kind: Kind) -> bool {
        self.atimes && kind.has_attributes()
    }

    /// Whether only the executability of a file is carried, and no other bit of its mode.
    #[must_use]
    pub fn carries_executability_of(&self, kind: Kind) -> bool {
        self.executability && !self.perms && kind == Kind::File
    }

    /// Reasons for which the attributes that are carried differ.
    #[must_use]
    pub fn meta_differences(&self, kind: Kind, source: &Meta, destination: &Meta) -> Reasons {
        let mut reasons = Reasons::default();
        reasons.add(self.perms && kind != Kind::Symlink && source.mode != destination.mode, Reasons::MODE);
        // A file that nobody may read does not become executable either.
        let differs = self.carries_executability_of(kind)
            && with_executability_of(source.mode, destination.mode) != destination.mode;
        reasons.add(differs, Reasons::MODE);
        let is_other = |source: u32, destination: u32| source != destination && source != NO_ID;
        reasons.add(self.owner && is_other(source.uid, destination.uid), Reasons::OWNER);
        reasons.add(self.group && is_other(source.gid, destination.gid), Reasons::GROUP);
        let compares_time = self.carries_time_of(kind);
        reasons.add(compares_time && !self.window.equal(source.mtime, destination.mtime), Reasons::MTIME);
        reasons
    }

    /// Whether an extended attribute of this name is carried.
    #[must_use]
    pub fn carries_xattr(&self, name: &[u8]) -> bool {
        if is_acl(name) {
            self.acls
        } else if name.starts_with(USER_NAMESPACE) {
            self.xattrs && !name.starts_with(FAKE_SUPER)
        } else {
            self.xattrs && is_foreign_xattr(name) && self.foreign_xattrs
        }
    }

    /// Whether extended attributes of an entry of this kind are carried. In the namespace `user.` the kernel allows
    /// them for files and directories only.
    #[must_use]
    pub fn carries_xattrs_of(&self, kind: Kind) -> bool {
        let foreign = self.xattrs && self.foreign_xattrs;
        match kind {
            Kind::File | Kind::Directory => self.xattrs || self.acls,
            Kind::Special => false,
            Kind::Symlink => foreign,
            Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => foreign || self.acls,
        }
    }

    /// Whether an entry of this kind may have this extended attribute in a run, in the form in which it travels.
    #[must_use]
    pub(crate) fn takes_xattr(&self, kind: Kind, name: &[u8], value: &[u8]) -> bool {
        let may_have = match kind {
            Kind::Directory => true,
            Kind::File => name != ACL_DEFAULT,
            Kind::Symlink => !is_acl(name) && !name.starts_with(USER_NAMESPACE),
            Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => {
                name != ACL_DEFAULT && !name.starts_with(USER_NAMESPACE)
            }
            Kind::Special => false,
        };
        may_have && self.carries_xattr(name) && (!is_acl(name) || is_carried_acl(name, value))
    }

    /// The reasons for which two entries' extended attributes and ACLs differ, as far as they are compared. If those of
    /// the source could not be read, they give no reason; if those of the destination could not, they count as
    /// different.
    #[must_use]
    pub fn xattr_differences(&self, source: Option<&Xattrs>, destination: Option<&Xattrs>) -> Reasons {
        self.differences_of_xattrs(source, |_| true, destination)
    }

    /// The same, with only those of the source's names for which `counts` is true.
    pub(crate) fn differences_of_xattrs(
        &self,
        source: Option<&Xattrs>,
        counts: impl Fn(&[u8]) -> bool,
        destination: Option<&Xattrs>,
    ) -> Reasons {
        let is_unread = |xattrs: Option<&Xattrs>| xattrs.is_some_and(Xattrs::is_unread);
        let mut reasons = Reasons::default();
        for (asked, acls, reason) in [(self.xattrs, false, Reasons::XATTRS), (self.acls, true, Reasons::ACLS)] {
            if asked && !is_unread(source) {
                let carried = |name: &[u8]| is_acl(name) == acls && self.carries_xattr(name);
                let here = named(destination, carried);
                let wanted = named(source, |name| carried(name) && counts(name));
                reasons.add(is_unread(destination) || !wanted.eq(here), reason);
            }
        }
        reasons
    }

    /// All differences between the destination's entry and the source's of the same name.
    #[must_use]
    pub fn differences(&self, source: (&Listing, usize), destination: (&Listing, usize)) -> Reasons {
        let (Some(a), Some(b)) = (source.0.get(source.1), destination.0.get(destination.1)) else {
            return Reasons::MISSING;
        };
        // As in rsync, a device in place of another device is still one, and so is a FIFO in place of a socket.
        let is_another = a.kind != b.kind;
        let are_alike = a.kind.is_device() && b.kind.is_device();
        if is_another && !are_alike && !(a.kind.is_fifo_or_socket() && b.kind.is_fifo_or_socket()) {
            return Reasons::TYPE;
        }
        let carried = || {
            let xattrs = self.xattr_differences(source.0.xattrs(source.1), destination.0.xattrs(destination.1));
            let mut reasons = self.meta_differences(a.kind, &a.meta, &b.meta).union(xattrs);
            let (here, wanted) = (destination.0.atime(destination.1), source.0.atime(source.1));
            let is_other = |wanted: Time| here.is_none_or(|here| !self.window.equal(wanted, here));
            reasons.add(self.carries_atime_of(a.kind) && wanted.is_some_and(is_other), Reasons::ATIME);
            reasons
        };
        match a.kind {
            Kind::Directory | Kind::Special => Reasons::default(),
            Kind::Fifo | Kind::Socket | Kind::BlockDevice | Kind::CharDevice => {
                let mut reasons = carried();
                let is_another = is_another || source.0.device(source.1) != destination.0.device(destination.1);
                reasons.add(is_another, Reasons::DEVICE);
                reasons
            }
            Kind::Symlink => {
                let mut reasons = carried();
                reasons.add(source.0.target(a) != destination.0.target(b), Reasons::TARGET);
                reasons
            }
            Kind::File => {
                let mut reasons = carried();
                reasons.add(a.size != b.size, Reasons::SIZE);
                match self.compare {
                    Compare::Size => {}
                    Compare::None => reasons.add(true, Reasons::UNCOMPARED),
                    Compare::Content => reasons.add(
                        a.size == b.size && source.0.content(source.1) != destination.0.content(destination.1),
                        Reasons::CONTENT,
                    ),
                    Compare::Quick => {
                        reasons.add(!self.window.equal(a.meta.mtime, b.meta.mtime), Reasons::MTIME);
                    }
                }
                reasons
            }
        }
    }

    /// Whether a file with these differences needs its content again, or its attributes only.
    #[must_use]
    pub fn needs_content(&self, reasons: Reasons) -> bool {
        let content = Reasons::MISSING
            .union(Reasons::SIZE)
            .union(Reasons::TYPE)
            .union(Reasons::CONTENT)
            .union(Reasons::UNCOMPARED);
        reasons.intersects(content) || (self.compare == Compare::Quick && reasons.intersects(Reasons::MTIME))
    }

    fn put_hashed_time(&self, out: &mut Vec<u8>, time: Time) {
        out.extend_from_slice(&time.seconds.to_le_bytes());
        if self.window == Window::Exact {
            out.extend_from_slice(&time.nanos.to_le_bytes());
        }
    }

    fn put_hashed_attributes(&self, out: &mut Vec<u8>, kind: Kind, meta: &Meta, xattrs: Option<&Xattrs>) {
        if self.perms && kind != Kind::Symlink {
            out.extend_from_slice(&meta.mode.to_le_bytes());
        }
        if self.carries_executability_of(kind) {
            out.push(u8::from(is_executable(meta.mode)));
        }
        if self.owner {
            out.extend_from_slice(&meta.uid.to_le_bytes());
        }
        if self.group {
            out.extend_from_slice(&meta.gid.to_le_bytes());
        }
        if self.carries_time_of(kind) || (kind == Kind::File && self.compares_file_times()) {
            self.put_hashed_time(out, meta.mtime);
        }
        if self.xattrs || self.acls {
            let bytes = bytes_of(xattrs);
            let length = if xattrs.is_some_and(Xattrs::is_unread) { u64::MAX } else { bytes.len() as u64 };
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(bytes);
        }
    }

    /// The digest of a directory's direct entries over exactly what this run compares.
    #[must_use]
    pub fn digest(&self, listing: &Listing) -> Digest {
        self.digest_as(listing, |meta| *meta)
    }

    /// The digest of a directory of the source, `above` names below its top. Symlinks that the receiver leaves alone
    /// are not in it, so that a destination without them is equal.
    #[must_use]
    pub fn digest_of_source(&self, listing: &Listing, above: usize) -> Digest {
        self.digest_with(listing, |meta| *meta, |index| !self.safe_links || !listing.is_unsafe_link(index, above))
    }

    /// The digest of a listing as if the entries had the attributes that `taken` gives for theirs.
    #[must_use]
    pub fn digest_as(&self, listing: &Listing, taken: impl Fn(&Meta) -> Meta) -> Digest {
        self.digest_with(listing, taken, |_| true)
    }

    fn digest_with(&self, listing: &Listing, taken: impl Fn(&Meta) -> Meta, counts: impl Fn(usize) -> bool) -> Digest {
        let mut hasher = blake3::Hasher::new();
        // The input is collected into large pieces, because the hash is slow on a few bytes at a time.
        let mut piece = Vec::with_capacity((listing.len() * HASHED_ENTRY_BYTES).min(HASHED_PIECE_BYTES));
        for (index, entry) in listing.entries().iter().enumerate().filter(|(index, _)| counts(*index)) {
            let name = listing.name(entry);
            let leader = listing.leader(index);
            let kind = entry.kind as u8 | if leader.is_some() { HASHED_FOLLOWER } else { 0 };
            piece.extend_from_slice(&[kind, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
            piece.extend_from_slice(name);
            // The path of the leader is hashed and not the number of an inode, so that both ends have the same digest
            // for equal trees.
            if let Some(leader) = leader {
                let path = leader.directory.as_bytes();
                piece.extend_from_slice(&(path.len() as u64).to_le_bytes());
                piece.extend_from_slice(path);
                piece.push(u8::try_from(leader.name.len()).unwrap_or(u8::MAX));
                piece.extend_from_slice(leader.name);
            }
            let fields = listing.fields(index);
            if let Some(atime) = fields.and_then(|fields| fields.atime) {
                self.put_hashed_time(&mut piece, atime);
            }
            let xattrs = fields.map(|fields| &fields.xattrs);
            match entry.kind {
                Kind::Directory | Kind::Special => {}
                Kind::Fifo | Kind::Socket => {
                    self.put_hashed_attributes(&mut piece, entry.kind, &taken(&entry.meta), xattrs);
                }
                Kind::BlockDevice | Kind::CharDevice => {
                    fields.and_then(|fields| fields.device).unwrap_or_default().put_hashed(&mut piece);
                    self.put_hashed_attributes(&mut piece, entry.kind, &taken(&entry.meta), xattrs);
                }
                Kind::Symlink => {
                    piece.extend_from_slice(&entry.size.to_le_bytes());
                    piece.extend_from_slice(listing.target(entry));
                    self.put_hashed_attributes(&mut piece, entry.kind, &taken(&entry.meta), xattrs);
                }
                Kind::File => {
                    piece.extend_from_slice(&entry.size.to_le_bytes());
                    self.put_hashed_attributes(&mut piece, entry.kind, &taken(&entry.meta), xattrs);
                    if let Some(content) = listing.content(index) {
                        piece.extend_from_slice(content);
                    }
                }
            }
            if piece.len() >= HASHED_PIECE_BYTES {
                hasher.update(&piece);
                piece.clear();
            }
        }
        hasher.update(&piece);
        truncate(&hasher.finalize())
    }
}

/// The first 128 bits of BLAKE3: enough for a decision that only its own sender could want to falsify.
pub type Digest = [u8; 16];

fn truncate(hash: &blake3::Hash) -> Digest {
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash.as_bytes()[..16]);
    digest
}

/// The digest of a whole tree: the same on both ends exactly when no directory differs. Fed in walk order.
#[derive(Default)]
pub struct TreeHasher {
    hasher: blake3::Hasher,
    directories: u64,
}

impl TreeHasher {
    /// Adds a directory.
    pub fn add(
        &mut self,
        attributes: &Attributes,
        path: &crate::RelPath,
        (meta, xattrs): (&Meta, &Xattrs),
        digest: &Digest,
    ) {
        self.directories += 1;
        let mut piece = Vec::with_capacity(path.as_bytes().len() + HASHED_ENTRY_BYTES);
        piece.extend_from_slice(&(path.as_bytes().len() as u64).to_le_bytes());
        piece.extend_from_slice(path.as_bytes());
        attributes.put_hashed_attributes(&mut piece, Kind::Directory, meta, Some(xattrs));
        piece.extend_from_slice(digest);
        self.hasher.update(&piece);
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(&self) -> Digest {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.directories.to_le_bytes());
        truncate(&hasher.finalize())
    }
}

/// Whether the destination's file is newer than the source's, for runs that leave newer files alone.
#[must_use]
pub(crate) fn is_newer(attributes: &Attributes, source: &Entry, destination: &Entry) -> bool {
    source.kind == Kind::File
        && destination.kind == Kind::File
        && attributes.window.is_newer(destination.meta.mtime, source.meta.mtime)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{is_executable, with_executability_of};
    use crate::entry::{Kind, Meta, Time};
    use crate::listing::Listing;
    use crate::options::Compare;
    use crate::path::Name;
    use crate::request::Attributes;

    fn any_attributes() -> impl Strategy<Value = Attributes> {
        any::<[bool; 7]>().prop_map(|[perms, executability, times, dirs, links, owner, group]| Attributes {
            links: true,
            specials: true,
            perms,
            executability,
            times,
            omit_dir_times: dirs,
            omit_link_times: links,
            owner,
            group,
            compare: Compare::Size,
            ..Attributes::default()
        })
    }

    fn any_meta() -> impl Strategy<Value = Meta> {
        (0..4usize, 0..2u32, 0..2u32, 0..2i64).prop_map(|(mode, uid, gid, seconds)| Meta {
            mode: [0o644, 0o755, 0o600, 0o601][mode],
            uid,
            gid,
            mtime: Time { seconds, nanos: 0 },
        })
    }

    proptest! {
        /// A run with nothing to do costs no listing, and one with something to do is not missed.
        #[test]
        fn digests_are_equal_where_nothing_that_is_carried_differs(
            attributes in any_attributes(),
            kind in prop_oneof![Just(Kind::File), Just(Kind::Symlink), Just(Kind::Fifo)],
            metas in (any_meta(), any_meta()),
        ) {
            let digest = |meta: Meta| {
                let mut listing = Listing::new();
                assert!(listing.push(Name::new(b"x").expect("a name"), kind, 0, meta, b"t"));
                attributes.digest(&listing)
            };
            let (source, destination) = metas;
            let is_equal = attributes.meta_differences(kind, &source, &destination).is_empty();
            prop_assert_eq!(digest(source) == digest(destination), is_equal);
        }
    }

    #[test]
    fn who_may_read_may_execute_where_nobody_could() {
        for (source, mode, becomes) in
            [(0o755, 0o640, 0o750), (0o711, 0o604, 0o705), (0o700, 0o611, 0o611), (0o644, 0o6777, 0o6666), (0o1, 0, 0)]
        {
            assert_eq!(with_executability_of(source, mode), becomes, "{source:o} {mode:o}");
            assert!(is_executable(becomes) == is_executable(source) || mode & 0o444 == 0);
        }
    }
}
