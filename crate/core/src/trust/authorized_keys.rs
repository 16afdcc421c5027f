//! The clients that a server accepts.
//!
//! One line for each key, `#` begins a comment where a word could begin:
//!
//! ```text
//! NAME ed25519:BASE64 [root=ROOT[/PREFIX]]... [allow=RIGHT[,RIGHT]...] [quota=BYTES[K|M|G|T|P]] [entries=NUMBER]
//!     [expires=DAY[THH:MM:SSZ]]
//! ```
//!
//! Without `root=` all roots, without `allow=` read, write and delete. White space and other bytes in a root or a
//! prefix are percent-encoded. Whatever is not understood makes the whole file invalid: a mistyped restriction must
//! not become no restriction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::key_line::parse_line;
use super::{PublicKey, Scope, private_file};
use crate::{Error, ErrorKind, Result};

/// A file changed less than this before it was read may change again without its times showing it (coarse clocks);
/// until then it is read anew each time.
const SETTLED: Duration = Duration::from_secs(2);

type Keys = HashMap<PublicKey, (Arc<Scope>, Origin)>;

/// The authorized clients, from given lines and from a file that is followed while it changes. Shared by reference.
///
/// A file that has never been there authorizes nobody. A file that is gone, or cannot be read or understood *while
/// running* authorizes nobody either: [`AuthorizedKeys::find`] finds no key, not even of the given lines, until the
/// file is good again, and [`AuthorizedKeys::problem`] says why. Sessions that run are left alone meanwhile, as a
/// half-saved edit must not end them: see [`AuthorizedKeys::revoked`].
#[derive(Debug)]
pub struct AuthorizedKeys {
    given: RwLock<Keys>,
    /// A file was named, or lines were given once.
    decides: AtomicBool,
    path: Option<PathBuf>,
    /// The file was there once. One that is gone was moved or lost, and is not taken for an empty list.
    was_there: AtomicBool,
    /// The roots that a scope may name; without them, any.
    served: Option<Vec<String>>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    stamp: Stamp,
    keys: Result<Keys>,
}

/// The state of a file, known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    /// The state is not known, and the file must be read.
    Unknown,
    Missing,
    File {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
}

/// Where a key was authorized, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The n-th given line, from 1.
    Given(u64),
    /// A line of the file, from 1.
    File(u64),
}

/// What [`AuthorizedKeys::refresh_if_changed`] found.
#[derive(Debug)]
pub enum Refresh {
    /// The same as before, good or not.
    Unchanged,
    /// A new good set is in force; connections whose key is [revoked](AuthorizedKeys::revoked) should be closed.
    Changed,
    /// The file became unusable; nobody new is let in. The error names the file and the line, for the operator.
    Broken(Error),
}

impl AuthorizedKeys {
    /// The clients of `lines`, each in the format of the file, and of the file at `path`. Empty and comment lines are
    /// allowed. With `served` a line that names another root is malformed, now and whenever the file is read.
    ///
    /// Fails with [`ErrorKind::Config`] when a line is malformed, a key stands twice with different names or scopes,
    /// or group or others may write the file; with [`ErrorKind::Io`] when it exists and cannot be read.
    pub fn new(lines: &[String], path: Option<&Path>, served: Option<Vec<String>>) -> Result<Self> {
        let served = served.map(|mut served| {
            served.sort_unstable();
            served
        });
        let given = parse_given(lines, served.as_deref())?;
        let mut keys = Self {
            decides: AtomicBool::new(path.is_some() || !given.is_empty()),
            given: RwLock::new(given),
            path: path.map(Path::to_path_buf),
            was_there: AtomicBool::new(false),
            served,
            state: RwLock::new(State { stamp: Stamp::Unknown, keys: Ok(Keys::new()) }),
        };
        let state = keys.read_all();
        let state = State { stamp: state.stamp, keys: Ok(state.keys?) };
        keys.state = RwLock::new(state);
        Ok(keys)
    }

    /// The scope of an authorized key, whose time may be over. `None` also while there is a
    /// [problem](AuthorizedKeys::problem).
    #[must_use]
    pub fn find(&self, key: &PublicKey) -> Option<Arc<Scope>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let (scope, _) = state.keys.as_ref().ok()?.get(key)?;
        Some(Arc::clone(scope))
    }

    /// Whether a session that was opened with `scope` has to end: its time is over, the key is gone, or what it may do
    /// was changed. While there is a [problem](AuthorizedKeys::problem), the last two are not known, and do not end a
    /// session.
    #[must_use]
    pub fn revoked(&self, key: &PublicKey, scope: &Scope) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &state.keys {
            Ok(keys) => scope.is_over() || keys.get(key).is_none_or(|(now, _)| **now != *scope),
            Err(_) => scope.is_over(),
        }
    }

    /// Whether a key of this name is authorized, as far as that is known.
    #[must_use]
    pub fn may_know(&self, name: &str) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.keys.as_ref().map_or(true, |keys| keys.values().any(|(scope, _)| scope.name == name))
    }

    /// Why no new client is let in, when the file is unusable.
    #[must_use]
    pub fn problem(&self) -> Option<Error> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.keys.as_ref().err().cloned()
    }

    /// Whether keys decide at all: a file was named or a line given. It stays true when the file is emptied or
    /// removed, so that a private CA never takes over from a list that was meant to be empty.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.decides.load(Ordering::SeqCst)
    }

    /// Puts other lines in the place of those that were given; they are in force with the next
    /// [`AuthorizedKeys::refresh`]. Nothing is changed when one is malformed.
    pub fn give(&self, lines: &[String]) -> Result<()> {
        let fresh = parse_given(lines, self.served.as_deref())?;
        if !fresh.is_empty() {
            self.decides.store(true, Ordering::SeqCst);
        }
        *self.given.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn given(&self) -> Keys {
        self.given.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many keys are authorized now.
    #[must_use]
    pub fn len(&self) -> usize {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.keys.as_ref().map_or(0, HashMap::len)
    }

    /// Whether no key is authorized now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the file again when it has changed; otherwise this costs one `stat`. A server calls it each second.
    pub fn refresh_if_changed(&self) -> Refresh {
        let Some(path) = &self.path else {
            return Refresh::Unchanged;
        };
        let before = self.state.read().unwrap_or_else(PoisonError::into_inner).stamp;
        let now = match fs::metadata(path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stamp::Missing,
            Err(_) => Stamp::Unknown,
        };
        if now == before && now != Stamp::Unknown {
            return Refresh::Unchanged;
        }
        self.refresh()
    }

    /// Reads the file again.
    pub fn refresh(&self) -> Refresh {
        let fresh = self.read_all();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = match (&state.keys, &fresh.keys) {
            (Ok(old), Ok(new)) if same(old, new) => Refresh::Unchanged,
            (Err(old), Err(new)) if old.to_string() == new.to_string() => Refresh::Unchanged,
            (_, Ok(_)) => Refresh::Changed,
            (_, Err(error)) => Refresh::Broken(error.clone()),
        };
        *state = fresh;
        outcome
    }

    /// Whether a line could be added to the file: the file is read, and a key of the given lines has no second meaning.
    pub fn check_line(&self, line: &str) -> Result<()> {
        let refuse = |why: String| Error::new(ErrorKind::Config, why);
        // The file's own line of the key does not count, because the new line replaces it.
        let mut keys = self.given();
        if !add(&mut keys, line, self.served.as_deref(), Origin::File(0)).map_err(refuse)? {
            return Err(refuse("the line is empty".to_owned()));
        }
        self.read_all().keys.map(|_| ())
    }

    /// The file, when there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The keys of the given lines and of the file.
    fn read_all(&self) -> State {
        let Some(path) = &self.path else {
            return State { stamp: Stamp::Missing, keys: Ok(self.given()) };
        };
        let refuse = |message: String| Error::new(ErrorKind::Config, message).at(path.as_os_str().as_bytes());
        let (text, metadata) = match private_file::read(path) {
            Ok(Some(read)) => read,
            Ok(None) if self.was_there.load(Ordering::SeqCst) => {
                const GONE: &str = "the file of authorized keys is gone; an empty one there revokes every key";
                return State { stamp: Stamp::Missing, keys: Err(refuse(GONE.to_owned())) };
            }
            Ok(None) => {
                return State { stamp: Stamp::Missing, keys: Ok(self.given()) };
            }
            Err(error) => {
                return State { stamp: Stamp::Unknown, keys: Err(error) };
            }
        };
        self.was_there.store(true, Ordering::SeqCst);
        let stamp = Stamp::of(&metadata);
        let mode = metadata.mode() & 0o777;
        if mode & 0o022 != 0 {
            return State {
                stamp,
                keys: Err(refuse(format!(
                    "other users can write the file of authorized keys (mode {mode:04o}); run chmod go-w on it"
                ))),
            };
        }
        let mut keys = self.given();
        let parsed = (1u64..).zip(text.lines()).try_for_each(|(number, line)| {
            let refuse = |why: String| private_file::malformed(path, number, &why);
            add(&mut keys, line, self.served.as_deref(), Origin::File(number)).map(drop).map_err(refuse)
        });
        State { stamp, keys: parsed.map(|()| keys) }
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let settled = u64::try_from(changed.0)
            .ok()
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
            .and_then(|changed| SystemTime::now().duration_since(changed).ok())
            .is_some_and(|age| age > SETTLED);
        if !settled {
            return Self::Unknown;
        }
        Self::File {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed,
        }
    }
}

/// Lines may move without anything changing for anybody.
fn same(old: &Keys, new: &Keys) -> bool {
    old.len() == new.len() && old.iter().all(|(key, (scope, _))| new.get(key).is_some_and(|(other, _)| other == scope))
}

/// The clients of given lines.
fn parse_given(lines: &[String], served: Option<&[String]>) -> Result<Keys> {
    let mut given = Keys::new();
    for (number, line) in (1..).zip(lines) {
        let refuse = |why: String| Error::new(ErrorKind::Config, format!("authorized key {number}: {why}"));
        add(&mut given, line, served, Origin::Given(number)).map_err(refuse)?;
    }
    Ok(given)
}

/// Refuses a scope with a root that is not served: it must be a typing error.
fn check_roots(scope: &Scope, served: Option<&[String]>) -> std::result::Result<(), String> {
    let Some(served) = served else { return Ok(()) };
    let Some((unknown, _)) = scope.roots.iter().find(|(name, _)| !served.contains(name)) else { return Ok(()) };
    Err(format!("root={}: this server has no such root; it serves {}", unknown.escape_debug(), served.join(", ")))
}

/// Adds the key of a line, whose roots have to be served; the same key with the same scope may be repeated. Says
/// whether the line has a key.
fn add(keys: &mut Keys, line: &str, served: Option<&[String]>, origin: Origin) -> std::result::Result<bool, String> {
    let Some((key, scope)) = parse_line(line)? else { return Ok(false) };
    check_roots(&scope, served)?;
    match keys.entry(key) {
        Entry::Vacant(vacant) => {
            vacant.insert((Arc::new(scope), origin));
            Ok(true)
        }
        Entry::Occupied(taken) => {
            let (before, place) = taken.get();
            if **before == scope {
                return Ok(true);
            }
            let place = match place {
                Origin::Given(number) => format!("authorized key {number} of the options"),
                Origin::File(number) => format!("line {number}"),
            };
            Err(format!(
                "the key of \"{}\" is already at {place}, there for \"{}\", with another name or scope",
                scope.name, before.name
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{AuthorizedKeys, Refresh};
    use crate::trust::PublicKey;
    use crate::{Detail, ErrorKind};

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
    }

    #[test]
    fn a_bad_file_is_refused_at_the_start_by_name_and_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("authorized_keys");
        write(&path, &format!("# ours\na {}\nb {} allow=everything\n", key(1), key(2)));
        let error = AuthorizedKeys::new(&[], Some(&path), None).expect_err("line 3");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with("line 3: "), "{error}");
        assert_eq!(error.details(), [("line".to_owned(), Detail::Number(3))]);
        assert_eq!(error.path(), Some(path.as_os_str().as_encoded_bytes()));

        let error = AuthorizedKeys::new(&[String::new(), "x y".to_owned()], None, None).expect_err("line");
        assert!(error.message().starts_with("authorized key 2: "), "{error}");
    }

    #[test]
    fn one_key_cannot_have_two_meanings() {
        let line = format!("a {} root=x", key(1));
        let keys = AuthorizedKeys::new(&[line.clone(), line.clone()], None, None).expect("the same twice");
        assert_eq!(keys.len(), 1);
        for other in [format!("b {} root=x", key(1)), format!("a {}", key(1))] {
            let error = AuthorizedKeys::new(&[line.clone(), other.clone()], None, None).expect_err(&other);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("authorized key 1"), "{error}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("authorized_keys");
        write(&path, &format!("\nother {}\n", key(1)));
        let error = AuthorizedKeys::new(&[line], Some(&path), None).expect_err("lines against file");
        assert!(error.message().starts_with("line 2: "), "{error}");
        AuthorizedKeys::new(&[format!("a {}", key(1)), format!("a {}", key(2))], None, None)
            .expect("two keys, one name");
    }

    #[test]
    fn a_line_that_would_break_the_set_is_not_to_be_added() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("authorized_keys");
        let given = [format!("laptop {} allow=read", key(1))];
        let keys = AuthorizedKeys::new(&given, Some(&path), None).expect("good");
        keys.check_line(&given[0]).expect("the same again");
        keys.check_line(&format!("other {}", key(2))).expect("another key");
        for line in [format!("laptop {}", key(1)), format!("other {} allow=read", key(1))] {
            let error = keys.check_line(&line).expect_err(&line);
            assert!(error.message().contains("authorized key 1 of the options"), "{error}");
        }
        write(&path, "a ");
        let error = keys.check_line(&format!("other {}", key(2))).expect_err("a broken file");
        assert!(error.message().starts_with("line 1: "), "{error}");
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("authorized_keys");
        write(&path, &format!("a {}\n", key(1)));
        for (mode, good) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            assert_eq!(AuthorizedKeys::new(&[], Some(&path), None).is_ok(), good, "{mode:o}");
        }
    }

    #[test]
    fn changes_of_the_file_are_followed_and_a_broken_one_lets_nobody_in() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("authorized_keys");
        let given = [format!("given {}", key(9))];
        let keys = AuthorizedKeys::new(&given, Some(&path), None).expect("no file yet");
        assert!(keys.find(&key(9)).is_some());
        assert!(matches!(keys.refresh_if_changed(), Refresh::Unchanged));

        write(&path, &format!("a {}\nb {}\n", key(1), key(2)));
        assert!(matches!(keys.refresh_if_changed(), Refresh::Changed));
        assert!(matches!(keys.refresh_if_changed(), Refresh::Unchanged));
        let scope = keys.find(&key(1)).expect("authorized");
        assert_eq!(scope.name, "a");
        assert!(!keys.revoked(&key(1), &scope));

        // Same length, same second: only the content differs.
        write(&path, &format!("a {}\nc {}\n", key(1), key(2)));
        assert!(matches!(keys.refresh_if_changed(), Refresh::Changed));
        assert_eq!(keys.find(&key(2)).expect("authorized").name, "c");

        write(&path, "a ");
        assert!(matches!(keys.refresh_if_changed(), Refresh::Broken(error) if error.kind() == ErrorKind::Config));
        assert!(matches!(keys.refresh_if_changed(), Refresh::Unchanged));
        assert!(keys.problem().is_some());
        for byte in [1, 2, 9] {
            assert!(keys.find(&key(byte)).is_none());
        }
        assert!(!keys.revoked(&key(1), &scope), "a half-saved edit ends no session");

        write(&path, &format!("a {} allow=read\n", key(1)));
        assert!(matches!(keys.refresh_if_changed(), Refresh::Changed));
        assert!(keys.problem().is_none());
        assert!(keys.revoked(&key(1), &scope), "narrowed");
        assert!(keys.revoked(&key(2), &scope), "removed");
        assert!(keys.find(&key(9)).is_some());

        let narrowed = keys.find(&key(1)).expect("authorized");
        fs::remove_file(&path).expect("removed");
        assert!(matches!(keys.refresh_if_changed(), Refresh::Broken(_)));
        assert!(matches!(keys.refresh(), Refresh::Unchanged));
        assert!(keys.find(&key(1)).is_none() && keys.find(&key(9)).is_none());
        assert!(!keys.revoked(&key(1), &narrowed), "a lost file ends no session");
        assert!(keys.decides());

        write(&path, "");
        assert!(matches!(keys.refresh_if_changed(), Refresh::Changed));
        assert!(keys.revoked(&key(1), &narrowed), "an empty one does");
        assert!(keys.find(&key(1)).is_none() && keys.find(&key(9)).is_some());

        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a directory in its place");
        assert!(matches!(keys.refresh_if_changed(), Refresh::Broken(_)));
        assert!(keys.find(&key(9)).is_none());
    }

    #[test]
    fn without_any_source_keys_do_not_decide() {
        let none = AuthorizedKeys::new(&[], None, None).expect("nothing");
        assert!(!none.decides());
        assert!(none.is_empty());
        assert!(AuthorizedKeys::new(&[], Some(Path::new("/nonexistent/keys")), None).expect("missing").decides());
    }

    #[test]
    fn a_root_that_is_not_served_makes_a_line_invalid_at_the_start_and_later() {
        let served = || Some(vec!["x".to_owned(), "b".to_owned()]);
        let given = [format!("a {} root=x/y root=b", key(1))];
        AuthorizedKeys::new(&given, None, served()).expect("good");
        let error = AuthorizedKeys::new(&[format!("a {} root=y", key(1))], None, served()).expect_err("no such root");
        assert!(error.message().starts_with("authorized key 1: root=y:"), "{error}");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("authorized_keys");
        write(&path, &format!("a {} root=x\n", key(1)));
        let keys = AuthorizedKeys::new(&[], Some(&path), served()).expect("good");
        write(&path, &format!("a {} root=x\nb {} root=xx\n", key(1), key(2)));
        let Refresh::Broken(error) = keys.refresh_if_changed() else { panic!("a root that is not served") };
        assert!(error.message().starts_with("line 2: root=xx: "), "{error}");
        assert!(error.message().ends_with("it serves b, x"), "{error}");
        assert!(keys.find(&key(1)).is_none());
    }
}
