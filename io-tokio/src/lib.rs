//! The tokio adapter of doorkeeper.
