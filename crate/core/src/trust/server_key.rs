//! A server's key, and the one that is to follow it.
//!
//! The next key is in a file beside the key's, `….next`, which begins with the moment from which it counts:
//! `counts from 2027-01-31T18:30:00Z`. From then on it is the server's key, wherever the file stands; who finds it so
//! gives it the name of the old one, which is one step. So at each moment there is one key, and a rotation that is cut
//! is none or goes on.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;

use super::identity::generate_pem;
use super::key_line::parse_time;
use super::{Identity, NextKey, private_file};
use crate::{Error, ErrorKind, Result};

/// The words in front of the moment.
const COUNTS_FROM: &str = "counts from";

/// The key of a server and its next one.
#[derive(Clone, Debug)]
pub struct ServerKey {
    /// The server's key. Its certificate announces the next key, if there is one.
    pub identity: Identity,
    /// The next key, if there is one.
    pub next: Option<NextKey>,
}

/// The state of the files of a key, by which a change is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([Option<(u64, i64, i64)>; 2]);

impl ServerKey {
    /// Reads the server's key at `path`, or makes one there. If the time of the next key has come, that replaces it
    /// first. Errors as [`Identity::load_or_create`], also for the next key's file.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, |path| Ok(Identity::load_or_create(path)?.0))
    }

    /// The same, but no key is made: fails with [`ErrorKind::NotFound`] without one.
    pub fn existing(path: &Path) -> Result<Self> {
        Self::load_with(path, |path| Identity::load(path)?.ok_or_else(|| no_key(path)))
    }

    fn load_with(path: &Path, read: impl FnOnce(&Path) -> Result<Identity>) -> Result<Self> {
        let next_path = next_to(path);
        let Some((identity, from, text)) = read_next(&next_path)? else {
            return Ok(Self { identity: read(path)?, next: None });
        };
        if from > SystemTime::now() {
            let next = NextKey { key: identity.public_key(), from };
            return Ok(Self { identity: read(path)?.announcing(next)?, next: Some(next) });
        }
        if let Err(error) = fs::rename(&next_path, private_file::resolved(path))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            // The path leads to another file system, so the content is copied there. Where nothing can be written, the
            // next key counts from its own file.
            if private_file::replace(path, text.as_bytes(), None).is_ok() {
                let _ = fs::remove_file(&next_path);
            }
        }
        private_file::flush_parent(path);
        Ok(Self { identity, next: None })
    }

    /// Makes the next key for the one at `path`, which counts from a given moment on.
    ///
    /// Fails with [`ErrorKind::Config`] when one is to follow already, and with [`ErrorKind::NotFound`] without a key.
    pub fn rotate(path: &Path, from: SystemTime) -> Result<NextKey> {
        // A next key that is due takes its place first: the server may not be able to put it there.
        Self::existing(path)?;
        let pem = generate_pem()?;
        let next_path = next_to(path);
        if !private_file::create(&next_path, text_of(from, &pem).as_bytes())? {
            return Err(Error::new(
                ErrorKind::Config,
                "there is already a next key: keys rotate --now puts it in force, --cancel takes it back",
            )
            .at(next_path.as_os_str().as_bytes()));
        }
        Ok(NextKey { key: Identity::from_pem(&pem)?.public_key(), from })
    }

    /// Lets the next key count from now on, and gives it. Fails with [`ErrorKind::Config`] when there is none.
    pub fn rotate_now(path: &Path) -> Result<Self> {
        private_file::change(&next_to(path), |text, _| match text.split_once('\n') {
            Some((_, pem)) => Ok((Some(text_of(SystemTime::now(), pem)), ())),
            None => Err(none_follows(path)),
        })?;
        Self::load(path)
    }

    /// Removes the next key. Fails with [`ErrorKind::Config`] when there is none.
    pub fn keep(path: &Path) -> Result<Self> {
        let next_path = next_to(path);
        match fs::remove_file(&next_path) {
            Ok(()) => private_file::flush_parent(&next_path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none_follows(path)),
            Err(error) => return Err(Error::io("cannot remove", next_path.as_os_str().as_bytes(), error)),
        }
        Self::load(path)
    }

    /// The state of the files of the key at `path` and of the next one.
    pub(crate) fn stamp(path: &Path) -> Stamp {
        Stamp([path, &next_to(path)].map(|path| {
            let found = fs::metadata(path).ok()?;
            Some((found.ino(), found.ctime(), found.ctime_nsec()))
        }))
    }
}

fn no_key(path: &Path) -> Error {
    // Commands for a server often run as another user, or without the variables of its service.
    let message = "there is no key of a server: start it first, or say where its key is (--identity FILE, or the folder in \
                   SPARSYNC_CONFIG_DIR)";
    Error::new(ErrorKind::NotFound, message).at(path.as_os_str().as_bytes())
}

fn none_follows(path: &Path) -> Error {
    let message = "no next key is set: run `sparsync keys rotate` first, so that clients learn of it";
    Error::new(ErrorKind::Config, message).at(path.as_os_str().as_bytes())
}

/// The text of a next key's file.
fn text_of(from: SystemTime, pem: &str) -> String {
    let from = OffsetDateTime::from(from);
    let (year, month, day) = from.to_calendar_date();
    let (hour, minute, second) = from.to_hms();
    format!("{COUNTS_FROM} {year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\n{pem}", u8::from(month))
}

/// Where the next key is.
fn next_to(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsString::from(".next"));
    PathBuf::from(name)
}

/// The next key, from when it counts, and the text of its file.
fn read_next(path: &Path) -> Result<Option<(Identity, SystemTime, String)>> {
    let Some((identity, text)) = Identity::load_text(path)? else { return Ok(None) };
    let refuse = |why: String| private_file::malformed(path, 1, &why);
    let first = text.lines().next().unwrap_or_default();
    let from = first.strip_prefix(COUNTS_FROM).ok_or_else(|| refuse(format!("expected: {COUNTS_FROM} MOMENT")))?;
    let from = parse_time(COUNTS_FROM, from.trim()).map_err(refuse)?;
    Ok(Some((identity, from, text)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::{ServerKey, next_to};
    use crate::ErrorKind;
    use crate::trust::skipped::skipped;
    use crate::trust::{Identity, announced_key};

    /// 9999-01-01.
    fn later() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(253_370_764_800)
    }

    fn begun() -> (tempfile::TempDir, PathBuf, Identity) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key.pem");
        let identity = Identity::load_or_create(&path).expect("made").0;
        (directory, path, identity)
    }

    #[test]
    fn the_next_key_is_announced_until_its_time_has_come() {
        let (directory, path, old) = begun();
        assert_eq!(
            ServerKey::rotate(&directory.path().join("none"), later()).expect_err("no key").kind(),
            ErrorKind::NotFound
        );
        let none = directory.path().join("none");
        assert_eq!(ServerKey::existing(&none).expect_err("no key").kind(), ErrorKind::NotFound);
        assert!(!none.exists(), "it is not made by a look");
        assert_eq!(ServerKey::rotate_now(&path).expect_err("none").kind(), ErrorKind::Config);
        assert_eq!(ServerKey::load(&path).expect("loaded").next, None);
        let next = ServerKey::rotate(&path, later()).expect("made");
        let mode = fs::metadata(next_to(&path)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let found = ServerKey::load(&path).expect("loaded");
        assert_eq!((found.identity.public_key(), found.next), (old.public_key(), Some(next)));
        assert_eq!(announced_key(&found.identity.chain()[0]), Some(next));
        assert_eq!(announced_key(&old.chain()[0]), None);
        assert_eq!(ServerKey::rotate(&path, later()).expect_err("a second one").kind(), ErrorKind::Config);

        let found = ServerKey::rotate_now(&path).expect("changed");
        assert_eq!((found.identity.public_key(), found.next), (next.key, None));
        assert_eq!(announced_key(&found.identity.chain()[0]), None);
        assert_eq!(Identity::load(&path).expect("read").expect("there").public_key(), next.key);
        assert!(!next_to(&path).exists());
    }

    #[test]
    fn a_rotation_that_is_cut_leaves_one_of_the_two_keys() {
        let (_directory, path, old) = begun();
        let next = ServerKey::rotate(&path, SystemTime::UNIX_EPOCH).expect("made");
        // Between the moment and the renaming: whoever looks finds the next one.
        let found = ServerKey::load(&path).expect("loaded");
        assert_eq!(found.identity.public_key(), next.key);
        assert_eq!(ServerKey::load(&path).expect("loaded again").identity.public_key(), next.key);
        assert_ne!(next.key, old.public_key());
        // A file that a killed process has left beside the key does not count.
        fs::write(path.with_file_name("key.pem.next.1.0.tmp"), "half").expect("written");
        assert_eq!(ServerKey::load(&path).expect("loaded").next, None);
        let again = ServerKey::rotate(&path, later()).expect("made");
        assert_eq!(ServerKey::keep(&path).expect("kept").identity.public_key(), next.key);
        assert_ne!(again.key, next.key);
        assert_eq!(ServerKey::keep(&path).expect_err("none").kind(), ErrorKind::Config);
    }

    #[test]
    fn a_key_on_another_file_system_is_changed_there() {
        let (directory, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir_in("/dev/shm"));
        let Ok(there) = there else { return skipped("there is no /dev/shm") };
        let (path, real) = (directory.path().join("key.pem"), there.path().join("key.pem"));
        Identity::load_or_create(&real).expect("made");
        std::os::unix::fs::symlink(&real, &path).expect("linked");
        let next = ServerKey::rotate(&path, later()).expect("made");
        assert_eq!(ServerKey::rotate_now(&path).expect("changed").identity.public_key(), next.key);
        assert_eq!(Identity::load(&real).expect("read").expect("there").public_key(), next.key);
        assert!(fs::symlink_metadata(&path).expect("there").is_symlink() && !next_to(&path).exists());
        ServerKey::rotate(&path, later()).expect("another one");
    }

    #[test]
    fn a_next_key_that_others_may_read_or_that_says_no_moment_is_refused() {
        let (_directory, path, _) = begun();
        ServerKey::rotate(&path, later()).expect("made");
        let next = next_to(&path);
        for mode in [0o640, 0o604] {
            fs::set_permissions(&next, fs::Permissions::from_mode(mode)).expect("chmod");
            let error = ServerKey::load(&path).expect_err("open to others");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert_eq!(error.path(), Some(next.as_os_str().as_encoded_bytes()));
        }
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).expect("chmod");
        let text = fs::read_to_string(&next).expect("read");
        for wrong in [text.replace("counts", "is of use"), text.replace("9999-01", "9999-13")] {
            fs::write(&next, &wrong).expect("written");
            assert_eq!(ServerKey::load(&path).expect_err("no moment").kind(), ErrorKind::Config);
        }
        fs::write(&next, "counts from 2020-01-01\n").expect("written");
        assert_eq!(ServerKey::load(&path).expect_err("no key").kind(), ErrorKind::Config);
    }
}
