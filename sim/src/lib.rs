//! Deterministic simulation of doorkeeper.
