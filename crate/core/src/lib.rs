//! The engine of sparsync: walking, reading, hashing, compressing, writing, transports and trust.
//!
//! [`Client`] and [`Server`] move trees over QUIC, [`start_local`] between two folders; each run is a [`Job`].

mod accounts;
mod batch;
mod claims;
mod client;
mod config_file;
mod engine;
mod error;
mod explain;
mod fs;
mod job;
mod marks;
mod negotiation;
pub mod net;
mod option_dirs;
mod overlap;
mod prepare;
mod profile;
mod publish;
mod rule_files;
mod rule_lists;
mod run;
mod server;
mod snapshot;
mod sources;
mod state;
mod storage;
mod sums;
mod transport;
pub mod trust;
mod views;

pub use accounts::take_accounts_from_files;
pub use batch::Batch;
pub use client::{Client, join};
pub use config_file::{Setting, SettingValue, parse_settings};
pub use engine::{Event, EventNeeds, Failures};
pub use error::{Detail, Error, ErrorKind, Result, Side};
pub use explain::{explain_local, explain_remote};
pub use fs::{open_directory, open_log, open_to_be_read, umask};
pub use job::{Job, JobResult, stat_names};
pub use rule_lists::{GivenRule, RuleList, RuleOrigin};
pub use run::{Run, start_local};
pub use server::{
    Asked, ClientInfo, Happening, Level, Limits, LogFormat, Noted, Operation, PROFILES_KEPT, ServedRoot, Server,
    ServerEvent, ServerOptions, ServerProfiles, SessionEnd, SessionProfile, StdioOptions, StdioRights, notify_manager,
    serve_in_foreground, serve_pipe, serve_stdio, shown,
};
pub use sources::LocalSource;
pub use sparsync_proto as proto;
pub use transport::Principal;
