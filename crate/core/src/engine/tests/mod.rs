//! The engine against itself, over storages in memory that fail at any call: see [`faults`]; and beside others that may
//! be alive: see [`leftovers`]; and where names are not told by their case: see [`spelling`].

mod changing;
mod faults;
mod judge;
mod leftovers;
mod spelling;
mod trees;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sparsync_proto::session::{ProfileExchange, SenderTerms};
use sparsync_proto::{
    Attributes, Changing, Chmod, Deletion, Durability, Grant, IdKind, Issue, OwnerNames, Paths, Rules, Selection,
    SourceIds,
};

use super::events::{EventNeeds, EventQueue};
use super::{
    Accounts, Basis, BasisUse, Destination, DirLinks, ItemOptions, OwnerMap, OwnerRules, Pays, ReceiverOptions, Report,
    SenderOptions, Session, SkipList, Source, Way, WriteOptions, run_receiver, run_sender,
};
use crate::error::Result;
use crate::run::both_engines;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Hold, Judge};
use crate::transport::WireCounters;

/// How what is new comes to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// File by file, of what is sent.
    Plain,
    /// All at the end.
    Delayed,
    /// Large files from what stood there.
    Delta,
    /// From names that are deleted.
    Moves,
    /// As copies of another tree that has it.
    Copies,
    /// File by file, for a sender that may only add entries.
    Adds,
}

impl How {
    fn writes(self) -> WriteOptions {
        WriteOptions {
            basis_use: (self == Self::Copies).then_some(BasisUse::Copy),
            delta: self == Self::Delta,
            detects_renames: self == Self::Moves,
            delay_updates: self == Self::Delayed,
            ..WriteOptions::default()
        }
    }
}

/// What a run is asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    how: How,
    grant: Grant,
    durability: Durability,
    changing: Changing,
    keep_partial: bool,
    hold: Hold,
    /// Told apart from every other run.
    session: u8,
}

/// How a run ended, and what it told.
struct Ended {
    result: Result<()>,
    failures: Vec<Issue>,
    notices: Vec<Issue>,
}

/// Everything that is carried.
const ATTRIBUTES: Attributes = Attributes {
    safe_links: false,
    perms: true,
    times: true,
    owner: true,
    group: true,
    links: true,
    specials: true,
    devices: true,
    hard_links: true,
    xattrs: true,
    executability: false,
    omit_dir_times: false,
    omit_link_times: false,
    atimes: false,
    foreign_xattrs: true,
    acls: true,
    compare: sparsync_proto::Compare::Quick,
    window: sparsync_proto::Window::Exact,
};

fn rules() -> Rules {
    Rules {
        attributes: ATTRIBUTES,
        source_ids: SourceIds::Local,
        recursive: true,
        selection: Selection::default(),
        append_only: false,
    }
}

/// Nobody has a name.
struct Nobody;

impl Accounts for Nobody {
    fn name_of(&self, _: IdKind, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn id_of(&self, _: IdKind, _: &[u8]) -> Option<u32> {
        None
    }

    fn is_member(&self, _: u32) -> bool {
        false
    }
}

/// Owners by number.
fn numbers() -> OwnerMap {
    OwnerMap::new(Box::new(Nobody), &OwnerRules { users: None, groups: None, members_only: false, acls: None }).0
}

/// All of a tree.
fn source_of(tree: &MemoryStorage) -> Source<MemoryStorage> {
    Source { root: tree.clone(), file_name: None, selected: Paths::default(), missing: Vec::new(), gone: Vec::new() }
}

/// How the sender behaves.
fn sender_options(asked: Asked) -> SenderOptions {
    SenderOptions {
        attributes: ATTRIBUTES,
        judge: Judge::everything(),
        recursive: true,
        one_file_system: false,
        omit_mount_points: false,
        chmod: Chmod::default(),
        open_noatime: false,
        changing: asked.changing,
        detects_renames: asked.how == How::Moves,
        snapshot_read: false,
        in_place: false,
        skip_compress: SkipList::default(),
        way: Way::Hashed,
        names: None,
        pays: Pays::for_deltas_alone(),
        hold: Duration::ZERO,
        terms: SenderTerms::Granted { grant: asked.grant, profile: ProfileExchange::None, removes: false },
        events: None,
        mounts: None,
        sums: None,
        recorder: None,
    }
}

/// Runs sender and receiver against each other until both have ended.
fn run(source: &MemoryStorage, destination: &MemoryStorage, asked: Asked) -> Ended {
    let mut destination = Destination::new(Some(destination.clone()), None, asked.grant == Grant::All);
    if asked.how == How::Copies {
        // Another tree with the same entries, in which nothing fails.
        destination.aside.basis = vec![Basis { root: MemoryStorage::new(Arc::clone(&source.top)), hides: None }];
    }
    let (events, source) = (Arc::new(EventQueue::new(EventNeeds::default())), source_of(source));
    let options = ReceiverOptions {
        attributes: ATTRIBUTES,
        rules: Rules { append_only: asked.how == How::Adds, ..rules() },
        names: OwnerNames::default(),
        owners: numbers(),
        judge: Judge::everything(),
        special_right: true,
        xattr_right: true,
        deletion: Deletion { delete: asked.how != How::Adds, allow_mass: true, ..Deletion::default() },
        one_file_system: false,
        dir_links: DirLinks::Replaced,
        dry_run: false,
        items: ItemOptions::default(),
        stamps: None,
        strict_attributes: false,
        open_noatime: false,
        durability: asked.durability,
        writes: asked.how.writes(),
        keep_partial: asked.keep_partial,
        sparse: asked.durability != Durability::None,
        grant: asked.grant,
        report: Report::Local(Arc::clone(&events)),
        session_id: [asked.session; 8],
        hold: asked.hold,
        quota: None,
        reserve: None,
        is_source: None,
        profile: ProfileExchange::None,
        sums: None,
        no_room_reserved: AtomicBool::new(false),
    };
    let sender_options = sender_options(asked);
    let (sending, receiving) = (Arc::new(Session::new(false)), Arc::new(Session::new(false)));
    let wire = Arc::new(WireCounters::default());
    let result = both_engines(&sending, &receiving, 2, &wire, |(control, to), (receiver_control, from)| {
        std::thread::scope(|scope| {
            // The session tells errors of the sender.
            scope.spawn(|| drop(run_sender(&sending, &source, &sender_options, control, to)));
            let outcome = run_receiver(&receiving, &destination, &options, receiver_control, from);
            if outcome.is_err() {
                sending.end();
            }
            outcome
        })
    });
    let told = events.failures();
    let result = result.and_then(|outcome| outcome.refused.map_or(Ok(()), Err));
    Ended { result, failures: told.failures, notices: told.warnings }
}
