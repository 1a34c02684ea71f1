//! Versions of zones that anybody can make again from name and serial, so that what is read back can be judged.

use std::sync::Arc;

use fated::fault::Faults;
use fated::transfer::Change;
use fated::wire::{Name, Type};
use fated::zone::Zone;
use fated::zone::hash::Seed;
use fated::zonebuild::{Builder, Inline, Plan, Record, Sink};

/// The key of the name hash.
pub(crate) const SEED: Seed = Seed([0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03]);
/// Of so many hosts one has another address in each version, and one another TTL.
const TURN: u32 = 64;

/// A name.
pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a good name")
}

/// The version of a zone with that serial, which has so many hosts.
pub(crate) fn version(apex: &str, hosts: u32, serial: u32) -> Zone {
    let (zone, mut builder) = (name(apex), Builder::new(SEED));
    let mut take = |owner: &Name, rtype: Type, ttl: u32, rdata: &[u8]| {
        builder.take(&Record { owner: owner.as_ref(), rtype, ttl, rdata, position: None });
    };
    let server = name(&format!("ns.{apex}"));
    let mut soa = server.as_ref().as_bytes().repeat(2);
    [serial, 3600, 600, 86400, 60].iter().for_each(|number| soa.extend_from_slice(&number.to_be_bytes()));
    take(&zone, Type::SOA, 3600, &soa);
    take(&zone, Type::NS, 3600, server.as_ref().as_bytes());
    take(&server, Type::A, 3600, &[192, 0, 2, 1]);
    for host in 0..hosts {
        let owner = name(&format!("Host{host}.{apex}"));
        // The serial of the last version that touched the host, and a host that comes and goes.
        let touched = serial + TURN - (serial + TURN - host % TURN) % TURN;
        if host % TURN == 7 && (serial / TURN).is_multiple_of(2) {
            continue;
        }
        take(&owner, Type::A, 300 + host % 2 * (touched % 1000), &touched.to_be_bytes());
        take(&owner, Type::TXT, 300, &[b"\x20", &[b'a' + (host % 26) as u8; 32][..]].concat());
    }
    let plan = Plan { name: zone.as_ref(), previous: None, now: 0 };
    builder.finish(plan, &Inline, &mut Faults::default()).expect("a good zone")
}

/// All records of a zone.
pub(crate) fn text(zone: &Zone) -> String {
    let mut text = String::new();
    zone.write_text(&mut text).expect("a String takes everything");
    text
}

/// The steps between versions, and the last of them.
pub(crate) fn steps(apex: &str, hosts: u32, from: u32, to: u32) -> (Arc<Zone>, Vec<Arc<Change>>) {
    let mut zone = version(apex, hosts, from);
    let steps = (from + 1..=to).map(|serial| {
        let next = version(apex, hosts, serial);
        let change = Arc::new(Change::between(&zone, &next));
        zone = next;
        change
    });
    let steps = steps.collect();
    (Arc::new(zone), steps)
}
