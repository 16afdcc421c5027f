//! `timed [--netns FILE] [--clock PID]... --out FILE -- PROGRAM [ARGUMENT]...`, or `timed --read PID`
//!
//! Runs a program to its end and writes to `--out`, as one JSON object, what that took: wall time, user and system time
//! and the peak memory of it and of the children that it waited for, and the processor time that other processes
//! (`--clock`, a server) spent meanwhile. A process of its own, because a parent's memory counts as its child's until
//! that has called exec: under Node every child would seem to need as much as Node.
//!
//! With `--read` it prints the microseconds of processor time that a process has spent so far.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::ClockId;
use nix::unistd::Pid;

/// What the command line says.
#[derive(Default)]
struct Options {
    netns: Option<OsString>,
    clocks: Vec<i32>,
    out: OsString,
    program: Vec<OsString>,
}

fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{} needs a value", word.display()));
        match word.to_str() {
            Some("--netns") => options.netns = Some(value()?),
            Some("--clock") => options.clocks.push(value()?.to_str().ok_or("not a number")?.parse()?),
            Some("--out") => options.out = value()?,
            Some("--") => options.program.extend(words.by_ref()),
            _ => return Err(format!("unknown word {}", word.display()).into()),
        }
    }
    if options.program.is_empty() || options.out.is_empty() {
        return Err("timed [--netns FILE] [--clock PID]... --out FILE -- PROGRAM [ARGUMENT]...".into());
    }
    Ok(options)
}

/// The processor time of a whole process since its start, threads that have ended included.
fn processor_time(pid: i32) -> nix::Result<Duration> {
    Ok(nix::time::clock_getcpuclockid(Pid::from_raw(pid)).and_then(ClockId::now)?.into())
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [read, pid] = words.as_slice()
        && read == "--read"
    {
        let spent = processor_time(pid.to_str().ok_or("not a number")?.parse()?)?;
        writeln!(std::io::stdout(), "{}", spent.as_micros())?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = parse(words.into_iter())?;
    if let Some(path) = &options.netns {
        nix::sched::setns(std::fs::File::open(path)?, CloneFlags::CLONE_NEWNET)?;
    }
    let mut command = Command::new(&options.program[0]);
    command.args(&options.program[1..]);
    let before = options.clocks.iter().map(|&pid| processor_time(pid)).collect::<nix::Result<Vec<_>>>()?;
    let begun = Instant::now();
    let status = command.status()?;
    let wall = begun.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    // The other side may have a little to tidy up after its peer has gone.
    if !options.clocks.is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut clocks = String::new();
    for (&pid, &before) in options.clocks.iter().zip(&before) {
        let spent = processor_time(pid)?.saturating_sub(before);
        let separator = if clocks.is_empty() { "" } else { "," };
        write!(clocks, "{separator}\"{pid}\":{}", spent.as_micros())?;
    }
    let result = format!(
        "{{\"exit\":{},\"wallUs\":{},\"userUs\":{},\"systemUs\":{},\"peakKib\":{},\"clocksUs\":{{{clocks}}}}}\n",
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        wall.as_micros(),
        usage.user_time().num_microseconds(),
        usage.system_time().num_microseconds(),
        usage.max_rss(),
    );
    std::fs::write(&options.out, result)?;
    Ok(ExitCode::SUCCESS)
}
