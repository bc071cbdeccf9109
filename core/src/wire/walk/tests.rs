//! Walks over bodies small enough to be checked by eye.

use super::*;
use crate::wire::schema::{Direction, message};

/// A step as text, for tables of expectations.
fn show(step: Step) -> String {
    match step {
        Step::More => "more".into(),
        Step::Begin { field, at } => format!("begin {} {at}", field.name),
        Step::Value(FieldValue {
            field,
            start,
            data,
            end,
            value,
            ..
        }) => match value {
            Value::Int(int) => format!("{} {start}..{end} = {int}", field.name),
            Value::Float(float) => format!("{} {start}..{end} = {float}", field.name),
            Value::Uuid(_) => format!("{} {start}..{end} uuid", field.name),
            Value::Span => format!("{} {start}..{data}..{end}", field.name),
            Value::Null => format!("{} {start}..{end} null", field.name),
        },
        Step::Array {
            field,
            start,
            end,
            count,
            compact,
        } => {
            let kind = if compact { "compact" } else { "classic" };
            format!("array {} {start}..{end} {kind} {count:?}", field.name)
        }
        Step::Element { field, index, at } => format!("{}[{index}] {at}", field.name),
        Step::ElementEnd { field, index, at } => format!("/{}[{index}] {at}", field.name),
        Step::ArrayEnd { field, at } => format!("/array {} {at}", field.name),
        Step::Tags { at, end, count } => format!("tags {at}..{end} {count}"),
        Step::Tagged {
            field,
            at,
            size_start,
            content,
            end,
        } => {
            format!("tagged {} {at} {size_start} {content}..{end}", field.name)
        }
        Step::TaggedEnd { field, at } => format!("/tagged {} {at}", field.name),
        Step::Done { at } => format!("done {at}"),
    }
}

fn walk(
    key: i16,
    direction: Direction,
    version: i16,
    body: &[u8],
    interest: Roles,
) -> Result<Vec<String>, Malformed> {
    let message = message(key, direction).unwrap();
    let mut walker = Walker::new(message, version, body.len(), interest).unwrap();
    let mut input = body;
    let mut steps = Vec::new();
    loop {
        let step = walker.step(&mut input)?;
        steps.push(show(step));
        if matches!(step, Step::Done { .. } | Step::More) {
            return Ok(steps);
        }
    }
}

#[test]
fn a_walker_is_small() {
    assert!(size_of::<Walker>() < 400, "{}", size_of::<Walker>());
}

#[test]
fn topic_names_of_a_metadata_request() {
    let body = b"\0\0\0\x02\0\x01a\0\x02bc";
    let steps = walk(
        3,
        Direction::Request,
        0,
        body,
        Roles::of(&[Role::TopicName]),
    )
    .unwrap();
    assert_eq!(
        steps,
        [
            "begin Name 4",
            "Name 4..6..7",
            "begin Name 7",
            "Name 7..9..11",
            "done 11"
        ]
    );
}

#[test]
fn an_array_of_interest_tells_its_elements() {
    let body = b"\0\0\0\x02\0\x01a\0\x02bc";
    let steps = walk(3, Direction::Request, 0, body, Roles::of(&[Role::Topics])).unwrap();
    assert_eq!(
        steps,
        [
            "begin Topics 0",
            "array Topics 0..4 classic Some(2)",
            "Topics[0] 4",
            "/Topics[0] 7",
            "Topics[1] 7",
            "/Topics[1] 11",
            "/array Topics 11",
            "done 11"
        ]
    );
}

#[test]
fn null_topics_are_an_array_without_count() {
    let body = b"\xff\xff\xff\xff\x01";
    let interest = Roles::of(&[Role::Topics, Role::AllowAutoTopicCreation]);
    let steps = walk(3, Direction::Request, 4, body, interest).unwrap();
    assert_eq!(
        steps,
        [
            "begin Topics 0",
            "array Topics 0..4 classic None",
            "/array Topics 4",
            "AllowAutoTopicCreation 4..5 = 1",
            "done 5"
        ]
    );
}

#[test]
fn metadata_is_done_behind_the_brokers_when_only_endpoints_are_asked_for() {
    let mut body = b"\0\0\0\x01\0\0\0\x07\0\x01h\0\0\x23\x84".to_vec();
    // What follows is never read: this claims two billion topics.
    body.extend_from_slice(b"\x7f\xff\xff\xff");
    let interest = Roles::of(&[Role::EndpointId, Role::Host, Role::Port]);
    let steps = walk(3, Direction::Response, 0, &body, interest).unwrap();
    assert_eq!(
        steps,
        [
            "NodeId 4..8 = 7",
            "begin Host 8",
            "Host 8..10..11",
            "Port 11..15 = 9092",
            "done 15"
        ]
    );
}

#[test]
fn produce_is_done_behind_its_last_topic_name() {
    // Null transactional id, acks, timeout; topics "a" with no partitions, then "b".
    let body = b"\xff\xff\0\x01\0\0\0\x05\0\0\0\x02\0\x01a\0\0\0\0\0\x01b\0\0\0\x01rest";
    let interest = Roles::of(&[Role::TopicName, Role::TopicId]);
    let steps = walk(0, Direction::Request, 3, body, interest).unwrap();
    assert_eq!(
        steps,
        [
            "begin Name 12",
            "Name 12..14..15",
            "begin Name 19",
            "Name 19..21..22",
            "done 22"
        ]
    );
}

#[test]
fn endpoints_in_the_tagged_tail_of_a_fetch_response() {
    let mut body = b"\0\0\0\0\0\0\0\0\0\x09\x01".to_vec();
    // Two tagged fields: unknown number 5 with two bytes, then the endpoints.
    body.extend_from_slice(b"\x02\x05\x02zz");
    body.extend_from_slice(b"\0\x0d\x02\0\0\0\x03\x02h\0\0\x23\x84\0\0");
    let interest = Roles::of(&[Role::Endpoints, Role::Host, Role::Port]);
    let steps = walk(1, Direction::Response, 16, &body, interest).unwrap();
    assert_eq!(
        steps,
        [
            "begin NodeEndpoints 11",
            "tags 11..12 2",
            "tagged NodeEndpoints 16 17 18..31",
            "begin NodeEndpoints 18",
            "array NodeEndpoints 18..19 compact Some(1)",
            "NodeEndpoints[0] 19",
            "begin Host 23",
            "Host 23..24..25",
            "Port 25..29 = 9092",
            "/NodeEndpoints[0] 31",
            "/array NodeEndpoints 31",
            "/tagged NodeEndpoints 31",
            "done 31"
        ]
    );
}

#[test]
fn a_body_may_be_followed_by_more_bytes() {
    let body = b"\0\0\0\x01\0\x01aextra";
    let steps = walk(3, Direction::Request, 0, body, Roles::ALL).unwrap();
    assert_eq!(steps.last().unwrap(), "done 7");
}

#[test]
fn each_rule_has_its_error() {
    use Malformed as M;
    // Metadata requests: not flexible in version 0, flexible in version 9.
    let cases: &[(i16, &[u8], M)] = &[
        (0, b"\0\0\0", M::Truncated),
        (0, b"\x7f\xff\xff\xff", M::CountExceedsFrame),
        (0, b"\x80\0\0\0", M::NegativeLength),
        (0, b"\xff\xff\xff\xff", M::NullNotAllowed),
        (0, b"\0\0\0\x01\0\x05a", M::LengthExceedsFrame),
        (0, b"\0\0\0\x01\xff\xfea", M::NegativeLength),
        (0, b"\0\0\0\x01\xff\xffa", M::NullNotAllowed),
        (9, b"\xff\xff\xff\xff\xff\x01", M::Varint),
        (9, b"\x80\x80\x80\x80\x80\x01", M::Varint),
        (9, b"\x80\x80\x80\x80", M::Truncated),
        (9, b"\x01\0\0\0\x7f", M::CountExceedsFrame),
        (9, b"\x01\0\0\0\x01\x07\x7f", M::LengthExceedsFrame),
    ];
    for (version, body, rule) in cases {
        let result = walk(3, Direction::Request, *version, body, Roles::ALL);
        assert_eq!(result.err(), Some(*rule), "{body:x?}");
    }
}

#[test]
fn an_array_that_may_be_null_has_no_null_elements() {
    // DescribeConfigs v1: one resource, whose keys may be null, with one key.
    let null_keys = b"\0\0\0\x01\x02\0\x01t\xff\xff\xff\xff\0";
    assert!(walk(32, Direction::Request, 1, null_keys, Roles::ALL).is_ok());
    let null_key = b"\0\0\0\x01\x02\0\x01t\0\0\0\x01\xff\xff\0";
    let result = walk(32, Direction::Request, 1, null_key, Roles::ALL);
    assert_eq!(result.err(), Some(Malformed::NullNotAllowed));
}

#[test]
fn a_tagged_field_ends_where_its_size_says() {
    for tagged in [b"\x03\x02ab", b"\x02\x03ab", b"\x05\x03ab"] {
        let body = fetch_with_cluster_id(tagged);
        let result = walk(1, Direction::Request, 12, &body, Roles::ALL);
        assert_eq!(result.err(), Some(Malformed::TaggedSize), "{tagged:x?}");
    }
    let body = fetch_with_cluster_id(b"\x03\x03ab");
    assert!(walk(1, Direction::Request, 12, &body, Roles::ALL).is_ok());
}

/// A Fetch request v12 whose tagged `ClusterId` has this size and content.
fn fetch_with_cluster_id(tagged: &[u8]) -> Vec<u8> {
    // Replica, wait, min and max bytes, isolation, session id and epoch, no topics, no forgotten
    // topics, an empty rack; one tagged field, number 0.
    let mut body = [0_u8; 4 * 4 + 1 + 4 + 4].to_vec();
    body.extend_from_slice(&[1, 1, 1, 1, 0]);
    body.extend_from_slice(tagged);
    body.extend_from_slice(b"more behind the body");
    body
}

#[test]
fn a_failed_walk_stays_failed() {
    let message = message(3, Direction::Request).unwrap();
    let mut walker = Walker::new(message, 0, 100, Roles::ALL).unwrap();
    let mut input: &[u8] = b"\0\0\0\x02\0\x70";
    let error = loop {
        if let Err(error) = walker.step(&mut input) {
            break error;
        }
    };
    assert_eq!(error, Malformed::LengthExceedsFrame);
    assert_eq!(walker.step(&mut b"\0\0".as_slice()).err(), Some(error));
}

#[test]
fn versions_outside_the_table_have_no_walker() {
    let message = message(3, Direction::Request).unwrap();
    assert!(Walker::new(message, 14, 10, Roles::ALL).is_none());
    assert!(Walker::new(message, -1, 10, Roles::ALL).is_none());
}
