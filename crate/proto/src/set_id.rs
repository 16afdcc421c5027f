//! Which set-id bits an entry keeps. Such a bit lends the rights of a file's owner to whoever runs the file, so it is
//! the owner's to give: it is kept under that very owner and dropped under any other. A file's capabilities lend rights
//! in the same way, and count as the bit of the user. The source's owner is here whom its name, or a rule of the run,
//! stands for at the destination.

use crate::entry::{Kind, Meta};
use crate::owners::NO_ID;
use crate::plan::Rules;

/// How far a source's numbers of owners and groups can be trusted at the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceIds {
    /// The peer tells the numbers, and they prove nothing until this side has set them itself.
    #[default]
    Claimed,
    /// Both ends are this machine: they are owners and groups of this very system.
    Local,
}

/// The extended attribute that holds a file's capabilities.
pub const CAPABILITY: &[u8] = b"security.capability";

/// The set-user-id bit.
pub const SET_UID: u16 = 0o4000;

/// The set-group-id bit.
pub const SET_GID: u16 = 0o2000;

/// The permission bits `mode` of an entry, on another one that belongs to the same owner and group, or does not. A
/// directory lends nobody's rights, and keeps them all.
#[must_use]
pub fn kept_mode(kind: Kind, mode: u16, keeps_owner: bool, keeps_group: bool) -> u16 {
    if kind == Kind::Directory {
        return mode;
    }
    mode & !(if keeps_owner { 0 } else { SET_UID }) & !(if keeps_group { 0 } else { SET_GID })
}

impl Rules {
    /// Whether an entry that belongs to `uid` belongs to the source's owner; false when `uid` is unknown.
    #[must_use]
    pub fn keeps_owner(&self, source: &Meta, uid: Option<u32>) -> bool {
        let is_known = self.source_ids == SourceIds::Local || self.attributes.owner;
        is_known && source.uid != NO_ID && uid == Some(source.uid)
    }

    /// The same for the group.
    #[must_use]
    pub fn keeps_group(&self, source: &Meta, gid: Option<u32>) -> bool {
        let is_known = self.source_ids == SourceIds::Local || self.attributes.group;
        is_known && source.gid != NO_ID && gid == Some(source.gid)
    }

    /// The permission bits that an entry gets when it belongs to `uid` and `gid`, of which an absent one is unknown:
    /// see [`kept_mode`].
    #[must_use]
    pub fn mode_under(&self, kind: Kind, source: &Meta, uid: Option<u32>, gid: Option<u32>) -> u16 {
        kept_mode(kind, source.mode, self.keeps_owner(source, uid), self.keeps_group(source, gid))
    }

    /// Whether a file of the destination should have the source's capabilities, once its owner is set as far as owners
    /// are carried.
    pub(crate) fn capabilities_to_be(&self, source: &Meta, destination: &Meta) -> bool {
        let uid = if self.attributes.owner { source.uid } else { destination.uid };
        self.keeps_owner(source, Some(uid))
    }

    /// The permission bits that an entry of the destination should have, once its owner and group are set as far as
    /// they are carried.
    pub(crate) fn mode_to_be(&self, kind: Kind, source: &Meta, destination: &Meta) -> u16 {
        let is_set = |is_carried: bool, id: u32| is_carried && id != NO_ID;
        let uid = if is_set(self.attributes.owner, source.uid) { source.uid } else { destination.uid };
        let gid = if is_set(self.attributes.group, source.gid) { source.gid } else { destination.gid };
        self.mode_under(kind, source, Some(uid), Some(gid))
    }
}

#[cfg(test)]
mod tests {
    use super::SourceIds;
    use crate::entry::{Kind, Meta};
    use crate::plan::Rules;
    use crate::request::{Attributes, Selection};

    fn rules(source_ids: SourceIds, carried: bool) -> Rules {
        let attributes = Attributes { perms: true, owner: carried, group: carried, ..Attributes::default() };
        Rules { attributes, source_ids, recursive: true, selection: Selection::default(), append_only: false }
    }

    #[test]
    fn a_set_id_bit_stays_with_its_owner_only() {
        let source = Meta { mode: 0o6755, uid: 7, gid: 8, ..Meta::default() };
        for (ids, carried, uid, gid, mode) in [
            (SourceIds::Claimed, false, Some(7), Some(8), 0o755),
            (SourceIds::Claimed, true, Some(7), Some(8), 0o6755),
            (SourceIds::Claimed, true, Some(0), Some(8), 0o2755),
            (SourceIds::Claimed, true, Some(7), Some(0), 0o4755),
            (SourceIds::Claimed, true, None, None, 0o755),
            (SourceIds::Local, false, Some(7), Some(8), 0o6755),
            (SourceIds::Local, false, Some(0), Some(0), 0o755),
            (SourceIds::Local, true, Some(7), Some(0), 0o4755),
        ] {
            let rules = rules(ids, carried);
            assert_eq!(rules.mode_under(Kind::File, &source, uid, gid), mode, "{ids:?} {carried} {uid:?} {gid:?}");
            assert_eq!(rules.mode_under(Kind::Directory, &source, uid, gid), 0o6755);
        }
    }
}
