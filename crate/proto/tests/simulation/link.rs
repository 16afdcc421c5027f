//! What carries frames and packs from one simulated end to the other: in order on each lane, in any order between them.

use std::collections::VecDeque;

use sparsync_proto::pack::Record;
use sparsync_proto::{Frame, FrameDecoder, Version};

use crate::random::Random;

/// Messages in bulk that a control lane holds before its sender waits.
const BULK_MAX: usize = 3;

/// Packs that a data lane holds.
const PACKS_MAX: usize = 2;

/// A control lane one way. Bytes arrive in pieces of any length.
#[derive(Default)]
pub struct ControlWay {
    urgent: VecDeque<Vec<u8>>,
    bulk: VecDeque<Vec<u8>>,
    on_the_way: VecDeque<u8>,
    decoder: FrameDecoder,
}

impl ControlWay {
    pub fn has_room(&self) -> bool {
        self.bulk.len() < BULK_MAX
    }

    pub fn send(&mut self, frame: &Frame) {
        self.urgent.push_back(encoded(frame));
    }

    pub fn send_bulk(&mut self, message: Vec<u8>) {
        self.bulk.push_back(message);
    }

    pub fn is_idle(&self) -> bool {
        self.urgent.is_empty() && self.bulk.is_empty() && self.on_the_way.is_empty()
    }

    /// Everything in bulk has been written.
    pub fn bulk_written(&self) -> bool {
        self.bulk.is_empty()
    }

    /// Carries some bytes, and gives the next frame if one is complete.
    pub fn carry(&mut self, random: &mut Random) -> Result<Option<Frame>, sparsync_proto::DecodeError> {
        if self.on_the_way.is_empty()
            && let Some(message) = self.urgent.pop_front().or_else(|| self.bulk.pop_front())
        {
            self.on_the_way.extend(message);
        }
        let count = if random.once_in(3) { 1 + random.index(40) } else { self.on_the_way.len() };
        let piece: Vec<u8> = self.on_the_way.drain(..count.min(self.on_the_way.len())).collect();
        self.decoder.feed(&piece);
        self.decoder.next_frame()
    }

    /// The next frame of those that have come whole.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, sparsync_proto::DecodeError> {
        self.decoder.next_frame()
    }
}

pub fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(Version::V1, &mut out);
    out
}

/// A data lane: packs of encoded records.
#[derive(Default)]
pub struct DataLane {
    pub packs: VecDeque<Vec<u8>>,
}

impl DataLane {
    pub fn has_room(&self) -> bool {
        self.packs.len() < PACKS_MAX
    }

    pub fn send(&mut self, records: &[Record<'_>]) {
        let mut pack = Vec::new();
        for record in records {
            record.encode(&mut pack);
        }
        self.packs.push_back(pack);
    }
}

/// All lanes of a session.
pub struct Link {
    pub to_receiver: ControlWay,
    pub to_sender: ControlWay,
    pub lanes: Vec<DataLane>,
}

impl Link {
    pub fn new(lanes: usize) -> Self {
        Self {
            to_receiver: ControlWay::default(),
            to_sender: ControlWay::default(),
            lanes: (0..lanes).map(|_| DataLane::default()).collect(),
        }
    }

    pub fn is_idle(&self) -> bool {
        self.to_receiver.is_idle() && self.to_sender.is_idle() && self.lanes.iter().all(|lane| lane.packs.is_empty())
    }
}
