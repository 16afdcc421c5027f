//! What stands for attributes that a user may not set, as rsync stores it with `--fake-super`: extended attributes of
//! the namespace `user.`, in rsync's own form, so that either program reads what the other has stored.

use crate::acl::{ACL_ACCESS, ACL_DEFAULT, AclParts};
use crate::entry::Kind;
use crate::entry_fields::Device;

/// The attribute that holds kind, mode, device number and owners of an entry.
pub const FAKE_STAT: &[u8] = b"user.rsync.%stat";

/// The prefix under which attributes of other namespaces are stored.
const STORED: &[u8] = b"user.rsync.";

const STORED_ACCESS: &[u8] = b"user.rsync.%aacl";
const STORED_DEFAULT: &[u8] = b"user.rsync.%dacl";

/// The attributes of an entry for readers with `--fake-super`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FakeStat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    /// The number of a device.
    pub device: Device,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The types of entries in a mode.
const TYPES: [(Kind, u32); 7] = [
    (Kind::File, 0o100_000),
    (Kind::Directory, 0o040_000),
    (Kind::Symlink, 0o120_000),
    (Kind::Fifo, 0o010_000),
    (Kind::Socket, 0o140_000),
    (Kind::BlockDevice, 0o060_000),
    (Kind::CharDevice, 0o020_000),
];

impl FakeStat {
    /// Reads the stored form: the mode in octal, the number of a device, owner and group.
    #[must_use]
    pub fn read(stored: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(stored).ok()?;
        let mut parts = text.split(' ');
        let mode = u32::from_str_radix(parts.next()?, 8).ok()?;
        let pair = |part: &str, by: char| {
            let (one, other) = part.split_once(by)?;
            Some((one.parse().ok()?, other.parse().ok()?))
        };
        let (major, minor) = pair(parts.next()?, ',')?;
        let (uid, gid) = pair(parts.next()?, ':')?;
        let (kind, _) = TYPES.into_iter().find(|(_, bits)| *bits == mode & !0o7777)?;
        let mode = u16::try_from(mode & 0o7777).ok()?;
        parts.next().is_none().then_some(Self { kind, mode, device: Device { major, minor }, uid, gid })
    }

    /// The stored form.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let bits = TYPES.into_iter().find(|(kind, _)| *kind == self.kind).map_or(0, |(_, bits)| bits);
        let Device { major, minor } = self.device;
        format!("{:o} {major},{minor} {}:{}", bits | u32::from(self.mode), self.uid, self.gid).into_bytes()
    }

    /// The permission bits of the stored file itself: its owner must always be able to work with it.
    #[must_use]
    pub fn real_mode(&self) -> u16 {
        self.mode & 0o777 | if self.kind == Kind::Directory { 0o700 } else { 0o600 }
    }
}

/// Under which name an attribute is stored.
#[must_use]
pub fn stored_name(name: &[u8]) -> Vec<u8> {
    match name {
        ACL_ACCESS => STORED_ACCESS.to_vec(),
        ACL_DEFAULT => STORED_DEFAULT.to_vec(),
        _ if name.starts_with(b"user.") => name.to_vec(),
        _ => [STORED, name].concat(),
    }
}

/// The name of the attribute that is stored under this name; none for a name that stores no attribute.
#[must_use]
pub fn name_of_stored(stored: &[u8]) -> Option<&[u8]> {
    match stored {
        STORED_ACCESS => Some(ACL_ACCESS),
        STORED_DEFAULT => Some(ACL_DEFAULT),
        _ => match stored.strip_prefix(STORED) {
            Some([b'%', ..]) => None,
            // A name without a namespace was chosen by a user.
            Some(name) if name.contains(&b'.') => Some(name),
            Some(_) => Some(stored),
            None => stored.starts_with(b"user.").then_some(stored),
        },
    }
}

/// The rights of an entry that an ACL does not have.
const NO_ENTRY: u32 = 0x80;

/// The bit that tells users from groups.
const IS_USER: u32 = 1 << 31;

/// The stored form of an ACL of the kernel's form. The rights of the owner and of others in an access ACL are not
/// stored, because the mode has them.
#[must_use]
pub fn stored_acl(name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let acl = AclParts::read(value).ok()?;
    let is_access = name == ACL_ACCESS;
    let of_mode = |perms: u16| if is_access { NO_ENTRY } else { perms.into() };
    let mask = acl.mask.map_or(NO_ENTRY, u32::from);
    let mut out: Vec<u8> =
        [of_mode(acl.owner), acl.group.into(), mask, of_mode(acl.other)].map(u32::to_le_bytes).concat();
    let users = acl.users.iter().map(|(id, perms)| (*id, u32::from(*perms) | IS_USER));
    for (id, access) in users.chain(acl.groups.iter().map(|(id, perms)| (*id, (*perms).into()))) {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&access.to_le_bytes());
    }
    Some(out)
}

/// The ACL in the kernel's form of an entry with this mode.
#[must_use]
pub fn acl_of_stored(stored: &[u8], mode: u16) -> Option<Vec<u8>> {
    let mut numbers = stored.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let mut perms = |shift: u16| -> Option<(u16, bool)> {
        match numbers.next()? {
            NO_ENTRY => Some((mode >> shift & 0o7, false)),
            perms => Some((u16::try_from(perms).ok()?, true)),
        }
    };
    let ((owner, _), (group, _), (mask, has_mask), (other, _)) = (perms(6)?, perms(3)?, perms(3)?, perms(0)?);
    let mut acl = AclParts { owner, group, other, ..AclParts::default() };
    while let (Some(id), Some(access)) = (numbers.next(), numbers.next()) {
        let named = if access & IS_USER == 0 { &mut acl.groups } else { &mut acl.users };
        named.push((id, u16::try_from(access & !IS_USER).ok()?));
    }
    let names_somebody = !acl.users.is_empty() || !acl.groups.is_empty();
    acl.mask = (has_mask || names_somebody).then_some(mask);
    acl.written().ok()
}

#[cfg(test)]
mod tests {
    use super::{FakeStat, acl_of_stored, name_of_stored, stored_acl, stored_name};
    use crate::acl::{ACL_ACCESS, ACL_DEFAULT};
    use crate::entry::Kind;
    use crate::entry_fields::Device;
    use proptest::prelude::*;

    #[test]
    fn what_rsync_stores_is_read_and_written_again() {
        let stat = |kind, mode, device: (u32, u32), uid, gid| FakeStat {
            kind,
            mode,
            device: Device { major: device.0, minor: device.1 },
            uid,
            gid,
        };
        for (stored, read) in [
            ("100644 0,0 0:0", stat(Kind::File, 0o644, (0, 0), 0, 0)),
            ("104755 0,0 12:34", stat(Kind::File, 0o4755, (0, 0), 12, 34)),
            ("42750 0,0 12:34", stat(Kind::Directory, 0o2750, (0, 0), 12, 34)),
            ("60644 259,70000 0:0", stat(Kind::BlockDevice, 0o644, (259, 70_000), 0, 0)),
            ("20644 1,3 12:34", stat(Kind::CharDevice, 0o644, (1, 3), 12, 34)),
            ("10640 0,0 0:0", stat(Kind::Fifo, 0o640, (0, 0), 0, 0)),
            ("140755 0,0 0:0", stat(Kind::Socket, 0o755, (0, 0), 0, 0)),
            ("120777 0,0 5:6", stat(Kind::Symlink, 0o777, (0, 0), 5, 6)),
        ] {
            assert_eq!(FakeStat::read(stored.as_bytes()), Some(read));
            assert_eq!(read.written(), stored.as_bytes());
        }
    }

    #[test]
    fn what_is_none_of_it_is_refused() {
        for stored in [
            "",
            "100644",
            "100644 0,0",
            "100644 0,0 0",
            "8 0,0 0:0",
            "644 0,0 0:0",
            "100644 0,0 0:0 0",
            "100644 0,0 -1:0",
            "200644 0,0 0:0",
        ] {
            assert_eq!(FakeStat::read(stored.as_bytes()), None, "{stored}");
        }
    }

    #[test]
    fn a_name_is_stored_under_another_and_found_again() {
        for (name, stored) in [
            ("user.a", "user.a"),
            ("user.rsync.other", "user.rsync.other"),
            ("trusted.a", "user.rsync.trusted.a"),
            ("security.capability", "user.rsync.security.capability"),
            ("system.posix_acl_access", "user.rsync.%aacl"),
            ("system.posix_acl_default", "user.rsync.%dacl"),
        ] {
            assert_eq!(stored_name(name.as_bytes()), stored.as_bytes());
            assert_eq!(name_of_stored(stored.as_bytes()), Some(name.as_bytes()));
        }
        for hidden in ["user.rsync.%stat", "user.rsync.%new", "trusted.real", "system.posix_acl_access"] {
            assert_eq!(name_of_stored(hidden.as_bytes()), None, "{hidden}");
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// As rsync has stored them, beside what the kernel had.
    #[test]
    fn what_rsync_stores_of_acls_is_read() {
        for (stored, mode, kernel) in [
            (
                "800000008000000004000000800000000900000004000000",
                0o440,
                "0200000001000400ffffffff04000400ffffffff080004000900000010000400ffffffff20000000ffffffff",
            ),
            (
                "80000000800000000400000080000000",
                0o640,
                "0200000001000600ffffffff04000400ffffffff10000400ffffffff20000000ffffffff",
            ),
            (
                "800000000500000007000000800000000500000007000080",
                0o775,
                "0200000001000700ffffffff020007000500000004000500ffffffff10000700ffffffff20000500ffffffff",
            ),
            (
                "07000000050000000500000005000000",
                0o775,
                "0200000001000700ffffffff04000500ffffffff10000500ffffffff20000500ffffffff",
            ),
        ] {
            assert_eq!(acl_of_stored(&bytes(stored), mode), Some(bytes(kernel)));
            let name = if stored.starts_with("80") { ACL_ACCESS } else { ACL_DEFAULT };
            assert_eq!(acl_of_stored(&stored_acl(name, &bytes(kernel)).unwrap(), mode), Some(bytes(kernel)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(stored in proptest::collection::vec(any::<u8>(), 0..100), mode: u16) {
            let _ = FakeStat::read(&stored);
            let _ = acl_of_stored(&stored, mode);
            let _ = stored_acl(ACL_ACCESS, &stored);
            let _ = name_of_stored(&stored);
        }
    }
}
