//! How many connections a listener takes: in all, and from one address.

/// The limits of one listener, all of its ports together. Over them a connection is closed as
/// soon as it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections from one client address.
    pub connections_per_address: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1000,
        }
    }
}
