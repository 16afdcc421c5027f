//! The steps of a walk.

use super::session::Session;

/// Takes the steps of a walk, and lets other threads have the processor at some of them.
///
/// A walk keeps its processor busy to the end. The kernel may put a thread behind it that was woken before the walk
/// began, as the one that sends the request, or one that another processor would have room for, as that of the other
/// end's session: both walks then run one after the other. To give way costs next to nothing where nobody waits, and a
/// time slice where somebody has as much to do, so a walk gives way at its first step, and then when twice as many have
/// been taken.
pub(super) struct Steps<'a> {
    session: &'a Session,
    /// A step hashes files or looks ahead.
    is_long: bool,
    taken: u64,
}

impl<'a> Steps<'a> {
    pub(super) const fn new(session: &'a Session, is_long: bool) -> Self {
        Self { session, is_long, taken: 0 }
    }

    pub(super) fn take<T>(&mut self, step: impl FnOnce() -> T) -> T {
        self.taken += 1;
        if self.taken.is_power_of_two() {
            std::thread::yield_now();
        }
        if self.is_long { self.session.long_work(step) } else { step() }
    }
}
