//! What the thread that asks primaries learns.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::fetch::Fetched;
use crate::admin::{ZoneVerb, reply};
use crate::config::ZoneSources;
use crate::wire::SharedName;

/// What the thread learns.
pub(super) enum Event {
    /// A zone has changed elsewhere, somebody says.
    Notice(SharedName, IpAddr),
    /// An attempt that began with that primary asks nobody any more.
    Left(IpAddr),
    /// What came of it; the number is that of [`Order`](super::fetch::Order).
    Done(SharedName, u64, Result<Box<Fetched>, String>),
    /// An operator wants to know something, or to have it done.
    Ask(ZoneVerb, SharedName, oneshot::Sender<Result<reply::Secondary, String>>),
    /// Something of a zone was to be kept over restarts; whether it is.
    Kept(SharedName, bool),
    /// The configuration was read again.
    Configure(Arc<ZoneSources>),
}
