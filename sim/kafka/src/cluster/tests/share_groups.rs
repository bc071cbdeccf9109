//! Share groups (KIP-932) as clients see them.

use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as AcknowledgeBatch,
};
use kafka_protocol::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition as SharedPartition, FetchTopic as SharedTopic,
};
use kafka_protocol::messages::share_fetch_response::PartitionData;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, ListGroupsRequest, ListGroupsResponse,
    ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse,
    ShareGroupDescribeRequest, ShareGroupDescribeResponse, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse,
};

use super::*;

const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("g"))
}

fn member(id: &str) -> StrBytes {
    StrBytes::from_string(id.to_owned())
}

/// Partition 0 of `t`, which the first broker leads, in a group of which something is produced
/// after the first fetch of member `a`.
struct ShareWorld {
    world: World,
    a: ConnectionId,
    b: ConnectionId,
}

impl ShareWorld {
    fn new() -> Self {
        let mut world = World::with_topic();
        let (a, b) = (world.connect(1), world.connect(1));
        let mut sharing = Self { world, a, b };
        let first = sharing.fetch("a", 0);
        let response = sharing.ask(a, &first);
        assert_eq!(
            (response.error_code, response.acquisition_lock_timeout_ms),
            (0, 30_000)
        );
        assert_eq!(response.responses[0].partitions[0].acquired_records, []);
        sharing.world.produced(a, batch_of(&["x", "y", "z"], None));
        sharing
    }

    fn fetch(&self, id: &str, epoch: i32) -> ShareFetchRequest {
        let partition = SharedPartition::default().with_partition_index(0);
        let topic = SharedTopic::default()
            .with_topic_id(self.world.topic_id())
            .with_partitions(vec![partition]);
        ShareFetchRequest::default()
            .with_group_id(Some(group()))
            .with_member_id(Some(member(id)))
            .with_share_session_epoch(epoch)
            .with_max_bytes(1 << 20)
            .with_min_bytes(1)
            .with_max_records(500)
            .with_topics(vec![topic])
    }

    fn ask(&mut self, connection: ConnectionId, request: &ShareFetchRequest) -> ShareFetchResponse {
        self.world.ask(connection, ApiKey::ShareFetch, 1, request)
    }

    /// The first offset, the last one and the deliveries of what a member gets.
    fn gets(&mut self, id: &str, epoch: i32) -> Vec<(i64, i64, i16)> {
        let request = self.fetch(id, epoch);
        let connection = if id == "a" { self.a } else { self.b };
        let response = self.ask(connection, &request);
        assert_eq!(response.error_code, 0);
        let topics = response.responses.iter();
        acquired(topics.flat_map(|topic| &topic.partitions))
    }

    fn acknowledges(&mut self, id: &str, epoch: i32, last: i64, kind: i8) -> (i16, Option<i16>) {
        let batch = AcknowledgeBatch::default()
            .with_first_offset(0)
            .with_last_offset(last)
            .with_acknowledge_types(vec![kind]);
        let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
        let topic = AcknowledgeTopic::default()
            .with_topic_id(self.world.topic_id())
            .with_partitions(vec![partition]);
        let request = ShareAcknowledgeRequest::default()
            .with_group_id(Some(group()))
            .with_member_id(Some(member(id)))
            .with_share_session_epoch(epoch)
            .with_topics(vec![topic]);
        let api = ApiKey::ShareAcknowledge;
        let response: ShareAcknowledgeResponse = self.world.ask(self.a, api, 1, &request);
        let first = response.responses.first();
        let first = first.map(|topic| topic.partitions[0].error_code);
        (response.error_code, first)
    }
}

fn acquired<'a>(partitions: impl Iterator<Item = &'a PartitionData>) -> Vec<(i64, i64, i16)> {
    let all = partitions.flat_map(|partition| &partition.acquired_records);
    all.map(|range| (range.first_offset, range.last_offset, range.delivery_count))
        .collect()
}

#[test]
fn a_member_joins_is_described_and_leaves() {
    let mut world = World::with_topic();
    let connection = world.group_coordinator();
    let beat = |epoch| {
        let request = ShareGroupHeartbeatRequest::default()
            .with_group_id(group())
            .with_member_id(member("a"))
            .with_member_epoch(epoch);
        match epoch {
            0 => request.with_subscribed_topic_names(Some(vec![topic_name("t")])),
            _ => request,
        }
    };
    let api = ApiKey::ShareGroupHeartbeat;
    let joined: ShareGroupHeartbeatResponse = world.ask(connection, api, 1, &beat(0));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 1));
    let assignment = joined.assignment.unwrap();
    assert_eq!(assignment.topic_partitions[0].partitions, [0, 1, 2]);
    let stays: ShareGroupHeartbeatResponse = world.ask(connection, api, 1, &beat(1));
    assert_eq!((stays.error_code, stays.assignment), (0, None));

    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![group()]);
    let api = ApiKey::ShareGroupDescribe;
    let response: ShareGroupDescribeResponse = world.ask(connection, api, 1, &request);
    let described = &response.groups[0];
    assert_eq!(&*described.group_state, "Stable");
    assert_eq!(&*described.assignor_name, "simple");
    assert_eq!(&*described.members[0].subscribed_topic_names[0].0, "t");
    let request = ListGroupsRequest::default();
    let listed: ListGroupsResponse = world.ask(connection, ApiKey::ListGroups, 5, &request);
    assert_eq!(&*listed.groups[0].group_type, "share");

    let request = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    let delete = |world: &mut World| {
        let response: DeleteGroupsResponse =
            world.ask(connection, ApiKey::DeleteGroups, 2, &request);
        response.results[0].error_code
    };
    assert_eq!(delete(&mut world), ResponseError::NonEmptyGroup.code());
    let api = ApiKey::ShareGroupHeartbeat;
    let left: ShareGroupHeartbeatResponse = world.ask(connection, api, 1, &beat(-1));
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    assert_eq!(delete(&mut world), 0);
}

#[test]
fn a_group_begins_at_the_end_and_each_record_goes_to_one_member() {
    let mut sharing = ShareWorld::new();
    assert_eq!(sharing.gets("b", 0), [(0, 2, 1)]);
    assert_eq!(sharing.gets("a", 1), []);
}

#[test]
fn released_records_come_again_and_accepted_ones_do_not() {
    let mut sharing = ShareWorld::new();
    assert_eq!(sharing.gets("a", 1), [(0, 2, 1)]);
    assert_eq!(sharing.acknowledges("a", 2, 2, RELEASE), (0, Some(0)));
    assert_eq!(sharing.gets("a", 3), [(0, 2, 2)]);
    assert_eq!(sharing.acknowledges("a", 4, 2, ACCEPT), (0, Some(0)));
    assert_eq!(sharing.gets("a", 5), []);
}

#[test]
fn acknowledgements_come_with_a_fetch_as_well() {
    let mut sharing = ShareWorld::new();
    assert_eq!(sharing.gets("a", 1), [(0, 2, 1)]);
    let mut request = sharing.fetch("a", 2);
    let batch = AcknowledgementBatch::default()
        .with_first_offset(0)
        .with_last_offset(2)
        .with_acknowledge_types(vec![ACCEPT, RELEASE, 0]);
    request.topics[0].partitions[0].acknowledgement_batches = vec![batch];
    let response = sharing.ask(sharing.a, &request);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.acknowledge_error_code, 0);
    assert_eq!(acquired([partition].into_iter()), [(1, 1, 2)]);
    // The last request of a session reads nothing, and gives back what is not acknowledged.
    let mut last = sharing.fetch("a", -1);
    last.topics.clear();
    let connection = sharing.a;
    assert_eq!(sharing.ask(connection, &last).responses, []);
    assert_eq!(sharing.gets("b", 0), [(1, 1, 3)]);
}

#[test]
fn a_request_out_of_turn_gets_an_error() {
    let mut sharing = ShareWorld::new();
    let (a, b) = (sharing.a, sharing.b);
    let wrong = ResponseError::InvalidShareSessionEpoch.code();
    let none = ResponseError::ShareSessionNotFound.code();
    for (connection, id, epoch, error) in
        [(a, "a", 2, wrong), (b, "b", 1, none), (b, "b", -1, none)]
    {
        let request = sharing.fetch(id, epoch);
        assert_eq!(sharing.ask(connection, &request).error_code, error);
    }
    assert_eq!(sharing.acknowledges("a", 0, 0, ACCEPT), (wrong, None));
    assert_eq!(sharing.acknowledges("a", 7, 0, ACCEPT), (wrong, None));
    assert_eq!(sharing.acknowledges("b", 1, 0, ACCEPT), (none, None));
    let state = ResponseError::InvalidRecordState.code();
    assert_eq!(sharing.acknowledges("a", 1, 0, ACCEPT), (0, Some(state)));
    let invalid = ResponseError::InvalidRequest.code();
    assert_eq!(sharing.acknowledges("a", 2, 0, 4), (0, Some(invalid)));
}

#[test]
fn a_waiting_fetch_gets_released_records() {
    let mut sharing = ShareWorld::new();
    assert_eq!(sharing.gets("a", 1), [(0, 2, 1)]);
    let request = sharing.fetch("b", 0).with_max_wait_ms(60_000);
    let sent = sharing
        .world
        .send(sharing.b, ApiKey::ShareFetch, 1, &request);
    assert!(sharing.world.response::<ShareFetchResponse>(sent).is_none());
    // Its lock ends before the wait does.
    sharing.world.pass(30_000);
    let response: ShareFetchResponse = sharing.world.response(sent).unwrap();
    assert_eq!(
        acquired(response.responses[0].partitions.iter()),
        [(0, 2, 2)]
    );
}

#[test]
fn records_of_a_connection_that_is_gone_go_to_others() {
    let mut sharing = ShareWorld::new();
    assert_eq!(sharing.gets("a", 1), [(0, 2, 1)]);
    let request = sharing.fetch("b", 0).with_max_wait_ms(1000);
    let sent = sharing
        .world
        .send(sharing.b, ApiKey::ShareFetch, 1, &request);
    sharing
        .world
        .cluster
        .disconnected(sharing.world.now, sharing.a);
    sharing.world.drain();
    let response: ShareFetchResponse = sharing.world.response(sent).unwrap();
    assert_eq!(
        acquired(response.responses[0].partitions.iter()),
        [(0, 2, 2)]
    );
}

#[test]
fn a_follower_names_the_leader() {
    let mut sharing = ShareWorld::new();
    let mut request = sharing.fetch("b", 0);
    request.topics[0].partitions[0].partition_index = 1;
    let connection = sharing.b;
    let response = sharing.ask(connection, &request);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(
        partition.error_code,
        ResponseError::NotLeaderOrFollower.code()
    );
    assert_eq!(partition.current_leader.leader_id, 2);
    assert_eq!(&*response.node_endpoints[0].host, "kafka-2");
}
