//! A simulated receiver: the machines, and around them what the engine does with threads.

use std::collections::{HashMap, VecDeque};

use sparsync_proto::codec::Reader;
use sparsync_proto::delta::Chunk;
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::session::{
    Expected, Lane, LaneStep, Pending, ProfileExchange, Receiver, ReceiverTerms, ToReceiver, Violation,
};
use sparsync_proto::{Arrived, Basis, Frame, Grant, Kind, Listing, Name, RelPath, Resume, Rules, Step, plan};

use crate::link::{Link, encoded};
use crate::tree::{Entries, Tree, attributes, content};
use crate::{Asked, Fault};

/// The longest part of an older state that is told.
const PART_BYTES: usize = 8;

/// What is there of a file that is to come.
#[derive(Clone)]
enum There {
    /// So many bytes at its beginning.
    Held(u64),
    /// The content of an older state.
    Older(Vec<u8>),
}

struct Incoming {
    path: RelPath,
    listing: Listing,
    expected: Expected<There>,
}

/// What a lane has of the file that is open on it.
#[derive(Default)]
struct Open {
    lane: Lane,
    bytes: Vec<u8>,
    older: Vec<u8>,
}

/// How far the removal of sources is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    /// What has arrived is still to be told.
    Pending,
    Told,
    /// Nothing is to be removed, or all was.
    Done,
}

/// The files of a directory that are asked for.
#[derive(Default)]
struct Wanted {
    files: Vec<u32>,
    resume: Vec<Resume>,
    bases: Vec<Basis>,
    expected: Expected<There>,
}

impl Wanted {
    /// Asks for a file, of which a part or an older state may be there.
    fn add(&mut self, index: u32, size: u64, older: Option<Vec<u8>>, grant: Grant) {
        self.files.push(index);
        let there = match older {
            _ if grant == Grant::All => None,
            Some(older) => {
                self.bases.push(Basis { index, bytes: older.len() as u64 });
                Some(There::Older(older))
            }
            None if size > 30 => {
                self.resume.push(Resume { index, bytes: size / 2, digest: [0; 32] });
                Some(There::Held(size / 2))
            }
            None => None,
        };
        self.expected.add(index, there);
    }
}

pub struct ReceiverEnd {
    before: Tree,
    pub tree: Tree,
    grant: Grant,
    machine: Receiver,
    lanes: Vec<Open>,
    asked: Asked,
    profile: ProfileExchange,
    removal: Removal,
    /// Files that are told as arrived unless they fail, with their paths.
    arriving: Vec<(Option<FileId>, Arrived)>,
    /// Parts that were asked about.
    answers: VecDeque<Frame>,
    /// What was told as arrived.
    pub told_arrived: Vec<RelPath>,
    incoming: HashMap<u32, Incoming>,
    /// Directories below this number are decided upon, when everything is granted.
    decided_below: u32,
    extras: Vec<(RelPath, Vec<u8>)>,
    errors: Option<u64>,
    fault: Option<Fault>,
    pub finished: bool,
    pub deleted: bool,
    pub failed: Vec<FileId>,
}

impl ReceiverEnd {
    pub fn new(before: Tree, (terms, asked): (ReceiverTerms, Asked), lanes: usize, fault: Option<Fault>) -> Self {
        Self {
            tree: before.clone(),
            before,
            grant: terms.grant,
            machine: Receiver::new(terms),
            lanes: (0..lanes).map(|_| Open::default()).collect(),
            asked,
            profile: terms.profile,
            removal: if asked.removes { Removal::Pending } else { Removal::Done },
            arriving: Vec::new(),
            answers: VecDeque::new(),
            told_arrived: Vec::new(),
            incoming: HashMap::new(),
            decided_below: 0,
            extras: Vec::new(),
            errors: None,
            fault,
            finished: false,
            deleted: false,
            failed: Vec::new(),
        }
    }

    /// Does what is possible by itself when nothing more has come; says false when there was nothing.
    pub fn step(&mut self, link: &mut Link) -> bool {
        if self.finished {
            return false;
        }
        if let Some(answer) = self.answers.pop_front() {
            link.to_sender.send(&answer);
            return true;
        }
        let asked = self.ask(link);
        let early = matches!(self.fault, Some(Fault::FinishedEarly | Fault::ArrivedEarly));
        if !self.machine.has_compared() || (self.waits_for_files() && !early) {
            return asked;
        }
        match self.removal {
            Removal::Pending => {
                self.delete();
                self.tell_arrived(link);
            }
            Removal::Told => return asked,
            Removal::Done => {
                self.delete();
                self.finish(link);
            }
        }
        true
    }

    /// Whether nothing more is waited for.
    pub fn has_ended(&self) -> bool {
        self.finished && self.profile != ProfileExchange::Ask
    }

    fn tell_arrived(&mut self, link: &mut Link) {
        let failed = std::mem::take(&mut self.arriving);
        let all: Vec<Arrived> = failed
            .into_iter()
            .filter(|(file, _)| file.is_none_or(|file| !self.failed.contains(&file)))
            .map(|(_, arrived)| arrived)
            .collect();
        if all.is_empty() {
            self.removal = Removal::Done;
            return;
        }
        self.told_arrived.extend(all.iter().map(|arrived| arrived.path.clone()));
        let (first, rest) = all.split_at(all.len() / 2);
        for (entries, more) in [(first, true), (rest, false)] {
            link.to_sender.send_bulk(encoded(&Frame::Arrived { more, entries: entries.to_vec() }));
        }
        self.machine.lets_remove();
        self.removal = Removal::Told;
    }

    /// Notes the entries of a directory that arrive.
    fn note_arriving(&mut self, directory: u32, path: &RelPath, listing: &Listing) {
        for (index, entry) in (0u32..).zip(listing.entries()) {
            if entry.kind == Kind::Directory {
                continue;
            }
            let file = (entry.kind == Kind::File).then_some(FileId { directory, index });
            let size = if entry.kind == Kind::File { entry.size } else { 0 };
            let path = path.join(Name::new(listing.name(entry)).expect("a name"));
            self.arriving.push((file, Arrived { path, kind: entry.kind, size, mtime: entry.meta.mtime }));
        }
    }

    /// Asks and tells what there is; says false when there was nothing.
    fn ask(&mut self, link: &mut Link) -> bool {
        let questions = self.machine.questions();
        for frame in &questions {
            link.to_sender.send(frame);
        }
        !questions.is_empty()
    }

    fn finish(&mut self, link: &mut Link) {
        if self.profile == ProfileExchange::Answer && self.fault != Some(Fault::ProfileForgotten) {
            link.to_sender.send_bulk(encoded(&Frame::Profile(Box::new(crate::account()))));
        }
        let frame = self.machine.finish(vec![1, 2, 3], None);
        link.to_sender.send_bulk(encoded(&frame));
        self.finished = true;
    }

    fn delete(&mut self) {
        if self.errors != Some(0) {
            return;
        }
        self.deleted = true;
        for (parent, name) in std::mem::take(&mut self.extras) {
            self.tree.remove(&parent, &name);
        }
    }

    /// Takes a frame of the sender.
    pub fn frame(&mut self, frame: Frame, link: &mut Link) -> Result<(), Violation> {
        match self.machine.frame(frame)? {
            ToReceiver::CompareTree(digest) => {
                if digest == self.before.digest() {
                    self.machine.tree_is_equal();
                    self.finish(link);
                }
            }
            ToReceiver::Compare { first, directories } => {
                for (number, directory) in (first..).zip(directories) {
                    let equal = self.before.0.contains_key(&directory.path)
                        && self.before.record(&directory.path).digest == directory.digest;
                    if !equal {
                        self.machine.need(number, directory)?;
                    }
                    self.machine.compared(number);
                    // In a long row of directories the sender is told in between.
                    if number.is_multiple_of(3) {
                        self.ask(link);
                    }
                }
            }
            ToReceiver::Decide { directory, pending } => self.decide(directory, *pending, link),
            ToReceiver::TreeEnd { errors, .. } => self.errors = Some(errors),
            ToReceiver::Nothing
            | ToReceiver::Unmounted(_)
            | ToReceiver::LeftOut(_)
            | ToReceiver::Owners(_)
            | ToReceiver::Issue(_) => {}
            ToReceiver::Removed => self.removal = Removal::Done,
            ToReceiver::Profile(_) => self.profile = ProfileExchange::None,
        }
        Ok(())
    }

    fn decide(&mut self, number: u32, pending: Pending, link: &mut Link) {
        let Pending { path, listing, .. } = pending;
        self.tree.0.entry(path.clone()).or_default();
        let before = self.before.0.get(&path).map(Entries::listing).unwrap_or_default();
        let source_ids = sparsync_proto::SourceIds::Claimed;
        let rules = Rules {
            attributes: attributes(),
            source_ids,
            recursive: true,
            selection: sparsync_proto::Selection::default(),
            append_only: false,
        };
        let mut steps = Vec::new();
        plan(&rules, &listing, &before, |step| steps.push(step));
        if self.asked.removes {
            self.note_arriving(number, &path, &listing);
        }
        let mut wanted = Wanted::default();
        for step in steps {
            match step {
                Step::Make { source, old, .. } => {
                    let entry = listing.get(source).expect("an entry");
                    let name = listing.name(entry).to_vec();
                    if old.is_some() {
                        self.tree.remove(&path, &name);
                    }
                    match entry.kind {
                        Kind::File => {
                            let index = u32::try_from(source).expect("few");
                            let older = old.and_then(|old| before.get(old)).filter(|old| old.kind == Kind::File);
                            let older = older.map(|old| content(old.size, old.meta.mtime.seconds));
                            wanted.add(
                                index,
                                entry.size,
                                older.filter(|older| self.asked.deltas && !older.is_empty()),
                                self.grant,
                            );
                        }
                        kind => self.make(&path, name, kind, entry.meta.mtime.seconds),
                    }
                }
                Step::Adjust { source, .. } => {
                    let entry = listing.get(source).expect("an entry");
                    let seconds = if entry.kind == Kind::Directory { 0 } else { entry.meta.mtime.seconds };
                    let size = if entry.kind == Kind::Directory { 0 } else { entry.size };
                    self.tree.put(&path, listing.name(entry).to_vec(), (entry.kind, size, seconds));
                }
                Step::Link { .. } => unreachable!("hard links are not asked for"),
                Step::Skip { .. } => {}
                Step::Extra { old } => {
                    let entry = before.get(old).expect("an entry");
                    self.extras.push((path.clone(), before.name(entry).to_vec()));
                }
            }
        }
        self.answer(number, (path, listing), wanted, link);
    }

    /// Asks for the files of a listing.
    fn answer(&mut self, number: u32, (path, listing): (RelPath, Listing), wanted: Wanted, link: &mut Link) {
        let Wanted { files, resume, bases, expected } = wanted;
        self.incoming.insert(number, Incoming { path, listing, expected });
        self.decided_below = number + 1;
        if self.fault == Some(Fault::WantForgotten) && number == 1 {
            return;
        }
        if let Some(frame) = self.machine.bases(number, bases) {
            link.to_sender.send(&frame);
        }
        if let Some(frame) = self.machine.want(number, files, resume) {
            link.to_sender.send(&frame);
        }
    }

    fn make(&mut self, path: &RelPath, name: Vec<u8>, kind: Kind, seconds: i64) {
        if kind == Kind::Directory {
            self.tree.0.entry(path.join(Name::new(&name).expect("a name"))).or_default();
        }
        let seconds = if kind == Kind::Directory { 0 } else { seconds };
        let size = if kind == Kind::Symlink { 6 } else { 0 };
        self.tree.put(path, name, (kind, size, seconds));
    }

    /// Takes a pack; gives it back when it must wait for a listing.
    pub fn pack(&mut self, lane: usize, pack: &[u8]) -> Result<bool, Violation> {
        let mut reader = Reader::new(pack);
        let mut records = Vec::new();
        while !reader.is_empty() {
            let record = Record::decode(&mut reader).map_err(|malformed| Violation::new(malformed.to_string()))?;
            records.push(record);
        }
        let must_wait = |record: &Record<'_>| match record {
            Record::Whole { file, .. } | Record::Begin { file } | Record::Failed { file, .. } => {
                self.grant == Grant::All && file.directory >= self.decided_below
            }
            _ => false,
        };
        if records.iter().any(must_wait) {
            return Ok(false);
        }
        for record in records {
            let step = self.lanes[lane].lane.record(record)?;
            self.record(lane, &step)?;
        }
        Ok(true)
    }

    fn record(&mut self, lane: usize, step: &LaneStep<'_>) -> Result<(), Violation> {
        match *step {
            LaneStep::Whole { file, content, digest, .. } => {
                self.take(file)?;
                self.complete(file, content, &digest);
            }
            LaneStep::Begin { file } => {
                let there = self.take(file)?;
                let listed = self.listed(file).map_or(0, |(_, size, _)| size);
                let open = &mut self.lanes[lane];
                open.bytes.clear();
                open.older.clear();
                match there {
                    None => {}
                    Some(There::Held(bytes)) => open.lane.holds(bytes),
                    Some(There::Older(older)) => {
                        open.lane.has_basis(older.len() as u64, Vec::new(), listed);
                        open.older = older;
                    }
                }
            }
            LaneStep::Restart { .. } => self.lanes[lane].bytes.clear(),
            LaneStep::Literal { at, bytes } => {
                assert_eq!(at, self.lanes[lane].bytes.len() as u64);
                self.lanes[lane].bytes.extend_from_slice(bytes);
            }
            LaneStep::Hole { bytes, .. } => {
                let end = self.lanes[lane].bytes.len() + usize::try_from(bytes.min(1 << 16)).expect("small");
                self.lanes[lane].bytes.resize(end, 0);
            }
            LaneStep::Copy { bytes } => {
                self.lanes[lane].bytes = vec![0xee; usize::try_from(bytes).expect("small")];
            }
            LaneStep::CopyFrom { offset, bytes, .. } => {
                let Open { bytes: into, older, .. } = &mut self.lanes[lane];
                let from = usize::try_from(offset).expect("within the basis");
                into.extend_from_slice(&older[from..from + usize::try_from(bytes).expect("within the basis")]);
            }
            LaneStep::Sign { file, .. } => self.tell_parts(file)?,
            // This receiver tells parts that have none of their own.
            LaneStep::Ask { .. } => return Err(Violation::new("a basis that was not offered")),
            LaneStep::Mark | LaneStep::Grown { .. } | LaneStep::CopyPieces { .. } => {}
            LaneStep::End { file, digest, .. } => {
                let mut bytes = std::mem::take(&mut self.lanes[lane].bytes);
                // The held part has the content of the source.
                if let Some((_, size, seconds)) = self.listed(file)
                    && bytes.first() == Some(&0xee)
                {
                    let held = bytes.iter().take_while(|byte| **byte == 0xee).count();
                    let all = content(size, seconds);
                    bytes[..held].copy_from_slice(&all[..held]);
                }
                self.complete(file, &bytes, &digest);
            }
            LaneStep::Failed { file, was_open, .. } => {
                if !was_open {
                    self.take(file)?;
                }
                self.failed.push(file);
            }
        }
        Ok(())
    }

    /// Tells the parts of the older state of a file, in two frames.
    fn tell_parts(&mut self, file: FileId) -> Result<(), Violation> {
        let incoming = self.incoming.get(&file.directory);
        let Some(There::Older(older)) = incoming.and_then(|incoming| incoming.expected.known(file.index)) else {
            return Err(Violation::new("a basis that was not offered"));
        };
        if self.fault == Some(Fault::PartsForgotten) {
            return Ok(());
        }
        let parts: Vec<Chunk> = older.chunks(PART_BYTES).map(Chunk::of).collect();
        let (first, rest) = parts.split_at(parts.len() / 2);
        for (chunks, more) in [(first, true), (rest, false)] {
            self.answers.push_back(Frame::Chunks { file, more, chunks: chunks.to_vec() });
        }
        Ok(())
    }

    fn take(&mut self, file: FileId) -> Result<Option<There>, Violation> {
        self.incoming
            .get_mut(&file.directory)
            .and_then(|incoming| incoming.expected.take(file.index))
            .ok_or_else(|| Violation::new("content of a file that was not asked for"))
    }

    fn listed(&self, file: FileId) -> Option<(Vec<u8>, u64, i64)> {
        let listing = &self.incoming.get(&file.directory)?.listing;
        let entry = listing.get(file.index as usize)?;
        Some((listing.name(entry).to_vec(), entry.size, entry.meta.mtime.seconds))
    }

    fn complete(&mut self, file: FileId, bytes: &[u8], digest: &[u8; 32]) {
        let Some((name, size, seconds)) = self.listed(file) else { return };
        if blake3::hash(bytes).as_bytes() == digest {
            let path = self.incoming[&file.directory].path.clone();
            self.tree.put(&path, name, (Kind::File, size, seconds));
        }
    }

    /// Takes the end of a data lane.
    pub fn lane_ended(&self, lane: usize) -> Result<(), Violation> {
        self.lanes[lane].lane.end()
    }

    /// Files that are held to be on their way, or that are open.
    pub fn waits_for_files(&self) -> bool {
        let is_open = self.lanes.iter().any(|open| open.lane.end().is_err());
        is_open || self.incoming.values().any(|incoming| !incoming.expected.is_empty())
    }
}
