//! What either end makes of a request: its timeout, the acceptance by a sender, what the path and the owners allow.

use std::sync::Arc;
use std::time::Duration;

use sparsync_proto::session::SenderTerms;
use sparsync_proto::{
    Accept, Changing, Chmod, Compression, Grant, Issue, IssueKind, OwnerNames, Request, SourceIds, Version,
};

use crate::accounts::SystemAccounts;
use crate::engine::{Accounts, Pays, Report, SenderOptions, SkipList, TellsNames, Way};
use crate::error::{Error, ErrorKind, Result, Side};
use crate::prepare::{self, ReceiverTerms};
use crate::rule_files::{Place as RulePlace, judge_of_source};
use crate::sources::{self, Source};
use crate::storage::Judge;
use crate::transport::Connection;

/// A run without a limit in time is given a century.
pub(crate) const NO_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The timeout of a request; 0 means none.
pub(crate) fn timeout_of(request: &Request) -> Duration {
    if request.timeout_ms == 0 { NO_TIMEOUT } else { Duration::from_millis(request.timeout_ms).min(NO_TIMEOUT) }
}

/// Why a pull ends that its initiator asks for again when it has counted what it needs.
const COUNTS_FIRST: &str = "counts_first";

/// What such a pull ends with.
pub(crate) fn counts_first() -> Error {
    let message = "the need for space is counted first, and the run is asked for again";
    Error::new(ErrorKind::Aborted, message).with(COUNTS_FIRST, message.to_owned())
}

/// Whether a session ended for that, as its acceptor sees it.
pub(crate) fn is_to_come(error: &Error) -> bool {
    error.side() == Side::Remote
        && error.kind() == ErrorKind::Aborted
        && error.details().iter().any(|(name, _)| name == COUNTS_FIRST)
}

/// The longest time that records are held back.
const HOLD_MAX: Duration = Duration::from_millis(250);

/// On a path slower than this, compression pays: LZ4 of text costs about 2 ns a byte and saves more than half.
const COMPRESS_BELOW_BYTES_PER_SECOND: f64 = 300e6;

/// Paths as fast as this carry all of a file in the time in which a core finds out what changed of it: that reads, cuts
/// and hashes 2.0 to 3.5 GB/s at each end (ADR 0023), and a round trip comes on top.
const DELTA_BELOW_BYTES_PER_SECOND: f64 = 2e9;

/// What is worth its work on this path, as that is now.
pub(crate) fn pays_on(connection: &Arc<dyn Connection>, request: &Request) -> Pays {
    let (for_packs, for_files) = (Arc::clone(connection), Arc::clone(connection));
    let (compression, whole_file) = (request.compression, request.whole_file);
    Pays {
        compression: Box::new(move || compression_pays(compression, for_packs.goodput())),
        delta: Box::new(move || delta_pays(whole_file, for_files.goodput())),
    }
}

/// Whether a pack is worth compressing where the path carries so much in a second, as far as that is known.
pub(crate) fn compression_pays(asked: Compression, goodput: Option<f64>) -> bool {
    match asked {
        Compression::Always => true,
        Compression::Never => false,
        Compression::Auto => goodput.is_some_and(|bytes_per_second| bytes_per_second < COMPRESS_BELOW_BYTES_PER_SECOND),
    }
}

/// Whether what changed of a file is worth finding out. Of a path of which nothing is known it is.
pub(crate) fn delta_pays(whole_file: Option<bool>, goodput: Option<f64>) -> bool {
    let is_slower = || goodput.is_none_or(|bytes_per_second| bytes_per_second < DELTA_BELOW_BYTES_PER_SECOND);
    whole_file.map_or_else(is_slower, |whole| !whole)
}

/// How long records are held back so that the tree's digest can go first.
pub(crate) fn hold_on(connection: &dyn Connection) -> Duration {
    (connection.round_trip() * 2).min(HOLD_MAX)
}

/// Tells once that owners were asked for and cannot be set here, and which right or option would allow it.
pub(crate) fn tell_dropped_owners(request: &Request, terms: &ReceiverTerms<'_>, report: &Report) -> Result<()> {
    const NO_RIGHT: &str = "owners and groups are not preserved: the key lacks the right \"owner\" at the server";
    let asked = &request.attributes;
    let may_chown = terms.may_chown;
    let is_root = prepare::acts_as_root(terms.stored.fake_super);
    // Without root's rights a process can set the groups that it is a member of. Nothing is told of others, as in
    // rsync.
    let may_all = may_chown && (is_root || prepare::is_privileged(request, terms) || !asked.owner);
    if may_all || !(asked.owner || asked.group) {
        return Ok(());
    }
    let (kind, message) = match (may_chown, is_root) {
        (true, _) => (IssueKind::Owners, "owners are not preserved: the receiver does not run as root"),
        (false, true) => (IssueKind::OwnerRight, NO_RIGHT),
        (false, false) => (IssueKind::Owners, "owners and groups are not preserved: the receiver does not run as root"),
    };
    report.issue(Issue { kind, path: Vec::new(), message: message.to_owned(), old_kept: true })
}

/// Tells of files of filter rules above the destination that could not be read.
pub(crate) fn tell_rules(judge: &Judge, report: &Report) -> Result<()> {
    judge.issues.iter().try_for_each(|issue| report.issue(issue.clone()))
}

/// How the sender tells names of owners, where it does.
pub(crate) fn tells_names(
    request: &Request,
    source_ids: SourceIds,
    accounts: impl Accounts + 'static,
) -> Option<TellsNames> {
    let of = prepare::names_told(request, source_ids);
    let of_zero = OwnerNames { users: !request.user_map.is_empty(), groups: !request.group_map.is_empty() };
    let is_told = of.users || of.groups;
    let of_acls = request.attributes.acls;
    is_told.then(|| TellsNames { accounts: Box::new(accounts), of, of_zero, of_acls })
}

/// The acceptance of a request by the side that sends.
pub(crate) fn accept_as_sender(source: &Source, request: &Request, version: Version, lanes: u8) -> Accept {
    let (bytes_bound, entries_bound) = sources::bounds(source);
    let all = request.grant_all && source.file_name.is_none() && !request.dry_run && request.may_grant_all();
    Accept {
        version,
        grant: if all { Grant::All } else { Grant::AsAsked },
        lanes,
        file_name: source.file_name.clone(),
        selected: source.selected.clone(),
        missing: source.to_be_deleted(request),
        bytes_bound,
        entries_bound,
        ..Accept::default()
    }
}

/// The options of a sender of this request, in this process. Over a connection it may compress, and hold records back.
pub(crate) fn sender_options(
    source: &Source,
    request: &Request,
    place: &RulePlace<'_>,
    source_ids: SourceIds,
    terms: SenderTerms,
) -> Result<SenderOptions> {
    let judge = judge_of_source(source, request, place)?;
    let names = tells_names(request, source_ids, SystemAccounts::default());
    Ok(SenderOptions {
        omit_mount_points: request.omit_mount_points,
        chmod: request.chmod.clone(),
        open_noatime: request.open_noatime,
        changing: request.changing,
        detects_renames: request.detect_renames,
        snapshot_read: request.snapshot_read && !request.dry_run,
        skip_compress: SkipList::parse(&request.skip_compress),
        mounts: sources::known_mounts(source, request),
        ..sender_options_of(request, (judge, names, terms))
    })
}

/// The same for a source that applies no filter and no changes any more.
pub(crate) fn sender_options_of(
    request: &Request,
    (judge, names, terms): (Judge, Option<TellsNames>, SenderTerms),
) -> SenderOptions {
    SenderOptions {
        attributes: request.attributes,
        judge,
        recursive: request.carries_directories(),
        one_file_system: request.one_file_system,
        omit_mount_points: false,
        chmod: Chmod::default(),
        open_noatime: false,
        changing: Changing::Fail,
        detects_renames: false,
        snapshot_read: false,
        in_place: request.inplace,
        skip_compress: SkipList::default(),
        way: Way::Hashed,
        names,
        pays: Pays::for_deltas_alone(),
        hold: Duration::ZERO,
        terms,
        events: None,
        mounts: None,
        recorder: None,
        sums: None,
    }
}
