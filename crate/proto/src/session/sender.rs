//! The sender's part of a session on the control lane.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Deref, Range};

use super::ProfileExchange;
use super::answers::Answers;
use super::opening::check_accept;
use super::violation::Violation;
use crate::delta::Chunk;
use crate::entry::Kind;
use crate::frame::{Accept, Arrived, Basis, Frame, Grant, Issue, Item, Resume, WireError};
use crate::listing::Listing;
use crate::pack::FileId;
use crate::profile::EndProfile;
use crate::request::Request;

/// A directory that a sender holds as long as the receiver may ask for it.
pub trait Holds {
    /// The directory's entries.
    fn listing(&self) -> &Listing;
}

impl Holds for Listing {
    fn listing(&self) -> &Listing {
        self
    }
}

/// The facts that are settled before a sender's session begins.
#[derive(Clone, Debug)]
pub enum SenderTerms {
    /// This end asked (a push): the acceptance of this request comes first.
    Asked(Box<Request>),
    /// The receiver asked (a pull), and granted this.
    Granted {
        /// The content that may be sent unasked.
        grant: Grant,
        /// Which end tells its account of time.
        profile: ProfileExchange,
        /// The receiver may let this end remove entries that have arrived.
        removes: bool,
    },
}

/// What a sender does next.
#[derive(Clone, Debug)]
pub enum ToSender<T> {
    /// The request was accepted. With everything granted the listings of these directories may go out, in order.
    Accepted(Range<u32>),
    /// The receiver wants to know the need for space before anything is written: the session is over.
    CountFirst {
        /// Bytes that it has free; none where its file system sets no limit.
        free_bytes: Option<u64>,
        /// The same for entries.
        free_entries: Option<u64>,
    },
    /// The listings of these directories are asked for, in this order.
    List(Vec<u32>),
    /// The content of these files is asked for; no further question about the directory may come.
    Send {
        /// The directory's number.
        directory: u32,
        /// The directory that was held.
        held: T,
        /// Ascending indices of regular files of its listing.
        files: Vec<u32>,
        /// The parts that the receiver holds of some of them.
        resume: Vec<Resume>,
        /// Files of which it has an older state, ascending.
        bases: Vec<Basis>,
    },
    /// The parts of the receiver's file that was asked about.
    Chunks {
        /// Which.
        file: FileId,
        /// More of them follow.
        more: bool,
        /// Its parts.
        chunks: Vec<Chunk>,
    },
    /// Nothing: a part of something came, which follows.
    Nothing,
    /// Nothing: listings were let go.
    Settled,
    /// Items of the receiver's actions.
    Items(Vec<Item>),
    /// A path that did not arrive.
    Issue(Issue),
    /// These entries have arrived and may be removed. After the last of them [`Sender::removed`] follows.
    Remove {
        /// More of them come.
        more: bool,
        /// The entries.
        entries: Vec<Arrived>,
    },
    /// Where the receiver's time went.
    Profile(Box<EndProfile>),
    /// The receiver is done; the session is over.
    Finished {
        /// Its counters.
        counters: Vec<u64>,
        /// The error of deletions that it refused.
        refused: Option<WireError>,
    },
}

/// A listing that is to be sent.
#[derive(Clone, Debug)]
pub enum Listed<T> {
    /// The receiver will say which files it wants.
    Asked(T),
    /// All of its files follow.
    WithContent(T),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its record may have been sent.
    Told,
    /// Its listing was asked for.
    Needed,
    /// Its listing is on its way.
    Listed,
}

/// The sender's state: which directories it has told, and what was asked about each. `T` points to a directory that it
/// holds.
#[derive(Clone, Debug)]
pub struct Sender<T> {
    request: Option<Box<Request>>,
    grant: Option<Grant>,
    profile: ProfileExchange,
    directories: BTreeMap<u32, (Stage, T)>,
    /// Directories whose answer is awaited.
    asked: u32,
    /// Directories that have a number.
    told: u32,
    /// Directories whose records the receiver may have by now, so that it may ask about them.
    leaving: u32,
    /// Directories whose records are on their way.
    sent: u32,
    settled: u32,
    walked: bool,
    profile_heard: bool,
    removes: Removes,
    /// Files of the next Want of which the receiver has an older state.
    bases: Option<(u32, Vec<Basis>)>,
    answers: Answers,
}

/// What a sender may remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removes {
    /// Nothing: it was not asked for, or all of it was told.
    Nothing,
    /// Entries that have arrived.
    Arrived,
    /// Every entry was told, and the sender has not said yet that it is done.
    Told,
}

impl<T: Deref<Target: Holds> + Clone> Sender<T> {
    /// Begins a session.
    #[must_use]
    pub fn new(terms: SenderTerms) -> Self {
        let (request, grant, profile, removes) = match terms {
            SenderTerms::Asked(request) => {
                let profile = ProfileExchange::asked_by(&request);
                let removes = request.removes_sources();
                (Some(request), None, profile, removes)
            }
            SenderTerms::Granted { grant, profile, removes } => (None, Some(grant), profile, removes),
        };
        Self {
            request,
            grant,
            profile,
            directories: BTreeMap::new(),
            asked: 0,
            told: 0,
            leaving: 0,
            sent: 0,
            settled: 0,
            walked: false,
            profile_heard: false,
            removes: if removes { Removes::Arrived } else { Removes::Nothing },
            bases: None,
            answers: Answers::default(),
        }
    }

    /// Whether everything is granted, so that content follows without a question.
    #[must_use]
    pub fn grants_all(&self) -> bool {
        self.grant == Some(Grant::All)
    }

    /// Which end tells its account of time.
    #[must_use]
    pub const fn profile(&self) -> ProfileExchange {
        self.profile
    }

    /// Takes the next directory of the walk and keeps it. Its record may be held back.
    pub fn told(&mut self, held: T) {
        self.directories.insert(self.told, (Stage::Told, held));
        self.told += 1;
    }

    /// Notes that the records of all told directories are about to be sent. It must come before they are sent, because
    /// a receiver may answer before the sending thread could note it.
    pub fn records_leave(&mut self) {
        self.leaving = self.told;
    }

    /// Notes that the records of all told directories are on their way. Gives those whose listings may now follow
    /// unasked, in order.
    pub fn records_sent(&mut self) -> Range<u32> {
        self.records_leave();
        let before = std::mem::replace(&mut self.sent, self.told);
        if self.grants_all() { before..self.sent } else { 0..0 }
    }

    /// Notes that the walk has ended. It must come before that is sent.
    pub fn walked(&mut self) {
        self.walked = true;
    }

    /// Takes the listing of a directory in order to send it; none for one that the receiver may not have, or no longer.
    pub fn list(&mut self, number: u32) -> Option<Listed<T>> {
        if self.grants_all() {
            return self.directories.remove(&number).map(|(_, held)| Listed::WithContent(held));
        }
        let (stage, held) = self.directories.get_mut(&number)?;
        if *stage != Stage::Needed {
            return None;
        }
        *stage = Stage::Listed;
        Some(Listed::Asked(held.clone()))
    }

    /// Notes that the receiver is about to be asked for its pieces of a file.
    pub fn asks(&mut self, file: FileId) {
        self.answers.ask(file);
    }

    /// Takes a frame of the receiver.
    ///
    /// # Errors
    /// A frame that has no place here, or that asks for what may not be asked for.
    pub fn frame(&mut self, frame: Frame) -> Result<ToSender<T>, Violation> {
        if self.grant.is_none() {
            return match frame {
                Frame::Accept(accept) => self.accept(&accept),
                // Issues about dropped parts of the request come before the acceptance.
                Frame::Issue(issue) => Ok(ToSender::Issue(issue)),
                other => Err(Violation::misplaced(&other)),
            };
        }
        let asks = self.grant == Some(Grant::AsAsked);
        match frame {
            Frame::Need(numbers) if asks => self.need(numbers),
            Frame::Want { directory, files, resume } if asks => self.want(directory, files, resume),
            Frame::Bases { directory, bases } if asks && self.bases.is_none() => {
                self.bases = Some((directory, bases));
                Ok(ToSender::Nothing)
            }
            Frame::Chunks { file, more, chunks } => {
                self.answers.take(file, more, chunks.len())?;
                Ok(ToSender::Chunks { file, more, chunks })
            }
            Frame::Settled(below) if asks => self.settle(below),
            Frame::Items(items) if self.request.is_some() => Ok(ToSender::Items(items)),
            Frame::Issue(issue) if self.request.is_some() => Ok(ToSender::Issue(issue)),
            Frame::Profile(profile) if self.profile == ProfileExchange::Ask && !self.profile_heard => {
                self.profile_heard = true;
                Ok(ToSender::Profile(profile))
            }
            Frame::Arrived { more, entries } if self.removes == Removes::Arrived => self.arrived(more, entries),
            Frame::Finished { counters, refused } => self.finished(counters, refused),
            other => Err(Violation::misplaced(&other)),
        }
    }

    fn accept(&mut self, accept: &Accept) -> Result<ToSender<T>, Violation> {
        if let Some(request) = &self.request {
            check_accept(request, accept)?;
        }
        if accept.count_first {
            let (free_bytes, free_entries) = (accept.free_bytes, accept.free_entries);
            return Ok(ToSender::CountFirst { free_bytes, free_entries });
        }
        self.grant = Some(accept.grant);
        Ok(ToSender::Accepted(if self.grants_all() { 0..self.sent } else { 0..0 }))
    }

    fn need(&mut self, numbers: Vec<u32>) -> Result<ToSender<T>, Violation> {
        for number in &numbers {
            match self.directories.get_mut(number) {
                Some((stage @ Stage::Told, _)) if *number < self.leaving => *stage = Stage::Needed,
                _ => return Err(Violation::new(format!("listing {number} may not be asked for"))),
            }
            self.asked += 1;
        }
        Ok(ToSender::List(numbers))
    }

    fn want(&mut self, directory: u32, files: Vec<u32>, resume: Vec<Resume>) -> Result<ToSender<T>, Violation> {
        // A listing that is still to be sent stays: the thread that sends it must not miss it before this is told.
        let listed = match self.directories.entry(directory) {
            Entry::Occupied(held) if held.get().0 == Stage::Listed => held,
            _ => return Err(Violation::new(format!("files of directory {directory} may not be asked for"))),
        };
        let (_, held) = listed.remove();
        self.asked -= 1;
        for &index in &files {
            match held.listing().get(index as usize) {
                Some(entry) if entry.kind == Kind::File => {}
                _ => return Err(Violation::new(format!("entry {index} of directory {directory} is no file"))),
            }
        }
        let bases = match self.bases.take() {
            None => Vec::new(),
            Some((of, bases)) => {
                let ascend = bases.is_sorted_by(|one, next| one.index < next.index);
                let wanted = |basis: &Basis| files.binary_search(&basis.index).is_ok();
                if of != directory || !ascend || !bases.iter().all(wanted) {
                    return Err(Violation::new("older states of files that are not asked for"));
                }
                bases
            }
        };
        Ok(ToSender::Send { directory, held, files, resume, bases })
    }

    fn settle(&mut self, below: u32) -> Result<ToSender<T>, Violation> {
        if below < self.settled || below > self.leaving {
            return Err(Violation::new(format!("directories below {below} cannot be settled")));
        }
        self.settled = below;
        let mut kept = self.directories.split_off(&below);
        let decided = std::mem::take(&mut self.directories);
        kept.extend(decided.into_iter().filter(|(_, (stage, _))| *stage != Stage::Told));
        self.directories = kept;
        Ok(ToSender::Settled)
    }

    /// Notes that every entry was removed, or told as kept. Gives the frame that tells it.
    pub fn removed(&mut self) -> Frame {
        self.removes = Removes::Nothing;
        Frame::Removed
    }

    fn knows_all(&self) -> bool {
        self.walked && self.asked == 0 && (!self.grants_all() || self.directories.is_empty())
    }

    fn arrived(&mut self, more: bool, entries: Vec<Arrived>) -> Result<ToSender<T>, Violation> {
        if !self.knows_all() {
            return Err(Violation::new("something has arrived before the source was known in full"));
        }
        if !more {
            self.removes = Removes::Told;
        }
        Ok(ToSender::Remove { more, entries })
    }

    fn finished(&mut self, counters: Vec<u64>, refused: Option<WireError>) -> Result<ToSender<T>, Violation> {
        if !self.knows_all() || self.removes == Removes::Told {
            return Err(Violation::new("a result before the source was known in full"));
        }
        if self.profile == ProfileExchange::Ask && !self.profile_heard {
            return Err(Violation::new("a result without the profile that was asked for"));
        }
        Ok(ToSender::Finished { counters, refused })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Sender, SenderTerms, ToSender};
    use crate::entry::{Kind, Meta};
    use crate::frame::{Basis, Frame, Grant};
    use crate::listing::Listing;
    use crate::path::Name;
    use crate::session::ProfileExchange;

    #[test]
    fn a_record_may_be_asked_about_as_soon_as_it_leaves() {
        let terms = SenderTerms::Granted { grant: Grant::AsAsked, profile: ProfileExchange::None, removes: false };
        let mut sender: Sender<Arc<Listing>> = Sender::new(terms);
        sender.told(Arc::new(Listing::new()));
        assert!(sender.frame(Frame::Need(vec![0])).is_err(), "held back");
        // The answer is here before the thread that sent the record goes on.
        sender.records_leave();
        assert!(matches!(sender.frame(Frame::Need(vec![0])), Ok(ToSender::List(_))));
        assert!(matches!(sender.frame(Frame::Settled(1)), Ok(ToSender::Settled)));
        sender.records_sent();
        assert!(sender.list(0).is_some());
    }

    #[test]
    fn a_listing_that_is_wanted_from_too_early_is_there_for_the_thread_that_sends_it() {
        let terms = SenderTerms::Granted { grant: Grant::AsAsked, profile: ProfileExchange::None, removes: false };
        let mut sender: Sender<Arc<Listing>> = Sender::new(terms);
        sender.told(Arc::new(Listing::new()));
        sender.records_sent();
        assert!(sender.frame(Frame::Need(vec![0])).is_ok());
        assert!(sender.frame(Frame::Want { directory: 0, files: vec![], resume: vec![] }).is_err());
        assert!(sender.list(0).is_some());
    }

    #[test]
    fn older_states_are_of_files_of_the_next_want() {
        let asked = |bases: Vec<(u32, u64)>, of| {
            let terms = SenderTerms::Granted { grant: Grant::AsAsked, profile: ProfileExchange::None, removes: false };
            let mut sender = Sender::new(terms);
            let mut listing = Listing::new();
            for name in [b"a", b"b"] {
                assert!(listing.push(Name::new(name).expect("a name"), Kind::File, 9, Meta::default(), b""));
            }
            sender.told(Arc::new(listing));
            sender.records_sent();
            assert!(sender.frame(Frame::Need(vec![0])).is_ok() && sender.list(0).is_some());
            let bases = bases.into_iter().map(|(index, bytes)| Basis { index, bytes }).collect();
            assert!(sender.frame(Frame::Bases { directory: of, bases }).is_ok());
            assert!(sender.clone().frame(Frame::Bases { directory: 0, bases: vec![] }).is_err(), "one for each want");
            sender.frame(Frame::Want { directory: 0, files: vec![1], resume: vec![] })
        };
        assert!(matches!(asked(vec![(1, 5)], 0), Ok(ToSender::Send { bases, .. }) if bases.len() == 1));
        assert!(asked(vec![(0, 5)], 0).is_err(), "it is not wanted");
        assert!(asked(vec![(1, 5), (1, 5)], 0).is_err());
        assert!(asked(vec![(1, 5)], 3).is_err());
    }

    #[test]
    fn nothing_is_removed_that_was_not_asked_for_or_before_all_is_known() {
        let begun = |removes| -> Sender<Arc<Listing>> {
            let terms = SenderTerms::Granted { grant: Grant::AsAsked, profile: ProfileExchange::None, removes };
            let mut sender = Sender::new(terms);
            sender.told(Arc::new(Listing::new()));
            sender.records_sent();
            sender
        };
        let arrived = |more| Frame::Arrived { more, entries: Vec::new() };
        let finished = || Frame::Finished { counters: Vec::new(), refused: None };
        let mut unasked = begun(false);
        unasked.walked();
        assert!(unasked.frame(arrived(false)).is_err());
        let mut sender = begun(true);
        assert!(sender.frame(arrived(true)).is_err(), "the walk goes on");
        sender.walked();
        assert!(matches!(sender.frame(arrived(true)), Ok(ToSender::Remove { more: true, .. })));
        assert!(matches!(sender.frame(arrived(false)), Ok(ToSender::Remove { more: false, .. })));
        assert!(sender.frame(finished()).is_err(), "nobody knows that it is removed");
        assert!(sender.frame(arrived(false)).is_err(), "all was told");
        sender.removed();
        assert!(sender.frame(arrived(false)).is_err());
        assert!(matches!(sender.frame(finished()), Ok(ToSender::Finished { .. })));
    }
}
