//! The addresses and secrets that a comparison of both ways needs.

use std::collections::BTreeMap;

use crate::leak::Secrets;

/// What both sides are known to say, and what belongs to the cluster alone.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// As in `4.4.0`.
    pub(crate) kafka: String,
    /// Host and port that brokers advertise, by node id.
    pub(crate) upstream: BTreeMap<i64, (String, i64)>,
    /// Host and port that doorkeeper advertises, by node id.
    pub(crate) ours: BTreeMap<i64, (String, i64)>,
    /// Hosts that doorkeeper knows to be the cluster's, the longest first.
    pub(crate) hosts: Vec<String>,
    /// What belongs to the cluster alone.
    pub(crate) secrets: Secrets,
    /// The keys of APIs by name.
    pub(crate) keys: BTreeMap<String, i16>,
}
