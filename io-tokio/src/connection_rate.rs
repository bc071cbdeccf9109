//! How fast a listener takes connections: in all, and from one address.
//!
//! Each rate is a token bucket that holds what comes in `BURST`. A connection of an address that
//! is over its rate takes nothing of what all have, so no address can use that up. What all have is
//! denied to nobody: while it is used up, connections wait in the queue of the system, where they
//! cost nothing here, as at a broker (`ConnectionQuotas.waitForConnectionSlot`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_core::Instant;
use doorkeeper_core::client_network::ClientNetwork;

/// So much time's worth of connections may come at once: all clients do, after a restart.
const BURST: Duration = Duration::from_secs(10);

/// The rates of one listener, all of its ports together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRates {
    /// Connections a second, in all.
    pub per_second: u32,
    /// From one [`ClientNetwork`].
    pub per_second_per_address: u32,
}

impl Default for ConnectionRates {
    fn default() -> Self {
        Self {
            per_second: 1000,
            per_second_per_address: 100,
        }
    }
}

/// An address opens connections faster than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFast;

/// The buckets of one listener.
#[derive(Debug, Default)]
pub(crate) struct ConnectionBuckets(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    all: Bucket,
    /// Those of addresses that came since `began`, and of others that came before that. A bucket
    /// that nobody takes from for `BURST` is full, as one that is not there, so none has to be
    /// kept for longer than twice that: there are as many as all together may open connections.
    recent: HashMap<ClientNetwork, Bucket>,
    earlier: HashMap<ClientNetwork, Bucket>,
    began: Instant,
}

/// A token bucket, by the time at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Instant,
}

/// How long it takes until there is one token more.
fn interval(per_second: u32) -> Duration {
    Duration::from_secs(1) / per_second.max(1)
}

impl Bucket {
    /// When there is a token in it.
    fn next_at(self, per_second: u32) -> Instant {
        let one_more = self.full_at.after(interval(per_second));
        Instant::ZERO.after(one_more.since(Instant::ZERO.after(BURST)))
    }

    /// Takes a token, also one that is not there yet.
    fn take(&mut self, now: Instant, per_second: u32) {
        self.full_at = self.full_at.max(now).after(interval(per_second));
    }
}

impl ConnectionBuckets {
    /// When the next connection may be accepted; that may be past.
    pub(crate) fn next_at(&self, rates: ConnectionRates) -> Instant {
        self.buckets().all.next_at(rates.per_second)
    }

    /// Counts a connection whose address is known now.
    ///
    /// Some may have been accepted before their address was known, more than there are tokens in
    /// all: then the next ones are accepted later.
    pub(crate) fn take(
        &self,
        rates: ConnectionRates,
        now: Instant,
        network: ClientNetwork,
    ) -> Result<(), TooFast> {
        let mut buckets = self.buckets();
        if now.since(buckets.began) >= BURST {
            buckets.earlier = std::mem::take(&mut buckets.recent);
            buckets.began = now;
        }
        let recent = buckets.recent.get(&network).copied();
        let known = recent.or_else(|| buckets.earlier.remove(&network));
        let mut bucket = known.unwrap_or_default();
        let is_empty = bucket.next_at(rates.per_second_per_address) > now;
        if !is_empty {
            bucket.take(now, rates.per_second_per_address);
            buckets.all.take(now, rates.per_second);
        }
        buckets.recent.insert(network, bucket);
        if is_empty { Err(TooFast) } else { Ok(()) }
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        // Nothing between taking and giving the lock can leave the buckets half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    const RATES: ConnectionRates = ConnectionRates {
        per_second: 20,
        per_second_per_address: 2,
    };

    fn at(seconds: f64) -> Instant {
        Instant::ZERO.after(Duration::from_secs_f64(100.0 + seconds))
    }

    fn v4(number: u32) -> ClientNetwork {
        IpAddr::V4(Ipv4Addr::from(number)).into()
    }

    /// How many of so many connections of an address are taken.
    fn taken(buckets: &ConnectionBuckets, now: Instant, from: ClientNetwork, count: u32) -> u32 {
        let one = |_: &u32| buckets.take(RATES, now, from).is_ok();
        u32::try_from((0..count).filter(one).count()).unwrap()
    }

    #[test]
    fn an_address_has_its_burst_and_then_its_rate() {
        let buckets = ConnectionBuckets::default();
        assert_eq!(taken(&buckets, at(0.0), v4(1), 50), 20);
        assert_eq!(taken(&buckets, at(0.4), v4(1), 50), 0);
        assert_eq!(taken(&buckets, at(0.5), v4(1), 50), 1);
        assert_eq!(taken(&buckets, at(5.0), v4(1), 50), 9);
        assert_eq!(taken(&buckets, at(15.0), v4(1), 50), 20);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let buckets = ConnectionBuckets::default();
        for host in 0..20 {
            let from = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
            assert_eq!(buckets.take(RATES, at(0.0), from.into()), Ok(()));
        }
        let from = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9));
        assert_eq!(buckets.take(RATES, at(0.0), from.into()), Err(TooFast));
    }

    /// However many connections an address tries to open.
    #[test]
    fn an_address_that_is_too_fast_takes_nothing_of_what_all_have() {
        let buckets = ConnectionBuckets::default();
        assert_eq!(taken(&buckets, at(0.0), v4(1), 100_000), 20);
        assert!(buckets.next_at(RATES) <= at(0.0));
        for other in 2..=10 {
            assert_eq!(taken(&buckets, at(0.0), v4(other), 50), 20);
        }
        // The burst of all is used up now.
        assert_eq!(buckets.next_at(RATES), at(0.05));
        assert_eq!(taken(&buckets, at(0.05), v4(11), 1), 1);
        assert_eq!(buckets.next_at(RATES), at(0.1));
    }

    #[test]
    fn connections_whose_address_came_late_are_paid_by_those_behind_them() {
        let buckets = ConnectionBuckets::default();
        for number in 0..240 {
            assert_eq!(taken(&buckets, at(0.0), v4(number), 1), 1);
        }
        assert_eq!(buckets.next_at(RATES), at(2.05));
    }

    /// Who comes with ever new addresses makes room for no address that is over its rate.
    #[test]
    fn no_bucket_that_counts_is_forgotten_and_no_other_is_kept() {
        let buckets = ConnectionBuckets::default();
        assert_eq!(taken(&buckets, at(0.0), v4(0), 50), 20);
        for second in 0..100 {
            let now = at(f64::from(second));
            let others = (0..20).map(|other| v4(1000 + second * 20 + other));
            assert_eq!(
                others
                    .map(|from| taken(&buckets, now, from, 1))
                    .sum::<u32>(),
                20
            );
            let due = if second == 0 { 0 } else { 2 };
            assert_eq!(taken(&buckets, now, v4(0), 50), due, "second {second}");
            let all = buckets.buckets();
            assert!(all.recent.len() + all.earlier.len() <= 2 * 10 * 20 + 1);
        }
    }

    #[test]
    fn a_reload_counts_at_once() {
        let buckets = ConnectionBuckets::default();
        assert_eq!(taken(&buckets, at(0.0), v4(1), 50), 20);
        let faster = ConnectionRates {
            per_second: 1000,
            per_second_per_address: 1000,
        };
        assert_eq!(
            buckets.take(faster, at(0.0), v4(1)),
            Err(TooFast),
            "it is still empty"
        );
        assert_eq!(buckets.take(faster, at(0.1), v4(1)), Ok(()));
    }
}
