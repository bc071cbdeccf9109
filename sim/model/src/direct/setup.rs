//! From the setting of a script to a world.

use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::api::Offered;
use doorkeeper_core::discovery::{Config, Discovery};
use doorkeeper_core::id::{ApiKey, BrokerId, HostPort, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::mark::Mark;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{Advertised, DialMap, Topology};
use doorkeeper_core::{Instant, Shared};

use super::brokers::{BOOTSTRAP, Brokers, address};
use super::clients::Client;
use super::discovery::Asking;
use super::net::Net;
use super::{Options, World};
use crate::cluster::Cluster;
use crate::config::{self, ClusterConfig};
use crate::rng::Rng;
use crate::script::{self, Numbered, Script, Setting, Small, Topic};
use crate::watch::Watch;

/// Where clients find brokers: port 19093 and up of this host.
pub(crate) const DOOR: (&str, u16) = ("door.example", 19093);

impl World {
    pub(super) fn new(script: &Script, options: Options) -> Self {
        let setting = &script.setting;
        let now = Instant::from_nanos(1_000_000_000);
        let brokers = setting.brokers.clamp(1, 5);
        let shared = Arc::new(shared(setting));
        let machine = Discovery::new(now, discovery(&shared), Seed([0; 32]));
        Self {
            now,
            #[cfg(doorkeeper_canary)]
            options,
            step: 0,
            net: Net::new(setting),
            rng: Rng::stream(setting.seed, 1),
            clients: (0..Numbered::MAX)
                .map(|n| Client::new(Numbered(n)))
                .collect(),
            guests: Vec::new(),
            open: Vec::new(),
            asking: Asking::new(machine),
            brokers: Brokers::new(cluster(setting.seed, brokers), brokers),
            watch: Watch::new(&shared, options.transcript, options.whole_trace),
            shared,
            drain: None,
            marks: vec![0; Mark::ALL.len()],
        }
    }
}

fn cluster(seed: u64, brokers: u8) -> Cluster {
    let all = (0..brokers).filter_map(|id| Some((BrokerId(id.into()), address(id, 0)?)));
    let mut cluster = Cluster::new(ClusterConfig {
        brokers: all.collect(),
        seed,
        limits: config::Limits {
            default_partitions: 2,
            default_replication_factor: 2,
            ..config::Limits::default()
        },
    });
    for topic in [Topic::Orders, Topic::Audit, Topic::Secret] {
        cluster.auto_create(topic.name());
    }
    cluster
}

fn shared(setting: &Setting) -> Shared {
    let named = |name: &&str| HostPort::new(name, 9092).ok();
    let bootstrap: Vec<HostPort> = BOOTSTRAP.iter().filter_map(named).collect();
    let (host, base) = DOOR;
    Shared {
        epoch: 1,
        limits: limits(setting.small),
        policy: policy(&setting.policy),
        offered: Offered::default(),
        known_hosts: KnownHosts::new(&bootstrap, &DialMap::default(), &Topology::default()),
        bootstrap,
        dial: DialMap::default(),
        advertised: Advertised::Ports {
            host: host.into(),
            base,
            ids: vec![0..=i32::from(setting.advertised) - 1],
        },
        topology: Arc::default(),
    }
}

fn discovery(shared: &Shared) -> Config {
    Config {
        bootstrap: shared.bootstrap.clone(),
        dial: shared.dial.clone(),
        refresh_interval: Duration::from_secs(60),
        refresh_interval_min: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(3),
        answer_timeout: Duration::from_secs(5),
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_secs(2),
        frame_bytes_max: 1 << 20,
    }
}

/// What sessions may cost.
pub(super) fn limits(small: Small) -> Limits {
    let plain = Limits::default();
    let or = |value: Option<u32>, plain: usize| value.map_or(plain, |value| value as usize);
    Limits {
        hold_bytes_max: or(small.hold, plain.hold_bytes_max),
        hold_answer_bytes_max: or(small.hold, plain.hold_answer_bytes_max),
        egress_high_bytes: or(small.egress, plain.egress_high_bytes).max(1),
        in_flight_max: small
            .in_flight
            .map_or(plain.in_flight_max, usize::from)
            .max(1),
        frame_bytes_max: or(small.frame, 1 << 24),
        ..plain
    }
}

/// What is refused to everybody.
pub(super) fn policy(refused: &script::Policy) -> Policy {
    let anonymous = Principal::anonymous();
    let topics = refused.topics.iter();
    let policy = topics.fold(Policy::allow_all(), |policy, topic| {
        policy.refuse_topic(&anonymous, topic.name())
    });
    let apis = refused.apis.iter();
    apis.fold(policy, |policy, key| {
        policy.refuse_api(ApiKey(i16::from(*key)))
    })
}
