//! fated: an anycast-aware authoritative DNS server.

pub mod admin;
pub mod announce;
pub mod answer;
pub mod bfd;
pub mod bgp;
pub mod catalog;
pub mod cli;
pub mod companion;
pub mod config;
pub mod daemon;
pub mod fault;
pub mod health;
pub mod load;
pub mod metrics;
pub mod persistent;
pub mod policy;
pub mod serve;
pub mod store;
pub mod sys;
pub mod tls;
pub mod transfer;
pub mod wire;
pub mod zone;
pub mod zonebuild;
pub mod zonefile;
