//! Two ends of a session in one thread: the machines of `sparsync_proto::session` run against each other over a
//! simulated link, in orders that a seed decides. What a thread would do at any time is done at any time here; frames
//! are cut anywhere; the link breaks at any moment; an end says anything.
//!
//! `SPARSYNC_TEST_SEED` repeats a run, `SPARSYNC_TEST_LONG` runs 100,000 schedules of each kind instead of 2,000.

#![allow(unreachable_pub, reason = "the modules of one test")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod hostile;
mod link;
mod random;
mod receiver;
mod sender;
mod tree;

use std::time::Duration;

use sparsync_proto::session::{
    Beat, ProfileExchange, Pulse, Receiver, ReceiverTerms, SenderTerms, ToReceiver, Violation,
};
use sparsync_proto::{Accept, Directory, EndProfile, Frame, Grant, OwnerNames, RelPath, Request, limits};

use link::Link;
use random::Random;
use receiver::ReceiverEnd;
use sender::SenderEnd;
use tree::Tree;

/// What a simulated engine does wrong on purpose: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sender forgets a listing.
    ListingLost,
    /// The sender sends a file twice.
    FileTwice,
    /// The sender sends what was not asked for.
    ContentUnasked,
    /// The receiver forgets to answer a listing.
    WantForgotten,
    /// The receiver does not wait for files.
    FinishedEarly,
    /// The receiver never tells which parts it holds.
    PartsForgotten,
    /// The sender copies from another place than the one that is alike.
    CopiedWrong,
    /// The receiver tells that files have arrived before they have.
    ArrivedEarly,
    /// The sender removes what it was not told of.
    RemovedUntold,
    /// An end does not tell its account of time.
    ProfileForgotten,
    /// The sender tells a directory below a single file.
    SingleGoesDown,
}

/// What a schedule asks for besides that the destination becomes what the source is.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct Asked {
    /// The source is one entry that is no directory, or a missing one.
    pub single: bool,
    /// The sender removes what has arrived.
    pub removes: bool,
    /// Older states of files are told, and sent from.
    pub deltas: bool,
    /// An end asks for the other's account of time.
    pub profile: bool,
}

impl Asked {
    fn random(random: &mut Random) -> Self {
        Self {
            single: random.once_in(6),
            removes: random.once_in(3),
            deltas: random.once_in(2),
            profile: random.once_in(4),
        }
    }
}

/// How a schedule ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Finished,
    Violated(Violation),
    /// Nobody can do anything any more, and somebody waits.
    Stuck,
    Cut,
}

struct Simulation {
    random: Random,
    source: Tree,
    sender: SenderEnd,
    receiver: ReceiverEnd,
    link: Link,
    /// The link breaks after so many steps.
    cut_after: Option<u64>,
}

fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(b".unfinished")
}

/// An end's account of its time.
fn account() -> EndProfile {
    EndProfile { started_at_micros: 1, figures: Vec::new(), threads: Vec::new() }
}

fn accept(grant: Grant, lanes: u8) -> Accept {
    Accept { grant, lanes, ..Accept::default() }
}

fn request(lanes: u8, asked: Asked) -> Request {
    Request {
        root: b"r".to_vec(),
        attributes: tree::attributes(),
        recursive: true,
        lanes,
        profile: asked.profile,
        remove_source_files: asked.removes,
        ..Request::default()
    }
}

impl Simulation {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        Self::asking(None, seed, fault)
    }

    fn asking(asked: Option<Asked>, seed: u64, fault: Option<Fault>) -> Self {
        let mut random = Random::new(seed);
        let mixed = Asked::random(&mut random);
        let asked = asked.unwrap_or(mixed);
        let source = if asked.single { Tree::single(&mut random) } else { Tree::random(&mut random) };
        let destination = match random.below(4) {
            0 => Tree::empty(),
            1 => source.clone(),
            // What else is beside a single file does not belong to the run.
            _ if asked.single => Tree::single(&mut random),
            2 => source.changed(&mut random),
            _ => Tree::random(&mut random),
        };
        let is_new = destination == Tree::empty();
        let grant = if is_new && random.once_in(2) { Grant::All } else { Grant::AsAsked };
        let lanes = 1 + random.index(3);
        let sender_asks = random.once_in(2);
        let told_by = |asks: bool| match (asked.profile, asks) {
            (false, _) => ProfileExchange::None,
            (true, true) => ProfileExchange::Ask,
            (true, false) => ProfileExchange::Answer,
        };
        let terms = ReceiverTerms {
            grant,
            recursive: true,
            single: asked.single,
            attributes: tree::attributes(),
            names: OwnerNames { users: true, groups: false },
            tree_digest_decides: !is_new,
            profile: told_by(!sender_asks),
            is_unfinished,
        };
        let mut link = Link::new(lanes);
        let lane_count = u8::try_from(lanes).unwrap();
        let settled = if sender_asks {
            link.to_sender.send(&Frame::Accept(accept(grant, lane_count)));
            SenderTerms::Asked(Box::new(request(lane_count, asked)))
        } else {
            SenderTerms::Granted { grant, profile: told_by(false), removes: asked.removes }
        };
        Self {
            sender: SenderEnd::new(source.clone(), settled, lanes, fault, &mut random),
            receiver: ReceiverEnd::new(destination, (terms, asked), lanes, fault),
            link,
            source,
            random,
            cut_after: None,
        }
    }

    /// One step of somebody; says false when nobody could do anything.
    fn step(&mut self) -> Result<bool, Violation> {
        let first = self.random.below(5);
        for at in 0..5 {
            let moved = match (first + at) % 5 {
                0 => self.sender.step(&mut self.link, &mut self.random),
                1 => self.receiver.step(&mut self.link),
                2 => self.carry_to_receiver()?,
                3 => self.carry_to_sender()?,
                _ => self.carry_pack()?,
            };
            if moved {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn carry_to_receiver(&mut self) -> Result<bool, Violation> {
        if self.link.to_receiver.is_idle() {
            return Ok(false);
        }
        let mut next = self.link.to_receiver.carry(&mut self.random).map_err(malformed)?;
        while let Some(frame) = next {
            self.receiver.frame(frame, &mut self.link)?;
            next = self.link.to_receiver.next_frame().map_err(malformed)?;
        }
        Ok(true)
    }

    fn carry_to_sender(&mut self) -> Result<bool, Violation> {
        if self.link.to_sender.is_idle() || self.sender.finished {
            return Ok(false);
        }
        let mut next = self.link.to_sender.carry(&mut self.random).map_err(malformed)?;
        while let Some(frame) = next {
            self.sender.frame(frame, &mut self.random)?;
            next = self.link.to_sender.next_frame().map_err(malformed)?;
        }
        Ok(true)
    }

    fn carry_pack(&mut self) -> Result<bool, Violation> {
        let lane = self.random.index(self.link.lanes.len());
        let Some(pack) = self.link.lanes[lane].packs.pop_front() else { return Ok(false) };
        if self.receiver.pack(lane, &pack)? {
            return Ok(true);
        }
        self.link.lanes[lane].packs.push_front(pack);
        Ok(false)
    }

    fn run(&mut self) -> End {
        let mut idle = 0;
        for step in 0.. {
            if self.cut_after == Some(step) {
                return End::Cut;
            }
            match self.step() {
                Err(violation) => return End::Violated(violation),
                Ok(true) => idle = 0,
                // A step may have missed what another draw of a lane finds.
                Ok(false) => idle += 1,
            }
            if self.sender.finished && self.receiver.has_ended() && self.link.is_idle() {
                return End::Finished;
            }
            if idle > 200 {
                return End::Stuck;
            }
        }
        unreachable!("steps do not end by themselves")
    }

    /// Judges a schedule that ended well: the destination is what the source is, but for files that failed.
    fn judge(&self) -> Result<(), String> {
        if self.receiver.waits_for_files() {
            return Err("finished with files on their way".to_owned());
        }
        let (sent, received) = (self.sender.failed.len(), self.receiver.failed.len());
        if sent != received {
            return Err(format!("{sent} files failed, {received} were reported"));
        }
        if sent == 0 && self.receiver.tree != self.source {
            return Err(format!("{:?} became {:?}", self.source, self.receiver.tree));
        }
        self.judge_removals()?;
        if let Some(path) = self.receiver.told_arrived.iter().find(|path| self.sender.left().entry(path).is_some()) {
            return Err(format!("what has arrived is still there: {path:?}"));
        }
        let mut lanes = 0..self.link.lanes.len();
        lanes.try_for_each(|lane| self.receiver.lane_ended(lane)).map_err(|broken| broken.to_string())
    }
}

impl Simulation {
    /// Whatever is no more at the source is at the destination.
    fn judge_removals(&self) -> Result<(), String> {
        let left = self.sender.left();
        for (path, entries) in &self.source.0 {
            for (name, entry) in &entries.0 {
                let is_left = left.0.get(path).is_some_and(|left| left.0.contains_key(name));
                let arrived = self.receiver.tree.0.get(path).and_then(|there| there.0.get(name));
                if !is_left && arrived != Some(entry) {
                    return Err(format!("removed and not there: {path:?} {name:?} {entry:?}, but {arrived:?}"));
                }
            }
        }
        Ok(())
    }
}

fn malformed(error: sparsync_proto::DecodeError) -> Violation {
    Violation::new(error.to_string())
}

fn base() -> u64 {
    std::env::var("SPARSYNC_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

fn schedules() -> impl Iterator<Item = u64> {
    let count = if std::env::var_os("SPARSYNC_TEST_LONG").is_some() { 100_000 } else { 2_000 };
    let base = base();
    (0..count).map(move |at: u64| base.wrapping_mul(0x0100_0000_01b3).wrapping_add(at))
}

#[test]
fn every_schedule_ends_with_the_source_at_the_destination() {
    for seed in schedules() {
        let mut simulation = Simulation::new(seed, None);
        let end = simulation.run();
        assert_eq!(end, End::Finished, "seed {seed}");
        assert_eq!(simulation.judge(), Ok(()), "seed {seed}");
    }
}

#[test]
fn every_schedule_of_a_kind_of_run_ends_so() {
    let asked = Asked::default();
    for asked in [
        asked,
        Asked { single: true, ..asked },
        Asked { removes: true, ..asked },
        Asked { deltas: true, ..asked },
        Asked { profile: true, ..asked },
    ] {
        for seed in schedules() {
            let mut simulation = Simulation::asking(Some(asked), seed, None);
            assert_eq!(simulation.run(), End::Finished, "seed {seed}, {asked:?}");
            assert_eq!(simulation.judge(), Ok(()), "seed {seed}, {asked:?}");
        }
    }
}

#[test]
fn a_link_that_breaks_at_any_step_deletes_nothing_early_and_proves_nothing() {
    for seed in schedules() {
        let steps = {
            let mut whole = Simulation::new(seed, None);
            let mut steps = 0;
            while whole.step().is_ok_and(|moved| moved) {
                steps += 1;
            }
            steps
        };
        let mut simulation = Simulation::new(seed, None);
        simulation.cut_after = Some(Random::new(seed ^ 0x00c0_ffee).below(steps + 1));
        let end = simulation.run();
        assert!(matches!(end, End::Cut | End::Finished), "seed {seed}: {end:?}");
        let receiver = &simulation.receiver;
        assert!(!receiver.deleted || !receiver.waits_for_files(), "seed {seed}: deleted before all had come");
        assert!(!simulation.sender.finished || receiver.finished, "seed {seed}: a result that nobody told");
        assert_eq!(simulation.judge_removals(), Ok(()), "seed {seed}");
    }
}

#[test]
fn every_planted_fault_is_found() {
    let faults = [
        Fault::ListingLost,
        Fault::FileTwice,
        Fault::ContentUnasked,
        Fault::WantForgotten,
        Fault::FinishedEarly,
        Fault::PartsForgotten,
        Fault::CopiedWrong,
        Fault::ArrivedEarly,
        Fault::RemovedUntold,
        Fault::ProfileForgotten,
        Fault::SingleGoesDown,
    ];
    for fault in faults {
        let found = schedules().take(2_000).find(|&seed| {
            let mut simulation = Simulation::new(seed, Some(fault));
            simulation.run() != End::Finished || simulation.judge().is_err()
        });
        assert!(found.is_some(), "{fault:?} was not found");
    }
}

/// Runs a schedule of honest ends up to some step, so that what is hostile then comes in any state.
fn up_to_some_step(seed: u64) -> Simulation {
    let mut simulation = Simulation::new(seed, None);
    for _ in 0..simulation.random.below(60) {
        assert_eq!(simulation.step().map(drop), Ok(()), "seed {seed}: honest ends agree");
    }
    simulation
}

#[test]
fn a_receiver_survives_a_sender_that_says_anything() {
    let mut taken = 0;
    for seed in schedules() {
        let mut simulation = up_to_some_step(seed);
        let was_deleted = simulation.receiver.deleted;
        for _ in 0..30 {
            let Simulation { random, receiver, link, .. } = &mut simulation;
            let outcome = if random.once_in(3) {
                let mut pack = Vec::new();
                hostile::record(random).encode(&mut pack);
                receiver.pack(random.index(link.lanes.len()), &pack).map(|_| ())
            } else {
                receiver.frame(hostile::frame_to_receiver(random), link)
            };
            if outcome.is_err() {
                break;
            }
            taken += 1;
            if simulation.random.once_in(2) && simulation.step().is_err() {
                break;
            }
        }
        let receiver = &simulation.receiver;
        if receiver.deleted && !was_deleted {
            assert!(!receiver.waits_for_files(), "seed {seed}: deleted before all had come");
        }
        let unfinished = receiver.tree.0.values().flat_map(|entries| entries.0.keys()).find(|name| is_unfinished(name));
        assert_eq!(unfinished, None, "seed {seed}: a name that is never taken");
    }
    assert!(taken > schedules().count() / 10, "too little was taken to test much: {taken}");
}

/// Directories of a hostile sender that never lists them, told until the receiver has had enough.
fn directories_without_end(grant: Grant) -> usize {
    let terms = ReceiverTerms {
        grant,
        recursive: true,
        single: false,
        attributes: tree::attributes(),
        names: OwnerNames::default(),
        tree_digest_decides: false,
        profile: ProfileExchange::None,
        is_unfinished,
    };
    let mut receiver = Receiver::new(terms);
    let mut told = 0;
    let mut tell = |path: &[u8]| {
        let record = Tree::empty().record(&RelPath::root());
        let record = Directory { path: RelPath::new(path).unwrap(), entries: 1, ..record };
        let ToReceiver::Compare { first, directories } = receiver.frame(Frame::Directories(vec![record]))? else {
            panic!("records of directories are compared");
        };
        for (number, directory) in (first..).zip(directories) {
            told += directory.path.as_bytes().len() + limits::ENTRY_BYTES;
            receiver.need(number, directory)?;
            receiver.compared(number);
        }
        receiver.questions();
        Ok::<(), Violation>(())
    };
    tell(b"").unwrap();
    let refused = (0..1_000_000).find_map(|number| tell(format!("{number:0200}").as_bytes()).err());
    assert!(refused.is_some(), "{grant:?}: directories without end are taken");
    told
}

#[test]
fn a_sender_that_lists_nothing_takes_no_memory_without_end() {
    for grant in [Grant::AsAsked, Grant::All] {
        let told = directories_without_end(grant);
        let most = limits::AWAITED_BYTES_MAX;
        assert!((most - 1000..most + 1000).contains(&told), "{grant:?}: {told}");
    }
}

#[test]
fn a_sender_survives_a_receiver_that_says_anything() {
    let mut taken = 0;
    for seed in schedules() {
        let mut simulation = up_to_some_step(seed);
        for _ in 0..30 {
            let Simulation { random, sender, .. } = &mut simulation;
            if sender.frame(hostile::frame_to_sender(random), random).is_err() || sender.finished {
                break;
            }
            taken += 1;
            if simulation.random.once_in(2) && simulation.step().is_err() {
                break;
            }
        }
        assert!(
            !simulation.sender.finished || simulation.sender.has_walked() || simulation.sender.counts_first,
            "seed {seed}: finished without its tree"
        );
    }
    assert!(taken > schedules().count() / 10, "too little was taken to test much: {taken}");
}

#[test]
fn an_end_whose_peer_falls_silent_is_let_go_by_its_deadline() {
    for seed in schedules().take(500) {
        let mut random = Random::new(seed);
        let timeout = Duration::from_millis(1 + random.below(100_000));
        let mut now = Duration::from_secs(random.below(1_000));
        let mut pulse = Pulse::new(timeout, now);
        let mut work = 0;
        // While one of the two works, the session lives.
        for _ in 0..random.below(50) {
            if random.once_in(2) {
                work += 1;
            } else {
                pulse.heard(random.next());
            }
            now += pulse.interval();
            assert_ne!(pulse.look(work, now), Beat::TimedOut, "seed {seed}");
        }
        let latest = now + timeout + 2 * pulse.interval();
        while pulse.look(work, now) != Beat::TimedOut {
            now += pulse.interval();
            assert!(now <= latest, "seed {seed}: the deadline has passed");
        }
    }
}
