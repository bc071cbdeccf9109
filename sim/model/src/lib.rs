//! The simulator of sessions: scripts, the first backend that plays them, and what must hold.
//!
//! Everything is a value: sessions and discovery of core, fake clients, and the cluster of
//! `doorkeeper-kafka-model`. A script is played without I/O, and invariants, expectations,
//! transcripts and timelines do not depend on the backend that plays it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
pub mod direct;
pub mod environment;
mod expected;
pub mod frames;
pub mod fuzzing;
mod invariants;
pub mod mark;
pub mod payload;
pub mod script;
pub mod timeline;
pub mod trace;
pub mod transcript;
pub mod watch;
