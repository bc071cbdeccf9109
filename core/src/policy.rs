//! Who may do what: the seam through which every decision goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::ApiKey;
use crate::work;

/// Who a client is (`User:alice`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Takes a name as Kafka writes it, type first: `User:alice`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Kafka's name for a client that did not authenticate (`KafkaPrincipal.ANONYMOUS`).
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new("User:ANONYMOUS")
    }

    /// The name as Kafka writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a request would do to a resource (`org.apache.kafka.common.acl.AclOperation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Read records or offsets.
    Read,
    /// Write records.
    Write,
    /// Create it.
    Create,
    /// Delete it.
    Delete,
    /// Know that it exists.
    Describe,
}

/// The decision on one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Respond as Kafka does to a principal that lacks the right.
    Deny,
}

/// The rules of one listener: at first a list of denied topics, which Produce, Fetch, Metadata and
/// CreateTopics ask, and a list of denied APIs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    denied_topics: BTreeMap<Principal, BTreeSet<Box<str>>>,
    denied_apis: BTreeSet<ApiKey>,
}

impl Policy {
    /// Nothing is denied.
    #[must_use]
    pub fn allow_all() -> Self {
        Self::default()
    }

    /// This policy, and nothing of that topic for that principal.
    #[must_use]
    pub fn deny_topic(mut self, principal: &Principal, topic: &str) -> Self {
        let denied = self.denied_topics.entry(principal.clone());
        denied.or_default().insert(topic.into());
        self
    }

    /// This policy, and nobody may use that API.
    #[must_use]
    pub fn deny_api(mut self, api: ApiKey) -> Self {
        self.denied_apis.insert(api);
        self
    }

    /// The topics that are denied, and to whom.
    pub fn denied_topics(&self) -> impl Iterator<Item = (&Principal, &str)> {
        let each = self.denied_topics.iter();
        each.flat_map(|(who, names)| names.iter().map(move |name| (who, &**name)))
    }

    /// The APIs that nobody may use.
    pub fn denied_apis(&self) -> impl Iterator<Item = ApiKey> {
        self.denied_apis.iter().copied()
    }

    /// Whether any topic could be denied to this principal. Where not, no request need be buffered.
    #[must_use]
    pub fn authorizes_topics(&self, principal: &Principal) -> bool {
        self.denied_topics.contains_key(principal)
    }

    /// May the principal do this to the topic?
    #[must_use]
    pub fn topic(&self, principal: &Principal, _what: Operation, topic: &str) -> Decision {
        work::steps(1);
        let denied = self.denied_topics.get(principal);
        if denied.is_some_and(|names| names.contains(topic)) {
            Decision::Deny
        } else {
            Decision::Allow
        }
    }

    /// May this API be used at all?
    #[must_use]
    pub fn api(&self, api: ApiKey) -> Decision {
        if self.denied_apis.contains(&api) {
            Decision::Deny
        } else {
            Decision::Allow
        }
    }
}
