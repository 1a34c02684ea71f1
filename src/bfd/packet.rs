//! Control packets: octets ↔ values, with the checks that need no session (RFC 5880 §4.1, §6.8.6).

use core::fmt;
use core::num::{NonZeroU8, NonZeroU32};

use thiserror::Error;

/// Octets of a packet without authentication: its mandatory section.
pub const PACKET_BYTES: usize = 24;

/// The one version there is.
const VERSION: u8 = 1;
/// The bits of the second octet below the state.
const POLL: u8 = 0x20;
/// Final.
const FINAL: u8 = 0x10;
/// Control Plane Independent.
const INDEPENDENT: u8 = 0x08;
/// Authentication Present.
const AUTHENTICATED: u8 = 0x04;
/// Demand.
const DEMAND: u8 = 0x02;
/// Multipoint, which is always clear.
const MULTIPOINT: u8 = 0x01;

/// A control packet. Each value of it can be written and is read back as it is.
///
/// ```text
///    0                   1                   2                   3
///    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///   |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
///   |                       My Discriminator                        |
///   |                      Your Discriminator                       |
///   |                    Desired Min TX Interval                    |
///   |                   Required Min RX Interval                    |
///   |                 Required Min Echo RX Interval                 |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's session changed its state last.
    pub diagnostic: Diagnostic,
    /// The state of the sender's session.
    pub state: State,
    /// Whether the sender waits for a packet with `is_final`.
    pub is_poll: bool,
    /// Whether this answers a packet with `is_poll`.
    pub is_final: bool,
    /// Whether the sender's BFD goes on when its control plane ends.
    pub is_independent: bool,
    /// Whether the sender wants the other side to be silent (§6.6).
    pub is_demand: bool,
    /// After how many packets that don't come the sender is to be given up.
    pub multiplier: NonZeroU8,
    /// What the sender calls the session.
    pub my_discriminator: NonZeroU32,
    /// What the receiver calls it; `None` while the sender does not know.
    pub your_discriminator: Option<NonZeroU32>,
    /// The shortest interval at which the sender would like to send, in microseconds.
    pub desired_min_tx_us: u32,
    /// The shortest interval at which it can receive, in microseconds; 0: it wants no periodic packets.
    pub required_min_rx_us: u32,
    /// The shortest interval at which it can receive echoes, in microseconds; 0: it wants none.
    pub required_min_echo_rx_us: u32,
}

/// The state of a session (§4.1), in the order of its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Held down on purpose.
    #[default]
    AdminDown,
    /// The other side is not heard.
    Down,
    /// It is heard, and not known to hear us.
    Init,
    /// Both hear each other.
    Up,
}

/// Why a session changed its state last (§4.1): five bits, of which 9 to 31 mean nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Diagnostic(u8);

/// Why octets are no packet that a session may see (§6.8.6).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Octets are missing.
    #[error("it has fewer than {PACKET_BYTES} octets")]
    Short,
    /// The version is another.
    #[error("its version is not {VERSION}")]
    Version,
    /// The length field says less than a packet has, or more than has come.
    #[error("its length field is wrong")]
    Length,
    /// The detection multiplier is 0.
    #[error("its detection multiplier is 0")]
    Multiplier,
    /// The multipoint bit is set.
    #[error("its multipoint bit is set")]
    Multipoint,
    /// The sender has no discriminator.
    #[error("its own discriminator is 0")]
    Discriminator,
    /// The sender is beyond Down and names no session of the receiver.
    #[error("it names no session, though its state is neither Down nor AdminDown")]
    Unaddressed,
    /// It is authenticated, and no authentication was agreed on.
    #[error("it is authenticated, which was not agreed on")]
    Authenticated,
}

impl Packet {
    /// Reads the payload of a datagram. Octets behind the packet are ignored.
    ///
    /// # Errors
    /// The first check that fails, in the order of RFC 5880 §6.8.6.
    pub fn read(octets: &[u8]) -> Result<Self, Malformed> {
        let (mandatory, _) = octets.split_first_chunk::<PACKET_BYTES>().ok_or(Malformed::Short)?;
        let ([first, second, multiplier, length], words) = split(mandatory);
        let [my, your, desired_min_tx_us, required_min_rx_us, required_min_echo_rx_us] = words;
        if first >> 5 != VERSION {
            return Err(Malformed::Version);
        }
        if usize::from(length) < PACKET_BYTES || usize::from(length) > octets.len() {
            return Err(Malformed::Length);
        }
        let multiplier = NonZeroU8::new(multiplier).ok_or(Malformed::Multiplier)?;
        if second & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let my_discriminator = NonZeroU32::new(my).ok_or(Malformed::Discriminator)?;
        let your_discriminator = NonZeroU32::new(your);
        let state = State::from_bits(second >> 6);
        if your_discriminator.is_none() && matches!(state, State::Init | State::Up) {
            return Err(Malformed::Unaddressed);
        }
        if second & AUTHENTICATED != 0 {
            return Err(Malformed::Authenticated);
        }
        Ok(Self {
            diagnostic: Diagnostic(first & Diagnostic::MASK),
            state,
            is_poll: second & POLL != 0,
            is_final: second & FINAL != 0,
            is_independent: second & INDEPENDENT != 0,
            is_demand: second & DEMAND != 0,
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx_us,
            required_min_rx_us,
            required_min_echo_rx_us,
        })
    }

    /// Writes the packet.
    #[must_use]
    pub fn write(&self) -> [u8; PACKET_BYTES] {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = flag(self.is_poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.is_independent, INDEPENDENT)
            | flag(self.is_demand, DEMAND);
        let head = [
            VERSION << 5 | self.diagnostic.0,
            self.state.bits() << 6 | flags,
            self.multiplier.get(),
            PACKET_BYTES as u8,
        ];
        let words = [
            self.my_discriminator.get(),
            self.your_discriminator.map_or(0, NonZeroU32::get),
            self.desired_min_tx_us,
            self.required_min_rx_us,
            self.required_min_echo_rx_us,
        ];
        let mut octets = [0; PACKET_BYTES];
        let values = core::iter::once(head).chain(words.map(u32::to_be_bytes));
        octets.as_chunks_mut().0.iter_mut().zip(values).for_each(|(place, value)| *place = value);
        octets
    }
}

/// Parts the octets of a packet into the first four and five words.
fn split(octets: &[u8; PACKET_BYTES]) -> ([u8; 4], [u32; 5]) {
    let (chunks, _) = octets.as_chunks::<4>();
    let [head, words @ ..] = chunks else { unreachable!("24 octets are six words") };
    let mut numbers = [0; 5];
    numbers.iter_mut().zip(words).for_each(|(number, word)| *number = u32::from_be_bytes(*word));
    (*head, numbers)
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    /// The state with a value of two bits; the others of `bits` are ignored.
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    /// Its value.
    fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    /// Returns the state in one word, as logs, metrics and JSON have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AdminDown => "admin-down",
            Self::Down => "down",
            Self::Init => "init",
            Self::Up => "up",
        }
    }
}

impl Diagnostic {
    /// No diagnostic.
    pub const NONE: Self = Self(0);
    /// The other side was not heard in time.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// The other side said that its session is down.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// Taken down on purpose.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);

    /// The bits of the first octet that it has.
    const MASK: u8 = 0x1F;

    /// Returns its value.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            other => return write!(f, "diagnostic {other}"),
        })
    }
}
