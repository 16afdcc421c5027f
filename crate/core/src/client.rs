//! A connection to a server, kept for as many runs as wanted.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sparsync_proto::{Explanation, Frame, ListEntry, RelPath, Request, Stat, limits};
use tokio::sync::{Notify, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;
use crate::negotiation::{NO_TIMEOUT, timeout_of};
use crate::net::pipe::PipeConnection;
use crate::net::{self, Announced, CommandOptions, ConnectOptions, Dialed, ServerTrust, Udp};
use crate::profile::RuntimeClock;
use crate::run::{Peer, Run, start_remote};
use crate::transport::{Connection, SessionLanes, Transport, encoded};
use crate::trust::{Invitation, PublicKey};

/// A connection to a server. It has one thread, which carries all of its runs.
pub struct Client {
    peer: Peer,
    server_key: Option<PublicKey>,
    announced: Option<Announced>,
    address: String,
    udp: Option<Udp>,
    stop: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
    jobs: Mutex<Vec<Weak<Job>>>,
}

impl Client {
    /// Connects.
    pub async fn connect(options: ConnectOptions) -> Result<Self> {
        Self::dial("sparsync-net", net::dial(options)).await
    }

    /// Connects to the other end of a command.
    pub async fn connect_by(options: CommandOptions) -> Result<Self> {
        Self::dial("sparsync-pipe", async {
            let address = options.address.clone();
            let connection = PipeConnection::start_command(options).await?;
            Ok(Dialed::new(Arc::new(connection), None, address, None))
        })
        .await
    }

    /// A connection that `dialing` makes on the thread that will carry it.
    async fn dial(
        thread: &'static str,
        dialing: impl Future<Output = Result<Dialed>> + Send + 'static,
    ) -> Result<Self> {
        let (to, from) = oneshot::channel();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(thread.to_owned())
            .spawn(move || {
                let runtime_clock = Arc::<RuntimeClock>::default();
                let mut builder = tokio::runtime::Builder::new_current_thread();
                runtime_clock.install(&mut builder);
                let runtime = match builder.enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = to.send(Err(Error::io("cannot start a runtime", b"", error)));
                        return;
                    }
                };
                runtime.block_on(async {
                    let began = Instant::now();
                    match dialing.await {
                        Ok(Dialed { connection, server_key, announced, address, udp, .. }) => {
                            let peer = Peer {
                                connection: Arc::clone(&connection),
                                claims: Arc::default(),
                                connect_time: began.elapsed(),
                                runtime_clock,
                                handle: tokio::runtime::Handle::current(),
                            };
                            if to.send(Ok((peer, server_key, announced, address, udp))).is_ok() {
                                stopped.notified().await;
                            }
                            connection.close(None);
                            connection.close_sent().await;
                        }
                        Err(error) => {
                            let _ = to.send(Err(error));
                        }
                    }
                });
                // A resolver that hangs must not hold the process.
                runtime.shutdown_background();
            })
            .map_err(|error| Error::io("cannot start a thread", b"", error))?;
        let (peer, server_key, announced, address, udp) =
            from.await.map_err(|_| Error::internal("the connection's thread ended without a word"))??;
        let (thread, jobs) = (Mutex::new(Some(thread)), Mutex::default());
        Ok(Self { peer, server_key, announced, address, udp, stop, thread, jobs })
    }

    /// The server's key; none when a private CA has signed a certificate over another kind of key.
    #[must_use]
    pub fn server_key(&self) -> Option<PublicKey> {
        self.server_key
    }

    /// The key that is to follow the server's, when there is one.
    #[must_use]
    pub fn announced(&self) -> Option<&Announced> {
        self.announced.as_ref()
    }

    /// The address that is really used, or where a command leads.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What carries the connection.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.peer.connection.transport()
    }

    /// Why TCP carries the connection, or a pipe its content, although UDP was preferred.
    #[must_use]
    pub fn udp(&self) -> Option<Udp> {
        self.udp.or_else(|| self.peer.connection.udp())
    }

    /// The round trip as measured so far.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.peer.connection.round_trip()
    }

    /// Whether the connection has ended, by either side.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.peer.connection.closed().is_some()
    }

    /// Starts a run.
    pub fn start(&self, run: Run) -> Result<Arc<Job>> {
        let job = Arc::new(start_remote(self.peer.clone(), run)?);
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|job| job.strong_count() > 0);
        jobs.push(Arc::downgrade(&job));
        Ok(job)
    }

    /// The entries of one directory of a root; the names of the roots when `root` is empty.
    ///
    /// Fails with [`ErrorKind::Timeout`] when nothing of the answer comes for `timeout`; zero is no limit.
    pub async fn list(&self, root: &str, path: RelPath, timeout: Duration) -> Result<Vec<ListEntry>> {
        let connection = Arc::clone(&self.peer.connection);
        let root = root.as_bytes().to_vec();
        self.on_runtime(async move { list(&*connection, root, path, timeout).await }).await
    }

    /// What stands at one path of a root; a symlink is not followed. The cost depends on the path alone, not on what is
    /// below it.
    ///
    /// Fails with [`ErrorKind::NotFound`], with [`ErrorKind::Scope`] for what the key may not know, and with
    /// [`ErrorKind::Timeout`] as [`Client::list`].
    pub async fn stat(&self, root: &str, path: RelPath, timeout: Duration) -> Result<Stat> {
        let connection = Arc::clone(&self.peer.connection);
        let root = root.as_bytes().to_vec();
        self.on_runtime(async move { stat(&*connection, root, path, timeout).await }).await
    }

    /// The server's explanation of the path that a request asks about, within the request's timeout.
    pub(crate) async fn explanation(&self, request: Request) -> Result<Explanation> {
        let connection = Arc::clone(&self.peer.connection);
        self.on_runtime(async move { explanation(&*connection, request).await }).await
    }

    /// Runs a question on the connection's thread.
    async fn on_runtime<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (to, from) = oneshot::channel();
        self.peer.handle.spawn(async move {
            let _ = to.send(question.await);
        });
        from.await.map_err(|_| Error::new(ErrorKind::Closed, "the connection is closed"))?
    }

    /// Cancels the runs, closes the connection and waits for its thread. Only for threads that may block.
    pub fn close(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        for job in jobs.iter().filter_map(Weak::upgrade) {
            job.join();
        }
        self.stop.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The thread ends by itself: the thread that drops the last handle may not be allowed to wait.
        self.stop.notify_one();
    }
}

/// Becomes a client of a server by an invitation. Gives the line under which the server knows this client from now on.
///
/// The server has to hold the key that the invitation names, whatever `options` trust: it proves that before the secret
/// is told. Fails with [`crate::ErrorKind::HostKeyChanged`] when it does not, with [`crate::ErrorKind::Unauthorized`]
/// when the invitation is not valid, and as [`Client::connect`].
pub async fn join(mut options: ConnectOptions, invitation: &Invitation) -> Result<String> {
    options.joins = true;
    options.trust = ServerTrust { pins: vec![invitation.server_key], ..ServerTrust::default() };
    let secret = invitation.secret.to_vec();
    let timeout = options.connect_timeout;
    let client = Client::connect(options).await?;
    let connection = Arc::clone(&client.peer.connection);
    let joined = client.on_runtime(async move { redeem(&*connection, secret, timeout).await }).await;
    let _ = tokio::task::spawn_blocking(move || client.close()).await;
    joined
}

async fn list(connection: &dyn Connection, root: Vec<u8>, path: RelPath, timeout: Duration) -> Result<Vec<ListEntry>> {
    let mut asked = Question::ask(connection, vec![Frame::ListRequest { root, path }], timeout).await?;
    let mut all = Vec::new();
    loop {
        match asked.answer().await? {
            Some(Frame::ListReply { more, entries }) => {
                all.extend(entries);
                if all.len() > limits::DIRECTORY_ENTRIES_MAX {
                    return Err(Error::protocol("a list without end").remote());
                }
                if !more {
                    return Ok(all);
                }
            }
            Some(Frame::Abort(error)) => return Err(Error::from_wire(error)),
            _ => return Err(Error::protocol("no answer to a request for a list").remote()),
        }
    }
}

/// A session for a single question.
struct Question {
    lanes: Box<dyn SessionLanes>,
    timeout: Duration,
}

impl Question {
    async fn ask(connection: &dyn Connection, question: Vec<Frame>, timeout: Duration) -> Result<Self> {
        let timeout = if timeout.is_zero() { NO_TIMEOUT } else { timeout.min(NO_TIMEOUT) };
        let mut lanes = connection.open(Arc::default());
        in_time(timeout, lanes.write(encoded(&Frame::opening(question)))).await?;
        lanes.finish();
        Ok(Self { lanes, timeout })
    }

    /// The next frame of the answer. A peer may live and yet be held up for ever, as by a file system that hangs.
    async fn answer(&mut self) -> Result<Option<Frame>> {
        in_time(self.timeout, self.lanes.read()).await
    }
}

async fn in_time<T>(timeout: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let message = format!("the other end has not answered for {} s", timeout.as_secs_f64());
        Err(Error::new(ErrorKind::Timeout, message))
    })
}

async fn stat(connection: &dyn Connection, root: Vec<u8>, path: RelPath, timeout: Duration) -> Result<Stat> {
    let mut asked = Question::ask(connection, vec![Frame::StatRequest { root, path }], timeout).await?;
    match asked.answer().await? {
        Some(Frame::StatReply(stat)) => Ok(stat),
        Some(Frame::Abort(error)) => Err(Error::from_wire(error)),
        _ => Err(Error::protocol("no answer to a question for one path").remote()),
    }
}

async fn redeem(connection: &dyn Connection, secret: Vec<u8>, timeout: Duration) -> Result<String> {
    let mut asked = Question::ask(connection, vec![Frame::Join(secret)], timeout).await?;
    match asked.answer().await? {
        Some(Frame::Joined(line)) => Ok(String::from_utf8_lossy(&line).into_owned()),
        Some(Frame::Abort(error)) => Err(Error::from_wire(error)),
        _ => Err(Error::protocol("no answer to an invitation").remote()),
    }
}

async fn explanation(connection: &dyn Connection, request: Request) -> Result<Explanation> {
    let mut asked = Question::ask(connection, Frame::asking_for(&request), timeout_of(&request)).await?;
    match asked.answer().await? {
        Some(Frame::Explained(told)) if request.explain.is_within(&told.path) => Ok(*told),
        Some(Frame::Abort(error)) => Err(Error::from_wire(error)),
        _ => Err(Error::protocol("no answer to a question for the rule of a path").remote()),
    }
}
