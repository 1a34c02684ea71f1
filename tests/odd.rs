//! Odd packets, each with the reply that it must get (RFC 8906 §8, RFC 6891, RFC 7828, RFC 8914, RFC 9619).
//!
//! Silence is proved by a second query behind the odd one, not by waiting.

#[path = "odd/chaos.rs"]
mod chaos;
mod common;
#[path = "odd/edns.rs"]
mod edns;
#[path = "odd/packets.rs"]
mod packets;
#[path = "odd/table.rs"]
mod table;
#[path = "odd/tsig.rs"]
mod tsig;

use std::fs;

use common::must_skip;
use common::server::{IDENTITY, Kind, Server, VERSION, ZoneFile};

/// The zone that the odd packets are about.
const ZONE: &str = "\
$ORIGIN odd.test.
$TTL 3600
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
  IN NS  ns
ns IN A 192.0.2.1
WwW IN A 192.0.2.2
Alias IN CNAME WwW
txt IN TXT \"one\"
a.b IN TXT \"below an empty name\"
$GENERATE 1-40 s512 IN A 198.51.100.$
$GENERATE 1-70 s1232 IN A 198.51.100.$
$GENERATE 1-250 s4096 IN A 198.51.100.$
$GENERATE 1-250 s4096 IN A 198.18.1.$
";

/// A server with the zone, its folder, and what it says of itself.
pub(crate) struct Site {
    /// The server.
    pub(crate) server: Server,
    /// The folder of the zone file.
    _folder: tempfile::TempDir,
}

impl Site {
    /// Starts the tested server; `is_shy` hides its identity and version. `None`: a peer is missing, skipped loudly.
    pub(crate) fn start(test: &str, is_shy: bool) -> Option<Self> {
        let kind = Kind::under_test();
        let program = match kind {
            Kind::Fated => None,
            Kind::Nsd => Some("nsd"),
            Kind::Knot => Some("knotd"),
            Kind::Named => Some("named"),
        };
        if program.is_some_and(|program| must_skip(test, &[program])) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let zone = folder.path().join("odd.test.zone");
        fs::write(&zone, common::zonetext::written_out(ZONE)).expect("the folder can be written to");
        let config = folder.path().join("fated.toml");
        let (identity, version) = if is_shy { ("", "") } else { (IDENTITY, VERSION) };
        let text = format!("[server]\nidentity = \"{identity}\"\nversion = \"{version}\"\n");
        fs::write(&config, text).expect("the folder can be written to");
        let arguments = ["--config", config.to_str().expect("a temporary path is UTF-8")];
        let server = Server::start_with(kind, &[ZoneFile::new("odd.test.", zone)], &arguments);
        Some(Self { server, _folder: folder })
    }
}
