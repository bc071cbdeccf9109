//! Requests of which a part is denied: it is cut out, and the response names it all the same.

mod denial_injector;
mod topics;

use std::sync::Arc;

use bytes::Bytes;

use crate::policy::Principal;
use crate::snapshot::Snapshot;
use crate::wire::schema::{Role, Roles};

pub(super) use denial_injector::DenialInjector;
pub(super) use topics::{AuthorizedRequest, Authorizer, Topics};

/// What must be read of a request whose topics are authorized.
pub(super) const AUTHORIZED_ROLES: Roles = Roles::of(&[
    Role::Topics,
    Role::TopicName,
    Role::TopicId,
    Role::PartitionIndex,
    Role::SessionId,
    Role::SessionEpoch,
]);

/// What must be read of a response that denied topics are added to.
pub(super) const DENIAL_ROLES: Roles = Roles::of(&[
    Role::Topics,
    Role::Resources,
    Role::TopicName,
    Role::ErrorCode,
]);

/// What is added to a response of the broker.
#[derive(Debug)]
pub(super) struct DeniedTopics {
    /// The entries of the denied topics, encoded.
    entries: Bytes,
    count: usize,
    filter: Option<Filter>,
}

impl DeniedTopics {
    /// Entries that are put before those of the broker, in an array of topics or of resources.
    pub(super) fn new(entries: Bytes, count: usize) -> Self {
        Self {
            entries,
            count,
            filter: None,
        }
    }

    /// The memory that it keeps until the response comes.
    pub(super) const fn buffered_bytes(&self) -> usize {
        self.entries.len()
    }
}

/// Which topics of a listing are left out, by the snapshot of its request.
#[derive(Debug)]
struct Filter {
    by: Arc<Snapshot>,
    principal: Principal,
    all: bool,
}
