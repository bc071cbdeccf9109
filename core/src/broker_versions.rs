//! What one broker can do, as it has said itself: for clients that ask before they have logged in,
//! and so before any broker may be dialled for them.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::id::{ApiKey, ApiVersion};
use crate::wire::schema::Versions;

/// The responses of one broker to ApiVersions, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerVersions {
    ranges: BTreeMap<ApiKey, Versions>,
    bodies: BTreeMap<ApiVersion, Bytes>,
}

impl BrokerVersions {
    /// The ranges that a broker gave, and the bodies of its responses by the versions that it was
    /// asked in.
    #[must_use]
    pub fn new(
        ranges: impl IntoIterator<Item = (ApiKey, Versions)>,
        bodies: impl IntoIterator<Item = (ApiVersion, Bytes)>,
    ) -> Self {
        Self {
            ranges: ranges.into_iter().collect(),
            bodies: bodies.into_iter().collect(),
        }
    }

    /// The versions of an API, if the broker has it.
    #[must_use]
    pub fn range(&self, api: ApiKey) -> Option<Versions> {
        self.ranges.get(&api).copied()
    }

    /// All APIs that it has.
    pub fn ranges(&self) -> impl Iterator<Item = (ApiKey, Versions)> {
        self.ranges.iter().map(|(api, versions)| (*api, *versions))
    }

    /// All bodies.
    pub fn bodies(&self) -> impl Iterator<Item = (ApiVersion, &Bytes)> {
        self.bodies.iter().map(|(version, body)| (*version, body))
    }

    /// The body of the response to an ApiVersions request of that version.
    #[must_use]
    pub fn body(&self, version: ApiVersion) -> Option<&Bytes> {
        self.bodies.get(&version)
    }
}
