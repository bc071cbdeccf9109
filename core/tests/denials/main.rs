//! APIs that clients are not allowed: they are advertised, and a request gets a response here with
//! Kafka's own error, in the shape that its API has for it.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test may panic, reads its frames from files, and shares its helpers"
)]

mod broker_configs;
#[path = "../session/harness.rs"]
mod harness;
mod recorded;
mod requests;
mod responses;
#[path = "../walk_support/mod.rs"]
mod walk_support;

const CHUNKS: [usize; 4] = [1, 7, 100, usize::MAX];
const ID: i32 = 7;
