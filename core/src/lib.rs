//! The sans-IO core of doorkeeper.
