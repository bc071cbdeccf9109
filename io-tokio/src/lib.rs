//! The tokio adapter of doorkeeper.
//!
//! Everything here moves bytes and time between core's machines and a [`Net`]; what happens is
//! decided in core alone.

pub mod admin;
mod budget;
pub mod bulk;
mod clock;
pub mod config;
pub mod connection_rate;
mod dial;
mod discovery;
mod driver;
pub mod https;
pub mod id;
pub mod limits;
pub mod logging;
pub mod login;
pub mod metrics;
pub mod net;
pub mod observer;
pub mod observers;
mod open_sessions;
mod own_addresses;
mod plan;
mod process;
pub mod proxy_protocol;
mod queue;
mod readiness;
pub mod recorder;
pub mod serve;
mod shutdown;
pub mod silent;
mod snapshots;
mod stream;
pub mod tls;
mod version_watch;

pub use doorkeeper_net::{Ends, Interest, Net};
