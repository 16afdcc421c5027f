//! `sparsync-remote`: the end of a sync that somebody else's command starts, over ssh or into a container, or a server.
//!
//! It is linked statically, so that it runs on any Linux of its processor.

mod arguments;
mod log;
mod metrics;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use arguments::{Asked, parse};
use sparsync_core::{
    Error, ErrorKind, Noted, Server, serve_in_foreground, serve_stdio, shown, take_accounts_from_files,
};

/// Exit codes, those of the command.
const USAGE: u8 = 1;
const UNUSABLE: u8 = 11;
const FAILED: u8 = 12;
const INTERRUPTED: u8 = 20;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    match parse(&words) {
        Ok(Asked::Help) => print(arguments::HELP),
        Ok(Asked::Version) => print(concat!("sparsync-remote ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Asked::Stdio(options)) => {
            // From a file that has lost its name it would be called by the number of its descriptor.
            let _ = std::fs::write("/proc/self/comm", "sparsync-remote");
            // What else a system knows its users from is loaded at run time, which a static program cannot do.
            take_accounts_from_files();
            match serve_stdio(&options) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error.to_string(), FAILED),
            }
        }
        Ok(Asked::ServeHelp) => print(&serve::help()),
        Ok(Asked::Serve(serving)) => {
            take_accounts_from_files();
            let served = serving.options().and_then(|(options, key)| {
                let log = Arc::new(serving.log()?);
                let figures = serving.metrics.map(metrics::listen).transpose()?;
                let roots: Vec<_> = options.roots.iter().map(|root| (root.name.clone(), root.path.clone())).collect();
                let ports = if options.tcp { "udp+tcp" } else { "udp" };
                let listening = |server: &Arc<Server>| {
                    announce(server, &roots, ports, &key);
                    log.note(&Noted::Listening {
                        address: server.local_addr().to_string(),
                        public_key: server.public_key().to_string(),
                        roots: roots.iter().map(|(name, _)| name.clone()).collect(),
                    });
                    figures.map_or(Ok(()), |listener| metrics::answer(listener, Arc::clone(server)))
                };
                let noting = Arc::clone(&log);
                let note = move |noted: &Noted<'_>| noting.note(noted);
                serve_in_foreground(options, serving.grace, listening, note, hurry)
            });
            match served {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error.to_string(), code_of(&error)),
            }
        }
        Err(why) => complain(&why, USAGE),
    }
}

/// Says what is served, where and by which key, as the command does. Whoever started this reads the line to learn the
/// port, and may be gone.
fn announce(server: &Server, roots: &[(String, Vec<u8>)], ports: &str, key: &str) {
    let offered: Vec<_> =
        roots.iter().map(|(name, path)| format!("{} -> {}", shown(name.as_bytes()), shown(path))).collect();
    let (address, public_key) = (server.local_addr(), server.public_key());
    print(&format!("serving {} on {ports} {address}.  Server key {public_key} ({key}).\n", offered.join(", ")));
}

/// Ends at once. Files are safe at every moment, and the next run sweeps what is left.
#[expect(clippy::disallowed_methods, reason = "this process is its own")]
fn hurry() {
    std::process::exit(INTERRUPTED.into());
}

fn code_of(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Config => USAGE,
        ErrorKind::Io => UNUSABLE,
        _ => FAILED,
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn complain(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "sparsync-remote: {why}");
    ExitCode::from(code)
}
