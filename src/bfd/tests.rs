//! The tests of sessions.
