//! Names of owners and groups, told before anything that has their numbers.

use std::collections::HashSet;

use sparsync_proto::limits::{BATCH_BYTES, OWNERS_MAX};
use sparsync_proto::{Frame, IdKind, Meta, OwnerName, OwnerNames, Version, Xattrs, acl_ids, is_acl, is_owner_name};

use crate::engine::owners::Accounts;
use crate::storage::Scan;

/// Whose names a sender tells.
pub(crate) struct TellsNames {
    /// Where names are looked up.
    pub(crate) accounts: Box<dyn Accounts>,
    /// The owners whose names are told.
    pub(crate) of: OwnerNames,
    /// The same, where the name of number 0 matters, which is the same everywhere unless a rule says otherwise.
    pub(crate) of_zero: OwnerNames,
    /// Names of the users and groups in ACLs are told, too.
    pub(crate) of_acls: bool,
}

/// The names that were told, and those that are to be told next. Each number is looked up once.
pub(super) struct NameTeller<'a> {
    tells: &'a TellsNames,
    /// Owner and group of the last entry, which mostly are those of the next one, too.
    last: Option<(u32, u32)>,
    users: HashSet<u32>,
    groups: HashSet<u32>,
    new: Vec<OwnerName>,
    count: usize,
}

impl<'a> NameTeller<'a> {
    pub(super) fn new(tells: &'a TellsNames) -> Self {
        Self { tells, last: None, users: HashSet::new(), groups: HashSet::new(), new: Vec::new(), count: 0 }
    }

    /// Notes the owners of a directory and of its entries.
    pub(super) fn see(&mut self, scan: &Scan) {
        self.see_one(&scan.meta);
        for entry in scan.listing.entries() {
            self.see_one(&entry.meta);
        }
        if self.tells.of_acls {
            let of_entries = scan.listing.all_fields().map(|(_, fields)| &fields.xattrs);
            let acls = of_entries.chain([&scan.xattrs]).flat_map(Xattrs::iter).filter(|(name, _)| is_acl(name));
            for (kind, id) in acls.flat_map(|(_, acl)| acl_ids(acl)) {
                self.see_id(kind, id);
            }
        }
    }

    fn see_one(&mut self, meta: &Meta) {
        let ids = (meta.uid, meta.gid);
        if self.last.replace(ids) == Some(ids) {
            return;
        }
        self.see_id(IdKind::User, meta.uid);
        self.see_id(IdKind::Group, meta.gid);
    }

    fn see_id(&mut self, kind: IdKind, id: u32) {
        let TellsNames { of, of_zero, .. } = self.tells;
        let (is_told, of_zero, seen) = match kind {
            IdKind::User => (of.users, of_zero.users, &mut self.users),
            IdKind::Group => (of.groups, of_zero.groups, &mut self.groups),
        };
        if is_told && (id != 0 || of_zero) && seen.insert(id) {
            self.look_up(kind, id);
        }
    }

    /// A user or group without a name, or with a name that cannot travel, is known by number.
    fn look_up(&mut self, kind: IdKind, id: u32) {
        if self.count < OWNERS_MAX
            && let Some(name) = self.tells.accounts.name_of(kind, id).filter(|name| is_owner_name(name))
        {
            self.count += 1;
            self.new.push(OwnerName { kind, id, name });
        }
    }

    /// Encodes the names to be told.
    pub(super) fn encode(&mut self, version: Version, out: &mut Vec<u8>) {
        let mut frame = Vec::new();
        let mut bytes = 0;
        for name in self.new.drain(..) {
            bytes += name.name.len() + 8;
            frame.push(name);
            if bytes >= BATCH_BYTES {
                bytes = 0;
                Frame::Owners(std::mem::take(&mut frame)).encode(version, out);
            }
        }
        if !frame.is_empty() {
            Frame::Owners(frame).encode(version, out);
        }
    }
}
