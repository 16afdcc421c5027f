//! Handles each frame of the receiver.

use std::sync::mpsc;

use sparsync_proto::session::{ProfileExchange, ToSender};
use sparsync_proto::{Counter, Frame, Phase};

use super::jobs::JobQueues;
use super::{Answers, SenderEnd, Shared, queue_lists, remove};
use crate::engine::account::tell_profile;
use crate::engine::lanes::FrameReceiver;
use crate::error::{Error, Result};
use crate::profile::ThreadClock;
use crate::storage::Storage;

/// Handles the receiver's frames until it has finished.
pub(super) fn dispatch(
    shared: &Shared<'_, impl Storage>,
    rx: &mut FrameReceiver,
    (to_list, jobs, answers): (mpsc::Sender<u32>, JobQueues<'_>, &Answers<'_>),
    clock: &mut ThreadClock,
) -> Result<SenderEnd> {
    loop {
        clock.enter(Phase::wait_frame);
        let Some(frame) = rx.blocking_recv() else { return Err(shared.session.lane_ended()) };
        clock.enter(Phase::list);
        shared.session.worked(1);
        if let Frame::Accept(accept) = &frame {
            shared.session.agree(accept.version);
        }
        let mut machine = shared.machine();
        match machine.frame(frame)? {
            ToSender::Accepted(unasked) => queue_lists(&to_list, unasked),
            ToSender::List(numbers) => queue_lists(&to_list, numbers),
            ToSender::CountFirst { free_bytes, free_entries } => {
                return Ok(SenderEnd::CountFirst { free_bytes, free_entries });
            }
            ToSender::Send { directory, held, files, resume, bases } => {
                drop(machine);
                let sizes = files.iter().filter_map(|&index| held.scan.listing.get(index as usize));
                shared.session.count(Counter::bytes_to_transfer, sizes.map(|entry| entry.size).sum());
                jobs.push(directory, &held, files, (&resume, &bases), shared.session);
            }
            ToSender::Chunks { file, more, chunks } => answers.take(file, more, chunks),
            ToSender::Nothing | ToSender::Settled => {}
            ToSender::Items(items) => {
                drop(machine);
                if let Some(events) = &shared.options.events {
                    for item in items {
                        events.item(item, shared.session);
                    }
                }
            }
            ToSender::Issue(issue) => {
                if let Some(events) = &shared.options.events {
                    events.issue(issue);
                }
            }
            ToSender::Remove { more, entries } => {
                drop(machine);
                remove::remove(shared, entries)?;
                if !more {
                    let removed = shared.machine().removed();
                    shared.control.send(&removed)?;
                }
            }
            ToSender::Profile(profile) => shared.session.set_peer_profile(*profile)?,
            ToSender::Finished { counters, refused } => {
                let tells = machine.profile() == ProfileExchange::Answer;
                drop(machine);
                if tells {
                    tell_profile(shared.session, &shared.control)?;
                    // A frame that is not written when a sender's session ends is lost.
                    shared.control.wait_until_written(shared.session)?;
                }
                // An acceptor has its own counters of what it has sent.
                if shared.options.events.is_some() {
                    shared.session.set_counters(&counters);
                }
                return Ok(SenderEnd::Finished(refused.map(Error::from_wire)));
            }
        }
    }
}
