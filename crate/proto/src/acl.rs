//! POSIX ACLs, as the kernel has them: the values of two extended attributes.
//!
//! An access ACL repeats the mode: what it says of the owner, of others, and by its mask is what the mode's bits say.
//! It travels and is compared without that, so that a difference of modes is one of modes alone, and no ACL contradicts
//! the mode that is set with it. One that says nothing besides is none.

use crate::codec::{Decoded, Reader, malformed};
use crate::owners::IdKind;

/// The attribute that holds the ACL of an entry.
pub const ACL_ACCESS: &[u8] = b"system.posix_acl_access";

/// The attribute that holds a directory's default ACL, from which new entries in it get theirs.
pub const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// The version of the kernel's form.
const VERSION: u32 = 2;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The value in place of an id for entries that have none.
const NO_ID: u32 = u32::MAX;

/// One entry, in the order of the kernel's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AclEntry {
    tag: u16,
    id: u32,
    perms: u16,
}

impl AclEntry {
    /// Whom it names.
    fn kind(self) -> Option<IdKind> {
        match self.tag {
            USER => Some(IdKind::User),
            GROUP => Some(IdKind::Group),
            _ => None,
        }
    }
}

/// A valid ACL: its entries ascend, no entry stands twice, and none is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Acl(Vec<AclEntry>);

fn number<const N: usize>(reader: &mut Reader<'_>) -> Decoded<[u8; N]> {
    reader.array("ACL")
}

impl Acl {
    /// Reads the kernel's form. It allocates in proportion to `value`.
    fn read(value: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(value);
        if u32::from_le_bytes(number(&mut reader)?) != VERSION {
            return malformed("version of an ACL");
        }
        let mut entries = Vec::with_capacity(reader.rest().len() / 8);
        while !reader.is_empty() {
            let (tag, perms) = (u16::from_le_bytes(number(&mut reader)?), u16::from_le_bytes(number(&mut reader)?));
            let id = u32::from_le_bytes(number(&mut reader)?);
            let id = match tag {
                USER | GROUP if id != NO_ID => id,
                USER_OBJ | GROUP_OBJ | MASK | OTHER => NO_ID,
                _ => return malformed("entry of an ACL"),
            };
            if perms > 0o7 {
                return malformed("permissions of an ACL");
            }
            entries.push(AclEntry { tag, id, perms });
        }
        entries.sort_unstable();
        if entries.windows(2).any(|two| (two[0].tag, two[0].id) == (two[1].tag, two[1].id)) {
            return malformed("entry of an ACL that stands twice");
        }
        let acl = Self(entries);
        let has_all = [USER_OBJ, GROUP_OBJ, OTHER].iter().all(|&tag| acl.has(tag));
        if !has_all || (acl.names_somebody() && !acl.has(MASK)) {
            return malformed("ACL without an entry that each has");
        }
        Ok(acl)
    }

    fn has(&self, tag: u16) -> bool {
        self.0.iter().any(|entry| entry.tag == tag)
    }

    fn names_somebody(&self) -> bool {
        self.has(USER) || self.has(GROUP)
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + 8 * self.0.len());
        out.extend_from_slice(&VERSION.to_le_bytes());
        for entry in &self.0 {
            out.extend_from_slice(&entry.tag.to_le_bytes());
            out.extend_from_slice(&entry.perms.to_le_bytes());
            out.extend_from_slice(&entry.id.to_le_bytes());
        }
        out
    }

    /// The same, with the rights of the mode for the entries that repeat it.
    fn under(mut self, mode: u16) -> Self {
        let group = if self.has(MASK) { MASK } else { GROUP_OBJ };
        for entry in &mut self.0 {
            match entry.tag {
                USER_OBJ => entry.perms = mode >> 6 & 0o7,
                OTHER => entry.perms = mode & 0o7,
                tag if tag == group => entry.perms = mode >> 3 & 0o7,
                _ => {}
            }
        }
        self
    }
}

/// Whom the ACL of this value names.
pub fn acl_ids(value: &[u8]) -> impl Iterator<Item = (IdKind, u32)> {
    Acl::read(value).into_iter().flat_map(|acl| acl.0).filter_map(|entry| Some((entry.kind()?, entry.id)))
}

/// The ACL of this value, in the form in which it travels, with other ids. If two entries get the same id, the first
/// user's is kept, and the rights of groups are joined, as the system would apply them. A value that is no ACL is given
/// back unchanged.
#[must_use]
pub fn acl_as(value: &[u8], id: impl Fn(IdKind, u32) -> u32) -> Vec<u8> {
    let Ok(mut acl) = Acl::read(value) else { return value.to_vec() };
    for entry in &mut acl.0 {
        if let Some(kind) = entry.kind() {
            entry.id = id(kind, entry.id);
        }
    }
    // The sort keeps the order of entries that get the same id.
    acl.0.sort_by_key(|entry| (entry.tag, entry.id));
    acl.0.dedup_by(|later, first| {
        let is_one = (later.tag, later.id) == (first.tag, first.id);
        if is_one && first.tag == GROUP {
            first.perms |= later.perms;
        }
        is_one
    });
    acl.write()
}

/// The entries of an ACL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AclParts {
    pub(crate) owner: u16,
    pub(crate) users: Vec<(u32, u16)>,
    pub(crate) group: u16,
    pub(crate) groups: Vec<(u32, u16)>,
    pub(crate) mask: Option<u16>,
    pub(crate) other: u16,
}

impl AclParts {
    /// Reads the kernel's form.
    pub(crate) fn read(value: &[u8]) -> Decoded<Self> {
        let mut parts = Self::default();
        for AclEntry { tag, id, perms } in Acl::read(value)?.0 {
            match tag {
                USER_OBJ => parts.owner = perms,
                USER => parts.users.push((id, perms)),
                GROUP_OBJ => parts.group = perms,
                GROUP => parts.groups.push((id, perms)),
                MASK => parts.mask = Some(perms),
                _ => parts.other = perms,
            }
        }
        Ok(parts)
    }

    /// The kernel's form, where this is an ACL.
    pub(crate) fn written(&self) -> Decoded<Vec<u8>> {
        let one = |tag, perms| AclEntry { tag, id: NO_ID, perms };
        let named = |tag: u16, all: &[(u32, u16)]| -> Vec<AclEntry> {
            all.iter().map(|&(id, perms)| AclEntry { tag, id, perms }).collect()
        };
        let mut entries = vec![one(USER_OBJ, self.owner), one(GROUP_OBJ, self.group), one(OTHER, self.other)];
        entries.extend(named(USER, &self.users));
        entries.extend(named(GROUP, &self.groups));
        entries.extend(self.mask.map(|perms| one(MASK, perms)));
        // Reading the result checks that no entry is missing or repeated.
        Acl::read(&Acl(entries).write()).map(|acl| acl.write())
    }
}

/// Whether an extended attribute of this name is an ACL.
#[must_use]
pub fn is_acl(name: &[u8]) -> bool {
    name == ACL_ACCESS || name == ACL_DEFAULT
}

/// The one form in which the ACL `name` of this value travels and is compared; none when it says no more than the mode.
pub fn carried_acl(name: &[u8], value: &[u8]) -> Decoded<Option<Vec<u8>>> {
    let acl = Acl::read(value)?;
    if name != ACL_ACCESS {
        return Ok(Some(acl.write()));
    }
    Ok(acl.has(MASK).then(|| acl.under(0).write()))
}

/// Whether the ACL `name` of this value has the form in which it travels.
pub(crate) fn is_carried_acl(name: &[u8], value: &[u8]) -> bool {
    carried_acl(name, value).is_ok_and(|carried| carried.as_deref() == Some(value))
}

/// The permission bits of an entry with this mode and access ACL that has lost the ACL, which grant nobody more than it
/// did: the group's bits of the mode are the ACL's mask, and the owning group may have less. Whoever the ACL names is
/// one of the group or of the others without it. Of a value that is no ACL, the owner's are left.
#[must_use]
pub fn mode_without_acl(value: &[u8], mode: u16) -> u16 {
    let Ok(acl) = Acl::read(value) else { return mode & !0o077 };
    let (mut group, mut other) = (0o7, 0o7);
    for entry in &acl.0 {
        if entry.tag == GROUP_OBJ || entry.kind().is_some() {
            group &= entry.perms;
        }
        if entry.kind().is_some() {
            other &= entry.perms & (mode >> 3);
        }
    }
    mode & !(0o070 & !(group << 3)) & !(0o007 & !other)
}

/// The ACL `name`, as it travels, of an entry with these permission bits.
pub fn acl_under(name: &[u8], value: &[u8], mode: u16) -> Decoded<Vec<u8>> {
    let acl = Acl::read(value)?;
    Ok(if name == ACL_ACCESS { acl.under(mode) } else { acl }.write())
}

#[cfg(test)]
mod tests {
    use super::{
        ACL_ACCESS, ACL_DEFAULT, IdKind, acl_as, acl_ids, acl_under, carried_acl, is_carried_acl, mode_without_acl,
    };
    use proptest::prelude::*;

    /// The kernel's form of these entries: tag, permissions, id.
    fn value(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut out = vec![2, 0, 0, 0];
        for (tag, perms, id) in entries {
            out.extend([tag.to_le_bytes(), perms.to_le_bytes()].concat());
            out.extend(id.to_le_bytes());
        }
        out
    }

    const NONE: u32 = u32::MAX;

    #[test]
    fn what_says_no_more_than_the_mode_is_none() {
        let minimal = value(&[(1, 6, NONE), (4, 4, NONE), (0x20, 4, NONE)]);
        assert_eq!(carried_acl(ACL_ACCESS, &minimal), Ok(None));
        assert_eq!(carried_acl(ACL_DEFAULT, &minimal), Ok(Some(minimal.clone())));
        assert!(!is_carried_acl(ACL_ACCESS, &minimal));
    }

    #[test]
    fn an_access_acl_travels_without_the_mode_and_gets_it_back() {
        let named = value(&[(1, 6, NONE), (2, 7, 7), (2, 1, 9), (4, 4, NONE), (0x10, 5, NONE), (0x20, 1, NONE)]);
        let carried = carried_acl(ACL_ACCESS, &named).unwrap().unwrap();
        assert!(is_carried_acl(ACL_ACCESS, &carried) && !is_carried_acl(ACL_ACCESS, &named));
        assert_eq!(acl_under(ACL_ACCESS, &carried, 0o4651), Ok(named.clone()));
        // One that differs in its mode alone is the same.
        let other = value(&[(1, 0, NONE), (2, 7, 7), (2, 1, 9), (4, 4, NONE), (0x10, 7, NONE), (0x20, 7, NONE)]);
        assert_eq!(carried_acl(ACL_ACCESS, &other).unwrap(), Some(carried.clone()));
        assert_eq!(acl_under(ACL_DEFAULT, &named, 0), Ok(named));
    }

    #[test]
    fn the_order_of_the_entries_does_not_matter() {
        let one = value(&[(0x20, 1, 5), (0x10, 5, NONE), (2, 7, 7), (4, 4, NONE), (1, 6, NONE)]);
        let other = value(&[(1, 6, NONE), (2, 7, 7), (4, 4, NONE), (0x10, 5, NONE), (0x20, 1, NONE)]);
        assert_eq!(carried_acl(ACL_DEFAULT, &one), Ok(Some(other)));
    }

    #[test]
    fn ids_are_exchanged_and_those_that_come_to_be_one_stand_once() {
        let of = |entries: &[(u16, u16, u32)]| {
            let others = [(1, 6, NONE), (4, 4, NONE), (0x10, 7, NONE), (0x20, 4, NONE)];
            carried_acl(ACL_DEFAULT, &value(&[entries, &others].concat())).unwrap().unwrap()
        };
        let acl = of(&[(2, 7, 7), (2, 1, 9), (8, 4, 7), (8, 2, 8)]);
        let ids: Vec<_> = acl_ids(&acl).collect();
        assert_eq!(ids, [(IdKind::User, 7), (IdKind::User, 9), (IdKind::Group, 7), (IdKind::Group, 8)]);
        let swapped = |kind, id| if kind == IdKind::User { 16 - id } else { id };
        assert_eq!(acl_as(&acl, swapped), of(&[(2, 7, 9), (2, 1, 7), (8, 4, 7), (8, 2, 8)]));
        assert_eq!(acl_as(&acl, |_, _| 5), of(&[(2, 7, 5), (8, 6, 5)]));
        assert_eq!(acl_as(b"none", |_, _| 5), b"none");
    }

    #[test]
    fn a_mode_without_its_acl_grants_nobody_more() {
        let of = |named: &[(u16, u16, u32)], group, mode: u16| {
            let others = [(1, 6, NONE), (4, group, NONE), (0x10, mode >> 3 & 7, NONE), (0x20, mode & 7, NONE)];
            mode_without_acl(&value(&[named, &others].concat()), mode)
        };
        assert_eq!(of(&[(2, 0, 7)], 4, 0o644), 0o600);
        assert_eq!(of(&[(8, 0, 7)], 4, 0o644), 0o600);
        assert_eq!(of(&[(2, 4, 7), (8, 6, 7)], 6, 0o4666), 0o4644);
        assert_eq!(of(&[(2, 7, 7)], 4, 0o675), 0o645);
        // What the mask takes from those who are named, they do not get as others.
        assert_eq!(of(&[(2, 7, 7)], 7, 0o607), 0o600);
        assert_eq!(of(&[], 4, 0o664), 0o644);
        assert_eq!(mode_without_acl(b"none", 0o1755), 0o1700);
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        let (user, group, mask, other) = ((1, 6, NONE), (4, 4, NONE), (0x10, 7, NONE), (0x20, 4, NONE));
        for entries in [
            &[][..],
            &[user, group],
            &[user, other],
            &[group, other],
            &[user, group, other, (2, 7, 5)],
            &[user, group, other, mask, mask],
            &[user, user, group, other],
            &[user, group, other, mask, (2, 7, 5), (2, 6, 5)],
            &[user, group, other, mask, (2, 7, NONE)],
            &[user, group, other, mask, (8, 7, NONE)],
            &[user, group, other, (3, 7, 1)],
            &[(1, 8, NONE), group, other],
        ] {
            for name in [ACL_ACCESS, ACL_DEFAULT] {
                assert!(carried_acl(name, &value(entries)).is_err(), "{entries:?}");
                assert!(acl_under(name, &value(entries), 0).is_err());
            }
        }
        let whole = value(&[user, group, other]);
        for cut in 0..whole.len() {
            assert!(carried_acl(ACL_DEFAULT, &whole[..cut]).is_err(), "{cut}");
        }
        assert!(carried_acl(ACL_DEFAULT, &[&[1, 0, 0, 0], &whole[4..]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_acl_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), mode: u16) {
            for name in [ACL_ACCESS, ACL_DEFAULT] {
                if let Ok(Some(carried)) = carried_acl(name, &bytes) {
                    prop_assert!(is_carried_acl(name, &carried));
                }
                let _ = acl_under(name, &bytes, mode);
            }
        }
    }
}
