//! A second opinion in the same process: `hickory-server` answers from the same records, read by its own parser.
//!
//! Compared are RCODE, AA and the answer section as a set, for what both mean to answer alike: names that are there,
//! names without the type, names that are not. `tests/peers.rs` compares everything, with servers that know
//! everything. Left out here is what hickory-server 0.26 is known to answer wrongly or not at all:
//!
//! - names at and below a cut: it sets AA on referrals and leaves out the glue;
//! - DNAME: its parser does not know the type, so that names at and below one are asked of nobody;
//! - wildcards: it climbs past the closest encloser, and takes one also where the name is there and only the type is
//!   missing; so a name that has a wildcard beside or above itself is asked for its own types only;
//! - aliases that lead to no name: it gives NOERROR, where RFC 6604 §3 wants the RCODE of the last name;
//! - aliases that lead to any of these, into another zone, or over more aliases than the eight that it follows;
//! - types and escapes that its parser does not know: names that own one are left out.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use fated::wire::Type;
use hickory_proto::rr::Name;
use hickory_proto::serialize::txt::Parser;
use hickory_server::Server as Hickory;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;

use common::ask::udp_many;
use common::message::{AA, Edns, Message, Query, Record, TC};
use common::name::name;
use common::server::{Kind, Server, ZoneFile};

/// The types that the parser of hickory knows, of those that our zones have.
const KNOWN: &[&str] = &[
    "A", "AAAA", "CAA", "CNAME", "HINFO", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SSHFP", "SVCB", "TLSA",
    "TXT",
];
/// The longest name as text with its dot (RFC 1035 §3.1).
const NAME_TEXT_BYTES_MAX: usize = 254;
/// How many aliases hickory follows.
const ALIASES_MAX: usize = 8;

/// The types of each owner of a zone, names in lower case with their dot, and where the aliases lead.
#[derive(Debug, Default)]
struct Zone {
    origin: String,
    types: BTreeMap<String, BTreeSet<String>>,
    aliases: BTreeMap<String, String>,
    /// Owners with a record that hickory is not given.
    withheld: BTreeSet<String>,
}

impl Zone {
    /// Reads the lines of `fated check --print`: owner, TTL, class, type, RDATA, names absolute.
    fn read(origin: &str, text: &str) -> Self {
        let mut zone = Self { origin: origin.to_owned(), ..Self::default() };
        for line in text.lines() {
            let [owner, _ttl, _class, rtype, rdata] = fields(line);
            zone.types.entry(owner.to_lowercase()).or_default().insert(rtype.to_owned());
            if !is_readable(line) {
                zone.withheld.insert(owner.to_lowercase());
            }
            if rtype == "CNAME" {
                zone.aliases.insert(owner.to_lowercase(), rdata.to_lowercase());
            }
        }
        zone
    }

    /// Whether `owner` has a record of the type.
    fn has(&self, owner: &str, rtype: &str) -> bool {
        self.types.get(owner).is_some_and(|types| types.contains(rtype))
    }

    /// The names from `owner` up to the apex.
    fn line<'a>(&self, owner: &'a str) -> impl Iterator<Item = &'a str> {
        let depth = owner.matches('.').count() - self.origin.matches('.').count();
        std::iter::successors(Some(owner), |name| Some(name.split_once('.')?.1)).take(depth + 1)
    }

    /// Whether hickory means to answer for the name as everybody does.
    fn is_common_ground(&self, owner: &str) -> bool {
        // An empty non-terminal is there only if hickory was given what is below it.
        let below = format!(".{owner}");
        let is_ours = owner == self.origin || owner.ends_with(&format!(".{}", self.origin));
        is_ours
            && !owner.contains('*')
            && !self.withheld.contains(owner)
            && (self.types.contains_key(owner) || !self.withheld.iter().any(|name| name.ends_with(&below)))
            && self.line(owner).all(|name| !self.has(name, "DNAME") && (name == self.origin || !self.has(name, "NS")))
    }

    /// Whether a wildcard stands beside or above the name, or the name is one.
    fn has_wildcard_near(&self, owner: &str) -> bool {
        self.line(owner).any(|name| self.types.contains_key(&format!("*.{name}")) || name.starts_with("*."))
    }

    /// Whether the name has records or stands above one that has.
    fn is_there(&self, owner: &str) -> bool {
        let below = format!(".{owner}");
        self.types.keys().any(|name| name == owner || name.ends_with(&below))
    }

    /// Whether the aliases from `owner` on end at a name that is there and stands on common ground too.
    fn has_common_target(&self, owner: &str) -> bool {
        let mut at = owner;
        for _ in 0..ALIASES_MAX {
            match self.aliases.get(at) {
                None => return at == owner || self.is_there(at),
                Some(target) if self.is_common_ground(target) => at = target,
                Some(_) => return false,
            }
        }
        false
    }

    /// The questions of the common ground: each name with each type, a name below each name, and names in between.
    fn questions(&self) -> Vec<Query> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for owner in self.types.keys() {
            names.extend(self.line(owner).map(str::to_owned));
            // Below the longest names there is no room for one more.
            names.extend(Some(format!("no-such-name.{owner}")).filter(|name| name.len() <= NAME_TEXT_BYTES_MAX));
        }
        let mut questions = Vec::new();
        for owner in names.iter().filter(|owner| self.is_common_ground(owner) && self.has_common_target(owner)) {
            let is_alias = self.aliases.contains_key(owner);
            for rtype in KNOWN {
                if self.has(owner, rtype) || is_alias || !self.has_wildcard_near(owner) {
                    let rtype = Type::from_text(rtype.as_bytes()).expect("the types of the list have names");
                    questions.push(Query::new(&name(owner), rtype.0).with_edns(Edns::new(4096, false)));
                }
            }
        }
        questions
    }
}

/// The five fields of a printed record.
fn fields(line: &str) -> [&str; 5] {
    let mut fields = line.splitn(5, '\t');
    [(); 5].map(|()| fields.next().unwrap_or_else(|| panic!("five fields in {line:?}")))
}

/// Whether the parser of hickory knows the type and reads the names; escapes are left to `tests/rdata.rs`.
fn is_readable(line: &str) -> bool {
    let [owner, _ttl, _class, rtype, rdata] = fields(line);
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let owner = owner.strip_prefix("*.").unwrap_or(owner);
    KNOWN.contains(&rtype) && owner.bytes().all(is_plain) && !rdata.contains('\\')
}

/// The zone as `fated check --print` writes it.
fn printed(origin: &str, file: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
    command.args(["check", "--print", "--zone"]).arg(format!("{origin}={}", file.display()));
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("what is printed is ASCII")
}

/// Serves the records that hickory's parser knows, on a port of loopback, until the runtime is dropped.
fn start_hickory(origin: &str, text: &str) -> (Runtime, SocketAddr) {
    let known: Vec<&str> = text.lines().filter(|line| is_readable(line)).collect();
    let origin = Name::from_ascii(origin).expect("the origin is a name");
    let parser = Parser::new(known.join("\n") + "\n", None, Some(origin.clone()));
    let (origin, records) = parser.parse().expect("hickory reads what fated prints");
    let zone: InMemoryZoneHandler =
        InMemoryZoneHandler::new(origin.clone(), records, ZoneType::Primary, AxfrPolicy::Deny).expect("a good zone");
    let mut catalog = Catalog::new();
    catalog.upsert(origin.into(), vec![Arc::new(zone)]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let address = runtime.block_on(async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has free ports");
        let address = socket.local_addr().expect("a bound socket has an address");
        let mut server = Hickory::new(catalog);
        server.register_socket(socket);
        tokio::spawn(async move { server.block_until_done().await });
        address
    });
    (runtime, address)
}

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
struct Opinion {
    rcode: u16,
    is_authoritative: bool,
    answer: BTreeSet<Record>,
}

impl Opinion {
    /// Takes it out of a reply; `None` where the reply was cut short.
    fn of(who: &str, query: &Query, reply: &[u8]) -> Option<Self> {
        let reply = Message::parse(reply).unwrap_or_else(|fault| panic!("{who}: {query}: {fault}: {reply:02x?}"));
        let [answer, ..] = reply.sets();
        (!reply.has(TC)).then(|| Self { rcode: reply.rcode(), is_authoritative: reply.has(AA), answer })
    }
}

/// Asks both servers all questions of the common ground and reports every difference.
fn compare(origin: &str, file: PathBuf) {
    let text = printed(origin, &file);
    let questions = Zone::read(origin, &text).questions();
    let (_runtime, hickory) = start_hickory(origin, &text);
    let fated = Server::start(Kind::Fated, &[ZoneFile::new(origin, file)]);
    let (ours, theirs) = (udp_many(fated.address, &questions), udp_many(hickory, &questions));
    let (mut kinds, mut differences) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for ((query, ours), theirs) in questions.iter().zip(&ours).zip(&theirs) {
        let Some(ours) = Opinion::of("fated", query, ours) else { continue };
        let Some(theirs) = Opinion::of("hickory", query, theirs) else { continue };
        let kind = match (ours.rcode, ours.answer.is_empty()) {
            (0, false) => "positive",
            (0, true) => "NODATA",
            (3, _) => "NXDOMAIN",
            _ => "other",
        };
        *kinds.entry(kind).or_default() += 1;
        if ours != theirs {
            differences.push(format!("{query}\n  fated   {ours:?}\n  hickory {theirs:?}"));
        }
    }
    println!("{origin}: {kinds:?}");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(
        ["positive", "NODATA", "NXDOMAIN"].iter().all(|kind| kinds.get(kind).is_some_and(|&count| count > 20)),
        "{kinds:?}"
    );
}

#[test]
fn hickory_answers_the_example_zone_alike() {
    compare("example.test.", PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("zones/example.test.zone"));
}

#[test]
fn hickory_answers_the_corners_alike() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("corners.zone");
    std::fs::write(&file, common::zonetext::read("corners.zone")).expect("the folder can be written to");
    compare("corners.test.", file);
}
