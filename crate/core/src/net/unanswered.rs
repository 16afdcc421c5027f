//! Where UDP got no answer lately.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::address::shown;
use crate::state::{StateDir, write};

/// How long a silent server is remembered. In another network this costs little, because UDP is tried all the same.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The record of one server that did not answer. It only saves time, so a record that cannot be read or written is no
/// error.
#[derive(Debug)]
pub(super) struct Unanswered {
    file: Option<PathBuf>,
    was_silent: bool,
}

impl Unanswered {
    /// Looks it up.
    pub(super) fn look_up(state: Option<StateDir>, host: &str, port: u16) -> Self {
        let Some(state) = state else { return Self { file: None, was_silent: false } };
        let file = state.file("unanswered", shown(host, port).to_ascii_lowercase().as_bytes());
        let age = fs::metadata(&file).and_then(|found| found.modified()).map(|at| SystemTime::now().duration_since(at));
        // A record from the future was written by a clock that was wrong.
        let was_silent = matches!(age, Ok(Ok(age)) if age < REMEMBERED_FOR);
        Self { file: Some(file), was_silent }
    }

    /// Whether it got no answer.
    pub(super) fn was_silent(&self) -> bool {
        self.was_silent
    }

    /// Notes that the server gave no answer.
    pub(super) fn remember(&self) {
        let Some(file) = &self.file else { return };
        let _ = write(file, b"");
    }

    /// Notes that the server gave an answer.
    pub(super) fn forget(&self) {
        if let Some(file) = self.file.as_ref().filter(|_| self.was_silent) {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::{REMEMBERED_FOR, Unanswered};
    use crate::state::StateDir;

    #[test]
    fn silence_is_remembered_for_a_day_for_one_port_of_one_host() {
        let directory = tempfile::tempdir().expect("a directory");
        let look_up = |host: &str, port| Unanswered::look_up(Some(StateDir::at(directory.path())), host, port);
        assert!(!look_up("backup.example", 28792).was_silent());
        look_up("backup.example", 28792).remember();
        assert!(look_up("Backup.example", 28792).was_silent());
        assert!(!look_up("backup.example", 28793).was_silent());
        let known = look_up("backup.example", 28792);
        let file = File::options().write(true).open(known.file.as_ref().expect("a file")).expect("opened");
        for (at, is_known) in [
            (SystemTime::now() - REMEMBERED_FOR, false),
            (SystemTime::now() + REMEMBERED_FOR, false),
            (SystemTime::now(), true),
        ] {
            file.set_modified(at).expect("a time");
            assert_eq!(look_up("backup.example", 28792).was_silent(), is_known);
        }
        known.forget();
        assert!(!look_up("backup.example", 28792).was_silent());
    }

    #[test]
    fn a_symlink_in_the_place_names_nothing_that_is_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let (state, victim) = (directory.path().join("state"), directory.path().join("victim"));
        std::fs::write(&victim, "content").expect("written");
        let known = Unanswered::look_up(Some(StateDir::at(&state)), "host", 1);
        let file = known.file.as_ref().expect("a file");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::os::unix::fs::symlink(&victim, file).expect("linked");
        known.remember();
        assert_eq!(std::fs::read(&victim).expect("read"), b"content");
    }

    #[test]
    fn without_a_place_nothing_is_remembered_and_nothing_fails() {
        let nowhere = Unanswered::look_up(None, "host", 1);
        nowhere.remember();
        nowhere.forget();
        let unusable = || Unanswered::look_up(Some(StateDir::at("/proc/nothing".as_ref())), "host", 1);
        unusable().remember();
        unusable().forget();
        assert!(!nowhere.was_silent() && !unusable().was_silent());
    }
}
