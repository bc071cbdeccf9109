//! The sessions that are open, and what a reload orders each of them to do.
//!
//! A reload looks at all of them and orders something of those alone whose right to be there has
//! ended; the others are not woken. Touched when a session opens, when it ends, and by reloads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use doorkeeper_core::Instant;

use crate::observer::{ClientConnection, ListenAddr};

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
}

impl State {
    fn serves(&self, listen_addr: &Arc<ListenAddr>) -> bool {
        let served = self.served.get(&listen_addr.at);
        served.is_some_and(|served| Arc::ptr_eq(served, listen_addr))
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct OpenSession {
    id: u64,
    listen_addr: Arc<ListenAddr>,
    order: AtomicU64,
    waker: Mutex<Option<Waker>>,
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
}

/// A session's place among those that are open; dropping it says that it has ended.
#[derive(Debug)]
pub(crate) struct Registration {
    among: OpenSessions,
    session: Arc<OpenSession>,
    /// What is woken by the next order.
    registered: Option<Waker>,
}

impl OpenSessions {
    /// These addresses are served from now on, and no others. Sessions of others go on until
    /// [`Self::end_unserved`].
    pub(crate) fn serve(&self, served: impl IntoIterator<Item = Arc<ListenAddr>>) {
        let served = served.into_iter().map(|it| (it.at, it)).collect();
        self.lock().served = served;
    }

    /// A session opens. Where its address is not served any more it ends at once, as it owes
    /// nothing.
    pub(crate) fn register(&self, connection: &ClientConnection) -> Registration {
        let session = Arc::new(OpenSession {
            id: connection.session,
            listen_addr: Arc::clone(&connection.listen_addr),
            order: AtomicU64::new(Order::GoOn.to_value()),
            waker: Mutex::default(),
        });
        let mut state = self.lock();
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
        let mut after = Bound::Unbounded;
        loop {
            let unserved: Vec<Arc<OpenSession>> = {
                let state = self.lock();
                let batch = state.open.range((after, Bound::Unbounded)).take(BATCH);
                let mut unserved = Vec::new();
                let mut last = None;
                for (id, session) in batch {
                    last = Some(*id);
                    if !state.serves(&session.listen_addr) {
                        unserved.push(Arc::clone(session));
                    }
                }
                let Some(last) = last else { return };
                after = Bound::Excluded(last);
                unserved
            };
            for session in unserved {
                session.order(Order::ListenerRemoved { by });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The maps are whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenSession {
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
        match self {
            Self::GoOn => Self::GO_ON,
            Self::ListenerRemoved { by } => by.as_nanos().min(Self::GO_ON - 1),
        }
    }

    const fn from_value(value: u64) -> Self {
        match value {
            Self::GO_ON => Self::GoOn,
            by => Self::ListenerRemoved {
                by: Instant::from_nanos(by),
            },
        }
    }
}

impl Registration {
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
        self.among.lock().open.remove(&self.session.id);
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
        all.register(&ClientConnection {
            session,
            listen_addr: Arc::clone(at),
            client: ClientAddress::Direct(at.at),
        })
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
        let by = Instant::from_nanos(7);
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
}
