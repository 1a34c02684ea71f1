//! The server over HTTP, for those who only look: `/metrics`, `/healthz`, `/readyz` and a page for people at `/`.
//!
//! ```text
//!   client ──▶ at most CLIENTS_MAX, each for CLIENT_TIME_MAX ──▶ page ── Command ──▶ the daemon's loop
//!                                                                    └─ samples ──▶ the counters
//! ```
//!
//! Runs on the control plane's runtime and never touches what serves queries. Nothing can be changed from here. A
//! connection carries one request and is closed, whatever happens, when its time is over; further clients wait in the
//! kernel's queue.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Sleep, sleep, timeout};

use super::exposition::{self, MEDIA_TYPE, Reading};
use super::reply::Readiness;
use super::{Command, page, readings, server};
use crate::metrics::Sample;

/// The most clients at once.
pub const CLIENTS_MAX: usize = 32;
/// How long one client may take for all, asking and reading.
pub const CLIENT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the daemon's loop may take to reply before it counts as dead.
pub const REPLY_TIME_MAX: Duration = Duration::from_secs(2);
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
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(nothing)
        .layer(map_response(finish))
        .with_state(Arc::new(source));
    let bounded = Bounded { listener, places: Arc::new(Semaphore::new(CLIENTS_MAX)), client_time };
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

/// The numbers. Without a reply of the loop there are the counters still.
async fn metrics(State(source): State<Arc<Source>>) -> Response {
    let mut all: Vec<Reading> = match source.ask(Command::Status).await {
        Ok(status) => readings::of(&status),
        Err(error) => {
            tracing::warn!(error, "metrics are told without the status");
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
    reply(StatusCode::NOT_FOUND, PLAIN, "there are /, /metrics, /healthz and /readyz\n".to_owned())
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

/// A listener that has places for so many clients.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    client_time: Duration,
}

impl axum::serve::Listener for Bounded {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let end = Box::pin(sleep(self.client_time));
                    return (Timed { stream, end, _place: place }, address);
                }
                Err(error) => {
                    tracing::warn!(%error, "an HTTP client could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A client's stream, whose time is limited. Holds the client's place.
struct Timed {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
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
