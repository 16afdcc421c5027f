//! Small files, which come whole in one record.

use std::sync::Arc;

use sparsync_proto::pack::FileId;
use sparsync_proto::{ContentDigest, Counter, IssueKind, Meta, Phase};

use super::naming::Unnamed;
use super::sparse::Zeros;
use super::{Current, LaneWriter, Writing};
use crate::engine::attributes::Target;
use crate::engine::placement::{Placement, Unplaced};
use crate::engine::progress::Announced;
use crate::error::{Error, Result};
use crate::profile::ThreadClock;
use crate::storage::{self, WriteFile, WriteStorage, cut, end_in_hole};

impl<S: WriteStorage> LaneWriter<'_, S> {
    pub(super) fn whole(
        &mut self,
        file: FileId,
        meta: Option<Meta>,
        content: &[u8],
        digest: &ContentDigest,
    ) -> Result<()> {
        let writing = self.writing;
        let (incoming, wanted, _) = self.take(file)?;
        if wanted.discarded {
            writing.directories.done(file.directory, &incoming);
            return Ok(());
        }
        let Some((_, listed, size)) = incoming.file(file.index) else {
            return Err(Error::protocol("a file that was not listed").remote());
        };
        Announced::new(size).moved(writing.session, Counter::bytes_transferred, content.len() as u64);
        let meta = meta.map_or(*listed, |meta| writing.owners.meta(&meta));
        writing.take_growth(size, 0, content.len() as u64)?;
        writing.take_space(content.len() as u64)?;
        self.clock.enter(Phase::hash);
        if !writing.trusts_sender && blake3::hash(content).as_bytes() != digest {
            return self.give_up(file, &incoming, IssueKind::Integrity, "what arrived is not what was read".to_owned());
        }
        let Self { current: Some(current), clock, .. } = self else {
            return Err(Error::internal("no current directory"));
        };
        let target = writing
            .policy
            .content_target(&meta, incoming.xattrs(file.index), wanted.old_mode)
            .with_atime(incoming.atime(file.index));
        let target = if target.starts_wider() { target.with_bits(|| writing.root.umask()) } else { target };
        let placement = writing.placement(wanted.old_is_directory);
        match write(writing, current, clock, file, (placement, wanted.old_mode), &target, content) {
            Ok(unnamed) => self.complete(unnamed),
            Err(error) => self.write_failed(file, &incoming, error),
        }
    }
}

/// Writes the content of a new file, or `over` an old one, with holes for its zeros when that is asked for.
fn put(file: &impl WriteFile, content: &[u8], sparse: bool, over: bool) -> storage::Result<()> {
    let bytes = content.len() as u64;
    let mut end = bytes;
    if sparse {
        end = super::sparse::write(file, content, 0, over.then_some(&mut Zeros::default()))?.unwrap_or(0);
    } else {
        file.write(content, 0)?;
    }
    if over {
        cut(file, end)?;
    }
    if end == bytes { Ok(()) } else { end_in_hole(file, bytes) }
}

/// Writes a whole file and sets its attributes.
fn write<S: WriteStorage>(
    writing: &Writing<'_, S>,
    current: &mut Current<S::Directory>,
    clock: &mut ThreadClock,
    file: FileId,
    (placement, old_mode): (Placement, Option<u16>),
    target: &Target<'_>,
    content: &[u8],
) -> storage::Result<Unnamed<S::Directory>> {
    clock.enter(Phase::create);
    let directory = current.directory.as_ref().map_err(|error| *error)?;
    let incoming = &current.incoming;
    let name = incoming.file(file.index).map_or(&[][..], |(name, ..)| name);
    if let Some((unplaced, open)) = writing.begin_in_place(&incoming.path, directory, (name, old_mode), false)? {
        clock.enter(Phase::write);
        writing.reserve(&open, content.len() as u64)?;
        put(&open, content, writing.sparse, true)?;
        clock.enter(Phase::attributes);
        let unset = writing.policy.set(&target.reopened(), &open.handle(), None);
        return Ok(Unnamed { incoming: Arc::clone(incoming), file, unplaced, open: Some(open), unset });
    }
    let (mut unplaced, mut open) = writing.in_directory(&current.incoming.path, directory, |directory| {
        Unplaced::file(placement, (directory, writing.staging.as_ref()), writing.names.next(), target.start())
    })?;
    clock.enter(Phase::write);
    let reserved = writing.reserve(&open, content.len() as u64);
    let written = reserved.and_then(|()| put(&open, content, writing.sparse, false));
    let path = &current.incoming.path;
    if let Err(error) = written.and_then(|()| writing.bring(path, (&mut unplaced, &mut open), target.start())) {
        unplaced.discard();
        return Err(error);
    }
    clock.enter(Phase::attributes);
    let handle = open.handle();
    let found = current.given.to(target, &handle);
    let unset = writing.policy.set(target, &handle, found);
    drop(handle);
    Ok(Unnamed { incoming: Arc::clone(&current.incoming), file, unplaced, open: Some(open), unset })
}
