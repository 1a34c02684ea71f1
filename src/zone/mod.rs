//! Zone files → immutable zones, and the lookup of names in them. Pure: files come through [`reader::Files`].

mod set;
mod standin_fault;
mod standin_zone;

pub use set::ZoneSet;
pub use standin_fault::{fault, hash, reader, report};
pub use standin_zone::{Zone, load};
