//! The shape of the configuration file: its doc comments are the reference that users read.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::ClusterIdentity;
use super::insecure::Insecure;
use super::leaf::{Address, BindAddress, BindHost, BrokerIds, Network, RouteTarget, Size, Time};
use super::sasl::ListenerSasl;
use super::tls::{ClusterTls, ListenerTls};
use crate::connection_rate::ConnectionRates;

/// The configuration of one doorkeeper process.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The Kafka clusters behind doorkeeper, by a name of your choice. One process serves many.
    pub clusters: BTreeMap<String, Cluster>,
    /// Where clients come in, by a name of your choice. The name appears in logs and metrics.
    pub listeners: BTreeMap<String, Listener>,
    /// Health, readiness and metrics over HTTP. Off unless it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// What is logged, and how. Logs go to standard error.
    #[serde(default)]
    pub log: Log,
    /// On SIGTERM or SIGINT: how long the responses that are still owed may take. Connections that
    /// are open after that are cut. A second signal cuts them at once. Connections of a listener
    /// that a reload removes have as long.
    #[serde(default = "defaults::drain_timeout")]
    #[schemars(extend("x-min" = "0s", "x-max" = "1h"))]
    pub drain_timeout: Time,
    /// How many bytes of requests all connections together may buffer until they are authorized,
    /// and as many again of responses until they are edited. Connections of one client address (as
    /// of `connections_per_address`) get no more than half of either, one of them at a time
    /// excepted: they never wait for each other alone. Where there is no room, a connection that
    /// has to buffer more than 64 KiB is not read until there is, at most `limits.buffer_timeout`;
    /// but an address that has less than its fair share goes on, and the one that has most loses a
    /// connection for it.
    #[serde(default = "defaults::buffered_bytes_max")]
    #[schemars(extend("x-min" = "1MiB", "x-max" = "1TiB"))]
    pub buffered_bytes_max: Size,
    /// When this file, and the files that it names, are read again without a restart.
    #[serde(default)]
    pub reload: Reload,
    /// Whether it is an error, and not only a warning, that every user of this machine may read a
    /// file with a key or a password.
    #[serde(default)]
    pub strict: bool,
}

/// When the files are read again. A reload takes all of what they say or nothing: where anything is
/// wrong, what was served before still is, and the log has one line with all problems. Connections
/// go on, but for those of a client whose certificate does not hold any more, of a broker whose
/// certificate does not, and of a listener or an address that was removed. `admin`, `log.format`
/// and `buffered_bytes_max` need a restart; so does a `bind` that overlaps with one that is still
/// served, like `0.0.0.0` after `127.0.0.1` with the same port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// How often it is looked whether a file has changed. A file is another one when it has been
    /// written to, or when another one is in its place, as in a mounted secret of Kubernetes. With
    /// `0s` only SIGHUP makes doorkeeper read them again.
    #[schemars(extend("x-min" = "0s", "x-max" = "1day"))]
    pub poll_interval: Time,
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            poll_interval: Time(Duration::from_secs(10)),
        }
    }
}

/// One Kafka cluster.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Where the cluster can be found, as in Kafka's `bootstrap.servers`. Tried in turn.
    #[schemars(length(min = 1))]
    pub bootstrap: Vec<Address>,
    /// Where to connect instead of what a name says: a host, or a host and a port, on both sides.
    /// The left side may hold one `*`. The most specific rule wins.
    #[serde(default)]
    pub dial: BTreeMap<String, String>,
    /// `v2`: each connection to a broker begins with a PROXY header of version 2, before TLS, for
    /// the load balancer or broker there that expects one. It names the client and the address
    /// that it connected to, has a checksum, and is LOCAL where there is no client: for
    /// discovery's own connections, and for clients whose own proxy does not name them. A broker
    /// that does not expect it closes the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<SentProxyProtocol>,
    /// TLS towards the brokers. Without it, they are spoken to in plaintext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClusterTls>,
    /// As whom doorkeeper logs in at the brokers. Without it, it does not log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ClusterIdentity>,
    /// How often the brokers are asked where they are, when nothing hints at a change.
    #[serde(default = "defaults::refresh_every")]
    #[schemars(extend("x-min" = "1s", "x-max" = "1h"))]
    pub refresh_every: Time,
    /// How long the brokers may take.
    #[serde(default)]
    pub limits: ClusterLimits,
}

/// How long the brokers of a cluster may take.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterLimits {
    /// Until a connection to a broker is open, all attempts included; and then until the broker
    /// has responded to its first request, on top of what that allows. The client waits for its
    /// first response meanwhile: keep this below its `request.timeout.ms` (30 s in Kafka's own).
    #[schemars(extend("x-min" = "100ms", "x-max" = "5m"))]
    pub connect_timeout: Time,
    /// The pause after the first failed attempt; it doubles with each further one.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1m"))]
    pub connect_backoff_min: Time,
    /// The longest pause between two attempts.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1m"))]
    pub connect_backoff_max: Time,
    /// How long a broker may take for a response, on top of the wait that the request itself allows
    /// (`MaxWaitMs` of a fetch, `TimeoutMs` of a produce, the timeouts of a group's rebalance and
    /// of a transaction), and on top of the time for which the broker has said that it throttles
    /// (`ThrottleTimeMs`).
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub request_timeout: Time,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        let core = doorkeeper_core::limits::Limits::default();
        Self {
            connect_timeout: Time(core.connect_timeout),
            connect_backoff_min: Time(core.connect_backoff_min),
            connect_backoff_max: Time(core.connect_backoff_max),
            request_timeout: Time(core.request_timeout),
        }
    }
}

/// One set of addresses where clients come in, for one cluster.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The cluster that clients of this listener reach.
    pub cluster: String,
    /// The address of this machine to listen on, for `route.ports`.
    #[serde(default = "defaults::bind")]
    pub bind: BindHost,
    /// The host name that clients connect to, for `route.ports`. Without it, the address of
    /// `bind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised_host: Option<String>,
    /// How clients reach each broker: exactly one of the ways.
    pub route: Route,
    /// The load balancers in front of this listener that say who the client is (PROXY protocol,
    /// version 1 or 2). Without it no header is taken, and a client that sends one is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ListenerProxyProtocol>,
    /// TLS towards clients. Without it, clients speak plaintext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// How clients log in. Without it, nobody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<ListenerSasl>,
    /// `allow`: let anyone in who can reach the port. A listener that is not on a loopback
    /// address and asks nobody for credentials (`sasl`, `tls.client_auth: required`) must say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<Insecure>,
    /// APIs that clients may use although they act on doorkeeper's own principal at the cluster,
    /// on the security of the cluster, or on the cluster itself. A request of one that is not
    /// listed gets Kafka's own error, and no broker sees it. `AlterBrokerConfigs`
    /// stands for AlterConfigs and IncrementalAlterConfigs of brokers, of their log levels, and of
    /// any type of resource that doorkeeper does not know; of topics, groups and client metrics
    /// both are always allowed.
    #[serde(default)]
    pub allow_apis: Vec<GuardedApi>,
    /// What clients may cost.
    #[serde(default)]
    pub limits: ListenerLimits,
}

/// How clients reach each broker.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Route {
    /// One port for each broker, next to each other: the port follows from the broker id alone,
    /// so that every replica of doorkeeper has the same.
    Ports(Ports),
    /// Each broker's address written out: for addresses that follow no rule, or that are
    /// translated on the way.
    Explicit(Vec<Explicit>),
}

/// One port for each broker.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The port for clients that do not know the brokers yet (their `bootstrap.servers`).
    #[schemars(range(min = 1))]
    pub bootstrap: u16,
    /// The port of broker 0. Broker n is at this port plus n.
    #[schemars(range(min = 1))]
    pub brokers: u16,
    /// The broker ids that get a port: all that the cluster has or may get.
    pub broker_ids: BrokerIds,
}

/// The address of one broker.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explicit {
    /// The broker that this address leads to. `bootstrap` makes it the address for clients that
    /// do not know the brokers yet; without one, they may use any broker's.
    pub broker_id: RouteTarget,
    /// The address and port of this machine to listen on.
    pub bind: BindAddress,
    /// The address that clients connect to. Without it, that of `bind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised: Option<Address>,
}

/// The load balancers in front of a listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerProxyProtocol {
    /// Whose headers are believed: addresses and networks. Each of their connections must begin
    /// with a header, before TLS. The address in it is the client's for all limits, the log,
    /// recordings and brokers. A health check (LOCAL, UNKNOWN) is served without one: it counts
    /// for the load balancer's own address.
    #[schemars(length(min = 1))]
    pub trusted: Vec<Network>,
    /// `allow`: let others connect as well, without a header. Otherwise the connection of anybody
    /// else is closed when it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_clients: Option<DirectClients>,
    /// How long a header may take, from the moment the connection is accepted. Some load balancers
    /// send it with the first bytes of the client.
    #[serde(default = "defaults::proxy_timeout")]
    #[schemars(extend("x-min" = "100ms", "x-max" = "5m"))]
    pub timeout: Time,
}

/// That a listener behind load balancers lets others in as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirectClients {
    /// It does.
    Allow,
}

/// The PROXY header that brokers get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SentProxyProtocol {
    /// Version 2.
    V2,
}

/// An API that acts on the principal that doorkeeper has at the cluster, on the security of the
/// cluster, or on the cluster itself (it needs ALTER on it). The names are Kafka's, but for
/// `AlterBrokerConfigs`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[expect(missing_docs, reason = "the names are Kafka's own")]
pub enum GuardedApi {
    DescribeAcls,
    CreateAcls,
    DeleteAcls,
    CreateDelegationToken,
    RenewDelegationToken,
    ExpireDelegationToken,
    DescribeDelegationToken,
    DescribeClientQuotas,
    AlterClientQuotas,
    DescribeUserScramCredentials,
    AlterUserScramCredentials,
    WriteTxnMarkers,
    AlterReplicaLogDirs,
    ElectLeaders,
    AlterPartitionReassignments,
    UpdateFeatures,
    UnregisterBroker,
    UnregisterController,
    AddRaftVoter,
    RemoveRaftVoter,
    AlterBrokerConfigs,
}

impl GuardedApi {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::DescribeAcls,
        Self::CreateAcls,
        Self::DeleteAcls,
        Self::CreateDelegationToken,
        Self::RenewDelegationToken,
        Self::ExpireDelegationToken,
        Self::DescribeDelegationToken,
        Self::DescribeClientQuotas,
        Self::AlterClientQuotas,
        Self::DescribeUserScramCredentials,
        Self::AlterUserScramCredentials,
        Self::WriteTxnMarkers,
        Self::AlterReplicaLogDirs,
        Self::ElectLeaders,
        Self::AlterPartitionReassignments,
        Self::UpdateFeatures,
        Self::UnregisterBroker,
        Self::UnregisterController,
        Self::AddRaftVoter,
        Self::RemoveRaftVoter,
        Self::AlterBrokerConfigs,
    ];
}

/// The default of `handshake_timeout`: ten round trips of a slow line, and a retry of TCP.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the clients of a listener may cost, in all and each.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerLimits {
    /// How many connections may be open. The next one is closed when it is accepted. Each takes two
    /// file descriptors, and a third while a broker is dialled whose name has several addresses:
    /// where the process may not open three for each, fewer are let in, and one address gets no
    /// more than are left.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u32,
    /// How many of them may come from one client address: one IPv4 address, or one /64 network of
    /// IPv6, because whoever has such a network has all addresses in it. Unless it is below
    /// `connections`, one address can take all of them.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: u32,
    /// How many connections a second are accepted, in all; ten seconds' worth may come at once.
    /// Beyond that they wait in the queue of the system.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_second: u32,
    /// How many connections a second one client address may open; ten seconds' worth may come at
    /// once. Beyond that they are closed, and count for nobody else.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_second_per_address: u32,
    /// How many of them may have sent no whole request yet. Beyond it the oldest such connection
    /// of the address with most of them is closed; below it they may be silent for as long as
    /// `idle_timeout`. Without it, a quarter of `connections`, but 64 at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub silent_connections: Option<u32>,
    /// How many such connections may come from one address. Without it, a quarter of
    /// `connections_per_address`, but 64 at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub silent_connections_per_address: Option<u32>,
    /// The longest request, as `socket.request.max.bytes` of Kafka.
    #[schemars(extend("x-min" = "1KiB", "x-max" = "2147483647B"))]
    pub frame_bytes_max: Size,
    /// The longest response. Kafka has no limit for responses; a longer one is taken for a length
    /// that means nothing, and closes its connection.
    #[schemars(extend("x-min" = "1KiB", "x-max" = "2147483647B"))]
    pub response_bytes_max: Size,
    /// How much of one request may be buffered until it is authorized. A larger one that cannot be
    /// forwarded piece by piece closes its connection. More than half of `buffered_bytes_max` is
    /// never buffered.
    #[schemars(extend("x-min" = "1KiB", "x-max" = "2147483647B"))]
    pub request_buffer_bytes_max: Size,
    /// How much of one response may be buffered until it is edited: the metadata or the
    /// configuration of a whole cluster, say. More than half of `buffered_bytes_max` is never
    /// buffered.
    #[schemars(extend("x-min" = "1KiB", "x-max" = "2147483647B"))]
    pub response_buffer_bytes_max: Size,
    /// How many responses a connection may be owed before doorkeeper stops reading from it.
    #[schemars(range(min = 1, max = 100_000))]
    pub in_flight_max: u32,
    /// How long a client may take for its TLS handshake, from the moment it is accepted.
    #[schemars(extend("x-min" = "100ms", "x-max" = "5m"))]
    pub handshake_timeout: Time,
    /// How long a request or response that has begun to arrive may make no progress.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub frame_stall_timeout: Time,
    /// How long a connection that has to buffer more may wait for room in `buffered_bytes_max`.
    /// It is not read meanwhile, and closed afterwards.
    #[schemars(extend("x-min" = "100ms", "x-max" = "10m"))]
    pub buffer_timeout: Time,
    /// How long nothing at all may happen on a connection that is owed nothing, as
    /// `connections.max.idle.ms` of Kafka.
    #[schemars(extend("x-min" = "1s", "x-max" = "30days"))]
    pub idle_timeout: Time,
    /// How long a peer may take none of the bytes that are due to it.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub write_stall_timeout: Time,
    /// How long the last bytes may take once a connection is closing.
    #[schemars(extend("x-min" = "0s", "x-max" = "5m"))]
    pub flush_timeout: Time,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        let core = doorkeeper_core::limits::Limits::default();
        let rates = ConnectionRates::default();
        let size = |bytes| Size(u64::try_from(bytes).unwrap_or(u64::MAX));
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            connections_per_second: rates.per_second,
            connections_per_second_per_address: rates.per_second_per_address,
            silent_connections: None,
            silent_connections_per_address: None,
            frame_bytes_max: size(core.frame_bytes_max),
            response_bytes_max: size(core.response_bytes_max),
            request_buffer_bytes_max: size(core.request_buffer_bytes_max),
            response_buffer_bytes_max: size(core.response_buffer_bytes_max),
            in_flight_max: u32::try_from(core.in_flight_max).unwrap_or(u32::MAX),
            handshake_timeout: Time(HANDSHAKE_TIMEOUT),
            frame_stall_timeout: Time(core.frame_stall_timeout),
            buffer_timeout: Time(core.buffer_timeout),
            idle_timeout: Time(core.idle_timeout),
            write_stall_timeout: Time(core.write_stall_timeout),
            flush_timeout: Time(core.flush_timeout),
        }
    }
}

/// The admin listener: GET `/healthz`, `/readyz` and `/metrics`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The address and port of this machine to listen on. It asks nobody for credentials.
    pub bind: BindAddress,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least severe that is logged. `--log` and the variable RUST_LOG come before it and can
    /// say more, as `info,doorkeeper_io_tokio=debug`; where there is one of them, a reload does not
    /// change the level.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least severe that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Somebody should act now.
    Error,
    /// Somebody should look.
    Warn,
    /// Sessions open and close, brokers move.
    #[default]
    Info,
    /// Every unusual path: connections to brokers, and each connection that is rejected.
    Debug,
    /// Every request and response: its API, version and size.
    Trace,
}

impl LogLevel {
    /// The name that a filter uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

mod defaults {
    //! Defaults of single fields.

    use std::net::{IpAddr, Ipv4Addr};

    use super::{BindHost, Duration, Size, Time};

    pub(super) const fn drain_timeout() -> Time {
        Time(Duration::from_secs(30))
    }

    pub(super) const fn proxy_timeout() -> Time {
        Time(Duration::from_secs(5))
    }

    pub(super) const fn buffered_bytes_max() -> Size {
        Size(512 << 20)
    }

    pub(super) const fn refresh_every() -> Time {
        Time(Duration::from_secs(30))
    }

    pub(super) const fn bind() -> BindHost {
        BindHost(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}
