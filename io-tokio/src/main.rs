//! The binary `doorkeeper`.

fn main() {}
