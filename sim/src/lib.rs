//! Deterministic simulation of doorkeeper.

pub mod choppy;
pub mod dice;
pub mod net;
pub mod parity;
pub mod tap;
pub mod tier1;
pub mod world;
