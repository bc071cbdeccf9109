//! Whole sessions, driven by hand: given bytes, when they come in pieces, then what goes out.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a test binary has no outside, and its helpers fail by panicking"
)]

#[path = "../../../fuzz/src/counting.rs"]
mod counting;

mod addresses;
mod closing;
mod denials;
mod faults;
mod finishing;
mod harness;
mod login;
mod memory;
mod relay;
mod streaming;
mod timing;
mod upstream;
mod upstream_login;
mod versions;
mod work;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;
