//! The clock of the process and the one timer of a machine.

mod pauses;
mod readiness;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use doorkeeper_core::Instant;
use tokio::time::Sleep;

use crate::clock::pauses::{BEAT_EVERY, Pauses};
use crate::clock::readiness::ReadinessPoll;

/// Core's time: nanoseconds since this process began to serve, without those in which it did not
/// run. Virtual where tokio's is.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
    pauses: Arc<Pauses>,
}

/// A deadline that has passed is not handed in again sooner than this: the runtime's timers are
/// no finer, and a machine that insists on the past must not keep a core busy.
const TICK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// A deadline is put off for so long at most for what a runtime does not know yet: none is late by
/// more while its process runs, and no peer keeps a deadline away by what it sends.
const PUT_OFF_MAX: Duration = Duration::from_secs(1);

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            pauses: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.after(self.pauses.counted(|| self.origin.elapsed()))
    }

    /// Notes for ever that the process runs. Where this does not run, all time counts.
    pub(crate) async fn beat(self) -> Infallible {
        loop {
            self.pauses.beat(|| self.origin.elapsed());
            tokio::time::sleep(BEAT_EVERY).await;
        }
    }

    /// The output of a future, or nothing if the deadline comes first.
    pub(crate) async fn until<F: Future>(&self, by: Instant, future: F) -> Option<F::Output> {
        let (mut future, mut timer) = (pin!(future), Timer::new(self.clone()));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => timer
                .poll(cx, self.now(), Some(by), || false)
                .map(|()| None),
        })
        .await
    }

    /// The runtime's name for a moment; one beyond its reach is as good as never.
    fn moment(&self, at: Instant) -> tokio::time::Instant {
        const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        let since_origin = at.since(Instant::ZERO).min(NEVER);
        self.origin + since_origin + self.pauses.left_out()
    }
}

/// One timer. Armed anew only when the deadline has moved closer or the timer has fired, so that
/// a deadline that moves away with every byte costs nothing.
///
/// A deadline decides nothing before the sockets were looked at: a runtime that has not run for a
/// while may run its timers before it asks the system which sockets are ready. And the thread that
/// asks may be another one, so that the sockets themselves are asked last.
pub(crate) struct Timer {
    clock: Clock,
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the sleep ends, if it has not ended yet.
    armed: Option<Instant>,
    ticked: Option<Instant>,
    /// A deadline has come: since this time the runtime is asking which sockets are ready.
    readiness: Option<(Instant, ReadinessPoll)>,
    /// Since when a deadline that has come is put off, because a socket is ready.
    put_off: Option<Instant>,
}

impl Timer {
    pub(crate) const fn new(clock: Clock) -> Self {
        Self {
            clock,
            sleep: None,
            armed: None,
            ticked: None,
            readiness: None,
            put_off: None,
        }
    }

    /// Ready once the deadline has come, the runtime has asked the system since which sockets are
    /// ready, and no socket of the task is (`is_ready`); the current task is woken then. Call it
    /// when the sockets have nothing more.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        deadline: Option<Instant>,
        is_ready: impl FnOnce() -> bool,
    ) -> Poll<()> {
        let Some(mut deadline) = deadline else {
            self.put_off = None;
            return Poll::Pending;
        };
        if let Some(ticked) = self.ticked {
            deadline = deadline.max(ticked.after(TICK_AGAIN_AFTER));
        }
        let now = if deadline <= now {
            now
        } else if let Poll::Ready(now) = self.poll_sleep(cx, deadline) {
            now
        } else {
            self.put_off = None;
            return Poll::Pending;
        };
        // It is the same for all deadlines that had come by then. One that has come since must be
        // preceded by another: the process may have stood still in between.
        let (since, mut readiness) = self
            .readiness
            .take()
            .filter(|(since, _)| deadline <= *since)
            .unwrap_or_else(|| (now, ReadinessPoll::default()));
        if readiness.poll(cx).is_pending() {
            self.readiness = Some((since, readiness));
            return Poll::Pending;
        }
        if is_ready() {
            // The runtime wakes the task once it knows.
            let since = *self.put_off.get_or_insert(now);
            ready!(self.poll_sleep(cx, since.after(PUT_OFF_MAX)));
        }
        self.put_off = None;
        self.ticked = Some(now);
        Poll::Ready(())
    }

    /// Ready once the deadline has come, with a time that is not before it.
    fn poll_sleep(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<Instant> {
        loop {
            if self.armed.is_none_or(|armed| deadline < armed) {
                let until = self.clock.moment(deadline);
                match &mut self.sleep {
                    Some(sleep) => sleep.as_mut().reset(until),
                    None => self.sleep = Some(Box::pin(tokio::time::sleep_until(until))),
                }
                self.armed = Some(deadline);
            }
            let Some(sleep) = &mut self.sleep else {
                return Poll::Pending;
            };
            ready!(sleep.as_mut().poll(cx));
            self.armed = None;
            if deadline <= self.clock.now() {
                return Poll::Ready(deadline);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No socket is ready.
    fn idle() -> bool {
        false
    }

    fn ms(ms: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(ms))
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_away_is_met_all_the_same() {
        let clock = Clock::start();
        let mut timer = Timer::new(clock.clone());
        let first =
            poll_fn(|cx| Poll::Ready(timer.poll(cx, clock.now(), Some(ms(10)), idle))).await;
        assert!(first.is_pending());
        poll_fn(|cx| timer.poll(cx, clock.now(), Some(ms(500)), idle)).await;
        assert!(clock.now() >= ms(500) && clock.now() < ms(502));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_closer_is_met() {
        let clock = Clock::start();
        let mut timer = Timer::new(clock.clone());
        poll_fn(|cx| {
            let _ = timer.poll(cx, clock.now(), Some(ms(5000)), idle);
            timer.poll(cx, clock.now(), Some(ms(20)), idle)
        })
        .await;
        assert!(clock.now() < ms(22));
    }

    /// A socket may wake the task again and again, and each time another deadline is the next.
    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_not_put_off_by_others_that_have_come_as_well() {
        let clock = Clock::start();
        let mut timer = Timer::new(clock);
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            timer.poll(cx, ms(10), Some(ms(polls)), idle)
        })
        .await;
        assert_eq!(polls, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_comes_later_is_looked_for_anew() {
        let clock = Clock::start();
        let mut timer = Timer::new(clock);
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            let now = ms(10 * polls.min(2));
            timer.poll(cx, now, Some(now), idle)
        })
        .await;
        assert_eq!(polls, 3);
    }

    /// Whatever a peer sends, and whatever the runtime does not tell.
    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_put_off_for_a_socket_that_is_ready_and_not_for_ever() {
        let clock = Clock::start();
        let mut timer = Timer::new(clock.clone());
        for deadline in [10, 5000] {
            let deadline = ms(deadline);
            poll_fn(|cx| timer.poll(cx, clock.now(), Some(deadline), || true)).await;
            let late = clock.now().since(deadline);
            assert!(late >= PUT_OFF_MAX, "{late:?}");
            assert!(late < PUT_OFF_MAX + Duration::from_millis(3), "{late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_past_does_not_spin() {
        let clock = Clock::start();
        let mut timer = Timer::new(clock.clone());
        for _ in 0..100 {
            poll_fn(|cx| timer.poll(cx, clock.now(), Some(Instant::ZERO), idle)).await;
        }
        assert!(clock.now() >= ms(99));
    }
}
