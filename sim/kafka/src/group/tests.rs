//! Whole group lives, step by step.

use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::{Group, Join, MemberIdentity, Response, State, Step, SyncGroup};
use crate::config::Limits;
use crate::connection::{ConnectionId, RequestId};
use crate::rng::Rng;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

/// A group with a clock, and the responses that came out of it.
struct World {
    group: Group,
    now: Instant,
    limits: Limits,
    rng: Rng,
    responses: Vec<Response>,
    requests: u64,
}

impl World {
    fn new() -> Self {
        Self {
            group: Group::new(),
            now: Instant::ZERO,
            limits: Limits::default(),
            rng: Rng::new(1),
            responses: Vec::new(),
            requests: 0,
        }
    }

    fn step<R>(&mut self, act: impl FnOnce(&mut Group, &mut Step<'_>) -> R) -> R {
        let mut step = Step {
            now: self.now,
            limits: &self.limits,
            rng: &mut self.rng,
            responses: &mut self.responses,
        };
        act(&mut self.group, &mut step)
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId {
            connection: ConnectionId(0),
            number: self.requests,
        }
    }

    /// A join of version 5: dynamic members must bring an id.
    fn join(&mut self, member_id: &str, instance_id: Option<&str>) -> RequestId {
        let request = self.request();
        let join = Join {
            request,
            version: 5,
            client_id: "client".to_owned(),
            member_id: member_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
            rebalance_timeout: REBALANCE,
            session_timeout: SESSION,
        };
        self.step(|group, step| group.join(join, step));
        request
    }

    fn sync(&mut self, member_id: &str, generation: i32, parts: &[(&str, &str)]) -> RequestId {
        let request = self.request();
        let part =
            |(id, part): &(&str, &str)| ((*id).to_owned(), Bytes::copy_from_slice(part.as_bytes()));
        let sync = SyncGroup {
            request,
            member_id: member_id.to_owned(),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments: parts.iter().map(part).collect(),
        };
        self.step(|group, step| group.sync(sync, step));
        request
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.heartbeat(self.now, id, None, generation)
    }

    /// Lets time pass up to each deadline in turn.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(at) = self.group.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step(|group, step| group.tick(step));
        }
        self.now = end;
    }

    fn joined(&self, request: RequestId) -> Option<JoinGroupResponse> {
        self.responses.iter().find_map(|response| match response {
            Response::Join(of, join) if *of == request => Some(join.clone()),
            Response::Join(..) | Response::Sync(..) => None,
        })
    }

    fn synced(&self, request: RequestId) -> Option<SyncGroupResponse> {
        self.responses.iter().find_map(|response| match response {
            Response::Sync(of, sync) if *of == request => Some(sync.clone()),
            Response::Join(..) | Response::Sync(..) => None,
        })
    }

    /// A new member that has its id and waits for the generation.
    fn enter(&mut self) -> (String, RequestId) {
        let first = self.join("", None);
        let response = self.joined(first).unwrap();
        assert_eq!(response.error_code, ResponseError::MemberIdRequired.code());
        let id = response.member_id.to_string();
        let request = self.join(&id, None);
        (id, request)
    }

    /// A stable group of one.
    fn stable(&mut self) -> String {
        let (id, _) = self.enter();
        self.pass(Duration::ZERO);
        self.sync(&id, 1, &[(&id, "all")]);
        assert_eq!(self.group.state(), State::Stable);
        id
    }
}

#[test]
fn a_member_alone_gets_everything() {
    let mut world = World::new();
    let (id, join) = world.enter();
    assert_eq!(world.joined(join), None, "the initial delay is a timer");
    world.pass(Duration::ZERO);
    let joined = world.joined(join).unwrap();
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(*joined.leader, *id);
    assert_eq!(joined.members.len(), 1);
    let sync = world.sync(&id, 1, &[(&id, "all")]);
    assert_eq!(&world.synced(sync).unwrap().assignment[..], b"all");
    assert_eq!(world.heartbeat(&id, 1), Ok(()));
}

#[test]
fn the_initial_delay_waits_for_more_members() {
    let mut world = World::new();
    world.limits.group_initial_rebalance_delay = Duration::from_secs(3);
    let (_, first) = world.enter();
    world.pass(Duration::from_secs(2));
    let (_, second) = world.enter();
    world.pass(Duration::from_secs(2));
    assert_eq!(world.joined(first), None, "a new member prolongs it");
    world.pass(Duration::from_secs(3));
    let joined = [first, second].map(|r| world.joined(r).unwrap().generation_id);
    assert_eq!(joined, [1, 1]);
}

#[test]
fn a_second_member_rebalances_and_the_leader_shares() {
    let mut world = World::new();
    let first = world.stable();
    let (second, second_join) = world.enter();
    let rebalancing = Err(ResponseError::RebalanceInProgress);
    assert_eq!(world.heartbeat(&first, 1), rebalancing);
    let first_join = world.join(&first, None);
    let (a, b) = (
        world.joined(first_join).unwrap(),
        world.joined(second_join).unwrap(),
    );
    assert_eq!((a.generation_id, b.generation_id), (2, 2));
    assert_eq!((a.members.len(), b.members.len()), (2, 0));
    let waits = world.sync(&second, 2, &[]);
    assert_eq!(world.synced(waits), None);
    let leads = world.sync(&first, 2, &[(&first, "a"), (&second, "b")]);
    assert_eq!(&world.synced(leads).unwrap().assignment[..], b"a");
    assert_eq!(&world.synced(waits).unwrap().assignment[..], b"b");
}

#[test]
fn a_member_that_does_not_rejoin_in_time_is_removed() {
    let mut world = World::new();
    let first = world.stable();
    let (_, second_join) = world.enter();
    // The first member only heartbeats.
    for _ in 0..12 {
        world.pass(Duration::from_secs(5));
        let _ = world.heartbeat(&first, 1);
    }
    let joined = world.joined(second_join).unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (2, 1));
    assert_eq!(
        world.heartbeat(&first, 1),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_silent_member_expires_and_its_part_goes_to_the_rest() {
    let mut world = World::new();
    let id = world.stable();
    world.pass(SESSION - Duration::from_millis(1));
    assert_eq!(world.heartbeat(&id, 1), Ok(()));
    world.pass(SESSION);
    assert_eq!(world.heartbeat(&id, 1), Err(ResponseError::UnknownMemberId));
    assert_eq!(world.group.state(), State::Empty);
    assert_eq!(world.group.deadline(), None);
}

#[test]
fn ids_that_are_never_used_expire() {
    let mut world = World::new();
    world.join("", None);
    assert!(world.group.deadline().is_some());
    world.pass(SESSION);
    assert!(world.group.is_forgettable());
}

#[test]
fn a_member_that_joins_and_never_syncs_is_removed() {
    let mut world = World::new();
    let (id, _) = world.enter();
    world.pass(Duration::ZERO);
    for _ in 0..12 {
        world.pass(Duration::from_secs(5));
        let _ = world.heartbeat(&id, 1);
    }
    assert_eq!(world.group.state(), State::Empty);
}

#[test]
fn leaving_rebalances_the_rest() {
    let mut world = World::new();
    let first = world.stable();
    let (second, _) = world.enter();
    world.join(&first, None);
    world.sync(&first, 2, &[]);
    world.sync(&second, 2, &[]);
    let leaving = [second.as_str(), "stranger"].map(|id| MemberIdentity {
        member_id: id.to_owned(),
        instance_id: None,
    });
    let left = world.step(|group, step| group.leave(&leaving, step));
    assert_eq!(left, [Ok(()), Err(ResponseError::UnknownMemberId)]);
    let again = world.join(&first, None);
    assert_eq!(world.joined(again).unwrap().generation_id, 3);
}

#[test]
fn an_old_generation_or_an_unknown_member_gets_an_error() {
    let mut world = World::new();
    let id = world.stable();
    assert_eq!(
        world.heartbeat(&id, 0),
        Err(ResponseError::IllegalGeneration)
    );
    let sync = world.sync(&id, 0, &[]);
    let illegal = ResponseError::IllegalGeneration.code();
    assert_eq!(world.synced(sync).unwrap().error_code, illegal);
    let commit = |world: &mut World, id: &str, generation| {
        let now = world.now;
        world.group.check_offset_commit(now, id, None, generation)
    };
    assert_eq!(commit(&mut world, &id, 1), Ok(()));
    assert_eq!(
        commit(&mut world, &id, 0),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        commit(&mut world, "", -1),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_static_member_that_comes_back_fences_its_old_id_without_a_rebalance() {
    let mut world = World::new();
    let join = world.join("", Some("i"));
    world.pass(Duration::ZERO);
    let old = world.joined(join).unwrap().member_id.to_string();
    world.sync(&old, 1, &[(&old, "all")]);
    let again = world.join("", Some("i"));
    let joined = world.joined(again).unwrap();
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let new = joined.member_id.to_string();
    assert_ne!(new, old);
    let now = world.now;
    let fenced = world.group.heartbeat(now, &old, Some("i"), 1);
    assert_eq!(fenced, Err(ResponseError::FencedInstanceId));
    let sync = world.sync(&new, 1, &[]);
    assert_eq!(&world.synced(sync).unwrap().assignment[..], b"all");
}

#[test]
fn protocols_must_agree() {
    let mut world = World::new();
    world.stable();
    let request = world.request();
    let join = Join {
        request,
        version: 5,
        client_id: "other".to_owned(),
        member_id: String::new(),
        instance_id: None,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("sticky".to_owned(), Bytes::new())],
        rebalance_timeout: REBALANCE,
        session_timeout: SESSION,
    };
    world.step(|group, step| group.join(join, step));
    let inconsistent = ResponseError::InconsistentGroupProtocol.code();
    assert_eq!(world.joined(request).unwrap().error_code, inconsistent);
}

#[test]
fn waiting_members_get_not_coordinator_when_the_coordinator_moves() {
    let mut world = World::new();
    world.stable();
    let (_, join) = world.enter();
    world.group.coordinator_moved(&mut world.responses);
    let moved = ResponseError::NotCoordinator.code();
    assert_eq!(world.joined(join).unwrap().error_code, moved);
}

#[test]
fn a_rebalance_timeout_of_zero_does_not_stop_the_clock() {
    let mut world = World::new();
    let (id, _) = world.enter();
    world.pass(Duration::ZERO);
    world.sync(&id, 1, &[]);
    let request = world.request();
    let join = Join {
        request,
        version: 5,
        client_id: String::new(),
        member_id: id,
        instance_id: None,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::new())],
        rebalance_timeout: Duration::ZERO,
        session_timeout: SESSION,
    };
    world.step(|group, step| group.join(join, step));
    world.join("", Some("static"));
    world.pass(Duration::from_millis(50));
}
