//! What a client remembers of responses.

use std::collections::BTreeMap;

use bytes::Bytes;
use doorkeeper_core::api::keys::{
    CONSUMER_GROUP_HEARTBEAT, END_TXN, FETCH, INIT_PRODUCER_ID, JOIN_GROUP, LEAVE_GROUP,
    SHARE_ACKNOWLEDGE, SHARE_FETCH, SHARE_GROUP_HEARTBEAT,
};
use doorkeeper_core::id::ApiKey;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatResponse, EndTxnResponse, FetchResponse, InitProducerIdResponse,
    JoinGroupResponse, ShareAcknowledgeResponse, ShareFetchResponse, ShareGroupHeartbeatResponse,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion};
use uuid::Uuid;

use crate::expected::{self, Head};
use crate::script::{Acknowledge, Producer, ShareSession};

/// What a request is about, as far as its response is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Nothing in particular.
    Nothing,
    /// The group with this number.
    Group(u8),
    /// A producer.
    Producer(Producer),
    /// The share group with this number, its session, and what becomes of what its member has.
    Share(u8, ShareSession, Acknowledge),
}

/// A member of a consumer group, as its coordinator's last response has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumer {
    pub(super) epoch: i32,
    pub(super) assigned: Vec<TopicPartitions>,
}

/// A member of a share group.
#[derive(Clone, Debug, Default)]
pub(super) struct ShareMember {
    pub(super) member_epoch: i32,
    /// The epoch that comes next in its share session; 0 if it has none.
    pub(super) session_epoch: i32,
    /// The first and last offsets of records that it has.
    pub(super) acquired: BTreeMap<(Uuid, i32), Vec<(i64, i64)>>,
}

impl ShareMember {
    /// A response came in its session.
    fn response(&mut self, session: ShareSession, error_code: i16) {
        match session {
            _ if error_code != 0 => self.session_ends(),
            ShareSession::New => self.session_epoch = 1,
            ShareSession::Known | ShareSession::Stale => self.session_epoch += 1,
            ShareSession::Last => self.session_ends(),
        }
    }

    fn fetched(&mut self, session: ShareSession, says: Acknowledge, response: &ShareFetchResponse) {
        for topic in &response.responses {
            for partition in &topic.partitions {
                let place = (topic.topic_id, partition.partition_index);
                let had = self.acquired.entry(place).or_default();
                if says != Acknowledge::Nothing {
                    had.clear();
                }
                let given = partition.acquired_records.iter();
                had.extend(given.map(|range| (range.first_offset, range.last_offset)));
            }
        }
        self.response(session, response.error_code);
    }

    fn acknowledged(&mut self, session: ShareSession, response: &ShareAcknowledgeResponse) {
        for topic in &response.responses {
            for partition in &topic.partitions {
                let place = (topic.topic_id, partition.partition_index);
                self.acquired.remove(&place);
            }
        }
        self.response(session, response.error_code);
    }

    fn session_ends(&mut self) {
        self.session_epoch = 0;
        self.acquired.clear();
    }
}

/// What later requests need of earlier responses.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The fetch session and the epoch that comes next, once one was given.
    pub fetch_session: Option<(i32, i32)>,
    /// By group: the member and the generation.
    pub members: BTreeMap<u8, (String, i32)>,
    /// Producer ids with their epochs.
    pub(super) producers: BTreeMap<Producer, (i64, i16)>,
    /// By group: what the coordinator of a consumer group said to its member.
    pub(super) consumers: BTreeMap<u8, Consumer>,
    /// By group: what the coordinator of a share group said to its member.
    pub(super) shares: BTreeMap<u8, ShareMember>,
}

/// `Errors.MEMBER_ID_REQUIRED`: the response has the id to rejoin with (KIP-394).
const MEMBER_ID_REQUIRED: i16 = 79;

impl Memory {
    /// Takes in a response, with its length.
    pub fn learn(&mut self, api: ApiKey, version: i16, about: About, frame: &Bytes) {
        match (api, about) {
            (FETCH, _) => {
                if let Some(response) = body::<FetchResponse>(api, version, frame) {
                    self.fetched(response.error_code, response.session_id);
                }
            }
            (JOIN_GROUP, About::Group(group)) => {
                if let Some(response) = body::<JoinGroupResponse>(api, version, frame)
                    && matches!(response.error_code, 0 | MEMBER_ID_REQUIRED)
                {
                    let member = response.member_id.to_string();
                    self.members.insert(group, (member, response.generation_id));
                }
            }
            (LEAVE_GROUP, About::Group(group)) => {
                self.members.remove(&group);
            }
            (INIT_PRODUCER_ID, About::Producer(producer)) => {
                if let Some(response) = body::<InitProducerIdResponse>(api, version, frame)
                    && response.error_code == 0
                {
                    let given = (response.producer_id.0, response.producer_epoch);
                    self.producers.insert(producer, given);
                }
            }
            (END_TXN, About::Producer(producer)) => {
                // Before version 5 the producer goes on as it was.
                if let Some(response) = body::<EndTxnResponse>(api, version, frame)
                    && response.producer_id.0 >= 0
                {
                    let given = (response.producer_id.0, response.producer_epoch);
                    self.producers.insert(producer, given);
                }
            }
            (CONSUMER_GROUP_HEARTBEAT, About::Group(group)) => {
                if let Some(response) = body::<ConsumerGroupHeartbeatResponse>(api, version, frame)
                {
                    self.beat(group, response);
                }
            }
            (SHARE_GROUP_HEARTBEAT | SHARE_FETCH | SHARE_ACKNOWLEDGE, _) => {
                self.learn_of_shares(api, version, about, frame);
            }
            _ => {}
        }
    }

    fn learn_of_shares(&mut self, api: ApiKey, version: i16, about: About, frame: &Bytes) {
        match (api, about) {
            (SHARE_GROUP_HEARTBEAT, About::Group(group)) => {
                if let Some(response) = body::<ShareGroupHeartbeatResponse>(api, version, frame) {
                    let known = self.shares.entry(group).or_default();
                    known.member_epoch = response.member_epoch.max(0);
                }
            }
            (SHARE_FETCH, About::Share(group, session, says)) => {
                if let Some(response) = body::<ShareFetchResponse>(api, version, frame) {
                    let known = self.shares.entry(group).or_default();
                    known.fetched(session, says, &response);
                }
            }
            (SHARE_ACKNOWLEDGE, About::Share(group, session, _)) => {
                if let Some(response) = body::<ShareAcknowledgeResponse>(api, version, frame) {
                    let known = self.shares.entry(group).or_default();
                    known.acknowledged(session, &response);
                }
            }
            _ => {}
        }
    }

    /// Sessions end with the connection that they were given on.
    pub(super) fn sessions_end(&mut self) {
        self.fetch_session = None;
        self.shares.values_mut().for_each(ShareMember::session_ends);
    }

    /// A member that got an error, or has gone, is none any more.
    fn beat(&mut self, group: u8, response: ConsumerGroupHeartbeatResponse) {
        if response.error_code != 0 || response.member_epoch < 0 {
            self.members.remove(&group);
            self.consumers.remove(&group);
            return;
        }
        let id = response.member_id.map(|id| id.to_string());
        let epoch = response.member_epoch;
        self.members.insert(group, (id.unwrap_or_default(), epoch));
        let known = self.consumers.entry(group).or_default();
        known.epoch = epoch;
        if let Some(assignment) = response.assignment {
            let topics = assignment.topic_partitions.into_iter();
            let owned = topics.map(|topic| {
                TopicPartitions::default()
                    .with_topic_id(topic.topic_id)
                    .with_partitions(topic.partitions)
            });
            known.assigned = owned.collect();
        }
    }

    fn fetched(&mut self, error_code: i16, session_id: i32) {
        self.fetch_session = match self.fetch_session {
            _ if error_code != 0 || session_id == 0 => None,
            Some((known, epoch)) if known == session_id => Some((known, epoch + 1)),
            Some(_) | None => Some((session_id, 1)),
        };
    }
}

/// The body of a response, if it is one: a client that has sent nonsense may get anything.
fn body<T: Decodable + HeaderVersion>(api: ApiKey, version: i16, frame: &Bytes) -> Option<T> {
    let id = 0;
    expected::response(Head { api, version, id }, frame)
}
