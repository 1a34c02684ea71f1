//! Names as they are kept where there are very many of them.

use core::cmp::Ordering;
use core::fmt;
use std::sync::Arc;

use super::{Name, NameRef};

/// An owned name in no more octets than it has; copies share them.
#[derive(Clone)]
pub struct SharedName(Arc<[u8]>);

impl SharedName {
    /// Borrows the name.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }
}

impl From<NameRef<'_>> for SharedName {
    fn from(name: NameRef<'_>) -> Self {
        Self(name.0.into())
    }
}

impl PartialEq for SharedName {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for SharedName {}

impl PartialOrd for SharedName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SharedName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl core::hash::Hash for SharedName {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl PartialEq<Name> for SharedName {
    fn eq(&self, other: &Name) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl fmt::Display for SharedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for SharedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a good name")
    }

    #[test]
    fn shared_names_are_those_that_they_were_made_from() {
        let (kept, other) = (SharedName::from(name("WWW.example.").as_ref()), name("www.EXAMPLE."));
        assert_eq!(kept.as_ref().as_bytes(), name("WWW.example.").as_ref().as_bytes());
        assert_eq!((kept.to_string(), &kept), ("WWW.example.".to_owned(), &SharedName::from(other.as_ref())));
        assert!(kept == other && kept != name("example."));
    }
}
