//! ApiVersions before a login.

use doorkeeper_core::broker_versions::BrokerVersions;
use doorkeeper_core::wire::schema::Versions;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion as Range;
use kafka_protocol::protocol::Encodable as _;

use super::*;

fn broker_versions(produce: (i16, i16)) -> Arc<BrokerVersions> {
    versions_of(&[
        (0, produce.0, produce.1),
        (18, 0, 5),
        (17, 0, 1),
        (36, 0, 2),
    ])
}

/// What a broker says that has these ranges.
fn versions_of(ranges: &[(i16, i16, i16)]) -> Arc<BrokerVersions> {
    let keys = ranges.iter().map(|(key, first, last)| {
        Range::default()
            .with_api_key(*key)
            .with_min_version(*first)
            .with_max_version(*last)
    });
    let response = ApiVersionsResponse::default().with_api_keys(keys.collect());
    let bodies = (0..=4).map(|version| {
        let mut body = bytes::BytesMut::new();
        response.encode(&mut body, version).unwrap();
        (ApiVersion(version), body.freeze())
    });
    let ranges = ranges
        .iter()
        .map(|(key, first, last)| (ApiKey(*key), Versions::new(*first, *last)));
    Arc::new(BrokerVersions::new(ranges, bodies))
}

/// Brokers 0 and 1 have said what they can do.
fn knowing(route: Route) -> World {
    let mut snapshot = snapshot();
    snapshot.login = Some(Arc::new(settings()));
    for (broker, produce) in [(0, (0, 9)), (1, (3, 12))] {
        let address = at(&format!("kafka-{broker}.canary:9092"));
        let versions = broker_versions(produce);
        let next = snapshot.topology.with_versions(&address, Some(&versions));
        snapshot.topology = Arc::new(next.unwrap());
    }
    World::with(snapshot, route)
}

fn ranges(version: i16, bytes: &[u8]) -> Vec<(i16, i16, i16)> {
    let (id, response) = decoded::<ApiVersionsResponse>(version, bytes);
    assert_eq!((id, response.error_code), (6, 0));
    let keys = response.api_keys.iter();
    keys.map(|it| (it.api_key, it.min_version, it.max_version))
        .collect()
}

#[test]
fn the_versions_are_those_of_the_brokers_that_may_be_reached() {
    let rest = [(18, 0, 4), (17, 0, 1), (36, 0, 2)];
    for (route, produce) in [
        (Route::Broker(BrokerId(0)), (0, 0, 9)),
        (Route::Broker(BrokerId(1)), (0, 3, 12)),
        (Route::Broker(BrokerId(2)), (0, 3, 9)),
        (Route::Bootstrap, (0, 3, 9)),
    ] {
        for version in 0..=4 {
            let mut world = knowing(route);
            world.client(&versions(version));
            let expected: Vec<_> = [produce].into_iter().chain(rest).collect();
            assert_eq!(
                ranges(version, &received(&mut world)),
                expected,
                "{route:?} {version}"
            );
            assert!(world.targets.is_empty());
            log_in(&mut world, None);
        }
    }
}

/// librdkafka logs in only where it finds these APIs.
#[test]
fn what_a_client_logs_in_by_is_listed_whatever_brokers_say() {
    for version in 0..=4 {
        let mut snapshot = snapshot();
        snapshot.login = Some(Arc::new(settings()));
        let ranges = [(0, 0, 9), (18, 0, 4)];
        let address = at("kafka-1.canary:9092");
        let next = snapshot
            .topology
            .with_versions(&address, Some(&versions_of(&ranges)));
        snapshot.topology = Arc::new(next.unwrap());
        let mut world = World::with(snapshot, Route::Broker(BrokerId(1)));
        world.client(&versions(version));
        let expected = [(0, 0, 9), (18, 0, 4), (17, 0, 1), (36, 0, 2)];
        assert_eq!(self::ranges(version, &received(&mut world)), expected);
        log_in(&mut world, None);
    }
}

#[test]
fn versions_that_nobody_knows_yet_are_waited_for() {
    let mut world = world();
    world.client(&[versions(3), handshake(1, "PLAIN")].concat());
    assert!(world.to_client.is_empty());
    assert!(world.session.demand().snapshot && !world.session.demand().read_client);
    let learned = Arc::clone(&knowing(Route::Bootstrap).snapshot.topology);
    world.renew(|snapshot| snapshot.topology = learned);
    let all = received(&mut world);
    assert_eq!(ids(&all), [6, 7]);

    let mut world = self::world();
    world.client(&versions(3));
    world.advance(10 * SECOND);
    assert_eq!(world.closed, Some(CloseReason::TopologyUnknown));
}

#[test]
fn versions_are_given_once_and_unknown_ones_of_the_request_named() {
    let mut world = knowing(Route::Bootstrap);
    for version in [5, 99] {
        world.client(&request_head(18, version, 6));
        let (_, response) = decoded::<ApiVersionsResponse>(0, &received(&mut world));
        assert_eq!(response.error_code, 35);
        let range = &response.api_keys[0];
        assert_eq!(
            (range.api_key, range.min_version, range.max_version),
            (18, 0, 4)
        );
    }
    world.client(&versions(3));
    received(&mut world);
    world.client(&versions(3));
    world.advance(SECOND);
    let fault = ClientFault::NotLoggedIn(ApiKey(18));
    assert_eq!(world.closed, Some(CloseReason::Client(fault)));
}

/// `ApiVersionsRequest.isValid`: the client may ask again.
#[test]
fn a_client_that_names_itself_wrongly_is_told_so() {
    let named = |version, name: &'static str, software: &'static str| {
        let body = ApiVersionsRequest::default()
            .with_client_software_name(name.into())
            .with_client_software_version(software.into());
        request(18, version, 6, &body)
    };
    for version in [3, 4] {
        for (name, software) in [
            ("", "1"),
            ("test", ""),
            ("-test", "1"),
            ("test", "1."),
            ("te st", "1"),
            ("t\u{e9}st", "1"),
        ] {
            let mut world = knowing(Route::Bootstrap);
            world.client(&named(version, name, software));
            let all = received(&mut world);
            let (id, response) = decoded::<ApiVersionsResponse>(version, &all);
            assert_eq!(
                (id, response.error_code, response.api_keys.len()),
                (6, 42, 0)
            );
            world.client(&named(version, "a-library.v2", "3.0-beta.1"));
            assert!(!ranges(version, &received(&mut world)).is_empty());
            log_in(&mut world, None);
        }
    }
}

#[test]
fn versions_are_asked_for_by_a_whole_request() {
    let mut world = knowing(Route::Bootstrap);
    world.client(&request_head(18, 3, 6));
    assert_eq!(world.closed.unwrap().name(), "client_malformed");
    assert!(world.to_client.is_empty());
}
