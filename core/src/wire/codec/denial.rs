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

use super::{NotEncodable, begin_response, fill, framed, is_flexible};
use crate::wire::header::RequestHead;
use crate::wire::named::Named;
use crate::wire::schema::Role;
use crate::work;

/// The error that a response gives for all that its request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Kafka's number of the error (`org.apache.kafka.common.protocol.Errors`).
    pub error_code: i16,
    /// What the response says of it, where it has room for a text; empty for nothing.
    pub message: &'static str,
    pub(crate) response: ErrorResponse,
}

/// The response that gives an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorResponse {
    FindCoordinator,
    SaslHandshake,
    WriteTxnMarkers,
    DescribeAcls,
    CreateAcls,
    DeleteAcls,
    AlterConfigs,
    AlterReplicaLogDirs,
    SaslAuthenticate,
    CreateDelegationToken,
    RenewDelegationToken,
    ExpireDelegationToken,
    DescribeDelegationToken,
    ElectLeaders,
    IncrementalAlterConfigs,
    AlterPartitionReassignments,
    DescribeClientQuotas,
    AlterClientQuotas,
    DescribeUserScramCredentials,
    AlterUserScramCredentials,
    UpdateFeatures,
    /// Of UnregisterController as well, which kafka-protocol does not know: its fields are the
    /// same.
    UnregisterBroker,
    AddRaftVoter,
    RemoveRaftVoter,
}

impl Denial {
    fn text(self) -> Option<StrBytes> {
        (!self.message.is_empty()).then(|| StrBytes::from_static_str(self.message))
    }
}

/// Why there is no response that denies a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DenialError {
    /// A bug of ours.
    NotEncodable,
    /// It would be longer than it may be.
    TooLong,
}

impl From<NotEncodable> for DenialError {
    fn from(NotEncodable: NotEncodable) -> Self {
        Self::NotEncodable
    }
}

/// What a request names, in its order.
type NamesIn<'a> = &'a mut dyn Iterator<Item = Named>;

/// The frame that denies a request, by what that names.
///
/// What a request names takes more room in its response. Each element is encoded when its name
/// has been read, and no more than about `bytes_max` are.
pub(crate) fn denied(
    head: RequestHead,
    denial: Denial,
    names: NamesIn<'_>,
    bytes_max: usize,
) -> Result<Bytes, DenialError> {
    let mut out = begin_response(head, 64)?;
    let version = version_with_the_same_fields(denial.response, head.version.0);
    let encoder = &mut Encoder {
        version,
        flexible: is_flexible(head.api, version),
        bytes_left: bytes_max,
    };
    let elements = match denial.response {
        ErrorResponse::FindCoordinator => encoder.coordinators(denial, names),
        ErrorResponse::WriteTxnMarkers => encoder.markers(denial, names),
        ErrorResponse::CreateAcls => encoder.created_acls(denial, names),
        ErrorResponse::DeleteAcls => encoder.deleted_acls(denial, names),
        ErrorResponse::AlterConfigs => encoder.altered_configs(denial, names),
        ErrorResponse::AlterReplicaLogDirs => encoder.log_dirs(denial, names),
        ErrorResponse::ElectLeaders => encoder.elections(denial, names),
        ErrorResponse::IncrementalAlterConfigs => encoder.incremental(denial, names),
        ErrorResponse::AlterPartitionReassignments => encoder.reassignments(denial, names),
        ErrorResponse::AlterClientQuotas => encoder.altered_quotas(denial, names),
        ErrorResponse::DescribeUserScramCredentials => encoder.described_users(denial, names),
        ErrorResponse::AlterUserScramCredentials => encoder.altered_users(denial, names),
        ErrorResponse::SaslHandshake
        | ErrorResponse::DescribeAcls
        | ErrorResponse::SaslAuthenticate
        | ErrorResponse::CreateDelegationToken
        | ErrorResponse::RenewDelegationToken
        | ErrorResponse::ExpireDelegationToken
        | ErrorResponse::DescribeDelegationToken
        | ErrorResponse::DescribeClientQuotas
        | ErrorResponse::UpdateFeatures
        | ErrorResponse::UnregisterBroker
        | ErrorResponse::AddRaftVoter
        | ErrorResponse::RemoveRaftVoter => Ok(Elements::default()),
    }?;
    put_body(&mut out, version, denial, names)?;
    work::copied(elements.bytes.len());
    let elements = (elements.count, &*elements.bytes);
    fill(&mut out, encoder.flexible, 0, elements)?;
    Ok(framed(out)?)
}

/// The newest version of the response that kafka-protocol knows, where it has the same fields as
/// the one that was asked for.
const fn version_with_the_same_fields(response: ErrorResponse, version: i16) -> i16 {
    match (response, version) {
        // Only the requests have got a field more.
        (ErrorResponse::WriteTxnMarkers, 2) => 1,
        (ErrorResponse::AddRaftVoter, 1) => 0,
        (_, version) => version,
    }
}

/// The body of the response, with its last array still empty, or with one error for all of its
/// request.
fn put_body(
    out: &mut BytesMut,
    v: i16,
    denial: Denial,
    names: NamesIn<'_>,
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
    match denial.response {
        ErrorResponse::FindCoordinator => put(out, v, &FindCoordinatorResponse::default()),
        ErrorResponse::SaslHandshake => put(out, v, &body!(SaslHandshakeResponse)),
        ErrorResponse::WriteTxnMarkers => put(out, v, &WriteTxnMarkersResponse::default()),
        ErrorResponse::DescribeAcls => put(out, v, &body!(DescribeAclsResponse, text)),
        ErrorResponse::CreateAcls => put(out, v, &CreateAclsResponse::default()),
        ErrorResponse::DeleteAcls => put(out, v, &DeleteAclsResponse::default()),
        ErrorResponse::AlterConfigs => put(out, v, &AlterConfigsResponse::default()),
        ErrorResponse::AlterReplicaLogDirs => put(out, v, &AlterReplicaLogDirsResponse::default()),
        ErrorResponse::SaslAuthenticate => put(out, v, &body!(SaslAuthenticateResponse, text)),
        ErrorResponse::CreateDelegationToken => put(out, v, &created_token(denial, v, names)),
        ErrorResponse::RenewDelegationToken => {
            let body = body!(RenewDelegationTokenResponse);
            put(out, v, &body.with_expiry_timestamp_ms(NO_TIME))
        }
        ErrorResponse::ExpireDelegationToken => {
            let body = body!(ExpireDelegationTokenResponse);
            put(out, v, &body.with_expiry_timestamp_ms(NO_TIME))
        }
        ErrorResponse::DescribeDelegationToken => {
            put(out, v, &body!(DescribeDelegationTokenResponse))
        }
        // Version 0 has no error of its own.
        ErrorResponse::ElectLeaders if v == 0 => put(out, v, &ElectLeadersResponse::default()),
        ErrorResponse::ElectLeaders => put(out, v, &body!(ElectLeadersResponse)),
        ErrorResponse::IncrementalAlterConfigs => {
            put(out, v, &IncrementalAlterConfigsResponse::default())
        }
        ErrorResponse::AlterPartitionReassignments => {
            put(out, v, &body!(AlterPartitionReassignmentsResponse, text))
        }
        ErrorResponse::DescribeClientQuotas => {
            let body = body!(DescribeClientQuotasResponse, text);
            put(out, v, &body.with_entries(None))
        }
        ErrorResponse::AlterClientQuotas => put(out, v, &AlterClientQuotasResponse::default()),
        ErrorResponse::DescribeUserScramCredentials => {
            put(out, v, &body!(DescribeUserScramCredentialsResponse, text))
        }
        ErrorResponse::AlterUserScramCredentials => {
            put(out, v, &AlterUserScramCredentialsResponse::default())
        }
        ErrorResponse::UpdateFeatures => put(out, v, &body!(UpdateFeaturesResponse, text)),
        ErrorResponse::UnregisterBroker => put(out, v, &body!(UnregisterBrokerResponse, text)),
        ErrorResponse::AddRaftVoter => put(out, v, &body!(AddRaftVoterResponse, text)),
        ErrorResponse::RemoveRaftVoter => put(out, v, &body!(RemoveRaftVoterResponse, text)),
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

fn resource_type(number: i64) -> i8 {
    i8::try_from(number).unwrap_or_default()
}

/// All names of that meaning.
fn texts(role: Role, names: NamesIn<'_>) -> impl Iterator<Item = StrBytes> {
    names.filter_map(move |named| match named {
        Named::Text(of, name) if of == role => Some(text(name)),
        Named::Text(..) | Named::Number(..) | Named::Null(_) | Named::Element(_) => None,
    })
}

/// The types of all resources, or of all patterns of resources.
fn resource_types(names: NamesIn<'_>) -> impl Iterator<Item = i64> {
    names.filter_map(|named| match named {
        Named::Number(Role::ResourceType, kind) => Some(kind),
        Named::Text(..) | Named::Number(..) | Named::Null(_) | Named::Element(_) => None,
    })
}

/// `CreateDelegationTokenResponse.prepareResponse`: nothing is of any time. Its owner is whom the
/// request names first, before all renewers, or else who asks (KafkaApis.handleCreateTokenRequest).
fn created_token(
    denial: Denial,
    version: i16,
    names: NamesIn<'_>,
) -> CreateDelegationTokenResponse {
    let (kind, name) = (
        StrBytes::from_static_str("User"),
        StrBytes::from_static_str("ANONYMOUS"),
    );
    let owner = match (names.next(), names.next()) {
        (owner_kind, Some(Named::Text(_, owner))) if version >= 3 && !owner.is_empty() => {
            let owner_kind = match owner_kind {
                Some(Named::Text(_, owner_kind)) => text(owner_kind),
                Some(Named::Number(..) | Named::Null(_) | Named::Element(_)) | None => kind.clone(),
            };
            (owner_kind, text(owner))
        }
        (_, _) => (kind.clone(), name.clone()),
    };
    let out = CreateDelegationTokenResponse::default()
        .with_error_code(denial.error_code)
        .with_principal_type(owner.0)
        .with_principal_name(owner.1)
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

/// Encodes the elements of arrays.
#[derive(Debug)]
struct Encoder {
    version: i16,
    flexible: bool,
    /// How many bytes more may be encoded.
    bytes_left: usize,
}

/// The elements of one array, encoded one behind the other.
#[derive(Debug, Default)]
struct Elements {
    count: usize,
    bytes: BytesMut,
}

/// An element that has begun, and the elements of the array that is its last field.
#[derive(Debug)]
struct OpenElement<T> {
    element: Option<T>,
    inner: Elements,
}

impl<T> OpenElement<T> {
    fn nothing() -> Self {
        Self {
            element: None,
            inner: Elements::default(),
        }
    }
}

impl Encoder {
    /// Adds an element.
    fn push(&mut self, to: &mut Elements, element: &impl Encodable) -> Result<(), DenialError> {
        let before = to.bytes.len();
        put(&mut to.bytes, self.version, element)?;
        to.count += 1;
        let grown = to.bytes.len() - before;
        work::copied(grown);
        self.bytes_left = self
            .bytes_left
            .checked_sub(grown)
            .ok_or(DenialError::TooLong)?;
        Ok(())
    }

    /// Adds an element, if one has begun.
    fn end(
        &mut self,
        to: &mut Elements,
        begun: &mut OpenElement<impl Encodable>,
    ) -> Result<(), DenialError> {
        if let Some(element) = begun.element.take() {
            self.push(to, &element)?;
            let Elements { count, bytes } = &mut begun.inner;
            work::copied(bytes.len());
            fill(&mut to.bytes, self.flexible, 0, (*count, bytes))?;
            *count = 0;
            bytes.clear();
        }
        Ok(())
    }

    /// One element for each of these.
    fn each<N, T: Encodable>(
        &mut self,
        named: impl Iterator<Item = N>,
        element: impl Fn(N) -> T,
    ) -> Result<Elements, DenialError> {
        let mut elements = Elements::default();
        for name in named {
            self.push(&mut elements, &element(name))?;
        }
        Ok(elements)
    }

    /// The topics of a request with the numbers of their partitions.
    fn topics<T: Encodable, P: Encodable>(
        &mut self,
        names: NamesIn<'_>,
        topic: impl Fn(TopicName) -> T,
        partition: impl Fn(i32) -> P,
    ) -> Result<Elements, DenialError> {
        let (mut topics, mut begun) = (Elements::default(), OpenElement::nothing());
        for named in names {
            match named {
                Named::Text(Role::TopicName, name) => {
                    self.end(&mut topics, &mut begun)?;
                    begun.element = Some(topic(TopicName(text(name))));
                }
                Named::Number(Role::Partitions | Role::PartitionIndex, number) => {
                    self.push(&mut begun.inner, &partition(index(number)))?;
                }
                Named::Number(..) | Named::Text(..) | Named::Null(_) | Named::Element(_) => {}
            }
        }
        self.end(&mut topics, &mut begun)?;
        Ok(topics)
    }

    /// The resources of a request: each by its type, and by the name behind it.
    fn resources<T: Encodable>(
        &mut self,
        names: NamesIn<'_>,
        resource: impl Fn(i8, StrBytes) -> T,
    ) -> Result<Elements, DenialError> {
        let (mut resources, mut of_type) = (Elements::default(), 0);
        for named in names {
            match named {
                Named::Number(Role::ResourceType, number) => {
                    of_type = resource_type(number);
                }
                Named::Text(Role::ResourceName, name) => {
                    self.push(&mut resources, &resource(of_type, text(name)))?;
                }
                Named::Number(..) | Named::Text(..) | Named::Null(_) | Named::Element(_) => {}
            }
        }
        Ok(resources)
    }

    /// `FindCoordinatorResponse.prepareErrorResponse`: no node for any key.
    fn coordinators(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        self.each(texts(Role::CoordinatorKey, names), |key| {
            Coordinator::default()
                .with_key(key)
                .with_error_code(denial.error_code)
                .with_error_message(denial.text())
                .with_node_id(BrokerId(-1))
                .with_port(-1)
        })
    }

    fn markers(&mut self, denial: Denial, names: NamesIn<'_>) -> Result<Elements, DenialError> {
        let mut markers = Elements::default();
        let (mut marker, mut topic) = (OpenElement::nothing(), OpenElement::nothing());
        for named in names {
            match named {
                Named::Number(Role::ProducerId, id) => {
                    self.end(&mut marker.inner, &mut topic)?;
                    self.end(&mut markers, &mut marker)?;
                    let result = WritableTxnMarkerResult::default();
                    marker.element = Some(result.with_producer_id(ProducerId(id)));
                }
                Named::Text(Role::TopicName, name) => {
                    self.end(&mut marker.inner, &mut topic)?;
                    let result = WritableTxnMarkerTopicResult::default();
                    topic.element = Some(result.with_name(TopicName(text(name))));
                }
                Named::Number(Role::Partitions, number) => {
                    let partition = WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(index(number))
                        .with_error_code(denial.error_code);
                    self.push(&mut topic.inner, &partition)?;
                }
                Named::Number(..) | Named::Text(..) | Named::Null(_) | Named::Element(_) => {}
            }
        }
        self.end(&mut marker.inner, &mut topic)?;
        self.end(&mut markers, &mut marker)?;
        Ok(markers)
    }

    fn created_acls(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        let result = AclCreationResult::default()
            .with_error_code(denial.error_code)
            .with_error_message(denial.text());
        self.each(resource_types(names), |_| result.clone())
    }

    fn deleted_acls(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        let result = DeleteAclsFilterResult::default()
            .with_error_code(denial.error_code)
            .with_error_message(denial.text());
        self.each(resource_types(names), |_| result.clone())
    }

    fn altered_configs(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        self.resources(names, |kind, name| altered(denial, kind, name))
    }

    fn incremental(&mut self, denial: Denial, names: NamesIn<'_>) -> Result<Elements, DenialError> {
        self.resources(names, |kind, name| {
            incrementally_altered(denial, kind, name)
        })
    }

    fn log_dirs(&mut self, denial: Denial, names: NamesIn<'_>) -> Result<Elements, DenialError> {
        self.topics(
            names,
            |name| AlterReplicaLogDirTopicResult::default().with_topic_name(name),
            |index| {
                AlterReplicaLogDirPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(denial.error_code)
            },
        )
    }

    fn elections(&mut self, denial: Denial, names: NamesIn<'_>) -> Result<Elements, DenialError> {
        self.topics(
            names,
            |name| ReplicaElectionResult::default().with_topic(name),
            |index| {
                PartitionResult::default()
                    .with_partition_id(index)
                    .with_error_code(denial.error_code)
                    .with_error_message(denial.text())
            },
        )
    }

    fn reassignments(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        self.topics(
            names,
            |name| ReassignableTopicResponse::default().with_name(name),
            |index| {
                ReassignablePartitionResponse::default()
                    .with_partition_index(index)
                    .with_error_code(denial.error_code)
                    .with_error_message(denial.text())
            },
        )
    }

    fn altered_quotas(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        let entry = EntryData::default()
            .with_error_code(denial.error_code)
            .with_error_message(denial.text());
        let (mut entries, mut begun) = (Elements::default(), OpenElement::nothing());
        // A quota has a text like the type of an entity, but no name of one behind it.
        let mut kind = StrBytes::new();
        for named in names {
            let name = match named {
                Named::Element("Entries") => {
                    self.end(&mut entries, &mut begun)?;
                    begun.element = Some(entry.clone());
                    continue;
                }
                Named::Text(Role::Opaque, name) => {
                    kind = text(name);
                    continue;
                }
                Named::Text(Role::QuotaEntity, name) => Some(text(name)),
                Named::Null(Role::QuotaEntity) => None,
                Named::Number(..) | Named::Text(..) | Named::Null(_) | Named::Element(_) => {
                    continue;
                }
            };
            let entity = EntityData::default()
                .with_entity_type(kind.clone())
                .with_entity_name(name);
            self.push(&mut begun.inner, &entity)?;
        }
        self.end(&mut entries, &mut begun)?;
        Ok(entries)
    }

    /// Kafka names no user here.
    fn described_users(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        self.each(texts(Role::Principal, names), |_| {
            described_users_response::DescribeUserScramCredentialsResult::default()
                .with_error_code(denial.error_code)
                .with_error_message(denial.text())
        })
    }

    /// Each user once, in order, whatever is to be done to how many of its credentials.
    fn altered_users(
        &mut self,
        denial: Denial,
        names: NamesIn<'_>,
    ) -> Result<Elements, DenialError> {
        let mut users = BTreeSet::new();
        // No more of them are kept than there is room for in the response.
        let mut bytes_left = self.bytes_left;
        for user in texts(Role::Principal, names) {
            work::steps(1);
            let bytes = user.len() + denial.message.len();
            if users.insert(user) {
                bytes_left = bytes_left.checked_sub(bytes).ok_or(DenialError::TooLong)?;
            }
        }
        self.each(users.into_iter(), |user| {
            altered_users_response::AlterUserScramCredentialsResult::default()
                .with_user(user)
                .with_error_code(denial.error_code)
                .with_error_message(denial.text())
        })
    }
}

fn altered(denial: Denial, kind: i8, name: StrBytes) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_error_code(denial.error_code)
        .with_error_message(denial.text())
        .with_resource_type(kind)
        .with_resource_name(name)
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

/// Adds the entry of a denied resource to those of an AlterConfigs or IncrementalAlterConfigs
/// response.
pub(crate) fn denied_resource(
    head: RequestHead,
    denial: Denial,
    (kind, name): (i64, Bytes),
    out: &mut BytesMut,
) -> Result<(), NotEncodable> {
    let (v, before) = (head.version.0, out.len());
    let (kind, name) = (resource_type(kind), text(name));
    if denial.response == ErrorResponse::IncrementalAlterConfigs {
        put(out, v, &incrementally_altered(denial, kind, name))?;
    } else {
        put(out, v, &altered(denial, kind, name))?;
    }
    work::copied(out.len() - before);
    Ok(())
}
