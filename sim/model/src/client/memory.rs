//! What a client remembers of answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatResponse, EndTxnResponse, FetchResponse, InitProducerIdResponse,
    JoinGroupResponse,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use crate::expected::{self, Head};
use crate::script::Producer;

/// What a request is about, as far as its answer is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Nothing in particular.
    Nothing,
    /// The group with this number.
    Group(u8),
    /// A producer.
    Producer(Producer),
}

/// A member of a consumer group, as its coordinator told it last.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumer {
    pub(super) epoch: i32,
    pub(super) assigned: Vec<TopicPartitions>,
}

/// What later requests need of earlier answers.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The fetch session and the epoch that comes next, once one was given.
    pub fetch_session: Option<(i32, i32)>,
    /// By group: the member and the generation.
    pub members: BTreeMap<u8, (String, i32)>,
    /// Producer ids with their epochs.
    pub(super) producers: BTreeMap<Producer, (i64, i16)>,
    /// By group: what the member of a consumer group was told.
    pub(super) consumers: BTreeMap<u8, Consumer>,
}

const FETCH: i16 = 1;
const JOIN_GROUP: i16 = 11;
const LEAVE_GROUP: i16 = 13;
const INIT_PRODUCER_ID: i16 = 22;
const END_TXN: i16 = 26;
const CONSUMER_GROUP_HEARTBEAT: i16 = 68;

/// `Errors.MEMBER_ID_REQUIRED`: the answer carries the id to come back with (KIP-394).
const MEMBER_ID_REQUIRED: i16 = 79;

impl Memory {
    /// Takes in an answer, with its length.
    pub fn learn(&mut self, key: i16, version: i16, about: About, frame: &Bytes) {
        match (key, about) {
            (FETCH, _) => {
                if let Some(answer) = body::<FetchResponse>(key, version, frame) {
                    self.fetched(answer.error_code, answer.session_id);
                }
            }
            (JOIN_GROUP, About::Group(group)) => {
                if let Some(answer) = body::<JoinGroupResponse>(key, version, frame)
                    && matches!(answer.error_code, 0 | MEMBER_ID_REQUIRED)
                {
                    let member = answer.member_id.to_string();
                    self.members.insert(group, (member, answer.generation_id));
                }
            }
            (LEAVE_GROUP, About::Group(group)) => {
                self.members.remove(&group);
            }
            (INIT_PRODUCER_ID, About::Producer(producer)) => {
                if let Some(answer) = body::<InitProducerIdResponse>(key, version, frame)
                    && answer.error_code == 0
                {
                    let given = (answer.producer_id.0, answer.producer_epoch);
                    self.producers.insert(producer, given);
                }
            }
            (END_TXN, About::Producer(producer)) => {
                // Before version 5 the producer goes on as it was.
                if let Some(answer) = body::<EndTxnResponse>(key, version, frame)
                    && answer.producer_id.0 >= 0
                {
                    let given = (answer.producer_id.0, answer.producer_epoch);
                    self.producers.insert(producer, given);
                }
            }
            (CONSUMER_GROUP_HEARTBEAT, About::Group(group)) => {
                if let Some(answer) = body::<ConsumerGroupHeartbeatResponse>(key, version, frame) {
                    self.beat(group, answer);
                }
            }
            _ => {}
        }
    }

    /// A member that was refused, or has gone, is none any more.
    fn beat(&mut self, group: u8, answer: ConsumerGroupHeartbeatResponse) {
        if answer.error_code != 0 || answer.member_epoch < 0 {
            self.members.remove(&group);
            self.consumers.remove(&group);
            return;
        }
        let id = answer.member_id.map(|id| id.to_string());
        let epoch = answer.member_epoch;
        self.members.insert(group, (id.unwrap_or_default(), epoch));
        let known = self.consumers.entry(group).or_default();
        known.epoch = epoch;
        if let Some(assignment) = answer.assignment {
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

/// The body of an answer, if it is one: a client that has sent nonsense may be answered anything.
fn body<T: Decodable + HeaderVersion>(key: i16, version: i16, frame: &Bytes) -> Option<T> {
    let id = 0;
    expected::answer(Head { key, version, id }, frame)
}
