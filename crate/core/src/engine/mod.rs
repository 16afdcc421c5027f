//! The engine: one sender and one receiver, over any transport. Threads and channels, no runtime.

mod account;
mod acls;
mod attributes;
mod budget;
mod buffers;
mod destination;
mod directories;
mod events;
mod failed;
mod failures;
mod frozen;
mod guard;
mod lanes;
mod need;
mod owners;
mod pack;
mod placement;
mod progress;
mod quota;
mod rate;
mod reader;
mod receiver;
mod report;
mod reserve;
mod sender;
mod session;
mod steps;
#[cfg(test)]
mod tests;
mod unset;
mod writer;
mod xattrs;
mod zeros;

pub(crate) use buffers::{share, take as take_buffer};
pub(crate) use lanes::{ControlLane, FrameSender, Pack, TransportControl, UrgentSender, control_lane, data_queues};
pub(crate) use owners::{Accounts, OwnerMap, OwnerRules};
pub(crate) use quota::{Account, Held, Quota, held, held_at};
pub(crate) use rate::Rate;
pub(crate) use reader::{Pays, SkipList, Way, settles_in};
pub(crate) use receiver::{
    Basis, BasisUse, Destination, DirLinks, HidesBasis, IsSource, ItemOptions, PutInPlace, PutOutcome, ReceiverOptions,
    Stamps, Told, WriteOptions, run_receiver,
};
pub(crate) use report::Report;
pub(crate) use reserve::SpaceReserve;
pub(crate) use sender::{Recorder, SenderEnd, SenderOptions, Source, TellsNames, run_sender};
pub(crate) use session::{Session, spawn};
pub(crate) use writer::{MayBeLinked, PartialPlace};

pub(crate) use events::EventQueue;
pub use events::{Event, EventNeeds, Failures};
