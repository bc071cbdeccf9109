//! What a broker serves share groups with.

use doorkeeper_core::time::Instant;

use crate::brokers::Brokers;
use crate::config::Limits;
use crate::share_session::{Reader, ShareSession};
use crate::shares::Shares;
use crate::topics::Topics;

/// The share sessions of brokers, and what share groups know of partitions.
pub(crate) struct SharePartitionManager<'a> {
    pub(crate) now: Instant,
    pub(crate) limits: &'a Limits,
    pub(crate) brokers: &'a mut Brokers,
    pub(crate) topics: &'a Topics,
    pub(crate) shares: &'a mut Shares,
    /// Records were released: parked fetches may have something to read.
    pub(crate) logs_changed: &'a mut bool,
}

impl SharePartitionManager<'_> {
    /// A share session was closed: what its reader has is given back.
    pub(crate) fn session_ended(&mut self, reader: &Reader, session: &ShareSession) {
        self.shares.release(reader, session.places(), self.limits);
        *self.logs_changed = true;
    }
}
