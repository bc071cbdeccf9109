//! What the setting of a script means on every backend: the cluster and its names, and how
//! doorkeeper is configured.

use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::Snapshot;
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::discovery::Config;
use doorkeeper_core::id::{ApiKey, BrokerId, HostPort, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, DialRule, Topology};

use crate::script::{self, Setting, SmallLimits, Topic};
use doorkeeper_kafka_model::Rng;
use doorkeeper_kafka_model::{Cluster, ClusterConfig, HOST_IN_CONFIGS};

/// Names that lead to any broker, as a configuration has them: the first to the first broker that
/// can be reached, the second to the last.
pub const BOOTSTRAP: [&str; 2] = ["bootstrap.canary", "spare.canary"];

/// The port of every upstream name.
pub const UPSTREAM_PORT: u16 = 9092;

/// Where clients find brokers: broker 0 at this port of this host, the next one at the next.
pub const DOORKEEPER: (&str, u16) = ("door.example", 19093);

/// A host of the cluster, which texts of brokers have as a word of their own. Nobody dials it.
pub const WORD: &str = HOST_IN_CONFIGS;

/// Sessions' seeds are apart from all other streams.
const SESSIONS: u64 = 1 << 32;

/// How many brokers a script has.
#[must_use]
pub fn brokers(setting: &Setting) -> u8 {
    setting.brokers.clamp(1, 5)
}

/// The address of a broker after so many moves.
#[must_use]
pub fn address(id: u8, moves: u32) -> Option<HostPort> {
    HostPort::new(&format!("broker-{id}-{moves}.canary"), UPSTREAM_PORT).ok()
}

/// The cluster before anybody has asked it anything: [`Topic::Missing`] alone is not there.
#[must_use]
pub fn cluster(setting: &Setting) -> Cluster {
    let mut cluster = Cluster::new(cluster_config(setting));
    create_topics(&mut cluster);
    cluster
}

/// What the cluster is made of.
#[must_use]
pub fn cluster_config(setting: &Setting) -> ClusterConfig {
    let all = 0..brokers(setting);
    let all = all.filter_map(|id| Some((BrokerId(id.into()), address(id, 0)?)));
    ClusterConfig {
        brokers: all.collect(),
        seed: setting.seed,
        limits: doorkeeper_kafka_model::Limits {
            default_partitions: 2,
            default_replication_factor: 2,
            ..doorkeeper_kafka_model::Limits::default()
        },
    }
}

/// The topics that are there from the beginning.
pub fn create_topics(cluster: &mut Cluster) {
    for topic in [Topic::Orders, Topic::Audit, Topic::Secret] {
        cluster.auto_create(topic.name());
    }
}

/// What sessions go by at first.
#[must_use]
pub fn snapshot(setting: &Setting) -> Snapshot {
    let named = |name: &&str| HostPort::new(name, UPSTREAM_PORT).ok();
    let bootstrap: Vec<HostPort> = BOOTSTRAP.iter().filter_map(named).collect();
    let (host, base) = DOORKEEPER;
    let dial = DialMap::new(vec![DialRule {
        host: "nobody.invalid".into(),
        port: None,
        to_host: WORD.into(),
        to_port: None,
    }]);
    Snapshot {
        epoch: 1,
        limits: limits(setting.small),
        policy: policy(&setting.policy),
        login: None,
        upstream_login: false,
        offered: OfferedApis::default(),
        known_hosts: KnownHosts::new(&bootstrap, &dial, &Topology::default()),
        bootstrap,
        dial,
        advertised: AdvertisedAddresses::Ports {
            host: host.into(),
            base,
            ids: vec![0..=i32::from(setting.advertised) - 1],
        },
        topology: Arc::default(),
    }
}

/// What discovery goes by.
#[must_use]
pub fn discovery(snapshot: &Snapshot) -> Config {
    Config {
        bootstrap: snapshot.bootstrap.clone(),
        dial: snapshot.dial.clone(),
        refresh_interval: Duration::from_secs(60),
        refresh_interval_min: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(3),
        request_timeout: Duration::from_secs(5),
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_secs(2),
        frame_bytes_max: 1 << 20,
        learns_versions: false,
        logs_in: false,
    }
}

/// The seed of a session, by its number: which of the bootstrap names it begins with must not
/// depend on what else was drawn before.
#[must_use]
pub fn session_seed(seed: u64, session: usize) -> Seed {
    let mut rng = Rng::stream(seed, SESSIONS + session as u64);
    Seed([rng.next_u64().to_le_bytes()[0]; 32])
}

/// What sessions may cost.
#[must_use]
pub fn limits(small: SmallLimits) -> Limits {
    let plain = Limits::default();
    let or = |value: Option<u32>, plain: usize| value.map_or(plain, |value| value as usize);
    let longest = small
        .wait
        .map_or(Duration::MAX, |ms| Duration::from_millis(ms.into()));
    Limits {
        request_buffer_bytes_max: or(small.buffer, plain.request_buffer_bytes_max),
        response_buffer_bytes_max: or(small.buffer, plain.response_buffer_bytes_max),
        egress_high_bytes: or(small.egress, plain.egress_high_bytes).max(1),
        in_flight_max: small
            .in_flight
            .map_or(plain.in_flight_max, usize::from)
            .max(1),
        frame_bytes_max: or(small.frame, 1 << 24),
        frame_stall_timeout: plain.frame_stall_timeout.min(longest),
        buffer_timeout: plain.buffer_timeout.min(longest),
        idle_timeout: plain.idle_timeout.min(longest),
        connect_timeout: plain.connect_timeout.min(longest),
        request_timeout: plain.request_timeout.min(longest),
        write_stall_timeout: plain.write_stall_timeout.min(longest),
        flush_timeout: plain.flush_timeout.min(longest),
        ..plain
    }
}

/// What is denied to everybody.
#[must_use]
pub fn policy(denied: &script::Policy) -> Policy {
    let anonymous = Principal::anonymous();
    let topics = denied.topics.iter();
    let policy = topics.fold(Policy::allow_all(), |policy, topic| {
        policy.deny_topic(&anonymous, topic.name())
    });
    let apis = denied.apis.iter();
    apis.fold(policy, |policy, key| {
        policy.deny_api(ApiKey(i16::from(*key)))
    })
}
