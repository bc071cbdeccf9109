//! The response to a request that is denied whole, in the shape of its API's
//! `AbstractRequest.getErrorResponse`.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{
    AddRaftVoterResponse, AlterClientQuotasResponse, AlterConfigsResponse,
    AlterPartitionReassignmentsResponse, AlterReplicaLogDirsResponse,
    AlterUserScramCredentialsResponse, BrokerId, CreateAclsResponse, CreateDelegationTokenResponse,
    DeleteAclsResponse, DescribeAclsResponse, DescribeClientQuotasResponse,
    DescribeDelegationTokenResponse, DescribeUserScramCredentialsResponse, ElectLeadersResponse,
    ExpireDelegationTokenResponse, FindCoordinatorResponse, IncrementalAlterConfigsResponse,
    ProducerId, RemoveRaftVoterResponse, RenewDelegationTokenResponse, SaslAuthenticateResponse,
    SaslHandshakeResponse, TopicName, UnregisterBrokerResponse, UpdateFeaturesResponse,
    WriteTxnMarkersResponse, alter_user_scram_credentials_response as altered_users_response,
    describe_user_scram_credentials_response as described_users_response,
    incremental_alter_configs_response as incremental_response,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::{NotEncodable, begin_response, framed};
use crate::wire::header::RequestHead;
use crate::wire::named::Named;
use crate::wire::schema::Role;

/// The error that a response gives for all that its request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Kafka's number of the error (`org.apache.kafka.common.protocol.Errors`).
    pub error_code: i16,
    /// What the response says of it, where it has room for a text; empty for nothing.
    pub message: &'static str,
}

impl Denial {
    fn text(self) -> Option<StrBytes> {
        (!self.message.is_empty()).then(|| StrBytes::from_static_str(self.message))
    }
}

/// The frame that denies a request. `names` is what it names, in its order.
pub(crate) fn denied(
    head: RequestHead,
    denial: Denial,
    names: &mut dyn Iterator<Item = Named>,
) -> Result<Bytes, NotEncodable> {
    let mut out = begin_response(head, 64)?;
    let (v, to) = (head.version.0, &mut out);
    match head.api.0 {
        10 => put(to, v, &coordinators(denial, names)),
        27 => put(to, v, &markers(denial, names)),
        30 => put(to, v, &created_acls(denial, names)),
        31 => put(to, v, &deleted_acls(denial, names)),
        33 => put(to, v, &altered_configs(denial, names)),
        34 => put(to, v, &log_dirs(denial, names)),
        43 => put(to, v, &elections(denial, v, names)),
        44 => put(to, v, &incremental(denial, names)),
        45 => put(to, v, &reassignments(denial, names)),
        49 => put(to, v, &altered_quotas(denial, names)),
        50 => put(to, v, &described_users(denial, names)),
        51 => put(to, v, &altered_users(denial, names)),
        _ => put_one_error(to, head, denial),
    }?;
    framed(out)
}

/// The body of a response that has one error, for all of its request.
fn put_one_error(
    out: &mut BytesMut,
    head: RequestHead,
    denial: Denial,
) -> Result<(), NotEncodable> {
    /// The response, with its error code and, where it has room for one, its text.
    macro_rules! body {
        ($response:ty) => {
            <$response>::default().with_error_code(denial.error_code)
        };
        ($response:ty, text) => {
            body!($response).with_error_message(denial.text())
        };
    }
    let v = head.version.0;
    match head.api.0 {
        17 => put(out, v, &body!(SaslHandshakeResponse)),
        29 => put(out, v, &body!(DescribeAclsResponse, text)),
        36 => put(out, v, &body!(SaslAuthenticateResponse, text)),
        38 => put(out, v, &created_token(denial, v)),
        39 => {
            let body = body!(RenewDelegationTokenResponse);
            put(out, v, &body.with_expiry_timestamp_ms(NO_TIME))
        }
        40 => {
            let body = body!(ExpireDelegationTokenResponse);
            put(out, v, &body.with_expiry_timestamp_ms(NO_TIME))
        }
        41 => put(out, v, &body!(DescribeDelegationTokenResponse)),
        48 => {
            let body = body!(DescribeClientQuotasResponse, text);
            put(out, v, &body.with_entries(None))
        }
        57 => put(out, v, &body!(UpdateFeaturesResponse, text)),
        64 => put(out, v, &body!(UnregisterBrokerResponse, text)),
        80 => put(out, v, &body!(AddRaftVoterResponse, text)),
        81 => put(out, v, &body!(RemoveRaftVoterResponse, text)),
        _ => Err(NotEncodable),
    }
}

/// `DelegationTokenManager.ErrorTimestamp`.
const NO_TIME: i64 = -1;

fn put(out: &mut BytesMut, version: i16, body: &impl Encodable) -> Result<(), NotEncodable> {
    body.encode(out, version).map_err(|_| NotEncodable)
}

/// Kafka reads names as UTF-8 and replaces what is none.
fn text(bytes: Bytes) -> StrBytes {
    StrBytes::from_utf8(bytes.clone())
        .unwrap_or_else(|_| StrBytes::from_string(String::from_utf8_lossy(&bytes).into_owned()))
}

fn index(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(-1)
}

/// The topics of a request with the numbers of their partitions.
fn topics(names: &mut dyn Iterator<Item = Named>) -> Vec<(TopicName, Vec<i32>)> {
    let mut topics: Vec<(TopicName, Vec<i32>)> = Vec::new();
    for named in names {
        match named {
            Named::Text(Role::TopicName, name) => topics.push((TopicName(text(name)), Vec::new())),
            Named::Number(Role::Partitions | Role::PartitionIndex, number) => {
                if let Some((_, partitions)) = topics.last_mut() {
                    partitions.push(index(number));
                }
            }
            Named::Number(..) | Named::Text(..) | Named::Null(_) | Named::Element(_) => {}
        }
    }
    topics
}

/// All names of that meaning.
fn texts(role: Role, names: &mut dyn Iterator<Item = Named>) -> impl Iterator<Item = StrBytes> {
    names.filter_map(move |named| match named {
        Named::Text(of, name) if of == role => Some(text(name)),
        Named::Text(..) | Named::Number(..) | Named::Null(_) | Named::Element(_) => None,
    })
}

/// The resources of a request: one for each type that is named, with the name behind it.
fn resources(names: &mut dyn Iterator<Item = Named>) -> Vec<(i8, StrBytes)> {
    let mut resources: Vec<(i8, StrBytes)> = Vec::new();
    for named in names {
        match named {
            Named::Number(Role::ResourceType, kind) => {
                let kind = i8::try_from(kind).unwrap_or_default();
                resources.push((kind, StrBytes::new()));
            }
            Named::Text(Role::ResourceName, name) => {
                if let Some((_, last)) = resources.last_mut() {
                    *last = text(name);
                }
            }
            Named::Number(..) | Named::Text(..) | Named::Null(_) | Named::Element(_) => {}
        }
    }
    resources
}

/// `FindCoordinatorResponse.prepareErrorResponse`: no node for any key.
fn coordinators(denial: Denial, names: &mut dyn Iterator<Item = Named>) -> FindCoordinatorResponse {
    let coordinator = |key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(denial.error_code)
            .with_error_message(denial.text())
            .with_node_id(BrokerId(-1))
            .with_port(-1)
    };
    FindCoordinatorResponse::default().with_coordinators(
        texts(Role::CoordinatorKey, names)
            .map(coordinator)
            .collect(),
    )
}

fn markers(denial: Denial, names: &mut dyn Iterator<Item = Named>) -> WriteTxnMarkersResponse {
    let mut markers: Vec<WritableTxnMarkerResult> = Vec::new();
    for named in names {
        match named {
            Named::Number(Role::ProducerId, id) => {
                let marker = WritableTxnMarkerResult::default().with_producer_id(ProducerId(id));
                markers.push(marker);
            }
            Named::Text(Role::TopicName, name) => {
                let topic =
                    WritableTxnMarkerTopicResult::default().with_name(TopicName(text(name)));
                if let Some(marker) = markers.last_mut() {
                    marker.topics.push(topic);
                }
            }
            Named::Number(Role::Partitions, number) => {
                let partition = WritableTxnMarkerPartitionResult::default()
                    .with_partition_index(index(number))
                    .with_error_code(denial.error_code);
                if let Some(topic) = markers.last_mut().and_then(|it| it.topics.last_mut()) {
                    topic.partitions.push(partition);
                }
            }
            Named::Number(..) | Named::Text(..) | Named::Null(_) | Named::Element(_) => {}
        }
    }
    WriteTxnMarkersResponse::default().with_markers(markers)
}

fn created_acls(denial: Denial, names: &mut dyn Iterator<Item = Named>) -> CreateAclsResponse {
    let result = AclCreationResult::default()
        .with_error_code(denial.error_code)
        .with_error_message(denial.text());
    CreateAclsResponse::default().with_results(vec![result; resources(names).len()])
}

fn deleted_acls(denial: Denial, names: &mut dyn Iterator<Item = Named>) -> DeleteAclsResponse {
    let result = DeleteAclsFilterResult::default()
        .with_error_code(denial.error_code)
        .with_error_message(denial.text());
    DeleteAclsResponse::default().with_filter_results(vec![result; resources(names).len()])
}

fn altered_configs(denial: Denial, names: &mut dyn Iterator<Item = Named>) -> AlterConfigsResponse {
    let all = resources(names).into_iter();
    let response = |(kind, name)| altered(denial, kind, name);
    AlterConfigsResponse::default().with_responses(all.map(response).collect())
}

fn altered(denial: Denial, kind: i8, name: StrBytes) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_error_code(denial.error_code)
        .with_error_message(denial.text())
        .with_resource_type(kind)
        .with_resource_name(name)
}

fn incremental(
    denial: Denial,
    names: &mut dyn Iterator<Item = Named>,
) -> IncrementalAlterConfigsResponse {
    let all = resources(names).into_iter();
    let response = |(kind, name)| incrementally_altered(denial, kind, name);
    IncrementalAlterConfigsResponse::default().with_responses(all.map(response).collect())
}

fn incrementally_altered(
    denial: Denial,
    kind: i8,
    name: StrBytes,
) -> incremental_response::AlterConfigsResourceResponse {
    incremental_response::AlterConfigsResourceResponse::default()
        .with_error_code(denial.error_code)
        .with_error_message(denial.text())
        .with_resource_type(kind)
        .with_resource_name(name)
}

/// The entries of denied resources among those of an AlterConfigs or IncrementalAlterConfigs
/// response.
pub(crate) fn denied_resources(
    head: RequestHead,
    denial: Denial,
    resources: impl Iterator<Item = (i8, Bytes)>,
) -> Result<Bytes, NotEncodable> {
    let (v, mut out) = (head.version.0, BytesMut::new());
    for (kind, name) in resources {
        let name = text(name);
        match head.api.0 {
            33 => put(&mut out, v, &altered(denial, kind, name)),
            44 => put(&mut out, v, &incrementally_altered(denial, kind, name)),
            _ => Err(NotEncodable),
        }?;
    }
    Ok(out.freeze())
}

fn log_dirs(denial: Denial, names: &mut dyn Iterator<Item = Named>) -> AlterReplicaLogDirsResponse {
    let partition = |index| {
        AlterReplicaLogDirPartitionResult::default()
            .with_partition_index(index)
            .with_error_code(denial.error_code)
    };
    let topic = |(name, partitions): (TopicName, Vec<i32>)| {
        AlterReplicaLogDirTopicResult::default()
            .with_topic_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    let all = topics(names).into_iter();
    AlterReplicaLogDirsResponse::default().with_results(all.map(topic).collect())
}

/// `CreateDelegationTokenResponse.prepareResponse`: the requester is its owner, and nothing is of
/// any time.
fn created_token(denial: Denial, version: i16) -> CreateDelegationTokenResponse {
    let (kind, name) = (
        StrBytes::from_static_str("User"),
        StrBytes::from_static_str("ANONYMOUS"),
    );
    let out = CreateDelegationTokenResponse::default()
        .with_error_code(denial.error_code)
        .with_principal_type(kind.clone())
        .with_principal_name(name.clone())
        .with_issue_timestamp_ms(NO_TIME)
        .with_expiry_timestamp_ms(NO_TIME)
        .with_max_timestamp_ms(NO_TIME);
    if version >= 3 {
        out.with_token_requester_principal_type(kind)
            .with_token_requester_principal_name(name)
    } else {
        out
    }
}

fn elections(
    denial: Denial,
    version: i16,
    names: &mut dyn Iterator<Item = Named>,
) -> ElectLeadersResponse {
    let partition = |index| {
        PartitionResult::default()
            .with_partition_id(index)
            .with_error_code(denial.error_code)
    };
    let topic = |(name, partitions): (TopicName, Vec<i32>)| {
        ReplicaElectionResult::default()
            .with_topic(name)
            .with_partition_result(partitions.into_iter().map(partition).collect())
    };
    let all = topics(names).into_iter();
    ElectLeadersResponse::default()
        .with_error_code(if version >= 1 { denial.error_code } else { 0 })
        .with_replica_election_results(all.map(topic).collect())
}

fn reassignments(
    denial: Denial,
    names: &mut dyn Iterator<Item = Named>,
) -> AlterPartitionReassignmentsResponse {
    let partition = |index| {
        ReassignablePartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(denial.error_code)
    };
    let topic = |(name, partitions): (TopicName, Vec<i32>)| {
        ReassignableTopicResponse::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    let all = topics(names).into_iter();
    AlterPartitionReassignmentsResponse::default()
        .with_error_code(denial.error_code)
        .with_error_message(denial.text())
        .with_responses(all.map(topic).collect())
}

fn altered_quotas(
    denial: Denial,
    names: &mut dyn Iterator<Item = Named>,
) -> AlterClientQuotasResponse {
    let entry = || {
        EntryData::default()
            .with_error_code(denial.error_code)
            .with_error_message(denial.text())
    };
    let mut entries: Vec<EntryData> = Vec::new();
    // A quota has a text like the type of an entity, and stands behind the entities of its entry.
    let mut in_entity = false;
    for named in names {
        match named {
            Named::Element("Entries") => entries.push(entry()),
            Named::Element("Entity") => {
                in_entity = true;
                if let Some(entry) = entries.last_mut() {
                    entry
                        .entity
                        .push(EntityData::default().with_entity_name(None));
                }
            }
            Named::Element(_) => in_entity = false,
            Named::Text(role, name) if in_entity => {
                let entity = entries.last_mut().and_then(|it| it.entity.last_mut());
                match (role, entity) {
                    (Role::Opaque, Some(entity)) => entity.entity_type = text(name),
                    (Role::QuotaEntity, Some(entity)) => entity.entity_name = Some(text(name)),
                    (_, _) => {}
                }
            }
            Named::Number(..) | Named::Text(..) | Named::Null(_) => {}
        }
    }
    AlterClientQuotasResponse::default().with_entries(entries)
}

fn described_users(
    denial: Denial,
    names: &mut dyn Iterator<Item = Named>,
) -> DescribeUserScramCredentialsResponse {
    // Kafka names no user here.
    let result = |_| {
        described_users_response::DescribeUserScramCredentialsResult::default()
            .with_error_code(denial.error_code)
            .with_error_message(denial.text())
    };
    DescribeUserScramCredentialsResponse::default()
        .with_error_code(denial.error_code)
        .with_error_message(denial.text())
        .with_results(texts(Role::Principal, names).map(result).collect())
}

/// Each user once, in order, whatever is to be done to how many of its credentials.
fn altered_users(
    denial: Denial,
    names: &mut dyn Iterator<Item = Named>,
) -> AlterUserScramCredentialsResponse {
    let users: BTreeSet<String> = texts(Role::Principal, names)
        .map(|user| user.to_string())
        .collect();
    let result = |user| {
        altered_users_response::AlterUserScramCredentialsResult::default()
            .with_user(StrBytes::from_string(user))
            .with_error_code(denial.error_code)
            .with_error_message(denial.text())
    };
    AlterUserScramCredentialsResponse::default()
        .with_results(users.into_iter().map(result).collect())
}
