//! Who is who on this machine, as the system's own data base of users and groups says (files, directory services).

use std::sync::OnceLock;

use nix::unistd::{Gid, Group, Uid, User};
use sparsync_proto::IdKind;

use crate::engine::Accounts;

/// The users and groups of this machine.
#[derive(Default)]
pub(crate) struct SystemAccounts {
    /// The groups of this process, once somebody has asked.
    groups: OnceLock<Vec<u32>>,
}

fn own_groups() -> Vec<u32> {
    let more = rustix::process::getgroups().unwrap_or_default();
    more.into_iter().chain([rustix::process::getegid()]).map(rustix::process::Gid::as_raw).collect()
}

impl Accounts for SystemAccounts {
    fn name_of(&self, kind: IdKind, id: u32) -> Option<Vec<u8>> {
        let name = match kind {
            IdKind::User => User::from_uid(Uid::from_raw(id)).ok()??.name,
            IdKind::Group => Group::from_gid(Gid::from_raw(id)).ok()??.name,
        };
        Some(name.into_bytes())
    }

    fn id_of(&self, kind: IdKind, name: &[u8]) -> Option<u32> {
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
