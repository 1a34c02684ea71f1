//! Small random numbers that spread in time what many nodes would otherwise do at once.

use core::time::Duration;

/// A deterministic generator (SplitMix64: Steele, Lea and Flood 2014). Fit to spread nodes, not to keep secrets.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Starts from a seed, which should differ from node to node and from address to address.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a duration from zero up to, but not including, `limit`; zero for a limit of zero.
    pub fn below(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.scale(nanos))
    }

    /// Returns a number from 0 to `most`, both included.
    pub fn up_to(&mut self, most: u32) -> u32 {
        u32::try_from(self.scale(u64::from(most) + 1)).unwrap_or(most)
    }

    /// Returns a number below `limit`, or 0 for a limit of 0.
    fn scale(&mut self, limit: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(limit);
        (product >> 64) as u64 // Below `limit`, so nothing is cut off.
    }

    /// The next 64 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_published_numbers() {
        // The first outputs of the reference implementation for the seed 1234567.
        let mut jitter = Jitter::new(1_234_567);
        let got = [jitter.next(), jitter.next(), jitter.next()];
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn limits_hold_and_both_ends_are_reached() {
        let mut jitter = Jitter::new(7);
        let drawn: Vec<u32> = (0..200).map(|_| jitter.up_to(3)).collect();
        assert!((0..=3).all(|wanted| drawn.contains(&wanted)) && drawn.iter().all(|drawn| *drawn <= 3));
        assert!((0..200).all(|_| jitter.below(Duration::from_nanos(3)) < Duration::from_nanos(3)));
        assert_eq!(jitter.below(Duration::ZERO), Duration::ZERO);
        assert_eq!(jitter.up_to(0), 0);
    }
}
