//! How many bytes of requests, and of responses, the sessions of the process together may buffer:
//! which session waits for room, and which is woken when there is some.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use doorkeeper_core::buffer_budget::{BufferBudget, BufferDecision, counted};
use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::{BufferedBytes, Input, Leg};

/// A budget for what the process buffers because of clients, and another one for what it buffers
/// because of brokers: neither is used up by the other.
#[derive(Debug)]
pub(crate) struct Budgets {
    requests: Arc<Budget>,
    responses: Arc<Budget>,
}

#[derive(Debug)]
struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    budget: BufferBudget,
    /// Of each session that is counted.
    signals: BTreeMap<u64, Signal>,
}

/// What a session has to learn because of another session's change.
#[derive(Debug, Default)]
struct Signal {
    decision: Option<BufferDecision>,
    waker: Option<Waker>,
}

/// What one session uses of both; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct BufferShares {
    requests: Share,
    responses: Share,
}

#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    leg: Leg,
    session: u64,
    network: ClientNetwork,
    bytes: usize,
    /// The session has been paused.
    is_paused: bool,
    /// The session has been rejected.
    is_rejected: bool,
}

impl Budgets {
    /// Of so many bytes each.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let budget = || {
            let state = State {
                budget: BufferBudget::new(bytes_max),
                signals: BTreeMap::new(),
            };
            Arc::new(Budget {
                state: Mutex::new(state),
            })
        };
        Self {
            requests: budget(),
            responses: budget(),
        }
    }

    /// Nothing of either, to begin with.
    pub(crate) fn shares(&self, session: u64, network: ClientNetwork) -> BufferShares {
        let share = |budget: &Arc<Budget>, leg| Share {
            budget: Arc::clone(budget),
            leg,
            session,
            network,
            bytes: 0,
            is_paused: false,
            is_rejected: false,
        };
        BufferShares {
            requests: share(&self.requests, Leg::Client),
            responses: share(&self.responses, Leg::Upstream),
        }
    }
}

impl BufferShares {
    /// Counts how much the session buffers now, and gives the input that it has to get for it, if
    /// any. Costs two comparisons where it buffers little, as most do.
    pub(crate) fn update(&mut self, buffered: BufferedBytes) -> Option<Input> {
        let of_requests = self.requests.update(buffered.requests);
        of_requests.or_else(|| self.responses.update(buffered.responses))
    }

    /// The input that the session has to get because others have changed what they buffer.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Input> {
        match self.requests.poll(cx) {
            Poll::Ready(input) => Poll::Ready(input),
            Poll::Pending => self.responses.poll(cx),
        }
    }
}

impl Budget {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, session: u64, network: ClientNetwork, bytes: usize) -> BufferDecision {
        if is_counted(bytes) {
            self.signals.entry(session).or_default().decision = None;
        } else {
            self.signals.remove(&session);
        }
        let decision = self.budget.set(session, network, bytes);
        while let Some((other, decision)) = self.budget.next_change() {
            if let Some(signal) = self.signals.get_mut(&other) {
                signal.decision = Some(decision);
                if let Some(waker) = signal.waker.take() {
                    waker.wake();
                }
            }
        }
        decision
    }
}

const fn is_counted(bytes: usize) -> bool {
    counted(bytes) > 0
}

impl Share {
    fn update(&mut self, bytes: usize) -> Option<Input> {
        let had = std::mem::replace(&mut self.bytes, bytes);
        if had == bytes || !is_counted(had) && !is_counted(bytes) {
            return None;
        }
        let decision = self.budget.state().set(self.session, self.network, bytes);
        self.input_for(decision)
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Input> {
        if !is_counted(self.bytes) {
            return Poll::Pending;
        }
        let budget = Arc::clone(&self.budget);
        let mut state = budget.state();
        let Some(signal) = state.signals.get_mut(&self.session) else {
            return Poll::Pending;
        };
        if let Some(input) = signal.decision.take().and_then(|it| self.input_for(it)) {
            return Poll::Ready(input);
        }
        if !signal
            .waker
            .as_ref()
            .is_some_and(|it| it.will_wake(cx.waker()))
        {
            signal.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The input for a decision, unless the session has had it.
    const fn input_for(&mut self, decision: BufferDecision) -> Option<Input> {
        match decision {
            BufferDecision::Granted if self.is_paused => {
                self.is_paused = false;
                Some(Input::BufferResumed(self.leg))
            }
            BufferDecision::Waits if !self.is_paused => {
                self.is_paused = true;
                Some(Input::BufferPaused(self.leg))
            }
            BufferDecision::Rejected if !self.is_rejected => {
                self.is_rejected = true;
                Some(Input::BufferRejected)
            }
            BufferDecision::Granted | BufferDecision::Waits | BufferDecision::Rejected => None,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if is_counted(self.bytes) {
            self.budget.state().set(self.session, self.network, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shares(budgets: &Budgets, session: u64, address: u8) -> BufferShares {
        let address = IpAddr::from([10, 0, 0, address]);
        budgets.shares(session, address.into())
    }

    const fn requests(requests: usize) -> BufferedBytes {
        let responses = 0;
        BufferedBytes {
            requests,
            responses,
        }
    }

    #[test]
    fn a_session_that_waits_is_woken_when_another_gives_back() {
        let budgets = Budgets::new(1_000_000);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let (mut first, mut second) = (shares(&budgets, 1, 1), shares(&budgets, 2, 1));
        assert!(first.update(requests(500_000)).is_none());
        let paused = second.update(requests(500_000));
        assert!(matches!(paused, Some(Input::BufferPaused(Leg::Client))));
        assert!(second.update(requests(500_000)).is_none(), "reported once");
        assert!(second.poll(&cx).is_pending());
        drop(first);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let resumed = second.poll(&cx);
        assert!(matches!(
            resumed,
            Poll::Ready(Input::BufferResumed(Leg::Client))
        ));
        drop(second);
        let state = budgets.requests.state();
        assert!(state.signals.is_empty() && state.budget.used() == 0);
    }

    #[test]
    fn requests_leave_the_room_of_responses_alone() {
        let budgets = Budgets::new(1_000_000);
        let (mut first, mut second) = (shares(&budgets, 1, 1), shares(&budgets, 2, 2));
        assert!(first.update(requests(500_000)).is_none());
        assert!(second.update(requests(500_000)).is_none());
        let both = BufferedBytes {
            requests: 500_000,
            responses: 500_000,
        };
        assert!(first.update(both).is_none());
        assert!(second.update(both).is_none());
    }

    #[test]
    fn a_session_that_is_rejected_is_woken_for_it() {
        let budgets = Budgets::new(1_000_000);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let mut crowd = [1, 2].map(|n| shares(&budgets, n, u8::try_from(n).unwrap()));
        for shares in &mut crowd {
            assert!(shares.update(requests(560_000)).is_none());
            assert!(shares.poll(&cx).is_pending());
        }
        let mut newcomer = shares(&budgets, 3, 3);
        assert!(newcomer.update(requests(200_000)).is_none());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let inputs = crowd.each_mut().map(|it| it.poll(&cx));
        let rejected = |it: &&Poll<Input>| matches!(it, Poll::Ready(Input::BufferRejected));
        assert_eq!(inputs.iter().filter(rejected).count(), 1);
    }
}
