//! The network that doorkeeper runs over: one trait.
