//! `JoinGroup`: new members, members that come back, static members that are replaced.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::member::wire;
use super::{Group, Member, Response, State, Step};
use crate::connection::RequestId;

/// `GroupMetadataManager.classicGroupNewMemberJoinTimeoutMs`.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A `JoinGroup` request.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) request: RequestId,
    pub(crate) version: i16,
    pub(crate) client_id: String,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) session_timeout: Duration,
}

impl Join {
    /// From version 4 on a new dynamic member first gets an id and joins again with it (KIP-394).
    const fn needs_known_id(&self) -> bool {
        self.version >= 4
    }

    /// From version 9 on a response can make a leader skip the assignment (KIP-814).
    const fn can_skip_assignment(&self) -> bool {
        self.version >= 9
    }

    fn fail(self, member_id: &str, error: ResponseError, step: &mut Step<'_>) {
        let response = JoinGroupResponse::default()
            .with_member_id(wire(member_id))
            .with_error_code(error.code());
        step.responses.push(Response::Join(self.request, response));
    }
}

impl Group {
    /// `classicGroupJoinToClassicGroup`.
    pub(crate) fn join(&mut self, join: Join, step: &mut Step<'_>) {
        if !self.accepts(&join.member_id, step.limits.group_members_max) {
            self.remove(&join.member_id);
            return join.fail("", ResponseError::GroupMaxSizeReached, step);
        }
        if !self.supports(&join) {
            let id = join.member_id.clone();
            return join.fail(&id, ResponseError::InconsistentGroupProtocol, step);
        }
        if join.member_id.is_empty() {
            self.join_new(join, step);
        } else if self.pending_joins.contains_key(&join.member_id) {
            self.add_and_rebalance(join, step);
        } else {
            self.join_again(join, step);
        }
    }

    fn accepts(&self, member_id: &str, members_max: usize) -> bool {
        let known = self.members.get(member_id);
        match self.state {
            State::Empty => self.pending_joins.len() < members_max,
            State::PreparingRebalance => {
                known.is_some_and(|member| member.joining.is_some())
                    || self.joining_count() < members_max
            }
            State::CompletingRebalance | State::Stable => {
                known.is_some() || self.members.len() < members_max
            }
        }
    }

    /// `ClassicGroup.supportsProtocols`.
    fn supports(&self, join: &Join) -> bool {
        if self.state == State::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        let all_know = |name: &String| {
            self.members
                .values()
                .all(|member| member.protocols.iter().any(|(n, _)| n == name))
        };
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| all_know(name))
    }

    fn join_new(&mut self, mut join: Join, step: &mut Step<'_>) {
        let prefix = join.instance_id.as_deref().unwrap_or(&join.client_id);
        let id = format!("{prefix}-{}", step.rng.uuid());
        if let Some(instance) = &join.instance_id {
            if let Some(old) = self.static_members.get(instance).cloned() {
                return self.replace_static(join, &old, id, step);
            }
        } else if join.needs_known_id() {
            self.pending_joins
                .insert(id.clone(), step.now.after(join.session_timeout));
            return join.fail(&id, ResponseError::MemberIdRequired, step);
        }
        join.member_id = id;
        self.add_and_rebalance(join, step);
    }

    fn add_and_rebalance(&mut self, join: Join, step: &mut Step<'_>) {
        if self.state == State::PreparingRebalance && self.was_empty {
            self.member_added = true;
        }
        self.add(Member {
            id: join.member_id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            rebalance_timeout: join.rebalance_timeout,
            session_timeout: join.session_timeout,
            protocol_type: join.protocol_type,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: Some(join.request),
            syncing: None,
            is_new: true,
            session_end: Some(step.now.after(NEW_MEMBER_JOIN_TIMEOUT)),
        });
        self.rebalance_or_complete_join(step);
    }

    /// `classicGroupJoinExistingMember`.
    fn join_again(&mut self, join: Join, step: &mut Step<'_>) {
        let id = join.member_id.clone();
        if let Err(error) = self.check_member(&id, join.instance_id.as_deref()) {
            return join.fail(&id, error, step);
        }
        let same = self
            .members
            .get(&id)
            .is_some_and(|member| member.protocols == join.protocols);
        match self.state {
            State::Empty => join.fail(&id, ResponseError::UnknownMemberId, step),
            State::PreparingRebalance => self.update_and_rebalance(join, step),
            // It has joined this generation and lost the response.
            State::CompletingRebalance if same => {
                let response = self.joined(&id, self.is_leader(&id));
                step.responses.push(Response::Join(join.request, response));
            }
            State::Stable if same && !self.is_leader(&id) => {
                let response = self.joined(&id, false);
                step.responses.push(Response::Join(join.request, response));
            }
            // A leader that rejoins wants a new assignment.
            State::CompletingRebalance | State::Stable => self.update_and_rebalance(join, step),
        }
    }

    fn update_and_rebalance(&mut self, join: Join, step: &mut Step<'_>) {
        self.update(join);
        self.rebalance_or_complete_join(step);
    }

    fn update(&mut self, join: Join) {
        if let Some(member) = self.members.get_mut(&join.member_id) {
            member.protocols = join.protocols;
            member.rebalance_timeout = join.rebalance_timeout;
            member.session_timeout = join.session_timeout;
            member.joining = Some(join.request);
        }
    }

    /// `updateStaticMemberThenRebalanceOrCompleteJoin`: a static member has come back without its
    /// member id, so the old id is fenced.
    fn replace_static(&mut self, mut join: Join, old: &str, new: String, step: &mut Step<'_>) {
        let old_leader = self.leader.clone();
        self.fence(old, &new, step);
        join.member_id.clone_from(&new);
        let can_skip = join.can_skip_assignment();
        self.update(join);
        match self.state {
            State::Stable if self.protocol == self.select_protocol() => {
                let is_leader = self.is_leader(&new);
                let response = if can_skip {
                    self.joined(&new, is_leader).with_skip_assignment(is_leader)
                } else {
                    // Its response does not say that it leads, so that it does not assign again.
                    self.joined(&new, false)
                        .with_leader(wire(&old_leader.unwrap_or_default()))
                };
                if let Some(member) = self.members.get_mut(&new) {
                    member.respond_to_join(response, step.responses);
                }
            }
            State::Stable => self.rebalance_or_complete_join(step),
            State::CompletingRebalance => self.prepare_rebalance(step),
            State::Empty | State::PreparingRebalance => self.complete_join_if_ready(step),
        }
    }

    /// `ClassicGroup.replaceStaticMember`.
    fn fence(&mut self, old: &str, new: &str, step: &mut Step<'_>) {
        let Some(mut member) = self.members.remove(old) else {
            return;
        };
        let code = ResponseError::FencedInstanceId.code();
        let fenced = JoinGroupResponse::default()
            .with_member_id(wire(old))
            .with_error_code(code);
        member.respond_to_join(fenced, step.responses);
        member.respond_to_sync(
            SyncGroupResponse::default().with_error_code(code),
            step.responses,
        );
        new.clone_into(&mut member.id);
        member.renew_session(step.now);
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), new.to_owned());
        }
        if self.is_leader(old) {
            self.leader = Some(new.to_owned());
        }
        self.pending_syncs.remove(old);
        self.members.insert(new.to_owned(), member);
    }

    /// The response to a join of the current generation.
    pub(super) fn joined(&self, id: &str, with_members: bool) -> JoinGroupResponse {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let describe = |member: &Member| {
            JoinGroupResponseMember::default()
                .with_member_id(wire(&member.id))
                .with_group_instance_id(member.instance_id.as_deref().map(wire))
                .with_metadata(member.metadata(protocol))
        };
        let members = with_members.then(|| self.members.values().map(describe).collect());
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.as_deref().map(wire))
            .with_protocol_name(self.protocol.as_deref().map(wire))
            .with_leader(wire(self.leader.as_deref().unwrap_or_default()))
            .with_member_id(wire(id))
            .with_members(members.unwrap_or_default())
    }
}
