//! What is counted about TLS besides queries and connections: handshakes, and why they failed.

use std::borrow::Cow;

use super::{Counter, Family, Sample, TcpBlock, push};

/// A handshake that led to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.2, a session that was there before.
    Tls12Resumed,
    /// TLS 1.3.
    Tls13,
    /// TLS 1.3, a session that was there before.
    Tls13Resumed,
}

/// Why a handshake led to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// What came is no TLS.
    NotTls,
    /// There is no version or algorithm that both speak.
    Incompatible,
    /// The client offers other protocols than `dot`.
    Alpn,
    /// The client's certificate can't be read, or its key is another.
    Certificate,
    /// The client says that it does not go on.
    Alert,
    /// The client has closed the connection.
    Closed,
    /// It took too long.
    Timeout,
    /// Anything else.
    Other,
}

/// Handshakes by what came of them.
#[derive(Debug, Default)]
pub struct HandshakeCounters {
    /// By [`Handshake`].
    done: [Counter; HANDSHAKES.len()],
    /// By [`HandshakeFault`].
    failed: [Counter; FAULTS.len()],
}

impl HandshakeCounters {
    /// Counts one that led to a session.
    pub fn count(&self, handshake: Handshake) {
        self.done[handshake as usize].add(1);
    }

    /// Counts one that led to none.
    pub fn count_fault(&self, fault: HandshakeFault) {
        self.failed[fault as usize].add(1);
    }

    /// Adds all that `other` has counted.
    pub(super) fn absorb(&self, other: &Self) {
        let others = other.done.iter().chain(&other.failed);
        self.done.iter().chain(&self.failed).zip(others).for_each(|(own, other)| own.add(other.value()));
    }
}

/// Adds the samples of all threads for TLS.
pub(super) fn sample(blocks: &[&TcpBlock], samples: &mut Vec<Sample>) {
    let sum = |counter: &dyn Fn(&TcpBlock) -> u64| blocks.iter().map(|block| counter(block)).sum();
    for (name, counter) in FAMILIES {
        push(samples, name, &[], sum(&|block| counter(block).value()));
    }
    let open = sum(&|block| block.opened.value().saturating_sub(block.closed.value()));
    push(samples, "fated_tls_connections_open", &[], open);
    for (index, (version, kind)) in HANDSHAKES.into_iter().enumerate() {
        let labels = [("version", Cow::Borrowed(version)), ("kind", Cow::Borrowed(kind))];
        push(samples, "fated_tls_handshakes_total", &labels, sum(&|block| block.handshakes.done[index].value()));
    }
    for (index, cause) in FAULTS.into_iter().enumerate() {
        let labels = [("cause", Cow::Borrowed(cause))];
        push(
            samples,
            "fated_tls_handshakes_failed_total",
            &labels,
            sum(&|block| block.handshakes.failed[index].value()),
        );
    }
}

/// Version and kind of each [`Handshake`].
const HANDSHAKES: [(&str, &str); 4] = [("1.2", "full"), ("1.2", "resumed"), ("1.3", "full"), ("1.3", "resumed")];

/// The names of each [`HandshakeFault`].
const FAULTS: [&str; 8] = ["not-tls", "incompatible", "alpn", "certificate", "alert", "closed", "timeout", "other"];

/// What is shown of the [`TcpBlock`] of a thread for TLS.
const FAMILIES: [Family<TcpBlock>; 9] = [
    ("fated_tls_connections_total", |block| &block.opened),
    ("fated_tls_evicted_total", |block| &block.evicted),
    ("fated_tls_refused_total", |block| &block.refused),
    ("fated_tls_idle_timeouts_total", |block| &block.idle_timeouts),
    ("fated_tls_read_timeouts_total", |block| &block.read_timeouts),
    ("fated_tls_write_timeouts_total", |block| &block.write_timeouts),
    ("fated_tls_malformed_total", |block| &block.malformed),
    ("fated_tls_broken_total", |block| &block.broken),
    ("fated_tls_accept_errors_total", |block| &block.accept_errors),
];
