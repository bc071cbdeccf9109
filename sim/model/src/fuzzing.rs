//! The bodies of the fuzz targets: what must hold for any bytes whatever.
//!
//! libFuzzer calls them through the one-line targets in `fuzz/`; `tests/corpus.rs` replays
//! `corpus/` through them on every `cargo test`. A body panics when a rule is broken and returns
//! otherwise, whether the bytes made sense or not.

mod chunks;
mod edit;
mod framer;
mod session;
mod walk;

pub use edit::edit;
pub use framer::framer;
pub use session::session;
pub use walk::walk;

/// What a target does with an input.
pub type Body = fn(&[u8]);

/// Every body by the name of its target, which is also its folder in `corpus/`.
pub const TARGETS: &[(&str, Body)] = &[
    ("edit", edit),
    ("framer", framer),
    ("session", session),
    ("walk", walk),
];
