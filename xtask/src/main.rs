//! The only scripts of the project: `cargo xtask COMMAND`.

fn main() {}
