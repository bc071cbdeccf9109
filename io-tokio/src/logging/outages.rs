//! How long discovery has failed: its first line that says that it works again says so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The outages of clusters whose discovery does not work.
#[derive(Debug, Default)]
pub(super) struct Outages(Mutex<BTreeMap<String, Outage>>);

/// How often discovery has failed since it last worked, and whether there was a line about it.
#[derive(Debug, Default)]
struct Outage {
    failures: u64,
    was_logged: bool,
}

impl Outages {
    /// An attempt has failed, and there was a line about it or not.
    pub(super) fn failed(&self, cluster: &str, was_logged: bool) {
        let mut outages = self.outages();
        let outage = outages.entry(cluster.to_owned()).or_default();
        outage.failures += 1;
        outage.was_logged |= was_logged;
    }

    /// Discovery works: how often it had failed before, if that was logged.
    pub(super) fn end(&self, cluster: &str) -> Option<u64> {
        let outage = self.outages().remove(cluster)?;
        outage.was_logged.then_some(outage.failures)
    }

    fn outages(&self) -> MutexGuard<'_, BTreeMap<String, Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
