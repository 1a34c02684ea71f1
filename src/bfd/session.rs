//! The machine of one session in asynchronous mode: what comes from the other side, proofs and time in, packets and
//! changes of state out (RFC 5880 §6.8, RFC 5881, RFC 5883).
//!
//! Knows no socket: who drives it finds the session of a datagram, and checks its TTL. Where we leave the letter of the
//! RFC: a session without proof is silent whatever it would have to say, and one that is ended says nothing, where
//! §6.8.16 would send AdminDown: routers take both for a fault of the link, and silence needs no code of ours to run.

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use thiserror::Error;

use super::{Diagnostic, Malformed, PACKET_BYTES, Packet, State};
use crate::policy::Jitter;

/// The shortest interval between packets, both ways.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// The longest.
pub const INTERVAL_MAX: Duration = Duration::from_secs(10);
/// The shortest interval between packets before a session is up (RFC 5880 §6.8.3).
pub const SLOW_INTERVAL: Duration = Duration::from_secs(1);

/// The port over a single hop (RFC 5881 §4).
const PORT_SINGLE_HOP: u16 = 3784;
/// The port over several (RFC 5883 §5).
const PORT_MULTIHOP: u16 = 4784;
/// What the other side can receive before it has said so (RFC 5880 §6.8.1: bfd.RemoteMinRxInterval).
const REQUIRED_MIN_RX_UNKNOWN_US: u32 = 1;

/// What the operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// From one packet to the next once the session is up. Kept between [`INTERVAL_MIN`] and [`INTERVAL_MAX`].
    pub interval: Duration,
    /// After how many packets that don't come the other side gives us up.
    pub multiplier: NonZeroU8,
    /// The shortest interval at which the other side may send. Kept between the same bounds.
    pub min_rx: Duration,
    /// Whether routers may stand in between.
    pub is_multihop: bool,
}

impl SessionSettings {
    /// Returns the UDP port that both sides receive on.
    #[must_use]
    pub fn port(&self) -> u16 {
        if self.is_multihop { PORT_MULTIHOP } else { PORT_SINGLE_HOP }
    }

    /// Returns the lowest TTL or hop limit of a packet that may be received: over a single hop that with which all are
    /// sent, so that nobody from afar can have sent it (RFC 5881 §5).
    #[must_use]
    pub fn ttl_min(&self) -> u8 {
        if self.is_multihop { 1 } else { u8::MAX }
    }

    /// The settings within their bounds.
    fn bounded(self) -> Self {
        let bounded = |interval: Duration| interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        Self { interval: bounded(self.interval), min_rx: bounded(self.min_rx), ..self }
    }
}

/// What happens to a session. What has arrived is handed over before a [`Tick`](Self::Tick), or a session is given up
/// whose packets wait to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Time went on.
    Tick,
    /// The payload of a datagram that is for this session: by its discriminator, or else by its addresses.
    Received(&'a [u8]),
    /// Whether there is a proof of the service that is young enough. Holds until the next one: said again before each
    /// other event.
    Proven(bool),
    /// The session is wanted.
    Begin,
    /// It is not wanted any more: silence.
    End,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this, with a TTL of 255.
    Send([u8; PACKET_BYTES]),
    /// The state is another.
    Changed {
        /// What it was.
        from: State,
        /// What it is.
        to: State,
        /// Why.
        diagnostic: Diagnostic,
    },
}

/// Why what came did not count.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is no packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It names another session.
    #[error("it names a session that is not this one")]
    Stranger,
    /// The other side wants demand mode, in which it would no longer notice our silence.
    #[error("it asks for demand mode, which is not spoken")]
    Demand,
    /// The session is not wanted.
    #[error("the session has not begun")]
    AdminDown,
}

/// What a session shows to status and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What we call the session.
    pub local_discriminator: NonZeroU32,
    /// What the other side calls it, while it is heard.
    pub remote_discriminator: Option<NonZeroU32>,
    /// Why the state changed last.
    pub diagnostic: Diagnostic,
    /// When that was.
    pub since: Duration,
    /// What the other side said its state is.
    pub remote_state: State,
    /// What the other side said of its last change.
    pub remote_diagnostic: Diagnostic,
    /// From one of our packets to the next, before jitter; `None` where the other side wants none.
    pub transmit_interval: Option<Duration>,
    /// From one packet of the other side to the next, at most.
    pub receive_interval: Duration,
    /// How long the other side may be silent until we give it up; `None` while it is not heard.
    pub detection_time: Option<Duration>,
    /// How long we may be silent until the other side gives us up; `None` while it is not heard or wants no packets.
    pub remote_detection_time: Option<Duration>,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were due and not sent for want of a proof.
    pub withheld: u64,
    /// Packets that counted.
    pub received: u64,
    /// What came and did not count.
    pub refused: u64,
    /// Why the last of those did not.
    pub last_refusal: Option<Refusal>,
}

/// One session. Says what is to be sent and does nothing itself.
///
/// Its owner says before each event whether there is a proof, gives it what arrives and a tick at
/// [`deadline`](Self::deadline). `now` never goes back.
#[derive(Clone, Debug)]
pub struct Session {
    settings: SessionSettings,
    discriminator: NonZeroU32,
    jitter: Jitter,
    state: State,
    diagnostic: Diagnostic,
    /// When the state began.
    since: Duration,
    remote: Remote,
    /// Whether packets may leave.
    is_proven: bool,
    /// Whether a packet was due that could not leave: it does with the next proof.
    is_owed: bool,
    /// Whether packets ask for a Final, because an interval of ours has changed (§6.5).
    is_polling: bool,
    /// Whether the next packet is the Final that the other side asked for.
    is_final_due: bool,
    /// When the next packet is due.
    send_at: Option<Duration>,
    /// When the other side is given up if nothing comes; `None` while it is not heard.
    detect_at: Option<Duration>,
    counts: Counts,
}

/// What the other side said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remote {
    discriminator: Option<NonZeroU32>,
    state: State,
    diagnostic: Diagnostic,
    multiplier: NonZeroU8,
    desired_min_tx_us: u32,
    required_min_rx_us: u32,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    sent: u64,
    withheld: u64,
    received: u64,
    refused: u64,
    last_refusal: Option<Refusal>,
}

impl Session {
    /// Makes a session that is not wanted yet. `discriminator` is one that no other session has here, and had better be
    /// another after a restart; `seed` spreads packets in time.
    #[must_use]
    pub fn new(now: Duration, settings: SessionSettings, discriminator: NonZeroU32, seed: u64) -> Self {
        Self {
            settings: settings.bounded(),
            discriminator,
            jitter: Jitter::new(seed),
            state: State::AdminDown,
            diagnostic: Diagnostic::NONE,
            since: now,
            remote: Remote::UNKNOWN,
            is_proven: false,
            is_owed: false,
            is_polling: false,
            is_final_due: false,
            send_at: None,
            detect_at: None,
            counts: Counts::default(),
        }
    }

    /// Takes an event; adds what is to be done to `out`: at most two changes of state and one packet.
    pub fn handle(&mut self, now: Duration, event: Event<'_>, out: &mut Vec<Action>) {
        match event {
            Event::Tick => self.detect(now, out),
            Event::Received(octets) => self.receive(now, octets, out),
            Event::Proven(is_proven) => {
                self.is_proven = is_proven;
                if is_proven && self.is_owed {
                    self.send_at = Some(now);
                }
            }
            Event::Begin if self.state == State::AdminDown => self.enter(now, State::Down, Diagnostic::NONE, out),
            Event::End if self.state != State::AdminDown => {
                self.enter(now, State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN, out);
            }
            Event::Begin | Event::End => {}
        }
        self.transmit(now, out);
    }

    /// Returns when a [`Tick`](Event::Tick) has something to do; `None` while the session is not wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.send_at.into_iter().chain(self.detect_at).min()
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns what status and metrics show.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let transmit_interval = self.transmit_interval();
        let is_heard = self.detect_at.is_some();
        let remote_detection_time =
            transmit_interval.filter(|_| is_heard).map(|interval| interval * u32::from(self.settings.multiplier.get()));
        Facts {
            local_discriminator: self.discriminator,
            remote_discriminator: self.remote.discriminator,
            diagnostic: self.diagnostic,
            since: self.since,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            transmit_interval,
            receive_interval: self.receive_interval(),
            detection_time: is_heard.then(|| self.detection_time()),
            remote_detection_time,
            sent: self.counts.sent,
            withheld: self.counts.withheld,
            received: self.counts.received,
            refused: self.counts.refused,
            last_refusal: self.counts.last_refusal,
        }
    }

    /// Takes what came in.
    fn receive(&mut self, now: Duration, octets: &[u8], out: &mut Vec<Action>) {
        match self.admit(octets) {
            Ok(packet) => {
                self.counts.received += 1;
                self.take(now, &packet, out);
            }
            Err(refusal) => {
                self.counts.refused += 1;
                self.counts.last_refusal = Some(refusal);
            }
        }
    }

    /// Reads a packet and says whether it counts (§6.8.6).
    fn admit(&self, octets: &[u8]) -> Result<Packet, Refusal> {
        let packet = Packet::read(octets)?;
        if packet.your_discriminator.is_some_and(|yours| yours != self.discriminator) {
            return Err(Refusal::Stranger);
        }
        if packet.is_demand {
            return Err(Refusal::Demand);
        }
        if self.state == State::AdminDown {
            return Err(Refusal::AdminDown);
        }
        Ok(packet)
    }

    /// Takes a packet that counts.
    fn take(&mut self, now: Duration, packet: &Packet, out: &mut Vec<Action>) {
        let interval_before = self.transmit_interval();
        self.remote = Remote::of(packet);
        self.detect_at = Some(now.saturating_add(self.detection_time()));
        self.is_polling &= !packet.is_final;
        self.is_final_due |= packet.is_poll;
        if self.transmit_interval() != interval_before {
            let due_before = self.send_at;
            self.schedule(now);
            // A longer interval begins with the next packet, a shorter one at once.
            self.send_at = self.send_at.map(|at| due_before.map_or(at, |before| before.min(at)));
        }
        if self.is_final_due {
            self.send_at = Some(now);
        }
        let (to, diagnostic) = next_state(self.state, packet.state);
        if to != self.state {
            self.enter(now, to, diagnostic, out);
        }
    }

    /// Gives up the other side if it was silent for too long (§6.8.4), and forgets what it said (§6.8.1).
    fn detect(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.detect_at.is_none_or(|at| now < at) {
            return;
        }
        (self.detect_at, self.remote, self.is_final_due) = (None, Remote::UNKNOWN, false);
        match self.state {
            State::Init | State::Up => self.enter(now, State::Down, Diagnostic::DETECTION_TIME_EXPIRED, out),
            // Who wanted no packets may be somebody else by now.
            State::Down => self.send_at = self.send_at.or(Some(now)),
            State::AdminDown => {}
        }
    }

    /// Goes to another state. What is new in it is said at once (§6.8.7).
    fn enter(&mut self, now: Duration, to: State, diagnostic: Diagnostic, out: &mut Vec<Action>) {
        let (from, desired_before) = (self.state, self.desired_min_tx());
        (self.state, self.diagnostic, self.since) = (to, diagnostic, now);
        match to {
            State::AdminDown => {
                (self.remote, self.send_at, self.detect_at) = (Remote::UNKNOWN, None, None);
                (self.is_owed, self.is_polling, self.is_final_due) = (false, false, false);
            }
            State::Down | State::Init | State::Up => {
                self.is_polling |= self.desired_min_tx() != desired_before;
                self.send_at = Some(now);
            }
        }
        out.push(Action::Changed { from, to, diagnostic });
    }

    /// Sends the packet that is due, once however late it is, or keeps it back for want of a proof.
    fn transmit(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.send_at.is_none_or(|at| now < at) {
            return;
        }
        self.schedule(now);
        self.is_owed = !self.is_proven;
        if self.is_owed {
            self.counts.withheld += 1;
            return;
        }
        self.counts.sent += 1;
        out.push(Action::Send(self.packet().write()));
        self.is_final_due = false;
    }

    /// The packet to be sent now.
    fn packet(&self) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            is_poll: self.is_polling && !self.is_final_due,
            is_final: self.is_final_due,
            is_independent: false,
            is_demand: false,
            multiplier: self.settings.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx_us: microseconds(self.desired_min_tx()),
            required_min_rx_us: microseconds(self.settings.min_rx),
            required_min_echo_rx_us: 0,
        }
    }

    /// Says when the next packet is due: after 75 to 100 % of the interval, or to 90 % where a single lost packet takes
    /// the session down (§6.8.7).
    fn schedule(&mut self, now: Duration) {
        let spread = if self.settings.multiplier.get() == 1 { 15 } else { 25 };
        self.send_at = self.transmit_interval().map(|interval| {
            let least = interval / 100 * 75;
            now.saturating_add(least).saturating_add(self.jitter.below(interval / 100 * spread))
        });
    }

    /// The shortest interval at which we would like to send (bfd.DesiredMinTxInterval, §6.8.3).
    fn desired_min_tx(&self) -> Duration {
        match self.state {
            State::Up => self.settings.interval,
            State::AdminDown | State::Down | State::Init => self.settings.interval.max(SLOW_INTERVAL),
        }
    }

    /// From one of our packets to the next, before jitter; `None` where the other side wants none (§6.8.2, §6.8.7).
    fn transmit_interval(&self) -> Option<Duration> {
        let required = self.remote.required_min_rx_us;
        (required != 0).then(|| self.desired_min_tx().max(Duration::from_micros(required.into())))
    }

    /// From one packet of the other side to the next, at most.
    fn receive_interval(&self) -> Duration {
        self.settings.min_rx.max(Duration::from_micros(self.remote.desired_min_tx_us.into()))
    }

    /// How long the other side may be silent (§6.8.4).
    fn detection_time(&self) -> Duration {
        self.receive_interval() * u32::from(self.remote.multiplier.get())
    }
}

/// What a state becomes when the other side says that it is in another, and why (§6.8.6).
fn next_state(own: State, remote: State) -> (State, Diagnostic) {
    match (own, remote) {
        (State::AdminDown, State::AdminDown | State::Down | State::Init | State::Up) => {
            (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN)
        }
        (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
            (State::Down, Diagnostic::NEIGHBOR_SIGNALED_DOWN)
        }
        (State::Down, State::AdminDown | State::Up) => (State::Down, Diagnostic::NONE),
        (State::Down | State::Init, State::Down) => (State::Init, Diagnostic::NONE),
        (State::Down | State::Init | State::Up, State::Init) | (State::Init | State::Up, State::Up) => {
            (State::Up, Diagnostic::NONE)
        }
    }
}

/// A duration as packets have it. The longest interval fits.
fn microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

impl Remote {
    /// Nothing was heard.
    const UNKNOWN: Self = Self {
        discriminator: None,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        multiplier: NonZeroU8::MIN,
        desired_min_tx_us: 0,
        required_min_rx_us: REQUIRED_MIN_RX_UNKNOWN_US,
    };

    /// What a packet says.
    fn of(packet: &Packet) -> Self {
        Self {
            discriminator: Some(packet.my_discriminator),
            state: packet.state,
            diagnostic: packet.diagnostic,
            multiplier: packet.multiplier,
            desired_min_tx_us: packet.desired_min_tx_us,
            required_min_rx_us: packet.required_min_rx_us,
        }
    }
}
