//! `DescribeConfigs`: the few settings that the model has, of topics and brokers.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_response::CreatableTopicConfigs;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::config::HOST_IN_CONFIGS;
use crate::config::Limits;
use crate::controller::Controller;
use crate::topics::name_is_legal;

/// Resource types (`ConfigResource.Type`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
const SET_ON_TOPIC: i8 = 1;
const FROM_FILE: i8 = 4;
const DEFAULT: i8 = 5;
/// Types of values (`DescribeConfigsResponse.ConfigType`).
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

/// Topic configs that may be set: name, type, default. Only `min.insync.replicas` does something.
const TOPIC_CONFIGS: [(&str, i8, &str); 12] = [
    ("cleanup.policy", LIST, "delete"),
    ("compression.type", STRING, "producer"),
    ("delete.retention.ms", LONG, "86400000"),
    ("flush.messages", LONG, "9223372036854775807"),
    ("max.message.bytes", INT, "1048588"),
    ("message.timestamp.type", STRING, "CreateTime"),
    ("min.insync.replicas", INT, "1"),
    ("retention.bytes", LONG, "-1"),
    ("retention.ms", LONG, "604800000"),
    ("segment.bytes", INT, "1073741824"),
    ("segment.ms", LONG, "604800000"),
    ("unclean.leader.election.enable", STRING, "false"),
];

/// One setting as it stands.
struct Setting {
    name: &'static str,
    kind: i8,
    value: String,
    source: i8,
    read_only: bool,
}

pub(super) fn is_topic_config(name: &str) -> bool {
    TOPIC_CONFIGS.iter().any(|(known, ..)| *known == name)
}

fn topic_settings(set: &BTreeMap<String, String>, limits: &Limits) -> Vec<Setting> {
    let settings = TOPIC_CONFIGS.iter().map(|(name, kind, default)| {
        let (value, source) = match (set.get(*name), *name) {
            (Some(value), _) => (value.clone(), SET_ON_TOPIC),
            (None, "max.message.bytes") => (limits.message_bytes_max.to_string(), DEFAULT),
            (None, "retention.bytes") => (limits.retention_bytes.to_string(), DEFAULT),
            (None, _) => ((*default).to_owned(), DEFAULT),
        };
        Setting {
            name,
            kind: *kind,
            value,
            source,
            read_only: false,
        }
    });
    settings.collect()
}

/// A topic's settings as a `CreateTopics` response has them.
pub(super) fn creatable(
    set: &BTreeMap<String, String>,
    limits: &Limits,
) -> Vec<CreatableTopicConfigs> {
    let settings = topic_settings(set, limits).into_iter().map(|setting| {
        CreatableTopicConfigs::default()
            .with_name(wire(setting.name))
            .with_value(Some(wire(&setting.value)))
            .with_config_source(setting.source)
    });
    settings.collect()
}

pub(super) fn handle(controller: &Controller<'_>, call: &Call) -> Result<Reply, CloseReason> {
    let request: DescribeConfigsRequest = call.decode()?;
    let synonyms = request.include_synonyms;
    let results = request.resources.iter().map(|resource| {
        let response = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match settings(controller, call, resource) {
            Ok(settings) => {
                let asked = resource.configuration_keys.as_ref();
                let wanted = settings.iter().filter(|setting| {
                    asked.is_none_or(|keys| keys.iter().any(|key| key.as_str() == setting.name))
                });
                let configs = wanted.map(|setting| described(setting, synonyms, call.head.version));
                response
                    .with_error_message(Some(wire("")))
                    .with_configs(configs.collect())
            }
            Err((error, message)) => response
                .with_error_code(error.code())
                .with_error_message(Some(wire(&message))),
        }
    });
    let results = results.collect();
    call.reply(&DescribeConfigsResponse::default().with_results(results))
}

/// `ConfigHelper.describeConfigs`.
fn settings(
    controller: &Controller<'_>,
    call: &Call,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Setting>, (ResponseError, String)> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => match controller.topics.get(name) {
            Some(topic) => Ok(topic_settings(&topic.configs, controller.limits)),
            None if name_is_legal(name) => {
                Err((ResponseError::UnknownTopicOrPartition, String::new()))
            }
            None => {
                let message = format!("Topic name is invalid: '{name}'");
                Err((ResponseError::InvalidTopicException, message))
            }
        },
        // Nothing is set for all brokers.
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER if name == call.broker.to_string() => Ok(broker_settings(controller, call)),
        BROKER => {
            let message = format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                call.broker
            );
            Err((ResponseError::InvalidRequest, message))
        }
        other => {
            let message = format!("Unsupported resource type: {other}");
            Err((ResponseError::InvalidRequest, message))
        }
    }
}

fn broker_settings(controller: &Controller<'_>, call: &Call) -> Vec<Setting> {
    let limits = controller.limits;
    let at = controller
        .brokers
        .get(call.broker)
        .map(|broker| broker.advertised.to_string());
    let listener = format!("PLAINTEXT://{}", at.unwrap_or_default());
    let own = |name, kind, value: String| Setting {
        name,
        kind,
        value,
        source: FROM_FILE,
        read_only: true,
    };
    let mut settings = vec![
        own("advertised.listeners", STRING, listener.clone()),
        own(
            "auto.create.topics.enable",
            STRING,
            limits.auto_create_topics.to_string(),
        ),
        own(
            "default.replication.factor",
            INT,
            limits.default_replication_factor.to_string(),
        ),
        own("listeners", STRING, listener),
        own(
            "log.retention.bytes",
            LONG,
            limits.retention_bytes.to_string(),
        ),
        own(
            "message.max.bytes",
            INT,
            limits.message_bytes_max.to_string(),
        ),
        own("node.id", INT, call.broker.to_string()),
        own("num.partitions", INT, limits.default_partitions.to_string()),
    ];
    // The first broker is a controller too, and has a plugin: its values have the name of a host as
    // a word, and in addresses.
    if call.broker.0 == 0 {
        settings.extend([
            own("controller.quorum.fetch.timeout.ms", INT, "2000".to_owned()),
            own(
                "controller.quorum.voters",
                LIST,
                format!("0@{HOST_IN_CONFIGS}:9093"),
            ),
            own(
                "plugin.target",
                STRING,
                format!("the {HOST_IN_CONFIGS} at {HOST_IN_CONFIGS}:9092"),
            ),
            own(
                "process.roles",
                LIST,
                format!("{HOST_IN_CONFIGS},controller"),
            ),
        ]);
    }
    settings
}

fn described(setting: &Setting, synonyms: bool, version: i16) -> DescribeConfigsResourceResult {
    let value = || Some(wire(&setting.value));
    let mut response = DescribeConfigsResourceResult::default()
        .with_name(wire(setting.name))
        .with_value(value())
        .with_read_only(setting.read_only)
        .with_config_source(setting.source);
    if version >= 3 {
        response = response.with_config_type(setting.kind);
    }
    if synonyms {
        let synonym = DescribeConfigsSynonym::default()
            .with_name(wire(setting.name))
            .with_value(value())
            .with_source(setting.source);
        response = response.with_synonyms(vec![synonym]);
    }
    response
}
