//! How many connections a listener takes: in all, and from one address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorkeeper_core::client_network::ClientNetwork;

use crate::observer::Rejection;

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
pub(crate) struct ConnectionLimiter {
    limits: Mutex<ListenerLimits>,
    open: Mutex<Open>,
    of_process: Arc<ProcessConnections>,
}

/// Counts the open connections of all listeners: each needs file descriptors.
#[derive(Debug)]
pub(crate) struct ProcessConnections {
    connections_max: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_network: HashMap<ClientNetwork, usize>,
}

/// The right to be connected; dropping it frees the place.
///
/// A connection is admitted in two parts: in all when it is accepted, and for the address of its
/// client when that is known, which may be later.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    /// The client's, once it is known.
    network: Option<ClientNetwork>,
}

impl ConnectionLimiter {
    pub(crate) fn new(limits: ListenerLimits, of_process: Arc<ProcessConnections>) -> Arc<Self> {
        Arc::new(Self {
            limits: Mutex::new(limits),
            open: Mutex::default(),
            of_process,
        })
    }

    /// Admits by these limits from now on. Connections that are open stay, also where there are
    /// more of them.
    pub(crate) fn set_limits(&self, limits: ListenerLimits) {
        *locked(&self.limits) = limits;
    }

    fn limits(&self) -> ListenerLimits {
        *locked(&self.limits)
    }

    /// Admits one more connection, whatever client it is of, or says which limit is reached.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<ConnectionPermit, Rejection> {
        let limits = self.limits();
        let mut open = locked(&self.open);
        if open.all >= limits.connections {
            return Err(Rejection::Connections);
        }
        self.of_process.enter()?;
        open.all += 1;
        drop(open);
        Ok(ConnectionPermit {
            limiter: Arc::clone(self),
            network: None,
        })
    }
}

impl ConnectionPermit {
    /// Counts the connection for the address of its client, or says which limit is reached there.
    pub(crate) fn of_client(mut self, network: ClientNetwork) -> Result<Self, Rejection> {
        self.enter(network)?;
        self.network = Some(network);
        Ok(self)
    }

    fn enter(&self, network: ClientNetwork) -> Result<(), Rejection> {
        let limiter = &self.limiter;
        let limits = limiter.limits();
        let mut open = locked(&limiter.open);
        if open.of(network) >= limits.connections_per_address {
            return Err(Rejection::ConnectionsPerAddress);
        }
        limiter.of_process.enter_for(network)?;
        open.enter(network);
        drop(open);
        Ok(())
    }
}

impl ProcessConnections {
    /// So many, all listeners together.
    pub(crate) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connections_max: AtomicUsize::new(connections_max),
            open: Mutex::default(),
        })
    }

    /// Admits so many from now on. Connections that are open stay.
    pub(crate) fn set_max(&self, connections_max: usize) {
        self.connections_max
            .store(connections_max, Ordering::Relaxed);
    }

    fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Result<(), Rejection> {
        let mut open = locked(&self.open);
        if open.all >= self.connections_max() {
            return Err(Rejection::FileDescriptors);
        }
        open.all += 1;
        Ok(())
    }

    /// An address never gets more than is left for all others: nobody has chosen this limit for
    /// single addresses, and one of them must not use it up. The connection itself is counted
    /// among all already.
    fn enter_for(&self, network: ClientNetwork) -> Result<(), Rejection> {
        let mut open = locked(&self.open);
        if open.of(network) > self.connections_max().saturating_sub(open.all) {
            return Err(Rejection::FileDescriptors);
        }
        open.enter(network);
        Ok(())
    }
}

impl Open {
    fn of(&self, network: ClientNetwork) -> usize {
        self.by_network.get(&network).copied().unwrap_or(0)
    }

    fn enter(&mut self, network: ClientNetwork) {
        *self.by_network.entry(network).or_default() += 1;
    }

    fn leave(&mut self, network: Option<ClientNetwork>) {
        self.all = self.all.saturating_sub(1);
        let Some(network) = network else { return };
        match self.by_network.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                self.by_network.remove(&network);
            }
        }
    }
}

fn locked<T>(behind: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between taking and giving the lock can leave the counts half done.
    behind.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        locked(&self.limiter.open).leave(self.network);
        locked(&self.limiter.of_process.open).leave(self.network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(connections: usize, connections_per_address: usize) -> Arc<ConnectionLimiter> {
        let limits = ListenerLimits {
            connections,
            connections_per_address,
        };
        ConnectionLimiter::new(limits, ProcessConnections::new(usize::MAX))
    }

    fn admit(
        limiter: &Arc<ConnectionLimiter>,
        address: &str,
    ) -> Result<ConnectionPermit, Rejection> {
        let address: std::net::IpAddr = address.parse().unwrap();
        limiter.admit()?.of_client(address.into())
    }

    #[test]
    fn a_place_is_free_again_once_it_is_given_back() {
        let limiter = limiter(2, 1);
        let first = admit(&limiter, "10.0.0.1").unwrap();
        let _second = admit(&limiter, "10.0.0.2").unwrap();
        assert_eq!(
            admit(&limiter, "10.0.0.3").unwrap_err(),
            Rejection::Connections
        );
        drop(first);
        admit(&limiter, "10.0.0.3").unwrap();
        assert_eq!(
            locked(&limiter.open).by_network.len(),
            1,
            "no address is kept"
        );
    }

    #[test]
    fn other_limits_hold_for_whoever_comes_next() {
        let limiter = limiter(3, 3);
        let mut open: Vec<_> = (0..3)
            .map(|_| admit(&limiter, "10.0.0.1").unwrap())
            .collect();
        limiter.set_limits(ListenerLimits {
            connections: 2,
            connections_per_address: 1,
        });
        for (left, expected) in [
            (2, Rejection::Connections),
            (1, Rejection::ConnectionsPerAddress),
        ] {
            open.truncate(left);
            assert_eq!(admit(&limiter, "10.0.0.1").unwrap_err(), expected);
        }
        limiter.of_process.set_max(1);
        assert_eq!(
            admit(&limiter, "10.0.0.2").unwrap_err(),
            Rejection::FileDescriptors
        );
        limiter.of_process.set_max(2);
        admit(&limiter, "10.0.0.2").unwrap();
    }

    /// As behind a load balancer, whose header names the client later.
    #[test]
    fn a_connection_counts_among_all_before_its_client_is_known() {
        let process = ProcessConnections::new(3);
        let limits = ListenerLimits {
            connections: 2,
            connections_per_address: 1,
        };
        let first = ConnectionLimiter::new(limits, Arc::clone(&process));
        let second = ConnectionLimiter::new(limits, process);
        let unknown = [(); 2].map(|()| first.admit().unwrap());
        assert_eq!(first.admit().unwrap_err(), Rejection::Connections);
        let _last = second.admit().unwrap();
        assert_eq!(second.admit().unwrap_err(), Rejection::FileDescriptors);
        drop(unknown);
        let _known = admit(&first, "10.0.0.1").unwrap();
        assert_eq!(
            admit(&first, "10.0.0.1").unwrap_err(),
            Rejection::ConnectionsPerAddress
        );
        admit(&first, "10.0.0.2").unwrap();
    }

    #[test]
    fn a_mapped_v4_address_counts_as_v4() {
        let limiter = limiter(9, 1);
        let _one = admit(&limiter, "10.0.0.1").unwrap();
        assert_eq!(
            admit(&limiter, "::ffff:10.0.0.1").unwrap_err(),
            Rejection::ConnectionsPerAddress
        );
    }

    /// An IPv6 network has more addresses than any listener has connections.
    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let limiter = limiter(9, 2);
        let _two = ["2001:db8::1", "2001:db8::2"].map(|at| admit(&limiter, at).unwrap());
        assert_eq!(
            admit(&limiter, "2001:db8::3").unwrap_err(),
            Rejection::ConnectionsPerAddress
        );
        admit(&limiter, "2001:db8:0:1::1").unwrap();
    }

    #[test]
    fn of_all_connections_one_address_leaves_as_many_as_it_takes() {
        let process = ProcessConnections::new(20);
        let limits = ListenerLimits::default();
        let limiters = [(); 2].map(|()| ConnectionLimiter::new(limits, Arc::clone(&process)));
        let flood = |address: &str| -> Vec<ConnectionPermit> {
            let of_both = limiters.iter().cycle();
            of_both
                .map_while(|limiter| admit(limiter, address).ok())
                .collect()
        };
        let first = flood("10.0.0.1");
        assert_eq!(first.len(), 10);
        let rejection = admit(&limiters[0], "10.0.0.1").unwrap_err();
        assert_eq!(rejection, Rejection::FileDescriptors);
        assert_eq!(flood("10.0.0.2").len(), 5, "which were given back");
        drop(first);
        assert_eq!(flood("10.0.0.3").len(), 10);
        assert_eq!(locked(&process.open).all, 0);
    }
}
