//! stub
use crate::wire::{NameRef, Type};
/// x
pub struct EmbeddedName<'a> {
    /// x
    pub offset: usize,
    /// x
    pub name: NameRef<'a>,
    /// x
    pub is_compressible: bool,
}
/// x
#[derive(Debug)]
pub struct WireError;
/// x
pub fn names(_r: Type, _d: &[u8]) -> impl Iterator<Item = EmbeddedName<'_>> {
    core::iter::empty()
}
/// x
pub fn write_canonical(_rtype: Type, rdata: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(rdata)
}
/// x
pub fn write_text(_rtype: Type, _rdata: &[u8], _out: &mut String) {}
/// x
pub fn decompress(
    _rtype: Type,
    _message: &[u8],
    _start: usize,
    _length: usize,
    _out: &mut Vec<u8>,
) -> Result<(), WireError> {
    Ok(())
}
