//! Whole lives of consumer groups, heartbeat by heartbeat.

use std::collections::BTreeMap;
use std::time::Duration;

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::{
    ConsumerGroup, GroupContext, Heartbeat, HeartbeatResult, LEAVE, LEAVE_FOR_A_WHILE, Partitions,
    State,
};
use crate::config::Limits;
use crate::rng::Rng;
use crate::topics::{Layout, NewTopic, Topics};

const T: Uuid = Uuid::from_u128(1);
const U: Uuid = Uuid::from_u128(2);
const SESSION: Duration = Duration::from_secs(45);
const REVOCATION: Duration = Duration::from_secs(30);

/// A group with a clock and topics.
struct World {
    group: ConsumerGroup,
    now: Instant,
    limits: Limits,
    topics: Topics,
    rng: Rng,
}

impl World {
    /// Topic `t` has two partitions.
    fn new() -> Self {
        let mut world = Self {
            group: ConsumerGroup::default(),
            now: Instant::ZERO,
            limits: Limits::default(),
            topics: Topics::default(),
            rng: Rng::new(1),
        };
        world.create("t", T, 2);
        world
    }

    fn create(&mut self, name: &str, id: Uuid, partitions: u16) {
        let layout = Layout::Spread {
            partitions,
            replicas: 1,
        };
        let new = NewTopic {
            name,
            id,
            layout,
            configs: BTreeMap::new(),
        };
        self.topics.create(new, &[BrokerId(1)], &self.limits);
    }

    fn beat(&mut self, beat: Heartbeat) -> Result<HeartbeatResult, ResponseError> {
        let mut context = GroupContext {
            now: self.now,
            limits: &self.limits,
            topics: &self.topics,
            rng: &mut self.rng,
        };
        self.group.heartbeat(beat, &mut context)
    }

    /// Joins with its own id, as version 1 does.
    fn join(&mut self, id: &str, instance: Option<&str>) -> Result<HeartbeatResult, ResponseError> {
        self.beat(Heartbeat {
            member_id: id.to_owned(),
            instance_id: instance.map(str::to_owned),
            rebalance_timeout: Some(REVOCATION),
            subscribed: Some(["t".to_owned(), "u".to_owned()].into()),
            owned: Some(Partitions::new()),
            ..Heartbeat::default()
        })
    }

    /// A heartbeat that says what the member owns.
    fn owns(
        &mut self,
        id: &str,
        epoch: i32,
        owned: &[i32],
    ) -> Result<HeartbeatResult, ResponseError> {
        self.beat(Heartbeat {
            member_id: id.to_owned(),
            member_epoch: epoch,
            owned: Some(of_t(owned)),
            ..Heartbeat::default()
        })
    }

    /// One that says nothing but that the member is there.
    fn lives(&mut self, id: &str, epoch: i32) -> Result<HeartbeatResult, ResponseError> {
        self.beat(Heartbeat {
            member_id: id.to_owned(),
            member_epoch: epoch,
            ..Heartbeat::default()
        })
    }

    fn leave(&mut self, id: &str, instance: Option<&str>, epoch: i32) -> Result<(), ResponseError> {
        self.group.leave(id, instance, epoch, &self.topics)
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.group.tick(self.now, &self.topics);
    }
}

fn of_t(numbers: &[i32]) -> Partitions {
    numbers.iter().map(|number| (T, *number)).collect()
}

fn result(
    id: &str,
    member_epoch: i32,
    assignment: Option<&[i32]>,
) -> Result<HeartbeatResult, ResponseError> {
    Ok(HeartbeatResult {
        member_id: id.to_owned(),
        member_epoch,
        assignment: assignment.map(of_t),
    })
}

#[test]
fn a_member_alone_gets_everything_at_once() {
    let mut world = World::new();
    assert_eq!(world.join("a", None), result("a", 1, Some(&[0, 1])));
    assert_eq!(world.group.state(), State::Stable);
    assert_eq!(world.owns("a", 1, &[0, 1]), result("a", 1, None));
}

#[test]
fn a_partition_is_given_only_once_its_owner_has_let_go_of_it() {
    let mut world = World::new();
    world.join("a", None).unwrap();
    // The second member waits for what the first one still has.
    assert_eq!(world.join("b", None), result("b", 2, Some(&[])));
    assert_eq!(world.group.state(), State::Reconciling);
    assert_eq!(world.lives("b", 2), result("b", 2, None));
    // The first one stays in its epoch until it has given up.
    assert_eq!(world.lives("a", 1), result("a", 1, Some(&[0])));
    assert_eq!(world.owns("a", 1, &[0, 1]), result("a", 1, None));
    assert_eq!(world.lives("b", 2), result("b", 2, None));
    assert_eq!(world.owns("a", 1, &[0]), result("a", 2, None));
    assert_eq!(world.lives("b", 2), result("b", 2, Some(&[1])));
    assert_eq!(world.group.state(), State::Stable);
}

#[test]
fn a_member_that_revokes_nothing_in_time_is_fenced() {
    let mut world = World::new();
    world.join("a", None).unwrap();
    world.join("b", None).unwrap();
    world.lives("a", 1).unwrap();
    world.pass(Duration::from_secs(29));
    assert_eq!(
        world.lives("a", 1),
        result("a", 1, None),
        "the time goes on"
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(world.lives("a", 1), Err(ResponseError::UnknownMemberId));
    assert_eq!(world.lives("b", 2), result("b", 3, Some(&[0, 1])));
}

#[test]
fn a_silent_member_is_removed_at_its_session_timeout() {
    let mut world = World::new();
    world.join("a", None).unwrap();
    world.pass(SESSION - Duration::from_secs(1));
    assert_eq!(world.lives("a", 1), result("a", 1, None));
    world.pass(SESSION);
    assert_eq!(world.group.state(), State::Empty);
    assert_eq!(world.lives("a", 1), Err(ResponseError::UnknownMemberId));
}

#[test]
fn an_old_epoch_is_fenced_unless_its_response_was_lost() {
    let mut world = World::new();
    world.join("a", None).unwrap();
    let fenced = Err(ResponseError::FencedMemberEpoch);
    assert_eq!(world.lives("a", 2), fenced);
    // It did not get the first response, and joins again.
    assert_eq!(world.join("a", None), result("a", 1, Some(&[0, 1])));
    world.join("b", None).unwrap();
    world.owns("a", 1, &[0]).unwrap();
    assert_eq!(world.owns("a", 1, &[0]), result("a", 2, None));
    assert_eq!(world.owns("a", 1, &[0, 1]), fenced, "it has lost that one");
    assert_eq!(world.lives("a", 1), fenced, "it does not say what it has");
}

#[test]
fn a_new_topic_and_new_partitions_are_noticed() {
    let mut world = World::new();
    world.join("a", None).unwrap();
    world.create("u", U, 1);
    let next = world.lives("a", 1).unwrap();
    assert_eq!(next.member_epoch, 2);
    assert_eq!(next.assignment, Some(&of_t(&[0, 1]) | &[(U, 0)].into()));
    world.topics.grow("t", 3, &[BrokerId(1)], &world.limits);
    let next = world.lives("a", 2).unwrap();
    assert!(next.assignment.unwrap().contains(&(T, 2)));
}

#[test]
fn a_static_member_that_is_away_keeps_its_partitions_for_its_successor() {
    let mut world = World::new();
    world.join("a", Some("i")).unwrap();
    world.join("b", None).unwrap();
    let leaving = Heartbeat {
        member_id: "a".to_owned(),
        member_epoch: 1,
        instance_id: Some("i".to_owned()),
        owned: Some(of_t(&[0])),
        ..Heartbeat::default()
    };
    assert_eq!(world.beat(leaving), result("a", 2, Some(&[0])));
    let unreleased = Err(ResponseError::UnreleasedInstanceId);
    assert_eq!(world.join("c", Some("i")), unreleased);
    let fenced = Err(ResponseError::FencedInstanceId);
    assert_eq!(world.leave("c", Some("i"), LEAVE), fenced);
    assert_eq!(world.leave("a", Some("i"), LEAVE_FOR_A_WHILE), Ok(()));
    assert_eq!(world.lives("b", 2), result("b", 2, Some(&[1])));
    assert_eq!(world.join("c", Some("i")), result("c", 2, Some(&[0])));
    assert_eq!(world.lives("a", 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(world.leave("c", Some("i"), LEAVE), Ok(()));
    assert_eq!(world.lives("b", 2), result("b", 3, Some(&[0, 1])));
}

#[test]
fn offsets_want_the_epoch_of_the_member() {
    let mut world = World::new();
    assert_eq!(world.group.check_offset_commit("", -1, Some(9)), Ok(()));
    world.join("a", None).unwrap();
    let group = &world.group;
    let unknown = Err(ResponseError::UnknownMemberId);
    assert_eq!(group.check_offset_commit("", -1, Some(9)), unknown);
    assert_eq!(group.check_offset_commit("a", 1, Some(9)), Ok(()));
    let stale = Err(ResponseError::StaleMemberEpoch);
    assert_eq!(group.check_offset_commit("a", 0, Some(9)), stale);
    let too_old = Err(ResponseError::UnsupportedVersion);
    assert_eq!(group.check_offset_commit("a", 1, Some(8)), too_old);
    let in_transaction = group.check_offset_commit("a", 0, None);
    assert_eq!(in_transaction, Err(ResponseError::IllegalGeneration));
    assert_eq!(group.check_offset_fetch(None, -1), Ok(()));
    assert_eq!(group.check_offset_fetch(Some("a"), 1), Ok(()));
    assert_eq!(group.check_offset_fetch(Some("a"), 0), stale);
    assert_eq!(group.check_offset_fetch(Some("x"), 0), unknown);
}
