//! Binding what can be bound: default addresses may be absent, named ones may not. And what to say when it fails.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::DaemonError;
use crate::config::Config;
use crate::serve::{self, BindError, Bound, Place};

/// Binds all addresses, the service addresses last. A default address that this host lacks is left out with a warning.
pub(super) fn bind(config: &Config) -> Result<Bound, DaemonError> {
    let services = service_places(config);
    let mut listen = config.listen.clone();
    // Each turn binds or takes one address out, so there are at most as many turns as addresses.
    while !listen.is_empty() || !services.is_empty() {
        let addresses = listen.iter().map(|listen| Place::from(listen.address));
        let places: Vec<Place> = addresses.chain(services.iter().copied()).collect();
        let error = match serve::bind(&places, config.workers.get(), &config.tcp) {
            Ok(bound) => return Ok(bound),
            Err(error) => error,
        };
        let at = listen.iter().position(|listen| listen.address == error.address && !listen.is_required);
        match at.filter(|_| error.cause.is_absence()) {
            Some(at) => {
                tracing::warn!("{} is left out: this host has no such address", error.address);
                listen.remove(at);
            }
            None => return Err(error.into()),
        }
    }
    Err(DaemonError::NoAddress)
}

/// Where the service addresses are answered. They may be absent yet. In a dry run they never come, and loopback stands in for
/// each, with a port that the kernel chooses.
fn service_places(config: &Config) -> Vec<Place> {
    let Some(anycast) = &config.anycast else { return Vec::new() };
    let stand_in = |address: SocketAddr| {
        let loopback = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        SocketAddr::new(loopback, 0)
    };
    let place = |address| match anycast.is_dry_run {
        true => Place { address: stand_in(address), may_be_absent: false },
        false => Place { address, may_be_absent: true },
    };
    anycast.sockets().map(place).collect()
}

/// Says which address can't be listened on, why, and what to do.
pub(super) fn explain(error: &BindError) -> String {
    let help = if error.cause.is_absence() {
        "\nthis host has no such address: look at `ip address`, or name another one with --listen"
    } else {
        "\nname another one with --listen ADDRESS:PORT, or find who has it with `ss -lnup`"
    };
    format!("{error}{help}")
}

/// Tells somebody without zones how to begin.
pub(super) fn how_to_begin(folder: &Path, cause: &str) -> String {
    let folder = folder.display();
    format!(
        "nothing to serve: fated looked for NAME.zone files in {folder}/, but {cause}.

To begin, copy this:

mkdir -p {folder} && cat > {folder}/example.test.zone <<'END'
$TTL 3600
@    SOA   ns hostmaster 1 2h 1h 2w 5m
@    NS    ns
ns   A     127.0.0.1
www  A     192.0.2.80
www  AAAA  2001:db8::80
END

Then start fated again and ask it:

dig @127.0.0.1 -p 5300 www.example.test

One zone file from anywhere: fated serve --zone example.test=FILE. More: fated --help"
    )
}
