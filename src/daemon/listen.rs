//! Binding what can be bound: default addresses may be absent, and those of the configuration may come later. And what
//! to say when it fails.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::error::DaemonError;
use super::tls::SpokenTls;
use crate::config::{Absence, Config};
use crate::serve::{self, BindCause, Bound, ListenAddress};
use crate::wire::Shown;

/// Binds all addresses, the service addresses last. An address that this host lacks is left out, bound all the same, or
/// an error, as is said of it; logged in each case.
pub(super) fn bind(config: &Config, tls: &SpokenTls) -> Result<Bound, DaemonError> {
    let mut bound = bind_plain(config)?;
    let addresses = config.tls.iter().flat_map(|tls| &tls.listen);
    for (&address, acceptor) in addresses.zip(std::iter::repeat(tls.acceptor())) {
        let Some(acceptor) = acceptor else { break };
        let error = match bound.listen_tls(address.into(), acceptor) {
            Ok(()) => continue,
            Err(error) => error,
        };
        if config.is_strict || !error.cause.is_absence() {
            return Err(error.into());
        }
        // Service addresses come with the announcement, others may come later.
        match bound.listen_tls(ListenAddress { address, may_be_absent: true }, acceptor) {
            Ok(()) if is_service(config, address) => {}
            Ok(()) => tracing::warn!(
                "`server.tls.listen` {address}: no interface of this host has this address yet; it is answered as \
                 soon as one has"
            ),
            Err(error) => tracing::error!("`server.tls.listen`: {error}; the rest is served without it"),
        }
    }
    Ok(bound)
}

/// Whether an address is one of the anycast addresses.
fn is_service(config: &Config, address: SocketAddr) -> bool {
    config.anycast.as_ref().is_some_and(|anycast| anycast.addresses.contains(&address.ip()))
}

/// Binds all addresses for UDP and plain TCP.
fn bind_plain(config: &Config) -> Result<Bound, DaemonError> {
    let services = service_addresses(config);
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut listen: Vec<(ListenAddress, Absence)> =
        config.listen.iter().map(|listen| (listen.address.into(), listen.absence)).collect();
    // Each turn binds all, takes one address out or awaits one more, so there are at most twice as many turns as
    // addresses.
    while !listen.is_empty() || !services.is_empty() {
        let wanted: Vec<ListenAddress> =
            listen.iter().map(|(wanted, _)| *wanted).chain(services.iter().copied()).collect();
        let error = match serve::bind(&wanted, config.workers.get(), &config.tcp) {
            Ok(bound) => return Ok(bound),
            Err(error) => error,
        };
        let Some(at) = listen.iter().position(|(wanted, _)| wanted.address == error.address) else {
            return Err(error.into());
        };
        match (listen[at].1, error.cause) {
            (Absence::Await, BindCause::NotOurs) if !listen[at].0.may_be_absent => {
                tracing::warn!(
                    "{}: no interface of this host has this address yet; it is answered as soon as one has",
                    error.address
                );
                listen[at].0.may_be_absent = true;
            }
            (Absence::Await, BindCause::FamilyAbsent) => {
                tracing::error!("{error}; the rest is served without it");
                listen.remove(at);
            }
            (Absence::LeaveOut, cause) if cause.is_absence() => {
                tracing::warn!("{} is left out: this host has no such address", error.address);
                listen.remove(at);
            }
            (Absence::LeaveOut | Absence::Await | Absence::Refuse, _) => return Err(error.into()),
        }
    }
    // What is awaited comes later; see `scoped`.
    let is_awaited = !config.scoped.is_empty();
    serve::bind::<SocketAddr>(&[], 0, &config.tcp).ok().filter(|_| is_awaited).ok_or(DaemonError::NoAddress)
}

/// Binds the address of the pages over HTTP, if there is one. An address that is not there yet is bound all the same;
/// what else is wrong with it is logged and no reason not to serve, unless somebody has it or it is forbidden.
pub(super) fn bind_admin(config: &Config) -> Result<Option<TcpListener>, DaemonError> {
    let Some(address) = config.admin else { return Ok(None) };
    let error = match serve::listen_at(address.into()) {
        Ok(listener) => return Ok(Some(listener)),
        Err(error) if config.is_strict || !error.cause.is_absence() => return Err(DaemonError::Admin(error)),
        Err(error) => error,
    };
    match serve::listen_at(ListenAddress { address, may_be_absent: true }) {
        Ok(listener) => {
            tracing::warn!(
                "`admin.listen` {address}: no interface has this address yet; the pages are there as soon as one has"
            );
            Ok(Some(listener))
        }
        Err(_) => {
            tracing::error!("`admin.listen`: {error}; served without the pages over HTTP");
            Ok(None)
        }
    }
}

/// Where the service addresses are answered. They may be absent yet. In a dry run they never come, and loopback stands
/// in for each, with a port that the kernel chooses.
fn service_addresses(config: &Config) -> Vec<ListenAddress> {
    let Some(anycast) = &config.anycast else { return Vec::new() };
    let stand_in = |address: SocketAddr| {
        let loopback = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        SocketAddr::new(loopback, 0)
    };
    let wanted = |address| match anycast.is_dry_run {
        true => ListenAddress { address: stand_in(address), may_be_absent: false },
        false => ListenAddress { address, may_be_absent: true },
    };
    anycast.sockets().map(wanted).collect()
}

/// Returns the advice for somebody without zones.
pub(super) fn how_to_begin(folder: &Path, cause: &str) -> String {
    let folder = Shown::path(folder);
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
