//! A simulated receiver: the machines, and around them what the engine does with threads.

use std::collections::HashMap;

use sparsync_proto::codec::Reader;
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::session::{Expected, Lane, LaneStep, Pending, Receiver, ReceiverTerms, ToReceiver, Violation};
use sparsync_proto::{Frame, Grant, Kind, Listing, Name, RelPath, Resume, Rules, Step, plan};

use crate::Fault;
use crate::link::{Link, encoded};
use crate::tree::{Entries, Tree, attributes, content};

struct Incoming {
    path: RelPath,
    listing: Listing,
    expected: Expected<u64>,
}

pub struct ReceiverEnd {
    before: Tree,
    pub tree: Tree,
    grant: Grant,
    machine: Receiver,
    lanes: Vec<(Lane, Vec<u8>)>,
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
    pub fn new(before: Tree, terms: ReceiverTerms, lanes: usize, fault: Option<Fault>) -> Self {
        Self {
            tree: before.clone(),
            before,
            grant: terms.grant,
            machine: Receiver::new(terms),
            lanes: (0..lanes).map(|_| (Lane::default(), Vec::new())).collect(),
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
        let asked = self.ask(link);
        let waits = self.incoming.values().any(|incoming| !incoming.expected.is_empty());
        if self.machine.has_compared() && (!waits || self.fault == Some(Fault::FinishedEarly)) {
            self.delete();
            self.finish(link);
            return true;
        }
        asked
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
                        self.machine.need(number, directory);
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
            | ToReceiver::Issue(_)
            | ToReceiver::Removed
            | ToReceiver::Profile(_) => {}
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
        let (mut files, mut resume, mut expected) = (Vec::new(), Vec::new(), Expected::default());
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
                            let held = if entry.size > 30 { entry.size / 2 } else { 0 };
                            files.push(index);
                            if held > 0 && self.grant == Grant::AsAsked {
                                resume.push(Resume { index, bytes: held, digest: [0; 32] });
                            }
                            expected.add(index, (held > 0 && self.grant == Grant::AsAsked).then_some(held));
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
        self.incoming.insert(number, Incoming { path, listing, expected });
        self.decided_below = number + 1;
        if self.fault == Some(Fault::WantForgotten) && number == 1 {
            return;
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
            let step = self.lanes[lane].0.record(record)?;
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
                let held = self.take(file)?.unwrap_or(0);
                self.lanes[lane].0.holds(held);
                self.lanes[lane].1.clear();
            }
            LaneStep::Restart { .. } => self.lanes[lane].1.clear(),
            LaneStep::Literal { at, bytes } => {
                assert_eq!(at, self.lanes[lane].1.len() as u64);
                self.lanes[lane].1.extend_from_slice(bytes);
            }
            LaneStep::Hole { bytes, .. } => {
                let end = self.lanes[lane].1.len() + usize::try_from(bytes.min(1 << 16)).expect("small");
                self.lanes[lane].1.resize(end, 0);
            }
            LaneStep::Copy { bytes } => {
                self.lanes[lane].1 = vec![0xee; usize::try_from(bytes).expect("small")];
            }
            // This receiver has no basis, and none that speaks with it asks for one.
            LaneStep::Sign { .. } | LaneStep::Ask { .. } => return Err(Violation::new("a basis that was not offered")),
            LaneStep::Mark | LaneStep::Grown { .. } | LaneStep::CopyPieces { .. } | LaneStep::CopyFrom { .. } => {}
            LaneStep::End { file, digest, .. } => {
                let mut bytes = std::mem::take(&mut self.lanes[lane].1);
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

    fn take(&mut self, file: FileId) -> Result<Option<u64>, Violation> {
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
        self.lanes[lane].0.end()
    }

    /// Files that are held to be on their way.
    pub fn waits_for_files(&self) -> bool {
        self.incoming.values().any(|incoming| !incoming.expected.is_empty())
    }
}
