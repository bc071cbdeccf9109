//! How many connections a listener takes: in all, and from one address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorkeeper_core::client_network::ClientNetwork;

use crate::observer::Refusal;

/// The limits of one listener, all of its ports together. Over them a connection is closed as
/// soon as it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections from one [`ClientNetwork`].
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

/// Counts the open connections of one listener. Touched when one opens and when it closes, never
/// in between.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: ListenerLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_network: HashMap<ClientNetwork, usize>,
}

/// The right to be connected; dropping it gives the place to the next.
#[derive(Debug)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
    network: ClientNetwork,
}

impl Gate {
    pub(crate) fn new(limits: ListenerLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: Mutex::default(),
        })
    }

    /// Lets one more connection in, or says which limit is reached.
    pub(crate) fn admit(self: &Arc<Self>, network: ClientNetwork) -> Result<Admission, Refusal> {
        let mut open = self.open();
        if open.all >= self.limits.connections {
            return Err(Refusal::Connections);
        }
        let here = open.by_network.get(&network).copied().unwrap_or(0);
        if here >= self.limits.connections_per_address {
            return Err(Refusal::ConnectionsPerAddress);
        }
        open.by_network.insert(network, here + 1);
        open.all += 1;
        drop(open);
        Ok(Admission {
            gate: Arc::clone(self),
            network,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing between taking and giving the lock can leave the counts half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self.gate.open();
        open.all = open.all.saturating_sub(1);
        match open.by_network.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                open.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, connections_per_address: usize) -> Arc<Gate> {
        Gate::new(ListenerLimits {
            connections,
            connections_per_address,
        })
    }

    fn ip(text: &str) -> ClientNetwork {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    #[test]
    fn a_place_is_free_again_once_it_is_given_back() {
        let gate = gate(2, 1);
        let first = gate.admit(ip("10.0.0.1")).unwrap();
        let _second = gate.admit(ip("10.0.0.2")).unwrap();
        assert_eq!(
            gate.admit(ip("10.0.0.3")).unwrap_err(),
            Refusal::Connections
        );
        drop(first);
        gate.admit(ip("10.0.0.3")).unwrap();
        assert_eq!(gate.open().by_network.len(), 1, "no address is kept");
    }

    #[test]
    fn a_mapped_v4_address_counts_as_v4() {
        let gate = gate(9, 1);
        let _one = gate.admit(ip("10.0.0.1")).unwrap();
        assert_eq!(
            gate.admit(ip("::ffff:10.0.0.1")).unwrap_err(),
            Refusal::ConnectionsPerAddress
        );
    }

    /// Whoever has an IPv6 network has more addresses than any listener has places.
    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let gate = gate(9, 2);
        let _two = ["2001:db8::1", "2001:db8::2"].map(|at| gate.admit(ip(at)).unwrap());
        assert_eq!(
            gate.admit(ip("2001:db8::3")).unwrap_err(),
            Refusal::ConnectionsPerAddress
        );
        gate.admit(ip("2001:db8:0:1::1")).unwrap();
    }
}
