//! One share group (KIP-932): its members share partitions, so that nobody has to give one up.
//!
//! Rules: the share part of `GroupMetadataManager`, `ShareGroup`, `ShareGroupAssignmentBuilder`.

mod assignor;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use self::assignor::{Subscription, assign};
use crate::consumer_group::{GroupContext, HeartbeatResult, Partitions};
use crate::topics::Topics;

/// The one assignor that share groups have, as Kafka's responses name it.
pub(crate) const ASSIGNOR: &str = "simple";

/// A heartbeat of a member that stays; what is not there has not changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeat {
    pub(crate) member_id: String,
    pub(crate) member_epoch: i32,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) subscribed: Option<BTreeSet<String>>,
}

/// One member (`ShareGroupMember`).
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) epoch: i32,
    previous_epoch: i32,
    pub(crate) subscribed: BTreeSet<String>,
    pub(crate) assigned: Partitions,
    session_end: Option<Instant>,
}

impl Member {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            rack_id: None,
            client_id: String::new(),
            epoch: 0,
            previous_epoch: -1,
            subscribed: BTreeSet::new(),
            assigned: Partitions::new(),
            session_end: None,
        }
    }

    fn update(&mut self, beat: Heartbeat) {
        self.client_id = beat.client_id;
        self.rack_id = beat.rack_id.or_else(|| self.rack_id.take());
        if let Some(subscribed) = beat.subscribed {
            self.subscribed = subscribed;
        }
    }
}

/// One share group.
#[derive(Debug, Default)]
pub(crate) struct ShareGroup {
    epoch: i32,
    target_epoch: i32,
    /// The topics that members want and that are there, with their partitions.
    subscribed: BTreeMap<String, (Uuid, usize)>,
    members: BTreeMap<String, Member>,
    /// What each member shall have.
    targets: BTreeMap<String, Partitions>,
}

impl ShareGroup {
    /// The state as Kafka's responses name it (`ShareGroupState`).
    pub(crate) fn state(&self) -> &'static str {
        if self.is_empty() { "Empty" } else { "Stable" }
    }

    pub(crate) const fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(crate) const fn target_epoch(&self) -> i32 {
        self.target_epoch
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// When [`ShareGroup::tick`] must be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let ends = self.members.values();
        ends.filter_map(|member| member.session_end).min()
    }

    /// Members that were silent too long are out.
    pub(crate) fn tick(&mut self, now: Instant) {
        let late = |member: &&Member| member.session_end.is_some_and(|end| end <= now);
        let late = self.members.values().filter(late);
        for id in late.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.fence(&id);
        }
    }

    /// `GroupMetadataManager.shareGroupHeartbeat`.
    pub(crate) fn heartbeat(
        &mut self,
        beat: Heartbeat,
        context: &GroupContext<'_>,
    ) -> Result<HeartbeatResult, ResponseError> {
        let is_full_house = self.members.len() >= context.limits.share_group_members_max;
        if is_full_house && !self.members.contains_key(&beat.member_id) {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let joins = beat.member_epoch == 0;
        let id = beat.member_id.clone();
        let known = self.members.get(&id).cloned();
        let known = known.or_else(|| joins.then(|| Member::new(&id)));
        let known = known.ok_or(ResponseError::UnknownMemberId)?;
        // Who has missed the last response comes with the epoch before.
        if ![known.epoch, known.previous_epoch].contains(&beat.member_epoch) {
            return Err(ResponseError::FencedMemberEpoch);
        }
        let mut member = known.clone();
        member.update(beat);
        let changed = member.subscribed != known.subscribed;
        self.members.insert(id.clone(), member);
        let subscribed = self.known_topics(context.topics);
        if changed || subscribed != self.subscribed {
            self.epoch += 1;
        }
        self.subscribed = subscribed;
        if self.epoch > self.target_epoch {
            self.targets = self.assignment();
            self.target_epoch = self.epoch;
        }
        let target = self.targets.get(&id).cloned().unwrap_or_default();
        let target_epoch = self.target_epoch;
        let member = self.members.get_mut(&id);
        let member = member.ok_or(ResponseError::UnknownMemberId)?;
        if member.epoch != target_epoch {
            member.previous_epoch = member.epoch;
            member.epoch = target_epoch;
            member.assigned = target;
        }
        let session = context.limits.share_group_session_timeout;
        member.session_end = Some(context.now.after(session));
        let is_news = joins || member.assigned != known.assigned;
        Ok(HeartbeatResult {
            member_id: id,
            member_epoch: member.epoch,
            assignment: is_news.then(|| member.assigned.clone()),
        })
    }

    fn known_topics(&self, topics: &Topics) -> BTreeMap<String, (Uuid, usize)> {
        let names = self.members.values().flat_map(|member| &member.subscribed);
        let known = names.filter_map(|name| {
            let topic = topics.get(name)?;
            Some((name.clone(), (topic.id, topic.partitions.len())))
        });
        known.collect()
    }

    fn assignment(&self) -> BTreeMap<String, Partitions> {
        let members = self.members.values().map(|member| {
            let topics = member.subscribed.iter();
            let topics = topics.filter_map(|name| Some(self.subscribed.get(name)?.0));
            (member.id.as_str(), topics.collect())
        });
        let members: Vec<Subscription<'_>> = members.collect();
        let topics = self.subscribed.values().copied().collect();
        assign(&members, &topics, &self.targets)
    }

    /// `GroupMetadataManager.shareGroupLeave`.
    pub(crate) fn leave(&mut self, member_id: &str) -> Result<(), ResponseError> {
        if self.fence(member_id) {
            Ok(())
        } else {
            Err(ResponseError::UnknownMemberId)
        }
    }

    /// Removes a member. What it had is given to others at their next heartbeats.
    fn fence(&mut self, id: &str) -> bool {
        let is_out = self.members.remove(id).is_some();
        if is_out {
            self.targets.remove(id);
            self.epoch += 1;
        }
        is_out
    }
}
