//! Questions to resolvers: over UDP, over TCP where the reply is truncated, to one after the other, twice.
//!
//! What is asked and what a reply says is decided by [`Lookup`].

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::config::PORT_DEFAULT;
use crate::transfer::{Found, Lookup, LookupFault};
use crate::wire::{SharedName, Type};

/// How long a reply is waited for.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(3);
/// How often the resolvers are asked in turn.
const ROUNDS: usize = 2;
/// The most octets of a reply over UDP.
const REPLY_BYTES_MAX: usize = 4096;
/// Where the system says who its resolvers are: resolv.conf(5).
const SYSTEM_FILE: &str = "/etc/resolv.conf";
/// The most of them, as the C library has it.
const SYSTEM_MAX: usize = 3;

/// Why a resolver says nothing.
#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no reply")]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Fault(#[from] LookupFault),
}

/// The resolvers that are configured, or else those of the system, which may be others each time.
pub(super) fn resolvers(configured: &Arc<[SocketAddr]>) -> Arc<[SocketAddr]> {
    if configured.is_empty() {
        return system_resolvers(&fs::read_to_string(SYSTEM_FILE).unwrap_or_default()).into();
    }
    Arc::clone(configured)
}

/// The resolvers that a file names; this host where it names none.
fn system_resolvers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next());
        address?.parse::<IpAddr>().ok()
    });
    let mut resolvers: Vec<_> = named.take(SYSTEM_MAX).map(|ip| SocketAddr::new(ip, PORT_DEFAULT)).collect();
    if resolvers.is_empty() {
        resolvers.push((Ipv4Addr::LOCALHOST, PORT_DEFAULT).into());
    }
    resolvers
}

/// Looks records up.
///
/// # Errors
/// What was wrong with each resolver the last time, for people.
pub(super) async fn look_up(resolvers: &[SocketAddr], name: &SharedName, rtype: Type) -> Result<Found, String> {
    let mut troubles = Vec::new();
    for _ in 0..ROUNDS {
        troubles.clear();
        for resolver in resolvers {
            match ask(*resolver, name, rtype).await {
                Ok(found) => return Ok(found),
                Err(error) => troubles.push(format!("{resolver}: {error}")),
            }
        }
    }
    Err(format!("{name} {rtype} can't be looked up: {}", troubles.join("; ")))
}

/// Asks one resolver.
async fn ask(resolver: SocketAddr, name: &SharedName, rtype: Type) -> Result<Found, ResolveError> {
    let id = getrandom::u32().map_err(io::Error::other)? as u16;
    let lookup = Lookup { name: name.clone(), rtype, id };
    match timeout(REPLY_WAIT_MAX, over_udp(resolver, &lookup)).await? {
        Err(ResolveError::Fault(LookupFault::Truncated)) => {
            timeout(REPLY_WAIT_MAX, over_tcp(resolver, &lookup)).await?
        }
        answered => answered,
    }
}

/// Asks over UDP, from a port of the kernel's choice, and takes nothing from others.
async fn over_udp(resolver: SocketAddr, lookup: &Lookup) -> Result<Found, ResolveError> {
    let any: IpAddr = if resolver.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(&lookup.message()).await?;
    let mut buffer = vec![0; REPLY_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(read) = lookup.read(&buffer[..length]) {
            return Ok(read?);
        }
    }
}

/// Asks over TCP.
async fn over_tcp(resolver: SocketAddr, lookup: &Lookup) -> Result<Found, ResolveError> {
    let mut stream = TcpStream::connect(resolver).await?;
    let message = lookup.message();
    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    let read = lookup.read(&buffer).ok_or(LookupFault::Malformed)?;
    Ok(read?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_names_its_resolvers() {
        let shown = |text: &str| system_resolvers(text).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(
            shown("search test\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # one\n"),
            "192.0.2.1:53 [2001:db8::1]:53"
        );
        assert_eq!(shown("# nameserver 192.0.2.1\nnameservers 192.0.2.2\nnameserver x\n"), "127.0.0.1:53");
        assert_eq!(shown(&"nameserver 192.0.2.1\n".repeat(9)).split(' ').count(), SYSTEM_MAX);
    }
}
