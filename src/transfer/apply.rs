//! A zone and changes that came → the next version, exactly as the primary has it, or nothing.

use super::change::{Change, Soa};
use crate::fault::Faults;
use crate::zone::Zone;
use crate::zonebuild::{Delta, DeltaError, Executor};

/// Why changes do not make the next version: the whole zone is asked for then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The changes begin at a SOA that ours is not.
    #[error("the changes begin at another SOA than ours")]
    OtherBase,
    /// A record goes that is not there, or comes and is there.
    #[error("{0}, which a change says that it has not")]
    NotExact(DeltaError),
    /// The version that they make has errors.
    #[error("the version that the changes make has errors")]
    Faulty,
}

/// Makes the next version. `now` is as in [`crate::zonebuild::Plan`]; faults of the version go to `faults`.
///
/// # Errors
/// [`ApplyError`].
pub fn apply(
    base: &Zone,
    changes: &[Change],
    now: u32,
    executor: &dyn Executor,
    faults: &mut Faults,
) -> Result<Zone, ApplyError> {
    let first = changes.first().ok_or(ApplyError::OtherBase)?;
    if !first.from.is_same_data(&Soa::of(base)) {
        return Err(ApplyError::OtherBase);
    }
    let mut delta = Delta::new(base);
    for change in changes {
        let deleted = [change.from.record(base.apex())].into_iter().chain(change.deleted.iter());
        let added = [change.to.record(base.apex())].into_iter().chain(change.added.iter());
        for record in deleted {
            delta.delete(&record).map_err(ApplyError::NotExact)?;
        }
        for record in added {
            delta.add(&record).map_err(ApplyError::NotExact)?;
        }
    }
    delta.finish(now, executor, faults).ok_or(ApplyError::Faulty)
}
