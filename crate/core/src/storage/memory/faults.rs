//! Where a storage fails: at one call of a run, named so that another run of the same tree meets it again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::storage::{Errno, Result, TempName};

/// The name that stands for that of any unfinished entry.
pub(crate) const UNFINISHED: &[u8] = b"<unfinished>";

/// One call of a run. Unfinished entries have other names in each run, so one name stands for all of a directory.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    /// What is called.
    pub(crate) operation: &'static str,
    /// The entry that is concerned, below the root.
    pub(crate) path: Vec<u8>,
    /// How many such calls came before.
    pub(crate) nth: u32,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of \"{}\" ({})", self.operation, self.path.escape_ascii(), self.nth)
    }
}

/// The effect of a fault on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// It fails, and does nothing; a write does half of it.
    Fail(Errno),
    /// It does what it should, and fails.
    FailAfter(Errno),
    /// The machine is gone: nothing changes from here on.
    Cut,
    /// It does nothing and reports success, which no storage may do; for tests of the judge.
    Lie,
}

/// The failures of one storage, and the account of its calls.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seen: HashMap<(&'static str, Vec<u8>), u32>,
    calls: Vec<Call>,
    plan: Option<(Call, Strike)>,
    struck: bool,
    cut: bool,
}

impl Faults {
    /// Begins a new run, in which `plan` happens.
    pub(crate) fn begin(&self, plan: Option<(Call, Strike)>) {
        *self.lock() = State { plan, ..State::default() };
    }

    /// The calls since the run has begun.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Whether the plan has happened.
    pub(crate) fn has_struck(&self) -> bool {
        self.lock().struck
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accounts for a call, and says what becomes of it.
    fn strike(&self, operation: &'static str, path: &[u8]) -> Option<Strike> {
        let mut state = self.lock();
        if state.cut {
            return Some(Strike::Fail(Errno::IO));
        }
        let path = stable(path);
        let seen = state.seen.entry((operation, path.clone())).or_default();
        let call = Call { operation, path, nth: *seen };
        *seen += 1;
        state.calls.push(call.clone());
        let strike = state.plan.as_ref().filter(|(planned, _)| *planned == call).map(|(_, strike)| *strike)?;
        state.struck = true;
        state.cut = strike == Strike::Cut;
        Some(strike)
    }

    /// Does `work` as a call that may fail.
    pub(crate) fn call<T>(&self, operation: &'static str, path: &[u8], work: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.strike(operation, path) {
            None | Some(Strike::Lie) => work(),
            Some(Strike::Fail(error)) => Err(error.into()),
            Some(Strike::FailAfter(error)) => work().and(Err(error.into())),
            Some(Strike::Cut) => Err(Errno::IO.into()),
        }
    }

    /// Does `work` as a call that gives nothing back, so that a storage can lie about it. `half` is what such a call
    /// may have done when it fails.
    pub(crate) fn change(
        &self,
        operation: &'static str,
        path: &[u8],
        work: impl FnOnce() -> Result<()>,
        half: impl FnOnce(),
    ) -> Result<()> {
        let is_cut = self.lock().cut;
        match self.strike(operation, path) {
            None => work(),
            Some(Strike::Lie) => Ok(()),
            Some(Strike::FailAfter(error)) => work().and(Err(error.into())),
            Some(strike @ (Strike::Fail(_) | Strike::Cut)) => {
                if !is_cut {
                    half();
                }
                Err(if let Strike::Fail(error) = strike { error } else { Errno::IO }.into())
            }
        }
    }
}

/// A path in which each name of an unfinished entry is the same.
fn stable(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/');
    let names = names.map(|name| match TempName::parse(name) {
        Some(_) => UNFINISHED,
        None => name,
    });
    names.collect::<Vec<_>>().join(&b'/')
}
