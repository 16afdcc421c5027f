//! Parses the arguments of `sparsync-remote`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use sparsync_core::{StdioOptions, StdioRights};

use crate::serve::{self, Serving};

/// What `--help` says.
pub(crate) const HELP: &str = "\
Usage: sparsync-remote [--stdio] --root DIR [--read-only|--append-only] [--no-quic]
       sparsync-remote --stdio [--no-quic]
       sparsync-remote serve --root NAME=PATH [--allow LINE]... [OPTIONS]

The other end of a sync, on its standard streams; a sync over ssh starts it. Also a server: see serve --help.

  --stdio        serve one connection on standard input and output, as --root does
  --no-quic      open no UDP port: content stays on the streams
  --root DIR     allow nothing outside of DIR; paths begin there
  --read-only    write nothing
  --append-only  change nothing that exists, only add new names
  --version      show the version
  --help         show this help
";

/// What is asked for.
pub(crate) enum Asked {
    Help,
    Version,
    Stdio(StdioOptions),
    Serve(Box<Serving>),
    ServeHelp,
}

/// Reads the arguments.
pub(crate) fn parse(words: &[OsString]) -> Result<Asked, String> {
    if let Some((_, words)) = words.split_first().filter(|(verb, _)| *verb == "serve") {
        return Ok(serve::parse(words)?.map_or(Asked::ServeHelp, |serving| Asked::Serve(Box::new(serving))));
    }
    let mut options = StdioOptions::default();
    let mut is_stdio = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--help" => return Ok(Asked::Help),
            b"--version" => return Ok(Asked::Version),
            b"--stdio" => is_stdio = true,
            b"--no-quic" => options.no_quic = true,
            b"--read-only" => narrow(&mut options, StdioRights::ReadOnly)?,
            b"--append-only" => narrow(&mut options, StdioRights::AppendOnly)?,
            b"--root" => {
                let root = words.next().ok_or("--root needs a directory")?;
                set_root(&mut options, root)?;
            }
            other => match other.strip_prefix(b"--root=") {
                Some(root) => set_root(&mut options, OsStr::from_bytes(root))?,
                None => return Err(format!("unknown argument {}; --help lists them", word.display())),
            },
        }
    }
    if options.root.is_none() && options.rights != StdioRights::All {
        return Err("--read-only and --append-only need --root".to_owned());
    }
    if is_stdio || options.root.is_some() {
        Ok(Asked::Stdio(options))
    } else {
        Err("--stdio is missing; --help says more".to_owned())
    }
}

fn narrow(options: &mut StdioOptions, rights: StdioRights) -> Result<(), String> {
    if options.rights != StdioRights::All && options.rights != rights {
        return Err("--read-only and --append-only cannot be combined".to_owned());
    }
    options.rights = rights;
    Ok(())
}

fn set_root(options: &mut StdioOptions, root: &OsStr) -> Result<(), String> {
    if root.is_empty() || options.root.is_some() {
        return Err("--root takes one directory, once".to_owned());
    }
    options.root = Some(root.as_bytes().to_vec());
    Ok(())
}
