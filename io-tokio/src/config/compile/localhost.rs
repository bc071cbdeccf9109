//! Checks that an advertised address of this machine leads to doorkeeper here: `localhost` may
//! be another address than the one that doorkeeper listens at.

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
    /// Whether any listener advertises `localhost`.
    #[must_use]
    pub fn advertises_localhost(&self) -> bool {
        let mut all = self.reach.iter().flatten();
        all.any(|reach| reach.advertised.host().eq_ignore_ascii_case(LOCALHOST))
    }

    /// Adds a warning for each advertised address of this machine that leads to no address that
    /// doorkeeper listens at. `localhost` are the addresses of that name here; clients try all of
    /// them, so one is enough.
    pub fn warn_of_localhost(&mut self, loaded: &Loaded, localhost: &[IpAddr]) {
        let mut problems = std::mem::take(&mut self.warnings.problems);
        for ((name, listener), reach) in loaded.config.listeners.iter().zip(&self.reach) {
            let path = Path::default().keys(&["listeners", name]);
            for (i, reach) in reach.iter().enumerate() {
                let Some(mut message) = unreachable_locally(reach, localhost) else {
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

/// What is wrong with an address, if it is one of this machine and nothing listens there; what to
/// write instead is still missing.
fn unreachable_locally(reach: &Reach, localhost: &[IpAddr]) -> Option<String> {
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
        "clients cannot connect to {leads}: doorkeeper listens at {bound}; bind it to \
         {led_to}, or write "
    ))
}

/// An address that clients on this machine can connect to.
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

    fn is_unreachable(bind: &str, advertised: &str, localhost: &[&str]) -> bool {
        let reach = Reach {
            target: RouteTarget::Bootstrap,
            bind: bind.parse().unwrap(),
            advertised: advertised.parse().unwrap(),
        };
        let localhost: Vec<IpAddr> = localhost.iter().map(|ip| ip.parse().unwrap()).collect();
        unreachable_locally(&reach, &localhost).is_some()
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
            let found = is_unreachable(bind, "LocalHost:1", &localhost);
            assert_eq!(found, is_wrong, "{bind} {localhost:?}");
        }
    }

    #[test]
    fn so_must_a_loopback_address() {
        assert!(is_unreachable("10.0.0.7:1", "127.0.0.1:1", &[]));
        assert!(is_unreachable("127.0.0.1:1", "[::1]:1", &[]));
        assert!(!is_unreachable("0.0.0.0:1", "127.0.0.1:1", &[]));
        assert!(!is_unreachable("10.0.0.7:1", "kafka.example.com:1", &[V4]));
        assert!(!is_unreachable("10.0.0.7:1", "10.0.0.8:1", &[V4]));
    }
}
