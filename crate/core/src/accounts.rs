//! Who is who on this machine, as the system's own data base of users and groups says (files, directory services).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{Gid, Group, Uid, User};
use sparsync_proto::IdKind;

use crate::engine::Accounts;

/// The users and groups of this machine.
#[derive(Default)]
pub(crate) struct SystemAccounts {
    /// The groups of this process, read when they are first asked for.
    groups: OnceLock<Vec<u32>>,
}

fn own_groups() -> Vec<u32> {
    let more = rustix::process::getgroups().unwrap_or_default();
    more.into_iter().chain([rustix::process::getegid()]).map(rustix::process::Gid::as_raw).collect()
}

/// Whether users and groups are looked up in the files alone.
static FROM_FILES: AtomicBool = AtomicBool::new(false);

/// Has users and groups looked up in `/etc/passwd` and `/etc/group` alone, for a process that is linked statically, and
/// so cannot load the system's other sources of them.
pub fn take_accounts_from_files() {
    FROM_FILES.store(true, Ordering::Relaxed);
}

fn from_files() -> bool {
    FROM_FILES.load(Ordering::Relaxed)
}

fn read_accounts(kind: IdKind) -> Vec<u8> {
    let file = match kind {
        IdKind::User => "/etc/passwd",
        IdKind::Group => "/etc/group",
    };
    std::fs::read(file).unwrap_or_default()
}

/// The names and numbers in the lines of such a file, without those that cannot be read.
fn listed(file: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    file.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        let id = std::str::from_utf8(number).ok()?.parse().ok()?;
        (!name.is_empty() && !name.starts_with(b"#") && !name.starts_with(b"+")).then_some((name, id))
    })
}

/// The home folder of the user of this process, as the system's data base says it.
pub(crate) fn own_home() -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    if !from_files() {
        return User::from_uid(Uid::from_raw(uid)).ok()?.map(|user| user.dir);
    }
    let file = read_accounts(IdKind::User);
    file.split(|&byte| byte == b'\n')
        .find(|line| listed(line).any(|(_, id)| id == uid))
        .and_then(|line| line.split(|&byte| byte == b':').nth(5))
        .map(|home| OsStr::from_bytes(home).into())
}

impl Accounts for SystemAccounts {
    fn name_of(&self, kind: IdKind, id: u32) -> Option<Vec<u8>> {
        if from_files() {
            return listed(&read_accounts(kind)).find(|(_, other)| *other == id).map(|(name, _)| name.to_vec());
        }
        let name = match kind {
            IdKind::User => User::from_uid(Uid::from_raw(id)).ok()??.name,
            IdKind::Group => Group::from_gid(Gid::from_raw(id)).ok()??.name,
        };
        Some(name.into_bytes())
    }

    fn id_of(&self, kind: IdKind, name: &[u8]) -> Option<u32> {
        if from_files() {
            return listed(&read_accounts(kind)).find(|(other, _)| *other == name).map(|(_, id)| id);
        }
        let name = std::str::from_utf8(name).ok()?;
        Some(match kind {
            IdKind::User => User::from_name(name).ok()??.uid.as_raw(),
            IdKind::Group => Group::from_name(name).ok()??.gid.as_raw(),
        })
    }

    fn is_member(&self, gid: u32) -> bool {
        self.groups.get_or_init(own_groups).contains(&gid)
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn lines_of_the_files_are_names_and_numbers() {
        let file =
            b"root:x:0:0:root:/root:/bin/sh\n#no:x:1:\n\n+nis::2:\nbad:x:abc:\nshort:x\n\xff:x:4294967295:\nlast:x:7";
        let found: Vec<_> = listed(file).collect();
        assert_eq!(found, [(&b"root"[..], 0), (b"\xff", u32::MAX), (b"last", 7)]);
    }
}
