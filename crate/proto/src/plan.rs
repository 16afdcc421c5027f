//! The planner: what to do in one directory, from its two listings alone.

use std::cmp::Ordering;

use crate::acl::is_acl;
use crate::compare::is_newer;
use crate::entry::Kind;
use crate::listing::{Entry, Listing};
use crate::reasons::Reasons;
use crate::request::{Attributes, Selection};
use crate::set_id::{CAPABILITY, SourceIds};

/// The action for one name of a directory. Indices are into the source's or the destination's listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The entry must be made, or made anew; `old` is the entry in its place now.
    Make {
        /// The source's entry.
        source: usize,
        /// The destination's entry of that name.
        old: Option<usize>,
        /// Why.
        reasons: Reasons,
    },
    /// Its content is right, its attributes are not.
    Adjust {
        /// The source's entry.
        source: usize,
        /// Why.
        reasons: Reasons,
    },
    /// The entry is a further name of one before it, and the destination's is not, or differs.
    Link {
        /// The source's entry.
        source: usize,
        /// The destination's entry of that name.
        old: Option<usize>,
        /// Why.
        reasons: Reasons,
    },
    /// It stays as it is, although it may differ.
    Skip {
        /// The source's entry.
        source: usize,
        /// Why.
        reasons: Reasons,
    },
    /// Only the destination has it.
    Extra {
        /// The destination's entry.
        old: usize,
    },
}

impl Step {
    /// The source's entry, where it is about one.
    #[must_use]
    pub const fn source(self) -> Option<usize> {
        match self {
            Self::Make { source, .. }
            | Self::Adjust { source, .. }
            | Self::Link { source, .. }
            | Self::Skip { source, .. } => Some(source),
            Self::Extra { .. } => None,
        }
    }
}

/// The rules of a plan, besides the two listings.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The attributes that are compared and carried.
    pub attributes: Attributes,
    /// How far the source's owners can be trusted, for set-id bits.
    pub source_ids: SourceIds,
    /// Whether the run enters sub-directories.
    pub recursive: bool,
    /// The entries that are left alone.
    pub selection: Selection,
    /// Whether nothing that exists may change.
    pub append_only: bool,
}

impl Selection {
    /// Whether a file may be left out although the destination does not have it. Then nothing can be granted before
    /// listings are compared.
    #[must_use]
    pub const fn leaves_new_out(&self) -> bool {
        self.existing || self.max_size.is_some() || self.min_size.is_some()
    }

    fn leaves_size_out(&self, bytes: u64) -> bool {
        self.max_size.is_some_and(|max| bytes > max) || self.min_size.is_some_and(|min| bytes < min)
    }
}

/// Calls `step` for every name that needs a decision, in ascending order; equal entries need none.
pub fn plan(rules: &Rules, source: &Listing, destination: &Listing, mut step: impl FnMut(Step)) {
    let (mut at, mut old) = (0, 0);
    loop {
        let order = match (source.get(at), destination.get(old)) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => source.name(a).cmp(destination.name(b)),
        };
        match order {
            Ordering::Less => {
                if let Some(next) = missing(rules, source, at) {
                    step(next);
                }
                at += 1;
            }
            Ordering::Greater => {
                step(Step::Extra { old });
                old += 1;
            }
            Ordering::Equal => {
                if let Some(next) = beside(rules, (source, at), (destination, old)) {
                    step(next);
                }
                at += 1;
                old += 1;
            }
        }
    }
}

/// Why the run leaves a source entry alone whatever the destination holds.
fn not_carried(rules: &Rules, entry: &Entry) -> Option<Reasons> {
    match entry.kind {
        Kind::Special => Some(Reasons::SPECIAL),
        Kind::Fifo | Kind::Socket => (!rules.attributes.specials).then_some(Reasons::SPECIAL),
        Kind::BlockDevice | Kind::CharDevice => (!rules.attributes.devices).then_some(Reasons::SPECIAL),
        Kind::Directory => (!rules.recursive).then_some(Reasons::DIRECTORY),
        Kind::File => rules.selection.leaves_size_out(entry.size).then_some(Reasons::SIZE),
        Kind::Symlink => None,
    }
}

/// The step for the source's entry at `source` as if it were no hard link, given the destination's entry of that name:
/// for a follower for which no link can be made.
#[must_use]
pub fn plan_alone(rules: &Rules, source: (&Listing, usize), destination: Option<(&Listing, usize)>) -> Option<Step> {
    let mut rules = *rules;
    rules.attributes.hard_links = false;
    match destination {
        None => missing(&rules, source.0, source.1),
        Some(destination) => beside(&rules, source, destination),
    }
}

/// What the source's entry at `source` would take if the destination had that of another state of the tree: none of
/// the options that leave entries of the destination alone applies.
#[must_use]
pub fn plan_from(rules: &Rules, source: (&Listing, usize), basis: (&Listing, usize)) -> Option<Step> {
    let attributes = Attributes { hard_links: false, ..rules.attributes };
    both(&Rules { attributes, selection: Selection::default(), append_only: false, ..*rules }, source, basis)
}

fn missing(rules: &Rules, source: &Listing, at: usize) -> Option<Step> {
    let entry = source.get(at)?;
    Some(match not_carried(rules, entry) {
        Some(reasons) => Step::Skip { source: at, reasons },
        None if rules.selection.existing => Step::Skip { source: at, reasons: Reasons::MISSING },
        None if rules.attributes.hard_links && source.leader(at).is_some() => {
            Step::Link { source: at, old: None, reasons: Reasons::MISSING.union(Reasons::HARD_LINK) }
        }
        None => Step::Make { source: at, old: None, reasons: Reasons::MISSING },
    })
}

/// The step for an entry that both sides have, with the reasons that rsync tells.
fn beside(rules: &Rules, source: (&Listing, usize), destination: (&Listing, usize)) -> Option<Step> {
    // What stays gets the bits of the mode with the ACL that repeats them.
    let staying = |reasons: Reasons| {
        let high = |(listing, at): (&Listing, usize)| listing.get(at).map(|entry| entry.meta.mode & 0o7000);
        let is_of_acl = reasons.intersects(Reasons::ACLS) && high(source) == high(destination);
        if is_of_acl { reasons.without(Reasons::MODE) } else { reasons }
    };
    Some(match both(rules, source, destination)? {
        Step::Adjust { source, reasons } => Step::Adjust { source, reasons: staying(reasons) },
        Step::Link { source, old, reasons } => Step::Link { source, old, reasons: staying(reasons) },
        // What has no content and is another one is made before its ACL is looked at, and lacks what the source lacks.
        Step::Make { source: at, old, reasons } if reasons.intersects(Reasons::TARGET.union(Reasons::DEVICE)) => {
            let has_xattrs = source.0.xattrs(at).is_some_and(|xattrs| xattrs.iter().any(|(name, _)| !is_acl(name)));
            let told = reasons.without(Reasons::ACLS);
            Step::Make { source: at, old, reasons: if has_xattrs { told } else { told.without(Reasons::XATTRS) } }
        }
        step => step,
    })
}

fn both(rules: &Rules, source: (&Listing, usize), destination: (&Listing, usize)) -> Option<Step> {
    let (a, b) = (source.0.get(source.1)?, destination.0.get(destination.1)?);
    if let Some(reasons) = not_carried(rules, a) {
        return Some(Step::Skip { source: source.1, reasons });
    }
    let leader = if rules.attributes.hard_links { source.0.leader(source.1) } else { None };
    let mut reasons = rules.attributes.differences(source, destination);
    reasons.add(leader.is_some() && leader != destination.0.leader(destination.1), Reasons::HARD_LINK);
    // A set-id bit that is dropped must not count as a difference, or each run would find it again.
    if reasons.intersects(Reasons::MODE) && rules.mode_to_be(a.kind, &a.meta, &b.meta) == b.meta.mode {
        reasons = reasons.without(Reasons::MODE);
    }
    // The same holds for capabilities.
    if let Some(xattrs) = source.0.xattrs(source.1)
        && a.kind == Kind::File
        && xattrs.get(CAPABILITY).is_some()
        && !rules.capabilities_to_be(&a.meta, &b.meta)
    {
        let here = destination.0.xattrs(destination.1);
        let others = rules.attributes.differences_of_xattrs(Some(xattrs), |name| name != CAPABILITY, here);
        reasons = reasons.without(Reasons::XATTRS).union(others);
    }
    if reasons.is_empty() {
        return None;
    }
    if rules.append_only {
        return Some(Step::Skip { source: source.1, reasons: Reasons::APPEND_ONLY });
    }
    // A newer file gives way to a link, as in rsync: whether its content stays was decided with the leader.
    if rules.selection.update && leader.is_none() && is_newer(&rules.attributes, a, b) {
        return Some(Step::Skip { source: source.1, reasons: Reasons::NEWER });
    }
    if rules.selection.ignore_existing && (a.kind != Kind::Directory || b.kind != Kind::Directory) {
        return Some(Step::Skip { source: source.1, reasons });
    }
    if leader.is_some() {
        return Some(Step::Link { source: source.1, old: Some(destination.1), reasons });
    }
    let remake = match a.kind {
        Kind::File => rules.attributes.needs_content(reasons),
        Kind::Symlink => reasons.intersects(Reasons::TYPE.union(Reasons::TARGET)),
        Kind::BlockDevice | Kind::CharDevice | Kind::Fifo | Kind::Socket => {
            reasons.intersects(Reasons::TYPE.union(Reasons::DEVICE))
        }
        Kind::Directory | Kind::Special => reasons.intersects(Reasons::TYPE),
    };
    Some(if remake {
        Step::Make { source: source.1, old: Some(destination.1), reasons }
    } else {
        Step::Adjust { source: source.1, reasons }
    })
}

#[cfg(test)]
mod tests {
    use super::{Rules, Step, plan};
    use crate::entry::{Kind, Meta, Time};
    use crate::entry_fields::{Device, EntryFields};
    use crate::listing::Listing;
    use crate::options::{Compare, Window};
    use crate::path::Name;
    use crate::reasons::Reasons;
    use crate::request::{Attributes, Selection};
    use crate::set_id::SourceIds;
    use crate::xattrs::Xattrs;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Kind, size (of a device its minor number), mode, time, and the value of the one extended attribute that a file
    /// may have.
    type Model = BTreeMap<Vec<u8>, (Kind, u64, u16, i64, Option<u8>)>;

    fn listing(model: &Model) -> Listing {
        let mut listing = Listing::new();
        for (name, &(kind, size, mode, seconds, xattr)) in model {
            let meta = Meta { mode, mtime: Time { seconds, nanos: 0 }, ..Meta::default() };
            let target = vec![b'x'; usize::try_from(size).unwrap() + 1];
            assert!(listing.push(Name::new(name).unwrap(), kind, size, meta, &target));
            if let (Kind::File, Some(value)) = (kind, xattr) {
                listing.set_last_xattrs(Xattrs::new(vec![(b"user.a".to_vec(), vec![value])]).unwrap());
            }
            if kind.is_device() {
                let device = Device { major: 7, minor: u32::try_from(size).unwrap() };
                listing.set_last_fields(EntryFields { device: Some(device), ..EntryFields::default() });
            }
        }
        listing.sort();
        listing
    }

    fn model() -> impl Strategy<Value = Model> {
        let carried: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Special).collect();
        let kind = prop::sample::select(carried);
        let entry = (kind, 0u64..3, 0u16..2, 0i64..2, prop::option::of(0u8..2));
        prop::collection::btree_map("[a-d]{1,2}".prop_map(String::into_bytes), entry, 0..8)
    }

    fn rules() -> Rules {
        Rules {
            source_ids: SourceIds::Claimed,
            attributes: Attributes {
                perms: true,
                times: true,
                links: true,
                specials: true,
                devices: true,
                xattrs: true,
                compare: Compare::Quick,
                window: Window::Exact,
                ..Attributes::default()
            },
            recursive: true,
            selection: Selection::default(),
            append_only: false,
        }
    }

    proptest! {
        /// Carrying out the steps gives the source; equal digests and an empty plan mean the same.
        #[test]
        fn the_plan_leads_to_the_source(source in model(), destination in model()) {
            let (from, to) = (listing(&source), listing(&destination));
            let mut result = destination.clone();
            let mut steps = 0;
            plan(&rules(), &from, &to, |step| {
                steps += 1;
                match step {
                    Step::Extra { old } => { result.remove(to.name(&to.entries()[old])); }
                    Step::Make { source: at, .. } | Step::Adjust { source: at, .. } => {
                        let name = from.name(&from.entries()[at]).to_vec();
                        let value = source[&name];
                        result.insert(name, value);
                    }
                    Step::Link { .. } | Step::Skip { .. } => unreachable!("not under these rules"),
                }
            });
            let comparable = |model: &Model| -> Vec<_> {
                model.iter().map(|(name, &(kind, size, mode, seconds, xattr))| match kind {
                    Kind::Directory | Kind::Special => (name.clone(), kind, 0, 0, 0, None),
                    Kind::Symlink => (name.clone(), kind, size, 0, seconds, None),
                    Kind::Fifo | Kind::Socket => (name.clone(), kind, 0, mode, seconds, None),
                    Kind::BlockDevice | Kind::CharDevice => (name.clone(), kind, size, mode, seconds, None),
                    Kind::File => (name.clone(), kind, size, mode, seconds, xattr),
                }).collect()
            };
            prop_assert_eq!(comparable(&result), comparable(&source));
            let attributes = rules().attributes;
            prop_assert_eq!(attributes.digest(&from) == attributes.digest(&to), steps == 0);
        }
    }

    #[test]
    fn append_only_changes_nothing_that_exists() {
        let one = |size| listing(&BTreeMap::from([(b"f".to_vec(), (Kind::File, size, 0, 0, None))]));
        let mut steps = Vec::new();
        plan(&Rules { append_only: true, ..rules() }, &one(1), &one(2), |step| steps.push(step));
        assert_eq!(steps, [Step::Skip { source: 0, reasons: Reasons::APPEND_ONLY }]);
    }
}
