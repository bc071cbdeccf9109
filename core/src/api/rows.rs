//! The rows: every API of the tables, and what doorkeeper does with it.
//!
//! An API that is denied is advertised, and its response is doorkeeper's own: a client then raises
//! the error that it would raise behind a broker. An API that is missing would make the client give
//! up on the broker as too old, and a connection that closes would make it try again.

use super::row::{DenialRule, Editing, LoginStep, Row, Streaming, Timeout};
use crate::id::ApiKey;
use crate::policy::Operation;
use crate::wire::codec::TopicEntry;
use crate::wire::codec::denial::{Denial, ErrorResponse as E};
use crate::wire::schema;

/// `Errors.CLUSTER_AUTHORIZATION_FAILED`.
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// `Errors.ILLEGAL_SASL_STATE`: the error of a PLAINTEXT listener
/// (KafkaApis.handleSaslHandshakeRequest and handleSaslAuthenticateRequest).
pub(crate) const ILLEGAL_SASL_STATE: i16 = 34;
/// `Errors.SECURITY_DISABLED`: the error of a broker without an authorizer (AclApis).
const SECURITY_DISABLED: i16 = 54;
/// `Errors.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED`.
const DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: i16 = 64;

/// What AuthHelper.authorizeClusterOperation gives a principal without the right.
///
/// The last two arguments here and in each row are the first and the last version of which the
/// response can be encoded.
const fn cluster(response: E, first: i16, last: i16) -> DenialRule {
    const NOT_ALLOWED: &str = "Cluster authorization failed: this listener of doorkeeper allows it \
                               only where allow_apis names it.";
    DenialRule::new(
        response,
        CLUSTER_AUTHORIZATION_FAILED,
        NOT_ALLOWED,
        first,
        last,
    )
}

/// KafkaApis.allowTokenRequests: the error of a PLAINTEXT listener, before it looks whether tokens
/// are enabled.
const fn token(response: E, first: i16, last: i16) -> DenialRule {
    DenialRule::new(
        response,
        DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
        "",
        first,
        last,
    )
}

/// The configs of a broker are altered (ControllerApis.authorizeAlterResource).
const fn broker_configs(response: E) -> Denial {
    Denial {
        error_code: CLUSTER_AUTHORIZATION_FAILED,
        message: "Cluster authorization failed: this listener of doorkeeper allows it only where \
                  allow_apis names AlterBrokerConfigs.",
        response,
    }
}

/// FindCoordinator for a share coordinator, which brokers ask of each other and which needs
/// CLUSTER_ACTION (KafkaApis.getCoordinator).
const SHARE_COORDINATOR: DenialRule = DenialRule::new(
    E::FindCoordinator,
    CLUSTER_AUTHORIZATION_FAILED,
    "Cluster authorization failed.",
    6,
    6,
);

static ROWS: &[Row] = &[
    // Records, offsets, groups, transactions, and what their clients ask of a cluster.
    Row::always(0, "Produce")
        .topics(Operation::Write, TopicEntry::Produce)
        .that_decide_alone(),
    Row::always(1, "Fetch")
        .topics(Operation::Read, TopicEntry::Fetch)
        // A follower names itself in `ReplicaState`, a tagged field behind all topics (KIP-903).
        .decides_last_from(15)
        .addresses_from(16)
        .streams(Streaming::BehindRecords),
    Row::always(2, "ListOffsets"),
    Row::always(3, "Metadata")
        .topics(Operation::Describe, TopicEntry::Metadata)
        .that_are_listed(),
    Row::always(8, "OffsetCommit"),
    Row::always(9, "OffsetFetch"),
    Row::always(10, "FindCoordinator")
        .denies_brokers(SHARE_COORDINATOR)
        .edits(Editing::Coordinators),
    Row::always(11, "JoinGroup").timeout(Timeout::StartsRebalance),
    Row::always(12, "Heartbeat"),
    Row::always(13, "LeaveGroup"),
    Row::always(14, "SyncGroup").timeout(Timeout::Rebalance),
    Row::always(15, "DescribeGroups"),
    Row::always(16, "ListGroups"),
    Row::always(18, "ApiVersions").edits(Editing::Versions),
    Row::always(19, "CreateTopics").topics(Operation::Create, TopicEntry::CreateTopics),
    Row::always(20, "DeleteTopics"),
    Row::always(21, "DeleteRecords"),
    Row::always(22, "InitProducerId").timeout(Timeout::StartsTransaction),
    Row::always(23, "OffsetForLeaderEpoch"),
    Row::always(24, "AddPartitionsToTxn")
        // From version 4 on it is a batch that only brokers send (KIP-890).
        .up_to_version(3)
        .timeout(Timeout::Transaction),
    Row::always(25, "AddOffsetsToTxn").timeout(Timeout::Transaction),
    Row::always(26, "EndTxn").timeout(Timeout::Transaction),
    Row::always(28, "TxnOffsetCommit"),
    Row::always(46, "ListPartitionReassignments"),
    Row::always(47, "OffsetDelete"),
    Row::always(55, "DescribeQuorum"),
    Row::always(60, "DescribeCluster"),
    Row::always(61, "DescribeProducers"),
    Row::always(65, "DescribeTransactions"),
    Row::always(66, "ListTransactions"),
    // Topics and configs.
    Row::always(32, "DescribeConfigs")
        .edits(Editing::Configs)
        .streams(Streaming::InPlace),
    Row::but_broker_configs(33, "AlterConfigs", broker_configs(E::AlterConfigs)),
    Row::always(35, "DescribeLogDirs"),
    Row::always(37, "CreatePartitions"),
    Row::always(42, "DeleteGroups"),
    Row::but_broker_configs(
        44,
        "IncrementalAlterConfigs",
        broker_configs(E::IncrementalAlterConfigs),
    ),
    Row::always(74, "ListConfigResources"),
    Row::always(75, "DescribeTopicPartitions"),
    // The newer kinds of groups, and telemetry.
    Row::always(68, "ConsumerGroupHeartbeat"),
    Row::always(69, "ConsumerGroupDescribe"),
    Row::always(71, "GetTelemetrySubscriptions"),
    Row::always(72, "PushTelemetry"),
    Row::always(76, "ShareGroupHeartbeat"),
    Row::always(77, "ShareGroupDescribe"),
    Row::always(78, "ShareFetch").streams(Streaming::BehindRecords),
    Row::always(79, "ShareAcknowledge"),
    Row::always(88, "StreamsGroupHeartbeat"),
    Row::always(89, "StreamsGroupDescribe"),
    Row::always(90, "DescribeShareGroupOffsets"),
    Row::always(91, "AlterShareGroupOffsets"),
    Row::always(92, "DeleteShareGroupOffsets"),
    Row::always(93, "StreamsGroupTopologyDescriptionUpdate"),
    // What brokers of 3.x ask of each other; the state of share coordinators.
    Row::never(4, "LeaderAndIsr"),
    Row::never(5, "StopReplica"),
    Row::never(6, "UpdateMetadata"),
    Row::never(7, "ControlledShutdown"),
    Row::never(83, "InitializeShareGroupState"),
    Row::never(84, "ReadShareGroupState"),
    Row::never(85, "WriteShareGroupState"),
    Row::never(86, "DeleteShareGroupState"),
    Row::never(87, "ReadShareGroupStateSummary"),
    // ACLs, delegation tokens, quotas and SCRAM credentials: they act on principals of the
    // upstream, behind which all clients are one.
    Row::by_name(
        29,
        "DescribeAcls",
        DenialRule::new(
            E::DescribeAcls,
            SECURITY_DISABLED,
            "No Authorizer is configured on the broker",
            1,
            3,
        ),
    ),
    Row::by_name(
        30,
        "CreateAcls",
        DenialRule::new(
            E::CreateAcls,
            SECURITY_DISABLED,
            "No Authorizer is configured.",
            1,
            3,
        ),
    ),
    Row::by_name(
        31,
        "DeleteAcls",
        DenialRule::new(
            E::DeleteAcls,
            SECURITY_DISABLED,
            "No Authorizer is configured.",
            1,
            3,
        ),
    ),
    Row::by_name(
        38,
        "CreateDelegationToken",
        token(E::CreateDelegationToken, 1, 3),
    ),
    Row::by_name(
        39,
        "RenewDelegationToken",
        token(E::RenewDelegationToken, 1, 2),
    ),
    Row::by_name(
        40,
        "ExpireDelegationToken",
        token(E::ExpireDelegationToken, 1, 2),
    ),
    Row::by_name(
        41,
        "DescribeDelegationToken",
        token(E::DescribeDelegationToken, 1, 3),
    ),
    Row::by_name(
        48,
        "DescribeClientQuotas",
        cluster(E::DescribeClientQuotas, 0, 1),
    ),
    Row::by_name(49, "AlterClientQuotas", cluster(E::AlterClientQuotas, 0, 1)),
    Row::by_name(
        50,
        "DescribeUserScramCredentials",
        cluster(E::DescribeUserScramCredentials, 0, 0),
    ),
    Row::by_name(
        51,
        "AlterUserScramCredentials",
        cluster(E::AlterUserScramCredentials, 0, 0),
    ),
    // ALTER on the cluster: WriteTxnMarkers, which ends a hanging transaction, log directories,
    // elections, reassignments, features, and the membership of brokers and controllers.
    Row::by_name(27, "WriteTxnMarkers", cluster(E::WriteTxnMarkers, 1, 2)),
    Row::by_name(
        34,
        "AlterReplicaLogDirs",
        cluster(E::AlterReplicaLogDirs, 1, 2),
    ),
    Row::by_name(43, "ElectLeaders", cluster(E::ElectLeaders, 0, 2)),
    Row::by_name(
        45,
        "AlterPartitionReassignments",
        cluster(E::AlterPartitionReassignments, 0, 1),
    ),
    Row::by_name(57, "UpdateFeatures", cluster(E::UpdateFeatures, 0, 2)),
    Row::by_name(64, "UnregisterBroker", cluster(E::UnregisterBroker, 0, 0)),
    Row::by_name(80, "AddRaftVoter", cluster(E::AddRaftVoter, 0, 1)),
    Row::by_name(81, "RemoveRaftVoter", cluster(E::RemoveRaftVoter, 0, 0)),
    Row::by_name(
        94,
        "UnregisterController",
        cluster(E::UnregisterBroker, 0, 0),
    ),
    // Logins.
    Row::login(
        17,
        "SaslHandshake",
        LoginStep::Handshake,
        DenialRule::new(E::SaslHandshake, ILLEGAL_SASL_STATE, "", 0, 1),
    ),
    Row::login(
        36,
        "SaslAuthenticate",
        LoginStep::Token,
        DenialRule::new(
            E::SaslAuthenticate,
            ILLEGAL_SASL_STATE,
            "SaslAuthenticate request received after successful authentication",
            0,
            2,
        ),
    ),
];

/// The rows of APIs by which clients log in.
pub(crate) fn login_rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.login_step().is_some())
}

/// The row of an API; nothing for one that is not in the tables.
pub(crate) fn row(api: ApiKey) -> Option<&'static Row> {
    let index = usize::try_from(api.0).ok()?;
    BY_KEY.get(index).copied().flatten()
}

/// One more than the highest key.
const KEYS: usize = {
    let mut keys = 0;
    let mut rest = schema::APIS;
    while let [entry, tail @ ..] = rest {
        if keys <= entry.key as usize {
            keys = entry.key as usize + 1;
        }
        rest = tail;
    }
    keys
};

#[expect(
    clippy::indexing_slicing,
    reason = "a key that is too high does not compile"
)]
static BY_KEY: [Option<&'static Row>; KEYS] = {
    let mut by_key = [const { None }; KEYS];
    let mut rest = ROWS;
    while let [row, tail @ ..] = rest {
        by_key[row.key.0 as usize] = Some(row);
        rest = tail;
    }
    by_key
};

#[cfg(test)]
mod tests {
    use super::super::row::Offer;
    use super::*;

    #[test]
    fn every_api_of_the_tables_has_one_row_of_its_name() {
        for entry in schema::APIS {
            assert!(entry.listeners.broker, "{}", entry.name);
            let row = row(ApiKey(entry.key)).map(|row| row.name);
            assert_eq!(row, Some(entry.name), "the row of {}", entry.name);
        }
        assert_eq!(ROWS.len(), schema::APIS.len());
    }

    #[test]
    fn an_api_without_a_row_is_not_offered() {
        // Of controllers, of Kafka from 4.5 on, or of nobody.
        for key in [-1, 52, 58, 62, 67, 70, 73, 82, 95, 96, i16::MAX] {
            assert!(row(ApiKey(key)).is_none(), "{key}");
        }
    }

    #[test]
    fn a_denied_api_has_versions_of_the_tables() {
        for row in ROWS {
            let (Offer::ByName(denied) | Offer::Login(_, denied)) = row.offer else {
                continue;
            };
            let versions = schema::api(row.key.0).unwrap().versions;
            assert!(versions.contains(denied.versions.last), "{}", row.name);
        }
    }
}
