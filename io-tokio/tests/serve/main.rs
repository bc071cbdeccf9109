//! `serve` end to end with bytes: clients on one side, scripted brokers on the other, in between a
//! network in memory that the test owns, under a clock that jumps from deadline to deadline. What
//! only sockets can show runs on loopback.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a test binary has no outside, and its helpers fail by panicking"
)]

mod broker_sasl;
#[path = "../support/ca.rs"]
mod ca;
mod client;
mod clock;
mod cluster;
mod frames;
#[path = "../support/issuer.rs"]
mod issuer;
mod mesh;
mod recorder;
mod world;

mod broker_login;
mod client_faults;
mod drain;
mod fairness;
mod hostile;
mod learning;
mod listen_addrs;
mod login;
mod login_reload;
mod loops;
mod panics;
mod pressure;
mod proxied;
mod reaching;
mod recording;
mod reload;
mod sockets;
mod tls;
mod tls_reload;
mod tokens;
mod unnoticed;
