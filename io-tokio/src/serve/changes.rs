//! What differs between two plans, in the words of the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::login::Logins;
use crate::login::tokens::Tokens;
use crate::login::users::Users;
use crate::plan::{Cluster, Listener, Plan};

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<String, Vec<&'static str>>);

impl Changes {
    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has to be done for one plan to take the place of the other.
    pub(super) fn between(old: &Plan, new: &Plan) -> Self {
        let mut all = Self::default();
        for cluster in &new.clusters {
            let before = old.clusters.iter().find(|it| it.id == cluster.id);
            let what = before.map_or_else(added, |before| of_cluster(before, cluster));
            all.add(format!("cluster {}", cluster.id), what);
        }
        for listener in &new.listeners {
            let before = old.listeners.iter().find(|it| it.id == listener.id);
            let what = before.map_or_else(added, |before| of_listener(before, listener));
            all.add(format!("listener {}", listener.id), what);
        }
        let clusters = old.clusters.iter();
        for cluster in clusters.filter(|old| new.clusters.iter().all(|it| it.id != old.id)) {
            all.add(format!("cluster {}", cluster.id), vec!["removed"]);
        }
        let listeners = old.listeners.iter();
        for listener in listeners.filter(|old| new.listeners.iter().all(|it| it.id != old.id)) {
            all.add(format!("listener {}", listener.id), vec!["removed"]);
        }
        let process = of_process(old, new);
        all.add("process".to_owned(), process);
        all
    }

    fn add(&mut self, of: String, what: Vec<&'static str>) {
        if !what.is_empty() {
            self.0.insert(of, what);
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (of, what)) in self.0.iter().enumerate() {
            let between = if i == 0 { "" } else { "; " };
            write!(f, "{between}{of}: {}", what.join(", "))?;
        }
        Ok(())
    }
}

fn added() -> Vec<&'static str> {
    vec!["added"]
}

/// The names of what differs.
fn differing<const N: usize>(all: [(&'static str, bool); N]) -> Vec<&'static str> {
    let differ = all.into_iter().filter(|(_, differs)| *differs);
    differ.map(|(what, _)| what).collect()
}

fn of_process(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let Plan {
        clusters: _,
        listeners: _,
        drain_timeout,
        // It stays what it was at the start.
        buffered_bytes_max: _,
        // It follows from the listeners and clusters.
        connections_max: _,
    } = new;
    differing([("drain_timeout", *drain_timeout != old.drain_timeout)])
}

/// Of TLS towards clients.
pub(super) fn of_client_tls(old: &Listener, new: &Listener) -> Vec<&'static str> {
    match (&old.tls, &new.tls) {
        (Some(old), Some(new)) => old.differences(new),
        (None, None) => Vec::new(),
        (Some(_), None) | (None, Some(_)) => vec!["tls"],
    }
}

/// Of TLS towards brokers.
pub(super) fn of_upstream_tls(old: &Cluster, new: &Cluster) -> Vec<&'static str> {
    match (&old.tls, &new.tls) {
        (Some(old), Some(new)) => old.differences(new),
        (None, None) => Vec::new(),
        (Some(_), None) | (None, Some(_)) => vec!["tls"],
    }
}

fn of_cluster(old: &Cluster, new: &Cluster) -> Vec<&'static str> {
    let mut what = of_upstream_tls(old, new);
    let Cluster {
        id: _,
        tls: _,
        identities,
        sends_proxy_header,
        discovery,
    } = new;
    let differs = *identities != old.identities;
    let proxy_protocol = *sends_proxy_header != old.sends_proxy_header;
    let (old, new) = (&old.discovery, discovery);
    what.extend(differing([
        ("identity", differs),
        ("proxy_protocol", proxy_protocol),
        ("bootstrap", old.bootstrap != new.bootstrap),
        ("dial", old.dial != new.dial),
    ]));
    let mut rest = old.clone();
    rest.bootstrap.clone_from(&new.bootstrap);
    rest.dial = new.dial.clone();
    // It follows from the identity.
    rest.logs_in = new.logs_in;
    what.extend(differing([("limits", rest != *new)]));
    what
}

/// Of a listener.
pub(super) fn of_listener(old: &Listener, new: &Listener) -> Vec<&'static str> {
    let mut what = of_client_tls(old, new);
    let Listener {
        id: _,
        cluster,
        tls: _,
        logins,
        handshake_timeout,
        proxy_protocol,
        rates,
        binds,
        snapshot,
        limits,
        silent,
    } = new;
    // Its bootstrap list and its dials are those of the cluster, which says so.
    let was = &old.snapshot;
    what.extend(differing([
        ("cluster", old.cluster != *cluster),
        (
            "addresses",
            old.binds != *binds || was.advertised != snapshot.advertised,
        ),
        (
            "limits",
            old.limits != *limits
                || old.rates != *rates
                || old.silent != *silent
                || old.handshake_timeout != *handshake_timeout
                || was.limits != snapshot.limits,
        ),
        ("proxy_protocol", old.proxy_protocol != *proxy_protocol),
        ("users", users(&old.logins) != users(logins)),
        ("oauth", tokens(&old.logins) != tokens(logins)),
        (
            "sasl",
            was.login != snapshot.login || ends_sessions(&old.logins) != ends_sessions(logins),
        ),
        ("policy", was.policy != snapshot.policy),
        ("allow_apis", was.offered != snapshot.offered),
    ]));
    what
}

fn users(logins: &Option<Arc<Logins>>) -> Option<&Users> {
    logins.as_ref()?.users.as_deref()
}

fn tokens(logins: &Option<Arc<Logins>>) -> Option<&Tokens> {
    logins.as_ref()?.tokens.as_deref()
}

/// Whether the sessions of a user end when its password is changed.
fn ends_sessions(logins: &Option<Arc<Logins>>) -> Option<bool> {
    Some(logins.as_ref()?.password_change_ends_sessions)
}
