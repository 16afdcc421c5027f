//! The state machines: a peer says any frame at any time, and the end that runs the machine answers as an engine may.
//! What the machine lets through is checked against a second account of what was said.

use std::collections::{BTreeMap, BTreeSet};

use sparsync_proto::codec::Reader;
use sparsync_proto::pack::Record;
use sparsync_proto::session::{
    Lane, LaneStep, Listed, Opened, Opening, ProfileExchange, Receiver, ReceiverTerms, Sender, SenderTerms, ToReceiver,
    ToSender,
};
use sparsync_proto::{Attributes, Frame, Grant, Kind, Listing, Meta, Name, OwnerNames, Version};

const FRAME_BYTES: usize = 1 << 16;

/// The next frame, after its length.
fn next_frame(reader: &mut Reader<'_>) -> Option<Frame> {
    Frame::decode(Version::V1, reader.bytes(FRAME_BYTES, "frame").ok()?).ok()
}

fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(b".sps-")
}

fn grant(bits: u8) -> Grant {
    if bits & 1 == 0 { Grant::AsAsked } else { Grant::All }
}

fn profile(bits: u8) -> ProfileExchange {
    match bits >> 1 & 3 {
        0 => ProfileExchange::Ask,
        1 => ProfileExchange::Answer,
        _ => ProfileExchange::None,
    }
}

/// The first frames of a control lane.
pub(super) fn opening(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut opening = Opening::default();
    let mut opened = 0;
    while let Some(frame) = next_frame(&mut reader) {
        match opening.frame(frame) {
            Ok(Some((_, Opened::Session(_) | Opened::List { .. } | Opened::Stat { .. } | Opened::Join(_)))) => {
                opened += 1;
            }
            Ok(None) => assert_eq!(opened, 0, "nothing comes after what is wanted"),
            Err(_) => return,
        }
        assert!(opened <= 1, "one lane is for one thing");
    }
}

/// A receiver: a byte of terms, then frames of the sender, each after a byte that says how this end answers.
#[allow(clippy::too_many_lines, reason = "one arm for each thing that a peer can say")]
pub(super) fn receiver(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Ok(terms) = reader.byte("terms") else { return };
    let single = terms & 8 != 0;
    let mut machine = Receiver::new(ReceiverTerms {
        grant: grant(terms),
        recursive: terms & 16 == 0,
        single,
        attributes: Attributes {
            links: terms & 32 == 0,
            specials: terms & 32 == 0,
            devices: terms & 32 == 0,
            xattrs: terms & 32 == 0,
            foreign_xattrs: terms & 16 == 0,
            acls: terms & 8 == 0,
            ..Attributes::default()
        },
        names: OwnerNames { users: terms & 32 == 0, groups: terms & 32 == 0 },
        tree_digest_decides: terms & 64 == 0,
        profile: profile(terms),
        is_unfinished,
    });
    let mut told = BTreeMap::new();
    let mut decided = BTreeSet::new();
    let mut ended = false;
    loop {
        let Ok(answer) = reader.byte("answer") else { return };
        let Some(frame) = next_frame(&mut reader) else { return };
        let Ok(step) = machine.frame(frame) else { return };
        match step {
            ToReceiver::Compare { first, directories } => {
                assert!(!ended, "directories after the end of the tree");
                for (number, directory) in (first..).zip(directories) {
                    assert!(told.insert(number, directory.entries).is_none(), "a number is given once");
                    let above = directory.path.split_last().map(|(_, name)| is_unfinished(name.as_bytes()));
                    assert_ne!(above, Some(true), "an unfinished name as a directory");
                    if answer & 1 == 0 && machine.need(number, directory).is_err() {
                        return;
                    }
                    machine.compared(number);
                }
                machine.questions();
            }
            ToReceiver::Decide { directory, pending } => {
                assert!(decided.insert(directory), "a listing is complete once");
                assert_eq!(told.get(&directory).map(|entries| *entries as usize), Some(pending.listing.len()));
                for entry in pending.listing.entries() {
                    assert!(!is_unfinished(pending.listing.name(entry)));
                    assert!(!(single && entry.kind == Kind::Directory));
                }
                machine.want(directory, Vec::new(), Vec::new());
            }
            ToReceiver::CompareTree(_) if answer & 1 == 0 => {
                machine.tree_is_equal();
                machine.finish(Vec::new(), None);
            }
            ToReceiver::TreeEnd { entries, .. } => {
                assert!(!std::mem::replace(&mut ended, true), "a tree ends once");
                assert_eq!(entries, told.values().map(|entries| u64::from(*entries)).sum::<u64>());
            }
            ToReceiver::CompareTree(_)
            | ToReceiver::Nothing
            | ToReceiver::Unmounted(_)
            | ToReceiver::LeftOut(_)
            | ToReceiver::Owners(_)
            | ToReceiver::Issue(_)
            | ToReceiver::Removed
            | ToReceiver::Profile(_) => {}
        }
        assert_eq!(machine.directories() as usize, told.len());
        if answer & 2 == 0 && machine.has_compared() {
            machine.finish(Vec::new(), None);
        }
    }
}

/// A directory with two files, a directory and a symlink.
fn held() -> Listing {
    let mut listing = Listing::new();
    let entries = [(b"a", Kind::File), (b"b", Kind::Directory), (b"c", Kind::File), (b"d", Kind::Symlink)];
    for (name, kind) in entries {
        let name = Name::new(name).expect("a name");
        assert!(listing.push(name, kind, 1, Meta::default(), b"target"));
    }
    listing
}

/// A sender: a byte of terms, then steps: of its own, or frames of the receiver.
#[allow(clippy::too_many_lines, reason = "one arm for each thing that a peer can say")]
pub(super) fn sender(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Ok(terms) = reader.byte("terms") else { return };
    let terms = if terms & 8 == 0 {
        SenderTerms::Granted { grant: grant(terms), profile: profile(terms), removes: true }
    } else {
        let Some(Frame::Request(request)) = next_frame(&mut reader) else { return };
        SenderTerms::Asked(request)
    };
    let directory = held();
    let mut machine = Sender::new(terms);
    let (mut told, mut sent, mut walked) = (0, 0, false);
    let mut lists = BTreeSet::new();
    let mut listed = BTreeSet::new();
    loop {
        match reader.byte("step") {
            Ok(0) if !walked => {
                machine.told(&directory);
                told += 1;
            }
            Ok(1) => {
                sent = told;
                lists.extend(machine.records_sent());
            }
            Ok(2) => {
                walked = true;
                machine.walked();
            }
            Ok(3) => {
                if let Some(number) = lists.pop_first() {
                    match machine.list(number) {
                        Some(Listed::Asked(_)) => assert!(listed.insert(number), "a listing goes out once"),
                        Some(Listed::WithContent(_)) => assert!(machine.grants_all()),
                        None => {}
                    }
                }
            }
            Ok(_) => {
                let Some(frame) = next_frame(&mut reader) else { return };
                let Ok(step) = machine.frame(frame) else { return };
                match step {
                    ToSender::Accepted(unasked) => lists.extend(unasked),
                    ToSender::List(numbers) => {
                        assert!(numbers.iter().all(|number| *number < sent && !machine.grants_all()));
                        lists.extend(numbers);
                    }
                    ToSender::Send { directory, held, files, .. } => {
                        assert!(listed.remove(&directory), "content follows a listing, once");
                        for file in files {
                            assert_eq!(held.get(file as usize).map(|entry| entry.kind), Some(Kind::File));
                        }
                    }
                    ToSender::Finished { .. } => {
                        assert!(walked, "a result before the end of the walk");
                        return;
                    }
                    ToSender::CountFirst { .. } => return,
                    ToSender::Remove { more, .. } => {
                        if !more {
                            machine.removed();
                        }
                    }
                    ToSender::Settled
                    | ToSender::Nothing
                    | ToSender::Chunks { .. }
                    | ToSender::Items(_)
                    | ToSender::Issue(_)
                    | ToSender::Profile(_) => {}
                }
            }
            Err(_) => return,
        }
    }
}

/// A data lane: records of packs, each after a byte that says how much of a file that begins is held.
pub(super) fn lane(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut lane = Lane::default();
    let mut open: Option<(_, u64)> = None;
    while let Ok(held) = reader.byte("held") {
        let Ok(record) = Record::decode(&mut reader) else { break };
        let Ok(step) = lane.record(record) else { return };
        match step {
            LaneStep::Begin { file } => {
                assert!(open.replace((file, 0)).is_none());
                lane.holds(u64::from(held));
                let starts = if held == 0 { Vec::new() } else { vec![0, u64::from(held / 2)] };
                lane.has_basis(u64::from(held), starts, 2 * u64::from(held));
            }
            LaneStep::Restart { file } => {
                assert_eq!(open.replace((file, 0)).map(|(was, _)| was), Some(file));
            }
            LaneStep::Literal { at, bytes } => advance(&mut open, at, bytes.len() as u64),
            LaneStep::Hole { at, bytes } => advance(&mut open, at, bytes),
            LaneStep::Copy { bytes } => {
                assert!(u8::try_from(bytes).is_ok(), "more than is held");
                advance(&mut open, 0, bytes);
            }
            LaneStep::CopyFrom { at, offset, bytes } => {
                assert!(u8::try_from(offset + bytes).is_ok(), "more than there is");
                advance(&mut open, at, bytes);
            }
            LaneStep::CopyPieces { at, pieces, .. } => {
                assert!(pieces.iter().all(|(start, bytes)| u8::try_from(start + bytes).is_ok()));
                advance(&mut open, at, pieces.iter().map(|(_, bytes)| bytes).sum());
            }
            LaneStep::Mark | LaneStep::Grown { .. } => assert!(open.is_some()),
            LaneStep::End { file, bytes, .. } => assert_eq!(open.take(), Some((file, bytes))),
            LaneStep::Whole { .. } | LaneStep::Sign { .. } | LaneStep::Ask { .. } => assert!(open.is_none()),
            LaneStep::Failed { file, was_open, .. } => {
                assert_eq!(open.take().map(|(was, _)| was), was_open.then_some(file));
            }
        }
    }
    assert_eq!(lane.end().is_ok(), open.is_none());
}

fn advance<F>(open: &mut Option<(F, u64)>, at: u64, bytes: u64) {
    let (_, end) = open.as_mut().expect("content belongs to an open file");
    assert_eq!(*end, at, "no gap, and nothing twice");
    *end += bytes;
}
