//! The rounds of a companion: each address is probed at the same moments, by a thread of its own, so that one that
//! hangs holds up no other.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::{Fault, Probe, ask};
use crate::policy::{Observation, Proof};

/// How much later than its end a round may be noticed before nobody is to blame who did not answer in it.
const GAP: Duration = Duration::from_millis(50);

/// What is probed, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProberSettings {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub addresses: Vec<IpAddr>,
    /// What proves that it lives.
    pub probe: Probe,
    /// From one round to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Called after each round with its end, since the origin, and what was seen of each address.
pub type OnRound = Box<dyn FnMut(Duration, &[Observation]) + Send>;

/// What was wrong with the last probe of each address, in a sentence; `None` where it was answered.
pub type Report = Vec<Option<String>>;

/// A companion that is probed. Dropping it ends the rounds; a probe under way ends by itself.
#[derive(Debug)]
pub struct Prober {
    is_ending: Arc<AtomicBool>,
    report: Arc<ArcSwap<Report>>,
    thread: Option<JoinHandle<()>>,
}

/// What an asker is told, and what it says: the number of the round, and what came of it.
type Answer = (u64, usize, Result<(), Fault>);

impl Prober {
    /// Starts the threads. Moments count from `origin`; each proof is noted in `proof`.
    ///
    /// # Errors
    /// The system has no threads for it.
    pub fn start(settings: ProberSettings, proof: Arc<Proof>, origin: Instant, on_round: OnRound) -> io::Result<Self> {
        let (is_ending, report) = (Arc::new(AtomicBool::new(false)), Arc::new(ArcSwap::default()));
        // One answer of each asker can wait, so that none ever waits itself.
        let (answers, answered) = sync_channel(settings.addresses.len() * 2);
        let askers = (0..settings.addresses.len()).map(|index| asker(&settings, index, answers.clone()));
        let askers = askers.collect::<io::Result<Vec<_>>>()?;
        let rounds = Rounds {
            settings: settings.clone(),
            askers,
            answered,
            proof,
            origin,
            on_round,
            is_ending: Arc::clone(&is_ending),
            report: Arc::clone(&report),
        };
        let thread = thread::Builder::new().name(thread_name("rounds", &settings.name)).spawn(|| rounds.run())?;
        Ok(Self { is_ending, report, thread: Some(thread) })
    }

    /// Returns what was wrong with the last probes.
    #[must_use]
    pub fn report(&self) -> Arc<Report> {
        self.report.load_full()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there was logged.
            let _ = thread.join();
        }
    }
}

/// The name of a thread: 15 octets are shown of it.
fn thread_name(what: &str, companion: &str) -> String {
    format!("{what}-{companion}")
}

/// Starts the thread that probes one address when it is told the number of a round. It ends when nobody tells it any
/// more.
fn asker(settings: &ProberSettings, index: usize, answers: SyncSender<Answer>) -> io::Result<SyncSender<u64>> {
    let (go, told) = sync_channel::<u64>(1);
    let (probe, address, timeout) = (settings.probe.clone(), settings.addresses[index], settings.timeout);
    thread::Builder::new().name(thread_name("ask", &settings.name)).spawn(move || {
        for round in told {
            let result = ask(&probe, address, timeout);
            if answers.send((round, index, result)).is_err() {
                return;
            }
        }
    })?;
    Ok(go)
}

/// The thread of the rounds.
struct Rounds {
    settings: ProberSettings,
    askers: Vec<SyncSender<u64>>,
    answered: Receiver<Answer>,
    proof: Arc<Proof>,
    origin: Instant,
    on_round: OnRound,
    is_ending: Arc<AtomicBool>,
    report: Arc<ArcSwap<Report>>,
}

impl Rounds {
    /// Holds rounds until the end.
    fn run(mut self) {
        let mut round = 0;
        while !self.is_ending.load(Ordering::Acquire) {
            let began = Instant::now();
            round += 1;
            let results = self.round(round, began);
            let is_overslept = began.elapsed() > self.settings.timeout + GAP;
            let sent_at = began.saturating_duration_since(self.origin);
            let seen: Vec<Observation> = results.iter().map(|result| observation(result, is_overslept)).collect();
            for (index, _) in results.iter().enumerate().filter(|(_, result)| result.is_ok()) {
                self.proof.note(index, sent_at);
            }
            let faults = results.into_iter().map(|result| result.err().map(|fault| fault.to_string()));
            self.report.store(Arc::new(faults.collect()));
            (self.on_round)(self.origin.elapsed(), &seen);
            thread::sleep(self.settings.interval.saturating_sub(began.elapsed()));
        }
    }

    /// Has each address probed, and waits for the answers, at most for the timeout.
    fn round(&self, round: u64, began: Instant) -> Vec<Result<(), Fault>> {
        let mut missing = 0;
        for asker in &self.askers {
            // One that hangs in its last probe is told nothing, and says nothing.
            missing += usize::from(asker.try_send(round).is_ok());
        }
        let mut results: Vec<_> = self.askers.iter().map(|_| Err(Fault::Late)).collect();
        while missing > 0 {
            let left = (began + self.settings.timeout).saturating_duration_since(Instant::now());
            match self.answered.recv_timeout(left) {
                Ok((of, index, result)) if of == round => {
                    (results[index], missing) = (result, missing - 1);
                }
                // Too late for its own round.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        results
    }
}

/// What a result is to the policy.
fn observation(result: &Result<(), Fault>, is_overslept: bool) -> Observation {
    let (proven, late, wrong) = match result {
        Ok(()) => (1, 0, 0),
        Err(fault) if fault.is_wrong() => (0, 0, 1),
        Err(_) => (0, 1, 0),
    };
    Observation { proven, late, wrong, is_judged: result.is_ok() || !is_overslept, ..Observation::NOTHING }
}
