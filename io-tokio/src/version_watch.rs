//! A number that many tasks read, and that wakes its subscribers when it changes.
//!
//! Looking is one atomic load. The lock is taken when a task begins or ends to watch and when
//! the number changes, so it is never on the data path.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// The number and its subscribers.
#[derive(Debug, Default)]
pub(crate) struct VersionWatch {
    value: AtomicU64,
    subscribers: Mutex<Subscribers>,
}

#[derive(Debug, Default)]
struct Subscribers {
    next: u64,
    /// In the order of their subscription, so that a simulation wakes them in the same one.
    wakers: BTreeMap<u64, Waker>,
}

impl VersionWatch {
    /// The number, as it is now.
    pub(crate) fn value(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Changes the number and wakes every subscriber.
    pub(crate) fn publish(&self, value: u64) {
        self.value.store(value, Ordering::Release);
        for waker in self.lock().wakers.values() {
            waker.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        // The map is whole between any two statements.
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task's place among the subscribers. Stays until it is dropped, however often the number
/// changes.
#[derive(Debug)]
pub(crate) struct Subscription {
    watch: Arc<VersionWatch>,
    registered: Option<(u64, Waker)>,
}

impl Subscription {
    /// Does not watch yet.
    pub(crate) const fn new(watch: Arc<VersionWatch>) -> Self {
        Self {
            watch,
            registered: None,
        }
    }

    /// The number, without being woken when it changes.
    pub(crate) fn value(&self) -> u64 {
        self.watch.value()
    }

    /// The number; the current task is woken when it changes after this.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> u64 {
        match &mut self.registered {
            Some((_, waker)) if waker.will_wake(cx.waker()) => {}
            Some((place, waker)) => {
                waker.clone_from(cx.waker());
                let mut subscribers = self.watch.lock();
                subscribers.wakers.insert(*place, cx.waker().clone());
            }
            None => {
                let mut subscribers = self.watch.lock();
                let place = subscribers.next;
                subscribers.next += 1;
                subscribers.wakers.insert(place, cx.waker().clone());
                drop(subscribers);
                self.registered = Some((place, cx.waker().clone()));
            }
        }
        // Read after the place was taken: a change in between is either seen here or wakes us.
        self.watch.value()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some((place, _)) = self.registered.take() {
            self.watch.lock().wakers.remove(&place);
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
    fn every_change_wakes_a_subscriber_that_polled_once() {
        let watch = Arc::new(VersionWatch::default());
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let mut subscription = Subscription::new(Arc::clone(&watch));
        assert_eq!(subscription.poll(&Context::from_waker(&waker)), 0);
        watch.publish(1);
        watch.publish(2);
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
        assert_eq!(subscription.value(), 2);
        drop(subscription);
        watch.publish(3);
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
        assert!(watch.lock().wakers.is_empty());
    }
}
