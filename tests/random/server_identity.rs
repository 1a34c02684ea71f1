//! Who answers: that a port belongs to the one server that was started on it, before and after questions are asked.
//!
//! A run in which *every* answer differs is hardly a fault of answers. What makes one, tried with real servers: a
//! second server on the same port (BIND joins the UDP port of any server of its user that shares it, and goes on
//! without TCP), a server of an earlier run that still has the port, a server that has other zones than it was meant
//! to, or that was asked before it had them. Each server of a run has an identity of its own, and each run a serial of
//! its own.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use super::common::ask;
use super::common::message::{Message, Query};
use super::common::name::name;
use super::common::server::Server;

/// From how many ports each server is asked who it is: a kernel that shares queries among sockets does so by the port.
const CLIENTS: usize = 12;
/// CLASS CH.
const CHAOS: u16 = 3;
/// TYPE TXT.
const TXT: u16 = 16;
/// TYPE SOA.
const SOA: u16 = 6;

/// What is wrong about who answers at a server's port; nothing is well.
pub(crate) fn faults_of(server: &mut Server, identity: &str, origins: &[String], serial: u32) -> Vec<String> {
    let mut faults = Vec::new();
    let (title, address) = (server.kind.name(), server.address);
    if let Some(status) = server.process().ended() {
        faults.push(format!("{title} has ended: {status}"));
    }
    let group = server.process().id();
    for owner in owners_of_udp(address) {
        if owner.group != Some(group) {
            faults.push(format!("{title} shares {address} with {owner:?}"));
        }
    }
    let mut query = Query::new(&name("id.server."), TXT);
    query.qclass = CHAOS;
    let mut said = BTreeSet::new();
    // A socket each, and so a port each.
    said.extend((0..CLIENTS).map(|_| text_of(&ask::ask_udp(address, &query))));
    said.insert(text_of(&ask::ask_tcp(address, &query)));
    if said != BTreeSet::from([identity.to_owned()]) {
        faults.push(format!("{title} at {address} says that it is {said:?}, not {identity:?}"));
    }
    for origin in origins {
        let found = serial_of(&ask::ask_udp(address, &Query::new(&name(origin), SOA)));
        if found != Some(serial) {
            faults.push(format!("{title} at {address} has {origin} with serial {found:?}, not {serial}"));
        }
    }
    faults
}

/// The first string of a TXT answer.
fn text_of(reply: &Message) -> String {
    let rdata = reply.sections[0].first().map_or(&[][..], |record| &record.rdata[..]);
    String::from_utf8_lossy(rdata.get(1..).unwrap_or_default()).into_owned()
}

/// The serial of an SOA answer.
pub(crate) fn serial_of(reply: &Message) -> Option<u32> {
    let record = reply.sections[0].iter().find(|record| record.rtype == SOA)?;
    let at = record.rdata.len().checked_sub(20)?;
    record.rdata.get(at..at + 4).map(|octets| u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]))
}

/// Whoever has a UDP socket on an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    /// The process group; `None` where nobody is known to hold the socket.
    pub(crate) group: Option<u32>,
    /// What the process is called.
    pub(crate) command: String,
}

/// Who has UDP sockets on this IPv4 address and port, read from `/proc`; nobody where there is no such folder.
pub(crate) fn owners_of_udp(address: SocketAddr) -> BTreeSet<Owner> {
    let SocketAddr::V4(address) = address else { return BTreeSet::new() };
    let written = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let inodes: BTreeSet<String> = table
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.get(1) == Some(&&written[..])).then(|| format!("socket:[{}]", words.get(9).unwrap_or(&"")))
        })
        .collect();
    let mut owners = BTreeSet::new();
    let mut found = BTreeSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let held = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let held = held.filter_map(|file| fs::read_link(file.path()).ok()?.to_str().map(str::to_owned));
        let held: Vec<String> = held.filter(|file| inodes.contains(file)).collect();
        if !held.is_empty() {
            owners.insert(owner(&process.path()));
            found.extend(held);
        }
    }
    if found.len() < inodes.len() {
        owners.insert(Owner { group: None, command: "nobody that can be seen".to_owned() });
    }
    owners
}

/// The process in a folder of `/proc`.
fn owner(folder: &std::path::Path) -> Owner {
    let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
    // PID (COMMAND) STATE PARENT GROUP …; a command may hold anything, so what counts stands behind the last bracket.
    let (front, back) = stat.rsplit_once(") ").unwrap_or_default();
    Owner {
        group: back.split_whitespace().nth(2).and_then(|group| group.parse().ok()),
        command: front.split_once('(').map_or_else(String::new, |(_, command)| command.to_owned()),
    }
}
