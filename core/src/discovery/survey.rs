//! What brokers can do, learned from each of them once: clients that have not logged in ask for it,
//! and no broker may be dialled for them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::response::{self, ApiRange};
use crate::broker_versions::BrokerVersions;
use crate::id::{ApiKey, ApiVersion, HostPort};
use crate::topology::Topology;
use crate::wire::schema::Versions;

/// The versions of ApiVersions whose responses clients get from us. In version 5 a client says
/// which broker it means to have reached.
const ASKED: RangeInclusive<i16> = 0..=4;

/// The responses of one broker, as far as they have come.
#[derive(Debug)]
pub(super) struct Survey {
    ranges: Vec<(ApiKey, Versions)>,
    bodies: Vec<(ApiVersion, Bytes)>,
    /// The last version to ask in.
    last: i16,
}

impl Survey {
    /// Begins with the response of version 0.
    pub(super) fn of(ranges: &[ApiRange], body: &[u8]) -> Self {
        Self {
            ranges: ranges.iter().map(|it| (it.api, it.versions)).collect(),
            bodies: vec![(ApiVersion(*ASKED.start()), Bytes::copy_from_slice(body))],
            last: response::api_versions_last(ranges).min(*ASKED.end()),
        }
    }

    /// The version to ask in next.
    pub(super) fn next_version(&self) -> Option<ApiVersion> {
        let next = self.bodies.last().map_or(0, |(version, _)| version.0) + 1;
        (next <= self.last).then_some(ApiVersion(next))
    }

    /// Takes the response of the version that was asked in.
    pub(super) fn take(&mut self, version: ApiVersion, body: &[u8]) {
        self.bodies.push((version, Bytes::copy_from_slice(body)));
    }

    pub(super) fn finish(self) -> Arc<BrokerVersions> {
        Arc::new(BrokerVersions::new(self.ranges, self.bodies))
    }
}

/// Who is up, and who of them has been asked since it came up.
#[derive(Debug, Default)]
pub(super) struct Surveyed {
    /// The addresses in the newest response: no other broker can be asked.
    listed: BTreeSet<HostPort>,
    asked: BTreeSet<HostPort>,
}

impl Surveyed {
    /// A response lists these brokers. Whoever is not among them may come up with other software,
    /// and is asked again then: what it could do is not to be known until then.
    pub(super) fn list<'a>(&mut self, addresses: impl Iterator<Item = &'a HostPort>) {
        self.listed = addresses.cloned().collect();
        self.asked.retain(|it| self.listed.contains(it));
    }

    pub(super) fn is_listed(&self, address: &HostPort) -> bool {
        self.listed.contains(address)
    }

    /// Whether it said so or not, nobody need ask this broker again before the next round.
    pub(super) fn note(&mut self, address: &HostPort) {
        self.asked.insert(address.clone());
    }

    /// It may come up with other software.
    pub(super) fn forget(&mut self, address: &HostPort) {
        self.asked.remove(address);
    }

    /// Those that did not say what they can do are asked again.
    pub(super) fn begin_round(&mut self, topology: &Topology) {
        self.asked.retain(|it| topology.versions_at(it).is_some());
    }

    /// The next broker to ask.
    pub(super) fn missing(&self) -> Option<&HostPort> {
        self.listed.difference(&self.asked).next()
    }
}
