//! Every scenario: its clients, the event in its middle, and when it runs.

use crate::clients::Client;
use crate::doorkeeper::Listener;
use crate::event::Event;
use crate::security::{Legs, Security};

/// What clients do; the programs know it by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What the programs play, if that has another name.
    pub(crate) program: &'static str,
    /// How both sides of doorkeeper are secured.
    pub(crate) legs: Legs,
    /// Which client plays it, and from which major version of Kafka on.
    pub(crate) players: &'static [(Client, u32)],
    /// Stands for its kind where not everything runs, as on older brokers.
    pub(crate) is_representative: bool,
    /// What the suite does to the cluster or to doorkeeper while records flow.
    pub(crate) event: Option<Event>,
    /// Its producers have a quota, which the suite sets before they begin.
    pub(crate) has_quota: bool,
    /// Takes so much that nothing else should run beside it.
    pub(crate) is_large: bool,
    /// Its client leaves nothing to chance: a failure is one, and is not played again.
    pub(crate) is_final: bool,
    /// Goes where nothing is allowed by name: to doorkeeper's strict listener, and direct to a
    /// broker that denies the same.
    pub(crate) is_strict: bool,
}

use Client::{
    Aiokafka, FranzGo, Java, KafkaPython, Kafkajs, Kcat, Librdkafka, OldJava, Sockets, Streams,
    Tools,
};

const MAIN: &[(Client, u32)] = &[(Java, 0), (OldJava, 4), (Librdkafka, 0)];
const JAVA: &[(Client, u32)] = &[(Java, 0), (OldJava, 4)];
/// All that produce and consume with idempotence or without.
const MANY: &[(Client, u32)] = &[
    (Java, 0),
    (OldJava, 4),
    (Librdkafka, 0),
    (KafkaPython, 0),
    (Aiokafka, 0),
    (Kafkajs, 0),
];
const ALL: &[(Client, u32)] = &[
    (Java, 0),
    (OldJava, 4),
    (Librdkafka, 0),
    (KafkaPython, 0),
    (Aiokafka, 0),
    (Kafkajs, 0),
    (Kcat, 0),
];

const BAD_CERTIFICATES: &str = "bad_certificates";

/// All that run a group, over TLS as well.
const SECURE: &[(Client, u32)] = &[
    (Java, 0),
    (OldJava, 4),
    (Librdkafka, 0),
    (KafkaPython, 0),
    (Aiokafka, 0),
    (Kafkajs, 0),
    (FranzGo, 0),
];

const fn scenario(name: &'static str, players: &'static [(Client, u32)]) -> Scenario {
    Scenario {
        name,
        program: name,
        legs: Legs::PLAINTEXT,
        players,
        is_representative: false,
        event: None,
        has_quota: false,
        is_large: false,
        is_final: false,
        is_strict: false,
    }
}

impl Scenario {
    /// Where clients find doorkeeper.
    pub(crate) fn listener(&self) -> Listener {
        match (self.is_strict, self.legs) {
            (true, _) => Listener::Strict,
            (false, Legs::PLAINTEXT) => Listener::Open,
            (false, legs) => Listener::Secured(legs),
        }
    }

    /// Whether its program is given all bad certificates, to try each.
    pub(crate) fn tries_bad_certificates(&self) -> bool {
        self.name == BAD_CERTIFICATES
    }

    const fn representative(mut self) -> Self {
        self.is_representative = true;
        self
    }

    const fn during(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }

    const fn under_quota(mut self) -> Self {
        self.has_quota = true;
        self
    }

    const fn large(mut self) -> Self {
        self.is_large = true;
        self
    }

    const fn where_nothing_is_allowed(mut self) -> Self {
        self.is_strict = true;
        self
    }

    const fn playing(mut self, program: &'static str) -> Self {
        self.program = program;
        self
    }

    const fn over(mut self, client: Security, broker: Security) -> Self {
        self.legs = Legs { client, broker };
        self
    }

    const fn final_at_once(mut self) -> Self {
        self.is_final = true;
        self
    }
}

/// A group that works over these legs: its members produce, consume and commit.
const fn secure(name: &'static str, client: Security, broker: Security) -> Scenario {
    scenario(name, SECURE)
        .playing("group_classic")
        .over(client, broker)
}

use Security::{MutualTls, Plaintext, Tls};

/// The longest first, so that none is left alone at the end.
pub(crate) const SCENARIOS: &[Scenario] = &[
    // It waits for a broker, for longer than doorkeeper waits for a response by default.
    scenario("quota_throttle", &[(Java, 0)])
        .under_quota()
        .final_at_once(),
    scenario("streams_classic", &[(Streams, 0)]).representative(),
    scenario("streams_group", &[(Streams, 4)]).representative(),
    scenario("tools", &[(Tools, 0)]).representative(),
    scenario("verifiable", &[(Tools, 0)]).representative(),
    scenario("transactions", MANY).representative(),
    // Share consumers are of 4.x.
    scenario("share_group", &[(Java, 4)]).representative(),
    // librdkafka speaks version 1 of ConsumerGroupHeartbeat, which 3.9 does not.
    scenario(
        "group_consumer",
        &[(Java, 0), (OldJava, 4), (Librdkafka, 4)],
    ),
    scenario("group_classic", MANY).representative(),
    scenario("group_static", MAIN),
    secure("plaintext_to_tls", Plaintext, Tls),
    secure("plaintext_to_mtls", Plaintext, MutualTls),
    secure("tls_to_plaintext", Tls, Plaintext),
    secure("tls_to_tls", Tls, Tls),
    secure("tls_to_mtls", Tls, MutualTls),
    secure("mtls_to_plaintext", MutualTls, Plaintext),
    secure("mtls_to_tls", MutualTls, Tls),
    secure("mtls_to_mtls", MutualTls, MutualTls),
    scenario(BAD_CERTIFICATES, SECURE)
        .over(MutualTls, Plaintext)
        .representative(),
    scenario("compression", ALL),
    scenario("idempotent", MANY),
    scenario("acks_0", ALL),
    scenario("acks_1", ALL),
    scenario("acks_all", ALL).representative(),
    scenario("topics", ALL).representative(),
    scenario("cluster", MAIN).representative(),
    scenario("groups_admin", MAIN),
    scenario("reassignments", JAVA),
    scenario("denied_principals", JAVA).representative(),
    scenario("denied", JAVA)
        .where_nothing_is_allowed()
        .final_at_once(),
    scenario("half_close", &[(Sockets, 0)])
        .representative()
        .final_at_once(),
    scenario("follower_fetch", MAIN),
    scenario("large_records", MAIN),
    scenario("many_partitions", MAIN),
    scenario("many_topics", MAIN).large(),
    scenario("restart", MANY)
        .during(Event::BrokerRestarts)
        .representative(),
    scenario("broker_killed", MANY).during(Event::BrokerIsKilled),
    scenario("broker_stopped", MANY).during(Event::BrokerStops),
    scenario("broker_paused", MANY).during(Event::BrokerPauses),
    scenario("leaders_move", MANY).during(Event::LeadersMove),
    scenario("broker_joins", MANY).during(Event::BrokerJoinsAndLeaves),
    scenario("doorkeeper_killed", MANY).during(Event::DoorkeeperIsKilled),
    scenario("doorkeeper_drained", MANY).during(Event::DoorkeeperDrains),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_says_in_its_name_how_it_is_secured() {
        let secure = SCENARIOS.iter().filter(|it| it.program == "group_classic");
        let names: Vec<&str> = secure.map(|it| it.name).collect();
        for legs in Legs::secured() {
            assert!(names.contains(&legs.name().as_str()), "{legs:?}");
        }
        let of_legs = |it: &&Scenario| it.legs != Legs::PLAINTEXT && it.program != it.name;
        for scenario in SCENARIOS.iter().filter(of_legs) {
            assert_eq!(scenario.name, scenario.legs.name());
        }
    }

    #[test]
    fn no_name_is_used_twice_and_every_client_plays() {
        let mut names = std::collections::BTreeSet::new();
        for scenario in SCENARIOS {
            assert!(names.insert(scenario.name));
            assert!(!scenario.name.contains(['.', '-', '/']));
        }
        for client in crate::clients::CLIENTS {
            let plays = |it: &Scenario| it.players.iter().any(|(player, _)| player == client);
            assert!(SCENARIOS.iter().any(plays), "{client:?}");
        }
    }
}
