//! Addresses in answers: what clients may see and what they may not.

mod known_hosts;

pub use known_hosts::KnownHosts;
