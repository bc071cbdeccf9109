//! How another plan gets to whoever serves.

use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::Net;
use crate::plan::Plan;
use crate::serve::changes::Changes;
use crate::serve::served::Served;
use crate::serve::{CannotBind, ServeError};

/// Plans may wait for the one before them to be served.
const WAITING_MAX: usize = 4;

/// Gives whoever serves another plan, without a restart. Clones are the same.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<Box<Request>>);

/// Why a plan is not served. What was served before still is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Some of its addresses cannot be bound, or it contradicts itself.
    #[error(transparent)]
    Plan(#[from] ServeError),
    /// doorkeeper stops, or has not begun to serve.
    #[error("doorkeeper is not serving")]
    NotServing,
}

impl ReloadError {
    /// The addresses that cannot be bound.
    #[must_use]
    pub fn cannot_bind(&self) -> &[CannotBind] {
        match self {
            Self::Plan(ServeError::Bind(all)) => all,
            Self::Plan(
                ServeError::NoCluster { .. }
                | ServeError::NotBound { .. }
                | ServeError::Accepting(_)
                | ServeError::Discovering(_),
            )
            | Self::NotServing => &[],
        }
    }
}

impl Reloader {
    /// Serves all of the plan from now on, and says what has changed.
    ///
    /// New addresses are bound first. What the plan does not change goes on as if nothing had
    /// happened, open sessions above all.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub async fn reload(&self, plan: Plan) -> Result<Changes, ReloadError> {
        let (done, outcome) = oneshot::channel();
        let request = Box::new(Request { plan, done });
        let not_serving = |_| ReloadError::NotServing;
        self.0
            .send(request)
            .await
            .map_err(|_| ReloadError::NotServing)?;
        Ok(outcome.await.map_err(not_serving)??)
    }
}

/// A plan that is to be served.
pub(super) struct Request {
    plan: Plan,
    done: oneshot::Sender<Result<Changes, ServeError>>,
}

impl Request {
    /// Serves the plan, and says what has become of it.
    pub(super) async fn answer<N: Net>(self, served: &mut Served<N>) {
        let outcome = served.reload(self.plan).await;
        // Whoever asked may be gone; what was asked for is done all the same.
        let _ = self.done.send(outcome);
    }
}

/// The plans that are to be served.
#[derive(Debug)]
pub(super) struct Requests {
    reloader: Reloader,
    waiting: mpsc::Receiver<Box<Request>>,
}

impl Default for Requests {
    fn default() -> Self {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        Self {
            reloader: Reloader(sender),
            waiting,
        }
    }
}

impl Requests {
    pub(super) fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Box<Request>> {
        match self.waiting.poll_recv(cx) {
            Poll::Ready(Some(request)) => Poll::Ready(request),
            // There is always the sender of this one.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
