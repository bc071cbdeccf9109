//! `LeaveGroup`: members go, or are sent away by an administrator.

use kafka_protocol::ResponseError;

use super::{Group, State, Step};

/// One member that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberIdentity {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

impl Group {
    /// `classicGroupLeaveToClassicGroup`: one result for each, in order.
    pub(crate) fn leave(
        &mut self,
        leaving: &[MemberIdentity],
        step: &mut Step<'_>,
    ) -> Vec<Result<(), ResponseError>> {
        let results: Vec<_> = leaving
            .iter()
            .map(|member| self.leave_one(member, step))
            .collect();
        if results.iter().any(Result::is_ok) {
            match self.state {
                State::Stable | State::CompletingRebalance => self.rebalance_or_complete_join(step),
                State::PreparingRebalance => self.complete_join_if_ready(step),
                State::Empty => {}
            }
        }
        results
    }

    fn leave_one(
        &mut self,
        leaving: &MemberIdentity,
        step: &mut Step<'_>,
    ) -> Result<(), ResponseError> {
        let instance = leaving.instance_id.as_deref();
        if leaving.member_id.is_empty() {
            let id = instance
                .and_then(|instance| self.static_members.get(instance))
                .cloned();
            let id = id.ok_or(ResponseError::UnknownMemberId)?;
            self.remove_with_response(&id, step);
        } else if self.pending_joins.remove(&leaving.member_id).is_none() {
            self.check_member(&leaving.member_id, instance)?;
            self.remove_with_response(&leaving.member_id, step);
        }
        Ok(())
    }
}
