//! The receiver's part of a session on the control lane.

use std::collections::{HashMap, HashSet};

use super::ProfileExchange;
use super::violation::Violation;
use crate::compare::Digest;
use crate::entry::{Kind, Meta};
use crate::frame::{Basis, Directory, Frame, Grant, Issue, IssueKind, Resume, WireError};
use crate::limits::{AWAITED_BYTES_MAX, ENTRY_BYTES, OWNERS_MAX, XATTRS_DIRECTORY_BYTES_MAX};
use crate::listing::Listing;
use crate::owners::{IdKind, OwnerName, OwnerNames};
use crate::path::RelPath;
use crate::profile::EndProfile;
use crate::request::Attributes;
use crate::xattrs::Xattrs;

/// The facts that are settled before a receiver's session begins.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverTerms {
    /// The content that the sender may send unasked.
    pub grant: Grant,
    /// Sub-directories belong to the run.
    pub recursive: bool,
    /// The source is one entry that is no directory, or a missing one.
    pub single: bool,
    /// The attributes that are carried.
    pub attributes: Attributes,
    /// Owners and groups of the source have names.
    pub names: OwnerNames,
    /// The digest of the sender's tree can prove that nothing has to be done.
    pub tree_digest_decides: bool,
    /// Which end tells its account of time.
    pub profile: ProfileExchange,
    /// Whether a name is that of an unfinished file: entries with such names must not be taken.
    pub is_unfinished: fn(&[u8]) -> bool,
}

/// A directory whose listing is complete.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Where.
    pub path: RelPath,
    /// Its own attributes.
    pub meta: Meta,
    /// Its own extended attributes.
    pub xattrs: Xattrs,
    /// Its entries.
    pub listing: Listing,
}

/// What a receiver does next.
#[derive(Clone, Debug)]
pub enum ToReceiver {
    /// Nothing is to be done: the frame was a part of something, or is not needed any more.
    Nothing,
    /// The whole destination is compared with this digest; then comes [`Receiver::tree_is_equal`] if it is the same.
    CompareTree(Digest),
    /// The next directories of the source are compared with the destination's. [`Receiver::need`] follows for each that
    /// differs and [`Receiver::compared`] for each, unless everything is granted: then all of their listings come.
    Compare {
        /// The number of the first; the others follow.
        first: u32,
        /// In the order of the walk.
        directories: Vec<Directory>,
    },
    /// A listing is complete. [`Receiver::want`] follows.
    Decide {
        /// The directory's number.
        directory: u32,
        /// The directory.
        pending: Box<Pending>,
    },
    /// A directory was a mount point in the sender's last run and is none now.
    Unmounted(RelPath),
    /// Every entry of a directory of the source is left out of the run.
    LeftOut(RelPath),
    /// Names of owners and groups.
    Owners(Vec<OwnerName>),
    /// A path of the source that does not arrive, or a notice.
    Issue(Issue),
    /// The source is known in full.
    TreeEnd {
        /// Entries of the source.
        entries: u64,
        /// Bytes of its regular files.
        bytes: u64,
        /// Directories that could not be read: nothing is deleted then.
        errors: u64,
    },
    /// The sender has removed the entries that it may remove.
    Removed,
    /// Where the sender's time went.
    Profile(Box<EndProfile>),
}

/// A directory whose listing is on its way.
#[derive(Debug)]
struct Waiting {
    path: RelPath,
    meta: Meta,
    xattrs: Xattrs,
    /// Bytes of the extended attributes in the parts that have come.
    xattrs_bytes: usize,
    /// How many entries the listing will have.
    entries: u32,
    /// The parts of the listing that have come.
    listing: Listing,
}

impl Waiting {
    /// Bytes of memory that it counts for until its listing comes.
    fn bytes(&self) -> usize {
        self.path.as_bytes().len() + self.xattrs.as_bytes().len() + ENTRY_BYTES
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Records, listings and questions.
    Comparing,
    /// The sender is removing entries that have arrived.
    Removing,
    /// That is done.
    HasRemoved,
    /// The result is told after all of that.
    Finished,
    /// The result was told because the tree's digest is equal; records may still be on their way.
    FinishedByDigest,
}

/// The receiver's state: which directories were told, and which listings are on their way.
#[derive(Debug)]
pub struct Receiver {
    terms: ReceiverTerms,
    phase: Phase,
    tree_digest_may_come: bool,
    told: u32,
    /// Directories below this number were compared.
    compared: u32,
    last: RelPath,
    entries: u64,
    waiting: HashMap<u32, Waiting>,
    /// Bytes that those count for.
    waiting_bytes: usize,
    /// The listing of which a part has come, and more of it follows.
    begun: Option<(u32, Waiting)>,
    /// Listings that are complete and not answered yet.
    undecided: HashSet<u32>,
    needs: Vec<u32>,
    settled: Option<u32>,
    tree_ended: bool,
    /// Names that were told.
    names: usize,
    profile_heard: bool,
}

impl Receiver {
    /// Begins a session.
    #[must_use]
    pub fn new(terms: ReceiverTerms) -> Self {
        Self {
            terms,
            phase: Phase::Comparing,
            tree_digest_may_come: true,
            told: 0,
            compared: 0,
            last: RelPath::root(),
            entries: 0,
            waiting: HashMap::new(),
            waiting_bytes: 0,
            begun: None,
            undecided: HashSet::new(),
            needs: Vec::new(),
            settled: None,
            tree_ended: false,
            names: 0,
            profile_heard: false,
        }
    }

    /// Whether everything is granted, so that listings and content come without a question.
    #[must_use]
    pub fn grants_all(&self) -> bool {
        self.terms.grant == Grant::All
    }

    /// Whether the source is known in full and every listing was decided upon.
    #[must_use]
    pub fn has_compared(&self) -> bool {
        self.has_compared_but(0)
    }

    /// The same, except for this many listings whose answers are put off.
    #[must_use]
    pub fn has_compared_but(&self, put_off: usize) -> bool {
        self.tree_ended && self.waiting.is_empty() && self.begun.is_none() && self.undecided.len() == put_off
    }

    /// How many directories were told of.
    #[must_use]
    pub const fn directories(&self) -> u32 {
        self.told
    }

    /// Takes a frame of the sender.
    ///
    /// # Errors
    /// A frame that has no place here, or that does not fit what came before.
    pub fn frame(&mut self, frame: Frame) -> Result<ToReceiver, Violation> {
        match (self.phase, frame) {
            (Phase::Comparing, Frame::TreeDigest(digest)) => self.tree_digest(digest),
            (Phase::Comparing, Frame::Directories(directories)) => self.directories_told(directories),
            (Phase::Comparing, Frame::List { directory, more, listing }) => self.list(directory, more, listing),
            (Phase::Comparing, Frame::TreeEnd { directories, entries, bytes, errors }) => {
                if self.tree_ended || self.told == 0 {
                    return Err(Violation::new("an end of tree has no place here"));
                }
                if directories != u64::from(self.told) || entries != self.entries {
                    return Err(Violation::new("the tree's end does not fit its directories"));
                }
                self.tree_ended = true;
                Ok(ToReceiver::TreeEnd { entries, bytes, errors })
            }
            (Phase::Comparing, Frame::Owners(names)) => self.owners_told(names),
            (Phase::Comparing | Phase::Removing, Frame::Issue(issue)) => senders_issue(issue),
            (Phase::Removing, Frame::Removed) => {
                self.phase = Phase::HasRemoved;
                Ok(ToReceiver::Removed)
            }
            (
                Phase::FinishedByDigest,
                Frame::Directories(_) | Frame::Owners(_) | Frame::TreeEnd { .. } | Frame::Issue(_),
            ) => Ok(ToReceiver::Nothing),
            (Phase::Finished | Phase::FinishedByDigest, Frame::Profile(profile))
                if self.terms.profile == ProfileExchange::Ask && !self.profile_heard =>
            {
                self.profile_heard = true;
                Ok(ToReceiver::Profile(profile))
            }
            (_, other) => Err(Violation::misplaced(&other)),
        }
    }

    /// Asks for the listing of a directory that was told. [`Receiver::questions`] gives the frame.
    ///
    /// # Errors
    /// The sender has told of more directories than may await their listings.
    pub fn need(&mut self, number: u32, directory: Directory) -> Result<(), Violation> {
        if self.grants_all() {
            return Ok(());
        }
        self.needs.push(number);
        self.wait_for(number, directory)
    }

    /// Notes that every directory up to this one was compared: the sender may forget those that were not needed.
    pub fn compared(&mut self, number: u32) {
        debug_assert!(number < self.told, "a directory that was told of");
        self.compared = number + 1;
    }

    /// The frames that ask for listings, and tell how far directories were compared.
    pub fn questions(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.grants_all() {
            return frames;
        }
        if !self.needs.is_empty() {
            frames.push(Frame::Need(std::mem::take(&mut self.needs)));
        }
        if self.settled != Some(self.compared) {
            self.settled = Some(self.compared);
            frames.push(Frame::Settled(self.compared));
        }
        frames
    }

    /// Answers a complete listing: the content of these files is asked for. Gives the frame that says so; with
    /// everything granted there is none.
    pub fn want(&mut self, number: u32, files: Vec<u32>, resume: Vec<Resume>) -> Option<Frame> {
        let was_listed = self.undecided.remove(&number);
        debug_assert!(was_listed, "a listing is answered once");
        (!self.grants_all()).then_some(Frame::Want { directory: number, files, resume })
    }

    /// Tells, before [`Receiver::want`], the files of which there is an older state. Gives the frame, if there are any.
    #[must_use]
    pub fn bases(&self, number: u32, bases: Vec<Basis>) -> Option<Frame> {
        (!self.grants_all() && !bases.is_empty()).then_some(Frame::Bases { directory: number, bases })
    }

    /// Says that the destination has the digest that came: nothing more is needed.
    pub fn tree_is_equal(&mut self) {
        self.phase = Phase::FinishedByDigest;
    }

    /// Notes that the sender was told what it may remove; [`ToReceiver::Removed`] follows.
    pub fn lets_remove(&mut self) {
        debug_assert!(self.phase == Phase::Comparing && self.has_compared(), "nothing arrives any more");
        self.phase = Phase::Removing;
    }

    /// The result, when everything that was asked for has come.
    pub fn finish(&mut self, counters: Vec<u64>, refused: Option<WireError>) -> Frame {
        if matches!(self.phase, Phase::Comparing | Phase::HasRemoved) {
            debug_assert!(self.has_compared(), "the result comes after the comparison");
            self.phase = Phase::Finished;
        }
        Frame::Finished { counters, refused }
    }

    fn tree_digest(&mut self, digest: Digest) -> Result<ToReceiver, Violation> {
        if !std::mem::take(&mut self.tree_digest_may_come) {
            return Err(Violation::new("a tree digest has no place here"));
        }
        // With an empty tree and an empty destination, the frames that follow unasked are on their way already.
        if !self.terms.tree_digest_decides || self.grants_all() || self.terms.single {
            return Ok(ToReceiver::Nothing);
        }
        Ok(ToReceiver::CompareTree(digest))
    }

    /// Takes names of owners and groups. Their number is limited, since each of them is looked up here.
    fn owners_told(&mut self, names: Vec<OwnerName>) -> Result<ToReceiver, Violation> {
        let may_be = |name: &OwnerName| match name.kind {
            IdKind::User => self.terms.names.users,
            IdKind::Group => self.terms.names.groups,
        };
        if self.tree_ended || !names.iter().all(may_be) {
            return Err(Violation::new("names of owners that have no place here"));
        }
        self.names += names.len();
        if self.names > OWNERS_MAX {
            return Err(Violation::new("more names of owners than a session may have"));
        }
        Ok(ToReceiver::Owners(names))
    }

    fn directories_told(&mut self, directories: Vec<Directory>) -> Result<ToReceiver, Violation> {
        if self.tree_ended {
            return Err(Violation::new("directories after the end of the tree"));
        }
        self.tree_digest_may_come = false;
        let first = self.told;
        for directory in &directories {
            self.check_order(&directory.path)?;
            self.check_xattrs(Kind::Directory, &directory.xattrs)
                .map_err(|violation| violation.at(directory.path.as_bytes()))?;
            let Some(told) = self.told.checked_add(1) else {
                return Err(Violation::new("more directories than a tree can have"));
            };
            self.told = told;
            self.entries += u64::from(directory.entries);
            if self.grants_all() {
                self.wait_for(self.told - 1, directory.clone())?;
            }
        }
        Ok(ToReceiver::Compare { first, directories })
    }

    /// Refuses a record that is not the next one of the walk. The destination's walk runs beside the source's and never
    /// goes back: a directory that came twice, or late, would be compared with nothing, and be taken for a new one.
    fn check_order(&mut self, path: &RelPath) -> Result<(), Violation> {
        let goes_down = self.terms.recursive && !self.terms.single;
        let in_order = match path.split_last() {
            None => self.told == 0,
            Some((parent, name)) => {
                self.told > 0
                    && goes_down
                    && *path > self.last
                    && self.last.is_within(&parent)
                    && !(self.terms.is_unfinished)(name.as_bytes())
            }
        };
        if !in_order {
            return Err(Violation::new("a directory that has no place here").at(path.as_bytes()));
        }
        self.last.clone_from(path);
        Ok(())
    }

    fn wait_for(&mut self, number: u32, directory: Directory) -> Result<(), Violation> {
        let Directory { path, meta, xattrs, entries, .. } = directory;
        let waiting = Waiting { path, meta, xattrs, xattrs_bytes: 0, entries, listing: Listing::new() };
        self.waiting_bytes += waiting.bytes();
        if self.waiting_bytes > AWAITED_BYTES_MAX {
            return Err(Violation::new("more directories than may await their listings"));
        }
        self.waiting.insert(number, waiting);
        Ok(())
    }

    /// Takes a listing, or a part of one. The parts of one follow each other, so that no more than one is held in part.
    fn list(&mut self, number: u32, more: bool, part: Listing) -> Result<ToReceiver, Violation> {
        let mut waiting = match self.begun.take() {
            Some((begun, waiting)) if begun == number => waiting,
            Some((_, waiting)) => {
                return Err(Violation::new("a listing inside another one").at(waiting.path.as_bytes()));
            }
            None => {
                let Some(waiting) = self.waiting.remove(&number) else {
                    return Err(Violation::new(format!("listing {number} was not asked for")));
                };
                self.waiting_bytes -= waiting.bytes();
                waiting
            }
        };
        waiting.xattrs_bytes += part.xattrs_bytes();
        if waiting.xattrs_bytes > XATTRS_DIRECTORY_BYTES_MAX {
            return Err(Violation::new("extended attributes beyond their limit").at(waiting.path.as_bytes()));
        }
        if waiting.listing.is_empty() {
            waiting.listing = part;
        } else if !waiting.listing.append(&part) {
            return Err(Violation::new("a listing out of order").at(waiting.path.as_bytes()));
        }
        let missing = (waiting.entries as usize).checked_sub(waiting.listing.len());
        if missing.is_none_or(|missing| missing > 0 && !more) {
            return Err(Violation::new("a listing that does not fit its record").at(waiting.path.as_bytes()));
        }
        if more {
            self.begun = Some((number, waiting));
            return Ok(ToReceiver::Nothing);
        }
        let Waiting { path, meta, xattrs, mut listing, .. } = waiting;
        self.check_listing(&listing)
            .and_then(|()| self.check_followers(&path, &listing))
            .map_err(|violation| violation.at(path.as_bytes()))?;
        listing.shrink();
        self.undecided.insert(number);
        Ok(ToReceiver::Decide { directory: number, pending: Box::new(Pending { path, meta, xattrs, listing }) })
    }

    fn check_listing(&self, listing: &Listing) -> Result<(), Violation> {
        for entry in listing.entries() {
            if (self.terms.is_unfinished)(listing.name(entry)) {
                return Err(Violation::new("the name of an unfinished file in a listing"));
            }
            if !self.terms.attributes.carries(entry.kind) {
                return Err(Violation::new(match entry.kind {
                    Kind::Symlink => "a symlink in a run without them",
                    Kind::Fifo | Kind::Socket => "a FIFO or socket in a run without them",
                    Kind::BlockDevice | Kind::CharDevice => "a device in a run without them",
                    Kind::File | Kind::Directory | Kind::Special => "an entry in a run without them",
                }));
            }
            if entry.kind == Kind::Directory && self.terms.single {
                return Err(Violation::new("not a single file"));
            }
        }
        if self.terms.single && listing.len() > 1 {
            return Err(Violation::new("not a single file"));
        }
        listing.all_fields().try_for_each(|(entry, fields)| {
            if fields.atime.is_some() && !self.terms.attributes.carries_atime_of(entry.kind) {
                return Err(Violation::new("an access time in a run without them"));
            }
            self.check_xattrs(entry.kind, &fields.xattrs)
        })
    }

    /// Refuses hard links that were not asked for, and followers whose leader does not come before them. Whether the
    /// leader is an entry of the source must be checked against the listings.
    fn check_followers(&self, path: &RelPath, listing: &Listing) -> Result<(), Violation> {
        for (index, leader) in listing.followers() {
            if !self.terms.attributes.hard_links {
                return Err(Violation::new("a hard link in a run without them"));
            }
            let Some(entry) = listing.get(index) else { continue };
            if !leader.comes_before(path, listing.name(entry)) {
                return Err(Violation::new("a hard link to what does not come before it"));
            }
        }
        Ok(())
    }

    /// Refuses extended attributes that were not asked for, and those of a namespace that was not.
    fn check_xattrs(&self, kind: Kind, xattrs: &Xattrs) -> Result<(), Violation> {
        let attributes = &self.terms.attributes;
        let may_be = xattrs.is_empty()
            || (attributes.carries_xattrs_of(kind)
                && xattrs.iter().all(|(name, value)| attributes.takes_xattr(kind, name, value)));
        if may_be { Ok(()) } else { Err(Violation::new("extended attributes that are not carried")) }
    }
}

fn senders_issue(issue: Issue) -> Result<ToReceiver, Violation> {
    let about_directory: fn(RelPath) -> ToReceiver = match issue.kind {
        IssueKind::Unmounted => ToReceiver::Unmounted,
        IssueKind::LeftOut => ToReceiver::LeftOut,
        _ => return senders_failure(issue),
    };
    RelPath::new(&issue.path).map(about_directory).map_err(|_| Violation::new("an issue about no path"))
}

fn senders_failure(issue: Issue) -> Result<ToReceiver, Violation> {
    if issue.kind.is_senders() || issue.kind.is_notice() {
        return Ok(ToReceiver::Issue(issue));
    }
    Err(Violation::new("an issue that is not a sender's").at(&issue.path))
}
