//! Versions from primaries, judged by a command of the operator's before they are served, as NSD's `verifier` does.
//!
//! The command has the zone as a zone file on its standard input, and need not read it. It leads a process group of its
//! own, which is killed where it takes too long. What it says is kept up to a bound, for the log.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{ChildStdin, Command};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::transfer::VerifyCommand;
use crate::wire::Shown;
use crate::zone::Zone;

/// The most commands that run at once; others wait.
pub(super) const COMMANDS_MAX: usize = 4;
/// Octets of the zone that are written at once, and how many such pieces wait.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 2;
/// The most octets, and lines, of what a command says that are kept.
const OUTPUT_BYTES_MAX: usize = 2048;
const OUTPUT_LINES_MAX: usize = 8;
/// How long more of it is waited for when the command has ended: somebody whom it started may hold the pipe.
const LEFTOVER_MAX: Duration = Duration::from_secs(1);
/// What the service manager tells its services, and no command of theirs.
const NOT_INHERITED: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS"];

/// Why a version is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum VerifyError {
    /// The command can't be run.
    #[error("`verify` can't be run: {0}")]
    Start(#[from] io::Error),
    /// It says no.
    #[error("`verify` refuses serial {serial} ({status}){}", Said(.said))]
    Refused { serial: u32, status: ExitStatus, said: String },
    /// It takes too long.
    #[error("`verify` takes longer than {after:?} for serial {serial} (verify-timeout){}", Said(.said))]
    TooLong { serial: u32, after: Duration, said: String },
}

/// What a command said, behind something else.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// Has a version judged; returns what the command said. Waits while [`COMMANDS_MAX`] others are.
///
/// # Errors
/// [`VerifyError`]: the version is not to be served.
pub(super) async fn verify(
    zone: &Arc<Zone>,
    verify: &VerifyCommand,
    commands: &Semaphore,
) -> Result<String, VerifyError> {
    let [program, arguments @ ..] = &verify.words[..] else { return Ok(String::new()) };
    let _permit = commands.acquire().await.map_err(io::Error::other)?;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    command.env("VERIFY_ZONE", zone.apex().to_string()).env("VERIFY_SERIAL", zone.serial().to_string());
    command.env("VERIFY_ZONE_ON_STDIN", "yes");
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    drop(command); // Its ends of the pipe are the child's now.
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let (pieces, text) = mpsc::channel(PIECES_MAX);
    let written = Arc::clone(zone);
    thread::Builder::new().name("verify".into()).spawn(move || write_zone(&written, pieces))?;
    let feeding = child.stdin.take().map(|stdin| tokio::spawn(feed(stdin, text)));
    let output = Arc::new(Mutex::new(Vec::new()));
    let mut reading = tokio::spawn(collect(pipe::Receiver::from_owned_fd(reader.into())?, Arc::clone(&output)));
    let ended = timeout(verify.timeout, child.wait()).await;
    if ended.is_err() {
        // It was not waited for yet, so that the group is still its own.
        if let Some(group) = group {
            let _is_there = kill_process_group(group, Signal::KILL);
        }
        child.wait().await?;
    }
    feeding.inspect(|feeding| feeding.abort());
    if timeout(LEFTOVER_MAX, &mut reading).await.is_err() {
        reading.abort();
    }
    let said = shown(&output.lock().unwrap_or_else(PoisonError::into_inner));
    let serial = zone.serial();
    match ended {
        Ok(status) => match status? {
            status if status.success() => Ok(said),
            status => Err(VerifyError::Refused { serial, status, said }),
        },
        Err(_) => Err(VerifyError::TooLong { serial, after: verify.timeout, said }),
    }
}

/// Writes a zone as a zone file, until nobody takes it any more.
fn write_zone(zone: &Zone, pieces: mpsc::Sender<String>) {
    let mut out = Pieces { pieces, piece: String::with_capacity(PIECE_BYTES) };
    if zone.write_text(&mut out).is_ok() {
        let Pieces { pieces, piece } = out;
        // Who does not read to the end need not.
        let _is_taken = pieces.blocking_send(piece);
    }
}

/// Text on its way to a command.
struct Pieces {
    pieces: mpsc::Sender<String>,
    piece: String,
}

impl fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.piece.push_str(text);
        if self.piece.len() < PIECE_BYTES {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, String::with_capacity(PIECE_BYTES));
        self.pieces.blocking_send(piece).map_err(|_| fmt::Error)
    }
}

/// Hands the text on to a command, as far as it reads.
async fn feed(mut stdin: ChildStdin, mut pieces: mpsc::Receiver<String>) {
    while let Some(piece) = pieces.recv().await {
        if stdin.write_all(piece.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads what a command says to its end, and keeps the beginning.
async fn collect(mut reader: pipe::Receiver, output: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; OUTPUT_BYTES_MAX];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = count.min(OUTPUT_BYTES_MAX - output.len());
        output.extend_from_slice(&buffer[..kept]);
    }
}

/// The first lines of what a command said, as one line.
fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).take(OUTPUT_LINES_MAX);
    lines.map(|line| Shown::text(line).to_string()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_says_is_one_bounded_line() {
        assert_eq!(shown(b"bad\r\n\n  zone \x1b[31m\n"), "bad;   zone \\u{1b}[31m");
        assert_eq!(shown("line\n".repeat(100).as_bytes()).matches("line").count(), OUTPUT_LINES_MAX);
        assert_eq!(shown(b""), "");
    }
}
