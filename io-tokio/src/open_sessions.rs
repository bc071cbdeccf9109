//! The sessions that are open, and what a reload orders each of them to do.
//!
//! A reload looks at all of them and orders something of those alone whose right to be there has
//! ended; the others are not woken. Touched when a session opens, is connected to a broker, ends,
//! and by reloads.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use doorkeeper_core::Instant;
use doorkeeper_core::error::Revocation;
use doorkeeper_core::policy::Principal;

use crate::id::ClusterId;
use crate::login::LoggedIn;
use crate::observer::{ClientConnection, ListenAddr};
use crate::tls::peer::{Peer, PeerCertificate};

/// So many sessions are looked at while others wait for the lock.
const BATCH: usize = 256;

/// Every session of the process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenSessions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What the bound addresses are for: a session of anything else is of what is gone.
    served: BTreeMap<SocketAddr, Arc<ListenAddr>>,
    open: BTreeMap<u64, Arc<OpenSession>>,
    /// Each certificate once, however many connections show it.
    certificates: HashSet<Arc<PeerCertificate>>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct OpenSession {
    id: u64,
    pub(crate) listen_addr: Arc<ListenAddr>,
    pub(crate) cluster: ClusterId,
    pub(crate) client: Peer,
    identity: Mutex<ClientIdentity>,
    broker: Mutex<Option<ConnectedBroker>>,
    order: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

/// Who the client of a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientIdentity {
    /// It does not have to log in. Who it is by its certificate, if it has shown one.
    WithoutLogin(Option<Principal>),
    /// It has to log in, and has not yet.
    BeforeLogin,
    /// It has logged in, at least once.
    LoggedIn(LoggedIn),
}

/// The broker that a session is connected to.
#[derive(Clone, Debug)]
pub(crate) struct ConnectedBroker {
    /// The host that the cluster calls it by.
    pub(crate) host: Arc<str>,
    pub(crate) peer: Peer,
}

/// What a reload orders a session to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    GoOn,
    /// The address that its client connected to is not served any more: send the owed responses,
    /// and end by then.
    ListenerRemoved {
        /// When it must be gone.
        by: Instant,
    },
    /// The right of a peer to be connected has ended: end at once.
    Revoked(Revocation),
}

/// A session's place among those that are open; dropping it says that it has ended.
#[derive(Debug)]
pub(crate) struct Registration {
    among: OpenSessions,
    session: Arc<OpenSession>,
    /// What is woken by the next order.
    registered: Option<Waker>,
}

impl State {
    fn serves(&self, listen_addr: &Arc<ListenAddr>) -> bool {
        let served = self.served.get(&listen_addr.at);
        served.is_some_and(|served| Arc::ptr_eq(served, listen_addr))
    }

    /// The same peer, with the certificate that others have shown as well.
    fn shared(&mut self, peer: Peer) -> Peer {
        let Peer::Certified(certificate) = peer else {
            return peer;
        };
        if let Some(known) = self.certificates.get(&certificate) {
            return Peer::Certified(Arc::clone(known));
        }
        self.certificates.insert(Arc::clone(&certificate));
        Peer::Certified(certificate)
    }

    /// Forgets a certificate that nobody else has shown.
    fn forget(&mut self, peer: &Peer) {
        // This one, and that of the set.
        if let Peer::Certified(certificate) = peer
            && Arc::strong_count(certificate) == 2
        {
            self.certificates.remove(certificate);
        }
    }
}

impl OpenSessions {
    /// These addresses are served from now on, and no others. Sessions of others go on until
    /// [`Self::end_unserved`].
    pub(crate) fn serve(&self, served: impl IntoIterator<Item = Arc<ListenAddr>>) {
        let served = served.into_iter().map(|it| (it.at, it)).collect();
        self.lock().served = served;
    }

    /// This address is served as well from now on, before anybody can come in there.
    pub(crate) fn serve_also(&self, listen_addr: &Arc<ListenAddr>) {
        let listen_addr = Arc::clone(listen_addr);
        self.lock().served.insert(listen_addr.at, listen_addr);
    }

    /// A session opens. Where its address is not served any more it ends at once, as it owes
    /// nothing.
    pub(crate) fn register(
        &self,
        connection: &ClientConnection,
        cluster: &ClusterId,
        client: Peer,
        principal: Option<Principal>,
    ) -> Registration {
        let mut state = self.lock();
        let session = Arc::new(OpenSession {
            id: connection.session,
            listen_addr: Arc::clone(&connection.listen_addr),
            cluster: cluster.clone(),
            client: state.shared(client),
            identity: Mutex::new(ClientIdentity::WithoutLogin(principal)),
            broker: Mutex::default(),
            order: AtomicU64::new(Order::GoOn.to_value()),
            waker: Mutex::default(),
        });
        if !state.serves(&session.listen_addr) {
            session.order(Order::ListenerRemoved { by: Instant::ZERO });
        }
        state.open.insert(session.id, Arc::clone(&session));
        drop(state);
        Registration {
            among: self.clone(),
            session,
            registered: None,
        }
    }

    /// Orders the sessions of addresses that are not served any more to end by then.
    pub(crate) fn end_unserved(&self, by: Instant) {
        self.each(|session, is_served| {
            if !is_served {
                session.order(Order::ListenerRemoved { by });
            }
        });
    }

    /// Orders those sessions to end at once whose peers have no right to be connected any more,
    /// and those where finding that out panics.
    pub(crate) fn revoke(&self, mut revokes: impl FnMut(&OpenSession) -> Option<Revocation>) {
        self.each(|session, _| {
            let found = catch_unwind(AssertUnwindSafe(|| revokes(session)));
            if let Some(why) = found.unwrap_or(Some(Revocation::NotVerified)) {
                session.order(Order::Revoked(why));
            }
        });
    }

    /// Does this for each session, with whether its address is served.
    fn each(&self, mut act: impl FnMut(&OpenSession, bool)) {
        let mut after = Bound::Unbounded;
        loop {
            let batch: Vec<(Arc<OpenSession>, bool)> = {
                let state = self.lock();
                let batch = state.open.range((after, Bound::Unbounded)).take(BATCH);
                batch
                    .map(|(_, it)| (Arc::clone(it), state.serves(&it.listen_addr)))
                    .collect()
            };
            let Some((last, _)) = batch.last() else {
                break;
            };
            after = Bound::Excluded(last.id);
            for (session, is_served) in &batch {
                act(session, *is_served);
            }
        }
        // What sessions that ended meanwhile could not forget.
        let mut state = self.lock();
        state.certificates.retain(|it| Arc::strong_count(it) > 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The maps are whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenSession {
    /// Who its client is now.
    pub(crate) fn identity(&self) -> ClientIdentity {
        self.lock_identity().clone()
    }

    fn lock_identity(&self) -> MutexGuard<'_, ClientIdentity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker that it is connected to, if it is.
    pub(crate) fn broker(&self) -> Option<ConnectedBroker> {
        self.lock_broker().clone()
    }

    fn lock_broker(&self) -> MutexGuard<'_, Option<ConnectedBroker>> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders something, unless something was ordered that leaves less time.
    fn order(&self, order: Order) {
        self.order.fetch_min(order.to_value(), Ordering::AcqRel);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }
}

impl Order {
    const GO_ON: u64 = u64::MAX;

    /// The less time there is, the lower.
    fn to_value(self) -> u64 {
        let revocations = Revocation::ALL.len() as u64;
        match self {
            Self::GoOn => Self::GO_ON,
            Self::ListenerRemoved { by } => by.as_nanos().clamp(revocations, Self::GO_ON - 1),
            Self::Revoked(why) => {
                let place = Revocation::ALL.iter().position(|it| *it == why);
                place.unwrap_or_default() as u64
            }
        }
    }

    fn from_value(value: u64) -> Self {
        let place = usize::try_from(value).unwrap_or(usize::MAX);
        match (value, Revocation::ALL.get(place)) {
            (Self::GO_ON, _) => Self::GoOn,
            (_, Some(why)) => Self::Revoked(*why),
            (by, None) => Self::ListenerRemoved {
                by: Instant::from_nanos(by),
            },
        }
    }
}

impl Registration {
    /// Who the client is becomes known. What changes after this finds the session as it is.
    pub(crate) fn identify(&self, identity: ClientIdentity) {
        *self.session.lock_identity() = identity;
    }

    /// The session has to end at once.
    pub(crate) fn revoke(&self, why: Revocation) {
        self.session.order(Order::Revoked(why));
    }

    /// The session is connected to a broker. Gives what is in force then: what changes after that
    /// finds the broker.
    pub(crate) fn connected<T>(&self, broker: ConnectedBroker, in_force: impl FnOnce() -> T) -> T {
        let mut state = self.among.lock();
        let ConnectedBroker { host, peer } = broker;
        let peer = state.shared(peer);
        drop(state);
        *self.session.lock_broker() = Some(ConnectedBroker { host, peer });
        in_force()
    }

    /// What the session has to do; the current task is woken when that changes after this.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Order {
        let is_registered = self.registered.as_ref();
        if !is_registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            let waker = self.registered.insert(cx.waker().clone());
            let session = &self.session;
            let mut place = session.waker.lock().unwrap_or_else(PoisonError::into_inner);
            *place = Some(waker.clone());
        }
        // Read after the place was taken: an order in between is either seen here or wakes us.
        Order::from_value(self.session.order.load(Ordering::Acquire))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let broker = self.session.lock_broker().take();
        let mut state = self.among.lock();
        state.open.remove(&self.session.id);
        state.forget(&self.session.client);
        if let Some(broker) = broker {
            state.forget(&broker.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorkeeper_core::Route;
    use doorkeeper_core::client_address::ClientAddress;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn listen_addr(port: u16) -> Arc<ListenAddr> {
        Arc::new(ListenAddr {
            listener: "local".into(),
            at: SocketAddr::from(([127, 0, 0, 1], port)),
            route: Route::Bootstrap,
        })
    }

    fn open(all: &OpenSessions, session: u64, at: &Arc<ListenAddr>) -> Registration {
        let connection = ClientConnection {
            session,
            listen_addr: Arc::clone(at),
            client: ClientAddress::Direct(at.at),
        };
        all.register(&connection, &"main".into(), Peer::Plaintext, None)
    }

    #[test]
    fn sessions_of_what_is_not_served_any_more_are_woken_and_no_others() {
        let (all, stays, goes) = (OpenSessions::default(), listen_addr(1), listen_addr(2));
        all.serve([Arc::clone(&stays), Arc::clone(&goes)]);
        let mut sessions: Vec<(Registration, Arc<Wakes>)> = (0..1000)
            .map(|id| {
                let at = if id % 10 == 0 { &goes } else { &stays };
                (open(&all, id, at), Arc::default())
            })
            .collect();
        let orders = |sessions: &mut [(Registration, Arc<Wakes>)]| -> Vec<(Order, usize)> {
            let polled = sessions.iter_mut().map(|(session, wakes)| {
                let waker = Waker::from(Arc::clone(wakes));
                let order = session.poll(&Context::from_waker(&waker));
                (order, wakes.0.load(Ordering::Relaxed))
            });
            polled.collect()
        };
        assert!(
            orders(&mut sessions)
                .iter()
                .all(|it| *it == (Order::GoOn, 0))
        );
        // The same address for something else.
        all.serve([stays, listen_addr(2)]);
        let by = Instant::from_nanos(1_000);
        all.end_unserved(by);
        for (id, order) in orders(&mut sessions).into_iter().enumerate() {
            let expected = if id % 10 == 0 {
                (Order::ListenerRemoved { by }, 1)
            } else {
                (Order::GoOn, 0)
            };
            assert_eq!(order, expected, "{id}");
        }
        let mut late = open(&all, 5000, &goes);
        let order = late.poll(&Context::from_waker(Waker::noop()));
        assert_ne!(order, Order::GoOn, "its handshake took long");
        drop((sessions, late));
        assert!(all.lock().open.is_empty());
    }

    #[test]
    fn an_order_that_leaves_less_time_takes_the_place_of_another() {
        let (all, at) = (OpenSessions::default(), listen_addr(1));
        let mut session = open(&all, 1, &at);
        let mut order = || session.poll(&Context::from_waker(Waker::noop()));
        let first = order();
        assert!(matches!(first, Order::ListenerRemoved { .. }), "{first:?}");
        for why in Revocation::ALL.iter().rev() {
            all.revoke(|_| Some(*why));
            assert_eq!(order(), Order::Revoked(*why));
        }
        all.end_unserved(Instant::ZERO);
        assert_eq!(order(), Order::Revoked(Revocation::ALL[0]));
    }

    #[test]
    fn a_session_of_an_address_that_is_served_as_well_goes_on() {
        let (all, first, second) = (OpenSessions::default(), listen_addr(1), listen_addr(2));
        all.serve_also(&first);
        let mut session = open(&all, 1, &first);
        let order = |it: &mut Registration| it.poll(&Context::from_waker(Waker::noop()));
        assert_eq!(order(&mut session), Order::GoOn);
        all.serve_also(&second);
        assert_eq!(order(&mut open(&all, 2, &first)), Order::GoOn);
        assert_eq!(order(&mut open(&all, 3, &second)), Order::GoOn);
    }

    #[test]
    fn a_session_that_cannot_be_verified_ends_and_the_others_are_verified() {
        let (all, at) = (OpenSessions::default(), listen_addr(1));
        all.serve([Arc::clone(&at)]);
        let mut sessions = [1, 2, 3].map(|session| open(&all, session, &at));
        all.revoke(|session| match session.id {
            1 => panic!("a broken rule"),
            2 => Some(Revocation::CertificateRevoked),
            _ => None,
        });
        let orders = sessions
            .each_mut()
            .map(|it| it.poll(&Context::from_waker(Waker::noop())));
        let expected = [
            Order::Revoked(Revocation::NotVerified),
            Order::Revoked(Revocation::CertificateRevoked),
            Order::GoOn,
        ];
        assert_eq!(orders, expected);
    }

    /// Otherwise a reload in between would be seen by nobody.
    #[test]
    fn what_is_in_force_is_read_when_the_broker_can_be_found() {
        let (all, at) = (OpenSessions::default(), listen_addr(1));
        let session = open(&all, 1, &at);
        let broker = ConnectedBroker {
            host: "b1.test".into(),
            peer: Peer::Plaintext,
        };
        let found = session.connected(broker, || {
            let mut found = 0;
            all.revoke(|session| {
                found += usize::from(session.broker().is_some());
                None
            });
            found
        });
        assert_eq!(found, 1);
    }

    #[test]
    fn a_certificate_is_kept_once_for_as_long_as_somebody_has_shown_it() {
        let (all, at) = (OpenSessions::default(), listen_addr(1));
        let shows = |session, certificate: &[u8]| {
            let connection = ClientConnection {
                session,
                listen_addr: Arc::clone(&at),
                client: ClientAddress::Direct(at.at),
            };
            let certificate = PeerCertificate::new(&[certificate.to_vec().into()]);
            let peer = Peer::Certified(Arc::new(certificate));
            all.register(&connection, &"main".into(), peer, None)
        };
        let mut sessions = vec![shows(1, b"a"), shows(2, b"a"), shows(3, b"b")];
        let broker = ConnectedBroker {
            host: "b1.test".into(),
            peer: Peer::Certified(Arc::new(PeerCertificate::new(&[b"c".to_vec().into()]))),
        };
        sessions[0].connected(broker, || {});
        for left in [3, 2, 1, 0] {
            assert_eq!(all.lock().certificates.len(), left);
            if left > 0 {
                sessions.remove(0);
            }
        }
    }
}
