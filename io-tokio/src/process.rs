//! What everything that one process serves has in common.

use std::sync::Arc;

use doorkeeper_core::id::Seed;

use crate::budget::Budgets;
use crate::bulk::Bulk;
use crate::clock::Clock;
use crate::login::Verifiers;
use crate::observer::Observer;
use crate::open_sessions::OpenSessions;
use crate::own_addresses::OwnAddresses;
use crate::readiness::Readiness;
use crate::recorder::Recorder;
use crate::shutdown::Shutdown;
use crate::tls::listener::Handshakes;

/// The state of the process: nothing in it belongs to one listener, cluster or session.
pub(crate) struct ProcessContext<N> {
    pub(crate) net: N,
    /// Where doorkeeper would dial itself.
    pub(crate) own: OwnAddresses,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    /// Entropy for each session and each discovery.
    pub(crate) seed: Arc<dyn Fn() -> Seed + Send + Sync>,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) bulk: Option<Bulk>,
    pub(crate) ready: Arc<Readiness>,
    pub(crate) shutdown: Shutdown,
    pub(crate) open_sessions: OpenSessions,
    /// The TLS handshakes of clients that are under way.
    pub(crate) handshakes: Handshakes,
    /// The credentials of clients that are being verified.
    pub(crate) verifiers: Verifiers,
    /// How much all sessions together may buffer.
    pub(crate) budgets: Arc<Budgets>,
}
