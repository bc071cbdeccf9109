//! One listener: its listen addresses, its advertised addresses, and the snapshot of its sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::id::{ApiKey, BrokerId, HostPort};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::Policy;
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, Topology};
use doorkeeper_core::{Route, Snapshot};

use super::super::schema::{self, Cluster, Explicit, GuardedApi, Listener, Ports};
use super::super::tls::ClientAuth;
use super::super::tree::Path;
use super::super::{RouteTarget, Size};
use super::binds::Owner;
use super::sasl;
use super::{Compiler, Reach};
use crate::connection_rate::ConnectionRates;
use crate::limits::ListenerLimits;
use crate::plan;
use crate::proxy_protocol::ProxyProtocol;
use crate::silent::SilentLimits;

impl Compiler<'_> {
    /// The valid addresses of a listener, and an error for each invalid one.
    pub(super) fn listen_addresses(&mut self, path: &Path, listener: &Listener) -> Vec<Reach> {
        let addresses = match &listener.route {
            schema::Route::Ports(ports) => self.ports(path, listener, ports),
            schema::Route::Explicit(addresses) => self.explicit(path, listener, addresses),
        };
        self.advertised_once(path, &addresses);
        addresses
    }

    fn ports(&mut self, path: &Path, listener: &Listener, ports: &Ports) -> Vec<Reach> {
        let name = path.to_string();
        let route = path.keys(&["route", "ports"]);
        let host = self.advertised_host(path, listener);
        self.insecure(
            path,
            listener,
            [SocketAddr::new(listener.bind.0, ports.bootstrap)],
        );
        let bootstrap = std::iter::once((RouteTarget::Bootstrap, Some(ports.bootstrap)));
        let brokers = ports.broker_ids.ids().map(|id| {
            let port = i32::from(ports.brokers).checked_add(id.0);
            let port = port.and_then(|port| u16::try_from(port).ok());
            (RouteTarget::Broker(id), port)
        });
        let mut addresses = Vec::new();
        for (target, port) in bootstrap.chain(brokers) {
            let Some(port) = port else {
                let message = format!(
                    "{target} is too high: port {} plus {target} is more than 65535",
                    ports.brokers
                );
                // The ids are in order, so every further one is too high as well.
                self.error(&route.key("broker_ids"), message);
                break;
            };
            let bind = SocketAddr::new(listener.bind.0, port);
            let key = match target {
                RouteTarget::Bootstrap => "bootstrap",
                RouteTarget::Broker(_) => "brokers",
            };
            let owner = Owner::new(&route.key(key), of(target, &name));
            self.binds.add(bind, owner);
            let advertised = host.as_ref().map(|host| HostPort::new(host, port));
            if let Some(Ok(advertised)) = advertised {
                addresses.push(Reach {
                    target,
                    bind,
                    advertised,
                });
            }
        }
        addresses
    }

    fn advertised_host(&mut self, path: &Path, listener: &Listener) -> Option<String> {
        let Some(host) = &listener.advertised_host else {
            if listener.bind.0.is_unspecified() {
                let message = format!(
                    "advertised_host is missing: clients cannot connect to {}",
                    listener.bind
                );
                self.error(path, message);
                return None;
            }
            return Some(listener.bind.to_string());
        };
        let path = path.key("advertised_host");
        if host.parse::<HostPort>().is_ok() {
            let message = "a host without a port: the ports are those of route.ports";
            self.error(&path, message);
            return None;
        }
        let at = match HostPort::new(host, 1) {
            Ok(at) => at,
            Err(why) => {
                self.error(&path, format!("expected a host name or address: {why}"));
                return None;
            }
        };
        self.connectable(&path, &at, listener.bind.0)
            .then(|| host.clone())
    }

    /// Whether clients can connect to the advertised address.
    fn connectable(&mut self, path: &Path, advertised: &HostPort, bind: IpAddr) -> bool {
        let host = advertised.host();
        let ip = host.parse::<IpAddr>().ok();
        if ip.is_some_and(|ip| ip.is_unspecified()) {
            self.error(path, format!("clients cannot connect to {host}"));
            return false;
        }
        let is_loopback = match ip {
            Some(ip) => ip.is_loopback(),
            None => host.eq_ignore_ascii_case("localhost"),
        };
        // Where it is bound to one address, `localhost.rs` checks whether that is the same.
        if is_loopback && bind.is_unspecified() {
            let message = format!("only clients on this machine can connect to {host}");
            self.warning(path, message);
        }
        true
    }

    fn explicit(&mut self, path: &Path, listener: &Listener, all: &[Explicit]) -> Vec<Reach> {
        let name = path.to_string();
        let route = path.keys(&["route", "explicit"]);
        if !all
            .iter()
            .any(|it| matches!(it.broker_id, RouteTarget::Broker(_)))
        {
            self.error(&route, "the list names no broker");
        }
        let has_key = |key: &str| self.loaded.tree.has(&path.key(key));
        for (key, is_set) in [
            ("bind", has_key("bind")),
            ("advertised_host", listener.advertised_host.is_some()),
        ] {
            if is_set {
                let message =
                    "belongs to route.ports; with route.explicit each address has its own";
                self.error(&path.key(key), message);
            }
        }
        self.insecure(path, listener, all.iter().map(|it| it.bind.0));
        let mut seen = BTreeSet::new();
        let mut addresses = Vec::new();
        for (i, it) in all.iter().enumerate() {
            let path = route.index(i);
            let target = it.broker_id;
            if !seen.insert(target) {
                let message = match target {
                    RouteTarget::Bootstrap => "there is a second bootstrap address".to_owned(),
                    RouteTarget::Broker(id) => format!("broker {id} is listed twice"),
                };
                self.error(&path.key("broker_id"), message);
            }
            let bind = it.bind.0;
            let owner = Owner::new(&path.key("bind"), of(target, &name));
            self.binds.add(bind, owner);
            if let Some(advertised) = self.explicit_address(&path, it) {
                addresses.push(Reach {
                    target,
                    bind,
                    advertised,
                });
            }
        }
        addresses
    }

    fn explicit_address(&mut self, path: &Path, it: &Explicit) -> Option<HostPort> {
        let bind = it.bind.0;
        match &it.advertised {
            Some(address) => self
                .connectable(&path.key("advertised"), &address.0, bind.ip())
                .then(|| address.0.clone()),
            None if bind.ip().is_unspecified() => {
                let message = format!("advertised is missing: clients cannot connect to {bind}");
                self.error(path, message);
                None
            }
            None => HostPort::new(&bind.ip().to_string(), bind.port()).ok(),
        }
    }

    fn insecure(
        &mut self,
        path: &Path,
        listener: &Listener,
        binds: impl IntoIterator<Item = SocketAddr>,
    ) {
        let tls = listener.tls.as_ref();
        let asks_for_certificates = tls.is_some_and(|it| it.client_auth == ClientAuth::Required);
        let asks = asks_for_certificates || listener.sasl.is_some();
        let open = binds.into_iter().find(|bind| !bind.ip().is_loopback());
        if let (Some(open), None, false) = (open, listener.insecure, asks) {
            let message = format!(
                "lets anyone in who can reach {open}: let clients log in (sasl), ask them for \
                 certificates (tls.client_auth: required), bind it to a loopback address, or say \
                 insecure: allow"
            );
            self.error(path, message);
        }
    }

    /// Two brokers at one address would be one broker for clients.
    fn advertised_once(&mut self, path: &Path, addresses: &[Reach]) {
        let mut seen: BTreeMap<&HostPort, RouteTarget> = BTreeMap::new();
        for reach in addresses {
            let Some(other) = seen.insert(&reach.advertised, reach.target) else {
                continue;
            };
            // The same bind twice has its own error.
            let same_bind = addresses
                .iter()
                .any(|it| it.target == other && it.bind == reach.bind);
            if !same_bind {
                let message = format!(
                    "clients would find {} and {other} at the same address, {}",
                    reach.target, reach.advertised
                );
                self.error(&path.key("route"), message);
            }
        }
    }
}

fn of(target: RouteTarget, listener: &str) -> String {
    match target {
        RouteTarget::Bootstrap => format!("the bootstrap of {listener}"),
        RouteTarget::Broker(id) => format!("broker {id} of {listener}"),
    }
}

/// The plan of a listener.
pub(super) fn planned(
    name: &str,
    listener: &Listener,
    cluster: &Cluster,
    dial: DialMap,
    addresses: &[Reach],
) -> plan::Listener {
    let bootstrap: Vec<HostPort> = cluster.bootstrap.iter().map(|it| it.0.clone()).collect();
    let topology = Topology::default();
    let known_hosts = KnownHosts::new(&bootstrap, &dial, &topology);
    let bind = |reach: &Reach| plan::Bind {
        at: reach.bind,
        route: match reach.target {
            RouteTarget::Bootstrap => Route::Bootstrap,
            RouteTarget::Broker(id) => Route::Broker(id),
        },
    };
    plan::Listener {
        id: name.into(),
        cluster: listener.cluster.as_str().into(),
        tls: None,
        logins: None,
        handshake_timeout: listener.limits.handshake_timeout.0,
        proxy_protocol: listener.proxy_protocol.as_ref().map(proxy_protocol),
        rates: ConnectionRates {
            per_second: listener.limits.connections_per_second,
            per_second_per_address: listener.limits.connections_per_second_per_address,
        },
        binds: addresses.iter().map(bind).collect(),
        snapshot: Snapshot {
            epoch: 0,
            limits: limits(listener, cluster),
            policy: Policy::allow_all(),
            login: listener.sasl.as_ref().map(sasl::settings),
            upstream_login: cluster.identity.is_some(),
            offered: offered(&listener.allow_apis),
            bootstrap,
            dial,
            advertised: advertised(listener, addresses),
            topology: Arc::new(topology),
            known_hosts,
        },
        limits: ListenerLimits {
            connections: index(listener.limits.connections),
            connections_per_address: index(listener.limits.connections_per_address),
        },
        silent: silent(&listener.limits),
    }
}

fn proxy_protocol(settings: &schema::ListenerProxyProtocol) -> ProxyProtocol {
    ProxyProtocol {
        trusted: settings.trusted.iter().map(|network| network.0).collect(),
        takes_direct_clients: settings.direct_clients.is_some(),
        timeout: settings.timeout.0,
    }
}

fn advertised(listener: &Listener, addresses: &[Reach]) -> AdvertisedAddresses {
    let host = addresses.first().map(|reach| reach.advertised.host());
    match (&listener.route, host) {
        (schema::Route::Ports(ports), Some(host)) => AdvertisedAddresses::Ports {
            host: host.into(),
            base: ports.brokers,
            ids: ports.broker_ids.ranges().to_vec(),
        },
        (schema::Route::Explicit(_) | schema::Route::Ports(_), _) => {
            let broker = |reach: &Reach| -> Option<(BrokerId, HostPort)> {
                match reach.target {
                    RouteTarget::Bootstrap => None,
                    RouteTarget::Broker(id) => Some((id, reach.advertised.clone())),
                }
            };
            AdvertisedAddresses::Explicit(addresses.iter().filter_map(broker).collect())
        }
    }
}

fn limits(listener: &Listener, cluster: &Cluster) -> Limits {
    let ours = &listener.limits;
    let theirs = &cluster.limits;
    let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
    Limits {
        frame_bytes_max: bytes(ours.frame_bytes_max),
        response_bytes_max: bytes(ours.response_bytes_max),
        request_buffer_bytes_max: bytes(ours.request_buffer_bytes_max),
        response_buffer_bytes_max: bytes(ours.response_buffer_bytes_max),
        egress_high_bytes: Limits::default().egress_high_bytes,
        in_flight_max: index(ours.in_flight_max),
        frame_stall_timeout: ours.frame_stall_timeout.0,
        buffer_timeout: ours.buffer_timeout.0,
        idle_timeout: ours.idle_timeout.0,
        connect_timeout: theirs.connect_timeout.0,
        connect_backoff_min: theirs.connect_backoff_min.0,
        connect_backoff_max: theirs.connect_backoff_max.0,
        request_timeout: theirs.request_timeout.0,
        write_stall_timeout: ours.write_stall_timeout.0,
        flush_timeout: ours.flush_timeout.0,
    }
}

fn silent(limits: &schema::ListenerLimits) -> SilentLimits {
    let connections = limits.silent_connections;
    let per_address = limits.silent_connections_per_address;
    SilentLimits {
        connections: index(connections.unwrap_or_else(|| most_silent(limits.connections))),
        connections_per_address: index(
            per_address.unwrap_or_else(|| most_silent(limits.connections_per_address)),
        ),
    }
}

/// A quarter, but where that is little as many as are there: every connection is silent for a
/// round trip, and when a listener comes back its clients connect at the same time.
fn most_silent(of: u32) -> u32 {
    const FEW: u32 = 64;
    (of / 4).max(FEW).min(of)
}

fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn offered(allowed: &[GuardedApi]) -> OfferedApis {
    OfferedApis::with(allowed.iter().filter_map(|api| key_of(*api)))
        .altering_brokers(allowed.contains(&GuardedApi::AlterBrokerConfigs))
}

/// The API that is offered where this is allowed, if it is one.
fn key_of(api: GuardedApi) -> Option<ApiKey> {
    Some(ApiKey(match api {
        GuardedApi::DescribeAcls => 29,
        GuardedApi::CreateAcls => 30,
        GuardedApi::DeleteAcls => 31,
        GuardedApi::CreateDelegationToken => 38,
        GuardedApi::RenewDelegationToken => 39,
        GuardedApi::ExpireDelegationToken => 40,
        GuardedApi::DescribeDelegationToken => 41,
        GuardedApi::DescribeClientQuotas => 48,
        GuardedApi::AlterClientQuotas => 49,
        GuardedApi::DescribeUserScramCredentials => 50,
        GuardedApi::AlterUserScramCredentials => 51,
        GuardedApi::WriteTxnMarkers => 27,
        GuardedApi::AlterReplicaLogDirs => 34,
        GuardedApi::ElectLeaders => 43,
        GuardedApi::AlterPartitionReassignments => 45,
        GuardedApi::UpdateFeatures => 57,
        GuardedApi::UnregisterBroker => 64,
        GuardedApi::UnregisterController => 94,
        GuardedApi::AddRaftVoter => 80,
        GuardedApi::RemoveRaftVoter => 81,
        // AlterConfigs and IncrementalAlterConfigs are offered in any case.
        GuardedApi::AlterBrokerConfigs => return None,
    }))
}

#[cfg(test)]
mod tests {
    use doorkeeper_core::api::{self, Offering};
    use doorkeeper_core::wire::schema::APIS;

    use super::*;

    #[test]
    fn guarded_apis_have_the_keys_that_kafka_gives_those_names() {
        for listed in GuardedApi::ALL {
            let name = key_of(*listed).map(api::name);
            if *listed == GuardedApi::AlterBrokerConfigs {
                assert_eq!(name, None);
            } else {
                assert_eq!(name, Some(&*format!("{listed:?}")));
            }
        }
    }

    #[test]
    fn every_api_that_has_to_be_named_can_be() {
        let named: Vec<ApiKey> = GuardedApi::ALL
            .iter()
            .filter_map(|it| key_of(*it))
            .collect();
        for entry in APIS {
            let key = ApiKey(entry.key);
            let by_name = api::offering(key) == Some(Offering::ByName);
            assert_eq!(named.contains(&key), by_name, "{}", entry.name);
        }
    }

    #[test]
    fn brokers_are_altered_where_that_is_allowed_and_nowhere_else() {
        for listed in GuardedApi::ALL {
            let alters_brokers = *listed == GuardedApi::AlterBrokerConfigs;
            assert_eq!(offered(&[*listed]).alters_brokers(), alters_brokers);
        }
    }
}
