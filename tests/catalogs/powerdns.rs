//! PowerDNS with its backend for SQLite, the only one of ours that has catalogs.

use std::net::SocketAddr;

use super::command::zone;
use super::common::{self, skip_loudly};
use super::peer::{Kind, Peer};

/// Where Debian has the tables of that backend.
const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

/// Whether a test can't run here.
pub(crate) fn must_skip(test: &str) -> bool {
    if common::must_skip(test, &[Kind::PowerDns.programs(), &["sqlite3"]].concat()) {
        return true;
    }
    let is_missing = !std::path::Path::new(SCHEMA).exists();
    if is_missing {
        assert!(std::env::var_os("FATED_TESTS_MAY_SKIP").is_some(), "{test}: no {SCHEMA}; run tests/needs.sh");
        skip_loudly(test, SCHEMA);
    }
    is_missing
}

/// Configures it as primary and secondary, and makes its tables.
pub(crate) fn configure(peer: &Peer, notified: SocketAddr) {
    peer.configure(&format!(
        "launch=gsqlite3\ngsqlite3-database=FOLDER/zones.sqlite3\nlocal-address=127.0.0.1\nlocal-port=PORT\n\
         socket-dir=FOLDER\nguardian=no\ndaemon=no\ndisable-syslog=yes\nloglevel=5\nsecurity-poll-suffix=\n\
         primary=yes\nsecondary=yes\nallow-axfr-ips=127.0.0.0/8\nalso-notify={notified}\nonly-notify=127.0.0.1/32\n\
         cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\nxfr-cycle-interval=1\n"
    ));
    peer.tool("sqlite3", &["zones.sqlite3", &format!(".read {SCHEMA}")]);
}

/// Lets it read a catalog.
pub(crate) fn consume(peer: &Peer, catalog: &str, primary: SocketAddr) {
    peer.tool("pdnsutil", &["--config-dir=.", "create-secondary-zone", catalog, &primary.to_string()]);
    peer.tool("pdnsutil", &["--config-dir=.", "set-kind", catalog, "consumer"]);
}

/// Lets it make a catalog of zones.
pub(crate) fn produce(peer: &Peer, catalog: &str, zones: &[&str]) {
    let tool = |arguments: &[&str]| peer.tool("pdnsutil", &[&["--config-dir=."], arguments].concat());
    tool(&["create-zone", catalog]);
    tool(&["set-kind", catalog, "producer"]);
    for name in zones {
        peer.write("zone", &zone(7));
        tool(&["load-zone", name, "zone"]);
        tool(&["set-kind", name, "primary"]);
        tool(&["set-catalog", name, catalog]);
    }
}

/// Takes a zone out of a catalog.
pub(crate) fn unlist(peer: &Peer, catalog: &str, name: &str) {
    peer.tool("pdnsutil", &["--config-dir=.", "set-catalog", name, ""]);
    peer.tool("pdns_control", &["--config-dir=.", "notify", catalog]);
}
