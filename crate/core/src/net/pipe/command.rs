//! The process at the other end of a pipe: started, listened to, explained and ended.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::beside::BesideOptions;
use super::descriptor::{self, Sink, Source};
use super::lock;
use super::preface::{self, Unheard};
use crate::error::{Error, ErrorKind, Result};
use crate::net::close::reason_text;
use crate::net::connect::in_phase;

/// How long a command may take to end by itself when its connection is over, before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// How long the last lines of a command that has ended are waited for. Its children may keep its standard error open.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(200);

/// The longest pause between two looks at a process.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(20);

/// Bytes of a command's standard error that are kept, the last ones.
const STDERR_BYTES_MAX: usize = 4096;

/// Exit codes of shells and their like for a program that is not there or cannot be run.
const NOT_RUN: [i32; 2] = [126, 127];

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
            command.kill();
        }
    }

    fn starting(&self, command: &Arc<Command>) {
        let mut state = lock(&self.0);
        if state.is_canceled {
            command.kill();
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
    child: Mutex<Child>,
    /// Whether the other end may be put there.
    may_put: bool,
    /// The last that it has said on its standard error.
    stderr: Mutex<Vec<u8>>,
}

/// The descriptors of a peer that has greeted, and the bytes that came behind its greeting.
pub(super) type Greeted = (Source, Sink, BytesMut);

impl Command {
    /// Starts it and waits until the other end is heard.
    pub(super) async fn start(options: CommandOptions) -> Result<(Greeted, Arc<Self>)> {
        let CommandOptions { words, shown, address, programs, connect_timeout, beside: _, canceled } = options;
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
            child: Mutex::new(child),
            may_put: !programs.is_empty(),
            stderr: Mutex::default(),
        });
        canceled.starting(&command);
        let piped = |fd: Option<OwnedFd>| fd.ok_or_else(|| Error::internal("a command without a pipe"));
        let (mut from, mut to) = super::descriptors(piped(stdout.map(Into::into))?, piped(stdin.map(Into::into))?)?;
        let errors = descriptor::source(piped(stderr.map(Into::into))?).map_err(cannot)?;
        tokio::spawn(Arc::clone(&command).listen(errors));
        let mut hear = async || match connect_timeout {
            None => Ok(preface::hear(&mut from).await),
            Some(limit) => {
                tokio::time::timeout(limit, preface::hear(&mut from)).await.map_err(|_| command.silent(limit))
            }
        };
        let mut heard = hear().await?;
        if let Err(Unheard::Junk(line)) = &heard
            && !programs.is_empty()
            && line.starts_with(NEEDED)
        {
            // Only silence is limited: the upload may take as long as the path needs.
            command.put_there(&mut to, line, &programs).await?;
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

    /// Sends the program that the other end has asked for.
    async fn put_there(&self, to: &mut Sink, line: &[u8], programs: &[RemoteProgram]) -> Result<()> {
        let asked = reason_text(&line[NEEDED.len()..]);
        let found = match asked.split_once(' ') {
            Some(("Linux", machine)) => programs.iter().find(|program| program.machine == machine),
            _ => None,
        };
        let Some(program) = found else {
            self.kill();
            let message = format!(
                "the other end is {asked}, and no sparsync-remote for it is installed here (packages sparsync-native-linux-x64-gnu and \
                 sparsync-native-linux-arm64-gnu have one)"
            );
            return Err(self.told(Error::new(ErrorKind::Config, message).with("machine", asked), None));
        };
        let path = program.path.as_os_str().as_encoded_bytes();
        let content =
            std::fs::read(&program.path).map_err(|error| Error::io("cannot read sparsync-remote", path, error))?;
        // If the shell does not take all of it, its next line or its end tells why.
        let _ = to.write_all(&content).await;
        Ok(())
    }

    /// Keeps the last bytes of the command's standard error.
    async fn listen(self: Arc<Self>, mut from: Source) {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let mut kept = lock(&self.stderr);
            kept.extend_from_slice(&buffer[..read]);
            let over = kept.len().saturating_sub(STDERR_BYTES_MAX);
            kept.drain(..over);
        }
    }

    fn silent(&self, limit: Duration) -> Error {
        self.kill();
        let message = format!("{} said nothing within {} seconds", self.shown, limit.as_secs_f32());
        self.told(in_phase(Error::new(ErrorKind::Timeout, message)), None)
    }

    async fn unheard(&self, unheard: Unheard) -> Error {
        match unheard {
            Unheard::Ended(_) => self.ended(false).await,
            Unheard::Junk(junk) => {
                self.kill();
                let line = reason_text(junk.split(|&byte| byte == b'\n').next().unwrap_or_default());
                let message = format!(
                    "{} printed \"{line}\" before the session: the remote shell prints something when it starts, or the \
                     program there is not sparsync-remote",
                    self.shown
                );
                self.told(Error::protocol(message).remote().with("printed", line), None)
            }
            Unheard::Version => {
                self.kill();
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
        let settled = Instant::now();
        while lock(&self.stderr).is_empty() && settled.elapsed() < LAST_LINES_WITHIN {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let how = match status {
            None => "closed its standard output".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
        };
        let is_missing = status.and_then(|status| status.code()).is_some_and(|code| NOT_RUN.contains(&code));
        let error = if was_heard {
            Error::new(ErrorKind::Closed, format!("{} {how} in the middle of the work", self.shown))
        } else if is_missing && self.may_put {
            let why = format!(
                "{} {how}: there is no sh, or programs cannot run in the folder that sparsync-remote is put into (XDG_CACHE_HOME there \
                 names another one, and TMPDIR for --bootstrap=temp)",
                self.shown
            );
            Error::new(ErrorKind::Config, why).with("reason", "remote-cannot-run".to_owned())
        } else if is_missing {
            let why = format!(
                "{} {how}: sparsync-remote is not installed there, or cannot be run (--bootstrap installs it; or put it into the PATH \
                 of the other end, or name it with --rsync-path)",
                self.shown
            );
            Error::new(ErrorKind::Config, why).with("reason", "remote-missing".to_owned())
        } else {
            Error::new(ErrorKind::Connect, format!("{} {how} before a session began", self.shown))
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
        if last.is_empty() { error } else { error.during(&format!("it said: {last}")).with("stderr", lines.join("\n")) }
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

    /// Waits for the process, which ends by itself when its pipes are closed. If it does not, it is killed.
    pub(super) async fn end(&self) {
        if self.wait(ENDS_WITHIN).await.is_none() {
            self.kill();
        }
    }

    fn kill(&self) {
        let mut child = lock(&self.child);
        if matches!(child.try_wait(), Ok(None)) && child.kill().is_ok() {
            let _ = child.wait();
        }
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        self.kill();
    }
}
