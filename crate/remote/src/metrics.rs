//! `/metrics` and `/healthz` of a server over HTTP, as the command answers them. They are for the operator's own
//! network.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use sparsync_core::{Error, ErrorKind, Result, Server};
use tokio::sync::Semaphore;

/// Who asks for figures is one program, now and then.
const CONNECTIONS_MAX: usize = 32;

/// How long a request may take to come, and a connection to have none.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it is waited when the system has no descriptor for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The media type of the text form of `OpenMetrics`.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Takes the address, so that one that cannot be had is known before anything is served.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| Error::new(ErrorKind::Config, format!("--metrics {address}: {error}")))
}

/// Answers from a thread of its own, which ends with the process.
pub(crate) fn answer(listener: TcpListener, server: Arc<Server>) -> Result<()> {
    let failed = |error| Error::io("cannot answer for figures", b"", error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let thread = std::thread::Builder::new().name("sparsync-metrics".to_owned());
    let run = move || runtime.block_on(accept(listener, server));
    thread.spawn(run).map(drop).map_err(failed)
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Those beyond the limit are closed.
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else { continue };
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let asked = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
                let answer = answer_to(&server, request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A client that breaks off has its reasons.
            let _ = http.serve_connection(TokioIo::new(stream), asked).await;
            drop(permit);
        });
    }
}

fn answer_to(server: &Server, method: &Method, path: &str) -> Response<String> {
    if method != Method::GET && method != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned(), TEXT);
    }
    match path {
        "/metrics" => response(StatusCode::OK, server.metrics().unwrap_or_default(), OPEN_METRICS),
        "/healthz" => match server.ailment() {
            None => response(StatusCode::OK, "ok\n".to_owned(), TEXT),
            Some(ailment) => response(StatusCode::SERVICE_UNAVAILABLE, format!("{ailment}\n"), TEXT),
        },
        _ => response(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned(), TEXT),
    }
}

fn response(status: StatusCode, body: String, kind: HeaderValue) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
