//! Holds what clients on this machine are told against where it leads here: `localhost` may be
//! another address than the one that doorkeeper listens at.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::super::load::Loaded;
use super::super::problem::{Problem, Problems, Severity};
use super::super::schema;
use super::super::tree::Path;
use super::{Compiled, Reach};
use crate::own_addresses::leads_to;

const LOCALHOST: &str = "localhost";

impl Compiled {
    /// Whether any client is told to connect to `localhost`.
    #[must_use]
    pub fn advertises_localhost(&self) -> bool {
        let mut all = self.reach.iter().flatten();
        all.any(|reach| reach.advertised.host().eq_ignore_ascii_case(LOCALHOST))
    }

    /// Adds a warning for what clients are told of this machine while doorkeeper listens at none of
    /// the addresses that it leads to. `localhost` are those of that name here; clients try all of
    /// them, so one is enough.
    pub fn warn_of_localhost(&mut self, loaded: &Loaded, localhost: &[IpAddr]) {
        let mut problems = std::mem::take(&mut self.warnings.problems);
        for ((name, listener), reach) in loaded.config.listeners.iter().zip(&self.reach) {
            let path = Path::default().keys(&["listeners", name]);
            for (i, reach) in reach.iter().enumerate() {
                let Some(mut message) = misled(reach, localhost) else {
                    continue;
                };
                let at = reachable(reach.bind);
                let (path, is_only) = match &listener.route {
                    schema::Route::Ports(_) => {
                        let _ = write!(message, "advertised_host: {}", at.ip());
                        (path.key("advertised_host"), true)
                    }
                    schema::Route::Explicit(_) => {
                        let _ = write!(message, "advertised: {at}");
                        let entry = path.keys(&["route", "explicit"]).index(i);
                        (entry.key("advertised"), false)
                    }
                };
                problems.push(Problem {
                    severity: Severity::Warning,
                    at: loaded.tree.position_of(&path),
                    path,
                    message,
                });
                if is_only {
                    // The other ports have the same host.
                    break;
                }
            }
        }
        self.warnings = Problems::new(&loaded.file, problems);
    }
}

/// What is wrong with an address of this machine, if it is one and leads to nobody; what to write
/// instead is still missing.
fn misled(reach: &Reach, localhost: &[IpAddr]) -> Option<String> {
    let host = reach.advertised.host();
    let literal = host.parse::<IpAddr>().ok().filter(IpAddr::is_loopback);
    let led_to: Vec<IpAddr> = match literal {
        Some(ip) => vec![ip],
        None if host.eq_ignore_ascii_case(LOCALHOST) => localhost.to_vec(),
        None => return None,
    };
    let bound = reach.bind.ip();
    if led_to.is_empty() || led_to.iter().any(|ip| leads_to(bound, *ip)) {
        return None;
    }
    let led_to: Vec<String> = led_to.iter().map(ToString::to_string).collect();
    let led_to = led_to.join(" and ");
    let leads = match literal {
        Some(_) => host.to_owned(),
        None => format!("{host} (here {led_to})"),
    };
    Some(format!(
        "clients that are told {leads} find nobody: doorkeeper listens at {bound}; bind it to \
         {led_to}, or write "
    ))
}

/// Where clients on this machine find somebody.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use super::super::super::RouteTarget;
    use super::*;

    const V4: &str = "127.0.0.1";
    const V6: &str = "::1";

    fn finds_nobody(bind: &str, advertised: &str, localhost: &[&str]) -> bool {
        let reach = Reach {
            door: RouteTarget::Bootstrap,
            bind: bind.parse().unwrap(),
            advertised: advertised.parse().unwrap(),
        };
        let localhost: Vec<IpAddr> = localhost.iter().map(|ip| ip.parse().unwrap()).collect();
        misled(&reach, &localhost).is_some()
    }

    #[test]
    fn localhost_must_lead_to_an_address_that_is_bound() {
        for (bind, localhost, is_wrong) in [
            ("127.0.0.1:1", vec![V4], false),
            ("127.0.0.1:1", vec![V6, V4], false),
            ("127.0.0.1:1", vec![V6], true),
            ("[::1]:1", vec![V4], true),
            ("[::1]:1", vec![V6, V4], false),
            ("0.0.0.0:1", vec![V4], false),
            ("0.0.0.0:1", vec![V6], true),
            ("[::]:1", vec![V4], false),
            ("10.0.0.7:1", vec![V6, V4], true),
            ("127.0.0.2:1", vec![V4], true),
            // What cannot be looked up says nothing.
            ("10.0.0.7:1", vec![], false),
        ] {
            let found = finds_nobody(bind, "LocalHost:1", &localhost);
            assert_eq!(found, is_wrong, "{bind} {localhost:?}");
        }
    }

    #[test]
    fn so_must_a_loopback_address() {
        assert!(finds_nobody("10.0.0.7:1", "127.0.0.1:1", &[]));
        assert!(finds_nobody("127.0.0.1:1", "[::1]:1", &[]));
        assert!(!finds_nobody("0.0.0.0:1", "127.0.0.1:1", &[]));
        assert!(!finds_nobody("10.0.0.7:1", "kafka.example.com:1", &[V4]));
        assert!(!finds_nobody("10.0.0.7:1", "10.0.0.8:1", &[V4]));
    }
}
