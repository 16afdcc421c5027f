//! What a decoded frame holds in memory, so that a queue of them can be bounded by it.

use super::{Frame, WireError};
use crate::frame::Detail;
use crate::request::Request;

impl Frame {
    /// Bytes of memory that the frame holds, as near as its lists and texts tell.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Hello { .. }
                | Self::StatReply(_)
                | Self::TreeDigest(_)
                | Self::TreeEnd { .. }
                | Self::Settled(_)
                | Self::Removed
                | Self::Heartbeat(_)
                | Self::Bwlimit(_) => 0,
                Self::Request(request) => request_bytes(request),
                Self::Paths { paths, .. } => paths.memory_bytes(),
                Self::Accept(accept) => accept.selected.memory_bytes() + accept.missing.memory_bytes(),
                Self::Directories(all) => list(all, |one| one.path.as_bytes().len() + one.xattrs.as_bytes().len()),
                Self::List { listing, .. } => listing.memory_bytes(),
                Self::Need(numbers) => list(numbers, |_| 0),
                Self::Want { files, resume, .. } => list(files, |_| 0) + list(resume, |_| 0),
                Self::Bases { bases, .. } => list(bases, |_| 0),
                Self::Chunks { chunks, .. } => list(chunks, |_| 0),
                Self::Owners(names) => list(names, |name| name.name.len()),
                Self::Items(items) => list(items, |item| {
                    let leader = item.leader.as_ref();
                    let details = item.details.as_ref();
                    item.path.len()
                        + leader.map_or(0, |leader| size_of_val(&**leader) + leader.as_bytes().len())
                        + details.map_or(0, |details| size_of_val(&**details) + details.target.len())
                }),
                Self::Arrived { entries, .. } => list(entries, |entry| entry.path.as_bytes().len()),
                Self::Issue(issue) => issue.path.len() + issue.message.len(),
                Self::Finished { counters, refused } => list(counters, |_| 0) + refused.as_ref().map_or(0, error),
                Self::Abort(refused) => error(refused),
                Self::Join(bytes) | Self::Joined(bytes) => bytes.len(),
                Self::ListRequest { root, path } | Self::StatRequest { root, path } => {
                    root.len() + path.as_bytes().len()
                }
                Self::ListReply { entries, .. } => list(entries, |entry| entry.name.len()),
                Self::Explained(explanation) => {
                    size_of::<super::Explanation>()
                        + explanation.path.as_bytes().len()
                        + explanation.rule.capacity()
                        + explanation.file.as_ref().map_or(0, Vec::capacity)
                }
                Self::Profile(profile) => {
                    list(&profile.figures, |_| 0)
                        + list(&profile.threads, |thread| {
                            thread.name.len() + list(&thread.phases, |phase| phase.steps.len())
                        })
                }
            }
    }
}

fn request_bytes(request: &Request) -> usize {
    let more = list(&request.sources, |source| source.path.as_bytes().len());
    size_of::<Request>()
        + request.root.len()
        + request.path.as_bytes().len()
        + request.filter.memory_bytes()
        + request.selected.memory_bytes()
        + request.listed.memory_bytes()
        + request.missing.memory_bytes()
        + request.compare_dest.memory_bytes()
        + request.copy_dest.memory_bytes()
        + request.link_dest.memory_bytes()
        + request.reflink_dest.memory_bytes()
        + request.temp_dir.capacity()
        + request.partial_dir.capacity()
        + request.backup_dir.capacity()
        + request.suffix.as_ref().map_or(0, Vec::capacity)
        + request.chmod.memory_bytes()
        + request.user_map.memory_bytes()
        + request.group_map.memory_bytes()
        + more
}

/// The memory of a list, and of each of its members.
fn list<T>(all: &Vec<T>, held: impl Fn(&T) -> usize) -> usize {
    all.capacity() * size_of::<T>() + all.iter().map(held).sum::<usize>()
}

fn error(error: &WireError) -> usize {
    let detail =
        |(name, value): &(String, Detail)| name.len() + if let Detail::Text(text) = value { text.len() } else { 0 };
    error.message.len() + error.path.as_ref().map_or(0, Vec::len) + list(&error.details, detail)
}
