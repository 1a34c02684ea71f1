//! Zone files → immutable zones, and the lookup of names in them. Pure: files come through [`reader::Files`].

pub mod fault;
mod nearest;
pub mod reader;
pub mod report;
mod set;

pub use set::ZoneSet;
