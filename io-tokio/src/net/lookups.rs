//! Look-ups of names, one at a time for each: a resolver that hangs keeps a thread for each call as
//! long as it likes, and a second call for the same name returns no sooner.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorkeeper_core::id::HostPort;
use tokio::net::lookup_host;
use tokio::sync::watch;

/// The result of the resolver, once it is there.
type LookupResult = Option<Result<Vec<SocketAddr>, Arc<str>>>;

/// The look-ups that are under way. Results are not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookups {
    under_way: Arc<Mutex<BTreeMap<HostPort, watch::Receiver<LookupResult>>>>,
}

impl Lookups {
    /// The addresses of a name, in the resolver's order.
    pub(super) async fn addresses(&self, name: &HostPort) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = name.host().parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, name.port())]);
        }
        let mut result = self.ask(name);
        let result = result.wait_for(Option::is_some).await;
        // The kinds of a resolver's errors are the platform's own; what matters is that there
        // is no address.
        let none = |why: &str| io::Error::new(io::ErrorKind::NotFound, why.to_owned());
        match result.as_deref() {
            Ok(Some(Ok(addresses))) => Ok(addresses.clone()),
            Ok(Some(Err(why))) => Err(none(why)),
            Ok(None) | Err(_) => Err(none("the look-up was given up")),
        }
    }

    /// Whether the resolver has been asked for a name and has not returned.
    pub(super) fn are_under_way_for(&self, name: &HostPort) -> bool {
        self.under_way().contains_key(name)
    }

    fn ask(&self, name: &HostPort) -> watch::Receiver<LookupResult> {
        let mut under_way = self.under_way();
        if let Some(result) = under_way.get(name) {
            return result.clone();
        }
        let (sender, result) = watch::channel(None);
        under_way.insert(name.clone(), result.clone());
        drop(under_way);
        let (lookups, name) = (self.clone(), name.clone());
        tokio::spawn(async move {
            let found = lookup_host((name.host(), name.port())).await;
            let found = found.map(Iterator::collect);
            // The next call for this name begins a new look-up.
            lookups.under_way().remove(&name);
            sender.send_replace(Some(found.map_err(|error| error.to_string().into())));
        });
        result
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<HostPort, watch::Receiver<LookupResult>>> {
        // The map is whole between any two statements.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_is_shared_and_not_kept() {
        let lookups = Lookups::default();
        let name: HostPort = "localhost:1".parse().unwrap();
        let (one, other) = (lookups.ask(&name), lookups.ask(&name));
        assert!(one.same_channel(&other));
        assert!(lookups.are_under_way_for(&name));
        let addresses = lookups.addresses(&name).await.unwrap();
        assert!(
            addresses
                .iter()
                .all(|at| at.ip().is_loopback() && at.port() == 1)
        );
        assert!(!addresses.is_empty());
        assert!(!lookups.are_under_way_for(&name));
        assert!(lookups.under_way().is_empty());
        assert!(!lookups.ask(&name).same_channel(&one));
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let lookups = Lookups::default();
        let at: HostPort = "[::1]:9092".parse().unwrap();
        let found = lookups.addresses(&at).await.unwrap();
        assert_eq!(found, ["[::1]:9092".parse().unwrap()]);
    }
}
