//! TLS: everything that names rustls, so that its next version changes these files alone.

pub mod client;
pub mod client_rules;
pub(crate) mod connected;
pub(crate) mod failure;
pub mod identity;
pub mod inspect;
pub(crate) mod listener;
pub mod parameters;
pub(crate) mod peer;
mod read_ahead;
pub mod server;
pub(crate) mod transport;
pub mod upstream;

#[cfg(test)]
pub(crate) mod tests;
