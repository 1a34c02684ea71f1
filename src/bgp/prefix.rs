//! Prefixes as UPDATEs have them: the length in bits, and as many octets as it needs (RFC 4271 §4.3, RFC 4760 §5).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Family;
use super::octets::Octets;

/// The most octets of a prefix.
pub(super) const PREFIX_BYTES_MAX: usize = 17;

/// Reads prefixes until the octets end; `None` where they are none. Bits behind a prefix count as zeros.
pub(super) fn read_prefixes(family: Family, octets: &[u8]) -> Option<Vec<IpNet>> {
    let mut octets = Octets(octets);
    let mut prefixes = Vec::new();
    while !octets.is_empty() {
        let bits = octets.u8()?;
        let significant = octets.take(usize::from(bits).div_ceil(8))?;
        let address: IpAddr = match family {
            Family::Ipv4 => Ipv4Addr::from(padded(significant)?).into(),
            Family::Ipv6 => Ipv6Addr::from(padded(significant)?).into(),
        };
        prefixes.push(IpNet::new(address, bits).ok()?.trunc());
    }
    Some(prefixes)
}

/// Returns octets with zeros behind them; `None` where there are too many.
fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut padded = [0; N];
    padded.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(padded)
}

/// Writes a prefix.
pub(super) fn write_prefix(prefix: &IpNet, out: &mut Vec<u8>) {
    out.push(prefix.prefix_len());
    let significant = usize::from(prefix.prefix_len()).div_ceil(8);
    match prefix.network() {
        IpAddr::V4(address) => out.extend(address.octets().iter().take(significant)),
        IpAddr::V6(address) => out.extend(address.octets().iter().take(significant)),
    }
}
