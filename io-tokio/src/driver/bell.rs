//! A number that many tasks look at, and a way to wake those who wait for it to change.
//!
//! Looking is one atomic load. The lock is taken when a task begins or ends to listen and when
//! the number changes, so it is never on the data path.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// The number and its listeners.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    value: AtomicU64,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    next: u64,
    /// In the order in which they came, so that a simulation wakes them in the same one.
    wakers: BTreeMap<u64, Waker>,
}

impl Bell {
    /// The number, as it is now.
    pub(crate) fn value(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Changes the number and wakes everyone who listens.
    pub(crate) fn ring(&self, value: u64) {
        self.value.store(value, Ordering::Release);
        for waker in self.lock().wakers.values() {
            waker.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        // The map is whole between any two statements.
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task's place among the listeners. Stays until it is dropped, however often the bell rings.
#[derive(Debug)]
pub(crate) struct Ear {
    bell: Arc<Bell>,
    registered: Option<(u64, Waker)>,
}

impl Ear {
    /// Does not listen yet.
    pub(crate) const fn new(bell: Arc<Bell>) -> Self {
        Self {
            bell,
            registered: None,
        }
    }

    /// The number, without being woken when it changes.
    pub(crate) fn value(&self) -> u64 {
        self.bell.value()
    }

    /// The number; the current task is woken when it changes after this.
    pub(crate) fn listen(&mut self, cx: &Context<'_>) -> u64 {
        match &mut self.registered {
            Some((_, waker)) if waker.will_wake(cx.waker()) => {}
            Some((place, waker)) => {
                waker.clone_from(cx.waker());
                let mut listeners = self.bell.lock();
                listeners.wakers.insert(*place, cx.waker().clone());
            }
            None => {
                let mut listeners = self.bell.lock();
                let place = listeners.next;
                listeners.next += 1;
                listeners.wakers.insert(place, cx.waker().clone());
                drop(listeners);
                self.registered = Some((place, cx.waker().clone()));
            }
        }
        // Read after the place was taken: a ring in between is either seen here or wakes us.
        self.bell.value()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some((place, _)) = self.registered.take() {
            self.bell.lock().wakers.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_ring_wakes_a_listener_that_listened_once() {
        let bell = Arc::new(Bell::default());
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let mut ear = Ear::new(Arc::clone(&bell));
        assert_eq!(ear.listen(&Context::from_waker(&waker)), 0);
        bell.ring(1);
        bell.ring(2);
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
        assert_eq!(ear.value(), 2);
        drop(ear);
        bell.ring(3);
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
        assert!(bell.lock().wakers.is_empty());
    }
}
