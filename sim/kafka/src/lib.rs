//! A Kafka cluster in memory, sans-IO, as a value.
//!
//! [`Cluster`] responds as Apache Kafka does, errors included, with no I/O, no clock and no
//! randomness but a seed. Real clients use it through `doorkeeper-host`; simulations drive it
//! directly.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod api;
pub mod batch;
mod broker;
mod brokers;
mod close;
mod cluster;
mod codec;
mod config;
mod connection;
mod consumer_group;
mod controller;
mod fetch_session;
mod group;
mod group_coordinator;
mod groups;
mod log;
mod producer_state;
mod replica_manager;
mod rng;
mod share_group;
mod share_partition;
mod share_partition_manager;
mod share_session;
mod shares;
mod topics;
mod transaction;
mod transaction_coordinator;
mod transactions;

pub use close::CloseReason;
pub use cluster::{Cluster, Output};
pub use config::{ClusterConfig, HOST_IN_CONFIGS, Limits};
pub use connection::ConnectionId;
pub use rng::Rng;
