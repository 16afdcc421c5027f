//! The source's walk: a record for each directory, and the end of the tree.

use std::sync::{Arc, PoisonError, mpsc};
use std::time::Instant;

use sparsync_proto::limits::BATCH_BYTES;
use sparsync_proto::{Compare, Counter, Directory, Frame, Issue, IssueKind, Kind, Phase, RelPath, TreeHasher};

use super::common_time::CommonTime;
use super::jobs::HeldScan;
use super::names::NameTeller;
use super::{Shared, queue_lists};
use crate::engine::frozen::Freezer;
use crate::engine::steps::Steps;
use crate::error::{Error, ErrorKind, Result};
use crate::profile::ThreadClock;
use crate::storage::{self, CallError, Errno, Scan, ScanBuffers, ScanOptions, Storage, WalkItem, scan_single};

/// Walks the source, sends a record for each directory, and keeps its listing for the receiver's questions.
pub(super) fn walk<S: Storage>(
    shared: &Shared<'_, S>,
    to_list: &mpsc::Sender<u32>,
    freezer: Option<&Freezer<S::Directory>>,
) -> Result<()> {
    let options = ScanOptions {
        attributes: shared.options.attributes,
        stamps: true,
        judge: &shared.options.judge,
        every: false,
        chmod: shared.options.chmod(),
        one_file_system: shared.options.one_file_system,
        omit_mount_points: shared.options.omit_mount_points,
        open_noatime: shared.options.open_noatime,
        sums: shared.options.sums.as_deref(),
    };
    let holds = options.digests_decide() && shared.source.file_name.is_none();
    let mut out = Records::new(shared, to_list, shared.session.clock("walk", Phase::walk), holds);
    out.freezer = freezer;
    if let Some(name) = &shared.source.file_name {
        let scan = scan_single(&shared.source.root, name, &options, &mut ScanBuffers::default())
            .map_err(|error| Error::io("cannot read the source", name, error.into()))?;
        if scan.listing.is_empty() && scan.issues.is_empty() && !scan.leaves_out {
            return Err(Error::new(ErrorKind::NotFound, "the source does not exist").at(name));
        }
        out.add(scan)?;
        return out.end();
    }
    out.missing()?;
    let is_long = options.attributes.compares_content() || options.judge.prunes();
    let mut walk = storage::walk(&shared.source.root, options, shared.options.recursive);
    let mut steps = Steps::new(shared.session, is_long);
    while let Some(item) = steps.take(|| walk.next()) {
        shared.session.check()?;
        out.clock.enter(Phase::list);
        match item {
            WalkItem::Listed(scan) => out.add(*scan)?,
            WalkItem::Failed(path, error) if path.is_root() => {
                return Err(Error::io("cannot read the source", b"", error.into()));
            }
            WalkItem::Failed(path, error) => out.failed(&path, error)?,
        }
        out.clock.enter(Phase::walk);
    }
    out.end()
}

/// Encoded frames that are held back. Owner names go before the tree's digest, which the receiver compares by them.
struct Held {
    names: Vec<u8>,
    records: Vec<u8>,
    until: Instant,
}

/// Records on their way to the receiver.
struct Records<'a, 'b, S: Storage> {
    shared: &'a Shared<'b, S>,
    to_list: &'a mpsc::Sender<u32>,
    clock: ThreadClock,
    batch: Vec<Directory>,
    batch_bytes: usize,
    /// Encoded frames that are held back, until the hold is over or the walk ends.
    held: Option<Held>,
    names: Option<NameTeller<'a>>,
    tree: TreeHasher,
    directories: u32,
    entries: u64,
    bytes: u64,
    errors: u64,
    times: CommonTime,
    freezer: Option<&'a Freezer<S::Directory>>,
}

impl<'a, 'b, S: Storage> Records<'a, 'b, S> {
    fn new(shared: &'a Shared<'b, S>, to_list: &'a mpsc::Sender<u32>, clock: ThreadClock, holds: bool) -> Self {
        Self {
            shared,
            to_list,
            clock,
            batch: Vec::new(),
            batch_bytes: 0,
            held: holds.then(|| Held {
                names: Vec::new(),
                records: Vec::new(),
                until: Instant::now() + shared.options.hold,
            }),
            names: shared.options.names.as_ref().map(NameTeller::new),
            tree: TreeHasher::default(),
            directories: 0,
            entries: 0,
            bytes: 0,
            errors: 0,
            times: CommonTime::default(),
            freezer: None,
        }
    }

    /// Tells of the sources that could not be had.
    fn missing(&mut self) -> Result<()> {
        for issue in &self.shared.source.missing {
            self.errors += 1;
            if let Some(recorder) = &self.shared.options.recorder {
                recorder.issue(issue);
            }
            self.shared.control.send(&Frame::Issue(issue.clone()))?;
        }
        for issue in &self.shared.options.judge.issues {
            self.shared.control.send(&Frame::Issue(issue.clone()))?;
        }
        Ok(())
    }

    /// Tells of a file system that cannot freeze files, where the run wants that.
    fn tell_not_frozen(&self, scan: &Scan) -> Result<()> {
        let not_frozen = self.freezer.and_then(|freezer| freezer.look_at(&self.shared.source.root, scan));
        not_frozen.map_or(Ok(()), |issue| self.shared.control.send(&Frame::Issue(issue)))
    }

    fn add(&mut self, mut scan: Scan) -> Result<()> {
        let session = self.shared.session;
        if let Some(error) = scan.bad_rules.take() {
            return Err(Error::bad_rules(&error));
        }
        let count = scan.listing.len();
        let weight = scan.weight();
        let permit = if let Some(permit) = self.shared.budget.try_acquire(weight) {
            permit
        } else {
            // The receiver can settle only records that it has seen, so those that are held back go now.
            self.release()?;
            let budget = &self.shared.budget;
            self.clock.during(Phase::wait_budget, || budget.acquire(weight, session))?
        };
        if let Some(recorder) = &self.shared.options.recorder {
            scan.issues.iter().for_each(|issue| recorder.issue(issue));
            recorder.directory(&scan);
        }
        for issue in std::mem::take(&mut scan.issues) {
            // Unread attributes are no error of the walk: the entries of the source are known all the same.
            self.errors += u64::from(issue.kind != IssueKind::AttributesUnread && !issue.kind.is_notice());
            self.shared.control.send(&Frame::Issue(issue))?;
        }
        self.look_at_mount(&scan)?;
        self.tell_special(&scan)?;
        self.tell_unsafe(&scan)?;
        self.tell_left_out(&scan)?;
        self.tell_not_frozen(&scan)?;
        if let Some(names) = &mut self.names {
            names.see(&scan);
        }
        self.directories += 1;
        self.entries += count as u64;
        let mut bytes = 0;
        for entry in scan.listing.entries().iter().filter(|entry| entry.kind == Kind::File) {
            bytes += entry.size;
            self.times.add(entry.meta.mtime);
        }
        self.bytes += bytes;
        session.count_sparse(sparse_bytes(&scan));
        session.count(Counter::directories_source, 1);
        session.count(Counter::entries_source, count as u64);
        session.count(Counter::bytes_total, bytes);
        self.tree.add(&self.shared.options.attributes, &scan.path, (&scan.meta, &scan.xattrs), &scan.digest);
        let record = Directory {
            path: scan.path.clone(),
            meta: scan.meta,
            xattrs: scan.xattrs.clone(),
            digest: scan.digest,
            entries: u32::try_from(count).unwrap_or(u32::MAX),
            unlisted: scan.unlisted,
        };
        let grant_all = {
            let mut machine = self.shared.machine();
            machine.told(Arc::new(HeldScan::new(scan, permit)));
            machine.grants_all()
        };
        self.push(record)?;
        // With everything granted, content follows the record, which must not be held back any longer.
        if grant_all { self.release() } else { Ok(()) }
    }

    /// Tells of each entry that the run does not carry because of its kind.
    fn tell_special(&self, scan: &Scan) -> Result<()> {
        for entry in scan.listing.entries().iter().filter(|entry| entry.kind == Kind::Special) {
            self.shared.control.send(&Frame::Issue(Issue {
                kind: IssueKind::Special,
                path: scan.path.join_bytes(scan.listing.name(entry)),
                message: "skipping non-regular file".to_owned(),
                old_kept: true,
            }))?;
        }
        Ok(())
    }

    /// Tells of each symlink that the receiver leaves alone because of where it leads.
    fn tell_unsafe(&self, scan: &Scan) -> Result<()> {
        if !self.shared.options.attributes.safe_links {
            return Ok(());
        }
        let above = scan.path.components().count();
        for (index, entry) in scan.listing.entries().iter().enumerate() {
            if scan.listing.is_unsafe_link(index, above) {
                self.shared.control.send(&Frame::Issue(Issue {
                    kind: IssueKind::UnsafeLink,
                    path: scan.path.join_bytes(scan.listing.name(entry)),
                    message: format!("ignoring unsafe symlink -> {}", scan.listing.target(entry).escape_ascii()),
                    old_kept: true,
                }))?;
            }
        }
        Ok(())
    }

    /// Tells of a directory that is empty to this run and is not empty.
    fn tell_left_out(&self, scan: &Scan) -> Result<()> {
        if !scan.leaves_out || !scan.listing.is_empty() {
            return Ok(());
        }
        self.shared.control.send(&Frame::Issue(Issue {
            kind: IssueKind::LeftOut,
            path: scan.path.as_bytes().to_vec(),
            message: "all that it holds is excluded".to_owned(),
            old_kept: true,
        }))
    }

    /// Notes a mount point, and tells of one that has gone.
    fn look_at_mount(&self, scan: &Scan) -> Result<()> {
        let path = scan.path.as_bytes();
        let known = self.shared.options.mounts.as_ref().is_some_and(|known| known.paths.contains(path));
        // A mount point stays known where the system cannot tell which directories are mount points.
        if scan.is_mount_point.unwrap_or(known) {
            self.shared.mounts.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_vec());
        } else if known {
            return self.shared.control.send(&Frame::Issue(Issue {
                kind: IssueKind::Unmounted,
                path: path.to_vec(),
                message: "it was a mount point in the last run and no longer is one".to_owned(),
                old_kept: true,
            }));
        }
        Ok(())
    }

    fn failed(&mut self, path: &RelPath, error: CallError) -> Result<()> {
        if error.errno == Errno::NOENT {
            // The directory was listed and is gone since, as if it had been removed before the run.
            return self
                .shared
                .control
                .send(&Frame::Issue(Issue {
                    kind: IssueKind::Vanished,
                    path: path.as_bytes().to_vec(),
                    message: "the directory vanished during the run".to_owned(),
                    old_kept: true,
                }))
                .map(|()| self.errors += 1);
        }
        self.errors += 1;
        self.shared.control.send(&Frame::Issue(Issue {
            kind: IssueKind::Unreadable,
            path: path.as_bytes().to_vec(),
            message: format!("cannot list the directory: {error}"),
            old_kept: true,
        }))
    }

    fn push(&mut self, directory: Directory) -> Result<()> {
        self.batch_bytes += directory.path.as_bytes().len() + directory.xattrs.as_bytes().len() + 64;
        self.batch.push(directory);
        if self.batch_bytes >= BATCH_BYTES / 8 || self.held.is_none() && self.batch.len() >= 64 {
            self.close_batch()?;
        }
        if self.held.as_ref().is_some_and(|held| Instant::now() >= held.until) {
            self.release()?;
        }
        Ok(())
    }

    fn close_batch(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let version = self.shared.session.version();
        let frame = Frame::Directories(std::mem::take(&mut self.batch));
        if let Some(held) = &mut self.held {
            if let Some(names) = &mut self.names {
                names.encode(version, &mut held.names);
            }
            frame.encode(version, &mut held.records);
            Ok(())
        } else {
            let mut encoded = Vec::new();
            if let Some(names) = &mut self.names {
                names.encode(version, &mut encoded);
            }
            frame.encode(version, &mut encoded);
            self.send_records(encoded)?;
            Ok(())
        }
    }

    /// Sends records, and lets listings follow those that are on their way.
    fn send_records(&mut self, encoded: Vec<u8>) -> Result<()> {
        // The receiver may ask before this thread goes on.
        self.shared.machine().records_leave();
        self.clock.during(Phase::wait_room, || self.shared.control.send_bulk(encoded))?;
        let mut machine = self.shared.machine();
        let unasked = machine.records_sent();
        queue_lists(self.to_list, unasked);
        Ok(())
    }

    /// Sends the frames that were held back, and holds back no more.
    fn release(&mut self) -> Result<()> {
        self.close_batch()?;
        match self.held.take() {
            Some(Held { mut names, records, .. }) if !records.is_empty() => {
                names.extend_from_slice(&records);
                self.send_records(names)
            }
            _ => Ok(()),
        }
    }

    fn end(mut self) -> Result<()> {
        if self.shared.options.attributes.compare == Compare::Quick
            && let Some(notice) = self.times.notice()
        {
            self.shared.control.send(&Frame::Issue(notice))?;
        }
        self.close_batch()?;
        let version = self.shared.session.version();
        let mut encoded = Vec::new();
        if let Some(held) = self.held.take() {
            encoded = held.names;
            if self.errors == 0 {
                Frame::TreeDigest(self.tree.finish()).encode(version, &mut encoded);
            }
            encoded.extend_from_slice(&held.records);
        }
        Frame::TreeEnd {
            directories: self.directories.into(),
            entries: self.entries,
            bytes: self.bytes,
            errors: self.errors,
        }
        .encode(version, &mut encoded);
        self.shared.session.set(Counter::walk_done, 1);
        self.shared.machine().walked();
        self.send_records(encoded)
    }
}

/// The bytes of the files of a directory that have holes, or are kept compressed.
fn sparse_bytes(scan: &Scan) -> u64 {
    let entries = scan.listing.entries().iter().zip(&scan.stamps);
    entries.filter(|(entry, stamp)| entry.kind == Kind::File && stamp.may_have_holes).map(|(entry, _)| entry.size).sum()
}
