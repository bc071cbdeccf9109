//! One classic group: members, generations, rebalances and their deadlines.
//!
//! Rules: the classic part of `GroupMetadataManager`, and `ClassicGroup`.

mod join;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

pub(crate) use self::join::Join;
pub(crate) use self::leave::MemberIdentity;
pub(crate) use self::member::Member;
pub(crate) use self::offsets::{OffsetAndMetadata, Offsets};
pub(crate) use self::sync::SyncGroup;
use crate::config::Limits;
use crate::connection::RequestId;
use crate::rng::Rng;

/// What a group is doing (`ClassicGroupState`; a dead group is not kept).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; perhaps offsets.
    Empty,
    /// Waits for members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment, or may fetch it.
    Stable,
}

impl State {
    /// The state as Kafka's responses name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A response to a request that waited, or to the one at hand.
#[derive(Debug)]
pub(crate) enum Response {
    Join(RequestId, JoinGroupResponse),
    Sync(RequestId, SyncGroupResponse),
}

/// What surrounds one step of a group.
pub(crate) struct Step<'a> {
    pub(crate) now: Instant,
    pub(crate) limits: &'a Limits,
    pub(crate) rng: &'a mut Rng,
    pub(crate) responses: &'a mut Vec<Response>,
}

/// When the join phase ends without further joins.
#[derive(Clone, Copy, Debug)]
enum JoinTimer {
    /// An empty group waits a little for more first members.
    Initial {
        at: Instant,
        delay: Duration,
        remaining: Duration,
    },
    /// Members that have not rejoined by then are out.
    Rebalance { at: Instant },
}

impl JoinTimer {
    const fn at(self) -> Instant {
        match self {
            Self::Initial { at, .. } | Self::Rebalance { at } => at,
        }
    }
}

/// One classic group.
#[derive(Debug)]
pub(crate) struct Group {
    state: State,
    /// Whether the join phase at hand began with an empty group.
    was_empty: bool,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Instance id to member id.
    static_members: BTreeMap<String, String>,
    /// Ids that were handed out and not yet used, each with its end.
    pending_joins: BTreeMap<String, Instant>,
    pending_syncs: BTreeSet<String>,
    member_added: bool,
    join_timer: Option<JoinTimer>,
    sync_deadline: Option<Instant>,
    pub(crate) offsets: Offsets,
}

impl Group {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Empty,
            was_empty: false,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            member_added: false,
            join_timer: None,
            sync_deadline: None,
            offsets: Offsets::new(),
        }
    }

    /// A group that takes over the offsets of a consumer group without members.
    pub(crate) fn with_offsets(offsets: Offsets) -> Self {
        Self {
            offsets,
            ..Self::new()
        }
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Nobody is in it, nobody is on the way, and it holds no offsets.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.state == State::Empty && self.pending_joins.is_empty() && self.offsets.is_empty()
    }

    /// When [`Group::tick`] must be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let members = self
            .members
            .values()
            .filter_map(|member| member.session_end);
        let join = self.join_timer.map(JoinTimer::at);
        members
            .chain(self.pending_joins.values().copied())
            .chain(join)
            .chain(self.sync_deadline)
            .min()
    }

    /// Ends what has lasted too long.
    pub(crate) fn tick(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        let due = |end: &Instant| *end <= now;
        let pending = self.pending_joins.iter().filter(|(_, end)| due(end));
        for id in pending.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.pending_joins.remove(&id);
            self.complete_join_if_all_are_here(step);
        }
        let silent = self
            .members
            .values()
            .filter(|member| member.session_end.as_ref().is_some_and(due));
        for id in silent.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.session_ended(&id, step);
        }
        if self.join_timer.is_some_and(|timer| due(&timer.at())) {
            self.join_phase_ended(step);
        }
        if self.sync_deadline.as_ref().is_some_and(due) {
            self.sync_phase_ended(step);
        }
    }

    fn session_ended(&mut self, id: &str, step: &mut Step<'_>) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        if member.is_waiting() && !member.is_new {
            // It waits for us. The response starts the session anew.
            member.session_end = None;
            return;
        }
        self.remove_with_response(id, step);
        self.member_gone(step);
    }

    /// `Heartbeat`.
    pub(crate) fn heartbeat(
        &mut self,
        now: Instant,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.renew_session(now);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// `ClassicGroup.validateOffsetCommit`; renews the session of a member that commits.
    pub(crate) fn check_offset_commit(
        &mut self,
        now: Instant,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            // Somebody outside of the group commits while it has members.
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.renew_session(now);
        }
        Ok(())
    }

    /// `ClassicGroup.validateOffsetCommit` for a commit that is part of a transaction.
    pub(crate) fn check_offset_commit_in_transaction(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let is_outsider = generation < 0 && member_id.is_empty() && instance_id.is_none();
        if is_outsider || (generation < 0 && self.state == State::Empty) {
            return Ok(());
        }
        self.check_member(member_id, instance_id)?;
        if generation == self.generation {
            Ok(())
        } else {
            Err(ResponseError::IllegalGeneration)
        }
    }

    /// `ClassicGroup.validateMember`.
    fn check_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance_id {
            match self.static_members.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(known) if known != id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) {
            Ok(())
        } else {
            Err(ResponseError::UnknownMemberId)
        }
    }

    /// The group's coordinator has moved: whoever waits must ask the new one
    /// (`GroupMetadataManager.onUnloaded`).
    pub(crate) fn coordinator_moved(&mut self, responses: &mut Vec<Response>) {
        let code = ResponseError::NotCoordinator.code();
        for member in self.members.values_mut() {
            member.respond_to_join(
                JoinGroupResponse::default().with_error_code(code),
                responses,
            );
            member.respond_to_sync(
                SyncGroupResponse::default().with_error_code(code),
                responses,
            );
        }
    }

    fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    fn add(&mut self, member: Member) {
        if let Some(instance) = &member.instance_id {
            self.static_members
                .insert(instance.clone(), member.id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(member.protocol_type.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.pending_joins.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    fn remove(&mut self, id: &str) -> Option<Member> {
        let removed = self.members.remove(id);
        if let Some(instance) = removed
            .as_ref()
            .and_then(|member| member.instance_id.as_ref())
        {
            self.static_members.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        removed
    }

    fn remove_with_response(&mut self, id: &str, step: &mut Step<'_>) {
        if let Some(mut member) = self.remove(id) {
            let code = ResponseError::UnknownMemberId.code();
            member.respond_to_join(
                JoinGroupResponse::default().with_error_code(code),
                step.responses,
            );
            member.respond_to_sync(
                SyncGroupResponse::default().with_error_code(code),
                step.responses,
            );
        }
    }

    fn rebalance_timeout(&self) -> Duration {
        self.members
            .values()
            .map(|member| member.rebalance_timeout)
            .max()
            .unwrap_or_default()
    }

    fn assignment_of(&self, id: &str) -> Bytes {
        self.members
            .get(id)
            .map(|member| member.assignment.clone())
            .unwrap_or_default()
    }
}
