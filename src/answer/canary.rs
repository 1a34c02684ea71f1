//! Who may probe the workers of this process, and how they know a probe (see [`probe`]).

use core::net::IpAddr;

use crate::wire::probe::{self, TOKEN_BYTES as PROBE_TOKEN_BYTES};

/// What a canary of this process looks like, and who may ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// A number that nobody outside can guess, new for each process.
    pub nonce: u64,
    /// The addresses that are answered; everybody else gets REFUSED, as for every name of class CH that is not known.
    pub sources: Vec<IpAddr>,
    /// Those of them that are nobody's but the prover's: what comes from there without the nonce is forged.
    pub reserved: Vec<IpAddr>,
}

/// What a datagram is, as far as probes go. `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A client's query.
    Client,
    /// A probe, with the token that is to stand behind the reply.
    Probe([u8; PROBE_TOKEN_BYTES]),
    /// It comes from where probes come from, and is none. It is not to be answered: the reply would go to the prover.
    Forged,
}

impl Canary {
    /// Says what a datagram is. A few comparisons.
    #[inline]
    #[must_use]
    pub fn claim(&self, query: &[u8], source: IpAddr) -> Claim {
        match probe::token(query, self.nonce) {
            Some(token) if self.sources.contains(&source) => Claim::Probe(*token),
            _ if self.reserved.contains(&source) => Claim::Forged,
            _ => Claim::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::probe::{Probe, Steer};

    #[test]
    fn only_who_bears_the_nonce_is_a_probe_and_who_else_comes_from_there_is_forged() {
        let [own, shared, other] = ["192.0.0.100", "127.0.0.1", "198.51.100.1"].map(|text| text.parse().expect("good"));
        let canary = Canary { nonce: 0x0102_0304_0506_0708, sources: vec![own, shared], reserved: vec![own] };
        let probe = |nonce| Probe::canary(Steer { nonce, worker: 3 }).with_token(1, 7).to_vec();
        let (guessed, probe, token) = (probe(canary.nonce ^ 1), probe(canary.nonce), Claim::Probe(7_u64.to_be_bytes()));
        assert_eq!([own, shared, other].map(|from| canary.claim(&probe, from)), [token, token, Claim::Client]);
        for end in 0..probe.len() {
            let query = &probe[..end];
            let expected = [Claim::Forged, Claim::Client, Claim::Client];
            assert_eq!([own, shared, other].map(|from| canary.claim(query, from)), expected, "{end} octets");
        }
        assert_eq!(canary.claim(&guessed, own), Claim::Forged);
    }
}
