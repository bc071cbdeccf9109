//! Addresses to try last: attempts to connect there have lately timed out, or led back to us.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::HostPort;
use crate::time::Instant;

/// How long an address is tried last. Whoever meets it afterwards waits for it once more.
const AVOIDED_FOR: Duration = Duration::from_secs(30);

/// How many addresses are kept at most: each one that comes or goes makes a new snapshot.
pub(super) const AVOIDED_MAX: usize = 64;

/// The addresses, each with the time until which it is tried last.
#[derive(Debug, Default)]
pub(super) struct AvoidedAddresses {
    until: BTreeMap<HostPort, Instant>,
}

impl AvoidedAddresses {
    /// Tries an address last from now on. Beyond the limit nothing is kept.
    pub(super) fn add(&mut self, now: Instant, address: &HostPort) {
        if self.until.len() < AVOIDED_MAX || self.contains(address) {
            let until = now.after(AVOIDED_FOR);
            self.until.insert(address.clone(), until);
        }
    }

    /// It works after all.
    pub(super) fn remove(&mut self, address: &HostPort) {
        self.until.remove(address);
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
    }

    /// When the next one expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }

    pub(super) fn contains(&self, address: &HostPort) -> bool {
        self.until.contains_key(address)
    }

    /// All of them, as the topology lists them.
    pub(super) fn addresses(&self) -> BTreeSet<HostPort> {
        self.until.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_are_kept_and_none_for_good() {
        let mut avoided = AvoidedAddresses::default();
        let start = Instant::from_nanos(0);
        for port in 1..=100 {
            avoided.add(start, &HostPort::new("a", port).unwrap());
        }
        assert_eq!(avoided.addresses().len(), AVOIDED_MAX);
        let again = start.after(Duration::from_secs(10));
        let first = HostPort::new("a", 1).unwrap();
        avoided.add(again, &first);
        avoided.expire(start.after(AVOIDED_FOR));
        assert_eq!(avoided.addresses(), [first].into());
        assert_eq!(avoided.deadline(), Some(again.after(AVOIDED_FOR)));
        avoided.expire(again.after(AVOIDED_FOR));
        assert!(avoided.addresses().is_empty());
    }
}
