//! Discovery, driven by hand: what it asks, what it learns, and what it does not believe.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and its helpers fail by panicking"
)]

mod candidates;
mod login;
mod survey;
mod topology;
mod world;
