//! What is taken for an address in a text, and what is not.

use proptest::prelude::*;

use super::literals::LITERAL_BYTES_MAX;
use super::*;
use crate::id::HostPort;
use crate::topology::{DialMap, Topology};

const HOSTS: [&str; 6] = [
    "kafka-1.internal",
    "broker",
    "10.0.0.1",
    "fd00::5",
    "b.kafka-1.internal",
    "upstream",
];

fn known<'a>(hosts: impl IntoIterator<Item = &'a str>) -> KnownHosts {
    let hosts = hosts.into_iter().map(|it| HostPort::new(it, 9092).unwrap());
    let hosts: Vec<HostPort> = hosts.collect();
    KnownHosts::new(&hosts, &DialMap::default(), &Topology::default())
}

fn redacted(text: &str) -> String {
    let known = known(HOSTS);
    let out = known.redacted(text.as_bytes());
    out.map_or_else(|| text.to_owned(), |out| String::from_utf8(out).unwrap())
}

#[test]
fn an_address_is_replaced_with_its_port() {
    for (text, expected) in [
        (
            "Broker KAFKA-1.internal:9092 is gone",
            "Broker [upstream] is gone",
        ),
        ("1@broker:9093,2@broker:9094", "1@[upstream],2@[upstream]"),
        ("at broker:9092.", "at [upstream]."),
        ("at kafka-1.internal.:9092", "at [upstream]"),
        ("b.kafka-1.internal:1", "[upstream]"),
        ("10.0.0.1:9092 10.0.0.9:9092", "[upstream] [upstream]"),
        (
            "[::1]:9092, [fd00::5], [FD00:0:0:0:0:0:0:5]:1",
            "[upstream], [upstream], [upstream]",
        ),
        ("fd00::5 or fd00::5:9092", "[upstream] or [upstream]"),
        (
            "kafka-1.internal:9092 (id: 1 rack: null)",
            "[upstream] (id: 1 rack: null)",
        ),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn whatever_host_stands_in_a_uri_or_a_listener_is_replaced() {
    for (text, expected) in [
        (
            "PLAINTEXT://broker:9092,SSL://other:1",
            "PLAINTEXT://[upstream],SSL://[upstream]",
        ),
        ("PLAINTEXT://:9092", "PLAINTEXT://[upstream]"),
        ("CONTROLLER://[::]:9093]", "CONTROLLER://[upstream]]"),
        (
            "see https://me:pw@idp.example/token?x=1",
            "see https://[upstream]/token?x=1",
        ),
        ("(http://a). ", "(http://[upstream]). "),
        ("at http://a.b:80.", "at http://[upstream]."),
        ("file:///etc/kafka", "file:///etc/kafka"),
        ("x://... ", "x://... "),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn what_java_prints_of_an_address_is_replaced() {
    for (text, expected) in [
        ("broker/10.0.0.5:9092", "[upstream]"),
        (
            "to other.example/10.0.0.5:9092 failed",
            "to [upstream] failed",
        ),
        ("/10.0.0.5:9092 and /10.0.0.5", "[upstream] and [upstream]"),
        ("/0:0:0:0:0:0:0:1:9092", "[upstream]"),
        ("localhost/[0:0:0:0:0:0:0:1]:9092", "[upstream]"),
        ("other/<unresolved>:9092", "[upstream]"),
        ("10.0.0.0/8", "10.0.0.0/8"),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn a_known_name_with_a_dot_is_replaced_wherever_it_stands() {
    for (text, expected) in [
        ("ask kafka-1.internal.", "ask [upstream]."),
        ("kafka-1.internal: gone", "[upstream]: gone"),
        ("kafka-1.internal/path", "[upstream]/path"),
        ("kafka-1.internal.example", "[upstream].example"),
        ("a.kafka-1.internal.broker:9092", "a.[upstream].[upstream]"),
        ("...broker:9092", "...[upstream]"),
        ("10.0.0.1", "[upstream]"),
        ("\u{201c}10.0.0.1\u{201d}", "\u{201c}[upstream]\u{201d}"),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn an_address_behind_another_is_replaced() {
    for (text, expected) in [
        ("10.0.0.1:9092-10.0.0.2:9092", "[upstream]-[upstream]"),
        ("10.0.0.1:9092_10.0.0.2:9092", "[upstream]_[upstream]"),
        (
            "10.0.0.1-10.0.0.1_10.0.0.1",
            "[upstream]-[upstream]_[upstream]",
        ),
        ("x-10.0.0.9:9092", "x-[upstream]"),
        ("broker:9092-broker:9093", "[upstream]-[upstream]"),
        (
            "kafka-1.internal_kafka-1.internal:1",
            "kafka-1.internal_[upstream]",
        ),
        ("-kafka-1.internal", "-[upstream]"),
        (
            "x://a:1,b:2,[::9]:3,c",
            "x://[upstream],[upstream],[upstream],c",
        ),
        (
            "x://a:1,SSL://b:2,c:3",
            "x://[upstream],SSL://[upstream],[upstream]",
        ),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn whatever_host_kafka_prints_of_an_object_is_replaced() {
    for (text, expected) in [
        (
            "other:9092 (id: 1 rack: null)",
            "[upstream] (id: 1 rack: null)",
        ),
        (
            "at OTHER.example:9092 (id: 1 rack: a isFenced: false)",
            "at [upstream] (id: 1 rack: a isFenced: false)",
        ),
        (
            "fd00::9:9092 (id: 1 rack: null)",
            "[upstream] (id: 1 rack: null)",
        ),
        (
            "[fd00::9]:9092 (id: 1 rack: null)",
            "[upstream] (id: 1 rack: null)",
        ),
        (":-1 (id: -1 rack: null)", ":-1 (id: -1 rack: null)"),
        (
            "Endpoint(listenerName='A', securityProtocol=SSL, host='other', port=9092)",
            "Endpoint(listenerName='A', securityProtocol=SSL, host=[upstream])",
        ),
        (
            "(nodeId=1, host='other', port=9092)",
            "(nodeId=1, host=[upstream])",
        ),
        (
            "BrokerEndPoint(id=1, host=other:9092)",
            "BrokerEndPoint(id=1, host=[upstream])",
        ),
        (
            "EndPoint(other,9092,ListenerName(PLAINTEXT),PLAINTEXT)",
            "EndPoint([upstream],ListenerName(PLAINTEXT),PLAINTEXT)",
        ),
        ("EndPoint(fd00::9,9092,X)", "EndPoint([upstream],X)"),
        ("1@other:9093,20@[::9]:9094", "1@[upstream],20@[upstream]"),
        ("0@other:9093:dir", "0@[upstream]:dir"),
        (
            "(principal=User:a, host=*, operation=ALL)",
            "(principal=User:a, host=*, operation=ALL)",
        ),
        (
            "host=, port=, me@other: user1@other:1",
            "host=, port=, me@other: user1@other:1",
        ),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn prose_passes() {
    for text in [
        "only 1 broker(s) are registered",
        "broker,controller",
        "broker: 3",
        "broker:123456",
        "num.broker:1",
        "my-broker:9092",
        "org.apache.kafka.broker.Foo",
        "/opt/broker/data",
        "Broker.scala:123",
        "110.0.0.1 10.0.0.12 10.0.0.9",
        "my-kafka-1.internal kafka-1.internals",
        "::1 fd00::6 12:34:56",
        "offset:100",
        "kafka:3.9.0 broker:3.9.0",
        "confluent-kafka/7.5.0.0",
        "",
    ] {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn a_text_that_is_no_utf_8_is_replaced_as_a_whole() {
    let known = known(HOSTS);
    assert_eq!(known.redacted(b"any\xff").unwrap(), REDACTED);
    assert_eq!(known.addresses_in(b"\xff").len(), 1);
}

fn steps(text: &str, hosts: &KnownHosts) -> usize {
    let before = work::taken();
    find(text.as_bytes(), hosts);
    usize::try_from(work::taken() - before).unwrap()
}

#[test]
fn what_a_text_costs_grows_with_its_length_and_not_with_the_hosts() {
    let many: Vec<String> = (0..3000).map(|id| format!("a.b{id}.internal")).collect();
    let many = known(many.iter().map(String::as_str));
    let few = known(HOSTS);
    for piece in [
        "a",
        "a.",
        "a.b",
        "a.b1.internal.",
        "a:",
        ":",
        "::",
        "/",
        "://",
        "[",
        "[a",
        "a/",
        "a://",
        "://[",
        "/1.1.1.1",
        "[::1]:1",
        "broker:1",
        ".",
        "://a.",
        "1:1.",
        "<",
        "fd00::5",
        "10.0.0.1.",
        "10.0.0.1-",
        "a-",
        "a_",
        "a.b_",
        "://a:1,b:2",
        ",b:1",
        "1@",
        "1@a:1,",
        "a:1 (id: ",
        "1:1:1:1 (id: ",
        "host=",
        "host='",
        "host='a', port=1",
        "endpoint(",
    ] {
        // What follows a name says what it is.
        let text = |bytes: usize| piece.repeat(bytes / piece.len()) + "x:1";
        let (whole, half) = (text(4 * 1024), text(2 * 1024));
        for hosts in [&many, &few] {
            let (steps, half) = (steps(&whole, hosts), steps(&half, hosts));
            // The longest literal is looked for at each place, at most, and for each form.
            let bound = 5 * LITERAL_BYTES_MAX * whole.len();
            assert!(steps <= bound, "{piece}: {steps} steps");
            assert!(
                steps <= 2 * half + 64 * LITERAL_BYTES_MAX,
                "{piece}: {half} to {steps}"
            );
        }
        assert!(
            steps(&whole, &many) <= 2 * steps(&whole, &few) + whole.len(),
            "{piece}"
        );
    }
}

fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "broker",
        "kafka-1.internal",
        "b.",
        ".",
        ":",
        ":9092",
        "/",
        "//",
        "://",
        "[",
        "]",
        "10.0.0.1",
        "10.0.0.9",
        "fd00::5",
        "::1",
        "<unresolved>",
        "upstream",
        "[upstream]",
        "*",
        " ",
        "@",
        "x",
        "%eth0",
        ",",
        "-",
        "_",
        "1@",
        " (id: ",
        "host=",
        "host='",
        "', port=1",
        "EndPoint(",
        ",1,",
        "\u{e9}",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_was_hidden_holds_no_address(text in texts()) {
        let known = known(HOSTS);
        if let Some(out) = known.redacted(text.as_bytes()) {
            prop_assert!(!known.occurs_in(&out), "{}", String::from_utf8_lossy(&out));
        }
        let mut in_place = text.clone().into_bytes();
        for range in known.addresses_in(text.as_bytes()) {
            in_place[range].fill(OVERWRITTEN);
        }
        prop_assert!(!known.occurs_in(&in_place), "{}", String::from_utf8_lossy(&in_place));
    }

    #[test]
    fn ranges_are_in_their_order_and_apart(text in texts()) {
        let mut end = 0;
        for range in known(HOSTS).addresses_in(text.as_bytes()) {
            prop_assert!(end <= range.start && range.start < range.end);
            prop_assert!(text.is_char_boundary(range.start));
            prop_assert!(text.is_char_boundary(range.end));
            end = range.end;
        }
    }
}

#[test]
fn a_text_that_would_be_longer_than_a_string_may_be_is_replaced_as_a_whole() {
    let known = known(["b"]);
    let text = |count: usize| "b:1 ".repeat(count);
    let most = TEXT_BYTES_MAX / (REDACTED.len() + 1);
    let out = known.redacted(text(most).as_bytes()).unwrap();
    assert_eq!(out.len(), most * (REDACTED.len() + 1));
    assert_eq!(known.redacted(text(most + 1).as_bytes()).unwrap(), REDACTED);
}
