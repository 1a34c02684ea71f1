//! Random data of many types, as zone files write it.

use fated::wire::Type;

use super::common::Dice;

/// A type whose data is written as RFC 3597 has it.
const UNKNOWN: Type = Type(65_400);

/// What stands at plain names: types with names in their data more often than those without.
pub(crate) const PLAIN: [Type; 30] = [
    Type::A,
    Type::A,
    Type::A,
    Type::AAAA,
    Type::AAAA,
    Type::MX,
    Type::MX,
    Type::TXT,
    Type::TXT,
    Type::SRV,
    Type::SRV,
    Type::SVCB,
    Type::SVCB,
    Type::HTTPS,
    Type::HTTPS,
    Type::PTR,
    Type(13),  // HINFO
    Type(17),  // RP
    Type(18),  // AFSDB
    Type(29),  // LOC
    Type(35),  // NAPTR
    Type(36),  // KX
    Type(44),  // SSHFP
    Type(52),  // TLSA
    Type(61),  // OPENPGPKEY
    Type(108), // EUI48
    Type(256), // URI
    Type(257), // CAA
    UNKNOWN,
    Type(107), // LP
];

/// One record's data; `target` stands where the type has a name.
///
/// # Panics
/// For a type that is not in [`PLAIN`] and not DS.
pub(crate) fn text(dice: &mut Dice, rtype: Type, target: &str) -> String {
    let small = dice.below(4);
    let octet = dice.below(256);
    match rtype.0 {
        1 => format!("192.0.2.{octet}"),
        28 => format!("2001:db8::{octet:x}"),
        12 => target.to_owned(),
        13 => format!("\"cpu {octet}\" \"os\""),
        15 | 18 | 36 | 107 => format!("{small} {target}"),
        16 => strings(dice),
        17 => format!("{target} {target}"),
        29 => format!("{} 30 {small}.500 N 10 0 0.000 E {octet}.00m 1m 10m 10m", octet % 90),
        33 => format!("{small} {octet} {} {target}", 1000 + octet),
        35 => format!("{small} {octet} \"u\" \"sip+E2U\" \"!^.*$!sip:{octet}@example.org!\" ."),
        43 => format!("{} 13 2 {}", 1000 + octet, hex(dice, 32)),
        44 => format!("4 2 {}", hex(dice, 32)),
        52 => format!("3 1 1 {}", hex(dice, 32)),
        61 => "AQIDBAUGBwg=".to_owned(),
        64 | 65 => service(dice, target),
        108 => format!("00-00-5e-00-53-{octet:02x}"),
        256 => format!("{small} 1 \"https://{octet}.example.org/\""),
        257 => format!("0 issue \"ca{octet}.example.org\""),
        65_400 => {
            let length = dice.below(40);
            format!("\\# {length} {}", hex(dice, length))
        }
        other => panic!("no data for {other}"),
    }
}

/// A few strings, seldom long ones, so that replies are cut.
fn strings(dice: &mut Dice) -> String {
    let length = if dice.below(5) == 0 { 255 } else { dice.below(40) };
    let count = 1 + dice.below(3);
    (0..count)
        .map(|number| format!("\"{}{}\"", number, "t".repeat(length.saturating_sub(1))))
        .collect::<Vec<_>>()
        .join(" ")
}

/// An alias or a service with parameters (RFC 9460 §2.4).
fn service(dice: &mut Dice, target: &str) -> String {
    let target = if dice.below(4) == 0 { "." } else { target };
    match dice.below(4) {
        0 => format!("0 {target}"),
        1 => format!("1 {target} alpn=h2,h3 port={}", 1 + dice.below(60_000)),
        2 => format!("{} {target} ipv4hint=192.0.2.{}", 1 + dice.below(9), dice.below(256)),
        _ => format!("2 {target}"),
    }
}

/// So many octets in hexadecimal.
fn hex(dice: &mut Dice, octets: usize) -> String {
    (0..octets).map(|_| format!("{:02X}", dice.below(256))).collect()
}
