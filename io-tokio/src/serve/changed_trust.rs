//! What a reload has changed of whose certificates and logins hold, and the sessions that it ends
//! with that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use doorkeeper_core::error::Revocation;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::login::LoginSettings;
use doorkeeper_core::tls_failure::TlsFailure;

use crate::id::{ClusterId, ListenerId};
use crate::login::{Logins, revokes_login};
use crate::open_sessions::{ClientIdentity, OpenSession, OpenSessions};
use crate::plan::{Listener, Plan};
use crate::serve::changes::{of_client_tls, of_upstream_tls};
use crate::tls::connected::{broker_failure, client_now};
use crate::tls::peer::Peer;
use crate::tls::server::ServerTls;
use crate::tls::upstream::UpstreamTls;

/// Who a client would be by its certificate now, or why it could not connect.
type ClientNow = Result<Option<Principal>, TlsFailure>;

/// What listeners and clusters have now, where it is something else than before.
#[derive(Debug, Default)]
pub(super) struct ChangedTrust {
    listeners: BTreeMap<ListenerId, Option<ServerTls>>,
    clusters: BTreeMap<ClusterId, Option<UpstreamTls>>,
    logins: BTreeMap<ListenerId, ChangedLogins>,
    /// What was found of certificates, each of which many sessions may have: by listener or
    /// cluster, and where the certificate is in memory, as long as it is.
    of_clients: BTreeMap<(ListenerId, usize), (Peer, ClientNow)>,
    of_brokers: BTreeMap<(ClusterId, Arc<str>, usize), (Peer, bool)>,
}

/// How clients of a listener log in.
#[derive(Debug)]
struct ChangedLogins {
    settings: Option<Arc<LoginSettings>>,
    before: Option<Arc<Logins>>,
    now: Option<Arc<Logins>>,
}

impl ChangedLogins {
    fn between(old: &Listener, new: &Listener) -> Option<Self> {
        let differ = old.snapshot.login != new.snapshot.login || old.logins != new.logins;
        differ.then(|| Self {
            settings: new.snapshot.login.clone(),
            before: old.logins.clone(),
            now: new.logins.clone(),
        })
    }
}

impl ChangedTrust {
    pub(super) fn between(old: &Plan, new: &Plan) -> Self {
        let mut changed = Self::default();
        for listener in &new.listeners {
            let Some(before) = old.listeners.iter().find(|it| it.id == listener.id) else {
                continue;
            };
            if !of_client_tls(before, listener).is_empty() {
                let tls = listener.tls.clone();
                changed.listeners.insert(listener.id.clone(), tls);
            }
            if let Some(logins) = ChangedLogins::between(before, listener) {
                changed.logins.insert(listener.id.clone(), logins);
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

    fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.clusters.is_empty() && self.logins.is_empty()
    }

    /// Ends the sessions whose peers could not connect any more, or not as who they are. Returns
    /// when all of them have been told; signatures are verified on a thread where no session waits
    /// for it.
    pub(super) async fn end_sessions(mut self, all: &OpenSessions) {
        if self.is_empty() {
            return;
        }
        let all = all.clone();
        let verifying = tokio::task::spawn_blocking(move || all.revoke(|it| self.revokes(it)));
        if let Err(error) = verifying.await {
            tracing::error!(%error, "not all sessions were verified by what was loaded");
        }
    }

    fn revokes(&mut self, session: &OpenSession) -> Option<Revocation> {
        let identity = session.identity();
        self.revokes_client(session, &identity)
            .or_else(|| self.revokes_login(session, &identity))
            .or_else(|| {
                self.revokes_broker(session)
                    .then_some(Revocation::UpstreamCertificateNotTrusted)
            })
    }

    fn revokes_client(
        &mut self,
        session: &OpenSession,
        identity: &ClientIdentity,
    ) -> Option<Revocation> {
        let listener = &session.listen_addr.listener;
        let tls = self.listeners.get(listener)?.as_ref();
        let key = (listener.clone(), place(&session.client));
        let found = match self.of_clients.entry(key) {
            Entry::Occupied(found) => &found.into_mut().1,
            Entry::Vacant(vacant) => {
                let found = client_now(tls, &session.client);
                &vacant.insert((session.client.clone(), found)).1
            }
        };
        match (found, identity) {
            (Err(failure), _) => Some(revocation(*failure)),
            (Ok(now), ClientIdentity::WithoutLogin(then)) => {
                (now != then).then_some(Revocation::PrincipalChanged)
            }
            // Who it is does not follow from its certificate.
            (Ok(_), ClientIdentity::BeforeLogin | ClientIdentity::LoggedIn(_)) => None,
        }
    }

    fn revokes_login(
        &self,
        session: &OpenSession,
        identity: &ClientIdentity,
    ) -> Option<Revocation> {
        let ChangedLogins {
            settings,
            before,
            now,
        } = self.logins.get(&session.listen_addr.listener)?;
        match identity {
            ClientIdentity::WithoutLogin(_) => settings.as_ref().map(|_| Revocation::LoginRequired),
            // Its login is looked at when it succeeds.
            ClientIdentity::BeforeLogin => None,
            ClientIdentity::LoggedIn(login) => revokes_login(
                login,
                settings.as_deref(),
                before.as_deref(),
                now.as_deref(),
            ),
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

/// What the sessions of a client end for that could not connect any more.
const fn revocation(failure: TlsFailure) -> Revocation {
    match failure {
        TlsFailure::CertificateRevoked => Revocation::CertificateRevoked,
        TlsFailure::NoCertificate => Revocation::CertificateRequired,
        TlsFailure::Plaintext => Revocation::TlsRequired,
        TlsFailure::Closed
        | TlsFailure::TimedOut
        | TlsFailure::SilentLimit
        | TlsFailure::Version
        | TlsFailure::CipherSuite
        | TlsFailure::KeyExchange
        | TlsFailure::SignatureScheme
        | TlsFailure::CertificateExpired
        | TlsFailure::CertificateNotYetValid
        | TlsFailure::CertificateUnknownCa
        | TlsFailure::CertificateRevocationUnknown
        | TlsFailure::CertificateName
        | TlsFailure::CertificatePurpose
        | TlsFailure::CertificateInvalid
        | TlsFailure::CertificateSubject
        | TlsFailure::CertificateNotPinned
        | TlsFailure::PrincipalUnmapped
        | TlsFailure::PrincipalName
        | TlsFailure::OurCertificate
        | TlsFailure::PeerAlert
        | TlsFailure::Protocol
        | TlsFailure::Internal => Revocation::CertificateNotTrusted,
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
