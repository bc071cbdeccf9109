//! Requests of which a part is refused: it is cut out, and the answer tells of it all the same.

mod teller;
mod topics;

use std::sync::Arc;

use bytes::Bytes;

use crate::api::{CREATE_TOPICS, FETCH, METADATA, PRODUCE};
use crate::id::ApiKey;
use crate::policy::{Operation, Principal};
use crate::snapshot::Snapshot;
use crate::wire::schema::{Role, Roles};

pub(super) use teller::Teller;
pub(super) use topics::{Judge, Judgement, Topics};

/// What an API would do to the topics that its requests name, if its topics are judged.
pub(super) fn operation(api: ApiKey) -> Option<Operation> {
    match api {
        PRODUCE => Some(Operation::Write),
        FETCH => Some(Operation::Read),
        METADATA => Some(Operation::Describe),
        CREATE_TOPICS => Some(Operation::Create),
        _ => None,
    }
}

/// What must be read of a request whose topics are judged.
pub(super) const JUDGED: Roles = Roles::of(&[
    Role::Topics,
    Role::TopicName,
    Role::TopicId,
    Role::PartitionIndex,
    Role::SessionId,
    Role::SessionEpoch,
]);

/// What must be read of an answer that has to tell of a refusal.
pub(super) const TOLD: Roles = Roles::of(&[
    Role::Topics,
    Role::Resources,
    Role::TopicName,
    Role::ErrorCode,
]);

/// What an answer has to tell besides what the broker says.
#[derive(Debug)]
pub(super) struct Refused {
    /// The entries of the refused topics, encoded.
    entries: Bytes,
    count: usize,
    filter: Option<Filter>,
}

impl Refused {
    /// Entries that are put before those of the broker, in an array of topics or of resources.
    pub(super) fn telling(entries: Bytes, count: usize) -> Self {
        Self {
            entries,
            count,
            filter: None,
        }
    }

    /// The memory that it keeps until the answer comes.
    pub(super) const fn held_bytes(&self) -> usize {
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
