//! `[bgp]` and `[[bgp.neighbor]]`, as written → checked.
//!
//! No fault shows a password.

mod community;

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use toml::{Spanned, Value};

use super::file::{Secrecy, read_file};
use super::{Check, Own, Row, quoted, rows};
use crate::announce::bgp::{
    BfdSettings, LOCAL_PORT_FIRST, NEIGHBORS_MAX, NeighborSettings, PORT, Secret, SpeakerSettings,
};
use crate::bgp::{AsNumber, Attributes, Families, Role};
use crate::config::document::Document;
use crate::policy::Guard;
use crate::sys::peering::MD5_KEY_BYTES_MAX;
use crate::wire::Shown;

/// The section.
pub(super) const BGP: &str = "bgp";
/// The most communities of a list.
const COMMUNITIES_MAX: usize = 32;

impl Check<'_> {
    /// `[bgp]`.
    pub(super) fn bgp(&mut self, addresses: &[IpAddr], announce: &[IpNet]) -> Option<SpeakerSettings> {
        if !self.written.has(BGP) {
            return None;
        }
        let sections = self.written.each(rows::NEIGHBOR);
        if sections.is_empty() || sections.len() > NEIGHBORS_MAX {
            let message = format!("[bgp] has {} [[bgp.neighbor]]", sections.len());
            let help = format!("give 1 to {NEIGHBORS_MAX} of them, or take [bgp] out");
            self.fault_outside(message, Some(help));
        }
        let local_as = self.as_number(self.written, &rows::LOCAL_AS);
        let mut neighbors: Vec<NeighborSettings> = Vec::new();
        for (index, section) in sections.iter().take(NEIGHBORS_MAX).enumerate() {
            let Some(neighbor) = self.neighbor(section, index, local_as) else { continue };
            self.not_twice(section, &neighbor, &neighbors);
            self.not_within(section, &neighbor, addresses, announce);
            neighbors.push(neighbor);
        }
        self.untold(addresses, &neighbors);
        let router_id = self.router_id(&neighbors);
        let reason = self.number(&rows::REASON_COMMUNITY);
        let reason_community = u32::try_from(reason).ok().filter(|function| *function > 0);
        Some(SpeakerSettings { router_id, reason_community, neighbors })
    }

    /// What is done before a withdrawal that all sites may be about to make.
    pub(super) fn guard(&mut self) -> Option<Guard> {
        let wait = self.duration(&rows::GUARD_WAIT);
        self.word(&rows::GUARD).map(|withdraws_unseen| Guard { wait, withdraws_unseen })
    }

    /// The BGP identifier.
    fn router_id(&mut self, neighbors: &[NeighborSettings]) -> Option<Ipv4Addr> {
        let Some(written) = self.written.get::<String>(&rows::ROUTER_ID) else {
            if !neighbors.is_empty() && neighbors.iter().all(|neighbor| neighbor.address.is_ipv6()) {
                let message = "`bgp.router-id` must be given: no neighbour is reached over IPv4";
                let help = "give an IPv4 address that no other speaker of the AS has, for instance the node's own";
                self.fault_outside(message.to_owned(), Some(help.to_owned()));
            }
            return None;
        };
        let parsed = written.get_ref().parse().ok().filter(|id: &Ipv4Addr| !id.is_unspecified());
        if parsed.is_none() {
            self.refuse(rows::ROUTER_ID.path, &quoted(&written), "an IPv4 address but 0.0.0.0");
        }
        parsed
    }

    /// Says where a neighbour or its port is another's already.
    fn not_twice(&mut self, section: &Document<'_>, neighbor: &NeighborSettings, others: &[NeighborSettings]) {
        let span = section.get::<String>(&rows::NEIGHBOR_ADDRESS).expect("the document has it").span();
        let is_same =
            |other: &&NeighborSettings| (other.address, &other.device) == (neighbor.address, &neighbor.device);
        if others.iter().any(|other| is_same(&other)) {
            let message = format!("the neighbour {} is named twice", neighbor.address);
            self.fault(span, message, "named before".into(), Some("take one of the two out".into()));
            return;
        }
        let is_port_taken = |other: &&NeighborSettings| {
            !(neighbor.is_passive && other.is_passive) && other.local_port == neighbor.local_port
        };
        if let Some(other) = others.iter().find(is_port_taken) {
            let message =
                format!("{} and {} have the same `local-port`, {}", other.address, neighbor.address, other.local_port);
            let help = "give each a port of its own, or none";
            self.fault(span, message, "its port is taken".into(), Some(help.into()));
        }
    }

    /// Says where an end of a session lies in what is announced over it: the route would lead to itself.
    fn not_within(
        &mut self,
        section: &Document<'_>,
        neighbor: &NeighborSettings,
        addresses: &[IpAddr],
        announce: &[IpNet],
    ) {
        let next_hops = [neighbor.next_hop_v4.map(IpAddr::from), neighbor.next_hop_v6.map(IpAddr::from)];
        let ends = [Some(neighbor.address), neighbor.local_address].into_iter().chain(next_hops).flatten();
        for end in ends {
            let net = announce.iter().copied().find(|net| net.contains(&end));
            let Some(net) = net.or_else(|| addresses.contains(&end).then(|| IpNet::from(end))) else { continue };
            let span = section.get::<String>(&rows::NEIGHBOR_ADDRESS).expect("the document has it").span();
            let message = format!("{end} lies in {net}, which is announced to the neighbour {}", neighbor.address);
            let help = "sessions and next hops need addresses of the link, not of the service";
            self.fault(span, message, "the route would lead to itself".into(), Some(help.into()));
        }
    }

    /// Warns of addresses of a family that no neighbour is told of.
    fn untold(&mut self, addresses: &[IpAddr], neighbors: &[NeighborSettings]) {
        let families = [
            ("IPv4", addresses.iter().any(IpAddr::is_ipv4), neighbors.iter().any(|one| one.families.ipv4)),
            ("IPv6", addresses.iter().any(IpAddr::is_ipv6), neighbors.iter().any(|one| one.families.ipv6)),
        ];
        for (family, _, _) in families.iter().filter(|(_, is_there, is_told)| *is_there && !is_told) {
            self.warnings.push(format!(
                "[bgp]: no neighbour is told of the {family} addresses of `anycast.addresses`; see \
                 `bgp.neighbor.families`"
            ));
        }
    }

    /// One neighbour; nothing where its address or an AS is missing or wrong, which is a fault then.
    fn neighbor(
        &mut self,
        section: &Document<'_>,
        index: usize,
        local_as: Option<AsNumber>,
    ) -> Option<NeighborSettings> {
        let at = section.get::<String>(&rows::NEIGHBOR_ADDRESS).expect("the document has it");
        let address = self.neighbor_address(&at);
        let peer_as = self.as_number(section, &rows::REMOTE_AS);
        let local_as = self.as_number(section, &rows::NEIGHBOR_LOCAL_AS).or(local_as);
        if local_as.is_none() && !section.has(rows::NEIGHBOR_LOCAL_AS.path) && !self.written.has(rows::LOCAL_AS.path) {
            let message = format!("the neighbour {} has no `local-as`", at.get_ref());
            self.fault(at.span(), message, "our AS is not said".into(), Some("give it in [bgp] or here".into()));
        }
        let (((address, device), peer_as), local_as) = address.zip(peer_as).zip(local_as)?;
        let is_passive = self.flag_of(section, &rows::PASSIVE);
        let written_port = self.number_of(section, &rows::LOCAL_PORT) as u16;
        let local_port = match (written_port, is_passive) {
            (0, true) => PORT,
            (0, false) => LOCAL_PORT_FIRST + index as u16,
            (port, _) => port,
        };
        let next_hop_v4 = self.address_in(section, &rows::NEXT_HOP_V4, "an IPv4 address");
        let next_hop_v6 = self.address_in(section, &rows::NEXT_HOP_V6, "an IPv6 address");
        let families = self.families(section, address);
        if families.ipv6 && address.is_ipv4() && next_hop_v6.is_none() {
            let message = format!("the neighbour {address} is told of IPv6 without a `next-hop-v6`");
            let help = "give our IPv6 address on the link to it, or open a session over IPv6 as well";
            self.fault(at.span(), message, "over IPv4 there is no next hop".into(), Some(help.into()));
        }
        let hops = self.number_of(section, &rows::TTL_SECURITY) as u8;
        let announced = self.announced(section);
        Some(NeighborSettings {
            address,
            device,
            local_address: self.local_address(section, address),
            port: self.number_of(section, &rows::NEIGHBOR_PORT) as u16,
            local_port,
            is_passive,
            peer_as,
            local_as,
            families,
            next_hop_v4,
            next_hop_v6,
            hold_time: self.hold_time(section),
            md5_key: self.md5_key(section, &at),
            hops_max: (hops > 0).then_some(hops),
            role: self.role(section).filter(|_| peer_as != local_as),
            is_role_strict: self.flag_of(section, &rows::ROLE_STRICT),
            degraded: self.degraded(section, &announced),
            announced,
            bfd: self.bfd(section),
        })
    }

    /// The router's address, with the device of a link-local one.
    fn neighbor_address(&mut self, written: &Spanned<String>) -> Option<(IpAddr, Option<String>)> {
        let text = written.get_ref();
        let (address, device) =
            text.split_once('%').map_or((&**text, None), |(address, device)| (address, Some(device)));
        let address: Option<IpAddr> = address.parse().ok();
        let is_link_local = matches!(address, Some(IpAddr::V6(v6)) if v6.is_unicast_link_local());
        let is_unicast = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
        match address.filter(is_unicast) {
            Some(address) if is_link_local == device.is_some_and(|device| !device.is_empty()) => {
                Some((address, device.map(str::to_owned)))
            }
            _ => {
                let allowed = "an address such as \"10.0.0.1\" or \"2001:db8::1\", a link-local one with its device: \
                    \"fe80::1%eth0\"";
                self.refuse(rows::NEIGHBOR_ADDRESS.path, &quoted(written), allowed);
                None
            }
        }
    }

    /// Our end of the session.
    fn local_address(&mut self, section: &Document<'_>, peer: IpAddr) -> Option<IpAddr> {
        let allowed = "an address of the family of the neighbour's";
        let address: IpAddr = self.address_in(section, &rows::LOCAL_ADDRESS, allowed)?;
        if address.is_ipv4() != peer.is_ipv4() {
            let written = section.get::<String>(&rows::LOCAL_ADDRESS).expect("it was read");
            self.refuse(rows::LOCAL_ADDRESS.path, &quoted(&written), allowed);
        }
        Some(address)
    }

    /// An AS as a number or as text (RFC 5396).
    fn as_number(&mut self, section: &Document<'_>, key: &Row<Own>) -> Option<AsNumber> {
        let written = section.get::<Value>(key)?;
        let number = match written.get_ref() {
            Value::Integer(number) => u32::try_from(*number).ok(),
            Value::String(text) => match text.split_once('.') {
                Some((high, low)) => high
                    .parse()
                    .ok()
                    .zip(low.parse().ok())
                    .map(|(high, low): (u16, u16)| (u32::from(high) << 16) | u32::from(low)),
                None => text.parse().ok(),
            },
            _ => None,
        };
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            self.refuse(&section.path_of(key), &written, "an AS number, 1 to 4294967295 or \"1.10\"");
        }
        number.map(AsNumber)
    }

    /// An address, where it is written.
    fn address_in<A: FromStr>(&mut self, section: &Document<'_>, key: &Row<Own>, allowed: &str) -> Option<A> {
        let written = section.get::<String>(key)?;
        let address = written.get_ref().parse().ok();
        if address.is_none() {
            self.refuse(key.path, &quoted(&written), allowed);
        }
        address
    }

    /// What is announced there.
    fn families(&mut self, section: &Document<'_>, peer: IpAddr) -> Families {
        let Some(written) = section.get::<Vec<Spanned<String>>>(&rows::FAMILIES) else {
            return Families { ipv4: peer.is_ipv4(), ipv6: peer.is_ipv6() };
        };
        let mut families = Families::default();
        for item in written.get_ref() {
            match &**item.get_ref() {
                "ipv4" => families.ipv4 = true,
                "ipv6" => families.ipv6 = true,
                _ => self.refuse(rows::FAMILIES.path, &quoted(item), "\"ipv4\" or \"ipv6\""),
            }
        }
        if written.get_ref().is_empty() {
            let none = Spanned::new(written.span(), "empty");
            self.refuse(rows::FAMILIES.path, &none, "one of \"ipv4\" and \"ipv6\", or both");
        }
        families
    }

    /// The hold time, which the protocol counts in whole seconds.
    fn hold_time(&mut self, section: &Document<'_>) -> Duration {
        let time = self.duration_of(section, &rows::HOLD_TIME);
        if time.subsec_nanos() != 0 {
            let written = section.get::<String>(&rows::HOLD_TIME).expect("the default is whole");
            self.refuse(rows::HOLD_TIME.path, &quoted(&written), "whole seconds");
        }
        time
    }

    /// The key of TCP MD5 signatures.
    fn md5_key(&mut self, section: &Document<'_>, at: &Spanned<String>) -> Option<Secret> {
        let (password, file) = (section.get::<String>(&rows::PASSWORD), section.get::<String>(&rows::PASSWORD_FILE));
        let key = match (password, file) {
            (None, None) => return None,
            (Some(password), None) => password.into_inner().into_bytes(),
            (None, Some(file)) => {
                let path = self.origin.path(file.get_ref());
                match read_file(&path, Secrecy::Secret, 2 * MD5_KEY_BYTES_MAX as u64) {
                    Ok(text) => text.trim_ascii_end().to_vec(),
                    Err(error) => {
                        let message = format!("`{}` {}: {error}", rows::PASSWORD_FILE.path, Shown::path(&path));
                        self.fault(file.span(), message, "no password".into(), None);
                        return None;
                    }
                }
            }
            (Some(_), Some(_)) => {
                let message = format!("the neighbour {} has both `password` and `password-file`", at.get_ref());
                self.fault(at.span(), message, "needs one of the two".into(), None);
                return None;
            }
        };
        if !(1..=MD5_KEY_BYTES_MAX).contains(&key.len()) {
            let message = format!("the password of the neighbour {} is {} octets long", at.get_ref(), key.len());
            let label = format!("1 to {MD5_KEY_BYTES_MAX} octets");
            self.fault(at.span(), message, label, None);
            return None;
        }
        Some(Secret(key))
    }

    /// Our role.
    fn role(&mut self, section: &Document<'_>) -> Option<Role> {
        self.word_in(section, &rows::ROLE).unwrap_or(rows::ROLE.values.default)
    }

    /// What a route carries.
    fn announced(&mut self, section: &Document<'_>) -> Attributes {
        let mut attributes = Attributes {
            med: Some(self.number_of(section, &rows::MED) as u32),
            prepend: self.number_of(section, &rows::PREPEND) as u8,
            local_pref: self.number_of(section, &rows::LOCAL_PREF) as u32,
            ..Attributes::default()
        };
        self.communities(section, &rows::COMMUNITIES, &mut attributes);
        attributes
    }

    /// What it carries while its address is degraded: its own communities, and others besides.
    fn degraded(&mut self, section: &Document<'_>, announced: &Attributes) -> Attributes {
        let mut attributes = Attributes {
            med: Some(self.number_of(section, &rows::DEGRADED_MED) as u32),
            prepend: self.number_of(section, &rows::DEGRADED_PREPEND) as u8,
            local_pref: self.number_of(section, &rows::DEGRADED_LOCAL_PREF) as u32,
            ..announced.clone()
        };
        if section.has(rows::DEGRADED_COMMUNITIES.path) {
            self.communities(section, &rows::DEGRADED_COMMUNITIES, &mut attributes);
        } else {
            attributes.communities.push(Attributes::GRACEFUL_SHUTDOWN);
        }
        attributes
    }

    /// Adds a list of communities, where it is written.
    fn communities(&mut self, section: &Document<'_>, key: &Row<Own>, attributes: &mut Attributes) {
        let Some(written) = section.get::<Vec<Spanned<String>>>(key) else { return };
        for item in written.get_ref().iter().take(COMMUNITIES_MAX) {
            if community::add(attributes, item.get_ref()).is_none() {
                self.refuse(key.path, &quoted(item), community::FORMS);
            }
        }
        if written.get_ref().len() > COMMUNITIES_MAX {
            let count = Spanned::new(written.span(), format!("{} communities", written.get_ref().len()));
            self.refuse(key.path, &count, &format!("at most {COMMUNITIES_MAX}"));
        }
    }

    /// BFD beside the session.
    fn bfd(&mut self, section: &Document<'_>) -> Option<BfdSettings> {
        let settings = BfdSettings {
            interval: self.duration_of(section, &rows::BFD_INTERVAL),
            multiplier: self.number_of(section, &rows::BFD_MULTIPLIER) as u8,
            is_multihop: self.flag_of(section, &rows::BFD_MULTIHOP),
            is_strict: self.flag_of(section, &rows::BFD_STRICT),
        };
        self.flag_of(section, &rows::BFD).then_some(settings)
    }
}

#[cfg(test)]
mod tests;
