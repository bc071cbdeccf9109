//! One member of a consumer group.

use std::collections::BTreeSet;
use std::time::Duration;

use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::{Assignor, Heartbeat};

/// Partitions by topic ids and numbers.
pub(crate) type Partitions = BTreeSet<(Uuid, i32)>;

/// How far a member is from its target (`MemberState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has what it shall have in its epoch.
    Stable,
    /// It must give up partitions, and has not said that it did.
    UnrevokedPartitions,
    /// It waits for partitions that others have.
    UnreleasedPartitions,
}

/// One member (`ConsumerGroupMember`).
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) epoch: i32,
    previous_epoch: i32,
    pub(super) state: State,
    pub(crate) subscribed: BTreeSet<String>,
    pub(super) assignor: Option<Assignor>,
    pub(super) rebalance_timeout: Duration,
    pub(crate) assigned: Partitions,
    pub(super) pending_revocation: Partitions,
    pub(super) session_end: Option<Instant>,
    /// By then it must have given up what it must give up.
    pub(super) revocation_end: Option<Instant>,
}

impl Member {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            epoch: 0,
            previous_epoch: -1,
            state: State::Stable,
            subscribed: BTreeSet::new(),
            assignor: None,
            rebalance_timeout: Duration::ZERO,
            assigned: Partitions::new(),
            pending_revocation: Partitions::new(),
            session_end: None,
            revocation_end: None,
        }
    }

    /// The static member that was away comes back under another id.
    pub(super) fn back_as(self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            epoch: 0,
            previous_epoch: 0,
            ..self
        }
    }

    /// Takes in what a heartbeat says of the member.
    pub(super) fn update(&mut self, beat: Heartbeat) {
        self.client_id = beat.client_id;
        self.instance_id = beat.instance_id.or_else(|| self.instance_id.take());
        self.rack_id = beat.rack_id.or_else(|| self.rack_id.take());
        self.assignor = beat.assignor.or(self.assignor);
        if let Some(timeout) = beat.rebalance_timeout {
            self.rebalance_timeout = timeout;
        }
        if let Some(subscribed) = beat.subscribed {
            self.subscribed = subscribed;
        }
    }

    /// `GroupMetadataManager.throwIfConsumerGroupMemberEpochIsInvalid`: the epoch before this one
    /// is taken from who may have missed the response.
    pub(super) fn check_epoch(
        &self,
        epoch: i32,
        owned: Option<&Partitions>,
    ) -> Result<(), ResponseError> {
        let missed_the_response =
            || epoch == self.previous_epoch && owned.is_some_and(|o| o.is_subset(&self.assigned));
        if epoch == self.epoch || (epoch < self.epoch && missed_the_response()) {
            Ok(())
        } else {
            Err(ResponseError::FencedMemberEpoch)
        }
    }

    pub(super) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == State::Stable && self.epoch == target_epoch
    }

    /// `ConsumerGroupMember.Builder.updateMemberEpoch`.
    pub(super) const fn set_epoch(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.session_end
            .into_iter()
            .chain(self.revocation_end)
            .min()
    }
}
