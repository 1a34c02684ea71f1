//! Once in a while each service address is asked over TCP, by a thread of its own so that no round waits for it.
//!
//! Only TCP is judged here: a reply of this server to our question, whatever its RCODE. What zones hold is judged over
//! UDP, and a broken zone must not look like a broken listener.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::health::judge::CLOCK_GAP_MAX;
use crate::health::question::Question;
use crate::health::{Settings, Wrong, Zones, reply};
use crate::wire::NameRef;

/// The outcome of the last query of each address, taken by the next round.
#[derive(Debug)]
pub(super) struct TcpOutcomes(Box<[AtomicU8]>);

impl TcpOutcomes {
    /// Makes room for so many addresses.
    pub(super) fn new(address_count: usize) -> Self {
        Self((0..address_count).map(|_| AtomicU8::new(NONE)).collect())
    }

    /// Takes the outcome for an address out; `None` where no query ended since the last time.
    pub(super) fn take(&self, address: usize) -> Option<bool> {
        match self.0.get(address)?.swap(NONE, Ordering::AcqRel) {
            NONE => None,
            outcome => Some(outcome == WELL),
        }
    }

    /// Puts an outcome in.
    pub(super) fn put(&self, address: usize, is_well: bool) {
        if let Some(cell) = self.0.get(address) {
            cell.store(if is_well { WELL } else { ILL }, Ordering::Release);
        }
    }
}

/// The thread `prover-tcp`. Dropping it ends the thread, which takes at most the timeout for each address.
#[derive(Debug)]
pub(super) struct TcpProber {
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl TcpProber {
    /// Starts the thread.
    ///
    /// # Errors
    /// That no thread could be started.
    pub(super) fn start(settings: &Settings, zones: Arc<dyn Zones>, outcomes: Arc<TcpOutcomes>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let asker = Asker {
            addresses: settings.addresses.clone(),
            identity: settings.identity.clone(),
            timeout: settings.timeout,
            interval: settings.tcp_interval,
            zones,
            id: settings.nonce as u16,
        };
        let run = move || asker.run(&stopped, &outcomes);
        let thread = thread::Builder::new().name("prover-tcp".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for TcpProber {
    fn drop(&mut self) {
        self.stop = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread prover-tcp panicked");
        }
    }
}

/// What the thread needs.
struct Asker {
    addresses: Vec<SocketAddr>,
    identity: Option<Vec<u8>>,
    timeout: Duration,
    interval: Duration,
    zones: Arc<dyn Zones>,
    /// The ID of the last query.
    id: u16,
}

/// Why a query over TCP was not answered.
#[derive(Debug, thiserror::Error)]
enum TcpFault {
    /// Connecting, sending or receiving failed, or took too long.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// Something came back that is not a reply of ours.
    #[error("{0}")]
    Reply(#[from] Wrong),
    /// The query could not be written.
    #[error("{0}")]
    Query(#[from] hickory_proto::ProtoError),
}

impl Asker {
    /// Asks each address every interval until `stopped` is closed.
    fn run(mut self, stopped: &Receiver<()>, outcomes: &TcpOutcomes) {
        let mut is_well = vec![true; self.addresses.len()];
        loop {
            for (index, is_well) in is_well.iter_mut().enumerate() {
                let address = self.addresses[index];
                let Some(outcome) = self.ask_judged(address) else { continue };
                outcomes.put(index, outcome.is_ok());
                match &outcome {
                    Ok(()) if !*is_well => tracing::info!(%address, "TCP answers again"),
                    Err(error) if *is_well => tracing::warn!(%address, %error, "no answer over TCP"),
                    Ok(()) | Err(_) => {}
                }
                *is_well = outcome.is_ok();
            }
            if stopped.recv_timeout(self.interval) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Asks one address; `None` where this thread got no CPU in time, so that silence says nothing.
    fn ask_judged(&mut self, address: SocketAddr) -> Option<Result<(), TcpFault>> {
        let deadline = Instant::now() + self.timeout;
        let outcome = self.ask(address, deadline);
        let is_known = outcome.is_ok() || Instant::now() <= deadline + CLOCK_GAP_MAX;
        is_known.then_some(outcome)
    }

    /// Asks one address for the SOA of the next zone, or of the root where no zone is served.
    fn ask(&mut self, address: SocketAddr, deadline: Instant) -> Result<(), TcpFault> {
        let zone = self.zones.next();
        let zone = zone.as_ref().map_or(NameRef::ROOT, |(zone, _)| zone.as_ref());
        let mut question = Question::soa(zone, None)?;
        self.id = self.id.wrapping_add(1);
        let reply = exchange(address, question.with_id(self.id), deadline)?;
        if reply.first_chunk() != Some(&self.id.to_be_bytes()) {
            return Err(Wrong::Question.into());
        }
        reply::read_any(&reply, question.asked(), self.identity.as_deref())?;
        Ok(())
    }
}

/// Sends one query with its length in front (RFC 1035 §4.2.2) over a new connection and returns the reply.
fn exchange(address: SocketAddr, query: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    read_all(&mut stream, &mut length, deadline)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    read_all(&mut stream, &mut reply, deadline)?;
    Ok(reply)
}

/// Fills `buffer` before the deadline.
fn read_all(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// The time that is left; an error once there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// No query ended since the last look.
const NONE: u8 = 0;
/// It was answered.
const WELL: u8 = 1;
/// It was not.
const ILL: u8 = 2;
