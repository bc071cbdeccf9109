//! A look of the runtime at what the system says of sockets.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Ready once the runtime has asked the system which sockets are ready, after this was first
/// polled, or while another of its threads is asking.
///
/// A runtime wakes a task that yields when it has polled its I/O driver, or has found it taken: of
/// several threads one at a time has it. What that one learns may come a moment after this is
/// ready, so of open connections the network itself is asked as well (`Net::is_ready`).
/// Any other event may wake the task before, which is why the yield has a waker of its own.
#[derive(Default)]
pub(super) struct ReadinessPoll {
    yielded: Option<(Yield, Arc<Woken>)>,
}

type Yield = Pin<Box<dyn Future<Output = ()> + Send>>;

impl ReadinessPoll {
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let (_, woken) = self.yielded.get_or_insert_with(|| {
            let woken = Arc::new(Woken {
                is_woken: AtomicBool::new(false),
                task: cx.waker().clone(),
            });
            let mut yielded: Yield = Box::pin(tokio::task::yield_now());
            let waker = Waker::from(Arc::clone(&woken));
            let _ = yielded.as_mut().poll(&mut Context::from_waker(&waker));
            (yielded, woken)
        });
        if woken.is_woken.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// Notes that the runtime has come back to a task, and wakes it.
struct Woken {
    is_woken: AtomicBool,
    task: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn another_wake_is_no_look_at_the_sockets() {
        let mut readiness = ReadinessPoll::default();
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            let ready = readiness.poll(cx);
            let again = readiness.poll(cx);
            assert_eq!(ready, again, "the runtime did nothing between the two");
            ready
        })
        .await;
        assert_eq!(polls, 2);
    }
}
