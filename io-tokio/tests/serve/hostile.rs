//! Brokers that break a rule: the session with them closes for its own reason, other sessions go
//! on, no listener disappears, and what is known of the cluster never shrinks.

use doorkeeper_core::discovery::Failure;
use kafka_protocol::messages::MetadataResponse;

use crate::cluster::{Act, To, listed};
use crate::frames::*;
use crate::world::*;

/// What a broker does about a heartbeat closes the session, behind what had been passed on.
async fn closes(acts: impl Fn(i32) -> Vec<Act> + Send + 'static, passed: &[u8], reason: &str) {
    let world = World::start().await;
    let known = world.published("main").await;
    world
        .cluster
        .script(B1, To::Sessions, move |asked| acts(asked.id));
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    assert_eq!(client.rest().await, passed);
    world.ends(&mut client, reason).await;
    // The same listen address serves the next client.
    world.cluster.no_script(B1, To::Sessions);
    world.client(BROKER_1).await.exchange(1).await;
    assert_eq!(world.published("main").await, known);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn another_correlation_id_closes_the_session() {
    let acts = |id| vec![Act::Say(heartbeat_response(id + 1))];
    closes(acts, b"", "correlation_mismatch").await;
}

#[tokio::test(start_paused = true)]
async fn a_second_response_closes_the_session() {
    let acts = |id| vec![Act::Say(heartbeat_response(id).repeat(2))];
    closes(acts, &heartbeat_response(1), "upstream_unsolicited").await;
}

#[tokio::test(start_paused = true)]
async fn a_response_too_short_for_a_header_closes_the_session() {
    let acts = |_| vec![Act::Say(vec![0, 0, 0, 3, 0, 0, 0])];
    closes(acts, b"", "upstream_frame_too_short").await;
}

#[tokio::test(start_paused = true)]
async fn a_response_of_a_negative_length_closes_the_session() {
    let acts = |_| vec![Act::Say(vec![0xff; 4])];
    closes(acts, b"", "upstream_frame_negative").await;
}

#[tokio::test(start_paused = true)]
async fn a_response_of_a_huge_length_closes_the_session() {
    let acts = |_| vec![Act::Say(vec![0x7f, 0xff, 0xff, 0xff])];
    closes(acts, b"", "upstream_frame_too_large").await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_cut_off_closes_the_session() {
    let cut = |id: i32| heartbeat_response(id)[..14].to_vec();
    let acts = move |id| vec![Act::Say(cut(id)), Act::End];
    closes(acts, &heartbeat_response(1)[..14], "upstream_closed").await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_stops_in_the_middle_closes_the_session() {
    let acts = |id: i32| vec![Act::Say(heartbeat_response(id)[..14].to_vec())];
    closes(acts, &heartbeat_response(1)[..14], "upstream_frame_stalled").await;
}

/// A claimed length reserves no memory: only bytes that came are buffered.
#[tokio::test(start_paused = true)]
async fn a_buffered_response_that_never_ends_closes_the_session() {
    let world = World::start().await;
    world.cluster.script(B1, To::Sessions, |asked| {
        let mut frame = metadata_response(asked.version, asked.id, "main", &[]);
        frame[..4].copy_from_slice(&9_000_000_i32.to_be_bytes());
        vec![Act::Say(frame[..12].to_vec())]
    });
    let mut client = world.client(BROKER_1).await;
    client.send(&metadata(1)).await;
    world.ends(&mut client, "upstream_frame_stalled").await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_speaks_first() {
    let world = World::start().await;
    let mut brokers = world.mesh.by_hand(B1);
    let mut client = world.client(BROKER_1).await;
    // Half a request that needs a broker before it is whole.
    let mut frame = heartbeat(1);
    frame[..4].copy_from_slice(&200_000_i32.to_be_bytes());
    frame.resize(100_000, 0);
    client.send(&frame).await;
    let mut broker = brokers.recv().await.unwrap();
    broker.say(&heartbeat_response(1)).await;
    world.ends(&mut client, "upstream_unsolicited").await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_response_with_addresses_that_cannot_be_read_is_withheld() {
    let world = World::start().await;
    world.cluster.script(B1, To::Sessions, |asked| {
        let mut frame =
            metadata_response(asked.version, asked.id, "main", &[listed("1@b1.test:1")]);
        frame.truncate(4 + 4 + 1 + 4 + 1 + 4 + 3);
        vec![Act::Say(framed(&frame[4..]))]
    });
    let mut client = world.client(BROKER_1).await;
    client.send(&metadata(1)).await;
    world.ends(&mut client, "upstream_malformed").await;
    let withheld = "doorkeeper_responses_withheld_total{listener=\"local\"}";
    assert_eq!(world.seen.sample(withheld), 1);
    world.stops_in_order().await;
}

/// Invalid endpoints: none of them becomes an address of a broker.
fn invalid_endpoints() -> Vec<Listed> {
    let long = "x".repeat(255);
    let broker = |id: i32, host: &str, port: i32| (id, host.to_owned(), port);
    vec![
        broker(-1, "b1.test", 9092),
        broker(i32::MIN, "b1.test", 9092),
        broker(1, "", 9092),
        broker(1, "b1.test", 0),
        broker(1, "b1.test", -1),
        broker(1, "b1.test", 70_000),
        broker(1, "b1\0.test", 9092),
        broker(1, &format!("{long}x"), 9092),
        broker(i32::MAX, &long, 9092),
    ]
}

#[tokio::test(start_paused = true)]
async fn addresses_that_make_no_sense_are_not_passed_on_and_teach_nothing() {
    let world = World::start().await;
    let known = world.published("main").await;
    world.cluster.script(B1, To::Sessions, |asked| {
        vec![Act::Say(metadata_response(
            asked.version,
            asked.id,
            "main",
            &invalid_endpoints(),
        ))]
    });
    let mut client = world.client(BROKER_1).await;
    client.send(&metadata(1)).await;
    let frame = client.frame().await;
    assert!(!contains(&frame, b"b1"), "{frame:?}");
    assert!(!contains(&frame, b"xxx"), "{frame:?}");
    let (id, body) = decoded::<MetadataResponse>(12, &frame);
    assert_eq!(id, 1);
    for broker in &body.brokers {
        let at = (broker.node_id.0, broker.host.as_str(), broker.port);
        let ours = (1, "proxy.test", i32::from(BROKER_1));
        // An empty host stands for "nowhere" and is left as it is.
        assert!(at == ours || at.1.is_empty(), "{at:?}");
    }
    assert_eq!(world.published("main").await, known);
    world.stops_in_order().await;
}

/// "No such node" is a sentinel, and passes as one.
#[tokio::test(start_paused = true)]
async fn an_error_about_a_coordinator_passes() {
    use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
    let world = World::start().await;
    let known = world.published("main").await;
    let none = |id| {
        let body = FindCoordinatorResponse::default()
            .with_error_code(15)
            .with_node_id(BrokerId(-1))
            .with_host("".into())
            .with_port(-1);
        response(2, id, &body)
    };
    world.cluster.script(B1, To::Sessions, move |asked| {
        vec![Act::Say(none(asked.id))]
    });
    let mut client = world.client(BROKER_1).await;
    let body = FindCoordinatorRequest::default().with_key("g".into());
    client.send(&request(10, 2, 1, &body)).await;
    assert_eq!(client.frame().await, none(1));
    assert_eq!(world.published("main").await, known);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn two_brokers_at_one_address_are_two_brokers() {
    let world = World::start().await;
    world.cluster.lists(&["1@b1.test:9092", "3@b1.test:9092"]);
    world.knows(3, B1).await;
    let mut client = world.client(BOOTSTRAP + 1 + 3).await;
    client.exchange(1).await;
    client.send(&metadata(2)).await;
    let (_, body) = decoded::<MetadataResponse>(12, &client.frame().await);
    let ports: Vec<(i32, i32)> = body.brokers.iter().map(|b| (b.node_id.0, b.port)).collect();
    assert_eq!(ports, [(1, 9002), (3, 9004)]);
    world.stops_in_order().await;
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Discovery gets these responses until it has failed five times in this way; meanwhile
/// sessions are served, and it recovers once the responses are honest again.
async fn discovery_survives(
    script: impl FnMut(&Asked) -> Vec<Act> + Clone + Send + 'static,
    failure: Failure,
) {
    let world = World::start().await;
    let known = world.published("main").await;
    for name in [BOOT, "b0.test:9092", B1, B2] {
        world.cluster.script(name, To::Discovery, script.clone());
    }
    world.discovery_fails(failure, 5).await;
    assert_eq!(world.published("main").await, known);
    assert!(world.ready.is_ready());
    for port in [BOOTSTRAP, BROKER_1] {
        world.client(port).await.exchange(1).await;
    }
    for name in [BOOT, "b0.test:9092", B1, B2] {
        world.cluster.no_script(name, To::Discovery);
    }
    world.cluster.lists(&["5@b1.test:9092"]);
    world.knows(5, B1).await;
    assert_eq!(
        world.published("main").await.len(),
        4,
        "nobody is forgotten"
    );
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_another_correlation_id() {
    let script = |asked: &Asked| vec![Act::Say(api_versions_response(0, asked.id + 1))];
    discovery_survives(script, Failure::BadResponse).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_a_huge_length() {
    let script = |_: &Asked| vec![Act::Say(vec![0x7f, 0xff, 0xff, 0xff])];
    discovery_survives(script, Failure::BadResponse).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_a_response_that_is_cut_off() {
    let script = |asked: &Asked| {
        let response = api_versions_response(0, asked.id);
        vec![Act::Say(response[..11].to_vec()), Act::End]
    };
    discovery_survives(script, Failure::Ended(doorkeeper_core::End::Fin)).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_a_reset() {
    let script = |_: &Asked| vec![Act::Reset];
    discovery_survives(script, Failure::Ended(doorkeeper_core::End::Reset)).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_silence() {
    discovery_survives(|_: &Asked| vec![], Failure::TimedOut).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_a_response_that_stops_in_the_middle() {
    let script = |asked: &Asked| {
        let response = api_versions_response(0, asked.id);
        vec![Act::Say(response[..11].to_vec())]
    };
    discovery_survives(script, Failure::TimedOut).await;
}

/// Responds to ApiVersions honestly, and to Metadata with these brokers.
fn lying(brokers: Vec<Listed>) -> impl FnMut(&Asked) -> Vec<Act> + Clone + Send + 'static {
    move |asked| {
        vec![Act::Say(match asked.api {
            API_VERSIONS => api_versions_response(asked.version, asked.id),
            _ => metadata_response(asked.version, asked.id, "main", &brokers),
        })]
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_an_empty_cluster() {
    discovery_survives(lying(vec![]), Failure::ErrorResponse).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_invalid_broker_endpoints() {
    let mut brokers = invalid_endpoints();
    // A host of 255 bytes is legal, if strange.
    brokers.pop();
    discovery_survives(lying(brokers), Failure::ErrorResponse).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_a_broker_that_offers_no_metadata() {
    let script = |asked: &Asked| {
        let body = kafka_protocol::messages::ApiVersionsResponse::default();
        vec![Act::Say(response(0, asked.id, &body))]
    };
    discovery_survives(script, Failure::BadResponse).await;
}

#[tokio::test(start_paused = true)]
async fn discovery_survives_a_body_that_breaks_its_schema() {
    let script = |asked: &Asked| {
        let whole = api_versions_response(0, asked.id);
        vec![Act::Say(framed(&whole[4..whole.len() - 1]))]
    };
    discovery_survives(script, Failure::BadResponse).await;
}
