//! Deterministic simulation of doorkeeper.

pub mod choppy;
pub mod dice;
pub mod net;
pub mod world;
