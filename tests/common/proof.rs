//! The proof that a synthesised record owes: that no name stands closer to its owner than the wildcard that it was made
//! from (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).

use data_encoding::BASE32HEX_NOPAD;
use fated::wire::NameRef;
use fated::zone::nsec3::Params;

use super::message::{Message, RRSIG, Record};
use super::name;

/// TYPE NSEC.
const NSEC: u16 = 47;
/// TYPE NSEC3.
const NSEC3: u16 = 50;

/// The owners in the answer section that signatures show to be synthesised, and for which the authority section has no
/// proof.
pub(crate) fn unproved(reply: &Message) -> Vec<String> {
    let signatures = reply.sections[0].iter().filter(|record| record.rtype == RRSIG);
    let synthesised = signatures.filter_map(|record| {
        let labels = name::labels(&record.owner);
        let signed = usize::from(record.rdata[3]);
        let own = labels.len() - usize::from(labels.first().is_some_and(|label| label[..] == b"*"[..]));
        (signed < own).then_some((&record.owner, labels.len() - signed))
    });
    let unproved =
        synthesised.filter(|(owner, above)| !reply.sections[1].iter().any(|record| proves(record, owner, *above)));
    unproved.map(|(owner, _)| name::text(owner)).collect()
}

/// Whether an NSEC record covers a name, or an NSEC3 record that of its next closer name, `above` labels below the
/// encloser.
fn proves(record: &Record, owner: &[u8], above: usize) -> bool {
    match record.rtype {
        NSEC => {
            let name_of = |octets| NameRef::parse(octets).expect("a name");
            covers(&name_of(&record.owner), &name_of(&record.rdata), &name_of(owner))
        }
        NSEC3 => {
            let mut next_closer = owner;
            for _ in 1..above {
                next_closer = &next_closer[1 + usize::from(next_closer[0])..];
            }
            let params = Params::from_rdata(&record.rdata).expect("a known algorithm");
            let first = name::labels(&record.owner)[0].to_ascii_uppercase();
            let first = BASE32HEX_NOPAD.decode(&first).expect("a hash");
            let next = &record.rdata[5 + params.salt.len()..][1..21];
            covers(&&first[..], &next, &&params.hash(next_closer)[..])
        }
        _ => false,
    }
}

/// Whether `name` stands between two neighbours in a ring.
fn covers<T: PartialOrd>(first: &T, next: &T, name: &T) -> bool {
    if first < next { first < name && name < next } else { first < name || name < next }
}
