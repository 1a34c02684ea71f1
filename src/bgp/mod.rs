//! BGP-4 for a speaker that announces its service addresses and carries nobody's traffic elsewhere (RFC 4271).
//!
//! Knows no clock, socket or thread: `now` is an argument, as in [`policy`](crate::policy). Owns the octets of BGP
//! messages, and the session with one neighbour: what may be announced, for how long, and when the session ends itself.
//!
//! ```text
//!   Event::Wanted(routes, when proven) ──▶ ┌─────────┐ ──▶ Action::Send(octets)
//!   Event::Received(octets) ─────────────▶ │ Session │ ──▶ Action::Connect, Disconnect, Abort
//!   Event::Tick at `deadline()` ─────────▶ └─────────┘ ──▶ Action::Changed, Noticed
//! ```
//!
//! A message that keeps routes alive costs a proof: while anything is announced, no KEEPALIVE and no announcement
//! leaves unless each announced route was proven lately. Graceful restart is never offered, since a dead node's route
//! must go with its session.

mod action;
mod announcement;
mod attribute;
mod capability;
mod event;
mod facts;
mod family;
mod frames;
mod message;
mod notification;
mod number;
mod octets;
mod open;
mod prefix;
mod refresh;
mod role;
mod route;
mod session;
mod settings;
mod state;
mod terms;
#[cfg(test)]
mod tests;
mod update;

pub use action::{Action, Cause, Notice, Obstacle};
pub use event::{BfdState, ConnectFailure, Event, Link};
pub use facts::{Agreed, Facts, Fault, MessageCounts, PeerOpen, ReceivedRoute};
pub use family::{Families, Family};
pub use notification::{Notification, SHUTDOWN_TEXT_BYTES_MAX};
pub use number::AsNumber;
pub use role::Role;
pub use route::{Attributes, NextHop, Route};
pub use session::Session;
pub use settings::SessionSettings;
pub use state::State;
