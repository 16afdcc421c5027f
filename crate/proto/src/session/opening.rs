//! Reads the first frames of a control lane, by which an acceptor learns what it is for.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::violation::Violation;
use crate::frame::{Accept, Frame, Grant};
use crate::limits::REQUEST_PATHS_BYTES_MAX;
use crate::options::{Direction, MissingSources, SourcePath};
use crate::path::RelPath;
use crate::paths::{PathSet, Paths};
use crate::request::Request;
use crate::version::Version;

/// The purpose for which an initiator opened a control lane.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A session.
    Session(Box<Request>),
    /// The entries of a directory, or the names of the roots.
    List {
        /// The root; empty for the names of the roots.
        root: Vec<u8>,
        /// The directory below it.
        path: RelPath,
    },
    /// What stands at one path.
    Stat {
        /// The root.
        root: Vec<u8>,
        /// The path below it.
        path: RelPath,
    },
    /// The initiator's key is to be authorized, by the secret of an invitation.
    Join(Vec<u8>),
}

/// Checks the acceptance of a request at the end that made it: an acceptor may only narrow the request.
///
/// # Errors
/// An acceptance that widens the request or does not belong to it.
pub fn check_accept(request: &Request, accept: &Accept) -> Result<(), Violation> {
    if accept.lanes == 0 || accept.lanes > request.lanes {
        return Err(Violation::new("more data lanes than were asked for"));
    }
    if accept.count_first && (request.direction == Direction::Pull || request.space_checked || request.dry_run) {
        return Err(Violation::new("asked to count twice"));
    }
    if request.direction == Direction::Push {
        return Ok(());
    }
    if accept.grant == Grant::All && !request.grant_all {
        return Err(Violation::new("more content than was granted"));
    }
    check_selected(request, accept)?;
    check_missing(request, accept)?;
    let asked_for = request.path.split_last();
    let asked_for = asked_for.as_ref().map(|(_, name)| name.as_bytes());
    if accept.file_name.is_some() && accept.file_name.as_deref() != asked_for {
        return Err(Violation::new("a file of another name than was asked for"));
    }
    Ok(())
}

/// The name under which the only source of a pull arrives, if the source may be missing.
fn only_name(request: &Request) -> Option<RelPath> {
    let may_be_gone = request.into && request.sources.is_empty() && request.missing_sources != MissingSources::Fail;
    request.path.last_name().filter(|_| may_be_gone)
}

/// Checks which sources the acceptor calls missing: only those may be deleted as such.
fn check_missing(request: &Request, accept: &Accept) -> Result<(), Violation> {
    if accept.missing.is_empty() {
        return Ok(());
    }
    let sources = request.sources.iter().filter_map(|source| source.arrives_at(request.into));
    let is_told = request.missing_sources == MissingSources::Delete && {
        let asked_for: HashSet<RelPath> = sources.chain(only_name(request)).chain(request.selected.iter()).collect();
        accept.missing.iter().all(|path| asked_for.contains(&path))
    };
    if !is_told {
        return Err(Violation::new("a source that is missing and was not asked for"));
    }
    Ok(())
}

/// Checks the paths that the acceptor says the destination gets: a run of entries with paths of their own must not
/// reach the entries beside those.
fn check_selected(request: &Request, accept: &Accept) -> Result<(), Violation> {
    let asked_for = |source: &SourcePath| source.arrives_at(request.into).or_else(|| source.path.last_name());
    let mut paths: Vec<RelPath> = request.sources.iter().filter_map(asked_for).collect();
    // A requested path may be a symlink that is followed, and so become the directory to which it leads.
    let follows = request.copy_links || request.copy_dir_links || request.copy_unsafe_links;
    paths.extend(request.path.last_name().filter(|_| request.sources.is_empty() && request.into && follows));
    paths.extend(only_name(request));
    if accept.selected.iter().any(|path| !paths.contains(&path)) {
        return Err(Violation::new("a path that was not asked for"));
    }
    let is_entry = |source: &SourcePath| source.arrives_at(request.into).is_some();
    if accept.selected.is_empty() && !request.sources.is_empty() && request.sources.iter().all(is_entry) {
        return Err(Violation::new("more of the top than was asked for"));
    }
    if accept.file_name.is_some() && !(request.sources.is_empty() && request.selected.is_empty()) {
        return Err(Violation::new("a single file for several sources"));
    }
    Ok(())
}

/// The first frames of a control lane, as the acceptor reads them: a hello, then the request.
#[derive(Clone, Debug, Default)]
pub enum Opening {
    /// Nothing has come.
    #[default]
    Silent,
    /// The hello has come, with the common version, or else with those of the initiator.
    Greeted(Result<Version, RangeInclusive<u16>>),
    /// Paths of a request have come, and the rest of it is to follow.
    Listing {
        /// The version that both ends speak.
        version: Version,
        /// The paths that are selected.
        selected: Paths,
        /// Those that are listed.
        listed: Paths,
        /// Stamps of a plan.
        planned: Paths,
    },
    /// The request has come, and no further frame may be taken here.
    Done,
}

impl Opening {
    /// Takes the next frame. Gives the request, and the version to speak, once they are known.
    ///
    /// # Errors
    /// A frame that has no place here.
    pub fn frame(&mut self, frame: Frame) -> Result<Option<(Version, Opened)>, Violation> {
        if let (Self::Listing { .. }, Frame::Paths { .. } | Frame::Request(_)) = (&*self, &frame) {
            return self.listing(frame);
        }
        match (&*self, frame) {
            (&Self::Greeted(Ok(version)), frame @ Frame::Paths { .. }) => {
                let (selected, listed, planned) = (Paths::default(), Paths::default(), Paths::default());
                *self = Self::Listing { version, selected, listed, planned };
                self.listing(frame)
            }
            (Self::Silent, Frame::Hello { oldest, newest }) => {
                *self = Self::Greeted(Version::agree(oldest, newest).ok_or(oldest..=newest));
                Ok(None)
            }
            (&Self::Greeted(Ok(version)), Frame::Request(request)) => {
                *self = Self::Done;
                Ok(Some((version, Opened::Session(request))))
            }
            (&Self::Greeted(Ok(version)), Frame::ListRequest { root, path }) => {
                *self = Self::Done;
                Ok(Some((version, Opened::List { root, path })))
            }
            (&Self::Greeted(Ok(version)), Frame::StatRequest { root, path }) => {
                *self = Self::Done;
                Ok(Some((version, Opened::Stat { root, path })))
            }
            (&Self::Greeted(Ok(version)), Frame::Join(secret)) => {
                *self = Self::Done;
                Ok(Some((version, Opened::Join(secret))))
            }
            (_, frame) => Err(Violation::misplaced(&frame)),
        }
    }

    /// Takes a frame of a request that began with its paths.
    fn listing(&mut self, frame: Frame) -> Result<Option<(Version, Opened)>, Violation> {
        const TOO_MANY: &str = "paths of a request that do not ascend, or too many";
        let Self::Listing { version, selected, listed, planned } = self else {
            return Err(Violation::misplaced(&frame));
        };
        match frame {
            Frame::Paths { set, paths } => {
                if paths.is_empty() {
                    return Err(Violation::new("a frame of paths without any"));
                }
                let before = selected.bytes() + listed.bytes() + planned.bytes();
                let list = match set {
                    PathSet::Selected => selected,
                    PathSet::Listed => listed,
                    PathSet::Planned => planned,
                };
                let fits = before + paths.bytes() <= REQUEST_PATHS_BYTES_MAX;
                if fits && list.append(&paths) { Ok(None) } else { Err(Violation::new(TOO_MANY)) }
            }
            Frame::Request(mut request) => {
                let version = *version;
                let sets =
                    [(selected, &mut request.selected), (listed, &mut request.listed), (planned, &mut request.planned)];
                for (told, last) in sets {
                    if !told.append(last) {
                        return Err(Violation::new(TOO_MANY));
                    }
                    *last = std::mem::take(told);
                }
                *self = Self::Done;
                Ok(Some((version, Opened::Session(request))))
            }
            frame => Err(Violation::misplaced(&frame)),
        }
    }

    /// The versions of an initiator that shares none with this end: no further frame is read from it.
    #[must_use]
    pub const fn versions_not_shared(&self) -> Option<&RangeInclusive<u16>> {
        match self {
            Self::Greeted(Err(theirs)) => Some(theirs),
            Self::Silent | Self::Greeted(Ok(_)) | Self::Listing { .. } | Self::Done => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Opened, Opening, check_accept};
    use crate::frame::{Accept, Frame};
    use crate::options::{Direction, MissingSources, SourcePath};
    use crate::path::RelPath;
    use crate::paths::{PathSet, Paths};
    use crate::request::Request;
    use crate::version::Version;

    #[test]
    fn a_wish_comes_once_and_after_a_hello() {
        let wish = || Frame::ListRequest { root: Vec::new(), path: RelPath::root() };
        assert!(Opening::default().frame(wish()).is_err());
        let mut opening = Opening::default();
        assert!(opening.frame(Frame::Hello { oldest: 1, newest: 7 }).is_ok_and(|opened| opened.is_none()));
        assert_eq!(opening.versions_not_shared(), None);
        assert!(opening.clone().frame(Frame::Hello { oldest: 1, newest: 7 }).is_err());
        assert!(matches!(opening.frame(wish()), Ok(Some((Version::V1, Opened::List { .. })))));
        assert!(opening.frame(wish()).is_err());
    }

    #[test]
    fn paths_may_come_before_their_request_in_order_and_within_their_bound() {
        let path = |at: usize| RelPath::new(format!("{at:0200}").as_bytes()).unwrap();
        let greeted = || Opening::Greeted(Ok(Version::V1));
        let selected = Paths::new((0..6000).map(path).collect()).unwrap();
        let asked = Request { selected, listed: Paths::new(vec![path(7)]).unwrap(), ..Request::default() };
        let frames = Frame::asking_for(&asked);
        assert!(frames.len() > 4);
        let mut opening = greeted();
        let mut opened = None;
        for frame in frames.clone() {
            assert!(opened.is_none());
            opened = opening.frame(frame).unwrap();
        }
        assert!(matches!(opened, Some((Version::V1, Opened::Session(request))) if *request == asked));
        assert!(opening.frame(Frame::Request(Box::default())).is_err());
        // Again, in another order, without an end, and for something else than a run.
        let mut opening = greeted();
        assert!(opening.frame(frames[1].clone()).is_ok());
        assert!(opening.clone().frame(frames[1].clone()).is_err());
        assert!(opening.clone().frame(frames[0].clone()).is_err());
        let list = Frame::ListRequest { root: Vec::new(), path: RelPath::root() };
        assert!(opening.frame(list).is_err());
        let mut opening = greeted();
        let endless = (0..).map(|at| Frame::Paths { set: PathSet::ALL[at % 3], paths: wide(at) });
        assert!(endless.take(80).any(|frame| opening.frame(frame).is_err()));
        assert!(greeted().frame(Frame::Paths { set: PathSet::Selected, paths: Paths::default() }).is_err());
        let small = Request { selected: Paths::new(vec![path(1)]).unwrap(), ..Request::default() };
        assert_eq!(Frame::asking_for(&small).len(), 1);
    }

    /// As many paths as fit a frame, behind those of every smaller number.
    fn wide(number: usize) -> Paths {
        let path = |at: usize| RelPath::new(format!("{number:010}{at:0190}").as_bytes()).unwrap();
        Paths::new((0..2600).map(path).collect()).unwrap()
    }

    #[test]
    fn an_acceptance_reaches_no_more_than_was_asked_for_cve_2022_29154_cve_2026_53789() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let paths = |all: &[&[u8]]| Paths::new(all.iter().map(|bytes| path(bytes)).collect()).unwrap();
        let entries = |into| Request {
            direction: Direction::Pull,
            sources: [&b"d/a"[..], b"b"]
                .map(|bytes| SourcePath { path: path(bytes), ..SourcePath::default() })
                .to_vec(),
            into,
            ..Request::default()
        };
        let contents = SourcePath { path: path(b"c"), contents: true, ..SourcePath::default() };
        let mixed = Request { sources: [entries(true).sources, vec![contents]].concat(), ..entries(true) };
        let below = |bytes| SourcePath { path: path(bytes), relative_to: Some(1), ..SourcePath::default() };
        let relative = Request { sources: vec![below(b"d/a/b"), below(b"d/c")], ..entries(true) };
        let single = Request { direction: Direction::Pull, path: path(b"a"), ..Request::default() };
        for (request, top, is_fine) in [
            (&entries(true), &[&b"a"[..], b"b"][..], true),
            (&entries(true), &[b"b"], true),
            (&entries(true), &[b"a", b"x"], false),
            (&entries(true), &[], false),
            (&entries(false), &[], true),
            (&mixed, &[], true),
            (&relative, &[b"a/b", b"c"], true),
            (&relative, &[b"a/b"], true),
            (&relative, &[b"a"], false),
            (&relative, &[], false),
            (&single, &[], true),
            (&single, &[b"a"], false),
        ] {
            let accept = Accept { selected: paths(top), ..Accept::default() };
            assert_eq!(check_accept(request, &accept).is_ok(), is_fine, "{request:?} {top:?}");
        }
        let accept = Accept { file_name: Some(b"a".to_vec()), ..Accept::default() };
        assert!(check_accept(&entries(false), &accept).is_err());
        assert!(check_accept(&single, &accept).is_ok());
    }

    #[test]
    fn without_a_common_version_nothing_more_is_taken() {
        let mut opening = Opening::default();
        assert!(opening.frame(Frame::Hello { oldest: 900, newest: 901 }).is_ok());
        assert_eq!(opening.versions_not_shared(), Some(&(900..=901)));
        assert!(opening.frame(Frame::ListRequest { root: Vec::new(), path: RelPath::root() }).is_err());
    }

    #[test]
    fn only_sources_that_were_asked_for_may_be_missing() {
        let path = |bytes: &[u8]| RelPath::new(bytes).unwrap();
        let asked = |missing_sources| Request {
            direction: Direction::Pull,
            path: path(b"a/gone"),
            into: true,
            missing_sources,
            ..Request::default()
        };
        let told = |bytes: &[u8]| Accept {
            selected: Paths::new(vec![path(b"gone")]).unwrap(),
            missing: Paths::new(vec![path(bytes)]).unwrap(),
            ..Accept::default()
        };
        assert!(check_accept(&asked(MissingSources::Delete), &told(b"gone")).is_ok());
        assert!(check_accept(&asked(MissingSources::Delete), &told(b"other")).is_err());
        assert!(check_accept(&asked(MissingSources::Delete), &told(b"gone/below")).is_err());
        assert!(check_accept(&asked(MissingSources::Ignore), &told(b"gone")).is_err());
        assert!(check_accept(&asked(MissingSources::Fail), &told(b"gone")).is_err());
    }
}
