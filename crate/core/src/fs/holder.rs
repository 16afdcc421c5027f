//! Names who holds a lock: a run of this process, or another process of this machine.

use std::fs::read_to_string;
use std::time::{Duration, SystemTime};

/// The unit in which the kernel tells when a process began, in parts of a second, on every architecture that is built
/// for.
const TICKS: u64 = 100;

/// A run of this process that goes by `name`.
pub(super) fn run_here(name: &str, since: SystemTime) -> String {
    format!("{name} (process {} on {}, since {})", std::process::id(), host(), moment(since))
}

/// Another process: its name and since when it runs, as far as the kernel tells.
pub(super) fn process(pid: u32) -> String {
    let command = read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let command = match command.trim_end() {
        "" => String::new(),
        command => format!(" ({command})"),
    };
    let since = began(pid).map(|began| format!(", which runs since {}", moment(began))).unwrap_or_default();
    format!("process {pid}{command} on {}{since}", host())
}

fn host() -> String {
    let name = read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim_end();
    if name.is_empty() { "this machine".to_owned() } else { name.to_owned() }
}

fn began(pid: u32) -> Option<SystemTime> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, which may hold anything.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let system = read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(boot.checked_add(ticks / TICKS)?))
}

fn moment(at: SystemTime) -> String {
    let at = time::OffsetDateTime::from(at);
    let (hour, minute, second) = at.time().as_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", at.date())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{began, moment, process, run_here};

    #[test]
    fn a_process_is_told_by_number_name_host_and_beginning() {
        let own = std::process::id();
        let since = began(own).expect("this process");
        let age = SystemTime::now().duration_since(since).unwrap_or_default();
        assert!(age < Duration::from_secs(24 * 60 * 60), "{age:?}");
        let told = process(own);
        assert!(told.starts_with(&format!("process {own} (")) && told.contains(&moment(since)), "{told}");
        let told = run_here("alice", SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        assert!(told.starts_with(&format!("alice (process {own} on ")), "{told}");
        assert!(told.ends_with(", since 2027-01-15T08:00:00Z)"), "{told}");
    }
}
