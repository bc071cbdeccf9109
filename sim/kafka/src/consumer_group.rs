//! One consumer group (KIP-848): the coordinator assigns, members reconcile towards their targets.
//!
//! Rules: the consumer part of `GroupMetadataManager`, `ConsumerGroup`, `TargetAssignmentBuilder`.
//! Members of the classic protocol are not let in, and classic groups with members do not become
//! consumer groups (`group.consumer.migration.policy=disabled`).

mod assignor;
mod member;
mod reconcile;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use uuid::Uuid;

pub(crate) use self::assignor::Assignor;
use self::assignor::Candidate;
pub(crate) use self::member::{Member, Partitions};
use self::reconcile::reconciled;
use crate::config::Limits;
use crate::group::Offsets;
use crate::rng::Rng;
use crate::topics::Topics;

/// `LEAVE_GROUP_MEMBER_EPOCH`: the member leaves.
pub(crate) const LEAVE: i32 = -1;
/// `LEAVE_GROUP_STATIC_MEMBER_EPOCH`: a static member leaves, and will be back.
pub(crate) const LEAVE_FOR_A_WHILE: i32 = -2;
/// From this version on `OffsetCommit` has member epochs.
const MEMBER_EPOCHS: i16 = 9;

/// What a group is doing (`ConsumerGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; perhaps offsets.
    Empty,
    /// Something has changed that the target assignment does not know of.
    Assigning,
    /// Not every member has what it shall have.
    Reconciling,
    /// Every member has what it shall have.
    Stable,
}

impl State {
    /// The state as Kafka's responses name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// A heartbeat of a member that stays; what is not there has not changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeat {
    pub(crate) member_id: String,
    pub(crate) member_epoch: i32,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) rebalance_timeout: Option<Duration>,
    pub(crate) subscribed: Option<BTreeSet<String>>,
    pub(crate) assignor: Option<Assignor>,
    pub(crate) owned: Option<Partitions>,
}

impl Heartbeat {
    /// Whether it says everything, as after an error.
    const fn is_full(&self) -> bool {
        let all = self.rebalance_timeout.is_some() && self.subscribed.is_some();
        self.member_epoch == 0 || (all && self.owned.is_some())
    }
}

/// What a heartbeat's response says to its member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatResult {
    pub(crate) member_id: String,
    pub(crate) member_epoch: i32,
    /// Only where it is news.
    pub(crate) assignment: Option<Partitions>,
}

/// What surrounds one step of a group.
pub(crate) struct GroupContext<'a> {
    pub(crate) now: Instant,
    pub(crate) limits: &'a Limits,
    pub(crate) topics: &'a Topics,
    pub(crate) rng: &'a mut Rng,
}

/// A topic as far as assignments depend on it (`TopicMetadata`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SubscribedTopic {
    id: Uuid,
    partitions: usize,
}

/// One consumer group.
#[derive(Debug, Default)]
pub(crate) struct ConsumerGroup {
    epoch: i32,
    target_epoch: i32,
    /// The topics that members want and that are there.
    subscribed: BTreeMap<String, SubscribedTopic>,
    members: BTreeMap<String, Member>,
    /// Instance id to member id.
    static_members: BTreeMap<String, String>,
    /// What each member shall have.
    targets: BTreeMap<String, Partitions>,
    pub(crate) offsets: Offsets,
}

impl ConsumerGroup {
    /// A group that takes over the offsets of a classic one without members.
    pub(crate) fn with_offsets(offsets: Offsets) -> Self {
        Self {
            offsets,
            ..Self::default()
        }
    }

    pub(crate) fn state(&self) -> State {
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.target_epoch {
            State::Assigning
        } else if self
            .members
            .values()
            .all(|member| member.is_reconciled_to(self.target_epoch))
        {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    pub(crate) const fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(crate) const fn target_epoch(&self) -> i32 {
        self.target_epoch
    }

    /// The members, each with what it shall have.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Member, Option<&Partitions>)> {
        self.members
            .values()
            .map(|member| (member, self.targets.get(&member.id)))
    }

    /// The assignor that most members prefer, Kafka's default if none prefers any
    /// (`ConsumerGroup.preferredServerAssignor`).
    pub(crate) fn assignor(&self) -> Assignor {
        let mut votes = BTreeMap::<Assignor, usize>::new();
        for assignor in self.members.values().filter_map(|member| member.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        let first = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
        first.map_or(Assignor::Uniform, |(assignor, _)| assignor)
    }

    /// Nobody is in it, and it holds no offsets.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.members.is_empty() && self.offsets.is_empty()
    }

    /// When [`ConsumerGroup::tick`] must be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.members.values().filter_map(Member::deadline).min()
    }

    /// Members that were silent too long, or did not give up what they must, are out.
    pub(crate) fn tick(&mut self, now: Instant, topics: &Topics) {
        let late = |member: &&Member| member.deadline().is_some_and(|end| end <= now);
        let late = self.members.values().filter(late);
        for id in late.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.fence(&id, topics);
        }
    }

    /// `GroupMetadataManager.consumerGroupHeartbeat`.
    pub(crate) fn heartbeat(
        &mut self,
        beat: Heartbeat,
        context: &mut GroupContext<'_>,
    ) -> Result<HeartbeatResult, ResponseError> {
        let is_full_house = self.members.len() >= context.limits.group_members_max;
        if is_full_house && !self.members.contains_key(&beat.member_id) {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let is_full = beat.is_full();
        let known = self.member_of(&beat, context.rng)?;
        let had = known.assigned.clone();
        let mut member = known.clone();
        let owned = beat.owned.clone();
        member.update(beat);
        let changed = member.subscribed != known.subscribed;
        let id = member.id.clone();
        self.put(member);
        self.resubscribe(context.topics, changed);
        if self.epoch > self.target_epoch {
            self.assign();
        }
        let target = self.targets.get(&id).cloned().unwrap_or_default();
        let others = self.owned_by_others(&id);
        let target_epoch = self.target_epoch;
        let member = self
            .members
            .get_mut(&id)
            .ok_or(ResponseError::UnknownMemberId)?;
        if !member.is_reconciled_to(target_epoch)
            && let Some(next) = reconciled(member, target_epoch, &target, owned.as_ref(), &others)
        {
            let waits = next.state == member::State::UnrevokedPartitions;
            *member = next;
            let timeout = member.rebalance_timeout;
            member.revocation_end = waits.then(|| context.now.after(timeout));
        }
        let session = context.limits.consumer_group_session_timeout;
        member.session_end = Some(context.now.after(session));
        let is_news = is_full || member.assigned != had;
        Ok(HeartbeatResult {
            member_id: id,
            member_epoch: member.epoch,
            assignment: is_news.then(|| member.assigned.clone()),
        })
    }

    /// The member that a heartbeat is of, as it was before; with epoch 0 a new one, if need be.
    fn member_of(&mut self, beat: &Heartbeat, rng: &mut Rng) -> Result<Member, ResponseError> {
        let joins = beat.member_epoch == 0;
        let id = if beat.member_id.is_empty() {
            rng.uuid().to_string()
        } else {
            beat.member_id.clone()
        };
        let Some(instance) = &beat.instance_id else {
            let known = self.members.get(&id).cloned();
            let known = known.or_else(|| joins.then(|| Member::new(&id)));
            let known = known.ok_or(ResponseError::UnknownMemberId)?;
            known.check_epoch(beat.member_epoch, beat.owned.as_ref())?;
            return Ok(known);
        };
        let known = self.static_members.get(instance);
        let known = known.and_then(|id| self.members.get(id)).cloned();
        match (known, joins) {
            (None, true) => Ok(Member::new(&id)),
            (Some(known), true) if known.epoch != LEAVE_FOR_A_WHILE => {
                Err(ResponseError::UnreleasedInstanceId)
            }
            (Some(known), true) => {
                // It is back under another id and takes over what was kept for it.
                self.members.remove(&known.id);
                let target = self.targets.remove(&known.id).unwrap_or_default();
                self.targets.insert(id.clone(), target);
                Ok(known.back_as(&id))
            }
            (None, false) => Err(ResponseError::UnknownMemberId),
            (Some(known), false) if known.id != id => Err(ResponseError::FencedInstanceId),
            (Some(known), false) => {
                known.check_epoch(beat.member_epoch, beat.owned.as_ref())?;
                Ok(known)
            }
        }
    }

    fn put(&mut self, member: Member) {
        if let Some(instance) = &member.instance_id {
            self.static_members
                .insert(instance.clone(), member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Looks at the topics again; the group's epoch is bumped if something about them has changed.
    fn resubscribe(&mut self, topics: &Topics, changed: bool) {
        let subscribed = self.known_topics(topics);
        let is_other = subscribed != self.subscribed;
        self.subscribed = subscribed;
        if changed || is_other {
            self.epoch += 1;
        }
    }

    fn known_topics(&self, topics: &Topics) -> BTreeMap<String, SubscribedTopic> {
        let names = self.members.values().flat_map(|member| &member.subscribed);
        let known = names.filter_map(|name| {
            let topic = topics.get(name)?;
            let subscribed = SubscribedTopic {
                id: topic.id,
                partitions: topic.partitions.len(),
            };
            Some((name.clone(), subscribed))
        });
        known.collect()
    }

    /// `TargetAssignmentBuilder.build`.
    fn assign(&mut self) {
        let candidates = self.members.values().map(|member| {
            let wants = member.subscribed.iter();
            let wants = wants.filter_map(|name| Some(self.subscribed.get(name)?.id));
            let had = self.targets.get(&member.id);
            Candidate {
                id: &member.id,
                instance_id: member.instance_id.as_deref(),
                wants: wants.collect(),
                had: had.cloned().unwrap_or_default(),
            }
        });
        let candidates: Vec<_> = candidates.collect();
        let counts = self.subscribed.values();
        let counts = counts.map(|topic| (topic.id, topic.partitions)).collect();
        self.targets = self.assignor().assign(&candidates, &counts);
        self.target_epoch = self.epoch;
    }

    /// Partitions that somebody else has not yet let go of.
    fn owned_by_others(&self, id: &str) -> Partitions {
        let others = self.members.values().filter(|member| member.id != id);
        others
            .flat_map(|member| member.assigned.iter().chain(&member.pending_revocation))
            .copied()
            .collect()
    }

    /// `GroupMetadataManager.consumerGroupLeave`: for good, or for a while.
    pub(crate) fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        member_epoch: i32,
        topics: &Topics,
    ) -> Result<(), ResponseError> {
        if let Some(instance) = instance_id {
            match self.static_members.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(known) if known != member_id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        let member = self
            .members
            .get_mut(member_id)
            .ok_or(ResponseError::UnknownMemberId)?;
        if instance_id.is_some() && member_epoch == LEAVE_FOR_A_WHILE {
            member.epoch = LEAVE_FOR_A_WHILE;
            member.pending_revocation.clear();
        } else {
            self.fence(member_id, topics);
        }
        Ok(())
    }

    /// Removes a member. What it had is given to others at their next heartbeats.
    fn fence(&mut self, id: &str, topics: &Topics) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
        self.targets.remove(id);
        self.subscribed = self.known_topics(topics);
        self.epoch += 1;
    }

    /// `ConsumerGroup.validateOffsetCommit`; `version` is none for transactions.
    pub(crate) fn check_offset_commit(
        &self,
        member_id: &str,
        member_epoch: i32,
        version: Option<i16>,
    ) -> Result<(), ResponseError> {
        if member_epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(member_id);
        let member = member.ok_or(ResponseError::UnknownMemberId)?;
        if version.is_some_and(|version| version < MEMBER_EPOCHS) {
            return Err(ResponseError::UnsupportedVersion);
        }
        match (member.epoch == member_epoch, version) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(ResponseError::StaleMemberEpoch),
            // `OffsetMetadataManager.validateTransactionalOffsetCommit`.
            (false, None) => Err(ResponseError::IllegalGeneration),
        }
    }

    /// `ConsumerGroup.validateOffsetFetch`.
    pub(crate) fn check_offset_fetch(
        &self,
        member_id: Option<&str>,
        member_epoch: i32,
    ) -> Result<(), ResponseError> {
        let Some(id) = member_id else {
            let is_outsider = member_epoch < 0;
            let error = ResponseError::UnknownMemberId;
            return is_outsider.then_some(()).ok_or(error);
        };
        match self.members.get(id) {
            None => Err(ResponseError::UnknownMemberId),
            Some(member) if member.epoch != member_epoch => Err(ResponseError::StaleMemberEpoch),
            Some(_) => Ok(()),
        }
    }
}
