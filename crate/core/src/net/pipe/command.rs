//! The process at the other end of a pipe: started, listened to, explained and ended.

use std::ffi::OsString;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

use super::beside::BesideOptions;
use super::descriptor::{self, Sink, Source};
use super::lock;
use super::preface::{self, Unheard};
use crate::error::{Error, ErrorKind, Result};
use crate::net::close::reason_text;
use crate::net::connect::in_phase;

/// How long a command may take to end by itself when its connection is over, before it is told to.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// How long a command is waited for whose work is done. `ssh` stays while other sessions share its connection.
const GOES_WITHIN: Duration = Duration::from_millis(500);

/// How long the last lines of a command that has ended are waited for. Its children may keep its standard error open.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(200);

/// The longest pause between two looks at a process.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(20);

/// Bytes of a command's standard error that are kept, the last ones.
const STDERR_BYTES_MAX: usize = 4096;

/// Exit codes of shells and their like for a program that cannot be run, and for one that is not there; csh has 1 for
/// that.
const CANNOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;
const FAILED: i32 = 1;

/// Exit codes of the script that puts the program there: it finds no place for it, or not all of it has arrived.
const NO_PLACE: i32 = 3;
const NOT_WHOLE: i32 = 4;

/// Exit code of `ssh` where itself has failed.
const SSH_FAILED: i32 = 255;

/// How long nothing of an upload may be taken where connecting has no limit.
const UPLOAD_TAKES_WITHIN: Duration = Duration::from_secs(60);

/// The line by which a shell at the other end asks for the program that is to run there: system and processor follow.
const NEEDED: &[u8] = b"SPSY-NEED ";

/// A command that leads to the other end.
#[derive(Clone, Debug)]
pub struct CommandOptions {
    /// The program and its arguments. They are run without a shell.
    pub words: Vec<OsString>,
    /// The command as it is shown.
    pub shown: String,
    /// Where it leads, for people.
    pub address: String,
    /// Programs that may be installed at the other end when it asks for one.
    pub programs: Vec<RemoteProgram>,
    /// How long the other end may take to greet. A command may ask for a password meanwhile.
    pub connect_timeout: Option<Duration>,
    /// QUIC beside the pipe, if the command is `ssh`.
    pub beside: Option<BesideOptions>,
    /// What it says on its standard error goes to that of this process as well, as it comes.
    pub inherits_stderr: bool,
    /// Ends the command while it has not led anywhere yet.
    pub canceled: Canceled,
}

/// An executable of the other end.
#[derive(Clone, Debug)]
pub struct RemoteProgram {
    /// The processor that it is for, as `uname -m` says it.
    pub machine: String,
    /// Where it is on this machine.
    pub path: PathBuf,
}

/// Calls off the start of a command.
#[derive(Clone, Debug, Default)]
pub struct Canceled(Arc<Mutex<CanceledState>>);

#[derive(Debug, Default)]
struct CanceledState {
    is_canceled: bool,
    starting: Option<Arc<Command>>,
}

impl Canceled {
    /// Ends the command if it is being started, or keeps it from being started.
    pub fn cancel(&self) {
        let mut state = lock(&self.0);
        state.is_canceled = true;
        if let Some(command) = state.starting.take() {
            command.terminate();
        }
    }

    fn starting(&self, command: &Arc<Command>) {
        let mut state = lock(&self.0);
        if state.is_canceled {
            command.terminate();
        } else {
            state.starting = Some(Arc::clone(command));
        }
    }

    fn started(&self) {
        lock(&self.0).starting = None;
    }
}

/// A command that runs.
#[derive(Debug)]
pub(super) struct Command {
    /// The command as it is shown to people.
    shown: String,
    address: String,
    child: Arc<Mutex<Child>>,
    /// It is left to itself, because its work is done.
    is_left: AtomicBool,
    /// Whether the other end may be put there.
    may_put: bool,
    /// The last that it has said on its standard error.
    stderr: Mutex<Vec<u8>>,
    /// What it says there has been shown.
    inherits_stderr: bool,
    /// Whether its standard error has come to its end.
    has_said_all: watch::Sender<bool>,
}

/// The descriptors of a peer that has greeted, and the bytes that came behind its greeting.
pub(super) type Greeted = (Source, Sink, BytesMut);

impl Command {
    /// Starts it and waits until the other end is heard.
    pub(super) async fn start(options: CommandOptions) -> Result<(Greeted, Arc<Self>)> {
        let CommandOptions { words, shown, address, programs, connect_timeout, beside: _, inherits_stderr, canceled } =
            options;
        let cannot = |error: io::Error| {
            let message = format!("cannot start the command {shown}: {error}");
            Error::new(ErrorKind::Config, message).with("command", shown.clone()).because(error)
        };
        let (program, arguments) =
            words.split_first().ok_or_else(|| Error::new(ErrorKind::Config, "a command without a program"))?;
        let mut child = std::process::Command::new(program)
            .args(arguments)
            // Neither ssh nor what it starts has any use for this client's secrets. `withoutSecrets` in ts/config.ts
            // leaves out the same ones.
            .env_remove("SPARSYNC_CREDENTIAL")
            .env_remove("SPARSYNC_INVITATION")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let command = Arc::new(Self {
            shown: shown.clone(),
            address,
            child: Arc::new(Mutex::new(child)),
            is_left: AtomicBool::new(false),
            may_put: !programs.is_empty(),
            stderr: Mutex::default(),
            inherits_stderr,
            has_said_all: watch::channel(false).0,
        });
        canceled.starting(&command);
        let piped = |fd: Option<OwnedFd>| fd.ok_or_else(|| Error::internal("a command without a pipe"));
        let (mut from, mut to) = super::descriptors(piped(stdout.map(Into::into))?, piped(stdin.map(Into::into))?)?;
        let errors = descriptor::source(piped(stderr.map(Into::into))?).map_err(cannot)?;
        tokio::spawn(Arc::clone(&command).listen(errors));
        let mut hear = async || match connect_timeout {
            None => Ok(preface::hear(&mut from).await),
            Some(limit) => tokio::time::timeout(limit, preface::hear(&mut from))
                .await
                .map_err(|_| command.silent("said nothing", limit)),
        };
        let mut heard = hear().await?;
        if let Err(Unheard::Junk(line)) = &heard
            && !programs.is_empty()
            && line.starts_with(NEEDED)
        {
            // Only silence is limited: the upload may take as long as the path needs.
            let limit = connect_timeout.unwrap_or(UPLOAD_TAKES_WITHIN);
            command.put_there(&mut to, line, &programs, limit).await?;
            heard = hear().await?;
        }
        // The greeting is sent only now, because the shell reads everything before it as the program.
        let _ = preface::say(&mut to).await;
        canceled.started();
        match heard {
            Ok(buffer) => Ok(((from, to, buffer), command)),
            Err(unheard) => Err(command.unheard(unheard).await),
        }
    }

    /// Sends the program that the other end has asked for. It has to take some of it within `limit`, again and again.
    async fn put_there(&self, to: &mut Sink, line: &[u8], programs: &[RemoteProgram], limit: Duration) -> Result<()> {
        let asked = reason_text(&line[NEEDED.len()..]);
        let machine = asked.strip_prefix("Linux ").unwrap_or_default();
        let Some(program) = programs.iter().find(|program| program.machine == machine) else {
            self.terminate();
            let what = match machine {
                "x86_64" => "its sparsync-remote is not installed here (package sparsync-native-linux-x64-gnu)",
                "aarch64" => "its sparsync-remote is not installed here (package sparsync-native-linux-arm64-gnu)",
                _ => "sparsync-remote is for Linux on x86_64 or aarch64",
            };
            let message = format!("the other end is {asked}: {what}");
            return Err(self.told(Error::new(ErrorKind::Config, message).with("machine", asked), None));
        };
        let path = program.path.as_os_str().as_encoded_bytes();
        let content =
            std::fs::read(&program.path).map_err(|error| Error::io("cannot read sparsync-remote", path, error))?;
        let mut rest = &content[..];
        while !rest.is_empty() {
            match tokio::time::timeout(limit, to.write(&[IoSlice::new(rest)])).await {
                Ok(Ok(written)) => rest = &rest[written..],
                // If the shell does not take all of it, its next line or its end tells why.
                Ok(Err(_)) => break,
                Err(_) => return Err(self.silent("took nothing of sparsync-remote", limit)),
            }
        }
        Ok(())
    }

    /// Keeps the last bytes of the command's standard error, and passes all of them on where that is wanted.
    async fn listen(self: Arc<Self>, mut from: Source) {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let said = &buffer[..read];
            {
                let mut kept = lock(&self.stderr);
                kept.extend_from_slice(said);
                let over = kept.len().saturating_sub(STDERR_BYTES_MAX);
                kept.drain(..over);
            }
            if self.inherits_stderr {
                let said = said.to_vec();
                // A terminal that is held up must not hold up the run.
                let _ = tokio::task::spawn_blocking(move || std::io::stderr().write_all(&said)).await;
            }
        }
        self.has_said_all.send_replace(true);
    }

    fn silent(&self, what: &str, limit: Duration) -> Error {
        self.terminate();
        let message = format!("{} {what} within {} seconds", self.shown, limit.as_secs_f32());
        self.told(in_phase(Error::new(ErrorKind::Timeout, message)), None)
    }

    async fn unheard(&self, unheard: Unheard) -> Error {
        match unheard {
            Unheard::Ended(_) => self.ended(false).await,
            Unheard::Junk(junk) => {
                self.terminate();
                let line = reason_text(junk.split(|&byte| byte == b'\n').next().unwrap_or_default());
                let message = format!(
                    "{} printed \"{line}\" before the session: the remote shell prints something when it starts, or the \
                     program there is not sparsync-remote",
                    self.shown
                );
                self.told(Error::protocol(message).remote().with("printed", line), None)
            }
            Unheard::Version => {
                self.terminate();
                let message = format!(
                    "{} runs an incompatible version of sparsync-remote: install the same version at both ends",
                    self.shown
                );
                self.told(Error::new(ErrorKind::Version, message).remote(), None)
            }
        }
    }

    /// Why the connection has ended, or has not begun if the other end never `was_heard`: the command's exit code and
    /// its last lines tell.
    pub(super) async fn ended(&self, was_heard: bool) -> Error {
        let status = self.wait(ENDS_WITHIN).await;
        // The command's last lines may still be on their way.
        let mut said_all = self.has_said_all.subscribe();
        let _ = tokio::time::timeout(LAST_LINES_WITHIN, said_all.wait_for(|said_all| *said_all)).await;
        let how = match status {
            None => "closed its standard output".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
        };
        let error = if was_heard {
            Error::new(ErrorKind::Closed, format!("{} {how} in the middle of the work", self.shown))
        } else {
            let said = lock(&self.stderr).clone();
            let end = unbegun(status.and_then(|status| status.code()), &String::from_utf8_lossy(&said), self.may_put);
            match end {
                None => Error::new(ErrorKind::Connect, format!("{} {how} before a session began", self.shown)),
                Some(Unbegun { kind, reason, why }) => {
                    Error::new(kind, format!("{} {how}: {why}", self.shown)).with("reason", reason.to_owned())
                }
            }
        };
        self.told(error.remote(), status)
    }

    /// Adds the command's exit code and last lines to an error.
    fn told(&self, error: Error, status: Option<ExitStatus>) -> Error {
        let stderr = lock(&self.stderr).clone();
        let lines: Vec<String> =
            stderr.split(|&byte| byte == b'\n').map(reason_text).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join("; ");
        let error = error.with("command", self.shown.clone()).with("address", self.address.clone());
        let error = match status.and_then(|status| status.code()).and_then(|code| u64::try_from(code).ok()) {
            Some(code) => error.with("exitCode", code),
            None => error,
        };
        let error = match status.and_then(|status| status.signal()).and_then(|signal| u64::try_from(signal).ok()) {
            Some(signal) => error.with("signal", signal),
            None => error,
        };
        if last.is_empty() {
            return error;
        }
        let error = error.with("stderr", lines.join("\n"));
        // What was shown as it came is not repeated.
        if self.inherits_stderr { error } else { error.during(&format!("it said: {last}")) }
    }

    /// Waits for the process to end, for so long.
    async fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Ok(Some(status)) = lock(&self.child).try_wait() {
                return Some(status);
            }
            if began.elapsed() >= limit {
                return None;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_EVERY_MAX);
        }
    }

    /// Waits for the process, which ends by itself when its pipes are closed. If it does not, it is told to end, or is
    /// left to itself where all work was done: an `ssh` whose connection others share goes on for them.
    pub(super) async fn end(&self, is_done: bool) {
        if is_done {
            self.is_left.store(true, Ordering::Relaxed);
            self.wait(GOES_WITHIN).await;
        } else if self.wait(ENDS_WITHIN).await.is_none() {
            self.terminate();
        }
    }

    /// Tells the process to end, so that `ssh` takes its control socket away, and kills it when it does not.
    fn terminate(&self) {
        let mut child = lock(&self.child);
        if matches!(child.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(Pid::from_child(&child), Signal::TERM);
            self.reap(end_or_kill);
        }
    }

    /// Takes the process off the system's list when it has ended, on a thread for which nothing waits.
    fn reap(&self, until_ended: fn(&Mutex<Child>)) {
        let child = Arc::clone(&self.child);
        let _ = std::thread::Builder::new().name("sparsync-reap".to_owned()).spawn(move || until_ended(&child));
    }
}

fn end_or_kill(child: &Mutex<Child>) {
    let began = Instant::now();
    while matches!(lock(child).try_wait(), Ok(None)) {
        if began.elapsed() >= ENDS_WITHIN {
            let _ = lock(child).kill();
        }
        std::thread::sleep(LOOK_EVERY_MAX);
    }
}

fn wait(child: &Mutex<Child>) {
    let _ = lock(child).wait();
}

/// Why no session began, where the same call would fail again.
struct Unbegun {
    kind: ErrorKind,
    /// For programs.
    reason: &'static str,
    why: &'static str,
}

/// Takes the meaning of an exit code from what was said. `may_put` is whether the script that puts the program there
/// ran.
fn unbegun(code: Option<i32>, said: &str, may_put: bool) -> Option<Unbegun> {
    let config = |reason, why| Some(Unbegun { kind: ErrorKind::Config, reason, why });
    match code? {
        SSH_FAILED if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") => Some(Unbegun {
            kind: ErrorKind::HostKeyChanged,
            reason: "ssh-host-key",
            why: "the key of the host is not the one that ssh knows",
        }),
        SSH_FAILED if said.contains("Host key verification failed") => Some(Unbegun {
            kind: ErrorKind::UnknownHost,
            reason: "ssh-host-key",
            why: "ssh does not know the key of the host",
        }),
        SSH_FAILED if said.contains("Permission denied (") || said.contains("Too many authentication failures") => {
            Some(Unbegun { kind: ErrorKind::Unauthorized, reason: "ssh-login", why: "ssh could not log in" })
        }
        NO_PLACE if may_put => config(
            "remote-cannot-put",
            "sparsync-remote cannot be put there (XDG_CACHE_HOME there names another folder; --bootstrap=temp puts it into TMPDIR)",
        ),
        NOT_WHOLE if may_put => config(
            "remote-cannot-put",
            "sparsync-remote did not arrive whole: no space is left there, or sha256sum is missing (XDG_CACHE_HOME there names \
             another folder; --bootstrap=temp puts it into TMPDIR)",
        ),
        CANNOT_RUN if may_put => config(
            "remote-cannot-run",
            "programs cannot run in the folder that sparsync-remote is put into (XDG_CACHE_HOME there names another one, and TMPDIR for \
             --bootstrap=temp)",
        ),
        NOT_FOUND if may_put => config("remote-cannot-run", "there is no sh, or no program that it needs"),
        CANNOT_RUN => config(
            "remote-missing",
            "the sparsync-remote there cannot be run: it is for another processor, or may not be executed (--bootstrap installs \
             one; or name one with --rsync-path)",
        ),
        NOT_FOUND | FAILED if code == Some(NOT_FOUND) || said.contains("Command not found") => config(
            "remote-missing",
            "sparsync-remote is not installed there (--bootstrap installs it; or put it into the PATH of the other end, or name it with \
             --rsync-path)",
        ),
        _ => None,
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        if !matches!(lock(&self.child).try_wait(), Ok(None)) {
            return;
        }
        if *self.is_left.get_mut() { self.reap(wait) } else { self.terminate() }
    }
}
