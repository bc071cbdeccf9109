//! How many connections a listener takes: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::observer::Refusal;

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
    by_address: HashMap<IpAddr, usize>,
}

/// The right to be connected; dropping it gives the place to the next.
#[derive(Debug)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    pub(crate) fn new(limits: ListenerLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: Mutex::default(),
        })
    }

    /// Lets one more connection in, or says which limit is reached.
    pub(crate) fn admit(self: &Arc<Self>, from: IpAddr) -> Result<Admission, Refusal> {
        // A v4 client of a dual-stack socket is the same client as on a v4 socket.
        let address = from.to_canonical();
        let mut open = self.open();
        if open.all >= self.limits.connections {
            return Err(Refusal::Connections);
        }
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if here >= self.limits.connections_per_address {
            return Err(Refusal::ConnectionsPerAddress);
        }
        open.by_address.insert(address, here + 1);
        open.all += 1;
        drop(open);
        Ok(Admission {
            gate: Arc::clone(self),
            address,
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
        match open.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                open.by_address.remove(&self.address);
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
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
        assert_eq!(gate.open().by_address.len(), 1, "no address is kept");
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
}
