//! From one generation to the next: who is waited for, how long, and what comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::{Group, JoinTimer, State, Step};

impl Group {
    /// `maybePrepareRebalanceOrCompleteJoin`.
    pub(super) fn rebalance_or_complete_join(&mut self, step: &mut Step<'_>) {
        match self.state {
            State::Empty | State::CompletingRebalance | State::Stable => {
                self.prepare_rebalance(step);
            }
            State::PreparingRebalance => self.complete_join_if_ready(step),
        }
    }

    /// `prepareRebalance`.
    pub(super) fn prepare_rebalance(&mut self, step: &mut Step<'_>) {
        if self.state == State::CompletingRebalance {
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
            }
            self.respond_to_syncs(Some(ResponseError::RebalanceInProgress), step);
        }
        self.pending_syncs.clear();
        self.sync_deadline = None;
        self.was_empty = self.state == State::Empty;
        self.state = State::PreparingRebalance;
        if self.was_empty {
            let delay = step.limits.group_initial_rebalance_delay;
            let remaining = self.rebalance_timeout().saturating_sub(delay);
            self.wait_for_first_members(delay, remaining, step);
        } else if self.all_have_joined() {
            self.complete_join(step);
        } else {
            self.wait_for_members(step);
        }
    }

    fn wait_for_first_members(&mut self, delay: Duration, remaining: Duration, step: &Step<'_>) {
        let at = step.now.after(delay);
        self.join_timer = Some(JoinTimer::Initial {
            at,
            delay,
            remaining,
        });
    }

    fn wait_for_members(&mut self, step: &Step<'_>) {
        // A client may say zero; time must go on all the same.
        let at = step
            .now
            .after(self.rebalance_timeout().max(Duration::from_millis(1)));
        self.join_timer = Some(JoinTimer::Rebalance { at });
    }

    /// The timer of the join phase has fired (`tryCompleteInitialRebalanceElseSchedule`).
    pub(super) fn join_phase_ended(&mut self, step: &mut Step<'_>) {
        match self.join_timer.take() {
            Some(JoinTimer::Initial {
                delay, remaining, ..
            }) if self.member_added && !remaining.is_zero() => {
                self.member_added = false;
                let next = step.limits.group_initial_rebalance_delay.min(remaining);
                self.wait_for_first_members(next, remaining.saturating_sub(delay), step);
            }
            Some(JoinTimer::Initial { .. } | JoinTimer::Rebalance { .. }) => {
                self.complete_join(step);
            }
            None => {}
        }
    }

    /// `maybeCompleteJoinPhase`: the first join phase of an empty group lasts its whole delay.
    pub(super) fn complete_join_if_ready(&mut self, step: &mut Step<'_>) {
        if self.state == State::PreparingRebalance && !self.was_empty && self.all_have_joined() {
            self.complete_join(step);
        }
    }

    /// The same without regard to the delay, when somebody has gone.
    pub(super) fn complete_join_if_all_are_here(&mut self, step: &mut Step<'_>) {
        if self.state == State::PreparingRebalance && self.all_have_joined() {
            self.complete_join(step);
        }
    }

    /// A member has gone without being asked (`removeMemberAndUpdateClassicGroup`).
    pub(super) fn member_gone(&mut self, step: &mut Step<'_>) {
        match self.state {
            State::Stable | State::CompletingRebalance => self.rebalance_or_complete_join(step),
            State::PreparingRebalance => self.complete_join_if_all_are_here(step),
            State::Empty => {}
        }
    }

    pub(super) fn joining_count(&self) -> usize {
        self.members
            .values()
            .filter(|member| member.joining.is_some())
            .count()
    }

    fn all_have_joined(&self) -> bool {
        self.pending_joins.is_empty() && self.members.values().all(|m| m.joining.is_some())
    }

    /// `completeClassicGroupJoin`.
    fn complete_join(&mut self, step: &mut Step<'_>) {
        self.join_timer = None;
        let absent = self
            .members
            .values()
            .filter(|m| m.joining.is_none() && m.instance_id.is_none());
        for id in absent.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.remove(&id);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left, and none of them has come back yet.
            return self.wait_for_members(step);
        }
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.pending_syncs.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.state = State::Empty;
            return;
        }
        self.protocol = self.select_protocol();
        self.state = State::CompletingRebalance;
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let response = self.joined(&id, self.is_leader(&id));
            if let Some(member) = self.members.get_mut(&id) {
                member.respond_to_join(response, step.responses);
                member.renew_session(step.now);
                member.is_new = false;
            }
            self.pending_syncs.insert(id);
        }
        self.sync_deadline = Some(step.now.after(self.rebalance_timeout()));
    }

    /// `maybeElectNewJoinedLeader`: false if nobody who has joined could lead.
    fn elect_joined_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(|leader| leader.joining.is_some()) {
            return true;
        }
        let joined = self
            .members
            .values()
            .find(|member| member.joining.is_some());
        match (leader.is_some(), joined.map(|member| member.id.clone())) {
            (true, Some(id)) => {
                self.leader = Some(id);
                true
            }
            (true, None) | (false, _) => false,
        }
    }

    /// `ClassicGroup.selectProtocol`: every member votes for the first of its protocols that all
    /// know.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let all_know = |name: &String| {
            self.members
                .values()
                .all(|member| member.protocols.iter().any(|(n, _)| n == name))
        };
        let mut votes = BTreeMap::<&String, usize>::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| all_know(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| name.clone())
    }
}
