//! `serve`: the flags of the command's, as far as they are the engine's, and what they ask for.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::ErrorKind::NotFound;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sparsync_core::net::Congestion;
use sparsync_core::proto::{Durability, is_option};
use sparsync_core::trust::Identity;
use sparsync_core::{Error, ErrorKind, Level, Limits, LogFormat, Result, ServedRoot, ServerOptions, shown};

use crate::log::{Log, LogOptions};

/// The flags of the command, one in a line; see `scripts/serve-flags.mjs`.
const TABLE: &str = include_str!("serve_flags.tsv");

/// A flag.
#[derive(Clone, Copy)]
struct Flag {
    name: &'static str,
    /// The name of the value, in brackets if it may be missing; a flag without it is on or off.
    value: &'static str,
    default: &'static str,
    place: Place,
    help: &'static str,
}

/// Where a flag is, and whether it may come more than once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The command has it, and this executable has not.
    Command,
    /// Of one call: it is no setting.
    Call,
    Setting,
    List,
}

impl Place {
    fn of(word: &str) -> Self {
        match word {
            "call" => Self::Call,
            "setting" => Self::Setting,
            "list" => Self::List,
            _ => Self::Command,
        }
    }
}

fn flags() -> impl Iterator<Item = Flag> {
    TABLE.lines().map(|line| {
        let mut cells = line.split('\t');
        let mut next = || cells.next().unwrap_or_default();
        let [name, value, default, place] = [next(), next(), next(), next()];
        Flag { name, value, default, place: Place::of(place), help: next() }
    })
}

/// What `serve --help` says.
pub(crate) fn help() -> String {
    let mut text = "\
Usage: sparsync-remote serve --root NAME=PATH [--allow LINE]... [OPTIONS]

Serves folders as \"sparsync serve\" does, until SIGINT or SIGTERM: these let transfers finish, or roll them back. SIGHUP reads
the authorized keys again and reopens the log. It does not read sparsync.toml. The environment can give flags: SPARSYNC_SERVE_
and the name of the flag in capitals, as SPARSYNC_SERVE_MAX_SESSIONS.

"
    .to_owned();
    for Flag { name, value, help, .. } in flags().filter(|flag| flag.place != Place::Command) {
        let flag = match value.strip_prefix('[') {
            Some(_) => format!("--{name}[={}", &value[1..]),
            None if value.is_empty() => format!("--{name}"),
            None => format!("--{name}={value}"),
        };
        let _ = writeln!(text, "  {flag:<36} {help}");
    }
    text
}

/// What was asked for.
pub(crate) struct Serving {
    given: Vec<(&'static str, OsString)>,
    listen: String,
    limits: Limits,
    durability: Durability,
    congestion: Congestion,
    idle_timeout: Duration,
    is_json: bool,
    /// Where figures are asked for.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) grace: Duration,
}

/// Reads the arguments behind the verb; none when they ask for help.
pub(crate) fn parse(words: &[OsString]) -> std::result::Result<Option<Serving>, String> {
    let mut given = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        let Some(rest) = bytes.strip_prefix(b"--") else {
            return Err(format!("serve takes no {}: a folder is offered by --root NAME=PATH", word.display()));
        };
        let (name, value) = match rest.iter().position(|&byte| byte == b'=') {
            Some(at) => (&rest[..at], Some(OsStr::from_bytes(&rest[at + 1..]).to_owned())),
            None => (rest, None),
        };
        let known = flags().find(|flag| flag.name.as_bytes() == name);
        let flag = known.ok_or_else(|| format!("unknown argument {}; serve --help lists them", word.display()))?;
        if flag.place == Place::Command {
            return Err(of_the_command(flag.name));
        }
        let value = match (flag.value.is_empty(), value) {
            (true, Some(_)) => return Err(format!("--{} takes no value", flag.name)),
            (true, None) => OsString::new(),
            (false, Some(value)) => value,
            (false, None) if flag.value.starts_with('[') => OsString::new(),
            (false, None) => words.next().ok_or_else(|| format!("--{} needs a value", flag.name))?.clone(),
        };
        if flag.name == "help" {
            return Ok(None);
        }
        given.push((flag.name, value));
    }
    add_variables(&mut given, std::env::vars_os())?;
    read(given).map(Some)
}

fn of_the_command(name: &str) -> String {
    format!("--{name} works with \"sparsync serve\" only: this executable does not have it")
}

/// What stands before the name of a flag in that of its variable.
const VARIABLE: &str = "SPARSYNC_SERVE_";

/// What the text of a private key, a credential or an invitation has.
const SECRETS: [&str; 3] = ["-----BEGIN ", "sparsync-credential-1.", "sparsync-invite-1."];

/// Adds what variables say of flags that were not given; lists are put together. They mean what they mean to the
/// command.
fn add_variables(
    given: &mut Vec<(&'static str, OsString)>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> std::result::Result<(), String> {
    let said: Vec<_> = given.iter().map(|(name, _)| *name).collect();
    for (variable, value) in environment.filter(|(_, value)| !value.is_empty()) {
        let Some(rest) = variable.to_str().and_then(|variable| variable.strip_prefix(VARIABLE)) else { continue };
        let refuse = |why: String| Err(format!("{VARIABLE}{rest}: {why}"));
        let text = value.to_string_lossy();
        let name = rest.to_ascii_lowercase().replace('_', "-");
        let is_setting = |flag: &Flag| flag.name == name && flag.place != Place::Call;
        let Some(flag) = flags().find(is_setting).filter(|_| rest == rest.to_ascii_uppercase()) else {
            if is_of_a_service(rest, &text) {
                continue;
            }
            return refuse("unknown variable; serve --help lists the flags".to_owned());
        };
        if flag.place == Place::Command {
            return refuse(of_the_command(flag.name));
        }
        if SECRETS.iter().any(|secret| text.contains(secret)) {
            return refuse("it holds a secret, which must come from a file or a stream".to_owned());
        }
        let values: Vec<&[u8]> = match &*text {
            "false" => continue,
            "off" | "0" if flag.value.is_empty() => continue,
            "true" | "on" | "1" if flag.value.is_empty() => vec![b""],
            _ if flag.value.is_empty() => return refuse(format!("it must be true or false, not {text:?}")),
            "true" if flag.value.starts_with('[') => vec![b""],
            _ if flag.place == Place::List => {
                value.as_bytes().split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect()
            }
            _ => vec![value.as_bytes()],
        };
        for value in values {
            let setting = (flag.name, OsStr::from_bytes(value).to_owned());
            if let Err(why) = read(vec![setting.clone()]) {
                return refuse(why);
            }
            if flag.place == Place::List || !said.contains(&flag.name) {
                given.push(setting);
            }
        }
    }
    Ok(())
}

/// Whether a variable is one that Kubernetes and links of containers add for a service called sparsync-serve.
fn is_of_a_service(rest: &str, value: &str) -> bool {
    ["SERVICE_HOST", "SERVICE_PORT"].iter().any(|part| rest.starts_with(part))
        || rest.starts_with("PORT_")
        || (rest == "PORT" && value.contains("://"))
}

/// Checks what can be checked without a look at the system.
fn read(given: Vec<(&'static str, OsString)>) -> std::result::Result<Serving, String> {
    let text = |name: &str| -> std::result::Result<String, String> {
        let said = given.iter().rfind(|(flag, _)| *flag == name).map(|(_, value)| value.clone());
        let value =
            said.unwrap_or_else(|| flags().find(|flag| flag.name == name).map_or("", |flag| flag.default).into());
        value.into_string().map_err(|value| format!("--{name}={} is no text", value.display()))
    };
    let number = |name: &str, least: u32, most: u32| {
        let value = text(name)?;
        value
            .parse::<u32>()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("--{name} must be a whole number from {least} to {most}, not {value:?}"))
    };
    let limit = |name| number(name, 1, 65_536).map(|number| number as usize);
    let size = |name: &str| bytes_of(name, &text(name)?);
    // As with rsync, a number alone is of KiB.
    let rate = |name: &str| {
        let value = text(name)?;
        let is_bare = value.bytes().all(|byte| byte.is_ascii_digit());
        bytes_of(name, &if is_bare { format!("{value}K") } else { value })
    };
    let word = |name: &str| text(name).map(|word| (format!("there is no --{name}={word}"), word));
    let (no_durability, durability) = word("durability")?;
    let (no_congestion, congestion) = word("congestion")?;
    let (no_format, format) = word("log-format")?;
    for (_, name) in given.iter().filter(|(flag, _)| *flag == "refuse") {
        if !name.to_str().is_some_and(is_option) {
            return Err(format!("--refuse={}: it is not an option that a client asks a server for", name.display()));
        }
    }
    let listen = text("listen")?;
    address_of("listen", &listen, "[::]:28792")?;
    let has_metrics = given.iter().any(|(flag, _)| *flag == "metrics");
    let metrics = has_metrics.then(|| address_of("metrics", &text("metrics")?, "127.0.0.1:9100")).transpose()?;
    Ok(Serving {
        listen,
        metrics,
        limits: Limits {
            sessions: limit("max-sessions")?,
            sessions_per_key: limit("max-sessions-per-key")?,
            connections: limit("max-connections")?,
            connections_per_key: limit("max-connections-per-key")?,
            connections_per_address: limit("max-connections-per-address")?,
            handshakes: limit("max-handshakes")?,
            bytes_per_second: rate("bwlimit")?,
            bytes_per_second_per_key: rate("bwlimit-per-key")?,
            unread_bytes: size("max-unread-bytes")?,
            reserve_bytes: size("reserve-space")?,
        },
        durability: Durability::from_word(&durability).ok_or(no_durability)?,
        congestion: Congestion::from_word(&congestion).ok_or(no_congestion)?,
        is_json: match format.as_str() {
            "text" => false,
            "json" => true,
            _ => return Err(no_format),
        },
        idle_timeout: Duration::from_secs(number("idle-timeout", 1, 3600)?.into()),
        grace: Duration::from_secs(number("grace", 0, 86_400)?.into()),
        given,
    })
}

/// An address that takes no look-up.
fn address_of(name: &str, value: &str, example: &str) -> std::result::Result<SocketAddr, String> {
    value.parse().map_err(|_| format!("--{name} must be a numeric address and a port, as in {example}, not {value:?}"))
}

/// A size in whole units of 1024.
fn bytes_of(name: &str, value: &str) -> std::result::Result<u64, String> {
    let unit = value.chars().last().and_then(|unit| "kmgt".find(unit.to_ascii_lowercase()));
    let (digits, power) = match unit {
        Some(at) => (&value[..value.len() - 1], at + 1),
        None => (value, 0),
    };
    let number = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(1 << (10 * power)))
        .ok_or_else(|| format!("--{name} must be a size, as in 100K or 10G, not {value:?}"))
}

impl Serving {
    fn all(&self, name: &str) -> impl Iterator<Item = &OsStr> {
        self.given.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_os_str())
    }

    fn last(&self, name: &str) -> Option<&OsStr> {
        self.all(name).last()
    }

    fn is_on(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        let text =
            |value: &OsStr| value.to_str().map(str::to_owned).ok_or_else(|| config(format!("--{name} takes text")));
        self.all(name).map(text).collect()
    }

    /// The server that was asked for, and where its key is, for people. That is made when there is none.
    pub(crate) fn options(&self) -> Result<(ServerOptions, String)> {
        let client_ca_pem = self.last("client-ca").map(|path| pem("client-ca", path)).transpose()?;
        let roots = self.all("root").map(|word| self.root(word)).collect::<Result<Vec<_>>>()?;
        if roots.is_empty() {
            return Err(config("there is nothing to serve: --root NAME=PATH offers a folder"));
        }
        let authorized_keys_path = self.authorized_keys(client_ca_pem.is_some())?;
        // Last, so that no key is made for a server that does not begin.
        let (identity, key_file, is_new) = self.identity()?;
        let key = match &key_file {
            _ if is_new => "created, 0600".to_owned(),
            Some(path) => shown(path.as_os_str().as_bytes()),
            None if self.is_on("identity") => "from --identity".to_owned(),
            None => "handed over as sparsync-key".to_owned(),
        };
        let options = ServerOptions {
            listen: self.listen.clone(),
            roots,
            authorized_keys_path,
            authorized_keys: self.texts("allow")?,
            client_ca_pem,
            anonymous: self.is_on("anonymous"),
            tcp: !self.is_on("no-tcp"),
            durability: self.durability,
            limits: self.limits,
            idle_timeout: self.idle_timeout,
            congestion: self.congestion,
            profile: false,
            refuse: self.texts("refuse")?,
            log: true,
            metrics: self.metrics.is_some(),
            identity,
            key_file,
        };
        Ok((options, key))
    }

    /// The log that was asked for.
    pub(crate) fn log(&self) -> Result<Log> {
        let least = match (self.is_on("quiet"), self.is_on("verbose")) {
            (true, _) => Level::Warn,
            (false, true) => Level::Debug,
            (false, false) => Level::Info,
        };
        let path = self.last("log-file").map(PathBuf::from);
        Log::open(LogOptions { path, format: LogFormat { is_json: self.is_json, least } })
    }

    fn root(&self, word: &OsStr) -> Result<ServedRoot> {
        let bytes = word.as_bytes();
        let at = bytes.iter().position(|&byte| byte == b'=').filter(|&at| at > 0 && at + 1 < bytes.len());
        let at = at.ok_or_else(|| config(format!("--root must be NAME=PATH, not {}", word.display())))?;
        let name = std::str::from_utf8(&bytes[..at]).map_err(|_| config("the name of a root is text"))?;
        let path = std::path::absolute(OsStr::from_bytes(&bytes[at + 1..]))
            .map_err(|error| Error::io("cannot tell the working directory", b".", error))?
            .into_os_string();
        Ok(ServedRoot {
            name: name.to_owned(),
            path: path.as_bytes().to_vec(),
            read_only: self.is_on("read-only"),
            fake_super: self.is_on("fake-super"),
            exclude: self.all("exclude").map(|pattern| pattern.as_bytes().to_vec()).collect(),
            munge_links: self.is_on("munge-links"),
            versions: self.versions(name, path.as_bytes())?,
        })
    }

    /// The directory for versions of the root at `path`: below the folder that is named, or else beside the root.
    fn versions(&self, name: &str, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(below) = self.last("versions") else { return Ok(None) };
        if below.is_empty() {
            let end = path.iter().rposition(|&byte| byte != b'/');
            let end = end.ok_or_else(|| config("--versions must name a folder: there is none beside /"))?;
            return Ok(Some([&path[..=end], b".versions"].concat()));
        }
        let below =
            std::path::absolute(below).map_err(|error| Error::io("cannot tell the working directory", b".", error))?;
        Ok(Some(below.join(name).into_os_string().into_vec()))
    }

    /// The file that is named, or this account's. It may be missing, since clients may be invited later; with a private
    /// CA it counts only if it exists.
    fn authorized_keys(&self, is_optional: bool) -> Result<Option<PathBuf>> {
        if let Some(path) = self.last("authorized-keys") {
            return Ok(Some(path.into()));
        }
        let usual = config_dir().map(|dir| dir.join("authorized_keys")).filter(|path| !is_optional || path.exists());
        if usual.is_none() && !is_optional && !self.is_on("anonymous") && !self.is_on("allow") {
            let message = "nobody could connect: give --allow \"NAME KEY\", --authorized-keys FILE or --client-ca FILE";
            return Err(config(message));
        }
        Ok(usual)
    }

    /// The key, its file where it has one that may be changed, and whether that was made just now.
    fn identity(&self) -> Result<(Identity, Option<PathBuf>, bool)> {
        let named = self.last("identity");
        let handed_over = || {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
            // What cannot be looked at is read all the same: its owner must learn why, and not get another key.
            let is_missing = |path: &OsString| std::fs::metadata(path).is_err_and(|error| error.kind() == NotFound);
            Some(Path::new(&folder).join("sparsync-key").into_os_string()).filter(|path| !is_missing(path))
        };
        let secret = if named.is_none() { handed_over() } else { None };
        if let Some(path) = secret {
            // What a system manager hands over is read alone.
            return Ok((Identity::from_pem(&pem("identity", &path)?)?, None, false));
        }
        if let Some(path) = named.filter(|path| is_stream(path.as_bytes())) {
            return Ok((Identity::from_pem(&pem("identity", path)?)?, None, false));
        }
        let usual = || config_dir().map(|dir| dir.join("key.pem"));
        let path = named.map(PathBuf::from).or_else(usual);
        let path =
            path.ok_or_else(|| config("no home folder is known: set SPARSYNC_CONFIG_DIR, or name --identity"))?;
        Identity::load_or_create(&path).map(|(identity, is_new)| (identity, Some(path), is_new))
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn is_stream(path: &[u8]) -> bool {
    path == b"-" || path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/self/fd/")
}

/// The text of a file that a flag names.
fn pem(flag: &str, path: &OsStr) -> Result<String> {
    let mut text = String::new();
    let read = if path == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(Path::new(path)).map(|read| text = read)
    };
    read.map_err(|error| config(format!("--{flag}: cannot read {}: {error}", path.display())))?;
    Ok(text)
}

/// The folder of this account's key and clients, which must be the same as in `ts/config.ts`.
fn config_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("SPARSYNC_CONFIG_DIR")
        .or_else(|| set("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("sparsync")))
        .or_else(|| set("HOME").map(|home| home.join(".config/sparsync")))
}
