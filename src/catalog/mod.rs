//! Catalog zones (RFC 9432): zones whose records say which other zones there are.
//!
//! Reads the members of a catalog, finds what changed in them at a cost that follows the change, and decides which
//! catalog a zone belongs to. Pure: what follows for the zones is carried out by whoever asks.

mod members;
mod owners;
mod produce;
mod read;
#[cfg(test)]
mod tests;

pub use members::{Catalog, Edits};
pub use owners::{Owners, Step, StepKind, Told};
pub use produce::{Listing, PRODUCED_NAME_BYTES_MAX, Produced};
pub use read::{CatalogError, Label, Member};
