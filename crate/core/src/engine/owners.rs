//! Owners and groups of the source as those of the destination: by name, by the rules of the run, or by number.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sparsync_proto::{
    Attributes, Digest, IdKind, IdMap, Listing, MapRule, MappedTo, Meta, NO_ID, OwnerName, Xattrs, acl_as,
};

/// The users and groups of this machine.
pub(crate) trait Accounts: Send + Sync {
    /// The name of a number.
    fn name_of(&self, kind: IdKind, id: u32) -> Option<Vec<u8>>;

    /// The number of a name.
    fn id_of(&self, kind: IdKind, name: &[u8]) -> Option<u32>;

    /// Whether this process is in a group.
    fn is_member(&self, gid: u32) -> bool;
}

/// The owners that a run asks for.
pub(crate) struct OwnerRules<'a> {
    /// Rules for owners, where those are carried.
    pub(crate) users: Option<&'a IdMap>,
    /// Rules for groups, where those are carried.
    pub(crate) groups: Option<&'a IdMap>,
    /// Only groups of which this process is a member are set: it may not set others.
    pub(crate) members_only: bool,
    /// Rules for the users and groups in ACLs, where those go by name. Every user and group may be named there.
    pub(crate) acls: Option<(&'a IdMap, &'a IdMap)>,
}

/// The owners of a run.
pub(crate) struct OwnerMap {
    accounts: Box<dyn Accounts>,
    users: Option<Ids>,
    groups: Option<Ids>,
    members_only: bool,
    /// The users and groups of ACLs.
    acls: Option<[Ids; 2]>,
}

/// How the digest of a directory of the destination compares with the source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DigestsBy {
    /// As it is: users and groups that are known by name have the same numbers on both ends.
    Number,
    /// With each owner's number at the source.
    SourceNumber,
    /// Not at all: rules may give several owners one number.
    Nothing,
}

/// The numbers of one kind.
struct Ids {
    kind: IdKind,
    rules: IdMap,
    /// The number that each rule maps to; none where the rule's name is unknown here.
    targets: Vec<Option<u32>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The destination's number for each number of the source.
    targets: HashMap<u32, u32>,
    /// For each number of the destination the number at the source that maps to it; [`NO_ID`] if there are several.
    sources: HashMap<u32, u32>,
    /// Whether a user or group has another number here.
    moved: bool,
}

impl OwnerMap {
    /// The owners of a run, and the names in its rules that are unknown on this machine.
    pub(crate) fn new(accounts: Box<dyn Accounts>, rules: &OwnerRules<'_>) -> (Self, Vec<(IdKind, String)>) {
        let mut unknown = Vec::new();
        let mut new = |kind: IdKind, rules: &IdMap| Ids::new(kind, rules, &*accounts, &mut unknown);
        let users = rules.users.map(|rules| new(IdKind::User, rules));
        let groups = rules.groups.map(|rules| new(IdKind::Group, rules));
        let acls = rules.acls.map(|(users, groups)| [new(IdKind::User, users), new(IdKind::Group, groups)]);
        (Self { accounts, users, groups, members_only: rules.members_only, acls }, unknown)
    }

    /// Takes names of the source.
    pub(super) fn told(&self, names: Vec<OwnerName>) {
        for OwnerName { kind, id, name } in names {
            let ids = match kind {
                IdKind::User => &self.users,
                IdKind::Group => &self.groups,
            };
            if let Some(ids) = ids {
                ids.add(id, self.settable(ids, id, Some(&name)));
            }
            if let Some(acls) = &self.acls {
                let ids = &acls[kind as usize];
                ids.add(id, self.target(ids, id, Some(&name)));
            }
        }
    }

    /// The destination's number for one of the source.
    fn target(&self, ids: &Ids, id: u32, name: Option<&[u8]>) -> u32 {
        let by_rule = ids.rules().find(|(rule, _)| rule.is_for(id, name)).map(|(_, target)| target);
        let by_name = || name.filter(|_| id != 0).and_then(|name| self.accounts.id_of(ids.kind, name));
        by_rule.or_else(by_name).unwrap_or(id)
    }

    /// The same; [`NO_ID`] for a group that may not be set.
    fn settable(&self, ids: &Ids, id: u32, name: Option<&[u8]>) -> u32 {
        let target = self.target(ids, id, name);
        let may_be_set = ids.kind == IdKind::User || !self.members_only || self.accounts.is_member(target);
        if may_be_set { target } else { NO_ID }
    }

    fn mapped(&self, ids: Option<&Ids>, id: u32) -> u32 {
        // An owner that the sender did not tell of has no name here, only a number.
        ids.map_or(id, |ids| ids.of(id, || self.settable(ids, id, None)))
    }

    /// The destination's users and groups in the ACLs of an entry.
    pub(super) fn xattrs<'a>(&self, source: &'a Xattrs) -> Cow<'a, Xattrs> {
        match self.moving_acls() {
            Some(acls) => Cow::Owned(self.moved_xattrs(acls, source)),
            None => Cow::Borrowed(source),
        }
    }

    /// The users and groups of ACLs, where some have another number than at the source.
    fn moving_acls(&self) -> Option<&[Ids; 2]> {
        self.acls.as_ref().filter(|_| self.digests_by() != DigestsBy::Number)
    }

    fn moved_xattrs(&self, acls: &[Ids; 2], source: &Xattrs) -> Xattrs {
        let id = |kind: IdKind, id: u32| {
            let ids = &acls[kind as usize];
            ids.of(id, || self.target(ids, id, None))
        };
        source.with_acls(|acl| acl_as(acl, id))
    }

    /// The destination's ACLs as the source has them.
    pub(super) fn source_xattrs<'a>(&self, destination: &'a Xattrs) -> Cow<'a, Xattrs> {
        match &self.acls {
            Some(acls) => {
                let id = |kind: IdKind, id: u32| acls[kind as usize].source(id);
                Cow::Owned(destination.with_acls(|acl| acl_as(acl, id)))
            }
            None => Cow::Borrowed(destination),
        }
    }

    /// Whether every owner and every group has the number that it has at the source.
    pub(super) fn is_plain(&self) -> bool {
        !self.members_only && self.digests_by() == DigestsBy::Number
    }

    /// The destination's owner and group; [`NO_ID`] for one that is to stay.
    pub(super) fn meta(&self, source: &Meta) -> Meta {
        if self.is_plain() { *source } else { self.moved(source) }
    }

    fn moved(&self, source: &Meta) -> Meta {
        let uid = self.mapped(self.users.as_ref(), source.uid);
        Meta { uid, gid: self.mapped(self.groups.as_ref(), source.gid), ..*source }
    }

    /// The same for all entries of a directory.
    pub(super) fn listing(&self, mut source: Listing) -> Listing {
        if !self.is_plain() {
            source.change_attributes(|meta| *meta = self.moved(meta));
            if let Some(acls) = self.moving_acls() {
                source.change_xattrs(|xattrs| self.moved_xattrs(acls, xattrs));
            }
        }
        source
    }

    /// The digest of a directory of the destination, with the source's numbers for all users and groups.
    pub(super) fn source_digest(&self, attributes: &Attributes, listing: &Listing) -> Digest {
        let taken = |meta: &Meta| self.source_meta(meta);
        if self.acls.is_none() {
            return attributes.digest_as(listing, taken);
        }
        let mut listing = listing.clone();
        listing.change_xattrs(|xattrs| self.source_xattrs(xattrs).into_owned());
        attributes.digest_as(&listing, taken)
    }

    /// How digests compare, as far as names were told.
    pub(super) fn digests_by(&self) -> DigestsBy {
        let all = || [&self.users, &self.groups].into_iter().flatten().chain(self.acls.iter().flatten());
        if all().any(|ids| !ids.targets.is_empty()) {
            DigestsBy::Nothing
        } else if all().any(|ids| ids.known().moved) {
            DigestsBy::SourceNumber
        } else {
            DigestsBy::Number
        }
    }

    /// Owner and group of the destination as the source has them.
    pub(super) fn source_meta(&self, destination: &Meta) -> Meta {
        let source = |ids: &Option<Ids>, id: u32| ids.as_ref().map_or(id, |ids| ids.source(id));
        let uid = source(&self.users, destination.uid);
        Meta { uid, gid: source(&self.groups, destination.gid), ..*destination }
    }
}

impl Ids {
    fn new(kind: IdKind, rules: &IdMap, accounts: &dyn Accounts, unknown: &mut Vec<(IdKind, String)>) -> Self {
        let mut target = |rule: MapRule<'_>| match rule.to {
            MappedTo::Id(id) => Some(id),
            MappedTo::Name(name) => accounts.id_of(kind, name.as_bytes()).or_else(|| {
                let nobody = (kind, name.to_owned());
                if !unknown.contains(&nobody) {
                    unknown.push(nobody);
                }
                None
            }),
        };
        let targets = rules.rules().map(&mut target).collect();
        Self { kind, rules: rules.clone(), targets, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number at the destination for `id` of the source. `target` gives it for a number that was not asked for
    /// before.
    fn of(&self, id: u32, target: impl FnOnce() -> u32) -> u32 {
        *self.known().targets.entry(id).or_insert_with(target)
    }

    /// The rules that come to something.
    fn rules(&self) -> impl Iterator<Item = (MapRule<'_>, u32)> {
        self.rules.rules().zip(&self.targets).filter_map(|(rule, target)| Some((rule, (*target)?)))
    }

    /// Notes the destination's number for a user or group with a name.
    fn add(&self, id: u32, target: u32) {
        let mut known = self.known();
        if known.targets.insert(id, target).is_some() || target == NO_ID {
            return;
        }
        known.moved |= target != id;
        known.sources.entry(target).and_modify(|source| *source = NO_ID).or_insert(id);
    }

    /// The source's number that maps to `id` here; [`NO_ID`] if none does, or several do.
    fn source(&self, id: u32) -> u32 {
        let known = self.known();
        match (known.sources.get(&id), known.targets.get(&id)) {
            (Some(source), _) => *source,
            // A group that is not mapped keeps its own number here, whatever its name is.
            (None, None | Some(&NO_ID)) => id,
            (None, Some(target)) => {
                if *target == id {
                    id
                } else {
                    NO_ID
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Accounts, DigestsBy, OwnerMap, OwnerRules};
    use sparsync_proto::{IdKind, IdMap, Meta, NO_ID, OwnerName, Xattrs};

    /// Users and groups have the same names and numbers.
    struct Few(&'static [(&'static str, u32)]);

    impl Accounts for Few {
        fn name_of(&self, _: IdKind, id: u32) -> Option<Vec<u8>> {
            self.0.iter().find(|(_, known)| *known == id).map(|(name, _)| name.as_bytes().to_vec())
        }

        fn id_of(&self, _: IdKind, name: &[u8]) -> Option<u32> {
            self.0.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, id)| *id)
        }

        fn is_member(&self, gid: u32) -> bool {
            gid == 50
        }
    }

    const HERE: Few = Few(&[("root", 0), ("alice", 20), ("carol", 30), ("staff", 50)]);

    fn map(users: &str, groups: &str, members_only: bool) -> (OwnerMap, Vec<(IdKind, String)>) {
        let parse = |text: &str| if text.is_empty() { IdMap::default() } else { IdMap::parse(text).expect(text) };
        let (users, groups) = (parse(users), parse(groups));
        let acls = Some((&users, &groups));
        OwnerMap::new(Box::new(HERE), &OwnerRules { users: Some(&users), groups: Some(&groups), members_only, acls })
    }

    fn name(kind: IdKind, id: u32, name: &str) -> OwnerName {
        OwnerName { kind, id, name: name.as_bytes().to_vec() }
    }

    fn meta(uid: u32, gid: u32) -> Meta {
        Meta { uid, gid, ..Meta::default() }
    }

    fn pair(meta: Meta) -> (u32, u32) {
        (meta.uid, meta.gid)
    }

    #[test]
    fn names_decide_and_numbers_where_there_are_none() {
        let (owners, unknown) = map("", "", false);
        assert!(unknown.is_empty() && owners.is_plain());
        owners.told(vec![name(IdKind::User, 20, "alice"), name(IdKind::User, 7, "nobody here")]);
        assert!(owners.is_plain(), "the same numbers on both ends");
        owners.told(vec![name(IdKind::User, 10, "carol"), name(IdKind::Group, 5, "staff")]);
        assert_eq!(owners.digests_by(), DigestsBy::SourceNumber);
        for (source, destination) in
            [(meta(10, 5), (30, 50)), (meta(20, 20), (20, 20)), (meta(0, 0), (0, 0)), (meta(7, 8), (7, 8))]
        {
            assert_eq!(pair(owners.meta(&source)), destination);
            assert_eq!(pair(owners.source_meta(&meta(destination.0, destination.1))), pair(source));
        }
        assert_eq!(
            owners.source_meta(&meta(10, 5)).uid,
            NO_ID,
            "carol has another number here, so nobody comes to have hers"
        );
        // Two of the source come to be one here.
        owners.told(vec![name(IdKind::User, 30, "nobody")]);
        assert_eq!(owners.meta(&meta(30, 0)).uid, 30);
        assert_eq!(owners.source_meta(&meta(30, 0)).uid, NO_ID);
    }

    #[test]
    fn root_stays_root_unless_a_rule_says_otherwise() {
        let (owners, _) = map("", "", false);
        owners.told(vec![name(IdKind::User, 0, "alice")]);
        assert_eq!(owners.meta(&meta(0, 0)).uid, 0);
        let (owners, _) = map("root:carol", "", false);
        owners.told(vec![name(IdKind::User, 0, "root")]);
        assert_eq!(owners.meta(&meta(0, 0)).uid, 30);
        assert_eq!(owners.digests_by(), DigestsBy::Nothing);
    }

    #[test]
    fn a_rule_to_nobody_is_told_and_passed_over_cve_2026_53798() {
        let (owners, unknown) = map("alice:missing,*:carol", "*:absent", false);
        assert_eq!(unknown, [(IdKind::User, "missing".to_owned()), (IdKind::Group, "absent".to_owned())]);
        owners.told(vec![name(IdKind::User, 1000, "alice")]);
        assert_eq!(pair(owners.meta(&meta(1000, 9))), (30, 9));
    }

    #[test]
    fn without_the_right_a_group_is_set_by_its_members_alone() {
        let (owners, _) = map("", "", true);
        owners.told(vec![name(IdKind::Group, 5, "staff"), name(IdKind::Group, 20, "alice")]);
        assert_eq!([5, 20, 50, 60].map(|gid| owners.meta(&meta(1, gid)).gid), [50, NO_ID, 50, NO_ID]);
        assert_eq!(owners.source_meta(&meta(1, 20)).gid, 20, "one that stays is no difference");
        assert!(!owners.is_plain());
    }

    /// An ACL that names a user and a group, among the attributes of an entry.
    fn acl(user: u32, group: u32) -> Xattrs {
        let entries = [(1, u32::MAX), (2, user), (4, u32::MAX), (8, group), (16, u32::MAX), (32, u32::MAX)];
        let mut value = vec![2, 0, 0, 0];
        for (tag, id) in entries {
            value.extend([u16::to_le_bytes(tag), [5, 0]].concat());
            value.extend(id.to_le_bytes());
        }
        let others = (b"user.a".to_vec(), b"1".to_vec());
        Xattrs::new(vec![(b"system.posix_acl_default".to_vec(), value), others]).expect("attributes")
    }

    #[test]
    fn acls_name_whom_they_name_at_the_source_whoever_may_set_owners() {
        for members_only in [false, true] {
            let (owners, _) = map("", "", members_only);
            assert_eq!(*owners.xattrs(&acl(10, 5)), acl(10, 5), "nobody has another number");
            owners.told(vec![name(IdKind::User, 10, "carol"), name(IdKind::Group, 5, "alice")]);
            for (source, destination) in [((10, 5), (30, 20)), ((0, 0), (0, 0)), ((7, 8), (7, 8))] {
                let [source, destination] = [source, destination].map(|(user, group)| acl(user, group));
                assert_eq!(*owners.xattrs(&source), destination);
                assert_eq!(*owners.source_xattrs(&destination), source);
            }
        }
        let (owners, unknown) = map("10:alice,11:alice,*:missing", "", false);
        assert_eq!(unknown, [(IdKind::User, "missing".to_owned())], "once");
        assert_eq!(*owners.xattrs(&acl(10, 5)), acl(20, 5));
    }
}
