//! The protocol of sparsync without input or output: names and listings, what makes two of them differ, the planner,
//! and every byte that travels. `docs/protocol.md` has the same, byte by byte.
//!
//! Nothing here opens a file, reads a clock or knows a runtime: a fuzzer or a simulator can drive all of it.
#![forbid(unsafe_code)]

mod acl;
pub mod beside;
mod chmod;
mod closed;
pub mod codec;
mod compare;
mod counters;
pub mod delta;
mod entry;
mod entry_fields;
mod fake_super;
pub mod field;
mod filter;
mod frame;
mod hex;
mod kind;
mod leaders;
pub mod limits;
mod listing;
mod matcher;
pub mod mux;
mod named;
mod options;
mod owners;
pub mod pack;
mod path;
mod paths;
mod plan;
mod profile;
mod reasons;
mod request;
mod retention;
pub mod session;
mod set_id;
mod stat;
pub mod subflow;
mod symlinks;
mod version;
mod xattrs;

pub use acl::{ACL_ACCESS, ACL_DEFAULT, acl_as, acl_ids, acl_under, carried_acl, is_acl, mode_without_acl};
pub use chmod::Chmod;
pub use codec::DecodeError;
pub use compare::{Digest, TreeHasher, is_foreign_xattr, with_executability_of};
pub use counters::{COUNTERS, Counter, OfKind};
pub use entry::{ContentDigest, Kind, Meta, Time};
pub use entry_fields::{Device, EntryFields};
pub use fake_super::{FAKE_STAT, FakeStat, acl_of_stored, name_of_stored, stored_acl, stored_name};
pub use filter::{
    At, Decider, End, Filter, FilterRules, HiddenPaths, Hiding, Ignores, InForce, Origin, ParseError, Pattern,
    PerDirectory, Prefixes, Rule, RuleFile, RuleFileError, RuleFiles, Said, Style, Symlinks, TreeTop, parse_file,
    parse_rule, resolved,
};
pub use frame::{
    Accept, Action, Arrived, Basis, Detail, Directory, Explanation, Frame, FrameDecoder, Grant, Issue, IssueKind, Item,
    ItemDetails, ListEntry, Resume, STAMP_OWN_BYTES, Stamp, WireError, encode_list,
};
pub use hex::hex;
pub use kind::ErrorKind;
pub use leaders::Leader;
pub use listing::{Entry, Listing};
pub use matcher::{Everything, Matcher, Selected};
pub use named::is_option;
pub use options::{
    Changing, Compare, Compression, Direction, Directories, Durability, MissingSources, SourcePath, Window,
};
pub use owners::{IdKind, IdMap, MapRule, MappedTo, NO_ID, OwnerName, OwnerNames, is_owner_name};
pub use path::{Name, RelPath};
pub use paths::{PathSet, Paths};
pub use plan::{Rules, Step, plan, plan_alone, plan_from};
pub use profile::{EndProfile, FIGURES, Figure, PHASES, Phase, PhaseTotal, ThreadProfile};
pub use reasons::Reasons;
pub use request::{Attributes, Deletion, Request, Selection};
pub use retention::{Keep, Moment, Snapshot};
pub use set_id::{CAPABILITY, SET_GID, SET_UID, SourceIds, kept_mode};
pub use stat::Stat;
pub use symlinks::{MUNGED, is_unsafe_target, munged, unmunged};
pub use version::Version;
pub use xattrs::Xattrs;
