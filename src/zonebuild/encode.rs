//! RRsets → a node, laid out for copying; [`crate::zone::node`] says how, and reads it.

use crate::wire::{NameRef, Type, rdata};
use crate::zone::hash::{LookupName, Seed};
use crate::zone::node::{
    ENTRY_BYTES, Flags, IS_ALIAS, IS_BELOW_OWNER, NSEC3_HASH_BYTES, POINTER_REACH_BYTES, QNAME_OFFSET,
    QUESTION_TAIL_BYTES, RECORD_FIXED_BYTES, Rrset, Target,
};

/// Room for the RDATA of an SOA; most need less.
const SOA_BYTES: usize = 256;

/// Suffixes of earlier names that one template is compressed against: bounds the work of loading one RRset.
const SUFFIXES_MAX: usize = 64;

/// The records of one type at one owner as they were read: what a template is made from.
pub(super) struct RrsetSource<'a> {
    /// The type.
    pub(super) rtype: Type,
    /// The TTL of the whole RRset.
    pub(super) ttl: u32,
    /// The RDATA, uncompressed, in canonical order, without repetition. Empty where only signatures stand.
    pub(super) rdatas: &'a [&'a [u8]],
    /// The RRSIG RDATA that cover the type, with their TTLs.
    pub(super) signatures: &'a [(u32, &'a [u8])],
}

/// Appends a node to `out`.
///
/// `rrsets` stand in the order of their types. `nsec3_hashes` are those of the name and of `*` below it.
pub(super) fn encode<'n>(
    out: &mut Vec<u8>,
    seed: Seed,
    owner: NameRef<'n>,
    flags: Flags,
    nsec3_hashes: Option<[[u8; NSEC3_HASH_BYTES]; 2]>,
    rrsets: impl ExactSizeIterator<Item = RrsetSource<'n>>,
) {
    let (flags_at, mut flags) = (out.len(), flags.with(Flags::IS_HASHED, nsec3_hashes.is_some()));
    out.push(0);
    out.push(owner.len() as u8);
    out.extend_from_slice(&(rrsets.len() as u16).to_le_bytes());
    out.extend_from_slice(owner.as_bytes());
    for hash in nsec3_hashes.iter().flatten() {
        out.extend_from_slice(hash);
    }
    let mut entry = out.len();
    out.resize(entry + rrsets.len() * ENTRY_BYTES, 0);
    let mut template = Template::default();
    for source in rrsets {
        let start = out.len();
        template.write(out, seed, owner, &source);
        let body_end = out.len();
        for (ttl, rdata) in source.signatures {
            push_record_head(out, owner, Type::RRSIG, *ttl, rdata.len());
            out.extend_from_slice(rdata);
        }
        let signature_bytes = out.len() - body_end;
        let Template { fixups, targets, .. } = &template;
        flags = flags.with(Flags::LEADS_ON, !targets.is_empty());
        fixups.iter().for_each(|at| out.extend_from_slice(&at.to_le_bytes()));
        for target in targets {
            out.extend_from_slice(&target.pointer.to_le_bytes());
            out.extend_from_slice(&target.hash.0.to_le_bytes());
        }
        let mut fields = [0; ENTRY_BYTES];
        fields[0..2].copy_from_slice(&source.rtype.0.to_le_bytes());
        fields[2..4].copy_from_slice(&saturate(source.rdatas.len()).to_le_bytes());
        fields[4..6].copy_from_slice(&saturate(source.signatures.len()).to_le_bytes());
        fields[6..8].copy_from_slice(&saturate(fixups.len()).to_le_bytes());
        fields[8..10].copy_from_slice(&saturate(targets.len()).to_le_bytes());
        fields[10..14].copy_from_slice(&((body_end - start) as u32).to_le_bytes());
        fields[14..18].copy_from_slice(&(signature_bytes as u32).to_le_bytes());
        out[entry..entry + ENTRY_BYTES].copy_from_slice(&fields);
        entry += ENTRY_BYTES;
    }
    out[flags_at] = flags.0;
}

/// A count as 16 bits. An RRset with more records than that has far more octets than any message holds.
fn saturate(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Appends all of a record up to its RDATA. The root is written out: a pointer to it would be longer.
fn push_record_head(out: &mut Vec<u8>, owner: NameRef<'_>, rtype: Type, ttl: u32, rdata_bytes: usize) {
    let length = u16::try_from(rdata_bytes).expect("RDATA has at most 65,535 octets").to_be_bytes();
    let (rtype, ttl, class_in) = (rtype.0.to_be_bytes(), ttl.to_be_bytes(), [0, 1]);
    let mut fixed = [0; RECORD_FIXED_BYTES];
    fixed[0..2].copy_from_slice(&rtype);
    fixed[2..4].copy_from_slice(&class_in);
    fixed[4..8].copy_from_slice(&ttl);
    fixed[8..10].copy_from_slice(&length);
    out.extend_from_slice(if owner.is_root() { &[0] } else { &[0xC0, QNAME_OFFSET as u8] });
    out.extend_from_slice(&fixed);
}

/// SvcPriority of AliasMode (RFC 9460 §2.4.2).
const ALIAS_MODE: [u8; 2] = [0; 2];

/// What is to be known of the template that was written last; its buffers are used again for the next.
#[derive(Default)]
struct Template<'n> {
    fixups: Vec<u16>,
    targets: Vec<Target>,
    suffixes: Suffixes<'n>,
}

/// Whether the names in the RDATA of `rtype` ask for addresses in the additional section
/// (RFC 1035 §3.3, RFC 2782, RFC 9460 §4.1).
fn has_additional(rtype: Type) -> bool {
    matches!(rtype, Type::NS | Type::MX | Type::SRV | Type::SVCB | Type::HTTPS)
}

impl<'n> Template<'n> {
    /// Appends the records of one RRset, compressed.
    fn write(&mut self, out: &mut Vec<u8>, seed: Seed, owner: NameRef<'n>, source: &RrsetSource<'n>) {
        self.fixups.clear();
        self.targets.clear();
        self.suffixes.known.clear();
        let start = out.len();
        let base = QNAME_OFFSET + owner.len() + QUESTION_TAIL_BYTES;
        for rdata in source.rdatas {
            push_record_head(out, owner, source.rtype, source.ttl, rdata.len());
            let (rdata_at, mut copied) = (out.len(), 0);
            for embedded in rdata::names(source.rtype, rdata) {
                out.extend_from_slice(&rdata[copied..embedded.offset]);
                copied = embedded.offset + embedded.name.len();
                let here = base + (out.len() - start);
                let pointer = if embedded.is_compressible {
                    self.suffixes.start(owner);
                    self.suffixes.write(out, here, embedded.name, base, |at| self.fixups.push(saturate(at - base)))
                } else {
                    out.extend_from_slice(embedded.name.as_bytes());
                    here
                };
                if has_additional(source.rtype) {
                    let pointer = if pointer < base + POINTER_REACH_BYTES { pointer as u16 } else { 0 };
                    let is_alias = matches!(source.rtype, Type::SVCB | Type::HTTPS) && rdata.starts_with(&ALIAS_MODE);
                    let bits = if embedded.name.is_at_or_below(owner) { IS_BELOW_OWNER } else { 0 }
                        | if is_alias { IS_ALIAS } else { 0 };
                    self.add_target(seed, embedded.name, pointer | bits);
                }
            }
            out.extend_from_slice(&rdata[copied..]);
            let length = u16::try_from(out.len() - rdata_at).expect("RDATA does not grow by compression");
            out[rdata_at - 2..rdata_at].copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Notes a name for the additional section, once. The root means "no such service" or the owner itself, which
    /// brings no addresses along in NSD and Knot either (RFC 9460 §2.5).
    fn add_target(&mut self, seed: Seed, name: NameRef<'_>, pointer: u16) {
        let hash = LookupName::new(name).hash(seed);
        if name.is_root() {
            return;
        }
        match self.targets.iter_mut().find(|target| target.hash == hash) {
            Some(known) => known.pointer |= pointer & IS_ALIAS,
            None => self.targets.push(Target { pointer, hash }),
        }
    }
}

/// The names that a template can point at: where each suffix stands, as templates count.
#[derive(Default)]
struct Suffixes<'a> {
    known: Vec<(usize, NameRef<'a>)>,
}

impl<'a> Suffixes<'a> {
    /// Notes the owner and its ancestors, unless there are names already.
    ///
    /// A wildcard is not pointed at as a whole: what is asked stands there in a reply, not `*` (RFC 4592 §3.3.1).
    fn start(&mut self, owner: NameRef<'a>) {
        if self.known.is_empty() {
            self.add(QNAME_OFFSET, owner);
            if owner.is_wildcard() {
                self.known.remove(0);
            }
        }
    }

    /// Notes `name`, which was written in full at `at`, and its ancestors up to the root.
    fn add(&mut self, at: usize, name: NameRef<'a>) {
        for suffix in name.ancestors().take_while(|suffix| !suffix.is_root()) {
            if self.known.len() < SUFFIXES_MAX {
                self.known.push((at + name.len() - suffix.len(), suffix));
            }
        }
    }

    /// Writes `name` at offset `here`, ending in a pointer where an equal suffix stands already, and returns where the
    /// name can be pointed at. `moved` is called with where a pointer was written.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        here: usize,
        name: NameRef<'a>,
        base: usize,
        mut moved: impl FnMut(usize),
    ) -> usize {
        let found = name
            .ancestors()
            .take_while(|suffix| !suffix.is_root())
            // Exact to the octet: the letter case of the zone file is to be kept (RFC 1034 §3.1).
            .find_map(|suffix| Some((suffix, self.known.iter().find(|(_, k)| k.as_bytes() == suffix.as_bytes())?.0)));
        let (written, pointer) = match found {
            Some((suffix, pointer)) => (name.len() - suffix.len(), Some(pointer)),
            None => (name.len(), None),
        };
        out.extend_from_slice(&name.as_bytes()[..written]);
        for suffix in name.ancestors().take_while(|suffix| suffix.len() + written > name.len() && !suffix.is_root()) {
            let at = here + name.len() - suffix.len();
            if self.known.len() < SUFFIXES_MAX && at < base + POINTER_REACH_BYTES {
                self.known.push((at, suffix));
            }
        }
        let Some(pointer) = pointer else { return here };
        moved(here + written);
        out.extend_from_slice(&(0xC000 | pointer as u16).to_be_bytes());
        if written == 0 { pointer } else { here }
    }
}

/// Reads the serial, and makes the node of the SOA as negative answers carry it: TTL = min(TTL, MINIMUM), for its
/// signatures as well (RFC 2308 §3, RFC 4034 §3).
pub(super) fn negative_node(seed: Seed, apex: NameRef<'_>, soa: Rrset<'_>) -> (u32, Vec<u8>) {
    let record = soa.records().next().expect("an RRset has a record");
    let mut rdata = Vec::with_capacity(SOA_BYTES);
    soa.write_plain_rdata(apex, &record, &mut rdata);
    // SERIAL and MINIMUM are the first and the last of the five numbers at the end (RFC 1035 §3.3.13).
    let numbers = rdata.last_chunk::<20>().expect("the RDATA of an SOA was checked");
    let number = |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    let ttl = record.ttl.min(number(16));
    let signatures: Vec<(u32, &[u8])> = soa.signature_records().map(|r| (r.ttl.min(ttl), r.rdata)).collect();
    let source = RrsetSource { rtype: Type::SOA, ttl, rdatas: &[&rdata], signatures: &signatures };
    let mut negative = Vec::new();
    encode(&mut negative, seed, apex, Flags::default(), None, [source].into_iter());
    (number(0), negative)
}
