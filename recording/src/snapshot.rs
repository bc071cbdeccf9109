//! A snapshot as text: all of core's `Snapshot`, in which there are no secrets.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::Snapshot;
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::id::{ApiKey, BrokerId, HostPort};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, DialRule, Topology};
use serde::{Deserialize, Serialize};

use crate::login::{RecordedLogin, RecordedVersions};

/// As [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedSnapshot {
    epoch: u64,
    #[serde(with = "LimitsText")]
    limits: Limits,
    #[serde(default, skip_serializing_if = "DeniedTopics::is_empty")]
    denied_topics: DeniedTopics,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<RecordedLogin>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    upstream_login: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    offered_besides: Vec<i16>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    alters_brokers: bool,
    bootstrap: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dial: Vec<Rule>,
    advertised: RecordedAddresses,
    topology: RecordedTopology,
}

/// A snapshot that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address: {1}")]
pub struct InvalidAddress(String, String);

impl From<&Snapshot> for RecordedSnapshot {
    fn from(snapshot: &Snapshot) -> Self {
        // Named one by one, so that a new field of a snapshot does not compile without a line here.
        let Snapshot {
            epoch,
            limits,
            policy,
            login,
            upstream_login,
            offered,
            bootstrap,
            dial,
            advertised,
            topology,
            // Follows from the others.
            known_hosts: _,
        } = snapshot;
        Self {
            epoch: *epoch,
            limits: limits.clone(),
            denied_topics: DeniedTopics::of(policy),
            login: login.as_deref().map(RecordedLogin::of),
            upstream_login: *upstream_login,
            offered_besides: offered.besides().map(|api| api.0).collect(),
            alters_brokers: offered.alters_brokers(),
            bootstrap: bootstrap.iter().map(ToString::to_string).collect(),
            dial: dial.rules().iter().cloned().map(Rule).collect(),
            advertised: RecordedAddresses::of(advertised),
            topology: RecordedTopology {
                cluster_id: topology.cluster_id().map(str::to_owned),
                brokers: texts(topology.brokers()),
                avoided: topology.avoided().map(ToString::to_string).collect(),
                versions: RecordedVersions::of(topology),
            },
        }
    }
}

impl RecordedSnapshot {
    /// The number of the snapshot.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The snapshot for a session.
    ///
    /// # Errors
    /// Something in it is no address.
    pub fn snapshot(&self) -> Result<Snapshot, InvalidAddress> {
        let bootstrap: Vec<HostPort> = self
            .bootstrap
            .iter()
            .map(|it| address(it))
            .collect::<Result<_, _>>()?;
        let dial = DialMap::new(self.dial.iter().map(|Rule(rule)| rule.clone()).collect());
        let brokers: Vec<(BrokerId, HostPort)> =
            addresses(&self.topology.brokers)?.into_iter().collect();
        let topology = Topology::default();
        let topology = topology
            .merged(&brokers, self.topology.cluster_id.as_deref())
            .unwrap_or(topology);
        let avoided = self.topology.avoided.iter().map(|it| address(it));
        let avoiding = topology.avoiding(avoided.collect::<Result<_, _>>()?);
        let topology = avoiding.unwrap_or(topology);
        let versions = self.topology.versions.by_address();
        let topology = versions.fold(topology, |topology, (address, versions)| {
            let next = topology.with_versions(&address, Some(&versions));
            next.unwrap_or(topology)
        });
        Ok(Snapshot {
            epoch: self.epoch,
            limits: self.limits.clone(),
            policy: self.denied_topics.policy(),
            login: self.login.as_ref().map(|it| Arc::new(it.settings())),
            upstream_login: self.upstream_login,
            offered: OfferedApis::with(self.offered_besides.iter().copied().map(ApiKey))
                .altering_brokers(self.alters_brokers),
            known_hosts: KnownHosts::new(&bootstrap, &dial, &topology),
            bootstrap,
            dial,
            advertised: self.advertised.advertised()?,
            topology: Arc::new(topology),
        })
    }
}

fn address(text: &str) -> Result<HostPort, InvalidAddress> {
    text.parse()
        .map_err(|why| InvalidAddress(text.to_owned(), format!("{why}")))
}

fn addresses(
    texts: &BTreeMap<i32, String>,
) -> Result<BTreeMap<BrokerId, HostPort>, InvalidAddress> {
    let entries = texts.iter();
    entries
        .map(|(id, at)| Ok((BrokerId(*id), address(at)?)))
        .collect()
}

fn texts<'a>(of: impl Iterator<Item = (BrokerId, &'a HostPort)>) -> BTreeMap<i32, String> {
    of.map(|(id, at)| (id.0, at.to_string())).collect()
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeniedTopics {
    /// Principal and topic.
    topics: Vec<(String, String)>,
    apis: Vec<i16>,
}

impl DeniedTopics {
    fn of(policy: &Policy) -> Self {
        let topics = policy.denied_topics();
        Self {
            topics: topics
                .map(|(who, name)| (who.as_str().to_owned(), name.to_owned()))
                .collect(),
            apis: policy.denied_apis().map(|api| api.0).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn policy(&self) -> Policy {
        let topics = self.topics.iter();
        let policy = topics.fold(Policy::allow_all(), |policy, (who, name)| {
            policy.deny_topic(&Principal::new(who), name)
        });
        let apis = self.apis.iter().copied().map(ApiKey);
        apis.fold(policy, Policy::deny_api)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RecordedAddresses {
    Ports {
        host: String,
        base: u16,
        ids: Vec<(i32, i32)>,
    },
    Explicit(BTreeMap<i32, String>),
}

impl RecordedAddresses {
    fn of(advertised: &AdvertisedAddresses) -> Self {
        match advertised {
            AdvertisedAddresses::Ports { host, base, ids } => Self::Ports {
                host: host.to_string(),
                base: *base,
                ids: ids.iter().map(|it| (*it.start(), *it.end())).collect(),
            },
            AdvertisedAddresses::Explicit(at) => {
                Self::Explicit(texts(at.iter().map(|(id, at)| (*id, at))))
            }
        }
    }

    fn advertised(&self) -> Result<AdvertisedAddresses, InvalidAddress> {
        Ok(match self {
            Self::Ports { host, base, ids } => AdvertisedAddresses::Ports {
                host: host.as_str().into(),
                base: *base,
                ids: ids
                    .iter()
                    .map(|(first, last)| RangeInclusive::new(*first, *last))
                    .collect(),
            },
            Self::Explicit(at) => AdvertisedAddresses::Explicit(addresses(at)?),
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedTopology {
    cluster_id: Option<String>,
    brokers: BTreeMap<i32, String>,
    /// Tried last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    avoided: Vec<String>,
    #[serde(default, skip_serializing_if = "RecordedVersions::is_empty")]
    versions: RecordedVersions,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rule(#[serde(with = "RuleText")] DialRule);

#[derive(Serialize, Deserialize)]
#[serde(remote = "DialRule", deny_unknown_fields)]
struct RuleText {
    host: Box<str>,
    port: Option<u16>,
    to_host: Box<str>,
    to_port: Option<u16>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits", deny_unknown_fields)]
struct LimitsText {
    frame_bytes_max: usize,
    response_bytes_max: usize,
    request_buffer_bytes_max: usize,
    response_buffer_bytes_max: usize,
    egress_high_bytes: usize,
    in_flight_max: usize,
    frame_stall_timeout: Duration,
    buffer_timeout: Duration,
    idle_timeout: Duration,
    connect_timeout: Duration,
    connect_backoff_min: Duration,
    connect_backoff_max: Duration,
    request_timeout: Duration,
    write_stall_timeout: Duration,
    flush_timeout: Duration,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use doorkeeper_core::broker_versions::BrokerVersions;
    use doorkeeper_core::id::ApiVersion;
    use doorkeeper_core::sasl::Mechanism;
    use doorkeeper_core::sasl::login::LoginSettings;
    use doorkeeper_core::wire::schema::Versions;

    use super::*;

    fn snapshot(advertised: AdvertisedAddresses) -> Snapshot {
        let bootstrap = vec![
            "boot.test:9092".parse().unwrap(),
            "[::1]:1".parse().unwrap(),
        ];
        let rule = |host: &str, port, to_host: &str, to_port| DialRule {
            host: host.into(),
            port,
            to_host: to_host.into(),
            to_port,
        };
        let dial = DialMap::new(vec![
            rule("*.test", None, "10.0.0.1", None),
            rule("b1.test", Some(1), "10.0.0.2", Some(2)),
        ]);
        let seen = [(BrokerId(3), "b3.test:9092".parse().unwrap())];
        let topology = Topology::default().merged(&seen, Some("main")).unwrap();
        let avoided = ["b3.test:9092".parse().unwrap()].into();
        let topology = topology.avoiding(avoided).unwrap();
        let versions = BrokerVersions::new(
            [(ApiKey(3), Versions::new(0, 13))],
            [(ApiVersion(0), Bytes::from_static(b"\0\0body"))],
        );
        let address = "b3.test:9092".parse().unwrap();
        let topology = topology.with_versions(&address, Some(&Arc::new(versions)));
        let topology = topology.unwrap();
        let login = LoginSettings {
            mechanisms: vec![Mechanism::ScramSha512, Mechanism::Plain],
            frame_bytes_max: 1,
            frames_max: 2,
            login_timeout: Duration::from_secs(3),
            failure_delay: Duration::from_millis(4),
            session_lifetime_max: Some(Duration::from_secs(5)),
        };
        Snapshot {
            epoch: 7,
            limits: Limits {
                in_flight_max: 11,
                idle_timeout: Duration::from_nanos(12_345_678_901),
                ..Limits::default()
            },
            policy: Policy::allow_all()
                .deny_topic(&Principal::new("User:a"), "t")
                .deny_api(ApiKey(20)),
            login: Some(Arc::new(login)),
            upstream_login: true,
            offered: OfferedApis::with([ApiKey(29), ApiKey(48)]).altering_brokers(true),
            known_hosts: KnownHosts::new(&bootstrap, &dial, &topology),
            bootstrap,
            dial,
            advertised,
            topology: Arc::new(topology),
        }
    }

    #[test]
    fn all_of_it_comes_back() {
        let explicit = [(BrokerId(3), "gate.test:3".parse().unwrap())];
        for advertised in [
            AdvertisedAddresses::Ports {
                host: "gate.test".into(),
                base: 19092,
                ids: vec![0..=5, 9..=9],
            },
            AdvertisedAddresses::Explicit(explicit.into_iter().collect()),
        ] {
            let snapshot = snapshot(advertised);
            let text = serde_json::to_string(&RecordedSnapshot::from(&snapshot)).unwrap();
            let read: RecordedSnapshot = serde_json::from_str(&text).unwrap();
            let back = read.snapshot().unwrap();
            assert_eq!(format!("{back:?}"), format!("{snapshot:?}"));
        }
    }

    #[test]
    fn an_invalid_address_is_an_error() {
        let mut snapshot =
            RecordedSnapshot::from(&snapshot(AdvertisedAddresses::Explicit(BTreeMap::new())));
        snapshot.bootstrap = vec!["nowhere".to_owned()];
        let text = snapshot.snapshot().unwrap_err().to_string();
        assert_eq!(text, "\"nowhere\" is no address: expected host:port");
    }
}
