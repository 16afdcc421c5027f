//! What JavaScript asks for, as the core takes it.

use std::path::PathBuf;
use std::time::Duration;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sparsync_core::net::{
    BesideOptions, Canceled, CommandOptions, Congestion, ConnectOptions, Family, Proxy, RemoteProgram, Route,
    ServerTrust, TransportChoice,
};
use sparsync_core::proto::{Chmod, Directories, IdMap, Paths, RelPath, Request, SourcePath, Window, is_option, limits};
use sparsync_core::trust::{Identity, PublicKey};
use sparsync_core::{
    Batch, Error, ErrorKind, EventNeeds, GivenRule, Limits, LocalSource, Result, RuleList, RuleOrigin, Run, ServedRoot,
    ServerOptions, umask,
};

use crate::transfer::{NativeTransfer, switch_on};
use crate::words::{NativeDirection, NativeDurability};

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// Who this side is.
#[napi(object, object_to_js = false)]
pub struct NativeIdentity {
    /// File of the ed25519 private key (PEM, PKCS#8); made with mode 0600 when missing.
    pub key_path: Option<String>,
    /// The private key itself.
    pub key_pem: Option<String>,
    /// The certificate chain of a private CA (PEM).
    pub cert_pem: Option<String>,
}

impl NativeIdentity {
    pub(crate) fn load(&self) -> Result<Identity> {
        let identity = match (&self.key_pem, &self.key_path) {
            (Some(pem), _) => Identity::from_pem(pem)?,
            (None, Some(path)) => Identity::load_or_create(&PathBuf::from(path))?.0,
            (None, None) => Identity::generate()?,
        };
        match &self.cert_pem {
            Some(pem) => identity.with_certificates(pem),
            None => Ok(identity),
        }
    }
}

/// Which servers are trusted.
#[napi(object, object_to_js = false)]
pub struct NativeTrust {
    /// Accepted keys, `ed25519:BASE64`.
    pub pins: Vec<String>,
    /// File of known hosts, used when there are no pins.
    pub known_hosts: Option<String>,
    /// An unknown key is added to `knownHosts`.
    pub accept_new: bool,
    /// Certificates of a private CA (PEM), to which the server's must chain.
    pub ca_pem: Option<String>,
}

/// How to connect.
#[napi(object, object_to_js = false)]
pub struct NativeConnectOptions {
    /// Name or address.
    pub host: String,
    /// Port, of UDP and of TCP.
    pub port: u16,
    /// Who this side is.
    pub identity: NativeIdentity,
    /// Which servers are trusted.
    pub trust: NativeTrust,
    /// Resolving, connecting and authentication together.
    pub connect_timeout_ms: f64,
    /// The connection ends after so long without a packet.
    pub idle_timeout_ms: f64,
    /// First size of packets; 0 is automatic.
    pub initial_mtu: u16,
    /// Congestion control: `auto`, `bbr` or `cubic`.
    pub congestion: String,
    /// What may carry the connection: `auto`, `quic` or `tcp`.
    pub transport: String,
    /// Which way is taken there.
    pub route: NativeRoute,
}

/// A way to a host.
#[napi(object, object_to_js = false)]
pub struct NativeRoute {
    /// Only addresses of IPv4 are tried (4), or of IPv6 (6); 0 is either.
    pub family: u8,
    /// The address of this machine to send from.
    pub local_address: Option<String>,
}

impl NativeRoute {
    fn load(&self) -> Result<Route> {
        let family = match self.family {
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            _ => None,
        };
        let address =
            |text: &String| text.parse().map_err(|_| config(format!("{text:?} is not an IP address to send from")));
        Ok(Route { family, local: self.local_address.as_ref().map(address).transpose()? })
    }
}

fn congestion_of(word: &str) -> Result<Congestion> {
    Congestion::from_word(word).ok_or_else(|| config(format!("there is no congestion control {word:?}")))
}

pub(crate) fn millis(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or(Duration::ZERO)
}

impl NativeConnectOptions {
    pub(crate) fn load(self) -> Result<ConnectOptions> {
        let identity = self.identity.load()?;
        let pins = self.trust.pins.iter().map(|pin| pin.parse::<PublicKey>()).collect::<std::result::Result<_, _>>()?;
        let mut options = ConnectOptions::new(self.host, self.port, identity);
        options.trust = ServerTrust {
            pins,
            known_hosts: self.trust.known_hosts.map(PathBuf::from),
            accept_new: self.trust.accept_new,
            ca_pem: self.trust.ca_pem,
        };
        options.connect_timeout = millis(self.connect_timeout_ms);
        options.idle_timeout = millis(self.idle_timeout_ms);
        options.initial_mtu = (self.initial_mtu != 0).then_some(self.initial_mtu);
        options.congestion = congestion_of(&self.congestion)?;
        options.route = self.route.load()?;
        options.transport = TransportChoice::from_word(&self.transport)
            .ok_or_else(|| config(format!("there is no transport {:?}", self.transport)))?;
        if options.transport != TransportChoice::Quic {
            options.proxy = Proxy::of_environment(&options.host, options.port, |name| std::env::var(name).ok())?;
        }
        Ok(options)
    }
}

/// An executable of the other end.
#[napi(object, object_to_js = false)]
pub struct NativeRemoteProgram {
    /// The processor that it is for, as `uname -m` says it.
    pub machine: String,
    /// Where it is on this machine.
    pub path: String,
}

/// QUIC beside a pipe.
#[napi(object, object_to_js = false)]
pub struct NativeBesideOptions {
    /// The host as `ssh` was given it.
    pub host: String,
    /// The lowest port that the other end may take; 0 for any.
    pub first_port: u16,
    /// The highest.
    pub last_port: u16,
    /// Nothing is carried without it.
    pub is_required: bool,
    /// Congestion control of this end: `auto`, `bbr` or `cubic`.
    pub congestion: String,
    /// Which way is taken there.
    pub route: NativeRoute,
}

/// A command that leads to the other end.
#[napi(object, object_to_js = false)]
pub struct NativeCommandOptions {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The command as it is shown.
    pub shown: String,
    /// Where it leads, for people.
    pub address: String,
    /// What may be put at the other end when it asks for it.
    pub programs: Vec<NativeRemoteProgram>,
    /// What content may move to, where the command is `ssh`.
    pub beside: Option<NativeBesideOptions>,
    /// How long the other end may take to be there; for ever when it is not given.
    pub connect_timeout_ms: Option<f64>,
    /// What the command says on its standard error goes to that of this process as well.
    pub inherits_stderr: bool,
}

impl NativeCommandOptions {
    pub(crate) fn load(self, canceled: Canceled) -> Result<CommandOptions> {
        let beside = match self.beside {
            None => None,
            Some(beside) => Some(BesideOptions {
                host: beside.host,
                ports: (beside.first_port, beside.last_port),
                is_required: beside.is_required,
                congestion: congestion_of(&beside.congestion)?,
                route: beside.route.load()?,
            }),
        };
        Ok(CommandOptions {
            words: self.words.into_iter().map(Into::into).collect(),
            shown: self.shown,
            address: self.address,
            programs: self
                .programs
                .into_iter()
                .map(|program| RemoteProgram { machine: program.machine, path: PathBuf::from(program.path) })
                .collect(),
            connect_timeout: self.connect_timeout_ms.map(millis),
            beside,
            inherits_stderr: self.inherits_stderr,
            canceled,
        })
    }
}

/// One of several sources.
#[napi(object, object_to_js = false)]
pub struct NativeSource {
    /// On a server the path below the root, `/`-separated; here an absolute path, where a slash at its end says that what is
    /// in the directory is meant.
    pub path: Uint8Array,
    /// The entry below `path` that is meant, which arrives under this whole path; empty for what `path` names.
    pub below: Uint8Array,
    /// What is in the directory is meant; of an entry below `path`, that it is a directory or leads to one.
    pub contents: bool,
}

/// One run.
#[napi(object, object_to_js = false)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct NativeRequest {
    /// Which way.
    pub direction: NativeDirection,
    /// The local end: an absolute path.
    pub local_path: Uint8Array,
    /// The local sources when there are several.
    pub local_sources: Vec<NativeSource>,
    /// The server's named root.
    pub root: String,
    /// The path below that root, `/`-separated. In a pull a slash at its end says that it is a directory.
    pub remote_path: Uint8Array,
    /// The sources of a pull when there are several.
    pub remote_sources: Vec<NativeSource>,
    /// The paths below the source that belong to the run; none for everything.
    pub selected: Vec<Uint8Array>,
    /// Directories below the source whose direct entries belong to a run that is not recursive.
    pub listed: Vec<Uint8Array>,
    /// Whether there is a list of paths, if an empty one: nothing else belongs to the run.
    pub has_list: bool,
    /// The attributes of the directories on the way to them belong to it too.
    pub implied_dirs: bool,
    /// A single file goes below a destination that is a directory.
    pub into: bool,
    /// One missing directory above the destination may be made.
    pub make_parent: bool,
    /// An event for each entry with something to do.
    pub itemize: bool,
    /// A full event queue waits for its reader instead of dropping items.
    pub lossless: bool,
    /// An event for each decision of a filter's rules at this end.
    pub decisions: Option<bool>,
    /// Events of entries have stamps.
    pub stamps: bool,
    /// The stamps of the plan that is applied, where there is one.
    pub planned: Option<Vec<String>>,
    /// The file that the run's batch is written to, where one is.
    pub write_batch: Option<Uint8Array>,
    /// Nothing is written but that.
    pub only_write_batch: Option<bool>,
    /// The local end is a batch.
    pub read_batch: Option<bool>,
    /// The names of the options that are on, of those that are on or off.
    pub switches: Vec<String>,
    /// All other options.
    pub options: NativeTransfer,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float is clamped to the range")]
pub(crate) fn whole(value: f64) -> u64 {
    value as u64
}

pub(crate) fn lanes(wanted: u32) -> Result<u8> {
    match u8::try_from(wanted) {
        Ok(0) => Ok(limits::LANES_AUTOMATIC),
        Ok(lanes) if lanes <= limits::LANES_MAX => Ok(lanes),
        _ => Err(config(format!("lanes must be 0 to {}", limits::LANES_MAX))),
    }
}

fn remote_source(source: &NativeSource) -> Result<SourcePath> {
    let (path, below) = (rel_path(&source.path)?, rel_path(&source.below)?);
    let above = path.components().count();
    let relative_to = if below.is_root() { None } else { u16::try_from(above).ok() };
    let path = path.join_path(&below);
    Ok(SourcePath { path, contents: source.contents, relative_to })
}

fn local_source(source: &NativeSource) -> Result<LocalSource> {
    let NativeSource { path, below, contents } = source;
    Ok(LocalSource { path: path.to_vec(), below: rel_path(below)?, is_directory: *contents })
}

fn paths(all: &[Uint8Array]) -> Result<Paths> {
    let paths = all.iter().map(|path| rel_path(path)).collect::<Result<Vec<_>>>()?;
    Paths::new(paths)
        .ok_or_else(|| config(format!("paths of more than {} bytes in all", limits::REQUEST_PATHS_BYTES_MAX)))
}

fn stamps(all: Vec<String>) -> Result<Paths> {
    let paths = all.iter().map(|stamp| rel_path(stamp.as_bytes())).collect::<Result<Vec<_>>>()?;
    let most = limits::REQUEST_PATHS_BYTES_MAX / 33;
    Paths::new(paths).ok_or_else(|| Error::new(ErrorKind::Limit, format!("a plan of more than {most} entries")))
}

impl NativeRequest {
    /// The run, and where each of its filter rules was written.
    pub(crate) fn load(self) -> Result<(Run, Vec<RuleOrigin>)> {
        // Files of rules are read here, before the rest of the request is converted.
        let RuleList { rules, origins } = RuleList::read(&given_rules(&self.options.0))?;
        let (remote_path, source_is_directory) = match self.remote_path.strip_suffix(b"/") {
            Some(directory) => (directory, true),
            None => (&self.remote_path[..], false),
        };
        let mut request = Request {
            filter: rules,
            direction: self.direction.into(),
            root: self.root.into_bytes(),
            path: rel_path(remote_path)?,
            sources: self.remote_sources.iter().map(remote_source).collect::<Result<_>>()?,
            selected: paths(&self.selected)?,
            listed: paths(&self.listed)?,
            has_list: self.has_list,
            implied_dirs: self.implied_dirs,
            into: self.into,
            make_parent: self.make_parent,
            itemize: self.itemize,
            item_stamps: self.stamps,
            applies_plan: self.planned.is_some(),
            planned: stamps(self.planned.unwrap_or_default())?,
            ..Request::default()
        };
        for name in &self.switches {
            switch_on(&mut request, name)?;
        }
        self.options.set(&mut request)?;
        let run = Run {
            request,
            local_path: self.local_path.to_vec(),
            source_is_directory,
            local_sources: self.local_sources.iter().map(local_source).collect::<Result<_>>()?,
            events: EventNeeds { lossless: self.lossless, decisions: self.decisions.unwrap_or(false) },
            batch: match (self.write_batch, self.only_write_batch, self.read_batch) {
                (_, _, Some(true)) => Batch::Read,
                (Some(path), Some(true), _) => Batch::OnlyWrite(path.to_vec()),
                (Some(path), ..) => Batch::Write(path.to_vec()),
                (None, ..) => Batch::None,
            },
        };
        Ok((run, origins))
    }
}

/// -1: to the nanosecond; 0: whole seconds; else a tolerance in nanoseconds.
pub(crate) fn window(ns: f64) -> Window {
    match ns {
        ns if ns < 0.0 => Window::Exact,
        0.0 => Window::Seconds,
        ns => Window::Within(whole(ns)),
    }
}

/// A rule of a filter.
#[napi(object, object_to_js = false)]
pub struct NativeRule {
    /// As people write it; a pattern or a file, where the next two say so.
    pub text: Uint8Array,
    /// The text is a pattern, or names a file of patterns: all are to be included, or all to be excluded.
    pub include: Option<bool>,
    /// The text is the path of a file.
    pub is_file: bool,
    /// When it says for neither end that it is for that one, it is for the sender alone.
    pub sender_only: bool,
    /// A NUL ends a rule, and not a line, in each file that it names.
    pub from0: bool,
}

/// Rules as the core takes them.
fn given_rules(all: &[NativeRule]) -> Vec<GivenRule> {
    let given = |rule: &NativeRule| GivenRule {
        text: rule.text.to_vec(),
        patterns: rule.include,
        is_file: rule.is_file,
        sender_unless_said: rule.sender_only,
        from0: rule.from0,
    };
    all.iter().map(given).collect()
}

/// Directories that an option names.
pub(crate) fn directories(all: &[Uint8Array]) -> Result<Directories> {
    let paths: Vec<&[u8]> = all.iter().map(|path| &**path).collect();
    Directories::new(&paths).ok_or_else(|| {
        let most = limits::OPTION_DIRECTORIES_MAX;
        config(format!("at most {most} directories of at most {} bytes each", limits::OPTION_PATH_BYTES_MAX))
    })
}

/// What the names of backups end with.
pub(crate) fn suffix(text: Option<String>) -> Result<Option<Vec<u8>>> {
    let Some(text) = text else { return Ok(None) };
    let is_name = sparsync_core::proto::Name::new(text.as_bytes()).is_ok();
    if is_name { Ok(Some(text.into_bytes())) } else { Err(config(format!("names cannot end with {text:?}"))) }
}

/// Changes of modes.
pub(crate) fn chmod(text: Option<&str>) -> Result<Chmod> {
    let Some(text) = text else { return Ok(Chmod::default()) };
    Chmod::parse(text, umask).ok_or_else(|| config(format!("chmod must be changes of modes (D755,F644), not {text:?}")))
}

/// Rules for owners or groups.
pub(crate) fn id_map(option: &str, text: Option<&str>) -> Result<IdMap> {
    let Some(text) = text else { return Ok(IdMap::default()) };
    IdMap::parse(text).ok_or_else(|| config(format!("{option} must be rules (alice:bob,*:1000), not {text:?}")))
}

/// A path below a root.
pub(crate) fn rel_path(bytes: &[u8]) -> Result<RelPath> {
    RelPath::new(bytes).map_err(|error| config("not a path below a root").at(bytes).because(error))
}

/// A directory that is served.
#[napi(object, object_to_js = false)]
pub struct NativeRoot {
    /// The name that clients use.
    pub name: String,
    /// Where it is.
    pub path: Uint8Array,
    /// Nobody may write to it.
    pub read_only: bool,
    /// What takes root is stored as extended attributes.
    pub fake_super: bool,
    /// Patterns of paths that no client sees.
    pub exclude: Vec<Uint8Array>,
    /// Symlinks are written so that they lead nowhere.
    pub munge_links: bool,
    /// The directory that keeps what clients replace or remove.
    pub versions: Option<Uint8Array>,
}

/// How much there may be at the same time on a server.
#[napi(object, object_to_js = false)]
#[allow(clippy::struct_field_names, reason = "they have the names of the API's options")]
pub struct NativeLimits {
    /// Sessions.
    pub max_sessions: u32,
    /// Sessions of one key.
    pub max_sessions_per_key: u32,
    /// Connections of everybody together.
    pub max_connections: u32,
    /// Connections of one key.
    pub max_connections_per_key: u32,
    /// Connections from one address.
    pub max_connections_per_address: u32,
    /// Handshakes under way.
    pub max_handshakes: u32,
    /// Bytes of content in a second, of everybody together; 0 is no limit.
    pub bwlimit: f64,
    /// The same of one key.
    pub bwlimit_per_key: f64,
    /// Bytes that came and were not read yet.
    pub max_unread_bytes: f64,
    /// Bytes of each file system that stay free.
    pub reserve_space: f64,
}

impl From<NativeLimits> for Limits {
    fn from(limits: NativeLimits) -> Self {
        Self {
            sessions: limits.max_sessions as usize,
            sessions_per_key: limits.max_sessions_per_key as usize,
            connections: limits.max_connections as usize,
            connections_per_key: limits.max_connections_per_key as usize,
            connections_per_address: limits.max_connections_per_address as usize,
            handshakes: limits.max_handshakes as usize,
            bytes_per_second: whole(limits.bwlimit),
            bytes_per_second_per_key: whole(limits.bwlimit_per_key),
            unread_bytes: whole(limits.max_unread_bytes),
            reserve_bytes: whole(limits.reserve_space),
        }
    }
}

/// How a server is set up.
#[napi(object, object_to_js = false)]
#[expect(clippy::struct_excessive_bools, reason = "options of a server, each set apart from the others")]
pub struct NativeServerOptions {
    /// `host:port`.
    pub listen: String,
    /// Who this side is.
    pub identity: NativeIdentity,
    /// What is served.
    pub roots: Vec<NativeRoot>,
    /// File of authorized keys.
    pub authorized_keys_path: Option<String>,
    /// Lines of the same format.
    pub authorized_keys: Vec<String>,
    /// Certificates of a private CA (PEM), to which a client's must chain.
    pub client_ca_pem: Option<String>,
    /// Anybody may do anything; on loopback only.
    pub anonymous: bool,
    /// The least durability.
    pub durability: NativeDurability,
    /// How much there may be at the same time.
    pub limits: NativeLimits,
    /// A connection ends after so long without a packet.
    pub idle_timeout_ms: f64,
    /// Congestion control: `auto`, `bbr` or `cubic`.
    pub congestion: String,
    /// Listen on TCP too.
    pub tcp: bool,
    /// Every session is profiled.
    pub profile: bool,
    /// Options that no client may use.
    pub refuse: Vec<String>,
    /// What happens is kept for `takeEvents`.
    pub log: bool,
    /// What happens is counted for `metrics`.
    pub metrics: bool,
}

impl NativeServerOptions {
    pub(crate) fn load(self) -> Result<ServerOptions> {
        if let Some(name) = self.refuse.iter().find(|name| !is_option(name)) {
            return Err(config(format!("{name:?} is not an option that a client asks a server for"))
                .with("option", name.clone()));
        }
        Ok(ServerOptions {
            listen: self.listen,
            // A certificate of a private CA is for one key.
            key_file: match &self.identity {
                NativeIdentity { key_path: Some(path), key_pem: None, cert_pem: None } => Some(PathBuf::from(path)),
                _ => None,
            },
            identity: self.identity.load()?,
            roots: self
                .roots
                .into_iter()
                .map(|root| ServedRoot {
                    name: root.name,
                    path: root.path.to_vec(),
                    read_only: root.read_only,
                    fake_super: root.fake_super,
                    exclude: root.exclude.iter().map(|pattern| pattern.to_vec()).collect(),
                    munge_links: root.munge_links,
                    versions: root.versions.map(|path| path.to_vec()),
                })
                .collect(),
            authorized_keys_path: self.authorized_keys_path.map(PathBuf::from),
            authorized_keys: self.authorized_keys,
            client_ca_pem: self.client_ca_pem,
            anonymous: self.anonymous,
            durability: self.durability.into(),
            limits: self.limits.into(),
            idle_timeout: millis(self.idle_timeout_ms),
            congestion: congestion_of(&self.congestion)?,
            tcp: self.tcp,
            profile: self.profile,
            refuse: self.refuse,
            log: self.log,
            metrics: self.metrics,
        })
    }
}
