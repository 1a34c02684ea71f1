//! stub
use crate::wire::{Name, Type};
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// x
    pub file: u16,
    /// x
    pub line: u32,
    /// x
    pub column: u16,
}
impl Place {
    /// x
    pub fn of_file(file: u16) -> Self {
        Self { file, line: 0, column: 0 }
    }
}
/// x
pub const FAULTS_MAX: usize = 200;
/// x
#[derive(Default)]
pub struct Faults(Vec<FaultKind>);
impl Faults {
    /// x
    pub fn add(&mut self, kind: FaultKind, _p: Place, _l: usize) {
        self.0.push(kind)
    }
    /// x
    pub fn error_count(&self) -> usize {
        0
    }
}
/// x
#[allow(missing_docs)]
#[derive(Clone, Debug)]
pub enum FaultKind {
    SoaNotAtApex { owner: Name, apex: Name },
    NoSoa { apex: Name },
    SeveralSoas { apex: Name },
    SeveralCnames { owner: Name },
    SeveralDnames { owner: Name },
    CnameAndOtherData { owner: Name, rtype: Type },
    BelowDname { owner: Name, rtype: Type, dname: Name },
    RrsetTooLarge { owner: Name, rtype: Type, bytes: usize },
    Nsec3TooManyIterations { iterations: u16, max: u16 },
    OutOfZone { owner: Name, apex: Name },
    TtlsDiffer { owner: Name, rtype: Type, ttl: u32, used: u32 },
    Duplicate { owner: Name, rtype: Type },
    RrsigCoversNothing { owner: Name, covered: Type },
    AtWildcard { owner: Name, rtype: Type },
    NsBesideDname { owner: Name },
    NoApexNs { apex: Name },
    TargetIsAlias { owner: Name, rtype: Type, target: Name },
    MissingGlue { cut: Name, target: Name },
    TargetWithoutAddress { owner: Name, rtype: Type, target: Name },
    BelowCut { owner: Name, rtype: Type, cut: Name },
    Nsec3WithoutParam { apex: Name },
    Nsec3ParamWithoutChain { apex: Name },
    Nsec3Algorithm { algorithm: u8 },
    Nsec3Iterations { iterations: u16 },
    Unsigned { apex: Name, owner: Name, rtype: Type, count: usize },
}
