//! `SyncGroup`: the leader hands in the assignment, everybody gets a part.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::SyncGroupResponse;

use super::member::wire;
use super::{Group, Response, State, Step};
use crate::connection::RequestId;

/// A `SyncGroup` request.
#[derive(Clone, Debug)]
pub(crate) struct SyncGroup {
    pub(crate) request: RequestId,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: BTreeMap<String, Bytes>,
}

impl Group {
    /// `classicGroupSyncToClassicGroup`.
    pub(crate) fn sync(&mut self, sync: SyncGroup, step: &mut Step<'_>) {
        if let Err(error) = self.check_sync(&sync) {
            let response = SyncGroupResponse::default().with_error_code(error.code());
            step.responses.push(Response::Sync(sync.request, response));
            return;
        }
        match self.state {
            // `check_sync` has returned errors for the first two.
            State::Empty | State::PreparingRebalance => {}
            State::CompletingRebalance => {
                if let Some(member) = self.members.get_mut(&sync.member_id) {
                    member.syncing = Some(sync.request);
                }
                self.has_synced(&sync.member_id);
                if self.is_leader(&sync.member_id) {
                    for member in self.members.values_mut() {
                        let part = sync.assignments.get(&member.id).cloned();
                        member.assignment = part.unwrap_or_default();
                    }
                    self.state = State::Stable;
                    self.respond_to_syncs(None, step);
                }
            }
            State::Stable => {
                self.has_synced(&sync.member_id);
                let response = self.synced(self.assignment_of(&sync.member_id));
                step.responses.push(Response::Sync(sync.request, response));
            }
        }
    }

    fn check_sync(&self, sync: &SyncGroup) -> Result<(), ResponseError> {
        if self.state == State::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |said: &Option<String>, is: &Option<String>| {
            said.is_some() && is.is_some() && said != is
        };
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if self.state == State::PreparingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    fn has_synced(&mut self, member_id: &str) {
        self.pending_syncs.remove(member_id);
        if self.pending_syncs.is_empty() {
            self.sync_deadline = None;
        }
    }

    /// `propagateAssignment`.
    pub(super) fn respond_to_syncs(&mut self, error: Option<ResponseError>, step: &mut Step<'_>) {
        let ok = self.synced(Bytes::new());
        for member in self.members.values_mut() {
            let response = match error {
                None => ok.clone().with_assignment(member.assignment.clone()),
                Some(error) => SyncGroupResponse::default().with_error_code(error.code()),
            };
            if member.respond_to_sync(response, step.responses) {
                member.renew_session(step.now);
            }
        }
    }

    fn synced(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.as_deref().map(wire))
            .with_protocol_name(self.protocol.as_deref().map(wire))
            .with_assignment(assignment)
    }

    /// `expirePendingSync`: who has joined and never synced is out.
    pub(super) fn sync_phase_ended(&mut self, step: &mut Step<'_>) {
        self.sync_deadline = None;
        match self.state {
            State::Empty | State::PreparingRebalance => {}
            State::CompletingRebalance | State::Stable => {
                if self.pending_syncs.is_empty() {
                    return;
                }
                for id in std::mem::take(&mut self.pending_syncs) {
                    self.remove(&id);
                }
                self.prepare_rebalance(step);
            }
        }
    }
}
