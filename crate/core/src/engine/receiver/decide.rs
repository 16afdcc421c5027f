//! Decides what happens to each entry of a directory.

use std::collections::HashMap;

use sparsync_proto::limits::DELTA_BYTES_MIN;
use sparsync_proto::session::Pending;
use sparsync_proto::{
    Action, At, Basis, Counter, Entry, InForce, IssueKind, Kind, Listing, Name, Reasons, RelPath, Resume, Step, Xattrs,
    is_acl, is_foreign_xattr, plan,
};

use super::basis::{BasisDirectories, FromBasis};
use super::delete::PROTECTED;
use super::links::Followers;
use super::make::counter_without_content;
use super::moves::PutOff;
use super::older::Older;
use super::{Extra, Receiver};
use crate::engine::directories::{Incoming, Wanted};
use crate::engine::failed::Lost;
use crate::error::{Error, Result};
use crate::storage::{Access, Backups, PartialId, Scan, WriteStorage, is_empty, look_at};

/// The content that is asked for in a directory, and the entries that wait.
#[derive(Default)]
struct Decided {
    wanted: Vec<(u32, Wanted)>,
    /// The parts that are held of those files.
    resume: Vec<Resume>,
    /// Files of which there is an older state.
    bases: Vec<Basis>,
    /// Bases that are not in the place of the file itself.
    older: Older,
    followers: Followers,
    /// Whether the directory's own time changes by these steps.
    touched: bool,
    /// The source's entries that do not arrive, ascending.
    left: Vec<usize>,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Decides on every entry of a directory.
    pub(super) fn decide(&mut self, number: u32, pending: Pending) -> Result<()> {
        let Pending { path, meta, xattrs, listing } = pending;
        let (meta, mut listing) = (self.directory_meta(&path, &meta), self.options.owners.listing(listing));
        let xattrs = self.options.owners.xattrs(&xattrs);
        self.check_taken(&path, &listing)?;
        if self.options.attributes.safe_links {
            // The receiver decides itself which symlinks are unsafe, whatever the sender has listed.
            listing.leave_unsafe_links(path.components().count());
        }
        self.refuse_hidden_entries(&path, &listing)?;
        self.tell_dropped_xattrs(&xattrs, &listing)?;
        if let Some(links) = &mut self.links {
            links.take(&path, &listing)?;
        }
        let mut old = self.old.remove(&number);
        let single = self.destination.file_name.is_some().then(|| listing.entries().first()).flatten();
        let source_name = single.map(|entry| listing.name(entry).to_vec());
        let listing = match &self.destination.file_name {
            // A single file may have another name here. If the listing is empty, the peer has told why.
            Some(name) if !listing.is_empty() => {
                listing.renamed(name).ok_or_else(|| Error::internal("a name that cannot be given"))?
            }
            _ => listing,
        };
        if let Some(lost) = self.failed.covering(&path) {
            return self.pass_over(number, path, listing, lost);
        }
        if let Some(old) = &mut old {
            self.look_at_left_out(old, &listing)?;
            self.take_as_at_the_source(old, &listing)?;
        }
        let bases = self.look_at_bases(&path, &listing, old.as_deref());
        let is_new = old.is_none() || (path.is_root() && self.destination.created);
        if let Some(all) = &mut self.source_names {
            all.push((path.clone(), listing.clone()));
        }
        if is_new
            && !self.is_single()
            && let Some(kind) = self.make_new_directory(&path, (meta, &xattrs), bases.as_ref())?
        {
            self.failed.insert(path.clone(), kind);
            return self.pass_over(number, path, listing, Lost::Failed(kind));
        }
        // A new directory takes over the default ACL of the one above, which may grant more than the source does.
        if is_new && (!xattrs.is_empty() || self.options.rules.attributes.acls) {
            self.set_directory_xattrs(&path, (&meta, &xattrs), true);
        }
        let Decided { wanted, resume, bases: offered, older, followers, touched, left } =
            self.take_steps(&path, &listing, old.as_deref(), bases.as_ref())?;
        self.note_arriving((&path, &listing), left, old.as_deref(), source_name.as_deref());
        if let Some(old) = &old {
            let kept = |id: &PartialId| {
                wanted
                    .iter()
                    .any(|(_, wanted): &(u32, Wanted)| wanted.resume.is_some_and(|(resumed, _)| resumed == *id))
            };
            self.sweep(old, kept, meta);
        }
        if touched && !is_new && !self.is_single() {
            self.settle_attrs(&path, meta, false);
        }
        let settles = !is_new && !self.is_single();
        self.keep_followers(&path, settles.then_some(meta), followers);
        self.ask_now_or_later(PutOff { number, path, listing, wanted, resume, bases: offered, older }, &xattrs)
    }

    /// Carries out, or begins, the step of each entry of a directory.
    fn take_steps(
        &mut self,
        path: &RelPath,
        listing: &Listing,
        old: Option<&Scan>,
        bases: Option<&BasisDirectories>,
    ) -> Result<Decided> {
        let empty = Listing::new();
        let old_listing = old.map_or(&empty, |old| &old.listing);
        let mut steps = Vec::new();
        plan(&self.options.rules, listing, old_listing, |step| steps.push(step));
        let mut decided = Decided::default();
        let mut kept_from = 0;
        for step in steps {
            if let Some(source) = step.source() {
                self.tell_kept(path, listing, (kept_from, source))?;
                kept_from = source + 1;
            }
            let step = match step {
                Step::Link { source, old: at, reasons } => {
                    let old = old.zip(at);
                    let Some(step) =
                        self.follow(path, (listing, source), (old, bases), reasons, &mut decided.followers)?
                    else {
                        continue;
                    };
                    step
                }
                step => step,
            };
            decided.touched |= match step {
                Step::Link { .. } => return Err(Error::internal("a link in place of a link")),
                Step::Make { source, old: at, reasons } => {
                    let before = at.and_then(|at| old_listing.get(at));
                    let taken = match bases {
                        Some(bases) => self.take_from_basis(bases, path, (listing, source), before)?,
                        None => FromBasis::Nothing,
                    };
                    let (reasons, same_name) = match taken {
                        FromBasis::Settled(touched) => {
                            // An entry that was not made has not arrived here, and must not be noted as arriving.
                            if !touched {
                                decided.left.push(source);
                            }
                            decided.touched |= touched;
                            continue;
                        }
                        FromBasis::Differs(reasons, same_name) => (reasons, same_name),
                        FromBasis::Nothing => (reasons, None),
                    };
                    self.make(path, listing, source, before, reasons, (old, same_name), &mut decided)?
                }
                Step::Adjust { source, reasons } => self.adjust(path, listing, source, reasons)?,
                Step::Skip { source, reasons } => {
                    decided.left.push(source);
                    self.skip(path, listing, source, reasons)?
                }
                Step::Extra { old: at } => old.is_some_and(|old| !self.is_foreign(old.device) && self.extra(old, at)),
            };
        }
        self.tell_kept(path, listing, (kept_from, listing.len()))?;
        Ok(decided)
    }

    /// Whether nothing is deleted in a directory, because it is of another file system.
    pub(super) fn is_foreign(&self, device: u64) -> bool {
        self.options.one_file_system && self.top_device.is_some_and(|top| top != device)
    }

    /// Refuses entries that do not belong to the run: the destination's entries of these names must not be touched.
    fn check_taken(&self, path: &RelPath, listing: &Listing) -> Result<()> {
        let matcher = &*self.options.judge.matcher;
        if matcher.takes_all_below(path) {
            return Ok(());
        }
        let is_foreign = |entry: &&Entry| !matcher.may_be_sent(path, listing.name(entry), entry.kind);
        match listing.entries().iter().find(is_foreign) {
            Some(entry) => Err(Error::protocol("an entry that does not belong to the run")
                .remote()
                .at(&path.join_bytes(listing.name(entry)))),
            None => Ok(()),
        }
    }

    /// Refuses each entry that the operator of this end hides.
    fn refuse_hidden_entries(&mut self, path: &RelPath, listing: &Listing) -> Result<()> {
        let judge = &self.options.judge;
        if !judge.matcher.has_hidden() || self.failed.covering(path).is_some() {
            return Ok(());
        }
        let at = At::new(path, judge.above());
        for entry in listing.entries() {
            let name = listing.name(entry);
            if judge.matcher.hides(&at, name, entry.kind)
                && let Ok(name) = Name::new(name)
            {
                self.refuse_hidden(path.join(name))?;
            }
        }
        Ok(())
    }

    /// Takes entries of the destination for those that the source has by their names, where options or the file system
    /// say so.
    fn take_as_at_the_source(&mut self, old: &mut Scan, listing: &Listing) -> Result<()> {
        self.take_devices(old, listing);
        self.take_spellings(old, listing)?;
        self.take_dir_links(old, listing)
    }

    /// Looks at these entries of a directory of the destination.
    pub(super) fn look_at_names(&self, path: &RelPath, names: &[&[u8]]) -> Result<Scan> {
        let Some(root) = &self.destination.root else { return Err(Error::internal("no destination to look at")) };
        let options = (self.options.attributes, &self.options.judge, self.options.sums());
        let looked = self.within(path, || look_at(root, path, names.iter().copied(), options));
        looked.map_err(|error| Error::io("cannot look at the destination", path.as_bytes(), error.into()))
    }

    /// Looks at entries of the directory that the sender lists and that the rules of this end left out.
    fn look_at_left_out(&mut self, old: &mut Scan, listing: &Listing) -> Result<()> {
        let matcher = &self.options.judge.matcher;
        if !old.leaves_out || !(matcher.ends_differ() || matcher.asks_kinds()) {
            return Ok(());
        }
        let is_hidden = |name: &[u8]| self.failed.contains_entry(&old.path, name);
        let missing: Vec<&[u8]> = listing.names_beyond(&old.listing).filter(|name| !is_hidden(name)).collect();
        if missing.is_empty() || self.destination.root.is_none() {
            return Ok(());
        }
        let mut found = self.look_at_names(&old.path, &missing)?;
        if !found.listing.is_empty() {
            // Entries cannot be added to a listing, so one is made of the names known before and those found now.
            let known =
                |listing: &'_ Listing| listing.entries().iter().map(|e| listing.name(e).to_vec()).collect::<Vec<_>>();
            let names = [known(&old.listing), known(&found.listing)].concat();
            let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            old.listing = self.look_at_names(&old.path, &names)?.listing;
        }
        old.issues = std::mem::take(&mut found.issues);
        self.tell_issues(old)?;
        Ok(())
    }

    /// Reports all entries of a directory that failed, or that is below one that did, except sub-directories, which
    /// come here by themselves.
    fn pass_over(&mut self, number: u32, path: RelPath, listing: Listing, lost: Lost) -> Result<()> {
        const WHY: &str = "the directory above it could not be made or looked at";
        for entry in listing.entries() {
            self.leave_alone(&path, listing.name(entry));
        }
        let Lost::Failed(kind) = lost else { return self.want(number, path, listing, &[], Default::default()) };
        if !self.failed.contains(&path) {
            self.issue(kind, path.as_bytes().to_vec(), WHY)?;
        }
        for entry in listing.entries() {
            if entry.kind.has_attributes() {
                self.issue(kind, path.join_bytes(listing.name(entry)), WHY)?;
            }
        }
        self.want(number, path, listing, &[], Default::default())
    }

    /// Asks for the files of a directory.
    pub(super) fn want(
        &mut self,
        number: u32,
        path: RelPath,
        listing: Listing,
        wanted: &[(u32, Wanted)],
        (resume, bases, older): (Vec<Resume>, Vec<Basis>, Older),
    ) -> Result<()> {
        let mut files: Vec<u32> = wanted.iter().map(|(index, _)| *index).collect();
        let bytes = files
            .iter()
            .filter_map(|&index| listing.get(index as usize))
            .map(|entry| entry.size)
            .fold(0, u64::saturating_add);
        self.session.count(Counter::bytes_to_transfer, bytes);
        if self.options.dry_run {
            self.session.count(Counter::files_transferred, files.len() as u64);
            self.count_need(&listing, wanted, &resume);
            files.clear();
        } else {
            self.changed |= !files.is_empty();
            let incoming = Incoming::new(path, listing, wanted).made_of(older.found, older.moved);
            let grants_all = self.machine.grants_all();
            self.directories.expect(number, if grants_all { incoming.discarding_the_rest(wanted) } else { incoming });
        }
        if let Some(frame) = self.machine.bases(number, bases).filter(|_| !self.options.dry_run) {
            self.control.send(&frame)?;
        }
        let Some(frame) = self.machine.want(number, files, resume) else {
            self.directories.decided(number + 1);
            return Ok(());
        };
        self.directories.decided(u32::MAX);
        self.control.send(&frame)
    }

    /// Counts the room that files take at the least, whatever their order.
    fn count_need(&mut self, listing: &Listing, wanted: &[(u32, Wanted)], resume: &[Resume]) {
        let held: HashMap<u32, u64> = resume.iter().map(|held| (held.index, held.bytes)).collect();
        for &(index, Wanted { old_mode, old_bytes, .. }) in wanted {
            let Some(entry) = listing.get(index as usize) else { continue };
            if self.options.writes.in_place.is_some() && old_mode.is_some() {
                self.need.written_over(entry.size, old_bytes);
            } else {
                let held = held.get(&index).copied().unwrap_or(0);
                self.need.replaced(entry.size.saturating_sub(held), old_bytes);
            }
        }
        self.session.set(Counter::bytes_needed, self.need.bytes());
    }

    /// Makes an entry, or asks for its content. Says whether the directory's own time changes by it.
    #[expect(clippy::too_many_arguments, reason = "the two results are filled side by side, entry by entry")]
    fn make(
        &mut self,
        path: &RelPath,
        listing: &Listing,
        index: usize,
        before: Option<&Entry>,
        reasons: Reasons,
        (old, same_name): (Option<&Scan>, Option<(usize, u64)>),
        decided: &mut Decided,
    ) -> Result<bool> {
        let Some(entry) = listing.get(index) else { return Ok(false) };
        let name = listing.name(entry);
        if self.failed.contains_entry(path, name) {
            // Something stands there that could not be looked at.
            self.leave_alone(path, name);
            return Ok(false);
        }
        if before.is_none() {
            self.guard.created();
            self.session.count(Counter::entries_to_create, 1);
            self.count_new(entry.kind, reasons);
        }
        if entry.kind == Kind::Directory {
            // A directory is made when its own listing comes.
            self.take_quota(0, before)?;
            return Ok(true);
        }
        let full = path.join_bytes(name);
        let old_is_directory = before.is_some_and(|before| before.kind == Kind::Directory);
        if old_is_directory && let Some(conflict) = self.why_it_stays(path, &full, old) {
            self.leave_alone(path, name);
            self.issue(IssueKind::Conflict, full, conflict)?;
            return Ok(false);
        }
        let file_before = before.filter(|before| before.kind == Kind::File && entry.kind == Kind::File);
        let appends_to = file_before.filter(|_| self.options.writes.append);
        if appends_to.is_some_and(|before| before.size >= entry.size) {
            self.leave_alone(path, name);
            self.session.count(Counter::files_skipped, 1);
            self.item(Action::Skip, (listing, entry), reasons, || full)?;
            decided.left.push(index);
            return Ok(false);
        }
        if old_is_directory {
            self.tell_would_give_way(&full)?;
        }
        self.note_made(path, name, before);
        let size = if entry.kind == Kind::File { entry.size } else { 0 };
        self.take_quota(size, before)?;
        // An entry without a reason is equal to that of a basis, and is taken from there.
        if !reasons.is_empty() {
            let action = match before {
                None if reasons.intersects(Reasons::MISSING) => Action::Create,
                None if entry.kind != Kind::File => Action::Copy,
                _ => Action::Update,
            };
            self.item(action, (listing, entry), reasons, || full)?;
        } else if self.options.tells_copies() {
            self.item(Action::Copy, (listing, entry), reasons, || full)?;
        }
        if let Some(counter) = counter_without_content(entry.kind) {
            if self.options.dry_run {
                self.session.count(counter, 1);
            } else {
                self.make_without_content(path, (listing, index), entry, old_is_directory, counter)?;
            }
            return Ok(true);
        }
        let index = u32::try_from(index).map_err(|_| Error::internal("a listing beyond its cap"))?;
        let before = (before, appends_to);
        self.ask_for(path, (listing, index), before, (old, same_name), decided);
        Ok(true)
    }

    /// Asks for the content of a file, and says which part of it is held. `appends_to` is the file that it is added to.
    fn ask_for(
        &self,
        path: &RelPath,
        (listing, index): (&Listing, u32),
        (before, appends_to): (Option<&Entry>, Option<&Entry>),
        (old, same_name): (Option<&Scan>, Option<(usize, u64)>),
        decided: &mut Decided,
    ) {
        let Some(entry) = listing.get(index as usize) else { return };
        let name = listing.name(entry);
        let old_file = before.filter(|before| before.kind == Kind::File);
        let mut wanted = Wanted {
            old_mode: old_file.map(|old| old.meta.mode),
            old_bytes: old_file.map_or(0, |old| old.size),
            old_is_directory: before.is_some_and(|before| before.kind == Kind::Directory),
            ..Wanted::default()
        };
        let mut held = None;
        if let Some(before) = appends_to {
            held = self.held_in_place(path, name, before.size);
            wanted.held_in_place = held.map(|(bytes, _)| bytes);
        } else if (self.options.writes.in_place.is_none() || wanted.old_mode.is_none())
            // A part would take the place of what is to be written over.
            && let Some((id, bytes, digest)) = old.and_then(|old| self.held_part(path, old, name, entry))
        {
            held = Some((bytes, digest));
            wanted.resume = Some((id, bytes));
        }
        if let Some((bytes, digest)) = held {
            decided.resume.push(Resume { index, bytes, digest });
        }
        if let Some(before) = before.filter(|before| self.is_basis(before, entry)) {
            wanted.has_basis = true;
            decided.bases.push(Basis { index, bytes: before.size });
        } else if before.is_none()
            && wanted.resume.is_none()
            && self.may_be_made_of_another(entry)
            && let Some(bytes) = self.find_older(path, (listing, index), (old, same_name), &mut decided.older)
        {
            wanted.has_basis = true;
            decided.bases.push(Basis { index, bytes });
        }
        decided.wanted.push((index, wanted));
    }

    /// Whether the entry in the place of a file is offered to the sender as a basis, so that common content does not
    /// travel.
    fn is_basis(&self, before: &Entry, entry: &Entry) -> bool {
        let are_files = before.kind == Kind::File && entry.kind == Kind::File;
        self.options.writes.delta && are_files && before.size.min(entry.size) >= DELTA_BYTES_MIN
    }

    /// Why the directory at `path` of `parent` may not give way to something else.
    pub(super) fn why_it_stays(&mut self, parent: &RelPath, path: &[u8], old: Option<&Scan>) -> Option<&'static str> {
        if let Some(old) = old.filter(|_| self.options.judge.matcher.ends_differ()) {
            self.in_force.insert(parent.clone(), old.in_force.clone());
        }
        let may_be_full = self.options.deletion.delete || self.options.deletion.force;
        if self.backups().is_some_and(Backups::are_beside) && !self.is_empty_directory(path) {
            return Some("a directory that is not empty is in its place, and would be full of backups");
        }
        if !may_be_full && !self.is_empty_directory(path) {
            return Some("a directory that is not empty is in its place; delete or force removes it");
        }
        let nothing = InForce::default();
        self.holds_protected(path, old.map_or(&nothing, |old| &old.in_force)).then_some(PROTECTED)
    }

    /// Takes the room of an entry that is made, in place of `before` where there was one.
    pub(super) fn take_quota(&self, bytes: u64, before: Option<&Entry>) -> Result<()> {
        // An entry that goes to the backups takes as much room there as before.
        let before = before.filter(|_| self.destination.aside.backups.is_none());
        self.options.quota.as_ref().map_or(Ok(()), |quota| quota.take_entry(bytes, before.map(|before| before.size)))
    }

    /// Gives back what [`Receiver::take_quota`] has taken, of an entry that was not made.
    pub(super) fn give_quota_back(&self, bytes: u64, before: Option<&Entry>) {
        let before = before.filter(|_| self.destination.aside.backups.is_none());
        if let Some(quota) = &self.options.quota {
            quota.give_entry_back(bytes, before.map(|before| before.size));
        }
    }

    pub(super) fn is_empty_directory(&self, path: &[u8]) -> bool {
        let (Some(root), Ok(path)) = (&self.destination.root, RelPath::new(path)) else { return false };
        let directory = self.within(&path, || root.open(&path, Access::Read));
        directory.and_then(|directory| is_empty(&directory)).unwrap_or(false)
    }

    fn skip(&mut self, path: &RelPath, listing: &Listing, index: usize, reasons: Reasons) -> Result<bool> {
        let Some(entry) = listing.get(index) else { return Ok(false) };
        let full = path.join_bytes(listing.name(entry));
        self.leave_alone(path, listing.name(entry));
        self.session.count(Counter::files_skipped, 1);
        self.item(Action::Skip, (listing, entry), reasons, || full.clone())?;
        if let (Kind::Directory, true, Ok(path)) =
            (entry.kind, reasons.intersects(Reasons::MISSING.union(Reasons::TYPE)), RelPath::new(&full))
        {
            self.failed.not_made(path);
        }
        if reasons.intersects(Reasons::APPEND_ONLY) {
            self.issue(IssueKind::Scope, full, "it differs, and the key may only add new names")?;
        } else if entry.kind != Kind::Special && reasons.intersects(Reasons::SPECIAL) {
            // The sender has told of entries that were not asked for.
            self.tell_not_made(full)?;
        }
        Ok(false)
    }

    /// Tells of a FIFO, a socket or a device that was asked for and is not made here: once if the key lacks a right,
    /// and as rsync for each if no right would help.
    fn tell_not_made(&mut self, path: Vec<u8>) -> Result<()> {
        const RIGHT: &str = "special files are not preserved: the key lacks the right \"special\" at the server";
        const ADDS: &str =
            "devices are not preserved: a key with \"append\" in place of \"write\" makes none at the server";
        if self.options.special_right && self.options.rules.append_only {
            return self.tell_right(IssueKind::SpecialRight, ADDS);
        }
        if self.options.special_right {
            return self.issue(IssueKind::Special, path, "skipping non-regular file: only root makes devices");
        }
        self.tell_right(IssueKind::SpecialRight, RIGHT)
    }

    /// Tells of the rights that are missing for attributes that the source has.
    fn tell_dropped_xattrs(&mut self, directory: &Xattrs, listing: &Listing) -> Result<()> {
        const XATTRS: &str =
            "extended attributes outside \"user.\" are not preserved: the key lacks the right \"xattrs\" at the server";
        const ACLS: &str = "ACLs are not preserved: the key lacks the right \"acls\" at the server";
        let (asked, carried) = (&self.options.attributes, &self.options.rules.attributes);
        let is_untold = |kind| !self.rights_told.contains(&kind);
        let no_xattrs = asked.foreign_xattrs && !self.options.xattr_right && is_untold(IssueKind::XattrRight);
        let no_acls = asked.acls && !carried.acls && is_untold(IssueKind::AclRight);
        if !(no_xattrs || no_acls) {
            return Ok(());
        }
        let has = |counts: fn(&[u8]) -> bool| {
            let of_entries = listing.all_fields().map(|(_, fields)| &fields.xattrs);
            of_entries.chain([directory]).flat_map(Xattrs::iter).any(|(name, _)| counts(name))
        };
        if no_xattrs && has(is_foreign_xattr) {
            self.tell_right(IssueKind::XattrRight, XATTRS)?;
        }
        if no_acls && has(is_acl) { self.tell_right(IssueKind::AclRight, ACLS) } else { Ok(()) }
    }

    fn extra(&mut self, old: &Scan, at: usize) -> bool {
        let Some((name, kind)) = old.listing.get(at).map(|entry| (old.listing.name(entry), entry.kind)) else {
            return false;
        };
        let Ok(name) = Name::new(name) else { return false };
        if !self.options.deletion.delete || !self.goes(&At::new(&old.path, &old.in_force), name, kind) {
            return false;
        }
        self.guard.extra(1 + self.counted_below(old, name));
        // A removal changes the directory's own time, and an entry that has to stay does not.
        let (path, is_directory) = (old.path.join(name), kind == Kind::Directory);
        let stays = self.holds_protected(path.as_bytes(), &old.in_force);
        self.extras.push(Extra { path, is_directory, in_force: old.in_force.clone() });
        !stays
    }
}
