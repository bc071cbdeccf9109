//! A credential that is being verified, elsewhere than on the thread of its session.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use doorkeeper_core::sasl::failure::LoginFailure;
use tokio::task::JoinHandle;

/// What will be decided. Nobody goes on with it once this is dropped, unless it is being computed
/// already.
#[derive(Debug)]
pub(super) struct Check<T>(JoinHandle<Result<T, LoginFailure>>);

impl<T: Send + 'static> Check<T> {
    pub(super) fn spawn(
        work: impl Future<Output = Result<T, LoginFailure>> + Send + 'static,
    ) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Drop for Check<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Check<T> {
    type Output = Result<T, LoginFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let joined = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(joined.unwrap_or(Err(LoginFailure::VerifierUnavailable)))
    }
}
