//! Other services of the host that share an anycast node's fate: what proves that one lives, and the thread that asks.
//!
//! Owns the probes, their messages, and the rounds in which they are put to each service address. Refuses to know what
//! follows from what it saw: that is the policy's.
//!
//! ```text
//!   every interval:  rounds ──go──▶ one asker an address ──probe──▶ the service, at its service address
//!                       ◀── answered | late | wrong ──┘
//!                       ├──▶ Proof (moments): pays for the lease
//!                       └──▶ Observation, one an address ──▶ policies
//! ```
//!
//! **The way of a probe.** It goes from the service address to itself, through sockets of this host: that reaches the
//! socket that clients reach, before the first announcement and after the last, and finds out whatever the service does
//! not do. More can't be imitated without a TCP of our own: a packet that this host sends to one of its addresses never
//! leaves it, whatever its source is, so a filter that spares `lo`, or names a device, isn't seen.

mod asn1;
mod command;
mod http;
mod kerberos;
mod ldap;
mod probe;
mod prober;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::tls::TlsPeer;

pub use probe::{Fault, ask};
pub use prober::{OnRound, Prober, ProberSettings, Report};

/// What proves that a service lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A connection is accepted.
    Tcp {
        /// Where.
        port: u16,
    },
    /// A page is there (RFC 9112).
    Http {
        /// Where.
        port: u16,
        /// The `Host` that is asked for.
        host: String,
        /// The path.
        path: String,
        /// The status that is right.
        status: u16,
        /// What the page must hold.
        text: Option<String>,
    },
    /// A name server answers a question (RFC 1035) with records.
    Dns {
        /// Where.
        port: u16,
        /// The name.
        name: String,
        /// The type.
        rtype: String,
    },
    /// A KDC says something about a principal, which need not exist (RFC 4120).
    Kerberos {
        /// Where.
        port: u16,
        /// The realm.
        realm: String,
        /// The principal.
        principal: String,
    },
    /// A directory shows its root DSE (RFC 4512 §5.1).
    Ldap {
        /// Where.
        port: u16,
        /// Whether it is spoken with over TLS, by StartTLS (RFC 4511 §4.14), and how its certificate is recognized.
        tls: Option<Arc<TlsPeer>>,
    },
    /// A command ends with 0.
    Command {
        /// The program and its arguments. `FATED_ADDRESS` in its environment is the service address.
        words: Vec<String>,
    },
}

impl Probe {
    /// Returns what kind it is, in the word of the configuration.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Http { .. } => "http",
            Self::Dns { .. } => "dns",
            Self::Kerberos { .. } => "kerberos",
            Self::Ldap { .. } => "ldap",
            Self::Command { .. } => "command",
        }
    }
}
