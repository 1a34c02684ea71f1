//! stub
use crate::wire::{NameRef, Type};
use crate::zone::fault::{Faults, Place};
use std::path::Path;
/// x
pub trait Files {}
/// x
pub struct Sources;
/// x
pub struct Record<'a> {
    /// x
    pub owner: NameRef<'a>,
    /// x
    pub rtype: Type,
    /// x
    pub ttl: u32,
    /// x
    pub rdata: &'a [u8],
    /// x
    pub place: Place,
}
/// x
pub fn read_zone(
    _files: &mut dyn Files,
    _path: &Path,
    _origin: NameRef<'_>,
    _s: &mut Sources,
    _f: &mut Faults,
    _sink: &mut dyn FnMut(Record<'_>),
) {
}
