//! How much one zone may take: bounds for all its files together, and what was used of them.
//!
//! A text of few octets can ask for very much, by `$GENERATE` or by a file that is included again and again; each way
//! to do so has a bound of its own, so that a big zone that is really written out is held up by none of them.

use crate::fault::{Bound, FaultKind};

/// Octets that `$GENERATE` may make for each step that it may take: what names and data of most records are.
const GENERATED_STEP_BYTES: u64 = 64;
/// The most octets of files that are read a second time or more often because they are included again.
pub const REPEATED_OCTETS_MAX: u64 = 64 << 20;

/// How much one zone may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of all its files.
    pub octets_max: u64,
    /// Records, those that `$GENERATE` makes and repetitions included.
    pub records_max: u64,
    /// Records that its `$GENERATE` directives make together. They may have 64 octets each on average.
    pub generate_steps_max: u64,
}

impl Limits {
    /// 64 GiB, a thousand million records, and the addresses of an IPv4 /12: the biggest zones there are fit twice.
    pub const DEFAULT: Self = Self { octets_max: 64 << 30, records_max: 1_000_000_000, generate_steps_max: 1 << 20 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is used of the limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) limits: Limits,
    used: [u64; Bound::COUNT],
}

impl Budget {
    /// Nothing is used.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, used: [0; Bound::COUNT] }
    }

    /// Takes so much; the error says which bound is too small for it.
    pub(super) fn take(&mut self, bound: Bound, count: u64) -> Result<(), Box<FaultKind>> {
        let (max, used) = (self.max(bound), &mut self.used[bound as usize]);
        *used = used.saturating_add(count);
        if *used > max { Err(FaultKind::ZoneTooLarge { bound, max }.into()) } else { Ok(()) }
    }

    /// Takes what a part has used, unless that is too much.
    pub(super) fn take_part(&mut self, part: &Self) -> bool {
        let sum = std::array::from_fn(|index| self.used[index].saturating_add(part.used[index]));
        let fits = Bound::ALL.into_iter().zip(sum).all(|(bound, used)| used <= self.max(bound));
        if fits {
            self.used = sum;
        }
        fits
    }

    /// The most that may be used.
    fn max(&self, bound: Bound) -> u64 {
        match bound {
            Bound::Octets => self.limits.octets_max,
            Bound::RepeatedOctets => REPEATED_OCTETS_MAX,
            Bound::Records => self.limits.records_max,
            Bound::GenerateSteps => self.limits.generate_steps_max,
            Bound::GenerateOctets => self.limits.generate_steps_max.saturating_mul(GENERATED_STEP_BYTES),
        }
    }
}
