//! Consumer groups (KIP-848) as clients see them.

use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, ListGroupsRequest, ListGroupsResponse,
};

use super::*;

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("g"))
}

impl World {
    pub(super) fn group_coordinator(&mut self) -> ConnectionId {
        let connection = self.connect(1);
        let key = StrBytes::from_static_str("g");
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![key]);
        let response: FindCoordinatorResponse =
            self.ask(connection, ApiKey::FindCoordinator, 4, &request);
        self.connect(response.coordinators[0].node_id.0)
    }

    fn beat(
        &mut self,
        connection: ConnectionId,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        self.ask(connection, ApiKey::ConsumerGroupHeartbeat, 1, request)
    }
}

fn joining() -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(StrBytes::from_static_str("m"))
        .with_rebalance_timeout_ms(1000)
        .with_subscribed_topic_names(Some(vec![topic_name("t")]))
        .with_topic_partitions(Some(Vec::new()))
}

#[test]
fn a_member_joins_is_described_and_leaves() {
    let mut world = World::with_topic();
    let connection = world.group_coordinator();
    let response = world.beat(connection, &joining());
    assert_eq!((response.error_code, response.member_epoch), (0, 1));
    assert_eq!(response.heartbeat_interval_ms, 5000);
    let assignment = response.assignment.unwrap();
    assert_eq!(assignment.topic_partitions[0].topic_id, world.topic_id());
    assert_eq!(assignment.topic_partitions[0].partitions, [0, 1, 2]);

    let describe = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]);
    let ask = |world: &mut World| {
        let response: ConsumerGroupDescribeResponse =
            world.ask(connection, ApiKey::ConsumerGroupDescribe, 1, &describe);
        response.groups[0].clone()
    };
    let described = ask(&mut world);
    assert_eq!(&*described.group_state, "Stable");
    assert_eq!(&*described.assignor_name, "uniform");
    let member = &described.members[0];
    assert_eq!((member.member_epoch, member.member_type), (1, 1));
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(&*member.assignment.topic_partitions[0].topic_name.0, "t");
    let listed: ListGroupsResponse = world.ask(
        connection,
        ApiKey::ListGroups,
        5,
        &ListGroupsRequest::default(),
    );
    assert_eq!(&*listed.groups[0].group_type, "consumer");

    let leaving = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(StrBytes::from_static_str("m"))
        .with_member_epoch(-1);
    let response = world.beat(connection, &leaving);
    assert_eq!((response.error_code, response.member_epoch), (0, -1));
    assert_eq!(&*ask(&mut world).group_state, "Empty");
    let response = world.beat(connection, &leaving);
    assert_eq!(response.error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn an_invalid_heartbeat_gets_an_error_with_the_reason() {
    let mut world = World::with_topic();
    let connection = world.group_coordinator();
    let invalid = ResponseError::InvalidRequest;
    let cases = [
        (joining().with_member_id(StrBytes::default()), invalid),
        (joining().with_rebalance_timeout_ms(-1), invalid),
        (joining().with_topic_partitions(None), invalid),
        (joining().with_subscribed_topic_names(None), invalid),
        (joining().with_member_epoch(-2), invalid),
        (joining().with_member_epoch(-3), invalid),
        (
            joining().with_server_assignor(Some(StrBytes::from_static_str("best"))),
            ResponseError::UnsupportedAssignor,
        ),
        (
            joining().with_member_epoch(1),
            ResponseError::GroupIdNotFound,
        ),
    ];
    for (request, error) in cases {
        let response = world.beat(connection, &request);
        assert_eq!(response.error_code, error.code(), "{request:?}");
        assert!(response.error_message.is_some() && response.member_id.is_none());
    }
    let elsewhere = (1..=3).map(|broker| world.connect(broker));
    let elsewhere: Vec<_> = elsewhere.collect();
    let codes = elsewhere
        .iter()
        .map(|c| world.beat(*c, &joining()).error_code);
    let rejected = codes.filter(|code| *code == ResponseError::NotCoordinator.code());
    assert_eq!(rejected.count(), 2);
}
