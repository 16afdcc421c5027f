//! Serves one connection on the standard streams of a process, which whoever has started it holds the other ends of.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use sparsync_proto::Durability;

use super::accept::serve_connection;
use super::join::Tries;
use super::own::Own;
use super::registry::{Limits, Registry};
use super::roots::{FILES_ROOT, HOME_ROOT, Roots, ServedRoot, TILDE_ROOT};
use super::{Shared, Totals};
use crate::error::{Error, ErrorKind, Result};
use crate::net::WindowBudget;
use crate::net::pipe::PipeConnection;
use crate::profile::RuntimeClock;
use crate::transport::Connection;
use crate::trust::{AuthorizedKeys, Rights, Scope};

/// Runs of one connection at the same time.
const SESSIONS_MAX: usize = 16;

/// How long runs may take to end when their connection is over.
const RUNS_END_WITHIN: Duration = Duration::from_secs(10);

/// The rights of the client at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StdioRights {
    /// All rights of this process.
    #[default]
    All,
    /// Read.
    ReadOnly,
    /// Reads, and makes new entries.
    AppendOnly,
}

/// What is served.
#[derive(Clone, Debug, Default)]
pub struct StdioOptions {
    /// The directory that clients cannot leave; without one, everything that this process may use is served.
    pub root: Option<Vec<u8>>,
    /// The rights of clients there.
    pub rights: StdioRights,
    /// No port is opened.
    pub no_quic: bool,
}

impl StdioRights {
    fn scope(self) -> Scope {
        let all = Rights {
            read: true,
            write: true,
            append: false,
            delete: true,
            owner: true,
            special: true,
            xattrs: true,
            acls: true,
        };
        let rights = match self {
            Self::All => all,
            Self::ReadOnly => Rights { read: true, ..Rights::NONE },
            Self::AppendOnly => Rights { write: false, append: true, delete: false, ..all },
        };
        Scope { rights, ..Scope::unrestricted("stdio") }
    }
}

/// Serves the connection on standard input and output until it is over. To be called before there are other threads:
/// Ctrl-C at a terminal, which this process may have in common with the client, is kept from all. The client closes
/// the pipe then.
pub fn serve_stdio(options: &StdioOptions) -> Result<()> {
    let own = |fd: BorrowedFd<'_>| {
        fd.try_clone_to_owned().map_err(|error| Error::io("cannot use the standard streams", b"", error))
    };
    SigSet::from(Signal::SIGINT)
        .thread_block()
        .map_err(|errno| Error::io("cannot keep signals away", b"", errno.into()))?;
    serve_pipe((own(std::io::stdin().as_fd())?, own(std::io::stdout().as_fd())?), options)
}

/// Serves the connection on two descriptors, one for each direction, until it is over.
pub fn serve_pipe((from, to): (OwnedFd, OwnedFd), options: &StdioOptions) -> Result<()> {
    let (served, own) = match &options.root {
        Some(root) => (root.clone(), None),
        // Without a directory the whole file system is served, so nothing need be confined.
        None => (b"/".to_vec(), Some(Own::new()?)),
    };
    let root = |name: &str| ServedRoot {
        read_only: options.rights == StdioRights::ReadOnly,
        ..ServedRoot::new(name, served.clone())
    };
    let roots = Roots::open(&[root(HOME_ROOT), root(TILDE_ROOT), root(FILES_ROOT)])?;
    let runtime_clock = Arc::<RuntimeClock>::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    runtime_clock.install(&mut builder);
    let runtime = builder.enable_all().build().map_err(|error| Error::io("cannot start a runtime", b"", error))?;
    // A client that is confined to one directory leaves no state outside of it.
    let remembers = own.is_some();
    let shared = Arc::new(Shared {
        roots,
        keys: AuthorizedKeys::new(&[], None, None)?,
        anonymous: false,
        durability: Durability::None,
        refused: Vec::new(),
        windows: WindowBudget::default(),
        registry: Arc::new(Registry::new(Limits {
            sessions: SESSIONS_MAX,
            connections: 1,
            connections_per_key: 1,
            connections_per_address: 1,
            ..Limits::default()
        })),
        totals: Totals::default(),
        runtime_clock,
        own,
        remembers,
        profiles: None,
        log: None,
        tries: Tries::default(),
        own_key: None,
    });
    let served = runtime.block_on(async {
        let connection =
            PipeConnection::serve(from, to, "the other end of the pipe".to_owned(), !options.no_quic).await?;
        let connection: Arc<dyn Connection> = Arc::new(connection);
        serve_connection(Arc::clone(&shared), Arc::clone(&connection), Arc::new(options.rights.scope()), None).await;
        let over = connection.closed().unwrap_or_else(|| Error::new(ErrorKind::Closed, "the connection is over"));
        shared.registry.close();
        shared.registry.fail_sessions(&over);
        let _ = tokio::time::timeout(RUNS_END_WITHIN, shared.registry.wait_until_idle()).await;
        connection.close_sent().await;
        Ok(())
    });
    runtime.shutdown_background();
    served
}
