//! The serving side of the control socket: bounded clients, bounded lines, bounded patience.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::reply::{Envelope, PAGE_ZONES_MAX, Stopping};
use super::{Command, REQUEST_BYTES_MAX, Request, RequestError, ZoneVerb};

/// The most clients at once; one more is refused.
const CLIENTS_MAX: usize = 64;
/// The most clients at once to which it is said that there are too many.
const REFUSALS_MAX: usize = 256;
/// How long that may take.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a client may be silent, and how long it may take to read a reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after the system had no descriptor for one more client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the control socket until the runtime ends. What clients ask goes to `commands`.
pub async fn serve(listener: UnixListener, commands: mpsc::Sender<Command>) {
    let permits = Arc::new(Semaphore::new(CLIENTS_MAX));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a control client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let commands = commands.clone();
        match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => {
                tokio::spawn(async move {
                    // A client that goes away or is too slow is no fault of ours.
                    let _ = serve_client(stream, commands).await;
                    drop(permit);
                });
            }
            Err(_) => {
                // Beyond that, closing says it.
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    tokio::spawn(async move {
                        refuse(stream).await;
                        drop(permit);
                    });
                }
            }
        }
    }
}

/// Says to a client that there are too many, and reads what it asks, since closing before would take the reply away.
async fn refuse(mut stream: UnixStream) {
    let reply = line(&Envelope::<()>::from(Err("too many control clients; try again".to_owned())));
    if stream.write_all(&reply).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut asked = [0; REQUEST_BYTES_MAX];
        let reading = async { while stream.read(&mut asked).await.is_ok_and(|count| count > 0) {} };
        // One that goes on asking or says nothing has the reply by then.
        let _ = timeout(REFUSAL_TIME_MAX, reading).await;
    }
}

/// Serves one client, one request after the other.
async fn serve_client(stream: UnixStream, commands: mpsc::Sender<Command>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut request = Vec::new();
    loop {
        request.clear();
        if timeout(PATIENCE, read_line(&mut reader, &mut request)).await?? == 0 {
            return Ok(());
        }
        match Request::parse(request.trim_ascii_end()) {
            Ok(Request::Status) => {
                let status = ask(&commands, Command::Status).await;
                write(&mut writer, &Envelope::from(status)).await?;
            }
            Ok(Request::Zones(from)) => {
                let page = ask(&commands, |reply| Command::Zones(from, PAGE_ZONES_MAX, reply)).await;
                write(&mut writer, &Envelope::from(page)).await?;
            }
            Ok(Request::Reload(reload)) => {
                let reload = ask(&commands, |reply| Command::Reload(reload, reply)).await;
                write(&mut writer, &Envelope::from(reload.and_then(|reload| reload))).await?;
            }
            Ok(Request::Zone(ZoneVerb::Export, name)) => {
                let export = ask(&commands, |reply| Command::Export(name, reply)).await;
                write(&mut writer, &Envelope::from(export.and_then(|export| export))).await?;
            }
            Ok(Request::Zone(ZoneVerb::Notify, name)) => {
                let told = ask(&commands, |reply| Command::Notify(name, reply)).await;
                write(&mut writer, &Envelope::from(told.and_then(|told| told))).await?;
            }
            Ok(Request::Zone(verb, name)) => {
                let secondary = ask(&commands, |reply| Command::Zone(verb, name, reply)).await;
                write(&mut writer, &Envelope::from(secondary.and_then(|secondary| secondary))).await?;
            }
            Ok(request @ (Request::Drain | Request::Resume)) => {
                let drained = ask(&commands, |reply| Command::Drain(request == Request::Drain, reply)).await;
                write(&mut writer, &Envelope::from(drained)).await?;
            }
            Ok(Request::Stop) => {
                let written = write(&mut writer, &Envelope::from(Ok(Stopping { pid: std::process::id() }))).await;
                // Nobody takes it where the end was asked for already; and it counts though the client went away.
                let _ = commands.send(Command::Stop).await;
                written?;
                // Held open until the process ends: that is how the client learns that all is closed.
                std::future::pending::<()>().await;
            }
            Err(error) => {
                write(&mut writer, &Envelope::<()>::from(Err(error.to_string()))).await?;
                if error == RequestError::TooLong {
                    return Ok(());
                }
            }
        }
    }
}

/// Reads one line, or one octet more than a request may have.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>, line: &mut Vec<u8>) -> io::Result<usize> {
    reader.take(REQUEST_BYTES_MAX as u64 + 1).read_until(b'\n', line).await
}

/// Puts one command and waits for what comes of it.
pub(super) async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, String> {
    const ENDING: &str = "the server is ending";
    let (sender, receiver) = oneshot::channel();
    commands.send(command(sender)).await.map_err(|_| ENDING.to_owned())?;
    receiver.await.map_err(|_| ENDING.to_owned())
}

/// Writes one reply.
async fn write<T: Serialize>(writer: &mut OwnedWriteHalf, reply: &Envelope<T>) -> io::Result<()> {
    timeout(PATIENCE, writer.write_all(&line(reply))).await?
}

/// One reply as a line.
fn line<T: Serialize>(reply: &Envelope<T>) -> Vec<u8> {
    let mut line = serde_json::to_vec(reply).expect("replies have string keys and no failing parts");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::reply::Drained;

    /// A served socket whose commands are answered as a server would.
    async fn served() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let listener = UnixListener::bind(&path).expect("binds");
        let (sender, mut receiver) = mpsc::channel(1);
        tokio::spawn(serve(listener, sender));
        tokio::spawn(async move {
            while let Some(command) = receiver.recv().await {
                match command {
                    Command::Status(reply) => drop(reply),
                    Command::Zones(.., reply) => drop(reply),
                    Command::Readiness(reply) => drop(reply),
                    Command::Drain(is_drained, reply) => {
                        let drained = Drained { drained: is_drained, before: false, persists: true, notes: vec![] };
                        let _ = reply.send(drained);
                    }
                    Command::Reload(reload, reply) => {
                        let _ = reply.send(Err(format!("no {:?}", reload.zone)));
                    }
                    Command::Zone(.., reply) => drop(reply),
                    Command::Export(_, reply) => drop(reply),
                    Command::Notify(_, reply) => drop(reply),
                    Command::Stop => {}
                }
            }
        });
        (folder, path)
    }

    async fn exchange(stream: &mut BufReader<UnixStream>, request: &[u8]) -> String {
        stream.get_mut().write_all(request).await.expect("writes");
        let mut reply = String::new();
        stream.read_line(&mut reply).await.expect("reads");
        reply
    }

    #[tokio::test]
    async fn several_requests_go_over_one_connection() {
        let (_folder, path) = served().await;
        let mut stream = BufReader::new(UnixStream::connect(&path).await.expect("connects"));
        assert_eq!(exchange(&mut stream, b"reload a.\r\n").await, "{\"ok\":false,\"error\":\"no Some(a.)\"}\n");
        assert_eq!(exchange(&mut stream, b"status\n").await, "{\"ok\":false,\"error\":\"the server is ending\"}\n");
        assert!(exchange(&mut stream, b"\n").await.contains("unknown request"));
        assert!(exchange(&mut stream, b"drain\n").await.contains("\"drained\":true"));
        assert!(exchange(&mut stream, b"resume\n").await.contains("\"drained\":false"));
        let stopping = format!("{{\"ok\":true,\"result\":{{\"pid\":{}}}}}\n", std::process::id());
        assert_eq!(exchange(&mut stream, b"stop\n").await, stopping);
    }

    #[tokio::test]
    async fn an_endless_line_is_refused_and_the_client_let_go() {
        let (_folder, path) = served().await;
        let mut stream = BufReader::new(UnixStream::connect(&path).await.expect("connects"));
        assert!(exchange(&mut stream, &[b'x'; REQUEST_BYTES_MAX + 1]).await.contains("too long"));
        let mut rest = String::new();
        assert_eq!(stream.read_line(&mut rest).await.expect("reads"), 0);
    }

    #[tokio::test]
    async fn one_client_too_many_is_refused_until_another_goes() {
        let (_folder, path) = served().await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS_MAX {
            let mut client = BufReader::new(UnixStream::connect(&path).await.expect("connects"));
            assert!(exchange(&mut client, b"reload\n").await.contains("no None"));
            clients.push(client);
        }
        let mut extra = BufReader::new(UnixStream::connect(&path).await.expect("connects"));
        let mut reply = String::new();
        extra.read_line(&mut reply).await.expect("reads");
        assert!(reply.contains("too many control clients"), "{reply}");
        clients.clear();
        loop {
            let mut client = BufReader::new(UnixStream::connect(&path).await.expect("connects"));
            client.get_mut().write_all(b"reload\n").await.expect("writes");
            let mut reply = String::new();
            client.read_line(&mut reply).await.expect("reads");
            if reply.contains("no None") {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
