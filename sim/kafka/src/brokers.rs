//! All brokers of the cluster, and which of them are up.

use std::collections::BTreeMap;

use doorkeeper_core::id::{BrokerId, HostPort};

use crate::broker::Broker;

/// All brokers by their ids.
#[derive(Debug)]
pub(crate) struct Brokers(BTreeMap<BrokerId, Broker>);

impl Brokers {
    /// All of them are up.
    pub(crate) fn new(advertised: impl IntoIterator<Item = (BrokerId, HostPort)>) -> Self {
        let brokers = advertised.into_iter();
        Self(brokers.map(|(id, at)| (id, Broker::new(at))).collect())
    }

    pub(crate) fn get(&self, id: BrokerId) -> Option<&Broker> {
        self.0.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: BrokerId) -> Option<&mut Broker> {
        self.0.get_mut(&id)
    }

    /// Adds a broker, or gives one another advertised address.
    pub(crate) fn advertise(&mut self, id: BrokerId, at: HostPort) {
        if let Some(known) = self.0.get_mut(&id) {
            known.advertised = at;
        } else {
            self.0.insert(id, Broker::new(at));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (BrokerId, &Broker)> {
        self.0.iter().map(|(id, broker)| (*id, broker))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Broker> {
        self.0.values_mut()
    }

    /// A broker that is up.
    pub(crate) fn up(&self, id: BrokerId) -> Option<&Broker> {
        self.get(id).filter(|broker| broker.up)
    }

    /// The brokers that are up, by id.
    pub(crate) fn alive(&self) -> Vec<BrokerId> {
        let up = self.iter().filter(|(_, broker)| broker.up);
        up.map(|(id, _)| id).collect()
    }

    /// With KRaft the "controller" that clients see is any broker that is up: here the first one.
    pub(crate) fn any_alive(&self) -> i32 {
        let mut up = self.iter().filter(|(_, broker)| broker.up);
        up.next().map_or(-1, |(id, _)| id.0)
    }

    /// The last version of an API that a broker serves, if it is an older release.
    pub(crate) fn last_version(&self, id: BrokerId, api_key: i16) -> Option<i16> {
        self.get(id)?.versions.get(&api_key).copied()
    }
}
