//! Why the server did not start, or did not end well.

use std::io;
use std::path::PathBuf;

use super::drain::DrainError;
use super::host::HostError;
use crate::admin::socket::ControlError;
use crate::announce::bgp::SpeakerError;
use crate::announce::kernel::RouteError;
use crate::config::ConfigError;
use crate::load::ReloadError;
use crate::serve::BindError;
use crate::sys::lock::LockError;
use crate::wire::Shown;

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration has faults.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nothing to serve.
    #[error("{0}")]
    NothingToServe(String),
    /// Another server works in the state folder, or it can't be used.
    #[error("the state folder {}: {cause}", Shown::path(path))]
    State {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: LockError,
    },
    /// Whether the operator has drained this server is unknown.
    #[error(transparent)]
    Drain(#[from] DrainError),
    /// The device that the configuration names does not go with the rest of it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The address of the pages over HTTP can't be listened on.
    #[error("`admin.listen` {}: {}\nname another address in [admin], or find who has it \
        with `ss -lntp`", .0.address, .0)]
    Admin(BindError),
    /// The service addresses can't be held.
    #[error("[anycast]: {0}")]
    Route(#[from] RouteError),
    /// There can be no BGP speaker.
    #[error("[bgp]: {0}")]
    Speaker(#[from] SpeakerError),
    /// The control socket can't be had.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The zones folder can't be read.
    #[error(transparent)]
    Load(#[from] ReloadError),
    /// Zone files have errors; the faults are shown already.
    #[error(
        "{broken} of {all} zones can't be served, and --strict or `server.strict` asks for all; nothing was started"
    )]
    Zones {
        /// Zone files with errors.
        broken: usize,
        /// All zone files.
        all: usize,
    },
    /// An address can't be listened on.
    #[error("{}", explain(.0))]
    Bind(#[from] BindError),
    /// The host has none of the default addresses.
    #[error("this host has neither 127.0.0.1 nor ::1; name an address with --listen")]
    NoAddress,
    /// The system gave no thread, descriptor or random numbers.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// A second signal came before everything was closed.
    #[error("ended by a second signal before everything was closed")]
    Hurried,
}

impl DaemonError {
    /// Whether what was typed or configured is at fault, rather than the host or the zones.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::NothingToServe(_) | Self::Host(_))
    }

    /// Names what was tried when the system refused.
    pub(super) fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self::System { what, cause }
    }
}

/// Says which address can't be listened on, why, and what to do.
fn explain(error: &BindError) -> String {
    let help = if error.cause.is_absence() {
        "\nthis host has no such address: look at `ip address`, or name another one with --listen"
    } else {
        "\nname another one with --listen ADDRESS:PORT, or find who has it with `ss -lnup`"
    };
    format!("{error}{help}")
}
