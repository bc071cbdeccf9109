//! The connection that a machine asks for: absent, being opened, or open.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use doorkeeper_core::{ConnectFailure, Target};

use crate::Net;
use crate::clock::Clock;
use crate::own_addresses::OwnAddresses;
use crate::stream::LegStream;

type Opening<S> = Pin<Box<dyn Future<Output = Result<S, ConnectFailure>> + Send>>;

/// The state of a machine's upstream connection.
pub(crate) enum Dial<S> {
    /// Nothing was asked for.
    Absent,
    /// An attempt is under way. Dropping it gives it up.
    Opening(Opening<S>),
    /// The connection, whether or not it has ended.
    Open(LegStream<S>),
}

impl<S> Dial<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    /// Starts an attempt. One that leads to ourselves fails, whatever the address was called.
    pub(crate) fn to<N: Net<Stream = S>>(
        net: &N,
        own: &OwnAddresses,
        clock: &Clock,
        target: Target,
    ) -> Self {
        let (net, own, clock) = (net.clone(), own.clone(), clock.clone());
        Self::Opening(Box::pin(async move {
            if own.contains(&target.dial) {
                return Err(ConnectFailure::Loop);
            }
            let by = clock.now().after(target.within);
            match clock.until(by, net.connect(&target.dial)).await {
                Some(Ok(stream)) if net.ends(&stream).is_some_and(|it| own.is_loop(it)) => {
                    Err(ConnectFailure::Loop)
                }
                Some(Ok(stream)) => Ok(stream),
                Some(Err(error)) => Err(failure(&error)),
                None if net.is_resolving(&target.dial) => Err(ConnectFailure::Unresolved),
                None => Err(ConnectFailure::TimedOut),
            }
        }))
    }

    /// Ready once, when the attempt has ended.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        let Self::Opening(opening) = self else {
            return Poll::Pending;
        };
        Poll::Ready(match ready!(opening.as_mut().poll(cx)) {
            Ok(stream) => {
                *self = Self::Open(LegStream::new(stream));
                Ok(())
            }
            Err(failure) => {
                *self = Self::Absent;
                Err(failure)
            }
        })
    }

    pub(crate) const fn stream(&mut self) -> Option<&mut LegStream<S>> {
        match self {
            Self::Open(stream) => Some(stream),
            Self::Absent | Self::Opening(_) => None,
        }
    }
}

fn failure(error: &io::Error) -> ConnectFailure {
    let is = |kind| error.kind() == kind;
    if is(io::ErrorKind::NotFound) {
        ConnectFailure::Unresolved
    } else if is(io::ErrorKind::ConnectionRefused) {
        ConnectFailure::Refused
    } else if is(io::ErrorKind::TimedOut) {
        ConnectFailure::TimedOut
    } else {
        ConnectFailure::Unreachable
    }
}
