//! The APIs: one place that says which are offered, and how their frames are forwarded.

pub(crate) mod denials;
pub(crate) mod versions;

use std::collections::BTreeSet;

use crate::id::{ApiKey, ApiVersion};
use crate::wire::schema::{self, Api, Edition, Role, Roles, ThrottlePlace, Versions};

/// Asks for the versions of all APIs; its response header is always version 0.
pub(crate) const API_VERSIONS: ApiKey = ApiKey(18);
pub(crate) const PRODUCE: ApiKey = ApiKey(0);
pub(crate) const FETCH: ApiKey = ApiKey(1);
pub(crate) const METADATA: ApiKey = ApiKey(3);
pub(crate) const FIND_COORDINATOR: ApiKey = ApiKey(10);
pub(crate) const JOIN_GROUP: ApiKey = ApiKey(11);
pub(crate) const SYNC_GROUP: ApiKey = ApiKey(14);
pub(crate) const CREATE_TOPICS: ApiKey = ApiKey(19);
pub(crate) const INIT_PRODUCER_ID: ApiKey = ApiKey(22);
pub(crate) const ADD_PARTITIONS_TO_TXN: ApiKey = ApiKey(24);
pub(crate) const ADD_OFFSETS_TO_TXN: ApiKey = ApiKey(25);
pub(crate) const END_TXN: ApiKey = ApiKey(26);
pub(crate) const DESCRIBE_CONFIGS: ApiKey = ApiKey(32);
pub(crate) const SHARE_FETCH: ApiKey = ApiKey(78);

pub use crate::wire::codec::denial::Denial;

/// Whether an API is for clients of doorkeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offering {
    /// For every client.
    Always,
    /// It acts on principals of the upstream, behind which all clients are one, or needs ALTER on
    /// the cluster: only where the configuration names it.
    ByName,
    /// It logs in. No listener has a login yet.
    Login,
    /// For brokers and controllers of the cluster only.
    Never,
}

/// How an API is offered, if our table has it at all.
#[must_use]
pub fn offering(api: ApiKey) -> Option<Offering> {
    schema::api(api.0)?;
    Some(listed(api).unwrap_or(Offering::Never))
}

/// Each API by its key: one that is new in the tables is offered to nobody until it is listed here.
const fn listed(api: ApiKey) -> Option<Offering> {
    Some(match api.0 {
        // Records, offsets, groups, transactions, and what their clients ask of a cluster.
        0..=3 | 8..=16 | 18..=26 | 28 | 46 | 47 | 55 | 60 | 61 | 65 | 66 => Offering::Always,
        // Of topics, and of configs: AlterConfigs and IncrementalAlterConfigs, see `Access`.
        32 | 33 | 35 | 37 | 42 | 44 | 74 | 75 => Offering::Always,
        // The newer kinds of groups, and telemetry.
        68 | 69 | 71 | 72 | 76..=79 | 88..=93 => Offering::Always,
        // What brokers of 3.x ask of each other; the share coordinator's state.
        4..=7 | 83..=87 => Offering::Never,
        // ACLs, delegation tokens, quotas and SCRAM credentials.
        29..=31 | 38..=41 | 48..=51 => Offering::ByName,
        // ALTER on the cluster: WriteTxnMarkers, which ends a hanging transaction, log directories,
        // elections, reassignments, features, and the membership of brokers and controllers.
        27 | 34 | 43 | 45 | 57 | 64 | 80 | 81 | 94 => Offering::ByName,
        17 | 36 => Offering::Login,
        _ => return None,
    })
}

/// The name of an API as Kafka writes it, from the table alone: safe as a metric label.
#[must_use]
pub fn name(api: ApiKey) -> &'static str {
    schema::api(api.0).map_or("unknown", |entry| entry.name)
}

/// The API of that name, in Kafka's spelling.
#[must_use]
pub fn by_name(name: &str) -> Option<ApiKey> {
    schema::APIS
        .iter()
        .find(|entry| entry.name == name)
        .map(|entry| ApiKey(entry.key))
}

/// Which of the APIs in our table clients are offered on one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    allowed: BTreeSet<ApiKey>,
    alters_brokers: bool,
}

impl Offered {
    /// What is offered by default, and these besides: those that have to be named
    /// ([`Offering::ByName`]). Any other API is offered or not, whether it is named or not.
    #[must_use]
    pub fn with(allowed: impl IntoIterator<Item = ApiKey>) -> Self {
        Self {
            allowed: allowed.into_iter().collect(),
            alters_brokers: false,
        }
    }

    /// The same, where AlterConfigs and IncrementalAlterConfigs may alter brokers or may not.
    #[must_use]
    pub fn altering_brokers(self, alters_brokers: bool) -> Self {
        Self {
            alters_brokers,
            ..self
        }
    }

    /// What is offered besides.
    pub fn besides(&self) -> impl Iterator<Item = ApiKey> {
        self.allowed.iter().copied()
    }

    /// Whether clients may alter the configs of brokers.
    #[must_use]
    pub const fn alters_brokers(&self) -> bool {
        self.alters_brokers
    }

    /// The API and the versions that clients may ask for, if it is offered. It may be one of which
    /// every request is denied.
    #[must_use]
    pub fn row(&self, api: ApiKey) -> Option<Row> {
        let entry = schema::api(api.0)?;
        let mut versions = entry.versions;
        let access = match listed(api)? {
            Offering::Always if alters_configs(api) && !self.alters_brokers => {
                Access::NotBrokers(&denials::BROKER_CONFIGS)
            }
            Offering::Always => Access::All,
            Offering::ByName if self.allowed.contains(&api) => Access::All,
            Offering::ByName | Offering::Login => {
                let denied = denials::denied(api)?;
                versions.first = versions.first.max(denied.versions.first);
                versions.last = versions.last.min(denied.versions.last);
                Access::Denied(&denied.denial)
            }
            Offering::Never => return None,
        };
        if api == ADD_PARTITIONS_TO_TXN {
            // From version 4 on it is a batch that only brokers send (KIP-890).
            versions.last = versions.last.min(3);
        }
        Some(Row {
            entry,
            versions,
            access,
        })
    }
}

/// One API as a client may use it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The tables of its messages.
    pub entry: &'static Api,
    /// The versions that are offered.
    pub versions: Versions,
    /// What of it clients are allowed.
    pub access: Access,
}

/// What clients are allowed of an API that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All that it does.
    All,
    /// To alter configurations, but not those of brokers.
    NotBrokers(&'static Denial),
    /// Nothing: every request is denied.
    Denied(&'static Denial),
}

const fn alters_configs(api: ApiKey) -> bool {
    matches!(api.0, 33 | 44)
}

/// How a body is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardMode {
    /// Nothing in it concerns us.
    Pass,
    /// Buffer it until these fields have been read.
    Buffer(Roles),
    /// Forward it while it is read. Of a response only what may have to be edited is buffered; of a
    /// request only its end, without which the broker does nothing.
    Stream(Roles),
}

/// What the tables say of a response: looked up once for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseForm {
    pub(crate) api: ApiKey,
    pub(crate) version: ApiVersion,
    pub(crate) edition: &'static Edition,
}

impl ResponseForm {
    /// Of an API and version that the tables have.
    pub(crate) fn of(api: ApiKey, version: ApiVersion) -> Option<Self> {
        let edition = schema::api(api.0)?.response.edition(version.0)?;
        Some(Self {
            api,
            version,
            edition,
        })
    }

    /// Whether the body has compact lengths and tagged fields.
    pub(crate) fn is_flexible(&self) -> bool {
        self.edition.flexible.contains(self.version.0)
    }

    /// Whether the header has tagged fields.
    pub(crate) fn header_is_flexible(&self) -> bool {
        // A client that does not know the broker yet must be able to read it (KIP-511).
        self.api != API_VERSIONS && self.is_flexible()
    }

    /// Where it says for how long its broker throttles the client.
    pub(crate) fn throttle_place(&self) -> ThrottlePlace {
        self.edition.throttle_place(self.version.0)
    }
}

/// A longer request is not buffered for a field that only sets a deadline, and a longer streamed
/// response is not buffered for the addresses at its end.
pub(crate) const FOLLOW_BYTES_MIN: usize = 64 * 1024;

/// What decides whether a request may go on, and whether it gets a response.
const DECIDES: Roles = Roles::of(&[Role::Acks, Role::ReplicaId, Role::KeyType]);
/// For how long a request lets the broker wait.
const WAITS: Roles = Roles::of(&[Role::WaitMs]);

/// What must be read of a request before it may go on, if no rule looks at its topics.
pub(crate) fn request_forward_mode(
    row: &Row,
    version: ApiVersion,
    frame_len: usize,
) -> ForwardMode {
    const READ: Roles = DECIDES.union(WAITS);
    // The broker waits for the log of transactions, and only transactional producers have one.
    const READ_OF_PRODUCER: Roles = READ.union(Roles::of(&[Role::TransactionalId]));
    let Some(edition) = row.entry.request.edition(version.0) else {
        return ForwardMode::Pass;
    };
    let decides = edition.body.roles.intersects(DECIDES);
    let says_wait = edition.body.roles.intersects(READ) && frame_len <= FOLLOW_BYTES_MIN;
    // From Fetch 15 on a follower names itself in `ReplicaState`, a tagged field behind all topics
    // (KIP-903). To buffer a whole long request for it would cost memory for as long as its
    // client likes; a broker that never gets the end of the frame never serves it.
    let decides_last = row.entry.key == FETCH.0 && version >= ApiVersion(15);
    if decides && decides_last && frame_len > FOLLOW_BYTES_MIN {
        ForwardMode::Stream(READ)
    } else if says_wait && row.entry.key == INIT_PRODUCER_ID.0 {
        ForwardMode::Buffer(READ_OF_PRODUCER)
    } else if decides || says_wait {
        ForwardMode::Buffer(READ)
    } else {
        ForwardMode::Pass
    }
}

/// Whether a request of this length says for how long it lets the broker wait, and is forwarded
/// without this field being read.
pub(crate) fn request_wait_is_unread(api: ApiKey, version: ApiVersion, frame_len: usize) -> bool {
    let edition = schema::api(api.0).and_then(|entry| entry.request.edition(version.0));
    frame_len > FOLLOW_BYTES_MIN
        && edition
            .is_some_and(|it| it.body.roles.intersects(WAITS) && !it.body.roles.intersects(DECIDES))
}

/// What must be read of a response, because it may contain an address or ranges of versions, or
/// says in an unknown place for how long the client is throttled.
///
/// No more than `request_buffer_bytes_max` may be buffered.
pub(crate) fn response_forward_mode(
    form: &ResponseForm,
    frame_len: usize,
    request_buffer_bytes_max: usize,
    throttle: ThrottlePlace,
) -> ForwardMode {
    const THROTTLE: Roles = Roles::of(&[Role::ThrottleTime]);
    let mode = address_forward_mode(form, frame_len, request_buffer_bytes_max);
    match (throttle, mode) {
        (ThrottlePlace::Nowhere | ThrottlePlace::At(_), mode) => mode,
        (ThrottlePlace::BehindOthers, ForwardMode::Pass) => ForwardMode::Buffer(THROTTLE),
        (ThrottlePlace::BehindOthers, ForwardMode::Buffer(interest)) => {
            ForwardMode::Buffer(interest.union(THROTTLE))
        }
        (ThrottlePlace::BehindOthers, ForwardMode::Stream(interest)) => {
            ForwardMode::Stream(interest.union(THROTTLE))
        }
    }
}

fn address_forward_mode(
    form: &ResponseForm,
    frame_len: usize,
    request_buffer_bytes_max: usize,
) -> ForwardMode {
    const ADDRESSES: Roles = Roles::of(&[
        Role::Endpoints,
        Role::EndpointId,
        Role::ControllerId,
        Role::Host,
        Role::Port,
        Role::Listeners,
        Role::ErrorMessage,
    ]);
    const COORDINATOR: Roles = Roles::of(&[Role::ErrorCode]);
    const CONFIGS: Roles = Roles::of(&[
        Role::ConfigResults,
        Role::ResourceType,
        Role::ConfigEntries,
        Role::ConfigName,
        Role::ConfigValue,
        Role::IsSensitive,
        Role::ConfigSynonyms,
    ]);
    const VERSIONS: Roles = Roles::of(&[
        Role::ApiKeys,
        Role::ApiKey,
        Role::MinVersion,
        Role::MaxVersion,
    ]);
    const FETCHED: Roles = Roles::of(&[Role::Topics]);
    match form.api {
        API_VERSIONS => ForwardMode::Buffer(VERSIONS),
        FIND_COORDINATOR => ForwardMode::Buffer(ADDRESSES.union(COORDINATOR)),
        // Each value can be edited in its place, and of most resources none has to be.
        DESCRIBE_CONFIGS if frame_len > request_buffer_bytes_max => {
            ForwardMode::Stream(ADDRESSES.union(CONFIGS))
        }
        DESCRIBE_CONFIGS => ForwardMode::Buffer(ADDRESSES.union(CONFIGS)),
        _ if !form.edition.body.roles.intersects(ADDRESSES) => ForwardMode::Pass,
        FETCH if form.version < ApiVersion(16) => ForwardMode::Pass,
        FETCH | SHARE_FETCH if frame_len > FOLLOW_BYTES_MIN => {
            ForwardMode::Stream(ADDRESSES.union(FETCHED))
        }
        _ => ForwardMode::Buffer(ADDRESSES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_of_the_tables_has_an_offering() {
        for entry in schema::APIS {
            let api = ApiKey(entry.key);
            assert!(entry.listeners.broker, "{}", entry.name);
            assert!(listed(api).is_some(), "{} has no row", entry.name);
        }
    }

    #[test]
    fn an_unlisted_api_is_not_offered() {
        // Of controllers, of Kafka from 4.5 on, or of nobody.
        for key in [-1, 52, 58, 62, 67, 70, 73, 82, 95, 96, i16::MAX] {
            assert_eq!(listed(ApiKey(key)), None, "{key}");
            assert_eq!(offering(ApiKey(key)), None, "{key}");
        }
    }
}
