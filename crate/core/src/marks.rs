//! Marks of the sources of a push, by which a server on the same machine knows their directories again.
//!
//! A mark is a keyed hash of a directory's device and inode. The key comes from the number that the kernel makes at
//! each boot and tells nobody outside: elsewhere, and after the next boot, a mark says nothing.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::LazyLock;

use rustix::fs::Stat;
use sparsync_proto::limits::{SOURCE_MARK_BYTES, SOURCES_MAX};
use sparsync_proto::{RelPath, Request};

use crate::engine::IsSource;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::Root;
use crate::prepare::open_own;
use crate::sources::Source;
use crate::storage::Access;

type Mark = [u8; SOURCE_MARK_BYTES];

/// Bytes at the start of a mark that are the same for all marks of one boot of a machine: marks of another machine are
/// known by them, and no tree is walked for those.
const BOOT_BYTES: usize = 4;

/// Makes the marks of this machine until it is started again.
struct Marker {
    key: [u8; blake3::KEY_LEN],
}

impl Marker {
    /// None if the kernel does not tell the identity of the boot, which no process outlives.
    fn of_this_boot() -> Option<&'static Self> {
        static MARKER: LazyLock<Option<Marker>> = LazyLock::new(|| {
            let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok().filter(|boot| !boot.is_empty())?;
            Some(Marker { key: blake3::derive_key("sparsync 2026 marks of source directories", &boot) })
        });
        MARKER.as_ref()
    }

    /// How each mark of this boot begins.
    fn boot(&self) -> [u8; BOOT_BYTES] {
        let mut boot = [0; BOOT_BYTES];
        blake3::Hasher::new_keyed(&self.key).finalize_xof().fill(&mut boot);
        boot
    }

    fn mark(&self, directory: &Stat) -> Mark {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&directory.st_dev.to_le_bytes()).update(&directory.st_ino.to_le_bytes());
        let mut mark = Mark::default();
        mark[..BOOT_BYTES].copy_from_slice(&self.boot());
        hasher.finalize_xof().fill(&mut mark[BOOT_BYTES..]);
        mark
    }

    fn mark_of(&self, directory: impl AsFd) -> Option<Mark> {
        rustix::fs::fstat(directory).ok().map(|directory| self.mark(&directory))
    }
}

/// Whether a run may remove directories, its sources among them.
fn may_lose(request: &Request) -> bool {
    let deletion = &request.deletion;
    (deletion.delete || deletion.force) && !deletion.allow_mass
}

/// The marks of the sources that are directories, for a request that may delete, and of the directories that sources
/// are in, for one that removes them; else none.
pub(crate) fn marks(source: &Source, request: &Request) -> Vec<u8> {
    if !may_lose(request) && !request.removes_sources() {
        return Vec::new();
    }
    let Some(marker) = Marker::of_this_boot() else { return Vec::new() };
    let parts = source.root.parts();
    let tops = parts.iter().filter(|_| request.removes_sources()).filter_map(|part| marker.mark_of(part.top().fd()));
    let directories = parts.iter().filter(|_| may_lose(request)).filter_map(|part| match &part.name {
        None => marker.mark_of(part.root.fd()),
        Some(name) => marker.mark_of(part.root.open_directory(&RelPath::new(name).ok()?, Access::Reach).ok()?),
    });
    let mut seen = HashSet::new();
    tops.chain(directories).filter(|mark| seen.insert(*mark)).take(SOURCES_MAX).flatten().collect()
}

/// The mark of the directory at `path` that a pull goes to, if it removes its sources; else none. The path may end with
/// the name of the only source, which need not exist there.
pub(crate) fn mark_of_destination(path: &[u8], request: &Request) -> Vec<u8> {
    let Some(marker) = request.removes_sources().then(Marker::of_this_boot).flatten() else { return Vec::new() };
    let Ok((directory, rest)) = open_own(path, Root::reach_trusted) else { return Vec::new() };
    let name = request.path.last_name().filter(|_| request.sources.is_empty());
    let is_there = rest.is_root() || Some(rest) == name;
    marker.mark_of(directory.fd()).filter(|_| is_there).map_or_else(Vec::new, Vec::from)
}

/// Refuses a run that would remove sources which are entries of the destination: by the marks of a push below the
/// destination's root, by those of a pull in its sources' directories.
pub(crate) fn refuse_removal<'a>(request: &Request, directories: impl Iterator<Item = &'a Root>) -> Result<()> {
    let marks: &[Mark] = request.source_marks.as_chunks().0;
    let Some(marker) = (request.removes_sources() && !marks.is_empty()).then(Marker::of_this_boot).flatten() else {
        return Ok(());
    };
    for directory in directories {
        if marker.mark_of(directory.fd()).is_some_and(|mark| marks.contains(&mark)) {
            return Err(only_copy());
        }
    }
    Ok(())
}

/// The error of a run that would remove the only copy: its source is its destination.
pub(crate) fn only_copy() -> Error {
    Error::new(ErrorKind::Config, "a source is what stands at the destination: to remove it would remove the only copy")
}

/// Finds the marks of a request below `destination`; none where there are none to look for.
pub(crate) fn known_again(request: &Request, destination: &Root) -> Option<IsSource> {
    if request.source_marks.is_empty() || !may_lose(request) {
        return None;
    }
    let marker = Marker::of_this_boot()?;
    let mut marks: Vec<Mark> = request.source_marks.as_chunks().0.to_vec();
    let boot = marker.boot();
    marks.retain(|mark| mark.starts_with(&boot));
    if marks.is_empty() {
        return None;
    }
    let root = destination.descend_to_reach(&RelPath::root()).ok()?;
    Some(Box::new(move |path| {
        let directory = root.open_directory(path, Access::Reach).ok();
        directory.and_then(|directory| marker.mark_of(directory)).is_some_and(|mark| marks.contains(&mark))
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use sparsync_proto::{Deletion, RelPath, Request};

    use super::{Marker, known_again, marks};
    use crate::fs::Root;

    #[test]
    fn a_source_is_known_again_where_it_lies_and_only_in_a_run_that_may_delete_it() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("above/source")).unwrap();
        let path = |name: &[u8]| RelPath::new(name).unwrap();
        let source = crate::sources::own_source(top.path().join("above/source").as_os_str().as_bytes(), true);
        let source = crate::sources::single(source.unwrap());
        let mut request = Request { deletion: Deletion { delete: true, ..Deletion::default() }, ..Request::default() };
        request.source_marks = marks(&source, &request);
        assert_eq!(request.source_marks.len(), 16);
        let root = Root::open(top.path().as_os_str().as_bytes()).unwrap();
        let is_source = known_again(&request, &root).unwrap();
        let places = [&b"above/source"[..], b"above", b"", b"none"];
        assert_eq!(places.map(|place| is_source(&path(place))), [true, false, false, false]);

        let here = std::mem::take(&mut request.source_marks);
        request.source_marks = Marker { key: [0; 32] }.mark(&rustix::fs::stat("/").unwrap()).to_vec();
        assert!(known_again(&request, &root).is_none(), "marks of another machine");
        request.source_marks = here;

        request.deletion.allow_mass = true;
        assert!(known_again(&request, &root).is_none());
        assert!(marks(&source, &request).is_empty());
    }

    #[test]
    fn another_boot_makes_other_marks() {
        let directory = rustix::fs::stat("/").unwrap();
        let [one, other] = [1, 2].map(|byte| Marker { key: [byte; 32] });
        assert_ne!(one.mark(&directory), other.mark(&directory));
        assert_ne!(one.boot(), other.boot());
    }
}
