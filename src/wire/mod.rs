//! Bytes ↔ values: names, types, RDATA, messages. Pure: no socket, clock, thread, log or file.

pub mod message;
pub mod name;
pub mod probe;
pub mod rdata;
pub mod rtype;
pub mod shown;
pub mod tsig;

pub use name::{Name, NameError, NameRef, SharedName};
pub use rtype::{Class, Type};
pub use shown::Shown;
