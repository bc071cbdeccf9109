//! The tests' time, which stands still while anything can happen and jumps when nothing can.

use std::future::pending;
use std::time::Duration;

/// Moves the clock on by so much, through every deadline on the way.
pub async fn pass(time: Duration) {
    let never = pending::<std::convert::Infallible>();
    match tokio::time::timeout(time, never).await {
        Ok(never) => match never {},
        Err(_elapsed) => {}
    }
}

/// Moves the clock on by so much at once, as it does for a process that is stopped meanwhile.
pub async fn stand_still(time: Duration) {
    tokio::time::advance(time).await;
}
