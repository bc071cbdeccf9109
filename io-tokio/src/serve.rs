//! Serves listeners: binds, accepts, and keeps one task a session.

mod plan;
mod readiness;

pub use plan::{Bind, Cluster, Context, Listener, Plan};
pub use readiness::Readiness;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::Net;

/// Why serving could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be bound.
    #[error("listener {listener}: cannot bind {at}: {source}")]
    Bind {
        /// The listener's name.
        listener: Arc<str>,
        /// The address.
        at: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A listener names a cluster that the plan does not have.
    #[error("listener {listener}: the plan has no such cluster")]
    NoCluster {
        /// The listener's name.
        listener: Arc<str>,
    },
    /// A task that must not end has ended.
    #[error("a task that accepts connections failed: {0}")]
    Accepting(String),
}

/// Binds every address of the plan and serves until [`Context::stop`] or [`Context::kill`] is
/// cancelled and the sessions are gone.
///
/// On `stop` nobody comes in any more, and open sessions give the answers that they owe within
/// [`Plan::drain_timeout`]; what is left then, or on `kill`, is dropped.
///
/// # Errors
/// Nothing is served unless every address can be bound.
pub async fn serve<N: Net>(net: N, plan: Plan, context: Context) -> Result<(), ServeError> {
    for listener in &plan.listeners {
        for bind in &listener.binds {
            let bound = net.bind(bind.at).await;
            bound.map_err(|source| ServeError::Bind {
                listener: Arc::clone(&listener.name),
                at: bind.at,
                source,
            })?;
        }
    }
    context.ready.bound();
    context.stop.cancelled().await;
    Ok(())
}
