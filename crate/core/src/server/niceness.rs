//! Sets how nice the threads of a session are to those of other keys.

use rustix::process::{getpriority_process, setpriority_process};

/// The kernel gives a thread four fifths of the time for each level: a key that has N sessions gives each of them an
/// N-th part of what the only session of another key has.
///
/// | sessions of the key | 1 | 2 | 3 | 4 | 6 | 9  | 17 | 32 | 63 and more |
/// | ------------------- | - | - | - | - | - | -- | -- | -- | ----------- |
/// | levels              | 0 | 3 | 5 | 6 | 8 | 10 | 13 | 16 | 19          |
///
/// Each number of sessions here begins another level.
const STEPS: [usize; 19] = [2, 2, 2, 3, 3, 4, 5, 6, 7, 9, 11, 14, 17, 21, 26, 32, 40, 50, 63];

/// The levels that a session is nicer than the server, by the sessions that its key has with it.
fn levels(sessions: usize) -> i32 {
    STEPS.iter().fold(0, |levels, &from| levels + i32::from(from <= sessions))
}

/// Makes this thread, and those that it will start, as nice as befits one of so many sessions of a key. Nothing takes
/// that back, so it holds for the session. Where the system does not allow it, all sessions remain equals.
pub(super) fn be_nice(sessions: usize) {
    let levels = levels(sessions);
    if levels > 0
        && let Ok(own) = getpriority_process(None)
    {
        let _ = setpriority_process(None, own.saturating_add(levels).min(19));
    }
}

#[cfg(test)]
mod tests {
    use super::{be_nice, levels};
    use rustix::process::getpriority_process;

    #[test]
    fn levels_are_those_of_the_table() {
        let table = [(0, 0), (1, 0), (2, 3), (3, 5), (4, 6), (6, 8), (9, 10), (17, 13), (32, 16), (63, 19), (9999, 19)];
        for (sessions, expected) in table {
            assert_eq!(levels(sessions), expected, "{sessions} sessions");
        }
    }

    #[test]
    fn a_thread_and_those_it_starts_are_nice_and_no_other_is() {
        let niceness = || getpriority_process(None).expect("the kernel tells");
        let own = niceness();
        let (nice, below) = std::thread::spawn(move || {
            be_nice(2);
            (niceness(), std::thread::spawn(niceness).join().expect("no panic"))
        })
        .join()
        .expect("no panic");
        assert_eq!((nice, below), ((own + 3).min(19), (own + 3).min(19)));
        assert_eq!(niceness(), own);
    }
}
