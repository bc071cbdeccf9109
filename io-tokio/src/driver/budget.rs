//! What all sessions of the process together may hold back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorkeeper_core::limits::HOLD_ALWAYS_BYTES;

/// A number of bytes that sessions share.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    used: AtomicUsize,
}

/// What one session uses of it; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

/// The budget is used up, and this session wants more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdrawn;

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            used: AtomicUsize::new(0),
        })
    }

    /// Nothing of it, to begin with.
    pub(crate) const fn share(self: Arc<Self>) -> Share {
        Share {
            budget: self,
            bytes: 0,
        }
    }
}

impl Share {
    /// Says how much the session holds now. Costs a comparison where that has not changed, which
    /// is the rule: what passes is not held.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Overdrawn> {
        let had = std::mem::replace(&mut self.bytes, bytes);
        if bytes <= had {
            if bytes < had {
                self.budget.used.fetch_sub(had - bytes, Ordering::Relaxed);
            }
            return Ok(());
        }
        let more = bytes - had;
        let used = self.budget.used.fetch_add(more, Ordering::Relaxed) + more;
        if used > self.budget.max && bytes > HOLD_ALWAYS_BYTES {
            Err(Overdrawn)
        } else {
            Ok(())
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_grows_over_the_budget_is_told_and_nobody_else() {
        let budget = Budget::new(300_000);
        let mut first = Arc::clone(&budget).share();
        let mut second = Arc::clone(&budget).share();
        assert_eq!(first.set(200_000), Ok(()));
        assert_eq!(second.set(200_000), Err(Overdrawn));
        assert_eq!(first.set(150_000), Ok(()), "to hold less is never refused");
        drop(second);
        assert_eq!(first.set(300_000), Ok(()));
        drop(first);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_little_is_always_granted() {
        let budget = Budget::new(1);
        let mut share = Arc::clone(&budget).share();
        assert_eq!(share.set(HOLD_ALWAYS_BYTES), Ok(()));
        assert_eq!(share.set(HOLD_ALWAYS_BYTES + 1), Err(Overdrawn));
    }
}
