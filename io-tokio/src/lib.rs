//! The tokio adapter of doorkeeper.
//!
//! Everything here moves bytes and time between core's machines and a [`Net`]; what happens is
//! decided in core alone.

pub mod admin;
pub mod bulk;
pub mod config;
mod discovery;
mod driver;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod net;
pub mod observer;
mod own_addresses;
mod queue;
pub mod recorder;
pub mod serve;
mod shutdown;
pub mod silent;
mod stream;

pub use doorkeeper_net::{Ends, Interest, Net};
