//! The `fated` command.

fn main() {}
