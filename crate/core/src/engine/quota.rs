//! Enforces the quotas of keys, over everything that is stored below their prefixes.
//!
//! The runs of a key share an [`Account`], so that together they keep to its limits. Each reserves what it is about to
//! make before that is written, and when it ends, what it has really left takes the place of what it had reserved.

use std::ops::{Add, Sub};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sparsync_proto::{Attributes, Kind, Name, RelPath};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Access, Directory, Judge, ScanOptions, Storage, WalkItem, entries, walk};

use super::budget::WAIT;
use super::session::Session;

/// An amount of stored bytes and entries, or a change of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Content of files.
    pub(crate) bytes: i64,
    /// Names.
    pub(crate) entries: i64,
}

impl Room {
    fn new(bytes: u64, entries: u64) -> Self {
        Self { bytes: signed(bytes), entries: signed(entries) }
    }

    /// How what is stored grows by a file that takes the place of one of `old` bytes, or of nothing.
    fn of_entry(bytes: u64, old: Option<u64>) -> Self {
        Self { bytes: signed(bytes).saturating_sub(signed(old.unwrap_or(0))), entries: i64::from(old.is_none()) }
    }

    fn by(self, other: Self, of: impl Fn(i64, i64) -> i64) -> Self {
        Self { bytes: of(self.bytes, other.bytes), entries: of(self.entries, other.entries) }
    }

    fn max(self, other: Self) -> Self {
        self.by(other, Ord::max)
    }

    /// The part of it by which the room grows.
    fn growth(self) -> Self {
        self.max(Self::default())
    }
}

impl Add for Room {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.by(other, i64::saturating_add)
    }
}

impl Sub for Room {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.by(other, i64::saturating_sub)
    }
}

/// The room that a tree takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// All of it.
    pub(crate) all: Room,
    /// The room taken in the directory that a run writes to, without unfinished entries.
    pub(crate) own: Room,
    /// The room of unfinished entries there: the run resumes or removes them.
    pub(crate) own_unfinished: Room,
}

impl Add for Held {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            own: self.own + other.own,
            own_unfinished: self.own_unfinished + other.own_unfinished,
        }
    }
}

/// Counts the room that the tree `top` takes, and apart from it the directory `own`, which a run writes to. Asks
/// `goes_on` before each directory.
pub(crate) fn held(top: &impl Storage, own: Option<&RelPath>, mut goes_on: impl FnMut() -> Result<()>) -> Result<Held> {
    let judge = Judge::everything();
    let options = ScanOptions::new(Attributes { links: true, ..Attributes::default() }, &judge);
    let mut held = Held::default();
    for item in walk(top, options, true) {
        goes_on()?;
        let WalkItem::Listed(scan) = item else { continue };
        let entries = scan.listing.entries();
        let bytes = entries.iter().filter(|entry| entry.kind == Kind::File).map(|entry| entry.size).sum();
        let complete = Room::new(bytes, entries.len() as u64);
        let mut unfinished = Room::default();
        for (name, _) in &scan.leftovers {
            unfinished = unfinished + held_at(top, &scan.path, name, &mut goes_on)?;
        }
        held.all = held.all + complete + unfinished;
        if own.is_some_and(|own| scan.path.is_within(own)) {
            held.own = held.own + complete;
            held.own_unfinished = held.own_unfinished + unfinished;
        }
    }
    Ok(held)
}

/// Counts the room of the entry `name` of the directory at `path`, with all that is in it. Asks `goes_on` before each
/// directory; an entry that vanishes meanwhile, or cannot be looked at, takes none.
pub(crate) fn held_at(
    top: &impl Storage,
    path: &RelPath,
    name: &[u8],
    goes_on: &mut impl FnMut() -> Result<()>,
) -> Result<Room> {
    let mut room = Room::default();
    // A tree may be deeper than a thread's stack.
    let mut ahead = vec![(path.clone(), vec![name.to_vec()])];
    while let Some((path, names)) = ahead.pop() {
        goes_on()?;
        let Ok(directory) = top.open(&path, Access::Reach) else { continue };
        for name in names {
            let Ok(found) = directory.status(&name) else { continue };
            room = room + Room::new(if found.kind == Kind::File { found.size } else { 0 }, 1);
            if let (Kind::Directory, Ok(name)) = (found.kind, Name::new(&name)) {
                let below = path.join(name);
                if let Ok((_, found)) = entries(top, &RelPath::root(), &below) {
                    ahead.push((below, found.into_iter().map(|(name, _)| name).collect()));
                }
            }
        }
    }
    Ok(room)
}

/// The stored bytes and entries of a key, known for as long as one of its runs is under way.
#[derive(Debug, Default)]
pub(crate) struct Account {
    count: Mutex<Count>,
    counted: Condvar,
}

/// How far the room of a key is known.
#[derive(Debug, Default)]
enum Count {
    /// Nobody has counted it.
    #[default]
    Unknown,
    /// One run counts it; the number grows with that.
    Counting(u64),
    /// It is known.
    Known(Stored),
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    /// The room taken, without the changes of runs that are under way.
    used: Room,
    /// The most by which that may grow through what those runs are about to make.
    reserved: Room,
}

impl Account {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is stored; none before it was counted.
    fn with<T>(&self, change: impl FnOnce(&mut Stored) -> T) -> Option<T> {
        if let Count::Known(stored) = &mut *self.lock() { Some(change(stored)) } else { None }
    }

    /// Notes that the count goes on, which is work of every run that waits for it.
    pub(crate) fn goes_on(&self) {
        if let Count::Counting(done) = &mut *self.lock() {
            *done += 1;
        }
    }

    /// Gives the task of counting to the first run that asks; further ones wait until all is counted, for as long as
    /// they themselves go on. None says that it is.
    fn to_count(&self, session: &Session) -> Result<Option<Counting<'_>>> {
        let mut count = self.lock();
        let mut seen = 0;
        loop {
            match &mut *count {
                Count::Known(_) => return Ok(None),
                Count::Unknown => {
                    *count = Count::Counting(0);
                    return Ok(Some(Counting(self)));
                }
                Count::Counting(done) => {
                    if std::mem::replace(&mut seen, *done) != *done {
                        session.worked(1);
                    }
                }
            }
            session.check()?;
            count = self.counted.wait_timeout(count, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The task of counting an account. If it is given up, another run has to do it.
struct Counting<'a>(&'a Account);

impl Counting<'_> {
    fn ends(self, used: Room) {
        *self.0.lock() = Count::Known(Stored { used, reserved: Room::default() });
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let mut count = self.0.lock();
        if matches!(*count, Count::Counting(_)) {
            *count = Count::Unknown;
        }
        drop(count);
        self.0.counted.notify_all();
    }
}

/// A run's part in the account of its key.
#[derive(Debug)]
pub(crate) struct Quota {
    account: Arc<Account>,
    name: String,
    most: Room,
    own: Mutex<Own>,
}

#[derive(Debug)]
struct Own {
    /// The room of the directory that the run writes to, when the run began.
    before: Room,
    /// The room that the run has reserved, as if nothing that it replaces were removed.
    grown: Room,
    /// The same, less the room of entries that are replaced.
    net: Room,
    /// The room of unfinished entries in its directory, which is no longer counted as used.
    unfinished: Room,
    is_settled: bool,
}

impl Quota {
    /// Begins a run. The first run of an account counts `everything`, further ones only their own directory. A limit
    /// that is not set leaves room without end.
    pub(crate) fn begin(
        account: Arc<Account>,
        name: &str,
        limits: (Option<u64>, Option<u64>),
        everything: impl FnOnce() -> Result<Held>,
        own_part: impl FnOnce() -> Result<Held>,
        session: &Session,
    ) -> Result<Self> {
        let held = if let Some(counting) = account.to_count(session)? {
            let held = everything()?;
            counting.ends(held.all);
            held
        } else {
            own_part()?
        };
        account.with(|stored| stored.used = stored.used - held.own_unfinished);
        let own = Own {
            before: held.own,
            grown: Room::default(),
            net: Room::default(),
            unfinished: held.own_unfinished,
            is_settled: false,
        };
        let most = Room::new(limits.0.unwrap_or(u64::MAX), limits.1.unwrap_or(u64::MAX));
        Ok(Self { account, name: name.to_owned(), most, own: Mutex::new(own) })
    }

    /// The account.
    pub(crate) const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Takes the room of a file that comes in place of one of `old` bytes, or of nothing.
    pub(super) fn take_entry(&self, bytes: u64, old: Option<u64>) -> Result<()> {
        self.take(Room::of_entry(bytes, old))
    }

    /// Gives that back, where nothing has come.
    pub(super) fn give_entry_back(&self, bytes: u64, old: Option<u64>) {
        let room = Room::of_entry(bytes, old);
        let mut own = self.own();
        (own.net, own.grown) = (own.net - room, own.grown - room.growth());
        self.account.with(|stored| stored.reserved = stored.reserved - room.growth());
    }

    /// Takes room for content beyond the announced bytes.
    pub(super) fn take_bytes(&self, bytes: u64) -> Result<()> {
        self.take(Room::new(bytes, 0))
    }

    fn take(&self, room: Room) -> Result<()> {
        let mut own = self.own();
        let (net, grown) = (own.net + room, own.grown + room.growth());
        let mut count = self.account.lock();
        let Count::Known(stored) = &mut *count else { return Err(Error::internal("an account that was not counted")) };
        let reserved = stored.reserved + room.growth();
        // Room that this run gives back counts for itself at once, and for others when it has ended. A run that is cut
        // off may have removed nothing of what it replaced, and so leave twice the quota stored; the key must then
        // remove some of it first.
        let surely = stored.used + reserved;
        let perhaps = surely - grown + net;
        for (grows, used, surely, perhaps, most, what) in [
            (room.bytes, stored.used.bytes, surely.bytes, perhaps.bytes, self.most.bytes, "bytes"),
            (room.entries, stored.used.entries, surely.entries, perhaps.entries, self.most.entries, "entries"),
        ] {
            if grows > 0 && surely > most && (used > most || perhaps > most) {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("the quota of {what} of the key {:?} is too small", self.name),
                )
                .with("quota", what.to_owned()));
            }
        }
        stored.reserved = reserved;
        (own.net, own.grown) = (net, grown);
        Ok(())
    }

    /// Ends the run's part of the account: the run now holds `now`, which does not count the replaced entries that it
    /// `keeps_elsewhere`.
    pub(crate) fn settle(&self, now: Held, keeps_elsewhere: bool) {
        let mut own = self.own();
        let left = now.own + now.own_unfinished - own.before;
        let left = if keeps_elsewhere { left.max(own.net) } else { left };
        self.put_in_place(&mut own, left);
    }

    fn put_in_place(&self, own: &mut Own, left: Room) {
        if own.is_settled {
            return;
        }
        let grown = own.grown;
        let settled = self.account.with(|stored| {
            stored.used = stored.used + left;
            stored.reserved = stored.reserved - grown;
        });
        own.is_settled = settled.is_some();
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Quota {
    /// A run whose directory was not counted after its end may have made everything that it was about to make.
    fn drop(&mut self) {
        let mut own = self.own();
        let left = own.grown + own.unfinished;
        self.put_in_place(&mut own, left);
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::{Account, Held, Quota, Room};
    use crate::engine::session::Session;
    use crate::error::{Error, ErrorKind, Result};

    fn begin(account: &Arc<Account>, held: Held) -> Quota {
        let (account, session) = (Arc::clone(account), Session::new(false));
        Quota::begin(account, "key", (Some(100), None), || Ok(held), || Ok(held), &session).unwrap()
    }

    #[test]
    fn who_waits_for_the_count_of_another_run_may_end_and_takes_it_over_where_that_fails() {
        let account: Arc<Account> = Arc::default();
        let begin = |session: &Session, everything: &dyn Fn() -> Result<Held>| {
            let own_part = || Ok(Held::default());
            Quota::begin(Arc::clone(&account), "key", (Some(100), None), everything, own_part, session)
        };
        let sessions = [(); 3].map(|()| Session::new(false));
        let (is_counting, counting) = mpsc::channel();
        let (fails, failing) = mpsc::channel::<()>();
        let failing = Mutex::new(failing);
        std::thread::scope(|scope| {
            let [first, second, third] = &sessions;
            let counts = move || {
                is_counting.send(()).unwrap();
                account_fails(&failing)
            };
            let first = scope.spawn(move || begin(first, &counts).map(drop));
            counting.recv().unwrap();
            let waits = scope.spawn(move || begin(second, &|| panic!("somebody counts already")).map(drop));
            second.fail(Error::new(ErrorKind::Aborted, "canceled"));
            assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::Aborted);
            let takes_over = scope.spawn(move || begin(third, &|| Ok(Held::default())).map(drop));
            fails.send(()).unwrap();
            assert!(first.join().unwrap().is_err());
            takes_over.join().unwrap().unwrap();
        });
    }

    /// A count that fails when it is told to.
    fn account_fails(when: &Mutex<mpsc::Receiver<()>>) -> Result<Held> {
        when.lock().unwrap().recv().unwrap();
        Err(Error::new(ErrorKind::Io, "the disk is gone"))
    }

    #[test]
    fn what_is_refused_takes_nothing_from_the_others() {
        let account = Arc::default();
        let [one, other] = [(); 2].map(|()| begin(&account, Held::default()));
        for _ in 0..3 {
            assert!(other.take_bytes(1 << 62).is_err());
        }
        one.take_bytes(60).unwrap();
        drop(other);
        one.take_bytes(40).unwrap();
        assert!(one.take_bytes(1).is_err());
    }

    #[test]
    fn what_comes_from_nowhere_gives_its_room_back() {
        let account = Arc::default();
        let quota = begin(&account, Held::default());
        quota.take_entry(100, None).unwrap();
        quota.give_entry_back(100, None);
        quota.take_entry(100, None).unwrap();
        assert!(quota.take_bytes(1).is_err());
    }

    #[test]
    fn what_was_unfinished_counts_again_where_nobody_has_looked() {
        let account = Arc::default();
        let unfinished = Room::new(50, 1);
        let held = Held { all: Room::new(60, 2), own: Room::new(10, 1), own_unfinished: unfinished };
        let lasting = begin(&account, held);
        drop(begin(&account, Held { own_unfinished: Room::new(10, 0), ..Held::default() }));
        assert!(lasting.take_bytes(91).is_err(), "10 are used");
        lasting.take_bytes(90).unwrap();
    }
}
