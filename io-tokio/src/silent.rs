//! Connections that have not sent a whole request: how many a listener keeps, and which gives way.
//!
//! Kafka lets a client connect early and speak late, as admin clients and older producers do, and
//! so does doorkeeper: where nobody has to log in, such a connection has the idle limit of any
//! other; a login has a deadline of its own. What is limited is their number. When it is reached
//! the oldest of the address with most of them gives way, so that no address locks others out, and
//! silent connections stay while there is room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use doorkeeper_core::client_network::ClientNetwork;
use tokio::sync::oneshot;

/// How many connections of one listener, all of its ports together, may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilentLimits {
    /// In all.
    pub connections: usize,
    /// From one [`ClientNetwork`].
    pub connections_per_address: usize,
}

impl Default for SilentLimits {
    fn default() -> Self {
        Self {
            connections: 2500,
            connections_per_address: 250,
        }
    }
}

/// The silent connections of one listener. Touched when one opens and when it is silent no more.
#[derive(Debug)]
pub(crate) struct SilentConnections {
    open: Mutex<Open>,
}

/// Connections that give way to each other first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group {
    /// Of one client address.
    Client(ClientNetwork),
    /// Of all clients of a proxy that has not said yet whose they are.
    Unidentified(ClientNetwork),
}

/// How many of a group there are, and the number of its oldest: the last has most of them, and
/// of several the one whose oldest has been there for longest.
type Rank = (usize, Reverse<u64>);

#[derive(Debug, Default)]
struct Open {
    limits: SilentLimits,
    /// Counts connections, so that the lowest number is the oldest.
    next: u64,
    all: usize,
    by_group: HashMap<Group, BTreeMap<u64, oneshot::Sender<()>>>,
    by_rank: BTreeMap<Rank, Group>,
}

/// One silent connection; dropping it says that it is silent no more.
#[derive(Debug)]
pub(crate) struct Silent {
    among: Arc<SilentConnections>,
    group: Group,
    number: u64,
    gives_way: oneshot::Receiver<()>,
}

impl SilentConnections {
    pub(crate) fn new(limits: SilentLimits) -> Arc<Self> {
        let open = Open {
            limits,
            ..Open::default()
        };
        Arc::new(Self {
            open: Mutex::new(open),
        })
    }

    /// Keeps so many from now on: where there are more, each newcomer makes one give way.
    pub(crate) fn set_limits(&self, limits: SilentLimits) {
        self.open().limits = limits;
    }

    /// Takes in one whose client is known; if there are too many, another one gives way.
    pub(crate) fn admit(self: &Arc<Self>, network: ClientNetwork) -> Silent {
        self.admit_to(Group::Client(network))
    }

    /// Takes in one of a proxy that has not said yet who the client is. All clients come by few
    /// proxies, so that the limit of an address does not count here.
    pub(crate) fn admit_unidentified(self: &Arc<Self>, proxy: ClientNetwork) -> Silent {
        self.admit_to(Group::Unidentified(proxy))
    }

    fn admit_to(self: &Arc<Self>, group: Group) -> Silent {
        let mut open = self.open();
        let here = open.by_group.get(&group).map_or(0, BTreeMap::len);
        let connections_max = match group {
            Group::Client(_) => open.limits.connections_per_address,
            Group::Unidentified(_) => usize::MAX,
        };
        if here >= connections_max {
            open.evict_oldest(group);
        } else if open.all >= open.limits.connections
            && let Some((_, most)) = open.by_rank.last_key_value()
        {
            let most = *most;
            open.evict_oldest(most);
        }
        let number = open.next;
        open.next += 1;
        let (sender, gives_way) = oneshot::channel();
        open.change(group, |here| here.insert(number, sender));
        open.all += 1;
        drop(open);
        Silent {
            among: Arc::clone(self),
            group,
            number,
            gives_way,
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing between taking and giving the lock can leave the counts half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn evict_oldest(&mut self, group: Group) {
        let oldest = self.change(group, BTreeMap::pop_first);
        if let Some((_, sender)) = oldest {
            self.all = self.all.saturating_sub(1);
            // One that ends at this moment needs no word.
            let _ = sender.send(());
        }
    }

    fn remove(&mut self, group: Group, number: u64) {
        if self.change(group, |here| here.remove(&number)).is_some() {
            self.all = self.all.saturating_sub(1);
        }
    }

    /// Changes the connections of a group, and its rank with them.
    fn change<T>(
        &mut self,
        group: Group,
        change: impl FnOnce(&mut BTreeMap<u64, oneshot::Sender<()>>) -> T,
    ) -> T {
        let here = self.by_group.entry(group).or_default();
        if let Some(rank) = rank(here) {
            self.by_rank.remove(&rank);
        }
        let changed = change(here);
        match rank(here) {
            Some(rank) => {
                self.by_rank.insert(rank, group);
            }
            None => {
                self.by_group.remove(&group);
            }
        }
        changed
    }
}

fn rank(here: &BTreeMap<u64, oneshot::Sender<()>>) -> Option<Rank> {
    let (oldest, _) = here.first_key_value()?;
    Some((here.len(), Reverse(*oldest)))
}

impl Silent {
    /// Ready when this one has to give way to another; the current task is woken then.
    pub(crate) fn poll_gives_way(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.gives_way).poll(cx).map(|_| ())
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.among.open().remove(self.group, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn connections(connections: usize, connections_per_address: usize) -> Arc<SilentConnections> {
        SilentConnections::new(SilentLimits {
            connections,
            connections_per_address,
        })
    }

    fn from(silent: &Arc<SilentConnections>, address: &str) -> Silent {
        silent.admit(address.parse::<IpAddr>().unwrap().into())
    }

    fn gives_way(silent: &mut Silent) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        silent.poll_gives_way(&mut cx).is_ready()
    }

    #[test]
    fn the_oldest_of_the_address_with_most_of_them_gives_way() {
        let all = connections(4, 4);
        let mut other = from(&all, "10.0.0.9");
        let mut many: Vec<_> = (0..3).map(|_| from(&all, "10.0.0.1")).collect();
        let mut newcomer = from(&all, "10.0.0.2");
        assert!(gives_way(&mut many[0]));
        for stays in many[1..].iter_mut().chain([&mut other, &mut newcomer]) {
            assert!(!gives_way(stays));
        }
    }

    #[test]
    fn an_address_that_is_full_makes_room_itself() {
        let all = connections(9, 2);
        let mut other = from(&all, "10.0.0.9");
        let mut one = from(&all, "10.0.0.1");
        let _two = from(&all, "10.0.0.1");
        let mut three = from(&all, "10.0.0.1");
        assert!(gives_way(&mut one));
        assert!(!gives_way(&mut other) && !gives_way(&mut three));
    }

    #[test]
    fn of_addresses_with_as_many_the_oldest_connection_gives_way() {
        let all = connections(2, 2);
        let mut first = from(&all, "10.0.0.9");
        let mut second = from(&all, "10.0.0.1");
        let _third = from(&all, "10.0.0.2");
        assert!(gives_way(&mut first) && !gives_way(&mut second));
    }

    /// A load balancer that all clients come by is no client with too many connections.
    #[test]
    fn unidentified_connections_have_the_limit_of_all_alone() {
        let all = connections(4, 1);
        let proxy = "10.0.0.1".parse::<IpAddr>().unwrap();
        let mut health_check = from(&all, "10.0.0.1");
        let mut waiting: Vec<_> = (0..3)
            .map(|_| all.admit_unidentified(proxy.into()))
            .collect();
        assert!(!gives_way(&mut health_check));
        let mut client = from(&all, "192.0.2.1");
        assert!(gives_way(&mut waiting[0]), "the one that waits for longest");
        for stays in waiting[1..]
            .iter_mut()
            .chain([&mut health_check, &mut client])
        {
            assert!(!gives_way(stays));
        }
    }

    #[test]
    fn who_speaks_or_ends_takes_no_place_and_nothing_is_kept() {
        let all = connections(2, 2);
        let mut first = from(&all, "10.0.0.1");
        drop(from(&all, "10.0.0.1"));
        let mut second = from(&all, "10.0.0.1");
        assert!(!gives_way(&mut first) && !gives_way(&mut second));
        let third = from(&all, "10.0.0.1");
        drop((first, second, third));
        let open = all.open();
        assert_eq!(open.all, 0);
        assert!(open.by_group.is_empty() && open.by_rank.is_empty());
    }
}
