//! One zone asked for at its primaries: connections, messages, and what is made of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};

use super::over_tls;
use super::waiting::Generation;
use crate::fault::report::{self, Style};
use crate::fault::{Faults, Severity, Sources};
use crate::load::{Arrival, ThreadPool};
use crate::serve::unix_now;
use crate::transfer::{
    ApplyError, Change, Expiry, Incoming, Peer, Received, Request, Soa, TransferError, TransferSettings, apply,
    is_serial_before, write_request,
};
use crate::wire::SharedName;
use crate::wire::tsig::{Signer, Verifier};
use crate::zone::Zone;
use crate::zone::hash::Seed;
use crate::zonebuild::{Plan, check_digest};

/// How long a primary may take to take a connection, and to send the next message.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone)]
pub(super) struct Order {
    /// The zone.
    pub(super) name: SharedName,
    /// The version that we have.
    pub(super) base: Option<Arc<Zone>>,
    /// Who makes zones of what comes.
    pub(super) pool: Arc<ThreadPool>,
    /// Primaries and bounds.
    pub(super) settings: Arc<TransferSettings>,
    /// The primary that is asked first.
    pub(super) first: usize,
    /// Whether the whole zone is wanted, whatever we have.
    pub(super) is_whole: bool,
    /// Where it is shown how much has come.
    pub(super) progress: Arc<Progress>,
    /// The key of the name hash.
    pub(super) seed: Seed,
    /// Which of the zones that had the name it is about.
    pub(super) generation: Generation,
    /// When the zone expires, for answers.
    pub(super) expiry: Arc<Expiry>,
}

/// How much of a transfer has come, for who asks meanwhile.
#[derive(Debug, Default)]
pub(super) struct Progress {
    records: AtomicU64,
    octets: AtomicU64,
    is_verifying: AtomicBool,
    /// The last serial that a primary had, and behind it a bit that is set once there was one.
    primary_serial: AtomicU64,
}

impl Progress {
    /// Takes down how much has come.
    fn set(&self, records: u64, octets: u64) {
        self.records.store(records, Ordering::Relaxed);
        self.octets.store(octets, Ordering::Relaxed);
    }

    /// Notes the serial that a primary has.
    fn set_primary_serial(&self, serial: u32) {
        self.primary_serial.store(u64::from(serial) << 1 | 1, Ordering::Relaxed);
    }

    /// The last serial that a primary had.
    pub(super) fn primary_serial(&self) -> Option<u32> {
        let noted = self.primary_serial.load(Ordering::Relaxed);
        (noted & 1 == 1).then_some((noted >> 1) as u32)
    }

    /// Notes whether what came is being judged.
    pub(super) fn set_verifying(&self, is_verifying: bool) {
        self.is_verifying.store(is_verifying, Ordering::Relaxed);
    }

    /// Whether what came is being judged.
    pub(super) fn is_verifying(&self) -> bool {
        self.is_verifying.load(Ordering::Relaxed)
    }

    /// Records and octets.
    pub(super) fn seen(&self) -> (u64, u64) {
        (self.records.load(Ordering::Relaxed), self.octets.load(Ordering::Relaxed))
    }
}

/// What came of it.
pub(super) struct Fetched {
    /// The new version; `None` where ours is the current one.
    pub(super) version: Option<Version>,
    /// The SOA that is current now.
    pub(super) soa: Soa,
    /// In how many seconds the primary's own version expires.
    pub(super) expire: Option<u32>,
    /// Which primary it was.
    pub(super) primary: usize,
    /// What was odd at others before, or at this one.
    pub(super) troubles: Vec<String>,
}

/// A version that came.
pub(super) struct Version {
    /// It.
    pub(super) zone: Arc<Zone>,
    /// The steps that lead to it from ours.
    pub(super) changes: Vec<Arc<Change>>,
    /// Whether it came whole.
    pub(super) is_whole: bool,
    /// What is odd about it, as people read it.
    pub(super) faults: String,
    /// Warnings among that.
    pub(super) warning_count: usize,
    /// What came, for the log.
    pub(super) records: u64,
    /// Octets of its messages.
    pub(super) octets: u64,
    /// How long it took.
    pub(super) time: Duration,
}

/// Why a primary gave nothing.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    /// It takes no connection.
    #[error("can't connect: {0}")]
    Connect(io::Error),
    /// TLS was not set up.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// It closed the connection and said nothing.
    #[error("it closed the connection without an answer")]
    Closed,
    /// The same over TLS, where that may mean something.
    #[error("it closed the connection without an answer: {0}")]
    ClosedTls(String),
    /// It was silent for [`SILENCE_MAX`].
    #[error("nothing came for {SILENCE_MAX:?}")]
    Silent(#[from] Elapsed),
    /// The transfer took longer than it may.
    #[error("the transfer takes longer than {0:?} (transfer-time-max)")]
    TooLong(Duration),
    /// What it sent is of no use.
    #[error("bad transfer: {error} after {records} records, {octets} octets")]
    Bad { error: TransferError, records: u64, octets: u64 },
    /// What it sent makes no version.
    #[error("bad changes: {0}")]
    Apply(#[from] ApplyError),
    /// It is not what its ZONEMD says.
    #[error("bad transfer: {0}")]
    Digest(String),
    /// The zone that came has errors.
    #[error("the zone that came has errors:\n{0}")]
    Faulty(String),
}

impl Version {
    /// What is to be made known of it.
    pub(super) fn arrival(&self, expiry: &Arc<Expiry>) -> Arrival {
        Arrival::Version {
            zone: Arc::clone(&self.zone),
            changes: self.changes.clone(),
            faults: self.faults.clone(),
            warning_count: self.warning_count,
            expiry: Arc::clone(expiry),
        }
    }
}

impl FetchError {
    /// Whether the whole zone may come where changes did not (RFC 1995 §4): not where the primary can't be reached, the
    /// key is wrong or time has run out.
    fn may_come_whole(&self) -> bool {
        match self {
            Self::Bad { error, .. } => !matches!(error, TransferError::Signature(_) | TransferError::Older(_)),
            Self::Io(_)
            | Self::Closed
            | Self::ClosedTls(_)
            | Self::Silent(_)
            | Self::Apply(_)
            | Self::Digest(_)
            | Self::Faulty(_) => true,
            Self::Connect(_) | Self::Tls(_) | Self::TooLong(_) => false,
        }
    }
}

/// Asks one primary after the other until one gives what is current.
///
/// # Errors
/// What was wrong with each.
pub(super) async fn fetch(order: Order) -> Result<Fetched, String> {
    let count = order.settings.primaries.len();
    let mut troubles = Vec::new();
    for index in (0..count).map(|turn| (order.first + turn) % count) {
        let Some(peer) = order.settings.primaries.get(index) else { continue };
        let base = order.base.as_ref().filter(|_| !order.is_whole);
        let mut fetched = fetch_from(&order, peer, base).await;
        if let Err(error) = &fetched
            && base.is_some()
            && error.may_come_whole()
        {
            troubles.push(format!("{}: {error}; the whole zone is asked for", peer.address));
            fetched = fetch_from(&order, peer, None).await;
        }
        match fetched {
            Ok(fetched) => return Ok(Fetched { primary: index, troubles, ..fetched }),
            Err(error) => troubles.push(format!("{}: {error}", peer.address)),
        }
    }
    Err(troubles.join("; "))
}

/// Asks one primary for changes of `base`, or for the whole zone.
async fn fetch_from(order: &Order, peer: &Peer, base: Option<&Arc<Zone>>) -> Result<Fetched, FetchError> {
    let limits = order.settings.limits;
    let whole = timeout(limits.time_max, receive(order, peer, base));
    let (incoming, start) = whole.await.map_err(|_| FetchError::TooLong(limits.time_max))??;
    let (records, octets, expire) = (incoming.records(), incoming.octets(), incoming.expire());
    let bad = |error| FetchError::Bad { error, records, octets };
    let (primary_serial, foreign) = (incoming.primary_serial(), incoming.foreign());
    let received = incoming.finish().map_err(bad)?;
    if let (Some(serial), Some(base)) = (primary_serial, &order.base)
        && is_serial_before(serial, base.serial())
        && !order.is_whole
    {
        return Err(bad(TransferError::Older(serial)));
    }
    let mut troubles = Vec::new();
    if let Some(first) = foreign.first {
        let what =
            format!("{}: {} records outside of the zone are dropped, at {first} first", peer.address, foreign.count);
        troubles.push(what);
    }
    let fetched = |version, soa| Fetched { version, soa, expire, primary: 0, troubles };
    match (received, base) {
        (Received::Current, Some(base)) => Ok(fetched(None, Soa::of(base))),
        (Received::Current, None) => Err(bad(TransferError::Unfinished)),
        (received, base) => {
            let (order, base) = (order.clone(), base.cloned());
            let made = tokio::task::spawn_blocking(move || make(&order, base.as_deref(), received)).await;
            let mut version = made.map_err(io::Error::other)??;
            (version.records, version.octets, version.time) = (records, octets, start.elapsed());
            let soa = Soa::of(&version.zone);
            Ok(fetched(Some(version), soa))
        }
    }
}

/// Asks, and takes messages until the last.
async fn receive(order: &Order, peer: &Peer, base: Option<&Arc<Zone>>) -> Result<(Incoming, Instant), FetchError> {
    let start = Instant::now();
    let connected = timeout(SILENCE_MAX, TcpStream::connect(peer.address)).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(FetchError::Connect)?;
    let incoming = match &peer.tls {
        None => converse(order, peer, base, stream).await,
        Some(tls) => {
            let session = timeout(SILENCE_MAX, over_tls::begin(tls, peer.address.ip(), stream)).await?;
            let conversed = converse(order, peer, base, session.map_err(FetchError::Tls)?).await;
            // What the primary says against our certificate comes behind its own part of the handshake.
            conversed.map_err(|error| match error {
                FetchError::Io(error) if over_tls::is_of_tls(&error) => {
                    FetchError::Tls(over_tls::reason(&error, tls.name()))
                }
                FetchError::Closed => FetchError::ClosedTls(over_tls::closed(tls)),
                error => error,
            })
        }
    };
    incoming.map(|incoming| (incoming, start))
}

/// Asks over a connection, and takes messages until the last.
async fn converse(
    order: &Order,
    peer: &Peer,
    base: Option<&Arc<Zone>>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<Incoming, FetchError> {
    let id = getrandom::u32().map_err(io::Error::other)? as u16;
    let mut signer = peer.key.clone().map(Signer::of_request);
    let soa = base.map(|base| Soa::of(base));
    let request = soa.as_ref().map_or(Request::Whole, Request::Changes);
    let message = write_request(request, order.name.as_ref(), id, signer.as_mut(), unix_now().as_secs());
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(&message);
    timeout(SILENCE_MAX, async {
        stream.write_all(&framed).await?;
        stream.flush().await
    })
    .await??;
    order.progress.set(0, 0);
    let mut incoming = Incoming::new(
        order.name.as_ref(),
        id,
        soa.map(|soa| soa.serial()),
        order.settings.limits,
        signer.as_ref().map(Verifier::of_reply),
        crate::zonebuild::Builder::new(order.seed),
    );
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let mut length = [0; 2];
        timeout(SILENCE_MAX, stream.read_exact(&mut length)).await?.map_err(|error| cut(error, &incoming))?;
        let message = &mut buffer[..usize::from(u16::from_be_bytes(length))];
        timeout(SILENCE_MAX, stream.read_exact(message)).await?.map_err(|error| cut(error, &incoming))?;
        let taken = incoming.take(message, unix_now().as_secs());
        let (records, octets) = (incoming.records(), incoming.octets());
        order.progress.set(records, octets);
        if let Some(serial) = incoming.primary_serial() {
            order.progress.set_primary_serial(serial);
        }
        if taken.map_err(|error| FetchError::Bad { error, records, octets })? {
            return Ok(incoming);
        }
    }
}

/// What a connection that ended means: the end of the transfer is missing.
fn cut(error: io::Error, incoming: &Incoming) -> FetchError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if incoming.octets() > 0 => {
            let (records, octets) = (incoming.records(), incoming.octets());
            FetchError::Bad { error: TransferError::Unfinished, records, octets }
        }
        io::ErrorKind::UnexpectedEof => FetchError::Closed,
        _ => error.into(),
    }
}

/// Makes a version of what came. What it costs follows what came.
fn make(order: &Order, base: Option<&Zone>, received: Received) -> Result<Version, FetchError> {
    let mut faults = Faults::new(false).for_peers(!order.settings.allow_transfer.is_empty());
    let now = unix_now().as_secs() as u32; // Modulo 2^32, as signatures count.
    let is_whole = matches!(received, Received::Whole { .. });
    let (zone, changes) = match (received, base) {
        (Received::Whole { builder, .. }, _) => {
            let plan = Plan { name: order.name.as_ref(), previous: order.base.as_deref(), now };
            let zone = builder.finish(plan, &*order.pool, &mut faults);
            let zone = zone.ok_or_else(|| FetchError::Faulty(shown(&faults)))?;
            // Who has our version gets what changed, as from a primary that reads a file again.
            let changes = order.base.as_deref().filter(|base| is_serial_before(base.serial(), zone.serial()));
            let changes = changes.map(|base| Change::between(base, &zone));
            (zone, changes.into_iter().collect())
        }
        (Received::Changes(changes), Some(base)) => match apply(base, &changes, now, &*order.pool, &mut faults) {
            Ok(zone) => (zone, changes),
            Err(ApplyError::Faulty) => return Err(FetchError::Faulty(shown(&faults))),
            Err(error) => return Err(error.into()),
        },
        (Received::Changes(_) | Received::Current, _) => return Err(ApplyError::OtherBase.into()),
    };
    let mut found = Faults::new(false);
    check_digest(&zone, order.settings.zonemd, &mut found);
    if found.error_count() > 0 {
        let errors = found.iter().filter(|fault| fault.severity == Severity::Error);
        return Err(FetchError::Digest(errors.map(|fault| fault.kind.to_string()).collect::<Vec<_>>().join(", ")));
    }
    faults.join([found]);
    Ok(Version {
        zone: Arc::new(zone),
        changes: changes.into_iter().map(Arc::new).collect(),
        is_whole,
        faults: shown(&faults),
        warning_count: faults.warning_count(),
        records: 0,
        octets: 0,
        time: Duration::ZERO,
    })
}

/// Faults as people read them; empty where there is none.
fn shown(faults: &Faults) -> String {
    let mut text = String::new();
    if faults.error_count() + faults.warning_count() > 0 {
        report::write(faults, &Sources::default(), Style::Plain, &mut text);
    }
    text
}
