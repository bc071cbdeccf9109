//! AlterConfigs and IncrementalAlterConfigs, of which those of brokers are denied.

use doorkeeper_core::api::{Access, OfferedApis};
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::{CloseReason, Leg, Route};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::*;

use crate::harness::{World, decoded, request, response_frame, snapshot};
use crate::{CHUNKS, ID};

const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

pub fn altering(version: i16, resources: &[(i8, &str)]) -> Vec<u8> {
    let resource = |(kind, name): &(i8, &str)| {
        let config = AlterableConfig::default()
            .with_name("some.config".into())
            .with_value(Some("a value".into()));
        AlterConfigsResource::default()
            .with_resource_type(*kind)
            .with_resource_name(name.to_string().into())
            .with_configs(vec![config])
    };
    let body = IncrementalAlterConfigsRequest::default()
        .with_resources(resources.iter().map(resource).collect())
        .with_validate_only(true);
    request(44, version, ID, &body)
}

/// Type, name and error of each resource.
fn altered(version: i16, bytes: &[u8]) -> Vec<(i8, String, i16)> {
    let (id, response) = decoded::<IncrementalAlterConfigsResponse>(version, bytes);
    assert_eq!(id, ID);
    let response = response.responses.into_iter();
    response
        .map(|it| {
            (
                it.resource_type,
                it.resource_name.to_string(),
                it.error_code,
            )
        })
        .collect()
}

#[test]
fn configs_of_brokers_are_not_altered_and_those_of_others_are() {
    for version in 0..=1 {
        for chunk in CHUNKS {
            let mut world = World::new();
            world.chunk = chunk;
            world.client(&altering(
                version,
                &[(BROKER, "1"), (BROKER_LOGGER, "1"), (BROKER, "")],
            ));
            assert!(world.to_upstream.is_empty() && world.targets.is_empty());
            let expected = [(BROKER, "1"), (BROKER_LOGGER, "1"), (BROKER, "")];
            let expected = expected.map(|(kind, name)| (kind, name.to_owned(), 31));
            assert_eq!(altered(version, &world.to_client), expected);

            let mut world = World::new();
            world.chunk = chunk;
            let sent = altering(version, &[(TOPIC, "t"), (GROUP, "g")]);
            world.client(&sent);
            assert_eq!(world.to_upstream, sent);
        }
    }
}

#[test]
fn configs_of_topics_groups_and_client_metrics_are_altered_and_of_no_other_type() {
    for kind in i8::MIN..=i8::MAX {
        let mut world = World::new();
        let sent = altering(1, &[(kind, "a"), (TOPIC, "t")]);
        world.client(&sent);
        let up = if [TOPIC, CLIENT_METRICS, GROUP].contains(&kind) {
            sent
        } else {
            altering(1, &[(TOPIC, "t")])
        };
        assert_eq!(world.to_upstream, up, "{kind}");
    }
}

#[test]
fn brokers_are_cut_from_a_request_that_alters_others_as_well() {
    for version in 0..=1 {
        for chunk in CHUNKS {
            let mut world = World::new();
            world.chunk = chunk;
            world.client(&altering(
                version,
                &[
                    (BROKER, "1"),
                    (TOPIC, "t"),
                    (BROKER_LOGGER, "2"),
                    (GROUP, "g"),
                ],
            ));
            assert_eq!(
                world.to_upstream,
                altering(version, &[(TOPIC, "t"), (GROUP, "g")])
            );
            let own = |kind, name: &str| {
                incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name.to_string().into())
            };
            let response = IncrementalAlterConfigsResponse::default()
                .with_responses(vec![own(TOPIC, "t"), own(GROUP, "g")]);
            world.upstream(&response_frame(version, ID, &response));
            let mut response = altered(version, &world.to_client);
            response.sort();
            let expected = [
                (TOPIC, "t", 0),
                (BROKER, "1", 31),
                (BROKER_LOGGER, "2", 31),
                (GROUP, "g", 0),
            ];
            let expected = expected.map(|(kind, name, code)| (kind, name.to_owned(), code));
            assert_eq!(response, expected, "{version} in {chunk}");
        }
    }
}

#[test]
fn brokers_are_cut_as_long_as_there_is_room_for_their_denials() {
    let names: Vec<String> = (0..2000).map(|id| id.to_string()).collect();
    let mut resources: Vec<(i8, &str)> = names.iter().map(|name| (BROKER, &**name)).collect();
    resources.push((TOPIC, "t"));
    let sent = altering(1, &resources);
    for (request_buffer_bytes_max, closed) in [
        (200_000, Some(CloseReason::BufferLimit(Leg::Client))),
        (400_000, None),
    ] {
        let mut limited = snapshot();
        limited.limits.request_buffer_bytes_max = request_buffer_bytes_max;
        let mut world = World::with(limited, Route::Bootstrap);
        world.client(&sent);
        assert_eq!(world.closed, closed);
        if closed.is_none() {
            assert_eq!(world.to_upstream, altering(1, &[(TOPIC, "t")]));
        }
    }
}

#[test]
fn the_older_api_is_denied_in_its_own_shape() {
    for version in 0..=2 {
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name("3".into());
        let body = AlterConfigsRequest::default().with_resources(vec![resource]);
        let mut world = World::new();
        world.client(&request(33, version, ID, &body));
        let (_, response) = decoded::<AlterConfigsResponse>(version, &world.to_client);
        let it: &AlterConfigsResourceResponse = &response.responses[0];
        assert_eq!(
            (it.resource_type, it.resource_name.as_str(), it.error_code),
            (BROKER, "3", 31)
        );
    }
}

#[test]
fn brokers_are_altered_where_the_configuration_says_so() {
    let mut allowed = snapshot();
    allowed.offered = OfferedApis::default().altering_brokers(true);
    let mut world = World::with(allowed, Route::Bootstrap);
    let sent = altering(1, &[(BROKER, "1"), (TOPIC, "t")]);
    world.client(&sent);
    assert_eq!(world.to_upstream, sent);
}

#[test]
fn apis_that_alter_brokers_are_not_opened_by_their_names() {
    let named = OfferedApis::with([ApiKey(33), ApiKey(44)]);
    for key in [33, 44] {
        let access = |offered: &OfferedApis| offered.get(ApiKey(key)).unwrap().access;
        assert_eq!(access(&named), access(&OfferedApis::default()));
        assert!(matches!(access(&named), Access::NotBrokers(_)));
        assert_eq!(access(&named.clone().altering_brokers(true)), Access::All);
    }
}
