//! The rules of `dial`, and dials that would lead back to ourselves.

use doorkeeper_core::id::{BadHostPort, HostPort};
use doorkeeper_core::topology::{DialMap, DialRule};

use super::super::Address;
use super::super::schema::Cluster;
use super::super::tree::Path;
use super::Compiler;

impl Compiler<'_> {
    /// The rules that can be read; an error for each other one.
    pub(super) fn dial_map(&mut self, path: &Path, cluster: &Cluster) -> DialMap {
        let mut rules = Vec::new();
        for (from, to) in &cluster.dial {
            let path = path.key("dial").key(from);
            let from = side(from, true);
            let to = side(to, false);
            for message in [from.as_ref().err(), to.as_ref().err()]
                .into_iter()
                .flatten()
            {
                self.error(&path, message.clone());
            }
            if let (Ok((host, port)), Ok((to_host, to_port))) = (from, to) {
                rules.push(DialRule {
                    host,
                    port,
                    to_host,
                    to_port,
                });
            }
        }
        DialMap::new(rules)
    }

    /// Says where a dial would come back to this very process. Run after all binds are known.
    pub(super) fn loops(&mut self, path: &Path, cluster: &Cluster, dial: &DialMap) {
        let mut found = Vec::new();
        for (i, Address(name)) in cluster.bootstrap.iter().enumerate() {
            let to = dial.resolve(name);
            if let Some(what) = self.binds.at(to.host(), to.port()) {
                let message = format!("{name} leads back to doorkeeper: {what} listens at {to}");
                found.push((path.key("bootstrap").index(i), message));
            }
        }
        for (from, to) in &cluster.dial {
            let (Ok((_, port)), Ok((to_host, to_port))) = (side(from, true), side(to, false))
            else {
                continue;
            };
            let Some(port) = to_port.or(port) else {
                continue;
            };
            if let Some(what) = self.binds.at(&to_host, port) {
                let message =
                    format!("leads back to doorkeeper: {what} listens at {to_host}:{port}");
                found.push((path.key("dial").key(from), message));
            }
        }
        for (path, message) in found {
            self.error(&path, message);
        }
    }
}

/// A host, or a host and a port.
fn side(text: &str, may_be_pattern: bool) -> Result<(Box<str>, Option<u16>), String> {
    let wrong = |why: &str| Err(format!("{why}, found {text:?}"));
    let stars = text.matches('*').count();
    if stars > 0 && !may_be_pattern {
        return wrong("the right side is one address, so it has no *");
    }
    if stars > 1 {
        return wrong("a pattern has one *");
    }
    // The letter stands for the star: no host name has one, and a whole pattern may be one.
    let checked = text.replace('*', "x");
    let bare_v6 = checked.parse::<std::net::Ipv6Addr>().is_ok();
    let read = if bare_v6 || !checked.contains(':') {
        let host = checked.trim_start_matches('[').trim_end_matches(']');
        HostPort::new(host, 1).map(|_| (text.trim_matches(['[', ']']).into(), None))
    } else if checked.starts_with('[') && checked.ends_with(']') {
        Err(BadHostPort::NoPort)
    } else {
        checked.parse::<HostPort>().map(|at| {
            let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
            (host.trim_matches(['[', ']']).into(), Some(at.port()))
        })
    };
    read.or_else(|why| wrong(&format!("expected a host, or host:port ({why})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_a_host_with_or_without_a_port() {
        for (text, host, port) in [
            ("kafka-*.internal", "kafka-*.internal", None),
            ("*", "*", None),
            ("*:9092", "*", Some(9092)),
            ("kafka:9092", "kafka", Some(9092)),
            ("10.0.0.7", "10.0.0.7", None),
            ("::1", "::1", None),
            ("[::1]:9092", "::1", Some(9092)),
        ] {
            assert_eq!(side(text, true), Ok((host.into(), port)), "{text}");
        }
        for text in ["", "a b", "a*b*", "kafka:", "kafka:0", ":1", "[::1", "a/b"] {
            assert!(side(text, true).is_err(), "{text}");
        }
        assert!(side("kafka-*", false).is_err());
    }
}
