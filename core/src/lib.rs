//! The sans-IO core of doorkeeper: all protocol behaviour, no I/O.
//!
//! **A [`Session`] is a value: hand it every [`Input`] together with the time, drain
//! [`Session::poll`] to `None` after each, write what [`Session::egress`] lends, and do what
//! [`Session::demand`] says; it never fails, never blocks, and asks nothing of its
//! surroundings but what an [`Effect`] says.**

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
pub mod broker_versions;
pub mod buffer_budget;
pub mod certificate;
pub mod client_address;
pub mod client_network;
mod connection;
pub mod discovery;
mod egress;
pub mod error;
pub mod event;
pub mod id;
mod io;
pub mod limits;
#[cfg(doorkeeper_mutants)]
pub mod mutation;
#[cfg(not(doorkeeper_mutants))]
mod mutation;
pub mod policy;
pub mod proxy_protocol;
mod queue;
pub mod record;
pub mod rewrite;
pub mod sasl;
pub mod secret;
mod session;
pub mod snapshot;
pub mod time;
pub mod tls_facts;
pub mod tls_failure;
pub mod topology;
mod upstream;
pub mod wire;
pub mod work;

pub use connection::{ConnectFailure, End, Leg};
pub use egress::Egress;
pub use error::CloseReason;
pub use io::{Accept, BufferedBytes, Demand, Effect, Input, Observation, Route, Target};
pub use session::Session;
pub use snapshot::Snapshot;
pub use time::Instant;
