//! Deterministic simulation of doorkeeper: a seed becomes a script, and the script is run.
//!
//! What is run, and what must hold, is in `doorkeeper-model`; here is where scripts come from, and
//! what is done with those that fail. The real server loop runs on a simulated network in
//! [`world`].

pub mod choppy;
pub mod kind;
pub mod net;
pub mod page;
pub mod parity;
pub mod pool;
pub mod seeds;
pub mod shrink;
pub mod splitmix64;
pub mod swarm;
pub mod tally;
pub mod tap;
pub mod tier1;
pub mod world;
