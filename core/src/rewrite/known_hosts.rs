//! The upstream host names that no client may see, and how a text is searched for them.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::id::HostPort;
use crate::topology::{DialMap, Topology};

/// Bootstrap, advertised and dialled hosts of one cluster, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    /// Longest first, so that a name is found before a part of it.
    hosts: Vec<Box<str>>,
}

impl KnownHosts {
    /// All hosts by which the cluster is known.
    #[must_use]
    pub fn new(bootstrap: &[HostPort], dial: &DialMap, topology: &Topology) -> Self {
        let named = bootstrap.iter().map(HostPort::host);
        let learned = topology.brokers().map(|(_, at)| at.host());
        let set: BTreeSet<Box<str>> = named
            .chain(learned)
            .chain(dial.hosts())
            .map(|host| host.to_ascii_lowercase().into_boxed_str())
            .collect();
        let mut hosts: Vec<Box<str>> = set.into_iter().collect();
        hosts.sort_by_key(|host| std::cmp::Reverse(host.len()));
        Self { hosts }
    }

    /// Whether the text names one of them.
    #[must_use]
    pub fn occurs_in(&self, text: &[u8]) -> bool {
        self.find(text, 0).is_some()
    }

    /// The first place at or after `from` where one of them stands as a whole word.
    ///
    /// Letters, digits, `-` and `_` continue a word; a dot does not, so that a known host is
    /// also found as the head or the tail of a longer name. A host of one label (`kafka`) is
    /// often a word of its own or a part of a path or a class name: dots and slashes continue it,
    /// unless the slashes are those before an authority (`//kafka`).
    #[must_use]
    pub fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let continues = |byte: Option<&u8>| {
            byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let joins = |byte: Option<&u8>| byte.is_some_and(|b| matches!(b, b'.' | b'/'));
        (from..text.len()).find_map(|at| {
            let (before, rest) = text.split_at_checked(at)?;
            if continues(before.last()) {
                return None;
            }
            let host = self.hosts.iter().find(|host| {
                let stands = rest
                    .get(..host.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(host.as_bytes()))
                    && !continues(rest.get(host.len()));
                let behind = rest.get(host.len()..).unwrap_or_default();
                let part_of_more = (joins(before.last()) && !before.ends_with(b"//"))
                    || (joins(behind.first())
                        && behind.get(1).is_some_and(u8::is_ascii_alphanumeric));
                stands && (host.contains(['.', ':']) || !part_of_more)
            })?;
            Some(at..at + host.len())
        })
    }

    /// The text with every known host replaced, or nothing if it names none.
    #[must_use]
    pub fn redacted(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = self.find(text, 0)?;
        let mut out = Vec::with_capacity(text.len());
        let mut done = 0;
        loop {
            out.extend_from_slice(text.get(done..found.start).unwrap_or_default());
            out.extend_from_slice(b"[upstream]");
            done = found.end;
            match self.find(text, done) {
                Some(next) => found = next,
                None => break,
            }
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> KnownHosts {
        let bootstrap = [
            "kafka-1.internal:9092".parse().unwrap(),
            "10.0.0.1:9092".parse().unwrap(),
        ];
        KnownHosts::new(&bootstrap, &DialMap::default(), &Topology::default())
    }

    fn redacted(text: &str) -> Option<String> {
        known()
            .redacted(text.as_bytes())
            .map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_occurrence_is_replaced_whatever_its_case() {
        assert_eq!(
            redacted("Broker KAFKA-1.internal:9092 and 10.0.0.1, kafka-1.internal.").unwrap(),
            "Broker [upstream]:9092 and [upstream], [upstream]."
        );
    }

    #[test]
    fn a_longer_word_is_not_the_host() {
        for text in [
            "110.0.0.1",
            "10.0.0.12",
            "my-kafka-1.internal",
            "kafka-1.internals",
            "",
        ] {
            assert_eq!(redacted(text), None, "{text}");
        }
        assert_eq!(
            redacted("kafka-1.internal.example").unwrap(),
            "[upstream].example"
        );
    }

    #[test]
    fn a_host_of_one_label_is_not_every_path_and_class_of_that_name() {
        let bootstrap = ["kafka:9092".parse().unwrap()];
        let known = KnownHosts::new(&bootstrap, &DialMap::default(), &Topology::default());
        for text in [
            "/var/lib/kafka/data",
            "/opt/kafka",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "kafka.server",
            "Kafkaesque",
        ] {
            assert!(!known.occurs_in(text.as_bytes()), "{text}");
        }
        for text in [
            "kafka",
            "kafka:9092",
            "PLAINTEXT://kafka:9092",
            "Connection to kafka failed.",
            "no answer from kafka.",
            "1@kafka:9093,2@other:9093",
        ] {
            assert!(known.occurs_in(text.as_bytes()), "{text}");
        }
    }
}
