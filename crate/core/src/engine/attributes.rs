//! Sets the attributes of an entry, in the right order.
//!
//! Owner and group come first, because a change of them clears set-id bits and capabilities; then extended attributes,
//! which the mode may forbid to set; then ACLs that are set, then the mode, then ACLs that go; then the time, which is
//! what the next run compares. A set-id bit is set only under the owner that it has at the source
//! ([`Rules::mode_under`]), and a file's capabilities count as one: they are carried in the same way, and an existing
//! file that gets the source's mode under another owner loses its own first. What the entry has already is not set
//! again. Each attribute is set by itself: what fails is told, and costs neither the others nor the content.

use sparsync_proto::{
    CAPABILITY, Entry, Kind, Matcher, Meta, NO_ID, Reasons, Rules, SET_GID, SET_UID, Time, Xattrs, is_acl,
    with_executability_of,
};

use super::acls::AclChanges;
use super::unset::{AttributeKind, Unset};
use super::xattrs::{USER_WRITE, Wanted, names_of, settle};
use crate::storage::{Adjust, Found, OWNER_BITS, carried_names};

/// What one run sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttributePolicy<'m> {
    /// Which attributes are carried, and how far the source's owners can be trusted.
    pub(super) rules: Rules,
    /// Which extended attributes are set, and which may be removed.
    pub(super) matcher: &'m dyn Matcher,
}

/// Permission bits to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    /// They stay as they are.
    Untouched,
    /// The source's, as far as the owner allows.
    Source,
    /// These.
    Fixed(u16),
    /// The bits that it has, made executable or not as the source's are.
    Executability,
    /// The bits that the entry was made with, less those that it was only lent: no more than the source's.
    Made,
}

/// Extended attributes to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WantedXattrs<'a> {
    /// They stay as they are.
    Untouched,
    /// The source's, which may be none.
    Source(Option<&'a Xattrs>),
}

/// What is to be set on one entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    kind: Kind,
    source: Meta,
    uid: Option<u32>,
    gid: Option<u32>,
    bits: Bits,
    atime: Option<Time>,
    mtime: Option<Time>,
    xattrs: WantedXattrs<'a>,
    /// The entry was there before this run.
    is_old: bool,
    /// Whether the entry may have extended attributes.
    may_have_xattrs: bool,
}

impl AttributePolicy<'_> {
    /// The target of a new entry that has no extended attributes, or whose extended attributes are set apart.
    pub(super) fn target(&self, kind: Kind, source: &Meta) -> Target<'static> {
        let carried = &self.rules.attributes;
        Target {
            kind,
            source: *source,
            uid: Some(source.uid).filter(|&uid| carried.owner && uid != NO_ID),
            gid: Some(source.gid).filter(|&gid| carried.group && gid != NO_ID),
            bits: if carried.perms && kind != Kind::Symlink { Bits::Source } else { Bits::Untouched },
            atime: None,
            mtime: carried.carries_time_of(kind).then_some(source.mtime),
            xattrs: WantedXattrs::Untouched,
            is_old: false,
            may_have_xattrs: false,
        }
    }

    /// The target of a directory at the end of a run. A new directory whose mode is not carried may have been made with
    /// more bits than the source's: so that its owner can work in it, or as the top, which is made before the source is
    /// known.
    pub(super) fn directory_target(&self, source: &Meta, is_new: bool, is_top: bool) -> Target<'static> {
        let target = self.target(Kind::Directory, source);
        let is_wider = is_new && (is_top || source.mode & OWNER_BITS != OWNER_BITS);
        if target.bits == Bits::Untouched && is_wider { Target { bits: Bits::Made, ..target } } else { target }
    }

    /// The target of a new entry that is made from its listing alone.
    pub(super) fn new_target<'a>(&self, entry: &Entry, xattrs: Option<&'a Xattrs>) -> Target<'a> {
        // A new entry takes over the default ACL of its directory, which may grant more than the source does.
        let may_have_some = xattrs.is_some() || (self.rules.attributes.acls && entry.kind != Kind::Symlink);
        let xattrs = if may_have_some { self.wanted(entry.kind, xattrs) } else { WantedXattrs::Untouched };
        Target { xattrs, ..self.target(entry.kind, &entry.meta) }
    }

    /// The extended attributes of an entry of this kind. Attributes that could not be read at the source leave those of
    /// the destination as they are.
    fn wanted<'a>(&self, kind: Kind, xattrs: Option<&'a Xattrs>) -> WantedXattrs<'a> {
        let is_carried = self.rules.attributes.carries_xattrs_of(kind) && !xattrs.is_some_and(Xattrs::is_unread);
        if is_carried { WantedXattrs::Source(xattrs) } else { WantedXattrs::Untouched }
    }

    /// The target of a directory's extended attributes and ACLs alone, which are set as soon as it is there. Its mode
    /// is set with the ACL that it is a part of; a new one stays usable for its owner until the end.
    pub(super) fn directory_xattrs<'a>(&self, meta: &Meta, xattrs: &'a Xattrs, is_new: bool) -> Target<'a> {
        let xattrs = self.wanted(Kind::Directory, Some(xattrs));
        let source = Meta { mode: meta.mode | if is_new { OWNER_BITS } else { 0 }, ..*meta };
        let carried = &self.rules.attributes;
        let bits = if carried.acls && carried.perms { Bits::Source } else { Bits::Untouched };
        Target { source, bits, xattrs, is_old: !is_new, may_have_xattrs: !is_new, ..Target::mode(0) }
    }

    /// The target of new content. Where modes are not carried, the new file keeps the mode of the one that it replaces,
    /// but not its set-id bits, which were granted to other content.
    pub(super) fn content_target<'a>(
        &self,
        source: &Meta,
        xattrs: Option<&'a Xattrs>,
        old_mode: Option<u16>,
    ) -> Target<'a> {
        let target = Target { xattrs: self.wanted(Kind::File, xattrs), ..self.target(Kind::File, source) };
        match (target.bits, old_mode) {
            (Bits::Untouched, Some(old)) => {
                let old = old & !(SET_UID | SET_GID);
                let is_carried = self.rules.attributes.carries_executability_of(Kind::File);
                let bits = if is_carried { with_executability_of(source.mode, old) } else { old };
                Target { bits: Bits::Fixed(bits), ..target }
            }
            _ => target,
        }
    }

    /// The target of an entry that has the right content: only attributes that differ are set, since this process may
    /// not be allowed to set an owner that is right already.
    pub(super) fn adjustment<'a>(&self, entry: &Entry, xattrs: Option<&'a Xattrs>, reasons: Reasons) -> Target<'a> {
        let all = self.target(entry.kind, &entry.meta);
        // A change of owner clears set-id bits, and one of an ACL may, so the mode is set again after it.
        let owners = Reasons::OWNER.union(Reasons::GROUP);
        let bits_change = reasons.intersects(Reasons::MODE.union(Reasons::ACLS).union(owners));
        let is_executability =
            reasons.intersects(Reasons::MODE) && self.rules.attributes.carries_executability_of(entry.kind);
        Target {
            uid: all.uid.filter(|_| reasons.intersects(Reasons::OWNER)),
            gid: all.gid.filter(|_| reasons.intersects(Reasons::GROUP)),
            bits: match bits_change {
                _ if is_executability => Bits::Executability,
                true => all.bits,
                false => Bits::Untouched,
            },
            mtime: all.mtime.filter(|_| reasons.intersects(Reasons::MTIME)),
            xattrs: if reasons.intersects(Reasons::XATTRS.union(Reasons::ACLS)) {
                self.wanted(entry.kind, xattrs)
            } else {
                WantedXattrs::Untouched
            },
            is_old: true,
            may_have_xattrs: true,
            ..all
        }
    }

    /// Sets the attributes of `target` that differ from those in `found`. Each one is set by itself.
    pub(super) fn set(&self, target: &Target<'_>, entry: &impl Adjust, found: Option<Found>) -> Unset {
        let mut unset = Unset::default();
        let (mut owner, mut group) = (found.map(|found| found.uid), found.map(|found| found.gid));
        let uid = target.uid.filter(|&uid| owner != Some(uid));
        let gid = target.gid.filter(|&gid| group != Some(gid));
        let changes_owner = uid.is_some() || gid.is_some();
        match (uid, gid) {
            (None, None) => {}
            (Some(_), Some(_)) if entry.set_owner(uid, gid).is_ok() => (owner, group) = (uid, gid),
            // The kernel may allow one of the two changes where it refuses both together.
            _ => {
                if let Some(id) = uid
                    && unset.tried(AttributeKind::Owners, || format!("chown {id}"), entry.set_owner(uid, None))
                {
                    owner = uid;
                }
                if let Some(id) = gid
                    && unset.tried(AttributeKind::Owners, || format!("chown :{id}"), entry.set_owner(None, gid))
                {
                    group = gid;
                }
            }
        }
        let mut acls = AclChanges::default();
        if let WantedXattrs::Source(xattrs) = target.xattrs {
            acls = self.settle_xattrs(target, xattrs, entry, owner, &mut unset);
        }
        // Removing an access ACL before the mode is set would open the entry, for a moment, to a group that the ACL
        // kept out. Setting an ACL changes the mode, so the mode is set after that.
        acls.set(entry, &mut unset);
        if let Some(bits) = self.bits(target, entry, (owner, group), &mut unset) {
            let has_set_id = bits & (SET_UID | SET_GID) != 0;
            let changed = acls.changed_mode() || (changes_owner && has_set_id);
            if changed || found.is_none_or(|found| found.mode != bits) {
                unset.tried(AttributeKind::Modes, || format!("chmod {bits:04o}"), entry.set_mode(bits));
            }
        }
        acls.remove(entry, &mut unset);
        if target.atime.is_some() || target.mtime.is_some() {
            let set = entry.set_times(target.atime, target.mtime);
            unset.tried(AttributeKind::Times, || "utimensat".to_owned(), set);
        }
        unset.locate(entry);
        unset
    }

    /// Makes an entry's extended attributes those of the source. Gives the changes of its ACLs, which the caller makes.
    fn settle_xattrs(
        &self,
        target: &Target<'_>,
        xattrs: Option<&Xattrs>,
        entry: &impl Adjust,
        owner: Option<u32>,
        unset: &mut Unset,
    ) -> AclChanges {
        let carried = &self.rules.attributes;
        // A new entry, too, can have attributes: the default ACL of its directory is handed down to it.
        let listed = if target.may_have_xattrs || carried.acls { names_of(entry) } else { Ok(Vec::new()) };
        let names = match listed {
            Ok(names) => names,
            Err(error) => {
                unset.tried(AttributeKind::Xattrs, || "listxattr".to_owned(), Err(error));
                return AclChanges::default();
            }
        };
        let may_go = |name: &&[u8]| is_acl(name) || self.matcher.removes_xattr(name);
        let present: Vec<&[u8]> = carried_names(&names, carried).filter(may_go).collect();
        let lends = self.lends_capabilities(target, xattrs, entry, owner);
        let counts = |name: &[u8]| {
            carried.carries_xattr(name)
                && (is_acl(name) || self.matcher.sends_xattr(name))
                && (lends || name != CAPABILITY)
        };
        let wanted: Wanted<'_> = xattrs.into_iter().flat_map(Xattrs::iter).filter(|(name, _)| counts(name)).collect();
        settle(entry, &wanted, &present, unset);
        if !carried.acls {
            return AclChanges::default();
        }
        let found = if carried.perms { None } else { entry.found().ok() };
        let mode = found.map_or(target.source.mode, |found| found.mode);
        AclChanges::between(entry, &wanted, &present, mode)
    }

    /// Whether a file gets the source's capabilities: it belongs to the source's owner.
    fn lends_capabilities(
        &self,
        target: &Target<'_>,
        xattrs: Option<&Xattrs>,
        entry: &impl Adjust,
        owner: Option<u32>,
    ) -> bool {
        if target.kind == Kind::Directory || xattrs.is_none_or(|xattrs| xattrs.get(CAPABILITY).is_none()) {
            return true;
        }
        let owner = owner.or_else(|| entry.found().ok().map(|found| found.uid));
        self.rules.keeps_owner(&target.source, owner)
    }

    /// The permission bits to be set on an entry that belongs to `owner`. An owner or group that is not known is looked
    /// up only where the bits depend on it.
    fn bits(
        &self,
        target: &Target<'_>,
        entry: &impl Adjust,
        owner: (Option<u32>, Option<u32>),
        unset: &mut Unset,
    ) -> Option<u16> {
        let source = &target.source;
        match target.bits {
            Bits::Untouched => None,
            Bits::Fixed(bits) => Some(bits),
            Bits::Executability => look(entry, unset).map(|found| with_executability_of(source.mode, found.mode)),
            Bits::Made => look(entry, unset).map(|found| found.mode & (source.mode | !0o777)),
            Bits::Source if target.kind == Kind::Directory => Some(source.mode),
            Bits::Source => {
                let (mut uid, mut gid) = owner;
                let matters = target.is_old || source.mode & (SET_UID | SET_GID) != 0;
                if matters && (uid.is_none() || gid.is_none()) {
                    let found = entry.found().ok();
                    (uid, gid) = (found.map(|found| found.uid), found.map(|found| found.gid));
                }
                if target.is_old
                    && !self.rules.keeps_owner(source, uid)
                    && !unset.tried(
                        AttributeKind::Xattrs,
                        || "removexattr security.capability".to_owned(),
                        entry.drop_capabilities(),
                    )
                {
                    return None;
                }
                Some(self.rules.mode_under(target.kind, source, uid, gid))
            }
        }
    }
}

/// The present owner and mode of an entry.
fn look(entry: &impl Adjust, unset: &mut Unset) -> Option<Found> {
    match entry.found() {
        Ok(found) => Some(found),
        Err(error) => {
            unset.tried(AttributeKind::Modes, || "fstat".to_owned(), Err(error));
            None
        }
    }
}

impl Target<'_> {
    /// What the entry is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The target of a directory whose mode alone is put back.
    pub(super) fn mode(bits: u16) -> Self {
        Self {
            kind: Kind::Directory,
            source: Meta::default(),
            uid: None,
            gid: None,
            bits: Bits::Fixed(bits),
            atime: None,
            mtime: None,
            xattrs: WantedXattrs::Untouched,
            is_old: true,
            may_have_xattrs: true,
        }
    }

    /// The same, with this access time.
    pub(super) fn with_atime(self, atime: Option<Time>) -> Self {
        Self { atime, ..self }
    }

    /// The same, but with these permission bits if it sets none.
    pub(super) fn or_mode(self, bits: Option<u16>) -> Self {
        match (self.bits, bits) {
            (Bits::Untouched, Some(bits)) => Self { bits: Bits::Fixed(bits), ..self },
            _ => self,
        }
    }

    /// Permission bits that a file is made with: nothing beyond read, write and execute, since its owner is not set
    /// yet.
    pub(super) fn start(&self) -> u16 {
        let bits = if let Bits::Fixed(bits) = self.bits { bits } else { self.source.mode };
        // The kernel lets extended attributes be set only where the mode allows writing.
        let lent = if self.has_xattrs() { USER_WRITE } else { 0 };
        bits & 0o777 | lent
    }

    /// The same for a file that is there while it is incomplete: others may read it only when it has its own mode, and
    /// where no mode is set, the one that it is made with is its own.
    pub(super) fn start_incomplete(&self) -> u16 {
        if self.bits == Bits::Untouched { self.start() } else { 0o600 }
    }

    fn has_xattrs(&self) -> bool {
        matches!(self.xattrs, WantedXattrs::Source(Some(_)))
    }

    /// Whether the file is made with more bits than it is to have. [`Target::with_bits`] takes them back.
    pub(super) fn starts_wider(&self) -> bool {
        self.bits == Bits::Untouched && self.start() != self.source.mode & 0o777
    }

    /// The same for a file that an earlier run has left, in whatever state.
    pub(super) fn reopened(self) -> Self {
        Self { may_have_xattrs: true, ..self }
    }

    /// The same for a file that was made with other bits than [`Target::start`]. Where modes are not carried, its bits
    /// become those that the kernel would have given: the source's, less the umask's.
    pub(super) fn with_bits(self, umask: impl FnOnce() -> u16) -> Self {
        let bits =
            if self.bits == Bits::Untouched { Bits::Fixed(self.source.mode & 0o777 & !umask()) } else { self.bits };
        Self { bits, ..self }
    }

    /// Whether a file that was another one before, `was`, would have in the end what a `fresh` one would have.
    pub(super) fn suits(&self, was: &Meta, fresh: &Meta) -> bool {
        let has_owner = self.uid.is_some() || was.uid == fresh.uid;
        let has_group = self.gid.is_some() || was.gid == fresh.gid;
        self.mtime.is_some() && has_owner && has_group
    }

    /// Whether extended attributes are set.
    pub(super) fn sets_xattrs(&self) -> bool {
        self.xattrs != WantedXattrs::Untouched
    }

    /// Whether nothing is to be set.
    pub(super) fn is_empty(&self) -> bool {
        self.uid.is_none()
            && self.gid.is_none()
            && self.bits == Bits::Untouched
            && self.atime.is_none()
            && self.mtime.is_none()
            && self.xattrs == WantedXattrs::Untouched
    }
}

/// Owner and mode that the kernel gave to the first new file of a directory. Further files made with the same bits get
/// the same, since umask, default ACL and group are the same for them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given(Option<(u16, Found)>);

impl Given {
    /// The owner and mode that a new file has. The first file of a directory is looked at, the others are like it.
    pub(super) fn to(&mut self, target: &Target<'_>, new: &impl Adjust) -> Option<Found> {
        if target.uid.is_none() && target.gid.is_none() && target.bits == Bits::Untouched {
            return None;
        }
        let start = target.start();
        match self.0 {
            Some((bits, found)) if bits == start => Some(found),
            _ => {
                let found = new.found().ok()?;
                if found.mode == start {
                    self.0 = Some((start, found));
                }
                Some(found)
            }
        }
    }
}
