//! The ends of a connection: a server, or a client, and the other one made by hand.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use sparsync_core::net::{self, ConnectOptions, ListenOptions, Listener, ServerTrust};
use sparsync_core::proto::{Durability, Frame, Grant, Request};
use sparsync_core::trust::{Identity, PublicKey};
use sparsync_core::{Client, Limits, ServedRoot, Server, ServerOptions, StdioOptions, serve_pipe};
use tempfile::TempDir;
use tokio::net::unix::pipe;

use super::mux::Mux;
use super::over::{Fifos, Over, Wire, quic_lane};
use super::{Control, Lane, accept, eventually, put};

/// A server with one root, and somebody who may use it.
pub struct Site {
    pub dir: TempDir,
    pub server: Server,
    pub identity: Identity,
    over: Over,
    /// Those who serve a pipe each.
    served: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Site {
    /// The key may do what `allow` says, in the notation of the file of authorized keys.
    pub async fn new(allow: &str) -> Self {
        Self::over(Over::Quic, allow).await
    }

    /// The same, whose clients come over that.
    pub async fn over(over: Over, allow: &str) -> Self {
        assert!(over != Over::Pipe || allow.is_empty(), "nobody has a key on a pipe");
        Self::at(tempfile::tempdir().unwrap(), over, allow, limits()).await
    }

    /// A server with other limits.
    pub async fn limited(allow: &str, limits: Limits) -> Self {
        Self::at(tempfile::tempdir().unwrap(), Over::Quic, allow, limits).await
    }

    /// The same in memory, where that can be: a disk may hold less of an attribute than the protocol.
    pub async fn in_memory(allow: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::at(dir.unwrap(), Over::Quic, allow, limits()).await
    }

    /// A server whose root nobody writes to.
    pub async fn read_only(allow: &str) -> Self {
        let change = |root| ServedRoot { read_only: true, ..root };
        Self::serving(tempfile::tempdir().unwrap(), Over::Quic, (allow, limits()), change).await
    }

    async fn at(dir: TempDir, over: Over, allow: &str, limits: Limits) -> Self {
        Self::serving(dir, over, (allow, limits), |root| root).await
    }

    async fn serving(
        dir: TempDir,
        over: Over,
        (allow, limits): (&str, Limits),
        change: impl FnOnce(ServedRoot) -> ServedRoot,
    ) -> Self {
        std::fs::create_dir(dir.path().join("root")).unwrap();
        std::fs::create_dir(dir.path().join("local")).unwrap();
        put(dir.path(), "outside/secret", "untouched");
        let identity = Identity::generate().unwrap();
        let server = Server::start(ServerOptions {
            listen: "127.0.0.1:0".to_owned(),
            identity: Identity::generate().unwrap(),
            key_file: None,
            roots: vec![change(ServedRoot::new("r", dir.path().join("root").into_os_string().into_encoded_bytes()))],
            authorized_keys_path: None,
            authorized_keys: vec![format!("mallory {} {allow}", identity.public_key())],
            client_ca_pem: None,
            anonymous: false,
            tcp: true,
            durability: Durability::None,
            limits,
            idle_timeout: Duration::from_secs(30),
            congestion: sparsync_core::net::Congestion::Auto,
            refuse: Vec::new(),
            log: true,
            metrics: true,
            profile: true,
        })
        .await
        .unwrap();
        Self { dir, server, identity, over, served: Mutex::default() }
    }

    /// What is served.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A folder of the client.
    pub fn local(&self) -> PathBuf {
        self.dir.path().join("local")
    }

    pub fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    pub fn connect_options(&self) -> ConnectOptions {
        let options = connect_options(self.server.local_addr().port(), &self.identity, self.server.public_key());
        ConnectOptions { transport: self.over.choice(), ..options }
    }

    pub async fn client(&self) -> Client {
        if self.over != Over::Pipe {
            return Client::connect(self.connect_options()).await.unwrap();
        }
        let fifos = Fifos::new();
        let options = fifos.command();
        let serving = async { self.serve_pipe(fifos.open().await) };
        tokio::join!(Client::connect_by(options), serving).0.unwrap()
    }

    /// A connection whose streams are written by hand.
    pub async fn raw(&self) -> RawClient {
        let wire = match self.over {
            Over::Quic => Wire::Quic(net::connect(self.connect_options()).await.unwrap().connection),
            Over::Tcp => {
                let (from, to) = tokio::io::split(net::connect_tcp(self.connect_options()).await.unwrap());
                Wire::Mux(Mux::new(Box::new(from), Box::new(to), false).await)
            }
            Over::Pipe => {
                // Each pipe has a process of its own, which may hold the lock of a destination until it ends.
                self.idle().await;
                let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
                self.serve_pipe((far.try_clone().unwrap().into(), far.into()));
                near.set_nonblocking(true).unwrap();
                let (from, to) = tokio::net::UnixStream::from_std(near).unwrap().into_split();
                Wire::Mux(Mux::new(Box::new(from), Box::new(to), true).await)
            }
        };
        RawClient { wire, root: self.root_name().into() }
    }

    /// Serves what is served on a pipe too.
    fn serve_pipe(&self, ends: (OwnedFd, OwnedFd)) {
        let root = Some(self.root().into_os_string().into_encoded_bytes());
        let options = StdioOptions { root, no_quic: true, ..StdioOptions::default() };
        let serving = std::thread::spawn(move || {
            // Why it ended is the test's to judge by what it sees.
            let _ = serve_pipe(ends, &options);
        });
        self.served.lock().unwrap().push(serving);
    }

    /// The name of the root: whoever serves a pipe gives it its own.
    pub fn root_name(&self) -> &'static str {
        root_of(self.over == Over::Pipe)
    }

    /// Waits until no session is left. On pipes every connection has to be over.
    pub async fn idle(&self) {
        match self.over {
            Over::Pipe => {
                eventually(|| self.served.lock().unwrap().iter().all(std::thread::JoinHandle::is_finished)).await;
            }
            Over::Quic | Over::Tcp => eventually(|| self.server.stats().contains(&("sessions_active", 0))).await,
        }
    }
}

/// The limits of a site that is told of no others.
pub fn limits() -> Limits {
    Limits { sessions: 16, ..Limits::default() }
}

pub(super) fn root_of(is_pipe: bool) -> &'static str {
    if is_pipe { "home" } else { "r" }
}

pub fn connect_options(port: u16, identity: &Identity, server: PublicKey) -> ConnectOptions {
    let mut options = ConnectOptions::new("127.0.0.1", port, identity.clone());
    options.trust = ServerTrust { pins: vec![server], ..ServerTrust::default() };
    options
}

/// A client that says what a test wants it to say.
pub struct RawClient {
    pub wire: Wire,
    pub root: Vec<u8>,
}

impl RawClient {
    /// Opens a control stream and says nothing yet.
    pub async fn open(&self) -> Control {
        self.wire.open().await
    }

    /// Opens a session.
    pub async fn session(&self, mut request: Request) -> Control {
        if request.root == b"r" {
            request.root.clone_from(&self.root);
        }
        let mut control = self.open().await;
        control.write(&Frame::Hello { oldest: 1, newest: 1 }).await;
        control.write(&Frame::Request(Box::new(request))).await;
        control
    }
}

/// A data lane of any session, which QUIC alone has to be told.
pub async fn stray_lane(raw: &RawClient, session: u64, lane: u8) -> Lane {
    let Wire::Quic(connection) = &raw.wire else { panic!("it is not QUIC") };
    Lane { send: quic_lane(connection, session, lane).await }
}

/// A server that says what a test wants it to say, and the engine's client connected to it.
pub struct Trap {
    pub dir: TempDir,
    pub client: Client,
    pub wire: Wire,
    _listener: Option<Listener>,
}

impl Trap {
    pub async fn new() -> Self {
        Self::over(Over::Quic).await
    }

    pub async fn over(over: Over) -> Self {
        let (client, wire, listener) = match over {
            Over::Pipe => {
                let fifos = Fifos::new();
                let options = fifos.command();
                let trapping = async {
                    let (from, to) = fifos.open().await;
                    let from = pipe::Receiver::from_owned_fd(from).unwrap();
                    Mux::new(Box::new(from), Box::new(pipe::Sender::from_owned_fd(to).unwrap()), true).await
                };
                let (client, mux) = tokio::join!(Client::connect_by(options), trapping);
                (client.unwrap(), Wire::Mux(mux), None)
            }
            Over::Quic | Over::Tcp => {
                let identity = Identity::generate().unwrap();
                let key = identity.public_key();
                let listening = ListenOptions { tcp: true, ..ListenOptions::new("127.0.0.1:0", identity) };
                let listener = net::listen(listening).await.unwrap();
                let options = connect_options(listener.local_addr().port(), &Identity::generate().unwrap(), key);
                let options = ConnectOptions { transport: over.choice(), ..options };
                let arriving = async {
                    if over == Over::Quic {
                        return Wire::Quic(listener.accept().await.unwrap().finish().await.unwrap().connection);
                    }
                    let (from, to) = tokio::io::split(listener.accept_stream().await.unwrap());
                    Wire::Mux(Mux::new(Box::new(from), Box::new(to), false).await)
                };
                let (client, wire) = tokio::join!(Client::connect(options), arriving);
                (client.unwrap(), wire, Some(listener))
            }
        };
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "outside/secret", "untouched");
        std::fs::create_dir(dir.path().join("local")).unwrap();
        Self { dir, client, wire, _listener: listener }
    }

    /// The client's folder.
    pub fn local(&self) -> PathBuf {
        self.dir.path().join("local")
    }

    pub fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// The next session that the client opens, and what it asks for.
    pub async fn session(&self) -> (Control, Request) {
        let mut control = self.wire.accept().await;
        assert!(matches!(control.next().await, Some(Frame::Hello { oldest: 1, newest: 1 })));
        match control.next().await {
            Some(Frame::Request(request)) => (control, *request),
            other => panic!("no request but {other:?}"),
        }
    }

    /// The same, accepted.
    pub async fn accepted(&self, grant: Grant) -> Control {
        let (mut control, request) = self.session().await;
        control.write(&Frame::Accept(accept(grant, request.lanes))).await;
        control
    }
}
