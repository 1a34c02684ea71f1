//! Zone files → immutable zones, and the lookup of names in them. Pure: files come through [`reader::Files`].

mod set;

pub use set::ZoneSet;
