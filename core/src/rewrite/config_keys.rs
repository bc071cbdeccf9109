//! Configs of brokers whose values are addresses.

/// How the name of a config is compared.
#[derive(Clone, Copy)]
enum Named {
    /// The whole name.
    As(&'static str),
    /// The whole name, or the end of one with a prefix: `listener.name.client.`, that of a SASL
    /// mechanism behind it, or that of a plugin.
    Ending(&'static str),
}

/// All configs of type string or list in the `ConfigDef` of `KafkaConfig`, 3.9.2 and 4.4.0, whose
/// documentation says that the value is made of hosts, addresses or URLs to connect to, and older
/// ones that `DescribeConfigs` gives back when they are left in a broker's file
/// (`ConfigHelper.allConfigs`).
///
/// Names of listeners are no addresses (`inter.broker.listener.name`, `early.start.listeners`,
/// `remote.log.metadata.manager.listener.name`), nor is what is left of `controller.quorum.`.
const ADDRESSES: &[Named] = &[
    // SocketServerConfigs.
    Named::As("listeners"),
    Named::As("advertised.listeners"),
    // QuorumConfig; `bootstrap.servers` of clients that plugins have, too.
    Named::As("controller.quorum.voters"),
    Named::Ending("bootstrap.servers"),
    // AdminClientConfig, for plugins.
    Named::Ending("bootstrap.controllers"),
    // ZkConfigs, until 3.9.
    Named::As("zookeeper.connect"),
    // SaslConfigs. `sasl.oauthbearer.expected.issuer` is compared, not connected to.
    Named::Ending("sasl.oauthbearer.token.endpoint.url"),
    Named::Ending("sasl.oauthbearer.jwks.endpoint.url"),
    // KafkaConfig, until 2.8.
    Named::As("host.name"),
    Named::As("advertised.host.name"),
    Named::As("port"),
    Named::As("advertised.port"),
];

/// Configs of the same definitions whose values may look like addresses and are none of brokers.
const NO_ADDRESSES: &[Named] = &[
    // SocketServerConfigs: whoever connects.
    Named::As("max.connections.per.ip.overrides"),
    // SaslConfigs: compared with what a token says, and not connected to.
    Named::Ending("sasl.oauthbearer.expected.issuer"),
    Named::Ending("sasl.oauthbearer.expected.audience"),
];

/// What the value of a broker config is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Addresses of the cluster.
    Addresses,
    /// No address of the cluster, whatever it looks like.
    NoAddresses,
    /// Anything.
    Unlisted,
}

/// What the value of the broker config of this name is made of.
pub(super) fn content(name: &[u8]) -> Content {
    if is_listed(ADDRESSES, name) {
        Content::Addresses
    } else if is_listed(NO_ADDRESSES, name) {
        Content::NoAddresses
    } else {
        Content::Unlisted
    }
}

fn is_listed(list: &[Named], name: &[u8]) -> bool {
    list.iter().any(|known| match known {
        Named::As(whole) => name == whole.as_bytes(),
        Named::Ending(end) => {
            let before = name.strip_suffix(end.as_bytes());
            before.is_some_and(|before| before.is_empty() || before.ends_with(b"."))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_distinguished_from_names_timeouts_and_sizes() {
        for name in [
            "listeners",
            "advertised.listeners",
            "controller.quorum.voters",
            "controller.quorum.bootstrap.servers",
            "confluent.metrics.reporter.bootstrap.servers",
            "zookeeper.connect",
            "sasl.oauthbearer.jwks.endpoint.url",
            "listener.name.client.oauthbearer.sasl.oauthbearer.jwks.endpoint.url",
            "host.name",
        ] {
            assert_eq!(content(name.as_bytes()), Content::Addresses, "{name}");
        }
        for name in [
            "early.start.listeners",
            "controller.listener.names",
            "inter.broker.listener.name",
            "listener.security.protocol.map",
            "remote.log.metadata.manager.listener.name",
            "controller.quorum.append.linger.ms",
            "controller.quorum.election.backoff.max.ms",
            "controller.quorum.election.timeout.ms",
            "controller.quorum.fetch.timeout.ms",
            "controller.quorum.request.timeout.ms",
            "controller.quorum.retry.backoff.ms",
            "sasl.oauthbearer.jwks.endpoint.refresh.ms",
            "zookeeper.connection.timeout.ms",
            "process.roles",
            "notbootstrap.servers",
            "",
        ] {
            assert_eq!(content(name.as_bytes()), Content::Unlisted, "{name}");
        }
        for name in [
            "max.connections.per.ip.overrides",
            "sasl.oauthbearer.expected.issuer",
            "listener.name.client.oauthbearer.sasl.oauthbearer.expected.issuer",
            "sasl.oauthbearer.expected.audience",
        ] {
            assert_eq!(content(name.as_bytes()), Content::NoAddresses, "{name}");
        }
    }
}
