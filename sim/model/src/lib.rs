//! Sans-IO models of Kafka brokers: an in-memory cluster as a value.
//!
//! [`Cluster`] responds as Apache Kafka does, errors included, with no I/O, no clock and no
//! randomness but a seed. Real clients use it through `doorkeeper-host`; simulations drive it
//! directly.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod api;
mod batch;
mod broker;
pub mod client;
mod close;
mod cluster;
mod codec;
mod config;
mod connection;
mod consumer_group;
pub mod direct;
pub mod environment;
mod expected;
mod fetch_session;
pub mod frames;
pub mod fuzzing;
mod group;
mod groups;
mod invariants;
mod log;
pub mod payload;
mod producer_state;
mod rng;
pub mod script;
mod share_group;
mod share_partition;
mod share_session;
mod shares;
pub mod timeline;
mod topics;
pub mod trace;
mod transaction;
mod transactions;
pub mod transcript;
pub mod watch;

pub use close::CloseReason;
pub use cluster::{Cluster, Output};
pub use config::{ClusterConfig, Limits};
pub use connection::ConnectionId;
pub use rng::Rng;
