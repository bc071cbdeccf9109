//! What the coordinator of groups works with.

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;

use crate::config::Limits;
use crate::group::{Group, Response, Step};
use crate::groups::{Groups, coordinator};
use crate::rng::Rng;
use crate::topics::Topics;

/// There is no classic group of that id.
#[derive(Debug)]
pub(crate) struct NoGroup;

/// All groups and what their steps depend on.
pub(crate) struct GroupCoordinator<'a> {
    pub(crate) now: Instant,
    pub(crate) limits: &'a Limits,
    pub(crate) rng: &'a mut Rng,
    pub(crate) topics: &'a Topics,
    pub(crate) groups: &'a mut Groups,
    /// Responses to requests that were parked.
    pub(crate) responses: &'a mut Vec<Response>,
}

impl GroupCoordinator<'_> {
    /// Lets groups do something.
    pub(crate) fn step<R>(&mut self, act: impl FnOnce(&mut Groups, &mut Step<'_>) -> R) -> R {
        let mut step = Step {
            now: self.now,
            limits: self.limits,
            rng: self.rng,
            responses: self.responses,
        };
        act(self.groups, &mut step)
    }

    /// The same with one group that must be there.
    pub(crate) fn step_group<R>(
        &mut self,
        id: &str,
        act: impl FnOnce(&mut Group, &mut Step<'_>) -> R,
    ) -> Result<R, NoGroup> {
        self.step(|groups, step| {
            let group = groups.get_mut(id);
            group.map(|group| act(group, step)).ok_or(NoGroup)
        })
    }
}

/// Whether a broker coordinates a group (`GroupCoordinatorService`).
pub(crate) fn check_coordinator(
    topics: &Topics,
    broker: BrokerId,
    group: &str,
) -> Result<(), ResponseError> {
    if group.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    if coordinator(topics, group) == Some(broker) {
        Ok(())
    } else {
        Err(ResponseError::NotCoordinator)
    }
}
