//! The server over HTTP, for those who only look: `/metrics`, `/healthz`, `/readyz` and pages for people at `/` and
//! `/zones`.
//!
//! ```text
//!   client ──▶ at most CLIENTS_MAX, each for CLIENT_TIME_MAX ──▶ page ── Command ──▶ the daemon's loop
//!                                                                    └─ samples ──▶ the counters
//! ```
//!
//! Runs on the control plane's runtime and never touches what serves queries. Nothing can be changed from here. A
//! connection carries one request and is closed, whatever happens, when its time is over; further clients wait a while
//! and get the reply then that there are too many.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Sleep, sleep, timeout};

use super::exposition::{self, MEDIA_TYPE, Reading};
use super::reply::{PAGE_ZONES_MAX, Readiness};
use super::{Command, page, readings, server};
use crate::metrics::Sample;

/// The most clients at once.
pub const CLIENTS_MAX: usize = 32;
/// How long one client may take for all, asking and reading.
pub const CLIENT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the daemon's loop may take to reply before it counts as dead.
pub const REPLY_TIME_MAX: Duration = Duration::from_secs(2);
/// The most clients that wait for a permit; more stay in the kernel's queue.
const WAITING_MAX: usize = 256;
/// How long a client waits for a permit.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long it may take to refuse one.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);
/// How long to wait after the system had no descriptor for one more client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The media types of what is not metrics.
const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// Where the pages get what they show.
pub struct Source {
    /// Whoever knows the status.
    pub commands: mpsc::Sender<Command>,
    /// Reads the counters; empty while there are none.
    pub samples: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

/// Serves the pages until the runtime ends.
pub async fn serve(listener: TcpListener, source: Source) {
    serve_for(listener, source, CLIENT_TIME_MAX).await;
}

/// Serves the pages; each client has so much time.
async fn serve_for(listener: TcpListener, source: Source, client_time: Duration) {
    let pages = Router::new()
        .route("/", get(status_page))
        .route("/zones", get(zones_page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(nothing)
        .layer(map_response(finish))
        .with_state(Arc::new(source));
    let Ok(address) = listener.local_addr() else {
        return tracing::error!("the pages over HTTP can't be shown: their socket has no address");
    };
    let (admitted, clients) = mpsc::channel(1);
    tokio::spawn(admit(listener, client_time, admitted));
    let bounded = Bounded { clients, address };
    if let Err(error) = axum::serve(bounded, pages).await {
        tracing::error!(%error, "the pages over HTTP have ended; queries are answered as before");
    }
}

impl Source {
    /// Asks the daemon's loop; the error says why it does not reply.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, String> {
        let asked = timeout(REPLY_TIME_MAX, server::ask(&self.commands, command)).await;
        asked.unwrap_or_else(|_| Err(format!("the control plane did not reply within {REPLY_TIME_MAX:?}")))
    }
}

/// The page for people.
async fn status_page(State(source): State<Arc<Source>>) -> Response {
    match source.ask(Command::Status).await {
        Ok(status) => reply(StatusCode::OK, HTML, page::status(&status)),
        Err(error) => reply(StatusCode::SERVICE_UNAVAILABLE, PLAIN, error + "\n"),
    }
}

/// Some zones as a page for people, from the one on that the query of the address names.
async fn zones_page(State(source): State<Arc<Source>>, RawQuery(query): RawQuery) -> Response {
    let from = query.as_deref().map_or(Some(0), |query| query.strip_prefix("from=")?.parse().ok());
    let Some(from) = from else {
        return reply(StatusCode::BAD_REQUEST, PLAIN, "it must be /zones or /zones?from=NUMBER\n".to_owned());
    };
    match source.ask(|reply| Command::Zones(from, PAGE_ZONES_MAX, reply)).await {
        Ok(zones) => reply(StatusCode::OK, HTML, page::zones(&zones)),
        Err(error) => reply(StatusCode::SERVICE_UNAVAILABLE, PLAIN, error + "\n"),
    }
}

/// The numbers. Without a reply of the loop there are the counters still.
async fn metrics(State(source): State<Arc<Source>>) -> Response {
    let zones = source.ask(|reply| Command::Zones(0, readings::ZONES_MAX, reply));
    let (status, zones) = tokio::join!(source.ask(Command::Status), zones);
    let mut all: Vec<Reading> = match status {
        Ok(status) => readings::of(&status, &zones.unwrap_or_default().zones),
        Err(error) => {
            tracing::warn!(error, "metrics are shown without the status");
            Vec::new()
        }
    };
    all.extend((source.samples)().into_iter().map(Reading::from));
    reply(StatusCode::OK, MEDIA_TYPE, exposition::encode(all))
}

/// Whether the process lives and its control plane replies.
async fn healthz(State(source): State<Arc<Source>>) -> Response {
    match source.ask(Command::Readiness).await {
        Ok(_) => reply(StatusCode::OK, PLAIN, "ok\n".to_owned()),
        Err(error) => reply(StatusCode::SERVICE_UNAVAILABLE, PLAIN, error + "\n"),
    }
}

/// Whether the server is ready for queries.
async fn readyz(State(source): State<Arc<Source>>) -> Response {
    match source.ask(Command::Readiness).await {
        Ok(Readiness { is_ready: true, reason }) => reply(StatusCode::OK, PLAIN, format!("ready: {reason}\n")),
        Ok(Readiness { is_ready: false, reason }) | Err(reason) => {
            reply(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("not ready: {reason}\n"))
        }
    }
}

/// Any other path.
async fn nothing() -> Response {
    reply(StatusCode::NOT_FOUND, PLAIN, "there are /, /zones, /metrics, /healthz and /readyz\n".to_owned())
}

/// One reply.
fn reply(status: StatusCode, media_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, media_type)], body).into_response()
}

/// What stands at the head of every reply.
async fn finish(mut response: Response) -> Response {
    for (name, value) in [
        (CONNECTION, "close"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Clients that have a permit.
struct Bounded {
    clients: mpsc::Receiver<(Timed, SocketAddr)>,
    address: SocketAddr,
}

impl axum::serve::Listener for Bounded {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        match self.clients.recv().await {
            Some(client) => client,
            // Whoever admits ends with the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Accepts clients and passes those on for which there is a permit; the others wait for one a while, in the order in
/// which they came.
async fn admit(listener: TcpListener, client_time: Duration, admitted: mpsc::Sender<(Timed, SocketAddr)>) {
    let (permits, waiting) = (Arc::new(Semaphore::new(CLIENTS_MAX)), Arc::new(Semaphore::new(WAITING_MAX)));
    loop {
        let waits = Arc::clone(&waiting).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an HTTP client could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (permits, admitted) = (Arc::clone(&permits), admitted.clone());
        tokio::spawn(async move {
            match timeout(WAIT_MAX, permits.acquire_owned()).await {
                Ok(permit) => {
                    let permit = permit.expect("the semaphore is never closed");
                    drop(waits);
                    let end = Box::pin(sleep(client_time));
                    // Nobody takes it where the server ends.
                    let _ = admitted.send((Timed { stream, end, _permit: permit }, address)).await;
                }
                Err(_) => refuse(stream).await,
            }
        });
    }
}

/// Says to a client that there are too many. It is not waited for: it may be one of those who keep the permits.
async fn refuse(mut stream: TcpStream) {
    let reply = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 10\r\n\
                 Connection: close\r\n\r\ntoo many HTTP clients; try again\n";
    // One short text fits the buffer of a fresh socket. What was asked is read, so that closing does not reset what was
    // said.
    if stream.write_all(reply.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut asked = [0; 4096];
        let _ =
            timeout(REFUSAL_TIME_MAX, async { while stream.read(&mut asked).await.is_ok_and(|count| count > 0) {} })
                .await;
    }
}

/// A client's stream, whose time is limited. Holds the client's permit.
struct Timed {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Timed {
    /// Fails when the time is over; else asks to be woken then.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, out)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
