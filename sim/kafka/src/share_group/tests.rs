//! Members come, stay, miss responses and go.

use super::*;
use crate::config::Limits;
use crate::rng::Rng;

/// A heartbeat of a member at a time, in a cluster without topics.
fn beat(
    group: &mut ShareGroup,
    millis: u64,
    id: &str,
    epoch: i32,
    topic: Option<&str>,
) -> Result<HeartbeatResult, ResponseError> {
    let context = GroupContext {
        now: Instant::ZERO.after(std::time::Duration::from_millis(millis)),
        limits: &Limits::default(),
        topics: &Topics::default(),
        rng: &mut Rng::new(1),
    };
    let beat = Heartbeat {
        member_id: id.to_owned(),
        member_epoch: epoch,
        subscribed: topic.map(|topic| BTreeSet::from([topic.to_owned()])),
        ..Heartbeat::default()
    };
    group.heartbeat(beat, &context)
}

#[test]
fn every_change_of_members_is_a_new_epoch() {
    let mut group = ShareGroup::default();
    assert_eq!(
        beat(&mut group, 0, "a", 0, Some("t")).unwrap().member_epoch,
        1
    );
    assert_eq!(
        beat(&mut group, 0, "b", 0, Some("t")).unwrap().member_epoch,
        2
    );
    assert_eq!(beat(&mut group, 0, "a", 1, None).unwrap().member_epoch, 2);
    group.leave("b").unwrap();
    assert_eq!(beat(&mut group, 0, "a", 2, None).unwrap().member_epoch, 3);
    assert_eq!(group.leave("b"), Err(ResponseError::UnknownMemberId));
}

#[test]
fn the_epoch_before_is_taken_and_no_other() {
    let mut group = ShareGroup::default();
    beat(&mut group, 0, "a", 0, Some("t")).unwrap();
    beat(&mut group, 0, "a", 1, Some("u")).unwrap();
    assert_eq!(beat(&mut group, 0, "a", 1, None).unwrap().member_epoch, 2);
    let fenced = Err(ResponseError::FencedMemberEpoch);
    assert_eq!(beat(&mut group, 0, "a", 3, None), fenced);
    let unknown = Err(ResponseError::UnknownMemberId);
    assert_eq!(beat(&mut group, 0, "b", 1, None), unknown);
}

#[test]
fn a_silent_member_is_removed_at_its_session_timeout() {
    let mut group = ShareGroup::default();
    beat(&mut group, 0, "a", 0, Some("t")).unwrap();
    let end = group.deadline().unwrap();
    group.tick(Instant::ZERO);
    assert_eq!(group.state(), "Stable");
    group.tick(end);
    assert_eq!(group.state(), "Empty");
}
