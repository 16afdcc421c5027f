//! A simulated sender: the machine, and around it what the engine does with threads.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sparsync_proto::delta::Chunk;
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::session::{Listed, ProfileExchange, Sender, SenderTerms, ToSender, Violation};
use sparsync_proto::{
    Arrived, Basis, Directory, Frame, IdKind, IssueKind, Kind, Listing, Name, OwnerName, RelPath, Resume, Version,
    encode_list,
};

use crate::Fault;
use crate::link::{DataLane, Link, encoded};
use crate::random::Random;
use crate::tree::{Held, Tree, content};

struct Job {
    file: FileId,
    size: u64,
    seconds: i64,
    held: u64,
    older: Older,
}

/// Whether the receiver has an older state of a file.
enum Older {
    None,
    /// It is still to be asked about.
    There,
    /// It is made of these parts.
    Of(Vec<Chunk>),
}

#[expect(clippy::struct_excessive_bools, reason = "what a test asks for, each set apart from the others")]
pub struct SenderEnd {
    tree: Tree,
    machine: Sender<Held>,
    walk: VecDeque<sparsync_proto::RelPath>,
    walked: bool,
    handed_over: bool,
    batch: Vec<Directory>,
    /// Records are held back for the tree's digest.
    held_back: Option<Vec<u8>>,
    lists: VecDeque<u32>,
    jobs: Vec<VecDeque<Job>>,
    /// Listings whose content waits until they are written.
    ready: Vec<Job>,
    /// Files that were asked about, with the parts that came.
    asked: HashMap<FileId, (Job, Vec<Chunk>)>,
    /// What is still there of the tree.
    left: Tree,
    /// Answers that are still to be said.
    answers: VecDeque<Frame>,
    failing: bool,
    fault: Option<Fault>,
    pub finished: bool,
    /// The receiver wants the need counted first, which ends the session before the tree is told.
    pub counts_first: bool,
    /// Files that were reported as failed on purpose.
    pub failed: Vec<FileId>,
}

impl SenderEnd {
    pub fn new(tree: Tree, terms: SenderTerms, lanes: usize, fault: Option<Fault>, random: &mut Random) -> Self {
        Self {
            walk: tree.0.keys().cloned().collect(),
            left: tree.clone(),
            tree,
            machine: Sender::new(terms),
            walked: false,
            handed_over: false,
            batch: Vec::new(),
            held_back: random.once_in(2).then(Vec::new),
            lists: VecDeque::new(),
            jobs: (0..lanes).map(|_| VecDeque::new()).collect(),
            ready: Vec::new(),
            asked: HashMap::new(),
            answers: VecDeque::new(),
            failing: random.once_in(4),
            fault,
            finished: false,
            counts_first: false,
            failed: Vec::new(),
        }
    }

    /// Takes one of the steps that are possible by itself; says false when there was none.
    pub fn step(&mut self, link: &mut Link, random: &mut Random) -> bool {
        let first = random.below(6);
        (0..6).any(|at| match (first + at) % 6 {
            0 => self.walk(link, random),
            1 => self.list(link),
            2 => self.release_content(link, random),
            3 => self.records_sent(),
            4 => self.answer(link),
            _ => self.send_content(link, random),
        })
    }

    /// What the removal of sources has left of the tree.
    pub fn left(&self) -> &Tree {
        &self.left
    }

    fn answer(&mut self, link: &mut Link) -> bool {
        let Some(frame) = self.answers.pop_front() else { return false };
        link.to_receiver.send(&frame);
        true
    }

    pub fn has_walked(&self) -> bool {
        self.walked
    }

    fn walk(&mut self, link: &mut Link, random: &mut Random) -> bool {
        // One thread does both.
        if self.handed_over || self.walked || !link.to_receiver.has_room() {
            return false;
        }
        let Some(path) = self.walk.pop_front() else {
            self.end_walk(link);
            return true;
        };
        self.batch.push(self.tree.record(&path));
        let listing = self.tree.0[&path].listing();
        self.machine.told(Arc::new(listing));
        if random.once_in(2) {
            self.close_batch(link);
        }
        if self.machine.grants_all() || random.once_in(8) {
            self.release(link);
        }
        true
    }

    fn close_batch(&mut self, link: &mut Link) {
        if self.held_back.is_none() {
            // Names go before what has their numbers.
            let name = OwnerName { kind: IdKind::User, id: 7, name: b"a".to_vec() };
            link.to_receiver.send_bulk(encoded(&Frame::Owners(vec![name])));
        }
        let frame = Frame::Directories(std::mem::take(&mut self.batch));
        if let Some(held) = &mut self.held_back {
            frame.encode(Version::V1, held);
        } else {
            self.send_records(encoded(&frame), link);
        }
    }

    /// Hands records over. The thread that does so can be held up before it says that it has.
    fn send_records(&mut self, message: Vec<u8>, link: &mut Link) {
        self.machine.records_leave();
        link.to_receiver.send_bulk(message);
        self.handed_over = true;
    }

    fn records_sent(&mut self) -> bool {
        if !std::mem::take(&mut self.handed_over) {
            return false;
        }
        let unasked = self.machine.records_sent();
        self.lists.extend(unasked);
        true
    }

    fn release(&mut self, link: &mut Link) {
        self.close_batch(link);
        if let Some(held) = self.held_back.take() {
            self.send_records(held, link);
        }
    }

    fn end_walk(&mut self, link: &mut Link) {
        if self.fault == Some(Fault::SingleGoesDown) {
            let below = RelPath::root().join(Name::new(b"zz").expect("a name"));
            let record = Directory { path: below, entries: 0, ..self.tree.record(&RelPath::root()) };
            self.batch.push(record);
        }
        self.close_batch(link);
        let mut message = Vec::new();
        if let Some(held) = self.held_back.take() {
            Frame::TreeDigest(self.tree.digest()).encode(Version::V1, &mut message);
            message.extend_from_slice(&held);
        }
        let listings = || self.tree.0.keys().map(|path| self.tree.0[path].listing());
        Frame::TreeEnd {
            directories: self.tree.0.len() as u64,
            entries: listings().map(|listing| listing.len() as u64).sum(),
            bytes: listings().flat_map(|listing| listing.entries().to_vec()).map(|entry| entry.size).sum(),
            errors: 0,
        }
        .encode(Version::V1, &mut message);
        self.walked = true;
        self.machine.walked();
        self.send_records(message, link);
    }

    fn list(&mut self, link: &mut Link) -> bool {
        if !link.to_receiver.has_room() {
            return false;
        }
        let Some(number) = self.lists.pop_front() else { return false };
        if self.fault == Some(Fault::ListingLost) && number == 1 {
            return true;
        }
        let listed = self.machine.list(number).expect("a listing that was asked for");
        let (Listed::Asked(held) | Listed::WithContent(held)) = &listed;
        let listing: &Listing = held;
        let half = listing.len() / 2;
        if half > 0 && number.is_multiple_of(2) {
            // In two parts, as a long one travels.
            let (first, rest) = (part(listing, 0..half), part(listing, half..listing.len()));
            link.to_receiver.send_bulk(encoded(&Frame::List { directory: number, more: true, listing: first }));
            link.to_receiver.send_bulk(encoded(&Frame::List { directory: number, more: false, listing: rest }));
        } else {
            encode_list(Version::V1, number, listing, |frame| link.to_receiver.send_bulk(frame));
        }
        if let Listed::WithContent(held) = listed {
            let files = (0u32..).zip(held.entries());
            let files: Vec<u32> = files.filter(|(_, entry)| entry.kind == Kind::File).map(|(at, _)| at).collect();
            self.ready.extend(jobs(number, &held, &files, (&[], &[])));
        }
        true
    }

    /// Content may go once its listing is written: it must not use up the room that the listing needs.
    fn release_content(&mut self, link: &Link, random: &mut Random) -> bool {
        if self.ready.is_empty() || !link.to_receiver.bulk_written() {
            return false;
        }
        for job in std::mem::take(&mut self.ready) {
            self.deal(job, random);
        }
        true
    }

    fn deal(&mut self, job: Job, random: &mut Random) {
        let lane = random.index(self.jobs.len());
        self.jobs[lane].push_back(job);
    }

    fn send_content(&mut self, link: &mut Link, random: &mut Random) -> bool {
        let lane = random.index(self.jobs.len());
        if !link.lanes[lane].has_room() {
            return false;
        }
        let Some(mut job) = self.jobs[lane].pop_front() else { return false };
        match std::mem::replace(&mut job.older, Older::None) {
            Older::None => {}
            Older::There => {
                self.machine.asks(job.file);
                link.lanes[lane].send(&[Record::Sign { file: job.file, level: 0 }]);
                self.asked.insert(job.file, (job, Vec::new()));
                return true;
            }
            Older::Of(parts) => {
                self.send_difference(&job, &parts, &mut link.lanes[lane]);
                return true;
            }
        }
        let bytes = content(job.size, job.seconds);
        let digest = *blake3::hash(&bytes).as_bytes();
        let file = job.file;
        let end = || Record::End { meta: None, digest };
        let data = &mut link.lanes[lane];
        let held = usize::try_from(job.held).unwrap_or(usize::MAX);
        match random.below(4) {
            0 if self.failing => {
                self.failed.push(file);
                let failed = || Record::Failed { file, kind: IssueKind::Unreadable, message: "no".to_owned() };
                if random.once_in(2) {
                    data.send(&[Record::Begin { file }, Record::Literal(b"x"), failed()]);
                } else {
                    data.send(&[failed()]);
                }
            }
            // A receiver that says anything may say that it holds more than there is.
            1 if (1..=bytes.len()).contains(&held) => {
                let rest = &bytes[held..];
                let copy = Record::Copy { bytes: job.held };
                if rest.is_empty() {
                    data.send(&[Record::Begin { file }, copy, end()]);
                } else {
                    data.send(&[Record::Begin { file }, copy, Record::Literal(rest), end()]);
                }
            }
            2 if !bytes.is_empty() => {
                // It changed while it was read; one pack ends in the middle.
                data.send(&[Record::Begin { file }, Record::Literal(b"old"), Record::Hole { bytes: 3 }]);
                data.send(&[Record::Begin { file }, Record::Literal(&bytes), end()]);
            }
            _ => data.send(&[Record::Whole { file, meta: None, content: &bytes, digest }]),
        }
        if self.fault == Some(Fault::FileTwice) && file.index == 0 {
            data.send(&[Record::Whole { file, meta: None, content: &bytes, digest }]);
        }
        true
    }

    /// Sends what the parts that the receiver holds do not have.
    fn send_difference(&self, job: &Job, parts: &[Chunk], data: &mut DataLane) {
        let bytes = content(job.size, job.seconds);
        let mut records = vec![Record::Begin { file: job.file }];
        let (mut at, mut offset) = (0, 0);
        for part in parts {
            let end = at + usize::try_from(part.bytes).unwrap_or(usize::MAX).min(bytes.len());
            if bytes.get(at..end).is_none_or(|own| Chunk::of(own) != *part) {
                break;
            }
            let wrong = u64::from(self.fault == Some(Fault::CopiedWrong) && offset > 0);
            records.push(Record::CopyFrom { offset: offset - wrong, bytes: part.bytes });
            (at, offset) = (end, offset + part.bytes);
        }
        if at < bytes.len() {
            records.push(Record::Literal(&bytes[at..]));
        }
        records.push(Record::End { meta: None, digest: *blake3::hash(&bytes).as_bytes() });
        data.send(&records);
    }

    /// Removes what has arrived, if it is what was told.
    fn remove(&mut self, entries: Vec<Arrived>) {
        for Arrived { path, kind, size, mtime } in entries {
            let is_told = |(there, bytes, seconds)| {
                (there, seconds) == (kind, mtime.seconds) && (kind != Kind::File || bytes == size)
            };
            if self.left.entry(&path).is_some_and(is_told) {
                let (parent, name) = path.split_last().expect("not the root");
                self.left.remove(&parent, name.as_bytes());
            }
        }
    }

    fn end(&mut self) {
        self.finished = true;
        if self.machine.profile() == ProfileExchange::Answer && self.fault != Some(Fault::ProfileForgotten) {
            self.answers.push_back(Frame::Profile(Box::new(crate::account())));
        }
    }

    /// Takes a frame of the receiver.
    pub fn frame(&mut self, frame: Frame, random: &mut Random) -> Result<(), Violation> {
        match self.machine.frame(frame)? {
            ToSender::Accepted(unasked) => self.lists.extend(unasked),
            ToSender::List(numbers) => self.lists.extend(numbers),
            ToSender::Send { directory, held, files, resume, bases } => {
                for job in jobs(directory, &held, &files, (&resume, &bases)) {
                    self.deal(job, random);
                }
                if self.fault == Some(Fault::ContentUnasked)
                    && let Some(index) = (0u32..).zip(held.entries()).find_map(|(index, entry)| {
                        (entry.kind == Kind::File && !files.contains(&index)).then_some(index)
                    })
                {
                    for job in jobs(directory, &held, &[index], (&[], &[])) {
                        self.deal(job, random);
                    }
                }
            }
            ToSender::Finished { .. } => self.end(),
            ToSender::CountFirst { .. } => {
                self.finished = true;
                self.counts_first = true;
            }
            ToSender::Settled | ToSender::Nothing | ToSender::Items(_) | ToSender::Issue(_) | ToSender::Profile(_) => {}
            ToSender::Chunks { file, more, chunks } => {
                let Some((job, mut parts)) = self.asked.remove(&file) else { return Ok(()) };
                parts.extend(chunks);
                if more {
                    self.asked.insert(file, (job, parts));
                } else {
                    self.deal(Job { older: Older::Of(parts), ..job }, random);
                }
            }
            ToSender::Remove { more, entries } => {
                self.remove(entries);
                if self.fault == Some(Fault::RemovedUntold) {
                    self.left = Tree::empty();
                }
                if !more {
                    let removed = self.machine.removed();
                    self.answers.push_back(removed);
                }
            }
        }
        Ok(())
    }
}

fn jobs<'a>(
    directory: u32,
    listing: &'a Listing,
    files: &'a [u32],
    (resume, bases): (&'a [Resume], &'a [Basis]),
) -> impl Iterator<Item = Job> + 'a {
    files.iter().map(move |&index| {
        let entry = listing.get(index as usize).expect("an entry");
        Job {
            file: FileId { directory, index },
            size: entry.size,
            seconds: entry.meta.mtime.seconds,
            held: resume.iter().find(|resume| resume.index == index).map_or(0, |resume| resume.bytes),
            older: if bases.iter().any(|basis| basis.index == index) { Older::There } else { Older::None },
        }
    })
}

fn part(listing: &Listing, range: std::ops::Range<usize>) -> Listing {
    let mut part = Listing::new();
    for entry in &listing.entries()[range] {
        let name = sparsync_proto::Name::new(listing.name(entry)).expect("a name");
        assert!(part.push(name, entry.kind, entry.size, entry.meta, listing.target(entry)));
    }
    part
}
