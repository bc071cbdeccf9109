//! Records are given out, come back, and are done.

use super::*;

const LOCK_END: Instant = Instant::ZERO;

fn acquired(first: i64, last: i64, deliveries: i16) -> AcquiredRange {
    AcquiredRange {
        first,
        last,
        deliveries,
    }
}

fn says(first: i64, last: i64, kinds: &[Acknowledgement]) -> [AcknowledgedOffsets; 1] {
    [AcknowledgedOffsets {
        first,
        last,
        kinds: kinds.to_vec(),
    }]
}

/// Member `a` has offsets 10 to 14.
fn given() -> SharePartition {
    let mut partition = SharePartition::at(10, 0);
    let got = partition.acquire("a", LOCK_END, &[(10, 12), (13, 14)], 500);
    assert_eq!(got, [acquired(10, 14, 1)]);
    partition
}

#[test]
fn an_acquired_record_goes_to_no_other_member() {
    let mut partition = given();
    assert_eq!(partition.acquire("b", LOCK_END, &[(10, 14)], 500), []);
    assert_eq!(partition.next_offset(&Limits::default()), Some(15));
}

#[test]
fn only_whole_batches_are_given_up_to_the_count() {
    let mut partition = SharePartition::at(0, 0);
    let batches = [(0, 2), (3, 5), (6, 8)];
    let got = partition.acquire("a", LOCK_END, &batches, 4);
    assert_eq!(got, [acquired(0, 5, 1)]);
    let got = partition.acquire("b", LOCK_END, &batches, 4);
    assert_eq!(got, [acquired(6, 8, 1)]);
}

#[test]
fn each_record_has_its_own_state() {
    use Acknowledgement::{Done, Release};
    let limits = Limits::default();
    let mut partition = given();
    let kinds = [Done, Release, Done, Release, Release];
    partition
        .acknowledge("a", &says(10, 14, &kinds), &limits)
        .unwrap();
    assert_eq!(
        (partition.start, partition.next_offset(&limits)),
        (11, Some(11))
    );
    let got = partition.acquire("b", LOCK_END, &[(10, 14)], 500);
    assert_eq!(got, [acquired(11, 11, 2), acquired(13, 14, 2)]);
    partition
        .acknowledge("b", &says(11, 11, &[Done]), &limits)
        .unwrap();
    assert_eq!(partition.start, 13);
}

#[test]
fn an_invalid_acknowledgement_changes_nothing() {
    use Acknowledgement::Done;
    let limits = Limits::default();
    let mut partition = given();
    let stranger = partition.acknowledge("b", &says(10, 14, &[Done]), &limits);
    assert_eq!(stranger, Err(ResponseError::InvalidRecordState));
    let too_far = partition.acknowledge("a", &says(12, 15, &[Done]), &limits);
    assert_eq!(too_far, Err(ResponseError::InvalidRequest));
    let [good, bad] = [says(10, 11, &[Done]), says(12, 15, &[Done])].map(|[one]| one);
    assert!(partition.acknowledge("a", &[good, bad], &limits).is_err());
    assert_eq!(partition.start, 10);
    partition
        .acknowledge("a", &says(10, 14, &[Done]), &limits)
        .unwrap();
    assert_eq!(partition.start, 15);
    // What is done already is no error, what was never out is one.
    partition
        .acknowledge("a", &says(10, 14, &[Done]), &limits)
        .unwrap();
    let never = partition.acknowledge("a", &says(15, 15, &[Done]), &limits);
    assert_eq!(never, Err(ResponseError::InvalidRecordState));
}

#[test]
fn after_too_many_deliveries_a_record_is_given_up() {
    let limits = Limits::default();
    let mut partition = given();
    for deliveries in 2..=limits.share_deliveries_max {
        assert!(partition.tick(LOCK_END, &limits));
        let got = partition.acquire("a", LOCK_END, &[(10, 14)], 500);
        assert_eq!(got, [acquired(10, 14, deliveries)]);
    }
    partition.release("a", &limits);
    assert_eq!((partition.start, partition.deadline()), (15, None));
}

#[test]
fn a_new_leader_forgets_failed_deliveries() {
    let mut partition = given();
    partition.moved_to(1);
    let got = partition.acquire("b", LOCK_END, &[(10, 14)], 500);
    assert_eq!(got, [acquired(10, 14, 1)]);
}

#[test]
fn records_before_the_log_start_are_skipped() {
    let mut partition = given();
    partition.log_starts_at(12);
    assert_eq!(partition.start, 12);
    partition.log_starts_at(20);
    assert_eq!((partition.start, partition.end), (20, 20));
    assert!(partition.in_flight.is_empty());
}

#[test]
fn acquired_records_stay_below_the_limit() {
    let limits = Limits::default();
    let mut partition = SharePartition::at(0, 0);
    partition.acquire("a", LOCK_END, &[(0, limits.share_record_locks_max - 1)], 1);
    assert_eq!(partition.next_offset(&limits), None);
}
