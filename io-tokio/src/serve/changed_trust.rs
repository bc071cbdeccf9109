//! What a reload has changed of whose certificates hold, and the sessions that it ends with that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use doorkeeper_core::error::Revocation;

use crate::id::{ClusterId, ListenerId};
use crate::open_sessions::{OpenSession, OpenSessions};
use crate::plan::Plan;
use crate::serve::changes::{of_client_tls, of_upstream_tls};
use crate::tls::connected::{broker_failure, revokes_client};
use crate::tls::peer::Peer;
use crate::tls::server::ServerTls;
use crate::tls::upstream::UpstreamTls;

/// The TLS that listeners and clusters have now, where it is another one than before.
#[derive(Debug, Default)]
pub(super) struct ChangedTrust {
    listeners: BTreeMap<ListenerId, Option<ServerTls>>,
    clusters: BTreeMap<ClusterId, Option<UpstreamTls>>,
    /// What was found of certificates, each of which many sessions may have: by listener or
    /// cluster, and where the certificate is in memory, as long as it is.
    of_clients: BTreeMap<(ListenerId, usize), (Peer, Option<Revocation>)>,
    of_brokers: BTreeMap<(ClusterId, Arc<str>, usize), (Peer, bool)>,
}

impl ChangedTrust {
    pub(super) fn between(old: &Plan, new: &Plan) -> Self {
        let mut changed = Self::default();
        for listener in &new.listeners {
            let before = old.listeners.iter().find(|it| it.id == listener.id);
            if before.is_some_and(|before| !of_client_tls(before, listener).is_empty()) {
                let tls = listener.tls.clone();
                changed.listeners.insert(listener.id.clone(), tls);
            }
        }
        for cluster in &new.clusters {
            let before = old.clusters.iter().find(|it| it.id == cluster.id);
            if before.is_some_and(|before| !of_upstream_tls(before, cluster).is_empty()) {
                let tls = cluster.tls.clone();
                changed.clusters.insert(cluster.id.clone(), tls);
            }
        }
        changed
    }

    /// Ends the sessions whose peers could not connect any more. Returns when all of them have
    /// been told; signatures are verified on a thread where no session waits for it.
    pub(super) async fn end_sessions(mut self, all: &OpenSessions) {
        if self.listeners.is_empty() && self.clusters.is_empty() {
            return;
        }
        let all = all.clone();
        let verifying = tokio::task::spawn_blocking(move || all.revoke(|it| self.revokes(it)));
        if let Err(error) = verifying.await {
            tracing::error!(%error, "not all sessions were verified by what was loaded");
        }
    }

    fn revokes(&mut self, session: &OpenSession) -> Option<Revocation> {
        self.revokes_client(session).or_else(|| {
            self.revokes_broker(session)
                .then_some(Revocation::UpstreamCertificateNotTrusted)
        })
    }

    fn revokes_client(&mut self, session: &OpenSession) -> Option<Revocation> {
        let listener = &session.listen_addr.listener;
        let tls = self.listeners.get(listener)?.as_ref();
        let key = (listener.clone(), place(&session.client));
        match self.of_clients.entry(key) {
            Entry::Occupied(found) => found.get().1,
            Entry::Vacant(vacant) => {
                let found = revokes_client(tls, &session.client);
                vacant.insert((session.client.clone(), found)).1
            }
        }
    }

    fn revokes_broker(&mut self, session: &OpenSession) -> bool {
        let Some(tls) = self.clusters.get(&session.cluster) else {
            return false;
        };
        let Some(broker) = session.broker() else {
            return false;
        };
        let key = (
            session.cluster.clone(),
            Arc::clone(&broker.host),
            place(&broker.peer),
        );
        match self.of_brokers.entry(key) {
            Entry::Occupied(found) => found.get().1,
            Entry::Vacant(vacant) => {
                let failure = broker_failure(tls.as_ref(), &broker.host, &broker.peer);
                vacant.insert((broker.peer, failure.is_some())).1
            }
        }
    }
}

/// Tells peers apart: each certificate is in memory once.
fn place(peer: &Peer) -> usize {
    match peer {
        Peer::Plaintext => 0,
        Peer::Anonymous => 1,
        Peer::Certified(certificate) => Arc::as_ptr(certificate).addr(),
    }
}
