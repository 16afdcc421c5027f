//! Digests of content that earlier runs have made, for runs that compare content and ask for them: one file in the
//! state directory.
//!
//! A digest counts for the very state of a file that was hashed: its file system, inode, length, and both times to the
//! nanosecond. It says that a file need not be sent, never that something was written.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, OFlags, flock};
use sparsync_proto::{ContentDigest, Request, Time};

use crate::state::StateDir;
use crate::storage::{Status, Sums};

/// The first bytes of the file.
const MAGIC: &[u8; 16] = b"sparsync sums 1\n";

/// Bytes of a record, and of the digest of all records at the end of the file.
const RECORD_BYTES: usize = 80;
const DIGEST_BYTES: usize = 32;

/// How many files are remembered: 40 MiB.
const RECORDS_MAX: usize = 1 << 19;

/// How old a file's last change must be when it is hashed. A younger file may be changed again without a new time: in
/// the same tick of the clock, or through a memory map that the kernel has not written back yet.
const MARGIN: Duration = Duration::from_secs(60 * 60);

/// File systems whose ctime a program can set, or that have no ctime of their own.
const WEAK: [&str; 10] = ["vfat", "msdos", "exfat", "ntfs", "ntfs3", "cifs", "smb3", "9p", "virtiofs", "hfsplus"];

/// What identifies a file: its device and inode.
type Key = (u64, u64);

/// The digest of a file, and the state for which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    size: u64,
    mtime: Time,
    ctime: Time,
    digest: ContentDigest,
    /// This run has hashed the file or asked about it.
    is_used: bool,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Key, Known>,
    is_changed: bool,
    /// The file of digests that was read or written last, by its inode and times.
    seen: Option<(u64, i64, i64)>,
    /// Devices of file systems whose times say too little.
    weak: HashSet<u64>,
}

/// The known digests of this machine's files.
#[derive(Debug)]
pub(crate) struct KnownSums {
    file: PathBuf,
    inner: Mutex<Inner>,
}

/// The digests for a run of this user, where it asks for them; or why there are none.
pub(crate) fn sums_of(request: &Request) -> (Option<Arc<dyn Sums>>, Option<String>) {
    if !request.checksum_cache || !request.attributes.compares_content() {
        return (None, None);
    }
    let Some(state) = StateDir::of_user() else {
        return (None, Some("no checksum cache: the environment names no state directory".to_owned()));
    };
    match shared(&state.sums()) {
        Ok(sums) => (Some(sums), None),
        Err((folder, error)) => (None, Some(format!("no checksum cache in {}: {error}", folder.display()))),
    }
}

/// The same for all runs of this process.
fn shared(file: &Path) -> Result<Arc<KnownSums>, (PathBuf, io::Error)> {
    static LAST: Mutex<Weak<KnownSums>> = Mutex::new(Weak::new());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sums) = last.upgrade().filter(|sums| sums.file == file) {
        return Ok(sums);
    }
    let folder = || file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let sums = Arc::new(KnownSums::open(file.to_path_buf()).map_err(|error| (folder(), error))?);
    *last = Arc::downgrade(&sums);
    Ok(sums)
}

impl KnownSums {
    /// Reads the known digests. Fails if none could be kept.
    fn open(file: PathBuf) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let _lock = lock(&file)?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut inner = Inner { weak: weak_in(&mounts), ..Inner::default() };
        inner.add(&file);
        Ok(Self { file, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums for KnownSums {
    fn find(&self, status: &Status) -> Option<ContentDigest> {
        let mut inner = self.inner();
        let known = inner.known.get_mut(&key_of(status))?;
        let is_same = (known.size, known.mtime, known.ctime) == (status.size, status.meta.mtime, status.stamp.ctime);
        is_same.then(|| {
            known.is_used = true;
            known.digest
        })
    }

    fn keep(&self, status: &Status, begun: SystemTime, digest: &ContentDigest) {
        let (mtime, ctime) = (status.meta.mtime, status.stamp.ctime);
        if !is_settled(mtime, begun) || !is_settled(ctime, begun) {
            return;
        }
        let mut inner = self.inner();
        let key = key_of(status);
        if inner.weak.contains(&status.device) {
            return;
        }
        if inner.known.len() >= RECORDS_MAX && !inner.known.contains_key(&key) {
            // Records of earlier runs make room for those of this one.
            inner.known.retain(|_, known| known.is_used);
            if inner.known.len() >= RECORDS_MAX {
                return;
            }
        }
        inner.known.insert(key, Known { size: status.size, mtime, ctime, digest: *digest, is_used: true });
        inner.is_changed = true;
    }

    fn save(&self) {
        let mut inner = self.inner();
        if std::mem::take(&mut inner.is_changed) {
            // A record that cannot be written costs the next run time, and must not fail this run.
            let _ = write(&self.file, &mut inner);
            // From here on, records count as used if later runs of this process use them.
            inner.known.values_mut().for_each(|known| known.is_used = false);
        }
    }
}

/// The devices of weak file systems, from the kernel's list of mounts.
fn weak_in(mounts: &str) -> HashSet<u64> {
    let device_of = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let kind = kind.split(' ').next()?;
        let is_weak = WEAK.contains(&kind) || kind.starts_with("fuse");
        let (major, minor) = place.split(' ').nth(2).filter(|_| is_weak)?.split_once(':')?;
        Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
    };
    mounts.lines().filter_map(device_of).collect()
}

fn key_of(status: &Status) -> Key {
    (status.device, status.stamp.ino)
}

/// Whether a file with this time cannot be changed any more without getting another one.
fn is_settled(time: Time, begun: SystemTime) -> bool {
    let Ok(begun) = begun.duration_since(UNIX_EPOCH) else { return false };
    let Some(latest) = begun.checked_sub(MARGIN) else { return false };
    let (seconds, nanos) = (i64::try_from(latest.as_secs()).unwrap_or(0), latest.subsec_nanos());
    (time.seconds, time.nanos) < (seconds, nanos)
}

impl Inner {
    /// Adds the digests of a file for which there are none here. A file that is not private, is torn or has another
    /// version counts as empty.
    fn add(&mut self, file: &Path) {
        let Some((content, seen)) = read(file) else { return };
        self.seen = Some(seen);
        for (key, known) in records(&content).into_iter().flatten() {
            if let Entry::Vacant(entry) = self.known.entry(key) {
                entry.insert(known);
            }
        }
    }

    /// The digests to be saved: those that this run has used, and of the others as many as fit.
    fn kept(&self) -> Vec<u8> {
        let of = |used: bool| self.known.iter().filter(move |(_, known)| known.is_used == used);
        let mut content = MAGIC.to_vec();
        for (key, known) in of(true).chain(of(false)).take(RECORDS_MAX) {
            let numbers =
                [key.0, key.1, known.size, known.mtime.seconds.cast_unsigned(), known.ctime.seconds.cast_unsigned()];
            content.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            content.extend([known.mtime.nanos, known.ctime.nanos].iter().flat_map(|nanos| nanos.to_le_bytes()));
            content.extend(known.digest);
        }
        let digest = blake3::hash(&content);
        content.extend(digest.as_bytes());
        content
    }
}

/// The records of a file; none if the file is damaged.
fn records(content: &[u8]) -> Option<Vec<(Key, Known)>> {
    let (all, digest) = content.split_last_chunk::<DIGEST_BYTES>()?;
    let rest = all.strip_prefix(MAGIC.as_slice())?;
    if blake3::hash(all) != *digest || !rest.len().is_multiple_of(RECORD_BYTES) {
        return None;
    }
    let record = |record: &[u8]| {
        let number = |at: usize| Some(u64::from_le_bytes(record.get(at * 8..at * 8 + 8)?.try_into().ok()?));
        let nanos = |at: usize| Some(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?));
        let time =
            |seconds: usize, at: usize| Some(Time { seconds: number(seconds)?.cast_signed(), nanos: nanos(at)? });
        let (size, mtime, ctime) = (number(2)?, time(3, 40)?, time(4, 44)?);
        let digest = record.get(48..)?.try_into().ok()?;
        Some(((number(0)?, number(1)?), Known { size, mtime, ctime, digest, is_used: false }))
    };
    rest.chunks_exact(RECORD_BYTES).map(record).collect()
}

fn seen(file: &File) -> Option<(u64, i64, i64)> {
    let found = file.metadata().ok()?;
    Some((found.ino(), found.ctime(), found.ctime_nsec()))
}

/// The content of the file. Only its owner may have written it: it decides which content is not sent.
fn read(file: &Path) -> Option<(Vec<u8>, (u64, i64, i64))> {
    let file = open(file, File::options().read(true)).ok()?;
    let found = file.metadata().ok()?;
    let is_own = found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o777 == 0o600;
    let bytes_max = (MAGIC.len() + RECORDS_MAX * RECORD_BYTES + DIGEST_BYTES) as u64;
    if !found.is_file() || !is_own || found.len() > bytes_max {
        return None;
    }
    let (seen, mut content) = (seen(&file)?, Vec::new());
    file.take(bytes_max).read_to_end(&mut content).ok()?;
    Some((content, seen))
}

/// Opens a file of this user's in a directory that may be another user's: without following a symlink, and without
/// waiting on a FIFO.
fn open(file: &Path, options: &mut std::fs::OpenOptions) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    options.mode(0o600).custom_flags(flags).open(file)
}

/// Keeps other processes from writing until the lock is dropped, where that is possible.
fn lock(file: &Path) -> io::Result<File> {
    let held = open(&file.with_extension("lock"), File::options().write(true).create(true))?;
    let _ = flock(&held, FlockOperation::LockExclusive);
    Ok(held)
}

/// Writes the known digests, with those that other processes have saved meanwhile. A reader sees the old file or the
/// whole new one.
fn write(file: &Path, inner: &mut Inner) -> io::Result<()> {
    let _lock = lock(file)?;
    let now = open(file, File::options().read(true)).ok().and_then(|file| seen(&file));
    if now != inner.seen {
        inner.add(file);
    }
    let new = file.with_extension("new");
    // If the file exists, a killed process has left it: the lock keeps others out.
    let _ = std::fs::remove_file(&new);
    let mut writing = open(&new, File::options().write(true).create_new(true))?;
    let written = writing.write_all(&inner.kept()).and_then(|()| std::fs::rename(&new, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    inner.seen = seen(&writing);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use sparsync_proto::{Kind, Meta};

    const OLD: Time = Time { seconds: 1_000, nanos: 5 };

    const LATER: u64 = 1_000 + 60 * 60;

    fn status(ino: u64, ctime: Time) -> Status {
        let stamp = crate::storage::Stamp { ctime, ino, may_have_holes: false };
        let meta = Meta { mtime: OLD, ..Meta::default() };
        let rdev = sparsync_proto::Device::default();
        Status { kind: Kind::File, meta, size: 7, rdev, stamp, device: 3, links: 1, is_mount_point: None }
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/checksums");
        (folder, file)
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_kept_counts_for_the_very_state_that_was_hashed() {
        let (_folder, file) = folder();
        let sums = KnownSums::open(file.clone()).unwrap();
        sums.keep(&status(1, OLD), at(2 * LATER), &[9; 32]);
        sums.save();
        let sums = KnownSums::open(file).unwrap();
        assert_eq!(sums.find(&status(1, OLD)), Some([9; 32]));
        let others = [
            status(2, OLD),
            status(1, Time { nanos: 6, ..OLD }),
            Status { size: 8, ..status(1, OLD) },
            Status { device: 4, ..status(1, OLD) },
            Status { meta: Meta { mtime: Time { nanos: 6, ..OLD }, ..Meta::default() }, ..status(1, OLD) },
        ];
        assert!(others.iter().all(|other| sums.find(other).is_none()));
    }

    #[test]
    fn what_changed_shortly_before_is_not_kept() {
        let (_folder, file) = folder();
        let sums = KnownSums::open(file).unwrap();
        for (begun, is_kept) in [(999, false), (LATER, false), (LATER + 1, true)] {
            sums.keep(&status(begun, OLD), at(begun), &[1; 32]);
            assert_eq!(sums.find(&status(begun, OLD)).is_some(), is_kept, "{begun}");
        }
    }

    #[test]
    fn what_is_on_a_file_system_with_weak_times_is_not_kept() {
        let mounts = "1 0 0:3 / / rw - ext4 x rw\n2 1 8:17 / /usb rw shared:1 - vfat /dev/sdb1 rw\n3 1 0:99 / /f rw - fuse.sshfs h: rw\nx\n";
        let weak = weak_in(mounts);
        assert_eq!(weak, [rustix::fs::makedev(8, 17), rustix::fs::makedev(0, 99)].into_iter().collect());
        let (_folder, file) = folder();
        let sums = KnownSums::open(file).unwrap();
        sums.inner().weak.insert(3);
        sums.keep(&status(1, OLD), at(2 * LATER), &[9; 32]);
        assert_eq!(sums.find(&status(1, OLD)), None);
    }

    #[test]
    fn a_file_that_is_torn_foreign_or_public_is_as_none_and_is_written_anew() {
        let (_folder, file) = folder();
        let sums = KnownSums::open(file.clone()).unwrap();
        sums.keep(&status(1, OLD), at(2 * LATER), &[9; 32]);
        sums.save();
        let whole = std::fs::read(&file).unwrap();
        let public = |file: &Path, mode| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let (mut flipped, mut other) = (whole.clone(), whole.clone());
        flipped[40] ^= 1;
        other[14] = b'2';
        for content in [&whole[..whole.len() - 1], &flipped, &other, b"", &whole[..40]] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(KnownSums::open(file.clone()).unwrap().find(&status(1, OLD)), None);
        }
        std::fs::write(&file, &whole).unwrap();
        public(&file, 0o644);
        let sums = KnownSums::open(file.clone()).unwrap();
        assert_eq!(sums.find(&status(1, OLD)), None);
        sums.keep(&status(2, OLD), at(2 * LATER), &[8; 32]);
        sums.save();
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(KnownSums::open(file).unwrap().find(&status(2, OLD)), Some([8; 32]));
    }

    #[test]
    fn what_others_write_meanwhile_is_kept_and_the_file_is_bounded() {
        let (_folder, file) = folder();
        let (one, other) = (KnownSums::open(file.clone()).unwrap(), KnownSums::open(file.clone()).unwrap());
        one.keep(&status(1, OLD), at(2 * LATER), &[1; 32]);
        other.keep(&status(2, OLD), at(2 * LATER), &[2; 32]);
        one.save();
        other.save();
        let both = KnownSums::open(file.clone()).unwrap();
        assert!(both.find(&status(1, OLD)).is_some() && both.find(&status(2, OLD)).is_some());
        let beyond = RECORDS_MAX as u64 + 10;
        for ino in 10..beyond {
            both.keep(&status(ino, OLD), at(2 * LATER), &[3; 32]);
        }
        both.save();
        let bytes = MAGIC.len() + RECORDS_MAX * RECORD_BYTES + DIGEST_BYTES;
        assert_eq!(std::fs::metadata(&file).unwrap().len(), bytes as u64);
    }
}
