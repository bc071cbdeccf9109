//! The keys of the APIs that code names. What doorkeeper does with an API stands in its row and not
//! here: outside of core they are for tests, for simulations and for recordings.

use crate::id::ApiKey;
use crate::wire::schema;

/// The key of Produce.
pub const PRODUCE: ApiKey = key_of("Produce");
/// The key of Fetch.
pub const FETCH: ApiKey = key_of("Fetch");
/// The key of Metadata.
pub const METADATA: ApiKey = key_of("Metadata");
/// The key of FindCoordinator.
pub const FIND_COORDINATOR: ApiKey = key_of("FindCoordinator");
/// The key of JoinGroup.
pub const JOIN_GROUP: ApiKey = key_of("JoinGroup");
/// The key of LeaveGroup.
pub const LEAVE_GROUP: ApiKey = key_of("LeaveGroup");
/// The key of SyncGroup.
pub const SYNC_GROUP: ApiKey = key_of("SyncGroup");
/// The key of SaslHandshake.
pub const SASL_HANDSHAKE: ApiKey = key_of("SaslHandshake");
/// The key of ApiVersions.
pub const API_VERSIONS: ApiKey = key_of("ApiVersions");
/// The key of CreateTopics.
pub const CREATE_TOPICS: ApiKey = key_of("CreateTopics");
/// The key of InitProducerId.
pub const INIT_PRODUCER_ID: ApiKey = key_of("InitProducerId");
/// The key of EndTxn.
pub const END_TXN: ApiKey = key_of("EndTxn");
/// The key of DescribeConfigs.
pub const DESCRIBE_CONFIGS: ApiKey = key_of("DescribeConfigs");
/// The key of DescribeCluster.
pub const DESCRIBE_CLUSTER: ApiKey = key_of("DescribeCluster");
/// The key of ConsumerGroupHeartbeat.
pub const CONSUMER_GROUP_HEARTBEAT: ApiKey = key_of("ConsumerGroupHeartbeat");
/// The key of ShareGroupHeartbeat.
pub const SHARE_GROUP_HEARTBEAT: ApiKey = key_of("ShareGroupHeartbeat");
/// The key of ShareFetch.
pub const SHARE_FETCH: ApiKey = key_of("ShareFetch");
/// The key of ShareAcknowledge.
pub const SHARE_ACKNOWLEDGE: ApiKey = key_of("ShareAcknowledge");

/// The key in the table of that name.
#[expect(clippy::panic, reason = "keys are constants: it does not compile")]
const fn key_of(name: &str) -> ApiKey {
    let mut rest = schema::APIS;
    while let [entry, tail @ ..] = rest {
        if is_same(entry.name.as_bytes(), name.as_bytes()) {
            return ApiKey(entry.key);
        }
        rest = tail;
    }
    panic!("the tables have no such API");
}

const fn is_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([a, one_tail @ ..], [b, other_tail @ ..]) = (one, other) {
        if *a != *b {
            return false;
        }
        (one, other) = (one_tail, other_tail);
    }
    one.is_empty() && other.is_empty()
}
