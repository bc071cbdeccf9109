//! Deterministic simulation of doorkeeper: a seed becomes a script, and the script is run.
//!
//! What is run, and what must hold, is in `doorkeeper-model`; here is where scripts come from, and
//! what is done with those that fail. The real server loop runs on a simulated network in
//! [`world`].

#[cfg(feature = "server")]
pub mod choppy;
pub mod kind;
#[cfg(feature = "server")]
pub mod net;
pub mod page;
#[cfg(feature = "server")]
pub mod parity;
pub mod pool;
pub mod seeds;
pub mod shrink;
pub mod splitmix64;
pub mod swarm;
pub mod tally;
#[cfg(feature = "server")]
pub mod tap;
#[cfg(feature = "server")]
pub mod tier1;
#[cfg(feature = "server")]
pub mod world;
